/* What the files of doctor share. Nobody else includes this. */
#ifndef TALLYD_CTL_DOCTOR_H
#define TALLYD_CTL_DOCTOR_H

#include <cjson/cJSON.h>
#include <stdbool.h>

struct ctl;

struct doctor {
	const struct ctl *ctl;
	cJSON *findings, *answer; /* answer: the status as it came */
	const cJSON *status;      /* its data; NULL: there is none */
	cJSON *nodes;             /* a list; empty where they may not be seen */
	bool has_nodes;
	cJSON *looked_at; /* by --check-setup, see machine_look() */
};

/* Whether any node has reported, ever. */
bool doctor_has_reports(const struct doctor *doctor);

void doctor_show(const struct doctor *doctor);

#endif
