// SPDX-License-Identifier: GPL-2.0
/*
 * The per-socket table and /proc/net/toa_table.
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
#include "toa_internal.h"

#include <linux/log2.h>
#include <linux/random.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

enum {
	TABLE_SIZE_MIN = 1 << 10,	/* buckets, a power of two */
	TABLE_SIZE_MAX = 1 << 27,	/* a GiB; the kernel allocates less than two */
	LOCK_BITS = 8,			/* 256 locks, at most as many as buckets */
	READER_RETRIES = 16,
	POOL_ENTRIES = 4096,
	MAGAZINE_ENTRIES = 64,
};

/* All in network byte order; IPv4 addresses stand as IPv4-mapped ones. */
struct tuple {
	struct in6_addr laddr;
	struct in6_addr raddr;
	__be16 lport;
	__be16 rport;
};

struct toa_entry {
	struct toa_entry __rcu *next;	/* or the chain's end mark; readers always follow it */
	union {
		const struct sock *sk;		/* NULL: not in the table */
		struct toa_entry *free_next;	/* not in use; equals no socket's address */
	};
	u32 net;
	u32 born;			/* toa_seconds() */
	struct tuple tuple;
	struct toa_addrs addrs;
};

struct toa_table *toa_table __read_mostly;
u64 toa_hash_seed __read_mostly;
u64 toa_hash_factor __read_mostly;

static struct kmem_cache *cache __read_mostly;

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

/* The end mark of a chain: the address of its bucket, made odd. */
static struct toa_entry *end_of(struct toa_entry __rcu **bucket)
{
	return (struct toa_entry *)((unsigned long)bucket | 1);
}

static bool is_end(const struct toa_entry *e)
{
	return (unsigned long)e & 1;
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
	t->grow_at = size;
	t->shift = 64 - ilog2(size);
	for (i = 0; i < size; i++)
		RCU_INIT_POINTER(t->head[i], end_of(&t->head[i]));
	return t;
}

/*
 * Entries
 *
 * Each CPU has a magazine of free ones, which serves most connections with a fraction of what the
 * slab allocator costs. Behind it is the allocator; but under PREEMPT_RT that may sleep, which
 * kprobe handlers and callbacks of ftrace may not: there, entries come from and go to a pool, which
 * a work item fills up to the half when less than a quarter is left.
 */

struct magazine {
	struct toa_entry *top;		/* linked through @free_next */
	unsigned int count;
};

/*
 * How many entries there are: those that came from behind the magazines, less those that lie in
 * one. Each CPU counts what came and went, and adds that to the sum, which all share, for every 64
 * only. Whoever wants to know exactly looks at all CPUs; that is when the table is nearly full.
 */
enum { COUNT_BATCH = 64 };

static struct {
	atomic_t sum;
} ____cacheline_aligned_in_smp entries;

/* Touched by its own CPU only, with interrupts off; but others read the counts. */
struct cpu_entries {
	struct magazine free;
	int came;			/* and not yet in the sum */
};

static DEFINE_PER_CPU(struct cpu_entries, cpu_entries);

static void grow_work_fn(struct work_struct *work);
static DECLARE_WORK(grow_work, grow_work_fn);

/* Some have come, or gone if @change is negative. */
static void count_entries(int change)
{
	unsigned long flags;
	int came;

	local_irq_save(flags);
	came = this_cpu_add_return(cpu_entries.came, change);
	if (came >= COUNT_BATCH || came <= -COUNT_BATCH) {
		this_cpu_sub(cpu_entries.came, came);
		if (atomic_add_return(came, &entries.sum) >
		    (int)READ_ONCE(READ_ONCE(toa_table)->grow_at))
			schedule_work(&grow_work);
	}
	local_irq_restore(flags);
}

static unsigned int entries_exactly(void)
{
	int cpu, sum = atomic_read(&entries.sum);

	for_each_possible_cpu(cpu) {
		const struct cpu_entries *c = &per_cpu(cpu_entries, cpu);

		sum += READ_ONCE(c->came) - (int)READ_ONCE(c->free.count);
	}
	return max(sum, 0);
}

/*
 * Is there room for one more? For each other CPU, late by one that it makes at the same time, or by
 * the 64 that it is about to add to the sum.
 */
