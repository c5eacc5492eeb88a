/* Tools and tool_choice of a Messages request (PROTOCOLS 6.3, 6.4). Names get a legal form that the
 * undo list takes back, freeform tools become functions with one string, foreign server tools
 * become Anthropic's where there is one. A history that holds calls but no tools gets definitions
 * made up, because the API demands them (P-068). Owns nothing. */
#include "dialect/anthropic/request_write.h"

struct ar_str ar_anthropic_tool_name(struct ar_anthropic_enc *e, struct ar_str name)
{
    return ar_tool_name(name, e->name_limit, e->a);
}

static bool is_allowed(const struct ar_settings *set, const struct ar_tool *t)
{
    if (set->choice != AR_CHOICE_ALLOWED_AUTO && set->choice != AR_CHOICE_ALLOWED_REQUIRED) {
        return true;
    }
    for (const struct ar_name *n = set->choice_names; n; n = n->next) {
        if (ar_str_is(n->s, t->name)) {
            return true;
        }
    }
    return false;
}

static struct ar_str put_name(struct ar_anthropic_enc *e, struct ar_str name)
{
    struct ar_str sent = ar_anthropic_tool_name(e, name);
    ar_jw_key_text(&e->w, "name", sent);
    if (!ar_str_is(sent, name)) {
        ar_undo_add(&e->undo, (struct ar_undo){.how = AR_UNDO_NAME, .sent = sent, .name = name});
    }
    return sent;
}

static void put_function(struct ar_anthropic_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    struct ar_str schema = t->schema;
    ar_jw_open(w, '{');
    struct ar_str sent = put_name(e, t->name);
    if (t->description.p) {
        ar_jw_key_esc(w, "description", t->description);
    }
    bool strict = t->strict == AR_SET && t->strict_on && AR_CAN(e, STRUCTURED);
    if (strict && ar_anthropic_is_recursive_schema(schema, e->a)) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools", "tools",
                          "the upstream keeps strictly to schemas only that do not recur");
        strict = false;
    }
    ar_jw_key(w, "input_schema");
    if (!schema.p || ar_str_is_lit(schema, "null")) {
        ar_jw_raw(w, AR_LIT("{\"type\":\"object\",\"properties\":{}}"));
    } else if (!ar_anthropic_is_object_schema(schema, e->a)) {
        ar_jw_raw(w, AR_LIT("{\"type\":\"object\",\"properties\":{\"value\":"));
        ar_buf_str(w->out, strict ? ar_anthropic_strict_schema(schema, e->a) : schema);
        ar_buf_lit(w->out, "},\"required\":[\"value\"]}");
        ar_undo_add(&e->undo,
                    (struct ar_undo){.how = AR_UNDO_VALUE, .sent = sent, .name = t->name});
        ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools", "tools",
                          "a schema's root must be an object");
    } else {
        ar_jw_raw(w, strict ? ar_anthropic_strict_schema(schema, e->a) : schema);
    }
    if (strict) {
        ar_jw_key_bool(w, "strict", true);
    }
    if (t->defer && !e->native) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools", "tools",
                          "the upstream cannot load tools later: all are sent");
    }
    ar_anthropic_put_cache(e, t->cache_ttl);
    ar_jw_close(w, '}');
}

/* Description of a freeform tool, with its grammar (P-052). */
static void put_freeform(struct ar_anthropic_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '{');
    struct ar_str sent = put_name(e, t->name);
    ar_undo_add(&e->undo, (struct ar_undo){.how = AR_UNDO_FREEFORM, .sent = sent, .name = t->name});
    if (t->description.n > 0 || t->grammar.n > 0) {
        ar_jw_key(w, "description");
        ar_put_freeform_text(w, t);
    }
    ar_jw_key_raw(w, "input_schema", AR_LIT(AR_FREEFORM_SCHEMA));
    ar_anthropic_put_cache(e, t->cache_ttl);
    ar_jw_close(w, '}');
}

