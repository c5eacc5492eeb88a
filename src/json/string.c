/*
 * The inside of strings: from any place to the closing quote, with escapes and UTF-8 checked as RFC
 * 8259 and RFC 3629 say. By blocks of 64 bytes where SSE2 is there, twice as wide where the
 * processor has AVX2 (asked when it is needed). Owns nothing, never decodes.
 */
#include "json/impl.h"

enum { BLOCK = 64 };

/* Bytes of the UTF-8 sequence at p, 0 when it is broken (RFC 3629). */
static unsigned utf8_length(const char *p, const char *end)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t left = (size_t)(end - p);
    if (u[0] < 0x80) {
        return 1;
    }
    if (u[0] >= 0xc2 && u[0] <= 0xdf) {
        return left > 1 && (u[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if ((u[0] & 0xf0) == 0xe0) {
        bool ok = left > 2 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80 &&
                  (u[0] != 0xe0 || u[1] >= 0xa0) && (u[0] != 0xed || u[1] < 0xa0);
        return ok ? 3 : 0;
    }
    if (u[0] >= 0xf0 && u[0] <= 0xf4) {
        bool ok = left > 3 && (u[1] & 0xc0) == 0x80 && (u[2] & 0xc0) == 0x80 &&
                  (u[3] & 0xc0) == 0x80 && (u[0] != 0xf0 || u[1] >= 0x90) &&
                  (u[0] != 0xf4 || u[1] < 0x90);
        return ok ? 4 : 0;
    }
    return 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    int l = c | 0x20;
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int read_hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        int d = hex_value(p[i]);
        if (d < 0) {
            return -1;
        }
        v = v * 16 + d;
    }
    return v;
}

/* Letters behind a backslash that need no look further. */
static const bool SHORT_ESCAPES[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                        ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};

/* An escape at p (on the backslash): its length, 0 when broken; marks lone surrogates. */
static unsigned escape_length(const char *p, const char *end, unsigned *flags)
{
    if (end - p < 2) {
        return 0;
    }
    if (p[1] != 'u') {
        return SHORT_ESCAPES[(unsigned char)p[1]] ? 2 : 0;
    }
    int hi = read_hex4(p + 2, end);
    if (hi < 0) {
        return 0;
    }
    if (hi < 0xd800 || hi > 0xdfff) {
        return 6;
    }
    if (hi <= 0xdbff && end - p >= 12 && p[6] == '\\' && p[7] == 'u') {
        int lo = read_hex4(p + 8, end);
        if (lo >= 0xdc00 && lo <= 0xdfff) {
            return 12;
        }
    }
    *flags |= AR_J_LONE;
    return 6;
}

#ifdef __SSE2__
/* The bytes that a backslash escapes. *carry: the block's first byte is one; then whether the next
 * block's is. A run of backslashes is measured by the carry of an addition: what ends a run of odd
 * length is escaped (Langdale and Lemire, Parsing Gigabytes of JSON per Second, 2019). */
static inline uint64_t escaped_bits(uint64_t slashes, uint64_t *carry)
{
    const uint64_t even = UINT64_C(0x5555555555555555);
    uint64_t first = *carry, odd_ends;
    slashes &= ~first;
    uint64_t starts = slashes & ~(slashes << 1);
    uint64_t even_ends = slashes + (starts & even);
    *carry = __builtin_add_overflow(slashes, starts & ~even, &odd_ends);
    return first | (even_ends & ~slashes & ~even) | (odd_ends & ~slashes & even);
}

/* Skips blocks of 64 bytes with short escapes in them, without a branch a byte. Returns the closing
 * quote, or where a closer look is needed. One text for both widths of register. */
#define SKIP_BLOCKS(stops64, slashes64, letters64)                                                 \
    uint64_t carry = 0, escapes = 0;                                                               \
    for (; end - p >= BLOCK; p += BLOCK) {                                                         \
        uint64_t stops = stops64(p), slashes = slashes64(p), escaped = 0;                          \
        if ((slashes | carry) != 0) {                                                              \
            escaped = escaped_bits(slashes, &carry);                                               \
            stops = (stops & ~escaped) | (escaped & ~letters64(p, escaped));                       \
        }                                                                                          \
        escapes |= slashes & (stops - 1) & ~stops;                                                 \
        if (stops != 0) {                                                                          \
            uint64_t at = (uint64_t)__builtin_ctzll(stops);                                        \
            *flags |= escapes != 0 ? AR_J_ESCAPED : 0;                                             \
            return p + at - (escaped >> at & 1); /* of a longer escape, its backslash */           \
        }                                                                                          \
    }                                                                                              \
    *flags |= escapes != 0 ? AR_J_ESCAPED : 0;                                                     \
    return p - carry

static inline uint64_t stops64_sse2(const char *p)
{
    const __m128i_u *v = (const __m128i_u *)p;
    return stops16(v[0]) | (uint64_t)stops16(v[1]) << 16 | (uint64_t)stops16(v[2]) << 32 |
           (uint64_t)stops16(v[3]) << 48;
}

static inline uint64_t slashes64_sse2(const char *p)
{
    const __m128i_u *v = (const __m128i_u *)p;
    return slashes16(v[0]) | (uint64_t)slashes16(v[1]) << 16 | (uint64_t)slashes16(v[2]) << 32 |
           (uint64_t)slashes16(v[3]) << 48;
}

/* Which of the escaped bytes need no look further. */
static inline uint64_t letters64_sse2(const char *p, uint64_t escaped)
{
    uint64_t ok = 0;
    for (uint64_t left = escaped; left != 0; left &= left - 1) {
        unsigned at = (unsigned)__builtin_ctzll(left);
        ok |= (uint64_t)SHORT_ESCAPES[(unsigned char)p[at]] << at;
    }
    return ok;
}

#define AVX2 __attribute__((target("avx2")))

AVX2 static inline uint64_t stops64_avx2(const char *p)
{
    uint64_t bits = 0;
    for (int i = 0; i < 2; i++) {
        __m256i v = _mm256_loadu_si256((const __m256i_u *)p + i);
        __m256i hit = _mm256_or_si256(_mm256_cmpeq_epi8(v, _mm256_set1_epi8('"')),
                                      _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), v));
        bits |= (uint64_t)(unsigned)_mm256_movemask_epi8(hit) << (32 * i);
    }
    return bits;
}

