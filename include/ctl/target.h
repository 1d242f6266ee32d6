/* Where the daemon is, and with which token: from the command line, then the environment.
 */
#ifndef TALLYD_CTL_TARGET_H
#define TALLYD_CTL_TARGET_H

#include "base/err.h"

#include <stdbool.h>

struct args;

#define TARGET_DEFAULT_SOCKET "/run/tallyd/admin.sock"
#define TARGET_TOKEN_BYTES 4096

struct target {
	const char *socket; /* path of a unix socket, or NULL */
	const char
		*url; /* without a slash at its end; its host is unused with a socket */
	char token[TARGET_TOKEN_BYTES + 1]; /* "": none */
	char url_buf[1024];
};

/* 0, EXIT_USAGE, or EXIT_NO_RIGHT (to read the token file). `ret_target` points into
 * `args`, the environment and itself. */
int target_find(const struct args *args, struct target *ret_target,
	struct errmsg *ret_msg) MUST_CHECK;

/* The socket's path or the URL, for messages. */
const char *target_name(const struct target *target);

#endif
