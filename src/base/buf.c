/*
 * The capped buffer. Growth doubles, so appends are amortised constant; an append over the cap
 * writes nothing and marks the buffer, so callers test once at the end. Never prints, never touches
 * a socket.
 */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void ar_buf_init(struct ar_buf *b, size_t max_bytes)
{
    *b = (struct ar_buf){.max = max_bytes};
}

void ar_buf_done(struct ar_buf *b)
{
    free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
    b->overflowed = false;
}

void ar_buf_clear(struct ar_buf *b)
{
    b->n = 0;
    b->overflowed = false;
}

bool ar_buf_reserve(struct ar_buf *b, size_t n)
{
    if (__builtin_expect(b->cap - b->n >= n, 1)) {
        return !b->overflowed;
    }
    size_t need;
    if (b->overflowed || __builtin_add_overflow(b->n, n, &need) || need > b->max) {
        b->overflowed = true;
        return false;
    }
    size_t cap = b->cap > 0 ? b->cap : 256;
    while (cap < need) {
        cap *= 2;
    }
    cap = cap < b->max ? cap : b->max;
    char *p = realloc(b->p, cap);
    AR_ASSERT(p != NULL);
    b->p = p;
    b->cap = cap;
    return true;
}

void ar_buf_i64(struct ar_buf *b, int64_t v)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u > 0);
    if (v < 0) {
        digits[--at] = '-';
    }
    ar_buf_put(b, digits + at, sizeof digits - at);
}

void ar_buf_fmt(struct ar_buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0 && ar_buf_reserve(b, (size_t)n + 1)) {
        (void)vsnprintf(b->p + b->n, (size_t)n + 1, format, again);
        b->n += (size_t)n;
    }
    va_end(again);
}

void ar_buf_eat(struct ar_buf *b, size_t n)
{
    AR_ASSERT(n <= b->n);
    if (n > 0 && n < b->n) {
        memmove(b->p, b->p + n, b->n - n);
    }
    b->n -= n;
}
