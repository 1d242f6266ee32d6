/*
 * Each test writes a real database in a folder of its own. What is in it is said by a
 * fresh store, or by a second connection, as another program would have it.
 *
 * SQLite's own errors come from where they come from in life: from a second connection
 * that locks or edits the file, from a trigger in it, and from the system below
 * (faults_watch_sqlite()).
 */
#include "lib/test.h"
#include "base/limits.h"
#include "lib/faults.h"
#include "lib/sample.h"
#include "lib/tempdir.h"
#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOBODY 65534

struct fixture {
	struct tempdir dir;
	char path[256];
	unsigned batch_size;
	struct store *store;
	struct ledger *ledger;
};

static int try_to_open(struct fixture *f, struct errmsg *msg)
{
	struct store_config config = {f->path, 0, f->batch_size, false};

	f->store = NULL;
	return store_open(&config, &f->store, msg);
}

static void open_store(struct fixture *f)
{
	struct errmsg msg = {""};

	if (try_to_open(f, &msg) != 0)
		fail_msg("%s", msg.text);
	assert_non_null(f->store);
}

/* A folder without a database yet. */
static void begin_empty(struct fixture *f, unsigned batch_size)
{
	memset(f, 0, sizeof(*f));
	faults_reset();
	faults_watch_sqlite();
	tempdir_make(&f->dir);
	(void)snprintf(f->path, sizeof(f->path), "%s", tempdir_path(&f->dir, "tally.db"));
	f->batch_size = batch_size;
	f->ledger = ledger_new(100000, false);
	assert_non_null(f->ledger);
}

static void begin(struct fixture *f, unsigned batch_size)
{
	begin_empty(f, batch_size);
	open_store(f);
}

static void end(struct fixture *f)
{
	store_close(f->store);
	ledger_free(f->ledger);
	tempdir_remove(&f->dir);
	faults_reset();
}

static struct ledger *load(struct store *store)
{
	struct ledger *ledger = ledger_new(100000, false);
	struct errmsg msg = {""};

	assert_non_null(ledger);
	if (store_load(store, ledger, &msg) != 0)
		fail_msg("%s", msg.text);
	return ledger;
}

/* The file is closed and opened again; the ledger is what it says. */
static void reopen(struct fixture *f)
{
	store_close(f->store);
	ledger_free(f->ledger);
	open_store(f);
	f->ledger = load(f->store);
}

/* With nothing of the file in SQLite's cache. */
static void reopen_unread(struct fixture *f)
{
	store_close(f->store);
	open_store(f);
}

static void sql(const struct fixture *f, const char *text)
{
	sample_sql(f->path, text);
}

static int64_t number(const struct fixture *f, const char *text)
{
	return sample_number(f->path, text);
}

static int64_t sum_of_used(const struct fixture *f)
{
	return number(f, "SELECT coalesce(sum(used_traffic), 0) FROM users");
}

static int64_t applied_seq(const struct fixture *f)
{
	return number(f, "SELECT value FROM meta WHERE key='applied_seq'");
}

static struct cut *cut_of(struct fixture *f)
{
	struct cut *cut = ledger_cut(f->ledger);

	assert_non_null(cut);
	return cut;
}

static void commit_cut(struct fixture *f, struct cut *cut)
{
	struct store_result result;

	if (store_commit(f->store, cut, &result) != 0)
		fail_msg("%s", result.error.text);
	assert_string_equal(result.error.text, "");
	ledger_cut_committed(f->ledger, cut);
}

static void commit(struct fixture *f)
{
	commit_cut(f, cut_of(f));
}

/* User i has i + 1 bytes in and 1 out more. */
static void book_users(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		sample_book(f->ledger, sample_name(i), i + 1, 1);
}

static void book_service(
	struct fixture *f, const char *node, struct booking booking, uint64_t now_ms)
{
	struct bookings bookings = {&booking, 1, 1};

	assert_int_equal(ledger_prepare(f->ledger, node, &bookings), 0);
	ledger_apply(f->ledger, &bookings,
		&(struct origin){.seq = ledger_seq(f->ledger) + 1,
			.conn = ledger_seq(f->ledger) + 1,
			.time_ms = now_ms});
}

static void keep_rejects(struct fixture *f, unsigned first, unsigned n)
{
	for (unsigned i = first; i < first + n; i++) {
		char event[32];
		struct reject reject = {"it is bad", event};

		(void)snprintf(event, sizeof(event), "%u", i);
		ledger_keep_reject(f->ledger, "n", &reject, 3000 + i);
	}
}

static void assert_same_user(const struct user *a, const struct user *b)
{
	assert_non_null(b);
	assert_int_equal(a->total.used, b->total.used);
	assert_int_equal(a->total.input, b->total.input);
	assert_int_equal(a->total.output, b->total.output);
	assert_int_equal(a->created_ms, b->created_ms);
}

/* A fresh store gives what the ledger has. */
static void expect_in_file(const struct fixture *f)
{
	struct fixture fresh = *f;
	struct ledger_stats stats, fresh_stats;
	const struct user *user = NULL;

	open_store(&fresh);
	fresh.ledger = load(fresh.store);
	ledger_get_stats(f->ledger, &stats);
	ledger_get_stats(fresh.ledger, &fresh_stats);
	assert_int_equal(fresh_stats.users, stats.users);
	assert_int_equal(fresh_stats.services, stats.services);
	assert_int_equal(fresh_stats.dirty_users, 0);
	assert_int_equal(ledger_seq(fresh.ledger), ledger_seq(f->ledger));
	while ((user = ledger_next_user(f->ledger, user)) != NULL)
		assert_same_user(user, ledger_find_user(fresh.ledger, user->id));
	ledger_free(fresh.ledger);
	store_close(fresh.store);
}

TEST(a_file_that_does_not_exist_is_made_and_opened_again)
{
	struct fixture f;
	char id[INSTANCE_ID_BYTES];

	begin(&f, 50);
	assert_int_equal(tempdir_count(&f.dir, "tally.db", ""), 3); /* and -wal, -shm */
	(void)snprintf(id, sizeof(id), "%s", store_instance_id(f.store));
	assert_int_equal(strlen(id), INSTANCE_ID_BYTES - 1);
	assert_int_equal(strspn(id, "0123456789abcdef"), INSTANCE_ID_BYTES - 1);
	reopen(&f);
	assert_string_equal(store_instance_id(f.store), id);
	assert_int_equal(ledger_seq(f.ledger), 0);
	assert_null(ledger_next_user(f.ledger, NULL));
	end(&f);
}

TEST(two_data_directories_never_have_the_same_id)
{
	struct fixture a, b;

	begin(&a, 50);
	begin(&b, 50);
	assert_string_not_equal(store_instance_id(a.store), store_instance_id(b.store));
	end(&a);
	end(&b);
}

TEST(the_file_is_a_wal_of_strict_tables_and_closing_empties_it)
{
	struct fixture f;

	begin(&f, 50);
	book_users(&f, 10);
	commit(&f);
	assert_int_equal(number(&f,
				 "SELECT count(*) FROM pragma_journal_mode WHERE "
				 "journal_mode='wal'"),
		1);
	assert_int_equal(number(&f,
				 "SELECT count(*) FROM pragma_table_list WHERE NOT "
				 "strict AND name NOT LIKE 'sqlite_%'"),
		0);
	store_close(f.store);
	f.store = NULL;
	assert_int_equal(tempdir_count(&f.dir, "tally.db", ""), 1);
	open_store(&f);
	expect_in_file(&f);
	end(&f);
	store_close(NULL);
}

TEST(a_fresh_store_gives_the_users_that_were_committed)
{
	static const char *const ids[] = {"a", "o'brien", "\xc3\xbc", "a\"b", "A", "1",
		"01", "1.0", " ", "%", "x@y.example"};
	struct fixture f;

	begin(&f, 3);
	for (size_t i = 0; i < COUNT_OF(ids); i++)
		sample_book(f.ledger, ids[i], 10 + i, COUNTER_MAX);
	commit(&f);
	expect_in_file(&f);
	reopen(&f);
	for (size_t i = 0; i < COUNT_OF(ids); i += 2)
		sample_book(f.ledger, ids[i], 1, 0);
	commit(&f);
	expect_in_file(&f);
	assert_int_equal(number(&f, "SELECT used_traffic FROM users WHERE id='o''brien'"),
		11 + COUNTER_MAX);
	end(&f);
}

TEST(a_user_keeps_when_it_came_and_says_when_it_was_last_seen)
{
	struct fixture f;

	begin(&f, 50);
	book_service(&f, "n", sample_traffic("s", "u", 1, 0), 5000);
	commit(&f);
	book_service(&f, "n", sample_traffic("s", "u", 1, 0), 9000);
	commit(&f);
	assert_int_equal(number(&f, "SELECT created_at FROM users"), 5000);
	assert_int_equal(number(&f, "SELECT last_seen_at FROM users"), 9000);
	expect_in_file(&f);
	end(&f);
}

