// SPDX-License-Identifier: GPL-2.0
/*
 * Months: when very many connections and abandoned handshakes have come and gone, while the clock
 * went on, processors and namespaces went and came, and the table grew, all is as after boot.
 *
 * A number as the first argument says how many connections, and how many abandoned handshakes.
 */
#include "client.h"
#include "mod.h"
#include "months.h"
#include "user.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MODULE "/toa/toa-debug.ko"

enum {
	SLOTS = 4096,
	/* Far fewer than slots: no set of them is full of young ones. */
	BATCH = 1000,
	/* But between two rests more handshakes are abandoned than there are slots. */
	BATCHES = 10,
	OPEN = 64,			/* connections at once, most of the time */
	PLAIN = 300,			/* without any option, to see whether they are quick */
	NOT_YOUNG = 70,			/* seconds; see SLOT_YOUNG_SECONDS */
	OLD = 1100,			/* see SLOT_MAX_AGE_SECONDS */
	DAY = 86400,
	SWEEP = 8,
	TABLE_MAX = 1048576,
	LIMIT = 160,
	BEYOND = 10,
	LEFT = 10,			/* connections, and handshakes, in a namespace */
	ALICE = 1000,
};

static int many = 20000;
static int begun;			/* connections and SYNs, for addresses of their own */

static void param(const char *name, unsigned int value)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	param_set(name, text);
}

/* Handshakes that the module keeps. */
static long kept(void)
{
	return param_number("kept");
}

static unsigned int clock_ahead;

