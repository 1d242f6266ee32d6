/*
 * One HTTP request to the daemon and its answer, by libcurl, which is seen nowhere else.
 *
 * Only what was asked for is contacted: no proxy of the environment, no redirect. TLS is
 * verified by the system's authorities, or those in the file that SSL_CERT_FILE names.
 * What changes something carries an Idempotency-Key of its own and is sent again with it,
 * up to three times, if the connection breaks before the answer: the daemon then does it
 * once.
 */
#ifndef TALLYD_CTL_CALL_H
#define TALLYD_CTL_CALL_H

#include "base/err.h"

#include <cjson/cJSON.h>
#include <stddef.h>

struct target;
struct call;

#define CALL_TIMEOUT_MS 30000

struct answer {
	long status;
	char *text; /* as it came, and a NUL behind it */
	size_t len;
	cJSON *json; /* of `text`; NULL if it is none */
};

/* Borrows `target` until call_free(). `timeout_ms` is for one attempt, connecting
 * included. Returns owned. */
struct call *call_new(const struct target *target, unsigned timeout_ms);
void call_free(struct call *call);

/* `path` begins with a slash and is percent-encoded; `body` may be NULL. 0 once there is
 * an answer of any status; EXIT_UNREACHABLE or EXIT_NO_RIGHT with a sentence otherwise.
 */
int call_do(struct call *call, const char *method, const char *path, const cJSON *body,
	struct answer *ret_answer, struct errmsg *ret_msg) MUST_CHECK;

void answer_done(struct answer *answer);

#endif
