// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses seen before the segment that completes a handshake, most in its SYN, kept until then.
 *
 * The memory is fixed: sets of slots, made when the first one is needed. A keyed hash, which nobody
 * outside can aim, says to which set a handshake belongs; each set has a lock, on cache lines of
 * its own. When all slots of a set are in use, the one that was filled first is taken again, so
 * that a flood of SYNs costs no memory, and an honest handshake has as long as the flood needs to
 * fill its set.
 *
 * How many slots a set should have: a flood of half as many SYNs as there are slots fills the whole
 * of one set in 7 if they have four, in 120 with sixteen, in 3,600 with thirty-two (Poisson).
 */
#include "toa_log.h"
#include "toa_handshake.h"

#include "toa_clock.h"
#include "toa_compat.h"
#include "toa_fault.h"
#include "toa_net.h"
#include "toa_param.h"
#include "toa_stats.h"

#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

enum {
	SET_SLOTS = 32,
	/* Most are abandoned by then: as long as the kernel waits by default. */
	SLOT_YOUNG_SECONDS = 64,
	/* So often one of so many parts of the sets is looked through. */
	SWEEP_SECONDS = 8,
	SWEEP_PARTS = 8,
	/* Unless the parameter syn_slots says how many. */
	SLOTS_MIN = 1 << 12,
	SLOTS_MAX = 1 << 18,
	SLOT_PER_BYTES_LOG2 = 16,
};

struct slot {
	struct toa_flow flow;
	struct toa_addrs addrs;
	u32 born;			/* toa_seconds() */
};

/* @lock protects all of a set. A tag is some bits of a handshake's hash: few flows are compared. */
struct set {
	raw_spinlock_t lock;
	u16 turn;			/* counts the slots that were filled */
	u8 used;			/* those behind the first @used are free */
	u8 tag[SET_SLOTS];		/* 0: the slot is free */
	u16 filled[SET_SLOTS];		/* @turn when it was filled */
	struct slot slot[SET_SLOTS];
} ____cacheline_aligned_in_smp;

static struct set *sets __read_mostly;
static unsigned int set_count __read_mostly;
static unsigned int set_slots __read_mostly;	/* of each set: fewer if syn_slots is smaller */
static u64 hash_key[6] __read_mostly;

unsigned int toa_handshake_made __read_mostly;

/* How many handshakes are kept whose initial sequence numbers end alike. */
atomic_t toa_handshake_kept[TOA_HANDSHAKE_ENDINGS] ____cacheline_aligned_in_smp;

static u64 pair(u32 high, u32 low)
{
	return (u64)high << 32 | low;
}

/*
 * Multilinear, over pairs of words with odd random factors. The last steps bring down what is only
 * in the high bits, as the ends of addresses are; then the highest bits are as good as chance.
 * (With one step, one key in 2,000 leaves handshakes that differ in eight bits in a few sets.)
 */
static u64 hash_of(const struct toa_flow *flow)
{
	/* Number, namespace, ports, two addresses: of IPv4, the first five words are not 0. */
	const u32 *w = (const u32 *)flow;
	u64 hash = pair(w[0], w[2]) * hash_key[0] + pair(w[3], w[4]) * hash_key[1];

	BUILD_BUG_ON(offsetof(struct toa_flow, addr) != 3 * sizeof(*w));
	if (w[5] | w[6] | w[7])
		hash += pair(w[5], w[6]) * hash_key[2] + pair(w[7], w[8]) * hash_key[3] +
			pair(w[9], w[10]) * hash_key[4];
	hash = (hash ^ hash >> 32) * hash_key[5];
	return (hash ^ hash >> 32) * hash_key[5];
}

static struct set *set_of(u64 hash)
{
	return &sets[(hash >> 32) * set_count >> 32];
}

static u8 tag_of(u64 hash)
{
	return (u8)(hash >> 24) ?: 1;
}

static __always_inline u64 eight_bytes(const struct toa_flow *flow, unsigned int at)
{
	u64 word;

	memcpy(&word, (const u8 *)flow + at, sizeof(word));
	return word;
}

/* (A loop is not unrolled, and memcmp() is a call.) */
static bool same(const struct toa_flow *a, const struct toa_flow *b)
{
	BUILD_BUG_ON(sizeof(*a) != 44);
	return !((eight_bytes(a, 0) ^ eight_bytes(b, 0)) |
		 (eight_bytes(a, 8) ^ eight_bytes(b, 8)) |
		 (eight_bytes(a, 16) ^ eight_bytes(b, 16)) |
		 (eight_bytes(a, 24) ^ eight_bytes(b, 24)) |
		 (eight_bytes(a, 32) ^ eight_bytes(b, 32)) |
		 (eight_bytes(a, 36) ^ eight_bytes(b, 36)));
}

/* Returns the number of a handshake's slot, or -1. */
static int find_locked(const struct set *set, u8 tag, const struct toa_flow *flow)
{
	unsigned int i;

	for (i = 0; i < set->used; i++)
		if (set->tag[i] == tag && same(&set->slot[i].flow, flow))
			return i;
	return -1;
}

