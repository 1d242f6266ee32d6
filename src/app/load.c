/*
 * Gathers the values from where they may stand, each source over the one before:
 * defaults, file, environment, command line. Every mistake becomes a line, none ends the
 * reading.
 */
#include "app/command.h"
#include "app/option.h"
#include "app/secret.h"
#include "base/owner.h"

#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Where a value came from, for the sentence about what is wrong with it. */
struct source {
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
	int seen_at[OPTION_COUNT]; /* the line of the file that set it */
	bool is_command_line_wrong;
};

__attribute__((format(printf, 4, 5))) static void mistake(struct loader *loader,
	const struct source *source, const char *name, const char *format, ...)
{
	va_list args;

	/* What cannot be written to stderr cannot be helped; the exit code tells as well.
	 */
	if (source->file != NULL)
		(void)fprintf(loader->errors, "%s:%d: ", source->file, source->line);
	else
		(void)fprintf(loader->errors, "%s: ", source->where);
	if (name != NULL)
		(void)fprintf(loader->errors, "%s: ", name);
	va_start(args, format);
	(void)vfprintf(loader->errors, format, args);
	va_end(args);
	(void)fputc('\n', loader->errors);
	loader->n_mistakes++;
}

static void unknown(struct loader *loader, const struct source *source, const char *name)
{
	const char *near = option_near_miss(name);

	if (near != NULL)
		mistake(loader, source, name, "there is no such option; did you mean %s?",
			near);
	else
		mistake(loader, source, name, "there is no such option");
}

static void set_value(struct loader *loader, const struct option_row *row,
	const char *text, const struct source *source)
{
	struct errmsg msg = {""};

	if (option_set(loader->config, row, text, &msg) != 0)
		mistake(loader, source, row->name, "%s", msg.text);
}

/* The file */

/* inih tells only of the first line that it cannot read: each is found here instead, and
 * made a comment. */
static void check_line(struct loader *loader, char *line)
{
	const char *at = strncmp(line, "\xef\xbb\xbf", 3) == 0 ? line + 3 : line;
	struct source source = {loader->file, loader->line, NULL};

	if (strchr("#;[\r\n", *at) != NULL || at[strcspn(at, "=:")] != '\0')
		return;
	mistake(loader, &source, NULL, "`name = value` is expected");
	line[0] = '#';
}

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
		struct source source = {loader->file, loader->line, NULL};
		int c;

		mistake(loader, &source, NULL, "the line is longer than %d characters",
			size - 2);
		do
			c = fgetc(loader->stream);
		while (c != '\n' && c != EOF);
		line[0] = '#';
	}
	blank = strspn(line, " \t");
	memmove(line, line + blank, strlen(line + blank) + 1);
	check_line(loader, line);
	return line;
}

static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct loader *loader = arg;
	struct source source = {loader->file, loader->line, NULL};
	const struct option_row *row = option_find(name);

	if (section[0] != '\0') {
		mistake(loader, &source, name, "there is no section [%s]", section);
	} else if (row == NULL) {
		unknown(loader, &source, name);
	} else if (loader->seen_at[row - option_rows()] != 0) {
		mistake(loader, &source, name, "it was set in line %d already",
			loader->seen_at[row - option_rows()]);
	} else {
		loader->seen_at[row - option_rows()] = loader->line;
		set_value(loader, row, value, &source);
	}
	return 1;
}

static void refuse_file(
	struct loader *loader, const struct source *source, const char *path)
{
	struct errmsg msg;
	const char *cause = strerror(errno);

	if (errno == EACCES)
		(void)owner_explain_reading(&msg, 0, path, cause);
	else
		(void)err_set(&msg, 0, "%s", cause);
	mistake(loader, source, NULL, "%s", msg.text);
}

