// SPDX-License-Identifier: GPL-2.0
/*
 * Random strings for the parameters, at run time and at load, and for the files. A number as the
 * first argument: a fifth of it are strings for each parameter.
 */
#include "mod.h"
#include "random.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * What a text means to a parameter: whether it must be taken, and what it reads as then. @canon has
 * room for 1024 bytes.
 */
enum verdict { REFUSED, TAKEN, MAYBE };

/* The text up to a newline that ends it. */
static size_t body(const char *text)
{
	size_t len = strlen(text);

	return len && text[len - 1] == '\n' ? len - 1 : len;
}

static enum verdict judge_list(const char *text, bool ao, char *canon)
{
	static const uint8_t kernels[] = { 0, 1, 2, 3, 4, 5, 8, 19, 30, 34, 172, 174 };
	bool listed[256] = { false };
	size_t i = 0, end = body(text), at = 0;
	unsigned int kind;

	canon[0] = 0;
	if (!end)
		return TAKEN;
	for (;; i++) {
		if (!isdigit((unsigned char)text[i]))
			return REFUSED;
		for (kind = 0; isdigit((unsigned char)text[i]); i++)
			kind = kind > 255 ? kind : kind * 10 + text[i] - '0';
		if (kind > 255 || memchr(kernels, kind, sizeof(kernels)) || (kind == 29 && !ao))
			return REFUSED;
		listed[kind] = true;
		if (i == end)
			break;
		if (text[i] != ',')
			return REFUSED;
	}
	for (kind = 0; kind < 256; kind++)
		if (listed[kind])
			at += sprintf(canon + at, at ? ",%u" : "%u", kind);
	return TAKEN;
}

static enum verdict judge_kinds(const char *text, char *canon)
{
	return judge_list(text, false, canon);
}

/* 29 is TCP-AO's, and what F5's rules use. */
static enum verdict judge_other_kinds(const char *text, char *canon)
{
	return judge_list(text, true, canon);
}

static enum verdict judge_pick(const char *text, char *canon)
{
	const size_t len = body(text);

	sprintf(canon, "%.10s", text);
	canon[strcspn(canon, "\n")] = 0;
	return (len == 5 && !memcmp(text, "first", len)) ||
	       (len == 4 && !memcmp(text, "last", len)) ? TAKEN : REFUSED;
}

static enum verdict judge_segments(const char *text, char *canon)
{
	static const char *const names[] = { "syn", "ack", "data" };
	const size_t end = body(text);
	bool named[3] = { false };
	size_t i, len, at = 0;
	int name;

	for (i = 0; i <= end; i += len + 1) {
		len = 0;
		while (i + len < end && text[i + len] != ',')
			len++;
		for (name = 0; name < 3; name++)
			if (strlen(names[name]) == len && !memcmp(text + i, names[name], len))
				break;
		if (name == 3)
			return REFUSED;
		named[name] = true;
	}
	for (name = 0; name < 3; name++)
		if (named[name])
			at += sprintf(canon + at, at ? ",%s" : "%s", names[name]);
	return TAKEN;
}

/* As the kernel reads one: by how it begins. Which words there are besides depends on its age. */
static enum verdict judge_bool(const char *text, char *canon)
{
	static const char *const yes[] = { "1", "y", "on", "t", "e" };
	static const char *const no[] = { "0", "n", "of", "f", "d" };
	int i;

	canon[1] = 0;
	for (i = 0; i < 5; i++) {
		canon[0] = 'Y';
		if (!strncasecmp(text, yes[i], strlen(yes[i])))
			return i < 2 ? TAKEN : MAYBE;
		canon[0] = 'N';
		if (!strncasecmp(text, no[i], strlen(no[i])))
			return i < 2 ? TAKEN : MAYBE;
	}
	return REFUSED;
}

/* A number as in C, with nothing around it. */
static enum verdict judge_number(const char *text, unsigned long max, char *canon)
{
	unsigned long value = 0, base = 10;
	size_t i = text[0] == '+', end = body(text);

