// SPDX-License-Identifier: GPL-2.0
/* What may be written to /proc/net/toa_handover, and what must not. */
#include "client.h"
#include "handover.h"
#include "handover_parts.h"
#include "mod.h"
#include "park.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *good;			/* a text of two connections */
static struct server text_server;
static int text_fd[2];
static struct conn text_conn[2];

static void text_make(const char *params)
{
	handover_fresh();	/* for the text */
	server_open(&text_server, DUAL6, 5);
	text_fd[0] = server_connect(&text_server, &text_conn[0], NULL, carrying(HAS_V4));
	text_fd[1] = server_connect(&text_server, &text_conn[1], NULL, carrying(HAS_V6));
	free(good);
	good = handover_read();
	check_num(handover_count(good), 2);
	require(toa_unload() == 0);
	handover_load(params);
}

/* Refused, and nothing is kept. */
static void refused(const char *text, size_t len, const char *err, const char *why)
{
	static char lines[4096];
	struct klog k;

	klog_start(&k);
	check_str(error_name(handover_write(text, len)), err);
	klog_lines(&k, "TOA: ", lines, sizeof(lines));
	if (!strstr(lines, why))
		test_fail(__FILE__, __LINE__, "\"%s\" instead of \"%s\" of: %.*s", lines, why,
			  (int)len, text);
	check_num(handover_left(), 0);
}

/* At each byte. */
void torn(const void *arg)
{
	size_t len;

	(void)arg;
	text_make("");
	for (len = 1; len < strlen(good); len++)
		refused(good, len, error_name(0), "torn behind line");
	check_str(peer_of(text_fd[1]), server_sees(&text_server, &text_conn[1]));
	check_num(handover_write(good, strlen(good)), 0);
	check_str(peer_of(text_fd[1]), V6_TEXT);
}

/* Byte by byte, and in pieces that are no lines. */
void in_pieces(const void *arg)
{
	size_t piece, len, at;
	int fd;

	(void)arg;
	for (piece = 1; piece < 1000; piece *= 30) {
		text_make("");
		fd = open("/proc/net/toa_handover", O_WRONLY);
		require(fd >= 0);
		for (at = 0, len = strlen(good); at < len; at += piece)
			check(write(fd, good + at, len - at < piece ? len - at : piece) > 0);
		check(write(fd, "\n", 1) < 0 && errno == EINVAL);
		close(fd);
		check_num(handover_left(), 2);
		check_str(peer_of(text_fd[0]), mapped(V4_TEXT));
		check_str(peer_of(text_fd[1]), V6_TEXT);
		reset(text_fd[0]);
		reset(text_fd[1]);
		reset(text_server.fd);
	}
}

/* No byte may be one that does not belong there; the first line is that of this boot. */
void each_byte(const void *arg)
{
	size_t at, len, line = 1;
	char *bad, why[64];

	(void)arg;
	text_make("");
	len = strlen(good);
	bad = malloc(len + 1);
	require(bad);
	/* Without the newline at the end, it would be torn. */
	for (at = 0; at < len - 1; at++) {
		memcpy(bad, good, len + 1);
		bad[at] = bad[at] == '\n' ? ' ' : 'x';
		snprintf(why, sizeof(why), "line %zu is wrong", line);
		refused(bad, len, "EINVAL", why);
		if (good[at] == '\n')
			line++;
	}
	for (at = 0; at < strlen("toa-handover 1 01234567"); at++) {
		memcpy(bad, good, len + 1);
		bad[at] ^= 1;
		check(handover_write(bad, len) != 0);
		check_num(handover_left(), 0);
	}
	free(bad);
}

static char *line_of(char *text, int number)
{
	while (number-- > 1)
		text = strchr(text, '\n') + 1;
	return text;
}

static char *field_of(char *line, int number)
{
	while (number--)
		line = strchr(line, ' ') + 1;
	return line;
}

/* A text with one field of its second line changed. */
static char *with_field(int field, const char *value)
{
	char *text = strdup(good);

	memcpy(field_of(line_of(text, 2), field), value, strlen(value));
	return text;
}

void wrong_fields(const void *arg)
{
	/* Cookie, netns, born, local, port, balancer, port, then those of each address. */
	static const struct {
		int field;
		const char *value;
	} wrong[] = {
		{ 0, "0000000000000000" },
		{ 2, "7fffffff" },		/* years from now */
		{ 7, "00" }, { 8, "00" }, { 8, "04" }, { 8, "ff" }, { 11, "c8" }, { 12, "01" },
		{ 9, "7f000001" }, { 9, "00000000" }, { 9, "ffffffff" }, { 9, "e0000001" },
		{ 9, "a9fe0001" },
	};
	char *text, *line, keep[1024];
	size_t i;

	(void)arg;
	text_make("");
	/* The line of the IPv4 client first. */
	line = line_of(good, 2);
	if (!strncmp(field_of(line, 7), "00", 2)) {
		size_t len = strchr(line, '\n') + 1 - line;

		memcpy(keep, line, len);
		memmove(line, line + len, len);
		memcpy(line + len, keep, len);
	}
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		text = with_field(wrong[i].field, wrong[i].value);
		refused(text, strlen(text), "EINVAL", "line 2 is wrong");
		free(text);
	}
	check_num(handover_write(good, strlen(good)), 0);
}

