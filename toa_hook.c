// SPDX-License-Identifier: GPL-2.0
/*
 * Attaches the data path to kernel functions, and chooses the mechanism for each hook. Nothing else
 * knows which one a hook has.
 */
#include "toa_log.h"
#include "toa_hook.h"

#include "toa_compat.h"
#include "toa_fault.h"
#include "toa_ftrace.h"
#include "toa_handshake.h"
#include "toa_kprobe.h"
#include "toa_param.h"
#include "toa_path.h"
#include "toa_symbol.h"
#include "toa_target.h"

#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/string.h>
#include <linux/workqueue.h>

enum {
#ifdef TOA_DEBUG
	REQUESTS_CHECK_SECONDS = 1,	/* tests do not wait for long */
#else
	REQUESTS_CHECK_SECONDS = 60,
#endif
};

enum mechanism {
	NONE,
	KPROBE,
	FTRACE,
};

static char *mode = "auto";
module_param_named(hook, mode, charp, 0444);
MODULE_PARM_DESC(hook, "How to attach to the kernel: auto, ftrace or kprobe; kprobe where live patches must go in (default auto)");

static enum mechanism attached[TOA_HOOK_COUNT];

/* Why a hook could not be attached by ftrace, though the kernel has both. */
static int refused[TOA_HOOK_COUNT];

static bool is_ipv6(enum toa_hook hook)
{
	return hook == TOA_HOOK_GETNAME_V6 || hook == TOA_HOOK_CHILD_V6 ||
	       hook == TOA_HOOK_SYN_V6;
}

/* One function for both families replaces two of old kernels. */
static bool is_replaced(enum toa_hook hook)
{
	return attached[TOA_HOOK_SYN] && (hook == TOA_HOOK_SYN_V4 || hook == TOA_HOOK_SYN_V6);
}

/* What old kernels lack, or new ones may have inlined. */
static bool is_optional(enum toa_hook hook)
{
	return hook == TOA_HOOK_SYN || hook == TOA_HOOK_MPTCP ||
	       hook == TOA_HOOK_DISCONNECT_MPTCP;
}

static bool is_end(enum toa_hook hook)
{
	return hook == TOA_HOOK_DESTRUCT || hook == TOA_HOOK_DISCONNECT ||
	       hook == TOA_HOOK_DISCONNECT_MPTCP;
}

static bool is_mptcp(enum toa_hook hook)
{
	return hook == TOA_HOOK_MPTCP || hook == TOA_HOOK_DISCONNECT_MPTCP;
}

static int attach(enum toa_hook hook, enum mechanism how)
{
	int err = toa_fails() ? -ENOMEM :
		  how == FTRACE ? toa_ftrace_attach(hook) : toa_kprobe_attach(hook);

	if (!err)
		attached[hook] = how;
	return err;
}

static void explain(enum toa_hook hook, int err)
{
	const char *symbol = toa_target_symbol[hook];

	switch (err) {
	case -ENOMEM:
		pr_err("cannot hook %s: memory is short\n", symbol);
		break;
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
		       symbol, err, sysfs_streq(mode, "kprobe") ? "ftrace" : "kprobe");
	}
}

static bool is_syn(enum toa_hook hook)
{
	return hook == TOA_HOOK_SYN || hook == TOA_HOOK_SYN_V4 || hook == TOA_HOOK_SYN_V6;
}

static int attach_best(enum toa_hook hook)
{
	int err;

	if (sysfs_streq(mode, "kprobe"))
		return attach(hook, KPROBE);
	err = attach(hook, FTRACE);
	if (!err || sysfs_streq(mode, "ftrace"))
		return err;
	/* Nothing to report where the kernel lacks the one or the function. */
	if (err != -EOPNOTSUPP && err != -ENOENT)
		refused[hook] = err;
	return attach(hook, KPROBE);
}

/* A hook whose function this kernel may lack is then not attached, and that is no error. */
static int attach_if_there(enum toa_hook hook)
{
	int err = attach_best(hook);

	if (err == -ENOENT && (is_ipv6(hook) || is_optional(hook)))
		return 0;
	if (err)
		explain(hook, err);
	return err;
}

static void __init report_refused(void)
{
	enum toa_hook hook;

	for (hook = 0; hook < TOA_HOOK_COUNT; hook++)
		if (refused[hook])
			pr_info("%s is taken, by a live patch or BPF? (error %d): hooked by a kprobe\n",
				toa_target_symbol[hook], refused[hook]);
}

