// SPDX-License-Identifier: GPL-2.0
/* What accept(), accept4(), getpeername() and SO_PEERNAME say, cell by cell. */
#include "bpf.h"
#include "client.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/in6.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define EVENT "events/toa/toa_getname"
#define REFLECT "/proc/sys/net/ipv6/flowlabel_reflect"

#ifndef IPV6_FLOWINFO_SEND
#define IPV6_FLOWINFO_SEND 33
#endif

static const char *expected(const struct server *s, const struct conn *c, int carried)
{
	if (s->kind == INET)
		return carried & HAS_V4 ? V4_TEXT : server_sees(s, c);
	if (carried & HAS_V6)
		return V6_TEXT;
	return carried & HAS_V4 ? mapped(V4_TEXT) : server_sees(s, c);
}

/*
 * The table
 */

enum call { ACCEPT, ACCEPT4, GETPEERNAME, PEERNAME, CALLS };

static const char *const call_name[CALLS] = { "accept", "accept4", "getpeername", "SO_PEERNAME" };

struct cell {
	enum call call;
	enum kind kind;
	int carried;
};

static const char *accept4_of(const struct server *s)
{
	struct sockaddr_storage ss = { 0 };
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	socklen_t len = sizeof(ss);
	int fd;

	if (poll(&pfd, 1, WAIT_MS) != 1)
		return "nothing to accept";
	fd = accept4(s->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return error_name(errno);
	check(fcntl(fd, F_GETFL) & O_NONBLOCK);
	check(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	check_num(len, s->kind == INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
	return addr_text(&ss);
}

static void cell(const void *arg)
{
	const struct cell *t = arg;
	const char *got = "nothing to accept";
	struct stats before;
	struct server s;
	struct conn c;
	bool changed;
	int fd;

	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(t->carried)));
	changed = strcmp(expected(&s, &c, t->carried), server_sees(&s, &c));
	if (t->call == ACCEPT || t->call == ACCEPT4) {
		require(stats_get(&before));
		if (t->call == ACCEPT)
			server_accept(&s, &got);
		else
			got = accept4_of(&s);
	} else {
		fd = server_accept(&s, NULL);
		require(stats_get(&before));
		got = t->call == GETPEERNAME ? peer_of(fd) : peername_of(fd);
	}
	check_str(got, expected(&s, &c, t->carried));
	/* It never counts what it does not answer. */
	if (changed)
		check_moved(&before, "getname_toa_ok", 1);
	else
		check_moved(&before);
}

static void add_cells(void)
{
	static struct cell all[CALLS * KINDS * CARRIED];
	int i;

	for (i = 0; i < CALLS * KINDS * CARRIED; i++) {
		all[i].call = i / (KINDS * CARRIED);
		all[i].kind = i / CARRIED % KINDS;
		all[i].carried = i % CARRIED;
		test_add(cell, &all[i], "%s %s %s", call_name[all[i].call],
			 kind_name[all[i].kind], carried_name[all[i].carried]);
	}
}

/*
 * What stays as it is
 */

static void sockname(const void *arg)
{
	struct server s;
	struct conn c;
	char want[64];
	struct stats before;
	int fd;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	snprintf(want, sizeof(want), kind_v6(s.kind) ? "[" SERVER_V6 "]:%u" :
		 s.kind == MAPPED ? "[::ffff:" SERVER_V4 "]:%u" : SERVER_V4 ":%u", s.port);
	require(stats_get(&before));
	check_str(local_of(fd), want);
	check_moved(&before);
	check_str(peer_of(fd), expected(&s, &c, HAS_BOTH));
}

static void notconn(const void *arg)
{
	enum kind kind = *(const enum kind *)arg;
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	struct server s;
	struct conn c;
	int fd;

	if (kind != INET)
		need_ipv6();
	fd = socket(kind == INET ? AF_INET : AF_INET6, SOCK_STREAM, 0);
	check_str(peer_of(fd), "ENOTCONN");
	check_str(peername_of(fd), "ENOTCONN");
	server_open(&s, kind, 5);
	check_str(peer_of(s.fd), "ENOTCONN");
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	check_str(peer_of(fd), expected(&s, &c, HAS_BOTH));
	require(connect(fd, &none, sizeof(none)) == 0);
	check_str(peer_of(fd), "ENOTCONN");
	check_str(peername_of(fd), "ENOTCONN");
}

/* After a RST, SO_PEERNAME still answers: it asks as accept() does. */
static void after_rst(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	conn_rst(&c);
	require(stats_get(&before));
	check_str(peer_of(fd), "ENOTCONN");
	check_moved(&before);
	check_str(peername_of(fd), expected(&s, &c, HAS_BOTH));
}

struct already_reset {
	enum kind kind;
	int carried;
};

static void already_reset(const void *arg)
{
	const struct already_reset *t = arg;
	const char *addr = "nothing to accept";
	struct stats before;
	struct server s;
	struct conn c;

	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(t->carried)));
	conn_rst(&c);
	require(stats_get(&before));
	require(server_accept(&s, &addr) >= 0);
	check_str(addr, expected(&s, &c, t->carried));
	if (strcmp(addr, server_sees(&s, &c)))
		check_moved(&before, "getname_toa_ok", 1);
}

