#include "ctl/target.h"
#include "ctl/args.h"
#include "ctl/ctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of an environment variable that is there and not empty, or NULL. */
static const char *from_environment(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* A token goes into a header: visible ASCII, so that nothing ends the line there. */
static bool is_token(const char *token)
{
	for (const char *at = token; *at != '\0'; at++)
		if (*at <= ' ' || *at > '~')
			return false;
	return token[0] != '\0';
}

static int set_token(struct target *target, const char *token, const char *origin,
	struct errmsg *ret_msg)
{
	size_t len = strcspn(token, "\r\n");

	if (len > TARGET_TOKEN_BYTES)
		return err_set(ret_msg, EXIT_USAGE, "%s is too long for a token", origin);
	(void)snprintf(target->token, sizeof(target->token), "%.*s", (int)len, token);
	if (!is_token(target->token))
		return err_set(ret_msg, EXIT_USAGE,
			"%s holds no token: visible ASCII characters without spaces, on "
			"its first line",
			origin);
	return 0;
}

static int read_token_file(
	struct target *target, const char *path, struct errmsg *ret_msg)
{
	char line[TARGET_TOKEN_BYTES + 2] = ""; /* one more than may be, and a NUL */
	FILE *file = fopen(path, "re");
	int code;

	if (file == NULL)
		return err_set(ret_msg, errno == EACCES ? EXIT_NO_RIGHT : EXIT_USAGE,
			"cannot read the token file %s: %s", path, strerror(errno));
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0'; /* refused as empty */
	code = set_token(target, line, path, ret_msg);
	(void)fclose(file); /* nothing was written */
	explicit_bzero(line, sizeof(line));
	return code;
}

static int find_token(
	const struct args *args, struct target *target, struct errmsg *ret_msg)
{
	const char *file = args_value(args, "token-file");
	const char *token = NULL;

	/* The environment's is for a URL: a socket's right is the file's. */
	if (file == NULL && target->socket == NULL) {
		token = from_environment("TALLYD_TOKEN");
		if (token == NULL)
			file = from_environment("TALLYD_TOKEN_FILE");
	}
	if (token != NULL)
		return set_token(target, token, "TALLYD_TOKEN", ret_msg);
	return file != NULL ? read_token_file(target, file, ret_msg) : 0;
}

static int set_url(struct target *target, const char *url, struct errmsg *ret_msg)
{
	const char *host = strncmp(url, "http://", 7) == 0 ? url + 7
		: strncmp(url, "https://", 8) == 0         ? url + 8
							   : NULL;
	size_t len = strlen(url);

	if (host == NULL || strcspn(host, "/") == 0)
		return err_set(ret_msg, EXIT_USAGE,
			"'%s' is no address: it is http://HOST:PORT or https://HOST",
			url);
	/* Not repeated here: it may hold a password. */
	if (memchr(host, '@', strcspn(host, "/")) != NULL)
		return err_set(ret_msg, EXIT_USAGE,
			"the address must not hold a name or password; give a token with "
			"--token-file FILE");
	if (strpbrk(url, "?# ") != NULL)
		return err_set(ret_msg, EXIT_USAGE,
			"the address must not hold '?', '#' or a space");
	while (len > 0 && url[len - 1] == '/')
		len--;
	if (len >= sizeof(target->url_buf))
		return err_set(ret_msg, EXIT_USAGE, "the address is too long");
	(void)snprintf(target->url_buf, sizeof(target->url_buf), "%.*s", (int)len, url);
	target->url = target->url_buf;
	return 0;
}

/* The daemon reads the same variable, and these two words mean no path there. */
static const char *socket_from_environment(void)
{
	const char *value = from_environment("TALLYD_ADMIN_SOCKET");
	bool is_path =
		value != NULL && strcmp(value, "auto") != 0 && strcmp(value, "none") != 0;

	return is_path ? value : NULL;
}

/* The command line goes before the environment; each may name one of the two. */
static int choose(const struct args *args, const char **ret_socket, const char **ret_url,
	struct errmsg *ret_msg)
{
	*ret_socket = args_value(args, "socket");
	*ret_url = args_value(args, "url");
	if (*ret_socket != NULL && *ret_url != NULL)
		return err_set(ret_msg, EXIT_USAGE,
			"--socket and --url name two daemons; give one of them");
	if (*ret_socket != NULL || *ret_url != NULL)
		return 0;
	*ret_socket = socket_from_environment();
	*ret_url = from_environment("TALLYD_URL");
	if (*ret_socket != NULL && *ret_url != NULL)
		return err_set(ret_msg, EXIT_USAGE,
			"TALLYD_ADMIN_SOCKET and TALLYD_URL are both set and name two "
			"daemons; give --socket or --url");
	if (*ret_socket == NULL && *ret_url == NULL)
		*ret_socket = TARGET_DEFAULT_SOCKET;
	return 0;
}

int target_find(
	const struct args *args, struct target *ret_target, struct errmsg *ret_msg)
{
	const char *socket, *url;
	int code = choose(args, &socket, &url, ret_msg);

	*ret_target = (struct target){.socket = socket, .url = "http://localhost"};
	if (code == 0 && url != NULL)
		code = set_url(ret_target, url, ret_msg);
	if (code == 0)
		code = find_token(args, ret_target, ret_msg);
	return code;
}

const char *target_name(const struct target *target)
{
	return target->socket != NULL ? target->socket : target->url;
}
