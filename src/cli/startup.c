/*
 * What keeps a server from starting though its file is well written: addresses, keys that anybody
 * could spend, callers that nobody could be, a certificate that does not fit its key. Binds nothing
 * and keeps nothing; whether an address is free only serve can tell.
 */
#include "cli/startup.h"

#include "io/tls.h"
#include "provider/upstream.h"

enum ar_code ar_listen_address(struct ar_str text, struct ar_str *ret_host, uint16_t *ret_port)
{
    size_t colon = text.n;
    int64_t port;
    while (colon > 0 && text.p[colon - 1] != ':') {
        colon--;
    }
    if (colon == 0 || ar_str_to_i64(ar_str_from(text, colon), 0, 65535, &port) != AR_OK) {
        return AR_INVALID_REQUEST;
    }
    struct ar_str host = ar_str_head(text, colon - 1);
    if (host.n > 1 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
        host = ar_str_n(host.p + 1, host.n - 2);
    } else if (ar_str_find_char(host, ':') < host.n) {
        return AR_INVALID_REQUEST;
    }
    *ret_host = ar_str_is_lit(host, "*") ? AR_LIT("") : host;
    *ret_port = (uint16_t)port;
    return AR_OK;
}

static bool is_loopback(struct ar_str host)
{
    return ar_str_has_prefix(host, AR_LIT("127.")) || ar_str_is_lit(host, "::1") ||
           ar_str_is_lit(host, "localhost");
}

bool ar_startup_is_public(const struct ar_config *c)
{
    bool is_public = false;
    for (unsigned i = 0; i < c->listen.n; i++) {
        struct ar_str host;
        uint16_t port;
        is_public |= ar_listen_address(c->listen.v[i], &host, &port) != AR_OK || !is_loopback(host);
    }
    return is_public;
}

/* Certificates that upstreams name in place of the system's. */
static enum ar_code check_trust(const struct ar_upstreams *u, struct ar_err *err)
{
    for (unsigned i = 0; i < u->n; i++) {
        struct ar_str file = u->v[i].conf->ca_file;
        struct ar_err why = {0};
        struct ar_tls *tls = file.n > 0 ? ar_tls_client(file.p, false, &why) : NULL;
        if (file.n > 0 && !tls) {
            return ar_fail(err, AR_INVALID_REQUEST, "upstream %.*s: ca_file: %s",
                           AR_FMT(u->v[i].name), why.note);
        }
        ar_tls_unref(tls);
    }
    return AR_OK;
}

enum ar_code ar_startup_check_again(const struct ar_config *c, const struct ar_upstreams *u,
                                    bool is_public, struct ar_err *err)
{
    bool has_keys = false;
    for (unsigned i = 0; i < u->n; i++) {
        has_keys |= u->v[i].key_count > 0;
    }
    if (c->require_token) {
        return ar_fail(err, AR_INVALID_REQUEST,
                       "require_token is true, but there is no token and this version cannot issue "
                       "one: every caller would be refused; remove the option");
    }
    if (is_public && has_keys && !c->allow_open) {
        return ar_fail(err, AR_INVALID_REQUEST,
                       "listen has an address that is not a loopback address: whoever reaches it "
                       "could spend the configured keys; use --allow-open to allow that");
    }
    return check_trust(u, err);
}

static enum ar_code check_addresses(const struct ar_config *c, struct ar_err *err)
{
    if (c->listen.n > AR_LISTENERS_MAX) {
        return ar_fail(err, AR_INVALID_REQUEST, "listen has %u addresses: at most %d", c->listen.n,
                       AR_LISTENERS_MAX);
    }
    for (unsigned i = 0; i < c->listen.n; i++) {
        struct ar_str host;
        uint16_t port;
        if (ar_listen_address(c->listen.v[i], &host, &port) != AR_OK) {
            return ar_fail(err, AR_INVALID_REQUEST,
                           "listen: not an address to listen on: %.*s (want host:port)",
                           AR_FMT(c->listen.v[i]));
        }
    }
    return AR_OK;
}

enum ar_code ar_startup_check(const struct ar_config *c, const struct ar_upstreams *u,
                              struct ar_tls **ret_tls, struct ar_err *err)
{
    *ret_tls = NULL;
    enum ar_code code = check_addresses(c, err);
    code = code == AR_OK ? ar_startup_check_again(c, u, ar_startup_is_public(c), err) : code;
    if (code == AR_OK && c->tls_cert.n > 0) {
        *ret_tls = ar_tls_server(c->tls_cert.p, c->tls_key.p, err);
        code = *ret_tls ? AR_OK : AR_INVALID_REQUEST;
    }
    return code;
}
