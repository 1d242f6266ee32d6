/*
 * Cumulative counters through a ledger: prepared, measured, applied, as the pipeline does
 * it. A story is a row of values and states, one report each, and what the user has in
 * the end.
 */
#include "lib/test.h"
#include "account/ledger.h"
#include "journal/record.h"
#include "lib/faults.h"
#include "lib/image.h"
#include "lib/sample.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = ledger_new(1000, false);

	assert_non_null(ledger);
	return ledger;
}

/* Cumulative counters of a handler's client in service "s". */
static struct booking value(
	const char *client, uint64_t input, uint64_t output, uint64_t conns)
{
	struct booking booking = sample_traffic("s", client, input, output);

	booking.counters.total_conns = conns;
	booking.has_mark = true;
	return booking;
}

static struct booking service_value(uint64_t input, uint64_t output, uint64_t conns)
{
	struct booking booking = value("", input, output, conns);

	booking.kind = KIND_SERVICE;
	return booking;
}

static struct booking state_of(const char *service, const char *state)
{
	return (struct booking){
		.kind = KIND_SERVICE, .service = service, .client = "", .state = state};
}

static struct bookings bookings_of(struct booking *list, size_t n)
{
	struct bookings bookings = {list, n, 0};

	for (size_t i = 0; i < n; i++)
		bookings.n_stats += list[i].state[0] == '\0';
	return bookings;
}

/* Prepares and measures; what is not applied can be forgotten. */
static void measure(
	struct ledger *ledger, const char *node, struct booking *list, size_t n)
{
	struct bookings bookings = bookings_of(list, n);

	assert_int_equal(ledger_prepare(ledger, node, &bookings), 0);
	ledger_measure(ledger, &bookings);
}

static void apply(struct ledger *ledger, struct booking *list, size_t n)
{
	struct bookings bookings = bookings_of(list, n);

	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = ledger_seq(ledger) + 1,
			.conn = ledger_seq(ledger) + 1,
			.time_ms = 1000});
}

static void accept(struct ledger *ledger, const char *node, struct booking booking)
{
	measure(ledger, node, &booking, 1);
	apply(ledger, &booking, 1);
}

static void accept_state(struct ledger *ledger, const char *state)
{
	accept(ledger, "n", state_of("s", state));
}

static struct totals total_of(const struct ledger *ledger, const char *id)
{
	const struct user *user = ledger_find_user(ledger, id);

	return user != NULL ? user->total : (struct totals){0};
}

static void assert_totals(
	const struct ledger *ledger, const char *id, uint64_t input, uint64_t output)
{
	struct totals total = total_of(ledger, id);

	assert_int_equal(total.input, input);
	assert_int_equal(total.output, output);
	assert_int_equal(total.used, input + output);
}

static struct ledger_stats stats_of(const struct ledger *ledger)
{
	struct ledger_stats stats;

	ledger_get_stats(ledger, &stats);
	return stats;
}

TEST(a_series_adds_what_it_has_grown_by_and_in_full_after_a_restart)
{
	static const struct {
		uint64_t value, sum;
	} rows[] = {{100, 100}, {105, 105}, {120, 120}, {100, 220}, {110, 230}};
	struct ledger *ledger = new_ledger();

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		accept(ledger, "n", value("u", rows[i].value, 0, 1));
		AT_ROW(i, total_of(ledger, "u").used == rows[i].sum);
	}
	assert_int_equal(stats_of(ledger).series, 1);
	ledger_free(ledger);
}

TEST(one_counter_below_its_mark_tells_of_a_restart)
{
	static const struct {
		uint64_t input, output, conns, in_sum, out_sum;
	} rows[] = {
		{100, 200, 5, 100, 200}, /* the same again adds nothing */
		{101, 203, 6, 101, 203},
		{99, 200, 5, 199, 400},  /* input */
		{100, 199, 5, 200, 399}, /* output */
		{100, 200, 4, 200, 400}, /* connections */
		{150, 250, 0, 250, 450}, /* connections alone */
		{0, 0, 0, 100, 200},
		{COUNTER_MAX, COUNTER_MAX, COUNTER_MAX, COUNTER_MAX, COUNTER_MAX},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct ledger *ledger = new_ledger();

		accept(ledger, "n", value("u", 100, 200, 5));
		accept(ledger, "n",
			value("u", rows[i].input, rows[i].output, rows[i].conns));
		AT_ROW(i, total_of(ledger, "u").input == rows[i].in_sum);
		AT_ROW(i, total_of(ledger, "u").output == rows[i].out_sum);
		/* Either way, that is the mark now. */
		accept(ledger, "n",
			value("u", rows[i].input, rows[i].output, rows[i].conns));
		AT_ROW(i, total_of(ledger, "u").input == rows[i].in_sum);
		ledger_free(ledger);
	}
}

