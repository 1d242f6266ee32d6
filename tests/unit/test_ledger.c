#include "lib/test.h"
#include "account/ledger.h"
#include "lib/faults.h"
#include "lib/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = ledger_new(1000, true);

	assert_non_null(ledger);
	ledger_set_view_up(ledger, true);
	return ledger;
}

static struct ledger_stats stats_of(const struct ledger *ledger)
{
	struct ledger_stats stats;

	ledger_get_stats(ledger, &stats);
	return stats;
}

static void assert_totals(
	struct totals totals, uint64_t used, uint64_t input, uint64_t output)
{
	assert_int_equal(totals.used, used);
	assert_int_equal(totals.input, input);
	assert_int_equal(totals.output, output);
}

static const struct user *find(const struct ledger *ledger, const char *id)
{
	const struct user *user = ledger_find_user(ledger, id);

	assert_non_null(user);
	return user;
}

/* What the next cut has of the user; it is committed. */
static struct totals next_cut_of(struct ledger *ledger, const char *id)
{
	struct cut *cut = ledger_cut(ledger);
	struct totals totals = {0};

	assert_non_null(cut);
	for (size_t i = 0; i < cut->users.n; i++)
		if (strcmp(cut_user(cut, i)->user->id, id) == 0)
			totals = cut_user(cut, i)->increment;
	ledger_cut_committed(ledger, cut);
	return totals;
}

TEST(a_delta_adds_to_input_output_and_their_sum_to_used)
{
	struct ledger *ledger = new_ledger();

	sample_book(ledger, "a", 3, 4);
	sample_book(ledger, "a", 10, 0);
	sample_book(ledger, "b", 0, 1);
	assert_totals(find(ledger, "a")->total, 17, 13, 4);
	assert_totals(find(ledger, "b")->total, 1, 0, 1);
	assert_int_equal(ledger_seq(ledger), 3);
	assert_int_equal(stats_of(ledger).users, 2);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	assert_int_equal(stats_of(ledger).services, 1);
	assert_int_equal(find(ledger, "a")->created_ms, 1000);
	assert_totals(next_cut_of(ledger, "a"), 17, 13, 4);
	ledger_free(ledger);
}

TEST(the_totals_of_a_loaded_user_stay_independent)
{
	struct ledger *ledger = new_ledger();

	assert_int_equal(
		ledger_load_user(ledger, "panel", (struct totals){500, 0, 0}, 0, 0), 0);
	assert_int_equal(stats_of(ledger).dirty_users, 0);
	assert_false(ledger_is_dirty(ledger));
	sample_book(ledger, "panel", 1, 2);
	assert_totals(find(ledger, "panel")->total, 503, 1, 2);
	assert_totals(next_cut_of(ledger, "panel"), 3, 1, 2);
	ledger_free(ledger);
}

TEST(without_a_client_only_the_service_grows)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	sample_book(ledger, "", 5, 6);
	assert_int_equal(stats_of(ledger).users, 0);
	assert_null(ledger_find_user(ledger, ""));
	cut = ledger_cut(ledger);
	assert_int_equal(cut->users.n, 0);
	assert_int_equal(cut->n_services, 1);
	assert_int_equal(cut->services[0].increment.input, 5);
	assert_int_equal(cut->services[0].increment.output, 6);
	assert_int_equal(cut->services[0].last.input_bytes, 5);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

static void apply_one(struct ledger *ledger, const char *node, struct booking booking)
{
	struct bookings bookings = {&booking, 1, 1};

	assert_int_equal(ledger_prepare(ledger, node, &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = ledger_seq(ledger) + 1,
			.conn = ledger_seq(ledger) + 1,
			.time_ms = 2000});
}

TEST(services_are_told_apart_by_node_kind_and_name)
{
	static const struct {
		const char *node;
		enum event_kind kind;
		const char *name;
	} rows[] = {
		{"n", KIND_HANDLER, "s"},
		{"n", KIND_SERVICE, "s"},
		{"m", KIND_HANDLER, "s"},
		{"n", KIND_HANDLER, "t"},
		{"n", KIND_HANDLER, ""},
		{"", KIND_HANDLER, ""},
		{"nh", KIND_HANDLER, "s"},
		{"n", KIND_HANDLER, "hs"},
	};
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct booking booking = sample_traffic(rows[i].name, "", i + 1, 0);

		booking.kind = rows[i].kind;
		AT_ROW(i,
			!ledger_has_service(
				ledger, rows[i].node, rows[i].kind, rows[i].name));
		apply_one(ledger, rows[i].node, booking);
		AT_ROW(i,
			ledger_has_service(
				ledger, rows[i].node, rows[i].kind, rows[i].name));
		AT_ROW(i, stats_of(ledger).services == i + 1);
	}
	cut = ledger_cut(ledger);
	assert_int_equal(cut->n_services, COUNT_OF(rows));
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct cut_service *row = &cut->services[i];

		AT_ROW(i, strcmp(row->service->node, rows[i].node) == 0);
		AT_ROW(i, strcmp(row->service->name, rows[i].name) == 0);
		AT_ROW(i, row->service->kind == rows[i].kind);
		AT_ROW(i, row->increment.input == i + 1);
	}
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(a_status_changes_the_state_and_no_bytes)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	apply_one(ledger, "n", sample_traffic("s", "", 7, 8));
	apply_one(ledger, "n",
		(struct booking){.service = "s", .client = "", .state = "running"});
	apply_one(ledger, "n",
		(struct booking){.service = "s", .client = "", .state = "up"});
	cut = ledger_cut(ledger);
	assert_string_equal(cut->services[0].state, "up");
	assert_int_equal(cut->services[0].increment.input, 7);
	assert_int_equal(cut->services[0].increment.output, 8);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(connections_and_errors_of_a_service_are_those_of_its_last_report)
{
	struct ledger *ledger = new_ledger();
	struct booking booking = sample_traffic("s", "", 1, 0);
	struct cut *cut;

	booking.counters.total_conns = 9;
	booking.counters.current_conns = 5;
	booking.counters.total_errs = 2;
	apply_one(ledger, "n", booking);
	booking.counters.total_conns = 3;
	booking.counters.current_conns = 0;
	apply_one(ledger, "n", booking);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->services[0].last.total_conns, 3);
	assert_int_equal(cut->services[0].last.current_conns, 0);
	assert_int_equal(cut->services[0].last.total_errs, 2);
	assert_int_equal(cut->services[0].last.input_bytes, 2);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

