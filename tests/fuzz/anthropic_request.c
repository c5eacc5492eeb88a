/* A Messages body: outline, decode, seal, and encode for three dialects, with the capabilities and
 * the policy that the first bytes choose (a bare body: that its hash chooses). Checked besides:
 * what decodes is refused or encoded the same twice, and what comes out for this dialect decodes
 * again (P-013). */
#include "base/hash.h"
#include "dialect/dialect.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEAD = 9 };

static struct ar_target target_of(const uint8_t *p)
{
    struct ar_target t = {
        .model = AR_LIT("m"), .account = AR_LIT("0a1b2c3d"), .default_max_tokens = 4096};
    t.caps = ((uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16) &
             ((UINT64_C(1) << AR_CAP_COUNT) - 1);
    t.quirks =
        ((uint64_t)p[3] | (uint64_t)p[4] << 8 | (uint64_t)p[5] << 16 | (uint64_t)p[6] << 24) &
        ((UINT64_C(1) << AR_QUIRK_COUNT) - 1);
    t.vendor = (enum ar_vendor)(p[7] & 3);
    t.stream = p[7] & 4;
    return t;
}

static enum ar_code encode(const struct ar_dialect *d, const struct ar_request *r,
                           const struct ar_target *t, uint8_t policy, struct ar_buf *out)
{
    struct ar_arena a;
    struct ar_losses l = {.strict = policy & 1};
    struct ar_encoded e = {.body = out};
    ar_arena_init(&a, 64 << 20);
    enum ar_code code =
        d->encode_request(r, policy & 2 ? AR_OP_COUNT : AR_OP_GENERATE, t, &a, &l, &e);
    AR_ASSERT(code == AR_OK || code == AR_LOSSY || code == AR_TOO_LARGE);
    AR_ASSERT(code != AR_LOSSY || l.refused);
    ar_arena_done(&a);
    return code;
}

static void check_again(const struct ar_dialect *d, struct ar_str body)
{
    struct ar_arena a;
    struct ar_request *r = NULL;
    struct ar_err err = {0};
    ar_arena_init(&a, 64 << 20);
    enum ar_code code = d->decode_request(body, NULL, AR_OP_GENERATE, &a, &r, &err);
    if (code != AR_OK && code != AR_TOO_LARGE) {
        (void)fprintf(stderr, "%s: %s: %.*s\n", d->name, err.note, AR_FMT(body));
        abort();
    }
    ar_arena_done(&a);
}

static void encode_for(const struct ar_dialect *d, const struct ar_request *r,
                       const struct ar_target *t, uint8_t policy)
{
    struct ar_buf one, two;
    ar_buf_init(&one, 64 << 20);
    ar_buf_init(&two, 64 << 20);
    enum ar_code first = encode(d, r, t, policy, &one);
    AR_ASSERT(encode(d, r, t, policy, &two) == first);
    AR_ASSERT(ar_str_is(ar_buf_view(&one), ar_buf_view(&two)));
    if (first == AR_OK) {
        check_again(d, ar_buf_view(&one));
    }
    ar_buf_done(&one);
    ar_buf_done(&two);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t head[HEAD] = {0};
    if (size < HEAD) {
        return 0;
    }
    struct ar_str body = ar_str_n((const char *)data, size);
    if (data[0] == '{') {
        uint64_t hash = ar_hash64(body, 1);
        memcpy(head, &hash, sizeof(hash));
    } else {
        memcpy(head, data, HEAD);
        body = ar_str_from(body, HEAD);
    }
    struct ar_target t = target_of(head);
    struct ar_wire_in in = {.version = head[8] & 4 ? AR_LIT("2026-10-21") : (struct ar_str){0}};
    struct ar_arena a;
    struct ar_outline outline;
    struct ar_request *r = NULL;
    struct ar_err err = {0};
    struct ar_losses l = {.strict = false};
    ar_arena_init(&a, 64 << 20);
    enum ar_code seen = ar_dialect_anthropic.outline(body, &a, &outline, &err);
    enum ar_code code =
        ar_dialect_anthropic.decode_request(body, &in, AR_OP_GENERATE, &a, &r, &err);
    if (code == AR_OK && ar_request_seal(r, &a, &l, &err) == AR_OK) {
        AR_ASSERT(seen == AR_OK);
        AR_ASSERT(ar_str_is(outline.model, r->model) && outline.stream == r->stream);
        encode_for(&ar_dialect_anthropic, r, &t, head[8]);
        encode_for(&ar_dialect_chat, r, &t, head[8]);
        encode_for(&ar_dialect_responses, r, &t, head[8]);
    }
    ar_arena_done(&a);
    return 0;
}
