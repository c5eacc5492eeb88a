/* Bump allocator of one request: everything in it dies together. Capped: over the cap an allocation
 * is NULL and the arena is marked (sticky), which is AR_TOO_LARGE, never an abort. Owns its blocks.
 * One thread at a time. */
#ifndef AR_BASE_ARENA_H
#define AR_BASE_ARENA_H

#include "base/buf.h"

struct ar_arena_block;
struct ar_arena {
    struct ar_arena_block *blocks; /* newest first */
    size_t used_bytes;             /* all blocks together */
    size_t max_bytes;
    size_t first_bytes; /* of the first block: what was needed before the last reset */
    bool overflowed;
};

void ar_arena_init(struct ar_arena *a, size_t max_bytes);
/* Frees everything. NULL-safe: a zeroed struct is fine. */
void ar_arena_done(struct ar_arena *a);
/* Forgets everything and the mark; what comes next finds one block of moderate size that holds as
 * much as was needed so far. */
void ar_arena_reset(struct ar_arena *a);

/* n bytes, aligned for any type, not cleared; NULL over the cap. */
void *ar_arena_alloc(struct ar_arena *a, size_t n);
/* The same, cleared. */
void *ar_arena_zalloc(struct ar_arena *a, size_t n);
#define ar_arena_new(a, type) ((type *)ar_arena_zalloc((a), sizeof(type)))

/* Copy of s in the arena; p NULL over the cap. NUL follows the bytes, outside n. */
struct ar_str ar_arena_copy(struct ar_arena *a, struct ar_str s);
/* s and t, NUL-terminated; p NULL over the cap. */
struct ar_str ar_arena_join(struct ar_arena *a, struct ar_str s, struct ar_str t);
/* Formatted text in the arena. */
struct ar_str ar_arena_fmt(struct ar_arena *a, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A number in decimal, in the arena. */
struct ar_str ar_arena_i64(struct ar_arena *a, int64_t v);

/* AR_OK, or AR_TOO_LARGE when any allocation was over the cap. */
static inline enum ar_code AR_MUST ar_arena_finish(const struct ar_arena *a)
{
    return a->overflowed ? AR_TOO_LARGE : AR_OK;
}

#endif
