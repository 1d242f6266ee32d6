/* How a finding of --check-setup is printed: what is written here is looked at with
 * ferror() at the end. */
#include "app/setup.h"
#include "base/text.h"
#include "live/redis.h"

#include <stdarg.h>
#include <string.h>

#define SENTENCE_BYTES 1024

static const char *level_name(enum setup_level level)
{
	static const char *const names[] = {"ok", "warning", "problem"};

	return names[level];
}

/* Another server's words, or a path, may hold anything. */
static void make_safe(char *text)
{
	if (text_is_clean(text, strlen(text)))
		return;
	for (; *text != '\0'; text++)
		if (*text < ' ' || *text > '~')
			*text = '?';
}

static void print_json_text(struct setup *setup, const char *text)
{
	char escaped[6 * SENTENCE_BYTES];

	(void)text_to_json(escaped, sizeof(escaped), text);
	(void)fprintf(setup->out, "\"%s\"", escaped);
}

void setup_end(struct setup *setup)
{
	if (setup->is_in_finding && setup->config->is_json)
		(void)fputs("]}\n", setup->out);
	setup->is_in_finding = false;
}

void setup_find(struct setup *setup, enum setup_level level, const char *code,
	const char *format, ...)
{
	char text[SENTENCE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args); /* longer text is cut */
	va_end(args);
	make_safe(text);
	setup_end(setup);
	setup->is_in_finding = true;
	setup->n_changes = 0;
	setup->n_problems += level == SETUP_PROBLEM;
	if (!setup->config->is_json) {
		(void)fprintf(setup->out, "%-8s %s\n", level_name(level), text);
		return;
	}
	(void)fprintf(setup->out,
		"{\"level\":\"%s\",\"code\":\"%s\",\"sentence\":", level_name(level),
		code);
	print_json_text(setup, text);
	(void)fputs(",\"change\":[", setup->out);
}

void setup_change(struct setup *setup, const char *format, ...)
{
	char text[SENTENCE_BYTES];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	make_safe(text);
	if (!setup->config->is_json) {
		(void)fprintf(setup->out, "             %s\n", text);
		return;
	}
	if (setup->n_changes++ > 0)
		(void)fputc(',', setup->out);
	print_json_text(setup, text);
}

void setup_find_no_right(struct setup *setup, const char *what)
{
	setup_find(setup, SETUP_WARNING, "no-right",
		"you have no right to look into %s, so not all could be looked at: run "
		"it with sudo",
		what);
	setup_change(setup, "sudo tallyctl doctor%s", setup->config_option);
}

static void print_redis(struct setup *setup)
{
	char where[REDIS_ADDRESS_BYTES];
	struct redis_address address;
	struct errmsg unsaid; /* the configuration was checked */

	if (strcmp(setup->config->redis_url, "none") == 0 ||
		redis_address_parse(setup->config->redis_url, &address, &unsaid) != 0)
		return;
	redis_address_text(&address, where);
	redis_address_done(&address);
	(void)fputs(",\"redis\":", setup->out);
	print_json_text(setup, where);
}

void setup_begin(struct setup *setup)
{
	if (!setup->config->is_json || setup->config->data_dir == NULL)
		return;
	(void)fputs("{\"dataDir\":", setup->out);
	print_json_text(setup, setup->config->data_dir);
	print_redis(setup);
	(void)fputs("}\n", setup->out);
}
