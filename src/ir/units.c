/*
 * Escaped text in whole characters. Upstreams cut their deltas where they like, even between the
 * halves of a surrogate pair, so everything that looks inside text asks here what is complete.
 */
#include "ir/units.h"

#include "json/scan.h"

static int hex_of(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

/* Value of the \uXXXX at p; -1 when it is none. */
static int32_t code_unit(const char *p)
{
    int32_t v = 0;
    if (p[0] != '\\' || p[1] != 'u') {
        return -1;
    }
    for (int i = 2; i < 6; i++) {
        int h = hex_of(p[i]);
        if (h < 0) {
            return -1;
        }
        v = v * 16 + h;
    }
    return v;
}

static bool is_high(int32_t c)
{
    return c >= 0xd800 && c <= 0xdbff;
}

/* Could s still become the escape of a low surrogate? s is shorter than one. */
static bool may_be_low(struct ar_str s)
{
    static const char LOW[] = "\\ud";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool fits = i < 2    ? c == LOW[i]
                    : i == 2 ? (c | 32) == 'd'
                    : i == 3 ? (c | 32) >= 'c' && (c | 32) <= 'f'
                             : hex_of(c) >= 0;
        if (!fits) {
            return false;
        }
    }
    return true;
}

/* Length of the escape at the start of s; 0: more is needed. */
static size_t escape_length(struct ar_str s, bool is_last)
{
    if (s.n < 2) {
        return is_last ? s.n : 0;
    }
    if (s.p[1] != 'u') {
        return 2;
    }
    if (s.n < 6) {
        return is_last ? s.n : 0;
    }
    if (!is_high(code_unit(s.p))) {
        return 6;
    }
    if (s.n < 12) {
        return !is_last && may_be_low(ar_str_n(s.p + 6, s.n - 6)) ? 0 : 6;
    }
    int32_t low = code_unit(s.p + 6);
    return low >= 0xdc00 && low <= 0xdfff ? 12 : 6;
}

/* Bytes of a sequence that begins with c. */
static size_t sequence_want(unsigned char c)
{
    return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
}

/* Length of the UTF-8 sequence at the start of s; 0: more is needed. */
static size_t sequence_length(struct ar_str s, bool is_last)
{
    size_t want = sequence_want((unsigned char)s.p[0]);
    for (size_t i = 1; i < want; i++) {
        if (i >= s.n) {
            return is_last ? s.n : 0;
        }
        if (((unsigned char)s.p[i] & 0xc0) != 0x80) {
            return i;
        }
    }
    return want;
}

bool ar_unit_next(struct ar_str *rest, bool is_last, struct ar_unit *ret)
{
    struct ar_str s = *rest;
    if (s.n == 0) {
        return false;
    }
    ret->n = s.p[0] == '\\' ? escape_length(s, is_last) : sequence_length(s, is_last);
    if (ret->n == 0) {
        return false;
    }
    struct ar_str one = ar_str_head(s, ret->n);
    struct ar_buf b = {.p = ret->dec, .cap = sizeof ret->dec, .max = sizeof ret->dec};
    unsigned char c = (unsigned char)one.p[0];
    bool broken = c == '\\' ? one.n == 1 : c >= 0x80 && (c < 0xc0 || one.n < sequence_want(c));
    if (one.p[0] == '\\' && one.n >= 2 && one.p[1] == 'u') {
        broken = one.n < 6 || code_unit(one.p) < 0;
    }
    if (broken) {
        ar_buf_lit(&b, "\xef\xbf\xbd");
    } else {
        ar_json_unescape(one, &b);
    }
    ret->dec_n = (unsigned)b.n;
    *rest = ar_str_n(s.p + ret->n, s.n - ret->n);
    return true;
}
