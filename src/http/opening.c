#include "http/opening.h"
#include "base/err.h"

#include <stdbool.h>
#include <string.h>

#define PREFACE "PRI * HTTP/2"
#define HANDSHAKE 0x16 /* a record's type; its version follows, 3.x */

static bool is_tls(const char *bytes, size_t len)
{
	return bytes[0] == HANDSHAKE && (len < 2 || bytes[1] == 3);
}

/* No method of HTTP/1 is called PRI; fewer bytes may still be a POST. */
static bool is_http2(const char *bytes, size_t len)
{
	size_t n = len < strlen(PREFACE) ? len : strlen(PREFACE);

	return n >= strlen("PRI") && memcmp(bytes, PREFACE, n) == 0;
}

/* RFC 9110, 5.6.2: what a method is made of. */
static bool is_token(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i] <= ' ' || bytes[i] >= 0x7f ||
			strchr("\"(),/:;<=>?@[\\]{}", bytes[i]) != NULL)
			return false;
	return true;
}

/* `line` is whole and begins with a method and a blank. */
static int judge_version(const char *line, size_t len)
{
	const char *version = line + len;

	while (version > line && version[-1] != ' ')
		version--;
	len -= (size_t)(version - line);
	if (len != strlen("HTTP/1.1") || memcmp(version, "HTTP/", 5) != 0 ||
		version[5] < '0' || version[5] > '9' || version[6] != '.')
		return ERR_MALFORMED;
	return version[5] == '1' ? 0 : ERR_VERSION;
}

static size_t without_end(const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == ' '))
		len--;
	return len;
}

int opening_judge(const char *bytes, size_t len)
{
	const char *blank, *end;

	if (len == 0)
		return 0;
	if (is_tls(bytes, len))
		return ERR_TLS;
	if (is_http2(bytes, len))
		return ERR_HTTP2;
	while (len > 0 && (bytes[0] == '\r' || bytes[0] == '\n')) {
		bytes++;
		len--;
	}
	end = memchr(bytes, '\n', len);
	if (end != NULL)
		len = without_end(bytes, (size_t)(end - bytes));
	blank = memchr(bytes, ' ', len);
	if (!is_token(bytes, blank != NULL ? (size_t)(blank - bytes) : len) ||
		blank == bytes)
		return ERR_MALFORMED;
	if (end == NULL)
		return 0;
	return blank != NULL ? judge_version(bytes, len) : ERR_MALFORMED;
}
