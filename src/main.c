#include "api/api.h"
#include "app/app.h"
#include "app/setup.h"
#include "base/fds.h"
#include "base/json.h"
#include "base/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
	case COMMAND_CHECK_SETUP:
		return app_check_setup(config, NULL);
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

/* The mistakes are kept until it is known who gets them; owned. */
static int load(struct config *config, const struct invocation *invocation,
	enum config_command *ret_command, char **ret_mistakes)
{
	size_t len;
	FILE *errors = open_memstream(ret_mistakes, &len);
	int code;

	if (errors == NULL)
		return ERR_NOMEM;
	code = config_load(config, invocation->argc, invocation->argv,
		invocation->environment, ret_command, errors);
	return fclose(errors) == 0 ? code : ERR_NOMEM;
}

/* What is wrong is what --check-setup was asked for. The exit code. */
static int refuse(enum config_command command, const struct config *config, int code,
	const char *mistakes)
{
	if (code == ERR_CONFIG && command == COMMAND_CHECK_SETUP)
		return app_check_setup(config, mistakes);
	(void)fprintf(stderr, "%stallyd: not started; tallyd --help lists the options\n",
		mistakes != NULL ? mistakes : "");
	return err_exit_code(code);
}

int main(int argc, char **argv)
{
	struct config config;
	enum config_command command = COMMAND_RUN;
	struct invocation invocation = {0};
	char *mistakes = NULL;
	int code, exit_code;

	fds_open_standard();
	/* What is made in data_dir has the same rights wherever it is started from: 0640
	 * and 0750, SQLite's files too. */
	(void)umask(0027);
	log_init();
	json_init();
	memset(&config, 0, sizeof(config));
	code = sodium_init() < 0 ? ERR_NOMEM
				 : invocation_take(&invocation, argc, argv, environ);
	if (code == 0)
		code = load(&config, &invocation, &command, &mistakes);
	exit_code = code == 0 ? execute(command, &config, &invocation)
			      : refuse(command, &config, code, mistakes);
	free(mistakes);
	config_done(&config);
	invocation_done(&invocation);
	return exit_code;
}
