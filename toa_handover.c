// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/net/toa_handover: what a module knows, for the one that is loaded after it.
 *
 * Who reads the file gets all connections that have an address, each with its socket's cookie. Who
 * writes the same text to the file of a module that has been loaded since lets it show these
 * addresses again: see toa_waiting.c. The text is good until the host boots anew.
 *
 *	toa-handover 1 BOOT TIME
 *	COOKIE NETNS BORN LOCAL PORT BALANCER PORT KIND SEGMENT CLIENT PORT KIND SEGMENT CLIENT PORT
 *	end LINES
 *
 * BOOT tells one boot of the host from another. TIME and BORN are toa_seconds(), when the text was
 * begun and when the connection was; the lines' fields, but for the addresses, are hexadecimal
 * numbers. LOCAL, BALANCER and the second CLIENT are 16 bytes, IPv4 addresses as IPv4-mapped ones;
 * the first CLIENT is an IPv4 address of 4 bytes. KIND is 0 if there is none.
 */
#include "toa_log.h"
#include "toa_handover.h"

#include "toa_compat.h"

#ifdef TOA_HAVE_COOKIES

#include "toa_clock.h"
#include "toa_drain.h"
#include "toa_entry.h"
#include "toa_fault.h"
#include "toa_option.h"
#include "toa_param.h"
#include "toa_path.h"
#include "toa_table.h"
#include "toa_waiting.h"

#include <linux/capability.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>
#include <net/netns/hash.h>

enum { VERSION = 1 };

/* A line's fields in the order they are written in, in network byte order. */
struct line {
	__be64 cookie;
	__be32 net;
	__be32 born;
	struct in6_addr laddr;
	__be16 lport;
	struct in6_addr raddr;
	__be16 rport;
	u8 v4_kind;
	u8 v4_segment;
	__be32 v4_addr;
	__be16 v4_port;
	u8 v6_kind;
	u8 v6_segment;
	struct in6_addr v6_addr;
	__be16 v6_port;
} __packed;

static const u8 field_size[] = {
	sizeof_field(struct line, cookie),
	sizeof_field(struct line, net),
	sizeof_field(struct line, born),
	sizeof_field(struct line, laddr),
	sizeof_field(struct line, lport),
	sizeof_field(struct line, raddr),
	sizeof_field(struct line, rport),
	sizeof_field(struct line, v4_kind),
	sizeof_field(struct line, v4_segment),
	sizeof_field(struct line, v4_addr),
	sizeof_field(struct line, v4_port),
	sizeof_field(struct line, v6_kind),
	sizeof_field(struct line, v6_segment),
	sizeof_field(struct line, v6_addr),
	sizeof_field(struct line, v6_port),
};

/* At least as long as any line is. */
enum { TEXT_SIZE = 2 * sizeof(struct line) + ARRAY_SIZE(field_size) + 1 };

/*
 * What is read is a first line, those that wait, the entries of the table, and a last line. One
 * that leaves the former for the latter meanwhile is shown twice, rather than not at all.
 */
enum part {
	PART_HEAD,
	PART_WAITING,
	PART_ENTRIES,
	PART_END,
	PART_NOTHING,
};

/**
 * struct handover - the file, opened
 * @number: how many lines are in front of the one that is shown now
 * @part:   of what that one is
 * @at:     where in it
 * @count:  how many connections have been shown
 * @cookie: of the one that is shown now
 * @entry:  what is known of it
 * @lock:   around writing
 * @err:    why what is written is not wanted any more
 * @lines:  how many have been written
 * @len:    how long what came of the next one is
 * @text:   what came of it
 * @begun:  the first line has come
 * @done:   the last line has come
 * @taken:  how many connections are in @list
 * @list:   the connections
 * @last:   the last of them
 */
struct handover {
	loff_t number;
	enum part part;
	u64 at;
	unsigned int count;
	u64 cookie;
	struct toa_entry entry;

	struct mutex lock;		/* protects what follows: many may write */
	int err;
	unsigned int lines;
	unsigned int len;
	char text[TEXT_SIZE];
	bool begun;
	bool done;
	unsigned int taken;
	struct toa_waiting *list;
	struct toa_waiting *last;
};

/*
 * The first and the last line
 */

