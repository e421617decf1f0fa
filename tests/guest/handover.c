// SPDX-License-Identifier: GPL-2.0
/*
 * Hand-over: connections keep their addresses while the module is replaced.
 *
 * A number as the first argument says how many connections live through an upgrade under traffic.
 */
#include "client.h"
#include "handover.h"
#include "handover_parts.h"
#include "mod.h"
#include "user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../toa.h"

/*
 * What lives on
 */

static struct toa_peer_info info_of(int fd)
{
	struct toa_peer_info info;
	socklen_t len = sizeof(info);

	memset(&info, 0, sizeof(info));
	require(getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0);
	return info;
}

/* Connections of each kind, with each client there can be. */
static void lives_on(const void *arg)
{
	enum { CELLS = KINDS * CARRIED };
	struct toa_peer_info before[CELLS], after;
	struct server s[KINDS];
	struct conn c[CELLS];
	int fd[CELLS], i;

	(void)arg;
	handover_fresh();
	for (i = 0; i < KINDS; i++)
		server_open(&s[i], i, CARRIED);
	for (i = 0; i < CELLS; i++) {
		fd[i] = server_connect(&s[i / CARRIED], &c[i], NULL, carrying(i % CARRIED));
		before[i] = info_of(fd[i]);
	}
	handover_upgrade("");
	check_num(table_get(NULL, 0), 0);
	check_num(handover_left(), CELLS - KINDS);
	for (i = 0; i < CELLS; i++) {
		bool v4 = i % CARRIED & HAS_V4, v6 = i % CARRIED & HAS_V6;

		check_has(&s[i / CARRIED], &c[i], fd[i], v4 ? V4_TEXT : NULL, v6 ? V6_TEXT : NULL);
		after = info_of(fd[i]);
		check(!memcmp(&before[i], &after, sizeof(after)));
		check_num(handover_left(), CELLS - KINDS);
		check(data_flows(&c[i], fd[i]));
	}
	check_num(table_get(NULL, 0), CELLS);
	for (i = 0; i < CELLS; i++)
		reset(fd[i]);
	check(table_empties());
	check_num(handover_left(), 0);
}

/* Whoever asks first gets it, and each way of asking may be the first. */
static void first_asked(const void *arg)
{
	enum { GETPEERNAME, PEERNAME, LOOKUP, PEER, WAYS };
	struct toa_peer_info info;
	struct server s;
	struct stats s0;
	struct conn c;
	int fd[WAYS], i;

	(void)arg;
	handover_fresh();
	server_open(&s, MAPPED, 5);
	for (i = 0; i < WAYS; i++)
		fd[i] = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	handover_upgrade("");
	require(stats_get(&s0));
	check_str(peer_of(fd[GETPEERNAME]), V6_TEXT);
	check_str(peername_of(fd[PEERNAME]), V6_TEXT);
	check_str(nat64_of(fd[LOOKUP]), V6_TEXT);
	info = info_of(fd[PEER]);
	check(info.kind == 253 && info.segment == TOA_SEGMENT_ACK);
	check_moved(&s0, "toa_adopted", WAYS, "getname_toa_ok", WAYS);
}

/* One that stands in the accept queue meanwhile. */
static void not_accepted_yet(const void *arg)
{
	const char *got = NULL;
	struct server s;
	struct conn c;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	require(conn_open(&c, carrying(HAS_V4), NULL));
	handover_upgrade("");
	check(server_accept(&s, &got) >= 0);
	check_str(got, V4_TEXT);
}

/* Nobody asks between two upgrades, nor after. */
static void twice(const void *arg)
{
	struct server s;
	struct conn c[2];
	char *text, *again;
	int fd[2];

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	fd[0] = server_connect(&s, &c[0], carrying(HAS_V4), NULL);
	fd[1] = server_connect(&s, &c[1], NULL, carrying(HAS_V6));
	text = handover_read();
	check_num(handover_count(text), 2);
	handover_upgrade("");
	check_str(peer_of(fd[0]), V4_TEXT);
	again = handover_read();
	check_num(handover_count(again), 2);
	/* All but the time is the same, in any order. */
	check_num(strlen(again), strlen(text));
	free(again);
	handover_upgrade("");
	handover_upgrade("");
	check_num(handover_left(), 2);
	check_has(&s, &c[0], fd[0], V4_TEXT, NULL);
	check_has(&s, &c[1], fd[1], NULL, V6_TEXT);
	free(text);
}

