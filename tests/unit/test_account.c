#include "lib/test.h"
#include "account/ledger.h"
#include "lib/faults.h"
#include "lib/sample.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A report made of events, without its JSON. */
static void book(const struct ledger *ledger, struct event *events, size_t n,
	struct report *report, struct bookings *bookings)
{
	*report = (struct report){.events = events, .n_events = n};
	assert_int_equal(account_book(ledger, "n", COUNTERS_DELTA, report, bookings), 0);
}

static void done(struct report *report, struct bookings *bookings)
{
	bookings_done(bookings);
	report->events = NULL; /* the test's own */
	report_done(report);
}

static struct event traffic(const char *service, const char *client, uint64_t input)
{
	return (struct event){.service = service,
		.client = client,
		.state = "",
		.counters = {.input_bytes = input, .output_bytes = 1, .total_conns = 2}};
}

TEST(an_event_becomes_a_booking_of_its_user_and_service)
{
	struct ledger *ledger = ledger_new(10, true);
	struct event events[] = {
		traffic("s", "a", 5),
		traffic("s", "", 6),
		traffic("t", "a", 7),
		{.type = EVENT_STATUS, .service = "s", .client = "", .state = "ready"},
	};
	struct report report;
	struct bookings bookings;

	book(ledger, events, 4, &report, &bookings);
	assert_int_equal(bookings.n, 4);
	assert_int_equal(bookings.n_stats, 3);
	assert_string_equal(bookings.list[0].client, "a");
	assert_int_equal(bookings.list[0].counters.input_bytes, 5);
	assert_int_equal(bookings.list[0].counters.output_bytes, 1);
	assert_int_equal(bookings.list[0].counters.total_conns, 2);
	assert_string_equal(bookings.list[1].client, "");
	assert_string_equal(bookings.list[2].service, "t");
	assert_string_equal(bookings.list[3].state, "ready");
	assert_int_equal(report.n_rejected, 0);
	done(&report, &bookings);
	ledger_free(ledger);
}

TEST(only_handler_traffic_has_a_user)
{
	struct ledger *ledger = ledger_new(0, true); /* no room for any */
	struct event events[] = {
		{.kind = KIND_SERVICE, .service = "s", .client = "a", .state = ""},
		{.type = EVENT_STATUS, .service = "s", .client = "a", .state = "ready"},
	};
	struct report report;
	struct bookings bookings;

	book(ledger, events, 2, &report, &bookings);
	assert_int_equal(bookings.n, 2);
	assert_false(booking_names_user(&bookings.list[0]));
	assert_false(booking_names_user(&bookings.list[1]));
	done(&report, &bookings);
	ledger_free(ledger);
}

TEST(a_report_changes_nothing_in_the_ledger)
{
	struct ledger *ledger = ledger_new(10, true);
	struct event events[] = {traffic("s", "a", 5)};
	struct ledger_stats stats;
	struct report report;
	struct bookings bookings;

	book(ledger, events, 1, &report, &bookings);
	ledger_get_stats(ledger, &stats);
	assert_int_equal(stats.users, 0);
	assert_int_equal(stats.services, 0);
	assert_null(ledger_find_user(ledger, "a"));
	done(&report, &bookings);
	ledger_free(ledger);
}

TEST(max_users_bounds_new_users_and_counts_each_once)
{
	struct ledger *ledger = ledger_new(3, true);
	struct event events[] = {
		traffic("s", "known", 1),
		traffic("s", "new1", 1),
		traffic("s", "new1", 1),
		traffic("s", "new2", 1),
		traffic("s", "new3", 1),
		traffic("s", "new2", 1),
		traffic("s", "known", 1),
		traffic("s", "", 1),
		traffic("s", "new3", 1),
	};
	struct report report;
	struct bookings bookings;
	struct ledger_stats stats;

	sample_book(ledger, "known", 1, 1);
	book(ledger, events, COUNT_OF(events), &report, &bookings);
	assert_int_equal(bookings.n, 7);
	assert_int_equal(bookings.n_stats, 7);
	assert_int_equal(report.n_rejected, 2);
	assert_string_equal(report.rejects[0].reason, "max_users is reached");
	assert_string_equal(report.rejects[0].event, "new3");
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = 2, .conn = 2, .time_ms = 1000});
	ledger_get_stats(ledger, &stats);
	assert_int_equal(stats.users, 3);
	done(&report, &bookings);
	ledger_free(ledger);
}

