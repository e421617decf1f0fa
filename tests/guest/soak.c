// SPDX-License-Identifier: GPL-2.0
/*
 * Mixed traffic through the test balancer: many connections at once, in all ways that one can come
 * about, at random, while packets are lost, doubled and overtaken. Each connection's answers are
 * compared with what the balancer sent for it.
 *
 * The clients live in a network namespace of their own, the servers in the initial one. There are
 * two balancers: a bad one, which loses packets, and a good one, for the ways where a lost packet
 * takes the only copy of the option with it, or what decides between two addresses.
 *
 * A client's first bytes say who it is and which way it took; so the server knows what its socket
 * must say: what the module's rules make of what stood in each segment, the client's own options
 * too. Ends with a table. Not one of the suite: scripts/soak runs it.
 */
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum way { SNAT, NAT64, V6TO6, WAYS };
enum carried {
	NOWHERE, IN_SYN, IN_ACK, IN_DATA, IN_LATER, IN_ALL, TWO_KINDS, DISAGREE, DISAGREE_LOSSY,
	FORGED_OTHER, FORGED_SAME, FORGED_SYN, FORGED_LATER,
	CARRIED
};

enum listener { PLAIN, DUAL, DEFERRED, FASTOPEN, REUSEPORT, MPTCP, LISTENERS };

enum {
	PORT = 10000,
	DEFERRED_PORT = 9999,		/* of the good balancer, see drops_are_seen() */
	SERVERS = 3,			/* threads */
	IN_FLIGHT = 128,		/* connections */
	PHASE = 800,			/* as well */
	CLIENT_ADDRS = 8,
	GIVE_UP_MS = 90000,
	SETTLE_MS = 240000,
};

static const char *const way_name[WAYS] = { "IPv4", "NAT64", "IPv6" };
static const char *const carried_name[CARRIED] = {
	[NOWHERE] = "none",
	[IN_SYN] = "SYN",
	[IN_ACK] = "ACK",
	[IN_DATA] = "data",
	[IN_LATER] = "ACK and data",
	[IN_ALL] = "all segments",
	[TWO_KINDS] = "both kinds",
	[DISAGREE] = "SYN and ACK disagree",
	[DISAGREE_LOSSY] = "disagree, with losses",
	[FORGED_OTHER] = "all, client's of other",
	[FORGED_SAME] = "all, client's of same",
	[FORGED_SYN] = "later, client's in SYN",
	[FORGED_LATER] = "SYN, client's later",
};

static const char *const listener_name[LISTENERS] = {
	"plain", "dual-stack", "deferred", "Fast Open", "SO_REUSEPORT", "MPTCP",
};

#define CLAIM_SYN ",in=all,claim.syn=203.0.113.99:99,claim.syn=[2001:db8:bad::99]:99"

/* What a client writes itself, that would be somebody else: a kind 200 and a kind 253. */
#define FORGED_PORT 666
#define FORGED_V4 "192.0.2.66"
#define FORGED_V6 "2001:db8:f0::66"
#define OWN_V4 "c808029ac0000242"
#define OWN_V6 "fd14029a20010db800f000000000000000000066"

/* One for SNAT, one for the others. */
static const char *const forged_keys[CARRIED][2] = {
	[FORGED_OTHER] = { ",in=all,own=" OWN_V6, ",in=all,own=" OWN_V4 },
	[FORGED_SAME] = { ",in=all,own=" OWN_V4, ",in=all,own=" OWN_V6 },
	[FORGED_SYN] = { ",in=ack+data,own.syn=" OWN_V6, ",in=ack+data,own.syn=" OWN_V4 },
	[FORGED_LATER] = { ",in=syn,room=fit,own.ack=" OWN_V4 ",own.data=" OWN_V4,
			   ",in=syn,room=fit,own.ack=" OWN_V6 ",own.data=" OWN_V6 },
};

static const char *const carried_keys[CARRIED] = {
	[NOWHERE] = ",in=none",
	[IN_SYN] = ",in=syn,room=fit",
	[IN_ACK] = ",in=ack",
	/* The ACK must be lost: with syncookies it makes a deferred connection too. */
	[IN_DATA] = ",in=data,drop.ack=1000",
	[IN_LATER] = ",in=ack+data",
	[IN_ALL] = ",in=all",
	[TWO_KINDS] = ",in=all,opt=both",
	[DISAGREE] = CLAIM_SYN,
	[DISAGREE_LOSSY] = CLAIM_SYN,
};

/* One way to come about, and what became of it. */
struct kind_of_conn {
	enum way way;
	enum carried carried;
	enum listener listener;
	bool good;			/* the balancer */
	bool used;
	unsigned long checked, lost, wrong;
};

enum { ALL_WAYS = WAYS * CARRIED * LISTENERS };

static struct kind_of_conn kinds[ALL_WAYS];
static pthread_mutex_t counts = PTHREAD_MUTEX_INITIALIZER;	/* of the counters above */

/* A client's first bytes. */
struct hello {
	uint32_t magic;
	uint32_t index;			/* of kinds[] */
	uint64_t id;			/* of all connections */
	struct sockaddr_storage client;
};

enum { MAGIC = 0x544f4131 };

