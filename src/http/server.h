/* Inside of the server side: what server.c (sockets, heads, time, ends) and conn.c (what a
 * request's owner calls) share. Not for other folders: http/conn.h is the contract. Loop thread
 * only. */
#ifndef AR_HTTP_SERVER_H
#define AR_HTTP_SERVER_H

#include "base/list.h"
#include "http/body.h"
#include "http/conn.h"
#include "http/head.h"
#include "io/loop.h"
#include "io/stream.h"

enum ar_conn_state {
    AR_CONN_IDLE,   /* waits for the first byte of a head */
    AR_CONN_HEAD,   /* a head is half there */
    AR_CONN_BUSY,   /* a request is its owner's */
    AR_CONN_FINISH, /* ended by its owner; framing bytes wait for room */
    AR_CONN_DRAIN,  /* drops the rest of a request's body, then goes on */
    AR_CONN_ABORT,  /* cut: what was written leaves, then an end that its framing shows to be early,
                       or a reset */
};

struct ar_inner; /* inner.c */
struct ar_conn {
    struct ar_inner *inner; /* NULL: a connection with a socket; else only owner and gone count */
    struct ar_node node;
    struct ar_server *server;
    struct ar_stream *stream; /* owns */
    struct ar_waker waker;    /* the stream's */
    struct ar_waker *owner;
    struct ar_job job; /* a pipelined head is there */
    struct ar_timer timer;
    enum ar_conn_state state;
    struct ar_head_reader *reader;
    struct ar_head head;
    struct ar_body body;
    struct ar_request_head request;
    struct ar_buf pending; /* of the answer's head or framing: bytes that found no room */
    int64_t since_ms, body_since_ms, send_since_ms;
    int64_t out_left; /* length framing: bytes still to be written */
    size_t chunk_left, dropped;
    bool tls, keep, opened, chunked, no_body, until_close;
    bool continue_due, reading, blocked, gone, timed_out, upgraded;
    bool lent; /* the owner's buffer is the stream's */
};

struct ar_server {
    struct ar_loop *loop;
    struct ar_conn_limits limits;
    ar_on_request *on_request;
    ar_on_bad_head *on_bad;
    void *user;
    struct ar_node conns, free_conns;
    unsigned count, free_count;
    struct ar_head_cache heads;
    struct ar_buf scratch; /* an answer's head while it is made */
    int64_t date_until_ms; /* the loop's clock */
    char date[32];
    bool draining;
};

/* Value of the Date header, made once a second. */
struct ar_str ar_server_date(struct ar_server *s);
/* Sets the timer to the earliest deadline of the state. */
void ar_conn_arm(struct ar_conn *c);
/* What is in pending goes out: false when some is left. */
bool ar_conn_push(struct ar_conn *c);
/* Writes all parts, keeping in pending what finds no room: only for heads and framing. */
void ar_conn_put(struct ar_conn *c, struct ar_str bytes);
/* What conn.c does for a connection without a socket. */
enum ar_poll ar_inner_peek(struct ar_conn *c, struct ar_str *ret);
void ar_inner_eat(struct ar_conn *c, size_t n);
void ar_inner_open(struct ar_conn *c, int status, const struct ar_header *h, unsigned n);
size_t ar_inner_write(struct ar_conn *c, struct ar_str bytes);
void ar_inner_end(struct ar_conn *c, bool clean);

/* The owner is done with the request. */
void ar_conn_settle(struct ar_conn *c, bool clean);

#endif
