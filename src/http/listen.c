#include "base/log.h"
#include "http/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 512

static int parse_unix(
	const char *path, union address *address, socklen_t *ret_len, struct errmsg *msg)
{
	if (path[0] != '/' || strlen(path) >= sizeof(address->un.sun_path))
		return err_set(msg, ERR_LISTEN,
			"`unix:%s`: an absolute path of at most %zu bytes is expected",
			path, sizeof(address->un.sun_path) - 1);
	address->un.sun_family = AF_UNIX;
	(void)strcpy(address->un.sun_path, path);
	*ret_len = sizeof(address->un);
	return 0;
}

/* Numbers only: a name could mean another address tomorrow. */
static int parse_inet(
	const char *text, union address *address, socklen_t *ret_len, struct errmsg *msg)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char host[64];
	const char *colon = strrchr(text, ':');
	size_t len = colon != NULL ? (size_t)(colon - text) : 0;
	bool has_brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';
	long port = colon != NULL ? strtol(colon + 1, NULL, 10) : 0;

	if (has_brackets) {
		text++;
		len -= 2;
	}
	if (len == 0 || len >= sizeof(host) || port < 1 || port > 65535 ||
		(memchr(text, ':', len) != NULL && !has_brackets))
		goto bad;
	memcpy(host, text, len);
	host[len] = '\0';
	if (getaddrinfo(strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, colon + 1,
		    &hints, &found) != 0)
		goto bad;
	memcpy(address, found->ai_addr, found->ai_addrlen);
	*ret_len = found->ai_addrlen;
	freeaddrinfo(found);
	return 0;
bad:
	return err_set(msg, ERR_LISTEN,
		"`%s` is none of ADDRESS:PORT, [ADDRESS]:PORT and unix:/PATH", text);
}

int listen_parse(
	const char *text, union address *address, socklen_t *ret_len, struct errmsg *msg)
{
	memset(address, 0, sizeof(*address));
	if (strncmp(text, "unix:", 5) == 0)
		return parse_unix(text + 5, address, ret_len, msg);
	return parse_inet(text, address, ret_len, msg);
}

int listen_for_each(const char *list,
	int (*use)(void *arg, const char *text, struct errmsg *msg), void *arg,
	struct errmsg *msg)
{
	char *copy = strdup(list), *rest = copy, *text;
	int code = copy == NULL ? err_set(msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM)) : 0;
	size_t n = 0;

	while (code == 0 && (text = strsep(&rest, ", ")) != NULL) {
		if (*text == '\0')
			continue;
		if (++n > MAX_LISTENERS)
			code = err_set(msg, ERR_LISTEN,
				"at most %d addresses can be listened on", MAX_LISTENERS);
		else
			code = use(arg, text, msg);
	}
	free(copy);
	if (code == 0 && n == 0)
		code = err_set(msg, ERR_LISTEN, "no address is given");
	return code;
}

static int check_one(void *arg, const char *text, struct errmsg *msg)
{
	union address address;
	socklen_t len = 0;

	(void)arg;
	return listen_parse(text, &address, &len, msg);
}

int http_check_listen(const char *listen, struct errmsg *ret_msg)
{
	return listen_for_each(listen, check_one, NULL, ret_msg);
}

