/*
 * The happy path: for each segment in order, check its head, decode some records, and
 * give them out one by one.
 *
 * The stream breaks where the next record is not the one expected. Then the reader looks
 * ahead for the next readable record. If that one is not too far on, nothing is missing:
 * what was unreadable is in SQLite already. Else is_crash() decides between a crash's
 * tail and corruption.
 */
#include "journal/fold.h"
#include "base/file.h"
#include "journal/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* No journal is that long: a sequence further away than this is garbage. */
#define PLAUSIBLE_AHEAD (UINT64_C(1) << 40)

struct file {
	uint64_t number;
	const uint8_t *data;
	size_t size;
};

struct place {
	size_t file, offset;
};

struct found {
	struct place at;
	size_t size;
	uint64_t seq, synced_seq;
};

struct fold {
	const struct fold_options *options;
	fold_record_cb on_record;
	void *arg;
	struct record ahead[FOLD_AHEAD]; /* decoded, and not given out yet */
	size_t n_ahead, n_bookings;      /* and their bookings */
	struct file *files;
	size_t n_files;
	uint64_t next_seq;
	uint64_t highest_synced; /* of all that was read so far */
	bool has_read;           /* any record */
	struct fold_result result;
};

/* A copy in memory. MAP_FAILED with errno. */
static void *read_whole(int fd, size_t size)
{
	uint8_t *data = mmap(
		NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t at = 0; data != MAP_FAILED && at < size;) {
		ssize_t n = pread(fd, data + at, size - at, (off_t)at);

		if (n > 0) {
			at += (size_t)n;
		} else if (n == 0 || errno != EINTR) {
			(void)munmap(data, size);
			errno = n == 0 ? EIO : errno;
			return MAP_FAILED;
		}
	}
	return data;
}

/* A hole, as a loss of power may leave it, takes room on some file systems (tmpfs) when a
 * map of it is read; where there is none, that is a SIGBUS. */
static void *map_or_read(int fd, size_t size)
{
	off_t hole = lseek(fd, 0, SEEK_HOLE);

	if (hole >= 0 && (size_t)hole < size)
		return read_whole(fd, size);
	return mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
}

static int refuse_strange(int dir_fd, const char *name, struct errmsg *msg)
{
	const char *strange = file_strange(dir_fd, name);

	return err_set(msg, ERR_JOURNAL_IO,
		"journal/%s is %s and none of tallyd's: move it out of the folder and "
		"start again",
		name, strange != NULL ? strange : "no file");
}

static int map_file(
	int dir_fd, uint64_t number, struct file *ret_file, struct errmsg *msg)
{
	char name[SEGMENT_NAME_BYTES];
	int fd = file_open(dir_fd, segment_name(number, name), O_RDONLY, 0);
	struct stat st;
	void *data = NULL;

	if (fd < 0 || fstat(fd, &st) != 0)
		goto failed;
	if (st.st_size > 0) {
		data = map_or_read(fd, (size_t)st.st_size);
		if (data == MAP_FAILED)
			goto failed;
	}
	(void)close(fd); /* only read from */
	*ret_file = (struct file){number, data, (size_t)st.st_size};
	return 0;
failed:
	if (fd >= 0)
		(void)close(fd);
	if (errno == EACCES)
		return segment_fail(dir_fd, "a journal segment cannot be read", msg);
	if (errno == EINVAL || errno == ENXIO)
		return refuse_strange(dir_fd, name, msg);
	return err_set(msg, ERR_JOURNAL_IO,
		errno == ELOOP
			? "journal/%s is a symbolic link: put there what it leads to"
			: "journal/%s: %m",
		name);
}

static void unmap_files(struct fold *fold)
{
	for (size_t i = 0; i < fold->n_files; i++)
		if (fold->files[i].data != NULL)
			(void)munmap((void *)fold->files[i].data, fold->files[i].size);
	free(fold->files);
}

/* Files shorter than a head were prepared and never used: only their number counts. */
static int map_files(int dir_fd, struct fold *fold, struct errmsg *msg)
{
	uint64_t *numbers = NULL;
	size_t n;
	int code = segment_list(dir_fd, &numbers, &n, msg);

	if (code != 0)
		return code;
	fold->files = calloc(n + 1, sizeof(*fold->files));
	if (fold->files == NULL) {
		free(numbers);
		return err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	}
	for (size_t i = 0; i < n && code == 0; i++) {
		code = map_file(dir_fd, numbers[i], &fold->files[fold->n_files], msg);
		if (code == 0)
			fold->n_files++;
		fold->result.last_number = numbers[i];
	}
	free(numbers);
	return code;
}

/* Whether a whole record that could be ours stands at `at`. */
static bool look_at(const struct fold *fold, struct place at, struct found *ret_found)
{
	const struct file *file = &fold->files[at.file];
	size_t left = file->size - at.offset;
	struct reader r = {file->data + at.offset + 8, file->data + file->size, true};
	uint64_t seq, synced_seq;

	if (left < RECORD_HEAD_BYTES)
		return false;
	seq = reader_u64(&r);
	synced_seq = reader_u64(&r);
	if (seq == 0 || synced_seq >= seq || seq > fold->next_seq + PLAUSIBLE_AHEAD)
		return false;
	ret_found->at = at;
	return record_check(file->data + at.offset, left, &ret_found->size,
		       &ret_found->seq, &ret_found->synced_seq) == RECORD_WHOLE;
}

