/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A second parser of the options, written from the contract and not from toa_option.c: slow and
 * simple, to compare with.
 */
#ifndef TOA_UNIT_REFERENCE_H
#define TOA_UNIT_REFERENCE_H

#include "toa_option.h"

struct toa_option_counts reference_parse(const struct toa_option_rules *rules,
					 const unsigned char *opt, unsigned int len, int syn,
					 unsigned short sender_port, struct toa_addrs *out);

/*
 * Parses with both, each with its own result. Returns NULL if they agree, otherwise what they
 * disagree about.
 */
const char *reference_disagrees(const struct toa_option_rules *rules, const unsigned char *opt,
				unsigned int len, int syn);

/* What the module looks for when nothing is configured: 200 and 253. */
extern const struct toa_option_rules rules_default;

/* A configuration that is drawn by a number, of kinds that may be configured. */
void rules_random(unsigned long long number, struct toa_option_rules *rules);

#endif /* TOA_UNIT_REFERENCE_H */