/* As one report. */
static void apply_list(struct ledger *ledger, struct booking *list, size_t n)
{
	struct bookings bookings = {list, n, n};

	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = ledger_seq(ledger) + 1,
			.conn = ledger_seq(ledger) + 1,
			.time_ms = 2000});
}

static struct booking connected(const char *service, const char *client, uint64_t total,
	uint64_t current, uint64_t errors)
{
	struct booking booking = sample_traffic(service, client, 1, 0);

	booking.counters.total_conns = total;
	booking.counters.current_conns = current;
	booking.counters.total_errs = errors;
	return booking;
}

static void assert_shown(struct ledger *ledger, const char *service, enum event_kind kind,
	uint64_t total, uint64_t current, uint64_t errors)
{
	const struct service *at = ledger_next_service(ledger, NULL);

	while (strcmp(at->name, service) != 0 || at->kind != kind)
		at = ledger_next_service(ledger, at);
	assert_int_equal(at->last.total_conns, total);
	assert_int_equal(at->last.current_conns, current);
	assert_int_equal(at->last.total_errs, errors);
}

TEST(connections_and_errors_of_a_service_are_sums_over_the_clients_of_the_report)
{
	struct ledger *ledger = new_ledger();
	struct booking list[] = {connected("s", "a", 10, 3, 1),
		connected("t", "a", 100, 50, 7), connected("s", "b", 20, 5, 2),
		connected("s", "", 400, 40, 4)};

	list[3].kind = KIND_SERVICE;
	for (unsigned again = 0; again < 2; again++) { /* a report adds to no other */
		apply_list(ledger, list, COUNT_OF(list));
		assert_shown(ledger, "s", KIND_HANDLER, 30, 8, 3);
		assert_shown(ledger, "t", KIND_HANDLER, 100, 50, 7);
		assert_shown(ledger, "s", KIND_SERVICE, 400, 40, 4);
	}
	apply_list(ledger, list, 1); /* b has not changed, so it is not in it */
	assert_shown(ledger, "s", KIND_HANDLER, 10, 3, 1);
	assert_shown(ledger, "t", KIND_HANDLER, 100, 50, 7);
	ledger_free(ledger);
}

TEST(a_state_changes_no_connections_and_those_of_an_equal_client_are_added)
{
	struct ledger *ledger = new_ledger();
	struct booking list[] = {connected("s", "a", 10, 3, 1),
		{.service = "s", .client = "", .state = "ready"},
		connected("s", "a", 20, 5, 2)};

	apply_list(ledger, list, COUNT_OF(list));
	assert_shown(ledger, "s", KIND_HANDLER, 30, 8, 3);
	apply_list(ledger, &list[1], 1);
	assert_shown(ledger, "s", KIND_HANDLER, 30, 8, 3);
	ledger_free(ledger);
}

TEST(sums_of_connections_and_errors_stop_at_the_largest_and_are_no_saturated_total)
{
	static struct booking list[1030]; /* 1024 times 2^53 is 2^63 */
	struct ledger *ledger = new_ledger();

	for (size_t i = 0; i < COUNT_OF(list); i++)
		list[i] = connected("s", "a", COUNTER_MAX, COUNTER_MAX, COUNTER_MAX);
	apply_list(ledger, list, COUNT_OF(list));
	assert_shown(ledger, "s", KIND_HANDLER, TOTAL_MAX, TOTAL_MAX, TOTAL_MAX);
	assert_false(stats_of(ledger).has_saturated);
	apply_list(ledger, list, 1);
	assert_shown(ledger, "s", KIND_HANDLER, COUNTER_MAX, COUNTER_MAX, COUNTER_MAX);
	ledger_free(ledger);
}

TEST(totals_saturate_and_only_what_was_added_is_pending_and_unsent)
{
	struct ledger *ledger = new_ledger();
	const struct user *user;

	assert_int_equal(ledger_load_user(ledger, "a",
				 (struct totals){TOTAL_MAX - 5, TOTAL_MAX - 3, 10}, 1, 0),
		0);
	assert_false(stats_of(ledger).has_saturated);
	sample_book(ledger, "a", 4, 4);
	user = find(ledger, "a");
	assert_totals(user->total, TOTAL_MAX, TOTAL_MAX, 14);
	assert_totals(next_cut_of(ledger, "a"), 5, 3, 4);
	assert_totals(user->unsent, 5, 3, 4);
	assert_true(stats_of(ledger).has_saturated);
	sample_book(ledger, "a", COUNTER_MAX, COUNTER_MAX);
	assert_totals(user->total, TOTAL_MAX, TOTAL_MAX, 14 + COUNTER_MAX);
	assert_totals(next_cut_of(ledger, "a"), 0, 0, COUNTER_MAX);
	assert_totals(user->unsent, 5, 3, 4 + COUNTER_MAX);
	ledger_free(ledger);
}

TEST(reaching_the_largest_total_exactly_is_no_saturation)
{
	struct ledger *ledger = new_ledger();

	assert_int_equal(ledger_load_user(ledger, "a",
				 (struct totals){TOTAL_MAX - 8, TOTAL_MAX - 3, 0}, 1, 0),
		0);
	sample_book(ledger, "a", 3, 5);
	assert_totals(find(ledger, "a")->total, TOTAL_MAX, TOTAL_MAX, 5);
	assert_false(stats_of(ledger).has_saturated);
	ledger_free(ledger);
}

