// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks by ftrace: a callback at a function's entry, and, only when there is something to do, a
 * wrapper of ours in the function's place (the way live patching works). Never missed, no limit of
 * calls under way, and a wrapper is ordinary code that runs in the caller's own context.
 *
 * Built without tracing of itself (see Kbuild).
 */
#include "toa_ftrace.h"

#include "toa_compat.h"
#include "toa_drain.h"
#include "toa_fault.h"
#include "toa_path.h"
#include "toa_symbol.h"

#ifdef TOA_HAVE_FTRACE

#include <linux/delay.h>
#include <linux/err.h>
#include <linux/ftrace.h>
#include <linux/in.h>
#include <linux/module.h>
#include <linux/rcupdate.h>

static struct ftrace_ops traces[TOA_HOOK_COUNT];

/* The functions that wrappers stand in for, as the kernel itself calls them. */
static void *originals[TOA_HOOK_COUNT] __read_mostly;

/* The module's own code: a call from there is a wrapper's call of the original. */
static unsigned long text_base __read_mostly;
static unsigned long text_size __read_mostly;

/* Calls inside wrappers. */
static DEFINE_PER_CPU(long, inside);

/*
 * Wrappers. Each has code of its own behind its call of the original, so that the return address
 * of that call, by which the callback knows it, always lies in the module.
 */

/*
 * Newer kernels lock the socket for its name. The owner may wait for a page that never comes: rmmod
 * says that the module is in use then, instead of waiting too. (But for a lock that is taken
 * between this look and the kernel's own.)
 */
static __always_inline bool lock_is_owned(const struct sock *sk)
{
	return READ_ONCE(sk->sk_lock.owned);
}

static __always_inline int wrap_getname(enum toa_hook hook, struct socket *sock, void *uaddr,
					int peer)
{
	typeof(((const struct proto_ops *)0)->getname) original = originals[hook];
	bool waits;
	int ret;

	this_cpu_inc(inside);
	/* Whoever waits for the owner of the lock keeps the module in use: see lock_is_owned(). */
	waits = unlikely(lock_is_owned(sock->sk)) && try_module_get(THIS_MODULE);
	ret = original(sock, uaddr, peer);
	toa_getname_end(sock->sk, uaddr, ret);
	if (unlikely(waits))
		module_put(THIS_MODULE);
	this_cpu_dec(inside);
	return ret;
}

static noinline int wrap_getname_v4(struct socket *sock, void *uaddr, int peer)
{
	return wrap_getname(TOA_HOOK_GETNAME_V4, sock, uaddr, peer);
}

static noinline int wrap_getname_v6(struct socket *sock, void *uaddr, int peer)
{
	return wrap_getname(TOA_HOOK_GETNAME_V6, sock, uaddr, peer);
}

/*
 * syn_recv_sock() has six arguments or seven: stable updates have changed one to the other.
 */

static __always_inline struct sock *
wrap_child_6(enum toa_hook hook, const struct sock *sk, struct sk_buff *skb,
	     struct request_sock *req, struct dst_entry *dst, struct request_sock *req_unhash,
	     bool *own_req)
{
	struct sock *(*original)(const struct sock *sk, struct sk_buff *skb,
				 struct request_sock *req, struct dst_entry *dst,
				 struct request_sock *req_unhash, bool *own_req) = originals[hook];
	struct sock *child;

	this_cpu_inc(inside);
	child = original(sk, skb, req, dst, req_unhash, own_req);
	toa_child(sk, skb, req, child, own_req);
	this_cpu_dec(inside);
	return child;
}

static noinline struct sock *
wrap_child_6_v4(const struct sock *sk, struct sk_buff *skb, struct request_sock *req,
		struct dst_entry *dst, struct request_sock *req_unhash, bool *own_req)
{
	return wrap_child_6(TOA_HOOK_CHILD_V4, sk, skb, req, dst, req_unhash, own_req);
}

static noinline struct sock *
wrap_child_6_v6(const struct sock *sk, struct sk_buff *skb, struct request_sock *req,
		struct dst_entry *dst, struct request_sock *req_unhash, bool *own_req)
{
	return wrap_child_6(TOA_HOOK_CHILD_V6, sk, skb, req, dst, req_unhash, own_req);
}

