/*
 * Sends reports as GOSTs do, or any other requests, and counts what was answered. One
 * line of JSON when all connections stand, one at the end:
 *
 *     {"began":NS}
 *     {"reports":N,"events":N,"inputBytes":N,"outputBytes":N,"failed":N,"ended":NS}
 *
 * A report that is refused, or not answered in time, is sent again, byte for byte, until
 * it was answered 200, as GOST does: so the sums are exactly what the server has to have
 * counted. `failed` is how often that happened. What is not a report (--raw) is sent
 * once, and waited for until --linger after the end.
 *
 * Without --every each connection sends its next report as soon as the last one is
 * answered. With it, reports have a time at which they are due, and how long one took is
 * counted from then on: a server that stands still is not asked less.
 *
 * SIGTERM ends it as the end of --seconds does: nothing new is begun, and reports that
 * were begun or due are waited for.
 */
#include "bench/answers.h"
#include "bench/options.h"
#include "bench/samples.h"

#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_NS 50000000u

struct connection {
	int fd; /* -1: it is closed */
	bool is_busy, is_connected, was_connected;
	struct request request;
	struct answers answers;
	size_t sent;
	uint64_t due_ns;   /* when its request was to be sent */
	uint64_t tried_ns; /* when it was sent last; 0: it waits for the next tick */
	uint64_t n_due, n_begun; /* with --every */
};

static struct options options;
static struct connection *connections;
static int epoll_fd, timer_fd;
static volatile sig_atomic_t is_ended;
static uint64_t start_ns;    /* all are connected; 0: not yet */
static uint64_t answered_ns; /* the last of them */
static uint64_t n_scheduled;
static uint64_t n_busy, n_connected;
static int last_status;  /* of what was refused */
static uint64_t over_ns; /* from then on nothing new becomes due; 0: not yet */
static struct samples samples;
static struct {
	uint64_t begun, reports, failed, input_bytes, output_bytes;
} totals;

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now); /* always 0 */
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void watch(int fd, uint32_t events, void *what)
{
	struct epoll_event event = {.events = events, .data.ptr = what};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		err(1, "epoll_ctl");
}

static void open_socket(struct connection *connection)
{
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(1, "socket");
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (connect(fd, (struct sockaddr *)&options.server, sizeof(options.server)) !=
			0 &&
		errno != EINPROGRESS) {
		(void)close(fd); /* the next tick tries again */
		return;
	}
	connection->fd = fd;
	memset(&connection->answers, 0, sizeof(connection->answers));
	watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, connection);
}

/* Hung up, or given up. What it was sending waits for the next tick. */
static void lose(struct connection *connection)
{
	if (connection->fd >= 0)
		(void)close(connection->fd);
	connection->fd = -1;
	connection->is_connected = false;
	if (!connection->is_busy)
		return;
	connection->tried_ns = 0;
	totals.failed++;
	if (options.raw != NULL) {
		connection->is_busy = false;
		n_busy--;
	}
}

/* Whether it still stands. */
static bool push(struct connection *connection)
{
	while (connection->sent < connection->request.len) {
		ssize_t n =
			send(connection->fd, connection->request.bytes + connection->sent,
				connection->request.len - connection->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0) {
			lose(connection);
			return false;
		}
		connection->sent += (size_t)n;
	}
	return true;
}

static void try(struct connection *connection)
{
	connection->tried_ns = now_ns();
	connection->sent = 0;
	connection->answers.n_ok = connection->answers.n_other = 0;
	if (connection->fd < 0)
		open_socket(connection);
	if (connection->fd < 0)
		connection->tried_ns = 0;
	else if (connection->is_connected)
		(void)push(connection);
}

static void begin(struct connection *connection, uint64_t due_ns)
{
	connection->is_busy = true;
	n_busy++;
	totals.begun++;
	connection->n_begun++;
	connection->due_ns = due_ns;
	if (options.raw == NULL)
		request_next(&connection->request, &options.shape);
	try(connection);
}

