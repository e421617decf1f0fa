// SPDX-License-Identifier: GPL-2.0
/*
 * lb-test.c - the test balancer's own tests, in TAP. No toa module is involved.
 *
 * usage: lb-test				all tests, in two network namespaces of its own
 *	  lb-test one				a few in one namespace, with one or two devices
 *	  lb-test prepared [CLIENT SERVER]	a few in the current namespace, or in two named
 *						ones, made ready by topology.sh
 * TOA_LB names the balancer (default: toa-lb beside this program).
 *
 * Real connections of the kernel's TCP go through the balancer. What was sent is compared byte by
 * byte at the other end, and every segment that passes the balancer's devices is looked at: the
 * option has to be where it should be, with the address and port the client's socket has, and
 * nowhere else. Needs root and /dev/net/tun; skips without.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bed.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { MIB = 1 << 20 };

static unsigned int tests, failures;

static void result(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	printf("%sok %u - ", ok ? "" : "not ", ++tests);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	if (!ok)
		printf("# %s\n", why);
	fflush(stdout);
	failures += !ok;
	*why = 0;
}

/* ---- the log ---- */

static const char *sock_text(const struct sockaddr_storage *ss, char buf[80])
{
	const struct sockaddr_in *a = (const void *)ss;
	const struct sockaddr_in6 *a6 = (const void *)ss;
	char host[INET6_ADDRSTRLEN];

	if (ss->ss_family == AF_INET)
		snprintf(buf, 80, "%s:%u", inet_ntop(AF_INET, &a->sin_addr, host, sizeof(host)),
			 ntohs(a->sin_port));
	else
		snprintf(buf, 80, "[%s]:%u",
			 inet_ntop(AF_INET6, &a6->sin6_addr, host, sizeof(host)),
			 ntohs(a6->sin6_port));
	return buf;
}

static size_t log_read(char **text)
{
	int fd = open(lb_log, O_RDONLY | O_CLOEXEC);
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	size_t lines = 0;
	char *p;

	*text = calloc(1, size + 1);
	if (fd >= 0 && pread(fd, *text, size, 0) != size)
		perror(lb_log);
	if (fd >= 0)
		close(fd);
	for (p = *text; (p = strchr(p, '\n')); p++)
		lines++;
	return lines;
}

/* One line for each connection, with the client's real address and the one the server saw. */
static bool log_check(const struct run *r)
{
	char *text, real[80], seen[80], want[240];
	size_t lines = log_read(&text);
	unsigned int i;
	bool ok = true;

	if (lines != r->links)
		ok = fail("%zu lines in the log for %u connections", lines, r->links);
	for (i = 0; ok && i < r->links; i++) {
		snprintf(want, sizeof(want), " client=%s local=%s ",
			 sock_text(&links[i].real, real), sock_text(&links[i].seen, seen));
		if (!strstr(text, want))
			ok = fail("not in the log: %s", want);
	}
	free(text);
	return ok;
}

/* ---- the tests ---- */

static bool counters_clean(bool faults)
{
	static const char * const bad[] = { "noroom", "full", "no_port", "malformed", "badcsum",
					    "ttl", "write_error" };
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (lb_counter(bad[i]))
			return fail("the balancer counts %s=%ld", bad[i], lb_counter(bad[i]));
	if (!faults && lb_counter("split"))
		return fail("the balancer counts split=%ld", lb_counter("split"));
	return true;
}

/* Runs @r; everything in it has to look like @k. */
static bool go(const struct run *r, const struct look *k)
{
	bool ok;

	if (!lb_start(r))
		return false;
	sniff_start();
	ok = transfer(r);
	if (!lb_stop())
		return false;
	sniff_drain();
	return ok && log_check(r) && (!k || look_all(k, r)) && counters_clean(!k || k->any_size);
}

static const char * const mode_name[MODES] = { "SNAT, option 200", "NAT64, option 253",
					       "IPv6 to IPv6, option 253" };
static const char * const mode_bytes[MODES] = { "c808PA", "fd14PB", "fd14PB" };

