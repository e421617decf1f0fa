/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_TABLE_H
#define TOA_TABLE_H

#include "toa_option.h"

#include <linux/compiler.h>
#include <linux/types.h>
#include <net/sock.h>

struct toa_entry;

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

int toa_table_init(void);
void toa_table_exit(void);
bool toa_table_insert(const struct sock *sk, bool ipv4, const struct toa_addrs *addrs);
void toa_table_remove(const struct sock *sk);
bool toa_table_has(const struct sock *sk);
bool toa_table_find(const struct sock *sk, struct toa_addrs *addrs);
bool toa_table_walk(u64 *from, struct toa_entry *copy);
void toa_table_purge(bool (*of)(u32 net));
#ifdef TOA_DEBUG
bool toa_table_insert_synthetic(unsigned int number);
void toa_table_remove_synthetic(unsigned int number);
#endif

#endif /* TOA_TABLE_H */
