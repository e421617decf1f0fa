// SPDX-License-Identifier: GPL-2.0
/*
 * Unloading at any moment: under traffic, while calls are under way inside the module, beside
 * others on the same functions and in the same lists.
 *
 * A number as the first argument says how often each mechanism loads and unloads under traffic. A
 * second one says for how many microseconds the traffic's threads rest between two calls (default
 * 200): slow kernels get further with more.
 */
#include "unload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int cycles = 15;
static int rest_us = 200;
int stopping;

static const struct mechanism mechanisms[] = {
	{ "ftrace", "hook=ftrace" },
	{ "kprobes", "hook=kprobe" },
};

void load_or_skip(const struct mechanism *m)
{
	static struct klog k;
	static char lines[4096];
	int err;

	klog_start(&k);
	err = toa_load(m->params);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (err && strstr(lines, "nor the ftrace"))
		test_skip("this kernel cannot do it");
	check_str(error_name(-err), error_name(0));
}

bool go_on(void)
{
	return !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	require(pthread_create(thread, NULL, fn, arg) == 0);
}

/*
 * Under traffic
 */

void not_right(struct asker *a, const char *got)
{
	a->wrong++;
	snprintf(a->last, sizeof(a->last), "%s", got);
}

bool either(const char *got, const char *one, const char *other)
{
	return !strcmp(got, one) || !strcmp(got, other);
}

/* Asks for the peer of a connection that was made before the module came. */
static void *asking(void *arg)
{
	struct asker *a = arg;
	char want[96];

	snprintf(want, sizeof(want), "%s", peer_of(a->fd));
	for (; go_on(); a->rounds++) {
		const char *got = peer_of(a->fd);

		if (strcmp(got, want))
			not_right(a, got);
		got = nat64_of(a->fd);
		if (!either(got, "ENOPROTOOPT", "ENOENT"))
			not_right(a, got);
		usleep(rest_us);
	}
	return NULL;
}

/* Connections that asking_fresh() waits for. */
static int wanted;

/* Asks for the peer in all ways. Returns whether that is the real client. */
static bool ask_fresh(struct asker *a, int fd, char balancer[96])
{
	const char *got[2] = { peer_of(fd), peername_of(fd) }, *nat64 = nat64_of(fd);
	int i;

	if (!either(nat64, V6_TEXT, "ENOPROTOOPT") && strcmp(nat64, "ENOENT"))
		not_right(a, nat64);
	for (i = 0; i < 2; i++) {
		if (!strcmp(got[i], V4_TEXT)) {
			__atomic_add_fetch(&a->real, 1, __ATOMIC_RELAXED);
			continue;
		}
		/* One and the same, each time. */
		if (!balancer[0] && !strncmp(got[i], BALANCER_V4 ":", strlen(BALANCER_V4 ":")))
			snprintf(balancer, 96, "%s", got[i]);
		if (strcmp(got[i], balancer))
			not_right(a, got[i]);
	}
	return !balancer[0];
}

/*
 * Asks for the peer of a connection that has an address, until the module has gone and taken that
 * along; then of another. One that is made when there is no module has none.
 */
static void *asking_fresh(void *arg)
{
	struct asker *a = arg;

	while (go_on()) {
		char balancer[96] = "";
		int fd;

		__atomic_add_fetch(&wanted, 1, __ATOMIC_RELAXED);
		fd = accept(a->s->fd, NULL, NULL);
		if (fd < 0)
			break;
		for (; ask_fresh(a, fd, balancer) && go_on(); a->rounds++)
			usleep(rest_us / 2);
		reset(fd);
	}
	return NULL;
}

/* Waits in accept(); whoever comes has one of two addresses. */
static void *accepting(void *arg)
{
	struct asker *a = arg;

	for (;; a->rounds++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		int fd = accept(a->s->fd, (struct sockaddr *)&ss, &len);
		const char *got = addr_text(&ss);

		if (fd < 0)
			break;
		if (strcmp(got, V4_TEXT) && strncmp(got, BALANCER_V4 ":", strlen(BALANCER_V4 ":")))
			not_right(a, got);
		got = nat64_of(fd);
		if (!either(got, V6_TEXT, "ENOPROTOOPT") && strcmp(got, "ENOENT"))
			not_right(a, got);
		reset(fd);
	}
	return NULL;
}

