/* Large reports between their body and the turn in which they are decided; the ledger is
 * real, and who decides is the test. */
#include "lib/test.h"
#include "base/json.h"
#include "account/internal.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "pipeline/large.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 60000
#define N_CONNS 16

struct rig {
	uv_loop_t loop;
	struct ledger *ledger;
	struct large *large;
	enum delivery deliveries[N_CONNS];
	char order[64]; /* the names of those that were ready */
	bool is_closed;
};

/* One that was handed in, and what becomes of it. */
struct asked {
	struct rig *rig;
	const char *name;
	enum counter_mode counters;
	bool is_refused; /* whoever decides does not take it */
	bool is_ready;
	int code;
	size_t n_bookings, n_rejected;
	char *body;
};

static enum delivery delivery_of(void *arg, uint64_t connection)
{
	return ((struct rig *)arg)->deliveries[connection];
}

/* A slice ends after one look at the clock. */
static void open_rig(struct rig *rig, size_t max_users)
{
	struct large_parts parts = {NULL, delivery_of, rig, 0};

	faults_reset();
	memset(rig, 0, sizeof(*rig));
	assert_int_equal(uv_loop_init(&rig->loop), 0);
	rig->ledger = ledger_new(max_users, true);
	assert_non_null(rig->ledger);
	parts.ledger = rig->ledger;
	rig->large = large_new(&rig->loop, &parts);
	assert_non_null(rig->large);
}

static void on_closed(void *arg)
{
	((struct rig *)arg)->is_closed = true;
}

static void close_rig(struct rig *rig)
{
	large_close(rig->large, on_closed, rig);
	assert_true(loop_run_until_set(&rig->loop, &rig->is_closed, PATIENCE_MS));
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	large_free(rig->large);
	ledger_free(rig->ledger);
}

/* As accept.c does, without a journal. */
static void apply(struct rig *rig, const char *node, struct bookings *bookings,
	struct prepared *prepared)
{
	struct ledger *ledger = rig->ledger;
	struct origin origin = {
		.seq = ledger_seq(ledger) + 1, .conn = 1, .time_ms = 1000};

	assert_int_equal(ledger_prepare_rest(ledger, node, bookings, prepared), 0);
	ledger_measure(ledger, bookings);
	ledger_apply(ledger, bookings, &origin);
}

static void on_ready(void *arg, int code, struct reading *reading)
{
	struct asked *asked = arg;

	assert_false(asked->is_ready);
	assert_true((code == 0) == (reading != NULL));
	asked->is_ready = true;
	asked->code = code;
	(void)strcat(asked->rig->order, asked->name);
	free(asked->body); /* it is borrowed no longer */
	asked->body = NULL;
	if (code != 0)
		return;
	asked->n_bookings = reading->bookings.n;
	asked->n_rejected = reading->report.n_rejected;
	assert_int_equal(reading->counters, asked->counters);
	if (asked->is_refused || reading->bookings.n == 0)
		return;
	apply(asked->rig, "big", &reading->bookings, &reading->prepared);
	reading->is_applied = true;
}

/* Traffic of user<first> to user<first+n-1>, each `bytes` in, of service "s". */
static char *traffic(unsigned first, unsigned n, unsigned bytes)
{
	char *body = malloc((size_t)n * 160 + 32), *at = body;

	assert_non_null(body);
	at += sprintf(at, "{\"events\":[");
	for (unsigned i = first; i < first + n; i++)
		at += sprintf(at,
			"%s{\"service\":\"s\",\"client\":\"user%u\",\"type\":\"stats\","
			"\"stats\":{\"inputBytes\":%u,\"totalConns\":1}}",
			i > first ? "," : "", i, bytes);
	(void)sprintf(at, "]}");
	return body;
}

static void ask(struct rig *rig, struct asked *asked, uint64_t connection, char *body)
{
	struct incoming incoming = {.node = "big",
		.counters = asked->counters,
		.connection = connection,
		.body = body,
		.len = strlen(body)};

	asked->rig = rig;
	asked->body = body;
	assert_int_equal(large_submit(rig->large, &incoming, on_ready, asked), 0);
	assert_false(asked->is_ready); /* never inside */
}

static void wait_for(struct asked *asked)
{
	assert_true(loop_run_until_set(&asked->rig->loop, &asked->is_ready, PATIENCE_MS));
}

static size_t n_prepared(const struct rig *rig)
{
	return ledger_bounds(rig->ledger)->used.of[BOUND_USERS];
}

