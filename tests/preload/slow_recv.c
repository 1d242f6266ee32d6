/* Whatever the daemon receives takes it a third of what a turn of its loop may. Preloaded
 * (ld.so(8)). */
#include <dlfcn.h>
#include <sys/socket.h>
#include <unistd.h>

#define SLOW_US 1000

ssize_t recv(int fd, void *bytes, size_t len, int flags)
{
	ssize_t (*real)(int, void *, size_t, int) =
		(ssize_t(*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
	ssize_t n = real(fd, bytes, len, flags);

	if (n > 0)
		(void)usleep(SLOW_US);
	return n;
}
