/*
 * It is later by as many seconds as the file LATER has bytes; without it, no later.
 * Preloaded (ld.so(8)). Only the time of day; what waits, waits as long as it does.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t which, struct timespec *ret_now)
{
	const char *path = getenv("LATER");
	struct stat file;
	long result = syscall(SYS_clock_gettime, which, ret_now);

	if (which == CLOCK_REALTIME && path != NULL && stat(path, &file) == 0)
		ret_now->tv_sec += file.st_size;
	return (int)result;
}
