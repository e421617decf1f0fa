// SPDX-License-Identifier: GPL-2.0
/*
 * For tests, in DEBUG builds only: faults on demand, ends that go unnoticed, a clock that is ahead,
 * and a reader that can be held.
 */
#include "toa_fault.h"

#include "toa_compat.h"

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

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

/* Set by toa_debug.c, which sees to what is due then. */
unsigned int toa_fault_ahead;

/**
 * toa_ahead() - how many seconds the module's clock is ahead of the kernel's
 *
 * Context: any.
 */
u32 toa_ahead(void)
{
	return READ_ONCE(toa_fault_ahead);
}

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
