// SPDX-License-Identifier: GPL-2.0
/*
 * Which senders are believed: the parameter `trusted`.
 *
 * The list is kept as ranges of addresses that are sorted and do not overlap, IPv4's and IPv6's
 * apart, and searched by halves. (The kernel's own structures for prefixes are no choice: the trie
 * of BPF is not for modules, the one of the routing tables is bound to them, and neither is on all
 * versions.) A new list replaces the old one as a whole.
 */
#include "toa_log.h"
#include "toa_trust.h"

#include "toa_compat.h"
#include "toa_fault.h"

#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/if_ether.h>
#include <linux/inet.h>
#include <linux/ip.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/skbuff.h>
#include <linux/sort.h>
#include <linux/string.h>

enum {
	IPV4,
	IPV6,
	FAMILIES,
	ITEM_SIZE = sizeof("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128"),
};

/* In host byte order; an IPv4 address is the low half of @lo. */
struct addr {
	u64 hi;
	u64 lo;
};

struct span {
	struct addr first;
	struct addr last;
};

/**
 * struct toa_trust - a list
 * @text: as it was given
 * @part: for IPv4 and IPv6, where in @span theirs begin, and how many
 * @span: what it covers
 */
struct toa_trust {
	char *text;
	struct {
		unsigned int begin;
		unsigned int count;
	} part[FAMILIES];
	struct span span[];
};

struct toa_trust __rcu *toa_trust __read_mostly;

/* Writers are serialised by the lock that the kernel holds around all accesses to a parameter. */
static struct toa_trust *current_list(void)
{
	return rcu_dereference_protected(toa_trust, 1);
}

static bool less(const struct addr *a, const struct addr *b)
{
	return a->hi != b->hi ? a->hi < b->hi : a->lo < b->lo;
}

static void addr_v4(struct addr *a, const __be32 *from)
{
	a->hi = 0;
	a->lo = ntohl(*from);
}

static void addr_v6(struct addr *a, const __be32 *from)
{
	a->hi = (u64)ntohl(from[0]) << 32 | ntohl(from[1]);
	a->lo = (u64)ntohl(from[2]) << 32 | ntohl(from[3]);
}

static bool covers(const struct toa_trust *list, unsigned int family, const struct addr *a)
{
	const struct span *span = &list->span[list->part[family].begin];
	unsigned int from = 0, to = list->part[family].count;

	while (from < to) {
		unsigned int middle = from + (to - from) / 2;

		if (less(a, &span[middle].first))
			to = middle;
		else if (less(&span[middle].last, a))
			from = middle + 1;
		else
			return true;
	}
	return false;
}

/**
 * toa_trust_covers() - ask whether the sender of a segment is in the list
 * @skb: the segment, IPv4 or IPv6
 *
 * Only the address in the segment's own header counts, in the list of its own family: an IPv6
 * address that names an IPv4 one is none.
 *
 * Context: any, takes no lock.
 * Return: true if it is, or if there is no list.
 */
bool toa_trust_covers(const struct sk_buff *skb)
{
	const struct toa_trust *list;
	unsigned int family;
	struct addr sender;
	bool covered;

	if (skb->protocol == htons(ETH_P_IP)) {
		family = IPV4;
		addr_v4(&sender, &ip_hdr(skb)->saddr);
	} else {
		family = IPV6;
		addr_v6(&sender, ipv6_hdr(skb)->saddr.s6_addr32);
	}
	rcu_read_lock();
	list = rcu_dereference(toa_trust);
	covered = !list || covers(list, family, &sender);
	rcu_read_unlock();
	return covered;
}

/*
 * Reading a list: addresses and prefixes with commas or white space between them
 */

static const char *next_item(const char *p, size_t *len)
{
	static const char between[] = ", \t\r\n";

	p += strspn(p, between);
	*len = strcspn(p, between);
	return *len ? p : NULL;
}

/* The bits of a 128-bit address that a prefix of @bits leaves open. */
static void open_bits(unsigned int bits, struct addr *mask)
{
	mask->hi = bits >= 64 ? 0 : ~0ULL >> bits;
	mask->lo = bits >= 128 ? 0 : bits <= 64 ? ~0ULL : ~0ULL >> (bits - 64);
}

/* Return: NULL, or what is wrong. */
static const char *parse_item(char *item, struct span *span)
{
	bool ipv6 = strchr(item, ':');
	unsigned int width = ipv6 ? 128 : 32;
	char *prefix = strchr(item, '/');
	unsigned int bits = width;
	struct in6_addr addr;
	struct addr open;
	const char *end;

	if (prefix) {
		*prefix++ = 0;
		if (!isdigit(*prefix) || kstrtouint(prefix, 10, &bits) || bits > width)
			return "has no such prefix length";
	}
	if (!(ipv6 ? in6_pton(item, -1, addr.s6_addr, -1, &end) :
		     in4_pton(item, -1, addr.s6_addr, -1, &end)) || *end)
		return "is no address";
	if (ipv6 && ipv6_addr_v4mapped(&addr))
		return "is an IPv4 address in IPv6's clothes: write the IPv4 address";
	if (ipv6)
		addr_v6(&span->first, addr.s6_addr32);
	else
		addr_v4(&span->first, addr.s6_addr32);
	open_bits(bits + 128 - width, &open);
	if (span->first.hi & open.hi || span->first.lo & open.lo)
		return "has bits set behind its prefix";
	span->last.hi = span->first.hi | open.hi;
	span->last.lo = span->first.lo | open.lo;
	return NULL;
}

