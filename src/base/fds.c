#include "base/fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void fds_open_standard(void)
{
	static const int directions[] = {[STDIN_FILENO] = O_WRONLY,
		[STDOUT_FILENO] = O_RDONLY,
		[STDERR_FILENO] = O_RDONLY};

	/* In this order, so that each gets the lowest free number: its own. */
	for (int fd = 0; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
			open("/dev/null", directions[fd]) < 0)
			(void)open("/", O_PATH); /* it takes the number, too */
}
