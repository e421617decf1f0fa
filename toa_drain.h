/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_DRAIN_H
#define TOA_DRAIN_H

#include <linux/fs.h>
#include <linux/percpu.h>

void toa_drain(const long __percpu *inside, const char *calls);
ssize_t toa_seq_read(struct file *file, char __user *user, size_t size, loff_t *pos);

#endif /* TOA_DRAIN_H */
