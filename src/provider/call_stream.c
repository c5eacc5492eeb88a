/*
 * An event stream: bytes to frames, frames to the dialect's reader, its events through the filter
 * that undoes what the encoding changed. Here is the silence limit inside a stream (a ping of the
 * upstream's is no sign of an answer and does not move it) and the short wait for usage behind a
 * stop. Owns nothing: reader, filter and framing are the call's. Never starts or closes anything.
 */
#include "provider/call.h"

enum { LINGER_MS = 2000 };

/* The next event that the reader (and the filter behind it) has ready. */
static bool read_event(struct http_call *c, struct ar_event *ret)
{
    for (;;) {
        if (c->undoer && ar_undoer_next(c->undoer, ret)) {
            return true;
        }
        struct ar_event ev;
        if (!c->spec->dialect->read_next(c->reader, &ev)) {
            return false;
        }
        if (!c->undoer) {
            *ret = ev;
            return true;
        }
        ar_undoer_put(c->undoer, &ev);
    }
}

static enum ar_poll next_frame(struct http_call *c, size_t *ret_used, struct ar_frame *ret)
{
    return c->is_aws ? ar_aws_stream_next(&c->aws, c->in, ret_used, ret)
                     : ar_sse_next(&c->sse, c->in, ret_used, ret);
}

/* The body is over or cut: tells the reader, which answers END or ERROR. */
static void end_stream(struct http_call *c, enum ar_eof eof)
{
    struct ar_frame frame;
    if (c->is_aws && !ar_aws_stream_is_between(&c->aws)) {
        eof = AR_EOF_CUT;
    }
    if (eof == AR_EOF_CLEAN && !c->is_aws && ar_sse_rest(&c->sse, &frame) == AR_READY) {
        c->spec->dialect->read_frame(c->reader, &frame);
        c->rest_given = true;
        return; /* drained first; asked again */
    }
    c->spec->dialect->read_eof(c->reader, eof);
    c->eof = true;
}

/* Feeds the reader one frame, or its end. false: nothing came. */
static bool feed(struct http_call *c)
{
    struct ar_err err = {0};
    if (c->eof) {
        return false;
    }
    for (;;) {
        if (c->in.n == 0) {
            if (c->eat > 0) {
                ar_exchange_eat(c->exchange, c->eat);
                c->eat = 0;
            }
            switch (ar_exchange_peek(c->exchange, &c->in, &err)) {
            case AR_READY:
                c->eat = c->in.n;
                break;
            case AR_PENDING:
                if (c->spec->dialect->read_lingers(c->reader) && !c->lingers) {
                    c->lingers = true;
                    ar_call_arm(c, LINGER_MS);
                }
                if (!c->is_late) {
                    return false;
                }
                c->cut_code = c->lingers ? AR_OK : AR_UPSTREAM_TIMEOUT;
                end_stream(c, c->lingers ? AR_EOF_ENOUGH : AR_EOF_CUT);
                return true;
            case AR_ENDED:
                end_stream(c, c->rest_given ? AR_EOF_CUT : AR_EOF_CLEAN);
                c->eof = c->eof || c->rest_given;
                return true;
            case AR_FAILED:
                c->cut_code = err.code;
                end_stream(c, AR_EOF_CUT);
                return true;
            }
        }
        struct ar_frame frame;
        size_t used;
        enum ar_poll p = next_frame(c, &used, &frame);
        c->in = ar_str_from(c->in, used);
        if (p == AR_READY) {
            c->spec->dialect->read_frame(c->reader, &frame);
            return true;
        }
        if (p == AR_FAILED) {
            c->cut_code = AR_UPSTREAM_ERROR;
            end_stream(c, AR_EOF_CUT);
            return true;
        }
    }
}

bool ar_call_take_stream(struct http_call *c, struct ar_event *ret)
{
    while (!read_event(c, ret)) {
        if (!feed(c)) {
            return false;
        }
    }
    if (ret->kind != AR_EV_PING && !c->lingers) { /* pings are no sign of an answer */
        if (c->spec->silence_ms > 0) {
            ar_call_arm(c, c->spec->silence_ms);
        }
    }
    if (ret->kind == AR_EV_ERROR) {
        struct ar_fault f = *ret->fault;
        if (f.code == AR_UPSTREAM_TRUNCATED && c->cut_code == AR_UPSTREAM_TIMEOUT) {
            f.code = AR_UPSTREAM_TIMEOUT;
            f.message = AR_LIT("the upstream fell silent");
        }
        struct ar_str raw = ret->raw;
        bool known = ar_call_fail(c, &f, ret);
        ret->raw = c->spec->secret.n > 0 && ar_str_has(raw, c->spec->secret)
                       ? (struct ar_str){NULL, 0}
                       : raw;
        return known;
    }
    if (ret->kind == AR_EV_END) {
        c->state = CALL_OVER;
    }
    return true;
}
