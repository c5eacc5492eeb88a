/* What the files of this folder share: the loop's inside, the stream's inside and the transports.
 * The one place that includes libuv. Nobody outside io/ includes it. Loop thread only, where
 * nothing else is said. */
#ifndef AR_IO_IMPL_H
#define AR_IO_IMPL_H

#include "io/loop.h"
#include "io/stream.h"
#include "io/tls.h"

#include <uv.h>

/* Bounds of one turn, and of what a loop keeps. */
enum {
    AR_TURN_JOBS = 4096,    /* run before the sockets are looked at again */
    AR_TURN_ACCEPTS = 64,   /* a listener */
    AR_FRESH_BYTES = 65536, /* read from sockets before jobs run */
    AR_SLAB_KEEP = 128,     /* free buffers kept by a loop */
    AR_DIRECT_BYTES = 8192, /* a write of so much is sent without a copy */
    AR_WRITE_PARTS = 64,    /* pieces of one system call */
    AR_LINGER_MS = 10000,   /* a closed stream may still send its last bytes */
    AR_LINGER_FIN_MS = 2000 /* and wait so long for the peer's FIN */
};

struct ar_dns;
struct ar_heap_slot {
    int64_t key_ms; /* <= timer->at_ms */
    struct ar_timer *timer;
};
struct ar_loop {
    uv_loop_t uv;
    uv_prepare_t prepare;
    uv_idle_t idle;
    uv_async_t async;
    uv_timer_t clock;
    int64_t armed_ms;   /* when clock rings; AR_NEVER: it does not */
    int64_t now_us;     /* as read in this job; 0: not read yet */
    size_t fresh_bytes; /* read from sockets since the jobs ran */
    struct ar_node jobs, dirty, lingering;
    struct ar_heap_slot *heap;
    unsigned heap_n, heap_cap;
    void *slab; /* free buffers, each holds the next's address */
    unsigned slab_n;
    char *tls_out; /* ciphertext on its way; of whoever is in a call */
    struct ar_dns *dns;
    uv_mutex_t mutex; /* guards posts_* and leaving */
    struct post *posts_first, *posts_last;
    bool leaving;
    struct signal_row *signals;
};

/* AR_STREAM_BUF bytes. Aborts without memory. */
char *ar_slab_get(struct ar_loop *l);
void ar_slab_put(struct ar_loop *l, char *p);
void ar_timers_run(struct ar_loop *l);
/* n bytes were read from a socket; only from a callback of libuv: jobs may run, owners may close.
 */
void ar_loop_fed(struct ar_loop *l, size_t n);
void *ar_io_alloc(size_t n); /* cleared; aborts without memory */

/* How a stream's bytes travel. All may be called after a failure. */
struct ar_stream_ops {
    bool direct; /* send takes parts */
    /* Tries to send the pending bytes of the write buffer, then the parts. Returns how many of all
     * these went; calls ar_stream_fail_out when none ever will. */
    size_t (*send)(struct ar_stream *s, const struct ar_str *parts, unsigned n);
    void (*park)(struct ar_stream *s);   /* the write buffer goes when it can */
    void (*resume)(struct ar_stream *s); /* room for input again */
    void (*fin)(struct ar_stream *s);    /* everything went; shut */
    void (*close)(struct ar_stream *s);  /* frees s, some time */
    struct ar_str (*peer)(struct ar_stream *s);
    size_t (*queued)(struct ar_stream *s); /* bytes of a write in flight; may be NULL */
};
struct ar_stream {
    const struct ar_stream_ops *ops;
    struct ar_loop *loop;
    struct ar_waker *waker;
    struct ar_job wake;
    struct ar_node dirty; /* in loop->dirty: bytes to flush; in loop->lingering after close */
    char *rbuf, *wbuf;    /* NULL: empty */
    unsigned roff, rn, woff, wn;
    char *lent; /* NULL: none; filled before rbuf */
    size_t lent_n, lent_cap;
    unsigned
        wbusy; /* first bytes of wbuf from woff on: the kernel will take them, they may not move */
    bool in_flight; /* a write that is not done yet, of wbuf or of ciphertext */
    bool squeeze;   /* the transport has bytes and no room */
    bool eof, in_failed, out_failed;
    bool want_room, want_flushed, shut, fin, closed;
    int64_t in_ms, out_ms;
    size_t queue_seen;
    enum ar_code code;
    int sys;
    char *note; /* owns; NULL: from sys */
};
void ar_stream_init(struct ar_stream *s, struct ar_loop *l, const struct ar_stream_ops *ops);
void ar_stream_done(struct ar_stream *s); /* gives back everything it holds */
void ar_stream_wake(struct ar_stream *s);
/* Room for input: at most *ret_room bytes at the pointer, then ar_stream_fed(n). NULL: full. */
char *ar_stream_space(struct ar_stream *s, size_t *ret_room);
void ar_stream_fed(struct ar_stream *s, size_t n);
void ar_stream_full(struct ar_stream *s); /* there was no space, and there are bytes */
void ar_stream_ended(struct ar_stream *s);
void ar_stream_fail_in(struct ar_stream *s, enum ar_code code, int sys, const char *note);
void ar_stream_fail_out(struct ar_stream *s, enum ar_code code, int sys, const char *note);
/* A write in flight is done; n bytes of it were the write buffer's. */
void ar_stream_landed(struct ar_stream *s, size_t n);
static inline size_t ar_stream_pending(const struct ar_stream *s)
{
    return s->wn - s->woff;
}

