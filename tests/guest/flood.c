// SPDX-License-Identifier: GPL-2.0
/*
 * Bounds: SYN floods, big tables, and reading them under traffic.
 *
 * A number as the first argument says how many entries are very many. `live` and a number: only as
 * many connections at once, or as many as there is memory for.
 */
#include "flood.h"
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "/toa/toa-debug.ko"

void load(const char *params)
{
	if (toa_loaded())
		toa_unload();
	require(toa_load(params) == 0);
}

void unload(void)
{
	check_str(error_name(-toa_unload()), error_name(0));
}

static struct slab slab(void)
{
	struct slab s;

	if (!slab_get(&s)) {
		/* Nobody will do it after a test that is left out. */
		toa_unload();
		test_skip("no /proc/slabinfo");
	}
	return s;
}

long slab_bytes(void)
{
	return slab().bytes;
}

long slab_object_size(void)
{
	return slab().size;
}

long vmalloc_bytes(void)
{
	long bytes = vmalloc_get();

	if (bytes < 0)
		test_skip("no /proc/vmallocinfo");
	return bytes;
}

/*
 * SYN floods
 */

/* A third of the slots: no set of them is full then. */
enum { SLOTS = 16384, FLOOD = 5000, HONEST = 10 };

#define SLOTS_PARAM "syn_slots=16384"

/* Handshakes that the module keeps. */
static long kept(void)
{
	return param_number("kept");
}

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
	const int retries = 20;
	struct stats before;
	struct conn c[HONEST];
	struct server s, victim;
	long slabs, vmalloc;
	int i, fd;

	load("debug=0 " SLOTS_PARAM);
	/* Not through the queue that is flooded: that the kernel keeps in bounds by itself. */
	server_open(&victim, kind, 1);
	server_open(&s, kind, 2 * HONEST);
	/* Handshakes live half an hour, not a minute: slow kernels need more for the flood. */
	require(setsockopt(s.fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries)) == 0);
	for (i = 0; i < HONEST; i++)
		server_syn(&s, &c[i], both());
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
	check_num(kept(), FLOOD);
	require(stats_get(&before));
	slabs = slab_bytes();
	flood(&victim, FLOOD, SLOTS + 1000);
	check(kept() > SLOTS * 3 / 4 && kept() <= SLOTS);
	check_moved(&before, "toa_syn_evicted", (int)(SLOTS + 1000 - kept()));
	check_num(slab_bytes(), slabs);
	check_num(vmalloc_bytes(), vmalloc);
	test_note("%d SYNs; vmalloc %ld bytes, slab %ld bytes before and after", SLOTS + 1000,
		  vmalloc, slabs);
	unload();
}

/* Handshakes that differ in a few bits only do not all fall into one set of slots. */
static void spread(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct stats before;
	struct server s;
	struct conn c, first;
	int i;

	load("debug=0 syn_slots=4096");
	server_open(&s, kind, 1);
	server_conn(&s, &first);
	/* In no network of this host. */
	first.saddr[first.v6 ? 13 : 1] = 10;
	first.saddr[first.v6 ? 15 : 3] = 0;
	require(stats_get(&before));
	for (i = 0; i < 512; i++) {
		c = first;
		if (i < 256) {
			c.saddr[c.v6 ? 15 : 3] = i;
		} else {
			c.isn = (first.isn & 0xffffff) | (uint32_t)i << 24;
			c.saddr[c.v6 ? 14 : 2] ^= 1;
		}
		c.snd_nxt = c.isn;
		conn_syn(&c, both());
		/* The next one is to be a handshake of its own, though only its number differs. */
		conn_rst(&c);
		if (i % 100 == 0)
			dev_drain(&dev0);
	}
	dev_drain(&dev0);
	check_num(kept(), 512);
	check_moved(&before);
	unload();
}

/* What clients abandon is not kept for ever: the quick look stays quick. */
static void abandoned(const void *arg)
{
	struct server s, victim;
	struct stats before;
	struct conn c;
	int fd;

	(void)arg;
	load("debug=0 " SLOTS_PARAM);
	server_open(&victim, INET, 1);
	server_open(&s, INET, 5);
	flood(&victim, 0, FLOOD);
	check_num(kept(), FLOOD);
	require(stats_get(&before));
	param_set("ahead", "1000");
	check_num(kept(), FLOOD);
	server_syn(&s, &c, both());
	param_set("ahead", "1100");
	check_num(kept(), 1);
	check_moved(&before);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check_num(kept(), 0);
	unload();
}

/* Is a SYN seen that comes again? Then the connection has the address of its option. */
static bool seen_again(const struct server *s)
{
	struct conn c;
	bool seen;
	int fd;

	server_syn(s, &c, NULL);
	conn_syn(&c, both());
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	fd = server_accepted(s);
	seen = !strcmp(peer_of(fd), V4_TEXT);
	reset(fd);
	return seen;
}

static bool soon_seen_again(const struct server *s)
{
	int tries;

	for (tries = 0; tries < 1000 && !seen_again(s); tries++)
		usleep(10000);
	return tries < 1000;
}

/*
 * Where a handshake was forgotten that is under way, its SYN is seen when it comes again; until no
 * such handshake can be left. With TCP_DEFER_ACCEPT it is seen for good.
 */
static void seen_while_needed(const void *arg)
{
	char ahead[16];
	struct server s, victim;
	int i;

	(void)arg;
	load("debug=0 syn_slots=32");
	server_open(&victim, INET, 1);
	server_open(&s, INET, 5);
	check(!seen_again(&s));
	for (i = 1; i <= 2; i++) {
		flood(&victim, 100 * i, 100 * i + 31);
		check(!seen_again(&s));
		flood(&victim, 100 * i + 31, 100 * i + 33);
		check(soon_seen_again(&s));
		snprintf(ahead, sizeof(ahead), "%d", 1100 * i - 100);
		param_set("ahead", ahead);
		check(seen_again(&s));
		snprintf(ahead, sizeof(ahead), "%d", 1100 * i);
		param_set("ahead", ahead);
		check_num(kept(), 0);
		check(!seen_again(&s));
	}
	deferred_ready(NULL);
	param_set("ahead", "4000");
	check(seen_again(&s));
	unload();
}

int main(int argc, char **argv)
{
	static const enum kind kinds[] = { INET, INET6 };

	setenv("TOA_KO", MODULE, 0);
	if (argc > 2 && !strcmp(argv[1], "live")) {
		live = atoi(argv[2]);
		if (live < 1 || live > LIVE_MAX)
			return 2;
		test_add(live_connections, NULL, "very many live connections");
		return bare_main("flood", "both=1", 1, argv);
	}
	many = test_number(&argc, &argv, many);
	test_add(floods, &kinds[0], "a flood of SYNs with options, IPv4");
	test_add(floods, &kinds[1], "a flood of SYNs with options, IPv6");
	test_add(spread, &kinds[0], "handshakes that hardly differ, IPv4");
	test_add(spread, &kinds[1], "handshakes that hardly differ, IPv6");
	test_add(abandoned, NULL, "abandoned handshakes are forgotten");
	test_add(seen_while_needed, NULL, "a SYN that comes again is seen while it matters");
	test_add(read_under_traffic, NULL, "the table read under traffic");
	test_add(fields, NULL, "the fields of the table's lines");
	test_add(many_entries, NULL, "very many entries");
	test_add(many_read, NULL, "very many entries read under traffic");
	return bare_main("flood", "both=1", argc, argv);
}
