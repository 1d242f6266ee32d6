/*
 * Commands with a real journal and ledger; what was written is said by journal_fold().
 * cJSON's memory is counted as ours is, so that each of its calls fails once, too.
 */
#include "lib/test.h"
#include "account/cut.h"
#include "base/clock.h"
#include "base/log.h"
#include "command/command.h"
#include "command/verb.h"
#include "journal/fold.h"
#include "lib/faults.h"
#include "lib/loop.h"
#include "lib/sample.h"
#include "lib/tempdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE_MS 60000
#define NOW UINT64_C(1700000000000)
#define DAY UINT64_C(86400000)

struct rig {
	uv_loop_t loop;
	struct tempdir dir;
	struct ledger *ledger;
	struct journal *journal;
	struct commands *commands;
	unsigned n_closed;
	struct errmsg msg;
};

/* One who asked. */
struct asked {
	unsigned n_answers, status;
	char json[4096];
};

static void on_synced(void *arg, uint64_t synced_seq)
{
	(void)arg;
	(void)synced_seq;
}

static void open_rig(struct rig *rig, enum journal_fsync fsync)
{
	struct journal_config journal = {.fsync = fsync, .max_bytes = 1 << 20};
	struct command_parts parts;

	assert_int_equal(uv_loop_init(&rig->loop), 0);
	assert_int_equal(
		journal_open(&rig->loop, rig->dir.fd, &journal, ledger_seq(rig->ledger),
			rig->n_closed, on_synced, rig, &rig->journal, &rig->msg),
		0);
	parts = (struct command_parts){.ledger = rig->ledger,
		.journal = rig->journal,
		.observer_host = "127.0.0.1:3000"};
	rig->commands = commands_new(&rig->loop, &parts);
	assert_non_null(rig->commands);
	commands_set_secret_grace(rig->commands, 600000);
	assert_true(loop_run_jobs(&rig->loop, PATIENCE_MS));
}

static void begin(struct rig *rig, enum journal_fsync fsync)
{
	memset(rig, 0, sizeof(*rig));
	faults_reset();
	clock_freeze_for_test(NOW);
	tempdir_make(&rig->dir);
	rig->ledger = ledger_new(1000, false);
	assert_non_null(rig->ledger);
	open_rig(rig, fsync);
}

static void on_closed(void *arg)
{
	((struct rig *)arg)->n_closed++;
}

static bool are_both_closed(const void *arg)
{
	return ((const struct rig *)arg)->n_closed == 2;
}

static void end(struct rig *rig)
{
	faults_reset();
	commands_close(rig->commands, on_closed, rig);
	journal_close(rig->journal, on_closed, rig);
	assert_true(loop_run_until(&rig->loop, are_both_closed, rig, PATIENCE_MS));
	commands_free(rig->commands);
	journal_free(rig->journal);
	ledger_free(rig->ledger);
	assert_int_equal(uv_loop_close(&rig->loop), 0);
	tempdir_remove(&rig->dir);
	clock_freeze_for_test(0);
}

static void on_done(void *arg, unsigned status, const char *json)
{
	struct asked *asked = arg;

	asked->n_answers++;
	asked->status = status;
	(void)snprintf(asked->json, sizeof(asked->json), "%s", json);
}

static int submit_as(struct rig *rig, struct asked *asked, const char *actor,
	const char *key, const char *verb, const char *subject, const char *body)
{
	struct command_request request = {
		verb_find(verb), actor, key, subject, body, strlen(body)};
	int code;

	*asked = (struct asked){0};
	(void)err_set(&rig->msg, 0, "%s", "nothing was said");
	code = commands_submit(rig->commands, &request, on_done, asked, &rig->msg);
	assert_int_equal(asked->n_answers, 0); /* never inside the call */
	if (code != 0)
		assert_string_not_equal(rig->msg.text, "nothing was said");
	return code;
}

static int submit(struct rig *rig, struct asked *asked, const char *key, const char *verb,
	const char *subject, const char *body)
{
	return submit_as(rig, asked, "uid:7", key, verb, subject, body);
}

/* Answers come before the loop waits, so it is not let wait. */
static void wait_for(struct rig *rig, const struct asked *asked)
{
	for (int i = 0; i < PATIENCE_MS * 10 && asked->n_answers == 0; i++) {
		(void)uv_run(&rig->loop, UV_RUN_NOWAIT);
		(void)usleep(asked->n_answers == 0 ? 100 : 0);
	}
	assert_int_equal(asked->n_answers, 1);
}

/* Does it, and gives the answer. */
static struct asked do_it(struct rig *rig, const char *key, const char *verb,
	const char *subject, const char *body)
{
	struct asked asked;

	if (submit(rig, &asked, key, verb, subject, body) != 0)
		fail_msg("%s", rig->msg.text);
	wait_for(rig, &asked);
	return asked;
}

static uint64_t seq_of(const struct rig *rig)
{
	struct journal_stats stats;

	journal_get_stats(rig->journal, &stats);
	assert_int_equal(stats.seq, ledger_seq(rig->ledger));
	return stats.seq;
}

/* A text of an answer; NULL if there is none. Valid until the next call. */
static const char *text_of(const struct asked *asked, const char *member)
{
	static char text[4096];
	cJSON *json = cJSON_Parse(asked->json);
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, member);
	bool is_text = cJSON_IsString(item);

	assert_non_null(json);
	if (is_text)
		(void)snprintf(text, sizeof(text), "%s", item->valuestring);
	cJSON_Delete(json);
	return is_text ? text : NULL;
}

static bool has_null(const struct asked *asked, const char *member)
{
	cJSON *json = cJSON_Parse(asked->json);
	bool is_null = cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(json, member));

	cJSON_Delete(json);
	return is_null;
}

static bool knows(const struct rig *rig, const char *node, const char *secret)
{
	const struct node *found = ledger_find_node(rig->ledger, node);

	uint8_t hash[NODE_HASH_BYTES];

	node_hash_secret(node, secret, strlen(secret), hash);
	return found != NULL && node_knows_hash(found, hash, clock_wall_ms());
}

