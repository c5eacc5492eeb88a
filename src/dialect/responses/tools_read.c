/* Tools and the choice among them (PROTOCOLS 2.4, 6.3, 6.4). Members of a namespace are tools of
 * their own under the flat name; tools that this wire knows by a kind of their own become functions
 * with a schema written here, so that any other dialect can offer them; what only the vendor runs
 * stays a server tool under its neutral name. The wire form of each is kept. Owns nothing. */
#include "dialect/responses/request_read.h"

#define STRING      "{\"type\":\"string\"}"
#define STRING_LIST "{\"type\":\"array\",\"items\":{\"type\":\"string\"}}"

/* What a model is told of the kinds that the vendor's own models know by training. */
static const struct {
    struct ar_str about, schema;
} NATIVES[] = {
    [AR_NATIVE_LOCAL_SHELL] =
        {AR_LIT_INIT("Runs a command on the user's machine and returns what it printed."),
         AR_LIT_INIT("{\"type\":\"object\",\"properties\":{\"command\":" STRING_LIST
                     ",\"working_directory\":" STRING ",\"timeout_ms\":{\"type\":\"integer\"},"
                     "\"user\":" STRING ",\"env\":{\"type\":\"object\","
                     "\"additionalProperties\":" STRING "}},\"required\":[\"command\"]}")},
    [AR_NATIVE_SHELL] = {AR_LIT_INIT(
                             "Runs shell commands and returns the exit code and output of each."),
                         AR_LIT_INIT(
                             "{\"type\":\"object\",\"properties\":{\"commands\":" STRING_LIST
                             ",\"timeout_ms\":{\"type\":\"integer\"},"
                             "\"max_output_length\":{\"type\":\"integer\"}},"
                             "\"required\":[\"commands\"]}")},
    [AR_NATIVE_APPLY_PATCH] =
        {AR_LIT_INIT("Creates, updates or deletes one file. The diff is in the V4A format: lines "
                     "that begin with a space, + or -, after @@ headers; a new file has + lines "
                     "only."),
         AR_LIT_INIT("{\"type\":\"object\",\"properties\":{\"type\":{\"type\":\"string\",\"enum\":"
                     "[\"create_file\",\"update_file\",\"delete_file\"]},\"path\":" STRING
                     ",\"diff\":" STRING "},\"required\":[\"type\",\"path\"]}")},
    [AR_NATIVE_TOOL_SEARCH] = {AR_LIT_INIT("Finds further tools."),
                               AR_LIT_INIT("{\"type\":\"object\",\"properties\":{\"query\":" STRING
                                           "},\"required\":[\"query\"]}")},
};

struct ar_str ar_responses_flat_name(struct ar_str ns, struct ar_str name, struct ar_arena *a)
{
    /* A tool that a search has found is the only member of a space of its own name. */
    bool is_member = ns.n > 0 && !ar_str_is(ns, name);
    return is_member ? ar_arena_fmt(a, "%.*s__%.*s", AR_FMT(ns), AR_FMT(name)) : name;
}

struct ar_str ar_responses_bare_name(struct ar_str ns, struct ar_str flat)
{
    bool has = ns.n > 0 && flat.n > ns.n + 2 && ar_str_has_prefix(flat, ns) &&
               flat.p[ns.n] == '_' && flat.p[ns.n + 1] == '_';
    return has ? ar_str_from(flat, ns.n + 2) : flat;
}

struct ar_str ar_responses_server_name(struct ar_str type)
{
    static const struct {
        struct ar_str prefix, name;
    } NAMES[] = {
        {AR_LIT_INIT("web_search"), AR_LIT_INIT("web_search")},
        {AR_LIT_INIT("code_interpreter"), AR_LIT_INIT("code_exec")},
        {AR_LIT_INIT("image_generation"), AR_LIT_INIT("image_gen")},
        {AR_LIT_INIT("computer"), AR_LIT_INIT("computer")},
    };
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_has_prefix(type, NAMES[i].prefix)) {
            return NAMES[i].name;
        }
    }
    return type;
}

/* --- tools --- */

static enum ar_code add(struct ar_responses_in *in, const struct ar_tool *from)
{
    bool has_name = from->kind != AR_TOOL_SERVER && from->name.p;
    if (has_name && ar_map_get(&in->names, from->name)) {
        return AR_OK; /* found again by a later search */
    }
    struct ar_tool *t = ar_arena_new(in->a, struct ar_tool);
    if (!t) {
        return ar_request_too_large(in->err);
    }
    *t = *from;
    if (has_name) {
        ar_map_put(&in->names, t->name, t);
    }
    *in->tool_tail = t;
    in->tool_tail = &t->next;
    return AR_OK;
}

/* The space that members live in. */
struct space {
    struct ar_str name, about; /* dec, esc */
};

