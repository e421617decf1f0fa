// SPDX-License-Identifier: GPL-2.0
/* The table of getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP), cell by cell. */
#include "client.h"
#include "mod.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const struct opts *with_v4(void)
{
	return v4_opt(V4, 4321);
}

static const struct opts *with_v6(void)
{
	return v6_opt(V6, 8765);
}

static const struct opts *with_both(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, V4, 4321), V6, 8765);
}

static const struct opts *with_none(void)
{
	return NULL;
}

/* The error's name, or "ok". */
static const char *ask(int fd, int level, int number, void *buf, socklen_t *len)
{
	return getsockopt(fd, level, number, buf, len) ? error_name(errno) : "ok";
}

static const char *ask_len(int fd, int len)
{
	struct toa_nat64_peer peer;
	socklen_t l = len;

	return ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &peer, &l);
}

/*
 * What the connection carried
 */

struct carried {
	enum kind kind;
	const char *name;
	const struct opts *(*opts)(void);
	const char *want;
	const char *counter;
};

static void carried(const void *arg)
{
	const struct carried *t = arg;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, t->opts());
	require(stats_get(&before));
	check_str(nat64_of(fd), t->want);
	check_moved(&before, t->counter, 1);
	check(data_flows(&c, fd));
}

static void add_carried(void)
{
	static struct carried all[KINDS * 4];
	static const struct carried cells[4] = {
		{ 0, "none ENOENT", with_none, "ENOENT", "getname_toa_empty" },
		{ 0, "option 200 EAFNOSUPPORT", with_v4, "EAFNOSUPPORT", "getname_toa_mismatch" },
		{ 0, "option 253 answers", with_v6, V6_TEXT, "getname_toa_ok" },
		{ 0, "both answers 253", with_both, V6_TEXT, "getname_toa_ok" },
	};
	int i;

	for (i = 0; i < KINDS * 4; i++) {
		all[i] = cells[i % 4];
		all[i].kind = i / 4;
		test_add(carried, &all[i], "%s %s", kind_name[all[i].kind], all[i].name);
	}
}

/*
 * Length
 */

static void length(const void *arg)
{
	static const uint8_t want[20] = { 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
					  0x77, 8765 >> 8, 8765 & 0xff };
	int len = *(const int *)arg, i;
	int size = len < 20 ? len : 20;
	struct stats before;
	struct server s;
	struct conn c;
	uint8_t buf[64];
	socklen_t got = len;

	server_open(&s, INET, 5);
	i = server_connect(&s, &c, NULL, with_v6());
	memset(buf, 0xa5, sizeof(buf));
	require(stats_get(&before));
	if (len < 18) {
		check_str(ask(i, IPPROTO_IP, TOA_SO_GET_LOOKUP, buf, &got), "EINVAL");
		size = 0;
		check_moved(&before);
	} else {
		check_str(ask(i, IPPROTO_IP, TOA_SO_GET_LOOKUP, buf, &got), "ok");
		check_num(got, size);
		check_moved(&before, "getname_toa_ok", 1);
	}
	check(!memcmp(buf, want, size));
	for (i = size; i < (int)sizeof(buf); i++)
		check_num(buf[i], 0xa5);
}

static void padding(const void *arg)
{
	struct server s;
	struct conn c;
	uint8_t buf[20];
	socklen_t len;
	int fd, i;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	for (i = 0; i < 20; i++) {
		memset(buf, i ? 0xff : 0x5a, sizeof(buf));
		len = sizeof(buf);
		check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, buf, &len), "ok");
		check_num(buf[18], 0);
		check_num(buf[19], 0);
	}
}

/*
 * Not a TCP socket
 */

static void udp(const void *arg)
{
	int family = *(const int *)arg;
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(9) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct stats before;
	int fd;

	if (family == AF_INET6)
		need_ipv6();
	fd = socket(family, SOCK_DGRAM, 0);
	require(fd >= 0 && stats_get(&before));
	check_str(ask_len(fd, 20), "EOPNOTSUPP");
	inet_pton(AF_INET, BALANCER_V4, &sin.sin_addr);
	inet_pton(AF_INET6, BALANCER_V6, &sin6.sin6_addr);
	if (family == AF_INET)
		require(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	else
		require(connect(fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0);
	check_str(ask_len(fd, 20), "EOPNOTSUPP");
	check_str(ask_len(fd, 17), "EINVAL");
	check_moved(&before);
}

static void raw(const void *arg)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_TCP);
	struct stats before;

	(void)arg;
	require(fd >= 0 && stats_get(&before));
	check_str(ask_len(fd, 20), "EOPNOTSUPP");
	check_str(ask_len(fd, 17), "EINVAL");
	check_moved(&before);
}

/*
 * Not connected
 */

/* And no counter moves. */
static void not_connected(int fd)
{
	struct stats before;

	require(stats_get(&before));
	check_str(nat64_of(fd), "ENOTCONN");
	check_moved(&before);
}

static void unconnected(const void *arg)
{
	int family = *(const int *)arg;
	struct stats before;
	int fd;

	if (family == AF_INET6)
		need_ipv6();
	fd = socket(family, SOCK_STREAM, 0);
	require(fd >= 0 && stats_get(&before));
	check_str(ask_len(fd, 20), "ENOTCONN");
	check_str(ask_len(fd, 17), "EINVAL");
	check_moved(&before);
}

static void listening(const void *arg)
{
	struct server s;

	server_open(&s, *(const enum kind *)arg, 5);
	not_connected(s.fd);
}

static void connecting(const void *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(80) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	(void)arg;
	inet_pton(AF_INET, BALANCER_V4, &sin.sin_addr);
	require(fd >= 0);
	require(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) && errno == EINPROGRESS);
	not_connected(fd);
}

