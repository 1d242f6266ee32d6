#include "ctl/run.h"
#include "ctl/mem.h"

#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_OUTPUT_BYTES (1u << 20)
#define EXIT_NO_PROGRAM 127 /* of posix_spawn()'s child, if it finds out itself */

/* To its end; what is beyond the bound is thrown away. */
static char *read_all(int fd)
{
	size_t len = 0, cap = 4096;
	char *text = mem_alloc(cap + 1);
	char rest[4096];
	ssize_t n;

	while ((n = len < MAX_OUTPUT_BYTES ? read(fd, text + len, cap - len)
					   : read(fd, rest, sizeof(rest))) > 0) {
		if (len >= MAX_OUTPUT_BYTES)
			continue;
		len += (size_t)n;
		if (len == cap) {
			cap *= 2;
			text = mem_resize(text, cap + 1);
		}
	}
	text[len] = '\0';
	return text;
}

static bool spawn(const char *const argv[], bool is_quiet, int out_fd, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	bool is_started;

	/* These fail only without memory, and then the spawn does. */
	if (posix_spawn_file_actions_init(&actions) != 0)
		return false;
	(void)posix_spawn_file_actions_addopen(
		&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	if (is_quiet)
		(void)posix_spawn_file_actions_addopen(
			&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
	is_started = posix_spawnp(ret_pid, argv[0], &actions, NULL, (char *const *)argv,
			     environ) == 0; /* it changes none of them */
	(void)posix_spawn_file_actions_destroy(&actions);
	return is_started;
}

char *run_program(const char *const argv[], bool is_quiet, int *ret_exit_code)
{
	char *text = NULL;
	int fds[2], status = 0;
	pid_t pid = 0;
	bool is_started;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return NULL;
	is_started = spawn(argv, is_quiet, fds[1], &pid);
	(void)close(fds[1]); /* the program's end */
	if (is_started) {
		text = read_all(fds[0]);
		(void)waitpid(pid, &status, 0); /* it is ours */
		*ret_exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	}
	(void)close(fds[0]); /* read to its end */
	if (text != NULL && text[0] == '\0' && *ret_exit_code == EXIT_NO_PROGRAM) {
		free(text);
		return NULL;
	}
	return text;
}

char *run_beside(const char *name)
{
	char own[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash, *path;

	if (len <= 0)
		return mem_copy(name);
	own[len] = '\0';
	slash = strrchr(own, '/');
	path = mem_format("%.*s/%s", (int)(slash - own), own, name);
	if (access(path, X_OK) == 0)
		return path;
	free(path);
	return mem_copy(name);
}
