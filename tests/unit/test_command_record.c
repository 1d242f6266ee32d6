/* Commands as journal records: test_record.c has the same for reports. */
#include "lib/test.h"
#include "base/limits.h"
#include "base/text.h"
#include "journal/command_record.h"
#include "journal/record.h"
#include "lib/faults.h"
#include "lib/sample.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void assert_same_effect(const struct effect *a, const struct effect *b)
{
	assert_int_equal(a->kind, b->kind);
	assert_string_equal(a->node, b->node);
	if (a->kind == EFFECT_NODE)
		assert_memory_equal(&a->kept, &b->kept, sizeof(a->kept));
	if (a->kind == EFFECT_OPEN)
		assert_int_equal(a->is_open, b->is_open);
}

static void assert_same_command(const struct command *a, const struct command *b)
{
	assert_string_equal(a->key, b->key);
	assert_string_equal(a->actor, b->actor);
	assert_string_equal(a->verb, b->verb);
	assert_string_equal(a->subject, b->subject);
	assert_string_equal(a->arguments, b->arguments);
	assert_string_equal(a->before, b->before);
	assert_string_equal(a->after, b->after);
	assert_string_equal(a->reason, b->reason);
	assert_int_equal(a->status, b->status);
	assert_string_equal(a->answer, b->answer);
	assert_int_equal(a->n_effects, b->n_effects);
	for (size_t i = 0; i < a->n_effects; i++)
		assert_same_effect(&a->effects[i], &b->effects[i]);
}

static struct record record_of(struct command *command)
{
	return (struct record){
		.origin = {.seq = 9, .time_ms = 1234567, .fingerprint = {1, 2, 3, 255}},
		.synced_seq = 8,
		.command = command};
}

static void encode(struct command *command, struct buf *out)
{
	struct record record = record_of(command);

	record_encode(&record, out);
	assert_true(buf_ok(out));
}

static void assert_round_trip(struct command *command)
{
	struct buf buf = {0};
	struct record back;
	size_t size = 0;
	uint64_t seq = 0, synced_seq = 0;

	encode(command, &buf);
	assert_int_equal(
		record_check(buf.data, buf.len, &size, &seq, &synced_seq), RECORD_WHOLE);
	assert_int_equal(size, buf.len);
	assert_int_equal(seq, 9);
	assert_int_equal(synced_seq, 8);
	assert_int_equal(record_decode(buf.data, buf.len, &back), 0);
	assert_null(back.node);
	assert_int_equal(back.bookings.n, 0);
	assert_int_equal(back.origin.seq, 9);
	assert_int_equal(back.origin.conn, 0);
	assert_int_equal(back.origin.time_ms, 1234567);
	assert_memory_equal(
		back.origin.fingerprint, "\1\2\3\377\0\0\0\0\0\0\0\0\0\0\0\0", 16);
	assert_same_command(back.command, command);
	record_done(&back);
	record_done(&back); /* is none any more */
	buf_done(&buf);
}

/* With an effect of every kind, and every member of them set. */
static struct command everything(struct effect effects[5])
{
	effects[0] = (struct effect){
		.kind = EFFECT_NODE, .node = "hk1", .kept = sample_node(1)};
	effects[1] = (struct effect){.kind = EFFECT_FORGET_MARKS, .node = "hk2"};
	effects[2] = (struct effect){.kind = EFFECT_FORGET_NODE, .node = "hk3"};
	effects[3] = (struct effect){.kind = EFFECT_OPEN, .node = "", .is_open = true};
	effects[4] = (struct effect){.kind = EFFECT_OPEN, .node = "", .is_open = false};
	return sample_command("node.create", "key", "hk1", effects, 5);
}

TEST(every_effect_and_every_text_survive_the_bytes)
{
	struct effect effects[5];
	struct command command = everything(effects);

	for (size_t n = 0; n <= 5; n++) {
		command.n_effects = n;
		assert_round_trip(&command);
	}
}

