/* The common part of the targets of request bodies: see the header. It knows no dialect by name, so
 * a further dialect is written to without an edit. Nothing is kept between two inputs. */
#include "request.h"

#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

enum { HEAD = 9, MEMORY = 64 << 20 };

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
    t.max_out_tokens = p[7] & 8 ? 64000 : 0;
    return t;
}

bool fuzz_input_of(const uint8_t *data, size_t size, struct fuzz_input *ret)
{
    uint8_t head[HEAD];
    if (size < HEAD) {
        return false;
    }
    struct ar_str body = ar_str_n((const char *)data, size);
    if (data[0] == '{') {
        uint64_t hash = ar_hash64(body, 1);
        memcpy(head, &hash, sizeof hash);
        head[HEAD - 1] = (uint8_t)ar_hash64(body, 2);
    } else {
        memcpy(head, data, HEAD);
        body = ar_str_from(body, HEAD);
    }
    uint8_t policy = head[HEAD - 1];
    *ret = (struct fuzz_input){.body = body,
                               .target = target_of(head),
                               .strict = policy & 1,
                               .op = policy & 2 ? AR_OP_COUNT : AR_OP_GENERATE};
    if (policy & 4) {
        ret->version = AR_LIT("2026-10-21");
    }
    return true;
}

void fuzz_read(struct fuzz_read *x, const struct ar_dialect *d, const struct fuzz_input *in)
{
    struct ar_err err = {0};
    struct ar_losses l = {.strict = false};
    struct ar_wire_in wire = {.version = in->version};
    *x = (struct fuzz_read){0};
    ar_arena_init(&x->a, MEMORY);
    x->outlined = d->outline(in->body, &x->a, &x->outline, &err);
    if (d->decode_request(in->body, &wire, in->op, &x->a, &x->request, &err) != AR_OK ||
        ar_request_seal(x->request, &x->a, &l, &err) != AR_OK) {
        x->request = NULL;
    }
}

void fuzz_read_done(struct fuzz_read *x)
{
    ar_arena_done(&x->a);
}

static enum ar_code encode(const struct ar_dialect *d, const struct ar_request *r,
                           const struct fuzz_input *in, struct ar_buf *out)
{
    struct ar_arena a;
    struct ar_losses l = {.strict = in->strict};
    struct ar_encoded e = {.body = out};
    ar_arena_init(&a, MEMORY);
    enum ar_code code = d->encode_request(r, in->op, &in->target, &a, &l, &e);
    AR_ASSERT(code == AR_OK || code == AR_LOSSY || code == AR_TOO_LARGE);
    AR_ASSERT(code != AR_LOSSY || l.refused);
    ar_arena_done(&a);
    return code;
}

static void read_again(const struct ar_dialect *d, enum ar_op op, struct ar_str body)
{
    struct ar_arena a;
    struct ar_request *r = NULL;
    struct ar_err err = {0};
    ar_arena_init(&a, MEMORY);
    enum ar_code code = d->decode_request(body, NULL, op, &a, &r, &err);
    if (code != AR_OK && code != AR_TOO_LARGE) {
        (void)fprintf(stderr, "%s: %s: %.*s\n", d->name, err.note, AR_FMT(body));
        abort();
    }
    ar_arena_done(&a);
}

static void write_in(const struct ar_dialect *d, const struct ar_request *r,
                     const struct fuzz_input *in)
{
    struct ar_buf one, two;
    ar_buf_init(&one, MEMORY);
    ar_buf_init(&two, MEMORY);
    enum ar_code first = encode(d, r, in, &one);
    AR_ASSERT(encode(d, r, in, &two) == first);
    AR_ASSERT(ar_str_is(ar_buf_view(&one), ar_buf_view(&two)));
    if (first == AR_OK) {
        read_again(d, in->op, ar_buf_view(&one));
    }
    ar_buf_done(&one);
    ar_buf_done(&two);
}

void fuzz_write_all(const struct ar_request *r, const struct fuzz_input *in)
{
    for (unsigned id = 0; id < AR_DIALECT_COUNT; id++) {
        const struct ar_dialect *d = ar_dialect_by_id(id);
        if (d->encode_request) {
            write_in(d, r, in);
        }
    }
}
