// SPDX-License-Identifier: GPL-2.0
/*
 * For the guest tests: holds what toa needs, or asks for a peer or listens as a server inside the
 * kernel does.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/ftrace.h>
#include <linux/in.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/net.h>
#include <linux/netfilter.h>
#include <linux/nsproxy.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/socket.h>
#include <linux/version.h>
#include <net/net_namespace.h>
#include <net/sock.h>

static int sockopt;
module_param(sockopt, int, 0444);
MODULE_PARM_DESC(sockopt, "Hold this getsockopt number of PF_INET");

static bool crowd;
module_param(crowd, bool, 0444);
MODULE_PARM_DESC(crowd, "Put many others before it, so that looking for it takes long");

static char *proc;
module_param(proc, charp, 0444);
MODULE_PARM_DESC(proc, "Hold this name in /proc/net");

static char *patch;
module_param(patch, charp, 0444);
MODULE_PARM_DESC(patch, "Claim this function as a live patch does");

static int fd = -1;
module_param(fd, int, 0444);
MODULE_PARM_DESC(fd, "Let a kernel thread ask for the peer of this socket of the loading process");

static char answer[128] = "nobody asked";
module_param_string(answer, answer, sizeof(answer), 0444);
MODULE_PARM_DESC(answer, "What it was told (read only)");

static ushort listen;
module_param(listen, ushort, 0444);
MODULE_PARM_DESC(listen, "Listen on this TCP port in the loading process's network namespace, without holding that");

static bool ending;
module_param(ending, bool, 0444);
MODULE_PARM_DESC(ending, "That namespace ends, and waits (read only)");

static bool go;
module_param(go, bool, 0644);
MODULE_PARM_DESC(go, "Let it end");

static int hold_get(struct sock *sk, int optval, void __user *user, int *len)
{
	return -EPERM;
}

static struct nf_sockopt_ops held = {
	.pf = PF_INET,
	.get = hold_get,
	.owner = THIS_MODULE,
};

static struct nf_sockopt_ops others[1024];
static int others_count;

static void crowd_leave(void)
{
	while (others_count > 0)
		nf_unregister_sockopt(&others[--others_count]);
}

/* The last one that is registered is looked at first. */
static int crowd_come(void)
{
	for (; others_count < ARRAY_SIZE(others); others_count++) {
		struct nf_sockopt_ops *ops = &others[others_count];
		int err;

		ops->pf = PF_INET;
		ops->get = hold_get;
		ops->get_optmin = 100000 + others_count;
		ops->get_optmax = ops->get_optmin + 1;
		ops->owner = THIS_MODULE;
		err = nf_register_sockopt(ops);
		if (err) {
			crowd_leave();
			return err;
		}
	}
	return 0;
}

static DECLARE_COMPLETION(asked);

#if LINUX_VERSION_CODE < KERNEL_VERSION(4, 17, 0)
static int peer_of(struct socket *sock, struct sockaddr_storage *ss)
{
	int len = sizeof(*ss);

	return kernel_getpeername(sock, (struct sockaddr *)ss, &len);
}
#else
static int peer_of(struct socket *sock, struct sockaddr_storage *ss)
{
	return kernel_getpeername(sock, (void *)ss);
}
#endif

/* "%pIS" is from 3.11 on. */
static int ask(void *data)
{
	struct sockaddr_storage ss = { 0 };
	struct sockaddr_in *sin = (void *)&ss;
	struct sockaddr_in6 *sin6 = (void *)&ss;
	int err = peer_of(data, &ss);

	if (err < 0)
		scnprintf(answer, sizeof(answer), "error %d", err);
	else if (ss.ss_family == AF_INET)
		scnprintf(answer, sizeof(answer), "%pI4:%u", &sin->sin_addr, ntohs(sin->sin_port));
	else
		scnprintf(answer, sizeof(answer), "[%pI6c]:%u", &sin6->sin6_addr,
			  ntohs(sin6->sin6_port));
	complete(&asked);
	return 0;
}

static int ask_for_peer(void)
{
	struct task_struct *task;
	struct socket *sock;
	int err;

	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return err;
	task = kthread_run(ask, sock, "toa_holder");
	if (IS_ERR(task))
		err = PTR_ERR(task);
	else
		wait_for_completion(&asked);
	sockfd_put(sock);
	return IS_ERR(task) ? err : 0;
}

