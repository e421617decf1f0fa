/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The module: loading it, its counters, its table, its lines in the kernel log, namespaces.
 *
 * TOA_KO names the file, /toa/toa.ko by default. With TOA_ABSENT=1 in the environment it is never
 * loaded, to see which tests notice.
 */
#ifndef TEST_MOD_H
#define TEST_MOD_H

#include "host.h"
#include "pkt.h"
#include "tap.h"

/*
 * 0 or -errno. Words of the kernel's command line such as toa.hook=kprobe are parameters too, and
 * those that main() has named; those given here win. The test module is tests/guest/kmod.
 */
int toa_load(const char *params);
int toa_unload(void);
bool toa_loaded(void);

/* Parameters of the module that is loaded: files below PARAMETERS. */
#define PARAMETERS "/sys/module/toa/parameters/"
void param_set(const char *name, const char *value);
/* Skips the test where late=1 is refused: the kernel does not count what a connection received. */
void need_late(void);
long param_number(const char *name);
void toa_set_both(bool both);

int holder_load(const char *params);
int holder_unload(void);
bool holder_exists(void);

/*
 * main() of most programs: the module is loaded before the tests, unloaded behind them; after each,
 * sockets are closed and the device is emptied. @params go with every load of the program: both=1
 * is for tests where one segment with both options stands for a client of each family.
 */
int toa_main(const char *file, const char *params, int argc, char **argv);

/* The same without loading: the tests do it. */
int bare_main(const char *file, const char *params, int argc, char **argv);

/* Sums over CPUs of all rows. */
struct stats {
	int rows;
	struct {
		char name[40];
		unsigned long sum;
	} row[40];
};

bool stats_get(struct stats *s);
long stats_of(const struct stats *s, const char *name);	/* -1: no such row */

/* Counters have moved since @before by what the pairs (name, difference) say, no others have. */
void stats_moved(const char *where, int line, const struct stats *before, ...)
	__attribute__((sentinel));
#define check_moved(before, ...) stats_moved(__FILE__, __LINE__, before, ##__VA_ARGS__, NULL)

/* Wait until ip6_address_alloc and ip6_address_free are equal. */
bool stats_balanced(void);

struct table_line {
	unsigned int kind;
	unsigned long netns;
	char local[64];
	char balancer[64];
	char client[64];
	unsigned int age;
};

/* Lines of this process's namespace, the header not counted; -1 if there is no such file. */
int table_get(struct table_line *lines, int max);
/* The lines that name the balancer's address of a connection. */
int table_of(const struct conn *c, struct table_line *lines, int max);
bool table_empties(void);

/* The kernel log from now on: lines with @prefix, each ended by a newline. */
struct klog {
	int fd;
};

void klog_start(struct klog *k);
int klog_lines(struct klog *k, const char *prefix, char *buf, size_t size);

/*
 * Wait until the module looks at the ACKs that TCP_DEFER_ACCEPT drops: it does so from soon after
 * the first SYN for such a listener, or, if it does not look at SYNs, after the first connection.
 * @syn: that SYN's options, or NULL.
 */
void deferred_ready(const struct opts *syn);

/* Whether /proc/kallsyms names it. */
bool kernel_has(const char *symbol);

/*
 * A network namespace with a device of its own. ns_new() leaves the program where it was;
 * ns_enter() and ns_leave() move its main thread.
 */
struct ns {
	int fd;
	unsigned long inode;
	struct dev dev;
};

void ns_new(struct ns *ns);
void ns_enter(const struct ns *ns);
void ns_leave(void);
/* A file of /proc/net, as the namespace of the moment shows it: opened, or -1; if there is one. */
int net_open(const char *name);
bool net_has(const char *name);
void ns_free(struct ns *ns);

#endif /* TEST_MOD_H */
