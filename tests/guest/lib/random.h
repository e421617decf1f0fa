/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Programs that give the module random input, from seeds that are always the same. Whether the
 * kernel complains is seen by who runs the guest.
 */
#ifndef TEST_RANDOM_H
#define TEST_RANDOM_H

#include "host.h"
#include "pkt.h"

#define V4 "198.51.100.7"
#define V6 "2001:db8::77"
#define V4_TEXT "198.51.100.7:4321"
#define V6_TEXT "[2001:db8::77]:8765"

/* How much input a program gives for each kind of socket; some tests give less. */
extern int rounds;

/* Each test sets it. */
extern unsigned int seed;

unsigned int some(unsigned int below);	/* 0 to @below - 1 */

/* Options that name V4_TEXT and V6_TEXT. */
const struct opts *both(void);

/* Connections, with options in the SYN and in the ACK, show their clients. */
void works(enum kind kind);

/* main(): toa_main(), but a number as the first argument is for @rounds. */
int random_main(const char *file, int argc, char **argv);

#endif /* TEST_RANDOM_H */
