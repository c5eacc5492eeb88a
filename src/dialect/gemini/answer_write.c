/* Parts of an answer that its whole and its streamed form share (PROTOCOLS 4.6, 7): parts, which
 * part carries which signature, names. Owns nothing. */
#include "dialect/gemini/answer_write.h"

#include "base/id.h"

/* --- signatures --- */

const struct ar_opaque *ar_gemini_note_sig(struct ar_gemini_sigs *s, const struct ar_opaque *sig,
                                           bool shown)
{
    const struct ar_opaque *old = NULL;
    if (!sig || sig->data.n == 0) {
        return NULL;
    }
    if (!shown) {
        old = s->next;
        s->next = sig;
    }
    s->call = sig;
    return old;
}

const struct ar_opaque *ar_gemini_take_sig(struct ar_gemini_sigs *s, const struct ar_opaque *own,
                                           bool is_call)
{
    const struct ar_opaque *sig = own && own->data.n > 0 ? own : is_call ? s->call : s->next;
    if (is_call || s->next) {
        *s = (struct ar_gemini_sigs){NULL, NULL};
    }
    return sig;
}

bool ar_gemini_shows_thinking(const struct ar_request *r)
{
    return !r || r->set.show == AR_SHOW_SUMMARY;
}

/* --- parts --- */

static void put_sig(struct ar_jw *w, const struct ar_opaque *sig)
{
    if (sig) {
        ar_jw_key(w, "thoughtSignature");
        ar_gemini_put_sig(w, sig);
    }
}

void ar_gemini_put_text_part(struct ar_jw *w, struct ar_str text, bool thought,
                             const struct ar_opaque *sig)
{
    ar_jw_open(w, '{');
    ar_jw_key_esc(w, "text", text);
    if (thought) {
        ar_jw_key_bool(w, "thought", true);
    }
    put_sig(w, sig);
    ar_jw_close(w, '}');
}

bool ar_gemini_put_call_part(struct ar_jw *w, const struct ar_block *b, const struct ar_opaque *sig,
                             const struct ar_stamp *stamp, unsigned nth, struct ar_arena *a)
{
    bool broken = false;
    char minted[32] = "call_";
    ar_jw_open(w, '{');
    ar_jw_key(w, "functionCall");
    ar_jw_open(w, '{');
    if (b->id.n == 0) {
        ar_id_base62(stamp->seed, "call", nth, 22, minted + 5);
    }
    ar_jw_key_text(w, "id", b->id.n > 0 ? b->id : ar_str_of(minted));
    ar_jw_key_text(w, "name", b->name);
    ar_jw_key(w, "args");
    if (b->freeform) {
        ar_jw_open(w, '{');
        ar_jw_key_text(w, "input", b->text);
        ar_jw_close(w, '}');
    } else {
        ar_jw_raw(w, ar_args_object(b->text, a, &broken));
    }
    ar_jw_close(w, '}');
    put_sig(w, sig);
    ar_jw_close(w, '}');
    return !broken;
}

bool ar_gemini_put_other_part(struct ar_jw *w, const struct ar_block *b)
{
    if (b->vendor == AR_VENDOR_GOOGLE && b->raw.n > 0) {
        ar_jw_raw(w, b->raw);
        return true;
    }
    if (!b->media || b->media->from != AR_FROM_B64 || b->media->mime.n == 0) {
        return false;
    }
    ar_jw_open(w, '{');
    ar_jw_key(w, "inlineData");
    ar_jw_open(w, '{');
    ar_jw_key_text(w, "mimeType", b->media->mime);
    ar_jw_key_esc(w, "data", b->media->data);
    ar_jw_close(w, '}');
    ar_jw_close(w, '}');
    return true;
}

bool ar_gemini_is_wrapped(const struct ar_request *r)
{
    return r && (r->set.enum_text || r->set.json_value);
}

struct ar_str ar_gemini_unwrap(struct ar_str text, const struct ar_request *r, struct ar_arena *a)
{
    struct ar_jdoc doc;
    struct ar_str plain = ar_json_unescape_in(text, a);
    if (!plain.p || ar_json_parse(plain, 2, a, &doc, NULL) != AR_OK) {
        return text;
    }
    struct ar_jval v = ar_json_get_lit(ar_json_root(&doc), "value");
    if (r->set.json_value && v.doc) {
        return ar_json_escape_in(ar_json_raw(v), a);
    }
    return r->set.enum_text && ar_json_is(v, AR_J_STRING) ? ar_json_esc(v) : text;
}

/* --- names --- */

void ar_gemini_put_names(struct ar_jw *w, const struct ar_write_how *how)
{
    char id[32];
    ar_id_base62(how->stamp.seed, "response", 0, 22, id);
    ar_jw_key_text(w, "modelVersion", how->model);
    ar_jw_key_text(w, "responseId", ar_str_n(id, 22));
}
