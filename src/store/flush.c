/*
 * start() takes the cut and submits the job; job_work() runs on the pool; on_job_done()
 * ends the cut, or keeps it for the next try, answers who waited, and chooses what is
 * next.
 */
#include "store/flush.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/queue.h>

#define EMERGENCY_GAP_MS 5000
#define LOOK_MS 1000 /* within which it is noticed; on the journal's beat */
#define REMIND_MS 600000
#define QUICK_MS 60000 /* however many retries there are within it */

enum state { STATE_IDLE, STATE_RUNNING, STATE_BACKOFF };

struct request {
	flush_done_cb on_done;
	void *arg;
	bool has_seen_start; /* it came before the running flush began */
	TAILQ_ENTRY(request) link;
};

struct flush {
	uv_loop_t *loop;
	struct store *store;
	struct ledger *ledger;
	struct flush_config config;
	struct flush_hooks hooks;
	enum state state;
	struct flush_stats stats;
	unsigned n_retries;
	unsigned n_failed_in_row;
	uint64_t failing_from_ms; /* clock_ms() of the first of them */
	uint64_t reminded_ms;     /* when it was told last that it keeps failing */
	int reminded_code;        /* and of what */
	uint64_t emergency_ms;    /* when the last emergency flush started; 0: never */
	uint64_t failed_ms;       /* when the last flush failed */
	bool has_warned;
	bool is_pressed; /* the journal wants room, and no cut was taken since */
	TAILQ_HEAD(, request) requests;

	struct cut *cut; /* that is not committed yet */
	bool is_resumed; /* the running flush hands it in again */
	bool is_sync;    /* it holds what was reported, not only the link to Redis */
	uv_work_t work;
	uint64_t started_us;
	size_t n_users;
	struct store_result result;
	int result_code;

	uv_work_t look; /* whether the file is there */
	bool is_looking;
	int look_code, missing; /* what it has found now, and what is known; 0: nothing */
	struct errmsg look_msg;
	uint64_t missing_since_ms; /* since 1970 */

	uv_timer_t look_tick;
	uv_timer_t interval;
	uv_timer_t wake; /* a backoff ends, an emergency may start, a request waits */
	uv_timer_t stop_limit; /* a stop has had its time */
	unsigned n_open_handles;
	flush_done_cb on_stopped;
	void *on_stopped_arg;
	bool is_late; /* stop_limit is over */
	void (*on_closed)(void *arg);
	void *on_closed_arg;
};

static bool has_work(const struct flush *flush)
{
	return flush->cut != NULL || ledger_is_dirty(flush->ledger);
}

static void on_wake(uv_timer_t *timer);

static void wake_in(struct flush *flush, uint64_t ms)
{
	timer_start(&flush->wake, on_wake, ms);
}

/* Somebody waits: as soon as retry_delay after the last failure allows. */
static void hurry(struct flush *flush)
{
	uint64_t since = clock_ms() - flush->failed_ms;
	uint64_t delay = flush->config.retry_delay_ms;

	if (flush->state == STATE_IDLE || since >= delay)
		wake_in(flush, 0);
	else if (flush->state == STATE_BACKOFF &&
		uv_timer_get_due_in(&flush->wake) > delay - since)
		wake_in(flush, delay - since);
}

/* Whether a request came while the flush was running. */
static bool has_newcomer(const struct flush *flush)
{
	const struct request *request;

	TAILQ_FOREACH (request, &flush->requests, link)
		if (!request->has_seen_start)
			return true;
	return false;
}

/* Answers requests, all of them or those whose answer the flush is. A failure is that of
 * all that saw it start; a success only if its cut was taken then, and not long before.
 */
static void answer(struct flush *flush, int code, const struct flush_outcome *outcome,
	bool is_for_all)
{
	bool is_for_older = code != 0 || !flush->is_resumed;
	struct request *request, *next;

	for (request = TAILQ_FIRST(&flush->requests); request != NULL; request = next) {
		next = TAILQ_NEXT(request, link);
		if (!is_for_all && !(is_for_older && request->has_seen_start))
			continue;
		TAILQ_REMOVE(&flush->requests, request, link);
		request->on_done(request->arg, code, outcome);
		free(request);
	}
}

