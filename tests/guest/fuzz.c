// SPDX-License-Identifier: GPL-2.0
/*
 * Random segments for listeners of all sorts. A number as the first argument says how many
 * handshakes for each kind of socket, over all listeners.
 */
#include "mod.h"
#include "random.h"
#include "../../toa.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define SYSCTL "/proc/sys/net/ipv4/"

static const uint8_t kinds[] = { 0, 1, 2, 4, 8, 30, 34, 200, 200, 253, 253, 254 };

/* Whole options: kernels from 7.x on drop segments that have others. */
static void whole_opts(struct opts *o, size_t want)
{
	while (o->len < want) {
		uint8_t kind = kinds[some(sizeof(kinds))];
		size_t len = kind < 2 ? 1 : kind == 200 ? 8 : kind == 253 ? 20 : 2 + some(19), i;

		if (kind >= 2 && some(8) == 0)
			len = 2 + some(19);
		if (o->len + len > want)
			break;
		for (i = 0; i < len; i++)
			o->byte[o->len + i] = i == 0 ? kind : i == 1 ? len : some(256);
		o->len += len;
	}
}

/* Pieces that the parser knows, whole or cut, or bytes without sense. */
static void pieces(struct opts *o, size_t want)
{
	static const uint8_t lengths[] = { 0, 1, 2, 3, 4, 8, 10, 19, 20, 20, 8, 40, 255 };

	while (o->len < want) {
		if (some(4) == 0) {
			o->byte[o->len++] = some(256);
		} else {
			o->byte[o->len++] = kinds[some(sizeof(kinds))];
			if (o->len < want && some(2))
				o->byte[o->len++] = lengths[some(sizeof(lengths))];
			while (o->len < want && some(4))
				o->byte[o->len++] = some(256);
		}
	}
}

static struct opts *random_opts(void)
{
	static struct opts o;

	o.len = 0;
	if (some(2))
		whole_opts(&o, some(41));
	else
		pieces(&o, some(41));
	return &o;
}

/* The header's own length, reserved bits, window, urgent pointer, or any byte. */
static void mutate(uint8_t *tcp, size_t len)
{
	switch (some(8)) {
	case 0:
		tcp[12] = some(16) << 4;
		break;
	case 1:
		tcp[4 + some(16)] ^= 1 << some(8);
		break;
	case 2:
		tcp[some(len) & ~3] = some(256);
		break;
	default:
		break;
	}
}

/* What makes the server of a listener do something else with the same segments. */
enum ways { PLAIN, DEFERRED, FASTOPEN, COOKIES, MPTCP, WAYS };

static const char *const way_name[WAYS] = {
	"", "TCP_DEFER_ACCEPT, ", "Fast Open, ", "syncookies, ", "MPTCP, ",
};

struct cell {
	enum kind kind;
	enum ways way;
};

static void modes(const char *cookies, const char *fastopen)
{
	write_file(SYSCTL "tcp_syncookies", cookies);
	write_file(SYSCTL "tcp_fastopen", fastopen);
}

static void listener(struct server *s, const struct cell *t)
{
	int queue = 4096, wait = 30, err = 0;

	if (t->way == MPTCP) {
		if (t->kind != INET)
			need_ipv6();
		s->kind = t->kind;
		s->fd = socket(t->kind == INET ? AF_INET : AF_INET6, SOCK_STREAM, IPPROTO_MPTCP);
		if (s->fd < 0)
			test_skip("this kernel has no MPTCP (%s)", error_name(errno));
	} else {
		server_socket(s, t->kind);
	}
	server_listen(s, 64, 0);
	if (t->way == DEFERRED)
		err = setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &wait, sizeof(wait));
	if (t->way == FASTOPEN)
		err = setsockopt(s->fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (err)
		test_skip("this kernel has no such listener (%s)", error_name(errno));
	/* Without cookies of Fast Open. */
	modes(t->way == COOKIES ? "2" : "1", t->way == FASTOPEN ? "0x203" : "1");
}

/* The option of MPTCP's SYN; or of its ACK, if a SYN-ACK with a key is given; before others. */
static void mp_capable(struct opts *o, const struct seg *synack)
{
	uint8_t option[20] = { 30, 4, 1, 1, 1, 2, 3, 4, 5, 6, 7, 8 };
	size_t i, len = 4;

	for (i = 0; synack && i + 12 <= synack->opts.len; i++)
		if (synack->opts.byte[i] == 30 && synack->opts.byte[i + 1] == 12) {
			memcpy(option + 12, synack->opts.byte + i + 4, 8);
			len = 20;
			option[1] = len;
			break;
		}
	if (synack && len == 4)
		return;
	memmove(o->byte + len, o->byte, o->len);
	memcpy(o->byte, option, len);
	o->len = o->len + len > 40 ? 40 : o->len + len;
}

