// SPDX-License-Identifier: GPL-2.0
/*
 * Counts, to the instruction, what single operations of a guest execute, and says which of it is
 * the module's: QEMU logs each instruction while exact.c, in the guest, runs an operation between
 * two marks. For operations with the module the log has all registers besides, so that the address
 * is known that a locked instruction touches, or a store.
 *
 * usage: attribute DIRECTORY
 * There, QEMU has named pipes: mon (a QMP monitor) and mark (the guest's third serial port), each
 * as .in and .out, and log, into which it will be told to log; and `disk`, the guest's first disk.
 *
 * Prints lines of fields with tabs between, for scripts/bench, all of them medians over runs that
 * nothing interrupted:
 *	exact OPERATION WITHOUT WITH ADDED OWN SPREAD	instructions of the kernel
 *	locked OPERATION HOST BUCKET CPU WRITTEN ELSEWHERE
 *	site OPERATION CLASS FUNCTION[ < CALLER] WHERE	each of those counted
 *	part OPERATION SYMBOL ADDED			where the instructions are
 * OWN: those of the module, of the trampolines that lead to it, and of the functions that it calls;
 * what is between that and ADDED is what the kernel itself does otherwise, by chance or because of
 * the module.
 * HOST, BUCKET, CPU: locked instructions that the module executes, or lets a function of the kernel
 * execute for it. HOST are those whose line of memory is the same for all connections, BUCKET those
 * where it is another for another connection, CPU those whose line is the CPU's own. WRITTEN: lines
 * that are the same for all, and written without a lock. ELSEWHERE: how many locked instructions
 * the kernel executes more than without the module, beside those.
 *
 * Exit status: 0 if all was measured, 1 if not.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	INSNS_MAX = 1 << 17,
	WINDOWS_MAX = 64,
	RUNS_MAX = 16,
	EVENTS_MAX = 1 << 16,
	RUNS_LEAST = 3,			/* that nothing interrupted */
	LINE_BYTES = 64,		/* of memory, as caches have it */
	STACK_BYTES = 16384,
	/* What a module's and the kernel's own per-CPU variables take behind the first ones. */
	PER_CPU_MORE = 36 * 1024,
	SECONDS = 600,			/* so long may the guest be silent */
};

static void die(const char *what)
{
	fprintf(stderr, "attribute: %s\n", what);
	exit(1);
}

static void *need(void *memory)
{
	if (!memory)
		die("no memory");
	return memory;
}

/*
 * Symbols
 */

struct symbol {
	uint64_t address;
	char *name;
	bool toa;
};

struct symbols {
	struct symbol *list;
	size_t count;
};

static struct symbols text, toa_data;
static uint64_t per_cpu_start, per_cpu_end;

