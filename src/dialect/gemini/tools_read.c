/* tools[] and toolConfig of a Gemini request -> IR. A wire tool is an object of several kinds: each
 * function declaration becomes a function, each other member a server tool with a vendor-neutral
 * name and its wire form. Gemini's schemas become JSON Schema (tools_read_schema.c). Owns nothing.
 */
#include "dialect/gemini/request_read.h"

static const struct {
    struct ar_str key, name;
} kinds[] = {
    {AR_LIT_INIT("googleSearch"), AR_LIT_INIT("web_search")},
    {AR_LIT_INIT("googleSearchRetrieval"), AR_LIT_INIT("web_search")},
    {AR_LIT_INIT("codeExecution"), AR_LIT_INIT("code_exec")},
    {AR_LIT_INIT("urlContext"), AR_LIT_INIT("url_context")},
    {AR_LIT_INIT("googleMaps"), AR_LIT_INIT("maps")},
    {AR_LIT_INIT("fileSearch"), AR_LIT_INIT("file_search")},
    {AR_LIT_INIT("computerUse"), AR_LIT_INIT("computer")},
    {AR_LIT_INIT("mcpServers"), AR_LIT_INIT("mcp")},
};

static struct ar_tool *add(struct ar_gemini_in *in, enum ar_tool_kind kind, struct ar_tool ***tail)
{
    struct ar_tool *t = ar_arena_new(in->a, struct ar_tool);
    if (t) {
        t->kind = kind;
        **tail = t;
        *tail = &t->next;
    }
    return t;
}

enum { D_NAME, D_DESCRIPTION, D_PARAMETERS, D_JSON_SCHEMA, D_COUNT };
static const struct ar_str declaration_keys[D_COUNT] = {
    AR_LIT_INIT("name"), AR_LIT_INIT("description"), AR_LIT_INIT("parameters"),
    AR_LIT_INIT("parametersJsonSchema")};

static enum ar_code read_schema(struct ar_gemini_in *in, const struct ar_jval *m, struct ar_tool *t)
{
    struct ar_jval v = ar_json_is_nil(m[D_JSON_SCHEMA]) ? m[D_PARAMETERS] : m[D_JSON_SCHEMA];
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    t->schema = v.i == m[D_JSON_SCHEMA].i ? ar_json_raw(v) : ar_gemini_read_schema(in->a, v);
    return t->schema.p ? AR_OK : ar_request_too_large(in->err);
}

static enum ar_code read_declaration(struct ar_gemini_in *in, struct ar_jval v,
                                     struct ar_tool ***tail)
{
    struct ar_jval m[D_COUNT];
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    (void)ar_gemini_pick(v, declaration_keys, D_COUNT, m);
    if (!ar_json_is(m[D_NAME], AR_J_STRING) || ar_json_esc(m[D_NAME]).n == 0) {
        return ar_json_wrong(m[D_NAME].doc ? m[D_NAME] : v,
                             m[D_NAME].doc ? "a name" : "an object with a name", in->err);
    }
    if (!ar_json_is_nil(m[D_DESCRIPTION]) && !ar_json_is(m[D_DESCRIPTION], AR_J_STRING)) {
        return ar_json_wrong(m[D_DESCRIPTION], "a string", in->err);
    }
    struct ar_tool *t = add(in, AR_TOOL_FUNCTION, tail);
    if (!t) {
        return ar_request_too_large(in->err);
    }
    t->raw = ar_json_raw(v);
    t->description = ar_json_esc(m[D_DESCRIPTION]);
    enum ar_code code = ar_json_text(m[D_NAME], in->a, &t->name, in->err);
    return code == AR_OK ? read_schema(in, m, t) : code;
}

static enum ar_code read_server(struct ar_gemini_in *in, struct ar_jval tool,
                                const struct ar_jiter *it, struct ar_tool ***tail)
{
    struct ar_tool *t = add(in, AR_TOOL_SERVER, tail);
    if (!t) {
        return ar_request_too_large(in->err);
    }
    t->vendor = AR_VENDOR_GOOGLE;
    t->name = ar_arena_copy(in->a, it->key);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (ar_gemini_key_is(it->key, kinds[i].key)) {
            t->name = kinds[i].name;
        }
    }
    t->raw = ar_json_raw(tool);
    if (ar_json_count(tool) > 1) {
        struct ar_str v = ar_json_raw(it->val), key = ar_json_escape_in(it->key, in->a);
        t->raw = ar_arena_fmt(in->a, "{\"%.*s\":%.*s}", AR_FMT(key), AR_FMT(v));
    }
    return t->raw.p && t->name.p ? AR_OK : ar_request_too_large(in->err);
}

