// SPDX-License-Identifier: GPL-2.0
/*
 * Tests of the option parser, in TAP.
 *
 * Usage: test_option                  run the tests
 *        test_option --corpus DIR     write the inputs of the tables into DIR, one file each, as
 *                                     the seed of the fuzzer
 * Exit status: 0 if all tests passed, 1 if one failed, 2 for a wrong call or a full disk.
 *
 * Every input stands in an allocation of its own size, so that AddressSanitizer sees a read of
 * one byte too many, and is parsed at four alignments.
 */
#include "option_cases.h"
#include "reference.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	MAX_BYTES = 8192,
	POISON = 0xa5,
	ALIGNMENTS = 4,
	RANDOM_INPUTS = 1000000,
	RANDOM_LEN = 60,
};

/*
 * TAP
 */

static unsigned int tests, failures;

static void report(int good, const char *format, ...)
{
	va_list args;

	printf("%sok %u - ", good ? "" : "not ", ++tests);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	putchar('\n');
	if (!good)
		failures++;
}

static void say_bytes(const unsigned char *bytes, unsigned int len)
{
	unsigned int i;

	printf("# %u bytes:", len);
	for (i = 0; i < len; i++)
		printf(" %02x", bytes[i]);
	putchar('\n');
}

static void say_result(const char *who, const struct toa_addrs *addrs,
		       struct toa_option_counts counts)
{
	char text[INET6_ADDRSTRLEN];

	printf("# %s: refused %u, overruled %u", who, counts.refused, counts.overruled);
	if (addrs->have & TOA_HAVE_V4)
		printf(", %s port %u", inet_ntop(AF_INET, &addrs->v4_addr, text, sizeof(text)),
		       ntohs(addrs->v4_port));
	if (addrs->have & TOA_HAVE_V6)
		printf(", %s port %u", inet_ntop(AF_INET6, &addrs->v6_addr, text, sizeof(text)),
		       ntohs(addrs->v6_port));
	putchar('\n');
}

/*
 * Parsing
 */

static void *must_alloc(size_t size)
{
	void *p = malloc(size);

	if (!p) {
		puts("Bail out! no memory");
		exit(2);
	}
	return p;
}

static unsigned int from_hex(const char *hex, unsigned char *bytes)
{
	unsigned int n = 0, value;
	int used;

	while (n < MAX_BYTES && sscanf(hex, " %2x%n", &value, &used) == 1) {
		bytes[n++] = value;
		hex += used;
	}
	return n;
}

/* What is not said to be there must not be written either. */
static int wrote_too_much(const struct toa_addrs *addrs)
{
	unsigned char poison[16];

	memset(poison, POISON, sizeof(poison));
	if (!(addrs->have & TOA_HAVE_V4) &&
	    (memcmp(&addrs->v4_addr, poison, sizeof(addrs->v4_addr)) ||
	     memcmp(&addrs->v4_port, poison, sizeof(addrs->v4_port)) || addrs->v4_kind != POISON))
		return 1;
	return !(addrs->have & TOA_HAVE_V6) &&
	       (memcmp(&addrs->v6_addr, poison, sizeof(addrs->v6_addr)) ||
		memcmp(&addrs->v6_port, poison, sizeof(addrs->v6_port)) ||
		addrs->v6_kind != POISON);
}

static int same(const struct toa_addrs *a, const struct toa_addrs *b)
{
	if (a->have != b->have)
		return 0;
	if (a->have & TOA_HAVE_V4 && (a->v4_addr != b->v4_addr || a->v4_port != b->v4_port ||
				      a->v4_kind != b->v4_kind))
		return 0;
	return !(a->have & TOA_HAVE_V6) ||
	       (memcmp(&a->v6_addr, &b->v6_addr, 16) == 0 && a->v6_port == b->v6_port &&
		a->v6_kind == b->v6_kind);
}

/* Parses copies at all alignments; true if every result is the expected one. */
static int gives_with(const struct toa_option_rules *rules, int syn, const unsigned char *bytes,
		      unsigned int len, const struct toa_addrs *expected,
		      struct toa_option_counts want)
{
	struct toa_option_counts got;
	unsigned int shift;
	int good = 1;