#define UNKNOWN UINT64_MAX

static struct booking value_or_unknown(uint64_t input, uint64_t conns)
{
	struct booking booking = value("u", input, input, conns);

	booking.lacks_conns = conns == UNKNOWN;
	if (booking.lacks_conns)
		booking.counters.total_conns = 0;
	return booking;
}

/* Of each step, its bytes and connections, and what the user has then. */
TEST(connections_that_cannot_be_right_make_no_restart_and_hide_none)
{
	static const struct {
		struct {
			uint64_t input, conns, total;
		} steps[4];
	} rows[] = {
		{{{100, 5, 100}, {150, UNKNOWN, 150}, {160, 5, 160}, {170, 6, 170}}},
		{{{100, 5, 100}, {100, UNKNOWN, 100}, {100, UNKNOWN, 100},
			{100, 5, 100}}},
		/* the connections alone tell of it, behind the one that does not say */
		{{{100, 5, 100}, {150, UNKNOWN, 150}, {160, 4, 310}, {170, 4, 320}}},
		/* the bytes tell of it, and then the connections begin anew as well */
		{{{100, 5, 100}, {40, UNKNOWN, 140}, {50, 1, 150}, {60, 2, 160}}},
		{{{100, UNKNOWN, 100}, {150, 1, 150}, {160, UNKNOWN, 160},
			{170, 0, 330}}},
		{{{100, UNKNOWN, 100}, {50, UNKNOWN, 150}, {60, UNKNOWN, 160},
			{70, UNKNOWN, 170}}},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct ledger *ledger = new_ledger();

		for (size_t j = 0; j < COUNT_OF(rows[i].steps); j++) {
			accept(ledger, "n",
				value_or_unknown(
					rows[i].steps[j].input, rows[i].steps[j].conns));
			if (total_of(ledger, "u").input != rows[i].steps[j].total)
				fail_msg("row %zu, step %zu: %llu", i, j,
					(unsigned long long)total_of(ledger, "u").input);
		}
		ledger_free(ledger);
	}
}

TEST(gauges_and_errors_tell_nothing_of_a_restart)
{
	struct ledger *ledger = new_ledger();
	struct booking booking = value("u", 10, 10, 1);

	booking.counters.current_conns = 9;
	booking.counters.total_errs = 9;
	accept(ledger, "n", booking);
	accept(ledger, "n", value("u", 11, 12, 1));
	assert_totals(ledger, "u", 11, 12);
	ledger_free(ledger);
}

/* Both as they come: the value; the same value once more adds nothing to its series. */
TEST(series_are_told_apart_by_node_kind_service_and_client)
{
	struct ledger *ledger = new_ledger();
	struct {
		const char *node;
		struct booking booking;
	} rows[] = {
		{"n", value("u", 1, 0, 0)},
		{"m", value("u", 2, 0, 0)},
		{"n", value("v", 4, 0, 0)},
		{"n", value("", 8, 0, 0)},
		{"n", service_value(16, 0, 0)},
		{"n", value("u", 32, 0, 0)},
	};
	struct image image = {0};

	rows[5].booking.service = "t";
	for (int round = 0; round < 2; round++)
		for (size_t i = 0; i < COUNT_OF(rows); i++)
			accept(ledger, rows[i].node, rows[i].booking);
	assert_int_equal(stats_of(ledger).series, COUNT_OF(rows));
	assert_totals(ledger, "u", 1 + 2 + 32, 0);
	assert_totals(ledger, "v", 4, 0);
	image_flush(&image, ledger);
	assert_int_equal(image.n_series, COUNT_OF(rows));
	/* A service's own events and a handler's without a client never mix. */
	assert_int_equal(image_service(&image, "n", KIND_HANDLER, "s")->last.input_bytes,
		1 + 4 + 8);
	assert_int_equal(
		image_service(&image, "n", KIND_SERVICE, "s")->last.input_bytes, 16);
	assert_int_equal(stats_of(ledger).users, 2);
	ledger_free(ledger);
}

