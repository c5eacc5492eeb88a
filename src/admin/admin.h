/* Every answer that is no LLM exchange: facts about the service and its models. Runs on a worker's
 * thread, answers at once. */
#ifndef AR_ADMIN_ADMIN_H
#define AR_ADMIN_ADMIN_H

#include "conf/snapshot.h"
#include "http/endpoint.h"
#include "http/exchange.h"
#include "trace/metrics.h"

/* What the endpoints of one worker may look at; made by app/, borrowed. */
struct ar_model_cache;
struct ar_recall;
struct ar_admin {
    const char *version;
    struct ar_metrics *const *metrics; /* of all workers */
    unsigned metrics_count;
    struct ar_model_cache *models; /* of this worker */
    const bool *draining;
    struct ar_recall *recall; /* of the process; NULL: none */
};

#define X(methods, path, run, doc) ar_local_fn run;
#include "admin/endpoints.def"
#undef X
extern const struct ar_endpoint ar_admin_endpoints[]; /* methods NULL ends */

/* Model lists of the upstreams, fetched when asked, kept for minutes. Worker's thread. */
struct ar_model_cache *ar_model_cache_new(struct ar_loop *l, struct ar_pool *p);
void ar_model_cache_free(struct ar_model_cache *c);
/* Drops what is being fetched: the snapshot it borrows is about to go. newest: generation of the
 * one that comes; nothing is fetched for older ones any more. */
void ar_model_cache_forget(struct ar_model_cache *c, uint64_t newest);

#endif
