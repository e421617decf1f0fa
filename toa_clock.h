/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_CLOCK_H
#define TOA_CLOCK_H

#include "toa_fault.h"

#include <linux/jiffies.h>
#include <linux/types.h>

/**
 * toa_seconds() - the module's clock
 *
 * It goes round after 136 years: times are compared by their difference.
 *
 * Context: any.
 */
static inline u32 toa_seconds(void)
{
	return jiffies / HZ + toa_ahead();
}

#endif /* TOA_CLOCK_H */