static int head_print(char *text, u32 boot, u32 time)
{
	return scnprintf(text, TEXT_SIZE, "toa-handover %u %08x %u", VERSION, boot, time);
}

static int end_print(char *text, unsigned int lines)
{
	return scnprintf(text, TEXT_SIZE, "end %u", lines);
}

/* A random number that the kernel has chosen when the host booted, but not itself. */
static u32 this_boot(void)
{
	return jhash_1word(net_hash_mix(&init_net), 0x746f61);
}

/*
 * Reading
 */

static void line_fill(struct line *l, u64 cookie, const struct toa_entry *e)
{
	memset(l, 0, sizeof(*l));
	l->cookie = cpu_to_be64(cookie);
	l->net = cpu_to_be32(e->net);
	l->born = cpu_to_be32(e->born);
	l->laddr = e->tuple.laddr;
	l->lport = e->tuple.lport;
	l->raddr = e->tuple.raddr;
	l->rport = e->tuple.rport;
	if (e->addrs.have & TOA_HAVE_V4) {
		l->v4_kind = e->addrs.v4_kind;
		l->v4_segment = e->addrs.v4_segment;
		l->v4_addr = e->addrs.v4_addr;
		l->v4_port = e->addrs.v4_port;
	}
	if (e->addrs.have & TOA_HAVE_V6) {
		l->v6_kind = e->addrs.v6_kind;
		l->v6_segment = e->addrs.v6_segment;
		l->v6_addr = e->addrs.v6_addr;
		l->v6_port = e->addrs.v6_port;
	}
}

static void line_show(struct seq_file *seq, const struct line *l)
{
	const u8 *field = (const u8 *)l;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(field_size); field += field_size[i++])
		seq_printf(seq, "%s%*phN", i ? " " : "", field_size[i], field);
	seq_putc(seq, '\n');
}

static int handover_show(struct seq_file *seq, void *v)
{
	const struct handover *h = v;
	char text[TEXT_SIZE];
	struct line line;

	if (h->part == PART_HEAD) {
		head_print(text, this_boot(), toa_seconds());
		seq_printf(seq, "%s\n", text);
	} else if (h->part == PART_END) {
		end_print(text, h->count);
		seq_printf(seq, "%s\n", text);
	} else {
		line_fill(&line, h->cookie, &h->entry);
		line_show(seq, &line);
	}
	return 0;
}

/* The next entry of the table that is of a socket. */
static bool next_entry(struct handover *h)
{
	while (toa_table_walk(&h->at, &h->entry, &h->cookie)) {
		h->at++;
		if (h->cookie)
			return true;
	}
	return false;
}

/* The next connection: of those that wait, and behind them of the table. */
static bool next_connection(struct handover *h)
{
	if (h->part == PART_HEAD) {
		h->part = PART_WAITING;
		h->at = 0;
		h->count = 0;
	}
	if (h->part == PART_WAITING) {
		if (toa_waiting_walk(&h->at, &h->cookie, &h->entry))
			return true;
		h->part = PART_ENTRIES;
		h->at = 0;
	}
	return h->part == PART_ENTRIES && next_entry(h);
}

static void advance(struct handover *h)
{
	h->number++;
	if (next_connection(h))
		h->count++;
	else
		h->part = h->part == PART_ENTRIES ? PART_END : PART_NOTHING;
}

/* It is read from the beginning on: of what is behind, nothing is kept but the line at hand. */
static void *handover_start(struct seq_file *seq, loff_t *pos)
{
	struct handover *h = seq->private;

	if (!*pos) {
		h->part = PART_HEAD;
		h->number = 0;
	}
	if (*pos != h->number)
		return ERR_PTR(-ESPIPE);
	return h->part == PART_NOTHING ? NULL : h;
}

static void *handover_next(struct seq_file *seq, void *v, loff_t *pos)
{
	struct handover *h = v;

	advance(h);
	*pos = h->number;
	return h->part == PART_NOTHING ? NULL : h;
}

static void handover_stop(struct seq_file *seq, void *v)
{
}

static const struct seq_operations handover_seq_ops = {
	.start = handover_start,
	.next = handover_next,
	.stop = handover_stop,
	.show = handover_show,
};

/*
 * Writing. What is not as if the module had written it is refused, and all with it: the text was
 * torn, or somebody else has made it.
 */

