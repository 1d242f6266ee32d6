/* Open reports on their way to SQLite: of each stream that has changed, all of them. */
#include "account/internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_dirty(const struct ledger *ledger)
{
	return ledger->repeats.dirty.n > 0;
}

static int reserve(const struct ledger *ledger, struct cut *cut)
{
	cut->streams = calloc(ledger->repeats.dirty.n + 1, sizeof(struct stream *));
	cut->open_reports =
		calloc(ledger->repeats.n_open + 1, sizeof(*cut->open_reports));
	return cut->streams != NULL && cut->open_reports != NULL ? 0 : ERR_NOMEM;
}

static void move_stream(struct cut *cut, struct stream *stream)
{
	const struct open_report *report;

	cut->streams[cut->n_streams++] = stream;
	TAILQ_FOREACH (report, &stream->open, link) {
		struct cut_open_report *moved = &cut->open_reports[cut->n_open_reports++];

		*moved = (struct cut_open_report){.service = stream->service,
			.origin = {.seq = report->seq,
				.conn = report->conn,
				.time_ms = report->time_ms}};
		memcpy(moved->origin.fingerprint, report->fingerprint, FINGERPRINT_BYTES);
	}
}

static void move(struct ledger *ledger, struct cut *cut)
{
	struct row *row;

	while ((row = dirty_take(&ledger->repeats.dirty)) != NULL)
		move_stream(cut, ROW_OF(struct stream, row));
}

static void done(struct cut *cut)
{
	free(cut->streams);
	free(cut->open_reports);
}

const struct row_kind *open_report_rows(void)
{
	static const struct row_kind kind = {is_dirty, reserve, move, NULL, done};

	return &kind;
}
