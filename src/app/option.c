#include "app/option.h"
#include "app/secret.h"
#include "base/text.h"
#include "http/server.h"
#include "live/redis.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define AT(field) offsetof(struct config, field)
/* What a line of the file has room for behind `name = `: inih reads 198 characters. */
#define FITS_LINE(name) (198 - (sizeof(name " = ") - 1))

static int check_listen(const char *text, struct errmsg *ret_msg)
{
	return http_check_listen(text, ret_msg);
}

static int check_redis_url(const char *text, struct errmsg *ret_msg)
{
	struct redis_address address;
	int code = 0;

	if (strcmp(text, "none") != 0)
		code = redis_address_parse(text, &address, ret_msg);
	if (code == 0 && strcmp(text, "none") != 0)
		redis_address_done(&address);
	return code;
}

static int check_socket(const char *text, struct errmsg *ret_msg)
{
	if (text[0] == '/' || strcmp(text, "auto") == 0 || strcmp(text, "none") == 0)
		return 0;
	return err_set(ret_msg, ERR_CONFIG,
		"`%s` is none of auto, none and an absolute path", text);
}

static int check_token(const char *text, struct errmsg *ret_msg)
{
	return text[0] == '\0' ? 0 : token_check(text, ret_msg);
}

static const struct option_row rows[] = {
	{"listen", NULL, TYPE_TEXT, AT(listen), "127.0.0.1:3000", 1, FITS_LINE("listen"),
		NULL, false, false, SECRET_NOT, check_listen,
		"addresses to serve: ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH, comma "
		"between"},
	{"data_dir", NULL, TYPE_TEXT, AT(data_dir), "/var/lib/tallyd", 1, 180, NULL,
		false, false, SECRET_NOT, NULL,
		"folder of tally.db, journal/, key and lock"},
	{"redis_url", "REDIS_URL", TYPE_TEXT, AT(redis_url), "redis://127.0.0.1:6379/0",
		1, FITS_LINE("redis_url"), NULL, false, false, SECRET_IN_URL,
		check_redis_url,
		"redis://[user:pass@]host:port/db, unix:///path?db=0, or none"},
	{"redis_key_prefix", NULL, TYPE_TEXT, AT(redis_key_prefix), "user:", 0,
		FITS_LINE("redis_key_prefix"), NULL, false, false, SECRET_NOT, NULL,
		"a user's hash in Redis is this and the user's id"},
	{"sync_interval", "DB_SYNC_INTERVAL", TYPE_TIME, AT(sync_interval), "45s", 100,
		86400000, NULL, false, true, SECRET_NOT, NULL,
		"time between two flushes into SQLite"},
	{"sync_batch_size", "SYNC_BATCH_SIZE", TYPE_COUNT, AT(sync_batch_size), "50", 1,
		STORE_MAX_BATCH, NULL, false, false, SECRET_NOT, NULL,
		"users per statement inside a flush's transaction"},
	{"max_pending_users", "MAX_PENDING_SYNC_USERS", TYPE_COUNT, AT(max_pending_users),
		"1000", 1, 100000000, NULL, false, true, SECRET_NOT, NULL,
		"a warning is logged when this many users wait for SQLite"},
	{"emergency_flush_size", "EMERGENCY_FLUSH_SIZE", TYPE_COUNT,
		AT(emergency_flush_size), "auto", 1, 100000000, NULL, true, true,
		SECRET_NOT, NULL,
		"a flush starts at this many, at most every 5 s; auto: 80 % of "
		"max_pending_users"},
	{"max_retries", "MAX_RETRIES", TYPE_COUNT, AT(max_retries), "3", 0, 100, NULL,
		false, true, SECRET_NOT, NULL,
		"quick retries of a failed flush before the next interval"},
	{"retry_delay", "RETRY_DELAY", TYPE_TIME, AT(retry_delay), "1s", 10, 3600000,
		NULL, false, true, SECRET_NOT, NULL,
		"before the first retry, doubled for each further one"},
	{"journal_fsync", NULL, TYPE_WORD, AT(journal_fsync), "everysec", 0, 0,
		"always|everysec|no", false, false, SECRET_NOT, NULL,
		"when the journal is synced: always before the answer, everysec, or no"},
	{"journal_max_bytes", NULL, TYPE_BYTES, AT(journal_max_bytes), "1GiB", 64 * KIB,
		UINT64_C(1) << 50, NULL, false, false, SECRET_NOT, NULL,
		"above it reports are answered with 503"},
	{"counters", NULL, TYPE_WORD, AT(counters), "delta", 0, 0, "delta|cumulative",
		false, true, SECRET_NOT, NULL,
		"what inputBytes means: delta (GOST's resetTraffic: true) or cumulative"},
	{"redis_timeout", NULL, TYPE_TIME, AT(redis_timeout), "500ms", 10, 60000, NULL,
		false, false, SECRET_NOT, NULL,
		"deadline for connecting and for replies; answers wait 1 s at most"},
	{"redis_repair_rate", NULL, TYPE_COUNT, AT(redis_repair_rate), "20000", 1,
		10000000, NULL, false, true, SECRET_NOT, NULL,
		"users per second written anew when Redis may differ; 1/20 for looking, "
		"where Redis does not tell of edits"},
	{"min_free_bytes", NULL, TYPE_BYTES, AT(min_free_bytes), "auto", 0,
		UINT64_C(1) << 50, NULL, true, false, SECRET_NOT, NULL,
		"below this much free disk: 503; auto: 16 MiB or 5 %, the smaller"},
	{"max_users", NULL, TYPE_COUNT, AT(max_users), "5000000", 1, 1000000000, NULL,
		false, false, SECRET_NOT, NULL,
		"events of further new users are rejected"},
	{"max_memory", NULL, TYPE_BYTES, AT(max_memory), "auto", 64 * KIB,
		UINT64_C(1) << 50, NULL, true, false, SECRET_NOT, NULL,
		"for users, services and series; beyond it new ones are rejected; auto: "
		"1/4 of the memory that there is"},
	{"busy_timeout", NULL, TYPE_TIME, AT(busy_timeout), "1s", 0, 60000, NULL, false,
		false, SECRET_NOT, NULL,
		"how long SQLite waits for another program's lock"},
	{"log_level", NULL, TYPE_WORD, AT(log_level), "info", 0, 0,
		"error|warn|info|debug", false, true, SECRET_NOT, NULL,
		"error, warn, info or debug"},
	{"stop_timeout", NULL, TYPE_TIME, AT(stop_timeout), "20s", 0, 3600000, NULL,
		false, true, SECRET_NOT, NULL, "how long SIGTERM tries the last flush"},
	{"max_body_bytes", NULL, TYPE_BYTES, AT(max_body_bytes), "32MiB", KIB,
		64 * KIB *KIB, NULL, false, false, SECRET_NOT, NULL,
		"a larger request is answered with 413"},
	{"max_body_memory", NULL, TYPE_BYTES, AT(max_body_memory), "auto", KIB,
		UINT64_C(1) << 50, NULL, true, false, SECRET_NOT, NULL,
		"for all reports above 64 KiB under way, each counted four times; more "
		"get 503; auto: 1/8 of the memory that there is"},
	{"max_connections", NULL, TYPE_COUNT, AT(max_connections), "1024", 1, 100000,
		NULL, false, false, SECRET_NOT, NULL,
		"when full, the longest idle connection gives way"},
	{"idle_timeout", NULL, TYPE_TIME, AT(idle_timeout), "120s", 100, 86400000, NULL,
		false, false, SECRET_NOT, NULL,
		"a connection without a request is closed after it"},
	{"request_timeout", NULL, TYPE_TIME, AT(request_timeout), "10s", 100, 3600000,
		NULL, false, false, SECRET_NOT, NULL,
		"a request has to be complete within it"},
	{"allow_anonymous", NULL, TYPE_WORD, AT(allow_anonymous), "no", 0, 0, "no|yes",
		false, false, SECRET_NOT, NULL,
		"yes: take reports without a secret from other machines, too"},
	{"admin_socket", NULL, TYPE_TEXT, AT(admin_socket), "auto", 1, 107, NULL, false,
		false, SECRET_NOT, check_socket,
		"who can open it may do everything; auto: admin.sock in "
		"$RUNTIME_DIRECTORY, or none"},
	{"read_socket", NULL, TYPE_TEXT, AT(read_socket), "auto", 1, 107, NULL, false,
		false, SECRET_NOT, check_socket,
		"who can open it may read; auto: read.sock in $RUNTIME_DIRECTORY, or "
		"none"},
	{"api_token", NULL, TYPE_TEXT, AT(api_token), "", 0, FITS_LINE("api_token"), NULL,
		false, true, SECRET_WHOLE, check_token,
		"whoever sends it as `Authorization: Bearer` may do everything"},
	{"api_token_file", NULL, TYPE_TEXT, AT(api_token_file), "auto", 1, 180, NULL,
		false, true, SECRET_NOT, NULL,
		"its first line is the api_token; auto: api-token beside the "
		"configuration, if it is there; or none"},
	{"read_token", NULL, TYPE_TEXT, AT(read_token), "", 0, FITS_LINE("read_token"),
		NULL, false, true, SECRET_WHOLE, check_token,
		"whoever sends it as `Authorization: Bearer` may read"},
	{"read_token_file", NULL, TYPE_TEXT, AT(read_token_file), "auto", 1, 180, NULL,
		false, true, SECRET_NOT, NULL,
		"its first line is the read_token; auto: read-token beside the "
		"configuration, if it is there; or none"},
	{"hostnames", NULL, TYPE_TEXT, AT(hostnames), "", 0, FITS_LINE("hostnames"), NULL,
		false, true, SECRET_NOT, NULL,
		"names by which tallyd is asked without a credential, beside its "
		"addresses"},
	{"node_secret_grace", NULL, TYPE_TIME, AT(node_secret_grace), "600s", 0,
		7 * 86400000, NULL, false, true, SECRET_NOT, NULL,
		"how long a node's old secret is good after it was changed"},
	{"first_node_file", NULL, TYPE_TEXT, AT(first_node_file), "auto", 1, 180, NULL,
		false, false, SECRET_NOT, NULL,
		"name and secret of the node that an empty data_dir begins with; auto: "
		"first-node beside the configuration, if it is there; or none"},
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) == OPTION_COUNT, "as the header says");

