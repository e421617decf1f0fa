// SPDX-License-Identifier: GPL-2.0
#include "host.h"
#include "../../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef SO_PEERNAME
#define SO_PEERNAME 28
#endif

const char *const kind_name[KINDS] = {
	[INET] = "AF_INET",
	[MAPPED] = "AF_INET6 mapped",
	[INET6] = "AF_INET6",
	[DUAL6] = "AF_INET6 dual-stack",
};

const enum kind every_kind[KINDS] = { INET, MAPPED, INET6, DUAL6 };

void test_add_kinds(test_fn fn, const char *name)
{
	int i;

	for (i = 0; i < KINDS; i++)
		test_add(fn, &every_kind[i], "%s, %s", name, kind_name[i]);
}

/* A buffer for one of the last sixteen texts of this thread. */
static char *some_text(size_t *size)
{
	static __thread char ring[16][96];
	static __thread unsigned int next;

	*size = sizeof(ring[0]);
	return ring[next++ % 16];
}

bool kind_v6(enum kind kind)
{
	return kind == INET6 || kind == DUAL6;
}

static bool family6(enum kind kind)
{
	return kind != INET;
}

void server_socket(struct server *s, enum kind kind)
{
	int one = 1;

	if (family6(kind))
		need_ipv6();
	s->kind = kind;
	s->fd = socket(family6(kind) ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	require(s->fd >= 0);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
}

void server_listen(struct server *s, int backlog, uint16_t port)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_storage got;
	socklen_t len = sizeof(got);
	int only = s->kind == INET6;

	if (family6(s->kind)) {
		require(setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
		require(bind(s->fd, (struct sockaddr *)&sin6, sizeof(sin6)) == 0);
	} else {
		require(bind(s->fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	}
	require(listen(s->fd, backlog) == 0);
	require(getsockname(s->fd, (struct sockaddr *)&got, &len) == 0);
	s->port = ntohs(((struct sockaddr_in *)&got)->sin_port);
}

void server_open_at(struct server *s, enum kind kind, int backlog, uint16_t port)
{
	server_socket(s, kind);
	server_listen(s, backlog, port);
}

void server_open(struct server *s, enum kind kind, int backlog)
{
	server_open_at(s, kind, backlog, 0);
}

void server_open_deferred(struct server *s, enum kind kind)
{
	int wait = 30;

	server_open(s, kind, 5);
	require(setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait, sizeof(wait)) == 0);
}

void server_conn(const struct server *s, struct conn *c)
{
	conn_init(c, kind_v6(s->kind), s->port);
}

const char *server_sees(const struct server *s, const struct conn *c)
{
	return conn_addr(c, s->kind == MAPPED);
}

static bool wait_fd(int fd, short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };
	int n;

	do
		n = poll(&pfd, 1, wait_ms);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

int server_accept(const struct server *s, const char **addr)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);
	int fd;

	if (!wait_fd(s->fd, POLLIN))
		return -1;
	fd = accept(s->fd, (struct sockaddr *)&ss, &len);
	if (fd >= 0 && addr)
		*addr = addr_text(&ss);
	return fd;
}

int server_accepted(const struct server *s)
{
	int fd = server_accept(s, NULL);

	require(fd >= 0);
	return fd;
}

void server_syn(const struct server *s, struct conn *c, const struct opts *syn)
{
	server_conn(s, c);
	conn_syn(c, syn);
	require(conn_synack(c, NULL));
}

int server_connect(const struct server *s, struct conn *c, const struct opts *syn,
		   const struct opts *ack)
{
	server_conn(s, c);
	require(conn_open(c, syn, ack));
	return server_accepted(s);
}

bool data_reads(int fd, const char *want)
{
	size_t len = strlen(want), have = 0;
	char buf[4096];

	while (have < len && wait_fd(fd, POLLIN)) {
		ssize_t n = recv(fd, buf + have, len - have, MSG_DONTWAIT);

		if (n <= 0)
			return false;
		have += n;
	}
	return have == len && !memcmp(buf, want, len);
}

bool data_flows(struct conn *c, int fd)
{
	static const char answer[] = "backend\n";
	struct seg seg;

	conn_data(c, NULL, "balancer\n");
	if (!data_reads(fd, "balancer\n"))
		return false;
	if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) != (ssize_t)strlen(answer))
		return false;
	do {
		if (!conn_recv(c, F_ACK | F_SYN, F_ACK, &seg))
			return false;
	} while (!seg.len);
	if (seg.len != strlen(answer) || memcmp(seg.data, answer, seg.len))
		return false;
	c->rcv_nxt = seg.seq + seg.len;
	conn_ack(c, NULL);
	return true;
}

void reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

/*
 * Text
 */

