/*
 * Entries in shards. The key is a SHA-256, so its bytes choose shard and bucket without another
 * hash. A shard has a mutex, a fixed row of buckets with chains, and a list in the order of use.
 * Inside the mutex is only what a few cache lines hold: find, link, count; memory is taken before
 * and given back after, and a reader copies outside, from an entry it holds a reference to. With
 * sixteen shards two workers meet so seldom that a blocked one costs less than a lock-free table's
 * reclamation would on every use.
 *
 * An entry lies in a chain of cells (cells.h), its own fields in the first one. The caps are of the
 * whole table: a put makes room first, in its own shard, then in the next ones, so one large memo
 * finds room wherever it falls. What is evicted is the oldest of a shard, which is nearly the
 * oldest of all.
 */
#include "recall/table.h"

#include "base/hash.h"
#include "base/list.h"
#include "recall/cells.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS = 16, BUCKETS_MIN = 64, BUCKETS_MAX = 1 << 18 };

struct ar_memo {
    uint64_t serial; /* of the entry that it was got from; 0: none */
    size_t n;
    char bytes[];
};

struct entry {
    struct ar_cell *next_cell; /* as in struct ar_cell: the entry is the beginning of the first */
    struct ar_node used;       /* newest first */
    struct entry *next;
    int64_t used_ms;
    uint64_t serial;
    struct ar_cell *last;
    struct ar_recall_key key;
    size_t n, cells;
    atomic_uint refs; /* relaxed up, acquire-release down: the last one frees */
    char bytes[];
};
enum {
    FIRST_BYTES = AR_CELL_BYTES - offsetof(struct entry, bytes),
    MORE_BYTES = sizeof(((struct ar_cell *)0)->bytes)
};

struct shard {
    pthread_mutex_t lock;
    struct ar_node used;
    struct entry **buckets;
    size_t mask;
    int64_t hits, misses;
} __attribute__((aligned(64)));

struct ar_recall_table {
    struct shard shards[SHARDS];
    struct ar_cells cells;
    /* Relaxed, all: each is a number of its own, and the caps need not be met to the byte. */
    atomic_llong max_entries, max_bytes, max_age_ms, entries, bytes, evicted;
    atomic_ullong serial;
};

struct ar_memo *ar_memo_new(size_t n)
{
    struct ar_memo *m = n < SIZE_MAX / 2 ? malloc(sizeof *m + n) : NULL;
    if (m) {
        *m = (struct ar_memo){.n = n};
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

void ar_memo_free(struct ar_memo *m)
{
    free(m);
}

static size_t cells_for(size_t n)
{
    return n <= FIRST_BYTES ? 1 : 1 + (n - FIRST_BYTES + MORE_BYTES - 1) / MORE_BYTES;
}

static int64_t cost(size_t cells)
{
    return (int64_t)(cells * AR_CELL_BYTES);
}

/* The bytes of a chain, in or out. */
static void copy_bytes(struct entry *e, char *flat, bool in)
{
    size_t left = e->n, part = left < FIRST_BYTES ? left : FIRST_BYTES;
    char *at = e->bytes;
    for (struct ar_cell *next = e->next_cell;; next = next->next) {
        memcpy(in ? at : flat, in ? flat : at, part);
        flat += part;
        left -= part;
        if (left == 0) {
            break;
        }
        at = next->bytes;
        part = left < MORE_BYTES ? left : MORE_BYTES;
    }
}

/* A copy in cells; NULL: no memory. */
static struct entry *entry_new(struct ar_recall_table *t, struct ar_memo *m)
{
    struct ar_cell *last;
    size_t cells = cells_for(m->n);
    struct entry *e = (struct entry *)(void *)ar_cells_take(&t->cells, cells, &last);
    if (e) {
        struct ar_cell *rest = e->next_cell;
        memset(e, 0, sizeof *e);
        e->next_cell = rest;
        e->last = last;
        e->cells = cells;
        e->n = m->n;
        e->serial = 1 + atomic_fetch_add_explicit(&t->serial, 1, memory_order_relaxed);
        atomic_init(&e->refs, 1);
        copy_bytes(e, m->bytes, true);
    }
    return e;
}

static void entry_unref(struct ar_recall_table *t, struct entry *e)
{
    if (e && atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) == 1) {
        ar_cells_give(&t->cells, (struct ar_cell *)(void *)e, e->last);
    }
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

static struct entry **bucket_of(const struct shard *s, const struct ar_recall_key *key)
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
        s->buckets = calloc(n, sizeof(struct entry *));
        AR_ASSERT(failed == 0 && s->buckets != NULL);
        s->mask = n - 1;
    }
    ar_cells_init(&t->cells);
    ar_recall_table_set_limits(t, limits);
    return t;
}

