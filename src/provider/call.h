/* Inside of an attempt over HTTP. Private to provider/. */
#ifndef AR_PROVIDER_CALL_H
#define AR_PROVIDER_CALL_H

#include "http/sse.h"
#include "io/loop.h"
#include "provider/auth.h"
#include "provider/aws_stream.h"

enum call_state {
    CALL_PREPARE,    /* encoded; the proof is not ready */
    CALL_HEAD,       /* waiting for status and headers */
    CALL_ERROR_BODY, /* status >= 300: its body is gathered */
    CALL_WHOLE,      /* a JSON body */
    CALL_STREAM,     /* an event stream */
    CALL_PASS,       /* relayed unread */
    CALL_UNFOLD,     /* a whole answer given as events */
    CALL_QUEUE,      /* the last events are queued */
    CALL_OVER        /* END or ERROR was given */
};
enum { CALL_OWN_HEADERS = 8 + AR_AUTH_ADDS, CALL_QUEUE_MAX = 4, CALL_HOLD_MAX = 1 << 20 };

struct http_call {
    struct ar_call call;
    struct ar_call_spec *spec; /* borrows */
    enum call_state state;
    struct ar_arena arena; /* encoding, faults, decoded answer */
    struct ar_arena *mem;  /* small things: the request's own on the native path, else arena */
    bool on_heap;          /* the request's arena had no room for the call itself */
    struct ar_exchange *exchange;
    struct ar_exchange_spec exchange_spec;
    struct ar_header *headers;           /* arena */
    const struct ar_auth_scheme *scheme; /* NULL: a header is all */
    struct ar_buf body;                  /* encoded request */
    struct ar_answer_head head;
    struct ar_undo *undo;
    struct ar_name *stops;
    struct ar_fault early, fault;
    struct ar_timer timer; /* first event, whole answer, lingering */
    bool is_late, relays;
    /* whole answers */
    struct ar_buf whole;
    size_t given; /* bytes of whole already relayed */
    struct ar_response *answer, seen;
    struct ar_unfold unfold;
    struct ar_event queue[CALL_QUEUE_MAX];
    unsigned queued, queue_at;
    /* streams */
    struct ar_reader *reader;
    struct ar_undoer *undoer;
    struct ar_sse sse;
    bool is_aws;      /* the stream is aws instead of sse */
    struct ar_str in; /* rest of what was peeked */
    size_t eat;       /* bytes of the exchange's buffer to be eaten before the next peek */
    bool eof, rest_given, lingers;
    enum ar_code cut_code;
    uint64_t content_bytes, content_frames;
    /* From here on: written before it is read. */
    struct ar_str parts[2 * AR_EDITS_MAX + 1];
    struct ar_auth_job auth;
    struct ar_aws_stream aws;
};

/* call.c. The one way to fail: a fault, with the secret masked, becomes the last event. true. */
bool ar_call_fail(struct http_call *c, const struct ar_fault *fault, struct ar_event *ret);
/* The same by its code; note: for the message, copied. */
bool ar_call_fail_code(struct http_call *c, enum ar_code code, const char *note,
                       struct ar_event *ret);
/* Moves the deadline to so many milliseconds from now; 0: none. */
void ar_call_arm(struct http_call *c, int64_t in_ms);
static inline struct ar_read_how ar_call_how(const struct http_call *c)
{
    return (struct ar_read_how){.target = &c->spec->target,
                                .relay = c->spec->native,
                                .swallow_usage = c->spec->swallow_usage,
                                .content_max = c->spec->whole_max};
}

/* call_whole.c, call_stream.c: one state of next() each. true: an event. false: nothing now, or the
 * state has changed. */
bool ar_call_take_whole(struct http_call *c, struct ar_event *ret);
bool ar_call_take_stream(struct http_call *c, struct ar_event *ret);

#endif
