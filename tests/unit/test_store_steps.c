/*
 * The store with each step of its statements failing in turn: before it is executed, or
 * behind that, as it is with a COMMIT of unknown outcome; once, or from then on, so that
 * ROLLBACK fails as well.
 *
 * Beside the store that is tried stands its twin, which is given the same and never
 * fails. Once the first has got through, both files hold the same rows.
 */
#include "lib/test.h"
#include "lib/faults.h"
#include "lib/sample.h"
#include "lib/tempdir.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_USERS 8
#define BATCH_SIZE 3

struct place {
	struct tempdir dir;
	char path[256];
	struct store *store;
	struct ledger *ledger;
};

struct fixture {
	struct place tried, twin;
};

static const struct fault {
	enum fault_kind kind;
	bool is_for_good;
} faults[] = {{FAULT_SQLITE_STEP, false}, {FAULT_SQLITE_STEP, true},
	{FAULT_SQLITE_STEPPED, false}, {FAULT_SQLITE_STEPPED, true}};

static void arm(const struct fault *fault, unsigned n)
{
	if (fault->is_for_good)
		faults_fail_from(fault->kind, n, SQLITE_IOERR);
	else
		faults_fail_nth(fault->kind, n, SQLITE_IOERR);
}

/* Whether it has fired; from here on nothing fails. */
static bool disarm(const struct fault *fault)
{
	bool has_fired = faults_fired(fault->kind);

	faults_reset();
	return has_fired;
}

static int try_to_open(struct place *place, struct errmsg *msg)
{
	struct store_config config = {place->path, 0, BATCH_SIZE, false};

	place->store = NULL;
	return store_open(&config, &place->store, msg);
}

static void open_store(struct place *place)
{
	struct errmsg msg = {""};

	if (try_to_open(place, &msg) != 0)
		fail_msg("%s", msg.text);
}

static struct ledger *new_ledger(void)
{
	struct ledger *ledger = ledger_new(1000, false);

	assert_non_null(ledger);
	return ledger;
}

/* A folder without a database yet. */
static void make_place(struct place *place)
{
	memset(place, 0, sizeof(*place));
	tempdir_make(&place->dir);
	(void)snprintf(place->path, sizeof(place->path), "%s",
		tempdir_path(&place->dir, "tally.db"));
	place->ledger = new_ledger();
}

static void remove_place(struct place *place)
{
	store_close(place->store);
	ledger_free(place->ledger);
	tempdir_remove(&place->dir);
}

static void begin(struct fixture *f)
{
	faults_reset();
	faults_watch_sqlite();
	make_place(&f->tried);
	make_place(&f->twin);
	open_store(&f->tried);
	open_store(&f->twin);
}

static void end(struct fixture *f)
{
	remove_place(&f->tried);
	remove_place(&f->twin);
}

/* All that a store writes; only the instance id is each file's own. */
static const char everything[] =
	"PRAGMA user_version; SELECT sql FROM sqlite_schema ORDER BY name;"
	"SELECT * FROM users; SELECT * FROM services; SELECT * FROM series;"
	"SELECT * FROM open_reports; SELECT * FROM rejects;"
	"SELECT name, enabled, counters, note, hex(secret_hash), hex(old_secret_hash),"
	"  old_secret_until, created_at, deleted_at FROM nodes;"
	"SELECT * FROM audit; SELECT actor, key, hex(digest), status, answer, at, seq"
	"  FROM commands;"
	"SELECT * FROM meta WHERE key<>'instance_id'";

static void expect_same_rows(const struct fixture *f)
{
	char *tried = sample_rows(f->tried.path, everything);
	char *twin = sample_rows(f->twin.path, everything);

	assert_string_equal(tried, twin);
	free(tried);
	free(twin);
}

static void apply(struct ledger *ledger, const char *node, struct booking booking)
{
	struct bookings bookings = {&booking, 1, 1};
	uint64_t seq = ledger_seq(ledger) + 1;
	struct origin origin = {.seq = seq, .conn = 1 + seq % 3, .time_ms = 1000 + seq};

	memset(origin.fingerprint, 'a' + (int)(seq % 26), sizeof(origin.fingerprint));
	assert_int_equal(ledger_prepare(ledger, node, &bookings), 0);
	ledger_measure(ledger, &bookings);
	ledger_apply(ledger, &bookings, &origin);
}

static void apply_cumulative(struct ledger *ledger, const char *client, uint64_t value)
{
	struct booking booking = sample_traffic("cumulative", client, value, 2 * value);

	booking.counters.total_conns = value;
	booking.has_mark = true;
	apply(ledger, "node", booking);
}

