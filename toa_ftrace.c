// SPDX-License-Identifier: GPL-2.0
/*
 * Hooks by ftrace: a callback at a function's entry, and, only when there is something to do, a
 * wrapper of ours in the function's place (the way live patching works). Never missed, no limit of
 * calls under way, and a wrapper is ordinary code that runs in the caller's own context.
 *
 * Built without tracing of itself (see Kbuild).
 */
#include "toa_internal.h"

#ifdef TOA_HAVE_FTRACE

#include <linux/delay.h>
#include <linux/ftrace.h>
#include <linux/in.h>
#include <linux/rcupdate.h>

typedef typeof(*((struct proto_ops *)0)->getname) getname_fn;
typedef typeof(*((struct inet_connection_sock_af_ops *)0)->syn_recv_sock) syn_recv_sock_fn;

/* The two forms of syn_recv_sock(): stable updates have changed one to the other. */
typedef struct sock *syn_recv_sock_6_fn(const struct sock *sk, struct sk_buff *skb,
					struct request_sock *req, struct dst_entry *dst,
					struct request_sock *req_unhash, bool *own_req);
typedef struct sock *syn_recv_sock_7_fn(const struct sock *sk, struct sk_buff *skb,
					struct request_sock *req, struct dst_entry *dst,
					struct request_sock *req_unhash, bool *own_req,
					void (*opt_child_init)(struct sock *newsk,
							       const struct sock *sk));

#define SYN_RECV_SOCK_IS_6 __builtin_types_compatible_p(syn_recv_sock_fn, syn_recv_sock_6_fn)
#define SYN_RECV_SOCK_IS_7 __builtin_types_compatible_p(syn_recv_sock_fn, syn_recv_sock_7_fn)

static struct {
	struct ftrace_ops ops;
	unsigned long wrapper;		/* 0: only the entry matters */
	void *original;			/* as the kernel itself calls it */
} traces[TOA_HOOK_COUNT];

/* The module's own code: a call from there is a wrapper's call of the original. */
static unsigned long text_base __read_mostly;
static unsigned long text_size __read_mostly;

/* Calls inside wrappers. A call may end on another CPU than it began on: only the sum counts. */
static DEFINE_PER_CPU(long, inside);

/*
 * Wrappers. Each ends with code of its own behind the call, so that the return address of the
 * call, by which the callback knows it, always lies in the module.
 */

static noinline int call_getname(enum toa_hook_id id, struct socket *sock, void *uaddr, int peer)
{
	unsigned long arg[TOA_HOOK_ARGS] = {
		(unsigned long)sock, (unsigned long)uaddr, peer,
	};
	getname_fn *original = traces[id].original;
	const struct toa_hook *hook = &toa_hooks[id];
	union toa_call call;
	bool leave;
	int ret;

	this_cpu_inc(inside);
	leave = hook->enter(arg, &call);
	ret = original(sock, uaddr, peer);
	if (leave)
		hook->leave(ret, &call);
	this_cpu_dec(inside);
	return ret;
}

static noinline int wrap_getname_v4(struct socket *sock, void *uaddr, int peer)
{
	return call_getname(TOA_HOOK_GETNAME_V4, sock, uaddr, peer);
}

static noinline int wrap_getname_v6(struct socket *sock, void *uaddr, int peer)
{
	return call_getname(TOA_HOOK_GETNAME_V6, sock, uaddr, peer);
}

static noinline struct sock *call_child(enum toa_hook_id id, const struct sock *sk,
					struct sk_buff *skb, struct request_sock *req,
					struct dst_entry *dst, struct request_sock *req_unhash,
					bool *own_req, void *opt_child_init)
{
	unsigned long arg[TOA_HOOK_ARGS] = {
		(unsigned long)sk, (unsigned long)skb, (unsigned long)req, (unsigned long)dst,
		(unsigned long)req_unhash, (unsigned long)own_req,
	};
	const struct toa_hook *hook = &toa_hooks[id];
	union toa_call call;
	struct sock *child;
	bool leave;

	this_cpu_inc(inside);
	leave = hook->enter(arg, &call);
	if (SYN_RECV_SOCK_IS_7)
		child = ((syn_recv_sock_7_fn *)traces[id].original)(sk, skb, req, dst, req_unhash,
								    own_req, opt_child_init);
	else
		child = ((syn_recv_sock_6_fn *)traces[id].original)(sk, skb, req, dst, req_unhash,
								    own_req);
	if (leave)
		hook->leave((unsigned long)child, &call);
	this_cpu_dec(inside);
	return child;
}

#define CHILD_WRAPPERS(family, id) \
static noinline struct sock *wrap_child_6_##family(const struct sock *sk, struct sk_buff *skb, \
						   struct request_sock *req, \
						   struct dst_entry *dst, \
						   struct request_sock *req_unhash, \
						   bool *own_req) \
{ \
	return call_child(id, sk, skb, req, dst, req_unhash, own_req, NULL); \
} \
\
static noinline struct sock *wrap_child_7_##family(const struct sock *sk, struct sk_buff *skb, \
						   struct request_sock *req, \
						   struct dst_entry *dst, \
						   struct request_sock *req_unhash, \
						   bool *own_req, void *opt_child_init) \
{ \
	return call_child(id, sk, skb, req, dst, req_unhash, own_req, opt_child_init); \
}

CHILD_WRAPPERS(v4, TOA_HOOK_CHILD_V4)
CHILD_WRAPPERS(v6, TOA_HOOK_CHILD_V6)

/*
 * The callback at a function's entry
 */

