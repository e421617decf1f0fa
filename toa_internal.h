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

struct toa_slot;

int toa_handshake_init(void);
void toa_handshake_exit(void);
void toa_handshake_put(const struct toa_flow *flow, const struct toa_addrs *addrs);
struct toa_slot *toa_handshake_find(const struct toa_flow *flow, struct toa_addrs *addrs);
void toa_handshake_release(struct toa_slot *slot, u32 isn);
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

void toa_path_init(void);

/* The most arguments of a kernel function that the data path looks at. */
#define TOA_HOOK_ARGS 6

/**
 * union toa_call - what an enter function leaves for its leave function
 * @child:   of a call that makes a connection
 * @getname: of a call that asks for a peer's address
 */
union toa_call {
	struct {
		const bool *own_req;
		struct toa_slot *slot;
		u32 isn;
		bool ipv4;
		struct toa_addrs addrs;
	} child;
	struct {
		const struct sock *sk;
		struct sockaddr *uaddr;
	} getname;
};

/**
 * enum toa_hook_id - the kernel functions that the data path is attached to
 *
 * Ends come first: while the others are attached, an entry must not outlive its socket.
 */
enum toa_hook_id {
	TOA_HOOK_DESTRUCT,
	TOA_HOOK_DISCONNECT,
	TOA_HOOK_GETNAME_V4,
	TOA_HOOK_GETNAME_V6,
	TOA_HOOK_CHILD_V4,
	TOA_HOOK_CHILD_V6,
	TOA_HOOK_SYN,
	TOA_HOOK_COUNT,
};

/**
 * struct toa_hook - one of them
 * @symbol:    its name
 * @ipv6:      belongs to IPv6, which a kernel may lack: absence is no error
 * @self_test: the self-test makes a call that must pass here
 * @blocking:  calls may sleep, so that many can be under way at once
 * @args:      how many arguments the functions look at, at most TOA_HOOK_ARGS
 * @wanted:    called once for each call, at its entry; does what is to be done there. Sees the
 *             first four arguments at least. True asks for @enter and @leave
 * @enter:     called before the function, with all arguments; true asks for @leave. NULL, as
 *             @leave, where only the entry matters
 * @leave:     called with the function's return value
 * @hit:       has fired since it was attached
 *
 * All are called atomically or not, as the mechanism has it, and must not sleep.
 */
struct toa_hook {
	const char *symbol;
	bool ipv6;
	bool self_test;
	bool blocking;
	unsigned int args;
	bool (*wanted)(const unsigned long *arg);
	bool (*enter)(const unsigned long *arg, union toa_call *call);
	void (*leave)(unsigned long ret, const union toa_call *call);
	bool hit;
};

extern struct toa_hook toa_hooks[TOA_HOOK_COUNT];

static inline void toa_hook_hit(struct toa_hook *hook)
{
	if (unlikely(!READ_ONCE(hook->hit)))
		WRITE_ONCE(hook->hit, true);
}

/* toa_hook.c: chooses the mechanism for each hook */

extern char *toa_hook_mode;

int toa_hook_init(void);
void toa_hook_exit(void);
bool toa_hook_may_miss(void);
unsigned long toa_hook_missed(void);
const char *toa_hook_mechanism(void);

/* toa_kprobe.c */

int toa_kprobe_attach(enum toa_hook_id id);
void toa_kprobe_detach(enum toa_hook_id id);
unsigned long toa_kprobe_missed(enum toa_hook_id id);
bool toa_kprobe_exists(const char *symbol);

/* toa_ftrace.c */

int toa_ftrace_attach(enum toa_hook_id id);
void toa_ftrace_detach(enum toa_hook_id id);
void toa_ftrace_drain(void);

#endif /* TOA_INTERNAL_H */
