/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program config share. */
#ifndef TEST_CONFIG_H
#define TEST_CONFIG_H

#include "bytes.h"
#include "mod.h"

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
