/*
 * How much may come, and what gives way: rows by their bytes, shares of nodes, and series
 * whose mark is void. Reports go through the ledger as the pipeline lets them.
 */
#include "lib/test.h"
#include "account/ledger.h"
#include "lib/faults.h"
#include "lib/image.h"
#include "lib/sample.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)

static const struct bounds *bounds_of(const struct ledger *ledger)
{
	return ledger_bounds(ledger);
}

static uint64_t bytes_of(const struct ledger *ledger)
{
	return bounds_of(ledger)->used.of[BOUND_MEMORY];
}

static struct ledger *bounded(size_t max_users, uint64_t max_bytes)
{
	struct ledger *ledger = ledger_new(max_users, false);

	assert_non_null(ledger);
	ledger_set_bounds(ledger, max_bytes, UINT64_MAX);
	return ledger;
}

static struct event event_of(
	enum event_kind kind, const char *service, const char *client)
{
	return (struct event){.kind = kind,
		.service = service,
		.client = client,
		.state = "",
		.counters = {.input_bytes = 1, .total_conns = 1}};
}

/* What became of one report. */
struct outcome {
	size_t n_booked, n_rejected;
	unsigned reached;
	char reason[80]; /* of the first reject */
};

/* Books, prepares, measures and applies; `is_kept` false: the journal refuses it. */
static struct outcome take(struct ledger *ledger, const char *node,
	enum counter_mode mode, struct event *events, size_t n, bool is_kept)
{
	struct report report = {.events = events, .n_events = n};
	struct origin origin = {.seq = ledger_seq(ledger) + 1,
		.conn = ledger_seq(ledger) + 1,
		.time_ms = 1000};
	struct outcome outcome = {0};
	struct bookings bookings;

	assert_int_equal(account_book(ledger, node, mode, &report, &bookings), 0);
	outcome = (struct outcome){
		bookings.n, report.n_rejected, report.bounds_reached, ""};
	for (size_t i = 0; i < report.n_rejects_kept; i++) {
		(void)snprintf(outcome.reason, sizeof(outcome.reason), "%s",
			report.rejects[0].reason);
		free(report.rejects[i].event);
	}
	if (bookings.n > 0) {
		assert_int_equal(ledger_prepare(ledger, node, &bookings), 0);
		ledger_measure(ledger, &bookings);
		if (is_kept)
			ledger_apply(ledger, &bookings, &origin);
		else
			ledger_forget_prepared(ledger, node, &bookings);
	}
	bookings_done(&bookings);
	return outcome;
}

static struct outcome take_one(struct ledger *ledger, const char *node,
	enum counter_mode mode, struct event event)
{
	return take(ledger, node, mode, &event, 1, true);
}

static void say(struct ledger *ledger, const char *node, const char *state)
{
	struct event event = {.type = EVENT_STATUS,
		.kind = KIND_SERVICE,
		.service = "s",
		.client = "",
		.state = state};

	(void)take_one(ledger, node, COUNTERS_DELTA, event);
}

/* New clients of kind service, until none is taken any more; how many were. */
static size_t flood_series(struct ledger *ledger, const char *node)
{
	char client[32];

	for (size_t n = 0;; n++) {
		(void)snprintf(client, sizeof(client), "client-%zu", n);
		if (take_one(ledger, node, COUNTERS_CUMULATIVE,
			    event_of(KIND_SERVICE, "s", client))
				.n_booked == 0)
			return n;
	}
}

static size_t n_series(const struct ledger *ledger)
{
	struct ledger_stats stats;

	ledger_get_stats(ledger, &stats);
	return stats.series;
}

static void make_node(struct ledger *ledger, const char *name, bool is_deleted)
{
	struct effect effect = {
		.kind = EFFECT_NODE, .node = name, .kept = sample_node(1)};
	struct command command = sample_command("node.create", "", name, &effect, 1);

	effect.kept.deleted_ms = is_deleted ? 5 : 0;
	sample_do(ledger, &command, 1000);
}

/* Bytes of rows against bytes of malloc(). */

#ifndef __SANITIZE_ADDRESS__
static uint64_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

#define N_ROWS 20000

