/*
 * The filter between a reader and whoever takes its events. One event goes in, some come out:
 * renamed calls, unwrapped arguments, text without what follows a stop string. It keeps the order
 * of blocks and the invariants of event.h; a block whose text is still held back stays open until
 * it is known. Owns its buffers; what it gives out borrows from them until the next put. A whole
 * answer takes the same way, as events, so both forms of an answer are undone alike.
 */
#include "ir/undo.h"

#include "ir/copy.h"
#include "ir/units.h"
#include "json/scan.h"

#include <stdlib.h>

enum mode { PASS, IS_TEXT, IS_JSON_TEXT, IS_FREEFORM, IS_VALUE };

/* An open block. */
struct live {
    struct live *next; /* rising numbers */
    unsigned b;
    enum mode mode;
    struct ar_freeform freeform;
    struct ar_buf input;        /* IS_VALUE: all of it, escaped */
    bool has_ended;             /* the reader closed it, text is held */
    const struct ar_block *end; /* what the end said; arena */
};

struct queued {
    struct ar_event ev;
    size_t at, n; /* text in out, when owns_text */
    bool owns_text;
};

struct ar_undoer {
    const struct ar_undo *list;
    struct ar_arena *a;
    struct ar_stopper stopper;
    struct live *live;
    struct ar_buf queue, out; /* struct queued; their texts */
    size_t next;
    struct ar_block meta; /* of the BLOCK_START in the queue */
    struct ar_stop stop;
    struct ar_usage usage;
    bool has_stops, is_over, is_cut, has_json_text, has_call;
};

static const struct ar_fault TOO_LARGE = {.code = AR_UPSTREAM_ERROR,
                                          .blame = AR_OF_UPSTREAM,
                                          .retry_after_ms = -1,
                                          .message =
                                              AR_LIT_INIT("The answer does not fit into memory.")};

struct ar_undoer *ar_undoer_new(const struct ar_undo *list, const struct ar_name *stops,
                                struct ar_arena *a)
{
    if (!list && !stops) {
        return NULL;
    }
    struct ar_undoer *u = calloc(1, sizeof *u);
    AR_ASSERT(u != NULL);
    u->list = list;
    u->a = a;
    u->has_stops = stops != NULL;
    struct ar_name *dec = NULL, **tail = &dec;
    for (const struct ar_name *s = stops; s; s = s->next) {
        (void)ar_name_new(a, ar_json_unescape_in(s->s, a), &tail);
    }
    ar_stopper_init(&u->stopper, dec, a->max_bytes);
    ar_buf_init(&u->queue, a->max_bytes);
    ar_buf_init(&u->out, a->max_bytes);
    ar_usage_clear(&u->usage);
    return u;
}

static void free_live(struct live *l)
{
    ar_freeform_done(&l->freeform);
    ar_buf_done(&l->input);
    free(l);
}

void ar_undoer_done(struct ar_undoer *u)
{
    if (!u) {
        return;
    }
    for (struct live *l = u->live, *next; l; l = next) {
        next = l->next;
        free_live(l);
    }
    ar_stopper_done(&u->stopper);
    ar_buf_done(&u->queue);
    ar_buf_done(&u->out);
    free(u);
}

static void push(struct ar_undoer *u, const struct ar_event *ev)
{
    struct queued q = {.ev = *ev};
    ar_buf_put(&u->queue, &q, sizeof q);
}

/* A delta of what was appended to out since from; nothing when that is nothing. */
static void push_text(struct ar_undoer *u, enum ar_delta delta, unsigned b, size_t from)
{
    struct queued q = {.at = from, .n = u->out.n - from, .owns_text = true};
    q.ev = (struct ar_event){.kind = AR_EV_DELTA, .delta = delta, .b = b};
    if (q.n > 0) {
        ar_buf_put(&u->queue, &q, sizeof q);
    }
}

static struct live *find(const struct ar_undoer *u, unsigned b)
{
    struct live *l = u->live;
    while (l && l->b != b) {
        l = l->next;
    }
    return l;
}

