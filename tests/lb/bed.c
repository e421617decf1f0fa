// SPDX-License-Identifier: GPL-2.0
/*
 * bed.c - namespaces, balancer process, sniffers and connections for the balancer's own tests.
 *
 * The namespaces have no names: they belong to this process and go with it, however it ends.
 * Sockets stay in the namespace they were made in, so one process holds both ends of everything.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/tcp.h>

#include "bed.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { CHUNK = 16384 };

struct link *links;
struct capture *captures;
size_t capture_count;
char lb_output[8192], lb_log[256];
const char *lb_path;
char why[512];

static enum form form;
static const char *netns_name[SIDES];
static int netns[SIDES], home;
static int listener[MODES][2];		/* [mptcp] */
static int sniffer[SIDES] = { -1, -1 };
static size_t capture_room;
static pid_t lb_pid;
static int lb_stderr;
static unsigned int run_count;

bool fail(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vsnprintf(why, sizeof(why), format, ap);
	va_end(ap);
	return false;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

/* ---- namespaces ---- */

bool bed_enter(int where)
{
	return !setns(where < 0 ? home : netns[where], CLONE_NEWNET);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		if (write(fd, text, strlen(text)) < 0)
			perror(path);
		close(fd);
	}
}

static bool netns_new(int where)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int s;

	if (unshare(CLONE_NEWNET))
		return fail("unshare: %s", strerror(errno));
	/* Inherited by the balancer, which opens /proc/self/fd/N. */
	netns[where] = open("/proc/self/ns/net", O_RDONLY);
	if (form == ONE_NETNS)
		netns[SERVER_SIDE] = netns[where];
	s = socket(AF_INET, SOCK_DGRAM, 0);
	if (netns[where] < 0 || s < 0 || ioctl(s, SIOCSIFFLAGS, &ifr))
		return fail("new namespace: %s", strerror(errno));
	close(s);
	write_file("/proc/sys/net/ipv4/tcp_fastopen", "3");
	write_file("/proc/sys/net/ipv4/conf/all/rp_filter", "1");
	write_file("/proc/sys/net/ipv4/conf/default/rp_filter", "1");
	write_file("/proc/sys/net/ipv4/tcp_max_syn_backlog", "8192");
	write_file("/proc/sys/net/core/somaxconn", "8192");
	return true;
}

static int listen_on(enum mode m, bool mptcp)
{
	uint16_t port = htons(BACKEND_PORT + mptcp);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = port };
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = port };
	bool six = m == V6;
	int one = 1, queue = 256, fd;

	fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    mptcp ? IPPROTO_MPTCP : 0);
	if (fd < 0)
		return -1;
	if (six)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (bind(fd, six ? (void *)&a : (void *)&a4, six ? sizeof(a) : sizeof(a4)) ||
	    listen(fd, 4096)) {
		close(fd);
		return -1;
	}
	return fd;
}

static bool netns_old(int where)
{
	char path[256];

	snprintf(path, sizeof(path), "/run/netns/%s", netns_name[where]);
	netns[where] = netns_name[where] ? open(path, O_RDONLY | O_CLOEXEC) : home;
	if (netns[where] < 0 || !bed_enter(where))
		return fail("%s: %s", path, strerror(errno));
	return true;
}

static bool netns_all(void)
{
	if (form == PREPARED)
		return netns_old(CLIENT_SIDE) && netns_old(SERVER_SIDE);
	return netns_new(CLIENT_SIDE) && (form == ONE_NETNS || netns_new(SERVER_SIDE));
}

/**
 * bed_init() - the namespaces, with listening servers in one of them
 * @f: whose namespaces, and how many
 * @client_netns: for PREPARED, a name of `ip netns`, or NULL
 * @server_netns: the same
 */
