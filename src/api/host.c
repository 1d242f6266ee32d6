#include "api/host.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#define NAME_BYTES 256

struct address {
	int family;
	unsigned char bytes[sizeof(struct in6_addr)];
};

static bool is_port(const char *text, const char *end)
{
	if (text < end && *text++ != ':')
		return false;
	while (text < end && *text >= '0' && *text <= '9')
		text++;
	return text == end;
}

/* Without the port, the brackets and a dot at the end. False if it is too long, or more
 * follows than a port. */
static bool cut_name(const char *text, size_t len, char ret_name[NAME_BYTES])
{
	const char *end = text + len, *rest;

	if (len > 0 && text[0] == '[') {
		const char *close = memchr(text, ']', len);

		len = close != NULL ? (size_t)(close - text - 1) : 0;
		rest = close != NULL ? close + 1 : end;
		text++;
	} else {
		const char *colon = memchr(text, ':', len);

		len = colon != NULL ? (size_t)(colon - text) : len;
		rest = text + len;
		if (len > 1 && text[len - 1] == '.')
			len--;
	}
	if (len >= NAME_BYTES || !is_port(rest, end))
		return false;
	memcpy(ret_name, text, len);
	ret_name[len] = '\0';
	return true;
}

static bool parse_address(const char *name, struct address *ret_address)
{
	*ret_address = (struct address){.family = AF_INET};
	if (inet_pton(AF_INET, name, ret_address->bytes) == 1)
		return true;
	ret_address->family = AF_INET6;
	return inet_pton(AF_INET6, name, ret_address->bytes) == 1;
}

static bool is_same(const struct address *a, const struct address *b)
{
	return a->family == b->family &&
		memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

static bool is_loopback(const struct address *address)
{
	static const struct address one = {AF_INET6, {[15] = 1}};

	return address->family == AF_INET ? address->bytes[0] == 127
					  : is_same(address, &one);
}

static bool ends_with(const char *name, const char *end)
{
	size_t len = strlen(name), n = strlen(end);

	return len > n && strcasecmp(name + len - n, end) == 0;
}

/* Calls `is_it` for each entry, as a name, until it says so. */
static bool any_of(const char *list, bool (*is_it)(const char *entry, const void *arg),
	const void *arg)
{
	char name[NAME_BYTES];

	while (list != NULL && *(list += strspn(list, ", ")) != '\0') {
		size_t len = strcspn(list, ", ");

		if (cut_name(list, len, name) && is_it(name, arg))
			return true;
		list += len;
	}
	return false;
}

static bool is_same_name(const char *entry, const void *name)
{
	return strcasecmp(entry, name) == 0;
}

static bool is_address(const char *entry, const void *address)
{
	struct address listened;

	return parse_address(entry, &listened) && is_same(&listened, address);
}

bool host_is_ours(
	const char *host, const char *own_ip, const char *listen, const char *hostnames)
{
	struct address address, own;
	char name[NAME_BYTES];

	if (!cut_name(host, strlen(host), name))
		return false;
	if (parse_address(name, &address) &&
		(is_loopback(&address) ||
			(parse_address(own_ip, &own) && is_same(&own, &address)) ||
			any_of(listen, is_address, &address)))
		return true;
	return strcasecmp(name, "localhost") == 0 || ends_with(name, ".localhost") ||
		any_of(hostnames, is_same_name, name);
}