static void later(unsigned int seconds)
{
	clock_ahead += seconds;
	param("ahead", clock_ahead);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void load(void)
{
	if (toa_loaded())
		toa_unload();
	clock_ahead = 0;
	require(toa_load("debug=0 syn_slots=4096") == 0);
}

static void unload(void)
{
	check_str(error_name(-toa_unload()), error_name(0));
}

/*
 * Counters: what they must have moved by since the module was loaded
 */

static struct {
	struct stats before, last;
	int with, without, asked, v6, entries, full, share;
} sums;

static void sums_begin(void)
{
	memset(&sums, 0, sizeof(sums));
	require(stats_get(&sums.before));
	sums.last = sums.before;
}

/* No sum has ever fallen. */
static void sums_rise(void)
{
	struct stats s;
	int i;

	require(stats_get(&s));
	check_num(s.rows, sums.last.rows);
	for (i = 0; i < s.rows && i < sums.last.rows; i++)
		if (s.row[i].sum < sums.last.row[i].sum)
			test_fail(__FILE__, __LINE__, "%s fell from %lu to %lu", s.row[i].name,
				  sums.last.row[i].sum, s.row[i].sum);
	sums.last = s;
}

/* Nothing is open: all sums are what was sent, and no more. */
static void sums_exact(void)
{
	check(table_empties());
	check(stats_balanced());
	check_moved(&sums.before, "syn_recv_sock_toa", sums.with, "syn_recv_sock_no_toa",
		    sums.without, "getname_toa_ok", sums.asked, "ip6_address_alloc", sums.v6,
		    "ip6_address_free", sums.v6, "toa_entry_alloc", sums.entries,
		    "toa_entry_free", sums.entries, "toa_table_full", sums.full,
		    "toa_share_full", sums.share);
	sums_rise();
}

/*
 * Traffic
 */

struct place {
	struct server s, victim;
	int open[OPEN];
};

static struct place place[2];
static int places;

static void places_open(void)
{
	static const enum kind kinds[] = { INET, DUAL6 };
	int i, n;

	places = ipv6_exists() ? 2 : 1;
	for (i = 0; i < places; i++) {
		server_open(&place[i].s, kinds[i], 16);
		/* Its queue is full soon. */
		server_open(&place[i].victim, kinds[i], 1);
		for (n = 0; n < OPEN; n++)
			place[i].open[n] = -1;
	}
}

static const struct opts *client(const struct server *s)
{
	return s->kind == INET ? v4_opt(V4, 4321) : v6_opt(V6, 8765);
}

/* From another address and port than any for a long time. */
static void from_anywhere(struct conn *c)
{
	const int n = begun++ % 60000;

	c->saddr[c->v6 ? 13 : 1] = 9;
	c->saddr[c->v6 ? 14 : 2] = 1 + n / 250;
	c->saddr[c->v6 ? 15 : 3] = 1 + n % 250;
}

static void abandon(const struct server *s, const struct dev *dev)
{
	struct conn c;

	server_conn(s, &c);
	c.dev = dev;
	from_anywhere(&c);
	conn_syn(&c, client(s));
}

/* In the SYN, in the ACK, in both, or nowhere. */
enum { NOWHERE, IN_SYN, IN_ACK, WAYS = 4 };

static int connection(const struct server *s, const struct dev *dev, int way)
{
	const struct opts *o = client(s);
	struct conn c;
	int fd;

	server_conn(s, &c);
	c.dev = dev;
	require(conn_open(&c, way & IN_SYN ? o : NULL, way & IN_ACK ? o : NULL));
	fd = server_accepted(s);
	if (way == NOWHERE) {
		sums.without++;
		return fd;
	}
	sums.with++;
	sums.entries++;
	sums.asked++;		/* by accept() */
	sums.v6 += s->kind != INET;
	return fd;
}

static void batch(int number)
{
	int i;

	for (i = 0; i < BATCH; i++) {
		struct place *p = &place[i % places];
		int *fd = &p->open[i / 2 % OPEN], way = i / places % WAYS;

		if (i % 100 == 0)
			move_on();
		if (number % 5 == 4 && i == BATCH / 3) {
			processor_goes();
			sums_rise();
		}
		if (*fd >= 0)
			reset(*fd);
		*fd = connection(&p->s, &dev0, way);
		if (way != NOWHERE && i % 16 > 13) {
			check_str(peer_of(*fd), p->s.kind == INET ? V4_TEXT : V6_TEXT);
			sums.asked++;
		}
		abandon(&p->victim, &dev0);
	}
	sums_rise();
	processor_comes();
	sums_rise();
	later(NOT_YOUNG);
}

static void close_open(void)
{
	int i, n;

	for (i = 0; i < places; i++)
		for (n = 0; n < OPEN; n++) {
			if (place[i].open[n] >= 0)
				reset(place[i].open[n]);
			place[i].open[n] = -1;
		}
	dev_drain(&dev0);
}

/* How many connections without any option have to look for what their SYN said. */
static long slow(void)
{
	const long before = probed ? calls("find") : 0;
	int i;

	for (i = 0; i < PLAIN; i++)
		reset(connection(&place[0].s, &dev0, NOWHERE));
	return probed ? calls("find") - before : 0;
}

/*
 * What else comes and goes
 */

static int namespaces;

/* One with nothing left in it; or with handshakes left, and entries whose end went unnoticed. */
static void container(bool left)
{
	struct server s;
	struct ns ns;
	int i, fd[LEFT];

	ns_new(&ns);
	ns_enter(&ns);
	server_open(&s, INET, 16);
	ns_leave();
	for (i = 0; i < LEFT; i++)
		fd[i] = connection(&s, &ns.dev, 1 + i % 3);
	for (i = 0; left && i < LEFT; i++)
		abandon(&s, &ns.dev);
	check_num(table_get(NULL, 0), LEFT);
	check_num(kept(), left ? LEFT : 0);
	param("deaf", left);
	for (i = 0; i < LEFT; i++)
		reset(fd[i]);
	param("deaf", 0);
	check_num(table_get(NULL, 0), left ? LEFT : 0);
	close(s.fd);
	ns_free(&ns);
	namespaces++;
}

/* What any user may do: more than the share, and then to be gone. */
static void tenant_lives(void)
{
	struct server s;
	struct conn c;
	struct dev dev;
	int i;

	user_become(ALICE);
	user_namespace_new();
	require(unshare(CLONE_NEWNET) == 0);
	dev_open(&dev);
	server_open(&s, INET, 2 * LIMIT);
	/* Nobody accepts them: they go with their listener. */
	for (i = 0; i < LIMIT / 8 + BEYOND; i++) {
		server_conn(&s, &c);
		c.dev = &dev;
		require(conn_open(&c, NULL, client(&s)));
	}
	for (i = 0; i < LEFT; i++)
		abandon(&s, &dev);
	/* In a namespace of its own the file shows that one's. */
	check_num(table_get(NULL, 0), LIMIT / 8);
}

/* A namespace of the same user that is there all the time: what is not given back adds up. */
static pid_t stays(void)
{
	pid_t pid;

	if (access("/proc/self/ns/user", F_OK))
		return -1;
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		user_become(ALICE);
		user_namespace_new();
		require(unshare(CLONE_NEWNET) == 0);
		for (;;)
			pause();
	}
	return pid;
}

