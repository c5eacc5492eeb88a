/* A client's request in the Chat dialect: outline, decode, seal, encode for every dialect. The
 * first byte chooses quirks and capabilities. What was encoded must be JSON again, and what is
 * decoded must have an outline. */
#include "dialect/dialect.h"
#include "json/scan.h"

#include <stdlib.h>

static void encode(const struct ar_request *r, unsigned d, uint64_t bits, struct ar_arena *a)
{
    struct ar_target t = {.model = AR_LIT("m"),
                          .vendor = ar_dialect_by_id(d)->vendor,
                          .quirks = bits,
                          .caps = bits * UINT64_C(0x9E3779B1),
                          .max_out_tokens = 64000,
                          .default_max_tokens = 1000,
                          .stream = (bits & 1) != 0};
    struct ar_losses l = {0};
    struct ar_buf body;
    struct ar_encoded out = {.body = &body};
    struct ar_jdoc doc;
    ar_buf_init(&body, 1 << 24);
    if (ar_dialect_by_id(d)->encode_request(r, AR_OP_GENERATE, &t, a, &l, &out) == AR_OK &&
        ar_json_parse(ar_buf_view(&body), AR_JSON_DEPTH, a, &doc, NULL) != AR_OK &&
        !a->overflowed) {
        abort();
    }
    ar_buf_done(&body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ar_arena a;
    struct ar_err err;
    struct ar_outline o;
    struct ar_request *r;
    struct ar_losses l = {0};
    if (n < 2) {
        return 0;
    }
    uint64_t bits = (uint64_t)data[0] * UINT64_C(0x0101010101);
    struct ar_str body = ar_str_n((const char *)data + 1, n - 1);
    struct ar_wire_in in = {0};
    ar_arena_init(&a, 1 << 25);
    enum ar_code seen = ar_dialect_chat.outline(body, &a, &o, &err);
    if (ar_dialect_chat.decode_request(body, &in, AR_OP_GENERATE, &a, &r, &err) == AR_OK &&
        ar_request_seal(r, &a, &l, &err) == AR_OK) {
        if (seen == AR_OK && !ar_str_is(o.model, r->model)) {
            abort();
        }
        for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
            if (ar_dialect_by_id(d)->encode_request) {
                encode(r, d, bits, &a);
            }
        }
    }
    ar_arena_done(&a);
    return 0;
}
