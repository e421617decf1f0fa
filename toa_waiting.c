// SPDX-License-Identifier: GPL-2.0
/*
 * The addresses of connections that are older than the module.
 *
 * Each is an entry that is not in the table yet, because nobody knows where its socket lies; but
 * the socket's cookie is known. The first who asks for a socket that has no entry, and whose cookie
 * is one of these, puts the entry into the table. A connection that ends before takes it away. What
 * then is left belongs to connections that ended while no module was loaded: nobody will ever ask
 * for these, as a cookie never comes again.
 *
 * Readers take no lock, but for a cookie that they have found. While nothing waits, which is nearly
 * always, all this costs is a look at a pointer: see toa_waiting_any().
 */
#include "toa_waiting.h"

#ifdef TOA_HAVE_COOKIES

#include "toa_fault.h"
#include "toa_net.h"
#include "toa_param.h"
#include "toa_stats.h"
#include "toa_table.h"

#include <linux/hash.h>
#include <linux/jiffies.h>
#include <linux/log2.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>

/**
 * struct toa_waiting_table - those that wait, by their cookies
 * @until: in jiffies; then they have waited long enough
 * @count: how many they are
 * @shift: how far a key is shifted to be a chain's number
 * @head:  chains
 */
struct toa_waiting_table {
	unsigned long until;
	unsigned int count;
	unsigned int shift;
	struct toa_waiting __rcu *head[];
};

/* NULL while nothing waits. It is freed when toa_synchronize() has waited for its readers. */
struct toa_waiting_table *toa_waiting_table __read_mostly;

static DEFINE_MUTEX(lifetime_lock);	/* around setting it */
static DEFINE_RAW_SPINLOCK(lock);	/* protects the chains, and @count */

/* Cookies are counted up, from nobody's choice. Each has a key of its own. */
static u64 key_of(u64 cookie)
{
	return cookie * GOLDEN_RATIO_64;
}

static struct toa_waiting __rcu **chain_of(struct toa_waiting_table *t, u64 key)
{
	return &t->head[key >> t->shift];
}

static struct toa_waiting __rcu **find(struct toa_waiting_table *t, u64 cookie)
{
	struct toa_waiting __rcu **link = chain_of(t, key_of(cookie));
	struct toa_waiting *w;

	for (; (w = rcu_dereference_raw(*link)); link = &w->next)
		if (w->cookie == cookie)
			return link;
	return NULL;
}

static void entry_free(struct toa_entry *e)
{
	unsigned long flags;

	local_irq_save(flags);
	e = toa_entry_recycle(e);
	local_irq_restore(flags);
	if (e)
		toa_entry_free(e);
}

/**
 * toa_waiting_new() - make one, which does not wait yet
 * @cookie:  of its socket, not 0
 * @content: what is known of the connection: namespace, when it began, tuple and addresses
 *
 * Context: process.
 * Return: it; or ERR_PTR(): -ENOMEM, or -ENOSPC if the table has no room.
 */
struct toa_waiting *toa_waiting_new(u64 cookie, const struct toa_entry *content)
{
	struct toa_waiting *w;
	struct toa_entry *e;

	w = toa_fails() ? NULL : kmalloc(sizeof(*w), GFP_KERNEL);
	if (!w)
		return ERR_PTR(-ENOMEM);
	e = toa_entry_new(TOA_NET_HOST);
	if (!e) {
		kfree(w);
		return ERR_PTR(-ENOSPC);
	}
	WRITE_ONCE(e->sk, NULL);
	e->net = toa_net_id(&init_net);
	e->born = content->born;
	e->tuple = content->tuple;
	e->addrs = content->addrs;
	toa_entry_made(e);
	w->cookie = cookie;
	w->net = content->net;
	w->entry = e;
	RCU_INIT_POINTER(w->next, NULL);
	return w;
}

/* It has been taken out of its chain. */
static void waiting_free(struct toa_waiting *w)
{
	if (w->entry)
		entry_free(w->entry);
	kfree_rcu(w, rcu);
}

/**
 * toa_waiting_free() - free a list of those that never waited
 * @list: linked by @next
 *
 * Context: process.
 */
void toa_waiting_free(struct toa_waiting *list)
{
	struct toa_waiting *next;

	for (; list; list = next) {
		next = rcu_dereference_raw(list->next);
		waiting_free(list);
		cond_resched();
	}
}

static void end_work_fn(struct work_struct *work);
static DECLARE_WORK(last_work, end_work_fn);		/* the last one has gone */
static DECLARE_DELAYED_WORK(time_work, end_work_fn);	/* they have waited long enough */

