/* Tools, the choice among them and the parallel flag (PROTOCOLS 2.4, 6.3, 6.4). Only OpenAI itself,
 * or whoever a client of this dialect asked for, gets custom tools, namespaces and native kinds as
 * such; others get functions. Names that the wire does not take are shortened with an undo row.
 * Server tools go to who has them; the rest is dropped with a warning, or refused where it matters.
 * Owns nothing. */
#include "dialect/responses/request_write.h"

enum { TOOLS_MAX = 128 };

struct ar_str ar_responses_tool_name(const struct ar_responses_enc *e, struct ar_str name)
{
    return ar_tool_name(name, e->undo.name_max, e->a);
}

/* --- which are sent --- */

/* The wire's own tools of that vendor, or a search, which all have. */
static bool is_server_sent(const struct ar_responses_enc *e, const struct ar_tool *t)
{
    bool own = t->vendor == AR_VENDOR_OPENAI && t->raw.n > 0 && e->r->dialect != AR_DIALECT_CHAT &&
               (e->native || e->t->vendor == AR_VENDOR_OPENAI);
    return own || ar_str_is_lit(t->name, "web_search");
}

static bool is_sent(struct ar_responses_enc *e, const struct ar_tool *t)
{
    if (t->kind == AR_TOOL_SERVER) {
        return is_server_sent(e, t);
    }
    /* Claude Code's placeholder for tools that only its vendor can load says nothing to others. */
    return e->native ||
           !(t->defer && t->kind == AR_TOOL_FUNCTION && !ar_schema_says(t->schema, e->a));
}

/* The tool that goes by name, or NULL. */
static const struct ar_tool *find_tool(const struct ar_responses_enc *e, struct ar_str name)
{
    const struct ar_tool *t = e->r->tools;
    while (t && !ar_str_is(t->name, name)) {
        t = t->next;
    }
    return t;
}

/* --- functions and custom tools --- */

static void put_description(struct ar_responses_enc *e, const struct ar_tool *t)
{
    if (t->description.n > 0) {
        ar_jw_key_esc(&e->w, "description", t->description);
    }
}

static void put_function(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "function");
    ar_jw_key_text(w, "name", ar_undo_name(&e->undo, t->name));
    put_description(e, t);
    bool none = !t->schema.p || ar_str_is_lit(t->schema, "null");
    ar_jw_key_raw(w, "parameters",
                  none ? AR_LIT("{\"type\":\"object\",\"properties\":{}}") : t->schema);
    if (t->strict == AR_SET || !e->native) { /* elsewhere absent means false (P-048) */
        bool strict = t->strict == AR_SET && t->strict_on;
        if (strict && e->r->dialect == AR_DIALECT_ANTHROPIC &&
            !ar_schema_fits_strict(t->schema, e->a)) {
            ar_responses_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools", AR_NOT_STRICT);
            strict = false;
        }
        ar_jw_key_bool(w, "strict", strict);
    }
    ar_jw_close(w, '}');
    if (t->defer && !e->native) {
        ar_responses_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools",
                          "the upstream cannot load tools later: all are sent");
    }
}

static void put_custom(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "custom");
    ar_jw_key_text(w, "name", ar_undo_name(&e->undo, t->name));
    put_description(e, t);
    if (t->grammar.p) {
        ar_jw_key(w, "format");
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "grammar");
        ar_jw_key_text(w, "syntax", t->syntax.n ? t->syntax : AR_LIT("lark"));
        ar_jw_key_esc(w, "definition", t->grammar);
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, '}');
}

/* A custom tool for a place that has none: a function with one string, its grammar in words. */
static void put_freeform(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "function");
    struct ar_str sent = ar_undo_name(&e->undo, t->name);
    ar_undo_add(&e->undo, (struct ar_undo){.how = AR_UNDO_FREEFORM, .sent = sent, .name = t->name});
    ar_jw_key_text(w, "name", sent);
    if (t->description.n > 0 || t->grammar.n > 0) {
        ar_jw_key(w, "description");
        ar_put_freeform_text(w, t);
    }
    ar_jw_key_raw(w, "parameters", AR_LIT(AR_FREEFORM_SCHEMA));
    ar_jw_key_bool(w, "strict", false);
    ar_jw_close(w, '}');
}

static bool is_spaced(const struct ar_responses_enc *e, const struct ar_tool *t)
{
    return t->ns.n > 0 && e->official && t->raw.n > 0;
}

/* All members of the space that t is the first of. */
static void put_space(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "namespace");
    ar_jw_key_text(w, "name", t->ns);
    if (t->ns_about.p) {
        ar_jw_key_esc(w, "description", t->ns_about);
    }
    ar_jw_key(w, "tools");
    ar_jw_open(w, '[');
    for (const struct ar_tool *m = t; m; m = m->next) {
        if (is_spaced(e, m) && ar_str_is(m->ns, t->ns)) {
            ar_jw_raw(w, m->raw);
        }
    }
    ar_jw_close(w, ']');
    ar_jw_close(w, '}');
}

