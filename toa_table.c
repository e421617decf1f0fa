// SPDX-License-Identifier: GPL-2.0
/*
 * The per-socket table.
 *
 * Entries are found by the address of their struct sock, which is never dereferenced for it.
 * Readers take no lock. Three things make that work:
 *
 * - Entries come from a SLAB_TYPESAFE_BY_RCU cache and are freed without a grace period. A reader
 *   may thus step onto an entry that is being reused in another chain. Each chain ends with a mark
 *   of its own: a reader that arrives at another chain's mark starts again, and one that has found
 *   its entry copies it and then looks whether it still belongs to the socket.
 * - The table grows by a work item that moves entries to a table of twice the size, the last of a
 *   chain first: a reader who follows a moved entry out of the chain has missed nothing of it. A
 *   reader looks in the old table first, then in the new one.
 * - A lock covers the buckets whose hashes begin with the same bits, in both tables, so that
 *   writers need to know nothing about growing but to look in both.
 */
#include "toa_log.h"
#include "toa_table.h"

#include "toa_clock.h"
#include "toa_compat.h"
#include "toa_entry.h"
#include "toa_fault.h"
#include "toa_net.h"
#include "toa_stats.h"

#include <linux/log2.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

enum {
	TABLE_SIZE_MIN = 1 << 10,	/* buckets, a power of two */
	TABLE_SIZE_MAX = 1 << 27,	/* a GiB; the kernel allocates less than two */
	LOCK_BITS = 8,			/* 256 locks, at most as many as buckets */
	READER_RETRIES = 16,
};

struct toa_table *toa_table __read_mostly;
u64 toa_hash_seed __read_mostly;
u64 toa_hash_factor __read_mostly;

/* Protects the chains of the buckets whose hashes begin with the lock's number. */
static struct {
	raw_spinlock_t lock;
} ____cacheline_aligned_in_smp locks[1 << LOCK_BITS];

/*
 * Hashing and chains
 */

static raw_spinlock_t *lock_of(u64 hash)
{
	return &locks[hash >> (64 - LOCK_BITS)].lock;
}

static struct toa_entry __rcu **bucket_of(struct toa_table *t, u64 hash)
{
	return &t->head[toa_bucket(t, hash)];
}

static struct toa_entry *next_locked(struct toa_entry __rcu **link)
{
	return rcu_dereference_protected(*link, 1);
}

static struct toa_table *table_alloc(unsigned int size)
{
	struct toa_table *t = toa_fails() ? NULL :
			      toa_kvzalloc(sizeof(*t) + (size_t)size * sizeof(t->head[0]));
	unsigned int i;

	if (!t)
		return NULL;
	t->size = size;
	t->shift = 64 - ilog2(size);
	for (i = 0; i < size; i++)
		RCU_INIT_POINTER(t->head[i], toa_end_of(&t->head[i]));
	return t;
}

/*
 * Growing
 */

static void move_bucket(struct toa_table *from, unsigned long b, struct toa_table *to)
{
	struct toa_entry __rcu **bucket = &from->head[b];
	u64 hash = (u64)b << from->shift;
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(hash), flags);
	while (!toa_is_end(next_locked(bucket))) {
		struct toa_entry __rcu **link = bucket, **dest;
		struct toa_entry *e;

		while (!toa_is_end(next_locked(&next_locked(link)->next)))
			link = &next_locked(link)->next;
		e = next_locked(link);
		dest = bucket_of(to, toa_hash(e->sk));
		rcu_assign_pointer(e->next, next_locked(dest));
		rcu_assign_pointer(*dest, e);
		/* A reader who finds the entry gone from here must find it there. */
		rcu_assign_pointer(*link, toa_end_of(bucket));
	}
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
}

