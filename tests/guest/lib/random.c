// SPDX-License-Identifier: GPL-2.0
#include "random.h"
#include "mod.h"

#include <stdlib.h>

int rounds = 2000;
unsigned int seed;

unsigned int some(unsigned int below)
{
	return rand_r(&seed) % below;
}

int random_main(const char *file, const char *params, int argc, char **argv)
{
	rounds = test_number(&argc, &argv, rounds);
	return toa_main(file, params, argc, argv);
}
