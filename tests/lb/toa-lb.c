// SPDX-License-Identifier: GPL-2.0
/*
 * toa-lb.c - a full-NAT layer-4 balancer over TUN devices that tells the backend who the client is.
 *
 * It stands where a cloud's balancer stands, so that any unmodified TCP client reaches any
 * unmodified TCP server through it, on one machine:
 *
 *	client -> virtual address, routed into the client-side TUN device
 *	balancer: source becomes a pool address and a port of its own, destination the backend,
 *		  the TOA option with the client's address and port goes in
 *	balancer -> server-side TUN device (may be the same) -> backend
 *
 * and back the same way. IPv4 to IPv4 (SNAT: option 200), IPv6 to IPv4 (NAT64: option 253) and
 * IPv6 to IPv6 (option 253).
 *
 * Where the option goes. "syn": every SYN of the client. "ack": the pure ACK of the SYN-ACK, until
 * the first data was seen. "data": the segment that begins where the ACK ended and has payload (or,
 * if nothing is ever sent, the FIN). Retransmissions of each carry it again. With Fast Open the
 * last two begin where the SYN-ACK says; a cookie is good for the pool address it was given to, so
 * Fast Open with cookies wants a pool of one address.
 *
 * Room. A TCP header takes 40 bytes of options. As real balancers do, a SYN that carries the option
 * loses timestamps and SACK-permitted; with room=fit it loses them only where there is no room
 * (timestamps first, then SACK-permitted, options unknown to us, MPTCP, Fast Open; MSS and window
 * scale stay). An option for "ack" or "data" alone takes the timestamps out of the SYN only if
 * 12 + its length is more than 40, and MPTCP likewise. What was dropped from a SYN is stripped from
 * all later segments of both directions, SACK blocks included, so that both ends agree that it was
 * never negotiated. SACK blocks in a segment that needs the room go. Where all that does not help,
 * the segment is sent without the option and counted (noroom).
 *
 * Size. The MSS is lowered in SYN and SYN-ACK to what fits both MTUs with both IP headers and, if
 * data carries it, the option. A segment that is too long all the same (a sender that ignores the
 * MSS; clamp=no) is sent in two; of a SYN's data the part that fits.
 *
 * Not done: ICMP in either direction (dropped and counted: both ends' MTU is known, and backend and
 * client share the machine), fragments, IPv6 extension headers, the sequence numbers (they pass
 * unchanged), TCP-MD5 and TCP-AO (cannot survive any NAT).
 *
 * The process needs CAP_NET_ADMIN, and /dev/net/tun. It changes nothing but its own devices, their
 * addresses and the routes through them, which go when it ends.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lb.h"

enum { RANGES_MAX = 16, BATCH = 64, TICK_MS = 200 };

struct ranges {
	struct { struct addr first; unsigned int count; } range[RANGES_MAX];
	unsigned int count;
};

struct device client_device, server_device;
struct counters counters;
int log_fd = -1;

static bool one_device, no_setup, detach;
static struct ranges pool, client_addrs, server_addrs;
static struct conn_limits limits = {
	.max = 65536, .syn_ms = 120000, .idle_ms = 900000, .linger_ms = 5000,
	.port_low = 1024, .port_high = 65535,
};

static struct faults faults = { .seed = 1 };
static unsigned long seconds;
static const char *log_file, *pid_file;

static const char help[] =
"usage: toa-lb --tun NAME --pool A-B --service VIP:PORT=BACKEND:PORT[,KEY=VALUE...] ...\n"
"A full-NAT TCP balancer over TUN devices that inserts TOA options.\n"
"\n"
"Devices (created, or attached to if persistent, and brought up):\n"
"  --tun NAME             one device for both sides; or\n"
"  --client-tun NAME      the device that virtual addresses are routed into\n"
"  --server-tun NAME      the device that pool addresses are routed into\n"
"  --client-netns NS      its network namespace: a name of `ip netns`, or a path\n"
"  --server-netns NS\n"
"  --mtu N, --client-mtu N, --server-mtu N\n"
"  --client-addr A[-B]    give the client-side device these addresses; the first of each\n"
"                         family becomes the source of clients that bind to none\n"
"  --server-addr A[-B]    give the server-side device these addresses\n"
"  --no-setup             set no routes and addresses, do not bring devices up\n"
"Addresses:\n"
"  --pool A[-B]           local addresses, IPv4 or IPv6 (several times)\n"
"  --ports LOW-HIGH       local ports (1024-65535)\n"
"  --service ...          (several times) \"*\" as VIP's port: any; as BACKEND's: the same.\n"
"                         IPv6 addresses with ports in brackets. Keys:\n"
"    opt=KIND[/LEN][+...] options, length 8 or 20 (7 or 19: without port); \"both\" (200+253),\n"
"                         \"none\". Default: 200/8 for an IPv4 VIP, 253/20 for an IPv6 one\n"
"    in=SEG[+SEG...]      segments: syn, ack, data; \"all\", \"none\". Default: syn+ack\n"
"    claim=A[:P]          claim this address (and port) instead of the client's; for one\n"
"                         segment only: claim.syn=, claim.ack=, claim.data=. Once per family\n"
"    raw=HEX              more option bytes as they are; raw.syn=, raw.ack=, raw.data=\n"
"    own=HEX              option bytes that the client itself wrote, passed on like its others;\n"
"                         own.syn=, own.ack=, own.data=\n"
"    nops=N               N (0-3) NOPs before the option\n"
"    at=start|end         before (default) or behind the segment's own options\n"
"    room=drop|fit        SYN: always drop timestamps and SACK (default), or as needed\n"
"    clamp=yes|no         lower the MSS (default yes)\n"
"    drop.SEG=N           lose the first N of a connection's syn, synack, ack or data\n"
"  An option of the family the client is not of claims 64:ff9b::CLIENT, or 192.0.2.64.\n"
"Limits:\n"
"  --max-conns N (65536)  --idle S (900)  --syn-timeout S (120)  --linger S (5)\n"
"  --seconds N            exit after N seconds\n"
"Faults, in per cent of sent packets, decided by a generator seeded with --seed N (1):\n"
"  --loss P  --dup P  --reorder P\n"
"Running:\n"
"  --log FILE             append one line per connection: service, client, local, backend, and\n"
"                         what the option says in each segment\n"
"  --daemon               return when ready, run in the background\n"
"  --pidfile FILE         written when ready, removed at the end\n"
"Prints \"toa-lb: ready\" to stderr when ready and counters at the end or on SIGUSR1. SIGTERM and\n"
"SIGINT end it with status 0. A bad command line ends with 2, a failed set-up with 1.\n";

static void __attribute__((noreturn, format(printf, 1, 2))) usage(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fputs("toa-lb: ", stderr);
	vfprintf(stderr, format, ap);
	fputs("\nTry --help.\n", stderr);
	va_end(ap);
	exit(2);
}

enum { O_TUN = 256, O_CTUN, O_STUN, O_CNS, O_SNS, O_MTU, O_CMTU, O_SMTU, O_CADDR, O_SADDR,
	O_NOSETUP, O_POOL, O_PORTS, O_SERVICE, O_MAX, O_IDLE, O_SYN, O_LINGER, O_SECONDS, O_LOSS,
	O_DUP, O_REORDER, O_SEED, O_LOG, O_DAEMON, O_PID, O_HELP };

static const struct option options[] = {
	{ "tun", 1, NULL, O_TUN }, { "client-tun", 1, NULL, O_CTUN },
	{ "server-tun", 1, NULL, O_STUN }, { "client-netns", 1, NULL, O_CNS },
	{ "server-netns", 1, NULL, O_SNS }, { "mtu", 1, NULL, O_MTU },
	{ "client-mtu", 1, NULL, O_CMTU }, { "server-mtu", 1, NULL, O_SMTU },
	{ "client-addr", 1, NULL, O_CADDR }, { "server-addr", 1, NULL, O_SADDR },
	{ "no-setup", 0, NULL, O_NOSETUP }, { "pool", 1, NULL, O_POOL },
	{ "ports", 1, NULL, O_PORTS }, { "service", 1, NULL, O_SERVICE },
	{ "max-conns", 1, NULL, O_MAX }, { "idle", 1, NULL, O_IDLE },
	{ "syn-timeout", 1, NULL, O_SYN }, { "linger", 1, NULL, O_LINGER },
	{ "seconds", 1, NULL, O_SECONDS }, { "loss", 1, NULL, O_LOSS }, { "dup", 1, NULL, O_DUP },
	{ "reorder", 1, NULL, O_REORDER }, { "seed", 1, NULL, O_SEED }, { "log", 1, NULL, O_LOG },
	{ "daemon", 0, NULL, O_DAEMON }, { "pidfile", 1, NULL, O_PID }, { "help", 0, NULL, O_HELP },
	{ NULL, 0, NULL, 0 },
};

static unsigned long number(const char *what, unsigned long low, unsigned long high)
{
	unsigned long n;

	if (!number_parse(optarg, high, &n) || n < low)
		usage("--%s %s: a number from %lu to %lu is expected", what, optarg, low, high);
	return n;
}

static double percent(const char *what)
{
	char *end;
	double v = strtod(optarg, &end);

	if (end == optarg || *end || !(v >= 0 && v <= 100))
		usage("--%s %s: per cent are expected", what, optarg);
	return v;
}

static void range(const char *what, struct ranges *r)
{
	if (r->count == RANGES_MAX ||
	    !range_parse(optarg, &r->range[r->count].first, &r->range[r->count].count))
		usage("--%s %s: A or A-B is expected, 1024 addresses at most", what, optarg);
	r->count++;
}

static void ports(void)
{
	char *dash = strchr(optarg, '-');
	unsigned long low, high;

	if (dash)
		*dash = 0;
	if (!dash || !number_parse(optarg, 65535, &low) || !number_parse(dash + 1, 65535, &high) ||
	    !low || low > high)
		usage("--ports: LOW-HIGH is expected");
	limits.port_low = low;
	limits.port_high = high;
}

static bool device_option(int o)
{
	switch (o) {
	case O_TUN:
		one_device = true;
		client_device.name = optarg;
		return true;
	case O_CTUN:
		client_device.name = optarg;
		return true;
	case O_STUN:
		server_device.name = optarg;
		return true;
	case O_CNS:
		client_device.netns = optarg;
		return true;
	case O_SNS:
		server_device.netns = optarg;
		return true;
	case O_MTU:
		client_device.mtu = number("mtu", 576, PACKET_MAX);
		server_device.mtu = client_device.mtu;
		return true;
	case O_CMTU:
		client_device.mtu = number("client-mtu", 576, PACKET_MAX);
		return true;
	case O_SMTU:
		server_device.mtu = number("server-mtu", 576, PACKET_MAX);
		return true;
	case O_CADDR:
		range("client-addr", &client_addrs);
		return true;
	case O_SADDR:
		range("server-addr", &server_addrs);
		return true;
	case O_NOSETUP:
		no_setup = true;
		return true;
	}
	return false;
}

static void other_option(int o)
{
	const char *wrong;

	switch (o) {
	case O_POOL:
		range("pool", &pool);
		if (!pool_add(&pool.range[pool.count - 1].first, pool.range[pool.count - 1].count))
			usage("too many pools");
		break;
	case O_PORTS:
		ports();
		break;
	case O_SERVICE:
		wrong = service_parse(optarg);
		if (wrong)
			usage("--service %s: %s", optarg, wrong);
		break;
	case O_MAX:
		limits.max = number("max-conns", 1, 1 << 22);
		break;
	case O_IDLE:
		limits.idle_ms = 1000 * number("idle", 1, 1000000);
		break;
	case O_SYN:
		limits.syn_ms = 1000 * number("syn-timeout", 1, 1000000);
		break;
	case O_LINGER:
		limits.linger_ms = 1000 * number("linger", 0, 1000000);
		break;
	case O_SECONDS:
		seconds = number("seconds", 1, 1000000);
		break;
	case O_LOSS:
		faults.loss = percent("loss");
		break;
	case O_DUP:
		faults.dup = percent("dup");
		break;
	case O_REORDER:
		faults.reorder = percent("reorder");
		break;
	case O_SEED:
		faults.seed = number("seed", 0, 0xffffffff);
		break;
	case O_LOG:
		log_file = optarg;
		break;
	case O_DAEMON:
		detach = true;
		break;
	case O_PID:
		pid_file = optarg;
		break;
	case O_HELP:
		fputs(help, stdout);
		exit(0);
	default:
		usage("bad command line");
	}
}

static bool have_pool(uint8_t len)
{
	unsigned int i;

	for (i = 0; i < pool.count; i++)
		if (pool.range[i].first.len == len)
			return true;
	return false;
}

static void command_line(int argc, char **argv)
{
	unsigned int i;
	int o;

	while ((o = getopt_long(argc, argv, "h", options, NULL)) != -1)
		if (!device_option(o))
			other_option(o == 'h' ? O_HELP : o);
	if (optind < argc)
		usage("%s: what is that?", argv[optind]);
	if (one_device && (server_device.name || server_device.netns))
		usage("--tun is one device for both sides");
	if (!client_device.name || (!one_device && !server_device.name))
		usage("--tun, or --client-tun and --server-tun are needed");
	if (!service_count)
		usage("a --service is needed");
	for (i = 0; i < service_count; i++)
		if (!have_pool(services[i].backend.addr.len))
			usage("a --pool of IPv%d addresses is needed",
			      services[i].backend.addr.len == 4 ? 4 : 6);
}

static bool each(struct ranges *r, struct device *d,
		 bool (*set)(struct device *, const struct addr *))
{
	unsigned int i, j;

	for (i = 0; i < r->count; i++) {
		struct addr a = r->range[i].first;

		for (j = 0; j < r->range[i].count; j++, addr_add(&a, 1))
			if (!set(d, &a))
				return false;
	}
	return true;
}

/* What a client that binds to nothing is to have as its address. */
static const struct addr *client_source(uint8_t len)
{
	unsigned int i;

	for (i = 0; i < client_addrs.count; i++)
		if (client_addrs.range[i].first.len == len)
			return &client_addrs.range[i].first;
	return NULL;
}