static void on_call(unsigned long ip, unsigned long parent_ip, struct ftrace_ops *ops,
			    struct toa_ftrace_regs *regs)
{
	enum toa_hook_id id = (unsigned long)ops->private;
	struct toa_hook *hook = &toa_hooks[id];
	unsigned long arg[TOA_HOOK_ARGS] = {
		toa_ftrace_arg(regs, 0), toa_ftrace_arg(regs, 1),
		toa_ftrace_arg(regs, 2), toa_ftrace_arg(regs, 3),
	};

	toa_hook_hit(hook);
	if (parent_ip - text_base < text_size)
		return;
	if (hook->wanted(arg))
		toa_ftrace_redirect(regs, traces[id].wrapper);
}

/*
 * Originals: as a fresh socket's operations name them. A wrapper must call the very function that
 * it stands in for, or it would recurse: another module may have put its own in these places.
 */

static void *original_of(enum toa_hook_id id)
{
	bool ipv6 = toa_hooks[id].ipv6;
	char name[KSYM_SYMBOL_LEN];
	struct socket *sock;
	void *original;

	if (toa_sock_create_kern(ipv6 ? AF_INET6 : AF_INET, &sock))
		return NULL;
	if (id == TOA_HOOK_GETNAME_V4 || id == TOA_HOOK_GETNAME_V6)
		original = sock->ops->getname;
	else
		original = inet_csk(sock->sk)->icsk_af_ops->syn_recv_sock;
	sock_release(sock);
	snprintf(name, sizeof(name), "%ps", original);
	return strcmp(name, toa_hooks[id].symbol) ? NULL : original;
}

static unsigned long wrapper_of(enum toa_hook_id id)
{
	switch (id) {
	case TOA_HOOK_GETNAME_V4:
		return (unsigned long)wrap_getname_v4;
	case TOA_HOOK_GETNAME_V6:
		return (unsigned long)wrap_getname_v6;
	case TOA_HOOK_CHILD_V4:
		return SYN_RECV_SOCK_IS_7 ? (unsigned long)wrap_child_7_v4 :
					    (unsigned long)wrap_child_6_v4;
	case TOA_HOOK_CHILD_V6:
		return SYN_RECV_SOCK_IS_7 ? (unsigned long)wrap_child_7_v6 :
					    (unsigned long)wrap_child_6_v6;
	default:
		return 0;
	}
}

static int set_filter(enum toa_hook_id id)
{
	const struct toa_hook *hook = &toa_hooks[id];
	struct ftrace_ops *ops = &traces[id].ops;

	if (!hook->leave)
		return ftrace_set_filter(ops, (unsigned char *)hook->symbol, strlen(hook->symbol),
					 1) ? -ENOENT : 0;
	if (!SYN_RECV_SOCK_IS_6 && !SYN_RECV_SOCK_IS_7)
		return -EOPNOTSUPP;
	traces[id].original = original_of(id);
	if (!traces[id].original)
		return -ENOENT;
	traces[id].wrapper = wrapper_of(id);
	ops->flags |= FTRACE_OPS_FL_IPMODIFY;
	return ftrace_set_filter_ip(ops, (unsigned long)traces[id].original, 0, 1);
}

/**
 * toa_ftrace_attach() - attach a hook by ftrace
 * @id: which
 *
 * Context: process.
 * Return: 0 or an error: -EBUSY if a live patch has the function, -EAGAIN if that may pass.
 */
int toa_ftrace_attach(enum toa_hook_id id)
{
	struct ftrace_ops *ops = &traces[id].ops;
	unsigned int tries = 5;
	int err;

	toa_module_text(&text_base, &text_size);
	memset(&traces[id], 0, sizeof(traces[id]));
	ops->func = on_call;
	ops->private = (void *)(unsigned long)id;
	ops->flags = TOA_FTRACE_FLAGS;
	err = set_filter(id);
	if (!err)
		err = register_ftrace_function(ops);
	/* A BPF trampoline is changing places. */
	while (err == -EAGAIN && tries--) {
		msleep(20);
		err = register_ftrace_function(ops);
	}
	if (err)
		ftrace_free_filter(ops);
	return err;
}

/**
 * toa_ftrace_detach() - take a callback away
 * @id: which, attached
 *
 * Afterwards no call is redirected any more, but wrappers may still run: see toa_ftrace_drain().
 *
 * Context: process.
 */
void toa_ftrace_detach(enum toa_hook_id id)
{
	unregister_ftrace_function(&traces[id].ops);
	ftrace_free_filter(&traces[id].ops);
}

static long calls_inside(void)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(inside, cpu));
	return sum;
}

/* Wait for whoever runs in this module without being counted, in tasks and in softirqs. */
static void wait_for_uncounted(void)
{
	synchronize_rcu_tasks();
	/* Tasks RCU does not wait for idle tasks, and softirqs run on these. */
	synchronize_rcu();
}

/**
 * toa_ftrace_drain() - wait until nobody runs in a wrapper
 *
 * Called when all callbacks are detached. A call that was redirected before is either counted
 * already, or still on its way from the callback to the count without having slept: the first wait
 * ends when all those are counted. Then the counted ones leave, and the second wait covers their
 * way from the count to the return.
 *
 * Context: process, sleeps until the calls under way return.
 */
void toa_ftrace_drain(void)
{
	unsigned int ms = 0;

	wait_for_uncounted();
	while (calls_inside()) {
		msleep(20);
		ms += 20;
		if (ms % 10000 == 0)
			pr_info("waiting for %ld calls of getpeername or accept to return\n",
				calls_inside());
	}
	wait_for_uncounted();
}

#else /* TOA_HAVE_FTRACE */

int toa_ftrace_attach(enum toa_hook_id id)
{
	return -EOPNOTSUPP;
}

void toa_ftrace_detach(enum toa_hook_id id)
{
}

void toa_ftrace_drain(void)
{
}

#endif /* TOA_HAVE_FTRACE */
