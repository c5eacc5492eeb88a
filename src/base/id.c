/*
 * Made ids and text encodings. An id is spelled by a generator that starts from seed, label and
 * number: no clock, no counter, no state of its own, so the same request renders the same bytes. It
 * is a name, not a secret. Owns nothing.
 */
#include "base/id.h"

static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char B64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). */
static uint64_t next_word(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* n characters of an alphabet of size base: a generator that starts from seed, label and number. */
static void spell(const uint8_t seed[16], const char *label, unsigned nth, unsigned n,
                  const char *set, unsigned base, char *ret)
{
    uint64_t half[2], word = 0;
    memcpy(half, seed, sizeof half);
    uint64_t state = half[0] ^ next_word(&half[1]) ^ nth;
    for (const char *c = label; *c; c++) {
        state = (next_word(&state) ^ (unsigned char)*c) + half[1];
    }
    for (unsigned i = 0; i < n; i++) {
        word = i % 4 == 0 ? next_word(&state) : word >> 16;
        ret[i] = set[(word & 0xffff) % base];
    }
    ret[n] = '\0';
}

void ar_id_base62(const uint8_t seed[16], const char *label, unsigned nth, unsigned n, char *ret)
{
    spell(seed, label, nth, n, BASE62, 62, ret);
}

void ar_id_hex(const uint8_t seed[16], const char *label, unsigned nth, unsigned n, char *ret)
{
    spell(seed, label, nth, n, "0123456789abcdef", 16, ret);
}

static void encode(struct ar_buf *out, struct ar_str s, const char *set, bool pad)
{
    if (!ar_buf_reserve(out, (s.n + 2) / 3 * 4)) {
        return;
    }
    for (size_t i = 0; i < s.n; i += 3) {
        size_t left = s.n - i;
        uint32_t w = (uint32_t)(uint8_t)s.p[i] << 16;
        w |= left > 1 ? (uint32_t)(uint8_t)s.p[i + 1] << 8 : 0;
        w |= left > 2 ? (uint32_t)(uint8_t)s.p[i + 2] : 0;
        ar_buf_char(out, set[w >> 18]);
        ar_buf_char(out, set[(w >> 12) & 63]);
        if (left > 1 || pad) {
            ar_buf_char(out, left > 1 ? set[(w >> 6) & 63] : '=');
        }
        if (left > 2 || pad) {
            ar_buf_char(out, left > 2 ? set[w & 63] : '=');
        }
    }
}

void ar_b64_put(struct ar_buf *out, struct ar_str bytes)
{
    encode(out, bytes, B64, true);
}

void ar_b64url_put(struct ar_buf *out, struct ar_str bytes)
{
    encode(out, bytes, B64URL, false);
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

enum ar_code ar_b64_decode(struct ar_str text, struct ar_buf *out)
{
    while (text.n > 0 && text.p[text.n - 1] == '=') {
        text.n--;
    }
    if (text.n % 4 == 1) {
        return AR_INVALID_REQUEST;
    }
    uint32_t w = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        int v = value_of(text.p[i]);
        if (v < 0) {
            return AR_INVALID_REQUEST;
        }
        w = (w << 6) | (uint32_t)v;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            ar_buf_char(out, (char)(w >> bits));
        }
    }
    return ar_buf_finish(out);
}

static int hex_of(char c)
{
    return c >= '0' && c <= '9'                 ? c - '0'
           : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                : -1;
}

struct ar_str ar_percent_decode(struct ar_str s, struct ar_arena *a)
{
    if (ar_str_find_char(s, '%') == s.n) {
        return s;
    }
    char *p = ar_arena_alloc(a, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.n; i++) {
        int hi = i + 2 < s.n && s.p[i] == '%' ? hex_of(s.p[i + 1]) : -1;
        int lo = hi >= 0 ? hex_of(s.p[i + 2]) : -1;
        p[n++] = lo >= 0 ? (char)(hi * 16 + lo) : s.p[i];
        i += lo >= 0 ? 2 : 0;
    }
    return (struct ar_str){p, n};
}
