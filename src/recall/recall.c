/*
 * The three tables, the tapes and their caps, as the configuration has them. Owns them; what is in
 * them and under which key is the business of the file that names them.
 */
#include "recall/recall.h"

#include "conf/config.h"

static struct ar_recall_limits signature_limits(const struct ar_config *c)
{
    return (struct ar_recall_limits){c->recall_signatures, c->recall_signature_memory,
                                     c->recall_signature_age};
}

static struct ar_recall_limits response_limits(const struct ar_config *c)
{
    return (struct ar_recall_limits){c->recall_responses, c->recall_response_memory,
                                     c->recall_response_age};
}

/* An entry is small and of one size: its bytes need no option. */
static struct ar_recall_limits account_limits(const struct ar_config *c)
{
    enum { ENTRY_BYTES = 512 };
    return (struct ar_recall_limits){c->recall_accounts, c->recall_accounts * ENTRY_BYTES,
                                     c->recall_response_age};
}

void ar_recall_init(struct ar_recall *r, const struct ar_config *c)
{
    struct ar_recall_limits s = signature_limits(c), k = response_limits(c), a = account_limits(c);
    r->signatures = ar_recall_table_new(&s);
    r->responses = ar_recall_table_new(&k);
    r->accounts = ar_recall_table_new(&a);
    r->tapes = ar_tapes_new(c->recall_response_memory);
}

void ar_recall_reload(struct ar_recall *r, const struct ar_config *c)
{
    struct ar_recall_limits s = signature_limits(c), k = response_limits(c), a = account_limits(c);
    ar_recall_table_set_limits(r->signatures, &s);
    ar_recall_table_set_limits(r->responses, &k);
    ar_recall_table_set_limits(r->accounts, &a);
    ar_tapes_set_limit(r->tapes, c->recall_response_memory);
}

bool ar_recall_run_begin(struct ar_recall *r, int64_t most)
{
    if (atomic_fetch_add_explicit(&r->runs, 1, memory_order_relaxed) < most) {
        return true;
    }
    ar_recall_run_end(r);
    return false;
}

void ar_recall_run_end(struct ar_recall *r)
{
    atomic_fetch_sub_explicit(&r->runs, 1, memory_order_relaxed);
}

int64_t ar_recall_runs(struct ar_recall *r)
{
    return atomic_load_explicit(&r->runs, memory_order_relaxed);
}

void ar_recall_done(struct ar_recall *r)
{
    ar_recall_table_free(r->signatures);
    ar_recall_table_free(r->responses);
    ar_recall_table_free(r->accounts);
    ar_tapes_free(r->tapes);
    *r = (struct ar_recall){.tapes = NULL};
}
