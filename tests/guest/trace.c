// SPDX-License-Identifier: GPL-2.0
/* The tracepoints, through tracefs: they are there, name what happens, and are silent when off. */
#include "client.h"
#include "mod.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char text[1 << 16];

static void switch_all(const char *on)
{
	if (access(tracing("events/toa"), F_OK))
		test_skip("this kernel has no tracepoints of modules, or no tracefs");
	write_file(tracing("events/toa/enable"), on);
	write_file(tracing("trace"), "");
}

/* Lines of one event that contain a text. */
static int lines_of(const char *event, const char *what)
{
	char *line, *rest;
	int n = 0;

	require(read_file(tracing("trace"), text, sizeof(text)));
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		n += *line != '#' && strstr(line, event) && strstr(line, what);
	return n;
}

static int connection(const struct server *s, struct conn *c, const struct opts *opts)
{
	return server_connect(s, c, opts, NULL);
}

static void exist(const void *arg)
{
	static const char *const event[] = { "toa_stored", "toa_getname", "toa_ignored" };
	char path[128];
	unsigned int i;

	(void)arg;
	switch_all("0");
	for (i = 0; i < sizeof(event) / sizeof(event[0]); i++) {
		snprintf(path, sizeof(path), "events/toa/%s/format", event[i]);
		check(access(tracing(path), R_OK) == 0);
	}
}

static void stored(const void *arg)
{
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	char want[256];

	(void)arg;
	server_open(&s, INET, 5);
	switch_all("1");
	toa_set_both(true);
	connection(&s, &c, opt_v6(opt_v4(&o, V4, 4321), V6, 8765));
	toa_set_both(false);
	snprintf(want, sizeof(want),
		 "port=%u balancer=[::ffff:" BALANCER_V4 "]:%u v4=" V4 ":4321 v6=[" V6 "]:8765",
		 s.port, c.sport);
	check_num(lines_of("toa_stored:", want), 1);
	switch_all("0");
}

static void stored_ipv6(const void *arg)
{
	struct server s;
	struct conn c;
	char want[256];

	(void)arg;
	need_ipv6();
	server_open(&s, INET6, 5);
	switch_all("1");
	connection(&s, &c, v6_opt(V6, 8765));
	snprintf(want, sizeof(want),
		 "port=%u balancer=[" BALANCER_V6 "]:%u v4=0.0.0.0:0 v6=[" V6 "]:8765",
		 s.port, c.sport);
	check_num(lines_of("toa_stored:", want), 1);
	switch_all("0");
}

static void getname(const void *arg)
{
	struct server s;
	struct conn c;
	char want[256];
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = connection(&s, &c, v4_opt(V4, 4321));
	switch_all("1");
	check_str(peer_of(fd), V4 ":4321");
	snprintf(want, sizeof(want), "call=getpeername port=%u client=[::ffff:" V4 "]:4321",
		 s.port);
	check_num(lines_of("toa_getname:", want), 1);
	switch_all("0");
}

static void lookup(const void *arg)
{
	struct server s;
	struct conn c;
	char want[256];
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	fd = connection(&s, &c, v6_opt(V6, 8765));
	switch_all("1");
	check_str(nat64_of(fd), "[" V6 "]:8765");
	snprintf(want, sizeof(want), "call=getsockopt port=%u client=[" V6 "]:8765", s.port);
	check_num(lines_of("toa_getname:", want), 1);
	switch_all("0");
}

