/*
 * Reports as GOST writes them. A request is a buffer that is made once; each report
 * changes only its digits, all of which have fixed places. No two reports are equal, and
 * no two amounts near each other, so that a sum tells one that is missing from one that
 * was counted twice.
 */
#ifndef TALLYD_BENCH_REQUEST_H
#define TALLYD_BENCH_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shape {
	const char *host;
	const char *target;  /* path and query; a `%` is the number of the connection */
	const char *header;  /* one more line, or NULL */
	const char *service; /* its name */
	uint64_t events, users;
	uint64_t id_digits;  /* of the users' names: 0001 */
	bool is_cumulative;  /* counters as GOST without resetTraffic has them */
	uint64_t n_events;   /* made so far */
	uint64_t first_conn; /* what totalConns counts on from */
	uint64_t stride;     /* from a user to the next: all of them once, in no order */
};

struct request {
	char *bytes;
	size_t len;
	size_t first_event; /* where it begins */
	uint32_t *grown;    /* of each user's counters, if they are cumulative */
	uint64_t input_bytes, output_bytes; /* what the report in it adds */
};

/* Sets `stride` and `first_conn`. */
void shape_init(struct shape *shape);
/* Ends the process where memory is short, as everything here does. */
void request_init(
	struct request *request, const struct shape *shape, unsigned connection);
/* What stands in a file, as it is. */
void request_read(struct request *request, const char *path);
/* Makes the next report in it. */
void request_next(struct request *request, struct shape *shape);

#endif
