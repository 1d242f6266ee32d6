#include "base/redis_error.h"

#include <stddef.h>
#include <string.h>

/* Before version 6 Redis had other words for it. */
enum redis_password redis_error_password(const char *error)
{
	static const struct {
		const char *beginning;
		enum redis_password password;
	} errors[] = {
		{"NOAUTH", REDIS_PASSWORD_WANTED},
		{"WRONGPASS", REDIS_PASSWORD_WANTED},
		{"ERR invalid password", REDIS_PASSWORD_WANTED},
		{"ERR AUTH <password> called without", REDIS_PASSWORD_UNKNOWN},
		{"ERR Client sent AUTH, but no", REDIS_PASSWORD_UNKNOWN},
	};

	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strncmp(error, errors[i].beginning, strlen(errors[i].beginning)) == 0)
			return errors[i].password;
	return REDIS_PASSWORD_NO_MATTER;
}
