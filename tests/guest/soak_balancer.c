// SPDX-License-Identifier: GPL-2.0
/* The ways that a connection can come about, and the balancers that it comes through. */
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const way_name[WAYS] = { "IPv4", "NAT64", "IPv6" };
const char *const place_name[CARRIED] = {
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

const char *const listener_name[LISTENERS] = {
	"plain", "dual-stack", "deferred", "Fast Open", "SO_REUSEPORT", "MPTCP",
};

#define CLAIM_SYN ",in=all,claim.syn=203.0.113.99:99,claim.syn=[2001:db8:bad::99]:99"

/* A kind 200 and a kind 253. */
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

struct kind_of_conn kinds[ALL_WAYS];
pid_t balancer[2];

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

bool server_is_v6(const struct kind_of_conn *k)
{
	return k->way == V6TO6 || k->listener == DUAL;
}

void choose_ways(void)
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

const char *vip(const struct kind_of_conn *k)
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
int deferred_way(void)
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
	snprintf(seed_text, sizeof(seed_text), "%lu", run_seed);
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

void in_ns(int ns)
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

void set_up(const char *lb)
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
