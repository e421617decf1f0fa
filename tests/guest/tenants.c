// SPDX-License-Identifier: GPL-2.0
/*
 * Tenants: what the network namespaces of a user may hold together, and what is left to others.
 *
 * A tenant is a process that gives up root, makes a user namespace and a network namespace in it,
 * and plays server, balancer and clients there, as any user may.
 */
#include "mod.h"
#include "user.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE "/toa/toa-debug.ko"

enum {
	PORT = 7777,
	ALICE = 1000,
	BOB = 1001,
	TABLE_MAX = 800,
	TABLE_SHARE = TABLE_MAX / 8,
	SLOTS = 4096,
	SLOTS_SHARE = SLOTS / 8,
	MANY = 64,
	/* Listeners of a tenant: before 5.4 each has at most 128 that nobody accepts. */
	LISTENERS = 16,
	EACH = 100,
};

#define SMALL "table_max=800 syn_slots=4096"

/* What a tenant is told to do, and how often. */
struct order {
	enum { CONNECT, SYN, COMPLETE } what;
	int count;
};

struct tenant {
	pid_t pid;
	int fd;
	unsigned long inode;		/* of the network namespace */
};

static void load(const char *params)
{
	if (toa_loaded())
		toa_unload();
	require(toa_load(params) == 0);
}

/*
 * The tenant's side
 */

/* From addresses of its own for each, so that the kernel does not run out of ports. */
static void client_init(const struct server *s, const struct dev *dev, struct conn *c, int number)
{
	server_conn(s, c);
	c->dev = dev;
	c->saddr[1] = 9;
	c->saddr[2] = 1 + number / 250;
	c->saddr[3] = 1 + number % 250;
}

static int act(const struct server *s, const struct server *busy, const struct dev *dev,
	       const struct order *order)
{
	static int number, made;
	int i, done = 0;

	for (i = 0; i < order->count; i++, number++) {
		struct conn c;

		client_init(order->what == SYN ? busy : &s[made / EACH % LISTENERS], dev, &c,
			    number);
		conn_syn(&c, order->what == CONNECT ? NULL : v4_opt("198.51.100.1", 1));
		if (order->what == SYN) {
			done++;
			if (i % 100 == 99)
				dev_drain(dev);
			continue;
		}
		if (!conn_synack(&c, NULL))
			break;
		conn_ack(&c, order->what == CONNECT ? v4_opt("198.51.100.1", 1) : NULL);
		made++;
		done++;
	}
	dev_drain(dev);
	return done;
}

static void tenant_lives(int fd, uid_t uid, int depth)
{
	struct server s[LISTENERS], busy;
	struct order order;
	struct stat st;
	struct dev dev;
	unsigned long inode;
	int done, i;

	/* When the test ends, its end of the pair closes, and nobody else has that. */
	for (i = STDERR_FILENO + 1; i < 1024; i++)
		if (i != fd)
			close(i);
	user_become(uid);
	/* One within the other. */
	while (depth--)
		user_namespace_new();
	require(unshare(CLONE_NEWNET) == 0);
	dev_open(&dev);
	for (i = 0; i < LISTENERS; i++)
		server_open_at(&s[i], INET, EACH, PORT + i);
	/* One connection at most is made here, SYNs are welcome. */
	server_open_at(&busy, INET, 1, PORT + LISTENERS);
	require(stat("/proc/self/ns/net", &st) == 0);
	inode = st.st_ino;
	require(write(fd, &inode, sizeof(inode)) == sizeof(inode));
	while (read(fd, &order, sizeof(order)) == sizeof(order)) {
		done = act(s, &busy, &dev, &order);
		require(write(fd, &done, sizeof(done)) == sizeof(done));
	}
}

/*
 * The host's side
 */

static void tenant_new(struct tenant *t, uid_t uid, int depth)
{
	int fd[2];

	require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) == 0);
	t->pid = fork();
	require(t->pid >= 0);
	if (!t->pid) {
		tenant_lives(fd[1], uid, depth);
		_exit(test_failed());
	}
	close(fd[1]);
	t->fd = fd[0];
	require(read(t->fd, &t->inode, sizeof(t->inode)) == sizeof(t->inode));
}

static void tell(const struct tenant *t, int what, int count)
{
	struct order order = { what, count };

	require(write(t->fd, &order, sizeof(order)) == sizeof(order));
}

static void done(const struct tenant *t, int count)
{
	int n;

	require(read(t->fd, &n, sizeof(n)) == sizeof(n));
	check_num(n, count);
}

static void ask(const struct tenant *t, int what, int count)
{
	tell(t, what, count);
	done(t, count);
}

static void tenant_end(struct tenant *t)
{
	int status;

	close(t->fd);
	require(waitpid(t->pid, &status, 0) == t->pid);
	check_num(status, 0);
}

