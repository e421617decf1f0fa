/* SPDX-License-Identifier: GPL-2.0 */
/* The client that most tests have, and how it is shown. */
#ifndef TEST_CLIENT_H
#define TEST_CLIENT_H

#include "host.h"
#include "pkt.h"

#define V4 "198.51.100.7"
#define V6 "2001:db8::77"
#define V4_TEXT "198.51.100.7:4321"
#define V6_TEXT "[2001:db8::77]:8765"

/* Options that name V4_TEXT and V6_TEXT; each thread has its own. */
const struct opts *both(void);

/* Connections, with options in the SYN and in the ACK, show that client. */
void works(enum kind kind);

#endif /* TEST_CLIENT_H */
