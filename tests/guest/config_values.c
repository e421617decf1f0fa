// SPDX-License-Identifier: GPL-2.0
/* Values of parameters: what is accepted and what is refused, at run time and at load. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct value {
	const char *name, *value;
	const char *shown;	/* NULL: refused */
};

static const struct value values[] = {
	{ "opt_ipv4", "254,200", "200,254" },
	{ "opt_ipv4", "200,200", "200" },
	{ "opt_ipv4", "", "" },
	{ "opt_ipv6", "253,254,200", "200,253,254" },
	{ "opt_ipv6", "", "" },
	{ "opt_hostid", "28", "28" },
	{ "opt_hostid", "6,255", "6,255" },
	{ "opt_hostid", "29", "29" },
	{ "opt_bare", "28,29", "28,29" },
	{ "opt_bare", "29,28,29", "28,29" },
	{ "opt_bare", "", "" },
	{ "nat64_getpeername", "0", "N" },
	{ "nat64_getpeername", "n", "N" },
	{ "both", "1", "Y" },
	{ "both", "y", "Y" },
	{ "both", "0", "N" },
	{ "late", "1", "Y" },
	{ "late", "0", "N" },
	{ "pick", "last", "last" },
	{ "pick", "first", "first" },
	{ "segments", "syn", "syn" },
	{ "segments", "data", "data" },
	{ "segments", "ack,data", "ack,data" },
	{ "segments", "data,ack,syn", "syn,ack,data" },
	{ "segments", "ack,ack", "ack" },
	{ "table_max", "0", "0" },
	{ "table_max", "1", "1" },
	{ "table_max", "268435456", "268435456" },
	{ "table_max", "0x10", "16" },

	{ "opt_ipv4", "256", NULL },
	{ "opt_ipv4", "-1", NULL },
	{ "opt_ipv4", "0xc8", NULL },
	{ "opt_ipv4", "abc", NULL },
	{ "opt_ipv4", "200,", NULL },
	{ "opt_ipv4", ",200", NULL },
	{ "opt_ipv4", "200 254", NULL },
	{ "opt_ipv4", "200;254", NULL },
	{ "opt_ipv4", "200\n254", NULL },
	{ "opt_ipv4", "99999999999999999999", NULL },
	{ "opt_ipv4", "0", NULL },
	{ "opt_ipv4", "1", NULL },
	{ "opt_ipv4", "2", NULL },
	{ "opt_ipv4", "3", NULL },
	{ "opt_ipv4", "4", NULL },
	{ "opt_ipv4", "5", NULL },
	{ "opt_ipv4", "8", NULL },
	{ "opt_ipv4", "19", NULL },
	{ "opt_ipv4", "200,19", NULL },
	{ "opt_ipv6", "29", NULL },
	{ "opt_ipv6", "30", NULL },
	{ "opt_ipv6", "253,34", NULL },
	{ "opt_ipv6", "none", NULL },
	{ "opt_hostid", "172", NULL },
	{ "opt_hostid", "174", NULL },
	{ "opt_hostid", "28,x", NULL },
	{ "opt_ipv4", "29", NULL },
	{ "opt_bare", "30", NULL },
	{ "opt_bare", "28,19", NULL },
	{ "opt_bare", "28,", NULL },
	{ "opt_bare", "f5", NULL },
	{ "nat64_getpeername", "2", NULL },
	{ "nat64_getpeername", "maybe", NULL },
	{ "both", "2", NULL },
	{ "both", "", NULL },
	{ "both", "last", NULL },
	{ "late", "2", NULL },
	{ "late", "", NULL },
	{ "late", "maybe", NULL },
	{ "pick", "", NULL },
	{ "pick", "1", NULL },
	{ "pick", "First", NULL },
	{ "pick", "first,last", NULL },
	{ "pick", " last", NULL },
	{ "pick", "lasts", NULL },
	{ "segments", "", NULL },
	{ "segments", "syn,", NULL },
	{ "segments", ",syn", NULL },
	{ "segments", "foo", NULL },
	{ "segments", "syn,,ack", NULL },
	{ "segments", " syn", NULL },
	{ "segments", "syn ", NULL },
	{ "segments", "syn, ack", NULL },
	{ "segments", "syn ack", NULL },
	{ "segments", "syn\nack", NULL },
	{ "segments", "Syn", NULL },
	{ "segments", "sy", NULL },
	{ "segments", "syna", NULL },
	{ "debug", "2", NULL },
	{ "kernel_getname", "x", NULL },
	{ "table_max", "268435457", NULL },
	{ "table_max", "-1", NULL },
	{ "table_max", "4294967296", NULL },
	{ "table_max", "many", NULL },
	{ "table_max", "", NULL },
};

