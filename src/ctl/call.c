#include "ctl/call.h"
#include "ctl/ctl.h"
#include "ctl/mem.h"
#include "ctl/target.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define MAX_ANSWER_BYTES (UINT64_C(256) << 20)
#define KEY_BYTES 16

struct call {
	const struct target *target;
	CURL *curl;
	char *text; /* the answer, as far as it has come */
	size_t len, cap;
	bool was_sent; /* some of the request, in any attempt */
	char error[CURL_ERROR_SIZE];
};

/* The answer's bytes; less than `len` ends the request. */
static size_t on_body(char *bytes, size_t size, size_t len, void *arg)
{
	struct call *call = arg;

	(void)size; /* always 1 */
	if (call->len + len > MAX_ANSWER_BYTES)
		return 0;
	if (call->len + len >= call->cap) {
		call->cap = 2 * (call->len + len) + 4096;
		call->text = mem_resize(call->text, call->cap);
	}
	(void)memcpy(call->text + call->len, bytes, len);
	call->len += len;
	return len;
}

/* For options that the library at hand knows and whose values are right. */
#define SET(call, option, value)                                                         \
	do {                                                                             \
		CURLcode set_ = curl_easy_setopt((call)->curl, option, value);           \
		assert(set_ != CURLE_UNKNOWN_OPTION && set_ != CURLE_NOT_BUILT_IN);      \
		if (set_ == CURLE_OUT_OF_MEMORY)                                         \
			exit(ctl_fail(EXIT_SOFTWARE, "out of memory"));                  \
	} while (0)

struct call *call_new(const struct target *target, unsigned timeout_ms)
{
	struct call *call = mem_alloc(sizeof(*call));