/* On the thread pool. */
static void job_work(uv_work_t *work)
{
	struct flush *flush = work->data;

	flush->result_code = store_commit(flush->store, flush->cut, &flush->result);
}

/* Again only after a while, or if it is another failure. */
static void remind(struct flush *flush)
{
	int code = flush->result_code;
	uint64_t failing_ms = clock_ms() - flush->failing_from_ms;
	struct errmsg rest = {""};

	if (flush->reminded_code == code && clock_ms() - flush->reminded_ms < REMIND_MS)
		return;
	flush->reminded_code = code;
	flush->reminded_ms = clock_ms();
	flush->hooks.describe_rest(flush->hooks.arg, &rest);
	log_line(store_needs_help(code) ? LOG_ERROR : LOG_WARN,
		"flush keeps failing and needs your help",
		"failures=%u for_s=%" PRIu64
		" users=%zu reason=%s error=%s what_to_do=%s meanwhile=%s",
		flush->n_failed_in_row, failing_ms / 1000, flush->n_users,
		LOG_QUOTE(err_text(code)), LOG_QUOTE(flush->result.error.text),
		LOG_QUOTE(store_advice(code)), LOG_QUOTE(rest.text));
}

static void note_failure(struct flush *flush, double time_ms)
{
	if (flush->n_failed_in_row++ == 0) {
		flush->stats.failing_since_ms = clock_wall_ms();
		flush->failing_from_ms = clock_ms();
	}
	if (flush->n_failed_in_row > flush->config.max_retries ||
		clock_ms() - flush->failing_from_ms > QUICK_MS)
		remind(flush);
	else
		log_warn("flush failed: nothing is lost, it is tried again",
			"users=%zu time_ms=%.1f reason=%s error=%s retry=%u",
			flush->n_users, time_ms, LOG_QUOTE(err_text(flush->result_code)),
			LOG_QUOTE(flush->result.error.text), flush->n_retries);
}

static void note_success(struct flush *flush)
{
	if (flush->reminded_code != 0)
		log_info("flush works again", "failures=%u", flush->n_failed_in_row);
	flush->n_failed_in_row = 0;
	flush->reminded_code = 0;
	flush->stats.failing_since_ms = 0;
}

static void note_end(struct flush *flush, double time_ms)
{
	int code = flush->result_code;

	flush->stats.is_running = false;
	flush->stats.last.error = code;
	if (code != 0)
		note_failure(flush, time_ms);
	else
		note_success(flush);
	if (!flush->is_sync)
		return;
	flush->stats.total_ms += time_ms;
	flush->stats.last.at_ms = clock_wall_ms();
	flush->stats.last.users = flush->n_users;
	flush->stats.last.time_ms = time_ms;
	if (code != 0) {
		flush->stats.n_failed++;
		return;
	}
	flush->stats.n_succeeded++;
	flush->stats.users_written += flush->n_users;
	flush->stats.statements += flush->result.n_statements;
	log_info("flush committed", "users=%zu time_ms=%.1f", flush->n_users, time_ms);
}

static void commit(struct flush *flush)
{
	uint64_t seq = flush->cut->seq;

	ledger_cut_committed(flush->ledger, flush->cut);
	flush->cut = NULL;
	flush->n_retries = 0;
	flush->has_warned = false;
	flush->state = STATE_IDLE;
	flush->hooks.on_committed(flush->hooks.arg, seq, flush->result.is_settled);
}

/* Quick retries first, each after twice the delay; after them the next interval's turn.
 */
