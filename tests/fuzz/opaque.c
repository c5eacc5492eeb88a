/*
 * Any text as an envelope of thinking material: never a crash, and what an envelope holds can be
 * wrapped again and read the same.
 */
#include "ir/opaque.h"

#include <stdlib.h>

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ar_arena a;
    struct ar_buf out;
    struct ar_opaque o, again;
    ar_arena_init(&a, 64 << 20);
    ar_buf_init(&out, 64 << 20);
    struct ar_str text = ar_arena_fmt(&a, "ar1.");
    bool prefixed = size > 0 && data[0] & 1; /* half of the inputs begin as an envelope does */
    ar_buf_str(&out, prefixed ? text : ar_str_n("", 0));
    ar_buf_put(&out, data, size);
    text = ar_arena_copy(&a, ar_buf_view(&out));
    ar_buf_clear(&out);
    bool is = ar_opaque_unwrap(text, &a, &o);
    check(is == ar_str_has_prefix(text, AR_LIT("ar1.")));
    if (is) {
        ar_opaque_wrap(&o, &out);
        for (size_t i = 0; i < out.n; i++) {
            check(out.p[i] > ' ' && out.p[i] < 0x7f && out.p[i] != '"' && out.p[i] != '\\');
        }
        check(ar_opaque_unwrap(ar_buf_view(&out), &a, &again));
        check(again.vendor == o.vendor && again.form == o.form && ar_str_is(again.data, o.data));
        check(again.family.n == o.family.n && again.account.n == o.account.n);
    }
    ar_buf_done(&out);
    ar_arena_done(&a);
    return 0;
}
