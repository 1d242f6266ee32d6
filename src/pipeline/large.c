/*
 * One report at a time goes through all of it, in the order they came:
 *
 *     WAITING ──► READING ──► BOOKING ──► ready ──► FORGETTING ──► FREEING ──► gone
 *                 (pool)      (slices)              (slices)       (pool)
 *
 * READING parses the body and takes its fingerprint, on the thread pool: it shares
 * nothing with the loop but the body, which nobody touches meanwhile. There is one such
 * job at a time, and the pool has a thread for each kind of job (app.c), so that a sync
 * or a flush never waits behind one.
 *
 * BOOKING does what costs the most and changes nothing that can be seen: it finds or
 * makes users, services and series, which are invisible until something is applied to
 * them, so many at a time as fit into a slice. Between two slices everything else goes
 * on: other reports, commands, cuts. What they change of that, ledger_prepare_rest()
 * notices. No delta, mark, epoch or repeat is looked at yet.
 *
 * In a turn of its own the report is then handed back. There, and only there, it is
 * decided: whether it is still allowed, whether its client is still there, whether it is
 * a repeat, what it adds; and it is written and applied. So no cut, command or later
 * report ever sees half of one.
 *
 * FORGETTING gives back what was made for a report that came to nothing, FREEING the
 * memory.
 */
#include "pipeline/large.h"
#include "base/clock.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define EVENTS_PER_LOOK 64 /* at the clock */

/* So few are booked, written and applied in the turn in which they are read. */
#define FEW_EVENTS 2000

/* What took more is worth the way to the pool to be freed, and to the system. */
#define BIG_BYTES (1u << 20)
#define TRIMMING_BYTES (128u << 10)

enum step { STEP_WAITING, STEP_READING, STEP_BOOKING, STEP_FORGETTING, STEP_FREEING };

struct large_report {
	struct large *large;
	struct incoming incoming; /* its texts are gone behind on_ready */
	char *node;
	large_ready_cb on_ready;
	void *arg;
	enum step step;
	int code;
	struct reading reading;
	uv_work_t work;
	TAILQ_ENTRY(large_report) link;
};

struct large {
	uv_loop_t *loop;
	struct large_parts parts;
	TAILQ_HEAD(, large_report) queue; /* the first is the one under way */
	uv_idle_t steps;                  /* while the next step is the loop's */
	bool is_working;                  /* it is the pool's */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

struct large *large_new(uv_loop_t *loop, const struct large_parts *parts)
{
	struct large *large = calloc(1, sizeof(*large));

