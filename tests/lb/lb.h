/* SPDX-License-Identifier: GPL-2.0 */
/*
 * lb.h - what the files of the test balancer share.
 *
 * addr.c     addresses and endpoints: parsing, printing, comparing
 * packet.c   bytes <-> struct segment, checksums, editing TCP options
 * service.c  what the command line says about one virtual address
 * conn.c     connection tracking and local port allocation
 * forward.c  the way of a segment through the balancer
 * fault.c    loss, duplication and reordering on the way out
 * device.c   TUN devices, network namespaces, addresses and routes
 * toa-lb.c   command line, event loop, counters
 */
#ifndef TOA_LB_H
#define TOA_LB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))

enum {
	PACKET_MAX = 65535,
	OPTIONS_MAX = 40,	/* bytes of options in a TCP header */
	TCP_HEADER = 20,
	ADDR_TEXT = 64,		/* "[v6 address]:port" and its zero byte */
};

/* ---- addr.c ---- */

struct addr {
	uint8_t len;		/* 4, 16, or 0: not set */
	uint8_t b[16];		/* network byte order, the rest zero */
};

struct endpoint {
	struct addr addr;
	uint16_t port;		/* host byte order */
};

bool addr_parse(const char *text, struct addr *a);
bool addr_equal(const struct addr *a, const struct addr *b);
void addr_add(struct addr *a, uint32_t n);
const char *addr_text(const struct addr *a, char buf[ADDR_TEXT]);
bool range_parse(const char *text, struct addr *first, unsigned int *count);
bool range_contains(const struct addr *first, unsigned int count, const struct addr *a);
bool endpoint_parse(const char *text, struct endpoint *e, int *port);
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
const char *endpoint_text(const struct endpoint *e, char buf[ADDR_TEXT]);
bool number_parse(const char *text, unsigned long max, unsigned long *out);
static inline unsigned int ip_header(const struct addr *a)
{
	return a->len == 4 ? 20 : 40;
}

/* ---- packet.c ---- */

enum { TCP_FIN = 1, TCP_SYN = 2, TCP_RST = 4, TCP_PSH = 8, TCP_ACK = 16 };

enum { OPT_END, OPT_NOP, OPT_MSS, OPT_WSCALE, OPT_SACKOK, OPT_SACK, OPT_TS = 8, OPT_MD5 = 19,
	OPT_AO = 29, OPT_MPTCP = 30, OPT_TFO = 34, OPT_EXP = 254 };

enum { STRIP_TS = 1, STRIP_SACK = 2, STRIP_MPTCP = 4 };

/* One TCP segment taken apart; opt and data point into the packet it was read from. */
struct segment {
	struct endpoint src, dst;
	uint8_t ttl, tos;
	uint8_t reserved;	/* the four bits beside the header length */
	uint8_t flags;
	uint32_t seq, ack;
	uint16_t window, urgent;
	const uint8_t *opt, *data;
	unsigned int optlen, datalen;
};

enum parse { PARSE_OK, PARSE_IGNORE, PARSE_MALFORMED, PARSE_CHECKSUM };

enum parse packet_parse(const uint8_t *buf, size_t len, struct segment *s);
size_t packet_build(uint8_t *buf, const struct segment *s);

struct option_edit {
	uint8_t strip;		/* STRIP_*: kinds that may not appear */
	bool syn;		/* which kinds may be dropped to make room */
	bool last;		/* insert behind the others instead of before them */
	uint16_t mss;		/* upper limit for the MSS option, 0: leave it */
	unsigned int insert_len;
	uint8_t insert[OPTIONS_MAX];
	/* results */
	uint8_t dropped;	/* STRIP_*: kinds that went to make room */
	bool tfo_dropped;
	bool inserted;
};

unsigned int options_edit(uint8_t out[OPTIONS_MAX], const uint8_t *in, unsigned int len,
			  struct option_edit *e);
bool options_have(const uint8_t *in, unsigned int len, uint8_t kind);

/* ---- service.c ---- */

enum seg { SEG_SYN, SEG_ACK, SEG_DATA, SEG_CARRIERS, SEG_SYNACK = SEG_CARRIERS, SEG_DROPS,
	SEG_OTHER = SEG_DROPS };

