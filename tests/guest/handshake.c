// SPDX-License-Identifier: GPL-2.0
/*
 * Handshakes that do not go as in the book, tuples that are used again: never an address that was
 * another connection's.
 */
#include "mod.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define A4 "198.51.100.7"
#define A4_TEXT "198.51.100.7:4321"
#define B4 "203.0.113.9"
#define B4_TEXT "203.0.113.9:1234"
#define A6 "2001:db8::77"
#define A6_TEXT "[2001:db8::77]:8765"
#define B6 "2001:db8::99"
#define B6_TEXT "[2001:db8::99]:1111"

static const struct opts *opt_a(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, A4, 4321), A6, 8765);
}

static const struct opts *opt_b(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, B4, 1234), B6, 1111);
}

enum who { NOBODY, A, B };

static const struct opts *opts(enum who who)
{
	return who == A ? opt_a() : who == B ? opt_b() : NULL;
}

static void check_who(const struct server *s, const struct conn *c, int fd, enum who who,
		      int line)
{
	static const char *const v4[] = { NULL, A4_TEXT, B4_TEXT };
	static const char *const v6[] = { NULL, A6_TEXT, B6_TEXT };

	has(__FILE__, line, s, c, fd, v4[who], v6[who]);
}

#define check_is(s, c, fd, who) check_who(s, c, fd, who, __LINE__)

static void cookies(const char *mode)
{
	write_file("/proc/sys/net/ipv4/tcp_syncookies", mode);
}

static enum kind kind_of(const void *arg)
{
	return *(const enum kind *)arg;
}

/*
 * SYNs
 */

static void abandoned(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind_of(arg), 5);
	server_syn(&s, &c, opt_a());
	conn_rst(&c);
	conn_again(&c);
	require(conn_open(&c, NULL, NULL));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, NOBODY);
	check(data_flows(&c, fd));
}

static void abandoned_other(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind_of(arg), 5);
	server_syn(&s, &c, opt_a());
	conn_rst(&c);
	conn_again(&c);
	require(conn_open(&c, opt_b(), NULL));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, B);
}

/* With syncookies nothing of the first SYN is left in the kernel. */
static void abandoned_cookies(const void *arg)
{
	bool first, second;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind_of(arg), 5);
	server_conn(&s, &c);
	cookies("2");
	conn_syn(&c, opt_a());
	first = conn_synack(&c, NULL);
	conn_again(&c);
	second = conn_open(&c, NULL, NULL);
	cookies("1");
	require(first && second);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, NOBODY);
}

/*
 * A SYN twice, where the kernel keeps no request: what the later one says replaces all that the
 * first one said, of the other kind too.
 */
static void repeated_cookies(const void *arg)
{
	struct stats before, after;
	static struct opts both;
	bool first, second;
	struct server s;
	struct conn c;
	int fd;

	both.len = 0;
	opt_v6(opt_v4(&both, "198.51.100.9", 9), "2001:db8::9", 99);
	server_open(&s, kind_of(arg), 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	cookies("2");
	conn_syn(&c, &both);
	first = conn_synack(&c, NULL);
	second = conn_open(&c, v4_opt("198.51.100.8", 8), NULL);
	cookies("1");
	require(first && second);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, "198.51.100.8:8", NULL);
	require(stats_get(&after));
	check_num(stats_of(&after, "toa_disagree") - stats_of(&before, "toa_disagree"), 2);
}

/* Two SYNs of one tuple; with syncookies either may be completed. */
struct pick {
	enum kind kind;
	bool first;
};

static void pick(const void *arg)
{
	const struct pick *t = arg;
	bool one, two;
	struct server s;
	struct conn c, d;
	int fd;

	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	cookies("2");
	conn_syn(&c, opt_a());
	one = conn_synack(&c, NULL);
	d = c;
	conn_again(&d);
	conn_syn(&d, opt_b());
	two = conn_synack(&d, NULL);
	conn_ack(t->first ? &c : &d, NULL);
	cookies("1");
	require(one && two);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->first ? A : B);
}

struct again {
	enum kind kind;
	enum who first, second, want;
};

static void retransmitted(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	server_syn(&s, &c, opts(t->first));
	conn_syn(&c, opts(t->second));
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->want);
	check(data_flows(&c, fd));
}

