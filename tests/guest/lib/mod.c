// SPDX-License-Identifier: GPL-2.0
#include "mod.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* This process's namespace is the initial one, unless a test has moved it. */
#define STATS "/proc/1/net/toa_stats"

enum {
	TRIES = 2000,
	TRY_US = 10000,
	FDS = 4096,
};

static bool absent(void)
{
	const char *value = getenv("TOA_ABSENT");

	return value && !strcmp(value, "1");
}

/*
 * Modules
 */

/* Before 3.8 the kernel takes a module from memory only. */
static int load_mapped(int fd, const char *params)
{
	struct stat st;
	void *image;
	int err;

	if (fstat(fd, &st))
		return -errno;
	image = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (image == MAP_FAILED)
		return -errno;
	err = syscall(SYS_init_module, image, st.st_size, params) ? -errno : 0;
	munmap(image, st.st_size);
	return err;
}

static int load(const char *path, const char *params)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = syscall(SYS_finit_module, fd, params, 0) ? -errno : 0;
	if (err == -ENOSYS)
		err = load_mapped(fd, params);
	close(fd);
	return err;
}

static int unload(const char *name)
{
	int i;

	/* Somebody may be inside a getsockopt for a moment. */
	for (i = 0; i < TRIES; i++) {
		if (syscall(SYS_delete_module, name, O_NONBLOCK) == 0)
			return 0;
		if (errno != EAGAIN)
			break;
		usleep(TRY_US);
	}
	return -errno;
}

static const char *toa_path(void)
{
	const char *path = getenv("TOA_KO");

	return path ? path : "/toa/toa.ko";
}

/* toa.NAME=VALUE words of the kernel's command line, as modprobe would apply them. */
static void boot_params(char *params, size_t size)
{
	char line[4096], *word, *rest = line;
	size_t len;

	params[0] = 0;
	if (!read_file("/proc/cmdline", line, sizeof(line)))
		return;
	while ((word = strsep(&rest, " \n"))) {
		len = strlen(params);
		if (strncmp(word, "toa.", 4) == 0)
			snprintf(params + len, size - len, "%s ", word + 4);
	}
}

/* Of every load: see toa_main(). */
static const char *load_params = "";

int toa_load(const char *params)
{
	char boot[4096], *all;
	int err;

	if (absent())
		return 0;
	boot_params(boot, sizeof(boot));
	/* Of two equal names the last one counts. */
	if (asprintf(&all, "%s %s%s", load_params, boot, params) < 0)
		return -ENOMEM;
	err = load(toa_path(), all);
	free(all);
	return err;
}

int toa_unload(void)
{
	return absent() ? 0 : unload("toa");
}

bool toa_loaded(void)
{
	return access("/sys/module/toa", F_OK) == 0;
}

/* An empty list is written as a line of its own: nothing at all would not reach the kernel. */
void param_set(const char *name, const char *value)
{
	char path[128], line[300];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	snprintf(line, sizeof(line), "%s\n", value);
	write_file(path, line);
}

void need_late(void)
{
	int fd = open(PARAMETERS "late", O_WRONLY | O_CLOEXEC);

	require(fd >= 0);
	if (write(fd, "1\n", 2) < 0 && errno == EOPNOTSUPP)
		test_skip("late=1 needs a newer kernel");
	close(fd);
	param_set("late", "0");
}

long param_number(const char *name)
{
	char path[128], text[32] = "";

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	check(read_file(path, text, sizeof(text)));
	return atol(text);
}

void toa_set_both(bool both)
{
	param_set("both", both ? "1" : "0");
}

static const char *holder_path(void)
{
	static const char *const paths[] = {
		"/toa/toa_holder.ko",
		"/toa/guest/toa_holder.ko",
		"/toa/guest/kmod/toa_holder.ko",
	};
	const char *path = getenv("TOA_HOLDER_KO");
	size_t i;

	if (path)
		return path;
	for (i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
		if (access(paths[i], F_OK) == 0)
			return paths[i];
	return "/nonexistent";
}

bool holder_exists(void)
{
	return access(holder_path(), F_OK) == 0;
}

int holder_load(const char *params)
{
	return load(holder_path(), params);
}

int holder_unload(void)
{
	return unload("toa_holder");
}

/*
 * What is done around tests
 */

static int home = -1;		/* the namespace to return to */
static bool open_before[FDS];

static void list_fds(void (*fn)(int fd))
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int fds[FDS], n = 0;

	if (!dir)
		return;
	while ((entry = readdir(dir)) && n < FDS)
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
			fds[n++] = atoi(entry->d_name);
	closedir(dir);
	while (n--)
		fn(fds[n]);
}

static void remember(int fd)
{
	if (fd < FDS)
		open_before[fd] = true;
}

