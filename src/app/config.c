/*
 * One row per option says everything about it; all else here walks the table. Values are
 * read by the same parser wherever they come from, defaults included.
 */
#include "app/config.h"
#include "base/text.h"
#include "http/server.h"
#include "live/redis.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum type { TYPE_TEXT, TYPE_COUNT, TYPE_TIME, TYPE_BYTES, TYPE_WORD };

#define AUTO UINT64_MAX
#define KIB UINT64_C(1024)

struct option_row {
	const char *name, *also; /* also: the original design's environment name */
	enum type type;
	size_t offset;
	const char *fallback;
	uint64_t min, max;
	const char
		*words; /* of TYPE_WORD, separated by `|`, in the order of their enum */
	bool has_auto, can_reload, is_secret;
	const char *help;
};

#define AT(field) offsetof(struct config, field)

static const struct option_row table[] = {
	{"listen", NULL, TYPE_TEXT, AT(listen), "127.0.0.1:3000", 1, 1000, NULL, false,
		false, false,
		"addresses to serve: ADDRESS:PORT, [ADDRESS]:PORT or unix:/PATH, comma "
		"between"},
	{"data_dir", NULL, TYPE_TEXT, AT(data_dir), "/var/lib/tallyd", 1, 180, NULL,
		false, false, false, "folder of tally.db, journal/ and lock"},
	{"redis_url", "REDIS_URL", TYPE_TEXT, AT(redis_url), "redis://127.0.0.1:6379/0",
		1, 1000, NULL, false, false, true,
		"redis://[user:pass@]host:port/db, unix:///path?db=0, or none"},
	{"redis_key_prefix", NULL, TYPE_TEXT, AT(redis_key_prefix), "user:", 0, 255, NULL,
		false, false, false, "a user's hash in Redis is this and the user's id"},
	{"sync_interval", "DB_SYNC_INTERVAL", TYPE_TIME, AT(sync_interval), "45s", 100,
		86400000, NULL, false, true, false,
		"time between two flushes into SQLite"},
	{"sync_batch_size", "SYNC_BATCH_SIZE", TYPE_COUNT, AT(sync_batch_size), "50", 1,
		STORE_MAX_BATCH, NULL, false, false, false,
		"users per statement inside a flush's transaction"},
	{"max_pending_users", "MAX_PENDING_SYNC_USERS", TYPE_COUNT, AT(max_pending_users),
		"1000", 1, 100000000, NULL, false, true, false,
		"a warning is logged when this many users wait for SQLite"},
	{"emergency_flush_size", "EMERGENCY_FLUSH_SIZE", TYPE_COUNT,
		AT(emergency_flush_size), "auto", 1, 100000000, NULL, true, true, false,
		"a flush starts at this many, at most every 5 s; auto: 80 % of "
		"max_pending_users"},
	{"max_retries", "MAX_RETRIES", TYPE_COUNT, AT(max_retries), "3", 0, 100, NULL,
		false, true, false,
		"quick retries of a failed flush before the next interval"},
	{"retry_delay", "RETRY_DELAY", TYPE_TIME, AT(retry_delay), "1s", 10, 3600000,
		NULL, false, true, false,
		"before the first retry, doubled for each further one"},
	{"journal_fsync", NULL, TYPE_WORD, AT(journal_fsync), "everysec", 0, 0,
		"always|everysec|no", false, false, false,
		"when the journal is synced: always before the answer, everysec, or no"},
	{"journal_max_bytes", NULL, TYPE_BYTES, AT(journal_max_bytes), "1GiB", 64 * KIB,
		UINT64_C(1) << 50, NULL, false, false, false,
		"above it reports are answered with 503"},
	{"redis_timeout", NULL, TYPE_TIME, AT(redis_timeout), "500ms", 10, 60000, NULL,
		false, false, false,
		"deadline for connecting and for replies; an answer waits no longer"},
	{"min_free_bytes", NULL, TYPE_BYTES, AT(min_free_bytes), "auto", 0,
		UINT64_C(1) << 50, NULL, true, false, false,
		"below this much free disk: 503; auto: 16 MiB or 5 %, the smaller"},
	{"max_users", NULL, TYPE_COUNT, AT(max_users), "5000000", 1, 1000000000, NULL,
		false, false, false, "events of further new users are rejected"},
	{"busy_timeout", NULL, TYPE_TIME, AT(busy_timeout), "1s", 0, 60000, NULL, false,
		false, false, "how long SQLite waits for another program's lock"},
	{"log_level", NULL, TYPE_WORD, AT(log_level), "info", 0, 0,
		"error|warn|info|debug", false, true, false,
		"error, warn, info or debug"},
	{"stop_timeout", NULL, TYPE_TIME, AT(stop_timeout), "20s", 0, 3600000, NULL,
		false, true, false, "how long SIGTERM tries the last flush"},
	{"max_body_bytes", NULL, TYPE_BYTES, AT(max_body_bytes), "16MiB", KIB,
		64 * KIB *KIB, NULL, false, false, false,
		"a larger request is answered with 413"},
	{"max_connections", NULL, TYPE_COUNT, AT(max_connections), "1024", 1, 100000,
		NULL, false, false, false,
		"when full, the longest idle connection gives way"},
	{"idle_timeout", NULL, TYPE_TIME, AT(idle_timeout), "120s", 100, 86400000, NULL,
		false, false, false, "a connection without a request is closed after it"},
	{"request_timeout", NULL, TYPE_TIME, AT(request_timeout), "10s", 100, 3600000,
		NULL, false, false, false, "a request has to be complete within it"},
	{"allow_anonymous", NULL, TYPE_WORD, AT(allow_anonymous), "no", 0, 0, "no|yes",
		false, false, false,
		"yes: take reports on addresses that others can reach"},
};