static __always_inline struct sock *
wrap_child_7(enum toa_hook hook, const struct sock *sk, struct sk_buff *skb,
	     struct request_sock *req, struct dst_entry *dst, struct request_sock *req_unhash,
	     bool *own_req, void (*opt_child_init)(struct sock *newsk, const struct sock *sk))
{
	struct sock *(*original)(const struct sock *sk, struct sk_buff *skb,
				 struct request_sock *req, struct dst_entry *dst,
				 struct request_sock *req_unhash, bool *own_req,
				 void (*opt_child_init)(struct sock *newsk,
							const struct sock *sk)) = originals[hook];
	struct sock *child;

	this_cpu_inc(inside);
	child = original(sk, skb, req, dst, req_unhash, own_req, opt_child_init);
	toa_child(sk, skb, req, child, own_req);
	this_cpu_dec(inside);
	return child;
}

static noinline struct sock *
wrap_child_7_v4(const struct sock *sk, struct sk_buff *skb, struct request_sock *req,
		struct dst_entry *dst, struct request_sock *req_unhash, bool *own_req,
		void (*opt_child_init)(struct sock *newsk, const struct sock *sk))
{
	return wrap_child_7(TOA_HOOK_CHILD_V4, sk, skb, req, dst, req_unhash, own_req,
			    opt_child_init);
}

static noinline struct sock *
wrap_child_7_v6(const struct sock *sk, struct sk_buff *skb, struct request_sock *req,
		struct dst_entry *dst, struct request_sock *req_unhash, bool *own_req,
		void (*opt_child_init)(struct sock *newsk, const struct sock *sk))
{
	return wrap_child_7(TOA_HOOK_CHILD_V6, sk, skb, req, dst, req_unhash, own_req,
			    opt_child_init);
}

#define SYN_RECV_SOCK_IS(wrapper) \
	__builtin_types_compatible_p( \
		typeof(((const struct inet_connection_sock_af_ops *)0)->syn_recv_sock), \
		typeof(wrapper))
#define SYN_RECV_SOCK_IS_6 SYN_RECV_SOCK_IS(&wrap_child_6_v4)
#define SYN_RECV_SOCK_IS_7 SYN_RECV_SOCK_IS(&wrap_child_7_v4)

/*
 * Callbacks at a function's entry: called by assembly, of whose arguments KMSAN knows nothing
 */

static __always_inline bool from_wrapper(const struct toa_ftrace_regs *regs, unsigned long parent)
{
	return toa_ftrace_returns_to(regs, parent, text_base, text_size);
}

/*
 * Around what may make or free an entry in a callback. Under PREEMPT_RT the allocator may sleep,
 * and ftrace does not wait for who sleeps in a callback before it frees the code that called it:
 * with preemption off, entries come from the pool instead, and go there. (A wrapper may sleep.)
 */
static __always_inline void entries_begin(void)
{
	if (TOA_PREEMPT_RT)
		preempt_disable_notrace();
}

static __always_inline void entries_end(void)
{
	if (TOA_PREEMPT_RT)
		preempt_enable_notrace();
}

static void __no_kmsan_checks on_destruct(unsigned long ip, unsigned long parent,
					  struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	toa_target_fire(TOA_HOOK_DESTRUCT);
	entries_begin();
	toa_end((const struct sock *)toa_ftrace_arg(regs, 0));
	entries_end();
}

static void __no_kmsan_checks on_disconnect(unsigned long ip, unsigned long parent,
					    struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	toa_target_fire(TOA_HOOK_DISCONNECT);
	entries_begin();
	toa_end((const struct sock *)toa_ftrace_arg(regs, 0));
	entries_end();
}

static void __no_kmsan_checks on_disconnect_mptcp(unsigned long ip, unsigned long parent,
						  struct ftrace_ops *ops,
						  struct toa_ftrace_regs *regs)
{
	entries_begin();
	toa_end((const struct sock *)toa_ftrace_arg(regs, 0));
	entries_end();
}

static void __no_kmsan_checks on_mptcp(unsigned long ip, unsigned long parent,
				       struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	entries_begin();
	toa_mptcp((const struct sock *)toa_ftrace_arg(regs, 0),
		  (const struct sock *)toa_ftrace_arg(regs, 1));
	entries_end();
}

static void __no_kmsan_checks on_late(unsigned long ip, unsigned long parent,
				      struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	entries_begin();
	toa_late((const struct sock *)toa_ftrace_arg(regs, 0),
		 (const struct sk_buff *)toa_ftrace_arg(regs, 1));
	entries_end();
}

