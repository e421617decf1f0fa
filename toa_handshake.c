// SPDX-License-Identifier: GPL-2.0
/*
 * Addresses seen before the segment that completes a handshake, most in its SYN, kept until then.
 *
 * The memory is fixed: a number of slots is allocated at load. When all are in use, the slot that
 * was filled first is taken again, so that a flood of SYNs costs no memory and an honest handshake
 * has as long as the flood needs to fill all slots.
 */
#include "toa_internal.h"

#include <linux/jhash.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/random.h>
#include <linux/spinlock.h>

enum {
	/* No request lives that long: 63 s, by default, or minutes under TCP_DEFER_ACCEPT. */
	SLOT_MAX_AGE_SECONDS = 1024,
	/* Most are abandoned by then: as long as the kernel waits by default. */
	SLOT_YOUNG_SECONDS = 64,
	FLOW_WORDS_V4 = 5,
	FLOW_WORDS_V6 = 11,
};

struct toa_slot {
	struct hlist_node chain;	/* in buckets[]; unhashed: the slot is free */
	struct list_head order;
	struct toa_flow flow;
	struct toa_addrs addrs;
	u32 born;			/* toa_seconds() */
};

static struct toa_slot *slots;
static struct hlist_head *buckets;
static unsigned int bucket_mask;
static u32 hash_key __read_mostly;

/* Protects the chains, the order and the contents of all slots, and the counts. */
static DEFINE_RAW_SPINLOCK(slots_lock);
static LIST_HEAD(order);		/* free slots, then the used ones, oldest first */
u16 toa_handshake_kept[TOA_HANDSHAKE_ENDINGS];

static struct hlist_head *bucket_of(const struct toa_flow *flow)
{
	unsigned int words = flow->addr[2] | flow->addr[3] | flow->addr[4] | flow->addr[5] |
			     flow->addr[6] | flow->addr[7] ? FLOW_WORDS_V6 : FLOW_WORDS_V4;

	BUILD_BUG_ON(sizeof(*flow) != FLOW_WORDS_V6 * sizeof(u32));
	return &buckets[jhash2((const u32 *)flow, words, hash_key) & bucket_mask];
}

static struct toa_slot *find_locked(const struct hlist_head *bucket, const struct toa_flow *flow)
{
	struct toa_slot *slot;

	hlist_for_each_entry(slot, bucket, chain)
		if (memcmp(&slot->flow, flow, sizeof(*flow)) == 0)
			return slot;
	return NULL;
}

/* A count that overflows stays so for good: then each such handshake is looked for. */
static void count(u32 isn, int change)
{
	u16 *kept = toa_handshake_count(isn);

	if (*kept != USHRT_MAX)
		WRITE_ONCE(*kept, *kept + change);
}

static void release_locked(struct toa_slot *slot)
{
	hlist_del_init(&slot->chain);
	list_move(&slot->order, &order);
	count(slot->flow.isn, -1);
}

/**
 * toa_handshake_put() - keep the addresses that a SYN carried
 * @flow:  the handshake
 * @addrs: its addresses
 *
 * Replaces what is kept for the same handshake. There must be slots: see toa_syn_slots.
 *
 * Context: any; takes slots_lock.
 * Return: true if another handshake was forgotten for it that may still be under way.
 */
bool toa_handshake_put(const struct toa_flow *flow, const struct toa_addrs *addrs)
{
	struct hlist_head *bucket = bucket_of(flow);
	bool evicted = false;
	unsigned long flags;
	struct toa_slot *slot;

	raw_spin_lock_irqsave(&slots_lock, flags);
	slot = find_locked(bucket, flow);
	if (!slot) {
		slot = list_first_entry(&order, struct toa_slot, order);
		if (!hlist_unhashed(&slot->chain)) {
			evicted = toa_seconds() - slot->born <= SLOT_YOUNG_SECONDS;
			release_locked(slot);
		}
		slot->flow = *flow;
		hlist_add_head(&slot->chain, bucket);
		count(flow->isn, 1);
	}
	slot->addrs = *addrs;
	slot->born = toa_seconds();
	list_move_tail(&slot->order, &order);
	raw_spin_unlock_irqrestore(&slots_lock, flags);
	if (evicted)
		toa_stat_inc(TOA_STAT_SYN_EVICTED);
	return evicted;
}