TEST(delta_counters_have_no_series)
{
	struct ledger *ledger = new_ledger();
	struct booking booking = sample_traffic("s", "u", 5, 0);

	accept(ledger, "n", booking);
	accept(ledger, "n", booking);
	assert_totals(ledger, "u", 10, 0);
	assert_int_equal(stats_of(ledger).series, 0);
	assert_false(ledger_has_series(ledger, "n", KIND_HANDLER, "s", "u"));
	/* The sender's mode was changed: its first cumulative value counts in full. */
	accept(ledger, "n", value("u", 7, 0, 0));
	assert_totals(ledger, "u", 17, 0);
	ledger_free(ledger);
}

TEST(a_series_that_comes_twice_in_a_report_advances_event_by_event)
{
	struct ledger *ledger = new_ledger();
	struct booking list[] = {value("u", 100, 0, 1), value("v", 7, 0, 1),
		value("u", 130, 0, 1), value("u", 20, 0, 1), value("u", 25, 0, 1)};

	measure(ledger, "n", list, COUNT_OF(list));
	assert_int_equal(list[0].counters.input_bytes, 100);
	assert_int_equal(list[1].counters.input_bytes, 7);
	assert_int_equal(list[2].counters.input_bytes, 30);
	assert_int_equal(list[3].counters.input_bytes, 20);
	assert_int_equal(list[4].counters.input_bytes, 5);
	assert_int_equal(list[2].mark.input_bytes, 130);
	assert_int_equal(list[4].mark.input_bytes, 25);
	apply(ledger, list, COUNT_OF(list));
	assert_totals(ledger, "u", 155, 0);
	assert_int_equal(stats_of(ledger).series, 2);
	accept(ledger, "n", value("u", 26, 0, 1));
	assert_totals(ledger, "u", 156, 0);
	ledger_free(ledger);
}

TEST(running_and_then_ready_begin_an_epoch)
{
	static const struct {
		const char *states[8];
		unsigned n_begun;
		bool is_starting;
	} rows[] = {
		{{NULL}, 0, false},
		{{"ready"}, 0, false}, /* a listener that recovered */
		{{"running"}, 0, true},
		{{"running", "ready"}, 1, false},
		{{"running", "ready", "ready"}, 1, false},
		{{"running", "closed", "ready"}, 1, false}, /* a reload */
		{{"closed", "running", "ready"}, 1, false},
		{{"closed", "ready"}, 0, false},
		{{"running", "failed", "ready"}, 0, false},
		{{"failed", "ready"}, 0, false},
		{{"running", "running", "ready"}, 1, false},
		{{"running", "ready", "running", "ready"}, 2, false},
		{{"running", "ready", "running"}, 1, true},
		{{"running", "something", "ready"}, 0, false},
		{{"RUNNING", "ready"}, 0, false},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct epoch epoch = {0};
		unsigned n_begun = 0;

		for (const char *const *at = rows[i].states; *at != NULL; at++)
			n_begun += epoch_enter(&epoch, *at);
		AT_ROW(i, n_begun == rows[i].n_begun);
		AT_ROW(i, epoch.number >= rows[i].n_begun && epoch.last >= epoch.number);
		AT_ROW(i, (epoch.number > 0) == (rows[i].n_begun > 0));
		AT_ROW(i, epoch.is_starting == rows[i].is_starting);
	}
}

/* A value of user "u", or a state of its service; NULL and 0 end the story. */
struct step {
	const char *state;
	uint64_t value;
};

