/* An upstream's Responses stream. The first two bytes say where the input is cut in two; read in
 * one piece and in two the events are the same, written for clients of every dialect. Relayed, the
 * raw bytes of all events are the frames as they came. The whole input is also read as one answer,
 * as an observed one and as an error. Events keep their order: START first, each block open between
 * its start and its end, END or ERROR last. */
#include "dialect/dialect.h"
#include "http/sse.h"

#include <stdlib.h>

enum { BLOCKS = 256 };
struct run {
    struct ar_reader *r;
    struct ar_writer *w[AR_DIALECT_COUNT];
    struct ar_buf out, log, frames, raws;
    bool start, stop, over, open[BLOCKS], full[AR_DIALECT_COUNT], relay;
    unsigned blocks;
};

static void must(bool x)
{
    if (!x) {
        abort();
    }
}

static void check(struct run *x, const struct ar_event *ev)
{
    must(!x->over);
    must(x->start || ev->kind == AR_EV_START || ev->kind == AR_EV_ERROR || ev->kind == AR_EV_RAW ||
         ev->kind == AR_EV_PING);
    must(!x->relay || ev->raw.p != NULL || ev->kind == AR_EV_ERROR);
    if (ev->kind == AR_EV_BLOCK_START) {
        must(ev->b == x->blocks++ && !x->stop);
    }
    if (ev->b < BLOCKS && ev->kind == AR_EV_BLOCK_START) {
        x->open[ev->b] = true;
    } else if (ev->b < BLOCKS && ev->kind == AR_EV_DELTA) {
        must(x->open[ev->b]);
    } else if (ev->b < BLOCKS && ev->kind == AR_EV_BLOCK_END) {
        must(x->open[ev->b]);
        x->open[ev->b] = false;
    }
    if (ev->kind == AR_EV_STOP) {
        must(!x->stop);
        for (unsigned i = 0; i < BLOCKS; i++) {
            must(!x->open[i]);
        }
    }
    x->start |= ev->kind == AR_EV_START;
    x->stop |= ev->kind == AR_EV_STOP;
    x->over = ev->kind == AR_EV_END || ev->kind == AR_EV_ERROR;
    must(ev->kind != AR_EV_END || x->stop);
}

static void drain(struct run *x)
{
    struct ar_event ev;
    while (ar_dialect_responses.read_next(x->r, &ev)) {
        check(x, &ev);
        ar_buf_fmt(&x->log, "%d:%u:%d:", (int)ev.kind, ev.b, (int)ev.delta);
        ar_buf_str(&x->log, ev.text);
        ar_buf_str(&x->raws, ev.raw);
        for (unsigned d = 0; !x->relay && d < AR_DIALECT_COUNT; d++) {
            struct ar_framer f = {.how = &ar_framing_sse, .out = &x->out};
            ar_buf_clear(&x->out);
            if (x->w[d] && !x->full[d]) {
                x->full[d] = ar_dialect_by_id(d)->write(x->w[d], &ev, &f) != AR_OK;
            }
        }
    }
}

static void feed(struct run *x, struct ar_sse *sse, struct ar_str in)
{
    struct ar_frame f;
    while (in.n) {
        size_t used;
        enum ar_poll p = ar_sse_next(sse, in, &used, &f);
        in = ar_str_from(in, used);
        if (p == AR_FAILED) {
            return;
        }
        if (p == AR_READY) {
            if (!x->over) {
                ar_buf_str(&x->frames, f.raw);
            }
            ar_dialect_responses.read_frame(x->r, &f);
            drain(x);
        }
    }
}

/* What happened, as text; the caller frees it. */
static struct ar_buf read_stream(struct ar_str in, size_t cut, bool relay)
{
    struct ar_arena a;
    struct ar_losses l = {.strict = false};
    struct ar_sse sse;
    struct ar_target t = {.model = AR_LIT("m"), .vendor = AR_VENDOR_OPENAI};
    ar_arena_init(&a, 1 << 25);
    struct ar_read_how how = {.target = &t, .relay = relay, .content_max = 1 << 20};
    struct ar_write_how shown = {.model = AR_LIT("m"), .include_usage = true};
    struct run x = {.r = ar_dialect_responses.reader_new(&how, &a), .relay = relay};
    struct ar_buf *all[] = {&x.out, &x.log, &x.frames, &x.raws};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        ar_buf_init(all[i], 1 << 24);
    }
    ar_sse_init(&sse, 1 << 20);
    for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
        const struct ar_dialect *client = ar_dialect_by_id(d);
        x.w[d] = client->writer_new ? client->writer_new(&shown, &l, &a) : NULL;
    }
    feed(&x, &sse, ar_str_head(in, cut));
    feed(&x, &sse, ar_str_from(in, cut));
    ar_dialect_responses.read_eof(x.r, AR_EOF_CLEAN);
    drain(&x);
    must(x.over);
    must(!relay || ar_str_is(ar_buf_view(&x.frames), ar_buf_view(&x.raws)));
    for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
        if (x.w[d]) {
            ar_dialect_by_id(d)->writer_done(x.w[d]);
        }
    }
    ar_dialect_responses.reader_done(x.r);
    ar_sse_done(&sse);
    ar_buf_done(&x.out);
    ar_buf_done(&x.frames);
    ar_buf_done(&x.raws);
    ar_arena_done(&a);
    return x.log;
}

static void read_whole(struct ar_str in)
{
    struct ar_arena a;
    struct ar_fault fault;
    struct ar_response *r, seen;
    struct ar_losses l = {.strict = false};
    struct ar_target t = {.model = AR_LIT("m"), .vendor = AR_VENDOR_OPENAI};
    struct ar_read_how how = {.target = &t};
    struct ar_write_how shown = {.model = AR_LIT("m")};
    ar_arena_init(&a, 1 << 25);
    enum ar_code observed = ar_dialect_responses.observe(in, &a, &seen, &fault);
    ar_dialect_responses.decode_error(400, in, &a, &fault);
    (void)ar_dialect_responses.decode_count(in, &a);
    if (ar_dialect_responses.decode_response(in, &how, &a, &r, &fault) == AR_OK) {
        must(observed == AR_OK && seen.stop.reason == r->stop.reason);
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
    if (n < 3) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 2, n - 2);
    size_t cut = (((size_t)data[0] << 8) + data[1]) % (in.n + 1);
    for (unsigned relay = 0; relay < 2; relay++) {
        struct ar_buf one = read_stream(in, in.n, relay), two = read_stream(in, cut, relay);
        must(ar_str_is(ar_buf_view(&one), ar_buf_view(&two)));
        ar_buf_done(&one);
        ar_buf_done(&two);
    }
    read_whole(in);
    return 0;
}
