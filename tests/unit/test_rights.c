/*
 * Each row is a request: what its headers and its connection tell, against a ledger with
 * some nodes, and options. What is expected is a word of five letters or so.
 */
#include "lib/test.h"
#include "api/credential.h"
#include "api/guesses.h"
#include "api/host.h"
#include "api/rights.h"
#include "http/server.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define NOW_MS UINT64_C(1800000000000)
#define API "api-token-0123456789"
#define READ "read-token-0123456789"

static const struct http_route report = {
	"POST", "/observer", NULL, RIGHT_REPORT, 0, "node,counters", NULL};
static const struct http_route status = {
	"GET", "/throttle-sync-status", NULL, RIGHT_READ, HTTP_ANSWERS_LESS, NULL, NULL};
static const struct http_route reading = {
	"GET", "/users/{}/traffic", NULL, RIGHT_READ, 0, NULL, NULL};
static const struct http_route syncing = {
	"POST", "/force-sync", NULL, RIGHT_ADMIN, HTTP_LIKE_READ, NULL, NULL};
static const struct http_route command = {
	"POST", "/nodes", NULL, RIGHT_ADMIN, 0, NULL, NULL};
static const struct http_route live = {
	"GET", "/livez", NULL, RIGHT_ANYBODY, 0, NULL, NULL};
static const struct http_route ready = {
	"GET", "/readyz", NULL, RIGHT_ANYBODY, HTTP_ANSWERS_LESS, NULL, NULL};

/* Where a request comes from. */
enum from { LOOPBACK, FORWARDED, ELSEWHERE, UNIX, ADMIN_SOCKET, READ_SOCKET };

struct asked {
	const struct http_route *route;
	enum from from;
	const char *authorization, *node; /* node: ?node= */
	const char *host, *origin, *site;
};

static const char *param(const struct http_facts *facts, const char *name)
{
	const struct asked *asked = facts->request;

	return strcmp(name, "node") == 0 ? asked->node : NULL;
}

/* As the first request of a connection: of the one before nothing is remembered. */
static struct http_facts facts_of(const struct asked *asked)
{
	static struct http_memo memo;
	bool is_unix = asked->from >= UNIX;

	memo.len = 0;

	return (struct http_facts){.route = asked->route,
		.entrance = asked->from == ADMIN_SOCKET ? ENTRANCE_ADMIN
			: asked->from == READ_SOCKET    ? ENTRANCE_READ
							: ENTRANCE_LISTEN,
		.is_unix = is_unix,
		.is_local = asked->from != FORWARDED && asked->from != ELSEWHERE,
		.peer_uid = is_unix ? 1000 : UINT32_MAX,
		.peer = is_unix ? "unix" : "127.0.0.1",
		.own_ip = is_unix ? "" : "198.51.100.7",
		.n_authorizations = asked->authorization != NULL,
		.n_origins = asked->origin != NULL,
		.authorization = asked->authorization,
		.host = asked->host != NULL ? asked->host : "localhost:3000",
		.origin = asked->origin,
		.fetch_site = asked->site,
		.param = param,
		.request = asked,
		.memo = &memo};
}

struct world {
	struct ledger *ledger;
	struct rights rights;
};

static void add_node(struct ledger *ledger, const char *name, const char *secret,
	struct node_kept kept)
{
	if (secret != NULL)
		node_hash_secret(name, secret, strlen(secret), kept.secret);
	kept.has_secret = secret != NULL;
	assert_int_equal(ledger_load_node(ledger, name, &kept), 0);
}

enum kind { EMPTY, OPEN_WITH_NODES, CLOSED };

