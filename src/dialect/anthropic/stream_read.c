/* Messages stream -> events (PROTOCOLS 3.10, 8.1), whose texts are spans of the frame; the native
 * path is in stream_relay.c. Blocks are known by the wire's index, so an order that other servers
 * produce (llama.cpp ends block 0 after block 1's text) is carried as it is. A stream without its
 * terminal marker ends well only when it said why it stopped. Owns the tape; the rest is on the
 * arena it was given. */
#include "dialect/anthropic/stream_read.h"

struct ar_reader *ar_anthropic_reader_new(const struct ar_read_how *how, struct ar_arena *a)
{
    struct ar_reader *r = ar_arena_new(a, struct ar_reader);
    if (r) {
        r->target = how->target;
        r->relay = how->relay;
        r->a = a;
        ar_anthropic_usage_clear(&r->counts);
        ar_usage_clear(&r->answer.usage);
    }
    return r;
}

void ar_anthropic_reader_done(struct ar_reader *r)
{
    if (r) {
        ar_queue_done(&r->queue);
        ar_jtape_done(&r->tape);
    }
}

static void push_delta(struct ar_reader *r, const struct ar_anthropic_open *o, enum ar_delta delta,
                       struct ar_str text)
{
    ar_queue_put(&r->queue,
                 (struct ar_event){.kind = AR_EV_DELTA, .b = o->b, .delta = delta, .text = text});
}

static void push_signature(struct ar_reader *r, const struct ar_anthropic_open *o)
{
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_DELTA,
                                              .b = o->b,
                                              .delta = AR_D_SIGNATURE,
                                              .opaque = &r->opaque});
}

static void push_start(struct ar_reader *r, const struct ar_anthropic_open *o)
{
    ar_queue_put(&r->queue,
                 (struct ar_event){.kind = AR_EV_BLOCK_START, .b = o->b, .block = &r->block});
}

static void fail(struct ar_reader *r, enum ar_code code, const char *why)
{
    ar_queue_fail(&r->queue, code, why);
    r->has_frame = false; /* it is no event of the client's dialect */
}

static void start(struct ar_reader *r)
{
    if (!r->started) {
        r->started = true;
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_START, .answer = &r->answer});
    }
}

/* --- blocks --- */

static struct ar_anthropic_open *find(struct ar_reader *r, int64_t index)
{
    struct ar_anthropic_open *o = r->open;
    while (o && o->index != index) {
        o = o->next;
    }
    return o;
}

static struct ar_anthropic_open *open_block(struct ar_reader *r, int64_t index,
                                            enum ar_block_kind kind)
{
    struct ar_anthropic_open *o = r->spare, **link = &r->open;
    if (o) {
        r->spare = o->next;
    } else {
        o = ar_arena_new(r->a, struct ar_anthropic_open);
        if (!o) {
            fail(r, AR_UPSTREAM_ERROR, "the upstream's answer needs too much memory");
            return NULL;
        }
    }
    *o = (struct ar_anthropic_open){.index = index, .b = r->blocks++, .kind = kind};
    while (*link) {
        link = &(*link)->next;
    }
    *link = o;
    return o;
}

static void close_block(struct ar_reader *r, struct ar_anthropic_open *o)
{
    struct ar_anthropic_open **link = &r->open;
    while (*link != o) {
        link = &(*link)->next;
    }
    *link = o->next;
    o->next = r->spare;
    r->spare = o;
    if (o->input.n > 0) {
        push_delta(r, o, AR_D_JSON, o->input);
    }
    ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = o->b});
}

static int64_t index_of(struct ar_jval root)
{
    int64_t i = 0;
    return ar_json_i64(ar_json_get_lit(root, "index"), &i, NULL) == AR_OK ? i : 0;
}

static void set_opaque(struct ar_reader *r, struct ar_str data, enum ar_sig_form form)
{
    struct ar_anthropic_in in = {.a = r->a, .vendor = AR_VENDOR_ANTHROPIC, .account = AR_LIT("")};
    if (r->target) {
        in.vendor = r->target->vendor;
        if ((r->target->caps & AR_CAP(ACCOUNT_BOUND_THINKING)) && r->target->account.p) {
            in.account = r->target->account;
        }
    }
    const struct ar_opaque *o = ar_anthropic_read_sig(&in, data, form);
    r->opaque = o ? *o : (struct ar_opaque){.vendor = in.vendor, .form = form, .data = AR_LIT("")};
}

