/* generateContent and countTokens requests -> IR. One row a top-level field and one a field of
 * generationConfig: a reader, or the fate that the field has with other vendors (PROTOCOLS 4.2,
 * 4.3, 6.9); what has no row is kept for its own dialect and dropped silently elsewhere. Both
 * spellings of a member are one member. countTokens may wrap the request in generateContentRequest.
 * Nothing is judged here that only the upstream can judge. Owns nothing: arena and spans of the
 * body. */
#include "dialect/gemini/request_read.h"

struct state {
    struct ar_gemini_in in;
    struct ar_request *r;
    struct ar_settings *set;
    struct ar_ext **ext_tail;
    struct ar_jval schema, json_schema, mime; /* of generationConfig: one needs the others */
};
typedef enum ar_code reader(struct state *s, struct ar_jval v);

struct field {
    struct ar_str name;
    reader *read; /* NULL: an extension with this fate */
    enum ar_fate fate;
};
#define FIELD(name, read)                                                                          \
    {                                                                                              \
        AR_LIT_INIT(name), read, AR_FATE_SILENT                                                    \
    }
#define EXT(name, fate)                                                                            \
    {                                                                                              \
        AR_LIT_INIT(name), NULL, AR_FATE_##fate                                                    \
    }

/* of: the object that the member is in; empty: the body. */
static enum ar_code keep(struct state *s, enum ar_fate fate, struct ar_str of, struct ar_str name,
                         struct ar_jval v)
{
    struct ar_ext *x = ar_arena_new(s->in.a, struct ar_ext);
    if (!x) {
        return ar_request_too_large(s->in.err);
    }
    x->from = ar_dialect_gemini.id;
    x->fate = fate;
    x->name = of.n > 0 ? ar_arena_fmt(s->in.a, "%.*s.%.*s", AR_FMT(of), AR_FMT(name))
                       : ar_arena_copy(s->in.a, name);
    x->raw = ar_json_raw(v);
    *s->ext_tail = x;
    s->ext_tail = &x->next;
    return x->name.p ? AR_OK : ar_request_too_large(s->in.err);
}

/* Every member of v through its row. */
static enum ar_code read_fields(struct state *s, struct ar_jval v, struct ar_str of,
                                const struct field *rows, unsigned n)
{
    uint64_t seen = 0;
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        unsigned i = 0;
        while (i < n && !ar_gemini_key_is(it.key, rows[i].name)) {
            i++;
        }
        if (i < n && (seen & (UINT64_C(1) << i))) {
            return ar_json_wrong(it.val, "given once", s->in.err);
        }
        seen |= i < n ? UINT64_C(1) << i : 0;
        enum ar_code code = AR_OK;
        if (ar_json_is_nil(it.val)) {
            continue;
        }
        if (i == n) {
            code = keep(s, AR_FATE_SILENT, of, it.key, it.val);
        } else {
            code = rows[i].read ? rows[i].read(s, it.val)
                                : keep(s, rows[i].fate, of, rows[i].name, it.val);
        }
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

/* --- generationConfig --- */

static enum ar_code read_num(struct state *s, struct ar_jval v, struct ar_num *ret)
{
    ret->tri = AR_SET;
    if (ar_json_is(v, AR_J_STRING)) {
        ret->src = ar_json_esc(v);
        struct ar_jdoc doc; /* a number that is spelled as JSON spells it */
        return ar_json_parse(ret->src, 1, s->in.a, &doc, NULL) == AR_OK &&
                       ar_json_double(ar_json_root(&doc), &ret->d, NULL) == AR_OK
                   ? AR_OK
                   : ar_json_wrong(v, "a number", s->in.err);
    }
    ret->src = ar_json_raw(v);
    return ar_json_double(v, &ret->d, s->in.err);
}

static enum ar_code read_int(struct state *s, struct ar_jval v, struct ar_int *ret)
{
    ret->tri = AR_SET;
    return ar_gemini_i64(v, &ret->i, s->in.err);
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

static enum ar_code read_presence(struct state *s, struct ar_jval v)
{
    return read_num(s, v, &s->set->pres_penalty);
}

static enum ar_code read_frequency(struct state *s, struct ar_jval v)
{
    return read_num(s, v, &s->set->freq_penalty);
}

static enum ar_code read_seed(struct state *s, struct ar_jval v)
{
    return read_int(s, v, &s->set->seed);
}

static enum ar_code read_count(struct state *s, struct ar_jval v)
{
    enum ar_code code = read_int(s, v, &s->set->n);
    return code == AR_OK && s->set->n.i < 1 ? ar_json_wrong(v, "1 or more", s->in.err) : code;
}

static enum ar_code read_max_tokens(struct state *s, struct ar_jval v)
{
    enum ar_code code = read_int(s, v, &s->set->max_tokens);
    if (code == AR_OK && s->set->max_tokens.i < 1) {
        code = ar_json_wrong(v, "1 or more", s->in.err);
    }
    return code;
}

static enum ar_code read_stops(struct state *s, struct ar_jval v)
{
    struct ar_name **tail = &s->set->stop;
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "an array of strings", s->in.err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (!ar_json_is(it.val, AR_J_STRING)) {
            return ar_json_wrong(it.val, "a string", s->in.err);
        }
        if (ar_json_esc(it.val).n > 0 && !ar_name_new(s->in.a, ar_json_esc(it.val), &tail)) {
            return ar_request_too_large(s->in.err);
        }
    }
    return AR_OK;
}

static enum ar_code read_want_logprobs(struct state *s, struct ar_jval v)
{
    return ar_json_bool(v, &s->set->logprobs, s->in.err);
}

static enum ar_code read_logprobs(struct state *s, struct ar_jval v)
{
    return read_int(s, v, &s->set->top_logprobs);
}

static enum ar_code read_mime(struct state *s, struct ar_jval v)
{
    s->mime = v;
    return ar_json_is(v, AR_J_STRING) ? AR_OK : ar_json_wrong(v, "a string", s->in.err);
}

static enum ar_code read_schema(struct state *s, struct ar_jval v)
{
    s->schema = v;
    return ar_json_is(v, AR_J_OBJECT) ? AR_OK : ar_json_wrong(v, "an object", s->in.err);
}

static enum ar_code read_json_schema(struct state *s, struct ar_jval v)
{
    s->json_schema = v;
    return ar_json_is(v, AR_J_OBJECT) ? AR_OK : ar_json_wrong(v, "an object", s->in.err);
}

/* Pictures and sound as output are Gemini's alone (PROTOCOLS 6.2). */
static enum ar_code read_modalities(struct state *s, struct ar_jval v)
{
    static const char *const names[] = {"MODALITY_UNSPECIFIED", "TEXT", NULL};
    bool plain = true;
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        plain = plain && ar_gemini_enum(it.val, "", names) >= 0;
    }
    return keep(s, plain ? AR_FATE_SILENT : AR_FATE_REJECT, AR_LIT("generationConfig"),
                AR_LIT("responseModalities"), v);
}

