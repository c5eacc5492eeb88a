/*
 * The plan: entries (upstream, model, dialect) in order of preference; within an entry a grid of
 * base URLs and keys. A failure moves along the grid by what failed (key: same place, next key;
 * place: same key, next place), then through the rest of the grid, then to the next entry. It owns
 * nothing but arena memory; it reads health and configuration and never touches a socket.
 */
#include "route/plan.h"

#include "base/hash.h"
#include "json/scan.h"

#include <math.h>
#include <stdio.h>

enum { ENTRIES_MAX = 64, WEIGHT_MAX = 1000000, PRIORITY_MAX = 1 << 18 };

struct entry {
    const struct ar_upstream *u;
    const struct ar_dialect *dialect;
    struct ar_str model;
    const char *why;
    bool callers;         /* keys are the caller's */
    bool started;         /* key_from and base_from are set */
    unsigned keys, bases; /* sizes of the grid; keys at least 1 */
    unsigned key_from, base_from;
    uint64_t *tried;     /* a base each; bit k: (base, key k) was taken */
    unsigned dead_bases; /* bits: nobody answers there */
};

struct ar_plan {
    struct ar_arena *arena;
    struct ar_route *route;
    struct ar_rand *rand;
    const struct ar_config *conf;
    struct ar_str client_list; /* the caller's keys as they came */
    struct ar_str *client_keys;
    unsigned client_key_count;
    struct entry *entries;
    unsigned entry_count, entry_cap, entry_at;
    unsigned attempts, max_attempts, retries;
    struct ar_candidate cand;
    bool taken;
    struct ar_fault best; /* the most useful so far */
    bool best_as_is;
    int64_t rest_until_ms; /* earliest end of the hard rests met; 0: none */
};

enum ar_code ar_route_init(struct ar_route *r)
{
    r->own = ar_health_table_new(16384, 0);
    r->strangers = ar_health_table_new(65536, 3600000);
    return r->own && r->strangers ? AR_OK : AR_INTERNAL;
}

void ar_route_done(struct ar_route *r)
{
    ar_health_table_free(r->own);
    ar_health_table_free(r->strangers);
}

void ar_route_attach(struct ar_route *r, struct ar_upstreams *all)
{
    char id[512];
    for (unsigned i = 0; i < all->n; i++) {
        struct ar_upstream *u = &all->v[i];
        u->health = ar_health_get(r->own, "upstream", u->name, 0);
        for (unsigned b = 0; b < u->base_count; b++) {
            int n = snprintf(id, sizeof id, "%.*s %.*s", AR_FMT(u->name), AR_FMT(u->bases[b].url));
            u->bases[b].health = ar_health_get(
                r->own, "base", ar_str_n(id, (size_t)n < sizeof id ? (size_t)n : sizeof id - 1), 0);
        }
        for (unsigned k = 0; k < u->key_count; k++) {
            int n = snprintf(id, sizeof id, "%.*s %s", AR_FMT(u->name), u->keys[k].print);
            u->keys[k].health = ar_health_get(
                r->own, "key", ar_str_n(id, (size_t)n < sizeof id ? (size_t)n : sizeof id - 1), 0);
        }
    }
}

bool ar_route_alias(const struct ar_config *c, struct ar_str model, struct ar_str *ret)
{
    for (unsigned i = 0; i < c->alias_count; i++) {
        if (ar_str_is(c->aliases[i].from, model)) {
            *ret = c->aliases[i].to;
            return true;
        }
    }
    return false;
}

/* OpenRouter's provider{}: obeyed for everybody but routers. */
struct wishes {
    struct ar_jval only, ignore, order;
    bool no_fallbacks;
};

static bool names(struct ar_jval list, const struct ar_upstream *u, uint32_t *ret_at)
{
    struct ar_jiter it = ar_json_iter(list);
    for (uint32_t i = 0; ar_json_next(&it); i++) {
        struct ar_str s = ar_json_esc(it.val);
        if (s.p &&
            (ar_str_is_nocase(s, u->name) || ar_str_is_nocase(s, ar_str_of(u->provider->name)))) {
            *ret_at = i;
            return true;
        }
    }
    return false;
}