static int line_scan(const char *text, struct line *l)
{
	u8 *field = (u8 *)l;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(field_size); field += field_size[i++]) {
		if (i && *text++ != ' ')
			return -EINVAL;
		if (hex2bin(field, text, field_size[i]))
			return -EINVAL;
		text += 2 * field_size[i];
	}
	return *text ? -EINVAL : 0;
}

static bool is_segment(u8 segment)
{
	return segment >= TOA_SEGMENT_SYN && segment <= TOA_SEGMENT_DATA;
}

/* What a line says, if it makes sense. */
static int line_read(const struct line *l, struct toa_entry *e)
{
	struct line again;

	memset(e, 0, sizeof(*e));
	e->net = be32_to_cpu(l->net);
	e->born = be32_to_cpu(l->born);
	e->tuple.laddr = l->laddr;
	e->tuple.lport = l->lport;
	e->tuple.raddr = l->raddr;
	e->tuple.rport = l->rport;
	if (l->v4_kind) {
		e->addrs.have |= TOA_HAVE_V4;
		e->addrs.v4_kind = l->v4_kind;
		e->addrs.v4_segment = l->v4_segment & 0xf;
		e->addrs.v4_addr = l->v4_addr;
		e->addrs.v4_port = l->v4_port;
	}
	if (l->v6_kind) {
		e->addrs.have |= TOA_HAVE_V6;
		e->addrs.v6_kind = l->v6_kind;
		e->addrs.v6_segment = l->v6_segment & 0xf;
		e->addrs.v6_addr = l->v6_addr;
		e->addrs.v6_port = l->v6_port;
	}
	/* Nothing but that stands there. */
	line_fill(&again, be64_to_cpu(l->cookie), e);
	if (memcmp(&again, l, sizeof(again)) || !l->cookie || !e->addrs.have)
		return -EINVAL;
	if ((l->v4_kind && !is_segment(l->v4_segment)) ||
	    (l->v6_kind && !is_segment(l->v6_segment)) ||
	    (s32)(toa_seconds() - e->born) < 0)
		return -EINVAL;
	return toa_option_claimable(&e->addrs) ? 0 : -EINVAL;
}

static int take_head(struct handover *h)
{
	unsigned int version, boot, time;
	char text[TEXT_SIZE];

	if (sscanf(h->text, "toa-handover %u %x %u", &version, &boot, &time) != 3)
		return -EINVAL;
	head_print(text, boot, time);
	if (strcmp(h->text, text))
		return -EINVAL;
	if (boot != this_boot() || toa_seconds() - time > READ_ONCE(toa_handover_seconds))
		return -ESTALE;
	h->begun = true;
	return 0;
}

static int take_end(struct handover *h)
{
	char text[TEXT_SIZE];
	int added;

	end_print(text, h->lines - 1);
	if (strcmp(h->text, text))
		return -EINVAL;
	added = toa_waiting_add(h->list, h->taken);
	if (added < 0)
		return added;
	pr_info("addresses of %d connections are handed over\n", added);
	h->list = NULL;
	h->done = true;
	return 0;
}

static int take_line(struct handover *h)
{
	struct toa_waiting *w;
	struct toa_entry entry;
	struct line line;

	if (line_scan(h->text, &line) || line_read(&line, &entry))
		return -EINVAL;
	w = toa_waiting_new(be64_to_cpu(line.cookie), &entry);
	if (IS_ERR(w))
		return PTR_ERR(w);
	if (h->list)
		RCU_INIT_POINTER(h->last->next, w);
	else
		h->list = w;
	h->last = w;
	h->taken++;
	return 0;
}

static int take_text(struct handover *h)
{
	if (h->done)
		return -EINVAL;
	if (!h->begun)
		return take_head(h);
	return strncmp(h->text, "end ", 4) ? take_line(h) : take_end(h);
}