#define N_OPTIONS (sizeof(table) / sizeof(table[0]))

/* Where a value came from, for the sentence about what is wrong with it. */
struct origin {
	const char *file; /* NULL: the environment or the command line */
	int line;
	const char *where;
};

struct loader {
	struct config *config;
	FILE *errors;
	unsigned n_mistakes;
	const char *file;
	FILE *stream;
	int line;
	int seen_at[N_OPTIONS]; /* the line of the file that set it */
	bool is_command_line_wrong;
};

static void *field(const struct config *config, const struct option_row *row)
{
	return (char *)config + row->offset;
}

static uint64_t get_number(const struct config *config, const struct option_row *row)
{
	return *(uint64_t *)field(config, row);
}

static char *get_text(const struct config *config, const struct option_row *row)
{
	return *(char **)field(config, row);
}

static const struct option_row *find_row(const char *name)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

/* Near misses */

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein's distance; names longer than the rows are no near miss of anything. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[2][64], n = strlen(b);

	if (n >= 63 || strlen(a) >= 63)
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		rows[0][j] = j;
	for (size_t i = 0; a[i] != '\0'; i++) {
		size_t *last = rows[i % 2], *now = rows[(i + 1) % 2];

		now[0] = i + 1;
		for (size_t j = 0; j < n; j++)
			now[j + 1] = min3(now[j] + 1, last[j + 1] + 1,
				last[j] + (a[i] == b[j] ? 0 : 1));
	}
	return rows[strlen(a) % 2][n];
}

static const char *near_miss(const char *name)
{
	const char *best = NULL;
	size_t least = strlen(name) / 3 < 3 ? strlen(name) / 3 + 1 : 4;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		size_t d = distance(name, table[i].name);

		if (d < least) {
			least = d;
			best = table[i].name;
		}
	}
	return best;
}

/* Mistakes */

__attribute__((format(printf, 4, 5))) static void mistake(struct loader *loader,
	const struct origin *origin, const char *name, const char *format, ...)
{
	va_list args;

	/* What cannot be written to stderr cannot be helped; the exit code tells as well.
	 */
	if (origin->file != NULL)
		(void)fprintf(loader->errors, "%s:%d: ", origin->file, origin->line);
	else
		(void)fprintf(loader->errors, "%s: ", origin->where);
	if (name != NULL)
		(void)fprintf(loader->errors, "%s: ", name);
	va_start(args, format);
	(void)vfprintf(loader->errors, format, args);
	va_end(args);
	(void)fputc('\n', loader->errors);
	loader->n_mistakes++;
}

static void unknown(struct loader *loader, const struct origin *origin, const char *name)
{
	const char *near = near_miss(name);

	if (near != NULL)
		mistake(loader, origin, name, "there is no such option; did you mean %s?",
			near);
	else
		mistake(loader, origin, name, "there is no such option");
}

