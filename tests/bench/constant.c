/*
 * A ceiling: libmicrohttpd in the loop as src/http/server.c has it, which reads the body
 * and answers {"ok":true} to whatever it is. With `json` as second argument cJSON reads
 * the body, too.
 */
#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <err.h>
#include <microhttpd.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <uv.h>

#define CONNECTION_MEMORY_BYTES (32u << 10)
#define BACKLOG 512

struct body {
	char *bytes;
	size_t len, size;
};

static struct MHD_Daemon *daemon_;
static struct MHD_Response *ok;
static uv_timer_t timer;
static bool has_json;

static void on_timer(uv_timer_t *handle);

static void run(void)
{
	MHD_UNSIGNED_LONG_LONG timeout_ms;

	(void)MHD_run(daemon_); /* fails only in other modes */
	if (MHD_get_timeout(daemon_, &timeout_ms) == MHD_YES)
		(void)uv_timer_start(&timer, on_timer, timeout_ms, 0);
	else
		(void)uv_timer_stop(&timer);
}

static void on_timer(uv_timer_t *handle)
{
	(void)handle;
	run();
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	(void)poll;
	(void)status;
	(void)events;
	run();
}

static void on_listener(uv_poll_t *poll, int status, int events)
{
	int listener, fd, on = 1;

	(void)status;
	(void)events;
	if (uv_fileno((uv_handle_t *)poll, &listener) != 0)
		abort(); /* it is open */
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct sockaddr_in peer = {.sin_family = AF_INET};

		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		if (MHD_add_connection(daemon_, fd, (struct sockaddr *)&peer,
			    sizeof(peer)) != MHD_YES)
			errx(1, "a connection too many");
	}
	run();
}

static void gather(struct body *body, const char *data, size_t len)
{
	if (body->len + len > body->size) {
		body->size = 2 * (body->len + len);
		body->bytes = realloc(body->bytes, body->size);
		if (body->bytes == NULL)
			err(1, "memory");
	}
	memcpy(body->bytes + body->len, data, len);
	body->len += len;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection,
	const char *url, const char *method, const char *version, const char *data,
	size_t *len, void **context)
{
	struct body *body = *context;

	(void)arg;
	(void)url;
	(void)method;
	(void)version;
	if (body == NULL) {
		*context = calloc(1, sizeof(*body));
		return *context != NULL ? MHD_YES : MHD_NO;
	}
	if (*len > 0) {
		gather(body, data, *len);
		*len = 0;
		return MHD_YES;
	}
	if (has_json)
		cJSON_Delete(cJSON_ParseWithLength(body->bytes, body->len));
	return MHD_queue_response(connection, MHD_HTTP_OK, ok);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **context,
	enum MHD_RequestTerminationCode code)
{
	struct body *body = *context;

	(void)arg;
	(void)connection;
	(void)code;
	if (body != NULL)
		free(body->bytes);
	free(body);
}

static int listen_on(const char *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
		listen(fd, BACKLOG) != 0)
		err(1, "port %s", port);
	return fd;
}

static void start(void)
{
	static char text[] = "{\"ok\":true}";

	daemon_ = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
			MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_access, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		NULL, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY_BYTES,
		MHD_OPTION_END);
	ok = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_PERSISTENT);
	if (daemon_ == NULL || ok == NULL ||
		MHD_add_response_header(
			ok, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json") != MHD_YES)
		errx(1, "libmicrohttpd cannot be started");
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_poll_t listener, poll;

	if (argc < 2)
		errx(2, "usage: constant PORT [json]");
	has_json = argc > 2;
	start();
	if (uv_timer_init(loop, &timer) != 0 ||
		uv_poll_init(loop, &listener, listen_on(argv[1])) != 0 ||
		uv_poll_init(loop, &poll,
			MHD_get_daemon_info(daemon_, MHD_DAEMON_INFO_EPOLL_FD)
				->epoll_fd) != 0 ||
		uv_poll_start(&listener, UV_READABLE, on_listener) != 0 ||
		uv_poll_start(&poll, UV_READABLE, on_poll) != 0)
		errx(1, "the loop cannot be started");
	return uv_run(loop, UV_RUN_DEFAULT);
}