/* Addresses in the table of namespaces that are not the initial one, or of one of them. */
static int held(const struct tenant *t)
{
	static struct table_line line[2 * TABLE_MAX];
	int i, n = table_get(line, 2 * TABLE_MAX), count = 0;
	struct stat st;

	require(stat("/proc/self/ns/net", &st) == 0);
	for (i = 0; i < n && i < 2 * TABLE_MAX; i++)
		count += t ? line[i].netns == t->inode : line[i].netns != st.st_ino;
	return count;
}

static long kept(void)
{
	return param_number("kept");
}

/* Namespaces end behind the last process, by a work item. */
static bool gone(void)
{
	int i;

	for (i = 0; i < WAIT_MS && (held(NULL) || kept()); i++)
		usleep(1000);
	return i < WAIT_MS;
}

static void finish(void)
{
	check(gone());
	check(stats_balanced());
	toa_unload();
}

static void host_works(int count)
{
	struct server s;
	int i, n = 0;

	server_open(&s, INET, 5);
	for (i = 0; i < count; i++) {
		struct conn c;
		int fd = server_connect(&s, &c, NULL, v4_opt("198.51.100.9", 9));

		n += !strcmp(peer_of(fd), "198.51.100.9:9");
		if (i == count - 1)
			reset(fd);
	}
	check_num(n, count);
}

static void need_users(void)
{
	struct tenant t;

	if (access("/proc/self/ns/user", F_OK))
		test_skip("this kernel has no user namespaces");
	require(chmod("/dev/net/tun", 0666) == 0);
	tenant_new(&t, ALICE, 1);
	tenant_end(&t);
}

/* A tenant fills its share of the table; the rest is others', and its own again when it ends. */
static void table(const void *arg)
{
	const int depth = *(const int *)arg;
	struct stats before;
	struct tenant t;
	int round;

	need_users();
	load(SMALL);
	for (round = 0; round < 2; round++) {
		require(stats_get(&before));
		tenant_new(&t, ALICE, depth);
		ask(&t, CONNECT, 2 * TABLE_SHARE);
		check_num(held(&t), TABLE_SHARE);
		check_moved(&before, "syn_recv_sock_toa", TABLE_SHARE, "toa_share_full",
			    TABLE_SHARE, "toa_entry_alloc", TABLE_SHARE);
		host_works(1);
		tenant_end(&t);
		check(gone());
	}
	finish();
}

/* A tenant fills its share of the slots; then its own oldest go, and what is newest completes. */
static void slots(const void *arg)
{
	struct stats before, after;
	struct conn c[10];
	struct tenant t;
	struct server s;
	int i, round, fd;

	(void)arg;
	need_users();
	load(SMALL);
	server_open(&s, INET, 20);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < 10; i++)
			server_syn(&s, &c[i], v4_opt("198.51.100.9", 9));
		require(stats_get(&before));
		tenant_new(&t, ALICE, 1);
		ask(&t, SYN, 2 * SLOTS);
		/* Where it has nothing in a set, its SYN is not kept at all. */
		check_num(kept(), SLOTS_SHARE + 10);
		check_moved(&before, "toa_share_full", 2 * SLOTS - SLOTS_SHARE);
		for (i = 0; i < 10; i++) {
			conn_ack(&c[i], NULL);
			fd = server_accepted(&s);
			check_has(&s, &c[i], fd, "198.51.100.9:9", NULL);
			reset(fd);
		}
		/* At most one in fifty sets has none of its. */
		ask(&t, COMPLETE, 50);
		check(held(&t) >= 40);
		/* What it abandoned long ago is no loss. */
		if (round) {
			param_set("ahead", "100");
			require(stats_get(&before));
			ask(&t, SYN, 100);
			require(stats_get(&after));
			check(stats_of(&after, "toa_share_full") -
			      stats_of(&before, "toa_share_full") < 20);
		}
		tenant_end(&t);
		check(gone());
	}
	finish();
}

/* Many namespaces of one user are one tenant. */
static void many(const void *arg)
{
	struct tenant t[MANY];
	struct stats before;
	int i;

	(void)arg;
	need_users();
	load(SMALL);
	require(stats_get(&before));
	for (i = 0; i < MANY; i++)
		tenant_new(&t[i], ALICE, 1 + i % 2);
	/* All at once. */
	for (i = 0; i < MANY; i++)
		tell(&t[i], CONNECT, 20);
	for (i = 0; i < MANY; i++)
		done(&t[i], 20);
	check_num(held(NULL), TABLE_SHARE);
	check_moved(&before, "syn_recv_sock_toa", TABLE_SHARE, "toa_entry_alloc", TABLE_SHARE,
		    "toa_share_full", 20 * MANY - TABLE_SHARE);
	for (i = 0; i < MANY; i++)
		tell(&t[i], SYN, 20);
	for (i = 0; i < MANY; i++)
		done(&t[i], 20);
	check(kept() <= SLOTS_SHARE && kept() > SLOTS_SHARE / 2);
	host_works(TABLE_MAX / 2);
	for (i = 0; i < MANY; i++)
		tenant_end(&t[i]);
	finish();
}

