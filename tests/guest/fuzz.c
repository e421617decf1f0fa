// SPDX-License-Identifier: GPL-2.0
/*
 * Random segments, arguments and parameters, from seeds that are always the same. Whether the
 * kernel complains is seen by who runs the guest.
 *
 * A number as the first argument says how many handshakes for each kind of socket, over all
 * listeners; of the others there are fewer.
 */
#include "mod.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/toa/parameters/"
#define SYSCTL "/proc/sys/net/ipv4/"
#define V4 "198.51.100.7"
#define V6 "2001:db8::77"
#define V4_TEXT "198.51.100.7:4321"
#define V6_TEXT "[2001:db8::77]:8765"

static int rounds = 2000;
static unsigned int seed;

static unsigned int some(unsigned int below)
{
	return rand_r(&seed) % below;
}

static const struct opts *both(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, V4, 4321), V6, 8765);
}

static void works(enum kind kind)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind, 5);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	reset(fd);
	fd = server_connect(&s, &c, NULL, both());
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	reset(fd);
	reset(s.fd);
}

/*
 * Segments
 */

static const uint8_t kinds[] = { 0, 1, 2, 4, 8, 30, 34, 200, 200, 253, 253, 254 };

/* Whole options: kernels from 7.x on drop segments that have others. */
static void whole_opts(struct opts *o, size_t want)
{
	while (o->len < want) {
		uint8_t kind = kinds[some(sizeof(kinds))];
		size_t len = kind < 2 ? 1 : kind == 200 ? 8 : kind == 253 ? 20 : 2 + some(19), i;

		if (kind >= 2 && some(8) == 0)
			len = 2 + some(19);
		if (o->len + len > want)
			break;
		for (i = 0; i < len; i++)
			o->byte[o->len + i] = i == 0 ? kind : i == 1 ? len : some(256);
		o->len += len;
	}
}

/* Pieces that the parser knows, whole or cut, or bytes without sense. */
static void pieces(struct opts *o, size_t want)
{
	static const uint8_t lengths[] = { 0, 1, 2, 3, 4, 8, 10, 19, 20, 20, 8, 40, 255 };

	while (o->len < want) {
		if (some(4) == 0) {
			o->byte[o->len++] = some(256);
		} else {
			o->byte[o->len++] = kinds[some(sizeof(kinds))];
			if (o->len < want && some(2))
				o->byte[o->len++] = lengths[some(sizeof(lengths))];
			while (o->len < want && some(4))
				o->byte[o->len++] = some(256);
		}
	}
}

static struct opts *random_opts(void)
{
	static struct opts o;

	o.len = 0;
	if (some(2))
		whole_opts(&o, some(41));
	else
		pieces(&o, some(41));
	return &o;
}

/* The header's own length, reserved bits, window, urgent pointer, or any byte. */
static void mutate(uint8_t *tcp, size_t len)
{
	switch (some(8)) {
	case 0:
		tcp[12] = some(16) << 4;
		break;
	case 1:
		tcp[4 + some(16)] ^= 1 << some(8);
		break;
	case 2:
		tcp[some(len) & ~3] = some(256);
		break;
	default:
		break;
	}
}

/* What makes the server of a listener do something else with the same segments. */
enum ways { PLAIN, DEFERRED, FASTOPEN, COOKIES, MPTCP, WAYS };

static const char *const way_name[WAYS] = {
	"", "TCP_DEFER_ACCEPT, ", "Fast Open, ", "syncookies, ", "MPTCP, ",
};

struct cell {
	enum kind kind;
	enum ways way;
};

static void modes(const char *cookies, const char *fastopen)
{
	write_file(SYSCTL "tcp_syncookies", cookies);
	write_file(SYSCTL "tcp_fastopen", fastopen);
}