/* What the journal makes of an empty ledger. */
static int apply_record(void *arg, struct record *record)
{
	assert_non_null(record->command);
	assert_int_equal(ledger_prepare_command(arg, record->command), 0);
	ledger_apply_command(arg, record->command, &record->origin);
	return 0;
}

static struct ledger *fold(const struct rig *rig)
{
	struct ledger *ledger = ledger_new(1000, false);
	struct fold_options options = {.after_seq = 0};
	struct fold_result result;
	struct errmsg msg;

	assert_non_null(ledger);
	if (journal_fold(rig->dir.fd, &options, apply_record, ledger, &result, &msg) != 0)
		fail_msg("%s", msg.text);
	return ledger;
}

static void expect_same(const struct rig *rig, const struct ledger *folded)
{
	const struct node *node = NULL, *other;

	assert_int_equal(ledger_seq(folded), ledger_seq(rig->ledger));
	assert_int_equal(ledger_n_nodes(folded), ledger_n_nodes(rig->ledger));
	assert_int_equal(ledger_n_secrets(folded), ledger_n_secrets(rig->ledger));
	assert_int_equal(ledger_is_open(folded), ledger_is_open(rig->ledger));
	while ((node = ledger_next_node(rig->ledger, node)) != NULL) {
		other = ledger_find_node(folded, node->name);
		assert_non_null(other);
		assert_memory_equal(
			&other->kept, &node->kept, offsetof(struct node_kept, note));
		assert_string_equal(other->kept.note, node->kept.note);
	}
}

static void expect_fold_same(const struct rig *rig)
{
	struct ledger *folded = fold(rig);

	expect_same(rig, folded);
	ledger_free(folded);
}

/* What is in the files of the journal's folder. */
static bool is_in_journal(const struct rig *rig, const char *text)
{
	bool is_there = false;

	for (unsigned i = 1; i <= 3; i++) {
		char name[32];
		size_t len;
		char *bytes;

		(void)snprintf(name, sizeof(name), "%010u.seg", i);
		if (faccessat(rig->dir.fd, name, F_OK, 0) != 0)
			continue;
		bytes = tempdir_read(&rig->dir, name, &len);
		is_there |= memmem(bytes, len, text, strlen(text)) != NULL;
		free(bytes);
	}
	return is_there;
}

/* Checks */

struct refusal {
	const char *verb, *subject, *body;
	int code;
	const char *says;
};

static const struct refusal refusals[] = {
	{"node.create", "", "{", ERR_JSON, ""},
	{"node.create", "", "[]", ERR_JSON, "not a JSON object"},
	{"node.create", "", "\"name\"", ERR_JSON, "not a JSON object"},
	{"node.create", "", "null", ERR_JSON, "not a JSON object"},
	{"node.create", "", "{}x", ERR_JSON, ""},
	{"node.create", "", "", ERR_PARAM, "name is missing"},
	{"node.create", "", "{}", ERR_PARAM, "name is missing"},
	{"node.create", "", "{\"name\":null}", ERR_PARAM, "name is missing"},
	{"node.create", "", "{\"name\":\"\"}", ERR_PARAM, "name is missing"},
	{"node.create", "", "{\"name\":1}", ERR_PARAM, "name is not a text"},
	{"node.create", "", "{\"name\":\"a:b\"}", ERR_PARAM, ":"},
	{"node.create", "", "{\"name\":\"a/b\"}", ERR_PARAM, "/"},
	{"node.create", "", "{\"name\":\".\"}", ERR_PARAM, ".."},
	{"node.create", "", "{\"name\":\"..\"}", ERR_PARAM, ".."},
	{"node.create", "", "{\"name\":\"a\\u0000b\"}", ERR_PARAM, "control"},
	{"node.create", "", "{\"name\":\"a\\nb\"}", ERR_PARAM, "control"},
	{"node.create", "", "{\"name\":\"\xff\"}", ERR_PARAM, "UTF-8"},
	{"node.create", "", "{\"name\":\"n\",\"nmae\":1}", ERR_PARAM, "`nmae`"},
	{"node.create", "", "{\"Name\":\"n\"}", ERR_PARAM, "`Name`"},
	{"node.create", "", "{\"nam\":\"n\"}", ERR_PARAM, "`nam`"},
	{"node.create", "", "{\"name,secret\":\"n\"}", ERR_PARAM, "`name,secret`"},
	{"node.create", "", "{\"\":\"n\"}", ERR_PARAM, "``"},
	{"node.create", "", "{\"name\":\"n\",\"name\":\"n\"}", ERR_PARAM, "twice"},
	{"node.create", "", "{\"name\":\"n\",\"reason\":\"a\",\"reason\":\"b\"}",
		ERR_PARAM, "twice"},
	{"node.create", "", "{\"name\":\"n\",\"reason\":5}", ERR_PARAM, "reason"},
	{"node.create", "", "{\"name\":\"n\",\"secret\":5}", ERR_PARAM, "secret"},
	{"node.create", "", "{\"name\":\"n\",\"secret\":\"\"}", ERR_PARAM,
		"secret is empty"},
	{"node.create", "", "{\"name\":\"n\",\"secret\":\"a\\tb\"}", ERR_PARAM,
		"control"},
	{"node.create", "", "{\"name\":\"n\",\"enabled\":1}", ERR_PARAM, "enabled"},
	{"node.create", "", "{\"name\":\"n\",\"fresh\":\"yes\"}", ERR_PARAM, "fresh"},
	{"node.create", "", "{\"name\":\"n\",\"counters\":\"both\"}", ERR_PARAM,
		"counters"},
	{"node.create", "", "{\"name\":\"n\",\"counters\":true}", ERR_PARAM, "counters"},
	{"node.create", "", "{\"name\":\"n\",\"note\":{}}", ERR_PARAM, "note"},
	{"node.create", "", "{\"name\":\"there\"}", ERR_CONFLICT, "there"},
	{"node.set", "there", "{}", ERR_PARAM, "nothing"},
	{"node.set", "there", "{\"reason\":\"x\"}", ERR_PARAM, "nothing"},
	{"node.set", "there", "{\"secret\":\"x\"}", ERR_PARAM, "`secret`"},
	{"node.set", "nobody", "{\"note\":\"x\"}", ERR_NOT_FOUND, "nobody"},
	{"node.set", "gone", "{\"note\":\"x\"}", ERR_NOT_FOUND, "deleted"},
	{"node.secret", "nobody", "", ERR_NOT_FOUND, "nobody"},
	{"node.secret", "gone", "", ERR_NOT_FOUND, "deleted"},
	{"node.secret", "there", "{\"secret\":\"\"}", ERR_PARAM, "empty"},
	{"node.delete", "nobody", "", ERR_NOT_FOUND, "nobody"},
	{"node.delete", "gone", "", ERR_CONFLICT, "deleted already"},
	{"node.delete", "there", "{\"fresh\":0}", ERR_PARAM, "fresh"},
	{"node.forget", "nobody", "", ERR_NOT_FOUND, "nobody"},
	{"node.close", "", "{\"open\":false}", ERR_PARAM, "`open`"},
	{"node.open", "", "7", ERR_JSON, "not a JSON object"},
};

