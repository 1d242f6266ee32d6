/*
 * What GOST writes is read by report_plain.c. Everything else, and what it means, is
 * decided here: cJSON parses, `events` is found, and each becomes a struct event. What
 * can go wrong in one event ends in one reason, kept beside the event's own text.
 *
 * cJSON reads numbers as doubles: that is looked after here, the rest in base/json.h.
 */
#include "account/report.h"
#include "account/report_read.h"
#include "base/json.h"
#include "base/json_text.h"
#include "base/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool has_value(const cJSON *item)
{
	return item != NULL && !cJSON_IsNull(item);
}

/* "" if absent; NULL if it cannot be a name. */
static const char *name_member(const cJSON *object, const char *name)
{
	const cJSON *item = json_member(object, name);

	if (item == NULL)
		return "";
	if (!cJSON_IsString(item) || !text_is_name(item->valuestring))
		return NULL;
	return item->valuestring;
}

static bool is_counter(const cJSON *item, uint64_t *ret_value)
{
	double value = item->valuedouble;

	if (!cJSON_IsNumber(item) || !(value >= 0 && value <= (double)COUNTER_MAX) ||
		value != (double)(int64_t)value)
		return false;
	*ret_value = (uint64_t)value;
	return true;
}

/* Bytes. Absent is 0, but not if the name stands there with other capitals. */
static bool read_counter(const cJSON *stats, const char *name, uint64_t *ret_value)
{
	const cJSON *item = json_member(stats, name);

	if (item == NULL)
		return !has_value(cJSON_GetObjectItem(stats, name));
	return is_counter(item, ret_value);
}

/* What is only shown, and costs no byte: what cannot be right is 0 (rule 6). GOST lets
 * currentConns underflow to 2^64-1. False: that, or absent. */
static bool read_shown(const cJSON *stats, const char *name, uint64_t *ret_value)
{
	const cJSON *item = json_member(stats, name);

	return item != NULL && is_counter(item, ret_value);
}

static const char *read_stats(const cJSON *json, struct event *event)
{
	const cJSON *stats = json_member(json, "stats");
	struct counters *counters = &event->counters;

	if (!cJSON_IsObject(stats))
		return "no stats object: an event of type stats has to have one";
	if (!read_counter(stats, "inputBytes", &counters->input_bytes))
		return "inputBytes is no whole number from 0 to 2^53-1, or its name has "
		       "other capitals: mend the program that sends it";
	if (!read_counter(stats, "outputBytes", &counters->output_bytes))
		return "outputBytes is no whole number from 0 to 2^53-1, or its name has "
		       "other capitals: mend the program that sends it";
	event->lacks_conns = !read_shown(stats, "totalConns", &counters->total_conns);
	(void)read_shown(stats, "currentConns", &counters->current_conns);
	(void)read_shown(stats, "totalErrs", &counters->total_errs);
	return NULL;
}

static const char *read_status(const cJSON *json, struct event *event)
{
	const cJSON *status = json_member(json, "status");

	if (!cJSON_IsObject(status))
		return "no status object: an event of type status has to have one";
	event->state = name_member(status, "state");
	if (event->state == NULL || event->state[0] == '\0' ||
		strlen(event->state) > STATE_MAX_BYTES)
		return "state is not a short name: it has 1 to 31 bytes of UTF-8 without "
		       "control characters";
	return NULL;
}

/* Whatever the capitals are: of that nothing is passed over in silence. */
static bool carries_bytes(const cJSON *json)
{
	return cJSON_IsObject(cJSON_GetObjectItem(json, "stats")) ||
		has_value(cJSON_GetObjectItem(json, "inputBytes")) ||
		has_value(cJSON_GetObjectItem(json, "outputBytes"));
}

/* NULL if `event` is filled, else why the event is bad; *ret_ignored: its type is
 * unknown, and it carries no bytes. */
static const char *read_event(const cJSON *json, struct event *event, bool *ret_ignored)
{
	const cJSON *type = json_member(json, "type");
	const char *kind;

	*ret_ignored = false;
	*event = (struct event){.state = ""};
	if (!cJSON_IsObject(json))
		return "not an object: each element of `events` has to be one";
	if (!cJSON_IsString(type))
		return "no type: an event has to have the type stats or status";
	if (strcmp(type->valuestring, "status") == 0) {
		event->type = EVENT_STATUS;
	} else if (strcmp(type->valuestring, "stats") != 0) {
		if (carries_bytes(json))
			return "its type is unknown, but it carries bytes: they count "
			       "only as stats of an event whose type is stats";
		*ret_ignored = true;
		return NULL;
	}
	kind = name_member(json, "kind");
	if (kind == NULL ||
		(kind[0] != '\0' && strcmp(kind, "handler") != 0 &&
			strcmp(kind, "service") != 0))
		return "kind is neither handler nor service: the sender has to write one "
		       "of the two, or leave it out";
	event->kind = strcmp(kind, "service") == 0 ? KIND_SERVICE : KIND_HANDLER;
	event->service = name_member(json, "service");
	if (event->service == NULL)
		return "service is not a name: up to 255 bytes of UTF-8 without control "
		       "characters";
	event->client = name_member(json, "client");
	if (event->client == NULL)
		return "client is not a name: up to 255 bytes of UTF-8 without control "
		       "characters";
	return event->type == EVENT_STATS ? read_stats(json, event)
					  : read_status(json, event);
}

