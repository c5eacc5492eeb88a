/* Outline of a Messages body: one pass over the bytes that notes where the top-level members are
 * that the native path needs (PROTOCOLS 0.3), and keeps the tape for whoever has to decode the
 * request. A duplicate of a key that is read here is refused, because vendors take the last and
 * parsers the first: a way round model checks (PROTOCOLS 0.4). Owns nothing: spans are of the body,
 * texts of the body or the arena. */
#include "dialect/anthropic/anthropic.h"
#include "dialect/decode.h"

#include <stdio.h>

/* Top-level keys that are read here; the order is that of `seen`. */
enum key {
    K_MODEL,
    K_STREAM,
    K_MAX_TOKENS,
    K_TOOLS,
    K_METADATA,
    K_THREAD,
    K_PROVIDER,
    K_MODELS,
    K_MESSAGES,
    K_SYSTEM,
    K_TEMPERATURE,
    K_TOP_P,
    K_TOP_K,
    K_COUNT
};
static const struct ar_str keys[K_COUNT] = {
    AR_LIT_INIT("model"),    AR_LIT_INIT("stream"),      AR_LIT_INIT("max_tokens"),
    AR_LIT_INIT("tools"),    AR_LIT_INIT("metadata"),    AR_LIT_INIT("thread"),
    AR_LIT_INIT("provider"), AR_LIT_INIT("models"),      AR_LIT_INIT("messages"),
    AR_LIT_INIT("system"),   AR_LIT_INIT("temperature"), AR_LIT_INIT("top_p"),
    AR_LIT_INIT("top_k"),
};

static unsigned find_key(struct ar_str key)
{
    unsigned k = 0;
    while (k < K_COUNT && !ar_str_is(key, keys[k])) {
        k++;
    }
    return k;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The member from key to value, with one comma: the one before it when a member that stays
 * precedes, else the one after it. So the spans of two removed neighbours never meet. */
static struct ar_span member_span(struct ar_str body, size_t at, size_t end, bool has_kept_before)
{
    if (has_kept_before) {
        do {
            at--;
        } while (body.p[at] != ',');
    } else {
        size_t i = end;
        while (i < body.n && is_blank(body.p[i])) {
            i++;
        }
        if (i < body.n && body.p[i] == ',') {
            end = i + 1;
        }
    }
    return (struct ar_span){at, end - at};
}

static struct ar_span value_span(struct ar_str body, struct ar_jval v)
{
    struct ar_str raw = ar_json_raw(v);
    return (struct ar_span){(size_t)(raw.p - body.p), raw.n};
}

static enum ar_code read_value(unsigned key, struct ar_jval v, struct ar_str body,
                               struct ar_arena *a, struct ar_outline *o, struct ar_err *err)
{
    switch (key) {
    case K_MODEL:
        o->model_at = value_span(body, v);
        return ar_json_text(v, a, &o->model, err);
    case K_STREAM:
        o->stream_at = value_span(body, v);
        return ar_json_is_nil(v) ? AR_OK : ar_json_bool(v, &o->stream, err);
    case K_MAX_TOKENS:
        if (ar_json_is(v, AR_J_NUMBER) && ar_json_i64(v, &o->max_out_tokens, NULL) != AR_OK) {
            o->max_out_tokens = -1;
        }
        return AR_OK;
    case K_TOOLS:
        o->has_tools = ar_json_is(v, AR_J_ARRAY) && ar_json_count(v) > 0;
        return AR_OK;
    case K_METADATA:
        v = ar_json_get_lit(v, "user_id"); /* anything odd in there is the upstream's to judge */
        return ar_json_is(v, AR_J_STRING) ? ar_json_text(v, a, &o->user_id, err) : AR_OK;
    case K_THREAD:
        o->has_thread = !ar_json_is_nil(v);
        return AR_OK;
    case K_TEMPERATURE:
    case K_TOP_P:
    case K_TOP_K:
        o->sampling = ar_json_is_nil(v) ? o->sampling : keys[key].p;
        return AR_OK;
    case K_PROVIDER:
        o->wishes = ar_json_raw(v);
        return AR_OK;
    case K_MODELS:
        o->models = ar_json_raw(v);
        return AR_OK;
    default:
        return AR_OK;
    }
}

enum ar_code ar_anthropic_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                                  struct ar_err *err)
{
    struct ar_outline o = {.max_out_tokens = -1, .body_bytes = body.n};
    struct ar_jdoc doc;
    enum ar_code code = ar_json_parse(body, AR_JSON_DEPTH, a, &doc, err);
    if (code != AR_OK) {
        return code;
    }
    o.doc = doc;
    struct ar_jval root = ar_json_root(&doc);
    if (!ar_json_is(root, AR_J_OBJECT)) {
        return ar_fail(err, AR_INVALID_REQUEST, "the body must be a JSON object");
    }
    o.brace_at = doc.nodes[root.i].at + 1;
    o.is_empty = ar_json_count(root) == 0;
    o.has_envelope = ar_has_envelope(&doc);
    unsigned seen = 0;
    bool kept = false;
    for (struct ar_jiter it = ar_json_iter(root); ar_json_next(&it);) {
        unsigned k = find_key(it.key);
        size_t at = doc.nodes[it.val.i - 1].at;
        size_t end = doc.nodes[it.val.i].end;
        bool goes = k == K_PROVIDER || k == K_MODELS;
        if (goes) {
            *(k == K_PROVIDER ? &o.provider_at : &o.models_at) = member_span(body, at, end, kept);
        }
        kept = kept || !goes;
        if (k == K_COUNT) {
            continue;
        }
        if (seen & (1U << k)) {
            code = ar_fail(err, AR_INVALID_REQUEST, "%.*s: given twice", AR_FMT(keys[k]));
            if (err) {
                (void)snprintf(err->at, sizeof(err->at), "%.*s", AR_FMT(keys[k]));
            }
            return code;
        }
        seen |= 1U << k;
        code = read_value(k, it.val, body, a, &o, err);
        if (code != AR_OK) {
            return code;
        }
    }
    if (o.model.n == 0) {
        if (err) {
            memcpy(err->at, "model", sizeof "model");
        }
        return ar_fail(err, AR_INVALID_REQUEST, "model: field required");
    }
    code = ar_arena_finish(a);
    if (code == AR_OK) {
        *ret = o;
    }
    return code;
}