bool bed_init(enum form f, const char *client_netns, const char *server_netns)
{
	struct rlimit files = { 20000, 20000 };
	int m;

	signal(SIGPIPE, SIG_IGN);
	setrlimit(RLIMIT_NOFILE, &files);
	home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	form = f;
	netns_name[CLIENT_SIDE] = client_netns;
	netns_name[SERVER_SIDE] = server_netns;
	if (home < 0 || !netns_all())
		return false;
	for (m = 0; m < MODES; m++) {
		listener[m][0] = m == NAT64 ? listener[SNAT][0] : listen_on(m, false);
		listener[m][1] = m == NAT64 ? listener[SNAT][1] : listen_on(m, true);
		if (listener[m][0] < 0)
			return fail("listen: %s", strerror(errno));
	}
	return bed_enter(-1);
}

/* A counter of /proc/net/snmp's Tcp lines, summed over both namespaces. */
long tcp_counter(const char *name)
{
	char names[1024], values[1024], *n, *v, *sn, *sv;
	long total = 0;
	int i;

	for (i = 0; i < SIDES; i++) {
		FILE *f;

		bed_enter(i);
		f = fopen("/proc/self/net/snmp", "re");
		while (f && fgets(names, sizeof(names), f) && fgets(values, sizeof(values), f)) {
			if (strncmp(names, "Tcp:", 4))
				continue;
			n = strtok_r(names, " \n", &sn);
			v = strtok_r(values, " \n", &sv);
			while (n && v) {
				if (!strcmp(n, name))
					total += atol(v);
				n = strtok_r(NULL, " \n", &sn);
				v = strtok_r(NULL, " \n", &sv);
			}
		}
		if (f)
			fclose(f);
	}
	bed_enter(-1);
	return total;
}

/* ---- the balancer ---- */

static bool lb_read_until(const char *word, unsigned int ms)
{
	size_t n = strlen(lb_output);
	uint64_t end = now_ms() + ms;

	while (!strstr(lb_output, word)) {
		struct pollfd p = { .fd = lb_stderr, .events = POLLIN };
		ssize_t len;

		if (now_ms() >= end || n + 1 >= sizeof(lb_output) || poll(&p, 1, 100) < 0)
			return false;
		if (!p.revents)
			continue;
		len = read(lb_stderr, lb_output + n, sizeof(lb_output) - 1 - n);
		if (len <= 0)
			return false;
		n += len;
		lb_output[n] = 0;
	}
	return true;
}

static void lb_arg(const char **argv, const char *a, const char *b)
{
	while (*argv)
		argv++;
	*argv++ = a;
	*argv = b;
}

