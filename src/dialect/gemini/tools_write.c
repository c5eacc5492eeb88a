/* Tools and toolConfig of a generateContent request (PROTOCOLS 4.5, 6.3, 6.4). All functions are in
 * one tool; names get a legal form that the undo list takes back; freeform tools become functions
 * with one string; web search becomes Google's. Older models take either functions or Google's own
 * tools: the functions stay. Owns nothing. */
#include "dialect/gemini/request_write.h"

#include "base/hash.h"

enum { NAME_MAX_BYTES = 128, TOOLS_MAX = 512 };

/* --- names --- */

static bool is_head(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_body(char c)
{
    return is_head(c) || (c >= '0' && c <= '9') || c == '.' || c == ':' || c == '-';
}

struct ar_str ar_gemini_tool_name(struct ar_gemini_enc *e, struct ar_str name)
{
    enum { TAIL = 9 }; /* "_" and 8 digits */
    bool ok = name.n > 0 && name.n <= NAME_MAX_BYTES && is_head(name.p[0]);
    for (size_t i = 0; ok && i < name.n; i++) {
        ok = is_body(name.p[i]);
    }
    if (ok) {
        return name;
    }
    bool lead = name.n == 0 || !is_head(name.p[0]);
    size_t room = (size_t)NAME_MAX_BYTES - TAIL - (lead ? 1 : 0), n = name.n < room ? name.n : room;
    char *p = ar_arena_alloc(e->a, (size_t)NAME_MAX_BYTES + 1), *at = p;
    if (!p) {
        return AR_LIT("");
    }
    if (lead) {
        *at++ = '_';
    }
    for (size_t i = 0; i < n; i++) {
        *at = name.p[i];
        if (!is_body(*at)) {
            *at = '_';
        }
        at++;
    }
    *at++ = '_';
    ar_sha256_hex(name, TAIL - 1, at);
    return ar_str_n(p, (size_t)(at - p) + TAIL - 1);
}

static struct ar_str put_name(struct ar_gemini_enc *e, struct ar_str name)
{
    struct ar_str sent = ar_gemini_tool_name(e, name);
    ar_jw_key_text(&e->w, "name", sent);
    if (!ar_str_is(sent, name)) {
        ar_undo_add(&e->undo, (struct ar_undo){.how = AR_UNDO_NAME, .sent = sent, .name = name});
    }
    return sent;
}

/* --- functions --- */

static bool has_properties(const struct ar_gemini_enc *e, struct ar_str schema)
{
    struct ar_jdoc doc;
    if (schema.n == 0 || ar_json_parse(schema, 2, e->a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval root = ar_json_root(&doc), all = ar_json_get_lit(root, "properties");
    return ar_json_count(all) > 0 || ar_json_get_lit(root, "$ref").doc;
}

/* A deferred tool without arguments stands for others that only its vendor can load. */
bool ar_gemini_is_function(const struct ar_gemini_enc *e, const struct ar_tool *t)
{
    bool placeholder = t->defer && t->kind == AR_TOOL_FUNCTION && !has_properties(e, t->schema);
    return t->kind != AR_TOOL_SERVER && !placeholder;
}

static void put_schema(struct ar_gemini_enc *e, struct ar_str schema)
{
    bool lossy = false;
    if (schema.n == 0 || ar_str_is_lit(schema, "null")) {
        schema = AR_LIT("{\"type\":\"object\",\"properties\":{}}");
    }
    if (!AR_HAS(e, SCHEMA_SUBSET)) {
        ar_jw_key_raw(&e->w, "parametersJsonSchema", schema);
        return;
    }
    if (has_properties(e, schema)) { /* an object without any is refused in this form */
        ar_jw_key_raw(&e->w, "parameters", ar_gemini_subset_schema(schema, e->a, &lossy));
    }
    if (lossy) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_TOOLS,
                       "the upstream knows fewer constraints than JSON Schema has");
    }
}

/* Description, with the grammar of a freeform tool (P-052). */
static void put_description(struct ar_gemini_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    if (t->description.n == 0 && t->grammar.n == 0) {
        return;
    }
    ar_jw_key(w, "description");
    ar_put_freeform_text(w, t);
}

static void put_function(struct ar_gemini_enc *e, const struct ar_tool *t)
{
    if (e->native && t->raw.n > 0 && !AR_HAS(e, SCHEMA_SUBSET)) {
        ar_jw_raw(&e->w, t->raw);
        return;
    }
    if (t->defer) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_APPROXIMATED, AR_F_TOOLS,
                       "the upstream cannot load tools later: all are sent");
    }
    ar_jw_open(&e->w, '{');
    struct ar_str sent = put_name(e, t->name);
    put_description(e, t);
    if (t->kind == AR_TOOL_CUSTOM) {
        ar_undo_add(&e->undo,
                    (struct ar_undo){.how = AR_UNDO_FREEFORM, .sent = sent, .name = t->name});
        put_schema(e, AR_LIT(AR_FREEFORM_SCHEMA));
    } else {
        put_schema(e, t->schema);
    }
    ar_jw_close(&e->w, '}');
}

