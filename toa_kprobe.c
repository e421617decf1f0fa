// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks by kprobes, and by kretprobes where the return matters: work on every kernel.
 *
 * Arguments come from registers, so that a changed prototype does no harm. Handlers run with
 * preemption off. A probe is not run while another one's handler is running on that CPU, and a
 * return probe not when all its instances are in use: both are counted as missed.
 */
#include "toa_internal.h"

enum {
	/* Threads that may sleep in getpeername(), each waiting for its socket's lock. */
	BLOCKING_CALLS_MAX = 4096 + 512,
	/* Nested or preempted calls per CPU of a function that does not sleep. */
	CALLS_PER_CPU_MAX = 8,
};

/* Of a hook without leave function only rp.kp is used. */
static struct probe {
	struct kretprobe rp;
} probes[TOA_HOOK_COUNT];

static struct toa_hook *hook_of(const struct kretprobe *rp)
{
	return &toa_hooks[container_of(rp, struct probe, rp) - probes];
}

static bool wanted(struct toa_hook *hook, struct pt_regs *regs, unsigned long *arg)
{
	unsigned int i;

	for (i = 0; i < hook->args; i++)
		arg[i] = toa_regs_arg(regs, i);
	toa_hook_hit(hook);
	return hook->wanted(arg);
}

static int on_entry(struct kprobe *kp, struct pt_regs *regs)
{
	unsigned long arg[TOA_HOOK_ARGS];

	wanted(hook_of(container_of(kp, struct kretprobe, kp)), regs, arg);
	return 0;
}

/* Return: non-zero for no return handler. */
static int on_call(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct toa_hook *hook = hook_of(get_kretprobe(ri));
	unsigned long arg[TOA_HOOK_ARGS];

	return !wanted(hook, regs, arg) || !hook->enter(arg, (union toa_call *)ri->data);
}

static int on_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct kretprobe *rp = get_kretprobe(ri);

	/* NULL if it was unregistered while the call was under way. */
	if (rp)
		hook_of(rp)->leave(regs_return_value(regs), (union toa_call *)ri->data);
	return 0;
}

/**
 * toa_kprobe_attach() - attach a hook by a probe
 * @id: which
 *
 * Context: process.
 * Return: 0 or an error of register_kprobe(): -ENOENT if there is no such function.
 */
int toa_kprobe_attach(enum toa_hook_id id)
{
	const struct toa_hook *hook = &toa_hooks[id];
	struct kretprobe *rp = &probes[id].rp;

	memset(rp, 0, sizeof(*rp));
	rp->kp.symbol_name = hook->symbol;
	if (!hook->leave) {
		rp->kp.pre_handler = on_entry;
		return register_kprobe(&rp->kp);
	}
	rp->entry_handler = on_call;
	rp->handler = on_return;
	rp->data_size = sizeof(union toa_call);
	rp->maxactive = hook->blocking ? BLOCKING_CALLS_MAX :
					 CALLS_PER_CPU_MAX * num_possible_cpus();
	return register_kretprobe(rp);
}

/**
 * toa_kprobe_detach() - take a probe away
 * @id: which, attached
 *
 * When it returns, no handler runs and none will: unregistering waits for those that run, and a
 * call that is under way returns without its handler.
 *
 * Context: process.
 */
void toa_kprobe_detach(enum toa_hook_id id)
{
	if (toa_hooks[id].leave)
		unregister_kretprobe(&probes[id].rp);
	else
		unregister_kprobe(&probes[id].rp.kp);
}

/**
 * toa_kprobe_missed() - how often a function was called without its hook
 * @id: which, attached now or before
 *
 * Context: any.
 */
unsigned long toa_kprobe_missed(enum toa_hook_id id)
{
	return probes[id].rp.kp.nmissed + probes[id].rp.nmissed;
}

/**
 * toa_kprobe_exists() - ask whether the kernel has a function
 * @symbol: its name
 *
 * Context: process.
 */
bool __init toa_kprobe_exists(const char *symbol)
{
	struct kprobe kp = { .symbol_name = symbol };

	if (register_kprobe(&kp))
		return false;
	unregister_kprobe(&kp);
	return true;
}