TEST(a_service_saturates_too)
{
	struct ledger *ledger = new_ledger();
	struct counters last = {.input_bytes = TOTAL_MAX - 1};
	struct cut *cut;

	assert_int_equal(ledger_load_service(ledger, "n", KIND_HANDLER, "s", &last,
				 "ready", &(struct epoch){0}, 1),
		0);
	apply_one(ledger, "n", sample_traffic("s", "", 5, 5));
	cut = ledger_cut(ledger);
	assert_int_equal(cut->services[0].last.input_bytes, TOTAL_MAX);
	assert_string_equal(cut->services[0].state, "ready");
	assert_true(stats_of(ledger).has_saturated);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(a_prepared_user_or_service_is_invisible_until_something_is_applied)
{
	struct ledger *ledger = ledger_new(1, true);
	struct booking booking = sample_traffic("s", "new", 1, 2);
	struct bookings bookings = {&booking, 1, 1};

	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	assert_non_null(booking.in_user);
	assert_null(ledger_find_user(ledger, "new"));
	assert_false(ledger_has_service(ledger, "n", KIND_HANDLER, "s"));
	assert_int_equal(stats_of(ledger).users, 0);
	assert_int_equal(stats_of(ledger).services, 0);
	assert_true(ledger_has_room_for_users(ledger, 1));
	assert_null(ledger_next_user(ledger, NULL));
	assert_false(ledger_is_dirty(ledger));
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = 1, .conn = 1, .time_ms = 1000});
	assert_non_null(ledger_find_user(ledger, "new"));
	assert_false(ledger_has_room_for_users(ledger, 1));
	assert_ptr_equal(ledger_next_user(ledger, NULL), booking.in_user);
	ledger_free(ledger);
}

TEST(a_cut_takes_all_that_is_pending_and_names_both_sequences)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	ledger_set_applied_seq(ledger, 41);
	sample_book(ledger, "a", 1, 2);
	sample_book(ledger, "b", 3, 4);
	sample_book(ledger, "a", 10, 20);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->prev_seq, 41);
	assert_int_equal(cut->seq, 44);
	assert_int_equal(cut->users.n, 2);
	assert_string_equal(cut_user(cut, 0)->user->id, "a");
	assert_totals(cut_user(cut, 0)->increment, 33, 11, 22);
	assert_totals(cut_user(cut, 1)->increment, 7, 3, 4);
	assert_totals(find(ledger, "a")->total, 33, 11, 22);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	assert_false(ledger_is_dirty(ledger));
	ledger_cut_committed(ledger, cut);
	assert_int_equal(stats_of(ledger).dirty_users, 0);
	sample_book(ledger, "a", 1, 0);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->prev_seq, 44);
	assert_int_equal(cut->seq, 45);
	assert_int_equal(cut->users.n, 1);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(dirty_users_are_counted_once_while_a_cut_is_out)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	sample_book(ledger, "a", 1, 0);
	sample_book(ledger, "b", 1, 0);
	cut = ledger_cut(ledger);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	sample_book(ledger, "b", 5, 0);
	sample_book(ledger, "b", 5, 0);
	sample_book(ledger, "c", 7, 0);
	assert_int_equal(stats_of(ledger).dirty_users, 3);
	assert_totals(cut_user(cut, 1)->increment, 1, 1, 0);
	ledger_cut_committed(ledger, cut);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->users.n, 2);
	assert_int_equal(cut->prev_seq, 2);
	assert_int_equal(cut->seq, 5);
	assert_totals(cut_user(cut, 0)->increment, 10, 10, 0);
	ledger_cut_committed(ledger, cut);
	assert_int_equal(stats_of(ledger).dirty_users, 0);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

static void write_cut(const struct cut *cut, uint64_t written[5], uint64_t *service_bytes)
{
	for (size_t i = 0; i < cut->users.n; i++)
		written[atoi(cut_user(cut, i)->user->id + 1)] +=
			cut_user(cut, i)->increment.input;
	for (size_t i = 0; i < cut->n_services; i++)
		*service_bytes += cut->services[i].increment.input;
}

TEST(no_byte_is_lost_or_doubled_over_any_mix_of_cuts)
{
	struct ledger *ledger = new_ledger();
	uint64_t written[5] = {0}, booked[5] = {0}, service_bytes = 0, all = 0;
	struct cut *cut = NULL;

	srand(7);
	for (unsigned round = 0; round < 5000 || cut != NULL; round++) {
		int choice = rand() % 4;

		if (choice < 2 && round < 5000) {
			unsigned who = (unsigned)rand() % 5;
			uint64_t bytes = (uint64_t)(rand() % 100);

			sample_book(ledger, sample_name(who), bytes, 0);
			booked[who] += bytes;
			all += bytes;
		} else if (choice == 2 && cut == NULL) {
			cut = ledger_cut(ledger);
			assert_non_null(cut);
		} else if (cut != NULL && rand() % 2 == 0) {
			write_cut(cut, written, &service_bytes);
			ledger_cut_committed(ledger, cut);
			cut = NULL;
		}
	}
	cut = ledger_cut(ledger);
	write_cut(cut, written, &service_bytes);
	ledger_cut_committed(ledger, cut);
	assert_memory_equal(written, booked, sizeof(written));
	assert_int_equal(service_bytes, all);
	ledger_free(ledger);
}

static void keep_reject(struct ledger *ledger, unsigned i)
{
	char text[16];
	struct reject reject = {"why", text};

	(void)snprintf(text, sizeof(text), "%u", i);
	ledger_keep_reject(ledger, "n", &reject, 1000 + i);
}