/* Values */

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = {
	{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {NULL, 0}};
static const struct unit byte_units[] = {{"B", 1}, {"KiB", KIB}, {"MiB", KIB *KIB},
	{"GiB", KIB *KIB *KIB}, {"TiB", KIB *KIB *KIB *KIB}, {NULL, 0}};
static const struct unit no_units[] = {{NULL, 0}};

static const struct unit *units_of(enum type type)
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
static const char *format_value(
	const struct option_row *row, uint64_t value, char buf[64])
{
	const struct unit *units = units_of(row->type), *best = NULL;
	const char *word = row->words;

	if (row->has_auto && value == AUTO)
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

static const char *expected(enum type type)
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

static bool parse_word(const char *text, const char *words, uint64_t *ret_value)
{
	uint64_t index = 0;

	for (const char *word = words; word != NULL; index++) {
		size_t len = strcspn(word, "|");

		if (strlen(text) == len && strncmp(text, word, len) == 0) {
			*ret_value = index;
			return true;
		}
		word = word[len] == '|' ? word + len + 1 : NULL;
	}
	return false;
}

static void set_text(struct loader *loader, const struct option_row *row,
	const char *text, const struct origin *origin)
{
	char **at = field(loader->config, row);
	size_t len = strlen(text);
	char *copy;

	if (len < row->min || len > row->max) {
		mistake(loader, origin, row->name,
			"its length has to be %" PRIu64 " to %" PRIu64, row->min,
			row->max);
		return;
	}
	if (!text_is_clean(text, len)) {
		mistake(loader, origin, row->name,
			"it is not UTF-8, or holds control characters");
		return;
	}
	copy = strdup(text);
	if (copy == NULL) {
		mistake(loader, origin, row->name, "%s", err_text(ERR_NOMEM));
		return;
	}
	free(*at);
	*at = copy;
}

static void set_number(struct loader *loader, const struct option_row *row,
	const char *text, const struct origin *origin)
{
	uint64_t *at = field(loader->config, row), value;
	char low[64], high[64];

	if (row->has_auto && strcmp(text, "auto") == 0)
		*at = AUTO;
	else if (!parse_number(text, units_of(row->type), &value))
		mistake(loader, origin, row->name, "`%s`: %s", text, expected(row->type));
	else if (value < row->min || value > row->max)
		mistake(loader, origin, row->name, "`%s` is not from %s to %s", text,
			format_value(row, row->min, low),
			format_value(row, row->max, high));
	else
		*at = value;
}

static void set_value(struct loader *loader, const struct option_row *row,
	const char *text, const struct origin *origin)
{
	uint64_t *at = field(loader->config, row);

	if (row->type == TYPE_TEXT)
		set_text(loader, row, text, origin);
	else if (row->type != TYPE_WORD)
		set_number(loader, row, text, origin);
	else if (!parse_word(text, row->words, at))
		mistake(loader, origin, row->name, "`%s` is none of %s", text,
			row->words);
}

/* The file */

/* inih's own reader would keep the line's number to itself, and take indented lines as
 * continued. */
static char *read_line(char *buf, int size, void *stream)
{
	struct loader *loader = stream;
	char *line = fgets(buf, size, loader->stream);
	size_t len, blank;

	if (line == NULL)
		return NULL;
	loader->line++;
	len = strlen(line);
	if (len + 1 == (size_t)size && line[len - 1] != '\n') {
		struct origin origin = {loader->file, loader->line, NULL};
		int c;

		mistake(loader, &origin, NULL, "the line is longer than %d characters",
			size - 2);
		do
			c = fgetc(loader->stream);
		while (c != '\n' && c != EOF);
		line[0] = '#';
	}
	blank = strspn(line, " \t");
	memmove(line, line + blank, strlen(line + blank) + 1);
	return line;
}

static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct loader *loader = arg;
	struct origin origin = {loader->file, loader->line, NULL};
	const struct option_row *row = find_row(name);

	if (section[0] != '\0') {
		mistake(loader, &origin, name, "there is no section [%s]", section);
	} else if (row == NULL) {
		unknown(loader, &origin, name);
	} else if (loader->seen_at[row - table] != 0) {
		mistake(loader, &origin, name, "it was set in line %d already",
			loader->seen_at[row - table]);
	} else {
		loader->seen_at[row - table] = loader->line;
		set_value(loader, row, value, &origin);
	}
	return 1;
}

static void load_file(struct loader *loader, const char *path, bool must_exist)
{
	struct origin origin = {.where = path};
	int line;

	loader->file = path;
	loader->stream = fopen(path, "re");
	if (loader->stream == NULL) {
		if (must_exist || errno != ENOENT)
			mistake(loader, &origin, NULL, "%s", strerror(errno));
		return;
	}
	line = ini_parse_stream(read_line, loader, on_key, loader);
	origin = (struct origin){path, line, NULL};
	if (line > 0)
		mistake(loader, &origin, NULL, "`name = value` is expected");
	if (ferror(loader->stream))
		mistake(loader, &(struct origin){.where = path}, NULL,
			"it cannot be read");
	(void)fclose(loader->stream); /* only read from */
}

/* The environment */

static const char *lookup(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; *environment != NULL; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

static void set_from_environment(struct loader *loader, const struct option_row *row,
	char *const *environment, const char *name)
{
	const char *value = lookup(environment, name);
	char where[128];
	struct origin origin = {.where = where};

	(void)snprintf(where, sizeof(where), "environment %s", name);
	if (value != NULL && (value[0] != '\0' || row->type == TYPE_TEXT))
		set_value(loader, row, value, &origin);
}

static void upper_case(char *to, size_t size, const char *name)
{
	size_t i = 0;

	for (; name[i] != '\0' && i + 1 < size; i++)
		to[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 32 : name[i]);
	to[i] = '\0';
}

/* A variable that is nearly one of ours is a typing error; others may belong to somebody
 * else. */
static void check_variable(struct loader *loader, const char *variable)
{
	char name[64] = "";
	size_t n = 0;

	for (const char *at = variable + 7;
		*at != '=' && *at != '\0' && n + 1 < sizeof(name); at++)
		name[n++] = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	if (find_row(name) == NULL && near_miss(name) != NULL)
		unknown(loader, &(struct origin){.where = "environment"}, name);
}

static void load_environment(struct loader *loader, char *const *environment)
{
	char name[80] = "TALLYD_";

	for (size_t i = 0; i < N_OPTIONS; i++)
		if (table[i].also != NULL)
			set_from_environment(
				loader, &table[i], environment, table[i].also);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		upper_case(name + 7, sizeof(name) - 7, table[i].name);
		set_from_environment(loader, &table[i], environment, name);
	}
	for (; *environment != NULL; environment++)
		if (strncmp(*environment, "TALLYD_", 7) == 0)
			check_variable(loader, *environment);
}

/* The command line */

static const struct {
	const char *name, *argument, *help;
	enum config_command command;
} commands[] = {
	{"config", "FILE", "read this file instead of " CONFIG_DEFAULT_FILE, COMMAND_RUN},
	{"help", NULL, "show this and exit", COMMAND_HELP},
	{"version", NULL, "show the version and exit", COMMAND_VERSION},
	{"check-config", NULL, "report every mistake of the configuration and exit",
		COMMAND_CHECK_CONFIG},
	{"print-config", NULL, "print the values in force and exit",
		COMMAND_PRINT_CONFIG},
	{"dump-journal", NULL, "print the journal's records as lines of JSON and exit",
		COMMAND_DUMP_JOURNAL},
	{"salvage", NULL, "take over what can be read of a corrupt journal and exit",
		COMMAND_SALVAGE},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct arguments {
	const char *file;
	enum config_command command;
	const char *values[N_OPTIONS]; /* of --name=value */
};

static void dashed(char *to, size_t size, const char *name)
{
	size_t i = 0;

	for (; name[i] != '\0' && i + 1 < size; i++)
		to[i] = name[i] == '_' ? '-' : name[i];
	to[i] = '\0';
}

static void undashed(char *name)
{
	for (; *name != '\0' && *name != '='; name++)
		if (*name == '-')
			*name = '_';
	*name = '\0';
}

static void make_long_options(struct option *options, char names[N_OPTIONS][40])
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		dashed(names[i], 40, table[i].name);
		options[i] = (struct option){names[i], required_argument, NULL, (int)i};
	}
	for (size_t i = 0; i < N_COMMANDS; i++)
		options[N_OPTIONS + i] = (struct option){commands[i].name,
			commands[i].argument != NULL ? required_argument : no_argument,
			NULL, (int)(N_OPTIONS + i)};
	options[N_OPTIONS + N_COMMANDS] = (struct option){0};
}

