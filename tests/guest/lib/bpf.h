/* SPDX-License-Identifier: GPL-2.0 */
/* BPF programs, without a library. Each counts how often it runs. */
#ifndef TEST_BPF_H
#define TEST_BPF_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INSN(c, d, s, o, i) { .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) }

/* One more in the map; leaves r1, the context, as it is. */
#define INSN_COUNT(map) \
	INSN(BPF_LD | BPF_DW | BPF_IMM, BPF_REG_2, BPF_PSEUDO_MAP_VALUE, 0, map), \
	INSN(0, 0, 0, 0, 0), \
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, 1), \
	INSN(BPF_STX | BPF_DW | BPF_XADD, BPF_REG_2, BPF_REG_3, 0, 0)

/* What bpf_peername() says; ports stay. */
#define BPF_PEER_V4 "192.0.2.99"
#define BPF_PEER_V6 "2001:db8:9::99"

int bpf(int cmd, union bpf_attr *attr);

int bpf_counter(void);		/* a map with one number; -1 and errno */
unsigned long bpf_count(int map);

/* A loaded program, or -1 and errno. @btf_id: the function of the kernel it is for, or 0. */
int bpf_load(enum bpf_prog_type type, enum bpf_attach_type attach, uint32_t btf_id,
	     const struct bpf_insn *insns, size_t count);

/*
 * A program of the root cgroup that changes what getpeername() says of sockets of one family. It
 * goes when what is returned is closed. Skips the test if this kernel has no such programs.
 */
int bpf_peername(bool v6, int map);

#endif /* TEST_BPF_H */