TEST(rejects_are_bounded_and_the_oldest_gives_way)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	for (unsigned i = 0; i < LEDGER_MAX_REJECTS + 5; i++)
		keep_reject(ledger, i);
	assert_true(ledger_is_dirty(ledger));
	cut = ledger_cut(ledger);
	assert_int_equal(cut->n_rejects, LEDGER_MAX_REJECTS);
	assert_string_equal(cut->rejects[0].event, "5");
	assert_string_equal(cut->rejects[LEDGER_MAX_REJECTS - 1].event, "1004");
	assert_int_equal(cut->rejects[0].at_ms, 1005);
	assert_string_equal(cut->rejects[0].node, "n");
	assert_string_equal(cut->rejects[0].reason, "why");
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(rejects_that_come_while_a_cut_is_out_push_none_of_it_out)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	for (unsigned i = 0; i < 3; i++)
		keep_reject(ledger, i);
	cut = ledger_cut(ledger);
	for (unsigned i = 3; i < LEDGER_MAX_REJECTS + 5; i++)
		keep_reject(ledger, i);
	assert_int_equal(cut->n_rejects, 3);
	assert_string_equal(cut->rejects[0].event, "0");
	ledger_cut_committed(ledger, cut);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->n_rejects, LEDGER_MAX_REJECTS);
	assert_string_equal(cut->rejects[0].event, "5");
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(an_unsent_user_stands_in_the_queue_once_and_the_index_counts_joins)
{
	struct ledger *ledger = new_ledger();
	struct totals unsent;
	struct user *user;

	assert_null(ledger_take_unsent(ledger, SHOW_FIRST, &unsent));
	sample_book(ledger, "a", 1, 2);
	sample_book(ledger, "b", 3, 4);
	sample_book(ledger, "a", 10, 20);
	assert_int_equal(stats_of(ledger).unsent_users, 2);
	assert_int_equal(ledger_unsent_index(ledger, SHOW_FIRST), 2);
	user = ledger_take_unsent(ledger, SHOW_FIRST, &unsent);
	assert_string_equal(user->id, "a");
	assert_totals(unsent, 33, 11, 22);
	sample_book(ledger, "a", 5, 5);
	assert_int_equal(ledger_unsent_index(ledger, SHOW_FIRST), 3);
	user = ledger_take_unsent(ledger, SHOW_FIRST, &unsent);
	assert_string_equal(user->id, "b");
	user = ledger_take_unsent(ledger, SHOW_FIRST, &unsent);
	assert_string_equal(user->id, "a");
	assert_totals(unsent, 10, 5, 5);
	assert_null(ledger_take_unsent(ledger, SHOW_FIRST, &unsent));
	assert_int_equal(stats_of(ledger).unsent_users, 0);
	ledger_free(ledger);
}

/* One report of so many users, "u00000" and so on. */
static void book_crowd(struct ledger *ledger, unsigned n)
{
	struct origin origin = {.seq = ledger_seq(ledger) + 1, .time_ms = 1};
	struct booking *list = calloc(n, sizeof(*list));
	char(*names)[16] = calloc(n, sizeof(*names));
	struct bookings bookings = {.list = list, .n = n, .n_stats = n};

	assert_true(list != NULL && names != NULL);
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "%s", sample_name(i));
		list[i] = sample_traffic("crowd", names[i], 1, 0);
	}
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_measure(ledger, &bookings);
	ledger_apply(ledger, &bookings, &origin);
	free(list);
	free(names);
}

static const struct user *take(struct ledger *ledger, enum show show, uint64_t input)
{
	struct totals unsent;
	const struct user *user = ledger_take_unsent(ledger, show, &unsent);

	if (user != NULL)
		assert_totals(unsent, input, input, 0);
	return user;
}

TEST(a_crowd_is_shown_last_and_who_stands_in_both_queues_goes_once)
{
	struct ledger *ledger = new_ledger();

	book_crowd(ledger, 500);
	assert_int_equal(ledger_unsent_index(ledger, SHOW_LAST), 500);
	assert_null(take(ledger, SHOW_FIRST, 0));
	sample_book(ledger, sample_name(3), 10, 0);
	sample_book(ledger, sample_name(0), 20, 0);
	assert_int_equal(ledger_unsent_index(ledger, SHOW_FIRST), 2);
	assert_int_equal(stats_of(ledger).unsent_users, 500);
	assert_string_equal(take(ledger, SHOW_FIRST, 11)->id, sample_name(3));
	assert_string_equal(take(ledger, SHOW_LAST, 21)->id, sample_name(0));
	assert_string_equal(take(ledger, SHOW_FIRST, 0)->id, sample_name(0));
	assert_int_equal(stats_of(ledger).unsent_users, 499);
	for (unsigned i = 1; i < 500; i++)
		assert_string_equal(
			take(ledger, SHOW_LAST, i == 3 ? 0 : 1)->id, sample_name(i));
	assert_null(take(ledger, SHOW_LAST, 0));
	assert_int_equal(stats_of(ledger).unsent_users, 0);
	ledger_free(ledger);
}

TEST(while_the_view_is_down_all_are_to_be_shown_last_and_afterwards_who_is_wrong_first)
{
	struct ledger *ledger = new_ledger();

	ledger_set_view_up(ledger, false);
	sample_book(ledger, "a", 1, 0);
	ledger_set_view_up(ledger, true);
	assert_null(take(ledger, SHOW_FIRST, 0));
	assert_string_equal(take(ledger, SHOW_LAST, 1)->id, "a");
	ledger_mark_unsent(ledger, find(ledger, "a"));
	assert_string_equal(take(ledger, SHOW_FIRST, 0)->id, "a");
	ledger_free(ledger);
}

static enum delivery count_questions(void *arg, uint64_t conn)
{
	(void)conn;
	++*(unsigned *)arg;
	return DELIVERY_UNDECIDED;
}