static void grow_work_fn(struct work_struct *work)
{
	struct toa_table *old = toa_table;	/* written only here */
	unsigned int size = old->size, b;
	struct toa_table *bigger;

	while (size < TABLE_SIZE_MAX && toa_entry_exactly() >= size)
		size *= 2;
	if (size == old->size)
		return;
	bigger = table_alloc(size);
	if (!bigger) {
		/* The chains get longer, that is all. Do not try again for each entry. */
		toa_entry_many(toa_entry_exactly() + old->size / 8);
		return;
	}
	/* Pairs with smp_rmb() in toa_table_lookup(), toa_table_misses() and bucket_empty(). */
	smp_store_release(&old->bigger, bigger);
	for (b = 0; b < old->size; b++) {
		move_bucket(old, b, bigger);
		cond_resched();
	}
	/* Pairs with the address dependency of whoever reads it. */
	smp_store_release(&toa_table, bigger);
	toa_entry_many(size);
	toa_synchronize();
	toa_kvfree(old);
}

static DECLARE_WORK(grow_work, grow_work_fn);

/*
 * Readers
 */

/* inet_daddr of an IPv6 connection is a constant, sk_v6_daddr of an IPv4 socket not always set. */
static void tuple_of(const struct sock *sk, bool ipv4, struct toa_tuple *t)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (ipv4) {
		ipv6_addr_set_v4mapped(inet->inet_rcv_saddr, &t->laddr);
		ipv6_addr_set_v4mapped(inet->inet_daddr, &t->raddr);
	} else {
		t->laddr = *toa_v6_rcv_saddr(sk);
		t->raddr = *toa_v6_daddr(sk);
	}
	t->lport = inet->inet_sport;
	t->rport = inet->inet_dport;
}

/* The link of a chain that leads to a socket's entry, or NULL. The caller holds the lock. */
static struct toa_entry __rcu **find_in(struct toa_entry __rcu **link, const struct sock *sk)
{
	for (; !toa_is_end(next_locked(link)); link = &next_locked(link)->next)
		if (next_locked(link)->sk == sk)
			return link;
	return NULL;
}

static struct toa_entry __rcu **find_locked(const struct sock *sk, u64 hash)
{
	struct toa_entry __rcu **link = NULL;
	struct toa_table *t;

	for (t = READ_ONCE(toa_table); t && !link; t = READ_ONCE(t->bigger))
		link = find_in(bucket_of(t, hash), sk);
	return link;
}

static noinline struct toa_entry *find_under_lock(const struct sock *sk, u64 hash)
{
	struct toa_entry __rcu **link;
	unsigned long flags;
	struct toa_entry *e = NULL;

	raw_spin_lock_irqsave(lock_of(hash), flags);
	link = find_locked(sk, hash);
	if (link)
		e = next_locked(link);
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
	return e;
}

/**
 * toa_table_lookup_again() - the same as toa_table_lookup(), if that was led astray, or there is a
 * bigger table
 * @sk:   the socket
 * @hash: its hash
 *
 * Context: any, within toa_read_lock().
 * Return: its entry or NULL.
 */
struct toa_entry *toa_table_lookup_again(const struct sock *sk, u64 hash)
{
	unsigned int retries = READER_RETRIES;
	struct toa_table *t = READ_ONCE(toa_table);

	while (t) {
		struct toa_entry __rcu **bucket = bucket_of(t, hash);
		struct toa_entry *e = toa_chain_search(bucket, sk);

		if (!toa_is_end(e))
			return e;
		if (likely(e == toa_end_of(bucket))) {
			/* Entries leave an old table when the bigger one can be seen. */
			smp_rmb();
			t = READ_ONCE(t->bigger);
		} else if (!retries--) {
			return find_under_lock(sk, hash);
		}
	}
	return NULL;
}

/**
 * toa_table_find() - get the real client's addresses of a connection
 * @sk:    the socket; the caller has a reference
 * @addrs: where to put them
 *
 * Context: any, takes no lock.
 * Return: true if the connection is still the one that the entry was made for.
 */
