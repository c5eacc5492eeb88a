/* The outline of a request: one validating pass that keeps the root's members only, so that a
 * native request never pays for a tree. Finds model, stream, limits and ids, and the spans that the
 * native path may edit (PROTOCOLS 0.3). A key that is read here or by request_read.c and that comes
 * twice is refused (PROTOCOLS 0.4): vendors take the last, many parsers the first. Types are
 * checked only where a wrong one would mislead the gateway itself. */
#include "dialect/chat/chat.h"

enum key {
    K_MODEL,
    K_MESSAGES,
    K_STREAM,
    K_STREAM_OPTIONS,
    K_TOOLS,
    K_FUNCTIONS,
    K_MAX_TOKENS,
    K_MAX_COMPLETION_TOKENS,
    K_USER,
    K_SAFETY_IDENTIFIER,
    K_PROMPT_CACHE_KEY,
    K_PROVIDER,
    K_MODELS,
    K_TOOL_CHOICE,
    K_N,
    K_STOP,
    K_RESPONSE_FORMAT,
    K_REASONING_EFFORT,
    K_REASONING,
    K_TEMPERATURE,
    K_TOP_P,
    KEY_COUNT
};
static const struct ar_str KEYS[KEY_COUNT] = {
    [K_MODEL] = AR_LIT_INIT("model"),
    [K_MESSAGES] = AR_LIT_INIT("messages"),
    [K_STREAM] = AR_LIT_INIT("stream"),
    [K_STREAM_OPTIONS] = AR_LIT_INIT("stream_options"),
    [K_TOOLS] = AR_LIT_INIT("tools"),
    [K_FUNCTIONS] = AR_LIT_INIT("functions"),
    [K_MAX_TOKENS] = AR_LIT_INIT("max_tokens"),
    [K_MAX_COMPLETION_TOKENS] = AR_LIT_INIT("max_completion_tokens"),
    [K_USER] = AR_LIT_INIT("user"),
    [K_SAFETY_IDENTIFIER] = AR_LIT_INIT("safety_identifier"),
    [K_PROMPT_CACHE_KEY] = AR_LIT_INIT("prompt_cache_key"),
    [K_PROVIDER] = AR_LIT_INIT("provider"),
    [K_MODELS] = AR_LIT_INIT("models"),
    [K_TOOL_CHOICE] = AR_LIT_INIT("tool_choice"),
    [K_N] = AR_LIT_INIT("n"),
    [K_STOP] = AR_LIT_INIT("stop"),
    [K_RESPONSE_FORMAT] = AR_LIT_INIT("response_format"),
    [K_REASONING_EFFORT] = AR_LIT_INIT("reasoning_effort"),
    [K_REASONING] = AR_LIT_INIT("reasoning"),
    [K_TEMPERATURE] = AR_LIT_INIT("temperature"),
    [K_TOP_P] = AR_LIT_INIT("top_p"),
};

static enum key find_key(struct ar_str key)
{
    for (unsigned k = 0; k < KEY_COUNT; k++) {
        if (ar_str_is(key, KEYS[k])) {
            return (enum key)k;
        }
    }
    return KEY_COUNT;
}

static struct ar_span span_of(struct ar_jval v)
{
    const struct ar_jnode *n = &v.doc->nodes[v.i];
    return (struct ar_span){n->at, (size_t)n->end - n->at};
}

/* The member with one comma: the one after it while no member that stays was seen, else the one
 * before. So two members that both go never claim the same comma. */
static struct ar_span member_span(struct ar_str body, size_t key_at, size_t end, bool keeps_some)
{
    size_t at = key_at;
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

static bool is_filled(struct ar_jval v)
{
    struct ar_str raw = ar_json_raw(v);
    return ar_json_is(v, AR_J_ARRAY) && raw.n > 2 &&
           ar_str_trim(ar_str_n(raw.p + 1, raw.n - 2)).n > 0;
}

static enum ar_code read_stream_options(struct ar_jval v, struct ar_arena *a, struct ar_outline *o,
                                        struct ar_err *err)
{
    struct ar_jdoc doc;
    o->stream_options_at = span_of(v);
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", err);
    }
    enum ar_code c = ar_json_parse(ar_json_raw(v), 1, a, &doc, err);
    if (c == AR_OK) {
        o->include_usage =
            ar_json_is(ar_json_get_lit(ar_json_root(&doc), "include_usage"), AR_J_TRUE);
    }
    return c;
}

static enum ar_code read_model(struct ar_jval v, struct ar_arena *a, struct ar_outline *o,
                               struct ar_err *err)
{
    if (!ar_json_is(v, AR_J_STRING)) {
        return ar_json_wrong(v, "a string", err);
    }
    o->model_at = span_of(v);
    enum ar_code c = ar_json_text(v, a, &o->model, err);
    if (c == AR_OK && o->model.n == 0) {
        return ar_json_wrong(v, "the name of a model", err);
    }
    return c;
}