static const struct {
	struct step steps[10];
	uint64_t sum;
} stories[] = {
	{{{0, 100}, {"running", 0}, {"ready", 0}, {0, 150}}, 250},
	{{{0, 100}, {"running", 0}, {"ready", 0}, {0, 50}, {0, 60}}, 160},
	{{{0, 100}, {"running", 0}, {"closed", 0}, {"ready", 0}, {0, 150}}, 250},
	{{{0, 100}, {"ready", 0}, {0, 150}}, 150},
	{{{0, 100}, {"failed", 0}, {"ready", 0}, {0, 150}}, 150},
	{{{0, 100}, {"running", 0}, {"failed", 0}, {"ready", 0}, {0, 150}}, 150},
	{{{0, 100}, {"running", 0}, {0, 150}}, 150},
	/* The old handler's last report comes before `ready`. */
	{{{0, 100}, {"running", 0}, {0, 110}, {"ready", 0}, {0, 120}}, 230},
	/* The new one's first does, and is of the coming epoch already. */
	{{{0, 100}, {"running", 0}, {0, 30}, {"ready", 0}, {0, 40}}, 140},
	{{{0, 100}, {"running", 0}, {0, 30}, {"ready", 0}, {0, 40}, {"running", 0},
		 {"ready", 0}, {0, 45}},
		185},
	/* Nobody was known before: what comes is taken for the old one's. */
	{{{"running", 0}, {0, 30}, {"ready", 0}, {0, 40}}, 70},
	{{{"running", 0}, {"ready", 0}, {0, 30}, {0, 40}}, 40},
	/* An epoch without a report in it. */
	{{{0, 100}, {"running", 0}, {"ready", 0}, {"running", 0}, {"ready", 0}, {0, 150}},
		250},
	{{{0, 100}, {"running", 0}, {"ready", 0}, {"running", 0}, {0, 150}, {"ready", 0},
		 {0, 160}},
		410},
	/* A start whose `ready` never came hides no later one. */
	{{{0, 100}, {"running", 0}, {0, 10}, {"running", 0}, {"ready", 0}, {0, 50}}, 160},
	{{{0, 100}, {"running", 0}, {0, 10}, {"failed", 0}, {"ready", 0}, {0, 20},
		 {"running", 0}, {"ready", 0}, {0, 50}},
		170},
	{{{0, 100}, {"running", 0}, {"running", 0}, {0, 110}, {"ready", 0}, {0, 120}},
		230},
	/* `ready` again does not begin another. */
	{{{0, 100}, {"running", 0}, {"ready", 0}, {0, 150}, {"ready", 0}, {0, 160}}, 260},
};

static size_t n_steps(const struct step *steps)
{
	size_t n = 0;

	while (steps[n].state != NULL || steps[n].value != 0)
		n++;
	return n;
}

static struct booking step_booking(const struct step *step, enum event_kind state_kind)
{
	struct booking booking = step->state != NULL ? state_of("s", step->state)
						     : value("u", step->value, 0, 1);

	if (step->state != NULL)
		booking.kind = state_kind;
	return booking;
}

TEST(a_state_of_either_kind_is_one_of_the_service)
{
	for (int kind = KIND_HANDLER; kind <= KIND_SERVICE; kind++)
		for (size_t i = 0; i < COUNT_OF(stories); i++) {
			const struct step *steps = stories[i].steps;
			struct ledger *ledger = new_ledger();

			for (size_t j = 0; j < n_steps(steps); j++)
				accept(ledger, "n",
					step_booking(&steps[j], (enum event_kind)kind));
			AT_ROW(i, total_of(ledger, "u").used == stories[i].sum);
			ledger_free(ledger);
		}
}

TEST(states_and_values_in_one_report_count_in_their_order)
{
	for (size_t i = 0; i < COUNT_OF(stories); i++) {
		const struct step *steps = stories[i].steps;
		struct ledger *ledger = new_ledger();
		struct booking list[10];
		size_t n = n_steps(steps);

		for (size_t j = 0; j < n; j++)
			list[j] = step_booking(&steps[j], KIND_SERVICE);
		measure(ledger, "n", list, n);
		apply(ledger, list, n);
		AT_ROW(i, total_of(ledger, "u").used == stories[i].sum);
		ledger_free(ledger);
	}
}

