// SPDX-License-Identifier: GPL-2.0
/* The parameter debug: a line for each decision, and none without it. */
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char lines[65536];

/* Lines that name one of the client's addresses. */
static int naming(const char *what)
{
	const char *p = lines;
	int n = 0;

	while ((p = strstr(p, what))) {
		n++;
		p = strchr(p, '\n');
	}
	return n;
}

/* All decisions there are, once. */
static void decisions(struct klog *k)
{
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	int fd;

	klog_start(k);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, v4_opt(V4, 4321), NULL);
	peer_of(fd);
	nat64_of(fd);
	opt_v6(&o, V6, 8765);
	fd = server_connect(&s, &c, NULL, &o);
	peer_of(fd);
	nat64_of(fd);
	fd = server_connect(&s, &c, NULL, v4_opt("127.0.0.1", 1));
	peer_of(fd);
	nat64_of(fd);
}

static void off(const void *arg)
{
	struct klog k;

	(void)arg;
	param_set("debug", "0");
	decisions(&k);
	check_num(klog_lines(&k, "TOA: ", lines, sizeof(lines)), 0);
	check(toa_loaded());
}

static void on(const void *arg)
{
	struct klog k;

	(void)arg;
	param_set("debug", "1");
	decisions(&k);
	param_set("debug", "0");
	check(klog_lines(&k, "TOA: ", lines, sizeof(lines)) > 0);
	/* Seen in a segment, stored, and shown or the reason why not. */
	check(naming(V4) >= 3);
	check(naming(V6) >= 3);
	check(naming("ENOENT") >= 1);
	check(naming("EAFNOSUPPORT") >= 1);
}

struct line {
	const char *name;
	bool v6;
	const char *(*ask)(int fd);
	const char *also;	/* NULL: the client's address alone */
};

/* One call, and one line at least that names the client. */
static void call(const void *arg)
{
	const struct line *t = arg;
	struct server s;
	struct conn c;
	struct klog k;
	int fd;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, t->v6 ? v6_opt(V6, 8765) : v4_opt(V4, 4321));
	param_set("debug", "1");
	klog_start(&k);
	t->ask(fd);
	param_set("debug", "0");
	check(klog_lines(&k, "TOA: ", lines, sizeof(lines)) >= 1);
	check(naming(t->v6 ? V6 : V4) >= 1);
	if (t->also)
		check(naming(t->also) >= 1);
}

struct segment {
	const char *name;
	bool syn, v6;
};

static void segment(const void *arg)
{
	const struct segment *t = arg;
	const struct opts *o = t->v6 ? v6_opt(V6, 8765) : v4_opt(V4, 4321);
	struct server s;
	struct conn c;
	struct klog k;

	server_open(&s, INET, 5);
	server_conn(&s, &c);
	param_set("debug", "1");
	klog_start(&k);
	if (t->syn)
		conn_syn(&c, o);
	else
		conn_open(&c, NULL, o);
	param_set("debug", "0");
	check(klog_lines(&k, "TOA: ", lines, sizeof(lines)) >= 1);
	check(naming(t->v6 ? V6 : V4) >= 1);
}

struct ignored {
	const char *name;
	bool both_kinds;	/* in one segment; if not, in the SYN, and another one in the ACK */
	const char *segments;
	const char *says;
	int count;
};

/* Why an address that came is not shown. */
static void ignored(const void *arg)
{
	const struct ignored *t = arg;
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	struct klog k;

	opt_v4(&o, V4, 4321);
	if (t->both_kinds)
		opt_v6(&o, V6, 8765);
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	param_set("segments", t->segments);
	param_set("debug", "1");
	klog_start(&k);
	conn_open(&c, &o, t->both_kinds ? NULL : v4_opt("203.0.113.9", 99));
	param_set("debug", "0");
	param_set("segments", "syn,ack,data");
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check_num(naming(t->says), t->count);
}

static void at_load(const void *arg)
{
	struct klog k;

	(void)arg;
	require(toa_unload() == 0 && toa_load("debug=1") == 0);
	decisions(&k);
	check(klog_lines(&k, "TOA: ", lines, sizeof(lines)) > 0);
	check(naming(V4) >= 3);
	check(naming(V6) >= 3);
	require(toa_unload() == 0 && toa_load("") == 0);
}

static void mode(const void *arg)
{
	struct stat st;

	(void)arg;
	require(stat(PARAMETERS "debug", &st) == 0);
	check_num(st.st_mode & 0222, 0200);
}

int main(int argc, char **argv)
{
	static const struct line calls[] = {
		{ "getpeername option 200", false, peer_of, NULL },
		{ "getpeername option 253", true, peer_of, NULL },
		{ "getsockopt option 200", false, nat64_of, "EAFNOSUPPORT" },
		{ "getsockopt option 253", true, nat64_of, NULL },
	};
	static const struct segment segments[] = {
		{ "SYN option 200", true, false }, { "SYN option 253", true, true },
		{ "ACK option 200", false, false }, { "ACK option 253", false, true },
	};
	static const struct ignored ignoreds[] = {
		{ "other option of the segment", true, "syn,ack,data",
		  ": 1 other address(es) than the one that counts", 1 },
		{ "option of an earlier segment", false, "syn,ack,data",
		  ": 1 other address(es) than the one that counts", 1 },
		{ "segment that is not the balancer's", false, "data",
		  ": not one of segments=, ignored", 1 },
		{ "balancer's segments only", false, "syn",
		  ": not one of segments=, ignored", 1 },
		{ "nothing to ignore", true, "syn", ": not one of segments=, ignored", 0 },
	};
	unsigned int i;

	test_add(mode, NULL, "writable at run time");
	test_add(off, NULL, "no lines when off");
	test_add(on, NULL, "lines when on");
	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		test_add(call, &calls[i], "line of %s", calls[i].name);
	for (i = 0; i < sizeof(segments) / sizeof(segments[0]); i++)
		test_add(segment, &segments[i], "line of %s", segments[i].name);
	for (i = 0; i < sizeof(ignoreds) / sizeof(ignoreds[0]); i++)
		test_add(ignored, &ignoreds[i], "line of what is ignored, %s", ignoreds[i].name);
	test_add(at_load, NULL, "debug=1 at load");
	return toa_main("debug", "", argc, argv);
}
