/*
 * Memos in shards. The key is a SHA-256, so its bytes choose shard and bucket without another hash.
 * A shard has a mutex, a fixed row of buckets with chains, and a list in the order of use. Inside
 * the mutex is only what a few cache lines hold: find, link, count; memory is taken before and
 * given back after, and a reader copies from its own reference outside. With sixteen shards two
 * workers meet so seldom that a blocked one costs less than a lock-free table's reclamation would
 * on every use.
 *
 * The caps are of the whole table: a put that exceeds one evicts from its own shard first, then
 * from the next ones, so one large memo finds room wherever it falls. What is evicted is the oldest
 * of a shard, which is nearly the oldest of all.
 */
#include "recall/table.h"

#include "base/hash.h"
#include "base/list.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS = 16, BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 18 };
/* What malloc adds to a block, and rounds it up by, on the average. */
enum { MALLOC_BYTES = 16 };

struct ar_memo {
    struct ar_node used; /* newest first */
    struct ar_memo *next;
    int64_t used_ms;
    struct ar_recall_key key;
    size_t n;
    atomic_uint refs; /* relaxed up, acquire-release down: the last one frees */
    char bytes[];
};

struct shard {
    pthread_mutex_t lock;
    struct ar_node used;
    struct ar_memo **buckets;
    size_t mask;
} __attribute__((aligned(64)));

struct ar_recall_table {
    struct shard shards[SHARDS];
    /* Relaxed, all: each is a number of its own, and the caps need not be met to the byte. */
    atomic_llong max_entries, max_bytes, max_age_ms, entries, bytes, evicted;
};

struct ar_memo *ar_memo_new(size_t n)
{
    struct ar_memo *m = n < SIZE_MAX / 2 ? malloc(sizeof *m + n) : NULL;
    if (m) {
        memset(m, 0, sizeof *m);
        m->n = n;
        atomic_init(&m->refs, 1);
    }
    return m;
}

char *ar_memo_bytes(struct ar_memo *m)
{
    return m->bytes;
}

struct ar_str ar_memo_view(const struct ar_memo *m)
{
    return ar_str_n(m->bytes, m->n);
}

void ar_memo_unref(struct ar_memo *m)
{
    if (m && atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) == 1) {
        free(m);
    }
}

static int64_t cost(const struct ar_memo *m)
{
    return (int64_t)(sizeof *m + m->n + MALLOC_BYTES);
}

struct ar_recall_key ar_recall_tenant(struct ar_str secret)
{
    struct ar_recall_key tenant;
    ar_sha256(secret, tenant.b);
    return tenant;
}

struct ar_recall_key ar_recall_key(const struct ar_recall_key *tenant, char kind, struct ar_str id)
{
    struct ar_recall_key key;
    uint8_t text[sizeof tenant->b + 1 + 32];
    memcpy(text, tenant->b, sizeof tenant->b);
    text[sizeof tenant->b] = (uint8_t)kind;
    ar_sha256(id, text + sizeof tenant->b + 1); /* of one length, however long the id is */
    ar_sha256(ar_str_n((const char *)text, sizeof text), key.b);
    return key;
}

static struct shard *shard_of(struct ar_recall_table *t, const struct ar_recall_key *key)
{
    return &t->shards[key->b[0] % SHARDS];
}

static struct ar_memo **bucket_of(const struct shard *s, const struct ar_recall_key *key)
{
    uint64_t h;
    memcpy(&h, key->b + 8, sizeof h);
    return &s->buckets[h & s->mask];
}

static size_t buckets_for(int64_t entries)
{
    size_t n = BUCKETS_MIN;
    while (n < BUCKETS_MAX && (int64_t)n < entries / SHARDS) {
        n *= 2;
    }
    return n;
}

struct ar_recall_table *ar_recall_table_new(const struct ar_recall_limits *limits)
{
    struct ar_recall_table *t = aligned_alloc(64, sizeof *t);
    AR_ASSERT(t != NULL);
    memset(t, 0, sizeof *t);
    size_t n = buckets_for(limits->entries);
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shards[i];
        int failed = pthread_mutex_init(&s->lock, NULL);
        ar_list_init(&s->used);
        s->buckets = calloc(n, sizeof(struct ar_memo *));
        AR_ASSERT(failed == 0 && s->buckets != NULL);
        s->mask = n - 1;
    }
    ar_recall_table_set_limits(t, limits);
    return t;
}

void ar_recall_table_set_limits(struct ar_recall_table *t, const struct ar_recall_limits *limits)
{
    atomic_store_explicit(&t->max_entries, limits->entries, memory_order_relaxed);
    atomic_store_explicit(&t->max_bytes, limits->bytes, memory_order_relaxed);
    atomic_store_explicit(&t->max_age_ms, limits->age_ms, memory_order_relaxed);
}