static bool plain_route(struct device *d, const struct addr *a)
{
	return device_route(d, a, NULL);
}

static bool device_configure(struct device *d)
{
	unsigned int i;

	if (!device_up(d))
		return false;
	if (d == &client_device || one_device) {
		if (!each(&client_addrs, d, device_address))
			return false;
		for (i = 0; i < service_count; i++)
			if (!device_route(d, &services[i].vip.addr,
					  client_source(services[i].vip.addr.len)))
				return false;
	}
	if (d == &server_device || one_device)
		return each(&server_addrs, d, device_address) && each(&pool, d, plain_route);
	return true;
}

static bool set_up(void)
{
	if (!device_open(&client_device) || (!one_device && !device_open(&server_device)))
		return false;
	if (!no_setup && (!device_configure(&client_device) ||
			  (!one_device && !device_configure(&server_device))))
		return false;
	if (one_device)
		server_device = client_device;
	if (!client_device.mtu)
		client_device.mtu = 1500;
	if (!server_device.mtu)
		server_device.mtu = 1500;
	if (log_file) {
		log_fd = open(log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		if (log_fd < 0) {
			perror(log_file);
			return false;
		}
	}
	if (!conn_init(&limits)) {
		fputs("toa-lb: out of memory\n", stderr);
		return false;
	}
	fault_init(&faults);
	return true;
}

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ull + t.tv_nsec / 1000000;
}