TEST(each_text_alone_may_be_empty_or_long)
{
	static char text[300000];
	struct effect effects[5];
	const size_t n_texts = 9;

	memset(text, 'x', sizeof(text) - 1);
	for (size_t i = 0; i < n_texts; i++)
		for (int is_long = 0; is_long < 2; is_long++) {
			struct command command = everything(effects);
			const char **texts[] = {&command.key, &command.actor,
				&command.verb, &command.subject, &command.arguments,
				&command.before, &command.after, &command.reason,
				&command.answer};

			*texts[i] = is_long ? text : "";
			assert_round_trip(&command);
		}
}

TEST(the_edges_of_a_node_survive_the_bytes)
{
	struct effect effect = {.kind = EFFECT_NODE};
	struct command command = sample_command("node.set", "", "n", &effect, 1);
	char name[NAME_MAX_BYTES + 1] = "";

	memset(name, 'n', NAME_MAX_BYTES);
	for (unsigned i = 0; i < 64; i++) {
		struct node_kept *kept = &effect.kept;

		*kept = sample_node(i);
		effect.node = i % 2 == 0 ? name : "\xe2\x82\xac";
		if ((i & 4) == 0) {
			kept->has_secret = false;
			memset(kept->secret, 0, NODE_HASH_BYTES);
		}
		if ((i & 8) == 0) {
			kept->old_until_ms = 0;
			memset(kept->old_secret, 0, NODE_HASH_BYTES);
		}
		kept->deleted_ms = (i & 16) == 0 ? 0 : TIME_MAX_MS;
		kept->created_ms = (i & 32) == 0 ? 0 : TIME_MAX_MS;
		memset(kept->note, 0, sizeof(kept->note));
		memset(kept->note, 'o', i % 3 == 0 ? NODE_NOTE_BYTES - 1 : i);
		assert_round_trip(&command);
	}
}

static bool is_corrupt(const struct command *command)
{
	struct record record = {.origin.seq = 1, .command = (struct command *)command};
	struct record back;
	struct buf buf = {0};
	int code;

	record_encode(&record, &buf);
	code = record_decode(buf.data, buf.len, &back);
	if (code == 0)
		record_done(&back);
	buf_done(&buf);
	return code == ERR_JOURNAL_CORRUPT;
}

TEST(a_command_with_a_number_or_a_name_that_no_tallyd_writes_is_corrupt)
{
	struct effect effect = {.kind = EFFECT_NODE, .node = "n"};
	struct command command = sample_command("node.set", "", "n", &effect, 1);
	char name[NAME_MAX_BYTES + 2] = "";
	uint64_t *const times[] = {&effect.kept.created_ms, &effect.kept.deleted_ms,
		&effect.kept.old_until_ms};

	memset(name, 'n', NAME_MAX_BYTES + 1);
	effect.kept = sample_node(1);
	assert_false(is_corrupt(&command));
	for (size_t i = 0; i < COUNT_OF(times); i++) {
		*times[i] = TIME_MAX_MS + 1;
		AT_ROW(i, is_corrupt(&command));
		*times[i] = UINT64_MAX;
		AT_ROW(i, is_corrupt(&command));
		*times[i] = TIME_MAX_MS;
		AT_ROW(i, !is_corrupt(&command));
	}
	command.status = 600;
	assert_true(is_corrupt(&command));
	command.status = 599;
	assert_false(is_corrupt(&command));
	effect.node = name;
	assert_true(is_corrupt(&command));
	effect.node = "de\x1b[31m";
	assert_true(is_corrupt(&command));
	effect.node = "n";
	(void)strcpy(effect.kept.note, "\xff");
	assert_true(is_corrupt(&command));
	(void)strcpy(effect.kept.note, "note");
	assert_false(is_corrupt(&command));
	command.subject = "ali\n\x01";
	assert_true(is_corrupt(&command));
}

