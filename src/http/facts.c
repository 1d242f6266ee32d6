/*
 * What the headers tell: those that make a request ambiguous, which libmicrohttpd 0.9.75
 * takes as they come, and those that tell who asks. They are walked once.
 */
#include "base/text.h"
#include "http/internal.h"

#include <string.h>
#include <strings.h>

/* `*` at the end stands for anything. Whoever passes a request on says so with one of
 * these, and then its connection tells nothing about the client. */
static const char *const forwarding[] = {
	"Forwarded", "Via", "X-Forwarded-*", "X-Real-IP", "CF-*", "True-Client-IP"};

/* Most names differ in the first letter. */
static bool begins_alike(const char *name, const char *wanted)
{
	return ((name[0] ^ wanted[0]) | 0x20) == 0x20;
}

static bool is_named(const char *name, const char *wanted)
{
	return begins_alike(name, wanted) && strcasecmp(name, wanted) == 0;
}

static bool is_like(const char *name, const char *pattern)
{
	size_t len = strlen(pattern);

	return pattern[len - 1] == '*' ? strncasecmp(name, pattern, len - 1) == 0
				       : strcasecmp(name, pattern) == 0;
}

static bool is_forwarding(const char *name)
{
	for (size_t i = 0; i < sizeof(forwarding) / sizeof(forwarding[0]); i++)
		if (begins_alike(name, forwarding[i]) && is_like(name, forwarding[i]))
			return true;
	return false;
}

/* The first one counts; that there are more is for others to judge. */
static void note(unsigned *count, const char **first, const char *value)
{
	if ((*count)++ == 0)
		*first = value != NULL ? value : "";
}

static enum MHD_Result look_at_header(
	void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct headers *headers = arg;

	(void)kind;
	if (is_named(name, MHD_HTTP_HEADER_HOST))
		note(&headers->n_hosts, &headers->host, value);
	else if (is_named(name, MHD_HTTP_HEADER_CONTENT_LENGTH))
		note(&headers->n_lengths, &headers->length, value);
	else if (is_named(name, MHD_HTTP_HEADER_TRANSFER_ENCODING))
		note(&headers->n_encodings, &headers->encoding, value);
	else if (is_named(name, MHD_HTTP_HEADER_AUTHORIZATION))
		note(&headers->n_authorizations, &headers->authorization, value);
	else if (is_named(name, MHD_HTTP_HEADER_ORIGIN))
		note(&headers->n_origins, &headers->origin, value);
	else if (is_named(name, "Sec-Fetch-Site"))
		headers->fetch_site = value;
	else if (is_named(name, MHD_HTTP_HEADER_EXPECT))
		headers->does_expect = true;
	else if (is_forwarding(name))
		headers->is_forwarded = true;
	/* Others read it as the name without the blank, or what it hides. */
	headers->has_odd_name |= strpbrk(name, " \t") != NULL;
	return MHD_YES;
}

void headers_gather(struct MHD_Connection *mhd, struct headers *ret_headers)
{
	*ret_headers = (struct headers){0};
	(void)MHD_get_connection_values(
		mhd, MHD_HEADER_KIND, look_at_header, ret_headers);
}

const char *headers_mistake(const struct headers *headers, const char *version)
{
	if (headers->n_hosts > 1 ||
		(headers->n_hosts == 0 && strcmp(version, "HTTP/1.0") != 0))
		return "exactly one Host header is expected";
	if (headers->has_odd_name)
		return "the name of a header holds a blank";
	if (headers->n_lengths > 1)
		return "there is more than one Content-Length";
	if (headers->n_encodings > 1 ||
		(headers->n_encodings == 1 && headers->n_lengths == 1))
		return "Content-Length and Transfer-Encoding exclude each other";
	if (headers->n_encodings == 1 && strcmp(version, "HTTP/1.0") == 0)
		return "HTTP/1.0 has no Transfer-Encoding";
	return NULL;
}

struct param_walk {
	struct http_facts *facts;
	unsigned seen; /* bits by text_index_in() */
};

static enum MHD_Result look_at_param(
	void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct param_walk *walk = arg;
	int index = text_index_in(walk->facts->route->params, name);

	(void)kind;
	if (name[0] == '\0' && value == NULL)
		return MHD_YES; /* `?a=1&&b=2` */
	if (index < 0 || index >= 32)
		walk->facts->strange_param = name;
	else if ((walk->seen & 1u << index) != 0)
		walk->facts->repeated_param = name;
	else
		walk->seen |= 1u << index;
	return MHD_YES;
}

static const char *param_of(const struct http_facts *facts, const char *name)
{
	return http_param(facts->request, name);
}

void facts_gather(const struct http_request *request, const struct headers *headers,
	struct http_facts *ret_facts)
{
	struct connection *connection = request->connection;
	struct param_walk walk = {.facts = ret_facts};

	*ret_facts = (struct http_facts){.route = request->route,
		.entrance = connection->entrance,
		.is_unix = connection->is_unix,
		.is_local = connection->is_loopback && !headers->is_forwarded,
		.peer_uid = connection->peer_uid,
		.peer = connection->peer,
		.own_ip = connection->own_ip,
		.n_authorizations = headers->n_authorizations,
		.n_origins = headers->n_origins,
		.authorization = headers->authorization,
		.host = headers->host,
		.target_host = request->target_host,
		.origin = headers->origin,
		.fetch_site = headers->fetch_site,
		.param = param_of,
		.request = request,
		.memo = &connection->memo};
	if (request->route != NULL)
		(void)MHD_get_connection_values(
			connection->mhd, MHD_GET_ARGUMENT_KIND, look_at_param, &walk);
}