static void __no_kmsan_checks on_request(unsigned long ip, unsigned long parent,
					 struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	toa_check_req((const struct sock *)toa_ftrace_arg(regs, 0),
		      (const struct sk_buff *)toa_ftrace_arg(regs, 1),
		      (const struct request_sock *)toa_ftrace_arg(regs, 2));
}

static void __no_kmsan_checks on_syn(unsigned long ip, unsigned long parent,
				     struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	toa_syn((const struct sock *)toa_ftrace_arg(regs, 2),
		(const struct sk_buff *)toa_ftrace_arg(regs, 3));
}

/* There may be an entry. A function of its own: most calls end before it, and save no registers. */
static noinline void __no_kmsan_checks redirect_getname(struct toa_ftrace_regs *regs,
							const struct sock *sk,
							unsigned long wrapper)
{
	if (toa_getname_begin(sk) && likely(!lock_is_owned(sk) || module_is_live(THIS_MODULE)))
		toa_ftrace_redirect(regs, wrapper);
}

static __always_inline void on_getname(struct toa_ftrace_regs *regs, unsigned long parent,
				       unsigned long wrapper)
{
	const struct socket *sock = (const struct socket *)toa_ftrace_arg(regs, 0);

	if (!from_wrapper(regs, parent) &&
	    toa_getname_wanted(sock, toa_ftrace_arg(regs, TOA_GETNAME_PEER)))
		redirect_getname(regs, sock->sk, wrapper);
}

static void __no_kmsan_checks on_getname_v4(unsigned long ip, unsigned long parent,
					    struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	toa_target_fire(TOA_HOOK_GETNAME_V4);
	on_getname(regs, parent, (unsigned long)wrap_getname_v4);
}

static void __no_kmsan_checks on_getname_v6(unsigned long ip, unsigned long parent,
					    struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	toa_target_fire(TOA_HOOK_GETNAME_V6);
	on_getname(regs, parent, (unsigned long)wrap_getname_v6);
}

static void __no_kmsan_checks on_child_v4(unsigned long ip, unsigned long parent,
					  struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	if (from_wrapper(regs, parent))
		return;
	if (toa_child_wanted((const struct sock *)toa_ftrace_arg(regs, 0),
			     (const struct sk_buff *)toa_ftrace_arg(regs, 1),
			     (const struct request_sock *)toa_ftrace_arg(regs, 2)))
		toa_ftrace_redirect(regs, SYN_RECV_SOCK_IS_7 ? (unsigned long)wrap_child_7_v4 :
							       (unsigned long)wrap_child_6_v4);
}

static void __no_kmsan_checks on_child_v6(unsigned long ip, unsigned long parent,
					  struct ftrace_ops *ops, struct toa_ftrace_regs *regs)
{
	if (from_wrapper(regs, parent))
		return;
	if (toa_child_wanted_v6((const struct sock *)toa_ftrace_arg(regs, 0),
				(const struct sk_buff *)toa_ftrace_arg(regs, 1),
				(const struct request_sock *)toa_ftrace_arg(regs, 2)))
		toa_ftrace_redirect(regs, SYN_RECV_SOCK_IS_7 ? (unsigned long)wrap_child_7_v6 :
							       (unsigned long)wrap_child_6_v6);
}

static const struct {
	ftrace_func_t callback;
	bool redirects;
} handlers[TOA_HOOK_COUNT] = {
	[TOA_HOOK_DESTRUCT] = { on_destruct, false },
	[TOA_HOOK_DISCONNECT] = { on_disconnect, false },
	[TOA_HOOK_DISCONNECT_MPTCP] = { on_disconnect_mptcp, false },
	[TOA_HOOK_GETNAME_V4] = { on_getname_v4, true },
	[TOA_HOOK_GETNAME_V6] = { on_getname_v6, true },
	[TOA_HOOK_CHILD_V4] = { on_child_v4, true },
	[TOA_HOOK_CHILD_V6] = { on_child_v6, true },
	[TOA_HOOK_MPTCP] = { on_mptcp, false },
	[TOA_HOOK_LATE] = { on_late, false },
	[TOA_HOOK_REQUEST] = { on_request, false },
	[TOA_HOOK_SYN] = { on_syn, false },
};