const struct option_row *option_rows(void)
{
	return rows;
}

const struct option_row *option_find(const char *name)
{
	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (strcmp(rows[i].name, name) == 0)
			return &rows[i];
	return NULL;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance; names longer than the rows are no near miss of anything. */
static size_t distance(const char *a, const char *b)
{
	size_t lines[2][64], n = strlen(b);

	if (n >= 63 || strlen(a) >= 63)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		lines[0][j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t *last = lines[i % 2], *now = lines[(i + 1) % 2];

		now[0] = i + 1;
		for (size_t j = 0; j < n; j++)
			now[j + 1] = min3(now[j] + 1, last[j + 1] + 1,
				last[j] + (a[i] == b[j] ? 0 : 1));
	}
	return lines[strlen(a) % 2][n];
}

const char *option_near_miss(const char *name)
{
	const char *best = NULL;
	size_t least = strlen(name) / 3 < 3 ? strlen(name) / 3 + 1 : 4;

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		size_t d = distance(name, rows[i].name);

		if (d < least) {
			least = d;
			best = rows[i].name;
		}
	}
	return best;
}

char **option_text(const struct config *config, const struct option_row *row)
{
	return (char **)(void *)((char *)config + row->offset);
}

uint64_t *option_number(const struct config *config, const struct option_row *row)
{
	return (uint64_t *)(void *)((char *)config + row->offset);
}

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit byte_units[] = {{"B", 1}, {"KiB", KIB}, {"MiB", KIB *KIB},
	{"GiB", KIB *KIB *KIB}, {"TiB", KIB *KIB *KIB *KIB}, {NULL, 0}};
