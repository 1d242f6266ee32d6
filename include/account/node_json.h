/* What is shown of a node: in answers, in the audit, and of the journal. */
#ifndef TALLYD_ACCOUNT_NODE_JSON_H
#define TALLYD_ACCOUNT_NODE_JSON_H

#include "account/nodes.h"
#include "base/json.h"

/* Without its secret, of which is only told that it is there. The caller's; NULL if
 * memory is short. */
cJSON *node_to_json(const char *name, const struct node_kept *kept);

#endif