static void make(struct world *world, enum kind kind, const struct rights_config *config)
{
	*world = (struct world){.ledger = ledger_new(100, false)};
	assert_non_null(world->ledger);
	if (kind != EMPTY) {
		struct node_kept changed = {
			.is_enabled = true, .old_until_ms = NOW_MS + 1};

		node_hash_secret("changed", "old", 3, changed.old_secret);
		add_node(world->ledger, "hk1", "secret-of-hk1",
			(struct node_kept){.is_enabled = true});
		add_node(world->ledger, "hk2", "secret:of:hk2",
			(struct node_kept){.is_enabled = true});
		add_node(world->ledger, "off", "secret-of-off", (struct node_kept){0});
		add_node(world->ledger, "gone", "secret-of-gone",
			(struct node_kept){.is_enabled = true, .deleted_ms = 1});
		add_node(world->ledger, "bare", NULL,
			(struct node_kept){.is_enabled = true});
		add_node(world->ledger, "changed", "new", changed);
	}
	ledger_load_is_open(world->ledger, kind != CLOSED);
	rights_configure(&world->rights, world->ledger, config);
}

static void done(struct world *world)
{
	ledger_free(world->ledger);
}

/* Who it is, as "right name", or why not, as the error's word; a guess is marked by !. */
static const char *decide(const struct world *world, const struct asked *asked)
{
	static char text[300];
	static const char *const rights[] = {"anybody", "report", "read", "admin"};
	struct http_facts facts = facts_of(asked);
	struct http_identity identity = {0};
	struct errmsg msg = {""};
	struct rights_refusal refusal = {.msg = &msg};
	int code = rights_decide(&world->rights, &facts, NOW_MS, &identity, &refusal);

	if (code != 0)
		assert_string_not_equal(msg.text, "");
	if (asked->authorization != NULL && code == ERR_UNAUTHORIZED)
		assert_null(strstr(msg.text, "secret-of"));
	(void)snprintf(text, sizeof(text), "%s%s%s%s",
		code != 0 ? err_word(code) : rights[identity.right],
		code == 0 && identity.name[0] != '\0' ? " " : "",
		code == 0 ? identity.name : "", refusal.is_guess ? "!" : "");
	return text;
}

struct expectation {
	struct asked asked;
	const char *expected;
};

static void check(enum kind kind, const struct rights_config *config,
	const struct expectation *rows, size_t n)
{
	struct world world;

	make(&world, kind, config);
	for (size_t i = 0; i < n; i++) {
		const char *found = decide(&world, &rows[i].asked);

		if (strcmp(found, rows[i].expected) != 0)
			print_error("row %zu: %s\n", i, found);
		AT_ROW(i, strcmp(found, rows[i].expected) == 0);
	}
	done(&world);
}

static const struct rights_config bare_options = {.listen = "127.0.0.1:3000"};
static const struct rights_config with_tokens = {
	.listen = "127.0.0.1:3000, [2001:db8::1]:3000, unix:/run/t.sock",
	.hostnames = "tally.example.com, Other",
	.api_token = API,
	.read_token = READ};

static const char *basic(const char *text)
{
	static char headers[8][2048];
	static size_t next;
	char *header = headers[next++ % COUNT_OF(headers)];

	(void)strcpy(header, "Basic ");
	(void)sodium_bin2base64(header + 6, 2000, (const unsigned char *)text,
		strlen(text), sodium_base64_VARIANT_ORIGINAL);
	return header;
}

TEST(a_report_is_its_whose_secret_it_carries)
{
	const struct expectation rows[] = {
		{{.route = &report, LOOPBACK, basic("hk1:secret-of-hk1")}, "report hk1"},
		{{.route = &report, ELSEWHERE, basic("hk1:secret-of-hk1")}, "report hk1"},
		{{.route = &report, FORWARDED, "Bearer hk1:secret-of-hk1"}, "report hk1"},
		{{.route = &report, UNIX, "bearer   hk1:secret-of-hk1  "}, "report hk1"},
		{{.route = &report, LOOPBACK, "BEARER hk2:secret:of:hk2"}, "report hk2"},
		{{.route = &report, LOOPBACK, "Bearer changed:old"}, "report changed"},
		{{.route = &report, LOOPBACK, "Bearer changed:new"}, "report changed"},
		{{.route = &report,
			 ELSEWHERE,
			 "Bearer hk1:secret-of-hk1",
			 NULL,
			 "any.name"},
			"report hk1"},
		{{.route = &report, LOOPBACK, "Bearer hk1:secret-of-hk1", "hk1"},
			"report hk1"},
		{{.route = &report, LOOPBACK, "Bearer hk1:secret-of-hk1", ""},
			"report hk1"},
		{{.route = &report, LOOPBACK, "Bearer hk1:secret-of-hk1", "hk2"},
			"bad_request"},
		{{.route = &report, LOOPBACK, "Bearer off:secret-of-off"},
			"node_disabled"},
	};

	check(CLOSED, &with_tokens, rows, COUNT_OF(rows));
	check(OPEN_WITH_NODES, &bare_options, rows, COUNT_OF(rows));
}

