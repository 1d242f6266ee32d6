/*
 * A large text of JSON is parsed only once the file that HOLD_JSON names has gone; that
 * it would be, tells a file of that name with `.begun` behind it. Preloaded (ld.so(8)).
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LARGE_BYTES 65536
#define LOOK_US 2000

static void say_begun(const char *path)
{
	char begun[4096];
	int fd;

	(void)snprintf(begun, sizeof(begun), "%s.begun", path);
	fd = open(begun, O_WRONLY | O_CREAT, 0600);
	if (fd >= 0)
		(void)close(fd);
}

void *cJSON_ParseWithLengthOpts(
	const char *value, size_t len, const char **ret_end, int is_terminated);

void *cJSON_ParseWithLengthOpts(
	const char *value, size_t len, const char **ret_end, int is_terminated)
{
	void *(*real)(const char *, size_t, const char **, int) = (void *(*)(const char *,
		size_t, const char **, int))dlsym(RTLD_NEXT, "cJSON_ParseWithLengthOpts");
	const char *path = getenv("HOLD_JSON");

	if (path != NULL && len > LARGE_BYTES && access(path, F_OK) == 0) {
		say_begun(path);
		while (access(path, F_OK) == 0)
			(void)usleep(LOOK_US);
	}
	return real(value, len, ret_end, is_terminated);
}
