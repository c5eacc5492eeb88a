/*
 * Where to go next: the grid of an entry begins where its balance says, and a failure moves along
 * it by what failed (key: same place, next key; place: same key, next place), then through the
 * rest, then to the next entry. What was met teaches health, and the most useful fault is kept for
 * the caller. It owns nothing; health is read when a candidate is taken, never before.
 */
#include "route/plan_impl.h"

#include "base/hash.h"

#include <stdio.h>

enum { WEIGHT_MAX = 1000000 };

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b > 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Weights are compared, not counted: an absurd one is as good as a large one. */
uint64_t ar_plan_weight(int64_t weight)
{
    return (uint64_t)(weight < WEIGHT_MAX ? ar_tokens(weight) : WEIGHT_MAX);
}

/* Spreads turn t over n keys by weight: proportional, and neighbours in time are different keys. */
static unsigned weighted_at(const struct ar_key *keys, unsigned n, uint64_t t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += ar_plan_weight(keys[i].conf->weight);
    }
    if (sum == 0) {
        return n > 0 ? (unsigned)(t % n) : 0;
    }
    uint64_t step = (sum * 618 / 1000) | 1;
    while (common_divisor(sum, step) != 1) { /* else some turns would never come */
        step++;
    }
    uint64_t at = t % sum * step % sum;
    for (unsigned i = 0; i < n; i++) {
        uint64_t w = ar_plan_weight(keys[i].conf->weight);
        if (at < w) {
            return i;
        }
        at -= w;
    }
    return 0;
}

static unsigned least_used_at(const struct ar_key *keys, unsigned n, uint64_t t)
{
    unsigned best = (unsigned)(t % n);
    for (unsigned i = 0; i < n; i++) {
        unsigned k = (unsigned)((t + i) % n);
        if (keys[k].health && keys[best].health &&
            atomic_load_explicit(&keys[k].health->in_flight, memory_order_relaxed) <
                atomic_load_explicit(&keys[best].health->in_flight, memory_order_relaxed)) {
            best = k;
        }
    }
    return best;
}

/* Where the grid of e begins, by the upstream's balance. When e is first looked at, not before:
 * turns that nobody takes would make some keys come first more often than others. */
static void start_grid(struct ar_plan *p, struct ar_plan_entry *e, int64_t now_ms)
{
    e->started = true;
    struct ar_health *pool = e->u->health;
    if (e->callers && e->keys > 1) { /* a pool of its own, apart from everybody else's */
        pool = ar_health_get(p->route->strangers, "pool", p->client_list, now_ms);
    }
    uint64_t t = ar_health_turn(pool);
    struct ar_str how = e->u->conf->balance;
    e->key_from = (unsigned)(t % e->keys);
    e->base_from = (unsigned)(t / e->keys % e->bases);
    if (!e->callers && e->u->key_count > 1 && ar_str_is_lit(how, "weighted")) {
        e->key_from = weighted_at(e->u->keys, e->u->key_count, t);
    } else if (!e->callers && e->u->key_count > 1 && ar_str_is_lit(how, "least_used")) {
        e->key_from = least_used_at(e->u->keys, e->u->key_count, t);
    } else if (ar_str_is_lit(how, "random")) {
        e->key_from = (unsigned)ar_rand_below(p->rand, e->keys);
        e->base_from = (unsigned)ar_rand_below(p->rand, e->bases);
    }
}

static struct ar_health *key_health(struct ar_plan *p, const struct ar_plan_entry *e, unsigned k,
                                    int64_t now_ms)
{
    if (e->callers) {
        char id[8 + 64];
        uint64_t print = ar_hash64(p->client_keys[k], 1);
        size_t n = sizeof print;
        memcpy(id, &print, n);
        size_t name = e->u->name.n < 60 ? e->u->name.n : 60;
        memcpy(id + n, e->u->name.p, name);
        return ar_health_get(p->route->strangers, "key", ar_str_n(id, n + name), now_ms);
    }
    return e->u->key_count > 0 ? e->u->keys[k].health : NULL;
}

/* Fingerprint of key k of e; empty: it has no secret. A stranger's: told apart within this process
 * only. */
static void print_key(const struct ar_plan *p, const struct ar_plan_entry *e, unsigned k,
                      char ret[9])
{
    ret[0] = '\0';
    if (!e->callers && e->u->key_count > 0) {
        memcpy(ret, e->u->keys[k].print, 9);
    } else if (e->callers && p->client_keys[k].n > 0) {
        (void)snprintf(ret, 9, "%08x", (unsigned)ar_hash64(p->client_keys[k], 0));
    }
}

/* Is the plan bound to another key? */
static bool is_meant(const struct ar_plan *p, const struct ar_plan_entry *e, unsigned k)
{
    char print[9];
    if (p->only_key.n == 0) {
        return true;
    }
    print_key(p, e, k, print);
    return ar_str_is(p->only_key, ar_str_of(print));
}

/* Takes (base b, key k) of e if its health allows. soft: those that rest without being told to are
 * fine too. */
