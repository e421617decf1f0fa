// SPDX-License-Identifier: GPL-2.0
#include "pkt.h"
#include "tap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum {
	TUN_MAJOR = 10,
	TUN_MINOR = 200,
	IPV4_LEN = 20,
	IPV6_LEN = 40,
	TCP_LEN = 20,
	PREFIX_V6 = 64,
	RECV_WINDOW = 65535,
};

/* As in linux/ipv6.h, which does not go together with netinet/in.h. */
struct in6_ifreq {
	struct in6_addr addr;
	uint32_t prefixlen;
	int ifindex;
};

struct dev dev0 = { .fd = -1 };
int wait_ms = WAIT_MS;
void (*conn_mutate)(uint8_t *tcp, size_t len);

static long long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static int tun_node(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (system("modprobe tun 2>/dev/null"))
		errno = 0;
	mkdir("/dev/net", 0755);
	mknod("/dev/net/tun", S_IFCHR | 0600, makedev(TUN_MAJOR, TUN_MINOR));
	return open("/dev/net/tun", O_RDWR | O_CLOEXEC);
}

bool ipv6_exists(void)
{
	return access("/proc/net/if_inet6", F_OK) == 0;
}

void need_ipv6(void)
{
	if (!ipv6_exists())
		test_skip("this kernel has no IPv6");
}

static void give_ipv6(int index)
{
	struct in6_ifreq req = { .prefixlen = PREFIX_V6, .ifindex = index };
	int s = socket(AF_INET6, SOCK_DGRAM, 0);

	require(s >= 0);
	inet_pton(AF_INET6, SERVER_V6, &req.addr);
	require(ioctl(s, SIOCSIFADDR, &req) == 0);
	close(s);
}

static void give_address(const char *name)
{
	int s4 = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET };
	struct ifreq req;

	require(s4 >= 0);
	memset(&req, 0, sizeof(req));
	strcpy(req.ifr_name, name);
	inet_pton(AF_INET, SERVER_V4, &sin.sin_addr);
	memcpy(&req.ifr_addr, &sin, sizeof(sin));
	require(ioctl(s4, SIOCSIFADDR, &req) == 0);
	inet_pton(AF_INET, "255.255.0.0", &sin.sin_addr);
	memcpy(&req.ifr_netmask, &sin, sizeof(sin));
	require(ioctl(s4, SIOCSIFNETMASK, &req) == 0);
	require(ioctl(s4, SIOCGIFFLAGS, &req) == 0);
	req.ifr_flags |= IFF_UP;
	require(ioctl(s4, SIOCSIFFLAGS, &req) == 0);
	require(ioctl(s4, SIOCGIFINDEX, &req) == 0);
	close(s4);
	if (ipv6_exists())
		give_ipv6(req.ifr_ifindex);
}

/*
 * The kernel takes a moment to believe in the link, in the IPv6 address, and in a route to that:
 * then it answers there, as nobody listens, with a RST.
 */
static bool ready(const struct dev *dev)
{
	const int usual = wait_ms;
	struct conn c;
	struct seg seg;
	bool ok;

	if (!ipv6_exists())
		return true;
	conn_init(&c, true, 9);
	c.dev = dev;
	wait_ms = 10;
	conn_syn(&c, NULL);
	ok = conn_recv(&c, F_RST, F_RST, &seg);
	wait_ms = usual;
	return ok;
}

void dev_open(struct dev *dev)
{
	long long end = now_ms() + WAIT_MS;
	struct ifreq req;

	memset(&req, 0, sizeof(req));
	strcpy(req.ifr_name, "lb%d");
	req.ifr_flags = IFF_TUN | IFF_NO_PI;
	dev->fd = tun_node();
	require(dev->fd >= 0);
	require(ioctl(dev->fd, TUNSETIFF, &req) == 0);
	fcntl(dev->fd, F_SETFL, O_NONBLOCK);
	strcpy(dev->name, req.ifr_name);
	give_address(dev->name);
	while (!ready(dev))
		require(now_ms() < end);
	dev_drain(dev);
}

