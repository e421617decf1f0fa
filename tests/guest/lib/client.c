// SPDX-License-Identifier: GPL-2.0
#include "client.h"
#include "mod.h"

const struct opts *both(void)
{
	static __thread struct opts o;

	o.len = 0;
	return opt_v6(opt_v4(&o, V4, 4321), V6, 8765);
}

void works(enum kind kind)
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
