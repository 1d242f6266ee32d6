/* Nodes, and commands as the ledger keeps them: test_ledger.c has users and services. */
#include "lib/test.h"
#include "account/cut.h"
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
	return ledger;
}

static struct cut *cut_of(struct ledger *ledger)
{
	struct cut *cut = ledger_cut(ledger);

	assert_non_null(cut);
	return cut;
}

static void commit(struct ledger *ledger)
{
	ledger_cut_committed(ledger, cut_of(ledger));
}

/* One effect, as the next record. */
static void do_one(struct ledger *ledger, const char *key, struct effect effect)
{
	struct command command = sample_command(
		"node.set", key, effect.node[0] != '\0' ? effect.node : "x", &effect, 1);

	sample_do(ledger, &command, 1000);
}

static void set_node(struct ledger *ledger, const char *name, struct node_kept kept)
{
	do_one(ledger, "",
		(struct effect){.kind = EFFECT_NODE, .node = name, .kept = kept});
}

static void set_open(struct ledger *ledger, bool is_open)
{
	do_one(ledger, "",
		(struct effect){.kind = EFFECT_OPEN, .node = "", .is_open = is_open});
}

static void forget(struct ledger *ledger, enum effect_kind kind, const char *name)
{
	do_one(ledger, "", (struct effect){.kind = kind, .node = name});
}

static size_t n_audit(const struct cut *cut)
{
	const struct audit_entry *entry;
	size_t n = 0;

	TAILQ_FOREACH (entry, &cut->audit, link)
		n++;
	return n;
}

/* Nodes */

TEST(a_node_is_as_the_last_command_says_and_nodes_and_secrets_are_counted)
{
	struct ledger *ledger = new_ledger();
	struct node_kept without = {.is_enabled = true}, deleted = sample_node(0);
	const struct node *node;

	deleted.deleted_ms = 5;
	assert_null(ledger_find_node(ledger, "n"));
	assert_null(ledger_next_node(ledger, NULL));
	set_node(ledger, "n", sample_node(1));
	set_node(ledger, "m", without);
	assert_int_equal(ledger_n_nodes(ledger), 2);
	assert_int_equal(ledger_n_secrets(ledger), 1);
	set_node(ledger, "m", sample_node(2));
	set_node(ledger, "m", sample_node(3));
	assert_int_equal(ledger_n_nodes(ledger), 2);
	assert_int_equal(ledger_n_secrets(ledger), 2);
	node = ledger_find_node(ledger, "m");
	assert_non_null(node);
	assert_string_equal(node->name, "m");
	assert_memory_equal(
		&node->kept, &(struct node_kept[]){sample_node(3)}, sizeof(node->kept));
	set_node(ledger, "n", deleted);
	assert_int_equal(ledger_n_nodes(ledger), 2);
	assert_int_equal(ledger_n_secrets(ledger), 1);
	assert_non_null(ledger_find_node(ledger, "n")); /* deleted, and kept */
	forget(ledger, EFFECT_FORGET_NODE, "n");
	forget(ledger, EFFECT_FORGET_NODE, "n");
	forget(ledger, EFFECT_FORGET_NODE, "never");
	assert_int_equal(ledger_n_nodes(ledger), 1);
	assert_int_equal(ledger_n_secrets(ledger), 1);
	assert_null(ledger_find_node(ledger, "n"));
	assert_ptr_equal(ledger_next_node(ledger, NULL), ledger_find_node(ledger, "m"));
	assert_null(ledger_next_node(ledger, ledger_find_node(ledger, "m")));
	set_node(ledger, "m", without);
	assert_int_equal(ledger_n_secrets(ledger), 0);
	set_node(ledger, "m", sample_node(2));
	forget(ledger, EFFECT_FORGET_NODE, "m"); /* with its secret */
	assert_int_equal(ledger_n_nodes(ledger), 0);
	assert_int_equal(ledger_n_secrets(ledger), 0);
	ledger_free(ledger);
}

