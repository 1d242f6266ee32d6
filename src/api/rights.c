/*
 * The order of the questions: is it a page of another site, is there a credential and is
 * it right, is the Host ours, and is what is left enough for this route.
 */
#include "api/rights.h"
#include "api/credential.h"
#include "api/host.h"
#include "base/text.h"
#include "http/server.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static void hash_token(const char *text, size_t len, uint8_t ret_hash[TOKEN_HASH_BYTES])
{
	/* Cannot fail with these lengths. */
	(void)crypto_generichash(
		ret_hash, TOKEN_HASH_BYTES, (const unsigned char *)text, len, NULL, 0);
}

static void set_token(struct token *token, const char *text)
{
	*token = (struct token){.is_set = text != NULL && text[0] != '\0'};
	if (token->is_set)
		hash_token(text, strlen(text), token->hash);
}

void rights_configure(struct rights *rights, const struct ledger *ledger,
	const struct rights_config *config)
{
	*rights = (struct rights){.version = rights->version + 1,
		.ledger = ledger,
		.listen = config->listen,
		.hostnames = config->hostnames,
		.allow_anonymous = config->allow_anonymous,
		.is_redis_bare = config->is_redis_bare,
		.is_redis_password_public = config->is_redis_password_public};
	set_token(&rights->api, config->api_token);
	set_token(&rights->read, config->read_token);
}

uint64_t rights_version(const struct rights *rights)
{
	return rights->version + ledger_nodes_version(rights->ledger);
}

bool rights_is_free(const struct rights *rights)
{
	return !rights->api.is_set && !rights->read.is_set &&
		ledger_is_open(rights->ledger) && ledger_n_secrets(rights->ledger) == 0;
}

size_t rights_warnings(
	const struct rights *rights, const char *ret_warnings[RIGHTS_MAX_WARNINGS])
{
	size_t n = 0;

	if (rights->is_redis_bare)
		ret_warnings[n++] = RIGHTS_REDIS_IS_BARE;
	if (rights->is_redis_password_public)
		ret_warnings[n++] =
			"the password of redis_url was given on the command line: at "
			"each start everybody on this machine can read it there (ps, "
			"/proc/PID/cmdline); write `redis_url = "
			"redis://default:PASSWORD@HOST:PORT/0` into the configuration "
			"file, or TALLYD_REDIS_URL into the environment, and change the "
			"password";
	if (!ledger_is_open(rights->ledger))
		return n;
	if (ledger_n_secrets(rights->ledger) > 0)
		ret_warnings[n++] =
			"names without a secret may still report, and a proxy's "
			"customers reach 127.0.0.1: once every GOST sends a secret, run "
			"`tallyctl node close`";
	else
		ret_warnings[n++] =
			"no node has a secret: a proxy's customers reach 127.0.0.1 and "
			"can report for anybody; `tallyctl node add NAME "
			"--secret-stdin` for each, then `tallyctl node close`; README, "
			"\"Closing an open directory\"";
	if (rights_is_free(rights))
		ret_warnings[n++] =
			"there is neither a token nor a secret: a proxy's "
			"customers can read everybody's totals; `tallyd-setup "
			"--tokens` makes tokens";
	return n;
}

/* What the questions are asked of, and what becomes of them. */
struct question {
	const struct rights *rights;
	const struct http_facts *facts;
	uint64_t now_ms;
	struct http_identity *identity;
	struct rights_refusal *refusal;
};

static void identify(const struct question *q, enum http_right right, const char *name)
{
	size_t len = strnlen(name, HTTP_NAME_BYTES - 1);

	q->identity->right = right;
	memcpy(q->identity->name, name, len);
	q->identity->name[len] = '\0';
}

#define REFUSE(q, code, ...) err_set((q)->refusal->msg, (code), __VA_ARGS__)

/* A browser sends these with what a page asks for; a page of ours has our Host. */
static bool is_of_another_site(const struct http_facts *facts)
{
	const char *scheme_end;

	if (facts->fetch_site != NULL && strcasecmp(facts->fetch_site, "cross-site") == 0)
		return true;
	if (facts->n_origins == 0)
		return false;
	scheme_end = strstr(facts->origin, "://");
	return facts->n_origins > 1 || scheme_end == NULL || facts->host == NULL ||
		strcasecmp(scheme_end + 3, facts->host) != 0;
}

static bool is_ours(const struct question *q, const char *host)
{
	return host == NULL ||
		host_is_ours(
			host, q->facts->own_ip, q->rights->listen, q->rights->hostnames);
}

/* Who reaches a unix socket is no page, and without a Host there is no name. An absolute
 * request line names a host, too, and which of the two others go by is unknown. */