static void test_segments(void)
{
	static const char * const in[8] = { "none", "syn", "ack", "syn+ack", "data", "syn+data",
					    "ack+data", "syn+ack+data" };
	unsigned int m, i, j;

	for (m = 0; m < MODES; m++) {
		for (i = 0; i < 8; i++) {
			char keys[40];
			struct run r = { .mode = m, .keys = keys, .links = 2, .up = MIB,
					 .down = MIB };
			struct look k = { .no_ts = i & 1, .no_sackok = i & 1 };

			snprintf(keys, sizeof(keys), ",in=%s", in[i]);
			for (j = 0; j < CARRIERS; j++)
				k.bytes[j] = i >> j & 1 ? mode_bytes[m] : NULL;
			result(go(&r, &k), "%s in %s: 1 MiB both ways, option in place",
			       mode_name[m], in[i]);
		}
	}
}

struct kind_case {
	const char *name;
	enum mode mode;
	const char *keys;
	struct look look;
};

static const struct kind_case kinds[] = {
	{ "default is SYN and ACK", SNAT, "", {
		.bytes = { "c808PA", "c808PA" }, .no_ts = true, .no_sackok = true } },
	{ "both options on one connection", NAT64, ",opt=both,in=all", {
		.bytes = { "c808Pc0000240fd14PB", "c808Pc0000240fd14PB", "c808Pc0000240fd14PB" },
		.no_ts = true, .no_sackok = true } },
	{ "both options for an IPv4 client", SNAT, ",opt=253+200,in=syn", {
		.bytes = { "fd14P0064ff9b0000000000000000Ac808PA" },
		.no_ts = true, .no_sackok = true } },
	{ "254 of length 8", SNAT, ",opt=254,in=all", {
		.bytes = { "fe08PA", "fe08PA", "fe08PA" }, .no_ts = true, .no_sackok = true } },
	{ "254 of length 20", NAT64, ",opt=254,in=all", {
		.bytes = { "fe14PB", "fe14PB", "fe14PB" }, .no_ts = true, .no_sackok = true } },
	{ "253 of length 8", SNAT, ",opt=253/8", {
		.bytes = { "fd08PA", "fd08PA" }, .no_ts = true, .no_sackok = true } },
	{ "28 of length 7, without port", SNAT, ",opt=28/7", {
		.bytes = { "1c0701A01", "1c0701A01" }, .no_ts = true, .no_sackok = true } },
	{ "28 of length 19, without port", V6, ",opt=28/19", {
		.bytes = { "1c1301B01", "1c1301B01" }, .no_ts = true, .no_sackok = true } },
	{ "no option leaves all as it is", NAT64, ",opt=none", { .no_ts = false } },
	{ "one NOP before it", SNAT, ",nops=1,in=all", {
		.bytes = { "01c808PA010101", "01c808PA010101", "01c808PA010101" },
		.no_ts = true, .no_sackok = true } },
	{ "behind the other options", V6, ",at=end,in=all", { .at_end = true,
		.bytes = { "fd14PB", "fd14PB", "fd14PB" }, .no_ts = true, .no_sackok = true } },
	{ "claimed addresses, different in SYN and ACK", SNAT,
		",in=all,claim.syn=192.0.2.1:7,claim.ack=192.0.2.2,claim.data=192.0.2.3:65535", {
		.bytes = { "c8080007c0000201", "c808Pc0000202", "c808ffffc0000203" },
		.no_ts = true, .no_sackok = true } },
	{ "a claimed IPv6 address", V6, ",claim=[2001:db8:ffff::1]:9", {
		.bytes = { "fd14000920010db8ffff00000000000000000001",
			   "fd14000920010db8ffff00000000000000000001" },
		.no_ts = true, .no_sackok = true } },
	{ "raw bytes behind the option", SNAT, ",raw.syn=c8020101,in=syn", {
		.bytes = { "c808PAc8020101" }, .no_ts = true, .no_sackok = true } },
	{ "what the client wrote is passed on", SNAT,
		",in=none,own.syn=c8080007c0000201,own.ack=c8080008c0000201", { .at_end = true,
		.bytes = { "c8080007c0000201", "c8080008c0000201" } } },
	{ "the option stands before what the client wrote", SNAT,
		",own=fd14000920010db8ffff00000000000000000001,own.data=", {
		.bytes = { "c808PA", "c808PA" }, .no_ts = true, .no_sackok = true } },
	{ "room=fit: 200 in the SYN drops nothing", SNAT, ",room=fit,in=syn", {
		.bytes = { "c808PA" } } },
	{ "room=fit: 253 in the SYN fills 40 bytes", NAT64, ",room=fit,in=syn", {
		.bytes = { "fd14PB" } } },
	{ "room=fit: what does not fit costs the timestamps", V6, ",room=fit,in=syn,raw=0101", {
		.bytes = { "fd14PB0101" }, .no_ts = true } },
	{ "28 bytes in ACK and data leave the timestamps", NAT64, ",opt=both,in=ack+data", {
		.bytes = { NULL, "c808Pc0000240fd14PB", "c808Pc0000240fd14PB" } } },
	{ "more than 28 bytes in data cost the timestamps", NAT64, ",opt=both,in=data,raw=01", {
		.bytes = { NULL, NULL, "c808Pc0000240fd14PB01" }, .no_ts = true } },
};

