/* The command line of the sender: send [--NAME=VALUE] [--FLAG] http://ADDRESS:PORT/PATH
 */
#ifndef TALLYD_BENCH_OPTIONS_H
#define TALLYD_BENCH_OPTIONS_H

#include "bench/request.h"

#include <netinet/in.h>

struct options {
	struct sockaddr_in server;
	uint64_t connections;
	uint64_t reports, limit_ns; /* when it is over; 0: never */
	uint64_t every_ns;          /* per connection; 0: after each answer */
	bool is_at_once;            /* all at one instant, not spread over `every_ns` */
	uint64_t timeout_ns;        /* then it is sent again on another connection */
	uint64_t patience_ns;       /* without any answer; then the sender gives up */
	const char *raw;            /* a file of requests, sent instead of reports */
	uint64_t answers;           /* to such a file */
	uint64_t linger_ns;         /* how long they are waited for when it is over */
	const char
		*samples; /* file: of each report when it was due and how long it took */
	struct shape shape; /* of the reports */
};

/* Ends the process, with a sentence, if they are wrong. */
void options_parse(struct options *options, int argc, char **argv);

#endif