/* The age is the connection's. */
static void age(const void *arg)
{
	struct table_line line;
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	do {
		usleep(50000);
		require(table_of(&c, &line, 1) == 1);
	} while (line.age < 2);
	handover_upgrade("");
	check_str(peer_of(fd), V4_TEXT);
	require(table_of(&c, &line, 1) == 1);
	check(line.age >= 2 && line.age < 600);
}

/*
 * What does not
 */

/* The connection ended in the gap, and the balancer has used its tuple again at once. */
static void same_tuple_again(const void *arg)
{
	enum kind kind = *(const enum kind *)arg;
	struct server s;
	struct conn c;
	char *text;
	int fd;

	handover_fresh();
	server_open(&s, kind, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_BOTH));
	text = handover_read();
	check_num(handover_count(text), 1);
	require(toa_unload() == 0);
	reset(fd);
	dev_drain(&dev0);
	conn_again(&c);
	require(conn_open(&c, NULL, NULL));
	fd = server_accepted(&s);
	handover_load("");
	check_num(handover_write(text, strlen(text)), 0);
	check_has(&s, &c, fd, NULL, NULL);
	/* Nor when its own cookie is known, as after another hand-over. */
	free(handover_read());
	check_has(&s, &c, fd, NULL, NULL);
	check_num(handover_left(), 1);
	free(text);
}

/* It ends, or is disconnected, before anybody has asked. */
static void ends_first(const void *arg)
{
	struct sockaddr_storage unspec = { .ss_family = AF_UNSPEC };
	bool disconnect = arg;
	struct server s;
	struct conn c;
	int fd;

	handover_fresh();
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	handover_upgrade("");
	check_num(handover_left(), 1);
	if (disconnect)
		require(connect(fd, (struct sockaddr *)&unspec, sizeof(unspec)) == 0);
	else
		reset(fd);
	check_num(handover_left_at_last(0), 0);
	if (disconnect)
		check_str(peer_of(fd), "ENOTCONN");
}

/* In the gap the socket was disconnected, and connected to another: it has its cookie yet. */
static void elsewhere(const void *arg)
{
	struct sockaddr_in other = { .sin_family = AF_INET };
	socklen_t len = sizeof(other);
	struct server s, t;
	struct conn c;
	char *text;
	int fd;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	server_open(&t, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	text = handover_read();
	require(toa_unload() == 0);
	other.sin_family = AF_UNSPEC;
	require(connect(fd, (struct sockaddr *)&other, sizeof(other)) == 0);
	require(getsockname(t.fd, (struct sockaddr *)&other, &len) == 0);
	other.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	require(connect(fd, (struct sockaddr *)&other, sizeof(other)) == 0);
	handover_load("");
	check_num(handover_write(text, strlen(text)), 0);
	check(!strncmp(peer_of(fd), "127.0.0.1:", 10));
	check_num(handover_left(), 0);
	free(text);
}

/* Of connections that ended in the gap, the lines go after a time, and others may come. */
static void time_ends(const void *arg)
{
	struct server s;
	struct conn c;
	char *text, *now;
	int fd;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	text = handover_read();
	require(toa_unload() == 0);
	reset(fd);
	handover_load("handover_seconds=3600");
	check_num(handover_write(text, strlen(text)), 0);
	check_num(handover_left(), 1);
	check_str(error_name(handover_write(text, strlen(text))), "EBUSY");
	require(toa_unload() == 0);
	handover_load("handover_seconds=3");
	/* As if it had been read just now. */
	now = handover_read();
	strcpy(strchr(now, '\n'), strchr(text, '\n'));
	check_num(handover_write(now, strlen(now)), 0);
	check_num(handover_left_at_last(0), 0);
	free(now);
	/* Others may come. */
	now = handover_read();
	strcpy(strchr(now, '\n'), strchr(text, '\n'));
	check_num(handover_write(now, strlen(now)), 0);
	check_num(handover_left_at_last(0), 0);
	free(now);
	free(text);
}

/* Those that come when none is left wait as long as is said then. */
static void time_of_the_next(const void *arg)
{
	struct server s;
	struct conn c;
	char *text, *now;
	int fd;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	text = handover_read();
	require(toa_unload() == 0);
	handover_load("handover_seconds=3600");
	check_num(handover_write(text, strlen(text)), 0);
	reset(fd);
	check_num(handover_left_at_last(0), 0);
	param_set("handover_seconds", "3");
	/* As if it had been read just now. */
	now = handover_read();
	strcpy(strchr(now, '\n'), strchr(text, '\n'));
	check_num(handover_write(now, strlen(now)), 0);
	check_num(handover_left_at_last(0), 0);
	free(now);
	free(text);
}

static void beside_other_settings(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	handover_fresh();
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, carrying(HAS_V4));
	/* What has been believed is not asked again. */
	handover_upgrade("trusted=192.0.2.0/24 segments=syn opt_ipv4=254 syn_slots=0");
	check_str(peer_of(fd), V4_TEXT);
}