bool toa_table_find(const struct sock *sk, struct toa_addrs *addrs)
{
	return toa_table_find_inline(sk, addrs);
}

/*
 * Writers
 */

static struct toa_entry *unlink_locked(struct toa_entry __rcu **link)
{
	struct toa_entry *e = next_locked(link);

	rcu_assign_pointer(*link, next_locked(&e->next));
	return e;
}

/* Link an entry where the table is biggest. Returns what was there under the same address. */
static struct toa_entry *link_locked(struct toa_entry *e, u64 hash)
{
	struct toa_table *t = READ_ONCE(toa_table);
	struct toa_entry __rcu **bucket, **link;
	struct toa_entry *stale = NULL;

	do {
		bucket = bucket_of(t, hash);
		link = find_in(bucket, e->sk);
		if (unlikely(link))
			stale = unlink_locked(link);
		t = READ_ONCE(t->bigger);
	} while (unlikely(t));
	RCU_INIT_POINTER(e->next, next_locked(bucket));
	rcu_assign_pointer(*bucket, e);
	return stale;
}

/* Put an entry, filled but for @sk, in the place of what is there under this address. */
static void entry_put(struct toa_entry *e, const struct sock *sk)
{
	u64 hash = toa_hash(sk);
	struct toa_entry *stale;
	unsigned long flags;

	/* Readers who still stand on the entry's last life see the socket last. */
	smp_store_release(&e->sk, sk);
	toa_entry_made(e);

	raw_spin_lock_irqsave(lock_of(hash), flags);
	stale = link_locked(e, hash);
	if (unlikely(stale))
		stale = toa_entry_recycle(stale);
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
	if (unlikely(stale))
		toa_entry_free(stale);
}

/**
 * toa_table_insert() - remember the real client of a connection
 * @sk:    its socket, locked; new, and not yet seen by any other, unless it is late
 * @ipv4:  it is an IPv4 connection, whatever the socket's family
 * @addrs: its addresses, at least one
 *
 * Replaces what is there under this address. When it cannot be done, that is counted.
 *
 * Context: any; takes a bucket's lock.
 * Return: true if they are remembered.
 */
bool toa_table_insert(const struct sock *sk, bool ipv4, const struct toa_addrs *addrs)
{
	const u32 net = toa_net_id(sock_net(sk));
	const enum toa_net_room room = toa_net_take(net, TOA_NET_ENTRIES);
	struct toa_entry *e;

	if (unlikely(room < TOA_NET_TENANT)) {
		toa_stat_inc(room == TOA_NET_SHARE_FULL ? TOA_STAT_SHARE_FULL :
							  TOA_STAT_ALLOC_FAILED);
		goto lost;
	}
	e = toa_entry_new(room);
	if (unlikely(!e)) {
		toa_net_give(net, TOA_NET_ENTRIES);
		goto lost;
	}
	e->net = net;
	e->born = toa_seconds();
	tuple_of(sk, ipv4, &e->tuple);
	e->addrs = *addrs;
	entry_put(e, sk);
	return true;

lost:
	/* What is there under this address was another connection's. */
	toa_table_remove(sk);
	return false;
}

#ifdef TOA_HAVE_COOKIES
/**
 * toa_table_adopt() - put an entry that was made elsewhere into the table
 * @sk: the socket that it turned out to be of
 * @e:  the entry, filled but for @sk, and counted
 *
 * Context: any; takes a bucket's lock.
 * Return: false if there is one, which is newer: then @e is still the caller's.
 */
bool toa_table_adopt(const struct sock *sk, struct toa_entry *e)
{
	u64 hash = toa_hash(sk);
	unsigned long flags;
	bool adopted;

	raw_spin_lock_irqsave(lock_of(hash), flags);
	adopted = !find_locked(sk, hash);
	if (adopted) {
		/* As entry_put() does. */
		smp_store_release(&e->sk, sk);
		link_locked(e, hash);
	}
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
	return adopted;
}
#endif

