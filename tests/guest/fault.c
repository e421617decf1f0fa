// SPDX-License-Identifier: GPL-2.0
/* What can fail fails, on demand or at random: it costs an address and moves a counter. */
#include "client.h"
#include "mod.h"
#include "park.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE "/toa/toa-debug.ko"

static char lines[65536];

static void ensure_unloaded(void)
{
	if (toa_loaded())
		check_str(error_name(-toa_unload()), error_name(0));
}

/* No hook was left behind. */
static void untouched(void)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, DUAL6, 5);
	fd = server_connect(&s, &c, both(), both());
	check_str(peer_of(fd), server_sees(&s, &c));
	reset(fd);
	reset(s.fd);
}

/* Load with the Nth step failing: true if it was loaded all the same. */
static bool load_failing(unsigned int n, const char *params, int *err)
{
	char all[256];
	struct klog k;
	int count;

	snprintf(all, sizeof(all), "fail=%u debug=0 %s", n, params);
	klog_start(&k);
	*err = -toa_load(all);
	count = klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (*err && (count < 1 || strstr(lines, "toa load success")))
		test_fail(__FILE__, __LINE__, "step %u: %d lines: %s", n, count, lines);
	return !*err;
}

/*
 * Each step of a load
 */

static void each_step(const void *arg)
{
	unsigned int n;
	int err;

	ensure_unloaded();
	for (n = 1; n < 100; n++) {
		if (load_failing(n, arg, &err)) {
			if (!strstr(lines, "of a new namespace"))
				break;
			/* One of an earlier test still lives, which is no reason to refuse. */
			ensure_unloaded();
			continue;
		}
		if (strstr(lines, "nor the ftrace") || err == EOPNOTSUPP)
			test_skip("this kernel cannot do it");
		check_str(error_name(err), error_name(ENOMEM));
		if (toa_loaded() || access("/proc/net/toa_stats", F_OK) == 0 ||
		    access("/proc/net/toa_table", F_OK) == 0)
			test_fail(__FILE__, __LINE__, "step %u leaves something", n);
		untouched();
	}
	test_note("%u steps can fail", n - 1);
	/* It was not the step that failed without consequence, but that there was none any more. */
	check(param_number("fail") > 0);
	check(n > 15);
	param_set("fail", "0");
	works(INET);
	ensure_unloaded();
}

/* Without ftrace for one function there is the kprobe. */
static void falls_back(const void *arg)
{
	unsigned int n, fell = 0;
	int err;

	(void)arg;
	ensure_unloaded();
	for (n = 8; n < 20; n++) {
		if (!load_failing(n, "hook=auto", &err)) {
			if (strstr(lines, "cannot hook"))
				test_skip("this kernel has kprobes only");
			continue;
		}
		fell += !!strstr(lines, "ftrace and kprobes");
		check_num(param_number("fail"), 0);
		works(INET);
		ensure_unloaded();
	}
	check(fell > 0);
}

/*
 * The hook that the first listener with TCP_DEFER_ACCEPT needs: it is tried again. That is told
 * once.
 */
static void deferred_later(const void *arg)
{
	struct server s;
	struct klog k;
	struct conn c;

	ensure_unloaded();
	if (toa_load(arg))
		test_skip("this kernel cannot do it");
	klog_start(&k);
	param_set("fail_one_in", "1");
	server_open_deferred(&s, INET);
	server_conn(&s, &c);
	conn_syn(&c, NULL);
	/* It is tried each second. */
	sleep(4);
	param_set("fail_one_in", "0");
	deferred_ready(NULL);
	check_num(klog_lines(&k, "TOA: cannot hook tcp_check_req: memory is short", lines,
			     sizeof(lines)), 1);
	ensure_unloaded();
}

/* To set late at run time fails as a load does: it says so, and the parameter stays as it was. */
static void late_later(const void *arg)
{
	char value[16];
	struct server s;
	struct klog k;
	struct conn c;
	int fd, tries;

	ensure_unloaded();
	if (toa_load(arg))
		test_skip("this kernel cannot do it");
	need_late();
	server_open(&s, INET, 5);
	for (tries = 0; tries < 2; tries++) {
		klog_start(&k);
		param_set("fail", tries ? "0" : "1");
		fd = open(PARAMETERS "late", O_WRONLY | O_CLOEXEC);
		require(fd >= 0);
		check_num(write(fd, "1", 1), tries ? 1 : -1);
		check_str(error_name(tries ? 0 : errno), error_name(tries ? 0 : ENOMEM));
		close(fd);
		check_num(param_number("fail"), 0);
		check_num(klog_lines(&k, "TOA: cannot hook tcp_rcv_established: memory is short",
				     lines, sizeof(lines)), !tries);
		require(read_file(PARAMETERS "late", value, sizeof(value)));
		check_str(value, tries ? "Y\n" : "N\n");
		fd = server_connect(&s, &c, NULL, NULL);
		conn_data(&c, both(), "data");
		check(data_reads(fd, "data"));
		check_has(&s, &c, fd, tries ? V4_TEXT : NULL, tries ? V6_TEXT : NULL);
	}
	ensure_unloaded();
}

