// SPDX-License-Identifier: GPL-2.0
/*
 * The data path: what happens to an address at each of the kernel functions it passes.
 *
 * SYN -> child socket -> getpeername, accept -> end. All functions here are called by toa_hook.c,
 * atomically, with the arguments of the kernel function. None of them changes what the kernel does.
 */
#include "toa_internal.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/sched.h>
#include <linux/tcp.h>
#include <net/tcp.h>

static bool is_ipv4(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP);
}

/* Parse a segment; count and report what it holds. */
static void read_segment(const struct sk_buff *skb, struct toa_addrs *addrs)
{
	const struct tcphdr *th = tcp_hdr(skb);
	unsigned int refused;

	addrs->have = 0;
	if (th->doff * 4 <= sizeof(*th))
		return;
	refused = toa_option_parse((const u8 *)(th + 1), th->doff * 4 - sizeof(*th), addrs);
	if (refused) {
		toa_stat_add(TOA_STAT_INVALID, refused);
		toa_dbg("%s to port %u: %u address(es) that nobody may claim, ignored\n",
			th->syn ? "SYN" : "segment", ntohs(th->dest), refused);
	}
	if (addrs->have & TOA_HAVE_V4)
		toa_dbg("%s to port %u: option 200, %pI4:%u\n", th->syn ? "SYN" : "segment",
			ntohs(th->dest), &addrs->v4_addr, ntohs(addrs->v4_port));
	if (addrs->have & TOA_HAVE_V6)
		toa_dbg("%s to port %u: option 253, [%pI6c]:%u\n", th->syn ? "SYN" : "segment",
			ntohs(th->dest), &addrs->v6_addr, ntohs(addrs->v6_port));
}

static void flow_of(const struct sock *listener, const struct sk_buff *skb, u32 isn,
		    struct toa_flow *flow)
{
	const struct tcphdr *th = tcp_hdr(skb);

	flow->isn = isn;
	flow->net = toa_net_id(sock_net(listener));
	flow->sport = th->source;
	flow->dport = th->dest;
	if (is_ipv4(skb)) {
		memset(flow->addr, 0, sizeof(flow->addr));
		flow->addr[0] = ip_hdr(skb)->saddr;
		flow->addr[1] = ip_hdr(skb)->daddr;
	} else {
		memcpy(&flow->addr[0], &ipv6_hdr(skb)->saddr, sizeof(struct in6_addr));
		memcpy(&flow->addr[4], &ipv6_hdr(skb)->daddr, sizeof(struct in6_addr));
	}
}

/*
 * The SYN: tcp_conn_request(rsk_ops, af_ops, sk, skb), for all listeners, with syncookies too.
 */
static bool syn_enter(const unsigned long *arg, union toa_call *call)
{
	const struct sock *listener = (const struct sock *)arg[2];
	const struct sk_buff *skb = (const struct sk_buff *)arg[3];
	struct toa_addrs addrs;
	struct toa_flow flow;

	if (!toa_syn_slots)
		return false;
	read_segment(skb, &addrs);
	if (addrs.have) {
		flow_of(listener, skb, ntohl(tcp_hdr(skb)->seq), &flow);
		toa_handshake_put(&flow, &addrs);
	}
	return false;
}

/*
 * The child socket: tcp_v4_syn_recv_sock(sk, skb, req, dst, req_unhash, own_req), and the same for
 * IPv6, for the segment that completes a handshake.
 *
 * The work is done when the function returns, because only then is it known whether there is a
 * child. It is locked then and not yet in the accept queue: nobody asks for its peer before.
 */

/*
 * An IPv4 segment for an AF_INET6 listener goes to the IPv6 function, which calls the IPv4 one,
 * except on some vendors' kernels, where it calls a part of that. It is enough to see it once.
 */
static bool v4_inside_v6 __read_mostly;

