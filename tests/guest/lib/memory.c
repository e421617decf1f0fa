// SPDX-License-Identifier: GPL-2.0
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool slab_get(struct slab *s)
{
	static const char format[] = "toa_entry %ld %*d %ld %*d %ld"
				     " : tunables %*d %*d %*d : slabdata %*d %ld";
	FILE *f = fopen("/proc/slabinfo", "re");
	long active, size, pages, slabs;
	char line[512];

	s->active = -1;
	s->size = -1;
	s->bytes = -1;
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, format, &active, &size, &pages, &slabs) != 4)
			continue;
		s->active = active;
		s->size = size;
		s->bytes = slabs * pages * sysconf(_SC_PAGESIZE);
	}
	fclose(f);
	return true;
}

/* The size comes after the addresses, which from Linux 4.15 on may be "0x        (ptrval)". */
static long vmalloc_size(char *line)
{
	char *word;

	while ((word = strsep(&line, " ")))
		if (*word && !word[strspn(word, "0123456789")])
			return atol(word);
	return 0;
}

long vmalloc_get(void)
{
	FILE *f = fopen("/proc/vmallocinfo", "re");
	char line[512];
	long bytes = 0;

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f))
		if (strstr(line, "[toa]"))
			bytes += vmalloc_size(line);
	fclose(f);
	return bytes;
}
