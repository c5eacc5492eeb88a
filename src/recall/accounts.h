/* Which account made an id (PROTOCOLS 6.10): ids of an upstream's own state go back to the upstream
 * and key that gave them. Any thread. */
#ifndef AR_RECALL_ACCOUNTS_H
#define AR_RECALL_ACCOUNTS_H

#include "base/arena.h"
#include "recall/table.h"

struct ar_account_of {
    struct ar_str upstream, key_print; /* names as in a candidate; key_print empty: no secret */
};
void ar_accounts_put(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, const struct ar_account_of *of, int64_t now_ms);
/* Arena. false: not known, or another caller's. */
bool ar_accounts_get(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, struct ar_arena *a, int64_t now_ms,
                     struct ar_account_of *ret);

#endif
