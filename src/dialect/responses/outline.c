/* Outline of a Responses body: one pass that notes where the top-level members are that the native
 * path needs (PROTOCOLS 0.3) and what the request says about state that somebody holds. A key that
 * is read here or by request_read.c and that comes twice is refused: vendors take the last, many
 * parsers the first (PROTOCOLS 0.4). Types are checked only where a wrong one would mislead the
 * gateway itself. Owns nothing: spans are of the body, texts of the body or the arena. */
#include "dialect/responses/responses.h"
#include "dialect/decode.h"

#include <stdio.h>

enum key {
    K_MODEL,
    K_STREAM,
    K_STREAM_OPTIONS,
    K_TOOLS,
    K_MAX_OUTPUT_TOKENS,
    K_USER,
    K_SAFETY_IDENTIFIER,
    K_PROMPT_CACHE_KEY,
    K_PROVIDER,
    K_MODELS,
    K_PREVIOUS_RESPONSE_ID,
    K_CONVERSATION,
    K_BACKGROUND,
    K_STORE,
    K_INPUT,
    K_INSTRUCTIONS,
    K_TOOL_CHOICE,
    K_REASONING,
    K_TEXT,
    K_TEMPERATURE,
    K_TOP_P,
    K_INCLUDE,
    KEY_COUNT
};
static const struct ar_str KEYS[KEY_COUNT] = {
    [K_MODEL] = AR_LIT_INIT("model"),
    [K_STREAM] = AR_LIT_INIT("stream"),
    [K_STREAM_OPTIONS] = AR_LIT_INIT("stream_options"),
    [K_TOOLS] = AR_LIT_INIT("tools"),
    [K_MAX_OUTPUT_TOKENS] = AR_LIT_INIT("max_output_tokens"),
    [K_USER] = AR_LIT_INIT("user"),
    [K_SAFETY_IDENTIFIER] = AR_LIT_INIT("safety_identifier"),
    [K_PROMPT_CACHE_KEY] = AR_LIT_INIT("prompt_cache_key"),
    [K_PROVIDER] = AR_LIT_INIT("provider"),
    [K_MODELS] = AR_LIT_INIT("models"),
    [K_PREVIOUS_RESPONSE_ID] = AR_LIT_INIT("previous_response_id"),
    [K_CONVERSATION] = AR_LIT_INIT("conversation"),
    [K_BACKGROUND] = AR_LIT_INIT("background"),
    [K_STORE] = AR_LIT_INIT("store"),
    [K_INPUT] = AR_LIT_INIT("input"),
    [K_INSTRUCTIONS] = AR_LIT_INIT("instructions"),
    [K_TOOL_CHOICE] = AR_LIT_INIT("tool_choice"),
    [K_REASONING] = AR_LIT_INIT("reasoning"),
    [K_TEXT] = AR_LIT_INIT("text"),
    [K_TEMPERATURE] = AR_LIT_INIT("temperature"),
    [K_TOP_P] = AR_LIT_INIT("top_p"),
    [K_INCLUDE] = AR_LIT_INIT("include"),
};

static enum key find_key(struct ar_str key)
{
    unsigned k = 0;
    while (k < KEY_COUNT && !ar_str_is(key, KEYS[k])) {
        k++;
    }
    return (enum key)k;
}

static struct ar_span span_of(struct ar_jval v)
{
    const struct ar_jnode *n = &v.doc->nodes[v.i];
    return (struct ar_span){n->at, (size_t)n->end - n->at};
}

/* The member with one comma: the one before it when a member that stays precedes, else the one
 * after it. So two members that both go never claim the same comma. */
static struct ar_span member_span(struct ar_str body, size_t at, size_t end, bool keeps_some)
{
    if (keeps_some) {
        while (at > 0 && body.p[at] != ',') {
            at--;
        }
        return (struct ar_span){at, end - at};
    }
    while (end < body.n && body.p[end] != ',' && body.p[end] != '}') {
        end++;
    }
    end += end < body.n && body.p[end] == ',';
    return (struct ar_span){at, end - at};
}

static struct ar_str text_or_none(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str s = {0};
    bool is_text = ar_json_is(v, AR_J_STRING) && ar_json_text(v, a, &s, NULL) == AR_OK;
    return is_text && s.n > 0 ? s : (struct ar_str){0};
}

static enum ar_code read_model(struct ar_jval v, struct ar_arena *a, struct ar_outline *o,
                               struct ar_err *err)
{
    o->model_at = span_of(v);
    enum ar_code c = ar_json_text(v, a, &o->model, err);
    return c == AR_OK && o->model.n == 0 ? ar_json_wrong(v, "the name of a model", err) : c;
}

