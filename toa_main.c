// SPDX-License-Identifier: GPL-2.0
/*
 * Parameters, init and exit: the order in which the rooms of the module open and close.
 */
#include "toa_internal.h"

#include <linux/namei.h>

#define TOA_VERSION "1.0.0"

#ifdef TOA_DEBUG
bool toa_debug __read_mostly = true;
#else
bool toa_debug __read_mostly;
#endif
module_param_named(debug, toa_debug, bool, 0644);
MODULE_PARM_DESC(debug, "One kernel log line, rate-limited, for each decision (0 or 1, default 0)");

bool toa_kernel_getname __read_mostly;
module_param_named(kernel_getname, toa_kernel_getname, bool, 0644);
MODULE_PARM_DESC(kernel_getname, "Show the real client to servers inside the kernel too, such as NFS (0 or 1, default 0)");

unsigned int toa_syn_slots __read_mostly = 16384;
module_param_named(syn_slots, toa_syn_slots, uint, 0444);
MODULE_PARM_DESC(syn_slots, "Handshakes whose SYN carried an address that are kept at once, 112 bytes each (0: do not look at SYNs; default 16384)");

unsigned int toa_table_max __read_mostly = 1 << 20;
module_param_named(table_max, toa_table_max, uint, 0644);
MODULE_PARM_DESC(table_max, "Connections with an address that are kept at once (default 1048576)");

char *toa_hook_mode = "auto";
module_param_named(hook, toa_hook_mode, charp, 0444);
MODULE_PARM_DESC(hook, "How to attach to the kernel: auto, ftrace or kprobe; kprobe where live patches must go in (default auto)");

/* Creating a /proc file twice is a warning with a stack trace; look before. */
static int __init check_alone(void)
{
	struct path path;

	if (kern_path("/proc/1/net/toa_stats", LOOKUP_FOLLOW, &path))
		return 0;
	path_put(&path);
	pr_err("/proc/net/toa_stats exists: another TOA module is loaded. Unload it first\n");
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

MODULE_DESCRIPTION("TOA: the real client's address behind a layer-4 load balancer, from TCP options 200 and 253");
MODULE_AUTHOR("The toa authors");
MODULE_VERSION(TOA_VERSION);
MODULE_LICENSE("GPL");
