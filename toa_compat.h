/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The only file that knows kernel versions. The others read like the newest mainline kernel;
 * what that kernel lacks or calls differently is mended here.
 */
#ifndef TOA_COMPAT_H
#define TOA_COMPAT_H

#include <linux/version.h>
#include <linux/cpu.h>
#include <linux/ftrace.h>
#include <linux/hardirq.h>
#include <linux/in6.h>
#include <linux/ipv6.h>
#include <linux/jhash.h>
#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/net.h>
#include <linux/netfilter.h>
#include <linux/proc_fs.h>
#include <linux/rcupdate.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>
#include <linux/user_namespace.h>
#include <linux/vmalloc.h>
#include <net/inet_connection_sock.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>
#include <net/request_sock.h>
#include <net/tcp.h>

/* TOA_HAS_name: what stands in the headers at hand; made by the build (see Kbuild). */
#include "toa_has.h"

#ifndef CONFIG_64BIT
#error "TOA: only 64-bit kernels are supported"
#endif
#ifndef CONFIG_KRETPROBES
#error "TOA: this kernel is built without kretprobes (CONFIG_KPROBES); toa cannot work on it"
#endif
#ifndef CONFIG_NETFILTER
#error "TOA: this kernel is built without CONFIG_NETFILTER, which carries the getsockopt"
#endif
#ifndef CONFIG_PROC_FS
#error "TOA: this kernel is built without CONFIG_PROC_FS, which carries the counters"
#endif

/*
 * Signatures: asked of the headers at hand, because stable updates change them too.
 */

/**
 * TOA_GETNAME_PEER - which argument of inet_getname() is @peer
 *
 * The third one since 4.17, the fourth one before (int *uaddr_len stood in between).
 */
#define TOA_GETNAME_PEER \
	(__builtin_types_compatible_p(typeof(((const struct proto_ops *)0)->getname), \
				      int (*)(struct socket *, struct sockaddr *, int *, int)) \
	 ? 3 : 2)

/**
 * TOA_SYN_RECV_OWN_REQ - true if syn_recv_sock() tells by *own_req whose the request was
 *
 * It does since 4.4; before, the listener was locked and every child was the caller's.
 */
#define TOA_SYN_RECV_OWN_REQ \
	(!__builtin_types_compatible_p( \
		typeof(((const struct inet_connection_sock_af_ops *)0)->syn_recv_sock), \
		struct sock *(*)(struct sock *, struct sk_buff *, struct request_sock *, \
				 struct dst_entry *)))

/* SYNs came by a function of each family before 3.17, but for RHEL 7. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(3, 17, 0) && !defined(TOA_HAS_tcp_conn_request)
#define TOA_LACKS_TCP_CONN_REQUEST
#endif

/* Arguments of a function at its entry */

#ifdef TOA_HAS_regs_get_kernel_argument
static inline unsigned long toa_regs_arg(struct pt_regs *regs, unsigned int n)
{
	return regs_get_kernel_argument(regs, n);
}
#elif defined(CONFIG_X86_64)
static inline unsigned long toa_regs_arg(struct pt_regs *regs, unsigned int n)
{
	switch (n) {
	case 0: return regs->di;
	case 1: return regs->si;
	case 2: return regs->dx;
	case 3: return regs->cx;
	case 4: return regs->r8;
	case 5: return regs->r9;
	}
	return 0;
}
#elif defined(CONFIG_ARM64)
static inline unsigned long toa_regs_arg(struct pt_regs *regs, unsigned int n)
{
	return regs->regs[n];
}
#else
#error "TOA: reading function arguments is not known for this architecture before Linux 4.20"
#endif

/* Kprobes */

/*
 * At a function's first instruction, where ftrace's call is, a probe is run by ftrace. Kernels of
 * 3.7 to 3.16 stop all of ftrace while anybody attaches or detaches a callback of it, and such
 * probes do not even count what they miss. Behind that call the arguments and the stack are still
 * as at the entry, and a probe is a breakpoint, which is never stopped.
 */
#if defined(TOA_HAS_function_trace_stop) && defined(CONFIG_KPROBES_ON_FTRACE) && \
	defined(CC_USING_FENTRY)
#define TOA_KPROBE_OFFSET MCOUNT_INSN_SIZE
#else
#define TOA_KPROBE_OFFSET 0
#endif

/**
 * toa_kprobe_error() - what register_kprobe() means
 * @symbol: the function
 * @err:    what it returned
 *
 * Before 3.1 it does not tell a function that is not there (ENOENT) from other failures.
 */
