/*
 * One small memo an id: the upstream's name and the fingerprint of the key. Names, not pointers: a
 * reload may take the upstream away, and then the id is simply nobody's.
 */
#include "recall/accounts.h"

#include "recall/pack.h"

enum { KIND = 'a' };

void ar_accounts_put(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, const struct ar_account_of *of, int64_t now_ms)
{
    if (ar_recall_is_on(t)) {
        struct ar_recall_key key = ar_recall_key(tenant, KIND, id);
        struct ar_str fields[] = {of->upstream, of->key_print};
        (void)ar_recall_put(t, &key, ar_pack(fields, 2), now_ms);
    }
}

bool ar_accounts_get(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, struct ar_arena *a, int64_t now_ms,
                     struct ar_account_of *ret)
{
    struct ar_recall_key key = ar_recall_key(tenant, KIND, id);
    struct ar_memo *m = ar_recall_get(t, &key, now_ms);
    struct ar_str rest, upstream, print;
    if (!m) {
        return false;
    }
    rest = ar_memo_view(m);
    bool good = ar_unpack(&rest, &upstream) && ar_unpack(&rest, &print);
    if (good) {
        ret->upstream = ar_arena_copy(a, upstream);
        ret->key_print = ar_arena_copy(a, print);
    }
    ar_memo_free(m);
    return good && ret->upstream.p && ret->key_print.p;
}