#if defined(sk_net_refcnt) && LINUX_VERSION_CODE >= KERNEL_VERSION(5, 3, 0)
/*
 * A server that belongs to its namespace: neither it nor its connections keep that alive. It closes
 * them when the namespace ends, after the exits of all who were registered later, such as toa.
 */
static struct socket *listener;

static void listen_exit_net(struct net *net)
{
	int tries = 3000;

	if (!listener || sock_net(listener->sk) != net)
		return;
	WRITE_ONCE(ending, true);
	/* Somebody looks at what is left now; but not for ever. */
	while (!READ_ONCE(go) && tries--)
		msleep(20);
	sock_release(listener);
	listener = NULL;
}

static struct pernet_operations listen_ops = {
	.exit = listen_exit_net,
};

static int listen_come(void)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(listen) };
	int err;

	err = sock_create_kern(current->nsproxy->net_ns, AF_INET, SOCK_STREAM, IPPROTO_TCP,
			       &listener);
	if (err)
		return err;
	err = kernel_bind(listener, (void *)&sin, sizeof(sin));
	if (!err)
		err = kernel_listen(listener, 16);
	if (!err)
		err = register_pernet_subsys(&listen_ops);
	if (err) {
		sock_release(listener);
		listener = NULL;
	}
	return err;
}

static void listen_leave(void)
{
	go = true;
	unregister_pernet_subsys(&listen_ops);
}
#else
/*
 * Before 4.2 every connection holds its namespace. Before 5.3 its route holds the namespace's
 * loopback device, for which the end waits before it calls the exit of any subsystem: for ever.
 */
static int listen_come(void)
{
	return -EOPNOTSUPP;
}

static void listen_leave(void)
{
}
#endif

/* Only kernels on which toa can use ftrace are asked for it: from 5.10 on. */
#if defined(CONFIG_DYNAMIC_FTRACE) && LINUX_VERSION_CODE >= KERNEL_VERSION(5, 10, 0)
/* A live patch that changes nothing, and needs no argument: these differ between kernels. */
static void patched(void)
{
}

static struct ftrace_ops patch_ops = {
	.func = (ftrace_func_t)(void *)patched,
	.flags = FTRACE_OPS_FL_SAVE_REGS_IF_SUPPORTED | FTRACE_OPS_FL_IPMODIFY,
};

static int patch_come(void)
{
	int err = ftrace_set_filter(&patch_ops, patch, strlen(patch), 1);

	if (err)
		return err;
	err = register_ftrace_function(&patch_ops);
	if (err)
		ftrace_set_filter(&patch_ops, NULL, 0, 1);
	return err;
}

static void patch_leave(void)
{
	unregister_ftrace_function(&patch_ops);
	ftrace_set_filter(&patch_ops, NULL, 0, 1);
}
#else
static int patch_come(void)
{
	return -EOPNOTSUPP;
}

static void patch_leave(void)
{
}
#endif

/* By this name all other TOA modules are known. */
noinline int inet_getname_toa(void);
noinline int inet_getname_toa(void)
{
	return 0;
}

static int __init holder_init(void)
{
	int err;

	if (patch) {
		err = patch_come();
		if (err)
			return err;
	}
	if (fd >= 0) {
		err = ask_for_peer();
		if (err)
			return err;
	}
	if (listen) {
		err = listen_come();
		if (err)
			return err;
	}
	if (sockopt) {
		held.get_optmin = sockopt;
		held.get_optmax = sockopt + 1;
		err = nf_register_sockopt(&held);
		if (err)
			return err;
		err = crowd ? crowd_come() : 0;
		if (err) {
			nf_unregister_sockopt(&held);
			return err;
		}
	}
	/* A directory needs no operations, which differ between kernels. */
	if (proc && !proc_mkdir(proc, init_net.proc_net)) {
		crowd_leave();
		if (sockopt)
			nf_unregister_sockopt(&held);
		return -ENOMEM;
	}
	return 0;
}

static void __exit holder_exit(void)
{
	if (patch)
		patch_leave();
	if (listen)
		listen_leave();
	if (proc)
		remove_proc_entry(proc, init_net.proc_net);
	crowd_leave();
	if (sockopt)
		nf_unregister_sockopt(&held);
}

module_init(holder_init);
module_exit(holder_exit);

MODULE_DESCRIPTION("Stands in the way of toa, for its tests");
MODULE_LICENSE("GPL");
