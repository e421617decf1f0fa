// SPDX-License-Identifier: GPL-2.0
/*
 * The parameters: their values, what is checked, and what modinfo says of them. (`trusted` is in
 * toa_trust.c, `hook` and `late` are in toa_hook.c: setting these does more than storing a value.)
 */
#include "toa_log.h"
#include "toa_param.h"

#include "toa.h"
#include "toa_compat.h"

#include <linux/moduleparam.h>
#include <linux/string.h>

/*
 * What is written to a parameter is refused, with a line, if it makes no sense; the old value
 * stays. The kernel holds a lock of the module's parameters around @set and @get.
 */

static int refuse(const char *val, const struct kernel_param *kp, const char *must_be)
{
	pr_err("%s=%.*s: must be %s\n", kp->name, (int)min_t(size_t, strcspn(val, "\n"), 80), val,
	       must_be);
	return -EINVAL;
}

/**
 * toa_param_set_bool() - set a bool, or refuse the value with a line
 * @val: 0 or 1, as the kernel understands these; NULL: 1
 * @kp:  the parameter; its argument is the bool
 *
 * Context: process.
 * Return: 0 or -EINVAL.
 */
int toa_param_set_bool(const char *val, const struct kernel_param *kp)
{
	return param_set_bool(val, kp) ? refuse(val, kp, "0 or 1") : 0;
}

static const struct kernel_param_ops bool_ops = {
	TOA_PARAM_NOARG
	.set = toa_param_set_bool,
	.get = param_get_bool,
};

struct bounded {
	unsigned int *value;
	unsigned int max;
};

static int set_bounded(const char *val, const struct kernel_param *kp)
{
	const struct bounded *b = kp->arg;
	char must_be[64];
	unsigned int n;

	if (kstrtouint(val, 0, &n) || n > b->max) {
		snprintf(must_be, sizeof(must_be), "a number up to %u", b->max);
		return refuse(val, kp, must_be);
	}
	WRITE_ONCE(*b->value, n);
	return 0;
}

static int get_bounded(char *buf, const struct kernel_param *kp)
{
	const struct bounded *b = kp->arg;
	const char *end = toa_param_end(buf);

	return scnprintf(buf, PAGE_SIZE, "%u%s", *b->value, end);
}

static const struct kernel_param_ops bounded_ops = {
	.set = set_bounded,
	.get = get_bounded,
};

struct toa_option_rules toa_option_rules __read_mostly = {
	.of = { [200] = TOA_USE_V4, [253] = TOA_USE_V6 },
};

unsigned int toa_segments __read_mostly = TOA_SEGMENTS_ALL;

/*
 * Called when it has been set, from toa_hook_init() on; in process context, with the lock of the
 * module's parameters held. It stays as it was if that returns an error.
 */
int (*toa_segments_changed)(void);

/*
 * Segments are being parsed meanwhile. A kind is added before another one is taken away, so that
 * while a balancer's kind is changed both are looked for, and never none.
 */
static int set_kinds(const char *val, const struct kernel_param *kp)
{
	static const char must_be[] =
		"kinds of TCP options with commas, none of the kernel's 0-5,8,19,29,30,34,172,174";
	const u8 use = (unsigned long)kp->arg;
	u8 kinds[ARRAY_SIZE(toa_option_rules.of)], *of = toa_option_rules.of;
	unsigned int i;

	if (toa_option_list(val, use, kinds))
		return refuse(val, kp, must_be);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i] && !(of[i] & use))
			WRITE_ONCE(of[i], of[i] | use);
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!kinds[i] && of[i] & use)
			WRITE_ONCE(of[i], of[i] & ~use);
	return 0;
}

static int get_kinds(char *buf, const struct kernel_param *kp)
{
	const u8 use = (unsigned long)kp->arg;
	const char *end = toa_param_end(buf);
	unsigned int i, len = 0;

	for (i = 0; i < ARRAY_SIZE(toa_option_rules.of); i++)
		if (toa_option_rules.of[i] & use)
			len += scnprintf(buf + len, PAGE_SIZE - len, len ? ",%u" : "%u", i);
	return len + scnprintf(buf + len, PAGE_SIZE - len, "%s", end);
}

static const struct kernel_param_ops kinds_ops = {
	.set = set_kinds,
	.get = get_kinds,
};

