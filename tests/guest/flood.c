// SPDX-License-Identifier: GPL-2.0
/*
 * Bounds: SYN floods, big tables, and reading them under traffic.
 *
 * A number as the first argument says how many entries are very many.
 */
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "/toa/toa-debug.ko"
#define SYNTHETIC "/sys/module/toa/parameters/synthetic"
#define V4 "198.51.100.7"
#define V6 "2001:db8::77"
#define V4_TEXT "198.51.100.7:4321"
#define V6_TEXT "[2001:db8::77]:8765"

static const struct opts *both(void)
{
	static __thread struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, V4, 4321), V6, 8765);
}

static void load(const char *params)
{
	if (toa_loaded())
		toa_unload();
	require(toa_load(params) == 0);
}

static void unload(void)
{
	check_str(error_name(-toa_unload()), error_name(0));
}

static void synthetic(unsigned int count)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", count);
	write_file(SYNTHETIC, text);
}

/*
 * Memory that is the module's: its own slab, and what it has from vmalloc.
 */

static long slab(bool object)
{
	FILE *f = fopen("/proc/slabinfo", "re");
	char line[512];
	static const char format[] = "toa_entry %*d %*d %ld %*d %ld"
				     " : tunables %*d %*d %*d : slabdata %*d %ld";
	long found = -1;

	if (!f) {
		/* Nobody will do it after a test that is left out. */
		toa_unload();
		test_skip("no /proc/slabinfo");
	}
	while (fgets(line, sizeof(line), f)) {
		long size, pages, slabs;

		if (sscanf(line, format, &size, &pages, &slabs) == 3)
			found = object ? size : slabs * pages * sysconf(_SC_PAGESIZE);
	}
	fclose(f);
	return found;
}

static long slab_bytes(void)
{
	return slab(false);
}

static long slab_object_size(void)
{
	return slab(true);
}

static long vmalloc_bytes(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	char line[512];
	long bytes = 0, size;

	if (!f)
		test_skip("no /proc/vmallocinfo");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[toa]") && sscanf(line, "%*s %ld", &size) == 1)
			bytes += size;
	fclose(f);
	return bytes;
}

/*
 * SYN floods
 */

enum { SLOTS = 16384, FLOOD = 10000, HONEST = 10 };

/* SYNs from addresses and ports that are all different, with both options. */
static void flood(const struct server *s, unsigned int from, unsigned int to)
{
	for (; from < to; from++) {
		struct conn c;

		server_conn(s, &c);
		c.saddr[c.v6 ? 13 : 1] = 9;
		c.saddr[c.v6 ? 14 : 2] = 1 + from / 250;
		c.saddr[c.v6 ? 15 : 3] = 1 + from % 250;
		conn_syn(&c, both());
		if (from % 100 == 0)
			dev_drain(&dev0);
	}
	dev_drain(&dev0);
}

static void floods(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct stats before;
	struct conn c[HONEST];
	struct server s, victim;
	long slabs, vmalloc;
	int i, fd;

	load("debug=0");
	/* Not through the queue that is flooded: that the kernel keeps in bounds by itself. */
	server_open(&victim, kind, 1);
	server_open(&s, kind, 2 * HONEST);
	for (i = 0; i < HONEST; i++) {
		server_conn(&s, &c[i]);
		conn_syn(&c[i], both());
		require(conn_synack(&c[i], NULL));
	}
	require(stats_get(&before));
	slabs = slab_bytes();
	vmalloc = vmalloc_bytes();
	check(vmalloc > 0);
	flood(&victim, 0, FLOOD);
	check_moved(&before);
	check_num(slab_bytes(), slabs);
	check_num(vmalloc_bytes(), vmalloc);
	for (i = 0; i < HONEST; i++) {
		conn_ack(&c[i], NULL);
		fd = server_accept(&s, NULL);
		if (fd < 0) {
			test_fail(__FILE__, __LINE__, "handshake %d does not complete", i);
			break;
		}
		check_has(&s, &c[i], fd, V4_TEXT, V6_TEXT);
		reset(fd);
	}
	check(stats_balanced());
	/* Their slots are free again; the table has had entries. */
	require(stats_get(&before));
	slabs = slab_bytes();
	flood(&victim, FLOOD, SLOTS);
	check_moved(&before);
	flood(&victim, SLOTS, SLOTS + 1000);
	check_moved(&before, "toa_syn_evicted", 1000);
	check_num(slab_bytes(), slabs);
	check_num(vmalloc_bytes(), vmalloc);
	test_note("%d SYNs; vmalloc %ld bytes, slab %ld bytes before and after", SLOTS + 1000,
		  vmalloc, slabs);
	unload();
}

