/* Events -> Messages stream (PROTOCOLS 8.4). Exactly one block is open on the wire at a time, with
 * indexes that rise by one, because the SDKs address content by position. A block that begins while
 * a tool call is still open (Chat sends parallel calls interleaved) is rendered into a buffer of
 * its own and follows when the call's JSON is complete, which an incremental scanner over the
 * escaped text tells. A thinking block always ends signed. The stream ends by message_stop only
 * after a STOP; an error is `event: error` and nothing after it. Owns its arena and the buffers of
 * waiting blocks, which are capped; a delta of the open block costs a few copies. */
#include "dialect/anthropic/stream_write.h"

#include "base/id.h"

#include <stdlib.h>

enum { WAITING_MAX = 16 << 20 }; /* bytes of all waiting blocks of an answer */

struct ar_writer {
    const struct ar_request *request;
    struct ar_str model;
    struct ar_stamp stamp;
    struct ar_losses *losses;
    size_t losses_at; /* what is beyond belongs to the answer */
    struct ar_arena a;
    struct ar_buf scratch;
    struct ar_anthropic_out *open, *spare; /* the first of open is live, the rest waits */
    unsigned next_index, calls;
    bool withheld, started, refused, stopped, failed;
    struct ar_usage usage;
    struct ar_str service_tier;
};

struct ar_writer *ar_anthropic_writer_new(const struct ar_write_how *how, struct ar_losses *l,
                                          struct ar_arena *a)
{
    struct ar_writer *w = ar_arena_new(a, struct ar_writer);
    if (w) {
        w->request = how->request;
        w->model = how->model;
        w->stamp = how->stamp;
        w->losses = l;
        w->losses_at = l ? l->n : 0;
        w->withheld = ar_anthropic_is_withheld(how->request);
        ar_arena_init(&w->a, 1 << 20);
        ar_buf_init(&w->scratch, WAITING_MAX);
        ar_usage_clear(&w->usage);
    }
    return w;
}

void ar_anthropic_writer_done(struct ar_writer *w)
{
    if (!w) {
        return;
    }
    for (struct ar_anthropic_out *o = w->open; o; o = o->next) {
        ar_buf_done(&o->waiting);
    }
    ar_buf_done(&w->scratch);
    ar_arena_done(&w->a);
}

void ar_anthropic_write_ping(struct ar_writer *w, struct ar_framer *out)
{
    (void)w;
    struct ar_jw j = ar_anthropic_open_frame(out, AR_LIT("ping"));
    ar_anthropic_close_frame(out, &j);
}

/* --- blocks --- */

/* A framer for the block's frames: the wire when it is live, its own buffer when it waits. */
static struct ar_framer framer_of(struct ar_writer *w, struct ar_anthropic_out *o,
                                  struct ar_framer *out)
{
    if (o == w->open) {
        return *out;
    }
    return (struct ar_framer){.how = out->how, .out = &o->waiting, .count = o->waiting_frames};
}

static void keep_count(struct ar_writer *w, struct ar_anthropic_out *o, struct ar_framer *out,
                       const struct ar_framer *used)
{
    if (o == w->open) {
        out->count = used->count;
    } else {
        o->waiting_frames = used->count;
    }
}

/* Ends the live block; the next waiting one becomes live and its frames go out. */
static void close_live(struct ar_writer *w, struct ar_framer *out)
{
    struct ar_anthropic_out *o = w->open;
    ar_anthropic_out_end(o, out);
    w->open = o->next;
    ar_buf_done(&o->waiting);
    o->next = w->spare;
    w->spare = o;
    o = w->open;
    if (o) {
        ar_buf_str(out->out, ar_buf_view(&o->waiting));
        out->count += o->waiting_frames;
        ar_buf_done(&o->waiting);
    }
}

static bool may_close(const struct ar_anthropic_out *o)
{
    return o->ended || o->kind != AR_TOOL_USE || o->json.complete;
}

/* Lets waiting blocks through as far as possible. */
static void advance(struct ar_writer *w, struct ar_framer *out)
{
    while (w->open && (w->open->ended || (w->open->next && may_close(w->open)))) {
        close_live(w, out);
    }
}

static struct ar_anthropic_out *find(struct ar_writer *w, unsigned b)
{
    struct ar_anthropic_out *o = w->open;
    while (o && o->b != b) {
        o = o->next;
    }
    return o;
}

