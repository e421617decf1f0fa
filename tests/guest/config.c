// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters: which options carry addresses, as the balancers of several makers send them; what is
 * refused, and what holds then.
 */
#include "mod.h"
#include "../../toa.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIR "/sys/module/toa/parameters/"

/* 198.51.100.7:4321 and 203.0.113.9:1234, [2001:db8::77]:8765 and [2001:db8::99]:1234 */
#define A4 0x10, 0xe1, 198, 51, 100, 7
#define B4 0x04, 0xd2, 203, 0, 113, 9
#define A6 0x22, 0x3d, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define B6 0x04, 0xd2, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99
#define A4_TEXT "198.51.100.7:4321"
#define B4_TEXT "203.0.113.9:1234"
#define A6_TEXT "[2001:db8::77]:8765"
#define HOST4 1, 198, 51, 100, 7
#define HOST6 2, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define BARE4 198, 51, 100, 7
#define BARE6 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define HOST4_TEXT "198.51.100.7:%u"
#define HOST6_TEXT "[2001:db8::77]:%u"

/*
 * Files
 */

static bool put(const char *name, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), DIR "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	close(fd);
	return n == (ssize_t)strlen(value);
}

static const char *value_of(const char *name)
{
	static char ring[4][1100];
	static unsigned int next;
	char *text = ring[next++ % 4], path[128];

	snprintf(path, sizeof(path), DIR "%s", name);
	if (!read_file(path, text, sizeof(ring[0])))
		return "unreadable";
	*strchrnul(text, '\n') = 0;
	return text;
}

/* An empty list is written as a line of its own: nothing at all would not reach the kernel. */
static void set(const char *name, const char *value)
{
	char line[300];

	snprintf(line, sizeof(line), "%s\n", value);
	if (!put(name, line))
		test_fail(__FILE__, __LINE__, "cannot set %s to '%s'", name, value);
}

static void configure(const char *ipv4, const char *ipv6, const char *hostid, const char *bare)
{
	set("opt_ipv4", ipv4);
	set("opt_ipv6", ipv6);
	set("opt_hostid", hostid);
	set("opt_bare", bare);
}

static void defaults(void)
{
	configure("200", "253", "", "");
	set("nat64_getpeername", "1");
	set("both", "0");
}

/*
 * Balancers. @v4 and @v6 may leave a place for the balancer's port.
 */

struct balancer {
	const char *name;
	const char *ipv4, *ipv6, *hostid, *bare;
	const char *v4, *v6;	/* both with both=1 only */
	unsigned int v4_kind, v6_kind;
	uint8_t len;
	uint8_t byte[40];
	enum kind kind;
	bool syn;
	bool v6_first;		/* without both=1 */
	bool both;
	/* Only in the one, or the other. */
	bool only_syn, only_ack;
};

/* @a1 to @a4: .ipv4, .ipv6, .hostid, .bare */
#define ENTRY(n, a1, a2, a3, a4, v4_text, kind4, v6_text, kind6, ...) \
	.name = n, .ipv4 = a1, .ipv6 = a2, .hostid = a3, .bare = a4, .v4 = v4_text, \
	.v6 = v6_text, .v4_kind = kind4, .v6_kind = kind6, \
	.len = sizeof((uint8_t[]){ __VA_ARGS__ }), .byte = { __VA_ARGS__ }
#define BALANCER(...) { ENTRY(__VA_ARGS__) }
#define V6_FIRST(...) { ENTRY(__VA_ARGS__), .v6_first = true }
#define IN_SYN(...) { ENTRY(__VA_ARGS__), .only_syn = true }
#define IN_ACK(...) { ENTRY(__VA_ARGS__), .only_ack = true }

#define SNAT_253 "200", "253", "", ""
#define LVS "254", "254", "", ""
#define UCLOUD "200,254,253", "253", "", ""
#define CDN "200", "253", "28", ""
#define F5 "200", "253", "", "28"
#define DEFAULT "200", "253", "", ""
#define ONLY_200 "200", "200", "", ""
#define ONLY_77 "77", "77", "77", "77"
#define NOTHING "", "", "", ""

