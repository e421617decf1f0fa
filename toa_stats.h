/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_STATS_H
#define TOA_STATS_H

#include <linux/percpu.h>

enum toa_stat {
	/* The first seven rows are a contract with existing monitoring. */
	TOA_STAT_SYN_RECV_TOA,
	TOA_STAT_SYN_RECV_NO_TOA,
	TOA_STAT_GETNAME_OK,
	TOA_STAT_GETNAME_MISMATCH,
	TOA_STAT_GETNAME_EMPTY,
	TOA_STAT_IP6_ALLOC,
	TOA_STAT_IP6_FREE,
	TOA_STAT_INVALID,
	TOA_STAT_SYN_EVICTED,
	TOA_STAT_TABLE_FULL,
	TOA_STAT_ALLOC_FAILED,
	TOA_STAT_UNTRUSTED,
	TOA_STAT_DISAGREE,
	TOA_STAT_SEGMENT,
	TOA_STAT_LATE,
	TOA_STAT_SHARE_FULL,
	TOA_STAT_ENTRY_ALLOC,
	TOA_STAT_ENTRY_FREE,
	TOA_STAT_ADOPTED,
	TOA_STAT_COUNT,
};

struct toa_stats {
	unsigned long count[TOA_STAT_COUNT];
};

DECLARE_PER_CPU(struct toa_stats, toa_stats);

static inline void toa_stat_add(enum toa_stat stat, unsigned int n)
{
	this_cpu_add(toa_stats.count[stat], n);
}

static inline void toa_stat_inc(enum toa_stat stat)
{
	this_cpu_inc(toa_stats.count[stat]);
}

int toa_stats_init(unsigned long (*missed)(void));
void toa_stats_exit(void);

#endif /* TOA_STATS_H */