TEST(a_credential_that_is_not_right_is_refused_wherever_it_comes_from)
{
	static char long_bearer[11000] = "Bearer hk1:", long_basic[11000] = "Basic ";
	const char *const wrong[] = {basic("hk1:wrong"), basic("hk1:"), basic(":"),
		basic(""), basic("hk1"), basic(":secret-of-hk1"),
		basic("hk2:secret-of-hk1"), basic("nobody:secret-of-hk1"),
		basic("gone:secret-of-gone"), basic("bare:"), basic("bare:x"),
		basic("hk1:secret-of-hk1\n"), basic("hk1:secret-of-hk1 "),
		basic("hk\xff:secret-of-hk1"), "Basic ===", "Basic aGsxOnNlY3", "Basic",
		"Bearer", "Bearer ", "", "hk1:secret-of-hk1", "Bearer hk1:secret-of-hk",
		"Bearer hk1:Secret-of-hk1", "Basic hk1:secret-of-hk1",
		"Digest hk1:secret-of-hk1", "Bearer\xff hk1:secret-of-hk1",
		"Bearer hk1:\xff", "Bearer " API, long_bearer, long_basic};

	memset(long_bearer + 11, 'x', 10000);
	memset(long_basic + 6, 'A', 10000);
	for (size_t i = 0; i < COUNT_OF(wrong); i++) {
		const struct expectation rows[] = {
			{{.route = &report, LOOPBACK, wrong[i]}, "unauthorized!"},
			{{.route = &report, ELSEWHERE, wrong[i], "hk1"}, "unauthorized!"},
			{{.route = &report, UNIX, wrong[i], "default"}, "unauthorized!"},
			{{.route = &report, ADMIN_SOCKET, wrong[i]}, "unauthorized!"},
		};

		check(CLOSED, &with_tokens, rows, COUNT_OF(rows));
		check(OPEN_WITH_NODES, &with_tokens, rows, COUNT_OF(rows));
	}
}

TEST(two_credentials_are_none)
{
	struct asked asked = {.route = &report, LOOPBACK, "Bearer hk1:secret-of-hk1"};
	struct http_facts facts = facts_of(&asked);
	struct http_identity identity = {0};
	struct errmsg msg;
	struct rights_refusal refusal = {.msg = &msg};
	struct world world;

	make(&world, CLOSED, &with_tokens);
	facts.n_authorizations = 2;
	assert_int_equal(
		rights_decide(&world.rights, &facts, NOW_MS, &identity, &refusal),
		ERR_UNAUTHORIZED);
	facts.route = &reading;
	facts.authorization = "Bearer " API;
	assert_int_equal(
		rights_decide(&world.rights, &facts, NOW_MS, &identity, &refusal),
		ERR_UNAUTHORIZED);
	done(&world);
}

/* The code of one more report on a connection. */
static int report_again(
	const struct world *world, struct http_facts *facts, const char *authorization)
{
	struct http_identity identity = {0};
	struct errmsg msg;
	struct rights_refusal refusal = {.msg = &msg};

	facts->authorization = authorization;
	return rights_decide(&world->rights, facts, NOW_MS, &identity, &refusal);
}