TEST(services_come_back_with_their_totals_gauges_and_state)
{
	struct booking booking = sample_traffic("s", "", 10, 20);
	struct fixture f;
	struct cut *cut;

	begin(&f, 50);
	booking.counters.total_conns = 7;
	booking.counters.current_conns = 3;
	booking.counters.total_errs = 2;
	book_service(&f, "n", booking, 5000);
	book_service(&f, "n",
		(struct booking){.service = "s", .client = "", .state = "ready"}, 6000);
	booking.kind = KIND_SERVICE;
	book_service(&f, "n", booking, 7000);
	book_service(&f, "other", sample_traffic("s", "", 1, 0), 8000);
	commit(&f);
	assert_int_equal(number(&f, "SELECT count(*) FROM services"), 3);
	assert_int_equal(number(&f,
				 "SELECT updated_at FROM services WHERE node='n' AND "
				 "kind='handler' AND service='s' AND state='ready'"),
		6000);
	expect_in_file(&f);
	reopen(&f);
	assert_true(ledger_has_service(f.ledger, "n", KIND_HANDLER, "s"));
	assert_true(ledger_has_service(f.ledger, "n", KIND_SERVICE, "s"));
	assert_true(ledger_has_service(f.ledger, "other", KIND_HANDLER, "s"));
	book_service(&f, "n",
		(struct booking){.kind = KIND_SERVICE,
			.service = "s",
			.client = "",
			.state = "up"},
		9000);
	cut = cut_of(&f); /* nothing but the state is new */
	assert_int_equal(cut->n_services, 1);
	assert_int_equal(cut->services[0].increment.input, 0);
	assert_int_equal(cut->services[0].last.input_bytes, 10);
	assert_int_equal(cut->services[0].last.output_bytes, 20);
	assert_int_equal(cut->services[0].last.total_conns, 7);
	assert_int_equal(cut->services[0].last.current_conns, 3);
	assert_int_equal(cut->services[0].last.total_errs, 2);
	commit_cut(&f, cut);
	assert_int_equal(number(&f,
				 "SELECT input_bytes FROM services WHERE "
				 "kind='service' AND state='up'"),
		10);
	end(&f);
}

TEST(increments_add_to_what_an_operator_wrote)
{
	struct fixture f;

	begin(&f, 50);
	book_users(&f, 3);
	commit(&f);
	sql(&f,
		"UPDATE users SET used_traffic=1000, input_bytes=0 WHERE id='u00000';"
		"DELETE FROM users WHERE id='u00001';"
		"INSERT INTO users(id, used_traffic) VALUES('new', 70)");
	sample_book(f.ledger, "u00000", 5, 6);
	sample_book(f.ledger, "u00001", 5, 6);
	sample_book(f.ledger, "new", 5, 6);
	commit(&f);
	reopen(&f);
	assert_int_equal(ledger_find_user(f.ledger, "u00000")->total.used, 1011);
	assert_int_equal(ledger_find_user(f.ledger, "u00000")->total.input, 5);
	assert_int_equal(ledger_find_user(f.ledger, "u00000")->total.output, 7);
	assert_int_equal(ledger_find_user(f.ledger, "u00001")->total.used, 11);
	assert_int_equal(ledger_find_user(f.ledger, "u00002")->total.used, 4);
	assert_int_equal(ledger_find_user(f.ledger, "new")->total.used, 81);
	assert_int_equal(ledger_find_user(f.ledger, "new")->total.input, 5);
	end(&f);
}

TEST(totals_saturate_and_never_become_real)
{
	static const struct {
		uint64_t below_max, input;
		uint64_t expected_below_max;
	} rows[] = {{0, 0, 0}, {0, 1, 0}, {1, 1, 0}, {1, 2, 0}, {10, 10, 0}, {10, 9, 1},
		{10, COUNTER_MAX, 0}, {COUNTER_MAX + 1, COUNTER_MAX, 1}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char edit[256];
		struct fixture f;

		begin(&f, 50);
		sample_book(f.ledger, "u", 0, 0);
		commit(&f);
		(void)snprintf(edit, sizeof(edit),
			"UPDATE users SET used_traffic=%llu, input_bytes=%llu;"
			"UPDATE services SET input_bytes=%llu",
			(unsigned long long)(TOTAL_MAX - rows[i].below_max),
			(unsigned long long)(TOTAL_MAX - rows[i].below_max),
			(unsigned long long)(TOTAL_MAX - rows[i].below_max));
		sql(&f, edit);
		sample_book(f.ledger, "u", rows[i].input, 0);
		commit(&f);
		AT_ROW(i,
			number(&f,
				"SELECT count(*) FROM users, services WHERE "
				"typeof(used_traffic)='integer' AND "
				"typeof(users.input_bytes)='integer' AND "
				"typeof(services.input_bytes)='integer' AND "
				"users.input_bytes=used_traffic AND "
				"services.input_bytes=used_traffic AND "
				"users.output_bytes=0") == 1);
		reopen(&f);
		AT_ROW(i,
			ledger_find_user(f.ledger, "u")->total.used ==
				TOTAL_MAX - rows[i].expected_below_max);
		end(&f);
	}
}

TEST(every_user_is_written_whatever_the_batch_size)
{
	static const unsigned sizes[] = {1, 3, 50};

	for (size_t i = 0; i < COUNT_OF(sizes); i++) {
		unsigned b = sizes[i];
		const unsigned counts[] = {0, 1, b - 1, b, b + 1, 2 * b, 2 * b + 1};
		int64_t sum = 0;
		struct fixture f;

		begin(&f, b);
		for (size_t j = 0; j < COUNT_OF(counts); j++) {
			unsigned n = counts[j];
			struct store_result result;
			struct cut *cut;

			book_users(&f, n);
			sample_book(f.ledger, "", 1, 0); /* no user, so never empty */
			cut = cut_of(&f);
			assert_int_equal(cut->users.n, n);
			AT_ROW(j, store_commit(f.store, cut, &result) == 0);
			AT_ROW(j, result.n_statements == (n + b - 1) / b);
			ledger_cut_committed(f.ledger, cut);
			sum += (int64_t)n * (n + 1) / 2 + n;
			AT_ROW(j, sum_of_used(&f) == sum);
			expect_in_file(&f);
		}
		end(&f);
	}
}

TEST(the_largest_batch_fits_into_one_statement)
{
	struct fixture f;
	struct store_result result;
	struct cut *cut;

	begin(&f, STORE_MAX_BATCH);
	book_users(&f, STORE_MAX_BATCH + 1);
	cut = cut_of(&f);
	assert_int_equal(store_commit(f.store, cut, &result), 0);
	assert_int_equal(result.n_statements, 2);
	ledger_cut_committed(f.ledger, cut);
	expect_in_file(&f);
	end(&f);
}

TEST(a_cut_that_is_handed_in_again_after_its_commit_adds_nothing)
{
	struct fixture f;
	struct store_result result;
	struct cut *cut;
	int64_t sum;

	begin(&f, 3);
	book_users(&f, 10);
	keep_rejects(&f, 0, 2);
	cut = cut_of(&f);
	assert_int_equal(store_commit(f.store, cut, &result), 0);
	sum = sum_of_used(&f);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(store_commit(f.store, cut, &result), 0);
		assert_int_equal(result.n_statements, 0);
		assert_int_equal(sum_of_used(&f), sum);
		assert_int_equal(number(&f, "SELECT count(*) FROM rejects"), 2);
	}
	ledger_cut_committed(f.ledger, cut);
	book_users(&f, 10);
	commit(&f);
	assert_int_equal(sum_of_used(&f), 2 * sum);
	end(&f);
}

TEST(an_applied_seq_that_is_neither_old_nor_new_is_foreign_and_nothing_is_written)
{
	/* The cut goes from 10 to 20. */
	static const struct {
		const char *applied;
		int code;
		bool is_written;
	} rows[] = {{"0", ERR_STORE_FOREIGN, false}, {"9", ERR_STORE_FOREIGN, false},
		{"10", 0, true}, {"11", ERR_STORE_FOREIGN, false},
		{"19", ERR_STORE_FOREIGN, false}, {"20", 0, false},
		{"21", ERR_STORE_FOREIGN, false},
		{"9223372036854775807", ERR_STORE_FOREIGN, false},
		{"x", ERR_STORE_FOREIGN, false}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char edit[128];
		struct fixture f;
		struct store_result result;
		struct cut *cut;
		int64_t sum;

		begin(&f, 3);
		book_users(&f, 10);
		commit(&f);
		sum = sum_of_used(&f);
		book_users(&f, 10);
		cut = cut_of(&f);
		(void)snprintf(edit, sizeof(edit),
			"UPDATE meta SET value='%s' WHERE key='applied_seq'",
			rows[i].applied);
		sql(&f, edit);
		AT_ROW(i, store_commit(f.store, cut, &result) == rows[i].code);
		AT_ROW(i, (result.error.text[0] != '\0') == (rows[i].code != 0));
		AT_ROW(i, sum_of_used(&f) == (rows[i].is_written ? 2 * sum : sum));
		if (rows[i].code != 0)
			AT_ROW(i, applied_seq(&f) == atoll(rows[i].applied));
		ledger_forget_cut(cut);
		end(&f);
	}
}

static sqlite3 *open_beside(const struct fixture *f, const char *begin_sql)
{
	sqlite3 *db;

	assert_int_equal(
		sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, begin_sql, NULL, NULL, NULL), SQLITE_OK);
	return db;
}

TEST(a_file_that_another_program_holds_is_busy_and_nothing_is_written)
{
	struct fixture f;
	struct store_result result;
	struct cut *cut;
	sqlite3 *other;

	begin(&f, 3);
	book_users(&f, 10);
	cut = cut_of(&f);
	other = open_beside(&f, "BEGIN IMMEDIATE; INSERT INTO users(id) VALUES('x')");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(store_commit(f.store, cut, &result), ERR_STORE_BUSY);
		assert_string_not_equal(result.error.text, "");
	}
	assert_int_equal(sum_of_used(&f), 0);
	assert_int_equal(applied_seq(&f), 0);
	assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	commit_cut(&f, cut);
	expect_in_file(&f);
	end(&f);
}

TEST(who_only_reads_stops_no_commit)
{
	struct fixture f;
	sqlite3 *other;

	begin(&f, 3);
	other = open_beside(&f, "BEGIN; SELECT * FROM meta");
	book_users(&f, 10);
	commit(&f);
	assert_int_equal(sqlite3_close(other), SQLITE_OK);
	expect_in_file(&f);
	end(&f);
}