static enum ar_code read_stream(struct ar_jval v, struct ar_outline *o, struct ar_err *err)
{
    if (ar_json_is_nil(v)) {
        o->stream_at = span_of(v);
        return AR_OK;
    }
    o->stream_at = span_of(v);
    return ar_json_bool(v, &o->stream, err);
}

static struct ar_str text_or_none(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str s = {0};
    return ar_json_is(v, AR_J_STRING) && ar_json_text(v, a, &s, NULL) == AR_OK ? s
                                                                               : (struct ar_str){0};
}

static enum ar_code read_member(enum key k, struct ar_jval v, struct ar_arena *a,
                                struct ar_outline *o, struct ar_err *err)
{
    int64_t n;
    switch (k) {
    case K_MODEL:
        return read_model(v, a, o, err);
    case K_STREAM:
        return read_stream(v, o, err);
    case K_STREAM_OPTIONS:
        return read_stream_options(v, a, o, err);
    case K_TOOLS:
    case K_FUNCTIONS:
        o->has_tools |= is_filled(v);
        break;
    case K_MAX_TOKENS: /* max_completion_tokens wins over it (P-120) */
        if (o->max_out_tokens < 0 && ar_json_i64(v, &n, NULL) == AR_OK && n >= 0) {
            o->max_out_tokens = n;
        }
        break;
    case K_MAX_COMPLETION_TOKENS:
        if (ar_json_i64(v, &n, NULL) == AR_OK && n >= 0) {
            o->max_out_tokens = n;
        }
        break;
    case K_USER:
        if (!o->user_id.p) {
            o->user_id = text_or_none(v, a);
        }
        break;
    case K_SAFETY_IDENTIFIER: {
        struct ar_str s = text_or_none(v, a);
        o->user_id = s.p ? s : o->user_id;
        break;
    }
    case K_PROMPT_CACHE_KEY:
        o->cache_key = text_or_none(v, a);
        break;
    default:
        break;
    }
    return AR_OK;
}

/* What only one vendor may see: strings that begin like an envelope (ir/opaque.h), and the member
 * in which Gemini's signatures travel. */
static void find_opaque(const struct ar_jdoc *doc, struct ar_outline *o)
{
    struct ar_str envelope = AR_LIT("\"ar1."), google = AR_LIT("\"thought_signature\"");
    for (uint32_t i = 0; i < doc->count; i++) {
        struct ar_str s =
            ar_str_n(doc->src.p + doc->nodes[i].at, doc->nodes[i].end - doc->nodes[i].at);
        o->has_envelope |= ar_str_has_prefix(s, envelope);
        o->has_google_sig |= ar_str_is(s, google);
    }
}

enum ar_code ar_chat_outline(struct ar_str body, struct ar_arena *a, struct ar_outline *ret,
                             struct ar_err *err)
{
    struct ar_jdoc *doc = ar_arena_new(a, struct ar_jdoc);
    if (!doc) {
        return ar_fail(err, AR_TOO_LARGE, "the request needs too much memory");
    }
    enum ar_code c = ar_json_parse(body, AR_JSON_DEPTH, a, doc, err);
    if (c != AR_OK) {
        return c;
    }
    struct ar_jval root = ar_json_root(doc);
    if (!ar_json_is(root, AR_J_OBJECT)) {
        return ar_fail(err, AR_INVALID_REQUEST, "the body must be a JSON object");
    }
    struct ar_outline o = {.max_out_tokens = -1,
                           .body_bytes = body.n,
                           .is_empty = ar_json_count(root) == 0,
                           .doc = *doc};
    o.brace_at = span_of(root).at + 1;
    find_opaque(doc, &o);
    uint64_t seen = 0;
    bool keeps_some = false;
    struct ar_jiter it = ar_json_iter(root);
    while (ar_json_next(&it)) {
        enum key k = find_key(ar_chat_key(it.key, a));
        if (k == KEY_COUNT) {
            keeps_some = true;
            continue;
        }
        if (seen & (UINT64_C(1) << k)) {
            c = ar_fail(err, AR_INVALID_REQUEST, "the key comes twice");
            if (err) {
                ar_json_path(it.val, err->at, sizeof err->at);
            }
            return c;
        }
        seen |= UINT64_C(1) << k;
        if (k == K_PROVIDER || k == K_MODELS) {
            struct ar_span v = span_of(it.val);
            struct ar_span m =
                member_span(body, doc->nodes[it.val.i - 1].at, v.at + v.n, keeps_some);
            *(k == K_PROVIDER ? &o.provider_at : &o.models_at) = m;
            *(k == K_PROVIDER ? &o.wishes : &o.models) = ar_json_raw(it.val);
            continue;
        }
        keeps_some = true;
        if ((c = read_member(k, it.val, a, &o, err)) != AR_OK) {
            return c;
        }
    }
    if (!o.model.p) {
        c = ar_fail(err, AR_INVALID_REQUEST, "you must provide a model parameter");
        if (err) {
            memcpy(err->at, "model", sizeof "model");
        }
        return c;
    }
    *ret = o;
    return ar_arena_finish(a);
}