static void detach(enum toa_hook hook)
{
	if (attached[hook] == KPROBE)
		toa_kprobe_detach(hook);
	if (attached[hook] == FTRACE)
		toa_ftrace_detach(hook);
	attached[hook] = NONE;
}

/*
 * Hooks that come and go with a parameter.
 */

/* Protects @running and these hooks: a parameter may be set while the module comes or goes. */
static DEFINE_MUTEX(param_lock);
static bool running;			/* all hooks are attached that no parameter asks for */

/*
 * tcp_conn_request() is called for every SYN: its hook is attached while the parameter segments=
 * names the SYN, and there are slots to keep what it says.
 */

static void syn_detach(void)
{
	enum toa_hook hook;

	for (hook = 0; hook < TOA_HOOK_COUNT; hook++)
		if (is_syn(hook))
			detach(hook);
}

static void explain_slots(void)
{
	pr_err("no memory for %u handshake slots: lower the parameter syn_slots\n", toa_syn_slots);
}

/* If one cannot be attached, all is as it was before. */
static int syn_attach(void)
{
	bool new[TOA_HOOK_COUNT] = {};
	enum toa_hook hook;
	int err = toa_handshake_make();

	if (err)
		explain_slots();
	for (hook = 0; hook < TOA_HOOK_COUNT && !err; hook++) {
		if (!is_syn(hook) || attached[hook] || is_replaced(hook))
			continue;
		err = attach_if_there(hook);
		new[hook] = !err;
	}
	for (hook = 0; hook < TOA_HOOK_COUNT && err; hook++)
		if (new[hook])
			detach(hook);
	return err;
}

static int syn_update(void)
{
	if (toa_syn_slots && READ_ONCE(toa_segments) & TOA_SEGMENT_BIT(TOA_SEGMENT_SYN))
		return syn_attach();
	syn_detach();
	return 0;
}

static int segments_changed(void)
{
	int err = 0;

	mutex_lock(&param_lock);
	if (running)
		err = syn_update();
	mutex_unlock(&param_lock);
	return err;
}

/*
 * tcp_rcv_established() is called for every segment, and of interest to few balancers' users: its
 * hook is attached while the parameter late= is set.
 */

static bool late;

static int late_update(void)
{
	int err = 0;

	if (late && !attached[TOA_HOOK_LATE])
		err = attach_best(TOA_HOOK_LATE);
	if (err)
		explain(TOA_HOOK_LATE, err);
	if (!late)
		detach(TOA_HOOK_LATE);
	return err;
}

static int set_late(const char *val, const struct kernel_param *kp)
{
	const bool before = late;
	int err = toa_param_set_bool(val, kp);

	if (err)
		return err;
	if (late && !TOA_HAVE_LATE) {
		pr_err("late=1: this kernel does not count what is acknowledged (Linux does since 4.1)\n");
		err = -EOPNOTSUPP;
	}
	mutex_lock(&param_lock);
	if (!err && running)
		err = late_update();
	if (err)
		late = before;
	mutex_unlock(&param_lock);
	return err;
}

static const struct kernel_param_ops late_ops = {
	TOA_PARAM_NOARG
	.set = set_late,
	.get = param_get_bool,
};

module_param_cb(late, &late_ops, &late, 0644);
__MODULE_PARM_TYPE(late, "bool");
MODULE_PARM_DESC(late, "Believe an option behind the handshake too, if the connection has none yet and nothing that the server sent has been acknowledged (0 or 1, default 0)");

static int params_begin(void)
{
	int err;

	mutex_lock(&param_lock);
	err = syn_update();
	if (!err)
		err = late_update();
	running = !err;
	mutex_unlock(&param_lock);
	return err;
}

/* Afterwards setting a parameter attaches nothing. */
static void params_end(void)
{
	mutex_lock(&param_lock);
	running = false;
	mutex_unlock(&param_lock);
}

/*
 * tcp_check_req() is on the way of every connection, and of interest to few: its hook is attached
 * while toa_path_wants_requests().
 */

static void requests_work_fn(struct work_struct *work);
static DECLARE_DELAYED_WORK(requests_work, requests_work_fn);

