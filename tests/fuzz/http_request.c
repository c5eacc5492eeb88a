/* A client's bytes against the server side, over a pair in memory. Property: the same requests,
 * bodies, faults and answers come of the same bytes whole and in pieces, nothing that follows a
 * fault is taken for a request, and the connection ends. One thing may differ: libzstd decodes a
 * frame that it has whole in one pass and then gives none of it when the frame is corrupt, so of a
 * zstd body that fails only the common part is compared. First byte: the size of the pieces. */
#include "http/conn.h"
#include "http/encoding.h"
#include "io/loop.h"
#include "io/stream.h"

#include "base/buf.h"

#include <stdlib.h>

enum { IDLE_TURNS = 64 };

struct run {
    struct ar_loop *loop;
    struct ar_stream *client;
    struct ar_waker client_waker;
    struct ar_job tick;
    unsigned idle;     /* turns without anything to send */
    struct ar_buf log; /* requests and bodies, then the answers without their dates */
    struct ar_str rest;
    size_t step;
    unsigned live;
    bool faulty, zstd, over;
};

struct owner {
    struct run *run;
    struct ar_conn *conn;
    struct ar_waker waker;
};

static void end(struct owner *o, bool clean)
{
    o->run->live--;
    ar_conn_end(o->conn, clean);
    free(o);
}

static void drive(struct owner *o)
{
    struct ar_str in;
    struct ar_err err = {0};
    for (;;) {
        enum ar_poll poll = ar_conn_peek(o->conn, &in, &err);
        if (poll == AR_PENDING) {
            if (ar_conn_is_gone(o->conn)) {
                end(o, false);
            }
            return;
        }
        if (poll == AR_READY) {
            ar_buf_str(&o->run->log, in);
            ar_conn_eat(o->conn, in.n);
            continue;
        }
        if (poll == AR_FAILED) {
            ar_buf_lit(&o->run->log, "<fault>");
            o->run->faulty = true;
        }
        ar_conn_open(o->conn, poll == AR_ENDED ? 200 : 400, NULL, 0, -1);
        ar_conn_write(o->conn, AR_LIT("answer"));
        end(o, true);
        return;
    }
}

static void wake(struct ar_waker *w)
{
    drive(AR_HOLDER(w, struct owner, waker));
}

static void on_request(void *user, struct ar_conn *c, const struct ar_request_head *h)
{
    struct run *r = user;
    struct owner *o = calloc(1, sizeof(*o));
    AR_ASSERT(!r->faulty); /* after a fault there are no more requests */
    AR_ASSERT(h->path.n > 0 && h->method.n > 0 && h->body_length >= -1);
    ar_buf_lit(&r->log, "\n<request>");
    ar_buf_str(&r->log, h->method);
    ar_buf_str(&r->log, h->path);
    ar_buf_char(&r->log, '?');
    ar_buf_str(&r->log, h->query);
    for (unsigned i = 0; i < h->header_count; i++) {
        AR_ASSERT(ar_header_is_safe(&h->headers[i]));
        ar_buf_str(&r->log, h->headers[i].name);
        ar_buf_char(&r->log, ':');
        ar_buf_str(&r->log, h->headers[i].value);
        r->zstd |= ar_str_is_nocase(h->headers[i].name, AR_LIT("content-encoding")) &&
                   ar_encoding_of(h->headers[i].value) == AR_ENC_ZSTD;
    }
    *o = (struct owner){r, c, {wake}};
    r->live++;
    ar_conn_set_waker(c, &o->waker);
    drive(o);
}

static int on_bad(void *user, enum ar_code code, const char *note, struct ar_str path,
                  struct ar_buf *ret_body)
{
    struct run *r = user;
    (void)path;
    r->faulty = true;
    ar_buf_lit(&r->log, "\n<bad>");
    ar_buf_str(&r->log, ar_str_of(note));
    ar_buf_lit(ret_body, "{}");
    return ar_code_status(code);
}

/* What the server says is dropped. */
static void wake_client(struct ar_waker *w)
{
    struct run *r = AR_HOLDER(w, struct run, client_waker);
    struct ar_str in;
    enum ar_poll poll;
    while ((poll = ar_stream_peek(r->client, &in, NULL)) == AR_READY) {
        ar_stream_eat(r->client, in.n);
    }
    r->over |= poll != AR_PENDING;
}

/* A piece a time, between the wakes that it causes. */
static void tick(struct ar_job *j)
{
    struct run *r = AR_HOLDER(j, struct run, tick);
    if (!r->over && r->rest.n > 0) {
        struct ar_str piece = ar_str_head(r->rest, r->step);
        size_t n = ar_stream_write(r->client, &piece, 1);
        r->rest = ar_str_from(r->rest, n);
        ar_stream_flush(r->client);
        r->idle = n > 0 ? 0 : r->idle;
    }
    if (++r->idle > IDLE_TURNS) {
        ar_loop_stop(r->loop);
    } else {
        ar_loop_queue(r->loop, j);
    }
}

/* Returns whether a fault was met where a zstd body was read. */
static bool run(struct ar_str in, size_t step, struct ar_buf *ret_log)
{
    static const struct ar_conn_limits limits = {.head_bytes = 2048,
                                                 .body_bytes = 4096,
                                                 .headers = 16,
                                                 .head_ms = 60000,
                                                 .body_ms = 60000,
                                                 .idle_ms = 60000,
                                                 .send_ms = 60000,
                                                 .connections = 4};
    struct run r = {.loop = ar_loop_new(),
                    .rest = in,
                    .step = step,
                    .client_waker = {wake_client},
                    .tick = {.run = tick}};
    struct ar_stream *pair[2];
    ar_buf_init(&r.log, 16 << 20);
    struct ar_server *server = ar_server_new(r.loop, &limits, on_request, on_bad, &r);
    ar_stream_pair(r.loop, pair);
    r.client = pair[0];
    ar_stream_set_waker(r.client, &r.client_waker);
    ar_server_accept(server, pair[1], false);
    ar_loop_queue(r.loop, &r.tick);
    ar_loop_run(r.loop);
    ar_stream_close(r.client);
    r.over = true;
    r.idle = 0;
    ar_loop_queue(r.loop, &r.tick);
    ar_loop_run(r.loop); /* owners see that the client is gone */
    AR_ASSERT(r.live == 0);
    ar_server_free(server);
    ar_loop_free(r.loop);
    *ret_log = r.log;
    return r.faulty && r.zstd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 1, size - 1);
    struct ar_buf whole, split;
    bool lax = run(in, 16384, &whole);
    if (run(in, 1 + data[0] % 64 * 7, &split) && lax) {
        whole.n = split.n = whole.n < split.n ? whole.n : split.n;
    }
    AR_ASSERT(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
    ar_buf_done(&whole);
    ar_buf_done(&split);
    return 0;
}