static void make_some(struct rig *rig)
{
	(void)do_it(rig, "", "node.create", "", "{\"name\":\"there\",\"secret\":\"s\"}");
	(void)do_it(rig, "", "node.create", "", "{\"name\":\"gone\"}");
	(void)do_it(rig, "", "node.delete", "gone", "");
	ledger_cut_committed(rig->ledger, ledger_cut(rig->ledger));
	assert_false(ledger_is_dirty(rig->ledger));
}

static void expect_nothing_changed(const struct rig *rig)
{
	assert_int_equal(seq_of(rig), 3);
	assert_false(ledger_is_dirty(rig->ledger));
	assert_int_equal(ledger_n_nodes(rig->ledger), 2);
	assert_true(knows(rig, "there", "s"));
	assert_true(ledger_is_open(rig->ledger));
}

TEST(whatever_is_refused_leaves_ledger_and_journal_as_they_were)
{
	struct rig rig;

	begin(&rig, FSYNC_EVERYSEC);
	make_some(&rig);
	for (size_t i = 0; i < COUNT_OF(refusals); i++) {
		const struct refusal *row = &refusals[i];
		struct asked asked;
		int code = submit(
			&rig, &asked, "the key", row->verb, row->subject, row->body);

		if (code != row->code || strstr(rig.msg.text, row->says) == NULL)
			print_error("%d: %s\n", code, rig.msg.text);
		AT_ROW(i, code == row->code);
		AT_ROW(i, strstr(rig.msg.text, row->says) != NULL);
		expect_nothing_changed(&rig);
	}
	/* What was refused has used no key. */
	(void)do_it(&rig, "the key", "node.set", "there", "{\"note\":\"x\"}");
	expect_fold_same(&rig);
	end(&rig);
}

static char *long_text(char *text, size_t len, const char *before, const char *after)
{
	char *at = stpcpy(text, before);

	memset(at, 'x', len);
	(void)strcpy(at + len, after);
	return text;
}

TEST(each_text_has_its_bound_and_just_that_is_let_in)
{
	static const struct {
		const char *verb, *subject, *before;
		size_t max;
	} rows[] = {{"node.create", "", "{\"name\":\"", NAME_MAX_BYTES},
		{"node.create", "", "{\"name\":\"n\",\"secret\":\"",
			NODE_MAX_SECRET_BYTES},
		{"node.set", "there", "{\"note\":\"", NODE_NOTE_BYTES - 1},
		{"node.set", "there", "{\"note\":\"\",\"reason\":\"", 500}};
	struct rig rig;
	struct asked asked;
	char body[1024];

	begin(&rig, FSYNC_NO);
	make_some(&rig);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		(void)long_text(body, rows[i].max + 1, rows[i].before, "\"}");
		AT_ROW(i,
			submit(&rig, &asked, "", rows[i].verb, rows[i].subject, body) ==
				ERR_PARAM);
		AT_ROW(i, strstr(rig.msg.text, "longer than") != NULL);
		(void)long_text(body, rows[i].max, rows[i].before, "\"}");
		(void)do_it(&rig, "", rows[i].verb, rows[i].subject, body);
	}
	(void)long_text(body, COMMAND_KEY_MAX_BYTES + 1, "", "");
	assert_int_equal(submit(&rig, &asked, body, "node.close", "", ""), ERR_PARAM);
	assert_int_equal(submit(&rig, &asked, "a\nb", "node.close", "", ""), ERR_PARAM);
	assert_int_equal(submit(&rig, &asked, "\xff", "node.close", "", ""), ERR_PARAM);
	assert_true(ledger_is_open(rig.ledger));
	(void)long_text(body, COMMAND_KEY_MAX_BYTES, "", "");
	(void)do_it(&rig, body, "node.close", "", "");
	expect_fold_same(&rig);
	end(&rig);
}

/* Verbs */

TEST(a_node_that_is_made_tells_its_secret_once_and_is_known_by_it)
{
	struct rig rig;
	struct asked asked;
	char secret[64];

	begin(&rig, FSYNC_EVERYSEC);
	asked = do_it(&rig, "", "node.create", "",
		"{\"name\":\"h k\",\"counters\":\"cumulative\",\"note\":\"mine\"}");
	assert_int_equal(asked.status, 201);
	assert_string_equal(text_of(&asked, "name"), "h k");
	(void)snprintf(secret, sizeof(secret), "%s", text_of(&asked, "secret"));
	assert_int_equal(strlen(secret), SECRET_BYTES - 1);
	assert_true(knows(&rig, "h k", secret));
	assert_non_null(strstr(text_of(&asked, "gost"), "http://h%20k:"));
	assert_non_null(strstr(text_of(&asked, "gost"), secret));
	assert_int_equal(ledger_find_node(rig.ledger, "h k")->kept.counters,
		NODE_COUNTERS_CUMULATIVE);
	assert_string_equal(ledger_find_node(rig.ledger, "h k")->kept.note, "mine");
	assert_int_equal(ledger_find_node(rig.ledger, "h k")->kept.created_ms, NOW);
	asked = do_it(&rig, "", "node.create", "", "{\"name\":\"other\"}");
	assert_string_not_equal(text_of(&asked, "secret"), secret);
	assert_false(knows(&rig, "other", secret));
	expect_fold_same(&rig);
	end(&rig);
}