/* Whatever was said before the cut is remembered behind it. */
TEST(a_restart_of_ours_at_any_point_changes_no_sum)
{
	for (size_t i = 0; i < COUNT_OF(stories); i++)
		for (size_t cut_at = 0; cut_at <= n_steps(stories[i].steps); cut_at++) {
			const struct step *steps = stories[i].steps;
			struct ledger *ledger = new_ledger();
			struct image image = {0};

			for (size_t j = 0; j < n_steps(steps); j++) {
				if (j == cut_at) {
					image_flush(&image, ledger);
					ledger_free(ledger);
					ledger = new_ledger();
					assert_int_equal(image_load(&image, ledger), 0);
					assert_false(ledger_is_dirty(ledger));
				}
				accept(ledger, "n",
					step_booking(&steps[j], KIND_SERVICE));
			}
			AT_ROW(i, total_of(ledger, "u").used == stories[i].sum);
			ledger_free(ledger);
		}
}

/* What the journal says of a report, applied to another ledger. */
static void fold_into(struct ledger *ledger, struct booking *list, size_t n, uint64_t seq)
{
	struct record record = {.origin = {.seq = seq, .conn = seq, .time_ms = 1000},
		.node = "n",
		.bookings = bookings_of(list, n)};
	struct record back;
	struct buf buf = {0};

	record_encode(&record, &buf);
	assert_true(buf_ok(&buf));
	assert_int_equal(record_decode(buf.data, buf.len, &back), 0);
	assert_int_equal(ledger_prepare(ledger, "n", &back.bookings), 0);
	ledger_apply(ledger, &back.bookings, &back.origin);
	record_done(&back);
	buf_done(&buf);
}

TEST(a_fold_of_the_journal_at_any_point_changes_no_sum)
{
	for (size_t i = 0; i < COUNT_OF(stories); i++)
		for (size_t dies_at = 0; dies_at <= n_steps(stories[i].steps);
			dies_at++) {
			const struct step *steps = stories[i].steps;
			struct ledger *ledger = new_ledger(), *folded = new_ledger();

			for (size_t j = 0; j < n_steps(steps); j++) {
				struct booking booking =
					step_booking(&steps[j], KIND_SERVICE);

				if (j == dies_at) {
					ledger_free(ledger);
					ledger = folded;
				}
				measure(ledger, "n", &booking, 1);
				if (ledger != folded)
					fold_into(folded, &booking, 1, j + 1);
				apply(ledger, &booking, 1);
			}
			AT_ROW(i, total_of(ledger, "u").used == stories[i].sum);
			if (ledger != folded)
				ledger_free(ledger);
			ledger_free(folded);
		}
}

TEST(an_epoch_is_that_of_all_series_of_both_kinds_and_of_no_other_service)
{
	struct ledger *ledger = new_ledger();
	struct booking other = value("w", 50, 0, 1);
	struct image image = {0};

	other.service = "t";
	for (int round = 0; round < 2; round++) {
		accept(ledger, "n", value("u", 10, 0, 1));
		accept(ledger, "n", value("v", 20, 0, 1));
		accept(ledger, "n", service_value(40, 0, 1));
		accept(ledger, "n", other);
		accept(ledger, "m", value("x", 70, 0, 1));
		accept_state(ledger, "running");
		accept_state(ledger, "ready");
	}
	assert_totals(ledger, "u", 20, 0);
	assert_totals(ledger, "v", 40, 0);
	assert_totals(ledger, "w", 50, 0);
	assert_totals(ledger, "x", 70, 0);
	image_flush(&image, ledger);
	assert_int_equal(
		image_service(&image, "n", KIND_SERVICE, "s")->last.input_bytes, 80);
	assert_int_equal(image_service(&image, "n", KIND_SERVICE, "s")->epoch.number, 2);
	assert_int_equal(image_service(&image, "n", KIND_HANDLER, "s")->epoch.number, 2);
	assert_int_equal(image_service(&image, "n", KIND_HANDLER, "t")->epoch.number, 0);
	assert_int_equal(image_service(&image, "m", KIND_HANDLER, "s")->epoch.number, 0);
	assert_string_equal(
		image_service(&image, "n", KIND_SERVICE, "s")->state, "ready");
	assert_string_equal(image_service(&image, "n", KIND_HANDLER, "s")->state, "");
	ledger_free(ledger);
}

