// SPDX-License-Identifier: GPL-2.0
/*
 * bed.c - namespaces, balancer process and sniffers for the balancer's own tests.
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

struct capture *captures;
size_t capture_count;
char lb_output[8192], lb_log[256];
const char *lb_path;
char why[512];

static enum form form;
static const char *netns_name[SIDES];
static int netns[SIDES], home;
int listener[MODES][2];
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

uint64_t now_ms(void)
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
	const char *argv[64] = { lb_path, "--log", lb_log, "--service", service };
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
	lb_arg(argv, "--pool", r->one_address ? "10.99.0.1" : "10.99.0.1-10.99.0.4");
	lb_arg(argv, "--pool", r->one_address ? "2001:db8:b::1" : "2001:db8:b::1-2001:db8:b::4");
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
	uint64_t end = now_ms() + 20000;
	int status = -1;
	pid_t got = 0;
	bool counters;

	*lb_output = 0;
	kill(lb_pid, SIGTERM);
	counters = lb_read_until("reordered=", 20000);
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