/* The next whole record at or behind `from`, byte by byte, through all files. */
static bool look_ahead(
	const struct fold *fold, struct place from, struct found *ret_found)
{
	for (; from.file < fold->n_files; from.file++, from.offset = SEGMENT_HEAD_BYTES)
		for (; from.offset < fold->files[from.file].size; from.offset++)
			if (look_at(fold, from, ret_found))
				return true;
	return false;
}

static uint64_t max(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* What heads and records from `from` on know to be synced. */
static uint64_t highest_synced_from(const struct fold *fold, struct place from)
{
	uint64_t highest = fold->highest_synced;
	struct segment_head head;
	struct found found;

	for (size_t i = from.file + 1; i < fold->n_files; i++)
		if (segment_decode_head(
			    fold->files[i].data, fold->files[i].size, &head) == 0)
			highest = max(highest, head.synced_seq);
	while (look_ahead(fold, from, &found)) {
		highest = max(highest, found.synced_seq);
		from = found.at;
		from.offset += found.size;
	}
	return highest;
}

/*
 * What is missing is more than the end of what was being written: a whole segment, or
 * records between two that stand side by side. No crash does that.
 */
static bool is_gap(const struct fold *fold, struct place at, const struct found *next)
{
	struct segment_head head;
	const struct file *file = &fold->files[at.file];

	if (at.offset == SEGMENT_HEAD_BYTES &&
		segment_decode_head(file->data, file->size, &head) == 0 &&
		head.first_seq > fold->next_seq)
		return at.file == 0 || file[-1].number + 1 != file->number;
	if (next == NULL)
		return false;
	for (size_t i = at.file; i < next->at.file; i++)
		if (fold->files[i + 1].number != fold->files[i].number + 1)
			return true;
	return next->at.file == at.file && next->at.offset == at.offset;
}

/* Nothing that is missing was ever known to be on disk, and it ended where writing ended.
 */
static bool is_crash(const struct fold *fold, struct place at, const struct found *next)
{
	return highest_synced_from(fold, at) < fold->next_seq && !is_gap(fold, at, next);
}

static void describe(const struct fold *fold, struct place at, const struct found *next,
	struct errmsg *ret_msg)
{
	char name[SEGMENT_NAME_BYTES], upto[32] = "on";

	if (next != NULL)
		(void)snprintf(upto, sizeof(upto), "to %" PRIu64, next->seq - 1);
	(void)err_set(ret_msg, 0,
		"journal/%s, offset %zu: records %" PRIu64 " %s cannot be read",
		segment_name(fold->files[at.file].number, name), at.offset,
		fold->next_seq, upto);
}

/* The file says that the missing record is in it: then it is the file that is damaged. Of
 * a head that cannot be read, nothing else can be said. */
static bool is_damaged(const struct fold *fold, struct place at)
{
	const struct file *file = &fold->files[at.file];
	struct segment_head head;

	return segment_decode_head(file->data, file->size, &head) != 0 ||
		head.first_seq <= fold->next_seq;
}

/* With the remark as the reason. A journal that begins behind what the database has is
 * most likely whole: it is the database that is not the right one. */
static int refuse(const struct fold *fold, struct place at, struct errmsg *msg)
{
	const char *remark = fold->result.remark.text;

	if (!fold->has_read && !is_damaged(fold, at))
		return err_set(msg, ERR_JOURNAL_CORRUPT,
			"%.250s: tally.db is older than its journal, or was lost, or the "
			"journal's beginning was; put the right file back, or let "
			"`tallyd --salvage` go on without what is missing",
			remark);
	return err_set(msg, ERR_JOURNAL_CORRUPT,
		"the journal is corrupt: %.300s; `tallyd --salvage` takes over all that "
		"can be",
		remark);
}

/*
 * The stream broke at *at. 0 with *at behind the break; ERR_END if it ends here as after
 * a crash; ERR_JOURNAL_CORRUPT.
 */
static int bridge(struct fold *fold, struct place *at, struct errmsg *msg)
{
	struct found found;
	bool has_next = look_ahead(fold, *at, &found);
	struct place broken_at = *at;

	if (has_next)
		*at = found.at;
	if (has_next && found.seq <= fold->next_seq)
		return 0;
	describe(fold, broken_at, has_next ? &found : NULL, &fold->result.remark);
	if (!fold->options->does_salvage && !fold->options->shows_all) {
		if (is_crash(fold, broken_at, has_next ? &found : NULL)) {
			fold->result.is_cut = true;
			return ERR_END;
		}
		return refuse(fold, broken_at, msg);
	}
	fold->result.n_lost++;
	fold->result.lost_records += has_next ? found.seq - fold->next_seq : 1;
	if (!has_next)
		return ERR_END;
	fold->next_seq = found.seq;
	return 0;
}

/* All that are decoded, in order. */
static int give_out(struct fold *fold, struct errmsg *msg)
{
	int code = 0;

	if (fold->options->on_ahead != NULL && fold->n_ahead > 0)
		fold->options->on_ahead(fold->arg, fold->ahead, fold->n_ahead);
	for (size_t i = 0; i < fold->n_ahead; i++) {
		fold->result.n_records += code == 0;
		if (code == 0)
			code = fold->on_record(fold->arg, &fold->ahead[i]);
		record_done(&fold->ahead[i]);
	}
	fold->n_ahead = fold->n_bookings = 0;
	return code == 0 ? 0 : err_set(msg, code, "%s", err_text(code));
}

static int decode(struct fold *fold, const struct found *found, struct errmsg *msg)
{
	const struct file *file = &fold->files[found->at.file];
	struct record *record = &fold->ahead[fold->n_ahead];
	char name[SEGMENT_NAME_BYTES];
	int code = record_decode(file->data + found->at.offset, found->size, record);

	if (code == ERR_JOURNAL_CORRUPT) {
		(void)err_set(&fold->result.remark, code,
			"journal/%s, offset %zu: record %" PRIu64
			" is whole but not understood",
			segment_name(file->number, name), found->at.offset, found->seq);
		fold->result.n_lost++;
		fold->result.lost_records++;
		fold->next_seq = found->seq + 1;
		return fold->options->does_salvage || fold->options->shows_all
			? 0
			: refuse(fold, found->at, msg);
	}
	if (code != 0)
		return err_set(msg, code, "%s", err_text(code));
	fold->next_seq = found->seq + 1;
	fold->n_ahead++;
	fold->n_bookings += record->bookings.n;
	/* Large ones are not kept: one may have hundreds of thousands of bookings. */
	return fold->n_ahead == FOLD_AHEAD || fold->n_bookings >= FOLD_AHEAD
		? give_out(fold, msg)
		: 0;
}

/* One record at *at, or over a break. 0, or ERR_END after the last, or an error. */
static int step(struct fold *fold, struct place *at, struct errmsg *msg)
{
	struct found found;
	int code = 0;

	if (!look_at(fold, *at, &found) ||
		(found.seq > fold->next_seq && !fold->options->shows_all))
		return bridge(fold, at, msg);
	fold->highest_synced = max(fold->highest_synced, found.synced_seq);
	fold->has_read = true;
	if (found.seq >= fold->next_seq || fold->options->shows_all)
		code = decode(fold, &found, msg);
	at->offset += found.size;
	return code;
}

/* A head that names a later first record tells of records that are missing before it. */
static int enter_file(struct fold *fold, struct place *at, struct errmsg *msg)
{
	const struct file *file = &fold->files[at->file];
	char name[SEGMENT_NAME_BYTES];
	struct segment_head head;
	int code;

	if (file->size < SEGMENT_HEAD_BYTES) {
		at->offset = file->size;
		return 0;
	}
	at->offset = SEGMENT_HEAD_BYTES;
	code = segment_decode_head(file->data, file->size, &head);
	if (code == ERR_JOURNAL_NEWER)
		return err_set(msg, code,
			"journal/%s was written by a newer tallyd: use that one",
			segment_name(file->number, name));
	if (code != 0) {
		at->offset = 0;
		return bridge(fold, at, msg);
	}
	fold->highest_synced = max(fold->highest_synced, head.synced_seq);
	if (head.first_seq > fold->next_seq && !fold->options->shows_all)
		return bridge(fold, at, msg);
	return 0;
}

static int run(struct fold *fold, struct errmsg *msg)
{
	struct place at = {0, 0};
	size_t n_entered = 0; /* files whose head was looked at, or passed over */
	int code = 0, rest;

	while (code == 0 && at.file < fold->n_files) {
		bool is_new = at.offset == 0 && at.file >= n_entered;

		n_entered = at.file + 1;
		code = is_new ? enter_file(fold, &at, msg) : step(fold, &at, msg);
		if (code == 0 && at.offset >= fold->files[at.file].size)
			at = (struct place){at.file + 1, 0};
	}
	code = code == ERR_END ? 0 : code;
	rest = give_out(fold, code == 0 ? msg : NULL); /* also before what is refused */
	return code == 0 ? rest : code;
}

int journal_fold(int dir_fd, const struct fold_options *options, fold_record_cb on_record,
	void *arg, struct fold_result *ret_result, struct errmsg *ret_msg)
{
	struct fold fold = {.options = options,
		.on_record = on_record,
		.arg = arg,
		.next_seq = options->after_seq + 1};
	int code = map_files(dir_fd, &fold, ret_msg);

	if (code == 0)
		code = run(&fold, ret_msg);
	fold.result.last_seq = fold.next_seq - 1;
	unmap_files(&fold);
	*ret_result = fold.result;
	return code;
}