	for (shift = 0; shift < ALIGNMENTS; shift++) {
		unsigned char *copy = must_alloc(len + shift);
		struct toa_addrs *addrs = must_alloc(sizeof(*addrs));
		int too_much;

		if (len)
			memcpy(copy + shift, bytes, len);
		memset(addrs, POISON, sizeof(*addrs));
		got = toa_option_parse(rules, copy + shift, len, syn, htons(SENDER_PORT), addrs);
		/* What the last option has taken the place of was written before. */
		too_much = !rules->last && wrote_too_much(addrs);
		if (good && (got.refused != want.refused || got.overruled != want.overruled ||
			     !same(addrs, expected) || too_much)) {
			good = 0;
			say_bytes(bytes, len);
			say_result("expected", expected, want);
			say_result("got", addrs, got);
			if (too_much)
				puts("# wrote a field that is not said to be there");
		}
		free(addrs);
		free(copy);
	}
	return good;
}

static int gives(const unsigned char *bytes, unsigned int len, const struct toa_addrs *expected,
		 unsigned int refused)
{
	struct toa_option_counts want = { refused, 0 };

	return gives_with(&rules_default, 1, bytes, len, expected, want);
}

/*
 * Tests
 */

static void expect(const char *v4, unsigned int v4_port, const char *v6, unsigned int v6_port,
		   struct toa_addrs *expected)
{
	memset(expected, 0, sizeof(*expected));
	if (v4 && inet_pton(AF_INET, v4, &expected->v4_addr) == 1) {
		expected->have |= TOA_HAVE_V4;
		expected->v4_kind = 200;
		expected->v4_port = htons(v4_port);
	}
	if (v6 && inet_pton(AF_INET6, v6, &expected->v6_addr) == 1) {
		expected->have |= TOA_HAVE_V6;
		expected->v6_kind = 253;
		expected->v6_port = htons(v6_port);
	}
}

static void test_wire(void)
{
	unsigned char bytes[MAX_BYTES];
	struct toa_addrs expected;
	unsigned int i, len;

	for (i = 0; i < wire_case_count; i++) {
		const struct wire_case *c = &wire_cases[i];

		struct toa_option_counts want = { c->refused, c->overruled };
		struct toa_option_rules rules = rules_default;

		rules.both = c->both;
		rules.last = c->last;
		len = from_hex(c->bytes, bytes);
		expect(c->v4, c->v4_port, c->v6, c->v6_port, &expected);
		report(gives_with(&rules, 1, bytes, len, &expected, want), "%s", c->name);
	}
}

static unsigned int option_of(int family, const char *addr, unsigned char *bytes)
{
	unsigned int len = family == AF_INET ? 8 : 20;

	bytes[0] = family == AF_INET ? 200 : 253;
	bytes[1] = len;
	bytes[2] = 0xd4;
	bytes[3] = 0x31;
	if (inet_pton(family, addr, bytes + 4) != 1) {
		printf("Bail out! %s is no address\n", addr);
		exit(2);
	}
	return len;
}

/* What another module says is looked at in the same way. */
static int claimable(int family, const char *addr)
{
	struct toa_addrs addrs;

	memset(&addrs, 0, sizeof(addrs));
	if (family == AF_INET) {
		addrs.have = TOA_HAVE_V4;
		inet_pton(AF_INET, addr, &addrs.v4_addr);
	} else {
		addrs.have = TOA_HAVE_V6;
		inet_pton(AF_INET6, addr, &addrs.v6_addr);
	}
	return toa_option_claimable(&addrs);
}

static void test_addresses(int family, const struct address_case *cases, unsigned int n)
{
	const char *v4, *v6;
	struct toa_addrs expected;
	unsigned char bytes[20];
	unsigned int i, len;

	for (i = 0; i < n; i++) {
		const struct address_case *c = &cases[i];

		v4 = family == AF_INET && !c->class ? c->addr : NULL;
		v6 = family == AF_INET6 && !c->class ? c->addr : NULL;
		len = option_of(family, c->addr, bytes);
		expect(v4, 54321, v6, 54321, &expected);
		report(gives(bytes, len, &expected, c->class ? 1 : 0) &&
		       claimable(family, c->addr) == !c->class, "%u: %s %s%s", bytes[0], c->addr,
		       c->class ? "refused, " : "accepted", c->class ? c->class : "");
	}
}

