/* What all workers know of a key or a place: resting, in flight, rates, turns. Records of C11
 * atomics that outlive every snapshot, in fixed-size open-addressed tables. Any thread; no locks.
 * Times: monotonic milliseconds. */
#ifndef AR_ROUTE_HEALTH_H
#define AR_ROUTE_HEALTH_H

#include "base/str.h"

#include <stdatomic.h>

/* Memory order is relaxed throughout: each field stands for itself, and a decision on a value a
 * moment old is a decision. */
struct ar_health {
    _Atomic uint64_t id;           /* 0: free slot */
    _Atomic int64_t rest_until_ms; /* 0: fit */
    _Atomic int rest_is_hard;      /* told by Retry-After: not tried before */
    _Atomic int in_flight, fails;  /* fails: in a row */
    _Atomic uint64_t turn;         /* of what hangs below it */
    _Atomic uint64_t served;
    _Atomic int64_t rpm_tat_ms, tpm_tat_ms; /* GCRA: theoretical arrival time */
    _Atomic uint64_t day;                   /* day number << 32 | requests of that day */
    _Atomic int64_t used_ms;                /* last use; eviction of strangers */
};

struct ar_health_table;
/* slots: power of two. evict_ms 0: never evicts. NULL: out of memory. */
struct ar_health_table *ar_health_table_new(unsigned slots, int64_t evict_ms);
void ar_health_table_free(struct ar_health_table *t);
/* Record of an id (kind tells names apart), made on first use. NULL: the table is full; callers do
 * without. */
struct ar_health *ar_health_get(struct ar_health_table *t, const char *kind, struct ar_str id,
                                int64_t now_ms);
uint64_t ar_health_full_count(const struct ar_health_table *t); /* how often it was full */

enum ar_fitness { AR_FIT, AR_RESTS_SOFT, AR_RESTS_HARD };
/* NULL is fit. *ret_until_ms: when the rest ends. */
enum ar_fitness ar_health_fitness(const struct ar_health *h, int64_t now_ms, int64_t *ret_until_ms);
void ar_health_rest(struct ar_health *h, int64_t until_ms, bool hard);
void ar_health_recover(struct ar_health *h); /* it served: no failures in a row, no rest */
int ar_health_fail(struct ar_health *h);     /* one more; returns how many in a row */
uint64_t ar_health_turn(struct ar_health *h);

/* Limits of a key; 0 is none. */
struct ar_key_limits {
    int64_t rpm, tpm, daily_requests, concurrency;
};
/* Takes a place within the limits. false: not now; *ret_until_ms when to try again (AR concurrency:
 * now + 1 s). */
bool ar_health_take(struct ar_health *h, const struct ar_key_limits *l, int64_t now_ms,
                    int64_t *ret_until_ms);
/* Gives it back; tokens used count against tpm. */
void ar_health_give(struct ar_health *h, const struct ar_key_limits *l, int64_t tokens,
                    int64_t now_ms);

#endif
