// SPDX-License-Identifier: GPL-2.0
#include "bpf.h"
#include "host.h"
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUP "/tmp/toa-cgroup"

int bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

int bpf_counter(void)
{
	const struct rlimit all = { RLIM_INFINITY, RLIM_INFINITY };
	union bpf_attr attr;

	/* Before 5.11, maps and programs count as locked memory. */
	setrlimit(RLIMIT_MEMLOCK, &all);
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_ARRAY;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = sizeof(uint64_t);
	attr.max_entries = 1;
	return bpf(BPF_MAP_CREATE, &attr);
}

unsigned long bpf_count(int map)
{
	union bpf_attr attr;
	uint64_t value = 0;
	uint32_t key = 0;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)&value;
	require(bpf(BPF_MAP_LOOKUP_ELEM, &attr) == 0);
	return value;
}

int bpf_load(enum bpf_prog_type type, enum bpf_attach_type attach, uint32_t btf_id,
	     const struct bpf_insn *insns, size_t count)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = type;
	attr.expected_attach_type = attach;
	attr.attach_btf_id = btf_id;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = count;
	attr.license = (uintptr_t)"GPL";
	return bpf(BPF_PROG_LOAD, &attr);
}

/*
 * Cgroup programs
 */

#define INSN_STORE(field, value) \
	INSN(BPF_ALU | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, value), \
	INSN(BPF_STX | BPF_MEM | BPF_W, BPF_REG_1, BPF_REG_2, \
	     offsetof(struct bpf_sock_addr, field), 0)

#define INSN_RETURN(value) \
	INSN(BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, value), \
	INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static int peername_v4(int map)
{
	uint32_t addr = inet_addr(BPF_PEER_V4);
	const struct bpf_insn insns[] = {
		INSN_COUNT(map),
		INSN_STORE(user_ip4, addr),
		INSN_RETURN(1),
	};

	return bpf_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME, 0, insns,
			sizeof(insns) / sizeof(insns[0]));
}

static int peername_v6(int map)
{
	uint32_t addr[4];
	struct bpf_insn insns[] = {
		INSN_COUNT(map),
		INSN_STORE(user_ip6[0], 0),
		INSN_STORE(user_ip6[1], 0),
		INSN_STORE(user_ip6[2], 0),
		INSN_STORE(user_ip6[3], 0),
		INSN_RETURN(1),
	};
	int i;

	inet_pton(AF_INET6, BPF_PEER_V6, addr);
	for (i = 0; i < 4; i++)
		insns[4 + 2 * i].imm = addr[i];
	return bpf_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_GETPEERNAME, 0, insns,
			sizeof(insns) / sizeof(insns[0]));
}

/* The root cgroup; it needs no mount to stay open. */
static int root_group(void)
{
	int group, err;

	mkdir("/tmp", 0755);
	mkdir(GROUP, 0755);
	if (mount("none", GROUP, "cgroup2", 0, NULL))
		return -1;
	group = open(GROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = errno;
	umount2(GROUP, MNT_DETACH);
	rmdir(GROUP);
	errno = err;
	return group;
}

int bpf_peername(bool v6, int map)
{
	union bpf_attr attr;
	int prog, group, link;

	prog = v6 ? peername_v6(map) : peername_v4(map);
	if (prog < 0)
		test_skip("this kernel takes no cgroup BPF program (%s)", error_name(errno));
	group = root_group();
	if (group < 0)
		test_skip("this kernel has no cgroup2 (%s)", error_name(errno));
	memset(&attr, 0, sizeof(attr));
	attr.link_create.prog_fd = prog;
	attr.link_create.target_fd = group;
	attr.link_create.attach_type = v6 ? BPF_CGROUP_INET6_GETPEERNAME :
					    BPF_CGROUP_INET4_GETPEERNAME;
	link = bpf(BPF_LINK_CREATE, &attr);
	require(link >= 0);
	close(group);
	close(prog);
	return link;
}
