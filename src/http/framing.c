/*
 * How a writer's events become bytes: event streams, with LF as most vendors send them or with CRLF
 * as Gemini does, and the JSON array that Gemini streams when nobody asks for events. Owns nothing.
 */
#include "http/sse.h"

static void begin_event(struct ar_framer *f, struct ar_str name)
{
    if (name.n > 0) {
        ar_buf_lit(f->out, "event: ");
        ar_buf_str(f->out, name);
        ar_buf_char(f->out, '\n');
    }
    ar_buf_lit(f->out, "data: ");
}

static void end_event(struct ar_framer *f)
{
    ar_buf_lit(f->out, "\n\n");
    f->count++;
}

static void comment_event(struct ar_framer *f, struct ar_str text)
{
    ar_buf_char(f->out, ':');
    if (text.n > 0) {
        ar_buf_char(f->out, ' ');
        ar_buf_str(f->out, text);
    }
    ar_buf_lit(f->out, "\n\n");
}

static void finish_events(struct ar_framer *f)
{
    (void)f;
}

const struct ar_framing ar_framing_sse = {
    .name = "sse",
    .content_type = "text/event-stream; charset=utf-8",
    .begin = begin_event,
    .end = end_event,
    .comment = comment_event,
    .finish = finish_events,
};

static void end_crlf(struct ar_framer *f)
{
    ar_buf_lit(f->out, "\r\n\r\n");
    f->count++;
}

/* A blank line: Gemini CLI's parser takes nothing else than data between two events, and stops for
 * good at a comment. So what a comment would say is in the log alone. */
static void comment_crlf(struct ar_framer *f, struct ar_str text)
{
    (void)text;
    ar_buf_lit(f->out, "\r\n");
}

const struct ar_framing ar_framing_sse_crlf = {
    .name = "sse-crlf",
    .content_type = "text/event-stream",
    .begin = begin_event,
    .end = end_crlf,
    .comment = comment_crlf,
    .finish = finish_events,
};

static void begin_element(struct ar_framer *f, struct ar_str name)
{
    (void)name;
    if (f->count == 0) {
        ar_buf_char(f->out, '[');
    } else {
        ar_buf_lit(f->out, ",\r\n");
    }
}

static void end_element(struct ar_framer *f)
{
    f->count++;
}

/* White space may stand between elements: nothing else is silent in JSON. */
static void comment_array(struct ar_framer *f, struct ar_str text)
{
    (void)text;
    ar_buf_char(f->out, '\n');
}

static void finish_array(struct ar_framer *f)
{
    if (f->count == 0) {
        ar_buf_char(f->out, '[');
    }
    ar_buf_char(f->out, ']');
}

const struct ar_framing ar_framing_json_array = {
    .name = "json-array",
    .content_type = "application/json; charset=utf-8",
    .begin = begin_element,
    .end = end_element,
    .comment = comment_array,
    .finish = finish_array,
};
