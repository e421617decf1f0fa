// SPDX-License-Identifier: GPL-2.0
/*
 * The data path: what happens to an address at each of the kernel functions it passes.
 *
 * SYN -> child socket -> getpeername, accept -> end. Nothing here changes what the kernel does, but
 * for the answer that getpeername gives.
 */
#include "toa_log.h"
#include "toa_path.h"

#include "toa.h"
#include "toa_clock.h"
#include "toa_compat.h"
#include "toa_param.h"
#include "toa_stats.h"
#include "toa_symbol.h"
#include "toa_trace.h"
#include "toa_trust.h"

#include <linux/bitops.h>
#include <linux/in.h>

/* Only what a balancer says is believed: anybody else who reaches this host could forge it. */
static void distrust(const struct sk_buff *skb, struct toa_addrs *addrs)
{
	unsigned int count = hweight8(addrs->have);

	if (!count)
		return;
	addrs->have = 0;
	toa_stat_add(TOA_STAT_UNTRUSTED, count);
	trace_toa_ignored(skb, TOA_IGNORED_UNTRUSTED);
	if (toa_is_ipv4(skb))
		toa_dbg("sender %pI4 is not in trusted=: %u address(es) ignored\n",
			&ip_hdr(skb)->saddr, count);
	else
		toa_dbg("sender %pI6c is not in trusted=: %u address(es) ignored\n",
			&ipv6_hdr(skb)->saddr, count);
}

/* Where an address stood, for TOA_SO_GET_PEER. */
static u8 segment_of(const struct sk_buff *skb, unsigned int header_len, bool syn)
{
	if (syn)
		return TOA_SEGMENT_SYN;
	return skb->len > header_len ? TOA_SEGMENT_DATA : TOA_SEGMENT_ACK;
}

static void report_read(const struct tcphdr *th, const struct toa_addrs *addrs,
			unsigned int refused)
{
	const char *what = th->syn ? "SYN" : "segment";

	if (refused)
		toa_dbg("%s to port %u: %u address(es) that nobody may claim, ignored\n", what,
			ntohs(th->dest), refused);
	if (addrs->have & TOA_HAVE_V4)
		toa_dbg("%s to port %u: option %u, %pI4:%u\n", what, ntohs(th->dest),
			addrs->v4_kind, &addrs->v4_addr, ntohs(addrs->v4_port));
	if (addrs->have & TOA_HAVE_V6)
		toa_dbg("%s to port %u: option %u, [%pI6c]:%u\n", what, ntohs(th->dest),
			addrs->v6_kind, &addrs->v6_addr, ntohs(addrs->v6_port));
}

/* The client wrote it: the balancer does not write into such segments. */
static void ignore_segment(const struct sk_buff *skb, struct toa_addrs *addrs)
{
	if (!addrs->have)
		return;
	toa_stat_add(TOA_STAT_SEGMENT, hweight8(addrs->have));
	trace_toa_ignored(skb, TOA_IGNORED_SEGMENT);
	toa_dbg("segment to port %u: not one of segments=, ignored\n", ntohs(tcp_hdr(skb)->dest));
	addrs->have = 0;
}

static noinline void count_overruled(const struct sk_buff *skb, unsigned int count)
{
	toa_stat_add(TOA_STAT_DISAGREE, count);
	trace_toa_ignored(skb, TOA_IGNORED_OVERRULED);
	toa_dbg("connection to port %u: %u other address(es) than the one that counts\n",
		ntohs(tcp_hdr(skb)->dest), count);
}

