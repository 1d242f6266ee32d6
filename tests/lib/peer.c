/*
 * Bytes come in on_read(), which executes each whole command: execute() looks into the
 * script, then into the table of commands. Replies gather in the client's `out` and go
 * when all that was read is executed.
 */
#include "lib/peer.h"
#include "lib/test.h"
#include "lib/loop.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CLIENTS 8
#define MAX_ENTRIES 3000
#define MAX_ANSWERS 8
#define MAX_WORDS 16
#define KEY_BYTES 600
#define VALUE_BYTES 192
#define N_FIELDS 3
#define IN_BYTES (1 << 16)
#define OUT_BYTES (1 << 18)
#define SEEN_BYTES (1 << 20)
#define NOWHERE ((size_t)-1)

struct bytes {
	const char *at;
	size_t len;
};

struct value {
	bool is_there;
	size_t len;
	char text[VALUE_BYTES];
};

struct entry {
	size_t key_len;
	char key[KEY_BYTES];
	bool is_hash;
	struct value values[N_FIELDS]; /* a string has the first */
};

struct answer {
	const char *head, *reply;
	unsigned n; /* commands to go; 0: each */
};

struct client {
	struct peer *peer;
	uv_pipe_t pipe;
	uv_write_t write;
	bool is_open, is_closing, is_writing;
	bool has_spoken, is_listener; /* the second connection, see peer_track() */
	bool is_subscribed;
	unsigned told_client; /* of a tracked one: where its edits are told; 0 */
	unsigned id;
	char name[VALUE_BYTES];
	char in[IN_BYTES], out[OUT_BYTES], writing[OUT_BYTES];
	size_t in_len, out_len;
	size_t held_at; /* what of `out` is held back; NOWHERE */
	bool is_cut;    /* nothing more is said, and it ends behind what was said */
};

struct peer {
	uv_loop_t *loop;
	uv_pipe_t door;
	bool is_door_closed;
	struct client clients[MAX_CLIENTS];
	unsigned last_id;
	bool tracks;
	struct entry entries[MAX_ENTRIES];
	size_t n_entries, page;
	struct answer answers[MAX_ANSWERS];
	size_t n_answers;
	unsigned fail_nth, n_replies; /* a fault of replies; 0: none */
	enum reply_fault reply_fault;
	unsigned storm_seed, storm_every, n_storm; /* replies that it has to go */
	const char *hold_head;                     /* NULL: nothing is to be held */
	const char *info, *more_clients;
	void (*on_command)(void *arg, const char *command);
	void *on_command_arg;
	char seen[SEEN_BYTES];
	size_t seen_len;
};

struct command {
	unsigned argc;
	struct bytes argv[MAX_WORDS];
};

static const char *const field_names[N_FIELDS] = {
	"usedTraffic", "inputBytes", "outputBytes"};

static void reply(struct client *client, const void *bytes, size_t len);
static void reply_text(struct client *client, const char *text);
static void reply_bulk(struct client *client, struct bytes bytes);
static void flush(struct client *client);

/* Tracking */

#define CHANNEL "__redis__:invalidate"

static struct client *find_client(struct peer *peer, unsigned long id)
{
	for (size_t i = 0; i < MAX_CLIENTS; i++)
		if (peer->clients[i].is_open && peer->clients[i].id == id)
			return &peer->clients[i];
	return NULL;
}

static void tell(struct client *listener, const struct bytes *key)
{
	reply_text(listener, "*3\r\n$7\r\nmessage\r\n$20\r\n" CHANNEL "\r\n");
	reply_text(listener, key != NULL ? "*1\r\n" : "*-1\r\n");
	if (key != NULL)
		reply_bulk(listener, *key);
	flush(listener);
}

/* Somebody else has written to that key; NULL: to all of them. */
static void tell_edit(struct peer *peer, const struct bytes *key)
{
	for (size_t i = 0; i < MAX_CLIENTS && peer->tracks; i++) {
		const struct client *client = &peer->clients[i];
		struct client *listener = find_client(peer, client->told_client);

		if (client->is_open && client->told_client != 0 && listener != NULL)
			tell(listener, key);
	}
}

