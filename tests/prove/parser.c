// SPDX-License-Identifier: GPL-2.0
/*
 * Proofs about toa_option.c, whose real lines are part of this file. run says how they are made.
 *
 * walk, name     find() and claim() are compared with what a reader of options says that is written
 *                from the contract: for any bytes, at any place among them, by induction
 * single         what is read of one option that names somebody, and what is made of it
 * choice         all of toa_option_parse() that is above claim(), for any options that fit
 * usual          toa_option_usual()
 * list           toa_option_list()
 *
 * BYTES: how many bytes of options, or characters of a list, there are at most.
 */
#include "prove.h"
#include "toa_option.h"

static unsigned int begin_anywhere(const __u8 **opt, unsigned int *left);
static void once_more(const __u8 *opt, unsigned int left, unsigned int before);

#include "toa_option.c"

/* How many options name somebody, and which of them are IPv6's, as bits: run has all that fit. */
#ifndef COUNT
#define COUNT 0
#define V6 0
#endif

enum {
	NONE = 255,
	MOST_CLAIMS = BYTES / LEN_BARE_V4,
};

/* The end of the options is the end of the array: a byte too many is out of bounds. */
static __u8 bytes[BYTES];
static unsigned int begin;
static int syn;
static struct toa_option_rules rules;

/*
 * For each place in @bytes: where the first option from there on stands whose kind is looked for;
 * and the first one that names somebody.
 */
static __u8 looked_for[BYTES + 1], names[BYTES + 1];

/*
 * The reference
 */

struct form {
	__u8 use, len, family, has_port;
};

static const __u8 kernels[] = { 0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34, 172, 174 };

static int is_kernels_own(unsigned int kind)
{
	unsigned int i;

	for (i = 0; i < sizeof(kernels); i++)
		if (kernels[i] == kind)
			return 1;
	return 0;
}

static const struct form forms[] = {
	{ TOA_USE_V4, 8, 4, 1 },	{ TOA_USE_V6, 20, 6, 1 },
	{ TOA_USE_HOSTID, 7, 4, 0 },	{ TOA_USE_HOSTID, 19, 6, 0 },
	{ TOA_USE_BARE, 6, 4, 0 },	{ TOA_USE_BARE, 18, 6, 0 },
};

/* Which of @forms an option has, or NONE. */
static unsigned int form_of(unsigned int at)
{
	const __u8 kind = bytes[at], len = bytes[at + 1];
	unsigned int i, form = NONE;

	for (i = 0; i < 6; i++)
		if (rules.of[kind] & forms[i].use && len == forms[i].len)
			form = i;
	if (form != NONE && kind == 254) {
		if (syn && bytes[at + 2] == 0xf9 && bytes[at + 3] == 0x89)
			return NONE;
		if (bytes[at + 2] == 0xe2 && bytes[at + 3] == 0xd4 && bytes[at + 4] == 0xc3 &&
		    bytes[at + 5] == 0xd9)
			return NONE;
	}
	return form;
}

static unsigned int have_at(unsigned int at)
{
	return forms[form_of(at)].family == 4 ? TOA_HAVE_V4 : TOA_HAVE_V6;
}

/* Where the option behind the one at @at stands; BYTES if nothing does, or nothing that counts. */
static unsigned int behind(unsigned int at)
{
	if (bytes[at] == 0)
		return BYTES;
	if (bytes[at] == 1)
		return at + 1;
	if (at + 1 == BYTES || bytes[at + 1] < 2 || at + bytes[at + 1] > BYTES)
		return BYTES;
	return at + bytes[at + 1];
}

static int is_option(unsigned int at)
{
	return at + 1 < BYTES && bytes[at] > 1 && bytes[at + 1] >= 2 &&
	       at + bytes[at + 1] <= BYTES;
}

/*
 * What the tables say of a place follows from what they say of places behind it. A proof needs that
 * for a few places only.
 */
static void know_looked_for(unsigned int at)
{
	if (at == BYTES)
		suppose(looked_for[at] == NONE);
	else if (is_option(at) && rules.of[bytes[at]])
		suppose(looked_for[at] == at);
	else if (at < BYTES)
		suppose(looked_for[at] == looked_for[behind(at)]);
}

/* What find() finds: walk() proves it. */
static unsigned int first_looked_for(unsigned int from)
{
	const unsigned int at = looked_for[from];

	suppose(at == NONE || (at >= from && is_option(at) && rules.of[bytes[at]]));
	return at;
}

static void know_names(unsigned int at)
{
	const unsigned int first = first_looked_for(at);

	if (first == NONE || form_of(first) != NONE)
		suppose(names[at] == first);
	else
		suppose(names[at] == names[behind(first)]);
}