/* The lines of a node whose counters are cumulative would make them deltas. */
TEST(the_lines_for_gost_say_what_the_counters_of_the_node_are)
{
	static const struct {
		const char *body;
		enum counter_mode
			otherwise; /* what `counters` of the configuration says */
		bool resets;
	} rows[] = {{"{\"name\":\"a\"}", COUNTERS_DELTA, true},
		{"{\"name\":\"b\",\"counters\":\"delta\"}", COUNTERS_DELTA, true},
		{"{\"name\":\"c\",\"counters\":\"cumulative\"}", COUNTERS_DELTA, false},
		{"{\"name\":\"d\"}", COUNTERS_CUMULATIVE, false},
		{"{\"name\":\"e\",\"counters\":\"delta\"}", COUNTERS_CUMULATIVE, true},
		{"{\"name\":\"f\",\"counters\":\"cumulative\"}", COUNTERS_CUMULATIVE,
			false}};
	struct rig rig;

	begin(&rig, FSYNC_NO);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct asked asked;

		commands_set_counters(rig.commands, rows[i].otherwise);
		asked = do_it(&rig, "", "node.create", "", rows[i].body);
		AT_ROW(i,
			(strstr(text_of(&asked, "gost"), "observer.resetTraffic: true") !=
				NULL) == rows[i].resets);
	}
	end(&rig);
}

TEST(a_new_secret_leaves_the_old_one_valid_for_its_grace_and_no_longer)
{
	struct rig rig;
	struct asked asked;
	char secret[64];

	begin(&rig, FSYNC_EVERYSEC);
	(void)do_it(&rig, "", "node.create", "", "{\"name\":\"n\",\"secret\":\"one\"}");
	asked = do_it(&rig, "", "node.secret", "n", "");
	(void)snprintf(secret, sizeof(secret), "%s", text_of(&asked, "secret"));
	assert_true(knows(&rig, "n", "one") && knows(&rig, "n", secret));
	clock_freeze_for_test(NOW + 599999);
	assert_true(knows(&rig, "n", "one") && knows(&rig, "n", secret));
	clock_freeze_for_test(NOW + 600000);
	assert_true(!knows(&rig, "n", "one") && knows(&rig, "n", secret));
	/* Given by the operator: what a GOST already sends. */
	asked = do_it(&rig, "", "node.secret", "n", "{\"secret\":\"given\"}");
	assert_string_equal(text_of(&asked, "secret"), "given");
	assert_true(knows(&rig, "n", "given") && knows(&rig, "n", secret));
	assert_false(knows(&rig, "n", "one"));
	commands_set_secret_grace(rig.commands, 0);
	(void)do_it(&rig, "", "node.secret", "n", "{\"secret\":\"last\"}");
	assert_true(knows(&rig, "n", "last") && !knows(&rig, "n", "given"));
	expect_fold_same(&rig);
	end(&rig);
}

TEST(only_what_is_named_is_set_and_null_unsets)
{
	struct rig rig;
	const struct node_kept *kept;

	begin(&rig, FSYNC_EVERYSEC);
	(void)do_it(&rig, "", "node.create", "",
		"{\"name\":\"n\",\"secret\":\"s\",\"counters\":\"delta\",\"note\":"
		"\"a\"}");
	kept = &ledger_find_node(rig.ledger, "n")->kept;
	(void)do_it(&rig, "", "node.set", "n", "{\"enabled\":false}");
	assert_true(!kept->is_enabled && kept->counters == NODE_COUNTERS_DELTA);
	assert_string_equal(kept->note, "a");
	(void)do_it(&rig, "", "node.set", "n", "{\"counters\":null}");
	assert_true(!kept->is_enabled && kept->counters == NODE_COUNTERS_UNSET);
	(void)do_it(&rig, "", "node.set", "n", "{\"note\":null,\"enabled\":true}");
	assert_string_equal(kept->note, "");
	assert_true(kept->is_enabled && knows(&rig, "n", "s"));
	expect_fold_same(&rig);
	end(&rig);
}

TEST(a_deleted_node_knows_no_secret_is_kept_and_can_be_made_again)
{
	struct rig rig;
	struct asked asked;

	begin(&rig, FSYNC_EVERYSEC);
	(void)do_it(&rig, "", "node.create", "", "{\"name\":\"n\",\"secret\":\"one\"}");
	(void)do_it(&rig, "", "node.secret", "n", "{\"secret\":\"two\"}");
	(void)do_it(&rig, "", "node.delete", "n", "");
	assert_false(knows(&rig, "n", "one") || knows(&rig, "n", "two"));
	assert_int_equal(ledger_find_node(rig.ledger, "n")->kept.deleted_ms, NOW);
	assert_int_equal(ledger_n_secrets(rig.ledger), 0);
	asked = do_it(
		&rig, "", "node.create", "", "{\"name\":\"n\",\"secret\":\"three\"}");
	assert_int_equal(asked.status, 201);
	assert_true(knows(&rig, "n", "three"));
	assert_false(knows(&rig, "n", "one") || knows(&rig, "n", "two"));
	expect_fold_same(&rig);
	end(&rig);
}

TEST(a_name_that_has_only_reported_can_be_deleted)
{
	struct rig rig;
	struct asked asked;

	begin(&rig, FSYNC_EVERYSEC);
	sample_book(rig.ledger, "u", 1, 1); /* of node n; the journal has it not */
	ledger_set_applied_seq(rig.ledger, 0);
	(void)do_it(&rig, "", "node.delete", "n", "");
	assert_int_equal(ledger_find_node(rig.ledger, "n")->kept.deleted_ms, NOW);
	assert_int_equal(submit(&rig, &asked, "", "node.set", "n", "{\"note\":\"x\"}"),
		ERR_NOT_FOUND);
	end(&rig);
}

TEST(the_directory_is_closed_and_opened_as_often_as_one_likes)
{
	struct rig rig;

	begin(&rig, FSYNC_EVERYSEC);
	for (int i = 0; i < 4; i++) {
		(void)do_it(&rig, "", i < 2 ? "node.close" : "node.open", "", "{}");
		AT_ROW(i, ledger_is_open(rig.ledger) == (i >= 2));
	}
	expect_fold_same(&rig);
	end(&rig);
}

