// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches the data path to kernel functions: chooses the mechanism for each hook, and sees that
 * it fires. Nothing else knows which mechanism a hook has.
 */
#include "toa_internal.h"

#include <linux/in.h>
#include <linux/socket.h>

enum mechanism {
	NONE,
	KPROBE,
	FTRACE,
};

static enum mechanism attached[TOA_HOOK_COUNT];

/* An end by a kprobe may be missed, and leave an entry behind under a freed socket's address. */
static bool may_miss __read_mostly;

static int attach(enum toa_hook_id id, enum mechanism how)
{
	int err = how == FTRACE ? toa_ftrace_attach(id) : toa_kprobe_attach(id);

	if (!err)
		attached[id] = how;
	return err;
}

static void explain(enum toa_hook_id id, int err)
{
	const char *symbol = toa_hooks[id].symbol;

	switch (err) {
	case -ENOENT:
		pr_err("cannot hook %s: this kernel has no such function, or no CONFIG_KALLSYMS\n",
		       symbol);
		break;
	case -EOPNOTSUPP:
		pr_err("cannot hook %s: this kernel has no kprobes, nor the ftrace they need\n",
		       symbol);
		break;
	default:
		pr_err("cannot hook %s (error %d): is kernel.ftrace_enabled 1? Else try hook=%s\n",
		       symbol, err, sysfs_streq(toa_hook_mode, "kprobe") ? "ftrace" : "kprobe");
	}
}

static int attach_best(enum toa_hook_id id)
{
	int err;

	if (sysfs_streq(toa_hook_mode, "kprobe"))
		return attach(id, KPROBE);
	err = attach(id, FTRACE);
	if (!err || sysfs_streq(toa_hook_mode, "ftrace"))
		return err;
	/* Nothing to report where the kernel lacks the one or the function. */
	if (err != -EOPNOTSUPP && err != -ENOENT)
		pr_info("%s is taken, by a live patch? (error %d): hooked by a kprobe\n",
			toa_hooks[id].symbol, err);
	return attach(id, KPROBE);
}

/* Make one socket of a family pass the hooks that have self_test set. */
static bool exercise(int family)
{
	struct sockaddr_storage addr;
	struct socket *sock;

	if (toa_sock_create_kern(family, &sock))
		return false;
	/* Not connected: the first fails, the second changes nothing. */
	toa_getpeername(sock, (void *)&addr);
	addr.ss_family = AF_UNSPEC;
	kernel_connect(sock, (void *)&addr, sizeof(addr), 0);
	sock_release(sock);
	return true;
}

/* A module whose hooks are dead must not pretend to work. */
static int self_test(void)
{
	bool ipv4 = exercise(AF_INET);
	bool ipv6 = exercise(AF_INET6);
	enum toa_hook_id id;

	for (id = 0; id < TOA_HOOK_COUNT; id++) {
		const struct toa_hook *hook = &toa_hooks[id];

		if (!hook->self_test || READ_ONCE(hook->hit) || !(hook->ipv6 ? ipv6 : ipv4))
			continue;
		pr_err("the hook on %s does not fire: kprobes are switched off. Try: sysctl kernel.ftrace_enabled=1; echo 1 > /sys/kernel/debug/kprobes/enabled\n",
		       hook->symbol);
		return -ENODEV;
	}
	return 0;
}

/**
 * toa_hook_may_miss() - ask whether the end of a connection can go unnoticed
 *
 * Context: any.
 * Return: true if so: a stale entry may stand under a new socket's address.
 */
bool toa_hook_may_miss(void)
{
	return may_miss;
}

/**
 * toa_hook_missed() - how often a hook was not run though its function was called
 *
 * Context: any.
 * Return: the sum over all hooks since load.
 */
unsigned long toa_hook_missed(void)
{
	unsigned long sum = 0;
	enum toa_hook_id id;

	for (id = 0; id < TOA_HOOK_COUNT; id++)
		sum += toa_kprobe_missed(id);
	return sum;
}

/**
 * toa_hook_mechanism() - name the mechanism, for people
 *
 * Context: process, after toa_hook_init().
 */
const char *toa_hook_mechanism(void)
{
	bool kprobe = false, ftrace = false;
	enum toa_hook_id id;

	for (id = 0; id < TOA_HOOK_COUNT; id++) {
		kprobe |= attached[id] == KPROBE;
		ftrace |= attached[id] == FTRACE;
	}
	return kprobe && ftrace ? "ftrace and kprobes" : ftrace ? "ftrace" : "kprobes";
}

/**
 * toa_hook_init() - attach the data path and see that it fires
 *
 * From here on the data path is called.
 *
 * Context: process.
 * Return: 0 or an error; then nothing is attached.
 */
int __init toa_hook_init(void)
{
	bool ipv6 = true;
	enum toa_hook_id id;
	int err;

	if (!sysfs_streq(toa_hook_mode, "auto") && !sysfs_streq(toa_hook_mode, "ftrace") &&
	    !sysfs_streq(toa_hook_mode, "kprobe")) {
		pr_err("hook=%s: must be auto, ftrace or kprobe\n", toa_hook_mode);
		return -EINVAL;
	}
	toa_path_init();
	for (id = 0; id < TOA_HOOK_COUNT; id++) {
		err = attach_best(id);
		if (err == -ENOENT && toa_hooks[id].ipv6) {
			ipv6 = false;
			continue;
		}
		if (err) {
			explain(id, err);
			goto fail;
		}
		if (attached[id] == KPROBE && (id == TOA_HOOK_DESTRUCT || id == TOA_HOOK_DISCONNECT))
			may_miss = true;
	}
	if (!ipv6)
		pr_info("this kernel has no IPv6, or it is a module that is not loaded yet: IPv4 only\n");
	err = self_test();
	if (err)
		goto fail;
	return 0;

fail:
	toa_hook_exit();
	return err;
}

/**
 * toa_hook_exit() - detach the data path
 *
 * When it returns, nothing of the data path runs and nothing will.
 *
 * Context: process; waits for calls under way.
 */
void toa_hook_exit(void)
{
	enum toa_hook_id id = TOA_HOOK_COUNT;
	bool ftrace = false;

	while (id-- > 0) {
		if (attached[id] == KPROBE)
			toa_kprobe_detach(id);
		if (attached[id] == FTRACE)
			toa_ftrace_detach(id);
		ftrace |= attached[id] == FTRACE;
		attached[id] = NONE;
		if (toa_kprobe_missed(id))
			pr_info("the hook on %s was missed %lu times\n", toa_hooks[id].symbol,
				toa_kprobe_missed(id));
	}
	if (ftrace)
		toa_ftrace_drain();
}
