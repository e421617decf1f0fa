// SPDX-License-Identifier: GPL-2.0
/*
 * What the module costs: single operations with it and without it, in the same boot, and memory.
 *
 * Run in a guest under `qemu -icount shift=0`, where a nanosecond of CLOCK_MONOTONIC is an
 * instruction. Prints lines of fields with tabs between, for scripts/bench:
 *	cost ENTRIES OPERATION WITHOUT WITH ADDED SPREAD	instructions
 *	memory WHAT BYTES
 *	namespaces WITHOUT WITH	nanoseconds of NAMESPACES of them, with a million entries
 * ENTRIES is `-`, or the number of other entries in the table of the DEBUG build, or `hooks` or
 * `wrappers`: that is not toa, but what hooks cost that do nothing (see floor); or `abandoned`:
 * many handshakes were begun before and forgotten. Each operation is timed by itself, and a round
 * is their median: one in ten meets a tick of the clock, RCU's work, or an allocator that needs a
 * page, and costs what has nothing to do with the module. WITHOUT and WITH are medians of some
 * rounds; WITHOUT is the mean of before and behind. SPREAD is how far the rounds with the module
 * lie apart, and those two.
 *
 * usage: cost full|short [MODULE-PARAMETERS]
 */
#include "memory.h"
#include "mod.h"
#include "operations.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MODULE "/toa/toa.ko"
#define DEBUG_MODULE "/toa/toa-debug.ko"
#define FLOOR_MODULE "/toa/floor.ko"
#define NETNS "/proc/self/ns/net"
#define NETNS_LIMIT "/proc/sys/user/max_net_namespaces"

enum {
	ROUNDS_MAX = 9,
	ROUNDS_SHORT = 5,
	COUNT_MAX = 2048,
	MILLION = 1000000,
	ABANDONED = 100000,
	NAMESPACES = 30,
	NAMESPACE_ROUNDS = 3,
};

static int rounds = ROUNDS_MAX;

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static const struct {
	const char *name;
	void (*run)(void);
	void (*prepare)(void);		/* not counted */
	int count;			/* in a round */
	/* Of sockets that live on, some meet others' entries each time: compare means there. */
	bool mixed;
} operations[] = {
	/* As long as nobody else has an entry. */
	{ "connection, no option", op_conn_none, NULL, 256, false },
	{ "getpeername, no entry", op_getname_none, NULL, COUNT_MAX, true },
	{ "connection, option 200", op_conn_200, NULL, 256, false },
	{ "connection, option 253", op_conn_253, NULL, 256, false },
	{ "connection, option 253, dual-stack listener", op_conn_253_dual, NULL, 256, false },
	{ "getpeername, entry", op_getname_entry, connect_entries, COUNT_MAX, true },
	{ "getsockopt 4096, entry", op_getsockopt_entry, connect_entries, COUNT_MAX, true },
	/* What follows leaves something behind: sockets for RCU, addresses from SYNs. */
	{ "close of a UDP socket", op_udp_close, op_udp_open, SOCKETS, false },
	{ "connection, option 200 in the SYN", op_conn_syn_200, NULL, 256, false },
	{ "SYN and RST, no option", op_syn_none, NULL, 256, false },
	{ "SYN and RST, option 200", op_syn_200, NULL, 256, false },
	{ "connection, no option, behind that", op_conn_none, NULL, 256, false },
};

#define OPERATIONS ((int)(sizeof(operations) / sizeof(operations[0])))
#define CALLS_END 7

static int first, last;		/* those that are measured now */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

struct cost {
	double median;
	double mean;
	double spread;
};

struct round {
	double median;
	double mean;		/* of all but the cheapest and the dearest twentieth */
};

static struct round run_round(int op)
{
	static double each[COUNT_MAX];
	int count = operations[op].count, edge = count / 20, i;
	double sum = 0;

	if (operations[op].prepare)
		operations[op].prepare();
	for (i = 0; i < count; i++) {
		long long start = now_ns();

		operations[op].run();
		each[i] = now_ns() - start;
	}
	qsort(each, count, sizeof(each[0]), compare);
	for (i = edge; i < count - edge; i++)
		sum += each[i];
	return (struct round){ each[count / 2], sum / (count - 2 * edge) };
}

static struct cost measure(int op)
{
	double median[ROUNDS_MAX], mean[ROUNDS_MAX];
	int i;

