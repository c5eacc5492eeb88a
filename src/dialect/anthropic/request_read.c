/* Messages request -> IR. One row a top-level field: a reader, or the fate that the field has with
 * other vendors (PROTOCOLS 3.2, 6.9); what has no row is kept for its own dialect and dropped
 * silently elsewhere. Messages stay one turn each; the encoders regroup. Nothing is judged here
 * that only the upstream can judge; what is refused is what cannot be read, and what the declared
 * API version forbids (P-116). Owns nothing: arena and spans of the body. */
#include "dialect/anthropic/request_read.h"

struct state {
    struct ar_anthropic_in in;
    struct ar_request *r;
    struct ar_settings *set;
    struct ar_ext **ext_tail;
};
typedef enum ar_code reader(struct state *s, struct ar_jval v);

static enum ar_code keep(struct state *s, enum ar_fate fate, struct ar_str name, struct ar_jval v)
{
    struct ar_ext *x = ar_arena_new(s->in.a, struct ar_ext);
    if (!x) {
        return ar_request_too_large(s->in.err);
    }
    x->from = AR_DIALECT_ANTHROPIC;
    x->fate = fate;
    x->name = ar_arena_copy(s->in.a, name);
    x->raw = ar_json_raw(v);
    *s->ext_tail = x;
    s->ext_tail = &x->next;
    return AR_OK;
}

/* The members of v that are not among names (separated by spaces), as "<of>.<name>". */
static enum ar_code keep_rest(struct state *s, const char *of, struct ar_jval v, const char *names)
{
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        struct ar_str rest = ar_str_of(names), name;
        bool known = false;
        while (!known && ar_str_split(&rest, ' ', &name)) {
            known = ar_str_is(name, it.key);
        }
        if (!known) {
            struct ar_str full = ar_arena_fmt(s->in.a, "%s.%.*s", of, AR_FMT(it.key));
            enum ar_fate fate =
                ar_str_is_lit(it.key, "task_budget") ? AR_FATE_WARN : AR_FATE_SILENT;
            enum ar_code code =
                full.p ? keep(s, fate, full, it.val) : ar_request_too_large(s->in.err);
            if (code != AR_OK) {
                return code;
            }
        }
    }
    return AR_OK;
}

static enum ar_code text_of(struct state *s, struct ar_jval v, struct ar_str *ret)
{
    return ar_json_is_nil(v) ? AR_OK : ar_json_text(v, s->in.a, ret, s->in.err);
}

static enum ar_code read_model(struct state *s, struct ar_jval v)
{
    enum ar_code code = ar_json_text(v, s->in.a, &s->r->model, s->in.err);
    return code == AR_OK && s->r->model.n == 0 ? ar_json_wrong(v, "a name", s->in.err) : code;
}

static enum ar_code read_stream(struct state *s, struct ar_jval v)
{
    return ar_json_is_nil(v) ? AR_OK : ar_json_bool(v, &s->r->stream, s->in.err);
}

static enum ar_code read_max_tokens(struct state *s, struct ar_jval v)
{
    int64_t n = 0;
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    enum ar_code code = ar_json_i64(v, &n, s->in.err);
    if (code == AR_OK && n < 0) {
        code = ar_json_wrong(v, "0 or more", s->in.err);
    }
    s->set->max_tokens = (struct ar_int){AR_SET, n};
    return code;
}

static enum ar_code read_num(struct state *s, struct ar_jval v, struct ar_num *ret)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (s->in.new_version) {
        return ar_json_wrong(v, "absent: API version 2026-10-21 has no sampling settings",
                             s->in.err);
    }
    ret->tri = AR_SET;
    ret->src = ar_json_raw(v);
    return ar_json_double(v, &ret->d, s->in.err);
}

static enum ar_code read_temperature(struct state *s, struct ar_jval v)
{
    return read_num(s, v, &s->set->temperature);
}

static enum ar_code read_top_p(struct state *s, struct ar_jval v)
{
    return read_num(s, v, &s->set->top_p);
}

static enum ar_code read_top_k(struct state *s, struct ar_jval v)
{
    return read_num(s, v, &s->set->top_k);
}

static enum ar_code read_stops(struct state *s, struct ar_jval v)
{
    struct ar_name **tail = &s->set->stop;
    if (!ar_json_is_nil(v) && !ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "an array of strings", s->in.err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (!ar_json_is(it.val, AR_J_STRING)) {
            return ar_json_wrong(it.val, "a string", s->in.err);
        }
        if (!ar_name_new(s->in.a, ar_json_esc(it.val), &tail)) {
            return ar_request_too_large(s->in.err);
        }
    }
    return AR_OK;
}

static enum ar_code read_system(struct state *s, struct ar_jval v)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    enum ar_code code = ar_anthropic_read_content(&s->in, v, AR_IN_SYSTEM, &s->r->system);
    for (struct ar_block *b = s->r->system; code == AR_OK && b; b = b->next) {
        if (b->kind != AR_TEXT) {
            code = ar_json_wrong(v, "a string or text blocks", s->in.err);
        }
    }
    return code;
}