/* flowinfo and scope_id, both of which the kernel's own answer has. */
static void flow_and_scope(const void *arg)
{
	int carried = *(const int *)arg, one = 1;
	struct sockaddr_in6 sin6 = { 0 };
	socklen_t len = sizeof(sin6);
	struct server s;
	struct conn c;
	int fd;

	need_ipv6();
	if (access(REFLECT, F_OK))
		test_skip("no " REFLECT ": sockets do not show the client's flow label");
	write_file(REFLECT, "1");
	server_open(&s, INET6, 5);
	write_file(REFLECT, "0");
	require(setsockopt(s.fd, IPPROTO_IPV6, IPV6_FLOWINFO_SEND, &one, sizeof(one)) == 0);
	server_conn(&s, &c);
	c.flow = 0x12345;
	conn_syn_link_local(&c);
	conn_ack(&c, carrying(carried));
	fd = server_accepted(&s);
	require(getpeername(fd, (struct sockaddr *)&sin6, &len) == 0);
	if (carried) {
		check_num(sin6.sin6_flowinfo, 0);
		check_num(sin6.sin6_scope_id, 0);
		check_str(peer_of(fd), expected(&s, &c, carried));
	} else {
		check(sin6.sin6_flowinfo != 0);
		check(sin6.sin6_scope_id != 0);
		check_str(peer_of(fd), server_sees(&s, &c));
	}
}

/* The client is the connection's, whoever has the socket: servers fork and let the child ask. */
static void child_process(const void *arg)
{
	char got[64] = "nothing from the child";
	const char *said, *want;
	int fd, told[2], status;
	struct server s;
	struct conn c;
	pid_t pid;

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	want = expected(&s, &c, HAS_V4);
	check_str(peer_of(fd), want);
	require(pipe(told) == 0);
	pid = fork();
	require(pid >= 0);
	if (pid == 0) {
		said = peer_of(fd);
		_exit(write(told[1], said, strlen(said) + 1) < 0);
	}
	close(told[1]);
	check(read(told[0], got, sizeof(got)) > 0);
	close(told[0]);
	require(waitpid(pid, &status, 0) == pid);
	check_num(status, 0);
	check_str(got, want);
	check_str(peer_of(fd), want);
}

/* A connection that this host has made: its peer is who it says. */
static void outgoing(const void *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(8080) };
	struct sockaddr_storage local;
	socklen_t len = sizeof(local);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct stats before;
	struct conn c;

	(void)arg;
	inet_pton(AF_INET, BALANCER_V4, &sin.sin_addr);
	require(stats_get(&before));
	require(connect(fd, (struct sockaddr *)&sin, sizeof(sin)) && errno == EINPROGRESS);
	require(getsockname(fd, (struct sockaddr *)&local, &len) == 0);
	conn_init(&c, false, ntohs(((struct sockaddr_in *)&local)->sin_port));
	c.sport = 8080;
	require(conn_answer(&c, carrying(HAS_BOTH)));
	check_str(peer_of(fd), BALANCER_V4 ":8080");
	check_str(nat64_of(fd), "ENOENT");
	check_moved(&before, "getname_toa_empty", 1);
}

