// SPDX-License-Identifier: GPL-2.0
/*
 * Bounds: SYN floods, big tables, and reading them under traffic.
 *
 * A number as the first argument says how many entries are very many. `live` and a number: only as
 * many connections at once, or as many as there is memory for.
 */
#include "client.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MODULE "/toa/toa-debug.ko"
#define SYNTHETIC "/sys/module/toa/parameters/synthetic"

static void load(const char *params)
{
	if (toa_loaded())
		toa_unload();
	require(toa_load(params) == 0);
}

static void unload(void)
{
	check_str(error_name(-toa_unload()), error_name(0));
}

/* How many at once: a million are ten minutes without a rest on a kernel that checks itself. */
enum { STEP = 10000 };

static void synthetic(unsigned int count)
{
	char text[16] = "";
	unsigned int now;

	check(read_file(SYNTHETIC, text, sizeof(text)));
	now = strtoul(text, NULL, 10);
	do {
		if (now < count)
			now += count - now < STEP ? count - now : STEP;
		else
			now -= now - count < STEP ? now - count : STEP;
		snprintf(text, sizeof(text), "%u", now);
		write_file(SYNTHETIC, text);
	} while (now != count);
}

/*
 * Memory that is the module's: its own slab, and what it has from vmalloc.
 */

static long slab(bool object)
{
	FILE *f = fopen("/proc/slabinfo", "re");
	char line[512];
	static const char format[] = "toa_entry %*d %*d %ld %*d %ld"
				     " : tunables %*d %*d %*d : slabdata %*d %ld";
	long found = -1;

	if (!f) {
		/* Nobody will do it after a test that is left out. */
		toa_unload();
		test_skip("no /proc/slabinfo");
	}
	while (fgets(line, sizeof(line), f)) {
		long size, pages, slabs;

		if (sscanf(line, format, &size, &pages, &slabs) == 3)
			found = object ? size : slabs * pages * sysconf(_SC_PAGESIZE);
	}
	fclose(f);
	return found;
}

static long slab_bytes(void)
{
	return slab(false);
}

static long slab_object_size(void)
{
	return slab(true);
}

/* The size comes after the addresses, which from Linux 4.15 on may be "0x        (ptrval)". */
static long vmalloc_size(char *line)
{
	char *word;

	while ((word = strsep(&line, " ")))
		if (*word && !word[strspn(word, "0123456789")])
			return atol(word);
	return 0;
}

static long vmalloc_bytes(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	char line[512];
	long bytes = 0;

	if (!f)
		test_skip("no /proc/vmallocinfo");
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[toa]"))
			bytes += vmalloc_size(line);
	fclose(f);
	return bytes;
}

/*
 * SYN floods
 */

/* A third of the slots: no set of them is full then. */
enum { SLOTS = 16384, FLOOD = 5000, HONEST = 10 };

#define SLOTS_PARAM "syn_slots=16384"

static long number_in(const char *path)
{
	char text[32] = "";

	check(read_file(path, text, sizeof(text)));
	return atol(text);
}

/* Handshakes that the module keeps. */
static long kept(void)
{
	return number_in("/sys/module/toa/parameters/kept");
}

/* SYNs from addresses and ports that are all different, with both options. */
static void flood(const struct server *s, unsigned int from, unsigned int to)
{
	for (; from < to; from++) {
		struct conn c;

		server_conn(s, &c);
		c.saddr[c.v6 ? 13 : 1] = 9;
		c.saddr[c.v6 ? 14 : 2] = 1 + from / 250;
		c.saddr[c.v6 ? 15 : 3] = 1 + from % 250;
		conn_syn(&c, both());
		if (from % 100 == 0)
			dev_drain(&dev0);
	}
	dev_drain(&dev0);
}

