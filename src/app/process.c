#include "app/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 320

bool process_each_file(long pid, process_file_cb on_file, void *arg)
{
	char path[PATH_BYTES], target[PATH_MAX];
	const struct dirent *entry;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	dir = opendir(path);
	if (dir == NULL)
		return false;
	while ((entry = readdir(dir)) != NULL) {
		struct stat st;
		ssize_t len =
			readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len <= 0 || fstatat(dirfd(dir), entry->d_name, &st, 0) != 0)
			continue;
		target[len] = '\0';
		if (!on_file(arg, target, &st))
			break;
	}
	(void)closedir(dir);
	return true;
}

struct search {
	const char *wanted;
	bool is_there;
};

static bool compare(void *arg, const char *target, const struct stat *st)
{
	struct search *search = arg;

	(void)st;
	search->is_there = strcmp(target, search->wanted) == 0;
	return !search->is_there;
}

static bool has_open(long pid, const char *wanted)
{
	struct search search = {wanted, false};

	return process_each_file(pid, compare, &search) && search.is_there;
}

static void read_name(struct process *process)
{
	char path[PATH_BYTES];
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", process->pid);
	file = fopen(path, "re");
	if (file == NULL || fgets(process->name, sizeof(process->name), file) == NULL)
		(void)strcpy(process->name, "?");
	process->name[strcspn(process->name, "\n")] = '\0';
	if (file != NULL)
		(void)fclose(file); /* only read from */
}

bool process_of_socket(uint64_t inode, struct process *ret_process)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	char wanted[64];
	long pid = 0;

	(void)snprintf(wanted, sizeof(wanted), "socket:[%" PRIu64 "]", inode);
	while (dir != NULL && pid == 0 && (entry = readdir(dir)) != NULL) {
		long candidate = strtol(entry->d_name, NULL, 10);

		if (candidate > 0 && has_open(candidate, wanted))
			pid = candidate;
	}
	if (dir != NULL)
		(void)closedir(dir);
	if (pid == 0)
		return false;
	ret_process->pid = pid;
	read_name(ret_process);
	return true;
}