static bool is_by_name_of_ours(const struct question *q)
{
	const struct http_facts *facts = q->facts;

	return facts->is_unix ||
		(is_ours(q, facts->host) && is_ours(q, facts->target_host));
}

static int refuse_host(const struct question *q)
{
	return REFUSE(q, ERR_FORBIDDEN,
		"the Host `%.100s` is none of this tallyd's: add it to hostnames, or "
		"send a credential",
		is_ours(q, q->facts->host) ? q->facts->target_host : q->facts->host);
}

/* Reports */

static int accept_node(
	const struct question *q, const struct node *node, const char *name)
{
	if (node != NULL && !node->kept.is_enabled)
		return REFUSE(q, ERR_NODE_DISABLED,
			"the node is disabled: its GOST keeps the report until it is "
			"enabled again");
	identify(q, RIGHT_REPORT, name);
	return 0;
}

static int refuse_deleted(const struct question *q, const struct node *node)
{
	return REFUSE(q, ERR_UNAUTHORIZED,
		"the node was deleted: `tallyctl node add %s --secret-stdin` brings it "
		"back, with the secret that its GOST sends",
		node->name);
}

static bool is_over(uint64_t until_ms, uint64_t now_ms)
{
	return until_ms != 0 && until_ms <= now_ms;
}

/* Who has mixed them up gets to see neither. */
static bool are_swapped(const struct question *q, const struct credential *credential)
{
	return ledger_find_node(q->rights->ledger, credential->secret) != NULL;
}

/* A typing error is only seen by who is shown the name. */
static int refuse_unknown(const struct question *q)
{
	struct credential credential;
	bool is_shown;

	if (q->facts->n_authorizations > 1)
		return REFUSE(q, ERR_UNAUTHORIZED, "it carries more than one credential");
	if (!credential_parse(q->facts->authorization, &credential))
		return REFUSE(q, ERR_UNAUTHORIZED,
			"its credential names no node: NODE:SECRET is expected");
	is_shown = !are_swapped(q, &credential);
	if (is_shown)
		(void)REFUSE(q, ERR_UNAUTHORIZED,
			"its credential names no node of this tallyd, name sent: "
			"\"%.100s\"; see `tallyctl node list`",
			credential.name);
	else
		(void)REFUSE(q, ERR_UNAUTHORIZED,
			"its name and its secret are swapped: NODE:SECRET is expected");
	credential_wipe(&credential);
	return ERR_UNAUTHORIZED;
}

static int refuse_credential(const struct question *q, const struct node *node)
{
	q->refusal->is_guess = true;
	q->refusal->node = node != NULL ? node->name : NULL;
	if (node == NULL)
		return refuse_unknown(q);
	if (node->kept.deleted_ms != 0)
		return refuse_deleted(q, node);
	return REFUSE(q, ERR_UNAUTHORIZED,
		"its secret is wrong%s: make GOST send this node's secret, or tell "
		"tallyd the one it sends: `tallyctl node secret %s --secret-stdin`",
		is_over(node->kept.old_until_ms, q->now_ms)
			? ", or it is the old one, whose time is over"
			: "",
		node->name);
}

/* Keeps what a header has come to, if it is none too long. A node stays where it is. */
static void memorize(struct http_memo *memo, const char *header, const struct node *node,
	const uint8_t hash[NODE_HASH_BYTES])
{
	size_t len = strlen(header);

	memo->len = 0;
	if (node == NULL || len > HTTP_MEMO_BYTES)
		return;
	memcpy(memo->authorization, header, len);
	memcpy(memo->hash, hash, NODE_HASH_BYTES);
	memo->who = node;
	memo->len = len;
}

/* GOST sends the same header on its connection again and again: only what is made of it
 * is remembered, not whether it was right. */
static bool remembers(const struct http_memo *memo, const char *header)
{
	return memo->len > 0 && strlen(header) == memo->len &&
		sodium_memcmp(memo->authorization, header, memo->len) == 0;
}

_Static_assert(sizeof(((struct http_memo *)0)->hash) == NODE_HASH_BYTES, "one of ours");

/* Which node the header names, and the hash of the secret beside; NULL: none that is
 * known. */
static const struct node *read_credential(
	const struct question *q, uint8_t ret_hash[NODE_HASH_BYTES])
{
	const char *header = q->facts->authorization;
	struct http_memo *memo = q->facts->memo;
	const struct node *node;
	struct credential credential;

	if (remembers(memo, header)) {
		node = memo->who;
		memcpy(ret_hash, memo->hash, NODE_HASH_BYTES);
		return node->is_known ? node : NULL;
	}
	if (!credential_parse(header, &credential))
		return NULL;
	node = ledger_find_node(q->rights->ledger, credential.name);
	if (node != NULL)
		node_hash_secret(credential.name, credential.secret,
			credential.secret_len, ret_hash);
	credential_wipe(&credential);
	memorize(memo, header, node, ret_hash);
	return node;
}