/* When a connection's report number `n` is due. */
static uint64_t due_at(const struct connection *connection, uint64_t n)
{
	uint64_t number = (uint64_t)(connection - connections);
	uint64_t offset =
		options.is_at_once ? 0 : number * options.every_ns / options.connections;

	return start_ns + n * options.every_ns + offset;
}

static void end(uint64_t at_ns)
{
	if (over_ns == 0)
		over_ns = at_ns;
}

static bool is_enough(uint64_t n)
{
	return over_ns != 0 || (options.reports > 0 && n >= options.reports);
}

/* It may begin with what is next. */
static void go_on(struct connection *connection)
{
	if (start_ns == 0 || connection->is_busy)
		return;
	if (options.every_ns > 0 && connection->n_begun < connection->n_due)
		begin(connection, due_at(connection, connection->n_begun));
	else if (options.every_ns == 0 && !is_enough(totals.begun))
		begin(connection, now_ns());
}

static void finish(struct connection *connection)
{
	connection->is_busy = false;
	n_busy--;
	totals.reports++;
	totals.input_bytes += connection->request.input_bytes;
	totals.output_bytes += connection->request.output_bytes;
	answered_ns = now_ns();
	samples_add(&samples, connection->due_ns, answered_ns - connection->due_ns);
	if (connection->sent < connection->request.len)
		lose(connection); /* answered before its end: it is not read further */
	go_on(connection);
}

static void judge_answers(struct connection *connection)
{
	struct answers *answers = &connection->answers;

	if (!connection->is_busy || answers->n_ok + answers->n_other < options.answers)
		return;
	if (answers->n_other == 0 || options.raw != NULL) {
		finish(connection);
		return;
	}
	totals.failed++;
	connection->tried_ns = 0;
	answers->n_ok = answers->n_other = 0;
	last_status = answers->last_status;
}

static void receive(struct connection *connection)
{
	static char buffer[256 << 10];

	while (connection->fd >= 0) {
		ssize_t n = recv(connection->fd, buffer, sizeof(buffer), 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			lose(connection);
			return;
		}
		if (answers_take(&connection->answers, buffer, (size_t)n) != 0)
			errx(1, "an answer that has no Content-Length, or is none");
		judge_answers(connection);
		/* Whatever comes from now on is told anew. */
		if ((size_t)n < sizeof(buffer))
			return;
	}
}

static void on_connection(struct connection *connection, uint32_t events)
{
	if (connection->fd < 0)
		return;
	if (!connection->is_connected && (events & EPOLLOUT) != 0 &&
		(events & (EPOLLERR | EPOLLHUP)) == 0) {
		connection->is_connected = true;
		n_connected += !connection->was_connected;
		connection->was_connected = true;
	}
	if ((events & EPOLLOUT) != 0 && connection->is_busy &&
		connection->tried_ns != 0 && !push(connection))
		return;
	if ((events & EPOLLIN) != 0)
		receive(connection);
	if (connection->fd >= 0 && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
		receive(connection); /* to its end */
}

/* What waits for its next try, what takes too long, what could not be opened. */
static void on_tick(uint64_t now)
{
	for (uint64_t i = 0; i < options.connections; i++) {
		struct connection *connection = &connections[i];

		if (connection->is_busy && connection->tried_ns == 0)
			try(connection);
		else if (connection->is_busy &&
			now - connection->tried_ns > options.timeout_ns)
			lose(connection);
		else if (!connection->is_busy && connection->fd < 0 && over_ns == 0)
			open_socket(connection);
		go_on(connection);
	}
}

static void set_timer(uint64_t at_ns)
{
	struct itimerspec at = {
		.it_value = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)}};

	if (timerfd_settime(timer_fd, TFD_TIMER_ABSTIME, &at, NULL) != 0)
		err(1, "timerfd_settime");
}

