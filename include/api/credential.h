/* The value of an Authorization header, taken apart. Knows nobody's secret. */
#ifndef TALLYD_API_CREDENTIAL_H
#define TALLYD_API_CREDENTIAL_H

#include <stdbool.h>
#include <stddef.h>

#define CREDENTIAL_MAX_BYTES 1024 /* behind the scheme */

/* Holds a secret: to be wiped. `name` and `secret` lie in `text`, both terminated. */
struct credential {
	const char *name, *secret;
	size_t secret_len, len;
	char text[CREDENTIAL_MAX_BYTES + 1];
};

/*
 * `Basic BASE64` or `Bearer TEXT` of NODE:SECRET, split at the first colon. False if it
 * is anything else, also with an empty part, with what is no UTF-8, or longer than
 * CREDENTIAL_MAX_BYTES; then there is nothing to wipe.
 */
bool credential_parse(const char *header, struct credential *ret_credential);
void credential_wipe(struct credential *credential);

/* What stands behind `scheme` (in any case), or NULL if it is another one. */
const char *credential_of_scheme(const char *header, const char *scheme, size_t *ret_len);

#endif