TEST(a_statement_that_fails_halfway_leaves_nothing_and_the_same_cut_succeeds_later)
{
	static const char *const triggers[] = {
		"BEFORE INSERT ON users WHEN NEW.id='u00000' BEGIN SELECT RAISE(FAIL,''",
		"BEFORE INSERT ON users WHEN NEW.id='u00004' BEGIN SELECT RAISE(FAIL,''",
		"AFTER INSERT ON users WHEN NEW.id='u00009' BEGIN SELECT RAISE(FAIL,''",
		"BEFORE INSERT ON users WHEN NEW.id='u00004' BEGIN SELECT RAISE(ABORT,''",
		"BEFORE INSERT ON users WHEN NEW.id='u00004' BEGIN "
		"SELECT RAISE(ROLLBACK,''",
		"BEFORE INSERT ON users WHEN NEW.id='u00009' BEGIN "
		"SELECT RAISE(ROLLBACK,''",
		"BEFORE INSERT ON services BEGIN SELECT RAISE(FAIL,''",
		"BEFORE INSERT ON services BEGIN SELECT RAISE(ROLLBACK,''",
		"BEFORE INSERT ON rejects WHEN NEW.event='1' BEGIN SELECT RAISE(FAIL,''",
		"BEFORE INSERT ON rejects WHEN NEW.event='1' BEGIN "
		"SELECT RAISE(ROLLBACK,''",
		"BEFORE UPDATE ON meta BEGIN SELECT RAISE(FAIL,''",
		"BEFORE UPDATE ON meta BEGIN SELECT RAISE(ROLLBACK,''",
	};

	for (size_t i = 0; i < COUNT_OF(triggers); i++) {
		char create[256];
		struct fixture f;
		struct store_result result;
		struct cut *cut;

		begin(&f, 3);
		(void)snprintf(
			create, sizeof(create), "CREATE TRIGGER t %s); END", triggers[i]);
		sql(&f, create);
		book_users(&f, 10);
		keep_rejects(&f, 0, 3);
		cut = cut_of(&f);
		for (unsigned j = 0; j < 2; j++) {
			AT_ROW(i, store_commit(f.store, cut, &result) == ERR_STORE_IO);
			AT_ROW(i, result.error.text[0] != '\0');
			AT_ROW(i,
				number(&f,
					"SELECT (SELECT count(*) FROM users) + "
					"(SELECT count(*) FROM services) + "
					"(SELECT count(*) FROM rejects)") == 0);
			AT_ROW(i, applied_seq(&f) == 0);
		}
		sql(&f, "DROP TRIGGER t");
		commit_cut(&f, cut);
		expect_in_file(&f);
		end(&f);
	}
}

/* The cut is in the file whole, or not at all. */
static void expect_whole_or_nothing(const struct fixture *f, int64_t sum_before)
{
	int64_t seq = applied_seq(f), sum = sum_of_used(f);

	if (seq == (int64_t)ledger_seq(f->ledger))
		assert_true(sum > sum_before);
	else
		assert_int_equal(sum, sum_before);
}

/* Commits with the nth call below failing; true if it has fired. */
static bool commit_with_fault(
	struct fixture *f, enum fault_kind kind, int error, unsigned n, int expected_code)
{
	int64_t sum = sum_of_used(f);
	struct store_result result;
	struct cut *cut;
	bool has_fired;
	int code;

	book_users(f, 40);
	keep_rejects(f, 0, 2);
	cut = cut_of(f);
	faults_fail_nth(kind, n, error);
	code = store_commit(f->store, cut, &result);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_true(code == 0 || has_fired);
	assert_true(code == 0 || code == expected_code || code == ERR_STORE_UNKNOWN);
	assert_int_equal(result.error.text[0] != '\0', code != 0);
	expect_whole_or_nothing(f, sum);
	if (code != ERR_STORE_UNKNOWN && code != 0)
		assert_int_equal(sum_of_used(f), sum);
	commit_cut(f, cut);
	assert_int_equal(sum_of_used(f), sum + 40 * 41 / 2 + 40);
	return has_fired;
}

TEST(a_commit_that_fails_below_sqlite_at_any_call_is_made_whole_by_the_same_cut)
{
	static const struct {
		enum fault_kind kind;
		int error, code;
	} rows[] = {
		{FAULT_SQLITE_WRITE, SQLITE_FULL, ERR_STORE_FULL},
		{FAULT_SQLITE_WRITE, SQLITE_IOERR_WRITE, ERR_STORE_IO},
		{FAULT_SQLITE_SYNC, SQLITE_IOERR_FSYNC, ERR_STORE_IO},
		{FAULT_SQLITE_READ, SQLITE_IOERR_READ, ERR_STORE_IO},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct fixture f;
		unsigned n = 1;

		begin(&f, 3);
		book_users(&f, 300);
		commit(&f);
		for (;; n++) {
			reopen_unread(&f);
			if (!commit_with_fault(
				    &f, rows[i].kind, rows[i].error, n, rows[i].code))
				break;
		}
		AT_ROW(i, n > 1);
		expect_in_file(&f);
		end(&f);
	}
}

TEST(a_full_disk_stops_commits_only_until_there_is_room)
{
	struct fixture f;
	struct store_result result;
	struct cut *cut;

	begin(&f, 3);
	book_users(&f, 10);
	cut = cut_of(&f);
	faults_fail_from(FAULT_SQLITE_WRITE, 1, SQLITE_FULL);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(store_commit(f.store, cut, &result), ERR_STORE_UNKNOWN);
	faults_reset();
	assert_int_equal(applied_seq(&f), 0);
	commit_cut(&f, cut);
	expect_in_file(&f);
	end(&f);
}

TEST(a_disk_that_is_full_before_the_commit_leaves_nothing)
{
	enum { N_USERS = 20000, BATCH = 500 };
	struct fixture f;
	struct store_result result;
	struct cut *cut;

	begin(&f, BATCH);
	for (unsigned i = 0; i < N_USERS; i++) {
		char id[201];

		(void)snprintf(id, sizeof(id), "%0200u", i);
		sample_book(f.ledger, id, 1, 0);
	}
	cut = cut_of(&f); /* more than SQLite keeps in memory until COMMIT */
	faults_fail_from(FAULT_SQLITE_WRITE, 1, SQLITE_FULL);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(store_commit(f.store, cut, &result), ERR_STORE_FULL);
		assert_in_range(result.n_statements, 2, N_USERS / BATCH - 1);
	}
	faults_reset();
	assert_int_equal(sum_of_used(&f), 0);
	assert_int_equal(applied_seq(&f), 0);
	commit_cut(&f, cut);
	expect_in_file(&f);
	end(&f);
}

TEST(short_memory_in_a_commit_leaves_nothing)
{
	struct fixture f;
	struct store_result result;
	struct cut *cut;
	unsigned n = 1;

	begin(&f, 3);
	book_users(&f, 4);
	cut = cut_of(&f);
	for (;; n++) {
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = store_commit(f.store, cut, &result);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		if (!has_fired)
			break;
		assert_int_equal(code, ERR_NOMEM);
		assert_int_equal(sum_of_used(&f), 0);
	}
	assert_true(n > 1);
	ledger_cut_committed(f.ledger, cut);
	expect_in_file(&f);
	end(&f);
}

/* User i had 100 * (i + 1) bytes by somebody else's count. */
static void adopt_users(struct fixture *f, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char id[16];
		struct adopted adopted = {id, {100 * (i + 1), 30, 40}};

		(void)snprintf(id, sizeof(id), "%s", sample_name(i));
		assert_int_equal(ledger_adopt(f->ledger, &adopted, 1, 4000), 0);
	}
}

enum { N_ADOPTED = 5, ADOPTED_SUM = 100 * (1 + 2 + 3 + 4 + 5) };

static void set_link(struct fixture *f, uint64_t at_ms, const char *claim)
{
	struct link_record link = {.at_ms = at_ms};

	(void)snprintf(link.claim, sizeof(link.claim), "%s", claim);
	ledger_set_link(f->ledger, &link);
}

/* A cut of no record: adopted totals, and the link that says so. */
static struct cut *cut_of_adopted(struct fixture *f, uint64_t at_ms, const char *claim)
{
	struct cut *cut;

	adopt_users(f, N_ADOPTED);
	set_link(f, at_ms, claim);
	cut = cut_of(f);
	assert_true(cut->has_link);
	assert_int_equal(cut->users.n, N_ADOPTED);
	assert_int_equal(cut->seq, cut->prev_seq);
	return cut;
}

/* 0: there is none. */
static int64_t link_in_file(const struct fixture *f)
{
	return number(f,
		"SELECT coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE "
		"key='redis_link'), 0)");
}

/* A fresh store gives this link. */
static void expect_link(const struct fixture *f, uint64_t at_ms, const char *claim)
{
	struct fixture fresh = *f;

	open_store(&fresh);
	fresh.ledger = load(fresh.store);
	assert_int_equal(ledger_link(fresh.ledger)->at_ms, at_ms);
	assert_string_equal(ledger_link(fresh.ledger)->claim, claim);
	assert_true(ledger_is_link_saved(fresh.ledger));
	assert_false(ledger_is_dirty(fresh.ledger));
	ledger_free(fresh.ledger);
	store_close(fresh.store);
}

#define LONGEST_CLAIM "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

