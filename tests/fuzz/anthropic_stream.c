/* A Messages stream: the input is cut into frames at empty lines and read twice. Relayed, the raw
 * bytes of all events must be the input up to where the answer ended; translated, the events must
 * keep the invariants of ir/event.h, and both writers must take them (P-160). */
#include "dialect/dialect.h"

#include <stdlib.h>

enum { OPEN_MAX = 4096 };

static void begin(struct ar_framer *f, struct ar_str name)
{
    ar_buf_lit(f->out, "event: ");
    ar_buf_str(f->out, name);
    ar_buf_lit(f->out, "\ndata: ");
    f->count++;
}

static void end(struct ar_framer *f)
{
    ar_buf_lit(f->out, "\n\n");
}

static void comment(struct ar_framer *f, struct ar_str text)
{
    ar_buf_lit(f->out, ": ");
    ar_buf_str(f->out, text);
    ar_buf_lit(f->out, "\n\n");
}

static void finish(struct ar_framer *f)
{
    (void)f;
}

static const struct ar_framing sse = {"sse", "text/event-stream", begin, end, comment, finish};

static struct ar_str after(struct ar_str s, struct ar_str label)
{
    return ar_str_has_prefix(s, label) ? ar_str_from(s, label.n) : s;
}

/* "name\ndata": the first line of a piece is the event's name. */
static bool cut_frame(struct ar_str *rest, struct ar_frame *ret)
{
    if (rest->n == 0) {
        return false;
    }
    size_t n = ar_str_find(*rest, AR_LIT("\n\n"));
    struct ar_str piece = ar_str_head(*rest, n);
    ret->raw = ar_str_head(*rest, n + 2);
    *rest = ar_str_from(*rest, ret->raw.n);
    size_t line = ar_str_find_char(piece, '\n');
    ret->name = after(ar_str_head(piece, line), AR_LIT("event: "));
    ret->data = after(ar_str_from(piece, line + 1), AR_LIT("data: "));
    return true;
}

struct watch {
    unsigned char open[OPEN_MAX];
    unsigned blocks, events;
    bool started, stopped, over;
};

static void check(struct watch *w, const struct ar_event *ev)
{
    AR_ASSERT(!w->over);
    AR_ASSERT(w->started || ev->kind == AR_EV_START || ev->kind == AR_EV_ERROR ||
              ev->kind == AR_EV_PING);
    switch (ev->kind) {
    case AR_EV_START:
        AR_ASSERT(!w->started && ev->answer);
        w->started = true;
        break;
    case AR_EV_BLOCK_START:
        AR_ASSERT(ev->b == w->blocks && ev->block && !w->stopped);
        w->open[w->blocks++ % OPEN_MAX] = 1;
        break;
    case AR_EV_DELTA:
        AR_ASSERT(ev->b < w->blocks && w->open[ev->b % OPEN_MAX]);
        break;
    case AR_EV_BLOCK_END:
        AR_ASSERT(ev->b < w->blocks && w->open[ev->b % OPEN_MAX]);
        w->open[ev->b % OPEN_MAX] = 0;
        break;
    case AR_EV_STOP:
        AR_ASSERT(!w->stopped && ev->stop);
        w->stopped = true;
        for (unsigned i = 0; i < OPEN_MAX; i++) {
            AR_ASSERT(!w->open[i]);
        }
        break;
    case AR_EV_END:
        AR_ASSERT(w->stopped);
        w->over = true;
        break;
    case AR_EV_ERROR:
        AR_ASSERT(ev->fault && ev->fault->code != AR_OK);
        w->over = true;
        break;
    default:
        break;
    }
}

struct sink {
    const struct ar_dialect *d;
    struct ar_writer *w;
    struct ar_buf out;
    struct ar_framer f;
};

static void sink_open(struct sink *s, const struct ar_dialect *d, struct ar_losses *l,
                      struct ar_arena *a)
{
    struct ar_write_how how = {.model = AR_LIT("m"), .include_usage = true};
    s->d = d;
    ar_buf_init(&s->out, 256 << 20);
    s->f = (struct ar_framer){.how = &sse, .out = &s->out};
    s->w = d->writer_new(&how, l, a);
    AR_ASSERT(s->w);
}

static void translate(struct ar_str body, struct ar_arena *a)
{
    struct ar_read_how how = {.content_max = 1 << 20};
    struct ar_reader *r = ar_dialect_anthropic.reader_new(&how, a);
    struct ar_losses l = {.strict = false};
    struct watch *watch = calloc(1, sizeof(*watch));
    struct sink sinks[2];
    struct ar_frame f;
    struct ar_event ev;
    AR_ASSERT(r && watch);
    sink_open(&sinks[0], &ar_dialect_anthropic, &l, a);
    sink_open(&sinks[1], &ar_dialect_chat, &l, a);
    for (bool more = true; more;) {
        more = cut_frame(&body, &f);
        if (more) {
            ar_dialect_anthropic.read_frame(r, &f);
        } else {
            ar_dialect_anthropic.read_eof(r, AR_EOF_CLEAN);
        }
        while (ar_dialect_anthropic.read_next(r, &ev)) {
            AR_ASSERT(!ev.raw.p);
            check(watch, &ev);
            for (unsigned i = 0; i < 2; i++) {
                enum ar_code code = sinks[i].d->write(sinks[i].w, &ev, &sinks[i].f);
                AR_ASSERT(code == AR_OK || code == AR_TOO_LARGE);
            }
        }
    }
    AR_ASSERT(watch->over);
    for (unsigned i = 0; i < 2; i++) {
        sinks[i].d->writer_done(sinks[i].w);
        ar_buf_done(&sinks[i].out);
    }
    ar_dialect_anthropic.reader_done(r);
    free(watch);
}

static void relay(struct ar_str body, struct ar_arena *a)
{
    struct ar_read_how how = {.relay = true, .content_max = 1 << 20};
    struct ar_reader *r = ar_dialect_anthropic.reader_new(&how, a);
    struct ar_frame f;
    struct ar_event ev;
    bool over = false;
    AR_ASSERT(r);
    while (!over && cut_frame(&body, &f)) {
        size_t raw = 0;
        bool failed = false;
        ar_dialect_anthropic.read_frame(r, &f);
        while (ar_dialect_anthropic.read_next(r, &ev)) {
            raw += ev.raw.n;
            over = over || ev.kind == AR_EV_END || ev.kind == AR_EV_ERROR;
            failed = failed || ev.kind == AR_EV_ERROR;
        }
        AR_ASSERT(failed || raw == f.raw.n);
    }
    ar_dialect_anthropic.read_eof(r, AR_EOF_CUT);
    while (ar_dialect_anthropic.read_next(r, &ev)) {
        AR_ASSERT(!over);
        over = ev.kind == AR_EV_END || ev.kind == AR_EV_ERROR;
    }
    AR_ASSERT(over);
    ar_dialect_anthropic.reader_done(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ar_arena a;
    struct ar_str body = ar_str_n((const char *)data, size);
    ar_arena_init(&a, 256 << 20);
    relay(body, &a);
    translate(body, &a);
    ar_arena_done(&a);
    return 0;
}
