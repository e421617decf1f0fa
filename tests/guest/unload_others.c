// SPDX-License-Identifier: GPL-2.0
/* Unloading beside others: in the same lists, and on the same functions. */
#include "unload.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

void never_fail(const void *arg)
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

void probes_before(const void *arg)
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

void probes_after(const void *arg)
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