TEST(a_command_is_told_from_a_report_by_the_highest_bit_of_its_length)
{
	struct effect effects[5];
	struct command command = everything(effects);
	struct booking booking = sample_traffic("s", "u", 1, 2);
	struct record report = {
		.origin.seq = 1, .node = "n", .bookings = {&booking, 1, 1}};
	struct buf buf = {0};

	encode(&command, &buf);
	assert_int_equal(buf.data[3], 0x80);
	buf_done(&buf);
	record_encode(&report, &buf);
	assert_int_equal(buf.data[3], 0);
	buf_done(&buf);
}

TEST(every_flipped_bit_of_a_command_is_noticed)
{
	struct effect effects[5];
	struct command command = everything(effects);
	struct buf buf = {0};
	size_t size;
	uint64_t seq, synced_seq;

	encode(&command, &buf);
	for (size_t i = 0; i < buf.len * 8; i++) {
		buf.data[i / 8] ^= (uint8_t)(1u << (i % 8));
		assert_int_not_equal(
			record_check(buf.data, buf.len, &size, &seq, &synced_seq),
			RECORD_WHOLE);
		buf.data[i / 8] ^= (uint8_t)(1u << (i % 8));
	}
	buf_done(&buf);
}

/* In memory of that very size, so that reading beyond it is seen. */
static int decode_copy(const uint8_t *bytes, size_t len)
{
	uint8_t *exact = malloc(len);
	struct record record, before;
	int code;

	memcpy(exact, bytes, len);
	memset(&record, 0x5a, sizeof(record));
	before = record;
	code = record_decode(exact, len, &record);
	if (code == 0)
		record_done(&record);
	else
		assert_memory_equal(&record, &before, sizeof(record));
	free(exact);
	return code;
}

TEST(a_payload_that_ends_early_or_goes_on_is_corrupt)
{
	struct effect effects[5];
	struct buf buf = {0};

	for (size_t n = 0; n <= 5; n++) {
		struct command command = everything(effects);

		command.n_effects = n;
		encode(&command, &buf);
		assert_int_equal(decode_copy(buf.data, buf.len), 0);
		for (size_t len = RECORD_HEAD_BYTES; len < buf.len; len++)
			assert_int_equal(decode_copy(buf.data, len), ERR_JOURNAL_CORRUPT);
		buf_put_u8(&buf, 0);
		assert_int_equal(decode_copy(buf.data, buf.len), ERR_JOURNAL_CORRUPT);
		buf_done(&buf);
	}
}

TEST(what_no_tallyd_of_this_version_has_written_is_corrupt)
{
	struct effect effect = {.kind = EFFECT_OPEN, .node = ""};
	struct command command = sample_command("node.open", "", "", &effect, 1);
	struct effect node = {.kind = EFFECT_NODE, .node = "n"};
	struct command with_node = sample_command("node.set", "", "n", &node, 1);
	struct effect two[] = {{.kind = EFFECT_FORGET_MARKS, .node = ""},
		{.kind = EFFECT_NODE, .node = "n"}};
	struct command with_two = sample_command("node.set", "", "n", two, 2);
	struct buf buf = {0};
	size_t at;

	/* Behind the texts: how many effects, and each one's kind, name, rest. */
	encode(&command, &buf);
	at = buf.len - 4;
	assert_int_equal(buf.data[at - 1], 1);
	assert_int_equal(buf.data[at], EFFECT_OPEN);
	for (unsigned kind = 0; kind < 256; kind++) {
		int code;

		buf.data[at] = (uint8_t)kind;
		code = decode_copy(buf.data, buf.len);
		if (kind != EFFECT_OPEN)
			AT_ROW(kind, code == ERR_JOURNAL_CORRUPT);
	}
	buf.data[at] = EFFECT_OPEN;
	buf.data[at - 1] = 2; /* more than there are; or so many that none fit */
	assert_int_equal(decode_copy(buf.data, buf.len), ERR_JOURNAL_CORRUPT);
	buf.data[at - 1] = 0x7f;
	assert_int_equal(decode_copy(buf.data, buf.len), ERR_JOURNAL_CORRUPT);
	buf_done(&buf);
	/* One that is not known, in front of one that is. */
	encode(&with_two, &buf);
	at = buf.len - 13;
	assert_int_equal(buf.data[at - 1], 2);
	assert_int_equal(buf.data[at], EFFECT_FORGET_MARKS);
	assert_int_equal(decode_copy(buf.data, buf.len), 0);
	memmove(buf.data + at + 1, buf.data + at + 3, buf.len - at - 3);
	buf.data[at] = 77;
	assert_int_equal(decode_copy(buf.data, buf.len - 2), ERR_JOURNAL_CORRUPT);
	buf_done(&buf);
	encode(&with_node, &buf);
	/* kind, name, flags, counters, created, deleted, note */
	at = buf.len - 6;
	assert_int_equal(buf.data[at], 0);
	assert_int_equal(buf.data[at + 1], NODE_COUNTERS_UNSET);
	buf.data[at + 1] = NODE_COUNTERS_CUMULATIVE;
	assert_int_equal(decode_copy(buf.data, buf.len), 0);
	buf.data[at + 1] = NODE_COUNTERS_CUMULATIVE + 1;
	assert_int_equal(decode_copy(buf.data, buf.len), ERR_JOURNAL_CORRUPT);
	buf_done(&buf);
}

