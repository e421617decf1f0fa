// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading: the lines in the kernel log, failures, live connections, traffic. */
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/utsname.h>
#include <unistd.h>

#define KPROBES "/sys/kernel/debug/kprobes/enabled"

static char lines[65536];

static bool module_there(void)
{
	return toa_loaded() || access("/proc/net/toa_stats", F_OK) == 0 ||
	       access("/proc/net/toa_table", F_OK) == 0;
}

static void ensure(bool loaded)
{
	if (toa_loaded() == loaded)
		return;
	check_str(error_name(loaded ? -toa_load("") : -toa_unload()), error_name(0));
}

#define must_load(params) check_str(error_name(-toa_load(params)), error_name(0))
#define must_unload() check_str(error_name(-toa_unload()), error_name(0))

static void unloaded(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	ensure(false);
	check(!module_there());
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, both(), both());
	check_str(nat64_of(fd), "ENOPROTOOPT");
	check_str(peer_of(fd), server_sees(&s, &c));
	check(data_flows(&c, fd));
}

static void load_line(const void *arg)
{
	struct klog k;

	(void)arg;
	ensure(false);
	klog_start(&k);
	must_load("");
	check(klog_lines(&k, "TOA: ", lines, sizeof(lines)) >= 1);
	check(strstr(lines, "toa load success"));
	check(module_there());
}

static void unload_line(const void *arg)
{
	struct klog k;

	(void)arg;
	ensure(true);
	klog_start(&k);
	must_unload();
	check(klog_lines(&k, "TOA: ", lines, sizeof(lines)) >= 1);
	check(strstr(lines, "TOA unloaded"));
	check(!module_there());
}

/* Whatever the module says, it says who it is. */
static void all_lines(const void *arg)
{
	struct klog k;
	char *p;
	int named;

	(void)arg;
	ensure(false);
	klog_start(&k);
	must_load("");
	must_unload();
	klog_lines(&k, "", lines, sizeof(lines));
	for (p = strtok(lines, "\n"), named = 0; p; p = strtok(NULL, "\n")) {
		named += !strncmp(p, "TOA: ", 5);
		if ((strstr(p, "toa") || strstr(p, "TOA")) && strncmp(p, "TOA: ", 5) &&
		    strncmp(p, "toa: loading out-of-tree", 24) && strncmp(p, "toa: module", 11))
			test_fail(__FILE__, __LINE__, "line '%s'", p);
	}
	check(named >= 2);
}

static void twice(const void *arg)
{
	(void)arg;
	ensure(true);
	check_str(error_name(-toa_load("")), "EEXIST");
	check(toa_loaded());
}

static void nothing_left(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	ensure(true);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, both());
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	must_unload();
	check(!module_there());
	check_str(nat64_of(fd), "ENOPROTOOPT");
}

/*
 * What cannot work
 */

struct holder {
	const char *params;
	const char *cause;	/* words of which the line has one */
	const char *other;
};

static void held(const void *arg)
{
	const struct holder *t = arg;
	struct klog k;
	struct server s;
	struct conn c;
	int fd, n;

	ensure(false);
	if (!holder_exists())
		test_fail(__FILE__, __LINE__, "no toa_holder.ko");
	require(holder_load(t->params) == 0);
	klog_start(&k);
	check(toa_load("") != 0);
	n = klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check_num(n, 1);
	check(strstr(lines, t->cause) || strstr(lines, t->other));
	check(strstr(lines, "(inet_getname_toa [toa_holder])"));
	check(!strstr(lines, "toa load success"));
	check(!toa_loaded());
	check(access("/proc/net/toa_table", F_OK) != 0);
	/* Nothing of it is left in the way of connections. */
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, both(), both());
	check_str(peer_of(fd), server_sees(&s, &c));
	check(data_flows(&c, fd));
	if (toa_loaded())
		toa_unload();
	check_num(holder_unload(), 0);

	must_load("");
	fd = server_connect(&s, &c, both(), both());
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	reset(fd);
	must_unload();
}

/* Numbers beside ours may be another's. */
static void beside(const void *arg)
{
	ensure(false);
	if (!holder_exists())
		test_fail(__FILE__, __LINE__, "no toa_holder.ko");
	require(holder_load(arg) == 0);
	must_load("");
	check(toa_loaded());
	must_unload();
	check_num(holder_unload(), 0);
}

