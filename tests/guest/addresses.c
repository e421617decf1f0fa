// SPDX-License-Identifier: GPL-2.0
/* Addresses that nobody may claim, their neighbours that anybody may, and ports. */
#include "mod.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct claim {
	const char *addr;
	bool v6;
	bool allowed;
	enum kind kind;
	bool syn;
};

static const char *text(const struct claim *t, uint16_t port)
{
	static char buf[96];
	char canonical[64];
	uint8_t addr[16];
	int family = t->v6 ? AF_INET6 : AF_INET;

	inet_pton(family, t->addr, addr);
	inet_ntop(family, addr, canonical, sizeof(canonical));
	snprintf(buf, sizeof(buf), t->v6 ? "[%s]:%u" : "%s:%u", canonical, port);
	return buf;
}

static void claim(const void *arg)
{
	const struct claim *t = arg;
	const struct opts *o = t->v6 ? v6_opt(t->addr, 4321) : v4_opt(t->addr, 4321);
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, t->kind, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, t->syn ? o : NULL, t->syn ? NULL : o));
	if (t->allowed)
		check_moved(&before, "syn_recv_sock_toa", 1, "ip6_address_alloc", t->v6);
	else
		check_moved(&before, "syn_recv_sock_no_toa", 1, "toa_invalid", 1);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, t->allowed && !t->v6 ? text(t, 4321) : NULL,
		  t->allowed && t->v6 ? text(t, 4321) : NULL);
	check(data_flows(&c, fd));
}

struct beside {
	bool v6_first;
	bool refuse_first;	/* if not, the second */
};

/*
 * The first one decides, whatever its kind: what stands behind one that is refused is the client's
 * own. With both=1 one that is refused takes nothing from the other kind.
 */
static void beside(const void *arg)
{
	const struct beside *t = arg;
	const bool refuse_v4 = t->v6_first != t->refuse_first;
	const char *v4 = refuse_v4 ? NULL : "198.51.100.7:4321";
	const char *v6 = refuse_v4 ? "[2001:db8::77]:8765" : NULL;
	struct opts o = { .len = 0 };
	int both, counts;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	if (t->v6_first)
		opt_v6(&o, refuse_v4 ? "2001:db8::77" : "::1", 8765);
	opt_v4(&o, refuse_v4 ? "127.0.0.1" : "198.51.100.7", 4321);
	if (!t->v6_first)
		opt_v6(&o, refuse_v4 ? "2001:db8::77" : "::1", 8765);
	for (both = 0; both <= 1; both++) {
		toa_set_both(both);
		server_open(&s, INET, 5);
		server_conn(&s, &c);
		require(stats_get(&before));
		require(conn_open(&c, NULL, &o));
		counts = both || !t->refuse_first;
		check_moved(&before, "syn_recv_sock_toa", counts, "syn_recv_sock_no_toa", !counts,
			    "toa_invalid", both || t->refuse_first,
			    "toa_disagree", !both, "ip6_address_alloc", counts && v6);
		fd = server_accepted(&s);
		check_has(&s, &c, fd, counts ? v4 : NULL, counts ? v6 : NULL);
		reset(fd);
		check(stats_balanced());
	}
	toa_set_both(false);
}

/* What is refused in a later segment still is the balancer's last word: it names nobody. */
static void refused_later(const void *arg)
{
	const struct beside *t = arg;
	const bool v6 = t->v6_first;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, INET, 5);
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, v6 ? v6_opt("2001:db8::77", 8765) : v4_opt("198.51.100.7", 4321),
			  t->refuse_first ? v4_opt("127.0.0.1", 1) : v6_opt("::1", 1)));
	check_moved(&before, "syn_recv_sock_no_toa", 1, "toa_invalid", 1, "toa_disagree", 1);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, NULL, NULL);
	check(data_flows(&c, fd));
	/* And the other way round: what was refused before counts for nothing. */
	server_conn(&s, &c);
	require(stats_get(&before));
	require(conn_open(&c, t->refuse_first ? v4_opt("127.0.0.1", 1) : v6_opt("::1", 1),
			  v6 ? v6_opt("2001:db8::77", 8765) : v4_opt("198.51.100.7", 4321)));
	check_moved(&before, "syn_recv_sock_toa", 1, "toa_invalid", 1, "ip6_address_alloc", v6);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, v6 ? NULL : "198.51.100.7:4321", v6 ? "[2001:db8::77]:8765" : NULL);
}

