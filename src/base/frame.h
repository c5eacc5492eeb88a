/* One event of a wire stream, without its framing, and how events become bytes. Pure data; any
 * thread. */
#ifndef AR_BASE_FRAME_H
#define AR_BASE_FRAME_H

#include "base/buf.h"

/* raw is every byte the event came from, separators included: the raws of a body, joined, are the
 * body. Borrows until the reader is fed again. */
struct ar_frame {
    struct ar_str name, data, raw;
};

struct ar_framing;
/* A dialect's writer calls begin, appends JSON to out, calls end; it never knows which framing it
 * feeds. */
struct ar_framer {
    const struct ar_framing *how;
    struct ar_buf *out; /* borrows */
    unsigned count;     /* frames written */
};

struct ar_framing {
    const char *name, *content_type;
    void (*begin)(struct ar_framer *f, struct ar_str name); /* name empty: no event line */
    void (*end)(struct ar_framer *f);
    void (*comment)(struct ar_framer *f, struct ar_str text); /* text empty: a keep-alive */
    void (*finish)(struct ar_framer *f); /* closing bytes, if the framing has any */
};

#endif
