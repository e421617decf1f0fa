// SPDX-License-Identifier: GPL-2.0
/*
 * The getsockopts, for applications that want to know what getpeername does not show: the IPv6
 * client behind a NAT64 balancer where the socket is an AF_INET one, and the balancer itself.
 */
#include "toa_log.h"
#include "toa_nat64.h"

#include "toa.h"
#include "toa_compat.h"
#include "toa_drain.h"
#include "toa_fault.h"
#include "toa_param.h"
#include "toa_path.h"
#include "toa_stats.h"
#include "toa_symbol.h"
#include "toa_trace.h"

#include <linux/module.h>
#include <linux/netfilter.h>
#include <linux/percpu.h>
#include <linux/tcp.h>
#include <linux/uaccess.h>

/* Up to the port; what is behind it is padding. */
#define NAT64_LEN_MIN offsetofend(struct toa_nat64_peer, sport)

/* The rule of getpeername(): inet_getname() with peer == 1. */
static bool is_connected(const struct sock *sk)
{
	return inet_sk(sk)->inet_dport &&
	       !((1 << sk->sk_state) & (TCPF_CLOSE | TCPF_SYN_SENT));
}

/* Calls under way. One may end on another CPU than it began on: only the sum counts. */
static DEFINE_PER_CPU(long, inside);

/*
 * The page is not there. It may be one of a file whose server never answers; so whoever waits for
 * it keeps the module in use: rmmod says so, instead of waiting too.
 */
static noinline int copy_waiting(void __user *user, const void *answer, int size)
{
	int err;

	if (!try_module_get(THIS_MODULE))
		return -ENOPROTOOPT;
	err = copy_to_user(user, answer, size) ? -EFAULT : 0;
	module_put(THIS_MODULE);
	return err;
}

/*
 * Copy an answer, or the part of it that was asked for. Of the whole one the size is known to the
 * compiler.
 */
static __always_inline int copy_answer(void __user *user, const void *answer, int whole, int size)
{
	if (likely(size == whole ? toa_copy_to_user_nofault(user, answer, whole) :
				   toa_copy_to_user_nofault(user, answer, size)))
		return 0;
	return copy_waiting(user, answer, size);
}

static __always_inline int check_call(const struct sock *sk, int size, unsigned int least)
{
	if (size < (int)least)
		return -EINVAL;
	if (sk->sk_type != SOCK_STREAM || sk->sk_protocol != IPPROTO_TCP)
		return -EOPNOTSUPP;
	return is_connected(sk) ? 0 : -ENOTCONN;
}