/*
 * Reading while the table changes
 */

enum { CONSTANT = 4000, CHANGING = 20000, PASSES = 6 };

static int stopping;

static bool go_on(void)
{
	return !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

static void *connecting(void *arg)
{
	int *count = arg;
	struct server s;

	server_open(&s, INET, 16);
	while (go_on()) {
		struct conn c;
		int fd;

		server_conn(&s, &c);
		if (!conn_open(&c, NULL, both()))
			break;
		fd = accept(s.fd, NULL, NULL);
		if (strcmp(peer_of(fd), V4_TEXT))
			test_fail(__FILE__, __LINE__, "getpeername: %s", peer_of(fd));
		reset(fd);
		(*count)++;
	}
	return NULL;
}

static void *growing(void *arg)
{
	(void)arg;
	while (go_on()) {
		synthetic(CHANGING);
		synthetic(CONSTANT);
	}
	return NULL;
}

/* Return: how many of the constant entries a pass has seen, or -1 if it has seen one twice. */
static int pass(void)
{
	static char seen[CHANGING];
	FILE *f = fopen("/proc/net/toa_table", "re");
	char line[512];
	int count = 0;

	memset(seen, 0, sizeof(seen));
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		unsigned int a, b, c, d, number;

		if (!strstr(line, " 192.0.2.2:0 "))
			continue;
		if (sscanf(line, "%*d %*u %*s %*s %u.%u.%u.%u:", &a, &b, &c, &d) != 4)
			continue;
		number = (a << 24 | b << 16 | c << 8 | d) - 0xc6120000;
		if (number >= CHANGING || seen[number]++) {
			count = -1;
			break;
		}
		count += number < CONSTANT;
	}
	fclose(f);
	return count;
}

static void read_under_traffic(const void *arg)
{
	pthread_t connector, grower;
	int connections = 0, i;

	(void)arg;
	load("debug=0");
	synthetic(CONSTANT);
	check_num(pass(), CONSTANT);
	stopping = 0;
	require(pthread_create(&connector, NULL, connecting, &connections) == 0);
	require(pthread_create(&grower, NULL, growing, NULL) == 0);
	for (i = 0; i < PASSES; i++)
		check_num(pass(), CONSTANT);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(connector, NULL);
	pthread_join(grower, NULL);
	check(connections > 0);
	synthetic(0);
	check(table_empties());
	check(stats_balanced());
	unload();
}

/*
 * A million
 */

enum { ENTRY_MAX = 96, PADDED = 112, BUCKETS_MAX = 16 };

static int many = 200000;

static void many_entries(const void *arg)
{
	long before, size, bytes;
	char limit[16];
	struct stats was;
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	load("debug=0");
	before = slab_bytes() + vmalloc_bytes();
	require(stats_get(&was));
	synthetic(many);
	check_moved(&was);
	/* The old tables go when their entries have moved. */
	usleep(2000000);
	bytes = slab_bytes() + vmalloc_bytes() - before;
	size = slab_object_size();
	test_note("%d entries: %ld bytes each, %.1f with slabs and buckets", many, size,
		  (double)bytes / many);
	/* A kernel that checks its slabs pads what is in them. */
	if (size < PADDED) {
		check(size <= ENTRY_MAX);
		check(bytes / many <= size * 21 / 20 + BUCKETS_MAX);
	}
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check(data_flows(&c, fd));
	/* And no more than the limit. */
	snprintf(limit, sizeof(limit), "%d", many + 1);
	write_file("/sys/module/toa/parameters/table_max", limit);
	require(stats_get(&was));
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, NULL, NULL);
	check(data_flows(&c, fd));
	synthetic(many - 1);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	/* Unloading takes care of all that are left. */
	unload();
	check(slab_bytes() == -1 && vmalloc_bytes() == 0);
}

int main(int argc, char **argv)
{
	static const enum kind kinds[] = { INET, INET6 };

	if (argc > 1 && atoi(argv[1]) > 0) {
		many = atoi(argv[1]);
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	setenv("TOA_KO", MODULE, 0);
	test_add(floods, &kinds[0], "a flood of SYNs with options, IPv4");
	test_add(floods, &kinds[1], "a flood of SYNs with options, IPv6");
	test_add(read_under_traffic, NULL, "the table read under traffic");
	test_add(many_entries, NULL, "very many entries");
	return bare_main("flood", argc, argv);
}
