// SPDX-License-Identifier: GPL-2.0
/*
 * Proofs about toa_trust.c, of which run cuts off what only a kernel has: the parameter's functions
 * and the headers. What it calls of the kernel is here, and says whatever it likes.
 *
 * search    covers(), of up to SPANS spans
 * merge     merge_part(), of up to SPANS spans
 * item      parse_item(), for any text of up to BYTES characters, any address and any prefix
 */
#include "prove.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned char u8;
typedef unsigned int u32, __be32;
typedef unsigned long long u64;

struct in6_addr {
	union {
		u8 s6_addr[16];
		u32 s6_addr32[4];
	};
};

#define __rcu
#define __read_mostly
#define rcu_dereference_protected(pointer, condition) (pointer)
#define min_t(type, a, b) ((type)(a) < (type)(b) ? (type)(a) : (type)(b))
#define pr_err(...) ((void)0)
#define toa_fails() 0
#define toa_kvzalloc(size) calloc(1, size)
#define toa_kvfree(pointer) free(pointer)
#define ENOMEM 12
#define EINVAL 22
#define ERR_PTR(err) ((void *)(long)(err))
#define isdigit(c) ((c) >= '0' && (c) <= '9')
#define ntohl(x) __builtin_bswap32(x)

/* The C library's, which CBMC does not know. */

static char *find_char(const char *text, char c)
{
	for (; *text != c; text++)
		if (!*text)
			return NULL;
	return (char *)text;
}

static void *find_byte(const void *bytes, int c, size_t len)
{
	const char *at = bytes;

	for (; len; at++, len--)
		if (*at == c)
			return (char *)at;
	return NULL;
}

static size_t span_of(const char *text, const char *set, bool inside)
{
	size_t n;

	for (n = 0; text[n] && !find_char(set, text[n]) != inside; n++)
		;
	return n;
}

#define strchr(text, c) find_char(text, c)
#define memchr(bytes, c, len) find_byte(bytes, c, len)
#define strspn(text, set) span_of(text, set, true)
#define strcspn(text, set) span_of(text, set, false)

/* What toa_trust.c was told, for the proof to compare with. */
static struct in6_addr told_address;
static unsigned int told_bits;
static int told_number_bad, told_parsed;
static const char *told_end;

static int kstrtouint(const char *text, unsigned int base, unsigned int *number)
{
	told_bits = nondet_int();
	told_number_bad = nondet_int();
	*number = told_bits;
	return told_number_bad;
}

static int pton(const char *text, u8 *to, const char **end)
{
	unsigned int i;

	for (i = 0; i < 16; i++) {
		to[i] = nondet_byte();
		told_address.s6_addr[i] = to[i];
	}
	i = nondet_int();
	suppose(i <= strlen(text));
	*end = told_end = text + i;
	told_parsed = nondet_int();
	return told_parsed;
}

#define in4_pton(text, len, to, delim, end) pton(text, to, end)
#define in6_pton(text, len, to, delim, end) pton(text, to, end)

static bool ipv6_addr_v4mapped(const struct in6_addr *a)
{
	return !a->s6_addr32[0] && !a->s6_addr32[1] && a->s6_addr32[2] == ntohl(0xffff);
}

/* "%.*s" is the only format. */
static int snprintf(char *to, size_t size, const char *format, int len, const char *from)
{
	size_t i;

	for (i = 0; i < (size_t)len && i + 1 < size && from[i]; i++)
		to[i] = from[i];
	to[i] = 0;
	return len;
}

static void sort(void *base, size_t count, size_t size, int (*by)(const void *, const void *),
		 void *swap);

#include "toa_trust.c"

/*
 * The kernel's sort is believed: the spans are any that are sorted already. In which order they
 * stood before makes no difference to which addresses they cover.
 */
static void sort(void *base, size_t count, size_t size, int (*by)(const void *, const void *),
		 void *swap)
{
	const struct span *span = base;
	size_t i;

	for (i = 1; i < count; i++)
		suppose(by_first(&span[i - 1], &span[i]) <= 0);
}

static struct {
	struct toa_trust list;
	struct span spans[SPANS];
} made;

static struct addr any_address(void)
{
	struct addr a = { nondet_long(), nondet_long() };

