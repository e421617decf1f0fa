// SPDX-License-Identifier: GPL-2.0
#include "handover.h"
#include "mod.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HANDOVER "/proc/net/toa_handover"

void handover_needed(void)
{
	if (toa_loaded() && access(HANDOVER, F_OK))
		test_skip("hooks are not by ftrace: there is no hand-over");
}

char *handover_read(void)
{
	size_t size = 1 << 16, len = 0;
	int fd = open(HANDOVER, O_RDONLY | O_CLOEXEC);
	char *text = NULL;
	ssize_t n;

	require(fd >= 0);
	do {
		if (!text || size - len < 4096)
			text = realloc(text, size *= 2);
		require(text);
		n = read(fd, text + len, size - len - 1);
		require(n >= 0);
		len += n;
	} while (n);
	close(fd);
	text[len] = 0;
	return text;
}

int handover_write(const char *text, size_t len)
{
	int fd = open(HANDOVER, O_WRONLY | O_CLOEXEC), err = 0;
	ssize_t n;

	if (fd < 0)
		return errno;
	while (len && !err) {
		n = write(fd, text, len);
		if (n < 0) {
			err = errno;
		} else {
			text += n;
			len -= n;
		}
	}
	close(fd);
	return err;
}

long handover_count(const char *text)
{
	const char *end = strstr(text, "\nend ");
	long count;

	return end && sscanf(end, "\nend %ld\n", &count) == 1 ? count : -1;
}

long handover_left(void)
{
	char *text = handover_read();
	long count = handover_count(text);

	free(text);
	return count;
}

/* What the module was loaded with. */
static const char *loaded_with;

void handover_load(const char *params)
{
	check_str(error_name(-toa_load(params)), error_name(0));
	loaded_with = params;
}

void handover_loaded(const char *params)
{
	loaded_with = params;
}

void handover_upgrade(const char *params)
{
	char *text = handover_read();

	require(toa_unload() == 0);
	handover_load(params);
	check_str(error_name(handover_write(text, strlen(text))), error_name(0));
	free(text);
}

void handover_fresh(void)
{
	if (toa_loaded() && loaded_with && !*loaded_with) {
		handover_needed();
		if (handover_left() == 0)
			return;
	}
	if (toa_loaded())
		require(toa_unload() == 0);
	handover_load("");
	handover_needed();
}

long handover_left_at_last(long want)
{
	long left = handover_left();
	int i;

	for (i = 0; i < WAIT_MS && left != want; i++) {
		usleep(1000);
		left = handover_left();
	}
	return left;
}
