#include "base/fds.h"
#include "ctl/args.h"
#include "ctl/call.h"
#include "ctl/complete.h"
#include "ctl/ctl.h"
#include "ctl/help.h"
#include "ctl/mem.h"
#include "ctl/target.h"
#include "ctl/term.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What was printed counts only if it arrived. */
static int printed(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return 0;
	return ctl_fail(
		EXIT_STORAGE, "the output cannot be written: %s", strerror(errno));
}

static int run(const struct args *args)
{
	struct ctl ctl = {.args = args, .is_json = args_has(args, "json")};
	struct target target;
	struct errmsg msg;
	int code = target_find(args, &target, &msg);

	if (code != 0)
		return ctl_fail(code, "%s", msg.text);
	ctl.target = &target;
	ctl.call = call_new(&target, CALL_TIMEOUT_MS);
	code = args->verb->run(&ctl);
	call_free(ctl.call);
	explicit_bzero(&target, sizeof(target));
	return code;
}

static int execute(const struct args *args)
{
	if (args_has(args, "help"))
		help_print(args, stdout);
	else if (args_has(args, "version"))
		(void)puts("tallyctl " TALLYD_VERSION); /* see printed() */
	else
		return run(args);
	return 0;
}

static int misused(const struct args *args, const struct errmsg *msg)
{
	return ctl_fail(EXIT_USAGE, "%s; `tallyctl%s%s --help` tells more", msg->text,
		args->words[0] != '\0' ? " " : "", args->words);
}

int main(int argc, char **argv)
{
	struct args args = {0};
	struct errmsg msg;
	size_t n = argc > 0 ? (size_t)argc - 1 : 0;
	int code, printed_code;

	fds_open_standard();
	term_init();
	mem_init_json();
	if (n > 0 && strcmp(argv[1], "--complete") == 0) { /* config/tallyctl.bash */
		complete_print(n - 1, argv + 2, stdout);
		return 0;
	}
	code = args_read(&args, n, argv + 1, &msg);
	if (code == 0)
		code = args_check(&args, &msg);
	if (code != 0)
		return misused(&args, &msg);
	code = execute(&args);
	printed_code = printed();
	return code != 0 ? code : printed_code;
}