/* A class that is one address, or a prefix, is left by changing any one bit of that. */
static void test_one_bit(int family, const char *addr, unsigned int bits, const char *class)
{
	unsigned char bytes[20];
	unsigned int len = option_of(family, addr, bytes), bit;
	struct toa_addrs expected;
	char text[INET6_ADDRSTRLEN];
	int good = 1;

	for (bit = 0; bit < bits; bit++) {
		unsigned char flip = 0x80 >> bit % 8;

		bytes[4 + bit / 8] ^= flip;
		inet_ntop(family, bytes + 4, text, sizeof(text));
		expect(family == AF_INET ? text : NULL, 54321, family == AF_INET6 ? text : NULL,
		       54321, &expected);
		/* :: and ::1 are one bit apart, and both are refused. */
		if (strcmp(text, "::") == 0 || strcmp(text, "::1") == 0)
			expected.have = 0;
		good &= gives(bytes, len, &expected, expected.have ? 0 : 1);
		bytes[4 + bit / 8] ^= flip;
	}
	report(good, "%u: %s: each of the %u bits makes it %s", bytes[0], addr, bits, class);
}

/* Kind and length together identify an option: all 65,536 pairs, with an honest length. */
static void test_every_kind_and_length(void)
{
	unsigned char bytes[256];
	unsigned int kind, len;
	int good = 1;

	for (kind = 0; kind < 256; kind++) {
		for (len = 0; len < 256; len++) {
			struct toa_option_counts counts;
			struct toa_addrs addrs;

			memset(bytes, 7, sizeof(bytes));
			bytes[0] = kind;
			bytes[1] = len;
			/* Nothing that could be an option stands behind. */
			if (kind == 1)
				bytes[1] = 0;
			counts = toa_option_parse(&rules_default, bytes, len < 2 ? 2 : len, 1, 0,
						  &addrs);
			if (counts.refused || counts.overruled)
				good = 0;
			if (addrs.have != (kind == 200 && len == 8 ? TOA_HAVE_V4 :
					   kind == 253 && len == 20 ? TOA_HAVE_V6 : 0))
				good = 0;
		}
	}
	report(good, "of all kinds and lengths only 200 with 8 and 253 with 20 count");
}

/* Cut behind every byte: the option counts when all of it is there. */
static void test_truncated(const char *name, const char *hex, unsigned int v4_end,
			   unsigned int v6_end)
{
	unsigned char bytes[MAX_BYTES];
	unsigned int full = from_hex(hex, bytes), len;
	struct toa_option_counts want = { 0, 0 };
	struct toa_option_rules rules = rules_default;
	struct toa_addrs expected;
	int good = 1;

	rules.both = 1;
	for (len = 0; len <= full; len++) {
		expect(len >= v4_end ? "203.0.113.9" : NULL, 54321,
		       len >= v6_end ? "2001:db8::9" : NULL, 54321, &expected);
		good &= gives_with(&rules, 1, bytes, len, &expected, want);
	}
	report(good, "%s, truncated at every byte", name);
}

static void test_long(void)
{
	static unsigned char bytes[MAX_BYTES];
	struct toa_addrs expected;

	memset(bytes, 1, sizeof(bytes));
	from_hex(SNAT, bytes + sizeof(bytes) - 8);
	expect("203.0.113.9", 54321, NULL, 0, &expected);
	report(gives(bytes, sizeof(bytes), &expected, 0), "far more bytes than a header has");
}

/* All bytes of port and address, each in its place. */
static void test_every_byte(void)
{
	struct toa_addrs expected, *addrs = &expected;
	unsigned char v4[8] = { 200, 8 }, v6[20] = { 253, 20 };
	unsigned int i;

	memset(addrs, 0, sizeof(*addrs));
	for (i = 2; i < sizeof(v4); i++)
		v4[i] = 0x10 + i;
	memcpy(&addrs->v4_port, v4 + 2, 2);
	memcpy(&addrs->v4_addr, v4 + 4, 4);
	addrs->have = TOA_HAVE_V4;
	addrs->v4_kind = 200;
	report(gives(v4, sizeof(v4), addrs, 0), "200: every byte in its place");

	memset(addrs, 0, sizeof(*addrs));
	for (i = 2; i < sizeof(v6); i++)
		v6[i] = 0x20 + i;
	memcpy(&addrs->v6_port, v6 + 2, 2);
	memcpy(&addrs->v6_addr, v6 + 4, 16);
	addrs->have = TOA_HAVE_V6;
	addrs->v6_kind = 253;
	report(gives(v6, sizeof(v6), addrs, 0), "253: every byte in its place");
}