TEST(each_stream_of_a_report_is_asked_once_for_what_it_may_repeat)
{
	struct ledger *ledger = new_ledger();
	struct origin origin = {
		.seq = 1, .time_ms = 1, .conn = 7, .fingerprint = "equal"};
	struct booking list[100];
	struct bookings bookings = {.list = list, .n = 100, .n_stats = 100};
	unsigned n_questions = 0;

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < 100; i++)
			list[i] = sample_traffic(i % 2 == 0 ? "even" : "odd", "a", 1, 0);
		assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
		assert_int_equal(ledger_find_repeat(ledger, &bookings, origin.fingerprint,
					 count_questions, &n_questions),
			0);
		ledger_measure(ledger, &bookings);
		ledger_apply(ledger, &bookings, &origin);
		origin.seq++;
	}
	assert_int_equal(n_questions, 1); /* of `even`, where the first round is open */
	ledger_free(ledger);
}

TEST(without_a_view_nothing_is_kept_for_it)
{
	struct ledger *ledger = ledger_new(10, false);
	struct totals unsent;

	sample_book(ledger, "a", 1, 2);
	assert_int_equal(ledger_unsent_index(ledger, SHOW_FIRST), 0);
	assert_null(ledger_take_unsent(ledger, SHOW_FIRST, &unsent));
	assert_totals(find(ledger, "a")->unsent, 0, 0, 0);
	ledger_free(ledger);
}

TEST(a_walk_meets_each_user_once_whoever_comes_meanwhile)
{
	struct ledger *ledger = new_ledger();
	const struct user *user = NULL;
	unsigned met[100] = {0}, n = 0;

	for (unsigned i = 0; i < 100; i++)
		sample_book(ledger, sample_name(i), 1, 0);
	while ((user = ledger_next_user(ledger, user)) != NULL) {
		unsigned i = (unsigned)atoi(user->id + 1);

		if (i < 100)
			met[i]++;
		sample_book(ledger, sample_name(1000 + n++ % 700), 1, 0);
	}
	for (unsigned i = 0; i < 100; i++)
		AT_ROW(i, met[i] == 1);
	ledger_free(ledger);
}

TEST(who_is_expected_or_fetched_ahead_is_not_there_for_that)
{
	struct ledger *ledger = new_ledger();
	const char *const ids[] = {"a", "", "nobody"};

	ledger_fetch_users(ledger, ids, COUNT_OF(ids)); /* of nobody at all */
	ledger_expect_users(ledger, 1000);
	ledger_fetch_users(ledger, ids, COUNT_OF(ids));
	assert_int_equal(stats_of(ledger).users, 0);
	assert_null(ledger_next_user(ledger, NULL));
	assert_int_equal(
		ledger_load_user(ledger, "a", (struct totals){3, 1, 2}, 7, 0), 0);
	ledger_fetch_users(ledger, ids, COUNT_OF(ids));
	assert_totals(find(ledger, "a")->total, 3, 1, 2);
	assert_ptr_equal(ledger_next_user(ledger, NULL), find(ledger, "a"));
	assert_null(ledger_next_user(ledger, find(ledger, "a")));
	assert_int_equal(stats_of(ledger).users, 1);
	ledger_free(ledger);
}

TEST(more_users_than_can_be_loaded_have_no_table_made_for_them)
{
	struct ledger *ledger = new_ledger();

	ledger_set_bounds(ledger, UINT64_MAX, 1000 * user_bytes(0));
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	ledger_expect_users(ledger, 1001);
	assert_false(faults_fired(FAULT_MEMORY));
	ledger_expect_users(ledger, 1000);
	assert_true(faults_fired(FAULT_MEMORY));
	faults_reset();
	ledger_free(ledger);
}

TEST(room_is_for_as_many_as_max_users)
{
	struct ledger *ledger = ledger_new(3, true);

	assert_true(ledger_has_room_for_users(ledger, 3));
	assert_false(ledger_has_room_for_users(ledger, 4));
	sample_book(ledger, "a", 1, 0);
	assert_true(ledger_has_room_for_users(ledger, 2));
	assert_false(ledger_has_room_for_users(ledger, 3));
	ledger_free(ledger);
}

TEST(short_memory_while_preparing_changes_nothing_that_can_be_seen)
{
	struct ledger *ledger = new_ledger();
	unsigned n = 1;

	sample_book(ledger, "first", 1, 0); /* the tables are there */
	for (;; n++) {
		struct booking list[] = {
			sample_traffic("s", "first", 1, 0),
			sample_traffic("t", "second", 2, 0),
			sample_traffic("s", "third", 4, 0),
		};
		struct bookings bookings = {list, COUNT_OF(list), COUNT_OF(list)};
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = ledger_prepare(ledger, "n", &bookings);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		assert_int_equal(stats_of(ledger).users, 1);
		assert_int_equal(stats_of(ledger).services, 1);
		assert_int_equal(stats_of(ledger).dirty_users, 1);
		assert_null(ledger_find_user(ledger, "second"));
		if (!has_fired)
			break;
	}
	assert_true(n > 1);
	ledger_free(ledger);
}

TEST(short_memory_while_cutting_moves_nothing)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;
	unsigned n = 1;

	sample_book(ledger, "a", 1, 2);
	keep_reject(ledger, 0);
	for (;; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		cut = ledger_cut(ledger);
		faults_reset();
		if (cut != NULL)
			break;
		assert_int_equal(stats_of(ledger).dirty_users, 1);
		assert_true(ledger_is_dirty(ledger));
	}
	assert_int_equal(n, 8);
	assert_int_equal(cut->users.n, 1);
	assert_totals(cut_user(cut, 0)->increment, 3, 1, 2);
	assert_int_equal(cut->n_services, 1);
	assert_int_equal(cut->n_rejects, 1);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(a_reject_that_finds_no_memory_is_dropped_whole)
{
	struct ledger *ledger = new_ledger();

	for (unsigned n = 1; n <= 2; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		keep_reject(ledger, n);
		assert_true(faults_fired(FAULT_MEMORY));
		faults_reset();
		assert_false(ledger_is_dirty(ledger));
	}
	ledger_free(ledger);
}

