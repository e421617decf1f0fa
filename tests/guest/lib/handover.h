/* SPDX-License-Identifier: GPL-2.0 */
/* /proc/net/toa_handover: what one module knows, for the next one. */
#ifndef TEST_HANDOVER_H
#define TEST_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>

/* Skips the test where there is no such file: it needs hooks by ftrace. */
void handover_needed(void);

/* What the file says, from malloc(), with a NUL behind it. */
char *handover_read(void);

/* Written in one piece: 0, or what errno was. */
int handover_write(const char *text, size_t len);

/* How many connections a text has, by its last line; -1 if there is none. */
long handover_count(const char *text);

/* How many the module would hand over now. */
long handover_left(void);

/* The same, when connections have had the time to end. */
long handover_left_at_last(long want);

/* The module is unloaded and loaded, and gets what it knew before. */
void handover_upgrade(const char *params);

void handover_load(const char *params);

/* Somebody else has loaded it. */
void handover_loaded(const char *params);

/*
 * The module as each test expects it: without parameters, and it knows of no connection. (Loading
 * takes its time: one that is so already stays.) Skips the test as handover_needed() does.
 */
void handover_fresh(void);

#endif /* TEST_HANDOVER_H */
