#include "app/secret.h"
#include "app/option.h"
#include "base/owner.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char **copy_list(char *const *list, size_t n)
{
	char **copy = calloc(n + 1, sizeof(*copy));

	for (size_t i = 0; copy != NULL && i < n; i++) {
		copy[i] = strdup(list[i]);
		if (copy[i] == NULL) {
			for (size_t j = 0; j < i; j++)
				free(copy[j]);
			free(copy);
			return NULL;
		}
	}
	return copy;
}

static void free_list(char **list)
{
	for (size_t i = 0; list != NULL && list[i] != NULL; i++) {
		explicit_bzero(list[i], strlen(list[i]));
		free(list[i]);
	}
	free(list);
}

/* A URL without a password is no secret, and worth seeing in ps. */
static void wipe(const struct option_row *row, char *value)
{
	if (row->secret == SECRET_WHOLE || strchr(value, '@') != NULL)
		memset(value, '*', strlen(value));
}

static bool is_variable(const char *variable, const char *prefix, const char *name)
{
	size_t n = strlen(prefix), len = strlen(name);

	return strncmp(variable, prefix, n) == 0 &&
		strncasecmp(variable + n, name, len) == 0 && variable[n + len] == '=';
}

static void wipe_variable(char *variable)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		if (row->secret != SECRET_NOT &&
			(is_variable(variable, "TALLYD_", row->name) ||
				(row->also != NULL &&
					is_variable(variable, "", row->also))))
			wipe(row, strchr(variable, '=') + 1);
	}
}

/* `next` is the argument behind it, or NULL. */
static void wipe_argument(char *argument, char *next)
{
	char name[OPTION_DASHED_BYTES];

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];
		size_t len;

		if (row->secret == SECRET_NOT || strncmp(argument, "--", 2) != 0)
			continue;
		option_dashed(row, name);
		len = strlen(name);
		if (strncmp(argument + 2, name, len) != 0)
			continue;
		if (argument[2 + len] == '=')
			wipe(row, argument + 2 + len + 1);
		else if (argument[2 + len] == '\0' && next != NULL)
			wipe(row, next);
	}
}

int invocation_take(
	struct invocation *ret_invocation, int argc, char **argv, char **environment)
{
	size_t n = 0;

	while (environment[n] != NULL)
		n++;
	*ret_invocation = (struct invocation){.argc = argc,
		.argv = copy_list(argv, (size_t)argc),
		.environment = copy_list(environment, n)};
	if (ret_invocation->argv == NULL || ret_invocation->environment == NULL)
		return ERR_NOMEM;
	for (int i = 1; i < argc; i++)
		wipe_argument(argv[i], i + 1 < argc ? argv[i + 1] : NULL);
	for (size_t i = 0; i < n; i++)
		wipe_variable(environment[i]);
	return 0;
}

void invocation_done(struct invocation *invocation)
{
	free_list(invocation->argv);
	free_list(invocation->environment);
	*invocation = (struct invocation){0};
}

int token_check(const char *token, struct errmsg *ret_msg)
{
	size_t len = strlen(token);

	if (len < TOKEN_MIN_BYTES || len > TOKEN_MAX_BYTES)
		return err_set(ret_msg, ERR_CONFIG,
			"a token has %d to %d characters, this one has %zu",
			TOKEN_MIN_BYTES, TOKEN_MAX_BYTES, len);
	for (; *token != '\0'; token++)
		if (*token <= ' ' || *token > '~')
			return err_set(ret_msg, ERR_CONFIG,
				"a token consists of visible ASCII characters, without "
				"blanks");
	return 0;
}

/* Without what stands around it; NULL: there is nothing else. */
static char *trim(char *line)
{
	size_t len;

	while (isspace((unsigned char)*line))
		line++;
	len = strlen(line);
	while (len > 0 && isspace((unsigned char)line[len - 1]))
		line[--len] = '\0';
	return len > 0 ? line : NULL;
}

static int read_token(
	FILE *stream, const char *path, char **ret_token, struct errmsg *msg)
{
	char line[TOKEN_MAX_BYTES + 64];
	const char *token = fgets(line, sizeof(line), stream) != NULL ? trim(line) : NULL;
	struct errmsg what;
	int code = 0;

	if (ferror(stream))
		code = err_set(msg, ERR_CONFIG, "%s: %m", path);
	else if (token == NULL)
		code = err_set(msg, ERR_CONFIG, "%s: its first line is empty", path);
	else if (token_check(token, &what) != 0)
		code = err_set(msg, ERR_CONFIG, "%s: %s", path, what.text);
	else if ((*ret_token = strdup(token)) == NULL)
		code = err_set(msg, ERR_CONFIG, "%s", err_text(ERR_NOMEM));
	explicit_bzero(line, sizeof(line));
	return code;
}

static int refuse(const char *path, struct errmsg *msg)
{
	char denied[256];
	int cause = errno;

	(void)snprintf(denied, sizeof(denied), "%s: %s", path, strerror(cause));
	return cause == EACCES ? owner_explain_reading(msg, ERR_CONFIG, path, denied)
			       : err_set(msg, ERR_CONFIG, "%s", denied);
}

static int read_file(
	const char *path, bool must_exist, char **ret_token, struct errmsg *msg)
{
	FILE *stream = fopen(path, "re");
	int code;

	if (stream == NULL)
		return errno == ENOENT && !must_exist ? 0 : refuse(path, msg);
	code = read_token(stream, path, ret_token, msg);
	(void)fclose(stream); /* only read from */
	return code;
}

int token_find(const char *text, const char *file, const char *beside, char **ret_token,
	struct errmsg *ret_msg)
{
	bool is_auto = strcmp(file, "auto") == 0;

	*ret_token = NULL;
	if (text[0] != '\0') {
		if (!is_auto && strcmp(file, "none") != 0)
			return err_set(ret_msg, ERR_CONFIG,
				"the token itself is set as well: one of the two is "
				"expected");
		*ret_token = strdup(text);
		return *ret_token != NULL
			? 0
			: err_set(ret_msg, ERR_CONFIG, "%s", err_text(ERR_NOMEM));
	}
	if (strcmp(file, "none") == 0)
		return 0;
	return read_file(is_auto ? beside : file, !is_auto, ret_token, ret_msg);
}
