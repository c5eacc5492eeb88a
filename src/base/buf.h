/* A growable byte buffer with a mandatory cap and a sticky failure: append freely, check once. Owns
 * its bytes. One thread at a time. */
#ifndef AR_BASE_BUF_H
#define AR_BASE_BUF_H

#include "base/str.h"

struct ar_buf {
    char *p;
    size_t n;   /* bytes in use */
    size_t cap; /* bytes allocated */
    size_t max; /* never grows above */
    bool overflowed;
};

/* max_bytes: the cap; nothing is allocated yet. */
void ar_buf_init(struct ar_buf *b, size_t max_bytes);
/* Frees the bytes; b may be initialised again. NULL-safe fields: a zeroed struct is fine. */
void ar_buf_done(struct ar_buf *b);
/* Forgets content and failure, keeps the memory. */
void ar_buf_clear(struct ar_buf *b);

/* Room for n more bytes at p + n, or false (sticky) when over the cap. */
bool ar_buf_reserve(struct ar_buf *b, size_t n);

static inline void ar_buf_put(struct ar_buf *b, const void *bytes, size_t n)
{
    if (n > 0 && ((b->cap - b->n >= n && !b->overflowed) || ar_buf_reserve(b, n))) {
        memcpy(b->p + b->n, bytes, n);
        b->n += n;
    }
}
static inline void ar_buf_str(struct ar_buf *b, struct ar_str s)
{
    ar_buf_put(b, s.p, s.n);
}
#define ar_buf_lit(b, l) ar_buf_put((b), "" l, sizeof(l) - 1)
static inline void ar_buf_char(struct ar_buf *b, char c)
{
    ar_buf_put(b, &c, 1);
}
void ar_buf_i64(struct ar_buf *b, int64_t v);
void ar_buf_fmt(struct ar_buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first n bytes (moves the rest). */
void ar_buf_eat(struct ar_buf *b, size_t n);

static inline struct ar_str ar_buf_view(const struct ar_buf *b)
{
    return (struct ar_str){b->p, b->n};
}

/* AR_OK, or AR_TOO_LARGE when any append was over the cap. */
static inline enum ar_code AR_MUST ar_buf_finish(const struct ar_buf *b)
{
    return b->overflowed ? AR_TOO_LARGE : AR_OK;
}

#endif
