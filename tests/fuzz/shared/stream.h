/* What the targets of answers share: an upstream's stream and whole answer, read in one dialect and
 * written for clients of every dialect. A broken property aborts. */
#ifndef AR_FUZZ_SHARED_STREAM_H
#define AR_FUZZ_SHARED_STREAM_H

#include "dialect/dialect.h"
#include "target.h"

struct fuzz_answer {
    const struct ar_dialect *d; /* the upstream's */
    struct ar_target target;
    size_t step; /* bytes at once when the stream is cut; at least 1 */
    bool blind;  /* relayed, its blocks are bytes after the commit and not told */
};

/* The stream: the events keep the invariants of ir/event.h and do not depend on how the bytes are
 * cut, every writer takes them, and the raws of a relayed stream are its frames. */
void fuzz_stream(const struct fuzz_answer *how, struct ar_str in);

/* The same bytes as one answer, as an observed one, as an error and as a count. */
void fuzz_whole(const struct fuzz_answer *how, struct ar_str in);

#endif