/*
 * Configurations
 */

static void add_uses(struct toa_option_rules *uses, const char *list, unsigned int use)
{
	unsigned char kinds[256];
	unsigned int i;

	if (toa_option_list(list, use, kinds)) {
		printf("Bail out! %s is no list\n", list);
		exit(2);
	}
	for (i = 0; i < 256; i++)
		if (kinds[i])
			uses->of[i] |= use;
}

static void test_uses(void)
{
	unsigned char bytes[MAX_BYTES];
	struct toa_option_rules uses;
	struct toa_addrs expected;
	unsigned int i, len;

	for (i = 0; i < uses_case_count; i++) {
		const struct uses_case *c = &uses_cases[i];
		struct toa_option_counts want = { c->refused, c->overruled };

		memset(&uses, 0, sizeof(uses));
		add_uses(&uses, c->ipv4, TOA_USE_V4);
		add_uses(&uses, c->ipv6, TOA_USE_V6);
		add_uses(&uses, c->hostid, c->bare ? TOA_USE_BARE : TOA_USE_HOSTID);
		uses.both = c->both;
		len = from_hex(c->bytes, bytes);
		expect(c->v4, c->v4_port, c->v6, c->v6_port, &expected);
		expected.v4_kind = c->v4_kind;
		expected.v6_kind = c->v6_kind;
		report(gives_with(&uses, !c->not_syn, bytes, len, &expected, want),
		       "configured, %s", c->name);
	}
}

static void test_lists(void)
{
	unsigned char kinds[256], want[256];
	const unsigned char *kind;
	unsigned int i;
	int good;
	char *text;

	for (i = 0; i < list_case_count; i++) {
		const struct list_case *c = &list_cases[i];

		text = must_alloc(strlen(c->text) + 1);
		strcpy(text, c->text);
		memset(kinds, POISON, sizeof(kinds));
		memset(want, 0, sizeof(want));
		for (kind = c->kinds; kind && *kind; kind++)
			want[*kind] = 1;
		good = toa_option_list(text, TOA_USE_V4 | TOA_USE_V6, kinds) == (c->kinds ? 0 : -1);
		if (c->kinds)
			good = good && memcmp(kinds, want, sizeof(want)) == 0;
		text[strcspn(text, "\n")] = 0;
		report(good, "list '%s'%s is %s", text,
		       strchr(c->text, '\n') ? " and a newline" : "",
		       c->kinds ? "accepted" : "refused");
		free(text);
	}
	report(!toa_option_list("29", TOA_USE_BARE, kinds) && kinds[29],
	       "list '29' is accepted for bare addresses");
	report(!toa_option_list("28,29", TOA_USE_HOSTID, kinds) && kinds[29],
	       "list '28,29' is accepted for host ids");
	report(toa_option_list("30", TOA_USE_BARE, kinds),
	       "list '30' is refused for bare addresses");
}

/* What is taken for Linux's usual options must be just these: every byte with every value. */
static void test_nearly_usual(const char *name, const char *hex)
{
	unsigned char bytes[MAX_BYTES], was;
	unsigned int full = from_hex(hex, bytes), at, value, len;
	const char *what = NULL;

	for (at = 0; at < full && !what; at++) {
		was = bytes[at];
		for (value = 0; value < 256 && !what; value++) {
			bytes[at] = value;
			for (len = full; len + 12 > full && !what; len--) {
				what = reference_disagrees(&rules_default, bytes, len, 0);
				if (!what)
					what = reference_disagrees(&rules_default, bytes, len, 1);
			}
		}
		bytes[at] = was;
	}
	if (what)
		printf("# byte %u: the parsers disagree about %s\n", at - 1, what);
	report(!what, "%s, each byte changed", name);
}

/*
 * Random inputs
 */

