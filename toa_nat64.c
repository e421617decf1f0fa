// SPDX-License-Identifier: GPL-2.0
/*
 * The getsockopt: the IPv6 client behind a NAT64 balancer, for applications with an AF_INET socket.
 */
#include "toa_internal.h"
#include "toa.h"

#include <linux/netfilter.h>
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

static int nat64_get(struct sock *sk, int optval, void __user *user, int *len)
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
	toa_dbg("getsockopt: [%pI6c]:%u\n", &addrs.v6_addr, ntohs(addrs.v6_port));
	return 0;
}

static struct nf_sockopt_ops nat64_ops = {
	.pf = PF_INET,
	.get_optmin = TOA_SO_GET_LOOKUP,
	.get_optmax = TOA_SO_GET_LOOKUP + 1,
	.get = nat64_get,
	.owner = THIS_MODULE,
};

/**
 * toa_nat64_init() - answer getsockopt(TOA_SO_GET_LOOKUP) from now on
 *
 * Context: process.
 * Return: 0, or -EBUSY if another module has the number.
 */
int __init toa_nat64_init(void)
{
	int err = nf_register_sockopt(&nat64_ops);

	if (err == -EBUSY)
		pr_err("getsockopt number %d is taken, by another TOA module? Unload it first\n",
		       TOA_SO_GET_LOOKUP);
	else if (err)
		pr_err("cannot register getsockopt number %d (error %d)\n", TOA_SO_GET_LOOKUP, err);
	return err;
}

/**
 * toa_nat64_exit() - answer no more
 *
 * Must be the first thing on the way out: while the module is going, netfilter finds none of the
 * sockopts that stand behind this one.
 *
 * Context: process.
 */
void toa_nat64_exit(void)
{
	nf_unregister_sockopt(&nat64_ops);
}
