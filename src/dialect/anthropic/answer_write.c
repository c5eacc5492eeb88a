/* Parts of an answer that its whole and its streamed form share (PROTOCOLS 3.8, 7): its id,
 * signatures, citations. A thinking block shown to a client is always signed: clients treat an
 * empty signature as a broken block (5.6). Owns nothing. */
#include "dialect/anthropic/answer_write.h"

#include "base/id.h"
#include "ir/opaque.h"

bool ar_anthropic_is_withheld(const struct ar_request *r)
{
    return r && r->set.show == AR_SHOW_OMITTED;
}

struct ar_str ar_anthropic_message_id(struct ar_str id, const struct ar_stamp *stamp, char *ret)
{
    if (id.n > 4 && ar_str_has_prefix(id, AR_LIT("msg_"))) {
        return id;
    }
    memcpy(ret, "msg_", 4);
    ar_id_base62(stamp->seed, "message", 0, 24, ret + 4);
    return ar_str_n(ret, 28);
}

void ar_anthropic_put_sig(struct ar_jw *w, const struct ar_opaque *sig)
{
    static const struct ar_opaque none = {.vendor = AR_VENDOR_OTHER,
                                          .form = AR_SIGNATURE,
                                          .family = {"", 0},
                                          .account = {"", 0},
                                          .data = {"", 0}};
    if (sig && sig->vendor == AR_VENDOR_ANTHROPIC && sig->data.n > 0) {
        ar_jw_text(w, sig->data);
        return;
    }
    ar_jw_raw(w, AR_LIT("\""));
    ar_opaque_wrap(sig ? sig : &none, w->out);
    ar_buf_char(w->out, '"');
}

bool ar_anthropic_put_citation(struct ar_jw *w, struct ar_str raw)
{
    struct ar_arena scratch;
    struct ar_jdoc doc;
    bool put = false;
    ar_arena_init(&scratch, 64 * raw.n + 4096);
    if (ar_json_parse(raw, AR_JSON_DEPTH, &scratch, &doc, NULL) == AR_OK) {
        struct ar_jval v = ar_json_root(&doc), url = ar_json_get_lit(v, "url_citation");
        struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type"));
        if (ar_json_get_lit(v, "start_index").doc) { /* where it stands is told by the block */
            ar_jw_open(w, '{');
            for (struct ar_jiter it = ar_json_iter(v); ar_json_next(&it);) {
                if (!ar_str_is_lit(it.key, "start_index") && !ar_str_is_lit(it.key, "end_index")) {
                    ar_jw_key_dec(w, it.key);
                    ar_jw_raw(w, ar_json_raw(it.val));
                }
            }
            ar_jw_close(w, '}');
            put = true;
        } else if (ar_str_has_suffix(type, AR_LIT("_location"))) {
            ar_jw_raw(w, raw);
            put = true;
        } else if (ar_json_is(ar_json_get_lit(url, "url"), AR_J_STRING)) {
            struct ar_str title = ar_json_esc(ar_json_get_lit(url, "title"));
            ar_jw_open(w, '{');
            ar_jw_key_lit(w, "type", "web_search_result_location");
            ar_jw_key_lit(w, "cited_text", "");
            ar_jw_key_esc(w, "url", ar_json_esc(ar_json_get_lit(url, "url")));
            ar_jw_key_esc(w, "title", title.p ? title : AR_LIT(""));
            ar_jw_key(w, "encrypted_index");
            ar_anthropic_put_sig(w, NULL);
            ar_jw_close(w, '}');
            put = true;
        }
    }
    ar_arena_done(&scratch);
    return put;
}