static uint64_t backoff_ms(struct flush *flush)
{
	uint64_t delay = flush->config.retry_delay_ms;

	if (flush->n_retries >= flush->config.max_retries) {
		flush->n_retries = 0;
		return flush->config.interval_ms > delay ? flush->config.interval_ms
							 : delay;
	}
	delay <<= flush->n_retries < 20 ? flush->n_retries : 20;
	flush->n_retries++;
	return delay;
}

static void back_off(struct flush *flush)
{
	uint64_t delay = backoff_ms(flush);

	flush->state = STATE_BACKOFF;
	flush->failed_ms = clock_ms();
	wake_in(flush, delay);
	if (flush->on_stopped != NULL || has_newcomer(flush))
		hurry(flush);
}

/* Whether the next flush is not to wait for the interval: somebody does, or a cut was
 * tried so long that much has come since. */
static bool is_awaited(const struct flush *flush)
{
	return flush->on_stopped != NULL || !TAILQ_EMPTY(&flush->requests) ||
		flush->is_resumed;
}

static void maybe_start_emergency(struct flush *flush);
static void maybe_stopped(struct flush *flush);

static void on_job_done(uv_work_t *work, int status)
{
	struct flush *flush = work->data;
	int code = flush->result_code;

	(void)status; /* never cancelled */
	note_end(flush, (double)(clock_us() - flush->started_us) / 1000);
	if (flush->result.is_opened_again)
		log_warn("tally.db-wal or tally.db-shm was moved or deleted: nothing is "
			 "lost, the database was opened again",
			"outcome=%s", LOG_QUOTE(err_text(code)));
	if (code == ERR_STORE_FOREIGN || code == ERR_STORE_CUT) {
		flush->hooks.on_fatal(flush->hooks.arg, code);
		return;
	}
	if (code == 0)
		commit(flush);
	else
		back_off(flush);
	answer(flush, code, &flush->stats.last, false);
	if (flush->state == STATE_IDLE && is_awaited(flush))
		hurry(flush);
	maybe_start_emergency(flush);
	maybe_stopped(flush);
}

static bool take_cut(struct flush *flush)
{
	if (flush->cut == NULL) {
		flush->cut = ledger_cut(flush->ledger);
		if (flush->cut == NULL)
			return false;
		flush->is_pressed = false;
		flush->hooks.on_cut(flush->hooks.arg);
	}
	flush->n_users = flush->cut->users.n;
	flush->is_sync =
		flush->n_users + flush->cut->n_services + flush->cut->n_rejects > 0 ||
		!TAILQ_EMPTY(&flush->cut->audit);
	return true;
}

/* Only from IDLE, and with work to do. Short of memory, it is as if nobody had asked yet.
 */
static void start(struct flush *flush)
{
	struct request *request;

	flush->is_resumed = flush->cut != NULL;
	if (!take_cut(flush)) {
		log_error(
			"flush cannot start", "error=%s", LOG_QUOTE(err_text(ERR_NOMEM)));
		flush->result_code = ERR_NOMEM;
		flush->failed_ms = clock_ms();
		flush->state = STATE_BACKOFF;
		wake_in(flush, flush->config.retry_delay_ms);
		return;
	}
	TAILQ_FOREACH (request, &flush->requests, link)
		request->has_seen_start = true;
	flush->state = STATE_RUNNING;
	flush->stats.is_running = true;
	flush->stats.n_started += flush->is_sync;
	flush->started_us = clock_us();
	flush->work.data = flush;
	if (uv_queue_work(flush->loop, &flush->work, job_work, on_job_done) != 0)
		abort(); /* only for a NULL callback */
}

static void start_if_idle(struct flush *flush)
{
	static const struct flush_outcome nothing = {0};

	if (flush->state != STATE_IDLE)
		return;
	if (has_work(flush)) {
		start(flush);
		return;
	}
	flush->is_resumed = false;
	answer(flush, 0, &nothing, true);
}

static void on_interval(uv_timer_t *timer)
{
	start_if_idle(timer->data);
}