static __always_inline bool has_room(unsigned int limit)
{
	/* At most this far is the sum behind. */
	int behind = COUNT_BATCH * nr_cpu_ids;

	return likely(atomic_read(&entries.sum) + behind < (int)limit) ||
	       entries_exactly() < limit;
}

static struct {
	raw_spinlock_t lock;		/* protects the other */
	struct magazine free;
} ____cacheline_aligned_in_smp pool = { .lock = __RAW_SPIN_LOCK_UNLOCKED(pool.lock) };

static void push(struct magazine *m, struct toa_entry *e)
{
	WRITE_ONCE(e->free_next, m->top);
	m->top = e;
	m->count++;
}

static struct toa_entry *pop(struct magazine *m)
{
	struct toa_entry *e = m->top;

	if (e) {
		m->top = e->free_next;
		m->count--;
	}
	return e;
}

static bool need_pool(void)
{
	return TOA_PREEMPT_RT && !preemptible();
}

static void pool_push(struct toa_entry *e)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pool.lock, flags);
	push(&pool.free, e);
	raw_spin_unlock_irqrestore(&pool.lock, flags);
}

static struct toa_entry *pool_pop(void)
{
	unsigned long flags;
	struct toa_entry *e;

	raw_spin_lock_irqsave(&pool.lock, flags);
	e = pop(&pool.free);
	raw_spin_unlock_irqrestore(&pool.lock, flags);
	return e;
}

static void pool_work_fn(struct work_struct *work)
{
	struct toa_entry *e;

	while (READ_ONCE(pool.free.count) < POOL_ENTRIES / 2) {
		e = kmem_cache_alloc(cache, GFP_KERNEL);
		if (!e)
			break;
		pool_push(e);
	}
	while (READ_ONCE(pool.free.count) > POOL_ENTRIES) {
		e = pool_pop();
		if (!e)
			break;
		kmem_cache_free(cache, e);
	}
}

static DECLARE_WORK(pool_work, pool_work_fn);

static noinline struct toa_entry *entry_alloc_slow(void)
{
	struct toa_entry *e;

	if (!need_pool()) {
		e = kmem_cache_alloc(cache, GFP_ATOMIC | __GFP_NOWARN);
	} else {
		e = pool_pop();
		if (READ_ONCE(pool.free.count) < POOL_ENTRIES / 4)
			schedule_work(&pool_work);
	}
	if (e)
		count_entries(1);
	return e;
}

static noinline void entry_free(struct toa_entry *e)
{
	count_entries(-1);
	if (!need_pool()) {
		kmem_cache_free(cache, e);
		return;
	}
	pool_push(e);
	if (READ_ONCE(pool.free.count) > POOL_ENTRIES)
		schedule_work(&pool_work);
}

static __always_inline struct toa_entry *entry_alloc(void)
{
	unsigned long flags;
	struct toa_entry *e;

	if (toa_fails())
		return NULL;
	local_irq_save(flags);
	e = pop(this_cpu_ptr(&cpu_entries.free));
	local_irq_restore(flags);
	return likely(e) ? e : entry_alloc_slow();
}

/*
 * Take an entry out of use, with interrupts off. Returns it if the magazine is full: then it is for
 * entry_free(), when they are on again.
 */
static __always_inline struct toa_entry *entry_recycle(struct toa_entry *e)
{
	struct magazine *m = this_cpu_ptr(&cpu_entries.free);

	toa_stat_inc(TOA_STAT_ENTRY_FREE);
	if (e->addrs.have & TOA_HAVE_V6)
		toa_stat_inc(TOA_STAT_IP6_FREE);
	toa_net_give(e->net, TOA_NET_ENTRIES);
	/* Tell readers who stand on it, before it is filled again: see entry_new(). */
	WRITE_ONCE(e->sk, NULL);
	if (unlikely(m->count >= MAGAZINE_ENTRIES))
		return e;
	push(m, e);
	return NULL;
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
	while (!is_end(next_locked(bucket))) {
		struct toa_entry __rcu **link = bucket, **dest;
		struct toa_entry *e;

		while (!is_end(next_locked(&next_locked(link)->next)))
			link = &next_locked(link)->next;
		e = next_locked(link);
		dest = bucket_of(to, toa_hash(e->sk));
		rcu_assign_pointer(e->next, next_locked(dest));
		rcu_assign_pointer(*dest, e);
		/* A reader who finds the entry gone from here must find it there. */
		rcu_assign_pointer(*link, end_of(bucket));
	}
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
}

