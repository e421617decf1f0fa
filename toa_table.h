/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_TABLE_H
#define TOA_TABLE_H

#include "toa_compat.h"
#include "toa_entry.h"
#include "toa_fault.h"
#include "toa_net.h"
#include "toa_option.h"

#include <linux/compiler.h>
#include <linux/rcupdate.h>
#include <linux/types.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>
#include <net/sock.h>

/**
 * struct toa_table - the buckets
 * @bigger:  entries are moving there, or have moved, or NULL
 * @size:    how many there are, a power of two
 * @shift:   how far a hash is shifted to be a bucket's number
 * @head:    chains of entries; each ends with a mark of its own, an odd number
 *
 * Read without a lock by the data path, which is never preempted for good: a table is freed when
 * toa_synchronize() has waited for whoever may look at it.
 */
struct toa_table {
	struct toa_table *bigger;
	unsigned int size;
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

/* The end mark of a chain: the address of its bucket, made odd. */
static inline struct toa_entry *toa_end_of(struct toa_entry __rcu **bucket)
{
	return (struct toa_entry *)((unsigned long)bucket | 1);
}

static inline bool toa_is_end(const struct toa_entry *e)
{
	return (unsigned long)e & 1;
}

struct toa_entry *toa_table_lookup_again(const struct sock *sk, u64 hash);

/*
 * A socket's entry, or the end mark of the chain where the search ended: another chain's, if an
 * entry on the way was moved or reused. (Why that does, without a lock: see toa_table.c.)
 */
static __always_inline struct toa_entry *toa_chain_search(struct toa_entry __rcu **bucket,
							  const struct sock *sk)
{
	struct toa_entry *e;

	for (e = rcu_dereference_raw(*bucket); !toa_is_end(e); e = rcu_dereference_raw(e->next))
		if (READ_ONCE(e->sk) == sk) {
			smp_rmb();	/* pairs with smp_store_release() in entry_put() */
			break;
		}
	return e;
}

/**
 * toa_table_lookup() - find a socket's entry
 * @sk: the socket
 *
 * The caller checks the entry's @sk again when it has read what is in it.
 *
 * Context: any, within toa_read_lock(); takes no lock.
 * Return: the entry or NULL.
 */
static __always_inline struct toa_entry *toa_table_lookup(const struct sock *sk)
{
	struct toa_table *t = READ_ONCE(toa_table);
	const u64 hash = toa_hash(sk);
	struct toa_entry __rcu **bucket = &t->head[toa_bucket(t, hash)];
	struct toa_entry *e = toa_chain_search(bucket, sk);

	if (!toa_is_end(e))
		return e;
	/* Entries leave an old table when the bigger one can be seen. */
	smp_rmb();
	if (likely(e == toa_end_of(bucket) && !READ_ONCE(t->bigger)))
		return NULL;
	return toa_table_lookup_again(sk, hash);
}

/**
 * toa_table_has() - ask whether toa_table_find() is worth a call
 * @sk: the socket
 *
 * Context: any.
 * Return: true if there is an entry under this address.
 */
static __always_inline bool toa_table_has(const struct sock *sk)
{
	bool found;

	toa_read_lock();
	found = toa_table_lookup(sk);
	toa_read_unlock();
	return found;
}

/* Is the connection the one that an entry was made for? */
static __always_inline bool toa_entry_matches(const struct toa_entry *e, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);
	const struct toa_tuple *t = &e->tuple;

	if (e->net != toa_net_id(sock_net(sk)) || t->lport != inet->inet_sport ||
	    t->rport != inet->inet_dport)
		return false;
	if (sk->sk_family == AF_INET || ipv6_addr_v4mapped(toa_v6_daddr(sk)))
		return ipv6_addr_v4mapped(&t->raddr) &&
		       t->raddr.s6_addr32[3] == inet->inet_daddr &&
		       t->laddr.s6_addr32[3] == inet->inet_rcv_saddr;
	return ipv6_addr_equal(&t->raddr, toa_v6_daddr(sk)) &&
	       ipv6_addr_equal(&t->laddr, toa_v6_rcv_saddr(sk));
}

/* toa_table_find(), for where each instruction counts */
static __always_inline bool toa_table_find_inline(const struct sock *sk, struct toa_addrs *addrs)
{
	const struct toa_entry *e;
	bool found = false;

	toa_read_lock();
	e = toa_table_lookup(sk);
	if (e && toa_entry_matches(e, sk)) {
		toa_hold();
		*addrs = e->addrs;
		smp_rmb();	/* pairs with smp_wmb() in toa_entry_new() */
		found = READ_ONCE(e->sk) == sk;
	}
	toa_read_unlock();
	return found;
}

int toa_table_init(void);
void toa_table_exit(void);
bool toa_table_insert(const struct sock *sk, bool ipv4, const struct toa_addrs *addrs);
void toa_table_remove(const struct sock *sk);
bool toa_table_find(const struct sock *sk, struct toa_addrs *addrs);
bool toa_table_adopt(const struct sock *sk, struct toa_entry *e);
bool toa_table_walk(u64 *from, struct toa_entry *copy, u64 *cookie);
void toa_table_purge(bool (*of)(u32 net));
#ifdef TOA_DEBUG
bool toa_table_insert_synthetic(unsigned int number);
void toa_table_remove_synthetic(unsigned int number);
#endif

#endif /* TOA_TABLE_H */
