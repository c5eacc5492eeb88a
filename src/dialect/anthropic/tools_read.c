/* tools[] and tool_choice of a Messages request -> IR. Custom tools are functions. Anthropic's
 * client tools (bash, text editor, memory) come without a schema because its models know them: they
 * get a built-in one here, so that to every other dialect they are plain functions, while raw takes
 * them back to Anthropic as they came. Server tools keep a vendor-neutral name and their wire form.
 * Owns nothing. */
#include "dialect/anthropic/request_read.h"

#define PATH_PROPERTY "\"path\":{\"type\":\"string\",\"description\":\"Absolute path.\"}"

static const struct ar_str bash_schema = AR_LIT_INIT(
    "{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"description\":\"The "
    "command to "
    "run.\"},\"restart\":{\"type\":\"boolean\",\"description\":\"Restart the shell instead.\"}}}");
static const struct ar_str editor_schema =
    AR_LIT_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"enum\":["
                "\"view\",\"create\",\"str_replace\","
                "\"insert\",\"undo_edit\"]}," PATH_PROPERTY
                ",\"file_text\":{\"type\":\"string\"},\"old_str\":{\"type\":\"string\"},"
                "\"new_str\":{\"type\":\"string\"},\"insert_line\":{\"type\":\"integer\"},\"insert_"
                "text\":{\"type\":\"string\"},"
                "\"view_range\":{\"type\":\"array\",\"items\":{\"type\":\"integer\"}}},"
                "\"required\":[\"command\",\"path\"]}");
static const struct ar_str memory_schema =
    AR_LIT_INIT("{\"type\":\"object\",\"properties\":{\"command\":{\"type\":\"string\",\"enum\":["
                "\"view\",\"create\",\"str_replace\","
                "\"insert\",\"delete\",\"rename\"]}," PATH_PROPERTY
                ",\"file_text\":{\"type\":\"string\"},\"old_str\":{\"type\":"
                "\"string\"},\"new_str\":{\"type\":\"string\"},\"insert_line\":{\"type\":"
                "\"integer\"},\"insert_text\":{\"type\":"
                "\"string\"},\"old_path\":{\"type\":\"string\"},\"new_path\":{\"type\":\"string\"},"
                "\"view_range\":{\"type\":\"array\","
                "\"items\":{\"type\":\"integer\"}}},\"required\":[\"command\"]}");

/* Wire types by prefix. schema: a client tool, which others get as a function. */
static const struct {
    struct ar_str prefix, name;
    const struct ar_str *schema;
    struct ar_str description;
} kinds[] = {
    {AR_LIT_INIT("bash_"), AR_LIT_INIT("bash"), &bash_schema,
     AR_LIT_INIT("Runs a command in a persistent bash shell and returns its output.")},
    {AR_LIT_INIT("text_editor_"), AR_LIT_INIT("text_editor"), &editor_schema,
     AR_LIT_INIT("Views, creates and edits text files.")},
    {AR_LIT_INIT("memory_"), AR_LIT_INIT("memory"), &memory_schema,
     AR_LIT_INIT("Reads and writes files in the memory folder /memories.")},
    {AR_LIT_INIT("computer_"), AR_LIT_INIT("computer"), NULL, {NULL, 0}},
    {AR_LIT_INIT("browser_"), AR_LIT_INIT("browser"), NULL, {NULL, 0}},
    {AR_LIT_INIT("web_search_"), AR_LIT_INIT("web_search"), NULL, {NULL, 0}},
    {AR_LIT_INIT("web_fetch_"), AR_LIT_INIT("web_fetch"), NULL, {NULL, 0}},
    {AR_LIT_INIT("code_execution_"), AR_LIT_INIT("code_execution"), NULL, {NULL, 0}},
    {AR_LIT_INIT("tool_search_"), AR_LIT_INIT("tool_search"), NULL, {NULL, 0}},
    {AR_LIT_INIT("mcp_toolset"), AR_LIT_INIT("mcp"), NULL, {NULL, 0}},
};

static void read_kind(struct ar_tool *t, struct ar_str type)
{
    t->kind = AR_TOOL_SERVER;
    t->vendor = AR_VENDOR_ANTHROPIC;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (!ar_str_has_prefix(type, kinds[i].prefix)) {
            continue;
        }
        if (kinds[i].schema) {
            t->kind = AR_TOOL_FUNCTION;
            t->schema = *kinds[i].schema;
            t->description = kinds[i].description;
            t->name = t->name.p ? t->name : kinds[i].name;
        } else {
            t->name = kinds[i].name;
        }
        return;
    }
    t->name = type;
}

