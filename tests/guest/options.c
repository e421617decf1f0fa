// SPDX-License-Identifier: GPL-2.0
/*
 * Options that are not the balancer's, malformed, hidden, repeated: the connection lives, and
 * shows what it should.
 */
#include "bytes.h"
#include "mod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

struct header {
	const char *name;
	const char *v4, *v6;	/* what counts; NULL: nothing; both with both=1 only */
	bool v6_first;		/* without it */
	uint8_t others;		/* options that do not count then */
	uint8_t len;
	uint8_t byte[40];
	bool both;
	bool syn;
	bool v6_listener;
};

#define HEADER(n, a, b, ...) \
	{ .name = n, .v4 = a, .v6 = b, .len = sizeof((uint8_t[]){ __VA_ARGS__ }), \
	  .byte = { __VA_ARGS__ } }

/* More than one that is well-formed */
#define SEVERAL(n, a, b, first, count, ...) \
	{ .name = n, .v4 = a, .v6 = b, .v6_first = first, .others = (count) - 1, \
	  .len = sizeof((uint8_t[]){ __VA_ARGS__ }), .byte = { __VA_ARGS__ } }

static const struct header headers[] = {
	/* The kind alone, or the length alone, is not ours. */
	HEADER("kind 253 length 8", NULL, NULL, 253, 8, A4),
	HEADER("kind 254 length 8", NULL, NULL, 254, 8, A4),
	HEADER("kind 254 length 20", NULL, NULL, 254, 20, A6),
	HEADER("kind 200 length 20", NULL, NULL, 200, 20, A6),
	HEADER("kind 200 length 7", NULL, NULL, 200, 7, A4),
	HEADER("kind 200 length 9", NULL, NULL, 200, 9, A4, 0),
	HEADER("kind 200 length 2", NULL, NULL, 200, 2, 1, 1),
	HEADER("kind 200 length 4", NULL, NULL, 200, 4, 0x10, 0xe1),
	HEADER("kind 200 length 40", NULL, NULL, 200, 40, A4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
	HEADER("kind 253 length 19", NULL, NULL, 253, 19, A6),
	HEADER("kind 253 length 21", NULL, NULL, 253, 21, A6, 0),
	HEADER("kind 253 length 18", NULL, NULL, 253, 18, A6),
	HEADER("kind 253 length 2", NULL, NULL, 253, 2, 1, 1),
	HEADER("kind 252 length 20", NULL, NULL, 252, 20, A6),
	HEADER("kind 201 length 8", NULL, NULL, 201, 8, A4),
	HEADER("kind 199 length 8", NULL, NULL, 199, 8, A4),
	HEADER("kind 28 length 8", NULL, NULL, 28, 8, A4),
	SEVERAL("kind 253 length 8 before ours", A4_TEXT, A6_TEXT, false, 2, 253, 8, B4, 200, 8, A4,
		253, 20, A6),
	HEADER("kind 200 length 4 before ours", A4_TEXT, NULL, 200, 4, 0x10, 0xe1, 200, 8, A4),

	/* Malformed */
	HEADER("length 0", NULL, NULL, 200, 0, A4),
	HEADER("length 1", NULL, NULL, 200, 1, A4),
	HEADER("253 length 0", NULL, NULL, 253, 0, A6),
	HEADER("253 length 1", NULL, NULL, 253, 1, A6),
	HEADER("length 255", NULL, NULL, 200, 255, A4),
	HEADER("253 length 255", NULL, NULL, 253, 255, A6),
	HEADER("beyond the header by 1", NULL, NULL, 1, 200, 8, 0x10, 0xe1, 198, 51, 100),
	HEADER("beyond the header by 4", NULL, NULL, 200, 8, 0x10, 0xe1),
	HEADER("beyond the header, address missing", NULL, NULL, 1, 1, 1, 1, 200, 8, 0x10, 0xe1),
	HEADER("253 beyond the header by 1", NULL, NULL, 1, 253, 20, 0x22, 0x3d, 0x20, 0x01, 0x0d,
	       0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	HEADER("253 beyond the header by 8", NULL, NULL, 253, 20, 0x22, 0x3d, 0x20, 0x01, 0x0d,
	       0xb8, 0, 0, 0, 0),
	HEADER("253 beyond the full header", NULL, NULL, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 253, 20, 0x22, 0x3d, 0x20, 0x01, 0x0d,
	       0xb8, 0, 0),
	HEADER("truncated behind the kind", NULL, NULL, 1, 1, 1, 200),
	HEADER("truncated behind the length", NULL, NULL, 1, 1, 200, 8),
	HEADER("truncated behind the port", NULL, NULL, 200, 8, 0x10, 0xe1),
	HEADER("253 truncated behind the kind", NULL, NULL, 1, 1, 1, 253),
	HEADER("253 truncated behind the length", NULL, NULL, 1, 1, 253, 20),
	HEADER("behind End-of-Options", NULL, NULL, 0, 1, 1, 1, 200, 8, A4),
	HEADER("253 behind End-of-Options", NULL, NULL, 0, 1, 1, 1, 253, 20, A6),
	HEADER("right behind End-of-Options", NULL, NULL, 1, 1, 1, 0, 200, 8, A4),
	HEADER("hidden inside another option", NULL, NULL, 77, 10, 200, 8, A4, 1, 1),
	HEADER("253 hidden inside another option", NULL, NULL, 77, 22, 253, 20, A6, 1, 1),
	HEADER("hidden inside timestamps", NULL, NULL, 1, 1, 8, 10, 200, 8, A4),
	HEADER("hidden inside 253", NULL, "[c808:10e1:c633:6407:101:101:101:101]:257", 253, 20, 1,
	       1, 200, 8, A4, 1, 1, 1, 1, 1, 1, 1, 1),
	HEADER("253 hidden inside kind 253 of another length", NULL, NULL, 253, 22, 253, 20, A6, 1,
	       1),
	HEADER("a length of 0 before ours", NULL, NULL, 77, 0, 1, 1, 200, 8, A4),
	HEADER("a length of 1 before ours", NULL, NULL, 77, 1, 1, 1, 200, 8, A4),
	HEADER("a length beyond the header before ours", NULL, NULL, 77, 99, 1, 1, 200, 8, A4),
	HEADER("only NOPs", NULL, NULL, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
	       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1),
	HEADER("only End-of-Options", NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0),

	/* Valid, and something else */
	HEADER("valid before a length of 0", A4_TEXT, NULL, 200, 8, A4, 253, 0, 1, 1),
	HEADER("valid before a length of 1", A4_TEXT, NULL, 200, 8, A4, 77, 1, 1, 1),
	HEADER("valid before a length beyond the header", A4_TEXT, NULL, 200, 8, A4, 253, 20, 1, 1),
	HEADER("valid before a lone kind", A4_TEXT, NULL, 200, 8, A4, 1, 1, 1, 77),
	HEADER("valid before End-of-Options", A4_TEXT, NULL, 200, 8, A4, 0, 0, 0, 0),
	HEADER("253 valid before a length of 0", NULL, A6_TEXT, 253, 20, A6, 200, 0, 1, 1),
	HEADER("253 valid before a truncated 200", NULL, A6_TEXT, 253, 20, A6, 200, 8, 1, 2),
	SEVERAL("twice, the first counts", A4_TEXT, NULL, false, 2, 200, 8, A4, 200, 8, B4),
	SEVERAL("253 twice, the first counts", NULL, A6_TEXT, true, 2, 253, 20, A6, 253, 20, B6),
	HEADER("200 length 7 then well-formed", A4_TEXT, NULL, 200, 7, 0x04, 0xd2, 203, 0, 113, 200,
	       8, A4),
	SEVERAL("both kinds at once", A4_TEXT, A6_TEXT, false, 2, 200, 8, A4, 253, 20, A6),
	SEVERAL("both kinds at once, 253 first", A4_TEXT, A6_TEXT, true, 2, 253, 20, A6, 200, 8,
		A4),
	SEVERAL("both kinds, 200 twice", A4_TEXT, A6_TEXT, false, 3, 200, 8, A4, 253, 20, A6, 200,
		8, B4),
	SEVERAL("both kinds in a full header", A4_TEXT, A6_TEXT, false, 2, 1, 1, 1, 200, 8, A4, 1,
		253, 20, A6, 1, 1, 1, 1, 1, 1, 1, 0),
};

/*
 * From 6.7 on the kernel looks for the options of MD5 and AO before any socket is made, and drops
 * a segment in which it meets an impossible length on that way. It looks as long as the shorter of
 * the two could follow.
 */
static bool kernel_drops(const struct header *t)
{
	size_t i = 0, len = (t->len + 3) / 4 * 4;
	struct utsname uts;
	int major = 0, minor = 0;

	uname(&uts);
	sscanf(uts.release, "%d.%d", &major, &minor);
	if (major < 6 || (major == 6 && minor < 7))
		return false;
	while (len - i >= 5 && i < t->len && t->byte[i] != 0) {
		if (t->byte[i] == 1) {
			i++;
			continue;
		}
		if (t->byte[i + 1] < 2 || t->byte[i + 1] > len - i)
			return true;
		i += t->byte[i + 1];
	}
	return false;
}

/* What counts: the first one, or with both=1 the first of each kind. */
static const char *v4_of(const struct header *t)
{
	return t->both || !t->v6 || !t->v6_first ? t->v4 : NULL;
}

static const char *v6_of(const struct header *t)
{
	return t->both || !t->v4 || t->v6_first ? t->v6 : NULL;
}

static int overruled_of(const struct header *t)
{
	return t->both && t->v4 && t->v6 ? t->others - 1 : t->others;
}

static void header(const void *arg)
{
	const struct header *t = arg;
	const char *v4 = v4_of(t), *v6 = v6_of(t);
	struct opts o = { .len = 0 };
	struct stats before, after;
	struct server s;
	bool may_drop, alive;
	struct conn c;
	int fd = -1;

	opt_raw(&o, t->byte, t->len);
	server_open(&s, t->v6_listener ? INET6 : INET, 5);
	server_conn(&s, &c);
	toa_set_both(t->both);
	require(stats_get(&before));
	may_drop = kernel_drops(t);
	if (may_drop)
		wait_ms = 100;
	conn_syn(&c, t->syn ? &o : NULL);
	alive = conn_synack(&c, NULL);
	if (alive) {
		conn_ack(&c, t->syn ? NULL : &o);
		fd = server_accept(&s, NULL);
		alive = fd >= 0;
	}
	if (may_drop)
		wait_ms = WAIT_MS;
	if (may_drop && !alive) {
		test_note("this kernel drops the segment by itself");
		return;
	}
	require(alive);
	check_has(&s, &c, fd, v4, v6);
	check(data_flows(&c, fd));
	check_has(&s, &c, fd, v4, v6);
	require(stats_get(&after));
	check_num(stats_of(&after, "toa_disagree") - stats_of(&before, "toa_disagree"),
		  overruled_of(t));
}

/* None of it is an address that somebody may not claim, and each is one connection. */
static void counters(const void *arg)
{
	unsigned int i, with = 0, with6 = 0, count = 0, overruled = 0;
	struct stats before;
	struct server s;

	(void)arg;
	toa_set_both(false);
	server_open(&s, INET, 5);
	require(stats_get(&before));
	for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct opts o = { .len = 0 };
		struct conn c;

		if (kernel_drops(&headers[i]))
			continue;
		count++;
		opt_raw(&o, headers[i].byte, headers[i].len);
		server_conn(&s, &c);
		require(conn_open(&c, NULL, &o));
		reset(accept(s.fd, NULL, NULL));
		with += headers[i].v4 || headers[i].v6;
		with6 += v6_of(&headers[i]) ? 1 : 0;
		overruled += overruled_of(&headers[i]);
	}
	check(stats_balanced());
	check_moved(&before, "syn_recv_sock_toa", with, "syn_recv_sock_no_toa", count - with,
		    "ip6_address_alloc", with6, "ip6_address_free", with6,
		    "toa_disagree", overruled);
}

int main(int argc, char **argv)
{
	enum { COUNT = sizeof(headers) / sizeof(headers[0]) };
	static const char *const where[] = { "ACK", "SYN", "ACK, IPv6", "SYN, IPv6" };
	static struct header all[COUNT * 8];
	int i;

	for (i = 0; i < COUNT * 8; i++) {
		all[i] = headers[i % (COUNT * 4) / 4];
		all[i].syn = i & 1;
		all[i].v6_listener = i & 2;
		all[i].both = i >= COUNT * 4;
		if (all[i].both && !all[i].others)
			continue;
		test_add(header, &all[i], "%s%s, %s", all[i].both ? "both=1, " : "", all[i].name,
			 where[i % 4]);
	}
	test_add(counters, NULL, "counters of all");
	return toa_main("options", "", argc, argv);
}