static void bad_argument(struct loader *loader, int kind, const char *argument)
{
	struct origin origin = {.where = "command line"};
	char name[64];

	loader->is_command_line_wrong = true;
	if (kind == ':') {
		mistake(loader, &origin, argument, "a value is missing");
		return;
	}
	(void)snprintf(name, sizeof(name), "%s",
		strncmp(argument, "--", 2) == 0 ? argument + 2 : argument);
	undashed(name);
	unknown(loader, &origin, name);
}

static void read_arguments(
	struct loader *loader, int argc, char **argv, struct arguments *ret)
{
	struct option options[N_OPTIONS + N_COMMANDS + 1];
	char names[N_OPTIONS][40];
	int index;

	make_long_options(options, names);
	optind = 0; /* again from the start: SIGHUP reads them a second time */
	while ((index = getopt_long(argc, argv, "+:hV", options, NULL)) != -1) {
		if (index == '?' || index == ':')
			bad_argument(loader, index, argv[optind - 1]);
		else if (index == 'h')
			ret->command = COMMAND_HELP;
		else if (index == 'V')
			ret->command = COMMAND_VERSION;
		else if ((size_t)index < N_OPTIONS)
			ret->values[index] = optarg;
		else if ((size_t)index == N_OPTIONS)
			ret->file = optarg;
		else
			ret->command = commands[(size_t)index - N_OPTIONS].command;
	}
	for (; optind < argc; optind++) {
		loader->is_command_line_wrong = true;
		mistake(loader, &(struct origin){.where = "command line"}, argv[optind],
			"only options are expected");
	}
}

