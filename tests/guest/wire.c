// SPDX-License-Identifier: GPL-2.0
/* In which segments the option may stand, and what identifies it there. */
#include "mod.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SYSCTL "/proc/sys/net/ipv4/"

#define TIMESTAMPS 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0

enum { NONE, V4, V6, BOTH, BOTH_V6_FIRST = BOTH | 4 };

static const char *const carried_name[] = { "none", "option 200", "option 253", "both" };

/* A client that is different for each segment that names one. */
struct client {
	char v4[32], v6[64];
	char v4_text[48], v6_text[80];
	struct opts opts;
};

static struct client *client(int n, int carried)
{
	static struct client all[8];
	struct client *cl = &all[n];

	snprintf(cl->v4, sizeof(cl->v4), "198.51.100.%d", n + 1);
	snprintf(cl->v6, sizeof(cl->v6), "2001:db8::%d", n + 1);
	snprintf(cl->v4_text, sizeof(cl->v4_text), "198.51.100.%d:%d", n + 1, 1000 + n);
	snprintf(cl->v6_text, sizeof(cl->v6_text), "[2001:db8::%d]:%d", n + 1, 2000 + n);
	cl->opts.len = 0;
	if (carried & V4 && carried != BOTH_V6_FIRST)
		opt_v4(&cl->opts, cl->v4, 1000 + n);
	if (carried & V6)
		opt_v6(&cl->opts, cl->v6, 2000 + n);
	if (carried == BOTH_V6_FIRST)
		opt_v4(&cl->opts, cl->v4, 1000 + n);
	return cl;
}

static const struct opts *opts(int n, int carried)
{
	return carried ? &client(n, carried)->opts : NULL;
}

/*
 * What the segments say, taken together: the last that has an option counts, and of that the first
 * one; with both=1 the first of each kind.
 */
struct said {
	bool both;
	const char *v4, *v6;
	int overruled;
	struct stats before;
};

static void begin(struct said *said, bool both)
{
	memset(said, 0, sizeof(*said));
	said->both = both;
	toa_set_both(both);
	require(stats_get(&said->before));
}

static void say(struct said *said, int n, int carried)
{
	bool v4 = carried & V4, v6 = carried & V6;

	if (!carried)
		return;
	/* Each segment names another client. */
	said->overruled += !!said->v4 + !!said->v6;
	if (!said->both && v4 && v6) {
		v4 = carried != BOTH_V6_FIRST;
		v6 = !v4;
		said->overruled++;
	}
	said->v4 = v4 ? client(n, carried)->v4_text : NULL;
	said->v6 = v6 ? client(n, carried)->v6_text : NULL;
}

static void shown(const struct said *said, const struct server *s, const struct conn *c, int fd,
		  int line)
{
	struct stats now;

	has(__FILE__, line, s, c, fd, said->v4, said->v6);
	require(stats_get(&now));
	test_num(__FILE__, line, "toa_disagree",
		 stats_of(&now, "toa_disagree") - stats_of(&said->before, "toa_disagree"),
		 said->overruled);
}

#define check_shown(said, s, c, fd) shown(said, s, c, fd, __LINE__)

struct ways {
	enum kind kind;
	int syn, ack, data;
	const char *name;
	bool both;
};

/*
 * SYN, ACK, data. The data segment's options count only where that segment makes the connection.
 */
static void ordinary(const void *arg)
{
	const struct ways *t = arg;
	struct said said;
	struct server s;
	struct conn c;
	int fd;

	begin(&said, t->both);
	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	require(conn_open(&c, opts(0, t->syn), opts(1, t->ack)));
	fd = server_accepted(&s);
	say(&said, 0, t->syn);
	say(&said, 1, t->ack);
	check_shown(&said, &s, &c, fd);
	check(data_flows(&c, fd));
	check_shown(&said, &s, &c, fd);
}

