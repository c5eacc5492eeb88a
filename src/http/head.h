/* Heads of HTTP/1.x messages: parsed by llhttp without any leniency, kept in one block of memory
 * each. One thread at a time. */
#ifndef AR_HTTP_HEAD_H
#define AR_HTTP_HEAD_H

#include "base/buf.h"
#include "base/wake.h"
#include "http/encoding.h"
#include "http/header.h"

/* Free lists of one server or pool: parsers and blocks are recycled, a head in the ordinary case
 * costs no malloc. */
struct ar_head_reader;
struct ar_head_block;
struct ar_head_cache {
    struct ar_head_reader *readers;
    struct ar_head_block *blocks;
    unsigned reader_count, block_count;
};
void ar_head_cache_init(struct ar_head_cache *c);
void ar_head_cache_done(struct ar_head_cache *c);

enum { AR_LENGTH_CHUNKED = -1, AR_LENGTH_UNTIL_CLOSE = -2 };

struct ar_head { /* borrows from block until ar_head_done */
    struct ar_head_block *block;
    struct ar_header *headers;
    unsigned header_count;
    struct ar_str method, target; /* requests; target as sent */
    int status, minor;            /* status: answers; HTTP/1.minor */
    int64_t length; /* of the body by the headers: >= 0 or AR_LENGTH_*; requests without any: 0 */
    struct ar_str host, expect, content_type, connection, upgrade;
    enum ar_encoding encoding;
    bool keep_alive; /* as HTTP version and Connection say */
};

struct ar_head_limits {
    size_t bytes;
    unsigned headers;
};
/* One head, from its first byte. *r is NULL before the first call and after the last; the reader is
 * taken from the cache while a head is incomplete. READY: *ret (give back by ar_head_done).
 * PENDING: all of in was used. FAILED: err: AR_HEADERS_TOO_LARGE, AR_METHOD_NOT_ALLOWED (TRACE,
 * CONNECT), or AR_INVALID_REQUEST; for answers AR_UPSTREAM_ERROR. *ret_used: bytes of in that
 * belong to the head. */
enum ar_poll ar_head_read_request(struct ar_head_cache *c, struct ar_head_reader **r,
                                  const struct ar_head_limits *limits, struct ar_str in,
                                  size_t *ret_used, struct ar_head *ret, struct ar_err *err);
enum ar_poll ar_head_read_answer(struct ar_head_cache *c, struct ar_head_reader **r,
                                 const struct ar_head_limits *limits, struct ar_str in,
                                 size_t *ret_used, struct ar_head *ret, struct ar_err *err);
/* After FAILED and before the reader is dropped: what is known of a request's target, for the
 * error's shape. */
struct ar_str ar_head_target_so_far(const struct ar_head_reader *r);
void ar_head_reader_drop(struct ar_head_cache *c, struct ar_head_reader **r); /* NULL-safe */
void ar_head_done(struct ar_head_cache *c, struct ar_head *h); /* zeroes h; a zeroed one is fine */

#endif