static void fill(struct ledger *ledger, unsigned kind, size_t len)
{
	char name[256];

	for (unsigned i = 0; i < N_ROWS; i++) {
		struct event event = event_of(KIND_HANDLER, "s", name);

		(void)snprintf(name, sizeof(name), "%0*u", (int)len, i);
		if (kind == 0) { /* users */
			(void)take_one(ledger, "n", COUNTERS_DELTA, event);
		} else if (kind == 1) { /* series */
			event.kind = KIND_SERVICE;
			(void)take_one(ledger, "n", COUNTERS_CUMULATIVE, event);
		} else { /* services, with an open report each */
			event.service = name;
			event.client = "u";
			(void)take_one(ledger, "n", COUNTERS_DELTA, event);
		}
	}
}

TEST(a_row_is_taken_for_as_many_bytes_as_malloc_needs_for_it)
{
	static const size_t lens[] = {8, 17, 64, 255};

	if (allocated() == 0)
		skip(); /* valgrind's malloc() tells nothing */
	for (size_t i = 0; i < 3 * COUNT_OF(lens); i++) {
		uint64_t before = allocated(), taken, counted;
		struct ledger *ledger = ledger_new(1000000, false);

		fill(ledger, (unsigned)(i % 3), lens[i / 3]);
		taken = allocated() - before;
		counted = bytes_of(ledger);
		AT_ROW(i, counted > taken - taken / 5 && counted < taken + taken / 5);
		ledger_free(ledger);
	}
}
#endif

TEST(what_was_only_prepared_gives_its_room_back_at_once)
{
	struct ledger *ledger = bounded(10, 100 * KIB);
	struct event events[] = {event_of(KIND_HANDLER, "s", "a"),
		event_of(KIND_HANDLER, "t", "b"), event_of(KIND_HANDLER, "s", "c"),
		event_of(KIND_HANDLER, "s", "a"), event_of(KIND_SERVICE, "s", "a")};
	struct usage nothing = {{0}};

	for (unsigned i = 0; i < 3; i++) {
		(void)take(ledger, "n", COUNTERS_CUMULATIVE, events, COUNT_OF(events),
			false);
		assert_memory_equal(&bounds_of(ledger)->used, &nothing, sizeof(nothing));
		assert_memory_equal(
			&bounds_of(ledger)->used_by_strangers, &nothing, sizeof(nothing));
		assert_null(bounds_find(bounds_of(ledger), "n"));
	}
	(void)take(ledger, "n", COUNTERS_CUMULATIVE, events, COUNT_OF(events), true);
	assert_int_equal(bounds_of(ledger)->used.of[BOUND_USERS], 3);
	assert_int_equal(bounds_of(ledger)->used.of[BOUND_SERVICES], 3);
	(void)take(ledger, "m", COUNTERS_CUMULATIVE, events, COUNT_OF(events), false);
	assert_int_equal(bounds_of(ledger)->used.of[BOUND_SERVICES], 3);
	ledger_free(ledger);
}

TEST(short_memory_at_any_call_leaves_the_bounds_as_they_were)
{
	for (unsigned n = 1;; n++) {
		struct ledger *ledger = bounded(10, UINT64_MAX);
		struct booking list[] = {
			sample_traffic("s", "a", 1, 1), sample_traffic("t", "b", 1, 1)};
		struct bookings bookings = {list, COUNT_OF(list), COUNT_OF(list)};
		bool has_fired;
		int code;

		list[0].has_mark = list[1].has_mark = true;
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = ledger_prepare(ledger, "n", &bookings);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		ledger_forget_prepared(ledger, "n", &bookings);
		assert_int_equal(bytes_of(ledger), 0);
		assert_int_equal(bounds_of(ledger)->used.of[BOUND_USERS], 0);
		ledger_free(ledger);
		if (!has_fired)
			break;
		/* Each table, its buckets and each row have failed once. */
		assert_true(n < 100);
	}
}

TEST(series_beyond_the_bound_in_bytes_are_rejected_and_known_ones_go_on)
{
	struct ledger *ledger = bounded(1000000, 200 * KIB);
	struct outcome outcome;
	size_t n = flood_series(ledger, "n");

	assert_true(n > 100 && n < 2000);
	assert_true(bytes_of(ledger) <= 200 * KIB);
	outcome = take_one(ledger, "n", COUNTERS_CUMULATIVE,
		event_of(KIND_SERVICE, "s", "one more"));
	assert_int_equal(outcome.n_rejected, 1);
	assert_int_equal(outcome.reached, 1U << BOUND_MEMORY);
	assert_non_null(strstr(outcome.reason, "max_memory"));
	outcome = take_one(ledger, "n", COUNTERS_CUMULATIVE,
		event_of(KIND_SERVICE, "s", "client-3"));
	assert_int_equal(outcome.n_booked, 1);
	/* Deltas need no series. */
	outcome = take_one(
		ledger, "n", COUNTERS_DELTA, event_of(KIND_SERVICE, "s", "one more"));
	assert_int_equal(outcome.n_booked, 1);
	assert_int_equal(n_series(ledger), n);
	ledger_free(ledger);
}

