// SPDX-License-Identifier: GPL-2.0
/* The report of all runs, as attribute.c says. */
#include "attribute.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

void report_all(void)
{
	unsigned int i;

	for (i = 0; i < insn_count; i++)
		in_order[i] = i;
	qsort(in_order + 1, insn_count - 1, sizeof(*in_order), by_name);
	for (i = 0; i < window_count; i++)
		if (!windows[i].with)
			report(windows[i].name);
}