static void close_new(int fd)
{
	if (fd < FDS && !open_before[fd])
		reset(fd);
}

static void close_all(void)
{
	if (home >= 0)
		ns_leave();
	list_fds(close_new);
	if (dev0.fd >= 0)
		dev_drain(&dev0);
}

static void open_dev(void)
{
	dev_open(&dev0);
	list_fds(remember);
}

static void setup(const void *arg)
{
	int err;

	(void)arg;
	open_dev();
	check(!toa_loaded());
	err = toa_load("");
	check_str(error_name(-err), error_name(0));
	check(toa_loaded());
}

/* Nothing may be left behind: neither of the tests' connections nor of the module. */
static void teardown(const void *arg)
{
	(void)arg;
	close_all();
	check(table_empties());
	check(stats_balanced());
	check_str(error_name(-toa_unload()), error_name(0));
	check(!toa_loaded());
}

static void bare_setup(const void *arg)
{
	(void)arg;
	open_dev();
	check(!toa_loaded());
}

static void bare_teardown(const void *arg)
{
	(void)arg;
	check(!toa_loaded());
	if (toa_loaded())
		toa_unload();
}

int toa_main(const char *file, const char *params, int argc, char **argv)
{
	load_params = params;
	test_after_each = close_all;
	test_around(setup, "module loads", teardown, "nothing left, module unloads");
	return test_main(file, argc, argv);
}

int bare_main(const char *file, const char *params, int argc, char **argv)
{
	load_params = params;
	test_after_each = close_all;
	test_around(bare_setup, "module not loaded before", bare_teardown,
		    "module not loaded after");
	return test_main(file, argc, argv);
}

/*
 * Counters
 */

bool stats_get(struct stats *s)
{
	static char buf[65536];
	char *line, *next;

	s->rows = 0;
	if (!read_file(STATS, buf, sizeof(buf)))
		return absent();
	for (line = buf; *line; line = next) {
		char *colon, *p, *end;

		next = strchr(line, '\n');
		if (!next)
			return false;
		*next++ = 0;
		colon = strchr(line, ':');
		if (!colon)
			continue;
		*colon = 0;
		snprintf(s->row[s->rows].name, sizeof(s->row[0].name), "%.*s",
			 (int)strcspn(line, " "), line);
		s->row[s->rows].sum = 0;
		for (p = colon + 1;; p = end) {
			unsigned long n = strtoul(p, &end, 10);

			if (end == p)
				break;
			s->row[s->rows].sum += n;
		}
		if (++s->rows == sizeof(s->row) / sizeof(s->row[0]))
			break;
	}
	return true;
}

long stats_of(const struct stats *s, const char *name)
{
	int i;

	for (i = 0; i < s->rows; i++)
		if (!strcmp(s->row[i].name, name))
			return s->row[i].sum;
	return -1;
}

void stats_moved(const char *where, int line, const struct stats *before, ...)
{
	struct stats now;
	const char *name;
	bool follows;
	va_list ap;
	int i;

	if (!stats_get(&now) || now.rows != before->rows) {
		test_fail(where, line, "cannot read the counters");
		return;
	}
	for (i = 0; i < now.rows; i++) {
		long want = 0, moved = now.row[i].sum - before->row[i].sum;

		/* A missed probe is no answer of the module's. */
		if (strstr(now.row[i].name, "missed"))
			continue;
		/* These follow from others: looked at only if they are named. */
		follows = !strncmp(now.row[i].name, "toa_entry_", 10);
		va_start(ap, before);
		while ((name = va_arg(ap, const char *))) {
			int by = va_arg(ap, int);

			if (!strcmp(name, now.row[i].name)) {
				want = by;
				follows = false;
			}
		}
		va_end(ap);
		if (moved != want && !follows)
			test_fail(where, line, "%s moved by %ld, not %ld", now.row[i].name, moved,
				  want);
	}
	va_start(ap, before);
	while ((name = va_arg(ap, const char *))) {
		(void)va_arg(ap, int);
		if (stats_of(&now, name) < 0)
			test_fail(where, line, "no counter %s", name);
	}
	va_end(ap);
}

bool stats_balanced(void)
{
	struct stats s;
	int i;

	for (i = 0; i < TRIES; i++) {
		if (!stats_get(&s))
			return false;
		if (stats_of(&s, "ip6_address_alloc") == stats_of(&s, "ip6_address_free"))
			return true;
		usleep(TRY_US);
	}
	test_note("ip6_address_alloc %ld, ip6_address_free %ld", stats_of(&s, "ip6_address_alloc"),
		  stats_of(&s, "ip6_address_free"));
	return false;
}

/*
 * The table
 */