static void put_functions(struct ar_gemini_enc *e)
{
    unsigned n = 0;
    ar_jw_open(&e->w, '{');
    ar_jw_key(&e->w, "functionDeclarations");
    ar_jw_open(&e->w, '[');
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (ar_gemini_is_function(e, t)) {
            put_function(e, t);
            n++;
        }
    }
    ar_jw_close(&e->w, ']');
    ar_jw_close(&e->w, '}');
    if (n > TOOLS_MAX) {
        struct ar_str why = ar_arena_fmt(e->a, "the upstream takes 512 functions, not %u", n);
        ar_gemini_lose(e, AR_FATE_REJECT, AR_DROPPED, AR_F_TOOLS, why.p ? why.p : "too many");
    }
}

/* --- Google's own tools --- */

static void drop_server(struct ar_gemini_enc *e, enum ar_fate fate, const char *why)
{
    ar_gemini_lose(e, fate, AR_DROPPED, AR_F_TOOLS, why);
}

/* Wishes of a search that googleSearch has no place for. */
static bool has_wishes(struct ar_gemini_enc *e, struct ar_str raw)
{
    static const struct ar_str KEYS[] = {
        AR_LIT_INIT("allowed_domains"), AR_LIT_INIT("blocked_domains"),
        AR_LIT_INIT("user_location"),   AR_LIT_INIT("max_uses"),
        AR_LIT_INIT("filters"),         AR_LIT_INIT("search_context_size")};
    struct ar_jdoc doc;
    bool any = false;
    if (raw.n == 0 || ar_json_parse(raw, 2, e->a, &doc, NULL) != AR_OK) {
        return false;
    }
    for (size_t i = 0; i < sizeof KEYS / sizeof *KEYS; i++) {
        any = any || !ar_json_is_nil(ar_json_get(ar_json_root(&doc), KEYS[i]));
    }
    return any;
}

static bool is_web_search(const struct ar_tool *t)
{
    return ar_str_has_prefix(t->name, AR_LIT("web_search"));
}

static bool is_googles(const struct ar_gemini_enc *e, const struct ar_tool *t)
{
    return t->vendor == AR_VENDOR_GOOGLE && t->raw.n > 0 &&
           (e->native || e->t->vendor == AR_VENDOR_GOOGLE);
}

/* Tools that cannot be left out without a wrong answer. */
static bool is_needed(const struct ar_tool *t)
{
    static const struct ar_str NAMES[] = {AR_LIT_INIT("code_interpreter"), AR_LIT_INIT("code_exec"),
                                          AR_LIT_INIT("file_search"), AR_LIT_INIT("computer"),
                                          AR_LIT_INIT("mcp")};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_has_prefix(t->name, NAMES[i])) {
            return true;
        }
    }
    return false;
}

/* false: nothing was written. */
static bool put_server(struct ar_gemini_enc *e, const struct ar_tool *t)
{
    bool beside = e->has_functions && !AR_CAN(e, MIXED_TOOLS) && !e->native;
    bool can_search = is_web_search(t) && (e->t->vendor == AR_VENDOR_GOOGLE || e->native);
    if (!is_googles(e, t) && !can_search) {
        drop_server(e, is_needed(t) ? AR_FATE_REJECT : AR_FATE_WARN,
                    "the upstream has no such tool");
        return false;
    }
    if (beside) {
        drop_server(e, AR_FATE_WARN, "the model takes no tools of its vendor beside functions");
        return false;
    }
    if (is_googles(e, t)) {
        ar_jw_raw(&e->w, t->raw);
        return true;
    }
    if (has_wishes(e, t->raw)) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_DROPPED, AR_F_SEARCH,
                       "the upstream's search takes no settings");
    }
    ar_jw_raw(&e->w, AR_LIT("{\"googleSearch\":{}}"));
    return true;
}

/* --- toolConfig --- */

static bool is_listed(const struct ar_gemini_enc *e, struct ar_str name)
{
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (ar_gemini_is_function(e, t) && ar_str_is(t->name, name)) {
            return true;
        }
    }
    return false;
}

/* Google's own tools have no place in the list of functions: they are there or not. */
static bool only_functions(const struct ar_gemini_enc *e, struct ar_str name)
{
    return e->r->set.choice == AR_CHOICE_ALLOWED_AUTO && ar_lists_server_tool(e->r, name);
}

/* Only the vendor's own tools may be used: no function. */
static bool allows_no_function(const struct ar_gemini_enc *e)
{
    const struct ar_name *n = e->r->set.choice_names;
    bool any = n != NULL;
    while (n && only_functions(e, n->s)) {
        n = n->next;
    }
    return any && !n;
}

