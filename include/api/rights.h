/*
 * Who may do what (README, "Who may do what"). The decision is a function of the facts
 * that http has gathered, of the nodes in the ledger, and of the options; it changes
 * nothing, asks nobody, and logs nothing.
 *
 * The daemon stands beside a proxy whose customers reach loopback. So loopback is no
 * right, but while there is neither token nor secret and names without one may report.
 */
#ifndef TALLYD_API_RIGHTS_H
#define TALLYD_API_RIGHTS_H

#include "account/ledger.h"
#include "account/nodes.h"
#include "http/facts.h"

#define TOKEN_HASH_BYTES 32

/* All text is borrowed while the rights stand, but the tokens: of them a hash is kept.
 * NULL or "": there is none. */
struct rights_config {
	const char *listen, *hostnames; /* comma lists */
	const char *api_token, *read_token;
	bool allow_anonymous;
	bool is_redis_bare;            /* it is reached by TCP and without a password */
	bool is_redis_password_public; /* it was given on the command line */
};

struct token {
	bool is_set;
	uint8_t hash[TOKEN_HASH_BYTES];
};

struct rights {
	const struct ledger *ledger;
	const char *listen, *hostnames;
	struct token api, read;
	bool allow_anonymous, is_redis_bare, is_redis_password_public;
	uint64_t version; /* of the options */
};

/* Takes over options, at the start and when they change. */
void rights_configure(struct rights *rights, const struct ledger *ledger,
	const struct rights_config *config);

/* Another number whenever rights_decide() may decide otherwise. */
uint64_t rights_version(const struct rights *rights);

/* Of a refusal. `node`: whose report it was, if that is a known name or an open claim,
 * or who has asked with a node's credential; else NULL. It lives as long as the facts. */
struct rights_refusal {
	struct errmsg *msg;
	const char *node;
	bool is_guess; /* a credential was sent, and it is wrong */
};

/*
 * 0 and whoever it is, or ERR_UNAUTHORIZED, ERR_NO_CREDENTIAL, ERR_FORBIDDEN, ERR_PARAM,
 * ERR_NODE_DISABLED with the sentence. `is_guess` is also set where the route answers
 * whoever asks, but less. Neither sentence nor node ever holds a secret, or what was sent
 * as one. `now_ms`: since 1970.
 */
int rights_decide(const struct rights *rights, const struct http_facts *facts,
	uint64_t now_ms, struct http_identity *ret_identity,
	struct rights_refusal *ret_refusal) MUST_CHECK;

/* Of a request that has come to no route: the node whose credential it carries, rightly,
 * or NULL. *ret_is_guess: it carries one that is nobody's. */
const char *rights_sender(const struct rights *rights, const struct http_facts *facts,
	uint64_t now_ms, bool *ret_is_guess);

/* Neither token nor secret, and names without one may report: then whoever reaches
 * loopback reads. */
bool rights_is_free(const struct rights *rights);

/* For --check-setup as well, which says the same. What is between backticks is a line to
 * type or to write: tallyctl shows it as such. */
#define RIGHTS_REDIS_IS_BARE                                                             \
	"redis_url has no password: if Redis asks for none, a proxy's customers can "    \
	"read and change there what panels see; `requirepass PASSWORD` in redis.conf "   \
	"and `redis_url = redis://default:PASSWORD@HOST:PORT/0` end that"

/* What an operator should know of it; the number of sentences, all constant. */
#define RIGHTS_MAX_WARNINGS 4
size_t rights_warnings(
	const struct rights *rights, const char *ret_warnings[RIGHTS_MAX_WARNINGS]);

#endif
