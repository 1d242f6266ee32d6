/*
 * scan() asks for a page of keys; on_page() asks for the fields of each; behind the last
 * answer, the next page. SCAN may name a key more than once: each id is kept once, as it
 * was read last. A scan that is cut off is forgotten, with its rejects.
 */
#include "live/adopt.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/text.h"
#include "live/fields.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATTERN_BYTES 512 /* a prefix of at most 255 bytes, each escaped, and a star */
#define CURSOR_BYTES 24
/* Pages of an honest SCAN: each looks at 1,000 keys, or at 10,000 places without one, of
 * which a table that was once larger has many. */
#define PAGES_AT_LEAST 10000
#define KEYS_PER_PAGE 100
#define PAGES_OF_UNKNOWN 1000000

static const char *const field_names[] = {FIELD_USED, FIELD_INPUT, FIELD_OUTPUT};
static const char not_a_number[] =
	"a field in Redis is no whole number from 0 to 2^63-1: left out";
static const char not_an_id[] = "a key in Redis is no user's: left out";
static const char no_room[] = "a user in Redis is beyond max_users: left out";

struct found {
	struct adopted adopted; /* its id is `id` */
	UT_hash_handle hh;
	char id[];
};

struct adopt {
	struct redis *redis;
	const struct ledger *ledger;
	const struct survey *survey;
	const char *key_prefix;
	adopt_done_cb on_done;
	void *arg;

	char cursor[CURSOR_BYTES]; /* of the next page */
	char mark[CURSOR_BYTES];   /* an earlier one */
	uint64_t n_pages, mark_page;
	char **page; /* ids whose fields were asked for, in that order */
	size_t n_page, n_answered;
	struct found *found;
	size_t n_new; /* of them, unknown to the ledger */
	struct reject *rejects;
	size_t n_rejects, n_rejected; /* kept, and all */
	bool has_failed;              /* the connection was given up */
};

static void free_page(struct adopt *adopt)
{
	for (size_t i = 0; i < adopt->n_page; i++)
		free(adopt->page[i]);
	free(adopt->page);
	adopt->page = NULL;
	adopt->n_page = adopt->n_answered = 0;
}

static void free_found(struct adopt *adopt)
{
	struct found *found = adopt->found, *next;

	HASH_CLEAR(hh, adopt->found);
	for (; found != NULL; found = next) {
		next = found->hh.next;
		free(found);
	}
	adopt->n_new = 0;
}

static void free_rejects(struct adopt *adopt)
{
	for (size_t i = 0; i < adopt->n_rejects; i++)
		free(adopt->rejects[i].event);
	adopt->n_rejects = adopt->n_rejected = 0;
}

static void give_up(struct adopt *adopt, const char *why)
{
	adopt->has_failed = true;
	redis_disconnect(adopt->redis, why);
}

/* `what` names it for whoever reads the table: key, field and value. */
__attribute__((format(printf, 3, 4))) static void reject(
	struct adopt *adopt, const char *reason, const char *what, ...)
{
	char text[REJECT_MAX_BYTES];
	struct reject *kept = &adopt->rejects[adopt->n_rejects];
	va_list args;

	va_start(args, what);
	(void)vsnprintf(text, sizeof(text), what, args);
	va_end(args);
	text_make_clean(text, strlen(text)); /* a key may hold any bytes */
	adopt->n_rejected++;
	log_limited(LOG_WARN, "total in Redis not taken over", "reason=%s what=%s",
		LOG_QUOTE(reason), LOG_QUOTE(text));
	if (adopt->n_rejects == LEDGER_MAX_REJECTS)
		return;
	kept->reason = reason;
	kept->event = strdup(text);
	adopt->n_rejects += kept->event != NULL;
}

static void reject_user(
	struct adopt *adopt, const char *reason, const struct adopted *adopted)
{
	reject(adopt, reason, "%s%s %s=%" PRIu64, adopt->key_prefix, adopted->id,
		field_names[0], adopted->total.used);
}

/* Takes the room, or rejects the user. */
static bool has_room_for(struct adopt *adopt, const struct adopted *adopted)
{
	if (ledger_find_user(adopt->ledger, adopted->id) != NULL)
		return true;
	if (!ledger_has_room_for_users(adopt->ledger, adopt->n_new + 1)) {
		reject_user(adopt, no_room, adopted);
		return false;
	}
	adopt->n_new++;
	return true;
}

