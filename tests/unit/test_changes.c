/* What many rows have changed since the last cut: numbers, taking, and short memory. */
#include "lib/test.h"
#include "account/changes.h"
#include "lib/faults.h"

#include <errno.h>

#define N 5000

struct entry {
	uint64_t value[3];
};

static struct entry *add(struct changes *changes, uint64_t *ret_number)
{
	assert_int_equal(changes_reserve(changes, 1), 0);
	return changes_add(changes, ret_number);
}

TEST(an_entry_is_zeroed_and_found_by_its_number_until_it_is_taken)
{
	uint64_t numbers[N], later;
	struct changes changes, taken;

	changes_init(&changes, sizeof(struct entry));
	assert_null(changes_find(&changes, 0));
	for (size_t i = 0; i < N; i++) {
		struct entry *entry = add(&changes, &numbers[i]);

		AT_ROW(i, entry->value[0] == 0 && entry->value[2] == 0);
		entry->value[2] = i;
	}
	for (size_t i = 0; i < N; i++) {
		AT_ROW(i, changes_find(&changes, numbers[i]) == changes_at(&changes, i));
		AT_ROW(i, ((struct entry *)changes_at(&changes, i))->value[2] == i);
	}
	taken = changes_take(&changes);
	assert_int_equal(changes.n, 0);
	for (size_t i = 0; i < N; i++)
		AT_ROW(i, changes_find(&changes, numbers[i]) == NULL);
	(void)add(&changes, &later);
	assert_true(later > numbers[N - 1]);
	assert_int_equal(taken.n, N);
	changes_done(&taken);
	changes_done(&changes);
}

/* So that it does not matter how many there are. */
TEST(all_are_taken_without_touching_one)
{
	struct changes changes, taken;
	const void *entries[N];
	uint64_t number;

	changes_init(&changes, sizeof(struct entry));
	for (size_t i = 0; i < N; i++)
		entries[i] = add(&changes, &number);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	taken = changes_take(&changes);
	assert_false(faults_fired(FAULT_MEMORY));
	faults_reset();
	for (size_t i = 0; i < N; i++)
		AT_ROW(i, changes_at(&taken, i) == entries[i]);
	changes_done(&taken);
	changes_done(&changes);
}

TEST(a_number_is_in_the_cut_from_taking_to_its_end)
{
	uint64_t before, in_cut, after;
	struct changes changes, taken;

	changes_init(&changes, sizeof(struct entry));
	(void)add(&changes, &before);
	taken = changes_take(&changes);
	changes_done(&taken);
	changes_end_cut(&changes);
	assert_false(changes_have_cut(&changes));
	(void)add(&changes, &in_cut);
	assert_false(changes_is_in_cut(&changes, in_cut));
	taken = changes_take(&changes);
	(void)add(&changes, &after);
	assert_true(changes_have_cut(&changes));
	assert_true(changes_is_in_cut(&changes, in_cut));
	assert_false(changes_is_in_cut(&changes, before));
	assert_false(changes_is_in_cut(&changes, after));
	assert_false(changes_is_in_cut(&changes, 0));
	changes_done(&taken);
	changes_end_cut(&changes);
	assert_false(changes_is_in_cut(&changes, in_cut));
	changes_done(&changes);
}

TEST(room_that_was_made_needs_no_memory_and_short_memory_loses_nothing)
{
	struct changes changes;
	uint64_t number;

	changes_init(&changes, sizeof(struct entry));
	((struct entry *)add(&changes, &number))->value[0] = 7;
	for (unsigned n = 1;; n++) {
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = changes_reserve(&changes, N);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		assert_int_equal(changes.n, 1);
		assert_int_equal(((struct entry *)changes_at(&changes, 0))->value[0], 7);
		if (!has_fired)
			break;
	}
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	for (size_t i = 0; i < N; i++)
		(void)changes_add(&changes, &number);
	assert_int_equal(changes_reserve(&changes, 0), 0);
	assert_false(faults_fired(FAULT_MEMORY));
	faults_reset();
	assert_int_equal(changes.n, N + 1);
	changes_done(&changes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			an_entry_is_zeroed_and_found_by_its_number_until_it_is_taken),
		cmocka_unit_test(all_are_taken_without_touching_one),
		cmocka_unit_test(a_number_is_in_the_cut_from_taking_to_its_end),
		cmocka_unit_test(
			room_that_was_made_needs_no_memory_and_short_memory_loses_nothing),
	};

	return RUN_TESTS(tests);
}
