#include "base/log.h"
#include "base/clock.h"
#include "base/text.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 2048
#define LIMIT_WINDOW_MS 10000
#define LIMIT_LINES 5

static _Atomic(enum log_level) max_level = LOG_INFO; /* the thread pool logs, too */
static bool is_systemd_journal;

/* JOURNAL_STREAM is "device:inode" of what systemd made our stderr (systemd.exec(5)). */
void log_init(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	is_systemd_journal = stream != NULL &&
		sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
		fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device &&
		st.st_ino == inode;
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

static size_t put_prefix(char *line, size_t size, enum log_level level)
{
	static const char *const names[] = {"error", "warn", "info", "debug"};
	static const int priorities[] = {3, 4, 6, 7}; /* syslog(3) */
	uint64_t now = clock_wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm utc;
	char date[32];
	int n;

	if (is_systemd_journal) {
		n = snprintf(line, size, "<%d>%s ", priorities[level], names[level]);
	} else {
		(void)gmtime_r(&seconds, &utc);
		(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
		n = snprintf(line, size, "%s.%03uZ %-5s ", date, (unsigned)(now % 1000),
			names[level]);
	}
	return n < 0 ? 0 : (size_t)n;
}

static size_t put_format(char *line, size_t size, const char *format, va_list args)
{
	int n = vsnprintf(line, size, format, args);

	if (n < 0)
		return 0;
	return (size_t)n < size ? (size_t)n : size - 1;
}

void log_line(enum log_level level, const char *event, const char *format, ...)
{
	char line[LINE_BYTES];
	size_t len;
	va_list args;

	if (level > max_level)
		return;
	len = put_prefix(line, sizeof(line), level);
	len += (size_t)snprintf(line + len, sizeof(line) - len, "%.200s%s", event,
		format[0] != '\0' ? ": " : "");
	va_start(args, format);
	len += put_format(line + len, sizeof(line) - len - 1, format, args);
	va_end(args);
	line[len++] = '\n';
	/* A pipe that nobody empties must not stop the program: then the line is lost. */
	if (poll(&(struct pollfd){.fd = STDERR_FILENO, .events = POLLOUT}, 1, 0) == 0)
		return;
	/* One write, so that lines of several processes do not mix; there is nobody to
	 * tell. */
	(void)!write(STDERR_FILENO, line, len);
}

bool log_limit_allows(struct log_limit *limit, unsigned *ret_suppressed)
{
	uint64_t now = clock_ms();

	if (limit->window_ms == 0 || now - limit->window_ms >= LIMIT_WINDOW_MS) {
		limit->window_ms = now;
		limit->lines = 0;
	}
	if (limit->lines >= LIMIT_LINES) {
		limit->suppressed++;
		return false;
	}
	limit->lines++;
	*ret_suppressed = limit->suppressed;
	limit->suppressed = 0;
	return true;
}

const char *log_quote(char buf[LOG_QUOTED_BYTES], const char *text)
{
	char *at = buf;
	const char *end = buf + LOG_QUOTED_BYTES - 9; /* an escape, dots, quote, NUL */
	size_t left = strlen(text);

	*at++ = '"';
	while (left > 0 && at < end) {
		size_t n = text_clean_length(text, left);

		if (*text == '"' || *text == '\\')
			*at++ = '\\';
		if (n == 0)
			at += sprintf(at, "\\x%02x", (unsigned char)*text);
		else
			at = mempcpy(at, text, n);
		text += n > 0 ? n : 1;
		left -= n > 0 ? n : 1;
	}
	(void)strcpy(at, left > 0 ? "...\"" : "\"");
	return buf;
}
