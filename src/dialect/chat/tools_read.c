/* Tools and the choice among them, in every form that Chat has had: function and custom tools, the
 * old functions[] and function_call, allowed_tools, web_search_options. A tool of another type is
 * kept whole: it is some place's own server tool, and goes back only there. */
#include "dialect/chat/request_read.h"

static struct ar_tool *add_tool(struct ar_chat_in *in, struct ar_request *r, enum ar_tool_kind kind,
                                struct ar_jval raw)
{
    struct ar_tool **tail = &r->tools;
    while (*tail) {
        tail = &(*tail)->next;
    }
    struct ar_tool *t = ar_arena_new(in->a, struct ar_tool);
    if (t) {
        t->kind = kind;
        t->raw = ar_json_raw(raw);
        *tail = t;
    }
    return t;
}

static enum ar_code read_function(struct ar_chat_in *in, struct ar_jval f, struct ar_tool *t)
{
    struct ar_jval name = ar_json_get_lit(f, "name");
    struct ar_jval schema = ar_json_get_lit(f, "parameters");
    struct ar_jval strict = ar_json_get_lit(f, "strict");
    if (!ar_json_is(name, AR_J_STRING)) {
        return ar_json_wrong(ar_json_is(name, AR_J_NONE) ? f : name,
                             "a function with a string name", in->err);
    }
    if (!ar_json_is_nil(schema) && !ar_json_is(schema, AR_J_OBJECT)) {
        return ar_json_wrong(schema, "a JSON Schema object", in->err);
    }
    t->description = ar_json_esc(ar_json_get_lit(f, "description"));
    t->schema = ar_json_is_nil(schema) ? (struct ar_str){0} : ar_json_raw(schema);
    if (!ar_json_is_nil(strict)) {
        t->strict = AR_SET;
        enum ar_code c = ar_json_bool(strict, &t->strict_on, in->err);
        if (c != AR_OK) {
            return c;
        }
    }
    return ar_json_text(name, in->a, &t->name, in->err);
}

static enum ar_code read_custom(struct ar_chat_in *in, struct ar_jval c, struct ar_tool *t)
{
    struct ar_jval name = ar_json_get_lit(c, "name");
    struct ar_jval grammar = ar_json_get_lit(ar_json_get_lit(c, "format"), "grammar");
    if (!ar_json_is(name, AR_J_STRING)) {
        return ar_json_wrong(ar_json_is(name, AR_J_NONE) ? c : name,
                             "a custom tool with a string name", in->err);
    }
    t->description = ar_json_esc(ar_json_get_lit(c, "description"));
    if (ar_json_is(grammar, AR_J_OBJECT)) {
        t->grammar = ar_json_esc(ar_json_get_lit(grammar, "definition"));
        t->syntax = ar_member_text_lit(in->a, grammar, "syntax");
    }
    return ar_json_text(name, in->a, &t->name, in->err);
}

static enum ar_code read_tool(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r)
{
    struct ar_jval tv = ar_json_get_lit(v, "type");
    struct ar_str type = ar_json_esc(tv);
    struct ar_jval f = ar_json_get_lit(v, "function");
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    bool is_function = ar_str_is_lit(type, "function") || (!type.n && ar_json_is(f, AR_J_OBJECT));
    bool is_custom = ar_str_is_lit(type, "custom");
    if (!is_function && !is_custom && !type.n) {
        return ar_json_wrong(v, "a tool with a type", in->err);
    }
    struct ar_tool *t = add_tool(in, r,
                                 is_function ? AR_TOOL_FUNCTION
                                 : is_custom ? AR_TOOL_CUSTOM
                                             : AR_TOOL_SERVER,
                                 v);
    if (!t) {
        return AR_TOO_LARGE;
    }
    t->cache_ttl = ar_chat_read_cache(in, v);
    if (is_function) { /* the flat form of Responses is tolerated */
        return read_function(in, ar_json_is(f, AR_J_OBJECT) ? f : v, t);
    }
    if (is_custom) {
        struct ar_jval c = ar_json_get_lit(v, "custom");
        return read_custom(in, ar_json_is(c, AR_J_OBJECT) ? c : v, t);
    }
    t->vendor = AR_VENDOR_OTHER;
    return ar_json_text(tv, in->a, &t->name, in->err);
}