static void lb_exec(const struct run *r)
{
	static const char * const vip[MODES] = { "203.0.113.1", "[2001:db8:f::1]",
						 "[2001:db8:f::2]" };
	static const char * const backend[MODES] = { "10.99.1.1", "10.99.1.1", "[2001:db8:d::1]" };
	static const char * const option[SIDES] = { "--client-netns", "--server-netns" };
	char service[600], ns[SIDES][40], ports[40];
	const char *argv[64] = { lb_path, "--log", lb_log, "--service", service, "--pool",
				 "10.99.0.1-10.99.0.4", "--pool", "2001:db8:b::1-2001:db8:b::4" };
	unsigned int i;

	for (i = 0; i < SIDES && form != ONE_NETNS; i++) {
		snprintf(ns[i], sizeof(ns[i]), "/proc/self/fd/%d", netns[i]);
		if (form == TWO_NETNS)
			lb_arg(argv, option[i], ns[i]);
		else if (netns_name[i])
			lb_arg(argv, option[i], netns_name[i]);
	}
	if (form == PREPARED) {
		lb_arg(argv, "--no-setup", NULL);
	} else {
		lb_arg(argv, "--client-addr", "198.51.100.1-198.51.100.20");
		lb_arg(argv, "--client-addr", "2001:db8:c::1-2001:db8:c::14");
		lb_arg(argv, "--server-addr", "10.99.1.1");
		lb_arg(argv, "--server-addr", "2001:db8:d::1");
	}
	if (r->one_device) {
		lb_arg(argv, "--tun", "toa-c");
	} else {
		lb_arg(argv, "--client-tun", "toa-c");
		lb_arg(argv, "--server-tun", "toa-s");
	}
	snprintf(service, sizeof(service), "%s:%d=%s:%d%s", vip[r->mode], VIP_PORT,
		 backend[r->mode], BACKEND_PORT + r->mptcp, r->keys ? r->keys : "");
	if (!r->keep_ports) {
		/* A backend's TIME_WAIT of an earlier run is not to be met again. */
		snprintf(ports, sizeof(ports), "%u-%u", 2000 + run_count % 60 * 1000,
			 2999 + run_count % 60 * 1000);
		lb_arg(argv, "--ports", ports);
	}
	for (i = 0; r->args[i]; i++)
		lb_arg(argv, r->args[i], NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(lb_stderr, 2);
	if (form == ONE_NETNS)
		bed_enter(CLIENT_SIDE);
	execv(lb_path, (char **)argv);
	_exit(127);
}

/**
 * lb_start() - start the balancer for a run and wait until it is ready
 * @r: the run
 */
bool lb_start(const struct run *r)
{
	int fds[2];

	run_count++;
	lb_output[0] = 0;
	unlink(lb_log);
	if (pipe2(fds, O_CLOEXEC))
		return fail("pipe: %s", strerror(errno));
	fflush(stdout);
	lb_pid = fork();
	if (!lb_pid) {
		lb_stderr = fds[1];
		lb_exec(r);
	}
	close(fds[1]);
	lb_stderr = fds[0];
	if (lb_pid < 0)
		return fail("fork: %s", strerror(errno));
	if (lb_read_until("ready\n", 5000))
		return true;
	fail("the balancer did not get ready: %.300s", lb_output);
	kill(lb_pid, SIGKILL);
	waitpid(lb_pid, NULL, 0);
	close(lb_stderr);
	return false;
}

/* Ends the balancer; it has to end by itself, with status 0 and its counters. */
bool lb_stop(void)
{
	uint64_t end = now_ms() + 3000;
	int status = -1;
	pid_t got = 0;
	bool counters;

	*lb_output = 0;
	kill(lb_pid, SIGTERM);
	counters = lb_read_until("reordered=", 3000);
	while (!got && now_ms() < end) {
		got = waitpid(lb_pid, &status, WNOHANG);
		if (!got)
			usleep(2000);
	}
	if (!got) {
		kill(lb_pid, SIGKILL);
		waitpid(lb_pid, &status, 0);
	}
	close(lb_stderr);
	if (!counters || status)
		return fail("the balancer ended with status %#x: %.300s", status, lb_output);
	return true;
}

long lb_counter(const char *name)
{
	char word[64];
	const char *p;

	snprintf(word, sizeof(word), " %s=", name);
	p = strstr(lb_output, word);
	return p ? atol(p + strlen(word)) : -1;
}

long lb_counter_now(const char *name)
{
	*lb_output = 0;
	kill(lb_pid, SIGUSR1);
	if (!lb_read_until("reordered=", 3000) || !lb_read_until("\n", 3000))
		return -1;
	return lb_counter(name);
}

/* ---- sniffers ---- */

void sniff_start(void)
{
	static const char * const name[SIDES] = { "toa-c", "toa-s" };
	int i, size = 256 << 20;

	capture_count = 0;
	for (i = 0; i < SIDES; i++) {
		struct ifreq ifr = { .ifr_flags = 0 };
		struct sockaddr_ll ll = { .sll_family = AF_PACKET };

		if (sniffer[i] >= 0)
			close(sniffer[i]);
		bed_enter(i);
		sniffer[i] = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		strcpy(ifr.ifr_name, name[i]);
		ioctl(sniffer[i], SIOCGIFINDEX, &ifr);
		ll.sll_protocol = htons(ETH_P_ALL);
		ll.sll_ifindex = ifr.ifr_ifindex;
		setsockopt(sniffer[i], SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
		if (bind(sniffer[i], (void *)&ll, sizeof(ll)))
			perror("sniffer");
	}
	bed_enter(-1);
}

void sniff_drain(void)
{
	struct sockaddr_ll ll;
	struct capture *c;
	socklen_t size;
	ssize_t len;
	int i;

	for (i = 0; i < SIDES; i++) {
		for (;;) {
			if (capture_count == capture_room) {
				capture_room = capture_room ? capture_room * 2 : 4096;
				captures = realloc(captures, capture_room * sizeof(*captures));
				if (!captures)
					abort();
			}
			c = &captures[capture_count];
			size = sizeof(ll);
			len = recvfrom(sniffer[i], c->bytes, sizeof(c->bytes), MSG_TRUNC,
				       (void *)&ll, &size);
			if (len < 0)
				break;
			c->where = i;
			c->len = len;
			c->to_host = ll.sll_pkttype != PACKET_OUTGOING;
			capture_count++;
		}
	}
}

/* ---- connections ---- */

static void client_address(enum mode m, unsigned int n, unsigned int port,
			   struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in *a = (void *)ss;
	struct sockaddr_in6 *a6 = (void *)ss;
	char text[64];

	memset(ss, 0, sizeof(*ss));
	if (m == SNAT) {
		snprintf(text, sizeof(text), "198.51.100.%u", 1 + n % CLIENT_ADDRS);
		a->sin_family = AF_INET;
		a->sin_port = htons(port);
		inet_pton(AF_INET, text, &a->sin_addr);
		*len = sizeof(*a);
	} else {
		snprintf(text, sizeof(text), "2001:db8:c::%x", 1 + n % CLIENT_ADDRS);
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &a6->sin6_addr);
		*len = sizeof(*a6);
	}
}

static void vip_address(enum mode m, struct sockaddr_storage *ss, socklen_t *len)
{
	client_address(m, 0, VIP_PORT, ss, len);
	if (m == SNAT)
		inet_pton(AF_INET, "203.0.113.1", &((struct sockaddr_in *)ss)->sin_addr);
	else
		inet_pton(AF_INET6, m == NAT64 ? "2001:db8:f::1" : "2001:db8:f::2",
			  &((struct sockaddr_in6 *)ss)->sin6_addr);
}

/**
 * client_socket() - a non-blocking socket in the client's namespace, bound to its n-th address
 * @m: decides the family
 * @mptcp: the protocol
 * @n: which address
 * @port: 0: any
 */
int client_socket(enum mode m, bool mptcp, unsigned int n, unsigned int port)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int one = 1, fd;

	bed_enter(CLIENT_SIDE);
	fd = socket(m == SNAT ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    mptcp ? IPPROTO_MPTCP : 0);
	bed_enter(-1);
	client_address(m, n, port, &ss, &len);
	if (port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (fd < 0 || bind(fd, (void *)&ss, len)) {
		fail("client socket: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int client_connect(enum mode m, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len;

	vip_address(m, &ss, &len);
	return connect(fd, (void *)&ss, len) && errno != EINPROGRESS ? -1 : 0;
}

int server_accept(enum mode m, unsigned int ms)
{
	struct pollfd p = { .fd = listener[m][0], .events = POLLIN };

	if (poll(&p, 1, ms) != 1)
		return -1;
	return accept4(p.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* What byte @at of connection @id's stream is; the first 8 upwards are its number. */
static uint8_t stream_byte(unsigned int id, bool up, size_t at)
{
	uint32_t v = (id * 2 + up) * 2654435761u + (at >> 2) * 2246822519u;

	if (up && at < 8)
		return at < 4 ? 0 : id >> (8 * (7 - at));
	v ^= v >> 15;
	v *= 2654435761u;
	return v >> (8 * (at & 3));
}

static void arm(int ep, struct side *s, bool add, bool out)
{
	struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = s };

	s->armed_out = out;
	epoll_ctl(ep, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, s->fd, &e);
}

static void side_write(const struct run *r, int ep, struct side *s)
{
	size_t total = s->client ? r->up : r->down;
	uint8_t buf[CHUNK];
	ssize_t n;
	size_t i, want;

	while (s->sent < total) {
		want = total - s->sent < CHUNK ? total - s->sent : CHUNK;
		for (i = 0; i < want; i++)
			buf[i] = stream_byte(s->link->id, s->client, s->sent + i);
		n = send(s->fd, buf, want, 0);
		if (n <= 0)
			break;
		s->sent += n;
	}
	if (s->armed_out != (s->sent < total))
		arm(ep, s, false, s->sent < total);
}

static bool side_read(const struct run *r, struct side *s)
{
	size_t total = s->client ? r->down : r->up;
	uint8_t buf[CHUNK];
	ssize_t n, i;

	for (;;) {
		n = recv(s->fd, buf, sizeof(buf), 0);
		if (n < 0) {
			if (errno == EAGAIN)
				return true;
			s->reset = errno == ECONNRESET;
			s->eof = true;
			return s->reset && s->link->closing ? true :
				fail("connection %u, %s: %s", s->link->id,
				     s->client ? "client" : "server", strerror(errno));
		}
		if (!n) {
			s->eof = true;
			return s->link->closing ? true :
				fail("connection %u: early end at the %s", s->link->id,
				     s->client ? "client" : "server");
		}
		for (i = 0; i < n; i++, s->got++)
			if (s->got >= total ||
			    buf[i] != stream_byte(s->link->id, !s->client, s->got))
				return fail("connection %u: wrong byte %zu at the %s", s->link->id,
					    s->got, s->client ? "client" : "server");
	}
}

static void side_close(struct side *s, bool reset)
{
	struct linger l = { 1, 0 };

	if (s->fd < 0)
		return;
	if (reset)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s->fd);
	s->fd = -1;
}

static void link_begin_close(const struct run *r, struct link *l)
{
	bool client = r->ending == CLIENT_FIN || r->ending == CLIENT_RST;
	struct side *s = &l->end[client ? CLIENT_SIDE : SERVER_SIDE];

	l->closing = true;
	if (r->ending == CLIENT_RST || r->ending == SERVER_RST)
		side_close(s, true);
	else
		shutdown(s->fd, SHUT_WR);
}

/* Both ends closed in the way the run wants? The one that did not begin follows here. */
static bool link_follow_close(const struct run *r, struct link *l, bool *ok)
{
	bool client = r->ending == CLIENT_FIN || r->ending == CLIENT_RST;
	bool reset = r->ending == CLIENT_RST || r->ending == SERVER_RST;
	struct side *first = &l->end[client ? CLIENT_SIDE : SERVER_SIDE];
	struct side *second = &l->end[client ? SERVER_SIDE : CLIENT_SIDE];

	if (second->fd >= 0 && second->eof) {
		if (second->reset != reset)
			*ok = fail("connection %u: the end was %s reset", l->id,
				   reset ? "not" : "a");
		side_close(second, false);
	}
	if (first->fd >= 0 && first->eof)
		side_close(first, false);
	return first->fd < 0 && second->fd < 0;
}

static bool link_open(const struct run *r, struct link *l, int ep)
{
	struct side *s = &l->end[CLIENT_SIDE];
	struct sockaddr_storage ss;
	socklen_t len;
	uint8_t buf[512];
	size_t i;

	s->fd = client_socket(r->mode, r->mptcp, l->id, 0);
	if (s->fd < 0)
		return false;
	if (r->fastopen) {
		ssize_t n;

		for (i = 0; i < sizeof(buf); i++)
			buf[i] = stream_byte(l->id, true, i);
		vip_address(r->mode, &ss, &len);
		n = sendto(s->fd, buf, sizeof(buf) < r->up ? sizeof(buf) : r->up, MSG_FASTOPEN,
			   (void *)&ss, len);
		if (n < 0 && errno != EINPROGRESS)
			return fail("sendto(MSG_FASTOPEN): %s", strerror(errno));
		s->sent = n > 0 ? n : 0;
	} else if (client_connect(r->mode, s->fd)) {
		return fail("connect: %s", strerror(errno));
	}
	arm(ep, s, true, true);
	len = sizeof(l->real);
	getsockname(s->fd, (void *)&l->real, &len);
	return true;
}

/* Accepted sockets wait here until their first 8 bytes say which connection they are. */
static void accept_all(const struct run *r, int ep)
{
	int fd;

	while ((fd = accept4(listener[r->mode][r->mptcp], NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct side *s = calloc(1, sizeof(*s));

		if (!s)
			abort();
		s->fd = fd;
		arm(ep, s, true, false);
	}
}

static struct side *identify(const struct run *r, struct side *s, int ep)
{
	struct link *l;
	struct side *end;
	socklen_t len;
	ssize_t n;

	n = recv(s->fd, s->head + s->got, 8 - s->got, 0);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return NULL;
		close(s->fd);
		free(s);
		return NULL;
	}
	s->got += n;
	if (s->got < 8)
		return NULL;
	n = s->head[4] << 24 | s->head[5] << 16 | s->head[6] << 8 | s->head[7];
	if (n < 0 || n >= r->links || links[n].end[SERVER_SIDE].fd >= 0) {
		close(s->fd);
		free(s);
		return NULL;
	}
	l = &links[n];
	end = &l->end[SERVER_SIDE];
	end->fd = s->fd;
	end->got = 8;
	free(s);
	arm(ep, end, false, true);
	len = sizeof(l->seen);
	getpeername(end->fd, (void *)&l->seen, &len);
	return end;
}

static bool link_progress(const struct run *r, struct link *l, unsigned int *done,
			  unsigned int *closed)
{
	struct side *c = &l->end[CLIENT_SIDE], *s = &l->end[SERVER_SIDE];
	bool ok = true;

	if (!l->done && c->sent == r->up && c->got == r->down && s->sent == r->down &&
	    s->got == r->up) {
		l->done = true;
		(*done)++;
		if (!r->hold)
			link_begin_close(r, l);
	}
	if (l->closing && !l->closed && link_follow_close(r, l, &ok)) {
		l->closed = true;
		(*closed)++;
	}
	return ok;
}

static bool transfer_loop(const struct run *r, int ep)
{
	uint64_t end = now_ms() + (r->seconds ? r->seconds : 15) * 1000;
	unsigned int i, done = 0, closed = 0;
	struct epoll_event ev[256];

	while (closed < r->links) {
		int k, n = epoll_wait(ep, ev, 256, 100);

		sniff_drain();
		if (now_ms() > end)
			return fail("time over: %u of %u done, %u closed", done, r->links, closed);
		for (k = 0; k < n; k++) {
			struct side *s = ev[k].data.ptr;

			if (!s) {
				accept_all(r, ep);
				continue;
			}
			if (!s->link)
				s = identify(r, s, ep);
			if (!s || s->fd < 0)
				continue;
			if (!side_read(r, s))
				return false;
			side_write(r, ep, s);
			if (!link_progress(r, s->link, &done, &closed))
				return false;
		}
		for (i = 0; r->hold && done == r->links && i < r->links; i++)
			if (!links[i].closing)
				link_begin_close(r, &links[i]);
	}
	return true;
}

/**
 * transfer() - open all connections of a run, send both ways, compare, close
 * @r: the run
 */
bool transfer(const struct run *r)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN };
	unsigned int i, j;
	bool ok = true;

	free(links);
	links = calloc(r->links, sizeof(*links));
	if (ep < 0 || !links)
		return fail("transfer: %s", strerror(errno));
	epoll_ctl(ep, EPOLL_CTL_ADD, listener[r->mode][r->mptcp], &e);
	for (i = 0; i < r->links; i++) {
		links[i].id = i;
		for (j = 0; j < SIDES; j++) {
			links[i].end[j].fd = -1;
			links[i].end[j].link = &links[i];
			links[i].end[j].client = j == CLIENT_SIDE;
		}
	}
	for (i = 0; ok && i < r->links; i++)
		ok = link_open(r, &links[i], ep);
	ok = ok && transfer_loop(r, ep);
	for (i = 0; i < r->links; i++)
		for (j = 0; j < SIDES; j++)
			side_close(&links[i].end[j], true);
	close(ep);
	usleep(5000);
	sniff_drain();
	return ok;
}
