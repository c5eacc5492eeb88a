/*
 * The undo filter. The input makes stop strings, the text of some blocks and the places where it is
 * cut; the answer that comes out must be the same whether the text came in one piece or in many,
 * keep the invariants of events, and hold no stop string.
 */
#include "ir/undo.h"

#include "json/scan.h"

#include <stdlib.h>

static void check(bool ok)
{
    if (!ok) {
        abort();
    }
}

struct input {
    const uint8_t *p;
    size_t n;
};

static unsigned take(struct input *in)
{
    if (in->n == 0) {
        return 0;
    }
    in->n--;
    return *in->p++;
}

/* Text of at most most bytes, escaped; half of the time with a small alphabet, so that things
 * match. */
static struct ar_str take_text(struct input *in, size_t most, struct ar_arena *a)
{
    static const char *const SMALL[] = {"a",       "b",       "\xc3\xa9",         "\\\"",
                                        "\\\\",    "\\n",     "\\u0061",          "\\ud83d\\ude00",
                                        "\\ud83d", "\\ude00", "\xf0\x9f\x98\x80", "{",
                                        "}",       ":",       "\\\"input\\\"",    " "};
    struct ar_buf b;
    size_t n = take(in) % (most + 1);
    ar_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        ar_buf_str(&b, ar_str_of(SMALL[take(in) % 16]));
    }
    struct ar_str s = ar_arena_copy(a, ar_buf_view(&b));
    ar_buf_done(&b);
    return s;
}

struct answer {
    struct ar_block blocks[4];
    enum ar_delta delta[4];
    struct ar_str text[4];
    unsigned n;
};

static struct ar_undo LIST[] = {
    {.next = &LIST[1],
     .how = AR_UNDO_FREEFORM,
     .sent = AR_LIT_INIT("f"),
     .name = AR_LIT_INIT("free")},
    {.next = &LIST[2], .how = AR_UNDO_VALUE, .sent = AR_LIT_INIT("v"), .name = AR_LIT_INIT("v")},
    {.next = &LIST[3], .how = AR_UNDO_JSON_TEXT, .sent = AR_LIT_INIT("j")},
    {.how = AR_UNDO_NAME, .sent = AR_LIT_INIT("n"), .name = AR_LIT_INIT("new.name")},
};

static void make(struct answer *x, struct input *in, struct ar_arena *a)
{
    static const char *const NAMES[] = {"f", "v", "j", "n", "x"};
    x->n = 1 + take(in) % 4;
    for (unsigned i = 0; i < x->n; i++) {
        unsigned kind = take(in) % 8;
        x->blocks[i] = (struct ar_block){.kind = kind < 3    ? AR_TEXT
                                                 : kind == 3 ? AR_THINKING
                                                             : AR_TOOL_USE,
                                         .id = AR_LIT("1")};
        x->delta[i] = kind < 3 ? AR_D_TEXT : kind == 3 ? AR_D_THINKING : AR_D_JSON;
        x->blocks[i].name = ar_str_of(NAMES[take(in) % 5]);
        struct ar_str text = take_text(in, 24, a);
        if (kind == 4) { /* a wrapper for certain */
            text =
                ar_arena_fmt(a, "{\\\"input\\\":\\\"%.*s\\\"}", AR_FMT(ar_json_escape_in(text, a)));
        }
        x->text[i] = text;
    }
}

struct watch {
    struct ar_fold *fold;
    unsigned open, blocks;
    bool stopped, ended;
};

static void feed(struct ar_undoer *u, struct watch *w, const struct ar_event *ev)
{
    struct ar_event out;
    ar_undoer_put(u, ev);
    while (ar_undoer_next(u, &out)) {
        check(!w->ended && out.kind != AR_EV_ERROR);
        w->open += out.kind == AR_EV_BLOCK_START;
        w->open -= out.kind == AR_EV_BLOCK_END;
        check(out.kind != AR_EV_BLOCK_START || out.b == w->blocks++);
        check(out.kind != AR_EV_STOP || (w->open == 0 && !w->stopped));
        w->stopped = w->stopped || out.kind == AR_EV_STOP;
        w->ended = out.kind == AR_EV_END;
        check(ar_fold_put(w->fold, &out) == AR_OK);
    }
}

/* cuts NULL: each text in one piece. */
static struct ar_response *run(const struct answer *x, const struct ar_name *stops,
                               struct input *cuts, struct ar_arena *a)
{
    struct ar_response head = {.id = AR_LIT("x")}, *r;
    struct ar_stop stop = {.reason = AR_STOP_TOOL_USE};
    struct watch w = {.fold = ar_fold_new(8 << 20)};
    struct ar_undoer *u = ar_undoer_new(LIST, stops, a);
    struct ar_event ev = {.kind = AR_EV_START, .answer = &head};
    feed(u, &w, &ev);
    for (unsigned b = 0; b < x->n; b++) {
        struct ar_str left = x->text[b];
        ev = (struct ar_event){.kind = AR_EV_BLOCK_START, .b = b, .block = &x->blocks[b]};
        feed(u, &w, &ev);
        while (left.n > 0) {
            size_t n = cuts ? 1 + take(cuts) % 7 : left.n;
            ev = (struct ar_event){
                .kind = AR_EV_DELTA, .delta = x->delta[b], .b = b, .text = ar_str_head(left, n)};
            feed(u, &w, &ev);
            left = ar_str_from(left, ev.text.n);
        }
        ev = (struct ar_event){.kind = AR_EV_BLOCK_END, .b = b};
        feed(u, &w, &ev);
    }
    ev = (struct ar_event){.kind = AR_EV_STOP, .stop = &stop};
    feed(u, &w, &ev);
    ev = (struct ar_event){.kind = AR_EV_END};
    feed(u, &w, &ev);
    check(w.ended && w.open == 0);
    check(ar_fold_finish(w.fold, a, &r) == AR_OK);
    ar_fold_free(w.fold);
    ar_undoer_done(u);
    return r;
}

/* No run of visible text holds a stop string. */
static void check_stops(const struct ar_response *r, const struct ar_name *stops,
                        struct ar_arena *a)
{
    for (const struct ar_block *b = r->blocks; b; b = b->next) {
        struct ar_str text =
            b->kind == AR_TEXT ? ar_json_unescape_in(b->text, a) : (struct ar_str){NULL, 0};
        for (const struct ar_name *s = stops; s && text.n > 0; s = s->next) {
            struct ar_str stop = ar_json_unescape_in(s->s, a);
            check(stop.n == 0 || ar_str_find(text, stop) == text.n);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {data, size};
    struct ar_arena a;
    struct answer x;
    struct ar_name *stops = NULL, **tail = &stops;
    ar_arena_init(&a, 64 << 20);
    for (unsigned n = take(&in) % 4; n > 0; n--) {
        (void)ar_name_new(&a, take_text(&in, 4, &a), &tail);
    }
    make(&x, &in, &a);
    const struct ar_response *whole = run(&x, stops, NULL, &a), *cut = run(&x, stops, &in, &a);
    const struct ar_block *b = whole->blocks, *c = cut->blocks;
    for (; b && c; b = b->next, c = c->next) {
        check(b->kind == c->kind && b->freeform == c->freeform);
        check(ar_str_is(b->name, c->name) && ar_str_is(b->text, c->text));
    }
    check(!b && !c && whole->stop.reason == cut->stop.reason &&
          ar_str_is(whole->stop.sequence, cut->stop.sequence));
    check_stops(whole, stops, &a);
    ar_arena_done(&a);
    return 0;
}
