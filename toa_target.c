// SPDX-License-Identifier: GPL-2.0
/*
 * The kernel functions that hooks are attached to, and the test that the hooks fire.
 */
#include "toa_log.h"
#include "toa_target.h"

#include "toa_compat.h"
#include "toa_fault.h"

#include <linux/errno.h>
#include <linux/net.h>
#include <linux/socket.h>

const char *const toa_target_symbol[TOA_HOOK_COUNT] = {
	[TOA_HOOK_DESTRUCT] = "inet_sock_destruct",
	[TOA_HOOK_DISCONNECT] = "tcp_disconnect",
	[TOA_HOOK_DISCONNECT_MPTCP] = "mptcp_disconnect",
	[TOA_HOOK_GETNAME_V4] = "inet_getname",
	[TOA_HOOK_GETNAME_V6] = "inet6_getname",
	[TOA_HOOK_CHILD_V4] = "tcp_v4_syn_recv_sock",
	[TOA_HOOK_CHILD_V6] = "tcp_v6_syn_recv_sock",
	[TOA_HOOK_MPTCP] = "mptcp_pm_new_connection",
	[TOA_HOOK_LATE] = "tcp_rcv_established",
	[TOA_HOOK_REQUEST] = "tcp_check_req",
	[TOA_HOOK_SYN] = "tcp_conn_request",
	[TOA_HOOK_SYN_V4] = "tcp_v4_conn_request",
	[TOA_HOOK_SYN_V6] = "tcp_v6_conn_request",
};

bool toa_target_fired[TOA_HOOK_COUNT] __read_mostly;

/*
 * Make one socket of a family pass the hooks that need no connection. Returns 0 or an error, which
 * is -EAFNOSUPPORT where the kernel lacks the family.
 */
static int __init exercise(int family)
{
	struct sockaddr_storage addr;
	struct socket *sock;
	int err;

	err = toa_fails() ? -ENOMEM : toa_sock_create_kern(family, &sock);
	if (err)
		return err;
	/* Not connected: the first fails, the second changes nothing. */
	toa_getpeername(sock, (void *)&addr);
	addr.ss_family = AF_UNSPEC;
	kernel_connect(sock, (void *)&addr, sizeof(addr), 0);
	sock_release(sock);
	return 0;
}

static bool __init must_have_fired(enum toa_hook hook, bool ipv6)
{
	switch (hook) {
	case TOA_HOOK_DESTRUCT:
	case TOA_HOOK_DISCONNECT:
	case TOA_HOOK_GETNAME_V4:
		return true;
	case TOA_HOOK_GETNAME_V6:
		return ipv6;
	default:
		return false;
	}
}

/**
 * toa_target_test() - see that the hooks fire, as far as that can be tried without a connection
 *
 * A module whose hooks are dead must not pretend to work.
 *
 * Context: process, when all hooks are attached.
 * Return: 0 or an error.
 */
int __init toa_target_test(void)
{
	int err_v4 = exercise(AF_INET);
	int err_v6 = exercise(AF_INET6);
	enum toa_hook hook;

	if (err_v4 || (err_v6 && err_v6 != -EAFNOSUPPORT)) {
		pr_err("no socket to try the hooks on (error %d): is memory short?\n",
		       err_v4 ?: err_v6);
		return err_v4 ?: err_v6;
	}
	for (hook = 0; hook < TOA_HOOK_COUNT; hook++) {
		if (!must_have_fired(hook, !err_v6) || READ_ONCE(toa_target_fired[hook]))
			continue;
		pr_err("the hook on %s does not fire: kprobes are switched off. Try: sysctl kernel.ftrace_enabled=1; echo 1 > /sys/kernel/debug/kprobes/enabled\n",
		       toa_target_symbol[hook]);
		return -ENODEV;
	}
	return 0;
}