static void tenant(void)
{
	const int failed = test_failed();
	pid_t pid;
	int status;

	if (access("/proc/self/ns/user", F_OK))
		return;
	require(chmod("/dev/net/tun", 0666) == 0);
	param("table_max", LIMIT);
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		tenant_lives();
		_exit(test_failed() > failed);
	}
	require(waitpid(pid, &status, 0) == pid);
	check_num(status, 0);
	param("table_max", TABLE_MAX);
	sums.with += LIMIT / 8;
	sums.entries += LIMIT / 8;
	sums.share += BEYOND;
	namespaces++;
}

/* Namespaces end by a work item; nobody moves the clock on meanwhile. */
static void nothing_left(void)
{
	int i;

	check(table_empties());
	for (i = 0; i < WAIT_MS && kept(); i++)
		usleep(1000);
	check_num(kept(), 0);
}

/* The limit is exact, also while a processor is gone on which connections began that live on. */
static void limit(void)
{
	int i, fd[LIMIT + BEYOND];

	param("table_max", LIMIT);
	run_on(next_to_go());
	for (i = 0; i < LIMIT + BEYOND; i++) {
		if (i == LIMIT / 3) {
			processor_goes();
			sums_rise();
		}
		if (i > LIMIT / 3 && i % 20 == 0)
			move_on();
		fd[i] = connection(&place[0].s, &dev0, IN_ACK);
	}
	check_num(table_get(NULL, 0), LIMIT);
	sums.with -= BEYOND;
	sums.entries -= BEYOND;
	sums.asked -= BEYOND;
	sums.full += BEYOND;
	for (i = 0; i < LIMIT + BEYOND; i++)
		reset(fd[i]);
	param("table_max", TABLE_MAX);
	sums_rise();
	processor_comes();
}

static void synthetic(unsigned int count)
{
	param("synthetic", count);
	sums.entries += count;
	param("synthetic", 0);
}

/*
 * Rest: the clock has gone on, and nobody is there
 */

static struct {
	struct memory memory;		/* what there was at the first one, or when it had grown */
	long grown;			/* how often the table has */
	unsigned int size;		/* for which */
} first;

static void grow(unsigned int size)
{
	long before = probed ? calls("grow") : 0;

	param("synthetic", size);
	/* The old tables go when their entries have moved. */
	usleep(1500000);
	param("synthetic", 0);
	sums.entries += size;
	if (probed)
		check(calls("grow") > before);
	memory_get(&first.memory);
	first.grown = probed ? calls("grow") : 0;
	first.size = size;
}

static void rest(void)
{
	struct memory m;
	long quick, before = slow();

	if (probed)
		check(before > 0);
	check(kept() > 0 && kept() <= SLOTS);
	close_open();
	later(DAY);
	check_num(kept(), 0);
	quick = slow();
	check_num(quick, 0);
	container(false);
	nothing_left();
	container(true);
	nothing_left();
	tenant();
	nothing_left();
	limit();
	synthetic(first.size);
	sums_exact();
	if (probed)
		check_num(calls("grow"), first.grown);
	memory_get(&m);
	memory_bounded(&m);
	check_num(m.vmalloc, first.memory.vmalloc);
}

static void age(const void *arg)
{
	const double begin = now();
	double took;
	struct memory m;
	long sweeps;
	int i, done;
	pid_t user;

	(void)arg;
	load();
	user = stays();
	sums_begin();
	probes_set();
	places_open();
	check_num(slow(), 0);
	grow(20000);
	for (i = 0, done = 0; done < many; i++, done += BATCH) {
		batch(i);
		if (i % BATCHES == BATCHES - 1)
			rest();
		/* Half way: what has grown stays so. */
		if (done + BATCH == many / 2)
			grow(40000);
	}
	if (i % BATCHES)
		rest();
	memory_get(&m);
	took = now() - begin;
	test_note("%d connections, %d handshakes abandoned, in %.0f s; the clock went %.1f days",
		  sums.with + sums.without + sums.full + sums.share, done, took,
		  (clock_ahead + took) / DAY);
	test_note("a processor went and came %d times, of %d; namespaces %d", went, processors(),
		  namespaces);
	test_note("then: %ld entries of the slab, %ld bytes; vmalloc %ld bytes, when it grew %ld",
		  m.objects, m.slabs, m.vmalloc, first.memory.vmalloc);
	test_note("handshakes kept: %ld; %d connections without an option look for one: %ld",
		  kept(), PLAIN, slow());
	if (probed) {
		sweeps = calls("sweep");
		test_note("the table grew %ld times; %ld sweeps", first.grown, sweeps);
		/* There is one work item, and it goes on. */
		check(sweeps <= (now() - begin) / SWEEP + 1);
		check(sweeps >= (now() - begin) / SWEEP / 2 - 1);
	}
	for (i = 0; i < places; i++) {
		close(place[i].s.fd);
		close(place[i].victim.fd);
	}
	sums_exact();
	if (user > 0) {
		kill(user, SIGKILL);
		waitpid(user, NULL, 0);
	}
	probes_clear();
	unload();
}

