/* MCP servers that a Responses client names -> mcp_servers and their toolsets (PROTOCOLS 6.3). The
 * vendor calls them by itself, so only what needs nobody's approval and is reached by a URL goes
 * over; the rest is refused, because the answer would be another one. Owns nothing. */
#include "dialect/anthropic/request_write.h"

/* The members that the translation reads; false: something in it has no equal. */
static bool read_server(struct ar_anthropic_enc *e, const struct ar_tool *t, struct ar_jdoc *doc)
{
    if (!ar_str_is_lit(t->name, "mcp") || t->kind != AR_TOOL_SERVER ||
        ar_json_parse(t->raw, AR_JSON_DEPTH, e->a, doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval v = ar_json_root(doc), headers = ar_json_get_lit(v, "headers");
    return ar_json_is(ar_json_get_lit(v, "server_label"), AR_J_STRING) &&
           ar_str_has_prefix(ar_json_esc(ar_json_get_lit(v, "server_url")), AR_LIT("https:")) &&
           ar_str_is_lit(ar_json_esc(ar_json_get_lit(v, "require_approval")), "never") &&
           ar_json_is_nil(ar_json_get_lit(v, "connector_id")) &&
           ar_json_is_nil(ar_json_get_lit(v, "tunnel_id")) && ar_json_count(headers) == 0;
}

bool ar_anthropic_put_toolset(struct ar_anthropic_enc *e, const struct ar_tool *t)
{
    struct ar_jdoc doc;
    struct ar_jw *w = &e->w;
    if (e->t->vendor != AR_VENDOR_ANTHROPIC || !read_server(e, t, &doc)) {
        return false;
    }
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "mcp_toolset");
    ar_jw_key_raw(w, "mcp_server_name",
                  ar_json_raw(ar_json_get_lit(ar_json_root(&doc), "server_label")));
    ar_jw_close(w, '}');
    e->mcp_servers++;
    return true;
}

/* A list of names, or an object with one. */
static struct ar_jval allowed_of(struct ar_jval v)
{
    struct ar_jval allowed = ar_json_get_lit(v, "allowed_tools");
    return ar_json_is(allowed, AR_J_OBJECT) ? ar_json_get_lit(allowed, "tool_names") : allowed;
}

void ar_anthropic_put_mcp(struct ar_anthropic_enc *e)
{
    struct ar_jw *w = &e->w;
    if (e->mcp_servers == 0) {
        return;
    }
    ar_jw_key(w, "mcp_servers");
    ar_jw_open(w, '[');
    for (const struct ar_tool *t = e->r->tools; t; t = t->next) {
        struct ar_jdoc doc;
        if (!read_server(e, t, &doc)) {
            continue;
        }
        struct ar_jval v = ar_json_root(&doc), key = ar_json_get_lit(v, "authorization");
        struct ar_jval allowed = allowed_of(v);
        ar_jw_open(w, '{');
        ar_jw_key_lit(w, "type", "url");
        ar_jw_key_raw(w, "name", ar_json_raw(ar_json_get_lit(v, "server_label")));
        ar_jw_key_raw(w, "url", ar_json_raw(ar_json_get_lit(v, "server_url")));
        if (ar_json_is(key, AR_J_STRING)) {
            ar_jw_key_raw(w, "authorization_token", ar_json_raw(key));
        }
        if (ar_json_is(allowed, AR_J_ARRAY)) {
            ar_jw_key(w, "tool_configuration");
            ar_jw_open(w, '{');
            ar_jw_key_raw(w, "allowed_tools", ar_json_raw(allowed));
            ar_jw_close(w, '}');
        }
        ar_jw_close(w, '}');
    }
    ar_jw_close(w, ']');
}