/* The store */

static struct entry *find(const struct peer *peer, struct bytes key)
{
	for (size_t i = 0; i < peer->n_entries; i++) {
		const struct entry *entry = &peer->entries[i];

		if (entry->key_len == key.len && memcmp(entry->key, key.at, key.len) == 0)
			return (struct entry *)entry;
	}
	return NULL;
}

static struct entry *find_or_add(struct peer *peer, struct bytes key, bool is_hash)
{
	struct entry *entry = find(peer, key);

	if (entry != NULL)
		return entry;
	assert_true(peer->n_entries < MAX_ENTRIES && key.len < KEY_BYTES);
	entry = &peer->entries[peer->n_entries++];
	*entry = (struct entry){.key_len = key.len, .is_hash = is_hash};
	memcpy(entry->key, key.at, key.len);
	return entry;
}

static void put(struct value *value, struct bytes text)
{
	assert_true(text.len < VALUE_BYTES);
	memcpy(value->text, text.at, text.len);
	value->text[text.len] = '\0';
	value->len = text.len;
	value->is_there = true;
}

static struct bytes of_text(const char *text)
{
	return (struct bytes){text, strlen(text)};
}

static bool is_text(struct bytes bytes, const char *text)
{
	return bytes.at != NULL && bytes.len == strlen(text) &&
		memcmp(bytes.at, text, bytes.len) == 0;
}

static struct value *field_of(struct entry *entry, struct bytes name)
{
	size_t i = 0;

	while (i < N_FIELDS - 1 && !is_text(name, field_names[i]))
		i++;
	assert_true(is_text(name, field_names[i]));
	return &entry->values[i];
}

static void forget(struct peer *peer, const char *key)
{
	struct entry *entry = find(peer, of_text(key));

	if (entry != NULL)
		*entry = peer->entries[--peer->n_entries];
}

void peer_set(struct peer *peer, const char *key, const char *value)
{
	struct bytes name = of_text(key);

	forget(peer, key);
	put(find_or_add(peer, name, false)->values, of_text(value));
	tell_edit(peer, &name);
}

const char *peer_get(const struct peer *peer, const char *key)
{
	const struct entry *entry = find(peer, of_text(key));

	return entry != NULL && !entry->is_hash ? entry->values[0].text : NULL;
}

void peer_hset_bytes(struct peer *peer, const char *key, size_t key_len,
	const char *field, const char *value, size_t value_len)
{
	struct bytes name = {key, key_len};

	put(field_of(find_or_add(peer, name, true), of_text(field)),
		(struct bytes){value, value_len});
	tell_edit(peer, &name);
}

void peer_hset(struct peer *peer, const char *key, const char *field, const char *value)
{
	struct bytes name = of_text(key);
	struct value *at = field_of(find_or_add(peer, name, true), of_text(field));

	if (value != NULL)
		put(at, of_text(value));
	else
		at->is_there = false;
	tell_edit(peer, &name);
}

const char *peer_hget(const struct peer *peer, const char *key, const char *field)
{
	struct entry *entry = find(peer, of_text(key));
	const struct value *value;

	if (entry == NULL || !entry->is_hash)
		return NULL;
	value = field_of(entry, of_text(field));
	return value->is_there ? value->text : NULL;
}

void peer_delete(struct peer *peer, const char *key)
{
	struct bytes name = of_text(key);

	forget(peer, key);
	tell_edit(peer, &name);
}

void peer_wipe(struct peer *peer)
{
	peer->n_entries = 0;
	tell_edit(peer, NULL);
}

/* Replies */

static void reply(struct client *client, const void *bytes, size_t len)
{
	if (client->is_cut)
		return;
	assert_true(client->out_len + len <= OUT_BYTES);
	memcpy(client->out + client->out_len, bytes, len);
	client->out_len += len;
}

static void reply_text(struct client *client, const char *text)
{
	reply(client, text, strlen(text));
}

