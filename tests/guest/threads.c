// SPDX-License-Identifier: GPL-2.0
/* Many threads: whoever waits in accept() sees the real address, every time. */
#include "mod.h"
#include "park.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/*
 * Each connection's option says 198.18.x.y or 2001:db8::x:y with the number of its balancer's
 * port; so each answer shows by itself whether it is right.
 */
static void name_client(struct opts *o, uint16_t port, bool v4, bool v6)
{
	char text[64];

	o->len = 0;
	snprintf(text, sizeof(text), "198.18.%u.%u", port >> 8, port & 0xff);
	if (v4)
		opt_v4(o, text, port);
	snprintf(text, sizeof(text), "2001:db8::%x", port);
	if (v6)
		opt_v6(o, text, port);
}

static bool right_v4(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in *sin = (const struct sockaddr_in *)ss;

	return ss->ss_family == AF_INET &&
	       ntohl(sin->sin_addr.s_addr) == 0xc6120000 + ntohs(sin->sin_port);
}

static bool right_v6(const struct sockaddr_storage *ss)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)ss;
	char text[64];
	struct in6_addr want;

	snprintf(text, sizeof(text), "2001:db8::%x", ntohs(sin6->sin6_port));
	inet_pton(AF_INET6, text, &want);
	return ss->ss_family == AF_INET6 && !memcmp(&sin6->sin6_addr, &want, sizeof(want));
}

static bool right(const struct server *s, const struct sockaddr_storage *ss)
{
	return s->kind == INET ? right_v4(ss) : right_v6(ss);
}

struct worker {
	pthread_t thread;
	const struct server *s;
	int accepted;
	int wrong;
	char last[96];
};

static int stopping;

/* Waits in accept(); asks again, then closes. */
static void *accepting(void *arg)
{
	struct worker *w = arg;

	for (;;) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		int fd = accept(w->s->fd, (struct sockaddr *)&ss, &len);

		if (fd < 0)
			break;
		w->accepted++;
		if (!right(w->s, &ss)) {
			w->wrong++;
			strcpy(w->last, addr_text(&ss));
		}
		len = sizeof(ss);
		if (getpeername(fd, (struct sockaddr *)&ss, &len) || !right(w->s, &ss)) {
			w->wrong++;
			strcpy(w->last, addr_text(&ss));
		}
		reset(fd);
	}
	return NULL;
}

enum { WORKERS = 3, CONNECTIONS = 500 };

static void accept_race(const void *arg)
{
	struct worker w[WORKERS] = { 0 };
	struct server s;
	int i, accepted = 0;

	server_open(&s, *(const enum kind *)arg, 512);
	for (i = 0; i < WORKERS; i++) {
		w[i].s = &s;
		require(pthread_create(&w[i].thread, NULL, accepting, &w[i]) == 0);
	}
	for (i = 0; i < CONNECTIONS; i++) {
		struct opts o;
		struct conn c;

		server_conn(&s, &c);
		name_client(&o, c.sport, s.kind == INET, s.kind != INET);
		if (!conn_open(&c, i & 1 ? &o : NULL, i & 1 ? NULL : &o)) {
			test_fail(__FILE__, __LINE__, "no SYN-ACK for connection %d", i);
			break;
		}
	}
	/* Those who wait leave when the listener is shut; what is in its queue is taken first. */
	for (i = 0; i < WAIT_MS; i++) {
		int k;

		for (k = 0, accepted = 0; k < WORKERS; k++)
			accepted += __atomic_load_n(&w[k].accepted, __ATOMIC_RELAXED);
		if (accepted == CONNECTIONS)
			break;
		usleep(1000);
	}
	shutdown(s.fd, SHUT_RDWR);
	for (i = 0; i < WORKERS; i++) {
		pthread_join(w[i].thread, NULL);
		if (w[i].wrong)
			test_fail(__FILE__, __LINE__, "%d wrong of %d, the last '%s'", w[i].wrong,
				  w[i].accepted, w[i].last);
	}
	check_num(accepted, CONNECTIONS);
}

/*
 * The final ACK twice, on two CPUs at once: one of the two children is thrown away.
 */