static unsigned long conns = 20000, seed = 1;
static const char *params = "";		/* of the module */
static bool both;			/* both=1 is one of them */
static double faults = 1;
static int client_ns, server_ns;
static int listeners[ALL_WAYS * 2], listener_count;
static pid_t balancer[2];
static int stopping;
static unsigned long done, open_now, ghosts;
static bool *seen;			/* by @id */
static unsigned int complaints;
static char mechanism[64];		/* what the module says that it hooks by */

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("soak: ", stderr);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, " (%s)\n", strerror(errno));
	va_end(ap);
	exit(2);
}

static uint32_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull) >> 33;
}

static void set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	/* Whatever this kernel does not have, it does without. */
	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0;
	close(fd);
}

/*
 * The ways
 */

static bool possible(enum way way, enum carried carried, enum listener listener)
{
	bool later = carried == IN_ACK || carried == IN_DATA || carried == IN_LATER ||
		     carried == DISAGREE || carried == DISAGREE_LOSSY || carried == FORGED_SYN ||
		     carried == FORGED_LATER;

	/* A Fast Open SYN makes the connection: what comes later is too late. */
	if (listener == FASTOPEN && later)
		return false;
	/* MPTCP leaves no room for more. */
	if (listener == MPTCP && carried != NOWHERE && carried != IN_SYN)
		return false;
	/* On the wire that is the plain one. */
	return listener != DUAL || way != V6TO6;
}

static bool server_is_v6(const struct kind_of_conn *k)
{
	return k->way == V6TO6 || k->listener == DUAL;
}

static void choose_ways(void)
{
	int i;

	for (i = 0; i < ALL_WAYS; i++) {
		struct kind_of_conn *k = &kinds[i];

		k->way = i / (CARRIED * LISTENERS);
		k->carried = i / LISTENERS % CARRIED;
		k->listener = i % LISTENERS;
		k->good = k->carried == IN_ACK || k->carried == IN_DATA || k->carried == IN_LATER ||
			  k->carried == DISAGREE || k->carried == FORGED_SYN ||
			  k->carried == FORGED_LATER;
		k->used = possible(k->way, k->carried, k->listener);
	}
}

/*
 * The balancers
 */

static const char *vip(const struct kind_of_conn *k)
{
	static const char *const v4[] = { "203.0.113.10", "203.0.113.20" };
	static const char *const nat64[] = { "2001:db8:f::10", "2001:db8:f::20" };
	static const char *const v6[] = { "2001:db8:f::16", "2001:db8:f::26" };

	return k->way == SNAT ? v4[k->good] : k->way == NAT64 ? nat64[k->good] : v6[k->good];
}

static char *service(int i)
{
	static const char *const v4[] = { "10.99.1.1", "10.99.1.2" };
	static const char *const v6[] = { "[2001:db8:d::1]", "[2001:db8:d::2]" };
	struct kind_of_conn *k = &kinds[i];
	char *text;

	if (asprintf(&text, k->way == SNAT ? "%s:%d=%s:%d%s" : "[%s]:%d=%s:%d%s", vip(k), PORT + i,
		     k->way == V6TO6 ? v6[k->good] : v4[k->good], PORT + i,
		     k->carried < FORGED_OTHER ? carried_keys[k->carried] :
		     forged_keys[k->carried][k->way != SNAT]) < 0)
		die("no memory");
	return text;
}

/* A listener with TCP_DEFER_ACCEPT */
static int deferred_way(void)
{
	return (SNAT * CARRIED + IN_ACK) * LISTENERS + DEFERRED;
}

/* For drops_are_seen(): the ACK names a client that nobody may claim to be. */
static char *deferred_service(void)
{
	int i = deferred_way();
	char *text;

	if (asprintf(&text, "%s:%d=10.99.1.2:%d,in=ack,claim=127.0.0.1:1", vip(&kinds[i]),
		     DEFERRED_PORT, PORT + i) < 0)
		die("no memory");
	return text;
}

static char *words[2 * ALL_WAYS + 40];
static int word_count;

static void argument(const char *name, const char *value)
{
	words[word_count++] = (char *)name;
	words[word_count++] = (char *)value;
}