TEST(the_first_node_is_made_and_the_directory_closed_in_one_record)
{
	struct rig rig;

	begin(&rig, FSYNC_EVERYSEC);
	assert_int_equal(
		commands_first_node(rig.commands, "a:b", "secret", &rig.msg), ERR_PARAM);
	assert_int_equal(commands_first_node(rig.commands, "n", "", &rig.msg), ERR_PARAM);
	assert_int_equal(seq_of(&rig), 0);
	assert_int_equal(
		commands_first_node(rig.commands, "n", "hu\"sh-hush", &rig.msg), 0);
	assert_int_equal(seq_of(&rig), 1);
	assert_true(knows(&rig, "n", "hu\"sh-hush"));
	assert_false(ledger_is_open(rig.ledger));
	assert_false(is_in_journal(&rig, "sh-hush"));
	expect_fold_same(&rig);
	end(&rig);
}

/* Keys */

TEST(the_same_key_is_answered_as_the_first_was_but_without_its_secret)
{
	static const char body[] = "{\"name\":\"n\"}";
	struct rig rig;
	struct asked first, again;

	begin(&rig, FSYNC_EVERYSEC);
	first = do_it(&rig, "k", "node.create", "", body);
	for (int i = 0; i < 3; i++) {
		again = do_it(&rig, "k", "node.create", "", body);
		assert_int_equal(again.status, 201);
		assert_string_equal(text_of(&again, "name"), "n");
		assert_true(has_null(&again, "secret"));
		assert_null(strstr(again.json, text_of(&first, "secret")));
		assert_non_null(strstr(text_of(&again, "gost"), ":SECRET@"));
	}
	assert_int_equal(seq_of(&rig), 1);
	/* It was right then, and is so told, whatever has happened since. */
	(void)do_it(&rig, "", "node.delete", "n", "");
	again = do_it(&rig, "k", "node.create", "", body);
	assert_int_equal(again.status, 201);
	assert_int_equal(seq_of(&rig), 2);
	end(&rig);
}

TEST(a_key_with_another_request_is_refused_and_each_actor_has_its_own)
{
	static const struct {
		const char *verb, *subject, *body;
	} rows[] = {{"node.set", "n", "{\"note\":\"b\"}"},
		{"node.set", "n", "{\"note\":\"a\"} "},
		{"node.set", "m", "{\"note\":\"a\"}"}, {"node.secret", "n", ""},
		{"node.set", "n", "no JSON"}, {"node.delete", "n", "{\"note\":\"a\"}"}};
	struct rig rig;
	struct asked asked;

	begin(&rig, FSYNC_EVERYSEC);
	(void)do_it(&rig, "", "node.create", "", "{\"name\":\"n\"}");
	(void)do_it(&rig, "", "node.create", "", "{\"name\":\"m\"}");
	(void)do_it(&rig, "k", "node.set", "n", "{\"note\":\"a\"}");
	for (size_t i = 0; i < COUNT_OF(rows); i++)
		AT_ROW(i,
			submit(&rig, &asked, "k", rows[i].verb, rows[i].subject,
				rows[i].body) == ERR_KEY_REUSED);
	assert_int_equal(seq_of(&rig), 3);
	assert_int_equal(submit_as(&rig, &asked, "uid:8", "k", "node.set", "n",
				 "{\"note\":\"b\"}"),
		0);
	wait_for(&rig, &asked);
	assert_int_equal(seq_of(&rig), 4);
	assert_string_equal(ledger_find_node(rig.ledger, "n")->kept.note, "b");
	end(&rig);
}

TEST(without_a_key_each_is_done_again)
{
	struct rig rig;

	begin(&rig, FSYNC_EVERYSEC);
	for (int i = 0; i < 3; i++)
		(void)do_it(&rig, "", "node.close", "", "");
	assert_int_equal(seq_of(&rig), 3);
	end(&rig);
}

TEST(a_key_is_remembered_by_the_journal_and_for_seven_days)
{
	struct rig rig;
	struct ledger *folded;
	const struct done_command *done;

	begin(&rig, FSYNC_EVERYSEC);
	(void)do_it(&rig, "k", "node.close", "", "");
	folded = fold(&rig);
	done = ledger_find_command(folded, "uid:7", "k");
	assert_non_null(done);
	assert_string_equal(done->answer, "{\"open\":false}");
	assert_memory_equal(done->digest,
		ledger_find_command(rig.ledger, "uid:7", "k")->digest, FINGERPRINT_BYTES);
	ledger_free(folded);
	ledger_cut_committed(rig.ledger, ledger_cut(rig.ledger));
	clock_freeze_for_test(NOW + 7 * DAY);
	(void)do_it(&rig, "k", "node.close", "", "");
	assert_int_equal(seq_of(&rig), 1);
	clock_freeze_for_test(NOW + 7 * DAY + 1);
	(void)do_it(&rig, "k", "node.open", "", ""); /* a new one, of another verb */
	assert_int_equal(seq_of(&rig), 2);
	(void)do_it(&rig, "k", "node.open", "", "");
	assert_int_equal(seq_of(&rig), 2);
	end(&rig);
}

/* Waiting */

TEST(a_command_is_answered_only_when_it_is_synced_whatever_journal_fsync_says)
{
	static const enum journal_fsync modes[] = {
		FSYNC_NO, FSYNC_EVERYSEC, FSYNC_ALWAYS};

	for (size_t i = 0; i < COUNT_OF(modes); i++) {
		struct rig rig;
		struct asked asked, other;

		begin(&rig, modes[i]);
		faults_hold(FAULT_FDATASYNC);
		AT_ROW(i, submit(&rig, &asked, "k", "node.close", "", "") == 0);
		AT_ROW(i, !ledger_is_open(rig.ledger)); /* and is applied at once */
		loop_run_for(&rig.loop, 50);
		AT_ROW(i, asked.n_answers == 0);
		/* One of the same key waits for the first's sync, behind which
		 * another is not yet. */
		AT_ROW(i, submit(&rig, &other, "k", "node.close", "", "") == 0);
		loop_run_for(&rig.loop, 50);
		AT_ROW(i, other.n_answers == 0);
		faults_release(FAULT_FDATASYNC);
		wait_for(&rig, &asked);
		wait_for(&rig, &other);
		AT_ROW(i, strcmp(asked.json, other.json) == 0);
		AT_ROW(i, seq_of(&rig) == 1);
		end(&rig);
	}
}

