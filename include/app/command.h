/* What the program can be told to do on the command line, beside its options. */
#ifndef TALLYD_APP_COMMAND_H
#define TALLYD_APP_COMMAND_H

#include "app/config.h"

#define COMMAND_COUNT 11

struct command_row {
	const char *name, *argument, *help; /* argument: NULL if it takes none */
	enum config_command command;
};

/* COMMAND_COUNT rows; the first three, --config FILE, --take-over-redis=HOW and --json,
 * command nothing. */
const struct command_row *command_rows(void);

#endif
