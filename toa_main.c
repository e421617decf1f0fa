// SPDX-License-Identifier: GPL-2.0
/*
 * Init and exit: the order in which the rooms of the module open and close.
 */
#include "toa_internal.h"

#include <linux/delay.h>
#include <linux/kallsyms.h>
#include <linux/namei.h>

#define TOA_VERSION "1.0.0"

/**
 * toa_other_module() - name another TOA module, for the line that says what is in the way
 *
 * Those of all vendors descend from one, and have a function of its name.
 *
 * Context: process.
 * Return: " (function [module])", or an empty string.
 */
const char * __init toa_other_module(void)
{
	static char name[KSYM_SYMBOL_LEN + 4] __initdata;
	unsigned long address;

	if (!toa_kprobe_address("inet_getname_toa", &address) && address)
		snprintf(name, sizeof(name), " (%ps)", (void *)address);
	return name;
}

/* Creating a /proc file twice is a warning with a stack trace; look before. */
static int __init check_alone(void)
{
	struct path path;

	if (kern_path("/proc/1/net/toa_stats", LOOKUP_FOLLOW, &path))
		return 0;
	path_put(&path);
	pr_err("/proc/net/toa_stats exists: another TOA module is loaded%s. Unload it first\n",
	       toa_other_module());
	return -EEXIST;
}

static int __init toa_init(void)
{
	int err;

	err = check_alone();
	if (err)
		return err;
	err = toa_handshake_init();
	if (err)
		return err;
	err = toa_table_init();
	if (err)
		goto no_table;
	err = toa_hook_init();
	if (err)
		goto no_hook;
	err = toa_stats_init();
	if (err)
		goto no_stats;
	/* Last, so that nobody is answered before all is there. */
	err = toa_nat64_init();
	if (err)
		goto no_nat64;
	pr_info("%s, hooks by %s, %s: toa load success\n", TOA_VERSION, toa_hook_mechanism(),
		toa_trust_empty() ? "every sender is believed (trusted= is empty)" :
				    "senders in trusted= are believed");
	return 0;

no_nat64:
	toa_stats_exit();
no_stats:
	toa_hook_exit();
no_hook:
	toa_table_exit();
no_table:
	toa_handshake_exit();
	return err;
}

static long sum_of(const long __percpu *counts)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(*per_cpu_ptr(counts, cpu));
	return sum;
}

/**
 * toa_drain() - wait until all calls under way have returned
 * @inside: how many, on each CPU; one may end on another CPU than it began on: only the sum counts
 * @calls:  what is called, for the log
 *
 * Nobody begins one any more. A call that was begun is counted already, or is on its way to that
 * without having slept: the first wait ends when all those are counted. Then the counted ones
 * leave, and the second wait covers their way from the count to the return.
 *
 * Context: process, sleeps.
 */
void toa_drain(const long __percpu *inside, const char *calls)
{
	unsigned int ms = 0;
	long sum;

	toa_synchronize();
	while ((sum = sum_of(inside))) {
		msleep(20);
		ms += 20;
		if (ms % 10000 == 0)
			pr_info("waiting for %ld calls of %s to return\n", sum, calls);
	}
	toa_synchronize();
}

static void __exit toa_exit(void)
{
	toa_nat64_exit();
	toa_stats_exit();
	toa_hook_exit();
	toa_table_exit();
	toa_handshake_exit();
	pr_info("TOA unloaded\n");
}

module_init(toa_init);
module_exit(toa_exit);

MODULE_DESCRIPTION("TOA: the real client's address behind a layer-4 load balancer, from TCP options such as 200 and 253");
MODULE_AUTHOR("The toa authors");
MODULE_VERSION(TOA_VERSION);
MODULE_LICENSE("GPL");