static enum ar_code read_level(struct state *s, struct ar_jval v)
{
    static const char *const names[] = {
        "THINKING_LEVEL_UNSPECIFIED", "LOW", "HIGH", "MEDIUM", "MINIMAL", NULL};
    static const enum ar_effort levels[] = {AR_EFFORT_UNSET, AR_EFFORT_LOW, AR_EFFORT_HIGH,
                                            AR_EFFORT_MEDIUM, AR_EFFORT_MINIMAL};
    int i = ar_gemini_enum(v, "", names);
    if (i < 0) {
        return keep(s, AR_FATE_WARN, AR_LIT("generationConfig.thinkingConfig"),
                    AR_LIT("thinkingLevel"), v);
    }
    s->set->effort = levels[i];
    return AR_OK;
}

static enum ar_code read_budget(struct state *s, struct ar_jval v)
{
    enum ar_code code = ar_gemini_i64(v, &s->set->budget, s->in.err);
    if (code != AR_OK) {
        return code;
    }
    s->set->reason_mode = s->set->budget > 0    ? AR_REASON_BUDGET
                          : s->set->budget == 0 ? AR_REASON_OFF
                                                : AR_REASON_ADAPTIVE;
    s->set->effort = s->set->budget == 0 ? AR_EFFORT_NONE : AR_EFFORT_UNSET;
    return AR_OK;
}

static enum ar_code read_thinking(struct state *s, struct ar_jval v)
{
    static const struct ar_str keys[] = {AR_LIT_INIT("includeThoughts"),
                                         AR_LIT_INIT("thinkingBudget"),
                                         AR_LIT_INIT("thinkingLevel")};
    struct ar_jval m[3];
    bool show = false;
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", s->in.err);
    }
    (void)ar_gemini_pick(v, keys, 3, m);
    enum ar_code code = ar_json_is_nil(m[0]) ? AR_OK : ar_json_bool(m[0], &show, s->in.err);
    if (code == AR_OK && !ar_json_is_nil(m[0])) {
        s->set->show = show ? AR_SHOW_SUMMARY : AR_SHOW_OMITTED;
    }
    if (code == AR_OK && !ar_json_is_nil(m[1])) {
        code = read_budget(s, m[1]);
    }
    if (code == AR_OK && !ar_json_is_nil(m[2])) {
        code = read_level(s, m[2]);
    }
    return code;
}

