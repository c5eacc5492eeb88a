/* What signatures are made of: digests of gathered bytes, HMAC, RSA, and the spellings they travel
 * in. Pure; any thread. */
#ifndef AR_VAULT_SIGN_H
#define AR_VAULT_SIGN_H

#include "base/buf.h"

/* SHA-256 of parts one after the other. */
void ar_sha256_parts(const struct ar_str *parts, unsigned n, uint8_t ret[32]);
/* HMAC with SHA-256 (RFC 2104). */
void ar_hmac_sha256(struct ar_str key, struct ar_str text, uint8_t ret[32]);
/* RS256 (RFC 7518, 3.3): RSASSA-PKCS1-v1_5 with SHA-256. pem: an unencrypted private key, PKCS 8 or
 * PKCS 1. The signature's bytes are appended to out. Errors: AR_UPSTREAM_CREDENTIALS: no such key,
 * or the signature could not be made. */
enum ar_code ar_rs256_sign(struct ar_str pem, struct ar_str text, struct ar_buf *out,
                           struct ar_err *err) AR_MUST;
/* A JSON Web Token in compact form (RFC 7515, 7.1) of JSON header and claims, signed by RS256;
 * appended to out. Errors: as ar_rs256_sign. */
enum ar_code ar_jwt_rs256(struct ar_str header, struct ar_str claims, struct ar_str pem,
                          struct ar_buf *out, struct ar_err *err) AR_MUST;

/* base64url without padding (RFC 4648, 5), appended. */
void ar_base64url(struct ar_str bytes, struct ar_buf *out);
/* base64 with or without padding, no blanks (RFC 4648, 4), decoded and appended. false: it is
 * none. */
bool ar_base64_decode(struct ar_str text, struct ar_buf *out);
/* Lower-case hex of n bytes and a NUL: ret has 2n + 1 bytes. */
void ar_hex(const uint8_t *bytes, size_t n, char *ret);
/* Percent-encodes all but the unreserved characters of RFC 3986; keep_slash: and '/'. Appended. */
void ar_percent_encode(struct ar_str text, bool keep_slash, struct ar_buf *out);

#endif