TEST(what_a_connection_sent_before_is_judged_anew_each_time)
{
	static const char right[] = "Basic aGsxOnNlY3JldC1vZi1oazE="; /* of hk1 */
	struct asked asked = {.route = &report, LOOPBACK, right};
	struct http_facts facts = facts_of(&asked);
	struct node_kept kept;
	struct world world;

	make(&world, CLOSED, &with_tokens);
	assert_int_equal(report_again(&world, &facts, right), 0);
	assert_int_equal(facts.memo->len, strlen(right));
	assert_int_equal(report_again(&world, &facts, right), 0);
	assert_int_equal(report_again(&world, &facts, "Basic aGsxOnNlY3JldC1vZi1oazI="),
		ERR_UNAUTHORIZED);
	assert_int_equal(report_again(&world, &facts, "Bearer hk1:x"), ERR_UNAUTHORIZED);
	assert_int_equal(report_again(&world, &facts, "Basic aGsxOnNlY3JldC1vZi1oazE"),
		ERR_UNAUTHORIZED); /* the beginning of it */
	assert_int_equal(report_again(&world, &facts, right), 0);

	kept = ledger_find_node(world.ledger, "hk1")->kept;
	kept.deleted_ms = NOW_MS;
	assert_int_equal(ledger_load_node(world.ledger, "hk1", &kept), 0);
	assert_int_equal(report_again(&world, &facts, right), ERR_UNAUTHORIZED);
	kept.deleted_ms = 0;
	node_hash_secret("hk1", "another", 7, kept.secret);
	assert_int_equal(ledger_load_node(world.ledger, "hk1", &kept), 0);
	assert_int_equal(report_again(&world, &facts, right), ERR_UNAUTHORIZED);
	assert_int_equal(report_again(&world, &facts, "Bearer hk1:another"), 0);
	done(&world);
}

TEST(a_name_without_a_secret_reports_from_here_while_the_directory_is_open)
{
	static const struct rights_config anonymous = {
		.listen = "0.0.0.0:3000", .allow_anonymous = true};
	static const struct expectation open[] = {
		{{.route = &report, LOOPBACK, NULL, NULL}, "report default"},
		{{.route = &report, LOOPBACK, NULL, ""}, "report default"},
		{{.route = &report, LOOPBACK, NULL, "new"}, "report new"},
		{{.route = &report, UNIX, NULL, "bare", "anything"}, "report bare"},
		{{.route = &report, ADMIN_SOCKET, NULL, "bare"}, "report bare"},
		{{.route = &report, LOOPBACK, NULL, "hk1"}, "unauthorized"},
		{{.route = &report, LOOPBACK, NULL, "gone"}, "unauthorized"},
		{{.route = &report, LOOPBACK, NULL, "off"}, "unauthorized"},
		{{.route = &report, LOOPBACK, NULL, "a\x01"}, "bad_request"},
		{{.route = &report, LOOPBACK, NULL, "new", "evil.example"}, "forbidden"},
		{{.route = &report, ELSEWHERE, NULL, "new", "198.51.100.7"},
			"unauthorized"},
		{{.route = &report, FORWARDED, NULL, "new"}, "unauthorized"},
	};
	static const struct expectation elsewhere[] = {
		{{.route = &report, ELSEWHERE, NULL, "new", "198.51.100.7:3000"},
			"report new"},
		{{.route = &report, FORWARDED, NULL, "new"}, "report new"},
		{{.route = &report, ELSEWHERE, NULL, "new", "a.name"}, "forbidden"},
		{{.route = &report, ELSEWHERE, NULL, "hk1", "198.51.100.7:3000"},
			"unauthorized"},
	};
	static const struct expectation closed[] = {
		{{.route = &report, LOOPBACK, NULL, NULL}, "unauthorized"},
		{{.route = &report, UNIX, NULL, "new"}, "unauthorized"},
		{{.route = &report, LOOPBACK, NULL, "bare"}, "unauthorized"},
		{{.route = &report, ADMIN_SOCKET, NULL, "bare"}, "unauthorized"},
		{{.route = &report, ELSEWHERE, NULL, "new", "198.51.100.7:3000"},
			"unauthorized"},
	};

	check(OPEN_WITH_NODES, &bare_options, open, COUNT_OF(open));
	check(OPEN_WITH_NODES, &anonymous, elsewhere, COUNT_OF(elsewhere));
	check(CLOSED, &anonymous, closed, COUNT_OF(closed));
}