/* What is old goes, a part every eight seconds, when nobody does anything. */
static void swept(const void *arg)
{
	const bool all = many > 20000;
	const double begin = now();
	long before, is, falls = 0;
	int i;

	(void)arg;
	load();
	places_open();
	for (i = 0; i < BATCH; i++) {
		abandon(&place[0].victim, &dev0);
		if (i % 100 == 0)
			dev_drain(&dev0);
	}
	before = kept();
	check_num(before, BATCH);
	/* Not yet, but in a few seconds. */
	later(OLD - 79 - (unsigned int)(now() - begin));
	check_num(kept(), BATCH);
	/* All of it takes more than a minute. */
	while (before && (all || falls < 2) && now() - begin < (all ? 180 : 60)) {
		usleep(100000);
		is = kept();
		falls += is < before;
		before = is;
	}
	check(all ? !before : falls == 2);
	test_note("%ld of %d are left after %.0f s", before, BATCH, now() - begin);
	unload();
}

/* The seconds that the module's clock has gone, in 32 bits, but for what was added to it. */
static unsigned int kernel_seconds(void)
{
	struct timespec tick;
	unsigned int hz;

	require(clock_getres(CLOCK_MONOTONIC_COARSE, &tick) == 0 && tick.tv_nsec);
	hz = (1000000000 + tick.tv_nsec / 2) / tick.tv_nsec;
	/* It begins five minutes before its lower half goes round. */
	return (0x100000000 - 300UL * hz) / hz + (unsigned int)now();
}

/* A handshake and a connection across a moment, and abandoned ones that are forgotten behind it. */
static void across(unsigned int from, unsigned int to, unsigned int forgotten)
{
	struct table_line line;
	struct conn under_way;
	struct stats before;
	struct server s;
	int i, fd, late;

	require(stats_get(&before));
	server_open(&s, INET, 16);
	param("ahead", from);
	check_num(kept(), 0);
	late = connection(&s, &dev0, IN_SYN);
	server_syn(&s, &under_way, client(&s));
	for (i = 0; i < LEFT; i++)
		abandon(&s, &dev0);
	param("ahead", from);
	check_num(kept(), LEFT + 1);
	param("ahead", to);
	check_num(kept(), LEFT + 1);
	check_num(table_get(&line, 1), 1);
	if (line.age < to - from || line.age > to - from + 60)
		test_fail(__FILE__, __LINE__, "the age is %u, not %u", line.age, to - from);
	conn_ack(&under_way, NULL);
	fd = server_accepted(&s);
	check_str(peer_of(fd), V4_TEXT);
	check_num(kept(), LEFT);
	param("ahead", forgotten);
	check_num(kept(), 0);
	reset(fd);
	reset(late);
	close(s.fd);
	check(table_empties());
	check_moved(&before, "syn_recv_sock_toa", 2, "getname_toa_ok", 3);
}

static void round_the_clock(const void *arg)
{
	unsigned int wrap;

	(void)arg;
	load();
	wrap = 0U - kernel_seconds();
	/* Where it is 0 again, and where its upper half is. */
	across(wrap - 120, wrap + 120, wrap + 120 + OLD);
	across(wrap - 0x80000000 - 120, wrap - 0x80000000 + 120, wrap - 0x80000000 + 120 + OLD);
	/* What is added to it goes round too. */
	across(0U - 120, 120, 120 + OLD);
	unload();
}

int main(int argc, char **argv)
{
	setenv("TOA_KO", MODULE, 0);
	many = (test_number(&argc, &argv, many) + BATCH - 1) / BATCH * BATCH;
	test_add(round_the_clock, NULL, "the clock goes round");
	test_add(swept, NULL, "what is abandoned goes while nobody does anything");
	test_add(age, NULL, "very many connections and handshakes, and all is as after boot");
	return bare_main("months", "", argc, argv);
}
