/* Tools, the choice among them and the parallel flag (PROTOCOLS 6.3, 6.4). Names that the wire does
 * not take are shortened with an undo row, so the client never sees it. Tools that only their
 * vendor can run are dropped with a warning, or refused where they were forced. Claude Code's
 * placeholder for deferred tools says nothing to others and is left out. */
#include "dialect/chat/message_write.h"

enum { TOOLS_MAX = 128 };

/* A deferred tool without a schema stands for others that only its vendor can load. */
static bool is_placeholder(struct ar_chat_enc *e, const struct ar_tool *t)
{
    return e->r->dialect == AR_DIALECT_ANTHROPIC && t->defer && t->kind == AR_TOOL_FUNCTION &&
           !ar_schema_says(t->schema, e->a);
}

static bool is_sent(struct ar_chat_enc *e, const struct ar_tool *t)
{
    if (t->kind == AR_TOOL_SERVER) {
        return e->r->dialect == AR_DIALECT_CHAT && !ar_str_is_lit(t->name, "web_search");
    }
    return !is_placeholder(e, t);
}

static void put_parameters(struct ar_chat_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_key(w, "parameters");
    ar_jw_raw(w, t->schema.p ? t->schema : AR_LIT("{\"type\":\"object\",\"properties\":{}}"));
    if (t->strict == AR_SET) {
        bool strict = t->strict_on;
        if (strict && e->r->dialect == AR_DIALECT_ANTHROPIC &&
            !ar_schema_fits_strict(t->schema, e->a)) {
            ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools", AR_NOT_STRICT);
            strict = false;
        }
        ar_jw_key_bool(w, "strict", strict);
    }
    if (t->defer) {
        ar_chat_lose(e, AR_FATE_WARN, AR_APPROXIMATED, "tools",
                     "the upstream cannot load tools later: all are sent");
    }
}

static void put_grammar(struct ar_jw *w, const struct ar_tool *t)
{
    if (!t->grammar.p) {
        return;
    }
    ar_jw_key(w, "format");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "grammar");
    ar_jw_key(w, "grammar");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "syntax", t->syntax.n ? t->syntax : AR_LIT("lark"));
    ar_jw_key_esc(w, "definition", t->grammar);
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

/* A freeform tool for those who have none: a function with one string, and the grammar told. */
static void put_freeform(struct ar_chat_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "function");
    ar_jw_key(w, "function");
    ar_jw_open(w, '{');
    struct ar_str sent = ar_undo_name(&e->undo, t->name);
    ar_undo_add(&e->undo, (struct ar_undo){.how = AR_UNDO_FREEFORM, .sent = sent, .name = t->name});
    ar_jw_key_text(w, "name", sent);
    ar_jw_key(w, "description");
    ar_put_freeform_text(w, t);
    ar_jw_key_raw(w, "parameters", AR_LIT(AR_FREEFORM_SCHEMA));
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

/* A function, or a custom tool. */
static void put_tool(struct ar_chat_enc *e, const struct ar_tool *t)
{
    struct ar_jw *w = &e->w;
    const char *type = t->kind == AR_TOOL_CUSTOM ? "custom" : "function";
    if (t->kind == AR_TOOL_CUSTOM && !ar_chat_has_custom(e)) {
        put_freeform(e, t);
        return;
    }
    ar_jw_open(w, '{');
    ar_jw_key(w, "type");
    ar_jw_esc(w, ar_str_of(type));
    ar_jw_key_n(w, type, strlen(type));
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "name", ar_undo_name(&e->undo, t->name));
    if (t->description.p) {
        ar_jw_key_esc(w, "description", t->description);
    }
    if (t->kind == AR_TOOL_CUSTOM) {
        put_grammar(w, t);
    } else {
        put_parameters(e, t);
    }
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

/* What only the vendor runs: search and the like are lost with a warning, a whole computer or a
 * forced one not. */
static void lose_server_tool(struct ar_chat_enc *e, const struct ar_tool *t)
{
    ar_chat_lose(e, ar_server_tool_fate(e->r, t), AR_DROPPED, "tools",
                 "the upstream has no such server tool");
}

static unsigned put_list(struct ar_chat_enc *e)
{
    unsigned n = 0;
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        bool search = t->kind == AR_TOOL_SERVER && ar_str_is_lit(t->name, "web_search");
        if (!is_sent(e, t)) {
            if (t->kind == AR_TOOL_SERVER && !(search && e->r->dialect == AR_DIALECT_CHAT)) {
                lose_server_tool(e, t);
            }
            continue;
        }
        if (n++ == 0) {
            ar_jw_key(&e->w, "tools");
            ar_jw_open(&e->w, '[');
        }
        if (t->kind == AR_TOOL_SERVER) {
            ar_jw_raw(&e->w, t->raw);
        } else {
            put_tool(e, t);
        }
    }
    if (n) {
        ar_jw_close(&e->w, ']');
    }
    if (n > TOOLS_MAX && e->t->vendor == AR_VENDOR_OPENAI) {
        ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "tools",
                     "the upstream takes at most 128 tools");
    }
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (t->kind == AR_TOOL_SERVER && ar_str_is_lit(t->name, "web_search") &&
            e->r->dialect == AR_DIALECT_CHAT) {
            ar_jw_key_raw(&e->w, "web_search_options", t->raw);
        }
    }
    return n;
}