TEST(a_disabled_name_without_a_secret_is_told_to_wait)
{
	struct world world;
	struct asked asked = {.route = &report, LOOPBACK, NULL, "waits"};

	make(&world, EMPTY, &bare_options);
	add_node(world.ledger, "waits", NULL, (struct node_kept){0});
	assert_string_equal(decide(&world, &asked), "node_disabled");
	done(&world);
}

TEST(without_tokens_and_secrets_this_machine_reads_and_syncs_but_commands_nothing)
{
	static const struct expectation rows[] = {
		{{.route = &reading, LOOPBACK}, "read"},
		{{.route = &status, LOOPBACK}, "read"},
		{{.route = &syncing, LOOPBACK}, "read"},
		{{.route = &reading, UNIX, .host = "any"}, "read"},
		{{.route = &syncing, READ_SOCKET}, "read uid:1000"},
		{{.route = &command, LOOPBACK}, "forbidden"},
		{{.route = &command, UNIX}, "forbidden"},
		{{.route = &command, READ_SOCKET}, "forbidden"},
		{{.route = &command, ADMIN_SOCKET}, "admin uid:1000"},
		{{.route = &reading, ELSEWHERE, .host = "198.51.100.7"}, "forbidden"},
		{{.route = &syncing, ELSEWHERE, .host = "198.51.100.7"}, "forbidden"},
		{{.route = &status, ELSEWHERE, .host = "198.51.100.7"}, "forbidden"},
		{{.route = &reading, FORWARDED}, "forbidden"},
		{{.route = &status, FORWARDED}, "forbidden"},
		{{.route = &ready, FORWARDED}, "anybody"},
		{{.route = &ready, LOOPBACK}, "read"},
		{{.route = &ready, LOOPBACK, .host = "evil.example"}, "anybody"},
		{{.route = &reading, LOOPBACK, .host = "evil.example"}, "forbidden"},
		{{.route = &status, LOOPBACK, .host = "evil.example"}, "forbidden"},
		{{.route = &reading, LOOPBACK, "Bearer " API}, "unauthorized!"},
	};

	check(EMPTY, &bare_options, rows, COUNT_OF(rows));
}

TEST(one_token_or_secret_ends_that)
{
	static const struct rights_config reads = {
		.listen = "127.0.0.1:1", .read_token = READ};
	static const struct expectation with_read_token[] = {
		{{.route = &reading, LOOPBACK}, "unauthorized"},
		{{.route = &syncing, LOOPBACK}, "forbidden"},
		{{.route = &syncing, LOOPBACK, "Bearer " READ}, "forbidden"},
		{{.route = &syncing, READ_SOCKET}, "forbidden"},
		{{.route = &status, LOOPBACK}, "anybody"},
		{{.route = &status, UNIX}, "anybody"},
		{{.route = &ready, LOOPBACK}, "anybody"},
	};
	static const struct expectation with_secret[] = {
		{{.route = &reading, LOOPBACK}, "forbidden"},
		{{.route = &syncing, LOOPBACK}, "forbidden"},
		{{.route = &status, LOOPBACK}, "anybody"},
		{{.route = &status, FORWARDED}, "forbidden"},
		{{.route = &status, ELSEWHERE, .host = "198.51.100.7"}, "forbidden"},
		{{.route = &reading, LOOPBACK, "Bearer hk1:secret-of-hk1"}, "forbidden"},
		{{.route = &status, LOOPBACK, "Bearer hk1:secret-of-hk1"}, "report hk1"},
		{{.route = &reading, LOOPBACK, "Bearer hk1:wrong"}, "unauthorized!"},
	};

	check(EMPTY, &reads, with_read_token, COUNT_OF(with_read_token));
	check(OPEN_WITH_NODES, &bare_options, with_secret, COUNT_OF(with_secret));
}