static void symbol_add(struct symbols *to, uint64_t address, const char *name, bool toa)
{
	if ((to->count & (to->count + 1)) == 0)
		to->list = need(realloc(to->list, 2 * (to->count + 1) * sizeof(*to->list)));
	to->list[to->count++] = (struct symbol){ address, need(strdup(name)), toa };
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The last symbol that does not begin behind an address, or NULL. */
static const struct symbol *symbol_of(const struct symbols *in, uint64_t address)
{
	size_t low = 0, high = in->count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (in->list[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &in->list[low - 1] : NULL;
}

static void symbols_read(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024], name[512], module[64];
	unsigned long long address;
	char type;

	if (!f)
		die("no disk");
	while (fgets(line, sizeof(line), f) && line[0]) {
		int n = sscanf(line, "%llx %c %511s [%63[^]]", &address, &type, name, module);
		bool toa = n == 4 && !strcmp(module, "toa");

		if (n < 3 || !strncmp(name, "__pfx_", 6))
			continue;
		if (!strcmp(name, "__per_cpu_start"))
			per_cpu_start = address;
		if (!strcmp(name, "__per_cpu_end"))
			per_cpu_end = address;
		if (strchr("tTwW", type))
			symbol_add(&text, address, name, toa);
		else if (toa)
			symbol_add(&toa_data, address, name, toa);
	}
	fclose(f);
	if (!text.count || !toa_data.count || !per_cpu_end)
		die("the guest's symbols do not name the module, or no variables");
	qsort(text.list, text.count, sizeof(*text.list), by_address);
	qsort(toa_data.list, toa_data.count, sizeof(*toa_data.list), by_address);
}

/*
 * Instructions, as QEMU disassembles them when it first meets them
 */

enum { REG_NONE = -1, REG_RSP = 4, REG_RIP = 16, REGS };

/* As QEMU writes them before =, and as operands have them behind %. */
static const char reg_log[REGS][4] = {
	"RAX", "RBX", "RCX", "RDX", "RSP", "RSI", "RDI", "RBP", "R8 ", "R9 ", "R10", "R11",
	"R12", "R13", "R14", "R15", "RIP",
};

struct insn {
	uint64_t pc;
	uint64_t shift;			/* of the operand in memory, and what is added to it: */
	int base, index, scale;
	unsigned int len;
	bool known;			/* it was disassembled */
	bool locked;
	bool store;
	bool per_cpu;			/* by %gs */
	bool call, jump;
	const struct symbol *symbol;	/* found late */
};

static struct insn insns[INSNS_MAX];
static unsigned int insn_count = 1;	/* 0 is none */
static unsigned int insn_hash[2 * INSNS_MAX];

static unsigned int insn_of(uint64_t pc)
{
	unsigned int h = (pc * 0x9e3779b97f4a7c15ULL) >> 32;

	for (;; h++) {
		unsigned int *i = &insn_hash[h % (2 * INSNS_MAX)];

		if (*i && insns[*i].pc != pc)
			continue;
		if (!*i) {
			if (insn_count == INSNS_MAX)
				die("too many instructions");
			*i = insn_count++;
			insns[*i].pc = pc;
		}
		return *i;
	}
}

static int reg_of(const char *name, size_t len)
{
	char upper[4] = "   ";
	size_t i;
	int reg;

	for (i = 0; i < len && i < 3; i++)
		upper[i] = toupper((unsigned char)name[i]);
	for (reg = 0; reg < REGS; reg++)
		if (!strcmp(upper, reg_log[reg]))
			return reg;
	return REG_NONE;
}

/* SHIFT(%BASE, %INDEX, SCALE) */
static void parse_memory(struct insn *insn, const char *operand)
{
	const char *p;

	insn->per_cpu = !strncmp(operand, "%gs:", 4);
	p = strchr(operand, ':');
	p = p ? p + 1 : operand;
	insn->shift = *p == '-' ? -strtoull(p + 1, NULL, 0) : strtoull(p, NULL, 0);
	insn->base = REG_NONE;
	insn->index = REG_NONE;
	insn->scale = 1;
	p = strchr(p, '(');
	if (!p)
		return;
	p++;
	if (*p == '%')
		insn->base = reg_of(p + 1, strcspn(p + 1, ",)"));
	p = strchr(p, ',');
	if (!p)
		return;
	p += 1 + strspn(p + 1, " ");
	if (*p == '%')
		insn->index = reg_of(p + 1, strcspn(p + 1, ",)"));
	p = strchr(p, ',');
	if (p)
		insn->scale = atoi(p + 1);
}

static bool in_memory(const char *operand)
{
	return strchr(operand, '(') || !strncmp(operand, "%gs:", 4) ||
	       isdigit((unsigned char)*operand);
}

static bool begins_with_any(const char *word, const char *const *with)
{
	for (; *with; with++)
		if (!strncmp(word, *with, strlen(*with)))
			return true;
	return false;
}

/* Splits off the last operand; returns the one before it, or an empty text. */
static char *last_operand(char *operands, char **last)
{
	int depth = 0;
	char *p;

	*last = operands;
	for (p = operands; *p; p++) {
		depth += (*p == '(') - (*p == ')');
		if (*p == ',' && !depth)
			*last = p;
	}
	if (*last == operands)
		return "";
	*(*last)++ = 0;
	*last += strspn(*last, " ");
	return operands;
}

static void parse_insn(struct insn *insn, char *asm_text)
{
	static const char *const stores[] = {
		"mov", "add", "adc", "sub", "sbb", "and", "or", "xor", "inc", "dec", "neg", "not",
		"set", "xchg", "xadd", "cmpxchg", "bts", "btr", "btc", "shl", "shr", "sar", "sal",
		"rol", "ror", "stos", "pop", NULL
	};
	char *word = strtok(asm_text, " "), *rest, *before, *last;

	insn->locked = false;
	while (word && (!strcmp(word, "lock") || !strncmp(word, "rep", 3))) {
		insn->locked |= *word == 'l';
		word = strtok(NULL, " ");
	}
	if (!word)
		return;
	insn->known = true;
	insn->call = !strncmp(word, "call", 4);
	insn->jump = *word == 'j';
	insn->store = false;
	rest = strtok(NULL, "");
	if (!rest || insn->call || insn->jump)
		return;
	before = last_operand(rest + strspn(rest, " "), &last);
	if (!strncmp(word, "xchg", 4) && in_memory(before))
		last = before;
	if (!in_memory(last))
		return;
	insn->locked |= !strncmp(word, "xchg", 4);
	insn->store = begins_with_any(word, stores);
	parse_memory(insn, last);
}

/* 0xADDRESS:  BYTES  INSTRUCTION; without an instruction, more bytes of the last one. */
static void read_asm(char *line)
{
	static struct insn *previous;
	char *p, *end;
	uint64_t pc = strtoull(line, &p, 16);
	unsigned int len = 0;

	if (*p++ != ':')
		return;
	p += strspn(p, " ");
	while (isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1]) &&
	       (p[2] == ' ' || !p[2])) {
		len++;
		p += p[2] ? 3 : 2;
		if (*p == ' ')
			break;
	}
	p += strspn(p, " ");
	for (end = p + strlen(p); end > p && end[-1] == ' ';)
		*--end = 0;
	if (!*p) {
		if (previous && pc == previous->pc + previous->len)
			previous->len += len;
		return;
	}
	previous = &insns[insn_of(pc)];
	previous->len = len;
	parse_insn(previous, p);
}