	if (large == NULL)
		return NULL;
	large->loop = loop;
	large->parts = *parts;
	TAILQ_INIT(&large->queue);
	(void)uv_idle_init(loop, &large->steps); /* always 0 */
	large->steps.data = large;
	return large;
}

static void drop_first(struct large *large)
{
	struct large_report *report = TAILQ_FIRST(&large->queue);

	TAILQ_REMOVE(&large->queue, report, link);
	reading_done(&report->reading);
	free(report->node);
	free(report);
}

static void finish_close(uv_handle_t *handle)
{
	struct large *large = handle->data;

	while (!TAILQ_EMPTY(&large->queue))
		drop_first(large); /* what was made in the ledger goes with that */
	large->on_closed(large->on_closed_arg);
}

static void maybe_closed(struct large *large)
{
	if (large->on_closed != NULL && !large->is_working)
		uv_close((uv_handle_t *)&large->steps, finish_close);
}

/* On the thread pool */

/*
 * To the system. Each thread of the pool has an arena of glibc's of its own: what lies
 * free in the middle of one malloc_trim() finds, the end only its thread, when something
 * of that size is freed.
 */
static void give_memory_back(void)
{
	void *volatile block = malloc(TRIMMING_BYTES); /* a compiler may leave out both */

	free(block);
	(void)malloc_trim(0); /* true if there was something */
}

static void read_work(uv_work_t *work)
{
	struct large_report *report = work->data;
	const struct incoming *incoming = &report->incoming;

	report->code = reading_parse(incoming->body, incoming->len, &report->reading);
	if (report->code == 0 && report->reading.report.n_events > LARGE_MAX_EVENTS)
		report->code = ERR_MANY_EVENTS;
	if (report->code == 0)
		report_compact(&report->reading.report);
	if (incoming->len >= BIG_BYTES)
		give_memory_back();
}

/* What is left are a few large blocks, but it takes its time to unmap them. */
static void free_work(uv_work_t *work)
{
	struct large_report *report = work->data;

	reading_done(&report->reading);
}

/* The steps */

static void on_step(uv_idle_t *steps);

static void go_on(struct large *large)
{
	if (TAILQ_EMPTY(&large->queue) || large->is_working)
		(void)uv_idle_stop(&large->steps); /* always 0 */
	else
		(void)uv_idle_start(&large->steps, on_step);
}

static void on_worked(uv_work_t *work, int status)
{
	struct large_report *report = work->data;
	struct large *large = report->large;

	large->is_working = false;
	if (report->step == STEP_READING) {
		/* Cancelled: nobody asks any more what has become of it. */
		report->code = status == 0 ? report->code : ERR_STOPPING;
		report->reading.counters = report->incoming.counters;
		report->step = STEP_BOOKING;
	} else {
		drop_first(large);
	}
	if (large->on_closed != NULL)
		maybe_closed(large);
	else
		go_on(large);
}

static void submit(
	struct large *large, struct large_report *report, enum step step, uv_work_cb work)
{
	report->step = step;
	large->is_working = true;
	/* Fails only without a callback. */
	(void)uv_queue_work(large->loop, &report->work, work, on_worked);
}

static bool is_slice_over(const struct large *large, uint64_t since_us)
{
	return clock_us() - since_us >= large->parts.slice_us;
}

static bool is_booked(const struct large_report *report)
{
	return report->code != 0 ||
		report->reading.n_booked == report->reading.report.n_events;
}

static void book(struct large *large, struct large_report *report)
{
	struct reading *reading = &report->reading;
	struct ledger *ledger = large->parts.ledger;
	uint64_t since_us = clock_us();

	do {
		report->code = account_book_some(ledger, report->node, reading->counters,
			&reading->report, EVENTS_PER_LOOK, &reading->n_booked,
			&reading->bookings);
		if (report->code == 0)
			report->code = ledger_prepare_more(ledger, report->node,
				&reading->bookings, &reading->prepared);
	} while (!is_booked(report) && !is_slice_over(large, since_us));
}

static void finish(struct large *large, struct large_report *report)
{
	if (report->incoming.len >= BIG_BYTES)
		submit(large, report, STEP_FREEING, free_work);
	else
		drop_first(large);
}

static void forget(struct large *large, struct large_report *report)
{
	struct bookings *bookings = &report->reading.bookings;
	uint64_t since_us = clock_us();

	do {
		size_t n = bookings->n < EVENTS_PER_LOOK ? bookings->n : EVENTS_PER_LOOK;

		ledger_forget_from(
			large->parts.ledger, report->node, bookings, bookings->n - n);
	} while (bookings->n > 0 && !is_slice_over(large, since_us));
	if (bookings->n == 0)
		finish(large, report);
}

static void hand_back(struct large *large, struct large_report *report)
{
	struct reading *reading = &report->reading;

	report->on_ready(report->arg, report->code, report->code == 0 ? reading : NULL);
	report->step = STEP_FORGETTING;
	if (reading->is_applied || reading->bookings.n == 0)
		finish(large, report);
}

static bool has_gone(const struct large *large, const struct large_report *report)
{
	return large->parts.delivery_of(large->parts.delivery_arg,
		       report->incoming.connection) == DELIVERY_LOST;
}

static void begin(struct large *large, struct large_report *report)
{
	if (!has_gone(large, report)) {
		submit(large, report, STEP_READING, read_work);
		return;
	}
	report->code = ERR_HUNG_UP;
	hand_back(large, report);
}

/* Where all of it fits into a slice it need not wait for a turn of its own. */
static void book_or_hand_back(struct large *large, struct large_report *report)
{
	bool was_booked = is_booked(report);

	if (!was_booked)
		book(large, report);
	if (was_booked || (is_booked(report) && report->reading.n_booked <= FEW_EVENTS))
		hand_back(large, report);
}

static void on_step(uv_idle_t *steps)
{
	struct large *large = steps->data;
	struct large_report *report = TAILQ_FIRST(&large->queue);

	switch (report->step) {
	case STEP_WAITING:
		begin(large, report);
		break;
	case STEP_BOOKING:
		book_or_hand_back(large, report);
		break;
	case STEP_FORGETTING:
		forget(large, report);
		break;
	case STEP_READING:
	case STEP_FREEING:
		assert(false); /* go_on() has stopped this */
	}
	go_on(large);
}

int large_submit(struct large *large, const struct incoming *incoming,
	large_ready_cb on_ready, void *arg)
{
	struct large_report *report;
	char *node;

	if (large->on_closed != NULL)
		return ERR_STOPPING;
	report = calloc(1, sizeof(*report));
	node = strdup(incoming->node);
	if (report == NULL || node == NULL) {
		free(report);
		free(node);
		return ERR_NOMEM;
	}
	report->large = large;
	report->incoming = *incoming;
	report->node = node;
	report->on_ready = on_ready;
	report->arg = arg;
	report->work.data = report;
	TAILQ_INSERT_TAIL(&large->queue, report, link);
	go_on(large);
	return 0;
}

void large_close(struct large *large, void (*on_closed)(void *arg), void *arg)
{
	struct large_report *first = TAILQ_FIRST(&large->queue);

	large->on_closed = on_closed;
	large->on_closed_arg = arg;
	(void)uv_idle_stop(&large->steps); /* always 0 */
	/* If it has begun already, it is waited for. */
	if (large->is_working)
		(void)uv_cancel((uv_req_t *)&first->work);
	maybe_closed(large);
}

void large_free(struct large *large)
{
	free(large);
}