/* State that somebody holds, and whether it is to be held. */
static enum ar_code read_state(enum key k, struct ar_jval v, struct ar_arena *a,
                               struct ar_outline *o, struct ar_err *err)
{
    switch (k) {
    case K_PREVIOUS_RESPONSE_ID:
        o->previous_id = text_or_none(v, a);
        return ar_json_is_nil(v) || ar_json_is(v, AR_J_STRING) ? AR_OK
                                                               : ar_json_wrong(v, "a string", err);
    case K_CONVERSATION: /* "conv_x" or {"id": "conv_x"} */
        o->conversation =
            text_or_none(ar_json_is(v, AR_J_OBJECT) ? ar_json_get_lit(v, "id") : v, a);
        return AR_OK;
    case K_BACKGROUND:
        return ar_json_is_nil(v) ? AR_OK : ar_json_bool(v, &o->background, err);
    default:
        if (ar_json_is_nil(v)) {
            o->store = v.doc ? AR_NULL : AR_UNSET;
            return AR_OK;
        }
        o->store = AR_SET;
        return ar_json_bool(v, &o->store_on, err);
    }
}

static enum ar_code read_member(enum key k, struct ar_jval v, struct ar_arena *a,
                                struct ar_outline *o, struct ar_err *err)
{
    switch (k) {
    case K_MODEL:
        return read_model(v, a, o, err);
    case K_STREAM:
        o->stream_at = span_of(v);
        return ar_json_is_nil(v) ? AR_OK : ar_json_bool(v, &o->stream, err);
    case K_STREAM_OPTIONS:
        o->stream_options_at = span_of(v);
        return AR_OK;
    case K_TOOLS:
        o->has_tools = ar_json_is(v, AR_J_ARRAY) && ar_json_count(v) > 0;
        return AR_OK;
    case K_MAX_OUTPUT_TOKENS:
        if (ar_json_i64(v, &o->max_out_tokens, NULL) != AR_OK || o->max_out_tokens < 0) {
            o->max_out_tokens = -1;
        }
        return AR_OK;
    case K_USER:
        o->user_id = o->user_id.p ? o->user_id : text_or_none(v, a);
        return AR_OK;
    case K_SAFETY_IDENTIFIER: {
        struct ar_str s = text_or_none(v, a);
        o->user_id = s.p ? s : o->user_id;
        return AR_OK;
    }
    case K_PROMPT_CACHE_KEY:
        o->cache_key = text_or_none(v, a);
        return AR_OK;
    case K_PREVIOUS_RESPONSE_ID:
    case K_CONVERSATION:
    case K_BACKGROUND:
    case K_STORE:
        return read_state(k, v, a, o, err);
    default:
        return AR_OK;
    }
}

static enum ar_code refuse_twice(enum key k, struct ar_err *err)
{
    enum ar_code c = ar_fail(err, AR_INVALID_REQUEST, "%.*s: given twice", AR_FMT(KEYS[k]));
    if (err) {
        (void)snprintf(err->at, sizeof err->at, "%.*s", AR_FMT(KEYS[k]));
    }
    return c;
}

static enum ar_code walk(struct ar_str body, struct ar_arena *a, struct ar_outline *o,
                         struct ar_err *err)
{
    uint64_t seen = 0;
    bool keeps_some = false;
    for (struct ar_jiter it = ar_json_iter(ar_json_root(&o->doc)); ar_json_next(&it);) {
        enum key k = find_key(it.key);
        if (k < KEY_COUNT && (seen & (UINT64_C(1) << k))) {
            return refuse_twice(k, err);
        }
        seen |= k < KEY_COUNT ? UINT64_C(1) << k : 0;
        if (k == K_PROVIDER || k == K_MODELS) {
            struct ar_span v = span_of(it.val);
            *(k == K_PROVIDER ? &o->provider_at : &o->models_at) =
                member_span(body, o->doc.nodes[it.val.i - 1].at, v.at + v.n, keeps_some);
            *(k == K_PROVIDER ? &o->wishes : &o->models) = ar_json_raw(it.val);
            continue;
        }
        keeps_some = true;
        enum ar_code c = read_member(k, it.val, a, o, err);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}

enum ar_code ar_responses_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                                  struct ar_err *err)
{
    struct ar_outline o = {.max_out_tokens = -1, .body_bytes = body.n};
    enum ar_code c = ar_json_parse(body, AR_JSON_DEPTH, a, &o.doc, err);
    if (c != AR_OK) {
        return c;
    }
    struct ar_jval root = ar_json_root(&o.doc);
    if (!ar_json_is(root, AR_J_OBJECT)) {
        return ar_fail(err, AR_INVALID_REQUEST, "the body must be a JSON object");
    }
    o.brace_at = span_of(root).at + 1;
    o.is_empty = ar_json_count(root) == 0;
    o.has_envelope = ar_has_envelope(&o.doc);
    c = walk(body, a, &o, err);
    if (c == AR_OK && !o.model.p) {
        c = ar_fail(err, AR_INVALID_REQUEST, "model: required");
        if (err) {
            memcpy(err->at, "model", sizeof "model");
        }
    }
    if (c == AR_OK && ar_arena_finish(a) != AR_OK) {
        c = ar_request_too_large(err);
    }
    if (c == AR_OK) {
        *ret = o;
    }
    return c;
}
