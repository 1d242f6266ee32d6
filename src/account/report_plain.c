/*
 * The text is copied once; strings end where their quote stood, so that events borrow
 * from the copy. Each function below is true if what it has to read is there, and then
 * `at` is behind it. The byte behind the text is NUL, at which all of them stop.
 */
#include "account/report_read.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define USUAL_EVENT_BYTES 128
#define NUMBER_DIGITS 20 /* of 2^64-1 */

struct plain {
	char *at;
	struct report report;
	size_t cap; /* of report.events */
};

static void skip_blanks(struct plain *plain)
{
	while (*plain->at == ' ' || *plain->at == '\t' || *plain->at == '\n' ||
		*plain->at == '\r')
		plain->at++;
}

static bool take(struct plain *plain, char c)
{
	if (*plain->at != c) {
		skip_blanks(plain);
		if (*plain->at != c)
			return false;
	}
	plain->at++;
	return true;
}

static bool take_null(struct plain *plain)
{
	skip_blanks(plain);
	if (*plain->at != 'n' || strncmp(plain->at, "null", 4) != 0)
		return false;
	plain->at += 4;
	return true;
}

/* *ret_is_ascii: it is printable ASCII. */
static bool take_text(struct plain *plain, const char **ret_text, bool *ret_is_ascii)
{
	bool is_ascii = true;
	char *at;

	if (!take(plain, '"'))
		return false;
	for (at = plain->at; *at != '"'; at++) {
		if ((unsigned char)*at < 0x20 || *at == '\\')
			return false;
		is_ascii &= (unsigned char)*at < 0x7f;
	}
	*at = '\0';
	*ret_text = plain->at;
	*ret_is_ascii = is_ascii;
	plain->at = at + 1;
	return true;
}

static bool take_name(struct plain *plain, const char **ret_name)
{
	bool is_ascii;

	if (take_null(plain))
		return true;
	return take_text(plain, ret_name, &is_ascii) &&
		(is_ascii ? plain->at - *ret_name <= NAME_MAX_BYTES + 1
			  : text_is_name(*ret_name));
}

/* Digits as JSON has them. More than COUNTER_MAX may be any number beyond it. */
static bool take_number(struct plain *plain, uint64_t *ret_value)
{
	const char *first;
	uint64_t value = 0;

	skip_blanks(plain);
	first = plain->at;
	for (; *plain->at >= '0' && *plain->at <= '9'; plain->at++)
		if (value <= COUNTER_MAX)
			value = value * 10 + (uint64_t)(*plain->at - '0');
	*ret_value = value;
	return plain->at > first && plain->at <= first + NUMBER_DIGITS &&
		(*first != '0' || plain->at == first + 1);
}

/* As GOST writes it before the value: "name": */
struct member {
	const char *text;
	size_t len;
};
#define MEMBER(name)                                                                     \
	{                                                                                \
		"\"" name "\":", sizeof(name) + 2                                        \
	}

/* What an object may hold, in the order in which GOST writes it. */
struct members {
	const struct member *list;
	unsigned n;
	bool (*take_value)(struct plain *plain, unsigned member, void *arg);
};

static bool is_named(const struct member *member, const char *name)
{
	size_t len = member->len - 3;

	return strncmp(member->text + 1, name, len) == 0 && name[len] == '\0';
}

/* Which member comes, the likely one or any; n: another. */
static unsigned take_member(
	struct plain *plain, const struct members *members, unsigned likely)
{
	const struct member *list = members->list;
	unsigned member = 0;
	const char *name;
	bool is_ascii;

	if (likely < members->n &&
		strncmp(plain->at, list[likely].text, list[likely].len) == 0) {
		plain->at += list[likely].len;
		return likely;
	}
	if (!take_text(plain, &name, &is_ascii) || !take(plain, ':'))
		return members->n;
	while (member < members->n && !is_named(&list[member], name))
		member++;
	return member;
}

static bool take_object(struct plain *plain, const struct members *members, void *arg)
{
	unsigned seen = 0, member = 0;

	if (!take(plain, '{'))
		return false;
	if (take(plain, '}'))
		return true;
	do {
		member = take_member(plain, members, member);
		if (member == members->n || (seen & 1U << member) != 0 ||
			!members->take_value(plain, member, arg))
			return false;
		seen |= 1U << member++;
	} while (take(plain, ','));
	return take(plain, '}');
}

struct stats {
	struct counters counters;
	bool has_conns;
};

static const struct member stats_list[] = {MEMBER("totalConns"), MEMBER("currentConns"),
	MEMBER("inputBytes"), MEMBER("outputBytes"), MEMBER("totalErrs")};
enum { TOTAL_CONNS, CURRENT_CONNS, INPUT_BYTES, OUTPUT_BYTES, TOTAL_ERRS, STATS_MEMBERS };