static void start_balancer(const char *path, bool good)
{
	char client[64], server[64], percent[32], seed_text[32];
	int i, status;

	word_count = 0;
	snprintf(client, sizeof(client), "/proc/%d/fd/%d", getpid(), client_ns);
	snprintf(server, sizeof(server), "/proc/%d/fd/%d", getpid(), server_ns);
	snprintf(percent, sizeof(percent), "%g", faults);
	snprintf(seed_text, sizeof(seed_text), "%lu", seed);
	words[word_count++] = (char *)path;
	argument("--client-netns", client);
	argument("--server-netns", server);
	argument("--client-tun", good ? "good-c" : "bad-c");
	argument("--server-tun", good ? "good-s" : "bad-s");
	argument("--client-addr",
		 good ? "198.51.100.101-198.51.100.108" : "198.51.100.1-198.51.100.8");
	argument("--client-addr",
		 good ? "2001:db8:c::101-2001:db8:c::108" : "2001:db8:c::1-2001:db8:c::8");
	argument("--server-addr", good ? "10.99.1.2" : "10.99.1.1");
	argument("--server-addr", good ? "2001:db8:d::2" : "2001:db8:d::1");
	argument("--pool", good ? "10.99.0.2" : "10.99.0.1");
	argument("--pool", good ? "2001:db8:b::2" : "2001:db8:b::1");
	/* Few ports: tuples come again while the server still has the last one in TIME_WAIT. */
	argument("--ports", "20000-22999");
	argument("--linger", "1");
	argument("--pidfile", good ? "/tmp/soak-good" : "/tmp/soak-bad");
	words[word_count++] = "--daemon";
	if (!good && faults > 0) {
		argument("--loss", percent);
		argument("--dup", percent);
		argument("--reorder", percent);
		argument("--seed", seed_text);
	}
	for (i = 0; i < ALL_WAYS; i++)
		if (kinds[i].used && kinds[i].good == good)
			argument("--service", service(i));
	if (good)
		argument("--service", deferred_service());
	words[word_count] = NULL;
	if (!fork()) {
		execv(path, words);
		_exit(127);
	}
	if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status))
		die("%s does not start", path);
}

static pid_t pid_in(const char *path)
{
	char text[32] = "";

	if (!read_file(path, text, sizeof(text)))
		die("no %s", path);
	return atoi(text);
}

static void in_ns(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		die("setns");
}

/* What the stacks send gets lost too. */
static void netem(void)
{
	char command[256];
	int ns;

	for (ns = 0; ns < 2; ns++) {
		in_ns(ns ? client_ns : server_ns);
		snprintf(command, sizeof(command),
			 "tc qdisc add dev bad-%c root netem delay 2ms loss %g%% duplicate %g%% reorder %g%% 50%% limit 10000",
			 ns ? 'c' : 's', faults, faults, 5 * faults);
		errno = 0;
		if (faults > 0 && system(command))
			die("no tc with netem: --faults 0 goes without");
	}
	in_ns(server_ns);
}

static int open_ns(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

static void set_up(const char *lb)
{
	server_ns = open_ns();
	if (unshare(CLONE_NEWNET))
		die("unshare");
	client_ns = open_ns();
	/* Data goes into any SYN, */
	set("/proc/sys/net/ipv4/tcp_fastopen", "5");
	set("/proc/sys/net/ipv4/tcp_fastopen_blackhole_timeout_sec", "0");
	set("/proc/sys/net/ipv4/tcp_syn_linear_timeouts", "0");
	in_ns(server_ns);
	/* and is taken there, without cookies. */
	set("/proc/sys/net/ipv4/tcp_fastopen", "0x203");
	set("/proc/sys/net/ipv4/tcp_max_syn_backlog", "4096");
	set("/proc/sys/net/core/somaxconn", "4096");
	/* What the network has lost of the last words is not waited for. */
	set("/proc/sys/net/ipv4/tcp_fin_timeout", "10");
	set("/proc/sys/net/ipv4/tcp_orphan_retries", "3");
	if (system("modprobe tun 2>/dev/null; modprobe sch_netem 2>/dev/null"))
		errno = 0;
	start_balancer(lb, false);
	start_balancer(lb, true);
	balancer[0] = pid_in("/tmp/soak-bad");
	balancer[1] = pid_in("/tmp/soak-good");
	netem();
}

/*
 * Servers
 */

static void listen_at(int i)
{
	struct kind_of_conn *k = &kinds[i];
	int v6 = server_is_v6(k), one = 1, only = k->listener != DUAL, wait_s = 30, queue = 1024;
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT + i) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(PORT + i) };
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
			k->listener == MPTCP ? IPPROTO_MPTCP : 0);

	if (fd < 0 && k->listener == MPTCP) {
		k->used = false;
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (k->listener == REUSEPORT)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (k->listener == DEFERRED)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_s, sizeof(wait_s));
	if (v6 ? bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) :
		 bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		die("bind to port %d", PORT + i);
	if (listen(fd, 1024))
		die("listen");
	if (k->listener == FASTOPEN)
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	listeners[listener_count++] = fd;
}

static bool same(const struct sockaddr_storage *a, int family, const void *addr, uint16_t port)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;

	if (a->ss_family != family || sin->sin_port != port)
		return false;
	return family == AF_INET ? !memcmp(&sin->sin_addr, addr, 4) :
				   !memcmp(&sin6->sin6_addr, addr, 16);
}

static bool is_balancer(const struct sockaddr_storage *a, bool good)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	const char *v4 = good ? "10.99.0.2" : "10.99.0.1";
	char mapped_v4[32], v6[] = "2001:db8:b::1";
	struct in6_addr want;
	struct in_addr want4;

	v6[strlen(v6) - 1] += good;
	snprintf(mapped_v4, sizeof(mapped_v4), "::ffff:%s", v4);
	inet_pton(AF_INET, v4, &want4);
	if (a->ss_family == AF_INET)
		return sin->sin_addr.s_addr == want4.s_addr;
	inet_pton(AF_INET6, v6, &want);
	if (!memcmp(&want, &sin6->sin6_addr, 16))
		return true;
	inet_pton(AF_INET6, mapped_v4, &want);
	return !memcmp(&want, &sin6->sin6_addr, 16);
}