static void listener(struct server *s, const struct cell *t)
{
	int queue = 4096, wait = 30, err = 0;

	if (t->way == MPTCP) {
		if (t->kind != INET)
			need_ipv6();
		s->kind = t->kind;
		s->fd = socket(t->kind == INET ? AF_INET : AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
		if (s->fd < 0)
			test_skip("this kernel has no MPTCP (%s)", error_name(errno));
	} else {
		server_socket(s, t->kind);
	}
	server_listen(s, 64, 0);
	if (t->way == DEFERRED)
		err = setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait, sizeof(wait));
	if (t->way == FASTOPEN)
		err = setsockopt(s->fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (err)
		test_skip("this kernel has no such listener (%s)", error_name(errno));
	/* Without cookies of Fast Open. */
	modes(t->way == COOKIES ? "2" : "1", t->way == FASTOPEN ? "0x203" : "1");
}

/* The option of MPTCP's SYN; or of its ACK, if a SYN-ACK with a key is given; before others. */
static void mp_capable(struct opts *o, const struct seg *synack)
{
	uint8_t option[20] = { 30, 4, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8 };
	size_t i, len = 4;

	for (i = 0; synack && i + 12 <= synack->opts.len; i++)
		if (synack->opts.byte[i] == 30 && synack->opts.byte[i + 1] == 12) {
			memcpy(option + 12, synack->opts.byte + i + 4, 8);
			len = 20;
			option[1] = len;
			break;
		}
	if (synack && len == 4)
		return;
	memmove(o->byte + len, o->byte, o->len);
	memcpy(o->byte, option, len);
	o->len = o->len + len > 40 ? 40 : o->len + len;
}

static bool is_mptcp(int fd)
{
	socklen_t len = sizeof(char[256]);
	char info[256];

	return getsockopt(fd, SOL_MPTCP, MPTCP_INFO, info, &len) == 0;
}

struct made {
	int all;	/* sockets accepted */
	int by_syn;	/* of these, before the server had more than a SYN */
	int mptcp;
};

static void take_all(const struct server *s, struct made *made)
{
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct toa_peer_info info;
		socklen_t len = sizeof(info);

		peer_of(fd);
		nat64_of(fd);
		getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len);
		made->mptcp += is_mptcp(fd);
		made->all++;
		reset(fd);
	}
}

static void one_handshake(const struct server *s, const struct cell *t, struct made *made)
{
	bool speaks = t->way == MPTCP && some(2), answered;
	struct opts *o = random_opts();
	struct conn c;
	struct seg seg;
	int k;

	server_conn(s, &c);
	conn_mutate = some(2) ? mutate : NULL;
	if (speaks)
		mp_capable(o, NULL);
	if (t->way == FASTOPEN && some(2))
		conn_send(&c, F_SYN, c.isn, 0, o, "first", 5);
	else
		conn_send(&c, F_SYN, c.isn, 0, o, NULL, 0);
	made->by_syn -= made->all;
	take_all(s, made);
	made->by_syn += made->all;
	c.snd_nxt = c.isn + 1;
	answered = conn_recv(&c, F_SYN | F_ACK, F_SYN | F_ACK, &seg);
	if (answered) {
		c.rcv_nxt = seg.seq + 1;
		c.snd_nxt = seg.ack;
	}
	for (k = some(3); k >= 0; k--) {
		o = random_opts();
		if (speaks && answered)
			mp_capable(o, &seg);
		if (some(8) == 0)
			conn_send(&c, some(64), c.snd_nxt + some(3) - 1, c.rcv_nxt, o, "fuzz",
				  some(5));
		else if (some(2))
			conn_ack(&c, o);
		else
			conn_data(&c, o, "fuzz");
	}
	conn_mutate = NULL;
	take_all(s, made);
	conn_rst(&c);
	dev_drain(&dev0);
}

static void segments(const void *arg)
{
	const struct cell *t = arg;
	const int count = rounds / WAYS;
	struct made made = { 0 };
	struct server s;
	int i;

	seed = 1 + t->kind + 100 * t->way;
	listener(&s, t);
	fcntl(s.fd, F_SETFL, O_NONBLOCK);
	wait_ms = 0;
	for (i = 0; i < count; i++)
		one_handshake(&s, t, &made);
	wait_ms = WAIT_MS;
	reset(s.fd);
	modes("1", "1");
	/* Many of them were good enough, and of the listener's own sort. */
	check(made.all > count / 25);
	check(t->way != FASTOPEN || made.by_syn > count / 50);
	/* Kernels before 6.1 do not tell. */
	check(t->way != MPTCP || made.mptcp > count / 100 || !kernel_has("mptcp_sk_clone_init"));
	test_note("%d handshakes, of which %d came to an end, %d by the SYN, %d of MPTCP", count,
		  made.all, made.by_syn, made.mptcp);
	check(table_empties());
	check(stats_balanced());
	works(t->kind);
}