	run_round(op);		/* warm */
	for (i = 0; i < rounds; i++) {
		struct round r = run_round(op);

		median[i] = r.median;
		mean[i] = r.mean;
	}
	qsort(median, rounds, sizeof(median[0]), compare);
	qsort(mean, rounds, sizeof(mean[0]), compare);
	return (struct cost){ median[rounds / 2], mean[rounds / 2],
			      median[rounds - 1] - median[0] };
}

static void measure_all(struct cost *result)
{
	int op;

	/* Each time the same things have been done before. */
	connect_plain();
	for (op = first; op < last; op++)
		result[op] = measure(op);
}

static void report(const char *entries, int op, double without, double with, double spread)
{
	printf("cost\t%s\t%s\t%.0f\t%.0f\t%.0f\t%.0f\n", entries, operations[op].name, without,
	       with, with - without, spread);
	fflush(stdout);
}

static void compare_all(const char *entries, const struct cost *base, bool others)
{
	static struct cost with[OPERATIONS];
	int op;

	measure_all(with);
	for (op = first; op < last; op++) {
		bool mean = others && operations[op].mixed;

		report(entries, op, mean ? base[op].mean : base[op].median,
		       mean ? with[op].mean : with[op].median, with[op].spread + base[op].spread);
	}
}

/*
 * Memory
 */

static long number_in(const char *path)
{
	char text[32];

	require(read_file(path, text, sizeof(text)));
	return atol(text);
}

static long vmalloc_bytes(void)
{
	long bytes = vmalloc_get();

	require(bytes >= 0);
	return bytes;
}

/* Pages of code that the kernel writes for hooks. */
static long trampoline_bytes(void)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512];
	long count = 0;

	require(f);
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[__builtin__ftrace]") || strstr(line, "[__builtin__kprobes]"))
			count++;
	fclose(f);
	return count * sysconf(_SC_PAGESIZE);
}

/* Everything from the kernel's allocator of small memory. */
static long slab_bytes(void)
{
	static char text[8192];
	const char *line;

	/* CPUs have counts of their own, which are added now and then. */
	write_file("/proc/sys/vm/stat_refresh", "1");
	require(read_file("/proc/meminfo", text, sizeof(text)));
	line = strstr(text, "\nSUnreclaim:");
	require(line);
	return atol(line + strlen("\nSUnreclaim:")) * 1024;
}

static void load(const char *params)
{
	int err = toa_load(params);

	if (err) {
		fprintf(stderr, "the module does not load: %s\n", error_name(-err));
		exit(1);
	}
}

/* Slabs are noisy: the median of some loads. */
static long kernel_growth(const char *params)
{
	double growth[5];
	int i;

	for (i = 0; i < 5; i++) {
		long before;

		usleep(200000);
		before = slab_bytes();
		load(params);
		usleep(200000);
		growth[i] = slab_bytes() - before;
		toa_unload();
	}
	qsort(growth, 5, sizeof(growth[0]), compare);
	return growth[2];
}

static void idle_memory(const char *params)
{
	long slabs = kernel_growth(params), hooks = trampoline_bytes();

	load(params);
	printf("memory\tidle, code and data\t%ld\n", number_in("/sys/module/toa/coresize"));
	printf("memory\tidle, handshake slots and buckets\t%ld\n", vmalloc_bytes());
	printf("memory\tidle, trampolines\t%ld\n", trampoline_bytes() - hooks);
	printf("memory\tidle, kept by the kernel (types, sysfs, /proc)\t%ld\n", slabs);
	fflush(stdout);
	toa_unload();
}

/* A million is in the table. */
static void entry_memory(long idle)
{
	struct slab s;

	require(slab_get(&s) && s.size > 0);
	printf("memory\tentry, object\t%ld\n", s.size);
	printf("memory\tentry, allocator\t%.1f\n", (double)s.bytes / MILLION - s.size);
	printf("memory\tentry, buckets\t%.1f\n", (double)(vmalloc_bytes() - idle) / MILLION);
}

/*
 * Network namespaces
 */

/* The limit counts those too that are about to end: below it, they are gone. */
static void namespace_begin(const char *limit)
{
	write_file(NETNS_LIMIT, limit);
	while (unshare(CLONE_NEWNET)) {
		require(errno == ENOSPC);
		usleep(1000);
	}
}