/* Begins what is due by now, and sets the timer for what is next. */
static void schedule(void)
{
	while (!is_enough(n_scheduled)) {
		struct connection *connection =
			&connections[n_scheduled % options.connections];
		uint64_t due_ns = due_at(connection, n_scheduled / options.connections);

		if (options.limit_ns > 0 && due_ns >= start_ns + options.limit_ns)
			return; /* it is over before */
		if (due_ns > now_ns()) {
			set_timer(due_ns);
			return;
		}
		n_scheduled++;
		connection->n_due++;
		go_on(connection);
	}
}

static void start(void)
{
	answered_ns = start_ns = now_ns() + TICK_NS;
	printf("{\"began\":%" PRIu64 "}\n", start_ns);
	(void)fflush(stdout);
	if (options.every_ns > 0)
		set_timer(start_ns);
}

static bool is_done(void)
{
	uint64_t all = options.every_ns > 0 ? n_scheduled : totals.begun;

	if (over_ns != 0 && options.raw != NULL && now_ns() > over_ns + options.linger_ns)
		return true;
	return start_ns != 0 && n_busy == 0 && is_enough(all) && totals.begun == all;
}

static void give_up(void)
{
	if (last_status != 0)
		errx(1, "no report is accepted: the answer's status is %d", last_status);
	errx(1, "nothing was answered for %" PRIu64 " s",
		options.patience_ns / 1000000000);
}

static void maybe_end(uint64_t now)
{
	bool is_late = start_ns != 0 && options.limit_ns > 0 &&
		now >= start_ns + options.limit_ns;

	if (!is_late && !is_ended)
		return;
	if (options.every_ns > 0 && start_ns != 0)
		schedule(); /* what was due before */
	end(now);
}

/* What time brings. */
static void pass_time(uint64_t *ticked_ns)
{
	uint64_t now = now_ns();

	if (now - *ticked_ns < TICK_NS)
		return;
	*ticked_ns = now;
	if (start_ns == 0 && n_connected == options.connections)
		start();
	if (now > answered_ns && now - answered_ns > options.patience_ns)
		give_up();
	if (start_ns == 0 || now >= start_ns)
		on_tick(now);
	maybe_end(now);
}

static void run(void)
{
	struct epoll_event events[256];
	uint64_t ticked_ns = 0;

	answered_ns = now_ns();
	while (!is_done()) {
		int n = epoll_wait(epoll_fd, events, 256, TICK_NS / 1000000);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr != NULL)
				on_connection(events[i].data.ptr, events[i].events);
			else
				schedule();
		}
		pass_time(&ticked_ns);
	}
}

static void init(void)
{
	struct request raw = {0};

	connections = calloc(options.connections, sizeof(*connections));
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (connections == NULL || epoll_fd < 0 || timer_fd < 0)
		err(1, "start");
	watch(timer_fd, EPOLLIN | EPOLLET, NULL);
	if (options.raw != NULL)
		request_read(&raw, options.raw);
	for (uint64_t i = 0; i < options.connections; i++) {
		if (options.raw != NULL)
			connections[i].request = raw;
		else
			request_init(
				&connections[i].request, &options.shape, (unsigned)i);
		connections[i].fd = -1;
		open_socket(&connections[i]);
	}
}

static void on_signal(int number)
{
	(void)number;
	is_ended = 1;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_signal};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* fails only for a bad number */
	options_parse(&options, argc, argv);
	shape_init(&options.shape);
	(void)sigaction(SIGTERM, &action, NULL); /* fails only for a bad number */
	init();
	run();
	if (options.samples != NULL)
		samples_write(&samples, options.samples);
	printf("{\"reports\":%" PRIu64 ",\"events\":%" PRIu64 ",\"inputBytes\":%" PRIu64
	       ",\"outputBytes\":%" PRIu64 ",\"failed\":%" PRIu64 ",\"ended\":%" PRIu64
	       "}\n",
		totals.reports, options.shape.n_events, totals.input_bytes,
		totals.output_bytes, totals.failed, answered_ns);
	return 0;
}
