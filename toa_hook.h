/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_HOOK_H
#define TOA_HOOK_H

int toa_hook_init(void);
void toa_hook_exit(void);
unsigned long toa_hook_missed(void);
const char *toa_hook_mechanism(void);
#ifdef TOA_DEBUG
void toa_hook_catch_up(void);
#endif

#endif /* TOA_HOOK_H */