/*
 * getsockopt
 */

enum { PAGE = 4096, POISON = 0xa5 };

struct question {
	enum kind kind;
	int number;
	bool carried;
};

/* The answer, byte by byte; how long it is, and how much of it the caller must have room for. */
struct answer {
	uint8_t byte[sizeof(struct toa_peer_info)];
	int whole;
	int least;
	int err;	/* of a call that is right */
};

static void set_v6(union toa_peer_addr *out, const char *addr, uint16_t port)
{
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_port = htons(port);
	inet_pton(AF_INET6, addr, &out->v6.sin6_addr);
}

static void set_v4(union toa_peer_addr *out, const char *addr, uint16_t port)
{
	out->v4.sin_family = AF_INET;
	out->v4.sin_port = htons(port);
	inet_pton(AF_INET, addr, &out->v4.sin_addr);
}

static void answer_lookup(const struct question *t, struct answer *a)
{
	struct toa_nat64_peer peer = { .sport = htons(8765) };

	inet_pton(AF_INET6, V6, &peer.saddr);
	memcpy(a->byte, &peer, sizeof(peer));
	a->whole = sizeof(peer);
	a->least = 18;
	a->err = t->carried ? 0 : ENOENT;
}

static void answer_peer(const struct question *t, const struct conn *c, struct answer *a)
{
	struct toa_peer_info info;

	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	if (t->kind == INET)
		set_v4(&info.balancer, BALANCER_V4, c->sport);
	else
		set_v6(&info.balancer, kind_v6(t->kind) ? BALANCER_V6 : "::ffff:" BALANCER_V4,
		       c->sport);
	if (!t->carried) {
		info.client = info.balancer;
	} else if (t->kind == INET) {
		set_v4(&info.client, V4, 4321);
		info.kind = 200;
	} else {
		set_v6(&info.client, V6, 8765);
		info.kind = 253;
	}
	info.segment = t->carried ? TOA_SEGMENT_ACK : TOA_SEGMENT_NONE;
	memcpy(a->byte, &info, sizeof(info));
	a->whole = sizeof(info);
	a->least = TOA_PEER_INFO_MIN;
	a->err = 0;
}

/*
 * Three pages, of which the middle one may be written to, and the last one perhaps be read; the
 * others might as well not be there.
 */
static uint8_t *pages(bool readable)
{
	uint8_t *page = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			     -1, 0);

	require(page != MAP_FAILED);
	memset(page, POISON, 3 * PAGE);
	mprotect(page, PAGE, PROT_NONE);
	mprotect(page + 2 * PAGE, PAGE, readable ? PROT_READ : PROT_NONE);
	return page + PAGE;
}

static bool poisoned(const uint8_t *from, const uint8_t *to)
{
	for (; from < to; from++)
		if (*from != POISON)
			return false;
	return true;
}

static socklen_t random_len(int least)
{
	switch (some(4)) {
	case 0:
		return some(96);
	case 1:
		return least - 2 + some(8);
	case 2:
		return -some(64);
	default:
		return (unsigned int)some(65536) << 16 | some(65536);
	}
}

/*
 * One random call, and whether it was answered as it must be. Counts in @ok how often the module
 * had an answer that it could hand over.
 */
