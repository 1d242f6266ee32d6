/* --help: of the program, of a family of verbs, of a verb. All of it comes from the
 * table. */
#ifndef TALLYD_CTL_HELP_H
#define TALLYD_CTL_HELP_H

#include <stdio.h>

struct args;

/* That of what `args` names, as far as it goes. */
void help_print(const struct args *args, FILE *out);

#endif