TEST(tokens_and_sockets_give_their_right)
{
	static const struct expectation rows[] = {
		{{.route = &reading, LOOPBACK, "Bearer " READ}, "read read_token"},
		{{.route = &reading, ELSEWHERE, "Bearer " READ, .host = "any"},
			"read read_token"},
		{{.route = &reading, FORWARDED, "Bearer " API}, "admin api_token"},
		{{.route = &reading, UNIX, "bearer " API " "}, "admin api_token"},
		{{.route = &command, ELSEWHERE, "Bearer " API}, "admin api_token"},
		{{.route = &syncing, ELSEWHERE, "Bearer " API}, "admin api_token"},
		{{.route = &command, LOOPBACK, "Bearer " READ}, "forbidden"},
		{{.route = &syncing, LOOPBACK, "Bearer " READ}, "forbidden"},
		{{.route = &command, LOOPBACK}, "unauthorized"},
		{{.route = &command, UNIX}, "unauthorized"},
		{{.route = &reading, LOOPBACK}, "unauthorized"},
		{{.route = &reading, LOOPBACK, "Bearer " API "x"}, "unauthorized!"},
		{{.route = &reading, LOOPBACK, "Bearer api-token-012345678"},
			"unauthorized!"},
		{{.route = &reading, LOOPBACK, "Bearer "}, "unauthorized!"},
		{{.route = &reading, LOOPBACK, "Basic " API}, "unauthorized!"},
		{{.route = &reading, LOOPBACK, API}, "unauthorized!"},
		{{.route = &status, LOOPBACK, "Bearer wrong"}, "unauthorized!"},
		{{.route = &status, LOOPBACK, "Bearer " READ}, "read read_token"},
		{{.route = &command, ADMIN_SOCKET}, "admin uid:1000"},
		{{.route = &command, ADMIN_SOCKET, "Bearer wrong"}, "admin uid:1000"},
		{{.route = &reading, ADMIN_SOCKET}, "admin uid:1000"},
		{{.route = &reading, READ_SOCKET}, "read uid:1000"},
		{{.route = &command, READ_SOCKET}, "forbidden"},
		{{.route = &ready, READ_SOCKET}, "read uid:1000"},
		{{.route = &ready, ELSEWHERE, .host = "any"}, "anybody"},
		{{.route = &ready, ELSEWHERE, "Bearer " READ, .host = "any"},
			"read read_token"},
		{{.route = &ready, LOOPBACK, "Bearer wrong"}, "anybody!"},
		{{.route = &live, ELSEWHERE, "Bearer wrong", .host = "any"}, "anybody"},
	};

	check(CLOSED, &with_tokens, rows, COUNT_OF(rows));
	check(OPEN_WITH_NODES, &with_tokens, rows, COUNT_OF(rows));
}

TEST(a_page_of_another_site_gets_nothing_but_health)
{
	static const struct expectation rows[] = {
		{{.route = &reading, LOOPBACK, .origin = "http://evil.example"},
			"forbidden"},
		{{.route = &reading, LOOPBACK, .origin = "null"}, "forbidden"},
		{{.route = &reading, LOOPBACK, .origin = ""}, "forbidden"},
		{{.route = &reading, LOOPBACK, .origin = "http://localhost"},
			"forbidden"},
		{{.route = &reading, LOOPBACK, .origin = "http://localhost:3001"},
			"forbidden"},
		{{.route = &reading, LOOPBACK, .origin = "http://localhost:3000.evil"},
			"forbidden"},
		{{.route = &reading, LOOPBACK, .origin = "http://LOCALHOST:3000"},
			"read"},
		{{.route = &reading, LOOPBACK, .site = "same-origin"}, "read"},
		{{.route = &reading, LOOPBACK, .site = "none"}, "read"},
		{{.route = &reading, LOOPBACK, .site = "cross-site"}, "forbidden"},
		{{.route = &report, LOOPBACK, .site = "Cross-Site"}, "forbidden"},
		{{.route = &report,
			 LOOPBACK,
			 "Bearer hk1:secret-of-hk1",
			 .origin = "http://evil.example"},
			"forbidden"},
		{{.route = &status, LOOPBACK, .origin = "http://evil.example"},
			"forbidden"},
		{{.route = &command, ADMIN_SOCKET, .origin = "http://evil.example"},
			"forbidden"},
		{{.route = &live, LOOPBACK, .origin = "http://evil.example"}, "anybody"},
		{{.route = &ready, LOOPBACK, .origin = "http://evil.example"}, "anybody"},
		{{.route = &ready, LOOPBACK, .site = "cross-site"}, "anybody"},
	};

	check(EMPTY, &bare_options, rows, COUNT_OF(rows));
}

