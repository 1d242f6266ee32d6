#include "account/repeat.h"
#include "account/ledger.h"

#include <stdlib.h>
#include <string.h>

#define MIN_BUCKETS 1024

void repeats_init(struct repeats *repeats, struct bounds *bounds)
{
	*repeats = (struct repeats){.bounds = bounds};
	dirty_init(&repeats->dirty);
}

void stream_init(struct stream *stream, struct service *service)
{
	*stream = (struct stream){.service = service};
	TAILQ_INIT(&stream->open);
}

static struct conn_bucket *bucket_of(const struct repeats *repeats, uint64_t conn)
{
	return &repeats->by_conn[conn % repeats->n_buckets];
}

static void rest_on(
	struct repeats *repeats, struct open_report *report, const struct origin *origin)
{
	struct stream *stream = report->stream;

	report->conn = origin->conn;
	if (report->conn > repeats->last_conn)
		repeats->last_conn = report->conn;
	report->time_ms = origin->time_ms;
	report->reported_ms = stream->reported_ms;
	LIST_INSERT_HEAD(bucket_of(repeats, report->conn), report, conn_link);
	TAILQ_INSERT_TAIL(&stream->open, report, link);
	dirty_mark(&repeats->dirty, &stream->row);
}

static uint64_t report_bytes(void)
{
	return bounds_row_bytes(sizeof(struct open_report));
}

/* Its memory is the next one's, if none is kept for that yet. */
static void end(struct repeats *repeats, struct open_report *report)
{
	struct stream *stream = report->stream;

	LIST_REMOVE(report, conn_link);
	TAILQ_REMOVE(&stream->open, report, link);
	stream->n_open--;
	repeats->n_open--;
	bounds_sub(
		repeats->bounds, stream->service->tenant, BOUND_MEMORY, report_bytes());
	dirty_mark(&repeats->dirty, &stream->row);
	if (repeats->spare == NULL)
		repeats->spare = report;
	else
		free(report);
}

static struct open_report *find_by_conn(const struct repeats *repeats, uint64_t conn)
{
	struct open_report *report;

	if (repeats->n_buckets == 0)
		return NULL;
	LIST_FOREACH (report, bucket_of(repeats, conn), conn_link)
		if (report->conn == conn)
			break;
	return report;
}

static struct open_report *find_by_seq(const struct stream *stream, uint64_t seq)
{
	struct open_report *report;

	TAILQ_FOREACH (report, &stream->open, link)
		if (report->seq == seq)
			break;
	return report;
}

/* As many buckets as there are open reports, if memory allows. */
static void grow(struct repeats *repeats)
{
	size_t n = repeats->n_buckets;
	struct conn_bucket *old = repeats->by_conn;
	struct conn_bucket *grown = calloc(n > 0 ? 2 * n : MIN_BUCKETS, sizeof(*grown));
	struct open_report *report;

	if (grown == NULL)
		return;
	repeats->by_conn = grown;
	repeats->n_buckets = n > 0 ? 2 * n : MIN_BUCKETS;
	for (size_t i = 0; i < n; i++)
		while ((report = LIST_FIRST(&old[i])) != NULL) {
			LIST_REMOVE(report, conn_link);
			LIST_INSERT_HEAD(
				bucket_of(repeats, report->conn), report, conn_link);
		}
	free(old);
}

int repeats_prepare(struct repeats *repeats)
{
	if (repeats->n_open >= repeats->n_buckets)
		grow(repeats);
	if (repeats->n_buckets == 0)
		return ERR_NOMEM;
	if (repeats->spare == NULL)
		repeats->spare = calloc(1, sizeof(*repeats->spare));
	return repeats->spare != NULL ? 0 : ERR_NOMEM;
}

/* Each stream may have one all the same: there are not many streams. */
static bool is_over_bound(const struct repeats *repeats, const struct stream *stream)
{
	static const struct usage nothing;
	const struct bounds *bounds = repeats->bounds;
	const struct tenant *tenant = stream->service->tenant;

	return !bounds_are_far(bounds, &nothing) &&
		tenant->used.of[BOUND_MEMORY] >
		bounds_share(bounds, tenant, BOUND_MEMORY);
}

static void open_new(
	struct repeats *repeats, struct stream *stream, const struct origin *origin)
{
	struct open_report *report = repeats->spare;

	repeats->spare = NULL;
	*report = (struct open_report){
		.seq = origin->repeats != 0 ? origin->repeats : origin->seq,
		.stream = stream};
	memcpy(report->fingerprint, origin->fingerprint, FINGERPRINT_BYTES);
	rest_on(repeats, report, origin);
	stream->n_open++;
	repeats->n_open++;
	bounds_add(
		repeats->bounds, stream->service->tenant, BOUND_MEMORY, report_bytes());
	if (stream->n_open > REPEAT_MAX_OPEN ||
		(stream->n_open > 1 && is_over_bound(repeats, stream))) {
		end(repeats, TAILQ_FIRST(&stream->open));
		repeats->n_dropped++;
	}
}

