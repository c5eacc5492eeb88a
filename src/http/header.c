/* Header lists: look-up by name, the hop-by-hop rule, Retry-After.
 *
 * A list is an array of borrowed spans in the order of the wire; nothing here owns or allocates.
 * Look-ups are linear: heads have ten to thirty headers, and comparing lengths first leaves one or
 * two byte comparisons a look-up. Names are compared without case, values never changed. */
#include "http/header.h"

#include <time.h>

enum { RETRY_MAX_S = 30 * 24 * 3600 };

struct ar_str ar_header_get(const struct ar_header *h, unsigned n, struct ar_str name)
{
    for (unsigned i = 0; i < n; i++) {
        if (h[i].name.n == name.n && ar_str_is_nocase(h[i].name, name)) {
            return h[i].value;
        }
    }
    return (struct ar_str){NULL, 0};
}

static const struct ar_str hop_names[] = {
    AR_LIT_INIT("connection"),
    AR_LIT_INIT("keep-alive"),
    AR_LIT_INIT("proxy-authenticate"),
    AR_LIT_INIT("proxy-authorization"),
    AR_LIT_INIT("te"),
    AR_LIT_INIT("trailer"),
    AR_LIT_INIT("transfer-encoding"),
    AR_LIT_INIT("upgrade"),
    AR_LIT_INIT("proxy-connection"),
    AR_LIT_INIT("http2-settings"),
};

bool ar_header_is_hop(struct ar_str name, struct ar_str connection)
{
    for (size_t i = 0; i < sizeof(hop_names) / sizeof(hop_names[0]); i++) {
        if (hop_names[i].n == name.n && ar_str_is_nocase(hop_names[i], name)) {
            return true;
        }
    }
    struct ar_str token;
    while (connection.n > 0 && ar_str_split(&connection, ',', &token)) {
        if (ar_str_is_nocase(ar_str_trim(token), name)) {
            return true;
        }
    }
    return false;
}

/* Is any of the eight bytes at p below 16? */
static bool has_low8(const char *p)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return ((w - 0x10 * each) & ~w & 0x80 * each) != 0;
}

/* No line break and no NUL; eight bytes at once, the last ones overlapping, while none is low. */
static bool is_one_line(struct ar_str s)
{
    if (s.n >= 8) {
        bool low = has_low8(s.p + s.n - 8);
        for (size_t i = 0; i + 8 < s.n && !low; i += 8) {
            low = has_low8(s.p + i);
        }
        if (!low) {
            return true;
        }
    }
    bool ok = true;
    for (size_t i = 0; i < s.n && ok; i++) {
        ok = s.p[i] != '\n' && s.p[i] != '\r' && s.p[i] != '\0';
    }
    return ok;
}

bool ar_header_is_safe(const struct ar_header *h)
{
    return h->name.n > 0 && is_one_line(h->name) && is_one_line(h->value);
}

/* Two digits at p, or -1. */
static int two_digits(const char *p)
{
    if (p[0] < '0' || p[0] > '9' || p[1] < '0' || p[1] > '9') {
        return -1;
    }
    return (p[0] - '0') * 10 + (p[1] - '0');
}

static int month_of(const char *p)
{
    static const char names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    for (int i = 0; i < 12; i++) {
        if (memcmp(names + (size_t)i * 3, p, 3) == 0) {
            return i;
        }
    }
    return -1;
}

/* IMF-fixdate, the one form that may be sent (RFC 9110 5.6.7): "Sun, 06 Nov 1994 08:49:37 GMT". */
static bool parse_date(struct ar_str s, int64_t *ret_unix_s)
{
    if (s.n != 29 || memcmp(s.p + 25, " GMT", 4) != 0 || s.p[3] != ',') {
        return false;
    }
    struct tm t = {0};
    int century = two_digits(s.p + 12);
    int year = two_digits(s.p + 14);
    t.tm_mday = two_digits(s.p + 5);
    t.tm_mon = month_of(s.p + 8);
    t.tm_hour = two_digits(s.p + 17);
    t.tm_min = two_digits(s.p + 20);
    t.tm_sec = two_digits(s.p + 23);
    if (century < 19 || year < 0 || t.tm_mday < 1 || t.tm_mday > 31 || t.tm_mon < 0 ||
        t.tm_hour < 0 || t.tm_hour > 23 || t.tm_min < 0 || t.tm_min > 59 || t.tm_sec < 0 ||
        t.tm_sec > 60) {
        return false;
    }
    t.tm_year = century * 100 + year - 1900;
    *ret_unix_s = (int64_t)timegm(&t);
    return true;
}

static int64_t decimal_ms(struct ar_str s, double unit_ms)
{
    double v = 0;
    if (ar_str_to_double(s, &v) != AR_OK || !(v >= 0)) {
        return -1;
    }
    double ms = v * unit_ms;
    return ms > RETRY_MAX_S * 1000.0 ? (int64_t)RETRY_MAX_S * 1000 : (int64_t)ms;
}

int64_t ar_header_retry_ms(const struct ar_header *h, unsigned n, int64_t now_unix_ms)
{
    struct ar_str ms = ar_header_lit(h, n, "retry-after-ms");
    if (ms.p) {
        int64_t v = decimal_ms(ar_str_trim(ms), 1);
        if (v >= 0) {
            return v;
        }
    }
    struct ar_str after = ar_header_lit(h, n, "retry-after");
    if (!after.p) {
        return -1;
    }
    after = ar_str_trim(after);
    int64_t at = 0;
    if (parse_date(after, &at)) {
        int64_t left = at * 1000 - now_unix_ms;
        return left < 0                             ? 0
               : left > (int64_t)RETRY_MAX_S * 1000 ? (int64_t)RETRY_MAX_S * 1000
                                                    : left;
    }
    return decimal_ms(after, 1000);
}
