#include "account/command.h"
#include "account/internal.h"

int ledger_prepare_command(struct ledger *ledger, struct command *command)
{
	int code = audit_prepare(command);

	for (size_t i = 0; i < command->n_effects && code == 0; i++) {
		struct effect *effect = &command->effects[i];

		if (effect->kind != EFFECT_NODE)
			continue;
		effect->in_node = nodes_get(&ledger->nodes, effect->node);
		if (effect->in_node == NULL)
			code = ERR_NOMEM;
	}
	return code;
}

/* A node that was only prepared stays: it is unknown to whoever looks, and the next try
 * is for the same name. */
void ledger_forget_command(struct command *command)
{
	audit_forget(command);
}

static void apply(struct ledger *ledger, const struct effect *effect)
{
	switch (effect->kind) {
	case EFFECT_NODE:
		if (effect->in_node->kept.counters != effect->kept.counters)
			watch_forget_node(ledger, effect->node, false);
		nodes_set(&ledger->nodes, effect->in_node, &effect->kept);
		break;
	case EFFECT_FORGET_MARKS:
		services_forget_marks(ledger, effect->node);
		watch_forget_node(ledger, effect->node, true);
		break;
	case EFFECT_FORGET_NODE:
		services_forget_marks(ledger, effect->node);
		watch_forget_node(ledger, effect->node, true);
		services_lapse(ledger, effect->node);
		nodes_forget(&ledger->nodes, effect->node);
		break;
	case EFFECT_OPEN:
		nodes_set_open(&ledger->nodes, effect->is_open);
		break;
	}
}

void ledger_apply_command(
	struct ledger *ledger, const struct command *command, const struct origin *origin)
{
	for (size_t i = 0; i < command->n_effects; i++)
		apply(ledger, &command->effects[i]);
	audit_apply(&ledger->audit, command, origin);
	ledger->seq = origin->seq;
}