/*
 * What the segments say: of each kind, whom it names. The client, or whom its SYN claims where SYN
 * and ACK disagree, or whom the client itself wrote.
 */
enum who { NOBODY, CLIENT, CLAIMED, FORGED };

enum { SYN, ACK, DATA, SEGMENTS };

static const char *const segment_name[SEGMENTS] = { "syn", "ack", "data" };
static bool counts_in[SEGMENTS] = { true, true, true };	/* segments= */

struct words {
	enum who v4, v6;
	bool v6_first;
};

static struct words words_of(const struct kind_of_conn *k, int segment)
{
	const enum carried c = k->carried;
	const bool snat = k->way == SNAT;
	bool marked = c >= IN_ALL && c <= FORGED_SAME;
	struct words w = { .v6_first = !snat && c != TWO_KINDS };
	enum who who = CLIENT;

	if (c == IN_SYN || c == FORGED_LATER)
		marked = segment == SYN;
	else if (c == IN_ACK)
		marked = segment == ACK;
	else if (c == IN_DATA)
		marked = segment == DATA;
	else if (c == IN_LATER || c == FORGED_SYN)
		marked = segment != SYN;
	if ((c == DISAGREE || c == DISAGREE_LOSSY) && segment == SYN)
		who = CLAIMED;
	if (marked && (snat || c == TWO_KINDS))
		w.v4 = who;
	if (marked && (!snat || c == TWO_KINDS))
		w.v6 = who;
	/* Behind the balancer's own. (What stands behind one of the same kind never counts.) */
	if (c == FORGED_OTHER || (c == FORGED_SYN && segment == SYN))
		*(snat ? &w.v6 : &w.v4) = FORGED;
	if (c == FORGED_LATER && segment != SYN)
		*(snat ? &w.v4 : &w.v6) = FORGED;
	return w;
}

/* What the server is to be told: of each kind, the address, or nothing. */
struct sent {
	bool have4, have6;
	struct in_addr v4;
	struct in6_addr v6;
	uint16_t port4, port6;
};

static uint16_t port_of(enum who who, const struct sockaddr_storage *client)
{
	return who == CLIENT ? ((const struct sockaddr_in *)client)->sin_port :
			       htons(who == CLAIMED ? 99 : FORGED_PORT);
}

/* For an address of the kind that the client is not of: see tests/lb. */
static void name(const struct kind_of_conn *k, const struct words *w,
		 const struct sockaddr_storage *client, struct sent *sent)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)client;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)client;

	memset(sent, 0, sizeof(*sent));
	sent->have4 = w->v4;
	sent->have6 = w->v6;
	sent->port4 = port_of(w->v4, client);
	sent->port6 = port_of(w->v6, client);
	if (w->v4 != CLIENT)
		inet_pton(AF_INET, w->v4 == CLAIMED ? "203.0.113.99" : FORGED_V4, &sent->v4);
	else if (k->way == SNAT)
		sent->v4 = sin->sin_addr;
	else
		inet_pton(AF_INET, "192.0.2.64", &sent->v4);
	if (w->v6 != CLIENT) {
		inet_pton(AF_INET6, w->v6 == CLAIMED ? "2001:db8:bad::99" : FORGED_V6, &sent->v6);
	} else if (k->way == SNAT) {
		inet_pton(AF_INET6, "64:ff9b::", &sent->v6);
		memcpy(&sent->v6.s6_addr[12], &sin->sin_addr, 4);
	} else {
		sent->v6 = sin6->sin6_addr;
	}
}

/*
 * What counts: the latest segment that has an option, of those that arrived and count, and in that
 * the first one, or with both=1 the first of each kind. @arrived has a bit for each segment.
 */
static void what_counts(const struct kind_of_conn *k, unsigned int arrived,
			const struct sockaddr_storage *client, struct sent *sent)
{
	struct words counts = { .v4 = NOBODY };
	int segment;

	for (segment = SYN; segment < SEGMENTS; segment++) {
		struct words w = words_of(k, segment);

		if (!(arrived & 1 << segment) || !counts_in[segment] || (!w.v4 && !w.v6))
			continue;
		if (w.v4 && w.v6 && !both)
			*(w.v6_first ? &w.v4 : &w.v6) = NOBODY;
		counts = w;
	}
	name(k, &counts, client, sent);
}

/*
 * Which segments have arrived. Through the good balancer, each that can make the connection. The
 * bad one may lose the ACK and the data, or have them overtaken; then one without an option (the
 * client's answer to a SYN-ACK that is sent again) makes the connection, and all that is known is
 * what the SYN said. Which one it was, the server cannot see: there, each is right. With Fast Open
 * it is the SYN. Mostly all come to the same.
 */
static const unsigned int all_arrive[] = { 1 << SYN | 1 << ACK | 1 << DATA };
static const unsigned int some_arrive[] = {
	1 << SYN, 1 << SYN | 1 << ACK, 1 << SYN | 1 << DATA, 1 << SYN | 1 << ACK | 1 << DATA,
};

enum verdict { RIGHT, LOST, WRONG };