TEST(mutated_commands_never_crash_the_decoder)
{
	struct effect effects[5];
	struct command command = everything(effects);
	struct buf buf = {0};
	unsigned n_decoded = 0;

	encode(&command, &buf);
	srand(5);
	for (unsigned round = 0; round < 50000; round++) {
		size_t len = round % 2 == 0 ? buf.len
					    : RECORD_HEAD_BYTES +
				(size_t)rand() % (buf.len - RECORD_HEAD_BYTES + 1);
		uint8_t *copy = malloc(buf.len);

		memcpy(copy, buf.data, buf.len);
		for (int n = rand() % 4; n > 0 && len > RECORD_HEAD_BYTES; n--)
			copy[RECORD_HEAD_BYTES +
				(size_t)rand() % (len - RECORD_HEAD_BYTES)] =
				(uint8_t)rand();
		n_decoded += decode_copy(copy, len) == 0;
		free(copy);
	}
	assert_true(n_decoded > 100);
	buf_done(&buf);
}

TEST(short_memory_is_told_and_leaves_nothing)
{
	struct effect effects[5];
	struct command command = everything(effects);
	struct buf buf = {0};
	unsigned n = 1;

	encode(&command, &buf);
	for (;; n++) {
		struct record back;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = record_decode(buf.data, buf.len, &back);
		if (!faults_fired(FAULT_MEMORY)) {
			assert_int_equal(code, 0);
			faults_reset();
			record_done(&back);
			break;
		}
		faults_reset();
		AT_ROW(n, code == ERR_NOMEM);
	}
	assert_int_equal(n, 3); /* the command, and its effects */
	buf_done(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_effect_and_every_text_survive_the_bytes),
		cmocka_unit_test(each_text_alone_may_be_empty_or_long),
		cmocka_unit_test(the_edges_of_a_node_survive_the_bytes),
		cmocka_unit_test(
			a_command_with_a_number_or_a_name_that_no_tallyd_writes_is_corrupt),
		cmocka_unit_test(
			a_command_is_told_from_a_report_by_the_highest_bit_of_its_length),
		cmocka_unit_test(every_flipped_bit_of_a_command_is_noticed),
		cmocka_unit_test(a_payload_that_ends_early_or_goes_on_is_corrupt),
		cmocka_unit_test(what_no_tallyd_of_this_version_has_written_is_corrupt),
		cmocka_unit_test(mutated_commands_never_crash_the_decoder),
		cmocka_unit_test(short_memory_is_told_and_leaves_nothing),
	};

	return RUN_TESTS(tests);
}