static bool one_call(int fd, int number, const struct answer *a, uint8_t *const page[2], int *ok)
{
	uint8_t *where = page[some(2)], *at;
	socklen_t len = random_len(a->least), *len_at = &len;
	int size, room, part, n, err, given = len;

	switch (some(8)) {
	case 0:		/* NULL */
		at = NULL;
		room = 0;
		break;
	case 1:		/* begins before the page, and cannot be written to */
		at = where - 1 - some(80);
		room = 0;
		break;
	case 2:		/* begins behind it */
		at = where + PAGE + some(80);
		room = 0;
		break;
	default:
		room = some(4) ? some(96) : PAGE;
		at = where + PAGE - room;
	}
	if (some(16) == 0) {
		/* May only be read: what the answer's length is cannot be told. */
		len_at = (socklen_t *)(page[1] + PAGE);
		mprotect(len_at, PAGE, PROT_READ | PROT_WRITE);
		*len_at = len;
		mprotect(len_at, PAGE, PROT_READ);
	} else if (some(16) == 0) {
		len_at = NULL;
	}
	size = given < a->least ? 0 : given < a->whole ? given : a->whole;
	err = !len_at ? EFAULT : !size ? EINVAL : a->err ? a->err : size > room ? EFAULT : 0;
	/* Of what does not fit a part may be copied. */
	part = err == EFAULT && len_at ? room : 0;
	if (err)
		size = 0;
	else if (len_at != &len)
		err = EFAULT;
	*ok += size != 0;
	memset(where, POISON, PAGE);
	n = getsockopt(fd, IPPROTO_IP, number, at, len_at) ? errno : 0;
	if (n != err || (int)len != (n || len_at != &len ? given : size)) {
		test_note("%d bytes of room, length %d: %s and %d, not %s", room, given,
			  error_name(n), (int)len, error_name(err));
		return false;
	}
	if (!size && !part)
		return poisoned(where, where + PAGE);
	return poisoned(where, at) && !memcmp(at, a->byte, size) &&
	       poisoned(at + size + part, where + PAGE);
}

static void getsockopts(const void *arg)
{
	const struct question *t = arg;
	uint8_t *page[2] = { pages(false), pages(true) };
	int fd, i, wrong = 0, ok = 0;
	struct answer a = { .whole = 0 };
	struct stats before;
	struct server s;
	struct conn c;

	seed = 11 + t->kind + 100 * t->carried;
	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, t->carried ? both() : NULL);
	if (t->number == TOA_SO_GET_PEER)
		answer_peer(t, &c, &a);
	else
		answer_lookup(t, &a);
	require(stats_get(&before));
	for (i = 0; i < rounds / 2; i++)
		wrong += !one_call(fd, t->number, &a, page, &ok);
	check_num(wrong, 0);
	check(a.err || ok > rounds / 40);
	if (!a.err)
		check_moved(&before, t->carried ? "getname_toa_ok" : "getname_toa_empty", ok);
	/* The length itself at the edges. */
	for (i = -8; i < 8; i++) {
		socklen_t *len = (socklen_t *)(page[0] + PAGE + i);
		bool there = i <= -4;
		char buf[64];

		if (there)
			memcpy(len, &(socklen_t){ sizeof(buf) }, sizeof(*len));
		check_num(getsockopt(fd, IPPROTO_IP, t->number, buf, len) ? errno : 0,
			  there ? a.err : EFAULT);
	}
	munmap(page[0] - PAGE, 3 * PAGE);
	munmap(page[1] - PAGE, 3 * PAGE);
	works(t->kind);
}

/* Sockets that are no TCP sockets: too short is said first, and nothing is written. */
struct wrong_socket {
	const char *name;
	int family, type, protocol;
	int always;	/* what the kernel itself says, at any length; 0: it asks the module */
};

