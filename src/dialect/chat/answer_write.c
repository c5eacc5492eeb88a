/* Parts of an answer that its whole and its streamed form share: the id, reasoning_details with
 * their envelopes, and citations. */
#include "dialect/chat/answer_write.h"

#include "base/id.h"
#include "ir/opaque.h"

void ar_chat_put_id(const struct ar_write_how *how, struct ar_str id, struct ar_jw *w)
{
    char minted[48] = "chatcmpl-";
    if (ar_str_has_prefix(id, AR_LIT("chatcmpl-"))) {
        ar_jw_text(w, id);
        return;
    }
    ar_id_base62(how->stamp.seed, "chatcmpl", 0, 29, minted + 9);
    ar_jw_text(w, ar_str_of(minted));
}

void ar_chat_put_detail(struct ar_jw *w, struct ar_str text, const struct ar_opaque *o,
                        unsigned index)
{
    struct ar_buf envelope;
    ar_buf_init(&envelope, (o->data.n + o->family.n) * 2 + 256);
    ar_opaque_wrap(o, &envelope);
    ar_jw_open(w, '{');
    if (text.p) {
        ar_jw_key_lit(w, "type", "reasoning.text");
        ar_jw_key_esc(w, "text", text);
        ar_jw_key_esc(w, "signature", ar_buf_view(&envelope));
    } else {
        ar_jw_key_lit(w, "type", "reasoning.encrypted");
        ar_jw_key_esc(w, "data", ar_buf_view(&envelope));
    }
    ar_jw_key_lit(w, "format", "anyrouter-v1");
    ar_jw_key_i64(w, "index", index);
    ar_jw_close(w, '}');
    ar_buf_done(&envelope);
}

bool ar_chat_put_citation(struct ar_jw *w, struct ar_str raw, struct ar_arena *a, int64_t from,
                          int64_t to)
{
    struct ar_cite c;
    if (!ar_cite_read(raw, a, &c)) {
        return false;
    }
    ar_cite_place(&c, from, to);
    ar_jw_open(w, '{');
    ar_jw_key_lit(w, "type", "url_citation");
    ar_jw_key(w, "url_citation");
    ar_jw_open(w, '{');
    ar_jw_key_i64(w, "start_index", c.from);
    ar_jw_key_i64(w, "end_index", c.to);
    ar_jw_key_esc(w, "title", c.title.p ? c.title : AR_LIT(""));
    ar_jw_key_esc(w, "url", c.url);
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
    return true;
}

int64_t ar_chat_chars(struct ar_str esc)
{
    int64_t n = 0;
    for (size_t i = 0; i < esc.n; i++) {
        unsigned char c = (unsigned char)esc.p[i];
        if (c == '\\' && i + 1 < esc.n) {
            bool low = false;
            i++;
            if (esc.p[i] == 'u' &&
                i + 4 < esc.n) { /* the second half of a pair is no character of its own */
                char h = esc.p[i + 1], k = esc.p[i + 2];
                low = (h == 'd' || h == 'D') && (k == 'c' || k == 'd' || k == 'e' || k == 'f' ||
                                                 k == 'C' || k == 'D' || k == 'E' || k == 'F');
                i += 4;
            }
            n += !low;
        } else {
            n += (c & 0xC0) != 0x80;
        }
    }
    return n;
}
