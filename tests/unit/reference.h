/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A second parser of the options, written from the contract and not from toa_option.c: slow and
 * simple, to compare with.
 */
#ifndef TOA_UNIT_REFERENCE_H
#define TOA_UNIT_REFERENCE_H

#include "toa_option.h"

unsigned int reference_parse(const unsigned char *opt, unsigned int len, struct toa_addrs *out);

/*
 * Parses with both, each with its own result. Returns NULL if they agree, otherwise what they
 * disagree about.
 */
const char *reference_disagrees(const unsigned char *opt, unsigned int len);

#endif /* TOA_UNIT_REFERENCE_H */