static inline int toa_kprobe_error(const char *symbol, int err)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(3, 1, 0)
	if (err == -EINVAL && !kallsyms_lookup_name(symbol))
		return -ENOENT;
#endif
	return err;
}

/*
 * Function tracing that shows arguments and can redirect a call: on x86-64 since 5.11, where the
 * architecture passes the arguments by default, and on 5.10 with all registers saved; elsewhere
 * since 6.2. (No arm64 kernel has kretprobes by rethook; toa_ftrace_returns_to() cannot read them.)
 */
#if defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS) && defined(TOA_HAS_ftrace_regs_get_argument) && \
	!(defined(CONFIG_ARM64) && defined(CONFIG_KRETPROBE_ON_RETHOOK))
#define TOA_HAVE_FTRACE
#define toa_ftrace_regs ftrace_regs
#define toa_ftrace_arg(fregs, n) ftrace_regs_get_argument(fregs, n)
#define toa_ftrace_redirect(fregs, to) ftrace_regs_set_instruction_pointer(fregs, to)
#define TOA_FTRACE_FLAGS FTRACE_OPS_FL_PERMANENT
#elif defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_ARGS)
#define TOA_HAVE_FTRACE
#define toa_ftrace_regs ftrace_regs
#define toa_ftrace_arg(fregs, n) regs_get_kernel_argument(&(fregs)->regs, n)
#define toa_ftrace_redirect(fregs, to) ((fregs)->regs.ip = (to))
#define TOA_FTRACE_FLAGS FTRACE_OPS_FL_PERMANENT
#elif defined(CONFIG_X86_64) && defined(CONFIG_DYNAMIC_FTRACE_WITH_REGS) && \
	LINUX_VERSION_CODE >= KERNEL_VERSION(5, 10, 0)
#define TOA_HAVE_FTRACE
#define toa_ftrace_regs pt_regs
#define toa_ftrace_arg(regs, n) regs_get_kernel_argument(regs, n)
#define toa_ftrace_redirect(regs, to) ((regs)->ip = (to))
#define TOA_FTRACE_FLAGS (FTRACE_OPS_FL_PERMANENT | FTRACE_OPS_FL_SAVE_REGS | \
			  FTRACE_OPS_FL_RECURSION_SAFE)
#endif

#ifndef __no_kmsan_checks
#define __no_kmsan_checks
#endif

#ifdef TOA_HAVE_FTRACE
/**
 * toa_module_text() - where this module's code lies
 * @base: its first byte
 * @size: how long it is
 */
static inline void toa_module_text(unsigned long *base, unsigned long *size)
{
#ifdef TOA_HAS_MOD_TEXT
	*base = (unsigned long)THIS_MODULE->mem[MOD_TEXT].base;
	*size = THIS_MODULE->mem[MOD_TEXT].size;
#else
	*base = (unsigned long)THIS_MODULE->core_layout.base;
	*size = THIS_MODULE->core_layout.text_size;
#endif
}

#ifdef arch_ftrace_regs
#define TOA_FTRACE_FP(fregs) (arch_ftrace_regs(fregs)->fp)
#else
#define TOA_FTRACE_FP(fregs) ((fregs)->fp)
#endif

/**
 * toa_ftrace_returns_to() - does a traced function return into this code?
 * @fregs:  as a callback has them from ftrace
 * @parent: the return address, as ftrace says
 * @base:   the code's first byte
 * @size:   how long it is
 *
 * A kretprobe puts its trampoline in the place of the return address. On arm64 it does so before
 * ftrace looks, and what was there is in the task's newest instances, those of this very frame.
 * (On x86-64 kretprobes at a function's entry come by ftrace, which has looked before.)
 *
 * Context: any.
 */
static __always_inline bool toa_ftrace_returns_to(const struct toa_ftrace_regs *fregs,
						  unsigned long parent, unsigned long base,
						  unsigned long size)
{
#if defined(CONFIG_ARM64) && defined(CONFIG_KRETPROBES)
	const struct llist_node *node;

	for (node = current->kretprobe_instances.first; node; node = node->next) {
		const struct kretprobe_instance *ri =
			container_of(node, const struct kretprobe_instance, llist);

		if ((unsigned long)ri->fp != TOA_FTRACE_FP(fregs))
			break;
		parent = (unsigned long)ri->ret_addr;
	}
#endif
	return parent - base < size;
}
#endif

/*
 * Tracepoints of modules that are not signed: earlier kernels leave them out without a word.
 */
#if defined(CONFIG_TRACEPOINTS) && LINUX_VERSION_CODE >= KERNEL_VERSION(3, 16, 0)
#define TOA_HAVE_TRACE
#endif