static void reply_number(struct client *client, char type, int64_t number)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%c%" PRId64 "\r\n", type, number);
	reply_text(client, text);
}

static void reply_bulk(struct client *client, struct bytes bytes)
{
	reply_number(client, '$', (int64_t)bytes.len);
	reply(client, bytes.at, bytes.len);
	reply_text(client, "\r\n");
}

static void reply_value(struct client *client, const struct value *value)
{
	if (value->is_there)
		reply_bulk(client, (struct bytes){value->text, value->len});
	else
		reply_text(client, "$-1\r\n");
}

static const char of_wrong_type[] = "-WRONGTYPE Operation against a key holding the "
				    "wrong kind of value\r\n";

/* The hash, made if need be; NULL, and answered, if the key is no hash. */
static struct entry *hash_of(struct client *client, struct bytes key)
{
	struct entry *entry = find_or_add(client->peer, key, true);

	if (entry->is_hash)
		return entry;
	reply_text(client, of_wrong_type);
	return NULL;
}

/* Commands */

static void on_get(struct client *client, const struct command *command)
{
	const struct entry *entry = find(client->peer, command->argv[1]);
	static const struct value none;

	if (entry != NULL && entry->is_hash)
		reply_text(client, of_wrong_type);
	else
		reply_value(client, entry != NULL ? &entry->values[0] : &none);
}

static void on_set(struct client *client, const struct command *command)
{
	struct entry *entry = find(client->peer, command->argv[1]);

	if (entry != NULL && command->argc == 4) {
		reply_text(client, "$-1\r\n"); /* NX */
		return;
	}
	entry = find_or_add(client->peer, command->argv[1], false);
	entry->is_hash = false;
	put(&entry->values[0], command->argv[2]);
	reply_text(client, "+OK\r\n");
}

/* Of nothing, at 0. */
static void on_setrange(struct client *client, const struct command *command)
{
	const struct entry *entry = find(client->peer, command->argv[1]);

	assert_int_equal(command->argv[3].len, 0);
	reply_number(client, ':', entry != NULL ? (int64_t)entry->values[0].len : 0);
}

static void on_scan(struct client *client, const struct command *command)
{
	const struct peer *peer = client->peer;
	size_t first = strtoul(command->argv[1].at, NULL, 10), end = first + peer->page;
	size_t n = 0;
	char pattern[KEY_BYTES], cursor[24];

	end = end < peer->n_entries ? end : peer->n_entries;
	(void)snprintf(pattern, sizeof(pattern), "%.*s", (int)command->argv[3].len,
		command->argv[3].at);
	(void)snprintf(
		cursor, sizeof(cursor), "%zu", end < peer->n_entries ? end : (size_t)0);
	for (size_t i = first; i < end; i++)
		n += fnmatch(pattern, peer->entries[i].key, 0) == 0;
	reply_text(client, "*2\r\n");
	reply_bulk(client, of_text(cursor));
	reply_number(client, '*', (int64_t)n);
	for (size_t i = first; i < end; i++) {
		const struct entry *entry = &peer->entries[i];

		if (fnmatch(pattern, entry->key, 0) == 0)
			reply_bulk(client, (struct bytes){entry->key, entry->key_len});
	}
}

static void on_hmget(struct client *client, const struct command *command)
{
	struct entry none = {.is_hash = true}, *entry;

	entry = find(client->peer, command->argv[1]);
	if (entry == NULL)
		entry = &none;
	if (!entry->is_hash) {
		reply_text(client, of_wrong_type);
		return;
	}
	reply_number(client, '*', command->argc - 2);
	for (unsigned i = 2; i < command->argc; i++)
		reply_value(client, field_of(entry, command->argv[i]));
}

static void on_hset(struct client *client, const struct command *command)
{
	struct entry *entry = hash_of(client, command->argv[1]);
	int64_t n_new = 0;

	if (entry == NULL)
		return;
	for (unsigned i = 2; i + 1 < command->argc; i += 2) {
		struct value *value = field_of(entry, command->argv[i]);

		n_new += !value->is_there;
		put(value, command->argv[i + 1]);
	}
	reply_number(client, ':', n_new);
}

