#include "bench/samples.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>

void samples_add(struct samples *samples, uint64_t due_ns, uint64_t took_ns)
{
	if (samples->n == samples->size) {
		samples->size = samples->size == 0 ? 4096 : samples->size * 2;
		samples->list =
			realloc(samples->list, samples->size * sizeof(*samples->list));
		if (samples->list == NULL)
			err(1, "memory");
	}
	samples->list[samples->n++] = (struct sample){due_ns, took_ns};
}

void samples_write(const struct samples *samples, const char *path)
{
	FILE *file = fopen(path, "wb");

	if (file == NULL ||
		fwrite(samples->list, sizeof(*samples->list), samples->n, file) !=
			samples->n ||
		fclose(file) != 0)
		err(1, "%s", path);
}
