// SPDX-License-Identifier: GPL-2.0
/* The table of connections: read while it changes, its lines, and very many entries. */
#include "flood.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How many at once: a million are ten minutes without a rest on a kernel that checks itself. */
enum { STEP = 10000 };

static void synthetic(unsigned int count)
{
	unsigned int now = param_number("synthetic");
	char text[16];

	do {
		if (now < count)
			now += count - now < STEP ? count - now : STEP;
		else
			now -= now - count < STEP ? now - count : STEP;
		snprintf(text, sizeof(text), "%u", now);
		param_set("synthetic", text);
	} while (now != count);
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
unsigned int number_of(const char *line)
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

void read_under_traffic(const void *arg)
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

void fields(const void *arg)
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

int many = 200000;

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

void many_entries(const void *arg)
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
	param_set("table_max", limit);
	refused(&s, 3);
	synthetic(many - 1);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	/* Unloading takes care of all that are left. */
	unload();
	check(slab_bytes() == -1 && vmalloc_bytes() == 0);
}

/* With very many entries, too, a reader sees each once, and nobody waits for it. */
void many_read(const void *arg)
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
