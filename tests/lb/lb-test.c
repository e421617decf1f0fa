// SPDX-License-Identifier: GPL-2.0
/*
 * lb-test.c - the test balancer's own tests, in TAP. No toa module is involved.
 *
 * usage: lb-test				all tests, in two network namespaces of its own
 *	  lb-test one				a few in one namespace, with one or two devices
 *	  lb-test prepared [CLIENT SERVER]	a few in the current namespace, or in two named
 *						ones, made ready by topology.sh
 * TOA_LB names the balancer (default: toa-lb beside this program).
 *
 * Real connections of the kernel's TCP go through the balancer. What was sent is compared byte by
 * byte at the other end, and every segment that passes the balancer's devices is looked at: the
 * option has to be where it should be, with the address and port the client's socket has, and
 * nowhere else. Needs root and /dev/net/tun; skips without.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lb-test.h"

unsigned int tests;
static unsigned int failures;

void result(bool ok, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	printf("%sok %u - ", ok ? "" : "not ", ++tests);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	if (!ok)
		printf("# %s\n", why);
	fflush(stdout);
	failures += !ok;
	*why = 0;
}

/* ---- the log ---- */

const char *sock_text(const struct sockaddr_storage *ss, char buf[80])
{
	const struct sockaddr_in *a = (const void *)ss;
	const struct sockaddr_in6 *a6 = (const void *)ss;
	char host[INET6_ADDRSTRLEN];

	if (ss->ss_family == AF_INET)
		snprintf(buf, 80, "%s:%u", inet_ntop(AF_INET, &a->sin_addr, host, sizeof(host)),
			 ntohs(a->sin_port));
	else
		snprintf(buf, 80, "[%s]:%u",
			 inet_ntop(AF_INET6, &a6->sin6_addr, host, sizeof(host)),
			 ntohs(a6->sin6_port));
	return buf;
}

size_t log_read(char **text)
{
	int fd = open(lb_log, O_RDONLY | O_CLOEXEC);
	off_t size = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
	size_t lines = 0;
	char *p;

	*text = calloc(1, size + 1);
	if (fd >= 0 && pread(fd, *text, size, 0) != size)
		perror(lb_log);
	if (fd >= 0)
		close(fd);
	for (p = *text; (p = strchr(p, '\n')); p++)
		lines++;
	return lines;
}

/* One line for each connection, with the client's real address and the one the server saw. */
static bool log_check(const struct run *r)
{
	char *text, real[80], seen[80], want[240];
	size_t lines = log_read(&text);
	unsigned int i;
	bool ok = true;

	if (lines != r->links)
		ok = fail("%zu lines in the log for %u connections", lines, r->links);
	for (i = 0; ok && i < r->links; i++) {
		snprintf(want, sizeof(want), " client=%s local=%s ",
			 sock_text(&links[i].real, real), sock_text(&links[i].seen, seen));
		if (!strstr(text, want))
			ok = fail("not in the log: %s", want);
	}
	free(text);
	return ok;
}

/* ---- the tests ---- */

bool counters_clean(bool faults)
{
	static const char * const bad[] = { "noroom", "full", "no_port", "malformed", "badcsum",
					    "ttl", "write_error" };
	unsigned int i;

	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (lb_counter(bad[i]))
			return fail("the balancer counts %s=%ld", bad[i], lb_counter(bad[i]));
	if (!faults && lb_counter("split"))
		return fail("the balancer counts split=%ld", lb_counter("split"));
	return true;
}

/* Runs @r; everything in it has to look like @k. */
bool go(const struct run *r, const struct look *k)
{
	bool ok;

	if (!lb_start(r))
		return false;
	sniff_start();
	ok = transfer(r);
	if (!lb_stop())
		return false;
	sniff_drain();
	return ok && log_check(r) && (!k || look_all(k, r)) && counters_clean(!k || k->any_size);
}

const char * const mode_name[MODES] = { "SNAT, option 200", "NAT64, option 253",
					       "IPv6 to IPv6, option 253" };
const char * const mode_bytes[MODES] = { "c808PA", "fd14PB", "fd14PB" };

static bool tun_there(void)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void test_few(bool prepared)
{
	unsigned int m, one;

	for (m = 0; m < MODES * (prepared ? 1 : 2); m++) {
		struct run r = { .mode = m % MODES, .keys = ",in=all", .links = 50, .up = 20000,
				 .down = 20000, .hold = true };
		const char *b = mode_bytes[r.mode];
		struct look k = { .bytes = { b, b, b }, .no_ts = true, .no_sackok = true };

		one = m / MODES;
		r.one_device = one;
		result(go(&r, one ? NULL : &k), "%s, %s", mode_name[r.mode],
		       one ? "one device" : "two devices");
	}
}

static void test_all(void)
{
	test_command_line();
	test_segments();
	test_kinds();
	test_many();
	test_endings();
	test_fastopen();
	test_mptcp();
	test_mtu();
	test_faults();
	test_dropped();
	test_ports();
	test_bounded();
	test_reuse();
	test_silent(false);
	test_silent(true);
	test_checksum();
}

int main(int argc, char **argv)
{
	static char beside[4096];
	ssize_t n = readlink("/proc/self/exe", beside, sizeof(beside) - 16);
	const char *dir = getenv("TMPDIR");
	enum form form = TWO_NETNS;
	long errors;

	if (argc > 1)
		form = strcmp(argv[1], "one") ? PREPARED : ONE_NETNS;
	if (n < 0 || !tun_there()) {
		printf("1..0 # SKIP /dev/net/tun: %s\n", strerror(errno));
		return 0;
	}
	strcpy(strrchr(beside, '/') + 1, "toa-lb");
	lb_path = getenv("TOA_LB") ? getenv("TOA_LB") : beside;
	snprintf(lb_log, sizeof(lb_log), "%s/lb-test.%d.log", dir ? dir : "/tmp", getpid());
	if (!bed_init(form, argc > 3 ? argv[2] : NULL, argc > 3 ? argv[3] : NULL)) {
		printf("1..0 # SKIP %s\n", why);
		return 0;
	}
	errors = tcp_counter("InCsumErrors");
	if (form == TWO_NETNS)
		test_all();
	else
		test_few(form == PREPARED);
	errors = tcp_counter("InCsumErrors") - errors;
	if (errors)
		fail("%ld", errors);
	result(!errors, "the kernel saw no wrong checksum in all this");
	unlink(lb_log);
	printf("1..%u\n", tests);
	return failures ? 1 : 0;
}