static void push_end(struct ar_undoer *u, struct live *l, const struct ar_block *end)
{
    struct ar_event ev = {.kind = AR_EV_BLOCK_END, .b = l->b, .block = end};
    struct live **link = &u->live;
    push(u, &ev);
    while (*link != l) {
        link = &(*link)->next;
    }
    *link = l->next;
    free_live(l);
}

/* Text that may go, and the ends of blocks that waited for it. */
static void drain_text(struct ar_undoer *u)
{
    size_t from = u->out.n;
    unsigned b;
    while (ar_stopper_take(&u->stopper, &b, &u->out)) {
        push_text(u, AR_D_TEXT, b, from);
        from = u->out.n;
    }
    for (struct live *l = u->live, *next; l && !u->stopper.hit; l = next) {
        next = l->next;
        if (l->has_ended && !ar_stopper_holds(&u->stopper, l->b)) {
            push_end(u, l, l->end);
        }
    }
}

/* A stop string was met: the answer ends here. */
static void cut(struct ar_undoer *u)
{
    while (u->live) {
        push_end(u, u->live, u->live->end);
    }
    struct ar_str esc = ar_json_escape_in(u->stopper.hit->s, u->a);
    u->stop = (struct ar_stop){.reason = AR_STOP_SEQUENCE, .sequence = esc};
    struct ar_event stop = {.kind = AR_EV_STOP, .stop = &u->stop}, end = {.kind = AR_EV_END};
    stop.usage = ar_usage_is_known(&u->usage) ? &u->usage : NULL;
    push(u, &stop);
    push(u, &end);
    u->is_cut = u->is_over = true;
}

/* true: the answer was cut, nothing else counts. */
static bool settle_text(struct ar_undoer *u)
{
    drain_text(u);
    if (u->stopper.hit) {
        cut(u);
        return true;
    }
    return false;
}

/* Ends the run of visible text. */
static bool flush_text(struct ar_undoer *u)
{
    ar_stopper_flush(&u->stopper);
    return settle_text(u);
}

/* What is to be undone for the call; fills the block that is shown. */
static enum mode plan(struct ar_undoer *u, struct ar_block *b)
{
    enum mode mode = PASS;
    struct ar_str sent = b->name;
    for (const struct ar_undo *d = u->list; d; d = d->next) {
        if (!ar_str_is(d->sent, sent)) {
            continue;
        }
        if (d->how != AR_UNDO_JSON_TEXT && d->name.p) {
            b->name = d->name;
        }
        mode = d->how == AR_UNDO_JSON_TEXT  ? IS_JSON_TEXT
               : d->how == AR_UNDO_FREEFORM ? IS_FREEFORM
               : d->how == AR_UNDO_VALUE    ? IS_VALUE
                                            : mode;
    }
    if (mode == IS_JSON_TEXT) {
        *b = (struct ar_block){.kind = AR_TEXT};
    } else if (mode == IS_FREEFORM) {
        b->freeform = true;
    }
    return mode;
}

static void put_block_start(struct ar_undoer *u, const struct ar_event *ev)
{
    struct ar_event out = *ev;
    enum mode mode = PASS;
    if (ev->block) {
        u->meta = *ev->block;
        mode = u->meta.kind == AR_TOOL_USE ? plan(u, &u->meta)
               : u->meta.kind == AR_TEXT   ? IS_TEXT
                                           : PASS;
        out.block = &u->meta;
    }
    u->has_json_text = u->has_json_text || mode == IS_JSON_TEXT;
    u->has_call = u->has_call || (ev->block && u->meta.kind == AR_TOOL_USE);
    if (mode != IS_TEXT && mode != IS_JSON_TEXT && flush_text(u)) {
        return;
    }
    struct live *l = calloc(1, sizeof *l), **link = &u->live;
    AR_ASSERT(l != NULL);
    l->b = ev->b;
    l->mode = mode;
    ar_freeform_init(&l->freeform, u->a->max_bytes);
    ar_buf_init(&l->input, u->a->max_bytes);
    while (*link) {
        link = &(*link)->next;
    }
    *link = l;
    push(u, &out);
}

