#include "live/survey.h"
#include "base/log.h"
#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of a line `name:value` of INFO, or NULL. */
static const char *find_line(const char *info, const char *name)
{
	size_t len = strlen(name);

	for (const char *line = info; line != NULL;
		line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL)
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			return line + len + 1;
	return NULL;
}

/* "" if there is none. */
static void read_line(const char *info, const char *name, char *ret_value, size_t size)
{
	const char *value = find_line(info, name);

	if (value != NULL)
		text_copy_clean(ret_value, size, value, strcspn(value, "\r\n"));
	else
		ret_value[0] = '\0';
}

/* 0 if it is not told. */
static uint64_t read_number(const char *info, const char *name)
{
	const char *value = find_line(info, name);

	return value != NULL ? strtoull(value, NULL, 10) : 0;
}

/* Of a line `db0:keys=7,...`; a database without keys has none. */
static void read_keys(const char *info, int db, struct survey *survey)
{
	char name[16];
	const char *value;

	(void)snprintf(name, sizeof(name), "db%d", db);
	value = find_line(info, name);
	survey->knows_keys = value != NULL || strstr(info, "# Keyspace") != NULL;
	survey->n_keys = value != NULL && strncmp(value, "keys=", 5) == 0
		? strtoull(value + 5, NULL, 10)
		: 0;
}

static void tell(const struct survey *now, const struct survey *before)
{
	if (strcmp(now->maxmemory_policy, before->maxmemory_policy) != 0 &&
		now->maxmemory_policy[0] != '\0' &&
		strcmp(now->maxmemory_policy, "noeviction") != 0)
		log_warn("Redis may evict totals when its memory is full: set its "
			 "maxmemory-policy to noeviction",
			"maxmemory_policy=%s", LOG_QUOTE(now->maxmemory_policy));
	if (strcmp(now->append_only, before->append_only) != 0 &&
		strcmp(now->append_only, "no") == 0)
		log_info("Redis keeps no append-only file: after it dies, it shows what "
			 "its last snapshot had until tallyd has written it again",
			"appendonly=no");
}

static void on_info(void *arg, void *item, const redisReply *reply)
{
	struct survey *survey = item, now = {.db = survey->db};
	char aof[8] = "";

	(void)arg;
	if (reply == NULL)
		return;
	if (reply->type != REDIS_REPLY_STRING) {
		log_limited(LOG_INFO, "Redis does not let us look at its settings",
			"error=%s",
			LOG_QUOTE(reply->type == REDIS_REPLY_ERROR ? reply->str : ""));
		return;
	}
	read_line(reply->str, "redis_version", now.version, sizeof(now.version));
	read_line(reply->str, "maxmemory_policy", now.maxmemory_policy,
		sizeof(now.maxmemory_policy));
	read_line(reply->str, "aof_enabled", aof, sizeof(aof));
	now.n_clients = read_number(reply->str, "connected_clients");
	read_keys(reply->str, now.db, &now);
	if (aof[0] != '\0')
		(void)strcpy(now.append_only, strcmp(aof, "1") == 0 ? "yes" : "no");
	tell(&now, survey);
	*survey = now;
}

void survey_begin(struct redis *redis, struct survey *survey)
{
	const char *argv[] = {"INFO"};

	redis_ask(redis, on_info, survey, 1, argv);
}
