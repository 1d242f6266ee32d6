#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

struct entry {
	const char *text, *word;
	int http_status;
	int exit_code;
};

static const struct entry entries[] = {
	[-ERR_NOMEM] = {"out of memory", "unavailable", 503, EXIT_SOFTWARE},
	[-ERR_JSON] = {"the body is not a JSON document, or nested too deeply",
		"bad_request", 400, EXIT_SOFTWARE},
	[-ERR_NO_EVENTS] = {"the body has no array `events`", "bad_request", 400,
		EXIT_SOFTWARE},
	[-ERR_PARAM] = {"a parameter is wrong", "bad_request", 400, EXIT_USAGE},
	[-ERR_TOO_LARGE] = {"the body is larger than max_body_bytes", "too_large", 413,
		EXIT_SOFTWARE},
	[-ERR_STOPPING] = {"the daemon is stopping", "unavailable", 503, EXIT_SOFTWARE},
	[-ERR_JOURNAL_WRITE] = {"the journal cannot be written", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_JOURNAL_FULL] = {"the journal has reached journal_max_bytes", "unavailable",
		503, EXIT_STORAGE},
	[-ERR_DISK_LOW] = {"less than min_free_bytes are free", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_JOURNAL_CORRUPT] = {"the journal is corrupt", "internal", 500,
		EXIT_STORAGE},
	[-ERR_JOURNAL_IO] = {"the journal cannot be read", "internal", 500, EXIT_STORAGE},
	[-ERR_STORE_BUSY] = {"another program holds the database", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_STORE_FULL] = {"the disk is full", "unavailable", 503, EXIT_STORAGE},
	[-ERR_STORE_IO] = {"the database cannot be read or written", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_STORE_READONLY] = {"the database is read-only", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_STORE_CORRUPT] = {"the database is corrupt", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_STORE_NEWER] = {"the database is of a newer tallyd", "internal", 500,
		EXIT_STORAGE},
	[-ERR_STORE_UNKNOWN] = {"the outcome of a commit is not known", "unavailable",
		503, EXIT_STORAGE},
	[-ERR_STORE_FOREIGN] = {"another program moved applied_seq", "internal", 500,
		EXIT_STORAGE},
	[-ERR_LOCKED] = {"another instance holds data_dir", "internal", 500, EXIT_HELD},
	[-ERR_LISTEN] = {"an address cannot be listened on", "internal", 500,
		EXIT_CONFIG},
	[-ERR_CONFIG] = {"the configuration is wrong", "internal", 500, EXIT_CONFIG},
	[-ERR_DATA_DIR] = {"data_dir cannot be used", "internal", 500, EXIT_STORAGE},
	[-ERR_END] = {"unexpected end", "internal", 500, EXIT_SOFTWARE},
	[-ERR_HUNG_UP] = {"the client closed its side before it was answered: the report "
			  "is not counted, and a GOST sends it again; with nc leave out "
			  "-N, with socat add shut-none",
		"hung_up", 503, EXIT_SOFTWARE},
	[-ERR_JOURNAL_NEWER] = {"the journal is of a newer tallyd", "internal", 500,
		EXIT_STORAGE},
	[-ERR_JOURNAL_GONE] = {"files of the journal or of data_dir were taken away",
		"unavailable", 503, EXIT_STORAGE},
	[-ERR_SYNC_LATE] = {"the disk takes too long to sync the journal", "unavailable",
		503, EXIT_STORAGE},
	[-ERR_STORE_GONE] = {"the database file was moved or deleted", "unavailable", 503,
		EXIT_STORAGE},
	[-ERR_UNAUTHORIZED] = {"a right is needed", "unauthorized", 401, EXIT_SOFTWARE},
	[-ERR_NO_CREDENTIAL] = {"no credential was sent", "no_credential", 401,
		EXIT_SOFTWARE},
	[-ERR_FORBIDDEN] = {"this is not allowed", "forbidden", 403, EXIT_SOFTWARE},
	[-ERR_NOT_FOUND] = {"there is nothing at this path; reports go to /observer",
		"not_found", 404, EXIT_USAGE},
	[-ERR_METHOD] = {"this path does not answer this method", "method_not_allowed",
		405, EXIT_SOFTWARE},
	[-ERR_CONFLICT] = {"what is there already does not allow it", "conflict", 409,
		EXIT_USAGE},
	[-ERR_KEY_REUSED] = {"the Idempotency-Key belongs to another request",
		"key_reused", 422, EXIT_SOFTWARE},
	[-ERR_NODE_DISABLED] = {"the node is disabled", "node_disabled", 503,
		EXIT_SOFTWARE},
	[-ERR_HTTP2] = {"this is HTTP/2, which GOST's plugins speak as gRPC: put `type: "
			"http` under `plugin:` in GOST's configuration",
		"http2", 505, EXIT_SOFTWARE},
	[-ERR_TLS] = {"this is TLS, and tallyd speaks plain HTTP: write http:// instead "
		      "of https:// into the address, or put nginx in front",
		"tls", 400, EXIT_SOFTWARE},
	[-ERR_MALFORMED] = {"this is no HTTP request, or its framing is wrong",
		"malformed", 400, EXIT_SOFTWARE},
	[-ERR_HEAD_TOO_LARGE] = {"the headers or the query's parameters are too many or "
				 "too long: 12 KiB and 100 parameters are taken",
		"head_too_large", 431, EXIT_SOFTWARE},
	[-ERR_URI_TOO_LONG] = {"the address is too long", "uri_too_long", 414,
		EXIT_SOFTWARE},
	[-ERR_VERSION] = {"only HTTP/1.1 and HTTP/1.0 are spoken here", "version", 505,
		EXIT_SOFTWARE},
	[-ERR_ENCODING] = {"of the Transfer-Encodings only `chunked` is understood",
		"transfer_encoding", 501, EXIT_SOFTWARE},
	[-ERR_TIMEOUT] = {"the request was not whole within request_timeout", "timeout",
		408, EXIT_SOFTWARE},
	[-ERR_ALL_BUSY] =
		{"max_connections are open: what is half begun gives way, or the new one",
			"all_busy", 503, EXIT_SOFTWARE},
	[-ERR_MANY_EVENTS] = {"a report of more than 200,000 events, and no option takes "
			      "more: let GOST report more often, or give its users "
			      "several GOSTs",
		"too_many_events", 413, EXIT_SOFTWARE},
	[-ERR_UNSETTLED] = {"what its counters are taken for was changed while it was "
			    "read: it comes again",
		"unavailable", 503, EXIT_SOFTWARE},
	[-ERR_BODY_MEMORY] = {"the large reports under way use up max_body_memory: this "
			      "one comes again; if that goes on, raise it",
		"unavailable", 503, EXIT_SOFTWARE},
	[-ERR_STORE_DENIED] = {"the database file cannot be reached for want of rights",
		"unavailable", 503, EXIT_STORAGE},
	[-ERR_STORE_CUT] = {"what SQLite needs beside the database was cut off",
		"internal", 500, EXIT_STORAGE},
	[-ERR_JSON_DENSE] =
		{"the body is made of so many tiny values that it is no report",
			"too_dense", 413, EXIT_SOFTWARE},
};

static const struct entry *find(int code)
{
	static const struct entry unknown = {
		"unknown error", "internal", 500, EXIT_SOFTWARE};
	size_t i = code < 0 ? (size_t)-code : 0;

	if (i >= sizeof(entries) / sizeof(entries[0]) || entries[i].text == NULL)
		return &unknown;
	return &entries[i];
}

const char *err_text(int code)
{
	return code == 0 ? "no error" : find(code)->text;
}

const char *err_word(int code)
{
	return find(code)->word;
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