/**
 * toa_handshake_find() - get the addresses that a handshake's SYN carried
 * @flow:  the handshake
 * @addrs: where to put them; untouched if there are none
 *
 * Context: any; takes slots_lock, unless the bucket is empty.
 * Return: what to release when the handshake is completed, or NULL if there are none.
 */
struct toa_slot *toa_handshake_find(const struct toa_flow *flow, struct toa_addrs *addrs)
{
	struct hlist_head *bucket = bucket_of(flow);
	struct toa_slot *slot;
	unsigned long flags;

	if (!READ_ONCE(bucket->first))
		return NULL;
	raw_spin_lock_irqsave(&slots_lock, flags);
	slot = find_locked(bucket, flow);
	if (slot && toa_seconds() - slot->born > SLOT_MAX_AGE_SECONDS)
		slot = NULL;
	if (slot)
		*addrs = slot->addrs;
	raw_spin_unlock_irqrestore(&slots_lock, flags);
	return slot;
}

/**
 * toa_handshake_release() - forget a handshake that is completed
 * @slot: what toa_handshake_find() returned
 * @isn:  of its flow; another one says that the slot has been taken for another handshake since
 *
 * Context: any; takes slots_lock.
 */
void toa_handshake_release(struct toa_slot *slot, u32 isn)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&slots_lock, flags);
	if (!hlist_unhashed(&slot->chain) && slot->flow.isn == isn)
		release_locked(slot);
	raw_spin_unlock_irqrestore(&slots_lock, flags);
}

/**
 * toa_handshake_purge() - forget all handshakes of a namespace
 * @net: its toa_net_id()
 *
 * Context: process, may sleep; takes slots_lock for one slot at a time.
 */
void toa_handshake_purge(u32 net)
{
	unsigned long flags;
	unsigned int i;

	for (i = 0; i < toa_syn_slots; i++) {
		if (i % 4096 == 0)
			cond_resched();
		/* Nobody makes any more of them. */
		if (READ_ONCE(slots[i].flow.net) != net)
			continue;
		raw_spin_lock_irqsave(&slots_lock, flags);
		if (!hlist_unhashed(&slots[i].chain) && slots[i].flow.net == net)
			release_locked(&slots[i]);
		raw_spin_unlock_irqrestore(&slots_lock, flags);
	}
}

/**
 * toa_handshake_init() - allocate the slots, as many as the parameter syn_slots says
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int __init toa_handshake_init(void)
{
	unsigned int i, count;

	if (!toa_syn_slots)
		return 0;
	count = roundup_pow_of_two(toa_syn_slots) / 2 ?: 1;
	slots = toa_fails() ? NULL : vzalloc(sizeof(*slots) * toa_syn_slots);
	buckets = toa_fails() ? NULL : vzalloc(sizeof(*buckets) * count);
	if (!slots || !buckets) {
		pr_err("no memory for %u handshake slots: lower the parameter syn_slots\n",
		       toa_syn_slots);
		toa_handshake_exit();
		return -ENOMEM;
	}
	bucket_mask = count - 1;
	get_random_bytes(&hash_key, sizeof(hash_key));
	for (i = 0; i < toa_syn_slots; i++)
		list_add_tail(&slots[i].order, &order);
	return 0;
}

/**
 * toa_handshake_exit() - free the slots
 *
 * Context: process, when no hook is attached any more.
 */
void toa_handshake_exit(void)
{
	vfree(buckets);
	vfree(slots);
}
