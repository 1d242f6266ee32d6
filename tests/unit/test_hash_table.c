/* The table of what there may be millions of: against a plain array, while it grows and
 * shrinks. */
#include "lib/test.h"
#include "base/hash.h"
#include "base/hash_table.h"
#include "lib/faults.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 20000

struct thing {
	struct hash_item item;
	bool is_there;
	unsigned met;
	char name[16];
};

static struct thing things[N];

static void begin(struct hash_table *table)
{
	hash_table_init(table, offsetof(struct thing, name));
	memset(things, 0, sizeof(things));
	for (unsigned i = 0; i < N; i++)
		(void)snprintf(things[i].name, sizeof(things[i].name), "u%u", i);
}

static void add(struct hash_table *table, struct thing *thing)
{
	assert_int_equal(hash_table_add(table, &thing->item, strlen(thing->name)), 0);
	thing->is_there = true;
}

static void take_out(struct hash_table *table, struct thing *thing)
{
	hash_table_remove(table, &thing->item);
	thing->is_there = false;
}

static struct thing *find(const struct hash_table *table, const char *name)
{
	return (struct thing *)hash_table_find(table, name, strlen(name));
}

static struct thing *next(const struct hash_table *table, const struct thing *thing)
{
	return (struct thing *)hash_table_next(
		table, thing != NULL ? &thing->item : NULL);
}

static void expect_all(const struct hash_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < N; i++) {
		AT_ROW(i,
			find(table, things[i].name) ==
				(things[i].is_there ? &things[i] : NULL));
		n += things[i].is_there;
	}
	assert_int_equal(table->n, n);
}

TEST(what_was_added_is_found_and_nothing_else_while_it_grows_and_shrinks)
{
	struct hash_table table;

	begin(&table);
	expect_all(&table);
	for (size_t i = 0; i < N; i++) {
		add(&table, &things[i]);
		if (i < 300)
			expect_all(&table);
	}
	expect_all(&table);
	for (size_t i = 0; i < N; i++) {
		take_out(&table, &things[i * 7919 % N]);
		if (i > N - 300)
			expect_all(&table);
	}
	add(&table, &things[5]);
	expect_all(&table);
	hash_table_done(&table);
	hash_table_done(&table); /* an empty one */
}

TEST(any_mix_of_adding_and_removing_keeps_what_is_there)
{
	struct hash_table table;

	srand(3);
	begin(&table);
	for (unsigned round = 0; round < 200000; round++) {
		/* It grows, and shrinks, and grows. */
		unsigned most = round / 50000 % 2 == 0 ? N : 50;
		struct thing *thing = &things[(unsigned)rand() % most];

		if (thing->is_there)
			take_out(&table, thing);
		else
			add(&table, thing);
	}
	expect_all(&table);
	hash_table_done(&table);
}

/* Each bucket has one item or so, however many there are: no look-up is a walk. */
TEST(there_are_as_many_buckets_as_items_and_half_as_many_when_it_shrinks)
{
	struct hash_table table;

	begin(&table);
	for (size_t i = 0; i < N; i++) {
		size_t before = table.n_buckets;

		add(&table, &things[i]);
		AT_ROW(i, table.n_buckets >= table.n && table.n_buckets <= before + 1);
	}
	for (size_t i = 0; i < N; i++) {
		take_out(&table, &things[i]);
		AT_ROW(i, table.n_buckets <= 2 * table.n + 2);
	}
	hash_table_done(&table);
}

/* From each place on: it comes and goes while the walk is there. */
TEST(a_walk_meets_once_who_is_there_all_the_while)
{
	for (unsigned grows = 0; grows < 2; grows++) {
		struct hash_table table;
		struct thing *at = NULL;
		unsigned moved = 1000;

		begin(&table);
		for (size_t i = 0; i < (grows ? 1000 : N); i++)
			add(&table, &things[i]);
		while ((at = next(&table, at)) != NULL) {
			at->met++;
			for (unsigned i = 0; i < 15 && moved < N; i++, moved++) {
				if (grows)
					add(&table, &things[moved]);
				else if (&things[moved] != at)
					take_out(&table, &things[moved]);
			}
		}
		for (size_t i = 0; i < 1000; i++)
			AT_ROW(i, things[i].met == 1);
		for (size_t i = 1000; i < N; i++)
			AT_ROW(i, things[i].met <= 1);
		hash_table_done(&table);
	}
}

TEST(an_empty_table_has_no_first_item_and_the_last_one_no_next)
{
	struct hash_table table;

	begin(&table);
	assert_null(next(&table, NULL));
	add(&table, &things[0]);
	assert_ptr_equal(next(&table, NULL), &things[0]);
	assert_null(next(&table, &things[0]));
	take_out(&table, &things[0]);
	assert_null(next(&table, NULL));
	hash_table_done(&table);
}