static void adopt(struct ledger *ledger, uint64_t at_ms)
{
	char id[] = "adopted";
	struct adopted adopted = {id, {500, 0, 0}};
	struct link_record link = {.at_ms = at_ms, .claim = "claim"};

	assert_int_equal(ledger_adopt(ledger, &adopted, 1, 1000), 0);
	ledger_set_link(ledger, &link);
}

/* One node that stays, one that is new each time, one that goes, and the door. */
static void command(struct ledger *ledger, unsigned round)
{
	char key[32], fresh[32];
	struct effect effects[] = {
		{.kind = EFFECT_NODE, .node = "node", .kept = sample_node(round)},
		{.kind = EFFECT_NODE, .node = fresh, .kept = sample_node(round + 1)},
		{.kind = EFFECT_NODE, .node = "going", .kept = sample_node(2)},
		{.kind = EFFECT_FORGET_MARKS, .node = "node"},
		{.kind = EFFECT_OPEN, .node = "", .is_open = round % 2 == 0}};
	struct effect forget = {.kind = EFFECT_FORGET_NODE, .node = "going"};
	struct command commands[2];

	(void)snprintf(key, sizeof(key), "key %u", round);
	(void)snprintf(fresh, sizeof(fresh), "fresh %u", round);
	commands[0] = sample_command(
		"node.set", key, "node", effects, COUNT_OF(effects) - round % 2);
	commands[1] = sample_command("node.forget", "", "going", &forget, 1);
	sample_do(ledger, &commands[0], 1000 + round);
	if (round % 3 == 0)
		sample_do(ledger, &commands[1], 2000 + round);
}

/* Something for each table; round 1, 2, .. adds to what was there. */
static void book(struct ledger *ledger, unsigned round)
{
	char event[] = "{}";
	struct reject reject = {"it is bad", event};

	for (unsigned i = 0; i < N_USERS; i++)
		apply(ledger, "node", sample_traffic("s", sample_name(i), round + i, 1));
	apply_cumulative(ledger, "ann", 100 * round);
	apply_cumulative(ledger, "bob", 10 * round);
	apply(ledger, "other",
		(struct booking){.kind = KIND_SERVICE,
			.service = "s",
			.client = "",
			.state = "ready"});
	ledger_keep_reject(ledger, "node", &reject, 1000 + round);
	ledger_keep_reject(ledger, "node", &reject, 2000 + round);
	command(ledger, round);
	adopt(ledger, round);
}

static void book_both(struct fixture *f, unsigned round)
{
	book(f->tried.ledger, round);
	book(f->twin.ledger, round);
}

static struct cut *cut_of(const struct place *place)
{
	struct cut *cut = ledger_cut(place->ledger);

	assert_non_null(cut);
	assert_true(cut->users.n > 2 * BATCH_SIZE && cut->n_services > 0);
	assert_true(cut->series.n > 0 && cut->n_open_reports > 0);
	assert_true(cut->n_rejects > 0 && cut->has_link);
	assert_true(cut->n_nodes >= 3 && !TAILQ_EMPTY(&cut->audit));
	assert_true(cut->n_commands > 0);
	return cut;
}

static void commit_cut(const struct place *place, struct cut *cut)
{
	struct store_result result;

	if (store_commit(place->store, cut, &result) != 0)
		fail_msg("%s", result.error.text);
	ledger_cut_committed(place->ledger, cut);
}

static void commit_both(struct fixture *f)
{
	commit_cut(&f->tried, cut_of(&f->tried));
	commit_cut(&f->twin, cut_of(&f->twin));
}

/* Another program can write: no transaction was left behind. */
static void expect_unlocked(const struct fixture *f)
{
	sample_sql(f->tried.path, "BEGIN IMMEDIATE; ROLLBACK");
}

/* As a flush does: a cut is handed in again, and then comes the next. */
static void get_through(struct fixture *f, struct cut *cut, int code)
{
	if (code != 0)
		commit_cut(&f->tried, cut);
	else
		ledger_cut_committed(f->tried.ledger, cut);
}

