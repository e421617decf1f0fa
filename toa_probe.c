// SPDX-License-Identifier: GPL-2.0
/*
 * What the kernel's headers declare: the build preprocesses this file, looks for names in the
 * result (see Kbuild) and writes toa_has.h. It is never compiled.
 */
#include <linux/cpu.h>
#include <linux/ftrace.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/ptrace.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <net/tcp.h>
