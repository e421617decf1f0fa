// SPDX-License-Identifier: GPL-2.0
/*
 * What it costs at least to be hooked in where toa is: callbacks of ftrace that do nothing,
 * wrappers that only call the original, and a getsockopt that answers nothing. For x86-64, 6.1 on.
 */
#include <linux/ftrace.h>
#include <linux/kprobes.h>
#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/socket.h>
#include <net/sock.h>

static bool redirect;
module_param(redirect, bool, 0444);
MODULE_PARM_DESC(redirect, "Put wrappers in the place of functions, as toa does where there is an address");

/* As toa has it, to be loaded alike. */
static bool debug;
module_param(debug, bool, 0444);
MODULE_PARM_DESC(debug, "Nothing");

typedef long (*child_fn)(long sk, long skb, long req, long dst, long unhash, long own, long init);
typedef long (*getname_fn)(long sock, long addr, long peer);

static void *original_child_v4, *original_child_v6, *original_name_v4, *original_name_v6;

/* Six arguments or seven: what is on the stack in place of a seventh does no harm. */
#define CHILD(name, original) \
	static noinline long name(long sk, long skb, long req, long dst, long unhash, long own, \
				  long init) \
	{ \
		long ret = ((child_fn)(original))(sk, skb, req, dst, unhash, own, init); \
		\
		barrier(); \
		return ret; \
	}

#define GETNAME(name, original) \
	static noinline long name(long sock, long addr, long peer) \
	{ \
		long ret = ((getname_fn)(original))(sock, addr, peer); \
		\
		barrier(); \
		return ret; \
	}

CHILD(wrap_child_v4, original_child_v4)
CHILD(wrap_child_v6, original_child_v6)
GETNAME(wrap_name_v4, original_name_v4)
GETNAME(wrap_name_v6, original_name_v6)

static void nothing(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		    struct ftrace_regs *fregs)
{
}

static unsigned long text;

static void call(unsigned long ip, unsigned long parent, struct ftrace_ops *ops,
		 struct ftrace_regs *fregs)
{
	/* Wrappers lie close to each other, and far from the kernel. */
	if (parent - text < 0x10000)
		return;
#ifdef arch_ftrace_regs
	ftrace_regs_set_instruction_pointer(fregs, (unsigned long)ops->private);
#else
	fregs->regs.ip = (unsigned long)ops->private;
#endif
}

static struct ftrace_ops traces[6];

static const struct {
	const char *symbol;
	void *wrapper;
	void **original;
} hooks[ARRAY_SIZE(traces)] = {
	{ "inet_sock_destruct" },
	{ "tcp_conn_request" },
	{ "inet_getname", wrap_name_v4, &original_name_v4 },
	{ "inet6_getname", wrap_name_v6, &original_name_v6 },
	{ "tcp_v4_syn_recv_sock", wrap_child_v4, &original_child_v4 },
	{ "tcp_v6_syn_recv_sock", wrap_child_v6, &original_child_v6 },
};

static void *address_of(const char *symbol)
{
	struct kprobe kp = { .symbol_name = symbol };
	void *addr;

	if (register_kprobe(&kp))
		return NULL;
	addr = kp.addr;
	unregister_kprobe(&kp);
	return addr;
}

static int attach(int i)
{
	struct ftrace_ops *ops = &traces[i];
	int err;

	ops->func = nothing;
	ops->flags = FTRACE_OPS_FL_PERMANENT;
	if (hooks[i].wrapper) {
		*hooks[i].original = address_of(hooks[i].symbol);
		if (!*hooks[i].original)
			return -ENOENT;
		ops->flags |= FTRACE_OPS_FL_IPMODIFY;
		ops->private = hooks[i].wrapper;
		if (redirect)
			ops->func = call;
	}
	err = ftrace_set_filter(ops, (unsigned char *)hooks[i].symbol, strlen(hooks[i].symbol), 1);
	return err ? err : register_ftrace_function(ops);
}

static int answer(struct sock *sk, int optval, void __user *user, int *len)
{
	return 0;
}

static struct nf_sockopt_ops sockopt = {
	.pf = PF_INET,
	.get_optmin = 4096,
	.get_optmax = 4097,
	.get = answer,
	.owner = THIS_MODULE,
};

static void floor_exit(void)
{
	int i;

	nf_unregister_sockopt(&sockopt);
	for (i = 0; i < ARRAY_SIZE(traces); i++)
		if (traces[i].func)
			unregister_ftrace_function(&traces[i]);
	synchronize_rcu();
}

static int __init floor_init(void)
{
	int i, err = nf_register_sockopt(&sockopt);

	text = min(min((unsigned long)wrap_child_v4, (unsigned long)wrap_child_v6),
		   min((unsigned long)wrap_name_v4, (unsigned long)wrap_name_v6));
	for (i = 0; !err && i < ARRAY_SIZE(traces); i++) {
		err = attach(i);
		if (err)
			traces[i].func = NULL;
	}
	if (err)
		floor_exit();
	return err;
}

module_init(floor_init);
module_exit(floor_exit);

MODULE_DESCRIPTION("What hooks cost that do nothing");
MODULE_LICENSE("GPL");
