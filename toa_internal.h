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
#include <linux/ratelimit.h>

#include "toa_compat.h"
#include "toa_option.h"

/* toa_main.c: the way out */

const char *toa_other_module(void);
void toa_drain(const long __percpu *inside, const char *calls);

/* toa_param.c */

extern bool toa_debug;
extern bool toa_kernel_getname;
extern bool toa_nat64_getpeername;
extern struct toa_option_rules toa_option_rules;
extern unsigned int toa_segments;
extern unsigned int toa_syn_slots;	/* TOA_SYN_SLOTS_USUAL until toa_handshake_init() */
extern unsigned int toa_table_max;
extern unsigned int toa_tenant_share;

/* As many as the memory of the machine suggests. */
#define TOA_SYN_SLOTS_USUAL UINT_MAX

/* toa_segments: a bit for each TOA_SEGMENT_ that the balancer writes its options into. */
#define TOA_SEGMENT_BIT(segment) (1 << (segment))
#define TOA_SEGMENTS_ALL \
	(TOA_SEGMENT_BIT(TOA_SEGMENT_SYN) | TOA_SEGMENT_BIT(TOA_SEGMENT_ACK) | \
	 TOA_SEGMENT_BIT(TOA_SEGMENT_DATA))

struct kernel_param;

int toa_param_set_bool(const char *val, const struct kernel_param *kp);

