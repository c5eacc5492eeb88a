/*
 * The envelope of foreign thinking material. Its parts are separated by dots; only the family may
 * hold dots itself, so a reader cuts vendor and form from the left, data and account from the
 * right. Vendors' own material is base64, which has no dots, so nothing of theirs looks like an
 * envelope. Owns nothing.
 */
#include "ir/opaque.h"

#include "base/id.h"

static const char *const VENDORS[] = {"other", "openai", "anthropic", "google"};
static const char *const FORMS[] = {"signature", "encrypted", "redacted", "thought_sig"};
enum {
    VENDOR_COUNT = sizeof VENDORS / sizeof VENDORS[0],
    FORM_COUNT = sizeof FORMS / sizeof FORMS[0]
};

/* s with every byte that JSON or the envelope could trip over as '_'. */
static void put_safe(struct ar_buf *out, struct ar_str s, bool dots)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == ':' || c == '/' || c == '@' || (c == '.' && dots);
        ar_buf_char(out, plain ? c : '_');
    }
}

void ar_opaque_wrap(const struct ar_opaque *o, struct ar_buf *out)
{
    ar_buf_lit(out, "ar1.");
    ar_buf_str(out, ar_str_of(VENDORS[o->vendor]));
    ar_buf_char(out, '.');
    ar_buf_str(out, ar_str_of(FORMS[o->form]));
    ar_buf_char(out, '.');
    put_safe(out, o->family, true);
    ar_buf_char(out, '.');
    put_safe(out, o->account, false);
    ar_buf_char(out, '.');
    ar_b64url_put(out, o->data);
}

static int index_of(struct ar_str s, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        if (ar_str_is(s, ar_str_of(names[i]))) {
            return i;
        }
    }
    return -1;
}

/* Cuts the piece after the last dot off *s. */
static bool cut_last(struct ar_str *s, struct ar_str *ret)
{
    for (size_t i = s->n; i > 0; i--) {
        if (s->p[i - 1] == '.') {
            *ret = ar_str_from(*s, i);
            s->n = i - 1;
            return true;
        }
    }
    return false;
}

static bool read_data(struct ar_str text, struct ar_arena *a, struct ar_str *ret)
{
    char *p = ar_arena_alloc(a, text.n + 1);
    struct ar_buf b = {.p = p, .cap = text.n + 1, .max = text.n + 1};
    if (!p || ar_b64_decode(text, &b) != AR_OK) {
        return false;
    }
    *ret = ar_str_n(p, b.n);
    return true;
}

bool ar_opaque_unwrap(struct ar_str text, struct ar_arena *a, struct ar_opaque *ret)
{
    if (!ar_str_has_prefix(text, AR_LIT("ar1."))) {
        return false;
    }
    struct ar_str rest = ar_str_from(text, 4), vendor, form, data, account;
    *ret = (struct ar_opaque){.vendor = AR_VENDOR_OTHER, .data = {"", 0}};
    if (!ar_str_split(&rest, '.', &vendor) || !ar_str_split(&rest, '.', &form) ||
        !cut_last(&rest, &data) || !cut_last(&rest, &account)) {
        return true;
    }
    int v = index_of(vendor, VENDORS, VENDOR_COUNT), f = index_of(form, FORMS, FORM_COUNT);
    struct ar_str bytes;
    if (v < 0 || f < 0 || !read_data(data, a, &bytes)) {
        return true;
    }
    *ret = (struct ar_opaque){.vendor = (enum ar_vendor)v,
                              .form = (enum ar_sig_form)f,
                              .family = rest,
                              .account = account,
                              .data = bytes};
    return true;
}

bool ar_opaque_fits(const struct ar_opaque *o, enum ar_vendor vendor, struct ar_str account,
                    bool account_bound)
{
    if (o->vendor != vendor || o->data.n == 0) {
        return false;
    }
    return !account_bound || o->account.n == 0 || ar_str_is(o->account, account);
}
