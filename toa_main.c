// SPDX-License-Identifier: GPL-2.0
/*
 * Init and exit: the order in which the rooms of the module open and close.
 */
#include "toa_log.h"

#include "toa_handover.h"
#include "toa_handshake.h"
#include "toa_hook.h"
#include "toa_nat64.h"
#include "toa_proc.h"
#include "toa_stats.h"
#include "toa_symbol.h"
#include "toa_table.h"
#include "toa_trust.h"
#include "toa_waiting.h"

#include <linux/init.h>
#include <linux/module.h>
#include <linux/namei.h>

/* Creating a /proc file twice is a warning with a stack trace; look before. */
static int __init check_alone(void)
{
	struct path path;

	if (kern_path("/proc/1/net/toa_stats", LOOKUP_FOLLOW, &path))
		return 0;
	path_put(&path);
	pr_err("/proc/net/toa_stats exists: another TOA module is loaded%s. Unload it first\n",
	       toa_symbol_other_toa());
	return -EEXIST;
}

static int __init toa_init(void)
{
	int err;

	err = check_alone();
	if (err)
		return err;
	toa_handshake_init();
	err = toa_table_init();
	if (err)
		goto no_table;
	err = toa_proc_init();
	if (err)
		goto no_proc;
	err = toa_hook_init();
	if (err)
		goto no_hook;
	err = toa_stats_init(toa_hook_missed);
	if (err)
		goto no_stats;
	err = toa_handover_init();
	if (err)
		goto no_handover;
	/* Last, so that nobody is answered before all is there. */
	err = toa_nat64_init();
	if (err)
		goto no_nat64;
	pr_info("%s, hooks by %s, %s: toa load success\n", TOA_VERSION, toa_hook_mechanism(),
		toa_trust_empty() ? "every sender is believed (trusted= is empty)" :
				    "senders in trusted= are believed");
	return 0;

no_nat64:
	toa_handover_exit();
no_handover:
	toa_stats_exit();
no_stats:
	toa_hook_exit();
no_hook:
	toa_proc_exit();
no_proc:
	toa_waiting_exit();
	toa_table_exit();
no_table:
	toa_handshake_exit();
	return err;
}

static void __exit toa_exit(void)
{
	toa_nat64_exit();
	toa_handover_exit();
	toa_stats_exit();
	toa_hook_exit();
	toa_proc_exit();
	toa_waiting_exit();
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
/*
 * Where IPv6 is a module, its functions must be there when hooks are attached: else IPv4 only, and
 * nobody says so. The oldest kernels have no MODULE_SOFTDEP().
 */
MODULE_INFO(softdep, "pre: ipv6");
