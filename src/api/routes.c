#include "api/api.h"

#include <stddef.h>

/* method, path, handler, right, flags, params, data: see http/server.h. */
const struct http_route *api_routes(void)
{
	static const struct http_route routes[] = {
		{"POST", "/observer", api_observer, RIGHT_REPORT, 0, "node,counters",
			NULL},
		{"GET", "/throttle-sync-status", api_status, RIGHT_READ,
			HTTP_ANSWERS_LESS, NULL, NULL},
		{"POST", "/force-sync", api_force_sync, RIGHT_ADMIN,
			HTTP_MAY_WAIT | HTTP_LIKE_READ, NULL, NULL},
		{"GET", "/users/{}/traffic", api_user_traffic, RIGHT_READ, 0, NULL, NULL},
		{"GET", "/livez", api_livez, RIGHT_ANYBODY, 0, NULL, NULL},
		{"GET", "/healthz", api_livez, RIGHT_ANYBODY, 0, NULL, NULL},
		{"GET", "/readyz", api_readyz, RIGHT_ANYBODY, HTTP_ANSWERS_LESS, NULL,
			NULL},
		{"GET", "/version", api_version, RIGHT_READ, 0, NULL, NULL},
		{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL},
	};

	return routes;
}
