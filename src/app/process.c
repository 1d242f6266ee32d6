#include "app/process.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_BYTES 320

static bool has_open(long pid, const char *wanted)
{
	char path[PATH_BYTES], target[64];
	const struct dirent *entry;
	bool is_there = false;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%ld/fd", pid);
	dir = opendir(path);
	while (dir != NULL && !is_there && (entry = readdir(dir)) != NULL) {
		ssize_t len =
			readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (len > 0) {
			target[len] = '\0';
			is_there = strcmp(target, wanted) == 0;
		}
	}
	if (dir != NULL)
		(void)closedir(dir);
	return is_there;
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