/* An address with its port. */
union ar_addr {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
bool ar_addr_parse(struct ar_str host, uint16_t port, union ar_addr *ret);
/* Numeric text without port, IPv4 in IPv6 shown as IPv4; n of ret is at least 46. */
void ar_addr_text(const union ar_addr *a, char *ret, size_t n);
socklen_t ar_addr_size(const union ar_addr *a);
/* Of the public internet: no private, shared, link-local, loopback, multicast, unspecified,
 * documentation or reserved address, nor one in IPv6 that stands for such an IPv4 address. */
bool ar_addr_is_public(const union ar_addr *a);

/* TCP with or without a TLS link. */
struct ar_tls_link;
struct ar_tcp {
    struct ar_stream s;
    uv_tcp_t uv;
    union {
        uv_write_t write;
        uv_connect_t connect;
    } req;
    struct ar_tls_link *link;                                     /* NULL: plain */
    void (*on_connect)(void *user, struct ar_tcp *t, int status); /* NULL once called or dropped */
    void *user;
    struct ar_timer linger;
    char *out; /* owns: ciphertext in flight */
    bool up, reading, full_seen, linger_reset;
    char peer[46];
};
/* Connects; on_connect comes later (never inside this call, never after ar_tcp_drop): status 0 or a
 * libuv code. */
struct ar_tcp *ar_tcp_connect(struct ar_loop *l, const union ar_addr *a,
                              void (*on_connect)(void *user, struct ar_tcp *t, int status),
                              void *user);
void ar_tcp_drop(struct ar_tcp *t); /* takes t, that is not connected yet */
/* Takes the connected fd. NULL: it was closed. */
struct ar_tcp *ar_tcp_open(struct ar_loop *l, int fd, struct ar_tls *tls);
void ar_tcp_start(struct ar_tcp *t); /* begins to read */
/* Ciphertext or plaintext to the kernel; returns how many bytes went. */
size_t ar_tcp_try(struct ar_tcp *t, const uv_buf_t *bufs, unsigned n);
/* Sends bytes later; takes the malloc'd block. */
void ar_tcp_send_later(struct ar_tcp *t, char *block, size_t n);
void ar_tcp_fin(struct ar_tcp *t);
void ar_tcp_resume(struct ar_tcp *t);
void ar_tcp_close(struct ar_stream *s); /* of ops, as the next two */
struct ar_str ar_tcp_peer(struct ar_stream *s);
size_t ar_tcp_queued(struct ar_stream *s);

/* The TLS filter of a TCP stream (tls_link.c). host: for SNI and verification, empty on the
 * server's side. */
void ar_tls_attach(struct ar_tcp *t, struct ar_tls *tls, struct ar_str host, uint16_t port);
/* READY: handshake done. */
enum ar_poll ar_tls_handshake(struct ar_tcp *t, struct ar_err *err);
/* Ciphertext that came, in a buffer of the slab, which it takes; n 0: the peer's FIN, no buffer. */
void ar_tls_feed(struct ar_tcp *t, char *buf, size_t n);
bool ar_tls_wants(const struct ar_tcp *t); /* may it be fed? */
void ar_tls_output(struct ar_tcp *t);      /* ciphertext in flight has landed */
void ar_tls_quit(struct ar_tcp *t);        /* close_notify if it can be sent at once */
void ar_tls_detach(struct ar_tcp *t);
extern const struct ar_stream_ops ar_tls_ops;

/* Name look-up of one family (AF_INET, AF_INET6) on the pool. */
struct ar_dns_query {
    struct ar_node node;
    /* status 0: addrs, n > 0, borrowed for the call; else a libuv code. Never inside ar_dns_ask. */
    void (*done)(struct ar_dns_query *q, int status, const union ar_addr *addrs, unsigned n);
};
/* true: addresses are known, up to max are in ret; false: done will be called. */
bool ar_dns_ask(struct ar_loop *l, struct ar_str host, int family, struct ar_dns_query *q,
                union ar_addr *ret, unsigned *io_n);
void ar_dns_cancel(struct ar_dns_query *q);
void ar_dns_free(struct ar_dns *d); /* NULL-safe */

/* Happy eyeballs to a host (eyeballs.c). done once, never inside start, never after drop. err:
 * AR_UPSTREAM_DNS or AR_UPSTREAM_CONNECT; AR_INVALID_REQUEST when public_only leaves no address. */
struct ar_eyeballs;
struct ar_eyeballs_to { /* copied */
    struct ar_str host;
    uint16_t port;
    bool public_only; /* other addresses are passed over, whatever the name says */
};
struct ar_eyeballs *
ar_eyeballs_start(struct ar_loop *l, const struct ar_eyeballs_to *to,
                  void (*done)(void *user, struct ar_tcp *t, const struct ar_err *err), void *user);
void ar_eyeballs_drop(struct ar_eyeballs *e); /* NULL-safe */

/* A proxy's URL in parts, and its handshake over a connected stream (proxy.c). */
enum ar_proxy_kind { AR_PROXY_NONE, AR_PROXY_HTTP, AR_PROXY_SOCKS5 };
struct ar_proxy {
    enum ar_proxy_kind kind;
    uint16_t port;
    struct ar_str host;            /* borrows from the URL */
    char user[256], password[256]; /* decoded */
};
enum ar_code ar_proxy_parse(struct ar_str url, struct ar_proxy *ret, struct ar_err *err) AR_MUST;
struct ar_proxy_talk {
    int step;
};
/* READY: the tunnel stands. */
enum ar_poll ar_proxy_step(struct ar_proxy_talk *k, const struct ar_proxy *p, struct ar_stream *s,
                           struct ar_str host_port[2], struct ar_err *err);

#endif