static enum ar_code read_custom(struct ar_anthropic_in *in, struct ar_jval v, struct ar_tool *t)
{
    struct ar_jval text = ar_json_get_lit(v, "description"),
                   schema = ar_json_get_lit(v, "input_schema");
    if (!t->name.p) {
        return ar_anthropic_missing(v, "name", in->err);
    }
    if (!ar_json_is_nil(text) && !ar_json_is(text, AR_J_STRING)) {
        return ar_json_wrong(text, "a string", in->err);
    }
    if (!ar_json_is_nil(schema) && !ar_json_is(schema, AR_J_OBJECT)) {
        return ar_json_wrong(schema, "an object", in->err);
    }
    t->description = ar_json_esc(text);
    t->schema = ar_json_is_nil(schema) ? (struct ar_str){0} : ar_json_raw(schema);
    struct ar_jval strict = ar_json_get_lit(v, "strict");
    if (ar_json_is_nil(strict)) {
        return AR_OK;
    }
    t->strict = AR_SET;
    return ar_json_bool(strict, &t->strict_on, in->err);
}

enum ar_code ar_anthropic_read_tools(struct ar_anthropic_in *in, struct ar_jval v,
                                     struct ar_tool **tail)
{
    if (!ar_json_is_nil(v) && !ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "an array", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        if (!ar_json_is(it.val, AR_J_OBJECT)) {
            return ar_json_wrong(it.val, "an object", in->err);
        }
        struct ar_tool *t = ar_arena_new(in->a, struct ar_tool);
        if (!t) {
            return ar_request_too_large(in->err);
        }
        struct ar_jval name = ar_json_get_lit(it.val, "name"),
                       type = ar_json_get_lit(it.val, "type");
        t->raw = ar_json_raw(it.val);
        t->cache_ttl = ar_anthropic_read_cache(in, ar_json_get_lit(it.val, "cache_control"));
        t->defer = ar_json_is(ar_json_get_lit(it.val, "defer_loading"), AR_J_TRUE);
        if (!ar_json_is_nil(name)) {
            enum ar_code code = ar_json_text(name, in->a, &t->name, in->err);
            if (code != AR_OK) {
                return code;
            }
        }
        struct ar_str kind = ar_json_esc(type);
        if (!kind.p || ar_str_is_lit(kind, "custom")) {
            enum ar_code code = read_custom(in, it.val, t);
            if (code != AR_OK) {
                return code;
            }
        } else {
            read_kind(t, ar_json_unescape_in(kind, in->a));
        }
        *tail = t;
        tail = &t->next;
    }
    return AR_OK;
}

enum ar_code ar_anthropic_read_choice(struct ar_anthropic_in *in, struct ar_jval v,
                                      struct ar_settings *set)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    struct ar_jval type = ar_json_get_lit(v, "type");
    struct ar_str name = ar_json_esc(type);
    if (ar_str_is_lit(name, "auto")) {
        set->choice = AR_CHOICE_AUTO;
    } else if (ar_str_is_lit(name, "any")) {
        set->choice = AR_CHOICE_REQUIRED;
    } else if (ar_str_is_lit(name, "none")) {
        set->choice = AR_CHOICE_NONE;
    } else if (ar_str_is_lit(name, "tool")) {
        struct ar_name **tail = &set->choice_names;
        struct ar_str tool = {0};
        struct ar_jval named = ar_json_get_lit(v, "name");
        enum ar_code code = named.doc ? ar_json_text(named, in->a, &tool, in->err)
                                      : ar_anthropic_missing(v, "name", in->err);
        if (code != AR_OK) {
            return code;
        }
        set->choice = AR_CHOICE_NAMED;
        if (!ar_name_new(in->a, tool, &tail)) {
            return ar_request_too_large(in->err);
        }
    } else {
        return ar_json_wrong(type.doc ? type : v, "of type auto, any, tool or none", in->err);
    }
    struct ar_jval single = ar_json_get_lit(v, "disable_parallel_tool_use");
    if (ar_json_is_nil(single)) {
        return AR_OK;
    }
    bool off = false;
    enum ar_code code = ar_json_bool(single, &off, in->err);
    set->parallel = AR_SET;
    set->parallel_on = !off;
    return code;
}
