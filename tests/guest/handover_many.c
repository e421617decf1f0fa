// SPDX-License-Identifier: GPL-2.0
/* Hand-over of many connections, and of one that many ask for. */
#include "client.h"
#include "handover.h"
#include "handover_parts.h"
#include "mod.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int many = 500;

static int shared_fd, wrong_answers, go;

static void *asks(void *arg)
{
	(void)arg;
	while (!__atomic_load_n(&go, __ATOMIC_ACQUIRE))
		;
	if (strcmp(peer_of(shared_fd), V4_TEXT))
		__atomic_add_fetch(&wrong_answers, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Of those who ask at the same time, nobody hears of the balancer. */
void asked_by_many(const void *arg)
{
	pthread_t thread[4];
	struct server s;
	struct conn c;
	int round, i;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	shared_fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	wrong_answers = 0;
	for (round = 0; round < 10; round++) {
		handover_upgrade("");
		__atomic_store_n(&go, 0, __ATOMIC_RELEASE);
		for (i = 0; i < 4; i++)
			require(pthread_create(&thread[i], NULL, asks, NULL) == 0);
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		for (i = 0; i < 4; i++)
			pthread_join(thread[i], NULL);
	}
	check_num(wrong_answers, 0);
}

static const char *client_number(int i)
{
	static char text[32];

	snprintf(text, sizeof(text), "198.18.%d.%d:%d", i >> 8 & 255, i & 255, 1000 + (i >> 16));
	return text;
}

struct live {
	struct conn c;
	int fd;
	bool marked;
};

static void live_open(const struct server *s, struct live *l, int i)
{
	char addr[32];

	snprintf(addr, sizeof(addr), "198.18.%d.%d", i >> 8 & 255, i & 255);
	l->fd = server_connect(s, &l->c, NULL, v4_opt(addr, 1000 + (i >> 16)));
}

/*
 * Thousands live through an upgrade, with connections that come and go before, in the gap and after
 * it, some on a tuple that has just been another's.
 */
void under_traffic(const void *arg)
{
	struct rlimit files = { .rlim_cur = many + 1000, .rlim_max = many + 1000 };
	struct live *all = calloc(many, sizeof(*all));
	int i, lost = 0, wrong = 0, again = 0, unmarked = 0;
	struct server s;
	struct stats s0;
	char *text;

	(void)arg;
	require(all && setrlimit(RLIMIT_NOFILE, &files) == 0);
	handover_fresh();
	server_open_at(&s, INET, 100, 8080);
	for (i = 0; i < many; i++)
		live_open(&s, &all[i], i);
	text = handover_read();
	check_num(handover_count(text), many);
	require(toa_unload() == 0);
	/* In the gap: some end, and their tuples come again without an address. */
	for (i = 0; i < many; i += 10) {
		reset(all[i].fd);
		dev_drain(&dev0);
		conn_again(&all[i].c);
		require(conn_open(&all[i].c, NULL, NULL));
		all[i].fd = server_accepted(&s);
		all[i].marked = false;
		again++;
	}
	handover_load("");
	/* Between loading and handing over, too. */
	for (i = 5; i < many; i += 100) {
		reset(all[i].fd);
		dev_drain(&dev0);
		conn_again(&all[i].c);
		require(conn_open(&all[i].c, NULL, NULL));
		all[i].fd = server_accepted(&s);
		again++;
	}
	check_num(handover_write(text, strlen(text)), 0);
	free(text);
	require(stats_get(&s0));
	for (i = 0; i < many; i++) {
		const char *got = peer_of(all[i].fd);
		bool new = i % 10 == 0 || i % 100 == 5;

		if (!strcmp(got, client_number(i)))
			wrong += new;
		else if (!strcmp(got, server_sees(&s, &all[i].c)))
			*(new ? &unmarked : &lost) += 1;
		else
			wrong++;
	}
	check_num(lost, 0);
	check_num(wrong, 0);
	check_num(unmarked, again);
	check_moved(&s0, "toa_adopted", many - again, "getname_toa_ok", many - again);
	/* What is left is of those that ended while nobody looked. */
	check_num(handover_left() - (many - again), again);
	test_note("%d connections: %d kept, %d on a tuple used again, none lost, none wrong", many,
		  many - again, again);
	for (i = 0; i < many; i++)
		reset(all[i].fd);
	dev_drain(&dev0);
	check_num(handover_left_at_last(again), again);
	free(all);
}

/*
 * Under traffic, as operators do it: by toactl
 */

static struct {
	struct server s;
	struct live all[20000];
	long long begun[20000], made[20000];
	int count, stop;
} traffic;

static long long ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void *connecting(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 20000 && !__atomic_load_n(&traffic.stop, __ATOMIC_ACQUIRE); i++) {
		struct live *l = &traffic.all[i];
		char addr[32];

		traffic.begun[i] = ms();
		snprintf(addr, sizeof(addr), "198.18.%d.%d", i >> 8 & 255, i & 255);
		server_conn(&traffic.s, &l->c);
		if (!conn_open(&l->c, NULL, v4_opt(addr, 1000 + (i >> 16))))
			break;
		l->fd = accept(traffic.s.fd, NULL, NULL);
		if (l->fd < 0)
			break;
		traffic.made[i] = ms();
		__atomic_store_n(&traffic.count, i + 1, __ATOMIC_RELEASE);
		usleep(1000);
	}
	return NULL;
}

static void wait_for_traffic(int more)
{
	int want = __atomic_load_n(&traffic.count, __ATOMIC_ACQUIRE) + more, i;

	for (i = 0; i < WAIT_MS && __atomic_load_n(&traffic.count, __ATOMIC_ACQUIRE) < want; i++)
		usleep(1000);
	check(__atomic_load_n(&traffic.count, __ATOMIC_ACQUIRE) >= want);
}

/* What is asked of connection @i of the traffic, and whether it may show the balancer. */
static int traffic_shows(int i, bool in_gap, int *wrong)
{
	struct live *l = &traffic.all[i];
	const char *got = peer_of(l->fd);
	bool marked = !strcmp(got, client_number(i));

	if (!marked && (!in_gap || strcmp(got, server_sees(&traffic.s, &l->c)))) {
		test_note("connection %d of the traffic shows %s", i, got);
		++*wrong;
	}
	return !marked;
}

/* @arg names the variable of the environment that has the command. */
void by_toactl(const void *arg)
{
	const char *command = getenv(arg);
	struct rlimit files = { .rlim_cur = many + 22000, .rlim_max = many + 22000 };
	struct live *all = calloc(many, sizeof(*all));
	int i, wrong = 0, unmarked = 0, ret;
	long long from, to;
	pthread_t thread;
	struct server s;

	if (!command)
		test_skip("no command in %s", (const char *)arg);
	require(all && setrlimit(RLIMIT_NOFILE, &files) == 0);
	handover_fresh();
	server_open_at(&s, INET, 100, 9080);
	server_open_at(&traffic.s, INET, 100, 9081);
	traffic.count = 0;
	traffic.stop = 0;
	for (i = 0; i < many; i++)
		live_open(&s, &all[i], i);
	require(pthread_create(&thread, NULL, connecting, NULL) == 0);
	wait_for_traffic(20);
	from = ms();
	ret = system(command);
	to = ms();
	wait_for_traffic(20);
	__atomic_store_n(&traffic.stop, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	check(WIFEXITED(ret));
	/* Going back is a failure. */
	check_num(WEXITSTATUS(ret), !strcmp(arg, "TOACTL_BACK"));
	for (i = 0; i < many; i++)
		if (strcmp(peer_of(all[i].fd), client_number(i)))
			wrong++;
	for (i = 0; i < traffic.count; i++)
		unmarked += traffic_shows(i, traffic.made[i] >= from && traffic.begun[i] <= to,
					  &wrong);
	check_num(wrong, 0);
	test_note("%d lived on, and %d of the traffic's %d; %d were made in the gap; %lld ms", many,
		  traffic.count - unmarked, traffic.count, unmarked, to - from);
	for (i = 0; i < many; i++)
		reset(all[i].fd);
	for (i = 0; i < traffic.count; i++)
		reset(traffic.all[i].fd);
	dev_drain(&dev0);
	free(all);
	handover_loaded("by toactl");
}
