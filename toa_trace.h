/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Tracepoints for perf, bpftrace and trace-cmd: toa:toa_stored, toa:toa_getname, toa:toa_ignored.
 *
 * Clients and balancers are 16 bytes; IPv4 addresses stand as IPv4-mapped ones. Ports are in host
 * byte order.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM toa

#if !defined(TOA_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define TOA_TRACE_H

#include "toa_compat.h"
#include "toa_option.h"

/* Why an address is not kept. */
#define TOA_IGNORED_INVALID	0	/* nobody may claim it */
#define TOA_IGNORED_UNTRUSTED	1	/* its sender is not in trusted= */
#define TOA_IGNORED_LOST	2	/* the table is full, or memory short */
#define TOA_IGNORED_SEGMENT	3	/* it stood in a segment that is not in segments= */
#define TOA_IGNORED_OVERRULED	4	/* another option of the handshake counts */

#define TOA_CALL_GETPEERNAME	0	/* and accept, SO_PEERNAME */
#define TOA_CALL_GETSOCKOPT	1

#ifdef TOA_HAVE_TRACE

#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/tracepoint.h>
#include <net/ipv6.h>

TRACE_EVENT(toa_stored,

	TP_PROTO(const struct sock *sk, bool ipv4, const struct toa_addrs *addrs),

	TP_ARGS(sk, ipv4, addrs),

	TP_STRUCT__entry(
		__field(const void *, skaddr)
		__field(__u16, port)
		__field(__u16, balancer_port)
		__array(__u8, balancer, 16)
		__field(__u16, v4_port)
		__field(__u16, v6_port)
		__array(__u8, v4, 4)
		__array(__u8, v6, 16)
	),

	TP_fast_assign(
		__entry->skaddr = sk;
		__entry->port = ntohs(inet_sk(sk)->inet_sport);
		__entry->balancer_port = ntohs(inet_sk(sk)->inet_dport);
		if (ipv4)
			ipv6_addr_set_v4mapped(inet_sk(sk)->inet_daddr,
					       (struct in6_addr *)__entry->balancer);
		else
			memcpy(__entry->balancer, toa_v6_daddr(sk), 16);
		memset(__entry->v4, 0, 4);
		memset(__entry->v6, 0, 16);
		__entry->v4_port = 0;
		__entry->v6_port = 0;
		if (addrs->have & TOA_HAVE_V4) {
			memcpy(__entry->v4, &addrs->v4_addr, 4);
			__entry->v4_port = ntohs(addrs->v4_port);
		}
		if (addrs->have & TOA_HAVE_V6) {
			memcpy(__entry->v6, &addrs->v6_addr, 16);
			__entry->v6_port = ntohs(addrs->v6_port);
		}
	),

	TP_printk("skaddr=%p port=%u balancer=[%pI6c]:%u v4=%pI4:%u v6=[%pI6c]:%u",
		  __entry->skaddr, __entry->port, __entry->balancer, __entry->balancer_port,
		  __entry->v4, __entry->v4_port, __entry->v6, __entry->v6_port)
);

TRACE_EVENT(toa_getname,

	TP_PROTO(const struct sock *sk, unsigned int call, bool v6, const struct toa_addrs *addrs),

	TP_ARGS(sk, call, v6, addrs),

	TP_STRUCT__entry(
		__field(const void *, skaddr)
		__field(__u32, call)
		__field(__u16, port)
		__field(__u16, client_port)
		__array(__u8, client, 16)
	),

	TP_fast_assign(
		__entry->skaddr = sk;
		__entry->call = call;
		__entry->port = ntohs(inet_sk(sk)->inet_sport);
		if (v6) {
			memcpy(__entry->client, &addrs->v6_addr, 16);
			__entry->client_port = ntohs(addrs->v6_port);
		} else {
			ipv6_addr_set_v4mapped(addrs->v4_addr, (struct in6_addr *)__entry->client);
			__entry->client_port = ntohs(addrs->v4_port);
		}
	),

	TP_printk("skaddr=%p call=%s port=%u client=[%pI6c]:%u", __entry->skaddr,
		  __print_symbolic(__entry->call, { TOA_CALL_GETPEERNAME, "getpeername" },
						  { TOA_CALL_GETSOCKOPT, "getsockopt" }),
		  __entry->port, __entry->client, __entry->client_port)
);

TRACE_EVENT(toa_ignored,

	TP_PROTO(const struct sk_buff *skb, unsigned int reason),

	TP_ARGS(skb, reason),

	TP_STRUCT__entry(
		__field(__u32, reason)
		__field(__u16, port)
		__field(__u16, balancer_port)
		__array(__u8, balancer, 16)
	),

	TP_fast_assign(
		__entry->reason = reason;
		__entry->port = ntohs(tcp_hdr(skb)->dest);
		__entry->balancer_port = ntohs(tcp_hdr(skb)->source);
		if (skb->protocol == htons(ETH_P_IP))
			ipv6_addr_set_v4mapped(ip_hdr(skb)->saddr,
					       (struct in6_addr *)__entry->balancer);
		else
			memcpy(__entry->balancer, &ipv6_hdr(skb)->saddr, 16);
	),

	TP_printk("reason=%s port=%u balancer=[%pI6c]:%u",
		  __print_symbolic(__entry->reason, { TOA_IGNORED_INVALID, "invalid" },
						    { TOA_IGNORED_UNTRUSTED, "untrusted" },
						    { TOA_IGNORED_LOST, "lost" },
						    { TOA_IGNORED_SEGMENT, "segment" },
						    { TOA_IGNORED_OVERRULED, "overruled" }),
		  __entry->port, __entry->balancer, __entry->balancer_port)
);

#else /* TOA_HAVE_TRACE */

static inline void trace_toa_stored(const struct sock *sk, bool ipv4,
				    const struct toa_addrs *addrs)
{
}

static inline void trace_toa_getname(const struct sock *sk, unsigned int call, bool v6,
				     const struct toa_addrs *addrs)
{
}

static inline void trace_toa_ignored(const struct sk_buff *skb, unsigned int reason)
{
}

#endif /* TOA_HAVE_TRACE */

#endif /* TOA_TRACE_H */

#ifdef TOA_HAVE_TRACE
#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE toa_trace
#include <trace/define_trace.h>
#endif