static bool is_wished(const struct wishes *w, const struct ar_upstream *u)
{
    uint32_t at;
    if (u->provider->flags & AR_PLACE_ROUTER) {
        return true;
    }
    if (w->only.doc && !names(w->only, u, &at)) {
        return false;
    }
    return !names(w->ignore, u, &at) &&
           !(w->no_fallbacks && w->order.doc && !names(w->order, u, &at));
}

static unsigned split_keys(struct ar_str list, struct ar_arena *a, struct ar_str **ret)
{
    struct ar_str piece, *v = list.n > 0 ? ar_arena_alloc(a, AR_KEYS_MAX * sizeof *v) : NULL;
    unsigned n = 0;
    while (v && n < AR_KEYS_MAX && ar_str_split(&list, ',', &piece)) {
        piece = ar_str_trim(piece);
        if (piece.n > 0) {
            v[n++] = piece;
        }
    }
    *ret = v;
    return n;
}

static const struct ar_dialect *dialect_for(const struct ar_upstream *u,
                                            const struct ar_plan_ask *ask)
{
    if (u->provider->flags & AR_PLACE_GENERATOR) {
        return &ar_dialect_chat; /* never seen on a wire */
    }
    return ask->client && ar_upstream_speaks(u, ask->client) ? ask->client
           : u->dialect_count > 0                            ? u->dialects[0]
                                                             : NULL;
}

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
static uint64_t weight_of(int64_t weight)
{
    return (uint64_t)(weight < WEIGHT_MAX ? ar_tokens(weight) : WEIGHT_MAX);
}

