/* Header lists and the few helpers that both sides of HTTP need. Pure; any thread. */
#ifndef AR_HTTP_HEADER_H
#define AR_HTTP_HEADER_H

#include "base/str.h"

struct ar_header {
    struct ar_str name, value;
};

/* Value of the first header of that name (any case); p NULL: absent. */
struct ar_str ar_header_get(const struct ar_header *h, unsigned n, struct ar_str name);
#define ar_header_lit(h, n, l) ar_header_get((h), (n), AR_LIT(l))
/* Hop-by-hop (RFC 9110 7.6.1), or named in the message's own Connection header: never forwarded. */
bool ar_header_is_hop(struct ar_str name, struct ar_str connection);
/* May it be written to the wire? false: a line break or NUL in it would split the message, or it
 * has no name. */
bool ar_header_is_safe(const struct ar_header *h);
/* Retry-After: seconds or HTTP date; retry-after-ms wins. Milliseconds from now_unix_ms; -1: not
 * said or nonsense. */
int64_t ar_header_retry_ms(const struct ar_header *h, unsigned n, int64_t now_unix_ms);

#endif