void report_reject(struct report *report, const char *reason, const char *event)
{
	struct reject *reject;

	report->n_rejected++;
	if (report->n_rejects_kept == REPORT_REJECTS_KEPT)
		return;
	reject = &report->rejects[report->n_rejects_kept];
	reject->event = strndup(event, REJECT_MAX_BYTES);
	if (reject->event == NULL)
		return; /* counted all the same */
	reject->reason = reason;
	report->n_rejects_kept++;
}

static void reject_text(
	struct report *report, const char *reason, const char *text, const char *end)
{
	char shown[REJECT_MAX_BYTES + 1] = "";

	if (report->n_rejects_kept < REPORT_REJECTS_KEPT)
		json_text_show(text, end, shown, sizeof(shown));
	report_reject(report, reason, shown);
}

/* `first`: where the first of them begins in the body. */
static void read_events(
	const cJSON *events, const char *first, const char *end, struct report *report)
{
	const char *text = first;
	const cJSON *json;

	cJSON_ArrayForEach (json, events) {
		struct event event;
		bool is_ignored;
		const char *reason = read_event(json, &event, &is_ignored);

		if (reason == NULL && !is_ignored)
			report->events[report->n_events++] = event;
		if (reason == NULL && event.type == EVENT_STATUS && carries_bytes(json))
			reason = "its state is taken, but its bytes are not: they count "
				 "only in an event whose type is stats";
		if (reason != NULL)
			reject_text(report, reason, text, end);
		text = json_text_next(text, end);
	}
}

/* Where the elements of `list`, a member of `document`, begin in the body. */
static const char *find_elements(
	const cJSON *document, const cJSON *list, const char *body, const char *end)
{
	const char *text = json_text_first(body, end);

	for (const cJSON *at = document->child; at != list; at = at->next)
		text = json_text_next(text, end);
	return json_text_first(json_text_value(text, end), end);
}

int report_read_json(const char *body, size_t len, struct report *ret_report)
{
	struct report report = {0};
	const char *end = body + len;
	cJSON *document;
	const cJSON *events;
	int code = json_parse(body, len, &document);

	if (code != 0)
		return code;
	report.document = document;
	events = cJSON_GetObjectItemCaseSensitive(document, "events");
	if (!cJSON_IsArray(events)) {
		report_done(&report);
		return ERR_NO_EVENTS;
	}
	report.events =
		calloc((size_t)cJSON_GetArraySize(events) + 1, sizeof(*report.events));
	if (report.events == NULL) {
		report_done(&report);
		return ERR_NOMEM;
	}
	read_events(events, find_elements(document, events, body, end), end, &report);
	*ret_report = report;
	return 0;
}

int report_parse(const char *body, size_t len, struct report *ret_report)
{
	return report_read_plain(body, len, ret_report)
		? 0
		: report_read_json(body, len, ret_report);
}

static void move_text(char **at, const char **text)
{
	size_t size = strlen(*text) + 1;

	memcpy(*at, *text, size);
	*text = *at;
	*at += size;
}

void report_compact(struct report *report)
{
	size_t size = 1;
	char *at;

	if (report->document == NULL)
		return;
	for (size_t i = 0; i < report->n_events; i++)
		size += strlen(report->events[i].service) +
			strlen(report->events[i].client) +
			strlen(report->events[i].state) + 3;
	at = report->text = malloc(size);
	if (at == NULL)
		return;
	for (size_t i = 0; i < report->n_events; i++) {
		move_text(&at, &report->events[i].service);
		move_text(&at, &report->events[i].client);
		move_text(&at, &report->events[i].state);
	}
	cJSON_Delete(report->document);
	report->document = NULL;
}

void report_done(struct report *report)
{
	for (size_t i = 0; i < report->n_rejects_kept; i++)
		free(report->rejects[i].event);
	free(report->events);
	free(report->text);
	cJSON_Delete(report->document);
	*report = (struct report){0};
}