static struct ar_str dec(struct ar_reader *r, struct ar_jval v)
{
    return ar_json_is(v, AR_J_STRING)
               ? ar_arena_copy(r->a, ar_json_unescape_in(ar_json_esc(v), r->a))
               : (struct ar_str){0};
}

/* Kind and meta of a content_block; texts in it are shown as deltas by the caller. */
static enum ar_block_kind read_meta(struct ar_reader *r, struct ar_jval v)
{
    struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type"));
    struct ar_block *b = &r->block;
    *b = (struct ar_block){.kind = AR_OPAQUE_ITEM};
    if (ar_str_is_lit(type, "text")) {
        b->kind = AR_TEXT;
    } else if (ar_str_is_lit(type, "thinking")) {
        b->kind = AR_THINKING;
    } else if (ar_str_is_lit(type, "redacted_thinking")) {
        b->kind = AR_REDACTED_THINKING;
        set_opaque(r, dec(r, ar_json_get_lit(v, "data")), AR_REDACTED);
        b->sig = &r->opaque;
    } else if (ar_str_has_suffix(type, AR_LIT("tool_use"))) {
        b->kind = ar_str_is_lit(type, "tool_use") ? AR_TOOL_USE : AR_SERVER_TOOL_USE;
        b->id = dec(r, ar_json_get_lit(v, "id"));
        b->name = dec(r, ar_json_get_lit(v, "name"));
    } else if (ar_str_has_suffix(type, AR_LIT("tool_result"))) {
        b->kind = AR_SERVER_TOOL_RESULT;
        b->id = dec(r, ar_json_get_lit(v, "tool_use_id"));
    } else if (ar_str_is_lit(type, "compaction")) {
        b->kind = AR_COMPACTION;
    }
    if (b->kind >= AR_SERVER_TOOL_USE) {
        b->vendor = AR_VENDOR_ANTHROPIC;
        b->raw = ar_json_raw(v);
        b->name = b->name.p ? b->name : dec(r, ar_json_get_lit(v, "type"));
    }
    return b->kind;
}

static void on_block_start(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval v = ar_json_get_lit(root, "content_block");
    int64_t index = index_of(root);
    struct ar_anthropic_open *o = find(r, index);
    if (o) {
        close_block(r, o); /* the same index again: the upstream forgot to end it */
    }
    start(r);
    o = open_block(r, index, read_meta(r, v));
    if (!o) {
        return;
    }
    push_start(r, o);
    struct ar_str text = ar_json_esc(o->kind == AR_THINKING ? ar_json_get_lit(v, "thinking")
                                                            : ar_json_get_lit(v, "text"));
    struct ar_jval input = ar_json_get_lit(v, "input"), sig = ar_json_get_lit(v, "signature");
    if (text.n > 0 && (o->kind == AR_TEXT || o->kind == AR_THINKING)) {
        push_delta(r, o, o->kind == AR_TEXT ? AR_D_TEXT : AR_D_THINKING, text);
    }
    if (o->kind == AR_THINKING && ar_json_is(sig, AR_J_STRING) && ar_json_esc(sig).n > 0) {
        set_opaque(r, dec(r, sig), AR_SIGNATURE);
        push_signature(r, o);
    }
    bool call = o->kind == AR_TOOL_USE || o->kind == AR_SERVER_TOOL_USE;
    if (call && ar_json_is(input, AR_J_OBJECT) && ar_json_count(input) > 0) {
        o->input = ar_arena_copy(r->a, ar_json_escape_in(ar_json_raw(input), r->a));
    }
}

/* A delta for an index that never began: text has a meaning without its start, the rest has not. */
static struct ar_anthropic_open *imply(struct ar_reader *r, int64_t index, bool is_text,
                                       bool is_thinking)
{
    struct ar_anthropic_open *o = find(r, index);
    if (!o && (is_text || is_thinking)) {
        start(r);
        o = open_block(r, index, is_text ? AR_TEXT : AR_THINKING);
        if (o) {
            r->block = (struct ar_block){.kind = o->kind};
            push_start(r, o);
        }
    }
    return o;
}

static void on_signature(struct ar_reader *r, struct ar_anthropic_open *o, struct ar_jval delta)
{
    struct ar_jval sig = ar_json_get_lit(delta, "signature");
    if (!ar_json_is(sig, AR_J_STRING) || ar_json_esc(sig).n == 0) {
        return;
    }
    set_opaque(r, ar_json_unescape_in(ar_json_esc(sig), r->a), AR_SIGNATURE);
    push_signature(r, o);
}

