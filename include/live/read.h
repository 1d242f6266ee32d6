/*
 * Reads single users from Redis, for whoever asks over HTTP. What is answered is what
 * Redis shows, and it is compared: a difference is as good as one in a reply to a write.
 */
#ifndef TALLYD_LIVE_READ_H
#define TALLYD_LIVE_READ_H

#include "live/view.h"

/* `totals` is NULL if Redis did not answer within the deadline, or not with what the
 * ledger expects. Borrowed. */
typedef void (*live_read_cb)(void *arg, const struct totals *totals);

struct reader;

/* Borrows all. NULL if memory is short. */
struct reader *reader_new(struct view *view, uint64_t timeout_ms);
void reader_start(struct reader *reader, uv_loop_t *loop);

/*
 * False: it cannot be asked now (the user is not verified, Redis is late with an earlier
 * answer, memory is short) and nothing will fire. Else `on_read` fires once, never
 * inside.
 */
bool reader_ask(struct reader *reader, const struct user *user, live_read_cb on_read,
	void *arg) MUST_CHECK;

void reader_close(struct reader *reader, void (*on_closed)(void *arg), void *arg);
void reader_free(struct reader *reader);

#endif