TEST(a_parameter_that_is_not_taken_or_there_twice_is_named)
{
	struct asked asked = {.route = &report, LOOPBACK};
	struct http_facts facts = facts_of(&asked);
	struct http_identity identity = {0};
	struct errmsg msg;
	struct rights_refusal refusal = {.msg = &msg};
	struct world world;

	make(&world, EMPTY, &bare_options);
	facts.strange_param = "counter";
	assert_int_equal(
		rights_decide(&world.rights, &facts, NOW_MS, &identity, &refusal),
		ERR_PARAM);
	assert_non_null(strstr(msg.text, "`counter`"));
	assert_non_null(strstr(msg.text, "node,counters"));
	facts.strange_param = NULL;
	facts.repeated_param = "node";
	assert_int_equal(
		rights_decide(&world.rights, &facts, NOW_MS, &identity, &refusal),
		ERR_PARAM);
	assert_non_null(strstr(msg.text, "`node`"));
	facts.is_local = false; /* a stranger is not told */
	assert_int_equal(
		rights_decide(&world.rights, &facts, NOW_MS, &identity, &refusal),
		ERR_UNAUTHORIZED);
	done(&world);
}

TEST(an_open_directory_is_warned_of_until_it_is_closed)
{
	static const struct rights_config bare_redis = {
		.listen = "127.0.0.1:3000", .is_redis_bare = true};
	static const struct rights_config public_password = {
		.listen = "127.0.0.1:3000", .is_redis_password_public = true};
	const char *sentences[RIGHTS_MAX_WARNINGS];
	struct world world;

	make(&world, EMPTY, &bare_options);
	assert_int_equal(rights_warnings(&world.rights, sentences), 2);
	assert_non_null(strstr(sentences[0], "Closing an open directory"));
	rights_configure(&world.rights, world.ledger, &with_tokens);
	assert_int_equal(rights_warnings(&world.rights, sentences), 1);
	ledger_load_is_open(world.ledger, false);
	assert_int_equal(rights_warnings(&world.rights, sentences), 0);
	rights_configure(&world.rights, world.ledger, &bare_redis);
	assert_int_equal(rights_warnings(&world.rights, sentences), 1);
	assert_non_null(strstr(sentences[0], "redis_url has no password"));
	rights_configure(&world.rights, world.ledger, &public_password);
	assert_int_equal(rights_warnings(&world.rights, sentences), 1);
	assert_non_null(strstr(sentences[0], "was given on the command line"));
	done(&world);
	make(&world, OPEN_WITH_NODES, &bare_options);
	assert_int_equal(rights_warnings(&world.rights, sentences), 1);
	assert_non_null(strstr(sentences[0], "still"));
	done(&world);
}

/* host */

TEST(a_host_is_ours_by_loopback_by_address_or_by_name)
{
	static const char *const ours[] = {"localhost", "LocalHost:3000", "localhost.",
		"a.localhost:1", "127.0.0.1", "127.9.8.7:80", "[::1]", "[::1]:3000",
		"198.51.100.7", "198.51.100.7:3000", "203.0.113.5",
		"[2001:DB8:0:0::1]:99", "tally.example.com", "TALLY.example.com.:443",
		"other"};
	static const char *const strange[] = {"", ":3000", "localhost.evil.example",
		"evil.example", "127.0.0.1.evil.example", "1270.0.0.1", "127.1",
		"198.51.100.8", "[::2]", "[", "[]", "[::1", "xtally.example.com",
		".localhost", "0x7f000001", "2130706433", "other.example.com",
		"evil.example:localhost", "[::1]x", "[::1]evil.example",
		"[::1].evil.example:80", "[::1]:80x", "localhost:x", "127.0.0.1:80:80"};

	for (size_t i = 0; i < COUNT_OF(ours); i++)
		AT_ROW(i,
			host_is_ours(ours[i], "198.51.100.7",
				"203.0.113.5:3000,[2001:db8::1]:3000, unix:/x",
				"tally.example.com, Other"));
	for (size_t i = 0; i < COUNT_OF(strange); i++)
		AT_ROW(i,
			!host_is_ours(strange[i], "198.51.100.7",
				"203.0.113.5:3000,[2001:db8::1]:3000, unix:/x",
				"tally.example.com, Other"));
	assert_false(host_is_ours("x", "", "", ""));
	assert_false(host_is_ours("x", "", NULL, NULL));
}