/* Any bytes, any rules as toa_option_list() leaves them. */
static void anything(void)
{
	unsigned int i;

	__CPROVER_havoc_object(bytes);
	__CPROVER_havoc_object(&rules);
	__CPROVER_havoc_object(looked_for);
	__CPROVER_havoc_object(names);
	begin = nondet_int();
	suppose(begin <= BYTES);
	syn = nondet_int();
	for (i = 0; i < sizeof(kernels); i++)
		suppose(!(rules.of[kernels[i]] &
			  ~(kernels[i] == 29 ? TOA_USE_HOSTID | TOA_USE_BARE : 0)));
}

/*
 * The reference: who counts
 */

static int nobodys_v4(const __u8 *a)
{
	const unsigned int addr = (unsigned int)a[0] << 24 | a[1] << 16 | a[2] << 8 | a[3];

	return addr == 0 || addr == 0xffffffff || addr >> 24 == 127 || addr >> 28 == 14 ||
	       addr >> 16 == 0xa9fe;
}

static int nobodys_v6(const __u8 *a)
{
	unsigned int i, zeros;

	for (zeros = 0; zeros < 16 && a[zeros] == 0; zeros++)
		;
	if (zeros >= 15 && a[15] <= 1)
		return 1;
	if (zeros == 10 && a[10] == 0xff && a[11] == 0xff)
		return 1;
	i = a[0] << 8 | a[1];
	return i >> 8 == 0xff || i >> 6 == 0x3fa;
}

struct claim {
	__u8 kind, family, nobody;
	__u8 port[2], addr[16];
};

static struct claim claims[MOST_CLAIMS + 1];
static unsigned int count;

static void read_claim(const __u8 *opt, unsigned int form, __be16 sender_port, struct claim *c)
{
	const unsigned int size = forms[form].family == 4 ? 4 : 16;
	unsigned int i;

	c->kind = opt[0];
	c->family = forms[form].family;
	memcpy(c->port, &sender_port, 2);
	if (forms[form].has_port)
		memcpy(c->port, opt + 2, 2);
	for (i = 0; i < 16; i++)
		c->addr[i] = i < size ? opt[forms[form].len - size + i] : 0;
	c->nobody = c->family == 4 ? nobodys_v4(c->addr) : nobodys_v6(c->addr);
}

static int same(const struct claim *a, const struct claim *b)
{
	unsigned int i;

	if (a->nobody || b->nobody || a->family != b->family || a->port[0] != b->port[0] ||
	    a->port[1] != b->port[1])
		return 0;
	for (i = 0; i < 16; i++)
		if (a->addr[i] != b->addr[i])
			return 0;
	return 1;
}

/* Who counts among those of a family, or of both (0). */
static unsigned int winner(unsigned int family)
{
	unsigned int i, who = NONE;

	for (i = 0; i < MOST_CLAIMS; i++)
		if (i < count && (!family || claims[i].family == family))
			if (who == NONE || rules.last)
				who = i;
	return who;
}

/* The one who counts, and whether there is one: copied, so that it is looked up once. */
static int copy_of(unsigned int who, struct claim *c)
{
	unsigned int i;

	for (i = 0; i < MOST_CLAIMS; i++)
		if (i == who)
			*c = claims[i];
	return who != NONE;
}

static void says(const struct claim *c, const struct toa_addrs *out)
{
	if (c->family == 4) {
		prove(out->have & TOA_HAVE_V4);
		prove(!memcmp(&out->v4_addr, c->addr, 4));
		prove(!memcmp(&out->v4_port, c->port, 2));
		prove(out->v4_kind == c->kind);
	} else {
		prove(out->have & TOA_HAVE_V6);
		prove(!memcmp(&out->v6_addr, c->addr, 16));
		prove(!memcmp(&out->v6_port, c->port, 2));
		prove(out->v6_kind == c->kind);
	}
}

static void compare(const struct toa_option_counts *counts, const struct toa_addrs *out)
{
	unsigned int who[2], refused = 0, overruled = 0, have = 0, i, k;
	struct claim c[2];
	int is[2];

	who[0] = winner(rules.both ? 4 : 0);
	who[1] = rules.both ? winner(6) : NONE;
	for (k = 0; k < 2; k++) {
		is[k] = copy_of(who[k], &c[k]);
		if (is[k] && c[k].nobody) {
			refused++;
		} else if (is[k]) {
			have |= c[k].family == 4 ? TOA_HAVE_V4 : TOA_HAVE_V6;
			says(&c[k], out);
		}
	}
	for (i = 0; i < MOST_CLAIMS; i++)
		if (i < count && i != who[0] && i != who[1])
			overruled += !(is[0] && same(&claims[i], &c[0])) &&
				     !(is[1] && same(&claims[i], &c[1]));
	prove(out->have == have);
	prove(counts->refused == refused);
	prove(counts->overruled == overruled);
}

