/*
 * A stored response is one memo of five fields. Its chain is walked by ids, newest first, and
 * written oldest first from copies, so a chain that is evicted under way is whole or refused, never
 * half. Reading a chain makes all of it
 * recently used: a conversation that goes on is not forgotten from its beginning.
 */
#include "recall/responses.h"

#include "recall/pack.h"

enum { KIND = 'r', TALK = 'c', CHAIN_MAX = 1000, APPEND_TRIES = 100 };

static struct ar_memo *pack(const struct ar_kept *k)
{
    char state = (char)k->state;
    /* output is part of whole as a rule: only where it lies is kept then. */
    size_t at = k->output.p && k->whole.p && k->output.p >= k->whole.p &&
                        k->output.p + k->output.n <= k->whole.p + k->whole.n
                    ? (size_t)(k->output.p - k->whole.p)
                    : SIZE_MAX;
    size_t place[2] = {at, k->output.n};
    struct ar_str fields[] = {{&state, 1}, k->previous,
                              k->input,    {(const char *)place, sizeof place},
                              k->whole,    at == SIZE_MAX ? k->output : (struct ar_str){NULL, 0}};
    return ar_pack(fields, 6);
}

static bool unpack(struct ar_memo *m, struct ar_kept *ret)
{
    struct ar_str rest = ar_memo_view(m), f[6];
    size_t place[2];
    for (unsigned i = 0; i < 6; i++) {
        if (!ar_unpack(&rest, &f[i])) {
            return false;
        }
    }
    memcpy(place, f[3].p, sizeof place);
    *ret = (struct ar_kept){.state = (enum ar_kept_state)f[0].p[0],
                            .previous = f[1],
                            .input = f[2],
                            .output =
                                place[0] == SIZE_MAX ? f[5] : ar_str_n(f[4].p + place[0], place[1]),
                            .whole = f[4],
                            .memo = m};
    return true;
}

bool ar_kept_put(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 const struct ar_kept *k, int64_t now_ms)
{
    struct ar_recall_key key = ar_recall_key(tenant, KIND, id);
    return ar_recall_is_on(t) && ar_recall_put(t, &key, pack(k), now_ms);
}

bool ar_kept_replace(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, const struct ar_kept *seen, const struct ar_kept *k,
                     int64_t now_ms)
{
    struct ar_recall_key key = ar_recall_key(tenant, KIND, id);
    return ar_recall_is_on(t) && ar_recall_swap(t, &key, seen->memo, pack(k), now_ms);
}

bool ar_kept_get(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 int64_t now_ms, struct ar_kept *ret)
{
    struct ar_recall_key key = ar_recall_key(tenant, KIND, id);
    struct ar_memo *m = ar_recall_get(t, &key, now_ms);
    if (m && unpack(m, ret)) {
        return true;
    }
    ar_memo_free(m);
    return false;
}

void ar_kept_done(struct ar_kept *k)
{
    ar_memo_free(k->memo);
    *k = (struct ar_kept){.memo = NULL};
}

bool ar_kept_drop(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id)
{
    struct ar_recall_key key = ar_recall_key(tenant, KIND, id);
    return ar_recall_drop(t, &key);
}

static void put_items(struct ar_buf *out, struct ar_str items)
{
    if (items.n > 0) {
        if (out->n > 0) {
            ar_buf_char(out, ',');
        }
        ar_buf_str(out, items);
    }
}

/* The chain of id, newest first. *ret_n: how many were got, also on failure. */
static enum ar_code get_chain(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                              struct ar_str id, int64_t now_ms, struct ar_buf *chain)
{
    struct ar_kept k;
    while (id.n > 0) {
        if (!ar_kept_get(t, tenant, id, now_ms, &k)) {
            return AR_RESPONSE_NOT_FOUND;
        }
        ar_buf_put(chain, &k, sizeof k);
        if (ar_buf_finish(chain) != AR_OK) {
            ar_kept_done(&k);
            return AR_TOO_LARGE;
        }
        if (k.state == AR_KEPT_RUNNING) {
            return AR_INVALID_REQUEST;
        }
        id = k.previous;
    }
    return AR_OK;
}