static void explain(const struct handover *h)
{
	const unsigned int line = h->lines + 1;

	if (h->done) {
		pr_err("toa_handover: text behind the last line is ignored\n");
		return;
	}
	switch (h->err) {
	case -ESTALE:
		pr_err("toa_handover: this is of another boot, or older than handover_seconds: nothing is kept\n");
		break;
	case -EBUSY:
		pr_err("toa_handover: addresses that were handed over before still wait: nothing is kept\n");
		break;
	case -ENOMEM:
		pr_err("toa_handover: memory is short: nothing is kept\n");
		break;
	case -ENOSPC:
		pr_err("toa_handover: more lines than table_max, or memory is short: nothing is kept\n");
		break;
	default:
		pr_err("toa_handover: line %u is wrong: nothing is kept\n", line);
	}
}

static void take_char(struct handover *h, char c)
{
	if (c != '\n') {
		if (h->len < TEXT_SIZE - 1 && c)
			h->text[h->len++] = c;
		else
			h->err = -EINVAL;
	} else {
		h->text[h->len] = '\0';
		h->err = take_text(h);
		h->len = 0;
		if (!h->err)
			h->lines++;
	}
	if (h->err)
		explain(h);
}

static ssize_t take_from_user(struct handover *h, const char __user *user, size_t size)
{
	char part[256];
	size_t done, i, n;

	for (done = 0; done < size && !h->err; done += n) {
		n = min(size - done, sizeof(part));
		if (copy_from_user(part, user + done, n)) {
			h->err = -EFAULT;
			break;
		}
		if (fatal_signal_pending(current))
			return -EINTR;
		for (i = 0; i < n && !h->err; i++)
			take_char(h, part[i]);
		cond_resched();
	}
	return h->err ?: (ssize_t)size;
}

/* The writer's memory may keep it waiting for ever: then the module is in use. */
static ssize_t handover_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	struct handover *h = ((struct seq_file *)file->private_data)->private;
	ssize_t ret;

	if (!try_module_get(THIS_MODULE))
		return -EIO;
	mutex_lock(&h->lock);
	ret = h->err ?: take_from_user(h, user, size);
	mutex_unlock(&h->lock);
	module_put(THIS_MODULE);
	return ret;
}

static int handover_open(struct inode *inode, struct file *file)
{
	struct handover *h;

	/* Mode 0600 would let in a container's root on the host's network. */
	if (!capable(CAP_NET_ADMIN))
		return -EPERM;
	h = toa_fails() ? NULL : __seq_open_private(file, &handover_seq_ops, sizeof(*h));
	if (!h)
		return -ENOMEM;
	mutex_init(&h->lock);
	return 0;
}

static int handover_release(struct inode *inode, struct file *file)
{
	struct handover *h = ((struct seq_file *)file->private_data)->private;

	if ((h->lines || h->len) && !h->done && !h->err)
		pr_err("toa_handover: torn behind line %u: nothing is kept\n", h->lines);
	toa_waiting_free(h->list);
	return seq_release_private(inode, file);
}

/* From one end to the other: what is read again, from the middle on, is of another moment. */
static ssize_t handover_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	if (*pos && *pos != ((struct seq_file *)file->private_data)->read_pos)
		return -ESPIPE;
	return toa_seq_read(file, user, size, pos);
}

static const struct proc_ops handover_ops = {
	.proc_open = handover_open,
	.proc_read = handover_read,
	.proc_write = handover_write,
	.proc_lseek = noop_llseek,
	.proc_release = handover_release,
};

/* Only where an entry's socket is there for sure. */
static bool is_there __read_mostly;

/**
 * toa_handover_init() - create /proc/net/toa_handover, where the end of no connection is missed
 *
 * Context: process, when the hooks are attached.
 * Return: 0 or -ENOMEM.
 */
int __init toa_handover_init(void)
{
	if (toa_path_may_miss)
		return 0;
	is_there = !toa_fails() &&
		   proc_create("toa_handover", 0600, init_net.proc_net, &handover_ops);
	if (is_there)
		return 0;
	pr_err("cannot create /proc/net/toa_handover: is memory short?\n");
	return -ENOMEM;
}

/**
 * toa_handover_exit() - remove /proc/net/toa_handover
 *
 * Context: process; waits for readers.
 */
void toa_handover_exit(void)
{
	if (is_there)
		remove_proc_entry("toa_handover", init_net.proc_net);
}

#else /* TOA_HAVE_COOKIES */

int __init toa_handover_init(void)
{
	return 0;
}

void toa_handover_exit(void)
{
}

#endif /* TOA_HAVE_COOKIES */
