#include "lib/image.h"
#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void set_name(char to[IMAGE_NAME_BYTES], const char *from)
{
	assert_true(strlen(from) < IMAGE_NAME_BYTES);
	(void)strcpy(to, from);
}

static struct image_service_key key_of(const struct service *service)
{
	struct image_service_key key = {.kind = service->kind};

	set_name(key.node, service->node);
	set_name(key.name, service->name);
	return key;
}

static bool is_same_key(
	const struct image_service_key *a, const struct image_service_key *b)
{
	return a->kind == b->kind && strcmp(a->node, b->node) == 0 &&
		strcmp(a->name, b->name) == 0;
}

/* The index of one more row. */
static size_t grow(size_t *n, size_t max)
{
	assert_true(*n < max);
	return (*n)++;
}

static struct image_user *get_user(struct image *image, const char *id)
{
	struct image_user *user;

	for (size_t i = 0; i < image->n_users; i++)
		if (strcmp(image->users[i].id, id) == 0)
			return &image->users[i];
	user = &image->users[grow(&image->n_users, IMAGE_MAX_ROWS)];
	*user = (struct image_user){.created_ms = 0};
	set_name(user->id, id);
	return user;
}

static struct image_service *get_service(
	struct image *image, const struct image_service_key *key)
{
	struct image_service *service;

	for (size_t i = 0; i < image->n_services; i++)
		if (is_same_key(&image->services[i].key, key))
			return &image->services[i];
	service = &image->services[grow(&image->n_services, IMAGE_MAX_ROWS)];
	*service = (struct image_service){.key = *key};
	return service;
}

static struct image_series *get_series(
	struct image *image, const struct image_service_key *key, const char *client)
{
	struct image_series *series;

	for (size_t i = 0; i < image->n_series; i++)
		if (is_same_key(&image->series[i].key, key) &&
			strcmp(image->series[i].client, client) == 0)
			return &image->series[i];
	series = &image->series[grow(&image->n_series, IMAGE_MAX_ROWS)];
	*series = (struct image_series){.key = *key};
	set_name(series->client, client);
	return series;
}

static void write_users(struct image *image, const struct cut *cut)
{
	for (size_t i = 0; i < cut->users.n; i++) {
		const struct cut_user *row = cut_user(cut, i);
		struct image_user *user = get_user(image, row->user->id);

		user->total.used += row->increment.used;
		user->total.input += row->increment.input;
		user->total.output += row->increment.output;
		if (user->created_ms == 0) {
			user->created_ms = row->user->created_ms;
			user->life = row->user->life;
		}
		if (row->last_seen_ms != 0)
			user->last_seen_ms = row->last_seen_ms;
	}
}

static void write_services(struct image *image, const struct cut *cut)
{
	for (size_t i = 0; i < cut->n_services; i++) {
		const struct cut_service *row = &cut->services[i];
		struct image_service_key key = key_of(row->service);
		struct image_service *service = get_service(image, &key);
		struct counters last = row->last;

		last.input_bytes = service->last.input_bytes + row->increment.input;
		last.output_bytes = service->last.output_bytes + row->increment.output;
		service->last = last;
		service->epoch = row->epoch;
		memcpy(service->state, row->state, sizeof(service->state));
	}
}

static void write_series(struct image *image, const struct cut *cut)
{
	for (size_t i = 0; i < cut->series.n; i++) {
		const struct cut_series *row = cut_series(cut, i);
		struct image_service_key key;

		if (row->series == NULL)
			continue;
		key = key_of(row->series->service);
		get_series(image, &key, row->series->client)->mark = row->mark;
	}
}

static void drop_void(struct image *image, const struct cut *cut)
{
	for (size_t i = 0; i < cut->n_services; i++) {
		const struct cut_service *row = &cut->services[i];
		struct image_service_key key = key_of(row->service);
		size_t n_left = 0;

		for (size_t j = 0; j < image->n_series; j++)
			if (!row->drops_void ||
				!is_same_key(&image->series[j].key, &key) ||
				image->series[j].mark.epoch >= row->epoch.number)
				image->series[n_left++] = image->series[j];
		image->n_series = n_left;
	}
}

