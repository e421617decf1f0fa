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

/* What a segment carries. */
enum { HAS_NONE, HAS_V4, HAS_V6, HAS_BOTH, CARRIED };
extern const char *const carried_name[CARRIED];

/* Options that name V4_TEXT, V6_TEXT or both, or NULL; each thread has its own. */
const struct opts *carrying(int carried);
const struct opts *both(void);

/* Connections, with options in the SYN and in the ACK, show that client. */
void works(enum kind kind);

#endif /* TEST_CLIENT_H */