static void test_kinds(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct run r = { .mode = kinds[i].mode, .keys = kinds[i].keys, .links = 2,
				 .up = 20000, .down = 20000 };

		result(go(&r, &kinds[i].look), "%s", kinds[i].name);
	}
}

static void test_many(void)
{
	unsigned int m;

	for (m = 0; m < MODES; m++) {
		struct run r = { .mode = m, .keys = ",in=all", .links = 2000, .up = 3000,
				 .down = 3000, .hold = true, .seconds = 180 };
		struct look k = { .bytes = { mode_bytes[m], mode_bytes[m], mode_bytes[m] },
				  .no_ts = true, .no_sackok = true };
		bool ok;

		/* A slow machine may lose some in its queues. */
		k.may_lack[ACK] = true;
		ok = go(&r, &k);
		if (ok && (lb_counter("conns") != 2000 || lb_counter("opt_ack") < 1000))
			ok = fail("conns=%ld opt_ack=%ld", lb_counter("conns"),
				  lb_counter("opt_ack"));
		result(ok, "%s: 2000 connections at once", mode_name[m]);
	}
}

static bool wait_counter(const char *name, long value)
{
	long now = -1;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		now = lb_counter_now(name);
		if (now == value)
			return true;
		usleep(20000);
	}
	return fail("%s=%ld, not %ld", name, now, value);
}

static bool wait_input(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 10000) == 1;
}

/* The entry has to be gone afterwards, too. */
static void test_endings(void)
{
	static const char * const name[] = { "FIN of the client", "FIN of the server",
					     "RST of the client", "RST of the server" };
	unsigned int m, e;

	for (m = 0; m < MODES; m++) {
		for (e = CLIENT_FIN; e <= SERVER_RST; e++) {
			struct run r = { .mode = m, .links = 20, .up = 5000, .down = 5000,
					 .ending = e, .args = { "--linger", "0" } };
			struct look k = { .bytes = { mode_bytes[m], mode_bytes[m] }, .no_ts = true,
					  .no_sackok = true };
			bool ok = lb_start(&r);

			if (!ok) {
				result(ok, "%s first, %s", name[e], mode_name[m]);
				continue;
			}
			sniff_start();
			ok = transfer(&r);
			ok = ok && wait_counter("active", 0);
			ok = lb_stop() && ok && look_all(&k, &r) && counters_clean(false);
			result(ok, "%s first, %s", name[e], mode_name[m]);
		}
	}
}

/* Did a SYN carry data, and did the server take it? */
static bool syn_with_data(void)
{
	struct view v;
	size_t n;

	for (n = 0; n < capture_count; n++)
		if (captures[n].where == SERVER_SIDE && captures[n].to_host &&
		    view(&captures[n], &v) && v.flags & 2 && v.datalen)
			return links[0].first == v.seq + 1 + v.datalen ||
			       fail("the server did not take the SYN's data");
	return fail("no SYN carried data");
}

/*
 * All of the client's data in the SYN, or more of it. The ACK of the SYN-ACK often does not occur:
 * it goes with the data, or acknowledges what the server has sent meanwhile.
 */
static void test_fastopen(void)
{
	unsigned int m, more;

	for (m = 0; m < MODES * 2; m++) {
		const char *b = mode_bytes[m / 2];
		struct run r = { .mode = m / 2, .links = 1, .down = 5000, .fastopen = true,
				 .one_address = true, .keys = ",in=all" };
		struct look k = { .bytes = { b, b, b }, .no_ts = true, .no_sackok = true };
		bool ok;

		more = m & 1;
		r.up = more ? 5000 : 400;
		k.may_lack[ACK] = true;
		k.may_lack[DATA] = !more;
		ok = lb_start(&r);
		if (ok) {
			ok = transfer(&r);	/* for the cookie */
			sniff_start();
			ok = ok && transfer(&r);
			ok = lb_stop() && ok && look_all(&k, &r) && counters_clean(false) &&
			     syn_with_data();
		}
		result(ok, "Fast Open, %s: option in the SYN with data%s", mode_name[r.mode],
		       more ? " and in what follows" : "");
	}
}

