// SPDX-License-Identifier: GPL-2.0
/* The servers: they ask whom each connection is from, and end it. */
#include "soak.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

int listeners[ALL_WAYS * 2], listener_count;

void listen_at(int i)
{
	struct kind_of_conn *k = &kinds[i];
	int v6 = server_is_v6(k), one = 1, only = k->listener != DUAL, wait_s = 30, queue = 1024;
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(PORT + i) };
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(PORT + i) };
	int fd = socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK,
			k->listener == MPTCP ? IPPROTO_MPTCP : 0);

	if (fd < 0 && k->listener == MPTCP) {
		k->used = false;
		return;
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (k->listener == REUSEPORT)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only));
	if (k->listener == DEFERRED)
		setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait_s, sizeof(wait_s));
	if (v6 ? bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) :
		 bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
		die("bind to port %d", PORT + i);
	if (listen(fd, 1024))
		die("listen");
	if (k->listener == FASTOPEN)
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	listeners[listener_count++] = fd;
}

struct served {
	struct asked asked;
	bool listener, checked;
	struct served *next, **link;	/* of its thread's open ones */
};

static void end_conn(struct served *s, uint64_t *random)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int fd = s->asked.fd;

	switch (draw(random) % 4) {
	case 0:
		reset(fd);
		break;
	case 1:
		connect(fd, &none, sizeof(none));
		close(fd);
		break;
	default:
		close(fd);
	}
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	free(s);
	__atomic_sub_fetch(&open_now, 1, __ATOMIC_RELAXED);
}

static void accept_all(int ep, struct served *listener, struct served **open)
{
	for (;;) {
		struct served *s = calloc(1, sizeof(*s));
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };
		socklen_t len = sizeof(s->asked.accepted);

		if (!s)
			die("no memory");
		s->asked.fd = accept4(listener->asked.fd, (struct sockaddr *)&s->asked.accepted,
				      &len, SOCK_NONBLOCK);
		if (s->asked.fd < 0) {
			free(s);
			return;
		}
		s->next = *open;
		s->link = open;
		if (s->next)
			s->next->link = &s->next;
		*open = s;
		__atomic_add_fetch(&open_now, 1, __ATOMIC_RELAXED);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, s->asked.fd, &ev))
			die("epoll_ctl");
	}
}

static void serve(struct served *s, uint64_t *random)
{
	struct hello h;
	ssize_t n = recv(s->asked.fd, &h, sizeof(h), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n == sizeof(h) && h.magic == MAGIC && !s->checked) {
		check_conn(&h, &s->asked);
		s->checked = true;
		send(s->asked.fd, "!", 1, MSG_NOSIGNAL);
		/* Some wait for the client to end it. */
		if (draw(random) % 2)
			return;
	}
	end_conn(s, random);
}

void *server(void *arg)
{
	uint64_t random = run_seed * 0x9e3779b97f4a7c15ull + (uintptr_t)arg + 1;
	struct served all[ALL_WAYS * 2] = { 0 }, *open = NULL;
	int ep = epoll_create1(0), i, n;
	unsigned long phase = 0;
	struct epoll_event ev[64];

	for (i = 0; i < listener_count; i++) {
		all[i].listener = true;
		all[i].asked.fd = listeners[i];
		ev[0].events = EPOLLIN | EPOLLEXCLUSIVE;
		ev[0].data.ptr = &all[i];
		if (epoll_ctl(ep, EPOLL_CTL_ADD, listeners[i], &ev[0]))
			die("epoll_ctl");
	}
	while (!__atomic_load_n(&stopping, __ATOMIC_RELAXED)) {
		n = epoll_wait(ep, ev, 64, 100);
		for (i = 0; i < n; i++) {
			struct served *s = ev[i].data.ptr;

			if (s->listener)
				accept_all(ep, s, &open);
			else
				serve(s, &random);
		}
		/*
		 * Syncookies come and go. (When they go, the kernel resets whom it has sent one and
		 * whose answer is under way: at most IN_FLIGHT of two PHASEs.)
		 */
		if (!arg && phase != done / PHASE) {
			phase = done / PHASE;
			set("/proc/sys/net/ipv4/tcp_syncookies", phase % 2 ? "2" : "1");
		}
	}
	/* Those whose client's last words got lost. */
	while (open)
		end_conn(open, &random);
	close(ep);
	return NULL;
}