#define CONFIG "generationConfig"
static const struct field config_fields[] = {
    FIELD("temperature", read_temperature),
    FIELD("topP", read_top_p),
    FIELD("topK", read_top_k),
    FIELD("candidateCount", read_count),
    FIELD("maxOutputTokens", read_max_tokens),
    FIELD("stopSequences", read_stops),
    FIELD("seed", read_seed),
    FIELD("presencePenalty", read_presence),
    FIELD("frequencyPenalty", read_frequency),
    FIELD("responseLogprobs", read_want_logprobs),
    FIELD("logprobs", read_logprobs),
    FIELD("responseMimeType", read_mime),
    FIELD("responseSchema", read_schema),
    FIELD("responseJsonSchema", read_json_schema),
    FIELD("responseModalities", read_modalities),
    FIELD("thinkingConfig", read_thinking),
    EXT("speechConfig", SILENT),
    EXT("mediaResolution", SILENT),
    EXT("imageConfig", SILENT),
    EXT("responseFormat", WARN),
};
enum { CONFIG_FIELDS = sizeof(config_fields) / sizeof(config_fields[0]) };

/* The schema of an object that holds the value alone; definitions stay where references look. */
static enum ar_code wrap_schema(struct state *s, struct ar_str schema)
{
    struct ar_jdoc doc;
    struct ar_str defs = {NULL, 0};
    if (ar_json_parse(schema, 1, s->in.a, &doc, NULL) == AR_OK) {
        struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "$defs");
        defs = v.doc ? ar_json_raw(v) : defs;
    }
    s->set->schema = ar_arena_fmt(s->in.a,
                                  "{\"type\":\"object\",\"properties\":{\"value\":%.*s},"
                                  "\"required\":[\"value\"],\"additionalProperties\":false%s%.*s}",
                                  AR_FMT(schema), defs.n > 0 ? ",\"$defs\":" : "", AR_FMT(defs));
    s->set->format = AR_FORMAT_SCHEMA;
    return s->set->schema.p ? AR_OK : ar_request_too_large(s->in.err);
}

/* text/x.enum answers one of the schema's values as bare text: to others a JSON object that holds
 * it, which the writers take out again (PROTOCOLS 6.7). */
static enum ar_code set_enum(struct state *s, struct ar_str schema)
{
    s->set->enum_text = true;
    s->set->schema_strict_on = true;
    return wrap_schema(s, schema);
}

/* Others take objects only at the root: a list, a number travels in one. */
static enum ar_code set_schema(struct state *s, struct ar_str schema)
{
    struct ar_jdoc doc;
    s->set->format = AR_FORMAT_SCHEMA;
    s->set->schema = schema;
    if (ar_json_parse(schema, 1, s->in.a, &doc, NULL) != AR_OK) {
        return AR_OK; /* the upstream's to judge */
    }
    struct ar_str type = ar_json_esc(ar_json_get_lit(ar_json_root(&doc), "type"));
    if (type.n == 0 || ar_str_is_lit(type, "object")) {
        return AR_OK;
    }
    s->set->json_value = true;
    return wrap_schema(s, schema);
}

/* responseMimeType, responseSchema and responseJsonSchema together (P-110). */
static enum ar_code set_format(struct state *s)
{
    struct ar_str mime = ar_json_unescape_in(ar_json_esc(s->mime), s->in.a), schema = {NULL, 0};
    if (s->json_schema.doc) {
        schema = ar_json_raw(s->json_schema);
    } else if (s->schema.doc) {
        schema = ar_gemini_read_schema(s->in.a, s->schema);
        if (!schema.p) {
            return ar_request_too_large(s->in.err);
        }
    }
    s->set->schema_strict =
        schema.p ? AR_SET : AR_UNSET; /* nothing here promises what strict asks */
    if (ar_str_is_lit(mime, "text/x.enum") && schema.p) {
        return set_enum(s, schema);
    }
    if (ar_str_is_lit(mime, "application/json")) {
        s->set->format = AR_FORMAT_JSON;
        return schema.p ? set_schema(s, schema) : AR_OK;
    }
    if (mime.p && !ar_str_is_lit(mime, "text/plain")) {
        return keep(s, AR_FATE_WARN, AR_LIT(CONFIG), AR_LIT("responseMimeType"), s->mime);
    }
    if (schema.p) { /* the vendor asks for the type too; what is meant is plain */
        return set_schema(s, schema);
    }
    if (mime.p) {
        s->set->format = AR_FORMAT_TEXT;
    }
    return AR_OK;
}

/* --- the body --- */

static enum ar_code read_config(struct state *s, struct ar_jval v)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", s->in.err);
    }
    enum ar_code code = read_fields(s, v, AR_LIT(CONFIG), config_fields, CONFIG_FIELDS);
    return code == AR_OK ? set_format(s) : code;
}

