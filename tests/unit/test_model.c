/*
 * Random histories of the pure core: reports, answers that arrive or are lost, repeats,
 * restarts of senders, flushes, crashes at any write. The ledger, the journal's records
 * and fold are tallyd's; SQLite is an image of the cuts (lib/image.h), the journal's file
 * a tape that can be torn (lib/tape.h), and the http door a table of connections. After
 * every step all of it is compared with a plain account (lib/truth.h).
 *
 * MODEL_SEEDS: how many histories. MODEL_SEED: only that one, told step by step.
 */
#include "lib/test.h"
#include "lib/image.h"
#include "lib/tape.h"
#include "lib/truth.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define DEFAULT_SEEDS 1000
#else
#define DEFAULT_SEEDS 10000
#endif

#define MEMORY_DIR "/dev/shm"
#define N_STEPS 120
#define MAX_CONNS 24
#define PATIENCE_MS 500   /* as in src/http/delivery.c */
#define MAX_STEP_MS 1200  /* so that in no history five minutes are reported, */
#define MAX_CLOCK_JUMPS 3 /* although a pause counts as half a minute */
#define N_SHARED_BODIES 3
#define FIRST_UNIQUE_BODY 1000

enum answer { ANSWER_NONE, ANSWER_DUE, ANSWER_SENT };

struct sender;

/* As tallyd sees it: one that is gone is not in the table. */
struct conn {
	uint64_t id;
	unsigned node;
	enum answer answer;
	bool has_arrived; /* the answer that was sent */
	bool is_dead;     /* nothing comes from the peer any more, nor arrives there */
	uint64_t sent_ms;
	uint64_t needs_seq;    /* to be synced before the answer, if the journal must */
	struct sender *sender; /* that waits for it */
};

/* Of one handler or service of a GOST: one report at a time, until that is answered. */
struct sender {
	enum truth_stream stream;
	struct truth_report *held;
	bool is_waiting;
	uint64_t retry_ms;
};

enum {
	SENDER_HANDLER,
	SENDER_SERVICE,
	SENDER_STATE,
	SENDER_THREE,
	SENDER_ONE = 6,
	N_SENDERS
};

/* The cumulative counters of node n1, and how its present life began. */
struct gost {
	struct truth_event counters[TRUTH_SERIES];
	uint64_t lowest_conns, highest_conns;
	unsigned life;
	bool is_restarting; /* `running` was said */
};

struct world {
	uint64_t random;
	bool is_calm;   /* nothing goes wrong any more */
	bool must_sync; /* journal_fsync = always */
	uint64_t now_ms, wall_ms, next_conn, next_body;
	unsigned n_clock_jumps;
	struct ledger *ledger;
	struct cut *cut;
	struct conn conns[MAX_CONNS];
	size_t n_conns;
	struct sender senders[N_SENDERS];
	struct gost gost;
	struct tempdir dir;
	struct image image;
	struct tape tape;
	struct truth truth;
};

/* What is told if a history fails. */
static struct {
	uint64_t seed;
	unsigned step;
	bool is_running, is_told;
} history;

static struct {
	uint64_t crashes, power_losses, repeats, swallowed, lost_records, flushes;
} figures;

#define TELL(...)                                                                        \
	do {                                                                             \
		if (history.is_told) {                                                   \
			print_message("%3u  ", history.step);                            \
			print_message(__VA_ARGS__);                                      \
			print_message("\n");                                             \
		}                                                                        \
	} while (0)

static void check(const char *what_is_wrong)
{
	if (what_is_wrong != NULL)
		fail_msg("%s", what_is_wrong);
}

