/*
 * One line of counters, and the table of them.
 *
 * Deltas: a row of reports that only grow. Cumulative: the two lines that the last values
 * stand on. A value that is not below a line in any counter goes on with it, with that of
 * its own connection first. One sender without restarts has one line; two have two that
 * alternate. What falls on its own connection is one process that sends deltas, or whose
 * handler is `auto`: its parts count apart under one name. And deltas are equal again and
 * again where downloads are: of those the values never fall, but stand still.
 */
#include "account/watch_internal.h"

#include <stdlib.h>
#include <string.h>

#define NONE N_SUSPICION_CODES

struct line {
	uint64_t input, output;
	uint32_t conns;
	struct sender sender;
};

struct watch_series {
	uint64_t key;
	struct line lines[2];
	/* Windows: it fell; and the address changed; and that on its own connection. It
	 * came back to the other line from below; it did so on that one's connection. It
	 * was below both. */
	uint16_t fell, moved, own, back, returned, strange;
	uint16_t generation;
	uint8_t n_lines, at; /* the line that the last value stands on */
	uint8_t row;         /* reports in a row that have grown */
	uint8_t rises;       /* since it fell, counted up to a few */
	uint8_t equal;       /* in a row: the same bytes of more connections */
	uint8_t suspect;     /* 1 + suspicion_code, or 0 */
	uint8_t n_cleared;   /* its service's, when it was suspected */
};

/* The table: a series stands in one of the WAYS places of a set. */

#define WAYS 8
#define MIN_SETS 64
#define MAX_SETS (WATCH_MAX_SERIES / WAYS)

/* Apart from the series, so that a look-up reads one cache line of it. */
struct watch_set {
	uint32_t tags[WAYS]; /* 0: free */
	uint32_t seen_s[WAYS];
};

_Static_assert(sizeof(struct watch_series) + sizeof(struct watch_set) / WAYS <=
		WATCH_SERIES_BYTES,
	"what the bound is reckoned from");

void watch_table_done(struct watch_table *table)
{
	free(table->sets);
	free(table->series);
	*table = (struct watch_table){0};
}