/*
 * The proofs
 */

/*
 * By induction: run puts begin_anywhere() and once_more() into the heads of the loops of find() and
 * claim(). What holds where the loop begins is supposed to hold at any place, and proved to hold
 * after one more time round, nearer to the end. So it holds at the end, and there is an end.
 */
static const __u8 *told;

static unsigned int begin_anywhere(const __u8 **opt, unsigned int *left)
{
	const unsigned int at = nondet_int();
	unsigned int i;

	prove(*opt == bytes + begin && *left == BYTES - begin);
	suppose(at >= begin && at <= BYTES && told[at] == told[begin]);
	if (told == names)
		know_names(at);
	/* As far as one time round goes: Linux puts up to 20 bytes in front. */
	for (i = 0; told == looked_for && i < 18; i++)
		know_looked_for(at + i);
	know_looked_for(BYTES);
	*opt = bytes + at;
	*left = BYTES - at;
	return BYTES - at;
}

static void once_more(const __u8 *opt, unsigned int left, unsigned int before)
{
	const unsigned int at = opt - bytes;

	prove(left < before);
	prove(at >= begin && at <= BYTES && left == BYTES - at);
	prove(told[at] == told[begin]);
	suppose(0);
}

/* Where find() goes is where the reader goes. */
void walk(void)
{
	const __u8 *opt;
	unsigned int len, use;

	anything();
	told = looked_for;
	opt = bytes + begin;
	len = BYTES - begin;
	use = find(&rules, &opt, &len);
	prove(!use == (looked_for[begin] == NONE));
	if (use) {
		prove(opt == bytes + looked_for[begin]);
		prove(len == BYTES - looked_for[begin]);
		prove(use == rules.of[*opt]);
		prove(looked_for[begin] >= begin && is_option(looked_for[begin]));
	}
}

/* In the place of find(): walk() has proved that it does this. */
unsigned int find_as_proved(const struct toa_option_rules *r, const __u8 **opt, unsigned int *len)
{
	const unsigned int from = *opt - bytes;
	unsigned int at;

	prove(r == &rules && from <= BYTES && *len == BYTES - from);
	at = first_looked_for(from);
	if (at == NONE)
		return 0;
	*opt = bytes + at;
	*len = BYTES - at;
	return rules.of[bytes[at]];
}

/* The same for claim(); run replaces find(). */
void name(void)
{
	const __u8 *opt;
	unsigned int len, have;

	anything();
	told = names;
	opt = bytes + begin;
	len = BYTES - begin;
	have = claim(&rules, &opt, &len, syn);
	prove(!have == (names[begin] == NONE));
	if (have) {
		prove(opt == bytes + names[begin]);
		prove(len == BYTES - names[begin]);
		prove(names[begin] >= begin && is_option(names[begin]));
		prove(have == have_at(names[begin]));
	}
}

static const __u8 *asked_from;
static unsigned int asked_left;

/* In the place of claim(), for single(). */
unsigned int claim_asked(const struct toa_option_rules *r, const __u8 **opt, unsigned int *len,
			 int is_syn)
{
	prove(r == &rules && is_syn == syn);
	asked_from = *opt;
	asked_left = *len;
	return TOA_HAVE_V4;
}

/* An option that names somebody, up to the last byte that there is. */
void single(void)
{
	const __be16 sender_port = nondet_int();
	struct toa_addrs out, other;
	unsigned int form, have;
	struct claim c, d;
	const __u8 *opt;

	anything();
	suppose(begin < BYTES && is_option(begin) && begin + bytes[begin + 1] == BYTES);
	form = form_of(begin);
	suppose(form != NONE);
	opt = bytes + begin;
	have = forms[form].family == 4 ? TOA_HAVE_V4 : TOA_HAVE_V6;
	prove(has(rules.of[*opt], opt, syn) == have);
	read_claim(opt, form, sender_port, &c);

	out.have = have;
	prove(take(have, opt, sender_port, &out) == !c.nobody);
	if (!c.nobody)
		says(&c, &out);

	/* Compared with anybody who may be there. */
	__CPROVER_havoc_object(&other);
	d.family = c.family;
	d.nobody = c.nobody;
	memset(d.addr, 0, 16);
	memcpy(d.port, c.family == 4 ? &other.v4_port : &other.v6_port, 2);
	if (c.family == 4)
		memcpy(d.addr, &other.v4_addr, 4);
	else
		memcpy(d.addr, &other.v6_addr, 16);
	have = differs(have, opt, sender_port, &other);
	if (!(other.have & (c.family == 4 ? TOA_HAVE_V4 : TOA_HAVE_V6)))
		prove(have);
	else if (!c.nobody)
		prove(!have == same(&c, &d));

	form = BYTES - begin;
	prove(next_claim(&rules, &opt, &form, syn) == TOA_HAVE_V4);
	prove(asked_from == bytes + BYTES && asked_left == 0);
}