static bool is_begun(const void *arg)
{
	const struct rig *rig = arg;

	return n_prepared(rig) > 0;
}

/* Some of its users are prepared, and others are not. */
static void run_into_slices(struct rig *rig)
{
	assert_true(loop_run_until(&rig->loop, is_begun, rig, PATIENCE_MS));
}

static uint64_t used_by(const struct rig *rig, const char *id)
{
	const struct user *user = ledger_find_user(rig->ledger, id);

	return user != NULL ? user->total.used : 0;
}

static void assert_nothing_is_seen(struct rig *rig)
{
	struct ledger_stats stats;

	ledger_get_stats(rig->ledger, &stats);
	assert_int_equal(stats.users, 0);
	assert_int_equal(stats.services, 0);
	assert_int_equal(stats.series, 0);
	assert_int_equal(stats.dirty_users, 0);
	assert_int_equal(stats.unsent_users, 0);
	assert_int_equal(stats.open_reports, 0);
	assert_false(ledger_is_dirty(rig->ledger));
	assert_null(ledger_next_user(rig->ledger, NULL));
	assert_null(ledger_next_service(rig->ledger, NULL));
	assert_null(ledger_find_user(rig->ledger, "user0"));
	assert_false(ledger_has_service(rig->ledger, "big", KIND_HANDLER, "s"));
}

#define N_EVENTS 2500 /* more than few: so its end is a turn of its own */

TEST(nothing_of_it_is_seen_before_the_turn_in_which_all_of_it_is)
{
	struct asked asked = {.name = "a"};
	struct ledger_stats stats;
	unsigned n_slices = 0;
	size_t before = 0;
	struct rig rig;

	open_rig(&rig, 10000);
	ask(&rig, &asked, 1, traffic(0, N_EVENTS, 7));
	while (!asked.is_ready) {
		assert_nothing_is_seen(&rig);
		(void)uv_run(&rig.loop, UV_RUN_ONCE);
		n_slices += n_prepared(&rig) > before;
		before = n_prepared(&rig);
	}
	assert_int_equal(asked.code, 0);
	assert_in_range(n_slices, N_EVENTS / 64, N_EVENTS);
	ledger_get_stats(rig.ledger, &stats);
	assert_int_equal(stats.users, N_EVENTS);
	assert_int_equal(stats.unsent_users, N_EVENTS);
	assert_int_equal(used_by(&rig, "user2499"), 7);
	close_rig(&rig);
}

TEST(who_comes_meanwhile_is_not_held_up_and_is_counted_first)
{
	struct asked asked = {.name = "a"};
	struct rig rig;

	open_rig(&rig, 10000);
	ask(&rig, &asked, 1, traffic(0, N_EVENTS, 7));
	run_into_slices(&rig);
	sample_book(rig.ledger, "user0", 100, 0);
	sample_book(rig.ledger, "user2499", 100, 0);
	sample_book(rig.ledger, "other", 1, 0);
	assert_false(asked.is_ready);
	assert_int_equal(used_by(&rig, "user0"), 100);
	wait_for(&asked);
	assert_int_equal(used_by(&rig, "user0"), 107);
	assert_int_equal(used_by(&rig, "user2499"), 107);
	assert_int_equal(used_by(&rig, "user1"), 7);
	close_rig(&rig);
}

static bool is_free(const void *arg)
{
	const struct rig *rig = arg;

	return rig->loop.active_reqs.count == 0 && n_prepared(rig) <= 1;
}

TEST(what_is_refused_leaves_nothing_but_what_others_have_made_real)
{
	static const enum counter_mode modes[] = {COUNTERS_DELTA, COUNTERS_CUMULATIVE};

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		struct asked asked = {
			.name = "a", .counters = modes[i], .is_refused = true};
		struct rig rig, other;

		open_rig(&rig, 10000);
		open_rig(&other, 10000);
		ask(&rig, &asked, 1, traffic(0, N_EVENTS, 7));
		run_into_slices(&rig);
		sample_book(rig.ledger, "user0", 100, 0);
		sample_book(other.ledger, "user0", 100, 0);
		wait_for(&asked);
		assert_true(loop_run_until(&rig.loop, is_free, &rig, PATIENCE_MS));
		AT_ROW(i, used_by(&rig, "user0") == 100);
		AT_ROW(i,
			memcmp(&ledger_bounds(rig.ledger)->used,
				&ledger_bounds(other.ledger)->used,
				sizeof(struct usage)) == 0);
		AT_ROW(i, bounds_find(ledger_bounds(rig.ledger), "big") == NULL);
		AT_ROW(i, ledger_next_service(rig.ledger, NULL)->node[0] == 'n');
		close_rig(&rig);
		close_rig(&other);
	}
}

