/* The common part of the targets of answers: see the header. One run owns its reader, its writers
 * and four buffers: what a writer wrote last, the log of the events, the frames as they came and
 * the raws of the events. It knows no dialect by name. */
#include "stream.h"

#include "http/sse.h"

enum { BLOCKS = 4096, MEMORY = 1 << 25, TEXT_MAX = 1 << 24, CONTENT_MAX = 1 << 20 };

struct run {
    const struct ar_dialect *d;
    struct ar_reader *r;
    struct ar_writer *w[AR_DIALECT_COUNT];
    struct ar_buf out, log, frames, raws;
    bool relay, blind, start, stop, over, failed, open[BLOCKS], full[AR_DIALECT_COUNT];
    unsigned blocks;
};

static void check_block(struct run *x, const struct ar_event *ev)
{
    bool *open = &x->open[ev->b % BLOCKS];
    if (x->blind) {
        return;
    }
    if (ev->kind == AR_EV_BLOCK_START) {
        AR_ASSERT(ev->b == x->blocks && !x->stop && (x->relay || ev->block));
        x->blocks++;
        *open = true;
        return;
    }
    AR_ASSERT(ev->b < x->blocks && *open);
    *open = ev->kind == AR_EV_DELTA;
}

static void check(struct run *x, const struct ar_event *ev)
{
    AR_ASSERT(!x->over);
    AR_ASSERT(x->start || ev->kind == AR_EV_START || ev->kind == AR_EV_ERROR ||
              ev->kind == AR_EV_PING || ev->kind == AR_EV_RAW);
    AR_ASSERT(x->relay ? ev->raw.p || ev->kind == AR_EV_ERROR : !ev->raw.p);
    switch (ev->kind) {
    case AR_EV_START:
        AR_ASSERT(!x->start && ev->answer);
        x->start = true;
        break;
    case AR_EV_BLOCK_START:
    case AR_EV_DELTA:
    case AR_EV_BLOCK_END:
        check_block(x, ev);
        break;
    case AR_EV_STOP:
        AR_ASSERT(!x->stop && ev->stop);
        x->stop = true;
        for (unsigned i = 0; i < BLOCKS; i++) {
            AR_ASSERT(!x->open[i]);
        }
        break;
    case AR_EV_ERROR:
        AR_ASSERT(ev->fault && ev->fault->code != AR_OK);
        x->over = x->failed = true;
        break;
    case AR_EV_END:
        AR_ASSERT(x->stop);
        x->over = true;
        break;
    default:
        break;
    }
}

static void drain(struct run *x)
{
    struct ar_event ev;
    while (x->d->read_next(x->r, &ev)) {
        check(x, &ev);
        ar_buf_fmt(&x->log, "%d:%u:%d:", (int)ev.kind, ev.b, (int)ev.delta);
        ar_buf_str(&x->log, ev.text);
        ar_buf_str(&x->raws, ev.raw);
        for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
            if (x->w[i] && !x->full[i]) {
                struct ar_framer f = {.how = &ar_framing_sse, .out = &x->out};
                ar_buf_clear(&x->out);
                enum ar_code code = ar_dialect_by_id(i)->write(x->w[i], &ev, &f);
                AR_ASSERT(code == AR_OK || code == AR_TOO_LARGE);
                x->full[i] = code != AR_OK;
            }
        }
    }
}

/* False: the framing is broken. */
static bool feed(struct run *x, struct ar_sse *sse, struct ar_str in)
{
    struct ar_frame f;
    while (in.n > 0) {
        size_t used;
        enum ar_poll p = ar_sse_next(sse, in, &used, &f);
        in = ar_str_from(in, used);
        if (p == AR_FAILED) {
            return false;
        }
        if (p == AR_READY) {
            bool before = x->over;
            x->d->read_frame(x->r, &f);
            drain(x);
            if (!before && !x->failed) { /* a frame that ends in a fault may be kept back */
                ar_buf_str(&x->frames, f.raw);
            }
        }
    }
    return true;
}