static int64_t load(const atomic_llong *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

/* What is over caps that were lowered goes at once: nothing might be put for long. */
static void trim(struct ar_recall_table *t);

void ar_recall_table_set_limits(struct ar_recall_table *t, const struct ar_recall_limits *limits)
{
    atomic_store_explicit(&t->max_entries, limits->entries, memory_order_relaxed);
    atomic_store_explicit(&t->max_bytes, limits->bytes, memory_order_relaxed);
    atomic_store_explicit(&t->max_age_ms, limits->age_ms, memory_order_relaxed);
    trim(t);
}

bool ar_recall_is_on(const struct ar_recall_table *t)
{
    return t && load(&t->max_entries) > 0 && load(&t->max_bytes) > 0;
}

struct ar_recall_counts ar_recall_table_counts(struct ar_recall_table *t)
{
    struct ar_recall_counts c = {
        .entries = load(&t->entries), .bytes = load(&t->bytes), .evicted = load(&t->evicted)};
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shards[i];
        (void)pthread_mutex_lock(&s->lock);
        c.hits += s->hits;
        c.misses += s->misses;
        (void)pthread_mutex_unlock(&s->lock);
    }
    return c;
}

/* From here to the next remark: the shard's lock is held. */

static struct entry *find(const struct shard *s, const struct ar_recall_key *key)
{
    struct entry *e = *bucket_of(s, key);
    while (e && memcmp(&e->key, key, sizeof *key) != 0) {
        e = e->next;
    }
    return e;
}

static void take_out(struct ar_recall_table *t, struct shard *s, struct entry *e)
{
    struct entry **at = bucket_of(s, &e->key);
    while (*at != e) {
        at = &(*at)->next;
    }
    *at = e->next;
    ar_list_remove(&e->used);
    atomic_fetch_sub_explicit(&t->entries, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&t->bytes, cost(e->cells), memory_order_relaxed);
}

static void put_in(struct ar_recall_table *t, struct shard *s, struct entry *e)
{
    struct entry **at = bucket_of(s, &e->key);
    e->next = *at;
    *at = e;
    ar_list_prepend(&s->used, &e->used);
    atomic_fetch_add_explicit(&t->entries, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->bytes, cost(e->cells), memory_order_relaxed);
}

static bool is_old(const struct ar_recall_table *t, const struct entry *e, int64_t now_ms)
{
    return now_ms - e->used_ms > load(&t->max_age_ms);
}

/* Is there no room for one more of so many bytes? */
static bool is_over(const struct ar_recall_table *t, int64_t bytes)
{
    return load(&t->entries) >= load(&t->max_entries) ||
           load(&t->bytes) + bytes > load(&t->max_bytes);
}

