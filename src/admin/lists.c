/*
 * Lists of models: names that the configuration spells out, the built-in ones, and what the
 * upstreams list, fetched when somebody asks and kept for some minutes; a few lists at most, one a
 * caller's key: who brings his own key sees what an upstream lists to it, nobody else does.
 *
 * One run at a time fetches for one list: every upstream at once, each with its configured headers;
 * a refused key is followed by the next key, a failed place by the next place, until the run's time
 * is over. Who did not answer is left out, and such a list is kept for seconds only. It owns the
 * lists and the exchanges of the run; the run borrows the snapshot, so it is dropped before that
 * goes.
 */
#include "admin/lists.h"

#include "base/hash.h"
#include "base/map.h"
#include "http/url.h"
#include "io/loop.h"
#include "json/scan.h"
#include "provider/upstream.h"

#include <stdlib.h>

enum {
    LISTS_MAX = 16,
    FRESH_MS = 300000,
    HOLED_MS = 5000,    /* a list in which an upstream is missing */
    PATIENCE_MS = 3000, /* of a run */
    TRY_MS = 1000,      /* of one try, when there is another place */
    TRIES_MAX = 8,      /* of one upstream */
    LIST_MAX_BYTES = 8 << 20,
    OWN_HEADERS = 4
};

struct list {
    struct ar_model_list list;
    struct ar_arena arena;
    uint64_t caller;     /* hash of his key and pin; 0: the operator's keys only */
    uint64_t generation; /* snapshot it belongs to; 0: empty */
    int64_t fetched_ms, used_ms;
    bool holed;
};

struct fetch {
    const struct ar_upstream *u;
    struct ar_exchange *x; /* NULL: over */
    struct ar_exchange_spec spec;
    struct ar_header *headers;
    struct ar_strs keys; /* n 0: none is needed */
    bool callers, got;
    unsigned key_at, base_at, tries;
    int64_t until_ms; /* of this try */
    struct ar_buf body;
};

struct ar_model_cache {
    struct ar_loop *loop;
    struct ar_pool *pool;
    struct list lists[LISTS_MAX];
    uint64_t newest;       /* older snapshots may go while a fetch runs: none for them */
    struct ar_waker waker; /* nobody sleeps on it: the asker comes again */
    /* the run; snapshot NULL: none */
    const struct ar_snapshot *snapshot;
    uint64_t caller;
    int64_t begun_ms;
    struct ar_arena working;
    struct fetch *fetches; /* owns */
    unsigned count;
};

static void wake_nobody(struct ar_waker *w)
{
    (void)w;
}

struct ar_model_cache *ar_model_cache_new(struct ar_loop *l, struct ar_pool *p)
{
    struct ar_model_cache *c = calloc(1, sizeof *c);
    AR_ASSERT(c != NULL);
    c->loop = l;
    c->pool = p;
    c->waker.wake = wake_nobody;
    ar_arena_init(&c->working, 64U << 20);
    for (unsigned i = 0; i < LISTS_MAX; i++) {
        ar_arena_init(&c->lists[i].arena, 16U << 20);
    }
    return c;
}

static void end_try(struct fetch *f)
{
    if (f->x) {
        ar_exchange_close(f->x);
        f->x = NULL;
    }
}

static void end_run(struct ar_model_cache *c)
{
    for (unsigned i = 0; i < c->count; i++) {
        end_try(&c->fetches[i]);
        ar_buf_done(&c->fetches[i].body);
    }
    free(c->fetches);
    c->fetches = NULL;
    c->count = 0;
    c->snapshot = NULL;
    ar_arena_reset(&c->working);
}

void ar_model_cache_forget(struct ar_model_cache *c, uint64_t newest)
{
    c->newest = newest;
    end_run(c);
}

void ar_model_cache_free(struct ar_model_cache *c)
{
    if (c) {
        end_run(c);
        for (unsigned i = 0; i < LISTS_MAX; i++) {
            ar_arena_done(&c->lists[i].arena);
        }
        ar_arena_done(&c->working);
        free(c);
    }
}

/* --- what a list has --- */

static void add(struct list *l, struct ar_map *seen, struct ar_str id, struct ar_str owner)
{
    struct ar_strs *ids = &l->list.ids, *owners = &l->list.owners;
    unsigned cap = ids->n;
    if (id.n == 0 || id.n > 256 || ar_map_get(seen, id)) {
        return;
    }
    if ((cap & (cap + 1)) == 0) { /* grow at 0, 1, 3, 7, ... */
        struct ar_str *more_ids = ar_arena_alloc(&l->arena, (2 * cap + 1) * sizeof *more_ids);
        struct ar_str *more_owners = ar_arena_alloc(&l->arena, (2 * cap + 1) * sizeof *more_owners);
        if (!more_ids || !more_owners) {
            return;
        }
        if (cap > 0) {
            memcpy(more_ids, ids->v, cap * sizeof *more_ids);
            memcpy(more_owners, owners->v, cap * sizeof *more_owners);
        }
        ids->v = more_ids;
        owners->v = more_owners;
    }
    ids->v[ids->n] = ar_arena_copy(&l->arena, id);
    owners->v[owners->n++] = ar_arena_copy(&l->arena, owner);
    ar_map_put(seen, ids->v[ids->n++], l);
}

