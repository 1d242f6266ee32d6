#include "api/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* cJSON would print a large integer as 1e+15. */
void json_add_u64(cJSON *object, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, value);
	(void)cJSON_AddRawToObject(
		object, name, text); /* short of memory: see json_answer() */
}

void json_add_decimal(cJSON *object, const char *name, double value)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%.10g", round(value * 1000) / 1000);
	(void)cJSON_AddRawToObject(object, name, text);
}

void json_answer(struct http_request *request, int status, cJSON *body)
{
	char *text = cJSON_PrintUnformatted(body);

	cJSON_Delete(body);
	if (text != NULL)
		http_answer_json(request, status, text);
	else
		http_answer_empty(request, 503);
	free(text);
}