struct twin {
	pthread_t thread;
	struct conn c;
	const struct opts *ack;
	int turn, done;
};

static void *twin(void *arg)
{
	struct twin *t = arg;
	int done = 0;

	for (;;) {
		int turn = __atomic_load_n(&t->turn, __ATOMIC_ACQUIRE);

		if (turn < 0)
			break;
		if (turn == done)
			continue;
		conn_ack(&t->c, t->ack);
		done = turn;
		__atomic_store_n(&t->done, done, __ATOMIC_RELEASE);
	}
	return NULL;
}

static void twin_acks(const void *arg)
{
	static const char *const rows[] = {
		"syn_recv_sock_toa", "ip6_address_alloc", "ip6_address_free", "getname_toa_ok",
	};
	struct stats before, after;
	struct twin t = { .turn = 0 };
	struct server s;
	int i, wrong = 0;

	server_open(&s, *(const enum kind *)arg, 16);
	require(stats_get(&before));
	require(pthread_create(&t.thread, NULL, twin, &t) == 0);
	for (i = 1; i <= CONNECTIONS; i++) {
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);
		struct opts o;
		int fd;

		server_conn(&s, &t.c);
		name_client(&o, t.c.sport, s.kind == INET, true);
		t.ack = i & 1 ? NULL : &o;
		conn_syn(&t.c, &o);
		if (!conn_synack(&t.c, NULL)) {
			test_fail(__FILE__, __LINE__, "no SYN-ACK for connection %d", i);
			break;
		}
		__atomic_store_n(&t.turn, i, __ATOMIC_RELEASE);
		conn_ack(&t.c, t.ack);
		while (__atomic_load_n(&t.done, __ATOMIC_ACQUIRE) != i)
			;
		fd = accept(s.fd, (struct sockaddr *)&ss, &len);
		wrong += !right(&s, &ss);
		len = sizeof(ss);
		wrong += getpeername(fd, (struct sockaddr *)&ss, &len) || !right(&s, &ss);
		reset(fd);
		dev_drain(&dev0);
	}
	__atomic_store_n(&t.turn, -1, __ATOMIC_RELEASE);
	pthread_join(t.thread, NULL);
	check_num(wrong, 0);
	check(poll(&(struct pollfd){ .fd = s.fd, .events = POLLIN }, 1, 0) == 0);
	check(stats_balanced());
	check(table_empties());
	require(stats_get(&after));
	for (i = 0; i < 4; i++)
		check_num(stats_of(&after, rows[i]) - stats_of(&before, rows[i]),
			  i == 3 ? 2 * CONNECTIONS : CONNECTIONS);
	/* The slower one may find what the SYN said gone, as the faster one has taken it. */
	check_num(stats_of(&after, "syn_recv_sock_no_toa") -
		  stats_of(&before, "syn_recv_sock_no_toa"), 0);
}

/*
 * Asking while connections are reset and closed: the real address, the balancer's never, or
 * ENOTCONN
 */

static int shared_fd[64];

struct asker {
	pthread_t thread;
	int answers, wrong, connected64, wrong64;
	char last[96];
};

static void *asking(void *arg)
{
	struct asker *a = arg;
	unsigned int n = 0;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		int fd = __atomic_load_n(&shared_fd[n++ % 64], __ATOMIC_RELAXED);
		struct sockaddr_storage ss = { 0 };
		socklen_t len = sizeof(ss);

		if (fd < 0)
			continue;
		if (getpeername(fd, (struct sockaddr *)&ss, &len) == 0) {
			a->answers++;
			if (!right_v4(&ss)) {
				a->wrong++;
				strcpy(a->last, addr_text(&ss));
			}
		} else if (errno != ENOTCONN && errno != EBADF) {
			a->wrong++;
			strcpy(a->last, error_name(errno));
		}
		if (nat64_of(fd)[0] == '[')
			a->connected64++;
	}
	return NULL;
}