static bool is_first_of_space(const struct ar_responses_enc *e, const struct ar_tool *t)
{
    const struct ar_tool *m = e->r->tools;
    while (m != t && !(is_spaced(e, m) && ar_str_is(m->ns, t->ns))) {
        m = m->next;
    }
    return m == t;
}

/* --- server tools --- */

static void put_place(struct ar_jw *w, struct ar_jval place)
{
    struct ar_jval inner = ar_json_get_lit(place, "approximate"); /* Chat nests it */
    place = ar_json_is(inner, AR_J_OBJECT) ? inner : place;
    if (!ar_json_is(place, AR_J_OBJECT)) {
        return;
    }
    ar_jw_key(w, "user_location");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "approximate");
    for (struct ar_jiter it = ar_json_iter(place); ar_json_next(&it);) {
        if (ar_json_is(it.val, AR_J_STRING) && !ar_str_is_lit(it.key, "type")) {
            ar_jw_key_dec(w, it.key);
            ar_jw_raw(w, ar_json_raw(it.val));
        }
    }
    ar_jw_close(w, '}');
}

static void drop_member(struct ar_responses_enc *e, struct ar_jval root, struct ar_str key,
                        const char *field)
{
    if (!ar_json_is_nil(ar_json_get(root, key))) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED, field,
                          "the upstream's search has no such setting");
    }
}

/* Anthropic's web_search_*, Chat's web_search_options, Gemini's googleSearch. */
static void put_search(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    struct ar_jdoc doc;
    struct ar_jval root = {0};
    if (t->raw.p && ar_json_parse(t->raw, AR_JSON_DEPTH, e->a, &doc, NULL) == AR_OK) {
        root = ar_json_root(&doc);
    }
    struct ar_jval domains = ar_json_get_lit(root, "allowed_domains"),
                   size = ar_json_get_lit(root, "search_context_size");
    drop_member(e, root, AR_LIT("max_uses"), "tools.max_uses");
    drop_member(e, root, AR_LIT("blocked_domains"), "tools.blocked_domains");
    drop_member(e, root, AR_LIT("excludeDomains"), "tools.googleSearch.excludeDomains");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "web_search");
    if (ar_json_count(domains) > 0) {
        ar_jw_key(w, "filters");
        ar_jw_open(w, '{');
        ar_jw_key_raw(w, "allowed_domains", ar_json_raw(domains));
        ar_jw_close(w, '}');
    }
    if (ar_json_is(size, AR_J_STRING)) {
        ar_jw_key_raw(w, "search_context_size", ar_json_raw(size));
    }
    put_place(w, ar_json_get_lit(root, "user_location"));
    ar_jw_close(w, '}');
}

static void lose_server_tool(struct ar_responses_enc *e, const struct ar_tool *t)
{
    ar_responses_lose(e, ar_server_tool_fate(e->r, t), AR_DROPPED, "tools",
                      "the upstream has no such server tool");
}

/* --- the list --- */

/* Does the wire form hold what the wire demands? Forms of Chat are read as well. */
static bool is_wire_form(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jdoc doc;
    if (t->raw.n == 0 || ar_json_parse(t->raw, 1, e->a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval root = ar_json_root(&doc);
    bool is_named = t->kind == AR_TOOL_SERVER || t->native != AR_NATIVE_NONE ||
                    ar_json_is(ar_json_get_lit(root, "name"), AR_J_STRING);
    return is_named && ar_json_esc(ar_json_get_lit(root, "type")).n > 0;
}

static void put_tool(struct ar_responses_enc *e, const struct ar_tool *t)
{
    bool own = t->vendor == AR_VENDOR_OPENAI && t->raw.n > 0 && e->r->dialect != AR_DIALECT_CHAT;
    if (is_spaced(e, t)) {
        if (is_first_of_space(e, t)) {
            put_space(e, t);
        }
    } else if (e->native && t->ns.n == 0 && is_wire_form(e, t)) {
        ar_undo_name(&e->undo, t->name);
        ar_jw_raw(&e->w, t->raw);
    } else if (t->kind == AR_TOOL_SERVER && own) {
        ar_jw_raw(&e->w, t->raw);
    } else if (t->kind == AR_TOOL_SERVER) {
        put_search(e, t);
    } else if (t->kind == AR_TOOL_CUSTOM) {
        e->official ? put_custom(e, t) : put_freeform(e, t);
    } else {
        put_function(e, t);
    }
}

static unsigned put_list(struct ar_responses_enc *e)
{
    unsigned n = 0;
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (!is_sent(e, t)) {
            if (t->kind == AR_TOOL_SERVER) {
                lose_server_tool(e, t);
            }
            continue;
        }
        if (n++ == 0) {
            ar_jw_key(&e->w, "tools");
            ar_jw_open(&e->w, '[');
        }
        put_tool(e, t);
    }
    if (n > 0) {
        ar_jw_close(&e->w, ']');
    }
    if (n > TOOLS_MAX && e->t->vendor == AR_VENDOR_OPENAI && !e->native) {
        ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, "tools",
                          "the upstream takes at most 128 tools");
    }
    return n;
}