static bool knows(const struct ledger *ledger, const char *secret, uint64_t now_ms)
{
	uint8_t hash[NODE_HASH_BYTES];

	node_hash_secret("n", secret, strlen(secret), hash);
	return node_knows_hash(ledger_find_node(ledger, "n"), hash, now_ms);
}

TEST(a_secret_is_known_the_old_one_within_its_grace_and_none_of_a_deleted_node)
{
	struct ledger *ledger = new_ledger();
	struct node_kept kept = {.is_enabled = true};

	set_node(ledger, "n", kept);
	assert_false(knows(ledger, "", 1));
	assert_false(knows(ledger, "one", 1));
	kept.has_secret = true;
	node_hash_secret("n", "one", 3, kept.secret);
	set_node(ledger, "n", kept);
	assert_true(knows(ledger, "one", 1));
	assert_false(knows(ledger, "on", 1));
	assert_false(knows(ledger, "onet", 1));
	assert_false(knows(ledger, "", 1));
	memcpy(kept.old_secret, kept.secret, NODE_HASH_BYTES);
	kept.old_until_ms = 100;
	node_hash_secret("n", "two", 3, kept.secret);
	set_node(ledger, "n", kept);
	assert_true(knows(ledger, "two", 1));
	assert_true(knows(ledger, "two", 1000));
	assert_true(knows(ledger, "one", 99));
	assert_false(knows(ledger, "one", 100));
	assert_false(knows(ledger, "one", 1000));
	kept.is_enabled = false; /* that is another question */
	set_node(ledger, "n", kept);
	assert_true(knows(ledger, "two", 1));
	kept.deleted_ms = 1;
	set_node(ledger, "n", kept);
	assert_false(knows(ledger, "two", 1));
	assert_false(knows(ledger, "one", 1));
	ledger_free(ledger);
}

TEST(equal_secrets_of_two_nodes_have_hashes_that_do_not_look_alike)
{
	uint8_t hashes[4][NODE_HASH_BYTES];

	node_hash_secret("a", "secret", 6, hashes[0]);
	node_hash_secret("b", "secret", 6, hashes[1]);
	node_hash_secret("as", "ecret", 5, hashes[2]);
	node_hash_secret("a", "secret", 5, hashes[3]);
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < i; j++)
			AT_ROW(i, memcmp(hashes[i], hashes[j], NODE_HASH_BYTES) != 0);
}

TEST(a_directory_is_open_until_it_is_closed_and_that_is_dirty_until_committed)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	assert_true(ledger_is_open(ledger));
	cut = cut_of(ledger);
	assert_false(cut->has_open);
	ledger_cut_committed(ledger, cut);
	set_open(ledger, false);
	assert_false(ledger_is_open(ledger));
	cut = cut_of(ledger);
	assert_true(cut->has_open && !cut->is_open);
	set_open(ledger, true); /* while it is out */
	ledger_cut_committed(ledger, cut);
	assert_true(ledger_is_dirty(ledger));
	cut = cut_of(ledger);
	assert_true(cut->has_open && cut->is_open);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_load_is_open(ledger, false);
	assert_false(ledger_is_open(ledger));
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(a_ledger_is_new_until_anything_was_counted_commanded_linked_or_loaded)
{
	for (int i = 0; i < 5; i++) {
		struct ledger *ledger = new_ledger();
		struct link_record link = {.at_ms = 1};
		struct node_kept kept = {.is_enabled = true};

		assert_true(ledger_is_new(ledger));
		if (i == 0)
			sample_book(ledger, "a", 1, 1);
		else if (i == 1)
			set_open(ledger, true);
		else if (i == 2)
			ledger_load_link(ledger, &link);
		else if (i == 3)
			assert_int_equal(ledger_load_node(ledger, "n", &kept), 0);
		else
			ledger_set_applied_seq(ledger, 1);
		AT_ROW(i, !ledger_is_new(ledger));
		ledger_free(ledger);
	}
}

/* Marks and open reports */