/* What is only shown and cannot be right is 0 (rule 6); bytes are a reject then. */
static bool take_counter(struct plain *plain, unsigned member, void *arg)
{
	struct stats *stats = arg;
	struct counters *counters = &stats->counters;
	uint64_t *const places[] = {&counters->total_conns, &counters->current_conns,
		&counters->input_bytes, &counters->output_bytes, &counters->total_errs};
	uint64_t value;

	if (take_null(plain))
		return true;
	if (!take_number(plain, &value))
		return false;
	if (value > COUNTER_MAX)
		return member != INPUT_BYTES && member != OUTPUT_BYTES;
	*places[member] = value;
	stats->has_conns |= member == TOTAL_CONNS;
	return true;
}

static const struct members stats_members = {stats_list, STATS_MEMBERS, take_counter};

static const struct member status_list[] = {MEMBER("state"), MEMBER("msg")};
enum { STATE, MSG, STATUS_MEMBERS };

static bool take_of_status(struct plain *plain, unsigned member, void *arg)
{
	const char **state = arg, *msg;
	bool is_ascii;

	if (member == STATE)
		return take_name(plain, state);
	return take_null(plain) || take_text(plain, &msg, &is_ascii);
}

static const struct members status_members = {
	status_list, STATUS_MEMBERS, take_of_status};

/* An event before it is known what its type makes of it. */
struct raw {
	const char *kind, *service, *client, *type, *state;
	struct stats stats;
	bool has_stats, has_status;
};

static const struct member event_list[] = {MEMBER("kind"), MEMBER("service"),
	MEMBER("client"), MEMBER("type"), MEMBER("stats"), MEMBER("status")};
enum { KIND, SERVICE, CLIENT, TYPE, STATS, STATUS, EVENT_MEMBERS };

static bool take_of_event(struct plain *plain, unsigned member, void *arg)
{
	struct raw *raw = arg;
	const char **const names[] = {
		&raw->kind, &raw->service, &raw->client, &raw->type};

	if (member <= TYPE)
		return take_name(plain, names[member]);
	if (take_null(plain))
		return true;
	raw->has_stats |= member == STATS;
	raw->has_status |= member == STATUS;
	return member == STATS ? take_object(plain, &stats_members, &raw->stats)
			       : take_object(plain, &status_members, &raw->state);
}

static const struct members event_members = {event_list, EVENT_MEMBERS, take_of_event};

static bool finish_stats(const struct raw *raw, struct event *event)
{
	event->type = EVENT_STATS;
	event->state = "";
	event->counters = raw->stats.counters;
	event->lacks_conns = !raw->stats.has_conns;
	return raw->has_stats;
}

static bool finish_status(const struct raw *raw, struct event *event)
{
	event->type = EVENT_STATUS;
	event->state = raw->state;
	return raw->has_status && !raw->has_stats && raw->state[0] != '\0' &&
		strlen(raw->state) <= STATE_MAX_BYTES;
}

static bool finish_event(const struct raw *raw, struct event *ret_event)
{
	bool is_service = strcmp(raw->kind, "service") == 0;

	*ret_event = (struct event){.kind = is_service ? KIND_SERVICE : KIND_HANDLER,
		.service = raw->service,
		.client = raw->client};
	if (!is_service && raw->kind[0] != '\0' && strcmp(raw->kind, "handler") != 0)
		return false;
	if (strcmp(raw->type, "stats") == 0)
		return finish_stats(raw, ret_event);
	return strcmp(raw->type, "status") == 0 && finish_status(raw, ret_event);
}

static bool reserve_event(struct plain *plain)
{
	struct event *grown;

	if (plain->report.n_events < plain->cap)
		return true;
	grown = realloc(plain->report.events, plain->cap * 2 * sizeof(*grown));
	if (grown == NULL)
		return false;
	plain->report.events = grown;
	plain->cap *= 2;
	return true;
}

static bool take_event(struct plain *plain)
{
	struct raw raw = {
		.kind = "", .service = "", .client = "", .type = "", .state = ""};
	struct report *report = &plain->report;

	if (!take_object(plain, &event_members, &raw) || !reserve_event(plain) ||
		!finish_event(&raw, &report->events[report->n_events]))
		return false;
	report->n_events++;
	return true;
}

static const struct member document_list[] = {MEMBER("events")};

static bool take_events(struct plain *plain, unsigned member, void *arg)
{
	bool *has_events = arg;

	(void)member;
	*has_events = true;
	if (!take(plain, '['))
		return false;
	if (take(plain, ']'))
		return true;
	do
		if (!take_event(plain))
			return false;
	while (take(plain, ','));
	return take(plain, ']');
}

static const struct members document_members = {document_list, 1, take_events};

static bool take_document(struct plain *plain, const char *end)
{
	bool has_events = false;

	if (!take_object(plain, &document_members, &has_events))
		return false;
	skip_blanks(plain);
	return has_events && plain->at == end;
}

bool report_read_plain(const char *body, size_t len, struct report *ret_report)
{
	struct plain plain = {.cap = len / USUAL_EVENT_BYTES + 1};
	struct report *report = &plain.report;

	report->text = malloc(len + 1);
	report->events = malloc(plain.cap * sizeof(*report->events));
	if (report->text != NULL && report->events != NULL) {
		memcpy(report->text, body, len);
		report->text[len] = '\0';
		plain.at = report->text;
		if (take_document(&plain, report->text + len)) {
			*ret_report = *report;
			return true;
		}
	}
	report_done(report);
	return false;
}