static void keep(struct adopt *adopt, const char *id, const struct totals *total)
{
	struct adopted adopted = {(char *)id, *total};
	size_t len = strlen(id);
	struct found *found;

	HASH_FIND(hh, adopt->found, id, len, found);
	if (found != NULL) {
		found->adopted.total = *total;
		return;
	}
	if (id[0] == '\0' || !text_is_name(id)) {
		reject_user(adopt, not_an_id, &adopted);
		return;
	}
	if (!has_room_for(adopt, &adopted))
		return;
	found = calloc(1, sizeof(*found) + len + 1);
	if (found == NULL) {
		give_up(adopt, err_text(ERR_NOMEM));
		return;
	}
	memcpy(found->id, id, len);
	found->adopted = (struct adopted){found->id, *total};
	HASH_ADD_KEYPTR(hh, adopt->found, found->id, len, found);
}

/* A key that is no hash holds no total. With any other error it is not known what stands
 * there, and who goes on would write over it. */
static void give_up_unless_no_hash(struct adopt *adopt, const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR)
		give_up(adopt, "HMGET was answered with something else");
	else if (strncmp(reply->str, "WRONGTYPE", 9) != 0)
		give_up(adopt, reply->str);
}

static void read_fields(struct adopt *adopt, const char *id, const redisReply *reply)
{
	struct totals total = {0};
	uint64_t *const fields[] = {&total.used, &total.input, &total.output};
	bool has_total = false;

	if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) {
		give_up_unless_no_hash(adopt, reply);
		return;
	}
	for (size_t i = 0; i < 3; i++) {
		const redisReply *value = reply->element[i];

		if (value->type != REDIS_REPLY_STRING)
			continue;
		if (fields_parse(value, fields[i]))
			has_total = true;
		else
			reject(adopt, not_a_number, "%s%s %s=%s", adopt->key_prefix, id,
				field_names[i], value->str);
	}
	if (has_total)
		keep(adopt, id, &total);
}

static void finish(struct adopt *adopt)
{
	struct adopted *list = malloc((HASH_COUNT(adopt->found) + 1) * sizeof(*list));
	struct adopt_result result;
	size_t n = 0;

	if (list == NULL) {
		give_up(adopt, err_text(ERR_NOMEM));
		return;
	}
	adopt->n_new = 0; /* anew: others may have come meanwhile */
	for (struct found *found = adopt->found; found != NULL; found = found->hh.next)
		if (has_room_for(adopt, &found->adopted))
			list[n++] = found->adopted;
	log_info("Redis was looked through; see the table rejects for what was not "
		 "taken over",
		"hashes=%zu not_taken_over=%zu", n, adopt->n_rejected);
	result = (struct adopt_result){list, adopt->rejects, n, adopt->n_rejects};
	adopt->on_done(adopt->arg, &result);
	free(list);
	free_found(adopt);
	free_rejects(adopt);
}

static void scan(struct adopt *adopt);

static void next_page(struct adopt *adopt)
{
	free_page(adopt);
	if (adopt->has_failed)
		return;
	if (strcmp(adopt->cursor, "0") == 0)
		finish(adopt);
	else
		scan(adopt);
}

static void on_fields(void *arg, void *item, const redisReply *reply)
{
	struct adopt *adopt = item;

	(void)arg;
	if (reply == NULL)
		return;
	read_fields(adopt, adopt->page[adopt->n_answered++], reply);
	if (adopt->n_answered == adopt->n_page)
		next_page(adopt);
}

static int ask_for(struct adopt *adopt, const redisReply *key)
{
	const char *argv[] = {
		"HMGET", key->str, field_names[0], field_names[1], field_names[2]};
	size_t prefix_len = strlen(adopt->key_prefix);
	char *id;

	if (key->type != REDIS_REPLY_STRING || (size_t)key->len < prefix_len)
		return 0;
	if (strlen(key->str) != (size_t)key->len) { /* a NUL, which is in no name */
		reject(adopt, not_an_id, "%s", key->str);
		return 0;
	}
	id = strdup(key->str + prefix_len);
	if (id == NULL)
		return ERR_NOMEM;
	adopt->page[adopt->n_page++] = id;
	return redis_send(adopt->redis, on_fields, adopt, 5, argv);
}

