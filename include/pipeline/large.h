/*
 * Large reports: read on the thread pool and booked in slices, one after the other, so
 * that whoever else is there does not wait for them. What becomes of one is decided by
 * whoever handed it in, in one turn of the loop, see accept.h. Small ones never come
 * here: they would only wait.
 */
#ifndef TALLYD_PIPELINE_LARGE_H
#define TALLYD_PIPELINE_LARGE_H

#include "http/route.h"
#include "pipeline/accept.h"

/* Above so many bytes a report is large; nothing else is. */
#define LARGE_REPORT_BYTES HTTP_SMALL_BODY_BYTES

/* With more a report would hold the loop for too long, however they are booked; of GOST's
 * events these are 38 MB. */
#define LARGE_MAX_EVENTS 200000

/* So long the loop is held at a time, but for the end. */
#define LARGE_SLICE_US 500

struct large_parts {
	struct ledger *ledger;
	delivery_cb delivery_of; /* who has gone need not be read */
	void *delivery_arg;
	uint64_t slice_us;
};

/*
 * It is read and booked: `code` is 0, and `reading` is for accept_report(), now; it is
 * borrowed for the call. Or it is no report that can be accepted, and `reading` is NULL:
 * ERR_JSON, ERR_JSON_DENSE, ERR_NO_EVENTS, ERR_MANY_EVENTS, ERR_HUNG_UP, ERR_NOMEM.
 * Fires once, never inside large_submit().
 */
typedef void (*large_ready_cb)(void *arg, int code, struct reading *reading);

struct large;

/* Borrows the ledger until large_close() has ended. NULL if memory is short. */
struct large *large_new(uv_loop_t *loop, const struct large_parts *parts);

/* What `incoming` points to is borrowed until `on_ready` fires or large_close() has
 * ended. 0, ERR_NOMEM, or, behind large_close(), ERR_STOPPING. */
int large_submit(struct large *large, const struct incoming *incoming,
	large_ready_cb on_ready, void *arg) MUST_CHECK;

/* Reports that are not ready are not accepted, and their on_ready never fires. */
void large_close(struct large *large, void (*on_closed)(void *arg), void *arg);
void large_free(struct large *large);

#endif