static void summary(void)
{
	const struct counters *c = &counters;

	fprintf(stderr, "toa-lb: conns=%lu active=%u from_client=%lu from_server=%lu sent=%lu "
		"opt_syn=%lu opt_ack=%lu opt_data=%lu noroom=%lu split=%lu full=%lu no_port=%lu "
		"evicted=%lu stray=%lu ignored=%lu malformed=%lu badcsum=%lu ttl=%lu "
		"write_error=%lu dropped=%lu lost=%lu duplicated=%lu reordered=%lu\n",
		c->conns, conn_active(), c->from_client, c->from_server, c->sent, c->opt[SEG_SYN],
		c->opt[SEG_ACK], c->opt[SEG_DATA], c->noroom, c->split, c->full, c->no_port,
		c->evicted, c->stray, c->ignored, c->malformed, c->badcsum, c->ttl, c->write_error,
		c->dropped, c->lost, c->duplicated, c->reordered);
}

static void read_device(struct device *d, uint64_t now)
{
	static uint8_t buf[PACKET_MAX + 1];
	ssize_t len;
	int i;

	for (i = 0; i < BATCH; i++) {
		len = read(d->fd, buf, sizeof(buf));
		if (len <= 0)
			return;
		forward(buf, len, now);
	}
}

/* Returns true for the signals that end us. */
static bool read_signal(int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (info.ssi_signo != SIGUSR1)
		return true;
	summary();
	return false;
}

