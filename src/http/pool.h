/* Inside of the upstream side: what pool.c (idle connections) and exchange.c (one request) share.
 * Not for other folders: http/exchange.h is the contract. Loop thread only. */
#ifndef AR_HTTP_POOL_H
#define AR_HTTP_POOL_H

#include "base/list.h"
#include "base/map.h"
#include "http/exchange.h"
#include "http/head.h"
#include "io/loop.h"
#include "io/stream.h"
#include "io/tls.h"

struct ar_pool_origin { /* all connections of one origin */
    struct ar_node node;
    struct ar_str key;   /* owns */
    struct ar_tls *tls;  /* one reference; NULL until first needed */
    struct ar_node idle; /* newest first */
    unsigned idle_count, users;
};

struct ar_pool {
    struct ar_loop *loop;
    struct ar_pool_limits limits;
    struct ar_map by_key;
    struct ar_node origins;
    struct ar_node idle; /* of all origins, oldest first */
    struct ar_node free_idle, free_exchanges;
    unsigned origin_count, free_idle_count, free_exchange_count;
    struct ar_timer timer;
    struct ar_head_cache heads;
    struct ar_tls *system_tls; /* with the system's trust, shared by origins; NULL until needed */
    struct ar_buf scratch;     /* a request's head, or an origin's key, while it is made */
};

/* The origin, kept until ar_pool_leave. */
struct ar_pool_origin *ar_pool_enter(struct ar_pool *p, const struct ar_origin *o);
void ar_pool_leave(struct ar_pool *p, struct ar_pool_origin *at);
/* TLS settings of the origin, borrowed. NULL and err. */
struct ar_tls *ar_pool_tls(struct ar_pool *p, struct ar_pool_origin *at, const struct ar_origin *o,
                           struct ar_err *err);
/* The newest idle connection that still lives, or NULL. The caller takes it and sets its waker. */
struct ar_stream *ar_pool_take(struct ar_pool *p, struct ar_pool_origin *at);
/* Takes a connection that waits for a request. */
void ar_pool_put(struct ar_pool *p, struct ar_pool_origin *at, struct ar_stream *s);
/* Frees the recycled exchanges (exchange.c). */
void ar_exchange_free_all(struct ar_pool *p);

#endif
