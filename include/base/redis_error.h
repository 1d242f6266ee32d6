/*
 * What an error of Redis means, for whoever gets it, and for whoever reads it in a
 * status.
 */
#ifndef TALLYD_BASE_REDIS_ERROR_H
#define TALLYD_BASE_REDIS_ERROR_H

/* What it says of the password in redis_url; no waiting heals the last two. */
enum redis_password {
	REDIS_PASSWORD_NO_MATTER, /* nothing */
	REDIS_PASSWORD_WANTED,    /* Redis wants one, or another one */
	REDIS_PASSWORD_UNKNOWN,   /* Redis itself has none */
};

enum redis_password redis_error_password(const char *error);

#endif
