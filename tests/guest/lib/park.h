/* SPDX-License-Identifier: GPL-2.0 */
/* A page on which the kernel waits, in the middle of a system call, until it is let go. */
#ifndef TEST_PARK_H
#define TEST_PARK_H

#include <stdbool.h>

struct park {
	int fd;
	char *page;
};

void park_open(struct park *p);		/* skips the test if this kernel has no such pages */
bool park_taken(const struct park *p);	/* wait until somebody waits there */
void park_free(struct park *p);		/* let all go on; they find zeros */
void park_close(struct park *p);

#endif /* TEST_PARK_H */
