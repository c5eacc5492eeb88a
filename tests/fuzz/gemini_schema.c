/* A JSON Schema of anybody's as Gemini's subset, and back: what comes out is JSON, of a size that
 * the input's references cannot blow up, and reads as a schema again. */
#include "dialect/gemini/request_read.h"
#include "dialect/gemini/request_write.h"

#include <stdlib.h>

static void must(bool x)
{
    if (!x) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ar_arena a;
    struct ar_jdoc doc;
    bool lossy = false;
    ar_arena_init(&a, 1 << 26);
    struct ar_str in = ar_str_n((const char *)data, n);
    bool is_json = ar_json_parse(in, AR_JSON_DEPTH, &a, &doc, NULL) == AR_OK;
    struct ar_str out = ar_gemini_subset_schema(in, &a, &lossy);
    must(out.n > 0 && ar_json_parse(out, AR_JSON_DEPTH, &a, &doc, NULL) == AR_OK);
    must(ar_json_is(ar_json_root(&doc), AR_J_OBJECT));
    must(is_json || ar_str_is_lit(out, "{\"type\":\"OBJECT\"}"));
    struct ar_str back = ar_gemini_read_schema(&a, ar_json_root(&doc));
    must(!back.p || ar_json_parse(back, AR_JSON_DEPTH, &a, &doc, NULL) == AR_OK);
    ar_arena_done(&a);
    return 0;
}