static void on_wake(uv_timer_t *timer)
{
	struct flush *flush = timer->data;

	bool is_due = flush->state == STATE_BACKOFF || is_awaited(flush);

	if (flush->state == STATE_BACKOFF)
		flush->state = STATE_IDLE;
	if (is_due)
		start_if_idle(flush);
	else
		maybe_start_emergency(flush);
	maybe_stopped(flush);
}

/* On the thread pool. */
static void look_work(uv_work_t *work)
{
	struct flush *flush = work->data;

	flush->look_code = store_find_file(flush->store, &flush->look_msg);
}

/* Logged once, here. */
static void note_missing(struct flush *flush)
{
	struct errmsg rest = {""};

	flush->missing_since_ms = clock_wall_ms();
	flush->hooks.describe_rest(flush->hooks.arg, &rest);
	log_error("the database file is out of reach: nothing gets into SQLite",
		"reason=%s error=%s what_to_do=%s meanwhile=%s",
		LOG_QUOTE(err_text(flush->missing)), LOG_QUOTE(flush->look_msg.text),
		LOG_QUOTE(store_advice(flush->missing)), LOG_QUOTE(rest.text));
}

static void finish_close(struct flush *flush)
{
	flush->n_open_handles--;
	if (flush->n_open_handles == 0)
		flush->on_closed(flush->on_closed_arg);
}

static void on_looked(uv_work_t *work, int status)
{
	struct flush *flush = work->data;
	int before = flush->missing;

	(void)status; /* never cancelled */
	flush->is_looking = false;
	flush->missing = flush->look_code;
	if (flush->missing != 0 && flush->missing != before)
		note_missing(flush);
	else if (flush->missing == 0 && before != 0)
		log_info("the database file is there again", "error=%s",
			LOG_QUOTE(err_text(before)));
	if (flush->on_closed != NULL)
		finish_close(flush);
}

static void on_look_tick(uv_timer_t *timer)
{
	struct flush *flush = timer->data;

	timer_start_aligned(timer, on_look_tick, LOOK_MS);
	if (flush->is_looking)
		return;
	flush->is_looking = true;
	flush->look.data = flush;
	if (uv_queue_work(flush->loop, &flush->look, look_work, on_looked) != 0)
		abort(); /* only for a NULL callback */
}

struct flush *flush_new(uv_loop_t *loop, struct store *store, struct ledger *ledger,
	const struct flush_config *config, const struct flush_hooks *hooks)
{
	struct flush *flush = calloc(1, sizeof(*flush));

	if (flush == NULL)
		return NULL;
	flush->loop = loop;
	flush->store = store;
	flush->ledger = ledger;
	flush->config = *config;
	flush->hooks = *hooks;
	TAILQ_INIT(&flush->requests);
	(void)uv_timer_init(loop, &flush->interval); /* always 0 */
	(void)uv_timer_init(loop, &flush->wake);
	(void)uv_timer_init(loop, &flush->stop_limit);
	(void)uv_timer_init(loop, &flush->look_tick);
	flush->interval.data = flush->wake.data = flush->stop_limit.data = flush;
	flush->look_tick.data = flush;
	flush->n_open_handles = 4;
	return flush;
}

static void restart_interval(struct flush *flush)
{
	uint64_t ms = flush->config.interval_ms;

	(void)uv_timer_start(
		&flush->interval, on_interval, ms, ms); /* fails only for NULL */
}

void flush_start(struct flush *flush)
{
	restart_interval(flush);
	timer_start_aligned(&flush->look_tick, on_look_tick, LOOK_MS);
}

void flush_configure(struct flush *flush, const struct flush_config *config)
{
	bool has_new_interval = flush->config.interval_ms != config->interval_ms;

	flush->config = *config;
	if (has_new_interval)
		restart_interval(flush);
}

static void maybe_warn(struct flush *flush, size_t dirty_users)
{
	if (dirty_users < flush->config.max_pending_users || flush->has_warned)
		return;
	flush->has_warned = true;
	log_warn("many users wait for SQLite", "pending_users=%zu max_pending_users=%zu",
		dirty_users, flush->config.max_pending_users);
}