static void on_hincrby(struct client *client, const struct command *command)
{
	struct entry *entry = hash_of(client, command->argv[1]);
	int64_t by = strtoll(command->argv[3].at, NULL, 10), before, after;
	struct value *value;
	char text[24], *end;

	if (entry == NULL)
		return;
	value = field_of(entry, command->argv[2]);
	before = value->is_there ? strtoll(value->text, &end, 10) : 0;
	if (value->is_there && *end != '\0') {
		reply_text(client, "-ERR hash value is not an integer\r\n");
	} else if (__builtin_add_overflow(before, by, &after)) {
		reply_text(client, "-ERR increment or decrement would overflow\r\n");
	} else {
		(void)snprintf(text, sizeof(text), "%" PRId64, after);
		put(value, of_text(text));
		reply_number(client, ':', after);
	}
}

static void drop_client(struct client *client);

/* With `id`, of that one alone. */
static void on_client_list(struct client *client, const struct bytes *id)
{
	const struct peer *peer = client->peer;
	char text[4096];
	size_t len = 0;

	for (size_t i = 0; i < MAX_CLIENTS; i++)
		if (peer->clients[i].is_open &&
			(id == NULL || strtoul(id->at, NULL, 10) == peer->clients[i].id))
			len += (size_t)snprintf(text + len, sizeof(text) - len,
				"id=%u addr=unix:0 name=%s age=0 idle=0 db=0\n",
				peer->clients[i].id, peer->clients[i].name);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "%s", peer->more_clients);
	assert_true(len < sizeof(text));
	reply_bulk(client, (struct bytes){text, len});
}

/* Whoever asks is left out. */
static void on_client_kill(struct client *client, struct bytes id)
{
	struct peer *peer = client->peer;
	unsigned long number = strtoul(id.at, NULL, 10);
	int64_t n_killed = 0;

	for (size_t i = 0; i < MAX_CLIENTS; i++) {
		struct client *other = &peer->clients[i];

		if (other == client || !other->is_open || other->id != number)
			continue;
		drop_client(other);
		n_killed++;
	}
	reply_number(client, ':', n_killed);
}

/* As tallyd asks for it. */
static void on_client_tracking(struct client *client, const struct command *command)
{
	const struct client *listener = NULL;
	bool is_on = is_text(command->argv[2], "ON");

	if (is_on) {
		assert_int_equal(command->argc, 9);
		listener =
			find_client(client->peer, strtoul(command->argv[4].at, NULL, 10));
	}
	if (is_on && listener == NULL) {
		reply_text(client,
			"-ERR The client ID you want redirect to does not exist\r\n");
		return;
	}
	client->told_client = is_on ? listener->id : 0;
	reply_text(client, "+OK\r\n");
}

static void on_subscribe(struct client *client, const struct command *command)
{
	if (!client->peer->tracks) {
		reply_text(client, "-ERR unknown command\r\n");
		return;
	}
	assert_true(is_text(command->argv[1], CHANNEL));
	client->is_subscribed = true;
	reply_text(client, "*3\r\n$9\r\nsubscribe\r\n$20\r\n" CHANNEL "\r\n:1\r\n");
}

static void on_client(struct client *client, const struct command *command)
{
	if (is_text(command->argv[1], "SETNAME")) {
		(void)snprintf(client->name, sizeof(client->name), "%.*s",
			(int)command->argv[2].len, command->argv[2].at);
		reply_text(client, "+OK\r\n");
	} else if (is_text(command->argv[1], "LIST")) {
		on_client_list(client, command->argc > 3 ? &command->argv[3] : NULL);
	} else if (is_text(command->argv[1], "ID")) {
		reply_number(client, ':', client->id);
	} else if (is_text(command->argv[1], "TRACKING")) {
		on_client_tracking(client, command);
	} else {
		assert_true(is_text(command->argv[1], "KILL"));
		on_client_kill(client, command->argv[3]);
	}
}

