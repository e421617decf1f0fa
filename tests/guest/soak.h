/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the program soak share: how a connection comes about, and how far it is. */
#ifndef TEST_SOAK_H
#define TEST_SOAK_H

#include "mod.h"

#include <sys/types.h>

enum way { SNAT, NAT64, V6TO6, WAYS };
enum carried {
	NOWHERE, IN_SYN, IN_ACK, IN_DATA, IN_LATER, IN_ALL, TWO_KINDS, DISAGREE, DISAGREE_LOSSY,
	FORGED_OTHER, FORGED_SAME, FORGED_SYN, FORGED_LATER,
	CARRIED
};

enum listener { PLAIN, DUAL, DEFERRED, FASTOPEN, REUSEPORT, MPTCP, LISTENERS };

enum {
	PORT = 10000,
	DEFERRED_PORT = 9999,		/* of the good balancer, see drops_are_seen() */
	IN_FLIGHT = 128,		/* connections */
	PHASE = 800,			/* as well */
};

/* What a client writes itself, that would be somebody else. */
#define FORGED_PORT 666
#define FORGED_V4 "192.0.2.66"
#define FORGED_V6 "2001:db8:f0::66"

/* One way to come about, and what became of it. */
struct kind_of_conn {
	enum way way;
	enum carried carried;
	enum listener listener;
	bool good;			/* the balancer */
	bool used;
	unsigned long checked, lost, wrong;
};

enum { ALL_WAYS = WAYS * CARRIED * LISTENERS };

/* A client's first bytes. */
struct hello {
	uint32_t magic;
	uint32_t index;			/* of kinds[] */
	uint64_t id;			/* of all connections */
	struct sockaddr_storage client;
};

enum { MAGIC = 0x544f4131 };

/* soak.c */
extern unsigned long conns, run_seed;
extern double faults;
extern int client_ns, server_ns;
extern int stopping;
extern unsigned long done, open_now, ghosts;
extern bool *seen;			/* by @id */

uint64_t now_ms(void);
uint32_t draw(uint64_t *state);
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void set(const char *path, const char *text);

/* soak_balancer.c */
extern const char *const way_name[WAYS];
extern const char *const place_name[CARRIED];
extern const char *const listener_name[LISTENERS];
extern struct kind_of_conn kinds[ALL_WAYS];
extern pid_t balancer[2];

void choose_ways(void);
bool server_is_v6(const struct kind_of_conn *k);
int deferred_way(void);
const char *vip(const struct kind_of_conn *k);
void set_up(const char *lb);		/* namespaces, and the balancers between them */
void in_ns(int ns);

/* soak_answer.c */
struct asked {
	struct sockaddr_storage accepted, peer;
	int fd;
};

extern const char *params;		/* of the module */
void module_params(const char *text);
void check_conn(const struct hello *h, struct asked *a);

/* soak_server.c */
extern int listeners[ALL_WAYS * 2], listener_count;
void listen_at(int i);
void *server(void *arg);

/* soak_client.c */
void drops_are_seen(void);
void *clients(void *arg);

#endif /* TEST_SOAK_H */