/*
 * The same where the module sees the SYN that comes again: it is believed, but what is known
 * already stays.
 */
static void retransmitted_seen(const void *arg)
{
	deferred_ready(NULL);
	retransmitted(arg);
}

/* A forger's SYN of the same tuple with another number, far away, changes nothing. */
static void other_isn(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c, d;
	int fd;

	server_open(&s, t->kind, 5);
	server_syn(&s, &c, opts(t->first));
	d = c;
	d.isn += 0x40000000;
	conn_syn(&d, opts(t->second));
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->want);
	check(data_flows(&c, fd));
}

/* Also while the connection lives. */
static void syn_of_live(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c, d;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, opts(t->first), NULL);
	d = c;
	d.isn += 0x40000000;
	conn_syn(&d, opts(t->second));
	conn_send(&c, F_ACK, c.snd_nxt, c.rcv_nxt, opts(t->second), NULL, 0);
	check_is(&s, &c, fd, t->want);
	check(data_flows(&c, fd));
}

/*
 * Segments that complete the handshake
 */

/* ACK and first data are lost: the second data completes it, the first comes then. */
static void later_data(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	server_syn(&s, &c, opts(t->first));
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt + 6, c.rcv_nxt, opts(t->second), "second", 6);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->want);
	conn_data(&c, NULL, "first ");
	check(data_reads(fd, "first second"));
	c.snd_nxt += 6;
	check(data_flows(&c, fd));
	check_is(&s, &c, fd, t->want);
}

/* The SYN-ACK is lost, the SYN comes again, then a later data segment first. */
static void lost_synack(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind_of(arg), 5);
	server_conn(&s, &c);
	conn_syn(&c, opt_a());
	dev_drain(&dev0);
	conn_syn(&c, opt_a());
	require(conn_synack(&c, NULL));
	conn_send(&c, F_ACK | F_PSH, c.snd_nxt + 6, c.rcv_nxt, NULL, "second", 6);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, A);
}

static void duplicates(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind_of(arg), 5);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, opt_a()));
	conn_ack(&c, opt_a());
	conn_ack(&c, NULL);
	conn_ack(&c, opt_b());
	conn_data(&c, opt_b(), "x");
	fd = server_accepted(&s);
	check_is(&s, &c, fd, A);
	check(data_reads(fd, "x"));
	check(data_flows(&c, fd));
	check(poll(&(struct pollfd){ .fd = s.fd, .events = POLLIN }, 1, 0) == 0);
}

/*
 * The accept queue of a backlog of 0 has room for one. The second connection's ACK finds it full:
 * no socket is made, and the request waits for its next segment.
 */
static void full_queue(const void *arg)
{
	const struct again *t = arg;
	struct conn first, second;
	struct stats before;
	struct server s;
	int fd;

	server_open(&s, t->kind, 0);
	server_conn(&s, &first);
	server_conn(&s, &second);
	conn_syn(&first, NULL);
	require(conn_synack(&first, NULL));
	conn_syn(&second, opts(t->first));
	require(conn_synack(&second, NULL));
	conn_ack(&first, NULL);
	require(stats_get(&before));
	conn_ack(&second, NULL);
	conn_ack(&second, NULL);
	if (t->first)
		check_moved(&before);
	require(server_accept(&s, NULL) >= 0);
	/* That the queue was full is seen in that there is nothing more. */
	require(poll(&(struct pollfd){ .fd = s.fd, .events = POLLIN }, 1, 0) == 0);
	conn_data(&second, opts(t->second), "data");
	fd = server_accepted(&s);
	check_is(&s, &second, fd, t->want);
	check(data_reads(fd, "data"));
	check(data_flows(&second, fd));
}

/*
 * The tuple again
 */

static void reuse_rst(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, opts(t->first));
	check_is(&s, &c, fd, t->first);
	conn_rst(&c);
	close(fd);
	conn_again(&c);
	require(conn_open(&c, NULL, opts(t->second)));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->want);
	check(data_flows(&c, fd));
}

/* The old socket is still open in the application when the tuple is used again. */
static void reuse_open(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c;
	int old, fd;

	server_open(&s, t->kind, 5);
	old = server_connect(&s, &c, NULL, opts(t->first));
	conn_rst(&c);
	conn_again(&c);
	require(conn_open(&c, NULL, opts(t->second)));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->want);
	check_str(peer_of(old), "ENOTCONN");
	close(old);
	check_is(&s, &c, fd, t->want);
}

