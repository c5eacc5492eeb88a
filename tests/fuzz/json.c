/*
 * Any bytes into the JSON scanner. What it accepts is walked; spans stay inside the text and nest;
 * text unescaped and escaped again reads back as the same; the shallow pass and the reusable tape
 * agree with the deep one; and every accepted text is accepted inside another.
 */
#include "json/scan.h"

#include <stdlib.h>

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void check_text(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str text, again;
    struct ar_buf esc;
    check(ar_json_text(v, a, &text, NULL) == AR_OK);
    ar_buf_init(&esc, 64 << 20);
    ar_json_escape(text, &esc);
    again = ar_json_unescape_in(ar_buf_view(&esc), a);
    check(ar_str_is(again, text));
    ar_buf_done(&esc);
}

static void walk(struct ar_jval v, struct ar_arena *a)
{
    struct ar_str raw = ar_json_raw(v);
    struct ar_jiter it = ar_json_iter(v);
    const char *at = raw.p;
    uint32_t n = 0;
    double d;
    int64_t i;
    check(raw.n > 0 && raw.p >= v.doc->src.p && raw.p + raw.n <= v.doc->src.p + v.doc->src.n);
    while (ar_json_next(&it)) {
        struct ar_str in = ar_json_raw(it.val);
        check(in.p > at && in.p + in.n < raw.p + raw.n);
        at = in.p + in.n - 1;
        if (n++ < 64) { /* look-ups and paths are quadratic */
            char path[64];
            ar_json_path(it.val, path, sizeof path);
            check(!ar_json_is(v, AR_J_OBJECT) || ar_json_get(v, it.key).doc || it.key.n > 64);
        }
        walk(it.val, a);
    }
    check(n == ar_json_count(v));
    if (ar_json_is(v, AR_J_STRING)) {
        check_text(v, a);
    }
    (void)ar_json_double(v, &d, NULL);
    (void)ar_json_i64(v, &i, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ar_arena a;
    struct ar_jdoc deep, shallow, taped;
    struct ar_err err;
    struct ar_jtape tape = {NULL, 0};
    struct ar_str src = {(const char *)data, size};
    ar_arena_init(&a, 64 << 20);
    enum ar_code code = ar_json_parse(src, AR_JSON_DEPTH, &a, &deep, &err);
    check(ar_json_parse(src, 1, &a, &shallow, NULL) == code);
    check(ar_jtape_parse(&tape, src, &taped, NULL) == code);
    if (code == AR_OK) {
        check(taped.count == deep.count);
        walk(ar_json_root(&deep), &a);
        if (deep.depth < AR_JSON_DEPTH) {
            struct ar_buf b;
            ar_buf_init(&b, 64 << 20);
            ar_buf_lit(&b, "{\"k\":");
            ar_buf_str(&b, src);
            ar_buf_lit(&b, "}");
            check(ar_json_parse(ar_buf_view(&b), 1, &a, &shallow, NULL) == AR_OK);
            struct ar_str in = ar_json_raw(ar_json_get_lit(ar_json_root(&shallow), "k"));
            check(ar_str_is(in, ar_json_raw(ar_json_root(&deep))));
            ar_buf_done(&b);
        }
    }
    ar_jtape_done(&tape);
    ar_arena_done(&a);
    return 0;
}
