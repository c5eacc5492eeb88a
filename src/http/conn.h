/* A client's connection: one request at a time, strictly framed (RFC 9112). Loop thread only. */
#ifndef AR_HTTP_CONN_H
#define AR_HTTP_CONN_H

#include "base/wake.h"
#include "http/header.h"

struct ar_buf;
struct ar_conn;
struct ar_server;
struct ar_stream;
struct ar_loop;

struct ar_conn_limits {
    size_t head_bytes, body_bytes; /* body: after decoding */
    unsigned headers;
    int64_t head_ms, body_ms, idle_ms, send_ms; /* send: no byte taken by the client for so long */
    unsigned connections;
};
struct ar_request_head {                        /* borrows until ar_conn_end */
    struct ar_str method, path, query, peer_ip; /* path: as sent, without the query */
    const struct ar_header *headers;
    unsigned header_count;
    int64_t body_length; /* -1 chunked; 0 none */
    bool upgrade_ws, tls;
};
/* Called once a request, when its head is complete. The callee takes the conn (one flow), sets its
 * waker, and gives it back by ar_conn_end. A request whose head is at fault never gets here: on_bad
 * renders the error body (status, dialect by path) and conn sends and closes. path may be empty
 * when the request line itself was broken. */
typedef void ar_on_request(void *user, struct ar_conn *c, const struct ar_request_head *h);
typedef int ar_on_bad_head(void *user, enum ar_code code, const char *note, struct ar_str path,
                           struct ar_buf *ret_body);

/* One worker's server side. limits are copied and may be replaced on reload (new requests). */
struct ar_server *ar_server_new(struct ar_loop *l, const struct ar_conn_limits *limits,
                                ar_on_request *on_request, ar_on_bad_head *on_bad, void *user);
void ar_server_set_limits(struct ar_server *s, const struct ar_conn_limits *limits);
/* Takes a freshly accepted stream. */
void ar_server_accept(struct ar_server *s, struct ar_stream *stream, bool tls);
unsigned ar_server_connections(const struct ar_server *s);
/* Closes idle connections, marks busy ones to close after their answer (Connection: close). */
void ar_server_drain(struct ar_server *s);
/* Resets what is left, then frees. */
void ar_server_free(struct ar_server *s);

/* A request that came on no socket of its own: a message of a WebSocket, a run without a client.
 * Its flow sees an ordinary connection. */
struct ar_inner_ops {
    void (*open)(void *user, int status, const struct ar_header *h, unsigned n);
    /* Taken, as ar_conn_write; less: ar_inner_wake when there is room again. */
    size_t (*write)(void *user, struct ar_str bytes);
    void (*end)(void *user, bool clean); /* the last call; c is gone */
};
/* Head and body are copied. Errors: NULL, no memory. Give *ret_head to the flow with it. */
struct ar_conn *ar_inner_new(const struct ar_request_head *head, struct ar_str body,
                             const struct ar_inner_ops *ops, void *user,
                             const struct ar_request_head **ret_head);
void ar_inner_wake(struct ar_conn *c);
/* Nobody waits for it any more; wakes its flow. ops are not called again when forget. */
void ar_inner_cut(struct ar_conn *c, bool forget);

/* Answers 101 with headers; from then on peek gives what the client sends, write sends bytes as
 * they are, and ar_conn_end closes. */
void ar_conn_upgrade(struct ar_conn *c, const struct ar_header *h, unsigned n);

void ar_conn_set_waker(struct ar_conn *c, struct ar_waker *w);
/* Decoded request body (chunks, gzip, zstd, deflate undone); 100-continue goes out at the first
 * call. READY: a piece. ENDED: complete. FAILED: err: AR_TOO_LARGE, AR_REQUEST_TIMEOUT,
 * AR_INVALID_REQUEST (framing, encoding), AR_CLIENT_CLOSED. */
enum ar_poll ar_conn_peek(struct ar_conn *c, struct ar_str *ret, struct ar_err *err);
void ar_conn_eat(struct ar_conn *c, size_t n);
/* All of it into a buffer, instead of peek and eat. ENDED: it is there. PENDING: the buffer is lent
 * until the next call or ar_conn_end, and nobody may touch it. FAILED: as peek; AR_TOO_LARGE over
 * the buffer's cap. */
enum ar_poll ar_conn_read(struct ar_conn *c, struct ar_buf *into, struct ar_err *err);
/* Status and headers. length -1: chunked (HTTP/1.0: until close). Once; asserted. Date, Connection
 * and the framing headers are added. HEAD requests get no body bytes whatever is written. */
void ar_conn_open(struct ar_conn *c, int status, const struct ar_header *h, unsigned n,
                  int64_t length);
size_t ar_conn_write(struct ar_conn *c,
                     struct ar_str bytes); /* taken; less than offered is "full", woken when low */
void ar_conn_flush(struct ar_conn *c);
bool ar_conn_is_gone(struct ar_conn *c); /* closed, reset, or not taking bytes for send_ms; wakes
                                            when it becomes so */
/* Takes c. Clean: last chunk, keep-alive, the next pipelined head. Not clean: what was
 * written is delivered, then the connection ends without the closing chunk or bytes of its length,
 * else with a reset, so no client can take the answer for complete. Unread body:
 * drained or closed. */
void ar_conn_end(struct ar_conn *c, bool clean);

#endif