static void reuse_time_wait(const void *arg)
{
	const struct again *t = arg;
	struct server s;
	struct conn c;
	struct seg seg;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, opts(t->first), opts(t->first));
	check_is(&s, &c, fd, t->first);
	close(fd);
	require(conn_recv(&c, F_FIN, F_FIN, &seg));
	c.rcv_nxt = seg.seq + 1;
	conn_fin(&c);
	/* The server is in TIME_WAIT; its last ACK says so. */
	do
		require(conn_recv(&c, F_ACK | F_SYN, F_ACK, &seg));
	while (seg.ack != c.snd_nxt);
	conn_again(&c);
	require(conn_open(&c, opts(t->second), NULL));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, t->want);
	check(data_flows(&c, fd));
}

/* Even the initial sequence number: what a SYN said goes when its handshake is completed. */
static void reuse_isn(const void *arg)
{
	struct server s;
	struct conn c;
	uint32_t isn;
	int fd;

	server_open(&s, kind_of(arg), 5);
	fd = server_connect(&s, &c, opt_a(), NULL);
	check_is(&s, &c, fd, A);
	isn = c.isn;
	conn_rst(&c);
	close(fd);
	c.isn = isn;
	c.snd_nxt = isn;
	require(conn_open(&c, NULL, NULL));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, NOBODY);
}

/* Many sockets come and go under the same addresses in the kernel's memory. */
static void reuse_memory(const void *arg)
{
	struct server s;
	struct conn c;
	int i, fd;

	server_open(&s, kind_of(arg), 5);
	server_conn(&s, &c);
	for (i = 0; i < 60; i++) {
		enum who who = i % 3;

		require(conn_open(&c, NULL, opts(who)));
		fd = server_accepted(&s);
		check_is(&s, &c, fd, who);
		reset(fd);
		conn_again(&c);
	}
}

/*
 * The memory for SYNs
 */

static bool reload(const char *params)
{
	return toa_unload() == 0 && toa_load(params) == 0;
}

/* Four slots: the fifth SYN takes that of the first, the sixth that of the second. */
static void eviction(const void *arg)
{
	struct conn c[6];
	struct stats before;
	struct server s;
	int i, fd;

	(void)arg;
	require(reload("syn_slots=4"));
	server_open(&s, INET, 16);
	require(stats_get(&before));
	for (i = 0; i < 6; i++)
		server_syn(&s, &c[i], i == 2 ? opt_b() : opt_a());
	check_moved(&before, "toa_syn_evicted", 2);
	for (i = 0; i < 6; i++) {
		conn_ack(&c[i], NULL);
		fd = server_accepted(&s);
		check_is(&s, &c[i], fd, i < 2 ? NOBODY : i == 2 ? B : A);
		check(data_flows(&c[i], fd));
	}
}

/* SYNs without the option take no slot, and a completed handshake gives its own back. */
static void one_slot(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c, d;
	int i, fd;

	(void)arg;
	require(reload("syn_slots=1"));
	server_open(&s, INET, 128);
	server_syn(&s, &c, opt_a());
	for (i = 0; i < 50; i++) {
		server_conn(&s, &d);
		conn_syn(&d, NULL);
	}
	require(stats_get(&before));
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, A);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, opt_b(), NULL));
	check_moved(&before, "syn_recv_sock_toa", 1, "ip6_address_alloc", 1);
	fd = server_accepted(&s);
	check_is(&s, &c, fd, B);
}

/* A flood that fills all slots many times costs addresses, and nothing else. */
static void flood(const void *arg)
{
	struct server s;
	struct conn c;
	int i, fd;

	(void)arg;
	require(reload("syn_slots=64"));
	server_open(&s, INET, 128);
	for (i = 0; i < 1000; i++) {
		server_conn(&s, &c);
		conn_syn(&c, opt_b());
	}
	dev_drain(&dev0);
	server_open(&s, INET, 128);
	server_conn(&s, &c);
	require(conn_open(&c, opt_a(), NULL));
	fd = server_accepted(&s);
	check_is(&s, &c, fd, A);
}

static void no_slots(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	require(reload("syn_slots=0"));
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, opt_a(), NULL);
	check_is(&s, &c, fd, NOBODY);
	fd = server_connect(&s, &c, opt_a(), opt_b());
	check_is(&s, &c, fd, B);
	check(data_flows(&c, fd));
}