static void wrong_sockets(const void *arg)
{
	const struct wrong_socket *t = arg;
	static const int numbers[] = { TOA_SO_GET_LOOKUP, TOA_SO_GET_PEER };
	uint8_t *page[2] = { pages(false), pages(true) };
	struct answer a = { .err = EOPNOTSUPP };
	struct stats before;
	int fd, i, n, ok = 0, wrong = 0;

	seed = 31;
	if (t->family == AF_INET6)
		need_ipv6();
	fd = socket(t->family, t->type, t->protocol);
	if (fd < 0)
		test_skip("this kernel has no such sockets (%s)", error_name(errno));
	require(stats_get(&before));
	for (i = 0; i < rounds / 4; i++) {
		n = some(2);
		a.least = n ? TOA_PEER_INFO_MIN : 18;
		a.whole = n ? (int)sizeof(struct toa_peer_info) : 20;
		if (t->always) {
			socklen_t len = random_len(a.least);

			memset(page[0], POISON, PAGE);
			wrong += getsockopt(fd, IPPROTO_IP, numbers[n], page[0] + some(PAGE),
					    &len) == 0 || errno != t->always ||
				 !poisoned(page[0], page[0] + PAGE);
		} else {
			wrong += !one_call(fd, numbers[n], &a, page, &ok);
		}
	}
	check_num(wrong, 0);
	check_moved(&before);
	munmap(page[0] - PAGE, 3 * PAGE);
	munmap(page[1] - PAGE, 3 * PAGE);
}

/*
 * Parameters
 */

/*
 * What a text means to a parameter: whether it must be taken, and what it reads as then. @canon has
 * room for 1024 bytes.
 */
enum verdict { REFUSED, TAKEN, MAYBE };

/* The text up to a newline that ends it. */
static size_t body(const char *text)
{
	size_t len = strlen(text);

	return len && text[len - 1] == '\n' ? len - 1 : len;
}

static enum verdict judge_kinds(const char *text, char *canon)
{
	static const uint8_t kernels[] = { 0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34, 172, 174 };
	bool listed[256] = { false };
	size_t i = 0, end = body(text), at = 0;
	unsigned int kind;

	canon[0] = 0;
	if (!end)
		return TAKEN;
	for (;; i++) {
		if (!isdigit((unsigned char)text[i]))
			return REFUSED;
		for (kind = 0; isdigit((unsigned char)text[i]); i++)
			kind = kind > 255 ? kind : kind * 10 + text[i] - '0';
		if (kind > 255 || memchr(kernels, kind, sizeof(kernels)))
			return REFUSED;
		listed[kind] = true;
		if (i == end)
			break;
		if (text[i] != ',')
			return REFUSED;
	}
	for (kind = 0; kind < 256; kind++)
		if (listed[kind])
			at += sprintf(canon + at, at ? ",%u" : "%u", kind);
	return TAKEN;
}

/* As the kernel reads one: by how it begins. Which words there are besides depends on its age. */
static enum verdict judge_bool(const char *text, char *canon)
{
	static const char *const yes[] = { "1", "y", "on", "t", "e" };
	static const char *const no[] = { "0", "n", "of", "f", "d" };
	int i;

	canon[1] = 0;
	for (i = 0; i < 5; i++) {
		canon[0] = 'Y';
		if (!strncasecmp(text, yes[i], strlen(yes[i])))
			return i < 2 ? TAKEN : MAYBE;
		canon[0] = 'N';
		if (!strncasecmp(text, no[i], strlen(no[i])))
			return i < 2 ? TAKEN : MAYBE;
	}
	return REFUSED;
}

/* A number as in C, with nothing around it. */
static enum verdict judge_number(const char *text, unsigned long max, char *canon)
{
	unsigned long value = 0, base = 10;
	size_t i = text[0] == '+', end = body(text);

	if (text[i] == '0' && i + 1 < end) {
		base = 8;
		if ((text[i + 1] | 0x20) == 'x' && isxdigit((unsigned char)text[i + 2])) {
			base = 16;
			i += 2;
		}
	}
	if (i >= end)
		return REFUSED;
	for (; i < end; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = text[i] ? strchr(digits, tolower(text[i])) : NULL;

		if (!digit || (unsigned long)(digit - digits) >= base)
			return REFUSED;
		value = value > max ? value : value * base + (digit - digits);
	}
	if (value > max)
		return REFUSED;
	sprintf(canon, "%lu", value);
	return TAKEN;
}

static enum verdict judge_table_max(const char *text, char *canon)
{
	return judge_number(text, 1 << 28, canon);
}

/* What needs much memory may not be had. */
static enum verdict judge_syn_slots(const char *text, char *canon)
{
	enum verdict verdict = judge_number(text, 1 << 24, canon);

