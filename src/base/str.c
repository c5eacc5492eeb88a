/*
 * Borrowed strings: searching, trimming, splitting, and the only place where digits of the outside
 * world become integers. Nothing here allocates, copies or needs a NUL.
 */
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* The same for eight bytes at once: what is ASCII and neither below 'A' nor above 'Z' gets bit 5.
 */
static uint64_t lower8(uint64_t w)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t low = w & 0x7f * each;
    uint64_t from_a = low + (0x80 - 'A') * each, above_z = low + (0x7f - 'Z') * each;
    return w | (from_a & ~above_z & ~w & 0x80 * each) >> 2;
}

static uint64_t load8(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

/* All of four to eight bytes, some of them twice. */
static uint64_t load_short(const char *p, size_t n)
{
    uint32_t first, last;
    memcpy(&first, p, sizeof first);
    memcpy(&last, p + n - sizeof last, sizeof last);
    return (uint64_t)last << 32 | first;
}

bool ar_same_nocase(const char *a, const char *b, size_t n)
{
    if (n >= 8) { /* the last eight may overlap those before */
        for (size_t i = 0; i + 8 < n; i += 8) {
            if (lower8(load8(a + i)) != lower8(load8(b + i))) {
                return false;
            }
        }
        return lower8(load8(a + n - 8)) == lower8(load8(b + n - 8));
    }
    if (n >= 4) {
        return lower8(load_short(a, n)) == lower8(load_short(b, n));
    }
    for (size_t i = 0; i < n; i++) {
        if (lower(a[i]) != lower(b[i])) {
            return false;
        }
    }
    return true;
}

size_t ar_str_find(struct ar_str s, struct ar_str needle)
{
    if (needle.n == 0 || needle.n > s.n) {
        return s.n;
    }
    const char *hit = memmem(s.p, s.n, needle.p, needle.n);
    return hit ? (size_t)(hit - s.p) : s.n;
}

size_t ar_str_find_nocase(struct ar_str s, struct ar_str needle)
{
    for (size_t i = 0; needle.n > 0 && i + needle.n <= s.n; i++) {
        if (ar_same_nocase(s.p + i, needle.p, needle.n)) {
            return i;
        }
    }
    return s.n;
}

size_t ar_str_find_char(struct ar_str s, char c)
{
    const char *hit = s.n > 0 ? memchr(s.p, c, s.n) : NULL;
    return hit ? (size_t)(hit - s.p) : s.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct ar_str ar_str_trim(struct ar_str s)
{
    while (s.n > 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

bool ar_str_split(struct ar_str *rest, char sep, struct ar_str *ret_piece)
{
    if (!rest->p) {
        return false;
    }
    size_t at = ar_str_find_char(*rest, sep);
    *ret_piece = ar_str_head(*rest, at);
    *rest = at < rest->n ? ar_str_from(*rest, at + 1) : (struct ar_str){NULL, 0};
    return true;
}

/* Without a star inside: what most patterns are. */
static bool has_inner(struct ar_str s, struct ar_str glob)
{
    return ar_str_has(s, ar_str_n(glob.p + 1, glob.n - 2));
}

bool ar_str_matches_glob(struct ar_str s, struct ar_str glob)
{
    if (glob.n > 2 && glob.p[0] == '*' &&
        memchr(glob.p + 1, '*', glob.n - 1) == glob.p + glob.n - 1) {
        return has_inner(s, glob);
    }
    size_t i = 0, g = 0, star = SIZE_MAX, mark = 0;
    while (i < s.n) {
        if (g < glob.n && glob.p[g] == '*') {
            star = g++;
            mark = i;
        } else if (g < glob.n && glob.p[g] == s.p[i]) {
            g++;
            i++;
        } else if (star != SIZE_MAX) {
            g = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (g < glob.n && glob.p[g] == '*') {
        g++;
    }
    return g == glob.n;
}

int ar_str_compare(struct ar_str s, struct ar_str t)
{
    size_t n = s.n < t.n ? s.n : t.n;
    int order = n > 0 ? memcmp(s.p, t.p, n) : 0;
    return order != 0 ? order : (s.n > t.n) - (s.n < t.n);
}

enum ar_code ar_str_to_i64(struct ar_str s, int64_t min, int64_t max, int64_t *ret)
{
    bool minus = s.n > 0 && s.p[0] == '-';
    int64_t v = 0;
    if (s.n == (minus ? 1U : 0U)) {
        return AR_INVALID_REQUEST;
    }
    for (size_t i = minus ? 1 : 0; i < s.n; i++) {
        int d = s.p[i] - '0';
        if (d < 0 || d > 9 || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, minus ? -d : d, &v)) {
            return AR_INVALID_REQUEST;
        }
    }
    if (v < min || v > max) {
        return AR_INVALID_REQUEST;
    }
    *ret = v;
    return AR_OK;
}

enum ar_code ar_str_to_double(struct ar_str s, double *ret)
{
    char z[64];
    if (s.n == 0 || s.n >= sizeof z || is_blank(s.p[0])) {
        return AR_INVALID_REQUEST;
    }
    memcpy(z, s.p, s.n);
    z[s.n] = '\0';
    char *end;
    errno = 0;
    double d = strtod(z, &end);
    if (end != z + s.n || errno == ERANGE) {
        return AR_INVALID_REQUEST;
    }
    *ret = d;
    return AR_OK;
}
