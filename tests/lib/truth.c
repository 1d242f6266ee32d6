#include "lib/truth.h"
#include "lib/test.h"

#include <string.h>

const struct truth_stream_name truth_streams[TRUTH_STREAMS] = {
	[N1_HANDLER] = {"n1", "s", KIND_HANDLER},
	[N1_SERVICE] = {"n1", "s", KIND_SERVICE},
	[N2_THREE] = {"n2", "s", KIND_HANDLER},
	[N2_ONE] = {"n2", "t", KIND_HANDLER},
};

const char *const truth_users[TRUTH_USERS + 1] = {"a", "b", "c", ""};

void truth_init(struct truth *truth)
{
	truth->seq = 0;
	truth->n_reports = truth->n_opens = 0;
	truth->n_swallowed = 0;
	truth->states[0] = (struct truth_state){.announced_life = 0};
}

struct truth_report *truth_new_report(struct truth *truth)
{
	struct truth_report *report = &truth->reports[truth->n_reports++];

	assert_true(truth->n_reports <= TRUTH_MAX_RECORDS);
	*report = (struct truth_report){.state = ""};
	return report;
}

const struct truth_state *truth_now(const struct truth *truth)
{
	return &truth->states[truth->seq];
}

static bool is_n1(enum truth_stream stream)
{
	return stream == N1_HANDLER || stream == N1_SERVICE;
}

static void add(struct truth_sum *sum, uint64_t input, uint64_t output)
{
	sum->input += input;
	sum->output += output;
}

static bool is_below(const struct truth_event *event, const struct truth_series *series)
{
	return event->input < series->input || event->output < series->output ||
		event->conns < series->conns;
}

/* Nothing that is known of it means anything now. */
static bool is_void(const struct truth_state *state, const struct truth_series *series)
{
	return !series->is_known || series->life < state->announced_life;
}

/* Of another life only what was announced, or can be seen, can be known. */
static bool has_begun_anew(const struct truth_state *state,
	const struct truth_event *event, const struct truth_series *series, unsigned life)
{
	return is_void(state, series) ||
		(series->life != life && is_below(event, series));
}

/* What comes for the first time while a life is about to begin is taken for the last
 * words of the one before. */
static unsigned life_of(const struct truth_state *state,
	const struct truth_series *series, const struct truth_report *report)
{
	return state->is_starting && is_void(state, series) ? state->starting_life - 1
							    : report->life;
}

static struct truth_series *series_of(struct truth_state *state,
	const struct truth_report *report, const struct truth_event *event)
{
	if (report->stream == N1_SERVICE)
		return &state->series[0];
	return &state->series[event->user == TRUTH_USERS ? 1 : 2 + event->user];
}

static void count_event(struct truth_state *state, const struct truth_report *report,
	const struct truth_event *event)
{
	struct truth_sum delta = {event->input, event->output};

	if (is_n1(report->stream)) {
		struct truth_series *series = series_of(state, report, event);

		if (!has_begun_anew(state, event, series, report->life)) {
			delta.input -= series->input;
			delta.output -= series->output;
		}
		*series = (struct truth_series){true, event->input, event->output,
			event->conns, life_of(state, series, report)};
	}
	add(&state->services[report->stream], delta.input, delta.output);
	if (event->user < TRUTH_USERS)
		add(&state->users[event->user], delta.input, delta.output);
}

static void close_open(struct truth_open *open, uint64_t seq)
{
	open->is_closed = true;
	open->closed_seq = seq;
}

static void enter(struct truth *truth, struct truth_state *state,
	const struct truth_report *report, uint64_t seq)
{
	if (strcmp(report->state, "running") == 0) {
		state->is_starting = true;
		state->starting_life = report->life;
	}
	if (strcmp(report->state, "failed") == 0)
		state->is_starting = false; /* only what was ready can fail */
	if (strcmp(report->state, "ready") != 0 || !state->is_starting)
		return;
	state->is_starting = false;
	state->announced_life = state->starting_life;
	for (size_t i = 0; i < truth->n_opens; i++)
		if (is_n1(truth->opens[i].stream) && !truth->opens[i].is_closed)
			close_open(&truth->opens[i], seq);
}

static void tell_proofs(struct truth *truth, uint64_t seq)
{
	for (size_t i = 0; i < truth->n_opens; i++)
		if (truth->opens[i].is_closed && truth->opens[i].closed_seq == 0)
			truth->opens[i].closed_seq = seq;
}

/* How often a body was counted, and how many reports there are that it stands for. */
static const char *check_counts(const struct truth *truth, uint64_t body)
{
	size_t n_counted = 0, n_reached = 0;

	for (size_t i = 0; i < truth->n_opens; i++)
		n_counted += truth->opens[i].body == body;
	for (size_t i = 0; i < truth->n_reports; i++)
		n_reached +=
			truth->reports[i].body == body && truth->reports[i].has_reached;
	return n_counted <= n_reached ? NULL : "a report was counted twice";
}

static const char *count(
	struct truth *truth, struct truth_report *report, uint64_t seq, uint64_t conn)
{
	struct truth_state *state = &truth->states[seq];

	if (report->state[0] != '\0') {
		enter(truth, state, report, seq);
		return NULL;
	}
	for (unsigned i = 0; i < report->n_events; i++)
		count_event(state, report, &report->events[i]);
	if (report->counted_seq == 0)
		report->counted_seq = seq;
	report->is_power_lost = false;
	truth->opens[truth->n_opens++] = (struct truth_open){
		.stream = report->stream, .body = report->body, .seq = seq, .conn = conn};
	/* Cumulative values may come twice and change nothing. */
	return is_n1(report->stream) ? NULL : check_counts(truth, report->body);
}