/* A small report that comes to nothing, as one whose client has hung up. */
static void prepare_and_forget(struct rig *rig, const char *node, const char *client)
{
	struct booking booking = sample_traffic("s", client, 5, 5);
	struct bookings bookings = {&booking, 1, 1};

	assert_int_equal(ledger_prepare(rig->ledger, node, &bookings), 0);
	ledger_forget_prepared(rig->ledger, node, &bookings);
}

TEST(another_report_that_is_refused_meanwhile_takes_nothing_of_it_away)
{
	struct asked asked = {.name = "a"};
	const struct tenant *big;
	struct rig rig;

	open_rig(&rig, 10000);
	ask(&rig, &asked, 1, traffic(0, N_EVENTS, 7));
	run_into_slices(&rig);
	for (unsigned i = 0; i < 3; i++)
		prepare_and_forget(&rig, "small", "user0");
	prepare_and_forget(&rig, "small", "user2499");
	assert_null(bounds_find(ledger_bounds(rig.ledger), "small"));
	wait_for(&asked);
	assert_int_equal(used_by(&rig, "user0"), 7);
	assert_int_equal(used_by(&rig, "user2499"), 7);
	big = bounds_find(ledger_bounds(rig.ledger), "big");
	assert_int_equal(big->used.of[BOUND_USERS], N_EVENTS);
	assert_int_equal(big->used.of[BOUND_MEMORY],
		ledger_bounds(rig.ledger)->used.of[BOUND_MEMORY]);
	close_rig(&rig);
}

/* Applies states of the service "s" of node "big". */
static void announce(struct rig *rig, const char *state)
{
	struct booking booking = {
		.kind = KIND_HANDLER, .service = "s", .client = "", .state = state};
	struct bookings bookings = {&booking, 1, 0};
	struct prepared prepared = {0};

	apply(rig, "big", &bookings, &prepared);
}

TEST(marks_that_become_void_and_go_meanwhile_do_not_count_any_more)
{
	struct asked first = {.name = "a", .counters = COUNTERS_CUMULATIVE};
	struct asked second = {.name = "b", .counters = COUNTERS_CUMULATIVE};
	struct ledger_stats stats;
	struct rig rig;

	open_rig(&rig, 10000);
	ask(&rig, &first, 1, traffic(0, N_EVENTS, 100));
	wait_for(&first);
	ledger_get_stats(rig.ledger, &stats);
	assert_int_equal(stats.series, N_EVENTS);
	ask(&rig, &second, 2, traffic(0, N_EVENTS, 150));
	assert_true(loop_run_jobs(&rig.loop, PATIENCE_MS)); /* and a slice or two */
	assert_false(second.is_ready);
	announce(&rig, "running");
	announce(&rig, "ready");
	for (int i = 0; i < 100; i++)
		ledger_sweep(rig.ledger);
	ledger_get_stats(rig.ledger, &stats);
	assert_int_equal(stats.series, 0);
	wait_for(&second);
	assert_int_equal(used_by(&rig, "user0"), 250);
	assert_int_equal(used_by(&rig, "user2499"), 250);
	close_rig(&rig);
}

TEST(a_service_that_is_only_prepared_is_not_written_whatever_happens_to_its_node)
{
	struct asked asked = {.name = "a", .is_refused = true};
	struct booking booking = {
		.kind = KIND_SERVICE, .service = "s", .client = "", .state = "running"};
	struct bookings bookings = {&booking, 1, 0};
	struct prepared prepared = {0};
	struct cut *cut;
	struct rig rig;

	open_rig(&rig, 10000);
	ask(&rig, &asked, 1, traffic(0, N_EVENTS, 7));
	run_into_slices(&rig);
	apply(&rig, "big", &bookings, &prepared); /* the other kind of its service */
	services_forget_marks(rig.ledger, "big");
	assert_false(asked.is_ready);
	wait_for(&asked);
	assert_true(loop_run_until(&rig.loop, is_free, &rig, PATIENCE_MS));
	cut = ledger_cut(rig.ledger);
	assert_non_null(cut);
	assert_int_equal(cut->n_services, 1);
	assert_int_equal(cut->services[0].service->kind, KIND_SERVICE);
	ledger_cut_committed(rig.ledger, cut);
	close_rig(&rig);
}