static bool is_mptcp(int fd)
{
	socklen_t len = sizeof(char[256]);
	char info[256];

	return getsockopt(fd, SOL_MPTCP, MPTCP_INFO, info, &len) == 0;
}

struct made {
	int all;	/* sockets accepted */
	int by_syn;	/* of these, before the server had more than a SYN */
	int mptcp;
};

static void take_all(const struct server *s, struct made *made)
{
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct toa_peer_info info;
		socklen_t len = sizeof(info);

		peer_of(fd);
		nat64_of(fd);
		getsockopt(fd, IPPROTO_IP, TOA_SO_GET_PEER, &info, &len);
		made->mptcp += is_mptcp(fd);
		made->all++;
		reset(fd);
	}
}

static void one_handshake(const struct server *s, const struct cell *t, struct made *made)
{
	bool speaks = t->way == MPTCP && some(2), answered;
	struct opts *o = random_opts();
	struct conn c;
	struct seg seg;
	int k;

	server_conn(s, &c);
	conn_mutate = some(2) ? mutate : NULL;
	if (speaks)
		mp_capable(o, NULL);
	if (t->way == FASTOPEN && some(2))
		conn_send(&c, F_SYN, c.isn, 0, o, "first", 5);
	else
		conn_send(&c, F_SYN, c.isn, 0, o, NULL, 0);
	made->by_syn -= made->all;
	take_all(s, made);
	made->by_syn += made->all;
	c.snd_nxt = c.isn + 1;
	answered = conn_recv(&c, F_SYN | F_ACK, F_SYN | F_ACK, &seg);
	if (answered) {
		c.rcv_nxt = seg.seq + 1;
		c.snd_nxt = seg.ack;
	}
	for (k = some(3); k >= 0; k--) {
		o = random_opts();
		if (speaks && answered)
			mp_capable(o, &seg);
		if (some(8) == 0)
			conn_send(&c, some(64), c.snd_nxt + some(3) - 1, c.rcv_nxt, o, "fuzz",
				  some(5));
		else if (some(2))
			conn_ack(&c, o);
		else
			conn_data(&c, o, "fuzz");
	}
	conn_mutate = NULL;
	take_all(s, made);
	conn_rst(&c);
	dev_drain(&dev0);
}

static void segments(const void *arg)
{
	const struct cell *t = arg;
	const int count = rounds / WAYS;
	struct made made = { 0 };
	struct server s;
	int i;

	seed = 1 + t->kind + 100 * t->way;
	listener(&s, t);
	fcntl(s.fd, F_SETFL, O_NONBLOCK);
	wait_ms = 0;
	for (i = 0; i < count; i++) {
		if (i % 50 == 0)
			toa_set_both(some(2));
		one_handshake(&s, t, &made);
	}
	wait_ms = WAIT_MS;
	toa_set_both(true);
	reset(s.fd);
	modes("1", "1");
	/* Many of them were good enough, and of the listener's own sort. */
	check(made.all > count / 25);
	check(t->way != FASTOPEN || made.by_syn > count / 50);
	/* Kernels before 6.1 do not tell. */
	check(t->way != MPTCP || made.mptcp > count / 100 || !kernel_has("mptcp_sk_clone_init"));
	test_note("%d handshakes, of which %d came to an end, %d by the SYN, %d of MPTCP", count,
		  made.all, made.by_syn, made.mptcp);
	/* MPTCP of some kernels keeps a closed connection of a silent client for a minute. */
	for (i = 0; t->way == MPTCP && i < 60 && table_get(NULL, 0) > 0; i++)
		sleep(1);
	check(table_empties());
	check(stats_balanced());
	works(t->kind);
}

int main(int argc, char **argv)
{
	static struct cell cells[WAYS * KINDS];
	int i;

	for (i = 0; i < WAYS * KINDS; i++) {
		cells[i].way = i / KINDS;
		cells[i].kind = i % KINDS;
		test_add(segments, &cells[i], "random segments, %s%s", way_name[cells[i].way],
			 kind_name[cells[i].kind]);
	}
	return random_main("fuzz", "both=1", argc, argv);
}
