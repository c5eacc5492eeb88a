/* Who could serve a request, best first, asked for one at a time: health is read when a candidate
 * is taken, not when the plan is made. Loop thread; shares only atomics. */
#ifndef AR_ROUTE_PLAN_H
#define AR_ROUTE_PLAN_H

#include "base/rand.h"
#include "base/wake.h"
#include "conf/snapshot.h"
#include "provider/upstream.h"
#include "route/health.h"

struct ar_plan;

/* Process-wide state of routing; outlives snapshots. */
struct ar_route {
    struct ar_health_table *own, *strangers;
};
/* NULL-safe done. AR_INTERNAL: out of memory. */
enum ar_code ar_route_init(struct ar_route *r) AR_MUST;
void ar_route_done(struct ar_route *r);
/* Hangs health records on a freshly built set of upstreams; before it is published. */
void ar_route_attach(struct ar_route *r, struct ar_upstreams *u);

struct ar_candidate { /* borrows the plan's snapshot and the request's memory */
    const struct ar_upstream *upstream;
    const struct ar_dialect *dialect;
    const struct ar_base *base;
    const struct ar_key *key; /* NULL: the caller's, or none */
    struct ar_str secret;     /* n 0: none */
    bool callers_secret;
    struct ar_str model; /* to be sent */
    char key_print[9];   /* fingerprint of the secret; empty: none */
    const char *why;     /* static text for the trace */
    unsigned attempt;    /* 1 is the first */
    /* private */
    struct ar_health *key_health;
    struct ar_key_limits limits;
    unsigned entry, key_at, base_at;
};

struct ar_plan_ask {
    const struct ar_snapshot *snapshot;
    struct ar_route *route;
    struct ar_rand *rand;
    const struct ar_dialect *client; /* NULL: pass-through of any path */
    struct ar_str model;             /* as asked */
    struct ar_str wishes, models;    /* raw OpenRouter wishes of the body; absent: none */
    struct ar_str pin;               /* X-AnyRouter-Provider; n 0: none */
    struct ar_str only_key;          /* the key_print of the one key that may serve; n 0: any */
    struct ar_str client_keys;       /* the caller's secret, or several with commas; n 0: none */
    bool any_model; /* a pass-through that names none: the first by priority that speaks the dialect
                     */
    bool callers_only; /* only the caller's own key may pay */
    bool as_bytes;     /* a pass-through: nobody without a wire can serve it */
    bool embeds;       /* embeddings: only OpenAI's and Gemini's dialects have them */
    int64_t now_ms;
};
/* Errors: AR_MODEL_NOT_FOUND (near matches in the note), AR_KEY_MISSING, AR_NO_UPSTREAM,
 * AR_TOO_LARGE. Arena. */
enum ar_code ar_plan_make(const struct ar_plan_ask *ask, struct ar_arena *a, struct ar_plan **ret,
                          struct ar_err *err) AR_MUST;

/* The next candidate, its concurrency slot taken. fault: why the last was left; NULL at first.
 * READY; ENDED: none is left, or fault is the caller's; ask ar_plan_verdict. */
enum ar_poll ar_plan_next(struct ar_plan *p, int64_t now_ms, const struct ar_fault *fault,
                          const struct ar_candidate **ret);
/* Exactly once for each candidate taken: gives the slot back and teaches health. fault NULL:
 * served. Faults of the caller and cancelled attempts (AR_CLIENT_CLOSED) teach nothing. tokens:
 * used, 0 unknown. */
void ar_plan_report(struct ar_plan *p, const struct ar_candidate *c, const struct ar_fault *fault,
                    int64_t tokens, int64_t now_ms);
/* What the caller is told when all failed: the most useful fault, not the last. *ret_as_is: the
 * upstream refused the caller's own key or request: its status and text are the answer. */
void ar_plan_verdict(const struct ar_plan *p, int64_t now_ms, struct ar_fault *ret,
                     bool *ret_as_is);

/* Upstream names and near matches of a model for messages; public for the models list: does any
 * upstream serve it to the caller? */
bool ar_route_alias(const struct ar_config *c, struct ar_str model, struct ar_str *ret);

#endif