TEST(what_there_is_no_room_for_is_rejected_and_who_comes_twice_needs_room_once)
{
	struct asked fits = {.name = "a"}, beyond = {.name = "b"};
	char *body = malloc(2 * 100 * 160 + 64), *half = traffic(0, 100, 1);
	struct rig rig;

	open_rig(&rig, 100);
	(void)sprintf(body, "%.*s,%s", (int)strlen(half) - 2, half,
		half + strlen("{\"events\":["));
	free(half);
	ask(&rig, &fits, 1, body);
	ask(&rig, &beyond, 2, traffic(50, 100, 1));
	wait_for(&beyond);
	assert_int_equal(fits.n_bookings, 200);
	assert_int_equal(fits.n_rejected, 0);
	assert_int_equal(beyond.n_bookings, 50);
	assert_int_equal(beyond.n_rejected, 50);
	assert_int_equal(used_by(&rig, "user0"), 2);
	assert_int_equal(used_by(&rig, "user99"), 3);
	assert_null(ledger_find_user(rig.ledger, "user100"));
	close_rig(&rig);
}

TEST(they_are_ready_in_the_order_in_which_they_came)
{
	struct asked asked[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
	struct rig rig;

	open_rig(&rig, 10000);
	ask(&rig, &asked[0], 1, traffic(0, N_EVENTS, 1));
	ask(&rig, &asked[1], 2, traffic(0, 1, 1));
	ask(&rig, &asked[2], 3, strdup("no JSON"));
	wait_for(&asked[2]);
	assert_string_equal(rig.order, "abc");
	close_rig(&rig);
}

TEST(who_has_gone_is_not_read)
{
	struct asked asked = {.name = "a"}, other = {.name = "b"};
	struct rig rig;

	open_rig(&rig, 10000);
	rig.deliveries[1] = DELIVERY_LOST;
	ask(&rig, &asked, 1, strdup("no JSON"));
	ask(&rig, &other, 2, strdup("no JSON"));
	wait_for(&other);
	assert_int_equal(asked.code, ERR_HUNG_UP);
	assert_int_equal(other.code, ERR_JSON);
	close_rig(&rig);
}

/* So many of the shortest events. */
static char *shortest(unsigned n)
{
	static const char event[] = "{\"type\":\"stats\",\"stats\":{}},";
	size_t len = sizeof(event) - 1;
	char *body = malloc(n * len + 32), *at = body;

	at += sprintf(at, "{\"events\":[");
	for (unsigned i = 0; i < n; i++, at += len)
		memcpy(at, event, len);
	(void)strcpy(at - 1, "]}");
	return body;
}

TEST(what_is_no_report_or_has_too_many_events_is_told_so)
{
	static const struct {
		const char *body;
		int code;
	} rows[] = {
		{"", ERR_JSON},
		{"{\"events\":[", ERR_JSON},
		{"{}", ERR_NO_EVENTS},
		{"{\"events\":[]}", 0},
		{"{\"events\":[{}]}", 0},
	};
	struct asked most = {.name = "m"}, more = {.name = "n"};
	struct rig rig;

	open_rig(&rig, 10000);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct asked asked = {.name = "", .counters = COUNTERS_CUMULATIVE};

		ask(&rig, &asked, 1, strdup(rows[i].body));
		wait_for(&asked);
		AT_ROW(i, asked.code == rows[i].code);
	}
	ask(&rig, &most, 1, shortest(LARGE_MAX_EVENTS));
	ask(&rig, &more, 1, shortest(LARGE_MAX_EVENTS + 1));
	wait_for(&more);
	assert_int_equal(most.code, 0);
	assert_int_equal(most.n_bookings, LARGE_MAX_EVENTS);
	assert_int_equal(more.code, ERR_MANY_EVENTS);
	close_rig(&rig);
}

