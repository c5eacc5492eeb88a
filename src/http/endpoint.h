/* A row of the endpoint table: what a path is. Tables live with those who answer; the router walks
 * them in order. */
#ifndef AR_HTTP_ENDPOINT_H
#define AR_HTTP_ENDPOINT_H

#include "base/arena.h"
#include "http/header.h"

struct ar_snapshot;

/* What a local endpoint sees of a request, and where it puts its answer. Borrowed for the call. */
struct ar_local_ask {
    struct ar_str method, path, rest,
        query; /* path: normalised, without prefix; rest: behind a row's prefix */
    const struct ar_header *headers;
    unsigned header_count;
    struct ar_str secrets; /* the caller's, with commas; n 0: none */
    struct ar_arena *arena;
    const struct ar_snapshot *snapshot;
    void *context; /* what the process gave its workers for the endpoints */
};
struct ar_local_answer {
    int status;
    struct ar_str content_type; /* static */
    struct ar_buf *body;
    enum ar_code code; /* not AR_OK: answered as an error in the path's dialect; note says why */
    struct ar_err err;
    int64_t again_ms; /* > 0: not yet; ask again in so many milliseconds. Nothing was written */
};
/* The endpoint is answered in this process at once. */
typedef void ar_local_fn(const struct ar_local_ask *ask, struct ar_local_answer *ret);

struct ar_endpoint {
    const char *methods;        /* "GET,HEAD" */
    const char *path;           /* exact; a trailing '*' takes any rest */
    ar_local_fn *run;           /* NULL: not local, flow knows what to do by op */
    const char *vendor_methods; /* the vendor has these too: passed through; NULL: none */
    uint8_t dialect, op;
    const char *doc;
};

#endif
