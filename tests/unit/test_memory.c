/* How much memory there is, read from folders that look like /proc and /sys/fs/cgroup. */
#include "lib/test.h"
#include "app/memory.h"
#include "app/option.h"
#include "lib/tempdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define MIB (UINT64_C(1) << 20)

/* Writes `text` into root/path, whose folders are made. */
static void put(const char *root, const char *path, const char *text)
{
	char full[512];
	FILE *file;

	(void)snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *at = strchr(full + strlen(root) + 1, '/'); at != NULL;
		at = strchr(at + 1, '/')) {
		*at = '\0';
		(void)mkdir(full, 0700);
		*at = '/';
	}
	file = fopen(full, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

TEST(the_least_of_all_limits_on_the_way_up_is_taken)
{
	static const struct {
		const char *cgroup; /* what /proc/self/cgroup says */
		struct {
			const char *path, *text; /* below /sys/fs/cgroup */
		} files[4];
		uint64_t limit; /* 0: the machine's own */
	} rows[] = {
		{"0::/a/b\n", {{"a/b/memory.max", "67108864\n"}}, 64 * MIB},
		{"0::/a/b\n",
			{{"a/b/memory.max", "max\n"}, {"a/memory.max", "33554432\n"}},
			32 * MIB},
		{"0::/a/b\n",
			{{"a/b/memory.max", "67108864\n"},
				{"a/b/memory.high", "16777216\n"}},
			16 * MIB},
		{"0::/a\n", {{"a/memory.max", "max\n"}}, 0},
		{"0::/\n", {{"memory.max", "8388608\n"}}, 8 * MIB},
		/* In a container the path may be the host's. */
		{"0::/../../host\n", {{"memory.max", "8388608\n"}}, 8 * MIB},
		{"4:memory:/x/y\n0::/\n",
			{{"memory/x/memory.limit_in_bytes", "134217728\n"},
				{"memory/x/y/memory.limit_in_bytes",
					"9223372036854771712\n"}},
			128 * MIB},
		{"7:cpu,memory:/x\n", {{"memory/x/memory.limit_in_bytes", "134217728\n"}},
			128 * MIB},
		{"3:xmemory:/x\n", {{"memory/x/memory.limit_in_bytes", "4096\n"}}, 0},
		{"4:devices:/x\n0::/svc\n", {{"unified/svc/memory.max", "1048576\n"}},
			MIB},
		{"nonsense\n0:\n", {{"memory.max", "4096\n"}}, 0},
		{"", {{NULL, NULL}}, 0},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct tempdir dir;
		char path[256];
		uint64_t limit;

		tempdir_make(&dir);
		put(dir.path, "proc/self/cgroup", rows[i].cgroup);
		for (size_t j = 0; j < 4 && rows[i].files[j].path != NULL; j++) {
			(void)snprintf(path, sizeof(path), "sys/fs/cgroup/%s",
				rows[i].files[j].path);
			put(dir.path, path, rows[i].files[j].text);
		}
		limit = memory_limit(dir.path);
		if (rows[i].limit != 0)
			AT_ROW(i, limit == rows[i].limit);
		else
			AT_ROW(i, limit == memory_limit("/nowhere"));
		tempdir_remove(&dir);
	}
}

TEST(auto_is_a_quarter_and_what_was_let_in_can_be_loaded)
{
	static const uint64_t given[] = {OPTION_AUTO, 1 * MIB, UINT64_C(1) << 50};
	uint64_t limit = memory_limit("");

	for (size_t i = 0; i < COUNT_OF(given); i++) {
		struct ledger *ledger = ledger_new(10, false);
		const struct bounds *bounds = ledger_bounds(ledger);

		memory_bound(ledger, given[i]);
		AT_ROW(i,
			bounds->max.of[BOUND_MEMORY] ==
				(given[i] == OPTION_AUTO ? limit / 4 : given[i]));
		AT_ROW(i, bounds->load_max_bytes > bounds->max.of[BOUND_MEMORY]);
		ledger_free(ledger);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_least_of_all_limits_on_the_way_up_is_taken),
		cmocka_unit_test(auto_is_a_quarter_and_what_was_let_in_can_be_loaded),
	};

	return RUN_TESTS(tests);
}