static void test_mptcp(void)
{
	int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);
	static const struct {
		enum mode mode;
		const char *keys;
		struct look look;
	} c[] = {
		{ SNAT, ",in=syn+ack", { .bytes = { "c808PA", "c808PA" }, .mptcp = true,
			.no_ts = true, .no_sackok = true } },
		{ NAT64, ",in=syn", { .bytes = { "fd14PB" }, .mptcp = true, .no_ts = true,
			.no_sackok = true } },
		{ V6, ",in=all", { .bytes = { "fd14PB", "fd14PB", "fd14PB" }, .no_ts = true,
			.no_sackok = true } },
	};
	unsigned int i;

	for (i = 0; i < sizeof(c) / sizeof(*c); i++) {
		struct run r = { .mode = c[i].mode, .keys = c[i].keys, .links = 3, .up = 100000,
				 .down = 100000, .mptcp = true };

		if (probe < 0) {
			printf("ok %u # SKIP this kernel has no MPTCP\n", ++tests);
			continue;
		}
		result(go(&r, &c[i].look), "MPTCP on both ends, %s%s", mode_name[c[i].mode],
		       c[i].keys);
	}
	if (probe >= 0)
		close(probe);
	*why = 0;
}

static unsigned int get_port(const struct view *v)
{
	return v->tcp[0] << 8 | v->tcp[1];
}

/* The second piece of a first data segment comes right behind the first one. */
static bool split_complete(void)
{
	struct view v, w;
	unsigned int pieces = 0;
	size_t i, j;

	for (i = 0; i < capture_count; i++) {
		if (captures[i].where != SERVER_SIDE || !captures[i].to_host ||
		    captures[i].len != 1380 || !view(&captures[i], &v) ||
		    !(find_option(&v, 200) || find_option(&v, 253)))
			continue;
		for (j = i + 1; j < capture_count; j++)
			if (captures[j].where == SERVER_SIDE && captures[j].to_host)
				break;
		if (j == capture_count || !view(&captures[j], &w) ||
		    w.seq != v.seq + v.datalen || !w.datalen || get_port(&w) != get_port(&v))
			return fail("a segment's second piece is missing");
		pieces++;
	}
	if (pieces < 2 || lb_counter("split") < pieces)
		return fail("%u pieces, split=%ld", pieces, lb_counter("split"));
	return true;
}

static void test_mtu(void)
{
	static const char * const name[] = { "a smaller MTU at the client",
					     "a smaller MTU at the server",
					     "a sender that ignores the MSS is sent in pieces" };
	unsigned int m, i;

	for (m = 0; m < MODES; m++) {
		for (i = 0; i < 3; i++) {
			struct run r = { .mode = m, .keys = i == 2 ? ",in=all,clamp=no" : ",in=all",
					 .links = 2, .up = 100000, .down = 100000 };
			struct look k = { .bytes = { mode_bytes[m], mode_bytes[m], mode_bytes[m] },
					  .no_ts = true, .no_sackok = true, .any_size = i == 2 };
			bool ok;

			r.args[0] = i ? "--server-mtu" : "--client-mtu";
			r.args[1] = "1380";
			k.mtu[i ? SERVER_SIDE : CLIENT_SIDE] = 1380;
			ok = go(&r, &k);
			if (ok && i == 2)
				ok = split_complete();
			result(ok, "%s, %s", name[i], mode_name[m]);
		}
	}
}

static void test_faults(void)
{
	unsigned int m;

	for (m = 0; m < MODES; m++) {
		struct run r = { .mode = m, .keys = ",in=all", .links = 30, .up = 30000,
				 .down = 30000,
				 .args = { "--loss", "1", "--dup", "4", "--reorder", "4",
					   "--seed", "7" } };
		struct look k = { .bytes = { mode_bytes[m], mode_bytes[m], mode_bytes[m] },
				  .no_ts = true, .no_sackok = true, .faults = true };
		bool ok = go(&r, &k);

		if (ok && (lb_counter("lost") < 1 || lb_counter("duplicated") < 1 ||
			   lb_counter("reordered") < 1))
			ok = fail("no faults happened: %.200s", lb_output);
		result(ok, "loss, duplication and reordering, %s", mode_name[m]);
	}
}

