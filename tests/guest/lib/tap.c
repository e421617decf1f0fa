// SPDX-License-Identifier: GPL-2.0
#include "tap.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct test {
	test_fn fn;
	const void *arg;
	char *name;
};

static struct test *tests;
static int count;
static int failures;			/* of the test that runs; threads add to it */
static char skipped[256];
static jmp_buf stop;
static pid_t main_pid;
static struct test first, last;

void (*test_after_each)(void);

void test_add(test_fn fn, const void *arg, const char *fmt, ...)
{
	va_list ap;

	tests = realloc(tests, (count + 1) * sizeof(*tests));
	if (!tests)
		abort();
	tests[count].fn = fn;
	tests[count].arg = arg;
	va_start(ap, fmt);
	if (vasprintf(&tests[count].name, fmt, ap) < 0)
		abort();
	va_end(ap);
	count++;
}

void test_around(test_fn setup, const char *setup_name, test_fn teardown,
		 const char *teardown_name)
{
	first.fn = setup;
	first.name = (char *)setup_name;
	last.fn = teardown;
	last.name = (char *)teardown_name;
}

void test_fail(const char *where, int line, const char *fmt, ...)
{
	int err = errno;
	va_list ap;
	char *text;

	__atomic_add_fetch(&failures, 1, __ATOMIC_RELAXED);
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	printf("# %s:%d: failed: %s (errno %d)\n", where, line, text, err);
	free(text);
}

void test_str(const char *where, int line, const char *what, const char *got, const char *want)
{
	if (strcmp(got, want))
		test_fail(where, line, "%s is '%s', not '%s'", what, got, want);
}

void test_num(const char *where, int line, const char *what, long long got, long long want)
{
	if (got != want)
		test_fail(where, line, "%s is %lld, not %lld", what, got, want);
}

void test_note(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		abort();
	va_end(ap);
	printf("# %s\n", text);
	free(text);
}

void test_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(skipped, sizeof(skipped), fmt, ap);
	va_end(ap);
	test_stop();
}

void test_stop(void)
{
	/* What a test has forked does not go on with the other tests. */
	if (getpid() != main_pid)
		_exit(1);
	longjmp(stop, 1);
}

int test_failed(void)
{
	return __atomic_load_n(&failures, __ATOMIC_RELAXED);
}

static int run(const struct test *t, const char *file, int number)
{
	static int left;

	failures = 0;
	skipped[0] = 0;
	left = setjmp(stop);
	if (!left)
		t->fn(t->arg);
	if (test_after_each)
		test_after_each();
	printf("%s %d - %s: %s", test_failed() ? "not ok" : "ok", number, file, t->name);
	if (skipped[0])
		printf(" # SKIP %s", skipped);
	printf("\n");
	fflush(stdout);
	return test_failed() ? 1 : 0;
}

static int wanted(const struct test *t, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(t->name, argv[i]))
			return 1;
	return argc < 2;
}

int test_number(int *argc, char ***argv, int otherwise)
{
	int number = *argc > 1 ? atoi((*argv)[1]) : 0;

	if (number <= 0)
		return otherwise;
	(*argv)[1] = (*argv)[0];
	(*argv)++;
	(*argc)--;
	return number;
}

int test_main(const char *file, int argc, char **argv)
{
	int i, n = 0, number = 0, bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	main_pid = getpid();
	if (first.fn)
		test_add(first.fn, first.arg, "%s", first.name);
	if (last.fn)
		test_add(last.fn, last.arg, "%s", last.name);
	if (argc > 1 && !strcmp(argv[1], "-l")) {
		for (i = 0; i < count; i++)
			printf("%s: %s\n", file, tests[i].name);
		return 0;
	}
	count -= !!first.fn + !!last.fn;
	for (i = 0; i < count; i++)
		n += wanted(&tests[i], argc, argv);
	printf("1..%d\n", n + !!first.fn + !!last.fn);
	if (first.fn)
		bad += run(&first, file, ++number);
	for (i = 0; i < count; i++)
		if (wanted(&tests[i], argc, argv))
			bad += run(&tests[i], file, ++number);
	if (last.fn)
		bad += run(&last, file, ++number);
	return bad ? 1 : 0;
}
