/*
 * Who could serve: entries (upstream, model, dialect) in order of preference, each with a grid of
 * base URLs and keys; and the process-wide state of routing. Where to go after a failure is
 * moves.c. It owns nothing but arena memory; it reads configuration and never touches a socket.
 */
#include "route/plan_impl.h"

#include "json/scan.h"

#include <math.h>
#include <stdio.h>

enum { ENTRIES_MAX = 64, PRIORITY_MAX = 1 << 18 };

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
                                            const struct ar_plan_ask *ask, struct ar_str sent)
{
    if (u->provider->flags & AR_PLACE_GENERATOR) {
        return &ar_dialect_chat; /* never seen on a wire */
    }
    const struct ar_dialect *only = ask->client ? ar_upstream_only(u, sent) : NULL;
    if (only) {
        return only;
    }
    if (ask->client && ar_upstream_speaks(u, ask->client)) {
        return ask->client;
    }
    static const unsigned EMBEDDERS[] = {AR_DIALECT_CHAT, AR_DIALECT_GEMINI};
    for (size_t i = 0; ask->embeds && i < sizeof EMBEDDERS / sizeof *EMBEDDERS; i++) {
        if (ar_upstream_speaks(u, ar_dialect_by_id(EMBEDDERS[i]))) {
            return ar_dialect_by_id(EMBEDDERS[i]);
        }
    }
    return ask->embeds ? NULL : ar_upstream_translates_to(u);
}

/* Adds u for a model unless it cannot be used at all. *wants: the first that could,
 * with a secret. */
