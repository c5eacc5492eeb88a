/*
 * Listening sockets: a socket of our own, watched by libuv; connections are accepted by a bounded
 * loop a turn, so that a burst of new clients does not starve the old ones.
 *
 * Owns the socket. Out of descriptors it rests for a moment instead of spinning. On close it
 * accepts what the kernel has completed already, so no client that got through the handshake is
 * reset. TCP_NODELAY is set once, on the listening socket: accepted ones inherit it.
 */
#include "io/listen.h"
#include "io/impl.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, REST_MS = 100 };

struct ar_listener {
    struct ar_loop *loop;
    struct ar_listen_spec spec;
    struct ar_tls *tls; /* a reference */
    uv_poll_t poll;
    struct ar_timer rest;
    int fd;
    uint16_t port;
    bool paused;
};

static void set(int fd, int level, int option, int value)
{
    (void)setsockopt(fd, level, option, &value, sizeof value);
}

/* A bound socket, or -1 with errno. */
static int bind_one(const union ar_addr *a, bool reuse_port, bool dual)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -1;
    }
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (reuse_port) {
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    }
    if (a->any.sa_family == AF_INET6) {
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? 0 : 1);
    }
    if (bind(fd, &a->any, ar_addr_size(a)) != 0 || listen(fd, BACKLOG) != 0) {
        int saved = errno;
        (void)close(fd);
        errno = saved;
        return -1;
    }
    return fd;
}

/* The bound socket of an address in a spec's words, or -1 and err. */
static int bind_host(struct ar_str host, uint16_t port, bool reuse_port, struct ar_err *err)
{
    union ar_addr a;
    int fd = -1;
    if (host.n == 0) {
        (void)ar_addr_parse(AR_LIT("::"), port, &a);
        fd = bind_one(&a, reuse_port, true);
        if (fd < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
            (void)ar_addr_parse(AR_LIT("0.0.0.0"), port, &a);
            fd = bind_one(&a, reuse_port, false);
        }
    } else if (ar_str_is_nocase(host, AR_LIT("localhost"))) {
        (void)ar_addr_parse(AR_LIT("127.0.0.1"), port, &a);
        fd = bind_one(&a, reuse_port, false);
    } else if (ar_addr_parse(host, port, &a)) {
        fd = bind_one(&a, reuse_port, false);
    } else {
        (void)ar_fail(err, AR_INVALID_REQUEST, "%.*s is not an address to listen on",
                      (int)(host.n < 64 ? host.n : 64), host.p);
        return -1;
    }
    if (fd < 0) {
        int sys = errno;
        char text[80];
        (void)uv_strerror_r(uv_translate_sys_error(sys), text, sizeof text);
        (void)ar_fail(err, sys == EADDRINUSE ? AR_CONFLICT : AR_INVALID_REQUEST,
                      "cannot listen on %.*s port %u: %s", AR_FMT(host), port, text);
        if (err) {
            err->sys = sys;
        }
    }
    return fd;
}

static uint16_t port_of(int fd)
{
    union ar_addr a = {.v6 = {0}};
    socklen_t n = sizeof a;
    if (getsockname(fd, &a.any, &n) != 0) {
        return 0;
    }
    return ntohs(a.any.sa_family == AF_INET6 ? a.v6.sin6_port : a.v4.sin_port);
}

enum ar_code ar_listen_probe(struct ar_str host, uint16_t port, uint16_t *ret_port,
                             struct ar_err *err)
{
    struct ar_err local = {0};
    int fd = bind_host(host, port, false, err ? err : &local);
    if (fd < 0) {
        return err ? err->code : local.code;
    }
    *ret_port = port_of(fd);
    (void)close(fd);
    return AR_OK;
}

static void on_ready(uv_poll_t *poll, int status, int events);

static void watch(struct ar_listener *k)
{
    (void)uv_poll_start(&k->poll, UV_READABLE, on_ready);
}

static void on_rested(struct ar_timer *t)
{
    struct ar_listener *k = AR_HOLDER(t, struct ar_listener, rest);
    if (!k->paused) {
        watch(k);
    }
}

/* false: nobody waits, or nobody can be taken. */
static bool accept_one(struct ar_listener *k)
{
    int fd = accept4(k->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            (void)uv_poll_stop(&k->poll);
            ar_timer_set(k->loop, &k->rest, ar_loop_now_ms(k->loop) + REST_MS);
            return false;
        }
        return errno == ECONNABORTED || errno == EINTR || errno == EPROTO;
    }
    struct ar_tcp *t = ar_tcp_open(k->loop, fd, k->tls);
    if (t) {
        k->spec.on_accept(k->spec.user, &t->s);
    }
    return true;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct ar_listener *k = poll->data;
    (void)status;
    (void)events;
    for (int i = 0; i < AR_TURN_ACCEPTS && !k->paused && k->fd >= 0; i++) {
        if (!accept_one(k)) {
            return;
        }
    }
}

struct ar_listener *ar_listen(struct ar_loop *l, const struct ar_listen_spec *spec,
                              struct ar_err *err)
{
    int fd = bind_host(spec->host, spec->port, spec->reuse_port, err);
    if (fd < 0) {
        return NULL;
    }
    struct ar_listener *k = ar_io_alloc(sizeof *k);
    k->loop = l;
    k->spec = *spec;
    k->fd = fd;
    k->port = port_of(fd);
    k->tls = ar_tls_ref(spec->tls);
    k->rest.fire = on_rested;
    AR_ASSERT(uv_poll_init(&l->uv, &k->poll, fd) == 0);
    k->poll.data = k;
    watch(k);
    return k;
}

void ar_listener_set_tls(struct ar_listener *k, struct ar_tls *t)
{
    struct ar_tls *old = k->tls;
    k->tls = ar_tls_ref(t);
    ar_tls_unref(old);
}

uint16_t ar_listener_port(const struct ar_listener *k)
{
    return k->port;
}

void ar_listener_pause(struct ar_listener *k, bool on)
{
    if (k->paused == on) {
        return;
    }
    k->paused = on;
    ar_timer_clear(k->loop, &k->rest);
    if (on) {
        (void)uv_poll_stop(&k->poll);
    } else {
        watch(k);
    }
}

static void on_closed(uv_handle_t *h)
{
    free(h->data);
}

void ar_listener_close(struct ar_listener *k)
{
    if (!k) {
        return;
    }
    k->paused = false;
    while (accept_one(k)) {
    }
    ar_timer_clear(k->loop, &k->rest);
    ar_tls_unref(k->tls);
    k->tls = NULL;
    uv_close((uv_handle_t *)&k->poll, on_closed);
    (void)close(k->fd);
    k->fd = -1;
}