static void default_slots(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	require(reload(""));
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, opt_a(), NULL);
	check_is(&s, &c, fd, A);
}

static void add_again(test_fn fn, const char *name, enum who first, enum who second,
		      enum who want)
{
	static const char *const who[] = { "none", "option", "another" };
	struct again *t = calloc(KINDS, sizeof(*t));
	int i;

	if (!t)
		abort();
	for (i = 0; i < KINDS; i++) {
		t[i].kind = i;
		t[i].first = first;
		t[i].second = second;
		t[i].want = want;
		test_add(fn, &t[i], "%s, %s then %s, %s", name, who[first], who[second],
			 kind_name[i]);
	}
}

int main(int argc, char **argv)
{
	static struct pick picks[KINDS * 2];
	int i;

	test_add_kinds(abandoned, "abandoned SYN, then one without option");
	test_add_kinds(abandoned_other, "abandoned SYN, then another option");
	test_add_kinds(abandoned_cookies, "abandoned SYN, syncookies");
	test_add_kinds(repeated_cookies, "repeated SYN, syncookies");
	for (i = 0; i < KINDS * 2; i++) {
		picks[i].kind = i / 2;
		picks[i].first = i % 2;
		test_add(pick, &picks[i], "two SYNs, syncookies, the %s completed, %s",
			 i % 2 ? "first" : "second", kind_name[i / 2]);
	}
	add_again(retransmitted, "retransmitted SYN", A, B, A);
	add_again(retransmitted, "retransmitted SYN", A, NOBODY, A);
	add_again(retransmitted, "retransmitted SYN", NOBODY, A, NOBODY);
	add_again(retransmitted_seen, "retransmitted SYN, seen", A, B, A);
	add_again(retransmitted_seen, "retransmitted SYN, seen", A, NOBODY, A);
	add_again(retransmitted_seen, "retransmitted SYN, seen", NOBODY, A, A);
	add_again(other_isn, "SYN with another number", NOBODY, A, NOBODY);
	add_again(other_isn, "SYN with another number", A, B, A);
	add_again(syn_of_live, "SYN and ACK for a live connection", A, B, A);
	add_again(syn_of_live, "SYN and ACK for a live connection", NOBODY, B, NOBODY);
	add_again(later_data, "SYN, later data completes", A, NOBODY, A);
	add_again(later_data, "SYN, later data completes", NOBODY, B, B);
	add_again(later_data, "SYN, later data completes", A, B, B);
	add_again(later_data, "SYN, later data completes", NOBODY, NOBODY, NOBODY);
	test_add_kinds(lost_synack, "lost SYN-ACK, lost ACK, lost data");
	test_add_kinds(duplicates, "duplicated segments");
	add_again(full_queue, "full accept queue, SYN, data", A, NOBODY, A);
	add_again(full_queue, "full accept queue, SYN, data", A, B, B);
	add_again(full_queue, "full accept queue, SYN, data", NOBODY, B, B);
	add_again(reuse_rst, "tuple again after RST", A, NOBODY, NOBODY);
	add_again(reuse_rst, "tuple again after RST", NOBODY, A, A);
	add_again(reuse_rst, "tuple again after RST", A, B, B);
	add_again(reuse_open, "tuple again, old socket open", A, NOBODY, NOBODY);
	add_again(reuse_open, "tuple again, old socket open", A, B, B);
	add_again(reuse_time_wait, "tuple again after TIME_WAIT", A, NOBODY, NOBODY);
	add_again(reuse_time_wait, "tuple again after TIME_WAIT", NOBODY, A, A);
	add_again(reuse_time_wait, "tuple again after TIME_WAIT", A, B, B);
	test_add_kinds(reuse_isn, "tuple and number again");
	test_add_kinds(reuse_memory, "tuple again and again");
	test_add(eviction, NULL, "syn_slots 4, the oldest goes first");
	test_add(one_slot, NULL, "syn_slots 1, slot given back");
	test_add(flood, NULL, "syn_slots 64, flood");
	test_add(no_slots, NULL, "syn_slots 0, SYN not looked at");
	test_add(default_slots, NULL, "syn_slots default");
	return toa_main("handshake", "both=1", argc, argv);
}
