/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_NET_H
#define TOA_NET_H

#include "toa_compat.h"

enum toa_net_count {
	TOA_NET_ENTRIES,
	TOA_NET_HANDSHAKES,
	TOA_NET_COUNTS,
};

/**
 * enum toa_net_room - may a namespace have one more?
 * @TOA_NET_GONE:       no: it ends, or was made when memory was short
 * @TOA_NET_SHARE_FULL: no: its tenant has all that it may have
 * @TOA_NET_TENANT:     yes, of what is not left to the host
 * @TOA_NET_HOST:       yes
 */
enum toa_net_room {
	TOA_NET_GONE,
	TOA_NET_SHARE_FULL,
	TOA_NET_TENANT,
	TOA_NET_HOST,
};

enum toa_net_room toa_net_count(u32 net, enum toa_net_count what);
void toa_net_uncount(u32 net, enum toa_net_count what);
bool toa_net_ending(u32 net);
bool toa_net_gone(u32 net);
int toa_net_begin(u32 net, unsigned long tenant);
void toa_net_end_begin(u32 net, bool left[TOA_NET_COUNTS]);
void toa_net_end(u32 net);

/**
 * toa_net_take() - count one that a namespace gets, if it may
 * @net:  its toa_net_id()
 * @what: of which
 *
 * Context: any. Writes nothing for the initial namespace.
 */
static inline enum toa_net_room toa_net_take(u32 net, enum toa_net_count what)
{
	return likely(net == toa_net_id(&init_net)) ? TOA_NET_HOST : toa_net_count(net, what);
}

/**
 * toa_net_give() - count one that a namespace has no longer
 * @net:  its toa_net_id()
 * @what: of which
 *
 * Context: any. Writes nothing for the initial namespace.
 */
static inline void toa_net_give(u32 net, enum toa_net_count what)
{
	if (unlikely(net != toa_net_id(&init_net)))
		toa_net_uncount(net, what);
}

/**
 * toa_net_limit() - how many of what there is may be in use when one more is given out
 * @room: to whom: TOA_NET_TENANT or TOA_NET_HOST
 * @all:  how many there are
 *
 * However many tenants there are, an eighth is the host's alone.
 */
static inline unsigned int toa_net_limit(enum toa_net_room room, unsigned int all)
{
	return likely(room == TOA_NET_HOST) ? all : all - all / 8;
}

#endif /* TOA_NET_H */