static void on_info(struct client *client, const struct command *command)
{
	(void)command;
	reply_bulk(client, of_text(client->peer->info));
}

static void on_ok(struct client *client, const struct command *command)
{
	(void)command;
	reply_text(client, "+OK\r\n");
}

static const struct {
	const char *name;
	void (*execute)(struct client *client, const struct command *command);
} known_commands[] = {
	{"GET", on_get},
	{"SET", on_set},
	{"SETRANGE", on_setrange},
	{"SCAN", on_scan},
	{"HMGET", on_hmget},
	{"HSET", on_hset},
	{"HINCRBY", on_hincrby},
	{"CLIENT", on_client},
	{"INFO", on_info},
	{"SUBSCRIBE", on_subscribe},
	{"AUTH", on_ok},
	{"SELECT", on_ok},
};

/* What came */

static void note(struct peer *peer, const char *bytes, size_t len)
{
	assert_true(peer->seen_len + len < SEEN_BYTES);
	for (size_t i = 0; i < len; i++) {
		char byte = bytes[i];

		peer->seen[peer->seen_len++] =
			byte != '\n' && (byte < ' ' || byte > '~') ? '?' : byte;
	}
	peer->seen[peer->seen_len] = '\0';
}

static const char *note_command(struct peer *peer, const struct command *command)
{
	const char *line = peer->seen + peer->seen_len;

	for (unsigned i = 0; i < command->argc; i++) {
		if (i > 0)
			note(peer, " ", 1);
		note(peer, command->argv[i].at, command->argv[i].len);
	}
	note(peer, "\n", 1);
	return line;
}

static bool begins(const char *line, const char *head)
{
	return strncmp(line, head, strlen(head)) == 0;
}

/* The nth line (from 1) with that head, or NULL. */
static const char *find_line(const struct peer *peer, const char *head, size_t n)
{
	for (const char *line = peer->seen; *line != '\0'; line = strchr(line, '\n') + 1)
		if (begins(line, head) && --n == 0)
			return line;
	return NULL;
}

const char *peer_seen(const struct peer *peer)
{
	return peer->seen;
}

size_t peer_count(const struct peer *peer, const char *head)
{
	size_t n = 0;

	for (const char *line = peer->seen; *line != '\0'; line = strchr(line, '\n') + 1)
		n += begins(line, head);
	return n;
}

void peer_forget(struct peer *peer)
{
	peer->seen_len = 0;
	peer->seen[0] = '\0';
}

const char *peer_line(const struct peer *peer, const char *head, size_t n)
{
	static char copy[2048];
	const char *line = find_line(peer, head, n);

	if (line == NULL) {
		fail_msg("no %zu. %s in:\n%s", n, head, peer->seen);
		return NULL;
	}
	(void)snprintf(copy, sizeof(copy), "%.*s", (int)strcspn(line, "\n"), line);
	return copy;
}

bool peer_saw_before(const struct peer *peer, const char *head, const char *later)
{
	const char *first = find_line(peer, head, 1), *second = find_line(peer, later, 1);

	return first != NULL && second != NULL && first < second;
}

/* The script */

void peer_answer(struct peer *peer, const char *head, unsigned n, const char *reply_bytes)
{
	assert_true(peer->n_answers < MAX_ANSWERS);
	peer->answers[peer->n_answers++] = (struct answer){head, reply_bytes, n};
}

void peer_answer_as_usual(struct peer *peer)
{
	peer->n_answers = 0;
}

void peer_fail_reply(struct peer *peer, unsigned n, enum reply_fault fault)
{
	peer->fail_nth = n;
	peer->n_replies = 0;
	peer->reply_fault = fault;
}

unsigned peer_count_replies(const struct peer *peer)
{
	return peer->n_replies;
}

static bool must_fail_reply(struct peer *peer)
{
	return ++peer->n_replies == peer->fail_nth;
}

