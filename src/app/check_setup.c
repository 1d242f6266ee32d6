/* The order of the checks: each may use what those before it have found. */
#include "app/setup.h"
#include "base/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Each mistake is a finding; whether the rest is right shows once they are mended. */
static void tell_mistakes(struct setup *setup, const char *mistakes)
{
	bool is_about_rights = strstr(mistakes, strerror(EACCES)) != NULL;

	for (size_t len; *mistakes != '\0'; mistakes += len + (mistakes[len] == '\n')) {
		len = strcspn(mistakes, "\n");
		setup_find(setup, SETUP_PROBLEM, "configuration", "%.*s", (int)len,
			mistakes);
		if (is_about_rights && geteuid() != 0)
			setup_change(
				setup, "sudo tallyctl doctor%s", setup->config_option);
		else
			setup_change(
				setup, "tallyd%s --check-config", setup->config_option);
	}
	setup_end(setup);
}

static void check_all(struct setup *setup)
{
	static void (*const checks[])(struct setup *) = {setup_check_config,
		setup_check_data_dir, setup_check_user, setup_check_database,
		setup_check_journal, setup_check_space, setup_check_clock,
		setup_check_redis, setup_check_ports};

	setup_begin(setup);
	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		checks[i](setup);
	setup_end(setup);
	if (setup->is_dir_open)
		(void)close(setup->dir_fd); /* a directory */
}

int app_check_setup(const struct config *config, const char *mistakes)
{
	struct setup setup = {.config = config, .out = stdout};

	if (strcmp(config->file, CONFIG_DEFAULT_FILE) != 0)
		(void)snprintf(setup.config_option, sizeof(setup.config_option),
			" --config %s", config->file);
	log_set_level(LOG_ERROR); /* what parts would warn of is a finding here */
	if (mistakes != NULL)
		tell_mistakes(&setup, mistakes);
	else
		check_all(&setup);
	if (fflush(stdout) != 0 || ferror(stdout))
		return EXIT_STORAGE;
	return setup.n_problems > 0 ? 1 : 0;
}
