// SPDX-License-Identifier: GPL-2.0
/*
 * getsockopt with random lengths, at the edges of pages, on sockets of all sorts. A number as the
 * first argument: half of it are calls for each kind of TCP socket, a quarter for others.
 */
#include "mod.h"
#include "random.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
	static struct question questions[KINDS * 4];
	unsigned int i;

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
	return random_main("fuzz_sockopt", "both=1", argc, argv);
}