static const struct unit no_units[] = {{NULL, 0}};

static const struct unit *units_of(enum option_type type)
{
	if (type == TYPE_TIME)
		return time_units;
	return type == TYPE_BYTES ? byte_units : no_units;
}

static bool parse_number(const char *text, const struct unit *units, uint64_t *ret_value)
{
	char *end;
	uint64_t value, factor = 1;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	while (*end == ' ')
		end++;
	if (*end != '\0') {
		for (; units->name != NULL && strcmp(units->name, end) != 0; units++)
			;
		if (units->name == NULL)
			return false;
		factor = units->factor;
	}
	if (errno != 0 || value > UINT64_MAX / factor)
		return false;
	*ret_value = value * factor;
	return true;
}

/* As it would be written in the file. */
const char *option_format(const struct option_row *row, uint64_t value, char buf[64])
{
	const struct unit *units = units_of(row->type), *best = NULL;
	const char *word = row->words;

	if (row->has_auto && value == OPTION_AUTO)
		return "auto";
	if (row->type == TYPE_WORD) {
		for (; value > 0; value--)
			word = strchr(word, '|') + 1;
		(void)snprintf(buf, 64, "%.*s", (int)strcspn(word, "|"), word);
		return buf;
	}
	for (; units->name != NULL; units++)
		if (value % units->factor == 0 && value > 0)
			best = units;
	/* 120s reads better than 2m; hours and minutes are for reading only. */
	if (row->type == TYPE_TIME && best != NULL && best->factor > 1000)
		best = &time_units[1];
	(void)snprintf(buf, 64, "%" PRIu64 "%s",
		best != NULL ? value / best->factor : value,
		best != NULL ? best->name : "");
	return buf;
}