const char *error_name(int err)
{
	static const struct {
		int err;
		const char *name;
	} names[] = {
		{ EINVAL, "EINVAL" }, { EOPNOTSUPP, "EOPNOTSUPP" }, { ENOTCONN, "ENOTCONN" },
		{ ENOENT, "ENOENT" }, { EAFNOSUPPORT, "EAFNOSUPPORT" }, { EFAULT, "EFAULT" },
		{ ENOPROTOOPT, "ENOPROTOOPT" }, { EAGAIN, "EAGAIN" }, { EBUSY, "EBUSY" },
		{ EEXIST, "EEXIST" }, { ECONNRESET, "ECONNRESET" }, { EBADF, "EBADF" },
		{ ETIMEDOUT, "ETIMEDOUT" }, { EPERM, "EPERM" }, { EACCES, "EACCES" },
		{ ESTALE, "ESTALE" }, { ENOSPC, "ENOSPC" },
	};
	size_t i, size;
	char *text;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].err == err)
			return names[i].name;
	text = some_text(&size);
	snprintf(text, size, "errno %d", err);
	return text;
}

static const char *text_of(int family, const void *addr, unsigned int port)
{
	char ip[INET6_ADDRSTRLEN];
	size_t size;
	char *text = some_text(&size);

	inet_ntop(family, addr, ip, sizeof(ip));
	snprintf(text, size, family == AF_INET ? "%s:%u" : "[%s]:%u", ip, ntohs(port));
	return text;
}

const char *addr_text(const struct sockaddr_storage *addr)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)addr;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)addr;

	if (addr->ss_family == AF_INET)
		return text_of(AF_INET, &sin->sin_addr, sin->sin_port);
	if (addr->ss_family == AF_INET6)
		return text_of(AF_INET6, &sin6->sin6_addr, sin6->sin6_port);
	return "no address";
}

const char *peer_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len))
		return error_name(errno);
	return addr_text(&ss);
}

/* The kernel wants no more room than it fills. */
const char *peername_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(int);
	int family = 0;

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &len);
	len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
	if (getsockopt(fd, SOL_SOCKET, SO_PEERNAME, &ss, &len))
		return error_name(errno);
	return addr_text(&ss);
}

const char *local_of(int fd)
{
	struct sockaddr_storage ss = { 0 };
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len))
		return error_name(errno);
	return addr_text(&ss);
}

const char *nat64_of(int fd)
{
	struct toa_nat64_peer peer;
	socklen_t len = sizeof(peer);

	memset(&peer, 0xa5, sizeof(peer));
	if (getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, &peer, &len))
		return error_name(errno);
	return len == sizeof(peer) ? text_of(AF_INET6, &peer.saddr, peer.sport) : "bad length";
}

const char *mapped(const char *v4_text)
{
	const char *colon = strrchr(v4_text, ':');
	size_t size;
	char *text = some_text(&size);

	snprintf(text, size, "[::ffff:%.*s]%s", (int)(colon - v4_text), v4_text, colon);
	return text;
}

bool linux_before(int major, int minor)
{
	int got_major = 0, got_minor = 0;
	struct utsname uts;

	uname(&uts);
	sscanf(uts.release, "%d.%d", &got_major, &got_minor);
	return got_major < major || (got_major == major && got_minor < minor);
}

void need_fast_open(const struct server *s, int fd)
{
	if (fd < 0 && kind_v6(s->kind) && linux_before(3, 16))
		test_skip("Linux before 3.16 has Fast Open for IPv4 only");
	require(fd >= 0);
}

void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	if (n != (ssize_t)strlen(text))
		test_fail(__FILE__, __LINE__, "cannot write '%s' to %s", text, path);
	if (fd >= 0)
		close(fd);
}

bool read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t have = 0;
	ssize_t n = 0;

	if (fd < 0)
		return false;
	while (have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0)
		have += n;
	buf[have] = 0;
	close(fd);
	return n >= 0;
}

const char *tracing(const char *file)
{
	const char *dir = access("/sys/kernel/tracing/trace", F_OK) ? "/sys/kernel/debug/tracing" :
								      "/sys/kernel/tracing";
	size_t size;
	char *text = some_text(&size);

	snprintf(text, size, "%s/%s", dir, file);
	return text;
}

void has(const char *where, int line, const struct server *s, const struct conn *c, int fd,
	 const char *v4, const char *v6)
{
	const char *none = getenv("TOA_ABSENT") ? "ENOPROTOOPT" : "ENOENT";
	const char *want = server_sees(s, c);

	if (v6 && family6(s->kind))
		want = v6;
	else if (v4)
		want = family6(s->kind) ? mapped(v4) : v4;
	test_str(where, line, "getpeername", peer_of(fd), want);
	test_str(where, line, "SO_PEERNAME", peername_of(fd), want);
	test_str(where, line, "getsockopt", nat64_of(fd), v6 ? v6 : v4 ? "EAFNOSUPPORT" : none);
}
