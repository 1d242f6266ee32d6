#include "account/series.h"
#include "account/ledger.h"

#include <stdlib.h>
#include <string.h>

bool epoch_enter(struct epoch *epoch, const char *state)
{
	bool begins = epoch->is_starting && strcmp(state, "ready") == 0;

	/* `failed` comes only from a service that was ready before: that event was lost.
	 * `closed` is the old service, which ends while the new one starts. */
	if (strcmp(state, "running") == 0) {
		epoch->is_starting = true;
		epoch->last++;
	} else if (strcmp(state, "closed") != 0) {
		epoch->is_starting = false;
	}
	if (begins)
		epoch->number = epoch->last;
	return begins;
}

static struct series *series_of(struct hash_item *item)
{
	return (struct series *)item; /* it begins with it */
}

void series_init(struct hash_table *table)
{
	hash_table_init(table, offsetof(struct series, client));
}

void series_done(struct hash_table *table)
{
	struct series *series = series_next(table, NULL), *next;

	for (; series != NULL; series = next) {
		next = series_next(table, series);
		free(series);
	}
	hash_table_done(table);
}

struct series *series_find(const struct hash_table *table, const char *client)
{
	return series_of(hash_table_find(table, client, strlen(client)));
}

struct series *series_next(const struct hash_table *table, const struct series *series)
{
	return series_of(hash_table_next(table, series != NULL ? &series->item : NULL));
}

size_t series_size(size_t client_len)
{
	size_t size = offsetof(struct series, client) + client_len + 1;

	return size > sizeof(struct series) ? size : sizeof(struct series);
}

struct series *series_new(
	struct hash_table *table, const char *client, struct service *service)
{
	size_t len = strlen(client);
	struct series *series = calloc(1, series_size(len));

	if (series == NULL)
		return NULL;
	memcpy(series->client, client, len);
	series->service = service;
	if (hash_table_add(table, &series->item, len) != 0) {
		free(series);
		return NULL;
	}
	return series;
}

void series_free(struct hash_table *table, struct series *series)
{
	hash_table_remove(table, &series->item);
	free(series);
}

/* Connections that are not known tell nothing. */
static bool is_below(const struct booking *booking, const struct mark *mark)
{
	const struct counters *now = &booking->counters;

	return now->input_bytes < mark->input_bytes ||
		now->output_bytes < mark->output_bytes ||
		(!booking->lacks_conns && now->total_conns < mark->total_conns);
}

static void measure(struct booking *booking, const struct epoch *epoch)
{
	struct series *series = booking->in_series;
	struct counters *now = &booking->counters;
	struct mark last = series->scratch;
	bool is_valid = series->was_known && last.epoch >= epoch->number;
	bool has_restarted = is_valid && is_below(booking, &last);
	/* What is not known is as it was, or 0, of a sender that began anew. */
	bool keeps_conns = booking->lacks_conns && is_valid && !has_restarted;

	series->scratch = (struct mark){now->input_bytes, now->output_bytes,
		keeps_conns ? last.total_conns : now->total_conns,
		is_valid ? last.epoch : epoch->number};
	series->was_known = true;
	/* Before `ready`, it is of the coming epoch already. */
	if (has_restarted && epoch->is_starting)
		series->scratch.epoch = epoch->last;
	if (is_valid && !has_restarted) {
		now->input_bytes -= last.input_bytes;
		now->output_bytes -= last.output_bytes;
	}
	booking->mark = series->scratch;
}

/* The service's epoch as far as this report has come. */
static struct epoch *scratch_epoch(struct service *service, uint64_t number)
{
	if (service->measured_for != number)
		service->scratch_epoch = service->epoch;
	service->measured_for = number;
	return &service->scratch_epoch;
}

static void begin_scratch(struct series *series, uint64_t number)
{
	if (series->measured_for == number)
		return;
	series->measured_for = number;
	series->scratch = series->mark;
	series->was_known = series->is_known;
}

void series_measure(struct bookings *bookings, uint64_t number)
{
	for (size_t i = 0; i < bookings->n; i++) {
		struct booking *booking = &bookings->list[i];
		struct service *service = booking->in_service;

		if (booking->state[0] != '\0') {
			(void)epoch_enter(scratch_epoch(service, number), booking->state);
			if (service->other != NULL)
				(void)epoch_enter(scratch_epoch(service->other, number),
					booking->state);
		} else if (booking->has_mark) {
			begin_scratch(booking->in_series, number);
			measure(booking, scratch_epoch(service, number));
		}
	}
}