module_param_cb(opt_ipv4, &kinds_ops, (void *)TOA_USE_V4, 0644);
__MODULE_PARM_TYPE(opt_ipv4, "list of kinds");
MODULE_PARM_DESC(opt_ipv4, "TCP options of length 8 with port and IPv4 address: their kinds, with commas between (default 200)");

module_param_cb(opt_ipv6, &kinds_ops, (void *)TOA_USE_V6, 0644);
__MODULE_PARM_TYPE(opt_ipv6, "list of kinds");
MODULE_PARM_DESC(opt_ipv6, "TCP options of length 20 with port and IPv6 address: their kinds, with commas between (default 253)");

module_param_cb(opt_hostid, &kinds_ops, (void *)TOA_USE_HOSTID, 0644);
__MODULE_PARM_TYPE(opt_hostid, "list of kinds");
MODULE_PARM_DESC(opt_hostid, "TCP options of length 7 or 19 with a type and an address but no port, as CDNs send: their kinds, with commas between (default none, often 28)");

module_param_cb(opt_bare, &kinds_ops, (void *)TOA_USE_BARE, 0644);
__MODULE_PARM_TYPE(opt_bare, "list of kinds");
MODULE_PARM_DESC(opt_bare, "TCP options of length 6 or 18 with an address alone, as F5's rules send: their kinds, with commas between (default none, often 28)");

/* Which of several options counts. */

static const char *const pick_names[] = { "first", "last" };

static int set_pick(const char *val, const struct kernel_param *kp)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(pick_names); i++) {
		if (!sysfs_streq(val, pick_names[i]))
			continue;
		WRITE_ONCE(toa_option_rules.last, i);
		return 0;
	}
	return refuse(val, kp, "first or last");
}

static int get_pick(char *buf, const struct kernel_param *kp)
{
	const char *end = toa_param_end(buf);

	return scnprintf(buf, PAGE_SIZE, "%s%s", pick_names[toa_option_rules.last], end);
}

static const struct kernel_param_ops pick_ops = {
	.set = set_pick,
	.get = get_pick,
};

module_param_cb(pick, &pick_ops, NULL, 0644);
__MODULE_PARM_TYPE(pick, "charp");
MODULE_PARM_DESC(pick, "Which of several options in a segment counts: first, or last behind balancers that each put their own in front (default first)");

static bool both;

static int set_both(const char *val, const struct kernel_param *kp)
{
	int err = toa_param_set_bool(val, kp);

	if (!err)
		WRITE_ONCE(toa_option_rules.both, both);
	return err;
}

static const struct kernel_param_ops both_ops = {
	TOA_PARAM_NOARG
	.set = set_both,
	.get = param_get_bool,
};

module_param_cb(both, &both_ops, &both, 0644);
__MODULE_PARM_TYPE(both, "bool");
MODULE_PARM_DESC(both, "One segment may name an IPv4 and an IPv6 client, as behind SNAT behind NAT64 (0 or 1, default 0)");

static const char *const segment_names[] = {
	[TOA_SEGMENT_SYN] = "syn",
	[TOA_SEGMENT_ACK] = "ack",
	[TOA_SEGMENT_DATA] = "data",
};

/* The segment that a text begins with, or TOA_SEGMENT_NONE. */
static unsigned int segment_named(const char *text, size_t len)
{
	unsigned int i;

	for (i = TOA_SEGMENT_SYN; i < ARRAY_SIZE(segment_names); i++)
		if (strlen(segment_names[i]) == len && !memcmp(text, segment_names[i], len))
			return i;
	return TOA_SEGMENT_NONE;
}

static int set_segments(const char *val, const struct kernel_param *kp)
{
	unsigned int segments = 0, segment, before;
	const char *at = val;
	size_t len;
	int err;

	for (;; at += len + 1) {
		len = strcspn(at, ",\n");
		segment = segment_named(at, len);
		if (segment == TOA_SEGMENT_NONE)
			return refuse(val, kp, "a list of syn, ack, data, with commas");
		segments |= TOA_SEGMENT_BIT(segment);
		if (at[len] != ',')
			break;
	}
	if (at[len] && at[len + 1])
		return refuse(val, kp, "a list of syn, ack, data, with commas");
	before = toa_segments;
	WRITE_ONCE(toa_segments, segments);
	err = toa_segments_changed ? toa_segments_changed() : 0;
	if (err)
		WRITE_ONCE(toa_segments, before);
	return err;
}