TEST(a_fresh_store_gives_the_adopted_totals_and_the_link)
{
	static const struct {
		uint64_t at_ms;
		const char *claim, *value;
	} rows[] = {
		{1764093458123, "", "1764093458123"},
		{1764093458123, "0123abcd", "1764093458123 0123abcd"},
		{1, "a b", "1 a b"},
		{0, "0123abcd", "0 0123abcd"},
		{TIME_MAX_MS, LONGEST_CLAIM, "32503680000000 " LONGEST_CLAIM},
	};

	assert_int_equal(strlen(LONGEST_CLAIM), CLAIM_BYTES - 1);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char query[256];
		struct fixture f;

		begin(&f, 3);
		expect_link(&f, 0, ""); /* never linked */
		book_users(&f, 3);
		commit(&f);
		commit_cut(&f, cut_of_adopted(&f, rows[i].at_ms, rows[i].claim));
		expect_in_file(&f);
		AT_ROW(i, sum_of_used(&f) == 2 + 3 + 4 + ADOPTED_SUM);
		AT_ROW(i, applied_seq(&f) == 3);
		expect_link(&f, rows[i].at_ms, rows[i].claim);
		(void)snprintf(query, sizeof(query),
			"SELECT count(*) FROM meta WHERE key='redis_link' AND value='%s'",
			rows[i].value);
		AT_ROW(i, number(&f, query) == 1);
		reopen(&f);
		AT_ROW(i,
			ledger_find_user(f.ledger, "u00004")->total.used == 500 &&
				ledger_find_user(f.ledger, "u00004")->total.input == 30 &&
				ledger_find_user(f.ledger, "u00004")->total.output == 40);
		end(&f);
	}
}

TEST(a_cut_without_a_link_leaves_the_one_in_the_file)
{
	struct fixture f;

	begin(&f, 3);
	book_users(&f, 3);
	commit(&f);
	assert_int_equal(
		number(&f, "SELECT count(*) FROM meta WHERE key='redis_link'"), 0);
	set_link(&f, 1000, "claim");
	commit(&f);
	book_users(&f, 3);
	commit(&f);
	expect_link(&f, 1000, "claim");
	reopen(&f);
	book_users(&f, 3);
	commit(&f);
	expect_link(&f, 1000, "claim");
	set_link(&f, 1000, ""); /* it has become ours */
	commit(&f);
	expect_link(&f, 1000, "");
	expect_in_file(&f);
	end(&f);
}

TEST(no_link_is_written_if_a_statement_of_its_cut_fails)
{
	static const struct {
		uint64_t before; /* the link in the file; 0: there is none */
		const char *trigger;
	} rows[] = {
		{0,
			"BEFORE INSERT ON users WHEN NEW.id='u00004' BEGIN SELECT "
			"RAISE(FAIL,''"},
		{1000,
			"BEFORE INSERT ON users WHEN NEW.id='u00004' BEGIN SELECT "
			"RAISE(FAIL,''"},
		{0, "BEFORE INSERT ON rejects BEGIN SELECT RAISE(FAIL,''"},
		{0, "BEFORE INSERT ON meta BEGIN SELECT RAISE(FAIL,''"},
		{0, "AFTER INSERT ON meta BEGIN SELECT RAISE(FAIL,''"},
		{0, "AFTER INSERT ON meta BEGIN SELECT RAISE(ROLLBACK,''"},
		{1000,
			"AFTER UPDATE ON meta WHEN NEW.key='redis_link' BEGIN SELECT "
			"RAISE(FAIL,''"},
		{1000,
			"AFTER UPDATE ON meta WHEN NEW.key='redis_link' BEGIN SELECT "
			"RAISE(ROLLBACK,''"},
		{0,
			"AFTER UPDATE ON meta WHEN NEW.key='applied_seq' BEGIN SELECT "
			"RAISE(FAIL,''"},
		{1000,
			"AFTER UPDATE ON meta WHEN NEW.key='applied_seq' BEGIN SELECT "
			"RAISE(FAIL,''"},
		{1000,
			"AFTER UPDATE ON meta WHEN NEW.key='applied_seq' BEGIN SELECT "
			"RAISE(ROLLBACK,''"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char create[256];
		struct fixture f;
		struct store_result result;
		struct cut *cut;
		int64_t sum;

		begin(&f, 3);
		if (rows[i].before != 0)
			commit_cut(&f, cut_of_adopted(&f, rows[i].before, "older"));
		sum = sum_of_used(&f);
		(void)snprintf(create, sizeof(create), "CREATE TRIGGER t %s); END",
			rows[i].trigger);
		sql(&f, create);
		keep_rejects(&f, 0, 1);
		cut = cut_of_adopted(&f, 2000, "claim");
		for (unsigned j = 0; j < 2; j++) {
			AT_ROW(i, store_commit(f.store, cut, &result) == ERR_STORE_IO);
			AT_ROW(i, sum_of_used(&f) == sum);
			AT_ROW(i, link_in_file(&f) == (int64_t)rows[i].before);
		}
		sql(&f, "DROP TRIGGER t");
		commit_cut(&f, cut);
		AT_ROW(i, sum_of_used(&f) == sum + ADOPTED_SUM);
		expect_link(&f, 2000, "claim");
		expect_in_file(&f);
		end(&f);
	}
}

/* What an unknown outcome hides: the commit was not made, or it was. */
enum outcome { OUTCOME_LOST, OUTCOME_MADE };

static void make_after_all(const struct fixture *f, const struct cut *cut)
{
	struct fixture other = *f;
	struct store_result result;

	open_store(&other);
	assert_int_equal(store_commit(other.store, cut, &result), 0);
	store_close(other.store);
}

/* Commits adopted totals with the nth call below failing; true if it has fired. */
static bool adopt_with_fault(struct fixture *f, enum fault_kind kind, int error,
	unsigned n, enum outcome outcome, unsigned *ret_n_unknown)
{
	int64_t sum = sum_of_used(f), link = link_in_file(f);
	struct store_result result;
	struct cut *cut = cut_of_adopted(f, (uint64_t)link + 1, "claim");
	bool has_fired;
	int code;

	faults_fail_nth(kind, n, error);
	code = store_commit(f->store, cut, &result);
	has_fired = faults_fired(kind);
	faults_reset();
	assert_true(code == 0 || has_fired);
	assert_int_equal(sum_of_used(f), code == 0 ? sum + ADOPTED_SUM : sum);
	assert_int_equal(link_in_file(f), code == 0 ? link + 1 : link);
	if (code == ERR_STORE_UNKNOWN) {
		++*ret_n_unknown;
		if (outcome == OUTCOME_MADE)
			make_after_all(f, cut);
	}
	commit_cut(f, cut);
	assert_int_equal(sum_of_used(f), sum + ADOPTED_SUM);
	assert_int_equal(link_in_file(f), link + 1);
	return has_fired;
}

TEST(adopted_totals_whose_commit_fails_below_sqlite_at_any_call_are_in_the_file_once)
{
	static const struct {
		enum fault_kind kind;
		int error;
		bool can_be_unknown;
	} rows[] = {
		{FAULT_SQLITE_WRITE, SQLITE_FULL, true},
		{FAULT_SQLITE_WRITE, SQLITE_IOERR_WRITE, true},
		{FAULT_SQLITE_SYNC, SQLITE_IOERR_FSYNC, true},
		{FAULT_SQLITE_READ, SQLITE_IOERR_READ, false},
	};

	for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
		enum outcome outcome = i % 2 == 0 ? OUTCOME_LOST : OUTCOME_MADE;
		unsigned n = 1, n_unknown = 0;
		struct fixture f;

		begin(&f, 3);
		book_users(&f, 300);
		commit(&f);
		for (;; n++) {
			store_close(f.store);
			open_store(&f); /* nothing is cached */
			if (!adopt_with_fault(&f, rows[i / 2].kind, rows[i / 2].error, n,
				    outcome, &n_unknown))
				break;
		}
		AT_ROW(i, n > 1);
		AT_ROW(i, (n_unknown > 0) == rows[i / 2].can_be_unknown);
		expect_in_file(&f);
		expect_link(&f, n, "claim");
		end(&f);
	}
}

/* Without records, and with them: applied_seq tells it apart then. */
TEST(a_cut_with_a_link_that_is_handed_in_again_after_its_commit_adds_nothing)
{
	for (unsigned n_records = 0; n_records <= 4; n_records += 4) {
		struct fixture f;
		struct store_result result;
		struct cut *cut;
		int64_t sum;

		begin(&f, 3);
		adopt_users(&f, N_ADOPTED);
		book_users(&f, n_records);
		keep_rejects(&f, 0, 2);
		set_link(&f, 1000, "claim");
		cut = cut_of(&f);
		assert_int_equal(cut->seq - cut->prev_seq, n_records);
		assert_int_equal(store_commit(f.store, cut, &result), 0);
		sum = sum_of_used(&f);
		for (unsigned i = 0; i < 3; i++) {
			AT_ROW(n_records, store_commit(f.store, cut, &result) == 0);
			AT_ROW(n_records, result.n_statements == 0);
			AT_ROW(n_records, sum_of_used(&f) == sum);
			AT_ROW(n_records,
				number(&f, "SELECT count(*) FROM rejects") == 2);
		}
		ledger_cut_committed(f.ledger, cut);
		expect_in_file(&f);
		expect_link(&f, 1000, "claim");
		end(&f);
	}
}

TEST(a_cut_with_another_link_and_the_same_sequence_is_applied)
{
	static const struct {
		uint64_t at_ms;
		const char *claim;
	} rows[] = {{1000, ""}, {1001, ""}, {1001, "a"}, {1001, "ab"}, {1001, "b"},
		{10011, ""}, {999, ""}};
	struct fixture f;

	begin(&f, 3);
	book_users(&f, 2);
	commit(&f);
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		int64_t sum = sum_of_used(&f);

		commit_cut(&f, cut_of_adopted(&f, rows[i].at_ms, rows[i].claim));
		AT_ROW(i, sum_of_used(&f) == sum + ADOPTED_SUM);
		expect_link(&f, rows[i].at_ms, rows[i].claim);
	}
	assert_int_equal(applied_seq(&f), 2);
	expect_in_file(&f);
	end(&f);
}