static const struct balancer balancers[] = {
	BALANCER("SNAT 200", SNAT_253, A4_TEXT, 200, NULL, 0, 200, 8, A4),
	BALANCER("NAT64 253", SNAT_253, NULL, 0, A6_TEXT, 253, 253, 20, A6),
	BALANCER("200 behind NOPs", SNAT_253, A4_TEXT, 200, NULL, 0, 1, 1, 200, 8, A4),
	BALANCER("253 behind NOPs", SNAT_253, NULL, 0, A6_TEXT, 253, 1, 1, 253, 20, A6),
	BALANCER("LVS 254 length 8", LVS, A4_TEXT, 254, NULL, 0, 254, 8, A4),
	BALANCER("LVS 254 length 20", LVS, NULL, 0, A6_TEXT, 254, 254, 20, A6),
	BALANCER("LVS 254 of both lengths", LVS, A4_TEXT, 254, A6_TEXT, 254, 254, 8, A4, 254, 20,
		 A6),
	V6_FIRST("LVS 254 of both lengths, 20 first", LVS, A4_TEXT, 254, A6_TEXT, 254, 254, 20, A6,
		 254, 8, A4),
	BALANCER("LVS, and 200 and 253 of others", LVS, NULL, 0, NULL, 0, 200, 8, A4, 253, 20,
		 A6),
	BALANCER("UCloud 200", UCLOUD, A4_TEXT, 200, NULL, 0, 200, 8, A4),
	BALANCER("UCloud 254", UCLOUD, A4_TEXT, 254, NULL, 0, 254, 8, A4),
	BALANCER("UCloud 253 length 8", UCLOUD, A4_TEXT, 253, NULL, 0, 253, 8, A4),
	BALANCER("UCloud 253 of both lengths", UCLOUD, A4_TEXT, 253, A6_TEXT, 253, 253, 8, A4, 253,
		 20, A6),
	BALANCER("UCloud 254 before 200", UCLOUD, B4_TEXT, 254, NULL, 0, 254, 8, B4, 200, 8, A4),
	BALANCER("CDN 28 length 7", CDN, HOST4_TEXT, 28, NULL, 0, 28, 7, HOST4),
	BALANCER("CDN 28 length 19", CDN, NULL, 0, HOST6_TEXT, 28, 28, 19, HOST6),
	BALANCER("CDN 28 length 8", CDN, NULL, 0, NULL, 0, 28, 8, A4),
	BALANCER("CDN 28 length 6", CDN, NULL, 0, NULL, 0, 28, 6, BARE4),
	BALANCER("CDN 28 that is loopback", CDN, NULL, 0, NULL, 0, 28, 7, 1, 127, 0, 0, 1),
	BALANCER("F5 28 length 6", F5, HOST4_TEXT, 28, NULL, 0, 28, 6, BARE4),
	BALANCER("F5 28 length 18", F5, NULL, 0, HOST6_TEXT, 28, 28, 18, BARE6),
	BALANCER("F5 28 length 7", F5, NULL, 0, NULL, 0, 28, 7, HOST4),
	BALANCER("F5 28 length 19", F5, NULL, 0, NULL, 0, 28, 19, HOST6),
	BALANCER("F5 28 that is loopback", F5, NULL, 0, NULL, 0, 28, 6, 127, 0, 0, 1),
	BALANCER("28 by default", DEFAULT, NULL, 0, NULL, 0, 28, 7, HOST4),
	BALANCER("28 of length 6 by default", DEFAULT, NULL, 0, NULL, 0, 28, 6, BARE4),
	BALANCER("200 of both lengths", ONLY_200, A4_TEXT, 200, A6_TEXT, 200, 200, 8, A4,
		 200, 20, A6),
	BALANCER("one kind for all", ONLY_77, A4_TEXT, 77, HOST6_TEXT, 77, 77, 8, A4, 77,
		 19, HOST6),
	BALANCER("nothing configured", NOTHING, NULL, 0, NULL, 0, 200, 8, A4, 253, 20, A6),
	IN_SYN("254 of Fast Open", LVS, NULL, 0, NULL, 0, 254, 8, 0xf9, 0x89, 198, 51, 100, 7),
	IN_SYN("254 of Fast Open, length 20", LVS, NULL, 0, NULL, 0, 254, 20, 0xf9, 0x89, 0x20,
	       0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77),
	IN_SYN("254 of Fast Open before an address", LVS, A4_TEXT, 254, NULL, 0, 254, 8, 0xf9,
	       0x89, 203, 0, 113, 9, 254, 8, A4),
	/* Only a SYN asks for Fast Open. */
	IN_ACK("254 with port 63881", LVS, "198.51.100.7:63881", 254, NULL, 0, 254, 8, 0xf9, 0x89,
	       198, 51, 100, 7),
	IN_ACK("254 with port 63881, length 20", LVS, NULL, 0, "[2001:db8::77]:63881", 254, 254, 20,
	       0xf9, 0x89, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77),
	IN_ACK("254 with port 63881 before another", LVS, "203.0.113.9:63881", 254, NULL, 0, 254,
	       8, 0xf9, 0x89, 203, 0, 113, 9, 254, 8, A4),
	BALANCER("254 of SMC", LVS, NULL, 0, NULL, 0, 254, 8, 0xe2, 0xd4, 0xc3, 0xd9, 1, 1),
	BALANCER("200 with Fast Open's mark", DEFAULT, "198.51.100.7:63881", 200, NULL, 0,
		 200, 8, 0xf9, 0x89, 198, 51, 100, 7),
};