/* "[ns: about] description", so that a member keeps what its space says of it. */
static struct ar_str describe(struct ar_responses_in *in, const struct space *ns,
                              struct ar_str text)
{
    if (ns->name.n == 0 || ns->about.n == 0) {
        return text;
    }
    struct ar_str name = ar_json_escape_in(ns->name, in->a);
    return ar_arena_fmt(in->a, "[%.*s: %.*s]%s%.*s", AR_FMT(name), AR_FMT(ns->about),
                        text.n > 0 ? " " : "", AR_FMT(text));
}

static enum ar_code read_strict(struct ar_responses_in *in, struct ar_jval v, struct ar_tool *t)
{
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    t->strict = AR_SET;
    return ar_json_bool(v, &t->strict_on, in->err);
}

/* A function or a custom tool. */
static enum ar_code read_member(struct ar_responses_in *in, struct ar_jval v,
                                const struct space *ns, bool is_custom)
{
    struct ar_jval name, schema = ar_json_get_lit(v, "parameters");
    struct ar_jval format = ar_json_get_lit(v, "format");
    struct ar_tool t = {.kind = is_custom ? AR_TOOL_CUSTOM : AR_TOOL_FUNCTION,
                        .ns = ns->name,
                        .ns_about = ns->about};
    if (ar_json_get_lit(v, "type").doc) { /* else it is no tool of this wire */
        t.raw = ar_json_raw(v);
    }
    enum ar_code c = ar_responses_need(in, v, AR_LIT("name"), &name);
    if (c != AR_OK || (c = ar_json_text(name, in->a, &t.name, in->err)) != AR_OK) {
        return c;
    }
    t.name = ar_responses_flat_name(ns->name, t.name, in->a);
    t.description = describe(in, ns, ar_json_esc(ar_json_get_lit(v, "description")));
    t.defer = ar_json_is(ar_json_get_lit(v, "defer_loading"), AR_J_TRUE);
    if (is_custom) {
        t.grammar = ar_json_esc(ar_json_get_lit(format, "definition"));
        t.syntax = ar_member_text_lit(in->a, format, "syntax");
        return add(in, &t);
    }
    if (!ar_json_is_nil(schema) && !ar_json_is(schema, AR_J_OBJECT)) {
        return ar_json_wrong(schema, "a JSON Schema object", in->err);
    }
    t.schema = ar_json_is_nil(schema) ? (struct ar_str){0} : ar_json_raw(schema);
    c = read_strict(in, ar_json_get_lit(v, "strict"), &t);
    return c == AR_OK ? add(in, &t) : c;
}

static enum ar_code read_space(struct ar_responses_in *in, struct ar_jval v)
{
    struct space ns = {.about = ar_json_esc(ar_json_get_lit(v, "description"))};
    struct ar_jval name, members = ar_json_get_lit(v, "tools");
    enum ar_code c = ar_responses_need(in, v, AR_LIT("name"), &name);
    if (c == AR_OK) {
        c = ar_json_text(name, in->a, &ns.name, in->err);
    }
    if (c == AR_OK && !ar_json_is(members, AR_J_ARRAY)) {
        c = ar_json_wrong(members.doc ? members : v, "a namespace with a list of tools", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(members); c == AR_OK && ar_json_next(&it);) {
        struct ar_jval type = ar_json_get_lit(it.val, "type");
        bool is_custom = ar_str_is_lit(ar_json_esc(type), "custom");
        c = is_custom || ar_str_is_lit(ar_json_esc(type), "function")
                ? read_member(in, it.val, &ns, is_custom)
                : ar_json_wrong(type.doc ? type : it.val, "a function or a custom tool", in->err);
    }
    return c;
}

static enum ar_code read_native(struct ar_responses_in *in, struct ar_jval v, enum ar_native native)
{
    struct ar_jval schema = ar_json_get_lit(v, "parameters");
    struct ar_str about = ar_json_esc(ar_json_get_lit(v, "description"));
    struct ar_tool t = {.kind = AR_TOOL_FUNCTION,
                        .vendor = AR_VENDOR_OPENAI,
                        .native = native,
                        .name = ar_str_of(ar_responses_native_name(native)),
                        .description = about.n > 0 ? about : NATIVES[native].about,
                        .schema = NATIVES[native].schema,
                        .raw = ar_json_raw(v)};
    if (native == AR_NATIVE_TOOL_SEARCH && ar_json_is(schema, AR_J_OBJECT)) {
        t.schema = ar_json_raw(schema);
    }
    return add(in, &t);
}

static enum ar_code read_tool(struct ar_responses_in *in, struct ar_jval v)
{
    static const struct space NONE = {{0}, {0}};
    struct ar_jval tv = ar_json_get_lit(v, "type");
    struct ar_str type = ar_json_esc(tv);
    enum ar_native native = ar_responses_native_of(type);
    bool is_custom = ar_str_is_lit(type, "custom");
    if (!ar_json_is(v, AR_J_OBJECT) || type.n == 0) {
        return ar_json_wrong(tv.doc ? tv : v, "a tool with a type", in->err);
    }
    if (is_custom || ar_str_is_lit(type, "function")) {
        struct ar_jval nested = ar_json_get_lit(v, "function"); /* Chat's form is tolerated */
        return read_member(in, ar_json_is(nested, AR_J_OBJECT) ? nested : v, &NONE, is_custom);
    }
    if (ar_str_is_lit(type, "namespace")) {
        return read_space(in, v);
    }
    /* a search that the client runs; the vendor's own is a server tool */
    bool by_client = native != AR_NATIVE_TOOL_SEARCH ||
                     ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "execution")), "client");
    if (native != AR_NATIVE_NONE && by_client) {
        return read_native(in, v, native);
    }
    struct ar_tool t = {.kind = AR_TOOL_SERVER, .vendor = AR_VENDOR_OPENAI, .raw = ar_json_raw(v)};
    enum ar_code c = ar_json_text(tv, in->a, &t.name, in->err);
    t.name = ar_responses_server_name(t.name);
    return c == AR_OK ? add(in, &t) : c;
}

