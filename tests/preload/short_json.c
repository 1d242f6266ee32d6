/*
 * Memory is too short for one allocation of cJSON. Preloaded (ld.so(8)).
 *
 *     SHORT_JSON     a file that holds a number: the allocation of that number, counted
 *                    from when the file came, fails, and the file is gone
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct hooks { /* cJSON_Hooks */
	void *(*allocate)(size_t bytes);
	void (*release)(void *memory);
};

void *__libc_malloc(size_t bytes);
void *malloc(size_t bytes);
void cJSON_InitHooks(struct hooks *hooks);

static void *(*real_allocate)(size_t bytes);
static __thread int must_fail;

void *malloc(size_t bytes)
{
	if (!must_fail)
		return __libc_malloc(bytes);
	errno = ENOMEM;
	return NULL;
}

static int is_its_turn(void)
{
	static unsigned count;
	FILE *file = fopen(getenv("SHORT_JSON"), "re");
	unsigned wanted = 0;

	if (file == NULL || fscanf(file, "%u", &wanted) != 1)
		count = 0;
	else
		count++;
	if (file != NULL)
		(void)fclose(file);
	if (wanted == 0 || count < wanted)
		return 0;
	count = 0;
	return unlink(getenv("SHORT_JSON")) == 0;
}

static void *allocate(size_t bytes)
{
	void *memory;

	must_fail = is_its_turn();
	memory = real_allocate(bytes);
	must_fail = 0;
	return memory;
}

void cJSON_InitHooks(struct hooks *hooks)
{
	void (*real)(struct hooks *) =
		(void (*)(struct hooks *))dlsym(RTLD_NEXT, "cJSON_InitHooks");
	struct hooks ours = {allocate, free};

	real_allocate = hooks->allocate;
	real(&ours);
}