/* Count and report what was found, and forget it if it is not believed. Returns true if it is. */
static noinline bool judge(const struct sk_buff *skb, unsigned int segment,
			   struct toa_addrs *addrs, struct toa_option_counts counts)
{
	if (counts.refused) {
		toa_stat_add(TOA_STAT_INVALID, counts.refused);
		trace_toa_ignored(skb, TOA_IGNORED_INVALID);
	}
	if (READ_ONCE(toa_debug))
		report_read(tcp_hdr(skb), addrs, counts.refused);
	if (!(READ_ONCE(toa_segments) & TOA_SEGMENT_BIT(segment))) {
		ignore_segment(skb, addrs);
		return false;
	}
	if (!toa_trust_empty() && !toa_trust_covers(skb)) {
		distrust(skb, addrs);
		return false;
	}
	if (counts.overruled)
		count_overruled(skb, counts.overruled);
	return true;
}

/*
 * Parse a segment. Returns true if the balancer has spoken: what earlier segments said does not
 * count any more, even if this one names nobody, since nobody may claim its address.
 */
static __always_inline bool read_segment(const struct sk_buff *skb, struct toa_addrs *addrs)
{
	const struct tcphdr *th = tcp_hdr(skb);
	const unsigned int header_len = th->doff * 4;
	/* The kernel's own come first, nearly always. */
	const unsigned int skip = sizeof(*th) + toa_usual_options(th);
	struct toa_option_counts counts;
	const bool syn = th->syn;

	counts = toa_option_parse(&toa_option_rules, (const u8 *)th + skip, header_len - skip, syn,
				  th->source, addrs);
	if (!addrs->have && !counts.refused)
		return false;
	addrs->v4_segment = segment_of(skb, header_len, syn);
	addrs->v6_segment = addrs->v4_segment;
	if (unlikely(counts.refused || counts.overruled || READ_ONCE(toa_debug) ||
		     !toa_trust_empty() ||
		     !(READ_ONCE(toa_segments) & TOA_SEGMENT_BIT(addrs->v4_segment))))
		return judge(skb, addrs->v4_segment, addrs, counts);
	return true;
}

static void flow_of(const struct sock *listener, const struct sk_buff *skb, u32 isn,
		    struct toa_flow *flow)
{
	const struct tcphdr *th = tcp_hdr(skb);

	flow->isn = isn;
	flow->net = toa_net_id(sock_net(listener));
	flow->sport = th->source;
	flow->dport = th->dest;
	if (toa_is_ipv4(skb)) {
		memset(flow->addr, 0, sizeof(flow->addr));
		flow->addr[0] = ip_hdr(skb)->saddr;
		flow->addr[1] = ip_hdr(skb)->daddr;
	} else {
		memcpy(&flow->addr[0], &ipv6_hdr(skb)->saddr, sizeof(struct in6_addr));
		memcpy(&flow->addr[4], &ipv6_hdr(skb)->daddr, sizeof(struct in6_addr));
	}
}

/* Count those addresses of earlier segments that are not those of the later one, which counts. */
static void overrule(const struct sk_buff *skb, const struct toa_addrs *earlier,
		     const struct toa_addrs *later)
{
	u8 count = hweight8(earlier->have);

	if (earlier->have & later->have & TOA_HAVE_V4)
		count -= earlier->v4_addr == later->v4_addr && earlier->v4_port == later->v4_port;
	if (earlier->have & later->have & TOA_HAVE_V6)
		count -= ipv6_addr_equal(&earlier->v6_addr, &later->v6_addr) &&
			 earlier->v6_port == later->v6_port;
	if (count)
		count_overruled(skb, count);
}

/* What is kept of a handshake does not count any more. */
static noinline void overrule_earlier(const struct sk_buff *skb, const struct toa_flow *flow,
				      const struct toa_addrs *addrs)
{
	struct toa_addrs earlier __uninitialized;

	if (toa_handshake_find(flow, &earlier, !addrs->have))
		overrule(skb, &earlier, addrs);
}

/*
 * Keep what a segment said until its handshake completes, in place of what earlier ones said.
 * Returns true if another handshake was forgotten for it that may still be under way.
 */