TEST(a_ledger_that_finds_no_memory_is_not_made)
{
	for (unsigned n = 1; n <= 2; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		assert_null(ledger_new(10, true));
		faults_reset();
	}
	ledger_free(NULL);
}

TEST(what_was_only_prepared_can_be_forgotten)
{
	struct ledger *ledger = ledger_new(10, true);
	struct booking list[] = {sample_traffic("s", "old", 1, 1),
		sample_traffic("new", "fresh", 1, 1),
		sample_traffic("new", "fresh", 1, 1)};
	struct bookings bookings = {list, 3, 3};

	sample_book(ledger, "old", 5, 5);
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_forget_prepared(ledger, "n", &bookings);
	assert_null(list[1].in_user);
	assert_int_equal(ledger_find_user(ledger, "old")->total.used, 10);
	assert_null(ledger_find_user(ledger, "fresh"));
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = 2, .conn = 2, .time_ms = 1000});
	assert_int_equal(ledger_find_user(ledger, "fresh")->total.used, 4);
	ledger_free(ledger);
}

/* Nothing writes to the id. */
static struct adopted adopted(
	const char *id, uint64_t used, uint64_t input, uint64_t output)
{
	return (struct adopted){(char *)id, {used, input, output}};
}

static void adopt(struct ledger *ledger, struct adopted one)
{
	assert_int_equal(ledger_adopt(ledger, &one, 1, 2000), 0);
}

TEST(an_adopted_total_adds_to_what_was_counted_and_waits_for_the_next_cut)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	ledger_set_applied_seq(ledger, 41);
	assert_int_equal(
		ledger_load_user(ledger, "a", (struct totals){500, 1, 2}, 7, 0), 0);
	assert_false(ledger_is_dirty(ledger));
	adopt(ledger, adopted("a", 30, 10, 0));
	assert_totals(find(ledger, "a")->total, 530, 11, 2);
	assert_true(ledger_is_dirty(ledger));
	assert_int_equal(stats_of(ledger).dirty_users, 1);
	assert_int_equal(stats_of(ledger).users, 1);
	assert_int_equal(find(ledger, "a")->created_ms, 7);
	adopt(ledger, adopted("a", 1, 1, 1));
	assert_totals(find(ledger, "a")->total, 531, 12, 3);
	assert_int_equal(stats_of(ledger).dirty_users, 1);
	assert_int_equal(ledger_seq(ledger), 41);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->prev_seq, 41);
	assert_int_equal(cut->seq, 41); /* it is no record */
	assert_int_equal(cut->users.n, 1);
	assert_totals(cut_user(cut, 0)->increment, 31, 11, 1);
	assert_int_equal(cut_user(cut, 0)->last_seen_ms, 0); /* nobody was seen */
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	assert_totals(find(ledger, "a")->total, 531, 12, 3);
	ledger_free(ledger);
}

TEST(adopted_totals_and_reported_bytes_go_in_one_cut)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	sample_book(ledger, "a", 1, 2);
	adopt(ledger, adopted("a", 100, 0, 0));
	sample_book(ledger, "a", 10, 20);
	assert_totals(find(ledger, "a")->total, 133, 11, 22);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->users.n, 1);
	assert_totals(cut_user(cut, 0)->increment, 133, 11, 22);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(an_adopted_newcomer_can_be_seen_from_then_on)
{
	struct ledger *ledger = ledger_new(2, true);
	struct adopted list[] = {adopted("a", 9, 4, 5), adopted("b", 0, 0, 0)};

	assert_int_equal(ledger_adopt(ledger, NULL, 0, 2000), 0);
	assert_false(ledger_is_dirty(ledger));
	assert_int_equal(ledger_adopt(ledger, list, COUNT_OF(list), 2000), 0);
	assert_totals(find(ledger, "a")->total, 9, 4, 5);
	assert_int_equal(find(ledger, "a")->created_ms, 2000);
	assert_totals(find(ledger, "b")->total, 0, 0, 0);
	assert_non_null(ledger_next_user(ledger, NULL));
	assert_int_equal(stats_of(ledger).users, 2);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	assert_int_equal(stats_of(ledger).services, 0);
	assert_false(ledger_has_room_for_users(ledger, 1));
	assert_totals(next_cut_of(ledger, "a"), 9, 4, 5);
	ledger_free(ledger);
}

TEST(of_an_adopted_total_that_saturates_only_what_fits_is_pending)
{
	struct ledger *ledger = new_ledger();

	assert_int_equal(ledger_load_user(ledger, "a",
				 (struct totals){TOTAL_MAX - 5, TOTAL_MAX - 3, 10}, 1, 0),
		0);
	adopt(ledger, adopted("a", 5, 2, 4));
	assert_totals(find(ledger, "a")->total, TOTAL_MAX, TOTAL_MAX - 1, 14);
	assert_false(stats_of(ledger).has_saturated);
	adopt(ledger, adopted("a", 1, 2, TOTAL_MAX));
	assert_totals(find(ledger, "a")->total, TOTAL_MAX, TOTAL_MAX, TOTAL_MAX);
	assert_totals(next_cut_of(ledger, "a"), 5, 3, TOTAL_MAX - 10);
	assert_true(stats_of(ledger).has_saturated);
	adopt(ledger, adopted("new", UINT64_MAX, TOTAL_MAX, 0));
	assert_totals(find(ledger, "new")->total, TOTAL_MAX, TOTAL_MAX, 0);
	assert_totals(next_cut_of(ledger, "new"), TOTAL_MAX, TOTAL_MAX, 0);
	ledger_free(ledger);
}

