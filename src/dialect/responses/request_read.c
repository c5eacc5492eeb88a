/* Responses request -> IR. One row a top-level field: a reader, or the fate that the field has with
 * other vendors (PROTOCOLS 2.2, 6.8-6.10); what has no row is kept for its own dialect and dropped
 * silently elsewhere. Nothing is judged here that only the upstream can judge. Owns nothing: arena
 * and spans of the body; the document stays with the request, because an answer repeats its
 * settings. */
#include "dialect/responses/request_read.h"

enum ar_code ar_responses_need(struct ar_responses_in *in, struct ar_jval obj, struct ar_str key,
                               struct ar_jval *ret)
{
    *ret = ar_json_get(obj, key);
    if (ar_json_is(*ret, AR_J_STRING)) {
        return AR_OK;
    }
    if (ret->doc) {
        return ar_json_wrong(*ret, "a string", in->err);
    }
    struct ar_str want = ar_arena_fmt(in->a, "an object with a string %.*s", AR_FMT(key));
    return ar_json_wrong(obj, want.p ? want.p : "complete", in->err);
}

#include <stddef.h>

typedef enum ar_code reader(struct ar_responses_in *in, struct ar_jval v);

static enum ar_code keep(struct ar_responses_in *in, enum ar_fate fate, struct ar_str name,
                         struct ar_jval v)
{
    struct ar_ext *x = ar_arena_new(in->a, struct ar_ext);
    if (!x) {
        return ar_request_too_large(in->err);
    }
    x->from = AR_DIALECT_RESPONSES;
    x->fate = fate;
    x->name = ar_arena_copy(in->a, name); /* an escaped key lives in its iterator only */
    x->raw = ar_json_raw(v);
    *in->ext_tail = x;
    in->ext_tail = &x->next;
    return AR_OK;
}

static enum ar_code text_of(struct ar_responses_in *in, struct ar_jval v, struct ar_str *ret)
{
    return ar_json_is_nil(v) ? AR_OK : ar_json_text(v, in->a, ret, in->err);
}

static enum ar_code read_model(struct ar_responses_in *in, struct ar_jval v)
{
    enum ar_code c = ar_json_text(v, in->a, &in->r->model, in->err);
    return c == AR_OK && in->r->model.n == 0 ? ar_json_wrong(v, "the name of a model", in->err) : c;
}

static enum ar_code read_stream(struct ar_responses_in *in, struct ar_jval v)
{
    return ar_json_is_nil(v) ? AR_OK : ar_json_bool(v, &in->r->stream, in->err);
}

/* Text of the first instructions, before the system messages of the input (P-030). */
static enum ar_code read_instructions(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_block *first = NULL, **tail = &first;
    if (!ar_json_is_nil(v) && !ar_json_is(v, AR_J_STRING)) {
        return ar_json_wrong(v, "a string", in->err);
    }
    enum ar_code c = ar_json_esc(v).n > 0 ? ar_responses_read_content(in, v, &tail) : AR_OK;
    if (c == AR_OK && first) {
        in->system_tail = in->r->system ? in->system_tail : tail;
        *tail = in->r->system;
        in->r->system = first;
    }
    return c;
}

static enum ar_code read_max(struct ar_responses_in *in, struct ar_jval v)
{
    return ar_take_count(v, &in->r->set.max_tokens, in->err);
}

static enum ar_code read_top_logprobs(struct ar_responses_in *in, struct ar_jval v)
{
    return ar_take_whole(v, &in->r->set.top_logprobs, in->err);
}

static enum ar_code read_temperature(struct ar_responses_in *in, struct ar_jval v)
{
    return ar_take_num(v, &in->r->set.temperature, in->err);
}

static enum ar_code read_top_p(struct ar_responses_in *in, struct ar_jval v)
{
    return ar_take_num(v, &in->r->set.top_p, in->err);
}

static enum ar_code read_parallel(struct ar_responses_in *in, struct ar_jval v)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    in->r->set.parallel = AR_SET;
    return ar_json_bool(v, &in->r->set.parallel_on, in->err);
}

enum ar_code ar_responses_read_effort(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_settings *s = &in->r->set;
    struct ar_str name = {0};
    enum ar_code c = ar_json_text(v, in->a, &name, in->err);
    if (c != AR_OK) {
        return c;
    }
    s->effort = ar_effort_of(name);
    s->reason_mode = s->effort == AR_EFFORT_NONE ? AR_REASON_OFF : AR_REASON_UNSET;
    return s->effort == AR_EFFORT_UNSET
               ? ar_json_wrong(v, "none, minimal, low, medium, high, xhigh or max", in->err)
               : AR_OK;
}

