/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_HANDSHAKE_H
#define TOA_HANDSHAKE_H

#include "toa_compat.h"
#include "toa_option.h"

#include <linux/atomic.h>
#include <linux/types.h>

/**
 * struct toa_flow - what identifies one handshake, all in network byte order but @isn and @net
 * @isn:   the client's initial sequence number
 * @net:   toa_net_id() of the listener's namespace
 * @sport: the balancer's port
 * @dport: the listener's port
 * @addr:  source and destination address: two words for IPv4 (the rest is zero), eight for IPv6
 */
struct toa_flow {
	u32 isn;
	u32 net;
	__be16 sport;
	__be16 dport;
	__be32 addr[8];
};

enum {
	/* How many counters there are: numbers that end alike share one. */
	TOA_HANDSHAKE_ENDINGS = 4096,
	/* Requests that are answered 13 times live for 967 s; five times, by default, 63 s. */
	TOA_HANDSHAKE_MAX_AGE_SECONDS = 1024,
};

/* How many handshakes are kept whose initial sequence numbers end alike. */
extern atomic_t toa_handshake_kept[TOA_HANDSHAKE_ENDINGS];

static inline atomic_t *toa_handshake_count(u32 isn)
{
	return &toa_handshake_kept[isn % TOA_HANDSHAKE_ENDINGS];
}

/**
 * toa_handshake_misses() - a quick look whether a handshake is not kept
 * @isn: its initial sequence number
 *
 * Clients choose these at random. Whoever does not makes others take a closer look, that is all.
 *
 * Context: any.
 * Return: true if toa_handshake_find() would find nothing, for sure.
 */
static inline bool toa_handshake_misses(u32 isn)
{
	return atomic_read(toa_handshake_count(isn)) == 0;
}

/* See toa_handshake_ready(). No bool: smp_store_release() of RHEL 7 takes words only. */
extern unsigned int toa_handshake_made;

/**
 * toa_handshake_ready() - are there slots?
 *
 * Context: any.
 * Return: false if none was needed so far, or the parameter syn_slots is 0.
 */
static inline bool toa_handshake_ready(void)
{
	const unsigned int made = READ_ONCE(toa_handshake_made);

	smp_rmb();	/* pairs with smp_store_release() in make_slots() */
	return made;
}

void toa_handshake_init(void);
int toa_handshake_make(void);
void toa_handshake_exit(void);
bool toa_handshake_put(const struct toa_flow *flow, const struct toa_addrs *addrs);
bool toa_handshake_find(const struct toa_flow *flow, struct toa_addrs *addrs, bool forget);
void toa_handshake_purge(bool (*of)(u32 net));
void toa_handshake_sweep(void);

#endif /* TOA_HANDSHAKE_H */
