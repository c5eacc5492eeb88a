/* One request and its answer on an upstream connection, taken from the worker's pool or dialled.
 * Loop thread only. */
#ifndef AR_HTTP_EXCHANGE_H
#define AR_HTTP_EXCHANGE_H

#include "base/wake.h"
#include "http/header.h"

struct ar_exchange;
struct ar_pool; /* keep-alive connections of one worker, by the origin's bytes: outlives every
                   snapshot */
struct ar_loop;
struct ar_tls;

struct ar_pool_limits {
    unsigned idle_per_origin; /* connections kept */
    int64_t idle_ms;          /* how long */
};
struct ar_pool *ar_pool_new(struct ar_loop *l, const struct ar_pool_limits *limits);
/* Closes what idles; exchanges must be closed before. */
void ar_pool_free(struct ar_pool *p);

struct ar_origin { /* one connection may serve all that have the same bytes here */
    bool tls, insecure;
    bool public_only; /* as in ar_dial_spec; never with a proxy */
    uint16_t port;
    struct ar_str host;    /* without brackets */
    struct ar_str proxy;   /* empty: direct */
    struct ar_str ca_file; /* empty: system */
};
struct ar_exchange_spec { /* all of it borrowed until close: a dead reused connection is retried */
    const struct ar_origin *origin;
    struct ar_str method, target;
    const struct ar_header
        *headers; /* Host, Content-Length and Accept-Encoding are added when not there */
    unsigned header_count, part_count;
    const struct ar_str *parts;           /* body, gathered: native pieces are never copied */
    int64_t connect_ms, head_ms, idle_ms; /* idle runs only while the owner has eaten all */
    struct ar_waker *waker;
};
enum ar_phase { AR_PH_DIAL, AR_PH_SEND, AR_PH_HEAD, AR_PH_BODY, AR_PH_OVER };
struct ar_answer_head { /* borrows until close */
    int status;
    const struct ar_header *headers;
    unsigned header_count;
    struct ar_str content_type;
    int64_t length, retry_after_ms; /* -1: not said */
};
struct ar_exchange_facts {
    enum ar_phase phase;
    bool reused, resent;
    int64_t at_us[AR_PH_OVER + 1]; /* when each phase began; 0: never */
    int64_t in_bytes, out_bytes;
};
/* Never fails at once: all faults come from head or peek. A reused connection that dies before the
 * first byte of the answer is replaced by a new one, once, unseen by the owner. */
struct ar_exchange *ar_exchange_start(struct ar_pool *p, const struct ar_exchange_spec *spec);
/* READY even while the body is still being sent (an early 413). 1xx are skipped. FAILED: err
 * (AR_UPSTREAM_*; AR_INVALID_REQUEST: public_only, and the address is not). */
enum ar_poll ar_exchange_head(struct ar_exchange *x, struct ar_answer_head *ret,
                              struct ar_err *err);
/* Decoded body (length, chunks, gzip, zstd, deflate undone). ENDED only for a body complete by its
 * framing; a body cut short is FAILED with AR_UPSTREAM_TRUNCATED; close-delimited ends at FIN.
 * Borrows until the next call. */
enum ar_poll ar_exchange_peek(struct ar_exchange *x, struct ar_str *ret, struct ar_err *err);
void ar_exchange_eat(struct ar_exchange *x, size_t n);
void ar_exchange_facts(const struct ar_exchange *x, struct ar_exchange_facts *ret);
/* Takes x, in any phase. An answer read to its end gives the connection back; else it is reset. */
void ar_exchange_close(struct ar_exchange *x);

#endif
