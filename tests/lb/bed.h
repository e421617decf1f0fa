/* SPDX-License-Identifier: GPL-2.0 */
/*
 * bed.h - what the balancer's own tests stand on: two network namespaces, the balancer between
 * them, sniffers on both of its devices, and many connections driven from one process.
 */
#ifndef TOA_LB_BED_H
#define TOA_LB_BED_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CAPTURE_BYTES = 120, CLIENT_ADDRS = 20, POOL_ADDRS = 4, BACKEND_PORT = 8080, VIP_PORT = 80 };

enum mode { SNAT, NAT64, V6, MODES };
/*
 * Two namespaces of our own; one of our own; the current one or two named ones, made ready by
 * topology.sh.
 */
enum form { TWO_NETNS, ONE_NETNS, PREPARED };
enum where { CLIENT_SIDE, SERVER_SIDE, SIDES };
enum ending { CLIENT_FIN, SERVER_FIN, CLIENT_RST, SERVER_RST };

struct side {
	struct link *link;
	int fd;
	bool client, eof, reset, armed_out;
	size_t sent, got;
	uint8_t head[8];		/* server: the connection's number, until it is whole */
};

/* One connection, both of its ends. */
struct link {
	unsigned int id;
	struct side end[SIDES];
	struct sockaddr_storage real, seen;	/* client as it is, and as the server sees it */
	bool done, closing, closed;
	/* what the capture showed so far */
	bool have_syn, have_synack, have_data;
	uint32_t isn, server_isn, first;
	unsigned int carried[3];
};

struct capture {
	enum where where;
	bool to_host;			/* towards the kernel: sent by the balancer */
	unsigned int len;
	uint8_t bytes[CAPTURE_BYTES];
};

/* A run: connections through one service. */
struct run {
	enum mode mode;
	const char *keys;		/* of the service, begins with "," or is empty */
	const char *args[16];		/* more arguments for the balancer, NULL at the end */
	unsigned int links;
	size_t up, down;
	enum ending ending;
	bool hold;			/* nobody closes before all have got everything */
	bool fastopen, mptcp;
	unsigned int seconds;		/* limit, default 60 */
	bool keep_ports;		/* no --ports of our own */
	bool one_device;
	bool one_address;		/* of the pool; a Fast Open cookie is good for one */
};

enum { SYN, ACK, DATA, CARRIERS };

/* How the options of a connection have to look. */
struct look {
	/*
	 * Bytes of the option in SYN, ACK, data, or NULL: hexadecimal; P is the client's port,
	 * A its IPv4 address, B its IPv6 address.
	 */
	const char *bytes[CARRIERS];
	bool at_end;
	bool no_ts, no_sackok;		/* must not appear; else they have to be in the SYN */
	bool faults;			/* lost or late segments: an ACK may carry it or not */
	bool any_size;			/* do not look at the MSS */
	bool mptcp;			/* MPTCP has to be in the SYN */
	bool may_lack[CARRIERS];	/* a segment that need not occur */
	unsigned int mtu[SIDES];	/* default 1500 */
};

struct view {
	unsigned int ip, optlen, datalen;
	const uint8_t *tcp, *opt;
	uint32_t seq, ack;
	uint8_t flags;
};

/* ---- bed.c ---- */

extern int listener[MODES][2];		/* [mptcp] */
extern struct capture *captures;
extern size_t capture_count;
extern char lb_output[8192], lb_log[256];
extern const char *lb_path;
extern char why[512];

bool bed_init(enum form f, const char *client_netns, const char *server_netns);
bool bed_enter(int where);		/* -1: back home */
bool lb_start(const struct run *r);
bool lb_stop(void);
long lb_counter(const char *name);
long lb_counter_now(const char *name);
void sniff_start(void);
void sniff_drain(void);
long tcp_counter(const char *name);
uint64_t now_ms(void);
bool fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- drive.c ---- */

extern struct link *links;

bool transfer(const struct run *r);
int client_socket(enum mode m, bool mptcp, unsigned int n, unsigned int port);
int client_connect(enum mode m, int fd);
int server_accept(enum mode m, unsigned int ms);

/* ---- look.c ---- */

bool view(const struct capture *c, struct view *v);
const uint8_t *find_option(const struct view *v, uint8_t kind);
bool index_seen(const struct run *r);
bool look_all(const struct look *k, const struct run *r);

#endif /* TOA_LB_BED_H */