/* The final ACK is lost: the first data makes the connection. */
static void lost_ack(const void *arg)
{
	const struct ways *t = arg;
	struct said said;
	struct server s;
	struct conn c;
	int fd;

	begin(&said, t->both);
	server_open(&s, t->kind, 5);
	server_syn(&s, &c, opts(0, t->syn));
	conn_data(&c, opts(2, t->data), "first");
	fd = server_accepted(&s);
	say(&said, 0, t->syn);
	say(&said, 2, t->data);
	check_shown(&said, &s, &c, fd);
	check(data_reads(fd, "first"));
	check(data_flows(&c, fd));
}

/* That SYN need not have anything to say: its options are none, or those of every Linux. */
static void deferred_fresh(const void *arg)
{
	check_str(error_name(-toa_unload()), error_name(0));
	check_str(error_name(-toa_load("")), error_name(0));
	deferred_ready(arg);
}

static void deferred(const void *arg)
{
	const struct ways *t = arg;
	struct said said;
	struct server s;
	struct conn c;
	int fd;

	if (t->ack)
		deferred_ready(NULL);
	begin(&said, t->both);
	server_open_deferred(&s, t->kind);
	server_conn(&s, &c);
	require(conn_open(&c, opts(0, t->syn), opts(1, t->ack)));
	conn_data(&c, opts(2, t->data), "first");
	fd = server_accepted(&s);
	say(&said, 0, t->syn);
	say(&said, 1, t->ack);
	say(&said, 2, t->data);
	check_shown(&said, &s, &c, fd);
	check(data_reads(fd, "first"));
	check(data_flows(&c, fd));
}

/*
 * An ACK that the kernel would not take says nothing: one of another number, or outside of the
 * window.
 */
static void deferred_forged(const void *arg)
{
	const struct opts *forged = &client(1, BOTH)->opts;
	struct server s;
	struct conn c;
	int fd;

	deferred_ready(NULL);
	server_open_deferred(&s, *(const enum kind *)arg);
	server_syn(&s, &c, NULL);
	conn_send(&c, F_ACK, c.snd_nxt, c.rcv_nxt + 1, forged, NULL, 0);
	conn_send(&c, F_ACK, c.snd_nxt, c.rcv_nxt - 1, forged, NULL, 0);
	conn_send(&c, F_ACK, c.snd_nxt - 1, c.rcv_nxt, forged, NULL, 0);
	conn_send(&c, F_PSH, c.snd_nxt, c.rcv_nxt, forged, NULL, 0);
	conn_ack(&c, NULL);
	conn_data(&c, NULL, "first");
	fd = server_accepted(&s);
	check_has(&s, &c, fd, NULL, NULL);
	check(data_reads(fd, "first"));
	check(data_flows(&c, fd));
}

static void cookies(const void *arg)
{
	const struct ways *t = arg;
	struct said said;
	struct server s;
	struct conn c;
	int fd;

	begin(&said, t->both);
	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	write_file(SYSCTL "tcp_syncookies", "2");
	conn_syn(&c, opts(0, t->syn));
	if (!conn_synack(&c, NULL))
		test_fail(__FILE__, __LINE__, "no SYN-ACK");
	conn_ack(&c, opts(1, t->ack));
	fd = server_accept(&s, NULL);
	write_file(SYSCTL "tcp_syncookies", "1");
	require(fd >= 0);
	say(&said, 0, t->syn);
	say(&said, 1, t->ack);
	check_shown(&said, &s, &c, fd);
	check(data_flows(&c, fd));
}

/*
 * Fast Open: the SYN makes the connection
 */

static void fastopen_listen(struct server *s, enum kind kind, const char *mode)
{
	int queue = 16;

	write_file(SYSCTL "tcp_fastopen", mode);
	server_open(s, kind, 5);
	if (setsockopt(s->fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue))) {
		write_file(SYSCTL "tcp_fastopen", "1");
		test_skip("this kernel has no Fast Open (%s)", error_name(errno));
	}
}

