/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The data path, as toa_kprobe.c and toa_ftrace.c attach it to kernel functions.
 *
 * What runs for every call, and mostly finds nothing to do, is inline. All may be called in any
 * context, from the entry or behind the return of the kernel function they name; none sleeps, but
 * under PREEMPT_RT those that make or free entries, if they are called with preemption on.
 */
#ifndef TOA_PATH_H
#define TOA_PATH_H

#include "toa_compat.h"
#include "toa_fault.h"
#include "toa_handshake.h"
#include "toa_option.h"
#include "toa_param.h"
#include "toa_table.h"
#include "toa_waiting.h"

#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/sched.h>
#include <linux/tcp.h>
#include <net/tcp.h>

void toa_syn_again(const struct sock *listener, const struct sk_buff *skb);
void toa_deferred_ack(const struct sock *listener, const struct sk_buff *skb,
		      const struct request_sock *req);
void toa_late_options(const struct sock *sk, const struct sk_buff *skb);
void toa_mptcp(const struct sock *msk, const struct sock *subflow);
void toa_syn_options(const struct sock *listener, const struct sk_buff *skb);
void toa_child(const struct sock *listener, const struct sk_buff *skb,
	       const struct request_sock *req, const struct sock *child, const bool *own_req);
void toa_child_none(const struct sk_buff *skb);
bool toa_path_find(const struct sock *sk, struct toa_addrs *addrs);
void toa_end_waiting(const struct sock *sk);
void toa_getname_end(const struct sock *sk, struct sockaddr *uaddr, int ret);
bool toa_shows_v6(const struct sock *sk, const struct toa_addrs *addrs);
bool toa_path_wants_requests(void);
bool toa_path_wants_slots(void);
void toa_path_defer(void);
int toa_path_init(void (*changed)(void));

extern bool toa_path_deferring;

/*
 * Set by who attaches the hooks: the end of a connection can go unnoticed, and leave a stale entry
 * under an address that will be another socket's.
 */
extern bool toa_path_may_miss;

/* An IPv4 segment for an AF_INET6 listener is the business of the IPv6 function: see toa_path.c. */
extern bool toa_v4_bypassed;

static inline bool toa_is_ipv4(const struct sk_buff *skb)
{
	return skb->protocol == htons(ETH_P_IP);
}

/**
 * toa_check_req() - at the entry of tcp_check_req(): a segment for a request
 * @listener: the socket; with Fast Open, the child
 * @skb:      the segment
 * @req:      the request
 *
 * Two matter: the SYN that comes again, for what the first one said may have been forgotten; and
 * the bare ACK that TCP_DEFER_ACCEPT is about to drop. That they are the client's is seen in the
 * sequence numbers, as the kernel will find.
 */
static inline void toa_check_req(const struct sock *listener, const struct sk_buff *skb,
				 const struct request_sock *req)
{
	const u32 isn = tcp_rsk(req)->rcv_isn;
	const struct tcphdr *th = tcp_hdr(skb);
	__be32 flags = tcp_flag_word(th) & (TCP_FLAG_ACK | TCP_FLAG_RST | TCP_FLAG_SYN);

	if (listener->sk_state != TCP_LISTEN || th->doff <= 5)
		return;
	if (flags == TCP_FLAG_SYN && TCP_SKB_CB(skb)->seq == isn && !toa_req_taken(req))
		toa_syn_again(listener, skb);
	if (flags == TCP_FLAG_ACK &&
	    toa_req_timeouts(req) < inet_csk(listener)->icsk_accept_queue.rskq_defer_accept &&
	    TCP_SKB_CB(skb)->seq == isn + 1 && TCP_SKB_CB(skb)->end_seq == isn + 1 &&
	    TCP_SKB_CB(skb)->ack_seq == tcp_rsk(req)->snt_isn + 1)
		toa_deferred_ack(listener, skb, req);
}

/* How many bytes of options stand first as Linux puts them there. */
static inline unsigned int toa_usual_options(const struct tcphdr *th)
{
	return toa_option_usual((const u8 *)(th + 1), th->doff * 4 - sizeof(*th), th->syn);
}