/* Spreads turn t over n keys by weight: proportional, and neighbours in time are different keys. */
static unsigned weighted_at(const struct ar_key *keys, unsigned n, uint64_t t)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++) {
        sum += weight_of(keys[i].conf->weight);
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
        uint64_t w = weight_of(keys[i].conf->weight);
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
static void start_grid(struct ar_plan *p, struct entry *e, int64_t now_ms)
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

/* Adds u for a model unless it cannot be used at all. *ret_needs_key: it could, with a secret. */
static void add_entry(struct ar_plan *p, const struct ar_plan_ask *ask, const struct ar_upstream *u,
                      struct ar_str sent, const char *why, bool *ret_needs_key)
{
    if (p->entry_count == p->entry_cap) {
        return;
    }
    bool local = (u->provider->flags & AR_PLACE_LOCAL) != 0;
    bool callers = u->passthrough && p->client_key_count > 0;
    if (u->key_count == 0 && !callers && !local) {
        *ret_needs_key = true;
        return;
    }
    if (ask->callers_only && !callers) {
        *ret_needs_key = true;
        return;
    }
    for (unsigned i = 0; callers && i < p->entry_count; i++) {
        if (p->entries[i].callers && p->entries[i].u != u) {
            callers = false; /* the caller's secret goes to one upstream only */
            if (ask->callers_only || (u->key_count == 0 && !local)) {
                return;
            }
        }
    }
    const struct ar_dialect *d = dialect_for(u, ask);
    if (!d) {
        return;
    }
    struct entry *e = &p->entries[p->entry_count];
    *e = (struct entry){.u = u, .dialect = d, .model = sent, .why = why, .callers = callers};
    e->keys = callers                      ? p->client_key_count
              : u->key_count > AR_KEYS_MAX ? AR_KEYS_MAX
              : u->key_count > 0           ? u->key_count
                                           : 1;
    e->bases = u->base_count > AR_BASES_MAX ? AR_BASES_MAX : u->base_count;
    e->tried = ar_arena_zalloc(p->arena, e->bases * sizeof *e->tried);
    p->entry_count += e->tried != NULL;
}

struct ranked {
    const struct ar_upstream *u;
    struct ar_str sent;
    int64_t order; /* lower first */
};

/* Upstreams of equal priority share by balance; a wished order comes before everything. */
static void rank(struct ranked *v, unsigned n, const struct ar_plan_ask *ask, struct ar_str model,
                 const struct wishes *w)
{
    struct ar_str how = ask->snapshot->config->balance;
    struct ar_health *h =
        n > 1 ? ar_health_get(ask->route->strangers, "balance", model, ask->now_ms) : NULL;
    uint64_t t = n > 1 ? ar_health_turn(h) : 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned peers = 0, mine = 0;
        int64_t priority = v[i].u->conf->priority,
                weight = (int64_t)weight_of(v[i].u->conf->weight);
        for (unsigned k = 0; k < n; k++) {
            if (v[k].u->conf->priority == v[i].u->conf->priority) {
                mine = k == i ? peers : mine;
                peers++;
            }
        }
        int64_t share = (int64_t)((mine + peers - t % peers) % peers);
        if (ar_str_is_lit(how, "least_used") && v[i].u->health) {
            share = 0;
            for (unsigned b = 0; b < v[i].u->base_count; b++) {
                struct ar_health *base = v[i].u->bases ? v[i].u->bases[b].health : NULL;
                share += base ? atomic_load_explicit(&base->in_flight, memory_order_relaxed) : 0;
            }
        } else if (ar_str_is_lit(how, "random")) {
            share = (int64_t)ar_rand_below(ask->rand, 1000);
        } else if (ar_str_is_lit(how, "weighted")) { /* exponential race: first with weight / sum */
            double u = (double)(ar_rand_below(ask->rand, 1000000) + 1) / 1000001;
            share = (int64_t)(-log(u) * 1e6 / (double)(weight > 0 ? weight : 1)) +
                    (weight > 0 ? 0 : 1 << 28);
        }
        uint32_t wished = 0;
        bool in_order =
            !(v[i].u->provider->flags & AR_PLACE_ROUTER) && names(w->order, v[i].u, &wished);
        int64_t first = w->order.doc ? (in_order ? (int64_t)wished : 1000) : 0;
        priority = priority < PRIORITY_MAX ? priority : PRIORITY_MAX;
        v[i].order = (first << 50) + (priority << 30) + (share < (1 << 29) ? share : (1 << 29));
    }
    for (unsigned i = 1; i < n; i++) { /* insertion sort: stable, a handful of rows */
        struct ranked x = v[i];
        unsigned at = i;
        while (at > 0 && v[at - 1].order > x.order) {
            v[at] = v[at - 1];
            at--;
        }
        v[at] = x;
    }
}

/* A generator answers requests that were read, never a pass-through's bytes. */
static bool can_carry(const struct ar_upstream *u, const struct ar_plan_ask *ask)
{
    return !(ask->as_bytes || ask->any_model) || !(u->provider->flags & AR_PLACE_GENERATOR);
}

/* What this process answers itself never leaves it: no other upstream stands in for a generator. */
static unsigned keep_generators(struct ranked *v, unsigned n)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < n; i++) {
        if (v[i].u->provider->flags & AR_PLACE_GENERATOR) {
            v[kept++] = v[i];
        }
    }
    return kept > 0 ? kept : n;
}