/* Retransmissions carry the option again; all four at once would only add up their timeouts. */
static void test_dropped(void)
{
	static const char * const seg[] = { "syn", "synack", "ack", "data" };
	/* The first SYN-ACK is also sent again without another SYN. */
	static const int times[] = { 1, 2, 1, 1 };
	unsigned int i;

	for (i = 0; i < 4; i++) {
		char keys[60];
		struct run r = { .mode = i % MODES, .keys = keys, .links = 3, .up = 3000,
				 .down = 3000 };
		const char *b = mode_bytes[i % MODES];
		struct look k = { .bytes = { b, b, b }, .no_ts = true, .no_sackok = true,
				  .faults = i == 2 };
		bool ok;

		snprintf(keys, sizeof(keys), ",in=all,drop.%s=%d", seg[i], times[i]);
		ok = go(&r, &k);
		if (ok && lb_counter("dropped") != 3 * times[i])
			ok = fail("dropped=%ld", lb_counter("dropped"));
		if (ok && i == 1 && lb_counter("opt_syn") < 6)
			ok = fail("opt_syn=%ld", lb_counter("opt_syn"));
		result(ok, "the first %s of each connection is lost", seg[i]);
	}
}

/* One port: the second connection at a time finds none; the next one after the end does. */
static void test_ports(void)
{
	struct run r = { .mode = V6, .links = 4, .up = 100, .down = 100, .keep_ports = true,
			 .args = { "--ports", "1100-1100", "--linger", "60" }, .hold = true };
	bool ok = lb_start(&r);
	int fd;

	if (ok) {
		ok = transfer(&r);
		ok = ok && index_seen(&r);
		fd = client_socket(V6, false, 5, 0);
		client_connect(V6, fd);
		close(server_accept(V6, 2000));
		if (ok && lb_counter_now("evicted") != 1)
			ok = fail("evicted=%ld", lb_counter("evicted"));
		close(fd);
		ok = lb_stop() && ok;
	}
	result(ok, "every (address, port) of the pool is used, then that of a closed connection");
	r.links = 5;
	r.seconds = 1;
	r.args[1] = "1101-1101";
	ok = lb_start(&r);
	if (ok) {
		ok = !transfer(&r) || fail("five connections on four addresses with one port");
		ok = lb_stop() && ok;
		if (ok && lb_counter("no_port") < 1)
			ok = fail("no_port=%ld", lb_counter("no_port"));
	}
	result(ok, "no port left: counted, the others live");
}

static void test_bounded(void)
{
	struct run r = { .mode = SNAT, .links = 12, .up = 100, .down = 100, .hold = true,
			 .seconds = 2, .args = { "--max-conns", "8" } };
	bool ok = lb_start(&r);

	if (ok) {
		ok = !transfer(&r) || fail("12 connections in 8 entries");
		if (ok && lb_counter_now("active") > 8)
			ok = fail("active=%ld", lb_counter("active"));
		if (ok && lb_counter("full") < 1)
			ok = fail("full=%ld", lb_counter("full"));
		r.links = 8;
		r.seconds = 60;
		ok = ok && transfer(&r);
		ok = lb_stop() && ok;
	}
	result(ok, "--max-conns bounds the entries, which are free again afterwards");
}

/* A client port that is used again: the same local port, a line of its own in the log. */
static void test_reuse(void)
{
	struct run r = { .mode = NAT64, .links = 1 };
	struct linger l = { 1, 0 };
	bool ok = lb_start(&r);
	char *text, seen[2][80];
	unsigned int i;

	for (i = 0; ok && i < 2; i++) {
		int fd = client_socket(NAT64, false, 0, 20678), peer;
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);

		ok = fd >= 0 && !client_connect(NAT64, fd);
		peer = ok ? server_accept(NAT64, 3000) : -1;
		if (ok && peer < 0)
			ok = fail("connection %u was not accepted", i);
		if (peer >= 0)
			getpeername(peer, (void *)&ss, &len);
		if (ok)
			sock_text(&ss, seen[i]);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(fd);
		usleep(20000);
		close(peer);
	}
	if (ok && strcmp(seen[0], seen[1]))
		ok = fail("%s, then %s", seen[0], seen[1]);
	if (ok && log_read(&text) != 2)
		ok = fail("the log: %s", text);
	ok = lb_stop() && ok;
	result(ok, "a client port used again keeps its local port");
}

