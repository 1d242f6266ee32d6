/* Every command comes in here; its route names the verb. */
#include "api/api.h"
#include "command/verb.h"

static void on_done(void *arg, unsigned status, const char *json)
{
	http_answer_json(arg, (int)status, json);
}

void api_command(void *arg, struct http_request *request)
{
	struct api *api = arg;
	const char *key = http_header(request, "Idempotency-Key");
	struct command_request command = {.verb = verb_find(http_route_data(request)),
		.actor = http_identity(request)->name,
		.key = key != NULL ? key : "",
		.subject = http_path_value(request)};
	struct errmsg msg = {""};
	int code = key != NULL && key[0] == '\0'
		? err_set(&msg, ERR_PARAM, "Idempotency-Key is empty")
		: 0;

	command.body = http_body(request, &command.len);
	if (code == 0)
		code = commands_submit(api->commands, &command, on_done, request, &msg);
	if (code != 0)
		http_answer_error(request, code, msg.text);
}
