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
		{"GET", "/refusals", api_refusals, RIGHT_READ, 0, NULL, NULL},
		{"POST", "/force-sync", api_force_sync, RIGHT_ADMIN,
			HTTP_MAY_WAIT | HTTP_LIKE_READ, NULL, NULL},
		{"GET", "/users/{}/traffic", api_user_traffic, RIGHT_READ, 0, NULL, NULL},
		{"GET", "/livez", api_livez, RIGHT_ANYBODY, 0, NULL, NULL},
		{"GET", "/healthz", api_livez, RIGHT_ANYBODY, 0, NULL, NULL},
		{"GET", "/readyz", api_readyz, RIGHT_ANYBODY, HTTP_ANSWERS_LESS, NULL,
			NULL},
		{"GET", "/version", api_version, RIGHT_READ, 0, NULL, NULL},
		{"GET", "/nodes", api_nodes, RIGHT_READ, 0, "after", NULL},
		{"POST", "/nodes", api_command, RIGHT_ADMIN, 0, NULL, "node.create"},
		{"POST", "/nodes/close", api_command, RIGHT_ADMIN, 0, NULL, "node.close"},
		{"POST", "/nodes/open", api_command, RIGHT_ADMIN, 0, NULL, "node.open"},
		{"POST", "/nodes/{}/secret", api_command, RIGHT_ADMIN, 0, NULL,
			"node.secret"},
		{"GET", "/nodes/{}", api_node, RIGHT_READ, 0, NULL, NULL},
		{"PATCH", "/nodes/{}", api_command, RIGHT_ADMIN, 0, NULL, "node.set"},
		{"DELETE", "/nodes/{}", api_command, RIGHT_ADMIN, 0, NULL, "node.delete"},
		{NULL, NULL, NULL, RIGHT_ANYBODY, 0, NULL, NULL},
	};

	return routes;
}
