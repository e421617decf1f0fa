// SPDX-License-Identifier: GPL-2.0
/* The answers of getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER), cell by cell. */
#include "client.h"
#include "mod.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FASTOPEN_SYSCTL "/proc/sys/net/ipv4/tcp_fastopen"

/* The error's name, or "ok". */
static const char *ask(int fd, void *buf, socklen_t *len)
{
	return getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, buf, len) ? error_name(errno) : "ok";
}

static const char *ask_len(int fd, int len)
{
	struct toa_peer_info info;
	socklen_t l = len;

	return ask(fd, &info, &l);
}

static bool get(int fd, struct toa_peer_info *info)
{
	socklen_t len = sizeof(*info);

	memset(info, 0xa5, sizeof(*info));
	if (strcmp(ask(fd, info, &len), "ok"))
		return false;
	check_num(len, sizeof(*info));
	check_num(info->size, sizeof(*info));
	return true;
}

static const char *text(const union toa_peer_addr *addr)
{
	struct sockaddr_storage ss = { 0 };

	memcpy(&ss, addr, sizeof(*addr));
	return addr_text(&ss);
}

static bool v6_socket(enum kind kind)
{
	return kind != INET;
}

/* Whose address the answer is, as the contract has it. */
static const char *client(enum kind kind, int carried, const char *balancer)
{
	if (carried == HAS_NONE)
		return balancer;
	if (carried == HAS_V6 || (carried == HAS_BOTH && v6_socket(kind)))
		return V6_TEXT;
	return v6_socket(kind) ? mapped(V4_TEXT) : V4_TEXT;
}

static int kind_of(enum kind kind, int carried)
{
	if (carried == HAS_NONE)
		return 0;
	return carried == HAS_V6 || (carried == HAS_BOTH && v6_socket(kind)) ? 253 : 200;
}

static void check_peer(const struct server *s, const struct conn *c, int fd, int carried,
		       int segment, int line)
{
	const char *balancer = server_sees(s, c);
	struct toa_peer_info info;

	if (!get(fd, &info)) {
		test_fail(__FILE__, line, "getsockopt: %s", error_name(errno));
		return;
	}
	test_str(__FILE__, line, "client", text(&info.client), client(s->kind, carried, balancer));
	test_str(__FILE__, line, "balancer", text(&info.balancer), balancer);
	test_num(__FILE__, line, "kind", info.kind, kind_of(s->kind, carried));
	test_num(__FILE__, line, "segment", info.segment, segment);
	/* What getpeername changes is what is answered; only AF_INET cannot have IPv6. */
	if (s->kind != INET || carried != HAS_V6)
		test_str(__FILE__, line, "getpeername", peer_of(fd), text(&info.client));
}

struct cell {
	enum kind kind;
	int carried;
};

static void cell(const void *arg)
{
	const struct cell *t = arg;
	struct toa_peer_info info;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, carrying(t->carried));
	require(stats_get(&before));
	check(get(fd, &info));
	check_moved(&before, t->carried ? "getname_toa_ok" : "getname_toa_empty", 1);
	check_peer(&s, &c, fd, t->carried, t->carried ? TOA_SEGMENT_ACK : TOA_SEGMENT_NONE,
		   __LINE__);
	check(data_flows(&c, fd));
}

/*
 * Segments
 */

static void in_syn(const void *arg)
{
	const struct cell *t = arg;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, carrying(t->carried), NULL);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_SYN, __LINE__);
	/* The later one counts. */
	fd = server_connect(&s, &c, carrying(t->carried), carrying(t->carried));
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_ACK, __LINE__);
}

static void in_data(const void *arg)
{
	const struct cell *t = arg;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	server_syn(&s, &c, NULL);
	conn_data(&c, carrying(t->carried), "first");
	fd = server_accepted(&s);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_DATA, __LINE__);
	check(data_reads(fd, "first"));
}

/* One of each kind: the later segment's counts, with both=1 too. */
static void in_two(const void *arg)
{
	const struct cell *t = arg;
	struct server s;
	struct conn c;
	int fd, both;

	for (both = 0; both <= 1; both++) {
		toa_set_both(both);
		server_open(&s, t->kind, 5);
		fd = server_connect(&s, &c, v4_opt(V4, 4321), v6_opt(V6, 8765));
		check_peer(&s, &c, fd, HAS_V6, TOA_SEGMENT_ACK, __LINE__);
		fd = server_connect(&s, &c, v6_opt(V6, 8765), v4_opt(V4, 4321));
		check_peer(&s, &c, fd, HAS_V4, TOA_SEGMENT_ACK, __LINE__);
	}
}

