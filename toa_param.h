/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_PARAM_H
#define TOA_PARAM_H

#include "toa.h"
#include "toa_compat.h"
#include "toa_option.h"

#include <linux/kernel.h>
#include <linux/printk.h>
#include <linux/ratelimit.h>

extern bool toa_debug;
extern bool toa_kernel_getname;
extern bool toa_nat64_getpeername;
extern struct toa_option_rules toa_option_rules;
extern unsigned int toa_segments;
extern int (*toa_segments_changed)(void);
extern unsigned int toa_syn_slots;	/* TOA_SYN_SLOTS_USUAL until toa_handshake_init() */
extern unsigned int toa_table_max;
extern unsigned int toa_tenant_share;
extern unsigned int toa_handover_seconds;

/* As many as the memory of the machine suggests. */
#define TOA_SYN_SLOTS_USUAL UINT_MAX

/* toa_segments: a bit for each TOA_SEGMENT_ that the balancer writes its options into. */
#define TOA_SEGMENT_BIT(segment) (1 << (segment))
#define TOA_SEGMENTS_ALL \
	(TOA_SEGMENT_BIT(TOA_SEGMENT_SYN) | TOA_SEGMENT_BIT(TOA_SEGMENT_ACK) | \
	 TOA_SEGMENT_BIT(TOA_SEGMENT_DATA))

struct kernel_param;

int toa_param_set_bool(const char *val, const struct kernel_param *kp);

/* One line for each decision, for whoever looks for a lost address with dmesg. */
#define toa_dbg(fmt, ...) \
	do { \
		if (unlikely(READ_ONCE(toa_debug))) \
			pr_info_ratelimited(fmt, ##__VA_ARGS__); \
	} while (0)

#endif /* TOA_PARAM_H */
