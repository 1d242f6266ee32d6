/*
 * One observer report: JSON in, validated events out. The only place where a report's
 * JSON is seen.
 *
 * The body is what GOST v3 posts (go-gost/x, observer/plugin/http.go): {"events":[{kind,
 * service, client, type, stats | status}]}. A bad event is set aside with its reason and
 * costs the others nothing (rules 5 and 6). Pure: no I/O, no log, no state.
 */
#ifndef TALLYD_ACCOUNT_REPORT_H
#define TALLYD_ACCOUNT_REPORT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of a service's state. */
#define STATE_MAX_BYTES 31

enum event_kind { KIND_HANDLER, KIND_SERVICE };
enum event_type { EVENT_STATS, EVENT_STATUS };

/* The largest counter that a report may carry: as a JSON number, 2^53 may have been
 * 2^53+1. Reports up to version 0.1 were let carry it. */
#define COUNTER_MAX ((UINT64_C(1) << 53) - 1)

struct counters {
	uint64_t input_bytes, output_bytes;
	uint64_t total_conns, current_conns, total_errs;
};

/* Strings are never NULL and borrow from the report. */
struct event {
	enum event_type type;
	enum event_kind kind;
	const char *service;
	const char *client;       /* "" if the event names none */
	struct counters counters; /* EVENT_STATS */
	bool lacks_conns;         /* there is no total_conns that can be right */
	const char *state;        /* EVENT_STATUS */
};

/* An event that cannot be booked. At most REPORT_REJECTS_KEPT of a report are kept. */
struct reject {
	const char *reason; /* static text */
	char *event;        /* its JSON, owned, clean, cut to REJECT_MAX_BYTES */
};

#define REPORT_REJECTS_KEPT 16
#define REJECT_MAX_BYTES 512

struct report {
	struct event *events;
	size_t n_events;
	struct reject rejects[REPORT_REJECTS_KEPT];
	size_t n_rejects_kept;
	size_t n_rejected;       /* all of them, kept or not */
	unsigned bounds_reached; /* 1 << each enum bound that cost an event its room */
	void *document;          /* what events borrow from: cJSON's, */
	char *text;              /* or a copy of their texts */
};

/*
 * Reads `len` bytes of `body`, which is borrowed only for the call. 0, or ERR_JSON,
 * ERR_JSON_DENSE, ERR_NO_EVENTS, ERR_NOMEM; then *ret_report is untouched. Events of
 * unknown type are left out silently, unless they carry bytes. May be called by any
 * thread.
 */
int report_parse(const char *body, size_t len, struct report *ret_report) MUST_CHECK;

/* Has events borrow from a copy of their texts, so that cJSON's document, which is many
 * times as large, may go. Short of memory, all stays as it is. */
void report_compact(struct report *report);

void report_done(struct report *report);

/* Sets one more event aside. Takes nothing; `event` names it as it will be kept, and is
 * clean. */
void report_reject(struct report *report, const char *reason, const char *event);

#endif
