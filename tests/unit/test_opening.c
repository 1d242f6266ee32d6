#include "lib/test.h"
#include "base/err.h"
#include "http/opening.h"

#include <string.h>

struct row {
	const char *bytes;
	size_t len;
	int code;
};

#define ROW(text, code)                                                                  \
	{                                                                                \
		text, sizeof(text) - 1, code                                             \
	}

static void check(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		AT_ROW(i, opening_judge(rows[i].bytes, rows[i].len) == rows[i].code);
}

TEST(http_2_and_tls_are_known_by_their_first_bytes)
{
	static const struct row rows[] = {
		ROW("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", ERR_HTTP2),
		ROW("PRI * HTTP/2", ERR_HTTP2),
		ROW("PRI", ERR_HTTP2),
		ROW("PR", 0),
		ROW("P", 0),
		ROW("PRINT / HTTP/1.1\r\n", 0),
		ROW("PRI /x HTTP/1.1\r\n", 0),
		ROW("\x16\x03\x01\x02\x00\x01\x00", ERR_TLS),
		ROW("\x16\x03\x03", ERR_TLS),
		ROW("\x16", ERR_TLS),
		ROW("\x16\x04", ERR_MALFORMED),
	};

	check(rows, COUNT_OF(rows));
}

TEST(what_can_still_become_a_request_goes_on)
{
	static const struct row rows[] = {
		ROW("", 0),
		ROW("G", 0),
		ROW("GET", 0),
		ROW("GET ", 0),
		ROW("GET /no-end-yet", 0),
		ROW("\r\n", 0),
		ROW("\r\n\r\nGET / HTTP/1.1\r\n", 0),
		ROW("GET / HTTP/1.1\n", 0),
		ROW("GET / HTTP/1.1 \r\nHost: x", 0),
		ROW("GET / HTTP/1.0\r\n", 0),
		ROW("GET /a b HTTP/1.1\r\n", 0),
		ROW("M-SEARCH * HTTP/1.1\r\n", 0),
		ROW("POST http://x/observer HTTP/1.1\r\n\xff\0", 0),
	};

	check(rows, COUNT_OF(rows));
}

TEST(what_can_no_longer_become_one_is_refused)
{
	static const struct row rows[] = {
		ROW("HELLO\r\n", ERR_MALFORMED),
		ROW(" GET / HTTP/1.1\r\n", ERR_MALFORMED),
		ROW("\0\0\0\0", ERR_MALFORMED),
		ROW("\xffGET", ERR_MALFORMED),
		ROW("{\"events\":[]}", ERR_MALFORMED),
		ROW("GET\t/ HTTP/1.1\r\n", ERR_MALFORMED),
		ROW("GET /\r\n", ERR_MALFORMED),
		ROW("GET / http/1.1\r\n", ERR_MALFORMED),
		ROW("GET / HTTP/1.1x\r\n", ERR_MALFORMED),
		ROW("GET / HTTP/11\r\n", ERR_MALFORMED),
		ROW("SSH-2.0-OpenSSH_9.2\r\n", ERR_MALFORMED),
		ROW("GET / HTTP/2.0\r\n", ERR_VERSION),
		ROW("GET / HTTP/0.9\r\n", ERR_VERSION),
		ROW("GET / HTTP/3.0\r\n", ERR_VERSION),
	};

	check(rows, COUNT_OF(rows));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(http_2_and_tls_are_known_by_their_first_bytes),
		cmocka_unit_test(what_can_still_become_a_request_goes_on),
		cmocka_unit_test(what_can_no_longer_become_one_is_refused),
	};

	return RUN_TESTS(tests);
}