/* The caller holds the lock. */
static struct toa_waiting *unlink_locked(struct toa_waiting_table *t,
					 struct toa_waiting __rcu **link)
{
	struct toa_waiting *w = rcu_dereference_raw(*link);

	rcu_assign_pointer(*link, rcu_dereference_raw(w->next));
	t->count--;
	return w;
}

/*
 * Take one out; before that, put its entry into the table, if it is @sk's. The caller is in an RCU
 * read section.
 */
static void take(struct toa_waiting_table *t, u64 cookie, const struct sock *sk)
{
	struct toa_waiting __rcu **link;
	struct toa_waiting *w = NULL;
	unsigned long flags;
	bool last = false;

	raw_spin_lock_irqsave(&lock, flags);
	link = find(t, cookie);
	if (link) {
		w = rcu_dereference_raw(*link);
		if (sk && toa_entry_matches(w->entry, sk) && toa_table_adopt(sk, w->entry)) {
			w->entry = NULL;
			toa_stat_inc(TOA_STAT_ADOPTED);
		}
		/* Who does not find it here finds it there: pairs with smp_rmb() in has(). */
		smp_wmb();
		unlink_locked(t, link);
		last = !t->count;
	}
	raw_spin_unlock_irqrestore(&lock, flags);
	if (w)
		waiting_free(w);
	if (last)
		schedule_work(&last_work);
}

/* The caller is in an RCU read section, and looks into the table of connections afterwards. */
static bool has(struct toa_waiting_table *t, u64 cookie)
{
	bool found = t && find(t, cookie);

	smp_rmb();	/* pairs with smp_wmb() in take() */
	return found;
}

/* To what waits for a socket, this is done: see take(). Returns false if nothing ever did. */
static bool take_of(const struct sock *sk, bool adopt)
{
	const u64 cookie = toa_sock_cookie(sk);
	struct toa_waiting_table *t;

	/* Nobody has asked for its cookie, no module either. */
	if (!cookie)
		return false;
	rcu_read_lock();
	t = READ_ONCE(toa_waiting_table);
	if (has(t, cookie))
		take(t, cookie, adopt ? sk : NULL);
	rcu_read_unlock();
	return true;
}

/**
 * toa_waiting_adopt() - a socket without an entry is asked for: it gets the one that waits for it
 * @sk: the socket; the caller has a reference
 *
 * Context: any; takes a lock if one waits.
 * Return: true if the table is to be looked at again: somebody else may have been faster.
 */
bool toa_waiting_adopt(const struct sock *sk)
{
	return take_of(sk, true);
}

/**
 * toa_waiting_drop() - a connection ends, and what may wait for it is not wanted any more
 * @sk: its socket; the caller removes its entry from the table afterwards
 *
 * Context: any; takes a lock if one waits.
 */
void toa_waiting_drop(const struct sock *sk)
{
	take_of(sk, false);
}

/* Of two with one cookie the first counts; its namespace must be there, and have room for it. */
static bool add(struct toa_waiting_table *t, struct toa_waiting *w)
{
	struct toa_waiting __rcu **chain = chain_of(t, key_of(w->cookie));

	if (find(t, w->cookie) || toa_net_take(w->net, TOA_NET_ENTRIES) < TOA_NET_TENANT)
		return false;
	w->entry->net = w->net;
	RCU_INIT_POINTER(w->next, rcu_dereference_raw(*chain));
	RCU_INIT_POINTER(*chain, w);
	t->count++;
	return true;
}

static void end_locked(struct toa_waiting_table *t)
{
	cancel_delayed_work(&time_work);
	toa_waiting_purge(NULL);
	/* Who found no entry in the table, as the last one was still here, has left. */
	toa_synchronize();
	/* Pairs with smp_rmb() in find() of toa_path.c. */
	smp_store_release(&toa_waiting_table, NULL);
	toa_synchronize();
	toa_kvfree(t);
}

/**
 * toa_waiting_add() - these begin to wait
 * @list:  linked by @next; of those with one cookie the first counts
 * @count: how many they are
 *
 * Those whose namespace is gone, or a tenant's who has what it may have, are left out.
 *
 * Context: process.
 * Return: how many now wait; or -EBUSY if others do already, or -ENOMEM: then the list is still the
 * caller's.
 */
