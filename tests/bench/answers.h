/* Answers of a connection, read as they come: as many as there are, in any pieces. */
#ifndef TALLYD_BENCH_ANSWERS_H
#define TALLYD_BENCH_ANSWERS_H

#include <stddef.h>
#include <stdint.h>

struct answers {
	char head[1024]; /* of one that has begun */
	size_t head_len;
	uint64_t body_left;
	int status, last_status;
	unsigned n_ok, n_other; /* whole ones: 200, and any other */
};

/* 0, or -1 if these are no answers that can be read here. */
int answers_take(struct answers *answers, const char *data, size_t len);

#endif