	if (text[i] == '0' && i + 1 < end) {
		base = 8;
		if ((text[i + 1] | 0x20) == 'x' && isxdigit((unsigned char)text[i + 2])) {
			base = 16;
			i += 2;
		}
	}
	if (i >= end)
		return REFUSED;
	for (; i < end; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = text[i] ? strchr(digits, tolower(text[i])) : NULL;

		if (!digit || (unsigned long)(digit - digits) >= base)
			return REFUSED;
		value = value > max ? value : value * base + (digit - digits);
	}
	if (value > max)
		return REFUSED;
	sprintf(canon, "%lu", value);
	return TAKEN;
}

static enum verdict judge_table_max(const char *text, char *canon)
{
	return judge_number(text, 1 << 28, canon);
}

/* What needs much memory may not be had. */
static enum verdict judge_syn_slots(const char *text, char *canon)
{
	enum verdict verdict = judge_number(text, 1 << 24, canon);

	return verdict == TAKEN && atol(canon) > 1 << 16 ? MAYBE : verdict;
}

static enum verdict judge_hook(const char *text, char *canon)
{
	const size_t len = body(text);

	strcpy(canon, text);
	if (len == 6 && !memcmp(text, "ftrace", len))
		return MAYBE;
	return (len == 4 && !memcmp(text, "auto", len)) ||
	       (len == 6 && !memcmp(text, "kprobe", len)) ? TAKEN : REFUSED;
}

/* Not read here: tests/guest/trust has what is a list. */
static enum verdict judge_trusted(const char *text, char *canon)
{
	(void)text;
	canon[0] = 0;
	return MAYBE;
}

struct parameter {
	const char *name;
	enum verdict (*judge)(const char *text, char *canon);
	const char *other;	/* a value that is not the default one; NULL: only set at load */
	bool list;
	const char *words;	/* what values are made of */
	bool slow;		/* to set: it attaches and detaches a hook */
};

#define TRUSTED "10.9.0.0/16,fd09::/64"
#define KINDS_WORDS "200,253,254,28,77,255,256,0,8,19,29,30,174,2,6,7"
#define BOOL_WORDS "0,1,y,n,Y,N,on,off,O,true,false,enable"
#define NUMBER_WORDS "0,1,7,16,0x10,010,65536,268435456,268435457,4294967296,-1,x"

static const struct parameter parameters[] = {
	{ "trusted", judge_trusted, TRUSTED, true, TRUSTED ",::,/,1.2.3.4,192.0.2.0/24,::1/128",
	  false },
	{ "debug", judge_bool, "Y", false, BOOL_WORDS, false },
	{ "kernel_getname", judge_bool, "Y", false, BOOL_WORDS, false },
	{ "nat64_getpeername", judge_bool, "N", false, BOOL_WORDS, false },
	{ "table_max", judge_table_max, "54321", false, NUMBER_WORDS, false },
	{ "opt_ipv4", judge_kinds, "77,200", true, KINDS_WORDS, false },
	{ "opt_ipv6", judge_kinds, "78,253", true, KINDS_WORDS, false },
	{ "opt_hostid", judge_other_kinds, "28,79", true, KINDS_WORDS, false },
	{ "opt_bare", judge_other_kinds, "28,80", true, KINDS_WORDS, false },
	{ "both", judge_bool, "N", false, BOOL_WORDS, false },
	{ "pick", judge_pick, "last", false, "first,last,first,last,lasts,1,firs,First", false },
	{ "segments", judge_segments, "ack", true, "syn,ack,data,syn,ack,data,dat,foo,", false },
	{ "late", judge_bool, "Y", false, BOOL_WORDS, true },
	{ "syn_slots", judge_syn_slots, NULL, false, NUMBER_WORDS, false },
	{ "hook", judge_hook, NULL, false, "auto,ftrace,kprobe,kprobes,none,a,kprobe,auto", false },
};

enum {
	PARAMETERS_COUNT = sizeof(parameters) / sizeof(parameters[0]),
	AT_RUN_TIME = PARAMETERS_COUNT - 2,
	TEXT = 8192,
};

static size_t random_text(char *text)
{
	static const char letters[] = "0123456789abcdefxXyYnN.::://,, \t\n-+%s";
	size_t len = some(8) ? some(60) : some(5000), i;
	bool any = some(4) == 0;

	for (i = 0; i < len; i++)
		text[i] = any ? some(256) : (unsigned int)letters[some(sizeof(letters) - 1)];
	text[len] = 0;
	return len;
}

