/*
 * Made ids and text encodings. An id is cut from SHA-256 over seed, label and number: no clock, no
 * counter, no random state, so the same request renders the same bytes. Owns nothing.
 */
#include "base/id.h"

#include "base/hash.h"

static const char BASE62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
static const char B64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char B64URL[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* n characters of an alphabet of size base; two hashes give 64 bytes of material. */
static void spell(const uint8_t seed[16], const char *label, unsigned nth, unsigned n,
                  const char *set, unsigned base, char *ret)
{
    char in[64];
    uint8_t sum[64];
    AR_ASSERT(n <= 64);
    memcpy(in, seed, 16);
    size_t label_n = strnlen(label, 32);
    memcpy(in + 16, label, label_n);
    memcpy(in + 16 + label_n, &nth, sizeof nth);
    size_t len = 16 + label_n + sizeof nth;
    ar_sha256(ar_str_n(in, len), sum);
    if (n > 32) {
        in[len] = 1;
        ar_sha256(ar_str_n(in, len + 1), sum + 32);
    }
    for (unsigned i = 0; i < n; i++) {
        ret[i] = set[sum[i] % base];
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