static void report(
	struct ledger *ledger, const char *node, enum event_kind kind, uint64_t value)
{
	struct booking booking = sample_traffic("s", "u", value, 0);
	struct bookings bookings = {&booking, 1, 1};
	struct origin origin = {.seq = ledger_seq(ledger) + 1,
		.conn = ledger_seq(ledger) + 1,
		.time_ms = 2000};

	booking.kind = kind;
	booking.counters.total_conns = 1;
	booking.has_mark = true;
	assert_int_equal(ledger_prepare(ledger, node, &bookings), 0);
	ledger_measure(ledger, &bookings);
	ledger_apply(ledger, &bookings, &origin);
}

static uint64_t used(const struct ledger *ledger)
{
	return ledger_find_user(ledger, "u")->total.used;
}

static size_t n_open(const struct ledger *ledger)
{
	struct ledger_stats stats;

	ledger_get_stats(ledger, &stats);
	return stats.open_reports;
}

TEST(a_deleted_node_that_comes_back_goes_on_at_its_marks)
{
	struct ledger *ledger = new_ledger();
	struct node_kept kept = sample_node(1);

	report(ledger, "n", KIND_HANDLER, 100);
	kept.deleted_ms = 1;
	set_node(ledger, "n", kept);
	assert_int_equal(n_open(ledger), 1);
	kept.deleted_ms = 0;
	set_node(ledger, "n", kept);
	assert_int_equal(n_open(ledger), 1);
	report(ledger, "n", KIND_HANDLER, 130);
	assert_int_equal(used(ledger), 130);
	ledger_free(ledger);
}

TEST(forgotten_marks_count_in_full_of_that_node_alone_and_its_open_reports_stay)
{
	struct ledger *ledger = new_ledger();
	const struct service *service = NULL;

	report(ledger, "n", KIND_HANDLER, 100);
	report(ledger, "n", KIND_SERVICE, 100);
	report(ledger, "m", KIND_HANDLER, 100);
	commit(ledger);
	forget(ledger, EFFECT_FORGET_MARKS, "n");
	assert_int_equal(n_open(ledger), 3);
	report(ledger, "n", KIND_HANDLER, 120);
	report(ledger, "m", KIND_HANDLER, 120);
	assert_int_equal(used(ledger), 200 + 120 + 20);
	report(ledger, "n", KIND_SERVICE, 110);
	report(ledger, "n", KIND_SERVICE, 115);
	while ((service = ledger_next_service(ledger, service)) != NULL)
		if (service->kind == KIND_SERVICE)
			assert_int_equal(service->last.input_bytes, 100 + 110 + 5);
	report(ledger, "n", KIND_HANDLER, 121); /* marks are kept again */
	assert_int_equal(used(ledger), 200 + 120 + 20 + 1);
	ledger_free(ledger);
}

TEST(a_forgotten_node_counts_in_full_and_its_open_reports_lapse)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	report(ledger, "n", KIND_HANDLER, 100);
	report(ledger, "m", KIND_HANDLER, 100);
	set_node(ledger, "n", sample_node(1));
	commit(ledger);
	forget(ledger, EFFECT_FORGET_NODE, "n");
	assert_int_equal(n_open(ledger), 1);
	cut = cut_of(ledger);
	assert_int_equal(cut->n_nodes, 1);
	assert_true(cut->nodes[0].is_gone);
	assert_int_equal(cut->n_streams, 1); /* of which none is open any more */
	assert_int_equal(cut->n_open_reports, 0);
	assert_int_equal(cut->n_services, 1); /* its epoch */
	assert_int_equal(cut->users.n, 0);
	ledger_cut_committed(ledger, cut);
	report(ledger, "n", KIND_HANDLER, 120);
	report(ledger, "m", KIND_HANDLER, 101);
	assert_int_equal(used(ledger), 200 + 120 + 1);
	ledger_free(ledger);
}

