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
static bool syn_wanted(const unsigned long *arg)
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
 * What is known is looked up at the entry and stored when the function has returned a child. That
 * is locked then and not yet in the accept queue: nobody asks for its peer before.
 */

/*
 * An IPv4 segment for an AF_INET6 listener goes to the IPv6 function, and from there to the IPv4
 * one, whose business it is; but some vendors' kernels call a part of that one instead.
 */
static bool v4_bypassed __read_mostly;

static bool has_options(const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);
	const __be32 timestamps = htonl(TCPOPT_NOP << 24 | TCPOPT_NOP << 16 |
					TCPOPT_TIMESTAMP << 8 | TCPOLEN_TIMESTAMP);

	/* None, or those that nearly every segment has. */
	return th->doff > 5 && !(th->doff == 8 && *(const __be32 *)(th + 1) == timestamps);
}

static bool child_wanted_v4(const unsigned long *arg)
{
	/* An entry whose end was missed may stand under the child's address. */
	if (has_options((const struct sk_buff *)arg[1]) || !toa_handshake_idle() ||
	    toa_hook_may_miss())
		return true;
	toa_stat_inc(TOA_STAT_SYN_RECV_NO_TOA);
	toa_dbg("connection to port %u: no address\n",
		ntohs(tcp_hdr((const struct sk_buff *)arg[1])->dest));
	return false;
}

static bool child_wanted_v6(const unsigned long *arg)
{
	if (is_ipv4((const struct sk_buff *)arg[1]) && !v4_bypassed)
		return false;
	return child_wanted_v4(arg);
}

/* For each kind that the segment lacks, what the SYN said counts. */
static void merge(struct toa_addrs *addrs, const struct toa_addrs *syn)
{
	if (syn->have & ~addrs->have & TOA_HAVE_V4) {
		addrs->v4_addr = syn->v4_addr;
		addrs->v4_port = syn->v4_port;
	}
	if (syn->have & ~addrs->have & TOA_HAVE_V6) {
		addrs->v6_addr = syn->v6_addr;
		addrs->v6_port = syn->v6_port;
	}
	addrs->have |= syn->have;
}

static bool child_enter(const unsigned long *arg, union toa_call *call)
{
	const struct sock *listener = (const struct sock *)arg[0];
	const struct sk_buff *skb = (const struct sk_buff *)arg[1];
	struct toa_addrs syn;
	struct toa_flow flow;

	call->child.own_req = (const bool *)arg[5];
	call->child.slot = NULL;
	call->child.ipv4 = is_ipv4(skb);
	read_segment(skb, &call->child.addrs);
	if (!toa_handshake_idle()) {
		/* Any segment in the window may complete a handshake: not by its own number. */
		call->child.isn = tcp_rsk((const struct request_sock *)arg[2])->rcv_isn;
		flow_of(listener, skb, call->child.isn, &flow);
		call->child.slot = toa_handshake_find(&flow, &syn);
		if (call->child.slot)
			merge(&call->child.addrs, &syn);
	}
	if (call->child.addrs.have)
		return true;
	toa_stat_inc(TOA_STAT_SYN_RECV_NO_TOA);
	toa_dbg("connection to port %u: no address\n", ntohs(tcp_hdr(skb)->dest));
	return toa_hook_may_miss();
}

static void report_stored(const struct sock *child, const struct toa_addrs *addrs, bool stored)
{
	const char *what = stored ? "stored" : "lost, as the table is full or memory short:";
	u16 port = ntohs(inet_sk(child)->inet_sport);

	if (addrs->have & TOA_HAVE_V4)
		toa_dbg("connection to port %u: %s %pI4:%u\n", port, what, &addrs->v4_addr,
			ntohs(addrs->v4_port));
	if (addrs->have & TOA_HAVE_V6)
		toa_dbg("connection to port %u: %s [%pI6c]:%u\n", port, what, &addrs->v6_addr,
			ntohs(addrs->v6_port));
}

