/*
 * What an error of Redis means, for whoever gets it, and for whoever reads it in a
 * status.
 */
#ifndef TALLYD_BASE_REDIS_ERROR_H
#define TALLYD_BASE_REDIS_ERROR_H

/* What of redis_url it is about. */
enum redis_error {
	REDIS_ERROR_OTHER,           /* nothing: it may heal by waiting, the others not */
	REDIS_ERROR_PASSWORD_WANTED, /* Redis wants a password, or another one */
	REDIS_ERROR_PASSWORD_UNKNOWN, /* Redis itself has none */
	REDIS_ERROR_DATABASE,         /* Redis has no database of that number */
};

enum redis_error redis_error_kind(const char *error);

#endif
