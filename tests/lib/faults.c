#include "lib/faults.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/types.h>

struct fault {
	atomic_uint count, first, last; /* fails from first to last; 0: not armed */
	atomic_int error;
	atomic_bool has_fired;
};

static struct fault faults[FAULT_KINDS];
static atomic_uint shorten_nth;
static atomic_size_t shorten_len;

static void arm(enum fault_kind kind, unsigned first, unsigned last, int error)
{
	struct fault *fault = &faults[kind];

	atomic_store(&fault->first, 0);
	atomic_store(&fault->last, last);
	atomic_store(&fault->error, error);
	atomic_store(&fault->count, 0);
	atomic_store(&fault->has_fired, false);
	atomic_store(&fault->first, first);
}

void faults_reset(void)
{
	atomic_store(&shorten_nth, 0);
	for (int kind = 0; kind < FAULT_KINDS; kind++)
		arm((enum fault_kind)kind, 0, 0, 0);
}

void faults_fail_nth(enum fault_kind kind, unsigned n, int error)
{
	arm(kind, n, n, error);
}

void faults_fail_from(enum fault_kind kind, unsigned n, int error)
{
	arm(kind, n, ~0u, error);
}

void faults_shorten_nth(unsigned n, size_t len)
{
	atomic_store(&shorten_len, len);
	atomic_store(&shorten_nth, n + atomic_load(&faults[FAULT_PWRITE].count));
}

unsigned faults_count(enum fault_kind kind)
{
	return atomic_load(&faults[kind].count);
}

bool faults_fired(enum fault_kind kind)
{
	return atomic_load(&faults[kind].has_fired);
}

/* Counts a call; true, with errno set, if it has to fail. */
static bool fails(enum fault_kind kind)
{
	struct fault *fault = &faults[kind];
	unsigned n = atomic_fetch_add(&fault->count, 1) + 1;
	unsigned first = atomic_load(&fault->first);

	if (first == 0 || n < first || n > atomic_load(&fault->last))
		return false;
	atomic_store(&fault->has_fired, true);
	errno = atomic_load(&fault->error);
	return true;
}

/* The linker sends tallyd's calls here, and __real_ ones to the library. */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *at, size_t size);
char *__real_strdup(const char *text);
ssize_t __real_pwrite(int fd, const void *bytes, size_t len, off_t offset);
int __real_fdatasync(int fd);
int __real_ftruncate(int fd, off_t len);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t size);
char *__wrap_strdup(const char *text);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_ftruncate(int fd, off_t len);

void *__wrap_malloc(size_t size)
{
	return fails(FAULT_MEMORY) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails(FAULT_MEMORY) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *at, size_t size)
{
	return fails(FAULT_MEMORY) ? NULL : __real_realloc(at, size);
}

char *__wrap_strdup(const char *text)
{
	return fails(FAULT_MEMORY) ? NULL : __real_strdup(text);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	if (fails(FAULT_PWRITE))
		return -1;
	if (atomic_load(&faults[FAULT_PWRITE].count) == atomic_load(&shorten_nth) &&
		len > atomic_load(&shorten_len))
		len = atomic_load(&shorten_len);
	return __real_pwrite(fd, bytes, len, offset);
}

int __wrap_fdatasync(int fd)
{
	return fails(FAULT_FDATASYNC) ? -1 : __real_fdatasync(fd);
}

int __wrap_ftruncate(int fd, off_t len)
{
	return fails(FAULT_FTRUNCATE) ? -1 : __real_ftruncate(fd, len);
}
