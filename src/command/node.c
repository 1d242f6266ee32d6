/*
 * The verbs of nodes. Each ends in the whole node as it is to be, so that a fold needs
 * neither the secret nor the clock.
 */
#include "base/text.h"
#include "command/verb.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Takes it; NULL unless it is whole. */
static cJSON *if_whole(cJSON *object, bool is_whole)
{
	if (is_whole)
		return object;
	cJSON_Delete(object);
	return NULL;
}

/* Notes if memory was too short for it. */
static cJSON *whole(struct act *act, cJSON *json)
{
	if (json == NULL)
		act->is_short = true;
	return json;
}

/* A name stands in a path, and before the colon of a credential. */
static int check_name(struct act *act, const char *name)
{
	if (name[0] == '\0')
		return err_set(act->msg, ERR_PARAM, "name is missing");
	if (strpbrk(name, ":/") != NULL || strcmp(name, ".") == 0 ||
		strcmp(name, "..") == 0)
		return err_set(act->msg, ERR_PARAM,
			"a node's name cannot be . or .. and cannot hold : or /");
	return 0;
}

static int read_counters(struct act *act, enum node_counters *counters)
{
	const char *word;
	int code = act_text(act, "counters", 16, &word);

	if (code != 0)
		return code;
	if (!act_has(act, "counters"))
		return 0;
	*counters = node_counters_of(word);
	if (*counters == NODE_COUNTERS_UNSET && word[0] != '\0')
		return err_set(act->msg, ERR_PARAM,
			"counters is neither delta nor cumulative, nor null");
	return 0;
}

/* What `node.set` can change. */
static int read_settings(struct act *act, struct node_kept *kept)
{
	const char *note;
	int code = read_counters(act, &kept->counters);

	if (code == 0)
		code = act_bool(act, "enabled", &kept->is_enabled);
	if (code == 0)
		code = act_text(act, "note", NODE_NOTE_BYTES - 1, &note);
	if (code == 0 && act_has(act, "note"))
		(void)snprintf(kept->note, sizeof(kept->note), "%s", note);
	return code;
}

/* The one that is asked for, or a new one of 128 random bits, in `made`. */
static int read_secret(struct act *act, char made[SECRET_BYTES], const char **ret_secret)
{
	unsigned char bytes[(SECRET_BYTES - 1) / 2];
	int code = act_text(act, "secret", NODE_MAX_SECRET_BYTES, ret_secret);

	if (code != 0)
		return code;
	if ((*ret_secret)[0] != '\0')
		return 0;
	if (cJSON_IsString(json_member(act->arguments, "secret")))
		return err_set(act->msg, ERR_PARAM, "secret is empty");
	randombytes_buf(bytes, sizeof(bytes));
	(void)sodium_bin2hex(made, SECRET_BYTES, bytes, sizeof(bytes));
	*ret_secret = made;
	return 0;
}

static void give_secret(struct node_kept *kept, const char *name, const char *secret)
{
	kept->has_secret = true;
	node_hash_secret(name, secret, strlen(secret), kept->secret);
}

/* As userinfo of a URL (RFC 3986): all but unreserved characters as %XX. */
static void put_escaped(char **at, const char *text)
{
	for (; *text != '\0'; text++) {
		unsigned char c = (unsigned char)*text;
		bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
			(c >= 'A' && c <= 'Z') || strchr("-._~", c) != NULL;

		*at += sprintf(*at, is_plain ? "%c" : "%%%02X", c);
	}
}

/* At both levels: GOST tells a service's states to the service's own observer only. */
static const char *const gost_services[] = {
	[COUNTERS_DELTA] =
		"services:                            # to each that you have:\n"
		"- name: proxy\n"
		"  observer: tally                    # its states\n"
		"  handler:\n"
		"    observer: tally                  # its users' bytes\n"
		"    metadata:\n"
		"      observer.resetTraffic: true    # those since the last report\n",
	[COUNTERS_CUMULATIVE] =
		"# The counters are cumulative: no observer.resetTraffic anywhere.\n"
		"services:                            # to each that you have:\n"
		"- name: proxy\n"
		"  observer: tally                    # its states: never leave it out\n"
		"  handler:\n"
		"    observer: tally                  # its users' bytes\n"};

/* The lines of GOST's configuration; `secret` NULL: a place for it. Whether GOST resets
 * its counters has to be what the node's are taken for. */
static bool add_gost(cJSON *answer, const struct act *act, const char *name,
	enum node_counters counters, const char *secret)
{
	char user[3 * (NAME_MAX_BYTES + NODE_MAX_SECRET_BYTES) + 8], *at = user;
	char text[4096];