/* Without a wish for summaries the thinking is not shown; it still travels encrypted. */
static enum ar_code read_reasoning(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_settings *s = &in->r->set;
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", in->err);
    }
    struct ar_jval effort = ar_json_get_lit(v, "effort");
    enum ar_code c = ar_json_is_nil(effort) ? AR_OK : ar_responses_read_effort(in, effort);
    s->summary = ar_member_text_lit(in->a, v, "summary");
    if (s->summary.n == 0) {
        s->summary = ar_member_text_lit(in->a, v, "generate_summary");
    }
    if (s->summary.n > 0 && !ar_str_is_lit(s->summary, "none")) {
        s->show = AR_SHOW_SUMMARY;
    }
    struct ar_jval mode = ar_json_get_lit(v, "mode"), context = ar_json_get_lit(v, "context");
    if (c == AR_OK && !ar_json_is_nil(mode)) {
        bool is_pro = ar_str_is_lit(ar_json_esc(mode), "pro");
        c = keep(in, is_pro ? AR_FATE_WARN : AR_FATE_SILENT, AR_LIT("reasoning.mode"), mode);
    }
    if (c == AR_OK && !ar_json_is_nil(context)) {
        c = keep(in, AR_FATE_SILENT, AR_LIT("reasoning.context"), context);
    }
    return c;
}

static enum ar_code read_format(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_settings *s = &in->r->set;
    struct ar_jval tv = ar_json_get_lit(v, "type"), schema = ar_json_get_lit(v, "schema");
    struct ar_jval strict = ar_json_get_lit(v, "strict");
    struct ar_str type = ar_json_esc(tv);
    if (ar_str_is_lit(type, "text")) {
        s->format = AR_FORMAT_TEXT;
        return AR_OK;
    }
    if (ar_str_is_lit(type, "json_object")) {
        s->format = AR_FORMAT_JSON;
        return AR_OK;
    }
    if (!ar_str_is_lit(type, "json_schema")) {
        return ar_json_wrong(tv.doc ? tv : v, "text, json_object or json_schema", in->err);
    }
    if (!ar_json_is(schema, AR_J_OBJECT)) {
        return ar_json_wrong(schema.doc ? schema : v, "a format with an object schema", in->err);
    }
    s->format = AR_FORMAT_SCHEMA;
    s->schema = ar_json_raw(schema);
    s->schema_name = ar_member_text_lit(in->a, v, "name");
    s->schema_description = ar_json_esc(ar_json_get_lit(v, "description"));
    if (ar_json_is_nil(strict)) {
        return AR_OK;
    }
    s->schema_strict = AR_SET;
    return ar_json_bool(strict, &s->schema_strict_on, in->err);
}

enum ar_code ar_responses_read_shape(struct ar_responses_in *in, struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", in->err);
    }
    struct ar_jval format = ar_json_get_lit(v, "format"), words = ar_json_get_lit(v, "verbosity");
    enum ar_code c = ar_json_is_nil(words) ? AR_OK : text_of(in, words, &in->r->set.verbosity);
    return c == AR_OK && !ar_json_is_nil(format) ? read_format(in, format) : c;
}

static enum ar_code read_include(struct ar_responses_in *in, struct ar_jval v)
{
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        struct ar_str name = ar_json_esc(it.val);
        in->r->set.want_encrypted |= ar_str_is_lit(name, "reasoning.encrypted_content");
        in->r->set.logprobs |= ar_str_is_lit(name, "message.output_text.logprobs");
    }
    return keep(in, AR_FATE_SILENT, AR_LIT("include"), v);
}

static enum ar_code read_tier(struct ar_responses_in *in, struct ar_jval v)
{
    return text_of(in, v, &in->r->set.service_tier);
}

static enum ar_code read_user(struct ar_responses_in *in, struct ar_jval v)
{
    return in->r->set.user_id.n > 0 ? AR_OK : text_of(in, v, &in->r->set.user_id);
}

static enum ar_code read_safety(struct ar_responses_in *in, struct ar_jval v)
{
    return text_of(in, v, &in->r->set.user_id);
}

static enum ar_code read_cache_key(struct ar_responses_in *in, struct ar_jval v)
{
    return text_of(in, v, &in->r->set.cache_key);
}

/* State that one account holds cannot be translated: only where it is asked for (P-133). */
static enum ar_code read_background(struct ar_responses_in *in, struct ar_jval v)
{
    enum ar_fate fate = ar_json_is(v, AR_J_TRUE) ? AR_FATE_REJECT : AR_FATE_SILENT;
    return keep(in, fate, AR_LIT("background"), v);
}

static enum ar_code read_truncation(struct ar_responses_in *in, struct ar_jval v)
{
    bool cuts = ar_str_is_lit(ar_json_esc(v), "auto");
    return keep(in, cuts ? AR_FATE_WARN : AR_FATE_SILENT, AR_LIT("truncation"), v);
}

/* Only a policy that blocks changes the answer. */
static enum ar_code read_moderation(struct ar_responses_in *in, struct ar_jval v)
{
    bool blocks = ar_str_has(ar_json_raw(v), AR_LIT("\"block\""));
    return keep(in, blocks ? AR_FATE_WARN : AR_FATE_SILENT, AR_LIT("moderation"), v);
}

static enum ar_code skip(struct ar_responses_in *in, struct ar_jval v)
{
    (void)in, (void)v;
    return AR_OK;
}