static void floods(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	const int retries = 20;
	struct stats before;
	struct conn c[HONEST];
	struct server s, victim;
	long slabs, vmalloc;
	int i, fd;

	load("debug=0 " SLOTS_PARAM);
	/* Not through the queue that is flooded: that the kernel keeps in bounds by itself. */
	server_open(&victim, kind, 1);
	server_open(&s, kind, 2 * HONEST);
	/* Handshakes live half an hour, not a minute: slow kernels need more for the flood. */
	require(setsockopt(s.fd, IPPROTO_TCP, TCP_SYNCNT, &retries, sizeof(retries)) == 0);
	for (i = 0; i < HONEST; i++)
		server_syn(&s, &c[i], both());
	require(stats_get(&before));
	slabs = slab_bytes();
	vmalloc = vmalloc_bytes();
	check(vmalloc > 0);
	flood(&victim, 0, FLOOD);
	check_moved(&before);
	check_num(slab_bytes(), slabs);
	check_num(vmalloc_bytes(), vmalloc);
	for (i = 0; i < HONEST; i++) {
		conn_ack(&c[i], NULL);
		fd = server_accept(&s, NULL);
		if (fd < 0) {
			test_fail(__FILE__, __LINE__, "handshake %d does not complete", i);
			break;
		}
		check_has(&s, &c[i], fd, V4_TEXT, V6_TEXT);
		reset(fd);
	}
	check(stats_balanced());
	/* Their slots are free again; the table has had entries. */
	check_num(kept(), FLOOD);
	require(stats_get(&before));
	slabs = slab_bytes();
	flood(&victim, FLOOD, SLOTS + 1000);
	check(kept() > SLOTS * 3 / 4 && kept() <= SLOTS);
	check_moved(&before, "toa_syn_evicted", (int)(SLOTS + 1000 - kept()));
	check_num(slab_bytes(), slabs);
	check_num(vmalloc_bytes(), vmalloc);
	test_note("%d SYNs; vmalloc %ld bytes, slab %ld bytes before and after", SLOTS + 1000,
		  vmalloc, slabs);
	unload();
}

/* Handshakes that differ in a few bits only do not all fall into one set of slots. */
static void spread(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct stats before;
	struct server s;
	struct conn c, first;
	int i;

	load("debug=0 syn_slots=4096");
	server_open(&s, kind, 1);
	server_conn(&s, &first);
	/* In no network of this host. */
	first.saddr[first.v6 ? 13 : 1] = 10;
	first.saddr[first.v6 ? 15 : 3] = 0;
	require(stats_get(&before));
	for (i = 0; i < 512; i++) {
		c = first;
		if (i < 256) {
			c.saddr[c.v6 ? 15 : 3] = i;
		} else {
			c.isn = (first.isn & 0xffffff) | (uint32_t)i << 24;
			c.saddr[c.v6 ? 14 : 2] ^= 1;
		}
		c.snd_nxt = c.isn;
		conn_syn(&c, both());
		/* The next one is to be a handshake of its own, though only its number differs. */
		conn_rst(&c);
		if (i % 100 == 0)
			dev_drain(&dev0);
	}
	dev_drain(&dev0);
	check_num(kept(), 512);
	check_moved(&before);
	unload();
}

/* What clients abandon is not kept for ever: the quick look stays quick. */
static void abandoned(const void *arg)
{
	struct server s, victim;
	struct stats before;
	struct conn c;
	int fd;

	(void)arg;
	load("debug=0 " SLOTS_PARAM);
	server_open(&victim, INET, 1);
	server_open(&s, INET, 5);
	flood(&victim, 0, FLOOD);
	check_num(kept(), FLOOD);
	require(stats_get(&before));
	write_file("/sys/module/toa/parameters/ahead", "1000");
	check_num(kept(), FLOOD);
	server_syn(&s, &c, both());
	write_file("/sys/module/toa/parameters/ahead", "1100");
	check_num(kept(), 1);
	check_moved(&before);
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check_num(kept(), 0);
	unload();
}

/* Is a SYN seen that comes again? Then the connection has the address of its option. */
static bool seen_again(const struct server *s)
{
	struct conn c;
	bool seen;
	int fd;

	server_syn(s, &c, NULL);
	conn_syn(&c, both());
	require(conn_synack(&c, NULL));
	conn_ack(&c, NULL);
	fd = server_accepted(s);
	seen = !strcmp(peer_of(fd), V4_TEXT);
	reset(fd);
	return seen;
}

static bool soon_seen_again(const struct server *s)
{
	int tries;

	for (tries = 0; tries < 1000 && !seen_again(s); tries++)
		usleep(10000);
	return tries < 1000;
}

