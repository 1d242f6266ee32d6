#include "live/survey.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

/* The value of a line `name:value` of INFO; "" if there is none. */
static void read_line(const char *info, const char *name, char *ret_value, size_t size)
{
	size_t len = strlen(name);

	ret_value[0] = '\0';
	for (const char *line = info; line != NULL;
		line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL)
		if (strncmp(line, name, len) == 0 && line[len] == ':')
			(void)snprintf(ret_value, size, "%.*s",
				(int)strcspn(line + len + 1, "\r\n"), line + len + 1);
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
	struct survey *survey = item, now = {.version = ""};
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
