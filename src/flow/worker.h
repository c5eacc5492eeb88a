/* One thread that serves: its loop, connections, pool and what it needs of the process. Made and
 * run by app/; flows borrow it. Worker's thread only, but for what says otherwise. */
#ifndef AR_FLOW_WORKER_H
#define AR_FLOW_WORKER_H

#include "base/rand.h"
#include "conf/snapshot.h"
#include "http/conn.h"
#include "http/endpoint.h"
#include "http/exchange.h"
#include "io/loop.h"
#include "provider/tokens.h"
#include "route/plan.h"
#include "trace/metrics.h"

struct ar_flow;
struct ar_recall;
struct ar_worker {
    struct ar_loop *loop;
    struct ar_server *server;
    struct ar_pool *pool;
    struct ar_tokens *tokens; /* access tokens of places that want one */
    struct ar_metrics *metrics;
    struct ar_route *route;   /* of the process */
    struct ar_recall *recall; /* of the process; NULL: nothing is remembered */
    struct ar_rand rand;
    const struct ar_snapshot *snapshot;  /* the current one; one reference is the worker's */
    const struct ar_endpoint *endpoints; /* local ones; methods NULL ends */
    void *context;                       /* for them */
    struct ar_node flows;                /* running */
    unsigned flow_count;
    struct ar_flow *spare; /* finished, to be used again */
    unsigned spare_count;
    bool draining;
    /* Gives a snapshot back when the last flow on an old one ended. */
    void (*retire)(struct ar_worker *w, const struct ar_snapshot *s);
    void *app;
    unsigned number;
};

/* Begins a flow for a request; ar_on_request of the server, user is the worker. */
void ar_flow_start(void *worker, struct ar_conn *c, const struct ar_request_head *h);
/* Error body for a head that never became a request; ar_on_bad_head of the server. */
int ar_flow_bad_head(void *worker, enum ar_code code, const char *note, struct ar_str path,
                     struct ar_buf *ret_body);
/* Switches to s; old flows go on with theirs. */
void ar_worker_switch(struct ar_worker *w, const struct ar_snapshot *s);
/* Ends what still runs (deadline of a drain) and frees spares. */
void ar_worker_stop_flows(struct ar_worker *w);

#endif