/* Tasks: io_uring's workers act for an application; kernels before 5.7 have none. */

#ifndef PF_IO_WORKER
#define PF_IO_WORKER 0
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 11, 0)
#include <linux/sched/signal.h>
#endif

/* The compiler and the memory model */

#if !defined(__clang__) && __GNUC__ == 4 && __GNUC_MINOR__ < 6
#define _Static_assert(holds, text) extern char toa_static_assert[(holds) ? 1 : -1]
#endif

#ifndef READ_ONCE
#define READ_ONCE(x) ACCESS_ONCE(x)
#endif

#ifndef WRITE_ONCE
#define WRITE_ONCE(x, value) (ACCESS_ONCE(x) = (value))
#endif

#ifndef smp_store_release
#define smp_store_release(p, value) \
	do { \
		smp_mb(); /* stronger than asked for */ \
		WRITE_ONCE(*(p), value); \
	} while (0)
#endif

/* Kernels that fill every variable with zeros, which gcc 12 and newer can do, have it. */
#ifndef __uninitialized
#define __uninitialized
#endif

#ifndef offsetofend
#define offsetofend(type, member) (offsetof(type, member) + sizeof(((type *)0)->member))
#endif

/* Parameters: one that may stand without a value */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(3, 17, 0)
#define TOA_PARAM_NOARG .flags = KERNEL_PARAM_OPS_FL_NOARG,
#else
#define TOA_PARAM_NOARG
#endif

/* CPUs */

#ifndef TOA_HAS_cpus_read_lock
#define cpus_read_lock() get_online_cpus()
#define cpus_read_unlock() put_online_cpus()
#endif

/* Sockets */

/**
 * toa_sock_create_kern() - make a TCP socket of the kernel's own, in the initial namespace
 * @family: AF_INET or AF_INET6
 * @sock:   where to put it
 *
 * sock_create_kern() has its namespace argument since 4.2.
 */
static inline int toa_sock_create_kern(int family, struct socket **sock)
{
	typedef int with_net(struct net *, int, int, int, struct socket **);
	typedef int without_net(int, int, int, struct socket **);
	void *create = sock_create_kern;

	if (__builtin_types_compatible_p(typeof(sock_create_kern), with_net))
		return ((with_net *)create)(&init_net, family, SOCK_STREAM, IPPROTO_TCP, sock);
	return ((without_net *)create)(family, SOCK_STREAM, IPPROTO_TCP, sock);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 17, 0)
#define toa_getpeername(sock, addr) kernel_getpeername(sock, addr)
#else
static inline int toa_getpeername(struct socket *sock, struct sockaddr *addr)
{
	int len;

	return kernel_getpeername(sock, addr, &len);
}
#endif

/* The addresses of an IPv6 socket: in struct sock since 3.13, and on RHEL 7. */
#if !defined(CONFIG_IPV6) && !defined(CONFIG_IPV6_MODULE)
static const struct in6_addr toa_v6_none;
#define toa_v6_daddr(sk) (&toa_v6_none)
#define toa_v6_rcv_saddr(sk) (&toa_v6_none)
#elif defined(sk_v6_daddr)
#define toa_v6_daddr(sk) ((const struct in6_addr *)&(sk)->sk_v6_daddr)
#define toa_v6_rcv_saddr(sk) ((const struct in6_addr *)&(sk)->sk_v6_rcv_saddr)
#else
#define toa_v6_daddr(sk) ((const struct in6_addr *)&inet6_sk(sk)->daddr)
#define toa_v6_rcv_saddr(sk) ((const struct in6_addr *)&inet6_sk(sk)->rcv_saddr)
#endif

/*
 * Cookies: numbers that the kernel gives to sockets when they are asked for. Since 5.4 none comes
 * twice on a host; before, each namespace counted for itself. And only where hooks are by ftrace
 * may a socket be looked into because there is an entry.
 */
#ifdef TOA_HAVE_FTRACE
#define TOA_HAVE_COOKIES
#include <linux/sock_diag.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/hex.h>
#endif

/**
 * toa_sock_cookie() - a socket's cookie, or 0 if it was never asked for
 * @sk: the socket
 */
static inline u64 toa_sock_cookie(const struct sock *sk)
{
	return atomic64_read(&sk->sk_cookie);
}
#endif

/**
 * toa_sock_make_cookie() - a socket's cookie; it gets one if it has none
 * @sk: the socket
 *
 * Context: any.
 */
static inline u64 toa_sock_make_cookie(struct sock *sk)
{
	u32 half[2] = { 0, 0 };

#ifdef TOA_HAVE_COOKIES
	sock_diag_save_cookie(sk, half);
#endif
	return half[0] | (u64)half[1] << 32;
}