/* Parse item after item into its family's part. */
static int parse_list(const char *text, struct toa_trust *list)
{
	const char *p, *wrong;
	char item[ITEM_SIZE];
	size_t len;

	for (p = text; (p = next_item(p, &len)); p += len) {
		unsigned int family = memchr(p, ':', len) ? IPV6 : IPV4;
		struct span *span = &list->span[list->part[family].begin +
						   list->part[family].count];

		snprintf(item, sizeof(item), "%.*s", (int)len, p);
		wrong = len < sizeof(item) ? parse_item(item, span) : "is no address";
		if (wrong) {
			pr_err("trusted: '%.*s' %s; the list is refused as a whole\n",
			       (int)min_t(size_t, len, ITEM_SIZE), p, wrong);
			return -EINVAL;
		}
		list->part[family].count++;
	}
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return less(&x->first, &y->first) ? -1 : less(&y->first, &x->first);
}

/* Sort, and let one span stand for those that overlap. */
static void merge_part(struct toa_trust *list, unsigned int family)
{
	struct span *span = &list->span[list->part[family].begin];
	unsigned int i, n = 0;

	sort(span, list->part[family].count, sizeof(*span), by_first, NULL);
	for (i = 0; i < list->part[family].count; i++) {
		if (!n || less(&span[n - 1].last, &span[i].first))
			span[n++] = span[i];
		else if (less(&span[n - 1].last, &span[i].last))
			span[n - 1].last = span[i].last;
	}
	list->part[family].count = n;
}

static void list_free(struct toa_trust *list)
{
	if (list)
		toa_kvfree(list->text);
	toa_kvfree(list);
}

/* The items, with a comma between them: what the parameter shows. */
static char *text_of(const char *text)
{
	char *copy = toa_fails() ? NULL : toa_kvzalloc(strlen(text) + 1), *to = copy;
	const char *p;
	size_t len;

	if (!copy)
		return NULL;
	for (p = text; (p = next_item(p, &len)); p += len) {
		if (to != copy)
			*to++ = ',';
		memcpy(to, p, len);
		to += len;
	}
	return copy;
}

/* Return: a list; NULL if @text names nobody; or an error. */
static struct toa_trust *list_of(const char *text)
{
	unsigned int count[FAMILIES] = { 0 };
	struct toa_trust *list;
	const char *p;
	size_t len;
	int err;

	for (p = text; (p = next_item(p, &len)); p += len)
		count[memchr(p, ':', len) ? IPV6 : IPV4]++;
	if (!count[IPV4] && !count[IPV6])
		return NULL;
	list = toa_fails() ? NULL :
	       toa_kvzalloc(sizeof(*list) + sizeof(list->span[0]) * (count[IPV4] + count[IPV6]));
	if (!list)
		return ERR_PTR(-ENOMEM);
	list->part[IPV6].begin = count[IPV4];
	list->text = text_of(text);
	err = list->text ? parse_list(text, list) : -ENOMEM;
	if (err) {
		list_free(list);
		return ERR_PTR(err);
	}
	merge_part(list, IPV4);
	merge_part(list, IPV6);
	return list;
}

/*
 * The parameter
 */

static int trusted_set(const char *text, const struct kernel_param *kp)
{
	struct toa_trust *old = current_list(), *list;
	size_t len = strlen(text);

	/* sysfs (but no load) hands long texts over in pieces, and each would be a list. */
	if (THIS_MODULE->state != MODULE_STATE_COMING &&
	    (len == PAGE_SIZE || len == PAGE_SIZE - 1)) {
		pr_err("trusted: the list is too long for sysfs, which carries less than %lu bytes: load the module with it\n",
		       PAGE_SIZE - 1);
		return -E2BIG;
	}
	list = list_of(text);
	if (IS_ERR(list)) {
		if (PTR_ERR(list) == -ENOMEM)
			pr_err("trusted: no memory for the list\n");
		return PTR_ERR(list);
	}
	rcu_assign_pointer(toa_trust, list);
	if (old) {
		synchronize_rcu();
		list_free(old);
	}
	if (list)
		pr_info("trusted: %u ranges of IPv4 addresses and %u of IPv6\n",
			list->part[IPV4].count, list->part[IPV6].count);
	else
		pr_info("trusted: empty, every sender is believed\n");
	return 0;
}

/* What does not fit in sysfs's page ends with dots, and is no list if written back. */
static int trusted_get(char *page, const struct kernel_param *kp)
{
	const struct toa_trust *list = current_list();
	const int room = PAGE_SIZE - sizeof(",...\n");
	const char *end = toa_param_end(page);
	int len;

	if (!list)
		return sprintf(page, "%s", end);
	len = strlen(list->text);
	if (len <= room)
		return sprintf(page, "%s%s", list->text, end);
	for (len = room; list->text[len] != ','; len--)
		;
	return sprintf(page, "%.*s,...%s", len, list->text, end);
}

/* At the very end of an unload, and of a load that failed. */
static void trusted_free(void *arg)
{
	list_free(current_list());
	RCU_INIT_POINTER(toa_trust, NULL);
}

static const struct kernel_param_ops trusted_ops = {
	.set = trusted_set,
	.get = trusted_get,
	.free = trusted_free,
};

module_param_cb(trusted, &trusted_ops, NULL, 0644);
MODULE_PARM_DESC(trusted, "Balancers whose options are believed: addresses and prefixes, such as 192.0.2.0/24,2001:db8::1 (default empty: every sender is believed)");
