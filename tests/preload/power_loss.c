/*
 * Notes what of each journal segment is on stable storage: what a loss of power would
 * leave. Preloaded (ld.so(8)).
 *
 *     POWER_LOG      a line "path bytes" is added there after each sync that succeeded
 *     POWER_SYNC_US  how long a sync takes at least; 20 ms if unset
 *
 * That is as on a disk that turns: who does not wait for it is found out.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(int fd, long long bytes)
{
	char link[64], path[4096], line[4200];
	int log = open(
		getenv("POWER_LOG"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	if (log < 0 || len < 0)
		abort();
	path[len] = '\0';
	len = snprintf(line, sizeof(line), "%s %lld\n", path, bytes);
	if (strstr(path, ".seg") != NULL && write(log, line, (size_t)len) != len)
		abort();
	(void)close(log);
}

/* Only what was written before the call is sure to be covered. */
int fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
	const char *wait_us = getenv("POWER_SYNC_US");
	struct stat before;
	int result;

	if (fstat(fd, &before) != 0)
		abort();
	(void)usleep(wait_us != NULL ? (useconds_t)atoi(wait_us) : 20000);
	result = real(fd);
	if (result == 0)
		note(fd, (long long)before.st_size);
	return result;
}