const char *truth_accept(
	struct truth *truth, struct truth_report *report, uint64_t conn, uint64_t repeats)
{
	uint64_t seq = truth->seq + 1;

	assert_true(seq < TRUTH_MAX_RECORDS);
	truth->states[seq] = *truth_now(truth);
	truth->seq = seq;
	truth_prove(truth, conn);
	tell_proofs(truth, seq);
	if (repeats == 0)
		return count(truth, report, seq, conn);
	for (size_t i = 0; i < truth->n_opens; i++)
		if (truth->opens[i].seq == repeats)
			truth->opens[i].conn = conn;
	truth->n_swallowed += report->counted_seq == 0;
	report->is_power_lost = false;
	return NULL;
}

/* Open, of equal reports, and its answer lost. */
static bool can_be_repeated(const struct truth_open *open,
	const struct truth_report *report, delivery_cb fate_of, void *arg)
{
	return !open->is_closed && open->stream == report->stream &&
		open->body == report->body && fate_of(arg, open->conn) == DELIVERY_LOST;
}

const char *truth_judge(const struct truth *truth, const struct truth_report *report,
	uint64_t repeats, delivery_cb fate_of, void *arg)
{
	bool is_any = false, is_this = false;

	for (size_t i = 0; i < truth->n_opens; i++)
		if (can_be_repeated(&truth->opens[i], report, fate_of, arg)) {
			is_any = true;
			is_this |= truth->opens[i].seq == repeats;
		}
	if (report->state[0] != '\0')
		return repeats == 0 ? NULL : "a state was taken for a repeat";
	if (repeats != 0)
		return is_this ? NULL : "a report was taken for a repeat of another";
	return is_any ? "a repeat was taken for a new report" : NULL;
}

void truth_prove(struct truth *truth, uint64_t conn)
{
	for (size_t i = 0; i < truth->n_opens; i++)
		if (truth->opens[i].conn == conn && !truth->opens[i].is_closed)
			close_open(&truth->opens[i], 0);
}

void truth_on_cut(struct truth *truth)
{
	for (size_t i = 0; i < truth->n_opens; i++)
		truth->opens[i].is_closed_in_cut = truth->opens[i].is_closed;
}

void truth_on_commit(struct truth *truth, uint64_t seq)
{
	for (size_t i = 0; i < truth->n_opens; i++) {
		struct truth_open *open = &truth->opens[i];

		if (open->is_closed_in_cut &&
			(open->closed_seq == 0 || open->closed_seq > seq))
			open->closed_seq = seq;
	}
}

static void forget_counted(struct truth_report *report, uint64_t seq)
{
	if (report->counted_seq <= seq)
		return;
	report->counted_seq = 0;
	report->is_power_lost = true;
}

void truth_on_crash(struct truth *truth, uint64_t seq)
{
	size_t n_left = 0;

	for (size_t i = 0; i < truth->n_opens; i++) {
		struct truth_open *open = &truth->opens[i];

		if (open->seq > seq)
			continue;
		if (open->closed_seq == 0 || open->closed_seq > seq) {
			open->is_closed = false;
			open->closed_seq = 0;
		}
		open->is_closed_in_cut = false;
		truth->opens[n_left++] = *open;
	}
	truth->n_opens = n_left;
	for (size_t i = 0; i < truth->n_reports; i++)
		forget_counted(&truth->reports[i], seq);
	truth->seq = seq;
}

size_t truth_n_open(const struct truth *truth)
{
	size_t n = 0;

	for (size_t i = 0; i < truth->n_opens; i++)
		n += !truth->opens[i].is_closed;
	return n;
}

static bool is_total(struct totals total, const struct truth_sum *sum)
{
	return total.input == sum->input && total.output == sum->output &&
		total.used == sum->input + sum->output;
}

const char *truth_compare_ledger(const struct truth *truth, const struct ledger *ledger)
{
	const struct truth_state *state = truth_now(truth);
	struct ledger_stats stats;

	for (unsigned i = 0; i < TRUTH_USERS; i++) {
		const struct user *user = ledger_find_user(ledger, truth_users[i]);
		struct totals none = {0};

		if (!is_total(user != NULL ? user->total : none, &state->users[i]))
			return "a user's total in the ledger is wrong";
	}
	ledger_get_stats(ledger, &stats);
	if (stats.open_reports != truth_n_open(truth))
		return "other reports are open in the ledger";
	return ledger_seq(ledger) == truth->seq ? NULL : "the ledger's sequence is wrong";
}

const char *truth_compare_image(const struct truth *truth, const struct image *image)
{
	const struct truth_state *state = &truth->states[image->applied_seq];

	for (unsigned i = 0; i < TRUTH_USERS; i++) {
		const struct image_user *user = image_user(image, truth_users[i]);
		struct totals none = {0};

		if (!is_total(user != NULL ? user->total : none, &state->users[i]))
			return "a user's total in the checkpoint is wrong";
	}
	for (unsigned i = 0; i < TRUTH_STREAMS; i++) {
		const struct truth_stream_name *name = &truth_streams[i];
		const struct image_service *service =
			image_service(image, name->node, name->kind, name->service);
		struct counters none = {0};
		const struct counters *last = service != NULL ? &service->last : &none;

		if (last->input_bytes != state->services[i].input ||
			last->output_bytes != state->services[i].output)
			return "a service's total in the checkpoint is wrong";
	}
	return NULL;
}