static int64_t load(const atomic_llong *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

bool ar_recall_is_on(const struct ar_recall_table *t)
{
    return t && load(&t->max_entries) > 0 && load(&t->max_bytes) > 0;
}

struct ar_recall_counts ar_recall_table_counts(struct ar_recall_table *t)
{
    return (struct ar_recall_counts){load(&t->entries), load(&t->bytes), load(&t->evicted)};
}

/* From here to the next remark: the shard's lock is held. */

static struct ar_memo *find(const struct shard *s, const struct ar_recall_key *key)
{
    struct ar_memo *m = *bucket_of(s, key);
    while (m && memcmp(&m->key, key, sizeof *key) != 0) {
        m = m->next;
    }
    return m;
}

static void take_out(struct ar_recall_table *t, struct shard *s, struct ar_memo *m)
{
    struct ar_memo **at = bucket_of(s, &m->key);
    while (*at != m) {
        at = &(*at)->next;
    }
    *at = m->next;
    ar_list_remove(&m->used);
    atomic_fetch_sub_explicit(&t->entries, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&t->bytes, cost(m), memory_order_relaxed);
}

static void put_in(struct ar_recall_table *t, struct shard *s, struct ar_memo *m)
{
    struct ar_memo **at = bucket_of(s, &m->key);
    m->next = *at;
    *at = m;
    ar_list_prepend(&s->used, &m->used);
    atomic_fetch_add_explicit(&t->entries, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->bytes, cost(m), memory_order_relaxed);
}

static bool is_old(const struct ar_recall_table *t, const struct ar_memo *m, int64_t now_ms)
{
    return now_ms - m->used_ms > load(&t->max_age_ms);
}

/* The longest unused one, if it has to go; not keep. */
static struct ar_memo *pop(struct ar_recall_table *t, struct shard *s, const struct ar_memo *keep,
                           int64_t now_ms)
{
    if (ar_list_is_empty(&s->used)) {
        return NULL;
    }
    struct ar_memo *m = AR_HOLDER(s->used.prev, struct ar_memo, used);
    bool over = load(&t->entries) > load(&t->max_entries) || load(&t->bytes) > load(&t->max_bytes);
    if (m == keep || (!over && !is_old(t, m, now_ms))) {
        return NULL;
    }
    take_out(t, s, m);
    return m;
}

/* No lock is held from here on. */

static void lock(struct shard *s)
{
    (void)pthread_mutex_lock(&s->lock);
}

static void unlock(struct shard *s)
{
    (void)pthread_mutex_unlock(&s->lock);
}

/* Evicts until the caps hold. keep is only compared. */
static void trim(struct ar_recall_table *t, unsigned from, const struct ar_memo *keep,
                 int64_t now_ms)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shards[(from + i) % SHARDS];
        for (;;) {
            lock(s);
            struct ar_memo *m = pop(t, s, keep, now_ms);
            unlock(s);
            if (!m) {
                break;
            }
            atomic_fetch_add_explicit(&t->evicted, 1, memory_order_relaxed);
            ar_memo_unref(m);
        }
        if (load(&t->entries) <= load(&t->max_entries) && load(&t->bytes) <= load(&t->max_bytes)) {
            return;
        }
    }
}

enum put_how { PUT_ALWAYS, PUT_NEW, PUT_SWAP };

static bool put(struct ar_recall_table *t, const struct ar_recall_key *key, struct ar_memo *m,
                enum put_how how, const struct ar_memo *seen, int64_t now_ms)
{
    if (!m || !ar_recall_is_on(t) || cost(m) > load(&t->max_bytes) / 4) {
        ar_memo_unref(m);
        return false;
    }
    struct shard *s = shard_of(t, key);
    m->key = *key;
    m->used_ms = now_ms;
    lock(s);
    struct ar_memo *old = find(s, key);
    bool dead = old && is_old(t, old, now_ms);
    bool fits = how == PUT_ALWAYS || ((dead ? NULL : old) == (how == PUT_SWAP ? seen : NULL));
    if (fits) {
        if (old) {
            take_out(t, s, old);
        }
        put_in(t, s, m);
    }
    unlock(s);
    if (!fits) {
        ar_memo_unref(m);
        return false;
    }
    ar_memo_unref(old);
    trim(t, key->b[0] % SHARDS, m, now_ms);
    return true;
}

bool ar_recall_put(struct ar_recall_table *t, const struct ar_recall_key *key, struct ar_memo *m,
                   int64_t now_ms)
{
    return put(t, key, m, PUT_ALWAYS, NULL, now_ms);
}

bool ar_recall_put_new(struct ar_recall_table *t, const struct ar_recall_key *key,
                       struct ar_memo *m, int64_t now_ms)
{
    return put(t, key, m, PUT_NEW, NULL, now_ms);
}

bool ar_recall_swap(struct ar_recall_table *t, const struct ar_recall_key *key,
                    const struct ar_memo *seen, struct ar_memo *m, int64_t now_ms)
{
    return put(t, key, m, PUT_SWAP, seen, now_ms);
}

struct ar_memo *ar_recall_get(struct ar_recall_table *t, const struct ar_recall_key *key,
                              int64_t now_ms)
{
    if (!t) {
        return NULL;
    }
    struct shard *s = shard_of(t, key);
    struct ar_memo *dead = NULL;
    lock(s);
    struct ar_memo *m = find(s, key);
    if (m && is_old(t, m, now_ms)) {
        take_out(t, s, m);
        dead = m;
        m = NULL;
    } else if (m) {
        ar_list_remove(&m->used);
        ar_list_prepend(&s->used, &m->used);
        m->used_ms = now_ms;
        atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    }
    unlock(s);
    ar_memo_unref(dead);
    return m;
}

bool ar_recall_drop(struct ar_recall_table *t, const struct ar_recall_key *key)
{
    if (!t) {
        return false;
    }
    struct shard *s = shard_of(t, key);
    lock(s);
    struct ar_memo *m = find(s, key);
    if (m) {
        take_out(t, s, m);
    }
    unlock(s);
    ar_memo_unref(m);
    return m != NULL;
}

void ar_recall_table_free(struct ar_recall_table *t)
{
    if (!t) {
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shards[i];
        while (!ar_list_is_empty(&s->used)) {
            struct ar_memo *m = AR_HOLDER(s->used.next, struct ar_memo, used);
            ar_list_remove(&m->used);
            ar_memo_unref(m);
        }
        free(s->buckets);
        (void)pthread_mutex_destroy(&s->lock);
    }
    free(t);
}