static void asking_race(const void *arg)
{
	struct asker a[3];
	struct server s;
	int i;

	(void)arg;
	memset(a, 0, sizeof(a));
	for (i = 0; i < 64; i++)
		shared_fd[i] = -1;
	stopping = 0;
	server_open(&s, INET, 16);
	for (i = 0; i < 3; i++)
		require(pthread_create(&a[i].thread, NULL, asking, &a[i]) == 0);
	for (i = 0; i < 1000; i++) {
		int slot = i % 64, old = shared_fd[slot];
		struct opts o;
		struct conn c;
		int fd;

		server_conn(&s, &c);
		name_client(&o, c.sport, true, true);
		if (!conn_open(&c, NULL, &o)) {
			test_fail(__FILE__, __LINE__, "no SYN-ACK for connection %d", i);
			break;
		}
		fd = accept(s.fd, NULL, NULL);
		/* The new one first: a number that is used again is one of the right ones. */
		__atomic_store_n(&shared_fd[slot], fd, __ATOMIC_RELAXED);
		if (i % 3 == 0)
			conn_rst(&c);
		if (old >= 0)
			reset(old);
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 3; i++) {
		pthread_join(a[i].thread, NULL);
		if (a[i].wrong)
			test_fail(__FILE__, __LINE__, "%d wrong of %d, the last '%s'", a[i].wrong,
				  a[i].answers, a[i].last);
		check(a[i].answers > 0);
		check(a[i].connected64 > 0);
	}
	for (i = 0; i < 64; i++)
		if (shared_fd[i] >= 0)
			reset(shared_fd[i]);
	check(stats_balanced());
	check(table_empties());
}

/* Reading the files while connections come and go. */
static void *reading(void *arg)
{
	static char buf[65536];
	int *rounds = arg;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		read_file("/proc/net/toa_table", buf, sizeof(buf));
		read_file("/proc/net/toa_stats", buf, sizeof(buf));
		(*rounds)++;
	}
	return NULL;
}