/* splitmix64 (Steele, Lea, Flood, OOPSLA 2014). */
static uint64_t next_random(struct world *w)
{
	uint64_t z = w->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint64_t below(struct world *w, uint64_t n)
{
	return next_random(w) % n;
}

static bool chance(struct world *w, unsigned percent)
{
	return below(w, 100) < percent;
}

/* Whether something goes wrong. */
static bool mishap(struct world *w, unsigned percent)
{
	return !w->is_calm && chance(w, percent);
}

/* Connections. */

static struct conn *find_conn(struct world *w, uint64_t id)
{
	for (size_t i = 0; i < w->n_conns; i++)
		if (w->conns[i].id == id)
			return &w->conns[i];
	return NULL;
}

/* As http_delivery_of(). */
static enum delivery look_at(const struct world *w, const struct conn *conn)
{
	if (conn == NULL)
		return DELIVERY_LOST;
	if (conn->answer != ANSWER_SENT)
		return DELIVERY_UNDECIDED;
	if (conn->has_arrived)
		return DELIVERY_ARRIVED;
	return w->now_ms - conn->sent_ms < PATIENCE_MS ? DELIVERY_UNDECIDED
						       : DELIVERY_LOST;
}

static enum delivery fate_of(void *arg, uint64_t id)
{
	struct world *w = arg;

	return look_at(w, find_conn(w, id));
}

/* What tallyd learns by asking, the truth learns with it. */
static enum delivery learn_fate_of(void *arg, uint64_t id)
{
	struct world *w = arg;
	enum delivery fate = fate_of(w, id);

	if (fate == DELIVERY_ARRIVED)
		truth_prove(&w->truth, id);
	return fate;
}

static void learn_arrival(struct world *w, uint64_t id)
{
	repeats_prove(ledger_repeats(w->ledger), id);
	truth_prove(&w->truth, id);
}

static void fail_sender(struct world *w, struct conn *conn, uint64_t delay_ms)
{
	struct sender *sender = conn->sender;

	conn->sender = NULL;
	if (sender == NULL)
		return;
	sender->is_waiting = false;
	sender->retry_ms = w->now_ms + delay_ms;
}

/* The peer has closed, or a reset came. Mostly what had arrived is known by that. */
static void lose_conn(struct world *w, struct conn *conn)
{
	bool is_known = conn->answer == ANSWER_SENT && conn->has_arrived;

	fail_sender(w, conn, 0);
	if (is_known && !mishap(w, 15))
		learn_arrival(w, conn->id);
	*conn = w->conns[--w->n_conns];
}

static struct conn *open_conn(struct world *w, unsigned node)
{
	struct conn *conn;

	if (w->n_conns == MAX_CONNS)
		lose_conn(w, &w->conns[below(w, MAX_CONNS)]);
	conn = &w->conns[w->n_conns++];
	*conn = (struct conn){.id = w->next_conn++, .node = node};
	return conn;
}

static bool is_idle(const struct conn *conn, unsigned node)
{
	return conn->node == node && !conn->is_dead && conn->sender == NULL &&
		(conn->answer == ANSWER_NONE ||
			(conn->answer == ANSWER_SENT && conn->has_arrived));
}

/* Handlers share connections. */
static struct conn *pick_conn(struct world *w, unsigned node)
{
	size_t start = w->n_conns > 0 ? below(w, w->n_conns) : 0;

	for (size_t i = 0; i < w->n_conns && !chance(w, 20); i++) {
		struct conn *conn = &w->conns[(start + i) % w->n_conns];

		if (is_idle(conn, node))
			return conn;
	}
	return open_conn(w, node);
}

/* Crashes and starts. */

static void drop_process(struct world *w)
{
	if (w->cut != NULL)
		ledger_forget_cut(w->cut);
	w->cut = NULL;
	ledger_free(w->ledger);
	w->ledger = NULL;
	for (size_t i = 0; i < w->n_conns; i++)
		fail_sender(w, &w->conns[i], 0);
	w->n_conns = 0;
}

static int apply_record(void *arg, struct record *record)
{
	struct ledger *ledger = arg;
	int code = ledger_prepare(ledger, record->node, &record->bookings);

	if (code == 0)
		ledger_apply(ledger, &record->bookings, &record->origin);
	return code;
}

static void load_and_fold(struct world *w)
{
	struct fold_result result = {0};
	struct errmsg msg = {""};
	uint64_t expected = tape_expected_seq(&w->tape, w->image.applied_seq);

	w->ledger = ledger_new(1000, false);
	assert_non_null(w->ledger);
	assert_int_equal(image_load(&w->image, w->ledger), 0);
	if (ledger_is_dirty(w->ledger))
		fail_msg("a ledger is dirty as it was loaded");
	if (tape_fold(&w->tape, &w->dir, w->image.applied_seq, apply_record, w->ledger,
		    &result, &msg) != 0)
		fail_msg("%s", msg.text);
	TELL("start: checkpoint %" PRIu64 ", journal to %" PRIu64, w->image.applied_seq,
		result.last_seq);
	if (result.last_seq != expected)
		fail_msg("the fold came to %" PRIu64 " instead of %" PRIu64,
			result.last_seq, expected);
}

static void commit(struct world *w, const struct cut *cut)
{
	image_commit(&w->image, cut);
	truth_on_commit(&w->truth, cut->seq);
	check(truth_compare_image(&w->truth, &w->image));
}

/* As recover(): dies before or behind the commit now and then, and starts again. */
static void start(struct world *w)
{
	for (;;) {
		struct cut *cut;
		bool dies = mishap(w, 10);

		load_and_fold(w);
		truth_on_crash(&w->truth, ledger_seq(w->ledger));
		check(truth_compare_ledger(&w->truth, w->ledger));
		if (ledger_seq(w->ledger) == w->image.applied_seq && !dies)
			break;
		cut = ledger_cut(w->ledger);
		truth_on_cut(&w->truth);
		if (!dies || chance(w, 50))
			commit(w, cut);
		if (!dies) {
			ledger_cut_committed(w->ledger, cut);
			break;
		}
		TELL("dies while starting");
		ledger_forget_cut(cut);
		ledger_free(w->ledger);
	}
	tape_begin(&w->tape, ledger_seq(w->ledger));
}

static void tell_lost(struct world *w, uint64_t seq_before)
{
	uint64_t n_lost = seq_before - w->truth.seq;

	figures.lost_records += n_lost;
	for (size_t i = 0; i < w->truth.n_reports; i++)
		if (w->must_sync && w->truth.reports[i].is_power_lost &&
			w->truth.reports[i].is_answered)
			fail_msg("an answered report is lost although all is synced");
}

/* kill -9: the kernel has all that was written. */
static void crash(struct world *w)
{
	uint64_t seq = w->tape.seq;

	figures.crashes++;
	TELL("killed at %" PRIu64, seq);
	drop_process(w);
	start(w);
	if (w->truth.seq != seq)
		fail_msg("a killed process has lost a record");
}

static void lose_power(struct world *w)
{
	enum tape_damage damage = (enum tape_damage)below(w, TAPE_DAMAGES);
	size_t n = tape_unsynced_bytes(&w->tape);
	uint64_t seq = w->tape.seq, synced_seq = w->tape.synced_seq;

	figures.power_losses++;
	TELL("power lost at %" PRIu64 ", synced to %" PRIu64 ": %zu bytes, damage %d",
		seq, synced_seq, n, (int)damage);
	drop_process(w);
	if (n > 0)
		tape_damage(&w->tape, damage, below(w, n), 1 + below(w, 200));
	start(w);
	if (w->truth.seq < synced_seq)
		fail_msg("a record that was synced is lost");
	tell_lost(w, seq);
}

/* Reports. */

static struct truth_event grow_counters(struct world *w, unsigned i)
{
	struct truth_event *counters = &w->gost.counters[i];

	counters->input += below(w, 1000);
	counters->output += below(w, 50) * below(w, 50);
	counters->conns += below(w, 3);
	if (counters->conns > w->gost.highest_conns)
		w->gost.highest_conns = counters->conns;
	return *counters;
}

static void fill_cumulative(struct world *w, struct truth_report *report)
{
	static const unsigned users[TRUTH_SERIES] = {TRUTH_USERS, TRUTH_USERS, 0, 1};

	report->n_events = report->stream == N1_SERVICE
		? 1
		: 1 + (unsigned)below(w, TRUTH_MAX_EVENTS);
	for (unsigned i = 0; i < report->n_events; i++) {
		unsigned at =
			report->stream == N1_SERVICE ? 0 : 1 + (unsigned)below(w, 3);

		report->events[i] = grow_counters(w, at);
		report->events[i].user = users[at];
	}
	report->life = w->gost.life;
	report->body = w->next_body++;
}

/* An equal body has equal events. */
static void fill_delta(struct world *w, struct truth_report *report)
{
	unsigned shared = (unsigned)below(w, N_SHARED_BODIES);

	if (chance(w, 60)) {
		report->body = 1 + shared;
		report->n_events = 1;
		report->events[0] = (struct truth_event){shared, 100 + shared, 7, 1};
		return;
	}
	report->body = w->next_body++;
	report->n_events = 1 + (unsigned)below(w, TRUTH_MAX_EVENTS);
	for (unsigned i = 0; i < report->n_events; i++)
		report->events[i] =
			(struct truth_event){(unsigned)below(w, TRUTH_USERS + 1),
				below(w, 5000), below(w, 5000), below(w, 9)};
}

static struct truth_report *new_report(struct world *w, enum truth_stream stream)
{
	struct truth_report *report = truth_new_report(&w->truth);

	report->stream = stream;
	if (stream == N1_HANDLER || stream == N1_SERVICE)
		fill_cumulative(w, report);
	else
		fill_delta(w, report);
	return report;
}

static unsigned node_of(enum truth_stream stream)
{
	return stream == N1_HANDLER || stream == N1_SERVICE ? 1 : 2;
}

static void book(
	struct world *w, const struct truth_report *report, struct bookings *ret_bookings)
{
	const struct truth_stream_name *name = &truth_streams[report->stream];
	struct event events[TRUTH_MAX_EVENTS];
	struct report parsed = {.events = events, .n_events = report->n_events};

	for (unsigned i = 0; i < report->n_events; i++)
		events[i] = (struct event){.type = EVENT_STATS,
			.kind = name->kind,
			.service = name->service,
			.client = truth_users[report->events[i].user],
			.counters = {.input_bytes = report->events[i].input,
				.output_bytes = report->events[i].output,
				.total_conns = report->events[i].conns},
			.state = ""};
	if (report->state[0] != '\0') {
		events[0] = (struct event){.type = EVENT_STATUS,
			.kind = name->kind,
			.service = name->service,
			.client = "",
			.state = report->state};
		parsed.n_events = 1;
	}
	assert_int_equal(account_book(w->ledger, name->node,
				 node_of(report->stream) == 1 ? COUNTERS_CUMULATIVE
							      : COUNTERS_DELTA,
				 &parsed, ret_bookings),
		0);
}

/* What became of a report that had reached tallyd. */
enum reception { ACCEPTED, REFUSED, HUNG_UP, DIED };

static enum reception append(struct world *w, struct record *record)
{
	size_t len = SIZE_MAX;

	if (mishap(w, 3))
		return HUNG_UP;
	if (mishap(w, 3))
		return REFUSED;
	if (mishap(w, 2))
		len = below(w, 120);
	tape_append(&w->tape, record, len);
	return len == SIZE_MAX ? ACCEPTED : DIED;
}

static void accepted(
	struct world *w, struct truth_report *report, const struct record *record)
{
	TELL("accepted as %" PRIu64 ", repeats %" PRIu64, record->origin.seq,
		record->origin.repeats);
	figures.repeats += record->origin.repeats != 0;
	check(truth_accept(
		&w->truth, report, record->origin.conn, record->origin.repeats));
}

/* As accept.c does it: up to the journal nothing has changed. */
static enum reception take(struct world *w, struct truth_report *report,
	const struct conn *conn, uint64_t *ret_needs_seq)
{
	struct record record = {.node = truth_streams[report->stream].node,
		.origin = {.conn = conn->id, .time_ms = w->wall_ms}};
	struct origin *origin = &record.origin;
	enum reception reception;

	memcpy(origin->fingerprint, &report->body, sizeof(report->body));
	book(w, report, &record.bookings);
	assert_int_equal(ledger_prepare(w->ledger, record.node, &record.bookings), 0);
	report->has_reached = true;
	origin->repeats = ledger_find_repeat(
		w->ledger, &record.bookings, origin->fingerprint, learn_fate_of, w);
	check(truth_judge(&w->truth, report, origin->repeats, fate_of, w));
	ledger_measure(w->ledger, &record.bookings);
	ledger_tell_proofs(w->ledger, origin);
	reception = append(w, &record);
	if (reception == ACCEPTED)
		ledger_apply(w->ledger, &record.bookings, origin);
	if (reception == ACCEPTED || w->tape.seq != w->truth.seq)
		accepted(w, report, &record);
	if (reception != ACCEPTED || origin->repeats != 0)
		ledger_forget_prepared(w->ledger, record.node, &record.bookings);
	bookings_done(&record.bookings);
	*ret_needs_seq = origin->repeats != 0 ? origin->repeats : origin->seq;
	return reception;
}

/* The request is there. */
static void receive(struct world *w, struct sender *sender, struct conn *conn)
{
	TELL("sender %zu, connection %" PRIu64 ": stream %d body %" PRIu64 " %s",
		(size_t)(sender - w->senders), conn->id, (int)sender->stream,
		sender->held->body, sender->held->state);
	/* It proves what was answered before; if not at once, then by its record. */
	if (conn->answer == ANSWER_SENT && !mishap(w, 30))
		learn_arrival(w, conn->id);
	conn->answer = ANSWER_DUE;
	conn->has_arrived = false;
	conn->sender = sender;
	sender->is_waiting = true;
	switch (take(w, sender->held, conn, &conn->needs_seq)) {
	case ACCEPTED:
		break;
	case REFUSED:
		TELL("refused");
		conn->answer = ANSWER_NONE;
		fail_sender(w, conn, 0);
		break;
	case HUNG_UP:
		TELL("it had hung up");
		lose_conn(w, conn);
		break;
	case DIED:
		TELL("died in the write");
		crash(w);
		break;
	}
}

static void post(struct world *w, struct sender *sender)
{
	struct conn *conn;

	if (sender->held == NULL)
		sender->held = new_report(w, sender->stream);
	conn = pick_conn(w, node_of(sender->stream));
	if (mishap(w, 4)) {
		TELL("a request never came");
		conn->sender = sender;
		lose_conn(w, conn);
		return;
	}
	receive(w, sender, conn);
}

/*
 * While n1 restarts, what looks begun anew is taken for the new life's. An old one that
 * was never announced, and is seen for the first time just then, cannot be told from it.
 */
static bool is_ambiguous(const struct world *w, enum truth_stream stream)
{
	const struct truth_series *series = truth_now(&w->truth)->series;
	unsigned first = stream == N1_SERVICE ? 0 : 1;
	unsigned last = stream == N1_SERVICE ? 0 : TRUTH_SERIES - 1;

	for (unsigned i = first; i <= last && w->gost.is_restarting; i++)
		if (series[i].is_known && series[i].life != w->gost.life)
			return true;
	return false;
}

static bool may_post(const struct world *w, const struct sender *sender)
{
	return !sender->is_waiting && w->now_ms >= sender->retry_ms &&
		(node_of(sender->stream) != 1 || !is_ambiguous(w, sender->stream));
}

static void step_post(struct world *w)
{
	struct sender *sender = &w->senders[below(w, N_SENDERS)];

	if (sender != &w->senders[SENDER_STATE] && may_post(w, sender))
		post(w, sender);
}

/* Answers. */

static void arrive(struct world *w, struct conn *conn)
{
	struct sender *sender = conn->sender;

	TELL("the answer on connection %" PRIu64 " arrives", conn->id);
	conn->has_arrived = true;
	conn->sender = NULL;
	sender->held->is_answered = true;
	sender->held = NULL;
	sender->is_waiting = false;
	(void)w;
}

static bool is_due(const struct world *w, const struct conn *conn)
{
	return conn->answer == ANSWER_DUE &&
		(!w->must_sync || w->tape.synced_seq >= conn->needs_seq);
}

static void answer(struct world *w, struct conn *conn)
{
	if (mishap(w, 5)) {
		TELL("connection %" PRIu64 " hangs up before its answer", conn->id);
		lose_conn(w, conn);
		return;
	}
	conn->answer = ANSWER_SENT;
	conn->sent_ms = w->now_ms;
	if (mishap(w, 10)) {
		TELL("the answer on connection %" PRIu64 " is reset", conn->id);
		lose_conn(w, conn);
	} else if (mishap(w, 20)) {
		/* GOST waits for longer than we do. */
		TELL("the answer on connection %" PRIu64 " gets lost", conn->id);
		conn->is_dead = true;
		fail_sender(w, conn, PATIENCE_MS + 100);
	} else {
		arrive(w, conn);
	}
}

static void step_answer(struct world *w)
{
	size_t start = w->n_conns > 0 ? below(w, w->n_conns) : 0;

	for (size_t i = 0; i < w->n_conns; i++) {
		struct conn *conn = &w->conns[(start + i) % w->n_conns];

		if (is_due(w, conn)) {
			answer(w, conn);
			return;
		}
	}
}

static void step_close(struct world *w)
{
	struct conn *conn = w->n_conns > 0 ? &w->conns[below(w, w->n_conns)] : NULL;

	if (conn == NULL || conn->sender != NULL)
		return;
	TELL("connection %" PRIu64 " is closed", conn->id);
	lose_conn(w, conn);
}

/* Restarts of the sender. */

/* What was not answered is never sent again. */
static void give_up(struct world *w, struct sender *sender)
{
	for (size_t i = 0; i < w->n_conns; i++)
		if (w->conns[i].sender == sender) {
			lose_conn(w, &w->conns[i]);
			break;
		}
	sender->held = NULL;
	sender->is_waiting = false;
	sender->retry_ms = 0;
}

/* Once, and once more if that was not answered. */
static void say(struct world *w, const char *state, unsigned life)
{
	struct sender *sender = &w->senders[SENDER_STATE];

	give_up(w, sender);
	sender->held = truth_new_report(&w->truth);
	sender->held->stream = N1_SERVICE;
	sender->held->state = state;
	sender->held->life = life;
	/* The same bytes at each start. */
	sender->held->body = 500 + (uint64_t)state[0] + (uint64_t)state[1];
	post(w, sender);
	if (sender->held != NULL && !sender->is_waiting && chance(w, 50))
		post(w, sender);
}

/* With connections below or above all that came before. */
static void begin_life(struct world *w, bool is_above)
{
	struct gost *gost = &w->gost;

	TELL("n1 begins life %u, %s", gost->life + 1, is_above ? "above" : "below");
	give_up(w, &w->senders[SENDER_HANDLER]);
	give_up(w, &w->senders[SENDER_SERVICE]);
	gost->life++;
	gost->lowest_conns -= is_above ? 0 : 1000;
	for (unsigned i = 0; i < TRUTH_SERIES; i++) {
		struct truth_event *counters = &gost->counters[i];

		counters->conns = is_above ? gost->highest_conns + 1 : gost->lowest_conns;
		if (!is_above)
			counters->input = counters->output = below(w, 3) * below(w, 2000);
	}
	gost->is_restarting = false;
}

static void finish_restart(struct world *w)
{
	bool is_announced;

	/* Before `ready`, only what can be seen to be new is of the new life. */
	if (chance(w, 20)) {
		begin_life(w, false);
		if (truth_now(&w->truth)->announced_life + 1 == w->gost.life &&
			truth_now(&w->truth)->series[0].is_known &&
			truth_now(&w->truth)->series[0].life + 1 == w->gost.life)
			post(w, &w->senders[SENDER_SERVICE]);
		say(w, "ready", w->gost.life);
		return;
	}
	say(w, "ready", w->gost.life + 1);
	is_announced = truth_now(&w->truth)->announced_life == w->gost.life + 1;
	begin_life(w, is_announced && chance(w, 60));
}

static void step_restart(struct world *w)
{
	struct gost *gost = &w->gost;

	if (gost->is_restarting) {
		if (chance(w, 30))
			say(w, "closed", gost->life);
		else
			finish_restart(w);
		return;
	}
	if (chance(w, 30)) {
		begin_life(w, false); /* without a word */
		return;
	}
	if (chance(w, 20)) {
		/* A listener that recovers; the first ready of a life is said elsewhere.
		 */
		say(w, "failed", gost->life);
		if (!truth_now(&w->truth)->is_starting)
			say(w, "ready", gost->life);
		return;
	}
	gost->is_restarting = true;
	say(w, "running", gost->life + 1);
}

/* Flushes. */

static void end_cut(struct world *w)
{
	/* Only a success ends it: whether it was committed may be unknown. */
	unsigned choice = (unsigned)below(w, 100);

	if (w->is_calm || choice < 75)
		commit(w, w->cut);
	if (w->is_calm || choice < 60) {
		ledger_cut_committed(w->ledger, w->cut);
		w->cut = NULL;
		figures.flushes++;
		if (chance(w, 80))
			tape_drop(&w->tape, w->image.applied_seq);
	}
	TELL("flush: checkpoint %" PRIu64 "%s", w->image.applied_seq,
		w->cut == NULL ? "" : ", failed");
}

static void step_flush(struct world *w)
{
	if (w->cut != NULL) {
		end_cut(w);
		return;
	}
	if (!ledger_is_dirty(w->ledger))
		return;
	TELL("flush: cut at %" PRIu64, ledger_seq(w->ledger));
	w->cut = ledger_cut(w->ledger);
	assert_non_null(w->cut);
	truth_on_cut(&w->truth);
	if (chance(w, 50) && w->tape.n_segments < TAPE_MAX_SEGMENTS)
		tape_rotate(&w->tape);
}

/* SIGTERM: what is in flight is answered, a last flush is tried. */
static void step_stop(struct world *w)
{
	TELL("stopped");
	tape_sync(&w->tape);
	for (size_t i = 0; i < w->n_conns; i++)
		if (is_due(w, &w->conns[i])) {
			w->conns[i].answer = ANSWER_SENT;
			arrive(w, &w->conns[i]);
		}
	while (w->n_conns > 0)
		lose_conn(w, &w->conns[0]);
	if (w->cut != NULL)
		end_cut(w);
	if (w->cut == NULL && ledger_is_dirty(w->ledger)) {
		step_flush(w);
		end_cut(w);
	}
	crash(w);
}

static void let_time_pass(struct world *w)
{
	uint64_t ms = below(w, MAX_STEP_MS);

	w->now_ms += ms;
	w->wall_ms += ms;
	if (w->n_clock_jumps == MAX_CLOCK_JUMPS || !chance(w, 3))
		return;
	w->n_clock_jumps++;
	ms = below(w, 3600 * 1000);
	if (chance(w, 50)) {
		w->wall_ms -= ms; /* somebody sets the clock */
	} else {
		w->now_ms += ms; /* nothing happens for a while */
		w->wall_ms += ms;
	}
}

static void step(struct world *w)
{
	uint64_t choice = below(w, 1000);

	let_time_pass(w);
	if (choice < 450)
		step_post(w);
	else if (choice < 720)
		step_answer(w);
	else if (choice < 770)
		step_close(w);
	else if (choice < 830)
		tape_sync(&w->tape);
	else if (choice < 900)
		step_flush(w);
	else if (choice < 950)
		step_restart(w);
	else if (choice < 970)
		step_stop(w);
	else if (choice < 985)
		crash(w);
	else
		lose_power(w);
	check(truth_compare_ledger(&w->truth, w->ledger));
}

/* Nothing goes wrong any more, and everybody gets an answer. */
static void settle(struct world *w)
{
	w->is_calm = true;
	w->now_ms += PATIENCE_MS + 100;
	tape_sync(&w->tape);
	for (unsigned i = 0; i < N_SENDERS; i++) {
		struct sender *sender = &w->senders[i];

		if (sender->held != NULL && !sender->is_waiting)
			post(w, sender);
	}
	step_stop(w);
	check(truth_compare_ledger(&w->truth, w->ledger));
	check(truth_compare_image(&w->truth, &w->image));
}

/* Bodies that only one report has. */
static void check_answered(const struct world *w)
{
	for (size_t i = 0; i < w->truth.n_reports; i++) {
		const struct truth_report *report = &w->truth.reports[i];

		if (report->body < FIRST_UNIQUE_BODY || !report->is_answered ||
			report->is_power_lost)
			continue;
		if (report->counted_seq == 0)
			fail_msg("body %" PRIu64 " was answered and never counted",
				report->body);
	}
}

static void begin(struct world *w, uint64_t seed)
{
	static const enum truth_stream streams[N_SENDERS] = {
		N1_HANDLER, N1_SERVICE, N1_SERVICE, N2_THREE, N2_THREE, N2_THREE, N2_ONE};
	struct tempdir dir = w->dir;

	*w = (struct world){.random = seed,
		.must_sync = seed % 3 == 0,
		.now_ms = 1000000,
		.wall_ms = UINT64_C(1700000000000),
		.next_conn = 1,
		.next_body = FIRST_UNIQUE_BODY,
		.gost = {.lowest_conns = 1000000, .highest_conns = 1000000},
		.dir = dir};
	for (unsigned i = 0; i < N_SENDERS; i++)
		w->senders[i].stream = streams[i];
	for (unsigned i = 0; i < TRUTH_SERIES; i++)
		w->gost.counters[i].conns = w->gost.lowest_conns;
	truth_init(&w->truth);
	w->ledger = ledger_new(1000, false);
	assert_non_null(w->ledger);
	tape_begin(&w->tape, 0);
}

static void run_history(struct world *w, uint64_t seed)
{
	history.seed = seed;
	history.is_running = true;
	begin(w, seed);
	for (history.step = 0; history.step < N_STEPS; history.step++)
		step(w);
	settle(w);
	check_answered(w);
	figures.swallowed += w->truth.n_swallowed;
	ledger_free(w->ledger);
	tape_done(&w->tape);
	history.is_running = false;
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text != NULL ? strtoull(text, NULL, 10) : otherwise;
}

static int tell_failure(void **state)
{
	(void)state;
	if (history.is_running)
		print_error("history %" PRIu64 " fails at step %u; to see it:\n"
			    "MODEL_SEED=%" PRIu64 " %s\n",
			history.seed, history.step, history.seed,
			program_invocation_name);
	return 0;
}

TEST(whatever_happens_each_report_counts_once)
{
	static struct world world;
	uint64_t first = number_from("MODEL_SEED", 1);
	uint64_t n = number_from("MODEL_SEEDS", DEFAULT_SEEDS);

	history.is_told = getenv("MODEL_SEED") != NULL;
	if (history.is_told)
		n = 1;
	if (access(MEMORY_DIR, W_OK) == 0)
		(void)setenv("TMPDIR", MEMORY_DIR, 0); /* many small files */
	tempdir_make(&world.dir);
	for (uint64_t seed = first; seed < first + n; seed++)
		run_history(&world, seed);
	tempdir_remove(&world.dir);
	print_message("%" PRIu64 " histories: %" PRIu64 " crashes, %" PRIu64
		      " power losses that cost %" PRIu64 " records, %" PRIu64
		      " repeats, %" PRIu64 " equal reports taken for one, %" PRIu64
		      " flushes\n",
		n, figures.crashes, figures.power_losses, figures.lost_records,
		figures.repeats, figures.swallowed, figures.flushes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(
			whatever_happens_each_report_counts_once, tell_failure),
	};

	return RUN_TESTS(tests);
}