TEST(answers_of_commands_that_wait_together_all_come)
{
	struct rig rig;
	struct asked asked[20];

	begin(&rig, FSYNC_NO);
	faults_hold(FAULT_FDATASYNC);
	for (size_t i = 0; i < COUNT_OF(asked); i++) {
		char body[64];

		(void)snprintf(body, sizeof(body), "{\"name\":\"n%zu\"}", i);
		AT_ROW(i, submit(&rig, &asked[i], "", "node.create", "", body) == 0);
		loop_run_for(&rig.loop, 1);
	}
	faults_release(FAULT_FDATASYNC);
	for (size_t i = 0; i < COUNT_OF(asked); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "n%zu", i);
		wait_for(&rig, &asked[i]);
		AT_ROW(i, strcmp(text_of(&asked[i], "name"), name) == 0);
	}
	end(&rig);
}

TEST(what_still_waits_at_the_end_is_applied_and_not_answered)
{
	struct rig rig;
	struct asked asked, late;

	begin(&rig, FSYNC_NO);
	faults_hold(FAULT_FDATASYNC);
	assert_int_equal(submit(&rig, &asked, "", "node.close", "", ""), 0);
	commands_stop(rig.commands);
	assert_int_equal(submit(&rig, &late, "", "node.open", "", ""), ERR_STOPPING);
	expect_fold_same(&rig);
	end(&rig);
	assert_int_equal(asked.n_answers, 0);
}

/* Faults */

TEST(a_command_that_cannot_be_written_leaves_nothing_and_can_be_tried_again)
{
	static const struct {
		enum fault_kind kind;
		int error, code;
	} rows[] = {{FAULT_PWRITE, ENOSPC, ERR_JOURNAL_WRITE},
		{FAULT_PWRITE, EIO, ERR_JOURNAL_WRITE}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct rig rig;
		struct asked asked;

		begin(&rig, FSYNC_EVERYSEC);
		make_some(&rig);
		faults_fail_nth(rows[i].kind, 1, rows[i].error);
		AT_ROW(i,
			submit(&rig, &asked, "k", "node.create", "",
				"{\"name\":\"new\"}") == rows[i].code);
		AT_ROW(i, err_http_status(rows[i].code) == 503);
		faults_reset();
		expect_nothing_changed(&rig);
		AT_ROW(i, ledger_find_node(rig.ledger, "new") == NULL);
		AT_ROW(i, ledger_find_command(rig.ledger, "uid:7", "k") == NULL);
		expect_fold_same(&rig);
		asked = do_it(&rig, "k", "node.create", "", "{\"name\":\"new\"}");
		AT_ROW(i, text_of(&asked, "secret") != NULL);
		AT_ROW(i, seq_of(&rig) == 4);
		end(&rig);
	}
}

TEST(a_journal_that_is_full_refuses_commands_too)
{
	struct rig rig;
	struct asked asked;
	int code = 0;

	begin(&rig, FSYNC_NO);
	for (unsigned i = 0; i < 10000 && code == 0; i++)
		code = submit(&rig, &asked, "", "node.close", "",
			"{\"reason\":"
			"\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
			"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\""
			"}");
	assert_int_equal(code, ERR_JOURNAL_FULL);
	(void)seq_of(&rig);
	loop_run_for(&rig.loop, 1);
	end(&rig);
}

/* From a rig with both nodes: the command under test, with a secret, a key, and the place
 * of a node that is there. */
static int submit_each(struct rig *rig, struct asked *asked, size_t i)
{
	static const struct {
		const char *verb, *subject, *body;
	} rows[] = {{"node.create", "", "{\"name\":\"new\",\"note\":\"\\u0041\"}"},
		{"node.create", "",
			"{\"name\":\"gone\",\"secret\":\"hush\",\"fresh\":true}"},
		{"node.set", "there", "{\"note\":\"x\",\"reason\":\"y\"}"},
		{"node.secret", "there", "{\"secret\":\"hush\"}"},
		{"node.delete", "there", "{\"fresh\":true}"}, {"node.close", "", ""},
		{"node.forget", "gone", ""}};

	return i < COUNT_OF(rows)
		? submit(rig, asked, "k", rows[i].verb, rows[i].subject, rows[i].body)
		: 1;
}

/* What each writes and says when nothing fails. */
static void expect_whole(struct rig *rig, const struct asked *asked, size_t i)
{
	const struct audit_entry *entry;
	struct cut *cut = ledger_cut(rig->ledger);

	assert_non_null(cut);
	entry = TAILQ_FIRST(&cut->audit);
	assert_non_null(entry);
	AT_ROW(i, entry->seq == 6);
	/* before and after are whole JSON, where there is one */
	AT_ROW(i, (entry->before[0] != '\0') == (i != 0));
	AT_ROW(i, (entry->after[0] != '\0') == (i != 6));
	if (i != 0 && i != 5)
		AT_ROW(i,
			strstr(entry->before, "\"createdAt\":1700") != NULL &&
				strstr(entry->before, "\"hasSecret\":") != NULL);
	if (i < 5)
		AT_ROW(i,
			strstr(entry->after, "\"createdAt\":1700") != NULL &&
				strstr(entry->after, "\"hasSecret\":") != NULL);
	AT_ROW(i, cut->n_commands == 1);
	if (i == 0 || i == 1 || i == 3) {
		AT_ROW(i, text_of(asked, "secret") != NULL);
		AT_ROW(i, text_of(asked, "gost") != NULL);
		AT_ROW(i, strstr(cut->commands[0]->answer, "\"secret\":null") != NULL);
		AT_ROW(i, strstr(cut->commands[0]->answer, "\"gost\":\"") != NULL);
		AT_ROW(i,
			knows(rig,
				i == 0           ? "new"
					: i == 1 ? "gone"
						 : "there",
				text_of(asked, "secret")));
	}
	if (i == 2 || i == 4)
		AT_ROW(i, strcmp(asked->json, entry->after) == 0);
	ledger_cut_committed(rig->ledger, cut);
	AT_ROW(i, !is_in_journal(rig, "hush"));
}

