/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What DEBUG builds let go wrong, for tests. In others, nothing does.
 */
#ifndef TOA_FAULT_H
#define TOA_FAULT_H

#include <linux/types.h>

#ifdef TOA_DEBUG
extern unsigned int toa_fault_ahead;

bool toa_fails(void);
bool toa_deaf(void);
u32 toa_ahead(void);
void toa_hold(void);
#else
static inline bool toa_fails(void)
{
	return false;
}

static inline bool toa_deaf(void)
{
	return false;
}

static inline u32 toa_ahead(void)
{
	return 0;
}

static inline void toa_hold(void)
{
}
#endif

#endif /* TOA_FAULT_H */
