/*
 * The two ways to read a report. What GOST writes is read in one pass; cJSON decides what
 * everything else means, and would decide the same of that. For report_parse() and tests.
 */
#ifndef TALLYD_ACCOUNT_REPORT_READ_H
#define TALLYD_ACCOUNT_REPORT_READ_H

#include "account/report.h"

/*
 * True: *ret_report is the whole report, without rejects. False: it is not plain, or
 * memory is short, and *ret_report is untouched.
 *
 * Plain is: {"events":[...]} of events that can all be booked, with the members of GOST
 * (go-gost/x, observer/plugin/http.go) and no others, each at most once, in any order;
 * any blanks; strings without a backslash; counters of digits alone; null for what is
 * absent.
 */
bool report_read_plain(const char *body, size_t len, struct report *ret_report);

/* As report_parse(). */
int report_read_json(const char *body, size_t len, struct report *ret_report) MUST_CHECK;

#endif
