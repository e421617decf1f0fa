// SPDX-License-Identifier: GPL-2.0
/* What a server must be told of a connection, and whether it was. */
#include "soak.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

const char *params = "";
static bool both;			/* both=1 is one of them */
static unsigned int complaints;
static pthread_mutex_t counts = PTHREAD_MUTEX_INITIALIZER;	/* of those in kinds */

static bool same(const struct sockaddr_storage *a, int family, const void *addr, uint16_t port)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;

	if (a->ss_family != family || sin->sin_port != port)
		return false;
	return family == AF_INET ? !memcmp(&sin->sin_addr, addr, 4) :
				   !memcmp(&sin6->sin6_addr, addr, 16);
}

static bool is_balancer(const struct sockaddr_storage *a, bool good)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)a;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)a;
	const char *v4 = good ? "10.99.0.2" : "10.99.0.1";
	char mapped_v4[32], v6[] = "2001:db8:b::1";
	struct in6_addr want;
	struct in_addr want4;

	v6[strlen(v6) - 1] += good;
	snprintf(mapped_v4, sizeof(mapped_v4), "::ffff:%s", v4);
	inet_pton(AF_INET, v4, &want4);
	if (a->ss_family == AF_INET)
		return sin->sin_addr.s_addr == want4.s_addr;
	inet_pton(AF_INET6, v6, &want);
	if (!memcmp(&want, &sin6->sin6_addr, 16))
		return true;
	inet_pton(AF_INET6, mapped_v4, &want);
	return !memcmp(&want, &sin6->sin6_addr, 16);
}

/*
 * What the segments say: of each kind, whom it names. The client, or whom its SYN claims where SYN
 * and ACK disagree, or whom the client itself wrote.
 */
enum who { NOBODY, CLIENT, CLAIMED, FORGED };

enum { SYN, ACK, DATA, SEGMENTS };

static const char *const segment_name[SEGMENTS] = { "syn", "ack", "data" };
static bool counts_in[SEGMENTS] = { true, true, true };	/* segments= */

struct words {
	enum who v4, v6;
	bool v6_first;
};

static struct words words_of(const struct kind_of_conn *k, int segment)
{
	const enum carried c = k->carried;
	const bool snat = k->way == SNAT;
	bool marked = c >= IN_ALL && c <= FORGED_SAME;
	struct words w = { .v6_first = !snat && c != TWO_KINDS };
	enum who who = CLIENT;

	if (c == IN_SYN || c == FORGED_LATER)
		marked = segment == SYN;
	else if (c == IN_ACK)
		marked = segment == ACK;
	else if (c == IN_DATA)
		marked = segment == DATA;
	else if (c == IN_LATER || c == FORGED_SYN)
		marked = segment != SYN;
	if ((c == DISAGREE || c == DISAGREE_LOSSY) && segment == SYN)
		who = CLAIMED;
	if (marked && (snat || c == TWO_KINDS))
		w.v4 = who;
	if (marked && (!snat || c == TWO_KINDS))
		w.v6 = who;
	/* Behind the balancer's own. (What stands behind one of the same kind never counts.) */
	if (c == FORGED_OTHER || (c == FORGED_SYN && segment == SYN))
		*(snat ? &w.v6 : &w.v4) = FORGED;
	if (c == FORGED_LATER && segment != SYN)
		*(snat ? &w.v4 : &w.v6) = FORGED;
	return w;
}

/* What the server is to be told: of each kind, the address, or nothing. */
struct sent {
	bool have4, have6;
	struct in_addr v4;
	struct in6_addr v6;
	uint16_t port4, port6;
};

static uint16_t port_of(enum who who, const struct sockaddr_storage *client)
{
	return who == CLIENT ? ((const struct sockaddr_in *)client)->sin_port :
			       htons(who == CLAIMED ? 99 : FORGED_PORT);
}

/* For an address of the kind that the client is not of: see tests/lb. */
static void name(const struct kind_of_conn *k, const struct words *w,
		 const struct sockaddr_storage *client, struct sent *sent)
{
	const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)client;
	const struct sockaddr_in *sin = (const struct sockaddr_in *)client;

	memset(sent, 0, sizeof(*sent));
	sent->have4 = w->v4;
	sent->have6 = w->v6;
	sent->port4 = port_of(w->v4, client);
	sent->port6 = port_of(w->v6, client);
	if (w->v4 != CLIENT)
		inet_pton(AF_INET, w->v4 == CLAIMED ? "203.0.113.99" : FORGED_V4, &sent->v4);
	else if (k->way == SNAT)
		sent->v4 = sin->sin_addr;
	else
		inet_pton(AF_INET, "192.0.2.64", &sent->v4);
	if (w->v6 != CLIENT) {
		inet_pton(AF_INET6, w->v6 == CLAIMED ? "2001:db8:bad::99" : FORGED_V6, &sent->v6);
	} else if (k->way == SNAT) {
		inet_pton(AF_INET6, "64:ff9b::", &sent->v6);
		memcpy(&sent->v6.s6_addr[12], &sin->sin_addr, 4);
	} else {
		sent->v6 = sin6->sin6_addr;
	}
}

/*
 * What counts: the latest segment that has an option, of those that arrived and count, and in that
 * the first one, or with both=1 the first of each kind. @arrived has a bit for each segment.
 */
static void what_counts(const struct kind_of_conn *k, unsigned int arrived,
			const struct sockaddr_storage *client, struct sent *sent)
{
	struct words counts = { .v4 = NOBODY };
	int segment;

	for (segment = SYN; segment < SEGMENTS; segment++) {
		struct words w = words_of(k, segment);

		if (!(arrived & 1 << segment) || !counts_in[segment] || (!w.v4 && !w.v6))
			continue;
		if (w.v4 && w.v6 && !both)
			*(w.v6_first ? &w.v4 : &w.v6) = NOBODY;
		counts = w;
	}
	name(k, &counts, client, sent);
}

