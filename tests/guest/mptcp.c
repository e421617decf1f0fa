// SPDX-License-Identifier: GPL-2.0
/*
 * MPTCP listeners, which Go's are: a plain client's connection is a TCP socket; a true MPTCP
 * connection's socket shows the client of its first subflow.
 */
#include "client.h"
#include "handover.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_alg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MPC "\x1e\x04\x01\x01"		/* MP_CAPABLE, version 1, HMAC-SHA256 */
#define KEY_OF_CLIENT "\x01\x02\x03\x04\x05\x06\x07\x08"
#define NONCE_OF_CLIENT "\x11\x12\x13\x14"

enum {
	OPT_MPTCP = 30, MPC_SYNACK_LEN = 12, MPC_ACK_LEN = 20, KEY_LEN = 8, NONCE_LEN = 4,
	MPJ_SYN_LEN = 12, MPJ_SYNACK_LEN = 16, MPJ_ACK_LEN = 24, MPJ_HMAC_LEN = 20,
	DSS_LEN = 8, SHA256_LEN = 32,
};

struct cell {
	enum kind kind;
	int carried;
	bool in_ack;
};

static void mptcp_open(struct server *s, enum kind kind)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	bool v4 = kind == INET;
	socklen_t len = sizeof(sin6);
	int only = kind == INET6;

	if (!v4)
		need_ipv6();
	s->kind = kind;
	s->fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
	if (s->fd < 0)
		test_skip("this kernel has no MPTCP (%s)", error_name(errno));
	if (v4) {
		require(bind(s->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	} else {
		require(setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
		require(bind(s->fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0);
	}
	require(listen(s->fd, 16) == 0);
	require(getsockname(s->fd, (struct sockaddr *)&sin6, &len) == 0);
	s->port = ntohs(sin6.sin6_port);
}

/* The kernels before 6.1 show the balancer. */
static bool serves_mptcp(void)
{
	return kernel_has("mptcp_sk_clone_init");
}

static struct opts *options(struct opts *o, int carried)
{
	if (carried & HAS_V4)
		opt_v4(o, V4, 4321);
	if (carried & HAS_V6)
		opt_v6(o, V6, 8765);
	return o;
}

/* MPTCP's option of that length in a SYN-ACK; NULL if there is none. */
static const uint8_t *mptcp_option(const struct seg *seg, size_t len)
{
	size_t i = 0;

	while (i + 1 < seg->opts.len && seg->opts.byte[i]) {
		if (seg->opts.byte[i] == 1) {
			i++;
			continue;
		}
		if (seg->opts.byte[i] == OPT_MPTCP && seg->opts.byte[i + 1] == len)
			return seg->opts.byte + i;
		if (seg->opts.byte[i + 1] < 2)
			break;
		i += seg->opts.byte[i + 1];
	}
	return NULL;
}

static uint8_t server_key[KEY_LEN];

/* A true MPTCP connection, with options in the SYN and in the final ACK. Sets server_key. */
static void mptcp_connect(const struct server *s, struct conn *c, int in_syn, int in_ack)
{
	struct opts syn = { .len = 0 }, ack = { .len = 0 };
	const uint8_t *answer;
	struct seg seg;

	opt_raw(&syn, MPC, 4);
	server_conn(s, c);
	conn_syn(c, options(&syn, in_syn));
	require(conn_synack(c, &seg));
	answer = mptcp_option(&seg, MPC_SYNACK_LEN);
	if (!answer)
		test_skip("this kernel's listener does not speak MPTCP: net.mptcp.enabled?");
	memcpy(server_key, answer + 4, KEY_LEN);
	opt_byte(&ack, 4, OPT_MPTCP, MPC_ACK_LEN, 1, 1);
	opt_raw(&ack, KEY_OF_CLIENT, KEY_LEN);
	opt_raw(&ack, server_key, KEY_LEN);
	conn_ack(c, options(&ack, in_ack));
}

static bool is_mptcp(int fd)
{
	socklen_t len = sizeof(char[256]);
	char info[256];

	return getsockopt(fd, SOL_MPTCP, MPTCP_INFO, info, &len) == 0;
}

static const char *expected(const struct server *s, const struct conn *c, int carried)
{
	if (carried & HAS_V6 && s->kind != INET)
		return V6_TEXT;
	if (carried & HAS_V4)
		return s->kind == INET ? V4_TEXT : mapped(V4_TEXT);
	return server_sees(s, c);
}

static void cell(const void *arg)
{
	const struct cell *t = arg;
	const char *addr = "nothing to accept";
	struct table_line l[8];
	struct server s;
	struct conn c;
	int fd, lines;

	mptcp_open(&s, t->kind);
	if (!serves_mptcp())
		test_skip("kernels before 6.1 show the balancer");
	mptcp_connect(&s, &c, t->in_ack ? HAS_NONE : t->carried, t->in_ack ? t->carried : HAS_NONE);
	fd = server_accept(&s, &addr);
	require(fd >= 0);
	check(is_mptcp(fd));
	check_str(addr, expected(&s, &c, t->carried));
	check_str(peer_of(fd), expected(&s, &c, t->carried));
	check_str(peername_of(fd), expected(&s, &c, t->carried));
	/* The kernel answers before the module is asked. */
	check_str(nat64_of(fd), "EOPNOTSUPP");
	/* Of the subflow and of the socket. */
	lines = t->carried == HAS_BOTH ? 4 : t->carried ? 2 : 0;
	check_num(table_of(&c, l, 8), lines);
	reset(fd);
	check(table_empties());
	check(stats_balanced());
}

/* Over an upgrade of the module. */
static void handed_over(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct server s;
	struct conn c;
	int fd;

	handover_needed();
	mptcp_open(&s, kind);
	if (!serves_mptcp())
		test_skip("kernels before 6.1 show the balancer");
	mptcp_connect(&s, &c, HAS_NONE, HAS_V4);
	fd = server_accepted(&s);
	check(is_mptcp(fd));
	handover_upgrade("");
	/* The subflow's, too. */
	check_num(handover_left(), 2);
	check_str(peer_of(fd), expected(&s, &c, HAS_V4));
	check_str(peername_of(fd), expected(&s, &c, HAS_V4));
	reset(fd);
	check_num(handover_left_at_last(0), 0);
}

/* Whose word counts: the balancer wrote what is expected, its client the other. */
struct word {
	const char *name;
	const char *segments;
	int syn, ack, want;
};

static const struct word words[] = {
	{ "forged 253 in the SYN, 200 in the ACK", "syn,ack,data", HAS_V6, HAS_V4, HAS_V4 },
	{ "forged 200 in the SYN, 253 in the ACK", "syn,ack,data", HAS_V4, HAS_V6, HAS_V6 },
	{ "segments=ack,data: forged 253 in the SYN", "ack,data", HAS_V6, HAS_NONE, HAS_NONE },
	{ "segments=syn: forged 200 in the ACK", "syn", HAS_V6, HAS_V4, HAS_V6 },
};

enum { WORDS = sizeof(words) / sizeof(words[0]) };

struct word_cell {
	const struct word *word;
	enum kind kind;
};

static void word(const void *arg)
{
	const struct word_cell *t = arg;
	const char *addr = "nothing to accept";
	struct server s;
	struct conn c;
	int fd;

	mptcp_open(&s, t->kind);
	if (!serves_mptcp())
		test_skip("kernels before 6.1 show the balancer");
	toa_set_both(false);
	param_set("segments", t->word->segments);
	mptcp_connect(&s, &c, t->word->syn, t->word->ack);
	fd = server_accept(&s, &addr);
	toa_set_both(true);
	param_set("segments", "syn,ack,data");
	require(fd >= 0);
	check(is_mptcp(fd));
	check_str(addr, expected(&s, &c, t->word->want));
	check_str(peer_of(fd), expected(&s, &c, t->word->want));
}

/* A client that speaks plain TCP: the kernel falls back to it. */
static void plain(const void *arg)
{
	const struct cell *t = arg;
	const char *addr = "nothing to accept";
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	int fd;

	mptcp_open(&s, t->kind);
	options(&o, t->carried);
	server_conn(&s, &c);
	require(conn_open(&c, t->in_ack ? NULL : &o, t->in_ack ? &o : NULL));
	fd = server_accept(&s, &addr);
	require(fd >= 0);
	check(!is_mptcp(fd));
	check_str(addr, expected(&s, &c, t->carried));
	check_has(&s, &c, fd, t->carried & HAS_V4 ? V4_TEXT : NULL,
		  t->carried & HAS_V6 ? V6_TEXT : NULL);
	check(data_flows(&c, fd));
}

/* The SYN asks for MPTCP, the ACK does not: it falls back later. */
static void falls_back(const void *arg)
{
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	int fd;

	mptcp_open(&s, *(const enum kind *)arg);
	opt_raw(&o, MPC, 4);
	server_syn(&s, &c, options(&o, HAS_BOTH));
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_str(peer_of(fd), expected(&s, &c, HAS_BOTH));
}

/* Many, one after another: an entry under a socket's address is never another one's. */
static void again(const void *arg)
{
	struct server s;
	int i;

	mptcp_open(&s, *(const enum kind *)arg);
	if (!serves_mptcp())
		test_skip("kernels before 6.1 show the balancer");
	for (i = 0; i < 60; i++) {
		struct conn c;
		int fd, carried = i % CARRIED;
		bool in_ack = i & 4 && carried != HAS_BOTH;

		mptcp_connect(&s, &c, in_ack ? HAS_NONE : carried, in_ack ? carried : HAS_NONE);
		fd = server_accepted(&s);
		check_str(peer_of(fd), expected(&s, &c, carried));
		if (i % 3)
			reset(fd);
		else
			conn_rst(&c);
	}
}

/* connect(AF_UNSPEC) ends the connection, not the socket. */
static void disconnects(const void *arg)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct server s;
	struct conn c;
	int fd;

	mptcp_open(&s, *(const enum kind *)arg);
	if (!serves_mptcp())
		test_skip("kernels before 6.1 show the balancer");
	mptcp_connect(&s, &c, HAS_BOTH, HAS_NONE);
	fd = server_accepted(&s);
	check_str(peer_of(fd), expected(&s, &c, HAS_BOTH));
	if (connect(fd, &none, sizeof(none)))
		test_skip("this kernel's MPTCP sockets do not disconnect (%s)", error_name(errno));
	check(strcmp(peer_of(fd), expected(&s, &c, HAS_BOTH)));
	check(table_empties());
	check(stats_balanced());
}

/* SHA-256 of @data, or with a @key, its HMAC, by the kernel's own cryptography. */
static void sha256(const void *key, size_t key_len, const void *data, size_t len,
		   uint8_t out[SHA256_LEN])
{
	struct sockaddr_alg sa = { .salg_family = AF_ALG, .salg_type = "hash" };
	int alg = socket(AF_ALG, SOCK_SEQPACKET, 0), fd;

	strcpy((char *)sa.salg_name, key ? "hmac(sha256)" : "sha256");
	if (alg < 0 || bind(alg, (struct sockaddr *)&sa, sizeof(sa)))
		test_skip("this kernel computes no SHA-256 for programs (%s)", error_name(errno));
	if (key)
		require(setsockopt(alg, SOL_ALG, ALG_SET_KEY, key, key_len) == 0);
	fd = accept(alg, NULL, NULL);
	require(fd >= 0);
	require(write(fd, data, len) == (ssize_t)len);
	require(read(fd, out, SHA256_LEN) == SHA256_LEN);
	close(fd);
	close(alg);
}

/* Before others may join it, the peer of the connection must have acknowledged data. */
static void establish(struct conn *c)
{
	uint8_t hash[SHA256_LEN], dss[DSS_LEN] = { OPT_MPTCP, DSS_LEN, 0x20, 1 };
	struct opts o = { .len = 0 };
	uint32_t first;

	sha256(NULL, 0, server_key, KEY_LEN, hash);
	/* The first byte that the server will send has the number behind the one of its key. */
	memcpy(&first, hash + SHA256_LEN - 4, 4);
	first = htonl(ntohl(first) + 1);
	memcpy(dss + 4, &first, 4);
	conn_ack(c, opt_raw(&o, dss, DSS_LEN));
}

/* A further subflow of the connection with server_key, with option 200 in its SYN or its ACK. */
static void join(const struct server *s, struct conn *c, const char *v4, bool in_ack)
{
	uint8_t hash[SHA256_LEN], keys[2 * KEY_LEN], nonces[2 * NONCE_LEN];
	struct opts syn = { .len = 0 }, ack = { .len = 0 };
	const uint8_t *answer;
	struct seg seg;

	sha256(NULL, 0, server_key, KEY_LEN, hash);
	opt_byte(&syn, 4, OPT_MPTCP, MPJ_SYN_LEN, 0x10, 1);
	opt_raw(&syn, hash, 4);			/* the token */
	opt_raw(&syn, NONCE_OF_CLIENT, NONCE_LEN);
	server_conn(s, c);
	conn_syn(c, in_ack ? &syn : opt_v4(&syn, v4, 99));
	require(conn_synack(c, &seg));
	answer = mptcp_option(&seg, MPJ_SYNACK_LEN);
	require(answer);
	memcpy(keys, KEY_OF_CLIENT, KEY_LEN);
	memcpy(keys + KEY_LEN, server_key, KEY_LEN);
	memcpy(nonces, NONCE_OF_CLIENT, NONCE_LEN);
	memcpy(nonces + NONCE_LEN, answer + MPJ_SYNACK_LEN - NONCE_LEN, NONCE_LEN);
	sha256(keys, sizeof(keys), nonces, sizeof(nonces), hash);
	opt_byte(&ack, 4, OPT_MPTCP, MPJ_ACK_LEN, 0x10, 0);
	opt_raw(&ack, hash, MPJ_HMAC_LEN);
	conn_ack(c, in_ack ? opt_v4(&ack, v4, 99) : &ack);
}

/* The socket is the first subflow's, whoever joins, and also when that one has gone. */
static void joined(const void *arg)
{
	const struct cell *t = arg;
	struct server s;
	struct conn first, second;
	struct table_line l[8];
	const char *want;
	int fd, i;

	mptcp_open(&s, t->kind);
	if (!serves_mptcp())
		test_skip("kernels before 6.1 show the balancer");
	mptcp_connect(&s, &first, t->carried, HAS_NONE);
	fd = server_accepted(&s);
	establish(&first);
	join(&s, &second, "203.0.113.5", t->in_ack);
	for (i = 0; i < 500 && table_of(&second, l, 8) != 1; i++)
		usleep(10000);
	check_num(table_of(&second, l, 8), 1);
	check_str(l[0].client, "203.0.113.5:99");
	want = expected(&s, &first, t->carried);
	check_str(peer_of(fd), want);
	check_str(peername_of(fd), want);
	conn_rst(&first);
	check_str(peer_of(fd), want);
	conn_rst(&second);
	reset(fd);
	check(table_empties());
	check(stats_balanced());
}

int main(int argc, char **argv)
{
	static struct cell cells[KINDS * CARRIED * 2];
	static struct word_cell said[KINDS * WORDS];
	int i;

	for (i = 0; i < KINDS * CARRIED * 2; i++) {
		cells[i].kind = i / 2 / CARRIED;
		cells[i].carried = i / 2 % CARRIED;
		cells[i].in_ack = i % 2;
	}
	for (i = 0; i < KINDS * CARRIED * 2; i++)
		/* There is no room for both in the ACK. */
		if (cells[i].carried != HAS_BOTH || !cells[i].in_ack)
			test_add(cell, &cells[i], "true MPTCP, %s in the %s, %s",
				 carried_name[cells[i].carried], cells[i].in_ack ? "ACK" : "SYN",
				 kind_name[cells[i].kind]);
	for (i = 0; i < KINDS * WORDS; i++) {
		said[i].word = &words[i / KINDS];
		said[i].kind = i % KINDS;
		test_add(word, &said[i], "true MPTCP, %s, %s", said[i].word->name,
			 kind_name[said[i].kind]);
	}
	for (i = 0; i < KINDS * CARRIED * 2; i++)
		test_add(plain, &cells[i], "plain client, %s in the %s, %s",
			 carried_name[cells[i].carried], cells[i].in_ack ? "ACK" : "SYN",
			 kind_name[cells[i].kind]);
	test_add_kinds(falls_back, "falls back at the ACK");
	test_add_kinds(again, "again and again");
	for (i = 0; i < KINDS * CARRIED * 2; i++)
		test_add(joined, &cells[i], "joined, option 200 in the %s, to %s, %s",
			 cells[i].in_ack ? "ACK" : "SYN", carried_name[cells[i].carried],
			 kind_name[cells[i].kind]);
	test_add_kinds(disconnects, "connect(AF_UNSPEC)");
	test_add_kinds(handed_over, "handed over");
	return toa_main("mptcp", "both=1", argc, argv);
}
