// SPDX-License-Identifier: GPL-2.0
/*
 * What identifies a handshake. Whoever can guess a number may send a SYN that differs from an
 * honest one in one thing only: what it claims must not become the honest client's address.
 */
#include "mod.h"

#include <stdlib.h>
#include <unistd.h>

#define FORGED_V4 "203.0.113.9"
#define FORGED_V6 "2001:db8::99"
#define FORGED_V4_TEXT "203.0.113.9:1234"
#define FORGED_V6_TEXT "[2001:db8::99]:1111"

enum differs { PORT, ADDRESS, LISTENER, NUMBER, THINGS };

static const char *const differs_name[THINGS] = {
	"another source port", "another source address", "another listener", "another number",
};

struct flow {
	enum kind kind;
	enum differs differs;
};

static void flow(const void *arg)
{
	const struct flow *t = arg;
	struct conn honest, forged;
	struct server s, other;
	struct opts o = { .len = 0 };
	int fd;

	server_open(&s, t->kind, 5);
	server_open(&other, t->kind, 5);
	server_conn(&s, &honest);
	forged = honest;
	switch (t->differs) {
	case PORT:
		forged.sport ^= 0x4000;
		break;
	case ADDRESS:
		forged.saddr[kind_v6(t->kind) ? 15 : 3] ^= 0x40;
		break;
	case LISTENER:
		forged.dport = other.port;
		break;
	default:
		forged.isn += 0x40000000;
		forged.snd_nxt = forged.isn;
	}

	conn_syn(&forged, opt_v6(opt_v4(&o, FORGED_V4, 1234), FORGED_V6, 1111));
	require(conn_synack(&forged, NULL));
	/* Makes room for the honest one, which would else be the same request. */
	if (t->differs == NUMBER)
		conn_rst(&forged);
	require(conn_open(&honest, NULL, NULL));
	fd = server_accepted(&s);
	check_has(&s, &honest, fd, NULL, NULL);
	check(data_flows(&honest, fd));
	if (t->differs == NUMBER)
		return;

	/* The other one is a handshake too, with its own address. */
	conn_ack(&forged, NULL);
	fd = server_accept(t->differs == LISTENER ? &other : &s, NULL);
	require(fd >= 0);
	check_has(t->differs == LISTENER ? &other : &s, &forged, fd, FORGED_V4_TEXT,
		  FORGED_V6_TEXT);
	check(data_flows(&forged, fd));
}

/* A namespace's number is given to a later one: what the first one's SYN said must be gone. */
static void namespace_again(const void *arg)
{
	struct opts o = { .len = 0 };
	struct ns before, after;
	unsigned long inode;
	struct server s;
	struct conn c;
	int tries, fd;

	(void)arg;
	ns_new(&before);
	inode = before.inode;
	ns_enter(&before);
	server_open_at(&s, INET, 5, 7777);
	ns_leave();
	server_conn(&s, &c);
	c.dev = &before.dev;
	conn_syn(&c, opt_v6(opt_v4(&o, FORGED_V4, 1234), FORGED_V6, 1111));
	require(conn_synack(&c, NULL));
	close(s.fd);
	ns_free(&before);

	/* It is freed by and by. */
	ns_new(&after);
	for (tries = 0; after.inode != inode && tries < 50; tries++) {
		ns_free(&after);
		usleep(100000);
		ns_new(&after);
	}
	if (after.inode != inode)
		test_skip("no later namespace got the number");
	ns_enter(&after);
	server_open_at(&s, INET, 5, 7777);
	ns_leave();
	c.dev = &after.dev;
	c.snd_nxt = c.isn;
	require(conn_open(&c, NULL, NULL));
	fd = server_accepted(&s);
	check_has(&s, &c, fd, NULL, NULL);
	close(fd);
	close(s.fd);
	ns_free(&after);
}

int main(int argc, char **argv)
{
	static struct flow all[KINDS * THINGS];
	int i;

	for (i = 0; i < KINDS * THINGS; i++) {
		all[i].kind = i / THINGS;
		all[i].differs = i % THINGS;
		test_add(flow, &all[i], "SYN with %s, %s", differs_name[all[i].differs],
			 kind_name[all[i].kind]);
	}
	test_add(namespace_again, NULL, "namespace with the number of one that is gone");
	return toa_main("flow", "both=1", argc, argv);
}