/* True if this command was answered by the script. */
static bool follow_script(struct client *client, const char *line)
{
	struct peer *peer = client->peer;

	for (size_t i = 0; i < peer->n_answers; i++) {
		struct answer answer = peer->answers[i];

		if (!begins(line, answer.head) ||
			(answer.n > 0 && --peer->answers[i].n > 0))
			continue;
		if (answer.n > 0)
			peer->answers[i] = peer->answers[--peer->n_answers];
		if (answer.reply != NULL)
			reply_text(client, answer.reply);
		else
			drop_client(client);
		return true;
	}
	return false;
}

static void execute_known(struct client *client, const struct command *command)
{
	for (size_t i = 0; i < COUNT_OF(known_commands); i++) {
		if (is_text(command->argv[0], known_commands[i].name)) {
			known_commands[i].execute(client, command);
			return;
		}
	}
	reply_text(client, "-ERR unknown command\r\n");
}

static void answer_badly(struct client *client, const struct command *command)
{
	static const char *const instead[REPLY_FAULTS] = {
		[REPLY_GARBAGE] = "?what\r\n", [REPLY_OTHER] = "*0\r\n"};
	enum reply_fault fault = client->peer->reply_fault;
	size_t before = client->out_len;

	if (fault == REPLY_ERROR) {
		reply_text(client, "-ERR x\r\n");
		return;
	}
	execute_known(client, command);
	client->out_len =
		before + (fault == REPLY_CUT ? (client->out_len - before) / 2 : 0);
	if (instead[fault] != NULL)
		reply_text(client, instead[fault]);
	else
		client->is_cut = true;
}

static unsigned roll(struct peer *peer, unsigned n)
{
	return (unsigned)rand_r(&peer->storm_seed) % n;
}

static void reply_random(struct client *client, unsigned depth);

static void reply_random_bytes(struct client *client)
{
	static const char *const heads[] = {
		"", "0", "id=", "run=", "redis_version:", "db0:keys=", "\xff", "ERR "};
	char text[200];
	size_t n = roll(client->peer, sizeof(text));
	const char *head = heads[roll(client->peer, COUNT_OF(heads))];

	for (size_t i = 0; i < n; i++)
		text[i] = (char)roll(client->peer, 256);
	memcpy(text, head, strlen(head) < n ? strlen(head) : n);
	reply_bulk(client, (struct bytes){text, n});
}

static void reply_random_array(struct client *client, unsigned depth)
{
	unsigned n = roll(client->peer, 4);

	reply_number(client, '*', depth > 8 ? 0 : n);
	for (unsigned i = 0; i < n && depth <= 8; i++)
		reply_random(client, depth + 1);
}

static void reply_random(struct client *client, unsigned depth)
{
	static const char *const others[] = {"-ERR \xff\xc3( \x01\x1b[2J\r\n",
		"-WRONGTYPE \xed\xa0\x80\r\n", "-NOPERM \r\n", "-\r\n", "+OK\r\n",
		"+\xfe\r\n", "$-1\r\n", "*-1\r\n", ":0\r\n", ":-1\r\n", "*2147483647\r\n",
		":9223372036854775807\r\n", ":99999999999999999999\r\n", "$-7\r\n",
		"$536870912\r\nab", "\r\n", "*2\r\n$1\r\n7\r\n*0\r\n"};

	switch (roll(client->peer, 4)) {
	case 0:
		reply_random_bytes(client);
		break;
	case 1:
		reply_random_array(client, depth);
		break;
	default:
		reply_text(client, others[roll(client->peer, COUNT_OF(others))]);
	}
}

void peer_storm(struct peer *peer, unsigned seed, unsigned n)
{
	peer->storm_seed = seed;
	peer->storm_every = 3 + seed % 16;
	peer->n_storm = n;
}

static bool is_storming(struct peer *peer)
{
	if (peer->n_storm == 0)
		return false;
	peer->n_storm--;
	return roll(peer, peer->storm_every) == 0;
}

/* Who asks for its number before anything else is the second connection. */
static void note_connection(struct client *client, const struct command *command)
{
	const char *line;

	client->is_listener =
		is_text(command->argv[0], "CLIENT") && is_text(command->argv[1], "ID");
	line = client->is_listener ? "(listener)\n" : "(connection)\n";
	if (!client->is_listener || client->peer->tracks)
		note(client->peer, line, strlen(line));
	client->has_spoken = true;
}