void dev_close(struct dev *dev)
{
	close(dev->fd);
	dev->fd = -1;
}

void dev_drain(const struct dev *dev)
{
	uint8_t buf[4096];

	while (read(dev->fd, buf, sizeof(buf)) > 0)
		;
}

/*
 * Options
 */

struct opts *opt_raw(struct opts *o, const void *bytes, size_t len)
{
	if (o->len + len > sizeof(o->byte))
		abort();
	memcpy(o->byte + o->len, bytes, len);
	o->len += len;
	return o;
}

struct opts *opt_byte(struct opts *o, unsigned int count, ...)
{
	va_list ap;

	va_start(ap, count);
	while (count--) {
		uint8_t byte = va_arg(ap, int);

		opt_raw(o, &byte, 1);
	}
	va_end(ap);
	return o;
}

static struct opts *opt_addr(struct opts *o, int family, uint8_t kind, uint8_t len,
			     const char *addr, uint16_t port)
{
	uint8_t bytes[20] = { kind, len, port >> 8, port & 0xff };

	if (inet_pton(family, addr, bytes + 4) != 1)
		abort();
	return opt_raw(o, bytes, len);
}

struct opts *opt_v4(struct opts *o, const char *addr, uint16_t port)
{
	return opt_addr(o, AF_INET, 200, 8, addr, port);
}

struct opts *opt_v6(struct opts *o, const char *addr, uint16_t port)
{
	return opt_addr(o, AF_INET6, 253, 20, addr, port);
}

/* Each call has its own, of the last sixteen. */
static struct opts *some_opts(void)
{
	static struct opts ring[16];
	static unsigned int next;
	struct opts *o = &ring[next++ % 16];

	o->len = 0;
	return o;
}

const struct opts *v4_opt(const char *addr, uint16_t port)
{
	return opt_v4(some_opts(), addr, port);
}

const struct opts *v6_opt(const char *addr, uint16_t port)
{
	return opt_v6(some_opts(), addr, port);
}

/*
 * Segments
 */

static uint32_t sum_words(const uint8_t *p, size_t len, uint32_t sum)
{
	for (; len > 1; p += 2, len -= 2)
		sum += p[0] << 8 | p[1];
	return len ? sum + (p[0] << 8) : sum;
}