/* Opens the files, reads a piece, holds them while the module goes and comes, reads on. */
static void *holding(void *arg)
{
	static const char *const names[] = { "/proc/net/toa_stats", "/proc/net/toa_table" };
	struct asker *a = arg;
	int fd[8], next = 0, i;
	char piece[100];

	for (i = 0; i < 8; i++)
		fd[i] = -1;
	for (; go_on(); a->rounds++) {
		if (fd[next] >= 0) {
			while (read(fd[next], piece, sizeof(piece)) > 0)
				;
			lseek(fd[next], 0, SEEK_SET);
			if (read(fd[next], piece, sizeof(piece)) < 0 && errno == EFAULT)
				not_right(a, "EFAULT");
			close(fd[next]);
		}
		fd[next] = open(names[next & 1], O_RDONLY | O_CLOEXEC);
		if (fd[next] >= 0 && read(fd[next], piece, sizeof(piece)) < 0 && errno == EFAULT)
			not_right(a, "EFAULT");
		next = (next + 1) % 8;
		if (!next)
			usleep(25 * rest_us);
	}
	for (i = 0; i < 8; i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return NULL;
}

/* Until each has been told a real client since now. */
static bool told(const struct asker *a, int count)
{
	int i, k, real;

	for (i = 0; i < count; i++) {
		real = __atomic_load_n(&a[i].real, __ATOMIC_RELAXED);
		for (k = 0; __atomic_load_n(&a[i].real, __ATOMIC_RELAXED) == real; k++) {
			if (k == WAIT_MS)
				return false;
			usleep(1000);
		}
	}
	return true;
}

void *cycling(void *arg)
{
	struct cycler *c = arg;
	bool in_time = true;

	for (; c->done < c->cycles && in_time; c->done++) {
		c->failed += toa_load(c->m->params) != 0;
		usleep(10000);
		in_time = told(c->fresh, c->fresh_count);
		c->failed += !in_time;
		c->failed += toa_unload() != 0;
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	return NULL;
}

void finish(struct asker *a, int count)
{
	int i;

	for (i = 0; i < count; i++) {
		pthread_join(a[i].thread, NULL);
		if (a[i].wrong)
			test_fail(__FILE__, __LINE__, "%d wrong of %d, the last '%s'", a[i].wrong,
				  a[i].rounds, a[i].last);
		check(a[i].rounds > 0);
	}
}

enum { ASKERS = 2, ACCEPTERS = 2, HOLDERS = 2, FRESH = 2, BACKLOG = 64 };

/* On a busy machine those who accept may be slow; a full queue drops SYNs. */
static void wait_for_room(const struct server *s)
{
	struct tcp_info info;
	socklen_t len;
	int i;

	for (i = 0; i < WAIT_MS; i++) {
		len = sizeof(info);
		require(getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0);
		/* Of a listener: how many are in the queue. */
		if (info.tcpi_unacked < BACKLOG)
			return;
		usleep(1000);
	}
	test_fail(__FILE__, __LINE__, "nobody accepts");
}

static void make_conn(const struct server *s, const struct opts *syn, const struct opts *ack)
{
	struct conn c;

	wait_for_room(s);
	server_conn(s, &c);
	if (!conn_open(&c, syn, ack)) {
		test_fail(__FILE__, __LINE__, "no SYN-ACK for a connection");
		__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	}
}

static void under_traffic(const void *arg)
{
	struct asker ask[ASKERS] = { 0 }, take[ACCEPTERS] = { 0 }, hold[HOLDERS] = { 0 };
	struct asker fresh[FRESH] = { 0 };
	struct cycler cycler = {
		.m = arg, .cycles = cycles, .fresh = fresh, .fresh_count = FRESH,
	};
	struct server s, kept, young;
	struct conn c;
	int i, fd;

	load_or_skip(arg);
	must_unload();
	stopping = 0;
	server_open(&kept, INET, 16);
	fd = server_connect(&kept, &c, NULL, both());
	server_open(&s, INET, BACKLOG);
	server_open(&young, INET, BACKLOG);
	wanted = 0;
	for (i = 0; i < ASKERS; i++) {
		ask[i].fd = fd;
		start(&ask[i].thread, asking, &ask[i]);
	}
	for (i = 0; i < ACCEPTERS; i++) {
		take[i].s = &s;
		start(&take[i].thread, accepting, &take[i]);
	}
	for (i = 0; i < HOLDERS; i++)
		start(&hold[i].thread, holding, &hold[i]);
	for (i = 0; i < FRESH; i++) {
		fresh[i].s = &young;
		start(&fresh[i].thread, asking_fresh, &fresh[i]);
	}
	start(&cycler.thread, cycling, &cycler);
	for (i = 0; go_on(); i++) {
		make_conn(&s, i % 3 ? both() : NULL, i % 2 ? both() : NULL);
		if (__atomic_load_n(&wanted, __ATOMIC_RELAXED)) {
			__atomic_sub_fetch(&wanted, 1, __ATOMIC_RELAXED);
			make_conn(&young, i % 2 ? both() : NULL, i % 2 ? NULL : both());
		}
		if (i % 100 == 0)
			dev_drain(&dev0);
		usleep(5 * rest_us / 2);
	}
	pthread_join(cycler.thread, NULL);
	shutdown(s.fd, SHUT_RDWR);
	shutdown(young.fd, SHUT_RDWR);
	finish(fresh, FRESH);
	finish(ask, ASKERS);
	finish(take, ACCEPTERS);
	finish(hold, HOLDERS);
	check_num(cycler.failed, 0);
	check_num(cycler.done, cycles);
	check(i > 0);
	check(data_flows(&c, fd));
	test_note("%d loads and unloads, %d connections", cycler.done, i);
}

int main(int argc, char **argv)
{
	static const char *const answers[] = { "getsockopt", "toa_stats", "toa_table" };
	static struct fuse fuse[sizeof(mechanisms) / sizeof(mechanisms[0])][3];
	unsigned int i, k;

	cycles = test_number(&argc, &argv, cycles);
	rest_us = test_number(&argc, &argv, rest_us);
	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		const struct mechanism *m = &mechanisms[i];

		test_add(inside_getsockopt, m, "call inside getsockopt, %s", m->name);
		for (k = 0; k < 3; k++) {
			fuse[i][k] = (struct fuse){ m, k };
			test_add(inside_fuse, &fuse[i][k],
				 "%s for a user's page that never comes, %s", answers[k], m->name);
		}
		test_add(inside_getpeername, m, "calls inside getpeername, %s", m->name);
		test_add(probes_before, m, "others' probes before the load, %s", m->name);
		test_add(probes_after, m, "others' probes after the load, %s", m->name);
		test_add(never_fail, m, "other sockopts never fail, %s", m->name);
		test_add(under_traffic, m, "loads and unloads under traffic, %s", m->name);
		test_add(forgets, m, "a handshake is forgotten meanwhile, %s", m->name);
		test_add(late_toggled, m, "late switched on and off under traffic, %s", m->name);
	}
	return bare_main("unload", "both=1", argc, argv);
}
