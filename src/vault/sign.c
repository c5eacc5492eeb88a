/*
 * Digests, HMAC, RSA signatures by OpenSSL, and base64, hex and percent-encoding by hand. The
 * wrapper of OpenSSL for this folder. Owns nothing between calls and keeps no key: a caller who
 * signs often would pay for reading the key each time, but tokens are asked for once an hour. What
 * is allocated by the library is freed before returning; a failure of the library that is not a
 * matter of the key cannot be told to anybody and ends the program.
 */
#include "vault/sign.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>

void ar_sha256_parts(const struct ar_str *parts, unsigned n, uint8_t ret[32])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
    for (unsigned i = 0; ok && i < n; i++) {
        ok = parts[i].n == 0 || EVP_DigestUpdate(ctx, parts[i].p, parts[i].n) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, ret, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    AR_ASSERT(ok);
}

void ar_hmac_sha256(struct ar_str key, struct ar_str text, uint8_t ret[32])
{
    unsigned n = 32;
    const void *empty = "";
    bool ok = HMAC(EVP_sha256(), key.n > 0 ? (const void *)key.p : empty, (int)key.n,
                   (const unsigned char *)(text.n > 0 ? (const void *)text.p : empty), text.n, ret,
                   &n) != NULL;
    AR_ASSERT(ok && n == 32);
}

/* No pass phrase is ever asked for on a terminal. */
static int no_phrase(char *buf, int size, int writes, void *user)
{
    (void)buf;
    (void)size;
    (void)writes;
    (void)user;
    return 0;
}

static EVP_PKEY *read_key(struct ar_str pem)
{
    BIO *in = pem.n <= 1U << 16 ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
    EVP_PKEY *key = in ? PEM_read_bio_PrivateKey(in, NULL, no_phrase, NULL) : NULL;
    BIO_free(in);
    if (key && EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

enum ar_code ar_rs256_sign(struct ar_str pem, struct ar_str text, struct ar_buf *out,
                           struct ar_err *err)
{
    EVP_PKEY *key = read_key(pem);
    EVP_MD_CTX *ctx = key ? EVP_MD_CTX_new() : NULL;
    size_t n = 0;
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(ctx, NULL, &n, (const unsigned char *)text.p, text.n) == 1 &&
              ar_buf_reserve(out, n) &&
              EVP_DigestSign(ctx, (unsigned char *)out->p + out->n, &n,
                             (const unsigned char *)text.p, text.n) == 1;
    if (ok) {
        out->n += n;
    }
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok ? AR_OK
              : ar_fail(err, AR_UPSTREAM_CREDENTIALS, "%s",
                        key ? "the private key cannot sign"
                            : "the private key is no RSA key in PEM form");
}

enum ar_code ar_jwt_rs256(struct ar_str header, struct ar_str claims, struct ar_str pem,
                          struct ar_buf *out, struct ar_err *err)
{
    struct ar_buf signature;
    size_t begin = out->n;
    ar_base64url(header, out);
    ar_buf_char(out, '.');
    ar_base64url(claims, out);
    if (ar_buf_finish(out) != AR_OK) {
        return ar_fail(err, AR_TOO_LARGE, "the token is too large");
    }
    ar_buf_init(&signature, 1U << 16);
    enum ar_code code =
        ar_rs256_sign(pem, ar_str_n(out->p + begin, out->n - begin), &signature, err);
    if (code == AR_OK) {
        ar_buf_char(out, '.');
        ar_base64url(ar_buf_view(&signature), out);
        code = ar_buf_finish(out);
    }
    ar_buf_done(&signature);
    return code;
}

void ar_base64url(struct ar_str bytes, struct ar_buf *out)
{
    static const char DIGITS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const unsigned char *p = (const unsigned char *)bytes.p;
    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t left = bytes.n - i;
        uint32_t v = (uint32_t)p[i] << 16 | (left > 1 ? (uint32_t)p[i + 1] << 8 : 0) |
                     (left > 2 ? (uint32_t)p[i + 2] : 0);
        for (unsigned k = 0; k < (left > 2 ? 4 : left + 1); k++) {
            ar_buf_char(out, DIGITS[v >> (18 - 6 * k) & 63U]);
        }
    }
}

/* Value of a base64 digit; 64: none. */
static uint32_t digit_of(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (uint32_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint32_t)(c - 'a') + 26;
    }
    if (c >= '0' && c <= '9') {
        return (uint32_t)(c - '0') + 52;
    }
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

bool ar_base64_decode(struct ar_str text, struct ar_buf *out)
{
    bool padded = text.n % 4 == 0;
    for (unsigned i = 0; padded && i < 2 && text.n > 0 && text.p[text.n - 1] == '='; i++) {
        text.n--;
    }
    if (text.n % 4 == 1 || !ar_buf_reserve(out, text.n / 4 * 3 + 3)) {
        return false;
    }
    char *to = out->p + out->n;
    uint32_t bits = 0, bad = 0;
    unsigned count = 0;
    for (size_t i = 0; i < text.n; i++) {
        uint32_t d = digit_of(text.p[i]);
        bad |= d & 64U;
        bits = bits << 6 | (d & 63U);
        count += 6;
        if (count >= 8) {
            count -= 8;
            *to++ = (char)(bits >> count & 255U);
        }
    }
    if (bad != 0) {
        return false;
    }
    out->n = (size_t)(to - out->p);
    return true;
}

void ar_hex(const uint8_t *bytes, size_t n, char *ret)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = DIGITS[bytes[i] >> 4];
        ret[2 * i + 1] = DIGITS[bytes[i] & 15U];
    }
    ret[2 * n] = '\0';
}

void ar_percent_encode(struct ar_str text, bool keep_slash, struct ar_buf *out)
{
    static const char DIGITS[] = "0123456789ABCDEF";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && keep_slash);
        if (plain) {
            ar_buf_char(out, (char)c);
        } else {
            ar_buf_char(out, '%');
            ar_buf_char(out, DIGITS[c >> 4]);
            ar_buf_char(out, DIGITS[c & 15U]);
        }
    }
}
