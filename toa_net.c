// SPDX-License-Identifier: GPL-2.0
/*
 * How many entries and handshakes each network namespace has, so that the end of one that has none
 * costs nothing: whatever others have need not be walked through.
 *
 * The initial namespace never ends, and is not counted.
 */
#include "toa_internal.h"

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

enum { NET_BUCKETS = 256 };

struct net_counts {
	struct net_counts __rcu *next;
	u32 net;			/* toa_net_id() */
	bool ending;
	struct rcu_head rcu;
	/* Whoever looks for another one does not wait for these. */
	atomic_t count[TOA_NET_COUNTS] ____cacheline_aligned_in_smp;
};

static struct net_counts __rcu *buckets[NET_BUCKETS];
static DEFINE_MUTEX(buckets_lock);	/* held by writers */

static struct net_counts __rcu **bucket_of(u32 net)
{
	return &buckets[net % NET_BUCKETS];
}

/* The caller is in an RCU read section, or holds the lock. */
static struct net_counts *find(u32 net)
{
	struct net_counts *n = rcu_dereference_raw(*bucket_of(net));

	while (n && n->net != net)
		n = rcu_dereference_raw(n->next);
	return n;
}

/**
 * toa_net_add() - count one more, or less, in a namespace that is not the initial one
 * @net:    its toa_net_id()
 * @what:   of which
 * @change: 1 or -1
 *
 * Context: any.
 * Return: false if that namespace is at its end, or was made when memory was short.
 */
bool toa_net_add(u32 net, enum toa_net_count what, int change)
{
	struct net_counts *n;
	bool counted;

	rcu_read_lock();
	n = find(net);
	counted = n && !(change > 0 && READ_ONCE(n->ending));
	if (counted)
		atomic_add(change, &n->count[what]);
	rcu_read_unlock();
	return counted;
}

/**
 * toa_net_ending() - is a namespace one of those that end now?
 * @net: its toa_net_id()
 *
 * Context: any.
 */
bool toa_net_ending(u32 net)
{
	const struct net_counts *n;
	bool ending;

	rcu_read_lock();
	n = find(net);
	ending = n && READ_ONCE(n->ending);
	rcu_read_unlock();
	return ending;
}

/**
 * toa_net_begin() - a namespace that is not the initial one begins
 * @net: its toa_net_id()
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int toa_net_begin(u32 net)
{
	struct net_counts *n = toa_fails() ? NULL : kzalloc(sizeof(*n), GFP_KERNEL);

	if (!n)
		return -ENOMEM;
	n->net = net;
	mutex_lock(&buckets_lock);
	RCU_INIT_POINTER(n->next, rcu_dereference_raw(*bucket_of(net)));
	rcu_assign_pointer(*bucket_of(net), n);
	mutex_unlock(&buckets_lock);
	return 0;
}

/**
 * toa_net_end_begin() - a namespace is about to end: nothing is added to it any more
 * @net:  its toa_net_id()
 * @left: set to true for each of which it has any
 *
 * Its sockets are gone, so mostly nothing is left; but those of servers inside the kernel live on,
 * and kprobes may have missed an end.
 *
 * Context: process.
 */
void toa_net_end_begin(u32 net, bool left[TOA_NET_COUNTS])
{
	struct net_counts *n;
	unsigned int i;

	mutex_lock(&buckets_lock);
	n = find(net);
	if (n) {
		WRITE_ONCE(n->ending, true);
		for (i = 0; i < TOA_NET_COUNTS; i++)
			left[i] |= atomic_read(&n->count[i]) > 0;
	}
	mutex_unlock(&buckets_lock);
}

/**
 * toa_net_end() - a namespace has ended: its number may come again
 * @net: its toa_net_id()
 *
 * Context: process.
 */
void toa_net_end(u32 net)
{
	struct net_counts __rcu **link;
	struct net_counts *n;

	mutex_lock(&buckets_lock);
	for (link = bucket_of(net); (n = rcu_dereference_raw(*link)); link = &n->next)
		if (n->net == net)
			break;
	if (n) {
		rcu_assign_pointer(*link, rcu_dereference_raw(n->next));
		kfree_rcu(n, rcu);
	}
	mutex_unlock(&buckets_lock);
}
