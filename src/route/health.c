/*
 * Health records. Insertion claims a free slot by compare-and-swap on its id; ids are hashes, so no
 * key is kept here. A full neighbourhood is counted and answered with NULL, which every function
 * takes as "nothing known". Rates are GCRA: one time stamp, one compare-and-swap. Never blocks.
 */
#include "route/health.h"

#include "base/clock.h"
#include "base/hash.h"

#include <stdlib.h>

#define LOAD(x)     atomic_load_explicit(&(x), memory_order_relaxed)
#define STORE(x, v) atomic_store_explicit(&(x), (v), memory_order_relaxed)

enum { PROBES = 16, MINUTE_MS = 60000 };

struct ar_health_table {
    struct ar_health *slots;
    unsigned mask;
    int64_t evict_ms;
    _Atomic uint64_t full;
};

struct ar_health_table *ar_health_table_new(unsigned slots, int64_t evict_ms)
{
    struct ar_health_table *t = calloc(1, sizeof *t);
    if (!t) {
        return NULL;
    }
    t->slots = calloc(slots, sizeof *t->slots);
    t->mask = slots - 1;
    t->evict_ms = evict_ms;
    if (!t->slots) {
        free(t);
        return NULL;
    }
    return t;
}

void ar_health_table_free(struct ar_health_table *t)
{
    if (t) {
        free(t->slots);
        free(t);
    }
}

/* A slot whose owner has been idle for long becomes a fresh one of id. */
static bool evict(struct ar_health_table *t, struct ar_health *h, uint64_t old, uint64_t id,
                  int64_t now_ms)
{
    if (t->evict_ms == 0 || now_ms - LOAD(h->used_ms) < t->evict_ms || LOAD(h->in_flight) > 0 ||
        !atomic_compare_exchange_strong(&h->id, &old, id)) {
        return false;
    }
    STORE(h->rest_until_ms, 0);
    STORE(h->fails, 0);
    STORE(h->rpm_tat_ms, 0);
    STORE(h->tpm_tat_ms, 0);
    STORE(h->day, 0);
    STORE(h->turn, 0);
    return true;
}

struct ar_health *ar_health_get(struct ar_health_table *t, const char *kind, struct ar_str id_text,
                                int64_t now_ms)
{
    uint64_t id = ar_hash64(id_text, ar_hash64(ar_str_of(kind), 0)) | 1;
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < PROBES; i++) {
            struct ar_health *h = &t->slots[(id + i) & t->mask];
            uint64_t there = LOAD(h->id);
            bool mine = there == id ||
                        (there == 0 && atomic_compare_exchange_strong(&h->id, &there, id)) ||
                        there == id;
            mine = mine || (pass == 1 && evict(t, h, there, id, now_ms));
            if (mine) {
                STORE(h->used_ms, now_ms);
                return h;
            }
        }
    }
    atomic_fetch_add_explicit(&t->full, 1, memory_order_relaxed);
    return NULL;
}

uint64_t ar_health_full_count(const struct ar_health_table *t)
{
    return LOAD(t->full);
}

enum ar_fitness ar_health_fitness(const struct ar_health *h, int64_t now_ms, int64_t *ret_until_ms)
{
    int64_t until = h ? LOAD(h->rest_until_ms) : 0;
    *ret_until_ms = until;
    if (until <= now_ms) {
        return AR_FIT;
    }
    return LOAD(h->rest_is_hard) ? AR_RESTS_HARD : AR_RESTS_SOFT;
}

void ar_health_rest(struct ar_health *h, int64_t until_ms, bool hard)
{
    if (h && until_ms > LOAD(h->rest_until_ms)) {
        STORE(h->rest_is_hard, hard);
        STORE(h->rest_until_ms, until_ms);
    }
}

void ar_health_recover(struct ar_health *h)
{
    if (h && (LOAD(h->fails) != 0 || LOAD(h->rest_until_ms) != 0)) {
        STORE(h->fails, 0);
        STORE(h->rest_until_ms, 0);
    }
}

int ar_health_fail(struct ar_health *h)
{
    return h ? atomic_fetch_add_explicit(&h->fails, 1, memory_order_relaxed) + 1 : 1;
}

uint64_t ar_health_turn(struct ar_health *h)
{
    return h ? atomic_fetch_add_explicit(&h->turn, 1, memory_order_relaxed) : 0;
}

/* GCRA with a burst of a minute's worth: may n units go now? Takes them if so. */
static bool rate_take(_Atomic int64_t *tat_ms, int64_t per_minute, int64_t n, int64_t now_ms,
                      int64_t *ret_until_ms)
{
    int64_t tat = atomic_load_explicit(tat_ms, memory_order_relaxed), next;
    do {
        int64_t from = tat > now_ms ? tat : now_ms;
        if (from - now_ms > MINUTE_MS - MINUTE_MS / (per_minute > 0 ? per_minute : 1) * (n > 0)) {
            *ret_until_ms = from - MINUTE_MS + MINUTE_MS / per_minute;
            return false;
        }
        next = from + n * MINUTE_MS / per_minute;
    } while (!atomic_compare_exchange_weak_explicit(tat_ms, &tat, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static bool day_take(_Atomic uint64_t *day, int64_t limit)
{
    uint64_t today = (uint64_t)(ar_clock_unix_ms() / 86400000),
             was = atomic_load_explicit(day, memory_order_relaxed), next;
    do {
        uint64_t used = was >> 32 == today ? was & UINT32_MAX : 0;
        if (used >= (uint64_t)limit) {
            return false;
        }
        next = today << 32 | (used + 1);
    } while (!atomic_compare_exchange_weak_explicit(day, &was, next, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

bool ar_health_take(struct ar_health *h, const struct ar_key_limits *l, int64_t now_ms,
                    int64_t *ret_until_ms)
{
    if (!h) {
        return true;
    }
    int busy = atomic_fetch_add_explicit(&h->in_flight, 1, memory_order_relaxed);
    bool ok = l->concurrency == 0 || busy < l->concurrency;
    *ret_until_ms = now_ms + 1000;
    if (ok && l->tpm > 0 && LOAD(h->tpm_tat_ms) > now_ms + MINUTE_MS) {
        *ret_until_ms = LOAD(h->tpm_tat_ms) - MINUTE_MS;
        ok = false;
    }
    ok = ok && (l->rpm == 0 || rate_take(&h->rpm_tat_ms, l->rpm, 1, now_ms, ret_until_ms));
    if (ok && l->daily_requests > 0 && !day_take(&h->day, l->daily_requests)) {
        *ret_until_ms = now_ms + 86400000 - ar_clock_unix_ms() % 86400000;
        ok = false;
    }
    if (!ok) {
        atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_relaxed);
    }
    return ok;
}

void ar_health_give(struct ar_health *h, const struct ar_key_limits *l, int64_t tokens,
                    int64_t now_ms)
{
    if (!h) {
        return;
    }
    atomic_fetch_sub_explicit(&h->in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->served, 1, memory_order_relaxed);
    if (l->tpm > 0 && tokens > 0) {
        int64_t tat = LOAD(h->tpm_tat_ms), next;
        do {
            next = (tat > now_ms ? tat : now_ms) + tokens * MINUTE_MS / l->tpm;
        } while (!atomic_compare_exchange_weak_explicit(
            &h->tpm_tat_ms, &tat, next, memory_order_relaxed, memory_order_relaxed));
    }
}