/* What a start makes of the same records is the same. */
TEST(marks_that_were_forgotten_stay_so_over_a_checkpoint)
{
	struct ledger *ledger = new_ledger(), *loaded = new_ledger();
	struct cut *cut;

	report(ledger, "n", KIND_HANDLER, 100);
	forget(ledger, EFFECT_FORGET_MARKS, "n");
	cut = cut_of(ledger);
	assert_int_equal(ledger_load_service(loaded, "n", KIND_HANDLER, "s",
				 &cut->services[0].last, "", &cut->services[0].epoch, 1),
		0);
	assert_int_equal(ledger_load_series(loaded, "n", KIND_HANDLER, "s", "u",
				 &cut_series(cut, 0)->mark),
		0);
	ledger_cut_committed(ledger, cut);
	report(loaded, "n", KIND_HANDLER, 120);
	assert_int_equal(used(loaded), 120);
	ledger_free(loaded);
	ledger_free(ledger);
}

/* Cuts */

TEST(nodes_that_change_while_a_cut_is_out_are_as_they_were_in_it_and_in_the_next)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	set_node(ledger, "a", sample_node(1));
	set_node(ledger, "b", sample_node(2));
	set_node(ledger, "c", sample_node(3));
	cut = cut_of(ledger);
	assert_int_equal(cut->n_nodes, 3);
	set_node(ledger, "b", sample_node(5));
	forget(ledger, EFFECT_FORGET_NODE, "c");
	set_node(ledger, "d", sample_node(6));
	/* What is out does not change. */
	assert_memory_equal(&cut->nodes[1].kept, &(struct node_kept[]){sample_node(2)},
		sizeof(struct node_kept));
	assert_false(cut->nodes[2].is_gone);
	ledger_cut_committed(ledger, cut);
	cut = cut_of(ledger);
	assert_int_equal(cut->n_nodes, 3); /* not a, which is as it was */
	for (size_t i = 0; i < 3; i++) {
		const struct cut_node *row = &cut->nodes[i];
		unsigned expected[] = {1, 5, 0, 6};
		unsigned of = (unsigned)(row->node->name[0] - 'a');
		struct node_kept kept = sample_node(expected[of]);

		AT_ROW(i, row->is_gone == (of == 2));
		AT_ROW(i, of == 2 || memcmp(&row->kept, &kept, sizeof(kept)) == 0);
	}
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	cut = cut_of(ledger);
	assert_int_equal(cut->n_nodes, 0);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(a_node_that_is_made_again_before_its_going_was_written_does_not_go)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	set_node(ledger, "a", sample_node(1));
	commit(ledger);
	forget(ledger, EFFECT_FORGET_NODE, "a");
	set_node(ledger, "a", sample_node(2));
	cut = cut_of(ledger);
	assert_int_equal(cut->n_nodes, 1);
	assert_false(cut->nodes[0].is_gone);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

static void expect_audit(const struct cut *cut, uint64_t first, uint64_t last)
{
	const struct audit_entry *entry;

	assert_int_equal(n_audit(cut), last + 1 - first);
	TAILQ_FOREACH (entry, &cut->audit, link)
		assert_int_equal(entry->seq, first++);
}

