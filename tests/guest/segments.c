// SPDX-License-Identifier: GPL-2.0
/*
 * What the parameter segments makes needless is not there: no hook on SYNs, no slots. What is
 * needed later comes later.
 */
#include "client.h"
#include "memory.h"
#include "mod.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BEHIND_SYN "segments=ack,data"
#define V4_SHOWN "192.0.2.7:7000"

static const struct opts *client(void)
{
	return v4_opt("192.0.2.7", 7000);
}

static void load(const char *params)
{
	if (toa_loaded())
		toa_unload();
	check_str(error_name(-toa_load(params)), error_name(0));
}

static void unload(void)
{
	check_str(error_name(-toa_unload()), error_name(0));
}

/* Is a function named there whose name ends like this? */
static bool names(const char *path, const char *ending)
{
	FILE *in = fopen(path, "re");
	char line[256];
	bool found = false;

	while (in && !found && fgets(line, sizeof(line), in))
		found = strstr(line, ending);
	if (in)
		fclose(in);
	return found;
}

/* tcp_conn_request(), or on old kernels tcp_v4_conn_request() and tcp_v6_conn_request() */
static bool hooks_syns(void)
{
	return names(tracing("enabled_functions"), "_conn_request") ||
	       names("/sys/kernel/debug/kprobes/list", "_conn_request");
}

/* The connection's SYN names the client, and nothing else does: is that seen? */
static bool sees_syn(void)
{
	struct server s;
	struct conn c;
	bool seen;
	int fd;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, client(), NULL);
	seen = !strcmp(peer_of(fd), V4_SHOWN);
	check_str(peer_of(fd), seen ? V4_SHOWN : server_sees(&s, &c));
	reset(fd);
	close(s.fd);
	return seen;
}

static void needless(const void *arg)
{
	static const char *const params[] = { BEHIND_SYN, "syn_slots=0" };
	struct stats before;
	struct server s;
	long with, without;
	unsigned int i;
	struct conn c;
	int fd;

	(void)arg;
	load("syn_slots=65536");
	check(hooks_syns());
	check(sees_syn());
	with = vmalloc_get();
	for (i = 0; i < 2; i++) {
		load(params[i]);
		check(!hooks_syns());
		without = vmalloc_get();
		check(with == -1 || without < with - 65536 * 64);
		require(stats_get(&before));
		check(!sees_syn());
		check_moved(&before, "syn_recv_sock_no_toa", 1);
		server_open(&s, INET, 5);
		fd = server_connect(&s, &c, NULL, client());
		check_str(peer_of(fd), V4_SHOWN);
	}
	unload();
}

static void set_later(const void *arg)
{
	int i;

	(void)arg;
	load(BEHIND_SYN);
	for (i = 0; i < 3; i++) {
		check(!sees_syn());
		param_set("segments", "syn,ack,data");
		check(hooks_syns());
		check(sees_syn());
		param_set("segments", "ack,data");
		check(!hooks_syns());
	}
	check(!sees_syn());
	unload();
}

static int deferred_connect(const struct server *s, struct conn *c)
{
	int fd;

	server_conn(s, c);
	require(conn_open(c, NULL, both()));
	conn_data(c, NULL, "first");
	fd = server_accepted(s);
	check(data_reads(fd, "first"));
	return fd;
}

/* The ACK that TCP_DEFER_ACCEPT drops is looked at all the same. */
static void deferred(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct server s;
	struct conn c;
	int fd;

	load(BEHIND_SYN);
	server_open_deferred(&s, kind);
	/* The first connection shows that there is such a listener. */
	fd = deferred_connect(&s, &c);
	check_has(&s, &c, fd, NULL, NULL);
	deferred_ready(NULL);
	check(!hooks_syns());
	fd = deferred_connect(&s, &c);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	unload();
}

/* An ACK comes while the accept queue is full. Is what it says kept? */
static bool keeps_in_full_queue(enum kind kind, bool counted)
{
	struct conn first, c;
	struct stats before;
	struct server s;
	bool kept;
	int fd;

	server_open(&s, kind, 0);
	server_syn(&s, &first, NULL);
	server_syn(&s, &c, NULL);
	require(stats_get(&before));
	conn_ack(&first, NULL);
	conn_ack(&c, both());
	require(server_accept(&s, NULL) >= 0);
	require(poll(&(struct pollfd){ .fd = s.fd, .events = POLLIN }, 1, 0) == 0);
	conn_data(&c, NULL, "first");
	fd = server_accepted(&s);
	if (counted)
		check_moved(&before, "syn_recv_sock_no_toa", 2, "toa_syn_evicted", 1);
	kept = strcmp(nat64_of(fd), "ENOENT");
	if (kept)
		check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	else
		check_has(&s, &c, fd, NULL, NULL);
	check(data_reads(fd, "first"));
	reset(fd);
	close(s.fd);
	return kept;
}

/* The first time it is lost, and counted: slots are made for those that come. */
static void full_queue(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	int tries;

	load(BEHIND_SYN);
	check(!keeps_in_full_queue(kind, true));
	for (tries = 0; tries < 1000 && !keeps_in_full_queue(kind, false); tries++)
		usleep(10000);
	check(tries < 1000);
	check(!hooks_syns());
	check(!sees_syn());
	unload();
}

enum { TOGGLES = 40 };

static int toggled;		/* atomic */

static void *toggle(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < TOGGLES; i++) {
		param_set("segments", i % 2 ? "ack,data" : "syn,ack,data");
		usleep(10000);
	}
	__atomic_store_n(&toggled, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void under_traffic(const void *arg)
{
	int seen = 0, not_seen = 0;
	pthread_t thread;

	(void)arg;
	load(BEHIND_SYN);
	__atomic_store_n(&toggled, 0, __ATOMIC_RELAXED);
	require(pthread_create(&thread, NULL, toggle, NULL) == 0);
	while (!__atomic_load_n(&toggled, __ATOMIC_RELAXED)) {
		if (sees_syn())
			seen++;
		else
			not_seen++;
		dev_drain(&dev0);
	}
	pthread_join(thread, NULL);
	check(seen > 0 && not_seen > 0);
	check(!sees_syn());
	test_note("%d seen, %d not", seen, not_seen);
	param_set("segments", "syn");
	unload();
	check(!sees_syn());
}

int main(int argc, char **argv)
{
	test_add(needless, NULL, "not in the SYN: no hook on it, no slots");
	test_add(set_later, NULL, "the SYN is named later, and no longer");
	test_add_kinds(deferred, "not in the SYN: TCP_DEFER_ACCEPT");
	test_add_kinds(full_queue, "not in the SYN: full accept queue");
	test_add(under_traffic, NULL, "set under traffic");
	return bare_main("segments", "both=1", argc, argv);
}