/* How often a request's SYN-ACK was sent because no answer came. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(3, 8, 0)
#define toa_req_timeouts(req) ((req)->num_timeout)
#else
#define toa_req_timeouts(req) ((req)->retrans)
#endif

/**
 * toa_req_taken() - is another CPU's child of a request the one that counts?
 * @req: the request, in syn_recv_sock()
 *
 * Requests stand in the hash table since 4.4, until one CPU takes them out for its child; those of
 * syncookies and Fast Open never do, and have no references yet. Before, listeners were locked.
 *
 * Return: true says for sure that *own_req will be false.
 */
static inline bool toa_req_taken(const struct request_sock *req)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(4, 4, 0)
	/* A refcount_t, which is an atomic_t inside, or still an atomic_t. */
	return hlist_unhashed(&req->__req_common.skc_node) &&
	       atomic_read((const atomic_t *)&req->rsk_refcnt);
#else
	return false;
#endif
}

/*
 * How much each side has received of the other, less what was not acknowledged: since 4.1. (Before
 * 3.9 a member of the same name counted something else.)
 */
#ifdef TOA_HAS_bytes_received
#define TOA_HAVE_LATE true
#define toa_bytes_acked(tp) ((tp)->bytes_acked)
#define toa_bytes_received(tp) ((u32)(tp)->bytes_received)
#else
#define TOA_HAVE_LATE false
#define toa_bytes_acked(tp) 1
#define toa_bytes_received(tp) 0
#endif

/**
 * toa_net_id() - the number that tells a network namespace from every other living one
 * @net: the namespace
 *
 * Return: its inode number, as in /proc/PID/ns/net.
 */
static inline u32 toa_net_id(const struct net *net)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(3, 19, 0)
	return net->ns.inum;
#elif LINUX_VERSION_CODE >= KERNEL_VERSION(3, 8, 0)
	return net->proc_inum;
#else
	/* Namespaces have no numbers yet; hashes of their addresses tell living ones apart too. */
	return jhash(&net, sizeof(net), 0);
#endif
}

/**
 * toa_net_tenant() - whose a network namespace is, if it is not the host's
 * @net: the namespace
 *
 * Any user may make a user namespace, in it others, and network namespaces in all of them. They are
 * one tenant. (A user who has subordinate ids can be others.) Of the user namespaces that root made
 * for containers each is one.
 *
 * Return: 0 if it belongs to the initial user namespace, as those of most containers do; or else a
 *         number that tells tenants apart: the user's, or the address of the user namespace.
 */
static inline unsigned long toa_net_tenant(const struct net *net)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(3, 8, 0)
	const struct user_namespace *ns = net->user_ns;

	if (ns == &init_user_ns)
		return 0;
	while (ns->parent != &init_user_ns)
		ns = ns->parent;
	return __kuid_val(ns->owner) ?: (unsigned long)ns;
#else
	/* Network namespaces have no owner yet: only root makes them. */
	return 0;
#endif
}

/**
 * toa_copy_to_user_nofault() - copy_to_user() that does not wait for a page
 * @to:   where to, in the caller's memory
 * @from: what
 * @size: how much; where the compiler knows it, hardened kernels need not check it
 *
 * The kernel's own copy_to_user_nofault() is younger, and checks.
 *
 * Context: any.
 * Return: true if all was copied.
 */
static __always_inline bool toa_copy_to_user_nofault(void __user *to, const void *from,
						     unsigned long size)
{
	bool copied;

#ifdef TOA_HAS_access_ok_type
	if (!access_ok(VERIFY_WRITE, to, size))
		return false;
#else
	if (!access_ok(to, size))
		return false;
#endif
	pagefault_disable();
	copied = !__copy_to_user_inatomic(to, from, size);
	pagefault_enable();
	return copied;
}

/* Waiting */

/**
 * toa_synchronize() - wait until the data path has left what it may be looking at now
 *
 * It runs with preemption off (kprobe handlers, softirqs), or, in callbacks and wrappers of
 * ftrace, in a task that may be preempted but does not sleep: Tasks RCU waits for these. It does
 * not wait for idle tasks, on which softirqs run: synchronize_rcu() does.
 *
 * Context: process, sleeps.
 */
static inline void toa_synchronize(void)
{
#if defined(TOA_HAVE_FTRACE) || defined(CONFIG_TASKS_RCU)
	synchronize_rcu_tasks();
#endif
#ifdef TOA_HAS_synchronize_sched
	synchronize_sched();
#endif
	synchronize_rcu();
}

