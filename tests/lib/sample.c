#include "lib/sample.h"
#include "journal/segment.h"
#include "lib/test.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct booking sample_traffic(
	const char *service, const char *client, uint64_t input, uint64_t output)
{
	return (struct booking){.kind = KIND_HANDLER,
		.service = service,
		.client = client,
		.state = "",
		.counters = {.input_bytes = input, .output_bytes = output}};
}

void sample_book(
	struct ledger *ledger, const char *client, uint64_t input, uint64_t output)
{
	struct booking booking = sample_traffic("s", client, input, output);
	struct bookings bookings = {&booking, 1, 1};

	assert_int_equal(ledger_prepare(ledger, "n", &bookings), 0);
	ledger_apply(ledger, &bookings,
		&(struct origin){.seq = ledger_seq(ledger) + 1,
			.conn = ledger_seq(ledger) + 1,
			.time_ms = 1000});
}

struct command sample_command(const char *verb, const char *key, const char *subject,
	struct effect *effects, size_t n_effects)
{
	return (struct command){.key = key,
		.actor = "uid:7",
		.verb = verb,
		.subject = subject,
		.arguments = "{\"secret\":\"***\"}",
		.before = "",
		.after = "{\"a\":1}",
		.reason = "because",
		.status = 201,
		.answer = "{\"ok\":true}",
		.effects = effects,
		.n_effects = n_effects};
}

void sample_do(struct ledger *ledger, struct command *command, uint64_t time_ms)
{
	struct origin origin = {.seq = ledger_seq(ledger) + 1, .time_ms = time_ms};

	memset(origin.fingerprint, 'a' + (int)(origin.seq % 26), FINGERPRINT_BYTES);
	assert_int_equal(ledger_prepare_command(ledger, command), 0);
	ledger_apply_command(ledger, command, &origin);
}

struct node_kept sample_node(unsigned i)
{
	struct node_kept kept = {.is_enabled = i % 2 == 0,
		.has_secret = true,
		.counters = (enum node_counters)(i % 3),
		.old_until_ms = 5000 + i,
		.created_ms = 1000 + i};

	memset(kept.secret, (int)(i + 1), NODE_HASH_BYTES);
	memset(kept.old_secret, (int)(i + 101), NODE_HASH_BYTES);
	(void)snprintf(kept.note, sizeof(kept.note), "note %u", i);
	return kept;
}

const char *sample_name(unsigned i)
{
	static char names[8][16];
	static unsigned next;
	char *name = names[next++ % 8];

	(void)snprintf(name, sizeof(names[0]), "u%05u", i);
	return name;
}

/* By the VFS that faults.h does not count. */
static sqlite3 *open_beside(const char *path)
{
	sqlite3 *db;

	assert_int_equal(
		sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_busy_timeout(db, 5000), SQLITE_OK);
	return db;
}

void sample_sql(const char *path, const char *sql)
{
	sqlite3 *db = open_beside(path);

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t sample_number(const char *path, const char *sql)
{
	sqlite3 *db = open_beside(path);
	sqlite3_stmt *stmt;
	int64_t number;

	if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	number = sqlite3_column_int64(stmt, 0);
	assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return number;
}

static void print_rows(FILE *out, sqlite3_stmt *stmt)
{
	while (sqlite3_step(stmt) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(stmt); i++)
			(void)fprintf(
				out, "%s|", (const char *)sqlite3_column_text(stmt, i));
		(void)fprintf(out, "\n");
	}
}

char *sample_rows(const char *path, const char *queries)
{
	sqlite3 *db = open_beside(path);
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	while (*queries != '\0') {
		sqlite3_stmt *stmt;

		if (sqlite3_prepare_v2(db, queries, -1, &stmt, &queries) != SQLITE_OK)
			fail_msg("%s: %s", queries, sqlite3_errmsg(db));
		print_rows(out, stmt);
		assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
	}
	assert_int_equal(fclose(out), 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return text;
}

void sample_begin(struct sample_segment *segment, uint64_t first_seq, uint64_t synced_seq)
{
	struct segment_head head = {first_seq, synced_seq, 1000};
	uint8_t bytes[SEGMENT_HEAD_BYTES];

	*segment = (struct sample_segment){{0}};
	segment_encode_head(&head, bytes);
	buf_put(&segment->buf, bytes, sizeof(bytes));
}

static void encode(struct buf *out, uint64_t seq, uint64_t synced_seq)
{
	struct booking booking = sample_traffic("s", "u", seq, 0);
	struct record record = {.origin.seq = seq,
		.synced_seq = synced_seq,
		.origin.conn = 7,
		.origin.time_ms = 1000 + seq,
		.node = "n",
		.bookings = {&booking, 1, 1}};

	record_encode(&record, out);
	assert_true(buf_ok(out));
}

void sample_add(struct sample_segment *segment, uint64_t seq, uint64_t synced_seq)
{
	encode(&segment->buf, seq, synced_seq);
}

void sample_add_bytes(struct sample_segment *segment, const void *bytes, size_t len)
{
	buf_put(&segment->buf, bytes, len);
}

void sample_write(
	struct sample_segment *segment, const struct tempdir *dir, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];

	tempdir_write(
		dir, segment_name(number, name), segment->buf.data, segment->buf.len);
	buf_done(&segment->buf);
}

size_t sample_record_size(void)
{
	struct buf buf = {0};
	size_t size;

	encode(&buf, 1, 0);
	size = buf.len;
	buf_done(&buf);
	return size;
}
