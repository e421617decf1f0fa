/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_KPROBE_H
#define TOA_KPROBE_H

#include "toa_target.h"

int toa_kprobe_attach(enum toa_hook hook);
void toa_kprobe_detach(enum toa_hook hook);
unsigned long toa_kprobe_missed(enum toa_hook hook);

#endif /* TOA_KPROBE_H */
