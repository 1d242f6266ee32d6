/*
 * A ceiling: what Redis itself needs for the users of reports, one HINCRBY each. Sends
 * the same batch again and again, and waits for its replies before the next:
 *
 *     hincrby PORT SECONDS COMMANDS_PER_REPORT REPORTS_PER_BATCH
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define USERS 1000

static double now(void)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at); /* always 0 */
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static int connect_to(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
		err(1, "port %s", port);
	return fd;
}

static char *make_batch(int n, size_t *ret_len)
{
	char *batch = NULL;
	FILE *file = open_memstream(&batch, ret_len);

	if (file == NULL)
		err(1, "memory");
	for (int i = 0; i < n; i++)
		(void)fprintf(file,
			"*4\r\n$7\r\nHINCRBY\r\n$9\r\nuser:%04d\r\n$11\r\nusedTraffic\r\n"
			"$4\r\n%d\r\n",
			i % USERS, 1000 + i);
	if (fclose(file) != 0)
		err(1, "memory");
	return batch;
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n <= 0)
			err(1, "Redis");
		data += n;
		len -= (size_t)n;
	}
}

static void read_replies(int fd, int n)
{
	static char buffer[64 << 10];

	while (n > 0) {
		ssize_t len = read(fd, buffer, sizeof(buffer));

		if (len <= 0 || memchr(buffer, '-', (size_t)len) != NULL)
			errx(1, "Redis refuses HINCRBY");
		for (ssize_t i = 0; i < len; i++)
			n -= buffer[i] == '\n';
	}
}

int main(int argc, char **argv)
{
	double began, limit;
	size_t len, reports = 0;
	int fd, n, per_batch;
	char *batch;

	if (argc != 5)
		errx(2,
			"usage: hincrby PORT SECONDS COMMANDS_PER_REPORT "
			"REPORTS_PER_BATCH");
	fd = connect_to(argv[1]);
	limit = atof(argv[2]);
	per_batch = atoi(argv[4]);
	n = atoi(argv[3]) * per_batch;
	batch = make_batch(n, &len);
	for (began = now(); now() - began < limit; reports += (size_t)per_batch) {
		send_all(fd, batch, len);
		read_replies(fd, n);
	}
	(void)close(fd);
	free(batch);
	printf("{\"reports\":%zu,\"seconds\":%.6f}\n", reports, now() - began);
	return 0;
}
