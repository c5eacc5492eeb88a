/* Ids that the gateway makes, and encodings of bytes as text. Pure; any thread. */
#ifndef AR_BASE_ID_H
#define AR_BASE_ID_H

#include "base/arena.h"

/* n base62 characters that depend on (seed, label, nth) alone; ret has n + 1 bytes, n <= 64. The
 * same seed gives the same id, so a translation stays a pure function of its stamp. */
void ar_id_base62(const uint8_t seed[16], const char *label, unsigned nth, unsigned n, char *ret);
/* The same in hex. */
void ar_id_hex(const uint8_t seed[16], const char *label, unsigned nth, unsigned n, char *ret);

/* base64 (RFC 4648), standard alphabet with padding, and url-safe without. */
void ar_b64_put(struct ar_buf *out, struct ar_str bytes);
void ar_b64url_put(struct ar_buf *out, struct ar_str bytes);
/* Either alphabet, padding optional, white space refused. AR_INVALID_REQUEST. out gets the bytes.
 */
enum ar_code ar_b64_decode(struct ar_str text, struct ar_buf *out) AR_MUST;

/* %XX decoded into the arena; p NULL over the cap. A broken escape stays as it is. */
struct ar_str ar_percent_decode(struct ar_str s, struct ar_arena *a);

#endif
