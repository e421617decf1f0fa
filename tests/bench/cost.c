// SPDX-License-Identifier: GPL-2.0
/*
 * What the module costs: time of single operations with it minus without it, in the same boot.
 *
 * Run in a guest under `qemu -icount shift=0`, where a nanosecond of CLOCK_MONOTONIC is an
 * instruction. Prints one CSV line for each operation: name, without, with, difference, spread of
 * the difference over the rounds; medians of ROUNDS rounds of COUNT operations each.
 *
 * usage: cost [MODULE-PARAMETERS]
 */
#include "mod.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	ROUNDS = 9,
	COUNT = 200,		/* of what takes some 50,000 instructions */
	COUNT_CALLS = 2000,	/* of single system calls */
};

static struct server v4_server, dual_server;
static int entry_fd = -1, plain_fd = -1;

static long long now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* What a Linux client sends, so that the kernel's and the module's parsers have usual work. */
static const unsigned char syn_opts[] = {
	2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7,
};

static const unsigned char ack_opts[] = { 1, 1, 8, 10, 0, 0, 0, 2, 0, 0, 0, 0 };

/* SYN to close; the segments are the same with and without the module. */
static void connection(struct server *server, const struct opts *toa)
{
	static struct opts syn, ack;
	struct conn c;
	struct seg seg;
	int fd;

	syn.len = 0;
	opt_raw(&syn, syn_opts, sizeof(syn_opts));
	ack.len = 0;
	opt_raw(&ack, ack_opts, sizeof(ack_opts));
	if (toa)
		opt_raw(&ack, toa->byte, toa->len);
	server_conn(server, &c);
	if (!conn_open(&c, &syn, &ack))
		exit(1);
	fd = accept(server->fd, NULL, NULL);
	if (fd < 0)
		exit(1);
	conn_fin(&c);
	close(fd);
	if (!conn_recv(&c, F_FIN, F_FIN, &seg))
		exit(1);
	c.rcv_nxt = seg.seq + 1;
	conn_ack(&c, NULL);
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

static void conn_none(void)
{
	connection(&v4_server, NULL);
}

static void conn_200(void)
{
	connection(&v4_server, v4_opt("192.0.2.7", 7000));
}

static void conn_253(void)
{
	connection(&v4_server, v6_opt("2001:db8::7", 7000));
}

static void conn_253_dual(void)
{
	connection(&dual_server, v6_opt("2001:db8::7", 7000));
}

static void syn_none(void)
{
	syn_only(NULL);
}

static void syn_200(void)
{
	syn_only(v4_opt("192.0.2.7", 7000));
}

static void getname(int fd)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (getpeername(fd, (struct sockaddr *)&addr, &len))
		exit(1);
}

static void getname_none(void)
{
	getname(plain_fd);
}

static void getname_entry(void)
{
	getname(entry_fd);
}

/* Compared with itself without the module: an unknown number then. */
static void getsockopt_entry(void)
{
	unsigned char value[20];
	socklen_t len = sizeof(value);

	getsockopt(entry_fd, IPPROTO_IP, 4096, value, &len);
}

static void udp_close(void)
{
	close(socket(AF_INET, SOCK_DGRAM, 0));
}

static const struct {
	const char *name;
	void (*run)(void);
	int count;
} operations[] = {
	{ "connection, no option", conn_none, COUNT },
	{ "connection, option 200", conn_200, COUNT },
	{ "connection, option 253", conn_253, COUNT },
	{ "connection, option 253, dual-stack listener", conn_253_dual, COUNT },
	{ "getpeername, no entry", getname_none, COUNT_CALLS },
	{ "getpeername, entry", getname_entry, COUNT_CALLS },
	{ "getsockopt 4096, entry", getsockopt_entry, COUNT_CALLS },
	{ "SYN and RST, no option", syn_none, COUNT },
	{ "SYN and RST, option 200", syn_200, COUNT },
	{ "UDP socket, open and close", udp_close, COUNT_CALLS },
};

#define OPERATIONS ((int)(sizeof(operations) / sizeof(operations[0])))

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts @round. */
static double measure(int op, double *round)
{
	int r, i;

	for (i = 0; i < operations[op].count / 4; i++)	/* warm */
		operations[op].run();
	for (r = 0; r < ROUNDS; r++) {
		long long start = now_ns();

		for (i = 0; i < operations[op].count; i++)
			operations[op].run();
		round[r] = (double)(now_ns() - start) / operations[op].count;
	}
	qsort(round, ROUNDS, sizeof(round[0]), compare);
	return round[ROUNDS / 2];
}

/* Connections for the calls that ask; with an entry if the module is loaded. */
static void connect_both(void)
{
	struct conn a, b;

	entry_fd = server_connect(&v4_server, &a, NULL,
				  opt_v4(opt_v6(&(struct opts){ .len = 0 }, "2001:db8::7", 7000),
					 "192.0.2.7", 7000));
	plain_fd = server_connect(&v4_server, &b, NULL, NULL);
}

static void bench(const void *arg)
{
	static double without[OPERATIONS][ROUNDS], with[OPERATIONS][ROUNDS];
	double base[OPERATIONS];
	int op;

	write_file("/proc/sys/net/ipv4/tcp_max_syn_backlog", "65536");
	write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "16");
	server_open(&v4_server, INET, 1024);
	server_open(&dual_server, MAPPED, 1024);

	connect_both();
	for (op = 0; op < OPERATIONS; op++)
		base[op] = measure(op, without[op]);
	require(toa_load(arg) == 0);
	connect_both();
	for (op = 0; op < OPERATIONS; op++) {
		double loaded = measure(op, with[op]);
		double spread = with[op][ROUNDS - 2] - with[op][1];

		printf("# csv: \"%s\",%.0f,%.0f,%.0f,%.0f\n", operations[op].name, base[op], loaded,
		       loaded - base[op], spread);
		fflush(stdout);
	}
	toa_unload();
}

int main(int argc, char **argv)
{
	test_add(bench, argc > 1 ? argv[1] : "", "bench");
	return bare_main("cost", 1, argv);
}