	return verdict == TAKEN && atol(canon) > 1 << 16 ? MAYBE : verdict;
}

static enum verdict judge_hook(const char *text, char *canon)
{
	const size_t len = body(text);

	strcpy(canon, text);
	if (len == 6 && !memcmp(text, "ftrace", len))
		return MAYBE;
	return (len == 4 && !memcmp(text, "auto", len)) ||
	       (len == 6 && !memcmp(text, "kprobe", len)) ? TAKEN : REFUSED;
}

/* Not read here: tests/guest/trust has what is a list. */
static enum verdict judge_trusted(const char *text, char *canon)
{
	(void)text;
	canon[0] = 0;
	return MAYBE;
}

struct parameter {
	const char *name;
	enum verdict (*judge)(const char *text, char *canon);
	const char *other;	/* a value that is not the default one; NULL: only set at load */
	bool list;
	const char *words;	/* what values are made of */
};

#define TRUSTED "10.9.0.0/16,fd09::/64"
#define KINDS_WORDS "200,253,254,28,77,255,256,0,8,19,30,174,2,6,7"
#define BOOL_WORDS "0,1,y,n,Y,N,on,off,O,true,false,enable"
#define NUMBER_WORDS "0,1,7,16,0x10,010,65536,268435456,268435457,4294967296,-1,x"

static const struct parameter parameters[] = {
	{ "trusted", judge_trusted, TRUSTED, true, TRUSTED ",::,/,1.2.3.4,192.0.2.0/24,::1/128" },
	{ "debug", judge_bool, "Y", false, BOOL_WORDS },
	{ "kernel_getname", judge_bool, "Y", false, BOOL_WORDS },
	{ "nat64_getpeername", judge_bool, "N", false, BOOL_WORDS },
	{ "table_max", judge_table_max, "54321", false, NUMBER_WORDS },
	{ "opt_ipv4", judge_kinds, "77,200", true, KINDS_WORDS },
	{ "opt_ipv6", judge_kinds, "78,253", true, KINDS_WORDS },
	{ "opt_hostid", judge_kinds, "28,79", true, KINDS_WORDS },
	{ "syn_slots", judge_syn_slots, NULL, false, NUMBER_WORDS },
	{ "hook", judge_hook, NULL, false, "auto,ftrace,kprobe,kprobes,none,a,kprobe,auto" },
};

enum {
	PARAMETERS_COUNT = sizeof(parameters) / sizeof(parameters[0]),
	AT_RUN_TIME = PARAMETERS_COUNT - 2,
	TEXT = 8192,
};

static size_t random_text(char *text)
{
	static const char letters[] = "0123456789abcdefxXyYnN.::://,, \t\n-+%s";
	size_t len = some(8) ? some(60) : some(5000), i;
	bool any = some(4) == 0;

	for (i = 0; i < len; i++)
		text[i] = any ? some(256) : (unsigned int)letters[some(sizeof(letters) - 1)];
	text[len] = 0;
	return len;
}

/* Words that mean something to the parameter, put together well or badly. */
static size_t random_words(const struct parameter *t, char *text)
{
	unsigned int count, words = 1, pick;
	size_t len = 0;
	const char *p;

	for (p = t->words; *p; p++)
		words += *p == ',';
	for (count = t->list ? 1 + some(4) : 1; count; count--) {
		pick = some(words);
		for (p = t->words; pick; p++)
			pick -= *p == ',';
		memcpy(text + len, p, strcspn(p, ","));
		len += strcspn(p, ",");
		if (count > 1)
			text[len++] = some(8) ? ',' : " ,;\n/+"[some(6)];
	}
	if (some(8) == 0)
		text[len++] = "\n ,x"[some(4)];
	if (some(8) == 0)
		text[some(len)] ^= 1 << some(7);
	text[len] = 0;
	return len;
}

/* What the kernel takes of it at once. */
static size_t as_written(char *text, size_t len)
{
	const size_t page = sysconf(_SC_PAGESIZE);

	len = len < page ? len : page;
	text[len] = 0;
	return len;
}