/*
 * Originals: as a fresh socket's operations name them. A wrapper must call the very function that
 * it stands in for, or it would recurse: another module may have put its own in these places.
 */
static void *original_of(enum toa_hook hook)
{
	bool ipv6 = hook == TOA_HOOK_GETNAME_V6 || hook == TOA_HOOK_CHILD_V6;
	char name[KSYM_SYMBOL_LEN];
	struct socket *sock;
	void *original;
	int err;

	err = toa_fails() ? -ENOMEM : toa_sock_create_kern(ipv6 ? AF_INET6 : AF_INET, &sock);
	if (err)
		return ERR_PTR(err == -EAFNOSUPPORT ? -ENOENT : err);
	if (hook == TOA_HOOK_GETNAME_V4 || hook == TOA_HOOK_GETNAME_V6)
		original = sock->ops->getname;
	else
		original = inet_csk(sock->sk)->icsk_af_ops->syn_recv_sock;
	sock_release(sock);
	snprintf(name, sizeof(name), "%ps", original);
	return strcmp(name, toa_target_symbol[hook]) ? ERR_PTR(-ENOENT) : original;
}

static int set_filter(enum toa_hook hook)
{
	struct ftrace_ops *ops = &traces[hook];
	unsigned long address;
	void *original;
	int err;

	if (!handlers[hook].redirects) {
		/* By name, ftrace would look at the names of all functions there are. */
		err = toa_symbol_address(toa_target_symbol[hook], &address);
		if (err)
			return err;
		return address ? ftrace_set_filter_ip(ops, address, 0, 1) : -ENOENT;
	}
	if (!SYN_RECV_SOCK_IS_6 && !SYN_RECV_SOCK_IS_7)
		return -EOPNOTSUPP;
	original = original_of(hook);
	if (IS_ERR(original))
		return PTR_ERR(original);
	originals[hook] = original;
	ops->flags |= FTRACE_OPS_FL_IPMODIFY;
	return ftrace_set_filter_ip(ops, (unsigned long)original, 0, 1);
}

/* An empty filter holds no memory. (ftrace_free_filter() is not exported everywhere.) */
static void clear_filter(struct ftrace_ops *ops)
{
	ftrace_set_filter(ops, NULL, 0, 1);
}

/**
 * toa_ftrace_attach() - attach a hook by ftrace
 * @hook: which
 *
 * Context: process.
 * Return: 0 or an error: -EBUSY if a live patch has the function, -EAGAIN if that may pass.
 */
int toa_ftrace_attach(enum toa_hook hook)
{
	struct ftrace_ops *ops = &traces[hook];
	unsigned int tries = 5;
	int err;

	if (!handlers[hook].callback)
		return -EOPNOTSUPP;
	/* Callbacks that are attached already read it. */
	if (!text_size)
		toa_module_text(&text_base, &text_size);
	memset(ops, 0, sizeof(*ops));
	ops->func = handlers[hook].callback;
	ops->flags = TOA_FTRACE_FLAGS;
	err = set_filter(hook);
	if (!err)
		err = toa_fails() ? -ENOMEM : register_ftrace_function(ops);
	/* A BPF trampoline is changing places. */
	while (err == -EAGAIN && tries--) {
		msleep(20);
		err = register_ftrace_function(ops);
	}
	if (err)
		clear_filter(ops);
	return err;
}

/**
 * toa_ftrace_detach() - take a callback away
 * @hook: which, attached
 *
 * Afterwards no call is redirected any more, but wrappers may still run: see toa_ftrace_drain().
 *
 * Context: process.
 */
void toa_ftrace_detach(enum toa_hook hook)
{
	unregister_ftrace_function(&traces[hook]);
	clear_filter(&traces[hook]);
}

/**
 * toa_ftrace_drain() - wait until nobody runs in a wrapper
 *
 * Called when no callback is attached that redirects.
 *
 * Context: process, sleeps until the calls under way return.
 */
void toa_ftrace_drain(void)
{
	toa_drain(&inside, "getpeername or accept");
}

#else /* TOA_HAVE_FTRACE */

int toa_ftrace_attach(enum toa_hook hook)
{
	return -EOPNOTSUPP;
}

void toa_ftrace_detach(enum toa_hook hook)
{
}

void toa_ftrace_drain(void)
{
}

#endif /* TOA_HAVE_FTRACE */
