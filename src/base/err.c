#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

struct entry {
	const char *text;
	int http_status;
	int exit_code;
};

static const struct entry entries[] = {
	[-ERR_NOMEM] = {"out of memory", 503, EXIT_SOFTWARE},
	[-ERR_JSON] = {"the body is not a JSON document", 400, EXIT_SOFTWARE},
	[-ERR_NO_EVENTS] = {"the body has no array `events`", 400, EXIT_SOFTWARE},
	[-ERR_PARAM] = {"a parameter is wrong", 400, EXIT_USAGE},
	[-ERR_TOO_LARGE] = {"the body is larger than max_body_bytes", 413, EXIT_SOFTWARE},
	[-ERR_STOPPING] = {"the daemon is stopping", 503, EXIT_SOFTWARE},
	[-ERR_JOURNAL_WRITE] = {"the journal cannot be written", 503, EXIT_STORAGE},
	[-ERR_JOURNAL_FULL] = {"the journal has reached journal_max_bytes", 503,
		EXIT_STORAGE},
	[-ERR_DISK_LOW] = {"less than min_free_bytes are free", 503, EXIT_STORAGE},
	[-ERR_JOURNAL_CORRUPT] = {"the journal is corrupt", 500, EXIT_STORAGE},
	[-ERR_JOURNAL_IO] = {"the journal cannot be read", 500, EXIT_STORAGE},
	[-ERR_STORE_BUSY] = {"another program holds the database", 503, EXIT_STORAGE},
	[-ERR_STORE_FULL] = {"the disk is full", 503, EXIT_STORAGE},
	[-ERR_STORE_IO] = {"the database cannot be read or written", 503, EXIT_STORAGE},
	[-ERR_STORE_READONLY] = {"the database is read-only", 503, EXIT_STORAGE},
	[-ERR_STORE_CORRUPT] = {"the database is corrupt", 503, EXIT_STORAGE},
	[-ERR_STORE_NEWER] = {"the database is of a newer tallyd", 500, EXIT_STORAGE},
	[-ERR_STORE_UNKNOWN] = {"the outcome of a commit is not known", 503,
		EXIT_STORAGE},
	[-ERR_STORE_FOREIGN] = {"another program moved applied_seq", 500, EXIT_STORAGE},
	[-ERR_LOCKED] = {"another instance holds data_dir", 500, EXIT_HELD},
	[-ERR_LISTEN] = {"an address cannot be listened on", 500, EXIT_CONFIG},
	[-ERR_CONFIG] = {"the configuration is wrong", 500, EXIT_CONFIG},
	[-ERR_DATA_DIR] = {"data_dir cannot be used", 500, EXIT_STORAGE},
	[-ERR_END] = {"unexpected end", 500, EXIT_SOFTWARE},
	[-ERR_HUNG_UP] = {"the client hung up before its report was accepted", 503,
		EXIT_SOFTWARE},
};

static const struct entry *find(int code)
{
	static const struct entry unknown = {"unknown error", 500, EXIT_SOFTWARE};
	size_t i = code < 0 ? (size_t)-code : 0;

	if (i >= sizeof(entries) / sizeof(entries[0]) || entries[i].text == NULL)
		return &unknown;
	return &entries[i];
}

const char *err_text(int code)
{
	return code == 0 ? "no error" : find(code)->text;
}

int err_http_status(int code)
{
	return find(code)->http_status;
}

int err_exit_code(int code)
{
	return code == 0 ? 0 : find(code)->exit_code;
}

int err_set(struct errmsg *msg, int code, const char *format, ...)
{
	va_list args;

	if (msg != NULL) {
		va_start(args, format);
		(void)vsnprintf(msg->text, sizeof(msg->text), format, args);
		va_end(args);
	}
	return code;
}
