/*
 * One question to Redis beside the daemon, for --check-setup: can it be reached, as whom,
 * and whose view is it. Changes nothing there. In a loop of its own.
 */
#ifndef TALLYD_LIVE_PROBE_H
#define TALLYD_LIVE_PROBE_H

#include "live/redis.h"
#include "live/survey.h"

#include <stdbool.h>
#include <stdint.h>

#define PROBE_TEXT_BYTES 256

struct probe {
	bool is_connected;            /* and who we are was taken */
	bool has_owner;               /* tallyd:instance was there */
	char owner[PROBE_TEXT_BYTES]; /* what it holds */
	struct survey survey;
	/* Why it is not connected, or what else was refused; "": nothing. Redis's own
	 * words, with no byte of them beyond visible ASCII. */
	char error[PROBE_TEXT_BYTES];
};

/* Blocks for a few times `timeout_ms` at most, unless a name takes longer to resolve. 0
 * with what it came to, or ERR_NOMEM. */
int probe_redis(const struct redis_address *address, uint64_t timeout_ms,
	struct probe *ret_probe) MUST_CHECK;

#endif