static struct ar_anthropic_out *add_block(struct ar_writer *w, unsigned b, enum ar_block_kind kind)
{
    struct ar_anthropic_out *o = w->spare, **link = &w->open;
    if (o) {
        w->spare = o->next;
    } else {
        o = ar_arena_new(&w->a, struct ar_anthropic_out);
    }
    if (!o) {
        return NULL;
    }
    *o = (struct ar_anthropic_out){.b = b, .index = w->next_index++, .kind = kind};
    ar_buf_init(&o->waiting, WAITING_MAX);
    ar_anthropic_out_init(o);
    while (*link) {
        link = &(*link)->next;
    }
    *link = o;
    return o;
}

static enum ar_code begin_block(struct ar_writer *w, unsigned b, const struct ar_block *block,
                                struct ar_framer *out)
{
    enum ar_block_kind kind;
    if (!ar_anthropic_out_kind(block, &kind)) {
        return AR_OK;
    }
    if (w->open && !w->open->next && may_close(w->open)) {
        close_live(w, out);
    }
    struct ar_anthropic_out *o = add_block(w, b, kind);
    if (!o) {
        return AR_TOO_LARGE;
    }
    o->freeform = block->freeform;
    struct ar_framer f = framer_of(w, o, out);
    char id[40] = "toolu_";
    if (block->kind == AR_TOOL_USE && block->id.n == 0) {
        ar_id_base62(w->stamp.seed, "call", w->calls, 24, id + 6);
    }
    w->calls += block->kind == AR_TOOL_USE;
    ar_anthropic_out_start(o, block, ar_str_of(id), &f);
    keep_count(w, o, out, &f);
    w->refused = w->refused || block->kind == AR_REFUSAL;
    return AR_OK;
}

/* A block that is whole at once: its start, its input if it has one, its end. */
static enum ar_code show_whole(struct ar_writer *w, const struct ar_block *b, struct ar_str input,
                               struct ar_framer *out)
{
    enum ar_code code = begin_block(w, UINT32_MAX, b, out);
    struct ar_anthropic_out *o = code == AR_OK ? find(w, UINT32_MAX) : NULL;
    if (o) {
        struct ar_framer f = framer_of(w, o, out);
        if (input.n > 0) {
            ar_anthropic_out_text(o, input, &f);
            keep_count(w, o, out, &f);
        }
        o->ended = true;
        o->b = UINT32_MAX - 1;
        advance(w, out);
    }
    return code;
}

/* A thought signature of Gemini's travels in a thinking block of its own before the call (8.4.5).
 */
static enum ar_code begin_thought(struct ar_writer *w, const struct ar_block *call,
                                  struct ar_framer *out)
{
    struct ar_block carrier = {.kind = AR_THINKING, .text = AR_LIT(""), .sig = call->sig};
    enum ar_code code = begin_block(w, UINT32_MAX, &carrier, out);
    struct ar_anthropic_out *o = code == AR_OK ? find(w, UINT32_MAX) : NULL;
    if (o) {
        struct ar_framer f = framer_of(w, o, out);
        ar_anthropic_out_sign(o, call->sig, &f);
        keep_count(w, o, out, &f);
        o->ended = true;
        o->b = UINT32_MAX - 1;
        advance(w, out);
    }
    return code;
}

static bool wants_thinking(const struct ar_request *r)
{
    return r &&
           (r->set.reason_mode == AR_REASON_ADAPTIVE || r->set.reason_mode == AR_REASON_BUDGET);
}

static enum ar_code on_block_start(struct ar_writer *w, const struct ar_event *ev,
                                   struct ar_framer *out)
{
    const struct ar_block *b = ev->block;
    struct ar_anthropic_search search;
    if (ar_anthropic_make_search(b, false, &w->a, &search)) {
        enum ar_code shown = show_whole(w, &search.use, search.input, out);
        return shown == AR_OK ? show_whole(w, &search.result, AR_LIT(""), out) : shown;
    }
    if (b->kind == AR_TOOL_USE && b->sig && b->sig->form == AR_THOUGHT_SIG &&
        wants_thinking(w->request)) {
        enum ar_code code = begin_thought(w, b, out);
        if (code != AR_OK) {
            return code;
        }
    }
    enum ar_code code = begin_block(w, ev->b, b, out);
    struct ar_anthropic_out *o = find(w, ev->b);
    if (o && b->kind == AR_THINKING && b->sig && b->sig->data.n > 0) {
        struct ar_opaque *copy = ar_arena_new(&w->a, struct ar_opaque);
        if (!copy) {
            return AR_TOO_LARGE;
        }
        *copy = *b->sig;
        copy->data = ar_arena_copy(&w->a, b->sig->data);
        copy->family = ar_arena_copy(&w->a, b->sig->family);
        copy->account = ar_arena_copy(&w->a, b->sig->account);
        o->sig = copy;
    }
    return code;
}