TEST(one_report_ends_at_the_bound_as_many_do)
{
	struct ledger *ledger = bounded(1000000, 100 * KIB);
	static struct event events[2000];
	static char names[2000][16];
	struct outcome outcome;

	for (unsigned i = 0; i < COUNT_OF(events); i++) {
		(void)snprintf(names[i], sizeof(names[i]), "u%u", i);
		events[i] = event_of(KIND_HANDLER, i % 2 == 0 ? "s" : names[i], names[i]);
	}
	outcome = take(ledger, "n", COUNTERS_CUMULATIVE, events, COUNT_OF(events), true);
	assert_true(outcome.n_booked > 20 && outcome.n_rejected > 1000);
	assert_true(bytes_of(ledger) <= 100 * KIB);
	assert_true(bytes_of(ledger) > 70 * KIB);
	ledger_free(ledger);
}

/* Shares. */

TEST(a_node_leaves_a_quarter_of_the_memory_to_others)
{
	struct ledger *ledger = bounded(1000000, 1000 * KIB);
	struct outcome outcome;
	uint64_t flooded;

	make_node(ledger, "quiet", false);
	make_node(ledger, "loud", false);
	(void)flood_series(ledger, "loud");
	flooded = bounds_find(bounds_of(ledger), "loud")->used.of[BOUND_MEMORY];
	assert_in_range(flooded, 740 * KIB, 750 * KIB);
	outcome = take_one(ledger, "loud", COUNTERS_CUMULATIVE,
		event_of(KIND_SERVICE, "s", "one more"));
	assert_non_null(strstr(outcome.reason, "share of max_memory"));
	for (unsigned i = 0; i < 300; i++)
		assert_int_equal(take_one(ledger, "quiet", COUNTERS_CUMULATIVE,
					 event_of(KIND_HANDLER, "s", sample_name(i)))
					 .n_booked,
			1);
	ledger_free(ledger);
}

TEST(who_reports_under_many_names_has_no_more_room_than_under_one)
{
	struct ledger *ledger = bounded(1000000, 1000 * KIB);
	char name[16];

	make_node(ledger, "quiet", false);
	for (unsigned i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "name-%u", i);
		(void)flood_series(ledger, name);
	}
	assert_in_range(bounds_of(ledger)->used_by_strangers.of[BOUND_MEMORY], 700 * KIB,
		750 * KIB);
	assert_int_equal(take_one(ledger, "quiet", COUNTERS_CUMULATIVE,
				 event_of(KIND_HANDLER, "s", "u"))
				 .n_booked,
		1);
	ledger_free(ledger);
}

TEST(a_name_that_becomes_a_node_takes_what_it_has_with_it_and_back)
{
	struct ledger *ledger = bounded(1000, 1000 * KIB);
	const struct bounds *bounds = bounds_of(ledger);
	struct effect forget = {.kind = EFFECT_FORGET_NODE, .node = "n"};
	struct command command = sample_command("node.forget", "", "n", &forget, 1);
	uint64_t strangers, own;

	(void)take_one(ledger, "m", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "a"));
	strangers = bounds->used_by_strangers.of[BOUND_MEMORY];
	(void)take_one(ledger, "n", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "b"));
	own = bounds->used_by_strangers.of[BOUND_MEMORY] - strangers;
	make_node(ledger, "n", false);
	assert_int_equal(bounds->used_by_strangers.of[BOUND_MEMORY], strangers);
	assert_int_equal(bounds->n_nodes, 1);
	make_node(ledger, "n", true); /* as deleted */
	assert_int_equal(bounds->used_by_strangers.of[BOUND_MEMORY], strangers + own);
	assert_int_equal(bounds->n_nodes, 0);
	make_node(ledger, "n", false);
	sample_do(ledger, &command, 1000);
	assert_int_equal(bounds->n_nodes, 0);
	assert_int_equal(bounds->used.of[BOUND_USERS], 2);
	ledger_free(ledger);
}

