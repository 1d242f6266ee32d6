/* Building answers with cJSON. */
#ifndef TALLYD_API_JSON_H
#define TALLYD_API_JSON_H

#include "account/ledger.h"
#include "base/json.h"
#include "http/server.h"

/* Answers with `body`, which it takes; 503 if memory was too short for any of it, so
 * whoever builds it need not look at each step. */
void json_answer(struct http_request *request, int status, cJSON *body);

/* refusals.c: `counts` and `last`, see README. */
void refusals_add(cJSON *object, const struct refusals *refusals);

/* A text, or null where there is none. */
void json_add_text(cJSON *object, const char *name, const char *text);

/* memory.c, of the status: how far the bounds are (rule 29), and who is largest. */

/* `memory`: {"bytes","maxBytes","nodes":[{"node","bytes","maxBytes"}]}, the ten largest.
 */
void memory_add(cJSON *data, const struct ledger *ledger);
/* Of one node: `memory` and `rejectedEvents`; nothing of one that holds nothing. */
void memory_add_node(cJSON *object, const struct ledger *ledger, const char *name);

/* A sentence for each bound of which four fifths are used. */
void memory_add_warnings(cJSON *warnings, const struct ledger *ledger);

/* suspicions.c: the member `suspicions` of `object`: those of the node, or all (NULL). */
void suspicions_add(cJSON *object, struct ledger *ledger, const char *node);

#endif
