/* Making a connection: name look-up (cached, off the loop), happy eyeballs (RFC 8305), HTTP CONNECT
 * or SOCKS5 proxy, TLS. Loop thread only. */
#ifndef AR_IO_DIAL_H
#define AR_IO_DIAL_H

#include "io/stream.h"
#include "io/tls.h"

struct ar_dial;
struct ar_dial_spec {   /* copied */
    struct ar_str host; /* name or address, without brackets */
    uint16_t port;
    struct ar_str proxy; /* empty: direct; http://[user:pw@]host:port, socks5://[user:pw@]host:port
                            (names resolved there) */
    struct ar_tls *tls;  /* NULL: plain; a reference is kept while dialling and by the stream */
    bool public_only;    /* only to public addresses, seen after the look-up; never with a proxy */
    struct ar_waker *waker;
};
/* Never fails at once. */
struct ar_dial *ar_dial_start(struct ar_loop *l, const struct ar_dial_spec *spec);
/* READY: *ret is the stream, connected and with TLS done; the caller takes it and still closes d.
 * PENDING. FAILED: err (AR_UPSTREAM_DNS, AR_UPSTREAM_CONNECT, AR_UPSTREAM_TLS, or
 * AR_INVALID_REQUEST for a host without a public address; note names host and cause, never a
 * password). */
enum ar_poll ar_dial_poll(struct ar_dial *d, struct ar_stream **ret, struct ar_err *err);
/* Takes d, in any phase; a connection under way is dropped. The caller's own deadline ends a dial.
 */
void ar_dial_close(struct ar_dial *d);

#endif
