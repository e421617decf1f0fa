/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Named tests with TAP output.
 *
 * A program adds its tests and calls test_main(). `-l` lists their names without running any;
 * other arguments select the tests whose names contain one of them.
 */
#ifndef TEST_TAP_H
#define TEST_TAP_H

#include <setjmp.h>

typedef void (*test_fn)(const void *arg);

void test_add(test_fn fn, const void *arg, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int test_main(const char *file, int argc, char **argv);

/* Takes the first argument away and returns it if it is a number above 0; if not, @otherwise. */
int test_number(int *argc, char ***argv, int otherwise);

/* Called before the first and after the last test, as tests of their own; may be NULL. */
void test_around(test_fn setup, const char *setup_name, test_fn teardown,
		 const char *teardown_name);

/* Called behind each test, also one that was left early. */
extern void (*test_after_each)(void);

void test_fail(const char *where, int line, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
void test_str(const char *where, int line, const char *what, const char *got, const char *want);
void test_num(const char *where, int line, const char *what, long long got, long long want);
void test_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void test_stop(void) __attribute__((noreturn));
int test_failed(void);

/* Fails the test if not @cond, and goes on. */
#define check(cond) \
	do { \
		if (!(cond)) \
			test_fail(__FILE__, __LINE__, "%s", #cond); \
	} while (0)

#define check_str(got, want) test_str(__FILE__, __LINE__, #got, got, want)
#define check_num(got, want) test_num(__FILE__, __LINE__, #got, got, want)

/* Fails the test if not @cond, and ends it. Not for threads. */
#define require(cond) \
	do { \
		if (!(cond)) { \
			test_fail(__FILE__, __LINE__, "%s", #cond); \
			test_stop(); \
		} \
	} while (0)

#endif /* TEST_TAP_H */
