// SPDX-License-Identifier: GPL-2.0
/*
 * The bodies of the tracepoints that toa_trace.h declares.
 */
#include "toa_compat.h"

#include <linux/if_ether.h>

#define CREATE_TRACE_POINTS
#include "toa_trace.h"