static void assert_same_epoch(
	struct ledger *ledger, struct image *image, uint64_t number, bool is_starting)
{
	image_flush(image, ledger);
	for (int kind = KIND_HANDLER; kind <= KIND_SERVICE; kind++) {
		const struct image_service *service =
			image_service(image, "n", (enum event_kind)kind, "s");

		assert_non_null(service);
		assert_int_equal(service->epoch.number, number);
		assert_int_equal(service->epoch.is_starting, is_starting);
	}
}

TEST(a_kind_that_comes_later_joins_the_epoch_of_the_other)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};

	accept_state(ledger, "running");
	accept_state(ledger, "ready");
	accept_state(ledger, "running");
	accept(ledger, "n", value("u", 10, 0, 1));
	assert_same_epoch(ledger, &image, 1, true);
	accept_state(ledger, "ready");
	accept(ledger, "n", value("u", 15, 0, 1));
	assert_totals(ledger, "u", 25, 0);
	assert_same_epoch(ledger, &image, 2, false);
	ledger_free(ledger);
}

TEST(a_kind_that_comes_with_the_announcement_itself_is_of_the_same_epoch)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};
	struct booking list[] = {
		state_of("s", "running"), state_of("s", "ready"), value("u", 10, 0, 1)};

	measure(ledger, "n", list, COUNT_OF(list));
	assert_int_equal(list[2].mark.epoch, 1);
	apply(ledger, list, COUNT_OF(list));
	assert_same_epoch(ledger, &image, 1, false);
	accept_state(ledger, "running");
	accept_state(ledger, "ready");
	accept(ledger, "n", value("u", 15, 0, 1));
	assert_totals(ledger, "u", 25, 0);
	ledger_free(ledger);
}

TEST(what_is_only_measured_leaves_no_trace)
{
	struct ledger *ledger = new_ledger();
	struct booking list[4];
	struct bookings bookings = {list, COUNT_OF(list), COUNT_OF(list)};

	accept(ledger, "n", value("u", 100, 0, 1));
	for (int round = 0; round < 3; round++) {
		list[0] = value("u", 130, 0, 1);
		list[1] = state_of("s", "running");
		list[2] = state_of("s", "ready");
		list[3] = value("u", 140, 0, 1);
		measure(ledger, "n", list, COUNT_OF(list));
		assert_int_equal(list[0].counters.input_bytes, 30);
		assert_int_equal(list[3].counters.input_bytes, 140);
		assert_int_equal(list[3].mark.epoch, 1);
		ledger_forget_prepared(ledger, "n", &bookings);
		assert_null(list[0].in_series);
	}
	assert_totals(ledger, "u", 100, 0);
	accept(ledger, "n", value("u", 150, 0, 1));
	assert_totals(ledger, "u", 150, 0);
	ledger_free(ledger);
}

TEST(a_series_or_a_service_that_was_only_prepared_is_forgotten)
{
	struct ledger *ledger = new_ledger();
	struct booking list[] = {value("new", 5, 0, 1), value("new", 6, 0, 1),
		service_value(7, 0, 1), state_of("s", "running")};
	struct bookings bookings = {list, COUNT_OF(list), COUNT_OF(list)};

	accept(ledger, "n", value("u", 100, 0, 1));
	measure(ledger, "n", list, COUNT_OF(list));
	assert_int_equal(stats_of(ledger).series, 1);
	ledger_forget_prepared(ledger, "n", &bookings);
	assert_false(ledger_has_series(ledger, "n", KIND_HANDLER, "s", "new"));
	assert_false(ledger_has_service(ledger, "n", KIND_SERVICE, "s"));
	assert_true(ledger_has_series(ledger, "n", KIND_HANDLER, "s", "u"));
	/* The handler does not remember a partner that is gone. */
	accept_state(ledger, "running");
	accept_state(ledger, "ready");
	accept(ledger, "n", value("u", 150, 0, 1));
	assert_totals(ledger, "u", 250, 0);
	ledger_free(ledger);
}