/* Fast Open: the SYN makes the connection, and has data. */
static void fastopen(const void *arg)
{
	const struct cell *t = arg;
	int queue = 16, fd, err;
	struct server s;
	struct conn c;

	server_open(&s, t->kind, 5);
	err = setsockopt(s.fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)) ? errno : 0;
	if (err)
		test_skip("this kernel has no Fast Open (%s)", error_name(err));
	server_conn(&s, &c);
	/* Without cookies. */
	write_file(FASTOPEN_SYSCTL, "0x203");
	conn_send(&c, F_SYN, c.isn, 0, carrying(t->carried), "first", 5);
	c.snd_nxt = c.isn + 6;
	fd = server_accept(&s, NULL);
	write_file(FASTOPEN_SYSCTL, "1");
	need_fast_open(&s, fd);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_SYN, __LINE__);
	check(data_reads(fd, "first"));
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_SYN, __LINE__);
}

/* The ACK that says it makes no connection: the data behind it does. */
static void deferred(const void *arg)
{
	const struct cell *t = arg;
	struct server s;
	struct conn c;
	int fd;

	deferred_ready(NULL);
	server_open_deferred(&s, t->kind);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(t->carried)));
	conn_data(&c, NULL, "first");
	fd = server_accepted(&s);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_ACK, __LINE__);
	check(data_reads(fd, "first"));
	/* The later one counts. */
	server_conn(&s, &c);
	require(conn_open(&c, carrying(t->carried), carrying(t->carried)));
	conn_data(&c, NULL, "first");
	fd = server_accepted(&s);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_ACK, __LINE__);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(t->carried)));
	conn_data(&c, carrying(t->carried), "first");
	fd = server_accepted(&s);
	check_peer(&s, &c, fd, t->carried, TOA_SEGMENT_DATA, __LINE__);
}

/*
 * The struct
 */

static void layout(const void *arg)
{
	(void)arg;
	check_num(sizeof(struct toa_peer_info), 60);
	check_num(__alignof__(struct toa_peer_info), 4);
	check_num(offsetof(struct toa_peer_info, size), 0);
	check_num(offsetof(struct toa_peer_info, kind), 2);
	check_num(offsetof(struct toa_peer_info, segment), 3);
	check_num(offsetof(struct toa_peer_info, client), 4);
	check_num(offsetof(struct toa_peer_info, balancer), 32);
	check_num(sizeof(union toa_peer_addr), 28);
}

static void set_addr(union toa_peer_addr *out, enum kind kind, const struct conn *c)
{
	memset(out, 0, sizeof(*out));
	if (kind == INET) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_port = htons(c->sport);
		memcpy(&out->v4.sin_addr, c->saddr, 4);
		return;
	}
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(c->sport);
	if (kind == MAPPED) {
		memset(out->v6.sin6_addr.s6_addr + 10, 0xff, 2);
		memcpy(out->v6.sin6_addr.s6_addr + 12, c->saddr, 4);
	} else {
		memcpy(&out->v6.sin6_addr, c->saddr, 16);
	}
}

/* Nothing of the kernel's stack: every byte is accounted for. */
static void check_bytes(enum kind kind, const struct conn *c, int fd, int carried)
{
	struct toa_peer_info info, want;
	unsigned int i;

	memset(&want, 0, sizeof(want));
	want.size = sizeof(want);
	want.kind = kind_of(kind, carried);
	want.segment = carried ? TOA_SEGMENT_ACK : TOA_SEGMENT_NONE;
	set_addr(&want.balancer, kind, c);
	want.client = want.balancer;
	if (want.kind == 253) {
		memset(&want.client, 0, sizeof(want.client));
		want.client.v6.sin6_family = AF_INET6;
		want.client.v6.sin6_port = htons(8765);
		inet_pton(AF_INET6, V6, &want.client.v6.sin6_addr);
	} else if (want.kind == 200 && kind == INET) {
		want.client.v4.sin_port = htons(4321);
		inet_pton(AF_INET, V4, &want.client.v4.sin_addr);
	} else if (want.kind == 200) {
		memset(&want.client, 0, sizeof(want.client));
		want.client.v6.sin6_family = AF_INET6;
		want.client.v6.sin6_port = htons(4321);
		inet_pton(AF_INET6, "::ffff:" V4, &want.client.v6.sin6_addr);
	}
	for (i = 0; i < 20; i++) {
		socklen_t len = sizeof(info);
		unsigned int at;

		memset(&info, i & 1 ? 0xff : 0x5a, sizeof(info));
		check_str(ask(fd, &info, &len), "ok");
		check_num(len, sizeof(info));
		for (at = 0; at < sizeof(info); at++)
			if (((uint8_t *)&info)[at] != ((uint8_t *)&want)[at])
				test_fail(__FILE__, __LINE__, "byte %u is %#x, not %#x", at,
					  ((uint8_t *)&info)[at], ((uint8_t *)&want)[at]);
	}
}

