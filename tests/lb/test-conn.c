// SPDX-License-Identifier: GPL-2.0
/* How connections end, and what becomes of their entries. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lb-test.h"

static bool wait_counter(const char *name, long value)
{
	long now = -1;
	unsigned int i;

	for (i = 0; i < 200; i++) {
		now = lb_counter_now(name);
		if (now == value)
			return true;
		usleep(20000);
	}
	return fail("%s=%ld, not %ld", name, now, value);
}

static bool wait_input(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 10000) == 1;
}

/* The entry has to be gone afterwards, too. */
void test_endings(void)
{
	static const char * const name[] = { "FIN of the client", "FIN of the server",
					     "RST of the client", "RST of the server" };
	unsigned int m, e;

	for (m = 0; m < MODES; m++) {
		for (e = CLIENT_FIN; e <= SERVER_RST; e++) {
			struct run r = { .mode = m, .links = 20, .up = 5000, .down = 5000,
					 .ending = e, .args = { "--linger", "0" } };
			struct look k = { .bytes = { mode_bytes[m], mode_bytes[m] }, .no_ts = true,
					  .no_sackok = true };
			bool ok = lb_start(&r);

			if (!ok) {
				result(ok, "%s first, %s", name[e], mode_name[m]);
				continue;
			}
			sniff_start();
			ok = transfer(&r);
			ok = ok && wait_counter("active", 0);
			ok = lb_stop() && ok && look_all(&k, &r) && counters_clean(false);
			result(ok, "%s first, %s", name[e], mode_name[m]);
		}
	}
}

/* One port: the second connection at a time finds none; the next one after the end does. */
void test_ports(void)
{
	struct run r = { .mode = V6, .links = 4, .up = 100, .down = 100, .keep_ports = true,
			 .args = { "--ports", "1100-1100", "--linger", "60" }, .hold = true };
	bool ok = lb_start(&r);
	int fd;

	if (ok) {
		ok = transfer(&r);
		ok = ok && index_seen(&r);
		fd = client_socket(V6, false, 5, 0);
		client_connect(V6, fd);
		close(server_accept(V6, 2000));
		if (ok && lb_counter_now("evicted") != 1)
			ok = fail("evicted=%ld", lb_counter("evicted"));
		close(fd);
		ok = lb_stop() && ok;
	}
	result(ok, "every (address, port) of the pool is used, then that of a closed connection");
	r.links = 5;
	r.seconds = 1;
	r.args[1] = "1101-1101";
	ok = lb_start(&r);
	if (ok) {
		ok = !transfer(&r) || fail("five connections on four addresses with one port");
		ok = lb_stop() && ok;
		if (ok && lb_counter("no_port") < 1)
			ok = fail("no_port=%ld", lb_counter("no_port"));
	}
	result(ok, "no port left: counted, the others live");
}

void test_bounded(void)
{
	struct run r = { .mode = SNAT, .links = 12, .up = 100, .down = 100, .hold = true,
			 .seconds = 2, .args = { "--max-conns", "8" } };
	bool ok = lb_start(&r);

	if (ok) {
		ok = !transfer(&r) || fail("12 connections in 8 entries");
		if (ok && lb_counter_now("active") > 8)
			ok = fail("active=%ld", lb_counter("active"));
		if (ok && lb_counter("full") < 1)
			ok = fail("full=%ld", lb_counter("full"));
		r.links = 8;
		r.seconds = 60;
		ok = ok && transfer(&r);
		ok = lb_stop() && ok;
	}
	result(ok, "--max-conns bounds the entries, which are free again afterwards");
}