enum ar_code ar_responses_read_tools(struct ar_responses_in *in, struct ar_jval v)
{
    if (!ar_json_is_nil(v) && !ar_json_is(v, AR_J_ARRAY)) {
        return ar_json_wrong(v, "a list", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
        enum ar_code c = read_tool(in, it.val);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}

/* --- tool_choice --- */

/* {type:"function",name}, {type:"custom",name}, or the type of a tool that has no name. */
static enum ar_code add_name(struct ar_responses_in *in, struct ar_jval v, struct ar_name ***tail)
{
    struct ar_jval tv = ar_json_get_lit(v, "type"), nv = ar_json_get_lit(v, "name");
    struct ar_str type = ar_json_esc(tv), name = {0};
    bool is_named = ar_str_is_lit(type, "function") || ar_str_is_lit(type, "custom");
    if (!ar_json_is(is_named ? nv : tv, AR_J_STRING)) {
        return ar_json_wrong(v, "an object that names a tool", in->err);
    }
    enum ar_code c = ar_json_text(is_named ? nv : tv, in->a, &name, in->err);
    if (c != AR_OK) {
        return c;
    }
    name = is_named ? ar_responses_flat_name(ar_member_text_lit(in->a, v, "namespace"), name, in->a)
                    : ar_responses_server_name(name);
    return ar_name_new(in->a, name, tail) ? AR_OK : ar_request_too_large(in->err);
}

static enum ar_code read_allowed(struct ar_responses_in *in, struct ar_jval v)
{
    struct ar_settings *s = &in->r->set;
    struct ar_name **tail = &s->choice_names;
    struct ar_jval tools = ar_json_get_lit(v, "tools");
    bool required = ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "mode")), "required");
    s->choice = required ? AR_CHOICE_ALLOWED_REQUIRED : AR_CHOICE_ALLOWED_AUTO;
    if (ar_json_count(tools) == 0) {
        return ar_json_wrong(v, "allowed_tools with a list of tools", in->err);
    }
    for (struct ar_jiter it = ar_json_iter(tools); ar_json_next(&it);) {
        enum ar_code c = add_name(in, it.val, &tail);
        if (c != AR_OK) {
            return c;
        }
    }
    return AR_OK;
}

enum ar_code ar_responses_read_choice(struct ar_responses_in *in, struct ar_jval v)
{
    static const struct {
        struct ar_str word;
        enum ar_choice choice;
    } WORDS[] = {{AR_LIT_INIT("auto"), AR_CHOICE_AUTO},
                 {AR_LIT_INIT("none"), AR_CHOICE_NONE},
                 {AR_LIT_INIT("required"), AR_CHOICE_REQUIRED}};
    struct ar_settings *s = &in->r->set;
    if (ar_json_is_nil(v)) {
        return AR_OK;
    }
    struct ar_str word = ar_json_esc(ar_json_is(v, AR_J_OBJECT) ? ar_json_get_lit(v, "type") : v);
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++) {
        if (ar_str_is(word, WORDS[i].word)) {
            s->choice = WORDS[i].choice;
            return AR_OK;
        }
    }
    if (!ar_json_is(v, AR_J_OBJECT)) {
        return ar_json_wrong(v, "none, auto, required or an object", in->err);
    }
    if (ar_str_is_lit(word, "allowed_tools")) {
        return read_allowed(in, v);
    }
    struct ar_name **tail = &s->choice_names;
    s->choice = AR_CHOICE_NAMED;
    return add_name(in, v, &tail);
}
