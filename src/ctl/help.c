#include "ctl/help.h"
#include "ctl/args.h"
#include "ctl/target.h"

#include <string.h>

/* What is written here is looked at with ferror() by the caller. */

static void print_options(const struct verb_option *rows, FILE *out)
{
	char name[64];

	for (; rows->name != NULL; rows++) {
		(void)snprintf(name, sizeof(name), "%s%s%s", rows->name,
			rows->argument != NULL ? " " : "",
			rows->argument != NULL ? rows->argument : "");
		if (strlen(name) > 24)
			(void)fprintf(out, "  --%s\n  %-26s %s\n", name, "", rows->help);
		else
			(void)fprintf(out, "  --%-24s %s\n", name, rows->help);
	}
}

static void print_verb(const struct verb *verb, FILE *out)
{
	(void)fprintf(out, "tallyctl %s: %s\n\nusage: tallyctl %s [OPTION]...%s%s\n\n",
		verb->words, verb->summary, verb->words,
		verb->arguments[0] != '\0' ? " " : "", verb->arguments);
	if (verb->options != NULL) {
		print_options(verb->options(), out);
		(void)fputc('\n', out);
	}
	(void)fputs("Options of every command:\n\n", out);
	print_options(verb_common_options(), out);
}

/* Those that begin with `words`: a family, or all. */
static void print_verbs(const char *words, FILE *out)
{
	char name[64];

	for (const struct verb *verb = verb_rows(); verb->words != NULL; verb++) {
		if (strncmp(verb->words, words, strlen(words)) != 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s%s%s", verb->words,
			verb->arguments[0] != '\0' ? " " : "", verb->arguments);
		(void)fprintf(out, "  %-26s %s\n", name, verb->summary);
	}
	(void)fputs("\n`tallyctl COMMAND --help` tells more of each.\n", out);
}

static void print_program(FILE *out)
{
	(void)fputs("tallyctl: asks and commands tallyd, the traffic accounting daemon "
		    "for GOST\n\nusage: tallyctl COMMAND [OPTION]...\n\n",
		out);
	print_verbs("", out);
	(void)fputs("\nOptions of every command:\n\n", out);
	print_options(verb_common_options(), out);
	(void)fputs(
		"\nIt asks the daemon of this machine by its "
		"socket, " TARGET_DEFAULT_SOCKET
		",\nor by --socket or TALLYD_ADMIN_SOCKET. Root and the group "
		"tallyd-admin may use it.\n\n"
		"With --url or TALLYD_URL it asks a daemon by HTTP, with the token in "
		"--token-file,\nTALLYD_TOKEN or the file TALLYD_TOKEN_FILE. A token is "
		"never given on the command\nline: other users of this machine can see "
		"it there, and the shell keeps it in its\nhistory. Over http:// whoever "
		"is on the way can read it: use https://, or a tunnel.\n\n"
		"Exit codes: 0 done, 1 refused by the daemon, or doctor found a problem, "
		"64 usage,\n69 the daemon cannot be reached, 70 no memory, 74 the output "
		"cannot be written,\n77 no right to do that.\n",
		out);
}

void help_print(const struct args *args, FILE *out)
{
	if (args->verb != NULL)
		print_verb(args->verb, out);
	else if (args->words[0] != '\0')
		print_verbs(args->words, out);
	else
		print_program(out);
}
