/*
 * Model lists in the three shapes: names that the configuration spells out, the built-in ones, and
 * what the upstreams list, fetched with the operator's keys when somebody asks and kept for some
 * minutes. A caller who brings his own key sees the upstreams' lists only where they were fetched
 * with it. Never asks twice at a time; an upstream that does not answer in three seconds is left
 * out.
 */
#include "admin/admin.h"

#include "base/hash.h"
#include "base/id.h"
#include "base/map.h"
#include "http/url.h"
#include "io/loop.h"
#include "json/scan.h"
#include "json/write.h"
#include "provider/upstream.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    FETCHES_MAX = 32,
    FRESH_MS = 300000,
    PATIENCE_MS = 3000,
    AGAIN_MS = 10,
    LIST_MAX_BYTES = 8 << 20
};

struct fetch {
    struct ar_exchange *x;
    struct ar_exchange_spec spec;
    struct ar_header headers[4];
    struct ar_buf body;
    const struct ar_upstream *u;
    struct ar_waker waker; /* nobody sleeps on it: the asker comes again */
    bool busy;
};

struct ar_model_cache {
    struct ar_loop *loop;
    struct ar_pool *pool;
    struct ar_arena arena;   /* names of the list */
    struct ar_arena working; /* of the fetch under way */
    struct ar_strs ids, owners;
    uint64_t newest;     /* older snapshots may go while a fetch runs: none for them */
    uint64_t generation; /* snapshot the list belongs to; 0: none */
    uint64_t caller;     /* whose key was used, as a hash; 0: the operator's only */
    int64_t fetched_ms, begun_ms;
    struct fetch fetches[FETCHES_MAX];
    unsigned busy;
    const struct ar_snapshot *for_snapshot;
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
    ar_arena_init(&c->arena, 64U << 20);
    ar_arena_init(&c->working, 64U << 20);
    return c;
}

static void stop_fetch(struct ar_model_cache *c, struct fetch *f)
{
    if (f->busy) {
        ar_exchange_close(f->x);
        ar_buf_done(&f->body);
        f->busy = false;
        c->busy--;
    }
}

void ar_model_cache_forget(struct ar_model_cache *c, uint64_t newest)
{
    c->newest = newest;
    for (unsigned i = 0; i < FETCHES_MAX; i++) {
        stop_fetch(c, &c->fetches[i]);
    }
    c->begun_ms = 0;
    c->for_snapshot = NULL;
}

void ar_model_cache_free(struct ar_model_cache *c)
{
    if (c) {
        ar_model_cache_forget(c, c->newest);
        ar_arena_done(&c->arena);
        ar_arena_done(&c->working);
        free(c);
    }
}

static void add(struct ar_model_cache *c, struct ar_map *seen, struct ar_str id,
                struct ar_str owner)
{
    if (id.n == 0 || id.n > 256 || ar_map_get(seen, id)) {
        return;
    }
    unsigned cap = c->ids.n;
    if ((cap & (cap + 1)) == 0) { /* grow at 0, 1, 3, 7, ... */
        struct ar_str *ids = ar_arena_alloc(&c->arena, (2 * cap + 1) * sizeof *ids);
        struct ar_str *owners = ar_arena_alloc(&c->arena, (2 * cap + 1) * sizeof *owners);
        if (!ids || !owners) {
            return;
        }
        if (cap > 0) {
            memcpy(ids, c->ids.v, cap * sizeof *ids);
            memcpy(owners, c->owners.v, cap * sizeof *owners);
        }
        c->ids.v = ids;
        c->owners.v = owners;
    }
    c->ids.v[c->ids.n] = ar_arena_copy(&c->arena, id);
    c->owners.v[c->owners.n++] = ar_arena_copy(&c->arena, owner);
    ar_map_put(seen, c->ids.v[c->ids.n++], c);
}

static bool is_exact(struct ar_str glob)
{
    return ar_str_find_char(glob, '*') == glob.n;
}

/* Names that are known without asking anybody. */
static void add_configured(struct ar_model_cache *c, const struct ar_snapshot *s,
                           struct ar_map *seen)
{
#define X(name, kind, pace, doc) AR_LIT_INIT("echo/" name),
    static const struct ar_str ECHO[] = {
#include "provider/echo.def"
    };
#undef X
    for (unsigned i = 0; i < s->config->alias_count; i++) {
        add(c, seen, s->config->aliases[i].from, AR_LIT("alias"));
    }
    for (unsigned i = 0; i < s->upstreams->n; i++) {
        const struct ar_upstream *u = &s->upstreams->v[i];
        for (unsigned m = 0; m < u->conf->model_count; m++) {
            if (is_exact(u->conf->models[m].from)) {
                add(c, seen, u->conf->models[m].from, u->name);
            }
        }
        for (unsigned m = 0;
             (u->provider->flags & AR_PLACE_GENERATOR) && m < sizeof ECHO / sizeof *ECHO; m++) {
            add(c, seen, ECHO[m], u->name);
        }
    }
}

