#include "journal/segment.h"
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/limits.h"
#include "base/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[8] = "TALLYJ2\n";
#define VERSION_AT 6
#define CRC_AT 32

void segment_encode_head(
	const struct segment_head *head, uint8_t ret_bytes[SEGMENT_HEAD_BYTES])
{
	memset(ret_bytes, 0, SEGMENT_HEAD_BYTES);
	memcpy(ret_bytes, magic, sizeof(magic));
	buf_store(ret_bytes + 8, head->first_seq, 8);
	buf_store(ret_bytes + 16, head->synced_seq, 8);
	buf_store(ret_bytes + 24, head->created_ms, 8);
	buf_store(ret_bytes + CRC_AT, crc32c(0, ret_bytes, CRC_AT), 4);
}

int segment_decode_head(const uint8_t *bytes, size_t len, struct segment_head *ret_head)
{
	struct reader r = {bytes + sizeof(magic), bytes + len, true};
	struct segment_head head;

	if (len < SEGMENT_HEAD_BYTES || memcmp(bytes, magic, VERSION_AT) != 0 ||
		bytes[VERSION_AT] < '1' || bytes[VERSION_AT] > '9' ||
		bytes[VERSION_AT + 1] != '\n')
		return ERR_JOURNAL_CORRUPT;
	head.first_seq = reader_u64(&r);
	head.synced_seq = reader_u64(&r);
	head.created_ms = reader_u64(&r);
	if (reader_u32(&r) != crc32c(0, bytes, CRC_AT) || head.first_seq == 0 ||
		head.first_seq > NUMBER_MAX || head.synced_seq > NUMBER_MAX ||
		head.created_ms > TIME_MAX_MS)
		return ERR_JOURNAL_CORRUPT;
	if (bytes[VERSION_AT] > magic[VERSION_AT])
		return ERR_JOURNAL_NEWER;
	*ret_head = head;
	return 0;
}

const char *segment_name(uint64_t number, char buf[SEGMENT_NAME_BYTES])
{
	(void)snprintf(buf, SEGMENT_NAME_BYTES, "%010" PRIu64 ".seg", number);
	return buf;
}

int segment_create(int dir_fd, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];

	return openat(dir_fd, segment_name(number, name),
		O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
}

int segment_fail(int dir_fd, const char *what, struct errmsg *ret_msg)
{
	char path[OWNER_PATH_BYTES], denied[256];
	int cause = errno;
	const char *at = owner_path_of(dir_fd, "journal", path);

	(void)snprintf(denied, sizeof(denied), "%s in %s: %s", what, at, strerror(cause));
	return cause == EACCES || cause == EPERM
		? owner_explain(ret_msg, ERR_JOURNAL_IO, at, denied)
		: err_set(ret_msg, ERR_JOURNAL_IO, "%s", denied);
}

int segment_remove(int dir_fd, uint64_t number)
{
	char name[SEGMENT_NAME_BYTES];

	if (unlinkat(dir_fd, segment_name(number, name), 0) != 0 && errno != ENOENT)
		return ERR_JOURNAL_IO;
	return 0;
}

/* False: the name is not that of a segment. What is beyond 64 bits is the largest. */
static bool is_segment(const char *name, uint64_t *ret_number)
{
	char again[SEGMENT_NAME_BYTES];
	size_t n_digits = strspn(name, "0123456789");

	*ret_number = strtoull(name, NULL, 10);
	return strcmp(name, segment_name(*ret_number, again)) == 0 ||
		(*ret_number == UINT64_MAX && strcmp(name + n_digits, ".seg") == 0);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static int append(uint64_t **numbers, size_t *n, uint64_t number)
{
	uint64_t *grown = realloc(*numbers, (*n + 1) * sizeof(*grown));

	if (grown == NULL)
		return ERR_NOMEM;
	*numbers = grown;
	grown[(*n)++] = number;
	return 0;
}

/* *ret_entry is NULL at the end. */
static int next_entry(DIR *dir, const struct dirent **ret_entry)
{
	errno = 0; /* readdir() leaves it so at the end, and only there */
	*ret_entry = readdir(dir);
	return *ret_entry != NULL || errno == 0 ? 0 : ERR_JOURNAL_IO;
}

static int refuse_number(const char *name, struct errmsg *msg)
{
	return err_set(msg, ERR_JOURNAL_CORRUPT,
		"journal/%.100s is none of tallyd's: no segment has so large a number; "
		"move that file out of the folder and start again",
		name);
}

static int read_numbers(DIR *dir, uint64_t **numbers, size_t *n, struct errmsg *msg)
{
	const struct dirent *entry;
	int code = next_entry(dir, &entry);

	while (code == 0 && entry != NULL) {
		uint64_t number;

		if (is_segment(entry->d_name, &number))
			code = number <= NUMBER_MAX ? append(numbers, n, number)
						    : refuse_number(entry->d_name, msg);
		if (code == 0)
			code = next_entry(dir, &entry);
	}
	return code;
}

static int fail(int dir_fd, int code, struct errmsg *ret_msg)
{
	if (code == ERR_JOURNAL_CORRUPT)
		return code; /* and the file is named */
	return code == ERR_NOMEM
		? err_set(ret_msg, code, "%s", err_text(code))
		: segment_fail(dir_fd, "the journal's files cannot be listed", ret_msg);
}

int segment_list(
	int dir_fd, uint64_t **ret_numbers, size_t *ret_n, struct errmsg *ret_msg)
{
	/* A descriptor of its own: fdopendir() takes it, and its position. */
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	uint64_t *numbers = NULL;
	size_t n = 0;
	int code;

	if (dir == NULL) {
		if (fd >= 0)
			(void)close(fd); /* nothing was written to it */
		return fail(dir_fd, ERR_JOURNAL_IO, ret_msg);
	}
	code = read_numbers(dir, &numbers, &n, ret_msg);
	(void)closedir(dir); /* leaves errno as it is, but for a bad descriptor */
	if (code != 0) {
		free(numbers);
		return fail(dir_fd, code, ret_msg);
	}
	if (n > 1)
		qsort(numbers, n, sizeof(*numbers), compare);
	*ret_numbers = numbers;
	*ret_n = n;
	return 0;
}
