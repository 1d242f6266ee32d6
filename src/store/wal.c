/*
 * The two files that SQLite keeps beside tally.db: the write-ahead log, and its index,
 * which all programs share that have the database open. They can be taken away under us
 * as tally.db can. What was committed goes on from the log into tally.db at once, so that
 * nothing depends on them; but for what is committed while another program reads, and may
 * not be moved as long as it does.
 *
 * How far that has come stands in the index (sqlite.org/walformat.html, "The WAL-Index
 * File Format"). It is read in SQLite's own map: who opens such a file and closes it
 * again drops all of SQLite's locks on it (fcntl(2)).
 */
#include "store/internal.h"

#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOG_SUFFIX "-wal"
#define INDEX_SUFFIX "-shm"
#define BESIDE_BYTES (PATH_MAX + 16)

#define INDEX_BYTES 32768 /* of its first part */
#define PAGE_SIZE_AT 14
#define N_FRAMES_AT 16
#define N_MOVED_AT 96
#define LOG_HEAD_BYTES 32
#define FRAME_HEAD_BYTES 24

static void make_path(
	const struct store *store, const char *suffix, char ret_path[BESIDE_BYTES])
{
	(void)snprintf(ret_path, BESIDE_BYTES, "%s%s", store->path, suffix);
}

static bool find(const struct store *store, const char *suffix, struct stat *ret_st)
{
	char path[BESIDE_BYTES];

	make_path(store, suffix, path);
	return stat(path, ret_st) == 0;
}

/* Whether that one is open. */
static bool is_there(const struct store *store, const char *suffix,
	const struct store_file *file, struct stat *ret_st)
{
	return find(store, suffix, ret_st) && store_is_same(ret_st, file);
}

bool wal_identify(struct store *store)
{
	struct stat log, index;

	if (!find(store, LOG_SUFFIX, &log) || !find(store, INDEX_SUFFIX, &index))
		return false;
	store->wal = (struct store_file){log.st_dev, log.st_ino};
	store->shm = (struct store_file){index.st_dev, index.st_ino};
	return true;
}

struct frames {
	uint32_t n, n_moved; /* of the log, and from its beginning into tally.db */
	uint64_t page_bytes;
};

/* All 0 where SQLite has no map of it. */
static struct frames read_index(const struct store *store)
{
	sqlite3_file *file = NULL;
	volatile void *map = NULL;
	const volatile uint8_t *at;
	uint16_t page_size;

	if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) !=
			SQLITE_OK ||
		file == NULL || file->pMethods == NULL || file->pMethods->iVersion < 2 ||
		file->pMethods->xShmMap(file, 0, INDEX_BYTES, 0, &map) != SQLITE_OK ||
		map == NULL)
		return (struct frames){0};
	at = map;
	page_size = *(const volatile uint16_t *)(at + PAGE_SIZE_AT);
	return (struct frames){*(const volatile uint32_t *)(at + N_FRAMES_AT),
		*(const volatile uint32_t *)(at + N_MOVED_AT),
		page_size == 1 ? 65536 : page_size};
}

static bool is_moved(const struct frames *frames)
{
	return frames->n_moved >= frames->n;
}

static bool is_short(const struct frames *frames, const struct stat *log)
{
	return frames->n > 0 &&
		(uint64_t)log->st_size <
		LOG_HEAD_BYTES + frames->n * (FRAME_HEAD_BYTES + frames->page_bytes);
}

/* What is left of a log that was cut would be read at the next start, over what is newer.
 */
static void empty_log(const struct store *store)
{
	char path[BESIDE_BYTES];

	make_path(store, LOG_SUFFIX, path);
	(void)!truncate(path, 0); /* it is as good as it was */
}

/* So would another one in its place, unless nobody has written to it. */
void wal_set_aside(const struct store *store)
{
	char path[BESIDE_BYTES], aside[BESIDE_BYTES];
	struct stat there;

	if (!find(store, LOG_SUFFIX, &there) || store_is_same(&there, &store->wal) ||
		there.st_size == 0)
		return;
	make_path(store, LOG_SUFFIX, path);
	make_path(store, LOG_SUFFIX ".aside", aside);
	(void)!rename(path, aside); /* opening tells, if it cannot be */
}

enum wal_state wal_look(const struct store *store)
{
	struct stat log, index;
	bool has_index = is_there(store, INDEX_SUFFIX, &store->shm, &index), has_log;
	struct frames frames, again;

	if (has_index && index.st_size < INDEX_BYTES)
		return WAL_CUT; /* to read it would be a SIGBUS */
	/* Another program that writes, or moves, makes the file longer before it says so
	 * in the index, and shorter after that. */
	do {
		frames = read_index(store);
		has_log = is_there(store, LOG_SUFFIX, &store->wal, &log);
		again = read_index(store);
	} while (frames.n != again.n || frames.n_moved != again.n_moved);
	if (has_log && is_short(&frames, &log)) {
		empty_log(store);
		return is_moved(&frames) ? WAL_WHOLE : WAL_CUT;
	}
	if (!has_log && !is_moved(&frames))
		return WAL_NEEDED;
	return has_log && has_index ? WAL_WHOLE : WAL_TAKEN;
}

bool wal_move(struct store *store)
{
	int n_frames = -1, n_moved = -1;

	(void)sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_PASSIVE,
		&n_frames, &n_moved); /* what it has moved tells */
	return n_frames == n_moved && n_frames >= 0;
}

bool wal_is_there(const struct store *store)
{
	struct stat there;

	return is_there(store, LOG_SUFFIX, &store->wal, &there);
}