static const struct field {
    struct ar_str name;
    reader *read; /* NULL: an extension with this fate */
    enum ar_fate fate;
} FIELDS[] = {
    {AR_LIT_INIT("model"), read_model, AR_FATE_SILENT},
    {AR_LIT_INIT("input"), skip, AR_FATE_SILENT}, /* read last: items change tools and settings */
    {AR_LIT_INIT("instructions"), read_instructions, AR_FATE_SILENT},
    {AR_LIT_INIT("tools"), ar_responses_read_tools, AR_FATE_SILENT},
    {AR_LIT_INIT("tool_choice"), ar_responses_read_choice, AR_FATE_SILENT},
    {AR_LIT_INIT("parallel_tool_calls"), read_parallel, AR_FATE_SILENT},
    {AR_LIT_INIT("stream"), read_stream, AR_FATE_SILENT},
    {AR_LIT_INIT("reasoning"), read_reasoning, AR_FATE_SILENT},
    {AR_LIT_INIT("text"), ar_responses_read_shape, AR_FATE_SILENT},
    {AR_LIT_INIT("include"), read_include, AR_FATE_SILENT},
    {AR_LIT_INIT("max_output_tokens"), read_max, AR_FATE_SILENT},
    {AR_LIT_INIT("temperature"), read_temperature, AR_FATE_SILENT},
    {AR_LIT_INIT("top_p"), read_top_p, AR_FATE_SILENT},
    {AR_LIT_INIT("top_logprobs"), read_top_logprobs, AR_FATE_SILENT},
    {AR_LIT_INIT("prompt_cache_key"), read_cache_key, AR_FATE_SILENT},
    {AR_LIT_INIT("service_tier"), read_tier, AR_FATE_SILENT},
    {AR_LIT_INIT("user"), read_user, AR_FATE_SILENT},
    {AR_LIT_INIT("safety_identifier"), read_safety, AR_FATE_SILENT},
    {AR_LIT_INIT("background"), read_background, AR_FATE_SILENT},
    {AR_LIT_INIT("truncation"), read_truncation, AR_FATE_SILENT},
    {AR_LIT_INIT("moderation"), read_moderation, AR_FATE_SILENT},
    {AR_LIT_INIT("provider"), skip, AR_FATE_SILENT}, /* the gateway's own: routing wishes */
    {AR_LIT_INIT("models"), skip, AR_FATE_SILENT},
    {AR_LIT_INIT("previous_response_id"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("conversation"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("prompt"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("max_tool_calls"), NULL, AR_FATE_WARN},
    {AR_LIT_INIT("context_management"), NULL, AR_FATE_WARN},
};
enum { FIELD_COUNT = sizeof FIELDS / sizeof *FIELDS };

static enum ar_code read_root(struct ar_responses_in *in, struct ar_jval root)
{
    uint64_t seen = 0;
    for (struct ar_jiter it = ar_json_iter(root); ar_json_next(&it);) {
        unsigned i = 0;
        while (i < FIELD_COUNT && !ar_str_is(FIELDS[i].name, it.key)) {
            i++;
        }
        enum ar_code c = AR_OK;
        if (i < FIELD_COUNT && (seen & (UINT64_C(1) << i))) {
            return ar_json_wrong(it.val, "given once", in->err);
        }
        if (i < FIELD_COUNT && FIELDS[i].read) {
            c = FIELDS[i].read(in, it.val);
        } else if (i == FIELD_COUNT || !ar_json_is_nil(it.val)) {
            c = keep(in, i < FIELD_COUNT ? FIELDS[i].fate : AR_FATE_SILENT, it.key, it.val);
        }
        if (c != AR_OK) {
            return c;
        }
        seen |= i < FIELD_COUNT ? UINT64_C(1) << i : 0;
    }
    if (!(seen & 1)) {
        return ar_json_wrong(root, "an object with a model", in->err);
    }
    return ar_responses_read_messages(in, ar_json_get_lit(root, "input"));
}

enum ar_code ar_responses_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                         enum ar_op op, struct ar_arena *a, struct ar_request **ret,
                                         struct ar_err *err)
{
    (void)op; /* counting takes every field (PROTOCOLS 10.2) */
    struct ar_opened o;
    enum ar_code c = ar_request_open(body, in, a, &o, err);
    if (c != AR_OK) {
        return c;
    }
    struct ar_request *r = o.r;
    struct ar_responses_in rd = {.a = a, .err = err, .r = r};
    rd.turn_tail = &r->turns;
    rd.system_tail = &r->system;
    rd.tool_tail = &r->tools;
    rd.ext_tail = &r->ext;
    r->dialect = AR_DIALECT_RESPONSES;
    r->wire = o.doc;
    r->set.show = AR_SHOW_OMITTED;
    if (in) {
        r->set.betas = in->beta;
        r->set.version = in->version;
    }
    ar_map_init(&rd.names, 0);
    c = read_root(&rd, o.root);
    ar_map_done(&rd.names);
    if (c == AR_OK && ar_arena_finish(a) != AR_OK) {
        c = ar_request_too_large(rd.err);
    }
    if (c == AR_OK) {
        *ret = r;
    }
    return c;
}