/* Kprobes that are switched off never fire; the self-test must see it. */
static void kprobes_off(const void *arg)
{
	int err, n, major = 0, minor = 0;
	struct utsname uts;
	struct klog k;
	char was[8];

	(void)arg;
	uname(&uts);
	sscanf(uts.release, "%d.%d", &major, &minor);
	/* They take away what they have not put there, and say "Failed to disarm kprobe-ftrace". */
	if (major < 4 || (major == 4 && minor < 1))
		test_skip("%s: a probe that comes and goes meanwhile ends all until the next boot",
			  uts.release);
	ensure(false);
	if (access(KPROBES, F_OK))
		mount("none", "/sys/kernel/debug", "debugfs", 0, NULL);
	if (!read_file(KPROBES, was, sizeof(was)))
		test_skip("no " KPROBES);
	write_file(KPROBES, "0");
	klog_start(&k);
	err = toa_load("hook=kprobe");
	n = klog_lines(&k, "TOA: ", lines, sizeof(lines));
	was[1] = 0;
	write_file(KPROBES, was);
	check(err != 0);
	check_num(n, 1);
	check(strstr(lines, "kprobe"));
	if (!err)
		toa_unload();
	check(!module_there());
	must_load("hook=kprobe");
	check(toa_loaded());
	must_unload();
}

/* The module's hooks are by ftrace where it can choose. Leaves it loaded. */
static void need_ftrace(void)
{
	struct klog k;

	ensure(false);
	klog_start(&k);
	must_load("hook=auto");
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (!strstr(lines, "hooks by ftrace,")) {
		must_unload();
		test_skip("hooks are by kprobes here");
	}
}

static void shows_all(void)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, both(), both());
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	reset(fd);
	reset(s.fd);
}

/* A function that is live-patched has a kprobe instead, and the log says so; the others stay. */
static void patched_before(const void *arg)
{
	char params[64], line[96];
	struct klog k;

	need_ftrace();
	must_unload();
	snprintf(params, sizeof(params), "patch=%s", (const char *)arg);
	require(holder_load(params) == 0);
	klog_start(&k);
	must_load("hook=auto");
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	snprintf(line, sizeof(line), "%s is taken, by a live patch or BPF?", (const char *)arg);
	check(strstr(lines, line));
	check(strstr(lines, "hooks by ftrace and kprobes"));
	shows_all();
	must_unload();
	/* Told not to, it says what is in the way. */
	klog_start(&k);
	check_str(error_name(-toa_load("hook=ftrace")), "EBUSY");
	check_num(klog_lines(&k, "TOA: ", lines, sizeof(lines)), 1);
	check(strstr(lines, (const char *)arg));
	check_num(holder_unload(), 0);
	must_load("");
	shows_all();
	must_unload();
}

/* The other way round the live patch is refused, and toa works on. */
static void patched_after(const void *arg)
{
	char params[64];

	need_ftrace();
	snprintf(params, sizeof(params), "patch=%s", (const char *)arg);
	check_str(error_name(-holder_load(params)), "EBUSY");
	shows_all();
	must_unload();
	must_load("hook=kprobe");
	check_num(holder_load(params), 0);
	shows_all();
	check_num(holder_unload(), 0);
	shows_all();
	must_unload();
}

/*
 * Live connections
 */

static void live(const void *arg)
{
	struct server s[KINDS];
	struct conn c[KINDS];
	int fd[KINDS];
	enum kind k;

	(void)arg;
	ensure(true);
	for (k = INET; k < KINDS; k++) {
		server_open(&s[k], k, 5);
		fd[k] = server_connect(&s[k], &c[k], NULL, both());
		check_has(&s[k], &c[k], fd[k], V4_TEXT, V6_TEXT);
	}
	must_unload();
	for (k = INET; k < KINDS; k++) {
		check_str(peer_of(fd[k]), server_sees(&s[k], &c[k]));
		check_str(nat64_of(fd[k]), "ENOPROTOOPT");
		check(data_flows(&c[k], fd[k]));
	}
	must_load("");
	for (k = INET; k < KINDS; k++) {
		struct conn d;
		int other;

		/* What was forgotten stays so; what comes now is known. */
		check_has(&s[k], &c[k], fd[k], NULL, NULL);
		check(data_flows(&c[k], fd[k]));
		other = server_connect(&s[k], &d, NULL, both());
		check_has(&s[k], &d, other, V4_TEXT, V6_TEXT);
		reset(fd[k]);
		reset(other);
	}
	check(stats_balanced());
	check(table_empties());
	must_unload();
}

/* A connection whose SYN came before, or whose request waits while the module goes and comes. */
static void across(const void *arg)
{
	struct server s;
	struct conn c, d;
	int fd;

	(void)arg;
	ensure(false);
	server_open(&s, INET, 5);
	server_syn(&s, &c, both());
	must_load("");
	conn_ack(&c, NULL);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, NULL, NULL);
	server_syn(&s, &d, both());
	must_unload();
	must_load("");
	conn_ack(&d, NULL);
	fd = server_accepted(&s);
	check_has(&s, &d, fd, NULL, NULL);
	check(data_flows(&d, fd));
	fd = server_connect(&s, &d, both(), NULL);
	check_has(&s, &d, fd, V4_TEXT, V6_TEXT);
	must_unload();
}

