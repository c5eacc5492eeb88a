/* A snapshot with health records, made of YAML, and plans asked of it at a time that the test sets.
 */
#ifndef TESTS_ROUTE_RIG_H
#define TESTS_ROUTE_RIG_H

#include "conf/load.h"

#include "route/plan.h"

struct rig {
    struct ar_config *config;
    struct ar_upstreams *upstreams;
    struct ar_snapshot snapshot;
    struct ar_route route;
    struct ar_rand rand;
    struct ar_arena arena;
    struct ar_plan *plan;
    const struct ar_candidate *cand;
    struct ar_err err;
    int64_t now_ms;
};

static inline void rig_init(struct rig *r, const char *yaml)
{
    *r = (struct rig){.config = load_good(yaml), .now_ms = 1000000};
    enum ar_code code = ar_upstreams_build(r->config, &r->upstreams, &r->err);
    if (code != AR_OK) {
        print_error("%s\n", r->err.note);
    }
    assert_int_equal(code, AR_OK);
    r->snapshot = (struct ar_snapshot){.config = r->config, .upstreams = r->upstreams};
    CHECK_OK(ar_route_init(&r->route));
    ar_route_attach(&r->route, r->upstreams);
    ar_rand_init(&r->rand, 7);
    ar_arena_init(&r->arena, 64 << 20);
}

static inline void rig_done(struct rig *r)
{
    ar_arena_done(&r->arena);
    ar_route_done(&r->route);
    ar_config_free(r->config);
}

/* A plan for a model, asked by a Chat client; more: what else is asked. */
static inline enum ar_code rig_ask(struct rig *r, const char *model, struct ar_plan_ask more)
{
    ar_arena_reset(&r->arena);
    more.snapshot = &r->snapshot;
    more.route = &r->route;
    more.rand = &r->rand;
    more.client = more.client ? more.client : &ar_dialect_chat;
    more.model = ar_str_of(model);
    more.now_ms = r->now_ms;
    r->plan = NULL;
    return ar_plan_make(&more, &r->arena, &r->plan, &r->err);
}

static inline void rig_plan(struct rig *r, const char *model)
{
    enum ar_code code = rig_ask(r, model, (struct ar_plan_ask){.pin = {NULL, 0}});
    if (code != AR_OK) {
        print_error("%s\n", r->err.note);
    }
    assert_int_equal(code, AR_OK);
}

/* The first candidate; NULL: none. */
static inline const struct ar_candidate *rig_first(struct rig *r)
{
    r->cand = NULL;
    return ar_plan_next(r->plan, r->now_ms, NULL, &r->cand) == AR_READY ? r->cand : NULL;
}

static inline struct ar_fault rig_fault(enum ar_code code, enum ar_blame blame, int status)
{
    return (struct ar_fault){
        .code = code, .blame = blame, .upstream_status = status, .retry_after_ms = -1};
}

/* The candidate failed, which is reported; the next; NULL: none. */
static inline const struct ar_candidate *rig_fail(struct rig *r, struct ar_fault f)
{
    ar_plan_report(r->plan, r->cand, &f, 0, r->now_ms);
    return ar_plan_next(r->plan, r->now_ms, &f, &r->cand) == AR_READY ? r->cand : (r->cand = NULL);
}

static inline void rig_served(struct rig *r)
{
    ar_plan_report(r->plan, r->cand, NULL, 0, r->now_ms);
}

/* A candidate that must be there. */
static inline const struct ar_candidate *rig_must(const struct ar_candidate *c)
{
    if (!c) {
        _fail(__FILE__, __LINE__);
        abort();
    }
    return c;
}

/* "upstream/host/secret" of a candidate, or "none". */
static inline const char *rig_name(struct rig *r, const struct ar_candidate *c)
{
    if (!c) {
        return "none";
    }
    struct ar_str host = c->base ? c->base->origin.host : AR_LIT("-");
    return ar_arena_fmt(&r->arena, "%.*s/%.*s/%.*s", AR_FMT(c->upstream->name), AR_FMT(host),
                        AR_FMT(c->secret))
        .p;
}

#endif
