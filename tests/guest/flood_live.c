// SPDX-License-Identifier: GPL-2.0
/*
 * Live connections: as many as are asked for. From a number of them on, it may be as many as there
 * is memory for.
 */
#include "flood.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LIVE_MIN = 200000, SAMPLE = 2000, RESERVE_MB = 256 };

int live;
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

void live_connections(const void *arg)
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