/* A client port that is used again: the same local port, a line of its own in the log. */
void test_reuse(void)
{
	struct run r = { .mode = NAT64, .links = 1 };
	struct linger l = { 1, 0 };
	bool ok = lb_start(&r);
	char *text, seen[2][80];
	unsigned int i;

	for (i = 0; ok && i < 2; i++) {
		int fd = client_socket(NAT64, false, 0, 20678), peer;
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);

		ok = fd >= 0 && !client_connect(NAT64, fd);
		peer = ok ? server_accept(NAT64, 3000) : -1;
		if (ok && peer < 0)
			ok = fail("connection %u was not accepted", i);
		if (peer >= 0)
			getpeername(peer, (void *)&ss, &len);
		if (ok)
			sock_text(&ss, seen[i]);
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
		close(fd);
		usleep(20000);
		close(peer);
	}
	if (ok && strcmp(seen[0], seen[1]))
		ok = fail("%s, then %s", seen[0], seen[1]);
	if (ok && log_read(&text) != 2)
		ok = fail("the log: %s", text);
	ok = lb_stop() && ok;
	result(ok, "a client port used again keeps its local port");
}

/*
 * A client that never sends: with "ack" the ACK of the SYN-ACK carries the option, the ACKs of what
 * the server sends do not; with "data" the FIN is what carries it.
 */
void test_silent(bool data)
{
	struct run r = { .mode = SNAT, .links = 1, .keys = data ? ",in=data" : ",in=ack" };
	unsigned int acks = 0, fins = 0;
	bool ok = lb_start(&r);
	char buf[1000] = "";
	struct view v;
	size_t n, i;
	int fd, peer;

	if (ok) {
		sniff_start();
		fd = client_socket(SNAT, false, 0, 0);
		client_connect(SNAT, fd);
		peer = server_accept(SNAT, 10000);
		for (i = 0; ok && i < 4; i++) {
			ok = send(peer, buf, sizeof(buf), 0) == sizeof(buf) && wait_input(fd) &&
			     recv(fd, buf, sizeof(buf), 0) > 0;
			usleep(60000);		/* longer than an ACK is delayed */
		}
		if (!ok)
			fail("no connection");
		shutdown(fd, SHUT_WR);
		wait_input(peer);
		close(peer);
		close(fd);
		sniff_drain();
		ok = lb_stop() && ok;
	}
	for (n = 0; n < capture_count; n++) {
		if (captures[n].where != SERVER_SIDE || !captures[n].to_host ||
		    !view(&captures[n], &v) || !find_option(&v, 200))
			continue;
		acks += v.flags == 16;
		fins += v.flags & 1;
	}
	if (ok && (acks != !data || fins != data))
		ok = fail("option in %u ACKs and %u FINs", acks, fins);
	result(ok, data ? "a connection without data carries it in the FIN" :
			  "ACKs of a client that only listens: in the first one only");
}

/* A damaged packet must not be made whole by a new checksum. */
void test_checksum(void)
{
	struct run r = { .mode = SNAT, .links = 1 };
	uint8_t p[40] = { 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0, 198, 51, 100, 1,
			  203, 0, 113, 1, 0x10, 0, 0, VIP_PORT, 0, 0, 0, 1, 0, 0, 0, 0,
			  0x50, 2, 1, 0, 0xbe, 0xef };
	struct sockaddr_in a = { .sin_family = AF_INET };
	bool ok = lb_start(&r);
	int fd;

	inet_pton(AF_INET, "203.0.113.1", &a.sin_addr);
	if (ok) {
		bed_enter(CLIENT_SIDE);
		fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
		bed_enter(-1);
		if (sendto(fd, p, sizeof(p), 0, (void *)&a, sizeof(a)) != sizeof(p))
			ok = fail("raw socket: %s", strerror(errno));
		close(fd);
		ok = ok && wait_counter("badcsum", 1);
		ok = lb_stop() && ok;
		if (ok && (lb_counter("badcsum") != 1 || lb_counter("conns")))
			ok = fail("badcsum=%ld conns=%ld", lb_counter("badcsum"),
				  lb_counter("conns"));
	}
	result(ok, "a segment with a bad checksum is dropped and counted");
}
