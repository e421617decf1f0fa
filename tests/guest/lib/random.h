/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that give the module random input, from seeds that are always the same. Whether the
 * kernel complains is seen by who runs the guest.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include "client.h"

/* How much input a program gives for each kind of socket; some tests give less. */
extern int rounds;

/* Each test sets it. */
extern unsigned int seed;

unsigned int some(unsigned int below);	/* 0 to @below - 1 */

/* main(): toa_main(), but a number as the first argument is for @rounds. */
int random_main(const char *file, const char *params, int argc, char **argv);

#endif /* TEST_RANDOM_H */
