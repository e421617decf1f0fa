// SPDX-License-Identifier: GPL-2.0
#include "random.h"
#include "mod.h"

#include <stdlib.h>

int rounds = 2000;
unsigned int seed;

unsigned int some(unsigned int below)
{
	return rand_r(&seed) % below;
}

const struct opts *both(void)
{
	static struct opts o;

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

int random_main(const char *file, int argc, char **argv)
{
	if (argc > 1 && atoi(argv[1]) > 0) {
		rounds = atoi(argv[1]);
		argv[1] = argv[0];
		argv++;
		argc--;
	}
	return toa_main(file, "", argc, argv);
}