static void on_delta(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval delta = ar_json_get_lit(root, "delta");
    struct ar_str type = ar_json_esc(ar_json_get_lit(delta, "type"));
    bool is_text = ar_str_is_lit(type, "text_delta"),
         is_thinking = ar_str_is_lit(type, "thinking_delta");
    struct ar_anthropic_open *o = imply(r, index_of(root), is_text, is_thinking);
    if (!o) {
        return;
    }
    if (is_text) {
        push_delta(r, o, AR_D_TEXT, ar_json_esc(ar_json_get_lit(delta, "text")));
    } else if (is_thinking) {
        push_delta(r, o, AR_D_THINKING, ar_json_esc(ar_json_get_lit(delta, "thinking")));
    } else if (ar_str_is_lit(type, "input_json_delta")) {
        struct ar_str piece = ar_json_esc(ar_json_get_lit(delta, "partial_json"));
        o->input = piece.n > 0 ? (struct ar_str){0} : o->input;
        push_delta(r, o, AR_D_JSON, piece);
    } else if (ar_str_is_lit(type, "signature_delta")) {
        on_signature(r, o, delta);
    } else if (ar_str_is_lit(type, "citations_delta")) {
        push_delta(r, o, AR_D_CITATION, ar_json_raw(ar_json_get_lit(delta, "citation")));
    } else {
        push_delta(r, o, AR_D_OPAQUE, ar_json_raw(delta));
    }
}

/* --- the message --- */

static void on_usage(struct ar_reader *r, struct ar_jval v)
{
    if (ar_json_is(v, AR_J_OBJECT)) {
        ar_anthropic_usage_read(&r->counts, v);
        r->usage = ar_anthropic_usage_ir(&r->counts);
        if (!r->answer.service_tier.p) {
            r->answer.service_tier = dec(r, ar_json_get_lit(v, "service_tier"));
        }
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_USAGE, .usage = &r->usage});
    }
}

static void on_message_start(struct ar_reader *r, struct ar_jval root)
{
    struct ar_jval message = ar_json_get_lit(root, "message"),
                   usage = ar_json_get_lit(message, "usage");
    if (r->started) {
        return;
    }
    r->answer.id = dec(r, ar_json_get_lit(message, "id"));
    r->answer.model = dec(r, ar_json_get_lit(message, "model"));
    ar_anthropic_usage_read(&r->counts, usage);
    r->answer.usage = ar_anthropic_usage_ir(&r->counts);
    start(r);
    on_usage(r, usage);
}

static void on_message_delta(struct ar_reader *r, struct ar_jval root)
{
    start(r);
    if (ar_anthropic_read_stop(ar_json_get_lit(root, "delta"), r->a, &r->stop)) {
        r->stopped = true;
    }
    on_usage(r, ar_json_get_lit(root, "usage"));
}

static void on_error(struct ar_reader *r, struct ar_jval root)
{
    bool own = ar_str_is_lit(ar_json_esc(ar_json_get_lit(root, "type")), "error") &&
               ar_json_is(ar_json_get_lit(root, "error"), AR_J_OBJECT);
    ar_anthropic_fault_of(0, root, r->a, &r->queue.fault);
    ar_queue_fail_by(&r->queue, (struct ar_str){NULL, 0});
    r->has_frame = r->has_frame && own;
}

enum ar_anthropic_frame ar_anthropic_frame_of(struct ar_str name)
{
    switch (name.n) {
    case 19:
        return ar_str_is_lit(name, "content_block_delta")   ? AR_AF_DELTA
               : ar_str_is_lit(name, "content_block_start") ? AR_AF_BLOCK_START
                                                            : AR_AF_OTHER;
    case 18:
        return ar_str_is_lit(name, "content_block_stop") ? AR_AF_BLOCK_STOP : AR_AF_OTHER;
    case 13:
        return ar_str_is_lit(name, "message_delta")   ? AR_AF_MESSAGE_DELTA
               : ar_str_is_lit(name, "message_start") ? AR_AF_MESSAGE_START
                                                      : AR_AF_OTHER;
    case 12:
        return ar_str_is_lit(name, "message_stop") ? AR_AF_MESSAGE_STOP : AR_AF_OTHER;
    case 5:
        return ar_str_is_lit(name, "error") ? AR_AF_ERROR : AR_AF_OTHER;
    case 4:
        return ar_str_is_lit(name, "ping") ? AR_AF_PING : AR_AF_OTHER;
    default:
        return AR_AF_OTHER;
    }
}