TEST(nothing_is_unsent_because_of_an_adoption)
{
	struct ledger *ledger = new_ledger();
	struct totals unsent;

	sample_book(ledger, "a", 1, 2);
	adopt(ledger, adopted("a", 100, 100, 100));
	adopt(ledger, adopted("b", 100, 100, 100));
	assert_int_equal(stats_of(ledger).unsent_users, 1);
	assert_int_equal(ledger_unsent_index(ledger, SHOW_FIRST), 1);
	assert_string_equal(ledger_take_unsent(ledger, SHOW_FIRST, &unsent)->id, "a");
	assert_totals(unsent, 3, 1, 2);
	assert_null(ledger_take_unsent(ledger, SHOW_FIRST, &unsent));
	sample_book(ledger, "b", 5, 0);
	assert_string_equal(ledger_take_unsent(ledger, SHOW_FIRST, &unsent)->id, "b");
	assert_totals(unsent, 5, 5, 0);
	ledger_free(ledger);
}

TEST(what_is_adopted_while_a_cut_is_out_is_for_the_next_one)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	adopt(ledger, adopted("a", 10, 0, 0));
	cut = ledger_cut(ledger);
	adopt(ledger, adopted("a", 5, 0, 0));
	adopt(ledger, adopted("b", 7, 0, 0));
	assert_totals(cut_user(cut, 0)->increment, 10, 0, 0);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	ledger_cut_committed(ledger, cut);
	assert_totals(find(ledger, "a")->total, 15, 0, 0);
	assert_int_equal(stats_of(ledger).dirty_users, 2);
	assert_totals(next_cut_of(ledger, "a"), 5, 0, 0);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(short_memory_while_adopting_changes_nothing)
{
	struct ledger *ledger = new_ledger();
	struct adopted list[] = {adopted("a", 1, 0, 0), adopted("first", 2, 0, 0),
		adopted("b", 4, 0, 0), adopted("a", 8, 0, 0), adopted("c", 16, 0, 0)};
	struct booking booking = sample_traffic("s", "first", 1, 0);
	struct bookings bookings = {&booking, 1, 1};
	struct cut *cut;
	unsigned n = 1;

	sample_book(ledger, "first", 1, 0);
	cut = ledger_cut(ledger);
	ledger_cut_committed(ledger, cut);
	/* The tables are there, and room for what changes. */
	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	for (;; n++) {
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = ledger_adopt(ledger, list, COUNT_OF(list), 2000);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		if (!has_fired)
			break;
		assert_false(ledger_is_dirty(ledger));
		assert_totals(find(ledger, "first")->total, 1, 1, 0);
		assert_null(ledger_find_user(ledger, "a"));
		assert_null(ledger_find_user(ledger, "b"));
		assert_null(ledger_find_user(ledger, "c"));
		assert_ptr_equal(ledger_next_user(ledger, NULL), find(ledger, "first"));
		assert_null(ledger_next_user(ledger, find(ledger, "first")));
		assert_int_equal(stats_of(ledger).users, 1);
		assert_int_equal(stats_of(ledger).dirty_users, 0);
	}
	/* Three newcomers, each time all of them anew: none had stayed, not even unseen.
	 */
	assert_int_equal(n, 3 + 1);
	assert_int_equal(stats_of(ledger).users, 4);
	assert_totals(find(ledger, "a")->total, 9, 0, 0);
	assert_totals(find(ledger, "first")->total, 3, 1, 0);
	assert_totals(next_cut_of(ledger, "c"), 16, 0, 0);
	ledger_free(ledger);
}

static void set_link(struct ledger *ledger, uint64_t at_ms)
{
	struct link_record link = {at_ms, "somebody"};

	ledger_set_link(ledger, &link);
	assert_int_equal(ledger_link(ledger)->at_ms, at_ms);
	assert_string_equal(ledger_link(ledger)->claim, "somebody");
}

/* The next cut; at_ms 0: it has no link. */
static struct cut *cut_with_link(struct ledger *ledger, uint64_t at_ms)
{
	struct cut *cut = ledger_cut(ledger);

	assert_non_null(cut);
	assert_int_equal(cut->has_link, at_ms != 0);
	assert_int_equal(cut->link.at_ms, ledger_link(ledger)->at_ms);
	if (at_ms != 0) {
		assert_int_equal(cut->link.at_ms, at_ms);
		assert_string_equal(cut->link.claim, "somebody");
	}
	return cut;
}

TEST(a_link_makes_the_ledger_dirty_until_it_is_committed)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	assert_int_equal(ledger_link(ledger)->at_ms, 0);
	assert_string_equal(ledger_link(ledger)->claim, "");
	assert_true(ledger_is_link_saved(ledger));
	set_link(ledger, 5000);
	assert_true(ledger_is_dirty(ledger));
	assert_false(ledger_is_link_saved(ledger));
	assert_int_equal(stats_of(ledger).dirty_users, 0);
	cut = cut_with_link(ledger, 5000);
	assert_false(ledger_is_link_saved(ledger)); /* not by the cut alone */
	assert_int_equal(cut->users.n + cut->n_services + cut->n_rejects, 0);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	assert_true(ledger_is_link_saved(ledger));
	assert_int_equal(ledger_link(ledger)->at_ms, 5000);
	sample_book(ledger, "a", 1, 0);
	ledger_cut_committed(ledger, cut_with_link(ledger, 0)); /* not once more */
	assert_true(ledger_is_link_saved(ledger));
	ledger_free(ledger);
}

TEST(a_link_that_is_set_while_a_cut_is_out_stays_unsaved_behind_it)
{
	for (int has_older = 0; has_older < 2; has_older++) {
		struct ledger *ledger = new_ledger();
		struct cut *cut;

		sample_book(ledger, "a", 1, 0);
		if (has_older)
			set_link(ledger, 5000);
		cut = cut_with_link(ledger, has_older ? 5000 : 0);
		set_link(ledger, 6000);
		assert_int_equal(cut->link.at_ms, has_older ? 5000 : 0);
		ledger_cut_committed(ledger, cut);
		AT_ROW(has_older, !ledger_is_link_saved(ledger));
		AT_ROW(has_older, ledger_is_dirty(ledger));
		cut = cut_with_link(ledger, 6000);
		AT_ROW(has_older, cut->users.n == 0);
		ledger_cut_committed(ledger, cut);
		AT_ROW(has_older, ledger_is_link_saved(ledger));
		AT_ROW(has_older, !ledger_is_dirty(ledger));
		ledger_free(ledger);
	}
}

