/* Building answers with cJSON. What memory was too short for is missing, never wrong. */
#ifndef TALLYD_API_JSON_H
#define TALLYD_API_JSON_H

#include "base/json.h"
#include "http/server.h"

/* Answers with `body`, which it takes. */
void json_answer(struct http_request *request, int status, cJSON *body);

/* suspicions.c: the member `suspicions` of `object`: those of the node, or all (NULL). */
struct ledger;
void suspicions_add(cJSON *object, struct ledger *ledger, const char *node);

#endif
