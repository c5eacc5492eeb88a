/* The server side of a WebSocket (RFC 6455) on bytes: what came is put in, messages come out; what
 * is to be sent lies in a buffer. No I/O; one thread at a time. */
#ifndef AR_HTTP_WS_H
#define AR_HTTP_WS_H

#include "base/buf.h"
#include "base/wake.h"

/* Sec-WebSocket-Accept for a key. false: the key is none (16 bytes in base64). */
bool ar_ws_accept(struct ar_str key, char ret[29]);

enum ar_ws_code {
    AR_WS_NORMAL = 1000,
    AR_WS_GOING_AWAY = 1001,
    AR_WS_PROTOCOL = 1002,
    AR_WS_UNSUPPORTED = 1003,
    AR_WS_POLICY = 1008,
    AR_WS_TOO_BIG = 1009,
    AR_WS_INTERNAL = 1011
};

struct ar_ws;
/* message_max: bytes of one message, all its fragments together; a larger one ends the connection
 * with 1009. NULL: no memory. */
struct ar_ws *ar_ws_new(size_t message_max);
void ar_ws_free(struct ar_ws *w); /* NULL-safe */

/* Takes all of in. false: nothing more is read (a close frame came, or a fault: its close frame is
 * in the bytes to be sent). Pings are answered, fragments joined, UTF-8 checked, unmasked frames
 * refused. */
bool ar_ws_put(struct ar_ws *w, struct ar_str in);
/* The next text message; borrows until the next call. false: none. A binary message ends the
 * connection with 1003. */
bool ar_ws_next(struct ar_ws *w, struct ar_str *ret);
/* Queue; nothing after a close. false: no memory, or closing. */
bool ar_ws_text(struct ar_ws *w, struct ar_str message);
bool ar_ws_ping(struct ar_ws *w);
void ar_ws_close(struct ar_ws *w, enum ar_ws_code code, struct ar_str reason);

/* What is to be sent; borrows until the next call. */
struct ar_str ar_ws_out(struct ar_ws *w);
void ar_ws_sent(struct ar_ws *w, size_t n);
/* Both sides have said close, or it cannot go on: when out is empty the connection ends. */
bool ar_ws_is_over(const struct ar_ws *w);

#endif
