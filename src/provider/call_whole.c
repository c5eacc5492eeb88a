/*
 * A whole answer: gathered, and at its end decoded into one event (or unfolded for a client that
 * streams), or, on the native path, relayed as it is with what was observed in it. A native one
 * beyond what is held goes out in pieces while it comes; beyond the buffer it is no longer
 * observed. Owns nothing: the buffers are the call's. Never starts or closes anything.
 */
#include "provider/call.h"

static void push(struct http_call *c, struct ar_event ev)
{
    AR_ASSERT(c->queued < CALL_QUEUE_MAX);
    c->queue[c->queued++] = ev;
}

static const char NOT_AN_ANSWER[] = "the upstream's answer is no answer of its dialect";

/* A complete whole answer to be translated: WHOLE, or unfolded for a client that streams. */
static bool give_decoded(struct http_call *c, struct ar_event *ret)
{
    struct ar_fault f = {.code = AR_UPSTREAM_ERROR,
                         .blame = AR_OF_PLACE,
                         .retry_after_ms = -1,
                         .message = ar_str_of(NOT_AN_ANSWER)};
    struct ar_read_how how = ar_call_how(c);
    struct ar_str body = ar_buf_view(&c->whole);
    if (c->spec->op == AR_OP_COUNT) {
        int64_t tokens = c->spec->dialect->decode_count(body, &c->arena);
        if (tokens < 0) {
            return ar_call_fail(c, &f, ret);
        }
        ar_usage_clear(&c->seen.usage);
        c->seen.usage.in_total = tokens;
        push(c, (struct ar_event){.kind = AR_EV_USAGE, .usage = &c->seen.usage});
        push(c, (struct ar_event){.kind = AR_EV_END});
        return false;
    }
    enum ar_code code = c->spec->dialect->decode_response(body, &how, &c->arena, &c->answer, &f);
    code = code == AR_OK ? ar_undo_whole(c->undo, c->stops, c->answer, &c->arena) : code;
    if (code != AR_OK) {
        f.code = f.code ? f.code : code;
        return ar_call_fail(c, &f, ret);
    }
    if (c->spec->client_stream) {
        ar_unfold_init(&c->unfold, c->answer, &c->arena);
        c->state = CALL_UNFOLD;
        return false;
    }
    push(c,
         (struct ar_event){.kind = AR_EV_WHOLE, .answer = c->answer, .usage = &c->answer->usage});
    push(c, (struct ar_event){.kind = AR_EV_END});
    return false;
}

/* A complete native answer: the bytes, and what was observed in them. */
static bool give_observed(struct http_call *c, struct ar_event *ret)
{
    struct ar_fault f = {.code = AR_UPSTREAM_ERROR,
                         .blame = AR_OF_PLACE,
                         .retry_after_ms = -1,
                         .message = ar_str_of(NOT_AN_ANSWER)};
    struct ar_str body = ar_buf_view(&c->whole);
    ar_usage_clear(&c->seen.usage);
    if (c->spec->op == AR_OP_COUNT) {
        c->seen.usage.in_total = c->spec->dialect->decode_count(body, c->mem);
    } else if (c->spec->op == AR_OP_GENERATE && !c->whole.overflowed) {
        enum ar_code code = c->spec->dialect->observe(body, c->mem, &c->seen, &f);
        if (code != AR_OK) { /* also of one that is half relayed: it must not end cleanly */
            return ar_call_fail(c, &f, ret);
        }
    }
    if (c->given < body.n || body.n == 0) {
        push(c, (struct ar_event){
                    .kind = AR_EV_RAW,
                    .raw = ar_str_n(body.p ? body.p + c->given : "", body.n - c->given)});
    }
    push(c,
         (struct ar_event){
             .kind = AR_EV_USAGE, .raw = AR_LIT(""), .usage = &c->seen.usage, .answer = &c->seen});
    if (c->seen.has_stop) {
        push(c, (struct ar_event){.kind = AR_EV_STOP,
                                  .raw = AR_LIT(""),
                                  .stop = &c->seen.stop,
                                  .usage = &c->seen.usage});
    }
    push(c, (struct ar_event){.kind = AR_EV_END, .raw = AR_LIT("")});
    return false;
}

/* What is kept and not yet relayed. */
static bool give_kept(struct http_call *c, struct ar_event *ret)
{
    *ret = (struct ar_event){.kind = AR_EV_RAW,
                             .raw = ar_str_n(c->whole.p + c->given, c->whole.n - c->given)};
    c->given = c->whole.n;
    return true;
}

/* A large native answer is relayed while it comes: beyond CALL_HOLD_MAX in pieces, beyond the
 * buffer unobserved. */
static bool give_piece(struct http_call *c, struct ar_event *ret)
{
    return c->relays && c->whole.n - c->given >= CALL_HOLD_MAX && give_kept(c, ret);
}

bool ar_call_take_whole(struct http_call *c, struct ar_event *ret)
{
    struct ar_err err = {0};
    struct ar_str piece;
    if (c->eat > 0) {
        ar_exchange_eat(c->exchange, c->eat);
        c->eat = 0;
    }
    for (;;) {
        switch (ar_exchange_peek(c->exchange, &piece, &err)) {
        case AR_READY:
            if (c->relays && (c->whole.overflowed || c->whole.n + piece.n > c->spec->whole_max)) {
                c->whole.overflowed = true; /* too big to keep: straight through */
                if (c->given < c->whole.n) {
                    return give_kept(c, ret);
                }
                c->eat = piece.n;
                *ret = (struct ar_event){.kind = AR_EV_RAW, .raw = piece};
                return true;
            }
            ar_buf_str(&c->whole, piece);
            ar_exchange_eat(c->exchange, piece.n);
            if (ar_buf_finish(&c->whole) != AR_OK) {
                return ar_call_fail_code(c, AR_UPSTREAM_ERROR, "the upstream's answer is too large",
                                         ret);
            }
            if (give_piece(c, ret)) {
                return true;
            }
            break;
        case AR_PENDING:
            return c->is_late &&
                   ar_call_fail_code(c, AR_UPSTREAM_TIMEOUT,
                                     "the upstream's answer did not end in time", ret);
        case AR_FAILED:
            return ar_call_fail_code(c, err.code ? err.code : AR_UPSTREAM_TRUNCATED, err.note, ret);
        case AR_ENDED:
            c->state = CALL_QUEUE;
            return c->relays ? give_observed(c, ret) : give_decoded(c, ret);
        }
    }
}