static enum ar_code read_messages(struct state *s, struct ar_jval v)
{
    return ar_anthropic_read_messages(&s->in, v, &s->r->turns);
}

static enum ar_code read_metadata(struct state *s, struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", s->in.err);
    }
    enum ar_code code = text_of(s, ar_json_get_lit(v, "user_id"), &s->set->user_id);
    return code == AR_OK ? keep_rest(s, "metadata", v, "user_id") : code;
}

static enum ar_code read_thinking(struct state *s, struct ar_jval v)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type"));
    struct ar_settings *set = s->set;
    if (ar_str_is_lit(type, "adaptive")) {
        set->reason_mode = AR_REASON_ADAPTIVE;
    } else if (ar_str_is_lit(type, "enabled")) {
        set->reason_mode = AR_REASON_BUDGET;
        struct ar_jval budget = ar_json_get_lit(v, "budget_tokens");
        enum ar_code code = budget.doc ? ar_json_i64(budget, &set->budget, s->in.err)
                                       : ar_anthropic_missing(v, "budget_tokens", s->in.err);
        if (code != AR_OK) {
            return code;
        }
    } else if (ar_str_is_lit(type, "disabled")) {
        set->reason_mode = AR_REASON_OFF;
    } else if (ar_str_is_lit(type, "between_tools")) {
        set->reason_mode = AR_REASON_BETWEEN_TOOLS;
    } else if (type.p) {
        return keep(s, AR_FATE_WARN, AR_LIT("thinking"), v);
    } else {
        return ar_json_wrong(v, "an object with a type", s->in.err);
    }
    struct ar_str show = ar_json_esc(ar_json_get_lit(v, "display"));
    if (ar_str_is_lit(show, "omitted")) {
        set->show = AR_SHOW_OMITTED;
    } else if (show.p) {
        set->show = AR_SHOW_SUMMARY;
    }
    bool odd = show.p && set->show == AR_SHOW_SUMMARY && !ar_str_is_lit(show, "summarized");
    return keep_rest(s, "thinking", v, odd ? "type budget_tokens" : "type budget_tokens display");
}

static enum ar_code read_format(struct state *s, struct ar_jval v)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (!ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "type")), "json_schema")) {
        return ar_json_wrong(ar_json_get_lit(v, "type"), "json_schema", s->in.err);
    }
    struct ar_jval schema = ar_json_get_lit(v, "schema");
    if (!ar_json_is(schema, AR_J_OBJECT)) {
        return ar_json_wrong(schema, "an object", s->in.err);
    }
    s->set->format = AR_FORMAT_SCHEMA;
    s->set->schema = ar_json_raw(schema);
    s->set->schema_strict = AR_SET;
    s->set->schema_strict_on = true;
    return AR_OK;
}

static enum ar_code read_output_config(struct state *s, struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_is_nil(v) ? AR_OK : ar_json_wrong(v, "an object", s->in.err);
    }
    struct ar_str effort = {0};
    enum ar_code code = text_of(s, ar_json_get_lit(v, "effort"), &effort);
    s->set->effort = effort.p ? ar_effort_of(effort) : AR_EFFORT_UNSET;
    bool odd = effort.p && s->set->effort == AR_EFFORT_UNSET;
    if (code == AR_OK) {
        code = read_format(s, ar_json_get_lit(v, "format"));
    }
    return code == AR_OK ? keep_rest(s, "output_config", v, odd ? "format" : "effort format")
                         : code;
}

static enum ar_code read_tools(struct state *s, struct ar_jval v)
{
    return ar_anthropic_read_tools(&s->in, v, &s->r->tools);
}

static enum ar_code read_choice(struct state *s, struct ar_jval v)
{
    return ar_anthropic_read_choice(&s->in, v, s->set);
}

static enum ar_code read_cache(struct state *s, struct ar_jval v)
{
    struct ar_str ttl = ar_anthropic_read_cache(&s->in, v);
    s->set->auto_cache = ttl.p != NULL;
    s->set->auto_cache_ttl = ttl;
    return AR_OK;
}

static enum ar_code read_service_tier(struct state *s, struct ar_jval v)
{
    return text_of(s, v, &s->set->service_tier);
}

static enum ar_code read_speed(struct state *s, struct ar_jval v)
{
    return text_of(s, v, &s->set->speed);
}

/* Read by the outline, not by translations. */
static enum ar_code read_nothing(struct state *s, struct ar_jval v)
{
    (void)s;
    (void)v;
    return AR_OK;
}