int table_get(struct table_line *lines, int max)
{
	int fd = net_open("toa_table");
	FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
	char text[512];
	int n = -1;

	if (!f)
		return -1;
	while (fgets(text, sizeof(text), f)) {
		struct table_line l;

		if (n < 0) {
			n = 0;	/* the header */
			continue;
		}
		if (sscanf(text, "%u %lu %63s %63s %63s %u", &l.kind, &l.netns, l.local, l.balancer,
			   l.client, &l.age) != 6) {
			test_note("bad line in the table: %s", text);
			n = -1;
			break;
		}
		if (n < max)
			lines[n] = l;
		n++;
	}
	fclose(f);
	return n;
}

int table_of(const struct conn *c, struct table_line *lines, int max)
{
	static struct table_line all[4096];
	int i, n = table_get(all, 4096), found = 0;

	if (n > 4096)
		n = 4096;
	for (i = 0; i < n; i++)
		if (!strcmp(all[i].balancer, conn_addr(c, false)) && found < max)
			lines[found++] = all[i];
	return n < 0 ? n : found;
}

bool table_empties(void)
{
	int i, n = -1;

	for (i = 0; i < TRIES; i++) {
		n = table_get(NULL, 0);
		/* On old kernels /proc may still show the file of a namespace that ends: EIO. */
		if (!n)
			break;
		usleep(TRY_US);
	}
	if (n)
		test_note("%d lines are left in the table", n);
	return n == 0;
}

/*
 * The kernel log
 */

void deferred_ready(const struct opts *syn)
{
	struct stats before, after;
	int tries;

	for (tries = 0; tries < 1000; tries++) {
		struct server s;
		struct conn c;

		server_open_deferred(&s, INET);
		server_conn(&s, &c);
		require(stats_get(&before));
		require(conn_open(&c, syn, v4_opt("127.0.0.1", 1)));
		conn_rst(&c);
		close(s.fd);
		require(stats_get(&after));
		if (stats_of(&after, "toa_invalid") != stats_of(&before, "toa_invalid"))
			return;
		usleep(10000);
	}
	test_fail(__FILE__, __LINE__, "ACKs that TCP_DEFER_ACCEPT drops are not seen");
	require(0);
}

void klog_start(struct klog *k)
{
	k->fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	require(k->fd >= 0);
	lseek(k->fd, 0, SEEK_END);
}

/* How many lines; more than fit are counted only. */
int klog_lines(struct klog *k, const char *prefix, char *buf, size_t size)
{
	char record[8192], *text, *end;
	size_t have = 0;
	int count = 0;

	buf[0] = 0;
	for (;;) {
		ssize_t n = read(k->fd, record, sizeof(record) - 1);

		if (n < 0 && errno == EPIPE)
			continue;
		if (n <= 0)
			break;
		record[n] = 0;
		text = strchr(record, ';');
		end = text ? strchr(text, '\n') : NULL;
		if (!end)
			continue;
		*++end = 0;
		text++;
		if (strncmp(text, prefix, strlen(prefix)))
			continue;
		count++;
		if (have + strlen(text) < size) {
			strcpy(buf + have, text);
			have += strlen(text);
		}
	}
	close(k->fd);
	return count;
}

bool kernel_has(const char *symbol)
{
	FILE *f = fopen("/proc/kallsyms", "re");
	char line[512], name[256];
	bool has = false;

	while (f && !has && fgets(line, sizeof(line), f))
		has = sscanf(line, "%*s %*s %255s", name) == 1 && !strcmp(name, symbol);
	if (f)
		fclose(f);
	return has;
}

/*
 * Namespaces
 */

static int ns_open(void)
{
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

void ns_new(struct ns *ns)
{
	struct stat st;

	home = ns_open();
	require(home >= 0);
	require(unshare(CLONE_NEWNET) == 0);
	ns->fd = ns_open();
	require(ns->fd >= 0 && fstat(ns->fd, &st) == 0);
	ns->inode = st.st_ino;
	dev_open(&ns->dev);
	ns_leave();
}

void ns_enter(const struct ns *ns)
{
	home = ns_open();
	require(home >= 0);
	require(setns(ns->fd, CLONE_NEWNET) == 0);
}

/*
 * Many kernels before 5.19 go on showing in /proc/PID/net, after setns(), a file that was found
 * there before, or at least as long as it is open. A child begins with none.
 */
int net_open(const char *name)
{
	pid_t pid = home < 0 ? getpid() : fork();
	char path[64];
	int fd, err;

	require(pid >= 0);
	if (!pid) {
		pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/net/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	err = errno;
	if (pid != getpid()) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	errno = err;
	return fd;
}

bool net_has(const char *name)
{
	int fd = net_open(name);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

void ns_leave(void)
{
	if (setns(home, CLONE_NEWNET))
		abort();
	close(home);
	home = -1;
}

void ns_free(struct ns *ns)
{
	dev_close(&ns->dev);
	close(ns->fd);
}
