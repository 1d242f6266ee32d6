/*
 * The happy path: parse, find `events`, turn each into a struct event. What can go wrong
 * in one event ends in one reason, kept beside the event's own text.
 *
 * cJSON reads numbers as doubles: that is looked after here, the rest in base/json.h.
 */
#include "account/report.h"
#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

static bool read_counter(const cJSON *stats, const char *name, uint64_t *ret_value)
{
	const cJSON *item = json_member(stats, name);

	if (item == NULL)
		return true;
	if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) ||
		item->valuedouble < 0 || item->valuedouble > (double)COUNTER_MAX ||
		item->valuedouble != floor(item->valuedouble))
		return false;
	*ret_value = (uint64_t)item->valuedouble;
	return true;
}

/* A gauge that GOST may let underflow to 2^64-1: what cannot be right is 0 (rule 6). */
static bool read_gauge(const cJSON *stats, const char *name, uint64_t *ret_value)
{
	const cJSON *item = json_member(stats, name);

	if (item != NULL && !cJSON_IsNumber(item))
		return false;
	if (!read_counter(stats, name, ret_value))
		*ret_value = 0;
	return true;
}

static const char *read_stats(const cJSON *json, struct event *event)
{
	const cJSON *stats = json_member(json, "stats");
	struct counters *counters = &event->counters;

	if (!cJSON_IsObject(stats))
		return "no stats object";
	if (!read_counter(stats, "inputBytes", &counters->input_bytes))
		return "inputBytes is not a whole number from 0 to 2^53";
	if (!read_counter(stats, "outputBytes", &counters->output_bytes))
		return "outputBytes is not a whole number from 0 to 2^53";
	if (!read_counter(stats, "totalConns", &counters->total_conns))
		return "totalConns is not a whole number from 0 to 2^53";
	if (!read_counter(stats, "totalErrs", &counters->total_errs))
		return "totalErrs is not a whole number from 0 to 2^53";
	if (!read_gauge(stats, "currentConns", &counters->current_conns))
		return "currentConns is not a number";
	return NULL;
}

static const char *read_status(const cJSON *json, struct event *event)
{
	const cJSON *status = json_member(json, "status");

	if (!cJSON_IsObject(status))
		return "no status object";
	event->state = name_member(status, "state");
	if (event->state == NULL || event->state[0] == '\0' || strlen(event->state) > 31)
		return "state is not a short name";
	return NULL;
}

/* NULL if `event` is filled, else why the event is bad; *ret_ignored: its type is
 * unknown. */
static const char *read_event(const cJSON *json, struct event *event, bool *ret_ignored)
{
	const cJSON *type = json_member(json, "type");
	const char *kind;

	*ret_ignored = false;
	*event = (struct event){.state = ""};
	if (!cJSON_IsObject(json))
		return "not an object";
	if (!cJSON_IsString(type))
		return "no type";
	if (strcmp(type->valuestring, "status") == 0) {
		event->type = EVENT_STATUS;
	} else if (strcmp(type->valuestring, "stats") != 0) {
		*ret_ignored = true;
		return NULL;
	}
	kind = name_member(json, "kind");
	if (kind == NULL ||
		(kind[0] != '\0' && strcmp(kind, "handler") != 0 &&
			strcmp(kind, "service") != 0))
		return "kind is neither handler nor service";
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

/* Makes bytes that are no UTF-8 visible instead of handing them on. */
static void sanitize(char *text)
{
	if (text_is_clean(text, strlen(text)))
		return;
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			*text = '?';
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
	sanitize(reject->event);
	reject->reason = reason;
	report->n_rejects_kept++;
}

static void reject_json(struct report *report, const char *reason, const cJSON *json)
{
	char *text = NULL;

	if (report->n_rejects_kept < REPORT_REJECTS_KEPT)
		text = cJSON_PrintUnformatted(json);
	report_reject(report, reason, text != NULL ? text : "");
	free(text);
}

static void read_events(const cJSON *events, struct report *report)
{
	const cJSON *json;

	cJSON_ArrayForEach (json, events) {
		struct event event;
		bool is_ignored;
		const char *reason = read_event(json, &event, &is_ignored);

		if (reason != NULL)
			reject_json(report, reason, json);
		else if (!is_ignored)
			report->events[report->n_events++] = event;
	}
}

int report_parse(const char *body, size_t len, struct report *ret_report)
{
	struct report report = {0};
	cJSON *document;
	const cJSON *events;
	int code = json_parse(body, len, &document);

	if (code != 0)
		return code;
	report.document = document;
	events = cJSON_GetObjectItemCaseSensitive(report.document, "events");
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
	read_events(events, &report);
	*ret_report = report;
	return 0;
}

void report_done(struct report *report)
{
	for (size_t i = 0; i < report->n_rejects_kept; i++)
		free(report->rejects[i].event);
	free(report->events);
	cJSON_Delete(report->document);
	*report = (struct report){0};
}