/* Empty a slot, which still counts as its namespace's. */
static void empty_locked(struct set *set, unsigned int i)
{
	set->tag[i] = 0;
	while (set->used && !set->tag[set->used - 1])
		set->used--;
	/* Whoever sees it gone sees that its request is taken: pairs with toa_child_wanted(). */
	smp_wmb();
	atomic_dec(toa_handshake_count(set->slot[i].flow.isn));
}

static void release_locked(struct set *set, unsigned int i)
{
	toa_net_give(set->slot[i].flow.net, TOA_NET_HANDSHAKES);
	empty_locked(set, i);
}

static bool is_young(const struct slot *slot)
{
	return toa_seconds() - slot->born <= SLOT_YOUNG_SECONDS;
}

/* Was one slot filled before another one? */
static bool is_older(const struct set *set, unsigned int i, unsigned int than)
{
	return (u16)(set->turn - set->filled[i]) > (u16)(set->turn - set->filled[than]);
}

/* One of the first @slots: a free one, or else the one that was filled first. */
static unsigned int oldest_locked(const struct set *set, unsigned int slots)
{
	unsigned int i, oldest = 0;

	for (i = 0; i < slots; i++) {
		if (i >= set->used || !set->tag[i])
			return i;
		if (is_older(set, i, oldest))
			oldest = i;
	}
	return oldest;
}

/* Of a namespace's handshakes, the one that was filled first, or -1. */
static int oldest_of_locked(const struct set *set, u32 net)
{
	int i, oldest = -1;

	for (i = 0; i < set->used; i++)
		if (set->tag[i] && set->slot[i].flow.net == net &&
		    (oldest < 0 || is_older(set, i, oldest)))
			oldest = i;
	return oldest;
}

/*
 * A slot for one more handshake of a namespace, free from now on. If there must go another one,
 * that is the oldest; where the tenant has its share, the namespace's own oldest. Returns -1 if
 * there is none; in @loss, what to count.
 */
static int make_room_locked(struct set *set, u32 net, enum toa_stat *loss)
{
	enum toa_net_room room = toa_net_take(net, TOA_NET_HANDSHAKES);
	int i;

	if (unlikely(room == TOA_NET_SHARE_FULL)) {
		i = oldest_of_locked(set, net);
		if (i < 0 || is_young(&set->slot[i]))
			*loss = TOA_STAT_SHARE_FULL;
		if (i >= 0)
			empty_locked(set, i);
		return i;
	}
	if (unlikely(room == TOA_NET_GONE)) {
		*loss = TOA_STAT_ALLOC_FAILED;
		return -1;
	}
	i = oldest_locked(set, toa_net_limit(room, set_slots));
	if (set->tag[i]) {
		if (is_young(&set->slot[i]))
			*loss = TOA_STAT_SYN_EVICTED;
		release_locked(set, i);
	}
	return i;
}

/**
 * toa_handshake_put() - keep the addresses that a segment carried
 * @flow:  the handshake
 * @addrs: its addresses
 *
 * Replaces what is kept for the same handshake. Nothing is kept unless toa_handshake_ready().
 *
 * Context: any; takes a set's lock.
 * Return: true if this or another handshake was forgotten that may still be under way.
 */
bool toa_handshake_put(const struct toa_flow *flow, const struct toa_addrs *addrs)
{
	enum toa_stat loss = TOA_STAT_COUNT;	/* none */
	u64 hash;
	struct set *set;
	unsigned long flags;
	int i;

	if (unlikely(!toa_handshake_ready()))
		return false;
	hash = hash_of(flow);
	set = set_of(hash);
	raw_spin_lock_irqsave(&set->lock, flags);
	i = find_locked(set, tag_of(hash), flow);
	if (i < 0) {
		i = make_room_locked(set, flow->net, &loss);
		if (unlikely(i < 0))
			goto unlock;
		set->tag[i] = tag_of(hash);
		set->used = max_t(u8, set->used, i + 1);
		set->slot[i].flow = *flow;
		atomic_inc(toa_handshake_count(flow->isn));
	}
	set->slot[i].addrs = *addrs;
	set->slot[i].born = toa_seconds();
	set->filled[i] = ++set->turn;
unlock:
	raw_spin_unlock_irqrestore(&set->lock, flags);
	if (likely(loss == TOA_STAT_COUNT))
		return false;
	toa_stat_inc(loss);
	return loss != TOA_STAT_ALLOC_FAILED;
}

static bool is_old(const struct slot *slot)
{
	return toa_seconds() - slot->born > TOA_HANDSHAKE_MAX_AGE_SECONDS;
}

/**
 * toa_handshake_find() - get what is kept of a handshake
 * @flow:   the handshake
 * @addrs:  where to put its addresses; untouched if there are none
 * @forget: whether to forget it
 *
 * Context: any; takes a set's lock.
 * Return: true if there are addresses.
 */