/* The longest unused one, if it has to go. */
static struct entry *pop(struct ar_recall_table *t, struct shard *s, int64_t bytes, int64_t now_ms)
{
    if (ar_list_is_empty(&s->used)) {
        return NULL;
    }
    struct entry *e = AR_HOLDER(s->used.prev, struct entry, used);
    if (!is_over(t, bytes) && !is_old(t, e, now_ms)) {
        return NULL;
    }
    take_out(t, s, e);
    return e;
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

/* Evicts until there is room. */
static void make_room(struct ar_recall_table *t, unsigned from, int64_t bytes, int64_t now_ms)
{
    for (unsigned i = 0; i < SHARDS; i++) {
        struct shard *s = &t->shards[(from + i) % SHARDS];
        for (;;) {
            lock(s);
            struct entry *e = pop(t, s, bytes, now_ms);
            unlock(s);
            if (!e) {
                break;
            }
            atomic_fetch_add_explicit(&t->evicted, 1, memory_order_relaxed);
            entry_unref(t, e);
        }
        if (!is_over(t, bytes)) {
            return;
        }
    }
}

/* Takes the longest unused one of the shard out. false: there was none. */
static bool drop_oldest(struct ar_recall_table *t, struct shard *s)
{
    lock(s);
    struct entry *e =
        ar_list_is_empty(&s->used) ? NULL : AR_HOLDER(s->used.prev, struct entry, used);
    if (e) {
        take_out(t, s, e);
    }
    unlock(s);
    entry_unref(t, e);
    return e != NULL;
}

static void trim(struct ar_recall_table *t)
{
    unsigned none = 0; /* shards in a row that had nothing */
    for (unsigned i = 0; none < SHARDS; i++) {
        if (ar_recall_is_on(t) && load(&t->entries) <= load(&t->max_entries) &&
            load(&t->bytes) <= load(&t->max_bytes)) {
            return;
        }
        bool dropped = drop_oldest(t, &t->shards[i % SHARDS]);
        none = dropped ? 0 : none + 1;
        atomic_fetch_add_explicit(&t->evicted, dropped, memory_order_relaxed);
    }
}

enum put_how { PUT_ALWAYS, PUT_NEW, PUT_SWAP };

/* May the new one take the place of what is there (NULL: nothing)? */
static bool may_replace(enum put_how how, const struct entry *old, const struct ar_memo *seen)
{
    switch (how) {
    case PUT_NEW:
        return !old;
    case PUT_SWAP:
        return seen ? old && old->serial == seen->serial : !old;
    default:
        return true;
    }
}

static bool put(struct ar_recall_table *t, const struct ar_recall_key *key, struct ar_memo *m,
                enum put_how how, const struct ar_memo *seen, int64_t now_ms)
{
    int64_t bytes = m ? cost(cells_for(m->n)) : 0;
    if (!m || !ar_recall_is_on(t) || bytes > load(&t->max_bytes) / 4) {
        ar_memo_free(m);
        return false;
    }
    struct shard *s = shard_of(t, key);
    make_room(t, key->b[0] % SHARDS, bytes, now_ms);
    struct entry *e = entry_new(t, m);
    ar_memo_free(m);
    if (!e) {
        return false;
    }
    e->key = *key;
    e->used_ms = now_ms;
    lock(s);
    struct entry *old = find(s, key);
    bool fits = may_replace(how, old && !is_old(t, old, now_ms) ? old : NULL, seen);
    if (fits && old) {
        take_out(t, s, old);
    }
    if (fits) {
        put_in(t, s, e);
    }
    unlock(s);
    entry_unref(t, fits ? old : e);
    return fits;
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

/* The entry, used now, with a reference; NULL: not there. */
static struct entry *hold(struct ar_recall_table *t, const struct ar_recall_key *key,
                          int64_t now_ms)
{
    struct shard *s = shard_of(t, key);
    struct entry *dead = NULL;
    lock(s);
    struct entry *e = find(s, key);
    if (e && is_old(t, e, now_ms)) {
        take_out(t, s, e);
        dead = e;
        e = NULL;
    } else if (e) {
        ar_list_remove(&e->used);
        ar_list_prepend(&s->used, &e->used);
        e->used_ms = now_ms;
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    }
    s->hits += e != NULL;
    s->misses += e == NULL;
    unlock(s);
    entry_unref(t, dead);
    return e;
}

struct ar_memo *ar_recall_get(struct ar_recall_table *t, const struct ar_recall_key *key,
                              int64_t now_ms)
{
    struct entry *e = t ? hold(t, key, now_ms) : NULL;
    struct ar_memo *m = e ? ar_memo_new(e->n) : NULL;
    if (m) {
        m->serial = e->serial;
        copy_bytes(e, m->bytes, false);
    }
    if (e) {
        entry_unref(t, e);
    }
    return m;
}

bool ar_recall_drop(struct ar_recall_table *t, const struct ar_recall_key *key)
{
    if (!t) {
        return false;
    }
    struct shard *s = shard_of(t, key);
    lock(s);
    struct entry *e = find(s, key);
    if (e) {
        take_out(t, s, e);
    }
    unlock(s);
    entry_unref(t, e);
    return e != NULL;
}

void ar_recall_table_free(struct ar_recall_table *t)
{
    if (!t) {
        return;
    }
    for (unsigned i = 0; i < SHARDS; i++) {
        free(t->shards[i].buckets);
        (void)pthread_mutex_destroy(&t->shards[i].lock);
    }
    ar_cells_done(&t->cells);
    free(t);
}
