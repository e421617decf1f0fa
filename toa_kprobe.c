// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks by kprobes, and by kretprobes where the return matters: work on every kernel.
 *
 * Arguments come from registers; toa_prototypes.c sees to it that they are what they are taken for.
 * Handlers run with preemption off. A probe is not run while another one's handler is running on
 * that CPU, and a return probe not when all its instances are in use: both are counted as missed.
 */
#include "toa_kprobe.h"

#include "toa_compat.h"
#include "toa_path.h"

#include <linux/if_ether.h>
#include <linux/kprobes.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>

enum {
	/* Threads that may sleep in getpeername(), each waiting for its socket's lock. */
	BLOCKING_CALLS_MAX = 4096 + 512,
	/* Nested or preempted calls per CPU of a function that does not sleep. */
	CALLS_PER_CPU_MAX = 8,
};

struct getname_call {
	const struct sock *sk;
	struct sockaddr *uaddr;
};

struct child_call {
	const struct sock *listener;
	const struct sk_buff *skb;
	const struct request_sock *req;
	const bool *own_req;
};

static int on_destruct(struct kprobe *kp, struct pt_regs *regs)
{
	toa_target_fire(TOA_HOOK_DESTRUCT);
	toa_end((const struct sock *)toa_regs_arg(regs, 0));
	return 0;
}

static int on_disconnect(struct kprobe *kp, struct pt_regs *regs)
{
	toa_target_fire(TOA_HOOK_DISCONNECT);
	toa_end((const struct sock *)toa_regs_arg(regs, 0));
	return 0;
}

static int on_disconnect_mptcp(struct kprobe *kp, struct pt_regs *regs)
{
	toa_end((const struct sock *)toa_regs_arg(regs, 0));
	return 0;
}

static int on_mptcp(struct kprobe *kp, struct pt_regs *regs)
{
	toa_mptcp((const struct sock *)toa_regs_arg(regs, 0),
		  (const struct sock *)toa_regs_arg(regs, 1));
	return 0;
}

static int on_late(struct kprobe *kp, struct pt_regs *regs)
{
	toa_late((const struct sock *)toa_regs_arg(regs, 0),
		 (const struct sk_buff *)toa_regs_arg(regs, 1));
	return 0;
}

static int on_request(struct kprobe *kp, struct pt_regs *regs)
{
	toa_check_req((const struct sock *)toa_regs_arg(regs, 0),
		      (const struct sk_buff *)toa_regs_arg(regs, 1),
		      (const struct request_sock *)toa_regs_arg(regs, 2));
	return 0;
}

static int on_syn(struct kprobe *kp, struct pt_regs *regs)
{
	toa_syn((const struct sock *)toa_regs_arg(regs, 2),
		(const struct sk_buff *)toa_regs_arg(regs, 3));
	return 0;
}

static int on_syn_v4(struct kprobe *kp, struct pt_regs *regs)
{
	toa_syn((const struct sock *)toa_regs_arg(regs, 0),
		(const struct sk_buff *)toa_regs_arg(regs, 1));
	return 0;
}

/* tcp_v6_conn_request() hands those of IPv4 to tcp_v4_conn_request(). */
static int on_syn_v6(struct kprobe *kp, struct pt_regs *regs)
{
	const struct sk_buff *skb = (const struct sk_buff *)toa_regs_arg(regs, 1);

	return skb->protocol == htons(ETH_P_IP) ? 0 : on_syn_v4(kp, regs);
}

static bool getname_wanted(struct pt_regs *regs)
{
	const struct socket *sock = (const struct socket *)toa_regs_arg(regs, 0);

	return toa_getname_wanted(sock, toa_regs_arg(regs, TOA_GETNAME_PEER)) &&
	       toa_getname_begin(sock->sk);
}

static bool getname_wanted_v4(struct pt_regs *regs)
{
	toa_target_fire(TOA_HOOK_GETNAME_V4);
	return getname_wanted(regs);
}