static void set_arguments(struct loader *loader, const struct arguments *arguments)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		unsigned before = loader->n_mistakes;

		if (arguments->values[i] != NULL)
			set_value(loader, &table[i], arguments->values[i],
				&(struct origin){.where = "command line"});
		loader->is_command_line_wrong |= loader->n_mistakes > before;
	}
}

/* What only shows when all values are there */
static void check_together(struct loader *loader)
{
	const struct config *config = loader->config;
	struct origin origin = {.where = "configuration"};
	struct redis_address address;
	struct errmsg msg = {""};
	bool is_local;

	if (http_check_listen(config->listen, &is_local, &msg) != 0)
		mistake(loader, &origin, "listen", "%s", msg.text);
	else if (!is_local && !config->allow_anonymous)
		mistake(loader, &origin, "listen",
			"%s can be reached by others, and reports carry no secret: "
			"listen on "
			"127.0.0.1, [::1] or a unix socket, or set allow_anonymous = yes",
			config->listen);
	if (strcmp(config->redis_url, "none") != 0) {
		if (redis_address_parse(config->redis_url, &address, &msg) != 0)
			mistake(loader, &origin, "redis_url", "%s", msg.text);
		else
			redis_address_done(&address);
	}
}

int config_load(struct config *config, int argc, char **argv, char *const *environment,
	enum config_command *ret_command, FILE *errors)
{
	struct loader loader = {.config = config, .errors = errors};
	struct arguments arguments = {.command = COMMAND_RUN};

	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < N_OPTIONS; i++)
		set_value(&loader, &table[i], table[i].fallback,
			&(struct origin){.where = "default"});
	read_arguments(&loader, argc, argv, &arguments);
	*ret_command = arguments.command;
	if (arguments.command == COMMAND_HELP || arguments.command == COMMAND_VERSION)
		return loader.is_command_line_wrong ? ERR_PARAM : 0;
	load_file(&loader, arguments.file != NULL ? arguments.file : CONFIG_DEFAULT_FILE,
		arguments.file != NULL);
	load_environment(&loader, environment);
	set_arguments(&loader, &arguments);
	if (loader.n_mistakes == 0)
		check_together(&loader);
	if (loader.is_command_line_wrong)
		return ERR_PARAM;
	return loader.n_mistakes > 0 ? ERR_CONFIG : 0;
}

void config_done(struct config *config)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (table[i].type == TYPE_TEXT)
			free(get_text(config, &table[i]));
	memset(config, 0, sizeof(*config));
}

