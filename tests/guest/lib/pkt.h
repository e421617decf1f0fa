/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The balancer's side of TCP connections, segment by segment, over a TUN device.
 *
 * Nothing is sent unless a test asks for it: no acknowledgment, no retransmission.
 */
#ifndef TEST_PKT_H
#define TEST_PKT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_V4 "10.9.0.1"
#define SERVER_V6 "fd09::1"
#define BALANCER_V4 "10.9.0.2"
#define BALANCER_V6 "fd09::2"
#define BALANCER_LINK_LOCAL "fe80::2"

/* For what must happen, never for what must not; a test may lower it for what may. */
#define WAIT_MS 10000
extern int wait_ms;

#define F_FIN 0x01
#define F_SYN 0x02
#define F_RST 0x04
#define F_PSH 0x08
#define F_ACK 0x10

/* A TUN device with the server's addresses, in one network namespace. */
struct dev {
	int fd;
	char name[16];
};

/* Option bytes of a segment, in the order they were added. */
struct opts {
	uint8_t byte[60];
	size_t len;
};

struct seg {
	uint8_t flags;
	uint32_t seq;
	uint32_t ack;
	struct opts opts;
	uint8_t data[2048];
	size_t len;
};

struct conn {
	const struct dev *dev;
	bool v6;
	uint8_t saddr[16];	/* the balancer's; IPv4: the first four bytes */
	uint8_t daddr[16];
	uint16_t sport;		/* host byte order */
	uint16_t dport;
	uint32_t isn;
	uint32_t snd_nxt;
	uint32_t rcv_nxt;
	uint32_t flow;		/* label, IPv6 */
};

extern struct dev dev0;		/* of the namespace the program runs in */

/* IPv6 may be switched off: need_ipv6() skips the test then. */
bool ipv6_exists(void);
void need_ipv6(void);

void dev_open(struct dev *dev);
void dev_close(struct dev *dev);

struct opts *opt_raw(struct opts *o, const void *bytes, size_t len);
struct opts *opt_byte(struct opts *o, unsigned int count, ...);
struct opts *opt_v4(struct opts *o, const char *addr, uint16_t port);
struct opts *opt_v6(struct opts *o, const char *addr, uint16_t port);
const struct opts *v4_opt(const char *addr, uint16_t port);
const struct opts *v6_opt(const char *addr, uint16_t port);

void conn_init(struct conn *c, bool v6, uint16_t dport);
void conn_again(struct conn *c);
const char *conn_addr(const struct conn *c, bool mapped);

/* May change what is sent, before its checksum is made. */
extern void (*conn_mutate)(uint8_t *tcp, size_t len);

void conn_send(const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack,
	       const struct opts *o, const void *data, size_t len);
bool conn_recv(struct conn *c, uint8_t mask, uint8_t flags, struct seg *seg);
void dev_drain(const struct dev *dev);

void conn_syn(struct conn *c, const struct opts *o);
bool conn_synack(struct conn *c, struct seg *seg);
void conn_ack(struct conn *c, const struct opts *o);
void conn_data(struct conn *c, const struct opts *o, const char *text);
bool conn_answer(struct conn *c, const struct opts *o);
void conn_fin(struct conn *c);
void conn_rst(struct conn *c);

/*
 * SYN and SYN-ACK, of a connection from a link-local address. Skips the test if this kernel has no
 * route to such.
 */
void conn_syn_link_local(struct conn *c);

/* SYN, SYN-ACK, ACK. */
bool conn_open(struct conn *c, const struct opts *syn, const struct opts *ack);

#endif /* TEST_PKT_H */