/* A SYN without data that asks for a cookie. */
static bool get_cookie(const struct server *s, struct opts *cookie)
{
	struct opts ask = { .len = 0 };
	struct conn c;
	struct seg seg;
	size_t i;

	server_conn(s, &c);
	opt_byte(&ask, 2, 34, 2);
	conn_syn(&c, &ask);
	if (!conn_synack(&c, &seg))
		return false;
	conn_rst(&c);
	for (i = 0; i + 1 < seg.opts.len && seg.opts.byte[i] != 0;) {
		if (seg.opts.byte[i] == 1) {
			i++;
			continue;
		}
		if (seg.opts.byte[i] == 34 && seg.opts.byte[i + 1] > 2) {
			cookie->len = 0;
			opt_raw(cookie, &seg.opts.byte[i], seg.opts.byte[i + 1]);
			return true;
		}
		if (seg.opts.byte[i + 1] < 2)
			return false;
		i += seg.opts.byte[i + 1];
	}
	return false;
}

static void fastopen(const struct ways *t, const char *mode, bool with_cookie)
{
	struct opts o = { .len = 0 };
	struct said said;
	struct server s;
	struct conn c;
	int fd;

	begin(&said, t->both);
	fastopen_listen(&s, t->kind, mode);
	if (with_cookie && !get_cookie(&s, &o)) {
		write_file(SYSCTL "tcp_fastopen", "1");
		if (linux_before(4, 1))
			test_skip("Linux before 4.1 sends cookies in an option for experiments");
		test_fail(__FILE__, __LINE__, "no Fast Open cookie");
		return;
	}
	if (t->syn)
		opt_raw(&o, opts(0, t->syn)->byte, opts(0, t->syn)->len);
	server_conn(&s, &c);
	conn_send(&c, F_SYN, c.isn, 0, &o, "first", 5);
	c.snd_nxt = c.isn + 6;
	/* No ACK has been sent yet. */
	fd = server_accept(&s, NULL);
	write_file(SYSCTL "tcp_fastopen", "1");
	need_fast_open(&s, fd);
	say(&said, 0, t->syn);
	check_shown(&said, &s, &c, fd);
	check(data_reads(fd, "first"));
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	check_shown(&said, &s, &c, fd);
	check(data_flows(&c, fd));
}

static void fastopen_cookie(const void *arg)
{
	fastopen(arg, "3", true);
}

static void fastopen_no_cookie(const void *arg)
{
	fastopen(arg, "0x203", false);
}

/* The SYN that asks for a cookie begins an ordinary handshake. */
static void fastopen_ask(const void *arg)
{
	const struct ways *t = arg;
	struct opts o = { .len = 0 };
	struct said said;
	struct server s;
	struct conn c;
	int fd;

	begin(&said, t->both);
	fastopen_listen(&s, t->kind, "3");
	write_file(SYSCTL "tcp_fastopen", "3");
	opt_byte(&o, 2, 34, 2);
	if (t->syn)
		opt_raw(&o, opts(0, t->syn)->byte, opts(0, t->syn)->len);
	server_conn(&s, &c);
	conn_open(&c, &o, NULL);
	fd = server_accept(&s, NULL);
	write_file(SYSCTL "tcp_fastopen", "1");
	require(fd >= 0);
	say(&said, 0, t->syn);
	check_shown(&said, &s, &c, fd);
	check(data_flows(&c, fd));
}

/*
 * Where in the header
 */

struct place {
	const char *name;
	uint8_t before[24];
	size_t before_len;
	int carried;
	bool syn;
	bool both;
};

static void place(const void *arg)
{
	const struct place *t = arg;
	struct said said;
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	int fd;

	begin(&said, t->both);
	opt_raw(&o, t->before, t->before_len);
	opt_raw(&o, opts(0, t->carried)->byte, opts(0, t->carried)->len);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, t->syn ? &o : NULL, t->syn ? NULL : &o);
	say(&said, 0, t->carried);
	check_shown(&said, &s, &c, fd);
	check(data_flows(&c, fd));
}