/*
 * Where a handshake was forgotten that is under way, its SYN is seen when it comes again; until no
 * such handshake can be left. With TCP_DEFER_ACCEPT it is seen for good.
 */
static void seen_while_needed(const void *arg)
{
	char ahead[16];
	struct server s, victim;
	int i;

	(void)arg;
	load("debug=0 syn_slots=32");
	server_open(&victim, INET, 1);
	server_open(&s, INET, 5);
	check(!seen_again(&s));
	for (i = 1; i <= 2; i++) {
		flood(&victim, 100 * i, 100 * i + 31);
		check(!seen_again(&s));
		flood(&victim, 100 * i + 31, 100 * i + 33);
		check(soon_seen_again(&s));
		snprintf(ahead, sizeof(ahead), "%d", 1100 * i - 100);
		write_file("/sys/module/toa/parameters/ahead", ahead);
		check(seen_again(&s));
		snprintf(ahead, sizeof(ahead), "%d", 1100 * i);
		write_file("/sys/module/toa/parameters/ahead", ahead);
		check_num(kept(), 0);
		check(!seen_again(&s));
	}
	deferred_ready(NULL);
	write_file("/sys/module/toa/parameters/ahead", "4000");
	check(seen_again(&s));
	unload();
}

/*
 * Reading while the table changes
 */

enum { CONSTANT = 4000, CHANGING = 20000, PASSES = 6 };

static int stopping;

