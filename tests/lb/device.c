// SPDX-License-Identifier: GPL-2.0
/*
 * device.c - TUN devices of the test balancer: opening them, in another network namespace if
 * asked, and giving them addresses and routes.
 *
 * Plain TUN: no packet information, no vnet header, no offloads. The kernel then cuts segments to
 * the MTU and computes every checksum before a packet gets here.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lb.h"

enum { QUEUE_LEN = 10000 };	/* thousands of SYNs may arrive before we run */

static bool fail(const struct device *d, const char *what)
{
	fprintf(stderr, "toa-lb: %s: %s: %s\n", d->name, what, strerror(errno));
	return false;
}

static bool netns_enter(struct device *d)
{
	return d->away < 0 || !setns(d->away, CLONE_NEWNET);
}

static void netns_leave(struct device *d)
{
	if (d->away >= 0 && setns(d->home, CLONE_NEWNET)) {
		fail(d, "setns back");
		_exit(1);
	}
}

static bool netns_find(struct device *d)
{
	char path[256];

	d->away = -1;
	d->home = -1;
	if (!d->netns)
		return true;
	snprintf(path, sizeof(path), "%s%s", strchr(d->netns, '/') ? "" : "/run/netns/", d->netns);
	d->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	d->away = open(path, O_RDONLY | O_CLOEXEC);
	if (d->home < 0 || d->away < 0)
		return fail(d, d->netns);
	return true;
}

static bool tun_attach(struct device *d)
{
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };

	d->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0 && errno == ENOENT)
		d->fd = open("/dev/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (d->fd < 0)
		return fail(d, "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", d->name);
	if (ioctl(d->fd, TUNSETIFF, &ifr))
		return fail(d, "TUNSETIFF");
	return true;
}

/**
 * device_open() - create the TUN device, or attach to a persistent one of that name
 * @d: name and namespace are set
 */
bool device_open(struct device *d)
{
	bool ok;

	if (!netns_find(d))
		return false;
	if (!netns_enter(d))
		return fail(d, "setns");
	ok = tun_attach(d);
	netns_leave(d);
	return ok;
}

static bool link_up(struct device *d, int s)
{
	struct ifreq ifr = { .ifr_flags = 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", d->name);
	if (ioctl(s, SIOCGIFINDEX, &ifr))
		return fail(d, "SIOCGIFINDEX");
	d->index = ifr.ifr_ifindex;
	ifr.ifr_qlen = QUEUE_LEN;
	ioctl(s, SIOCSIFTXQLEN, &ifr);
	if (d->mtu) {
		ifr.ifr_mtu = d->mtu;
		if (ioctl(s, SIOCSIFMTU, &ifr))
			return fail(d, "SIOCSIFMTU");
	}
	if (ioctl(s, SIOCGIFMTU, &ifr))
		return fail(d, "SIOCGIFMTU");
	d->mtu = ifr.ifr_mtu;
	if (ioctl(s, SIOCGIFFLAGS, &ifr))
		return fail(d, "SIOCGIFFLAGS");
	ifr.ifr_flags |= IFF_UP;
	if (ioctl(s, SIOCSIFFLAGS, &ifr))
		return fail(d, "SIOCSIFFLAGS");
	return true;
}

/**
 * device_up() - set MTU and queue length, and bring the device up
 * @d: the device; mtu 0 becomes what it is
 */
bool device_up(struct device *d)
{
	bool ok;
	int s;

	if (!netns_enter(d))
		return fail(d, "setns");
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ok = s >= 0 ? link_up(d, s) : fail(d, "socket");
	if (s >= 0)
		close(s);
	netns_leave(d);
	return ok;
}

struct request {
	struct nlmsghdr n;
	union {
		struct ifaddrmsg ifa;
		struct rtmsg rt;
	} u;
	char attr[128];
};

static void attr_add(struct request *r, unsigned short type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->n.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(a), data, len);
	r->n.nlmsg_len = NLMSG_ALIGN(r->n.nlmsg_len) + RTA_ALIGN(a->rta_len);
}

/* What is there already is fine: topology.sh may have set it up. */
static bool netlink(struct device *d, struct request *r, const char *what)
{
	struct { struct nlmsghdr n; struct nlmsgerr e; char more[512]; } reply;
	bool ok = false;
	ssize_t len;
	int s;

	if (!netns_enter(d))
		return fail(d, "setns");
	s = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	r->n.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
	if (s >= 0 && send(s, r, r->n.nlmsg_len, 0) == (ssize_t)r->n.nlmsg_len) {
		len = recv(s, &reply, sizeof(reply), 0);
		if (len >= (ssize_t)NLMSG_LENGTH(sizeof(reply.e)) &&
		    reply.n.nlmsg_type == NLMSG_ERROR) {
			errno = -reply.e.error;
			ok = !errno || errno == EEXIST;
		}
	}
	if (!ok)
		fail(d, what);
	if (s >= 0)
		close(s);
	netns_leave(d);
	return ok;
}

bool device_address(struct device *d, const struct addr *a)
{
	struct request r;
	uint32_t flags = IFA_F_NODAD;
	char text[ADDR_TEXT];

	memset(&r, 0, sizeof(r));
	r.n.nlmsg_type = RTM_NEWADDR;
	r.n.nlmsg_len = NLMSG_LENGTH(sizeof(r.u.ifa));
	r.u.ifa.ifa_family = a->len == 4 ? AF_INET : AF_INET6;
	r.u.ifa.ifa_prefixlen = a->len * 8;
	r.u.ifa.ifa_index = d->index;
	attr_add(&r, IFA_LOCAL, a->b, a->len);
	attr_add(&r, IFA_ADDRESS, a->b, a->len);
	if (a->len == 16)
		attr_add(&r, IFA_FLAGS, &flags, sizeof(flags));
	return netlink(d, &r, addr_text(a, text));
}

bool device_route(struct device *d, const struct addr *a, const struct addr *source)
{
	struct request r;
	char text[ADDR_TEXT];

	memset(&r, 0, sizeof(r));
	r.n.nlmsg_type = RTM_NEWROUTE;
	r.n.nlmsg_len = NLMSG_LENGTH(sizeof(r.u.rt));
	r.u.rt.rtm_family = a->len == 4 ? AF_INET : AF_INET6;
	r.u.rt.rtm_dst_len = a->len * 8;
	r.u.rt.rtm_table = RT_TABLE_MAIN;
	r.u.rt.rtm_protocol = RTPROT_BOOT;
	r.u.rt.rtm_scope = a->len == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	r.u.rt.rtm_type = RTN_UNICAST;
	attr_add(&r, RTA_DST, a->b, a->len);
	if (source)
		attr_add(&r, RTA_PREFSRC, source->b, source->len);
	attr_add(&r, RTA_OIF, &d->index, sizeof(d->index));
	return netlink(d, &r, addr_text(a, text));
}
