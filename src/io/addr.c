/*
 * Numeric addresses to text and back, and which of them are of the public internet (the IANA
 * registries of special-purpose addresses, RFC 6890). Pure.
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

static bool is_public_v4(const uint8_t a[4])
{
    static const struct {
        uint8_t at[4], bits;
    } special[] = {
        {{0, 0, 0, 0}, 8},      {{10, 0, 0, 0}, 8},     {{100, 64, 0, 0}, 10},
        {{127, 0, 0, 0}, 8},    {{169, 254, 0, 0}, 16}, {{172, 16, 0, 0}, 12},
        {{192, 0, 0, 0}, 24},   {{192, 0, 2, 0}, 24},   {{192, 88, 99, 0}, 24},
        {{192, 168, 0, 0}, 16}, {{198, 18, 0, 0}, 15},  {{198, 51, 100, 0}, 24},
        {{203, 0, 113, 0}, 24}, {{224, 0, 0, 0}, 3}, /* multicast, reserved, broadcast */
    };
    uint32_t v = (uint32_t)a[0] << 24 | (uint32_t)a[1] << 16 | (uint32_t)a[2] << 8 | a[3];
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        const uint8_t *p = special[i].at;
        uint32_t at = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        if ((v ^ at) >> (32 - special[i].bits) == 0) {
            return false;
        }
    }
    return true;
}

/* Only 2000::/3 is given out (RFC 4291 2.4); the rest of it that is public stands for an IPv4
 * address: mapped, translated (NAT64, RFC 6052) or 6to4 (RFC 3056). */
static bool is_public_v6(const uint8_t a[16])
{
    static const uint8_t zero[12] = {0}, mapped[12] = {[10] = 0xff, [11] = 0xff},
                         nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (memcmp(a, mapped, sizeof mapped) == 0 || memcmp(a, nat64, sizeof nat64) == 0) {
        return is_public_v4(a + 12);
    }
    if (a[0] == 0x20 && a[1] == 0x02) {
        return is_public_v4(a + 2);
    }
    bool special = memcmp(a, zero, sizeof zero) == 0 ||
                   (a[0] == 0x20 && a[1] == 0x01 && a[2] < 2) || /* 2001::/23: Teredo and others */
                   (a[0] == 0x20 && a[1] == 0x01 && a[2] == 0x0d && a[3] == 0xb8) ||
                   (a[0] == 0x3f && a[1] == 0xff && a[2] < 0x10);
    return (a[0] & 0xe0) == 0x20 && !special;
}

bool ar_addr_is_public(const union ar_addr *a)
{
    uint8_t v4[4];
    switch (a->any.sa_family) {
    case AF_INET:
        memcpy(v4, &a->v4.sin_addr, sizeof v4);
        return is_public_v4(v4);
    case AF_INET6:
        return is_public_v6(a->v6.sin6_addr.s6_addr);
    default:
        return false;
    }
}