/* By what ledger_prepare() has found: that stays where it is. */
static uint64_t key_of(const struct booking *booking)
{
	const void *who = booking->in_user;
	uint64_t key;

	if (booking->in_series != NULL)
		who = booking->in_series;
	key = (uintptr_t)booking->in_service * UINT64_C(0x9e3779b97f4a7c15) ^
		(uintptr_t)who;
	key = (key ^ key >> 32) * UINT64_C(0xd6e8feb86659fd93);
	key = (key ^ key >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return key ^ key >> 32;
}

static uint32_t tag_of(uint64_t key)
{
	return (uint32_t)(key >> 32) | 1;
}

static bool allocate(struct watch_table *table, size_t n_sets)
{
	struct watch_table made = {calloc(n_sets, sizeof(*made.sets)),
		calloc(n_sets * WAYS, sizeof(*made.series)), n_sets};

	if (made.sets == NULL || made.series == NULL) {
		watch_table_done(&made);
		return false;
	}
	*table = made;
	return true;
}

/* Twice as many sets: what stood in one stands in one of two, so all of it has room. */
static bool grow(struct watch_table *table)
{
	size_t n_sets = table->n_sets > 0 ? 2 * table->n_sets : MIN_SETS;
	struct watch_table old = *table;

	if (n_sets > MAX_SETS || !allocate(table, n_sets))
		return false;
	for (size_t i = 0; i < old.n_sets * WAYS; i++) {
		const struct watch_set *from = &old.sets[i / WAYS];
		size_t set = old.series[i].key & (n_sets - 1), way = i % WAYS;

		table->sets[set].tags[way] = from->tags[way];
		table->sets[set].seen_s[way] = from->seen_s[way];
		table->series[set * WAYS + way] = old.series[i];
	}
	watch_table_done(&old);
	return true;
}

/* A free place, or that of whoever has been silent for longest; -1: none. */
static int find_place(const struct watch_set *set, uint32_t now_s, bool takes_idle)
{
	uint32_t longest = WATCH_IDLE_MS / 1000;
	int place = -1;

	for (int i = 0; i < WAYS; i++) {
		uint32_t silent = now_s - set->seen_s[i];

		if (set->tags[i] == 0)
			return i;
		/* The clock may have been set back: then it is negative. */
		if (takes_idle && silent > longest && silent <= INT32_MAX) {
			longest = silent;
			place = i;
		}
	}
	return place;
}

static struct watch_series *take_place(
	struct watch_table *table, uint64_t key, uint32_t now_s)
{
	bool is_largest = table->n_sets == MAX_SETS;
	size_t set = key & (table->n_sets - 1);
	int way =
		table->n_sets > 0 ? find_place(&table->sets[set], now_s, is_largest) : -1;

	if (way < 0 && !is_largest && grow(table)) {
		set = key & (table->n_sets - 1);
		way = find_place(&table->sets[set], now_s, false);
	}
	if (way < 0)
		return NULL;
	table->sets[set].tags[way] = tag_of(key);
	table->sets[set].seen_s[way] = now_s;
	table->series[set * WAYS + (size_t)way] = (struct watch_series){.key = key};
	return &table->series[set * WAYS + (size_t)way];
}

static struct watch_series *find(struct watch_table *table, uint64_t key, uint32_t now_s)
{
	size_t set = key & (table->n_sets - 1);
	struct watch_set *at;

	if (table->n_sets == 0)
		return NULL;
	at = &table->sets[set];
	for (size_t i = 0; i < WAYS; i++) {
		struct watch_series *series = &table->series[set * WAYS + i];

		if (at->tags[i] != tag_of(key) || series->key != key)
			continue;
		at->seen_s[i] = now_s;
		return series;
	}
	return NULL;
}

void watch_series_fetch(const struct watch_table *table, const struct booking *booking)
{
	if (table->n_sets > 0)
		__builtin_prefetch(&table->sets[key_of(booking) & (table->n_sets - 1)]);
}

struct watch_series *watch_series_get(
	struct watch_table *table, const struct booking *booking, uint64_t now_ms)
{
	const struct service_watch *service = &booking->in_service->watch;
	uint64_t key = key_of(booking);
	uint32_t now_s = (uint32_t)(now_ms / 1000);
	struct watch_series *series = find(table, key, now_s);

	if (series == NULL)
		series = take_place(table, key, now_s);
	if (series == NULL)
		return NULL;
	if (series->generation != service->generation)
		*series = (struct watch_series){
			.key = key, .generation = service->generation};
	return series;
}

enum suspicion_code watch_series_suspect(const struct watch_series *series)
{
	return series->suspect != 0 ? (enum suspicion_code)(series->suspect - 1) : NONE;
}

bool watch_series_is_counted(
	const struct watch_series *series, const struct service_watch *service)
{
	return series->suspect == 0 ||
		series->n_cleared == service->n_cleared[series->suspect - 1];
}

void watch_series_set_suspect(struct watch_series *series, enum suspicion_code code,
	const struct service_watch *service)
{
	series->n_cleared = code != NONE ? service->n_cleared[code] : 0;
	series->suspect = code != NONE ? (uint8_t)(1 + code) : 0;
	series->fell = 0;
}

/* What both have in common */

static struct line line_of(const struct counters *value, const struct sender *sender)
{
	return (struct line){value->input_bytes, value->output_bytes,
		value->total_conns < UINT32_MAX ? (uint32_t)value->total_conns
						: UINT32_MAX,
		*sender};
}

static void shift(uint16_t *window, bool bit)
{
	*window = (uint16_t)((*window << 1 | bit) & WATCH_WINDOW);
}

static int count(uint16_t window)
{
	return __builtin_popcount(window);
}

/* Deltas */

/* Where deltas are honest, series fall about as often as they rise. Counters that are
 * never reset do not fall, so a row of one series, which chance makes among many users,
 * is none if the others fall. A handful tells nothing. */
#define MIN_FALLS 32
#define MAX_COMPARED 256

static void note_step(struct service_watch *service, bool has_risen)
{
	if (has_risen)
		service->rises++;
	else
		service->falls++;
	if (service->rises + service->falls >= MAX_COMPARED) {
		service->rises /= 2;
		service->falls /= 2;
	}
}

static bool do_others_fall(const struct service_watch *service)
{
	return service->falls > MIN_FALLS && 3 * service->falls > service->rises;
}

struct verdict watch_series_delta(struct watch_series *series,
	const struct counters *value, struct service_watch *service)
{
	const struct line *last = &series->lines[0];
	struct line now = line_of(value, &(struct sender){0, 0});
	bool goes_on = series->n_lines > 0 && now.conns >= last->conns;
	bool is_below = now.input < last->input || now.output < last->output;
	bool has_risen = goes_on && !is_below &&
		(now.input > last->input || now.output > last->output);

	if (has_risen || (goes_on && is_below))
		note_step(service, has_risen);
	shift(&series->fell, goes_on && is_below);
	if (!has_risen)
		series->row = 1;
	else if (series->row < WATCH_REPORTS)
		series->row++;
	series->lines[0] = now;
	series->n_lines = 1;
	if (series->suspect != 0)
		return (struct verdict){.looks = count(series->fell) >= WATCH_FALLS
				? NONE
				: LOOKS_CUMULATIVE};
	return (struct verdict){
		.looks = series->row == WATCH_REPORTS && !do_others_fall(service)
			? LOOKS_CUMULATIVE
			: NONE};
}

/* Cumulative */

/* What has changed so often between two connections, and never fell on one, comes from
 * two senders. */
#define ENOUGH_RETURNED 6
/* Where each report has another connection, what has come back so often from a fall
 * stands on two lines. */
#define ENOUGH_BACK 4

/* Connections that carry nothing are rare. In a row, they are of a client that is only
 * knocked at: so many tell something, unless its counters have grown before. */
#define ENOUGH_EQUAL 8
#define ENOUGH_RISES 4

static bool is_below(const struct line *value, const struct line *line)
{
	return value->input < line->input || value->output < line->output ||
		value->conns < line->conns;
}

/* The line that a value goes on with: of its connection, or the nearest below it; -1:
 * none. */
static int find_line(const struct watch_series *series, const struct line *value)
{
	int found = -1;

	for (int i = 0; i < series->n_lines; i++) {
		const struct line *line = &series->lines[i];

		if (is_below(value, line))
			continue;
		if (line->sender.conn == value->sender.conn)
			return i;
		if (found < 0 || !is_below(line, &series->lines[found]))
			found = i;
	}
	return found;
}

/* Below what its own connection has brought before. */
static bool has_fallen_by_itself(
	const struct watch_series *series, const struct line *value)
{
	for (int i = 0; i < series->n_lines; i++)
		if (series->lines[i].sender.conn == value->sender.conn &&
			is_below(value, &series->lines[i]))
			return true;
	return false;
}

/* Where a value that goes on with none begins a line: over the one that is older. */
static uint8_t new_line(const struct watch_series *series)
{
	return series->n_lines == 0 ? 0 : 1 - series->at;
}

static bool stands_still(const struct watch_series *series)
{
	return series->equal >= ENOUGH_EQUAL && series->rises < ENOUGH_RISES;
}

static enum suspicion_code judge(const struct watch_series *series)
{
	if (stands_still(series))
		return LOOKS_DELTA;
	if (count(series->fell) < WATCH_FALLS)
		return NONE;
	if (series->own != 0)
		return LOOKS_DELTA;
	/* Each fall came from another address than the value before. */
	if (series->moved == series->fell || count(series->returned) >= ENOUGH_RETURNED)
		return TWO_SENDERS;
	if (series->strange != 0)
		return series->returned == 0 ? LOOKS_DELTA : NONE;
	return count(series->back) >= ENOUGH_BACK ? TWO_SENDERS : NONE;
}

/* It stays suspected until a whole window has passed without a fall; and two senders turn
 * out to be one, but not the other way round. */
static enum suspicion_code stay(
	const struct watch_series *series, enum suspicion_code judged)
{
	enum suspicion_code held = watch_series_suspect(series);

	if (held == NONE)
		return judged;
	if (held == TWO_SENDERS && series->own != 0)
		return LOOKS_DELTA;
	return series->row < WATCH_REPORTS ? held : NONE;
}

struct step {
	bool falls, moved, changes;
	bool is_own; /* on the connection of the line that it goes on with */
	bool is_equal, rises;
};

static void note_equal(struct watch_series *series, const struct step *step)
{
	if (!step->is_equal)
		series->equal = 0;
	else if (series->equal < ENOUGH_EQUAL)
		series->equal++;
	if (step->falls)
		series->rises = 0;
	else if (step->rises && series->rises < ENOUGH_RISES)
		series->rises++;
}

static void note_cumulative(
	struct watch_series *series, const struct step *step, int found)
{
	shift(&series->fell, step->falls);
	shift(&series->moved, step->falls && step->moved);
	shift(&series->back, step->changes && !step->falls);
	shift(&series->returned, step->changes && step->is_own);
	shift(&series->strange, series->n_lines == 2 && found < 0);
	note_equal(series, step);
	if (step->falls || stands_still(series))
		series->row = 0;
	else if (series->row < WATCH_REPORTS)
		series->row++;
}

struct verdict watch_series_cumulative(struct watch_series *series,
	const struct booking *booking, const struct sender *sender,
	struct service_watch *service)
{
	struct counters value = {.input_bytes = booking->mark.input_bytes,
		.output_bytes = booking->mark.output_bytes,
		.total_conns = booking->mark.total_conns};
	struct line now = line_of(&value, sender), last = series->lines[series->at];
	struct line other = series->lines[1 - series->at];
	bool is_known = series->n_lines > 0;
	int found = find_line(series, &now);
	uint8_t at = found >= 0 ? (uint8_t)found : new_line(series);
	struct step step = {.falls = is_known && is_below(&now, &last),
		.moved = is_known && sender->peer != last.sender.peer,
		.changes = is_known && at != series->at,
		.is_own = found >= 0 && series->lines[found].sender.conn == sender->conn};
	bool is_equal = now.input == last.input && now.output == last.output;
	bool is_other = step.moved || series->n_lines < 2;
	uint32_t other_peer = is_other ? last.sender.peer : other.sender.peer;

	/* A service's own are knocked at by whoever looks if it is there. */
	step.is_equal = is_known && is_equal && now.input + now.output > 0 &&
		now.conns > last.conns && booking_names_user(booking);
	step.rises = is_known && !is_equal && !step.falls;
	shift(&series->own, has_fallen_by_itself(series, &now));
	note_cumulative(series, &step, found);
	if (is_known && !step.changes && step.moved)
		service->mixed |= 1;
	else if (is_known && !step.changes)
		service->steady |= 1;
	if (at >= series->n_lines)
		series->n_lines = (uint8_t)(at + 1);
	series->lines[at] = now;
	series->at = at;
	return (struct verdict){
		stay(series, judge(series)), stands_still(series), other_peer};
}