/* Text for a block that is closed on the wire already: a new block of its kind. */
static struct ar_anthropic_out *reopen(struct ar_writer *w, const struct ar_event *ev,
                                       struct ar_framer *out)
{
    bool is_text = ev->delta == AR_D_TEXT || ev->delta == AR_D_REFUSAL;
    if (!is_text && ev->delta != AR_D_THINKING) {
        return NULL;
    }
    struct ar_block block = {.kind = is_text ? AR_TEXT : AR_THINKING};
    return begin_block(w, ev->b, &block, out) == AR_OK ? find(w, ev->b) : NULL;
}

static void put_json(struct ar_writer *w, struct ar_anthropic_out *o, const struct ar_event *ev,
                     struct ar_framer *f)
{
    struct ar_str text = ev->text;
    if (ev->delta == AR_D_FREEFORM) {
        ar_buf_clear(&w->scratch);
        if (!o->has_json) {
            ar_buf_lit(&w->scratch, "{\\\"input\\\":\\\"");
        }
        ar_json_escape(text, &w->scratch);
        text = ar_buf_view(&w->scratch);
        o->freeform = true;
    } else if (text.n == 0) {
        return;
    } else {
        ar_anthropic_scan_put(&o->json, text);
    }
    o->has_json = true;
    ar_anthropic_out_text(o, text, f);
}

static void put_delta(struct ar_writer *w, struct ar_anthropic_out *o, const struct ar_event *ev,
                      struct ar_framer *f)
{
    switch (ev->delta) {
    case AR_D_REFUSAL:
        w->refused = true;
        __attribute__((fallthrough));
    case AR_D_TEXT:
    case AR_D_THINKING:
        if (ev->text.n > 0 && !(o->kind == AR_THINKING && w->withheld)) {
            ar_anthropic_out_text(o, ev->text, f);
        }
        return;
    case AR_D_JSON:
    case AR_D_FREEFORM:
        put_json(w, o, ev, f);
        return;
    case AR_D_SIGNATURE:
        if (o->kind == AR_THINKING && !o->is_signed && ev->opaque && ev->opaque->data.n > 0) {
            ar_anthropic_out_sign(o, ev->opaque, f);
        }
        return;
    case AR_D_CITATION: {
        struct ar_buf *tmp = &w->scratch;
        ar_buf_clear(tmp);
        struct ar_jw one = ar_jw_on(tmp);
        if (o->kind == AR_TEXT && ar_anthropic_put_citation(&one, ev->text)) {
            struct ar_jw j = ar_anthropic_open_delta(f, o->index, AR_LIT("citations_delta"));
            ar_jw_key_raw(&j, "citation", ar_buf_view(tmp));
            ar_anthropic_close_delta(f, &j);
        }
        return;
    }
    case AR_D_OPAQUE:
        if (o->kind >= AR_SERVER_TOOL_USE) {
            struct ar_jw j = ar_anthropic_open_frame(f, AR_LIT("content_block_delta"));
            ar_jw_key_i64(&j, "index", o->index);
            ar_jw_key_raw(&j, "delta", ev->text);
            ar_anthropic_close_frame(f, &j);
        }
        return;
    }
}

static enum ar_code on_delta(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct ar_anthropic_out *o = w->open;
    if (o && o->b == ev->b) { /* the usual case */
        put_delta(w, o, ev, out);
        if (o->next) {
            advance(w, out);
        }
        return AR_OK;
    }
    o = find(w, ev->b);
    if (!o && ev->text.n > 0) {
        o = reopen(w, ev, out);
    }
    if (o) {
        struct ar_framer f = framer_of(w, o, out);
        put_delta(w, o, ev, &f);
        keep_count(w, o, out, &f);
        return ar_buf_finish(&o->waiting);
    }
    return AR_OK;
}

static void on_block_end(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    struct ar_anthropic_out *o = find(w, ev->b);
    if (!o) {
        return;
    }
    struct ar_framer f = framer_of(w, o, out);
    if (ev->block && ev->block->sig && o->kind == AR_THINKING && !o->is_signed &&
        ev->block->sig->data.n > 0) {
        ar_anthropic_out_sign(o, ev->block->sig, &f);
        keep_count(w, o, out, &f);
    }
    o->ended = true;
    advance(w, out);
}

/* --- the message --- */