static bool is_exact(struct ar_str glob)
{
    return ar_str_find_char(glob, '*') == glob.n;
}

/* Names that are known without asking anybody. */
static void add_configured(struct list *l, const struct ar_snapshot *s, struct ar_map *seen)
{
#define X(name, kind, pace, doc) AR_LIT_INIT("echo/" name),
    static const struct ar_str ECHO[] = {
#include "provider/echo.def"
    };
#undef X
    for (unsigned i = 0; i < s->config->alias_count; i++) {
        add(l, seen, s->config->aliases[i].from, AR_LIT("alias"));
    }
    for (unsigned i = 0; i < s->upstreams->n; i++) {
        const struct ar_upstream *u = &s->upstreams->v[i];
        for (unsigned m = 0; m < u->conf->model_count; m++) {
            if (is_exact(u->conf->models[m].from)) {
                add(l, seen, u->conf->models[m].from, u->name);
            }
        }
        for (unsigned m = 0;
             (u->provider->flags & AR_PLACE_GENERATOR) && m < sizeof ECHO / sizeof *ECHO; m++) {
            add(l, seen, ECHO[m], u->name);
        }
    }
}

/* {"data":[{"id":...}]}, {"models":[{"id" or "name":...}]}, or a bare array. false: no list. */
static bool add_fetched(struct ar_model_cache *c, struct list *l, struct fetch *f,
                        struct ar_map *seen)
{
    struct ar_jdoc doc;
    struct ar_str sent;
    if (ar_json_parse(ar_buf_view(&f->body), AR_JSON_DEPTH, &c->working, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval root = ar_json_root(&doc), list = ar_json_get_lit(root, "data");
    list = list.doc ? list : ar_json_get_lit(root, "models");
    list = list.doc ? list : root;
    struct ar_jiter it = ar_json_iter(list);
    while (ar_json_next(&it)) {
        struct ar_jval id = ar_json_get_lit(it.val, "id");
        id = ar_json_is(id, AR_J_STRING) ? id : ar_json_get_lit(it.val, "name");
        struct ar_str name = ar_json_is(id, AR_J_STRING)
                                 ? ar_json_unescape_in(ar_json_esc(id), &c->working)
                                 : AR_LIT("");
        if (ar_str_has_prefix(name, AR_LIT("models/"))) { /* Gemini's: a path, not a name */
            name = ar_str_from(name, 7);
        }
        if (name.n > 0 && ar_upstream_serves(f->u, name, &sent)) {
            add(l, seen, name, f->u->name);
        }
    }
    return true;
}

/* --- one upstream --- */

/* A header of ours, where the operator set none of that name. */
static void put_own(const struct ar_upstream *u, struct ar_header h, struct ar_header *v,
                    unsigned *n)
{
    for (unsigned i = 0; i < u->conf->header_count; i++) {
        if (ar_str_is_nocase(u->conf->headers[i].name, h.name)) {
            return;
        }
    }
    v[(*n)++] = h;
}

static unsigned put_headers(struct ar_model_cache *c, struct fetch *f)
{
    const struct ar_upstream *u = f->u;
    struct ar_header *v = f->headers;
    unsigned n = 0;
    if (f->keys.n > 0) {
        ar_auth_put(u->provider, f->keys.v[f->key_at], f->callers, &c->working, v);
        n += v->value.n > 0;
    }
    for (unsigned i = 0; i < u->conf->header_count; i++) {
        v[n++] = (struct ar_header){u->conf->headers[i].name, u->conf->headers[i].value};
    }
    put_own(u, (struct ar_header){AR_LIT("accept"), AR_LIT("application/json")}, v, &n);
    put_own(u, (struct ar_header){AR_LIT("user-agent"), AR_LIT("anyrouter")}, v, &n);
    if (u->dialects[0] == &ar_dialect_anthropic) {
        put_own(u, (struct ar_header){AR_LIT("anthropic-version"), AR_LIT("2023-06-01")}, v, &n);
    }
    return n;
}

/* Starts the next try: the key and place that are set. */
static void start_try(struct ar_model_cache *c, struct fetch *f)
{
    const struct ar_upstream *u = f->u;
    const struct ar_base *b = &u->bases[f->base_at];
    bool more = f->tries + 1 < TRIES_MAX && f->base_at + 1 < u->base_count;
    int64_t now = ar_loop_now_ms(c->loop), left = c->begun_ms + PATIENCE_MS - now,
            wait = more && left > TRY_MS ? TRY_MS : left;
    bool gemini = u->dialects[0] == &ar_dialect_gemini;
    struct ar_str target =
        ar_base_join(b, gemini ? AR_LIT("/v1beta/models") : AR_LIT("/v1/models"), &c->working);
    f->headers =
        ar_arena_alloc(&c->working, (OWN_HEADERS + u->conf->header_count) * sizeof *f->headers);
    if (!f->headers || wait <= 0) {
        return;
    }
    if (gemini || u->dialects[0] == &ar_dialect_anthropic) { /* short pages, if not told */
        target = ar_arena_fmt(&c->working, "%.*s%c%s=1000", AR_FMT(target),
                              ar_str_find_char(target, '?') < target.n ? '&' : '?',
                              gemini ? "pageSize" : "limit");
    }
    f->spec = (struct ar_exchange_spec){.origin = &b->origin,
                                        .method = AR_LIT("GET"),
                                        .target = target,
                                        .headers = f->headers,
                                        .header_count = put_headers(c, f),
                                        .connect_ms = wait,
                                        .head_ms = wait,
                                        .idle_ms = wait,
                                        .waker = &c->waker};
    f->tries++;
    f->until_ms = now + wait;
    ar_buf_clear(&f->body);
    f->x = ar_exchange_start(c->pool, &f->spec);
}

/* After a failure: a refused key leads to the next key, all else to the next place. */
static void try_next(struct ar_model_cache *c, struct fetch *f, int status)
{
    bool of_key = status == 401 || status == 402 || status == 403 || status == 429;
    end_try(f);
    if (of_key) {
        f->key_at++;
    } else {
        f->base_at++;
    }
    if (f->tries < TRIES_MAX && f->base_at < f->u->base_count &&
        (f->key_at == 0 || f->key_at < f->keys.n)) {
        start_try(c, f);
    }
}

/* Moves a fetch on. true: it is over. */
static bool is_over(struct ar_model_cache *c, struct fetch *f)
{
    while (f->x) {
        struct ar_answer_head head = {.status = 0};
        struct ar_err err;
        struct ar_str piece;
        enum ar_poll p = ar_exchange_head(f->x, &head, &err);
        while (p == AR_READY && head.status == 200) {
            p = ar_exchange_peek(f->x, &piece, &err);
            if (p == AR_READY) {
                ar_buf_str(&f->body, piece);
                ar_exchange_eat(f->x, piece.n);
            }
        }
        if (p == AR_ENDED && ar_buf_finish(&f->body) == AR_OK) {
            f->got = true;
            end_try(f);
        } else if (p == AR_PENDING && ar_loop_now_ms(c->loop) < f->until_ms) {
            return false;
        } else {
            try_next(c, f, p == AR_READY ? head.status : 0);
        }
    }
    return true;
}

/* --- a run --- */

/* The upstream that gets the caller's keys: the one he names, else the first by priority. */
static const struct ar_upstream *callers_upstream(const struct ar_snapshot *s, struct ar_str pin)
{
    const struct ar_upstream *best = NULL;
    for (unsigned i = 0; i < s->upstreams->n; i++) {
        const struct ar_upstream *u = &s->upstreams->v[i];
        bool takes = u->passthrough && u->key_count == 0 &&
                     !(u->provider->flags & AR_PLACE_GENERATOR) &&
                     (pin.n == 0 || ar_str_is(u->name, pin));
        if (takes && (!best || u->conf->priority < best->conf->priority)) {
            best = u;
        }
    }
    return best;
}

static bool is_asked(const struct ar_upstream *u)
{
    bool all_exact = u->conf->has_models;
    for (unsigned m = 0; m < u->conf->model_count; m++) {
        all_exact &= is_exact(u->conf->models[m].from);
    }
    return !all_exact && u->base_count > 0 && !(u->provider->flags & AR_PLACE_GENERATOR) &&
           !(u->provider->quirks & AR_QUIRK(NO_MODELS));
}

/* Secrets to be tried, copied: the run outlives the asker. */
static void fill_keys(struct ar_model_cache *c, struct fetch *f, struct ar_str callers)
{
    const struct ar_upstream *u = f->u;
    struct ar_str *v = ar_arena_alloc(&c->working, AR_KEYS_MAX * sizeof *v), one;
    unsigned n = 0;
    for (unsigned i = 0; v && i < u->key_count && n < AR_KEYS_MAX; i++) {
        v[n++] = u->keys[i].secret;
    }
    while (v && u->key_count == 0 && n < AR_KEYS_MAX && callers.n > 0 &&
           ar_str_split(&callers, ',', &one)) {
        one = ar_str_trim(one);
        if (one.n > 0) {
            f->callers = true;
            v[n++] = ar_arena_copy(&c->working, one);
        }
    }
    f->keys = (struct ar_strs){v, n};
}

static void start_run(struct ar_model_cache *c, uint64_t who, const struct ar_local_ask *ask,
                      struct ar_str pin)
{
    const struct ar_snapshot *s = ask->snapshot;
    const struct ar_upstream *theirs = callers_upstream(s, pin);
    end_run(c);
    c->snapshot = s;
    c->caller = who;
    c->begun_ms = ar_loop_now_ms(c->loop);
    c->fetches = calloc(s->upstreams->n + 1U, sizeof *c->fetches);
    AR_ASSERT(c->fetches != NULL);
    for (unsigned i = 0; s->generation >= c->newest && i < s->upstreams->n; i++) {
        struct fetch *f = &c->fetches[c->count];
        f->u = &s->upstreams->v[i];
        if (!is_asked(f->u)) {
            continue;
        }
        fill_keys(c, f, f->u == theirs ? ask->secrets : AR_LIT(""));
        if (f->keys.n > 0 || (f->u->provider->flags & AR_PLACE_LOCAL)) {
            ar_buf_init(&f->body, LIST_MAX_BYTES);
            c->count++;
            start_try(c, f);
        }
    }
}

/* The list that was longest of no use to anybody; those of another snapshot first. */
static struct list *victim(struct ar_model_cache *c, uint64_t generation)
{
    struct list *l = &c->lists[0];
    for (unsigned i = 1; i < LISTS_MAX; i++) {
        struct list *one = &c->lists[i];
        bool l_old = l->generation != generation, one_old = one->generation != generation;
        if (one_old != l_old ? one_old : one->used_ms < l->used_ms) {
            l = one;
        }
    }
    return l;
}

static struct list *find(struct ar_model_cache *c, uint64_t who, uint64_t generation)
{
    for (unsigned i = 0; i < LISTS_MAX; i++) {
        if (c->lists[i].generation == generation && c->lists[i].caller == who) {
            return &c->lists[i];
        }
    }
    return NULL;
}

/* The run is over: its list takes the place of its older self, or of the least useful. */
static struct list *keep_run(struct ar_model_cache *c, int64_t now)
{
    const struct ar_snapshot *s = c->snapshot;
    struct list *l = find(c, c->caller, s->generation);
    l = l ? l : victim(c, s->generation);
    struct ar_map seen;
    ar_map_init(&seen, 1);
    ar_arena_reset(&l->arena);
    l->list = (struct ar_model_list){.ids = {NULL, 0}};
    l->holed = false;
    add_configured(l, s, &seen);
    for (unsigned i = 0; i < c->count; i++) {
        struct fetch *f = &c->fetches[i];
        bool whole = f->got && add_fetched(c, l, f, &seen);
        l->holed |= !whole;
    }
    ar_map_done(&seen);
    l->caller = c->caller;
    l->generation = s->generation;
    l->fetched_ms = now;
    end_run(c);
    return l;
}

static bool is_run_over(struct ar_model_cache *c)
{
    bool all = true;
    for (unsigned i = 0; i < c->count; i++) {
        all &= is_over(c, &c->fetches[i]);
    }
    return all;
}

const struct ar_model_list *ar_model_list(struct ar_model_cache *c, const struct ar_local_ask *ask)
{
    const struct ar_snapshot *s = ask->snapshot;
    struct ar_str pin =
        ar_str_trim(ar_header_lit(ask->headers, ask->header_count, "x-anyrouter-provider"));
    uint64_t who = ask->secrets.n > 0 ? (ar_hash64(ask->secrets, 2) ^ ar_hash64(pin, 3)) | 1 : 0;
    int64_t now = ar_loop_now_ms(c->loop);
    struct list *l = find(c, who, s->generation);
    if (!l || now - l->fetched_ms >= (l->holed ? HOLED_MS : FRESH_MS)) {
        bool mine = c->snapshot == s && c->caller == who;
        bool late = now - c->begun_ms >= PATIENCE_MS;
        if (!mine && c->snapshot && !late) {
            return NULL; /* somebody else's list is being fetched: one at a time */
        }
        if (!mine) {
            start_run(c, who, ask, pin);
            late = false;
        }
        if (!is_run_over(c) && !late) {
            return NULL;
        }
        l = keep_run(c, now);
    }
    l->used_ms = now;
    return &l->list;
}
