#include "lib/faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

struct fault {
	atomic_uint count, first, last; /* fails from first to last; 0: not armed */
	atomic_int error;
	atomic_bool has_fired;
	bool is_held; /* under `gate` */
};

static struct fault faults[FAULT_KINDS];
static atomic_uint shorten_nth;
static atomic_size_t shorten_len;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_opens = PTHREAD_COND_INITIALIZER;

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
	for (int kind = 0; kind < FAULT_KINDS; kind++) {
		faults_release((enum fault_kind)kind);
		arm((enum fault_kind)kind, 0, 0, 0);
	}
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

static void set_held(enum fault_kind kind, bool is_held)
{
	(void)pthread_mutex_lock(&gate);
	faults[kind].is_held = is_held;
	(void)pthread_cond_broadcast(&gate_opens);
	(void)pthread_mutex_unlock(&gate);
}

void faults_hold(enum fault_kind kind)
{
	set_held(kind, true);
}

void faults_release(enum fault_kind kind)
{
	set_held(kind, false);
}

static void wait_while_held(const struct fault *fault)
{
	(void)pthread_mutex_lock(&gate);
	while (fault->is_held)
		(void)pthread_cond_wait(&gate_opens, &gate);
	(void)pthread_mutex_unlock(&gate);
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
	unsigned first;

	wait_while_held(fault);
	first = atomic_load(&fault->first);
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
char *__real_strndup(const char *text, size_t len);
ssize_t __real_pwrite64(int fd, const void *bytes, size_t len, off_t offset);
int __real_ftruncate64(int fd, off_t len);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_openat64(int dir, const char *name, int flags, ...);
int __real_unlinkat(int dir, const char *name, int flags);
struct dirent *__real_readdir64(DIR *dir);
int __real_sqlite3_step(sqlite3_stmt *stmt);
int __real_sqlite3_exec(sqlite3 *db, const char *sql,
	int (*on_row)(void *, int, char **, char **), void *arg, char **ret_error);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *at, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t offset);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);
int __wrap_ftruncate64(int fd, off_t len);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_openat64(int dir, const char *name, int flags, ...);
int __wrap_unlinkat(int dir, const char *name, int flags);
struct dirent *__wrap_readdir64(DIR *dir);
int __wrap_sqlite3_step(sqlite3_stmt *stmt);
int __wrap_sqlite3_exec(sqlite3 *db, const char *sql,
	int (*on_row)(void *, int, char **, char **), void *arg, char **ret_error);

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

char *__wrap_strndup(const char *text, size_t len)
{
	return fails(FAULT_MEMORY) ? NULL : __real_strndup(text, len);
}

ssize_t __wrap_pwrite64(int fd, const void *bytes, size_t len, off_t offset)
{
	if (fails(FAULT_PWRITE))
		return -1;
	if (atomic_load(&faults[FAULT_PWRITE].count) == atomic_load(&shorten_nth) &&
		len > atomic_load(&shorten_len))
		len = atomic_load(&shorten_len);
	return __real_pwrite64(fd, bytes, len, offset);
}

/* A sync that succeeds is not made: nobody pulls the plug, and each would take
 * milliseconds. The descriptor has to be one. */
static int pretend_sync(int fd)
{
	return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

int __wrap_fdatasync(int fd)
{
	return fails(FAULT_FDATASYNC) ? -1 : pretend_sync(fd);
}

int __wrap_fsync(int fd)
{
	return fails(FAULT_FSYNC) ? -1 : pretend_sync(fd);
}

int __wrap_ftruncate64(int fd, off_t len)
{
	return fails(FAULT_FTRUNCATE) ? -1 : __real_ftruncate64(fd, len);
}

int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(FAULT_RENAMEAT) ? -1 : __real_renameat(from_dir, from, to_dir, to);
}