/* Chat's web_search_options, and the tool of Responses -> web_search. */
static void put_web_search(struct ar_anthropic_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    struct ar_jdoc doc = {.nodes = NULL};
    if (t->raw.p && ar_json_parse(t->raw, AR_JSON_DEPTH, e->a, &doc, NULL) != AR_OK) {
        doc.nodes = NULL;
    }
    struct ar_jval root = ar_json_root(&doc), where = ar_json_get_lit(root, "user_location");
    struct ar_jval inner = ar_json_get_lit(where, "approximate");
    struct ar_jval domains = ar_json_get_lit(ar_json_get_lit(root, "filters"), "allowed_domains");
    where = ar_json_is(inner, AR_J_OBJECT) ? inner : where;
    if (!ar_json_is_nil(ar_json_get_lit(root, "search_context_size")) ||
        ar_json_is(ar_json_get_lit(root, "external_web_access"), AR_J_FALSE)) {
        ar_anthropic_lose(e, AR_FATE_WARN, AR_DROPPED, "web_search_options.search_context_size",
                          "tools", "there is no such setting");
    }
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "web_search_20250305");
    ar_jw_key_lit(w, "name", "web_search");
    if (ar_json_count(domains) > 0) {
        ar_jw_key_raw(w, "allowed_domains", ar_json_raw(domains));
    }
    if (ar_json_is(where, AR_J_OBJECT)) {
        ar_jw_key(w, "user_location");
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "approximate");
        for (struct ar_jiter it = ar_json_iter(where); ar_json_next(&it);) {
            if (ar_json_is(it.val, AR_J_STRING) && !ar_str_is_lit(it.key, "type")) {
                ar_jw_key_dec(w, it.key);
                ar_jw_raw(w, ar_json_raw(it.val));
            }
        }
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, '}');
}

/* What a request cannot do without, as against what the model may merely use. */
static bool is_vital(const struct ar_tool *t)
{
    static const struct ar_str NAMES[] = {AR_LIT_INIT("computer"), AR_LIT_INIT("mcp"),
                                          AR_LIT_INIT("file_search"), AR_LIT_INIT("code_exec")};
    for (size_t i = 0; t->vendor != AR_VENDOR_ANTHROPIC && i < sizeof NAMES / sizeof *NAMES; i++) {
        if (ar_str_is(t->name, NAMES[i])) {
            return true;
        }
    }
    return false;
}

static void put_server(struct ar_anthropic_enc *e, const struct ar_tool *t)
{
    bool ours = e->t->vendor == AR_VENDOR_ANTHROPIC;
    if (t->vendor == AR_VENDOR_ANTHROPIC && t->raw.n > 0 && (ours || e->native)) {
        ar_jw_raw(&e->w, t->raw);
    } else if (ours && ar_str_is_lit(t->name, "web_search")) {
        put_web_search(e, t);
    } else if (!ar_anthropic_put_toolset(e, t)) {
        ar_anthropic_lose(e, is_vital(t) ? AR_FATE_REJECT : AR_FATE_WARN, AR_DROPPED, "tools",
                          "tools", "the upstream has no such tool");
    }
}

static void put_tool(struct ar_anthropic_enc *e, const struct ar_tool *t)
{
    if (t->kind == AR_TOOL_SERVER) {
        put_server(e, t);
    } else if (t->kind == AR_TOOL_CUSTOM) {
        put_freeform(e, t);
    } else if (e->native && t->raw.n > 0 &&
               ar_str_is(ar_anthropic_tool_name(e, t->name), t->name)) {
        e->cache_seen += t->cache_ttl.p != NULL;
        ar_jw_raw(&e->w, t->raw);
    } else {
        put_function(e, t);
    }
}

/* --- tools that the history needs --- */

static bool is_first_use(const struct ar_request *r, const struct ar_block *b)
{
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        for (const struct ar_block *o = t->blocks; o; o = o->next) {
            if (o == b) {
                return true;
            }
            if (o->kind == AR_TOOL_USE && ar_str_is(o->name, b->name)) {
                return false;
            }
        }
    }
    return true;
}