/* Neither a default nor what a test sets: what is refused must leave these. */
static const struct value others[] = {
	{ "opt_ipv4", "77", "77" },
	{ "opt_ipv6", "78", "78" },
	{ "opt_hostid", "79", "79" },
	{ "opt_bare", "80", "80" },
	{ "nat64_getpeername", "0", "N" },
	{ "both", "1", "Y" },
	{ "late", "1", "Y" },
	{ "pick", "last", "last" },
	{ "segments", "ack", "ack" },
	{ "debug", "1", "Y" },
	{ "kernel_getname", "1", "Y" },
	{ "table_max", "54321", "54321" },
};

/* Also what is only read at load. */
static const struct value load_values[] = {
	{ "syn_slots", "1", "1" },
	{ "syn_slots", "0", "0" },
	{ "syn_slots", "16777217", NULL },
	{ "syn_slots", "4294967295", NULL },
	{ "syn_slots", "-1", NULL },
	{ "syn_slots", "x", NULL },
	{ "hook", "kprobe", "kprobe" },
	{ "hook", "kprobes", NULL },
	{ "hook", "ftrace,kprobe", NULL },
	{ "hook", "Auto", NULL },
	{ "hook", "1", NULL },
	{ "hook", "", NULL },
};

static char lines[65536];

/* One line, which says what was wrong. */
static void check_line(struct klog *k, const struct value *t)
{
	char want[128];
	int n = klog_lines(k, "TOA: ", lines, sizeof(lines));

	snprintf(want, sizeof(want), "TOA: %s=%.*s: must be ", t->name,
		 (int)strcspn(t->value, "\n"), t->value);
	check_num(n, 1);
	check(strncmp(lines, want, strlen(want)) == 0);
}

static const struct value *other_of(const char *name)
{
	const struct value *t = others;

	while (strcmp(t->name, name))
		t++;
	return t;
}

/* The kinds that were looked for are, those of the defaults are not. */
static void check_kinds(const char *name)
{
	const char *v4 = NULL, *v6 = NULL;
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, MAPPED, 5);
	server_conn(&s, &c);
	if (!strcmp(name, "opt_ipv4")) {
		opt_byte(&o, 16, 200, 8, B4, 77, 8, A4);
		v4 = A4_TEXT;
	} else if (!strcmp(name, "opt_ipv6")) {
		opt_byte(&o, 40, 253, 20, B6, 78, 20, A6);
		v6 = A6_TEXT;
	} else if (!strcmp(name, "opt_hostid")) {
		opt_byte(&o, 7, 79, 7, HOST4);
		v4 = with_port(HOST4_TEXT, &c);
	} else if (!strcmp(name, "opt_bare")) {
		opt_byte(&o, 6, 80, 6, BARE4);
		v4 = with_port(HOST4_TEXT, &c);
	} else {
		return;
	}
	require(conn_open(&c, NULL, &o));
	fd = server_accepted(&s);
	check_has(&s, &c, fd, v4, v6);
}

static void run_time(const void *arg)
{
	const struct value *t = arg, *old = other_of(t->name);
	char initial[256], was[256], line[64];
	struct server s;
	struct conn c;
	struct klog k;
	int fd;

	need_ipv6();
	defaults();
	if (strcmp(t->name, "late") == 0)
		need_late();
	snprintf(initial, sizeof(initial), "%.200s", value_of(t->name));
	if (!t->shown || strcmp(t->shown, old->shown))
		param_set(t->name, old->value);
	snprintf(was, sizeof(was), "%.200s", value_of(t->name));
	check(strcmp(was, t->shown ? t->shown : initial));
	snprintf(line, sizeof(line), "%s\n", t->value);
	klog_start(&k);
	check_num(put(t->name, line), !!t->shown);
	check_str(t->shown ? "" : error_name(errno), t->shown ? "" : "EINVAL");
	check_str(value_of(t->name), t->shown ? t->shown : was);
	if (t->shown)
		check_num(klog_lines(&k, "TOA: ", lines, sizeof(lines)), 0);
	else
		check_line(&k, t);
	if (!t->shown)
		check_kinds(t->name);
	param_set(t->name, initial);
	/* What holds is what it was. */
	server_open(&s, MAPPED, 5);
	fd = server_connect(&s, &c, two_kinds(), NULL);
	check_has(&s, &c, fd, A4_TEXT, NULL);
	fd = server_connect(&s, &c, NULL, v6_opt("2001:db8::77", 8765));
	check_has(&s, &c, fd, NULL, A6_TEXT);
}

