// SPDX-License-Identifier: GPL-2.0
/*
 * Unloading at any moment: under traffic, while calls are under way inside the module, beside
 * others on the same functions and in the same lists.
 *
 * A number as the first argument says how often each mechanism loads and unloads under traffic. A
 * second one says for how many microseconds the traffic's threads rest between two calls (default
 * 200): slow kernels get further with more.
 */
#include "client.h"
#include "mod.h"
#include "park.h"
#include "user.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int cycles = 15;
static int rest_us = 200;
static int stopping;

struct mechanism {
	const char *name;
	const char *params;
};

static const struct mechanism mechanisms[] = {
	{ "ftrace", "hook=ftrace" },
	{ "kprobes", "hook=kprobe" },
};

/* Not every kernel has each. For a test's beginning: what one that is left out has done stays. */
static void load_or_skip(const struct mechanism *m)
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

#define must_load(m) check_str(error_name(-toa_load((m)->params)), error_name(0))
#define must_unload() check_str(error_name(-toa_unload()), error_name(0))

static bool go_on(void)
{
	return !__atomic_load_n(&stopping, __ATOMIC_RELAXED);
}

static void start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
	require(pthread_create(thread, NULL, fn, arg) == 0);
}

/*
 * Under traffic
 */

struct asker {
	pthread_t thread;
	const struct server *s;
	int fd;
	int rounds;
	int real;	/* answers that named the client */
	int wrong;
	char last[96];
};

static void not_right(struct asker *a, const char *got)
{
	a->wrong++;
	snprintf(a->last, sizeof(a->last), "%s", got);
}

static bool either(const char *got, const char *one, const char *other)
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

struct cycler {
	pthread_t thread;
	const struct mechanism *m;
	int cycles, failed, done;
	struct asker *fresh;	/* who must be in the middle of it at each unload */
	int fresh_count;
};

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

static void *cycling(void *arg)
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

static void finish(struct asker *a, int count)
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

static void make_conn(const struct server *s, const struct opts *syn, const struct opts *ack)
{
	struct conn c;

	server_conn(s, &c);
	if (!conn_open(&c, syn, ack)) {
		test_fail(__FILE__, __LINE__, "no SYN-ACK for a connection");
		__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	}
}

enum { ASKERS = 2, ACCEPTERS = 2, HOLDERS = 2, FRESH = 2 };

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
	server_open(&s, INET, 64);
	server_open(&young, INET, 64);
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

/*
 * Calls that are inside the module, as long as they like
 */

struct call {
	pthread_t thread;
	int fd;
	struct park *park;
	int ret;
	int tid, done;
	char text[96];
};

static void *getsockopt_parked(void *arg)
{
	struct call *c = arg;
	socklen_t len = sizeof(struct toa_nat64_peer);

	c->ret = getsockopt(c->fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, c->park->page, &len);
	return NULL;
}

static void *unloading(void *arg)
{
	int err = syscall(SYS_delete_module, "toa", O_NONBLOCK) ? errno : 0;

	__atomic_store_n((int *)arg, err, __ATOMIC_RELEASE);
	return NULL;
}

/* Somebody waits inside: rmmod says so at once, and others are answered. */
static void refused(int other)
{
	static int err;			/* for whoever waits longer than this does */
	pthread_t unloader;
	int i;

	err = -1;
	start(&unloader, unloading, &err);
	for (i = 0; i < WAIT_MS && __atomic_load_n(&err, __ATOMIC_ACQUIRE) < 0; i++)
		usleep(1000);
	pthread_detach(unloader);
	check_num(err, EAGAIN);
	check(toa_loaded());
	check_str(nat64_of(other), V6_TEXT);
	check_str(peer_of(other), V4_TEXT);
}

/* Nobody waits any more, or soon will not. */
static void goes(void)
{
	if (toa_loaded())
		check_num(toa_unload(), 0);
	check(!toa_loaded());
}

static void inside_getsockopt(const void *arg)
{
	struct toa_nat64_peer want = { .sport = htons(8765) };
	struct park park;
	struct call call = { .park = &park };
	struct server s;
	struct conn c;
	int other;

	park_open(&park);
	load_or_skip(arg);
	inet_pton(AF_INET6, V6, &want.saddr);
	server_open(&s, INET, 5);
	call.fd = server_connect(&s, &c, NULL, both());
	/* Before 4.16 a call holds its socket's lock. */
	other = server_connect(&s, &c, NULL, both());
	start(&call.thread, getsockopt_parked, &call);
	check(park_taken(&park));
	refused(other);
	park_free(&park);
	pthread_join(call.thread, NULL);
	check_num(call.ret, 0);
	check(!memcmp(park.page, &want, sizeof(want)));
	park_close(&park);
	goes();
}