static bool take(struct ar_plan *p, struct ar_plan_entry *e, unsigned b, unsigned k, bool soft,
                 int64_t now_ms)
{
    struct ar_health *kh = key_health(p, e, k, now_ms),
                     *bh = e->u->bases ? e->u->bases[b].health : NULL;
    int64_t until, base_until;
    enum ar_fitness kf = ar_health_fitness(kh, now_ms, &until),
                    bf = ar_health_fitness(bh, now_ms, &base_until);
    struct ar_key_limits limits = {0};
    if (!e->callers && e->u->key_count > 0) {
        const struct ar_conf_key *c = e->u->keys[k].conf;
        limits = (struct ar_key_limits){c->rpm, c->tpm, c->daily_requests, c->concurrency};
    }
    bool ok = (kf == AR_FIT || (soft && kf == AR_RESTS_SOFT)) &&
              (bf == AR_FIT || (soft && bf == AR_RESTS_SOFT));
    until = bf == AR_RESTS_HARD && base_until > until ? base_until : until;
    ok = ok && ar_health_take(kh, &limits, now_ms, &until);
    if (!ok) {
        if (soft && until > now_ms && (p->rest_until_ms == 0 || until < p->rest_until_ms)) {
            p->rest_until_ms = until;
        }
        return false;
    }
    e->tried[b] |= UINT64_C(1) << k;
    struct ar_candidate *c = &p->cand;
    *c = (struct ar_candidate){.upstream = e->u,
                               .dialect = e->dialect,
                               .base = e->u->bases ? &e->u->bases[b] : NULL,
                               .key = !e->callers && e->u->key_count > 0 ? &e->u->keys[k] : NULL,
                               .callers_secret = e->callers,
                               .model = e->model,
                               .why = e->why,
                               .attempt = ++p->attempts,
                               .key_health = kh,
                               .limits = limits,
                               .entry = (unsigned)(e - p->entries),
                               .key_at = k,
                               .base_at = b};
    c->secret = e->callers ? p->client_keys[k] : c->key ? c->key->secret : (struct ar_str){NULL, 0};
    print_key(p, e, k, c->key_print);
    if (bh) {
        atomic_fetch_add_explicit(&bh->in_flight, 1, memory_order_relaxed);
    }
    p->taken = true;
    return true;
}

/* Looks through the grid of e from (base_from, key_from); by_key: the next key of the same base
 * comes before the next base. */
static bool take_from(struct ar_plan *p, struct ar_plan_entry *e, bool by_key, bool soft,
                      int64_t now_ms)
{
    unsigned outer = by_key ? e->bases : e->keys, inner = by_key ? e->keys : e->bases;
    if (!e->started) {
        start_grid(p, e, now_ms);
    }
    for (unsigned o = 0; o < outer; o++) {
        for (unsigned i = 0; i < inner; i++) {
            unsigned b = (e->base_from + (by_key ? o : i)) % e->bases;
            unsigned k = (e->key_from + (by_key ? i : o)) % e->keys;
            bool open = !(e->tried[b] >> k & 1) && !(e->dead_bases >> b & 1) && is_meant(p, e, k);
            if (open && take(p, e, b, k, soft, now_ms)) {
                return true;
            }
        }
    }
    return false;
}

/* Most useful first: what the caller can act on, then what says most about the upstreams. */
static int usefulness(const struct ar_fault *f)
{
    if (f->code == AR_OK) {
        return 0;
    }
    if (f->blame == AR_OF_CALLER) {
        return 6;
    }
    switch (f->code) {
    case AR_UPSTREAM_TIMEOUT:
        return 4;
    case AR_UPSTREAM_RATE_LIMITED:
        return 2;
    case AR_UPSTREAM_CREDENTIALS:
        return 1;
    case AR_MODEL_NOT_FOUND:
        return 3;
    default:
        return 5;
    }
}

static void remember(struct ar_plan *p, const struct ar_fault *f)
{
    bool as_is = f->upstream_status > 0 &&
                 (p->cand.callers_secret || f->blame == AR_OF_CALLER || f->blame == AR_OF_MODEL);
    if (usefulness(f) >= usefulness(&p->best)) {
        int64_t sooner = p->best.retry_after_ms;
        bool same = p->best.code == f->code;
        p->best = *f;
        p->best_as_is = as_is;
        if (same && sooner >= 0 && (f->retry_after_ms < 0 || sooner < f->retry_after_ms)) {
            p->best.retry_after_ms = sooner;
        }
    }
}

static bool is_unreachable(enum ar_code code)
{
    return code == AR_UPSTREAM_CONNECT || code == AR_UPSTREAM_DNS || code == AR_UPSTREAM_TLS;
}

/* The same candidate once more: only after a place failure, when nothing else is left. */
static bool retry_same(struct ar_plan *p, const struct ar_fault *fault, int64_t now_ms)
{
    struct ar_candidate *c = &p->cand;
    if (!fault || fault->blame != AR_OF_PLACE ||
        (int64_t)p->retries >= c->upstream->conf->max_retries) {
        return false;
    }
    struct ar_plan_entry *e = &p->entries[c->entry];
    p->retries++;
    e->why = "retry";
    return take(p, e, c->base_at, c->key_at, true, now_ms);
}

