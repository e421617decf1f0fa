// SPDX-License-Identifier: GPL-2.0
/* trusted=: whose options are believed. */
#include "client.h"
#include "mod.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRUSTED PARAMETERS "trusted"

enum { PAGE = 4096 };

static char text[1 << 20];

/* 0 or an errno. */
static int trust(const char *list)
{
	int fd = open(TRUSTED, O_WRONLY | O_TRUNC | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	/* As a shell's echo does. */
	if (write(fd, *list ? list : "\n", *list ? strlen(list) : 1) < 0)
		err = errno;
	close(fd);
	return err;
}

#define must_trust(list) check_str(error_name(trust(list)), error_name(0))

static void trust_all(void)
{
	must_trust("");
}

static const char *listed(void)
{
	static char now[2 * PAGE];

	if (!read_file(TRUSTED, now, sizeof(now)))
		return "unreadable";
	return now;
}

/* Before 4.14 the kernel puts a newline behind what is not empty only. */
static bool lists_nobody(void)
{
	return !strcmp(listed(), "\n") || !*listed();
}

static void from(struct conn *c, const char *sender)
{
	require(inet_pton(c->v6 ? AF_INET6 : AF_INET, sender, c->saddr) == 1);
}

static const char *const kind_sender[KINDS] = {
	[INET] = "10.9.7.7",
	[MAPPED] = "10.9.7.8",
	[INET6] = "fd09::7:7",
	[DUAL6] = "fd09::7:8",
};

/*
 * Where the option stands
 */

struct where {
	const char *name;
	bool syn, ack;
};

static const struct where wheres[] = {
	{ "in the SYN", true, false },
	{ "in the ACK", false, true },
	{ "in both", true, true },
};

struct cell {
	enum kind kind;
	const struct where *where;
};

static void connect_from(const struct server *s, struct conn *c, const char *sender,
			 const struct where *w)
{
	server_conn(s, c);
	from(c, sender);
	require(conn_open(c, w->syn ? both() : NULL, w->ack ? both() : NULL));
}

static void believed(const void *arg)
{
	const struct cell *t = arg;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	must_trust("10.9.7.7,10.9.7.8,fd09::7:0/112");
	server_open(&s, t->kind, 5);
	require(stats_get(&before));
	connect_from(&s, &c, kind_sender[t->kind], t->where);
	check_moved(&before, "syn_recv_sock_toa", 1, "ip6_address_alloc", 1);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	trust_all();
}

/* Two addresses in each segment; the connection itself is as good as any. */
static void ignored(const void *arg)
{
	const struct cell *t = arg;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	must_trust("10.9.7.6,10.9.7.9,10.9.6.7,fd09::7:6,fd09::7:9,fd09::6:7,fd09::1:7:7");
	server_open(&s, t->kind, 5);
	require(stats_get(&before));
	connect_from(&s, &c, kind_sender[t->kind], t->where);
	check_moved(&before, "syn_recv_sock_no_toa", 1, "toa_untrusted",
		    2 * t->where->syn + 2 * t->where->ack);
	fd = server_accepted(&s);
	check_has(&s, &c, fd, NULL, NULL);
	check(data_flows(&c, fd));
	check(table_empties());
	trust_all();
}

/* What carries no address is counted nowhere. */
static void no_option(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;

	(void)arg;
	must_trust("192.0.2.1");
	server_open(&s, INET, 5);
	require(stats_get(&before));
	server_conn(&s, &c);
	require(conn_open(&c, NULL, NULL));
	check_moved(&before, "syn_recv_sock_no_toa", 1);
	trust_all();
}

/* Whoever sends it. */
static void nobody_may_claim(const void *arg)
{
	struct stats before;
	struct server s;
	struct conn c;

	must_trust(arg);
	server_open(&s, INET, 5);
	require(stats_get(&before));
	server_conn(&s, &c);
	require(conn_open(&c, NULL, v4_opt("127.0.0.1", 1)));
	check_moved(&before, "syn_recv_sock_no_toa", 1, "toa_invalid", 1);
	trust_all();
}

/* Is the option of this sender believed? */
static bool believes(const struct server *s, const char *sender)
{
	struct conn c;
	bool seen;
	int fd;

	server_conn(s, &c);
	from(&c, sender);
	require(conn_open(&c, NULL, both()));
	fd = server_accepted(s);
	seen = strcmp(peer_of(fd), server_sees(s, &c));
	reset(fd);
	conn_rst(&c);
	return seen;
}

/*
 * What a list covers
 */

struct cover {
	const char *list;
	const char *in[6];
	const char *out[6];
};

static const struct cover covers[] = {
	{ "10.9.4.0/22", { "10.9.4.0", "10.9.4.1", "10.9.7.254", "10.9.7.255" },
	  { "10.9.3.255", "10.9.8.0", "10.9.8.1" } },
	{ "10.9.4.4/32", { "10.9.4.4" }, { "10.9.4.3", "10.9.4.5", "10.9.5.4" } },
	{ "10.9.4.4/31", { "10.9.4.4", "10.9.4.5" }, { "10.9.4.3", "10.9.4.6" } },
	{ "10.0.0.0/8", { "10.9.4.4" }, { "fd09::a09:404" } },
	{ "128.0.0.0/1", { NULL }, { "10.9.4.4" } },
	{ "0.0.0.0/1", { "10.9.4.4" }, { NULL } },
	{ "0.0.0.0/0", { "10.9.4.4", "10.9.200.200" }, { "fd09::4", "fd09::a09:404" } },
	{ "::/0", { "fd09::4", "fd09::ffff:ffff:ffff:ffff" }, { "10.9.4.4" } },
	{ "::/0,0.0.0.0/0", { "fd09::4", "10.9.4.4" }, { NULL } },
	{ "fd09::4:0/110", { "fd09::4:0", "fd09::7:ffff" }, { "fd09::3:ffff", "fd09::8:0" } },
	{ "fd09::4:4", { "fd09::4:4" }, { "fd09::4:3", "fd09::4:5", "fd09::1:0:4:4" } },
	{ "fd09::/63", { "fd09::4" }, { "10.9.4.4" } },
	{ "fd09::/64", { "fd09::4", "fd09::ffff:ffff:ffff:ffff" }, { NULL } },
	{ "fd09::/65", { "fd09::4", "fd09::7fff:ffff:ffff:ffff" },
	  { "fd09::8000:0:0:0", "fd09::ffff:ffff:ffff:ffff" } },
	{ "fd09:0:0:1::/64", { NULL }, { "fd09::4", "fd09::1:0:0:4" } },
	{ "10.0.0.0/8,10.9.4.0/24,10.9.4.4", { "10.9.4.4", "10.9.5.5", "10.9.200.1" }, { NULL } },
	{ "10.9.4.0/24,10.9.5.0/24,10.9.7.0/24", { "10.9.4.0", "10.9.5.255", "10.9.7.7" },
	  { "10.9.6.0", "10.9.6.255", "10.9.3.255", "10.9.8.0" } },
	{ "10.9.7.0/24,fd09::7,10.9.4.4,fd09::4,10.9.5.5,10.9.4.4",
	  { "10.9.7.9", "10.9.4.4", "10.9.5.5", "fd09::7", "fd09::4" },
	  { "10.9.4.5", "fd09::5" } },
	{ " 10.9.4.4 ,, 10.9.5.5\t10.9.6.6\n", { "10.9.4.4", "10.9.5.5", "10.9.6.6" },
	  { "10.9.7.7" } },
	{ "FD09::ABCD,fd09:0:0:0::0004", { "fd09::abcd", "fd09::4" }, { "fd09::abce" } },
};

static void covered(const void *arg)
{
	const struct cover *t = arg;
	struct server v4, v6;
	int i;

	must_trust(t->list);
	server_open(&v4, INET, 5);
	server_open(&v6, INET6, 5);
	for (i = 0; i < 6; i++) {
		if (t->in[i] && !believes(strchr(t->in[i], ':') ? &v6 : &v4, t->in[i]))
			test_fail(__FILE__, __LINE__, "%s is not believed", t->in[i]);
		if (t->out[i] && believes(strchr(t->out[i], ':') ? &v6 : &v4, t->out[i]))
			test_fail(__FILE__, __LINE__, "%s is believed", t->out[i]);
	}
	trust_all();
}

/* Lists made at random, from a seed that is always the same, against a plain comparison. */
struct random {
	enum kind kind;
	unsigned int lists, items, senders;
};

static const struct random randoms[] = {
	{ INET, 12, 40, 12 },
	{ INET6, 12, 40, 12 },
};

static void at_random(const void *arg)
{
	const struct random *t = arg;
	unsigned int seed = 1, i, k, wrong = 0, in = 0;
	struct server s;

	server_open(&s, t->kind, 5);
	for (i = 0; i < t->lists; i++) {
		unsigned int first[64], bits[64];
		size_t len = 0;

		for (k = 0; k < t->items; k++) {
			bits[k] = 4 + rand_r(&seed) % 13;
			first[k] = rand_r(&seed) % 65536 & ~0U << (16 - bits[k]);
			len += sprintf(text + len, t->kind == INET ? "10.9.%u.%u/%u," :
				       "fd09::%x%02x/%u,", first[k] >> 8, first[k] & 255,
				       bits[k] + (t->kind == INET ? 16 : 112));
		}
		must_trust(text);
		for (k = 0; k < t->senders; k++) {
			/* Near an edge of one of them. */
			unsigned int near = rand_r(&seed) % t->items, n;
			unsigned int host = first[near] - 2 + rand_r(&seed) % 4;
			bool want = false;
			char sender[64];

			if (host >= 65534 || host < 3)
				continue;
			for (n = 0; n < t->items; n++)
				want |= (host & ~0U << (16 - bits[n])) == first[n];
			snprintf(sender, sizeof(sender), t->kind == INET ? "10.9.%u.%u" :
				 "fd09::%x%02x", host >> 8, host & 255);
			wrong += believes(&s, sender) != want;
			in += want;
		}
	}
	test_note("%u lists of %u entries", t->lists, t->items);
	check_num(wrong, 0);
	check(in > 0 && in < t->lists * t->senders);
	trust_all();
}

/*
 * Lists that are refused
 */

static const char *const bad[] = {
	"x", "10.9.0", "10.9.0.256", "10.9.0.2/33", "10.9.0.2/", "10.9.0.2/-1", "10.9.0.2/+8",
	"10.9.0.2/8x", "10.9.0.2/24", "10.9.0.2:80", "10.9.0.2/255.255.255.255", "/8", "fd09::/129",
	"fd09::1/64", "fd09::/", "fd09:::1", "fd09::g", "fd09::1%lo", "[fd09::1]", "localhost",
	"::ffff:10.9.0.2", "::ffff:0:0/96", "10.9.0.2;10.9.0.3", "...", "!10.9.0.2",
	"10.9.0.2/4294967304",
	"1234567890123456789012345678901234567890123456789012345678901234567890",
};

static char lines[65536];

static void refused(const void *arg)
{
	const char *item = arg;
	char quoted[128];
	struct server s;
	struct klog k;

	must_trust("10.9.7.7,fd09::7:7");
	klog_start(&k);
	snprintf(text, sizeof(text), "10.9.8.8,%s,10.9.9.9", item);
	check_str(error_name(trust(text)), "EINVAL");
	check_num(klog_lines(&k, "TOA: ", lines, sizeof(lines)), 1);
	snprintf(quoted, sizeof(quoted), "'%.30s", item);
	check(strstr(lines, quoted));
	check_str(listed(), "10.9.7.7,fd09::7:7\n");
	server_open(&s, INET, 5);
	check(believes(&s, "10.9.7.7"));
	check(!believes(&s, "10.9.8.8"));
	check(!believes(&s, "10.9.9.9"));
	trust_all();
}

/* Loading must not fall back to believing everybody. */
static void refused_at_load(const void *arg)
{
	struct klog k;

	(void)arg;
	require(toa_unload() == 0);
	klog_start(&k);
	check_str(error_name(-toa_load("trusted=10.9.7.7,10.9.0.0/33")), "EINVAL");
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check(strstr(lines, "'10.9.0.0/33'"));
	check(!toa_loaded());
	require(toa_load("") == 0);
}

/*
 * The parameter
 */

static void load_line(const void *arg)
{
	struct server s;
	struct klog k;

	(void)arg;
	require(toa_unload() == 0);
	klog_start(&k);
	require(toa_load("") == 0);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check(strstr(lines, "every sender is believed"));
	check(lists_nobody());
	require(toa_unload() == 0);
	klog_start(&k);
	require(toa_load("trusted=10.9.7.0/24,fd09::7:7") == 0);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check(!strstr(lines, "every sender"));
	check(strstr(lines, "1 ranges of IPv4 addresses and 1 of IPv6"));
	check_str(listed(), "10.9.7.0/24,fd09::7:7\n");
	server_open(&s, INET, 5);
	check(believes(&s, "10.9.7.7"));
	check(!believes(&s, "10.9.8.7"));
	/* Emptied, and the log says what that means. */
	klog_start(&k);
	must_trust("");
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check(strstr(lines, "every sender is believed"));
	check(lists_nobody());
	check(believes(&s, "10.9.8.7"));
}

static void read_back(const void *arg)
{
	char again[PAGE];

	(void)arg;
	must_trust(" 10.9.4.0/24\t, fd09::/64\n10.9.4.0/24 ");
	check_str(listed(), "10.9.4.0/24,fd09::/64,10.9.4.0/24\n");
	strcpy(again, listed());
	must_trust(again);
	check_str(listed(), again);
	must_trust(",, \n");
	check(lists_nobody());
	trust_all();
}

/* Items 10.9.x.y/32, all odd, from 1 on. */
static size_t odd_hosts(char *to, unsigned int count)
{
	size_t len = 0;
	unsigned int i;

	for (i = 0; i < count; i++)
		len += sprintf(to + len, "%s10.9.%u.%u", i ? "," : "", (2 * i + 1) >> 8,
			       (2 * i + 1) & 255);
	return len;
}

/* sysfs would hand it over in pieces, the last of which would stand. */
static void too_long(const void *arg)
{
	struct klog k;

	(void)arg;
	must_trust("10.9.7.7");
	odd_hosts(text, 1000);
	klog_start(&k);
	check_str(error_name(trust(text)), "errno 7");
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	check(strstr(lines, "too long"));
	check_str(listed(), "10.9.7.7\n");
	/* Exactly a page, and what just fits. */
	odd_hosts(text, 1000);
	memset(text + PAGE - 20, ' ', 20);
	text[PAGE] = 0;
	check_str(error_name(trust(text)), "errno 7");
	check_str(listed(), "10.9.7.7\n");
	text[PAGE - 2] = 0;
	must_trust(text);
	check(strlen(listed()) > PAGE - 64);
	trust_all();
}

/* What would be a piece of a longer list at run time is a list at load. */
static void page_at_load(const void *arg)
{
	static const char param[] = "trusted=\"";
	size_t len, last;

	(void)arg;
	for (len = PAGE - 1; len <= PAGE; len++) {
		char *list = text + strlen(param);

		require(toa_unload() == 0);
		strcpy(text, param);
		odd_hosts(list, 1000);
		for (last = len; list[last] != ',';)
			last--;
		memset(list + last, ' ', len - last);
		strcpy(list + len, "\"");
		check_str(error_name(-toa_load(text)), error_name(0));
		check(strlen(listed()) > PAGE - 64);
	}
	trust_all();
}

static void thousands(const void *arg)
{
	const unsigned int count = *(const unsigned int *)arg;
	static const char param[] = "trusted=";
	struct server s;
	unsigned int i;

	require(toa_unload() == 0);
	strcpy(text, param);
	odd_hosts(text + strlen(param), count);
	check_str(error_name(-toa_load(text)), error_name(0));
	server_open(&s, INET, 5);
	for (i = 1; i < 40; i++) {
		unsigned int host = i * count / 20;
		char sender[32];

		snprintf(sender, sizeof(sender), "10.9.%u.%u", host >> 8, host & 255);
		if (host % 256 && host % 256 != 255 && host != 1 && host != 2 &&
		    believes(&s, sender) != (host & 1))
			test_fail(__FILE__, __LINE__, "%s", sender);
	}
	test_note("a list of %u entries", count);
	check(!believes(&s, "10.9.254.1"));
	/* What does not fit is not shown as if it were all. */
	check(strlen(listed()) > PAGE - 64 && strlen(listed()) < PAGE);
	check(strstr(listed(), ",...\n"));
	check(!strncmp(listed(), text + strlen(param), PAGE - 64));
	snprintf(text, sizeof(text), "%s", listed());
	check_str(error_name(trust(text)), "EINVAL");
	check(!believes(&s, "10.9.254.1"));
	require(toa_unload() == 0);
	require(toa_load("") == 0);
}

/*
 * While handshakes are under way
 */

static void between(const void *arg)
{
	struct server s;
	struct conn c, d, e;
	int fd, other;

	(void)arg;
	must_trust("10.9.7.7");
	server_open(&s, INET, 5);
	server_conn(&s, &c);
	from(&c, "10.9.7.7");
	conn_syn(&c, both());
	require(conn_synack(&c, NULL));
	server_conn(&s, &d);
	from(&d, "10.9.8.8");
	conn_syn(&d, both());
	require(conn_synack(&d, NULL));
	must_trust("10.9.8.8");
	/* What was believed when it came stays so, what was not is not found later. */
	conn_ack(&c, both());
	fd = server_accepted(&s);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	conn_ack(&d, NULL);
	other = server_accepted(&s);
	check_has(&s, &d, other, NULL, NULL);
	server_conn(&s, &e);
	from(&e, "10.9.8.8");
	require(conn_open(&e, NULL, both()));
	other = server_accepted(&s);
	check_has(&s, &e, other, V4_TEXT, V6_TEXT);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	trust_all();
}

static int stopping;

struct replacer {
	pthread_t thread;
	const char *list[2];
	int replaced, failed;
};

static void *replacing(void *arg)
{
	struct replacer *r = arg;

	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		r->failed += trust(r->list[r->replaced & 1]) != 0;
		__atomic_add_fetch(&r->replaced, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Connections while one list replaces another, until both have had their turn often enough. */
static int traffic(struct replacer *r, enum kind kind, int *connections)
{
	struct server s;
	int shown = 0;

	stopping = 0;
	must_trust(r->list[1]);
	server_open(&s, kind, 5);
	require(pthread_create(&r->thread, NULL, replacing, r) == 0);
	for (*connections = 0; *connections < 300 ||
	     __atomic_load_n(&r->replaced, __ATOMIC_RELAXED) < 50; ++*connections) {
		if (*connections > 100000)
			break;
		shown += believes(&s, kind_sender[kind]);
	}
	__atomic_store_n(&stopping, 1, __ATOMIC_RELAXED);
	pthread_join(r->thread, NULL);
	check_num(r->failed, 0);
	test_note("%d lists replaced, %d connections meanwhile", r->replaced, *connections);
	check(r->replaced >= 50);
	return shown;
}

/* Both lists have the sender: there must be no moment at which none does. */
static void replaced(const void *arg)
{
	struct replacer r = { .list = { "10.0.0.0/8,fd00::/8", "1.0.0.0/8,9.9.9.9,10.9.7.0/24,"
					"192.0.2.0/24,fd09::/64,2001:db8::/32" } };
	int connections, shown = traffic(&r, *(const enum kind *)arg, &connections);

	check_num(shown, connections);
	trust_all();
}

/* Neither has it: there must be no moment at which everybody is believed. */
static void replaced_by_others(const void *arg)
{
	struct replacer r = { .list = { "192.0.2.0/24,2001:db8::/32", "198.51.100.7,fd10::/16" } };
	int connections;

	check_num(traffic(&r, *(const enum kind *)arg, &connections), 0);
	trust_all();
}

/* One has it, the other has not: each connection counts as either. */
static void given_and_taken(const void *arg)
{
	struct replacer r = { .list = { "10.0.0.0/8,fd00::/8", "192.0.2.0/24,2001:db8::/32" } };
	struct stats before, after;
	int connections, shown;

	require(stats_get(&before));
	shown = traffic(&r, *(const enum kind *)arg, &connections);
	require(stats_get(&after));
	check_num(stats_of(&after, "syn_recv_sock_toa") - stats_of(&before, "syn_recv_sock_toa"),
		  shown);
	check_num(stats_of(&after, "toa_untrusted") - stats_of(&before, "toa_untrusted"),
		  2 * (connections - shown));
	trust_all();
}

int main(int argc, char **argv)
{
	static const unsigned int many[] = { 1000, 16000 };
	static struct cell cells[KINDS][3];
	unsigned int i, k;

	test_add(load_line, NULL, "line of a load, empty and not");
	for (i = 0; i < KINDS; i++)
		for (k = 0; k < 3; k++) {
			cells[i][k].kind = i;
			cells[i][k].where = &wheres[k];
			test_add(believed, &cells[i][k], "trusted sender, %s, %s", wheres[k].name,
				 kind_name[i]);
			test_add(ignored, &cells[i][k], "other sender, %s, %s", wheres[k].name,
				 kind_name[i]);
		}
	test_add(no_option, NULL, "other sender, no option");
	test_add(nobody_may_claim, "10.9.0.0/16", "trusted sender, address nobody may claim");
	test_add(nobody_may_claim, "192.0.2.1", "other sender, address nobody may claim");
	for (i = 0; i < sizeof(covers) / sizeof(covers[0]); i++)
		test_add(covered, &covers[i], "list %u covers", i);
	test_add(at_random, &randoms[0], "lists at random, IPv4");
	test_add(at_random, &randoms[1], "lists at random, IPv6");
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		test_add(refused, bad[i], "refused whole, %.40s", bad[i]);
	test_add(refused_at_load, NULL, "refused at load");
	test_add(read_back, NULL, "read back");
	test_add(too_long, NULL, "too long for sysfs");
	test_add(page_at_load, NULL, "a page at load");
	test_add(thousands, &many[0], "a thousand items at load");
	test_add(thousands, &many[1], "sixteen thousand items at load");
	test_add(between, NULL, "replaced between SYN and ACK");
	test_add_kinds(replaced, "replaced under traffic");
	test_add_kinds(replaced_by_others, "replaced, never empty");
	test_add_kinds(given_and_taken, "given and taken under traffic");
	return toa_main("trust", "both=1", argc, argv);
}