/*
 * Is this the first that is seen of a listener with TCP_DEFER_ACCEPT? The option may come in the
 * bare ACK only.
 */
static inline bool toa_defers(const struct sock *listener)
{
	return unlikely(inet_csk(listener)->icsk_accept_queue.rskq_defer_accept) &&
	       !READ_ONCE(toa_path_deferring);
}

/**
 * toa_syn() - at the entry of tcp_conn_request(): a SYN for a listener, with syncookies too
 * @listener: the socket
 * @skb:      the SYN
 *
 * Most have no options but those that nearly every SYN has.
 */
static inline void toa_syn(const struct sock *listener, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);

	if (toa_defers(listener))
		toa_path_defer();
	if (th->doff * 4 - sizeof(*th) > toa_usual_options(th))
		toa_syn_options(listener, skb);
}

/**
 * toa_late() - at the entry of tcp_rcv_established(): a segment for a connection
 * @sk:  the socket, locked by the caller
 * @skb: the segment
 *
 * Most have no options but timestamps, or the server has been heard already.
 */
static inline void toa_late(const struct sock *sk, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);

	if (th->doff * 4 - sizeof(*th) > toa_usual_options(th) &&
	    toa_bytes_acked(tcp_sk(sk)) == 0)
		toa_late_options(sk, skb);
}

/**
 * toa_child_wanted() - at the entry of tcp_v4_syn_recv_sock(): is there anything to do?
 * @listener: the socket
 * @skb:      the segment that completes the handshake
 * @req:      the request
 *
 * Return: true asks for toa_child(); false says that all has been done and counted.
 */
static inline bool toa_child_wanted(const struct sock *listener, const struct sk_buff *skb,
				    const struct request_sock *req)
{
	const struct tcphdr *th = tcp_hdr(skb);

	/* No options but those that nearly every segment has, and nothing kept from a SYN. */
	if (th->doff * 4 - sizeof(*th) <= toa_usual_options(th) &&
	    toa_handshake_misses(tcp_rsk(req)->rcv_isn) && !toa_path_may_miss &&
	    !toa_defers(listener)) {
		/* What its SYN said may be gone because another CPU has made the connection. */
		smp_rmb();
		if (!toa_req_taken(req))
			toa_child_none(skb);
		return false;
	}
	return true;
}

/**
 * toa_child_wanted_v6() - the same at the entry of tcp_v6_syn_recv_sock()
 * @listener: the socket
 * @skb:      the segment
 * @req:      the request
 */
static inline bool toa_child_wanted_v6(const struct sock *listener, const struct sk_buff *skb,
				       const struct request_sock *req)
{
	return (!toa_is_ipv4(skb) || toa_v4_bypassed) && toa_child_wanted(listener, skb, req);
}

/**
 * toa_getname_wanted() - at the entry of inet_getname(): may there be anything to do?
 * @sock: the socket
 * @peer: 0 if the socket's own address is asked
 *
 * Return: true asks for toa_getname_begin().
 */
static inline bool toa_getname_wanted(const struct socket *sock, int peer)
{
	return peer && (!toa_table_misses(sock->sk) || toa_waiting_any());
}

/**
 * toa_getname_begin() - at the same place: look closer
 * @sk: the socket
 *
 * Kernel threads decide by the peer's address (NFS exports): they asked for the real peer.
 *
 * Return: true asks for toa_getname_end().
 */
static __always_inline bool toa_getname_begin(const struct sock *sk)
{
	bool kernel = (current->flags & (PF_KTHREAD | PF_IO_WORKER)) == PF_KTHREAD;

	return (!kernel || toa_kernel_getname) && (toa_table_has(sk) || toa_waiting_may(sk));
}

/**
 * toa_end() - at the entry of inet_sock_destruct() and tcp_disconnect(): the connection is over
 * @sk: its socket; after tcp_disconnect() it may connect elsewhere
 */
static inline void toa_end(const struct sock *sk)
{
	if (unlikely(toa_waiting_any()))
		toa_end_waiting(sk);
	else if (!toa_table_misses(sk) && !toa_deaf())
		toa_table_remove(sk);
}

#endif /* TOA_PATH_H */
