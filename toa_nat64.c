// SPDX-License-Identifier: GPL-2.0
/*
 * The getsockopt: the IPv6 client behind a NAT64 balancer, for applications with an AF_INET socket.
 */
#include "toa_internal.h"
#include "toa.h"
#include "toa_trace.h"

#include <linux/delay.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>

/* Up to the port; what is behind it is padding. */
#define PEER_LEN_MIN offsetofend(struct toa_nat64_peer, sport)

/* The rule of getpeername(): inet_getname() with peer == 1. */
static bool is_connected(const struct sock *sk)
{
	return inet_sk(sk)->inet_dport &&
	       !((1 << sk->sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT));
}

/* Calls under way. One may end on another CPU than it began on: only the sum counts. */
static DEFINE_PER_CPU(long, inside);

static int answer(struct sock *sk, void __user *user, int *len)
{
	struct toa_nat64_peer peer;
	struct toa_addrs addrs;
	int size = *len;

	if (size < (int)PEER_LEN_MIN)
		return -EINVAL;
	if (sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return -EOPNOTSUPP;
	if (!is_connected(sk))
		return -ENOTCONN;
	if (!toa_table_find(sk, &addrs)) {
		toa_stat_inc(TOA_STAT_GETNAME_EMPTY);
		toa_dbg("getsockopt: ENOENT, this connection came without an address\n");
		return -ENOENT;
	}
	if (!(addrs.have & TOA_HAVE_V6)) {
		toa_stat_inc(TOA_STAT_GETNAME_MISMATCH);
		toa_dbg("getsockopt: EAFNOSUPPORT, the client is %pI4:%u: ask getpeername\n",
			&addrs.v4_addr, ntohs(addrs.v4_port));
		return -EAFNOSUPPORT;
	}

	memset(&peer, 0, sizeof(peer));
	peer.saddr = addrs.v6_addr;
	peer.sport = (__force uint16_t)addrs.v6_port;
	size = min_t(int, size, sizeof(peer));
	if (copy_to_user(user, &peer, size))
		return -EFAULT;
	*len = size;
	toa_stat_inc(TOA_STAT_GETNAME_OK);
	trace_toa_getname(sk, TOA_CALL_GETSOCKOPT, true, &addrs);
	toa_dbg("getsockopt: [%pI6c]:%u\n", &addrs.v6_addr, ntohs(addrs.v6_port));
	return 0;
}

static int nat64_get(struct sock *sk, int optval, void __user *user, int *len)
{
	int ret;

	this_cpu_inc(inside);
	ret = answer(sk, user, len);
	this_cpu_dec(inside);
	return ret;
}

/*
 * Where an owner's module is going, netfilter ends its search, and does not find what stands behind
 * it in its list: iptables' and IPVS's own numbers. So this has no owner, and the way out waits for
 * callers by itself; but where it cannot wait for one that was preempted outside of nat64_get(), a
 * wrong answer of iptables for microseconds is better than a crash.
 */
static struct nf_sockopt_ops nat64_ops = {
	.pf = PF_INET,
	.get_optmin = TOA_SO_GET_LOOKUP,
	.get_optmax = TOA_SO_GET_LOOKUP + 1,
	.get = nat64_get,
	.owner = TOA_WAITS_FOR_PREEMPTED ? NULL : THIS_MODULE,
};

/**
 * toa_nat64_init() - answer getsockopt(TOA_SO_GET_LOOKUP) from now on
 *
 * Context: process.
 * Return: 0, or -EBUSY if another module has the number.
 */
int __init toa_nat64_init(void)
{
	int err = toa_fails() ? -ENOMEM : nf_register_sockopt(&nat64_ops);

	if (err == -EBUSY)
		pr_err("getsockopt number %d is taken, by another TOA module? Unload it first\n",
		       TOA_SO_GET_LOOKUP);
	else if (err)
		pr_err("cannot register getsockopt number %d (error %d)\n", TOA_SO_GET_LOOKUP, err);
	return err;
}

static long calls_inside(void)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu(inside, cpu));
	return sum;
}

/**
 * toa_nat64_exit() - answer no more
 *
 * netfilter finds nat64_ops under a lock, drops that, and uses them without: it reads them, calls
 * nat64_get(), reads them again, and sleeps nowhere but inside the call. So, when they can be found
 * no more, the first wait ends when everybody who found them has been counted inside, or is done;
 * then those inside leave, and the second wait covers their way out.
 *
 * The first thing on the way out, for kernels where the module is the owner.
 *
 * Context: process, sleeps until the calls under way return.
 */
void toa_nat64_exit(void)
{
	unsigned int ms = 0;

	nf_unregister_sockopt(&nat64_ops);
	toa_synchronize();
	while (calls_inside()) {
		msleep(20);
		ms += 20;
		if (ms % 10000 == 0)
			pr_info("waiting for %ld calls of getsockopt to return\n", calls_inside());
	}
	toa_synchronize();
}
