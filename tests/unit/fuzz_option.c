// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: the bytes are a TCP header's options. Beyond what the sanitizers see, the
 * parser must agree with the simple one in reference.c.
 *
 * Usage: fuzz_option [libFuzzer's options] [DIRECTORY OF INPUTS]...
 * Exit status: 0 if all runs went well.
 */
#include "reference.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The name that libFuzzer calls is not of this style. */
int fuzz_one(const unsigned char *data, size_t size) __asm__("LLVMFuzzerTestOneInput");

int fuzz_one(const unsigned char *data, size_t size)
{
	unsigned char *odd = malloc(size + 1);
	const char *what;

	/* At an odd address, and ending where the allocation ends. */
	if (!odd)
		abort();
	if (size)
		memcpy(odd + 1, data, size);
	what = reference_disagrees(odd + 1, size);
	free(odd);
	if (what) {
		fprintf(stderr, "the parsers disagree about %s\n", what);
		abort();
	}
	return 0;
}