TEST(a_link_that_is_in_the_file_already_stops_no_cut_of_records)
{
	struct fixture f;
	int64_t sum;

	begin(&f, 3);
	commit_cut(&f, cut_of_adopted(&f, 1000, "claim"));
	sum = sum_of_used(&f);
	book_users(&f, 2);
	set_link(&f, 1000, "claim");
	commit(&f);
	assert_int_equal(sum_of_used(&f), sum + 2 + 3);
	expect_in_file(&f);
	end(&f);
}

TEST(an_applied_seq_is_foreign_to_a_cut_of_a_link_whatever_link_is_in_the_file)
{
	static const char *const edits[] = {
		"UPDATE meta SET value='9' WHERE key='applied_seq'",
		"UPDATE meta SET value='11' WHERE key='applied_seq'",
		"UPDATE meta SET value='11' WHERE key='applied_seq';"
		"INSERT INTO meta VALUES('redis_link', '1000 claim')",
	};

	for (size_t i = 0; i < COUNT_OF(edits); i++) {
		struct fixture f;
		struct store_result result;
		struct cut *cut;
		int64_t sum, link;

		begin(&f, 3);
		book_users(&f, 10);
		commit(&f);
		cut = cut_of_adopted(&f, 1000, "claim");
		sql(&f, edits[i]);
		sum = sum_of_used(&f);
		link = link_in_file(&f);
		AT_ROW(i, store_commit(f.store, cut, &result) == ERR_STORE_FOREIGN);
		AT_ROW(i, sum_of_used(&f) == sum);
		AT_ROW(i, link_in_file(&f) == link);
		ledger_forget_cut(cut);
		end(&f);
	}
}

TEST(short_memory_while_opening_is_said_and_no_store_is_given)
{
	struct fixture f;
	struct errmsg msg = {""};
	unsigned n = 1;

	begin_empty(&f, 3);
	for (;; n++) {
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = try_to_open(&f, &msg);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		if (!has_fired)
			break;
		assert_int_equal(code, ERR_NOMEM);
		assert_null(f.store);
		assert_string_not_equal(msg.text, "");
	}
	assert_true(n > 1);
	end(&f);
}

TEST(a_store_that_cannot_be_made_for_a_fault_below_can_be_made_after_it)
{
	static const struct {
		enum fault_kind kind;
		int error, code;
	} rows[] = {
		{FAULT_SQLITE_WRITE, SQLITE_FULL, ERR_STORE_FULL},
		{FAULT_SQLITE_WRITE, SQLITE_IOERR_WRITE, ERR_STORE_IO},
		{FAULT_SQLITE_SYNC, SQLITE_IOERR_FSYNC, ERR_STORE_IO},
		{FAULT_SQLITE_READ, SQLITE_IOERR_READ, ERR_STORE_IO},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		bool has_fired = true;
		unsigned n = 1;

		for (; has_fired; n++) {
			struct errmsg msg = {""};
			struct fixture f;
			int code;

			begin_empty(&f, 3);
			faults_fail_nth(rows[i].kind, n, rows[i].error);
			code = try_to_open(&f, &msg);
			has_fired = faults_fired(rows[i].kind);
			faults_reset();
			AT_ROW(i, code == 0 || (has_fired && code == rows[i].code));
			AT_ROW(i, code == 0 || f.store == NULL);
			AT_ROW(i, (strstr(msg.text, f.path) != NULL) == (code != 0));
			if (code != 0)
				open_store(&f);
			book_users(&f, 4);
			commit(&f);
			expect_in_file(&f);
			end(&f);
		}
		AT_ROW(i, n > 2);
	}
}

TEST(a_file_that_cannot_be_read_to_its_end_is_not_loaded)
{
	struct fixture f;
	unsigned n = 1;

	begin(&f, 50);
	book_users(&f, 1000);
	commit(&f);
	for (;; n++) {
		struct ledger *ledger = ledger_new(100000, false);
		struct errmsg msg = {""};
		bool has_fired;
		int code;

		assert_non_null(ledger);
		store_close(f.store);
		open_store(&f);
		faults_fail_nth(FAULT_SQLITE_READ, n, SQLITE_IOERR_READ);
		code = store_load(f.store, ledger, &msg);
		has_fired = faults_fired(FAULT_SQLITE_READ);
		faults_reset();
		ledger_free(ledger);
		assert_int_equal(code, has_fired ? ERR_STORE_IO : 0);
		assert_int_equal(msg.text[0] != '\0', has_fired);
		if (!has_fired)
			break;
	}
	assert_true(n > 5);
	end(&f);
}

/* With its tables made: uthash would end the process if it could not make them. */
static struct ledger *new_ledger_with_tables(void)
{
	struct ledger *ledger = ledger_new(100, false);
	struct counters none = {0};

	assert_non_null(ledger);
	assert_int_equal(ledger_load_user(ledger, "x", (struct totals){0}, 1, 0), 0);
	assert_int_equal(ledger_load_service(ledger, "x", KIND_HANDLER, "x", &none, "",
				 &(struct epoch){0}, 1),
		0);
	return ledger;
}

TEST(short_memory_while_loading_is_said)
{
	struct fixture f;
	unsigned n = 1;

	begin(&f, 50);
	book_users(&f, 3);
	commit(&f);
	for (;; n++) {
		struct ledger *ledger = new_ledger_with_tables();
		struct errmsg msg = {""};
		bool has_fired;
		int code;

		faults_fail_nth(FAULT_MEMORY, n, ENOMEM);
		code = store_load(f.store, ledger, &msg);
		has_fired = faults_fired(FAULT_MEMORY);
		faults_reset();
		ledger_free(ledger);
		assert_int_equal(code, has_fired ? ERR_NOMEM : 0);
		if (!has_fired)
			break;
	}
	assert_int_equal(n, 3 + 2 + 4 + 1); /* users, a service and its node's name, open
					       reports and their table */
	end(&f);
}

TEST(what_is_no_database_is_corrupt)
{
	static const struct {
		int byte;
		size_t len;
	} rows[] = {{0xa5, 100}, {0xa5, 4096}, {'x', 65536}, {0, 4096}};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		char *bytes = malloc(rows[i].len);
		struct errmsg msg = {""};
		struct fixture f;

		begin_empty(&f, 50);
		assert_non_null(bytes);
		memset(bytes, rows[i].byte, rows[i].len);
		tempdir_write(&f.dir, "tally.db", bytes, rows[i].len);
		AT_ROW(i, try_to_open(&f, &msg) == ERR_STORE_CORRUPT);
		AT_ROW(i, f.store == NULL);
		AT_ROW(i, strstr(msg.text, f.path) != NULL);
		free(bytes);
		end(&f);
	}
}

/* The root page of a table becomes garbage. */
static void damage(const struct fixture *f, const char *table)
{
	char query[128], garbage[4096];
	int64_t page;
	int fd;

	(void)snprintf(query, sizeof(query),
		"SELECT rootpage FROM sqlite_schema WHERE name='%s'", table);
	page = number(f, query);
	memset(garbage, 0xa5, sizeof(garbage));
	assert_int_equal(number(f, "PRAGMA page_size"), sizeof(garbage));
	fd = openat(f->dir.fd, "tally.db", O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, garbage, sizeof(garbage),
				 (off_t)(page - 1) * (off_t)sizeof(garbage)),
		sizeof(garbage));
	assert_int_equal(close(fd), 0);
}

TEST(a_damaged_table_is_corrupt_when_it_is_opened_or_loaded)
{
	static const char *const tables[] = {"meta", "users", "services"};

	for (size_t i = 0; i < COUNT_OF(tables); i++) {
		struct errmsg msg = {""};
		struct fixture f;
		int code;

		begin(&f, 50);
		book_users(&f, 1000);
		commit(&f);
		store_close(f.store);
		ledger_free(f.ledger);
		f.ledger = ledger_new(100000, false);
		assert_non_null(f.ledger);
		damage(&f, tables[i]);
		code = try_to_open(&f, &msg);
		if (code == 0)
			code = store_load(f.store, f.ledger, &msg);
		AT_ROW(i, code == ERR_STORE_CORRUPT);
		AT_ROW(i, msg.text[0] != '\0');
		end(&f);
	}
}

TEST(a_file_of_a_newer_tallyd_is_refused_and_left_as_it_is)
{
	struct fixture f;
	struct errmsg msg = {""};

	begin(&f, 50);
	book_users(&f, 3);
	commit(&f);
	store_close(f.store);
	sql(&f, "PRAGMA user_version=1000");
	assert_int_equal(try_to_open(&f, &msg), ERR_STORE_NEWER);
	assert_null(f.store);
	assert_non_null(strstr(msg.text, f.path));
	assert_non_null(strstr(msg.text, "1000"));
	assert_int_equal(number(&f, "PRAGMA user_version"), 1000);
	assert_int_equal(number(&f, "SELECT count(*) FROM users"), 3);
	end(&f);
}