TEST(a_name_tells_how_many_services_it_has_and_when_one_of_them_came_last)
{
	struct ledger *ledger = bounded(1000, UINT64_MAX);
	const struct tenant *tenant;
	struct counters none = {0};

	make_node(ledger, "n", false);
	assert_false(ledger_has_node_reported(ledger, "n"));
	assert_false(ledger_has_node_reported(ledger, "nobody"));
	tenant = bounds_find(bounds_of(ledger), "n");
	assert_int_equal(tenant->last_report_ms, 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(
			ledger_load_service(ledger, "n", KIND_SERVICE, sample_name(i),
				&none, "", &(struct epoch){0}, i == 1 ? 500 : 0),
			0);
	assert_true(ledger_has_node_reported(ledger, "n"));
	assert_int_equal(tenant->used.of[BOUND_SERVICES], 3);
	assert_int_equal(tenant->last_report_ms, 500);
	(void)take_one(ledger, "n", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "a"));
	(void)take_one(ledger, "m", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "a"));
	assert_int_equal(tenant->used.of[BOUND_SERVICES], 4);
	assert_int_equal(tenant->last_report_ms, 1000);
	ledger_free(ledger);
}

TEST(of_users_one_alone_may_have_all_and_beside_others_three_quarters)
{
	struct ledger *ledger = bounded(8, UINT64_MAX);
	struct outcome outcome;

	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(take_one(ledger, "n", COUNTERS_DELTA,
					 event_of(KIND_HANDLER, "s", sample_name(i)))
					 .n_booked,
			1);
	outcome = take_one(
		ledger, "n", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "more"));
	assert_string_equal(outcome.reason, "max_users is reached");
	ledger_free(ledger);
	ledger = bounded(8, UINT64_MAX);
	make_node(ledger, "other", false);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(take_one(ledger, "n", COUNTERS_DELTA,
					 event_of(KIND_HANDLER, "s", sample_name(i)))
					 .n_booked,
			1);
	outcome = take_one(
		ledger, "n", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "more"));
	assert_string_equal(outcome.reason, "this node has used its share of max_users");
	outcome = take_one(
		ledger, "other", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "more"));
	assert_int_equal(outcome.n_booked, 1);
	ledger_free(ledger);
}

TEST(that_a_share_is_nearly_used_is_told_once_and_again_after_there_was_room)
{
	struct ledger *ledger = bounded(1000000, 300 * KIB);
	enum bound bound;
	unsigned told = 0;
	char client[32];

	assert_false(ledger_tell_share(ledger, "n", &bound));
	for (unsigned i = 0; i < 3000; i++) {
		(void)snprintf(client, sizeof(client), "client-%u", i);
		(void)take_one(ledger, "n", COUNTERS_CUMULATIVE,
			event_of(KIND_SERVICE, "s", client));
		told += ledger_tell_share(ledger, "n", &bound);
	}
	assert_int_equal(told, 1);
	assert_int_equal(bound, BOUND_MEMORY);
	say(ledger, "n", "running");
	say(ledger, "n", "ready");
	while (n_series(ledger) > 0)
		ledger_sweep(ledger);
	assert_false(ledger_tell_share(ledger, "n", &bound));
	(void)flood_series(ledger, "n");
	assert_true(ledger_tell_share(ledger, "n", &bound));
	assert_false(ledger_tell_share(ledger, "n", &bound));
	ledger_free(ledger);
}

TEST(where_a_share_is_used_each_stream_keeps_one_open_report)
{
	struct ledger *ledger = bounded(1000, 100 * KIB);
	struct ledger_stats stats;

	for (unsigned i = 0; i < 10; i++)
		(void)take_one(
			ledger, "n", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "u"));
	ledger_get_stats(ledger, &stats);
	assert_int_equal(stats.open_reports, 10);
	ledger_set_bounds(ledger, KIB, UINT64_MAX);
	for (unsigned i = 0; i < 20; i++)
		(void)take_one(
			ledger, "n", COUNTERS_DELTA, event_of(KIND_HANDLER, "s", "u"));
	ledger_get_stats(ledger, &stats);
	assert_in_range(stats.open_reports, 1, 10);
	assert_int_equal(stats.dropped_open_reports, 30 - stats.open_reports);
	ledger_free(ledger);
}

