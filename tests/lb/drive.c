// SPDX-License-Identifier: GPL-2.0
/*
 * drive.c - the connections of a run: opened, filled from both sides, compared, closed.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bed.h"

enum { CHUNK = 16384 };

struct link *links;

static void client_address(enum mode m, unsigned int n, unsigned int port,
			   struct sockaddr_storage *ss, socklen_t *len)
{
	struct sockaddr_in *a = (void *)ss;
	struct sockaddr_in6 *a6 = (void *)ss;
	char text[64];

	memset(ss, 0, sizeof(*ss));
	if (m == SNAT) {
		snprintf(text, sizeof(text), "198.51.100.%u", 1 + n % CLIENT_ADDRS);
		a->sin_family = AF_INET;
		a->sin_port = htons(port);
		inet_pton(AF_INET, text, &a->sin_addr);
		*len = sizeof(*a);
	} else {
		snprintf(text, sizeof(text), "2001:db8:c::%x", 1 + n % CLIENT_ADDRS);
		a6->sin6_family = AF_INET6;
		a6->sin6_port = htons(port);
		inet_pton(AF_INET6, text, &a6->sin6_addr);
		*len = sizeof(*a6);
	}
}

static void vip_address(enum mode m, struct sockaddr_storage *ss, socklen_t *len)
{
	client_address(m, 0, VIP_PORT, ss, len);
	if (m == SNAT)
		inet_pton(AF_INET, "203.0.113.1", &((struct sockaddr_in *)ss)->sin_addr);
	else
		inet_pton(AF_INET6, m == NAT64 ? "2001:db8:f::1" : "2001:db8:f::2",
			  &((struct sockaddr_in6 *)ss)->sin6_addr);
}

/**
 * client_socket() - a non-blocking socket in the client's namespace, bound to its n-th address
 * @m: decides the family
 * @mptcp: the protocol
 * @n: which address
 * @port: 0: any
 */
