/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Single operations whose cost is measured, the same with and without the module: what cost.c times
 * and exact.c shows to the host.
 */
#ifndef BENCH_OPERATIONS_H
#define BENCH_OPERATIONS_H

/* So many sockets are in use in turn: with others' entries in the table, some meet them. */
enum { SOCKETS = 128 };

void operations_open(void);		/* the listeners; first of all */

/* Each opens a connection and closes the oldest of SOCKETS. 200, 253: the option, in the ACK. */
void op_conn_none(void);
void op_conn_200(void);
void op_conn_253(void);
void op_conn_253_dual(void);		/* to a dual-stack listener */
void op_conn_syn_200(void);		/* in the SYN */
void op_conn_both_200(void);		/* in the SYN and in the ACK */

/* A SYN, its answer, and a RST. */
void op_syn_none(void);
void op_syn_200(void);

/* The sockets for the calls that ask; those with entries have them if the module is loaded. */
void connect_plain(void);
void connect_entries(void);
void op_getname_none(void);
void op_getname_entry(void);
void op_getsockopt_entry(void);

void op_udp_open(void);
void op_udp_close(void);

/* SYNs with option 200 that nobody completes, each from another address. */
void abandon(unsigned int count);

#endif /* BENCH_OPERATIONS_H */
