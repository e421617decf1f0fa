// SPDX-License-Identifier: GPL-2.0
/*
 * How many entries and handshakes each network namespace has, so that the end of one that has none
 * costs nothing: whatever others have need not be walked through. And how many each tenant has, who
 * may have no more than a share: see toa_net_tenant() and the parameter tenant_share.
 *
 * The initial namespace never ends, is no tenant's, and is not counted.
 */
#include "toa_net.h"

#include "toa_compat.h"
#include "toa_fault.h"
#include "toa_param.h"

#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

enum { NET_BUCKETS = 256 };

/* Lives as long as one of its namespaces does. */
struct tenant {
	struct list_head list;
	unsigned long number;		/* toa_net_tenant() */
	unsigned int nets;
	struct rcu_head rcu;
	atomic_t count[TOA_NET_COUNTS] ____cacheline_aligned_in_smp;
};

struct net_counts {
	struct net_counts __rcu *next;
	struct tenant *tenant;		/* NULL: the host */
	u32 net;			/* toa_net_id() */
	bool ending;
	struct rcu_head rcu;
	/* Whoever looks for another one does not wait for these. */
	atomic_t count[TOA_NET_COUNTS] ____cacheline_aligned_in_smp;
};

static LIST_HEAD(tenants);
static struct net_counts __rcu *buckets[NET_BUCKETS];
static DEFINE_MUTEX(lock);	/* held by writers of both, and around @nets */

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

/* Count one more of a tenant's, unless it has its share. */
static bool take_share(struct tenant *t, enum toa_net_count what)
{
	const unsigned int all = what == TOA_NET_ENTRIES ? READ_ONCE(toa_table_max) : toa_syn_slots;
	const unsigned int share = READ_ONCE(toa_tenant_share);

	if (atomic_inc_return(&t->count[what]) <= (share ? all / share : 0))
		return true;
	atomic_dec(&t->count[what]);
	return false;
}

/**
 * toa_net_count() - toa_net_take(), in a namespace that is not the initial one
 * @net:  its toa_net_id()
 * @what: of which
 *
 * Context: any.
 */
enum toa_net_room toa_net_count(u32 net, enum toa_net_count what)
{
	enum toa_net_room room = TOA_NET_GONE;
	struct net_counts *n;

	rcu_read_lock();
	n = find(net);
	if (n && !READ_ONCE(n->ending)) {
		room = !n->tenant ? TOA_NET_HOST :
		       take_share(n->tenant, what) ? TOA_NET_TENANT : TOA_NET_SHARE_FULL;
		if (room != TOA_NET_SHARE_FULL)
			atomic_inc(&n->count[what]);
	}
	rcu_read_unlock();
	return room;
}

/**
 * toa_net_uncount() - toa_net_give(), in a namespace that is not the initial one
 * @net:  its toa_net_id()
 * @what: of which
 *
 * Context: any.
 */
void toa_net_uncount(u32 net, enum toa_net_count what)
{
	struct net_counts *n;

	rcu_read_lock();
	n = find(net);
	if (n) {
		atomic_dec(&n->count[what]);
		if (n->tenant)
			atomic_dec(&n->tenant->count[what]);
	}
	rcu_read_unlock();
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
 * toa_net_gone() - has a namespace ended, or does it end now?
 * @net: its toa_net_id()
 *
 * Context: any.
 */
bool toa_net_gone(u32 net)
{
	const struct net_counts *n;
	bool gone;

	if (net == toa_net_id(&init_net))
		return false;
	rcu_read_lock();
	n = find(net);
	gone = !n || READ_ONCE(n->ending);
	rcu_read_unlock();
	return gone;
}

/* The tenant with a number, for one more namespace; made if it is new. NULL: memory is short. */
static struct tenant *tenant_get(unsigned long number)
{
	struct tenant *t;

	list_for_each_entry(t, &tenants, list)
		if (t->number == number)
			goto found;
	t = toa_fails() ? NULL : kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t)
		return NULL;
	t->number = number;
	list_add(&t->list, &tenants);
found:
	t->nets++;
	return t;
}

static void tenant_put(struct tenant *t)
{
	if (--t->nets)
		return;
	list_del(&t->list);
	kfree_rcu(t, rcu);
}

/**
 * toa_net_begin() - a namespace that is not the initial one begins
 * @net:    its toa_net_id()
 * @tenant: its toa_net_tenant()
 *
 * Context: process.
 * Return: 0 or -ENOMEM.
 */
int toa_net_begin(u32 net, unsigned long tenant)
{
	struct net_counts *n = toa_fails() ? NULL : kzalloc(sizeof(*n), GFP_KERNEL);

	if (!n)
		return -ENOMEM;
	n->net = net;
	mutex_lock(&lock);
	if (tenant) {
		n->tenant = tenant_get(tenant);
		if (!n->tenant) {
			mutex_unlock(&lock);
			kfree(n);
			return -ENOMEM;
		}
	}
	RCU_INIT_POINTER(n->next, rcu_dereference_raw(*bucket_of(net)));
	rcu_assign_pointer(*bucket_of(net), n);
	mutex_unlock(&lock);
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

	mutex_lock(&lock);
	n = find(net);
	if (n) {
		WRITE_ONCE(n->ending, true);
		for (i = 0; i < TOA_NET_COUNTS; i++)
			left[i] |= atomic_read(&n->count[i]) > 0;
	}
	mutex_unlock(&lock);
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

	mutex_lock(&lock);
	for (link = bucket_of(net); (n = rcu_dereference_raw(*link)); link = &n->next)
		if (n->net == net)
			break;
	if (n) {
		rcu_assign_pointer(*link, rcu_dereference_raw(n->next));
		if (n->tenant)
			tenant_put(n->tenant);
		kfree_rcu(n, rcu);
	}
	mutex_unlock(&lock);
}