/* These leave the module unloaded, for the next of them: loading takes seconds. */
static void at_load(const void *arg)
{
	const struct value *t = arg;
	char params[128];
	struct klog k;
	int err;

	if (toa_loaded())
		check_num(toa_unload(), 0);
	snprintf(params, sizeof(params), "%s=%s", t->name, t->value);
	klog_start(&k);
	err = toa_load(params);
	if (t->shown) {
		check_num(err, 0);
		check_str(value_of(t->name), t->shown);
		close(k.fd);
	} else {
		check_str(error_name(-err), "EINVAL");
		check_line(&k, t);
		check(!toa_loaded());
	}
	if (!err)
		check_num(toa_unload(), 0);
}

/* The last of them, which loads it again. */
static void all_at_load(const void *arg)
{
	struct opts o = { .len = 0 };
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	if (!toa_loaded())
		require(toa_load("") == 0);
	need_late();
	check_num(toa_unload(), 0);
	check_num(toa_load("opt_ipv4=253,254 opt_ipv6=254 opt_hostid=28 opt_bare=28,29 "
			   "nat64_getpeername=0 table_max=7 pick=last both=1 segments=syn,data "
			   "late=1"), 0);
	check_str(value_of("opt_ipv4"), "253,254");
	check_str(value_of("opt_ipv6"), "254");
	check_str(value_of("opt_hostid"), "28");
	check_str(value_of("opt_bare"), "28,29");
	check_str(value_of("pick"), "last");
	check_str(value_of("both"), "Y");
	check_str(value_of("segments"), "syn,data");
	check_str(value_of("late"), "Y");
	check_str(value_of("nat64_getpeername"), "N");
	check_str(value_of("table_max"), "7");
	opt_byte(&o, 16, 253, 8, B4, 253, 8, A4);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, &o, NULL);
	check_has(&s, &c, fd, A4_TEXT, NULL);
	/* An ACK is none of its segments, data is one. */
	fd = server_connect(&s, &c, NULL, &o);
	check_has(&s, &c, fd, NULL, NULL);
	conn_data(&c, &o, "data");
	check(data_reads(fd, "data"));
	check_has(&s, &c, fd, A4_TEXT, NULL);
	/* And no longer the default. */
	fd = server_connect(&s, &c, NULL, v4_opt("203.0.113.9", 1234));
	check_has(&s, &c, fd, NULL, NULL);
	check_num(toa_unload(), 0);
	require(toa_load("") == 0);
	check_str(value_of("opt_ipv4"), "200");
	check_str(value_of("opt_ipv6"), "253");
	check_str(value_of("opt_hostid"), "");
	check_str(value_of("opt_bare"), "");
	check_str(value_of("nat64_getpeername"), "Y");
	check_str(value_of("pick"), "first");
	check_str(value_of("both"), "N");
	check_str(value_of("segments"), "syn,ack,data");
	check_str(value_of("late"), "N");
}

static void modes(const void *arg)
{
	static const char *const names[] = {
		"opt_ipv4", "opt_ipv6", "opt_hostid", "opt_bare", "pick", "both", "segments",
		"late", "nat64_getpeername", "table_max", "debug", "kernel_getname", "trusted",
		"syn_slots", "hook",
	};
	enum { COUNT = sizeof(names) / sizeof(names[0]) };
	char path[128];
	struct stat st;
	int i;

	(void)arg;
	for (i = 0; i < COUNT; i++) {
		snprintf(path, sizeof(path), PARAMETERS "%s", names[i]);
		require(stat(path, &st) == 0);
		check_num(st.st_mode & 07777, i < COUNT - 2 ? 0644 : 0444);
	}
}

void values_add(void)
{
	unsigned int i;

	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		test_add(run_time, &values[i], "%s='%.*s%s' at run time %s", values[i].name,
			 (int)strcspn(values[i].value, "\n"), values[i].value,
			 strchr(values[i].value, '\n') ? " and more" : "",
			 values[i].shown ? "accepted" : "refused");
	for (i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (!values[i].shown && !strpbrk(values[i].value, " \n") && values[i].value[0])
			test_add(at_load, &values[i], "%s='%s' at load refused", values[i].name,
				 values[i].value);
	for (i = 0; i < sizeof(load_values) / sizeof(load_values[0]); i++)
		test_add(at_load, &load_values[i], "%s='%s' at load %s", load_values[i].name,
			 load_values[i].value, load_values[i].shown ? "accepted" : "refused");
	test_add(all_at_load, NULL, "all at load");
	test_add(modes, NULL, "modes of the files");
}