static void put_sum(uint8_t *where, uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	where[0] = ~sum >> 8;
	where[1] = ~sum;
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static size_t put_ip(const struct conn *c, uint8_t *p, size_t tcp_len)
{
	if (c->v6) {
		put32(p, 6u << 28 | c->flow);
		put16(p + 4, tcp_len);
		p[6] = IPPROTO_TCP;
		p[7] = 64;
		memcpy(p + 8, c->saddr, 16);
		memcpy(p + 24, c->daddr, 16);
		return IPV6_LEN;
	}
	p[0] = 0x45;
	put16(p + 2, IPV4_LEN + tcp_len);
	p[8] = 64;
	p[9] = IPPROTO_TCP;
	memcpy(p + 12, c->saddr, 4);
	memcpy(p + 16, c->daddr, 4);
	put_sum(p + 10, sum_words(p, IPV4_LEN, 0));
	return IPV4_LEN;
}

/*
 * Options that end within a word are padded with NOPs. The device hands a segment to TCP before
 * write() returns.
 */
void conn_send(const struct conn *c, uint8_t flags, uint32_t seq, uint32_t ack,
	       const struct opts *o, const void *data, size_t len)
{
	size_t opt_len = o ? (o->len + 3) / 4 * 4 : 0, tcp_len = TCP_LEN + opt_len + len;
	size_t addr_len = c->v6 ? 16 : 4;
	uint8_t packet[4096] = { 0 };
	uint8_t *tcp = packet + put_ip(c, packet, tcp_len);
	uint32_t sum;

	if (opt_len > 40 || len > 2048)
		abort();
	put16(tcp, c->sport);
	put16(tcp + 2, c->dport);
	put32(tcp + 4, seq);
	put32(tcp + 8, flags & F_ACK ? ack : 0);
	tcp[12] = (TCP_LEN + opt_len) / 4 << 4;
	tcp[13] = flags;
	put16(tcp + 14, RECV_WINDOW);
	memset(tcp + TCP_LEN, 1, opt_len);
	if (o)
		memcpy(tcp + TCP_LEN, o->byte, o->len);
	if (len)
		memcpy(tcp + TCP_LEN + opt_len, data, len);
	if (conn_mutate)
		conn_mutate(tcp, tcp_len);
	sum = sum_words(c->saddr, addr_len, IPPROTO_TCP + tcp_len);
	sum = sum_words(c->daddr, addr_len, sum);
	put_sum(tcp + 16, sum_words(tcp, tcp_len, sum));
	tcp_len += tcp - packet;
	require(write(c->dev->fd, packet, tcp_len) == (ssize_t)tcp_len);
}

/* Does the packet belong to the connection, as the server sends it? */
static bool parse(const struct conn *c, const uint8_t *p, size_t size, struct seg *seg)
{
	size_t ip_len = c->v6 ? IPV6_LEN : IPV4_LEN, tcp_len;
	const uint8_t *tcp = p + ip_len;

	if (size < ip_len + TCP_LEN || p[0] >> 4 != (c->v6 ? 6 : 4))
		return false;
	if (p[c->v6 ? 6 : 9] != IPPROTO_TCP)
		return false;
	if (c->v6 && (memcmp(p + 8, c->daddr, 16) || memcmp(p + 24, c->saddr, 16)))
		return false;
	if (!c->v6 && (memcmp(p + 12, c->daddr, 4) || memcmp(p + 16, c->saddr, 4)))
		return false;
	if ((tcp[0] << 8 | tcp[1]) != c->dport || (tcp[2] << 8 | tcp[3]) != c->sport)
		return false;
	tcp_len = tcp[12] >> 4 << 2;
	seg->flags = tcp[13];
	seg->seq = get32(tcp + 4);
	seg->ack = get32(tcp + 8);
	seg->opts.len = tcp_len - TCP_LEN;
	memcpy(seg->opts.byte, tcp + TCP_LEN, seg->opts.len);
	seg->len = size - ip_len - tcp_len;
	if (seg->len > sizeof(seg->data))
		abort();
	memcpy(seg->data, tcp + tcp_len, seg->len);
	return true;
}

/* Wait for a segment of the connection with these flags; others are dropped. */
bool conn_recv(struct conn *c, uint8_t mask, uint8_t flags, struct seg *seg)
{
	long long end = now_ms() + wait_ms;
	struct pollfd pfd = { .fd = c->dev->fd, .events = POLLIN };
	static int timeouts;
	uint8_t buf[4096];

	do {
		ssize_t n = read(c->dev->fd, buf, sizeof(buf));

		if (n > 0 && parse(c, buf, n, seg) && (seg->flags & mask) == flags)
			return true;
		if (n <= 0)
			poll(&pfd, 1, wait_ms < 50 ? wait_ms : 50);
	} while (now_ms() < end);
	/* Where nothing works, do not wait for all of it. */
	if (wait_ms == WAIT_MS && ++timeouts > 5)
		wait_ms = 1000;
	return false;
}

/*
 * Connections
 */

void conn_init(struct conn *c, bool v6, uint16_t dport)
{
	static uint16_t port = 20000;
	static uint32_t isn = 0xfffff000;	/* wraps soon */

	memset(c, 0, sizeof(*c));
	c->dev = &dev0;
	c->v6 = v6;
	inet_pton(v6 ? AF_INET6 : AF_INET, v6 ? BALANCER_V6 : BALANCER_V4, c->saddr);
	inet_pton(v6 ? AF_INET6 : AF_INET, v6 ? SERVER_V6 : SERVER_V4, c->daddr);
	c->dport = dport;
	c->sport = port;
	port = port == 60000 ? 20000 : port + 1;
	isn += 0x1357;
	c->isn = isn;
	c->snd_nxt = isn;
}

/* The same tuple again, with an initial sequence number beyond all that was sent. */
void conn_again(struct conn *c)
{
	c->isn = c->snd_nxt + 0x20000;
	c->snd_nxt = c->isn;
}

/* What the server sees of the balancer. */
const char *conn_addr(const struct conn *c, bool mapped)
{
	static char ring[8][80];
	static unsigned int next;
	char *text = ring[next++ % 8], ip[64];

	inet_ntop(c->v6 ? AF_INET6 : AF_INET, c->saddr, ip, sizeof(ip));
	if (c->v6 || mapped)
		snprintf(text, sizeof(ring[0]), "[%s%s]:%u", mapped ? "::ffff:" : "", ip, c->sport);
	else
		snprintf(text, sizeof(ring[0]), "%s:%u", ip, c->sport);
	return text;
}

void conn_syn(struct conn *c, const struct opts *o)
{
	conn_send(c, F_SYN, c->isn, 0, o, NULL, 0);
	c->snd_nxt = c->isn + 1;
}

bool conn_synack(struct conn *c, struct seg *seg)
{
	struct seg local;

	if (!seg)
		seg = &local;
	do {
		if (!conn_recv(c, F_SYN | F_ACK | F_RST, F_SYN | F_ACK, seg))
			return false;
		/* One that is left of the tuple's last connection does not count. */
	} while ((int32_t)(seg->ack - c->isn) < 1 || seg->ack - c->isn > 0x10000);
	c->rcv_nxt = seg->seq + 1;
	return true;
}

void conn_ack(struct conn *c, const struct opts *o)
{
	conn_send(c, F_ACK, c->snd_nxt, c->rcv_nxt, o, NULL, 0);
}

void conn_data(struct conn *c, const struct opts *o, const char *text)
{
	conn_send(c, F_ACK | F_PSH, c->snd_nxt, c->rcv_nxt, o, text, strlen(text));
	c->snd_nxt += strlen(text);
}

void conn_fin(struct conn *c)
{
	conn_send(c, F_ACK | F_FIN, c->snd_nxt, c->rcv_nxt, NULL, NULL, 0);
	c->snd_nxt++;
}

void conn_rst(struct conn *c)
{
	conn_send(c, F_RST | F_ACK, c->snd_nxt, c->rcv_nxt, NULL, NULL, 0);
}

void conn_syn_link_local(struct conn *c)
{
	bool synack;

	inet_pton(AF_INET6, BALANCER_LINK_LOCAL, c->saddr);
	wait_ms = 1000;
	conn_syn(c, NULL);
	synack = conn_synack(c, NULL);
	wait_ms = WAIT_MS;
	if (!synack)
		test_skip("this kernel has no route to link-local addresses of the device");
}

bool conn_open(struct conn *c, const struct opts *syn, const struct opts *ack)
{
	conn_syn(c, syn);
	if (!conn_synack(c, NULL))
		return false;
	conn_ack(c, ack);
	return true;
}

/* The other direction: wait for the server's SYN and answer it. The handshake is complete then. */
bool conn_answer(struct conn *c, const struct opts *o)
{
	struct seg seg;

	if (!conn_recv(c, F_SYN | F_ACK | F_RST, F_SYN, &seg))
		return false;
	c->rcv_nxt = seg.seq + 1;
	conn_send(c, F_SYN | F_ACK, c->isn, c->rcv_nxt, o, NULL, 0);
	c->snd_nxt = c->isn + 1;
	return true;
}
