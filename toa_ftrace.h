/* SPDX-License-Identifier: GPL-2.0 */
#ifndef TOA_FTRACE_H
#define TOA_FTRACE_H

#include "toa_target.h"

int toa_ftrace_attach(enum toa_hook hook);
void toa_ftrace_detach(enum toa_hook hook);
void toa_ftrace_drain(void);

#endif /* TOA_FTRACE_H */
