/* What tallyd meets on the network of this machine: Redis, and the addresses it is to
 * listen on. */
#include "api/rights.h"
#include "app/process.h"
#include "app/setup.h"
#include "base/redis_error.h"
#include "http/places.h"
#include "live/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define N_DATABASES 16 /* of a Redis that is not told otherwise */

/* Another database of that Redis, if there is one that no tallyd has. */
static void change_database(struct setup *setup, const struct redis_address *address)
{
	struct redis_address other = *address; /* borrows */
	struct probe probe = {.is_connected = true};
	char url[REDIS_URL_BYTES];

	for (other.db = 0; other.db < N_DATABASES && probe.is_connected; other.db++) {
		if (other.db == address->db ||
			probe_redis(&other, setup->config->redis_timeout, &probe) != 0 ||
			probe.error[0] != '\0' || probe.has_owner)
			continue;
		redis_address_url(&other, address->password != NULL, url);
		setup_change(setup, "redis_url = %s", url);
		return;
	}
}

static void tell_way_in(
	struct setup *setup, const struct redis_address *address, enum redis_error kind)
{
	char url[REDIS_URL_BYTES];

	redis_address_url(address, true, url);
	switch (kind) {
	case REDIS_ERROR_PASSWORD_WANTED:
		setup_change(setup, "redis_url = %s", url);
		break;
	case REDIS_ERROR_PASSWORD_UNKNOWN:
		setup_change(setup,
			"requirepass PASSWORD   # in redis.conf: the one in redis_url");
		setup_change(setup, "systemctl restart redis-server");
		break;
	case REDIS_ERROR_DATABASE:
		change_database(setup, address);
		setup_change(setup, "databases %d   # or in redis.conf, and restart it",
			address->db + 1);
		break;
	case REDIS_ERROR_OTHER:
		setup_change(setup, "systemctl status redis-server");
		setup_change(setup, "redis_url = none   # if there is to be no Redis");
	}
}

static void tell_unreachable(struct setup *setup, const char *where,
	const struct redis_address *address, const struct probe *probe)
{
	static const struct {
		const char *code, *what;
	} rows[] = {
		[REDIS_ERROR_OTHER] = {"redis-down", "cannot be reached"},
		[REDIS_ERROR_PASSWORD_WANTED] = {"redis-password",
			"does not let tallyd in"},
		[REDIS_ERROR_PASSWORD_UNKNOWN] = {"redis-password",
			"does not let tallyd in"},
		[REDIS_ERROR_DATABASE] = {"redis-database",
			"is there, but has no database of that number"},
	};
	enum redis_error kind = redis_error_kind(probe->error);
	size_t len = strlen(probe->error);

	while (len > 0 && probe->error[len - 1] == '.')
		len--;
	/* Redis ends some of its errors with a full stop. */
	setup_find(setup, SETUP_PROBLEM, rows[kind].code,
		"Redis at %s %s: %.*s; tallyd counts on, but what Redis shows stands "
		"still",
		where, rows[kind].what, (int)len, probe->error);
	tell_way_in(setup, address, kind);
}

/* Who has no database yet is another than whoever has that Redis. */
static void tell_owner(struct setup *setup, const char *where,
	const struct redis_address *address, const struct probe *probe)
{
	static const struct {
		const char *word, *what;
	} ways[] = {{"adopt", "adds what it shows"}, {"overwrite", "forgets it"}};

	if (!probe->has_owner) {
		setup_find(setup, SETUP_OK, "redis",
			"Redis at %s can be reached; no tallyd has it yet", where);
	} else if (setup->is_instance_unknown) {
		setup_find(setup, SETUP_OK, "redis",
			"Redis at %s can be reached; whose it is was not looked at",
			where);
	} else if (strcmp(probe->owner, setup->instance_id) == 0) {
		setup_find(setup, SETUP_OK, "redis",
			"Redis at %s can be reached, and shows this data_dir", where);
	} else {
		setup_find(setup, SETUP_PROBLEM, "redis-foreign",
			"Redis at %s shows another data_dir, whose id is %s: nothing is "
			"written there; take another database number, or take it over, "
			"once, while both are stopped",
			where, probe->owner);
		change_database(setup, address);
		for (size_t i = 0; i < 2; i++)
			setup_change(setup,
				"sudo -u tallyd tallyd%s --take-over-redis=%s   # %s; "
				"until it logs `Redis shows the ledger`, then Ctrl-C",
				setup->config_option, ways[i].word, ways[i].what);
	}
}

static void tell_connected(struct setup *setup, const char *where,
	const struct redis_address *address, const struct probe *probe)
{
	const char *policy = probe->survey.maxmemory_policy;
	char url[REDIS_URL_BYTES];

	tell_owner(setup, where, address, probe);
	if (policy[0] != '\0' && strcmp(policy, "noeviction") != 0) {
		setup_find(setup, SETUP_WARNING, "redis-evicts",
			"Redis may throw totals away when its memory is full: its "
			"maxmemory-policy is %s; in redis.conf:",
			policy);
		setup_change(setup, "maxmemory-policy noeviction");
	}
	if (address->path == NULL && address->password == NULL) {
		setup_find(setup, SETUP_WARNING, "rights", RIGHTS_REDIS_IS_BARE);
		setup_change(setup, "requirepass PASSWORD");
		redis_address_url(address, true, url);
		setup_change(setup, "redis_url = %s", url);
	}
}