/* What a user lets the module write into a page whose server never answers. */
enum answer { SOCKOPT, STATS, TABLE };

struct fuse {
	const struct mechanism *m;
	enum answer answer;
};

static void waits_for_fuse(int fd, enum answer answer, int told, const int go[2])
{
	socklen_t len = sizeof(struct toa_peer_info);
	void *page;
	char byte;

	close(go[1]);
	setpgid(0, 0);
	user_become(1000);
	user_namespace_new();
	if (answer == TABLE) {
		/* Of a namespace whose last process ends while it is read. */
		require(unshare(CLONE_NEWNET) == 0);
		fd = open("/proc/self/net/toa_table", O_RDONLY);
		require(fd >= 0);
		if (!fork()) {
			/* Where FUSE cannot be had, the test is told so by this pipe's end. */
			close(told);
			_exit(read(go[0], &byte, 1));
		}
		require(unshare(CLONE_NEWNET) == 0);
	} else if (answer == STATS) {
		fd = open("/proc/net/toa_stats", O_RDONLY);
		require(fd >= 0);
	}
	page = user_fuse_page(told);
	if (answer == SOCKOPT)
		getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, page, &len);
	else if (read(fd, page, 4096) < 0)
		perror("read");
	/* The server too, so that nothing comes out of the pipe any more. */
	kill(0, SIGKILL);
}

/* So few at once that new ones come only if old ones end. */
static bool namespaces_end(void)
{
	static const char limit[] = "/proc/sys/user/max_net_namespaces";
	char before[32] = "";
	int i, status = 0;
	bool end = true;

	if (!read_file(limit, before, sizeof(before)))
		return true;
	write_file(limit, "6");
	for (i = 0; i < 20 && end; i++) {
		pid_t pid = fork();
		int k;

		if (!pid) {
			for (k = 0; k < WAIT_MS && unshare(CLONE_NEWNET); k++)
				usleep(1000);
			_exit(k == WAIT_MS);
		}
		end = waitpid(pid, &status, 0) == pid && status == 0;
	}
	write_file(limit, before);
	return end;
}

static void inside_fuse(const void *arg)
{
	const struct fuse *f = arg;
	int told[2], go[2], other, fd, status;
	struct server s;
	struct conn c;
	char byte;
	pid_t pid;

	load_or_skip(f->m);
	if (access("/proc/self/ns/user", F_OK) || system("modprobe -q fuse") ||
	    chmod("/dev/fuse", 0666)) {
		toa_unload();
		test_skip("this kernel has no user namespaces, or no FUSE");
	}
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, both());
	other = server_connect(&s, &c, NULL, both());
	require(pipe2(told, O_CLOEXEC) == 0 && pipe2(go, O_CLOEXEC) == 0);
	pid = fork();
	require(pid >= 0);
	if (!pid) {
		waits_for_fuse(fd, f->answer, told[1], go);
		_exit(1);
	}
	close(told[1]);
	if (read(told[0], &byte, 1) == 1) {
		refused(other);
		close(go[1]);
		check(namespaces_end());
		check(kill(-pid, SIGKILL) == 0);
	}
	require(waitpid(pid, &status, 0) == pid);
	goes();
	if (WIFEXITED(status) && WEXITSTATUS(status) == USER_NO_FUSE)
		test_skip("users may not mount FUSE here");
	check(WIFSIGNALED(status));
}

/* send() holds the socket's lock while it waits for its data. */
static void *send_parked(void *arg)
{
	struct call *c = arg;

	c->ret = send(c->fd, c->park->page, 1, MSG_NOSIGNAL);
	return NULL;
}