static enum ar_code read_contents(struct state *s, struct ar_jval v)
{
    return ar_gemini_read_messages(&s->in, v, s->r);
}

static enum ar_code read_system(struct state *s, struct ar_jval v)
{
    return ar_gemini_read_system(&s->in, v, s->r);
}

static enum ar_code read_tools(struct state *s, struct ar_jval v)
{
    return ar_gemini_read_tools(&s->in, v, s->r);
}

static enum ar_code read_tool_config(struct state *s, struct ar_jval v)
{
    static const struct ar_str calling = AR_LIT_INIT("functionCallingConfig");
    enum ar_code code = ar_gemini_read_choice(&s->in, v, s->r);
    for (struct ar_jiter it = ar_json_iter(v); code == AR_OK && ar_json_next(&it);) {
        static const char *const validated[] = {"", "", "", "", "VALIDATED", NULL};
        bool own = ar_gemini_key_is(it.key, calling);
        if (!own || ar_gemini_enum(ar_gemini_get_lit(it.val, "mode"), "", validated) == 4) {
            code = keep(s, AR_FATE_SILENT, AR_LIT("toolConfig"), own ? calling : it.key, it.val);
        }
    }
    return code;
}

static enum ar_code read_service_tier(struct state *s, struct ar_jval v)
{
    struct ar_str tier = {NULL, 0};
    enum ar_code code = ar_json_text(v, s->in.a, &tier, s->in.err);
    if (code == AR_OK && !ar_str_is_nocase(tier, AR_LIT("unspecified"))) {
        s->set->service_tier =
            ar_str_is_nocase(tier, AR_LIT("standard")) ? AR_LIT("default") : tier;
    }
    return code;
}

static const struct field fields[] = {
    FIELD("contents", read_contents),
    FIELD("systemInstruction", read_system),
    FIELD("tools", read_tools),
    FIELD("toolConfig", read_tool_config),
    FIELD("generationConfig", read_config),
    FIELD("serviceTier", read_service_tier),
    EXT("safetySettings", WARN),
    EXT("cachedContent", REJECT),
    EXT("continuationToken", REJECT),
    EXT("labels", SILENT),
    EXT("store", SILENT),
    EXT("model", SILENT),
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

/* The request itself: countTokens has it in generateContentRequest, or at the top. */
static enum ar_code find_request(struct state *s, enum ar_op op, struct ar_jval *root)
{
    struct ar_jval inner = {NULL, 0};
    if (op == AR_OP_COUNT) {
        inner = ar_gemini_get_lit(*root, "generateContentRequest");
    }
    if (ar_json_is_nil(inner)) {
        return AR_OK;
    }
    if (!ar_json_is_nil(ar_gemini_get_lit(*root, "contents"))) {
        return ar_json_wrong(inner, "absent, or contents absent", s->in.err);
    }
    if (!ar_json_is(inner, AR_J_OBJECT)) {
        return ar_json_wrong(inner, "an object", s->in.err);
    }
    *root = inner;
    return AR_OK;
}

/* What others count in tokens goes without what they would refuse or warn about. */
static void forget_ext(struct ar_request *r)
{
    for (struct ar_ext *x = r->ext; x; x = x->next) {
        x->fate = ar_str_is_lit(x->name, "cachedContent") ? x->fate : AR_FATE_SILENT;
    }
}

enum ar_code ar_gemini_decode_request(struct ar_str body, const struct ar_wire_in *in,
                                      enum ar_op op, struct ar_arena *a, struct ar_request **ret,
                                      struct ar_err *err)
{
    struct ar_opened o;
    enum ar_code code = ar_request_open(body, in, a, &o, err);
    if (code != AR_OK) {
        return code;
    }
    struct ar_request *r = o.r;
    struct state s = {.in = {.a = a, .err = err}, .r = r};
    s.in.calls_tail = &s.in.calls;
    s.set = &r->set;
    s.ext_tail = &r->ext;
    r->dialect = ar_dialect_gemini.id;
    struct ar_jval root = o.root;
    code = find_request(&s, op, &root);
    if (code == AR_OK) {
        code = read_fields(&s, root, AR_LIT(""), fields, FIELDS);
    }
    if (code == AR_OK && ar_json_is_nil(ar_gemini_get_lit(root, "contents"))) {
        code = ar_fail_at(err, "contents", "contents: required");
    }
    if (code == AR_OK && ar_arena_finish(a) != AR_OK) {
        code = ar_request_too_large(err);
    }
    if (code == AR_OK) {
        if (op == AR_OP_COUNT) {
            forget_ext(r);
        }
        *ret = r;
    }
    return code;
}
