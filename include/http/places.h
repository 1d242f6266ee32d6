/*
 * The addresses of `listen`, looked at from outside: could they be listened on, and who
 * does already. For --check-setup: nothing is listened on, and nobody is connected to.
 */
#ifndef TALLYD_HTTP_PLACES_H
#define TALLYD_HTTP_PLACES_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct http_place {
	const char *address; /* as it stands in the list */
	bool is_taken;       /* somebody listens there */
	uint64_t inode;      /* of that socket; 0: not known */
	int cause;           /* else, why it cannot be listened on: an errno, or 0 */
};

/* Calls `on_place` for each, borrowed for the call. 0, or ERR_LISTEN, ERR_NOMEM. */
int http_look_at(const char *listen,
	void (*on_place)(void *arg, const struct http_place *place), void *arg,
	struct errmsg *ret_msg) MUST_CHECK;

#endif