static void *getpeername_parked(void *arg)
{
	struct call *c = arg;

	__atomic_store_n(&c->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	snprintf(c->text, sizeof(c->text), "%s", peer_of(c->fd));
	__atomic_store_n(&c->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Until it waits for the socket's lock, inside, or has returned, where the kernel takes none. */
static bool inside_or_done(const struct call *c)
{
	char path[64], text[512], *state;
	int i;

	for (i = 0; i < WAIT_MS; i++) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/stat",
			 __atomic_load_n(&c->tid, __ATOMIC_ACQUIRE));
		state = read_file(path, text, sizeof(text)) ? strrchr(text, ')') : NULL;
		if ((state && state[1] && state[2] == 'D') ||
		    __atomic_load_n(&c->done, __ATOMIC_ACQUIRE))
			return true;
		usleep(1000);
	}
	return false;
}

enum { CALLS = 8 };

static void inside_getpeername(const void *arg)
{
	struct park park;
	struct call sender = { .park = &park }, call[CALLS] = { 0 };
	struct server s;
	struct conn c, other_conn;
	const bool ftrace = !strcmp(((const struct mechanism *)arg)->name, "ftrace");
	int i, other;

	park_open(&park);
	load_or_skip(arg);
	server_open(&s, INET, 5);
	sender.fd = server_connect(&s, &c, NULL, both());
	other = server_connect(&s, &other_conn, NULL, both());
	start(&sender.thread, send_parked, &sender);
	check(park_taken(&park));
	for (i = 0; i < CALLS; i++) {
		call[i].fd = sender.fd;
		start(&call[i].thread, getpeername_parked, &call[i]);
	}
	for (i = 0; i < CALLS; i++)
		check(inside_or_done(&call[i]));
	/* Whoever is inside the module's code must get out of it first. */
	if (ftrace && !__atomic_load_n(&call[0].done, __ATOMIC_ACQUIRE))
		refused(other);
	else
		goes();
	park_free(&park);
	pthread_join(sender.thread, NULL);
	for (i = 0; i < CALLS; i++) {
		pthread_join(call[i].thread, NULL);
		check(either(call[i].text, V4_TEXT, server_sees(&s, &c)));
	}
	check_num(sender.ret, 1);
	goes();
	park_close(&park);
}

/*
 * Other modules' sockopts
 */

enum { HELD = 4711, IPT_SO_GET_INFO = 64, IP_VS_SO_GET_VERSION = 64 + 1024 + 64 };

struct other {
	int number;
	char first[32];
};

static struct other others[3];
static int others_count;

static const char *answer_of(int fd, int number)
{
	char buf[256] = "filter";
	socklen_t len = 84;	/* of struct ipt_getinfo */

	if (number == IP_VS_SO_GET_VERSION)
		len = 64;
	return getsockopt(fd, IPPROTO_IP, number, buf, &len) ? error_name(errno) : "answers";
}

static void *asking_others(void *arg)
{
	struct asker *a = arg;

	for (; go_on(); a->rounds++) {
		const struct other *o = &others[a->rounds % others_count];
		const char *got = answer_of(a->fd, o->number);

		if (strcmp(got, o->first))
			not_right(a, got);
	}
	return NULL;
}

static void add_other(int number)
{
	int fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	struct other *o = &others[others_count];

	o->number = number;
	snprintf(o->first, sizeof(o->first), "%s", answer_of(fd, number));
	close(fd);
	others_count += strcmp(o->first, "ENOPROTOOPT") != 0;
	test_note("sockopt %d: %s", number, o->first);
}

static void never_fail(const void *arg)
{
	/* A bare load and unload has all of the window. */
	struct cycler cycler = { .m = arg, .cycles = cycles / 5 + 1 };
	struct asker ask[4] = { 0 };
	int i;

	if (!holder_exists())
		test_fail(__FILE__, __LINE__, "no toa_holder.ko");
	load_or_skip(arg);
	must_unload();
	/* So that who takes toa's away has to wait in line with those who look for another. */
	require(holder_load("sockopt=4711 crowd=1") == 0);
	if (system("modprobe iptable_filter 2>/dev/null; modprobe ip_vs 2>/dev/null"))
		test_note("not all of iptables and IPVS is there");
	others_count = 0;
	add_other(HELD);
	add_other(IPT_SO_GET_INFO);
	add_other(IP_VS_SO_GET_VERSION);
	check(others_count >= 1);
	check_str(others[0].first, "EPERM");
	stopping = 0;
	for (i = 0; i < 4; i++) {
		ask[i].fd = socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
		start(&ask[i].thread, asking_others, &ask[i]);
	}
	start(&cycler.thread, cycling, &cycler);
	pthread_join(cycler.thread, NULL);
	finish(ask, 4);
	check_num(cycler.failed, 0);
	check_num(holder_unload(), 0);
}

/*
 * Other probes on the same functions
 */

static const char *functions[] = {
	"tcp_conn_request", "inet_getname", "tcp_v4_syn_recv_sock", "inet_sock_destruct",
	"tcp_disconnect",
};

enum { FUNCTIONS = sizeof(functions) / sizeof(functions[0]), RETURNS = 1024 };

static void trace(const char *format, ...)
{
	char line[256];
	va_list ap;
	int fd = open(tracing("kprobe_events"), O_WRONLY | O_APPEND | O_CLOEXEC);

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	if (fd < 0)
		test_skip("no %s", tracing("kprobe_events"));
	if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		test_fail(__FILE__, __LINE__, "cannot write '%s'", line);
	close(fd);
}

static void probes_add(void)
{
	static char help[16384];
	char number[16] = "";
	int i;

	/* Before 3.17 each family has its own, but for RHEL 7. */
	if (!kernel_has(functions[0]))
		functions[0] = "tcp_v4_conn_request";
	/* Before 4.12 kernels choose the number, and take such a line for one without a name. */
	if (read_file(tracing("README"), help, sizeof(help)) && strstr(help, "r[maxactive]"))
		snprintf(number, sizeof(number), "%d", RETURNS);
	for (i = 0; i < FUNCTIONS; i++) {
		trace("p:toatest/p%d %s", i, functions[i]);
		/* More than a stack has room for, should a call come back to itself. */
		trace("r%s:toatest/r%d %s", number, i, functions[i]);
	}
	write_file(tracing("events/toatest/enable"), "1");
}

static void probes_remove(void)
{
	int i;

	write_file(tracing("events/toatest/enable"), "0");
	for (i = 0; i < FUNCTIONS; i++) {
		trace("-:toatest/p%d", i);
		trace("-:toatest/r%d", i);
	}
	write_file(tracing("trace"), "");
}

/* All of them have been hit more often than they had by @hits, and their number is kept there. */
static void probes_hit(long hits[2][FUNCTIONS])
{
	static char text[8192];
	char *line, *rest = text;
	int seen = 0;

	require(read_file(tracing("kprobe_profile"), text, sizeof(text)));
	while ((line = strsep(&rest, "\n"))) {
		char kind;
		long count;
		int i;

		if (sscanf(line, " %c%d %ld", &kind, &i, &count) != 3 || i >= FUNCTIONS ||
		    (kind != 'p' && kind != 'r'))
			continue;
		if (count <= hits[kind == 'r'][i])
			test_fail(__FILE__, __LINE__, "%s: %ld hits as before", functions[i],
				  count);
		hits[kind == 'r'][i] = count;
		seen++;
	}
	check_num(seen, 2 * FUNCTIONS);
}

/* Pass all functions, each once, whoever else sits on them. */
static void pass(bool loaded)
{
	struct sockaddr_in none = { .sin_family = AF_UNSPEC };
	struct stats before, after;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, INET, 5);
	if (loaded)
		require(stats_get(&before));
	fd = server_connect(&s, &c, both(), NULL);
	check_str(peer_of(fd), loaded ? V4_TEXT : server_sees(&s, &c));
	if (loaded) {
		require(stats_get(&after));
		check_num(stats_of(&after, "syn_recv_sock_toa") -
			  stats_of(&before, "syn_recv_sock_toa"), 1);
		/* accept() and getpeername() */
		check_num(stats_of(&after, "getname_toa_ok") -
			  stats_of(&before, "getname_toa_ok"), 2);
	}
	check_str(nat64_of(fd), loaded ? V6_TEXT : "ENOPROTOOPT");
	check(connect(fd, (struct sockaddr *)&none, sizeof(none)) == 0);
	reset(fd);
	reset(s.fd);
}

