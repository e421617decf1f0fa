// SPDX-License-Identifier: GPL-2.0
/* The clients: so many connections at once, each in a way that is drawn. */
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	CLIENT_ADDRS = 8,
	GIVE_UP_MS = 90000,
};

struct client {
	int fd;				/* -1: free */
	bool sent;
	uint64_t born;
	struct hello hello;
};

static socklen_t sockaddr_of(struct sockaddr_storage *ss, bool v6, const char *text, uint16_t port)
{
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;
	struct sockaddr_in *sin = (struct sockaddr_in *)ss;

	memset(ss, 0, sizeof(*ss));
	if (v6) {
		sin6->sin6_family = AF_INET6;
		sin6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &sin6->sin6_addr);
		return sizeof(*sin6);
	}
	sin->sin_family = AF_INET;
	sin->sin_port = htons(port);
	inet_pton(AF_INET, text, &sin->sin_addr);
	return sizeof(*sin);
}

/*
 * The module looks at the ACKs that TCP_DEFER_ACCEPT drops from soon after the first SYN for such a
 * listener, while it looks at SYNs. Call before there is other traffic.
 */
void drops_are_seen(void)
{
	const struct kind_of_conn *k = &kinds[deferred_way()];
	struct sockaddr_storage addr, to;
	socklen_t len = sockaddr_of(&addr, false, "198.51.100.101", 0);
	char segments[32];
	struct stats s;
	int tries, fd;

	if (!read_file(PARAMETERS "segments", segments, sizeof(segments)))
		die("no parameter segments");
	segments[strcspn(segments, "\n")] = 0;
	param_set("segments", "syn,ack,data");
	sockaddr_of(&to, false, vip(k), DEFERRED_PORT);
	for (tries = 0; tries < 1000; tries++) {
		in_ns(client_ns);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (bind(fd, (struct sockaddr *)&addr, len) ||
		    connect(fd, (struct sockaddr *)&to, len))
			die("no connection to a deferred listener");
		reset(fd);
		in_ns(server_ns);
		usleep(10000);
		if (stats_get(&s) && stats_of(&s, "toa_invalid") > 0) {
			param_set("segments", segments);
			return;
		}
	}
	errno = 0;
	die("the module does not look at the ACKs that TCP_DEFER_ACCEPT drops");
}

static int random_way(uint64_t *random)
{
	int i;

	do
		i = draw(random) % ALL_WAYS;
	while (!kinds[i].used);
	return i;
}

static bool client_begin(struct client *c, uint64_t id, int ep, uint64_t *random)
{
	int i = random_way(random), one = 1;
	struct kind_of_conn *k = &kinds[i];
	struct epoll_event ev = { .events = EPOLLOUT, .data.ptr = c };
	bool v6 = k->way != SNAT, fast = k->listener == FASTOPEN;
	struct sockaddr_storage addr, to;
	socklen_t len, to_len;
	char text[64];
	ssize_t err;

	snprintf(text, sizeof(text), "%s%s%d", v6 ? "2001:db8:c::" : "198.51.100.",
		 k->good ? "10" : "", 1 + draw(random) % CLIENT_ADDRS);
	c->fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
		       k->listener == MPTCP ? IPPROTO_MPTCP : 0);
	if (c->fd < 0)
		die("socket");
	if (!fast)
		setsockopt(c->fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof(one));
	len = sockaddr_of(&addr, v6, text, 0);
	to_len = sockaddr_of(&to, v6, vip(k), PORT + i);
	c->hello = (struct hello){ .magic = MAGIC, .index = i, .id = id };
	c->born = now_ms();
	c->sent = fast;
	if (bind(c->fd, (struct sockaddr *)&addr, len))
		die("bind to %s", text);
	if (fast) {
		len = sizeof(addr);
		getsockname(c->fd, (struct sockaddr *)&c->hello.client, &len);
		err = sendto(c->fd, &c->hello, sizeof(c->hello), MSG_FASTOPEN | MSG_NOSIGNAL,
			     (struct sockaddr *)&to, to_len);
		/* Without Fast Open the SYN goes alone, and nothing is sent yet. */
		c->sent = err == sizeof(c->hello);
	} else {
		err = connect(c->fd, (struct sockaddr *)&to, to_len);
		len = sizeof(addr);
		getsockname(c->fd, (struct sockaddr *)&c->hello.client, &len);
	}
	if (err < 0 && errno != EINPROGRESS) {
		close(c->fd);
		c->fd = -1;
		return false;
	}
	ev.events = c->sent ? EPOLLIN : EPOLLOUT;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev))
		die("epoll_ctl");
	return true;
}

static void client_end(struct client *c, uint64_t *random)
{
	if (draw(random) % 4)
		close(c->fd);
	else
		reset(c->fd);
	c->fd = -1;
	done++;
}

static void client_goes_on(struct client *c, int ep, uint64_t *random)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	char answer;

	if (!c->sent) {
		if (send(c->fd, &c->hello, sizeof(c->hello), MSG_NOSIGNAL) != sizeof(c->hello)) {
			client_end(c, random);
			return;
		}
		c->sent = true;
		epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &ev);
		return;
	}
	/* The server may reset it with the answer under way. */
	if (recv(c->fd, &answer, 1, 0) < 0 && errno == EAGAIN)
		return;
	client_end(c, random);
}

void *clients(void *arg)
{
	uint64_t random = run_seed * 0x9e3779b97f4a7c15ull | 1;
	struct client c[IN_FLIGHT];
	struct epoll_event ev[64];
	unsigned long begun = 0;
	int i, n, ep, in_flight;

	(void)arg;
	in_ns(client_ns);
	ep = epoll_create1(0);
	for (i = 0; i < IN_FLIGHT; i++)
		c[i].fd = -1;
	do {
		for (i = 0, in_flight = 0; i < IN_FLIGHT; i++) {
			if (c[i].fd >= 0 && now_ms() - c[i].born > GIVE_UP_MS)
				client_end(&c[i], &random);
			if (c[i].fd < 0 && begun < conns &&
			    client_begin(&c[i], begun, ep, &random))
				begun++;
			in_flight += c[i].fd >= 0;
		}
		n = epoll_wait(ep, ev, 64, 100);
		for (i = 0; i < n; i++)
			client_goes_on(ev[i].data.ptr, ep, &random);
	} while (in_flight);
	return NULL;
}
