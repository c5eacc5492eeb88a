/*
 * WebSocket by wslay, which does frames, fragments, masks, UTF-8 and the close handshake without
 * I/O of its own. Its callbacks take from the bytes at hand and append to a buffer; complete
 * messages wait in a queue, because it may find several in what it has read ahead. The only file
 * that knows it. Owns its buffers.
 */
#include "http/ws.h"

#include "base/hash.h"
#include "base/id.h"

#include <stdlib.h>
#include <sys/types.h>
#include <wslay/wslay.h>

enum { OUT_MAX = 256 << 20, REASON_MAX = 120 };

struct ar_ws {
    wslay_event_context_ptr wslay;
    struct ar_str in; /* of the put under way */
    struct ar_buf out;
    struct ar_buf queue; /* a length and its bytes each */
    size_t queue_at;
    bool is_closing, failed;
};

bool ar_ws_accept(struct ar_str key, char ret[29])
{
    static const struct ar_str MAGIC = AR_LIT_INIT("258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    char raw[32], text[64];
    uint8_t sum[20];
    struct ar_buf bytes = {.p = raw, .cap = sizeof raw, .max = sizeof raw};
    struct ar_buf out = {.p = ret, .cap = 28, .max = 28};
    if (key.n != 24 || ar_b64_decode(key, &bytes) != AR_OK || bytes.n != 16) {
        return false;
    }
    memcpy(text, key.p, key.n);
    memcpy(text + key.n, MAGIC.p, MAGIC.n);
    ar_sha1(ar_str_n(text, key.n + MAGIC.n), sum);
    ar_b64_put(&out, ar_str_n((const char *)sum, sizeof sum));
    ret[28] = '\0';
    return true;
}

static ssize_t take(wslay_event_context_ptr c, uint8_t *to, size_t n, int flags, void *user)
{
    struct ar_ws *w = user;
    (void)flags;
    if (w->in.n == 0) {
        wslay_event_set_error(c, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }
    n = n < w->in.n ? n : w->in.n;
    memcpy(to, w->in.p, n);
    w->in = ar_str_from(w->in, n);
    return (ssize_t)n;
}

/* wslay closes without a code when a control frame is at fault; its peer would look for the fault
 * elsewhere. The close frame of an answered goodbye stays as it is. */
static bool is_bare_close(wslay_event_context_ptr c, const uint8_t *bytes, size_t n)
{
    return n == 2 && bytes[0] == 0x88 && bytes[1] == 0 && !wslay_event_get_read_enabled(c) &&
           !wslay_event_get_close_received(c);
}

static ssize_t give(wslay_event_context_ptr c, const uint8_t *bytes, size_t n, int flags,
                    void *user)
{
    static const uint8_t PROTOCOL_CLOSE[] = {0x88, 2, AR_WS_PROTOCOL >> 8, AR_WS_PROTOCOL & 255};
    struct ar_ws *w = user;
    (void)flags;
    if (is_bare_close(c, bytes, n)) {
        ar_buf_put(&w->out, PROTOCOL_CLOSE, sizeof PROTOCOL_CLOSE);
        return (ssize_t)n;
    }
    ar_buf_put(&w->out, bytes, n);
    if (ar_buf_finish(&w->out) != AR_OK) {
        wslay_event_set_error(c, WSLAY_ERR_CALLBACK_FAILURE);
        return -1;
    }
    return (ssize_t)n;
}

static void take_message(wslay_event_context_ptr c, const struct wslay_event_on_msg_recv_arg *m,
                         void *user)
{
    struct ar_ws *w = user;
    (void)c;
    if (w->is_closing) {
        return;
    }
    if (m->opcode == WSLAY_TEXT_FRAME) {
        size_t n = m->msg_length;
        ar_buf_put(&w->queue, &n, sizeof n);
        ar_buf_put(&w->queue, m->msg, n);
    } else if (m->opcode == WSLAY_BINARY_FRAME) {
        ar_ws_close(w, AR_WS_UNSUPPORTED, AR_LIT("messages are JSON text"));
    }
}

struct ar_ws *ar_ws_new(size_t message_max)
{
    static const struct wslay_event_callbacks CALLBACKS = {
        .recv_callback = take, .send_callback = give, .on_msg_recv_callback = take_message};
    struct ar_ws *w = calloc(1, sizeof *w);
    if (!w || wslay_event_context_server_init(&w->wslay, &CALLBACKS, w) != 0) {
        free(w);
        return NULL;
    }
    wslay_event_config_set_max_recv_msg_length(w->wslay, message_max);
    ar_buf_init(&w->out, OUT_MAX);
    ar_buf_init(&w->queue, 2 * message_max + OUT_MAX);
    return w;
}

void ar_ws_free(struct ar_ws *w)
{
    if (w) {
        wslay_event_context_free(w->wslay);
        ar_buf_done(&w->out);
        ar_buf_done(&w->queue);
        free(w);
    }
}

/* What is queued becomes bytes. */
static void send_all(struct ar_ws *w)
{
    if (wslay_event_want_write(w->wslay) && wslay_event_send(w->wslay) != 0) {
        w->failed = true;
    }
}

bool ar_ws_put(struct ar_ws *w, struct ar_str in)
{
    w->in = in;
    if (wslay_event_want_read(w->wslay) && wslay_event_recv(w->wslay) != 0) {
        w->failed = true;
    }
    w->in = (struct ar_str){NULL, 0};
    send_all(w);
    return !w->failed && wslay_event_want_read(w->wslay);
}

bool ar_ws_next(struct ar_ws *w, struct ar_str *ret)
{
    size_t n;
    if (w->queue_at == w->queue.n) {
        ar_buf_clear(&w->queue);
        w->queue_at = 0;
        return false;
    }
    memcpy(&n, w->queue.p + w->queue_at, sizeof n);
    w->queue_at += sizeof n;
    *ret = ar_str_n(w->queue.p + w->queue_at, n);
    w->queue_at += n;
    return true;
}

static bool queue(struct ar_ws *w, uint8_t opcode, struct ar_str bytes)
{
    struct wslay_event_msg m = {
        .opcode = opcode, .msg = (const uint8_t *)bytes.p, .msg_length = bytes.n};
    bool good = !w->is_closing && !w->failed && wslay_event_queue_msg(w->wslay, &m) == 0;
    send_all(w);
    return good;
}

bool ar_ws_text(struct ar_ws *w, struct ar_str message)
{
    return queue(w, WSLAY_TEXT_FRAME, message);
}

bool ar_ws_ping(struct ar_ws *w)
{
    return queue(w, WSLAY_PING, AR_LIT(""));
}

void ar_ws_close(struct ar_ws *w, enum ar_ws_code code, struct ar_str reason)
{
    if (!w->is_closing) {
        reason = ar_str_head(reason, REASON_MAX);
        w->failed |= wslay_event_queue_close(w->wslay, (uint16_t)code, (const uint8_t *)reason.p,
                                             reason.n) != 0 &&
                     !wslay_event_get_close_sent(w->wslay);
        w->is_closing = true;
        send_all(w);
    }
}

struct ar_str ar_ws_out(struct ar_ws *w)
{
    return ar_buf_view(&w->out);
}

void ar_ws_sent(struct ar_ws *w, size_t n)
{
    ar_buf_eat(&w->out, n);
}

bool ar_ws_is_over(const struct ar_ws *w)
{
    return w->failed ||
           (wslay_event_get_close_sent(w->wslay) && wslay_event_get_close_received(w->wslay)) ||
           (wslay_event_get_close_sent(w->wslay) && !wslay_event_get_read_enabled(w->wslay));
}