static void port(const void *arg)
{
	uint16_t number = *(const uint16_t *)arg;
	struct opts o = { .len = 0 };
	char v4[32], v6[32];
	enum kind kind;

	toa_set_both(true);
	opt_v4(&o, "198.51.100.7", number);
	opt_v6(&o, "2001:db8::77", number);
	snprintf(v4, sizeof(v4), "198.51.100.7:%u", number);
	snprintf(v6, sizeof(v6), "[2001:db8::77]:%u", number);
	for (kind = INET; kind < KINDS; kind++) {
		struct server s;
		struct conn c;
		int fd;

		server_open(&s, kind, 5);
		fd = server_connect(&s, &c, NULL, &o);
		check_has(&s, &c, fd, v4, v6);
	}
	toa_set_both(false);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *addr;
		bool v6, allowed;
	} claims[] = {
		{ "0.0.0.0", false, false }, { "127.0.0.1", false, false },
		{ "127.0.0.0", false, false }, { "127.255.255.255", false, false },
		{ "224.0.0.0", false, false }, { "224.0.0.1", false, false },
		{ "239.255.255.255", false, false }, { "255.255.255.255", false, false },
		{ "169.254.0.0", false, false }, { "169.254.1.1", false, false },
		{ "169.254.255.255", false, false },
		{ "126.255.255.255", false, true }, { "128.0.0.1", false, true },
		{ "223.255.255.255", false, true }, { "169.253.255.255", false, true },
		{ "169.255.0.1", false, true }, { "170.254.0.1", false, true },
		{ "10.0.0.1", false, true }, { "1.0.0.127", false, true },
		{ "::", true, false }, { "::1", true, false }, { "ff02::1", true, false },
		{ "ff0e::1", true, false }, { "ff00::", true, false },
		{ "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, false },
		{ "fe80::1", true, false }, { "fe80::", true, false },
		{ "febf::1", true, false },
		{ "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", true, false },
		{ "::ffff:1.2.3.4", true, false }, { "::ffff:127.0.0.1", true, false },
		{ "fec0::1", true, true }, { "fe7f::1", true, true }, { "feff::1", true, true },
		{ "fdff::1", true, true }, { "2001:db8::1", true, true },
		{ "64:ff9b::102:304", true, true }, { "::fffe:1.2.3.4", true, true },
		{ "1::ffff:102:304", true, true }, { "100::", true, true },
		{ "::1:0:0:1", true, true },
	};
	enum { COUNT = sizeof(claims) / sizeof(claims[0]) };
	static const struct beside besides[] = {
		{ false, true }, { false, false }, { true, true }, { true, false },
	};
	static const uint16_t ports[] = { 0, 1, 65535 };
	static struct claim all[COUNT * 3];
	unsigned int i;

	for (i = 0; i < COUNT * 3; i++) {
		struct claim *t = &all[i];

		t->addr = claims[i / 3].addr;
		t->v6 = claims[i / 3].v6;
		t->allowed = claims[i / 3].allowed;
		t->kind = i % 3 == 2 ? (t->v6 ? INET6 : MAPPED) : INET;
		t->syn = i % 3 == 1;
		test_add(claim, t, "%s %s%s%s", t->addr, t->allowed ? "believed" : "refused",
			 t->syn ? " in the SYN" : "", i % 3 == 2 ? ", AF_INET6 socket" : "");
	}
	for (i = 0; i < sizeof(besides) / sizeof(besides[0]); i++)
		test_add(beside, &besides[i], "200 and 253, %s first, the %s refused",
			 besides[i].v6_first ? "253" : "200",
			 besides[i].refuse_first ? "first" : "second");
	for (i = 0; i < sizeof(besides) / sizeof(besides[0]); i++)
		test_add(refused_later, &besides[i], "%s in the SYN, %s refused in the ACK",
			 besides[i].v6_first ? "253" : "200",
			 besides[i].refuse_first ? "200" : "253");
	for (i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		test_add(port, &ports[i], "port %u believed", ports[i]);
	return toa_main("addresses", "", argc, argv);
}