/* So does naming the SYN: first the slots that it needs, then its hook. */
static void segments_later(const void *arg)
{
	static const struct {
		const char *fail;
		const char *line;
	} steps[] = {
		{ "1", "TOA: no memory for " },
		{ "2", "TOA: cannot hook tcp_conn_request: memory is short" },
		{ "0", NULL },
	};
	char value[16], params[64];
	const char *line;
	struct server s;
	struct klog k;
	struct conn c;
	unsigned int i;
	int fd;

	ensure_unloaded();
	snprintf(params, sizeof(params), "%s segments=ack", (const char *)arg);
	if (toa_load(params))
		test_skip("this kernel cannot do it");
	server_open(&s, INET, 5);
	for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		line = steps[i].line;
		if (line && strstr(line, "tcp_conn_request") && !kernel_has("tcp_conn_request"))
			continue;
		klog_start(&k);
		param_set("fail", steps[i].fail);
		fd = open(PARAMETERS "segments", O_WRONLY | O_CLOEXEC);
		require(fd >= 0);
		check_num(write(fd, "syn", 3), line ? -1 : 3);
		check_str(error_name(line ? errno : 0), error_name(line ? ENOMEM : 0));
		close(fd);
		check_num(param_number("fail"), 0);
		if (line)
			check_num(klog_lines(&k, line, lines, sizeof(lines)), 1);
		require(read_file(PARAMETERS "segments", value, sizeof(value)));
		check_str(value, line ? "ack\n" : "syn\n");
		fd = server_connect(&s, &c, both(), NULL);
		check_has(&s, &c, fd, line ? NULL : V4_TEXT, line ? NULL : V6_TEXT);
	}
	ensure_unloaded();
}

/*
 * At random, under traffic
 */

enum { CONNECTIONS = 300 };

static int stopping;

