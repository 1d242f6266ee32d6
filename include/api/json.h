/* Building answers with cJSON. What memory was too short for is missing, never wrong. */
#ifndef TALLYD_API_JSON_H
#define TALLYD_API_JSON_H

#include "account/ledger.h"
#include "base/json.h"
#include "http/server.h"

/* Answers with `body`, which it takes. */
void json_answer(struct http_request *request, int status, cJSON *body);

/* memory.c, of the status: how far the bounds are (rule 29), and who is largest. */

/* `memory`: {"bytes","maxBytes","nodes":[{"node","bytes","maxBytes"}]}, the ten largest.
 */
void memory_add(cJSON *data, const struct ledger *ledger);

/* A sentence for each bound of which four fifths are used. */
void memory_add_warnings(cJSON *warnings, const struct ledger *ledger);

#endif