/*
 * Namespaces
 */

static void namespaces(const void *arg)
{
	struct server s[2];
	struct conn c[2];
	struct ns ns;
	int fd[2];

	(void)arg;
	handover_fresh();
	ns_new(&ns);
	server_open_at(&s[0], INET, 5, 8080);
	ns_enter(&ns);
	server_open_at(&s[1], INET, 5, 8080);
	ns_leave();
	/* The same tuple in both. */
	fd[0] = server_connect(&s[0], &c[0], NULL, v4_opt("192.0.2.10", 10));
	c[1] = c[0];
	c[1].dev = &ns.dev;
	conn_again(&c[1]);
	require(conn_open(&c[1], NULL, v4_opt("192.0.2.20", 20)));
	fd[1] = server_accepted(&s[1]);
	handover_upgrade("");
	check_num(handover_left(), 2);
	check_str(peer_of(fd[1]), "192.0.2.20:20");
	check_str(peer_of(fd[0]), "192.0.2.10:10");
	ns_enter(&ns);
	check(!net_has("toa_handover"));
	check_num(table_get(NULL, 0), 1);
	ns_leave();
	reset(fd[1]);
	reset(s[1].fd);
	ns_free(&ns);
	check_num(handover_left_at_last(1), 1);
}

/* Its connection has ended in the gap; the line goes with the namespace. */
static void namespace_ends(const void *arg)
{
	struct server s;
	struct conn c;
	struct ns ns;
	char *text;
	int fd;

	(void)arg;
	handover_fresh();
	ns_new(&ns);
	ns_enter(&ns);
	server_open(&s, INET, 5);
	ns_leave();
	server_conn(&s, &c);
	c.dev = &ns.dev;
	require(conn_open(&c, NULL, carrying(HAS_V4)));
	fd = server_accepted(&s);
	text = handover_read();
	check_num(handover_count(text), 1);
	require(toa_unload() == 0);
	reset(fd);
	reset(s.fd);
	handover_load("");
	check_num(handover_write(text, strlen(text)), 0);
	check_num(handover_left(), 1);
	ns_free(&ns);
	check_num(handover_left_at_last(0), 0);
	/* The next time there is no such namespace at all: that is no mistake. */
	check_num(handover_write(text, strlen(text)), 0);
	check_num(handover_left(), 0);
	free(text);
}

/* It ends while a text about it is being written: until the last line, nobody finds the others. */
static void ends_meanwhile(const void *arg)
{
	struct server s;
	struct conn c;
	struct ns ns;
	char *text, *end;
	int fd, file;

	(void)arg;
	handover_fresh();
	ns_new(&ns);
	ns_enter(&ns);
	server_open(&s, INET, 5);
	ns_leave();
	server_conn(&s, &c);
	c.dev = &ns.dev;
	require(conn_open(&c, NULL, carrying(HAS_V4)));
	fd = server_accepted(&s);
	text = handover_read();
	check_num(handover_count(text), 1);
	require(toa_unload() == 0);
	reset(fd);
	reset(s.fd);
	handover_load("");
	end = strstr(text, "end ");
	file = open("/proc/net/toa_handover", O_WRONLY);
	require(file >= 0 && end);
	check_num(write(file, text, end - text), end - text);
	ns_free(&ns);
	/* It ends soon. If it does not, it ends behind the last line, as in the test before. */
	sleep(1);
	check_num(write(file, end, strlen(end)), strlen(end));
	close(file);
	check_num(handover_left_at_last(0), 0);
	free(text);
}

