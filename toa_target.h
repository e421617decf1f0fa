/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_TARGET_H
#define TOA_TARGET_H

#include "toa_compat.h"

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * enum toa_hook - the kernel functions that the data path is attached to
 *
 * Ends come first: while the others are attached, an entry must not outlive its socket.
 */
enum toa_hook {
	TOA_HOOK_DESTRUCT,
	TOA_HOOK_DISCONNECT,
	TOA_HOOK_DISCONNECT_MPTCP,
	TOA_HOOK_GETNAME_V4,
	TOA_HOOK_GETNAME_V6,
	TOA_HOOK_CHILD_V4,
	TOA_HOOK_CHILD_V6,
	TOA_HOOK_MPTCP,
	/* Attached while the parameter late= asks for it. */
	TOA_HOOK_LATE,
	/* Attached on demand of others, and detached behind them. */
	TOA_HOOK_REQUEST,
	/* Attached while the parameter segments= asks for it. */
	TOA_HOOK_SYN,
	/* Before 3.17, in place of the one above. */
	TOA_HOOK_SYN_V4,
	TOA_HOOK_SYN_V6,
	TOA_HOOK_COUNT,
};

extern const char *const toa_target_symbol[TOA_HOOK_COUNT];
extern bool toa_target_fired[TOA_HOOK_COUNT];

/* Only in hooks that toa_target_test() exercises. */
static inline void toa_target_fire(enum toa_hook hook)
{
	if (unlikely(!READ_ONCE(toa_target_fired[hook])))
		WRITE_ONCE(toa_target_fired[hook], true);
}

int toa_target_test(void);

#endif /* TOA_TARGET_H */