static enum ar_code read_tool(struct ar_gemini_in *in, struct ar_jval v, struct ar_tool ***tail)
{
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code code = AR_OK;
        if (ar_json_is_nil(it.val)) {
            continue;
        }
        if (!ar_gemini_key_is(it.key, AR_LIT("functionDeclarations"))) {
            code = read_server(in, v, &it, tail);
        } else if (!ar_json_is(it.val, AR_J_ARRAY)) {
            code = ar_json_wrong(it.val, "an array", in->err);
        } else {
            for (struct ar_jiter d = ar_json_iter(it.val); code == AR_OK && ar_json_next(&d);) {
                code = read_declaration(in, d.val, tail);
            }
        }
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

enum ar_code ar_gemini_read_tools(struct ar_gemini_in *in, struct ar_jval v, struct ar_request *r)
{
    struct ar_tool **tail = &r->tools;
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "an array", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code code = read_tool(in, it.val, &tail);
        if (code != AR_OK) {
            return code;
        }
    }
    return AR_OK;
}

/* --- toolConfig --- */

enum mode { M_UNSPECIFIED, M_AUTO, M_ANY, M_NONE, M_VALIDATED };
static const char *const modes[] = {"MODE_UNSPECIFIED", "AUTO", "ANY", "NONE", "VALIDATED", NULL};

static enum ar_code read_names(struct ar_gemini_in *in, struct ar_jval v, struct ar_settings *set,
                               unsigned *ret_n)
{
    struct ar_name **tail = &set->choice_names;
    if (!ar_json_is_nil(v) && !ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "an array of strings", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        struct ar_str name = {NULL, 0};
        enum ar_code code = ar_json_text(it.val, in->a, &name, in->err);
        if (code != AR_OK) {
            return code;
        }
        if (!ar_name_new(in->a, name, &tail)) {
            return ar_request_too_large(in->err);
        }
        ++*ret_n;
    }
    return AR_OK;
}

enum ar_code ar_gemini_read_choice(struct ar_gemini_in *in, struct ar_jval v, struct ar_request *r)
{
    struct ar_settings *set = &r->set;
    struct ar_jval config = ar_gemini_get_lit(v, "functionCallingConfig");
    struct ar_jval mode = ar_gemini_get_lit(config, "mode");
    unsigned n = 0;
    if (!ar_json_is(v, AR_J_OBJECT) ||
        (!ar_json_is_nil(config) && !ar_json_is(config, AR_J_OBJECT))) {
        return ar_json_wrong(ar_json_is(v, AR_J_OBJECT) ? config : v, "an object", in->err);
    }
    int m = ar_json_is_nil(mode) ? M_UNSPECIFIED : ar_gemini_enum(mode, "", modes);
    if (m < 0) {
        return ar_json_wrong(mode, "AUTO, ANY, NONE or VALIDATED", in->err);
    }
    enum ar_code code =
        m == M_ANY || m == M_VALIDATED
            ? read_names(in, ar_gemini_get_lit(config, "allowedFunctionNames"), set, &n)
            : AR_OK;
    switch (m) {
    case M_AUTO:
        set->choice = AR_CHOICE_AUTO;
        break;
    case M_NONE:
        set->choice = AR_CHOICE_NONE;
        break;
    case M_ANY:
        set->choice = n == 0   ? AR_CHOICE_REQUIRED
                      : n == 1 ? AR_CHOICE_NAMED
                               : AR_CHOICE_ALLOWED_REQUIRED;
        break;
    case M_VALIDATED:
        set->choice = n == 0 ? AR_CHOICE_AUTO : AR_CHOICE_ALLOWED_AUTO;
        break;
    default:
        break;
    }
    return code;
}
