/* What every unit test includes first: cmocka, and what it wants before it. */
#ifndef TALLYD_TESTS_TEST_H
#define TALLYD_TESTS_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A test; its name is a claim. */
#define TEST(claim) static void claim(__attribute__((unused)) void **state)

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#define RUN_TESTS(tests) cmocka_run_group_tests(tests, NULL, NULL)

/* Says which row of a table a failure belongs to. */
#define AT_ROW(i, ...)                                                                   \
	do {                                                                             \
		if (!(__VA_ARGS__)) {                                                    \
			print_error("row %zu: %s\n", (size_t)(i), #__VA_ARGS__);         \
			fail();                                                          \
		}                                                                        \
	} while (0)

#endif