/* guesses */

TEST(after_some_guesses_each_further_one_waits_up_to_a_second)
{
	static struct guesses guesses;
	static const unsigned expected[] = {
		0, 0, 0, 0, 0, 250, 500, 750, 1000, 1000, 1000};

	memset(&guesses, 0, sizeof(guesses));
	for (size_t i = 0; i < COUNT_OF(expected); i++)
		AT_ROW(i, guesses_note(&guesses, "192.0.2.1", 1000 + i) == expected[i]);
	assert_int_equal(guesses_note(&guesses, "192.0.2.2", 2000), 0);
	assert_int_equal(guesses_note(&guesses, "192.0.2.1", 2000), 1000);
	assert_int_equal(
		guesses_note(&guesses, "192.0.2.1", 2000 + GUESSES_MEMORY_MS), 0);
}

TEST(an_ipv6_host_is_known_by_its_64)
{
	static struct guesses guesses;

	memset(&guesses, 0, sizeof(guesses));
	for (int i = 0; i < 9; i++) {
		char address[64];

		(void)snprintf(address, sizeof(address), "2001:db8:1:2:%x::1", i);
		(void)guesses_note(&guesses, address, 1000);
	}
	assert_int_equal(guesses_note(&guesses, "2001:db8:1:2::9", 1000), 1000);
	assert_int_equal(guesses_note(&guesses, "2001:db8:1:3::9", 1000), 0);
	assert_int_equal(guesses_note(&guesses, "unix", 1000), 0);
}

TEST(more_addresses_than_there_is_room_for_push_out_the_silent_ones)
{
	static struct guesses guesses;

	memset(&guesses, 0, sizeof(guesses));
	for (unsigned i = 0; i < 100000; i++) {
		char address[64];

		(void)snprintf(address, sizeof(address), "10.%u.%u.%u", i >> 16,
			i >> 8 & 255, i & 255);
		assert_int_equal(guesses_note(&guesses, address, 1000 + i / 1000), 0);
		if (i % 64 == 0) /* one that goes on is not forgotten */
			(void)guesses_note(&guesses, "192.0.2.1", 1000 + i / 1000);
	}
	assert_int_equal(guesses_note(&guesses, "192.0.2.1", 1100), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_is_its_whose_secret_it_carries),
		cmocka_unit_test(
			a_credential_that_is_not_right_is_refused_wherever_it_comes_from),
		cmocka_unit_test(two_credentials_are_none),
		cmocka_unit_test(
			a_name_without_a_secret_reports_from_here_while_the_directory_is_open),
		cmocka_unit_test(a_disabled_name_without_a_secret_is_told_to_wait),
		cmocka_unit_test(
			without_tokens_and_secrets_this_machine_reads_and_syncs_but_commands_nothing),
		cmocka_unit_test(one_token_or_secret_ends_that),
		cmocka_unit_test(tokens_and_sockets_give_their_right),
		cmocka_unit_test(a_page_of_another_site_gets_nothing_but_health),
		cmocka_unit_test(a_parameter_that_is_not_taken_or_there_twice_is_named),
		cmocka_unit_test(an_open_directory_is_warned_of_until_it_is_closed),
		cmocka_unit_test(a_host_is_ours_by_loopback_by_address_or_by_name),
		cmocka_unit_test(
			after_some_guesses_each_further_one_waits_up_to_a_second),
		cmocka_unit_test(what_a_connection_sent_before_is_judged_anew_each_time),
		cmocka_unit_test(an_ipv6_host_is_known_by_its_64),
		cmocka_unit_test(
			more_addresses_than_there_is_room_for_push_out_the_silent_ones),
	};

	if (sodium_init() < 0)
		return 1;
	return RUN_TESTS(tests);
}
