/*
 * Model lists in the three shapes, with their paging, and one model by its id. What is listed comes
 * from lists.c; while it is fetched the asker is told to come again. Owns nothing.
 */
#include "admin/lists.h"

#include "base/id.h"
#include "http/url.h"
#include "json/write.h"
#include "provider/upstream.h"

enum { AGAIN_MS = 10 };

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
static unsigned find_id(const struct ar_model_list *l, struct ar_str id)
{
    unsigned i = 0;
    while (i < l->ids.n && !ar_str_is(l->ids.v[i], id)) {
        i++;
    }
    return i;
}

void ar_admin_models(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    const struct ar_model_list *l = ar_model_list(a->models, ask);
    if (!l) {
        ret->again_ms = AGAIN_MS;
        return;
    }
    enum shape shape = shape_of(ask);
    struct ar_jw w = ar_jw_on(ret->body);
    unsigned from = 0, to = l->ids.n;
    if (shape == SHAPE_ANTHROPIC) {
        unsigned limit = (unsigned)query_number(ask, AR_LIT("limit"), 1000, 20);
        struct ar_str after = ar_query_get(ask->query, AR_LIT("after_id")),
                      before = ar_query_get(ask->query, AR_LIT("before_id"));
        from = after.n > 0 ? find_id(l, ar_percent_decode(after, ask->arena)) + 1 : 0;
        from = from < l->ids.n ? from : l->ids.n;
        unsigned end = before.n > 0 ? find_id(l, ar_percent_decode(before, ask->arena)) : l->ids.n;
        from = before.n > 0 && end > limit ? end - limit : from;
        to = end - from > limit && end > from ? from + limit : end;
    } else if (shape == SHAPE_GEMINI) {
        unsigned size = (unsigned)query_number(ask, AR_LIT("pageSize"), 1000, 50);
        from = (unsigned)query_number(ask, AR_LIT("pageToken"), l->ids.n, 0);
        to = to - from > size ? from + size : to;
    }
    ar_jw_open(&w, '{');
    if (shape == SHAPE_OPENAI) {
        ar_jw_key_lit(&w, "object", "list");
    }
    ar_jw_key_n(&w, shape == SHAPE_GEMINI ? "models" : "data", shape == SHAPE_GEMINI ? 6 : 4);
    ar_jw_open(&w, '[');
    for (unsigned i = from; i < to; i++) {
        put_model(&w, shape, l->ids.v[i], l->owners.v[i]);
    }
    ar_jw_close(&w, ']');
    if (shape == SHAPE_ANTHROPIC) {
        ar_jw_key_bool(&w, "has_more", to < l->ids.n);
        ar_jw_key(&w, "first_id");
        if (to > from) {
            ar_jw_text(&w, l->ids.v[from]);
            ar_jw_key_text(&w, "last_id", l->ids.v[to - 1]);
        } else {
            ar_jw_null(&w);
            ar_jw_key_null(&w, "last_id");
        }
    } else if (shape == SHAPE_GEMINI && to < l->ids.n) {
        ar_jw_key_text(&w, "nextPageToken", ar_arena_fmt(ask->arena, "%u", to));
    }
    ar_jw_close(&w, '}');
}

void ar_admin_model(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    const struct ar_model_list *l = ar_model_list(a->models, ask);
    struct ar_str id = ar_percent_decode(ask->rest, ask->arena), sent;
    if (!l) {
        ret->again_ms = AGAIN_MS;
        return;
    }
    struct ar_jw w = ar_jw_on(ret->body);
    if (ar_str_is_lit(id, "count")) {
        ar_jw_open(&w, '{');
        ar_jw_key_i64(&w, "count", l->ids.n);
        ar_jw_close(&w, '}');
        return;
    }
    unsigned at = find_id(l, id);
    if (at < l->ids.n) {
        put_model(&w, shape_of(ask), id, l->owners.v[at]);
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