int client_socket(enum mode m, bool mptcp, unsigned int n, unsigned int port)
{
	struct sockaddr_storage ss;
	socklen_t len;
	int one = 1, fd;

	bed_enter(CLIENT_SIDE);
	fd = socket(m == SNAT ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
		    mptcp ? IPPROTO_MPTCP : 0);
	bed_enter(-1);
	client_address(m, n, port, &ss, &len);
	if (port)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	if (fd < 0 || bind(fd, (void *)&ss, len)) {
		fail("client socket: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

int client_connect(enum mode m, int fd)
{
	struct sockaddr_storage ss;
	socklen_t len;

	vip_address(m, &ss, &len);
	return connect(fd, (void *)&ss, len) && errno != EINPROGRESS ? -1 : 0;
}

int server_accept(enum mode m, unsigned int ms)
{
	struct pollfd p = { .fd = listener[m][0], .events = POLLIN };

	if (poll(&p, 1, ms) != 1)
		return -1;
	return accept4(p.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* What byte @at of connection @id's stream is; the first 8 upwards are its number. */
static uint8_t stream_byte(unsigned int id, bool up, size_t at)
{
	uint32_t v = (id * 2 + up) * 2654435761u + (at >> 2) * 2246822519u;

	if (up && at < 8)
		return at < 4 ? 0 : id >> (8 * (7 - at));
	v ^= v >> 15;
	v *= 2654435761u;
	return v >> (8 * (at & 3));
}

static void arm(int ep, struct side *s, bool add, bool out)
{
	struct epoll_event e = { .events = EPOLLIN | (out ? EPOLLOUT : 0), .data.ptr = s };

	s->armed_out = out;
	epoll_ctl(ep, add ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, s->fd, &e);
}

static void side_write(const struct run *r, int ep, struct side *s)
{
	size_t total = s->client ? r->up : r->down;
	uint8_t buf[CHUNK];
	ssize_t n;
	size_t i, want;

	while (s->sent < total) {
		want = total - s->sent < CHUNK ? total - s->sent : CHUNK;
		for (i = 0; i < want; i++)
			buf[i] = stream_byte(s->link->id, s->client, s->sent + i);
		n = send(s->fd, buf, want, 0);
		if (n <= 0)
			break;
		s->sent += n;
	}
	if (s->armed_out != (s->sent < total))
		arm(ep, s, false, s->sent < total);
}

static bool side_read(const struct run *r, struct side *s)
{
	size_t total = s->client ? r->down : r->up;
	uint8_t buf[CHUNK];
	ssize_t n, i;

	for (;;) {
		n = recv(s->fd, buf, sizeof(buf), 0);
		if (n < 0) {
			if (errno == EAGAIN)
				return true;
			s->reset = errno == ECONNRESET;
			s->eof = true;
			return s->reset && s->link->closing ? true :
				fail("connection %u, %s: %s", s->link->id,
				     s->client ? "client" : "server", strerror(errno));
		}
		if (!n) {
			s->eof = true;
			return s->link->closing ? true :
				fail("connection %u: early end at the %s", s->link->id,
				     s->client ? "client" : "server");
		}
		for (i = 0; i < n; i++, s->got++)
			if (s->got >= total ||
			    buf[i] != stream_byte(s->link->id, !s->client, s->got))
				return fail("connection %u: wrong byte %zu at the %s", s->link->id,
					    s->got, s->client ? "client" : "server");
	}
}

static void side_close(struct side *s, bool reset)
{
	struct linger l = { 1, 0 };

	if (s->fd < 0)
		return;
	if (reset)
		setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s->fd);
	s->fd = -1;
}

static void link_begin_close(const struct run *r, struct link *l)
{
	bool client = r->ending == CLIENT_FIN || r->ending == CLIENT_RST;
	struct side *s = &l->end[client ? CLIENT_SIDE : SERVER_SIDE];

	l->closing = true;
	if (r->ending == CLIENT_RST || r->ending == SERVER_RST)
		side_close(s, true);
	else
		shutdown(s->fd, SHUT_WR);
}

/* Both ends closed in the way the run wants? The one that did not begin follows here. */
static bool link_follow_close(const struct run *r, struct link *l, bool *ok)
{
	bool client = r->ending == CLIENT_FIN || r->ending == CLIENT_RST;
	bool reset = r->ending == CLIENT_RST || r->ending == SERVER_RST;
	struct side *first = &l->end[client ? CLIENT_SIDE : SERVER_SIDE];
	struct side *second = &l->end[client ? SERVER_SIDE : CLIENT_SIDE];

	if (second->fd >= 0 && second->eof) {
		if (second->reset != reset)
			*ok = fail("connection %u: the end was %s reset", l->id,
				   reset ? "not" : "a");
		side_close(second, false);
	}
	if (first->fd >= 0 && first->eof)
		side_close(first, false);
	return first->fd < 0 && second->fd < 0;
}

static bool link_open(const struct run *r, struct link *l, int ep)
{
	struct side *s = &l->end[CLIENT_SIDE];
	struct sockaddr_storage ss;
	socklen_t len;
	uint8_t buf[512];
	size_t i;

	s->fd = client_socket(r->mode, r->mptcp, l->id, 0);
	if (s->fd < 0)
		return false;
	if (r->fastopen) {
		ssize_t n;

		for (i = 0; i < sizeof(buf); i++)
			buf[i] = stream_byte(l->id, true, i);
		vip_address(r->mode, &ss, &len);
		n = sendto(s->fd, buf, sizeof(buf) < r->up ? sizeof(buf) : r->up, MSG_FASTOPEN,
			   (void *)&ss, len);
		if (n < 0 && errno != EINPROGRESS)
			return fail("sendto(MSG_FASTOPEN): %s", strerror(errno));
		s->sent = n > 0 ? n : 0;
	} else if (client_connect(r->mode, s->fd)) {
		return fail("connect: %s", strerror(errno));
	}
	arm(ep, s, true, true);
	len = sizeof(l->real);
	getsockname(s->fd, (void *)&l->real, &len);
	return true;
}

/* Accepted sockets wait here until their first 8 bytes say which connection they are. */
static void accept_all(const struct run *r, int ep)
{
	int fd;

	while ((fd = accept4(listener[r->mode][r->mptcp], NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct side *s = calloc(1, sizeof(*s));

		if (!s)
			abort();
		s->fd = fd;
		arm(ep, s, true, false);
	}
}

static struct side *identify(const struct run *r, struct side *s, int ep)
{
	struct link *l;
	struct side *end;
	socklen_t len;
	ssize_t n;

	n = recv(s->fd, s->head + s->got, 8 - s->got, 0);
	if (n <= 0) {
		if (n < 0 && errno == EAGAIN)
			return NULL;
		close(s->fd);
		free(s);
		return NULL;
	}
	s->got += n;
	if (s->got < 8)
		return NULL;
	n = s->head[4] << 24 | s->head[5] << 16 | s->head[6] << 8 | s->head[7];
	if (n < 0 || n >= r->links || links[n].end[SERVER_SIDE].fd >= 0) {
		close(s->fd);
		free(s);
		return NULL;
	}
	l = &links[n];
	end = &l->end[SERVER_SIDE];
	end->fd = s->fd;
	end->got = 8;
	free(s);
	arm(ep, end, false, true);
	len = sizeof(l->seen);
	getpeername(end->fd, (void *)&l->seen, &len);
	return end;
}

static bool link_progress(const struct run *r, struct link *l, unsigned int *done,
			  unsigned int *closed)
{
	struct side *c = &l->end[CLIENT_SIDE], *s = &l->end[SERVER_SIDE];
	bool ok = true;

	if (!l->done && c->sent == r->up && c->got == r->down && s->sent == r->down &&
	    s->got == r->up) {
		l->done = true;
		(*done)++;
		if (!r->hold)
			link_begin_close(r, l);
	}
	if (l->closing && !l->closed && link_follow_close(r, l, &ok)) {
		l->closed = true;
		(*closed)++;
	}
	return ok;
}

static bool transfer_loop(const struct run *r, int ep)
{
	uint64_t end = now_ms() + (r->seconds ? r->seconds : 60) * 1000;
	unsigned int i, done = 0, closed = 0;
	struct epoll_event ev[256];

	while (closed < r->links) {
		int k, n = epoll_wait(ep, ev, 256, 100);

		sniff_drain();
		if (now_ms() > end)
			return fail("time over: %u of %u done, %u closed", done, r->links, closed);
		for (k = 0; k < n; k++) {
			struct side *s = ev[k].data.ptr;

			if (!s) {
				accept_all(r, ep);
				continue;
			}
			if (!s->link)
				s = identify(r, s, ep);
			if (!s || s->fd < 0)
				continue;
			if (!side_read(r, s))
				return false;
			side_write(r, ep, s);
			if (!link_progress(r, s->link, &done, &closed))
				return false;
		}
		for (i = 0; r->hold && done == r->links && i < r->links; i++)
			if (!links[i].closing)
				link_begin_close(r, &links[i]);
	}
	return true;
}

/**
 * transfer() - open all connections of a run, send both ways, compare, close
 * @r: the run
 */
bool transfer(const struct run *r)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event e = { .events = EPOLLIN };
	unsigned int i, j;
	bool ok = true;

	free(links);
	links = calloc(r->links, sizeof(*links));
	if (ep < 0 || !links)
		return fail("transfer: %s", strerror(errno));
	epoll_ctl(ep, EPOLL_CTL_ADD, listener[r->mode][r->mptcp], &e);
	for (i = 0; i < r->links; i++) {
		links[i].id = i;
		for (j = 0; j < SIDES; j++) {
			links[i].end[j].fd = -1;
			links[i].end[j].link = &links[i];
			links[i].end[j].client = j == CLIENT_SIDE;
		}
	}
	for (i = 0; ok && i < r->links; i++)
		ok = link_open(r, &links[i], ep);
	ok = ok && transfer_loop(r, ep);
	for (i = 0; i < r->links; i++)
		for (j = 0; j < SIDES; j++)
			side_close(&links[i].end[j], true);
	close(ep);
	usleep(20000);
	sniff_drain();
	return ok;
}
