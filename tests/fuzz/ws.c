/* The server side of a WebSocket. Property: messages and what is sent do not depend on how the
 * input is split, no message is over its cap, nothing is taken after the end. First byte: the cap;
 * second: the split. */
#include "http/ws.h"

#include <stdlib.h>

static void run(struct ar_str in, size_t step, size_t message_max, struct ar_buf *out)
{
    struct ar_ws *w = ar_ws_new(message_max);
    bool open = true;
    AR_ASSERT(w != NULL);
    for (size_t at = 0; open && at < in.n; at += step) {
        struct ar_str message, piece = ar_str_head(ar_str_from(in, at), step);
        char *copy = malloc(piece.n);
        memcpy(copy, piece.p, piece.n);
        open = ar_ws_put(w, ar_str_n(copy, piece.n));
        free(copy);
        while (ar_ws_next(w, &message)) {
            AR_ASSERT(message.n <= message_max);
            ar_buf_i64(out, (int64_t)message.n);
            ar_buf_str(out, message);
        }
    }
    AR_ASSERT(open || ar_ws_out(w).n > 0);
    ar_ws_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 2, size - 2);
    size_t message_max = (size_t)data[0] * 4 + 1;
    struct ar_buf whole, parts;
    ar_buf_init(&whole, 64 << 20);
    ar_buf_init(&parts, 64 << 20);
    run(in, in.n + 1, message_max, &whole);
    run(in, data[1] % 16 + 1, message_max, &parts);
    AR_ASSERT(ar_str_is(ar_buf_view(&whole), ar_buf_view(&parts)));
    ar_buf_done(&whole);
    ar_buf_done(&parts);
    return 0;
}