static unsigned long long random_state = 0x746f612d74657374ULL;

/* xorshift64*, so that every run sees the same inputs. */
static unsigned int random_below(unsigned int n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (random_state * 0x2545f4914f6cdd1dULL >> 33) % n;
}

/* Random bytes alone would hardly ever be an option: build from pieces, then damage a few. */
static void random_input(unsigned char *bytes, unsigned int len)
{
	static const char *const pieces[] = {
		NOP, NOP, MSS, SACK_OK, TSTAMP, SNAT, SNAT, SNAT_2, SNAT_LO, NAT64, NAT64, NAT64_2,
		NAT64_LO, END, "4c 03 ", "c8 07 ", "fd 08 ", "c8 ", "fd ", "fe 14 ",
		"c8 08 d4 31 a9 fe ", "c8 08 d4 31 ff ff ff ff ", "c8 08 00 00 e0 ",
		"fd 14 d4 31 fe 80 ", "fd 14 00 50 ff ", LINUX_SYN, LINUX_ACK, NOP "03 03 07 ",
		"fe 08 d4 31 cb 00 71 09 ", "fe 08 f9 89 cb 00 71 09 ",
		"fe 08 e2 d4 c3 d9 71 09 ",
		"fd 08 d4 31 cb 00 71 09 ",
		"fe 14 d4 31 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 09 ",
		"1c 07 01 cb 00 71 09 ",
		"1c 13 01 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 09 ",
		"1c 06 cb 00 71 09 ", "1c 12 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 09 ",
		"fd 14 d4 31 00 00 00 00 00 00 00 00 00 00 ff ff ",
	};
	static unsigned char decoded[ARRAY_SIZE(pieces)][32];
	static unsigned int decoded_len[ARRAY_SIZE(pieces)];
	unsigned char all[RANDOM_LEN + 32];
	unsigned int n = 0, i;

	if (!decoded_len[0])
		for (i = 0; i < ARRAY_SIZE(pieces); i++)
			decoded_len[i] = from_hex(pieces[i], decoded[i]);

	while (n < len) {
		if (random_below(8)) {
			i = random_below(ARRAY_SIZE(pieces));
			memcpy(all + n, decoded[i], decoded_len[i]);
			n += decoded_len[i];
		} else {
			all[n++] = random_below(256);
		}
	}
	if (len && random_below(2))
		for (i = random_below(3); i; i--)
			all[random_below(len)] = random_below(3) ? random_below(256) :
								   random_below(3);
	if (len)
		memcpy(bytes, all, len);
}

static void test_random(void)
{
	unsigned int refused = 0, overruled = 0, v4 = 0, v6 = 0, both = 0, other = 0, i, len;
	unsigned char *buffer[RANDOM_LEN + 1];
	struct toa_option_counts counts;
	struct toa_option_rules uses;
	const char *what = NULL;
	struct toa_addrs addrs;

	for (len = 0; len <= RANDOM_LEN; len++)
		buffer[len] = must_alloc(len);
	for (i = 0; i < RANDOM_INPUTS && !what; i++) {
		uses = rules_default;
		uses.both = (i & 14) != 0;
		if (i & 1)
			rules_random((unsigned long long)random_below(1u << 31), &uses);
		len = random_below(RANDOM_LEN + 1);
		random_input(buffer[len], len);
		what = reference_disagrees(&uses, buffer[len], len, i & 2);
		if (what) {
			printf("# input %u: the parsers disagree about %s\n", i, what);
			say_bytes(buffer[len], len);
			break;
		}
		counts = reference_parse(&uses, buffer[len], len, i & 2, 0, &addrs);
		refused += !!counts.refused;
		overruled += !!counts.overruled;
		v4 += addrs.have == TOA_HAVE_V4;
		v6 += addrs.have == TOA_HAVE_V6;
		both += addrs.have == (TOA_HAVE_V4 | TOA_HAVE_V6);
		other += (addrs.have & TOA_HAVE_V4 && addrs.v4_kind != 200) ||
			 (addrs.have & TOA_HAVE_V6 && addrs.v6_kind != 253);
	}
	for (len = 0; len <= RANDOM_LEN; len++)
		free(buffer[len]);
	printf("# %u random inputs: %u with IPv4, %u with IPv6, %u with both, %u with one refused",
	       i, v4, v6, both, refused);
	printf(", %u with one overruled, %u with other kinds\n", overruled, other);
	report(!what, "agrees with a simple parser on random inputs");
	report(what || (v4 > i / 100 && v6 > i / 100 && both > i / 100 && refused > i / 100 &&
			overruled > i / 100 && other > i / 100),
	       "the random inputs are worth it");
}