TEST(a_database_of_another_program_is_refused_and_left_as_it_is)
{
	static const char *const contents[] = {
		"CREATE TABLE users(name TEXT); INSERT INTO users VALUES('x')",
		"CREATE TABLE services(a); CREATE TABLE users(name TEXT);"
		"INSERT INTO users VALUES('x'); PRAGMA user_version=1",
		"CREATE TABLE users(name TEXT); CREATE TABLE meta(key TEXT, value TEXT);"
		"INSERT INTO users VALUES('x'); PRAGMA user_version=1",
		"CREATE TABLE users(name TEXT); INSERT INTO users VALUES('x');"
		"PRAGMA user_version=-1",
		"CREATE TABLE users(name TEXT); INSERT INTO users VALUES('x');"
		"PRAGMA user_version=-2147483648",
	};

	for (size_t i = 0; i < COUNT_OF(contents); i++) {
		struct errmsg msg = {""};
		struct fixture f;
		int64_t n_tables;

		begin_empty(&f, 50);
		tempdir_write(&f.dir, "tally.db", "", 0);
		sql(&f, contents[i]);
		n_tables = number(&f, "SELECT count(*) FROM sqlite_schema");
		AT_ROW(i, try_to_open(&f, &msg) != 0);
		AT_ROW(i, f.store == NULL);
		AT_ROW(i, strstr(msg.text, f.path) != NULL);
		AT_ROW(i, number(&f, "SELECT count(*) FROM sqlite_schema") == n_tables);
		AT_ROW(i, number(&f, "SELECT count(*) FROM users") == 1);
		end(&f);
	}
}

TEST(meta_without_its_rows_is_corrupt)
{
	struct fixture f;
	struct errmsg msg = {""};
	struct store_result result;
	struct cut *cut;

	begin(&f, 50);
	sql(&f, "DELETE FROM meta WHERE key='applied_seq'");
	book_users(&f, 3);
	cut = cut_of(&f);
	assert_int_equal(store_commit(f.store, cut, &result), ERR_STORE_CORRUPT);
	assert_int_equal(number(&f, "SELECT count(*) FROM users"), 0);
	ledger_forget_cut(cut);
	store_close(f.store);
	sql(&f, "DELETE FROM meta");
	assert_int_equal(try_to_open(&f, &msg), ERR_STORE_CORRUPT);
	assert_non_null(strstr(msg.text, "instance_id"));
	end(&f);
}

TEST(a_folder_that_is_not_there_is_an_error_with_the_path)
{
	struct fixture f;
	struct errmsg msg = {""};

	begin_empty(&f, 50);
	(void)snprintf(
		f.path, sizeof(f.path), "%s", tempdir_path(&f.dir, "none/tally.db"));
	assert_int_equal(try_to_open(&f, &msg), ERR_STORE_IO);
	assert_null(f.store);
	assert_non_null(strstr(msg.text, f.path));
	end(&f);
}

/* As a user to whom file modes apply; false if that cannot be. */
static bool drop_rights(void)
{
	return geteuid() != 0 || seteuid(NOBODY) == 0;
}

static void regain_rights(void)
{
	if (getuid() == 0)
		assert_int_equal(seteuid(0), 0);
}

TEST(a_file_or_folder_that_cannot_be_written_is_refused)
{
	struct fixture f;
	struct errmsg msg = {""};
	int code;

	begin(&f, 50);
	book_users(&f, 3);
	commit(&f);
	store_close(f.store);
	f.store = NULL;
	assert_int_equal(fchmod(f.dir.fd, 0777), 0);
	assert_int_equal(fchmodat(f.dir.fd, "tally.db", 0444, 0), 0);
	if (!drop_rights()) {
		end(&f);
		skip();
	}
	code = try_to_open(&f, &msg);
	regain_rights();
	assert_int_equal(code, ERR_STORE_READONLY);
	assert_null(f.store);
	assert_non_null(strstr(msg.text, f.path));
	assert_int_equal(unlinkat(f.dir.fd, "tally.db", 0), 0);
	assert_int_equal(fchmod(f.dir.fd, 0555), 0);
	msg.text[0] = '\0';
	assert_true(drop_rights());
	code = try_to_open(&f, &msg);
	regain_rights();
	assert_true(code != 0);
	assert_null(f.store);
	assert_non_null(strstr(msg.text, f.path));
	assert_int_equal(fchmod(f.dir.fd, 0700), 0);
	end(&f);
}

TEST(of_rejects_the_newest_are_kept_and_never_more_than_the_bound)
{
	struct fixture f;

	begin(&f, 50);
	for (unsigned i = 0; i < 5; i++) {
		unsigned n = (i + 1) * 600;

		keep_rejects(&f, i * 600, 600);
		commit(&f);
		assert_int_equal(number(&f, "SELECT count(*) FROM rejects"),
			n < LEDGER_MAX_REJECTS ? n : LEDGER_MAX_REJECTS);
		assert_int_equal(
			number(&f, "SELECT max(CAST(event AS INTEGER)) FROM rejects"),
			n - 1);
		assert_int_equal(
			number(&f, "SELECT min(CAST(event AS INTEGER)) FROM rejects"),
			n < LEDGER_MAX_REJECTS ? 0 : n - LEDGER_MAX_REJECTS);
	}
	assert_int_equal(number(&f,
				 "SELECT count(*) FROM rejects WHERE node='n' AND "
				 "reason='it is bad' AND at=3000+event"),
		LEDGER_MAX_REJECTS);
	assert_int_equal(applied_seq(&f), 0); /* they are no records */
	end(&f);
}

static void do_key(struct fixture *f, const char *key, uint64_t time_ms)
{
	struct command command = sample_command("v", key, "n", NULL, 0);

	sample_do(f->ledger, &command, time_ms);
}

TEST(of_commands_those_of_seven_days_are_kept_and_all_of_audit)
{
	struct fixture f;

	begin(&f, 10);
	do_key(&f, "old", 1000);
	do_key(&f, "just", 2000);
	commit(&f);
	do_key(&f, "new", 2000 + COMMANDS_KEPT_MS);
	commit(&f);
	assert_int_equal(number(&f, "SELECT count(*) FROM commands"), 2);
	assert_int_equal(number(&f, "SELECT count(*) FROM commands WHERE key='old'"), 0);
	assert_int_equal(number(&f, "SELECT count(*) FROM audit"), 3);
	reopen(&f);
	assert_null(ledger_find_command(f.ledger, "uid:7", "old"));
	assert_non_null(ledger_find_command(f.ledger, "uid:7", "just"));
	assert_int_equal(ledger_find_command(f.ledger, "uid:7", "new")->seq, 3);
	end(&f);
}

TEST(of_commands_the_last_hundred_thousand_are_kept)
{
	struct fixture f;

	begin(&f, 10);
	sql(&f,
		"PRAGMA synchronous=OFF; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL "
		"SELECT "
		"i+1 FROM n WHERE i<100002) INSERT INTO commands SELECT 'uid:7', 'key "
		"'||i, "
		"x'000102030405060708090a0b0c0d0e0f', 200, '{}', 1000, i FROM n;"
		"UPDATE meta SET value='100002' WHERE key='applied_seq'");
	reopen(&f);
	do_key(&f, "last", 1000);
	commit(&f);
	assert_int_equal(number(&f, "SELECT count(*) FROM commands"), COMMANDS_KEPT);
	assert_int_equal(number(&f, "SELECT min(seq) FROM commands"), 4);
	assert_int_equal(number(&f, "SELECT max(seq) FROM commands"), 100003);
	/* And memory has the same. */
	assert_null(ledger_find_command(f.ledger, "uid:7", "key 3"));
	assert_non_null(ledger_find_command(f.ledger, "uid:7", "key 4"));
	end(&f);
}

TEST(a_users_life_is_that_of_its_first_row_whatever_comes_later)
{
	struct fixture f;

	begin(&f, 10);
	do_key(&f, "k", 1000);
	sample_book(f.ledger, "u", 1, 1);
	commit(&f);
	assert_int_equal(number(&f, "SELECT life FROM users"), 2);
	sql(&f, "UPDATE users SET life=7"); /* so that it would be seen */
	sample_book(f.ledger, "u", 1, 1);
	commit(&f);
	reopen(&f);
	assert_int_equal(ledger_find_user(f.ledger, "u")->life, 7);
	sample_book(f.ledger, "u", 1, 1);
	commit(&f);
	assert_int_equal(number(&f, "SELECT life FROM users"), 7);
	assert_int_equal(sum_of_used(&f), 6);
	end(&f);
}

static void expect_rows(const struct fixture *f, const char *query, const char *rows)
{
	char *found = sample_rows(f->path, query);

	assert_string_equal(found, rows);
	free(found);
}

static void do_effect(struct fixture *f, const char *key, struct effect effect)
{
	struct command command = sample_command("verb", key, "subject", &effect, 1);

	sample_do(f->ledger, &command, 1234);
	commit(f);
}