/* The kernel's answer to a text: 0 or the error. */
static int put(const char *name, const char *text, size_t len)
{
	char path[128];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	require(fd >= 0);
	n = write(fd, text, len);
	err = n < 0 ? errno : 0;
	close(fd);
	check(n < 0 || n == (ssize_t)len);
	return err;
}

static const char *value_of(const char *name)
{
	static char text[TEXT];
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	if (!read_file(path, text, sizeof(text)))
		return "unreadable";
	text[body(text)] = 0;
	return text;
}

static void at_run_time(const void *arg)
{
	static char text[TEXT], initial[TEXT], canon[TEXT];
	const struct parameter *t = arg;
	int i, taken = 0, refused = 0;

	snprintf(initial, sizeof(initial), "%s\n", value_of(t->name));
	seed = 21 + (t - parameters);
	check_num(put(t->name, t->other, strlen(t->other)), 0);
	for (i = 0; i < rounds / 5; i++) {
		size_t len = some(2) ? random_text(text) : random_words(t, text);
		enum verdict verdict;
		int err;

		len = as_written(text, len);
		/* Nothing at all does not reach the module. */
		if (!len)
			continue;
		verdict = t->judge(text, canon);
		err = put(t->name, text, len);
		if (err ? verdict == TAKEN : verdict == REFUSED)
			test_fail(__FILE__, __LINE__, "'%.100s': %s", text,
				  err ? error_name(err) : "taken");
		if (err && err != EINVAL && (t->judge != judge_trusted || err != E2BIG))
			test_fail(__FILE__, __LINE__, "'%.100s': %s", text, error_name(err));
		taken += !err;
		refused += !!err;
		if (err)
			check_str(value_of(t->name), t->other);
		else if (t->judge != judge_trusted)
			check_str(value_of(t->name), canon);
		if (!err)
			check_num(put(t->name, t->other, strlen(t->other)), 0);
	}
	check(taken > 0 && refused > 0);
	test_note("%d taken, %d refused", taken, refused);
	check_num(put(t->name, initial, strlen(initial)), 0);
	initial[body(initial)] = 0;
	check_str(value_of(t->name), initial);
	works(INET);
	works(INET6);
}

/* Nothing that the module had is there. */
static void check_nothing_left(int fd, const char *params)
{
	if (!toa_loaded() && access("/proc/net/toa_stats", F_OK) &&
	    access("/proc/net/toa_table", F_OK) && !strcmp(nat64_of(fd), "ENOPROTOOPT"))
		return;
	test_fail(__FILE__, __LINE__, "%.200s leaves something", params);
	if (toa_loaded())
		toa_unload();
}

/* Between quotes, where the kernel takes white space as well; short of what it takes of one. */
static void as_parameter(char *text)
{
	char *p;

	text[900] = 0;
	for (p = text; *p; p++)
		if (*p == '"')
			*p = '\'';
}

/* Does the first line of them name the parameter? */
static bool line_names(const char *lines, const char *name)
{
	const size_t len = strlen(name);

	lines += strlen("TOA: ");
	return !strncmp(lines, name, len) && (lines[len] == '=' || lines[len] == ':');
}

/* What a load with that value may come to; @spoilt: with one of another parameter that is bad. */
static bool load_judged(const struct parameter *t, enum verdict verdict, bool spoilt, int err,
			const char *lines)
{
	if (!err)
		return verdict != REFUSED && !spoilt && strstr(lines, "toa load success");
	if (err != EINVAL || !*lines || strstr(lines, "success"))
		return false;
	if (spoilt && strstr(lines, "TOA: syn_slots=many: must be "))
		return true;
	return verdict != TAKEN && line_names(lines, t->name);
}

