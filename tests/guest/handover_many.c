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
#include <unistd.h>

int many = 2000;

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