/* All upstreams that serve one model, in order, into the plan. Returns how many were found. */
static unsigned add_model(struct ar_plan *p, const struct ar_plan_ask *ask, struct ar_str model,
                          const struct wishes *w, bool *needs_key)
{
    const struct ar_upstreams *all = ask->snapshot->upstreams;
    struct ranked v[ENTRIES_MAX];
    unsigned n = 0, seen = 0;
    struct ar_str sent;
    (void)ar_route_alias(p->conf, model, &model);
    for (unsigned i = 0; i < all->n && n < ENTRIES_MAX; i++) {
        const struct ar_upstream *u = &all->v[i];
        bool pinned = can_carry(u, ask) && (ask->pin.n == 0 || ar_str_is(ask->pin, u->name));
        bool serves = ask->any_model ? !ask->client || ar_upstream_speaks(u, ask->client)
                                     : ar_upstream_serves(u, model, &sent);
        sent = ask->any_model ? model : sent;
        if (pinned && serves && is_wished(w, u)) {
            v[n++] = (struct ranked){u, sent, 0};
        }
    }
    size_t slash = ar_str_find_char(model, '/');
    for (unsigned i = 0; n == 0 && slash < model.n && i < all->n; i++) { /* name/rest pins */
        const struct ar_upstream *u = &all->v[i];
        struct ar_str name = ar_str_head(model, slash), rest = ar_str_from(model, slash + 1);
        bool named = ar_str_is(name, u->name) || ar_str_is(name, ar_str_of(u->provider->name));
        if (named && can_carry(u, ask) && (ask->pin.n == 0 || ar_str_is(ask->pin, u->name))) {
            v[n++] = (struct ranked){u, ar_upstream_serves(u, rest, &sent) ? sent : rest, 0};
        }
    }
    n = keep_generators(v, n);
    rank(v, n, ask, model, w);
    for (unsigned i = 0; i < n; i++) {
        seen++;
        add_entry(p, ask, v[i].u, v[i].sent, i == 0 ? "first" : "next", needs_key);
    }
    return seen;
}

static enum ar_code not_found(const struct ar_plan_ask *ask, struct ar_err *err)
{
    const struct ar_upstreams *all = ask->snapshot->upstreams;
    char near[96] = "";
    size_t n = 0;
    for (unsigned i = 0; i < all->n; i++) {
        for (unsigned k = 0; k < all->v[i].conf->model_count; k++) {
            struct ar_str from = all->v[i].conf->models[k].from;
            size_t head = ask->model.n < 4 ? ask->model.n : 4;
            if (from.n >= head &&
                ar_str_find_nocase(from, ar_str_head(ask->model, head)) < from.n &&
                n < sizeof near) {
                n += (size_t)snprintf(near + n, sizeof near - n, "%s%.*s", n > 0 ? ", " : "",
                                      AR_FMT(ar_str_head(from, 40)));
            }
        }
    }
    if (ask->pin.n > 0) {
        bool known = false;
        for (unsigned i = 0; i < all->n; i++) {
            known |= ar_str_is(ask->pin, all->v[i].name);
        }
        return ar_fail(err, AR_MODEL_NOT_FOUND,
                       known ? "upstream %.*s does not serve model %.*s"
                             : "there is no upstream %.*s (model %.*s)",
                       AR_FMT(ar_str_head(ask->pin, 40)), AR_FMT(ar_str_head(ask->model, 60)));
    }
    return ar_fail(err, AR_MODEL_NOT_FOUND, "no upstream serves model %.*s%s%s",
                   AR_FMT(ar_str_head(ask->model, 60)),
                   near[0] ? "; near: " : "; see GET /v1/models", near);
}