/* accept(), getpeername(), SO_PEERNAME */
static enum verdict judge_name(const struct kind_of_conn *k, const struct sent *sent,
			       const struct sockaddr_storage *got)
{
	struct in6_addr mapped_v4 = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
	bool replaced = server_is_v6(k) ? sent->have4 || sent->have6 : sent->have4;

	if (!replaced)
		return is_balancer(got, k->good) ? RIGHT : WRONG;
	memcpy(&mapped_v4.s6_addr[12], &sent->v4, 4);
	if (!server_is_v6(k) ? same(got, AF_INET, &sent->v4, sent->port4) :
	    same(got, AF_INET6, sent->have6 ? &sent->v6 : &mapped_v4,
		 sent->have6 ? sent->port6 : sent->port4))
		return RIGHT;
	return is_balancer(got, k->good) ? LOST : WRONG;
}

static enum verdict judge_sockopt(const struct kind_of_conn *k, const struct sent *sent, int fd)
{
	char text[INET6_ADDRSTRLEN], want[80];
	const char *got = nat64_of(fd);

	if (k->listener == MPTCP && !strcmp(got, "EOPNOTSUPP"))
		return RIGHT;
	inet_ntop(AF_INET6, &sent->v6, text, sizeof(text));
	snprintf(want, sizeof(want), "[%s]:%u", text, ntohs(sent->port6));
	if (!strcmp(got, sent->have6 ? want : sent->have4 ? "EAFNOSUPPORT" : "ENOENT"))
		return RIGHT;
	return !strcmp(got, "ENOENT") ? LOST : WRONG;
}

struct asked {
	struct sockaddr_storage accepted, peer;
	int fd;
};

static enum verdict judge(const struct kind_of_conn *k, const struct sent *sent,
			  const struct asked *a)
{
	enum verdict verdict = judge_name(k, sent, &a->accepted);

	/* After a RST there is no peer any more. */
	if (a->peer.ss_family && judge_name(k, sent, &a->peer) > verdict)
		verdict = judge_name(k, sent, &a->peer);
	if (a->peer.ss_family && judge_sockopt(k, sent, a->fd) > verdict &&
	    strcmp(nat64_of(a->fd), "ENOTCONN"))
		verdict = judge_sockopt(k, sent, a->fd);
	return verdict;
}

static void complain(const struct kind_of_conn *k, const struct hello *h, const struct asked *a,
		     enum verdict verdict, bool again)
{
	if (complaints++ >= 20)
		return;
	printf("# %s%s: %s, %s, %s: client %s, accept %s, getpeername %s, getsockopt %s\n",
	       verdict == LOST ? "lost" : "WRONG", again ? ", made twice" : "", way_name[k->way],
	       carried_name[k->carried], listener_name[k->listener], addr_text(&h->client),
	       addr_text(&a->accepted), addr_text(&a->peer), nat64_of(a->fd));
	fflush(stdout);
}

static void check_conn(const struct hello *h, struct asked *a)
{
	struct kind_of_conn *k = &kinds[h->index % ALL_WAYS];
	const unsigned int *arrive = k->good ? all_arrive : some_arrive;
	socklen_t len = sizeof(a->peer);
	enum verdict verdict = WRONG, this;
	struct sent sent;
	bool again;
	int i;

	if (getpeername(a->fd, (struct sockaddr *)&a->peer, &len))
		a->peer.ss_family = 0;
	for (i = 0; i < (k->good ? 1 : 4); i++) {
		what_counts(k, arrive[i], &h->client, &sent);
		this = judge(k, &sent, a);
		if (this < verdict)
			verdict = this;
	}
	pthread_mutex_lock(&counts);
	/*
	 * With syncookies, a copy of the first data that is late brings a connection to life again
	 * that has long ended. What its SYN said has been used, by the first one: it may have lost
	 * its address, but not have another.
	 */
	again = h->id >= conns || seen[h->id];
	if (again) {
		ghosts++;
		if (verdict == LOST)
			verdict = RIGHT;
	} else {
		seen[h->id] = true;
		k->checked++;
	}
	k->lost += verdict == LOST;
	k->wrong += verdict == WRONG;
	if (verdict != RIGHT)
		complain(k, h, a, verdict, again);
	pthread_mutex_unlock(&counts);
}

struct served {
	struct asked asked;
	bool listener, checked;
	struct served *next, **link;	/* of its thread's open ones */
};

static void end_conn(struct served *s, uint64_t *random)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = s->asked.fd;

	switch (draw(random) % 4) {
	case 0:
		reset(fd);
		break;
	case 1:
		connect(fd, &none, sizeof(none));
		close(fd);
		break;
	default:
		close(fd);
	}
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
	__atomic_sub_fetch(&open_now, 1, __ATOMIC_RELAXED);
}

static void accept_all(int ep, struct served *listener, struct served **open)
{
	for (;;) {
		struct served *s = calloc(1, sizeof(*s));
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
		socklen_t len = sizeof(s->asked.accepted);

		if (!s)
			die("no memory");
		s->asked.fd = accept4(listener->asked.fd, (struct sockaddr *)&s->asked.accepted,
				      &len, SOCK_NONBLOCK);
		if (s->asked.fd < 0) {
			free(s);
			return;
		}
		s->next = *open;
		s->link = open;
		if (s->next)
			s->next->link = &s->next;
		*open = s;
		__atomic_add_fetch(&open_now, 1, __ATOMIC_RELAXED);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, s->asked.fd, &ev))
			die("epoll_ctl");
	}
}