static void bytes(const void *arg)
{
	const struct cell *t = arg;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, carrying(t->carried));
	check_bytes(t->kind, &c, fd, t->carried);
}

/* A mapped socket that becomes AF_INET answers what AF_INET sockets answer. */
static void addrform(const void *arg)
{
	int carried = *(const int *)arg, family = AF_INET;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, MAPPED, 5);
	fd = server_connect(&s, &c, NULL, carrying(carried));
	check_bytes(MAPPED, &c, fd, carried);
	require(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof(family)) == 0);
	check_bytes(INET, &c, fd, carried);
	s.kind = INET;
	check_peer(&s, &c, fd, carried, carried ? TOA_SEGMENT_ACK : TOA_SEGMENT_NONE, __LINE__);
	check(data_flows(&c, fd));
}

static void length(const void *arg)
{
	int len = *(const int *)arg, size = len < 60 ? len : 60, fd, i;
	struct stats before;
	struct server s;
	struct conn c;
	uint8_t buf[256];
	socklen_t got = len;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V6));
	memset(buf, 0xa5, sizeof(buf));
	require(stats_get(&before));
	if (len < 60) {
		check_str(ask(fd, buf, &got), "EINVAL");
		size = 0;
		check_moved(&before);
	} else {
		check_str(ask(fd, buf, &got), "ok");
		check_num(got, size);
		check_moved(&before, "getname_toa_ok", 1);
	}
	for (i = size; i < (int)sizeof(buf); i++)
		check_num(buf[i], 0xa5);
}

/*
 * Whom it does not answer
 */

static void not_tcp(const void *arg)
{
	struct stats before;
	int udp, raw;

	(void)arg;
	udp = socket(AF_INET, SOCK_DGRAM, 0);
	raw = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	require(udp >= 0 && raw >= 0 && stats_get(&before));
	check_str(ask_len(udp, 60), "EOPNOTSUPP");
	check_str(ask_len(udp, 59), "EINVAL");
	check_str(ask_len(raw, 60), "EOPNOTSUPP");
	check_moved(&before);
}

static void not_connected(const void *arg)
{
	const struct cell *t = arg;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct stats before;
	struct server s;
	struct conn c;
	int fresh, gone, fd;

	server_open(&s, t->kind, 5);
	fresh = socket(t->kind == INET ? AF_INET : AF_INET6, SOCK_STREAM, 0);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	gone = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	conn_rst(&c);
	require(connect(fd, &none, sizeof(none)) == 0);
	require(stats_get(&before));
	check_str(ask_len(fresh, 60), "ENOTCONN");
	check_str(ask_len(s.fd, 60), "ENOTCONN");
	check_str(ask_len(gone, 60), "ENOTCONN");
	check_str(ask_len(fd, 60), "ENOTCONN");
	check_moved(&before);
}

static void bad_pointers(const void *arg)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	struct stats before;
	struct server s;
	struct conn c;
	socklen_t len = 60;
	int fd;

	(void)arg;
	require(map != MAP_FAILED && mprotect(map + page, page, PROT_NONE) == 0);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	require(stats_get(&before));
	check_str(ask(fd, map + page, &len), "EFAULT");
	check_str(ask(fd, map + page - 59, &len), "EFAULT");
	check_str(ask(fd, map, (socklen_t *)8), "EFAULT");
	check_num(len, 60);
	check_moved(&before);
	check_str(ask(fd, map + page - 60, &len), "ok");
	munmap(map, 2 * page);
}