/* The tool that goes by name, or NULL. */
static const struct ar_tool *find_tool(struct ar_chat_enc *e, struct ar_str name)
{
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        if (is_sent(e, t) && ar_str_is(name, t->name)) {
            return t;
        }
    }
    return NULL;
}

static void put_tool_name(struct ar_chat_enc *e, const struct ar_tool *t, struct ar_str name)
{
    bool custom = t->kind == AR_TOOL_CUSTOM && ar_chat_has_custom(e);
    ar_jw_open(&e->w, '{');
    ar_jw_key(&e->w, "type");
    ar_jw_esc(&e->w, custom ? AR_LIT("custom") : AR_LIT("function"));
    ar_jw_key_n(&e->w, custom ? "custom" : "function", custom ? 6 : 8);
    ar_jw_open(&e->w, '{');
    ar_jw_key_text(&e->w, "name", ar_tool_name(name, e->undo.name_max, e->a));
    ar_jw_close(&e->w, '}');
    ar_jw_close(&e->w, '}');
}

static void put_named(struct ar_chat_enc *e)
{
    const struct ar_name *n = e->r->set.choice_names;
    const struct ar_tool *t = n ? find_tool(e, n->s) : NULL;
    if (!t) {
        ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice",
                     "it names a tool that is not in the list");
        return;
    }
    ar_jw_key(&e->w, "tool_choice");
    put_tool_name(e, t, n->s);
}

static void put_required(struct ar_chat_enc *e, unsigned tools)
{
    if (!AR_HAS(e, NO_TOOL_CHOICE_REQUIRED)) {
        ar_jw_key_lit(&e->w, "tool_choice", "required");
        return;
    }
    ar_chat_lose(e, AR_FATE_WARN, AR_EMULATED, "tool_choice",
                 "the upstream cannot be made to call any tool");
    if (tools == 1) {
        const struct ar_tool *t = e->r->tools;
        while (t && !is_sent(e, t)) {
            t = t->next;
        }
        if (t) {
            ar_jw_key(&e->w, "tool_choice");
            put_tool_name(e, t, t->name);
        }
        return;
    }
    ar_jw_key_lit(&e->w, "tool_choice", "auto");
}

/* Names of the list that can be sent. A vendor's own tool was dropped with a word already, and so
 * is its name, unless nothing else may be called. */
static unsigned check_allowed(struct ar_chat_enc *e)
{
    bool must = e->r->set.choice == AR_CHOICE_ALLOWED_REQUIRED;
    unsigned sent = 0;
    for (const struct ar_name *n = e->r->set.choice_names; n; n = n->next) {
        if (find_tool(e, n->s)) {
            sent++;
        } else if (must || !ar_lists_server_tool(e->r, n->s)) {
            ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice",
                         "it names a tool that is not in the list");
        }
    }
    return sent;
}

static void put_allowed(struct ar_chat_enc *e)
{
    struct ar_jw *w = &e->w;
    if (check_allowed(e) == 0) {
        ar_jw_key_lit(w, "tool_choice", "none");
        return;
    }
    ar_jw_key(w, "tool_choice");
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "allowed_tools");
    ar_jw_key(w, "allowed_tools");
    ar_jw_open(w, '{');
    ar_jw_key(w, "mode");
    ar_jw_esc(w,
              e->r->set.choice == AR_CHOICE_ALLOWED_REQUIRED ? AR_LIT("required") : AR_LIT("auto"));
    ar_jw_key(w, "tools");
    ar_jw_open(w, '[');
    for (const struct ar_name *n = e->r->set.choice_names; n; n = n->next) {
        const struct ar_tool *t = find_tool(e, n->s);
        if (t) {
            put_tool_name(e, t, n->s);
        }
    }
    ar_jw_close(w, ']');
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
}

static void put_choice(struct ar_chat_enc *e, unsigned tools)
{
    enum ar_choice choice = e->r->set.choice;
    if (tools == 0) { /* nothing to choose from: harmless unless something was forced */
        if (choice == AR_CHOICE_REQUIRED || choice == AR_CHOICE_NAMED ||
            choice == AR_CHOICE_ALLOWED_REQUIRED) {
            ar_chat_lose(e, AR_FATE_REJECT, AR_DROPPED, "tool_choice",
                         "it forces a tool, and there is none in the list");
        }
        return;
    }
    switch (choice) {
    case AR_CHOICE_UNSET:
        break;
    case AR_CHOICE_AUTO:
        ar_jw_key_lit(&e->w, "tool_choice", "auto");
        break;
    case AR_CHOICE_NONE:
        ar_jw_key_lit(&e->w, "tool_choice", "none");
        break;
    case AR_CHOICE_REQUIRED:
        put_required(e, tools);
        break;
    case AR_CHOICE_NAMED:
        put_named(e);
        break;
    default:
        put_allowed(e);
        break;
    }
}

void ar_chat_put_tools(struct ar_chat_enc *e)
{
    unsigned tools = put_list(e);
    ar_undo_history(&e->undo, e->r, false);
    put_choice(e, tools);
    if (e->r->set.parallel == AR_SET && tools) {
        if (!AR_HAS(e, NO_PARALLEL_FLAG)) {
            ar_jw_key_bool(&e->w, "parallel_tool_calls", e->r->set.parallel_on);
        } else if (!e->r->set.parallel_on) {
            ar_chat_lose(e, AR_FATE_WARN, AR_DROPPED,
                         ar_chat_field(e, "parallel_tool_calls", "disable_parallel_tool_use"),
                         "the upstream has no control of parallel calls");
        }
    }
}