/* Whatever else allocates. */
static void *disturbing(void *arg)
{
	static const char *const lists[] = { "10.9.0.0/16,fd09::/64", "0.0.0.0/0,::/0" };
	const char *stands = NULL;
	int *rounds = arg;
	char buf[4096];

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		const char *list = lists[*rounds & 1];
		int fd = open(PARAMETERS "trusted", O_RDWR | O_CLOEXEC);

		if (write(fd, list, strlen(list)) > 0)
			stands = list;
		else if (errno != ENOMEM)
			test_fail(__FILE__, __LINE__, "trusted");
		/* One that is refused leaves the other. */
		if (stands && (pread(fd, buf, sizeof(buf), 0) <= 0 ||
			       strncmp(buf, stands, strlen(stands))))
			test_fail(__FILE__, __LINE__, "trusted has changed");
		close(fd);
		fd = open("/proc/net/toa_table", O_RDONLY | O_CLOEXEC);
		if (fd < 0 && errno != ENOMEM)
			test_fail(__FILE__, __LINE__, "toa_table");
		while (fd >= 0 && read(fd, buf, sizeof(buf)) > 0)
			;
		if (fd >= 0)
			close(fd);
		__atomic_add_fetch(rounds, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void at_random(const void *arg)
{
	static struct conn c[CONNECTIONS];
	static int fd[CONNECTIONS];
	static bool shown[CONNECTIONS];
	struct stats before, after;
	int i, known = 0, rounds = 0;
	pthread_t thread;
	struct server s;

	ensure_unloaded();
	check_str(error_name(-toa_load("debug=0")), error_name(0));
	/* The table wants to grow on the way. */
	param_set("synthetic", "900");
	server_open(&s, *(const enum kind *)arg, 16);
	require(stats_get(&before));
	param_set("fail_one_in", "3");
	stopping = 0;
	require(pthread_create(&thread, NULL, disturbing, &rounds) == 0);
	for (i = 0; i < CONNECTIONS; i++) {
		fd[i] = server_connect(&s, &c[i], i & 1 ? both() : NULL, i & 2 ? NULL : both());
		shown[i] = strcmp(peer_of(fd[i]), server_sees(&s, &c[i])) != 0;
		known += shown[i];
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check(rounds > 0);
	param_set("fail_one_in", "0");
	require(stats_get(&after));
	/* i & 1 or not i & 2: three of four have an address. */
	check_num(stats_of(&after, "syn_recv_sock_toa") - stats_of(&before, "syn_recv_sock_toa"),
		  known);
	check_num(stats_of(&after, "toa_alloc_failed") - stats_of(&before, "toa_alloc_failed"),
		  CONNECTIONS * 3 / 4 - known);
	check_num(stats_of(&after, "syn_recv_sock_no_toa") -
		  stats_of(&before, "syn_recv_sock_no_toa"), CONNECTIONS / 4);
	check(known > CONNECTIONS / 4 && known < CONNECTIONS * 3 / 4);
	for (i = 0; i < CONNECTIONS; i++) {
		check_has(&s, &c[i], fd[i], shown[i] ? V4_TEXT : NULL, shown[i] ? V6_TEXT : NULL);
		if (i % 10 == 0)
			check(data_flows(&c[i], fd[i]));
		reset(fd[i]);
	}
	test_note("%d allocations failed", CONNECTIONS * 3 / 4 - known);
	param_set("synthetic", "0");
	param_set("trusted", "");
	check(table_empties());
	check(stats_balanced());
	works(INET);
	ensure_unloaded();
}

/* A namespace comes into being without its file, or with it. */
static void namespaces(const void *arg)
{
	int i, with = 0;

	(void)arg;
	ensure_unloaded();
	check_str(error_name(-toa_load("debug=0")), error_name(0));
	param_set("fail_one_in", "2");
	for (i = 0; i < 10; i++) {
		struct ns ns;

		ns_new(&ns);
		ns_enter(&ns);
		with += net_has("toa_table");
		ns_leave();
		ns_free(&ns);
	}
	check(with > 0 && with < 10);
	param_set("fail_one_in", "0");
	works(INET);
	ensure_unloaded();
}

/*
 * What the lockless reader rests on
 */

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		test_skip("one processor");
}

/* An entry that outlives its socket is not shown by the next one at the same address. */
static void unnoticed(const void *arg)
{
	int i;

	ensure_unloaded();
	check_str(error_name(-toa_load(arg)), error_name(0));
	on_cpu(0);
	for (i = 0; i < 30; i++) {
		struct conn first, next;
		struct server s;
		int fd;

		/* The same in both but the balancer's port. */
		server_open(&s, INET, 5);
		param_set("deaf", "1");
		fd = server_connect(&s, &first, NULL, v4_opt("198.51.100.1", 1));
		check_str(peer_of(fd), "198.51.100.1:1");
		reset(fd);
		param_set("deaf", "0");
		fd = server_connect(&s, &next, NULL, NULL);
		check_str(peer_of(fd), server_sees(&s, &next));
		reset(fd);
		reset(s.fd);
	}
	ensure_unloaded();
}

static void *asks_held(void *arg)
{
	static char answer[64];

	on_cpu(1);
	snprintf(answer, sizeof(answer), "%s", peername_of(*(int *)arg));
	return answer;
}

/*
 * A reader stands on an entry that becomes another connection's meanwhile: it shows neither that
 * one's client, nor half of each.
 */
static void recycled(const void *arg)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };
	struct conn first, next;
	char balancer[64];
	pthread_t thread;
	struct server s;
	void *answer;
	int fd, i;

	(void)arg;
	ensure_unloaded();
	check_str(error_name(-toa_load("debug=0")), error_name(0));
	on_cpu(0);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &first, NULL, v4_opt("198.51.100.1", 1));
	snprintf(balancer, sizeof(balancer), "%s", server_sees(&s, &first));
	check_str(peer_of(fd), "198.51.100.1:1");
	param_set("hold", "1");
	require(pthread_create(&thread, NULL, asks_held, &fd) == 0);
	for (i = 0; i < WAIT_MS && param_number("hold") != 2; i++)
		usleep(1000);
	require(param_number("hold") == 2);
	check(connect(fd, (struct sockaddr *)&none, sizeof(none)) == 0);
	/* It takes the entry that was given back last on this processor. */
	i = server_connect(&s, &next, NULL, v4_opt("203.0.113.9", 9));
	check_str(peer_of(i), "203.0.113.9:9");
	param_set("hold", "0");
	pthread_join(thread, &answer);
	check_str(answer, balancer);
	reset(i);
	close(fd);
	ensure_unloaded();
}