static void reading_race(const void *arg)
{
	pthread_t thread;
	struct server s;
	int i, rounds = 0;

	(void)arg;
	stopping = 0;
	server_open(&s, INET, 16);
	require(pthread_create(&thread, NULL, reading, &rounds) == 0);
	for (i = 0; i < 500; i++) {
		struct opts o;
		struct conn c;

		server_conn(&s, &c);
		name_client(&o, c.sport, true, true);
		if (!conn_open(&c, &o, NULL)) {
			test_fail(__FILE__, __LINE__, "no SYN-ACK for connection %d", i);
			break;
		}
		reset(accept(s.fd, NULL, NULL));
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(rounds > 0);
	check(access("/proc/net/toa_table", R_OK) == 0);
	check(stats_balanced());
	check(table_empties());
}

/*
 * More threads inside getpeername than a kretprobe has instances (BLOCKING_CALLS_MAX)
 */

enum { CALLS = 4096 + 512, SURPLUS = 64, STACK = 32768 };

struct caller {
	pthread_t thread;
	pid_t tid;
	int err;
	struct sockaddr_storage shown;
};

static int called_fd, returned;

static void *send_parked(void *arg)
{
	struct park *park = arg;

	return (void *)(long)send(called_fd, park->page, 1, MSG_NOSIGNAL);
}

static void *calling(void *arg)
{
	struct caller *k = arg;
	socklen_t len = sizeof(k->shown);

	__atomic_store_n(&k->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	k->err = getpeername(called_fd, (struct sockaddr *)&k->shown, &len) ? errno : 0;
	__atomic_add_fetch(&returned, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Return: how many were started. */
static int start_calls(struct caller *k, int count, bool one_cpu)
{
	pthread_attr_t attr;
	cpu_set_t cpu;
	int i;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	CPU_ZERO(&cpu);
	CPU_SET(0, &cpu);
	if (one_cpu)
		pthread_attr_setaffinity_np(&attr, sizeof(cpu), &cpu);
	for (i = 0; i < count; i++)
		if (pthread_create(&k[i].thread, &attr, calling, &k[i]))
			break;
	pthread_attr_destroy(&attr);
	return i;
}

/* Does it wait for what cannot be interrupted? */
static bool is_waiting(const struct caller *k)
{
	pid_t tid = __atomic_load_n(&k->tid, __ATOMIC_ACQUIRE);
	char path[64], text[256], *p;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	if (!tid || !read_file(path, text, sizeof(text)))
		return false;
	p = strrchr(text, ')');
	return p && p[2] == 'D';
}

/* Wait until all are on their way first: until then, some wait for each other's memory. */
static bool all_inside(const struct caller *k, int count)
{
	int i, tries = 0;

	for (i = 0; i < count; i++)
		while (!__atomic_load_n(&k[i].tid, __ATOMIC_ACQUIRE) && tries++ < WAIT_MS)
			usleep(10000);
	for (i = 0; i < count; i++)
		while (!is_waiting(&k[i])) {
			if (__atomic_load_n(&returned, __ATOMIC_RELAXED) || tries++ > WAIT_MS)
				return false;
			usleep(10000);
		}
	return true;
}

static int join_calls(const struct caller *k, int count, const char *want)
{
	int i, right = 0;

	for (i = 0; i < count; i++) {
		pthread_join(k[i].thread, NULL);
		if (k[i].err)
			test_fail(__FILE__, __LINE__, "getpeername: %s", error_name(k[i].err));
		else
			right += !strcmp(addr_text(&k[i].shown), want);
	}
	return right;
}

/* They get what getpeername says without the module, and are counted. */
static void too_many_calls(const void *arg)
{
	struct caller *k = calloc(CALLS + SURPLUS, sizeof(*k));
	struct stats before, after;
	int calls, surplus = 0;
	char real[32];
	struct park park;
	pthread_t sender;
	struct server s;
	struct opts o;
	struct conn c;
	void *sent;

	(void)arg;
	require(k);
	park_open(&park);
	require(toa_unload() == 0);
	require(toa_load("hook=kprobe") == 0);
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	name_client(&o, c.sport, true, false);
	snprintf(real, sizeof(real), "198.18.%u.%u:%u", c.sport >> 8, c.sport & 0xff, c.sport);
	require(conn_open(&c, NULL, &o));
	called_fd = server_accept(&s, NULL);
	check_str(peer_of(called_fd), real);
	require(stats_get(&before));
	returned = 0;
	/* send() holds the socket's lock until its data comes. */
	require(pthread_create(&sender, NULL, send_parked, &park) == 0);
	check(park_taken(&park));
	calls = start_calls(k, 1, false);
	if (all_inside(k, calls)) {
		calls += start_calls(k + 1, CALLS - 1, false);
		check_num(calls, CALLS);
		check(all_inside(k, calls));
		/* On one CPU: the kernel counts those it misses without a lock. */
		surplus = start_calls(k + CALLS, SURPLUS, true);
		check_num(surplus, SURPLUS);
		check(all_inside(k + CALLS, surplus));
	} else {
		check(returned);
	}
	park_free(&park);
	pthread_join(sender, &sent);
	check((long)sent == 1);
	check_num(join_calls(k, calls, real), calls);
	check_num(join_calls(k + CALLS, surplus, server_sees(&s, &c)), surplus);
	require(stats_get(&after));
	check_num(stats_of(&after, "getname_toa_ok") - stats_of(&before, "getname_toa_ok"), calls);
	check_num(stats_of(&after, "toa_probe_missed") - stats_of(&before, "toa_probe_missed"),
		  surplus);
	/* There are instances again. */
	check_str(peer_of(called_fd), real);
	reset(called_fd);
	check(table_empties());
	park_close(&park);
	free(k);
	require(toa_unload() == 0);
	require(toa_load("") == 0);
	if (calls == 1)
		test_skip("getpeername does not wait for the socket's lock on this kernel");
}

int main(int argc, char **argv)
{
	test_add_kinds(accept_race, "waiting in accept");
	test_add_kinds(twin_acks, "final ACK on two CPUs at once");
	test_add(asking_race, NULL, "asking while connections end");
	test_add(reading_race, NULL, "reading the files while connections come and go");
	test_add(too_many_calls, NULL,
		 "more threads inside getpeername than kprobes have room for");
	return toa_main("threads", "both=1", argc, argv);
}
