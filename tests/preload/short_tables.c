/*
 * Memory is too short for a hash table of tallyd's. Preloaded (ld.so(8)).
 *
 *     SHORT_TABLES   a file: while it is there, what asks for as many bytes as uthash
 *                    does for a table gets none
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes);

/* Not for a library: what those do then is their own. */
static int is_for_tallyd(const void *caller)
{
	Dl_info info;
	const char *name;

	if (dladdr(caller, &info) == 0 || info.dli_fname == NULL)
		return 0;
	name = strrchr(info.dli_fname, '/');
	return strcmp(name != NULL ? name + 1 : info.dli_fname, "tallyd") == 0;
}

static int is_short(void)
{
	const char *path = getenv("SHORT_TABLES");

	return path != NULL && access(path, F_OK) == 0;
}

void *malloc(size_t bytes)
{
	if (bytes != sizeof(UT_hash_table) || !is_short() ||
		!is_for_tallyd(__builtin_return_address(0)))
		return __libc_malloc(bytes);
	errno = ENOMEM;
	return NULL;
}
