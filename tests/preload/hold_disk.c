/*
 * The disk stands still for some of what a journal asks of it, as long as the file HOLD
 * is there. Preloaded (ld.so(8)). What it says is what stands still:
 *
 *     sync     syncing a segment
 *     files    making one, syncing the folder, removing one
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static bool is_held(const char *what)
{
	int fd = open(getenv("HOLD"), O_RDONLY | O_CLOEXEC);
	char text[16] = "";
	ssize_t len = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (fd >= 0)
		(void)close(fd);
	return len > 0 && strcmp(text, what) == 0;
}

static void wait_while_held(const char *what)
{
	while (is_held(what))
		(void)usleep(5000);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static void wait_to_sync(int fd)
{
	char link[64], path[4096] = "";

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	(void)!readlink(link, path, sizeof(path) - 1);
	if (ends_with(path, ".seg"))
		wait_while_held("sync");
	if (ends_with(path, "/journal"))
		wait_while_held("files");
}

int fdatasync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

	wait_to_sync(fd);
	return real(fd);
}

int fsync(int fd)
{
	int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

	wait_to_sync(fd);
	return real(fd);
}

int unlinkat(int dir_fd, const char *path, int flags)
{
	int (*real)(int, const char *, int) =
		(int (*)(int, const char *, int))dlsym(RTLD_NEXT, "unlinkat");

	if (ends_with(path, ".seg"))
		wait_while_held("files");
	return real(dir_fd, path, flags);
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
	int (*real)(int, const char *, int, ...) =
		(int (*)(int, const char *, int, ...))dlsym(RTLD_NEXT, "openat64");
	mode_t mode;
	va_list more;

	va_start(more, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
	va_end(more);
	if ((flags & O_CREAT) != 0 && ends_with(path, ".seg"))
		wait_while_held("files");
	return real(dir_fd, path, flags, mode);
}