static void grow_work_fn(struct work_struct *work)
{
	struct toa_table *old = toa_table;	/* written only here */
	unsigned int size = old->size, b;
	struct toa_table *bigger;

	while (size < TABLE_SIZE_MAX && entries_exactly() >= size)
		size *= 2;
	if (size == old->size)
		return;
	bigger = table_alloc(size);
	if (!bigger) {
		/* The chains get longer, that is all. Do not try again for each entry. */
		WRITE_ONCE(old->grow_at, entries_exactly() + old->size / 8);
		return;
	}
	/* Pairs with smp_rmb() in find(), toa_table_misses() and bucket_empty(). */
	smp_store_release(&old->bigger, bigger);
	for (b = 0; b < old->size; b++) {
		move_bucket(old, b, bigger);
		cond_resched();
	}
	/* Pairs with the address dependency of whoever reads it. */
	smp_store_release(&toa_table, bigger);
	toa_synchronize();
	toa_kvfree(old);
}

/*
 * Readers
 */

static bool is_ipv4(const struct sock *sk)
{
	return sk->sk_family == AF_INET || ipv6_addr_v4mapped(toa_v6_daddr(sk));
}

static void set_mapped(struct in6_addr *addr, __be32 v4)
{
	addr->s6_addr32[0] = 0;
	addr->s6_addr32[1] = 0;
	addr->s6_addr32[2] = htonl(0xffff);
	addr->s6_addr32[3] = v4;
}

/* inet_daddr of an IPv6 connection is a constant, sk_v6_daddr of an IPv4 socket not always set. */
static void tuple_of(const struct sock *sk, bool ipv4, struct tuple *t)
{
	const struct inet_sock *inet = inet_sk(sk);

	if (ipv4) {
		set_mapped(&t->laddr, inet->inet_rcv_saddr);
		set_mapped(&t->raddr, inet->inet_daddr);
	} else {
		t->laddr = *toa_v6_rcv_saddr(sk);
		t->raddr = *toa_v6_daddr(sk);
	}
	t->lport = inet->inet_sport;
	t->rport = inet->inet_dport;
}

static bool matches(const struct toa_entry *e, const struct sock *sk)
{
	const struct inet_sock *inet = inet_sk(sk);
	const struct tuple *t = &e->tuple;

	if (e->net != toa_net_id(sock_net(sk)) || t->lport != inet->inet_sport ||
	    t->rport != inet->inet_dport)
		return false;
	if (is_ipv4(sk))
		return ipv6_addr_v4mapped(&t->raddr) &&
		       t->raddr.s6_addr32[3] == inet->inet_daddr &&
		       t->laddr.s6_addr32[3] == inet->inet_rcv_saddr;
	return ipv6_addr_equal(&t->raddr, toa_v6_daddr(sk)) &&
	       ipv6_addr_equal(&t->laddr, toa_v6_rcv_saddr(sk));
}