/*
 * The options that name somebody, one after the other; what stands between them does not matter.
 * For each, how many bytes are left from there on.
 */
static __u8 option0[LEN_V6], option1[LEN_V6], option2[LEN_V6], option3[LEN_V6], option4[LEN_V6],
	    option5[LEN_V6], behind_all[LEN_V6];
static __u8 *const options[] = { option0, option1, option2, option3, option4, option5, behind_all };
static unsigned int form[7], left_from[7];

/* In the place of claim(), for choice(): the first one. */
unsigned int first_claim(const struct toa_option_rules *r, const __u8 **opt, unsigned int *len,
			 int is_syn)
{
	prove(r == &rules && is_syn == syn && *opt == bytes && *len == BYTES - begin);
	if (!count)
		return 0;
	*opt = options[0];
	*len = left_from[0];
	return V6 & 1 ? TOA_HAVE_V6 : TOA_HAVE_V4;
}

/* In the place of next_claim(). */
unsigned int claim_behind(const struct toa_option_rules *r, const __u8 **opt, unsigned int *len,
			  int is_syn)
{
	unsigned int i = 0;

	prove(r == &rules && is_syn == syn);
	while (*opt != options[i])
		i++;
	prove(*len == left_from[i]);
	i++;
	*opt = options[i];
	*len = left_from[i];
	if (i == count)
		return 0;
	return V6 >> i & 1 ? TOA_HAVE_V6 : TOA_HAVE_V4;
}

void choice(void)
{
	const __be16 sender_port = nondet_int();
	struct toa_option_counts counts;
	unsigned int i, left;
	struct toa_addrs out;

	anything();
	count = COUNT;
	for (i = 0, left = BYTES - begin; i < MOST_CLAIMS; i++) {
		__CPROVER_havoc_object(options[i]);
		form[i] = nondet_int();
		suppose(form[i] < 3);
		form[i] = 2 * form[i] + (V6 >> i & 1);
		left_from[i] = nondet_int();
		options[i][1] = forms[form[i]].len;
		if (i < count) {
			suppose(left_from[i] <= left && left_from[i] >= options[i][1]);
			left = left_from[i] - options[i][1];
		}
		read_claim(options[i], form[i], sender_port, &claims[i]);
	}
	counts = toa_option_parse(&rules, bytes, BYTES - begin, syn, sender_port, &out);
	compare(&counts, &out);
}

/* What is stepped over before toa_option_parse(): whole options, and none that is looked for. */
void usual(void)
{
	unsigned int skip, at, i;

	anything();
	skip = toa_option_usual(bytes + begin, BYTES - begin, syn);
	prove(skip <= BYTES - begin);
	for (i = 0, at = begin; i < 6 && at < begin + skip; i++) {
		prove(bytes[at] == 1 || (is_option(at) && !rules.of[bytes[at]]));
		at = behind(at);
	}
	prove(at == begin + skip);
}

/*
 * Lists of kinds
 */

static char text[BYTES + 1];

/* Numbers with commas between; a newline may be the last character. */
static int list_is_good(unsigned int use, const __u8 *kinds)
{
	unsigned int i, digits = 0, number = 0, seen = 0, end = 0;
	static __u8 listed[256];

	while (text[end])
		end++;
	if (end && text[end - 1] == '\n')
		end--;
	for (i = 0; i <= end; i++) {
		if (i < end && text[i] >= '0' && text[i] <= '9') {
			digits++;
			number = number * 10 + text[i] - '0';
			if (number > 255)
				return 0;
			continue;
		}
		if (i < end && text[i] != ',')
			return 0;
		if (!end)
			break;
		if (!digits)
			return 0;
		if (number == 29 ? !(use & (TOA_USE_HOSTID | TOA_USE_BARE)) :
				   is_kernels_own(number))
			return 0;
		listed[number] = 1;
		digits = 0;
		number = 0;
	}
	i = nondet_byte();
	prove(kinds[i] == listed[i]);
	return 1;
}

void list(void)
{
	const unsigned int use = nondet_int();
	unsigned int i;
	__u8 kinds[256];
	int err;

	for (i = 0; i < BYTES; i++)
		text[i] = nondet_byte();
	err = toa_option_list(text, use, kinds);
	prove(err == 0 || err == -1);
	if (err)
		prove(!list_is_good(use, kinds));
	else
		prove(list_is_good(use, kinds));
}