TEST(users_that_were_only_prepared_take_no_room)
{
	struct ledger *ledger = ledger_new(1, true);
	struct event events[2][1] = {{traffic("s", "a", 1)}, {traffic("s", "b", 1)}};

	for (int i = 0; i < 2; i++) {
		struct report report;
		struct bookings bookings;

		book(ledger, events[i], 1, &report, &bookings);
		assert_int_equal(bookings.n, 1);
		assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
		ledger_forget_prepared(
			ledger, "n", &bookings); /* the journal refused it */
		done(&report, &bookings);
	}
	ledger_free(ledger);
}

/* In slices of `n` events, each prepared before the next is booked. */
static void book_in_slices(struct ledger *ledger, size_t n, struct report *report,
	struct bookings *ret_bookings)
{
	struct bookings bookings = {0};
	struct prepared prepared = {0};
	size_t at = 0;

	while (at < report->n_events) {
		assert_int_equal(account_book_some(ledger, "n", COUNTERS_DELTA, report, n,
					 &at, &bookings),
			0);
		assert_int_equal(
			ledger_prepare_more(ledger, "n", &bookings, &prepared), 0);
	}
	assert_int_equal(ledger_prepare_rest(ledger, "n", &bookings, &prepared), 0);
	*ret_bookings = bookings;
}

/* Three users are known; of "other", so that there is more than one share. */
static struct ledger *ledger_with_room_for(size_t n_users)
{
	struct ledger *ledger = ledger_new(3 + n_users, true);
	struct booking booking;
	struct bookings bookings = {&booking, 1, 1};

	for (unsigned i = 0; i < 3; i++) {
		booking = sample_traffic("s", sample_name(i), 1, 1);
		assert_int_equal(ledger_prepare(ledger, "other", &bookings), 0);
		ledger_apply(ledger, &bookings,
			&(struct origin){.seq = i + 1, .conn = 1, .time_ms = 1000});
	}
	return ledger;
}

TEST(booked_in_slices_a_report_comes_to_the_same)
{
	static const char *const clients[] = {
		"u00000", "u00001", "u00002", "a", "b", "c", "d", "e", "f", "g", ""};

	for (unsigned seed = 0; seed < 300; seed++) {
		struct event events[40];
		struct report whole, sliced;
		struct bookings expected, bookings;
		struct ledger *one = ledger_with_room_for(seed % 9);
		struct ledger *other = ledger_with_room_for(seed % 9);
		uint32_t random = seed * 2654435761u + 1;

		for (size_t i = 0; i < COUNT_OF(events); i++) {
			random = random * 1664525u + 1013904223u;
			events[i] = traffic((random >> 16) % 3 != 0 ? "s" : "t",
				clients[(random >> 20) % COUNT_OF(clients)], i);
		}
		book(one, events, COUNT_OF(events), &whole, &expected);
		assert_int_equal(ledger_prepare(one, "n", &expected), 0);
		sliced = (struct report){.events = events, .n_events = COUNT_OF(events)};
		book_in_slices(other, 1 + seed % 7, &sliced, &bookings);
		AT_ROW(seed, bookings.n == expected.n);
		AT_ROW(seed, bookings.n_stats == expected.n_stats);
		AT_ROW(seed, sliced.n_rejected == whole.n_rejected);
		AT_ROW(seed, sliced.bounds_reached == whole.bounds_reached);
		for (size_t i = 0; i < bookings.n; i++)
			AT_ROW(seed,
				bookings.list[i].counters.input_bytes ==
					expected.list[i].counters.input_bytes);
		AT_ROW(seed,
			memcmp(&ledger_bounds(one)->used, &ledger_bounds(other)->used,
				sizeof(struct usage)) == 0);
		ledger_forget_from(other, "n", &bookings, bookings.n / 2);
		ledger_forget_from(other, "n", &bookings, 0);
		ledger_forget_prepared(one, "n", &expected);
		AT_ROW(seed, ledger_bounds(one)->used.of[BOUND_USERS] == 3);
		AT_ROW(seed,
			memcmp(&ledger_bounds(one)->used, &ledger_bounds(other)->used,
				sizeof(struct usage)) == 0);
		done(&whole, &expected);
		done(&sliced, &bookings);
		ledger_free(one);
		ledger_free(other);
	}
}