/*
 * Many threads inside getpeername
 */

enum { THREADS = 4096 };

static struct {
	pthread_t thread;
	bool right;
} asked[THREADS];

static int asked_fd, returned;

static void *send_parked(void *arg)
{
	struct park *park = arg;

	return (void *)(long)send(asked_fd, park->page, 1, MSG_NOSIGNAL);
}

static void *ask(void *arg)
{
	bool *right = arg;

	*right = !strcmp(peer_of(asked_fd), V4_TEXT);
	__atomic_add_fetch(&returned, 1, __ATOMIC_RELAXED);
	return NULL;
}

/* Threads of this process that wait for what cannot be interrupted. */
static int waiting(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int count = 0;

	require(dir);
	while ((entry = readdir(dir))) {
		char path[300], text[256], *p;

		snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
		if (entry->d_name[0] == '.' || !read_file(path, text, sizeof(text)))
			continue;
		p = strrchr(text, ')');
		count += p && p[2] == 'D';
	}
	closedir(dir);
	return count;
}

static void many_inside(const void *arg)
{
	struct stats before;
	pthread_attr_t attr;
	struct park park;
	pthread_t sender;
	struct server s;
	struct conn c;
	int i, started, right = 0;
	void *sent;

	park_open(&park);
	ensure_unloaded();
	check_str(error_name(-toa_load(arg)), error_name(0));
	server_open(&s, INET, 5);
	asked_fd = server_connect(&s, &c, NULL, both());
	require(stats_get(&before));
	returned = 0;
	/* send() holds the socket's lock until its data comes. */
	require(pthread_create(&sender, NULL, send_parked, &park) == 0);
	check(park_taken(&park));
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	for (started = 0; started < THREADS; started++)
		if (pthread_create(&asked[started].thread, &attr, ask, &asked[started].right))
			break;
	check_num(started, THREADS);
	for (i = 0; i < 600 && !__atomic_load_n(&returned, __ATOMIC_RELAXED); i++) {
		if (waiting() >= started)
			break;
		usleep(100000);
	}
	if (returned)
		test_note("getpeername does not wait for the socket's lock on this kernel");
	else
		check(waiting() >= started);
	park_free(&park);
	pthread_join(sender, &sent);
	check((long)sent == 1);
	for (i = 0; i < started; i++) {
		pthread_join(asked[i].thread, NULL);
		right += asked[i].right;
	}
	check_num(right, started);
	check_moved(&before, "getname_toa_ok", started);
	park_close(&park);
	ensure_unloaded();
}

int main(int argc, char **argv)
{
	setenv("TOA_KO", MODULE, 0);
	test_add(each_step, "hook=ftrace trusted=10.9.0.0/16,fd09::/64",
		 "each step of a load, ftrace");
	test_add(each_step, "hook=kprobe trusted=10.9.0.0/16,fd09::/64",
		 "each step of a load, kprobes");
	test_add(each_step, "hook=ftrace late=1 trusted=10.9.0.0/16,fd09::/64",
		 "each step of a load with late=1, ftrace");
	test_add(each_step, "hook=kprobe late=1 trusted=10.9.0.0/16,fd09::/64",
		 "each step of a load with late=1, kprobes");
	test_add(falls_back, NULL, "a kprobe in the place of ftrace");
	test_add(deferred_later, "hook=ftrace debug=0", "a hook that is tried again, ftrace");
	test_add(deferred_later, "hook=kprobe debug=0", "a hook that is tried again, kprobes");
	test_add(late_later, "hook=ftrace debug=0", "late=1 fails at run time, ftrace");
	test_add(late_later, "hook=kprobe debug=0", "late=1 fails at run time, kprobes");
	test_add(segments_later, "hook=ftrace debug=0", "segments=syn fails at run time, ftrace");
	test_add(segments_later, "hook=kprobe debug=0", "segments=syn fails at run time, kprobes");
	test_add(at_random, &every_kind[INET], "allocations at random, %s", kind_name[INET]);
	test_add(at_random, &every_kind[DUAL6], "allocations at random, %s", kind_name[DUAL6]);
	test_add(namespaces, NULL, "new namespaces");
	test_add(unnoticed, "debug=0", "an end goes unnoticed");
	test_add(recycled, NULL, "a reader's entry becomes another connection's");
	test_add(many_inside, "debug=0 hook=auto", "4096 threads inside getpeername");
	test_add(many_inside, "debug=0 hook=kprobe", "4096 threads inside getpeername, kprobes");
	return bare_main("fault", "both=1", argc, argv);
}
