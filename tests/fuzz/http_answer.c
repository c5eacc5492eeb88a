/* An upstream's bytes: head, framing, content coding. Property: what is read and how it ends do not
 * depend on the split, decoded bytes are bounded by what is asked for, nothing beyond the answer is
 * eaten. One thing may differ: libzstd decodes a frame that it has whole in one pass and then gives
 * none of it when the frame is corrupt, so of a zstd body that fails only the common part is
 * compared. First byte: size of the pieces; the rest: the answer, then the connection ends. */
#include "http/body.h"
#include "http/head.h"
#include "io/loop.h"
#include "io/stream.h"

#include "base/buf.h"

#include <stdlib.h>

struct run {
    struct ar_loop *loop;
    struct ar_stream *upstream, *ours;
    struct ar_waker waker;
    struct ar_job tick;
    struct ar_head_cache heads;
    struct ar_head_reader *reader;
    struct ar_head head;
    struct ar_body body;
    struct ar_buf log;   /* what was read */
    const char *verdict; /* how it ended */
    bool failed;
    struct ar_str rest;
    size_t step;
    bool has_head, zstd, over;
};

static void say_fault(struct run *r, const struct ar_err *err)
{
    r->verdict = ar_code_name(err->code);
    r->failed = r->over = true;
}

static void read_head(struct run *r)
{
    static const struct ar_head_limits limits = {4096, 32};
    struct ar_str in;
    struct ar_err err = {0};
    enum ar_poll poll;
    while (!r->has_head && !r->over && (poll = ar_stream_peek(r->ours, &in, NULL)) != AR_PENDING) {
        if (poll != AR_READY) {
            r->verdict = "end";
            r->over = true;
            return;
        }
        size_t used = 0;
        poll = ar_head_read_answer(&r->heads, &r->reader, &limits, in, &used, &r->head, &err);
        AR_ASSERT(used <= in.n);
        ar_stream_eat(r->ours, used);
        if (poll == AR_FAILED) {
            say_fault(r, &err);
        } else if (poll == AR_READY) {
            r->has_head = true;
            r->zstd = r->head.encoding == AR_ENC_ZSTD;
            ar_buf_i64(&r->log, r->head.status);
            ar_buf_i64(&r->log, r->head.length);
            for (unsigned i = 0; i < r->head.header_count; i++) {
                AR_ASSERT(ar_header_is_safe(&r->head.headers[i]));
                ar_buf_str(&r->log, r->head.headers[i].name);
                ar_buf_char(&r->log, ':');
                ar_buf_str(&r->log, r->head.headers[i].value);
            }
            ar_buf_lit(&r->log, "<body>");
            ar_body_init(&r->body, false, r->head.length, r->head.encoding, 1 << 20);
        }
    }
}

static void drive(struct run *r)
{
    struct ar_str in;
    struct ar_err err = {0};
    enum ar_poll poll = AR_PENDING;
    read_head(r);
    while (r->has_head && !r->over &&
           (poll = ar_body_peek(&r->body, r->ours, &in, &err)) == AR_READY) {
        AR_ASSERT(in.n > 0 && in.n <= AR_STREAM_BUF);
        size_t n = in.n > 1 ? in.n - in.n / 3 : 1;
        ar_buf_put(&r->log, in.p, n);
        ar_body_eat(&r->body, r->ours, n);
    }
    if (poll == AR_ENDED) {
        r->verdict = "complete";
        r->over = true;
    } else if (poll == AR_FAILED) {
        say_fault(r, &err);
    }
}

static void wake(struct ar_waker *w)
{
    drive(AR_HOLDER(w, struct run, waker));
}

/* A piece a time, between the wakes that it causes. */
static void tick(struct ar_job *j)
{
    struct run *r = AR_HOLDER(j, struct run, tick);
    if (r->over) {
        ar_loop_stop(r->loop);
        return;
    }
    if (r->rest.n > 0) {
        struct ar_str piece = ar_str_head(r->rest, r->step);
        r->rest = ar_str_from(r->rest, ar_stream_write(r->upstream, &piece, 1));
        ar_stream_flush(r->upstream);
        if (r->rest.n == 0) {
            ar_stream_shut(r->upstream);
        }
    }
    ar_loop_queue(r->loop, j);
}

struct outcome {
    struct ar_buf log;
    const char *verdict;
    bool lax; /* a zstd body failed */
};

static void run(struct ar_str in, size_t step, struct outcome *ret)
{
    struct run r = {
        .loop = ar_loop_new(), .rest = in, .step = step, .waker = {wake}, .tick = {.run = tick}};
    struct ar_stream *pair[2];
    ar_buf_init(&r.log, 16 << 20);
    ar_head_cache_init(&r.heads);
    ar_stream_pair(r.loop, pair);
    r.upstream = pair[0];
    r.ours = pair[1];
    ar_stream_set_waker(r.ours, &r.waker);
    tick(&r.tick);
    ar_loop_run(r.loop);
    ar_job_cancel(&r.tick);
    ar_stream_close(r.upstream);
    ar_stream_close(r.ours);
    ar_head_reader_drop(&r.heads, &r.reader);
    ar_head_done(&r.heads, &r.head);
    ar_head_cache_done(&r.heads);
    ar_body_done(&r.body);
    ar_loop_free(r.loop);
    bool lax = r.failed && r.zstd;
    *ret = (struct outcome){r.log, r.verdict ? r.verdict : "", lax};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 1, size - 1);
    struct outcome whole, split;
    run(in, 16384, &whole);
    run(in, 1 + data[0] % 64 * 7, &split);
    AR_ASSERT(strcmp(whole.verdict, split.verdict) == 0);
    struct ar_str a = ar_buf_view(&whole.log), b = ar_buf_view(&split.log);
    if (whole.lax) {
        size_t n = a.n < b.n ? a.n : b.n;
        a = ar_str_head(a, n);
        b = ar_str_head(b, n);
    }
    AR_ASSERT(ar_str_is(a, b));
    ar_buf_done(&whole.log);
    ar_buf_done(&split.log);
    return 0;
}
