// SPDX-License-Identifier: GPL-2.0
/*
 * For tests, in DEBUG builds only: faults on demand, entries without connections, ends that go
 * unnoticed, time that passes at once, and a reader that can be held.
 */
#include "toa_internal.h"

static unsigned int fail;
module_param(fail, uint, 0644);
MODULE_PARM_DESC(fail, "Let the Nth step from now on that can fail do so; counts down (default 0: none)");

static unsigned int fail_one_in;
module_param(fail_one_in, uint, 0644);
MODULE_PARM_DESC(fail_one_in, "Let one in N steps that can fail do so, at random (default 0: none)");

/**
 * toa_fails() - asked at each allocation and registration: shall it fail?
 *
 * Context: any, takes no lock. Counting is exact while nobody asks at the same time, as at load.
 */
bool toa_fails(void)
{
	static atomic_t steps = ATOMIC_INIT(0);
	unsigned int left = READ_ONCE(fail), one_in = READ_ONCE(fail_one_in);

	if (left) {
		WRITE_ONCE(fail, left - 1);
		if (left == 1)
			return true;
	}
	/* Not the random numbers of the kernel, which not every context may ask for. */
	return one_in && ((u32)atomic_inc_return(&steps) * 0x9e3779b1U >> 8) % one_in == 0;
}

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

static unsigned int ahead;

/**
 * toa_ahead() - how many seconds the module's clock is ahead of the kernel's
 *
 * Context: any.
 */
u32 toa_ahead(void)
{
	return READ_ONCE(ahead);
}

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

module_param_cb(ahead, &ahead_ops, &ahead, 0644);
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

static bool deaf;
module_param(deaf, bool, 0644);
MODULE_PARM_DESC(deaf, "Do not notice the end of connections, as kprobes may (default 0)");

/**
 * toa_deaf() - shall the end of a connection go unnoticed?
 *
 * Context: any.
 */
bool toa_deaf(void)
{
	return READ_ONCE(deaf);
}

static unsigned int hold;
module_param(hold, uint, 0644);
MODULE_PARM_DESC(hold, "1: hold the next reader of an entry before it copies it; 2: it is held (default 0)");

/**
 * toa_hold() - where a reader has found its entry: stay there while a test says so
 *
 * Context: any; waits for at most five seconds.
 */
void toa_hold(void)
{
	unsigned long until = jiffies + 5 * HZ;

	if (cmpxchg(&hold, 1, 2) != 1)
		return;
	while (READ_ONCE(hold) == 2 && time_before(jiffies, until))
		cpu_relax();
}
