/*
 * on_ready(): connected, so INFO and GET are sent; on_owner(), the last answer, ends it.
 * A name may have an address where nobody listens: as live does, another attempt takes
 * the next one, as long as there is time.
 */
#include "live/probe.h"
#include "base/clock.h"
#include "base/text.h"
#include "live/link.h"

#include <string.h>

#define MAX_ATTEMPTS 4

struct probing {
	struct redis *redis;
	struct probe *result;
	uint64_t began_ms, timeout_ms;
	unsigned n_attempts;
	bool is_closing;
};

static void copy_text(char to[PROBE_TEXT_BYTES], const char *text)
{
	text_copy_clean(to, PROBE_TEXT_BYTES, text, strlen(text));
}

static void on_closed(void *arg)
{
	(void)arg; /* the loop ends by itself now */
}

static void finish(struct probing *probing)
{
	if (probing->is_closing)
		return;
	probing->is_closing = true;
	redis_close(probing->redis, on_closed, NULL);
}

static void on_owner(void *arg, void *item, const redisReply *reply)
{
	struct probing *probing = arg;
	struct probe *result = probing->result;

	(void)item;
	if (reply == NULL)
		return;
	if (reply->type == REDIS_REPLY_ERROR)
		copy_text(result->error, reply->str);
	result->has_owner = reply->type == REDIS_REPLY_STRING;
	if (result->has_owner)
		copy_text(result->owner, reply->str);
	finish(probing);
}

static void on_ready(void *arg, const char *error)
{
	struct probing *probing = arg;
	const char *get[] = {"GET", INSTANCE_KEY};

	if (error == NULL) {
		probing->result->is_connected = true;
		survey_begin(probing->redis, &probing->result->survey);
		redis_ask(probing->redis, on_owner, NULL, 2, get);
		return;
	}
	copy_text(probing->result->error, error);
	if (++probing->n_attempts < MAX_ATTEMPTS &&
		clock_ms() - probing->began_ms < probing->timeout_ms)
		redis_connect(probing->redis);
	else
		finish(probing);
}

static void on_lost(void *arg, const char *error)
{
	struct probing *probing = arg;

	if (probing->is_closing)
		return;
	probing->result->is_connected = false;
	copy_text(probing->result->error, error);
	finish(probing);
}

static int probe_in(
	uv_loop_t *loop, const struct redis_address *address, struct probing *probing)
{
	probing->redis =
		redis_new(address, probing->timeout_ms, on_ready, on_lost, probing);
	if (probing->redis == NULL)
		return ERR_NOMEM;
	redis_start(probing->redis, loop);
	redis_connect(probing->redis);
	(void)uv_run(loop, UV_RUN_DEFAULT); /* until all is closed */
	redis_free(probing->redis);
	return 0;
}

int probe_redis(
	const struct redis_address *address, uint64_t timeout_ms, struct probe *ret_probe)
{
	struct probe result = {.is_connected = false};
	struct probing probing = {
		.result = &result, .began_ms = clock_ms(), .timeout_ms = timeout_ms};
	uv_loop_t loop;
	int code;

	if (uv_loop_init(&loop) != 0)
		return ERR_NOMEM;
	code = probe_in(&loop, address, &probing);
	(void)uv_loop_close(&loop); /* nothing is open in it */
	if (code == 0)
		*ret_probe = result;
	return code;
}
