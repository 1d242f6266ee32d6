/* redis_url, taken apart. Messages never show the URL: it may hold a password. */
#include "live/redis.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT 6379

/* Percent-decoded copy of [at, end); NULL if memory is short. */
static char *decode(const char *at, const char *end)
{
	char *text = strndup(at, (size_t)(end - at));

	if (text != NULL)
		(void)text_unescape(text); /* its length is its NUL */
	return text;
}

static int parse_number(const char *text, const char *end, long max, int *ret_number)
{
	char *stop;
	long number = strtol(text, &stop, 10);

	if (*text < '0' || *text > '9' || stop != end || number > max)
		return ERR_CONFIG;
	*ret_number = (int)number;
	return 0;
}

/* [user:pass@], [:pass@] or [pass@] */
static int parse_credentials(
	const char *at, const char *end, struct redis_address *address)
{
	const char *colon = memchr(at, ':', (size_t)(end - at));

	if (colon != NULL && colon > at) {
		address->user = decode(at, colon);
		if (address->user == NULL)
			return ERR_NOMEM;
	}
	address->password = decode(colon != NULL ? colon + 1 : at, end);
	return address->password == NULL ? ERR_NOMEM : 0;
}

static int parse_host_port(const char *at, const char *end, struct redis_address *address,
	struct errmsg *msg)
{
	const char *host_end = end, *port = NULL;

	if (*at == '[') {
		host_end = memchr(at, ']', (size_t)(end - at));
		if (host_end == NULL)
			return err_set(msg, ERR_CONFIG, "`[` is not closed");
		port = host_end + 1 < end ? host_end + 1 : NULL;
		at++;
		if (port != NULL && *port != ':')
			return err_set(msg, ERR_CONFIG, "`:port` is expected after `]`");
	} else {
		port = memchr(at, ':', (size_t)(end - at));
		host_end = port != NULL ? port : end;
	}
	address->port = DEFAULT_PORT;
	if (port != NULL &&
		(parse_number(port + 1, end, 65535, &address->port) != 0 ||
			address->port == 0))
		return err_set(
			msg, ERR_CONFIG, "the port is not a number from 1 to 65535");
	if (host_end == at)
		return err_set(msg, ERR_CONFIG, "the host is missing");
	if (memchr(at, '?', (size_t)(host_end - at)) != NULL)
		return err_set(msg, ERR_CONFIG, "the database is written as /NUMBER");
	address->host = decode(at, host_end);
	return address->host == NULL ? ERR_NOMEM : 0;
}

static int parse_redis(const char *at, struct redis_address *address, struct errmsg *msg)
{
	const char *slash = strchr(at, '/');
	const char *end = slash != NULL ? slash : at + strlen(at);
	const char *sign = memrchr(at, '@', (size_t)(end - at));
	int code = 0;

	if (sign != NULL)
		code = parse_credentials(at, sign, address);
	if (code == 0)
		code = parse_host_port(sign != NULL ? sign + 1 : at, end, address, msg);
	if (code == 0 && slash != NULL && slash[1] != '\0' &&
		parse_number(slash + 1, slash + strlen(slash), 1 << 20, &address->db) !=
			0)
		return err_set(msg, ERR_CONFIG,
			"the database after the last `/` is not a number");
	return code;
}

/* //[user:pass@]/path[?db=N] */
static int parse_unix(const char *at, struct redis_address *address, struct errmsg *msg)
{
	const char *path = strchr(at, '/');
	const char *query = strchr(at, '?');
	const char *end = query != NULL ? query : at + strlen(at);
	int code = 0;

	if (path == NULL || path >= end)
		return err_set(msg, ERR_CONFIG, "the path of the socket is missing");
	if (path > at && path[-1] == '@')
		code = parse_credentials(at, path - 1, address);
	else if (path > at)
		return err_set(
			msg, ERR_CONFIG, "write it as unix:///path/of/the/socket?db=0");
	if (code != 0)
		return code;
	address->path = decode(path, end);
	if (address->path == NULL)
		return ERR_NOMEM;
	if (query != NULL &&
		(strncmp(query, "?db=", 4) != 0 ||
			parse_number(query + 4, query + strlen(query), 1 << 20,
				&address->db) != 0))
		return err_set(
			msg, ERR_CONFIG, "after the path only ?db=NUMBER is understood");
	return 0;
}

int redis_address_parse(
	const char *url, struct redis_address *ret_address, struct errmsg *ret_msg)
{
	struct redis_address address = {0};
	int code;

	if (strncmp(url, "redis://", 8) == 0)
		code = parse_redis(url + 8, &address, ret_msg);
	else if (strncmp(url, "unix://", 7) == 0)
		code = parse_unix(url + 7, &address, ret_msg);
	else
		code = err_set(ret_msg, ERR_CONFIG,
			"it begins neither with redis:// nor with unix:// and is not "
			"`none`");
	if (code == ERR_NOMEM)
		(void)err_set(ret_msg, code, "%s", err_text(code));
	if (code != 0)
		redis_address_done(&address);
	else
		*ret_address = address;
	return code;
}

void redis_address_text(
	const struct redis_address *address, char text[static REDIS_ADDRESS_BYTES])
{
	if (address->path != NULL)
		(void)snprintf(text, REDIS_ADDRESS_BYTES, "unix:%s?db=%d", address->path,
			address->db);
	else
		(void)snprintf(text, REDIS_ADDRESS_BYTES, "%s:%d/%d", address->host,
			address->port, address->db);
	text_make_clean(
		text, strlen(text)); /* what was percent-encoded may be anything */
}

void redis_address_url(const struct redis_address *address, bool has_password,
	char text[static REDIS_URL_BYTES])
{
	const char *user = address->user != NULL ? address->user : "default";
	bool is_v6 = address->host != NULL && strchr(address->host, ':') != NULL;
	int len = snprintf(text, REDIS_URL_BYTES, "%s://%s%s",
		address->path != NULL ? "unix" : "redis", has_password ? user : "",
		has_password ? ":PASSWORD@" : "");

	if (len >= REDIS_URL_BYTES)
		return;
	text += len;
	if (address->path != NULL)
		(void)snprintf(text, REDIS_URL_BYTES - (size_t)len, "%s?db=%d",
			address->path, address->db);
	else
		(void)snprintf(text, REDIS_URL_BYTES - (size_t)len, "%s%s%s:%d/%d",
			is_v6 ? "[" : "", address->host, is_v6 ? "]" : "", address->port,
			address->db);
}

void redis_address_done(struct redis_address *address)
{
	free(address->host);
	free(address->path);
	free(address->user);
	free(address->password);
	*address = (struct redis_address){0};
}
