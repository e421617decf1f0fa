// SPDX-License-Identifier: GPL-2.0
/* Unloading during calls that are inside the module, as long as they like. */
#include "unload.h"
#include "park.h"
#include "user.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

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

void inside_getsockopt(const void *arg)
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

void inside_fuse(const void *arg)
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

void inside_getpeername(const void *arg)
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
