// SPDX-License-Identifier: GPL-2.0
/*
 * The way out of the module: calls under way are waited for; those that may last for ever keep the
 * module in use.
 */
#include "toa_log.h"
#include "toa_drain.h"

#include "toa_compat.h"

#include <linux/delay.h>
#include <linux/module.h>
#include <linux/seq_file.h>

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

/**
 * toa_seq_read() - seq_read(), which may wait for the reader's memory for ever
 * @file: one of the module's files in /proc
 * @user: where to, in the reader's memory
 * @size: how much fits there
 * @pos:  from where on
 *
 * Whoever takes a file out of /proc waits for its readers. So a reader keeps the module in use:
 * rmmod says so, instead of waiting.
 *
 * Context: process, may sleep.
 * Return: how much was read, or an error: -EIO, as of a file that is gone, while the module goes.
 */
ssize_t toa_seq_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	ssize_t n;

	if (!try_module_get(THIS_MODULE))
		return -EIO;
	n = seq_read(file, user, size, pos);
	module_put(THIS_MODULE);
	return n;
}