int repeats_load(
	struct repeats *repeats, struct stream *stream, const struct origin *origin)
{
	int code = repeats_prepare(repeats);

	/* Two of one connection are in no checkpoint that was written by us. */
	if (code != 0 || find_by_conn(repeats, origin->conn) != NULL)
		return code;
	open_new(repeats, stream, origin);
	dirty_clean(&repeats->dirty, &stream->row);
	return 0;
}

/* Time passes for a stream only while it reports; a clock that is set does not count. */
static void let_time_pass(struct stream *stream, uint64_t now_ms)
{
	uint64_t pause = now_ms > stream->last_ms ? now_ms - stream->last_ms : 0;

	if (stream->last_ms != 0)
		stream->reported_ms +=
			pause < REPEAT_MAX_PAUSE_MS ? pause : REPEAT_MAX_PAUSE_MS;
	stream->last_ms = now_ms;
}

static void lapse_old(struct repeats *repeats, struct stream *stream)
{
	struct open_report *oldest;

	while ((oldest = TAILQ_FIRST(&stream->open)) != NULL &&
		stream->reported_ms - oldest->reported_ms >= REPEAT_LAPSE_MS)
		end(repeats, oldest);
}

/* `except` is known to be a repeat's. */
static void prove(
	struct repeats *repeats, uint64_t conn, const struct open_report *except)
{
	struct open_report *report = find_by_conn(repeats, conn);

	if (report != NULL && report != except)
		end(repeats, report);
}

void repeats_note(
	struct repeats *repeats, struct stream *stream, const struct origin *origin)
{
	struct open_report *repeated = stream != NULL && origin->repeats != 0
		? find_by_seq(stream, origin->repeats)
		: NULL;

	for (size_t i = 0; i < origin->n_proved; i++)
		prove(repeats, origin->proved[i], repeated);
	prove(repeats, origin->conn, repeated);
	repeats->proofs.n = 0;
	if (stream == NULL)
		return;
	let_time_pass(stream, origin->time_ms);
	if (repeated != NULL) {
		LIST_REMOVE(repeated, conn_link);
		TAILQ_REMOVE(&stream->open, repeated, link);
		rest_on(repeats, repeated, origin);
	}
	lapse_old(repeats, stream);
	if (repeated == NULL)
		open_new(repeats, stream, origin);
}

static void keep_proof(struct proofs *proofs, uint64_t conn)
{
	size_t capacity = proofs->capacity > 0 ? 2 * proofs->capacity : 16;
	uint64_t *grown = proofs->conns;

	if (proofs->n == proofs->capacity) {
		grown = realloc(grown, capacity * sizeof(*grown));
		if (grown == NULL)
			return; /* a crash makes it open again, until it lapses */
		proofs->conns = grown;
		proofs->capacity = capacity;
	}
	proofs->conns[proofs->n++] = conn;
}

void repeats_prove(struct repeats *repeats, uint64_t conn)
{
	struct open_report *report = find_by_conn(repeats, conn);

	if (report == NULL)
		return;
	end(repeats, report);
	keep_proof(&repeats->proofs, conn);
}

uint64_t repeats_find(struct repeats *repeats, const struct stream *stream,
	const uint8_t fingerprint[FINGERPRINT_BYTES], delivery_cb delivery_of, void *arg)
{
	struct open_report *open, *next;

	open = stream != NULL ? TAILQ_FIRST(&stream->open) : NULL;
	for (; open != NULL; open = next) {
		enum delivery delivery;

		next = TAILQ_NEXT(open, link);
		if (memcmp(open->fingerprint, fingerprint, FINGERPRINT_BYTES) != 0)
			continue;
		delivery = delivery_of(arg, open->conn);
		if (delivery == DELIVERY_LOST)
			return open->seq;
		if (delivery == DELIVERY_ARRIVED)
			repeats_prove(repeats, open->conn);
	}
	return 0;
}

void repeats_lapse(struct repeats *repeats, struct stream *stream)
{
	struct open_report *report;

	while ((report = TAILQ_FIRST(&stream->open)) != NULL)
		end(repeats, report);
}

void repeats_done(struct repeats *repeats)
{
	struct open_report *report;

	for (size_t i = 0; i < repeats->n_buckets; i++)
		while ((report = LIST_FIRST(&repeats->by_conn[i])) != NULL) {
			LIST_REMOVE(report, conn_link);
			free(report);
		}
	free(repeats->by_conn);
	free(repeats->spare);
	free(repeats->proofs.conns);
	*repeats = (struct repeats){0};
}
