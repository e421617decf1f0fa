/* SPDX-License-Identifier: GPL-2.0 */
/* Memory that is the module's: its own slab, and what it has from vmalloc. */
#ifndef TEST_MEMORY_H
#define TEST_MEMORY_H

#include <stdbool.h>

struct slab {
	long active;		/* objects */
	long size;		/* of an object, in bytes */
	long bytes;		/* of all slabs */
};

/* All -1 without the module. Returns false where the kernel does not say. */
bool slab_get(struct slab *s);

/* Not its code; -1 where the kernel does not say. */
long vmalloc_get(void);

#endif /* TEST_MEMORY_H */