static bool has_calls(const struct ar_request *r)
{
    for (const struct ar_turn *t = r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->blocks; b; b = b->next) {
            if (b->kind == AR_TOOL_USE) {
                return true;
            }
        }
    }
    return false;
}

static void put_made_tools(struct ar_anthropic_enc *e)
{
    unsigned made = 0;
    for (const struct ar_turn *t = e->r->turns; t; t = t->next) {
        for (const struct ar_block *b = t->blocks; b && made < 512; b = b->next) {
            if (b->kind == AR_TOOL_USE && is_first_use(e->r, b)) {
                ar_jw_open(&e->w, '{');
                put_name(e, b->name);
                ar_jw_key_raw(&e->w, "input_schema", AR_LIT("{\"type\":\"object\"}"));
                ar_jw_close(&e->w, '}');
                made++;
            }
        }
    }
}

static void put_json_tool(struct ar_anthropic_enc *e)
{
    struct ar_jw *w = &e->w;
    const struct ar_settings *set = &e->r->set;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "name", "json_response");
    ar_jw_key_esc(w, "description",
                  set->schema_description.n > 0 ? set->schema_description
                                                : AR_LIT("The answer to the user."));
    ar_jw_key_raw(w, "input_schema", set->schema);
    ar_jw_close(w, '}');
    ar_undo_add(&e->undo, (struct ar_undo){.how = AR_UNDO_JSON_TEXT,
                                           .sent = AR_LIT("json_response"),
                                           .name = AR_LIT("json_response")});
}

/* --- tool_choice --- */

static void put_choice(struct ar_anthropic_enc *e, bool any)
{
    const struct ar_settings *set = &e->r->set;
    struct ar_jw *w = &e->w;
    bool single = set->parallel == AR_SET && !set->parallel_on;
    enum ar_choice c = e->call_line ? AR_CHOICE_AUTO : e->choice;
    if (e->json_tool || e->made_tools) {
        ar_jw_key_raw(w, "tool_choice",
                      e->json_tool ? AR_LIT("{\"type\":\"tool\",\"name\":\"json_response\"}")
                                   : AR_LIT("{\"type\":\"none\"}"));
        return;
    }
    if (!any || (c == AR_CHOICE_UNSET && !single && !(e->native && set->parallel == AR_SET))) {
        return;
    }
    ar_jw_key(w, "tool_choice");
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "type",
                  c == AR_CHOICE_NONE       ? AR_LIT("none")
                  : c == AR_CHOICE_REQUIRED ? AR_LIT("any")
                  : c == AR_CHOICE_NAMED    ? AR_LIT("tool")
                                            : AR_LIT("auto"));
    if (c == AR_CHOICE_NAMED) {
        ar_jw_key_text(w, "name", e->choice_name);
    }
    if (set->parallel == AR_SET && c != AR_CHOICE_NONE && (single || e->native)) {
        ar_jw_key_bool(w, "disable_parallel_tool_use", single);
    }
    ar_jw_close(w, '}');
}

void ar_anthropic_put_tools(struct ar_anthropic_enc *e)
{
    struct ar_jw *w = &e->w;
    e->made_tools = !e->native && !e->r->tools && !e->json_tool && has_calls(e->r);
    if (!e->r->tools && !e->json_tool && !e->made_tools) {
        return;
    }
    struct ar_jw start = *w;
    size_t at = w->out->n;
    ar_jw_key(w, "tools");
    size_t before = w->out->n;
    ar_jw_open(w, '[');
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (is_allowed(&e->r->set, t)) {
            put_tool(e, t);
        }
    }
    if (e->made_tools) {
        put_made_tools(e);
    }
    if (e->json_tool) {
        put_json_tool(e);
    }
    bool any = w->out->n > before + 1;
    ar_jw_close(w, ']');
    if (!any && !e->native) { /* all of them were dropped */
        w->out->n = at;
        *w = start;
    }
    put_choice(e, any);
}