void wrong_frames(const void *arg)
{
	static const struct {
		const char *text;
		const char *err, *why;
	} wrong[] = {
		{ "\n", "EINVAL", "line 1 is wrong" },
		{ "end 0\n", "EINVAL", "line 1 is wrong" },
		{ "toa-handover 2 00000000 0\n", "EINVAL", "line 1 is wrong" },
		{ "toa-handover 1 0 0\n", "EINVAL", "line 1 is wrong" },
		{ " toa-handover 1 00000000 0\n", "EINVAL", "line 1 is wrong" },
		{ "toa-handover 1 00000000 0\n", "ESTALE", "another boot" },
		{ "toa-handover 1 00000000 0 \n", "EINVAL", "line 1 is wrong" },
	};
	char *text = malloc(100000), *at;
	size_t i;

	(void)arg;
	require(text);
	text_make("");
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		refused(wrong[i].text, strlen(wrong[i].text), wrong[i].err, wrong[i].why);
	/* Another number of lines than there are, a line torn in two, a long one. */
	strcpy(text, good);
	strcpy(strstr(text, "\nend "), "\nend 3\n");
	refused(text, strlen(text), "EINVAL", "line 4 is wrong");
	strcpy(strstr(text, "\nend "), "\nend 02\n");
	refused(text, strlen(text), "EINVAL", "line 4 is wrong");
	strcpy(text, good);
	at = line_of(text, 3);
	memmove(at, at + 1, strlen(at));
	refused(text, strlen(text), "EINVAL", "line 3 is wrong");
	strcpy(text, good);
	memset(line_of(text, 2), 'a', 50000);
	text[60000] = 0;
	refused(text, 60000, "EINVAL", "line 2 is wrong");
	/* A byte that ends texts. */
	refused("toa-handover\0\n", 14, "EINVAL", "line 1 is wrong");
	free(text);
}

/* Of two lines about one connection the first counts. */
void one_twice(const void *arg)
{
	char *text = malloc(8192), *line;
	size_t len;

	(void)arg;
	require(text);
	text_make("");
	line = line_of(good, 2);
	len = line_of(good, 4) - line;
	memcpy(text, good, line + len - good);
	memcpy(text + (line + len - good), line, len);
	strcpy(text + (line + len - good) + len, "end 4\n");
	check_num(handover_write(text, strlen(text)), 0);
	check_num(handover_left(), 2);
	check_str(peer_of(text_fd[0]), mapped(V4_TEXT));
	check_str(peer_of(text_fd[1]), V6_TEXT);
	check_num(handover_left(), 2);
	free(text);
}

void stale(const void *arg)
{
	char *text;

	(void)arg;
	text_make("handover_seconds=0");
	usleep(2100000);	/* older than the 0 seconds */
	refused(good, strlen(good), "ESTALE", "older than handover_seconds");
	param_set("handover_seconds", "86400");
	/* Another boot's. */
	text = strdup(good);
	text[strlen("toa-handover 1 ")] ^= 1;
	if (text[strlen("toa-handover 1 ")] == '`')
		text[strlen("toa-handover 1 ")] = 'b';
	if (text[strlen("toa-handover 1 ")] == 'g')
		text[strlen("toa-handover 1 ")] = 'e';
	refused(text, strlen(text), "ESTALE", "another boot");
	free(text);
	check_num(handover_write(good, strlen(good)), 0);
	check_num(handover_left(), 2);
}

void no_room(const void *arg)
{
	(void)arg;
	text_make("table_max=1");
	refused(good, strlen(good), "ENOSPC", "more lines than table_max");
	param_set("table_max", "2");
	check_num(handover_write(good, strlen(good)), 0);
	check_str(peer_of(text_fd[0]), mapped(V4_TEXT));
	check_str(peer_of(text_fd[1]), V6_TEXT);
}

/* Whoever waits in a write for ever keeps the module in use. */
static void *write_parked(void *arg)
{
	struct park *park = arg;
	int fd = open("/proc/net/toa_handover", O_WRONLY);

	if (write(fd, park->page, 100) < 0)
		errno = 0;
	close(fd);
	return NULL;
}

void write_waits(const void *arg)
{
	pthread_t thread;
	struct park park;

	(void)arg;
	handover_fresh();
	park_open(&park);
	require(pthread_create(&thread, NULL, write_parked, &park) == 0);
	check(park_taken(&park));
	wait_ms = 100;
	check_str(error_name(-toa_unload()), "EAGAIN");
	wait_ms = WAIT_MS;
	check(toa_loaded());
	park_free(&park);
	pthread_join(thread, NULL);
	park_close(&park);
	check_num(toa_unload(), 0);
}

/* In the middle of a text begins another one, of another moment: it is read from one end on. */
void from_the_middle(const void *arg)
{
	char part[100];
	int fd;

	(void)arg;
	text_make("");
	check_num(handover_write(good, strlen(good)), 0);
	fd = open("/proc/net/toa_handover", O_RDONLY);
	require(fd >= 0);
	check_num(pread(fd, part, sizeof(part), 10), -1);
	check_num(errno, ESPIPE);
	lseek(fd, 20, SEEK_SET);
	check_num(read(fd, part, sizeof(part)), sizeof(part));
	check(!strncmp(part, "toa-handover", 12));
	close(fd);
}

/* What waits when the module goes is gone, and nothing else is. */
void unloaded_waiting(const void *arg)
{
	(void)arg;
	text_make("");
	check_num(handover_write(good, strlen(good)), 0);
	check_num(toa_unload(), 0);
	handover_load("");
	check_str(peer_of(text_fd[1]), server_sees(&text_server, &text_conn[1]));
	works(INET);
}