static void after_rst(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	check_str(nat64_of(fd), V6_TEXT);
	conn_rst(&c);
	not_connected(fd);
}

static void disconnected(const void *arg)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	check_str(nat64_of(fd), V6_TEXT);
	require(connect(fd, &none, sizeof(none)) == 0);
	not_connected(fd);
}

/* As long as getpeername() answers, this does. */
static void half_closed(const void *arg)
{
	struct server s;
	struct conn c;
	struct seg seg;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, with_both());
	conn_fin(&c);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	require(shutdown(fd, SHUT_WR) == 0);
	require(conn_recv(&c, F_FIN, F_FIN, &seg));
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	c.rcv_nxt = seg.seq + 1;
	conn_ack(&c, NULL);
	check_str(peer_of(fd), "ENOTCONN");
	check_str(nat64_of(fd), "ENOTCONN");
}

/*
 * Bad pointers
 */

static void bad_optval(const void *arg)
{
	long page = sysconf(_SC_PAGESIZE);
	uint8_t *map = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
	struct stats before;
	struct server s;
	struct conn c;
	socklen_t len = 20;
	int fd;

	(void)arg;
	require(map != MAP_FAILED && mprotect(map + page, page, PROT_NONE) == 0);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	require(stats_get(&before));
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, map + page, &len), "EFAULT");
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, map + page - 19, &len), "EFAULT");
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, NULL, &len), "EFAULT");
	check_num(len, 20);
	check_moved(&before);
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, map + page - 20, &len), "ok");
	munmap(map, 2 * page);
}

static void bad_optlen(const void *arg)
{
	struct toa_nat64_peer peer;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	require(stats_get(&before));
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &peer, (socklen_t *)8), "EFAULT");
	check_moved(&before);
}

/* What comes first in the table is answered first. */
static void order(const void *arg)
{
	struct server s;
	struct conn c;
	socklen_t len;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, NULL);
	check_str(ask_len(fd, 17), "EINVAL");
	len = 20;
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, NULL, &len), "ENOENT");
	fd = server_connect(&s, &c, NULL, with_v4());
	check_str(ask_len(fd, 17), "EINVAL");
	len = 20;
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, NULL, &len), "EAFNOSUPPORT");
	fd = server_connect(&s, &c, NULL, with_v6());
	len = 17;
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, NULL, &len), "EINVAL");
	conn_rst(&c);
	len = 20;
	check_str(ask(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, NULL, &len), "ENOTCONN");
}

/*
 * Other numbers
 */

static void other_number(const void *arg)
{
	int number = *(const int *)arg;
	struct toa_nat64_peer peer;
	struct stats before;
	struct server s;
	struct conn c;
	socklen_t len = sizeof(peer);
	int fd;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	require(stats_get(&before));
	check_str(ask(fd, IPPROTO_IP, number, &peer, &len), "ENOPROTOOPT");
	check_moved(&before);
	/* The connection is one that would have answered. */
	check_str(nat64_of(fd), V6_TEXT);
}

static void set(const void *arg)
{
	struct toa_nat64_peer peer = { .sport = 1 };
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	check(setsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &peer, sizeof(peer)) < 0);
	check_str(error_name(errno), "ENOPROTOOPT");
	check_str(nat64_of(fd), V6_TEXT);
}

static void level_ipv6(const void *arg)
{
	struct toa_nat64_peer peer;
	struct server s;
	struct conn c;
	socklen_t len = sizeof(peer);
	int fd;

	(void)arg;
	server_open(&s, INET6, 5);
	fd = server_connect(&s, &c, NULL, with_v6());
	check_str(ask(fd, IPPROTO_IPV6, TOA_SO_GET_LOOKUP, &peer, &len), "ENOPROTOOPT");
	check_str(nat64_of(fd), V6_TEXT);
}

int main(int argc, char **argv)
{
	static const int lengths[] = { 17, 18, 19, 20, 21, 64, 0, -1, -20 };
	static const int families[] = { AF_INET, AF_INET6 };
	static const int numbers[] = { 4095, 4098, 4099 };
	unsigned int i;

	add_carried();
	for (i = 0; i < 3; i++)
		test_add(other_number, &numbers[i], "number %d ENOPROTOOPT", numbers[i]);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		test_add(length, &lengths[i], "len %d %s", lengths[i],
			 lengths[i] < 18 ? "EINVAL" : "answers");
	test_add(padding, NULL, "padding is zero");
	for (i = 0; i < 2; i++) {
		const char *name = families[i] == AF_INET ? "AF_INET" : "AF_INET6";

		test_add(udp, &families[i], "%s UDP EOPNOTSUPP", name);
		test_add(unconnected, &families[i], "%s unconnected ENOTCONN", name);
	}
	test_add(raw, NULL, "raw socket EOPNOTSUPP");
	test_add(connecting, NULL, "connecting ENOTCONN");
	for (i = 0; i < KINDS; i++) {
		test_add(listening, &every_kind[i], "%s listening ENOTCONN", kind_name[i]);
		test_add(after_rst, &every_kind[i], "%s after RST ENOTCONN", kind_name[i]);
		test_add(disconnected, &every_kind[i], "%s disconnected ENOTCONN", kind_name[i]);
	}
	test_add(half_closed, NULL, "half closed answers, closed ENOTCONN");
	test_add(bad_optval, NULL, "bad optval EFAULT");
	test_add(bad_optlen, NULL, "bad optlen EFAULT");
	test_add(order, NULL, "order of the checks");
	test_add(set, NULL, "setsockopt ENOPROTOOPT");
	test_add(level_ipv6, NULL, "level IPPROTO_IPV6 ENOPROTOOPT");
	return toa_main("getsockopt", "both=1", argc, argv);
}