static __always_inline bool keep(const struct sock *listener, const struct sk_buff *skb, u32 isn,
				 const struct toa_addrs *addrs)
{
	struct toa_flow flow __uninitialized;

	flow_of(listener, skb, isn, &flow);
	if (!toa_handshake_misses(isn))
		overrule_earlier(skb, &flow, addrs);
	return addrs->have && toa_handshake_put(&flow, addrs);
}

/*
 * What passes requests, at tcp_check_req(), is of interest for good when a SYN for a listener with
 * TCP_DEFER_ACCEPT has come; and when a handshake was forgotten that is still under way, until none
 * that was can be any more: its SYN may come again.
 */

bool toa_path_deferring __read_mostly;

/* The accept queue was full, and there was nowhere to keep what an ACK said. */
static bool overflowed __read_mostly;

/* When a handshake was forgotten, in toa_seconds(). */
static u32 forgot_at;

static void (*wants_more)(void) __read_mostly;

/**
 * toa_path_wants_requests() - shall toa_check_req() be called?
 *
 * Context: any.
 */
bool toa_path_wants_requests(void)
{
	return READ_ONCE(toa_path_deferring) ||
	       toa_seconds() - READ_ONCE(forgot_at) <= TOA_HANDSHAKE_MAX_AGE_SECONDS;
}

/**
 * toa_path_wants_slots() - shall slots be made, though SYNs may not be looked at?
 *
 * Context: any.
 */
bool toa_path_wants_slots(void)
{
	return READ_ONCE(toa_path_deferring) || READ_ONCE(overflowed);
}

/**
 * toa_path_defer() - the first segment for a listener with TCP_DEFER_ACCEPT has come
 *
 * Context: any.
 */
void toa_path_defer(void)
{
	WRITE_ONCE(toa_path_deferring, true);
	/* Without slots there is nowhere to keep what an ACK says. */
	if (toa_syn_slots)
		wants_more();
}

static void handshake_forgotten(void)
{
	const u32 now = toa_seconds();

	if (READ_ONCE(forgot_at) == now)
		return;
	WRITE_ONCE(forgot_at, now);
	wants_more();
}

/**
 * toa_syn_options() - keep what the options of a SYN say
 * @listener: the socket
 * @skb:      the SYN
 */
void toa_syn_options(const struct sock *listener, const struct sk_buff *skb)
{
	struct toa_addrs addrs __uninitialized;

	if (read_segment(skb, &addrs) && keep(listener, skb, ntohl(tcp_hdr(skb)->seq), &addrs))
		handshake_forgotten();
}

/**
 * toa_syn_again() - at the entry of tcp_check_req(): the SYN of a request has come once more
 * @listener: the socket
 * @skb:      the SYN
 *
 * What is kept of the handshake stays: it may be what a later segment said. (That a later one named
 * nobody is not kept.)
 */
void toa_syn_again(const struct sock *listener, const struct sk_buff *skb)
{
	struct toa_addrs addrs __uninitialized, kept __uninitialized;
	const u32 isn = ntohl(tcp_hdr(skb)->seq);
	struct toa_flow flow __uninitialized;

	flow_of(listener, skb, isn, &flow);
	if (!toa_handshake_misses(isn) && toa_handshake_find(&flow, &kept, false))
		return;
	if (read_segment(skb, &addrs) && addrs.have)
		toa_handshake_put(&flow, &addrs);
}

/*
 * The child socket: tcp_v4_syn_recv_sock() and tcp_v6_syn_recv_sock(), for the segment that
 * completes a handshake.
 */

/*
 * An IPv4 segment for an AF_INET6 listener goes to the IPv6 function, and from there to the IPv4
 * one, whose business it is; but some vendors' kernels call a part of that one instead.
 */
bool toa_v4_bypassed __read_mostly;

bool toa_path_may_miss __read_mostly;

/**
 * toa_child_none() - count a connection that carried no address
 * @skb: the segment that completes the handshake
 */
void toa_child_none(const struct sk_buff *skb)
{
	toa_stat_inc(TOA_STAT_SYN_RECV_NO_TOA);
	toa_dbg("connection to port %u: no address\n", ntohs(tcp_hdr(skb)->dest));
}

