/* What the gateway remembers of its callers, each for himself: thinking signatures of tool calls,
 * stored responses and conversations, and which account an upstream's id belongs to. In memory
 * only: a restart forgets it. Shared by all workers: any thread. */
#ifndef AR_RECALL_RECALL_H
#define AR_RECALL_RECALL_H

#include "recall/table.h"
#include "recall/tapes.h"

#include <stdatomic.h>

struct ar_config;
struct ar_recall {
    struct ar_recall_table *signatures; /* recall/signatures.h */
    struct ar_recall_table *responses;  /* recall/responses.h */
    struct ar_recall_table *accounts;   /* recall/accounts.h */
    struct ar_tapes *tapes;             /* recall/tapes.h */
    atomic_llong runs;                  /* without a client, that go on; relaxed */
};

void ar_recall_init(struct ar_recall *r, const struct ar_config *c);
/* New caps, from now on. */
void ar_recall_reload(struct ar_recall *r, const struct ar_config *c);
/* One run more, if there are fewer than most; false: there are not. Given back by run_end. */
bool ar_recall_run_begin(struct ar_recall *r, int64_t most);
void ar_recall_run_end(struct ar_recall *r);
int64_t ar_recall_runs(struct ar_recall *r);
void ar_recall_done(struct ar_recall *r); /* a zeroed one is fine */

#endif