static int answer_lookup(struct sock *sk, void __user *user, int *len)
{
	struct toa_nat64_peer peer;
	struct toa_addrs addrs __uninitialized;
	int size = *len, err;

	err = check_call(sk, size, NAT64_LEN_MIN);
	if (err)
		return err;
	if (!toa_path_find(sk, &addrs)) {
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
	err = copy_answer(user, &peer, sizeof(peer), size);
	if (err)
		return err;
	*len = size;
	toa_stat_inc(TOA_STAT_GETNAME_OK);
	trace_toa_getname(sk, TOA_CALL_GETSOCKOPT, true, &addrs);
	toa_dbg("getsockopt: [%pI6c]:%u\n", &addrs.v6_addr, ntohs(addrs.v6_port));
	return 0;
}

static void set_v4(const struct sock *sk, __be32 addr, __be16 port, union toa_peer_addr *out)
{
	memset(out, 0, sizeof(*out));
	if (sk->sk_family == AF_INET) {
		out->v4.sin_family = AF_INET;
		out->v4.sin_addr.s_addr = addr;
		out->v4.sin_port = port;
	} else {
		out->v6.sin6_family = AF_INET6;
		ipv6_addr_set_v4mapped(addr, &out->v6.sin6_addr);
		out->v6.sin6_port = port;
	}
}

static void set_v6(const struct in6_addr *addr, __be16 port, union toa_peer_addr *out)
{
	memset(out, 0, sizeof(*out));
	out->v6.sin6_family = AF_INET6;
	out->v6.sin6_addr = *addr;
	out->v6.sin6_port = port;
}

/* The other end, as inet_getname() and inet6_getname() find it. */
static void set_balancer(const struct sock *sk, union toa_peer_addr *out)
{
	__be16 port = inet_sk(sk)->inet_dport;

	if (sk->sk_family == AF_INET) {
		set_v4(sk, inet_sk(sk)->inet_daddr, port, out);
		return;
	}
	set_v6(toa_v6_daddr(sk), port, out);
	/* Of a link-local address the device is a part. */
	if ((out->v6.sin6_addr.s6_addr32[0] & htonl(0xffc00000)) == htonl(0xfe800000))
		out->v6.sin6_scope_id = sk->sk_bound_dev_if;
}

/* What getpeername shows; failing that, the IPv6 client that it cannot show. True if it is IPv6. */
static bool set_client(const struct sock *sk, const struct toa_addrs *addrs,
		       struct toa_peer_info *info)
{
	bool v6 = toa_shows_v6(sk, addrs) || !(addrs->have & TOA_HAVE_V4);

	if (v6) {
		set_v6(&addrs->v6_addr, addrs->v6_port, &info->client);
		info->kind = addrs->v6_kind;
		info->segment = addrs->v6_segment;
	} else {
		set_v4(sk, addrs->v4_addr, addrs->v4_port, &info->client);
		info->kind = addrs->v4_kind;
		info->segment = addrs->v4_segment;
	}
	return v6;
}

static int answer_peer(struct sock *sk, void __user *user, int *len)
{
	struct toa_peer_info info;
	struct toa_addrs addrs __uninitialized;
	int size = *len, err;
	bool found, v6 = false;

	BUILD_BUG_ON(sizeof(info) < TOA_PEER_INFO_MIN);
	err = check_call(sk, size, TOA_PEER_INFO_MIN);
	if (err)
		return err;
	memset(&info, 0, sizeof(info));
	info.size = sizeof(info);
	set_balancer(sk, &info.balancer);
	found = toa_path_find(sk, &addrs);
	if (found)
		v6 = set_client(sk, &addrs, &info);
	else
		info.client = info.balancer;

	size = min_t(int, size, sizeof(info));
	err = copy_answer(user, &info, sizeof(info), size);
	if (err)
		return err;
	*len = size;
	toa_stat_inc(found ? TOA_STAT_GETNAME_OK : TOA_STAT_GETNAME_EMPTY);
	if (found)
		trace_toa_getname(sk, TOA_CALL_GETSOCKOPT, v6, &addrs);
	if (info.client.v4.sin_family == AF_INET)
		toa_dbg("getsockopt: %pI4:%u, option %u\n", &info.client.v4.sin_addr,
			ntohs(info.client.v4.sin_port), info.kind);
	else
		toa_dbg("getsockopt: [%pI6c]:%u, option %u\n", &info.client.v6.sin6_addr,
			ntohs(info.client.v6.sin6_port), info.kind);
	return 0;
}

static int nat64_get(struct sock *sk, int number, void __user *user, int *len)
{
	int ret;

	this_cpu_inc(inside);
	ret = number == TOA_SO_GET_PEER ? answer_peer(sk, user, len) :
					  answer_lookup(sk, user, len);
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
	.get_optmax = TOA_SO_GET_PEER + 1,
	.get = nat64_get,
	.owner = TOA_WAITS_FOR_PREEMPTED ? NULL : THIS_MODULE,
};

/**
 * toa_nat64_init() - answer the two getsockopts from now on
 *
 * Context: process.
 * Return: 0, or -EBUSY if another module has one of the numbers.
 */
int __init toa_nat64_init(void)
{
	int err = toa_fails() ? -ENOMEM : nf_register_sockopt(&nat64_ops);

	if (err == -EBUSY)
		pr_err("getsockopt number %d or %d is taken, by another TOA module%s? Unload it first\n",
		       TOA_SO_GET_LOOKUP, TOA_SO_GET_PEER, toa_symbol_other_toa());
	else if (err)
		pr_err("cannot register getsockopt numbers %d and %d (error %d)\n",
		       TOA_SO_GET_LOOKUP, TOA_SO_GET_PEER, err);
	return err;
}

/**
 * toa_nat64_exit() - answer no more
 *
 * netfilter finds nat64_ops under a lock, drops that, and uses them without: it reads them, calls
 * nat64_get(), reads them again, and sleeps nowhere but inside the call.
 *
 * The first thing on the way out, for kernels where the module is the owner.
 *
 * Context: process, sleeps until the calls under way return.
 */
void toa_nat64_exit(void)
{
	nf_unregister_sockopt(&nat64_ops);
	toa_drain(&inside, "getsockopt");
}