/* Commits a cut whose nth step fails; true if that has fired. */
static bool commit_with_fault(struct fixture *f, const struct fault *fault, unsigned n)
{
	struct store_result result;
	struct cut *cut;
	bool has_fired;
	int code;

	book_both(f, 2 * n);
	cut = cut_of(&f->tried);
	arm(fault, n);
	code = store_commit(f->tried.store, cut, &result);
	has_fired = disarm(fault);
	assert_int_equal(has_fired, code != 0);
	assert_int_equal(has_fired, result.error.text[0] != '\0');
	assert_true(code == 0 || code == ERR_STORE_IO || code == ERR_STORE_UNKNOWN);
	if (code == ERR_STORE_IO)
		expect_same_rows(f); /* nothing of it is there */
	if (code != 0 && !fault->is_for_good)
		expect_unlocked(f);
	get_through(f, cut, code);
	book_both(f, 2 * n + 1);
	commit_both(f);
	expect_same_rows(f);
	return has_fired;
}

TEST(a_commit_that_fails_at_any_step_leaves_every_row_counted_once)
{
	for (size_t i = 0; i < COUNT_OF(faults); i++) {
		struct fixture f;
		unsigned n = 1;

		begin(&f);
		book_both(&f, 1);
		commit_both(&f);
		while (commit_with_fault(&f, &faults[i], n))
			n++;
		AT_ROW(i, n > 20);
		end(&f);
	}
}

/* Nothing but the link's own version tells a cut of adopted totals from the next one. */
TEST(a_commit_that_was_made_although_it_failed_is_made_once_with_and_without_records)
{
	for (int has_records = 0; has_records < 2; has_records++) {
		struct store_result result;
		struct fixture f;
		struct cut *cut;

		begin(&f);
		if (has_records)
			book_both(&f, 1);
		adopt(f.tried.ledger, 5);
		adopt(f.twin.ledger, 5);
		cut = ledger_cut(f.tried.ledger);
		faults_fail_nth(FAULT_SQLITE_COMMITTED, 1, SQLITE_IOERR);
		AT_ROW(has_records,
			store_commit(f.tried.store, cut, &result) == ERR_STORE_UNKNOWN);
		faults_reset();
		commit_cut(&f.tried, cut);
		AT_ROW(has_records, !ledger_is_dirty(f.tried.ledger));
		commit_cut(&f.twin, ledger_cut(f.twin.ledger));
		expect_same_rows(&f);
		end(&f);
	}
}

static void expect_same_nodes(const struct fixture *f)
{
	const struct node *node = NULL, *loaded;
	size_t n = 0;

	assert_int_equal(ledger_is_open(f->tried.ledger), ledger_is_open(f->twin.ledger));
	assert_int_equal(ledger_n_nodes(f->tried.ledger), ledger_n_nodes(f->twin.ledger));
	assert_int_equal(
		ledger_n_secrets(f->tried.ledger), ledger_n_secrets(f->twin.ledger));
	for (; (node = ledger_next_node(f->twin.ledger, node)) != NULL; n++) {
		loaded = ledger_find_node(f->tried.ledger, node->name);
		assert_non_null(loaded);
		assert_memory_equal(&loaded->kept, &node->kept, sizeof(node->kept));
	}
	assert_int_equal(n, ledger_n_nodes(f->twin.ledger));
	for (unsigned round = 1; round < 3; round++) {
		char key[32];
		const struct done_command *done[2];

		(void)snprintf(key, sizeof(key), "key %u", round);
		done[0] = ledger_find_command(f->tried.ledger, "uid:7", key);
		done[1] = ledger_find_command(f->twin.ledger, "uid:7", key);
		AT_ROW(round, (done[0] == NULL) == (done[1] == NULL));
		if (done[0] == NULL)
			continue;
		AT_ROW(round, done[0]->seq == done[1]->seq);
		AT_ROW(round, done[0]->at_ms == done[1]->at_ms);
		AT_ROW(round, done[0]->status == done[1]->status);
		AT_ROW(round, strcmp(done[0]->answer, done[1]->answer) == 0);
		AT_ROW(round,
			memcmp(done[0]->digest, done[1]->digest, FINGERPRINT_BYTES) == 0);
	}
}

/* The tried one's ledger as the twin has it in memory; both go on from there. */
static void expect_same_ledger(struct fixture *f, unsigned next_round)
{
	const struct user *user = NULL, *loaded;
	struct ledger_stats stats, twins;

	ledger_sweep(f->twin.ledger); /* what is void is not loaded */
	ledger_get_stats(f->tried.ledger, &stats);
	ledger_get_stats(f->twin.ledger, &twins);
	assert_int_equal(stats.users, twins.users);
	assert_int_equal(stats.services, twins.services);
	assert_int_equal(stats.series, twins.series);
	assert_int_equal(stats.open_reports, twins.open_reports);
	while ((user = ledger_next_user(f->twin.ledger, user)) != NULL) {
		loaded = ledger_find_user(f->tried.ledger, user->id);
		assert_non_null(loaded);
		assert_memory_equal(&loaded->total, &user->total, sizeof(user->total));
	}
	expect_same_nodes(f);
	book_both(f, next_round);
	commit_both(f);
	expect_same_rows(f);
}

