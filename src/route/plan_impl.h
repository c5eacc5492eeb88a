/* Inside of a plan. Private to route/: plan.c makes it, moves.c walks it. */
#ifndef AR_ROUTE_PLAN_IMPL_H
#define AR_ROUTE_PLAN_IMPL_H

#include "route/plan.h"

struct ar_plan_entry {
    const struct ar_upstream *u;
    const struct ar_dialect *dialect;
    struct ar_str model;
    const char *why;
    bool callers;         /* keys are the caller's */
    bool started;         /* key_from and base_from are set */
    unsigned keys, bases; /* sizes of the grid; keys at least 1 */
    unsigned key_from, base_from;
    uint64_t *tried;     /* a base each; bit k: (base, key k) was taken */
    unsigned dead_bases; /* bits: nobody answers there */
};

struct ar_plan {
    struct ar_arena *arena;
    struct ar_route *route;
    struct ar_rand *rand;
    const struct ar_config *conf;
    struct ar_str only_key;    /* as asked */
    struct ar_str client_list; /* the caller's keys as they came */
    struct ar_str *client_keys;
    unsigned client_key_count;
    struct ar_plan_entry *entries;
    unsigned entry_count, entry_cap, entry_at;
    unsigned attempts, max_attempts, retries;
    struct ar_candidate cand;
    bool taken;
    struct ar_fault best; /* the most useful so far */
    bool best_as_is;
    int64_t rest_until_ms; /* earliest end of the hard rests met; 0: none */
};

/* A configured weight as it counts: an absurd one is as good as a large one. */
uint64_t ar_plan_weight(int64_t weight);

#endif