static const char *expected(enum option_type type)
{
	switch (type) {
	case TYPE_TIME:
		return "a time is expected, such as 500ms, 45s, 2m; without a unit it is "
		       "ms";
	case TYPE_BYTES:
		return "a size is expected, such as 65536, 64KiB, 16MiB, 1GiB";
	case TYPE_TEXT:
	case TYPE_WORD:
	case TYPE_COUNT:
		break;
	}
	return "a whole number is expected";
}

bool option_parse_word(const char *text, const char *words, uint64_t *ret_index)
{
	uint64_t index = 0;

	for (const char *word = words; word != NULL; index++) {
		size_t len = strcspn(word, "|");

		if (strlen(text) == len && strncmp(text, word, len) == 0) {
			*ret_index = index;
			return true;
		}
		word = word[len] == '|' ? word + len + 1 : NULL;
	}
	return false;
}

/* Whether the file can say it, and so --print-config too. */
static bool survives_file(const char *text, size_t len)
{
	return len == 0 ||
		(text[0] != ' ' && text[0] != ';' && text[len - 1] != ' ' &&
			strstr(text, " ;") == NULL);
}

static int set_text(struct config *config, const struct option_row *row, const char *text,
	struct errmsg *msg)
{
	size_t len = strlen(text);
	char *copy;

	if (len < row->min || len > row->max)
		return err_set(msg, ERR_CONFIG,
			"its length has to be %" PRIu64 " to %" PRIu64, row->min,
			row->max);
	if (!text_is_clean(text, len))
		return err_set(
			msg, ERR_CONFIG, "it is not UTF-8, or holds control characters");
	if (!survives_file(text, len))
		return err_set(msg, ERR_CONFIG,
			"it begins or ends with a blank, or holds ` ;`, which begins a "
			"comment");
	if (row->check != NULL && row->check(text, msg) != 0)
		return ERR_CONFIG;
	copy = strdup(text);
	if (copy == NULL)
		return err_set(msg, ERR_CONFIG, "%s", err_text(ERR_NOMEM));
	free(*option_text(config, row));
	*option_text(config, row) = copy;
	return 0;
}

static int set_number(struct config *config, const struct option_row *row,
	const char *text, struct errmsg *msg)
{
	uint64_t value = OPTION_AUTO;
	char low[64], high[64];

	if (!row->has_auto || strcmp(text, "auto") != 0) {
		if (!parse_number(text, units_of(row->type), &value))
			return err_set(
				msg, ERR_CONFIG, "`%s`: %s", text, expected(row->type));
		if (value < row->min || value > row->max)
			return err_set(msg, ERR_CONFIG, "`%s` is not from %s to %s", text,
				option_format(row, row->min, low),
				option_format(row, row->max, high));
	}
	*option_number(config, row) = value;
	return 0;
}

int option_set(struct config *config, const struct option_row *row, const char *text,
	struct errmsg *ret_msg)
{
	if (row->type == TYPE_TEXT)
		return set_text(config, row, text, ret_msg);
	if (row->type != TYPE_WORD)
		return set_number(config, row, text, ret_msg);
	if (!option_parse_word(text, row->words, option_number(config, row)))
		return err_set(
			ret_msg, ERR_CONFIG, "`%s` is none of %s", text, row->words);
	return 0;
}

void option_dashed(const struct option_row *row, char ret_name[OPTION_DASHED_BYTES])
{
	size_t i = 0;

	for (; row->name[i] != '\0' && i + 1 < OPTION_DASHED_BYTES; i++)
		ret_name[i] = row->name[i] == '_' ? '-' : row->name[i];
	ret_name[i] = '\0';
}
