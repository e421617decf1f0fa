// SPDX-License-Identifier: GPL-2.0
/*
 * Random segments, arguments and parameters, from seeds that are always the same. Whether the
 * kernel complains is seen by who runs the guest.
 *
 * A number as the first argument says how many of each.
 */
#include "mod.h"
#include "../../toa.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PARAMETERS "/sys/module/toa/parameters/"
#define V4 "198.51.100.7"
#define V6 "2001:db8::77"
#define V4_TEXT "198.51.100.7:4321"
#define V6_TEXT "[2001:db8::77]:8765"

static int rounds = 2000;
static unsigned int seed;

static unsigned int some(unsigned int below)
{
	return rand_r(&seed) % below;
}

static const struct opts *both(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, V4, 4321), V6, 8765);
}

static void works(enum kind kind)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, kind, 5);
	fd = server_connect(&s, &c, both(), NULL);
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	reset(fd);
	fd = server_connect(&s, &c, NULL, both());
	check_has(&s, &c, fd, V4_TEXT, V6_TEXT);
	reset(fd);
	reset(s.fd);
}

/*
 * Segments
 */

/* Pieces that the parser knows, whole or cut, or bytes without sense. */
static struct opts *random_opts(void)
{
	static const uint8_t kinds[] = { 0, 1, 2, 4, 8, 30, 34, 200, 200, 253, 253, 254 };
	static const uint8_t lengths[] = { 0, 1, 2, 3, 4, 8, 10, 19, 20, 20, 8, 40, 255 };
	static struct opts o;
	size_t want = some(41);

	o.len = 0;
	while (o.len < want) {
		if (some(4) == 0) {
			o.byte[o.len++] = some(256);
		} else {
			o.byte[o.len++] = kinds[some(sizeof(kinds))];
			if (o.len < want && some(2))
				o.byte[o.len++] = lengths[some(sizeof(lengths))];
			while (o.len < want && some(4))
				o.byte[o.len++] = some(256);
		}
	}
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

static void segments(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct server s;
	int i, made = 0;

	seed = 1 + kind;
	server_open(&s, kind, 64);
	fcntl(s.fd, F_SETFL, O_NONBLOCK);
	wait_ms = 0;
	for (i = 0; i < rounds; i++) {
		struct conn c;
		struct seg seg;
		int fd, k;

		server_conn(&s, &c);
		conn_mutate = some(2) ? mutate : NULL;
		conn_syn(&c, random_opts());
		if (conn_recv(&c, F_SYN | F_ACK, F_SYN | F_ACK, &seg))
			c.rcv_nxt = seg.seq + 1;
		for (k = some(3); k >= 0; k--) {
			if (some(8) == 0)
				conn_send(&c, some(64), c.snd_nxt + some(3) - 1, c.rcv_nxt,
					  random_opts(), "fuzz", some(5));
			else if (some(2))
				conn_ack(&c, random_opts());
			else
				conn_data(&c, random_opts(), "fuzz");
		}
		conn_mutate = NULL;
		while ((fd = accept(s.fd, NULL, NULL)) >= 0) {
			peer_of(fd);
			nat64_of(fd);
			reset(fd);
			made++;
		}
		conn_rst(&c);
		dev_drain(&dev0);
	}
	wait_ms = WAIT_MS;
	reset(s.fd);
	/* Many of them were good enough. */
	check(made > rounds / 25);
	test_note("%d handshakes, of which %d came to an end", rounds, made);
	check(table_empties());
	check(stats_balanced());
	works(kind);
}

/*
 * getsockopt
 */

enum { PAGE = 4096 };

static void getsockopts(const void *arg)
{
	const enum kind kind = *(const enum kind *)arg;
	struct toa_nat64_peer want = { .sport = htons(8765) };
	struct server s;
	struct conn c;
	int fd, i, wrong = 0;
	char *page;

	seed = 11 + kind;
	inet_pton(AF_INET6, V6, &want.saddr);
	server_open(&s, kind, 5);
	fd = server_connect(&s, &c, NULL, both());
	/* A page between two that are not there. */
	page = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	require(page != MAP_FAILED);
	munmap(page, PAGE);
	page += PAGE;
	munmap(page + PAGE, PAGE);
	for (i = 0; i < rounds; i++) {
		int at = (int)some(96) - 48, room, size, n, err;
		socklen_t len;

		at = at < 0 ? PAGE + at : at - 24;
		room = at < 0 ? 0 : PAGE - at;
		switch (some(4)) {
		case 0:
			len = some(64);
			break;
		case 1:
			len = 16 + some(8);
			break;
		case 2:
			len = -some(64);
			break;
		default:
			len = (unsigned int)some(65536) << 16 | some(65536);
		}
		size = (int)len < 18 ? 0 : (int)len < 20 ? (int)len : 20;
		err = !size ? EINVAL : size > room ? EFAULT : 0;
		memset(page, 0xa5, PAGE);
		n = getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, page + at, &len) ? errno : 0;
		if (n != err) {
			wrong++;
			test_note("at %d, length %d: %s, not %s", at, (int)len, error_name(n),
				  error_name(err));
			continue;
		}
		if (err)
			continue;
		wrong += (int)len != size || memcmp(page + at, &want, size) ||
			 (at > 0 && page[at - 1] != (char)0xa5) ||
			 (at + size < PAGE && page[at + size] != (char)0xa5);
	}
	/* The length itself at the edges. */
	for (i = -8; i < 8; i++) {
		socklen_t *len = (socklen_t *)(page + PAGE + i);
		char buf[64];
		bool there = i <= -4;

		if (there)
			memcpy(len, &(socklen_t){ sizeof(buf) }, sizeof(*len));
		if (there != !getsockopt(fd, IPPROTO_IP, TOA_SO_GET_LOOKUP, buf, len))
			wrong++;
		if (!there && errno != EFAULT)
			wrong++;
	}
	check_num(wrong, 0);
	munmap(page, PAGE);
	works(kind);
}

