/* What http asks for each request: the decision of rights.c, and what follows from a
 * refusal: a delay for who has guessed too often. */
#include "api/api.h"
#include "base/clock.h"

uint64_t api_rights_version(void *arg)
{
	return rights_version(&((struct api *)arg)->rights);
}

/* Its answer is the same for all, so it tells nothing and need not wait. */
const char *api_sender(void *arg, const struct http_facts *facts)
{
	struct api *api = arg;
	bool is_guess;
	const char *node = rights_sender(&api->rights, facts, clock_wall_ms(), &is_guess);

	if (is_guess)
		(void)guesses_note(&api->guesses, facts->peer, clock_ms());
	return node;
}

int api_authorize(void *arg, const struct http_facts *facts, struct http_ruling *ruling)
{
	struct api *api = arg;
	struct rights_refusal refusal = {.msg = &ruling->msg};
	int code = rights_decide(
		&api->rights, facts, clock_wall_ms(), ruling->identity, &refusal);

	if (refusal.is_guess)
		ruling->delay_ms = guesses_note(&api->guesses, facts->peer, clock_ms());
	ruling->node = refusal.node;
	if (code != 0 && facts->route->right == RIGHT_REPORT)
		accept_note_refused(api->accept);
	return code;
}
