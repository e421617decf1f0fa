// SPDX-License-Identifier: GPL-2.0
/*
 * Where entries come from.
 *
 * Each CPU has a magazine of free ones, which serves most connections with a fraction of what the
 * slab allocator costs. Behind it is the allocator; but under PREEMPT_RT that may sleep, which
 * kprobe handlers and callbacks of ftrace may not: there, entries come from and go to a pool, which
 * a work item fills up to the half when less than a quarter is left.
 */
#include "toa_log.h"
#include "toa_entry.h"

#include "toa_compat.h"

#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

enum { POOL_ENTRIES = 4096 };

DEFINE_PER_CPU(struct toa_entry_cpu, toa_entry_cpu);

struct toa_entry_count toa_entry_count;

static struct kmem_cache *cache __read_mostly;

/* What to do when the sum is above a number of entries. */
static struct work_struct *many_work __read_mostly;
static unsigned int many __read_mostly;

static struct {
	raw_spinlock_t lock;		/* protects the other */
	struct toa_magazine free;
} ____cacheline_aligned_in_smp pool = { .lock = __RAW_SPIN_LOCK_UNLOCKED(pool.lock) };

/* Some have come, or gone if @change is negative. */
static void count_entries(int change)
{
	unsigned long flags;
	int came;

	local_irq_save(flags);
	came = this_cpu_add_return(toa_entry_cpu.came, change);
	if (came >= TOA_COUNT_BATCH || came <= -TOA_COUNT_BATCH) {
		this_cpu_sub(toa_entry_cpu.came, came);
		if (atomic_add_return(came, &toa_entry_count.sum) > (int)READ_ONCE(many))
			schedule_work(many_work);
	}
	local_irq_restore(flags);
}

/**
 * toa_entry_exactly() - how many entries there are
 *
 * Context: any. Reads what every CPU has counted.
 */
unsigned int toa_entry_exactly(void)
{
	int cpu, sum = atomic_read(&toa_entry_count.sum);

	for_each_possible_cpu(cpu) {
		const struct toa_entry_cpu *c = &per_cpu(toa_entry_cpu, cpu);

		sum += READ_ONCE(c->came) - (int)READ_ONCE(c->free.count);
	}
	return max(sum, 0);
}

/**
 * toa_entry_many() - say how many entries are many
 * @count: with more than these, as far as they are in the sum, the work of toa_entry_init() is done
 *
 * Context: any.
 */
void toa_entry_many(unsigned int count)
{
	WRITE_ONCE(many, count);
}

static bool need_pool(void)
{
	return TOA_PREEMPT_RT && !preemptible();
}

static void pool_push(struct toa_entry *e)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&pool.lock, flags);
	toa_magazine_push(&pool.free, e);
	raw_spin_unlock_irqrestore(&pool.lock, flags);
}

static struct toa_entry *pool_pop(void)
{
	unsigned long flags;
	struct toa_entry *e;

	raw_spin_lock_irqsave(&pool.lock, flags);
	e = toa_magazine_pop(&pool.free);
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

/**
 * toa_entry_alloc_slow() - toa_entry_alloc() where the magazine is empty
 *
 * Context: any.
 * Return: an entry or NULL.
 */
struct toa_entry *toa_entry_alloc_slow(void)
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

/**
 * toa_entry_free() - take out of use what toa_entry_recycle() returned
 * @e: the entry
 *
 * Context: any.
 */
void toa_entry_free(struct toa_entry *e)
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

static void entries_free(void)
{
	struct toa_entry *e;
	int cpu;

	while ((e = toa_magazine_pop(&pool.free)))
		kmem_cache_free(cache, e);
	for_each_possible_cpu(cpu)
		while ((e = toa_magazine_pop(per_cpu_ptr(&toa_entry_cpu.free, cpu))))
			kmem_cache_free(cache, e);
	kmem_cache_destroy(cache);
}

/**
 * toa_entry_init() - make the cache of entries
 * @work: what to do when there are many: see toa_entry_many()
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int __init toa_entry_init(struct work_struct *work)
{
	many_work = work;
	if (!toa_fails())
		cache = toa_cache_create("toa_entry", sizeof(struct toa_entry),
					 offsetof(struct toa_entry, tuple));
	if (!cache)
		return -ENOMEM;
	if (TOA_PREEMPT_RT && !toa_fails())
		pool_work_fn(NULL);
	if (TOA_PREEMPT_RT && !pool.free.count) {
		entries_free();
		return -ENOMEM;
	}
	return 0;
}

/**
 * toa_entry_exit() - free all entries
 *
 * Context: process, when none is in use.
 */
void toa_entry_exit(void)
{
	cancel_work_sync(&pool_work);
	entries_free();
}
