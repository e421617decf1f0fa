// SPDX-License-Identifier: GPL-2.0
/* Runs, as the log tells them: what is executed, and what the module does to memory. */
#include "attribute.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Runs
 */

struct window windows[WINDOWS_MAX];
unsigned int window_count;
struct event events[EVENTS_MAX];
unsigned int event_count;

static uint64_t regs[REGS], gs_base;
uint64_t mark_begin, mark_end;
static bool in_run;

static bool is_own(uint64_t address)
{
	return address - (gs_base + per_cpu_start) < per_cpu_end - per_cpu_start + PER_CPU_MORE ||
	       address - regs[REG_RSP] + STACK_BYTES < 2 * STACK_BYTES;
}

static void event_add(const struct window *w, unsigned int i, unsigned int caller)
{
	const struct insn *insn = &insns[i];
	uint64_t address = insn->shift;

	if (event_count == EVENTS_MAX)
		die("too many events");
	if (insn->base == REG_RIP)
		address += insn->pc + insn->len;
	else if (insn->base >= 0)
		address += regs[insn->base];
	if (insn->index >= 0)
		address += regs[insn->index] * insn->scale;
	events[event_count++] = (struct event){
		.window = w - windows,
		.run = w->runs,
		.insn = i,
		.caller = caller,
		.line = address / LINE_BYTES * LINE_BYTES,
		.locked = insn->locked,
		.own = insn->per_cpu || is_own(address),
	};
}

static bool is_toa(unsigned int i)
{
	const struct symbol *s = symbol_at(i);

	return s && s->toa;
}

static bool is_trampoline(unsigned int i)
{
	const struct symbol *s = symbol_at(i);

	return s && !strcmp(s->name, "ftrace_trampoline");
}

/* The functions in whose place the module's wrappers stand: what they do is not its doing. */
static bool is_original(unsigned int i)
{
	static const char *const originals[] = {
		"tcp_v4_syn_recv_sock", "tcp_v6_syn_recv_sock", "inet_getname", "inet6_getname",
		NULL
	};
	const struct symbol *s = symbol_at(i);
	const char *const *o;

	for (o = originals; s && *o; o++)
		if (!strcmp(s->name, *o))
			return true;
	return false;
}

/*
 * A function that the module calls, or jumps to at its end, runs until the stack is as before. One
 * that returns to the module by then has been left.
 */
static void watch(struct window *w, unsigned int i)
{
	static unsigned int previous, caller;
	static uint64_t previous_rsp, limit;
	bool toa = is_toa(i);

	if (toa) {
		caller = 0;
	} else if (caller && (regs[REG_RSP] >= limit || is_original(i))) {
		caller = 0;
	} else if (previous && is_toa(previous) && !is_original(i) &&
		 (insns[previous].call || insns[previous].jump)) {
		caller = previous;
		limit = previous_rsp + (insns[previous].call ? 0 : 8);
	}
	w->own[w->runs] += toa || caller || is_trampoline(i);
	if ((toa || caller) && (insns[i].locked || insns[i].store))
		event_add(w, i, caller);
	previous = i;
	previous_rsp = regs[REG_RSP];
}

static void executed(unsigned int i)
{
	struct window *w = &windows[window_count - 1];

	if (insns[i].pc == mark_begin && !in_run) {
		if (w->runs == RUNS_MAX)
			die("too many runs");
		w->count[w->runs] = need(calloc(INSNS_MAX, sizeof(*w->count[0])));
		in_run = true;
	} else if (insns[i].pc == mark_end && in_run) {
		w->runs++;
		in_run = false;
	}
	if (!in_run)
		return;
	w->count[w->runs][i]++;
	if (w->registers)
		watch(w, i);
}

/*
 * The log
 */

/* An instruction that may still turn out not to be executed. */
static unsigned int pending;

static void done_pending(void)
{
	if (pending)
		executed(pending);
	pending = 0;
}

/* Trace N: HOST [CS/PC/FLAGS/CFLAGS] SYMBOL */
static void read_trace(const char *line)
{
	const char *p = strchr(line, '[');

	done_pending();
	p = p ? strchr(p, '/') : NULL;
	if (p)
		pending = insn_of(strtoull(p + 1, NULL, 16));
}

/* NAME=VALUE NAME=VALUE ... */
static void read_regs(const char *line)
{
	for (; strlen(line) >= 20 && line[3] == '='; line += 21) {
		int reg = reg_of(line, 3);

		if (reg >= 0)
			regs[reg] = strtoull(line + 4, NULL, 16);
		if (!line[20])
			break;
	}
}

static void read_line(char *line)
{
	if (!strncmp(line, "Trace ", 6))
		read_trace(line);
	else if (!strncmp(line, "0x", 2))
		read_asm(line);
	else if (line[0] == 'R')
		read_regs(line);
	else if (!strncmp(line, "GS =", 4))
		gs_base = strtoull(line + 9, NULL, 16);
	/* Neither was what was said of the last one: it comes again. */
	else if (!strncmp(line, "Stopped execution", 17) || strstr(line, "rewound execution"))
		pending = 0;
}

void read_log(int fd)
{
	static char buf[1 << 18];
	static size_t kept;
	char *line = buf, *end;
	ssize_t n = read(fd, buf + kept, sizeof(buf) - kept);

	if (n <= 0)
		return;
	kept += n;
	while ((end = memchr(line, '\n', buf + kept - line))) {
		*end = 0;
		read_line(line);
		line = end + 1;
	}
	kept -= line - buf;
	memmove(buf, line, kept);
	if (kept == sizeof(buf))
		die("a line without an end");
}

void run_abandon(void)
{
	pending = 0;
	in_run = false;
}