	put_escaped(&at, name);
	*at++ = ':';
	*at = '\0';
	if (secret != NULL)
		put_escaped(&at, secret);
	else
		(void)strcpy(at, "SECRET");
	(void)snprintf(text, sizeof(text),
		"%s"
		"observers:\n"
		"- name: tally\n"
		"  plugin:\n"
		"    type: http\n"
		"    addr: http://%s@%s/observer\n"
		"    timeout: 2s\n",
		gost_services[node_mode(counters, act->counters)], user,
		act->observer_host);
	return cJSON_AddStringToObject(answer, "gost", text) != NULL;
}

static cJSON *secret_answer(const struct act *act, const char *name,
	const struct node_kept *kept, const char *secret)
{
	cJSON *answer = cJSON_CreateObject();

	return if_whole(answer,
		cJSON_AddStringToObject(answer, "name", name) != NULL &&
			(secret != NULL ? cJSON_AddStringToObject(
						  answer, "secret", secret)
					: cJSON_AddNullToObject(answer, "secret")) !=
				NULL &&
			add_gost(answer, act, name, kept->counters, secret) &&
			(kept->old_until_ms == 0 ||
				json_add_u64(
					answer, "oldSecretUntil", kept->old_until_ms)));
}

static void answer_with_secret(struct act *act, const char *name,
	const struct node_kept *kept, const char *secret)
{
	act->answer = whole(act, secret_answer(act, name, kept, NULL));
	act->answer_once = whole(act, secret_answer(act, name, kept, secret));
}

/* The node as it is to be; the audit shows it before and after. */
static void set_node(struct act *act, const char *name, const struct node *before,
	const struct node_kept *kept)
{
	act_effect(act, EFFECT_NODE, name)->kept = *kept;
	if (before != NULL)
		act->before = whole(act, node_to_json(name, &before->kept));
	act->after = whole(act, node_to_json(name, kept));
}

/* A deleted node that is made again goes on, with its marks and what they are of;
 * `fresh`: it is another GOST, and nothing is left of the old one. */
static void go_on(struct node_kept *kept, const struct node_kept *before)
{
	kept->counters = before->counters;
	memcpy(kept->note, before->note, sizeof(kept->note));
}

static int create(struct act *act, const char *name)
{
	const struct node *before = ledger_find_node(act->ledger, name);
	struct node_kept kept = {.is_enabled = true, .created_ms = act->now_ms};
	char made[SECRET_BYTES];
	const char *secret;
	bool is_fresh = false;
	int code = act_bool(act, "fresh", &is_fresh);

	if (before != NULL && !is_fresh)
		go_on(&kept, &before->kept);
	if (code == 0)
		code = read_settings(act, &kept);
	if (code == 0)
		code = read_secret(act, made, &secret);
	if (code != 0)
		return code;
	if (before != NULL && before->kept.deleted_ms == 0)
		return err_set(act->msg, ERR_CONFLICT,
			"the node %s exists already: `tallyctl node secret %s` gives it "
			"another secret",
			name, name);
	if (before == NULL && ledger_n_nodes(act->ledger) >= LEDGER_MAX_NODES)
		return err_set(act->msg, ERR_CONFLICT, "there are %d nodes already",
			LEDGER_MAX_NODES);
	give_secret(&kept, name, secret);
	set_node(act, name, before, &kept);
	if (is_fresh)
		(void)act_effect(act, EFFECT_FORGET_MARKS, name);
	act->status = 201;
	answer_with_secret(act, name, &kept, secret);
	sodium_memzero(made, sizeof(made));
	return 0;
}

int node_create(struct act *act)
{
	const char *name;
	int code = act_text(act, "name", NAME_MAX_BYTES, &name);

	if (code == 0)
		code = check_name(act, name);
	if (code != 0)
		return code;
	(void)snprintf(act->subject_made, sizeof(act->subject_made), "%s", name);
	return create(act, act->subject_made);
}

/* Both at once: a start that is killed between the two would leave the directory open. */
int node_first(struct act *act)
{
	int code = node_create(act);

	if (code == 0)
		act_effect(act, EFFECT_OPEN, "")->is_open = false;
	return code;
}

