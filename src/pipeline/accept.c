/*
 * One struct waiting per report whose answer waits, in a queue for each of the ledger's:
 * sequence, place in Redis's queue and deadline all grow along it, so whoever is at the
 * head is the next that may go. Who needs to wait for nobody, and finds nobody waiting,
 * is answered at once.
 */
#include "pipeline/accept.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"
#include "pipeline/tell.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

/* What has to be before a report is answered. */
struct outcome {
	uint64_t seq; /* is synced, if the journal must. Of a repeat that is what it
			 repeats: it has added nothing itself */
	enum show show;
	uint64_t unsent_index; /* of `show`, is shown, if Redis is up */
};

struct waiting {
	struct outcome outcome;
	uint64_t deadline_ms; /* for being shown */
	accept_done_cb on_done;
	void *arg;
	TAILQ_ENTRY(waiting) link;
};

struct accept {
	uv_loop_t *loop;
	struct accept_parts parts;
	struct accept_stats stats;
	TAILQ_HEAD(, waiting) queue[SHOWS];
	uv_timer_t deadline; /* of whoever was at a head when it was started */
	bool is_stopping;
	struct tell tell;
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static bool must_wait(
	const struct accept *accept, const struct waiting *waiting, uint64_t now)
{
	const struct outcome *outcome = &waiting->outcome;
	struct journal_stats journal;

	if (journal_must_sync(accept->parts.journal)) {
		journal_get_stats(accept->parts.journal, &journal);
		if (journal.synced_seq < outcome->seq)
			return true;
	}
	return live_get_state(accept->parts.live) == LIVE_UP &&
		now < waiting->deadline_ms &&
		live_shown_index(accept->parts.live, outcome->show) <
		outcome->unsent_index;
}

static void on_deadline(uv_timer_t *timer)
{
	accept_advance(timer->data);
}

static void advance(struct accept *accept, enum show show, uint64_t now)
{
	struct waiting *head;

	while ((head = TAILQ_FIRST(&accept->queue[show])) != NULL &&
		!must_wait(accept, head, now)) {
		TAILQ_REMOVE(&accept->queue[show], head, link);
		head->on_done(head->arg);
		free(head);
	}
	/* One that runs ends no later than the heads'. */
	if (head != NULL && now < head->deadline_ms &&
		!uv_is_active((uv_handle_t *)&accept->deadline))
		timer_start(&accept->deadline, on_deadline, head->deadline_ms - now);
}

void accept_advance(struct accept *accept)
{
	uint64_t now = clock_ms();

	for (int show = 0; show < SHOWS; show++)
		advance(accept, (enum show)show, now);
}

struct accept *accept_new(uv_loop_t *loop, const struct accept_parts *parts)
{
	struct accept *accept = calloc(1, sizeof(*accept));

	if (accept == NULL)
		return NULL;
	accept->loop = loop;
	accept->parts = *parts;
	for (int show = 0; show < SHOWS; show++)
		TAILQ_INIT(&accept->queue[show]);
	(void)uv_timer_init(loop, &accept->deadline); /* always 0 */
	accept->deadline.data = accept;
	return accept;
}

static void keep_rejects(struct accept *accept, const char *node,
	const struct report *report, uint64_t now_ms)
{
	accept->stats.rejected_events += report->n_rejected;
	if (report->n_rejected > 0)
		ledger_note_rejected(accept->parts.ledger, node, report->n_rejected);
	for (size_t i = 0; i < report->n_rejects_kept; i++)
		ledger_keep_reject(
			accept->parts.ledger, node, &report->rejects[i], now_ms);
	/* What is void goes with each report that is applied; now perhaps none is. */
	if (report->bounds_reached != 0)
		ledger_sweep(accept->parts.ledger);
}

static void watch(struct accept *accept, const struct incoming *incoming,
	const struct record *record)
{
	struct watch_report seen = {.node = incoming->node,
		.mode = incoming->counters,
		.peer = incoming->peer != NULL ? incoming->peer : "",
		.conn = incoming->connection,
		.bookings = &record->bookings,
		.now_ms = record->origin.time_ms};

	watch_see(ledger_watch(accept->parts.ledger), &seen);
}

/* Up to journal_append() nothing changes. */
static int write_and_apply(
	struct accept *accept, struct record *record, struct reading *reading)
{
	const struct accept_parts *parts = &accept->parts;
	struct ledger *ledger = parts->ledger;
	int code = ledger_prepare_rest(
		ledger, record->node, &record->bookings, &reading->prepared);

	if (code == 0) {
		record->origin.repeats = ledger_find_repeat(ledger, &record->bookings,
			record->origin.fingerprint, parts->delivery_of,
			parts->delivery_arg);
		ledger_measure(ledger, &record->bookings);
		ledger_tell_proofs(ledger, &record->origin);
		if (parts->delivery_of(parts->delivery_arg, record->origin.conn) ==
			DELIVERY_LOST)
			code = ERR_HUNG_UP;
	}
	if (code == 0)
		code = journal_append(accept->parts.journal, record);
	if (code == 0)
		ledger_apply(ledger, &record->bookings, &record->origin);
	reading->is_applied = code == 0 && record->origin.repeats == 0;
	return code;
}

/* From a report that is booked to the ledger. */
static int take(struct accept *accept, const struct incoming *incoming,
	struct reading *reading, struct record *record)
{
	struct ledger *ledger = accept->parts.ledger;
	int code = 0;