	*call = (struct call){.target = target};
	if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
		call->curl = curl_easy_init();
	if (call->curl == NULL)
		exit(ctl_fail(EXIT_SOFTWARE, "libcurl cannot be started"));
	if (target->socket != NULL)
		SET(call, CURLOPT_UNIX_SOCKET_PATH, target->socket);
	/* An authority of one's own, as curl and openssl read it too. */
	if (getenv("SSL_CERT_FILE") != NULL)
		SET(call, CURLOPT_CAINFO, getenv("SSL_CERT_FILE"));
	SET(call, CURLOPT_PROXY, ""); /* not even from the environment */
	/* `.` and `..` are names too, and not to be resolved. */
	SET(call, CURLOPT_PATH_AS_IS, 1L);
	SET(call, CURLOPT_USERAGENT, "tallyctl/" TALLYD_VERSION);
	SET(call, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms / 3);
	SET(call, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	SET(call, CURLOPT_WRITEFUNCTION, on_body);
	SET(call, CURLOPT_WRITEDATA, call);
	SET(call, CURLOPT_ERRORBUFFER, call->error);
	return call;
}

void call_free(struct call *call)
{
	if (call == NULL)
		return;
	curl_easy_cleanup(call->curl);
	curl_global_cleanup();
	free(call->text);
	free(call);
}

static void add_header(struct curl_slist **headers, char *line)
{
	struct curl_slist *more = curl_slist_append(*headers, line);

	if (more == NULL)
		exit(ctl_fail(EXIT_SOFTWARE, "out of memory"));
	*headers = more;
	free(line);
}

static char *new_key(void)
{
	uint8_t bytes[KEY_BYTES];
	char text[2 * KEY_BYTES + 1];

	if (getentropy(bytes, sizeof(bytes)) != 0)
		exit(ctl_fail(EXIT_SOFTWARE, "no random numbers: %s", strerror(errno)));
	for (size_t i = 0; i < KEY_BYTES; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	return mem_format("Idempotency-Key: %s", text);
}

static struct curl_slist *make_headers(
	const struct target *target, bool is_command, bool has_body)
{
	struct curl_slist *headers = NULL;

	add_header(&headers, mem_copy("Accept: application/json"));
	add_header(&headers, mem_copy("Expect:")); /* no 100-continue */
	add_header(&headers,
		mem_copy(has_body ? "Content-Type: application/json" : "Content-Type:"));
	if (is_command)
		add_header(&headers, new_key());
	if (target->token[0] != '\0')
		add_header(
			&headers, mem_format("Authorization: Bearer %s", target->token));
	return headers;
}

/* Whether the connection broke before the answer was there. */
static bool is_broken(CURLcode result)
{
	return result == CURLE_GOT_NOTHING || result == CURLE_RECV_ERROR ||
		result == CURLE_SEND_ERROR || result == CURLE_PARTIAL_FILE;
}

static CURLcode perform_once(struct call *call)
{
	CURLcode result;
	long sent = 0;

	call->len = 0;
	call->error[0] = '\0';
	result = curl_easy_perform(call->curl);
	(void)curl_easy_getinfo(call->curl, CURLINFO_REQUEST_SIZE, &sent); /* else 0 */
	call->was_sent = call->was_sent || sent > 0;
	return result;
}

/* Again after a break, also where nothing listens at the moment: it may be starting. */
static CURLcode perform(struct call *call)
{
	static const long waits_ms[] = {200, 500, 1000};
	CURLcode result = perform_once(call);

	if (!is_broken(result))
		return result;
	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++) {
		struct timespec wait = {waits_ms[i] / 1000, waits_ms[i] % 1000 * 1000000};

		(void)nanosleep(&wait, NULL); /* shorter is as good */
		result = perform_once(call);
		if (!is_broken(result) && result != CURLE_COULDNT_CONNECT)
			return result;
	}
	/* What is known is not that nothing listens, but that there was no answer. */
	return CURLE_GOT_NOTHING;
}

static int explain_connect(const struct call *call, struct errmsg *ret_msg)
{
	const char *socket = call->target->socket;
	long number = 0;

	(void)curl_easy_getinfo(call->curl, CURLINFO_OS_ERRNO, &number); /* else 0 */
	if (socket == NULL)
		return err_set(ret_msg, EXIT_UNREACHABLE, "cannot reach tallyd: %s",
			call->error);
	if (number == EACCES || number == EPERM)
		return err_set(ret_msg, EXIT_NO_RIGHT,
			"you have no right to use %s; admin.sock is for root and the "
			"group tallyd-admin, read.sock (--socket) for the group "
			"tallyd-read",
			socket);
	return err_set(ret_msg, EXIT_UNREACHABLE,
		"cannot reach tallyd at %s: %s; is it running, and is this its "
		"admin_socket?",
		socket, number != 0 ? strerror((int)number) : call->error);
}

static int explain(
	const struct call *call, CURLcode result, bool is_command, struct errmsg *ret_msg)
{
	const char *unknown = is_command && call->was_sent
		? "; it is not known whether it was done: look before you repeat it"
		: "";

	if (result == CURLE_COULDNT_CONNECT)
		return explain_connect(call, ret_msg);
	if (is_broken(result))
		return err_set(ret_msg, EXIT_UNREACHABLE,
			"the connection to %s broke before there was an answer%s",
			target_name(call->target), unknown);
	if (result == CURLE_OPERATION_TIMEDOUT)
		return err_set(ret_msg, EXIT_UNREACHABLE, "%s did not answer in time%s",
			target_name(call->target), unknown);
	return err_set(ret_msg, EXIT_UNREACHABLE, "cannot ask %s: %s%s",
		target_name(call->target),
		call->error[0] != '\0' ? call->error : curl_easy_strerror(result),
		unknown);
}

/* The answer leaves the call. */
static void take_answer(struct call *call, struct answer *ret_answer)
{
	call->text = mem_resize(call->text, call->len + 1);
	call->text[call->len] = '\0';
	ret_answer->text = call->text;
	ret_answer->len = call->len;
	call->text = NULL;
	call->cap = call->len = 0;
	(void)curl_easy_getinfo(call->curl, CURLINFO_RESPONSE_CODE, &ret_answer->status);
	ret_answer->json = cJSON_ParseWithLength(ret_answer->text, ret_answer->len);
}

int call_do(struct call *call, const char *method, const char *path, const cJSON *body,
	struct answer *ret_answer, struct errmsg *ret_msg)
{
	bool is_command = strcmp(method, "GET") != 0;
	char *text = body != NULL ? cJSON_PrintUnformatted(body) : NULL;
	char *url = mem_format("%s%s", call->target->url, path);
	struct curl_slist *headers = make_headers(call->target, is_command, text != NULL);
	CURLcode result;

	call->was_sent = false;
	SET(call, CURLOPT_URL, url);
	SET(call, CURLOPT_HTTPHEADER, headers);
	SET(call, CURLOPT_POSTFIELDS, text); /* NULL: none */
	SET(call, CURLOPT_POSTFIELDSIZE, text != NULL ? (long)strlen(text) : 0L);
	if (text == NULL)
		SET(call, CURLOPT_HTTPGET, 1L);
	SET(call, CURLOPT_CUSTOMREQUEST, method);
	result = perform(call);
	SET(call, CURLOPT_HTTPHEADER, NULL);
	SET(call, CURLOPT_POSTFIELDS, NULL);
	if (result == CURLE_OK)
		take_answer(call, ret_answer);
	curl_slist_free_all(headers);
	free(url);
	free(text);
	return result == CURLE_OK ? 0 : explain(call, result, is_command, ret_msg);
}

void answer_done(struct answer *answer)
{
	cJSON_Delete(answer->json);
	free(answer->text);
	*answer = (struct answer){0};
}