static void clear_stream(struct image *image, const struct image_service_key *key)
{
	size_t n_left = 0;

	for (size_t i = 0; i < image->n_open_reports; i++)
		if (!is_same_key(&image->open_reports[i].key, key))
			image->open_reports[n_left++] = image->open_reports[i];
	image->n_open_reports = n_left;
}

static void write_open_reports(struct image *image, const struct cut *cut)
{
	for (size_t i = 0; i < cut->n_streams; i++) {
		struct image_service_key key = key_of(cut->streams[i]->service);

		clear_stream(image, &key);
	}
	for (size_t i = 0; i < cut->n_open_reports; i++) {
		const struct cut_open_report *row = &cut->open_reports[i];
		size_t at = grow(&image->n_open_reports, IMAGE_MAX_OPEN);

		image->open_reports[at] =
			(struct image_open_report){key_of(row->service), row->origin};
	}
}

void image_commit(struct image *image, const struct cut *cut)
{
	if (image->applied_seq == cut->seq && cut->seq != cut->prev_seq)
		return;
	assert_int_equal(image->applied_seq, cut->prev_seq);
	write_users(image, cut);
	write_services(image, cut);
	write_series(image, cut);
	drop_void(image, cut);
	write_open_reports(image, cut);
	image->applied_seq = cut->seq;
}

void image_flush(struct image *image, struct ledger *ledger)
{
	struct cut *cut = ledger_cut(ledger);

	assert_non_null(cut);
	image_commit(image, cut);
	ledger_cut_committed(ledger, cut);
}

static int load_services(const struct image *image, struct ledger *ledger)
{
	int code = 0;

	for (size_t i = 0; i < image->n_services && code == 0; i++) {
		const struct image_service *row = &image->services[i];

		code = ledger_load_service(ledger, row->key.node, row->key.kind,
			row->key.name, &row->last, row->state, &row->epoch, 1);
	}
	return code;
}

static int load_series(const struct image *image, struct ledger *ledger)
{
	int code = 0;

	for (size_t i = 0; i < image->n_series && code == 0; i++) {
		const struct image_series *row = &image->series[i];

		code = ledger_load_series(ledger, row->key.node, row->key.kind,
			row->key.name, row->client, &row->mark);
	}
	return code;
}

static int is_later(const void *a, const void *b)
{
	const struct origin *x = &((const struct image_open_report *)a)->origin,
			    *y = &((const struct image_open_report *)b)->origin;

	if (x->time_ms != y->time_ms)
		return x->time_ms > y->time_ms ? 1 : -1;
	return x->seq > y->seq ? 1 : -1;
}

static int load_open_reports(const struct image *image, struct ledger *ledger)
{
	struct image_open_report rows[IMAGE_MAX_OPEN];
	size_t n = image->n_open_reports;
	int code = 0;

	memcpy(rows, image->open_reports, n * sizeof(rows[0]));
	qsort(rows, n, sizeof(rows[0]), is_later);
	for (size_t i = 0; i < n && code == 0; i++)
		code = ledger_load_open_report(ledger, rows[i].key.node, rows[i].key.kind,
			rows[i].key.name, &rows[i].origin);
	return code;
}

int image_load(const struct image *image, struct ledger *ledger)
{
	int code = 0;

	for (size_t i = 0; i < image->n_users && code == 0; i++) {
		const struct image_user *row = &image->users[i];

		code = ledger_load_user(
			ledger, row->id, row->total, row->created_ms, row->life);
	}
	if (code == 0)
		code = load_services(image, ledger);
	if (code == 0)
		code = load_series(image, ledger);
	if (code == 0)
		code = load_open_reports(image, ledger);
	ledger_set_applied_seq(ledger, image->applied_seq);
	return code;
}

const struct image_user *image_user(const struct image *image, const char *id)
{
	for (size_t i = 0; i < image->n_users; i++)
		if (strcmp(image->users[i].id, id) == 0)
			return &image->users[i];
	return NULL;
}

const struct image_service *image_service(const struct image *image, const char *node,
	enum event_kind kind, const char *name)
{
	struct image_service_key key = {.kind = kind};

	set_name(key.node, node);
	set_name(key.name, name);
	for (size_t i = 0; i < image->n_services; i++)
		if (is_same_key(&image->services[i].key, &key))
			return &image->services[i];
	return NULL;
}
