// SPDX-License-Identifier: GPL-2.0
/*
 * Stops the build where a hooked function has other arguments than the hooks take: these read
 * registers, so that nothing else would tell. Makes no code.
 *
 * Beside each form stands where it was seen. A new one can be added if what the hooks take
 * (toa_kprobe.c, toa_ftrace.c) still stands in the same places.
 */
#include "toa_compat.h"

#include <net/inet_common.h>

/* Older kernels do not have it. */
enum skb_drop_reason;

#define KNOWN(function, form) \
	_Static_assert(form, "TOA: the arguments of " #function \
		       "() are not known: this kernel needs a newer toa")

#define IS(what, result, ...) \
	__builtin_types_compatible_p(typeof(what), result(__VA_ARGS__))

#define SAME(what, other) \
	__builtin_types_compatible_p(typeof(what), typeof(other))

/* What a function must be to stand in an operation: those that are static are known by it. */
#define IN(type, operation) \
	(*((const struct type *)NULL)->operation)

/* Taken: the socket. */
KNOWN(inet_sock_destruct,
	IS(inet_sock_destruct, void, struct sock *));
KNOWN(tcp_disconnect,
	IS(tcp_disconnect, int, struct sock *, int));
KNOWN(mptcp_disconnect,
	SAME(tcp_disconnect, IN(proto, disconnect)));

/* Taken: the socket, the address, and which end is asked for (TOA_GETNAME_PEER). */
KNOWN(inet_getname,
	/* 3.0 to 4.15 */
	IS(inet_getname, int, struct socket *, struct sockaddr *, int *, int) ||
	/* 4.18 to 7.3 */
	IS(inet_getname, int, struct socket *, struct sockaddr *, int));
KNOWN(inet_getname,
	SAME(inet_getname, IN(proto_ops, getname)));
KNOWN(inet6_getname,
	SAME(inet6_getname, IN(proto_ops, getname)));

/*
 * Taken: the listener, the segment, the request, own_req (TOA_SYN_RECV_OWN_REQ), and the child that
 * is returned.
 */
KNOWN(tcp_v4_syn_recv_sock,
	/* 3.0 to 3.12, RHEL 7 */
	IS(tcp_v4_syn_recv_sock, struct sock *, struct sock *, struct sk_buff *,
	   struct request_sock *, struct dst_entry *) ||
	/* 4.4 to 6.8 */
	IS(tcp_v4_syn_recv_sock, struct sock *, const struct sock *, struct sk_buff *,
	   struct request_sock *, struct dst_entry *, struct request_sock *, bool *) ||
	/* 7.3, and later updates of 6.1 and 6.12 */
	IS(tcp_v4_syn_recv_sock, struct sock *, const struct sock *, struct sk_buff *,
	   struct request_sock *, struct dst_entry *, struct request_sock *, bool *,
	   void (*)(struct sock *, const struct sock *)));
KNOWN(tcp_v6_syn_recv_sock,
	SAME(tcp_v4_syn_recv_sock, IN(inet_connection_sock_af_ops, syn_recv_sock)));

/* Taken: the listener, the segment, the request. */
KNOWN(tcp_check_req,
	/* 3.0 */
	IS(tcp_check_req, struct sock *, struct sock *, struct sk_buff *,
	   struct request_sock *, struct request_sock **) ||
	/* 3.12, RHEL 7 */
	IS(tcp_check_req, struct sock *, struct sock *, struct sk_buff *,
	   struct request_sock *, struct request_sock **, bool) ||
	/* 4.4 to 4.15 */
	IS(tcp_check_req, struct sock *, struct sock *, struct sk_buff *,
	   struct request_sock *, bool) ||
	/* 4.18 to 6.12 */
	IS(tcp_check_req, struct sock *, struct sock *, struct sk_buff *,
	   struct request_sock *, bool, bool *) ||
	/* 7.2, 7.3 */
	IS(tcp_check_req, struct sock *, struct sock *, struct sk_buff *,
	   struct request_sock *, bool, bool *, enum skb_drop_reason *));

/* Taken, and only where late=1 can be had: the socket, the segment. */
KNOWN(tcp_rcv_established,
	!TOA_HAVE_LATE ||
	/* 4.1 to 4.14 */
	IS(tcp_rcv_established, void, struct sock *, struct sk_buff *, const struct tcphdr *,
	   unsigned int) ||
	/* 4.15 to 4.18 */
	IS(tcp_rcv_established, void, struct sock *, struct sk_buff *, const struct tcphdr *) ||
	/* 4.18 (RHEL 8) to 7.3 */
	IS(tcp_rcv_established, void, struct sock *, struct sk_buff *));

/* Taken: the listener, the segment. */
#ifndef TOA_LACKS_TCP_CONN_REQUEST
/* RHEL 7, 4.4 to 7.3 */
KNOWN(tcp_conn_request,
	IS(tcp_conn_request, int, struct request_sock_ops *,
	   const struct tcp_request_sock_ops *, struct sock *, struct sk_buff *));
#endif
KNOWN(tcp_v4_conn_request,
	IS(tcp_v4_conn_request, int, struct sock *, struct sk_buff *));
KNOWN(tcp_v6_conn_request,
	SAME(tcp_v4_conn_request, IN(inet_connection_sock_af_ops, conn_request)));

/*
 * mptcp_pm_new_connection(msk, ssk, server_side) is declared by no header that modules have. It has
 * had ssk since 5.13, and is hooked only where there is mptcp_sk_clone_init(), which came in 6.1.
 */
