/* The order in which rows are written: that of the table's key, as SQLite has it. */
#include "lib/test.h"
#include "lib/faults.h"
#include "lib/sample.h"
#include "store/internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Each differs from another in the 8th, 16th, 17th byte, or by its end. */
static const char *const names[] = {"b", "a", "", "ab", "a\xc3\xa4", "aaaaaaab",
	"aaaaaaaa", "aaaaaaaaaaaaaaab", "aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaab",
	"aaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa/and a long end",
	"aaaaaaaaaaaaaaaa/and a long ene", "Z", "~", "\xf4\x8f\xbf\xbf", "aaaaaaa",
	"aaaaaaaaaaaaaaa"};

static void book(struct ledger *ledger, const char *node, enum event_kind kind,
	const char *service, const char *client)
{
	struct booking booking = sample_traffic(service, client, 1, 0);
	struct bookings bookings = {&booking, 1, 1};

	booking.kind = kind;
	booking.has_mark = true;
	assert_int_equal(ledger_prepare(ledger, node, &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = ledger_seq(ledger) + 1,
			.conn = ledger_seq(ledger) + 1,
			.time_ms = 2000});
}

TEST(users_are_in_the_order_of_their_ids)
{
	struct ledger *ledger = ledger_new(10000, false);
	struct order_row *rows;
	struct cut *cut;

	for (unsigned i = 0; i < 3000; i++)
		book(ledger, "n", KIND_HANDLER, "s", sample_name(i * 7919 % 3000));
	for (size_t i = 0; i < COUNT_OF(names); i++)
		if (names[i][0] != '\0')
			book(ledger, "n", KIND_HANDLER, "s", names[i]);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->users.n, 3000 + COUNT_OF(names) - 1);
	rows = order_users(cut);
	for (size_t i = 0; i < cut->users.n; i++) {
		const struct cut_user *row = rows[i].row;

		AT_ROW(i, rows[i].name == row->user->id);
		AT_ROW(i, i == 0 || strcmp(rows[i - 1].name, rows[i].name) < 0);
	}
	free(rows);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

/* As a text that sorts as the key does. */
static void make_key(const struct order_row *row, char ret_key[512])
{
	const struct cut_series *series = row->row;
	const struct service *service = series->series->service;

	(void)snprintf(ret_key, 512, "%s\x01%s\x01%s\x01%s", service->node,
		service->kind == KIND_SERVICE ? "service" : "handler", service->name,
		series->series->client);
}

TEST(series_are_in_the_order_of_node_kind_service_and_client_without_those_that_went)
{
	static const char *const nodes[] = {"m", "n", "", "nn"};
	struct ledger *ledger = ledger_new(10000, false);
	char keys[2][512] = {""};
	struct order_row *rows;
	struct cut *cut;
	size_t n, expected = 0;

	for (size_t i = 0; i < 4 * 2 * 3 * COUNT_OF(names); i++) {
		size_t j = i * 7919 % (4 * 2 * 3 * COUNT_OF(names));

		book(ledger, nodes[j % 4], j / 4 % 2 == 0 ? KIND_HANDLER : KIND_SERVICE,
			names[j / 8 % 3], names[j / 24]);
		expected++;
	}
	cut = ledger_cut(ledger);
	assert_int_equal(cut->series.n, expected);
	for (size_t i = 0; i < expected; i += 5)
		((struct cut_series *)cut_series(cut, i))->series = NULL;
	rows = order_series(cut, &n);
	assert_int_equal(n, expected - (expected + 4) / 5);
	for (size_t i = 0; i < n; i++) {
		make_key(&rows[i], keys[i % 2]);
		AT_ROW(i, i == 0 || strcmp(keys[(i + 1) % 2], keys[i % 2]) < 0);
	}
	free(rows);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(short_memory_is_told)
{
	struct ledger *ledger = ledger_new(10, false);
	struct cut *cut;
	size_t n;

	sample_book(ledger, "a", 1, 0);
	cut = ledger_cut(ledger);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_null(order_users(cut));
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_null(order_series(cut, &n));
	faults_reset();
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_are_in_the_order_of_their_ids),
		cmocka_unit_test(
			series_are_in_the_order_of_node_kind_service_and_client_without_those_that_went),
		cmocka_unit_test(short_memory_is_told),
	};

	return RUN_TESTS(tests);
}