TEST(an_entry_of_the_audit_is_in_one_cut)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	set_open(ledger, false);
	set_open(ledger, true);
	cut = cut_of(ledger);
	expect_audit(cut, 1, 2);
	set_open(ledger, false);
	expect_audit(cut, 1, 2);
	ledger_cut_committed(ledger, cut);
	set_open(ledger, true);
	cut = cut_of(ledger);
	expect_audit(cut, 3, 4);
	set_open(ledger, false);
	ledger_cut_committed(ledger, cut);
	cut = cut_of(ledger);
	expect_audit(cut, 5, 5);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(a_command_that_changes_no_row_is_dirty_for_its_audit)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	forget(ledger, EFFECT_FORGET_MARKS, "never");
	assert_true(ledger_is_dirty(ledger));
	cut = cut_of(ledger);
	expect_audit(cut, 1, 1);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(a_row_of_audit_has_every_text_and_outlives_the_command)
{
	struct ledger *ledger = new_ledger();
	char texts[7][16] = {
		"actor", "verb", "subject", "before", "after", "reason", "key"};
	struct command command = {.actor = texts[0],
		.verb = texts[1],
		.subject = texts[2],
		.before = texts[3],
		.after = texts[4],
		.reason = texts[5],
		.key = texts[6],
		.arguments = "",
		.answer = "answer",
		.status = 201};
	const struct audit_entry *entry;
	const struct done_command *done;
	struct cut *cut;

	sample_do(ledger, &command, 1234);
	memset(texts, 'x', sizeof(texts));
	cut = cut_of(ledger);
	entry = TAILQ_FIRST(&cut->audit);
	assert_int_equal(entry->seq, 1);
	assert_int_equal(entry->at_ms, 1234);
	assert_string_equal(entry->actor, "actor");
	assert_string_equal(entry->verb, "verb");
	assert_string_equal(entry->subject, "subject");
	assert_string_equal(entry->before, "before");
	assert_string_equal(entry->after, "after");
	assert_string_equal(entry->reason, "reason");
	assert_string_equal(entry->key, "key");
	assert_int_equal(cut->n_commands, 1);
	done = cut->commands[0];
	assert_string_equal(done->actor, "actor");
	assert_string_equal(done->key, "key");
	assert_string_equal(done->answer, "answer");
	assert_int_equal(done->status, 201);
	assert_int_equal(done->seq, 1);
	assert_int_equal(done->at_ms, 1234);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

TEST(short_memory_while_cutting_moves_nothing_of_nodes_and_commands)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;
	unsigned n = 1;

	sample_book(ledger, "a", 1, 2);
	do_one(ledger, "k",
		(struct effect){
			.kind = EFFECT_NODE, .node = "n", .kept = sample_node(1)});
	set_open(ledger, false);
	for (;; n++) {
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		cut = ledger_cut(ledger);
		faults_reset();
		if (cut != NULL)
			break;
		AT_ROW(n, ledger_is_dirty(ledger));
	}
	assert_int_equal(n, 8);
	assert_int_equal(cut->n_nodes, 1);
	assert_int_equal(cut->n_commands, 1);
	assert_true(cut->has_open);
	expect_audit(cut, 2, 3);
	ledger_cut_committed(ledger, cut);
	assert_false(ledger_is_dirty(ledger));
	ledger_free(ledger);
}

TEST(short_memory_while_preparing_a_command_changes_nothing_that_can_be_seen)
{
	struct effect effects[] = {
		{.kind = EFFECT_NODE, .node = "n", .kept = sample_node(1)},
		{.kind = EFFECT_NODE, .node = "m", .kept = sample_node(2)},
		{.kind = EFFECT_OPEN, .node = "", .is_open = false}};
	unsigned n = 1;
	int code = ERR_NOMEM;

	for (; code != 0; n++) {
		struct ledger *ledger = new_ledger();
		struct command command =
			sample_command("v", "key", "n", effects, COUNT_OF(effects));

		/* The first one makes uthash's table, and that ends the process. */
		set_node(ledger, "first", sample_node(0));
		commit(ledger);
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = ledger_prepare_command(ledger, &command);
		faults_reset();
		AT_ROW(n, code == 0 || code == ERR_NOMEM);
		/* Nor does one that was prepared and not written. */
		ledger_forget_command(&command);
		AT_ROW(n, ledger_n_nodes(ledger) == 1);
		AT_ROW(n, ledger_find_node(ledger, "n") == NULL);
		AT_ROW(n,
			ledger_next_node(ledger, ledger_find_node(ledger, "first")) ==
				NULL);
		AT_ROW(n, ledger_find_command(ledger, "uid:7", "key") == NULL);
		AT_ROW(n, ledger_is_open(ledger) && ledger_seq(ledger) == 1);
		AT_ROW(n, !ledger_is_dirty(ledger));
		sample_do(ledger, &command, 1000);
		AT_ROW(n, ledger_n_nodes(ledger) == 3);
		ledger_free(ledger);
	}
	assert_int_equal(n, 8); /* audit, done, and each node with its tenant */
}