TEST(a_cut_takes_each_mark_once_as_it_is_then)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	accept(ledger, "n", value("u", 100, 1, 3));
	accept(ledger, "n", value("u", 110, 2, 4));
	cut = ledger_cut(ledger);
	assert_int_equal(cut->series.n, 1);
	assert_string_equal(cut_series(cut, 0)->series->client, "u");
	assert_string_equal(cut_series(cut, 0)->series->service->name, "s");
	accept(ledger, "n", value("u", 120, 3, 5));
	assert_memory_equal(&cut_series(cut, 0)->mark, (&(struct mark){110, 2, 4, 0}),
		sizeof(struct mark));
	ledger_cut_committed(ledger, cut);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->series.n, 1);
	assert_int_equal(cut_series(cut, 0)->mark.input_bytes, 120);
	assert_int_equal(cut_user(cut, 0)->increment.used, 11);
	ledger_cut_committed(ledger, cut);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->series.n, 0);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(marks_and_epochs_that_come_while_a_cut_is_out_go_with_the_next_one)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};
	struct cut *cut;

	accept(ledger, "n", value("u", 100, 0, 1));
	accept_state(ledger, "running");
	accept_state(ledger, "ready");
	accept(ledger, "n", value("v", 7, 0, 1));
	cut = ledger_cut(ledger);
	assert_int_equal(cut->series.n, 2);
	assert_null(cut_series(cut, 0)->series); /* its mark is void */
	assert_string_equal(cut_series(cut, 1)->series->client, "v");
	accept(ledger, "n", value("u", 30, 0, 1));
	image_commit(&image, cut);
	ledger_cut_committed(ledger, cut);
	assert_int_equal(image.n_series, 1);
	image_flush(&image, ledger);
	assert_int_equal(image.n_series, 2);
	ledger_free(ledger);
	ledger = new_ledger();
	assert_int_equal(image_load(&image, ledger), 0);
	assert_int_equal(stats_of(ledger).series, 2);
	assert_totals(ledger, "u", 130, 0);
	accept(ledger, "n", value("u", 31, 0, 1));
	accept(ledger, "n", value("v", 8, 0, 1));
	assert_totals(ledger, "u", 131, 0);
	assert_totals(ledger, "v", 8, 0);
	ledger_free(ledger);
}

/* The epoch of a kind to which nothing was booked changes, too, and has to be written. */
TEST(the_epoch_of_the_other_kind_is_in_the_next_cut)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};

	accept(ledger, "n", value("u", 10, 0, 1));
	image_flush(&image, ledger);
	accept_state(ledger, "running");
	image_flush(&image, ledger);
	assert_true(image_service(&image, "n", KIND_HANDLER, "s")->epoch.is_starting);
	accept_state(ledger, "ready");
	image_flush(&image, ledger);
	assert_int_equal(image_service(&image, "n", KIND_HANDLER, "s")->epoch.number, 1);
	assert_false(image_service(&image, "n", KIND_HANDLER, "s")->epoch.is_starting);
	ledger_free(ledger);
}

static void book(const struct ledger *ledger, enum counter_mode mode,
	struct event *events, size_t n, struct report *report, struct bookings *bookings)
{
	*report = (struct report){.events = events, .n_events = n};
	assert_int_equal(account_book(ledger, "n", mode, report, bookings), 0);
}

static void end_book(struct report *report, struct bookings *bookings)
{
	bookings_done(bookings);
	report->events = NULL; /* the test's own */
	report_done(report);
}

TEST(of_a_cumulative_report_stats_have_a_mark_and_states_have_none)
{
	struct ledger *ledger = new_ledger();
	struct event events[] = {
		{.service = "s",
			.client = "u",
			.state = "",
			.counters = {.input_bytes = 5}},
		{.type = EVENT_STATUS, .service = "s", .client = "", .state = "ready"},
		{.kind = KIND_SERVICE, .service = "s", .client = "", .state = ""},
	};
	struct report report;
	struct bookings bookings;

	for (int mode = COUNTERS_DELTA; mode <= COUNTERS_CUMULATIVE; mode++) {
		book(ledger, (enum counter_mode)mode, events, COUNT_OF(events), &report,
			&bookings);
		assert_int_equal(bookings.list[0].has_mark, mode == COUNTERS_CUMULATIVE);
		assert_false(bookings.list[1].has_mark);
		assert_int_equal(bookings.list[2].has_mark, mode == COUNTERS_CUMULATIVE);
		assert_int_equal(bookings.list[0].counters.input_bytes, 5);
		end_book(&report, &bookings);
	}
	ledger_free(ledger);
}