static const char *with_port(const char *format, const struct conn *c)
{
	static char ring[4][64];
	static unsigned int next;
	char *text = ring[next++ % 4];

	if (!format || !strstr(format, "%u"))
		return format;
	snprintf(text, sizeof(ring[0]), "%.*s%u", (int)(strlen(format) - 2), format, c->sport);
	return text;
}

/* What counts: one of them, or with both=1 both. */
static const char *v4_of(const struct balancer *t, const struct conn *c)
{
	return t->both || !t->v6 || !t->v6_first ? with_port(t->v4, c) : NULL;
}

static const char *v6_of(const struct balancer *t, const struct conn *c)
{
	return t->both || !t->v4 || t->v6_first ? with_port(t->v6, c) : NULL;
}

static void check_lines(const struct balancer *t, const struct conn *c)
{
	const char *v4 = v4_of(t, c), *v6 = v6_of(t, c);
	struct table_line lines[4];
	int n = table_of(c, lines, 4), at = 0;

	check_num(n, !!v4 + !!v6);
	if (v4 && n > at) {
		check_num(lines[at].kind, t->v4_kind);
		check_str(lines[at].client, v4);
		at++;
	}
	if (v6 && n > at) {
		check_num(lines[at].kind, t->v6_kind);
		check_str(lines[at].client, v6);
	}
}

static void balancer(const void *arg)
{
	const struct balancer *t = arg;
	struct opts o = { .len = 0 };
	struct toa_peer_info info;
	socklen_t len = sizeof(info);
	const char *v6;
	struct server s;
	struct conn c;
	int fd;

	defaults();
	configure(t->ipv4, t->ipv6, t->hostid, t->bare);
	set("both", t->both ? "1" : "0");
	opt_raw(&o, t->byte, t->len);
	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, t->syn ? &o : NULL, t->syn ? NULL : &o);
	v6 = v6_of(t, &c);
	check_has(&s, &c, fd, v4_of(t, &c), v6);
	check(data_flows(&c, fd));
	check_lines(t, &c);
	require(getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0);
	check_num(info.kind, v6 && (t->kind != INET || !v4_of(t, &c)) ? t->v6_kind : t->v4_kind);
	defaults();
}

/* What a balancer says that does SNAT behind NAT64. */
static const struct opts *two_kinds(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, "198.51.100.7", 4321), "2001:db8::77", 8765);
}

/*
 * nat64_getpeername
 */

static void not_shown(const void *arg)
{
	const char *want, *nat64 = A6_TEXT;
	const enum kind kind = *(const enum kind *)arg;
	struct toa_peer_info info;
	struct stats before;
	struct server s;
	struct conn c;
	socklen_t len;
	int fd, both;

	defaults();
	set("nat64_getpeername", "0");
	server_open(&s, kind, 5);
	fd = server_connect(&s, &c, NULL, v6_opt("2001:db8::77", 8765));
	/* An IPv6 balancer's client is shown all the same. */
	want = kind_v6(kind) ? A6_TEXT : server_sees(&s, &c);
	require(stats_get(&before));
	check_str(peer_of(fd), want);
	check_moved(&before, "getname_toa_ok", kind_v6(kind));
	check_str(peername_of(fd), want);
	check_str(nat64_of(fd), nat64);
	len = sizeof(info);
	require(getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0);
	check_num(info.client.v6.sin6_family, AF_INET6);
	check_num(ntohs(info.client.v6.sin6_port), 8765);
	check_num(info.kind, 253);

	set("both", "1");
	both = server_connect(&s, &c, two_kinds(), NULL);
	want = kind == INET ? A4_TEXT : kind_v6(kind) ? A6_TEXT : mapped(A4_TEXT);
	check_str(peer_of(both), want);
	check_str(nat64_of(both), nat64);
	len = sizeof(info);
	require(getsockopt(both, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0);
	check_num(info.kind, kind_v6(kind) ? 253 : 200);

	/* Connections that are there follow. */
	set("nat64_getpeername", "1");
	check_has(&s, &c, both, A4_TEXT, A6_TEXT);
	check_str(peer_of(fd), kind == INET ? peer_of(fd) : A6_TEXT);
	check(kind != INET || strcmp(peer_of(fd), A6_TEXT));
	set("both", "0");
}

/*
 * Values
 */

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
	snprintf(initial, sizeof(initial), "%.200s", value_of(t->name));
	if (!t->shown || strcmp(t->shown, old->shown))
		set(t->name, old->value);
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
	set(t->name, initial);
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
	if (toa_loaded())
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
		snprintf(path, sizeof(path), DIR "%s", names[i]);
		require(stat(path, &st) == 0);
		check_num(st.st_mode & 07777, i < COUNT - 2 ? 0644 : 0444);
	}
}