/* Words that mean something to the parameter, put together well or badly. */
static size_t random_words(const struct parameter *t, char *text)
{
	unsigned int count, words = 1, pick;
	size_t len = 0;
	const char *p;

	for (p = t->words; *p; p++)
		words += *p == ',';
	for (count = t->list ? 1 + some(4) : 1; count; count--) {
		pick = some(words);
		for (p = t->words; pick; p++)
			pick -= *p == ',';
		memcpy(text + len, p, strcspn(p, ","));
		len += strcspn(p, ",");
		if (count > 1)
			text[len++] = some(8) ? ',' : " ,;\n/+"[some(6)];
	}
	if (some(8) == 0)
		text[len++] = "\n ,x"[some(4)];
	if (some(8) == 0)
		text[some(len)] ^= 1 << some(7);
	text[len] = 0;
	return len;
}

static size_t most;	/* what the kernel takes at once */

/* A page, or a byte less before 3.14: asked with what a bool takes whatever follows. */
static void ask_most(void)
{
	const size_t page = sysconf(_SC_PAGESIZE);
	char *text = malloc(page);
	int fd = open(PARAMETERS "debug", O_WRONLY | O_CLOEXEC);
	ssize_t n;

	require(text && fd >= 0);
	memset(text, '\n', page);
	*text = '0';
	n = write(fd, text, page);
	require(n > 0);
	most = n;
	close(fd);
	free(text);
}

/* What the kernel takes of it at once. */
static size_t as_written(char *text, size_t len)
{
	len = len < most ? len : most;
	text[len] = 0;
	return len;
}

/* The kernel's answer to a text: 0 or the error. */
static int put(const char *name, const char *text, size_t len)
{
	char path[128];
	ssize_t n;
	int fd, err;

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	require(fd >= 0);
	n = write(fd, text, len);
	err = n < 0 ? errno : 0;
	close(fd);
	check(n < 0 || n == (ssize_t)len);
	return err;
}

static const char *value_of(const char *name)
{
	static char text[TEXT];
	char path[128];

	snprintf(path, sizeof(path), PARAMETERS "%s", name);
	if (!read_file(path, text, sizeof(text)))
		return "unreadable";
	text[body(text)] = 0;
	return text;
}

static void at_run_time(const void *arg)
{
	static char text[TEXT], initial[TEXT], canon[TEXT];
	const struct parameter *t = arg;
	int i, taken = 0, refused = 0;
	const int count = t->slow ? rounds / 50 : rounds / 5;

	if (!most)
		ask_most();
	snprintf(initial, sizeof(initial), "%s\n", value_of(t->name));
	seed = 21 + (t - parameters);
	check_num(put(t->name, t->other, strlen(t->other)), 0);
	for (i = 0; i < count; i++) {
		size_t len = some(2) ? random_text(text) : random_words(t, text);
		enum verdict verdict;
		int err;

		len = as_written(text, len);
		/* Nothing at all does not reach the module. */
		if (!len)
			continue;
		verdict = t->judge(text, canon);
		err = put(t->name, text, len);
		if (err ? verdict == TAKEN : verdict == REFUSED)
			test_fail(__FILE__, __LINE__, "'%.100s': %s", text,
				  err ? error_name(err) : "taken");
		if (err && err != EINVAL && (t->judge != judge_trusted || err != E2BIG))
			test_fail(__FILE__, __LINE__, "'%.100s': %s", text, error_name(err));
		taken += !err;
		refused += !!err;
		if (err)
			check_str(value_of(t->name), t->other);
		else if (t->judge != judge_trusted)
			check_str(value_of(t->name), canon);
		if (!err)
			check_num(put(t->name, t->other, strlen(t->other)), 0);
	}
	check(taken > 0 && refused > 0);
	test_note("%d taken, %d refused", taken, refused);
	check_num(put(t->name, initial, strlen(initial)), 0);
	initial[body(initial)] = 0;
	check_str(value_of(t->name), initial);
	works(INET);
	works(INET6);
}

