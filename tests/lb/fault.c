// SPDX-License-Identifier: GPL-2.0
/*
 * fault.c - loss, duplication and reordering on the way out, decided by a seeded generator.
 *
 * The n-th packet the balancer sends always meets the same fate for one seed. (Which packet is the
 * n-th depends on the two stacks around it.) A reordered packet is held until one to three later
 * ones have gone the same way, at most HOLD_MS.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lb.h"

enum { HOLD_SLOTS = 64, HOLD_MS = 20 };

struct held {
	struct device *dev;
	uint8_t *buf;
	size_t len;
	uint64_t due;
	unsigned int behind;
};

static struct held held[HOLD_SLOTS];
static unsigned int held_count;
static double loss, dup_, reorder;
static uint64_t prng;
static bool enabled;

static uint64_t draw(void)
{
	prng ^= prng >> 12;
	prng ^= prng << 25;
	prng ^= prng >> 27;
	return prng * 0x2545f4914f6cdd1dull;
}

static bool chance(double percent)
{
	return (draw() >> 11) * (100.0 / 9007199254740992.0) < percent;
}

void fault_init(const struct faults *f)
{
	loss = f->loss;
	dup_ = f->dup;
	reorder = f->reorder;
	enabled = loss > 0 || dup_ > 0 || reorder > 0;
	prng = f->seed * 0x9e3779b97f4a7c15ull | 1;
}

static void put(struct device *d, const uint8_t *buf, size_t len)
{
	if (write(d->fd, buf, len) == (ssize_t)len)
		counters.sent++;
	else
		counters.write_error++;
}

static void release(unsigned int i)
{
	struct held h = held[i];

	memmove(held + i, held + i + 1, (--held_count - i) * sizeof(*held));
	put(h.dev, h.buf, h.len);
	free(h.buf);
}

static bool hold(struct device *d, const uint8_t *buf, size_t len, uint64_t now,
		 unsigned int behind)
{
	struct held *h = &held[held_count];

	if (held_count == HOLD_SLOTS)
		return false;
	h->buf = malloc(len);
	if (!h->buf)
		return false;
	memcpy(h->buf, buf, len);
	h->len = len;
	h->dev = d;
	h->due = now + HOLD_MS;
	h->behind = behind;
	held_count++;
	return true;
}

/**
 * fault_send() - send a packet, unless fate decides otherwise
 * @d: where to
 * @buf: the packet
 * @len: its length
 * @now: milliseconds
 */
void fault_send(struct device *d, const uint8_t *buf, size_t len, uint64_t now)
{
	bool lose, twice, late;
	unsigned int i, behind;

	if (!enabled) {
		put(d, buf, len);
		return;
	}
	/* Always the same number of draws for a packet. */
	lose = chance(loss);
	twice = chance(dup_);
	late = chance(reorder);
	behind = 1 + draw() % 3;
	if (lose) {
		counters.lost++;
		return;
	}
	if (late && hold(d, buf, len, now, behind)) {
		counters.reordered++;
		if (twice)
			put(d, buf, len);
		counters.duplicated += twice;
		return;
	}
	put(d, buf, len);
	if (twice) {
		put(d, buf, len);
		counters.duplicated++;
	}
	for (i = 0; i < held_count;) {
		if (held[i].dev == d && !--held[i].behind)
			release(i);
		else
			i++;
	}
}

void fault_expire(uint64_t now)
{
	unsigned int i;

	for (i = 0; i < held_count;) {
		if (now >= held[i].due)
			release(i);
		else
			i++;
	}
}

bool fault_pending(void)
{
	return held_count;
}