void setup_check_redis(struct setup *setup)
{
	const char *url = setup->config->redis_url;
	char where[REDIS_ADDRESS_BYTES];
	struct redis_address address;
	struct probe probe;
	struct errmsg msg;

	if (strcmp(url, "none") == 0) {
		setup_find(setup, SETUP_OK, "redis",
			"redis_url is none: only SQLite is written");
		return;
	}
	if (redis_address_parse(url, &address, &msg) != 0)
		return; /* the configuration was checked, but for memory */
	redis_address_text(&address, where);
	if (probe_redis(&address, setup->config->redis_timeout, &probe) == 0) {
		if (!probe.is_connected || probe.error[0] != '\0')
			tell_unreachable(setup, where, &address, &probe);
		else
			tell_connected(setup, where, &address, &probe);
	}
	redis_address_done(&address);
}

/* What the option `name` wants of this machine. */
struct asked {
	struct setup *setup;
	const char *name;
};

/* A socket's own default is nobody else's. */
static void change_address(const struct asked *asked, const char *address)
{
	bool is_listen = strcmp(asked->name, "listen") == 0;

	setup_change(asked->setup, "%s = %s", asked->name, is_listen ? address : "auto");
}

static void tell_taken(const struct asked *asked, const struct http_place *place)
{
	bool is_unix = strncmp(place->address, "unix:", 5) == 0;
	struct setup *setup = asked->setup;
	struct process process;

	if (place->inode == 0 || !process_of_socket(place->inode, &process)) {
		setup_find(setup, setup->running_pid != 0 ? SETUP_OK : SETUP_WARNING,
			"port", "somebody listens on %s%s; who it is shows with sudo",
			place->address,
			setup->running_pid != 0 ? ", as the running tallyd should" : "");
		setup_change(setup, "sudo tallyctl doctor%s", setup->config_option);
	} else if (process.pid == setup->running_pid) {
		setup_find(
			setup, SETUP_OK, "port", "tallyd listens on %s", place->address);
	} else {
		setup_find(setup, SETUP_PROBLEM, "port",
			"%s is used by another program, %s with pid %ld: end that one, "
			"or take another port",
			place->address, process.name, process.pid);
		setup_change(
			setup, "ss -l%cnp   # who listens where", is_unix ? 'x' : 't');
		change_address(asked, "127.0.0.1:3001");
	}
}

static void on_place(void *arg, const struct http_place *place)
{
	const struct asked *asked = arg;
	struct setup *setup = asked->setup;

	if (place->is_taken) {
		tell_taken(asked, place);
	} else if (place->cause == EADDRNOTAVAIL) {
		setup_find(setup, SETUP_PROBLEM, "port",
			"%s: this machine has no such address", place->address);
		setup_change(setup, "ip -brief address   # those that it has");
		change_address(asked, "127.0.0.1:3000");
	} else if (place->cause != 0) {
		setup_find(setup, SETUP_PROBLEM, "port", "%s cannot be listened on: %s",
			place->address, strerror(place->cause));
		change_address(asked, "127.0.0.1:3000");
	} else if (setup->running_pid != 0) {
		setup_find(setup, SETUP_PROBLEM, "port",
			"tallyd runs, but nobody listens on %s: it is still starting, or "
			"stopping, or was started with another configuration; its log "
			"says which",
			place->address);
		setup_change(setup, "journalctl -u tallyd -n 20");
		if (!setup->is_endangered)
			setup_change(setup,
				"systemctl restart tallyd   # if it was started with "
				"another one");
	} else {
		setup_find(setup, SETUP_OK, "port", "%s is free", place->address);
	}
}

static void look_at(struct setup *setup, const char *name, const char *list)
{
	struct asked asked = {setup, name};
	struct errmsg msg;

	if (http_look_at(list, on_place, &asked, &msg) == 0)
		return;
	setup_find(setup, SETUP_PROBLEM, "port", "%s", msg.text);
	change_address(&asked, "127.0.0.1:3000");
}

void setup_check_ports(struct setup *setup)
{
	const struct resolved *resolved = &setup->config->resolved;
	const struct {
		const char *name, *path;
	} sockets[] = {{"admin_socket", resolved->admin_socket},
		{"read_socket", resolved->read_socket}};
	char address[160];

	look_at(setup, "listen", setup->config->listen);
	for (size_t i = 0; i < 2; i++) {
		if (sockets[i].path == NULL)
			continue;
		(void)snprintf(address, sizeof(address), "unix:%s", sockets[i].path);
		look_at(setup, sockets[i].name, address);
	}
}
