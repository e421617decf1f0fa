/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program config share. */
#ifndef TEST_CONFIG_H
#define TEST_CONFIG_H

#include "mod.h"

/* 198.51.100.7:4321 and 203.0.113.9:1234, [2001:db8::77]:8765 and [2001:db8::99]:1234 */
#define A4 0x10, 0xe1, 198, 51, 100, 7
#define B4 0x04, 0xd2, 203, 0, 113, 9
#define A6 0x22, 0x3d, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x77
#define B6 0x04, 0xd2, 0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x99
#define A4_TEXT "198.51.100.7:4321"
#define B4_TEXT "203.0.113.9:1234"
#define A6_TEXT "[2001:db8::77]:8765"
#define HOST4 1, 198, 51, 100, 7
#define BARE4 198, 51, 100, 7
#define HOST4_TEXT "198.51.100.7:%u"

bool put(const char *name, const char *value);	/* into a parameter; false if it is refused */
const char *value_of(const char *name);
void configure(const char *ipv4, const char *ipv6, const char *hostid, const char *bare);
void defaults(void);

/* Of HOST4_TEXT, with the balancer's port in its place. */
const char *with_port(const char *format, const struct conn *c);
/* What a balancer says that does SNAT behind NAT64. */
const struct opts *two_kinds(void);

void values_add(void);	/* the tests of config_values.c */

#endif /* TEST_CONFIG_H */