/*
 * A cgroup BPF program that changes the answer
 */

struct changed {
	enum kind kind;
	int carried;
};

/* Ours stands, though the program has run before; and once for each question. */
static void cgroup_bpf(const void *arg)
{
	const struct changed *t = arg;
	const bool v6 = t->kind != INET;
	int map, link, fd, other;
	unsigned long before;
	struct server s;
	struct conn c, d;
	char want[64];

	server_open(&s, t->kind, 5);
	other = server_connect(&s, &d, NULL, NULL);
	fd = server_connect(&s, &c, NULL, carrying(t->carried));
	map = bpf_counter();
	if (map < 0)
		test_skip("this kernel has no BPF (%s)", error_name(errno));
	link = bpf_peername(v6, map);
	/* What it does is seen where there is no option. */
	snprintf(want, sizeof(want), v6 ? "[" BPF_PEER_V6 "]:%u" : BPF_PEER_V4 ":%u", d.sport);
	check_str(peer_of(other), want);
	before = bpf_count(map);
	check_str(peer_of(fd), expected(&s, &c, t->carried));
	check_num(bpf_count(map) - before, 1);
	check_str(peername_of(fd), expected(&s, &c, t->carried));
	check_num(bpf_count(map) - before, 2);
	close(link);
	check_str(peer_of(other), server_sees(&s, &d));
	check_str(peer_of(fd), expected(&s, &c, t->carried));
	check_num(bpf_count(map) - before, 2);
}

/*
 * io_uring: accept() in a worker thread of the kernel
 */

struct ring {
	int fd;
	struct io_uring_params params;
	uint8_t *ring;
	struct io_uring_sqe *sqe;
	struct sockaddr_storage addr;
	socklen_t len;
};

enum { RING_SIZE = 4096 };

static void ring_open(struct ring *r)
{
	struct utsname uts;
	int major = 0, minor = 0;

	memset(r, 0, sizeof(*r));
	uname(&uts);
	sscanf(uts.release, "%d.%d", &major, &minor);
	if (major < 5 || (major == 5 && minor < 12))
		test_skip("io_uring workers of %s are plain kernel threads", uts.release);
	r->fd = syscall(SYS_io_uring_setup, 2, &r->params);
	if (r->fd < 0)
		test_skip("this kernel has no io_uring (%s)", error_name(errno));
	r->ring = mmap(NULL, RING_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, r->fd,
		       IORING_OFF_SQ_RING);
	r->sqe = mmap(NULL, r->params.sq_entries * sizeof(*r->sqe), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_POPULATE, r->fd, IORING_OFF_SQES);
	require(r->ring != MAP_FAILED && r->sqe != (void *)MAP_FAILED);
	require(r->params.features & IORING_FEAT_SINGLE_MMAP);
}

static void ring_close(struct ring *r)
{
	munmap(r->sqe, r->params.sq_entries * sizeof(*r->sqe));
	munmap(r->ring, RING_SIZE);
}

/* IOSQE_ASYNC: a worker tries first, not the caller. */
static void ring_accept(struct ring *r, const struct server *s)
{
	r->len = sizeof(r->addr);
	memset(r->sqe, 0, sizeof(*r->sqe));
	r->sqe->opcode = IORING_OP_ACCEPT;
	r->sqe->flags = IOSQE_ASYNC;
	r->sqe->fd = s->fd;
	r->sqe->addr = (uintptr_t)&r->addr;
	r->sqe->addr2 = (uintptr_t)&r->len;
	((uint32_t *)(r->ring + r->params.sq_off.array))[0] = 0;
	__atomic_store_n((uint32_t *)(r->ring + r->params.sq_off.tail), 1, __ATOMIC_RELEASE);
	require(syscall(SYS_io_uring_enter, r->fd, 1, 0, 0, NULL, 0) == 1);
}