enum { FAMILY4, FAMILY6, FAMILIES };

struct claim {
	struct addr addr;	/* len 0: the real one */
	int port;		/* -1: the real one */
};

struct service {
	struct endpoint vip, backend;
	bool any_port, same_port;
	unsigned int in;		/* bit 1 << SEG_x: the option goes into that segment */
	unsigned int count;
	bool options_given;
	struct { uint8_t kind, len; } option[4];
	struct claim claim[SEG_CARRIERS][FAMILIES];
	uint8_t raw[SEG_CARRIERS][OPTIONS_MAX];
	unsigned int raw_len[SEG_CARRIERS];
	uint8_t own[SEG_CARRIERS][OPTIONS_MAX];
	unsigned int own_len[SEG_CARRIERS];
	unsigned int nops;
	bool last, fit, no_clamp;
	unsigned int drop[SEG_DROPS];	/* lose the first n segments of this class */
};

enum { SERVICES_MAX = 256 };
extern struct service services[SERVICES_MAX];
extern unsigned int service_count;

const char *service_parse(const char *text);
struct service *service_find(const struct endpoint *dst);
unsigned int service_option(const struct service *s, enum seg seg, const struct endpoint *client,
			    uint8_t out[OPTIONS_MAX]);
void service_claims(const struct service *s, enum seg seg, const struct endpoint *client,
		    char *text, size_t size);

/* ---- conn.c ---- */

enum state { STATE_SYN, STATE_OPEN, STATE_CLOSED, STATES };

struct conn {
	struct conn *next[2];		/* hash chains: by client, by local address */
	struct conn *older, *newer;	/* list of its state, by last packet */
	struct service *service;
	struct endpoint client, vip, local, backend;
	uint64_t last;
	enum state state;
	uint32_t isn, first_seq;	/* of the client; what the SYN-ACK acknowledged */
	uint32_t server_isn[2];		/* the two latest: SYN cookies may differ */
	uint32_t fin_end[2];		/* per direction: sequence number behind the FIN */
	bool fin[2], fin_acked[2];
	bool synack, data_seen;
	uint8_t strip;
	unsigned int dropped[SEG_DROPS];
};

struct conn_limits {
	unsigned int max;
	unsigned int syn_ms, idle_ms, linger_ms;
	uint16_t port_low, port_high;
};

bool conn_init(const struct conn_limits *l);
bool pool_add(const struct addr *first, unsigned int count);
bool pool_contains(const struct addr *a);
struct conn *conn_by_client(const struct endpoint *client, const struct endpoint *vip);
struct conn *conn_by_local(const struct endpoint *local, const struct endpoint *backend);
struct conn *conn_new(struct service *s, const struct segment *syn, uint64_t now);
void conn_restart(struct conn *c, const struct segment *syn);
void conn_seen(struct conn *c, const struct segment *s, int direction, uint64_t now);
void conn_expire(uint64_t now);
unsigned int conn_active(void);

/* ---- device.c ---- */

struct device {
	const char *name, *netns;
	int fd;
	unsigned int mtu;	/* wanted, 0: as it is; after device_open what it is */
	int home, away;		/* network namespaces */
	int index;
};

bool device_open(struct device *d);
bool device_up(struct device *d);
bool device_address(struct device *d, const struct addr *a);
bool device_route(struct device *d, const struct addr *a, const struct addr *source);

/* ---- fault.c ---- */

struct faults {
	double loss, dup, reorder;	/* per cent */
	uint64_t seed;
};

void fault_init(const struct faults *f);
void fault_send(struct device *d, const uint8_t *buf, size_t len, uint64_t now);
void fault_expire(uint64_t now);
bool fault_pending(void);

/* ---- forward.c ---- */

extern struct device client_device, server_device;
void forward(const uint8_t *buf, size_t len, uint64_t now);

/* ---- toa-lb.c ---- */

struct counters {
	unsigned long from_client, from_server, sent, conns;
	unsigned long opt[SEG_CARRIERS], noroom, split;
	unsigned long full, no_port, evicted, stray, ignored, malformed, badcsum, ttl, write_error;
	unsigned long lost, duplicated, reordered, dropped;
};

extern struct counters counters;
extern int log_fd;

#endif /* TOA_LB_H */