static void maybe_start_emergency(struct flush *flush)
{
	struct ledger_stats stats;
	uint64_t since;

	ledger_get_stats(flush->ledger, &stats);
	maybe_warn(flush, stats.dirty_users);
	if (flush->state != STATE_IDLE || flush->on_stopped != NULL || !has_work(flush) ||
		(stats.dirty_users < flush->config.emergency_flush_size &&
			!flush->is_pressed))
		return;
	since = clock_ms() - flush->emergency_ms;
	if (flush->emergency_ms != 0 && since < EMERGENCY_GAP_MS) {
		if (!uv_is_active((uv_handle_t *)&flush->wake))
			wake_in(flush, EMERGENCY_GAP_MS - since);
		return;
	}
	flush->emergency_ms = clock_ms();
	start(flush);
}

void flush_maybe_start(struct flush *flush, bool is_pressed)
{
	flush->is_pressed |= is_pressed;
	maybe_start_emergency(flush);
}

int flush_request(struct flush *flush, flush_done_cb on_done, void *arg)
{
	struct request *request = calloc(1, sizeof(*request));

	if (request == NULL)
		return ERR_NOMEM;
	request->on_done = on_done;
	request->arg = arg;
	TAILQ_INSERT_TAIL(&flush->requests, request, link);
	hurry(flush);
	return 0;
}

static void maybe_stopped(struct flush *flush)
{
	flush_done_cb on_stopped = flush->on_stopped;

	if (on_stopped == NULL || flush->state == STATE_RUNNING ||
		(has_work(flush) && !flush->is_late))
		return;
	answer(flush, flush->result_code, &flush->stats.last, true);
	flush->on_stopped = NULL;
	(void)uv_timer_stop(&flush->wake);
	(void)uv_timer_stop(&flush->stop_limit);
	on_stopped(flush->on_stopped_arg, has_work(flush) ? flush->result_code : 0,
		&flush->stats.last);
}

static void on_stop_limit(uv_timer_t *timer)
{
	struct flush *flush = timer->data;

	flush->is_late = true;
	maybe_stopped(flush);
}

void flush_stop(
	struct flush *flush, uint64_t timeout_ms, flush_done_cb on_done, void *arg)
{
	flush->on_stopped = on_done;
	flush->on_stopped_arg = arg;
	flush->n_retries = 0;
	(void)uv_timer_stop(&flush->interval);
	hurry(flush);
	/* Behind hurry(), so that even 0 ms are enough for one try. */
	timer_start(&flush->stop_limit, on_stop_limit, timeout_ms);
}

static void on_handle_closed(uv_handle_t *handle)
{
	finish_close(handle->data);
}

void flush_close(struct flush *flush, void (*on_closed)(void *arg), void *arg)
{
	flush->on_closed = on_closed;
	flush->on_closed_arg = arg;
	flush->n_open_handles += flush->is_looking;
	uv_close((uv_handle_t *)&flush->look_tick, on_handle_closed);
	uv_close((uv_handle_t *)&flush->interval, on_handle_closed);
	uv_close((uv_handle_t *)&flush->wake, on_handle_closed);
	uv_close((uv_handle_t *)&flush->stop_limit, on_handle_closed);
}

void flush_free(struct flush *flush)
{
	struct request *request;

	if (flush == NULL)
		return;
	while ((request = TAILQ_FIRST(&flush->requests)) != NULL) {
		TAILQ_REMOVE(&flush->requests, request, link);
		free(request);
	}
	if (flush->cut != NULL)
		ledger_forget_cut(flush->cut);
	free(flush);
}

void flush_get_stats(const struct flush *flush, struct flush_stats *ret_stats)
{
	*ret_stats = flush->stats;
	if (flush->missing == 0)
		return;
	ret_stats->last.error = flush->missing;
	if (ret_stats->failing_since_ms == 0)
		ret_stats->failing_since_ms = flush->missing_since_ms;
}