/**
 * toa_deferred_ack() - keep what the bare ACK says that TCP_DEFER_ACCEPT drops
 * @listener: the socket
 * @skb:      the ACK
 * @req:      the request
 *
 * It replaces what the SYN said: the data that completes the handshake comes later.
 */
void toa_deferred_ack(const struct sock *listener, const struct sk_buff *skb,
		      const struct request_sock *req)
{
	struct toa_addrs addrs __uninitialized;

	if (read_segment(skb, &addrs))
		keep(listener, skb, tcp_rsk(req)->rcv_isn, &addrs);
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

/* Put a connection's addresses into the table. Returns false if there is no room. */
static __always_inline bool store(const struct sock *sk, const struct sk_buff *skb,
				  const struct toa_addrs *addrs)
{
	bool stored = toa_table_insert(sk, toa_is_ipv4(skb), addrs);

	if (stored)
		trace_toa_stored(sk, toa_is_ipv4(skb), addrs);
	else
		trace_toa_ignored(skb, TOA_IGNORED_LOST);
	if (unlikely(READ_ONCE(toa_debug)))
		report_stored(sk, addrs, stored);
	return stored;
}

/*
 * Look what earlier segments of a handshake said: it counts if the last one, of which @addrs are,
 * has not spoken.
 */
static noinline void earlier_words(const struct sock *listener, const struct sk_buff *skb, u32 isn,
				   bool completed, bool spoke, struct toa_addrs *addrs)
{
	struct toa_addrs earlier __uninitialized;
	struct toa_flow flow __uninitialized;

	flow_of(listener, skb, isn, &flow);
	if (!toa_handshake_find(&flow, &earlier, completed))
		return;
	if (spoke)
		overrule(skb, &earlier, addrs);
	else
		*addrs = earlier;
}

/* The accept queue is full: what the segment said is kept until the request is tried again. */
static noinline void no_child(const struct sock *listener, const struct sk_buff *skb,
			      const struct request_sock *req, bool spoke,
			      const struct toa_addrs *addrs)
{
	/* Or another CPU was faster. */
	if (toa_req_taken(req))
		return;
	if (!addrs->have)
		toa_child_none(skb);
	if (!spoke || !toa_syn_slots)
		return;
	if (toa_handshake_ready()) {
		if (keep(listener, skb, tcp_rsk(req)->rcv_isn, addrs))
			handshake_forgotten();
		return;
	}
	/* What the next one says will be kept. */
	if (addrs->have)
		toa_stat_inc(TOA_STAT_SYN_EVICTED);
	WRITE_ONCE(overflowed, true);
	wants_more();
}

/**
 * toa_child() - behind the return, if toa_child_wanted(): find the addresses and store them
 * @listener: the socket
 * @skb:      the segment that completes the handshake
 * @req:      the request
 * @child:    what the function returned: locked, and not yet in the accept queue, so that nobody
 *            has asked for its peer; or NULL
 * @own_req:  where it said whether the request was ours, if it does (TOA_SYN_RECV_OWN_REQ)
 *
 * Not ours: another CPU was faster, and this child is thrown away; what is kept of the handshake
 * is that CPU's business.
 */
void toa_child(const struct sock *listener, const struct sk_buff *skb,
	       const struct request_sock *req, const struct sock *child, const bool *own_req)
{
	/* Any segment in the window may complete a handshake: not by its own number. */
	const u32 isn = tcp_rsk(req)->rcv_isn;
	struct toa_addrs addrs __uninitialized;
	bool spoke = false;

	/* Its SYN may not have been looked at. */
	if (toa_defers(listener))
		toa_path_defer();
	if (child && TOA_SYN_RECV_OWN_REQ && !*own_req)
		return;
	/* The SYN of Fast Open has been read and kept a moment ago. */
	if (tcp_hdr(skb)->syn && toa_handshake_ready())
		addrs.have = 0;
	else
		spoke = read_segment(skb, &addrs);
	if (!toa_handshake_misses(isn) && (child || !spoke))
		earlier_words(listener, skb, isn, child, spoke, &addrs);
	if (unlikely(!child)) {
		no_child(listener, skb, req, spoke, &addrs);
		return;
	}
	if (unlikely(!addrs.have)) {
		/* The function inside this one, of an IPv4 segment, has done it. */
		if (toa_v4_bypassed && toa_table_find(child, &addrs))
			return;
		toa_child_none(skb);
		toa_table_remove(child);
	} else if (store(child, skb, &addrs)) {
		toa_stat_inc(TOA_STAT_SYN_RECV_TOA);
	}
}

/*
 * Behind the handshake: tcp_rcv_established(), while the parameter late= asks for it.
 */

/*
 * Does the segment belong to the connection, as far as its numbers tell? One that has come before,
 * or was overtaken, does too.
 */
static bool in_window(const struct tcp_sock *tp, const struct sk_buff *skb)
{
	const u32 first = tp->rcv_nxt - toa_bytes_received(tp);

	return TCP_SKB_CB(skb)->ack_seq == tp->snd_una &&
	       TCP_SKB_CB(skb)->seq - first <= toa_bytes_received(tp) + tcp_receive_window(tp);
}

/**
 * toa_late_options() - the connection's first option may come now
 * @sk:  the socket, locked by the caller
 * @skb: the segment
 *
 * The balancer had no room in the ACK, or writes into data only; or the ACK was overtaken by data.
 * Only while nothing that the server sent has been acknowledged: whatever is said later is the
 * client's word.
 */
void toa_late_options(const struct sock *sk, const struct sk_buff *skb)
{
	const struct tcphdr *th = tcp_hdr(skb);
	struct toa_addrs addrs __uninitialized;

	if (!th->ack || th->syn || th->rst || !in_window(tcp_sk(sk), skb) ||
	    toa_path_find(sk, &addrs))
		return;
	if (!read_segment(skb, &addrs) || !addrs.have)
		return;
	if (store(sk, skb, &addrs))
		toa_stat_inc(TOA_STAT_LATE);
}

/**
 * toa_mptcp() - at the entry of mptcp_pm_new_connection(): an MPTCP socket for its first subflow
 * @msk:     the socket that accept() will return, not yet in the accept queue
 * @subflow: the child that toa_child() has seen
 */
void toa_mptcp(const struct sock *msk, const struct sock *subflow)
{
	bool ipv4 = msk->sk_family == AF_INET || ipv6_addr_v4mapped(toa_v6_daddr(msk));
	struct toa_addrs addrs;

	if (toa_table_find(subflow, &addrs))
		toa_table_insert(msk, ipv4, &addrs);
	else if (toa_path_may_miss)
		toa_table_remove(msk);
}

/*
 * accept, getpeername, SO_PEERNAME: inet_getname() and inet6_getname().
 */

static __always_inline bool find(const struct sock *sk, struct toa_addrs *addrs)
{
	const bool waiting = toa_waiting_any();

	smp_rmb();	/* pairs with smp_store_release() in end_locked() of toa_waiting.c */
	return toa_table_find_inline(sk, addrs) ||
	       (unlikely(waiting) && toa_waiting_adopt(sk) && toa_table_find(sk, addrs));
}

/**
 * toa_path_find() - get the real client's addresses of a connection, which may be older than the
 * module
 * @sk:    the socket; the caller has a reference
 * @addrs: where to put them
 *
 * Context: any.
 * Return: true if there are any.
 */
bool toa_path_find(const struct sock *sk, struct toa_addrs *addrs)
{
	return find(sk, addrs);
}

/**
 * toa_shows_v6() - does getpeername show the IPv6 client?
 * @sk:    the socket
 * @addrs: its entry
 *
 * Context: any.
 * Return: true if there is one and the socket may show it; false says that it is the IPv4 client,
 * or the balancer if there is none either.
 */
bool toa_shows_v6(const struct sock *sk, const struct toa_addrs *addrs)
{
	if (!(addrs->have & TOA_HAVE_V6) || sk->sk_family != AF_INET6)
		return false;
	return READ_ONCE(toa_nat64_getpeername) || !ipv6_addr_v4mapped(toa_v6_daddr(sk));
}

static void report_unchanged(const struct toa_addrs *addrs)
{
	toa_dbg("getpeername: unchanged, [%pI6c]:%u is not for this socket\n", &addrs->v6_addr,
		ntohs(addrs->v6_port));
}

static void answer_v4(const struct sock *sk, struct sockaddr_in *sin,
		      const struct toa_addrs *addrs)
{
	if (!(addrs->have & TOA_HAVE_V4)) {
		report_unchanged(addrs);
		return;
	}
	sin->sin_addr.s_addr = addrs->v4_addr;
	sin->sin_port = addrs->v4_port;
	toa_stat_inc(TOA_STAT_GETNAME_OK);
	trace_toa_getname(sk, TOA_CALL_GETPEERNAME, false, addrs);
	toa_dbg("getpeername: %pI4:%u\n", &sin->sin_addr, ntohs(sin->sin_port));
}

static void answer_v6(const struct sock *sk, struct sockaddr_in6 *sin6,
		      const struct toa_addrs *addrs)
{
	bool v6 = toa_shows_v6(sk, addrs);

	if (v6) {
		sin6->sin6_addr = addrs->v6_addr;
		sin6->sin6_port = addrs->v6_port;
	} else if (addrs->have & TOA_HAVE_V4) {
		ipv6_addr_set_v4mapped(addrs->v4_addr, &sin6->sin6_addr);
		sin6->sin6_port = addrs->v4_port;
	} else {
		report_unchanged(addrs);
		return;
	}
	sin6->sin6_flowinfo = 0;
	sin6->sin6_scope_id = 0;
	toa_stat_inc(TOA_STAT_GETNAME_OK);
	trace_toa_getname(sk, TOA_CALL_GETPEERNAME, v6, addrs);
	toa_dbg("getpeername: [%pI6c]:%u\n", &sin6->sin6_addr, ntohs(sin6->sin6_port));
}

/**
 * toa_getname_end() - behind the return: overwrite the answer
 * @sk:    the socket
 * @uaddr: the answer, in kernel memory
 * @ret:   what the function returned: the length of the address, on old kernels 0
 *
 * The function may have slept: the entry is looked up again.
 */
void toa_getname_end(const struct sock *sk, struct sockaddr *uaddr, int ret)
{
	struct toa_addrs addrs __uninitialized;

	if (ret < 0 || !find(sk, &addrs))
		return;
	if (uaddr->sa_family == AF_INET)
		answer_v4(sk, (struct sockaddr_in *)uaddr, &addrs);
	else if (uaddr->sa_family == AF_INET6)
		answer_v6(sk, (struct sockaddr_in6 *)uaddr, &addrs);
}

/**
 * toa_end_waiting() - toa_end() while addresses that were handed over wait
 * @sk: the socket
 */
void toa_end_waiting(const struct sock *sk)
{
	toa_waiting_drop(sk);
	if (!toa_deaf())
		toa_table_remove(sk);
}

/**
 * toa_path_init() - learn how this kernel's functions call each other
 * @changed: called, in any context, when toa_path_wants_requests() or toa_path_wants_slots()
 *           becomes true; and maybe more often
 *
 * Context: process, before the hooks are attached.
 * Return: 0 or -ENOMEM.
 */
int __init toa_path_init(void (*changed)(void))
{
	unsigned long address;
	int err = toa_symbol_address("__tcp_v4_syn_recv_sock", &address);

	wants_more = changed;
	toa_v4_bypassed = address;
	return err;
}