/*
 * Which segments have arrived. Through the good balancer, each that can make the connection. The
 * bad one may lose the ACK and the data, or have them overtaken; then one without an option (the
 * client's answer to a SYN-ACK that is sent again) makes the connection, and all that is known is
 * what the SYN said. Which one it was, the server cannot see: there, each is right. With Fast Open
 * it is the SYN. Mostly all come to the same.
 */
static const unsigned int all_arrive[] = { 1 << SYN | 1 << ACK | 1 << DATA };
static const unsigned int some_arrive[] = {
	1 << SYN, 1 << SYN | 1 << ACK, 1 << SYN | 1 << DATA, 1 << SYN | 1 << ACK | 1 << DATA,
};

enum verdict { RIGHT, LOST, WRONG };

/* accept(), getpeername(), SO_PEERNAME */
static enum verdict judge_name(const struct kind_of_conn *k, const struct sent *sent,
			       const struct sockaddr_storage *got)
{
	struct in6_addr mapped_v4 = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
	bool replaced = server_is_v6(k) ? sent->have4 || sent->have6 : sent->have4;

	if (!replaced)
		return is_balancer(got, k->good) ? RIGHT : WRONG;
	memcpy(&mapped_v4.s6_addr[12], &sent->v4, 4);
	if (!server_is_v6(k) ? same(got, AF_INET, &sent->v4, sent->port4) :
	    same(got, AF_INET6, sent->have6 ? &sent->v6 : &mapped_v4,
		 sent->have6 ? sent->port6 : sent->port4))
		return RIGHT;
	return is_balancer(got, k->good) ? LOST : WRONG;
}

static enum verdict judge_sockopt(const struct kind_of_conn *k, const struct sent *sent, int fd)
{
	char text[INET6_ADDRSTRLEN], want[80];
	const char *got = nat64_of(fd);

	if (k->listener == MPTCP && !strcmp(got, "EOPNOTSUPP"))
		return RIGHT;
	inet_ntop(AF_INET6, &sent->v6, text, sizeof(text));
	snprintf(want, sizeof(want), "[%s]:%u", text, ntohs(sent->port6));
	if (!strcmp(got, sent->have6 ? want : sent->have4 ? "EAFNOSUPPORT" : "ENOENT"))
		return RIGHT;
	return !strcmp(got, "ENOENT") ? LOST : WRONG;
}

static enum verdict judge(const struct kind_of_conn *k, const struct sent *sent,
			  const struct asked *a)
{
	enum verdict verdict = judge_name(k, sent, &a->accepted);

	/* After a RST there is no peer any more. */
	if (a->peer.ss_family && judge_name(k, sent, &a->peer) > verdict)
		verdict = judge_name(k, sent, &a->peer);
	if (a->peer.ss_family && judge_sockopt(k, sent, a->fd) > verdict &&
	    strcmp(nat64_of(a->fd), "ENOTCONN"))
		verdict = judge_sockopt(k, sent, a->fd);
	return verdict;
}

static void complain(const struct kind_of_conn *k, const struct hello *h, const struct asked *a,
		     enum verdict verdict, bool again)
{
	if (complaints++ >= 20)
		return;
	printf("# %s%s: %s, %s, %s: client %s, accept %s, getpeername %s, getsockopt %s\n",
	       verdict == LOST ? "lost" : "WRONG", again ? ", made twice" : "", way_name[k->way],
	       place_name[k->carried], listener_name[k->listener], addr_text(&h->client),
	       addr_text(&a->accepted), addr_text(&a->peer), nat64_of(a->fd));
	fflush(stdout);
}

void check_conn(const struct hello *h, struct asked *a)
{
	struct kind_of_conn *k = &kinds[h->index % ALL_WAYS];
	const unsigned int *arrive = k->good ? all_arrive : some_arrive;
	socklen_t len = sizeof(a->peer);
	enum verdict verdict = WRONG, this;
	struct sent sent;
	bool again;
	int i;

	if (getpeername(a->fd, (struct sockaddr *)&a->peer, &len))
		a->peer.ss_family = 0;
	for (i = 0; i < (k->good ? 1 : 4); i++) {
		what_counts(k, arrive[i], &h->client, &sent);
		this = judge(k, &sent, a);
		if (this < verdict)
			verdict = this;
	}
	pthread_mutex_lock(&counts);
	/*
	 * With syncookies, a copy of the first data that is late brings a connection to life again
	 * that has long ended. What its SYN said has been used, by the first one: it may have lost
	 * its address, but not have another.
	 */
	again = h->id >= conns || seen[h->id];
	if (again) {
		ghosts++;
		if (verdict == LOST)
			verdict = RIGHT;
	} else {
		seen[h->id] = true;
		k->checked++;
	}
	k->lost += verdict == LOST;
	k->wrong += verdict == WRONG;
	if (verdict != RIGHT)
		complain(k, h, a, verdict, again);
	pthread_mutex_unlock(&counts);
}

/* Those that change what must be shown. */
void module_params(const char *text)
{
	const char *segments = strstr(text, "segments=");
	char list[64] = "";
	int i;

	params = text;
	both = strstr(text, "both=1");
	if (!segments)
		return;
	sscanf(segments, "segments=%63[a-z,]", list);
	for (i = SYN; i < SEGMENTS; i++)
		counts_in[i] = strstr(list, segment_name[i]);
}