/*
 * Runs
 */

struct window {
	char name[96];
	bool with, registers;
	unsigned int runs;
	uint32_t *count[RUNS_MAX];	/* of each instruction */
	long own[RUNS_MAX];		/* the module's */
};

static struct window windows[WINDOWS_MAX];
static unsigned int window_count;

/* What the module does to memory. */
struct event {
	unsigned int window, run, insn;
	unsigned int caller;		/* the module's call, if the kernel does it for it; or 0 */
	uint64_t line;
	bool locked;
	bool own;			/* the CPU's: its variables, its stack */
};

static struct event events[EVENTS_MAX];
static unsigned int event_count;

static uint64_t regs[REGS], gs_base;
static uint64_t mark_begin, mark_end;
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

static const struct symbol *symbol_at(unsigned int i)
{
	struct insn *insn = &insns[i];

	if (!insn->symbol && insn->pc >> 63)
		insn->symbol = symbol_of(&text, insn->pc);
	return insn->symbol;
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

static void read_log(int fd)
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

/*
 * Talking to QEMU and to the guest
 */

static int mon_in, mon_out, mark_in, mark_out, log_fd;

/* Open for both, so that neither side waits for the other nor sees an end. */
static int open_pipe(const char *name)
{
	int fd = open(name, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd < 0)
		die(name);
	return fd;
}

/* Reads a line from @fd; reads the log in the meantime, or QEMU would wait. */
static void wait_line(int fd, char *line, size_t size)
{
	struct pollfd pfd[] = {
		{ .fd = fd, .events = POLLIN }, { .fd = log_fd, .events = POLLIN },
	};
	size_t len = 0;
	char c;

	for (;;) {
		int n = poll(pfd, 2, SECONDS * 1000);

		if (n == 0 || (n < 0 && errno != EINTR))
			die("the guest says nothing any more");
		read_log(log_fd);
		while (read(fd, &c, 1) == 1) {
			if (c == '\n') {
				line[len] = 0;
				return;
			}
			if (c != '\r' && len < size - 1)
				line[len++] = c;
		}
	}
}

static void say(int fd, const char *what)
{
	if (write(fd, what, strlen(what)) != (ssize_t)strlen(what))
		die("cannot write to QEMU");
}

/* Returns false if there is no such command. */
static bool monitor(const char *command)
{
	char line[4096];

	snprintf(line, sizeof(line), "{\"execute\":\"human-monitor-command\","
		 "\"arguments\":{\"command-line\":\"%s\"}}\n", command);
	say(mon_in, command[0] ? line : "{\"execute\":\"qmp_capabilities\"}\n");
	do {
		wait_line(mon_out, line, sizeof(line));
	} while (!strstr(line, "\"return\"") && !strstr(line, "\"error\""));
	if (strstr(line, "\"error\""))
		die(line);
	return !strstr(line, "unknown command");
}

/* Before QEMU 8.1, and since. */
static void one_by_one(bool on)
{
	if (!monitor(on ? "singlestep on" : "singlestep off") &&
	    !monitor(on ? "one-insn-per-tb on" : "one-insn-per-tb off"))
		die("QEMU knows neither singlestep nor one-insn-per-tb");
}

static void begin(const char *what, const char *directory)
{
	struct window *w = &windows[window_count++];
	char phase[16], command[256];
	int level;

	if (window_count > WINDOWS_MAX ||
	    sscanf(what, "begin %15s %d %95[^\n]", phase, &level, w->name) != 3)
		die(what);
	w->with = !strcmp(phase, "with");
	w->registers = level > 0;
	snprintf(command, sizeof(command), "logfile %s/log", directory);
	monitor(command);
	one_by_one(true);
	/* Disassembled is what is met for the first time: so, always. */
	monitor(level ? "log in_asm,exec,nochain,cpu" : "log in_asm,exec,nochain");
}

static void end(void)
{
	monitor("log none");
	one_by_one(false);
	read_log(log_fd);
	pending = 0;
	in_run = false;
}

static void serve(const char *directory)
{
	char line[256];

	for (;;) {
		wait_line(mark_out, line, sizeof(line));
		if (!strncmp(line, "marks ", 6)) {
			monitor("");
			sscanf(line, "marks %lx %lx", &mark_begin, &mark_end);
		} else if (!strncmp(line, "begin ", 6)) {
			begin(line, directory);
		} else if (!strcmp(line, "end")) {
			end();
		} else if (!strcmp(line, "symbols")) {
			symbols_read("disk");
		} else if (!strcmp(line, "done")) {
			say(mark_in, "\n");
			return;
		}
		say(mark_in, "\n");
	}
}

/*
 * The report
 */

struct runs {
	const struct window *window;
	unsigned int run[RUNS_MAX];	/* those that nothing interrupted */
	unsigned int count;
};

static bool is_interrupt(unsigned int i)
{
	const struct symbol *s = symbol_at(i);

	return s && (!strncmp(s->name, "asm_sysvec_", 11) || !strncmp(s->name, "asm_exc_", 8) ||
		     !strcmp(s->name, "asm_common_interrupt"));
}

static struct runs runs_of(const char *name, bool with, bool registers)
{
	struct runs r = { .window = NULL };
	unsigned int w, i, run;

	for (w = 0; w < window_count; w++)
		if (!strcmp(windows[w].name, name) && windows[w].with == with &&
		    windows[w].registers == registers)
			r.window = &windows[w];
	if (!r.window)
		die("a measurement is missing");
	for (run = 0; run < r.window->runs; run++) {
		for (i = 1; i < insn_count; i++)
			if (r.window->count[run][i] && is_interrupt(i))
				break;
		if (i == insn_count)
			r.run[r.count++] = run;
	}
	if (r.count < RUNS_LEAST)
		die("too few runs without an interrupt");
	return r;
}

static int by_number(const void *a, const void *b)
{
	const long *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static long median(const long *of, unsigned int count)
{
	long sorted[RUNS_MAX];

	memcpy(sorted, of, count * sizeof(*of));
	qsort(sorted, count, sizeof(*of), by_number);
	return sorted[count / 2];
}

static bool in_kernel(unsigned int i)
{
	return insns[i].pc >> 63;
}

static bool is_locked(unsigned int i)
{
	return insns[i].locked;
}

/* The median of how many instructions there are of a kind; half of the runs are within @spread. */
static long count_of(const struct runs *r, bool (*of)(unsigned int i), long *spread)
{
	long sum[RUNS_MAX] = { 0 };
	unsigned int k, i;

	for (k = 0; k < r->count; k++)
		for (i = 1; i < insn_count; i++)
			if (of(i))
				sum[k] += r->window->count[r->run[k]][i];
	qsort(sum, r->count, sizeof(*sum), by_number);
	if (spread)
		*spread += sum[r->count - 1 - r->count / 4] - sum[r->count / 4];
	return sum[r->count / 2];
}

static long own_of(const struct runs *r)
{
	long own[RUNS_MAX];
	unsigned int k;

	for (k = 0; k < r->count; k++)
		own[k] = r->window->own[r->run[k]];
	return median(own, r->count);
}

static const char *symbol_name(unsigned int i)
{
	const struct symbol *s = symbol_at(i);

	return s ? s->name : "(the program)";
}

/* Instructions, sorted so that those of a symbol stand together. */
static unsigned int in_order[INSNS_MAX];

static int by_name(const void *a, const void *b)
{
	return strcmp(symbol_name(*(const unsigned int *)a), symbol_name(*(const unsigned int *)b));
}

static long part_of(const struct runs *r, unsigned int from, unsigned int to)
{
	long sum[RUNS_MAX];
	unsigned int k, i;

	for (k = 0; k < r->count; k++) {
		sum[k] = 0;
		for (i = from; i < to; i++)
			sum[k] += r->window->count[r->run[k]][in_order[i]];
	}
	return median(sum, r->count);
}

static void report_parts(const char *name, const struct runs *without, const struct runs *with)
{
	unsigned int from, to;
	long added;

	for (from = 1; from < insn_count; from = to) {
		for (to = from + 1; to < insn_count; to++)
			if (by_name(&in_order[from], &in_order[to]))
				break;
		if (!in_kernel(in_order[from]))
			continue;
		added = part_of(with, from, to) - part_of(without, from, to);
		if (added)
			printf("part\t%s\t%s\t%ld\n", name, symbol_name(in_order[from]), added);
	}
}

/*
 * Of one operation, all events of the runs that count, each with its number among those of its run
 * that are alike. Which line it is tells whose it is, when runs are compared.
 */
enum whose { HOST, BUCKET, CPU, WHOSE };

static const char *const whose_name[WHOSE] = { "host", "bucket", "cpu" };

static bool alike(const struct event *a, const struct event *b)
{
	return a->insn == b->insn && a->caller == b->caller;
}

static bool counts(const struct event *e, const struct runs *r)
{
	unsigned int k;

	if (&windows[e->window] != r->window)
		return false;
	for (k = 0; k < r->count; k++)
		if (r->run[k] == e->run)
			return true;
	return false;
}

/* The same event of another run, or NULL. */
static const struct event *same_in(const struct event *e, const struct runs *r, unsigned int run)
{
	unsigned int nth = 0;
	const struct event *o;

	for (o = events; o < e; o++)
		nth += o->window == e->window && o->run == e->run && alike(o, e);
	for (o = events; o < events + event_count; o++)
		if (&windows[o->window] == r->window && o->run == run && alike(o, e) && !nth--)
			return o;
	return NULL;
}

static enum whose whose(const struct event *e, const struct runs *r)
{
	const struct event *o;
	unsigned int k;

	if (e->own)
		return CPU;
	for (k = 0; k < r->count; k++) {
		o = same_in(e, r, r->run[k]);
		if (o && o->line != e->line)
			return BUCKET;
	}
	return HOST;
}

/* Has this run a locked event on the line, or, before @e, another store? */
static bool counted_before(const struct event *e)
{
	const struct event *o;

	for (o = events; o < events + event_count; o++)
		if (o->window == e->window && o->run == e->run && o->line == e->line &&
		    (o->locked || o < e))
			return true;
	return false;
}

static void print_site(const char *name, const struct event *e, const char *class)
{
	const struct symbol *f = symbol_at(e->insn);
	const struct symbol *s = symbol_of(&toa_data, e->line + LINE_BYTES - 1);

	printf("site\t%s\t%s\t%s", name, class, f->name);
	if (e->caller)
		printf(" < %s", symbol_name(e->caller));
	if (s && e->line - s->address + LINE_BYTES < 1 << 14)
		printf("\t%s\n", s->name);
	else
		printf("\t%s\n", e->own ? "per-CPU or stack" : "allocated");
}

static void report_locked(const char *name, long more)
{
	struct runs r = runs_of(name, true, true);
	long count[WHOSE][RUNS_MAX] = { { 0 } }, written[RUNS_MAX] = { 0 };
	const struct event *e;
	unsigned int k;

	for (e = events; e < events + event_count; e++) {
		enum whose w;

		if (!counts(e, &r))
			continue;
		for (k = 0; r.run[k] != e->run; k++)
			;
		w = whose(e, &r);
		if (e->locked)
			count[w][k]++;
		else if (w == HOST && !counted_before(e))
			written[k]++;
		else
			continue;
		if (k == 0)
			print_site(name, e, e->locked ? whose_name[w] : "written");
	}
	for (k = 0; k < WHOSE; k++)
		more -= median(count[k], r.count);
	printf("locked\t%s\t%ld\t%ld\t%ld\t%ld\t%ld\n", name, median(count[HOST], r.count),
	       median(count[BUCKET], r.count), median(count[CPU], r.count),
	       median(written, r.count), more);
}

static void report(const char *name)
{
	struct runs without = runs_of(name, false, false), with = runs_of(name, true, false);
	struct runs watched = runs_of(name, true, true);
	long spread = 0, base, all;

	base = count_of(&without, in_kernel, &spread);
	all = count_of(&with, in_kernel, &spread);
	printf("exact\t%s\t%ld\t%ld\t%ld\t%ld\t%ld\n", name, base, all, all - base,
	       own_of(&watched), spread);
	report_locked(name, count_of(&with, is_locked, NULL) - count_of(&without, is_locked, NULL));
	report_parts(name, &without, &with);
}

int main(int argc, char **argv)
{
	unsigned int i;

	if (argc != 2 || chdir(argv[1]))
		die("usage: attribute DIRECTORY");
	mon_in = open_pipe("mon.in");
	mon_out = open_pipe("mon.out");
	mark_in = open_pipe("mark.in");
	mark_out = open_pipe("mark.out");
	log_fd = open_pipe("log");
	fcntl(log_fd, F_SETPIPE_SZ, 1 << 20);
	serve(argv[1]);
	for (i = 0; i < insn_count; i++)
		in_order[i] = i;
	qsort(in_order + 1, insn_count - 1, sizeof(*in_order), by_name);
	for (i = 0; i < window_count; i++)
		if (!windows[i].with)
			report(windows[i].name);
	return 0;
}
