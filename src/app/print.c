/* What the program prints of its configuration: the values in force, and --help. */
#include "app/command.h"
#include "app/option.h"

#include <stdio.h>
#include <string.h>

const struct command_row *command_rows(void)
{
	static const struct command_row rows[COMMAND_COUNT] = {
		{"config", "FILE", "read this file instead of " CONFIG_DEFAULT_FILE,
			COMMAND_RUN},
		{"take-over-redis", "HOW",
			"run, and once `adopt` (add) or `overwrite` the totals that are "
			"another's in Redis",
			COMMAND_RUN},
		{"json", NULL, "with --check-setup: one JSON object a line",
			COMMAND_CHECK_SETUP},
		{"help", NULL, "show this and exit", COMMAND_HELP},
		{"version", NULL, "show the version and exit", COMMAND_VERSION},
		{"check-config", NULL,
			"report every mistake of the configuration and exit",
			COMMAND_CHECK_CONFIG},
		{"check-setup", NULL,
			"look at configuration, data_dir, disk, clock, Redis and "
			"addresses, change nothing, and exit",
			COMMAND_CHECK_SETUP},
		{"print-config", NULL, "print the values in force and exit",
			COMMAND_PRINT_CONFIG},
		{"dump-journal", NULL,
			"print the journal's records as lines of JSON and exit",
			COMMAND_DUMP_JOURNAL},
		{"salvage", NULL,
			"take over what can be read of a corrupt journal and exit",
			COMMAND_SALVAGE},
		{"forget-node", "NAME",
			"delete a node: refuse its reports, keep its counters for 30 "
			"days, and exit",
			COMMAND_FORGET_NODE},
	};

	return rows;
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

	for (size_t i = 0; i < OPTION_COUNT; i++) {
		const struct option_row *row = &option_rows()[i];

		(void)fprintf(out, "%s = ", row->name); /* see above */
		if (row->secret == SECRET_IN_URL)
			print_masked(*option_text(config, row), out);
		else if (row->secret == SECRET_WHOLE)
			(void)fputs(
				*option_text(config, row)[0] != '\0' ? "***" : "", out);
		else
			(void)fputs(row->type == TYPE_TEXT
					? *option_text(config, row)
					: option_format(
						  row, *option_number(config, row), buf),
				out);
		(void)fputc('\n', out);
	}
}

void config_print_help(FILE *out)
{
	char name[OPTION_DASHED_BYTES];

	(void)fputs("tallyd: traffic accounting daemon for GOST v3 proxies\n\n"
		    "usage: tallyd [OPTION]...\n\n",
		out); /* looked at with ferror() by the caller */
	for (size_t i = 0; i < COMMAND_COUNT; i++) {
		const char *argument = command_rows()[i].argument;

		(void)snprintf(name, sizeof(name), "%s%s%s", command_rows()[i].name,
			argument != NULL ? " " : "", argument != NULL ? argument : "");
		(void)fprintf(out, "  --%-24s %s\n", name, command_rows()[i].help);
	}
	(void)fputs("\nOptions, as --a-b VALUE, as `a_b = VALUE` in the file, or as "
		    "TALLYD_A_B in "
		    "the environment:\n\n",
		out);
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		option_dashed(&option_rows()[i], name);
		(void)fprintf(out, "  --%-24s %s\n  %-26s default: %s%s%s\n", name,
			option_rows()[i].help, "", option_rows()[i].fallback,
			option_rows()[i].also != NULL ? "; also " : "",
			option_rows()[i].also != NULL ? option_rows()[i].also : "");
	}
	(void)fputs("\nSIGTERM, SIGINT, SIGQUIT, SIGPWR and SIGXCPU stop it after a last "
		    "flush; SIGHUP reads the\nconfiguration again; other signals that "
		    "are no fault of its own are ignored.\nExit codes: 0 stopped, 1 "
		    "--check-setup found a problem, 64 usage, 70 a bug, 74\n"
		    "storage, 75 data_dir is in use, 78 configuration.\n",
		out);
}
