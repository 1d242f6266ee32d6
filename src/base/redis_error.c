#include "base/redis_error.h"

#include <stddef.h>
#include <string.h>

/* Before version 6 Redis had other words for it. */
enum redis_error redis_error_kind(const char *error)
{
	static const struct {
		const char *beginning;
		enum redis_error kind;
	} errors[] = {
		{"NOAUTH", REDIS_ERROR_PASSWORD_WANTED},
		{"WRONGPASS", REDIS_ERROR_PASSWORD_WANTED},
		{"ERR invalid password", REDIS_ERROR_PASSWORD_WANTED},
		{"ERR AUTH <password> called without", REDIS_ERROR_PASSWORD_UNKNOWN},
		{"ERR Client sent AUTH, but no", REDIS_ERROR_PASSWORD_UNKNOWN},
		{"ERR DB index", REDIS_ERROR_DATABASE},
		{"ERR invalid DB index", REDIS_ERROR_DATABASE},
		{"ERR SELECT is not allowed", REDIS_ERROR_DATABASE}, /* a cluster has 0 */
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strncmp(error, errors[i].beginning, strlen(errors[i].beginning)) == 0)
			return errors[i].kind;
	return REDIS_ERROR_OTHER;
}
