/* Ends of streams for tests: a peer reads what comes into a buffer (or leaves it), and a test waits
 * for a state. */
#ifndef AR_TESTS_IO_PEER_H
#define AR_TESTS_IO_PEER_H

#include "base/buf.h"
#include "io/dial.h"
#include "io/listen.h"
#include "io/loop.h"

struct peer {
    struct ar_waker waker;
    struct ar_stream *s;
    struct ar_buf in;
    bool lazy; /* does not read by itself */
    bool echo; /* writes back what it reads */
    bool ended, failed;
    struct ar_err err;
    unsigned wakes;
    const char *out; /* bytes still to write */
    size_t out_n;
    bool shut_after; /* shut when they are written */
};
struct peer *peer_new(struct ar_stream *s);
void peer_step(struct peer *p);                              /* reads and writes what it can */
void peer_send(struct peer *p, const char *bytes, size_t n); /* borrowed until written */
void peer_free(struct peer *p); /* closes the stream, if there still is one */

/* A server that makes a peer of each connection; the newest is last. */
struct server {
    struct ar_listener *listener;
    struct peer *peers[64];
    unsigned n;
    bool echo, lazy;
    void (*on_peer)(struct peer *p);
};
void server_start(struct server *v, struct ar_loop *l, const char *host, struct ar_tls *tls);
void server_stop(struct server *v);

/* Runs the loop until test(arg) holds; false after ms. */
bool wait_until(struct ar_loop *l, bool (*test)(void *arg), void *arg, int ms);
void run_for(struct ar_loop *l, int ms);

/* For wait_until. */
bool peer_has_ended(void *peer);
bool server_has_peer(void *server);

/* A dial to its end: a stream, or NULL and err. */
struct ar_stream *dial(struct ar_loop *l, const struct ar_dial_spec *spec, struct ar_err *err);
struct ar_stream *dial_port(struct ar_loop *l, const char *host, uint16_t port, struct ar_tls *tls,
                            struct ar_err *err);

#endif