/* Keys */

static void do_key(struct ledger *ledger, const char *actor, const char *key,
	const char *answer, uint64_t time_ms)
{
	struct command command = sample_command("v", key, "n", NULL, 0);

	command.actor = actor;
	command.answer = answer;
	sample_do(ledger, &command, time_ms);
}

TEST(a_command_is_found_by_actor_and_key_alone)
{
	static const struct {
		const char *actor, *key;
	} rows[] = {{"uid:1", "k"}, {"uid:2", "k"}, {"uid:1", "kk"}, {"uid:1k", "k"},
		{"uid:", "1k"}, {"u", "k"}};
	struct ledger *ledger = new_ledger();

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		AT_ROW(i,
			ledger_find_command(ledger, rows[i].actor, rows[i].key) == NULL);
		do_key(ledger, rows[i].actor, rows[i].key, rows[i].actor, 1000);
	}
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		const struct done_command *done =
			ledger_find_command(ledger, rows[i].actor, rows[i].key);

		AT_ROW(i, done != NULL && done->seq == i + 1);
		AT_ROW(i, strcmp(done->answer, rows[i].actor) == 0);
	}
	do_key(ledger, "uid:1", "", "", 1000);
	assert_null(ledger_find_command(ledger, "uid:1", ""));
	ledger_free(ledger);
}

static struct cut *cut_with(struct ledger *ledger, size_t n_commands)
{
	struct cut *cut = cut_of(ledger);

	assert_int_equal(cut->n_commands, n_commands);
	return cut;
}

TEST(a_done_command_is_in_one_cut)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	do_key(ledger, "a", "1", "", 1000);
	do_key(ledger, "a", "2", "", 1000);
	cut = cut_with(ledger, 2);
	do_key(ledger, "a", "3", "", 1000);
	ledger_cut_committed(ledger, cut);
	cut = cut_with(ledger, 1);
	assert_string_equal(cut->commands[0]->key, "3");
	ledger_cut_committed(ledger, cut);
	ledger_cut_committed(ledger, cut_with(ledger, 0));
	assert_non_null(ledger_find_command(ledger, "a", "1"));
	ledger_free(ledger);
}

TEST(a_key_is_kept_for_seven_days_and_never_freed_while_a_cut_points_to_it)
{
	const uint64_t begin = 1000, over = begin + COMMANDS_KEPT_MS;
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	do_key(ledger, "a", "1", "one", begin);
	do_key(ledger, "a", "2", "two", over); /* not yet, and it is dirty */
	assert_non_null(ledger_find_command(ledger, "a", "1"));
	do_key(ledger, "a", "3", "", over + 1);
	assert_non_null(ledger_find_command(ledger, "a", "1")); /* dirty */
	cut = cut_with(ledger, 3);
	do_key(ledger, "a", "4", "", over + 2);
	do_key(ledger, "a", "5", "", over + 3);
	do_key(ledger, "a", "6", "", over + 4);
	assert_string_equal(cut->commands[0]->answer, "one"); /* in a cut */
	for (size_t i = 0; i < 3; i++)
		assert_non_null(ledger_find_command(ledger, "a", cut->commands[i]->key));
	ledger_cut_committed(ledger, cut);
	do_key(ledger, "a", "7", "", over + 5);
	assert_null(ledger_find_command(ledger, "a", "1"));
	assert_non_null(ledger_find_command(ledger, "a", "2"));
	do_key(ledger, "a", "1", "again", over + 6);
	assert_string_equal(ledger_find_command(ledger, "a", "1")->answer, "again");
	ledger_free(ledger);
}