TEST(what_a_command_changed_is_written_replaced_removed_and_loaded)
{
	static const char nodes[] =
		"SELECT name, enabled, counters, note, substr(hex(secret_hash), 1, 4), "
		"substr(hex(old_secret_hash), 1, 4), old_secret_until, created_at, "
		"deleted_at FROM nodes";
	static const char open[] = "SELECT value FROM meta WHERE key='nodes'";
	struct effect node = {.kind = EFFECT_NODE, .node = "n", .kept = sample_node(1)};
	struct effect gate = {.kind = EFFECT_OPEN, .node = "", .is_open = false};
	struct fixture f;

	begin(&f, 10);
	expect_rows(&f, open, "");
	do_effect(&f, "k", node);
	expect_rows(&f, nodes, "n|0|delta|note 1|0202|6666|5001|1001|0|\n");
	expect_rows(&f, "SELECT * FROM audit",
		"1|1234|uid:7|verb|subject|(null)|{\"a\":1}|because|k|\n");
	expect_rows(&f,
		"SELECT actor, key, hex(digest), status, answer, at, seq FROM commands",
		"uid:7|k|62626262626262626262626262626262|201|{\"ok\":true}|1234|1|\n");
	node.kept =
		(struct node_kept){.is_enabled = true, .created_ms = 5, .deleted_ms = 6};
	do_effect(&f, "", node);
	expect_rows(&f, nodes, "n|1|(null)|(null)|||0|5|6|\n");
	reopen(&f);
	assert_int_equal(ledger_find_node(f.ledger, "n")->kept.deleted_ms, 6);
	do_effect(&f, "", gate);
	expect_rows(&f, open, "closed|\n");
	reopen(&f);
	assert_false(ledger_is_open(f.ledger));
	gate.is_open = true;
	do_effect(&f, "", gate);
	expect_rows(&f, open, "open|\n");
	do_effect(&f, "", (struct effect){.kind = EFFECT_FORGET_NODE, .node = "n"});
	expect_rows(&f, nodes, "");
	assert_int_equal(number(&f, "SELECT count(*) FROM audit"), 5);
	assert_int_equal(number(&f, "SELECT count(*) FROM commands"), 1);
	reopen(&f);
	assert_null(ledger_find_node(f.ledger, "n"));
	assert_true(ledger_is_open(f.ledger));
	assert_int_equal(ledger_find_command(f.ledger, "uid:7", "k")->status, 201);
	end(&f);
}

TEST(a_note_that_is_too_long_is_cut_and_any_number_but_0_means_enabled)
{
	struct fixture f;

	begin(&f, 10);
	sql(&f,
		"INSERT INTO nodes VALUES('b', 7, 'delta', printf('%.*c', 400, 'n'), "
		"NULL, zeroblob(32), 9, 0, 0)");
	reopen(&f);
	assert_int_equal(
		strlen(ledger_find_node(f.ledger, "b")->kept.note), NODE_NOTE_BYTES - 1);
	assert_true(ledger_find_node(f.ledger, "b")->kept.is_enabled);
	assert_false(ledger_find_node(f.ledger, "b")->kept.has_secret);
	end(&f);
}

#define USER(values) "INSERT INTO users VALUES(" values ")"
#define SERVICE(values) "INSERT INTO services VALUES('n','handler'," values ")"
#define SERIES(values) "INSERT INTO series VALUES('n','service'," values ")"
#define OPEN(values) "INSERT INTO open_reports VALUES('n','handler','s'," values ")"
#define NODE(values) "INSERT INTO nodes VALUES(" values ")"
#define COMMAND(values) "INSERT INTO commands VALUES('u','k'," values ")"
#define META(key, value) "INSERT OR REPLACE INTO meta VALUES('" key "','" value "')"
#define BEYOND "4611686018427387904" /* 2^62 */
#define LARGEST "9223372036854775807"
#define Y3000 "32503680000001"

/* One row each that no tallyd writes, and where the sentence says that it stands. */
TEST(a_row_that_no_tallyd_writes_is_refused_with_its_place_and_left_as_it_is)
{
	static const struct {
		const char *sql, *place[3];
	} rows[] = {
		{USER("'a',1,1,1,-1,0,0"), {"users", "'a'", "created_at is -1"}},
		{USER("'a',1,1,1," Y3000 ",0,0"), {"users", "'a'", "created_at"}},
		{USER("'a',1,1,1,0," LARGEST ",0"), {"users", "'a'", "last_seen_at"}},
		{USER("'a',1,1,1,0,0," BEYOND), {"users", "'a'", "life is " BEYOND}},
		{USER("'a',1,1,1,0,0,-1"), {"users", "'a'", "life is -1"}},
		{USER("'a'||char(0)||'b',1,1,1,0,0,0"), {"users", "'a'", "id"}},
		{USER("'al'||CAST(x'ff1b' AS TEXT)||'e',1,1,1,0,0,0"),
			{"users", "'al", "UTF-8 without control"}},
		{USER("'ali'||char(10),1,1,1,0,0,0"),
			{"users", "'ali", "UTF-8 without control"}},
		{SERVICE("'s'||char(27),0,0,0,0,0,'',0,0,0,0"),
			{"services", "'n'", "UTF-8 without control"}},
		{SERVICE("'s',0,0,0,0,0,char(127),0,0,0,0"),
			{"services", "'s'", "state is"}},
		{SERIES("'s',char(133),0,0,0,0"), {"series", "'s'", "client is"}},
		{"INSERT INTO open_reports VALUES('de'||char(27)||'[31m','handler','s',"
		 "zeroblob(16),1,1,1)",
			{"open_reports", "'de", "node is"}},
		{NODE("char(1),1,NULL,NULL,NULL,NULL,0,1,0"), {"nodes", "", "name is"}},
		{SERVICE("'s',0,0,-1,0,0,'',0,0,0,0"),
			{"services", "'s'", "total_conns"}},
		{SERVICE("'s',0,0,0,-1,0,'',0,0,0,0"),
			{"services", "'s'", "current_conns"}},
		{SERVICE("'s',0,0,0,0,-1,'',0,0,0,0"), {"services", "'s'", "total_errs"}},
		{SERVICE("'s',0,0,0,0,0,''," Y3000 ",0,0,0"),
			{"services", "'s'", "updated_at"}},
		{SERVICE("'s',0,0,0,0,0,'',0," LARGEST ",0,0"),
			{"services", "'s'", "epoch is " LARGEST}},
		{SERVICE("'s',0,0,0,0,0,'',0,0," BEYOND ",0"),
			{"services", "'n' 'handler' 's'", "last_epoch"}},
		{SERVICE("'s',0,0,0,0,0,'',0,-1,0,0"), {"services", "'s'", "epoch"}},
		{SERVICE("'s'||char(0),0,0,0,0,0,'',0,0,0,0"),
			{"services", "'n'", "service"}},
		{SERVICE("printf('%.*c',256,'s'),0,0,0,0,0,'',0,0,0,0"),
			{"services", "'n'", "service"}},
		{SERIES("'s','c'," LARGEST ",0,0,0"), {"series", "'s'", "input_bytes"}},
		{SERIES("'s','c',0,9007199254740993,0,0"),
			{"series", "'s'", "output_bytes"}},
		{SERIES("'s','c',0,0,-1,0"), {"series", "'s'", "total_conns"}},
		{SERIES("'s','c',0,0,0," BEYOND), {"series", "'s'", "epoch"}},
		{OPEN("x'00',1,1,1"), {"open_reports", "'s'", "a blob of 1 bytes"}},
		{OPEN("zeroblob(16)," Y3000 ",1,1"),
			{"open_reports", "'s'", "accepted_at"}},
		{OPEN("zeroblob(16),1," BEYOND ",1"), {"open_reports", "'s'", "seq"}},
		{OPEN("zeroblob(16),1,1," LARGEST),
			{"open_reports", "'s'", "connection is " LARGEST}},
		{OPEN("zeroblob(16),1,1,-1"), {"open_reports", "'s'", "connection"}},
		{NODE("'a',1,NULL,'hi'||char(27),NULL,NULL,0,1,0"),
			{"nodes", "'a'", "note is 'hi"}},
		{NODE("'a',1,NULL,NULL,x'00',NULL,0,1,0"),
			{"nodes", "'a'", "secret_hash is a blob of 1 bytes"}},
		{NODE("'a',1,NULL,NULL,NULL,x'0011',5,1,0"),
			{"nodes", "'a'", "old_secret_hash"}},
		{NODE("'a',1,NULL,NULL,NULL,NULL," Y3000 ",1,0"),
			{"nodes", "'a'", "old_secret_until"}},
		{NODE("'a',1,NULL,NULL,NULL,NULL,0,-1,0"),
			{"nodes", "'a'", "created_at"}},
		{NODE("'a',1,NULL,NULL,NULL,NULL,0,1," LARGEST),
			{"nodes", "'a'", "deleted_at"}},
		{COMMAND("x'00',200,'{}',1,1"), {"commands", "'u' 'k'", "digest"}},
		{COMMAND("zeroblob(16),200,'{}'," Y3000 ",1"),
			{"commands", "'u' 'k'", "at is " Y3000}},
		{COMMAND("zeroblob(16),200,'{}',1," BEYOND),
			{"commands", "'u' 'k'", "seq"}},
		{"INSERT INTO audit(seq,at,actor,verb,subject)VALUES(" LARGEST
		 ",1,'u','v','s')",
			{"audit", "", "seq is " LARGEST}},
		{"INSERT INTO rejects VALUES(" LARGEST ",1,'n','r','e')",
			{"rejects", "", "id is " LARGEST}},
		{META("applied_seq", BEYOND), {"meta", "", "applied_seq is '" BEYOND}},
		{META("applied_seq", "18446744073709551615"),
			{"meta", "", "applied_seq"}},
		{META("applied_seq", "99999999999999999999999"),
			{"meta", "", "applied_seq"}},
		{META("applied_seq", "-1"), {"meta", "", "applied_seq is '-1'"}},
		{META("applied_seq", "1x"), {"meta", "", "applied_seq is '1x'"}},
		{META("applied_seq", " 1"), {"meta", "", "applied_seq is ' 1'"}},
		{META("applied_seq", "1.5"), {"meta", "", "applied_seq"}},
		{META("applied_seq", ""), {"meta", "", "applied_seq is ''"}},
		{"DELETE FROM meta WHERE key='applied_seq'",
			{"meta", "", "applied_seq is ''"}},
		{META("redis_link", "18446744073709551615"), {"redis_link", "", "value"}},
		{META("redis_link", Y3000 " x"), {"redis_link", "", "value"}},
		{META("redis_link", "-1"), {"redis_link", "", "value"}},
		{META("redis_link", "1x"), {"redis_link", "", "value"}},
		{META("nodes", "ajar"), {"meta (nodes)", "", "'ajar'"}},
		{META("nodes", "Closed"), {"meta (nodes)", "", "'Closed'"}},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct errmsg msg = {""};
		struct ledger *ledger = ledger_new(100, false);
		struct fixture f;
		char *before, *after;

		begin(&f, 10);
		sql(&f, rows[i].sql);
		before = sample_rows(f.path, "SELECT * FROM users;SELECT * FROM meta");
		store_close(f.store);
		open_store(&f);
		AT_ROW(i, store_load(f.store, ledger, &msg) == ERR_STORE_CORRUPT);
		for (size_t j = 0; j < COUNT_OF(rows[i].place); j++)
			if (strstr(msg.text, rows[i].place[j]) == NULL)
				fail_msg("row %zu: %s", i, msg.text);
		AT_ROW(i, strstr(msg.text, "tally.db, table ") == msg.text);
		AT_ROW(i, strstr(msg.text, "a backup in its place") != NULL);
		after = sample_rows(f.path, "SELECT * FROM users;SELECT * FROM meta");
		AT_ROW(i, strcmp(before, after) == 0);
		free(before);
		free(after);
		ledger_free(ledger);
		end(&f);
	}
}