enum ar_code ar_plan_make(const struct ar_plan_ask *ask, struct ar_arena *a, struct ar_plan **ret,
                          struct ar_err *err)
{
    struct ar_plan *p = ar_arena_new(a, struct ar_plan);
    struct ar_jdoc wish_doc = {.nodes = NULL}, models_doc = {.nodes = NULL};
    struct wishes w = {.no_fallbacks = false};
    bool needs_key = false;
    if (!p) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    p->arena = a;
    p->route = ask->route;
    p->conf = ask->snapshot->config;
    p->max_attempts =
        p->conf->max_attempts < UINT32_MAX ? (unsigned)p->conf->max_attempts : UINT32_MAX;
    p->rand = ask->rand;
    p->client_list = ask->client_keys;
    p->client_key_count = split_keys(ask->client_keys, a, &p->client_keys);
    if (ask->wishes.p && ar_json_parse(ask->wishes, AR_JSON_DEPTH, a, &wish_doc, err) == AR_OK) {
        struct ar_jval root = ar_json_root(&wish_doc);
        w = (struct wishes){ar_json_get_lit(root, "only"), ar_json_get_lit(root, "ignore"),
                            ar_json_get_lit(root, "order"),
                            ar_json_is(ar_json_get_lit(root, "allow_fallbacks"), AR_J_FALSE)};
    }
    bool more =
        ask->models.p && ar_json_parse(ask->models, AR_JSON_DEPTH, a, &models_doc, err) == AR_OK;
    p->entry_cap =
        ask->snapshot->upstreams->n * (more ? 1 + ar_json_count(ar_json_root(&models_doc)) : 1);
    p->entry_cap = p->entry_cap < ENTRIES_MAX ? p->entry_cap : ENTRIES_MAX;
    p->entries = ar_arena_alloc(a, (p->entry_cap + 1) * sizeof *p->entries);
    if (!p->entries) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    unsigned found = add_model(p, ask, ask->model, &w, &needs_key);
    if (more) {
        struct ar_jiter it = ar_json_iter(ar_json_root(&models_doc));
        while (ar_json_next(&it)) {
            struct ar_str name = ar_json_unescape_in(ar_json_esc(it.val), a);
            found += name.p && !ar_str_is(name, ask->model)
                         ? add_model(p, ask, name, &w, &needs_key)
                         : 0;
        }
    }
    if (found == 0) {
        return not_found(ask, err);
    }
    if (p->entry_count == 0) {
        return needs_key ? ar_fail(err, AR_KEY_MISSING,
                                   "send your key as Authorization: Bearer or x-api-key")
                         : ar_fail(err, AR_NO_UPSTREAM, "no upstream can take this request");
    }
    *ret = p;
    return AR_OK;
}

static struct ar_health *key_health(struct ar_plan *p, const struct entry *e, unsigned k,
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

/* Takes (base b, key k) of e if its health allows. soft: those that rest without being told to are
 * fine too. */
static bool take(struct ar_plan *p, struct entry *e, unsigned b, unsigned k, bool soft,
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
    if (c->key) {
        memcpy(c->key_print, c->key->print, sizeof c->key_print);
    } else if (c->secret.n > 0) { /* a stranger's: told apart within this process only */
        (void)snprintf(c->key_print, sizeof c->key_print, "%08x",
                       (unsigned)ar_hash64(c->secret, 0));
    }
    if (bh) {
        atomic_fetch_add_explicit(&bh->in_flight, 1, memory_order_relaxed);
    }
    p->taken = true;
    return true;
}

/* Looks through the grid of e from (base_from, key_from); by_key: the next key of the same base
 * comes before the next base. */
static bool take_from(struct ar_plan *p, struct entry *e, bool by_key, bool soft, int64_t now_ms)
{
    unsigned outer = by_key ? e->bases : e->keys, inner = by_key ? e->keys : e->bases;
    if (!e->started) {
        start_grid(p, e, now_ms);
    }
    for (unsigned o = 0; o < outer; o++) {
        for (unsigned i = 0; i < inner; i++) {
            unsigned b = (e->base_from + (by_key ? o : i)) % e->bases;
            unsigned k = (e->key_from + (by_key ? i : o)) % e->keys;
            bool open = !(e->tried[b] >> k & 1) && !(e->dead_bases >> b & 1);
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
    struct entry *e = &p->entries[c->entry];
    p->retries++;
    e->why = "retry";
    return take(p, e, c->base_at, c->key_at, true, now_ms);
}

enum ar_poll ar_plan_next(struct ar_plan *p, int64_t now_ms, const struct ar_fault *fault,
                          const struct ar_candidate **ret)
{
    bool by_key = true;
    if (fault) {
        struct entry *e = &p->entries[p->cand.entry];
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
