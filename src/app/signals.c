/*
 * What each signal does. Nobody outside means to end tallyd without its last flush: what
 * would do that stops it as SIGTERM does, or is ignored. What a fault of its own raises
 * (SIGSEGV, SIGABRT, SIGTRAP, ...) ends it at once, as SIGKILL does; the terminal's
 * SIGTSTP suspends it.
 */
#include "app/tree.h"

#include <signal.h>

struct heeded {
	int number;
	const char *name;
	bool does_reload; /* else it stops */
};

static const struct heeded heeded[APP_SIGNALS] = {
	{SIGTERM, "SIGTERM", false},
	{SIGINT, "SIGINT", false},
	{SIGQUIT, "SIGQUIT", false}, /* would leave a core file, with what is secret */
	{SIGPWR, "SIGPWR", false},
	{SIGXCPU, "SIGXCPU", false}, /* the hard limit's SIGKILL comes next */
	{SIGHUP, "SIGHUP", true},
};

static const int ignored[] = {
	SIGUSR1,
	SIGUSR2,
	SIGALRM,
	SIGVTALRM,
	SIGPROF,
	SIGIO,
	SIGPIPE,
	SIGXFSZ, /* the write tells */
#ifdef SIGSTKFLT
	SIGSTKFLT,
#endif
};

void app_prepare_signals(void)
{
	sigset_t waiting;

	/* None of these can fail with these numbers. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	for (int number = SIGRTMIN; number <= SIGRTMAX; number++)
		(void)signal(number, SIG_IGN);
	/* They wait for the loop; a start may be ended by SIGTERM and SIGINT anywhere. */
	(void)sigemptyset(&waiting);
	for (size_t i = 0; i < APP_SIGNALS; i++)
		if (heeded[i].number != SIGTERM && heeded[i].number != SIGINT)
			(void)sigaddset(&waiting, heeded[i].number);
	(void)pthread_sigmask(SIG_BLOCK, &waiting, NULL);
}

static void on_signal(uv_signal_t *handle, int number)
{
	const struct app *app = handle->data;
	size_t i = 0;

	if (app->closing > 0)
		return; /* what it would need may be gone */
	while (heeded[i].number != number)
		i++;
	if (heeded[i].does_reload)
		app_reload(handle->data);
	else
		app_stop(handle->data, heeded[i].name);
}

void app_start_signals(struct app *app)
{
	sigset_t heeded_set;

	(void)sigemptyset(&heeded_set);
	for (size_t i = 0; i < APP_SIGNALS; i++) {
		(void)uv_signal_init(
			&app->loop, &app->signals[i]); /* only fails without memory */
		app->signals[i].data = app;
		(void)uv_signal_start(&app->signals[i], on_signal, heeded[i].number);
		(void)sigaddset(&heeded_set, heeded[i].number);
	}
	app->has_signals = true;
	(void)pthread_sigmask(SIG_UNBLOCK, &heeded_set, NULL);
}
