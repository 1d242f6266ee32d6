/*
 * An address is tried by binding it, which a daemon that starts at that moment does not
 * notice: only who listens is in the way (SO_REUSEADDR). Who that is stands in
 * /proc/net: the inode of the socket, by which its process can be found.
 */
#include "http/places.h"
#include "http/listen.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_LISTEN 0x0a
#define ACCEPTS_CONNECTIONS 0x10000 /* __SO_ACCEPTCON */
#define HEX_BYTES 33

struct looking {
	void (*on_place)(void *arg, const struct http_place *place);
	void *arg;
};

/* As the kernel prints it: four bytes at a time. */
static void to_hex(const union address *address, char hex[HEX_BYTES], unsigned *ret_port)
{
	const uint32_t *words = address->in6.sin6_addr.s6_addr32;

	if (address->any.sa_family == AF_INET) {
		(void)snprintf(
			hex, HEX_BYTES, "%08X", (unsigned)address->in.sin_addr.s_addr);
		*ret_port = ntohs(address->in.sin_port);
	} else {
		(void)snprintf(hex, HEX_BYTES, "%08X%08X%08X%08X", words[0], words[1],
			words[2], words[3]);
		*ret_port = ntohs(address->in6.sin6_port);
	}
}

static bool is_any(const char *hex)
{
	return strspn(hex, "0") == strlen(hex);
}

/* A line of /proc/net/tcp or tcp6; the inode of who listens where that would be in the
 * way, or 0. */
static uint64_t inode_in_line(const char *line, const char *hex, unsigned port)
{
	char local[HEX_BYTES];
	unsigned their_port, state;
	uint64_t inode;

	if (sscanf(line,
		    "%*u: %32[0-9A-F]:%4X %*[0-9A-F]:%*4X %2X %*X:%*X %*X:%*X %*X %*u "
		    "%*u %" SCNu64,
		    local, &their_port, &state, &inode) != 4 ||
		state != STATE_LISTEN || their_port != port)
		return 0;
	return strcmp(local, hex) == 0 || is_any(local) || is_any(hex) ? inode : 0;
}

static uint64_t find_inet(const union address *address)
{
	static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	char hex[HEX_BYTES], line[512];
	uint64_t inode = 0;
	unsigned port;

	to_hex(address, hex, &port);
	for (size_t i = 0; i < 2 && inode == 0; i++) {
		FILE *table = fopen(tables[i], "re");

		while (table != NULL && inode == 0 &&
			fgets(line, sizeof(line), table) != NULL)
			inode = inode_in_line(line, hex, port);
		if (table != NULL)
			(void)fclose(table); /* only read from */
	}
	return inode;
}

/* The inode of who listens on a socket file; 0: nobody does. */
static uint64_t find_unix(const char *path)
{
	FILE *table = fopen("/proc/net/unix", "re");
	uint64_t inode = 0, their_inode;
	char line[512];
	unsigned flags;
	int at;

	while (table != NULL && inode == 0 && fgets(line, sizeof(line), table) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (sscanf(line, "%*x: %*x %*x %x %*x %*x %" SCNu64 " %n", &flags,
			    &their_inode, &at) == 2 &&
			(flags & ACCEPTS_CONNECTIONS) != 0 &&
			strcmp(line + at, path) == 0)
			inode = their_inode;
	}
	if (table != NULL)
		(void)fclose(table); /* only read from */
	return inode;
}

/* 0, or why it cannot be bound. */
static int try_inet(const union address *address, socklen_t len)
{
	int one = 1, cause = 0;
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno;
	/* As bind_one() in listen.c has it. */
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (address->any.sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, &address->any, len) != 0)
		cause = errno;
	(void)close(fd); /* was only a question */
	return cause;
}

/* What is left of a socket file when its process has gone is no hindrance. */
static int try_unix(const char *path)
{
	char folder[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	struct stat st;
	char *slash;

	if (lstat(path, &st) == 0)
		return S_ISSOCK(st.st_mode) ? 0 : EEXIST;
	(void)snprintf(folder, sizeof(folder), "%s", path);
	slash = strrchr(folder, '/');
	slash[slash == folder] = '\0';
	return stat(folder, &st) == 0 ? 0 : errno;
}

static int look_at_one(void *arg, const char *text, struct errmsg *msg)
{
	const struct looking *looking = arg;
	struct http_place place = {.address = text};
	union address address;
	socklen_t len = 0;
	int code = listen_parse(text, &address, &len, msg);

	if (code != 0)
		return code;
	if (address.any.sa_family == AF_UNIX) {
		place.inode = find_unix(address.un.sun_path);
		place.is_taken = place.inode != 0;
		place.cause = place.is_taken ? 0 : try_unix(address.un.sun_path);
	} else {
		place.cause = try_inet(&address, len);
		place.is_taken = place.cause == EADDRINUSE;
		place.inode = place.is_taken ? find_inet(&address) : 0;
	}
	looking->on_place(looking->arg, &place);
	return 0;
}

int http_look_at(const char *listen,
	void (*on_place)(void *arg, const struct http_place *place), void *arg,
	struct errmsg *ret_msg)
{
	struct looking looking = {on_place, arg};

	return listen_for_each(listen, look_at_one, &looking, ret_msg);
}
