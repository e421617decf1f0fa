/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program flood share. */
#ifndef TEST_FLOOD_H
#define TEST_FLOOD_H

#include "client.h"
#include "mod.h"

/* The module, anew; and away. */
void load(const char *params);
void unload(void);

/* The module's memory; without these the test is skipped. The slab's are -1 without the module. */
long slab_bytes(void);
long slab_object_size(void);
long vmalloc_bytes(void);

/*
 * In bytes: an entry may have so many; a kernel that checks its slabs pads what is in them, so they
 * are larger; and what buckets may add to each entry.
 */
enum { ENTRY_MAX = 96, PADDED = 112, BUCKETS_MAX = 16 };

/* flood_table.c */
extern int many;	/* entries */
void read_under_traffic(const void *arg);
void fields(const void *arg);
void many_entries(const void *arg);
void many_read(const void *arg);

/* flood_live.c: as many as there are to be; that is at most LIVE_MAX. */
enum { LIVE_MAX = 1000000 };
extern int live;
void live_connections(const void *arg);

/* The number of a line's entry; of none if the line has a field more or less. */
unsigned int number_of(const char *line);

#endif /* TEST_FLOOD_H */
