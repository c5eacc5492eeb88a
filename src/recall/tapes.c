/*
 * Tapes: one growing buffer a run with a mutex of its own, in a list with another. Readers come by
 * now and then and copy what is new: no thread has to wake a flow of another one, and a reader that
 * leaves is just a reference less. There are as many tapes as runs, so the list is short. Locks are
 * taken in one order: the list's, then a tape's.
 */
#include "recall/tapes.h"

#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { KIND = 'e' };

struct ar_tapes {
    pthread_mutex_t lock;
    struct ar_node list;
    atomic_llong max_bytes, bytes; /* relaxed: numbers of their own */
};

struct ar_tape {
    struct ar_node node; /* under the list's lock, as is_listed */
    bool is_listed;
    struct ar_tapes *tapes;
    struct ar_recall_key key;
    atomic_uint refs; /* relaxed up, acquire-release down: the last one frees */
    pthread_mutex_t lock;
    struct ar_buf frames; /* from here on: under the lock */
    int64_t count;
    bool ended, torn;
};

struct ar_tapes *ar_tapes_new(int64_t bytes)
{
    struct ar_tapes *t = calloc(1, sizeof *t);
    AR_ASSERT(t != NULL && pthread_mutex_init(&t->lock, NULL) == 0);
    ar_list_init(&t->list);
    ar_tapes_set_limit(t, bytes);
    return t;
}

void ar_tapes_set_limit(struct ar_tapes *t, int64_t bytes)
{
    atomic_store_explicit(&t->max_bytes, bytes, memory_order_relaxed);
}

void ar_tapes_free(struct ar_tapes *t)
{
    if (t) {
        (void)pthread_mutex_destroy(&t->lock);
        free(t);
    }
}

int64_t ar_tapes_bytes(struct ar_tapes *t)
{
    return atomic_load_explicit(&t->bytes, memory_order_relaxed);
}

struct ar_tape *ar_tape_begin(struct ar_tapes *t, const struct ar_recall_key *key)
{
    struct ar_tape *tape = t ? calloc(1, sizeof *tape) : NULL;
    if (!tape || pthread_mutex_init(&tape->lock, NULL) != 0) {
        free(tape);
        return NULL;
    }
    tape->tapes = t;
    tape->key = *key;
    tape->is_listed = true;
    atomic_init(&tape->refs, 1);
    ar_buf_init(&tape->frames, SIZE_MAX / 2);
    (void)pthread_mutex_lock(&t->lock);
    ar_list_append(&t->list, &tape->node);
    (void)pthread_mutex_unlock(&t->lock);
    return tape;
}

/* Under the lock. */
static void tear(struct ar_tape *tape)
{
    tape->torn = true;
    atomic_fetch_sub_explicit(&tape->tapes->bytes, (long long)tape->frames.n, memory_order_relaxed);
    ar_buf_done(&tape->frames);
}

void ar_tape_put(struct ar_tape *tape, struct ar_str frame)
{
    struct ar_tapes *t = tape->tapes;
    (void)pthread_mutex_lock(&tape->lock);
    if (!tape->torn && !tape->ended) {
        size_t before = tape->frames.n;
        ar_buf_str(&tape->frames, frame);
        tape->count++;
        long long all = atomic_fetch_add_explicit(&t->bytes, (long long)(tape->frames.n - before),
                                                  memory_order_relaxed);
        if (tape->frames.overflowed || all + (long long)frame.n > t->max_bytes) {
            tear(tape);
        }
    }
    (void)pthread_mutex_unlock(&tape->lock);
}

int64_t ar_tape_count(struct ar_tape *tape)
{
    (void)pthread_mutex_lock(&tape->lock);
    int64_t n = tape->count;
    (void)pthread_mutex_unlock(&tape->lock);
    return n;
}

