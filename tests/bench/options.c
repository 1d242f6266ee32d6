#include "bench/options.h"

#include <arpa/inet.h>
#include <err.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_TIMEOUT_NS 5000000000 /* the samples for GOST have less */
#define DEFAULT_PATIENCE_NS 60000000000

enum kind { COUNT, SECONDS, TEXT, FLAG };

struct option {
	const char *name;
	enum kind kind;
	void *value;
};

static uint64_t number_of(const struct option *option, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || value < 0)
		errx(2, "--%s: `%s` is no number", option->name, text);
	return (uint64_t)(option->kind == SECONDS ? value * 1e9 : value);
}

static void set(const struct option *option, const char *text)
{
	if ((text == NULL) != (option->kind == FLAG))
		errx(2, "--%s%s", option->name,
			text == NULL ? " needs a value" : " takes no value");
	if (option->kind == FLAG)
		*(bool *)option->value = true;
	else if (option->kind == TEXT)
		*(const char **)option->value = text;
	else
		*(uint64_t *)option->value = number_of(option, text);
}

/* As many as the last user needs, if it is not said. */
static void set_id_digits(struct shape *shape)
{
	uint64_t digits = 1;

	for (uint64_t rest = shape->users / 10; rest > 0; rest /= 10)
		digits++;
	if (shape->id_digits == 0)
		shape->id_digits = digits;
	if (shape->id_digits < digits)
		errx(2, "--id-digits: user %" PRIu64 " has more", shape->users);
}

static void find_and_set(const struct option *option, const char *given)
{
	size_t len = strcspn(given, "=");

	for (; option->name != NULL; option++)
		if (strlen(option->name) == len && memcmp(option->name, given, len) == 0)
			break;
	if (option->name == NULL)
		errx(2, "there is no option --%s", given);
	set(option, given[len] == '=' ? given + len + 1 : NULL);
}

/* http://ADDRESS:PORT/PATH. The parts stay in `url`. */
static void parse_url(struct options *options, char *url)
{
	static const char scheme[] = "http://";
	struct sockaddr_in *server = &options->server;
	char *host = url + strlen(scheme), *path, *colon;

	if (strncmp(url, scheme, strlen(scheme)) != 0)
		errx(2, "`%s` does not begin with %s", url, scheme);
	path = strchr(host, '/');
	options->shape.target = path != NULL ? strdup(path) : "/";
	if (path != NULL)
		*path = '\0';
	options->shape.host = strdup(host);
	if (options->shape.target == NULL || options->shape.host == NULL)
		err(1, "memory");
	colon = strchr(host, ':');
	if (colon != NULL)
		*colon = '\0';
	server->sin_family = AF_INET;
	server->sin_port = htons((uint16_t)(colon != NULL ? atoi(colon + 1) : 80));
	if (inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host,
		    &server->sin_addr) != 1)
		errx(2, "`%s` is no address of four numbers", host);
}

void options_parse(struct options *options, int argc, char **argv)
{
	struct shape *shape = &options->shape;
	const struct option table[] = {
		{"connections", COUNT, &options->connections},
		{"reports", COUNT, &options->reports},
		{"seconds", SECONDS, &options->limit_ns},
		{"every", SECONDS, &options->every_ns},
		{"at-once", FLAG, &options->is_at_once},
		{"timeout", SECONDS, &options->timeout_ns},
		{"patience", SECONDS, &options->patience_ns},
		{"raw", TEXT, &options->raw},
		{"answers", COUNT, &options->answers},
		{"linger", SECONDS, &options->linger_ns},
		{"samples", TEXT, &options->samples},
		{"events", COUNT, &shape->events},
		{"users", COUNT, &shape->users},
		{"id-digits", COUNT, &shape->id_digits},
		{"service", TEXT, &shape->service},
		{"header", TEXT, &shape->header},
		{"cumulative", FLAG, &shape->is_cumulative},
		{NULL, FLAG, NULL},
	};

	*options = (struct options){.connections = 1,
		.timeout_ns = DEFAULT_TIMEOUT_NS,
		.patience_ns = DEFAULT_PATIENCE_NS,
		.answers = 1,
		.shape = {.events = 1, .users = 1000, .service = "bench"}};
	for (int i = 1; i < argc - 1; i++) {
		if (strncmp(argv[i], "--", 2) != 0)
			errx(2, "`%s` is no option", argv[i]);
		find_and_set(table, argv[i] + 2);
	}
	if (argc < 2)
		errx(2, "usage: send [--NAME=VALUE] http://ADDRESS:PORT/PATH");
	if (options->connections == 0 || shape->users == 0)
		errx(2, "nobody is to send");
	set_id_digits(shape);
	parse_url(options, argv[argc - 1]);
}
