#include "api/api.h"
#include "app/app.h"
#include "base/json.h"
#include "base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What was printed counts only if it arrived. */
static int printed(void)
{
	return fflush(stdout) == 0 && !ferror(stdout) ? EXIT_SUCCESS : EXIT_STORAGE;
}

static int execute(enum config_command command, struct config *config,
	const struct invocation *invocation)
{
	switch (command) {
	case COMMAND_HELP:
		config_print_help(stdout);
		return printed();
	case COMMAND_VERSION:
		(void)puts("tallyd " TALLYD_VERSION);
		return printed();
	case COMMAND_CHECK_CONFIG:
		(void)puts("the configuration is good");
		return printed();
	case COMMAND_PRINT_CONFIG:
		config_print(config, stdout);
		return printed();
	case COMMAND_DUMP_JOURNAL:
		return app_dump_journal(config);
	case COMMAND_SALVAGE:
		return app_salvage(config);
	case COMMAND_FORGET_NODE:
		return app_forget_node(config);
	case COMMAND_RUN:
		break;
	}
	return app_run(config, invocation);
}

int main(int argc, char **argv)
{
	struct config config;
	enum config_command command;
	struct invocation invocation = {0};
	int code, exit_code;

	log_init();
	json_init();
	memset(&config, 0, sizeof(config));
	code = sodium_init() < 0 ? ERR_NOMEM
				 : invocation_take(&invocation, argc, argv, environ);
	if (code == 0)
		code = config_load(&config, argc, invocation.argv, invocation.environment,
			&command, stderr);
	if (code != 0) {
		exit_code = err_exit_code(code);
		(void)fputs(
			"tallyd: not started; tallyd --help lists the options\n", stderr);
	} else {
		exit_code = execute(command, &config, &invocation);
	}
	config_done(&config);
	invocation_done(&invocation);
	return exit_code;
}
