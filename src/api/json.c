#include "api/json.h"

#include <stdlib.h>

void json_add_text(cJSON *object, const char *name, const char *text)
{
	if (text[0] != '\0')
		(void)cJSON_AddStringToObject(object, name, text);
	else
		(void)cJSON_AddNullToObject(object, name);
}

void json_answer(struct http_request *request, int status, cJSON *body)
{
	char *text = json_print(body);

	cJSON_Delete(body);
	if (text != NULL)
		http_answer_json(request, status, text);
	else
		http_answer_error(request, ERR_NOMEM, NULL);
	free(text);
}