	return a;
}

static bool at_most(const struct addr *a, const struct addr *b)
{
	return a->hi < b->hi || (a->hi == b->hi && a->lo <= b->lo);
}

static bool in_any(const struct span *span, unsigned int count, const struct addr *a)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (at_most(&span[i].first, a) && at_most(a, &span[i].last))
			return true;
	return false;
}

/* Spans with gaps or not between them, each behind the one before. */
static bool in_order(const struct span *span, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!at_most(&span[i].first, &span[i].last) ||
		    (i && at_most(&span[i].first, &span[i - 1].last)))
			return false;
	return true;
}

static struct span *any_part(unsigned int family)
{
	unsigned int i;

	made.list.part[family].begin = 0;
	made.list.part[family].count = nondet_int();
	suppose(made.list.part[family].count <= SPANS);
	for (i = 0; i < SPANS; i++) {
		made.spans[i].first = any_address();
		made.spans[i].last = any_address();
	}
	return made.spans;
}

void search(void)
{
	const unsigned int family = nondet_int() % FAMILIES;
	const struct span *span = any_part(family);
	const unsigned int count = made.list.part[family].count;
	const struct addr a = any_address();

	suppose(in_order(span, count));
	prove(covers(&made.list, family, &a) == in_any(span, count, &a));
}

void merge(void)
{
	const unsigned int family = nondet_int() % FAMILIES;
	const struct span *span = any_part(family);
	const unsigned int count = made.list.part[family].count;
	const struct addr a = any_address();
	const bool before = in_any(span, count, &a);
	unsigned int i;

	for (i = 0; i < count; i++)
		suppose(at_most(&span[i].first, &span[i].last));
	merge_part(&made.list, family);
	prove(made.list.part[family].count <= count);
	prove(in_order(span, made.list.part[family].count));
	prove(in_any(span, made.list.part[family].count, &a) == before);
}

/* Are the first bits of two addresses the same? */
static bool same_bits(const struct addr *a, const struct addr *b, unsigned int bits)
{
	if (!bits)
		return true;
	if (bits <= 64)
		return !((a->hi ^ b->hi) >> (64 - bits));
	return a->hi == b->hi && !((a->lo ^ b->lo) >> (128 - bits));
}

void item(void)
{
	char text[BYTES + 1], *slash = NULL;
	bool ipv6 = false, good = true;
	unsigned int i, bits, width;
	struct addr told, a;
	struct span span;
	const char *wrong;

	for (i = 0; i < BYTES; i++)
		text[i] = nondet_byte();
	text[BYTES] = 0;
	for (i = 0; text[i]; i++) {
		ipv6 |= text[i] == ':';
		if (text[i] == '/' && !slash)
			slash = &text[i];
	}
	width = ipv6 ? 128 : 32;
	if (slash)
		good = isdigit(slash[1]);
	wrong = parse_item(text, &span);
	bits = slash ? told_bits : width;
	if (slash)
		good = good && !told_number_bad && bits <= width;
	if (good)
		good = told_parsed && !*told_end && !(ipv6 && ipv6_addr_v4mapped(&told_address));
	if (!good) {
		prove(wrong);
		return;
	}
	told.hi = 0;
	told.lo = ntohl(told_address.s6_addr32[0]);
	if (ipv6) {
		told.hi = told.lo << 32 | ntohl(told_address.s6_addr32[1]);
		told.lo = (u64)ntohl(told_address.s6_addr32[2]) << 32 |
			  ntohl(told_address.s6_addr32[3]);
	}
	/* An IPv4 address is the end of 128 bits. */
	bits += 128 - width;
	a = any_address();
	if (wrong) {
		/* Then the prefix's first address is another one: the one with 0 behind it. */
		for (i = bits; i < 64; i++)
			told.hi &= ~(1ULL << (63 - i));
		for (i = bits > 64 ? bits : 64; i < 128; i++)
			told.lo &= ~(1ULL << (127 - i));
		prove(told.hi != span.first.hi || told.lo != span.first.lo);
		return;
	}
	prove(span.first.hi == told.hi && span.first.lo == told.lo);
	prove((at_most(&span.first, &a) && at_most(&a, &span.last)) == same_bits(&a, &told, bits));
}
