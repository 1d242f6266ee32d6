#include "app/memory.h"
#include "app/option.h"
#include "base/log.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The number in the file; UINT64_MAX where there is none, or it says `max`. */
static uint64_t read_number(const char *path)
{
	FILE *file = fopen(path, "re");
	unsigned long long number;
	bool is_one;

	if (file == NULL)
		return UINT64_MAX;
	is_one = fscanf(file, "%llu", &number) == 1;
	(void)fclose(file); /* only read from */
	return is_one ? number : UINT64_MAX;
}

/* The least of the files of these names in `folder` and those above it, up to `top`. */
static uint64_t least_above(char *folder, size_t top_len, const char *const names[2])
{
	uint64_t limit = UINT64_MAX;
	size_t len = strlen(folder);
	char path[PATH_MAX];

	for (;;) {
		for (size_t i = 0; i < 2 && names[i] != NULL; i++) {
			(void)snprintf(path, sizeof(path), "%.*s/%s", (int)len, folder,
				names[i]);
			limit = least(limit, read_number(path));
		}
		if (len <= top_len)
			return limit;
		while (len > top_len && folder[len - 1] != '/')
			len--;
		len -= len > top_len;
	}
}

/* Whether `word` is one of the comma list that begins at `list` and ends at a colon. */
static bool has_controller(const char *list, const char *word)
{
	size_t len = strlen(word);

	while (*list != ':' && *list != '\0') {
		size_t n = strcspn(list, ",:");

		if (n == len && strncmp(list, word, n) == 0)
			return true;
		list += n + (list[n] == ',' ? 1 : 0);
	}
	return false;
}

/* A line of /proc/self/cgroup: NUMBER:CONTROLLERS:PATH; v2 has 0 and no controllers. In a
 * container PATH may name what is not there: then its top tells. */
static uint64_t limit_of_line(const char *root, const char *line)
{
	static const char *const v2[] = {"memory.max", "memory.high"};
	static const char *const v1[] = {"memory.limit_in_bytes", NULL};
	static const char *const tops[] = {"", "/unified"};
	const char *controllers = strchr(line, ':');
	const char *path = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
	uint64_t limit = UINT64_MAX;
	char folder[PATH_MAX];
	int top_len;

	if (path == NULL)
		return limit;
	path += strcmp(path, ":/") == 0 ? 2 : 1;
	if (has_controller(controllers + 1, "memory")) {
		top_len =
			snprintf(folder, sizeof(folder), "%s/sys/fs/cgroup/memory", root);
		(void)snprintf(
			folder + top_len, sizeof(folder) - (size_t)top_len, "%s", path);
		return least_above(folder, (size_t)top_len, v1);
	}
	for (size_t i = 0; i < 2 && controllers[1] == ':'; i++) {
		top_len = snprintf(
			folder, sizeof(folder), "%s/sys/fs/cgroup%s", root, tops[i]);
		(void)snprintf(
			folder + top_len, sizeof(folder) - (size_t)top_len, "%s", path);
		limit = least(limit, least_above(folder, (size_t)top_len, v2));
	}
	return limit;
}

static uint64_t cgroup_limit(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX / 2];
	uint64_t limit = UINT64_MAX;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	file = fopen(path, "re");
	if (file == NULL)
		return limit;
	while (fgets(line, sizeof(line), file) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		limit = least(limit, limit_of_line(root, line));
	}
	(void)fclose(file); /* only read from */
	return limit;
}

static uint64_t machine_bytes(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);

	return pages > 0 && page_bytes > 0 ? (uint64_t)pages * (uint64_t)page_bytes
					   : UINT64_MAX;
}

uint64_t memory_limit(const char *root)
{
	return least(machine_bytes(), cgroup_limit(root));
}

static uint64_t address_space(void)
{
	struct rlimit space;

	return getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY
		? space.rlim_cur
		: UINT64_MAX;
}

uint64_t memory_for_bodies(uint64_t max_body_memory)
{
	return max_body_memory != OPTION_AUTO
		? max_body_memory
		: least(memory_limit(""), address_space()) / 8;
}

void memory_bound(struct ledger *ledger, uint64_t max_memory)
{
	uint64_t limit = memory_limit("");
	uint64_t load_max = limit - limit / 8;

	if (max_memory == OPTION_AUTO)
		max_memory = least(limit, address_space()) / 4;
	else if (max_memory > limit / 2)
		log_warn("max_memory is more than half of the memory that there is",
			"max_memory_bytes=%" PRIu64 " there_is_bytes=%" PRIu64,
			max_memory, limit);
	/* What was let in by this bound has to come in again. */
	if (load_max < max_memory + max_memory / 4)
		load_max = max_memory + max_memory / 4;
	ledger_set_bounds(ledger, max_memory, load_max);
}
