/* What an answer rests on (PROTOCOLS 7.1): Google tells at the end, once for the whole candidate.
 * Citations go to the text block that is open, with their characters in it; the searches, which
 * everybody else tells of as calls, follow in the form that Anthropic has for them: a call of
 * web_search for each, with the pages that were found as the result of the first. Owns nothing. */
#include "dialect/gemini/stream_read.h"
#include "dialect/shared.h"

/* --- citations --- */

static int64_t count_chars(struct ar_str dec)
{
    int64_t n = 0;
    for (size_t i = 0; i < dec.n; i++) {
        n += ((unsigned char)dec.p[i] & 0xC0) != 0x80;
    }
    return n;
}

/* Characters of the piece in the text (dec). Offsets are bytes, but of what, vendor and clouds do
 * not agree on: they count only where the piece is indeed there. */
static void place(struct ar_str text, struct ar_jval segment, struct ar_str piece,
                  struct ar_cite *ret)
{
    int64_t start = 0;
    struct ar_jval at = ar_json_get_lit(segment, "startIndex");
    if (!text.p || piece.n == 0 || (at.doc && ar_json_i64(at, &start, NULL) != AR_OK)) {
        return;
    }
    size_t from = start >= 0 ? (size_t)start : 0;
    if (from > text.n || !ar_str_has_prefix(ar_str_from(text, from), piece)) {
        from = ar_str_find(text, piece);
    }
    if (from < text.n) {
        ret->from = count_chars(ar_str_head(text, from));
        ret->to = ret->from + count_chars(piece);
    }
}

static void put_citation(struct ar_reader *r, struct ar_str text, struct ar_jval chunk,
                         struct ar_jval segment)
{
    struct ar_jval web = ar_json_get_lit(chunk, "web");
    struct ar_cite c = {.url = ar_json_esc(ar_json_get_lit(web, "uri")),
                        .title = ar_json_esc(ar_json_get_lit(web, "title")),
                        .said = ar_json_esc(ar_json_get_lit(segment, "text")),
                        .from = -1,
                        .to = -1};
    place(text, segment, ar_json_unescape_in(c.said, r->a), &c);
    struct ar_str raw = ar_cite_make(r->a, c);
    if (raw.p) {
        ar_gemini_put_delta(r, AR_D_CITATION, raw);
    }
}

static void put_citations(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval chunks = ar_json_get_lit(root, "groundingChunks"),
                   supports = ar_json_get_lit(root, "groundingSupports");
    struct ar_str text = ar_json_unescape_in(ar_buf_view(&r->said_text), r->a);
    for (struct ar_jiter it = ar_json_iter(supports); ar_json_next(&it);) {
        struct ar_jval list = ar_json_get_lit(it.val, "groundingChunkIndices"),
                       segment = ar_json_get_lit(it.val, "segment");
        for (struct ar_jiter k = ar_json_iter(list); ar_json_next(&k);) {
            int64_t i = -1;
            if (ar_json_i64(k.val, &i, NULL) == AR_OK && i >= 0 && i < UINT32_MAX) {
                put_citation(r, text, ar_json_at(chunks, (uint32_t)i), segment);
            }
        }
    }
    if (ar_json_count(supports) == 0) {
        for (struct ar_jiter it = ar_json_iter(chunks); ar_json_next(&it);) {
            put_citation(r, text, it.val, (struct ar_jval){0});
        }
    }
}

/* --- searches --- */

/* The answer's own id in the letters that an id may have; the head tells that no other than Google
 * can read the search back. */
static struct ar_str search_id(struct ar_reader *r, unsigned n)
{
    char id[24] = "";
    struct ar_str from = r->answer.id;
    for (size_t i = 0; i < from.n && i < sizeof id - 1; i++) {
        char c = from.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        id[i] = plain ? c : '_';
    }
    return ar_arena_fmt(r->a, "srvtoolu_ar1_g%s_%u", id, n);
}