/* The node whose secret was sent, or NULL; *ret_named is the one that was named. */
static const struct node *find_by_credential(
	const struct question *q, const struct node **ret_named)
{
	uint8_t hash[NODE_HASH_BYTES];

	*ret_named = q->facts->n_authorizations == 1 ? read_credential(q, hash) : NULL;
	return *ret_named != NULL && node_knows_hash(*ret_named, hash, q->now_ms)
		? *ret_named
		: NULL;
}

static int decide_with_secret(const struct question *q)
{
	const struct node *named, *node = find_by_credential(q, &named);
	const char *param = q->facts->param(q->facts, "node");

	if (node == NULL)
		return refuse_credential(q, named);
	q->refusal->node = node->name;
	if (param != NULL && param[0] != '\0' && strcmp(param, node->name) != 0)
		return REFUSE(q, ERR_PARAM,
			"?node= names another node than the credential, which is %s's",
			node->name);
	return accept_node(q, node, node->name);
}

/* How its GOST comes to a secret, if it has none yet. */
static const char *remedy_of(const struct node *node)
{
	if (node == NULL)
		return "; `tallyctl node add NAME` makes a node with a secret";
	return node->kept.has_secret ? "" : "; `tallyctl node secret NAME` makes it";
}

/* `name`: of ?node=, or NULL. */
static int refuse_claim(
	const struct question *q, const struct node *node, const char *name)
{
	const char *shown = name != NULL ? name : "NODE";

	if (node != NULL && node->kept.deleted_ms != 0 && name != NULL)
		return refuse_deleted(q, node);
	return REFUSE(q, ERR_NO_CREDENTIAL,
		"no credential was sent: write %.100s:SECRET@ into addr in GOST, "
		"http://%.100s:SECRET@HOST:PORT/observer (a GOST before May 2026 does "
		"not send `token:`)%s",
		shown, shown, remedy_of(node));
}

static bool may_claim(const struct question *q, const struct node *node)
{
	return ledger_is_open(q->rights->ledger) &&
		(node == NULL ||
			(!node->kept.has_secret && node->kept.deleted_ms == 0)) &&
		(q->facts->is_local || q->rights->allow_anonymous);
}

/* A name that whoever reports gives itself. */
static int decide_claim(const struct question *q)
{
	const char *param = q->facts->param(q->facts, "node");
	bool is_named = param != NULL && param[0] != '\0';
	const char *name = is_named ? param : "default";
	const struct node *node;

	if (!is_by_name_of_ours(q))
		return refuse_host(q);
	if (!text_is_name(name))
		return REFUSE(q, ERR_PARAM,
			"node is not a name: up to 255 bytes of UTF-8 without control "
			"characters");
	node = ledger_find_node(q->rights->ledger, name);
	if (may_claim(q, node)) {
		q->refusal->node = name;
		return accept_node(q, node, name);
	}
	q->refusal->node = is_named ? name : NULL;
	return refuse_claim(q, node, q->refusal->node);
}

/* Everything else */

static bool is_token(const struct token *token, const uint8_t hash[TOKEN_HASH_BYTES])
{
	return sodium_memcmp(token->hash, hash, TOKEN_HASH_BYTES) == 0 && token->is_set;
}

/* Who sent this credential; false: nobody. */
static bool identify_by_credential(const struct question *q)
{
	size_t len = 0;
	const char *bearer = q->facts->n_authorizations == 1
		? credential_of_scheme(q->facts->authorization, "Bearer", &len)
		: NULL;
	const struct node *named, *node;
	uint8_t hash[TOKEN_HASH_BYTES];

	if (bearer != NULL && len <= CREDENTIAL_MAX_BYTES) {
		hash_token(bearer, len, hash);
		if (is_token(&q->rights->api, hash)) {
			identify(q, RIGHT_ADMIN, "api_token");
			return true;
		}
		if (is_token(&q->rights->read, hash)) {
			identify(q, RIGHT_READ, "read_token");
			return true;
		}
	}
	node = find_by_credential(q, &named);
	if (node == NULL)
		return false;
	q->refusal->node = node->name;
	identify(q, RIGHT_REPORT, node->name);
	return true;
}

/* Who can open one of the two sockets has what it stands for. False: it is neither. */
static bool identify_by_socket(const struct question *q)
{
	const struct http_facts *facts = q->facts;
	char actor[24] = "";

	if (facts->entrance == ENTRANCE_LISTEN)
		return false;
	if (facts->peer_uid != UINT32_MAX)
		(void)snprintf(actor, sizeof(actor), "uid:%u", facts->peer_uid);
	identify(q, facts->entrance == ENTRANCE_ADMIN ? RIGHT_ADMIN : RIGHT_READ, actor);
	return true;
}