/* --- the choice --- */

static struct ar_str wire_type(struct ar_responses_enc *e, const struct ar_tool *t)
{
    struct ar_jdoc doc;
    struct ar_str type = {0};
    if (t->kind == AR_TOOL_SERVER && t->vendor == AR_VENDOR_OPENAI && t->raw.n > 0 &&
        ar_json_parse(t->raw, 1, e->a, &doc, NULL) == AR_OK) {
        type = ar_member_text_lit(e->a, ar_json_root(&doc), "type");
    }
    return type.n ? type : t->name;
}

static void put_name(struct ar_responses_enc *e, struct ar_str name)
{
    struct ar_jw *w = &e->w;
    const struct ar_tool *t = find_tool(e, name);
    if (!t || !is_sent(e, t)) {
        ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice",
                          "it names a tool that is not in the list");
        return;
    }
    ar_jw_open(w, '{');
    if (t->kind == AR_TOOL_SERVER || (e->native && t->native != AR_NATIVE_NONE)) {
        ar_jw_key_text(w, "type", wire_type(e, t));
        ar_jw_close(w, '}');
        return;
    }
    bool custom = t->kind == AR_TOOL_CUSTOM && e->official;
    ar_jw_key_esc(w, "type", custom ? AR_LIT("custom") : AR_LIT("function"));
    if (is_spaced(e, t)) {
        ar_jw_key_text(w, "name", ar_responses_bare_name(t->ns, t->name));
        ar_jw_key_text(w, "namespace", t->ns);
    } else {
        ar_jw_key_text(w, "name", ar_responses_tool_name(e, t->name));
    }
    ar_jw_close(w, '}');
}

static void put_allowed(struct ar_responses_enc *e)
{
    struct ar_jw *w = &e->w;
    bool must = e->r->set.choice == AR_CHOICE_ALLOWED_REQUIRED;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "allowed_tools");
    ar_jw_key_esc(w, "mode", must ? AR_LIT("required") : AR_LIT("auto"));
    ar_jw_key(w, "tools");
    ar_jw_open(w, '[');
    for (const struct ar_name *n = e->r->set.choice_names; n; n = n->next) {
        put_name(e, n->s);
    }
    ar_jw_close(w, ']');
    ar_jw_close(w, '}');
}

static void put_choice(struct ar_responses_enc *e, unsigned tools)
{
    const struct ar_settings *s = &e->r->set;
    bool forces = s->choice == AR_CHOICE_REQUIRED || s->choice == AR_CHOICE_NAMED ||
                  s->choice == AR_CHOICE_ALLOWED_REQUIRED;
    if (s->choice == AR_CHOICE_UNSET || (tools == 0 && !forces)) {
        return;
    }
    if (tools == 0) {
        ar_responses_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice",
                          "it forces a tool, and there is none in the list");
        return;
    }
    ar_jw_key(&e->w, "tool_choice");
    switch (s->choice) {
    case AR_CHOICE_AUTO:
        ar_jw_lit(&e->w, "auto");
        return;
    case AR_CHOICE_NONE:
        ar_jw_lit(&e->w, "none");
        return;
    case AR_CHOICE_REQUIRED:
        if (AR_HAS(e, NO_TOOL_CHOICE_REQUIRED)) {
            ar_responses_lose(e, AR_FATE_WARN, AR_EMULATED, "tool_choice",
                              "the upstream cannot be made to call any tool");
            ar_jw_lit(&e->w, "auto");
        } else {
            ar_jw_lit(&e->w, "required");
        }
        return;
    case AR_CHOICE_NAMED:
        put_name(e, s->choice_names ? s->choice_names->s : AR_LIT(""));
        return;
    default:
        put_allowed(e);
        return;
    }
}

void ar_responses_put_tools(struct ar_responses_enc *e)
{
    unsigned tools = put_list(e);
    ar_undo_history(&e->undo, e->r, e->official);
    put_choice(e, tools);
    if (e->r->set.parallel != AR_SET || tools == 0) {
        return;
    }
    if (!AR_HAS(e, NO_PARALLEL_FLAG)) {
        ar_jw_key_bool(&e->w, "parallel_tool_calls", e->r->set.parallel_on);
    } else if (!e->r->set.parallel_on) {
        ar_responses_lose(e, AR_FATE_WARN, AR_DROPPED,
                          ar_responses_field(e, "parallel_tool_calls", "disable_parallel_tool_use"),
                          "the upstream has no control of parallel calls");
    }
}
