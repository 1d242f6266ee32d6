/*
 * Counted faults: makes the nth call of a kind fail, from anywhere in tallyd's own code.
 *
 * The Makefile links unit tests with --wrap for each of these functions; shared libraries
 * keep their own. A test walks n = 1, 2, ... until the operation ends without the fault
 * having fired: then every call that it makes has failed once. Safe with the thread pool.
 *
 * SQLite keeps its own calls to the system; what fails there are those to its VFS, and
 * the steps of its statements, those inside sqlite3_exec() too. `error` is an SQLite
 * code.
 */
#ifndef TALLYD_TESTS_FAULTS_H
#define TALLYD_TESTS_FAULTS_H

#include <stdbool.h>
#include <stddef.h>

enum fault_kind {
	FAULT_MEMORY, /* malloc, calloc, realloc, strdup, strndup: one count for all;
			 ENOMEM */
	FAULT_PWRITE,
	FAULT_FDATASYNC,
	FAULT_FSYNC,
	FAULT_FTRUNCATE,
	FAULT_RENAMEAT,
	FAULT_OPENAT,
	FAULT_UNLINKAT,
	FAULT_READDIR,
	FAULT_SQLITE_READ, /* these only after faults_watch_sqlite() */
	FAULT_SQLITE_WRITE,
	FAULT_SQLITE_SYNC,
	FAULT_SQLITE_STEP,      /* it is not executed */
	FAULT_SQLITE_STEPPED,   /* it is executed, and then fails */
	FAULT_SQLITE_COMMITTED, /* the same, of COMMIT alone */
	FAULT_KINDS
};

/* Nothing fails any more, and every count is 0. */
void faults_reset(void);

/* From now on the nth call (1: the next) fails with `error`; only that one. */
void faults_fail_nth(enum fault_kind kind, unsigned n, int error);

/* The nth call and all that follow. */
void faults_fail_from(enum fault_kind kind, unsigned n, int error);

/* The nth pwrite writes only `len` bytes and says so. Stands beside a failure of another.
 */
void faults_shorten_nth(unsigned n, size_t len);

/* Calls of the kind stand still, already counted, until released or reset. */
void faults_hold(enum fault_kind kind);
void faults_release(enum fault_kind kind);

/* Databases that are opened from now on, without naming a VFS, are counted. */
void faults_watch_sqlite(void);

/* Calls since the kind was last armed or reset; and whether its fault has fired. */
unsigned faults_count(enum fault_kind kind);
bool faults_fired(enum fault_kind kind);

#endif
