// SPDX-License-Identifier: GPL-2.0
#include "operations.h"
#include "mod.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct server v4_server, dual_server;
static int entry_fd[SOCKETS], plain_fd[SOCKETS], udp_fd[SOCKETS];
static unsigned int turn;

void operations_open(void)
{
	server_open(&v4_server, INET, 1024);
	server_open(&dual_server, MAPPED, 1024);
}

/* What a Linux client sends, so that the kernel's and the module's parsers have usual work. */
static const unsigned char syn_opts[] = {
	2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
};

static const unsigned char ack_opts[] = { 1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 0 };

/* Those that are open now; each operation opens one and closes the oldest. */
static struct {
	struct conn c;
	int fd;
} ring[SOCKETS];

static void finish(struct conn *c, int fd)
{
	struct seg seg;

	conn_fin(c);
	close(fd);
	if (!conn_recv(c, F_FIN, F_FIN, &seg))
		exit(1);
	c->rcv_nxt = seg.seq + 1;
	conn_ack(c, NULL);
}

/* Where the option stands. */
enum { IN_SYN = 1, IN_ACK = 2 };

/* From the SYN to the close; the segments are the same with and without the module. */
static void connection(struct server *server, const struct opts *toa, unsigned int where)
{
	static struct opts syn, ack;
	unsigned int i = turn++ % SOCKETS;

	if (ring[i].fd)
		finish(&ring[i].c, ring[i].fd);
	syn.len = 0;
	opt_raw(&syn, syn_opts, sizeof(syn_opts));
	ack.len = 0;
	opt_raw(&ack, ack_opts, sizeof(ack_opts));
	if (where & IN_SYN)
		opt_raw(&syn, toa->byte, toa->len);
	if (where & IN_ACK)
		opt_raw(&ack, toa->byte, toa->len);
	server_conn(server, &ring[i].c);
	if (!conn_open(&ring[i].c, &syn, &ack))
		exit(1);
	ring[i].fd = accept(server->fd, NULL, NULL);
	if (ring[i].fd < 0)
		exit(1);
}

static void syn_only(const struct opts *toa)
{
	struct opts syn = { .len = 0 };
	struct conn c;

	opt_raw(&syn, syn_opts, sizeof(syn_opts));
	if (toa)
		opt_raw(&syn, toa->byte, toa->len);
	server_conn(&v4_server, &c);
	conn_syn(&c, &syn);
	if (!conn_synack(&c, NULL))
		exit(1);
	conn_rst(&c);
}

void op_conn_none(void)
{
	connection(&v4_server, NULL, 0);
}

void op_conn_200(void)
{
	connection(&v4_server, v4_opt("192.0.2.7", 7000), IN_ACK);
}

void op_conn_syn_200(void)
{
	connection(&v4_server, v4_opt("192.0.2.7", 7000), IN_SYN);
}

void op_conn_both_200(void)
{
	connection(&v4_server, v4_opt("192.0.2.7", 7000), IN_SYN | IN_ACK);
}

void op_conn_253(void)
{
	connection(&v4_server, v6_opt("2001:db8::7", 7000), IN_ACK);
}

void op_conn_253_dual(void)
{
	connection(&dual_server, v6_opt("2001:db8::7", 7000), IN_ACK);
}

void op_syn_none(void)
{
	syn_only(NULL);
}

void op_syn_200(void)
{
	syn_only(v4_opt("192.0.2.7", 7000));
}

/* From another address than all the others, whose ports come again. */
static void replace(int *fd, const struct opts *toa)
{
	struct conn c;

	if (*fd)
		reset(*fd);
	server_conn(&v4_server, &c);
	c.saddr[3]++;
	require(conn_open(&c, NULL, toa));
	*fd = server_accept(&v4_server, NULL);
	require(*fd > 0);
}

/* They have entries if the module is loaded. */
void connect_entries(void)
{
	struct opts both = { .len = 0 };
	int i;

	opt_v4(opt_v6(&both, "2001:db8::7", 7000), "192.0.2.7", 7000);
	for (i = 0; i < SOCKETS; i++)
		if (!entry_fd[i])
			replace(&entry_fd[i], &both);
}

static void getname(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getpeername(fd, (struct sockaddr *)&addr, &len))
		exit(1);
}

void op_getname_none(void)
{
	getname(plain_fd[turn++ % SOCKETS]);
}

void op_getname_entry(void)
{
	getname(entry_fd[turn++ % SOCKETS]);
}

/* Without the module, an unknown number. */
void op_getsockopt_entry(void)
{
	unsigned char value[20];
	socklen_t len = sizeof(value);

	getsockopt(entry_fd[turn++ % SOCKETS], IPPROTO_IP, 4096, value, &len);
}

void op_udp_open(void)
{
	int i;

	for (i = 0; i < SOCKETS; i++)
		udp_fd[i] = socket(AF_INET, SOCK_DGRAM, 0);
	/* What RCU has to free from the last round. */
	usleep(20000);
}

void op_udp_close(void)
{
	close(udp_fd[turn++ % SOCKETS]);
}

/* Connections for the calls that ask. Those with entries come later: who meets them is chance. */
void connect_plain(void)
{
	int i;

	for (i = 0; i < SOCKETS; i++) {
		if (entry_fd[i])
			reset(entry_fd[i]);
		entry_fd[i] = 0;
		replace(&plain_fd[i], NULL);
	}
}

void abandon(unsigned int count)
{
	struct opts syn = { .len = 0 };
	struct server victim;
	struct conn c;

	opt_raw(&syn, syn_opts, sizeof(syn_opts));
	opt_v4(&syn, "192.0.2.7", 7000);
	/* The kernel keeps few of them, whatever the module keeps. */
	server_open(&victim, INET, 1);
	while (count--) {
		server_conn(&victim, &c);
		c.saddr[1] = 128 + (count >> 16);
		c.saddr[2] = count >> 8;
		c.saddr[3] = count;
		conn_syn(&c, &syn);
		if (count % 100 == 0)
			dev_drain(&dev0);
	}
	close(victim.fd);
}
