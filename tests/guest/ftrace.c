// SPDX-License-Identifier: GPL-2.0
/* kernel.ftrace_enabled=0, which takes away what hooks stand on, before the load and after it. */
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SWITCH "/proc/sys/kernel/ftrace_enabled"

static char lines[65536];

static const struct opts *option(void)
{
	static struct opts o;

	o.len = 0;
	return opt_v4(&o, V4, 4321);
}

/* 0 or -errno */
static int set_tracing(const char *value)
{
	FILE *f = fopen(SWITCH, "w");
	int err = 0;

	if (!f)
		return -errno;
	if (fputs(value, f) < 0 || fflush(f))
		err = -errno;
	fclose(f);
	return err;
}

static void need_switch(void)
{
	if (access(SWITCH, F_OK))
		test_skip("this kernel has no kernel.ftrace_enabled");
}

static void check_works(void)
{
	struct server s;
	struct conn c;
	int fd;

	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, option());
	check_has(&s, &c, fd, V4_TEXT, NULL);
	reset(fd);
}

/* Where a hook needs it, the load fails and says what to do; else the module works. */
static void before(const void *params)
{
	struct klog k;
	int err, n;

	need_switch();
	err = set_tracing("0");
	if (err == -EOPNOTSUPP)
		test_skip("this kernel does not let it be switched off");
	require(err == 0);
	klog_start(&k);
	err = toa_load(params);
	n = klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (err) {
		check_num(n, 1);
		check(strstr(lines, "kernel.ftrace_enabled=1"));
		check(!toa_loaded());
	} else {
		check(strstr(lines, "toa load success"));
		check_works();
		check_str(error_name(-toa_unload()), error_name(0));
	}
	check_num(set_tracing("1"), 0);

	check_str(error_name(-toa_load(params)), error_name(0));
	check_works();
	check_str(error_name(-toa_unload()), error_name(0));
}

/*
 * With ftrace it is refused. With kprobes it may disarm the module: then the balancer is shown, and
 * never something else.
 */
static void after(const void *params)
{
	struct server s;
	struct conn c;
	struct klog k;
	int err, fd;

	need_switch();
	klog_start(&k);
	require(toa_load(params) == 0);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	err = set_tracing("0");
	/* Some kernels refuse it to everybody. */
	if (strstr(lines, "hooks by ftrace,") && err != -EOPNOTSUPP)
		check_str(error_name(-err), "EBUSY");
	if (err) {
		check_works();
	} else {
		server_open(&s, INET, 5);
		fd = server_connect(&s, &c, NULL, option());
		if (strcmp(peer_of(fd), V4_TEXT))
			check_str(peer_of(fd), server_sees(&s, &c));
		check(data_flows(&c, fd));
		reset(fd);
		check_num(set_tracing("1"), 0);
		check_works();
	}
	check_str(error_name(-toa_unload()), error_name(0));
}

int main(int argc, char **argv)
{
	static const char *const hooks[] = { "auto", "kprobe" };
	static char params[2][16];
	size_t i;

	for (i = 0; i < 2; i++) {
		snprintf(params[i], sizeof(params[i]), "hook=%s", hooks[i]);
		test_add(before, params[i], "kernel.ftrace_enabled=0 before the load, %s",
			 params[i]);
		test_add(after, params[i], "kernel.ftrace_enabled=0 while loaded, %s", params[i]);
	}
	return bare_main("ftrace", "", argc, argv);
}