/* Only if it is of that namespace, unless that is 0. */
static __always_inline void remove_entry(const struct sock *sk, u64 hash, u32 net)
{
	struct toa_entry __rcu **link;
	struct toa_entry *e = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(hash), flags);
	link = find_locked(sk, hash);
	if (likely(link) && (!net || next_locked(link)->net == net))
		e = toa_entry_recycle(unlink_locked(link));
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
	if (unlikely(e))
		toa_entry_free(e);
}

/**
 * toa_table_remove() - forget a connection
 * @sk: its socket, which may be about to be freed
 *
 * Context: any; takes a bucket's lock if there is an entry.
 */
void toa_table_remove(const struct sock *sk)
{
	u64 hash = toa_hash(sk);

	if (toa_table_has(sk))
		remove_entry(sk, hash, 0);
}

#ifdef TOA_DEBUG
/* An address that no socket has; another one for each number, and scattered as sockets are. */
static const struct sock *synthetic_sock(unsigned int number)
{
	number = (number ^ number >> 16) * 0x7feb352dU;
	number ^= number >> 15;
	return (const struct sock *)((number + 1UL) * L1_CACHE_BYTES);
}

/**
 * toa_table_insert_synthetic() - insert an entry that belongs to no connection
 * @number: which
 *
 * Context: process.
 * Return: true if it was inserted.
 */
bool toa_table_insert_synthetic(unsigned int number)
{
	struct toa_entry *e = toa_entry_new(TOA_NET_HOST);

	if (!e)
		return false;
	e->net = toa_net_id(&init_net);
	e->born = toa_seconds();
	memset(&e->tuple, 0, sizeof(e->tuple));
	memset(&e->addrs, 0, sizeof(e->addrs));
	ipv6_addr_set_v4mapped(htonl(0xc0000201), &e->tuple.laddr);
	ipv6_addr_set_v4mapped(htonl(0xc0000202), &e->tuple.raddr);
	e->addrs.v4_addr = htonl(0xc6120000 + (number & 0x1ffff));
	e->addrs.v4_port = htons(number >> 17);
	e->addrs.have = TOA_HAVE_V4;
	entry_put(e, synthetic_sock(number));
	return true;
}

/**
 * toa_table_remove_synthetic() - remove it
 * @number: which
 *
 * Context: process.
 */
void toa_table_remove_synthetic(unsigned int number)
{
	toa_table_remove(synthetic_sock(number));
}
#endif

/*
 * Walking: in the order of the hashes, so that neither growing nor removing in between hides or
 * repeats an entry.
 */

static struct toa_entry *least_of(struct toa_entry __rcu **bucket, u64 from,
				  struct toa_entry *least)
{
	struct toa_entry *e;

	for (e = next_locked(bucket); !toa_is_end(e); e = next_locked(&e->next))
		if (toa_hash(e->sk) >= from && (!least || toa_hash(e->sk) < toa_hash(least->sk)))
			least = e;
	return least;
}

/* The first entry from a hash on, in that hash's bucket and where its entries are moving to. */
static struct toa_entry *first_locked(struct toa_table *t, u64 from)
{
	struct toa_entry *least = least_of(bucket_of(t, from), from, NULL);
	struct toa_table *bigger = READ_ONCE(t->bigger);
	struct toa_entry __rcu **bucket, **end;

	if (!bigger)
		return least;
	bucket = bucket_of(bigger, from >> t->shift << t->shift);
	for (end = bucket + (1UL << (t->shift - bigger->shift)); bucket < end; bucket++)
		least = least_of(bucket, from, least);
	return least;
}

static bool bucket_empty(struct toa_table *t, u64 hash)
{
	if (!toa_is_end(rcu_dereference_raw(*bucket_of(t, hash))))
		return false;
	/* Entries leave an old table when the bigger one can be seen. */
	smp_rmb();
	return !READ_ONCE(t->bigger);
}

