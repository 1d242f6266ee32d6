/*
 * Holds the daemon where cJSON is called, as long as a file is there; that it stands
 * there, tells a file of that name with `.begun` behind it. Preloaded (ld.so(8)).
 *
 *     HOLD_JSON      before a large text is parsed
 *     HOLD_ANSWER    before an object is begun, as for most answers
 *
 * Where SLOW_ANSWER is set, each such object takes longer than a turn has for questions.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LARGE_BYTES 65536
#define LOOK_US 2000
#define SLOW_US 1500

static void hold(const char *variable)
{
	const char *path = getenv(variable);
	char begun[4096];
	int fd;

	if (path == NULL || access(path, F_OK) != 0)
		return;
	(void)snprintf(begun, sizeof(begun), "%s.begun", path);
	fd = open(begun, O_WRONLY | O_CREAT, 0600);
	if (fd >= 0)
		(void)close(fd);
	while (access(path, F_OK) == 0)
		(void)usleep(LOOK_US);
}

void *cJSON_ParseWithLengthOpts(
	const char *value, size_t len, const char **ret_end, int is_terminated);
void *cJSON_CreateObject(void);

void *cJSON_ParseWithLengthOpts(
	const char *value, size_t len, const char **ret_end, int is_terminated)
{
	void *(*real)(const char *, size_t, const char **, int) = (void *(*)(const char *,
		size_t, const char **, int))dlsym(RTLD_NEXT, "cJSON_ParseWithLengthOpts");

	if (len > LARGE_BYTES)
		hold("HOLD_JSON");
	return real(value, len, ret_end, is_terminated);
}

void *cJSON_CreateObject(void)
{
	void *(*real)(void) = (void *(*)(void))dlsym(RTLD_NEXT, "cJSON_CreateObject");

	hold("HOLD_ANSWER");
	if (getenv("SLOW_ANSWER") != NULL)
		(void)usleep(SLOW_US);
	return real();
}
