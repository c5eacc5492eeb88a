/* What the tests of both sides share: a loop with a watchdog, raw peers that speak bytes, and a
 * server whose owner of requests does what the path says. */
#ifndef AR_TEST_HTTP_KIT_H
#define AR_TEST_HTTP_KIT_H

#include "base/buf.h"
#include "http/conn.h"
#include "io/loop.h"
#include "io/stream.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

struct kit {
    struct ar_loop *loop;
    struct ar_timer tick;
    bool (*until)(void *arg);
    void *arg;
    int64_t deadline_ms;
    bool ok;
};
void kit_init(struct kit *k);
void kit_done(struct kit *k);
/* Runs the loop until the condition holds: false when it does not within ms. */
bool kit_until(struct kit *k, int64_t ms, bool (*until)(void *arg), void *arg);
void kit_run(struct kit *k, int64_t ms);

/* One end of a stream that a test drives: reads all (unless paused), writes what is queued. */
struct kit_peer {
    struct kit *kit;
    struct ar_stream *stream; /* NULL: closed */
    struct ar_waker waker;
    struct ar_buf in, out;
    size_t want; /* kit_peer_want */
    bool paused, ended, failed;
};
void kit_peer_init(struct kit_peer *p, struct kit *k, struct ar_stream *s);
void kit_peer_send(struct kit_peer *p, struct ar_str bytes);
void kit_peer_close(struct kit_peer *p); /* frees the buffers too */
void kit_peer_resume(struct kit_peer *p);
/* Runs until the peer has got at least n bytes, or its end. */
bool kit_peer_want(struct kit_peer *p, size_t n);
/* Runs until the peer's other side closed or reset. */
bool kit_peer_want_end(struct kit_peer *p);
/* Runs until the text was received. */
bool kit_peer_want_text(struct kit_peer *p, const char *text);
bool kit_peer_has(const struct kit_peer *p, const char *text);

/* The owner of a request. It reads the body, then answers by path:
 *   /echo    200, the body, with its length      /chunk  200, the body, chunked
 *   /read    the same as /echo, the body read into memory of its own
 *   /big     200, 1 MiB chunked                   /biglen 200, 1 MiB with length
 *   /status/N  N without body                     /early  answers 200 "early" without reading the
 * body /hang    never answers                        /cut    200, chunked, "part", then ends
 * uncleanly /wait    200 chunked, "part", then waits      /cutlen 200, length 100, 10 bytes, then
 * ends "cleanly" */
struct kit_server {
    struct kit *kit;
    struct ar_server *server;
    unsigned requests, ended, gone, bad;
    enum ar_code last_code; /* of a body that failed, or of a head at fault */
    char last_note[160], last_method[16], last_path[64], last_query[64];
    int64_t last_length;
    bool last_ws;
    struct ar_buf last_body;
    struct kit_owner *owners;
};
void kit_server_init(struct kit_server *s, struct kit *k, const struct ar_conn_limits *limits);
void kit_server_done(struct kit_server *s);
/* Limits that no test meets by chance. */
struct ar_conn_limits kit_limits(void);
/* A client of the server over a pair. */
void kit_connect(struct kit_server *s, struct kit_peer *ret_client);

#endif