/* {"data":[{"id":...}]}, {"models":[{"id" or "name":...}]}, or a bare array. */
static void add_fetched(struct ar_model_cache *c, struct fetch *f, struct ar_map *seen)
{
    struct ar_jdoc doc;
    struct ar_str sent;
    if (ar_json_parse(ar_buf_view(&f->body), AR_JSON_DEPTH, &c->working, &doc, NULL) != AR_OK) {
        return;
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
        if (name.n > 0 && ar_upstream_serves(f->u, name, &sent)) {
            add(c, seen, name, f->u->name);
        }
    }
}

static void start_fetch(struct ar_model_cache *c, const struct ar_upstream *u, struct ar_str secret)
{
    struct fetch *f = &c->fetches[c->busy];
    *f = (struct fetch){.u = u, .busy = true, .waker = {wake_nobody}};
    ar_buf_init(&f->body, LIST_MAX_BYTES);
    const char *prefix = ar_auth_prefix(u->provider->auth);
    unsigned n = 0;
    if (secret.n > 0) {
        f->headers[n++] =
            (struct ar_header){ar_str_of(ar_auth_header(u->provider->auth)),
                               ar_arena_fmt(&c->working, "%s%.*s", prefix, AR_FMT(secret))};
    }
    f->headers[n++] = (struct ar_header){AR_LIT("anthropic-version"), AR_LIT("2023-06-01")};
    f->headers[n++] = (struct ar_header){AR_LIT("accept"), AR_LIT("application/json")};
    f->headers[n++] = (struct ar_header){AR_LIT("user-agent"), AR_LIT("anyrouter")};
    f->spec = (struct ar_exchange_spec){
        .origin = &u->bases[0].origin,
        .method = AR_LIT("GET"),
        .target = ar_base_join(&u->bases[0], AR_LIT("/v1/models"), &c->working),
        .headers = f->headers,
        .header_count = n,
        .connect_ms = PATIENCE_MS,
        .head_ms = PATIENCE_MS,
        .idle_ms = PATIENCE_MS,
        .waker = &f->waker};
    f->x = ar_exchange_start(c->pool, &f->spec);
    c->busy++;
}

/* caller: his key, for the first upstream that takes callers' keys and no other. */
static void start_all(struct ar_model_cache *c, const struct ar_snapshot *s, struct ar_str caller)
{
    ar_arena_reset(&c->working);
    c->for_snapshot = s;
    c->begun_ms = ar_loop_now_ms(c->loop);
    c->busy = 0;
    bool old = s->generation < c->newest;
    for (unsigned i = 0; !old && i < s->upstreams->n && c->busy < FETCHES_MAX; i++) {
        const struct ar_upstream *u = &s->upstreams->v[i];
        bool all_exact = u->conf->has_models;
        for (unsigned m = 0; m < u->conf->model_count; m++) {
            all_exact &= is_exact(u->conf->models[m].from);
        }
        struct ar_str secret = u->key_count > 0 ? u->keys[0].secret
                               : u->passthrough ? caller
                                                : AR_LIT("");
        bool may = secret.n > 0 || (u->provider->flags & AR_PLACE_LOCAL);
        if (may && !all_exact && !(u->provider->flags & AR_PLACE_GENERATOR) &&
            !(u->provider->quirks & AR_QUIRK(NO_MODELS))) {
            start_fetch(c, u, secret);
            caller = u->key_count > 0 ? caller : AR_LIT("");
        }
    }
}

/* Moves a fetch on. true: it is over, body complete or emptied. */
static bool poll_fetch(struct fetch *f)
{
    struct ar_answer_head head;
    struct ar_err err;
    struct ar_str piece;
    enum ar_poll p = ar_exchange_head(f->x, &head, &err);
    while (p == AR_READY && head.status == 200) {
        enum ar_poll b = ar_exchange_peek(f->x, &piece, &err);
        if (b == AR_ENDED) {
            return true;
        }
        if (b == AR_PENDING) {
            return false;
        }
        if (b == AR_FAILED) {
            break;
        }
        ar_buf_str(&f->body, piece);
        ar_exchange_eat(f->x, piece.n);
    }
    if (p == AR_PENDING) {
        return false;
    }
    ar_buf_clear(&f->body);
    return true;
}

