/* An upstream's Gemini stream: frames are cut at blank lines, read by the translating and the
 * relaying reader, written for clients of every dialect; the whole input is also read as one
 * answer, as an error and as a token count. However the bytes are cut, the same events come out.
 * Events keep their order: START first, each block open between its start and its end, END or ERROR
 * last. */
#include "dialect/dialect.h"
#include "http/sse.h"

#include <stdlib.h>

enum { BLOCKS = 256 };
struct watch {
    bool start, stop, over, open[BLOCKS];
    unsigned blocks;
};

static void must(bool x)
{
    if (!x) {
        abort();
    }
}

static void check(struct watch *w, const struct ar_event *ev)
{
    must(!w->over);
    must(w->start || ev->kind == AR_EV_START || ev->kind == AR_EV_ERROR || ev->kind == AR_EV_RAW ||
         ev->kind == AR_EV_PING);
    if (ev->kind == AR_EV_BLOCK_START) {
        must(ev->b == w->blocks++ && !w->stop);
    }
    if (ev->b < BLOCKS && ev->kind == AR_EV_BLOCK_START) {
        w->open[ev->b] = true;
    } else if (ev->b < BLOCKS && ev->kind == AR_EV_DELTA) {
        must(w->open[ev->b]);
    } else if (ev->b < BLOCKS && ev->kind == AR_EV_BLOCK_END) {
        must(w->open[ev->b]);
        w->open[ev->b] = false;
    }
    if (ev->kind == AR_EV_STOP) {
        must(!w->stop);
        for (unsigned i = 0; i < BLOCKS; i++) {
            must(!w->open[i]);
        }
    }
    w->start |= ev->kind == AR_EV_START;
    w->stop |= ev->kind == AR_EV_STOP;
    w->over = ev->kind == AR_EV_END || ev->kind == AR_EV_ERROR;
    must(ev->kind != AR_EV_END || w->stop);
}

struct run {
    struct ar_reader *r;
    struct ar_writer *w[AR_DIALECT_COUNT];
    struct ar_buf out;
    struct watch watch;
    uint64_t sum; /* of kinds and texts */
    bool relay, write;
};

static void add(struct run *x, struct ar_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        x->sum = (x->sum ^ (uint8_t)s.p[i]) * UINT64_C(1099511628211);
    }
}

static void drain(struct run *x)
{
    struct ar_event ev;
    while (ar_dialect_gemini.read_next(x->r, &ev)) {
        check(&x->watch, &ev);
        char kind = (char)ev.kind;
        add(x, ar_str_n(&kind, 1));
        add(x, ev.text);
        for (unsigned d = 0; x->write && d < AR_DIALECT_COUNT; d++) {
            struct ar_framer f = {.how = &ar_framing_sse, .out = &x->out};
            ar_buf_clear(&x->out);
            if (x->w[d] && ar_dialect_by_id(d)->write(x->w[d], &ev, &f) != AR_OK) {
                return;
            }
        }
    }
}

/* step: bytes fed at once. Returns the sum of what came out. */
static uint64_t read_stream(struct ar_str in, const struct ar_target *t, bool relay, size_t step)
{
    struct ar_arena a;
    struct ar_losses l = {0};
    struct ar_sse sse;
    struct ar_frame f;
    ar_arena_init(&a, 1 << 25);
    struct ar_read_how how = {.target = t, .relay = relay, .content_max = 1 << 20};
    struct ar_write_how shown = {.model = AR_LIT("m"), .include_usage = true};
    struct run x = {.r = ar_dialect_gemini.reader_new(&how, &a), .relay = relay};
    x.write = !relay && step >= in.n;
    ar_buf_init(&x.out, 1 << 24);
    ar_sse_init(&sse, 1 << 20);
    for (unsigned d = 0; d < AR_DIALECT_COUNT && x.write; d++) {
        const struct ar_dialect *to = ar_dialect_by_id(d);
        x.w[d] = to->writer_new ? to->writer_new(&shown, &l, &a) : NULL;
    }
    bool failed = false;
    for (size_t at = 0; at < in.n && !failed; at += step) {
        struct ar_str piece = ar_str_head(ar_str_from(in, at), step);
        while (piece.n > 0 && !failed) {
            size_t used;
            enum ar_poll p = ar_sse_next(&sse, piece, &used, &f);
            piece = ar_str_from(piece, used);
            failed = p == AR_FAILED;
            if (p == AR_READY) {
                ar_dialect_gemini.read_frame(x.r, &f);
                drain(&x);
            }
        }
    }
    ar_dialect_gemini.read_eof(x.r, AR_EOF_CLEAN);
    drain(&x);
    must(x.watch.over);
    for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
        if (x.w[d]) {
            ar_dialect_by_id(d)->writer_done(x.w[d]);
        }
    }
    ar_dialect_gemini.reader_done(x.r);
    ar_sse_done(&sse);
    ar_buf_done(&x.out);
    ar_arena_done(&a);
    return x.sum;
}

static void read_whole(struct ar_str in, const struct ar_target *t)
{
    struct ar_arena a;
    struct ar_fault fault;
    struct ar_response *r, seen;
    struct ar_losses l = {0};
    struct ar_read_how how = {.target = t};
    struct ar_write_how shown = {.model = AR_LIT("m")};
    ar_arena_init(&a, 1 << 25);
    (void)ar_dialect_gemini.observe(in, &a, &seen, &fault);
    ar_dialect_gemini.decode_error(400, in, &a, &fault);
    must(fault.code != AR_OK);
    must(ar_dialect_gemini.decode_count(in, &a) >= -1);
    if (ar_dialect_gemini.decode_response(in, &how, &a, &r, &fault) == AR_OK) {
        for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
            struct ar_buf out;
            ar_buf_init(&out, 1 << 24);
            const struct ar_dialect *to = ar_dialect_by_id(d);
            if (to->encode_response && to->encode_response(r, &shown, &l, &out) != AR_OK) {
                ar_buf_clear(&out);
            }
            ar_buf_done(&out);
        }
    }
    ar_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 2) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 1, n - 1);
    struct ar_target t = {
        .model = AR_LIT("m"), .vendor = AR_VENDOR_GOOGLE, .account = AR_LIT("0a1b2c3d")};
    uint64_t at_once = read_stream(in, &t, false, in.n);
    must(read_stream(in, &t, false, 1 + data[0] % 64) == at_once);
    (void)read_stream(in, &t, true, in.n);
    read_whole(in, &t);
    return 0;
}