static void at_load(const void *arg)
{
	static char text[TEXT], params[2 * TEXT], canon[TEXT], lines[65536];
	int fd, i, refused = 0, loaded = 0;
	struct server s;
	struct conn c;

	(void)arg;
	seed = 41;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, NULL);
	check_num(toa_unload(), 0);
	for (i = 0; i < rounds / 40; i++) {
		const struct parameter *t = &parameters[i % PARAMETERS_COUNT];
		enum verdict verdict;
		struct klog k;
		bool spoilt;
		int err;

		if (some(2))
			random_text(text);
		else
			random_words(t, text);
		as_parameter(text);
		verdict = t->judge(text, canon);
		if (verdict == MAYBE && (t->judge == judge_syn_slots || t->judge == judge_hook))
			continue;
		/* To load takes long: mostly there is something else wrong, which is read later. */
		spoilt = verdict != REFUSED && (some(4) || loaded >= rounds / 500);
		snprintf(params, sizeof(params), "%s=\"%s\"%s", t->name, text,
			 spoilt ? " syn_slots=many" : "");
		klog_start(&k);
		err = -toa_load(params);
		klog_lines(&k, "TOA: ", lines, sizeof(lines));
		if (!load_judged(t, verdict, spoilt, err, lines))
			test_fail(__FILE__, __LINE__, "%.200s: %s: %s", params, error_name(err),
				  lines);
		refused += !!err;
		if (!err) {
			loaded++;
			if (t->judge != judge_trusted)
				check_str(value_of(t->name), canon);
			check_num(toa_unload(), 0);
		}
		check_nothing_left(fd, params);
	}
	check(refused > 0);
	test_note("%d loads refused, %d not", refused, loaded);
	check_num(toa_load(""), 0);
	works(INET);
}

/* Neither file takes anything. */
static void proc_files(const void *arg)
{
	(void)arg;
	check(open("/proc/net/toa_stats", O_WRONLY | O_CLOEXEC) < 0 ||
	      write(open("/proc/net/toa_stats", O_WRONLY | O_CLOEXEC), "x", 1) < 0);
	check(open("/proc/net/toa_table", O_WRONLY | O_CLOEXEC) < 0 ||
	      write(open("/proc/net/toa_table", O_WRONLY | O_CLOEXEC), "x", 1) < 0);
	works(INET);
}

int main(int argc, char **argv)
{
	static const struct wrong_socket wrong[] = {
		{ "UDP", AF_INET, SOCK_DGRAM, 0, 0 },
		{ "UDP, AF_INET6", AF_INET6, SOCK_DGRAM, 0, 0 },
		{ "RAW", AF_INET, SOCK_RAW, IPPROTO_TCP, 0 },
		{ "RAW, AF_INET6", AF_INET6, SOCK_RAW, IPPROTO_TCP, ENOPROTOOPT },
		{ "UNIX", AF_UNIX, SOCK_STREAM, 0, EOPNOTSUPP },
		{ "SCTP", AF_INET, SOCK_STREAM, IPPROTO_SCTP, 0 },
		{ "MPTCP", AF_INET, SOCK_STREAM, IPPROTO_MPTCP, EOPNOTSUPP },
	};
	static struct cell cells[WAYS * KINDS];
	static struct question questions[KINDS * 4];
	unsigned int i;

	if (argc > 1 && atoi(argv[1]) > 0) {
		rounds = atoi(argv[1]);
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	for (i = 0; i < WAYS * KINDS; i++) {
		cells[i].way = i / KINDS;
		cells[i].kind = i % KINDS;
		test_add(segments, &cells[i], "random segments, %s%s", way_name[cells[i].way],
			 kind_name[cells[i].kind]);
	}
	for (i = 0; i < KINDS * 4; i++) {
		questions[i].number = i & 2 ? TOA_SO_GET_PEER : TOA_SO_GET_LOOKUP;
		questions[i].carried = !(i & 1);
		questions[i].kind = i / 4;
		test_add(getsockopts, &questions[i], "random getsockopts, %d, %s, %s",
			 questions[i].number, kind_name[i / 4],
			 questions[i].carried ? "both" : "none");
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		test_add(wrong_sockets, &wrong[i], "random getsockopts, no TCP: %s", wrong[i].name);
	for (i = 0; i < AT_RUN_TIME; i++)
		test_add(at_run_time, &parameters[i], "random strings, %s", parameters[i].name);
	test_add(at_load, NULL, "random strings at load");
	test_add(proc_files, NULL, "writing to the files");
	return toa_main("fuzz", "", argc, argv);
}
