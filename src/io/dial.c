/*
 * A dial walks through its phases and each may fail: connect to the host or to its proxy
 * (eyeballs.c), the proxy's handshake (proxy.c), TLS (tls_link.c), done. The stream belongs to the
 * dial until the owner takes it from poll.
 *
 * Nothing fails inside ar_dial_start: the first phase runs as a job, and a spec at fault is told by
 * poll. Notes name the host and the cause; a proxy's password appears nowhere.
 */
#include "io/dial.h"
#include "base/buf.h"
#include "io/impl.h"

#include <stdlib.h>

enum phase { DIAL_CONNECT, DIAL_PROXY, DIAL_TLS, DIAL_DONE, DIAL_TAKEN, DIAL_FAILED };

struct ar_dial {
    struct ar_loop *loop;
    struct ar_waker *waker, inner;
    struct ar_job job; /* tells the owner */
    enum phase phase;
    struct ar_eyeballs *eyeballs;
    struct ar_tcp *tcp;
    struct ar_tls *tls; /* a reference */
    struct ar_proxy proxy;
    struct ar_proxy_talk talk;
    struct ar_err err;
    uint16_t port;
    char *proxy_url; /* owns, may be NULL */
    size_t host_n;
    char host[];
};

static void on_tell(struct ar_job *j)
{
    ar_wake(AR_HOLDER(j, struct ar_dial, job)->waker);
}

static void enter(struct ar_dial *d, enum phase phase)
{
    d->phase = phase;
    if (phase == DIAL_DONE || phase == DIAL_FAILED) {
        ar_loop_queue(d->loop, &d->job);
    }
}

static void fail(struct ar_dial *d, const struct ar_err *err)
{
    d->err = *err;
    enter(d, DIAL_FAILED);
}

static void talk_tls(struct ar_dial *d)
{
    switch (ar_tls_handshake(d->tcp, &d->err)) {
    case AR_READY:
        enter(d, DIAL_DONE);
        break;
    case AR_PENDING:
        break;
    default:
        enter(d, DIAL_FAILED);
    }
}

static void through(struct ar_dial *d)
{
    if (!d->tls) {
        enter(d, DIAL_DONE);
        return;
    }
    enter(d, DIAL_TLS);
    ar_tls_attach(d->tcp, d->tls, ar_str_n(d->host, d->host_n), d->port);
    talk_tls(d);
}

static void talk_proxy(struct ar_dial *d)
{
    char port[8];
    struct ar_buf text;
    ar_buf_init(&text, sizeof port);
    ar_buf_i64(&text, d->port);
    struct ar_str host_port[2] = {{d->host, d->host_n}, ar_buf_view(&text)};
    enum ar_poll is = ar_proxy_step(&d->talk, &d->proxy, &d->tcp->s, host_port, &d->err);
    ar_buf_done(&text);
    if (is == AR_READY) {
        through(d);
    } else if (is != AR_PENDING) {
        enter(d, DIAL_FAILED);
    }
}

static void on_stream(struct ar_waker *w)
{
    struct ar_dial *d = AR_HOLDER(w, struct ar_dial, inner);
    if (d->phase == DIAL_PROXY) {
        talk_proxy(d);
    } else if (d->phase == DIAL_TLS) {
        talk_tls(d);
    }
}

static void on_connected(void *user, struct ar_tcp *t, const struct ar_err *err)
{
    struct ar_dial *d = user;
    d->eyeballs = NULL;
    if (err) {
        fail(d, err);
        return;
    }
    d->tcp = t;
    ar_stream_set_waker(&t->s, &d->inner);
    ar_tcp_start(t);
    if (d->proxy.kind != AR_PROXY_NONE) {
        enter(d, DIAL_PROXY);
        talk_proxy(d);
    } else {
        through(d);
    }
}

struct ar_dial *ar_dial_start(struct ar_loop *l, const struct ar_dial_spec *spec)
{
    struct ar_dial *d = ar_io_alloc(sizeof *d + spec->host.n + 1);
    d->loop = l;
    d->waker = spec->waker;
    d->inner.wake = on_stream;
    d->job.run = on_tell;
    d->port = spec->port;
    d->tls = ar_tls_ref(spec->tls);
    d->host_n = spec->host.n;
    memcpy(d->host, spec->host.p, spec->host.n);
    struct ar_str to = {d->host, d->host_n};
    uint16_t port = d->port;
    if (spec->proxy.n > 0) {
        struct ar_err err = {0};
        d->proxy_url = strndup(spec->proxy.p, spec->proxy.n);
        AR_ASSERT(d->proxy_url != NULL);
        if (ar_proxy_parse(ar_str_of(d->proxy_url), &d->proxy, &err) != AR_OK) {
            fail(d, &err);
            return d;
        }
        to = d->proxy.host;
        port = d->proxy.port;
    }
    AR_ASSERT(!spec->public_only || spec->proxy.n == 0); /* a proxy would look up by itself */
    struct ar_eyeballs_to place = {.host = to, .port = port, .public_only = spec->public_only};
    d->eyeballs = ar_eyeballs_start(l, &place, on_connected, d);
    return d;
}

enum ar_poll ar_dial_poll(struct ar_dial *d, struct ar_stream **ret, struct ar_err *err)
{
    if (d->phase == DIAL_FAILED) {
        if (err) {
            *err = d->err;
        }
        return AR_FAILED;
    }
    if (d->phase != DIAL_DONE) {
        return AR_PENDING;
    }
    *ret = &d->tcp->s;
    ar_stream_set_waker(*ret, NULL);
    d->tcp = NULL;
    d->phase = DIAL_TAKEN;
    return AR_READY;
}

void ar_dial_close(struct ar_dial *d)
{
    if (!d) {
        return;
    }
    ar_job_cancel(&d->job);
    ar_eyeballs_drop(d->eyeballs);
    if (d->tcp) {
        ar_stream_close(&d->tcp->s);
    }
    ar_tls_unref(d->tls);
    if (d->proxy_url) {
        explicit_bzero(d->proxy_url, strlen(d->proxy_url));
    }
    explicit_bzero(&d->proxy, sizeof d->proxy);
    free(d->proxy_url);
    free(d);
}
