/* Thought signatures. On the wire they are bytes, so base64; Google's own are kept and sent as the
 * text they came as. Other vendors' material goes to a client as the base64 of our envelope
 * (PROTOCOLS 5.6), because SDKs decode the field, and is recognised by how it begins when it comes
 * back. Owns nothing: what is unwrapped lives in the arena. */
#include "dialect/gemini/gemini.h"

#include "base/id.h"
#include "ir/opaque.h"

/* The envelope inside text, when there is one: base64 of it, or itself (a client that decoded the
 * field and did not encode it again). */
static bool unwrap(struct ar_str text, struct ar_arena *a, struct ar_opaque *ret)
{
    if (!ar_str_has_prefix(text, AR_LIT("YXIxL"))) {
        return ar_opaque_unwrap(text, a, ret);
    }
    char *p = ar_arena_alloc(a, text.n + 1);
    struct ar_buf b = {.p = p, .cap = text.n + 1, .max = text.n + 1};
    return p && ar_b64_decode(text, &b) == AR_OK && ar_opaque_unwrap(ar_buf_view(&b), a, ret);
}

struct ar_opaque *ar_gemini_read_sig(struct ar_str text, struct ar_str account, struct ar_arena *a)
{
    struct ar_opaque *o = text.n > 0 ? ar_arena_new(a, struct ar_opaque) : NULL;
    if (o && !unwrap(text, a, o)) {
        *o = (struct ar_opaque){.vendor = AR_VENDOR_GOOGLE,
                                .form = AR_THOUGHT_SIG,
                                .family = AR_LIT(""),
                                .account = account.p ? account : AR_LIT(""),
                                .data = text};
    }
    return o;
}

void ar_gemini_put_sig(struct ar_jw *w, const struct ar_opaque *sig)
{
    if (sig->vendor == AR_VENDOR_GOOGLE && sig->form == AR_THOUGHT_SIG) {
        ar_jw_text(w, sig->data);
        return;
    }
    struct ar_buf envelope;
    ar_buf_init(&envelope, (sig->data.n + sig->family.n + sig->account.n) * 2 + 256);
    ar_opaque_wrap(sig, &envelope);
    ar_jw_raw(w, AR_LIT("\""));
    ar_b64_put(w->out, ar_buf_view(&envelope));
    ar_buf_char(w->out, '"');
    ar_buf_done(&envelope);
}