/* Nothing that the module had is there. */
static void check_nothing_left(int fd, const char *params)
{
	if (!toa_loaded() && access("/proc/net/toa_stats", F_OK) &&
	    access("/proc/net/toa_table", F_OK) && !strcmp(nat64_of(fd), "ENOPROTOOPT"))
		return;
	test_fail(__FILE__, __LINE__, "%.200s leaves something", params);
	if (toa_loaded())
		toa_unload();
}

/* Between quotes, where the kernel takes white space as well; short of what it takes of one. */
static void as_parameter(char *text)
{
	char *p;

	text[900] = 0;
	for (p = text; *p; p++)
		if (*p == '"')
			*p = '\'';
}

/* Does the first line of them name the parameter? */
static bool line_names(const char *lines, const char *name)
{
	const size_t len = strlen(name);

	lines += strlen("TOA: ");
	return !strncmp(lines, name, len) && (lines[len] == '=' || lines[len] == ':');
}

/* What a load with that value may come to; @spoilt: with one of another parameter that is bad. */
static bool load_judged(const struct parameter *t, enum verdict verdict, bool spoilt, int err,
			const char *lines)
{
	if (!err)
		return verdict != REFUSED && !spoilt && strstr(lines, "toa load success");
	if (err != EINVAL || !*lines || strstr(lines, "success"))
		return false;
	if (spoilt && strstr(lines, "TOA: syn_slots=many: must be "))
		return true;
	return verdict != TAKEN && line_names(lines, t->name);
}

static void at_load(const void *arg)
{
	static char text[TEXT], params[2 * TEXT], canon[TEXT], lines[65536];
	int fd, i, refused = 0, loaded = 0;
	struct server s;
	struct conn c;

	(void)arg;
	seed = 41;
	server_open(&s, INET, 5);
	fd = server_connect(&s, &c, NULL, NULL);
	check_num(toa_unload(), 0);
	for (i = 0; i < rounds / 40; i++) {
		const struct parameter *t = &parameters[i % PARAMETERS_COUNT];
		enum verdict verdict;
		struct klog k;
		bool spoilt;
		int err;

		if (some(2))
			random_text(text);
		else
			random_words(t, text);
		as_parameter(text);
		verdict = t->judge(text, canon);
		if (verdict == MAYBE && (t->judge == judge_syn_slots || t->judge == judge_hook))
			continue;
		/* To load takes long: mostly there is something else wrong, which is read later. */
		spoilt = verdict != REFUSED && (some(4) || loaded >= rounds / 500);
		snprintf(params, sizeof(params), "%s=\"%s\"%s", t->name, text,
			 spoilt ? " syn_slots=many" : "");
		klog_start(&k);
		err = -toa_load(params);
		klog_lines(&k, "TOA: ", lines, sizeof(lines));
		if (!load_judged(t, verdict, spoilt, err, lines))
			test_fail(__FILE__, __LINE__, "%.200s: %s: %s", params, error_name(err),
				  lines);
		refused += !!err;
		if (!err) {
			loaded++;
			if (t->judge != judge_trusted)
				check_str(value_of(t->name), canon);
			check_num(toa_unload(), 0);
		}
		check_nothing_left(fd, params);
	}
	check(refused > 0);
	test_note("%d loads refused, %d not", refused, loaded);
	check_num(toa_load(""), 0);
	works(INET);
}

/* Neither file takes anything. */
static void proc_files(const void *arg)
{
	(void)arg;
	check(open("/proc/net/toa_stats", O_WRONLY | O_CLOEXEC) < 0 ||
	      write(open("/proc/net/toa_stats", O_WRONLY | O_CLOEXEC), "x", 1) < 0);
	check(open("/proc/net/toa_table", O_WRONLY | O_CLOEXEC) < 0 ||
	      write(open("/proc/net/toa_table", O_WRONLY | O_CLOEXEC), "x", 1) < 0);
	works(INET);
}

int main(int argc, char **argv)
{
	int i;

	for (i = 0; i < AT_RUN_TIME; i++)
		test_add(at_run_time, &parameters[i], "random strings, %s", parameters[i].name);
	test_add(at_load, NULL, "random strings at load");
	test_add(proc_files, NULL, "writing to the files");
	return random_main("fuzz_param", "both=1", argc, argv);
}
