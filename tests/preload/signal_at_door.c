/* SIGTERM arrives the moment a port or a socket accepts. */
#include <dlfcn.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

int listen(int fd, int backlog)
{
	int (*real_listen)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
	int code = real_listen(fd, backlog);

	(void)kill(getpid(), SIGTERM);
	return code;
}
