/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program words share: the client, who it would like to be, and rules. */
#ifndef TEST_WORDS_H
#define TEST_WORDS_H

#include "mod.h"

#define SYSCTL "/proc/sys/net/ipv4/"

/* The balancer's client, 198.51.100.23:50182 and [2001:db8::23]:50182. */
#define CLIENT4 0xc4, 0x06, 0xc6, 0x33, 0x64, 0x17
#define CLIENT6 0xc4, 0x06, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x23
#define CLIENT4_ADDR "198.51.100.23"
#define CLIENT6_ADDR "2001:db8::23"
#define CLIENT_PORT 50182
/* Whom that client would like to be: 203.0.113.9:2989 and [2001:db8:bad::1]:1. */
#define FORGED4 0x0b, 0xad, 203, 0, 113, 9
#define FORGED6 0x00, 0x01, 0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1
#define FORGED4_ADDR "203.0.113.9"
#define FORGED6_ADDR "2001:db8:bad::1"

enum { BALANCERS_PORT = -1 };

struct bytes {
	uint8_t len;
	uint8_t byte[40];
};

#define BYTES(...) { sizeof((uint8_t[]){ __VA_ARGS__ }), { __VA_ARGS__ } }

/*
 * @params:   set before, all others have their defaults
 * @syn:      options of the SYN
 * @end:      options of the segment behind it: ACK, FIN, data
 * @v4, @v6:  who is shown; NULL: nobody of that family
 * @port:     with which port; 0 is CLIENT_PORT
 * @disagree, @segment, @invalid: how far these counters move
 */
struct rule {
	const char *name;
	const char *params;
	struct bytes syn, end;
	const char *v4, *v6;
	int port;
	int disagree, segment, invalid;
};

/* "name=value name=value": these, and the default of all others. */
void configure(const char *params);
const struct opts *opts_of(const struct bytes *b, struct opts *o);

/* The socket shows whom the rule says. */
#define check_rule(s, c, fd, r) check_shows(__FILE__, __LINE__, s, c, fd, r)
void check_shows(const char *where, int line, const struct server *s, const struct conn *c, int fd,
		 const struct rule *r);

/*
 * A connection by Fast Open, accepted: its SYN has @o and the data "first". Skips the test if this
 * kernel has none.
 */
int fast_open_connect(enum kind kind, struct server *s, struct conn *c, const struct opts *o);

void late_add(void);		/* the tests of words_late.c */

#endif /* TEST_WORDS_H */