static void serve(struct served *s, uint64_t *random)
{
	struct hello h;
	ssize_t n = recv(s->asked.fd, &h, sizeof(h), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(h) && h.magic == MAGIC && !s->checked) {
		check_conn(&h, &s->asked);
		s->checked = true;
		send(s->asked.fd, "!", 1, MSG_NOSIGNAL);
		/* Some wait for the client to end it. */
		if (draw(random) % 2)
			return;
	}
	end_conn(s, random);
}

static void *server(void *arg)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15ull + (uintptr_t)arg + 1;
	struct served all[ALL_WAYS * 2] = { 0 }, *open = NULL;
	int ep = epoll_create1(0), i, n;
	unsigned long phase = 0;
	struct epoll_event ev[64];

	for (i = 0; i < listener_count; i++) {
		all[i].listener = true;
		all[i].asked.fd = listeners[i];
		ev[0].events = EPOLLIN | EPOLLEXCLUSIVE;
		ev[0].data.ptr = &all[i];
		if (epoll_ctl(ep, EPOLL_CTL_ADD, listeners[i], &ev[0]))
			die("epoll_ctl");
	}
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		n = epoll_wait(ep, ev, 64, 100);
		for (i = 0; i < n; i++) {
			struct served *s = ev[i].data.ptr;

			if (s->listener)
				accept_all(ep, s, &open);
			else
				serve(s, &random);
		}
		/*
		 * Syncookies come and go. (When they go, the kernel resets whom it has sent one and
		 * whose answer is under way: at most IN_FLIGHT of two PHASEs.)
		 */
		if (!arg && phase != done / PHASE) {
			phase = done / PHASE;
			set("/proc/sys/net/ipv4/tcp_syncookies", phase % 2 ? "2" : "1");
		}
	}
	/* Those whose client's last words got lost. */
	while (open)
		end_conn(open, &random);
	close(ep);
	return NULL;
}

/*
 * Clients
 */

struct client {
	int fd;				/* -1: free */
	bool sent;
	uint64_t born;
	struct hello hello;
};

static socklen_t sockaddr_of(struct sockaddr_storage *ss, bool v6, const char *text, uint16_t port)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (v6) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &sin6->sin6_addr);
		return sizeof(*sin6);
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	inet_pton(AF_INET, text, &sin->sin_addr);
	return sizeof(*sin);
}

/*
 * The module looks at the ACKs that TCP_DEFER_ACCEPT drops from soon after the first SYN for such a
 * listener. Call before there is other traffic.
 */
static void drops_are_seen(void)
{
	const struct kind_of_conn *k = &kinds[deferred_way()];
	struct sockaddr_storage addr, to;
	socklen_t len = sockaddr_of(&addr, false, "198.51.100.101", 0);
	struct stats s;
	int tries, fd;

	sockaddr_of(&to, false, vip(k), DEFERRED_PORT);
	for (tries = 0; tries < 1000; tries++) {
		in_ns(client_ns);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&addr, len) ||
		    connect(fd, (struct sockaddr *)&to, len))
			die("no connection to a deferred listener");
		reset(fd);
		in_ns(server_ns);
		usleep(10000);
		if (stats_get(&s) && stats_of(&s, "toa_invalid") > 0)
			return;
	}
	errno = 0;
	die("the module does not look at the ACKs that TCP_DEFER_ACCEPT drops");
}

static int random_way(uint64_t *random)
{
	int i;

	do
		i = draw(random) % ALL_WAYS;
	while (!kinds[i].used);
	return i;
}

static bool client_begin(struct client *c, uint64_t id, int ep, uint64_t *random)
{
	int i = random_way(random), one = 1;
	struct kind_of_conn *k = &kinds[i];
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	bool v6 = k->way != SNAT, fast = k->listener == FASTOPEN;
	struct sockaddr_storage addr, to;
	socklen_t len, to_len;
	char text[64];
	ssize_t err;

	snprintf(text, sizeof(text), "%s%s%d", v6 ? "2001:db8:c::" : "198.51.100.",
		 k->good ? "10" : "", 1 + draw(random) % CLIENT_ADDRS);
	c->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
		       k->listener == MPTCP ? IPPROTO_MPTCP : 0);
	if (c->fd < 0)
		die("socket");
	if (!fast)
		setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof(one));
	len = sockaddr_of(&addr, v6, text, 0);
	to_len = sockaddr_of(&to, v6, vip(k), PORT + i);
	c->hello = (struct hello){ .magic = MAGIC, .index = i, .id = id };
	c->born = now_ms();
	c->sent = fast;
	if (bind(c->fd, (struct sockaddr *)&addr, len))
		die("bind to %s", text);
	if (fast) {
		len = sizeof(addr);
		getsockname(c->fd, (struct sockaddr *)&c->hello.client, &len);
		err = sendto(c->fd, &c->hello, sizeof(c->hello), MSG_FASTOPEN | MSG_NOSIGNAL,
			     (struct sockaddr *)&to, to_len);
		/* Without Fast Open the SYN goes alone, and nothing is sent yet. */
		c->sent = err == sizeof(c->hello);
	} else {
		err = connect(c->fd, (struct sockaddr *)&to, to_len);
		len = sizeof(addr);
		getsockname(c->fd, (struct sockaddr *)&c->hello.client, &len);
	}
	if (err < 0 && errno != EINPROGRESS) {
		close(c->fd);
		c->fd = -1;
		return false;
	}
	ev.events = c->sent ? EPOLLIN : EPOLLOUT;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev))
		die("epoll_ctl");
	return true;
}

