/* Building answers with cJSON. What memory was too short for is missing, never wrong. */
#ifndef TALLYD_API_JSON_H
#define TALLYD_API_JSON_H

#include "base/json.h"
#include "http/server.h"

/* Answers with `body`, which it takes. */
void json_answer(struct http_request *request, int status, cJSON *body);

/* {"counts":{...},"last":[...]}, see README; NULL: short of memory. */
cJSON *refusals_to_json(const struct refusals *refusals);

/* A text, or null where there is none. */
void json_add_text(cJSON *object, const char *name, const char *text);

/* suspicions.c: the member `suspicions` of `object`: those of the node, or all (NULL). */
struct ledger;
void suspicions_add(cJSON *object, struct ledger *ledger, const char *node);

#endif
