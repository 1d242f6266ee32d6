/* Building answers with cJSON. */
#ifndef TALLYD_API_JSON_H
#define TALLYD_API_JSON_H

#include "base/json.h"
#include "http/server.h"

/* Answers with `body`, which it takes; 503 if memory was too short for any of it, so
 * whoever builds it need not look at each step. */
void json_answer(struct http_request *request, int status, cJSON *body);

#endif
