/* SPDX-License-Identifier: GPL-2.0 */
/* The host that the program months uses: processors that go, and what the module has and does. */
#ifndef TEST_MONTHS_H
#define TEST_MONTHS_H

#include <stdbool.h>

int processors(void);
void run_on(int cpu);
void move_on(void);			/* to the next: connections end elsewhere than they begin */

/* If this kernel lets it. Each goes but the first, in its turn, and is the only one. */
int next_to_go(void);
void processor_goes(void);
void processor_comes(void);
extern int went;			/* how often one has gone */

/* Calls of the module's functions "find", "grow", "sweep", if this kernel can count them. */
extern bool probed;
void probes_set(void);
void probes_clear(void);
long calls(const char *function);

struct memory {
	long objects, slabs, vmalloc;	/* in bytes, but for the first; -1: not known */
};

/* Slabs without objects are given back first, where that can be asked. */
void memory_get(struct memory *m);
void memory_bounded(const struct memory *m);

#endif /* TEST_MONTHS_H */
