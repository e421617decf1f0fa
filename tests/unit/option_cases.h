/* SPDX-License-Identifier: GPL-2.0 */
/* What options are parsed, and what must come of it. */
#ifndef TOA_UNIT_OPTION_CASES_H
#define TOA_UNIT_OPTION_CASES_H

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/*
 * Bytes in hexadecimal. Addresses are those of RFC 5737 and RFC 3849.
 */

#define NOP	"01 "
#define END	"00 "
#define MSS	"02 04 05 b4 "
#define SACK_OK	"04 02 "
#define TSTAMP	"08 0a 11 22 33 44 55 66 77 88 "

/* As Linux and Windows lay them out. */
#define LINUX_SYN MSS SACK_OK TSTAMP NOP "03 03 07 "
#define LINUX_ACK NOP NOP TSTAMP
#define WINDOWS_SYN MSS NOP "03 03 08 " NOP NOP SACK_OK

#define SNAT	"c8 08 d4 31 cb 00 71 09 "			/* 203.0.113.9:54321 */
#define SNAT_2	"c8 08 04 d2 c6 33 64 07 "			/* 198.51.100.7:1234 */
#define SNAT_LO	"c8 08 04 d2 7f 00 00 01 "			/* 127.0.0.1:1234 */

#define NAT64	"fd 14 d4 31 20 01 0d b8 00 00 00 00 00 00 00 00 00 00 00 09 "
								/* [2001:db8::9]:54321 */
#define NAT64_2	"fd 14 04 d2 20 01 0d b8 00 07 00 00 00 00 00 00 00 00 00 07 "
								/* [2001:db8:7::7]:1234 */
#define NAT64_LO "fd 14 04 d2 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 "
								/* [::1]:1234 */

#define SENDER_PORT	4711

/* @v4, @v6: NULL if none is expected */
struct wire_case {
	const char *name;
	const char *bytes;
	const char *v4;
	unsigned int v4_port;
	const char *v6;
	unsigned int v6_port;
	unsigned int refused, overruled;
	int both, last;			/* as the parameters; both: see both= of the module */
};

extern const struct wire_case wire_cases[];
extern const unsigned int wire_case_count;

/* Each class of addresses that nobody may claim, and its neighbours on both sides. */
struct address_case {
	const char *addr;
	const char *class;		/* NULL: must be accepted */
};

extern const struct address_case v4_cases[], v6_cases[];
extern const unsigned int v4_case_count, v6_case_count;

/* @bytes: one option, or several; @v4, @v6 as in &struct wire_case, and the kinds that said so */
struct uses_case {
	const char *name;
	const char *ipv4, *ipv6, *hostid;	/* as the parameters; @bare: opt_bare */
	const char *bytes;
	const char *v4;
	unsigned int v4_port, v4_kind;
	const char *v6;
	unsigned int v6_port, v6_kind;
	unsigned int refused, overruled;
	int both, bare, not_syn;
};

extern const struct uses_case uses_cases[];
extern const unsigned int uses_case_count;

/* @kinds: what is in it, in rising order, ended by 0; NULL: it must be refused */
struct list_case {
	const char *text;
	const unsigned char *kinds;
};

extern const struct list_case list_cases[];
extern const unsigned int list_case_count;

#endif /* TOA_UNIT_OPTION_CASES_H */
