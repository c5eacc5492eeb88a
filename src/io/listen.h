/* Listening sockets. Loop thread only. */
#ifndef AR_IO_LISTEN_H
#define AR_IO_LISTEN_H

#include "io/stream.h"
#include "io/tls.h"

struct ar_listener;
struct ar_listen_spec {
    struct ar_str host; /* IPv4, IPv6 (without brackets) or "localhost"; empty: all */
    uint16_t port;      /* 0: any */
    bool reuse_port; /* several workers share the address; tried without first by ar_listen_probe */
    struct ar_tls *tls; /* borrowed, may be NULL; replaced by ar_listener_set_tls */
    /* A stream that the callee takes; TLS streams are handed over before the handshake is done. */
    void (*on_accept)(void *user, struct ar_stream *s);
    void *user;
};
/* Is the address free? Binds it alone for a moment. AR_CONFLICT: in use. *ret_port: the one bound
 * (for port 0). */
enum ar_code ar_listen_probe(struct ar_str host, uint16_t port, uint16_t *ret_port,
                             struct ar_err *err) AR_MUST;
struct ar_listener *ar_listen(struct ar_loop *l, const struct ar_listen_spec *spec,
                              struct ar_err *err);
void ar_listener_set_tls(struct ar_listener *k, struct ar_tls *t);
uint16_t ar_listener_port(const struct ar_listener *k);
void ar_listener_pause(struct ar_listener *k,
                       bool on); /* connection limit reached: the backlog waits */
/* Accepts what the kernel already completed, then closes: nobody who got through the handshake is
 * reset. */
void ar_listener_close(struct ar_listener *k);

#endif
