/*
 * The request arena: a list of blocks, bump-allocated. Build modes: normal; under ASan the unused
 * tail of a block is poisoned, so overruns inside the arena are seen; with AR_ARENA_EMULATE each
 * allocation is its own malloc, so every tool sees every object. Never frees piecemeal, never
 * aborts on a hostile size.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#ifdef HAS_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION((p), (n))
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION((p), (n))
enum { REDZONE = 16 };
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
enum { REDZONE = 0 };
#endif

enum { ALIGN = 16, BLOCK_BYTES = 4096, KEEP_BYTES = 65536 };

struct ar_arena_block {
    struct ar_arena_block *next;
    size_t cap, used;
    _Alignas(ALIGN) char bytes[];
};

void ar_arena_init(struct ar_arena *a, size_t max_bytes)
{
    *a = (struct ar_arena){.max_bytes = max_bytes};
}

static void free_list(struct ar_arena_block *b)
{
    while (b) {
        struct ar_arena_block *next = b->next;
        UNPOISON(b->bytes, b->cap);
        free(b);
        b = next;
    }
}

void ar_arena_done(struct ar_arena *a)
{
    free_list(a->blocks);
    *a = (struct ar_arena){.max_bytes = a->max_bytes};
}

void ar_arena_reset(struct ar_arena *a)
{
    struct ar_arena_block *keep = a->blocks;
    if (keep && (keep->next || keep->cap > KEEP_BYTES)) {
        a->first_bytes = a->used_bytes < KEEP_BYTES ? a->used_bytes : KEEP_BYTES;
        free_list(keep);
        keep = NULL;
    }
    a->blocks = keep;
    a->used_bytes = keep ? keep->cap : 0;
    a->overflowed = false;
    if (keep) {
        keep->used = 0;
        POISON(keep->bytes, keep->cap);
    }
}

/* A block that holds at least n bytes, or NULL over the cap. */
static struct ar_arena_block *add_block(struct ar_arena *a, size_t n)
{
    size_t cap = a->used_bytes > BLOCK_BYTES ? a->used_bytes : BLOCK_BYTES; /* all doubles */
    cap = cap < (1U << 20) ? cap : (1U << 20);
    cap = !a->blocks && a->first_bytes > cap ? a->first_bytes : cap;
#ifdef AR_ARENA_EMULATE
    cap = n;
#endif
    cap = cap > n ? cap : n;
    size_t total;
    if (__builtin_add_overflow(a->used_bytes, cap, &total) || total > a->max_bytes) {
        cap = n; /* the last block may be an exact fit */
        if (__builtin_add_overflow(a->used_bytes, cap, &total) || total > a->max_bytes) {
            return NULL;
        }
    }
    struct ar_arena_block *b = malloc(sizeof *b + cap);
    AR_ASSERT(b != NULL);
    *b = (struct ar_arena_block){.next = a->blocks, .cap = cap};
    POISON(b->bytes, b->cap);
    a->used_bytes = total;
    a->blocks = b;
    return b;
}

void *ar_arena_alloc(struct ar_arena *a, size_t n)
{
    size_t size;
    if (__builtin_add_overflow(n, (size_t)ALIGN - 1 + REDZONE, &size)) {
        a->overflowed = true;
        return NULL;
    }
    size &= ~(size_t)(ALIGN - 1);
    struct ar_arena_block *b = a->blocks;
#ifdef AR_ARENA_EMULATE
    b = NULL;
#endif
    if (!b || b->cap - b->used < size) {
        b = add_block(a, size);
        if (!b) {
            a->overflowed = true;
            return NULL;
        }
    }
    void *p = b->bytes + b->used;
    b->used += size;
    UNPOISON(p, n);
    return p;
}

void *ar_arena_zalloc(struct ar_arena *a, size_t n)
{
    void *p = ar_arena_alloc(a, n);
    return p ? memset(p, 0, n) : NULL;
}

struct ar_str ar_arena_copy(struct ar_arena *a, struct ar_str s)
{
    char *p = ar_arena_alloc(a, s.n + 1);
    if (!p) {
        return (struct ar_str){NULL, 0};
    }
    if (s.n > 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return (struct ar_str){p, s.n};
}

struct ar_str ar_arena_join(struct ar_arena *a, struct ar_str s, struct ar_str t)
{
    char *p = ar_arena_alloc(a, s.n + t.n + 1);
    struct ar_buf b = {.p = p, .cap = s.n + t.n + 1, .max = s.n + t.n + 1};
    if (!p) {
        return (struct ar_str){NULL, 0};
    }
    ar_buf_str(&b, s);
    ar_buf_str(&b, t);
    ar_buf_char(&b, '\0');
    return (struct ar_str){p, s.n + t.n};
}

struct ar_str ar_arena_fmt(struct ar_arena *a, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *p = n >= 0 ? ar_arena_alloc(a, (size_t)n + 1) : NULL;
    if (p) {
        (void)vsnprintf(p, (size_t)n + 1, format, again);
    }
    va_end(again);
    return (struct ar_str){p, p ? (size_t)n : 0};
}

struct ar_str ar_arena_i64(struct ar_arena *a, int64_t v)
{
    char digits[24];
    struct ar_buf b = {.p = digits, .cap = sizeof digits, .max = sizeof digits};
    ar_buf_i64(&b, v);
    return ar_arena_copy(a, ar_buf_view(&b));
}
