/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The server's side: listeners of each kind, and what an application is told about its peer, as
 * text: "192.0.2.1:80", "[2001:db8::1]:80", or the name of the error.
 */
#ifndef TEST_HOST_H
#define TEST_HOST_H

#include "pkt.h"
#include "tap.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

/* What older headers of the C library lack. */
#ifndef TCP_FASTOPEN
#define TCP_FASTOPEN 23
#endif
#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif
#ifndef SOL_MPTCP
#define SOL_MPTCP 284
#endif
#ifndef MPTCP_INFO
#define MPTCP_INFO 1
#endif

enum kind {
	INET,		/* AF_INET */
	MAPPED,		/* AF_INET6 dual-stack, IPv4 connection */
	INET6,		/* AF_INET6 with IPV6_V6ONLY */
	DUAL6,		/* AF_INET6 dual-stack, IPv6 connection */
	KINDS
};

extern const char *const kind_name[KINDS];
extern const enum kind every_kind[KINDS];

/* A test for each kind, called "NAME, KIND"; it gets a pointer to the kind. */
void test_add_kinds(test_fn fn, const char *name);

struct server {
	int fd;
	enum kind kind;
	uint16_t port;
};

bool kind_v6(enum kind kind);	/* on the wire */

void server_open(struct server *s, enum kind kind, int backlog);

/* As nginx's "deferred": the kernel waits for data, and drops the ACK before. */
void server_open_deferred(struct server *s, enum kind kind);
/* In two steps, for options that must be set between. */
void server_socket(struct server *s, enum kind kind);
void server_listen(struct server *s, int backlog, uint16_t port);

void server_open_at(struct server *s, enum kind kind, int backlog, uint16_t port);
void server_conn(const struct server *s, struct conn *c);
const char *server_sees(const struct server *s, const struct conn *c);

/* accept() within WAIT_MS; -1 if nothing comes. @addr may be NULL. */
int server_accept(const struct server *s, const char **addr);

/* The same, without the address; ends the test if there is none. */
int server_accepted(const struct server *s);

/* A connection whose SYN, with these options, has been answered; ends the test if it has not. */
void server_syn(const struct server *s, struct conn *c, const struct opts *syn);

/* A connection made with these options and accepted; ends the test if that fails. */
int server_connect(const struct server *s, struct conn *c, const struct opts *syn,
		   const struct opts *ack);

/* Does what the balancer sends arrive, and the other way round? */
bool data_flows(struct conn *c, int fd);
bool data_reads(int fd, const char *want);

void reset(int fd);		/* close with RST */

const char *addr_text(const struct sockaddr_storage *addr);
const char *error_name(int err);
/* Before that version of Linux? Vendors' kernels may have later features. */
bool linux_before(int major, int minor);
/* What a Fast Open SYN has made, -1 for nothing; skips the test if the kernel cannot. */
void need_fast_open(const struct server *s, int fd);

const char *peer_of(int fd);		/* getpeername */
const char *peername_of(int fd);	/* SO_PEERNAME */
const char *local_of(int fd);		/* getsockname */
const char *nat64_of(int fd);		/* getsockopt 4096 */

/* Text of an address as AF_INET6 sockets show it if it is an IPv4 one. */
const char *mapped(const char *v4_text);

/*
 * The socket must say all that the contract says of a connection with these addresses, NULL for
 * none; @c is the connection.
 */
void has(const char *where, int line, const struct server *s, const struct conn *c, int fd,
	 const char *v4, const char *v6);
#define check_has(s, c, fd, v4, v6) has(__FILE__, __LINE__, s, c, fd, v4, v6)

void write_file(const char *path, const char *text);
bool read_file(const char *path, char *buf, size_t size);
const char *tracing(const char *file);	/* the path of a file of tracefs; before 4.1, of debugfs */

#endif /* TEST_HOST_H */
