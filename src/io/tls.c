/*
 * TLS.
 */
#include "io/impl.h"

struct ar_tls *ar_tls_server(const char *c, const char *k, struct ar_err *err)
{
    (void)c;
    (void)k;
    (void)ar_fail(err, AR_UPSTREAM_TLS, "TLS is not built in");
    return NULL;
}
struct ar_tls *ar_tls_client(const char *c, bool i, struct ar_err *err)
{
    (void)c;
    (void)i;
    (void)ar_fail(err, AR_UPSTREAM_TLS, "TLS is not built in");
    return NULL;
}
struct ar_tls *ar_tls_ref(struct ar_tls *t)
{
    return t;
}
void ar_tls_unref(struct ar_tls *t)
{
    (void)t;
}
void ar_tls_attach(struct ar_tcp *t, struct ar_tls *tls, struct ar_str host, uint16_t port)
{
    (void)t;
    (void)tls;
    (void)host;
    (void)port;
}
enum ar_poll ar_tls_handshake(struct ar_tcp *t, struct ar_err *err)
{
    (void)t;
    (void)err;
    return AR_FAILED;
}
void ar_tls_feed(struct ar_tcp *t, char *buf, size_t n)
{
    (void)n;
    ar_slab_put(t->s.loop, buf);
}
bool ar_tls_wants(const struct ar_tcp *t)
{
    (void)t;
    return false;
}
void ar_tls_output(struct ar_tcp *t)
{
    (void)t;
}
void ar_tls_quit(struct ar_tcp *t)
{
    (void)t;
}
void ar_tls_detach(struct ar_tcp *t)
{
    (void)t;
}