static void client_end(struct client *c, uint64_t *random)
{
	if (draw(random) % 4)
		close(c->fd);
	else
		reset(c->fd);
	c->fd = -1;
	done++;
}

static void client_goes_on(struct client *c, int ep, uint64_t *random)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	char answer;

	if (!c->sent) {
		if (send(c->fd, &c->hello, sizeof(c->hello), MSG_NOSIGNAL) != sizeof(c->hello)) {
			client_end(c, random);
			return;
		}
		c->sent = true;
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
		return;
	}
	/* The server may reset it with the answer under way. */
	if (recv(c->fd, &answer, 1, 0) < 0 && errno == EAGAIN)
		return;
	client_end(c, random);
}

static void *clients(void *arg)
{
	uint64_t random = seed * 0x9e3779b97f4a7c15ull | 1;
	struct client c[IN_FLIGHT];
	struct epoll_event ev[64];
	unsigned long begun = 0;
	int i, n, ep, in_flight;

	(void)arg;
	in_ns(client_ns);
	ep = epoll_create1(0);
	for (i = 0; i < IN_FLIGHT; i++)
		c[i].fd = -1;
	do {
		for (i = 0, in_flight = 0; i < IN_FLIGHT; i++) {
			if (c[i].fd >= 0 && now_ms() - c[i].born > GIVE_UP_MS)
				client_end(&c[i], &random);
			if (c[i].fd < 0 && begun < conns &&
			    client_begin(&c[i], begun, ep, &random))
				begun++;
			in_flight += c[i].fd >= 0;
		}
		n = epoll_wait(ep, ev, 64, 100);
		for (i = 0; i < n; i++)
			client_goes_on(ev[i].data.ptr, ep, &random);
	} while (in_flight);
	return NULL;
}

/*
 * The end
 */

static bool settled(void)
{
	struct stats s;

	return table_get(NULL, 0) == 0 && stats_get(&s) &&
	       stats_of(&s, "ip6_address_alloc") == stats_of(&s, "ip6_address_free");
}

/* A connection with both kinds has two lines, one behind the other. */
static long entries_left(void)
{
	static struct table_line l[4096];
	long lines = table_get(l, 4096), i, entries = lines > 4096 ? lines - 4096 : 0;

	for (i = 0; i < lines && i < 4096; i++)
		entries += !i || strcmp(l[i].balancer, l[i - 1].balancer) ||
			   strcmp(l[i].local, l[i - 1].local) || l[i].kind <= l[i - 1].kind;
	return lines < 0 ? lines : entries;
}

static unsigned long leaked(void)
{
	uint64_t end = now_ms() + SETTLE_MS;
	long entries, ipv6;
	struct stats s;

	while (!settled() && now_ms() < end)
		usleep(200000);
	entries = entries_left();
	/* What it is that still has them: connections, or sockets that only the kernel knows. */
	if (entries && system("{ sed 's/   */  /g' /proc/net/toa_table | head -n 20; "
			      "ss -tnoei state connected exclude time-wait | head -n 20; "
			      "grep -E '^(protocol|TCP|MPTCP)' /proc/net/protocols; } | "
			      "sed 's/^/# /'"))
		errno = 0;
	if (!stats_get(&s) || entries < 0)
		die("the module's files cannot be read");
	ipv6 = stats_of(&s, "ip6_address_alloc") - stats_of(&s, "ip6_address_free");
	return entries > ipv6 ? entries : ipv6;
}

/*
 * Where the kernel looks for leaks, let it while the module is loaded: what that has forgotten is
 * lost now. As tests/vm/run does at the end: nothing younger than 5 s, and twice.
 */
static void look_for_leaks(void)
{
	static const char path[] = "/sys/kernel/debug/kmemleak";
	int fd = open(path, O_WRONLY), i;

	if (fd < 0)
		return;
	sleep(6);
	for (i = 0; i < 2; i++)
		if (write(fd, "scan", 4) != 4)
			die("%s does not look", path);
	close(fd);
	printf("# kmemleak has looked, the kernel log has what it found\n");
}

static void row(const char *name, const char *second, unsigned long checked, unsigned long lost,
		unsigned long wrong)
{
	printf("%-6s %-22s %12lu %8lu %8lu\n", name, second, checked, lost, wrong);
}