/* Another user has another share; and of root's user namespaces, each has. */
static void others(const void *arg)
{
	struct tenant t[3];
	int i;

	(void)arg;
	need_users();
	load(SMALL);
	tenant_new(&t[0], ALICE, 1);
	tenant_new(&t[1], arg ? 0 : BOB, 1);
	tenant_new(&t[2], arg ? 0 : ALICE, 1);
	for (i = 0; i < 3; i++)
		ask(&t[i], CONNECT, 2 * TABLE_SHARE);
	check_num(held(&t[0]), TABLE_SHARE);
	check_num(held(&t[1]), TABLE_SHARE);
	check_num(held(&t[2]), arg ? TABLE_SHARE : 0);
	for (i = 0; i < 3; i++)
		tenant_end(&t[i]);
	finish();
}

/* However many tenants there are, an eighth is the host's. */
static void reserve(const void *arg)
{
	struct tenant t[10];
	struct stats before, after;
	int i;

	(void)arg;
	need_users();
	load(SMALL);
	require(stats_get(&before));
	for (i = 0; i < 10; i++) {
		tenant_new(&t[i], ALICE + i, 1);
		ask(&t[i], CONNECT, TABLE_SHARE);
		ask(&t[i], SYN, SLOTS_SHARE);
	}
	check_num(held(NULL), TABLE_MAX - TABLE_MAX / 8);
	check(kept() <= SLOTS - SLOTS / 8);
	host_works(TABLE_MAX / 8);
	require(stats_get(&after));
	/* Theirs, and none of the host's. */
	check_num(stats_of(&after, "toa_table_full") - stats_of(&before, "toa_table_full"),
		  10 * TABLE_SHARE - (TABLE_MAX - TABLE_MAX / 8));
	check_num(stats_of(&after, "toa_share_full"), stats_of(&before, "toa_share_full"));
	for (i = 0; i < 10; i++)
		tenant_end(&t[i]);
	finish();
}

static void parameter(const void *arg)
{
	static const struct {
		const char *params;
		int want;
	} cases[] = {
		{ SMALL " tenant_share=0", 0 },
		{ SMALL " tenant_share=1", TABLE_MAX - TABLE_MAX / 8 },
		{ SMALL " tenant_share=16", TABLE_MAX / 16 },
	};
	struct tenant t;
	int i;

	(void)arg;
	need_users();
	for (i = 0; i < 3; i++) {
		load(cases[i].params);
		tenant_new(&t, ALICE, 1);
		ask(&t, CONNECT, TABLE_MAX);
		check_num(held(&t), cases[i].want);
		/* At run time what is there stays. */
		param_set("tenant_share", "4");
		ask(&t, CONNECT, TABLE_MAX / 8);
		if (cases[i].want > TABLE_MAX / 4)
			check_num(held(&t), cases[i].want);
		else
			check_num(held(&t), cases[i].want + TABLE_MAX / 8);
		tenant_end(&t);
		finish();
	}
}

/* Root's own containers are the host's, as long as they have no user namespace of their own. */
static void container(const void *arg)
{
	struct tenant t;

	(void)arg;
	need_users();
	load(SMALL);
	tenant_new(&t, 0, 0);
	ask(&t, CONNECT, TABLE_MAX);
	check_num(held(&t), TABLE_MAX);
	tenant_end(&t);
	finish();
}

/* Those that were there before the module have a share too. */
static void before_load(const void *arg)
{
	struct tenant t;

	(void)arg;
	need_users();
	toa_unload();
	tenant_new(&t, ALICE, 1);
	load(SMALL);
	ask(&t, CONNECT, 2 * TABLE_SHARE);
	check_num(held(&t), TABLE_SHARE);
	tenant_end(&t);
	finish();
}

int main(int argc, char **argv)
{
	static const int once = 1, twice = 3;

	test_add(table, &once, "a user's namespace fills its share of the table");
	test_add(table, &twice, "a namespace deep in user namespaces fills its share of the table");
	test_add(slots, NULL, "a user's namespace fills its share of the slots");
	test_add(many, NULL, "64 namespaces of a user fill one share");
	test_add(others, NULL, "another user has another share");
	test_add(others, &once, "each user namespace that root made has a share");
	test_add(reserve, NULL, "tenants together leave an eighth to the host");
	test_add(parameter, NULL, "tenant_share= none, all, others");
	test_add(container, NULL, "a namespace of the initial user namespace has no limit");
	test_add(before_load, NULL, "a namespace that is older than the module has a share");
	setenv("TOA_KO", MODULE, 0);
	return bare_main("tenants", "debug=0", argc, argv);
}