/* Signals come as input like packets: ppoll() would never see one while packets keep coming. */
static void loop(int signals)
{
	struct pollfd p[] = { { .fd = signals, .events = POLLIN },
			      { .fd = client_device.fd, .events = POLLIN },
			      { .fd = server_device.fd, .events = POLLIN } };
	uint64_t now = now_ms(), end = now + seconds * 1000ull, tick = now;

	while (!seconds || now < end) {
		if (poll(p, one_device ? 2 : 3, fault_pending() ? 5 : TICK_MS) < 0 &&
		    errno != EINTR) {
			perror("toa-lb: poll");
			break;
		}
		if (p[0].revents && read_signal(signals))
			break;
		now = now_ms();
		read_device(&client_device, now);
		if (!one_device)
			read_device(&server_device, now);
		fault_expire(now);
		if (now - tick >= TICK_MS) {
			conn_expire(now);
			tick = now;
		}
	}
}

static int signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		perror("toa-lb: signalfd");
	return fd;
}

/* Forks; the parent waits for the child's word that it is ready. Returns the pipe to say it on. */
static int background(void)
{
	char ok = 0;
	int fds[2];
	pid_t pid;

	if (!detach)
		return -1;
	if (pipe2(fds, O_CLOEXEC)) {
		perror("toa-lb: pipe");
		exit(1);
	}
	pid = fork();
	if (pid < 0) {
		perror("toa-lb: fork");
		exit(1);
	}
	if (!pid) {
		close(fds[0]);
		setsid();
		return fds[1];
	}
	close(fds[1]);
	_exit(read(fds[0], &ok, 1) == 1 && ok ? 0 : 1);
}

static bool ready(int word)
{
	FILE *f;
	int null;

	if (pid_file) {
		f = fopen(pid_file, "w");
		if (!f || fprintf(f, "%d\n", getpid()) < 0 || fclose(f)) {
			perror(pid_file);
			return false;
		}
	}
	fputs("toa-lb: ready\n", stderr);
	if (word < 0)
		return true;
	null = open("/dev/null", O_RDWR);
	if (null >= 0) {
		dup2(null, 0);
		dup2(null, 1);
	}
	if (null > 2)
		close(null);
	null = write(word, "1", 1);
	close(word);
	return null == 1;
}

int main(int argc, char **argv)
{
	int word, sigs;

	command_line(argc, argv);
	word = background();
	sigs = signals();
	if (sigs < 0 || !set_up() || !ready(word))
		return 1;
	loop(sigs);
	summary();
	if (pid_file)
		unlink(pid_file);
	return 0;
}
