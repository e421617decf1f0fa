// SPDX-License-Identifier: GPL-2.0
/* The option is where it should be, whatever a connection is like. */
#define _GNU_SOURCE
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb-test.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { MIB = 1 << 20 };

void test_segments(void)
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

void test_kinds(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct run r = { .mode = kinds[i].mode, .keys = kinds[i].keys, .links = 2,
				 .up = 20000, .down = 20000 };

		result(go(&r, &kinds[i].look), "%s", kinds[i].name);
	}
}

void test_many(void)
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
void test_fastopen(void)
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

void test_mptcp(void)
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

void test_mtu(void)
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

void test_faults(void)
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
void test_dropped(void)
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