static void open_writers(struct run *x, struct ar_losses *l, struct ar_arena *a)
{
    struct ar_write_how shown = {.model = AR_LIT("m"), .include_usage = true};
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        const struct ar_dialect *to = ar_dialect_by_id(i);
        x->w[i] = to->writer_new ? to->writer_new(&shown, l, a) : NULL;
    }
}

/* What happened, as text; the caller frees it. In one piece a translated stream is written too. */
static struct ar_buf read_stream(const struct fuzz_answer *how, struct ar_str in, size_t step,
                                 struct ar_read_how reading, enum ar_eof end)
{
    struct ar_arena a;
    struct ar_sse sse;
    struct ar_losses l = {.strict = false};
    ar_arena_init(&a, MEMORY);
    struct run x = {.d = how->d, .r = how->d->reader_new(&reading, &a), .relay = reading.relay};
    x.blind = x.relay && how->blind;
    struct ar_buf *all[] = {&x.out, &x.log, &x.frames, &x.raws};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        ar_buf_init(all[i], TEXT_MAX);
    }
    if (!x.relay && step >= in.n) {
        open_writers(&x, &l, &a);
    }
    ar_sse_init(&sse, CONTENT_MAX);
    for (size_t at = 0; at < in.n; at += step) {
        if (!feed(&x, &sse, ar_str_head(ar_str_from(in, at), step))) {
            break;
        }
    }
    how->d->read_eof(x.r, end);
    drain(&x);
    AR_ASSERT(x.over);
    struct ar_str frames = ar_buf_view(&x.frames), raws = ar_buf_view(&x.raws);
    AR_ASSERT(!x.relay || (x.failed ? ar_str_has_prefix(raws, frames) : ar_str_is(raws, frames)));
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        if (x.w[i]) {
            ar_dialect_by_id(i)->writer_done(x.w[i]);
        }
    }
    how->d->reader_done(x.r);
    ar_sse_done(&sse);
    ar_buf_done(&x.out);
    ar_buf_done(&x.frames);
    ar_buf_done(&x.raws);
    ar_arena_done(&a);
    return x.log;
}

void fuzz_stream(const struct fuzz_answer *how, struct ar_str in)
{
    AR_ASSERT(how->step > 0);
    for (unsigned i = 0; i < 4; i++) {
        struct ar_read_how reading = {
            .target = &how->target, .relay = i & 1, .content_max = CONTENT_MAX};
        enum ar_eof end = i & 2 ? AR_EOF_CUT : AR_EOF_CLEAN;
        struct ar_buf whole = read_stream(how, in, in.n + 1, reading, end);
        struct ar_buf cut = read_stream(how, in, how->step, reading, end);
        AR_ASSERT(ar_str_is(ar_buf_view(&whole), ar_buf_view(&cut)));
        ar_buf_done(&whole);
        ar_buf_done(&cut);
    }
}

void fuzz_whole(const struct fuzz_answer *how, struct ar_str in)
{
    struct ar_arena a;
    struct ar_fault fault;
    struct ar_response *r, seen;
    struct ar_losses l = {.strict = false};
    struct ar_read_how reading = {.target = &how->target};
    struct ar_write_how shown = {.model = AR_LIT("m")};
    ar_arena_init(&a, MEMORY);
    enum ar_code observed = how->d->observe(in, &a, &seen, &fault);
    how->d->decode_error(400, in, &a, &fault);
    AR_ASSERT(fault.code != AR_OK);
    AR_ASSERT(!how->d->decode_count || how->d->decode_count(in, &a) >= -1);
    if (how->d->decode_response(in, &reading, &a, &r, &fault) == AR_OK) {
        AR_ASSERT(observed == AR_OK && seen.stop.reason == r->stop.reason);
        for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
            const struct ar_dialect *to = ar_dialect_by_id(i);
            struct ar_buf out;
            ar_buf_init(&out, TEXT_MAX);
            enum ar_code code =
                to->encode_response ? to->encode_response(r, &shown, &l, &out) : AR_OK;
            AR_ASSERT(code == AR_OK || code == AR_TOO_LARGE);
            ar_buf_done(&out);
        }
    }
    ar_arena_done(&a);
}