static const struct field {
    struct ar_str name;
    reader *read; /* NULL: an extension with this fate */
    enum ar_fate fate;
} fields[] = {
    {AR_LIT_INIT("model"), read_model, AR_FATE_SILENT},
    {AR_LIT_INIT("max_tokens"), read_max_tokens, AR_FATE_SILENT},
    {AR_LIT_INIT("messages"), read_messages, AR_FATE_SILENT},
    {AR_LIT_INIT("system"), read_system, AR_FATE_SILENT},
    {AR_LIT_INIT("stream"), read_stream, AR_FATE_SILENT},
    {AR_LIT_INIT("tools"), read_tools, AR_FATE_SILENT},
    {AR_LIT_INIT("tool_choice"), read_choice, AR_FATE_SILENT},
    {AR_LIT_INIT("thinking"), read_thinking, AR_FATE_SILENT},
    {AR_LIT_INIT("output_config"), read_output_config, AR_FATE_SILENT},
    {AR_LIT_INIT("output_format"), read_format, AR_FATE_SILENT},
    {AR_LIT_INIT("metadata"), read_metadata, AR_FATE_SILENT},
    {AR_LIT_INIT("stop_sequences"), read_stops, AR_FATE_SILENT},
    {AR_LIT_INIT("temperature"), read_temperature, AR_FATE_SILENT},
    {AR_LIT_INIT("top_p"), read_top_p, AR_FATE_SILENT},
    {AR_LIT_INIT("top_k"), read_top_k, AR_FATE_SILENT},
    {AR_LIT_INIT("cache_control"), read_cache, AR_FATE_SILENT},
    {AR_LIT_INIT("service_tier"), read_service_tier, AR_FATE_SILENT},
    {AR_LIT_INIT("speed"), read_speed, AR_FATE_SILENT},
    {AR_LIT_INIT("provider"), read_nothing, AR_FATE_SILENT},
    {AR_LIT_INIT("models"), read_nothing, AR_FATE_SILENT},
    {AR_LIT_INIT("diagnostics"), NULL, AR_FATE_SILENT},
    {AR_LIT_INIT("inference_geo"), NULL, AR_FATE_WARN},
    {AR_LIT_INIT("container"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("context_management"), NULL, AR_FATE_WARN},
    {AR_LIT_INIT("mcp_servers"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("compaction"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("thread"), NULL, AR_FATE_REJECT},
    {AR_LIT_INIT("fallbacks"), NULL, AR_FATE_WARN},
    {AR_LIT_INIT("fallback_credit_token"), NULL, AR_FATE_SILENT},
    {AR_LIT_INIT("billing_policy"), NULL, AR_FATE_WARN},
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static enum ar_code read_root(struct state *s, struct ar_jval root)
{
    uint64_t seen = 0;
    for (struct ar_jiter it = ar_json_iter(root); ar_json_next(&it);) {
        unsigned i = 0;
        while (i < FIELDS && !ar_str_is(fields[i].name, it.key)) {
            i++;
        }
        enum ar_code code = AR_OK;
        if (i < FIELDS && (seen & (UINT64_C(1) << i))) {
            return ar_json_wrong(it.val, "given once", s->in.err);
        }
        if (i == FIELDS) {
            code = keep(s, AR_FATE_SILENT, it.key, it.val);
        } else if (fields[i].read) {
            code = fields[i].read(s, it.val);
        } else if (!ar_json_is_nil(it.val)) {
            code = keep(s, fields[i].fate, it.key, it.val);
        }
        if (code != AR_OK) {
            return code;
        }
        seen |= i < FIELDS ? UINT64_C(1) << i : 0;
    }
    if (!(seen & 1)) {
        return ar_anthropic_missing(root, "model", s->in.err);
    }
    return seen & 4 ? AR_OK : ar_anthropic_missing(root, "messages", s->in.err);
}

/* P-003: absent means the old version; an unknown one cannot be translated. */
static enum ar_code read_version(struct state *s, const struct ar_wire_in *in)
{
    struct ar_str v = in && in->version.n > 0 ? in->version : AR_LIT("2023-06-01");
    s->in.new_version = ar_str_is_lit(v, "2026-10-21");
    if (!s->in.new_version && !ar_str_is_lit(v, "2023-06-01")) {
        return ar_fail(s->in.err, AR_INVALID_REQUEST,
                       "anthropic-version: must be 2023-06-01 or 2026-10-21");
    }
    s->set->version = v;
    s->set->betas = in ? in->beta : (struct ar_str){0};
    return AR_OK;
}

enum ar_code ar_anthropic_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                         enum ar_op op, struct ar_arena *a, struct ar_request **ret,
                                         struct ar_err *err)
{
    (void)op; /* count_tokens tolerates every field (PROTOCOLS 10.1) */
    struct ar_opened o;
    enum ar_code code = ar_request_open(body, in, a, &o, err);
    if (code != AR_OK) {
        return code;
    }
    struct ar_request *r = o.r;
    struct state s = {
        .in = {.a = a, .err = err, .vendor = AR_VENDOR_ANTHROPIC, .account = AR_LIT("")}, .r = r};
    s.set = &r->set;
    s.ext_tail = &r->ext;
    r->dialect = AR_DIALECT_ANTHROPIC;
    code = read_version(&s, in);
    if (code == AR_OK) {
        code = read_root(&s, o.root);
    }
    if (code == AR_OK && ar_arena_finish(a) != AR_OK) {
        code = ar_request_too_large(err);
    }
    if (code == AR_OK) {
        *ret = r;
    }
    return code;
}
