/* text/event-stream (WHATWG HTML 9.2): incremental reader, and the framing of our writers. No I/O;
 * one thread at a time. A frame that lies whole in the input is given in place; one that does not
 * is gathered in a buffer capped at frame_max. */
#ifndef AR_HTTP_SSE_H
#define AR_HTTP_SSE_H

#include "base/frame.h"
#include "base/wake.h"

struct ar_sse {
    struct ar_buf carry; /* half a frame */
    struct ar_buf data;  /* several data lines joined */
    size_t frame_max;
    size_t scanned; /* bytes of carry known to hold no frame end */
    bool gave_carry, started;
};
void ar_sse_init(struct ar_sse *s, size_t frame_max);
void ar_sse_done(struct ar_sse *s);
/* READY: one frame, borrows from in and s until the next call. PENDING: all of in was used. FAILED:
 * a frame over its cap. *ret_used: bytes of in that were used, in every case. LF, CRLF and CR end
 * lines; a comment-only block is a frame with empty name and data (raw set), so that relaying loses
 * nothing. A leading byte order mark is skipped. */
enum ar_poll ar_sse_next(struct ar_sse *s, struct ar_str in, size_t *ret_used,
                         struct ar_frame *ret);
/* At the end of the body: the bytes of a last frame without its blank line, as a frame (READY) or
 * PENDING if none is held. */
enum ar_poll ar_sse_rest(struct ar_sse *s, struct ar_frame *ret);
bool ar_sse_is_between(const struct ar_sse *s); /* no half frame is held */

/* framing.c: LF; CRLF; elements of one array. */
extern const struct ar_framing ar_framing_sse, ar_framing_sse_crlf, ar_framing_json_array;

#endif