static bool getname_wanted_v6(struct pt_regs *regs)
{
	toa_target_fire(TOA_HOOK_GETNAME_V6);
	return getname_wanted(regs);
}

static int getname_call(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct socket *sock = (const struct socket *)toa_regs_arg(regs, 0);
	struct getname_call *call = (struct getname_call *)ri->data;

	call->sk = sock->sk;
	call->uaddr = (struct sockaddr *)toa_regs_arg(regs, 1);
	return 0;
}

static int getname_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct getname_call *call = (const struct getname_call *)ri->data;

	toa_getname_end(call->sk, call->uaddr, regs_return_value(regs));
	return 0;
}

static int child_call(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	struct child_call *call = (struct child_call *)ri->data;

	call->listener = (const struct sock *)toa_regs_arg(regs, 0);
	call->skb = (const struct sk_buff *)toa_regs_arg(regs, 1);
	call->req = (const struct request_sock *)toa_regs_arg(regs, 2);
	call->own_req = (const bool *)toa_regs_arg(regs, 5);
	return 0;
}

static int child_call_v4(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return !toa_child_wanted((const struct sock *)toa_regs_arg(regs, 0),
				 (const struct sk_buff *)toa_regs_arg(regs, 1),
				 (const struct request_sock *)toa_regs_arg(regs, 2)) ||
	       child_call(ri, regs);
}

static int child_call_v6(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	return !toa_child_wanted_v6((const struct sock *)toa_regs_arg(regs, 0),
				    (const struct sk_buff *)toa_regs_arg(regs, 1),
				    (const struct request_sock *)toa_regs_arg(regs, 2)) ||
	       child_call(ri, regs);
}

static int child_return(struct kretprobe_instance *ri, struct pt_regs *regs)
{
	const struct child_call *call = (const struct child_call *)ri->data;

	toa_child(call->listener, call->skb, call->req,
		  (const struct sock *)regs_return_value(regs), call->own_req);
	return 0;
}

/*
 * Either @entry, or @call there and @ret behind the return. @call returns non-zero if it needs no
 * return. @wanted, where most calls need none, says so before.
 */
static const struct {
	int (*entry)(struct kprobe *kp, struct pt_regs *regs);
	bool (*wanted)(struct pt_regs *regs);
	kretprobe_handler_t call;
	kretprobe_handler_t ret;
	size_t data_size;
	int calls_max;
} handlers[TOA_HOOK_COUNT] = {
	[TOA_HOOK_DESTRUCT] = { .entry = on_destruct },
	[TOA_HOOK_DISCONNECT] = { .entry = on_disconnect },
	[TOA_HOOK_DISCONNECT_MPTCP] = { .entry = on_disconnect_mptcp },
	[TOA_HOOK_GETNAME_V4] = {
		.wanted = getname_wanted_v4,
		.call = getname_call,
		.ret = getname_return,
		.data_size = sizeof(struct getname_call),
		.calls_max = BLOCKING_CALLS_MAX,
	},
	[TOA_HOOK_GETNAME_V6] = {
		.wanted = getname_wanted_v6,
		.call = getname_call,
		.ret = getname_return,
		.data_size = sizeof(struct getname_call),
		.calls_max = BLOCKING_CALLS_MAX,
	},
	[TOA_HOOK_CHILD_V4] = {
		.call = child_call_v4,
		.ret = child_return,
		.data_size = sizeof(struct child_call),
	},
	[TOA_HOOK_CHILD_V6] = {
		.call = child_call_v6,
		.ret = child_return,
		.data_size = sizeof(struct child_call),
	},
	[TOA_HOOK_MPTCP] = { .entry = on_mptcp },
	[TOA_HOOK_LATE] = { .entry = on_late },
	[TOA_HOOK_REQUEST] = { .entry = on_request },
	[TOA_HOOK_SYN] = { .entry = on_syn },
	[TOA_HOOK_SYN_V4] = { .entry = on_syn_v4 },
	[TOA_HOOK_SYN_V6] = { .entry = on_syn_v6 },
};