static bool child_enter(const unsigned long *arg, union toa_call *call)
{
	call->child.listener = (const struct sock *)arg[0];
	call->child.skb = (const struct sk_buff *)arg[1];
	call->child.req = (const struct request_sock *)arg[2];
	call->child.own_req = (const bool *)arg[5];
	return true;
}

/* For each kind that the segment lacks, what the SYN said counts. */
static void read_syn(const union toa_call *call, bool release, struct toa_addrs *addrs)
{
	struct toa_addrs syn;
	struct toa_flow flow;

	/* By the SYN's sequence number: any segment in the window may complete the handshake. */
	flow_of(call->child.listener, call->child.skb, tcp_rsk(call->child.req)->rcv_isn, &flow);
	if (!toa_handshake_find(&flow, release, &syn))
		return;
	if (syn.have & ~addrs->have & TOA_HAVE_V4) {
		addrs->v4_addr = syn.v4_addr;
		addrs->v4_port = syn.v4_port;
	}
	if (syn.have & ~addrs->have & TOA_HAVE_V6) {
		addrs->v6_addr = syn.v6_addr;
		addrs->v6_port = syn.v6_port;
	}
	addrs->have |= syn.have;
}

static void child_made(const struct sock *child, const union toa_call *call,
		       const struct toa_addrs *addrs)
{
	u16 port = ntohs(inet_sk(child)->inet_sport);

	if (!addrs->have) {
		toa_table_remove(child);
		toa_dbg("connection to port %u: no address\n", port);
	} else if (toa_table_insert(child, is_ipv4(call->child.skb), addrs)) {
		toa_stat_inc(TOA_STAT_SYN_RECV_TOA);
		if (addrs->have & TOA_HAVE_V4)
			toa_dbg("connection to port %u: stored %pI4:%u\n", port, &addrs->v4_addr,
				ntohs(addrs->v4_port));
		if (addrs->have & TOA_HAVE_V6)
			toa_dbg("connection to port %u: stored [%pI6c]:%u\n", port,
				&addrs->v6_addr, ntohs(addrs->v6_port));
	} else {
		toa_dbg("connection to port %u: address lost, table full or no memory\n", port);
	}
}

static void child_leave(unsigned long ret, const union toa_call *call)
{
	const struct sock *child = (const struct sock *)ret;
	struct toa_addrs addrs;

	/*
	 * No child: the accept queue is full, and the request will be tried again. Not ours: another
	 * CPU was faster, and this child is thrown away. Both leave the SYN's addresses where they
	 * are.
	 */
	if (child && TOA_SYN_RECV_OWN_REQ && !*call->child.own_req)
		return;
	read_segment(call->child.skb, &addrs);
	if (!toa_handshake_idle())
		read_syn(call, child, &addrs);
	if (!addrs.have)
		toa_stat_inc(TOA_STAT_SYN_RECV_NO_TOA);
	if (child)
		child_made(child, call, &addrs);
}

static void child_leave_v4(unsigned long ret, const union toa_call *call)
{
	if (!v4_inside_v6 && call->child.listener->sk_family == AF_INET6)
		v4_inside_v6 = true;
	child_leave(ret, call);
}

static void child_leave_v6(unsigned long ret, const union toa_call *call)
{
	if (!(v4_inside_v6 && is_ipv4(call->child.skb)))
		child_leave(ret, call);
}

/*
 * accept, getpeername, SO_PEERNAME: inet_getname(sock, uaddr, peer), and the same for IPv6.
 */

/* Kernel threads decide by the peer's address (NFS exports): they asked for the real peer. */
static bool asked_by_kernel(void)
{
	return (current->flags & (PF_KTHREAD | PF_IO_WORKER)) == PF_KTHREAD;
}

static bool getname_enter(const unsigned long *arg, union toa_call *call)
{
	const struct sock *sk = ((const struct socket *)arg[0])->sk;

	if (!(int)arg[TOA_GETNAME_PEER] || !toa_table_has(sk))
		return false;
	if (asked_by_kernel() && !toa_kernel_getname)
		return false;
	call->getname.sk = sk;
	call->getname.uaddr = (struct sockaddr *)arg[1];
	return true;
}