TEST(services_are_bounded_too_and_known_ones_go_on)
{
	struct ledger *ledger = ledger_new(10, true);
	struct event events[] = {
		traffic("last", "a", 1),
		traffic("one more", "b", 1),
		traffic("last", "", 1),
		traffic("s0", "a", 1),
		{.kind = KIND_SERVICE, .service = "last", .client = "", .state = ""},
	};
	struct counters none = {0};
	struct report report;
	struct bookings bookings;

	for (unsigned i = 0; i + 1 < BOUNDS_MAX_SERVICES; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "s%u", i);
		assert_int_equal(ledger_load_service(ledger, "n", KIND_HANDLER, name,
					 &none, "", &(struct epoch){0}, 1),
			0);
	}
	assert_int_equal(
		ledger_bounds(ledger)->used.of[BOUND_SERVICES], BOUNDS_MAX_SERVICES - 1);
	book(ledger, events, COUNT_OF(events), &report, &bookings);
	assert_int_equal(bookings.n, 3);
	assert_int_equal(report.n_rejected, 2);
	assert_string_equal(report.rejects[0].reason, "there are too many services");
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = 1, .conn = 1, .time_ms = 1000});
	assert_null(ledger_find_user(ledger, "b"));
	assert_int_equal(
		ledger_bounds(ledger)->used.of[BOUND_SERVICES], BOUNDS_MAX_SERVICES);
	done(&report, &bookings);
	ledger_free(ledger);
}

TEST(short_memory_books_nothing)
{
	struct ledger *ledger = ledger_new(10, true);
	struct event events[] = {traffic("s", "a", 5)};
	struct report report = {.events = events, .n_events = 1};

	bool has_fired = true;
	unsigned n = 0;

	ledger_set_bounds(ledger, 4000, UINT64_MAX); /* so near that all is counted */
	while (has_fired) {
		struct bookings bookings = {0};
		int code;

		faults_fail_nth(FAULT_MEMORY, ++n, ENOMEM);
		code = account_book(ledger, "n", COUNTERS_DELTA, &report, &bookings);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		assert_int_equal(bookings.list == NULL, has_fired);
		bookings_done(&bookings);
	}
	/* The list, and of user and service what remembers it, its table and buckets. */
	assert_int_equal(n, 1 + 2 * 3 + 1);
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_becomes_a_booking_of_its_user_and_service),
		cmocka_unit_test(only_handler_traffic_has_a_user),
		cmocka_unit_test(a_report_changes_nothing_in_the_ledger),
		cmocka_unit_test(max_users_bounds_new_users_and_counts_each_once),
		cmocka_unit_test(users_that_were_only_prepared_take_no_room),
		cmocka_unit_test(booked_in_slices_a_report_comes_to_the_same),
		cmocka_unit_test(services_are_bounded_too_and_known_ones_go_on),
		cmocka_unit_test(short_memory_books_nothing),
	};

	return RUN_TESTS(tests);
}