/* One line for each decision, for whoever looks for a lost address with dmesg. */
#define toa_dbg(fmt, ...) \
	do { \
		if (unlikely(READ_ONCE(toa_debug))) \
			pr_info_ratelimited(fmt, ##__VA_ARGS__); \
	} while (0)

/* toa_debug.c: only in DEBUG builds */

#ifdef TOA_DEBUG
bool toa_fails(void);
bool toa_deaf(void);
u32 toa_ahead(void);
void toa_hold(void);
#else
static inline bool toa_fails(void)
{
	return false;
}

static inline bool toa_deaf(void)
{
	return false;
}

static inline u32 toa_ahead(void)
{
	return 0;
}

static inline void toa_hold(void)
{
}
#endif

static inline u32 toa_seconds(void)
{
	return jiffies / HZ + toa_ahead();
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
	TOA_STAT_UNTRUSTED,
	TOA_STAT_DISAGREE,
	TOA_STAT_SEGMENT,
	TOA_STAT_LATE,
	TOA_STAT_SHARE_FULL,
	TOA_STAT_ENTRY_ALLOC,
	TOA_STAT_ENTRY_FREE,
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

ssize_t toa_seq_read(struct file *file, char __user *user, size_t size, loff_t *pos);
int toa_stats_init(void);
void toa_stats_exit(void);

/* toa_net.c */

enum toa_net_count {
	TOA_NET_ENTRIES,
	TOA_NET_HANDSHAKES,
	TOA_NET_COUNTS,
};

/**
 * enum toa_net_room - may a namespace have one more?
 * @TOA_NET_GONE:       no: it ends, or was made when memory was short
 * @TOA_NET_SHARE_FULL: no: its tenant has all that it may have
 * @TOA_NET_TENANT:     yes, of what is not left to the host
 * @TOA_NET_HOST:       yes
 */
enum toa_net_room {
	TOA_NET_GONE,
	TOA_NET_SHARE_FULL,
	TOA_NET_TENANT,
	TOA_NET_HOST,
};

enum toa_net_room toa_net_count(u32 net, enum toa_net_count what);
void toa_net_uncount(u32 net, enum toa_net_count what);
bool toa_net_ending(u32 net);
int toa_net_begin(u32 net, unsigned long tenant);
void toa_net_end_begin(u32 net, bool left[TOA_NET_COUNTS]);
void toa_net_end(u32 net);

/**
 * toa_net_take() - count one that a namespace gets, if it may
 * @net:  its toa_net_id()
 * @what: of which
 *
 * Context: any. Writes nothing for the initial namespace.
 */
static inline enum toa_net_room toa_net_take(u32 net, enum toa_net_count what)
{
	return likely(net == toa_net_id(&init_net)) ? TOA_NET_HOST : toa_net_count(net, what);
}

/**
 * toa_net_give() - count one that a namespace has no longer
 * @net:  its toa_net_id()
 * @what: of which
 *
 * Context: any. Writes nothing for the initial namespace.
 */
static inline void toa_net_give(u32 net, enum toa_net_count what)
{
	if (unlikely(net != toa_net_id(&init_net)))
		toa_net_uncount(net, what);
}

/**
 * toa_net_limit() - how many of what there is may be in use when one more is given out
 * @room: to whom: TOA_NET_TENANT or TOA_NET_HOST
 * @all:  how many there are
 *
 * However many tenants there are, an eighth is the host's alone.
 */
static inline unsigned int toa_net_limit(enum toa_net_room room, unsigned int all)
{
	return likely(room == TOA_NET_HOST) ? all : all - all / 8;
}

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

enum {
	/* How many counters there are: handshakes whose initial sequence numbers end alike share one. */
	TOA_HANDSHAKE_ENDINGS = 4096,
	/* Requests that are answered 13 times live for 967 s; five times, by default, 63 s. */
	TOA_HANDSHAKE_MAX_AGE_SECONDS = 1024,
};

/* How many handshakes are kept whose initial sequence numbers end alike. */
extern atomic_t toa_handshake_kept[TOA_HANDSHAKE_ENDINGS];

static inline atomic_t *toa_handshake_count(u32 isn)
{
	return &toa_handshake_kept[isn % TOA_HANDSHAKE_ENDINGS];
}

/**
 * toa_handshake_misses() - a quick look whether a handshake is not kept
 * @isn: its initial sequence number
 *
 * Clients choose these at random. Whoever does not makes others take a closer look, that is all.
 *
 * Context: any.
 * Return: true if toa_handshake_find() would find nothing, for sure.
 */
static inline bool toa_handshake_misses(u32 isn)
{
	return atomic_read(toa_handshake_count(isn)) == 0;
}

int toa_handshake_init(void);
void toa_handshake_exit(void);
bool toa_handshake_put(const struct toa_flow *flow, const struct toa_addrs *addrs);
bool toa_handshake_find(const struct toa_flow *flow, struct toa_addrs *addrs, bool forget);
void toa_handshake_purge(bool (*of)(u32 net));
void toa_handshake_sweep(void);

/* toa_table.c */

struct toa_entry;

/**
 * struct toa_table - the buckets
 * @bigger:  entries are moving there, or have moved, or NULL
 * @size:    how many there are, a power of two
 * @grow_at: with more entries than this, as far as they are in the sum, it is tried to make more
 * @shift:   how far a hash is shifted to be a bucket's number
 * @head:    chains of entries; each ends with a mark of its own, an odd number
 *
 * Read without a lock by the data path, which is never preempted for good: a table is freed when
 * toa_synchronize() has waited for whoever may look at it.
 */
struct toa_table {
	struct toa_table *bigger;
	unsigned int size;
	unsigned int grow_at;
	unsigned int shift;
	struct toa_entry __rcu *head[];
};

extern struct toa_table *toa_table;
extern u64 toa_hash_seed;
extern u64 toa_hash_factor;

/*
 * Multiply-shift with random parameters: sockets' addresses are not for an attacker to choose. The
 * factor is odd, so that different sockets have different hashes, and the seed's low bits are 0,
 * so that the hash's are.
 */
static inline u64 toa_hash(const struct sock *sk)
{
	return ((unsigned long)sk ^ toa_hash_seed) * toa_hash_factor;
}

/* A shift is always below 64. Said like this, it spares the check that UBSAN kernels make. */
static inline u64 toa_bucket(const struct toa_table *t, u64 hash)
{
	return hash >> (t->shift & 63);
}

/**
 * toa_table_misses() - a quick look whether a socket has no entry
 * @sk: the socket
 *
 * Context: any.
 * Return: true if it has none for sure.
 */
static inline bool toa_table_misses(const struct sock *sk)
{
	const struct toa_table *t = READ_ONCE(toa_table);
	unsigned long head = (unsigned long)READ_ONCE(t->head[toa_bucket(t, toa_hash(sk))]);

	/* Entries leave an old table when the bigger one can be seen. */
	smp_rmb();
	return head & 1 && !READ_ONCE(t->bigger);
}

int toa_table_init(void);
void toa_table_exit(void);
bool toa_table_insert(const struct sock *sk, bool ipv4, const struct toa_addrs *addrs);
void toa_table_remove(const struct sock *sk);
bool toa_table_has(const struct sock *sk);
bool toa_table_find(const struct sock *sk, struct toa_addrs *addrs);
void toa_table_purge(bool (*of)(u32 net));
#ifdef TOA_DEBUG
bool toa_table_insert_synthetic(unsigned int number);
void toa_table_remove_synthetic(unsigned int number);
#endif

/* toa_trust.c */

struct sk_buff;
struct toa_trust;

/* NULL: everybody is trusted. */
extern struct toa_trust __rcu *toa_trust;

bool toa_trust_covers(const struct sk_buff *skb);

static inline bool toa_trust_empty(void)
{
	/* gcc 9 and older refuse rcu_access_pointer() of a struct that is not known here. */
	return !READ_ONCE(toa_trust);
}

/* toa_nat64.c */

int toa_nat64_init(void);
void toa_nat64_exit(void);

/* toa_path.c: the data path is in toa_path.h */

bool toa_shows_v6(const struct sock *sk, const struct toa_addrs *addrs);
int toa_path_init(void);

/* toa_hook.c: chooses the mechanism for each hook */

/**
 * enum toa_hook - the kernel functions that the data path is attached to
 *
 * Ends come first: while the others are attached, an entry must not outlive its socket.
 */
enum toa_hook {
	TOA_HOOK_DESTRUCT,
	TOA_HOOK_DISCONNECT,
	TOA_HOOK_DISCONNECT_MPTCP,
	TOA_HOOK_GETNAME_V4,
	TOA_HOOK_GETNAME_V6,
	TOA_HOOK_CHILD_V4,
	TOA_HOOK_CHILD_V6,
	TOA_HOOK_MPTCP,
	/* Attached while the parameter late= asks for it. */
	TOA_HOOK_LATE,
	/* Attached on demand of the next ones only, which are detached before it. */
	TOA_HOOK_DEFERRED,
	TOA_HOOK_SYN,
	/* Before 3.17, in place of the one above. */
	TOA_HOOK_SYN_V4,
	TOA_HOOK_SYN_V6,
	TOA_HOOK_COUNT,
};

extern const char *const toa_hook_symbol[TOA_HOOK_COUNT];
extern bool toa_hook_fired[TOA_HOOK_COUNT];

/*
 * The end of a connection can go unnoticed, and leave a stale entry under an address that will be
 * another socket's.
 */
extern bool toa_hook_may_miss;

/* Only in hooks that the self-test exercises: see toa_hook.c. */
static inline void toa_hook_fire(enum toa_hook hook)
{
	if (unlikely(!READ_ONCE(toa_hook_fired[hook])))
		WRITE_ONCE(toa_hook_fired[hook], true);
}

extern bool toa_hook_deferring;
extern u32 toa_hook_forgot_at;
void toa_hook_defer_now(void);
void toa_hook_forgot_now(void);

/**
 * toa_hook_defer() - there is a listener with TCP_DEFER_ACCEPT: see to what passes its requests
 *
 * Context: any.
 */
static inline void toa_hook_defer(void)
{
	if (unlikely(!READ_ONCE(toa_hook_deferring)))
		toa_hook_defer_now();
}

/**
 * toa_hook_forgot() - a handshake was forgotten that is still under way: see to its next SYN
 *
 * Context: any.
 */
static inline void toa_hook_forgot(void)
{
	if (READ_ONCE(toa_hook_forgot_at) != toa_seconds())
		toa_hook_forgot_now();
}

#ifdef TOA_DEBUG
void toa_hook_catch_up(void);
#endif
int toa_hook_init(void);
void toa_hook_exit(void);
unsigned long toa_hook_missed(void);
const char *toa_hook_mechanism(void);

/* toa_kprobe.c */

int toa_kprobe_attach(enum toa_hook hook);
void toa_kprobe_detach(enum toa_hook hook);
unsigned long toa_kprobe_missed(enum toa_hook hook);
int toa_kprobe_address(const char *symbol, unsigned long *address);

/* toa_ftrace.c */

int toa_ftrace_attach(enum toa_hook hook);
void toa_ftrace_detach(enum toa_hook hook);
void toa_ftrace_drain(void);

#endif /* TOA_INTERNAL_H */