/* True if the nth allocation was made. */
static bool submit_with_fault(size_t i, unsigned n)
{
	struct rig rig;
	struct asked asked;
	bool has_fired;
	int code;

	begin(&rig, FSYNC_NO);
	make_some(&rig);
	(void)do_it(&rig, "first", "node.close", "", ""); /* uthash's table of keys */
	(void)do_it(&rig, "", "node.open", "", "");
	ledger_cut_committed(rig.ledger, ledger_cut(rig.ledger));
	faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
	code = submit_each(&rig, &asked, i);
	has_fired = faults_fired(FAULT_MEMORY);
	faults_reset();
	if (code != 0) {
		AT_ROW(n, has_fired);
		AT_ROW(n, code == ERR_NOMEM); /* never for bad JSON */
		AT_ROW(n, seq_of(&rig) == 5);
		AT_ROW(n, !ledger_is_dirty(rig.ledger));
		AT_ROW(n, ledger_find_command(rig.ledger, "uid:7", "k") == NULL);
		AT_ROW(n, submit_each(&rig, &asked, i) == 0);
	}
	AT_ROW(n, seq_of(&rig) == 6);
	wait_for(&rig, &asked);
	expect_fold_same(&rig);
	expect_whole(&rig, &asked, i);
	end(&rig);
	return has_fired;
}

TEST(short_memory_at_any_call_refuses_a_command_whole_or_does_it_whole)
{
	json_init();
	for (size_t i = 0; i < 7; i++) {
		unsigned n = 1;

		while (submit_with_fault(i, n))
			n++;
		AT_ROW(i, n > 10);
	}
	cJSON_InitHooks(NULL);
}

TEST(short_memory_makes_no_commands_and_no_first_node)
{
	struct rig rig;
	unsigned n = 1;
	uv_loop_t loop;

	assert_int_equal(uv_loop_init(&loop), 0);
	faults_fail_nth(FAULT_MEMORY, 1, ENOMEM);
	assert_null(commands_new(&loop, &(struct command_parts){.observer_host = ""}));
	faults_reset();
	assert_int_equal(uv_loop_close(&loop), 0);
	json_init();
	for (bool has_fired = true; has_fired; n++) {
		int code;

		begin(&rig, FSYNC_NO);
		(void)do_it(&rig, "", "node.create", "", "{\"name\":\"table\"}");
		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = commands_first_node(rig.commands, "n", "secret", &rig.msg);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		AT_ROW(n, (code == 0) == (seq_of(&rig) == 2));
		AT_ROW(n, ledger_is_open(rig.ledger) == (code != 0));
		AT_ROW(n, knows(&rig, "n", "secret") == (code == 0));
		AT_ROW(n, code == 0 || has_fired);
		AT_ROW(n, !is_in_journal(&rig, "\"secret\":\"secret\""));
		end(&rig);
	}
	cJSON_InitHooks(NULL);
	assert_true(n > 10);
}

/* Secrets */

/* stderr goes into a file of the rig's folder until it is ended. */
static int catch_log(const struct rig *rig)
{
	int kept = dup(2);
	int fd = openat(rig->dir.fd, "log", O_WRONLY | O_CREAT | O_APPEND, 0600);

	assert_true(kept >= 0 && fd >= 0);
	assert_true(dup2(fd, 2) == 2);
	assert_int_equal(close(fd), 0);
	return kept;
}

static char *caught_log(const struct rig *rig, int kept)
{
	size_t len;

	assert_true(dup2(kept, 2) == 2);
	assert_int_equal(close(kept), 0);
	return tempdir_read(&rig->dir, "log", &len);
}

static void expect_no_secret_in_cut(struct rig *rig, const char *secret)
{
	struct cut *cut = ledger_cut(rig->ledger);
	const struct audit_entry *entry;

	assert_non_null(cut);
	TAILQ_FOREACH (entry, &cut->audit, link) {
		assert_null(strstr(entry->before, secret));
		assert_null(strstr(entry->after, secret));
		assert_null(strstr(entry->reason, secret));
		assert_null(strstr(entry->subject, secret));
	}
	for (size_t i = 0; i < cut->n_commands; i++)
		assert_null(strstr(cut->commands[i]->answer, secret));
	ledger_forget_cut(cut);
}

TEST(no_secret_is_in_journal_audit_kept_answer_or_log)
{
	struct rig rig;
	struct asked asked;
	char *log, drawn[2][64];
	int kept;

	begin(&rig, FSYNC_NO);
	kept = catch_log(&rig);
	asked = do_it(&rig, "1", "node.create", "", "{\"name\":\"n\"}");
	(void)snprintf(drawn[0], sizeof(drawn[0]), "%s", text_of(&asked, "secret"));
	asked = do_it(&rig, "2", "node.secret", "n", "");
	(void)snprintf(drawn[1], sizeof(drawn[1]), "%s", text_of(&asked, "secret"));
	(void)do_it(&rig, "3", "node.secret", "n", "{\"secret\":\"given-hush\"}");
	(void)do_it(&rig, "4", "node.create", "",
		"{\"name\":\"m\",\"secret\":\"given-hush\"}");
	(void)do_it(&rig, "5", "node.delete", "n", "");
	/* Neither is it in a refusal. */
	assert_int_equal(submit(&rig, &asked, "6", "node.create", "",
				 "{\"name\":\"m\",\"secret\":\"given-hush\"}"),
		ERR_CONFLICT);
	assert_null(strstr(rig.msg.text, "hush"));
	assert_int_equal(submit(&rig, &asked, "6", "node.secret", "m",
				 "{\"secret\":\"given-hush\\n\"}"),
		ERR_PARAM);
	assert_null(strstr(rig.msg.text, "hush"));
	log = caught_log(&rig, kept);
	assert_non_null(strstr(log, "node.create"));
	for (int i = 0; i < 3; i++) {
		const char *secret = i < 2 ? drawn[i] : "hush";

		AT_ROW(i, strlen(secret) > 3);
		AT_ROW(i, !is_in_journal(&rig, secret));
		AT_ROW(i, strstr(log, secret) == NULL);
		expect_no_secret_in_cut(&rig, secret);
	}
	assert_true(is_in_journal(&rig, "\"secret\":\"***\""));
	free(log);
	end(&rig);
}

