/*
 * The one list of errors: what each is called, for people and for programs, which HTTP
 * status and which exit code it means.
 *
 * Functions that can fail return 0 or one of these negative codes. Those that fail at
 * start, where an operator reads the reason, also fill a `struct errmsg` with the whole
 * sentence.
 */
#ifndef TALLYD_BASE_ERR_H
#define TALLYD_BASE_ERR_H

#include <stddef.h>

#define MUST_CHECK __attribute__((warn_unused_result))

enum err {
	ERR_NOMEM = -1,
	ERR_JSON = -2,          /* the body is not one JSON document */
	ERR_NO_EVENTS = -3,     /* no `events` array */
	ERR_PARAM = -4,         /* a query parameter or header is wrong */
	ERR_TOO_LARGE = -5,     /* a body above max_body_bytes */
	ERR_STOPPING = -6,      /* SIGTERM was seen: nothing new is accepted */
	ERR_JOURNAL_WRITE = -7, /* the record could not be written; nothing changed */
	ERR_JOURNAL_FULL = -8,  /* journal_max_bytes is reached */
	ERR_DISK_LOW = -9,      /* less than min_free_bytes are free */
	ERR_JOURNAL_CORRUPT =
		-10,          /* a record that was known to be synced is bad or missing */
	ERR_JOURNAL_IO = -11, /* a segment cannot be opened, read or removed */
	ERR_STORE_BUSY = -12, /* another program holds the database */
	ERR_STORE_FULL = -13, /* no space for the transaction */
	ERR_STORE_IO = -14,   /* any other failure of SQLite or the disk below it */
	ERR_STORE_READONLY = -15,
	ERR_STORE_CORRUPT = -16,
	ERR_STORE_NEWER = -17,   /* user_version is of a later tallyd */
	ERR_STORE_UNKNOWN = -18, /* COMMIT failed and its outcome is not known yet */
	ERR_STORE_FOREIGN = -19, /* applied_seq is neither the old nor the new value */
	ERR_LOCKED = -20,        /* another instance holds data_dir */
	ERR_LISTEN = -21,        /* an address cannot be bound */
	ERR_CONFIG = -22,
	ERR_DATA_DIR = -23,      /* data_dir cannot be made or entered */
	ERR_END = -24,           /* a reader came to the end of its bytes */
	ERR_HUNG_UP = -25,       /* the client has gone, before its report was accepted */
	ERR_UNAUTHORIZED = -26,  /* a credential is missing or wrong */
	ERR_FORBIDDEN = -27,     /* who asks is known, or no credential would help */
	ERR_NOT_FOUND = -28,     /* no such path, user or node */
	ERR_METHOD = -29,        /* the path does not answer that method */
	ERR_CONFLICT = -30,      /* it is there already, or not in that state */
	ERR_KEY_REUSED = -31,    /* an Idempotency-Key with another body */
	ERR_NODE_DISABLED = -32, /* its reports wait in its GOST */
	ERR_JOURNAL_NEWER = -33, /* a segment is of a later tallyd */
	ERR_HTTP2 = -34,         /* the client speaks HTTP/2, as gRPC does */
	ERR_TLS = -35,           /* the client speaks TLS */
	ERR_MALFORMED = -36,     /* what came is no HTTP request, or is framed wrongly */
	ERR_HEAD_TOO_LARGE = -37, /* the header lines, or the query's parameters */
	ERR_URI_TOO_LONG = -38,
	ERR_VERSION = -39,       /* neither HTTP/1.1 nor 1.0 */
	ERR_ENCODING = -40,      /* a Transfer-Encoding other than chunked */
	ERR_TIMEOUT = -41,       /* a request was not whole within request_timeout */
	ERR_ALL_BUSY = -42,      /* max_connections are open, and none can give way */
	ERR_JOURNAL_GONE = -43,  /* files of data_dir were taken away while in use */
	ERR_STORE_GONE = -44,    /* so was the database's */
	ERR_JSON_DENSE = -45,    /* far more values than a body of its length has */
	ERR_NO_CREDENTIAL = -46, /* a report carries none, and needs one */
	ERR_STORE_DENIED = -47,  /* it is there, but we may not reach it */
	ERR_STORE_CUT = -48,     /* so was SQLite's log, with what was in it alone */
	ERR_MANY_EVENTS = -49,   /* more than a report may have */
	ERR_UNSETTLED = -50,     /* what it was read as was changed meanwhile */
	ERR_SYNC_LATE = -51,     /* the disk would take too long to sync a record */
	ERR_BODY_MEMORY = -52,   /* max_body_memory is in use */
	ERR_LAST = ERR_BODY_MEMORY,
};

/* Exit codes of the program (sysexits.h); 0 is a clean stop. */
enum exit_code {
	EXIT_USAGE = 64,
	EXIT_SOFTWARE = 70,
	EXIT_STORAGE = 74,
	EXIT_HELD = 75,
	EXIT_CONFIG = 78,
};

/* A sentence for the operator. Always terminated; longer text is cut. */
struct errmsg {
	char text[512];
};

/* Says what `code` means, in a few words without a full stop. Never NULL. */
const char *err_text(int code);

/* The word for it in the answers of the API, e.g. bad_request. Several codes share one.
 */
const char *err_word(int code);

/* The HTTP status that tells a client about `code`; 500 for what it should never see. */
int err_http_status(int code);

/* The exit code of a start that failed with `code`. */
int err_exit_code(int code);

/* Writes the sentence into `msg` (may be NULL) and returns `code`, to be returned onward.
 */
int err_set(struct errmsg *msg, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
