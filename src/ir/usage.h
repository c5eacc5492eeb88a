/* Token counts of an answer, in the one form that every dialect reads into and writes from. Pure
 * data; any thread. */
#ifndef AR_IR_USAGE_H
#define AR_IR_USAGE_H

#include <stdbool.h>
#include <stdint.h>

/* Tokens; -1 unknown. in_total includes cached and cache writes, out_total includes reasoning.
 * short and long are the cache writes by time to live (5m/30m, 1h/12h). */
struct ar_usage {
    int64_t in_total, in_cached, in_cache_write, in_cache_write_short, in_cache_write_long;
    int64_t in_audio, in_image, in_tool, out_total, out_reasoning, out_audio, web_search, web_fetch;
    bool estimated;
};

/* All unknown. */
void ar_usage_clear(struct ar_usage *u);
bool ar_usage_is_known(const struct ar_usage *u); /* in_total and out_total are */
/* Cumulative counts: each counter of from that is known overwrites. */
void ar_usage_merge(struct ar_usage *into, const struct ar_usage *from);
/* Unknown as 0, for wire fields that are typed as numbers. */
static inline int64_t ar_tokens(int64_t n)
{
    return n > 0 ? n : 0;
}

#endif