static void execute(struct client *client, const struct command *command)
{
	struct peer *peer = client->peer;
	const char *line;

	if (!client->has_spoken)
		note_connection(client, command);
	if (client->is_listener && !peer->tracks) {
		execute_known(client, command);
		return;
	}
	line = note_command(peer, command);
	if (peer->on_command != NULL)
		peer->on_command(peer->on_command_arg, line);
	if (peer->hold_head != NULL && client->held_at == NOWHERE &&
		begins(line, peer->hold_head))
		client->held_at = client->out_len;
	if (must_fail_reply(peer))
		answer_badly(client, command);
	else if (is_storming(peer))
		reply_random(client, 0);
	else if (!follow_script(client, line))
		execute_known(client, command);
}

/* Bytes */

/* `N\r\n` behind a type; returns what is behind it, or NULL if it is not all there. */
static const char *parse_count(
	const char *at, const char *end, char type, size_t *ret_count)
{
	const char *newline;

	if (at == end)
		return NULL;
	assert_int_equal(*at, type);
	newline = memchr(at, '\n', (size_t)(end - at));
	if (newline == NULL)
		return NULL;
	*ret_count = strtoul(at + 1, NULL, 10);
	return newline + 1;
}

/* The bytes that the command takes; 0 if it is not all there. */
static size_t parse_command(const char *from, size_t len, struct command *command)
{
	const char *end = from + len, *at;
	size_t argc, word_len;

	at = parse_count(from, end, '*', &argc);
	if (at == NULL)
		return 0;
	assert_in_range(argc, 1, MAX_WORDS);
	command->argc = (unsigned)argc;
	for (size_t i = 0; i < argc; i++) {
		at = parse_count(at, end, '$', &word_len);
		if (at == NULL || (size_t)(end - at) < word_len + 2)
			return 0;
		command->argv[i] = (struct bytes){at, word_len};
		at += word_len + 2;
	}
	return (size_t)(at - from);
}

static void on_written(uv_write_t *write, int status)
{
	struct client *client = write->data;

	(void)status; /* who does not read any more is seen to be gone */
	client->is_writing = false;
	flush(client);
}

static void flush(struct client *client)
{
	size_t len =
		client->held_at < client->out_len ? client->held_at : client->out_len;
	uv_buf_t buf = uv_buf_init(client->writing, (unsigned)len);

	if (!client->is_open || client->is_writing)
		return;
	if (client->is_cut && client->out_len == 0)
		drop_client(client);
	if (len == 0)
		return;
	memcpy(client->writing, client->out, len);
	client->out_len -= len;
	memmove(client->out, client->out + len, client->out_len);
	if (client->held_at != NOWHERE)
		client->held_at -= len;
	client->is_writing = true;
	client->write.data = client;
	assert_int_equal(uv_write(&client->write, (uv_stream_t *)&client->pipe, &buf, 1,
				 on_written),
		0);
}

static void on_client_closed(uv_handle_t *handle)
{
	((struct client *)handle->data)->is_closing = false;
}

static void drop_client(struct client *client)
{
	if (!client->is_open)
		return;
	client->is_open = false;
	client->is_closing = true;
	uv_close((uv_handle_t *)&client->pipe, on_client_closed);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *client = handle->data;

	(void)suggested;
	*buf = uv_buf_init(
		client->in + client->in_len, (unsigned)(IN_BYTES - client->in_len));
}

static void on_read(uv_stream_t *stream, ssize_t n_read, const uv_buf_t *buf)
{
	struct client *client = stream->data;
	struct command command = {0};
	size_t used = 0, n;

	(void)buf;
	if (n_read < 0) {
		drop_client(client);
		return;
	}
	client->in_len += (size_t)n_read;
	while (client->is_open &&
		(n = parse_command(client->in + used, client->in_len - used, &command)) >
			0) {
		execute(client, &command);
		used += n;
	}
	client->in_len -= used;
	memmove(client->in, client->in + used, client->in_len);
	flush(client);
}