static double namespaces_once(int home)
{
	long long start = now_ns();
	int fd[NAMESPACES], i;

	for (i = 0; i < NAMESPACES; i++) {
		namespace_begin("1000");
		fd[i] = open(NETNS, O_RDONLY | O_CLOEXEC);
		require(fd[i] >= 0);
	}
	require(setns(home, CLONE_NEWNET) == 0);
	for (i = 0; i < NAMESPACES; i++)
		close(fd[i]);
	namespace_begin("1");
	start = now_ns() - start;
	require(setns(home, CLONE_NEWNET) == 0);
	/* The last one too. */
	namespace_begin("1");
	require(setns(home, CLONE_NEWNET) == 0);
	usleep(500000);
	return start;
}

/* Made and ended. */
static double namespaces(void)
{
	int home = open(NETNS, O_RDONLY | O_CLOEXEC), i;
	double each[NAMESPACE_ROUNDS];

	require(home >= 0);
	namespaces_once(home);		/* warm */
	for (i = 0; i < NAMESPACE_ROUNDS; i++)
		each[i] = namespaces_once(home);
	close(home);
	qsort(each, NAMESPACE_ROUNDS, sizeof(each[0]), compare);
	return each[NAMESPACE_ROUNDS / 2];
}

/*
 * The whole
 */

static void other_entries(const char *params, const struct cost *base)
{
	static const char *const counts[] = { "0", "1000", "100000", "1000000" };
	double without = namespaces();
	char *all;
	long idle;
	size_t i;

	setenv("TOA_KO", DEBUG_MODULE, 1);
	require(asprintf(&all, "%s debug=0", params) > 0);
	load(all);
	idle = vmalloc_bytes();
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		param_set("synthetic", counts[i]);
		/* The old table goes when its entries have moved. */
		usleep(2000000);
		if (atol(counts[i]) == MILLION)
			entry_memory(idle);
		compare_all(counts[i], base, true);
	}
	printf("namespaces\t%.0f\t%.0f\n", without, namespaces());
	toa_unload();
	free(all);
}

/* Clients that abandon handshakes leave nothing behind that others pay for. */
static void abandoned(const char *params)
{
	struct cost with, without;
	char *all;

	setenv("TOA_KO", DEBUG_MODULE, 1);
	require(asprintf(&all, "%s debug=0", params) > 0);
	load(all);
	free(all);
	abandon(ABANDONED);
	require(param_number("kept") > 0);
	/* More than handshakes can last. */
	param_set("ahead", "1100");
	require(param_number("kept") == 0);
	with = measure(0);
	toa_unload();
	without = measure(0);
	report("abandoned", 0, without.median, with.median, with.spread + without.spread);
}

static void empty_hooks(const char *params, const char *name, const struct cost *base)
{
	setenv("TOA_KO", FLOOR_MODULE, 1);
	load(params);
	compare_all(name, base, false);
	toa_unload();
}

static bool full;

/* Once more behind the module: what changes by itself is halved, and shows in the spread. */
static void loaded(const char *params, struct cost *base)
{
	static struct cost with[OPERATIONS], after[OPERATIONS];
	int op;

	setenv("TOA_KO", MODULE, 1);
	load(params);
	measure_all(with);
	toa_unload();
	measure_all(after);
	for (op = first; op < last; op++) {
		struct cost *b = &base[op];

		b->spread = fabs(b->median - after[op].median);
		b->median = (b->median + after[op].median) / 2;
		b->mean = (b->mean + after[op].mean) / 2;
		report("-", op, b->median, with[op].median, with[op].spread + b->spread);
	}
}

static void bench(const void *arg)
{
	static struct cost base[OPERATIONS];
	const char *params = arg;

	measure_all(base);
	loaded(params, base);
	if (!full)
		return;
	empty_hooks("", "hooks", base);
	empty_hooks("redirect=1", "wrappers", base);
	/* Not behind what leaves something behind, which grows with each round. */
	if (!first)
		other_entries(params, base);
}

static void bench_all(const void *arg)
{
	write_file("/proc/sys/net/ipv4/tcp_max_syn_backlog", "65536");
	write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "16");
	operations_open();
	last = CALLS_END;
	bench(arg);
	first = CALLS_END;
	last = OPERATIONS;
	bench(arg);
	setenv("TOA_KO", MODULE, 1);
	idle_memory(arg);
	if (full)
		abandoned(arg);
}

int main(int argc, char **argv)
{
	full = argc > 1 && !strcmp(argv[1], "full");
	if (!full)
		rounds = ROUNDS_SHORT;
	test_add(bench_all, argc > 2 ? argv[2] : "", "bench");
	return bare_main("cost", "", 1, argv);
}