static void ignored(const void *arg)
{
	const char *reason = arg;
	char want[256], what[32];
	const struct opts *opts;
	struct server s;
	struct conn c;

	server_open(&s, INET, 5);
	switch_all("1");
	if (strcmp(reason, "untrusted") == 0)
		param_set("trusted", "192.0.2.1");
	if (strcmp(reason, "lost") == 0)
		param_set("table_max", "0");
	if (strcmp(reason, "segment") == 0)
		param_set("segments", "syn");
	opts = v4_opt(strcmp(reason, "invalid") ? V4 : "127.0.0.1", 4321);
	if (strcmp(reason, "segment") == 0)
		server_connect(&s, &c, NULL, opts);
	else
		connection(&s, &c, opts);
	param_set("trusted", "");
	param_set("table_max", "1048576");
	param_set("segments", "syn,ack,data");
	snprintf(want, sizeof(want), "port=%u balancer=[::ffff:" BALANCER_V4 "]:%u", s.port,
		 c.sport);
	snprintf(what, sizeof(what), "reason=%s", reason);
	check_num(lines_of("toa_ignored:", want), 1);
	check_num(lines_of("toa_ignored:", what), 1);
	check_num(lines_of("toa_stored:", want), 0);
	switch_all("0");
}

struct overruled {
	const char *syn, *ack;	/* kinds of options, in their order: 4 or 6 */
	int events;
	bool v6;		/* what is stored */
};

static const struct opts *claims(const char *kinds, int n)
{
	static struct opts all[2];
	struct opts *o = &all[n];
	int i;

	o->len = 0;
	for (i = 0; kinds[i]; i++)
		if (kinds[i] == '4')
			opt_v4(o, "198.51.100.7", 1000 + 2 * n + i);
		else
			opt_v6(o, "2001:db8::77", 1000 + 2 * n + i);
	return o;
}

/* One for each segment that overrules something; the address that counts is stored all the same. */
static void overruled(const void *arg)
{
	const struct overruled *t = arg;
	char want[256];
	struct server s;
	struct conn c;

	server_open(&s, INET, 5);
	switch_all("1");
	server_conn(&s, &c);
	server_connect(&s, &c, claims(t->syn, 0), claims(t->ack, 1));
	snprintf(want, sizeof(want),
		 "reason=overruled port=%u balancer=[::ffff:" BALANCER_V4 "]:%u", s.port, c.sport);
	check_num(lines_of("toa_ignored:", want), t->events);
	check_num(lines_of("toa_ignored:", ""), t->events);
	check_num(lines_of("toa_stored:", t->v6 ? "v4=0.0.0.0:0 v6=[2001:db8::77]:100" :
						  "v4=198.51.100.7:100"), 1);
	check_num(lines_of("toa_stored:", ""), 1);
	switch_all("0");
}

static void off(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	server_open(&s, INET, 5);
	switch_all("0");
	fd = connection(&s, &c, v4_opt(V4, 4321));
	check_str(peer_of(fd), V4 ":4321");
	check_num(lines_of("toa_", ""), 0);
}

int main(int argc, char **argv)
{
	static const struct overruled overruleds[] = {
		{ "44", "", 1, false }, { "46", "", 1, false }, { "64", "", 1, true },
		{ "4", "6", 1, true }, { "6", "4", 1, false }, { "46", "64", 3, true },
	};
	static const char *const overruled_name[] = {
		"200 twice", "200 before 253", "253 before 200", "200, then 253 in the ACK",
		"253, then 200 in the ACK", "in each segment and between them",
	};
	unsigned int i;

	test_add(exist, NULL, "the events exist");
	test_add(stored, NULL, "toa_stored, IPv4 connection with both options");
	test_add(stored_ipv6, NULL, "toa_stored, IPv6 connection");
	test_add(getname, NULL, "toa_getname, getpeername");
	test_add(lookup, NULL, "toa_getname, getsockopt");
	test_add(ignored, "invalid", "toa_ignored, an address nobody may claim");
	test_add(ignored, "untrusted", "toa_ignored, an untrusted sender");
	test_add(ignored, "lost", "toa_ignored, the table is full");
	test_add(ignored, "segment", "toa_ignored, a segment that is not the balancer's");
	for (i = 0; i < sizeof(overruleds) / sizeof(overruleds[0]); i++)
		test_add(overruled, &overruleds[i], "toa_ignored, overruled, %s",
			 overruled_name[i]);
	test_add(off, NULL, "nothing when off");
	return toa_main("trace", "", argc, argv);
}
