#include "bench/request.h"

#include <err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONN_DIGITS 10
#define FIRST_CUMULATIVE 1000000000u /* so that their digits stay as many */

/* The members before each changing value, in the order in which Go writes them. */
static const char kind[] = "{\"kind\":\"handler\",\"service\":\"",
		  client[] = "\",\"client\":\"",
		  conns[] = "\",\"type\":\"stats\",\"stats\":{\"totalConns\":",
		  input[] = ",\"currentConns\":0,\"inputBytes\":",
		  output[] = ",\"outputBytes\":", tail[] = ",\"totalErrs\":0}}";

static size_t byte_digits(const struct shape *shape)
{
	return shape->is_cumulative ? 10 : 4;
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
	return b == 0 ? a : common_divisor(b, a % b);
}

void shape_init(struct shape *shape)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* always 0 */
	shape->first_conn = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	shape->stride = shape->users * 618 / 1000 + 1;
	while (common_divisor(shape->stride, shape->users) != 1)
		shape->stride++;
}

static void put(char *place, uint64_t value, size_t digits)
{
	while (digits-- > 0) {
		place[digits] = (char)('0' + value % 10);
		value /= 10;
	}
}

static void fill(FILE *file, char c, size_t n)
{
	while (n-- > 0)
		(void)fputc(c, file);
}

static char *make_body(const struct shape *shape, size_t *ret_len)
{
	char *body = NULL;
	FILE *file = open_memstream(&body, ret_len);

	if (file == NULL)
		err(1, "memory");
	(void)fputs("{\"events\":[", file);
	for (uint64_t i = 0; i < shape->events; i++) {
		(void)fprintf(
			file, "%s%s%s%s", i > 0 ? "," : "", kind, shape->service, client);
		fill(file, '0', shape->id_digits);
		(void)fputs(conns, file);
		fill(file, '1', CONN_DIGITS);
		(void)fputs(input, file);
		fill(file, '1', byte_digits(shape));
		(void)fputs(output, file);
		fill(file, '1', byte_digits(shape));
		(void)fputs(tail, file);
	}
	(void)fputs("]}", file);
	if (fclose(file) != 0)
		err(1, "memory");
	return body;
}

static void print_target(FILE *file, const char *target, unsigned connection)
{
	const char *percent = strchr(target, '%');

	if (percent == NULL)
		(void)fputs(target, file);
	else
		(void)fprintf(file, "%.*s%u%s", (int)(percent - target), target,
			connection, percent + 1);
}

void request_init(struct request *request, const struct shape *shape, unsigned connection)
{
	size_t body_len;
	char *body = make_body(shape, &body_len);
	FILE *file = open_memstream(&request->bytes, &request->len);

	if (file == NULL)
		err(1, "memory");
	(void)fputs("POST ", file);
	print_target(file, shape->target, connection);
	(void)fprintf(file,
		" HTTP/1.1\r\nHost: %s\r\nUser-Agent: Go-http-client/1.1\r\n"
		"Content-Length: %zu\r\nContent-Type: application/json\r\n",
		shape->host, body_len);
	if (shape->header != NULL)
		(void)fprintf(file, "%s\r\n", shape->header);
	(void)fputs("\r\n", file);
	(void)fwrite(body, 1, body_len, file);
	free(body);
	if (fclose(file) != 0)
		err(1, "memory");
	request->first_event = request->len - body_len + strlen("{\"events\":[");
	if (shape->is_cumulative)
		request->grown = calloc(shape->users, sizeof(*request->grown));
	if (shape->is_cumulative && request->grown == NULL)
		err(1, "memory");
}

void request_read(struct request *request, const char *path)
{
	FILE *file = fopen(path, "rb");
	long size;

	if (file == NULL || fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0)
		err(1, "%s", path);
	rewind(file);
	request->len = (size_t)size;
	request->bytes = malloc(request->len + 1);
	if (request->bytes == NULL ||
		fread(request->bytes, 1, request->len, file) != request->len)
		err(1, "%s", path);
	(void)fclose(file); /* it was only read */
}

/* What the event adds is what its counters have grown, and the first value in full. */
static void put_cumulative(struct request *request, char *in, char *out, uint64_t user,
	uint32_t amount, size_t digits)
{
	uint32_t *grown = &request->grown[user];
	uint64_t adds = *grown == 0 ? FIRST_CUMULATIVE + (uint64_t)amount : amount;

	*grown += amount;
	put(in, FIRST_CUMULATIVE + (uint64_t)*grown, digits);
	put(out, FIRST_CUMULATIVE + (uint64_t)*grown, digits);
	request->input_bytes += adds;
	request->output_bytes += adds;
}

static char *put_event(
	struct request *request, const struct shape *shape, char *event, uint64_t number)
{
	size_t digits = byte_digits(shape);
	uint64_t user = number * shape->stride % shape->users;
	uint64_t in_amount = 1000 + number % 9000, out_amount = 1000 + number * 7 % 9000;
	char *id = event + strlen(kind) + strlen(shape->service) + strlen(client);
	char *conn = id + shape->id_digits + strlen(conns);
	char *in = conn + CONN_DIGITS + strlen(input);
	char *out = in + digits + strlen(output);

	put(id, user + 1, shape->id_digits);
	put(conn, 1000000000 + (shape->first_conn + number) % 9000000000, CONN_DIGITS);
	if (shape->is_cumulative) {
		put_cumulative(request, in, out, user, (uint32_t)in_amount, digits);
	} else {
		put(in, in_amount, digits);
		put(out, out_amount, digits);
		request->input_bytes += in_amount;
		request->output_bytes += out_amount;
	}
	return out + digits + strlen(tail) + strlen(",");
}

void request_next(struct request *request, struct shape *shape)
{
	char *event = request->bytes + request->first_event;

	request->input_bytes = request->output_bytes = 0;
	for (uint64_t i = 0; i < shape->events; i++)
		event = put_event(request, shape, event, shape->n_events++);
}
