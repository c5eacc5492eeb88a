/* The event-stream reader. Property: frames and their raws do not depend on how the input is split,
 * the raws joined are the input, and the cap holds. First byte: the cap; second: the split. */
#include "http/sse.h"

#include <stdlib.h>

static void put_frame(struct ar_buf *out, const struct ar_frame *f)
{
    ar_buf_i64(out, (int64_t)f->name.n);
    ar_buf_str(out, f->name);
    ar_buf_char(out, '|');
    ar_buf_i64(out, (int64_t)f->data.n);
    ar_buf_str(out, f->data);
    ar_buf_char(out, '|');
    ar_buf_i64(out, (int64_t)f->raw.n);
}

/* Pieces of step bytes, each a block of exactly its size. */
static void run(struct ar_str in, size_t step, size_t frame_max, struct ar_buf *out)
{
    struct ar_sse s;
    struct ar_frame f;
    struct ar_buf raws;
    ar_sse_init(&s, frame_max);
    ar_buf_init(&raws, in.n + 1);
    bool failed = false;
    for (size_t at = 0; at < in.n && !failed;) {
        size_t n = in.n - at < step ? in.n - at : step, used = 0;
        char *copy = malloc(n);
        memcpy(copy, in.p + at, n);
        enum ar_poll poll = ar_sse_next(&s, ar_str_n(copy, n), &used, &f);
        AR_ASSERT(used <= n && (poll != AR_PENDING || used == n));
        if (poll == AR_READY) {
            AR_ASSERT(f.raw.n <= frame_max && f.data.n <= f.raw.n && f.name.n <= f.raw.n);
            put_frame(out, &f);
            ar_buf_str(&raws, f.raw);
        }
        failed = poll == AR_FAILED;
        AR_ASSERT(s.carry.n <= frame_max + 4096);
        free(copy);
        at += used;
    }
    if (failed) {
        ar_buf_lit(out, "FAILED");
    } else {
        if (ar_sse_rest(&s, &f) == AR_READY) {
            ar_buf_lit(out, "REST");
            put_frame(out, &f);
            ar_buf_str(&raws, f.raw);
        }
        AR_ASSERT(ar_str_is(ar_buf_view(&raws), in));
    }
    ar_sse_done(&s);
    ar_buf_done(&raws);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    size_t frame_max = data[0] < 128 ? 65536 : data[0] - 127;
    size_t step = 1 + data[1] % 32;
    struct ar_str in = ar_str_n((const char *)data + 2, size - 2);
    struct ar_buf whole, split;
    ar_buf_init(&whole, 64 << 20);
    ar_buf_init(&split, 64 << 20);
    run(in, in.n ? in.n : 1, frame_max, &whole);
    run(in, step, frame_max, &split);
    AR_ASSERT(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
    ar_buf_done(&whole);
    ar_buf_done(&split);
    return 0;
}
