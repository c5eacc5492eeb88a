/* A client's request into the IR: the top-level fields, by a table. Text stays as escaped spans of
 * the body; what fields mean beyond their own value (which effort a model takes, which role it
 * knows) is the encoders' business. A field that no row names is kept verbatim for targets of this
 * dialect and is silently dropped for others. Errors carry the JSON path of the field. */
#include "dialect/chat/request_read.h"

struct reader {
    struct ar_chat_in in;
    struct ar_request *r;
    struct ar_ext **ext_tail;
    struct ar_jval messages;
    bool has_max_completion, has_safety;
};

/* Where a plain field goes: offset in ar_request, read by kind. */
typedef enum ar_code read_fn(struct reader *x, struct ar_jval v, size_t at);
/* A field that a file of its own reads. */
typedef enum ar_code part_fn(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r);
struct field {
    struct ar_str name;
    read_fn *read;
    size_t at;
    part_fn *part; /* instead of read */
};
#define SET(member) offsetof(struct ar_request, set.member)

static void *member(struct reader *x, size_t at)
{
    return (char *)x->r + at;
}

static enum ar_code read_num(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_num(v, member(x, at), x->in.err);
}

static enum ar_code read_count(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_count(v, member(x, at), x->in.err);
}

static enum ar_code read_whole(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_whole(v, member(x, at), x->in.err);
}

static enum ar_code read_int(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_int(v, member(x, at), x->in.err);
}

static enum ar_code read_str(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_text(v, x->in.a, member(x, at), x->in.err);
}

static enum ar_code read_flag(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_flag(v, member(x, at), x->in.err);
}

static enum ar_code read_raw(struct reader *x, struct ar_jval v, size_t at)
{
    struct ar_str *s = member(x, at);
    *s = ar_json_is_nil(v) ? (struct ar_str){0} : ar_json_raw(v);
    return AR_OK;
}

/* max_completion_tokens wins over max_tokens, in either order (P-120). */
static enum ar_code read_max(struct reader *x, struct ar_jval v, size_t at)
{
    return x->has_max_completion ? AR_OK : read_count(x, v, at);
}
static enum ar_code read_max_completion(struct reader *x, struct ar_jval v, size_t at)
{
    x->has_max_completion = !ar_json_is_nil(v);
    return x->has_max_completion ? read_count(x, v, at) : AR_OK;
}

static enum ar_code read_user(struct reader *x, struct ar_jval v, size_t at)
{
    return x->has_safety ? AR_OK : read_str(x, v, at);
}
static enum ar_code read_safety(struct reader *x, struct ar_jval v, size_t at)
{
    x->has_safety = !ar_json_is_nil(v);
    return read_str(x, v, at);
}

static enum ar_code read_stop(struct reader *x, struct ar_jval v, size_t at)
{
    return ar_take_stops(v, x->in.a, member(x, at), x->in.err);
}

static enum ar_code read_parallel(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    x->r->set.parallel = AR_SET;
    return ar_json_bool(v, &x->r->set.parallel_on, x->in.err);
}

static enum ar_code read_stream_options(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", x->in.err);
    }
    x->r->set.include_usage = ar_json_is(ar_json_get_lit(v, "include_usage"), AR_J_TRUE);
    return AR_OK;
}

static enum ar_code read_schema(struct reader *x, struct ar_jval v)
{
    struct ar_settings *s = &x->r->set;
    struct ar_jval js = ar_json_get_lit(v, "json_schema");
    if (!ar_json_is(js, AR_J_OBJECT)) {
        return ar_json_wrong(ar_json_is(js, AR_J_NONE) ? v : js, "an object with json_schema",
                             x->in.err);
    }
    struct ar_jval schema = ar_json_get_lit(js, "schema");
    struct ar_jval strict = ar_json_get_lit(js, "strict");
    s->format = AR_FORMAT_SCHEMA;
    s->schema = ar_json_is_nil(schema) ? AR_LIT("{}") : ar_json_raw(schema);
    s->schema_name = ar_member_text_lit(x->in.a, js, "name");
    s->schema_description = ar_json_esc(ar_json_get_lit(js, "description"));
    if (!ar_json_is_nil(strict)) {
        s->schema_strict = AR_SET;
        return ar_json_bool(strict, &s->schema_strict_on, x->in.err);
    }
    return AR_OK;
}