/* They are as the key's bytes say, to its length: no look-up stops at a NUL. */
TEST(keys_are_compared_to_their_length)
{
	struct hash_table table;

	begin(&table);
	memcpy(things[0].name, "a\0b", 4);
	memcpy(things[1].name, "a\0c", 4);
	assert_int_equal(hash_table_add(&table, &things[0].item, 3), 0);
	assert_int_equal(hash_table_add(&table, &things[1].item, 3), 0);
	assert_ptr_equal(hash_table_find(&table, "a\0c", 3), &things[1]);
	assert_null(hash_table_find(&table, "a", 1));
	assert_null(hash_table_find(&table, "a\0d", 3));
	hash_table_done(&table);
}

TEST(only_an_empty_table_needs_memory_to_take_an_item)
{
	struct hash_table table;

	begin(&table);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_int_equal(hash_table_add(&table, &things[0].item, 2), ERR_NOMEM);
	faults_reset();
	assert_null(find(&table, "u0"));
	add(&table, &things[0]);
	for (size_t i = 1; i < 1000; i++) {
		faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
		add(&table, &things[i]);
		faults_reset();
	}
	expect_all(&table);
	for (size_t i = 1000; i < 3000; i++) /* and it catches up */
		add(&table, &things[i]);
	expect_all(&table);
	hash_table_done(&table);
}

TEST(fetching_ahead_changes_nothing_and_what_is_found_is_the_same)
{
	struct hash_table table;

	begin(&table);
	for (size_t i = 0; i < 1000; i++) {
		const char *name = things[i].name;
		uint32_t hash = hash_bytes(name, strlen(name));

		hash_table_fetch_bucket(&table, hash);
		hash_table_fetch_item(&table, hash, sizeof(struct thing));
		assert_null(hash_table_find_hashed(&table, name, strlen(name), hash));
		add(&table, &things[i]);
		assert_ptr_equal(hash_table_find_hashed(&table, name, strlen(name), hash),
			&things[i]);
	}
	expect_all(&table);
	hash_table_done(&table);
}

TEST(a_table_of_which_the_size_is_known_does_not_grow_to_it)
{
	struct hash_table table;

	begin(&table);
	hash_table_reserve(&table, N - 100);
	hash_table_reserve(&table, 10); /* it has room for more */
	for (size_t i = 0; i < N; i++) {
		add(&table, &things[i]);
		AT_ROW(i, table.n_buckets == (i < N - 100 ? N - 100 : i + 1));
		if (i % 1000 == 0)
			expect_all(&table);
	}
	expect_all(&table);
	for (size_t i = 0; i < N; i++)
		take_out(&table, &things[i]);
	expect_all(&table);
	hash_table_done(&table);
}

TEST(a_table_that_is_made_larger_keeps_what_is_there)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, N};
	struct hash_table table;

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		struct thing *at = NULL;

		begin(&table);
		for (size_t j = 0; j < 100; j++)
			add(&table, &things[j]);
		hash_table_reserve(&table, sizes[i]);
		expect_all(&table);
		while ((at = next(&table, at)) != NULL)
			at->met++;
		for (size_t j = 0; j < 100; j++)
			AT_ROW(i, things[j].met == 1);
		hash_table_done(&table);
	}
}

TEST(short_memory_for_its_size_only_makes_a_table_that_grows)
{
	struct hash_table table;

	for (unsigned n = 1; n <= 5; n++) {
		begin(&table);
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		hash_table_reserve(&table, 1000);
		assert_true(faults_fired(FAULT_MEMORY));
		faults_reset();
		AT_ROW(n, table.n_buckets < 1000);
		for (size_t i = 0; i < 2000; i++)
			add(&table, &things[i]);
		expect_all(&table);
		hash_table_done(&table);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			what_was_added_is_found_and_nothing_else_while_it_grows_and_shrinks),
		cmocka_unit_test(any_mix_of_adding_and_removing_keeps_what_is_there),
		cmocka_unit_test(
			there_are_as_many_buckets_as_items_and_half_as_many_when_it_shrinks),
		cmocka_unit_test(a_walk_meets_once_who_is_there_all_the_while),
		cmocka_unit_test(
			an_empty_table_has_no_first_item_and_the_last_one_no_next),
		cmocka_unit_test(keys_are_compared_to_their_length),
		cmocka_unit_test(only_an_empty_table_needs_memory_to_take_an_item),
		cmocka_unit_test(
			fetching_ahead_changes_nothing_and_what_is_found_is_the_same),
		cmocka_unit_test(a_table_of_which_the_size_is_known_does_not_grow_to_it),
		cmocka_unit_test(a_table_that_is_made_larger_keeps_what_is_there),
		cmocka_unit_test(short_memory_for_its_size_only_makes_a_table_that_grows),
	};

	return RUN_TESTS(tests);
}
