// SPDX-License-Identifier: GPL-2.0
/*
 * Where a function of the kernel is, and whether another TOA module is there.
 */
#include "toa_symbol.h"

#include "toa_fault.h"

#include <linux/errno.h>
#include <linux/init.h>
#include <linux/kallsyms.h>
#include <linux/kernel.h>
#include <linux/kprobes.h>
#include <linux/module.h>

/**
 * toa_symbol_address() - find a function of the kernel
 * @symbol:  its name
 * @address: where its first instruction can be probed, or 0 if there is no such function
 *
 * Context: process.
 * Return: 0, or -ENOMEM: it is not known.
 */
int toa_symbol_address(const char *symbol, unsigned long *address)
{
	/* It shall not fire; so it works where ftrace, which a probe may need, is switched off. */
	struct kprobe kp = { .symbol_name = symbol, .flags = KPROBE_FLAG_DISABLED };
	int err = toa_fails() ? -ENOMEM : register_kprobe(&kp);

	*address = err ? 0 : (unsigned long)kp.addr;
	if (!err)
		unregister_kprobe(&kp);
	return err == -ENOMEM ? err : 0;
}

/**
 * toa_symbol_other_toa() - name another TOA module, for the line that says what is in the way
 *
 * Those of all vendors descend from one, and have a function of its name.
 *
 * Context: process.
 * Return: " (function [module])", or an empty string.
 */
const char * __init toa_symbol_other_toa(void)
{
	static char name[KSYM_SYMBOL_LEN + 4] __initdata;
	unsigned long address;

	if (!toa_symbol_address("inet_getname_toa", &address) && address)
		snprintf(name, sizeof(name), " (%ps)", (void *)address);
	return name;
}
