/*
 * Everything here blocks: the loop does not run yet. What a crash or corruption left
 * behind is moved into a folder of its own before the new segment is begun, never
 * deleted.
 */
#include "pipeline/recover.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "journal/fold.h"
#include "journal/kept.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <time.h>

static int apply_command(struct ledger *ledger, struct record *record)
{
	int code = ledger_prepare_command(ledger, record->command);

	if (code == 0)
		ledger_apply_command(ledger, record->command, &record->origin);
	else
		ledger_forget_command(record->command);
	return code;
}

static int apply_record(void *arg, struct record *record)
{
	struct ledger *ledger = arg;
	int code;

	if (record->command != NULL)
		return apply_command(ledger, record);
	code = ledger_is_overloaded(ledger)
		? ERR_NOMEM
		: ledger_prepare(ledger, record->node, &record->bookings);
	if (code == 0)
		ledger_apply(ledger, &record->bookings, &record->origin);
	return code;
}

/* One of each record: where there are many, ledger_prepare() looks ahead itself. */
static void look_ahead(void *arg, const struct record *records, size_t n)
{
	const char *ids[FOLD_AHEAD];
	size_t n_ids = 0;

	_Static_assert(FOLD_AHEAD <= USERS_AHEAD, "they are fetched in one go");
	for (size_t i = 0; i < n; i++)
		if (records[i].bookings.n > 0)
			ids[n_ids++] = records[i].bookings.list[0].client;
	ledger_fetch_users(arg, ids, n_ids);
}

static void sleep_ms(uint64_t ms)
{
	struct timespec time = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		;
}

static bool is_passing(int code)
{
	return code == ERR_STORE_BUSY || code == ERR_STORE_UNKNOWN ||
		code == ERR_STORE_FULL || code == ERR_STORE_IO;
}

/* The cut stays the same over the retries, so a COMMIT of unknown outcome is found out.
 */
int recover_checkpoint(struct store *store, struct ledger *ledger,
	const struct recover_options *options, struct errmsg *ret_msg)
{
	struct cut *cut = ledger_cut(ledger);
	struct store_result result;
	uint64_t delay = options->retry_delay_ms;
	int code;

	if (cut == NULL)
		return err_set(ret_msg, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
	for (unsigned retry = 0;; retry++, delay *= 2) {
		code = store_commit(store, cut, &result);
		if (code == 0 || !is_passing(code) || retry == options->max_retries)
			break;
		log_warn("checkpoint failed: tried again",
			"error=%s retry=%u delay_ms=%" PRIu64,
			LOG_QUOTE(result.error.text), retry + 1, delay);
		sleep_ms(delay);
	}
	if (code != 0) {
		ledger_forget_cut(cut);
		return err_set(ret_msg, code,
			"the journal cannot be written into the database: %s",
			result.error.text);
	}
	ledger_cut_committed(ledger, cut);
	return 0;
}

/* What is broken is kept with all that was beside it. */
static bool should_keep(void *arg, uint64_t number)
{
	(void)number;
	return *(const bool *)arg;
}

static void report_fold(const struct fold_result *result, uint64_t applied_seq)
{
	if (result->is_cut)
		log_warn("journal ends as after a crash", "where=%s last_seq=%" PRIu64,
			LOG_QUOTE(result->remark.text), result->last_seq);
	if (result->n_lost > 0)
		log_warn("journal salvaged around broken places",
			"places=%zu last_place=%s", result->n_lost,
			LOG_QUOTE(result->remark.text));
	log_info("journal folded",
		"records=%zu applied_seq=%" PRIu64 " last_seq=%" PRIu64,
		result->n_records, applied_seq, result->last_seq);
}

/* SQLite first, then what is above applied_seq. */
static int load_and_fold(int dir_fd, struct store *store, struct ledger *ledger,
	const struct recover_options *options, struct fold_result *result,
	struct errmsg *msg)
{
	struct fold_options fold = {
		.does_salvage = options->does_salvage, .on_ahead = look_ahead};
	int code = options->is_lean ? store_load_lean(store, ledger, msg)
				    : store_load(store, ledger, msg);

	if (code != 0)
		return code;
	fold.after_seq = ledger_seq(ledger);
	code = journal_fold(dir_fd, &fold, apply_record, ledger, result, msg);
	if (code == 0)
		report_fold(result, fold.after_seq);
	return code;
}

/* Where memory is used up, some is left to say so: what was put aside before. */
#define RESERVE_BYTES (4 << 20)

static int load_with_reserve(int dir_fd, struct store *store, struct ledger *ledger,
	const struct recover_options *options, struct fold_result *result,
	struct errmsg *msg)
{
	void *reserve = mmap(NULL, RESERVE_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int code = load_and_fold(dir_fd, store, ledger, options, result, msg);

	if (reserve != MAP_FAILED)
		(void)munmap(reserve, RESERVE_BYTES); /* it is ours */
	if (code == ERR_NOMEM)
		store_explain_shortage(store, ledger, msg);
	return code;
}

int recover(int dir_fd, struct store *store, struct ledger *ledger,
	const struct recover_options *options, struct recovered *ret_recovered,
	struct errmsg *ret_msg)
{
	struct fold_result result = {0};
	bool is_broken;
	int code = load_with_reserve(dir_fd, store, ledger, options, &result, ret_msg);

	if (code != 0)
		return code;
	if (ledger_seq(ledger) != ledger_applied_seq(ledger))
		code = recover_checkpoint(store, ledger, options, ret_msg);
	is_broken = result.is_cut || result.n_lost > 0;
	if (code == 0)
		code = kept_clear(dir_fd, should_keep, &is_broken, ret_msg);
	if (code != 0)
		return code;
	/* No segment is left: their numbers begin anew long before one is refused. */
	if (result.last_number > NUMBER_MAX / 2)
		result.last_number = 0;
	*ret_recovered = (struct recovered){.seq = ledger_seq(ledger),
		.last_number = result.last_number,
		.n_records = result.n_records,
		.n_lost = result.n_lost,
		.lost_records = result.lost_records};
	return 0;
}
