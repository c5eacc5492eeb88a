/* A search that OpenAI's models ran, as a Messages client knows searches: a call of web_search and
 * its result (PROTOCOLS 7.1). The result lists what was found; in the place of the content that
 * only Anthropic could read back stands an empty envelope. The call's id tells such a pair, so that
 * it never goes to Anthropic in a history. Owns nothing. */
#include "dialect/anthropic/answer_write.h"

#define ID_HEAD "srvtoolu_ar1_"

bool ar_anthropic_is_made_search(struct ar_str raw)
{
    return ar_str_has(raw, AR_LIT("\"" ID_HEAD));
}

/* The item's own id in the letters that an id may have. */
static struct ar_str id_of(struct ar_str id, struct ar_arena *a)
{
    char text[64] = ID_HEAD;
    size_t n = sizeof ID_HEAD - 1;
    for (size_t i = 0; i < id.n && n < sizeof text; i++) {
        char c = id.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        text[n++] = plain ? c : '_';
    }
    return ar_arena_copy(a, ar_str_n(text, n));
}

/* What was asked: the query, or the address of a page that was opened. */
static struct ar_str query_of(struct ar_jval action)
{
    struct ar_str esc = ar_json_esc(ar_json_get_lit(action, "query"));
    if (esc.n == 0) {
        esc = ar_json_esc(ar_json_at(ar_json_get_lit(action, "queries"), 0));
    }
    return esc.n > 0 ? esc : ar_json_esc(ar_json_get_lit(action, "url"));
}

static void put_found(struct ar_jw *w, struct ar_jval source)
{
    struct ar_str url = ar_json_esc(ar_json_get_lit(source, "url"));
    struct ar_str title = ar_json_esc(ar_json_get_lit(source, "title"));
    if (url.n == 0) {
        return;
    }
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "web_search_result");
    ar_jw_key_esc(w, "url", url);
    ar_jw_key_esc(w, "title", title.n > 0 ? title : url);
    ar_jw_key_lit(w, "encrypted_content", "ar1.other.encrypted...");
    ar_jw_key_null(w, "page_age");
    ar_jw_close(w, '}');
}

static struct ar_str result_of(struct ar_str id, struct ar_jval sources, struct ar_arena *a)
{
    struct ar_buf out;
    ar_buf_init(&out, a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "web_search_tool_result");
    ar_jw_key_esc(&w, "tool_use_id", id);
    ar_jw_key(&w, "content");
    ar_jw_open(&w, '[');
    for (struct ar_jiter it = ar_json_iter(sources); ar_json_next(&it);) {
        put_found(&w, it.val);
    }
    ar_jw_close(&w, ']');
    ar_jw_close(&w, '}');
    struct ar_str text = ar_arena_copy(a, ar_buf_view(&out));
    ar_buf_done(&out);
    return text;
}

bool ar_anthropic_make_search(const struct ar_block *b, bool whole, struct ar_arena *a,
                              struct ar_anthropic_search *ret)
{
    struct ar_jdoc doc;
    if (b->kind != AR_SERVER_TOOL_USE || b->vendor != AR_VENDOR_OPENAI ||
        !ar_str_is_lit(b->name, "web_search") ||
        ar_json_parse(b->raw, AR_JSON_DEPTH, a, &doc, NULL) != AR_OK) {
        return false;
    }
    struct ar_jval action = ar_json_get_lit(ar_json_root(&doc), "action");
    struct ar_str id = id_of(b->id, a), query = query_of(action), input;
    input = ar_arena_fmt(a, "{\"query\":\"%.*s\"}", AR_FMT(query));
    struct ar_block block = {.vendor = AR_VENDOR_ANTHROPIC, .kind = AR_SERVER_TOOL_USE};
    ret->use = ret->result = block;
    ret->use.raw =
        ar_arena_fmt(a,
                     "{\"type\":\"server_tool_use\",\"id\":\"%.*s\",\"name\":\"web_search\","
                     "\"input\":%.*s}",
                     AR_FMT(id), AR_FMT(whole ? input : AR_LIT("{}")));
    ret->input = ar_json_escape_in(input, a);
    ret->result.kind = AR_SERVER_TOOL_RESULT;
    ret->result.raw = result_of(id, ar_json_get_lit(action, "sources"), a);
    return ret->use.raw.p && ret->input.p && ret->result.raw.p;
}
