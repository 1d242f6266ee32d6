/* Whether a start could fold the journal: it is read as a start does, and nothing is
 * changed. What the WAL of a daemon that was killed holds is not seen from outside, so
 * neither is where the fold would begin: then it is left to the start. */
#include "app/setup.h"
#include "base/log.h"
#include "journal/fold.h"

#include <fcntl.h>
#include <unistd.h>

static int pass_over(void *arg, struct record *record)
{
	(void)arg;
	(void)record;
	return 0;
}

void setup_check_journal(struct setup *setup)
{
	struct fold_options options = {.after_seq = setup->applied_seq};
	struct fold_result result = {0};
	struct errmsg msg = {""};
	char user[SETUP_NAME_BYTES];
	int fd, code;

	if (!setup->is_dir_open || setup->running_pid != 0 || !setup->is_database_whole)
		return;
	fd = openat(setup->dir_fd, "journal",
		O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return; /* it was told of */
	code = journal_fold(fd, &options, pass_over, NULL, &result, &msg);
	(void)close(fd); /* a directory */
	if (code == 0) {
		setup_find(setup, SETUP_OK, "journal",
			"the journal can be read: %zu records are not in tally.db yet",
			result.n_records);
		return;
	}
	/* Whose Redis that is stood in the database: where that was lost, it is not
	 * known. */
	if (setup->instance_id[0] == '\0')
		setup->is_instance_unknown = true;
	setup_find(setup, SETUP_PROBLEM, "journal-corrupt",
		"tallyd cannot start: %s/journal: %s", setup->config->data_dir, msg.text);
	setup_change(setup, "cp -a %s %s.copy   # before anything else",
		setup->config->data_dir, setup->config->data_dir);
	setup_change(setup,
		"sudo -u %s tallyd%s --salvage   # loses what cannot be read, then look "
		"with tallyctl node list",
		setup_user_name(setup->owner, user), setup->config_option);
}