int toa_waiting_add(struct toa_waiting *list, unsigned int count)
{
	const unsigned int size = roundup_pow_of_two(max(count, 2U));
	const unsigned long patience = (unsigned long)READ_ONCE(toa_handover_seconds) * HZ;
	struct toa_waiting_table *t;
	struct toa_waiting *next;
	int added;

	if (!count)
		return 0;
	t = toa_fails() ? NULL : toa_kvzalloc(sizeof(*t) + (size_t)size * sizeof(t->head[0]));
	if (!t)
		return -ENOMEM;
	mutex_lock(&lifetime_lock);
	/* Of the last ones there may be none left, and the work that says so not have run. */
	if (toa_waiting_table && !READ_ONCE(toa_waiting_table->count))
		end_locked(toa_waiting_table);
	if (toa_waiting_table) {
		mutex_unlock(&lifetime_lock);
		toa_kvfree(t);
		return -EBUSY;
	}
	t->shift = 64 - ilog2(size);
	t->until = jiffies + patience;
	for (; list; list = next) {
		next = rcu_dereference_raw(list->next);
		if (!add(t, list))
			waiting_free(list);
		cond_resched();
	}
	added = t->count;
	if (added) {
		/* Pairs with the address dependency of whoever reads it. */
		smp_store_release(&toa_waiting_table, t);
		schedule_delayed_work(&time_work, patience);
		/* Whose end has looked for them before they could be found. */
		toa_waiting_purge(toa_net_gone);
	} else {
		toa_kvfree(t);
	}
	mutex_unlock(&lifetime_lock);
	return added;
}

/* Of one key's chain, the first behind another key. The caller holds the lock. */
static const struct toa_waiting *first_locked(struct toa_waiting_table *t, u64 key, u64 behind)
{
	const struct toa_waiting *w = rcu_dereference_raw(*chain_of(t, key)), *first = NULL;

	for (; w; w = rcu_dereference_raw(w->next))
		if (key_of(w->cookie) > behind &&
		    (!first || key_of(w->cookie) < key_of(first->cookie)))
			first = w;
	return first;
}

/**
 * toa_waiting_walk() - find the next one in the order of the keys
 * @behind: which key, at first 0, which is nobody's; set to that of what was found
 * @cookie: where to put its cookie
 * @copy:   where to put its entry
 *
 * Context: process, may sleep.
 * Return: false behind the last one.
 */
bool toa_waiting_walk(u64 *behind, u64 *cookie, struct toa_entry *copy)
{
	const struct toa_waiting *w;
	struct toa_waiting_table *t;
	unsigned long flags;
	u64 key = *behind;

	do {
		rcu_read_lock();
		t = READ_ONCE(toa_waiting_table);
		if (!t) {
			rcu_read_unlock();
			return false;
		}
		raw_spin_lock_irqsave(&lock, flags);
		w = first_locked(t, key, *behind);
		if (w) {
			*cookie = w->cookie;
			*copy = *w->entry;
		}
		raw_spin_unlock_irqrestore(&lock, flags);
		key = ((key >> t->shift) + 1) << t->shift;
		rcu_read_unlock();
		cond_resched();
	} while (!w && key);
	if (w)
		*behind = key_of(*cookie);
	return w;
}

/**
 * toa_waiting_purge() - those of some namespaces wait no longer
 * @of: whether one is of them, by its toa_net_id(); NULL for all namespaces
 *
 * Context: process, may sleep.
 */
void toa_waiting_purge(bool (*of)(u32 net))
{
	struct toa_waiting_table *t;
	struct toa_entry copy;
	u64 behind = 0, cookie;

	while (toa_waiting_walk(&behind, &cookie, &copy)) {
		if (of && !of(copy.net))
			continue;
		rcu_read_lock();
		t = READ_ONCE(toa_waiting_table);
		if (t)
			take(t, cookie, NULL);
		rcu_read_unlock();
	}
}

/* Maybe none waits any more, or they have waited long enough. */
static void end_work_fn(struct work_struct *work)
{
	struct toa_waiting_table *t;

	mutex_lock(&lifetime_lock);
	t = toa_waiting_table;
	/* The time may have been that of others, who went before it was over. */
	if (t && READ_ONCE(t->count) && time_before(jiffies, t->until))
		schedule_delayed_work(&time_work, t->until - jiffies);
	else if (t)
		end_locked(t);
	mutex_unlock(&lifetime_lock);
}

/**
 * toa_waiting_exit() - none waits any more
 *
 * Context: process, when no hook is attached any more, no namespace is watched, and nobody adds to
 * them.
 */
void toa_waiting_exit(void)
{
	toa_waiting_purge(NULL);
	cancel_work_sync(&last_work);
	cancel_delayed_work_sync(&time_work);
	toa_kvfree(toa_waiting_table);
	toa_waiting_table = NULL;
}

#endif /* TOA_HAVE_COOKIES */
