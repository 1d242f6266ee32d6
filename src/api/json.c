#include "api/json.h"

#include <stdlib.h>

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