TEST(of_commands_the_last_hundred_thousand_are_kept)
{
	struct ledger *ledger = new_ledger();
	struct command command = sample_command("v", "", "n", NULL, 0);
	char key[16];
	struct cut *cut;

	command.key = key;
	for (unsigned i = 1; i <= COMMANDS_KEPT + 10; i++) {
		(void)snprintf(key, sizeof(key), "%u", i);
		sample_do(ledger, &command, 1000);
	}
	cut = cut_with(ledger, COMMANDS_KEPT + 10); /* too many, and none may go */
	assert_non_null(ledger_find_command(ledger, "uid:7", "1"));
	ledger_cut_committed(ledger, cut);
	(void)snprintf(key, sizeof(key), "last");
	sample_do(ledger, &command, 1000);
	assert_null(ledger_find_command(ledger, "uid:7", "11"));
	assert_non_null(ledger_find_command(ledger, "uid:7", "12"));
	assert_non_null(ledger_find_command(ledger, "uid:7", "last"));
	commit(ledger);
	ledger_free(ledger);
}

/* Lives */

TEST(the_record_that_makes_a_user_is_its_life_and_no_later_one_changes_that)
{
	struct ledger *ledger = new_ledger();
	struct cut *cut;

	set_open(ledger, true);
	assert_int_equal(
		ledger_load_user(ledger, "old", (struct totals){1, 1, 0}, 5, 0), 0);
	sample_book(ledger, "u", 1, 1);
	sample_book(ledger, "u", 1, 1);
	sample_book(ledger, "old", 1, 1);
	assert_int_equal(ledger_find_user(ledger, "u")->life, 2);
	assert_int_equal(ledger_find_user(ledger, "old")->life, 0);
	cut = cut_of(ledger);
	for (size_t i = 0; i < cut->users.n; i++)
		AT_ROW(i,
			cut_user(cut, i)->user->life ==
				(strcmp(cut_user(cut, i)->user->id, "u") == 0 ? 2 : 0));
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_node_is_as_the_last_command_says_and_nodes_and_secrets_are_counted),
		cmocka_unit_test(
			a_secret_is_known_the_old_one_within_its_grace_and_none_of_a_deleted_node),
		cmocka_unit_test(
			equal_secrets_of_two_nodes_have_hashes_that_do_not_look_alike),
		cmocka_unit_test(
			a_directory_is_open_until_it_is_closed_and_that_is_dirty_until_committed),
		cmocka_unit_test(
			a_ledger_is_new_until_anything_was_counted_commanded_linked_or_loaded),
		cmocka_unit_test(a_deleted_node_that_comes_back_goes_on_at_its_marks),
		cmocka_unit_test(
			forgotten_marks_count_in_full_of_that_node_alone_and_its_open_reports_stay),
		cmocka_unit_test(
			a_forgotten_node_counts_in_full_and_its_open_reports_lapse),
		cmocka_unit_test(marks_that_were_forgotten_stay_so_over_a_checkpoint),
		cmocka_unit_test(
			nodes_that_change_while_a_cut_is_out_are_as_they_were_in_it_and_in_the_next),
		cmocka_unit_test(
			a_node_that_is_made_again_before_its_going_was_written_does_not_go),
		cmocka_unit_test(an_entry_of_the_audit_is_in_one_cut),
		cmocka_unit_test(a_command_that_changes_no_row_is_dirty_for_its_audit),
		cmocka_unit_test(a_row_of_audit_has_every_text_and_outlives_the_command),
		cmocka_unit_test(
			short_memory_while_cutting_moves_nothing_of_nodes_and_commands),
		cmocka_unit_test(
			short_memory_while_preparing_a_command_changes_nothing_that_can_be_seen),
		cmocka_unit_test(a_command_is_found_by_actor_and_key_alone),
		cmocka_unit_test(a_done_command_is_in_one_cut),
		cmocka_unit_test(
			a_key_is_kept_for_seven_days_and_never_freed_while_a_cut_points_to_it),
		cmocka_unit_test(of_commands_the_last_hundred_thousand_are_kept),
		cmocka_unit_test(
			the_record_that_makes_a_user_is_its_life_and_no_later_one_changes_that),
	};

	return RUN_TESTS(tests);
}