static enum ar_code read_format(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", x->in.err);
    }
    struct ar_jval tv = ar_json_get_lit(v, "type");
    struct ar_str type = ar_json_esc(tv);
    if (ar_str_is_lit(type, "text")) {
        x->r->set.format = AR_FORMAT_TEXT;
    } else if (ar_str_is_lit(type, "json_object")) {
        x->r->set.format = AR_FORMAT_JSON;
    } else if (ar_str_is_lit(type, "json_schema")) {
        return read_schema(x, v);
    } else {
        return ar_json_wrong(ar_json_is(tv, AR_J_NONE) ? v : tv, "text, json_object or json_schema",
                             x->in.err);
    }
    return AR_OK;
}

static enum ar_code read_effort(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    struct ar_str name;
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    enum ar_code c = ar_json_text(v, x->in.a, &name, x->in.err);
    if (c != AR_OK) {
        return c;
    }
    enum ar_effort e = ar_effort_of(name);
    if (ar_str_is_lit(name, "default") || ar_str_is_lit(name, "auto")) {
        return AR_OK; /* Groq's words for saying nothing */
    }
    if (e == AR_EFFORT_UNSET) {
        return ar_json_wrong(v, "none, minimal, low, medium, high, xhigh or max", x->in.err);
    }
    x->r->set.effort = e;
    if (e == AR_EFFORT_NONE) {
        x->r->set.reason_mode = AR_REASON_OFF;
    }
    return AR_OK;
}

/* OpenRouter's reasoning{effort, max_tokens, exclude, enabled}. */
static enum ar_code read_reasoning(struct reader *x, struct ar_jval v, size_t at)
{
    struct ar_settings *s = &x->r->set;
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", x->in.err);
    }
    enum ar_code c = read_effort(x, ar_json_get_lit(v, "effort"), at);
    struct ar_jval budget = ar_json_get_lit(v, "max_tokens");
    if (c == AR_OK && !ar_json_is_nil(budget)) {
        c = ar_json_i64(budget, &s->budget, x->in.err);
        s->reason_mode = s->budget > 0 ? AR_REASON_BUDGET : AR_REASON_OFF;
    }
    struct ar_jval enabled = ar_json_get_lit(v, "enabled");
    if (s->reason_mode == AR_REASON_UNSET && ar_json_is(enabled, AR_J_TRUE)) {
        s->reason_mode = AR_REASON_ADAPTIVE;
    } else if (ar_json_is(enabled, AR_J_FALSE)) {
        s->reason_mode = AR_REASON_OFF;
    }
    if (ar_json_is(ar_json_get_lit(v, "exclude"), AR_J_TRUE)) {
        s->show = AR_SHOW_OMITTED;
    }
    return c;
}

static void add_ext(struct reader *x, struct ar_str name, struct ar_jval v, enum ar_fate fate)
{
    struct ar_ext *e = ar_arena_new(x->in.a, struct ar_ext);
    if (e) {
        *e = (struct ar_ext){.from = AR_DIALECT_CHAT, .fate = fate, .raw = ar_json_raw(v)};
        e->name = ar_arena_copy(x->in.a, name); /* an escaped key lives in its iterator only */
        *x->ext_tail = e;
        x->ext_tail = &e->next;
    }
}

/* Audio output is native only; asking for text alone is the default. */
static enum ar_code read_modalities(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    enum ar_fate fate = AR_FATE_SILENT;
    struct ar_jiter it = ar_json_iter(v);
    while (ar_json_next(&it)) {
        if (!ar_str_is_lit(ar_json_esc(it.val), "text")) {
            fate = AR_FATE_REJECT;
        }
    }
    add_ext(x, AR_LIT("modalities"), v, fate);
    return AR_OK;
}

/* Only a policy that blocks changes the answer. */
static enum ar_code read_moderation(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    bool blocks = ar_str_has(ar_json_raw(v), AR_LIT("\"block\""));
    add_ext(x, AR_LIT("moderation"), v, blocks ? AR_FATE_WARN : AR_FATE_SILENT);
    return AR_OK;
}

static enum ar_code read_messages(struct reader *x, struct ar_jval v, size_t at)
{
    (void)at;
    x->messages = v;
    return AR_OK;
}
static enum ar_code skip(struct reader *x, struct ar_jval v, size_t at)
{
    (void)x, (void)v, (void)at;
    return AR_OK;
}

