/* An upstream's Chat stream: frames are cut at blank lines, read by the translating and the
 * relaying reader, written for clients of both dialects; the whole input is also read as one answer
 * and as an error. The first byte chooses quirks. Events keep their order: START first, each block
 * open between its start and its end, END or ERROR last. */
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
    bool relay;
};

static void drain(struct run *x)
{
    struct ar_event ev;
    while (ar_dialect_chat.read_next(x->r, &ev)) {
        check(&x->watch, &ev);
        for (unsigned d = 0; !x->relay && d < AR_DIALECT_COUNT; d++) {
            struct ar_framer f = {.how = &ar_framing_sse, .out = &x->out};
            ar_buf_clear(&x->out);
            if (ar_dialect_by_id(d)->write(x->w[d], &ev, &f) != AR_OK) {
                return;
            }
        }
    }
}

static void read_stream(struct ar_str in, const struct ar_target *t, bool relay)
{
    struct ar_arena a;
    struct ar_losses l = {0};
    struct ar_sse sse;
    struct ar_frame f;
    ar_arena_init(&a, 1 << 25);
    struct ar_read_how how = {.target = t, .relay = relay, .content_max = 1 << 20};
    struct ar_write_how shown = {.model = AR_LIT("m"), .include_usage = true};
    struct run x = {.r = ar_dialect_chat.reader_new(&how, &a), .relay = relay};
    ar_buf_init(&x.out, 1 << 24);
    ar_sse_init(&sse, 1 << 20);
    for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
        x.w[d] = ar_dialect_by_id(d)->writer_new(&shown, &l, &a);
    }
    while (in.n) {
        size_t used;
        enum ar_poll p = ar_sse_next(&sse, in, &used, &f);
        in = ar_str_from(in, used);
        if (p == AR_FAILED) {
            break;
        }
        if (p == AR_READY) {
            ar_dialect_chat.read_frame(x.r, &f);
            drain(&x);
        }
    }
    ar_dialect_chat.read_eof(x.r, AR_EOF_CLEAN);
    drain(&x);
    must(x.watch.over);
    for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
        ar_dialect_by_id(d)->writer_done(x.w[d]);
    }
    ar_dialect_chat.reader_done(x.r);
    ar_sse_done(&sse);
    ar_buf_done(&x.out);
    ar_arena_done(&a);
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
    (void)ar_dialect_chat.observe(in, &a, &seen, &fault);
    ar_dialect_chat.decode_error(400, in, &a, &fault);
    if (ar_dialect_chat.decode_response(in, &how, &a, &r, &fault) == AR_OK) {
        for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
            struct ar_buf out;
            ar_buf_init(&out, 1 << 24);
            if (ar_dialect_by_id(d)->encode_response(r, &shown, &l, &out) != AR_OK) {
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
    struct ar_target t = {.model = AR_LIT("m"), .vendor = AR_VENDOR_OPENAI};
    t.quirks = (data[0] & 1 ? AR_QUIRK(THINK_TAGS) : 0) |
               (data[0] & 2 ? AR_QUIRK(NAME_FRAGMENTS) : 0) |
               (data[0] & 4 ? AR_QUIRK(REASONING_DETAILS) : 0);
    read_stream(in, &t, false);
    read_stream(in, &t, true);
    read_whole(in, &t);
    return 0;
}
