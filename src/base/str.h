/* Borrowed bytes: pointer and length by value, no NUL assumed. Nothing here allocates or owns. Any
 * thread. */
#ifndef AR_BASE_STR_H
#define AR_BASE_STR_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* printf a string: printf("%.*s", AR_FMT(s)) */
#define AR_FMT(s) (int)(s).n, (s).p
/* A string of a literal; usable in constant initialisers as AR_LIT_INIT. */
#define AR_LIT(l) ((struct ar_str){"" l, sizeof(l) - 1})
#define AR_LIT_INIT(l)                                                                             \
    {                                                                                              \
        "" l, sizeof(l) - 1                                                                        \
    }

/* p NULL means "absent" where a header says so; n 0 with p set means "empty". */
struct ar_str {
    const char *p;
    size_t n;
};

static inline struct ar_str ar_str_of(const char *z)
{
    return (struct ar_str){z, z ? strlen(z) : 0};
}

static inline struct ar_str ar_str_n(const char *p, size_t n)
{
    return (struct ar_str){p, n};
}

static inline bool ar_str_is(struct ar_str s, struct ar_str t)
{
    return s.n == t.n && (s.n == 0 || memcmp(s.p, t.p, s.n) == 0);
}

#define ar_str_is_lit(s, l) ar_str_is((s), AR_LIT(l))

static inline bool ar_str_has_prefix(struct ar_str s, struct ar_str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool ar_str_has_suffix(struct ar_str s, struct ar_str suffix)
{
    return s.n >= suffix.n && memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0;
}

/* s from at on; empty when at is past the end. */
static inline struct ar_str ar_str_from(struct ar_str s, size_t at)
{
    return at >= s.n ? (struct ar_str){s.p ? s.p + s.n : NULL, 0}
                     : (struct ar_str){s.p + at, s.n - at};
}

/* The first n bytes of s, or all of it. */
static inline struct ar_str ar_str_head(struct ar_str s, size_t n)
{
    return (struct ar_str){s.p, n < s.n ? n : s.n};
}

/* ASCII case is ignored; for header names, hosts and units. */
bool ar_same_nocase(const char *a, const char *b, size_t n);
/* Most pairs differ in their first letter: told here. */
static inline bool ar_str_is_nocase(struct ar_str s, struct ar_str t)
{
    return s.n == t.n &&
           (s.n == 0 || (((s.p[0] ^ t.p[0]) & 0xdf) == 0 && ar_same_nocase(s.p, t.p, s.n)));
}
static inline bool ar_str_has_prefix_nocase(struct ar_str s, struct ar_str prefix)
{
    return s.n >= prefix.n && ar_str_is_nocase(ar_str_head(s, prefix.n), prefix);
}

/* Offset of the first needle, or s.n. */
size_t ar_str_find(struct ar_str s, struct ar_str needle);
size_t ar_str_find_nocase(struct ar_str s, struct ar_str needle);
size_t ar_str_find_char(struct ar_str s, char c);
static inline bool ar_str_has(struct ar_str s, struct ar_str needle)
{
    return ar_str_find(s, needle) < s.n || needle.n == 0;
}

/* Without spaces, tabs, CR and LF at both ends. */
struct ar_str ar_str_trim(struct ar_str s);

/* Cuts the next piece off *rest at sep: true while there is one ("a,,b" has three). */
bool ar_str_split(struct ar_str *rest, char sep, struct ar_str *ret_piece);

/* Shell-like pattern, case-sensitive: '*' is any run of bytes, '/' included; no other operator. */
bool ar_str_matches_glob(struct ar_str s, struct ar_str glob);

/* Order of bytes: <0, 0, >0. */
int ar_str_compare(struct ar_str s, struct ar_str t);

/* Whole string as a decimal integer in [min, max]. AR_INVALID_REQUEST otherwise. */
enum ar_code ar_str_to_i64(struct ar_str s, int64_t min, int64_t max, int64_t *ret) AR_MUST;

/* Whole string as a decimal number (JSON syntax or config's "2.00"). AR_INVALID_REQUEST otherwise.
 */
enum ar_code ar_str_to_double(struct ar_str s, double *ret) AR_MUST;

#endif
