// SPDX-License-Identifier: GPL-2.0
#include "user.h"
#include "host.h"
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fuse.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

void user_become(uid_t uid)
{
	if (!uid)
		return;
	require(setgroups(0, NULL) == 0);
	require(setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
	/* Its files in /proc are its own. */
	require(prctl(PR_SET_DUMPABLE, 1) == 0);
}

void user_namespace_new(void)
{
	const uid_t uid = geteuid();
	const gid_t gid = getegid();
	char map[32];

	require(unshare(CLONE_NEWUSER) == 0);
	/* Linux before 3.19 does not ask for it. */
	if (access("/proc/self/setgroups", F_OK) == 0)
		write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
}

/* The file system is one file of one page. */

enum { PAGE = 4096 };

static int fuse_fd = -1, fuse_told = -1;

static void answer(uint64_t unique, int err, void *body, size_t len)
{
	struct fuse_out_header head = {
		.len = sizeof(head) + len, .error = -err, .unique = unique,
	};
	struct iovec iov[] = { { &head, sizeof(head) }, { body, len } };

	if (writev(fuse_fd, iov, 2) < 0)
		perror("fuse");
}

static void serve(void)
{
	static char buf[FUSE_MIN_READ_BUFFER + PAGE];
	struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = PAGE,
	};
	struct fuse_attr_out attr = {
		.attr = { .ino = 1, .size = PAGE, .mode = S_IFREG | 0600, .nlink = 1 },
	};
	struct fuse_open_out open = { .fh = 1 };
	const struct fuse_in_header *in = (void *)buf;

	while (read(fuse_fd, buf, sizeof(buf)) >= (ssize_t)sizeof(*in)) {
		switch (in->opcode) {
		case FUSE_INIT:
			answer(in->unique, 0, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			answer(in->unique, 0, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			answer(in->unique, 0, &open, sizeof(open));
			break;
		case FUSE_READ:
			if (write(fuse_told, "r", 1) != 1)
				perror("fuse");
			break;
		case FUSE_INTERRUPT:
		case FUSE_FORGET:
			break;
		default:
			answer(in->unique, ENOSYS, NULL, 0);
		}
	}
}

void *user_fuse_page(int told)
{
	char path[] = "/tmp/fuse.XXXXXX", options[96];
	struct stat st;
	void *page;
	pid_t server;
	int file;

	fuse_told = told;
	fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	file = mkstemp(path);
	require(file >= 0);
	close(file);
	snprintf(options, sizeof(options), "fd=%d,rootmode=%o,user_id=0,group_id=0", fuse_fd,
		 S_IFREG | 0600);
	if (fuse_fd < 0 || unshare(CLONE_NEWNS) || mount("toa", path, "fuse", 0, options))
		_exit(USER_NO_FUSE);
	/* Whoever waits for an answer cannot be killed: the server is a process of its own. */
	server = fork();
	require(server >= 0);
	if (!server) {
		serve();
		_exit(0);
	}
	close(fuse_fd);
	file = open(path, O_RDWR | O_CLOEXEC);
	/* Its size is asked for, which was not known. */
	require(file >= 0 && fstat(file, &st) == 0 && st.st_size == PAGE);
	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	require(page != MAP_FAILED);
	close(file);
	return page;
}