/* The link of a chain that leads to a socket's entry, or NULL. The caller holds the lock. */
static struct toa_entry __rcu **find_in(struct toa_entry __rcu **link, const struct sock *sk)
{
	for (; !is_end(next_locked(link)); link = &next_locked(link)->next)
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

/* The caller holds toa_read_lock(), and checks @sk again when it has read the entry. */
static __always_inline struct toa_entry *find(const struct sock *sk, u64 hash)
{
	unsigned int retries = READER_RETRIES;
	struct toa_table *t = READ_ONCE(toa_table);

	while (t) {
		struct toa_entry __rcu **bucket = bucket_of(t, hash);
		struct toa_entry *e;

		for (e = rcu_dereference_raw(*bucket); !is_end(e); e = rcu_dereference_raw(e->next))
			if (READ_ONCE(e->sk) == sk) {
				smp_rmb();	/* pairs with smp_store_release() in entry_put() */
				return e;
			}
		if (likely(e == end_of(bucket))) {
			/* Entries leave an old table when the bigger one can be seen. */
			smp_rmb();
			t = READ_ONCE(t->bigger);
		} else if (!retries--) {
			return find_under_lock(sk, hash);
		}
	}
	return NULL;
}

static __always_inline bool has(const struct sock *sk, u64 hash)
{
	bool found;

	toa_read_lock();
	found = find(sk, hash);
	toa_read_unlock();
	return found;
}

/**
 * toa_table_has() - ask whether toa_table_find() is worth a call
 * @sk: the socket
 *
 * Context: any.
 * Return: true if there is an entry under this address.
 */
bool toa_table_has(const struct sock *sk)
{
	return has(sk, toa_hash(sk));
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
	const struct toa_entry *e;
	bool found = false;

	toa_read_lock();
	e = find(sk, toa_hash(sk));
	if (e && matches(e, sk)) {
		toa_hold();
		*addrs = e->addrs;
		smp_rmb();	/* pairs with smp_wmb() in entry_new() */
		found = READ_ONCE(e->sk) == sk;
	}
	toa_read_unlock();
	return found;
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

/* Return: an entry, or NULL; then it is counted why. */
static __always_inline struct toa_entry *entry_new(enum toa_net_room room)
{
	struct toa_entry *e;

	if (unlikely(!has_room(toa_net_limit(room, READ_ONCE(toa_table_max))))) {
		toa_stat_inc(TOA_STAT_TABLE_FULL);
		return NULL;
	}
	e = entry_alloc();
	if (unlikely(!e)) {
		toa_stat_inc(TOA_STAT_ALLOC_FAILED);
		return NULL;
	}
	/*
	 * Readers who stand on its last life see that it ended before they see what fills it now:
	 * pairs with smp_rmb() in toa_table_find().
	 */
	smp_wmb();
	return e;
}

/* Put an entry, filled but for @sk, in the place of what is there under this address. */
static void entry_put(struct toa_entry *e, const struct sock *sk)
{
	u64 hash = toa_hash(sk);
	struct toa_entry *stale;
	unsigned long flags;

	/* Readers who still stand on the entry's last life see the socket last. */
	smp_store_release(&e->sk, sk);
	toa_stat_inc(TOA_STAT_ENTRY_ALLOC);
	if (e->addrs.have & TOA_HAVE_V6)
		toa_stat_inc(TOA_STAT_IP6_ALLOC);

	raw_spin_lock_irqsave(lock_of(hash), flags);
	stale = link_locked(e, hash);
	if (unlikely(stale))
		stale = entry_recycle(stale);
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
	if (unlikely(stale))
		entry_free(stale);
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
	e = entry_new(room);
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

/* Only if it is of that namespace, unless that is 0. */
static __always_inline void remove_entry(const struct sock *sk, u64 hash, u32 net)
{
	struct toa_entry __rcu **link;
	struct toa_entry *e = NULL;
	unsigned long flags;

	raw_spin_lock_irqsave(lock_of(hash), flags);
	link = find_locked(sk, hash);
	if (likely(link) && (!net || next_locked(link)->net == net))
		e = entry_recycle(unlink_locked(link));
	raw_spin_unlock_irqrestore(lock_of(hash), flags);
	if (unlikely(e))
		entry_free(e);
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

	if (has(sk, hash))
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
	struct toa_entry *e = entry_new(TOA_NET_HOST);

	if (!e)
		return false;
	e->net = toa_net_id(&init_net);
	e->born = toa_seconds();
	memset(&e->tuple, 0, sizeof(e->tuple));
	memset(&e->addrs, 0, sizeof(e->addrs));
	set_mapped(&e->tuple.laddr, htonl(0xc0000201));
	set_mapped(&e->tuple.raddr, htonl(0xc0000202));
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

	for (e = next_locked(bucket); !is_end(e); e = next_locked(&e->next))
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
	if (!is_end(rcu_dereference_raw(*bucket_of(t, hash))))
		return false;
	/* Entries leave an old table when the bigger one can be seen. */
	smp_rmb();
	return !READ_ONCE(t->bigger);
}

/**
 * walk() - find the next entry in the order of the hashes
 * @from: where to begin; moved to the hash of what was found
 * @copy: where to put it
 *
 * Holds one bucket's lock at a time, and none when it returns.
 *
 * Context: process, may sleep.
 * Return: false behind the last one.
 */
static bool walk(u64 *from, struct toa_entry *copy)
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
	if (!of && !entries_exactly())
		return;
	for (; walk(&from, &copy); from++)
		/* Another connection may have the address by now, in another namespace. */
		if (!of || of(copy.net))
			remove_entry(copy.sk, from, of ? copy.net : 0);
}

/*
 * /proc/net/toa_table
 */

struct reader {
	struct net *home;		/* the file's; there while the file is in /proc */
	u32 net;			/* whose entries are shown; 0: all namespaces' */
	struct toa_entry entry;		/* what is shown now */
};

/*
 * Position 0 is the header. Behind it, a position is half the hash of the entry that is shown,
 * and one: the hash is even.
 */
static void *table_seek(struct reader *r, u64 from, loff_t *pos)
{
	void *found = NULL;

	while (walk(&from, &r->entry)) {
		if (!r->net || r->entry.net == r->net) {
			found = r;
			break;
		}
		from += 2;
		if (signal_pending(current)) {
			found = ERR_PTR(-EINTR);
			break;
		}
	}
	*pos = found ? (loff_t)(from / 2) + 1 : LLONG_MAX;
	return found;
}

static void *table_start(struct seq_file *seq, loff_t *pos)
{
	if (!*pos)
		return SEQ_START_TOKEN;
	if (*pos == LLONG_MAX)
		return NULL;
	return table_seek(seq->private, ((u64)*pos - 1) * 2, pos);
}

static void *table_next(struct seq_file *seq, void *v, loff_t *pos)
{
	return table_seek(seq->private, (u64)*pos * 2, pos);
}

static void table_stop(struct seq_file *seq, void *v)
{
}

static void show_address(struct seq_file *seq, const struct in6_addr *addr, __be16 port)
{
	char text[sizeof("[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535")];

	if (ipv6_addr_v4mapped(addr))
		snprintf(text, sizeof(text), "%pI4:%u", &addr->s6_addr32[3], ntohs(port));
	else
		snprintf(text, sizeof(text), "[%pI6c]:%u", addr, ntohs(port));
	seq_printf(seq, " %-47s", text);
}

static void show_line(struct seq_file *seq, const struct toa_entry *e, unsigned int kind,
		      const struct in6_addr *client, __be16 port)
{
	seq_printf(seq, "%-4u %10u", kind, e->net);
	show_address(seq, &e->tuple.laddr, e->tuple.lport);
	show_address(seq, &e->tuple.raddr, e->tuple.rport);
	show_address(seq, client, port);
	seq_printf(seq, " %u\n", toa_seconds() - e->born);
}

static int table_show(struct seq_file *seq, void *v)
{
	const struct toa_entry *e = &((struct reader *)seq->private)->entry;
	struct in6_addr mapped;

	if (v == SEQ_START_TOKEN) {
		seq_printf(seq, "%-4s %10s %-47s %-47s %-47s %s\n", "kind", "netns", "local",
			   "balancer", "client", "age");
		return 0;
	}
	if (e->addrs.have & TOA_HAVE_V4) {
		set_mapped(&mapped, e->addrs.v4_addr);
		show_line(seq, e, e->addrs.v4_kind, &mapped, e->addrs.v4_port);
	}
	if (e->addrs.have & TOA_HAVE_V6)
		show_line(seq, e, e->addrs.v6_kind, &e->addrs.v6_addr, e->addrs.v6_port);
	return 0;
}

static const struct seq_operations table_seq_ops = {
	.start = table_start,
	.next = table_next,
	.stop = table_stop,
	.show = table_show,
};

static int table_open(struct inode *inode, struct file *file)
{
	struct reader *r = toa_fails() ? NULL :
			   __seq_open_private(file, &table_seq_ops, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->home = pde_data(inode);
	/* The initial namespace shows the whole host. */
	r->net = net_eq(r->home, &init_net) ? 0 : toa_net_id(r->home);
	return 0;
}

/*
 * The end of a namespace takes its file away, and waits for readers, all ends behind it too. So a
 * reader who may wait for ever keeps the namespace; while it reads, not while the file is open.
 */
static ssize_t table_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	const struct reader *r = ((struct seq_file *)file->private_data)->private;
	struct net *net = maybe_get_net(r->home);
	ssize_t n;

	if (!net)
		return -EIO;
	n = toa_seq_read(file, user, size, pos);
	put_net(net);
	return n;
}

TOA_PROC_SEQ_OPS(table_ops, table_open, table_read, seq_release_private);

/*
 * Namespaces. A file that is open does not keep its namespace: nobody gets into it any more when it
 * is out of /proc.
 */

static int __net_init net_init(struct net *net)
{
	int err = net_eq(net, &init_net) ? 0 :
		  toa_net_begin(toa_net_id(net), toa_net_tenant(net));

	/* Mode 0440: who talks to whom is private. */
	if (!err && !toa_fails() &&
	    proc_create_data("toa_table", 0440, net->proc_net, &table_ops, net))
		return 0;
	if (net_eq(net, &init_net))
		return -ENOMEM;
	/* No reason to refuse a container. */
	pr_warn_ratelimited("no memory for %s of a new namespace\n",
			    err ? "addresses" : "/proc/net/toa_table");
	return 0;
}

static void __net_exit net_exit(struct net *net)
{
	/* Unlike remove_proc_entry(), it does not mind if there was no memory for the file. */
	remove_proc_subtree("toa_table", net->proc_net);
}

/* Many end together: one walk is for all. Mostly there is none, as the sockets are gone. */
static void __net_exit net_exit_batch(struct list_head *nets)
{
	bool left[TOA_NET_COUNTS] = { false };
	struct net *net;

	list_for_each_entry(net, nets, exit_list)
		toa_net_end_begin(toa_net_id(net), left);
	if (left[TOA_NET_HANDSHAKES])
		toa_handshake_purge(toa_net_ending);
	if (left[TOA_NET_ENTRIES])
		toa_table_purge(toa_net_ending);
	list_for_each_entry(net, nets, exit_list)
		toa_net_end(toa_net_id(net));
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.exit = net_exit,
	.exit_batch = net_exit_batch,
};

static void table_free(void)
{
	struct toa_entry *e;
	int cpu;

	cancel_work_sync(&grow_work);
	cancel_work_sync(&pool_work);
	while ((e = pop(&pool.free)))
		kmem_cache_free(cache, e);
	for_each_possible_cpu(cpu)
		while ((e = pop(per_cpu_ptr(&cpu_entries.free, cpu))))
			kmem_cache_free(cache, e);
	toa_kvfree(toa_table);
	toa_table = NULL;
	kmem_cache_destroy(cache);
}

/**
 * toa_table_init() - make an empty table, and /proc/net/toa_table in every namespace
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int __init toa_table_init(void)
{
	struct toa_table *t;
	int i, err;

	BUILD_BUG_ON(ARRAY_SIZE(locks) > TABLE_SIZE_MIN);
	get_random_bytes(&toa_hash_seed, sizeof(toa_hash_seed));
	get_random_bytes(&toa_hash_factor, sizeof(toa_hash_factor));
	toa_hash_seed &= ~7ULL;
	toa_hash_factor |= 1;
	for (i = 0; i < ARRAY_SIZE(locks); i++)
		raw_spin_lock_init(&locks[i].lock);

	if (!toa_fails())
		cache = toa_cache_create("toa_entry", sizeof(struct toa_entry),
					 offsetof(struct toa_entry, tuple));
	if (!cache)
		goto no_cache;
	/* As many as CPUs may have before the sum tells of them. */
	t = table_alloc(max_t(unsigned int, TABLE_SIZE_MIN,
			      roundup_pow_of_two(COUNT_BATCH * nr_cpu_ids)));
	if (!t)
		goto no_table;
	toa_table = t;
	if (TOA_PREEMPT_RT && !toa_fails())
		pool_work_fn(NULL);
	if (TOA_PREEMPT_RT && !pool.free.count)
		goto no_pool;
	err = toa_fails() ? -ENOMEM : register_pernet_subsys(&net_ops);
	if (!err)
		return 0;
	pr_err("cannot create /proc/net/toa_table (error %d): is memory short?\n", err);
	table_free();
	return err;

no_pool:
	toa_kvfree(t);
no_table:
	kmem_cache_destroy(cache);
no_cache:
	pr_err("no memory for the table of connections\n");
	return -ENOMEM;
}

/**
 * toa_table_exit() - forget everything
 *
 * Context: process, when no hook is attached any more.
 */
void toa_table_exit(void)
{
	/* All at once: each namespace would walk the whole table for its own. */
	toa_table_purge(NULL);
	unregister_pernet_subsys(&net_ops);
	table_free();
}