int __wrap_openat64(int dir, const char *name, int flags, ...)
{
	va_list args;
	unsigned mode;

	va_start(args, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(args, unsigned) : 0;
	va_end(args);
	return fails(FAULT_OPENAT) ? -1 : __real_openat64(dir, name, flags, mode);
}

int __wrap_unlinkat(int dir, const char *name, int flags)
{
	return fails(FAULT_UNLINKAT) ? -1 : __real_unlinkat(dir, name, flags);
}

struct dirent *__wrap_readdir64(DIR *dir)
{
	return fails(FAULT_READDIR) ? NULL : __real_readdir64(dir);
}

/*
 * The default VFS of SQLite, with each file's reads, writes and syncs counted. The files
 * stay the real VFS's own; only their table of methods is another: ours, which begins a
 * struct that remembers theirs. A VFS has one table for each way of locking.
 */
struct counted {
	sqlite3_io_methods methods;
	const sqlite3_io_methods *real;
};

static sqlite3_vfs *real_vfs, counted_vfs;
static struct counted counted[4];

static const sqlite3_io_methods *real_of(const sqlite3_file *file)
{
	return ((const struct counted *)file->pMethods)->real;
}

static int error_of(enum fault_kind kind)
{
	return atomic_load(&faults[kind].error);
}

static int counted_read(sqlite3_file *file, void *to, int len, sqlite3_int64 offset)
{
	return fails(FAULT_SQLITE_READ) ? error_of(FAULT_SQLITE_READ)
					: real_of(file)->xRead(file, to, len, offset);
}

static int counted_write(
	sqlite3_file *file, const void *from, int len, sqlite3_int64 offset)
{
	return fails(FAULT_SQLITE_WRITE) ? error_of(FAULT_SQLITE_WRITE)
					 : real_of(file)->xWrite(file, from, len, offset);
}

/* As with pretend_sync(). */
static int counted_sync(sqlite3_file *file, int flags)
{
	(void)file;
	(void)flags;
	return fails(FAULT_SQLITE_SYNC) ? error_of(FAULT_SQLITE_SYNC) : SQLITE_OK;
}

static void count_file(sqlite3_file *file)
{
	struct counted *table = counted;

	while (table->real != NULL && table->real != file->pMethods)
		if (++table == counted + sizeof(counted) / sizeof(counted[0]))
			abort();
	table->real = file->pMethods;
	table->methods = *table->real;
	table->methods.xRead = counted_read;
	table->methods.xWrite = counted_write;
	table->methods.xSync = counted_sync;
	file->pMethods = &table->methods;
}

static int counted_open(
	sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags)
{
	int code = real_vfs->xOpen(real_vfs, name, file, flags, ret_flags);

	(void)vfs;
	if (file->pMethods != NULL)
		count_file(file);
	return code;
}

void faults_watch_sqlite(void)
{
	if (real_vfs != NULL)
		return;
	real_vfs = sqlite3_vfs_find(NULL);
	counted_vfs = *real_vfs;
	counted_vfs.zName = "counted";
	counted_vfs.xOpen = counted_open;
	(void)sqlite3_vfs_register(&counted_vfs, 1);
}

/* The steps of databases that are counted. */
static bool is_counted(sqlite3 *db)
{
	sqlite3_vfs *vfs = NULL;

	return real_vfs != NULL &&
		sqlite3_file_control(db, "main", SQLITE_FCNTL_VFS_POINTER, &vfs) ==
		SQLITE_OK &&
		vfs == &counted_vfs;
}

static bool is_commit(sqlite3_stmt *stmt)
{
	return strcmp(sqlite3_sql(stmt), "COMMIT") == 0;
}

static int step_counted(sqlite3_stmt *stmt)
{
	int code;

	if (fails(FAULT_SQLITE_STEP))
		return error_of(FAULT_SQLITE_STEP);
	code = __real_sqlite3_step(stmt);
	if (fails(FAULT_SQLITE_STEPPED))
		return error_of(FAULT_SQLITE_STEPPED);
	if (is_commit(stmt) && fails(FAULT_SQLITE_COMMITTED))
		return error_of(FAULT_SQLITE_COMMITTED);
	return code;
}

int __wrap_sqlite3_step(sqlite3_stmt *stmt)
{
	return is_counted(sqlite3_db_handle(stmt)) ? step_counted(stmt)
						   : __real_sqlite3_step(stmt);
}

/* What sqlite3_exec() is documented to do with one statement. */
static int exec_one(sqlite3_stmt *stmt)
{
	int code = SQLITE_ROW;

	while (code == SQLITE_ROW)
		code = step_counted(stmt);
	return code == SQLITE_DONE ? SQLITE_OK : code;
}

int __wrap_sqlite3_exec(sqlite3 *db, const char *sql,
	int (*on_row)(void *, int, char **, char **), void *arg, char **ret_error)
{
	int code = SQLITE_OK;

	if (on_row != NULL || ret_error != NULL || !is_counted(db))
		return __real_sqlite3_exec(db, sql, on_row, arg, ret_error);
	while (code == SQLITE_OK && *sql != '\0') {
		sqlite3_stmt *stmt = NULL;

		code = sqlite3_prepare_v2(db, sql, -1, &stmt, &sql);
		if (code == SQLITE_OK && stmt != NULL)
			code = exec_one(stmt);
		(void)sqlite3_finalize(stmt); /* its code is the step's */
	}
	return code;
}
