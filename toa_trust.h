/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_TRUST_H
#define TOA_TRUST_H

#include "toa_compat.h"

#include <linux/compiler.h>
#include <linux/types.h>

struct sk_buff;
struct toa_trust;

/* NULL: everybody is trusted. */
extern struct toa_trust __rcu *toa_trust;

bool toa_trust_covers(const struct sk_buff *skb);

static inline bool toa_trust_empty(void)
{
	/* gcc 9 and older refuse rcu_access_pointer() of a struct that is not known here. */
	return !READ_ONCE(toa_trust);
}

#endif /* TOA_TRUST_H */