/*
 * Parameters
 */

static void put(const char *name, const char *text, size_t len)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	require(fd >= 0);
	/* Most are refused. */
	if (write(fd, text, len) < 0 && errno != EINVAL && errno != E2BIG && errno != ERANGE &&
	    errno != ENOSPC)
		test_fail(__FILE__, __LINE__, "%s", name);
	close(fd);
}

static size_t random_text(char *text)
{
	static const char letters[] = "0123456789abcdefxXyYnN.::://,, \t\n-+%s";
	size_t len = some(8) ? some(60) : some(5000), i;
	bool any = some(4) == 0;

	for (i = 0; i < len; i++)
		text[i] = any ? some(256) : (unsigned int)letters[some(sizeof(letters) - 1)];
	return len;
}

static void parameters(const void *arg)
{
	static const char *const names[] = { "trusted", "debug", "kernel_getname", "table_max" };
	static char text[8192], was[8192];
	char path[128];
	int i;

	snprintf(path, sizeof(path), PARAMETERS "%s", names[*(const int *)arg]);
	require(read_file(path, was, sizeof(was)));
	seed = 21;
	for (i = 0; i < rounds / 5; i++) {
		put(names[*(const int *)arg], text, random_text(text));
		check(read_file(path, text, sizeof(text)));
	}
	put(names[*(const int *)arg], was, strlen(was));
	check(read_file(path, text, sizeof(text)));
	check_str(text, was);
	works(INET);
	works(INET6);
}

/* Neither file takes anything. */
static void proc_files(const void *arg)
{
	(void)arg;
	check(open("/proc/net/toa_stats", O_WRONLY | O_CLOEXEC) < 0 ||
	      write(open("/proc/net/toa_stats", O_WRONLY | O_CLOEXEC), "x", 1) < 0);
	check(open("/proc/net/toa_table", O_WRONLY | O_CLOEXEC) < 0 ||
	      write(open("/proc/net/toa_table", O_WRONLY | O_CLOEXEC), "x", 1) < 0);
	works(INET);
}

int main(int argc, char **argv)
{
	static const enum kind kinds[KINDS] = { INET, MAPPED, INET6, DUAL6 };
	static const int numbers[] = { 0, 1, 2, 3 };
	static const char *const names[] = { "trusted", "debug", "kernel_getname", "table_max" };
	int i;

	if (argc > 1 && atoi(argv[1]) > 0) {
		rounds = atoi(argv[1]);
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	for (i = 0; i < KINDS; i++)
		test_add(segments, &kinds[i], "random segments, %s", kind_name[i]);
	for (i = 0; i < KINDS; i++)
		test_add(getsockopts, &kinds[i], "random getsockopts, %s", kind_name[i]);
	for (i = 0; i < 4; i++)
		test_add(parameters, &numbers[i], "random strings, %s", names[i]);
	test_add(proc_files, NULL, "writing to the files");
	return toa_main("fuzz", "", argc, argv);
}
