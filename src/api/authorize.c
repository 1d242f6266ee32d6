/* What http asks for each request: the decision of rights.c, and what follows from a
 * refusal: a log line with the remedy, and a delay for who has guessed too often. */
#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>

/* GOST repeats a refused report for ever: this line is how its operator hears of it. */
static void log_report(
	const struct http_facts *facts, const struct rights_refusal *refusal, int code)
{
	log_limited(LOG_WARN, "report refused", "status=%d peer=%s node=%s reason=%s",
		err_http_status(code), facts->peer,
		LOG_QUOTE(refusal->node != NULL ? refusal->node : ""),
		LOG_QUOTE(refusal->msg->text));
}

static void log_other(
	const struct http_facts *facts, const struct rights_refusal *refusal, int code)
{
	log_limited(LOG_WARN, "request refused", "status=%d peer=%s path=%s reason=%s",
		err_http_status(code), facts->peer, facts->route->path,
		LOG_QUOTE(refusal->msg->text));
}

uint64_t api_rights_version(void *arg)
{
	return rights_version(&((struct api *)arg)->rights);
}

int api_authorize(void *arg, const struct http_facts *facts, struct http_ruling *ruling)
{
	struct api *api = arg;
	struct rights_refusal refusal = {.msg = &ruling->msg};
	int code = rights_decide(
		&api->rights, facts, clock_wall_ms(), ruling->identity, &refusal);

	if (refusal.is_guess)
		ruling->delay_ms = guesses_note(&api->guesses, facts->peer, clock_ms());
	if (code == 0)
		return 0;
	if (facts->route->right == RIGHT_REPORT) {
		accept_note_refused(api->accept);
		log_report(facts, &refusal, code);
	} else {
		log_other(facts, &refusal, code);
	}
	return code;
}
