/*
 * Token counts. The counters are the leading int64 members of the struct, in one row, so that
 * clearing and merging are loops over a table of offsets and a new counter is one line here. Owns
 * nothing, estimates nothing.
 */
#include "ir/usage.h"

#include <stddef.h>
#include <string.h>

static const size_t COUNTERS[] = {
    offsetof(struct ar_usage, in_total),
    offsetof(struct ar_usage, in_cached),
    offsetof(struct ar_usage, in_cache_write),
    offsetof(struct ar_usage, in_cache_write_short),
    offsetof(struct ar_usage, in_cache_write_long),
    offsetof(struct ar_usage, in_audio),
    offsetof(struct ar_usage, in_image),
    offsetof(struct ar_usage, in_tool),
    offsetof(struct ar_usage, out_total),
    offsetof(struct ar_usage, out_reasoning),
    offsetof(struct ar_usage, out_audio),
    offsetof(struct ar_usage, web_search),
    offsetof(struct ar_usage, web_fetch),
};
enum { COUNTER_COUNT = sizeof COUNTERS / sizeof COUNTERS[0] };
_Static_assert(offsetof(struct ar_usage, estimated) == COUNTER_COUNT * sizeof(int64_t),
               "every counter has a row");

static int64_t *counter(struct ar_usage *u, unsigned i)
{
    return (int64_t *)(void *)((char *)u + COUNTERS[i]);
}

void ar_usage_clear(struct ar_usage *u)
{
    memset(u, 0xff, offsetof(struct ar_usage, estimated)); /* -1, all of them */
    u->estimated = false;
}

bool ar_usage_is_known(const struct ar_usage *u)
{
    return u->in_total >= 0 && u->out_total >= 0;
}

void ar_usage_merge(struct ar_usage *into, const struct ar_usage *from)
{
    struct ar_usage copy = *from;
    for (unsigned i = 0; i < COUNTER_COUNT; i++) {
        int64_t n = *counter(&copy, i);
        if (n >= 0) {
            *counter(into, i) = n;
        }
    }
    /* what was estimated stays so until both totals were told */
    into->estimated =
        ar_usage_is_known(from) ? from->estimated : into->estimated || from->estimated;
}