/* The clock */

TEST(a_deleted_node_is_forgotten_by_the_clock_after_thirty_days)
{
	struct rig rig;
	struct cut *cut;

	begin(&rig, FSYNC_NO);
	(void)do_it(&rig, "", "node.create", "", "{\"name\":\"n\"}");
	(void)do_it(&rig, "", "node.create", "", "{\"name\":\"stays\"}");
	(void)do_it(&rig, "", "node.delete", "n", "");
	for (int i = 0; i < 2; i++) {
		struct command_parts parts = {.ledger = rig.ledger,
			.journal = rig.journal,
			.observer_host = ""};
		bool is_over = i == 1;

		/* Whose first tick is in its first turn. */
		clock_freeze_for_test(NOW + 30 * DAY - !is_over);
		rig.n_closed = 1;
		commands_close(rig.commands, on_closed, &rig);
		assert_true(
			loop_run_until(&rig.loop, are_both_closed, &rig, PATIENCE_MS));
		commands_free(rig.commands);
		rig.n_closed = 0;
		rig.commands = commands_new(&rig.loop, &parts);
		loop_run_for(&rig.loop, 5);
		AT_ROW(i, (ledger_find_node(rig.ledger, "n") == NULL) == is_over);
		AT_ROW(i, ledger_find_node(rig.ledger, "stays") != NULL);
		AT_ROW(i, seq_of(&rig) == (is_over ? 4 : 3));
	}
	cut = ledger_cut(rig.ledger);
	assert_string_equal(TAILQ_LAST(&cut->audit, audit_list)->actor, "clock");
	assert_string_equal(TAILQ_LAST(&cut->audit, audit_list)->verb, "node.forget");
	assert_string_equal(TAILQ_LAST(&cut->audit, audit_list)->subject, "n");
	ledger_cut_committed(rig.ledger, cut);
	expect_fold_same(&rig);
	end(&rig);
}

/* Offline */

static int delete_offline(struct ledger *ledger, const char *body, struct errmsg *msg)
{
	struct command_request request = {.verb = verb_find("node.delete"),
		.subject = "n",
		.body = body,
		.len = strlen(body)};

	return command_do_offline(ledger, &request, msg);
}

TEST(a_command_without_a_journal_is_in_the_next_cut)
{
	struct ledger *ledger = ledger_new(10, false);
	struct errmsg msg;
	struct cut *cut;

	clock_freeze_for_test(NOW);
	assert_int_equal(delete_offline(ledger, "", &msg), ERR_NOT_FOUND);
	assert_false(ledger_is_dirty(ledger));
	sample_book(ledger, "u", 1, 1);
	assert_int_equal(delete_offline(ledger, "", &msg), 0);
	assert_int_equal(ledger_seq(ledger), 2);
	assert_int_equal(delete_offline(ledger, "", &msg), ERR_CONFLICT);
	cut = ledger_cut(ledger);
	assert_int_equal(cut->seq, 2);
	assert_int_equal(cut->n_nodes, 1);
	assert_int_equal(cut->nodes[0].kept.deleted_ms, NOW);
	assert_string_equal(TAILQ_FIRST(&cut->audit)->actor, "command line");
	assert_int_equal(cut->n_open_reports, 1);
	ledger_cut_committed(ledger, cut);
	ledger_free(ledger);
	clock_freeze_for_test(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			whatever_is_refused_leaves_ledger_and_journal_as_they_were),
		cmocka_unit_test(each_text_has_its_bound_and_just_that_is_let_in),
		cmocka_unit_test(
			a_node_that_is_made_tells_its_secret_once_and_is_known_by_it),
		cmocka_unit_test(
			the_lines_for_gost_say_what_the_counters_of_the_node_are),
		cmocka_unit_test(
			a_new_secret_leaves_the_old_one_valid_for_its_grace_and_no_longer),
		cmocka_unit_test(only_what_is_named_is_set_and_null_unsets),
		cmocka_unit_test(
			a_deleted_node_knows_no_secret_is_kept_and_can_be_made_again),
		cmocka_unit_test(a_name_that_has_only_reported_can_be_deleted),
		cmocka_unit_test(
			the_directory_is_closed_and_opened_as_often_as_one_likes),
		cmocka_unit_test(
			the_first_node_is_made_and_the_directory_closed_in_one_record),
		cmocka_unit_test(
			the_same_key_is_answered_as_the_first_was_but_without_its_secret),
		cmocka_unit_test(
			a_key_with_another_request_is_refused_and_each_actor_has_its_own),
		cmocka_unit_test(without_a_key_each_is_done_again),
		cmocka_unit_test(a_key_is_remembered_by_the_journal_and_for_seven_days),
		cmocka_unit_test(
			a_command_is_answered_only_when_it_is_synced_whatever_journal_fsync_says),
		cmocka_unit_test(answers_of_commands_that_wait_together_all_come),
		cmocka_unit_test(what_still_waits_at_the_end_is_applied_and_not_answered),
		cmocka_unit_test(
			a_command_that_cannot_be_written_leaves_nothing_and_can_be_tried_again),
		cmocka_unit_test(a_journal_that_is_full_refuses_commands_too),
		cmocka_unit_test(
			short_memory_at_any_call_refuses_a_command_whole_or_does_it_whole),
		cmocka_unit_test(short_memory_makes_no_commands_and_no_first_node),
		cmocka_unit_test(no_secret_is_in_journal_audit_kept_answer_or_log),
		cmocka_unit_test(
			a_deleted_node_is_forgotten_by_the_clock_after_thirty_days),
		cmocka_unit_test(a_command_without_a_journal_is_in_the_next_cut),
	};

	return RUN_TESTS(tests);
}
