/*
 * Numeric addresses to text and back. Pure.
 */
#include "io/impl.h"

#include <arpa/inet.h>
#include <stdio.h>

bool ar_addr_parse(struct ar_str host, uint16_t port, union ar_addr *ret)
{
    char text[64];
    if (host.n == 0 || host.n >= sizeof text) {
        return false;
    }
    (void)snprintf(text, sizeof text, "%.*s", AR_FMT(host));
    memset(ret, 0, sizeof *ret);
    return uv_ip4_addr(text, port, &ret->v4) == 0 || uv_ip6_addr(text, port, &ret->v6) == 0;
}

void ar_addr_text(const union ar_addr *a, char *ret, size_t n)
{
    ret[0] = '\0';
    if (a->any.sa_family == AF_INET) {
        (void)uv_ip4_name(&a->v4, ret, n);
    } else if (a->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
        (void)inet_ntop(AF_INET, &a->v6.sin6_addr.s6_addr[12], ret, (socklen_t)n);
    } else if (a->any.sa_family == AF_INET6) {
        (void)uv_ip6_name(&a->v6, ret, n);
    }
}

socklen_t ar_addr_size(const union ar_addr *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}