/* Void series. */

static void take_clients(struct ledger *ledger, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++)
		(void)take_one(ledger, "n", COUNTERS_CUMULATIVE,
			event_of(KIND_HANDLER, "s", sample_name(i)));
}

static void restart(struct ledger *ledger)
{
	say(ledger, "n", "running");
	say(ledger, "n", "ready");
}

TEST(series_of_an_earlier_epoch_give_way_and_live_marks_never_do)
{
	struct ledger *ledger = bounded(1000, UINT64_MAX);
	uint64_t empty;

	take_clients(ledger, 0, 1);
	empty = bytes_of(ledger);
	take_clients(ledger, 1, 20);
	ledger_sweep(ledger);
	assert_int_equal(n_series(ledger), 21);
	say(ledger, "n", "running");
	ledger_sweep(ledger);
	assert_int_equal(n_series(ledger), 21);
	say(ledger, "n", "ready");
	assert_int_equal(n_series(ledger), 0);
	assert_true(bytes_of(ledger) <
		empty + 21 * bounds_row_bytes(sizeof(struct user) + 7) + 2 * KIB);
	take_clients(ledger, 3, 4);
	ledger_sweep(ledger);
	assert_int_equal(n_series(ledger), 4);
	ledger_free(ledger);
}

TEST(what_forgotten_marks_took_is_free_again)
{
	struct ledger *ledger = bounded(1000, UINT64_MAX);
	struct effect effect = {.kind = EFFECT_FORGET_MARKS, .node = "n"};
	struct command command = sample_command("node.delete", "", "n", &effect, 1);

	take_clients(ledger, 0, 20);
	sample_do(ledger, &command, 1000);
	ledger_sweep(ledger);
	assert_int_equal(n_series(ledger), 0);
	ledger_free(ledger);
}

TEST(no_turn_frees_more_than_a_slice_and_each_frees_some)
{
	struct ledger *ledger = bounded(100000, UINT64_MAX);
	size_t last;

	take_clients(ledger, 0, 3000);
	restart(ledger);
	for (last = n_series(ledger); last > 0; last = n_series(ledger)) {
		assert_true(last >= 1000 || last % 256 == 3000 % 256 || last < 256);
		ledger_sweep(ledger);
		assert_in_range(last - n_series(ledger), 1, 256);
	}
	ledger_free(ledger);
}

TEST(series_that_a_cut_holds_wait_for_its_end)
{
	/* So many of it have changed again since. */
	for (unsigned n_again = 0; n_again <= 10; n_again += 5) {
		struct ledger *ledger = bounded(1000, UINT64_MAX);
		struct image image = {0};
		struct cut *cut;

		take_clients(ledger, 0, 10);
		cut = ledger_cut(ledger);
		take_clients(ledger, 0, n_again);
		take_clients(ledger, 10, 10);
		restart(ledger);
		ledger_sweep(ledger);
		assert_int_equal(n_series(ledger), 10);
		assert_int_equal(cut->series.n, 10);
		for (unsigned i = 0; i < 10; i++)
			AT_ROW(i,
				strcmp(cut_series(cut, i)->series->client,
					sample_name(i)) == 0);
		image_commit(&image, cut);
		assert_int_equal(image.n_series, 10);
		ledger_cut_committed(ledger, cut);
		ledger_sweep(ledger);
		assert_int_equal(n_series(ledger), 0);
		image_flush(&image, ledger);
		assert_int_equal(image.n_series, 0);
		ledger_free(ledger);
	}
}

TEST(a_cut_drops_what_the_epoch_made_void_and_nothing_newer)
{
	struct ledger *ledger = bounded(1000, UINT64_MAX);
	struct image image = {0};
	struct cut *cut;

	take_clients(ledger, 0, 10);
	image_flush(&image, ledger);
	assert_int_equal(image.n_series, 10);
	restart(ledger);
	take_clients(ledger, 4, 2);
	cut = ledger_cut(ledger);
	take_clients(ledger, 7, 1);
	image_commit(&image, cut);
	ledger_cut_committed(ledger, cut);
	assert_int_equal(image.n_series, 2);
	image_flush(&image, ledger);
	assert_int_equal(image.n_series, 3);
	take_clients(ledger, 8, 1);
	image_flush(&image, ledger);
	assert_int_equal(image.n_series, 4);
	ledger_free(ledger);
}