/* The list for a snapshot; false: being fetched. */
static bool is_ready(struct ar_model_cache *c, const struct ar_local_ask *ask)
{
    const struct ar_snapshot *s = ask->snapshot;
    struct ar_str caller = ar_str_head(ask->secrets, ar_str_find_char(ask->secrets, ','));
    uint64_t who = caller.n > 0 ? ar_hash64(caller, 2) | 1 : 0;
    int64_t now = ar_loop_now_ms(c->loop);
    bool others = c->begun_ms != 0 && c->for_snapshot == s && c->caller != who;
    if (others && now - c->begun_ms < PATIENCE_MS) {
        return false; /* somebody else's list is being fetched: one at a time */
    }
    if (c->begun_ms == 0 || c->for_snapshot != s || c->caller != who) {
        if (c->generation == s->generation && c->caller == who && now - c->fetched_ms < FRESH_MS) {
            return true;
        }
        ar_model_cache_forget(c, c->newest);
        c->caller = who;
        c->generation = 0;
        start_all(c, s, caller);
    }
    bool all = true;
    for (unsigned i = 0; i < c->busy; i++) {
        all &= poll_fetch(&c->fetches[i]);
    }
    if (!all && now - c->begun_ms < PATIENCE_MS) {
        return false;
    }
    struct ar_map seen;
    ar_map_init(&seen, 1);
    ar_arena_reset(&c->arena);
    c->ids = c->owners = (struct ar_strs){NULL, 0};
    add_configured(c, s, &seen);
    for (unsigned i = 0; i < FETCHES_MAX; i++) {
        if (c->fetches[i].busy) {
            add_fetched(c, &c->fetches[i], &seen);
        }
    }
    ar_model_cache_forget(c, c->newest);
    ar_map_done(&seen);
    c->generation = s->generation;
    c->fetched_ms = now;
    return true;
}

enum shape { SHAPE_OPENAI, SHAPE_ANTHROPIC, SHAPE_GEMINI };

static enum shape shape_of(const struct ar_local_ask *ask)
{
    const struct ar_header *h = ask->headers;
    unsigned n = ask->header_count;
    if (ar_str_has_prefix(ask->path, AR_LIT("/v1beta")) ||
        ar_header_lit(h, n, "x-goog-api-key").p || ar_header_lit(h, n, "x-goog-api-client").p ||
        ar_query_get(ask->query, AR_LIT("key")).p) {
        return SHAPE_GEMINI;
    }
    return ar_header_lit(h, n, "anthropic-version").p ? SHAPE_ANTHROPIC : SHAPE_OPENAI;
}

static void put_model(struct ar_jw *w, enum shape shape, struct ar_str id, struct ar_str owner)
{
    struct ar_target t = {.model = id};
    ar_model_facts(id, &t);
    ar_jw_open(w, '{');
    switch (shape) {
    case SHAPE_OPENAI:
        ar_jw_key_text(w, "id", id);
        ar_jw_key_lit(w, "object", "model");
        ar_jw_key_i64(w, "created", 0);
        ar_jw_key_text(w, "owned_by", owner);
        break;
    case SHAPE_ANTHROPIC:
        ar_jw_key_lit(w, "type", "model");
        ar_jw_key_text(w, "id", id);
        ar_jw_key_text(w, "display_name", id);
        ar_jw_key_lit(w, "created_at", "1970-01-01T00:00:00Z");
        ar_jw_key_lit(w, "lifecycle", "active");
        ar_jw_key_null(w, "line");
        ar_jw_key_null(w, "deprecated_at");
        ar_jw_key_null(w, "retires_at");
        ar_jw_key_null(w, "max_input_tokens");
        ar_jw_key(w, "max_tokens");
        if (t.max_out_tokens > 0) {
            ar_jw_i64(w, t.max_out_tokens);
        } else {
            ar_jw_null(w);
        }
        ar_jw_key_null(w, "capabilities");
        break;
    case SHAPE_GEMINI:
        ar_jw_key(w, "name");
        ar_buf_lit(w->out, "\"models/");
        ar_json_escape(id, w->out);
        ar_buf_char(w->out, '"');
        w->comma = true;
        ar_jw_key_lit(w, "version", "001");
        ar_jw_key_text(w, "displayName", id);
        ar_jw_key(w, "supportedGenerationMethods");
        ar_buf_lit(w->out, "[\"generateContent\",\"countTokens\"]");
        w->comma = true;
        break;
    }
    ar_jw_close(w, '}');
}