enum ar_code ar_chat_read_tools(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "a list", in->err);
    }
    struct ar_jiter it = ar_json_iter(v);
    while (ar_json_next(&it)) {
        enum ar_code c = read_tool(in, it.val, r);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}

enum ar_code ar_chat_read_functions(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "a list", in->err);
    }
    r->legacy_functions = true;
    struct ar_jiter it = ar_json_iter(v);
    while (ar_json_next(&it)) {
        struct ar_tool *t =
            ar_json_is(it.val, AR_J_OBJECT) ? add_tool(in, r, AR_TOOL_FUNCTION, it.val) : NULL;
        enum ar_code c =
            t ? read_function(in, it.val, t) : ar_json_wrong(it.val, "an object", in->err);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}

/* web_search_options: the server tool web_search, with the options as its raw form. */
enum ar_code ar_chat_read_search(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "an object", in->err);
    }
    struct ar_tool *t = add_tool(in, r, AR_TOOL_SERVER, v);
    if (!t) {
        return AR_TOO_LARGE;
    }
    t->vendor = AR_VENDOR_OPENAI;
    t->name = AR_LIT("web_search");
    return AR_OK;
}

/* {type:"function",function:{name}}, {type:"custom",custom:{name}}, or the old {name}. */
static enum ar_code add_name(struct ar_chat_in *in, struct ar_jval v, struct ar_name ***tail)
{
    struct ar_jval f = ar_json_get_lit(v, "function");
    struct ar_str name;
    if (!ar_json_is(f, AR_J_OBJECT)) {
        f = ar_json_get_lit(v, "custom");
    }
    struct ar_jval nv = ar_json_get_lit(ar_json_is(f, AR_J_OBJECT) ? f : v, "name");
    if (!ar_json_is(nv, AR_J_STRING)) {
        return ar_json_wrong(v, "an object that names a tool", in->err);
    }
    enum ar_code c = ar_json_text(nv, in->a, &name, in->err);
    if (c != AR_OK) {
        return c;
    }
    return ar_name_new(in->a, name, tail) ? AR_OK : AR_TOO_LARGE;
}

static enum ar_code read_allowed(struct ar_chat_in *in, struct ar_jval v, struct ar_settings *s)
{
    struct ar_jval allowed = ar_json_get_lit(v, "allowed_tools");
    if (!ar_json_is(allowed, AR_J_OBJECT)) {
        allowed = v;
    }
    bool required = ar_str_is_lit(ar_json_esc(ar_json_get_lit(allowed, "mode")), "required");
    s->choice = required ? AR_CHOICE_ALLOWED_REQUIRED : AR_CHOICE_ALLOWED_AUTO;
    struct ar_name **tail = &s->choice_names;
    struct ar_jval tools = ar_json_get_lit(allowed, "tools");
    if (ar_json_count(tools) == 0) {
        return ar_json_wrong(v, "allowed_tools with a list of tools", in->err);
    }
    struct ar_jiter it = ar_json_iter(tools);
    while (ar_json_next(&it)) {
        enum ar_code c = add_name(in, it.val, &tail);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}

enum ar_code ar_chat_read_choice(struct ar_chat_in *in, struct ar_jval v, struct ar_request *r)
{
    static const struct {
        struct ar_str name;
        enum ar_choice choice;
    } WORDS[] = {
        {AR_LIT_INIT("auto"), AR_CHOICE_AUTO},
        {AR_LIT_INIT("none"), AR_CHOICE_NONE},
        {AR_LIT_INIT("required"), AR_CHOICE_REQUIRED},
        {AR_LIT_INIT("any"), AR_CHOICE_REQUIRED}, /* Mistral's word */
    };
    struct ar_settings *s = &r->set;
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    /* {type:"auto"} is another dialect's spelling that some clients send */
    struct ar_str word = ar_json_esc(ar_json_is(v, AR_J_OBJECT) ? ar_json_get_lit(v, "type") : v);
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (ar_str_is(word, WORDS[i].name)) {
            s->choice = WORDS[i].choice;
            return AR_OK;
        }
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "none, auto, required or an object", in->err);
    }
    if (ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "type")), "allowed_tools")) {
        return read_allowed(in, v, s);
    }
    s->choice = AR_CHOICE_NAMED;
    struct ar_name **tail = &s->choice_names;
    return add_name(in, v, &tail);
}
