/* What the first bytes of a connection tell, before libmicrohttpd sees them. */
#ifndef TALLYD_HTTP_OPENING_H
#define TALLYD_HTTP_OPENING_H

#include <stddef.h>

#define OPENING_BYTES 512 /* more need not be looked at */

/*
 * 0 if they begin an HTTP/1 request, as far as they go; else why that is refused:
 * ERR_HTTP2 (its preface, RFC 9113), ERR_TLS (a handshake record, RFC 8446), ERR_VERSION,
 * ERR_MALFORMED. libmicrohttpd waits for the end of a line that never comes in the first
 * two, and has no peer to name in any.
 */
int opening_judge(const char *bytes, size_t len);

#endif