/* A socket file that nobody answers on was left by a process that is gone. */
static int remove_stale_socket(const union address *address, socklen_t len)
{
	struct stat st;
	int fd, is_stale;

	if (lstat(address->un.sun_path, &st) != 0)
		return 0;
	if (!S_ISSOCK(st.st_mode)) {
		errno = EEXIST;
		return -1;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	is_stale =
		fd >= 0 && connect(fd, &address->any, len) != 0 && errno == ECONNREFUSED;
	if (fd >= 0)
		(void)close(fd); /* was only a question */
	if (!is_stale) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(address->un.sun_path);
}

/* `mode`: of a unix socket's file, from its first moment on (Linux takes it from the
 * socket); 0: as umask wants it. */
static int bind_one(const union address *address, socklen_t len, mode_t mode)
{
	int family = address->any.sa_family, one = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	/* Without these it works as well, only less comfortably. */
	if (family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (mode != 0)
		(void)fchmod(fd, mode); /* cannot fail on a socket of ours */
	if ((family == AF_UNIX && remove_stale_socket(address, len) != 0) ||
		bind(fd, &address->any, len) != 0 || listen(fd, BACKLOG) != 0) {
		int cause = errno;

		(void)close(fd); /* nothing was sent on it */
		errno = cause;
		return -1;
	}
	return fd;
}

/* Takes a place in the table; on failure there is none. */
static int add_listener(struct http_server *server, const union address *address,
	socklen_t len, mode_t mode, enum http_entrance entrance)
{
	bool is_unix = address->any.sa_family == AF_UNIX;
	struct listener *listener = &server->listeners[server->n_listeners];
	char *path = is_unix ? strdup(address->un.sun_path) : NULL;

	if (is_unix && path == NULL)
		return -1;
	listener->fd = bind_one(address, len, mode);
	if (listener->fd < 0) {
		free(path);
		return -1;
	}
	listener->server = server;
	listener->unlink_path = path;
	listener->entrance = entrance;
	server->n_listeners++;
	return 0;
}

static int open_one(void *arg, const char *text, struct errmsg *msg)
{
	union address address;
	socklen_t len = 0;
	int code = listen_parse(text, &address, &len, msg);

	if (code != 0)
		return code;
	if (add_listener(arg, &address, len, 0, ENTRANCE_LISTEN) != 0)
		return err_set(msg, ERR_LISTEN, "%s: %m", text);
	/* As the directory allows; who may reach the socket may report. */
	if (address.any.sa_family == AF_UNIX)
		(void)chmod(address.un.sun_path, 0660);
	log_info("listening", "address=%s", LOG_QUOTE(text));
	return 0;
}

/* Lets the group in, where there is one and it is ours to give. */
static bool let_in(const char *path, const char *group)
{
	const struct group *entry = getgrnam(group);

	return entry != NULL && chown(path, (uid_t)-1, entry->gr_gid) == 0 &&
		chmod(path, 0660) == 0;
}

/* A socket whose file's mode is the right: who can open it has what it stands for. */
static int open_private(struct http_server *server, const char *path,
	enum http_entrance entrance, struct errmsg *msg)
{
	bool is_admin = entrance == ENTRANCE_ADMIN;
	const char *group = is_admin ? "tallyd-admin" : "tallyd-read";
	union address address = {.un = {.sun_family = AF_UNIX}};
	socklen_t len = 0;
	int code;

	if (path == NULL)
		return 0;
	code = parse_unix(path, &address, &len, msg);
	if (code != 0)
		return code;
	if (add_listener(server, &address, len, 0600, entrance) != 0)
		return err_set(msg, ERR_LISTEN, "%s_socket: %s: %m",
			is_admin ? "admin" : "read", path);
	if (let_in(path, group))
		log_info("listening", "address=%s for=%s mode=0660 group=%s",
			LOG_QUOTE(path), is_admin ? "admin" : "read", group);
	else
		log_info("listening", "address=%s for=%s mode=0600", LOG_QUOTE(path),
			is_admin ? "admin" : "read");
	return 0;
}

int listen_open(struct http_server *server, struct errmsg *msg)
{
	const struct http_config *config = &server->config;
	int code = listen_for_each(config->listen, open_one, server, msg);

	if (code == 0)
		code = open_private(server, config->admin_socket, ENTRANCE_ADMIN, msg);
	if (code == 0)
		code = open_private(server, config->read_socket, ENTRANCE_READ, msg);
	return code;
}

void listen_close(struct http_server *server)
{
	for (size_t i = 0; i < server->n_listeners; i++) {
		struct listener *listener = &server->listeners[i];

		if (listener->fd >= 0)
			(void)close(listener->fd); /* a listening socket holds no bytes */
		listener->fd = -1;
		if (listener->unlink_path != NULL)
			(void)unlink(
				listener->unlink_path); /* the next start would do it */
		free(listener->unlink_path);
		listener->unlink_path = NULL;
	}
}
