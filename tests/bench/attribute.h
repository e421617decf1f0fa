/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program attribute share. */
#ifndef BENCH_ATTRIBUTE_H
#define BENCH_ATTRIBUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
};

void die(const char *what) __attribute__((noreturn));
void *need(void *memory);

/*
 * attribute_code.c
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

extern struct symbols toa_data;
extern uint64_t per_cpu_start, per_cpu_end;

void symbols_read(const char *path);
/* The last symbol that does not begin behind an address, or NULL. */
const struct symbol *symbol_of(const struct symbols *in, uint64_t address);

enum { REG_NONE = -1, REG_RSP = 4, REG_RIP = 16, REGS };

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

extern struct insn insns[INSNS_MAX];
extern unsigned int insn_count;		/* 0 is none */

unsigned int insn_of(uint64_t pc);
int reg_of(const char *name, size_t len);
void read_asm(char *line);
const struct symbol *symbol_at(unsigned int i);

/*
 * attribute_run.c
 */

struct window {
	char name[96];
	bool with, registers;
	unsigned int runs;
	uint32_t *count[RUNS_MAX];	/* of each instruction */
	long own[RUNS_MAX];		/* the module's */
};

extern struct window windows[WINDOWS_MAX];
extern unsigned int window_count;

/* What the module does to memory. */
struct event {
	unsigned int window, run, insn;
	unsigned int caller;		/* the module's call, if the kernel does it for it; or 0 */
	uint64_t line;
	bool locked;
	bool own;			/* the CPU's: its variables, its stack */
};

extern struct event events[EVENTS_MAX];
extern unsigned int event_count;

extern uint64_t mark_begin, mark_end;

void read_log(int fd);
void run_abandon(void);			/* one that has begun, but has no end in the log */

/*
 * attribute_report.c
 */

void report_all(void);

#endif /* BENCH_ATTRIBUTE_H */