static void requests_work_fn(struct work_struct *work)
{
	static int told, slots_told;
	int err;

	/* What an ACK says must be kept, too, where SYNs are not looked at. */
	err = toa_path_wants_slots() ? toa_handshake_make() : 0;
	/* Not each minute anew. */
	if (err && err != slots_told)
		explain_slots();
	slots_told = err;
	if (!err && !toa_path_wants_requests()) {
		detach(TOA_HOOK_REQUEST);
		told = 0;
		return;
	}
	if (!err && !attached[TOA_HOOK_REQUEST]) {
		err = attach_best(TOA_HOOK_REQUEST);
		if (err && err != told)
			explain(TOA_HOOK_REQUEST, err);
		told = err;
	}
	/* Memory may be there again, a live patch gone; or nothing of interest is left. */
	schedule_delayed_work(&requests_work, REQUESTS_CHECK_SECONDS * HZ);
}

/* Any context; of no consequence while the work waits for its next check. */
static void want_more(void)
{
	schedule_delayed_work(&requests_work, 0);
}

#ifdef TOA_DEBUG
/**
 * toa_hook_catch_up() - the module's clock has been set: check now
 *
 * Context: process.
 */
void toa_hook_catch_up(void)
{
	mutex_lock(&param_lock);
	if (running) {
		cancel_delayed_work_sync(&requests_work);
		requests_work_fn(&requests_work.work);
	}
	mutex_unlock(&param_lock);
}
#endif

/**
 * toa_hook_missed() - how often a hook was not run though its function was called
 *
 * Context: process.
 * Return: the sum over all hooks since load.
 */
unsigned long toa_hook_missed(void)
{
	unsigned long sum = 0;
	enum toa_hook hook;

	for (hook = 0; hook < TOA_HOOK_COUNT; hook++)
		sum += toa_kprobe_missed(hook);
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
	enum toa_hook hook;

	for (hook = 0; hook < TOA_HOOK_COUNT; hook++) {
		kprobe |= attached[hook] == KPROBE;
		ftrace |= attached[hook] == FTRACE;
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
	unsigned long mptcp;
	enum toa_hook hook;
	int err;

	if (!sysfs_streq(mode, "auto") && !sysfs_streq(mode, "ftrace") &&
	    !sysfs_streq(mode, "kprobe")) {
		pr_err("hook=%s: must be auto, ftrace or kprobe\n", mode);
		return -EINVAL;
	}
	toa_segments_changed = segments_changed;
	err = toa_path_init(want_more);
	/*
	 * Before 6.1, where there is no such function, an MPTCP socket gets its addresses after the
	 * hook, which in 5.10 has other arguments.
	 */
	if (!err)
		err = toa_symbol_address("mptcp_sk_clone_init", &mptcp);
	if (err) {
		pr_err("no memory to look for the kernel's functions\n");
		return err;
	}
	for (hook = 0; hook < TOA_HOOK_COUNT; hook++) {
		if (is_syn(hook) || hook == TOA_HOOK_REQUEST || hook == TOA_HOOK_LATE ||
		    (is_mptcp(hook) && !mptcp))
			continue;
		err = attach_if_there(hook);
		if (err)
			goto fail;
		if (is_end(hook) && attached[hook] == KPROBE)
			toa_path_may_miss = true;
	}
	if (!attached[TOA_HOOK_CHILD_V6])
		pr_info("this kernel has no IPv6, or it is a module that is not loaded yet: IPv4 only\n");
	err = toa_target_test();
	if (!err)
		err = params_begin();
	if (err)
		goto fail;
	report_refused();
	return 0;

fail:
	toa_hook_exit();
	return err;
}

static void report_missed(enum toa_hook hook)
{
	const unsigned long missed = toa_kprobe_missed(hook);

	if (missed)
		pr_info("the hook on %s was missed %lu times\n", toa_target_symbol[hook], missed);
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
	enum toa_hook hook = TOA_HOOK_COUNT;
	bool ftrace = false;

	params_end();
	while (hook-- > 0) {
		if (hook == TOA_HOOK_REQUEST)
			continue;
		ftrace |= attached[hook] == FTRACE;
		detach(hook);
		report_missed(hook);
	}
	if (ftrace)
		toa_ftrace_drain();
	/* Whatever ran until now may have asked for it. */
	cancel_delayed_work_sync(&requests_work);
	detach(TOA_HOOK_REQUEST);
	report_missed(TOA_HOOK_REQUEST);
}