/*
 * Under traffic
 */

static int cycling;

static void *cycle(void *arg)
{
	int *failed = arg, i;

	for (i = 0; i < 10; i++) {
		*failed += toa_load("") != 0;
		usleep(20000);
		*failed += toa_unload() != 0;
	}
	__atomic_store_n(&cycling, 0, __ATOMIC_RELEASE);
	return NULL;
}

/* Somebody asks all the time. */
static void *ask(void *arg)
{
	int fd = *(int *)arg;

	while (__atomic_load_n(&cycling, __ATOMIC_ACQUIRE)) {
		peer_of(fd);
		nat64_of(fd);
		usleep(1000);
	}
	return NULL;
}

static void cycles(const void *arg)
{
	pthread_t loader, asker;
	struct server s;
	struct conn kept;
	int failed = 0, shown = 0, fd, i;

	(void)arg;
	ensure(false);
	server_open(&s, INET, 16);
	fd = server_connect(&s, &kept, NULL, both());
	cycling = 1;
	require(pthread_create(&loader, NULL, cycle, &failed) == 0);
	require(pthread_create(&asker, NULL, ask, &fd) == 0);
	for (i = 0; __atomic_load_n(&cycling, __ATOMIC_ACQUIRE) || i < 50; i++) {
		const char *addr = "no connection", *now;
		struct conn c;
		int one;

		server_conn(&s, &c);
		if (!conn_open(&c, both(), both())) {
			test_fail(__FILE__, __LINE__, "no SYN-ACK for connection %d", i);
			break;
		}
		one = server_accept(&s, &addr);
		now = peer_of(one);
		/* With the module or without, never another's. */
		shown += !strcmp(addr, V4_TEXT);
		if (strcmp(addr, V4_TEXT) && strcmp(addr, server_sees(&s, &c)))
			test_fail(__FILE__, __LINE__, "accept shows %s", addr);
		if (strcmp(now, V4_TEXT) && strcmp(now, server_sees(&s, &c)))
			test_fail(__FILE__, __LINE__, "getpeername shows %s", now);
		if (!data_flows(&c, one))
			test_fail(__FILE__, __LINE__, "no data in connection %d", i);
		reset(one);
		usleep(1000);
	}
	pthread_join(loader, NULL);
	pthread_join(asker, NULL);
	check_num(failed, 0);
	check(shown > 0);
	check(data_flows(&kept, fd));
	check(!module_there());
}

/* A reader who holds the files does not keep the module from going, nor fall over it. */
static void open_files(const void *arg)
{
	FILE *stats, *table;
	char text[64];

	(void)arg;
	ensure(true);
	stats = fopen("/proc/net/toa_stats", "re");
	table = fopen("/proc/net/toa_table", "re");
	require(stats && table);
	check(fgets(text, sizeof(text), stats));
	must_unload();
	rewind(stats);
	rewind(table);
	while (fgets(text, sizeof(text), stats) || fgets(text, sizeof(text), table))
		;
	check(!toa_loaded());
	check(!fopen("/proc/net/toa_stats", "re") && !fopen("/proc/net/toa_table", "re"));
	/* Kernels before 5.0 find the name of a file that is open. */
	fclose(stats);
	fclose(table);
	check(!module_there());
}

int main(int argc, char **argv)
{
	static const struct holder holders[] = {
		{ "sockopt=4096", "4096", "sockopt" },
		{ "proc=toa_stats", "toa_stats", "toa_stats" },
	};

	test_add(unloaded, NULL, "not loaded, getsockopt ENOPROTOOPT");
	test_add(load_line, NULL, "line of a load");
	test_add(twice, NULL, "loaded twice");
	test_add(unload_line, NULL, "line of an unload");
	test_add(all_lines, NULL, "every line begins with TOA");
	test_add(nothing_left, NULL, "unloaded, nothing left");
	test_add(held, &holders[0], "fails where the sockopt is taken");
	test_add(held, &holders[1], "fails where toa_stats is there");
	test_add(beside, "sockopt=4095", "loads beside sockopt 4095");
	test_add(kprobes_off, NULL, "fails where kprobes are off");
	test_add(patched_before, "inet_getname", "inet_getname live-patched before");
	test_add(patched_before, "tcp_v4_syn_recv_sock",
		 "tcp_v4_syn_recv_sock live-patched before");
	test_add(patched_after, "inet_getname", "inet_getname live-patched while loaded");
	test_add(patched_after, "tcp_v4_syn_recv_sock",
		 "tcp_v4_syn_recv_sock live-patched while loaded");
	test_add(live, NULL, "unload and load with live connections");
	test_add(across, NULL, "handshakes across load and unload");
	test_add(open_files, NULL, "unload with the files open");
	test_add(cycles, NULL, "ten cycles under traffic");
	return bare_main("load", "both=1", argc, argv);
}