/* With both=1 only that differs where there are options of both kinds. */
static void add(test_fn fn, const struct ways *ways, unsigned int count, const char *what)
{
	struct ways *all = calloc(count * KINDS * 2, sizeof(*all));
	unsigned int i;

	if (!all)
		abort();
	for (i = 0; i < count * KINDS * 2; i++) {
		all[i] = ways[i % (count * KINDS) / KINDS];
		all[i].kind = i % KINDS;
		all[i].both = i >= count * KINDS;
		if (all[i].both && ((all[i].syn | all[i].ack | all[i].data) & BOTH) != BOTH)
			continue;
		test_add(fn, &all[i], "%s%s%s, %s", all[i].both ? "both=1, " : "", what,
			 all[i].name, kind_name[all[i].kind]);
	}
}

#define ADD(fn, ways, what) add(fn, ways, sizeof(ways) / sizeof((ways)[0]), what)

int main(int argc, char **argv)
{
	static const struct ways ordinary_ways[] = {
		{ 0, NONE, NONE, 0, "no option", false },
		{ 0, V4, NONE, 0, "option 200 in the SYN only", false },
		{ 0, V6, NONE, 0, "option 253 in the SYN only", false },
		{ 0, BOTH, NONE, 0, "both in the SYN only", false },
		{ 0, NONE, V4, 0, "option 200 in the final ACK only", false },
		{ 0, NONE, V6, 0, "option 253 in the final ACK only", false },
		{ 0, NONE, BOTH, 0, "both in the final ACK only", false },
		{ 0, BOTH, BOTH, 0, "both in SYN and ACK that disagree, the ACK wins", false },
		{ 0, V4, V4, 0, "option 200 in SYN and ACK that disagree, the ACK wins", false },
		{ 0, V6, V6, 0, "option 253 in SYN and ACK that disagree, the ACK wins", false },
		{ 0, V4, V6, 0, "option 200 in the SYN, 253 in the ACK, the ACK wins", false },
		{ 0, V6, V4, 0, "option 253 in the SYN, 200 in the ACK, the ACK wins", false },
		{ 0, BOTH, V4, 0, "both in the SYN, another 200 in the ACK", false },
		{ 0, BOTH, V6, 0, "both in the SYN, another 253 in the ACK", false },
		{ 0, BOTH_V6_FIRST, NONE, 0, "both in the SYN only, 253 first", false },
		{ 0, NONE, BOTH_V6_FIRST, 0, "both in the final ACK only, 253 first", false },
		{ 0, BOTH_V6_FIRST, BOTH, 0, "both in SYN and ACK, each with another first",
		  false },
	};
	static const struct ways data_ways[] = {
		{ 0, NONE, 0, NONE, "no option", false },
		{ 0, NONE, 0, V4, "option 200 in first data only", false },
		{ 0, NONE, 0, V6, "option 253 in first data only", false },
		{ 0, BOTH, 0, NONE, "both in the SYN only", false },
		{ 0, BOTH, 0, BOTH, "both in SYN and data that disagree, the data wins", false },
		{ 0, V6, 0, V4, "option 253 in the SYN, 200 in first data, the data wins", false },
		{ 0, V4, 0, V6, "option 200 in the SYN, 253 in first data, the data wins", false },
		{ 0, NONE, 0, BOTH_V6_FIRST, "both in first data only, 253 first", false },
	};
	static const struct ways deferred_ways[] = {
		{ 0, NONE, V4, NONE, "option 200 in the ACK only", false },
		{ 0, NONE, V6, NONE, "option 253 in the ACK only", false },
		{ 0, BOTH, BOTH, NONE, "both in SYN and ACK that disagree, the ACK wins", false },
		{ 0, V4, V6, NONE, "option 200 in the SYN, 253 in the ACK, the ACK wins", false },
		{ 0, NONE, BOTH, BOTH, "both in ACK and data that disagree, the data wins", false },
		{ 0, V4, V4, V6, "option 200 in SYN and ACK, 253 in first data, the data wins",
		  false },
	};
	static const struct ways cookie_ways[] = {
		{ 0, NONE, NONE, 0, "no option", false },
		{ 0, V4, NONE, 0, "option 200 in the SYN only", false },
		{ 0, V6, NONE, 0, "option 253 in the SYN only", false },
		{ 0, NONE, V4, 0, "option 200 in the ACK only", false },
		{ 0, NONE, V6, 0, "option 253 in the ACK only", false },
		{ 0, BOTH, BOTH, 0, "both in SYN and ACK that disagree, the ACK wins", false },
		{ 0, V4, V6, 0, "option 200 in the SYN, 253 in the ACK, the ACK wins", false },
	};
	static const struct ways fastopen_ways[] = {
		{ 0, NONE, 0, 0, "no option", false },
		{ 0, V4, 0, 0, "option 200", false },
		{ 0, V6, 0, 0, "option 253", false },
		{ 0, BOTH, 0, 0, "both", false },
	};
	/* MSS, SACK permitted, timestamps, NOP, window scale */
	static const uint8_t linux_syn[] = {
		2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
	};
	static struct opts usual;
	static const struct place places[] = {
		{ "behind 1 NOP", { 1 }, 1, V4, false, false },
		{ "behind 2 NOPs", { 1, 1 }, 2, V4, false, false },
		{ "behind 3 NOPs", { 1, 1, 1 }, 3, V4, false, false },
		{ "behind 4 NOPs", { 1, 1, 1, 1 }, 4, V4, false, false },
		{ "behind 1 NOP", { 1 }, 1, V6, false, false },
		{ "behind 3 NOPs", { 1, 1, 1 }, 3, V6, false, false },
		{ "behind 1 NOP", { 1 }, 1, BOTH, false, false },
		{ "behind timestamps", { TIMESTAMPS }, 12, V4, false, false },
		{ "behind timestamps", { TIMESTAMPS }, 12, V6, false, false },
		{ "behind timestamps", { TIMESTAMPS }, 12, BOTH, false, false },
		{ "behind an unknown option", { 77, 5, 200, 8, 0 }, 5, V4, false, false },
		{ "behind an empty option", { 77, 2 }, 2, V4, false, false },
		{ "behind MSS", { 2, 4, 5, 180 }, 4, V4, true, false },
		{ "behind MSS", { 2, 4, 5, 180 }, 4, V6, true, false },
		{ "behind MSS", { 2, 4, 5, 180 }, 4, BOTH, true, false },
		{ "behind MSS, SACK, window scale",
		  { 2, 4, 5, 180, 4, 2, 1, 3, 3, 7 }, 10, V6, true, false },
		{ "behind all of Linux's",
		  { 2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7 }, 20, V6, true,
		  false },
		{ "behind 12 NOPs", { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 12, BOTH, true, false },
	};
	enum { PLACES = sizeof(places) / sizeof(places[0]) };
	static struct place all[PLACES * 2];
	unsigned int i;

	ADD(ordinary, ordinary_ways, "");
	ADD(lost_ack, data_ways, "lost ACK, ");
	opt_raw(&usual, linux_syn, sizeof(linux_syn));
	test_add(deferred_fresh, NULL, "TCP_DEFER_ACCEPT, ACKs are seen after a bare SYN");
	test_add(deferred_fresh, &usual, "TCP_DEFER_ACCEPT, ACKs are seen after a usual SYN");
	ADD(deferred, data_ways, "TCP_DEFER_ACCEPT, ");
	ADD(deferred, deferred_ways, "TCP_DEFER_ACCEPT, ");
	test_add_kinds(deferred_forged, "TCP_DEFER_ACCEPT, forged ACKs");
	ADD(cookies, cookie_ways, "syncookies, ");
	ADD(fastopen_cookie, fastopen_ways, "Fast Open with a cookie, ");
	ADD(fastopen_no_cookie, fastopen_ways, "Fast Open without cookies, ");
	ADD(fastopen_ask, fastopen_ways, "Fast Open cookie request, ");
	for (i = 0; i < PLACES * 2; i++) {
		all[i] = places[i % PLACES];
		all[i].both = i >= PLACES;
		if (all[i].both && all[i].carried != BOTH)
			continue;
		test_add(place, &all[i], "%s%s in the %s %s", all[i].both ? "both=1, " : "",
			 carried_name[all[i].carried], all[i].syn ? "SYN" : "ACK", all[i].name);
	}
	return toa_main("wire", "", argc, argv);
}