static void answer_v4(struct sockaddr_in *sin, const struct toa_addrs *addrs)
{
	if (!(addrs->have & TOA_HAVE_V4)) {
		toa_dbg("getpeername: unchanged, [%pI6c]:%u does not fit an AF_INET socket\n",
			&addrs->v6_addr, ntohs(addrs->v6_port));
		return;
	}
	sin->sin_addr.s_addr = addrs->v4_addr;
	sin->sin_port = addrs->v4_port;
	toa_stat_inc(TOA_STAT_GETNAME_OK);
	toa_dbg("getpeername: %pI4:%u\n", &sin->sin_addr, ntohs(sin->sin_port));
}

static void answer_v6(struct sockaddr_in6 *sin6, const struct toa_addrs *addrs)
{
	if (addrs->have & TOA_HAVE_V6) {
		sin6->sin6_addr = addrs->v6_addr;
		sin6->sin6_port = addrs->v6_port;
	} else {
		ipv6_addr_set_v4mapped(addrs->v4_addr, &sin6->sin6_addr);
		sin6->sin6_port = addrs->v4_port;
	}
	sin6->sin6_flowinfo = 0;
	sin6->sin6_scope_id = 0;
	toa_stat_inc(TOA_STAT_GETNAME_OK);
	toa_dbg("getpeername: [%pI6c]:%u\n", &sin6->sin6_addr, ntohs(sin6->sin6_port));
}

static void getname_leave(unsigned long ret, const union toa_call *call)
{
	struct sockaddr *uaddr = call->getname.uaddr;
	struct toa_addrs addrs;

	/* Success is the length of the address, on old kernels 0. The function may have slept. */
	if ((int)ret < 0 || !toa_table_find(call->getname.sk, &addrs))
		return;
	if (uaddr->sa_family == AF_INET)
		answer_v4((struct sockaddr_in *)uaddr, &addrs);
	else if (uaddr->sa_family == AF_INET6)
		answer_v6((struct sockaddr_in6 *)uaddr, &addrs);
}

/*
 * The end: inet_sock_destruct(sk), for every socket of the family, and tcp_disconnect(sk, flags),
 * after which the same struct sock may connect elsewhere.
 */
static bool end_enter(const unsigned long *arg, union toa_call *call)
{
	toa_table_remove((const struct sock *)arg[0]);
	return false;
}

struct toa_hook toa_hooks[] = {
	/* Ends first: an entry must never outlive its socket. */
	{
		.symbol = "inet_sock_destruct",
		.args = 1,
		.enter = end_enter,
		.self_test = true,
	}, {
		.symbol = "tcp_disconnect",
		.args = 1,
		.enter = end_enter,
		.self_test = true,
	}, {
		.symbol = "inet_getname",
		.args = TOA_GETNAME_PEER + 1,
		.enter = getname_enter,
		.leave = getname_leave,
		.blocking = true,
		.self_test = true,
	}, {
		.symbol = "inet6_getname",
		.args = TOA_GETNAME_PEER + 1,
		.enter = getname_enter,
		.leave = getname_leave,
		.blocking = true,
		.self_test = true,
		.ipv6 = true,
	}, {
		.symbol = "tcp_v4_syn_recv_sock",
		.args = 6,
		.enter = child_enter,
		.leave = child_leave_v4,
	}, {
		.symbol = "tcp_v6_syn_recv_sock",
		.args = 6,
		.enter = child_enter,
		.leave = child_leave_v6,
		.ipv6 = true,
	}, {
		.symbol = "tcp_conn_request",
		.args = 4,
		.enter = syn_enter,
	},
};

const unsigned int toa_hook_count = ARRAY_SIZE(toa_hooks);