/*
 * The fuzzer's seed
 */

static int write_input(const char *dir, const char *name, const unsigned char *bytes,
		       unsigned int len)
{
	char path[4096];
	FILE *file;
	char *c;
	int err;

	snprintf(path, sizeof(path), "%s/", dir);
	c = path + strlen(path);
	snprintf(c, sizeof(path) - (c - path), "%s", name);
	for (; *c; c++)
		if (!isalnum((unsigned char)*c))
			*c = '-';
	file = fopen(path, "wb");
	if (!file) {
		perror(path);
		return 2;
	}
	err = fwrite(bytes, 1, len, file) != len;
	err |= fclose(file);
	if (err)
		perror(path);
	return err ? 2 : 0;
}

static int write_corpus(const char *dir)
{
	unsigned char bytes[MAX_BYTES];
	char name[INET6_ADDRSTRLEN + 8];
	unsigned int i;
	int err = 0;

	for (i = 0; i < wire_case_count && !err; i++)
		err = write_input(dir, wire_cases[i].name, bytes,
				  from_hex(wire_cases[i].bytes, bytes));
	for (i = 0; i < v4_case_count && !err; i++) {
		snprintf(name, sizeof(name), "200 %s", v4_cases[i].addr);
		err = write_input(dir, name, bytes, option_of(AF_INET, v4_cases[i].addr, bytes));
	}
	for (i = 0; i < uses_case_count && !err; i++) {
		snprintf(name, sizeof(name), "uses %u", i);
		err = write_input(dir, name, bytes, from_hex(uses_cases[i].bytes, bytes));
	}
	for (i = 0; i < v6_case_count && !err; i++) {
		snprintf(name, sizeof(name), "253 %s", v6_cases[i].addr);
		err = write_input(dir, name, bytes, option_of(AF_INET6, v6_cases[i].addr, bytes));
	}
	return err;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "--corpus") == 0)
		return write_corpus(argv[2]);
	if (argc != 1) {
		fprintf(stderr, "usage: %s [--corpus DIR]\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	test_wire();
	test_addresses(AF_INET, v4_cases, v4_case_count);
	test_addresses(AF_INET6, v6_cases, v6_case_count);
	test_one_bit(AF_INET, "0.0.0.0", 32, "another's");
	test_one_bit(AF_INET, "127.0.0.1", 8, "another's");
	test_one_bit(AF_INET, "224.0.0.1", 4, "another's");
	test_one_bit(AF_INET6, "::", 128, "another's, but for ::1");
	test_one_bit(AF_INET6, "::1", 128, "another's, but for ::");
	test_one_bit(AF_INET6, "::ffff:203.0.113.9", 96, "another's");
	test_one_bit(AF_INET6, "fe80::1", 7, "another's");
	test_one_bit(AF_INET6, "ff02::1", 8, "another's");
	test_every_kind_and_length();
	test_every_byte();
	test_truncated("200", SNAT, 8, ~0U);
	test_truncated("253", NAT64, ~0U, 20);
	test_truncated("200 and 253", NOP SNAT NOP NOP NAT64, 9, 31);
	test_truncated("253 and 200", NAT64 NOP SNAT, 29, 20);
	test_truncated("Linux's SYN with 200", LINUX_SYN SNAT, 28, ~0U);
	test_truncated("Linux's ACK with 253", LINUX_ACK NAT64, ~0U, 32);
	test_long();
	test_nearly_usual("Linux's SYN with 200", LINUX_SYN SNAT);
	test_nearly_usual("Linux's ACK with 200", LINUX_ACK SNAT);
	test_nearly_usual("Windows's SYN with 200", WINDOWS_SYN SNAT);
	test_lists();
	test_uses();
	test_random();
	printf("1..%u\n", tests);
	return failures ? 1 : 0;
}
