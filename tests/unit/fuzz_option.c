// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target: the bytes are a TCP header's options. Beyond what the sanitizers see, the
 * parser must agree with the simple one in reference.c: with the configuration that is the default,
 * and with one that is drawn by the bytes themselves. They are also a list of kinds, as text.
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

/* What is accepted as a list must name no kind of the kernel's. */
static const char *list(const unsigned char *data, size_t size)
{
	static const unsigned char kernels[] = { 0, 1, 2, 3, 4, 5, 8, 19, 29, 30, 34, 172, 174 };
	char *text = malloc(size + 1);
	unsigned char kinds[256];
	const char *what = NULL;
	unsigned int i;

	if (!text)
		abort();
	if (size)
		memcpy(text, data, size);
	text[size] = 0;
	if (toa_option_list(text, TOA_USE_V4, kinds) == 0)
		for (i = 0; i < sizeof(kernels); i++)
			if (kinds[kernels[i]])
				what = "a list of kinds";
	free(text);
	return what;
}

int fuzz_one(const unsigned char *data, size_t size)
{
	unsigned char *odd = malloc(size + 1);
	unsigned long long number = 0xcbf29ce484222325ULL;
	struct toa_option_rules rules;
	const char *what;
	size_t i;

	/* At an odd address, and ending where the allocation ends. */
	if (!odd)
		abort();
	if (size)
		memcpy(odd + 1, data, size);
	for (i = 0; i < size; i++)
		number = (number ^ data[i]) * 0x100000001b3ULL;
	rules_random(number >> 20, &rules);
	what = reference_disagrees(&rules_default, odd + 1, size, number & 1);
	if (!what)
		what = reference_disagrees(&rules, odd + 1, size, number & 1);
	if (!what)
		what = list(data, size);
	free(odd);
	if (what) {
		fprintf(stderr, "the parsers disagree about %s\n", what);
		abort();
	}
	return 0;
}