static bool is_equal(
	const struct config *a, const struct config *b, const struct option_row *row)
{
	if (row->type == TYPE_TEXT)
		return strcmp(get_text(a, row), get_text(b, row)) == 0;
	return get_number(a, row) == get_number(b, row);
}

void config_reload(
	struct config *config, const struct config *fresh, struct errmsg *ret_restart)
{
	size_t len = 0;

	ret_restart->text[0] = '\0';
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_row *row = &table[i];

		if (is_equal(config, fresh, row))
			continue;
		if (row->can_reload)
			*(uint64_t *)field(config, row) = get_number(fresh, row);
		else
			len += (size_t)snprintf(ret_restart->text + len,
				sizeof(ret_restart->text) - len, "%s%s",
				len > 0 ? "," : "", row->name);
	}
}

/* The password of a URL is shown as ***. */
static void print_masked(const char *url, FILE *out)
{
	const char *scheme = strstr(url, "://");
	const char *end = scheme != NULL ? scheme + 3 + strcspn(scheme + 3, "/") : url;
	const char *sign = scheme != NULL
		? memrchr(scheme + 3, '@', (size_t)(end - scheme - 3))
		: NULL;
	const char *colon = sign != NULL
		? memchr(scheme + 3, ':', (size_t)(sign - scheme - 3))
		: NULL;
	const char *shown = colon != NULL ? colon + 1 : scheme != NULL ? scheme + 3 : url;

	if (sign == NULL)
		(void)fputs(url, out); /* looked at with ferror() by the caller */
	else
		(void)fprintf(out, "%.*s***%s", (int)(shown - url), url, sign);
}

void config_print(const struct config *config, FILE *out)
{
	char buf[64];

	for (size_t i = 0; i < N_OPTIONS; i++) {
		const struct option_row *row = &table[i];

		(void)fprintf(out, "%s = ", row->name); /* see above */
		if (row->is_secret)
			print_masked(get_text(config, row), out);
		else
			(void)fputs(row->type == TYPE_TEXT
					? get_text(config, row)
					: format_value(row, get_number(config, row), buf),
				out);
		(void)fputc('\n', out);
	}
}

void config_print_help(FILE *out)
{
	char name[40];

	(void)fputs("tallyd: traffic accounting daemon for GOST v3 proxies\n\n"
		    "usage: tallyd [OPTION]...\n\n",
		out); /* looked at with ferror() by the caller */
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *argument = commands[i].argument;

		(void)snprintf(name, sizeof(name), "%s%s%s", commands[i].name,
			argument != NULL ? " " : "", argument != NULL ? argument : "");
		(void)fprintf(out, "  --%-24s %s\n", name, commands[i].help);
	}
	(void)fputs("\nOptions, as --a-b VALUE, as `a_b = VALUE` in the file, or as "
		    "TALLYD_A_B in "
		    "the environment:\n\n",
		out);
	for (size_t i = 0; i < N_OPTIONS; i++) {
		dashed(name, sizeof(name), table[i].name);
		(void)fprintf(out, "  --%-24s %s\n  %-26s default: %s%s%s\n", name,
			table[i].help, "", table[i].fallback,
			table[i].also != NULL ? "; also " : "",
			table[i].also != NULL ? table[i].also : "");
	}
	(void)fputs("\nSIGTERM and SIGINT stop it after a last flush; SIGHUP reads the "
		    "configuration again.\nExit codes: 0 stopped, 64 usage, 70 a bug, 74 "
		    "storage, "
		    "75 data_dir is in use, 78 configuration.\n",
		out);
}

void config_to_flush(const struct config *config, struct flush_config *ret_flush)
{
	uint64_t emergency = config->emergency_flush_size;

	if (emergency == AUTO)
		emergency = (config->max_pending_users * 4 + 4) / 5;
	if (emergency > config->max_pending_users)
		emergency = config->max_pending_users;
	*ret_flush = (struct flush_config){.interval_ms = config->sync_interval,
		.max_pending_users = config->max_pending_users,
		.emergency_flush_size = emergency,
		.max_retries = (unsigned)config->max_retries,
		.retry_delay_ms = config->retry_delay};
}

void config_to_journal(const struct config *config, struct journal_config *ret_journal)
{
	*ret_journal = (struct journal_config){
		.fsync = (enum journal_fsync)config->journal_fsync,
		.max_bytes = config->journal_max_bytes,
		.min_free_bytes = config->min_free_bytes};
}
