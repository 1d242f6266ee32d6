/*
 * The endpoints: each turns a request into a question to the pipeline, and its answer
 * into JSON.
 */
#ifndef TALLYD_API_API_H
#define TALLYD_API_API_H

#include "api/guesses.h"
#include "api/rights.h"
#include "base/version.h"
#include "command/command.h"
#include "http/server.h"
#include "pipeline/large.h"

struct api {
	struct accept *accept;
	struct large *large;
	struct commands *commands;
	struct ledger *ledger;
	struct journal *journal;
	struct live *live;
	struct flush *flush;
	struct flush_config flush_config; /* as shown in the status */
	unsigned sync_batch_size;
	const char *data_dir;       /* as it was configured; borrowed */
	size_t max_body_bytes;      /* half of it is warned of */
	enum counter_mode counters; /* of reports that do not say */
	struct rights rights;
	struct guesses guesses;
	uint64_t started_ms; /* clock_ms() */
	bool is_stopping;
};

/* The route table, for http_open(); its handlers get a `struct api *`. */
const struct http_route *api_routes(void);

/* For http_config. */
void api_delivered(void *arg, uint64_t connection);
uint64_t api_rights_version(void *arg);
const char *api_sender(void *arg, const struct http_facts *facts);
int api_authorize(void *arg, const struct http_facts *facts, struct http_ruling *ruling);

void api_observer(void *arg, struct http_request *request);
void api_refusals(void *arg, struct http_request *request);
void api_status(void *arg, struct http_request *request);
void api_force_sync(void *arg, struct http_request *request);
void api_user_traffic(void *arg, struct http_request *request);
void api_livez(void *arg, struct http_request *request);
void api_readyz(void *arg, struct http_request *request);
void api_version(void *arg, struct http_request *request);
void api_nodes(void *arg, struct http_request *request);
void api_node(void *arg, struct http_request *request);
void api_command(void *arg, struct http_request *request);

#endif
