/*
 * What was refused at the door: by a handler, by whoever judges, for its form, or by
 * libmicrohttpd itself. All of it is noted in one place, counted by its code and kept,
 * the last of it, so that a silence can be told from a wrong address. Lives in memory,
 * from the start on.
 */
#ifndef TALLYD_HTTP_REFUSALS_H
#define TALLYD_HTTP_REFUSALS_H

#include "base/err.h"
#include "base/log.h"
#include "http/hush.h"

#include <arpa/inet.h>
#include <stdint.h>

#define REFUSALS_KEPT 20
#define REFUSAL_NODE_BYTES 256
#define REFUSAL_METHOD_BYTES 24
#define REFUSAL_PATH_BYTES 96

/* What is known of one; NULL: it never came to that. All is borrowed for the call. */
struct refused {
	int code;
	const char *peer, *node, *method, *path;
	const char *reason; /* NULL: err_text() */
	bool is_report;
};

/* As it is kept: clean UTF-8, cut; "" where nothing is known. */
struct refusal {
	uint64_t at_ms; /* since 1970 */
	int code;
	char peer[INET6_ADDRSTRLEN];
	char node[REFUSAL_NODE_BYTES];
	char method[REFUSAL_METHOD_BYTES];
	char path[REFUSAL_PATH_BYTES]; /* without the query, which may hold a secret */
	char reason[sizeof(struct errmsg)];
};

struct refusals {
	uint64_t counts[1 - ERR_LAST]; /* by -code, the first that has the word */
	uint64_t total;
	struct refusal last[REFUSALS_KEPT];
	struct log_limit limits[1 - ERR_LAST];
	struct hush hush;
};

/* Counts and keeps it, and logs it: once a minute of each code, peer and node after the
 * first lines, and limited for each code. */
void refusals_note(struct refusals *refusals, const struct refused *refused);

/* The i-th last, from 0 on, or NULL. */
const struct refusal *refusals_last(const struct refusals *refusals, unsigned i);

/* How many were refused with this word, see err_word(). `code`: the first of the codes
 * that share it, or the sum is 0. */
uint64_t refusals_count(const struct refusals *refusals, int code);

#endif
