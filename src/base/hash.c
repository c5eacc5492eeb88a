/*
 * Hashes. SHA-256 is libcrypto's; the table hash is a multiply-and-fold over 8-byte words, good
 * enough for keys that strangers choose only together with a random seed. Owns nothing.
 */
#include "base/hash.h"

#include <openssl/sha.h>

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 m = (unsigned __int128)a * b;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t ar_hash64(struct ar_str s, uint64_t seed)
{
    uint64_t h = seed ^ 0x9e3779b97f4a7c15U;
    size_t i = 0;
    for (; i + 8 <= s.n; i += 8) {
        uint64_t w;
        memcpy(&w, s.p + i, 8);
        h = fold(h ^ w, 0xd6e8feb86659fd93U);
    }
    uint64_t tail = 0;
    if (i < s.n) {
        memcpy(&tail, s.p + i, s.n - i);
    }
    return fold(h ^ tail ^ ((uint64_t)s.n << 56), 0xa0761d6478bd642fU);
}

void ar_sha256(struct ar_str s, uint8_t ret[32])
{
    (void)SHA256((const unsigned char *)s.p, s.n, ret);
}

void ar_sha1(struct ar_str s, uint8_t ret[20])
{
    (void)SHA1((const unsigned char *)s.p, s.n, ret);
}

void ar_sha256_hex(struct ar_str s, unsigned digits, char *ret)
{
    static const char HEX[] = "0123456789abcdef";
    uint8_t sum[32];
    AR_ASSERT(digits <= 64);
    ar_sha256(s, sum);
    for (unsigned i = 0; i < digits; i++) {
        ret[i] = HEX[i % 2 ? sum[i / 2] & 15 : sum[i / 2] >> 4];
    }
    ret[digits] = '\0';
}
