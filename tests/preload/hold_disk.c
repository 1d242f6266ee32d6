/*
 * The disk stands still for some of what a journal asks of it, as long as the file HOLD
 * is there. Preloaded (ld.so(8)). What it says is what stands still:
 *
 *     sync     syncing a segment
 *     files    making one, syncing the folder, removing one
 *     write    writing; that it stands there, tells a file with `.begun` behind its name,
 *              and no time passes for the daemon
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S 1000000000L

static long held_ns; /* by writing */

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

static void tell_begun(void)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s.begun", getenv("HOLD"));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)close(fd);
}

static long monotonic_ns(void)
{
	struct timespec now;

	(void)syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
	return now.tv_sec * NS_PER_S + now.tv_nsec;
}

int clock_gettime(clockid_t which, struct timespec *ret_now)
{
	long now_ns;

	if (which != CLOCK_MONOTONIC)
		return (int)syscall(SYS_clock_gettime, which, ret_now);
	now_ns = monotonic_ns() - held_ns;
	*ret_now = (struct timespec){now_ns / NS_PER_S, now_ns % NS_PER_S};
	return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off64_t) = (ssize_t(*)(
		int, const void *, size_t, off64_t))dlsym(RTLD_NEXT, "pwrite64");
	long since_ns = monotonic_ns();

	if (is_held("write")) {
		tell_begun();
		wait_while_held("write");
		held_ns += monotonic_ns() - since_ns;
	}
	return real(fd, bytes, len, offset);
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
