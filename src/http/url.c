/* URLs of configuration and query strings of requests: cut into borrowed pieces, nothing decoded.
 *
 * Only what a base URL may be is accepted: scheme http or https, a host, and no user info, because
 * a password in a URL ends up in logs. A fragment is refused: it never reaches a server. */
#include "http/url.h"

static bool is_host_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
}

static bool is_v6_byte(char c)
{
    return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || (c >= '0' && c <= '9') || c == ':' ||
           c == '.' || c == '%';
}

static bool all_are(struct ar_str s, bool (*is)(char c))
{
    for (size_t i = 0; i < s.n; i++) {
        if (!is(s.p[i])) {
            return false;
        }
    }
    return s.n > 0;
}

/* authority -> host and port; the port is untouched when none is said. */
static enum ar_code parse_authority(struct ar_str a, struct ar_url *ret)
{
    struct ar_str rest;
    if (a.n > 0 && a.p[0] == '[') {
        size_t end = ar_str_find_char(a, ']');
        if (end == a.n) {
            return AR_INVALID_REQUEST;
        }
        ret->host = ar_str_n(a.p + 1, end - 1);
        rest = ar_str_from(a, end + 1);
        if (!all_are(ret->host, is_v6_byte)) {
            return AR_INVALID_REQUEST;
        }
    } else {
        size_t colon = ar_str_find_char(a, ':');
        ret->host = ar_str_head(a, colon);
        rest = ar_str_from(a, colon);
        if (!all_are(ret->host, is_host_byte)) {
            return AR_INVALID_REQUEST;
        }
    }
    if (rest.n == 0) {
        return AR_OK;
    }
    int64_t port = 0;
    if (rest.p[0] != ':' || ar_str_to_i64(ar_str_from(rest, 1), 1, 65535, &port) != AR_OK) {
        return AR_INVALID_REQUEST;
    }
    ret->port = (uint16_t)port;
    return AR_OK;
}

enum ar_code ar_url_parse(struct ar_str text, struct ar_url *ret)
{
    struct ar_url url = {0};
    if (ar_str_has_prefix_nocase(text, AR_LIT("https://"))) {
        url.tls = true;
    } else if (!ar_str_has_prefix_nocase(text, AR_LIT("http://"))) {
        return AR_INVALID_REQUEST;
    }
    url.port = url.tls ? 443 : 80;
    for (size_t i = 0; i < text.n; i++) {
        if ((unsigned char)text.p[i] <= ' ' || text.p[i] == 0x7f || text.p[i] == '#') {
            return AR_INVALID_REQUEST;
        }
    }
    struct ar_str rest = ar_str_from(text, url.tls ? 8 : 7);
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?') {
        end++;
    }
    enum ar_code code = parse_authority(ar_str_head(rest, end), &url);
    if (code != AR_OK) {
        return code;
    }
    rest = ar_str_from(rest, end);
    size_t mark = ar_str_find_char(rest, '?');
    url.path = ar_str_head(rest, mark);
    url.query = ar_str_from(rest, mark + 1);
    while (url.path.n > 0 && url.path.p[url.path.n - 1] == '/') {
        url.path.n--;
    }
    *ret = url;
    return AR_OK;
}

struct ar_str ar_query_get(struct ar_str query, struct ar_str name)
{
    struct ar_str pair;
    while (query.n > 0 && ar_str_split(&query, '&', &pair)) {
        size_t eq = ar_str_find_char(pair, '=');
        if (ar_str_is(ar_str_head(pair, eq), name)) {
            struct ar_str value = ar_str_from(pair, eq + 1);
            return value.p ? value : AR_LIT("");
        }
    }
    return (struct ar_str){NULL, 0};
}
