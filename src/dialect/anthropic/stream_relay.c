/* The stream of a native call: its bytes are relayed. A frame is known by its event name, and only
 * what the gateway must know is parsed: start, usage, stop, errors, and everything until the first
 * content (the commit point). Owns nothing. */
#include "dialect/anthropic/stream_read.h"

/* The bytes are enough, nothing in them has to be known. */
static bool is_only_bytes(const struct ar_reader *r, enum ar_anthropic_frame kind)
{
    return kind == AR_AF_PING ||
           (r->committed &&
            (kind == AR_AF_DELTA || kind == AR_AF_BLOCK_START || kind == AR_AF_BLOCK_STOP));
}

void ar_anthropic_relay_frame(struct ar_reader *r, const struct ar_frame *f)
{
    enum ar_anthropic_frame kind = ar_anthropic_frame_of(f->name);
    r->frame = f->raw;
    r->has_frame = true;
    if (is_only_bytes(r, kind)) {
        ar_queue_put(&r->queue,
                     (struct ar_event){.kind = kind == AR_AF_PING ? AR_EV_PING : AR_EV_RAW});
        return;
    }
    ar_anthropic_note_frame(r, kind, f);
    if (r->has_frame && r->queue.n == 0 && !r->ending) {
        ar_queue_put(
            &r->queue,
            (struct ar_event){.kind = f->data.n > 0 || f->name.n > 0 ? AR_EV_RAW : AR_EV_PING});
    }
}

void ar_anthropic_relay_end(struct ar_reader *r)
{
    r->has_frame = true;
    r->frame = AR_LIT("");
}

void ar_anthropic_relay_event(struct ar_reader *r, struct ar_event *ev)
{
    if (r->has_frame) {
        ev->raw = r->frame;
        r->frame = AR_LIT("");
    }
}