/* Of a hook that needs no return only rp.kp is used. */
static struct kretprobe probes[TOA_HOOK_COUNT];

/* Calls missed by a probe that has been attached again since. */
static unsigned long missed_before[TOA_HOOK_COUNT];

/* Held while counts move from @probes there: the sum of both never falls. */
static DEFINE_SPINLOCK(missed_lock);

static unsigned long missed_locked(enum toa_hook hook)
{
	return missed_before[hook] + probes[hook].kp.nmissed + probes[hook].nmissed;
}

/* What register_kretprobe() has the entry run; the same for all. */
static kprobe_pre_handler_t catch_return __read_mostly;

static int look_first(struct kprobe *kp, struct pt_regs *regs)
{
	enum toa_hook hook = container_of(kp, struct kretprobe, kp) - probes;

	return handlers[hook].wanted(regs) ? catch_return(kp, regs) : 0;
}

/*
 * A return probe takes an instance, on kernels before 5.11 with a lock of the whole host, and only
 * then asks its handler whether it needs the return. Look before. (In debugfs, kprobes/list shows
 * such a one as k, as it tells kinds by the entry's handler.)
 */
static int attach_looking(struct kretprobe *rp)
{
	int err;

	rp->kp.flags = KPROBE_FLAG_DISABLED;
	err = register_kretprobe(rp);
	if (err)
		return err;
	catch_return = rp->kp.pre_handler;
	rp->kp.pre_handler = look_first;
	err = enable_kretprobe(rp);
	if (err)
		unregister_kretprobe(rp);
	return err;
}

/**
 * toa_kprobe_attach() - attach a hook by a probe
 * @hook: which
 *
 * Context: process.
 * Return: 0 or an error of register_kprobe(): -ENOENT if there is no such function.
 */
int toa_kprobe_attach(enum toa_hook hook)
{
	struct kretprobe *rp = &probes[hook];
	int err;

	spin_lock(&missed_lock);
	missed_before[hook] = missed_locked(hook);
	memset(rp, 0, sizeof(*rp));
	spin_unlock(&missed_lock);
	rp->kp.symbol_name = toa_target_symbol[hook];
	rp->kp.offset = TOA_KPROBE_OFFSET;
	if (handlers[hook].entry) {
		rp->kp.pre_handler = handlers[hook].entry;
		return toa_kprobe_error(rp->kp.symbol_name, register_kprobe(&rp->kp));
	}
	rp->entry_handler = handlers[hook].call;
	rp->handler = handlers[hook].ret;
	rp->data_size = handlers[hook].data_size;
	rp->maxactive = handlers[hook].calls_max ?: CALLS_PER_CPU_MAX * num_possible_cpus();
	err = handlers[hook].wanted ? attach_looking(rp) : register_kretprobe(rp);
	return toa_kprobe_error(rp->kp.symbol_name, err);
}

/**
 * toa_kprobe_detach() - take a probe away
 * @hook: which, attached
 *
 * When it returns, no handler runs and none will: unregistering waits for those that run, and a
 * call that is under way returns without its handler.
 *
 * Context: process.
 */
void toa_kprobe_detach(enum toa_hook hook)
{
	if (handlers[hook].entry)
		unregister_kprobe(&probes[hook].kp);
	else
		unregister_kretprobe(&probes[hook]);
}

/**
 * toa_kprobe_missed() - how often a function was called without its hook
 * @hook: which, attached now or before
 *
 * Context: process.
 */
unsigned long toa_kprobe_missed(enum toa_hook hook)
{
	unsigned long missed;

	spin_lock(&missed_lock);
	missed = missed_locked(hook);
	spin_unlock(&missed_lock);
	return missed;
}
