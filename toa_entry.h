/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entries of the table: where they come from, where they go, and how many there are.
 *
 * What every connection with an address passes is inline.
 */
#ifndef TOA_ENTRY_H
#define TOA_ENTRY_H

#include "toa_compat.h"
#include "toa_fault.h"
#include "toa_net.h"
#include "toa_option.h"
#include "toa_param.h"
#include "toa_stats.h"

#include <linux/atomic.h>
#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/in6.h>
#include <linux/irqflags.h>
#include <linux/percpu.h>
#include <linux/types.h>

/* All in network byte order; IPv4 addresses stand as IPv4-mapped ones. */
struct toa_tuple {
	struct in6_addr laddr;
	struct in6_addr raddr;
	__be16 lport;
	__be16 rport;
};

/**
 * struct toa_entry - what is kept of a connection
 * @next:      the next one of its chain, or the chain's end mark; readers always follow it
 * @sk:        its socket; NULL: not in the table
 * @free_next: not in use: the next free one; equals no socket's address
 * @net:       toa_net_id() of its namespace
 * @born:      toa_seconds()
 * @tuple:     the connection it was made for
 * @addrs:     its real client's addresses
 *
 * Readers hold no lock: they may stand on an entry while it is freed and filled again.
 */
struct toa_entry {
	struct toa_entry __rcu *next;
	union {
		const struct sock *sk;
		struct toa_entry *free_next;
	};
	u32 net;
	u32 born;
	struct toa_tuple tuple;
	struct toa_addrs addrs;
};

enum {
	TOA_MAGAZINE_ENTRIES = 64,
	/* So many a CPU counts before it adds them to the sum. */
	TOA_COUNT_BATCH = 64,
};

struct toa_magazine {
	struct toa_entry *top;		/* linked through @free_next */
	unsigned int count;
};

/* Touched by its own CPU only, with interrupts off; but others read the counts. */
struct toa_entry_cpu {
	struct toa_magazine free;
	int came;			/* and not yet in the sum */
};

DECLARE_PER_CPU(struct toa_entry_cpu, toa_entry_cpu);

/*
 * How many entries there are: those that came from behind the magazines, less those that lie in
 * one. Each CPU counts what came and went, and adds that to the sum, which all share, for every 64
 * only. Whoever wants to know exactly looks at all CPUs; that is when the table is nearly full.
 */
struct toa_entry_count {
	atomic_t sum;
} ____cacheline_aligned_in_smp;

extern struct toa_entry_count toa_entry_count;

struct work_struct;

int toa_entry_init(struct work_struct *many);
void toa_entry_exit(void);
unsigned int toa_entry_exactly(void);
void toa_entry_many(unsigned int count);
struct toa_entry *toa_entry_alloc_slow(void);
void toa_entry_free(struct toa_entry *e);

static inline void toa_magazine_push(struct toa_magazine *m, struct toa_entry *e)
{
	WRITE_ONCE(e->free_next, m->top);
	m->top = e;
	m->count++;
}

static inline struct toa_entry *toa_magazine_pop(struct toa_magazine *m)
{
	struct toa_entry *e = m->top;

	if (e) {
		m->top = e->free_next;
		m->count--;
	}
	return e;
}

/*
 * Is there room for one more? For each other CPU, late by one that it makes at the same time, or by
 * the 64 that it is about to add to the sum.
 */
static __always_inline bool toa_entry_has_room(unsigned int limit)
{
	/* At most this far is the sum behind. */
	int behind = TOA_COUNT_BATCH * nr_cpu_ids;

	return likely(atomic_read(&toa_entry_count.sum) + behind < (int)limit) ||
	       toa_entry_exactly() < limit;
}

static __always_inline struct toa_entry *toa_entry_alloc(void)
{
	unsigned long flags;
	struct toa_entry *e;

	if (toa_fails())
		return NULL;
	local_irq_save(flags);
	e = toa_magazine_pop(this_cpu_ptr(&toa_entry_cpu.free));
	local_irq_restore(flags);
	return likely(e) ? e : toa_entry_alloc_slow();
}

/**
 * toa_entry_new() - an entry to fill and put into the table
 * @room: what toa_net_take() said
 *
 * Context: any.
 * Return: an entry, or NULL; then it is counted why.
 */
static __always_inline struct toa_entry *toa_entry_new(enum toa_net_room room)
{
	struct toa_entry *e;

	if (unlikely(!toa_entry_has_room(toa_net_limit(room, READ_ONCE(toa_table_max))))) {
		toa_stat_inc(TOA_STAT_TABLE_FULL);
		return NULL;
	}
	e = toa_entry_alloc();
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

/**
 * toa_entry_made() - count an entry that has been filled
 * @e: the entry
 *
 * Context: any.
 */
static __always_inline void toa_entry_made(const struct toa_entry *e)
{
	toa_stat_inc(TOA_STAT_ENTRY_ALLOC);
	if (e->addrs.have & TOA_HAVE_V6)
		toa_stat_inc(TOA_STAT_IP6_ALLOC);
}

/**
 * toa_entry_recycle() - take an entry out of use that is no longer in the table
 * @e: the entry
 *
 * Context: any, with interrupts off.
 * Return: NULL, or, if the magazine is full, the entry: then it is for toa_entry_free(), when they
 * are on again.
 */
static __always_inline struct toa_entry *toa_entry_recycle(struct toa_entry *e)
{
	struct toa_magazine *m = this_cpu_ptr(&toa_entry_cpu.free);

	toa_stat_inc(TOA_STAT_ENTRY_FREE);
	if (e->addrs.have & TOA_HAVE_V6)
		toa_stat_inc(TOA_STAT_IP6_FREE);
	toa_net_give(e->net, TOA_NET_ENTRIES);
	/* Tell readers who stand on it, before it is filled again: see toa_entry_new(). */
	WRITE_ONCE(e->sk, NULL);
	if (unlikely(m->count >= TOA_MAGAZINE_ENTRIES))
		return e;
	toa_magazine_push(m, e);
	return NULL;
}

#endif /* TOA_ENTRY_H */