/* As of an operator who made the tables anew without STRICT and CHECK. */
TEST(a_value_of_another_type_is_refused_with_its_place)
{
	static const struct {
		const char *values, *shown;
	} rows[] = {
		{"'a',1.5,0,0,0,0,0", "used_traffic is 1.5"},
		{"'a',9.3e18,0,0,0,0,0", "used_traffic is 9.3e+18"},
		{"'a',-1,0,0,0,0,0", "used_traffic is -1"},
		{"'a',0,'x',0,0,0,0", "input_bytes is 'x'"},
		{"'a',0,'12',0,0,0,0", "input_bytes is '12'"},
		{"'a',0,0,NULL,0,0,0", "output_bytes is NULL"},
		{"'a',0,0,x'0102',0,0,0", "output_bytes is a blob of 2 bytes"},
		{"NULL,0,0,0,0,0,0", "id is NULL"},
		{"x'61',0,0,0,0,0,0", "id is a blob of 1 bytes"},
		{"7,0,0,0,0,0,0", "id is 7"},
	};

	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		struct errmsg msg = {""};
		struct ledger *ledger = ledger_new(100, false);
		struct fixture f;
		char text[512];

		begin(&f, 10);
		store_close(f.store);
		(void)snprintf(text, sizeof(text),
			"ALTER TABLE users RENAME TO old;"
			"CREATE TABLE users(id PRIMARY KEY,used_traffic,input_bytes,"
			"output_bytes,created_at,last_seen_at,life);"
			"INSERT INTO users VALUES(%s)",
			rows[i].values);
		sql(&f, text);
		open_store(&f);
		AT_ROW(i, store_load(f.store, ledger, &msg) == ERR_STORE_CORRUPT);
		if (strstr(msg.text, rows[i].shown) == NULL)
			fail_msg("row %zu: %s", i, msg.text);
		ledger_free(ledger);
		end(&f);
	}
}

TEST(the_largest_that_a_row_may_hold_is_loaded_and_goes_on)
{
	struct fixture f;

	begin(&f, 10);
	sql(&f,
		USER("'a'," LARGEST "," LARGEST ",0,32503680000000,32503680000000,"
		     "4611686018427387903") ";" SERVICE("'s',0,0," LARGEST "," LARGEST
							"," LARGEST ",'',4070908800000,"
							"4611686018427387903,"
							"4611686018427387903,"
							"1") ";" SERIES("'s',"
									"'c',"
									"9007"
									"1992"
									"5474"
									"0992"
									",900"
									"7199"
									"2547"
									"4099"
									"2,"
									"9007"
									"1992"
									"5474"
									"0992"
									",7") ";" OPEN("z"
										       "e"
										       "r"
										       "o"
										       "b"
										       "l"
										       "o"
										       "b"
										       "("
										       "1"
										       "6"
										       ")"
										       ","
										       "4"
										       "0"
										       "7"
										       "0"
										       "9"
										       "0"
										       "8"
										       "8"
										       "0"
										       "0"
										       "0"
										       "0"
										       "0"
										       ","
										       "7"
										       ","
										       "4"
										       "6"
										       "1"
										       "1"
										       "6"
										       "8"
										       "6"
										       "0"
										       "1"
										       "8"
										       "4"
										       "2"
										       "7"
										       "3"
										       "8"
										       "7"
										       "9"
										       "0"
										       "3") ";" META("redis_link",
			"32503680000000 claim"));
	reopen(&f);
	assert_int_equal(ledger_find_user(f.ledger, "a")->total.used, INT64_MAX);
	assert_int_equal(ledger_repeats(f.ledger)->last_conn, NUMBER_MAX);
	assert_int_equal(ledger_link(f.ledger)->at_ms, TIME_MAX_MS);
	book_users(&f, 3);
	commit(&f);
	reopen(&f);
	assert_int_equal(ledger_find_user(f.ledger, "a")->total.used, INT64_MAX);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_that_does_not_exist_is_made_and_opened_again),
		cmocka_unit_test(two_data_directories_never_have_the_same_id),
		cmocka_unit_test(
			the_file_is_a_wal_of_strict_tables_and_closing_empties_it),
		cmocka_unit_test(a_fresh_store_gives_the_users_that_were_committed),
		cmocka_unit_test(
			a_user_keeps_when_it_came_and_says_when_it_was_last_seen),
		cmocka_unit_test(services_come_back_with_their_totals_gauges_and_state),
		cmocka_unit_test(increments_add_to_what_an_operator_wrote),
		cmocka_unit_test(totals_saturate_and_never_become_real),
		cmocka_unit_test(every_user_is_written_whatever_the_batch_size),
		cmocka_unit_test(the_largest_batch_fits_into_one_statement),
		cmocka_unit_test(
			a_cut_that_is_handed_in_again_after_its_commit_adds_nothing),
		cmocka_unit_test(
			an_applied_seq_that_is_neither_old_nor_new_is_foreign_and_nothing_is_written),
		cmocka_unit_test(
			a_file_that_another_program_holds_is_busy_and_nothing_is_written),
		cmocka_unit_test(who_only_reads_stops_no_commit),
		cmocka_unit_test(
			a_statement_that_fails_halfway_leaves_nothing_and_the_same_cut_succeeds_later),
		cmocka_unit_test(
			a_commit_that_fails_below_sqlite_at_any_call_is_made_whole_by_the_same_cut),
		cmocka_unit_test(a_full_disk_stops_commits_only_until_there_is_room),
		cmocka_unit_test(a_disk_that_is_full_before_the_commit_leaves_nothing),
		cmocka_unit_test(short_memory_in_a_commit_leaves_nothing),
		cmocka_unit_test(a_fresh_store_gives_the_adopted_totals_and_the_link),
		cmocka_unit_test(a_cut_without_a_link_leaves_the_one_in_the_file),
		cmocka_unit_test(no_link_is_written_if_a_statement_of_its_cut_fails),
		cmocka_unit_test(
			adopted_totals_whose_commit_fails_below_sqlite_at_any_call_are_in_the_file_once),
		cmocka_unit_test(
			a_cut_with_a_link_that_is_handed_in_again_after_its_commit_adds_nothing),
		cmocka_unit_test(
			a_cut_with_another_link_and_the_same_sequence_is_applied),
		cmocka_unit_test(
			a_link_that_is_in_the_file_already_stops_no_cut_of_records),
		cmocka_unit_test(
			an_applied_seq_is_foreign_to_a_cut_of_a_link_whatever_link_is_in_the_file),
		cmocka_unit_test(
			short_memory_while_opening_is_said_and_no_store_is_given),
		cmocka_unit_test(
			a_store_that_cannot_be_made_for_a_fault_below_can_be_made_after_it),
		cmocka_unit_test(a_file_that_cannot_be_read_to_its_end_is_not_loaded),
		cmocka_unit_test(short_memory_while_loading_is_said),
		cmocka_unit_test(what_is_no_database_is_corrupt),
		cmocka_unit_test(a_damaged_table_is_corrupt_when_it_is_opened_or_loaded),
		cmocka_unit_test(a_file_of_a_newer_tallyd_is_refused_and_left_as_it_is),
		cmocka_unit_test(
			a_database_of_another_program_is_refused_and_left_as_it_is),
		cmocka_unit_test(meta_without_its_rows_is_corrupt),
		cmocka_unit_test(a_folder_that_is_not_there_is_an_error_with_the_path),
		cmocka_unit_test(a_file_or_folder_that_cannot_be_written_is_refused),
		cmocka_unit_test(
			of_rejects_the_newest_are_kept_and_never_more_than_the_bound),
		cmocka_unit_test(
			what_a_command_changed_is_written_replaced_removed_and_loaded),
		cmocka_unit_test(
			of_commands_those_of_seven_days_are_kept_and_all_of_audit),
		cmocka_unit_test(of_commands_the_last_hundred_thousand_are_kept),
		cmocka_unit_test(
			a_users_life_is_that_of_its_first_row_whatever_comes_later),
		cmocka_unit_test(
			a_note_that_is_too_long_is_cut_and_any_number_but_0_means_enabled),
		cmocka_unit_test(
			a_row_that_no_tallyd_writes_is_refused_with_its_place_and_left_as_it_is),
		cmocka_unit_test(a_value_of_another_type_is_refused_with_its_place),
		cmocka_unit_test(the_largest_that_a_row_may_hold_is_loaded_and_goes_on),
	};

	return RUN_TESTS(tests);
}
