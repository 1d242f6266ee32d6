/* Building answers with cJSON. What memory was too short for is missing, never wrong. */
#ifndef TALLYD_API_JSON_H
#define TALLYD_API_JSON_H

#include "http/server.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* All digits of an integer. */
void json_add_u64(cJSON *object, const char *name, uint64_t value);

/* Up to three decimals, none if there are none. */
void json_add_decimal(cJSON *object, const char *name, double value);

/* Answers with `body`, which it takes. */
void json_answer(struct http_request *request, int status, cJSON *body);

#endif