TEST(short_memory_while_preparing_series_leaves_none_behind)
{
	struct ledger *ledger = new_ledger();
	unsigned n = 1;

	accept(ledger, "n", value("u", 1, 0, 0)); /* the tables are there */
	for (;; n++) {
		struct booking list[] = {value("u", 2, 0, 0), value("v", 2, 0, 0),
			state_of("s", "running")};
		struct bookings bookings = {list, COUNT_OF(list), COUNT_OF(list)};
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = ledger_prepare(ledger, "n", &bookings);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		assert_int_equal(stats_of(ledger).series, 1);
		assert_false(ledger_has_service(ledger, "n", KIND_SERVICE, "s"));
		ledger_forget_prepared(ledger, "n", &bookings);
		assert_false(ledger_has_series(ledger, "n", KIND_HANDLER, "s", "v"));
		assert_true(ledger_has_series(ledger, "n", KIND_HANDLER, "s", "u"));
		if (!has_fired)
			break;
	}
	/* The other service, the user and the series each failed once. */
	assert_true(n >= 1 + 3);
	ledger_free(ledger);
}

TEST(short_memory_while_loading_is_told)
{
	struct ledger *ledger = new_ledger();
	struct image image = {0};
	unsigned n = 1;
	int code;

	accept(ledger, "n", value("u", 1, 0, 0));
	accept_state(ledger, "running");
	image_flush(&image, ledger);
	ledger_free(ledger);
	for (code = ERR_NOMEM; code != 0; n++) {
		bool has_fired;

		ledger = new_ledger();
		accept(ledger, "n", value("x", 1, 0, 0)); /* the tables are there */
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = image_load(&image, ledger);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		ledger_free(ledger);
	}
	assert_true(n > 1 + 4); /* user, service, series and open report */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_series_adds_what_it_has_grown_by_and_in_full_after_a_restart),
		cmocka_unit_test(one_counter_below_its_mark_tells_of_a_restart),
		cmocka_unit_test(
			connections_that_cannot_be_right_make_no_restart_and_hide_none),
		cmocka_unit_test(gauges_and_errors_tell_nothing_of_a_restart),
		cmocka_unit_test(series_are_told_apart_by_node_kind_service_and_client),
		cmocka_unit_test(delta_counters_have_no_series),
		cmocka_unit_test(
			a_series_that_comes_twice_in_a_report_advances_event_by_event),
		cmocka_unit_test(running_and_then_ready_begin_an_epoch),
		cmocka_unit_test(a_state_of_either_kind_is_one_of_the_service),
		cmocka_unit_test(states_and_values_in_one_report_count_in_their_order),
		cmocka_unit_test(a_restart_of_ours_at_any_point_changes_no_sum),
		cmocka_unit_test(a_fold_of_the_journal_at_any_point_changes_no_sum),
		cmocka_unit_test(
			an_epoch_is_that_of_all_series_of_both_kinds_and_of_no_other_service),
		cmocka_unit_test(a_kind_that_comes_later_joins_the_epoch_of_the_other),
		cmocka_unit_test(
			a_kind_that_comes_with_the_announcement_itself_is_of_the_same_epoch),
		cmocka_unit_test(what_is_only_measured_leaves_no_trace),
		cmocka_unit_test(
			a_series_or_a_service_that_was_only_prepared_is_forgotten),
		cmocka_unit_test(a_cut_takes_each_mark_once_as_it_is_then),
		cmocka_unit_test(
			marks_and_epochs_that_come_while_a_cut_is_out_go_with_the_next_one),
		cmocka_unit_test(the_epoch_of_the_other_kind_is_in_the_next_cut),
		cmocka_unit_test(
			of_a_cumulative_report_stats_have_a_mark_and_states_have_none),
		cmocka_unit_test(short_memory_while_preparing_series_leaves_none_behind),
		cmocka_unit_test(short_memory_while_loading_is_told),
	};

	return RUN_TESTS(tests);
}
