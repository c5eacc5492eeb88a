/* A Responses body: what is read has an outline that says the same, and is written the same twice
 * and readable in every dialect (P-013); the answer that repeats the request's settings is JSON. */
#include "json/scan.h"
#include "shared/request.h"

enum { MEMORY = 64 << 20 };

/* An answer to the request, as a client gets it. */
static void answer(const struct ar_request *r)
{
    struct ar_arena a;
    struct ar_buf out;
    struct ar_jdoc doc;
    struct ar_losses l = {0};
    struct ar_block call = {.kind = AR_TOOL_USE, .id = AR_LIT("c"), .text = AR_LIT("{\"a\":1}")};
    struct ar_block said = {.kind = AR_TEXT, .text = AR_LIT("Hi"), .next = &call};
    struct ar_response whole = {.blocks = &said, .has_stop = true};
    struct ar_write_how how = {.request = r, .model = AR_LIT("m")};
    call.name = r->tools ? r->tools->name : AR_LIT("f");
    ar_usage_clear(&whole.usage);
    ar_arena_init(&a, MEMORY);
    ar_buf_init(&out, MEMORY);
    if (ar_dialect_responses.encode_response(&whole, &how, &l, &out) == AR_OK) {
        enum ar_code code = ar_json_parse(ar_buf_view(&out), AR_JSON_DEPTH, &a, &doc, NULL);
        AR_ASSERT(code == AR_OK || code == AR_TOO_LARGE);
    }
    ar_buf_done(&out);
    ar_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input in;
    struct fuzz_read x;
    if (!fuzz_input_of(data, size, &in)) {
        return 0;
    }
    fuzz_read(&x, &ar_dialect_responses, &in);
    if (x.request && x.outlined == AR_OK) {
        AR_ASSERT(ar_str_is(x.outline.model, x.request->model));
        AR_ASSERT(x.outline.stream == x.request->stream);
        fuzz_write_all(x.request, &in);
        answer(x.request);
    }
    fuzz_read_done(&x);
    return 0;
}