/* Loads into an empty ledger with the nth step failing; true if that has fired. */
static bool load_with_fault(struct fixture *f, const struct fault *fault, unsigned n)
{
	struct errmsg msg = {""};
	bool has_fired;
	int code;

	ledger_free(f->tried.ledger);
	f->tried.ledger = new_ledger();
	arm(fault, n);
	code = store_load(f->tried.store, f->tried.ledger, &msg);
	has_fired = disarm(fault);
	assert_int_equal(code, has_fired ? ERR_STORE_IO : 0);
	assert_int_equal(msg.text[0] != '\0', has_fired);
	return has_fired;
}

TEST(a_load_that_fails_at_any_step_says_so_and_another_gives_everything)
{
	for (size_t i = 0; i < COUNT_OF(faults); i++) {
		struct fixture f;
		unsigned n = 1;

		begin(&f);
		book_both(&f, 1);
		commit_both(&f);
		while (load_with_fault(&f, &faults[i], n))
			n++;
		AT_ROW(i, n > 20); /* a row is a step */
		expect_same_ledger(&f, 2);
		end(&f);
	}
}

/* Opens with the nth step failing; true if that has fired. */
static bool open_with_fault(struct place *place, const struct fault *fault, unsigned n)
{
	struct errmsg msg = {""};
	bool has_fired;
	int code;

	arm(fault, n);
	code = try_to_open(place, &msg);
	has_fired = disarm(fault);
	assert_int_equal(code, has_fired ? ERR_STORE_IO : 0);
	assert_int_equal(place->store == NULL, has_fired);
	assert_int_equal(strstr(msg.text, place->path) != NULL, has_fired);
	return has_fired;
}

TEST(a_new_file_whose_making_fails_at_any_step_is_made_by_the_next_open)
{
	for (size_t i = 0; i < COUNT_OF(faults); i++) {
		bool has_fired = true;
		unsigned n = 1;
		struct fixture f;

		begin(&f);
		for (; has_fired; n++) {
			remove_place(&f.tried);
			make_place(&f.tried);
			has_fired = open_with_fault(&f.tried, &faults[i], n);
			if (has_fired)
				open_store(&f.tried);
			expect_same_rows(&f);
		}
		AT_ROW(i, n > 15);
		expect_same_ledger(&f, 1);
		end(&f);
	}
}

/* Files of user_version 1 and 2, as they were released, and what was in them: these
 * texts never change. */