/* A frame without an event line is known by its data. */
static enum ar_anthropic_frame kind_by_data(struct ar_jval root)
{
    enum ar_anthropic_frame k = ar_anthropic_frame_of(ar_json_esc(ar_json_get_lit(root, "type")));
    return k == AR_AF_OTHER && !ar_json_is_nil(ar_json_get_lit(root, "error")) ? AR_AF_ERROR : k;
}

static void on_event(struct ar_reader *r, enum ar_anthropic_frame kind, struct ar_jval root)
{
    struct ar_anthropic_open *o;
    switch (kind) {
    case AR_AF_DELTA:
        on_delta(r, root);
        return;
    case AR_AF_BLOCK_START:
        on_block_start(r, root);
        return;
    case AR_AF_BLOCK_STOP:
        o = find(r, index_of(root));
        if (o) {
            close_block(r, o);
        }
        return;
    case AR_AF_MESSAGE_START:
        on_message_start(r, root);
        return;
    case AR_AF_MESSAGE_DELTA:
        on_message_delta(r, root);
        return;
    case AR_AF_MESSAGE_STOP:
        start(r);
        r->ending = true;
        return;
    case AR_AF_PING:
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_PING});
        return;
    case AR_AF_ERROR:
        on_error(r, root);
        return;
    default:
        return;
    }
}

void ar_anthropic_note_frame(struct ar_reader *r, enum ar_anthropic_frame kind,
                             const struct ar_frame *f)
{
    if (f->data.n == 0 || kind == AR_AF_MESSAGE_STOP || (kind == AR_AF_OTHER && f->name.n > 0)) {
        on_event(r, kind, (struct ar_jval){0});
    } else if (ar_jtape_parse(&r->tape, f->data, &r->doc, NULL) == AR_OK) {
        struct ar_jval root = ar_json_root(&r->doc);
        on_event(r, kind == AR_AF_OTHER ? kind_by_data(root) : kind, root);
    } else if (!r->relay && !ar_str_is_lit(f->data, "[DONE]")) {
        fail(r, AR_UPSTREAM_ERROR, "the upstream sent a broken event");
    }
}

void ar_anthropic_read_frame(struct ar_reader *r, const struct ar_frame *f)
{
    ar_queue_reuse(&r->queue);
    r->has_frame = false;
    if (r->queue.ended || r->ending) {
        return;
    }
    if (r->relay) {
        ar_anthropic_relay_frame(r, f);
        return;
    }
    ar_anthropic_note_frame(r, ar_anthropic_frame_of(f->name), f);
}

void ar_anthropic_read_eof(struct ar_reader *r, enum ar_eof eof)
{
    (void)eof; /* cut, clean or enough: what counts is whether it said why it stopped */
    ar_queue_reuse(&r->queue);
    r->has_frame = false;
    if (r->queue.ended || r->ending) {
        return;
    }
    if (!r->stopped) {
        fail(r, AR_UPSTREAM_TRUNCATED, "the upstream's answer ended before it was complete");
        return;
    }
    r->ending = true;
    if (r->relay) {
        ar_anthropic_relay_end(r);
    }
}

bool ar_anthropic_read_lingers(const struct ar_reader *r)
{
    return r->stopped && !r->ending && !r->queue.ended;
}

/* The end, one event a call: open blocks, STOP, END. */
static void next_of_end(struct ar_reader *r)
{
    ar_queue_reuse(&r->queue);
    if (r->open && !r->relay) {
        close_block(r, r->open);
    } else if (!r->stopped && r->usage.out_total <= 0 && r->blocks == 0 && !r->relay) {
        fail(r, AR_UPSTREAM_TRUNCATED, "the upstream's answer ended without content or reason");
    } else {
        if (!r->stopped) {
            r->stop = (struct ar_stop){.reason = AR_STOP_END};
        }
        ar_queue_put(&r->queue,
                     (struct ar_event){.kind = AR_EV_STOP,
                                       .stop = &r->stop,
                                       .usage = r->counts.input >= 0 || r->counts.output >= 0
                                                    ? &r->usage
                                                    : NULL});
        ar_queue_put(&r->queue, (struct ar_event){.kind = AR_EV_END});
        r->queue.ended = true;
    }
}

bool ar_anthropic_read_next(struct ar_reader *r, struct ar_event *ret)
{
    if (!ar_queue_next(&r->queue, ret)) {
        if (!r->ending || r->queue.ended) {
            return false;
        }
        next_of_end(r);
        if (!ar_queue_next(&r->queue, ret)) {
            return false;
        }
    }
    if (r->relay) {
        ar_anthropic_relay_event(r, ret);
    }
    r->committed = r->committed || ar_event_commits(ret);
    return true;
}
