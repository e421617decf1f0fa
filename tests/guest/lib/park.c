// SPDX-License-Identifier: GPL-2.0
#include "park.h"
#include "pkt.h"
#include "tap.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096 };

void park_open(struct park *p)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	p->fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (p->fd < 0)
		test_skip("no userfaultfd");
	require(ioctl(p->fd, UFFDIO_API, &api) == 0);
	p->page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(p->page != MAP_FAILED);
	reg.range.start = (unsigned long)p->page;
	reg.range.len = PAGE;
	require(ioctl(p->fd, UFFDIO_REGISTER, &reg) == 0);
}

bool park_taken(const struct park *p)
{
	struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
	struct uffd_msg msg;

	return poll(&pfd, 1, WAIT_MS) == 1 && read(p->fd, &msg, sizeof(msg)) == sizeof(msg) &&
	       msg.event == UFFD_EVENT_PAGEFAULT;
}

void park_free(struct park *p)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)p->page, .len = PAGE },
	};

	require(ioctl(p->fd, UFFDIO_ZEROPAGE, &zero) == 0);
}

void park_close(struct park *p)
{
	munmap(p->page, PAGE);
	close(p->fd);
}