static const char old_file[] =
	"PRAGMA synchronous=OFF; BEGIN;"
	"CREATE TABLE users("
	"  id TEXT PRIMARY KEY,"
	"  used_traffic INTEGER NOT NULL DEFAULT 0 CHECK(used_traffic >= 0),"
	"  input_bytes INTEGER NOT NULL DEFAULT 0 CHECK(input_bytes >= 0),"
	"  output_bytes INTEGER NOT NULL DEFAULT 0 CHECK(output_bytes >= 0),"
	"  created_at INTEGER NOT NULL DEFAULT 0,"
	"  last_seen_at INTEGER NOT NULL DEFAULT 0"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE services("
	"  node TEXT NOT NULL,"
	"  kind TEXT NOT NULL CHECK(kind IN ('handler', 'service')),"
	"  service TEXT NOT NULL,"
	"  input_bytes INTEGER NOT NULL CHECK(input_bytes >= 0),"
	"  output_bytes INTEGER NOT NULL CHECK(output_bytes >= 0),"
	"  total_conns INTEGER NOT NULL,"
	"  current_conns INTEGER NOT NULL,"
	"  total_errs INTEGER NOT NULL,"
	"  state TEXT NOT NULL,"
	"  updated_at INTEGER NOT NULL,"
	"  PRIMARY KEY(node, kind, service)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE rejects("
	"  id INTEGER PRIMARY KEY,"
	"  at INTEGER NOT NULL,"
	"  node TEXT NOT NULL,"
	"  reason TEXT NOT NULL,"
	"  event TEXT NOT NULL"
	") STRICT;"
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT "
	"ROWID;"
	"INSERT INTO users VALUES('u00000', 11, 5, 6, 100, 200), ('old', 7, 7, 0, 1, 2);"
	"INSERT INTO services VALUES('node', 'handler', 's', 12, 6, 1, 2, 3, 'up', 300);"
	"INSERT INTO rejects VALUES(1, 50, 'node', 'it was bad', '{}');"
	"INSERT INTO meta VALUES('applied_seq', '9'), ('instance_id', 'the old one'),"
	"  ('redis_link', '4 somebody');"
	"PRAGMA user_version=1; COMMIT";

static const char second_file[] =
	"BEGIN;"
	"ALTER TABLE services ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE services ADD COLUMN last_epoch INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE services ADD COLUMN is_starting INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE series("
	"  node TEXT NOT NULL,"
	"  kind TEXT NOT NULL CHECK(kind IN ('handler', 'service')),"
	"  service TEXT NOT NULL,"
	"  client TEXT NOT NULL,"
	"  input_bytes INTEGER NOT NULL,"
	"  output_bytes INTEGER NOT NULL,"
	"  total_conns INTEGER NOT NULL,"
	"  epoch INTEGER NOT NULL,"
	"  PRIMARY KEY(node, kind, service, client)"
	") STRICT, WITHOUT ROWID;"
	"CREATE TABLE open_reports("
	"  node TEXT NOT NULL,"
	"  kind TEXT NOT NULL CHECK(kind IN ('handler', 'service')),"
	"  service TEXT NOT NULL,"
	"  fingerprint BLOB NOT NULL,"
	"  accepted_at INTEGER NOT NULL,"
	"  seq INTEGER NOT NULL,"
	"  connection INTEGER NOT NULL,"
	"  PRIMARY KEY(node, kind, service, seq)"
	") STRICT, WITHOUT ROWID;"
	"UPDATE services SET epoch=3, last_epoch=4, is_starting=1;"
	"INSERT INTO series VALUES('node', 'handler', 's', 'old', 70, 80, 9, 3);"
	"INSERT INTO open_reports VALUES('node', 'handler', 's',"
	"  x'000102030405060708090a0b0c0d0e0f', 300, 9, 42);"
	"PRAGMA user_version=2; COMMIT";

static void make_old_file(const struct place *place, int version)
{
	tempdir_write(&place->dir, "tally.db", "", 0);
	sample_sql(place->path, old_file);
	if (version == 2)
		sample_sql(place->path, second_file);
}

/* What the old version has. */
static char *old_rows(const struct place *place, int version)
{
	static const char first[] =
		"SELECT id, used_traffic, input_bytes, output_bytes, created_at, "
		"  last_seen_at FROM users;"
		"SELECT * FROM rejects; SELECT * FROM meta;"
		"SELECT node, kind, service, input_bytes, output_bytes, total_conns,"
		"  current_conns, total_errs, state, updated_at FROM services";
	static const char second[] =
		"SELECT id, used_traffic, input_bytes, output_bytes, created_at, "
		"  last_seen_at FROM users;"
		"SELECT * FROM rejects; SELECT * FROM meta; SELECT * FROM services;"
		"SELECT * FROM series; SELECT node, kind, service, hex(fingerprint),"
		"  accepted_at, seq, connection FROM open_reports";

	return sample_rows(place->path, version == 1 ? first : second);
}

/* It holds what it held, with the tables of before or the new ones. */
static void expect_old_file(const struct place *place, int version, bool *ret_is_migrated)
{
	static const char tables[] =
		"PRAGMA user_version; SELECT sql FROM sqlite_schema ORDER BY name";
	struct place pristine;
	char *rows[2], *schema[2];

	make_place(&pristine);
	make_old_file(&pristine, version);
	rows[0] = old_rows(place, version);
	rows[1] = old_rows(&pristine, version);
	schema[0] = sample_rows(place->path, tables);
	schema[1] = sample_rows(pristine.path, tables);
	assert_string_equal(rows[0], rows[1]);
	*ret_is_migrated = strcmp(schema[0], schema[1]) != 0;
	if (*ret_is_migrated) {
		free(schema[1]);
		open_store(&pristine);
		schema[1] = sample_rows(pristine.path, tables);
		assert_string_equal(schema[0], schema[1]);
	}
	for (size_t i = 0; i < 2; i++) {
		free(rows[i]);
		free(schema[i]);
	}
	remove_place(&pristine);
}

/* Both are loaded from what is in the file now. */
static void load_both(struct fixture *f)
{
	struct place *places[] = {&f->tried, &f->twin};
	struct errmsg msg = {""};

	for (size_t i = 0; i < COUNT_OF(places); i++) {
		ledger_free(places[i]->ledger);
		places[i]->ledger = new_ledger();
		assert_int_equal(
			store_load(places[i]->store, places[i]->ledger, &msg), 0);
	}
	assert_int_equal(ledger_find_user(f->tried.ledger, "old")->total.used, 7);
	assert_int_equal(ledger_seq(f->tried.ledger), 9);
	assert_int_equal(ledger_link(f->tried.ledger)->at_ms, 4);
	assert_string_equal(store_instance_id(f->tried.store), "the old one");
}

static void begin_old(struct fixture *f, int version)
{
	faults_reset();
	faults_watch_sqlite();
	make_place(&f->twin);
	make_old_file(&f->twin, version);
	open_store(&f->twin);
}

static void migrate_with_faults(const struct fault *fault, int version)
{
	unsigned n = 0, n_old = 0;
	bool has_fired = true, is_migrated;
	struct fixture f;

	while (has_fired) {
		begin_old(&f, version);
		make_place(&f.tried);
		make_old_file(&f.tried, version);
		has_fired = open_with_fault(&f.tried, fault, ++n);
		expect_old_file(&f.tried, version, &is_migrated);
		n_old += !is_migrated;
		if (has_fired)
			open_store(&f.tried);
		load_both(&f);
		expect_same_ledger(&f, 1);
		end(&f);
	}
	assert_true(n > 10);
	assert_true(n_old > 5 && n_old < n);
}

TEST(a_migration_that_fails_at_any_step_leaves_the_old_file_whole_for_the_next_open)
{
	for (int version = 1; version <= 2; version++)
		for (size_t i = 0; i < COUNT_OF(faults); i++)
			migrate_with_faults(&faults[i], version);
}

TEST(what_the_last_release_has_counted_comes_back_whole_and_as_a_life_before_all_lives)
{
	struct fixture f;
	const struct service *service;
	const struct series *series;
	const struct open_report *report;

	begin_old(&f, 2);
	make_place(&f.tried);
	make_old_file(&f.tried, 2);
	open_store(&f.tried);
	load_both(&f);
	assert_int_equal(ledger_find_user(f.tried.ledger, "old")->life, 0);
	assert_int_equal(ledger_find_user(f.tried.ledger, "old")->created_ms, 1);
	service = ledger_next_service(f.tried.ledger, NULL);
	assert_int_equal(service->epoch.number, 3);
	assert_int_equal(service->epoch.last, 4);
	assert_true(service->epoch.is_starting);
	series = series_next(&service->series, NULL);
	assert_int_equal(series->mark.input_bytes, 70);
	assert_int_equal(series->mark.epoch, 3);
	report = TAILQ_FIRST(&service->stream.open);
	assert_non_null(report);
	assert_int_equal(report->seq, 9);
	assert_int_equal(report->conn, 42);
	assert_true(ledger_is_open(f.tried.ledger));
	assert_int_equal(ledger_n_nodes(f.tried.ledger), 0);
	assert_false(ledger_is_new(f.tried.ledger));
	sample_book(f.tried.ledger, "old", 1, 0);
	sample_book(f.tried.ledger, "newcomer", 1, 0);
	ledger_free(f.twin.ledger);
	f.twin.ledger = new_ledger();
	{
		struct cut *cut = ledger_cut(f.tried.ledger);

		assert_non_null(cut);
		commit_cut(&f.tried, cut);
	}
	assert_int_equal(
		sample_number(f.tried.path, "SELECT life FROM users WHERE id='old'"), 0);
	assert_int_equal(
		sample_number(f.tried.path, "SELECT life FROM users WHERE id='newcomer'"),
		11);
	end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_commit_that_fails_at_any_step_leaves_every_row_counted_once),
		cmocka_unit_test(
			a_commit_that_was_made_although_it_failed_is_made_once_with_and_without_records),
		cmocka_unit_test(
			a_load_that_fails_at_any_step_says_so_and_another_gives_everything),
		cmocka_unit_test(
			a_new_file_whose_making_fails_at_any_step_is_made_by_the_next_open),
		cmocka_unit_test(
			a_migration_that_fails_at_any_step_leaves_the_old_file_whole_for_the_next_open),
		cmocka_unit_test(
			what_the_last_release_has_counted_comes_back_whole_and_as_a_life_before_all_lives),
	};

	return RUN_TESTS(tests);
}
