// SPDX-License-Identifier: GPL-2.0
/* The command line. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lb-test.h"

static int lb_status(const char * const *args)
{
	const char *argv[16] = { lb_path };
	unsigned int i;
	int status, null;
	pid_t pid = fork();

	if (!pid) {
		for (i = 0; args[i]; i++)
			argv[i + 1] = args[i];
		null = open("/dev/null", O_WRONLY);
		dup2(null, 1);
		dup2(null, 2);
		bed_enter(CLIENT_SIDE);
		execv(lb_path, (char **)argv);
		_exit(127);
	}
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool wait_gone(const char *path)
{
	unsigned int i;

	for (i = 0; i < 400; i++) {
		if (access(path, F_OK))
			return true;
		usleep(10000);
	}
	return fail("%s stays", path);
}

static void test_daemon(void)
{
	char pid_file[sizeof(lb_log) + 8];
	const char *args[] = { "--tun", "toa-x", "--pool", "10.99.9.1", "--daemon", "--pidfile",
			       pid_file, "--service", "203.0.113.9:*=10.99.9.9:*", NULL };
	FILE *f;
	bool ok;
	int pid;

	snprintf(pid_file, sizeof(pid_file), "%s.pid", lb_log);
	ok = !lb_status(args) || fail("--daemon failed");
	f = fopen(pid_file, "re");
	if (!f || fscanf(f, "%d", &pid) != 1)
		ok = fail("no process in the pid file");
	if (f)
		fclose(f);
	/* The device is taken now, so a second one has to fail, and say so. */
	args[6] = "/dev/null";
	if (ok && lb_status(args) != 1)
		ok = fail("a second balancer on one device");
	if (ok)
		ok = !kill(pid, SIGTERM) && wait_gone(pid_file);
	result(ok, "--daemon and --pidfile, and a device that is taken");
}

void test_command_line(void)
{
	static const char * const bad[] = {
		"", "x", "203.0.113.1=10.0.0.1:1", "203.0.113.1:80",
		"203.0.113.1:80=[2001:db8::1]:80",
		"203.0.113.1:80=10.0.0.1:80,in=fin", "203.0.113.1:80=10.0.0.1:80,opt=200/9",
		"203.0.113.1:80=10.0.0.1:80,opt=1", "203.0.113.1:80=10.0.0.1:80,claim=1.2.3",
		"203.0.113.1:80=10.0.0.1:80,raw=c", "203.0.113.1:80=10.0.0.1:80,opt=both+both",
		"203.0.113.1:80=10.0.0.1:80,nops=4", "203.0.113.1:99999=10.0.0.1:80",
		"203.0.113.1:80=10.0.0.1:80,what=1", "203.0.113.1:80=10.0.0.1:80,in",
	};
	const char *help[] = { "--help", NULL };
	const char *timed[] = { "--tun", "toa-x", "--pool", "10.99.9.1", "--seconds", "1",
				"--service", "203.0.113.9:*=10.99.9.9:*", NULL };
	unsigned int i;
	bool ok = true;

	for (i = 0; ok && i < sizeof(bad) / sizeof(*bad); i++) {
		const char *args[] = { "--tun", "toa-x", "--pool", "10.99.9.1", "--service", bad[i],
				       "--seconds", "1", NULL };

		if (lb_status(args) != 2)
			ok = fail("--service '%s' was taken", bad[i]);
	}
	result(ok, "a bad --service ends with status 2");
	result(!lb_status(help), "--help");
	result(!lb_status(timed), "--seconds ends it with status 0");
	test_daemon();
}