static bool go_on(void)
{
	return !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

struct connector {
	pthread_t thread;
	int count;
	long long longest;
};

static void *connecting(void *arg)
{
	struct connector *k = arg;
	struct server s;

	server_open(&s, INET, 16);
	while (go_on()) {
		long long begin = now_ms(), took;
		struct conn c;
		int fd;

		server_conn(&s, &c);
		if (!conn_open(&c, NULL, both())) {
			test_fail(__FILE__, __LINE__, "no SYN-ACK for connection %d", k->count);
			break;
		}
		fd = accept(s.fd, NULL, NULL);
		if (strcmp(peer_of(fd), V4_TEXT))
			test_fail(__FILE__, __LINE__, "getpeername: %s", peer_of(fd));
		if (strcmp(nat64_of(fd), V6_TEXT))
			test_fail(__FILE__, __LINE__, "getsockopt: %s", nat64_of(fd));
		reset(fd);
		took = now_ms() - begin;
		if (took > k->longest)
			k->longest = took;
		__atomic_add_fetch(&k->count, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int connections(const struct connector *k)
{
	return __atomic_load_n(&k->count, __ATOMIC_RELAXED);
}

static void *growing(void *arg)
{
	(void)arg;
	while (go_on()) {
		synthetic(CHANGING);
		synthetic(CONSTANT);
	}
	return NULL;
}

/* The number of a synthetic entry; of none if the line has a field more or less. */
static unsigned int number_of(const char *line)
{
	unsigned int a, b, c, d, port;
	char more;

	if (sscanf(line, "%*u %*u %*s %*s %u.%u.%u.%u:%u %*u %c", &a, &b, &c, &d, &port,
		   &more) != 5)
		return -1;
	return (a << 24 | b << 16 | c << 8 | d) - 0xc6120000 + (port << 17);
}

/*
 * Return: how many of the first @constant synthetic entries, of @all that there may be, a pass has
 * seen, or -1 if it has seen one twice.
 */
static int pass(unsigned int constant, unsigned int all)
{
	FILE *f = fopen("/proc/net/toa_table", "re");
	char *seen = calloc(all, 1);
	char line[512];
	int count = 0;

	if (!f || !seen)
		abort();
	while (fgets(line, sizeof(line), f)) {
		unsigned int number;

		if (!strstr(line, " 192.0.2.2:0 "))
			continue;
		number = number_of(line);
		if (number >= all || seen[number]++) {
			count = -1;
			break;
		}
		count += number < constant;
	}
	fclose(f);
	free(seen);
	return count;
}

static void read_under_traffic(const void *arg)
{
	struct connector k = { .count = 0 };
	pthread_t grower;
	int i;

	(void)arg;
	load("debug=0");
	synthetic(CONSTANT);
	check_num(pass(CONSTANT, CHANGING), CONSTANT);
	stopping = 0;
	require(pthread_create(&k.thread, NULL, connecting, &k) == 0);
	require(pthread_create(&grower, NULL, growing, NULL) == 0);
	for (i = 0; i < PASSES; i++)
		check_num(pass(CONSTANT, CHANGING), CONSTANT);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(k.thread, NULL);
	pthread_join(grower, NULL);
	check(k.count > 0);
	synthetic(0);
	check(table_empties());
	check(stats_balanced());
	unload();
}

/*
 * The lines have the fields of the header, and each field is what it is called: no address of the
 * kernel's is among them.
 */

enum { FIELDS = 6, AGE_MAX = 3600 };

static bool is_number(const char *text, unsigned long max)
{
	size_t digits = strspn(text, "0123456789");

	return digits && !text[digits] && strtoul(text, NULL, 10) <= max;
}

/* "192.0.2.1:80" or "[2001:db8::1]:80" */
static bool is_address(char *text)
{
	char *colon = strrchr(text, ':');
	struct in6_addr addr;

	if (!colon || !is_number(colon + 1, 65535))
		return false;
	*colon = 0;
	if (*text != '[')
		return inet_pton(AF_INET, text, &addr) == 1;
	if (colon[-1] != ']')
		return false;
	colon[-1] = 0;
	return inet_pton(AF_INET6, text + 1, &addr) == 1;
}

static bool is_kind(const char *text)
{
	/* Synthetic ones have none. */
	return !strcmp(text, "200") || !strcmp(text, "253") || !strcmp(text, "0");
}

static bool line_has_its_fields(char *line, const char *netns)
{
	char *field[FIELDS], *word;
	int n = 0;

	for (word = strtok(line, " \n"); word; word = strtok(NULL, " \n")) {
		if (n == FIELDS)
			return false;
		field[n++] = word;
	}
	return n == FIELDS && is_kind(field[0]) && !strcmp(field[1], netns) &&
	       is_address(field[2]) && is_address(field[3]) && is_address(field[4]) &&
	       is_number(field[5], AGE_MAX);
}

static void fields(const void *arg)
{
	enum kind kind, kinds = ipv6_exists() ? KINDS : MAPPED;
	char line[512], copy[512], netns[16];
	struct server s[KINDS];
	struct conn c;
	struct stat st;
	int n = 0;
	FILE *f;

	(void)arg;
	load("debug=0");
	for (kind = INET; kind < kinds; kind++) {
		server_open(&s[kind], kind, 5);
		server_connect(&s[kind], &c, NULL, both());
	}
	synthetic(10);
	require(stat("/proc/self/ns/net", &st) == 0);
	snprintf(netns, sizeof(netns), "%lu", (unsigned long)st.st_ino);
	f = fopen("/proc/net/toa_table", "re");
	require(f);
	require(fgets(line, sizeof(line), f));
	check(sscanf(line, "kind netns local balancer client age%n", &n) == 0 && n > 0 &&
	      !strcmp(line + n, "\n"));
	for (n = 0; fgets(line, sizeof(line), f); n++) {
		strcpy(copy, line);
		if (!line_has_its_fields(copy, netns))
			test_fail(__FILE__, __LINE__, "line: %s", line);
	}
	fclose(f);
	check_num(n, 2 * kinds + 10);
	unload();
}

/*
 * A million
 */

enum { ENTRY_MAX = 96, PADDED = 112, BUCKETS_MAX = 16 };

static int many = 200000;

/* Connections beyond the limit: each is counted, lives, and shows the balancer. */
static void refused(const struct server *s, int count)
{
	struct stats was;
	struct conn c;
	int fd;

	while (count--) {
		require(stats_get(&was));
		fd = server_connect(s, &c, both(), NULL);
		check_moved(&was, "toa_table_full", 1);
		check_has(s, &c, fd, NULL, NULL);
		check(data_flows(&c, fd));
	}
	/* Those that claim nothing lose nothing. */
	require(stats_get(&was));
	server_connect(s, &c, NULL, NULL);
	check_moved(&was, "syn_recv_sock_no_toa", 1);
}

static void many_entries(const void *arg)
{
	long before, size, bytes;
	char limit[16];
	struct stats was;
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	load("debug=0");
	before = slab_bytes() + vmalloc_bytes();
	require(stats_get(&was));
	synthetic(many);
	check_moved(&was);
	/* The old tables go when their entries have moved. */
	usleep(2000000);
	bytes = slab_bytes() + vmalloc_bytes() - before;
	size = slab_object_size();
	test_note("%d entries: %ld bytes each, %.1f with slabs and buckets", many, size,
		  (double)bytes / many);
	/* A kernel that checks its slabs pads what is in them. */
	if (size < PADDED) {
		check(size <= ENTRY_MAX);
		check(bytes / many <= size * 21 / 20 + BUCKETS_MAX);
	}
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	check(data_flows(&c, fd));
	/* And no more than the limit. */
	snprintf(limit, sizeof(limit), "%d", many + 1);
	write_file("/sys/module/toa/parameters/table_max", limit);
	refused(&s, 3);
	synthetic(many - 1);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	/* Unloading takes care of all that are left. */
	unload();
	check(slab_bytes() == -1 && vmalloc_bytes() == 0);
}

/* With very many entries, too, a reader sees each once, and nobody waits for it. */
static void many_read(const void *arg)
{
	struct connector k = { .count = 0 };
	long long begin, took;
	int before, i;

	(void)arg;
	load("debug=0");
	synthetic(many);
	stopping = 0;
	require(pthread_create(&k.thread, NULL, connecting, &k) == 0);
	for (i = 0; i < WAIT_MS && !connections(&k); i++)
		usleep(1000);
	before = connections(&k);
	begin = now_ms();
	check_num(pass(many, many), many);
	took = now_ms() - begin;
	check(connections(&k) > before);
	test_note("%d entries read in %lld ms, %d connections meanwhile", many, took,
		  connections(&k) - before);
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(k.thread, NULL);
	test_note("the slowest took %lld ms", k.longest);
	synthetic(0);
	check(table_empties());
	check(stats_balanced());
	unload();
}

/*
 * Live connections: as many as are asked for. From a number of them on, it may be as many as there
 * is memory for.
 */

enum { LIVE_MIN = 200000, LIVE_MAX = 1000000, SAMPLE = 2000, RESERVE_MB = 256 };

static int live;
static int live_fd[LIVE_MAX];

/* Not MemAvailable: for the kernel, the sockets' inodes are memory that it could have back. */
static long free_kb(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[256];
	long kb = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemFree: %ld", &kb) == 1)
			break;
	if (f)
		fclose(f);
	return kb;
}

/* The client that connection @n claims, and the balancer's address and port that it comes from. */
static void live_client(char *text, size_t size, int n)
{
	snprintf(text, size, "198.%d.%d.%d", 18 + (n >> 16 & 1), n >> 8 & 255, n & 255);
}

static void live_balancer(struct conn *c, int n)
{
	c->saddr[2] = 1;
	c->saddr[3] = 1 + n % 250;
	c->sport = 1024 + n / 250;
}

static bool live_open(const struct server *s, int n)
{
	const struct opts *o;
	struct conn c;
	char text[32];

	live_client(text, sizeof(text), n);
	o = v4_opt(text, n >> 17);
	server_conn(s, &c);
	live_balancer(&c, n);
	if (!conn_open(&c, n & 1 ? o : NULL, n & 1 ? NULL : o))
		return false;
	live_fd[n] = accept(s->fd, NULL, NULL);
	return live_fd[n] >= 0;
}

/* Return: how many there are. */
static int live_open_all(const struct server *s)
{
	int n;

	for (n = 0; n < live; n++) {
		if (n % 1000 == 0 && free_kb() < RESERVE_MB * 1024L)
			break;
		if (!live_open(s, n)) {
			test_fail(__FILE__, __LINE__, "connection %d cannot be made", n);
			break;
		}
	}
	return n;
}

static void live_sample(int count)
{
	char client[32], want[48];
	int i, n;

	for (i = 0; i < SAMPLE; i++) {
		n = random() % count;
		live_client(client, sizeof(client), n);
		snprintf(want, sizeof(want), "%s:%d", client, n >> 17);
		check_str(peer_of(live_fd[n]), want);
	}
}

/* Return: how many lines there are; each has to be another connection's, and right. */
static int live_lines(const struct server *s, int count)
{
	FILE *f = fopen("/proc/net/toa_table", "re");
	char *seen = calloc(count, 1);
	char line[512], local[64], balancer[64];
	unsigned int kind, n;
	int lines = -1;

	if (!f || !seen)
		abort();
	for (; fgets(line, sizeof(line), f); lines++) {
		struct conn c;

		if (lines < 0)
			continue;
		n = number_of(line);
		if (n >= (unsigned int)count || seen[n]++ ||
		    sscanf(line, "%u %*u %63s %63s", &kind, local, balancer) != 3) {
			test_fail(__FILE__, __LINE__, "line: %s", line);
			break;
		}
		server_conn(s, &c);
		live_balancer(&c, n);
		check_num(kind, 200);
		check_str(balancer, conn_addr(&c, false));
	}
	fclose(f);
	free(seen);
	return lines;
}

static void live_connections(const void *arg)
{
	struct rlimit limit = { .rlim_cur = live + 1000, .rlim_max = live + 1000 };
	long slabs, buckets, size, kb;
	struct stats before;
	struct server s;
	int i, count;

	(void)arg;
	require(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	load("debug=0");
	server_open(&s, INET, 16);
	require(stats_get(&before));
	slabs = slab_bytes();
	buckets = vmalloc_bytes();
	kb = free_kb();
	count = live_open_all(&s);
	check_moved(&before, "syn_recv_sock_toa", count);
	size = slab_object_size();
	/* A kernel that checks its memory has less of it. */
	if (size < PADDED)
		check(count >= (live < LIVE_MIN ? live : LIVE_MIN));
	else
		check(count > 0);
	/* The old tables go when their entries have moved. */
	for (i = 0; i < WAIT_MS / 100 && vmalloc_bytes() - buckets > count * BUCKETS_MAX; i++)
		usleep(100000);
	slabs = slab_bytes() - slabs;
	buckets = vmalloc_bytes() - buckets;
	kb -= free_kb();
	test_note("%d live connections, %ld bytes of memory each", count, kb * 1024 / count);
	/* Buckets that the kernel has in one piece are not from there. */
	test_note("the module's part: an entry of %ld bytes, %.1f with its slab, %.1f with vmalloc",
		  size, (double)slabs / count, (double)(slabs + buckets) / count);
	/* Of few, a slab that is not full counts for much. */
	if (size < PADDED && count >= LIVE_MIN) {
		check(size <= ENTRY_MAX);
		check((slabs + buckets) / count <= size * 21 / 20 + BUCKETS_MAX);
	}
	check_num(live_lines(&s, count), count);
	live_sample(count);
	for (i = 0; i < count; i++) {
		reset(live_fd[i]);
		if (i % 100 == 0)
			dev_drain(&dev0);
	}
	check(table_empties());
	check(stats_balanced());
	unload();
	check(slab_bytes() == -1 && vmalloc_bytes() == 0);
}

int main(int argc, char **argv)
{
	static const enum kind kinds[] = { INET, INET6 };

	setenv("TOA_KO", MODULE, 0);
	if (argc > 2 && !strcmp(argv[1], "live")) {
		live = atoi(argv[2]);
		if (live < 1 || live > LIVE_MAX)
			return 2;
		test_add(live_connections, NULL, "very many live connections");
		return bare_main("flood", "both=1", 1, argv);
	}
	if (argc > 1 && atoi(argv[1]) > 0) {
		many = atoi(argv[1]);
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	test_add(floods, &kinds[0], "a flood of SYNs with options, IPv4");
	test_add(floods, &kinds[1], "a flood of SYNs with options, IPv6");
	test_add(spread, &kinds[0], "handshakes that hardly differ, IPv4");
	test_add(spread, &kinds[1], "handshakes that hardly differ, IPv6");
	test_add(abandoned, NULL, "abandoned handshakes are forgotten");
	test_add(seen_while_needed, NULL, "a SYN that comes again is seen while it matters");
	test_add(read_under_traffic, NULL, "the table read under traffic");
	test_add(fields, NULL, "the fields of the table's lines");
	test_add(many_entries, NULL, "very many entries");
	test_add(many_read, NULL, "very many entries read under traffic");
	return bare_main("flood", "both=1", argc, argv);
}