/* The subject as it is; NULL with the sentence if it is none, or is deleted. */
static const struct node *find_subject(struct act *act)
{
	const struct node *node = ledger_find_node(act->ledger, act->subject);

	if (node == NULL && ledger_has_node_reported(act->ledger, act->subject))
		(void)err_set(act->msg, ERR_NOT_FOUND,
			"%s reports without a secret and is no node: `tallyctl node add "
			"%s` makes it one",
			act->subject, act->subject);
	else if (node == NULL)
		(void)err_set(
			act->msg, ERR_NOT_FOUND, "there is no node %s", act->subject);
	else if (node->kept.deleted_ms != 0)
		(void)err_set(act->msg, ERR_NOT_FOUND,
			"the node %s is deleted: `tallyctl node add %s` makes it again",
			act->subject, act->subject);
	return node != NULL && node->kept.deleted_ms == 0 ? node : NULL;
}

int node_set(struct act *act)
{
	const struct node *before = find_subject(act);
	struct node_kept kept;
	int code;

	if (before == NULL)
		return ERR_NOT_FOUND;
	kept = before->kept;
	code = read_settings(act, &kept);
	if (code != 0)
		return code;
	if (!act_has(act, "counters") && !act_has(act, "enabled") &&
		!act_has(act, "note"))
		return err_set(act->msg, ERR_PARAM,
			"nothing is to be changed: counters, enabled or note is "
			"expected");
	set_node(act, act->subject, before, &kept);
	act->answer = whole(act, node_to_json(act->subject, &kept));
	return 0;
}

int node_secret(struct act *act)
{
	const struct node *before = find_subject(act);
	char made[SECRET_BYTES];
	const char *secret;
	struct node_kept kept;
	int code;

	if (before == NULL)
		return ERR_NOT_FOUND;
	code = read_secret(act, made, &secret);
	if (code != 0)
		return code;
	kept = before->kept;
	if (kept.has_secret) {
		memcpy(kept.old_secret, kept.secret, NODE_HASH_BYTES);
		kept.old_until_ms = act->now_ms + act->secret_grace_ms;
	}
	give_secret(&kept, act->subject, secret);
	set_node(act, act->subject, before, &kept);
	answer_with_secret(act, act->subject, &kept, secret);
	sodium_memzero(made, sizeof(made));
	return 0;
}

/* Also a name that was never made a node, but has reported. */
int node_delete(struct act *act)
{
	const struct node *before = ledger_find_node(act->ledger, act->subject);
	struct node_kept kept = {.is_enabled = true, .created_ms = act->now_ms};
	bool is_fresh = false;
	int code = act_bool(act, "fresh", &is_fresh);

	if (code != 0)
		return code;
	if (before == NULL && !ledger_has_node_reported(act->ledger, act->subject))
		return err_set(act->msg, ERR_NOT_FOUND,
			"there is no node %s, and none of that name has reported",
			act->subject);
	/* Once more, so that nothing is left of it: that makes room. */
	if (before != NULL && before->kept.deleted_ms != 0 && !is_fresh)
		return err_set(act->msg, ERR_CONFLICT, "the node %s is deleted already",
			act->subject);
	if (before != NULL && !is_fresh) /* else nothing is left of it */
		kept = before->kept;
	kept.deleted_ms = act->now_ms;
	kept.has_secret = false;
	kept.old_until_ms = 0;
	memset(kept.secret, 0, sizeof(kept.secret));
	memset(kept.old_secret, 0, sizeof(kept.old_secret));
	set_node(act, act->subject, before, &kept);
	if (is_fresh)
		(void)act_effect(act, EFFECT_FORGET_MARKS, act->subject);
	act->answer = whole(act, node_to_json(act->subject, &kept));
	return 0;
}

/* The clock's: a deleted node has been kept for long enough. */
int node_forget(struct act *act)
{
	const struct node *before = ledger_find_node(act->ledger, act->subject);

	if (before == NULL)
		return err_set(
			act->msg, ERR_NOT_FOUND, "there is no node %s", act->subject);
	(void)act_effect(act, EFFECT_FORGET_NODE, act->subject);
	act->before = whole(act, node_to_json(act->subject, &before->kept));
	act->answer = whole(act, cJSON_CreateObject());
	return 0;
}

static int set_open(struct act *act, bool is_open)
{
	cJSON **shown[] = {&act->before, &act->after, &act->answer};

	act_effect(act, EFFECT_OPEN, "")->is_open = is_open;
	for (size_t i = 0; i < 3; i++) {
		*shown[i] = cJSON_CreateObject();
		if (cJSON_AddBoolToObject(*shown[i], "open",
			    i == 0 ? ledger_is_open(act->ledger) : is_open) == NULL)
			act->is_short = true;
	}
	return 0;
}

int node_close(struct act *act)
{
	return set_open(act, false);
}

int node_open(struct act *act)
{
	return set_open(act, true);
}