static int get_segments(char *buf, const struct kernel_param *kp)
{
	const char *end = toa_param_end(buf);
	unsigned int i, len = 0;

	for (i = TOA_SEGMENT_SYN; i < ARRAY_SIZE(segment_names); i++)
		if (toa_segments & TOA_SEGMENT_BIT(i))
			len += scnprintf(buf + len, PAGE_SIZE - len, len ? ",%s" : "%s",
					 segment_names[i]);
	return len + scnprintf(buf + len, PAGE_SIZE - len, "%s", end);
}

static const struct kernel_param_ops segments_ops = {
	.set = set_segments,
	.get = get_segments,
};

module_param_cb(segments, &segments_ops, NULL, 0644);
__MODULE_PARM_TYPE(segments, "list of syn, ack, data");
MODULE_PARM_DESC(segments, "The segments that the balancer writes its options into, with commas between; options in others are the client's own, and ignored (default syn,ack,data)");

bool toa_nat64_getpeername __read_mostly = true;
module_param_cb(nat64_getpeername, &bool_ops, &toa_nat64_getpeername, 0644);
__MODULE_PARM_TYPE(nat64_getpeername, "bool");
MODULE_PARM_DESC(nat64_getpeername, "Show IPv6 clients of IPv4 connections to AF_INET6 sockets; if not, only getsockopt does (0 or 1, default 1)");

#ifdef TOA_DEBUG
bool toa_debug __read_mostly = true;
#else
bool toa_debug __read_mostly;
#endif
module_param_cb(debug, &bool_ops, &toa_debug, 0644);
__MODULE_PARM_TYPE(debug, "bool");
MODULE_PARM_DESC(debug, "One kernel log line, rate-limited, for each decision (0 or 1, default 0)");

bool toa_kernel_getname __read_mostly;
module_param_cb(kernel_getname, &bool_ops, &toa_kernel_getname, 0644);
__MODULE_PARM_TYPE(kernel_getname, "bool");
MODULE_PARM_DESC(kernel_getname, "Show the real client to servers inside the kernel too, such as NFS (0 or 1, default 0)");

unsigned int toa_syn_slots __read_mostly = TOA_SYN_SLOTS_USUAL;
static struct bounded syn_slots = { &toa_syn_slots, 1 << 24 };
module_param_cb(syn_slots, &bounded_ops, &syn_slots, 0444);
__MODULE_PARM_TYPE(syn_slots, "uint");
MODULE_PARM_DESC(syn_slots, "Handshakes whose SYN carried an address that are kept at once, 80 bytes each (0 to 16777216, 0: do not look at SYNs; default auto: one for each 64 KiB of memory, from 4096 to 262144)");

unsigned int toa_table_max __read_mostly = 1 << 20;
static struct bounded table_max = { &toa_table_max, 1 << 28 };
module_param_cb(table_max, &bounded_ops, &table_max, 0644);
__MODULE_PARM_TYPE(table_max, "uint");
MODULE_PARM_DESC(table_max, "Connections with an address that are kept at once (0 to 268435456, default 1048576)");

unsigned int toa_tenant_share __read_mostly = 8;
static struct bounded tenant_share = { &toa_tenant_share, 1 << 28 };
module_param_cb(tenant_share, &bounded_ops, &tenant_share, 0644);
__MODULE_PARM_TYPE(tenant_share, "uint");
MODULE_PARM_DESC(tenant_share, "N: the network namespaces of one tenant (a user who made user namespaces, or one that root made) get at most 1/N of table_max and syn_slots; 1: no limit of their own, 0: they get nothing (0 to 268435456, default 8)");

unsigned int toa_handover_seconds __read_mostly = 24 * 60 * 60;
static struct bounded handover_seconds = { &toa_handover_seconds, 1 << 24 };
module_param_cb(handover_seconds, &bounded_ops, &handover_seconds, 0644);
__MODULE_PARM_TYPE(handover_seconds, "uint");
MODULE_PARM_DESC(handover_seconds, "How long addresses that were handed over by /proc/net/toa_handover wait for their connections to be asked for (0 to 16777216, default 86400: a day)");