static void add_entry(struct ar_plan *p, const struct ar_plan_ask *ask, const struct ar_upstream *u,
                      struct ar_str sent, const char *why, const struct ar_upstream **wants)
{
    if (p->entry_count == p->entry_cap) {
        return;
    }
    bool local = (u->provider->flags & AR_PLACE_LOCAL) != 0;
    bool callers = u->passthrough && p->client_key_count > 0;
    if (u->key_count == 0 && !callers && !local) {
        *wants = *wants || !u->passthrough ? *wants : u;
        return;
    }
    if (ask->callers_only && !callers) {
        *wants = *wants ? *wants : u;
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
    const struct ar_dialect *d = dialect_for(u, ask, sent);
    if (!d) {
        return;
    }
    struct ar_plan_entry *e = &p->entries[p->entry_count];
    *e =
        (struct ar_plan_entry){.u = u, .dialect = d, .model = sent, .why = why, .callers = callers};
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
                weight = (int64_t)ar_plan_weight(v[i].u->conf->weight);
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
                          const struct wishes *w, const struct ar_upstream **wants)
{
    const struct ar_upstreams *all = ask->snapshot->upstreams;
    struct ranked v[ENTRIES_MAX];
    unsigned n = 0, seen = 0;
    struct ar_str sent;
    (void)ar_route_alias(p->conf, model, &model);
    for (unsigned i = 0; i < all->n && n < ENTRIES_MAX; i++) {
        const struct ar_upstream *u = &all->v[i];
        if (!ask->any_model && !can_carry(u, ask) && ar_upstream_serves(u, model, &sent)) {
            return 1; /* its own, and it cannot: no other stands in */
        }
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
        add_entry(p, ask, v[i].u, v[i].sent, i == 0 ? "first" : "next", wants);
    }
    return seen;
}

/* Adds a name that begins like the one asked for to the list of near ones. */
static void add_near(struct ar_str model, struct ar_str name, char *near, size_t cap)
{
    size_t n = strlen(near);
    name = ar_str_head(name, 40);
    if (name.n > 1 && n + name.n + 2 < cap &&
        ar_str_find_nocase(name, ar_str_head(model, model.n < 4 ? model.n : 4)) < name.n &&
        ar_str_find(ar_str_of(near), name) == n) {
        (void)snprintf(near + n, cap - n, "%s%.*s", n > 0 ? ", " : "", AR_FMT(name));
    }
}

static enum ar_code not_found(const struct ar_plan_ask *ask, struct ar_err *err)
{
    const struct ar_upstreams *all = ask->snapshot->upstreams;
    char near[96] = "";
    bool known = false;
    for (unsigned i = 0; i < all->n; i++) {
        const struct ar_upstream *u = &all->v[i];
        struct ar_str globs = ar_str_of(u->conf->has_models ? "" : u->provider->models), glob;
        known |= ar_str_is(ask->pin, u->name);
        for (unsigned k = 0; k < u->conf->model_count; k++) {
            add_near(ask->model, u->conf->models[k].from, near, sizeof near);
        }
        while (ar_str_split(&globs, ' ', &glob)) {
            size_t at = ar_str_find_char(glob, '='); /* gemini=gemini-* */
            add_near(ask->model, at < glob.n ? ar_str_from(glob, at + 1) : glob, near, sizeof near);
        }
    }
    if (ask->pin.n > 0) {
        return ar_fail(err, AR_MODEL_NOT_FOUND,
                       known ? "upstream %.*s does not serve model %.*s"
                             : "there is no upstream %.*s (model %.*s)",
                       AR_FMT(ar_str_head(ask->pin, 40)), AR_FMT(ar_str_head(ask->model, 60)));
    }
    return ar_fail(err, AR_MODEL_NOT_FOUND, "no upstream serves model %.*s%s%s",
                   AR_FMT(ar_str_head(ask->model, 60)),
                   near[0] ? "; near: " : "; see GET /v1/models", near);
}

/* The model is served, but by nobody for this request. wants: who would with the caller's key. */
static enum ar_code not_usable(const struct ar_plan_ask *ask, const struct ar_upstream *wants,
                               struct ar_err *err)
{
    struct ar_str model = ar_str_head(ask->model, 40);
    if (wants) {
        return ar_fail(err, AR_KEY_MISSING,
                       "model %.*s is served by upstream %.*s with your own key: send it as "
                       "Authorization: Bearer or x-api-key",
                       AR_FMT(model), AR_FMT(ar_str_head(wants->name, 24)));
    }
    if (ask->as_bytes && !ask->any_model) {
        return ar_fail(err, AR_ENDPOINT_NOT_SUPPORTED,
                       "no upstream of model %.*s %s; it is served on /v1/chat/completions, "
                       "/v1/responses, /v1/messages and /v1beta/models",
                       AR_FMT(model), ask->embeds ? "has embeddings" : "answers this path");
    }
    return ar_fail(err, AR_NO_UPSTREAM, "no upstream can take this request");
}

enum ar_code ar_plan_make(const struct ar_plan_ask *ask, struct ar_arena *a, struct ar_plan **ret,
                          struct ar_err *err)
{
    struct ar_plan *p = ar_arena_new(a, struct ar_plan);
    struct ar_jdoc wish_doc = {.nodes = NULL}, models_doc = {.nodes = NULL};
    struct wishes w = {.no_fallbacks = false};
    const struct ar_upstream *wants = NULL; /* the caller's key */
    if (!p) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    p->arena = a;
    p->route = ask->route;
    p->conf = ask->snapshot->config;
    p->max_attempts =
        p->conf->max_attempts < UINT32_MAX ? (unsigned)p->conf->max_attempts : UINT32_MAX;
    p->rand = ask->rand;
    p->only_key = ask->only_key;
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
    unsigned found = add_model(p, ask, ask->model, &w, &wants);
    if (more) {
        struct ar_jiter it = ar_json_iter(ar_json_root(&models_doc));
        while (ar_json_next(&it)) {
            struct ar_str name = ar_json_unescape_in(ar_json_esc(it.val), a);
            found +=
                name.p && !ar_str_is(name, ask->model) ? add_model(p, ask, name, &w, &wants) : 0;
        }
    }
    if (found == 0) {
        return not_found(ask, err);
    }
    if (p->entry_count == 0) {
        return not_usable(ask, wants, err);
    }
    *ret = p;
    return AR_OK;
}