static struct ar_str found(struct ar_reader *r, struct ar_str id, struct ar_jval chunks)
{
    struct ar_buf out;
    ar_buf_init(&out, r->a->max_bytes);
    struct ar_jw w = ar_jw_on(&out);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "type", "web_search_tool_result");
    ar_jw_key_text(&w, "tool_use_id", id);
    ar_jw_key(&w, "content");
    ar_jw_open(&w, '[');
    for (struct ar_jiter it = ar_json_iter(chunks); ar_json_next(&it);) {
        struct ar_jval web = ar_json_get_lit(it.val, "web");
        struct ar_str url = ar_json_esc(ar_json_get_lit(web, "uri")),
                      title = ar_json_esc(ar_json_get_lit(web, "title"));
        if (url.n > 0) {
            ar_jw_open(&w, '{');
            ar_jw_key_lit(&w, "type", "web_search_result");
            ar_jw_key_esc(&w, "url", url);
            ar_jw_key_esc(&w, "title", title.n > 0 ? title : url);
            ar_jw_key_lit(&w, "encrypted_content", "ar1.other.encrypted...");
            ar_jw_key_null(&w, "page_age");
            ar_jw_close(&w, '}');
        }
    }
    ar_jw_close(&w, ']');
    ar_jw_close(&w, '}');
    struct ar_str raw = ar_arena_copy(r->a, ar_buf_view(&out));
    ar_buf_done(&out);
    return raw;
}

static struct ar_str call_raw(struct ar_reader *r, struct ar_str id, struct ar_str input)
{
    return ar_arena_fmt(r->a,
                        "{\"type\":\"server_tool_use\",\"id\":\"%.*s\","
                        "\"name\":\"web_search\",\"input\":%.*s}",
                        AR_FMT(id), AR_FMT(input));
}

static void put_search(struct ar_reader *r, unsigned n, struct ar_str query, struct ar_jval chunks)
{
    struct ar_str id = search_id(r, n);
    struct ar_str input = ar_arena_fmt(r->a, "{\"query\":\"%.*s\"}", AR_FMT(query));
    struct ar_block *use = ar_gemini_open_block(r, AR_SERVER_TOOL_USE);
    struct ar_block *end = ar_arena_new(r->a, struct ar_block);
    if (!use || !end) {
        return;
    }
    use->vendor = AR_VENDOR_ANTHROPIC; /* its form */
    use->id = id;
    use->name = AR_LIT("web_search");
    *end = *use;
    end->raw = call_raw(r, id, input);
    use->raw = r->whole ? end->raw : call_raw(r, id, AR_LIT("{}"));
    ar_gemini_put_delta(r, AR_D_JSON, r->whole ? input : ar_json_escape_in(input, r->a));
    ar_queue_put(&r->queue, (struct ar_event){
                                .kind = AR_EV_BLOCK_END, .b = (unsigned)r->open_b, .block = end});
    r->open_b = -1;
    struct ar_block *result = ar_gemini_open_block(r, AR_SERVER_TOOL_RESULT);
    if (result) {
        result->vendor = AR_VENDOR_ANTHROPIC;
        result->id = id;
        result->raw = found(r, id, chunks);
    }
}

void ar_gemini_ground(struct ar_reader *r)
{
    struct ar_jdoc doc;
    unsigned n = 0;
    if (r->answer.grounding.n == 0 ||
        ar_json_parse(r->answer.grounding, AR_JSON_DEPTH, r->a, &doc, NULL) != AR_OK) {
        return;
    }
    struct ar_jval root = ar_json_root(&doc), chunks = ar_json_get_lit(root, "groundingChunks");
    if (r->open_b >= 0 && r->open_kind == AR_TEXT) {
        put_citations(r, root);
    }
    for (struct ar_jiter it = ar_json_iter(ar_json_get_lit(root, "webSearchQueries"));
         ar_json_next(&it);) {
        put_search(r, n, ar_json_esc(it.val), n == 0 ? chunks : (struct ar_jval){0});
        n++;
    }
}