static const char *ring_accepted(struct ring *r)
{
	const struct io_uring_cqe *cqe = (void *)(r->ring + r->params.cq_off.cqes);

	require(syscall(SYS_io_uring_enter, r->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 0);
	return cqe->res < 0 ? error_name(-cqe->res) : addr_text(&r->addr);
}

/* There is nothing to accept yet: the worker waits, or is called again when it comes. */
static void uring_accept(const void *arg)
{
	struct server s;
	struct conn c;
	struct ring r;

	(void)arg;
	ring_open(&r);
	server_open(&s, INET, 5);
	ring_accept(&r, &s);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(HAS_V4)));
	check_str(ring_accepted(&r), V4_TEXT);
	ring_close(&r);
}

/* The connection is there already: it is a worker that accepts it, as the tracepoint says. */
static void uring_worker(const void *arg)
{
	static char trace[1 << 16];
	const bool traced = access(tracing(EVENT), F_OK) == 0;
	struct pollfd pfd = { .events = POLLIN };
	char want[32], mine[32], *line;
	struct server s;
	struct conn c;
	struct ring r;

	(void)arg;
	ring_open(&r);
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(HAS_V4)));
	pfd.fd = s.fd;
	require(poll(&pfd, 1, WAIT_MS) == 1);
	if (traced) {
		write_file(tracing("trace"), "");
		write_file(tracing(EVENT "/enable"), "1");
	}
	ring_accept(&r, &s);
	check_str(ring_accepted(&r), V4_TEXT);
	if (traced) {
		write_file(tracing(EVENT "/enable"), "0");
		require(read_file(tracing("trace"), trace, sizeof(trace)));
		line = strstr(trace, "toa_getname:");
		require(line);
		while (line > trace && line[-1] != '\n')
			line--;
		snprintf(want, sizeof(want), "iou-wrk-%d", getpid());
		line[strcspn(line, "\n")] = 0;
		/* Names of threads get lost; numbers do not. */
		snprintf(mine, sizeof(mine), "<...>-%d ", getpid());
		if (!strstr(line, want) && (!strstr(line, "<...>-") || strstr(line, mine)))
			test_fail(__FILE__, __LINE__, "no worker accepted it: %s", line);
	} else {
		test_note("no tracepoint says who accepted it");
	}
	ring_close(&r);
}

/* A plain client of an MPTCP listener, which Go's are: the kernel falls back to TCP. */
static void mptcp_listener(const void *arg)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);
	struct server s = { .kind = INET };
	const char *addr = "nothing to accept";
	struct conn c;
	int fd;

	(void)arg;
	s.fd = socket(AF_INET, SOCK_STREAM, 262 /* IPPROTO_MPTCP */);
	if (s.fd < 0)
		test_skip("this kernel has no MPTCP (%s)", error_name(errno));
	require(bind(s.fd, (struct sockaddr *)&sin, sizeof(sin)) == 0);
	require(listen(s.fd, 5) == 0);
	require(getsockname(s.fd, (struct sockaddr *)&sin, &len) == 0);
	s.port = ntohs(sin.sin_port);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, carrying(HAS_BOTH)));
	fd = server_accept(&s, &addr);
	require(fd >= 0);
	check_str(addr, V4_TEXT);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check(data_flows(&c, fd));
}

/* Sockets of other protocols pass the same functions. */
struct other {
	const char *name;
	int type, protocol, family;
};

static int other_socket(const struct other *t, struct sockaddr_storage *at)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)at;
	struct sockaddr_in *sin = (struct sockaddr_in *)at;
	socklen_t len = t->family == AF_INET ? sizeof(*sin) : sizeof(*sin6);
	int fd = socket(t->family, t->type, t->protocol);

	if (fd < 0)
		test_skip("this kernel has no such sockets (%s)", error_name(errno));
	memset(at, 0, sizeof(*at));
	at->ss_family = t->family;
	if (t->family == AF_INET)
		sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		sin6->sin6_addr = in6addr_loopback;
	require(bind(fd, (struct sockaddr *)at, len) == 0);
	len = sizeof(*at);
	require(getsockname(fd, (struct sockaddr *)at, &len) == 0);
	return fd;
}

