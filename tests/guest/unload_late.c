// SPDX-License-Identifier: GPL-2.0
/* Hooks that come and go while the module is loaded, and while it unloads. */
#include "unload.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/*
 * A handshake is forgotten for another while the module unloads: at that, the hook for SYNs that
 * come again is attached. It must not be, once the module is going; else the next handshake runs
 * into what is left of it.
 */
struct late_ack {
	struct conn c;
	unsigned int delay_us;
};

static void *sends_ack(void *arg)
{
	const struct late_ack *a = arg;
	struct opts o = { .len = 0 };
	struct conn c = a->c;

	usleep(a->delay_us);
	conn_ack(&c, opt_v4(&o, "198.51.100.7", 4321));
	return NULL;
}

void forgets(const void *arg)
{
	const struct mechanism *m = arg;
	char params[64];
	int i, k;

	load_or_skip(m);
	must_unload();
	snprintf(params, sizeof(params), "syn_slots=1 %s", m->params);
	for (i = 0; i < 12; i++) {
		struct late_ack acks[2];
		pthread_t threads[2];
		struct conn first, next;
		struct server s;

		check_str(error_name(-toa_load(params)), error_name(0));
		server_open(&s, INET, 0);
		server_syn(&s, &first, NULL);
		for (k = 0; k < 2; k++) {
			server_conn(&s, &acks[k].c);
			conn_syn(&acks[k].c, NULL);
			require(conn_synack(&acks[k].c, NULL));
			acks[k].delay_us = 2000 + i * 40000;
		}
		/* From now on the queue is full. */
		conn_ack(&first, NULL);
		for (k = 0; k < 2; k++)
			start(&threads[k], sends_ack, &acks[k]);
		must_unload();
		for (k = 0; k < 2; k++)
			pthread_join(threads[k], NULL);
		usleep(20000);
		server_open(&s, INET, 5);
		server_conn(&s, &next);
		check(conn_open(&next, NULL, NULL));
	}
}

/*
 * The parameter late: its hook comes and goes while segments pass
 */

#define LATE PARAMETERS "late"

enum { TOGGLES = 50 };

struct toggler {
	pthread_t thread;
	int done;
	int failed;
};

static bool put_late(const char *value)
{
	int fd = open(LATE, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, value, 1) == 1;

	if (fd >= 0)
		close(fd);
	return good;
}

static void *toggling(void *arg)
{
	struct toggler *t = arg;

	for (; t->done < TOGGLES; t->done++) {
		t->failed += !put_late("1");
		usleep(5000);
		t->failed += !put_late("0");
		usleep(5000);
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* A connection whose first option comes in data: does it show the client? */
static bool late_shown(const struct server *s, struct conn *c, int *fd)
{
	bool shown;

	*fd = server_connect(s, c, NULL, NULL);
	check_str(peer_of(*fd), server_sees(s, c));
	conn_data(c, both(), "data");
	check(data_reads(*fd, "data"));
	shown = strcmp(peer_of(*fd), server_sees(s, c));
	if (shown)
		check_str(peer_of(*fd), V4_TEXT);
	check_str(nat64_of(*fd), shown ? V6_TEXT : "ENOENT");
	return shown;
}

void late_toggled(const void *arg)
{
	const struct mechanism *m = arg;
	struct toggler toggler = { .done = 0 };
	struct stats before, after;
	int i, fd, shown = 0, not_shown = 0;
	char params[64], value[8];
	struct server s;
	struct conn c;

	load_or_skip(m);
	need_late();
	stopping = 0;
	server_open(&s, INET, 64);
	require(stats_get(&before));
	start(&toggler.thread, toggling, &toggler);
	for (i = 0; go_on(); i++) {
		if (late_shown(&s, &c, &fd))
			shown++;
		else
			not_shown++;
		reset(fd);
		/* Whoever has an address keeps it. */
		fd = server_connect(&s, &c, NULL, both());
		conn_data(&c, v4_opt("203.0.113.9", 99), "data");
		check(data_reads(fd, "data"));
		check_str(peer_of(fd), V4_TEXT);
		reset(fd);
		if (i % 50 == 0)
			dev_drain(&dev0);
	}
	pthread_join(toggler.thread, NULL);
	check_num(toggler.failed, 0);
	check_num(toggler.done, TOGGLES);
	check(shown > 0 && not_shown > 0);
	require(stats_get(&after));
	check_num(stats_of(&after, "toa_late") - stats_of(&before, "toa_late"), shown);
	check(!late_shown(&s, &c, &fd));
	test_note("%d with, %d without", shown, not_shown);

	/* Unloaded while it is on, and loaded so. */
	check(put_late("1"));
	check(late_shown(&s, &c, &fd));
	must_unload();
	check_str(peer_of(fd), server_sees(&s, &c));
	check(data_flows(&c, fd));
	snprintf(params, sizeof(params), "%s late=1", m->params);
	check_str(error_name(-toa_load(params)), error_name(0));
	require(read_file(LATE, value, sizeof(value)));
	check_str(value, "Y\n");
	check(data_flows(&c, fd));
	check_str(peer_of(fd), server_sees(&s, &c));
	check(late_shown(&s, &c, &fd));
	check(data_flows(&c, fd));
	must_unload();
	check_str(peer_of(fd), server_sees(&s, &c));
}