#define F(name, read, at)                                                                          \
    {                                                                                              \
        AR_LIT_INIT(name), read, at, NULL                                                          \
    }
#define PART(name, part)                                                                           \
    {                                                                                              \
        AR_LIT_INIT(name), NULL, 0, part                                                           \
    }
static const struct field FIELDS[] = {
    F("model", read_str, offsetof(struct ar_request, model)),
    F("messages", read_messages, 0),
    F("max_completion_tokens", read_max_completion, SET(max_tokens)),
    F("max_tokens", read_max, SET(max_tokens)),
    F("temperature", read_num, SET(temperature)),
    F("top_p", read_num, SET(top_p)),
    F("top_k", read_num, SET(top_k)),
    F("frequency_penalty", read_num, SET(freq_penalty)),
    F("presence_penalty", read_num, SET(pres_penalty)),
    F("logit_bias", read_raw, SET(logit_bias)),
    F("logprobs", read_flag, SET(logprobs)),
    F("top_logprobs", read_whole, SET(top_logprobs)),
    F("n", read_count, SET(n)),
    F("seed", read_int, SET(seed)),
    F("stop", read_stop, SET(stop)),
    F("stream", read_flag, offsetof(struct ar_request, stream)),
    F("stream_options", read_stream_options, 0),
    PART("tools", ar_chat_read_tools),
    PART("tool_choice", ar_chat_read_choice),
    F("parallel_tool_calls", read_parallel, 0),
    PART("functions", ar_chat_read_functions),
    PART("function_call", ar_chat_read_choice),
    F("response_format", read_format, 0),
    F("reasoning_effort", read_effort, 0),
    F("reasoning", read_reasoning, 0),
    F("verbosity", read_str, SET(verbosity)),
    PART("web_search_options", ar_chat_read_search),
    F("service_tier", read_str, SET(service_tier)),
    F("user", read_user, SET(user_id)),
    F("safety_identifier", read_safety, SET(user_id)),
    F("prompt_cache_key", read_str, SET(cache_key)),
    F("modalities", read_modalities, 0),
    F("moderation", read_moderation, 0),
    F("provider", skip, 0), /* the gateway's own: routing wishes */
    F("models", skip, 0),
};
#undef F
#undef PART

static enum ar_code read_field(struct reader *x, struct ar_str key, struct ar_jval v)
{
    struct ar_str name = ar_chat_key(key, x->in.a);
    for (size_t i = 0; i < sizeof FIELDS / sizeof *FIELDS; i++) {
        if (ar_str_is(name, FIELDS[i].name)) {
            return FIELDS[i].part ? FIELDS[i].part(&x->in, v, x->r)
                                  : FIELDS[i].read(x, v, FIELDS[i].at);
        }
    }
    add_ext(x, name, v, AR_FATE_SILENT);
    return AR_OK;
}

enum ar_code ar_chat_decode_request(struct ar_str body, const struct ar_wire_in *in, enum ar_op op,
                                    struct ar_arena *a, struct ar_request **ret, struct ar_err *err)
{
    (void)op;
    struct ar_opened o;
    enum ar_code c = ar_request_open(body, in, a, &o, err);
    if (c != AR_OK) {
        return c;
    }
    struct ar_request *r = o.r;
    r->dialect = AR_DIALECT_CHAT;
    if (in) {
        r->set.betas = in->beta;
        r->set.version = in->version;
    }
    struct reader x = {.in = {.a = a, .err = err}, .r = r, .ext_tail = &r->ext};
    struct ar_jiter it = ar_json_iter(o.root);
    while (ar_json_next(&it)) {
        if ((c = read_field(&x, it.key, it.val)) != AR_OK) {
            return c;
        }
    }
    if (!r->model.p) {
        return ar_fail_at(err, "model", "you must provide a model parameter");
    }
    if (!ar_json_is(x.messages, AR_J_ARRAY) || ar_json_count(x.messages) == 0) {
        return ar_fail_at(err, "messages", "must be a list of at least one message");
    }
    if ((c = ar_chat_read_messages(&x.in, x.messages, r)) != AR_OK) {
        return c;
    }
    if (ar_arena_finish(a) != AR_OK) {
        return ar_request_too_large(err);
    }
    *ret = r;
    return AR_OK;
}
