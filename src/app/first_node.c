/*
 * The first node: what an installation has written down for an empty data directory
 * becomes a node, and closes the directory to names without a secret, in one record.
 */
#include "app/first_node.h"
#include "base/log.h"
#include "command/command.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct found {
	char name[256], secret[256];
	bool is_wrong; /* a line that is neither of the two, or one of them again */
};

static int on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct found *found = arg;
	bool is_name = strcmp(name, "name") == 0;
	char *into = is_name ? found->name : found->secret;

	if (section[0] != '\0' || (!is_name && strcmp(name, "secret") != 0) ||
		into[0] != '\0')
		found->is_wrong = true;
	else
		(void)snprintf(into, sizeof(found->name), "%s", value);
	return 1;
}

static int read_file(const char *path, struct found *ret_found, struct errmsg *msg)
{
	FILE *stream = fopen(path, "re");
	int line;

	if (stream == NULL)
		return err_set(msg, ERR_CONFIG, "first_node_file: %s: %s", path,
			strerror(errno));
	line = ini_parse_file(stream, on_key, ret_found);
	(void)fclose(stream); /* only read from */
	if (line != 0 || ret_found->is_wrong || ret_found->name[0] == '\0' ||
		ret_found->secret[0] == '\0')
		return err_set(msg, ERR_CONFIG,
			"first_node_file: %s: two lines are expected, `name = NAME` and "
			"`secret = SECRET`",
			path);
	return 0;
}

int first_node_make(struct commands *commands, const char *path, struct errmsg *ret_msg)
{
	struct found found = {.is_wrong = false};
	struct errmsg msg = {""};
	int code = read_file(path, &found, ret_msg);

	if (code == 0)
		code = commands_first_node(commands, found.name, found.secret, &msg);
	explicit_bzero(found.secret, sizeof(found.secret));
	if (msg.text[0] != '\0')
		return err_set(ret_msg, code == ERR_PARAM ? ERR_CONFIG : code,
			"first_node_file: %s: %s", path, msg.text);
	if (code == 0)
		log_info("the first node is made: names without a secret may not report",
			"file=%s", LOG_QUOTE(path));
	return code;
}