/* An entry's socket lies where it says while the entry is in the table: its end takes it out. */
static u64 cookie_of(const struct toa_entry *e)
{
#ifdef TOA_DEBUG
	/* It belongs to no connection. */
	if ((long)e->sk >= 0)
		return 0;
#endif
	return toa_sock_make_cookie((struct sock *)e->sk);
}

/**
 * toa_table_walk() - find the next entry in the order of the hashes
 * @from:   where to begin; moved to the hash of what was found
 * @copy:   where to put it
 * @cookie: where to put its socket's cookie, which it may have to be given; or NULL. Only where the
 *          end of a connection is never missed: not while toa_path_may_miss.
 *
 * Holds one bucket's lock at a time, and none when it returns.
 *
 * Context: process, may sleep.
 * Return: false behind the last one.
 */
bool toa_table_walk(u64 *from, struct toa_entry *copy, u64 *cookie)
{
	for (;;) {
		unsigned int budget = 4096;

		rcu_read_lock();
		while (budget--) {
			struct toa_table *t = READ_ONCE(toa_table);
			struct toa_entry *e = NULL;
			unsigned long flags;

			if (!bucket_empty(t, *from)) {
				raw_spin_lock_irqsave(lock_of(*from), flags);
				e = first_locked(t, *from);
				if (e)
					*copy = *e;
				if (e && cookie)
					*cookie = cookie_of(e);
				raw_spin_unlock_irqrestore(lock_of(*from), flags);
			}
			if (e) {
				rcu_read_unlock();
				*from = toa_hash(copy->sk);
				cond_resched();
				return true;
			}
			*from = ((*from >> t->shift) + 1) << t->shift;
			if (!*from) {
				rcu_read_unlock();
				return false;
			}
		}
		rcu_read_unlock();
		cond_resched();
	}
}

/**
 * toa_table_purge() - forget all connections of some namespaces
 * @of: whether one is of them, by its toa_net_id(); NULL for all namespaces
 *
 * Context: process, may sleep.
 */
void toa_table_purge(bool (*of)(u32 net))
{
	struct toa_entry copy;
	u64 from = 0;

	/* While connections come and go, the count may be behind. */
	if (!of && !toa_entry_exactly())
		return;
	for (; toa_table_walk(&from, &copy, NULL); from++)
		/* Another connection may have the address by now, in another namespace. */
		if (!of || of(copy.net))
			remove_entry(copy.sk, from, of ? copy.net : 0);
}

/**
 * toa_table_init() - make an empty table
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int __init toa_table_init(void)
{
	int i, err;

	BUILD_BUG_ON(ARRAY_SIZE(locks) > TABLE_SIZE_MIN);
	get_random_bytes(&toa_hash_seed, sizeof(toa_hash_seed));
	get_random_bytes(&toa_hash_factor, sizeof(toa_hash_factor));
	toa_hash_seed &= ~7ULL;
	toa_hash_factor |= 1;
	for (i = 0; i < ARRAY_SIZE(locks); i++)
		raw_spin_lock_init(&locks[i].lock);

	err = toa_entry_init(&grow_work);
	if (err)
		goto no_entries;
	/* As many as CPUs may have before the sum tells of them. */
	toa_table = table_alloc(max_t(unsigned int, TABLE_SIZE_MIN,
				      roundup_pow_of_two(TOA_COUNT_BATCH * nr_cpu_ids)));
	if (!toa_table) {
		err = -ENOMEM;
		goto no_table;
	}
	toa_entry_many(toa_table->size);
	return 0;

no_table:
	toa_entry_exit();
no_entries:
	pr_err("no memory for the table of connections\n");
	return err;
}

/**
 * toa_table_exit() - free the table, which is empty
 *
 * Context: process, when no hook is attached any more.
 */
void toa_table_exit(void)
{
	cancel_work_sync(&grow_work);
	toa_kvfree(toa_table);
	toa_table = NULL;
	toa_entry_exit();
}
