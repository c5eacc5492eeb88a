/*
 * The NO_PROXY convention: names match themselves and what is below them, with or without a leading
 * dot; IPv4 and IPv6 blocks match by prefix; a star matches all; a port in an entry is ignored.
 * Owns nothing.
 */
#include "http/url.h"

#include <arpa/inet.h>

/* Address bytes of text into ret[16]: 4, 16, or 0 when it is a name. */
static unsigned address_of(struct ar_str text, unsigned char ret[16])
{
    char z[INET6_ADDRSTRLEN];
    if (text.n >= sizeof z) {
        return 0;
    }
    memcpy(z, text.p, text.n);
    z[text.n] = '\0';
    return inet_pton(AF_INET, z, ret) == 1 ? 4 : inet_pton(AF_INET6, z, ret) == 1 ? 16 : 0;
}

static bool is_in_block(struct ar_str host, struct ar_str block)
{
    unsigned char a[16], b[16];
    size_t slash = ar_str_find_char(block, '/');
    int64_t bits;
    unsigned n = address_of(host, a);
    if (slash == block.n || n == 0 || address_of(ar_str_head(block, slash), b) != n ||
        ar_str_to_i64(ar_str_from(block, slash + 1), 0, (int64_t)n * 8, &bits) != AR_OK) {
        return false;
    }
    size_t whole = (size_t)bits / 8;
    unsigned rest = (unsigned)bits % 8;
    return memcmp(a, b, whole) == 0 && (rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0);
}

static bool matches_entry(struct ar_str entry, struct ar_str host)
{
    if (ar_str_is_lit(entry, "*") || is_in_block(host, entry)) {
        return true;
    }
    if (!entry.p || entry.n == 0) {
        return false;
    }
    size_t close = ar_str_find_char(entry, ']');
    if (entry.p[0] == '[' && close < entry.n) { /* an IPv6 address as it stands in a URL */
        entry = ar_str_from(ar_str_head(entry, close), 1);
    }
    size_t colon = ar_str_find_char(entry, ':');
    if (colon < entry.n &&
        ar_str_find_char(ar_str_from(entry, colon + 1), ':') == entry.n - colon - 1) {
        entry = ar_str_head(entry, colon);
    }
    while (ar_str_has_prefix(entry, AR_LIT(".")) || ar_str_has_prefix(entry, AR_LIT("*"))) {
        entry = ar_str_from(entry, 1);
    }
    if (entry.n == 0 || host.n < entry.n) {
        return false;
    }
    struct ar_str end = ar_str_from(host, host.n - entry.n);
    return ar_str_is_nocase(end, entry) &&
           (host.n == entry.n || host.p[host.n - entry.n - 1] == '.');
}

bool ar_no_proxy_matches(struct ar_str list, struct ar_str host)
{
    struct ar_str entry;
    while (ar_str_split(&list, ',', &entry)) {
        entry = ar_str_trim(entry);
        if (entry.n > 0 && matches_entry(entry, host)) {
            return true;
        }
    }
    return false;
}
