/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How the module's lines in the kernel's log begin: a contract with whoever looks for them.
 */
#ifndef TOA_LOG_H
#define TOA_LOG_H

#undef pr_fmt
#define pr_fmt(fmt) "TOA: " fmt

#include <linux/kernel.h>
#include <linux/printk.h>

#endif /* TOA_LOG_H */