static void child_leave(unsigned long ret, const union toa_call *call)
{
	const struct sock *child = (const struct sock *)ret;
	const struct toa_addrs *addrs = &call->child.addrs;
	bool stored;

	/*
	 * No child: the accept queue is full, and the request will be tried again. Not ours: another
	 * CPU was faster, and this child is thrown away. Both leave the SYN's addresses where they
	 * are.
	 */
	if (!child || (TOA_SYN_RECV_OWN_REQ && !*call->child.own_req))
		return;
	if (!addrs->have) {
		toa_table_remove(child);
		return;
	}
	stored = toa_table_insert(child, call->child.ipv4, addrs);
	if (stored)
		toa_stat_inc(TOA_STAT_SYN_RECV_TOA);
	report_stored(child, addrs, stored);
	if (call->child.slot)
		toa_handshake_release(call->child.slot, call->child.isn);
}

/*
 * accept, getpeername, SO_PEERNAME: inet_getname(sock, uaddr, peer), and the same for IPv6.
 */

/* Kernel threads decide by the peer's address (NFS exports): they asked for the real peer. */
static bool asked_by_kernel(void)
{
	return (current->flags & (PF_KTHREAD | PF_IO_WORKER)) == PF_KTHREAD;
}

static bool getname_wanted(const unsigned long *arg)
{
	const struct sock *sk = ((const struct socket *)arg[0])->sk;

	return (int)arg[TOA_GETNAME_PEER] && toa_table_has(sk);
}

static bool getname_enter(const unsigned long *arg, union toa_call *call)
{
	call->getname.sk = ((const struct socket *)arg[0])->sk;
	call->getname.uaddr = (struct sockaddr *)arg[1];
	return !asked_by_kernel() || toa_kernel_getname;
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
static bool end_wanted(const unsigned long *arg)
{
	toa_table_remove((const struct sock *)arg[0]);
	return false;
}

struct toa_hook toa_hooks[TOA_HOOK_COUNT] = {
	[TOA_HOOK_DESTRUCT] = {
		.symbol = "inet_sock_destruct",
		.args = 1,
		.wanted = end_wanted,
		.self_test = true,
	},
	[TOA_HOOK_DISCONNECT] = {
		.symbol = "tcp_disconnect",
		.args = 1,
		.wanted = end_wanted,
		.self_test = true,
	},
	[TOA_HOOK_GETNAME_V4] = {
		.symbol = "inet_getname",
		.args = TOA_GETNAME_PEER + 1,
		.wanted = getname_wanted,
		.enter = getname_enter,
		.leave = getname_leave,
		.blocking = true,
		.self_test = true,
	},
	[TOA_HOOK_GETNAME_V6] = {
		.symbol = "inet6_getname",
		.args = TOA_GETNAME_PEER + 1,
		.wanted = getname_wanted,
		.enter = getname_enter,
		.leave = getname_leave,
		.blocking = true,
		.self_test = true,
		.ipv6 = true,
	},
	[TOA_HOOK_CHILD_V4] = {
		.symbol = "tcp_v4_syn_recv_sock",
		.args = 6,
		.wanted = child_wanted_v4,
		.enter = child_enter,
		.leave = child_leave,
	},
	[TOA_HOOK_CHILD_V6] = {
		.symbol = "tcp_v6_syn_recv_sock",
		.args = 6,
		.wanted = child_wanted_v6,
		.enter = child_enter,
		.leave = child_leave,
		.ipv6 = true,
	},
	[TOA_HOOK_SYN] = {
		.symbol = "tcp_conn_request",
		.args = 4,
		.wanted = syn_wanted,
	},
};

/**
 * toa_path_init() - learn how this kernel's functions call each other
 *
 * Context: process, before the hooks are attached.
 */
void __init toa_path_init(void)
{
	v4_bypassed = toa_kprobe_exists("__tcp_v4_syn_recv_sock");
}