static int report(unsigned long leaks, uint64_t seconds)
{
	unsigned long checked = 0, lost = 0, wrong = 0, missed, may_miss;
	enum way way;
	enum carried carried;
	enum listener l;
	struct stats s;

	printf("%-6s %-22s %12s %8s %8s\n", "", "the option is in", "connections", "lost", "wrong");
	for (way = 0; way < WAYS; way++) {
		for (carried = 0; carried < CARRIED; carried++) {
			struct kind_of_conn sum = { 0 };

			for (l = 0; l < LISTENERS; l++) {
				int i = (way * CARRIED + carried) * LISTENERS + l;

				sum.checked += kinds[i].checked;
				sum.lost += kinds[i].lost;
				sum.wrong += kinds[i].wrong;
			}
			row(way_name[way], carried_name[carried], sum.checked, sum.lost, sum.wrong);
			checked += sum.checked;
			lost += sum.lost;
			wrong += sum.wrong;
		}
	}
	row("all", "", checked, lost, wrong);
	stats_get(&s);
	missed = stats_of(&s, "toa_probe_missed");
	if (*params)
		printf("module parameters: %s\n", params);
	printf("hooks by %s: leaked %lu, missed probes %lu\n", mechanism, leaks, missed);
	printf("%lu connections not made, %lu made twice by cookies, in %llu s\n", conns - checked,
	       ghosts, (unsigned long long)seconds);
	/* What a network that loses packets costs in connections is TCP's affair, not ours. */
	if (checked < conns / 10 * 9) {
		printf("too few connections came about\n");
		return 1;
	}
	/* ftrace misses nothing, whatever probes are missed besides. */
	may_miss = strcmp(mechanism, "ftrace") ? missed : 0;
	return wrong || lost > may_miss || leaks > may_miss;
}

static void *progress(void *arg)
{
	uint64_t begin = now_ms();
	int seconds = 0;

	(void)arg;
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		sleep(1);
		if (++seconds % 30)
			continue;
		printf("# %llu s: %lu of %lu\n", (unsigned long long)(now_ms() - begin) / 1000,
		       done, conns);
		fflush(stdout);
	}
	return NULL;
}

/* Those that change what must be shown. */
static void module_params(const char *text)
{
	const char *segments = strstr(text, "segments=");
	char list[64] = "";
	int i;

	params = text;
	both = strstr(text, "both=1");
	if (!segments)
		return;
	sscanf(segments, "segments=%63[a-z,]", list);
	for (i = SYN; i < SEGMENTS; i++)
		counts_in[i] = strstr(list, segment_name[i]);
}

static void options(int argc, char **argv, const char **lb)
{
	static const struct option longs[] = {
		{ "conns", required_argument, NULL, 'c' },
		{ "seed", required_argument, NULL, 's' },
		{ "faults", required_argument, NULL, 'f' },
		{ "lb", required_argument, NULL, 'l' },
		{ "params", required_argument, NULL, 'p' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		switch (opt) {
		case 'c':
			conns = strtoul(optarg, NULL, 0);
			break;
		case 's':
			seed = strtoul(optarg, NULL, 0);
			break;
		case 'f':
			faults = strtod(optarg, NULL);
			break;
		case 'l':
			*lb = optarg;
			break;
		case 'p':
			module_params(optarg);
			break;
		default:
			fputs("usage: soak [--conns N] [--seed N] [--faults PERCENT] [--lb FILE]\n"
			      "            [--params PARAMETERS]\n", stderr);
			exit(2);
		}
	}
}

static void load(void)
{
	static char lines[4096];
	const char *by;
	struct klog k;
	int err;

	klog_start(&k);
	err = toa_load(params);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (err) {
		errno = -err;
		die("the module does not load");
	}
	by = strstr(lines, "hooks by ");
	errno = 0;
	if (!strstr(lines, "toa load success") || !by ||
	    sscanf(by, "hooks by %63[^,]", mechanism) != 1)
		die("the module does not say what it hooks by");
}

int main(int argc, char **argv)
{
	pthread_t servers[SERVERS], client, reporter;
	struct rlimit files = { 65536, 65536 };
	const char *lb = "/toa/lb/toa-lb";
	uint64_t begin, seconds;
	unsigned long leaks;
	int i, err;

	options(argc, argv, &lb);
	setrlimit(RLIMIT_NOFILE, &files);
	seen = calloc(conns, sizeof(*seen));
	if (!seen)
		die("no memory");
	choose_ways();
	load();
	set_up(lb);
	for (i = 0; i < ALL_WAYS; i++) {
		if (kinds[i].used)
			listen_at(i);
		if (kinds[i].used && kinds[i].listener == REUSEPORT)
			listen_at(i);
	}
	drops_are_seen();
	begin = now_ms();
	for (i = 0; i < SERVERS; i++)
		pthread_create(&servers[i], NULL, server, (void *)(uintptr_t)i);
	pthread_create(&client, NULL, clients, NULL);
	pthread_create(&reporter, NULL, progress, NULL);
	pthread_join(client, NULL);
	seconds = (now_ms() - begin) / 1000;
	for (i = 0; open_now && i < 300; i++)
		usleep(100000);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (i = 0; i < SERVERS; i++)
		pthread_join(servers[i], NULL);
	for (i = 0; i < listener_count; i++)
		close(listeners[i]);
	leaks = leaked();
	kill(balancer[0], SIGTERM);
	kill(balancer[1], SIGTERM);
	look_for_leaks();
	err = report(leaks, seconds);
	if (toa_unload()) {
		printf("the module does not unload\n");
		err = 1;
	}
	return err;
}
