/*
 * The log: one line per event to stderr, `time level event key=value ...`.
 *
 * Under systemd's journal (JOURNAL_STREAM names our stderr) the time is left out and each
 * line begins with its priority, "<4>", as sd-daemon(3) describes. Text from outside goes
 * through log_quote(), so a line is always one line. Secrets are never passed here. Pure
 * modules never log.
 */
#ifndef TALLYD_BASE_LOG_H
#define TALLYD_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Finds out where stderr leads, once at start. Until then lines carry the time. */
void log_init(void);
void log_set_level(enum log_level level);

/* `event` is a few plain words; `format` gives the key=value pairs, or is "". */
void log_line(enum log_level level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

/* Bounds what the outside can make us write: `burst` lines in 10 s, then silence and a
 * count. */
struct log_limit {
	uint64_t window_ms;
	unsigned lines;
	unsigned suppressed;
};

/* True if a line may be written now; *ret_suppressed is how many were not since the last
 * one. */
bool log_limit_allows(struct log_limit *limit, unsigned *ret_suppressed);

/* log_line() at most 5 times in 10 s for this place in the source. */
#define log_limited(level, event, format, ...)                                           \
	do {                                                                             \
		static struct log_limit limit_;                                          \
		unsigned suppressed_;                                                    \
		if (log_limit_allows(&limit_, &suppressed_))                             \
			log_line(level, event, format " suppressed=%u", __VA_ARGS__,     \
				suppressed_);                                            \
	} while (0)

#define LOG_QUOTED_BYTES 320

/* Writes `text` as a quoted, escaped, possibly shortened value into `buf`; returns `buf`.
 */
const char *log_quote(char buf[LOG_QUOTED_BYTES], const char *text);

/* The same into a buffer that lives as long as the enclosing block. */
#define LOG_QUOTE(text) log_quote((char[LOG_QUOTED_BYTES]){0}, text)

#endif