static int64_t query_number(const struct ar_local_ask *ask, struct ar_str name, int64_t max,
                            int64_t otherwise)
{
    int64_t v;
    struct ar_str text = ar_query_get(ask->query, name);
    return text.n > 0 && ar_str_to_i64(text, 1, max, &v) == AR_OK ? v : otherwise;
}

/* Index of the id that a cursor names, or n. */
static unsigned find_id(const struct ar_model_cache *c, struct ar_str id)
{
    unsigned i = 0;
    while (i < c->ids.n && !ar_str_is(c->ids.v[i], id)) {
        i++;
    }
    return i;
}

void ar_admin_models(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    struct ar_model_cache *c = a->models;
    if (!is_ready(c, ask)) {
        ret->again_ms = AGAIN_MS;
        return;
    }
    enum shape shape = shape_of(ask);
    struct ar_jw w = ar_jw_on(ret->body);
    unsigned from = 0, to = c->ids.n;
    if (shape == SHAPE_ANTHROPIC) {
        unsigned limit = (unsigned)query_number(ask, AR_LIT("limit"), 1000, 20);
        struct ar_str after = ar_query_get(ask->query, AR_LIT("after_id")),
                      before = ar_query_get(ask->query, AR_LIT("before_id"));
        from = after.n > 0 ? find_id(c, ar_percent_decode(after, ask->arena)) + 1 : 0;
        from = from < c->ids.n ? from : c->ids.n;
        unsigned end = before.n > 0 ? find_id(c, ar_percent_decode(before, ask->arena)) : c->ids.n;
        from = before.n > 0 && end > limit ? end - limit : from;
        to = end - from > limit && end > from ? from + limit : end;
    } else if (shape == SHAPE_GEMINI) {
        unsigned size = (unsigned)query_number(ask, AR_LIT("pageSize"), 1000, 50);
        from = (unsigned)query_number(ask, AR_LIT("pageToken"), c->ids.n, 0);
        to = to - from > size ? from + size : to;
    }
    ar_jw_open(&w, '{');
    if (shape == SHAPE_OPENAI) {
        ar_jw_key_lit(&w, "object", "list");
    }
    ar_jw_key_n(&w, shape == SHAPE_GEMINI ? "models" : "data", shape == SHAPE_GEMINI ? 6 : 4);
    ar_jw_open(&w, '[');
    for (unsigned i = from; i < to; i++) {
        put_model(&w, shape, c->ids.v[i], c->owners.v[i]);
    }
    ar_jw_close(&w, ']');
    if (shape == SHAPE_ANTHROPIC) {
        ar_jw_key_bool(&w, "has_more", to < c->ids.n);
        ar_jw_key(&w, "first_id");
        if (to > from) {
            ar_jw_text(&w, c->ids.v[from]);
            ar_jw_key_text(&w, "last_id", c->ids.v[to - 1]);
        } else {
            ar_jw_null(&w);
            ar_jw_key_null(&w, "last_id");
        }
    } else if (shape == SHAPE_GEMINI && to < c->ids.n) {
        ar_jw_key_text(&w, "nextPageToken", ar_arena_fmt(ask->arena, "%u", to));
    }
    ar_jw_close(&w, '}');
}

void ar_admin_model(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    struct ar_model_cache *c = a->models;
    struct ar_str id = ar_percent_decode(ask->rest, ask->arena), sent;
    if (!is_ready(c, ask)) {
        ret->again_ms = AGAIN_MS;
        return;
    }
    struct ar_jw w = ar_jw_on(ret->body);
    if (ar_str_is_lit(id, "count")) {
        ar_jw_open(&w, '{');
        ar_jw_key_i64(&w, "count", c->ids.n);
        ar_jw_close(&w, '}');
        return;
    }
    unsigned at = find_id(c, id);
    if (at < c->ids.n) {
        put_model(&w, shape_of(ask), id, c->owners.v[at]);
        return;
    }
    for (unsigned i = 0; i < ask->snapshot->upstreams->n;
         i++) { /* served by a pattern, not listed by name */
        const struct ar_upstream *u = &ask->snapshot->upstreams->v[i];
        if (u->conf->has_models && ar_upstream_serves(u, id, &sent)) {
            put_model(&w, shape_of(ask), id, u->name);
            return;
        }
    }
    ret->code = ar_fail(&ret->err, AR_MODEL_NOT_FOUND,
                        "no model %.*s is listed; see GET /v1/models", AR_FMT(ar_str_head(id, 80)));
}
