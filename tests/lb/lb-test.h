/* SPDX-License-Identifier: GPL-2.0 */
/* lb-test.h - what the balancer's own tests share. */
#ifndef TOA_LB_TEST_H
#define TOA_LB_TEST_H

#include "bed.h"

extern unsigned int tests;		/* so many have been */
extern const char * const mode_name[MODES];
extern const char * const mode_bytes[MODES];

void result(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs @r; everything in it has to look like @k. */
bool go(const struct run *r, const struct look *k);
bool counters_clean(bool faults);

const char *sock_text(const struct sockaddr_storage *ss, char buf[80]);
size_t log_read(char **text);		/* returns how many lines it has */

/* ---- test-option.c ---- */

void test_segments(void);
void test_kinds(void);
void test_many(void);
void test_fastopen(void);
void test_mptcp(void);
void test_mtu(void);
void test_faults(void);
void test_dropped(void);

/* ---- test-conn.c ---- */

void test_endings(void);
void test_ports(void);
void test_bounded(void);
void test_reuse(void);
void test_silent(bool data);
void test_checksum(void);

/* ---- test-command.c ---- */

void test_command_line(void);

#endif /* TOA_LB_TEST_H */
