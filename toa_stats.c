// SPDX-License-Identifier: GPL-2.0
/*
 * The counters and /proc/net/toa_stats.
 *
 * The file shows the whole host, in the initial network namespace only. Its layout is a contract
 * with existing monitoring.
 */
#include "toa_log.h"
#include "toa_stats.h"

#include "toa_compat.h"
#include "toa_drain.h"
#include "toa_fault.h"

#include <linux/cpu.h>
#include <linux/cpumask.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <net/net_namespace.h>

DEFINE_PER_CPU(struct toa_stats, toa_stats);

/* How often a hook was not run. */
static unsigned long (*probe_missed)(void);

static const char *const stat_name[TOA_STAT_COUNT] = {
	[TOA_STAT_SYN_RECV_TOA] = "syn_recv_sock_toa",
	[TOA_STAT_SYN_RECV_NO_TOA] = "syn_recv_sock_no_toa",
	[TOA_STAT_GETNAME_OK] = "getname_toa_ok",
	[TOA_STAT_GETNAME_MISMATCH] = "getname_toa_mismatch",
	[TOA_STAT_GETNAME_EMPTY] = "getname_toa_empty",
	[TOA_STAT_IP6_ALLOC] = "ip6_address_alloc",
	[TOA_STAT_IP6_FREE] = "ip6_address_free",
	[TOA_STAT_INVALID] = "toa_invalid",
	[TOA_STAT_SYN_EVICTED] = "toa_syn_evicted",
	[TOA_STAT_TABLE_FULL] = "toa_table_full",
	[TOA_STAT_ALLOC_FAILED] = "toa_alloc_failed",
	[TOA_STAT_UNTRUSTED] = "toa_untrusted",
	[TOA_STAT_DISAGREE] = "toa_disagree",
	[TOA_STAT_SEGMENT] = "toa_segment",
	[TOA_STAT_LATE] = "toa_late",
	[TOA_STAT_SHARE_FULL] = "toa_share_full",
	[TOA_STAT_ENTRY_ALLOC] = "toa_entry_alloc",
	[TOA_STAT_ENTRY_FREE] = "toa_entry_free",
	[TOA_STAT_ADOPTED] = "toa_adopted",
};

static unsigned long stat_of(int cpu, enum toa_stat stat)
{
	return READ_ONCE(per_cpu(toa_stats, cpu).count[stat]);
}

/* One row: a column for each online CPU. What no online CPU has counted stands in the first. */
static void show_row(struct seq_file *seq, const char *name, unsigned long first,
		     enum toa_stat stat)
{
	int cpu;

	seq_printf(seq, "%-25s:", name);
	for_each_online_cpu(cpu) {
		unsigned long n = first;

		if (stat < TOA_STAT_COUNT)
			n += stat_of(cpu, stat);
		first = 0;
		seq_printf(seq, "%10lu ", n);
	}
	seq_putc(seq, '\n');
}

static int stats_show(struct seq_file *seq, void *v)
{
	enum toa_stat stat;
	int cpu;

	/* A CPU that goes or comes between two rows would shift their columns. */
	cpus_read_lock();
	seq_printf(seq, "%34s", "");
	for_each_online_cpu(cpu)
		seq_printf(seq, "CPU%d       ", cpu);
	seq_putc(seq, '\n');
	for (stat = 0; stat < TOA_STAT_COUNT; stat++) {
		unsigned long offline = 0;

		for_each_possible_cpu(cpu)
			if (!cpu_online(cpu))
				offline += stat_of(cpu, stat);
		show_row(seq, stat_name[stat], offline, stat);
	}
	show_row(seq, "toa_probe_missed", probe_missed(), TOA_STAT_COUNT);
	cpus_read_unlock();
	return 0;
}

static int stats_open(struct inode *inode, struct file *file)
{
	return single_open(file, stats_show, NULL);
}

TOA_PROC_SEQ_OPS(stats_ops, stats_open, toa_seq_read, single_release);

/**
 * toa_stats_init() - create /proc/net/toa_stats
 * @missed: what to ask how often a hook was not run
 *
 * Mode 0444: the counters name nobody.
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int __init toa_stats_init(unsigned long (*missed)(void))
{
	probe_missed = missed;
	if (!toa_fails() && proc_create("toa_stats", 0444, init_net.proc_net, &stats_ops))
		return 0;
	pr_err("cannot create /proc/net/toa_stats: is memory short?\n");
	return -ENOMEM;
}

/**
 * toa_stats_exit() - remove /proc/net/toa_stats
 *
 * Context: process; waits for readers.
 */
void toa_stats_exit(void)
{
	remove_proc_entry("toa_stats", init_net.proc_net);
}
