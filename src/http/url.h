/* Absolute http(s) URLs of configuration: taken apart once, borrowed. Pure; any thread. */
#ifndef AR_HTTP_URL_H
#define AR_HTTP_URL_H

#include "base/str.h"

struct ar_url {
    bool tls;
    struct ar_str host; /* without brackets */
    uint16_t port;
    struct ar_str path;  /* from '/', without query; may be empty; no trailing slash */
    struct ar_str query; /* without '?' */
};
/* AR_INVALID_REQUEST: not http(s)://host[:port][/path][?query], or with user info. */
enum ar_code ar_url_parse(struct ar_str text, struct ar_url *ret) AR_MUST;
/* Value of a query parameter, still percent-encoded; p NULL: absent. */
struct ar_str ar_query_get(struct ar_str query, struct ar_str name);
/* Must the host be reached without a proxy by a NO_PROXY list ("localhost,.corp,10.0.0.0/8,*")? */
bool ar_no_proxy_matches(struct ar_str list, struct ar_str host);

#endif
