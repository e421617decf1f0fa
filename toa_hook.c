// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches the data path to kernel functions. Nothing else knows by which mechanism.
 *
 * kprobes for hooks that only need a function's entry, kretprobes for the others. Arguments come
 * from registers, so that a changed prototype does no harm. Both kinds of handler run with
 * preemption off. A probe is not run while another one's handler is running on that CPU, and a
 * return probe not when all its instances are in use: both are counted as missed.
 */
#include "toa_internal.h"

#include <linux/err.h>
#include <linux/in.h>
#include <linux/socket.h>

enum {
	/* Threads that may sleep in getpeername(), each waiting for its socket's lock. */
	BLOCKING_CALLS_MAX = 4096 + 512,
	/* Nested or preempted calls per CPU of a function that does not sleep. */
	CALLS_PER_CPU_MAX = 8,
};

struct probe {
	struct toa_hook *hook;
	struct kretprobe rp;		/* only rp.kp is used if the hook has no leave */
	bool attached;
};

static struct probe *probes;

static bool enter(struct toa_hook *hook, struct pt_regs *regs, union toa_call *call)
{
	unsigned long arg[TOA_HOOK_ARGS];
	unsigned int i;

	for (i = 0; i < hook->args; i++)
		arg[i] = toa_regs_arg(regs, i);
	if (!READ_ONCE(hook->hit))
		WRITE_ONCE(hook->hit, true);
	return hook->enter(arg, call);
}

static int on_entry(struct kprobe *kp, struct pt_regs *regs)
{
	enter(container_of(kp, struct probe, rp.kp)->hook, regs, NULL);
	return 0;
}

/* Return: non-zero for no return handler. */
static int on_call(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct probe *p = container_of(get_kretprobe(ri), struct probe, rp);

	return !enter(p->hook, regs, (union toa_call *)ri->data);
}

static int on_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct kretprobe *rp = get_kretprobe(ri);

	/* Gone while the call was under way. */
	if (rp)
		container_of(rp, struct probe, rp)->hook->leave(regs_return_value(regs),
							       (union toa_call *)ri->data);
	return 0;
}

static int attach(struct probe *p)
{
	const struct toa_hook *hook = p->hook;
	int err;

	p->rp.kp.symbol_name = hook->symbol;
	if (hook->leave) {
		p->rp.entry_handler = on_call;
		p->rp.handler = on_return;
		p->rp.data_size = sizeof(union toa_call);
		p->rp.maxactive = hook->blocking ? BLOCKING_CALLS_MAX :
						   CALLS_PER_CPU_MAX * num_possible_cpus();
		err = register_kretprobe(&p->rp);
	} else {
		p->rp.kp.pre_handler = on_entry;
		err = register_kprobe(&p->rp.kp);
	}
	p->attached = !err;
	return err;
}

static void detach(struct probe *p)
{
	if (p->hook->leave)
		unregister_kretprobe(&p->rp);
	else
		unregister_kprobe(&p->rp.kp);
}

static unsigned long missed(const struct probe *p)
{
	return p->rp.kp.nmissed + p->rp.nmissed;
}

static void explain(const struct toa_hook *hook, int err)
{
	switch (err) {
	case -ENOENT:
		pr_err("cannot hook %s: this kernel has no such function, or no CONFIG_KALLSYMS\n",
		       hook->symbol);
		break;
	case -EOPNOTSUPP:
		pr_err("cannot hook %s: this kernel has no kprobes (CONFIG_KPROBES)\n",
		       hook->symbol);
		break;
	default:
		pr_err("cannot hook %s (error %d): is kernel.ftrace_enabled 1, and the function in no kprobe blacklist?\n",
		       hook->symbol, err);
	}
}

/**
 * toa_hook_missed() - how often a hook was not run though its function was called
 *
 * Context: process, between toa_hook_init() and toa_hook_exit().
 * Return: the sum over all hooks.
 */
unsigned long toa_hook_missed(void)
{
	unsigned long sum = 0;
	unsigned int i;

	for (i = 0; i < toa_hook_count; i++)
		sum += missed(&probes[i]);
	return sum;
}

/* Make one socket of a family pass the hooks that have self_test set. */
static bool exercise(int family)
{
	struct sockaddr_storage addr = { .ss_family = AF_UNSPEC };
	struct socket *sock;

	if (toa_sock_create_kern(family, &sock))
		return false;
	/* Not connected: both fail, or change nothing. */
	kernel_getpeername(sock, (void *)&addr);
	addr.ss_family = AF_UNSPEC;
	kernel_connect(sock, (void *)&addr, sizeof(addr), 0);
	sock_release(sock);
	return true;
}

/* A module whose hooks are dead must not pretend to work. */
static int self_test(void)
{
	bool ipv4 = exercise(AF_INET);
	bool ipv6 = exercise(AF_INET6);
	unsigned int i;

	for (i = 0; i < toa_hook_count; i++) {
		const struct toa_hook *hook = &toa_hooks[i];

		if (!hook->self_test || READ_ONCE(hook->hit) || !(hook->ipv6 ? ipv6 : ipv4))
			continue;
		pr_err("the hook on %s does not fire: kprobes are switched off. Try: sysctl kernel.ftrace_enabled=1; echo 1 > /sys/kernel/debug/kprobes/enabled\n",
		       hook->symbol);
		return -ENODEV;
	}
	return 0;
}

/**
 * toa_hook_init() - attach the data path and see that it fires
 *
 * From here on the data path is called.
 *
 * Context: process.
 * Return: 0 or an error; then nothing is attached.
 */
int __init toa_hook_init(void)
{
	bool ipv6 = true;
	unsigned int i;
	int err;

	probes = kcalloc(toa_hook_count, sizeof(*probes), GFP_KERNEL);
	if (!probes) {
		pr_err("no memory for the hooks\n");
		return -ENOMEM;
	}
	for (i = 0; i < toa_hook_count; i++) {
		probes[i].hook = &toa_hooks[i];
		err = attach(&probes[i]);
		if (err == -ENOENT && toa_hooks[i].ipv6) {
			ipv6 = false;
			continue;
		}
		if (err) {
			explain(&toa_hooks[i], err);
			goto fail;
		}
	}
	if (!ipv6)
		pr_info("this kernel has no IPv6, or it is a module that is not loaded yet: IPv4 only\n");
	err = self_test();
	if (err)
		goto fail;
	return 0;

fail:
	toa_hook_exit();
	return err;
}

/**
 * toa_hook_exit() - detach the data path
 *
 * When it returns, no handler runs and none will: unregistering waits for those that run, and a
 * call that is under way returns without its handler.
 *
 * Context: process.
 */
void toa_hook_exit(void)
{
	unsigned int i = toa_hook_count;

	while (i--) {
		if (!probes[i].attached)
			continue;
		detach(&probes[i]);
		if (missed(&probes[i]))
			pr_info("the hook on %s was missed %lu times\n", toa_hooks[i].symbol,
				missed(&probes[i]));
	}
	kfree(probes);
}
