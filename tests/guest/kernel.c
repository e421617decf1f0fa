// SPDX-License-Identifier: GPL-2.0
/* Servers inside the kernel decide by the peer's address: they get the original answer. */
#include "client.h"
#include "mod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char *kernel_peer_of(int fd)
{
	static char text[128];
	char params[32];
	int err;

	snprintf(params, sizeof(params), "fd=%d", fd);
	err = holder_load(params);
	if (err)
		return error_name(-err);
	if (!read_file("/sys/module/toa_holder/parameters/answer", text, sizeof(text)))
		strcpy(text, "no answer");
	*strchrnul(text, '\n') = 0;
	check_num(holder_unload(), 0);
	return text;
}

struct cell {
	enum kind kind;
	int v6;
	bool allowed;
};

static void cell(const void *arg)
{
	const struct cell *t = arg;
	const char *want, *got;
	struct stats before;
	struct server s;
	struct conn c;
	int fd;

	if (!holder_exists())
		test_fail(__FILE__, __LINE__, "no toa_holder.ko");
	server_open(&s, t->kind, 5);
	fd = server_connect(&s, &c, NULL, t->v6 ? v6_opt(V6, 8765) : v4_opt(V4, 4321));
	want = t->v6 ? V6_TEXT : t->kind == INET ? V4_TEXT : mapped(V4_TEXT);
	/* An application's answer does not depend on it. */
	check_str(peer_of(fd), want);
	if (t->allowed)
		param_set("kernel_getname", "1");
	require(stats_get(&before));
	got = kernel_peer_of(fd);
	if (t->allowed) {
		param_set("kernel_getname", "0");
		check_str(got, want);
		check_moved(&before, "getname_toa_ok", 1);
	} else {
		check_str(got, server_sees(&s, &c));
		check_moved(&before);
	}
	check_str(peer_of(fd), want);
}

static void at_load(const void *arg)
{
	struct server s;
	struct conn c;
	int fd;

	(void)arg;
	require(toa_unload() == 0 && toa_load("kernel_getname=1") == 0);
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, v4_opt(V4, 4321));
	check_str(kernel_peer_of(fd), V4_TEXT);
	require(toa_unload() == 0 && toa_load("") == 0);
}

int main(int argc, char **argv)
{
	static const struct cell cells[] = {
		{ INET, 0, false }, { INET, 0, true }, { MAPPED, 0, false }, { MAPPED, 0, true },
		{ MAPPED, 1, false }, { MAPPED, 1, true }, { INET6, 1, false }, { INET6, 1, true },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cells) / sizeof(cells[0]); i++)
		test_add(cell, &cells[i], "kernel_getname=%d %s option %d", cells[i].allowed,
			 kind_name[cells[i].kind], cells[i].v6 ? 253 : 200);
	test_add(at_load, NULL, "kernel_getname=1 at load");
	return toa_main("kernel", "", argc, argv);
}
