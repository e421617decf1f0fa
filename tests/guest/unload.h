/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program unload share. */
#ifndef TEST_UNLOAD_H
#define TEST_UNLOAD_H

#include "client.h"
#include "mod.h"

#include <pthread.h>

struct mechanism {
	const char *name;
	const char *params;
};

/* Not every kernel has each. For a test's beginning: what one that is left out has done stays. */
void load_or_skip(const struct mechanism *m);

#define must_load(m) check_str(error_name(-toa_load((m)->params)), error_name(0))
#define must_unload() check_str(error_name(-toa_unload()), error_name(0))

void start(pthread_t *thread, void *(*fn)(void *), void *arg);

/* Threads run until somebody stops all. */
extern int stopping;
bool go_on(void);
bool either(const char *got, const char *one, const char *other);

extern int cycles;	/* how often each mechanism loads and unloads */

struct asker {
	pthread_t thread;
	const struct server *s;
	int fd;
	int rounds;
	int real;	/* answers that named the client */
	int wrong;
	char last[96];
};

void not_right(struct asker *a, const char *got);
void finish(struct asker *a, int count);	/* their threads, and what they found wrong */

struct cycler {
	pthread_t thread;
	const struct mechanism *m;
	int cycles, failed, done;
	struct asker *fresh;	/* who must be in the middle of it at each unload */
	int fresh_count;
};

void *cycling(void *arg);

/* unload_inside.c: what a user lets the module write into a page whose server never answers. */
enum answer { SOCKOPT, STATS, TABLE };

struct fuse {
	const struct mechanism *m;
	enum answer answer;
};

/* Tests of a mechanism, but for the second one. */
void inside_getsockopt(const void *arg);
void inside_fuse(const void *arg);
void inside_getpeername(const void *arg);
/* unload_others.c */
void never_fail(const void *arg);
void probes_before(const void *arg);
void probes_after(const void *arg);
/* unload_late.c */
void forgets(const void *arg);
void late_toggled(const void *arg);

#endif /* TEST_UNLOAD_H */