static void on_start(struct ar_writer *w, const struct ar_response *answer, struct ar_framer *out)
{
    char id[64];
    if (w->started) {
        return;
    }
    w->started = true;
    struct ar_usage usage = w->usage;
    if (answer) {
        usage = answer->usage;
        w->service_tier =
            answer->service_tier.p ? ar_arena_copy(&w->a, answer->service_tier) : w->service_tier;
    }
    usage.out_total = usage.out_reasoning = -1;
    struct ar_jw j = ar_anthropic_open_frame(out, AR_LIT("message_start"));
    ar_jw_key(&j, "message");
    ar_jw_open(&j, '{');
    ar_jw_key_text(
        &j, "id", ar_anthropic_message_id(answer ? answer->id : (struct ar_str){0}, &w->stamp, id));
    ar_jw_key_lit(&j, "type", "message");
    ar_jw_key_lit(&j, "role", "assistant");
    ar_jw_key_text(&j, "model", w->model);
    ar_jw_key_raw(&j, "content", AR_LIT("[]"));
    ar_jw_key_null(&j, "stop_reason");
    ar_jw_key_null(&j, "stop_sequence");
    ar_jw_key(&j, "usage");
    ar_anthropic_put_usage(&j, &usage, (struct ar_str){0});
    ar_jw_close(&j, '}');
    ar_anthropic_close_frame(out, &j);
    ar_anthropic_write_ping(w, out);
}

static void on_stop(struct ar_writer *w, const struct ar_event *ev, struct ar_framer *out)
{
    while (w->open) {
        close_live(w, out);
    }
    if (ev->usage) {
        ar_usage_merge(&w->usage, ev->usage);
    }
    struct ar_jw j = ar_anthropic_open_frame(out, AR_LIT("message_delta"));
    ar_jw_key(&j, "delta");
    ar_jw_open(&j, '{');
    ar_anthropic_put_stop(&j, ev->stop, w->refused);
    ar_jw_key_null(&j, "container");
    ar_jw_close(&j, '}');
    ar_jw_key(&j, "usage");
    ar_anthropic_put_usage(&j, &w->usage, w->service_tier);
    ar_anthropic_close_frame(out, &j);
    w->stopped = true;
}

static void on_error(struct ar_writer *w, const struct ar_fault *fault, struct ar_framer *out)
{
    struct ar_jw j = ar_anthropic_open_frame(out, AR_LIT("error"));
    ar_jw_key(&j, "error");
    (void)ar_anthropic_put_error(&j, fault);
    ar_anthropic_close_frame(out, &j);
    out->how->finish(out);
    w->failed = true;
}

static void on_end(struct ar_writer *w, struct ar_framer *out)
{
    if (!w->stopped) { /* never a clean end without a reason */
        static const struct ar_fault cut = {.code = AR_UPSTREAM_TRUNCATED, .retry_after_ms = -1};
        on_error(w, &cut, out);
        return;
    }
    ar_write_losses(w->losses, w->losses_at, out);
    struct ar_jw j = ar_anthropic_open_frame(out, AR_LIT("message_stop"));
    ar_anthropic_close_frame(out, &j);
    out->how->finish(out);
}

enum ar_code ar_anthropic_write(struct ar_writer *w, const struct ar_event *ev,
                                struct ar_framer *out)
{
    enum ar_code code = AR_OK;
    if (w->failed || (w->stopped && ev->kind != AR_EV_END && ev->kind != AR_EV_ERROR)) {
        return AR_OK;
    }
    switch (ev->kind) {
    case AR_EV_DELTA:
        code = on_delta(w, ev, out);
        break;
    case AR_EV_START:
        on_start(w, ev->answer, out);
        break;
    case AR_EV_BLOCK_START:
        code = on_block_start(w, ev, out);
        break;
    case AR_EV_BLOCK_END:
        on_block_end(w, ev, out);
        break;
    case AR_EV_USAGE:
        ar_usage_merge(&w->usage, ev->usage);
        break;
    case AR_EV_STOP:
        on_stop(w, ev, out);
        break;
    case AR_EV_PING:
        ar_anthropic_write_ping(w, out);
        break;
    case AR_EV_WHOLE:
        code = ar_write_whole(ar_anthropic_write, w, ev->answer, out);
        break;
    case AR_EV_ERROR:
        on_error(w, ev->fault, out);
        break;
    case AR_EV_END:
        on_end(w, out);
        break;
    case AR_EV_RAW:
        break;
    }
    if (code == AR_OK &&
        (w->a.overflowed || w->scratch.overflowed || ar_buf_finish(out->out) != AR_OK)) {
        code = AR_TOO_LARGE;
    }
    return code;
}