static void other_protocol(const void *arg)
{
	const struct other *t = arg;
	struct sockaddr_storage server_at, client_at;
	struct pollfd pfd = { .events = POLLIN };
	struct stats before;
	int server, client, fd;

	if (t->family == AF_INET6)
		need_ipv6();
	require(stats_get(&before));
	server = other_socket(t, &server_at);
	client = other_socket(t, &client_at);
	check_str(peer_of(client), "ENOTCONN");
	if (t->type == SOCK_STREAM)
		require(listen(server, 5) == 0);
	require(connect(client, (struct sockaddr *)&server_at, sizeof(server_at)) == 0);
	check_str(peer_of(client), addr_text(&server_at));
	check_str(local_of(client), addr_text(&client_at));
	if (t->type == SOCK_STREAM) {
		pfd.fd = server;
		require(poll(&pfd, 1, WAIT_MS) == 1);
		fd = accept(server, NULL, NULL);
		require(fd >= 0);
		check_str(peer_of(fd), addr_text(&client_at));
		close(fd);
	}
	close(client);
	close(server);
	check_moved(&before);
}

int main(int argc, char **argv)
{
	static const struct other others[] = {
		{ "UDP", SOCK_DGRAM, 0, AF_INET }, { "UDP, AF_INET6", SOCK_DGRAM, 0, AF_INET6 },
		{ "SCTP", SOCK_STREAM, IPPROTO_SCTP, AF_INET },
		{ "SCTP, AF_INET6", SOCK_STREAM, IPPROTO_SCTP, AF_INET6 },
	};
	static const struct already_reset resets[] = {
		{ INET, HAS_V4 }, { MAPPED, HAS_V4 }, { MAPPED, HAS_V6 },
		{ INET6, HAS_V6 }, { DUAL6, HAS_BOTH }, { INET, HAS_NONE },
	};
	static const struct changed changes[] = {
		{ INET, HAS_V4 }, { MAPPED, HAS_V4 }, { MAPPED, HAS_V6 }, { INET6, HAS_V4 },
		{ INET6, HAS_V6 }, { DUAL6, HAS_BOTH },
	};
	static const int carried[CARRIED] = { HAS_NONE, HAS_V4, HAS_V6, HAS_BOTH };
	unsigned int i;

	add_cells();
	for (i = 0; i < KINDS; i++) {
		test_add(sockname, &every_kind[i], "getsockname %s untouched", kind_name[i]);
		test_add(notconn, &every_kind[i], "%s ENOTCONN stays", kind_name[i]);
		test_add(after_rst, &every_kind[i], "%s after RST", kind_name[i]);
	}
	for (i = 0; i < sizeof(resets) / sizeof(resets[0]); i++)
		test_add(already_reset, &resets[i], "accept of a reset connection %s %s",
			 kind_name[resets[i].kind], carried_name[resets[i].carried]);
	for (i = 0; i < CARRIED; i++)
		test_add(flow_and_scope, &carried[i], "flowinfo and scope_id %s", carried_name[i]);
	test_add_kinds(child_process, "the same answer in a child process");
	test_add(outgoing, NULL, "outgoing connection unchanged");
	for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		test_add(cgroup_bpf, &changes[i], "cgroup BPF program, ours stands, %s %s",
			 kind_name[changes[i].kind], carried_name[changes[i].carried]);
	test_add(uring_accept, NULL, "io_uring accept option 200");
	test_add(uring_worker, NULL, "io_uring accept option 200, by a worker");
	test_add(mptcp_listener, NULL, "MPTCP listener, plain client");
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		test_add(other_protocol, &others[i], "no TCP: %s", others[i].name);
	return toa_main("getpeername", "both=1", argc, argv);
}
