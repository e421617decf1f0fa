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
#include "attribute.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS = 600 };			/* so long may the guest be silent */

void die(const char *what)
{
	fprintf(stderr, "attribute: %s\n", what);
	exit(1);
}

void *need(void *memory)
{
	if (!memory)
		die("no memory");
	return memory;
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
	run_abandon();
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

int main(int argc, char **argv)
{
	if (argc != 2 || chdir(argv[1]))
		die("usage: attribute DIRECTORY");
	mon_in = open_pipe("mon.in");
	mon_out = open_pipe("mon.out");
	mark_in = open_pipe("mark.in");
	mark_out = open_pipe("mark.out");
	log_fd = open_pipe("log");
	fcntl(log_fd, F_SETPIPE_SZ, 1 << 20);
	serve(argv[1]);
	report_all();
	return 0;
}
