#include "api/api.h"
#include "api/json.h"

#include <stdlib.h>

/* One question: Redis first, the ledger if Redis cannot tell. */
struct question {
	struct http_request *request;
	const struct user *user;
};

static void answer(struct http_request *request, const struct user *user,
	const struct totals *totals, const char *source)
{
	cJSON *root = cJSON_CreateObject();

	(void)cJSON_AddStringToObject(root, "id", user->id);
	json_add_u64(root, "usedTraffic", totals->used);
	json_add_u64(root, "inputBytes", totals->input);
	json_add_u64(root, "outputBytes", totals->output);
	(void)cJSON_AddStringToObject(root, "source", source);
	json_answer(request, 200, root);
}

static void on_read(void *arg, const struct totals *totals)
{
	struct question question = *(struct question *)arg;

	free(arg);
	if (totals != NULL)
		answer(question.request, question.user, totals, "redis");
	else
		answer(question.request, question.user, &question.user->total, "ledger");
}

void api_user_traffic(void *arg, struct http_request *request)
{
	const struct api *api = arg;
	const struct user *user = ledger_find_user(api->ledger, http_path_value(request));
	struct question *question;

	if (user == NULL) {
		http_answer_error(request, ERR_NOT_FOUND, "no user has this id");
		return;
	}
	question = malloc(sizeof(*question));
	if (question != NULL) {
		*question = (struct question){request, user};
		if (live_read(api->live, user, on_read, question))
			return;
	}
	free(question);
	answer(request, user, &user->total, "ledger");
}