static bool has_enough(const struct question *q)
{
	const struct http_route *route = q->facts->route;

	if (q->identity->right >= route->right)
		return true;
	return (route->flags & HTTP_LIKE_READ) != 0 && rights_is_free(q->rights) &&
		q->identity->right == RIGHT_READ && q->facts->is_local;
}

static int refuse_lack(const struct question *q)
{
	const struct rights *rights = q->rights;
	bool is_read = q->facts->route->right == RIGHT_READ;

	if (q->identity->right == RIGHT_REPORT)
		return REFUSE(q, ERR_FORBIDDEN, "a node's secret is for reports only");
	if (q->identity->right == RIGHT_READ)
		return REFUSE(q, ERR_FORBIDDEN,
			"this needs the right to change things, and yours is to read");
	if (!rights->api.is_set && !(is_read && rights->read.is_set))
		return REFUSE(q, ERR_FORBIDDEN,
			"this is answered on %s only: no token is set that would allow "
			"it",
			is_read ? "admin_socket and read_socket" : "admin_socket");
	return REFUSE(q, ERR_UNAUTHORIZED,
		"a right is needed: send `Authorization: Bearer` with %s, or use %s",
		is_read ? "the api_token or the read_token" : "the api_token",
		is_read ? "the admin_socket or the read_socket" : "the admin_socket");
}

/* Whoever has no credential; `is_ours`: no page of another site, and by a name of ours.
 */
static int decide_stranger(const struct question *q, bool is_ours)
{
	const struct http_route *route = q->facts->route;

	if (is_ours && q->facts->is_local && rights_is_free(q->rights))
		identify(q, RIGHT_READ, "");
	if (has_enough(q))
		return 0;
	if (!is_ours)
		return refuse_host(q);
	if ((route->flags & HTTP_ANSWERS_LESS) != 0 && q->facts->is_local)
		return 0;
	return refuse_lack(q);
}

static int decide_other(const struct question *q, bool is_foreign)
{
	const struct http_facts *facts = q->facts;
	bool answers_less = (facts->route->flags & HTTP_ANSWERS_LESS) != 0;

	if (facts->route->right == RIGHT_ANYBODY && (is_foreign || !answers_less))
		return 0; /* whoever it is */
	if (!identify_by_socket(q)) {
		if (facts->n_authorizations == 0)
			return decide_stranger(q, is_by_name_of_ours(q));
		q->refusal->is_guess = !identify_by_credential(q);
	}
	if (has_enough(q))
		return 0;
	if (q->refusal->is_guess)
		return REFUSE(q, ERR_UNAUTHORIZED, "this credential is nobody's");
	return answers_less && facts->is_local ? 0 : refuse_lack(q);
}

/* `?counter=cumulative` was once taken for delta, in silence. */
static int check_params(const struct question *q)
{
	const struct http_facts *facts = q->facts;

	if (facts->strange_param != NULL)
		return REFUSE(q, ERR_PARAM, "there is no parameter `%.100s` here%s%s",
			facts->strange_param,
			facts->route->params != NULL ? ", only: " : "",
			facts->route->params != NULL ? facts->route->params : "");
	if (facts->repeated_param != NULL)
		return REFUSE(q, ERR_PARAM, "the parameter `%s` is there twice",
			facts->repeated_param);
	return 0;
}

const char *rights_sender(const struct rights *rights, const struct http_facts *facts,
	uint64_t now_ms, bool *ret_is_guess)
{
	struct http_identity identity = {.right = RIGHT_ANYBODY};
	struct errmsg unsaid;
	struct rights_refusal refusal = {.msg = &unsaid};
	struct question q = {rights, facts, now_ms, &identity, &refusal};

	*ret_is_guess = facts->entrance == ENTRANCE_LISTEN &&
		facts->n_authorizations > 0 && !identify_by_credential(&q);
	return refusal.node;
}

int rights_decide(const struct rights *rights, const struct http_facts *facts,
	uint64_t now_ms, struct http_identity *ret_identity,
	struct rights_refusal *ret_refusal)
{
	struct question q = {rights, facts, now_ms, ret_identity, ret_refusal};
	bool is_foreign = is_of_another_site(facts);
	int code;

	ret_refusal->node = NULL;
	ret_refusal->is_guess = false;
	if (is_foreign && facts->route->right != RIGHT_ANYBODY)
		return REFUSE(
			&q, ERR_FORBIDDEN, "a page of another site may not ask this");
	if (facts->route->right != RIGHT_REPORT)
		code = decide_other(&q, is_foreign);
	else if (facts->n_authorizations > 0)
		code = decide_with_secret(&q);
	else
		code = decide_claim(&q);
	return code == 0 ? check_params(&q) : code;
}