static void probes_before(const void *arg)
{
	long hits[2][FUNCTIONS] = { { 0 } };

	load_or_skip(arg);
	must_unload();
	probes_add();
	must_load((const struct mechanism *)arg);
	pass(true);
	probes_hit(hits);
	must_unload();
	pass(false);
	probes_hit(hits);
	probes_remove();
}

static void probes_after(const void *arg)
{
	long hits[2][FUNCTIONS] = { { 0 } };

	load_or_skip(arg);
	pass(true);
	probes_add();
	pass(true);
	probes_hit(hits);
	must_unload();
	pass(false);
	probes_hit(hits);
	must_load((const struct mechanism *)arg);
	pass(true);
	probes_hit(hits);
	probes_remove();
	pass(true);
	must_unload();
}

/*
 * The parameter late: its hook comes and goes while segments pass
 */

#define LATE "/sys/module/toa/parameters/late"

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

static void forgets(const void *arg)
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

static void late_toggled(const void *arg)
{
	const struct mechanism *m = arg;
	struct toggler toggler = { .done = 0 };
	struct stats before, after;
	int i, fd, shown = 0, not_shown = 0;
	char params[64], value[8];
	struct server s;
	struct conn c;

	load_or_skip(m);
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

int main(int argc, char **argv)
{
	static const char *const answers[] = { "getsockopt", "toa_stats", "toa_table" };
	static struct fuse fuse[sizeof(mechanisms) / sizeof(mechanisms[0])][3];
	unsigned int i, k;

	for (i = 0; i < 2 && argc > 1 && atoi(argv[1]) > 0; i++) {
		*(i ? &rest_us : &cycles) = atoi(argv[1]);
		argv[1] = argv[0];
		argv++;
		argc--;
	}
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
