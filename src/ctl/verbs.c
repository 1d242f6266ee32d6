#include "ctl/verbs.h"

#include <string.h>

const struct verb *verb_rows(void)
{
	static const struct verb rows[] = {
		{"status", "", "shows how the daemon is doing", status_show, NULL},
		{"doctor", "", "looks for what is wrong, and says what to change",
			doctor_run, doctor_options},
		{"node list", "", "lists the nodes", node_list, NULL},
		{"node show", "NODE", "shows one node", node_show, NULL},
		{"node add", "NAME", "makes a node; shows its secret, once", node_add,
			node_add_options},
		{"node set", "NODE", "changes what is kept of a node", node_set,
			node_set_options},
		{"node secret", "NODE", "gives a node a new secret", node_secret,
			node_secret_options},
		{"node rm", "NODE", "deletes a node: its reports are refused", node_rm,
			node_rm_options},
		{"node close", "", "from now on only nodes with a secret may report",
			node_close, node_gate_options},
		{"node open", "", "lets nodes without a secret report again", node_open,
			node_gate_options},
		{0},
	};

	return rows;
}

const struct verb_option *verb_common_options(void)
{
	static const struct verb_option rows[] = {
		{"socket", "FILE", "the daemon's admin socket"},
		{"url", "URL", "the daemon's address, http:// or https://"},
		{"token-file", "FILE", "file that holds the token, for --url"},
		{"json", NULL, "print the daemon's answer as it is, for programs"},
		{"help", NULL, "show this and exit"},
		{"version", NULL, "show the version and exit"},
		{0},
	};

	return rows;
}

static const struct verb_option *find(
	const struct verb_option *rows, const char *name, size_t len)
{
	for (; rows->name != NULL; rows++)
		if (strlen(rows->name) == len && memcmp(rows->name, name, len) == 0)
			return rows;
	return NULL;
}

const struct verb_option *verb_find_option(
	const struct verb *verb, const char *name, size_t len)
{
	const struct verb_option *option = find(verb_common_options(), name, len);

	if (option == NULL && verb != NULL && verb->options != NULL)
		option = find(verb->options(), name, len);
	return option;
}
