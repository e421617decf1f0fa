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
#include "soak.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
	SERVERS = 3,			/* threads */
	SETTLE_MS = 240000,
};

unsigned long conns = 20000, run_seed = 1;
double faults = 1;
int client_ns, server_ns;
int stopping;
unsigned long done, open_now, ghosts;
bool *seen;			/* by @id */
static char mechanism[64];		/* what the module says that it hooks by */

uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("soak: ", stderr);
	vfprintf(stderr, fmt, ap);
	fprintf(stderr, " (%s)\n", strerror(errno));
	va_end(ap);
	exit(2);
}

uint32_t draw(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (*state * 0x2545f4914f6cdd1dull) >> 33;
}

void set(const char *path, const char *text)
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
			row(way_name[way], place_name[carried], sum.checked, sum.lost, sum.wrong);
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
			run_seed = strtoul(optarg, NULL, 0);
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