static void put_delta(struct ar_undoer *u, const struct ar_event *ev)
{
    struct live *l = find(u, ev->b);
    enum mode mode = l ? l->mode : PASS;
    struct ar_event out = *ev;
    if (mode == IS_JSON_TEXT && ev->delta == AR_D_JSON) {
        out.delta = AR_D_TEXT;
    }
    if ((mode == IS_TEXT || mode == IS_JSON_TEXT) && out.delta == AR_D_TEXT && u->has_stops) {
        ar_stopper_put(&u->stopper, ev->b, ev->text);
        (void)settle_text(u);
    } else if (mode == IS_FREEFORM && ev->delta == AR_D_JSON) {
        size_t from = u->out.n;
        ar_freeform_put(&l->freeform, ev->text, &u->out);
        push_text(u, AR_D_FREEFORM, ev->b, from);
    } else if (mode == IS_VALUE && ev->delta == AR_D_JSON) {
        ar_buf_str(&l->input, ev->text);
    } else {
        push(u, &out);
    }
}

/* Appends the value of {"value": ...}, escaped; other texts as they are. */
static void unwrap_value(struct ar_str esc, struct ar_buf *out)
{
    struct ar_buf dec;
    struct ar_jdoc doc;
    struct ar_jtape tape = {NULL, 0};
    ar_buf_init(&dec, esc.n + 1);
    ar_json_unescape(esc, &dec);
    struct ar_str text = ar_str_trim(ar_buf_view(&dec));
    if (text.n > 0 && ar_jtape_parse(&tape, text, &doc, NULL) == AR_OK) {
        struct ar_jval root = ar_json_root(&doc), value = ar_json_get_lit(root, "value");
        text = ar_json_count(root) == 1 && value.doc ? ar_json_raw(value) : text;
    }
    ar_json_escape(text, out);
    ar_jtape_done(&tape);
    ar_buf_done(&dec);
}

static void put_block_end(struct ar_undoer *u, const struct ar_event *ev)
{
    struct live *l = find(u, ev->b);
    if (!l) {
        push(u, ev);
        return;
    }
    size_t from = u->out.n;
    if (l->mode == IS_FREEFORM) {
        ar_freeform_end(&l->freeform, &u->out);
        push_text(u, AR_D_FREEFORM, l->b, from);
    } else if (l->mode == IS_VALUE) {
        unwrap_value(ar_buf_view(&l->input), &u->out);
        push_text(u, AR_D_JSON, l->b, from);
    } else if (u->has_stops && l->mode != PASS) {
        ar_stopper_seal(&u->stopper);
        if (settle_text(u)) {
            return;
        }
        if (ar_stopper_holds(&u->stopper, l->b)) {
            l->has_ended = true;
            l->end = ar_copy_block(ev->block, u->a);
            return;
        }
    }
    push_end(u, l, ev->block);
}

static void put_stop(struct ar_undoer *u, const struct ar_event *ev)
{
    if (flush_text(u)) {
        return;
    }
    struct ar_event out = *ev;
    if (u->has_json_text && !u->has_call && ev->stop && ev->stop->reason == AR_STOP_TOOL_USE) {
        u->stop = *ev->stop;
        u->stop.reason = AR_STOP_END;
        out.stop = &u->stop;
    }
    push(u, &out);
}

static void put_whole(struct ar_undoer *u, const struct ar_event *ev)
{
    struct ar_event out = *ev;
    struct ar_response *r = ar_copy_response(ev->answer, u->a);
    struct ar_name *stops = NULL, **tail = &stops;
    for (const struct ar_name *s = u->stopper.stops; s; s = s->next) {
        (void)ar_name_new(u->a, ar_json_escape_in(s->s, u->a), &tail);
    }
    if (!r || ar_undo_whole(u->list, stops, r, u->a) != AR_OK) {
        out = (struct ar_event){.kind = AR_EV_ERROR, .fault = &TOO_LARGE};
        u->is_over = true;
    }
    out.answer = out.kind == AR_EV_WHOLE ? r : NULL;
    push(u, &out);
}

