// SPDX-License-Identifier: GPL-2.0
/*
 * Others who want something of the same socket: kernel TLS, sockmaps, cgroup programs, SMC, another
 * process. Both must work.
 */
#include "bpf.h"
#include "client.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif
#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef AF_SMC
#define AF_SMC 43
#endif

#define SECRET "nobody may read this"

/* The next segment with data that the server sends. */
static bool next_data(struct conn *c, struct seg *seg)
{
	do {
		if (!conn_recv(c, F_ACK | F_SYN, F_ACK, seg))
			return false;
	} while (!seg->len);
	c->rcv_nxt = seg->seq + seg->len;
	return true;
}

/*
 * Kernel TLS
 */

static bool tls_keys(int fd, int direction)
{
	struct tls12_crypto_info_aes_gcm_128 info;

	memset(&info, 0x5a, sizeof(info));
	info.info.version = TLS_1_2_VERSION;
	info.info.cipher_type = TLS_CIPHER_AES_GCM_128;
	memset(info.rec_seq, 0, sizeof(info.rec_seq));
	return setsockopt(fd, SOL_TLS, direction, &info, sizeof(info)) == 0;
}

/* What one socket sends, encrypted. */
static void tls_sends(int from, struct conn *c, struct seg *seg)
{
	require(send(from, SECRET, strlen(SECRET), 0) == (ssize_t)strlen(SECRET));
	require(next_data(c, seg));
	check(seg->len > strlen(SECRET));
	check(!memmem(seg->data, seg->len, SECRET, strlen(SECRET)));
}

/* Another one with the same keys decrypts it. */
static void tls_reads(int to, struct conn *d, const struct seg *seg)
{
	char text[sizeof(SECRET)] = "";

	conn_send(d, F_ACK | F_PSH, d->snd_nxt, d->rcv_nxt, NULL, seg->data, seg->len);
	d->snd_nxt += seg->len;
	require(poll(&(struct pollfd){ .fd = to, .events = POLLIN }, 1, wait_ms) == 1);
	check_num(recv(to, text, sizeof(text) - 1, 0), strlen(SECRET));
	check_str(text, SECRET);
}

/* Before 5.16 a socket that decrypts has the operations of an AF_INET one, whatever it is. */
static bool answers_as_ipv4(int fd)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);

	require(getsockname(fd, (struct sockaddr *)&own, &len) == 0);
	return own.ss_family == AF_INET;
}

static void ktls(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct server s;
	struct conn c, d;
	struct seg seg;
	int fd, other;
	bool cipher, alien;

	server_open(&s, kind, 5);
	fd = server_connect(&s, &c, NULL, both());
	other = server_connect(&s, &d, both(), NULL);
	if (system("for m in tls ctr ghash-generic; do modprobe $m; done 2>/dev/null"))
		errno = 0;
	cipher = system("modprobe gcm 2>/dev/null") == 0;
	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4) ||
	    setsockopt(other, IPPROTO_TCP, TCP_ULP, "tls", 4))
		test_skip("this kernel has no TLS (%s)", error_name(errno));
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check_has(&s, &d, other, V4_TEXT, V6_TEXT);
	if (!tls_keys(fd, TLS_TX)) {
		test_note("no cipher: the sockets stay in plain text (%s)", error_name(errno));
		check(!cipher);
		check(data_flows(&c, fd));
	} else {
		tls_sends(fd, &c, &seg);
		if (tls_keys(other, TLS_RX)) {
			tls_reads(other, &d, &seg);
		} else {
			/* Before 4.17. */
			test_note("this kernel encrypts, but does not decrypt");
			check_str(error_name(errno), "ENOPROTOOPT");
			check(data_flows(&d, other));
		}
	}
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	alien = kind != INET && answers_as_ipv4(other);
	if (!alien)
		check_has(&s, &d, other, V4_TEXT, V6_TEXT);
	reset(fd);
	reset(other);
	check(table_empties());
	check(stats_balanced());
	if (alien)
		test_skip("this kernel's IPv6 sockets answer as IPv4 ones once they decrypt");
}

/*
 * sockmap: what the application sends on one socket leaves on another
 */

static int sockmap(void)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_SOCKMAP;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint32_t);
	attr.max_entries = 2;
	return bpf(BPF_MAP_CREATE, &attr);
}

static int put(int map, uint32_t key, uint32_t fd)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&fd;
	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

/* return bpf_msg_redirect_map(msg, map, 1, 0); r1 is the message. */
static int redirect(int map)
{
	struct bpf_insn insns[] = {
		INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 1),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_4, 0, 0, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_msg_redirect_map),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};

	return bpf_load(BPF_PROG_TYPE_SK_MSG, 0, 0, insns, sizeof(insns) / sizeof(insns[0]));
}