static void load_file(struct loader *loader, const char *path, bool must_exist)
{
	struct source source = {.where = path};
	int line;

	loader->file = path;
	loader->stream = fopen(path, "re");
	if (loader->stream == NULL) {
		if (must_exist || errno != ENOENT)
			refuse_file(loader, &source, path);
		return;
	}
	line = ini_parse_stream(read_line, loader, on_key, loader);
	source = (struct source){path, line, NULL};
	if (line > 0)
		mistake(loader, &source, NULL, "`name = value` is expected");
	if (ferror(loader->stream))
		mistake(loader, &(struct source){.where = path}, NULL,
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
	struct source source = {.where = where};

	(void)snprintf(where, sizeof(where), "environment %s", name);
	/* Empty means unset, where it could mean nothing else. */
	if (value != NULL &&
		(value[0] != '\0' || (row->type == TYPE_TEXT && row->min == 0)))
		set_value(loader, row, value, &source);
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
	char name[64] = "", where[128];
	size_t n = 0;

	for (const char *at = variable + 7;
		*at != '=' && *at != '\0' && n + 1 < sizeof(name); at++)
		name[n++] = (char)(*at >= 'A' && *at <= 'Z' ? *at + 32 : *at);
	(void)snprintf(where, sizeof(where), "environment %.*s",
		(int)strcspn(variable, "="), variable);
	if (option_find(name) == NULL && option_near_miss(name) != NULL)
		unknown(loader, &(struct source){.where = where}, name);
}

static void load_environment(struct loader *loader, char *const *environment)
{
	char name[80] = "TALLYD_";

	for (size_t i = 0; i < OPTION_COUNT; i++)
		if (option_rows()[i].also != NULL)
			set_from_environment(loader, &option_rows()[i], environment,
				option_rows()[i].also);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		upper_case(name + 7, sizeof(name) - 7, option_rows()[i].name);
		set_from_environment(loader, &option_rows()[i], environment, name);
	}
	for (; *environment != NULL; environment++)
		if (strncmp(*environment, "TALLYD_", 7) == 0)
			check_variable(loader, *environment);
}

/* The command line */

#define N_LONG (OPTION_COUNT + COMMAND_COUNT)

struct arguments {
	const char *file, *take_over;
	enum config_command command;
	const char *values[OPTION_COUNT]; /* of --name=value */
};

static void undashed(char *name)
{
	for (; *name != '\0'; name++)
		if (*name == '-')
			*name = '_';
}

static void make_long_options(
	struct option *options, char names[OPTION_COUNT][OPTION_DASHED_BYTES])
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		option_dashed(&option_rows()[i], names[i]);
		options[i] = (struct option){names[i], required_argument, NULL, (int)i};
	}
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		options[OPTION_COUNT + i] = (struct option){command_rows()[i].name,
			command_rows()[i].argument != NULL ? required_argument
							   : no_argument,
			NULL, (int)(OPTION_COUNT + i)};
	options[N_LONG] = (struct option){0};
}

static bool is_command(const char *name)
{
	for (size_t i = 0; i < COMMAND_COUNT; i++)
		if (strcmp(command_rows()[i].name, name) == 0)
			return true;
	return false;
}

#define SHOWN_BYTES 64

/* What of an argument is shown: not a value, which may be a password. */
static void shown_part(const char *argument, char ret_part[SHOWN_BYTES])
{
	(void)snprintf(
		ret_part, SHOWN_BYTES, "%.*s", (int)strcspn(argument, "=:@"), argument);
}

static void bad_argument(struct loader *loader, int kind, const char *argument)
{
	struct source source = {.where = "command line"};
	char name[SHOWN_BYTES];

	loader->is_command_line_wrong = true;
	shown_part(argument, name);
	if (kind == ':') {
		mistake(loader, &source, name, "a value is missing");
	} else if (strncmp(name, "--", 2) != 0) {
		mistake(loader, &source, name, "there is no such option");
	} else if (is_command(name + 2)) {
		mistake(loader, &source, name, "it takes no value");
	} else {
		undashed(name + 2);
		unknown(loader, &source, name + 2);
	}
}

/* getopt_long() stops there, so all that follows was not looked at either. */
static void stray_argument(struct loader *loader, const char *argument)
{
	struct source source = {.where = "command line"};
	char name[SHOWN_BYTES];

	loader->is_command_line_wrong = true;
	shown_part(argument, name);
	mistake(loader, &source, name, "only options are expected");
}

/* getopt_long() takes any unique beginning of a name; what works today must not mean more
 * tomorrow. */
static bool is_abbreviated(const char *argument, const struct option *option)
{
	return strncmp(argument, "--", 2) == 0 &&
		strcspn(argument + 2, "=") != strlen(option->name);
}