static void on_connection(uv_stream_t *door, int status)
{
	struct peer *peer = door->data;
	struct client *client = peer->clients;

	assert_int_equal(status, 0);
	while (client->is_open || client->is_closing)
		assert_true(++client < peer->clients + MAX_CLIENTS);
	client->peer = peer;
	client->id = ++peer->last_id;
	client->name[0] = '\0';
	client->in_len = client->out_len = 0;
	client->held_at = NOWHERE;
	client->is_writing = client->is_cut = false;
	client->has_spoken = client->is_listener = client->is_subscribed = false;
	client->told_client = 0;
	client->is_open = true;
	(void)uv_pipe_init(peer->loop, &client->pipe, 0); /* always 0 */
	client->pipe.data = client;
	assert_int_equal(uv_accept(door, (uv_stream_t *)&client->pipe), 0);
	assert_int_equal(
		uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read), 0);
}

void peer_hold(struct peer *peer, const char *head)
{
	peer->hold_head = head;
}

void peer_release(struct peer *peer)
{
	peer->hold_head = NULL;
	for (size_t i = 0; i < MAX_CLIENTS; i++) {
		peer->clients[i].held_at = NOWHERE;
		flush(&peer->clients[i]);
	}
}

void peer_drop(struct peer *peer)
{
	for (size_t i = 0; i < MAX_CLIENTS; i++)
		drop_client(&peer->clients[i]);
}

void peer_track(struct peer *peer, bool tracks)
{
	peer->tracks = tracks;
}

static struct client *find_listener(struct peer *peer)
{
	struct client *client = peer->clients;

	while (!client->is_open || !client->is_subscribed)
		assert_true(++client < peer->clients + MAX_CLIENTS);
	return client;
}

void peer_tell(struct peer *peer, const char *bytes)
{
	struct client *listener = find_listener(peer);

	reply_text(listener, bytes);
	flush(listener);
}

void peer_drop_listener(struct peer *peer)
{
	drop_client(find_listener(peer));
}

void peer_say(struct peer *peer, const char *bytes)
{
	for (size_t i = 0; i < MAX_CLIENTS; i++) {
		if (!peer->clients[i].is_open)
			continue;
		reply_text(&peer->clients[i], bytes);
		flush(&peer->clients[i]);
	}
}

void peer_set_page(struct peer *peer, size_t n_keys)
{
	peer->page = n_keys;
}

void peer_set_info(struct peer *peer, const char *text)
{
	peer->info = text;
}

void peer_set_clients(struct peer *peer, const char *lines)
{
	peer->more_clients = lines;
}

void peer_watch(
	struct peer *peer, void (*on_command)(void *arg, const char *command), void *arg)
{
	peer->on_command = on_command;
	peer->on_command_arg = arg;
}

/* Life */

struct peer *peer_open(uv_loop_t *loop, const char *path)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	assert_non_null(peer);
	peer->loop = loop;
	peer->page = 1000;
	peer->info = peer->more_clients = "";
	assert_int_equal(uv_pipe_init(loop, &peer->door, 0), 0);
	peer->door.data = peer;
	assert_int_equal(uv_pipe_bind(&peer->door, path), 0);
	assert_int_equal(uv_listen((uv_stream_t *)&peer->door, 8, on_connection), 0);
	return peer;
}

static void on_door_closed(uv_handle_t *handle)
{
	((struct peer *)handle->data)->is_door_closed = true;
}

static bool is_closed(const void *arg)
{
	const struct peer *peer = arg;

	for (size_t i = 0; i < MAX_CLIENTS; i++)
		if (peer->clients[i].is_closing)
			return false;
	return peer->is_door_closed;
}

void peer_close(struct peer *peer)
{
	peer_drop(peer);
	uv_close((uv_handle_t *)&peer->door, on_door_closed);
	assert_true(loop_run_until(peer->loop, is_closed, peer, 60000));
	free(peer);
}
