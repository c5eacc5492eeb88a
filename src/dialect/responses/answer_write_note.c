/* Where an answer has what it says from (PROTOCOLS 7.1): the pages of another vendor's search as
 * sources of its item, and citations as annotations, which count the characters of the joined text
 * and not those of the block that brought them. Owns nothing. */
#include "dialect/chat/answer_write.h"
#include "dialect/responses/answer_write.h"

struct ar_str ar_responses_sources(struct ar_writer *w, struct ar_str raw)
{
    struct ar_jdoc doc;
    if (raw.n == 0 || ar_json_parse(raw, AR_JSON_DEPTH, &w->a, &doc, NULL) != AR_OK) {
        return (struct ar_str){0};
    }
    ar_buf_clear(&w->scratch);
    struct ar_jw j = ar_jw_on(&w->scratch);
    ar_jw_open(&j, '[');
    struct ar_jiter it = ar_json_iter(ar_json_get_lit(ar_json_root(&doc), "content"));
    while (ar_json_next(&it)) {
        struct ar_jval url = ar_json_get_lit(it.val, "url");
        if (ar_json_is(url, AR_J_STRING)) {
            ar_jw_open(&j, '{');
            ar_jw_key_lit(&j, "type", "url");
            ar_jw_key_raw(&j, "url", ar_json_raw(url));
            ar_jw_close(&j, '}');
        }
    }
    ar_jw_close(&j, ']');
    return ar_buf_view(&w->scratch);
}

/* One citation as an annotation of the characters that the block has in its part. */
static void put_note(struct ar_writer *w, const struct ar_responses_live *v, struct ar_str raw,
                     struct ar_framer *out)
{
    struct ar_cite c;
    struct ar_str text = ar_buf_view(&v->item->text);
    if (!ar_cite_read(raw, &w->a, &c)) {
        return; /* pages of a document have no place in an annotation */
    }
    ar_cite_place(&c, ar_chat_chars(ar_str_head(text, v->from)), ar_chat_chars(text));
    ar_buf_clear(&w->scratch);
    struct ar_jw j = ar_jw_on(&w->scratch);
    ar_jw_open(&j, '{');
    ar_jw_key_lit(&j, "type", "url_citation");
    ar_jw_key_i64(&j, "start_index", c.from);
    ar_jw_key_i64(&j, "end_index", c.to);
    ar_jw_key_esc(&j, "title", c.title.p ? c.title : AR_LIT(""));
    ar_jw_key_esc(&j, "url", c.url);
    ar_jw_close(&j, '}');
    ar_responses_put_note(w, v->item, ar_buf_view(&w->scratch), out);
}

void ar_responses_put_notes(struct ar_writer *w, const struct ar_responses_live *v,
                            const struct ar_block *end, struct ar_framer *out)
{
    struct ar_jdoc doc;
    if (!v->item || v->item->part != AR_RW_TEXT) {
        return;
    }
    for (const struct ar_name *c = v->cites; c; c = c->next) {
        put_note(w, v, c->s, out);
    }
    if (end && end->citations.n > 0 &&
        ar_json_parse(end->citations, AR_JSON_DEPTH, &w->a, &doc, NULL) == AR_OK) {
        for (struct ar_jiter it = ar_json_iter(ar_json_root(&doc)); ar_json_next(&it);) {
            put_note(w, v, ar_json_raw(it.val), out);
        }
    }
}