	record->bookings = reading->bookings;
	record->origin.time_ms = clock_wall_ms();
	memcpy(record->origin.fingerprint, reading->fingerprint, FINGERPRINT_BYTES);
	if (record->bookings.n > 0)
		code = write_and_apply(accept, record, reading);
	if (code == 0 && record->origin.repeats == 0) {
		accept->stats.stats_events += record->bookings.n_stats;
		keep_rejects(
			accept, record->node, &reading->report, record->origin.time_ms);
		watch(accept, incoming, record);
		tell_about(&accept->tell, ledger, record->node, &reading->report);
	}
	return code;
}

static int read_and_take(
	struct accept *accept, const struct incoming *incoming, struct record *record)
{
	struct ledger *ledger = accept->parts.ledger;
	struct reading reading;
	int code = reading_parse(incoming->body, incoming->len, &reading);

	if (code != 0)
		return code;
	code = account_book(ledger, record->node, incoming->counters, &reading.report,
		&reading.bookings);
	if (code == 0)
		code = take(accept, incoming, &reading, record);
	if (!reading.is_applied)
		ledger_forget_prepared(ledger, record->node, &reading.bookings);
	reading_done(&reading);
	return code;
}

/* Whoever has read it forgets what is not applied. */
static int take_read(
	struct accept *accept, const struct incoming *incoming, struct record *record)
{
	return incoming->reading->counters == incoming->counters
		? take(accept, incoming, incoming->reading, record)
		: ERR_UNSETTLED;
}

static int read_or_take(struct accept *accept, const struct incoming *incoming,
	struct outcome *ret_outcome)
{
	const struct ledger *ledger = accept->parts.ledger;
	struct record record = {
		.node = incoming->node, .origin.conn = incoming->connection};
	int code = incoming->reading == NULL ? read_and_take(accept, incoming, &record)
					     : take_read(accept, incoming, &record);

	if (code != 0)
		return code;
	accept->stats.accepted += record.origin.repeats == 0;
	accept->stats.repeats += record.origin.repeats != 0;
	if (record.origin.repeats != 0)
		log_limited(LOG_INFO, "repeated report counted once",
			"node=%s seq=%" PRIu64, LOG_QUOTE(incoming->node),
			record.origin.repeats);
	ret_outcome->seq =
		record.origin.repeats != 0 ? record.origin.repeats : ledger_seq(ledger);
	ret_outcome->show = ledger_show_of(&record.bookings);
	ret_outcome->unsent_index = ledger_unsent_index(ledger, ret_outcome->show);
	return 0;
}

/* Whether the next report's answer may have to: then it has a struct waiting. */
static bool may_wait(const struct accept *accept)
{
	return !TAILQ_EMPTY(&accept->queue[SHOW_FIRST]) ||
		!TAILQ_EMPTY(&accept->queue[SHOW_LAST]) ||
		journal_must_sync(accept->parts.journal) ||
		live_get_state(accept->parts.live) == LIVE_UP;
}

/* 0 or ACCEPT_WAITS; takes `waiting`. */
static int wait_or_go(struct accept *accept, struct waiting *waiting)
{
	enum show show = waiting->outcome.show;
	uint64_t now = clock_ms();

	waiting->deadline_ms = now + accept->parts.shown_timeout_ms;
	live_poke(accept->parts.live);
	if (TAILQ_EMPTY(&accept->queue[show]) && !must_wait(accept, waiting, now)) {
		free(waiting);
		return 0;
	}
	TAILQ_INSERT_TAIL(&accept->queue[show], waiting, link);
	if (!uv_is_active((uv_handle_t *)&accept->deadline))
		timer_start(
			&accept->deadline, on_deadline, accept->parts.shown_timeout_ms);
	return ACCEPT_WAITS;
}

int accept_report(struct accept *accept, const struct incoming *incoming,
	accept_done_cb on_done, void *arg)
{
	struct waiting *waiting = NULL;
	struct outcome outcome;
	int code = accept->is_stopping ? ERR_STOPPING : 0;

	if (code == 0 && may_wait(accept)) {
		waiting = malloc(sizeof(*waiting));
		code = waiting == NULL ? ERR_NOMEM : 0;
	}
	if (code == 0)
		code = read_or_take(accept, incoming, &outcome);
	flush_maybe_start(
		accept->parts.flush, journal_wants_checkpoint(accept->parts.journal));
	if (code != 0) {
		free(waiting);
		accept_note_refused(accept);
		return code;
	}
	if (waiting == NULL)
		return 0;
	*waiting = (struct waiting){.outcome = outcome, .on_done = on_done, .arg = arg};
	return wait_or_go(accept, waiting);
}

void accept_note_refused(struct accept *accept)
{
	accept->stats.refused++;
}

void accept_delivered(struct accept *accept, uint64_t connection)
{
	repeats_prove(ledger_repeats(accept->parts.ledger), connection);
}

void accept_stop(struct accept *accept)
{
	accept->is_stopping = true;
}

void accept_get_stats(const struct accept *accept, struct accept_stats *ret_stats)
{
	*ret_stats = accept->stats;
}

static void finish_close(uv_handle_t *handle)
{
	struct accept *accept = handle->data;

	accept->on_closed(accept->on_closed_arg);
}

static void forget_waiting(struct accept *accept)
{
	struct waiting *waiting;

	for (int show = 0; show < SHOWS; show++)
		while ((waiting = TAILQ_FIRST(&accept->queue[show])) != NULL) {
			TAILQ_REMOVE(&accept->queue[show], waiting, link);
			free(waiting);
		}
}

void accept_close(struct accept *accept, void (*on_closed)(void *arg), void *arg)
{
	accept->on_closed = on_closed;
	accept->on_closed_arg = arg;
	forget_waiting(accept);
	uv_close((uv_handle_t *)&accept->deadline, finish_close);
}

void accept_free(struct accept *accept)
{
	if (accept == NULL)
		return;
	forget_waiting(accept);
	free(accept);
}
