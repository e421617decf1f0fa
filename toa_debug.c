// SPDX-License-Identifier: GPL-2.0
/*
 * For tests, in DEBUG builds only: parameters that drive the rooms below. Entries without
 * connections, time that passes at once, and how many handshakes are kept.
 */
#include "toa_fault.h"
#include "toa_handshake.h"
#include "toa_hook.h"
#include "toa_table.h"

#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

static unsigned int synthetic;

static int synthetic_set(const char *text, const struct kernel_param *kp)
{
	unsigned int want;
	int err = kstrtouint(text, 0, &want);

	if (err)
		return err;
	/* At load there is no table yet. */
	if (!toa_table)
		return -EAGAIN;
	while (synthetic < want && toa_table_insert_synthetic(synthetic)) {
		synthetic++;
		cond_resched();
	}
	while (synthetic > want) {
		toa_table_remove_synthetic(--synthetic);
		cond_resched();
	}
	return synthetic == want ? 0 : -ENOSPC;
}

static const struct kernel_param_ops synthetic_ops = {
	.set = synthetic_set,
	.get = param_get_uint,
};

module_param_cb(synthetic, &synthetic_ops, &synthetic, 0644);
MODULE_PARM_DESC(synthetic, "Entries in the table that belong to no connection (default 0)");

static int ahead_set(const char *text, const struct kernel_param *kp)
{
	int err = param_set_uint(text, kp);

	if (!err) {
		toa_handshake_sweep();
		toa_hook_catch_up();
	}
	return err;
}

static const struct kernel_param_ops ahead_ops = {
	.set = ahead_set,
	.get = param_get_uint,
};

module_param_cb(ahead, &ahead_ops, &toa_fault_ahead, 0644);
MODULE_PARM_DESC(ahead, "Seconds that the module's clock is ahead; what is due then is done at once (default 0)");

static int kept_get(char *text, const struct kernel_param *kp)
{
	unsigned int i, sum = 0;

	for (i = 0; i < TOA_HANDSHAKE_ENDINGS; i++)
		sum += atomic_read(&toa_handshake_kept[i]);
	return scnprintf(text, 16, "%u", sum);
}

static int kept_set(const char *text, const struct kernel_param *kp)
{
	return -EPERM;
}

static const struct kernel_param_ops kept_ops = {
	.set = kept_set,
	.get = kept_get,
};

module_param_cb(kept, &kept_ops, NULL, 0444);
MODULE_PARM_DESC(kept, "Handshakes that are kept (read only)");
