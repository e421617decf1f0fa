// SPDX-License-Identifier: GPL-2.0
/*
 * BPF programs at the entry and the return of functions that toa hooks (fentry, fexit), attached
 * before the load and after it: both work, or one of them says why not.
 */
#include "bpf.h"
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define BTF "/sys/kernel/btf/vmlinux"
#define GETNAME "inet_getname"

enum {
	TRIES = 1000,
	TRY_US = 10000,
};

struct target {
	const char *function;
	bool redirected;	/* a wrapper of toa's may stand in for it */
};

struct setting {
	const struct target *target;
	enum bpf_attach_type type;
	const char *hook;
	bool before;		/* the program comes before toa */
};

static char lines[65536];

static const struct opts *option(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v4(&o, V4, 4321);
}

#define must_load(params) check_str(error_name(-toa_load(params)), error_name(0))
#define must_unload() check_str(error_name(-toa_unload()), error_name(0))

/*
 * The kernel's types, of which a program names the function that it is for
 */

struct btf_header {
	uint16_t magic;
	uint8_t version;
	uint8_t flags;
	uint32_t header_len;
	uint32_t type_off, type_len;
	uint32_t string_off, string_len;
};

struct btf_type {
	uint32_t name;
	uint32_t info;		/* kind: bits 24 to 28; how many members: bits 0 to 15 */
	uint32_t size;
};

enum { FUNC = 12, BTF_KINDS = 20 };

/* What follows a type of this kind, and each of its members. */
static const struct {
	uint8_t fixed, each;
} trailing[BTF_KINDS] = {
	[1] = { 4, 0 },		/* INT */
	[3] = { 12, 0 },	/* ARRAY */
	[4] = { 0, 12 },	/* STRUCT */
	[5] = { 0, 12 },	/* UNION */
	[6] = { 0, 8 },		/* ENUM */
	[13] = { 0, 8 },	/* FUNC_PROTO */
	[14] = { 4, 0 },	/* VAR */
	[15] = { 0, 12 },	/* DATASEC */
	[17] = { 4, 0 },	/* DECL_TAG */
	[19] = { 0, 12 },	/* ENUM64 */
};

static char *btf_read(void)
{
	enum { MOST = 64 << 20 };
	static char *btf;
	size_t have = 0, n;
	FILE *f;

	if (btf)
		return btf;
	f = fopen(BTF, "re");
	if (!f)
		test_skip("no " BTF ": this kernel does not describe its types");
	btf = malloc(MOST);
	require(btf);
	while ((n = fread(btf + have, 1, MOST - have, f)) > 0)
		have += n;
	fclose(f);
	require(have > sizeof(struct btf_header) && have < MOST);
	return btf;
}

/* 0: there is no such function. */
static uint32_t btf_id(const char *function)
{
	const struct btf_header *h = (const void *)btf_read();
	const char *p = (const char *)h + h->header_len + h->type_off;
	const char *end = p + h->type_len;
	const char *names = (const char *)h + h->header_len + h->string_off;
	uint32_t id;

	for (id = 1; p < end; id++) {
		const struct btf_type *t = (const void *)p;
		unsigned int kind = t->info >> 24 & 31;

		if (kind == FUNC && !strcmp(names + t->name, function))
			return id;
		require(kind && kind < BTF_KINDS);
		p += sizeof(*t) + trailing[kind].fixed +
		     trailing[kind].each * (t->info & 0xffff);
	}
	return 0;
}

/*
 * A program that counts the calls of a function
 */

/* What closes it detaches it. -1 and errno. Before 5.13, a program can be attached once. */
static int attach(const struct setting *t, int map)
{
	const struct bpf_insn insns[] = {
		INSN_COUNT(map),
		INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, 0),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	union bpf_attr attr;
	int prog, link, err;

	prog = bpf_load(BPF_PROG_TYPE_TRACING, t->type, btf_id(t->target->function), insns,
			sizeof(insns) / sizeof(insns[0]));
	if (prog < 0)
		return -1;
	memset(&attr, 0, sizeof(attr));
	attr.raw_tracepoint.prog_fd = prog;
	link = bpf(BPF_RAW_TRACEPOINT_OPEN, &attr);
	err = errno;
	close(prog);
	errno = err;
	return link;
}

static bool counts_more(int map, unsigned long than)
{
	int i;

	/* The end of a socket may come a moment later. */
	for (i = 0; i < TRIES && bpf_count(map) <= than; i++)
		usleep(TRY_US);
	return bpf_count(map) > than;
}

