/*
 * A request on its way through the door: from its headers (facts.c, delay.c) and its body
 * (request.c) to its answer (answer.c). Inside src/http only.
 */
#ifndef TALLYD_HTTP_REQUEST_H
#define TALLYD_HTTP_REQUEST_H

#include "base/buf.h"
#include "http/connection.h"
#include "http/route.h"

struct http_request {
	struct connection *connection;
	const struct http_route *route;
	char *path_value;
	const char *method, *path; /* libmicrohttpd's; they live as long as it */
	char *target_host;         /* of an absolute request line, or NULL; owned */
	struct buf body;
	uint64_t counted; /* of the server's body_memory */
	int refusal;      /* why it is answered without a handler, or 0 */
	char *sentence;   /* of the refusal; owned; NULL: err_text() */
	char allow[64];   /* of a 405 */
	bool is_suspended, is_handed;
	bool is_worked_on;
	bool can_wait; /* a refusal: for its body, which is small and on its way */
	struct http_identity identity;
	uint64_t rights_version; /* when it was judged */
	struct delay *delay;     /* between its headers and what becomes of it, or NULL */
	bool is_ok;              /* its answer is http_answer_ok() */

	struct MHD_Response *answer; /* between being given and being queued */
	int status;
};

/* What of the headers matters here or tells who asks. */
struct headers {
	unsigned n_hosts, n_lengths, n_encodings, n_authorizations, n_origins;
	const char *host, *length, *encoding, *authorization, *origin, *fetch_site;
	bool has_odd_name;              /* one that is read in more than one way */
	bool is_forwarded, does_expect; /* 100-continue */
};

/* facts.c */
void headers_gather(struct MHD_Connection *mhd, struct headers *ret_headers);
/* What makes the request ambiguous, or NULL. */
const char *headers_mistake(const struct headers *headers, const char *version);
/* Without a route, no parameter is looked at. */
void facts_gather(const struct http_request *request, const struct headers *headers,
	struct http_facts *ret_facts);

/* delay.c */

/* Puts the connection to sleep, before its body; false if there are too many already. */
bool delay_begin(struct http_request *request, unsigned delay_ms) MUST_CHECK;
/* Wakes whose time has come, or all; their requests go on in request_on_access(). */
void delay_wake_due(struct http_server *server, bool all);
void delay_end(struct http_request *request); /* if there is one */

/* request.c */
void request_sleep(struct http_request *request); /* until request_wake() */
void request_wake(struct http_request *request);
enum MHD_Result request_on_access(void *server, struct MHD_Connection *mhd,
	const char *url, const char *method, const char *version, const char *data,
	size_t *data_len, void **context);
void request_on_completed(void *server, struct MHD_Connection *mhd, void **context,
	enum MHD_RequestTerminationCode code);

/* answer.c */

/* A whole answer past libmicrohttpd, as far as the socket takes it, which then ends. */
void answer_raw(int fd, int code);

/* Notes it with what is known of the request. NULL: err_text(); no node. */
void request_note_refusal(const struct http_request *request, int code,
	const char *sentence, const char *node);

/* Whose report it is, once that is judged, or NULL. */
const char *request_node(const struct http_request *request);

/* Queues the answer that was set. MHD_NO closes the connection. */
enum MHD_Result answer_queue(struct http_request *request) MUST_CHECK;
void answer_close_after(struct http_request *request); /* it ends the connection */
void answer_add_header(struct http_request *request, const char *name, const char *value);
void answer_drop(struct http_request *request);    /* if it was never queued */
void answer_abandon(struct http_request *request); /* with 503, whoever had it */

#endif
