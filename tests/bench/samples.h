/* When each report was due and how long it took, kept in memory until the end. */
#ifndef TALLYD_BENCH_SAMPLES_H
#define TALLYD_BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

struct samples {
	struct sample {
		uint64_t due_ns, took_ns;
	} * list;
	size_t n, size;
};

/* Both end the process if they cannot. */
void samples_add(struct samples *samples, uint64_t due_ns, uint64_t took_ns);
/* As they stand in memory. */
void samples_write(const struct samples *samples, const char *path);

#endif
