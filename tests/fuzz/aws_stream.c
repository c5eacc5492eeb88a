/* The event stream of AWS. Property: frames do not depend on how the input is split, names and data
 * lie in what a client would get, half a message is never more than the cap. First byte: whether
 * lengths and checksums are mended first, so that what lies behind them is reached; second: the
 * split. */
#include "provider/aws_stream.h"

#include <stdlib.h>

enum { MAX = 1 << 16 };

static void put_u32(char *at, uint32_t v)
{
    at[0] = (char)(v >> 24);
    at[1] = (char)(v >> 16);
    at[2] = (char)(v >> 8);
    at[3] = (char)v;
}

/* Takes the bytes as messages of at most 255 + 255 bytes: the first two of each are its lengths. */
static void mend(char *p, size_t n)
{
    while (n >= 18) {
        size_t headers = (unsigned char)p[0], payload = (unsigned char)p[1];
        size_t room = n - 16;
        headers = headers < room ? headers : room;
        payload = payload < room - headers ? payload : room - headers;
        size_t total = 16 + headers + payload;
        put_u32(p, (uint32_t)total);
        put_u32(p + 4, (uint32_t)headers);
        put_u32(p + 8, ar_crc32(0, ar_str_n(p, 8)));
        put_u32(p + total - 4, ar_crc32(0, ar_str_n(p, total - 4)));
        p += total;
        n -= total;
    }
}

static void run(struct ar_str in, size_t step, struct ar_buf *out)
{
    struct ar_aws_stream s;
    struct ar_frame f;
    bool failed = false;
    ar_aws_stream_init(&s, MAX);
    for (size_t at = 0; at < in.n && !failed;) {
        size_t n = in.n - at < step ? in.n - at : step, used = 0;
        char *copy = malloc(n);
        memcpy(copy, in.p + at, n);
        enum ar_poll poll = ar_aws_stream_next(&s, ar_str_n(copy, n), &used, &f);
        free(copy);
        AR_ASSERT(used <= n && (poll != AR_PENDING || used == n));
        AR_ASSERT(s.carry.n <= MAX);
        if (poll == AR_READY) {
            AR_ASSERT(ar_str_has(f.raw, f.name) && ar_str_has(f.raw, f.data));
            AR_ASSERT(ar_str_has_suffix(f.raw, AR_LIT("\n\n")));
            ar_buf_str(out, f.raw);
        }
        failed = poll == AR_FAILED;
        AR_ASSERT(!failed || s.why);
        at += used;
    }
    ar_buf_lit(out, "|");
    ar_buf_i64(out, failed);
    ar_buf_i64(out, failed || ar_aws_stream_is_between(&s));
    ar_aws_stream_done(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3) {
        return 0;
    }
    char *copy = malloc(size - 2);
    memcpy(copy, data + 2, size - 2);
    if (data[0] & 1) {
        mend(copy, size - 2);
    }
    struct ar_str in = ar_str_n(copy, size - 2);
    struct ar_buf whole, split;
    ar_buf_init(&whole, 64 << 20);
    ar_buf_init(&split, 64 << 20);
    run(in, in.n, &whole);
    run(in, 1 + data[1] % 32, &split);
    AR_ASSERT(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
    ar_buf_done(&whole);
    ar_buf_done(&split);
    free(copy);
    return 0;
}