/* What a connection was made with stays, whatever is looked for later. */
static void connections_stay(const void *arg)
{
	struct table_line line;
	struct server s;
	struct conn c, d;
	int fd, other;

	(void)arg;
	defaults();
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, v4_opt("198.51.100.7", 4321));
	server_syn(&s, &d, v4_opt("203.0.113.9", 1234));
	configure("254", "", "", "");
	check_has(&s, &c, fd, A4_TEXT, NULL);
	check_num(table_of(&c, &line, 1), 1);
	check_num(line.kind, 200);
	conn_ack(&d, v4_opt("198.51.100.8", 1));
	other = server_accepted(&s);
	check_has(&s, &d, other, B4_TEXT, NULL);
	defaults();
}

/*
 * Under traffic
 */

static int stopping;

static void *writing(void *arg)
{
	int *failed = arg;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		*failed += !put("opt_ipv4", "200,254\n");
		*failed += !put("opt_ipv4", "28,200\n");
		*failed += !put("opt_ipv4", "7\n");
		*failed += put("opt_ipv6", "254,300\n");
		*failed += !put("opt_ipv4", "200\n");
	}
	return NULL;
}

/* 253 is never taken away, and what is written beside it does not touch it. */
static void traffic(const void *arg)
{
	pthread_t thread;
	struct server s;
	int failed = 0, i, seen = 0;

	(void)arg;
	defaults();
	stopping = 0;
	set("both", "1");
	server_open(&s, MAPPED, 16);
	require(pthread_create(&thread, NULL, writing, &failed) == 0);
	for (i = 0; i < 300; i++) {
		struct conn c;
		int fd = server_connect(&s, &c, i % 2 ? two_kinds() : NULL,
					i % 2 ? NULL : two_kinds());

		seen += !strcmp(peer_of(fd), A6_TEXT);
		check_str(nat64_of(fd), A6_TEXT);
		reset(fd);
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	check_num(seen, 300);
	check_num(failed, 0);
	defaults();
}

int main(int argc, char **argv)
{
	enum { COUNT = sizeof(balancers) / sizeof(balancers[0]), WAYS = 4 };
	static const enum kind kinds[] = { INET, MAPPED, INET6, DUAL6 };
	static struct balancer all[COUNT * WAYS * 2];
	unsigned int i;

	for (i = 0; i < COUNT * WAYS * 2; i++) {
		all[i] = balancers[i % (COUNT * WAYS) / WAYS];
		all[i].syn = i & 1;
		all[i].kind = i & 2 ? MAPPED : INET;
		all[i].both = i >= COUNT * WAYS;
		if (all[i].syn ? all[i].only_ack : all[i].only_syn)
			continue;
		if (all[i].both && !(all[i].v4 && all[i].v6))
			continue;
		test_add(balancer, &all[i], "%s%s in the %s, %s", all[i].both ? "both=1, " : "",
			 all[i].name, all[i].syn ? "SYN" : "ACK", kind_name[all[i].kind]);
	}
	for (i = 0; i < KINDS; i++)
		test_add(not_shown, &kinds[i], "nat64_getpeername=0, %s", kind_name[i]);
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
	test_add(connections_stay, NULL, "connections keep what they were made with");
	test_add(traffic, NULL, "written under traffic");
	return toa_main("config", "", argc, argv);
}