AVX2 static inline uint64_t slashes64_avx2(const char *p)
{
    uint64_t bits = 0;
    for (int i = 0; i < 2; i++) {
        __m256i v = _mm256_loadu_si256((const __m256i_u *)p + i);
        __m256i hit = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\\'));
        bits |= (uint64_t)(unsigned)_mm256_movemask_epi8(hit) << (32 * i);
    }
    return bits;
}

/* The letters of SHORT_ESCAPES, told by their halves: each high half that occurs has a bit, and the
 * table of low halves says with which of them a low half makes a letter. */
AVX2 static inline uint64_t letters64_avx2(const char *p, uint64_t escaped)
{
    enum { H2 = 1, H5 = 2, H6 = 4, H7 = 8 };
    const __m256i high = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, H2, 0, 0, H5, H6, H7, 0, 0, 0, 0, 0, 0, 0, 0));
    const __m256i low = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 0, H2 | H6 | H7, 0, H7, 0, H6, 0, 0, 0, 0, 0, H5, 0, H6, H2));
    const __m256i half = _mm256_set1_epi8(0x0f);
    uint64_t bits = 0;
    (void)escaped;
    for (int i = 0; i < 2; i++) {
        __m256i v = _mm256_loadu_si256((const __m256i_u *)p + i);
        __m256i l = _mm256_shuffle_epi8(low, _mm256_and_si256(v, half));
        __m256i h = _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), half));
        __m256i none = _mm256_cmpeq_epi8(_mm256_and_si256(l, h), _mm256_setzero_si256());
        bits |= (uint64_t)(unsigned)~_mm256_movemask_epi8(none) << (32 * i);
    }
    return bits;
}

AVX2 static const char *skip_blocks_avx2(const char *p, const char *end, unsigned *flags)
{
    SKIP_BLOCKS(stops64_avx2, slashes64_avx2, letters64_avx2);
}

static const char *skip_blocks_sse2(const char *p, const char *end, unsigned *flags)
{
    SKIP_BLOCKS(stops64_sse2, slashes64_sse2, letters64_sse2);
}

static const char *skip_blocks(const char *p, const char *end, unsigned *flags)
{
    return __builtin_cpu_supports("avx2") ? skip_blocks_avx2(p, end, flags)
                                          : skip_blocks_sse2(p, end, flags);
}
#else
static const char *skip_blocks(const char *p, const char *end, unsigned *flags)
{
    (void)end;
    (void)flags;
    return p;
}
#endif

/* First byte in [p, end) that is a quote, a backslash, a control character or not ASCII. */
static const char *skip_plain(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        unsigned bits = special16(p);
        if (bits != 0) {
            return p + __builtin_ctz(bits);
        }
    }
#endif
    while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' &&
           *p != '\\') {
        p++;
    }
    return p;
}

/* Letters that are not ASCII: where one is, more are. Returns what is none, a broken one included.
 */
static const char *skip_letters(const char *p, const char *end)
{
    unsigned n = 1;
    while (n > 0 && p < end && (unsigned char)*p >= 0x80) {
        n = utf8_length(p, end);
        p += n;
    }
    return p;
}

const char *ar_json_skip_text(const char *p, const char *end, unsigned *flags,
                              const char **ret_where)
{
    for (;;) {
        const char *at = skip_plain(skip_blocks(p, end, flags), end);
        if (at < end && *at == '"') {
            return at;
        }
        p = at;
        if (at < end && *at == '\\') {
            *flags |= AR_J_ESCAPED;
            p += escape_length(at, end, flags);
        } else if (at < end) {
            p = skip_letters(at, end);
        }
        if (p == at || (*at != '\\' && p < end && (unsigned char)*p >= 0x80)) {
            *ret_where = p;
            return NULL;
        }
    }
}
