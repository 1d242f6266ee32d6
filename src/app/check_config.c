/* What --check-config takes, and few can want. */
#include "app/option.h"
#include "app/setup.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* Of the list `listen`: is there an address that is every address? */
static bool listens_everywhere(const struct config *config)
{
	for (const char *at = config->listen; *at != '\0';) {
		size_t len;

		at += strspn(at, ", ");
		len = strcspn(at, ", ");
		if (strncmp(at, "0.0.0.0:", 8) == 0 || strncmp(at, "[::]:", 5) == 0)
			return true;
		at += len;
	}
	return false;
}

static bool is_anonymous(const struct config *config)
{
	return config->allow_anonymous != 0;
}

static bool is_never_synced(const struct config *config)
{
	return config->journal_fsync == FSYNC_NO;
}

static bool has_no_reserve(const struct config *config)
{
	return config->min_free_bytes == 0;
}

static bool flushes_late(const struct config *config)
{
	return config->sync_interval > 3600000;
}

static bool takes_small_bodies(const struct config *config)
{
	return config->max_body_bytes < 1 << 20;
}

static bool has_idle_emergency(const struct config *config)
{
	return config->emergency_flush_size != OPTION_AUTO &&
		config->emergency_flush_size > config->max_pending_users;
}

/* More than the answer may wait is for connecting only. */
static bool has_large_timeout(const struct config *config)
{
	return config->redis_timeout > 5000 && strcmp(config->redis_url, "none") != 0;
}

static const struct oddity {
	bool (*holds)(const struct config *config);
	const char *sentence, *change;
} oddities[] = {
	{listens_everywhere,
		"listen names every address of this machine: secrets pass there in the "
		"clear, for whoever is on the way; name those that GOST uses",
		"listen = 127.0.0.1:3000"},
	{is_anonymous,
		"allow_anonymous lets whoever reaches the port report bytes for anybody, "
		"while the directory is open",
		"allow_anonymous = no"},
	{is_never_synced,
		"journal_fsync is no: when the machine stops, what was answered ok may "
		"be gone",
		"journal_fsync = everysec"},
	{has_no_reserve,
		"min_free_bytes is 0: a full disk leaves no room for the checkpoint that "
		"would empty the journal",
		"min_free_bytes = auto"},
	{flushes_late,
		"sync_interval is above an hour: SQLite is that far behind, and the "
		"journal that long",
		"sync_interval = 45s"},
	{takes_small_bodies,
		"max_body_bytes is below 1 MiB: a report of some 5,000 users is refused, "
		"for ever",
		"max_body_bytes = 32MiB"},
	{has_idle_emergency,
		"emergency_flush_size is above max_pending_users, which counts instead",
		"emergency_flush_size = auto"},
	{has_large_timeout,
		"redis_timeout is above 5 s: that long it takes to see that Redis is "
		"gone",
		"redis_timeout = 500ms"},
};

/* Whether it has anything that others must not read. */
static bool is_file_secret(const struct config *config)
{
	return config->api_token[0] != '\0' || config->read_token[0] != '\0' ||
		strchr(config->redis_url, '@') != NULL;
}

static void check_file(struct setup *setup)
{
	const struct config *config = setup->config;
	struct stat st;

	if (stat(config->file, &st) != 0) {
		setup_find(setup, SETUP_OK, "configuration",
			"there is no %s: the defaults are in force", config->file);
		return;
	}
	setup_find(setup, SETUP_OK, "configuration", "the configuration %s is good",
		config->file);
	if (S_ISREG(st.st_mode) && (st.st_mode & S_IROTH) != 0 &&
		is_file_secret(config)) {
		setup_find(setup, SETUP_WARNING, "configuration",
			"everybody on this machine can read %s, and it holds a secret",
			config->file);
		setup_change(setup, "chgrp tallyd %s && chmod 640 %s", config->file,
			config->file);
	}
}

void setup_check_config(struct setup *setup)
{
	check_file(setup);
	for (size_t i = 0; i < sizeof(oddities) / sizeof(oddities[0]); i++) {
		if (!oddities[i].holds(setup->config))
			continue;
		setup_find(setup, SETUP_WARNING, "configuration", "%s",
			oddities[i].sentence);
		setup_change(setup, "%s", oddities[i].change);
	}
}