static void sk_msg(const void *arg)
{
	int map = sockmap(), prog, fd, other;
	union bpf_attr attr;
	struct server s;
	struct conn c, d;
	struct seg seg;

	if (map < 0)
		test_skip("this kernel has no sockmap (%s)", error_name(errno));
	prog = redirect(map);
	if (prog < 0)
		test_skip("this kernel takes no sk_msg program (%s)", error_name(errno));
	memset(&attr, 0, sizeof(attr));
	attr.target_fd = map;
	attr.attach_bpf_fd = prog;
	attr.attach_type = BPF_SK_MSG_VERDICT;
	require(bpf(BPF_PROG_ATTACH, &attr) == 0);

	server_open(&s, *(const enum kind *)arg, 5);
	fd = server_connect(&s, &c, NULL, both());
	other = server_connect(&s, &d, both(), NULL);
	require(put(map, 0, fd) == 0 && put(map, 1, other) == 0);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check_has(&s, &d, other, V4_TEXT, V6_TEXT);
	require(send(fd, SECRET, strlen(SECRET), 0) == (ssize_t)strlen(SECRET));
	require(next_data(&d, &seg));
	check(seg.len == strlen(SECRET) && !memcmp(seg.data, SECRET, seg.len));
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check_has(&s, &d, other, V4_TEXT, V6_TEXT);
	close(map);
	close(prog);
	reset(fd);
	reset(other);
	check(table_empties());
	check(stats_balanced());
}

/*
 * A cgroup program besides, which gives another address as the peer
 */

static void program(const enum kind *kind, test_fn and)
{
	int map = bpf_counter(), link, fd;
	unsigned long before;
	struct server s;
	struct conn c;
	char want[64];

	if (map < 0)
		test_skip("this kernel has no BPF (%s)", error_name(errno));
	link = bpf_peername(*kind != INET, map);
	before = bpf_count(map);
	and(kind);
	/* Two sockets were accepted, and asked twice by two calls. */
	check_num(bpf_count(map) - before, 10);

	/* What it says stands where there is no option. */
	server_open(&s, *kind, 5);
	fd = server_connect(&s, &c, NULL, NULL);
	snprintf(want, sizeof(want), *kind == INET ? BPF_PEER_V4 ":%u" : "[" BPF_PEER_V6 "]:%u",
		 c.sport);
	check_str(peer_of(fd), want);
	setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", 4);
	check_str(peer_of(fd), want);
	close(link);
	check_str(peer_of(fd), server_sees(&s, &c));
}

static void program_ktls(const void *arg)
{
	program(arg, ktls);
}

static void program_sk_msg(const void *arg)
{
	program(arg, sk_msg);
}

/*
 * SMC, with a client that speaks TCP: its listener falls back, and asks the TCP socket inside
 */

static void smc(const void *arg)
{
	struct server s = { .kind = *(const enum kind *)arg };
	struct sockaddr_in6 any = { .sin6_family = s.kind == INET ? AF_INET : AF_INET6 };
	socklen_t len = s.kind == INET ? sizeof(struct sockaddr_in) : sizeof(any);
	const char *want = s.kind == INET ? V4_TEXT : V6_TEXT;
	const char *addr = "nothing to accept";
	int fd, only = s.kind == INET6;
	struct conn c;

	if (s.kind != INET)
		need_ipv6();
	if (system("modprobe smc 2>/dev/null"))
		errno = 0;
	s.fd = socket(AF_SMC, SOCK_STREAM, s.kind == INET ? 0 : 1);
	if (s.fd < 0)
		test_skip("this kernel has no SMC (%s)", error_name(errno));
	if (s.kind != INET)
		require(setsockopt(s.fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) == 0);
	require(bind(s.fd, (struct sockaddr *)&any, len) == 0);
	require(listen(s.fd, 5) == 0);
	require(getsockname(s.fd, (struct sockaddr *)&any, &len) == 0);
	/* Ports are at one place in both families' addresses. */
	s.port = ntohs(any.sin6_port);
	server_conn(&s, &c);
	require(conn_open(&c, NULL, both()));
	fd = server_accept(&s, &addr);
	require(fd >= 0);
	check_str(addr, want);
	check_str(peer_of(fd), want);
	check(data_flows(&c, fd));
}

/*
 * Another process, of another namespace, gets the socket by SCM_RIGHTS.
 */

static void send_fd(int channel, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	require(sendmsg(channel, &msg, 0) == 1);
}

static int receive_fd(int channel)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(channel, &msg, 0) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

static void answer(int channel)
{
	int fd = receive_fd(channel);
	char text[256];

	if (unshare(CLONE_NEWNET))
		_exit(1);
	snprintf(text, sizeof(text), "%s %s %s", peer_of(fd), peername_of(fd), nat64_of(fd));
	_exit(write(channel, text, strlen(text) + 1) < 0);
}

static void passed(const void *arg)
{
	enum kind kind = *(const enum kind *)arg;
	const char *name = kind == INET ? V4_TEXT : V6_TEXT;
	char got[256] = "", want[256];
	struct server s;
	struct conn c;
	int pair[2], fd, status;

	server_open(&s, kind, 5);
	require(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	fflush(stdout);
	if (!fork())
		answer(pair[1]);
	fd = server_connect(&s, &c, NULL, both());
	send_fd(pair[0], fd);
	/* The other process has the only one left. */
	close(fd);
	require(read(pair[0], got, sizeof(got)) > 0);
	wait(&status);
	snprintf(want, sizeof(want), "%s %s %s", name, name, V6_TEXT);
	check_str(got, want);
	conn_rst(&c);
	check(table_empties());
	check(stats_balanced());
}

int main(int argc, char **argv)
{
	test_add_kinds(ktls, "kernel TLS");
	test_add_kinds(sk_msg, "sockmap redirects");
	test_add_kinds(program_ktls, "cgroup program and kernel TLS");
	test_add_kinds(program_sk_msg, "cgroup program and sockmap");
	test_add_kinds(smc, "SMC listener, plain client");
	test_add_kinds(passed, "passed by SCM_RIGHTS to another namespace");
	return toa_main("together", "both=1", argc, argv);
}
