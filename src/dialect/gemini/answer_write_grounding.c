/* Citations -> groundingMetadata. Everybody else cites inside the text block; Gemini says once for
 * a whole candidate what was found, with offsets in bytes of its text (PROTOCOLS 7.1). One chunk a
 * source, one support a citation, over the bytes of the block that it came with. Owns the buffers
 * of ar_gemini_cites. */
#include "dialect/gemini/answer_write.h"

/* Value of the escape \uXXXX at i, or -1. */
static int unit_at(struct ar_str esc, size_t i)
{
    int v = 0;
    if (i + 6 > esc.n || esc.p[i] != '\\' || esc.p[i + 1] != 'u') {
        return -1;
    }
    for (size_t k = i + 2; k < i + 6; k++) {
        int c = esc.p[k] | 0x20;
        v = v * 16 + (c >= 'a' ? c - 'a' + 10 : c - '0');
    }
    return v;
}

int64_t ar_gemini_bytes(struct ar_str esc)
{
    size_t i = ar_str_find_char(esc, '\\'), n = i;
    while (i < esc.n) {
        int unit = unit_at(esc, i);
        if (unit >= 0) {
            int low = unit >= 0xd800 && unit < 0xdc00 ? unit_at(esc, i + 6) : -1;
            bool pair = low >= 0xdc00 && low < 0xe000;
            n += pair ? 4 : unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
            i += pair ? 12 : 6;
        } else {
            i += esc.p[i] == '\\' ? 2 : 1;
            n++;
        }
    }
    return (int64_t)n;
}

/* --- writing --- */

void ar_gemini_cites_init(struct ar_gemini_cites *c, size_t max_bytes)
{
    *c = (struct ar_gemini_cites){.n = 0};
    ar_buf_init(&c->chunks, max_bytes);
    ar_buf_init(&c->supports, max_bytes);
    ar_buf_init(&c->queries, max_bytes);
}

void ar_gemini_cites_done(struct ar_gemini_cites *c)
{
    ar_buf_done(&c->chunks);
    ar_buf_done(&c->supports);
    ar_buf_done(&c->queries);
}

/* A writer that goes on in a list of values. */
static struct ar_jw go_on(struct ar_buf *list)
{
    struct ar_jw w = ar_jw_on(list);
    w.comma = list->n > 0;
    return w;
}

static void put_chunk(struct ar_gemini_cites *c, struct ar_str url, struct ar_str title)
{
    struct ar_jw w = go_on(&c->chunks);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "web");
    ar_jw_open(&w, '{');
    ar_jw_key_esc(&w, "uri", url);
    if (title.n > 0) {
        ar_jw_key_esc(&w, "title", title);
    }
    ar_jw_close(&w, '}');
    ar_jw_close(&w, '}');
}

static void put_support(struct ar_gemini_cites *c, int64_t from, int64_t to)
{
    struct ar_jw w = go_on(&c->supports);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "segment");
    ar_jw_open(&w, '{');
    if (from > 0) {
        ar_jw_key_i64(&w, "startIndex", from);
    }
    ar_jw_key_i64(&w, "endIndex", to);
    ar_jw_close(&w, '}');
    ar_jw_key(&w, "groundingChunkIndices");
    ar_jw_open(&w, '[');
    ar_jw_i64(&w, c->n);
    ar_jw_close(&w, ']');
    ar_jw_close(&w, '}');
}

void ar_gemini_add_citation(struct ar_gemini_cites *c, struct ar_str raw, struct ar_str text,
                            int64_t from)
{
    struct ar_arena scratch;
    struct ar_cite cite;
    ar_arena_init(&scratch, 64 * raw.n + 4096);
    if (ar_cite_read(raw, &scratch, &cite)) {
        bool part = cite.from >= 0 && cite.to > cite.from &&
                    ar_esc_at_char(text, cite.to - 1) < text.n; /* else all of it */
        size_t begin = part ? ar_esc_at_char(text, cite.from) : 0;
        size_t end = part ? ar_esc_at_char(text, cite.to) : text.n;
        put_chunk(c, cite.url, cite.title);
        put_support(c, from + ar_gemini_bytes(ar_str_head(text, begin)),
                    from + ar_gemini_bytes(ar_str_head(text, end)));
        c->n++;
    }
    ar_arena_done(&scratch);
}

void ar_gemini_add_search(struct ar_gemini_cites *c, struct ar_str input)
{
    struct ar_arena scratch;
    struct ar_jdoc doc;
    ar_arena_init(&scratch, 64 * input.n + 4096);
    if (ar_json_parse(input, 3, &scratch, &doc, NULL) == AR_OK) {
        struct ar_str query = ar_json_esc(ar_json_get_lit(ar_json_root(&doc), "query"));
        struct ar_jw w = go_on(&c->queries);
        if (query.n > 0) {
            ar_jw_esc(&w, query);
        }
    }
    ar_arena_done(&scratch);
}

void ar_gemini_put_grounding(struct ar_jw *w, const struct ar_gemini_cites *c)
{
    if (c->n == 0 && c->queries.n == 0) {
        return;
    }
    ar_jw_key(w, "groundingMetadata");
    ar_jw_open(w, '{');
    if (c->queries.n > 0) {
        ar_jw_key(w, "webSearchQueries");
        ar_jw_open(w, '[');
        ar_jw_raw(w, ar_buf_view(&c->queries));
        ar_jw_close(w, ']');
    }
    if (c->n > 0) {
        ar_jw_key(w, "groundingChunks");
        ar_jw_open(w, '[');
        ar_jw_raw(w, ar_buf_view(&c->chunks));
        ar_jw_close(w, ']');
        ar_jw_key(w, "groundingSupports");
        ar_jw_open(w, '[');
        ar_jw_raw(w, ar_buf_view(&c->supports));
        ar_jw_close(w, ']');
    }
    ar_jw_close(w, '}');
}