static void put_names(struct ar_gemini_enc *e)
{
    ar_jw_key(&e->w, "allowedFunctionNames");
    ar_jw_open(&e->w, '[');
    for (const struct ar_name *n = e->r->set.choice_names; n; n = n->next) {
        if (is_listed(e, n->s)) {
            ar_jw_text(&e->w, ar_gemini_tool_name(e, n->s));
        } else if (!only_functions(e, n->s)) {
            ar_gemini_lose(e, AR_FATE_REJECT, AR_DROPPED, AR_F_CHOICE,
                           "the named tool is not in the list of tools");
        }
    }
    ar_jw_close(&e->w, ']');
}

static const char *mode_of(enum ar_choice c)
{
    switch (c) {
    case AR_CHOICE_NONE:
        return "NONE";
    case AR_CHOICE_REQUIRED:
    case AR_CHOICE_NAMED:
    case AR_CHOICE_ALLOWED_REQUIRED:
        return "ANY";
    case AR_CHOICE_ALLOWED_AUTO:
        return "VALIDATED";
    default:
        return "AUTO";
    }
}

static void put_choice(struct ar_gemini_enc *e)
{
    const struct ar_settings *set = &e->r->set;
    ar_jw_key(&e->w, "functionCallingConfig");
    ar_jw_open(&e->w, '{');
    ar_jw_key(&e->w, "mode");
    if (allows_no_function(e)) {
        ar_jw_esc(&e->w, AR_LIT("NONE"));
        ar_jw_close(&e->w, '}');
        return;
    }
    ar_jw_esc(&e->w, ar_str_of(mode_of(set->choice)));
    if (set->choice >= AR_CHOICE_NAMED && set->choice_names) {
        put_names(e);
    }
    ar_jw_close(&e->w, '}');
}

/* Members of toolConfig that the IR has no name for. true: they say how to call. */
static bool has_own_calling(const struct ar_gemini_enc *e)
{
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (e->native && ar_str_is_lit(x->name, "toolConfig.functionCallingConfig")) {
            return true;
        }
    }
    return false;
}

static void put_own_config(struct ar_gemini_enc *e)
{
    static const struct ar_str HEAD = AR_LIT_INIT("toolConfig.");
    for (const struct ar_ext *x = e->r->ext; x; x = x->next) {
        if (e->native && ar_str_has_prefix(x->name, HEAD)) {
            ar_jw_key_dec(&e->w, ar_str_from(x->name, HEAD.n));
            ar_jw_raw(&e->w, x->raw);
        }
    }
}

/* mixed: functions and Google's own tools go together. */
static void put_config(struct ar_gemini_enc *e, bool mixed)
{
    const struct ar_settings *set = &e->r->set;
    bool choice = set->choice != AR_CHOICE_UNSET && e->has_functions && !has_own_calling(e);
    if (set->parallel == AR_SET && !set->parallel_on && e->has_functions &&
        set->choice != AR_CHOICE_NONE) {
        ar_gemini_lose(e, AR_FATE_WARN, AR_DROPPED, AR_F_PARALLEL,
                       "the upstream cannot be held to one call at a time");
    }
    struct ar_jw before = e->w;
    size_t at = e->w.out->n;
    ar_jw_key(&e->w, "toolConfig");
    ar_jw_open(&e->w, '{');
    size_t open = e->w.out->n;
    if (choice) {
        put_choice(e);
    }
    if (mixed) {
        ar_jw_key_bool(&e->w, "includeServerSideToolInvocations", true);
    }
    put_own_config(e);
    ar_gemini_close_or_drop(e, before, at, open);
}

static bool is_forced(enum ar_choice c)
{
    return c == AR_CHOICE_REQUIRED || c == AR_CHOICE_NAMED || c == AR_CHOICE_ALLOWED_REQUIRED;
}

void ar_gemini_put_tools(struct ar_gemini_enc *e)
{
    struct ar_jw *w = &e->w;
    struct ar_jw before = *w;
    size_t at = w->out->n;
    bool own = false;
    ar_jw_key(w, "tools");
    ar_jw_open(w, '[');
    if (e->has_functions) {
        put_functions(e);
    }
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (t->kind == AR_TOOL_SERVER) {
            own = put_server(e, t) || own;
        }
    }
    if (own || e->has_functions) {
        ar_jw_close(w, ']');
    } else {
        w->out->n = at;
        *w = before;
    }
    if (!e->has_functions && is_forced(e->r->set.choice) && !e->native) {
        ar_gemini_lose(e, AR_FATE_REJECT, AR_DROPPED, AR_F_CHOICE,
                       "a tool is demanded but none is given");
    }
    put_config(e, own && e->has_functions && !e->native);
}