static void set_command(
	struct loader *loader, struct arguments *ret, enum config_command command)
{
	ret->command = command;
	if (command == COMMAND_FORGET_NODE)
		loader->config->forgotten_node = optarg;
}

static void read_arguments(
	struct loader *loader, int argc, char **argv, struct arguments *ret)
{
	struct option options[N_LONG + 1];
	char names[OPTION_COUNT][OPTION_DASHED_BYTES];
	int index, at = 1;

	_Static_assert(N_LONG < ':', "apart from the characters");
	make_long_options(options, names);
	optind = 0; /* again from the start: SIGHUP reads them a second time */
	for (; (index = getopt_long(argc, argv, "+:hV", options, NULL)) != -1;
		at = optind) {
		if (index == '?' || index == ':')
			bad_argument(loader, index, argv[at]);
		else if (index < N_LONG && is_abbreviated(argv[at], &options[index]))
			bad_argument(loader, '?', argv[at]);
		else if (index == 'h')
			ret->command = COMMAND_HELP;
		else if (index == 'V')
			ret->command = COMMAND_VERSION;
		else if ((size_t)index < OPTION_COUNT)
			ret->values[index] = optarg;
		else if ((size_t)index == OPTION_COUNT)
			ret->file = optarg;
		else if ((size_t)index == OPTION_COUNT + 1)
			ret->take_over = optarg;
		else if ((size_t)index == OPTION_COUNT + 2)
			loader->config->is_json = true;
		else
			set_command(loader, ret,
				command_rows()[(size_t)index - OPTION_COUNT].command);
	}
	for (; optind < argc; optind++)
		stray_argument(loader, argv[optind]);
}

static void set_take_over(struct loader *loader, const char *how)
{
	static const enum live_take_over hows[] = {TAKE_OVER_ADOPT, TAKE_OVER_OVERWRITE};
	static const char words[] = "adopt|overwrite";
	struct source source = {.where = "command line"};
	uint64_t index;

	if (how == NULL)
		return;
	if (option_parse_word(how, words, &index)) {
		loader->config->take_over = hows[index];
	} else {
		loader->is_command_line_wrong = true;
		mistake(loader, &source, "take-over-redis", "`%s` is none of %s", how,
			words);
	}
}

static void set_argument(
	struct loader *loader, const struct option_row *row, const char *value)
{
	struct source source = {.where = "command line"};

	if (row->secret == SECRET_WHOLE)
		mistake(loader, &source, row->name,
			"everybody on this machine can read it there: use %s_file, or "
			"TALLYD_* in the environment",
			row->name);
	else
		set_value(loader, row, value, &source);
	if (row->secret == SECRET_IN_URL)
		loader->config->is_redis_url_argument = true;
}

static void set_arguments(struct loader *loader, const struct arguments *arguments)
{
	set_take_over(loader, arguments->take_over);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		unsigned before = loader->n_mistakes;

		if (arguments->values[i] != NULL)
			set_argument(loader, &option_rows()[i], arguments->values[i]);
		loader->is_command_line_wrong |= loader->n_mistakes > before;
	}
}

/* Only one command prints something else with it. */
static void check_json(struct loader *loader, enum config_command command)
{
	struct source source = {.where = "command line"};

	if (!loader->config->is_json || command == COMMAND_CHECK_SETUP)
		return;
	loader->is_command_line_wrong = true;
	mistake(loader, &source, "json", "it is for --check-setup");
}

/* What only shows when all values are there. */
static void check_take_over(struct loader *loader)
{
	struct source source = {.where = "command line"};

	if (loader->config->take_over != TAKE_OVER_NOT &&
		strcmp(loader->config->redis_url, "none") == 0)
		mistake(loader, &source, "take-over-redis",
			"redis_url is none: there is no Redis");
}

/* What `auto` and the files come to: paths are owned, NULL where there is none, and 0 or
 * ERR_NOMEM is returned. */

static int join(const char *folder, size_t len, const char *name, char **ret_path)
{
	size_t size = len + 1 + strlen(name) + 1;

	*ret_path = malloc(size);
	if (*ret_path == NULL)
		return ERR_NOMEM;
	(void)snprintf(*ret_path, size, "%.*s/%s", (int)len, folder, name);
	return 0;
}

