/*
 * Ends the process at its nth call that changes a file: what a crash at an exact place
 * leaves behind. Preloaded (ld.so(8)); SQLite's calls count as well, since they go
 * through the C library too.
 *
 *     KILL_POINT  n, counted from 1 over all the functions below
 *     KILL_MODE   before, after, or torn: half of what is to be written, then the end
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_long count;
static long point;
static const char *mode = "before";

__attribute__((constructor)) static void read_environment(void)
{
	const char *text = getenv("KILL_POINT");

	point = text != NULL ? atol(text) : 0;
	text = getenv("KILL_MODE");
	mode = text != NULL ? text : mode;
}

static void end_now(void)
{
	(void)kill(getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

/* Counts a call; true if it is the one to end with. */
static bool is_the_one(void)
{
	return atomic_fetch_add(&count, 1) + 1 == point;
}

static bool is_mode(const char *name)
{
	return strcmp(mode, name) == 0;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* A call that is made whole or not at all. */
#define WHOLE(call)                                                                      \
	do {                                                                             \
		bool is_last = is_the_one();                                             \
		int result;                                                              \
		if (is_last && !is_mode("after"))                                        \
			end_now();                                                       \
		result = call;                                                           \
		if (is_last)                                                             \
			end_now();                                                       \
		return result;                                                           \
	} while (0)

ssize_t pwrite64(int fd, const void *bytes, size_t len, off64_t offset)
{
	bool is_last = is_the_one();
	ssize_t result;

	if (is_last && is_mode("before"))
		end_now();
	result = REAL(pwrite64)(
		fd, bytes, is_last && is_mode("torn") ? len / 2 : len, offset);
	if (is_last)
		end_now();
	return result;
}

int fdatasync(int fd)
{
	WHOLE(REAL(fdatasync)(fd));
}

int fsync(int fd)
{
	WHOLE(REAL(fsync)(fd));
}

int ftruncate64(int fd, off64_t len)
{
	WHOLE(REAL(ftruncate64)(fd, len));
}

int unlinkat(int dir, const char *path, int flags)
{
	WHOLE(REAL(unlinkat)(dir, path, flags));
}

int renameat(int old_dir, const char *old_path, int new_dir, const char *new_path)
{
	WHOLE(REAL(renameat)(old_dir, old_path, new_dir, new_path));
}

int openat64(int dir, const char *path, int flags, ...)
{
	mode_t access = 0;
	va_list args;

	if ((flags & O_CREAT) == 0)
		return REAL(openat64)(dir, path, flags);
	va_start(args, flags);
	access = va_arg(args, mode_t);
	va_end(args);
	WHOLE(REAL(openat64)(dir, path, flags, access));
}