enum ar_poll ar_plan_next(struct ar_plan *p, int64_t now_ms, const struct ar_fault *fault,
                          const struct ar_candidate **ret)
{
    bool by_key = true;
    if (fault) {
        struct ar_plan_entry *e = &p->entries[p->cand.entry];
        remember(p, fault);
        if (fault->blame == AR_OF_CALLER || fault->blame == AR_OF_US) {
            return AR_ENDED;
        }
        if (fault->blame == AR_OF_MODEL || fault->blame == AR_OF_UPSTREAM) {
            p->entry_at = p->cand.entry + 1;
        }
        if (is_unreachable(fault->code)) {
            e->dead_bases |= 1U << p->cand.base_at;
        }
        by_key = fault->blame != AR_OF_PLACE;
        e->key_from = p->cand.key_at;
        e->base_from = p->cand.base_at;
        e->why = by_key ? "other key" : "other place";
    }
    if (p->attempts >= p->max_attempts) {
        return AR_ENDED;
    }
    for (int soft = 0; soft < 2;
         soft++) { /* those that rest come after all that are fit, of any entry */
        for (unsigned i = p->entry_at; i < p->entry_count; i++) {
            if (take_from(p, &p->entries[i], by_key || i != p->cand.entry, soft, now_ms)) {
                *ret = &p->cand;
                return AR_READY;
            }
        }
    }
    if (p->taken && p->entry_at <= p->cand.entry && retry_same(p, fault, now_ms)) {
        *ret = &p->cand;
        return AR_READY;
    }
    return AR_ENDED;
}

enum {
    REST_CONNECT_MS = 2000,
    REST_RATE_MS = 5000,
    REST_KEY_MS = 60000,
    REST_PLACE_MS = 5000,
    REST_MAX_MS = 3600000,
    FAILS_TO_REST = 3
};

static void teach_key(struct ar_health *h, const struct ar_fault *f, int64_t now_ms)
{
    if (f->retry_after_ms >= 0) {
        ar_health_rest(
            h, now_ms + (f->retry_after_ms < REST_MAX_MS ? f->retry_after_ms : REST_MAX_MS), true);
    } else {
        ar_health_rest(
            h, now_ms + (f->code == AR_UPSTREAM_RATE_LIMITED ? REST_RATE_MS : REST_KEY_MS), false);
    }
}

static void teach_place(struct ar_health *h, const struct ar_fault *f, int64_t now_ms)
{
    int fails = ar_health_fail(h);
    if (is_unreachable(f->code)) {
        ar_health_rest(h, now_ms + REST_CONNECT_MS, false);
    } else if (f->retry_after_ms > 0) {
        ar_health_rest(
            h, now_ms + (f->retry_after_ms < REST_MAX_MS ? f->retry_after_ms : REST_MAX_MS), false);
    } else if (fails >= FAILS_TO_REST) {
        int doublings = fails - FAILS_TO_REST < 4 ? fails - FAILS_TO_REST : 4;
        ar_health_rest(h, now_ms + (REST_PLACE_MS << doublings), false);
    }
}

void ar_plan_report(struct ar_plan *p, const struct ar_candidate *c, const struct ar_fault *fault,
                    int64_t tokens, int64_t now_ms)
{
    struct ar_health *base = c->base ? c->base->health : NULL;
    AR_ASSERT(p->taken);
    p->taken = true;
    ar_health_give(c->key_health, &c->limits, tokens, now_ms);
    if (base) {
        atomic_fetch_sub_explicit(&base->in_flight, 1, memory_order_relaxed);
    }
    if (!fault) {
        ar_health_recover(c->key_health);
        ar_health_recover(base);
    } else if (fault->blame == AR_OF_KEY) {
        teach_key(c->key_health, fault, now_ms);
    } else if (fault->blame == AR_OF_PLACE && fault->code != AR_CLIENT_CLOSED) {
        teach_place(base, fault, now_ms);
    }
}

void ar_plan_verdict(const struct ar_plan *p, int64_t now_ms, struct ar_fault *ret, bool *ret_as_is)
{
    *ret_as_is = p->best_as_is;
    *ret = p->best;
    if (ret->code == AR_OK) { /* nobody was even tried: all rest because they were told to */
        *ret = (struct ar_fault){
            .code = AR_UPSTREAM_RATE_LIMITED, .blame = AR_OF_KEY, .retry_after_ms = -1};
        ret->message = AR_LIT(
            "every key of the upstreams that serve this model is resting after a rate limit");
        *ret_as_is = false;
    }
    bool waits = ret->code == AR_UPSTREAM_RATE_LIMITED || ret->code == AR_UPSTREAM_OVERLOADED ||
                 ret->code == AR_NO_UPSTREAM;
    if (waits && ret->retry_after_ms < 0) {
        ret->retry_after_ms = p->rest_until_ms > now_ms ? p->rest_until_ms - now_ms : 5000;
    }
}