TEST(a_loaded_link_is_saved_already)
{
	struct ledger *ledger = new_ledger();
	struct link_record link = {5000, "somebody"};

	ledger_load_link(ledger, &link);
	assert_int_equal(ledger_link(ledger)->at_ms, 5000);
	assert_string_equal(ledger_link(ledger)->claim, "somebody");
	assert_true(ledger_is_link_saved(ledger));
	assert_false(ledger_is_dirty(ledger));
	ledger_cut_committed(ledger, cut_with_link(ledger, 0));
	set_link(ledger, 6000);
	ledger_cut_committed(ledger, cut_with_link(ledger, 6000));
	assert_true(ledger_is_link_saved(ledger));
	ledger_free(ledger);
}

TEST(short_memory_while_cutting_leaves_the_link_unsaved)
{
	struct ledger *ledger = new_ledger();

	adopt(ledger, adopted("a", 10, 0, 0));
	set_link(ledger, 5000);
	for (unsigned n = 1; n <= 7; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		AT_ROW(n, ledger_cut(ledger) == NULL);
		faults_reset();
		AT_ROW(n, !ledger_is_link_saved(ledger));
		AT_ROW(n, ledger_is_dirty(ledger));
	}
	ledger_cut_committed(ledger, cut_with_link(ledger, 5000));
	assert_true(ledger_is_link_saved(ledger));
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_delta_adds_to_input_output_and_their_sum_to_used),
		cmocka_unit_test(the_totals_of_a_loaded_user_stay_independent),
		cmocka_unit_test(without_a_client_only_the_service_grows),
		cmocka_unit_test(services_are_told_apart_by_node_kind_and_name),
		cmocka_unit_test(a_status_changes_the_state_and_no_bytes),
		cmocka_unit_test(
			connections_and_errors_of_a_service_are_those_of_its_last_report),
		cmocka_unit_test(
			connections_and_errors_of_a_service_are_sums_over_the_clients_of_the_report),
		cmocka_unit_test(
			a_state_changes_no_connections_and_those_of_an_equal_client_are_added),
		cmocka_unit_test(
			sums_of_connections_and_errors_stop_at_the_largest_and_are_no_saturated_total),
		cmocka_unit_test(
			totals_saturate_and_only_what_was_added_is_pending_and_unsent),
		cmocka_unit_test(reaching_the_largest_total_exactly_is_no_saturation),
		cmocka_unit_test(a_service_saturates_too),
		cmocka_unit_test(
			a_prepared_user_or_service_is_invisible_until_something_is_applied),
		cmocka_unit_test(
			a_cut_takes_all_that_is_pending_and_names_both_sequences),
		cmocka_unit_test(dirty_users_are_counted_once_while_a_cut_is_out),
		cmocka_unit_test(no_byte_is_lost_or_doubled_over_any_mix_of_cuts),
		cmocka_unit_test(rejects_are_bounded_and_the_oldest_gives_way),
		cmocka_unit_test(
			rejects_that_come_while_a_cut_is_out_push_none_of_it_out),
		cmocka_unit_test(
			an_unsent_user_stands_in_the_queue_once_and_the_index_counts_joins),
		cmocka_unit_test(
			each_stream_of_a_report_is_asked_once_for_what_it_may_repeat),
		cmocka_unit_test(
			a_crowd_is_shown_last_and_who_stands_in_both_queues_goes_once),
		cmocka_unit_test(
			while_the_view_is_down_all_are_to_be_shown_last_and_afterwards_who_is_wrong_first),
		cmocka_unit_test(without_a_view_nothing_is_kept_for_it),
		cmocka_unit_test(a_walk_meets_each_user_once_whoever_comes_meanwhile),
		cmocka_unit_test(who_is_expected_or_fetched_ahead_is_not_there_for_that),
		cmocka_unit_test(
			more_users_than_can_be_loaded_have_no_table_made_for_them),
		cmocka_unit_test(room_is_for_as_many_as_max_users),
		cmocka_unit_test(
			short_memory_while_preparing_changes_nothing_that_can_be_seen),
		cmocka_unit_test(short_memory_while_cutting_moves_nothing),
		cmocka_unit_test(a_reject_that_finds_no_memory_is_dropped_whole),
		cmocka_unit_test(a_ledger_that_finds_no_memory_is_not_made),
		cmocka_unit_test(what_was_only_prepared_can_be_forgotten),
		cmocka_unit_test(
			an_adopted_total_adds_to_what_was_counted_and_waits_for_the_next_cut),
		cmocka_unit_test(adopted_totals_and_reported_bytes_go_in_one_cut),
		cmocka_unit_test(an_adopted_newcomer_can_be_seen_from_then_on),
		cmocka_unit_test(
			of_an_adopted_total_that_saturates_only_what_fits_is_pending),
		cmocka_unit_test(nothing_is_unsent_because_of_an_adoption),
		cmocka_unit_test(what_is_adopted_while_a_cut_is_out_is_for_the_next_one),
		cmocka_unit_test(short_memory_while_adopting_changes_nothing),
		cmocka_unit_test(a_link_makes_the_ledger_dirty_until_it_is_committed),
		cmocka_unit_test(
			a_link_that_is_set_while_a_cut_is_out_stays_unsaved_behind_it),
		cmocka_unit_test(a_loaded_link_is_saved_already),
		cmocka_unit_test(short_memory_while_cutting_leaves_the_link_unsaved),
	};

	return RUN_TESTS(tests);
}