bool toa_handshake_find(const struct toa_flow *flow, struct toa_addrs *addrs, bool forget)
{
	struct set *set;
	unsigned long flags;
	bool found;
	u64 hash;
	int i;

	if (unlikely(!toa_handshake_ready()))
		return false;
	hash = hash_of(flow);
	set = set_of(hash);
	raw_spin_lock_irqsave(&set->lock, flags);
	i = find_locked(set, tag_of(hash), flow);
	/* The sweep may be late. */
	found = i >= 0 && !is_old(&set->slot[i]);
	if (found)
		*addrs = set->slot[i].addrs;
	if (found && forget)
		release_locked(set, i);
	raw_spin_unlock_irqrestore(&set->lock, flags);
	return found;
}

/* Forget those of some namespaces, or, if @of is NULL, those that are old, in some of the sets. */
static void forget(bool (*of)(u32 net), unsigned int from, unsigned int to)
{
	unsigned long flags;
	unsigned int i;

	for (; from < to; from++) {
		struct set *set = &sets[from];

		if (from % 256 == 0)
			cond_resched();
		if (!READ_ONCE(set->used))
			continue;
		raw_spin_lock_irqsave(&set->lock, flags);
		for (i = 0; i < set->used; i++)
			if (set->tag[i] &&
			    (of ? of(set->slot[i].flow.net) : is_old(&set->slot[i])))
				release_locked(set, i);
		raw_spin_unlock_irqrestore(&set->lock, flags);
	}
}

/**
 * toa_handshake_purge() - forget all handshakes of some namespaces
 * @of: whether one is of them, by its toa_net_id()
 *
 * Context: process, may sleep; takes one set's lock at a time.
 */
void toa_handshake_purge(bool (*of)(u32 net))
{
	if (toa_handshake_ready())
		forget(of, 0, set_count);
}

/**
 * toa_handshake_sweep() - forget what is older than handshakes get
 *
 * Clients abandon handshakes all the time. While one is kept, connections whose numbers end like
 * its own take a closer look: without this, all of them would after some days.
 *
 * Context: process, may sleep; takes one set's lock at a time.
 */
void toa_handshake_sweep(void)
{
	if (toa_handshake_ready())
		forget(NULL, 0, set_count);
}

static void sweep_fn(struct work_struct *work)
{
	static unsigned int part;
	const u64 count = set_count;

	forget(NULL, count * part / SWEEP_PARTS, count * (part + 1) / SWEEP_PARTS);
	part = (part + 1) % SWEEP_PARTS;
	schedule_delayed_work(to_delayed_work(work), SWEEP_SECONDS * HZ);
}

static DECLARE_DELAYED_WORK(sweep, sweep_fn);

/* As the kernel's own tables do, by the memory that there is. */
static unsigned int __init usual_slots(void)
{
	struct sysinfo si;
	u64 bytes;

	si_meminfo(&si);
	bytes = (u64)si.totalram * si.mem_unit;
	return clamp_t(u64, roundup_pow_of_two(bytes >> SLOT_PER_BYTES_LOG2), SLOTS_MIN, SLOTS_MAX);
}

/**
 * toa_handshake_init() - decide how many slots there will be: the parameter syn_slots
 *
 * Context: process.
 */
void __init toa_handshake_init(void)
{
	if (toa_syn_slots == TOA_SYN_SLOTS_USUAL)
		toa_syn_slots = usual_slots();
}

static int make_slots(void)
{
	unsigned int i;

	set_count = DIV_ROUND_UP(toa_syn_slots, SET_SLOTS);
	set_slots = min_t(unsigned int, toa_syn_slots, SET_SLOTS);
	sets = toa_fails() ? NULL : vzalloc(sizeof(*sets) * set_count);
	if (!sets)
		return -ENOMEM;
	get_random_bytes(hash_key, sizeof(hash_key));
	for (i = 0; i < ARRAY_SIZE(hash_key); i++)
		hash_key[i] |= 1;
	for (i = 0; i < set_count; i++)
		raw_spin_lock_init(&sets[i].lock);
	/* Pairs with smp_rmb() in toa_handshake_ready(). */
	smp_store_release(&toa_handshake_made, 1);
	schedule_delayed_work(&sweep, SWEEP_SECONDS * HZ);
	return 0;
}

/**
 * toa_handshake_make() - make the slots, if there are none yet and syn_slots= wants any
 *
 * Context: process, may sleep.
 * Return: 0 or -ENOMEM.
 */
int toa_handshake_make(void)
{
	static DEFINE_MUTEX(make_lock);
	int err = 0;

	mutex_lock(&make_lock);
	if (toa_syn_slots && !toa_handshake_made)
		err = make_slots();
	mutex_unlock(&make_lock);
	return err;
}

/**
 * toa_handshake_exit() - free the slots
 *
 * Context: process, when no hook is attached any more.
 */
void toa_handshake_exit(void)
{
	cancel_delayed_work_sync(&sweep);
	vfree(sets);
}
