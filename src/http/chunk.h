/* Chunked transfer coding (RFC 9112 7.1), strict: CRLF only, sizes of hex digits only, extensions
 * and trailers bounded and dropped. No I/O, no memory. */
#ifndef AR_HTTP_CHUNK_H
#define AR_HTTP_CHUNK_H

#include "base/str.h"
#include "base/wake.h"

struct ar_chunk {
    uint64_t left; /* data bytes of the current chunk; while a size is read: the size so far */
    uint16_t state;
    uint16_t extra; /* bytes of extensions and trailers so far */
};
enum { AR_CHUNK_EXTRA_MAX = 8192, AR_CHUNK_HEAD_MAX = 20 };

/* Reads framing at the front of in, up to the next data byte. *ret_used: framing bytes to drop.
 * READY: in after them starts with min(left, what is there) > 0 data bytes; subtract from left what
 * is eaten. PENDING: more is needed. ENDED: the last chunk and its trailers are done. FAILED:
 * broken framing. */
enum ar_poll ar_chunk_read(struct ar_chunk *c, struct ar_str in, size_t *ret_used);
/* Writes the size line of a chunk of n bytes: returns its length, at most AR_CHUNK_HEAD_MAX. */
size_t ar_chunk_head(size_t n, char *ret);

#endif