static bool is_full(const struct ar_undoer *u)
{
    bool full = u->queue.overflowed || u->out.overflowed || ar_stopper_is_full(&u->stopper);
    for (const struct live *l = u->live; l && !full; l = l->next) {
        full = l->input.overflowed || l->freeform.work.overflowed || l->freeform.seen.overflowed;
    }
    return full || u->a->overflowed;
}

static void put(struct ar_undoer *u, const struct ar_event *ev)
{
    switch (ev->kind) {
    case AR_EV_BLOCK_START:
        put_block_start(u, ev);
        break;
    case AR_EV_DELTA:
        put_delta(u, ev);
        break;
    case AR_EV_BLOCK_END:
        put_block_end(u, ev);
        break;
    case AR_EV_USAGE:
        if (ev->usage) {
            ar_usage_merge(&u->usage, ev->usage);
        }
        push(u, ev);
        break;
    case AR_EV_STOP:
        put_stop(u, ev);
        break;
    case AR_EV_WHOLE:
        put_whole(u, ev);
        break;
    case AR_EV_ERROR:
    case AR_EV_END:
        if (!flush_text(u)) {
            push(u, ev);
            u->is_over = true;
        }
        break;
    case AR_EV_START:
    case AR_EV_PING:
    case AR_EV_RAW:
        push(u, ev);
        break;
    }
}

void ar_undoer_put(struct ar_undoer *u, const struct ar_event *ev)
{
    ar_buf_clear(&u->queue);
    ar_buf_clear(&u->out);
    u->next = 0;
    if (u->is_over) {
        return;
    }
    put(u, ev);
    if (is_full(u)) {
        struct ar_event error = {.kind = AR_EV_ERROR, .fault = &TOO_LARGE};
        ar_buf_done(&u->queue); /* room for one is always found */
        ar_buf_init(&u->queue, 2 * sizeof(struct queued));
        push(u, &error);
        u->is_over = true;
        u->is_cut = false;
    }
}

bool ar_undoer_next(struct ar_undoer *u, struct ar_event *ret)
{
    struct queued q;
    if (u->next >= u->queue.n) {
        return false;
    }
    memcpy(&q, u->queue.p + u->next, sizeof q);
    u->next += sizeof q;
    if (q.owns_text) {
        q.ev.text = ar_str_n(u->out.p + q.at, q.n);
    }
    *ret = q.ev;
    return true;
}

bool ar_undoer_is_cut(const struct ar_undoer *u)
{
    return u && u->is_cut;
}

/* Unfolds r through the filter into f. */
static enum ar_code run(struct ar_undoer *u, const struct ar_response *r, struct ar_arena *a,
                        struct ar_fold *f)
{
    struct ar_unfold from;
    struct ar_event in, out;
    enum ar_code code = AR_OK;
    ar_unfold_init(&from, r, a);
    from.at_once = true;
    while (code == AR_OK && ar_unfold_next(&from, &in)) {
        ar_undoer_put(u, &in);
        while (code == AR_OK && ar_undoer_next(u, &out)) {
            code = out.kind == AR_EV_ERROR ? AR_TOO_LARGE : ar_fold_put(f, &out);
        }
    }
    return code;
}

enum ar_code ar_undo_whole(const struct ar_undo *list, const struct ar_name *stops,
                           struct ar_response *r, struct ar_arena *a)
{
    enum ar_code code = AR_OK;
    for (; r && code == AR_OK; r = r->more) {
        struct ar_undoer *u = ar_undoer_new(list, stops, a);
        if (!u) {
            return AR_OK;
        }
        struct ar_fold *f = ar_fold_new(a->max_bytes);
        struct ar_response *done = NULL;
        code = run(u, r, a, f);
        code = code == AR_OK ? ar_fold_finish(f, a, &done) : code;
        if (code == AR_OK) {
            r->blocks = done->blocks;
            r->stop = done->stop;
        }
        ar_fold_free(f);
        ar_undoer_done(u);
    }
    return code;
}