/* `name` in the directory of the configuration file. */
static int beside(const char *file, const char *name, char **ret_path)
{
	const char *slash = strrchr(file, '/');

	return slash != NULL ? join(file, (size_t)(slash - file), name, ret_path)
			     : join(".", 1, name, ret_path);
}

/* True if the option says it all. */
static bool is_explicit(const char *option, char **ret_path, int *ret_code)
{
	*ret_path = NULL;
	*ret_code = 0;
	if (strcmp(option, "auto") == 0)
		return false;
	if (strcmp(option, "none") == 0)
		return true;
	*ret_path = strdup(option);
	*ret_code = *ret_path != NULL ? 0 : ERR_NOMEM;
	return true;
}

/* A service manager may name several directories; the first is ours. */
static int resolve_socket(
	const char *option, char *const *environment, const char *name, char **ret_path)
{
	const char *list = lookup(environment, "RUNTIME_DIRECTORY");
	int code;

	if (is_explicit(option, ret_path, &code))
		return code;
	if (list == NULL || list[0] != '/')
		return 0;
	return join(list, strcspn(list, ":"), name, ret_path);
}

static int resolve_first_node(const char *option, const char *file, char **ret_path)
{
	char *path;
	int code;

	if (is_explicit(option, ret_path, &code))
		return code;
	code = beside(file, "first-node", &path);
	if (code != 0)
		return code;
	if (access(path, F_OK) == 0)
		*ret_path = path;
	else
		free(path);
	return 0;
}

static void resolve_token(struct loader *loader, const char *text, const char *option,
	const char *name, char **ret_token)
{
	struct source source = {.where = "configuration"};
	struct errmsg msg = {""};
	char *path = NULL;
	int code = beside(loader->file, name, &path);

	if (code != 0)
		(void)err_set(&msg, code, "%s", err_text(code));
	else
		code = token_find(text, option, path, ret_token, &msg);
	if (code != 0)
		mistake(loader, &source, name, "%s", msg.text);
	free(path);
}

static void resolve(struct loader *loader, char *const *environment)
{
	struct config *config = loader->config;
	struct resolved *resolved = &config->resolved;
	int code = resolve_socket(
		config->admin_socket, environment, "admin.sock", &resolved->admin_socket);

	if (code == 0)
		code = resolve_socket(config->read_socket, environment, "read.sock",
			&resolved->read_socket);
	if (code == 0)
		code = resolve_first_node(config->first_node_file, loader->file,
			&resolved->first_node_file);
	if (code != 0)
		mistake(loader, &(struct source){.where = "configuration"}, NULL, "%s",
			err_text(code));
	resolve_token(loader, config->api_token, config->api_token_file, "api-token",
		&resolved->api_token);
	resolve_token(loader, config->read_token, config->read_token_file, "read-token",
		&resolved->read_token);
}

int config_load(struct config *config, int argc, char **argv, char *const *environment,
	enum config_command *ret_command, FILE *errors)
{
	struct loader loader = {.config = config, .errors = errors};
	struct arguments arguments = {.command = COMMAND_RUN};

	memset(config, 0, sizeof(*config));
	for (size_t i = 0; i < OPTION_COUNT; i++)
		set_value(&loader, &option_rows()[i], option_rows()[i].fallback,
			&(struct source){.where = "default"});
	read_arguments(&loader, argc, argv, &arguments);
	*ret_command = arguments.command;
	if (arguments.command == COMMAND_HELP || arguments.command == COMMAND_VERSION)
		return loader.is_command_line_wrong ? ERR_PARAM : 0;
	check_json(&loader, arguments.command);
	config->file = arguments.file != NULL ? arguments.file : CONFIG_DEFAULT_FILE;
	load_file(&loader, config->file, arguments.file != NULL);
	load_environment(&loader, environment);
	set_arguments(&loader, &arguments);
	if (loader.n_mistakes == 0)
		check_take_over(&loader);
	if (loader.n_mistakes == 0)
		resolve(&loader, environment);
	if (loader.is_command_line_wrong)
		return ERR_PARAM;
	return loader.n_mistakes > 0 ? ERR_CONFIG : 0;
}
