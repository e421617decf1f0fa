// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/toa_table, and what becomes of a network namespace's entries when it ends.
 */
#include "toa_log.h"
#include "toa_proc.h"

#include "toa_clock.h"
#include "toa_compat.h"
#include "toa_drain.h"
#include "toa_entry.h"
#include "toa_fault.h"
#include "toa_handshake.h"
#include "toa_net.h"
#include "toa_table.h"
#include "toa_waiting.h"

#include <linux/err.h>
#include <linux/list.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <net/ipv6.h>
#include <net/net_namespace.h>

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

	while (toa_table_walk(&from, &r->entry, NULL)) {
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
		ipv6_addr_set_v4mapped(e->addrs.v4_addr, &mapped);
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
	if (left[TOA_NET_ENTRIES]) {
		toa_waiting_purge(toa_net_ending);
		toa_table_purge(toa_net_ending);
	}
	list_for_each_entry(net, nets, exit_list)
		toa_net_end(toa_net_id(net));
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.exit = net_exit,
	.exit_batch = net_exit_batch,
};

/**
 * toa_proc_init() - make /proc/net/toa_table in every namespace
 *
 * Context: process.
 * Return: 0 or an error.
 */
int __init toa_proc_init(void)
{
	int err = toa_fails() ? -ENOMEM : register_pernet_subsys(&net_ops);

	if (err)
		pr_err("cannot create /proc/net/toa_table (error %d): is memory short?\n", err);
	return err;
}

/**
 * toa_proc_exit() - remove it, and forget all connections
 *
 * Context: process, when no hook is attached any more.
 */
void toa_proc_exit(void)
{
	/* All at once: each namespace would walk the whole table for its own. */
	toa_waiting_purge(NULL);
	toa_table_purge(NULL);
	unregister_pernet_subsys(&net_ops);
}
