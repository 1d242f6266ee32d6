/*
 * A report that is read in one pass has to come to what cJSON makes of it, and nothing of
 * either may be what cannot be. Ends the process where that is not so.
 *
 *     make fuzz               libFuzzer, from the corpus on
 *     make check-unit         the corpus, and mutations of it: test_report_plain.c
 */
#include "account/report_read.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_plain, n_json; /* how many were read so far */

static void must(bool is_so)
{
	if (!is_so)
		abort();
}

static void must_be_sane(const struct report *report)
{
	for (size_t i = 0; i < report->n_events; i++) {
		const struct event *event = &report->events[i];

		must(text_is_name(event->client) && text_is_name(event->service));
		must(text_is_name(event->state) &&
			strlen(event->state) <= STATE_MAX_BYTES);
		must(event->counters.input_bytes <= COUNTER_MAX &&
			event->counters.output_bytes <= COUNTER_MAX);
		must(event->counters.current_conns <= COUNTER_MAX &&
			event->counters.total_conns <= COUNTER_MAX &&
			event->counters.total_errs <= COUNTER_MAX);
	}
	for (size_t i = 0; i < report->n_rejects_kept; i++) {
		const char *text = report->rejects[i].event;

		must(text_is_clean(text, strlen(text)) &&
			strlen(text) <= REJECT_MAX_BYTES);
	}
	must(report->n_rejects_kept <= report->n_rejected);
}

static void must_be_equal(const struct event *a, const struct event *b)
{
	must(a->type == b->type && a->kind == b->kind);
	must(strcmp(a->service, b->service) == 0 && strcmp(a->client, b->client) == 0);
	must(strcmp(a->state, b->state) == 0 && a->lacks_conns == b->lacks_conns);
	must(memcmp(&a->counters, &b->counters, sizeof(a->counters)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* An exact copy, so that a sanitizer sees each step beyond its end. */
	char *body = malloc(size > 0 ? size : 1);
	struct report plain, json;
	bool is_plain, is_json;

	must(body != NULL);
	memcpy(body, data, size);
	is_plain = report_read_plain(body, size, &plain);
	is_json = report_read_json(body, size, &json) == 0;
	free(body);
	n_plain += is_plain;
	n_json += is_json;
	if (is_plain) {
		must(is_json && plain.n_events == json.n_events);
		must(plain.n_rejected == 0 && json.n_rejected == 0);
		for (size_t i = 0; i < plain.n_events; i++)
			must_be_equal(&plain.events[i], &json.events[i]);
		report_done(&plain);
	}
	if (is_json) {
		must_be_sane(&json);
		report_done(&json);
	}
	return 0;
}
