// SPDX-License-Identifier: GPL-2.0
#include "client.h"
#include "mod.h"

const char *const carried_name[CARRIED] = { "none", "option 200", "option 253", "both" };

const struct opts *carrying(int carried)
{
	static __thread struct opts o;

	o.len = 0;
	if (carried & HAS_V4)
		opt_v4(&o, V4, 4321);
	if (carried & HAS_V6)
		opt_v6(&o, V6, 8765);
	return carried ? &o : NULL;
}

const struct opts *both(void)
{
	return carrying(HAS_BOTH);
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