bool ar_tape_end(struct ar_tape *tape, struct ar_buf *out)
{
    (void)pthread_mutex_lock(&tape->tapes->lock);
    if (tape->is_listed) {
        ar_list_remove(&tape->node);
        tape->is_listed = false;
    }
    (void)pthread_mutex_unlock(&tape->tapes->lock);
    (void)pthread_mutex_lock(&tape->lock);
    tape->ended = true;
    bool whole = !tape->torn;
    ar_buf_str(out, ar_buf_view(&tape->frames));
    (void)pthread_mutex_unlock(&tape->lock);
    return whole && ar_buf_finish(out) == AR_OK;
}

struct ar_tape *ar_tape_find(struct ar_tapes *t, const struct ar_recall_key *key)
{
    struct ar_tape *found = NULL;
    if (!t) {
        return NULL;
    }
    (void)pthread_mutex_lock(&t->lock);
    for (struct ar_node *n = t->list.next; n != &t->list && !found; n = n->next) {
        struct ar_tape *tape = AR_HOLDER(n, struct ar_tape, node);
        if (memcmp(&tape->key, key, sizeof *key) == 0) {
            found = tape;
            atomic_fetch_add_explicit(&tape->refs, 1, memory_order_relaxed);
        }
    }
    (void)pthread_mutex_unlock(&t->lock);
    return found;
}

enum ar_tape_state ar_tape_read(struct ar_tape *tape, struct ar_tape_place *place, size_t most,
                                struct ar_buf *out)
{
    static const struct ar_str END = AR_LIT_INIT("\n\n");
    enum ar_tape_state state = AR_TAPE_RUNS;
    (void)pthread_mutex_lock(&tape->lock);
    struct ar_str rest = ar_str_from(ar_buf_view(&tape->frames), place->at);
    while (place->skip > 0 && rest.n > 0) { /* only whole frames are put */
        size_t frame = ar_str_find(rest, END) + END.n;
        place->at += frame;
        place->skip--;
        rest = ar_str_from(rest, frame);
    }
    struct ar_str part = ar_str_head(rest, most);
    ar_buf_str(out, part);
    place->at += part.n;
    if (tape->torn) {
        state = AR_TAPE_TORN;
    } else if (tape->ended && part.n == rest.n) {
        state = AR_TAPE_ENDED;
    }
    (void)pthread_mutex_unlock(&tape->lock);
    return state;
}

void ar_tape_drop(struct ar_tape *tape)
{
    if (tape && atomic_fetch_sub_explicit(&tape->refs, 1, memory_order_acq_rel) == 1) {
        if (!tape->torn) {
            tear(tape);
        }
        (void)pthread_mutex_destroy(&tape->lock);
        free(tape);
    }
}

struct ar_recall_key ar_tape_key(const struct ar_recall_key *tenant, struct ar_str id)
{
    return ar_recall_key(tenant, KIND, id);
}

bool ar_frames_put(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id,
                   struct ar_str frames, int64_t now_ms)
{
    struct ar_recall_key key = ar_tape_key(tenant, id);
    struct ar_memo *m = ar_recall_is_on(t) ? ar_memo_new(frames.n) : NULL;
    if (m) {
        memcpy(ar_memo_bytes(m), frames.p, frames.n);
    }
    return m && ar_recall_put(t, &key, m, now_ms);
}

struct ar_memo *ar_frames_get(struct ar_recall_table *t, const struct ar_recall_key *tenant,
                              struct ar_str id, int64_t now_ms)
{
    struct ar_recall_key key = ar_tape_key(tenant, id);
    return ar_recall_get(t, &key, now_ms);
}

void ar_frames_drop(struct ar_recall_table *t, const struct ar_recall_key *tenant, struct ar_str id)
{
    struct ar_recall_key key = ar_tape_key(tenant, id);
    (void)ar_recall_drop(t, &key);
}

struct ar_str ar_frames_from(struct ar_str frames, int64_t n)
{
    static const struct ar_str END = AR_LIT_INIT("\n\n");
    for (; n > 0 && frames.n > 0; n--) {
        frames = ar_str_from(frames, ar_str_find(frames, END) + END.n);
    }
    return frames;
}