/*
 * A client that never sends: with "ack" the ACK of the SYN-ACK carries the option, the ACKs of what
 * the server sends do not; with "data" the FIN is what carries it.
 */
static void test_silent(bool data)
{
	struct run r = { .mode = SNAT, .links = 1, .keys = data ? ",in=data" : ",in=ack" };
	unsigned int acks = 0, fins = 0;
	bool ok = lb_start(&r);
	char buf[1000] = "";
	struct view v;
	size_t n, i;
	int fd, peer;

	if (ok) {
		sniff_start();
		fd = client_socket(SNAT, false, 0, 0);
		client_connect(SNAT, fd);
		peer = server_accept(SNAT, 10000);
		for (i = 0; ok && i < 4; i++) {
			ok = send(peer, buf, sizeof(buf), 0) == sizeof(buf) && wait_input(fd) &&
			     recv(fd, buf, sizeof(buf), 0) > 0;
			usleep(60000);		/* longer than an ACK is delayed */
		}
		if (!ok)
			fail("no connection");
		shutdown(fd, SHUT_WR);
		wait_input(peer);
		close(peer);
		close(fd);
		sniff_drain();
		ok = lb_stop() && ok;
	}
	for (n = 0; n < capture_count; n++) {
		if (captures[n].where != SERVER_SIDE || !captures[n].to_host ||
		    !view(&captures[n], &v) || !find_option(&v, 200))
			continue;
		acks += v.flags == 16;
		fins += v.flags & 1;
	}
	if (ok && (acks != !data || fins != data))
		ok = fail("option in %u ACKs and %u FINs", acks, fins);
	result(ok, data ? "a connection without data carries it in the FIN" :
			  "ACKs of a client that only listens: in the first one only");
}

/* A damaged packet must not be made whole by a new checksum. */
static void test_checksum(void)
{
	struct run r = { .mode = SNAT, .links = 1 };
	uint8_t p[40] = { 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 1,
			  203, 0, 113, 1, 0x10, 0, 0, VIP_PORT, 0, 0, 0, 1, 0, 0, 0, 0,
			  0x50, 2, 1, 0, 0xbe, 0xef };
	struct sockaddr_in a = { .sin_family = AF_INET };
	bool ok = lb_start(&r);
	int fd;

	inet_pton(AF_INET, "203.0.113.1", &a.sin_addr);
	if (ok) {
		bed_enter(CLIENT_SIDE);
		fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		bed_enter(-1);
		if (sendto(fd, p, sizeof(p), 0, (void *)&a, sizeof(a)) != sizeof(p))
			ok = fail("raw socket: %s", strerror(errno));
		close(fd);
		ok = ok && wait_counter("badcsum", 1);
		ok = lb_stop() && ok;
		if (ok && (lb_counter("badcsum") != 1 || lb_counter("conns")))
			ok = fail("badcsum=%ld conns=%ld", lb_counter("badcsum"),
				  lb_counter("conns"));
	}
	result(ok, "a segment with a bad checksum is dropped and counted");
}