/* A connection that this host made: the other end is who it says. */
static void outgoing(const void *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(80) };
	struct toa_peer_info info;
	struct conn c;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(sin);
	struct sockaddr_in local;

	(void)arg;
	inet_pton(AF_INET, BALANCER_V4, &sin.sin_addr);
	require(fd >= 0);
	require(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) && errno == EINPROGRESS);
	check_str(ask_len(fd, 60), "ENOTCONN");
	require(getsockname(fd, (struct sockaddr *)&local, &len) == 0);
	conn_init(&c, false, ntohs(local.sin_port));
	c.sport = 80;
	require(conn_answer(&c, carrying(HAS_BOTH)));
	check(get(fd, &info));
	check_str(text(&info.client), BALANCER_V4 ":80");
	check_str(text(&info.balancer), BALANCER_V4 ":80");
	check_num(info.kind, 0);
	check_num(info.segment, TOA_SEGMENT_NONE);
}

/* The device is a part of a link-local address. */
static void link_local(const void *arg)
{
	struct sockaddr_in6 shown;
	socklen_t len = sizeof(shown);
	struct toa_peer_info info;
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	server_open(&s, INET6, 5);
	server_conn(&s, &c);
	conn_syn_link_local(&c);
	conn_ack(&c, carrying(HAS_V6));
	fd = server_accepted(&s);
	check(get(fd, &info));
	check_str(text(&info.client), V6_TEXT);
	check_num(info.client.v6.sin6_scope_id, 0);
	check(info.balancer.v6.sin6_scope_id);

	/* What getpeername says where there is no option. */
	server_conn(&s, &c);
	inet_pton(AF_INET6, BALANCER_LINK_LOCAL, c.saddr);
	require(conn_open(&c, NULL, NULL));
	fd = server_accepted(&s);
	check(get(fd, &info));
	require(getpeername(fd, (struct sockaddr *)&shown, &len) == 0);
	check(!memcmp(&shown, &info.balancer.v6, sizeof(shown)));
	check(!memcmp(&shown, &info.client.v6, sizeof(shown)));
}

int main(int argc, char **argv)
{
	static const int lengths[] = { 60, 61, 256, 59, 20, 0, -1 };
	static struct cell cells[KINDS * 4];
	unsigned int i;

	for (i = 0; i < KINDS * 4; i++) {
		cells[i].kind = i / 4;
		cells[i].carried = i % 4;
		test_add(cell, &cells[i], "%s %s", kind_name[i / 4], carried_name[i % 4]);
	}
	for (i = 0; i < KINDS * 4; i++) {
		if (!cells[i].carried)
			continue;
		test_add(in_syn, &cells[i], "in the SYN, %s %s", kind_name[i / 4],
			 carried_name[i % 4]);
		test_add(in_data, &cells[i], "in first data, %s %s", kind_name[i / 4],
			 carried_name[i % 4]);
		test_add(fastopen, &cells[i], "Fast Open, in the SYN, %s %s", kind_name[i / 4],
			 carried_name[i % 4]);
		test_add(deferred, &cells[i], "TCP_DEFER_ACCEPT, in the bare ACK, %s %s",
			 kind_name[i / 4], carried_name[i % 4]);
	}
	for (i = 0; i < KINDS; i++) {
		test_add(in_two, &cells[4 * i], "SYN and ACK, %s", kind_name[i]);
		test_add(not_connected, &cells[4 * i], "not connected ENOTCONN, %s", kind_name[i]);
	}
	test_add(layout, NULL, "layout of the struct");
	for (i = 0; i < KINDS * 4; i++)
		test_add(bytes, &cells[i], "every byte, %s %s", kind_name[i / 4],
			 carried_name[i % 4]);
	for (i = 0; i < 4; i++)
		test_add(addrform, &cells[i].carried, "IPV6_ADDRFORM, %s", carried_name[i]);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		test_add(length, &lengths[i], "len %d %s", lengths[i],
			 lengths[i] < 60 ? "EINVAL" : "answers");
	test_add(not_tcp, NULL, "not TCP EOPNOTSUPP");
	test_add(bad_pointers, NULL, "bad pointers EFAULT");
	test_add(outgoing, NULL, "a connection made by this host");
	test_add(link_local, NULL, "a link-local balancer");
	return toa_main("peer", "both=1", argc, argv);
}