TEST(void_series_in_a_database_are_not_loaded_and_dropped_with_the_next_cut)
{
	struct ledger *ledger = bounded(1000, UINT64_MAX);
	struct counters none = {0};
	struct image image = {0};
	struct cut *cut;

	assert_int_equal(ledger_load_service(ledger, "n", KIND_HANDLER, "s", &none, "",
				 &(struct epoch){3, 3, false}, 1),
		0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(ledger_load_series(ledger, "n", KIND_HANDLER, "s",
					 sample_name(i), &(struct mark){.epoch = i}),
			0);
	assert_int_equal(n_series(ledger), 1);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->n_services, 1);
	assert_true(cut->services[0].drops_void);
	image_commit(&image, cut);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

/* The same values with and without sweeping: each step of a random history. */
TEST(sweeping_changes_no_sum)
{
	struct ledger *swept = bounded(1000, UINT64_MAX), *plain;
	struct image image = {0};
	unsigned random = 1;

	plain = bounded(1000, UINT64_MAX);
	for (unsigned i = 0; i < 20000; i++) {
		struct event event = event_of(KIND_HANDLER, "s", "");
		static const char *const states[] = {
			"running", "ready", "closed", "failed"};

		random = random * 1103515245 + 12345;
		event.client = sample_name(random >> 20 & 7);
		event.counters.input_bytes = random >> 16 & 1023;
		if ((random >> 24 & 15) == 0) {
			say(swept, "n", states[random >> 28 & 3]);
			say(plain, "n", states[random >> 28 & 3]);
		} else {
			(void)take_one(swept, "n", COUNTERS_CUMULATIVE, event);
			(void)take_one(plain, "n", COUNTERS_CUMULATIVE, event);
		}
		if ((random >> 8 & 63) == 0) {
			/* Killed behind a checkpoint: only what is there comes back. */
			image_flush(&image, swept);
			ledger_free(swept);
			swept = bounded(1000, UINT64_MAX);
			assert_int_equal(image_load(&image, swept), 0);
		}
		for (unsigned u = 0; u < 8; u++) {
			const struct user *a = ledger_find_user(swept, sample_name(u));
			const struct user *b = ledger_find_user(plain, sample_name(u));

			assert_int_equal(a != NULL, b != NULL);
			if (a != NULL)
				assert_int_equal(a->total.used, b->total.used);
		}
	}
	ledger_free(swept);
	ledger_free(plain);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#ifndef __SANITIZE_ADDRESS__
		cmocka_unit_test(a_row_is_taken_for_as_many_bytes_as_malloc_needs_for_it),
#endif
		cmocka_unit_test(what_was_only_prepared_gives_its_room_back_at_once),
		cmocka_unit_test(short_memory_at_any_call_leaves_the_bounds_as_they_were),
		cmocka_unit_test(
			series_beyond_the_bound_in_bytes_are_rejected_and_known_ones_go_on),
		cmocka_unit_test(one_report_ends_at_the_bound_as_many_do),
		cmocka_unit_test(a_node_leaves_a_quarter_of_the_memory_to_others),
		cmocka_unit_test(
			who_reports_under_many_names_has_no_more_room_than_under_one),
		cmocka_unit_test(
			a_name_that_becomes_a_node_takes_what_it_has_with_it_and_back),
		cmocka_unit_test(
			a_name_tells_how_many_services_it_has_and_when_one_of_them_came_last),
		cmocka_unit_test(
			of_users_one_alone_may_have_all_and_beside_others_three_quarters),
		cmocka_unit_test(
			that_a_share_is_nearly_used_is_told_once_and_again_after_there_was_room),
		cmocka_unit_test(where_a_share_is_used_each_stream_keeps_one_open_report),
		cmocka_unit_test(
			series_of_an_earlier_epoch_give_way_and_live_marks_never_do),
		cmocka_unit_test(what_forgotten_marks_took_is_free_again),
		cmocka_unit_test(no_turn_frees_more_than_a_slice_and_each_frees_some),
		cmocka_unit_test(series_that_a_cut_holds_wait_for_its_end),
		cmocka_unit_test(a_cut_drops_what_the_epoch_made_void_and_nothing_newer),
		cmocka_unit_test(
			void_series_in_a_database_are_not_loaded_and_dropped_with_the_next_cut),
		cmocka_unit_test(sweeping_changes_no_sum),
	};

	return RUN_TESTS(tests);
}