static struct ar_kept kept_at(const struct ar_buf *chain, size_t i)
{
    struct ar_kept k;
    memcpy(&k, chain->p + i * sizeof k, sizeof k);
    return k;
}

enum ar_code ar_kept_chain(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                           struct ar_str id, struct ar_arena *a, int64_t now_ms, struct ar_buf *out,
                           struct ar_str *ret_missing)
{
    struct ar_buf chain;
    ar_buf_init(&chain, CHAIN_MAX * sizeof(struct ar_kept));
    enum ar_code code = get_chain(t, tenant, id, now_ms, &chain);
    size_t n = chain.n / sizeof(struct ar_kept);
    if (code == AR_RESPONSE_NOT_FOUND) {
        *ret_missing = n == 0 ? id : ar_arena_copy(a, kept_at(&chain, n - 1).previous);
    }
    for (size_t i = n; code == AR_OK && i > 0; i--) {
        struct ar_kept k = kept_at(&chain, i - 1);
        put_items(out, k.input);
        put_items(out, k.output);
    }
    for (size_t i = 0; i < n; i++) {
        struct ar_kept k = kept_at(&chain, i);
        ar_kept_done(&k);
    }
    ar_buf_done(&chain);
    return code == AR_OK ? ar_buf_finish(out) : code;
}

static struct ar_memo *pack_talk(const struct ar_talk *talk)
{
    struct ar_str fields[] = {talk->head, talk->whole};
    return ar_pack(fields, 2);
}

bool ar_talk_put(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 const struct ar_talk *talk, int64_t now_ms)
{
    struct ar_recall_key key = ar_recall_key(tenant, TALK, id);
    return ar_recall_is_on(t) && ar_recall_put(t, &key, pack_talk(talk), now_ms);
}

bool ar_talk_replace(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                     struct ar_str id, const struct ar_talk *seen, const struct ar_talk *talk,
                     int64_t now_ms)
{
    struct ar_recall_key key = ar_recall_key(tenant, TALK, id);
    return ar_recall_is_on(t) && ar_recall_swap(t, &key, seen->memo, pack_talk(talk), now_ms);
}

bool ar_talk_get(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                 int64_t now_ms, struct ar_talk *ret)
{
    struct ar_recall_key key = ar_recall_key(tenant, TALK, id);
    struct ar_memo *m = ar_recall_get(t, &key, now_ms);
    struct ar_str rest = m ? ar_memo_view(m) : (struct ar_str){NULL, 0};
    if (m && ar_unpack(&rest, &ret->head) && ar_unpack(&rest, &ret->whole)) {
        ret->memo = m;
        return true;
    }
    ar_memo_free(m);
    return false;
}

void ar_talk_done(struct ar_talk *talk)
{
    ar_memo_free(talk->memo);
    *talk = (struct ar_talk){.memo = NULL};
}

bool ar_talk_drop(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id)
{
    struct ar_recall_key key = ar_recall_key(tenant, TALK, id);
    return ar_recall_drop(t, &key);
}

bool ar_talk_append(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                    struct ar_str talk, struct ar_str id, struct ar_arena *a, int64_t now_ms,
                    struct ar_str *ret_previous)
{
    struct ar_recall_key key = ar_recall_key(tenant, TALK, talk);
    bool done = false;
    struct ar_talk seen = {.memo = NULL};
    /* Another worker may append at the same moment: then once more, behind it. */
    for (unsigned i = 0; i < APPEND_TRIES && !done; i++) {
        if (!ar_talk_get(t, tenant, talk, now_ms, &seen)) {
            return false;
        }
        struct ar_talk next = {.head = id, .whole = seen.whole};
        struct ar_str previous = ar_arena_copy(a, seen.head.p ? seen.head : AR_LIT(""));
        done = previous.p && ar_recall_swap(t, &key, seen.memo, pack_talk(&next), now_ms);
        if (done) {
            *ret_previous = previous;
        }
        ar_talk_done(&seen);
    }
    return done;
}
