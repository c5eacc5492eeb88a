/*
 * Outbound proxies: HTTP CONNECT and SOCKS5.
 */
#include "io/dial.h"
#include "io/impl.h"

enum ar_code ar_proxy_parse(struct ar_str url, struct ar_proxy *ret, struct ar_err *err)
{
    (void)url;
    (void)ret;
    return ar_fail(err, AR_UPSTREAM_CONNECT, "proxies are not built in");
}

enum ar_poll ar_proxy_step(struct ar_proxy_talk *k, const struct ar_proxy *p, struct ar_stream *s,
                           struct ar_str host_port[2], struct ar_err *err)
{
    (void)k;
    (void)p;
    (void)s;
    (void)host_port;
    (void)ar_fail(err, AR_UPSTREAM_CONNECT, "proxies are not built in");
    return AR_FAILED;
}