static bool is_cursor(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING && reply->len > 0 &&
		reply->len < CURSOR_BYTES &&
		strspn(reply->str, "0123456789") == (size_t)reply->len;
}

static bool is_page(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
		is_cursor(reply->element[0]) &&
		reply->element[1]->type == REDIS_REPLY_ARRAY;
}

/*
 * Why the scan would never end, or NULL. A cursor holds all that Redis knows of a scan,
 * so one that comes again leads round in a circle, which is found by comparing with one
 * that is left behind after 1, 2, 4, 8, ... pages.
 */
static const char *why_endless(struct adopt *adopt)
{
	const struct survey *survey = adopt->survey;
	uint64_t most = survey->knows_keys
		? PAGES_AT_LEAST + survey->n_keys / KEYS_PER_PAGE
		: PAGES_OF_UNKNOWN;

	if (strcmp(adopt->cursor, "0") == 0)
		return NULL;
	if (strcmp(adopt->cursor, adopt->mark) == 0)
		return "this Redis cannot be looked through: SCAN gave the same cursor "
		       "again";
	if (++adopt->n_pages > most)
		return "this Redis cannot be looked through: SCAN has given far more "
		       "pages than it has keys";
	if (adopt->n_pages == adopt->mark_page) {
		(void)strcpy(adopt->mark, adopt->cursor);
		adopt->mark_page *= 2;
	}
	return NULL;
}

static void on_page(void *arg, void *item, const redisReply *reply)
{
	struct adopt *adopt = item;
	const redisReply *keys;
	const char *why;
	int code = 0;

	(void)arg;
	if (reply == NULL)
		return;
	if (!is_page(reply)) {
		give_up(adopt,
			reply->type == REDIS_REPLY_ERROR
				? reply->str
				: "SCAN was answered with something else");
		return;
	}
	keys = reply->element[1];
	(void)strcpy(adopt->cursor, reply->element[0]->str);
	why = why_endless(adopt);
	if (why != NULL) {
		give_up(adopt, why);
		return;
	}
	adopt->page = calloc(keys->elements + 1, sizeof(*adopt->page));
	if (adopt->page == NULL)
		code = ERR_NOMEM;
	for (size_t i = 0; i < keys->elements && code == 0; i++)
		code = ask_for(adopt, keys->element[i]);
	if (code != 0)
		give_up(adopt, err_text(code));
	else if (adopt->n_page == 0)
		next_page(adopt);
}

/* Glob characters of the prefix mean themselves. */
static void scan(struct adopt *adopt)
{
	char pattern[PATTERN_BYTES], *out = pattern;
	const char *argv[] = {"SCAN", adopt->cursor, "MATCH", pattern, "COUNT", "1000"};

	for (const char *at = adopt->key_prefix; *at != '\0'; at++) {
		if (strchr("*?[]\\", *at) != NULL)
			*out++ = '\\';
		*out++ = *at;
	}
	(void)strcpy(out, "*");
	if (redis_send(adopt->redis, on_page, adopt, 6, argv) != 0)
		give_up(adopt, err_text(ERR_NOMEM));
}

struct adopt *adopt_new(struct redis *redis, const struct ledger *ledger,
	const struct survey *survey, const char *key_prefix, adopt_done_cb on_done,
	void *arg)
{
	struct adopt *adopt = calloc(1, sizeof(*adopt));

	if (adopt == NULL)
		return NULL;
	adopt->rejects = calloc(LEDGER_MAX_REJECTS, sizeof(*adopt->rejects));
	if (adopt->rejects == NULL) {
		free(adopt);
		return NULL;
	}
	adopt->redis = redis;
	adopt->ledger = ledger;
	adopt->survey = survey;
	adopt->key_prefix = key_prefix;
	adopt->on_done = on_done;
	adopt->arg = arg;
	return adopt;
}

static void forget(struct adopt *adopt)
{
	free_page(adopt);
	free_found(adopt);
	free_rejects(adopt);
	adopt->has_failed = false;
}

void adopt_begin(struct adopt *adopt)
{
	forget(adopt);
	(void)strcpy(adopt->cursor, "0");
	adopt->mark[0] = '\0';
	adopt->n_pages = 0;
	adopt->mark_page = 1;
	scan(adopt);
}

void adopt_free(struct adopt *adopt)
{
	if (adopt == NULL)
		return;
	forget(adopt);
	free(adopt->rejects);
	free(adopt);
}
