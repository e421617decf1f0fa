// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters: which options carry addresses, as the balancers of several makers send them; what is
 * refused, and what holds then.
 */
#include "config.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HOST6 2, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define BARE6 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define HOST6_TEXT "[2001:db8::77]:%u"

/*
 * Files
 */

bool put(const char *name, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = write(fd, value, strlen(value));
	close(fd);
	return n == (ssize_t)strlen(value);
}

const char *value_of(const char *name)
{
	static char ring[4][1100];
	static unsigned int next;
	char *text = ring[next++ % 4], path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	if (!read_file(path, text, sizeof(ring[0])))
		return "unreadable";
	*strchrnul(text, '\n') = 0;
	return text;
}

void configure(const char *ipv4, const char *ipv6, const char *hostid, const char *bare)
{
	param_set("opt_ipv4", ipv4);
	param_set("opt_ipv6", ipv6);
	param_set("opt_hostid", hostid);
	param_set("opt_bare", bare);
}

void defaults(void)
{
	configure("200", "253", "", "");
	param_set("nat64_getpeername", "1");
	param_set("both", "0");
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

const char *with_port(const char *format, const struct conn *c)
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
	param_set("both", t->both ? "1" : "0");
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
const struct opts *two_kinds(void)
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
	param_set("nat64_getpeername", "0");
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

	param_set("both", "1");
	both = server_connect(&s, &c, two_kinds(), NULL);
	want = kind == INET ? A4_TEXT : kind_v6(kind) ? A6_TEXT : mapped(A4_TEXT);
	check_str(peer_of(both), want);
	check_str(nat64_of(both), nat64);
	len = sizeof(info);
	require(getsockopt(both, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len) == 0);
	check_num(info.kind, kind_v6(kind) ? 253 : 200);

	/* Connections that are there follow. */
	param_set("nat64_getpeername", "1");
	check_has(&s, &c, both, A4_TEXT, A6_TEXT);
	check_str(peer_of(fd), kind == INET ? peer_of(fd) : A6_TEXT);
	check(kind != INET || strcmp(peer_of(fd), A6_TEXT));
	param_set("both", "0");
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
	param_set("both", "1");
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
	test_add_kinds(not_shown, "nat64_getpeername=0");
	values_add();
	test_add(connections_stay, NULL, "connections keep what they were made with");
	test_add(traffic, NULL, "written under traffic");
	return toa_main("config", "", argc, argv);
}
