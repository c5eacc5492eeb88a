/* Hashes: SHA-256 for names that must be stable everywhere, a fast one for tables. Pure; any
 * thread. */
#ifndef AR_BASE_HASH_H
#define AR_BASE_HASH_H

#include "base/str.h"

/* 64-bit hash of bytes for in-memory tables; not stable across versions, not for secrets. */
uint64_t ar_hash64(struct ar_str s, uint64_t seed);

void ar_sha256(struct ar_str s, uint8_t ret[32]);
/* SHA-1, for protocols that name it (RFC 6455); never for secrets. */
void ar_sha1(struct ar_str s, uint8_t ret[20]);
/* First digits/2 bytes of SHA-256 as lower-case hex: digits even and <= 64; ret has digits + 1
 * bytes. */
void ar_sha256_hex(struct ar_str s, unsigned digits, char *ret);

#endif