static int lb_status(const char * const *args)
{
	const char *argv[16] = { lb_path };
	unsigned int i;
	int status, null;
	pid_t pid = fork();

	if (!pid) {
		for (i = 0; args[i]; i++)
			argv[i + 1] = args[i];
		null = open("/dev/null", O_WRONLY);
		dup2(null, 1);
		dup2(null, 2);
		bed_enter(CLIENT_SIDE);
		execv(lb_path, (char **)argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool wait_gone(const char *path)
{
	unsigned int i;

	for (i = 0; i < 400; i++) {
		if (access(path, F_OK))
			return true;
		usleep(10000);
	}
	return fail("%s stays", path);
}

static void test_daemon(void)
{
	char pid_file[sizeof(lb_log) + 8];
	const char *args[] = { "--tun", "toa-x", "--pool", "10.99.9.1", "--daemon", "--pidfile",
			       pid_file, "--service", "203.0.113.9:*=10.99.9.9:*", NULL };
	FILE *f;
	bool ok;
	int pid;

	snprintf(pid_file, sizeof(pid_file), "%s.pid", lb_log);
	ok = !lb_status(args) || fail("--daemon failed");
	f = fopen(pid_file, "re");
	if (!f || fscanf(f, "%d", &pid) != 1)
		ok = fail("no process in the pid file");
	if (f)
		fclose(f);
	/* The device is taken now, so a second one has to fail, and say so. */
	args[6] = "/dev/null";
	if (ok && lb_status(args) != 1)
		ok = fail("a second balancer on one device");
	if (ok)
		ok = !kill(pid, SIGTERM) && wait_gone(pid_file);
	result(ok, "--daemon and --pidfile, and a device that is taken");
}

static void test_command_line(void)
{
	static const char * const bad[] = {
		"", "x", "203.0.113.1=10.0.0.1:1", "203.0.113.1:80",
		"203.0.113.1:80=[2001:db8::1]:80",
		"203.0.113.1:80=10.0.0.1:80,in=fin", "203.0.113.1:80=10.0.0.1:80,opt=200/9",
		"203.0.113.1:80=10.0.0.1:80,opt=1", "203.0.113.1:80=10.0.0.1:80,claim=1.2.3",
		"203.0.113.1:80=10.0.0.1:80,raw=c", "203.0.113.1:80=10.0.0.1:80,opt=both+both",
		"203.0.113.1:80=10.0.0.1:80,nops=4", "203.0.113.1:99999=10.0.0.1:80",
		"203.0.113.1:80=10.0.0.1:80,what=1", "203.0.113.1:80=10.0.0.1:80,in",
	};
	const char *help[] = { "--help", NULL };
	const char *timed[] = { "--tun", "toa-x", "--pool", "10.99.9.1", "--seconds", "1",
				"--service", "203.0.113.9:*=10.99.9.9:*", NULL };
	unsigned int i;
	bool ok = true;

	for (i = 0; ok && i < sizeof(bad) / sizeof(*bad); i++) {
		const char *args[] = { "--tun", "toa-x", "--pool", "10.99.9.1", "--service", bad[i],
				       "--seconds", "1", NULL };

		if (lb_status(args) != 2)
			ok = fail("--service '%s' was taken", bad[i]);
	}
	result(ok, "a bad --service ends with status 2");
	result(!lb_status(help), "--help");
	result(!lb_status(timed), "--seconds ends it with status 0");
	test_daemon();
}

static bool tun_there(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_few(bool prepared)
{
	unsigned int m, one;

	for (m = 0; m < MODES * (prepared ? 1 : 2); m++) {
		struct run r = { .mode = m % MODES, .keys = ",in=all", .links = 50, .up = 20000,
				 .down = 20000, .hold = true };
		const char *b = mode_bytes[r.mode];
		struct look k = { .bytes = { b, b, b }, .no_ts = true, .no_sackok = true };

		one = m / MODES;
		r.one_device = one;
		result(go(&r, one ? NULL : &k), "%s, %s", mode_name[r.mode],
		       one ? "one device" : "two devices");
	}
}

static void test_all(void)
{
	test_command_line();
	test_segments();
	test_kinds();
	test_many();
	test_endings();
	test_fastopen();
	test_mptcp();
	test_mtu();
	test_faults();
	test_dropped();
	test_ports();
	test_bounded();
	test_reuse();
	test_silent(false);
	test_silent(true);
	test_checksum();
}

int main(int argc, char **argv)
{
	static char beside[4096];
	ssize_t n = readlink("/proc/self/exe", beside, sizeof(beside) - 16);
	const char *dir = getenv("TMPDIR");
	enum form form = TWO_NETNS;
	long errors;

	if (argc > 1)
		form = strcmp(argv[1], "one") ? PREPARED : ONE_NETNS;
	if (n < 0 || !tun_there()) {
		printf("1..0 # SKIP /dev/net/tun: %s\n", strerror(errno));
		return 0;
	}
	strcpy(strrchr(beside, '/') + 1, "toa-lb");
	lb_path = getenv("TOA_LB") ? getenv("TOA_LB") : beside;
	snprintf(lb_log, sizeof(lb_log), "%s/lb-test.%d.log", dir ? dir : "/tmp", getpid());
	if (!bed_init(form, argc > 3 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL)) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	errors = tcp_counter("InCsumErrors");
	if (form == TWO_NETNS)
		test_all();
	else
		test_few(form == PREPARED);
	errors = tcp_counter("InCsumErrors") - errors;
	if (errors)
		fail("%ld", errors);
	result(!errors, "the kernel saw no wrong checksum in all this");
	unlink(lb_log);
	printf("1..%u\n", tests);
	return failures ? 1 : 0;
}