/* A call that is redirected comes by twice: on its way to the wrapper, and from there. */
static void check_calls(const struct setting *t, int map, int fd)
{
	bool twice = t->target->redirected && toa_loaded() && strcmp(t->hook, "kprobe");
	unsigned long before = bpf_count(map), calls;

	if (strcmp(t->target->function, GETNAME))
		return;
	peer_of(fd);
	calls = bpf_count(map) - before;
	if (calls != 1 && !(twice && calls == 2))
		test_fail(__FILE__, __LINE__, "one call was counted %lu times", calls);
}

/* A connection as toa shows it, if it is there, and as the program sees it, if it is attached. */
static void connection(const struct setting *t, int map, bool attached)
{
	unsigned long before = bpf_count(map);
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, option());
	if (toa_loaded())
		check_has(&s, &c, fd, V4_TEXT, NULL);
	else
		check_str(peer_of(fd), server_sees(&s, &c));
	check(data_flows(&c, fd));
	if (attached)
		check_calls(t, map, fd);
	reset(fd);
	if (attached)
		check(counts_more(map, before));
	else
		check_num(bpf_count(map), before);
	reset(s.fd);
}

/* Before 6.0, the kernel gives a function to one who redirects it, or to one who attaches to it. */
static bool exclusive(const struct setting *t)
{
	struct utsname uts;

	uname(&uts);
	return t->target->redirected && strcmp(t->hook, "kprobe") && atoi(uts.release) < 6;
}

static void load(const struct setting *t)
{
	char params[32], taken[64];
	struct klog k;

	snprintf(params, sizeof(params), "hook=%s", t->hook);
	klog_start(&k);
	must_load(params);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (strcmp(t->hook, "kprobe") && !strstr(lines, "hooks by ftrace")) {
		must_unload();
		test_skip("hooks are by kprobes here");
	}
	snprintf(taken, sizeof(taken), "%s is taken", t->target->function);
	if (exclusive(t) && t->before) {
		check(strstr(lines, taken));
		check(strstr(lines, "hooks by ftrace and kprobes"));
	} else {
		check(!strstr(lines, "is taken"));
	}
}

/* toa is there; the program is refused, and comes when toa goes. */
static void refused(const struct setting *t, int map, int err)
{
	int link;

	test_note("%s: the program is refused with %s", t->target->function, error_name(err));
	check(exclusive(t));
	check_str(error_name(err), "EBUSY");
	connection(t, map, false);
	must_unload();
	link = attach(t, map);
	require(link >= 0);
	connection(t, map, true);
	close(link);
	connection(t, map, false);
}

static void together(const struct setting *t, int map, bool toa_leaves)
{
	int link = -1;

	if (t->before) {
		link = attach(t, map);
		require(link >= 0);
		connection(t, map, true);
	}
	load(t);
	if (!t->before) {
		connection(t, map, false);
		link = attach(t, map);
		if (link < 0) {
			refused(t, map, errno);
			return;
		}
		check(!exclusive(t));
	}
	connection(t, map, true);
	if (toa_leaves) {
		must_unload();
		connection(t, map, true);
		close(link);
	} else {
		close(link);
		connection(t, map, false);
		must_unload();
	}
	connection(t, map, false);
}

static void traced(const void *arg)
{
	const struct setting *t = arg;
	int map, link;

	if (toa_loaded())
		must_unload();
	if (!btf_id(t->target->function))
		test_skip("this kernel does not describe %s", t->target->function);
	map = bpf_counter();
	if (map < 0)
		test_skip("this kernel has no BPF (%s)", error_name(errno));
	/* ENOTSUPP, 524: no trampolines, or more arguments than they take (6, before 6.6). */
	link = attach(t, map);
	if (link < 0)
		test_skip("this kernel attaches no program to %s (%s)", t->target->function,
			  error_name(errno));
	connection(t, map, true);
	close(link);
	together(t, map, false);
	together(t, map, true);
	close(map);
}

int main(int argc, char **argv)
{
	static const struct target targets[] = {
		{ GETNAME, true },
		{ "tcp_v4_syn_recv_sock", true },
		{ "tcp_conn_request", false },
		{ "inet_sock_destruct", false },
	};
	static struct setting all[4 * 2 * 2 * 2];
	int i;

	for (i = 0; i < 4 * 2 * 2 * 2; i++) {
		all[i].target = &targets[i / 8];
		all[i].type = i & 4 ? BPF_TRACE_FEXIT : BPF_TRACE_FENTRY;
		all[i].hook = i & 2 ? "kprobe" : "auto";
		all[i].before = !(i & 1);
		test_add(traced, &all[i], "%s of %s, %s the load, hook=%s",
			 i & 4 ? "fexit" : "fentry", all[i].target->function,
			 i & 1 ? "after" : "before", all[i].hook);
	}
	return bare_main("bpf", "", argc, argv);
}