/*
 * Whoever may not
 */

/* What an ordinary user, and a container's root on the host's network, gets to hear. */
static void not_for(const void *arg)
{
	bool root = arg;
	int status;
	pid_t pid;

	handover_fresh();
	pid = fork();
	if (!pid) {
		int cap;

		for (cap = 0; root && cap < 64; cap++)
			if (cap != 1)	/* CAP_DAC_OVERRIDE */
				prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (root) {
			/* The bounding set counts from the next exec on. */
			execl("/proc/self/exe", "handover", "open", NULL);
			_exit(99);
		}
		user_become(1000);
		errno = 0;
		_exit(open("/proc/net/toa_handover", O_RDONLY) < 0 ? errno : 0);
	}
	require(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	check_str(error_name(WEXITSTATUS(status)), error_name(root ? EPERM : EACCES));
}

static void mode(const void *arg)
{
	struct stat st;

	(void)arg;
	handover_fresh();
	require(stat("/proc/net/toa_handover", &st) == 0);
	check_num(st.st_mode & 07777, 0600);
	check_num(st.st_uid, 0);
}

/* Where an end can be missed, an entry is no reason to look into a socket. */
static void not_by_kprobes(const void *arg)
{
	(void)arg;
	handover_fresh();
	require(toa_unload() == 0);
	handover_load("hook=kprobe");
	check(access("/proc/net/toa_handover", F_OK) < 0 && errno == ENOENT);
	works(INET);
}

int main(int argc, char **argv)
{
	/* See not_for(). */
	if (argc == 2 && !strcmp(argv[1], "open"))
		return open("/proc/net/toa_handover", O_RDONLY) < 0 ? errno : 0;
	many = test_number(&argc, &argv, many);
	test_add(lives_on, NULL, "lives on");
	test_add(first_asked, NULL, "first asked in each way");
	test_add(not_accepted_yet, NULL, "not accepted yet");
	test_add(twice, NULL, "twice, and nobody asked");
	test_add(age, NULL, "age");
	test_add(beside_other_settings, NULL, "beside other settings");
	test_add_kinds(same_tuple_again, "same tuple again in the gap");
	test_add(ends_first, NULL, "ends before it is asked");
	test_add(ends_first, "", "disconnected before it is asked");
	test_add(elsewhere, NULL, "connected elsewhere before it is asked");
	test_add(time_ends, NULL, "time ends");
	test_add(time_of_the_next, NULL, "the next ones have a time of their own");
	test_add(namespaces, NULL, "namespaces");
	test_add(namespace_ends, NULL, "a namespace ends");
	test_add(ends_meanwhile, NULL, "a namespace ends meanwhile");
	test_add(mode, NULL, "mode");
	test_add(not_for, NULL, "not for users");
	test_add(not_for, "", "not for uid 0 without CAP_NET_ADMIN");
	test_add(not_by_kprobes, NULL, "not by kprobes");
	test_add(torn, NULL, "torn at each byte");
	test_add(in_pieces, NULL, "in pieces");
	test_add(each_byte, NULL, "each byte is another");
	test_add(wrong_fields, NULL, "wrong fields");
	test_add(wrong_frames, NULL, "wrong first and last lines");
	test_add(one_twice, NULL, "one connection twice");
	test_add(stale, NULL, "another boot, another time");
	test_add(no_room, NULL, "no room");
	test_add(from_the_middle, NULL, "from the middle");
	test_add(write_waits, NULL, "a write that waits");
	test_add(asked_by_many, NULL, "asked by many at once");
	test_add(under_traffic, NULL, "under traffic");
	test_add(by_toactl, "TOACTL", "by toactl");
	test_add(by_toactl, "TOACTL_BACK", "by toactl, and back");
	test_add(unloaded_waiting, NULL, "unloaded while some wait");
	return toa_main("handover", "both=1", argc, argv);
}
