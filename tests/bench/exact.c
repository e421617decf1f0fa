// SPDX-License-Identifier: GPL-2.0
/*
 * Shows single operations to the host, which logs each instruction that QEMU executes in them:
 * without the module, and with it. See attribute.c, which listens at the third serial port. Nothing
 * in the kernel uses that port; no interrupt and no driver is between.
 *
 * Each line that goes there is answered by a byte when the host has done it:
 *	marks BEGIN END		the addresses of the functions before and behind each run
 *	begin PHASE LEVEL NAME	log what follows, runs of an operation; LEVEL 1: and all registers
 *	end
 *	symbols			/proc/kallsyms is on the disk, and names the module's symbols too
 *	done
 *
 * usage: exact full|short DISK [MODULE-PARAMETERS]
 */
#include "mod.h"
#include "operations.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <unistd.h>

/* The third port of a PC, and its registers. */
enum {
	PORT = 0x3e8,
	DATA = PORT,
	STATUS = PORT + 5,
	STATUS_RECEIVED = 0x01,
	STATUS_CAN_SEND = 0x20,
};

enum {
	RUNS = 9,		/* some are interrupted by the clock */
	RUNS_REGISTERS = 5,	/* that log takes ten times as long */
	WARM = 3 * SOCKETS,
};

static const char *disk;

static void __attribute__((format(printf, 1, 2))) tell(const char *fmt, ...)
{
	char line[256], *p;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (p = line; *p; p++) {
		while (!(inb(STATUS) & STATUS_CAN_SEND))
			;
		outb(*p, DATA);
	}
	while (!(inb(STATUS) & STATUS_RECEIVED))
		;
	inb(DATA);
}

static void __attribute__((noinline)) mark_begin(void)
{
	asm volatile("" : : : "memory");
}

static void __attribute__((noinline)) mark_end(void)
{
	asm volatile("" : : : "memory");
}

/* What LVS, DPVS and others should have: nothing of the module sits on SYNs then. */
static void segments_ack_data(void)
{
	if (toa_loaded())
		param_set("segments", "ack,data");
}

static const struct {
	const char *name;
	void (*run)(void);
	void (*prepare)(void);
	bool brief;		/* in the short form too */
} operations[] = {
	/* As long as nobody else has an entry. */
	{ "connection, no option", op_conn_none, NULL, true },
	{ "getpeername, no entry", op_getname_none, NULL, false },
	{ "connection, option 200 in the ACK", op_conn_200, NULL, true },
	{ "connection, option 253 in the ACK", op_conn_253, NULL, false },
	{ "connection, option 253 in the ACK, dual-stack listener", op_conn_253_dual, NULL, false },
	{ "getpeername, entry", op_getname_entry, connect_entries, true },
	{ "connection, option 200 in the SYN", op_conn_syn_200, NULL, false },
	{ "connection, option 200 in SYN and ACK", op_conn_both_200, NULL, true },
	/* The last ones: it stays so. */
	{ "segments=ack,data: connection, no option", op_conn_none, segments_ack_data, true },
	{ "segments=ack,data: connection, option 200 in the ACK", op_conn_200, NULL, false },
	{ "segments=ack,data: connection, option 200 in SYN and ACK", op_conn_both_200, NULL,
	  true },
};

#define OPERATIONS ((int)(sizeof(operations) / sizeof(operations[0])))

static bool full;

static void show(const char *phase, int op, int level, int runs)
{
	tell("begin %s %d %s\n", phase, level, operations[op].name);
	while (runs--) {
		mark_begin();
		operations[op].run();
		mark_end();
	}
	tell("end\n");
}

static void show_all(const char *phase, bool registers)
{
	int op, i;

	connect_plain();
	for (op = 0; op < OPERATIONS; op++) {
		if (!full && !operations[op].brief)
			continue;
		if (operations[op].prepare)
			operations[op].prepare();
		for (i = 0; i < WARM; i++)
			operations[op].run();
		show(phase, op, 0, RUNS);
		if (registers)
			show(phase, op, 1, RUNS_REGISTERS);
	}
}

static void send_symbols(void)
{
	static char block[1 << 16];
	FILE *in = fopen("/proc/kallsyms", "re");
	int out = open(disk, O_WRONLY | O_CLOEXEC);
	size_t n;

	require(in && out >= 0);
	while ((n = fread(block, 1, sizeof(block), in)) > 0)
		require(write(out, block, n) == (ssize_t)n);
	require(fsync(out) == 0);
	close(out);
	fclose(in);
	tell("symbols\n");
}

static void exact(const void *arg)
{
	int err;

	require(ioperm(PORT, 8, 1) == 0);
	write_file("/proc/sys/net/ipv4/tcp_max_syn_backlog", "65536");
	write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "16");
	operations_open();
	tell("marks %lx %lx\n", (unsigned long)mark_begin, (unsigned long)mark_end);
	show_all("without", false);
	err = toa_load(arg);
	if (err) {
		fprintf(stderr, "the module does not load: %s\n", error_name(-err));
		exit(1);
	}
	send_symbols();
	show_all("with", true);
	toa_unload();
	tell("done\n");
}

int main(int argc, char **argv)
{
	require(argc > 2);
	full = !strcmp(argv[1], "full");
	disk = argv[2];
	test_add(exact, argc > 3 ? argv[3] : "", "exact");
	return bare_main("exact", "", 1, argv);
}
