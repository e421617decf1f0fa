/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the files of the module share. Each file's own header comment says what it is for.
 */
#ifndef TOA_INTERNAL_H
#define TOA_INTERNAL_H

#define pr_fmt(fmt) "TOA: " fmt

#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/printk.h>

#include "toa_compat.h"
#include "toa_option.h"

/* toa_main.c: parameters */

extern bool toa_debug;
extern bool toa_kernel_getname;
extern unsigned int toa_syn_slots;
extern unsigned int toa_table_max;

/* One line for each decision, for whoever looks for a lost address with dmesg. */
#define toa_dbg(fmt, ...) \
	do { \
		if (unlikely(READ_ONCE(toa_debug))) \
			printk_ratelimited(KERN_INFO pr_fmt(fmt), ##__VA_ARGS__); \
	} while (0)

static inline u32 toa_seconds(void)
{
	return jiffies / HZ;
}

/* toa_stats.c */

enum toa_stat {
	/* The first seven rows are a contract with existing monitoring. */
	TOA_STAT_SYN_RECV_TOA,
	TOA_STAT_SYN_RECV_NO_TOA,
	TOA_STAT_GETNAME_OK,
	TOA_STAT_GETNAME_MISMATCH,
	TOA_STAT_GETNAME_EMPTY,
	TOA_STAT_IP6_ALLOC,
	TOA_STAT_IP6_FREE,
	TOA_STAT_INVALID,
	TOA_STAT_SYN_EVICTED,
	TOA_STAT_TABLE_FULL,
	TOA_STAT_ALLOC_FAILED,
	TOA_STAT_COUNT,
};

struct toa_stats {
	unsigned long count[TOA_STAT_COUNT];
};

DECLARE_PER_CPU(struct toa_stats, toa_stats);

static inline void toa_stat_add(enum toa_stat stat, unsigned int n)
{
	this_cpu_add(toa_stats.count[stat], n);
}

static inline void toa_stat_inc(enum toa_stat stat)
{
	this_cpu_inc(toa_stats.count[stat]);
}

int toa_stats_init(void);
void toa_stats_exit(void);

/* toa_handshake.c */

/**
 * struct toa_flow - what identifies one handshake, all in network byte order but @isn and @net
 * @isn:   the client's initial sequence number
 * @net:   toa_net_id() of the listener's namespace
 * @sport: the balancer's port
 * @dport: the listener's port
 * @addr:  source and destination address: two words for IPv4 (the rest is zero), eight for IPv6
 */
struct toa_flow {
	u32 isn;
	u32 net;
	__be16 sport;
	__be16 dport;
	__be32 addr[8];
};

int toa_handshake_init(void);
void toa_handshake_exit(void);
void toa_handshake_put(const struct toa_flow *flow, const struct toa_addrs *addrs);
bool toa_handshake_find(const struct toa_flow *flow, bool release, struct toa_addrs *addrs);
bool toa_handshake_idle(void);
void toa_handshake_purge(u32 net);

/* toa_table.c */

int toa_table_init(void);
void toa_table_exit(void);
bool toa_table_insert(const struct sock *sk, bool ipv4, const struct toa_addrs *addrs);
void toa_table_remove(const struct sock *sk);
bool toa_table_has(const struct sock *sk);
bool toa_table_find(const struct sock *sk, struct toa_addrs *addrs);
void toa_table_purge(u32 net);

/* toa_nat64.c */

int toa_nat64_init(void);
void toa_nat64_exit(void);

/* toa_path.c: the data path, as toa_hook.c attaches it */

#define TOA_HOOK_ARGS 6

/**
 * union toa_call - what an enter function leaves for its leave function
 * @child:   of a call that makes a connection
 * @getname: of a call that asks for a peer's address
 */
union toa_call {
	struct {
		const struct sock *listener;
		const struct sk_buff *skb;
		const struct request_sock *req;
		const bool *own_req;
	} child;
	struct {
		const struct sock *sk;
		struct sockaddr *uaddr;
	} getname;
};

/**
 * struct toa_hook - one kernel function that the data path is attached to
 * @symbol:    its name
 * @ipv6:      belongs to IPv6, which a kernel may lack: absence is no error
 * @self_test: toa_hook_init() makes a call that must pass here
 * @blocking:  calls may sleep, so that many can be under way at once
 * @hit:       has fired since it was attached
 * @args:      how many arguments @enter looks at, at most TOA_HOOK_ARGS
 * @enter:     called before the function, atomically; true asks for @leave, false for nothing
 * @leave:     called with the function's return value, atomically; NULL where only the entry
 *             matters
 */
struct toa_hook {
	const char *symbol;
	bool ipv6;
	bool self_test;
	bool blocking;
	bool hit;
	unsigned int args;
	bool (*enter)(const unsigned long *arg, union toa_call *call);
	void (*leave)(unsigned long ret, const union toa_call *call);
};

extern struct toa_hook toa_hooks[];
extern const unsigned int toa_hook_count;

/* toa_hook.c */

int toa_hook_init(void);
void toa_hook_exit(void);
unsigned long toa_hook_missed(void);

#endif /* TOA_INTERNAL_H */