TEST(a_close_at_any_step_waits_for_the_pool_and_nothing_fires_behind_it)
{
	for (int n_turns = 0; n_turns < 70; n_turns += n_turns < 10 ? 1 : 7) {
		struct asked asked[] = {
			{.name = "a"}, {.name = "b", .is_refused = true}, {.name = "c"}};
		bool was_ready[COUNT_OF(asked)];
		struct rig rig;

		open_rig(&rig, 10000);
		for (unsigned i = 0; i < COUNT_OF(asked); i++)
			ask(&rig, &asked[i], i, traffic(1000 * i, N_EVENTS, 1));
		for (int i = 0; i < n_turns; i++)
			(void)uv_run(&rig.loop, UV_RUN_ONCE);
		for (unsigned i = 0; i < COUNT_OF(asked); i++)
			was_ready[i] = asked[i].is_ready;
		close_rig(&rig);
		for (unsigned i = 0; i < COUNT_OF(asked); i++) {
			AT_ROW(i, asked[i].is_ready == was_ready[i]);
			free(asked[i].body); /* whose request is still there */
		}
	}
}

/* The door is taken down later, and a body may end before that. */
TEST(what_comes_behind_a_close_is_refused)
{
	static const char body[] = "{\"events\":[]}";
	struct incoming incoming = {.node = "big", .body = body, .len = sizeof(body) - 1};
	struct rig rig;

	open_rig(&rig, 10000);
	large_close(rig.large, on_closed, &rig);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(
			large_submit(rig.large, &incoming, on_ready, NULL), ERR_STOPPING);
		assert_true(loop_run_until_set(&rig.loop, &rig.is_closed, PATIENCE_MS));
	}
	assert_int_equal(uv_loop_close(&rig.loop), 0);
	large_free(rig.large);
	ledger_free(rig.ledger);
}

/* With an escape, so that cJSON is asked. */
static char *unusual(unsigned n)
{
	char *body = traffic(0, n, 1), *longer = malloc(strlen(body) + 8);
	size_t head = (size_t)(strstr(body, "user0") - body);

	(void)sprintf(longer, "%.*s\\u0075%s", (int)head, body, body + head + 1);
	free(body);
	return longer;
}

TEST(short_memory_refuses_one_and_leaves_nothing_of_it)
{
	static struct rig rig;
	bool has_fired = true;
	unsigned n_refused = 0;

	json_init(); /* cJSON's allocations fail, too, and are no bad JSON */
	open_rig(&rig, 10000);
	for (unsigned n = 1; has_fired; n++) {
		struct asked asked = {.name = "", .is_refused = true, .rig = &rig};
		struct incoming incoming = {.node = "big", .connection = 1};
		int code;

		asked.body = unusual(20);
		incoming.body = asked.body;
		incoming.len = strlen(asked.body);
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = large_submit(rig.large, &incoming, on_ready, &asked);
		if (code == 0)
			wait_for(&asked);
		else
			free(asked.body);
		code = code == 0 ? asked.code : code;
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_true(code == 0 || (code == ERR_NOMEM && has_fired));
		n_refused += code != 0;
		assert_true(loop_run_until(&rig.loop, is_free, &rig, PATIENCE_MS));
		assert_int_equal(ledger_bounds(rig.ledger)->used.of[BOUND_MEMORY], 0);
		rig.order[0] = '\0';
	}
	cJSON_InitHooks(NULL);
	assert_true(n_refused > 20);
	close_rig(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			nothing_of_it_is_seen_before_the_turn_in_which_all_of_it_is),
		cmocka_unit_test(who_comes_meanwhile_is_not_held_up_and_is_counted_first),
		cmocka_unit_test(
			what_is_refused_leaves_nothing_but_what_others_have_made_real),
		cmocka_unit_test(
			another_report_that_is_refused_meanwhile_takes_nothing_of_it_away),
		cmocka_unit_test(
			marks_that_become_void_and_go_meanwhile_do_not_count_any_more),
		cmocka_unit_test(
			a_service_that_is_only_prepared_is_not_written_whatever_happens_to_its_node),
		cmocka_unit_test(
			what_there_is_no_room_for_is_rejected_and_who_comes_twice_needs_room_once),
		cmocka_unit_test(they_are_ready_in_the_order_in_which_they_came),
		cmocka_unit_test(who_has_gone_is_not_read),
		cmocka_unit_test(what_is_no_report_or_has_too_many_events_is_told_so),
		cmocka_unit_test(
			a_close_at_any_step_waits_for_the_pool_and_nothing_fires_behind_it),
		cmocka_unit_test(what_comes_behind_a_close_is_refused),
		cmocka_unit_test(short_memory_refuses_one_and_leaves_nothing_of_it),
	};

	return RUN_TESTS(tests);
}
