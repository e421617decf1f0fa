// SPDX-License-Identifier: GPL-2.0
/* The host under the program months. */
#include "mod.h"
#include "memory.h"
#include "months.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	MAGAZINE = 64,			/* entries that each processor keeps, */
	POOL = 4097,			/* and all together, under PREEMPT_RT */
};

/*
 * Processors
 */

static int gone = -1;			/* the one that is offline */
int went;

int processors(void)
{
	return sysconf(_SC_NPROCESSORS_CONF);
}

static void processor(int cpu, const char *online)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/online", cpu);
	if (!access(path, W_OK))
		write_file(path, online);
}

void processor_comes(void)
{
	if (gone > 0)
		processor(gone, "1");
	gone = -1;
}

/* Each but the first in its turn. */
int next_to_go(void)
{
	return processors() < 2 ? 0 : 1 + went % (processors() - 1);
}

/* If this kernel lets it. */
void processor_goes(void)
{
	if (processors() < 2 || access("/sys/devices/system/cpu/cpu1/online", W_OK))
		return;
	gone = next_to_go();
	went++;
	processor(gone, "0");
}

void run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	/* It may be offline. */
	if (sched_setaffinity(0, sizeof(set), &set))
		return;
}

/* Connections end elsewhere than they begin. */
void move_on(void)
{
	static int cpu;

	cpu = (cpu + 1) % processors();
	run_on(cpu);
}

/*
 * Calls of the module's functions
 */

bool probed;

void probes_set(void)
{
	static const char probes[] = "p:toamonths/find toa:toa_handshake_find\n"
				     "p:toamonths/grow toa:grow_work_fn\n"
				     "p:toamonths/sweep toa:sweep_fn\n";

	probed = !access(tracing("kprobe_events"), W_OK);
	if (!probed) {
		test_note("no kprobe_events: calls are not counted");
		return;
	}
	write_file(tracing("kprobe_events"), probes);
	write_file(tracing("events/toamonths/enable"), "1");
}

void probes_clear(void)
{
	if (!probed)
		return;
	write_file(tracing("events/toamonths/enable"), "0");
	write_file(tracing("kprobe_events"), "");
}

long calls(const char *function)
{
	static char text[8192];
	char *line, *rest = text, name[64];
	long count;

	require(read_file(tracing("kprobe_profile"), text, sizeof(text)));
	while ((line = strsep(&rest, "\n")))
		if (sscanf(line, "%63s %ld", name, &count) == 2 && !strcmp(name, function))
			return count;
	test_fail(__FILE__, __LINE__, "no probe on %s", function);
	return -1;
}

/*
 * Memory
 */

void memory_get(struct memory *m)
{
	static const char shrink[] = "/sys/kernel/slab/toa_entry/shrink";
	struct slab s = { -1, -1, -1 };

	if (!access(shrink, W_OK)) {
		write_file(shrink, "1");
		slab_get(&s);
	}
	m->objects = s.active;
	m->slabs = s.bytes;
	m->vmalloc = vmalloc_get();
}

/* Entries that are in no table lie where they are taken from next. */
void memory_bounded(const struct memory *m)
{
	int most = MAGAZINE * processors();

	if (!access("/sys/kernel/realtime", F_OK))
		most += POOL;
	if (m->objects > most)
		test_fail(__FILE__, __LINE__, "%ld objects, more than %d", m->objects, most);
}
