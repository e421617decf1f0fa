/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The addresses of connections that are older than the module: handed over by the module that was
 * loaded before, they wait until somebody asks for them.
 */
#ifndef TOA_WAITING_H
#define TOA_WAITING_H

#include "toa_compat.h"
#include "toa_entry.h"

#include <linux/compiler.h>
#include <linux/types.h>

/**
 * struct toa_waiting - a connection whose addresses wait
 * @next:   of a chain, or of the list that toa_waiting_add() is given
 * @rcu:    to free it
 * @cookie: its socket's, by which it is found: a number that no other socket of the host ever gets
 * @net:    toa_net_id() of its namespace
 * @entry:  counted like those in the table, and ready to be put there; the host's until it waits
 */
struct toa_waiting {
	struct toa_waiting __rcu *next;
	struct rcu_head rcu;
	u64 cookie;
	u32 net;
	struct toa_entry *entry;
};

#ifdef TOA_HAVE_COOKIES
struct toa_waiting_table;

extern struct toa_waiting_table *toa_waiting_table;

/**
 * toa_waiting_any() - does any connection's address wait?
 *
 * Context: any. Who finds nothing in the table of connections, and believes that if this is false,
 * asks this first, with smp_rmb() in between; or does both where toa_synchronize() waits for it.
 */
static inline bool toa_waiting_any(void)
{
	return READ_ONCE(toa_waiting_table);
}

/**
 * toa_waiting_may() - may an address wait for a socket?
 * @sk: the socket
 *
 * Not if nobody has asked for its cookie.
 *
 * Context: any.
 */
static inline bool toa_waiting_may(const struct sock *sk)
{
	return toa_waiting_any() && toa_sock_cookie(sk);
}

struct toa_waiting *toa_waiting_new(u64 cookie, const struct toa_entry *content);
void toa_waiting_free(struct toa_waiting *list);
int toa_waiting_add(struct toa_waiting *list, unsigned int count);
bool toa_waiting_adopt(const struct sock *sk);
void toa_waiting_drop(const struct sock *sk);
bool toa_waiting_walk(u64 *behind, u64 *cookie, struct toa_entry *copy);
void toa_waiting_purge(bool (*of)(u32 net));
void toa_waiting_exit(void);

#else

static inline bool toa_waiting_any(void)
{
	return false;
}

static inline bool toa_waiting_may(const struct sock *sk)
{
	return false;
}

static inline bool toa_waiting_adopt(const struct sock *sk)
{
	return false;
}

static inline void toa_waiting_drop(const struct sock *sk)
{
}

static inline void toa_waiting_purge(bool (*of)(u32 net))
{
}

static inline void toa_waiting_exit(void)
{
}

#endif /* TOA_HAVE_COOKIES */

#endif /* TOA_WAITING_H */