/*
 * Whether toa_synchronize() also waits for tasks that were preempted, wherever they were: where
 * nothing is preempted, or Tasks RCU is there.
 */
#if defined(CONFIG_TASKS_RCU) || \
	!(defined(CONFIG_PREEMPT) || defined(CONFIG_PREEMPTION) || \
	  defined(CONFIG_PREEMPT_RT_BASE) || defined(CONFIG_PREEMPT_RT_FULL))
#define TOA_WAITS_FOR_PREEMPTED true
#else
#define TOA_WAITS_FOR_PREEMPTED false
#endif

/**
 * toa_read_lock() - begin to read what kmem_cache_free() and toa_synchronize() must wait for
 *
 * Where regions with preemption off have no grace periods of their own any more (4.20, RHEL 8.2),
 * every grace period waits for them. Such a region costs two or three instructions, where
 * rcu_read_lock() is a function call on preemptible kernels. Not for long ones. (_notrace: used in
 * callbacks of ftrace.)
 */
#ifdef TOA_HAS_synchronize_sched
#define toa_read_lock() rcu_read_lock()
#define toa_read_unlock() rcu_read_unlock()
#else
#define toa_read_lock() preempt_disable_notrace()
#define toa_read_unlock() preempt_enable_notrace()
#endif

/* Memory */

#ifndef SLAB_TYPESAFE_BY_RCU
#define SLAB_TYPESAFE_BY_RCU SLAB_DESTROY_BY_RCU
#endif

/*
 * A SLAB_TYPESAFE_BY_RCU cache. The allocator's pointer to the next free object stands behind each;
 * from 6.12 on it can be where late readers do not mind it, and objects are 8 bytes smaller.
 */
static inline struct kmem_cache *toa_cache_create(const char *name, unsigned int size,
						  unsigned int spare)
{
#ifdef TOA_HAS_use_freeptr_offset
	struct kmem_cache_args args = { .freeptr_offset = spare, .use_freeptr_offset = true };

	return kmem_cache_create(name, size, &args, SLAB_TYPESAFE_BY_RCU);
#else
	return kmem_cache_create(name, size, 0, SLAB_TYPESAFE_BY_RCU, NULL);
#endif
}

#ifdef TOA_HAS_kvzalloc
#define toa_kvzalloc(size) kvzalloc(size, GFP_KERNEL | __GFP_NOWARN)
#define toa_kvfree(p) kvfree(p)
#else
#define toa_kvzalloc(size) vzalloc(size)
#define toa_kvfree(p) vfree(p)
#endif

/**
 * TOA_PREEMPT_RT - 1 on a kernel whose spinlock_t and slab allocator may sleep, 0 on others
 */
#if defined(CONFIG_PREEMPT_RT) || defined(CONFIG_PREEMPT_RT_FULL)
#define TOA_PREEMPT_RT 1
#else
#define TOA_PREEMPT_RT 0
#endif

/* Parameters */

/**
 * toa_param_end() - what a parameter's get() has to put behind its text
 * @page: where it is to write
 *
 * Kernels of before 4.14, and not all of them, put the newline there themselves, even if nothing of
 * the page is left. No header says so: the kernel's own numbers do.
 *
 * Return: a newline, or nothing.
 */
static inline const char *toa_param_end(char *page)
{
	int zero = 0;
	struct kernel_param kp = { .name = "" };

	kp.arg = &zero;
	return page[param_get_int(page, &kp) - 1] == '\n' ? "\n" : "";
}

/* /proc */

#ifndef TOA_HAS_remove_proc_subtree
#define remove_proc_subtree(name, parent) remove_proc_entry(name, parent)
#endif

#ifdef TOA_HAS_proc_ops
#define TOA_PROC_SEQ_OPS(name, open_fn, read_fn, release_fn) \
	static const struct proc_ops name = { \
		.proc_open = open_fn, \
		.proc_read = read_fn, \
		.proc_lseek = seq_lseek, \
		.proc_release = release_fn, \
	}
#else
#define TOA_PROC_SEQ_OPS(name, open_fn, read_fn, release_fn) \
	static const struct file_operations name = { \
		.owner = THIS_MODULE, \
		.open = open_fn, \
		.read = read_fn, \
		.llseek = seq_lseek, \
		.release = release_fn, \
	}
#endif

#if !defined(TOA_HAS_pde_data) && defined(TOA_HAS_PDE_DATA)
#define pde_data(inode) PDE_DATA(inode)
#elif !defined(TOA_HAS_pde_data)
#define pde_data(inode) (PDE(inode)->data)
#endif

#endif /* TOA_COMPAT_H */
