/* Upstream exchanges over loopback TCP with a scripted server: framings, reuse, death, early
 * answers, time. */
#include "http/exchange.h"
#include "http/http_kit.h"
#include "io/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

enum { PEERS = 8 };

struct world {
    struct kit kit;
    struct ar_listener *listener;
    struct kit_peer peers[PEERS]; /* connections as the upstream sees them */
    unsigned peer_count;
    struct ar_pool *pool;
    struct ar_origin origin;
    struct ar_exchange_spec spec;
    struct ar_str parts[3];
    /* the owner */
    struct ar_exchange *x;
    struct ar_waker waker;
    struct ar_answer_head head;
    struct ar_buf body;
    struct ar_err err;
    enum ar_poll head_poll, body_poll;
    bool lazy; /* does not eat */
    unsigned wakes;
};

static void on_accept(void *user, struct ar_stream *s)
{
    struct world *w = user;
    assert_true(w->peer_count < PEERS);
    kit_peer_init(&w->peers[w->peer_count++], &w->kit, s);
}

static void drive(struct world *w)
{
    if (w->x && w->head_poll == AR_PENDING) {
        w->head_poll = ar_exchange_head(w->x, &w->head, &w->err);
    }
    while (w->x && w->head_poll == AR_READY && w->body_poll == AR_PENDING && !w->lazy) {
        struct ar_str in;
        w->body_poll = ar_exchange_peek(w->x, &in, &w->err);
        if (w->body_poll != AR_READY) {
            break;
        }
        ar_buf_str(&w->body, in);
        ar_exchange_eat(w->x, in.n);
        w->body_poll = AR_PENDING;
    }
}

static void wake(struct ar_waker *waker)
{
    struct world *w = AR_HOLDER(waker, struct world, waker);
    w->wakes++;
    drive(w);
}

static void start(struct world *w)
{
    struct ar_err err;
    memset(w, 0, sizeof(*w));
    kit_init(&w->kit);
    struct ar_listen_spec listen = {.host = AR_LIT("127.0.0.1"), .on_accept = on_accept, .user = w};
    w->listener = ar_listen(w->kit.loop, &listen, &err);
    assert_non_null(w->listener);
    struct ar_pool_limits limits = {.idle_per_origin = 4, .idle_ms = 10000};
    w->pool = ar_pool_new(w->kit.loop, &limits);
    w->waker.wake = wake;
    w->origin =
        (struct ar_origin){.host = AR_LIT("127.0.0.1"), .port = ar_listener_port(w->listener)};
    w->parts[0] = AR_LIT("hel");
    w->parts[1] = AR_LIT("");
    w->parts[2] = AR_LIT("lo");
    w->spec = (struct ar_exchange_spec){
        .origin = &w->origin,
        .method = AR_LIT("POST"),
        .target = AR_LIT("/v1/x?y"),
        .part_count = 3,
        .parts = w->parts,
        .connect_ms = 5000,
        .head_ms = 5000,
        .idle_ms = 5000,
        .waker = &w->waker,
    };
    ar_buf_init(&w->body, 64 << 20);
}

static void stop(struct world *w)
{
    ar_exchange_close(w->x);
    ar_pool_free(w->pool);
    for (unsigned i = 0; i < w->peer_count; i++) {
        kit_peer_close(&w->peers[i]);
    }
    ar_listener_close(w->listener);
    ar_buf_done(&w->body);
    kit_done(&w->kit);
}

static void begin(struct world *w)
{
    ar_buf_clear(&w->body);
    w->head_poll = w->body_poll = AR_PENDING;
    w->err = (struct ar_err){0};
    w->x = ar_exchange_start(w->pool, &w->spec);
    drive(w);
}

static void end(struct world *w)
{
    ar_exchange_close(w->x);
    w->x = NULL;
}

struct peer_wish {
    struct world *w;
    unsigned n;
};

static bool has_peers(void *arg)
{
    struct peer_wish *p = arg;
    return p->w->peer_count >= p->n;
}

/* The n-th connection, once it has the whole request. */
static struct kit_peer *request_at(struct world *w, unsigned n)
{
    struct peer_wish wish = {w, n + 1};
    assert_true(kit_until(&w->kit, 3000, has_peers, &wish));
    assert_true(kit_peer_want_text(&w->peers[n], "\r\n\r\nhello"));
    return &w->peers[n];
}

static bool is_over(void *arg)
{
    struct world *w = arg;
    return w->head_poll == AR_FAILED || w->body_poll == AR_ENDED || w->body_poll == AR_FAILED;
}

static void finish(struct world *w)
{
    assert_true(kit_until(&w->kit, 3000, is_over, w));
}

static void reply(struct kit_peer *p, const char *text)
{
    ar_buf_clear(&p->in);
    kit_peer_send(p, ar_str_of(text));
}

static void test_request(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    struct ar_header h[] = {{AR_LIT("X-A"), AR_LIT("b")},
                            {AR_LIT("Content-Length"), AR_LIT("999")},
                            {AR_LIT("Transfer-Encoding"), AR_LIT("chunked")},
                            {AR_LIT("X-Split"), AR_LIT("a\r\nEvil: 1")}};
    w.spec.headers = h;
    w.spec.header_count = 4;
    begin(&w);
    struct kit_peer *p = request_at(&w, 0);
    char want[300];
    snprintf(want, sizeof(want),
             "POST /v1/x?y HTTP/1.1\r\nX-A: b\r\nhost: 127.0.0.1:%u\r\naccept-encoding: "
             "identity\r\ncontent-length: 5\r\n\r\nhello",
             w.origin.port);
    assert_true(ar_str_is(ar_buf_view(&p->in), ar_str_of(want)));
    reply(p, "HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 3\r\n\r\nabc");
    finish(&w);
    assert_int_equal(w.head.status, 200);
    assert_int_equal(w.head.length, 3);
    assert_true(ar_str_is_lit(w.head.content_type, "text/x"));
    assert_int_equal(w.head.retry_after_ms, -1);
    assert_true(ar_str_is_lit(ar_buf_view(&w.body), "abc"));
    struct ar_exchange_facts f;
    ar_exchange_facts(w.x, &f);
    assert_int_equal(f.phase, AR_PH_OVER);
    assert_true(f.at_us[AR_PH_DIAL] > 0 && f.at_us[AR_PH_DIAL] <= f.at_us[AR_PH_SEND] &&
                f.at_us[AR_PH_SEND] <= f.at_us[AR_PH_HEAD] &&
                f.at_us[AR_PH_HEAD] <= f.at_us[AR_PH_BODY] &&
                f.at_us[AR_PH_BODY] <= f.at_us[AR_PH_OVER]);
    assert_int_equal(f.out_bytes, strlen(want));
    assert_int_equal(f.in_bytes, 63);
    assert_false(f.reused || f.resent);
    stop(&w);
}

/* Every framing, each answer split at every byte. The connection is reused exactly when it may be.
 */
static void test_framings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body;
        bool close, reused;
        int status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false, true, 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
         "hello", false, true, 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: "
         "close\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n",
         "hello", false, false, 200},
        {"HTTP/1.1 200 OK\r\n\r\nhello", "hello", true, false, 200},
        {"HTTP/1.0 200 OK\r\n\r\nhello", "hello", true, false, 200},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", false, false, 200},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", false, true, 204},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "", false, true, 304},
        {"HTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 "
         "X\r\nContent-Length: 1\r\n\r\nx",
         "x", false, true, 429},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxSURPLUS", "x", false, false, 200},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].text);
        for (size_t at = 0; at < n; at += 3) {
            struct world w;
            start(&w);
            begin(&w);
            struct kit_peer *p = request_at(&w, 0);
            kit_peer_send(p, ar_str_n(rows[i].text, at));
            ar_stream_flush(p->stream);
            kit_run(&w.kit, 0);
            kit_peer_send(p, ar_str_n(rows[i].text + at, n - at));
            if (rows[i].close) {
                ar_stream_shut(p->stream);
            }
            finish(&w);
            assert_int_equal(w.body_poll, AR_ENDED);
            assert_int_equal(w.head.status, rows[i].status);
            assert_true(ar_str_is(ar_buf_view(&w.body), ar_str_of(rows[i].body)));
            kit_run(&w.kit, 1);
            end(&w);
            ar_buf_clear(&p->in);
            begin(&w);
            request_at(&w, rows[i].reused ? 0 : 1);
            assert_int_equal(w.peer_count, rows[i].reused ? 1 : 2);
            stop(&w);
        }
    }
}

static void test_head_method(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    w.spec.method = AR_LIT("HEAD");
    w.spec.part_count = 0;
    begin(&w);
    struct peer_wish wish = {&w, 1};
    assert_true(kit_until(&w.kit, 3000, has_peers, &wish));
    assert_true(kit_peer_want_text(&w.peers[0], "\r\n\r\n"));
    assert_false(kit_peer_has(&w.peers[0], "content-length"));
    reply(&w.peers[0], "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    finish(&w);
    assert_int_equal(w.body_poll, AR_ENDED);
    assert_int_equal(w.head.length, 500);
    assert_int_equal(w.body.n, 0);
    stop(&w);
}

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *text, *body; /* then the connection ends */
        enum ar_code code;
        bool head;
    } rows[] = {
        {"", "", AR_UPSTREAM_ERROR, false},
        {"HTTP/1.1 200 O", "", AR_UPSTREAM_TRUNCATED, false},
        {"garbage\r\n\r\n", "", AR_UPSTREAM_ERROR, false},
        {"HTTP/1.1 101 Switching\r\n\r\n", "", AR_UPSTREAM_ERROR, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", "",
         AR_UPSTREAM_ERROR, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "hello", AR_UPSTREAM_TRUNCATED, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello",
         AR_UPSTREAM_TRUNCATED, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel", "hel",
         AR_UPSTREAM_TRUNCATED, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nx", "hello",
         AR_UPSTREAM_ERROR, true},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", "",
         AR_UPSTREAM_ERROR, true},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 5\r\n\r\nhello", "",
         AR_UPSTREAM_ERROR, true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int reset = 0; reset < 2; reset++) {
            struct world w;
            start(&w);
            begin(&w);
            struct kit_peer *p = request_at(&w, 0);
            reply(p, rows[i].text);
            ar_stream_flush(p->stream);
            if (reset) {
                kit_run(&w.kit, 2);
                struct ar_str byte = AR_LIT("\n");
                ar_stream_write(p->stream, &byte, 1); /* unsent: the close resets */
            }
            ar_stream_close(p->stream);
            p->stream = NULL;
            finish(&w);
            assert_int_equal(w.head_poll, rows[i].head ? AR_READY : AR_FAILED);
            assert_int_equal(w.err.code, rows[i].code);
            assert_true(w.err.note[0] != 0);
            assert_true(ar_str_is(ar_buf_view(&w.body), ar_str_of(rows[i].body)));
            kit_run(&w.kit, 2);
            assert_int_equal(w.peer_count, 1); /* a fresh connection is not retried */
            stop(&w);
        }
    }
}

static void test_head_limit(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    begin(&w);
    struct kit_peer *p = request_at(&w, 0);
    static char big[70000];
    memset(big, 'a', sizeof(big));
    reply(p, "HTTP/1.1 200 OK\r\nA: ");
    kit_peer_send(p, ar_str_n(big, sizeof(big)));
    finish(&w);
    assert_int_equal(w.err.code, AR_UPSTREAM_ERROR);
    assert_true(ar_str_has(ar_str_of(w.err.note), AR_LIT("65536")));
    stop(&w);
}

static void test_encodings(void **state)
{
    (void)state;
    static char text[50000], room[60000], head[200];
    memset(text, 'z', sizeof(text));
    for (int how = 0; how < 3; how++) {
        size_t n;
        if (how == 2) {
            n = ZSTD_compress(room, sizeof(room), text, sizeof(text), 3);
        } else {
            z_stream z = {0};
            assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, how == 0 ? 31 : 15, 8, 0), Z_OK);
            z.next_in = (Bytef *)text;
            z.avail_in = sizeof(text);
            z.next_out = (Bytef *)room;
            z.avail_out = sizeof(room);
            assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
            n = z.total_out;
            deflateEnd(&z);
        }
        static const char *const names[] = {"gzip", "deflate", "zstd"};
        struct world w;
        start(&w);
        struct ar_header h = {AR_LIT("Accept-Encoding"), AR_LIT("gzip, zstd")};
        w.spec.headers = &h;
        w.spec.header_count = 1;
        begin(&w);
        struct kit_peer *p = request_at(&w, 0);
        assert_true(kit_peer_has(p, "Accept-Encoding: gzip, zstd\r\n"));
        assert_false(kit_peer_has(p, "identity"));
        snprintf(head, sizeof(head),
                 "HTTP/1.1 200 OK\r\nA: b\r\ncontent-encoding: %s\r\nContent-Length: %zu\r\nC: "
                 "d\r\n\r\n",
                 names[how], n);
        reply(p, head);
        for (size_t i = 0; i < n; i++) {
            kit_peer_send(p, ar_str_n(room + i, 1));
            ar_stream_flush(p->stream);
            kit_run(&w.kit, 0);
        }
        finish(&w);
        assert_int_equal(w.body_poll, AR_ENDED);
        assert_int_equal(w.body.n, sizeof(text));
        assert_memory_equal(w.body.p, text, sizeof(text));
        assert_int_equal(w.head.length, -1);
        assert_int_equal(w.head.header_count, 2);
        assert_null(ar_header_lit(w.head.headers, 2, "content-encoding").p);
        end(&w);
        ar_buf_clear(&p->in);
        begin(&w);
        request_at(&w, 0); /* read to its end: reused */
        stop(&w);
    }
}

static void one_answer(struct world *w, unsigned peer)
{
    begin(w);
    struct kit_peer *p = request_at(w, peer);
    reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    finish(w);
    assert_int_equal(w->body_poll, AR_ENDED);
    end(w);
}

static void test_reuse(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    for (int i = 0; i < 5; i++) {
        one_answer(&w, 0);
    }
    assert_int_equal(w.peer_count, 1);
    begin(&w);
    request_at(&w, 0);
    struct ar_exchange_facts f;
    ar_exchange_facts(w.x, &f);
    assert_true(f.reused && f.at_us[AR_PH_DIAL] == 0);
    end(&w); /* no answer: not kept */
    assert_true(kit_peer_want_end(&w.peers[0]));
    one_answer(&w, 1);
    w.origin.ca_file = AR_LIT("/other"); /* another origin */
    one_answer(&w, 2);
    w.origin.ca_file = AR_LIT("");
    one_answer(&w, 1);
    stop(&w);
}

/* The peer closes an idle connection: noticed, nothing is sent on it. */
static void test_idle_death(void **state)
{
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct world w;
        start(&w);
        one_answer(&w, 0);
        if (how == 2) {
            reply(&w.peers[0], "HTTP/1.1 408 Timeout\r\n\r\n"); /* unasked */
            kit_run(&w.kit, 5);
        } else {
            ar_stream_close(w.peers[0].stream);
            w.peers[0].stream = NULL;
            if (how == 0) {
                kit_run(&w.kit, 5);
            } /* else the FIN comes while the request is sent */
        }
        begin(&w);
        struct kit_peer *p = request_at(&w, 1);
        reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        finish(&w);
        assert_int_equal(w.body_poll, AR_ENDED);
        struct ar_exchange_facts f;
        ar_exchange_facts(w.x, &f);
        assert_true(how == 1 || !f.resent);
        stop(&w);
    }
}

/* A reused connection dies after it took the request: one new connection, once, unseen. */
static void test_resend(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        for (int again = 0; again < 2; again++) {
            struct world w;
            start(&w);
            one_answer(&w, 0);
            ar_buf_clear(&w.peers[0].in);
            begin(&w);
            struct kit_peer *p = request_at(&w, 0);
            if (reset) {
                struct ar_str byte = AR_LIT("H");
                ar_stream_write(p->stream, &byte, 1);
            }
            ar_stream_close(p->stream);
            p->stream = NULL;
            p = request_at(&w, 1);
            struct ar_exchange_facts f;
            ar_exchange_facts(w.x, &f);
            assert_true(f.reused && f.resent);
            if (again) {
                ar_stream_close(p->stream);
                p->stream = NULL;
                finish(&w);
                assert_int_equal(w.head_poll, AR_FAILED);
                assert_int_equal(w.err.code, AR_UPSTREAM_ERROR);
                kit_run(&w.kit, 2);
                assert_int_equal(w.peer_count, 2);
            } else {
                reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                finish(&w);
                assert_int_equal(w.body_poll, AR_ENDED);
                assert_int_equal(w.head.status, 200);
            }
            stop(&w);
        }
    }
}

/* The first byte of an answer ends the right to a second try. */
static void test_no_resend_after_first_byte(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    one_answer(&w, 0);
    ar_buf_clear(&w.peers[0].in);
    begin(&w);
    struct kit_peer *p = request_at(&w, 0);
    reply(p, "H");
    ar_stream_flush(p->stream);
    kit_run(&w.kit, 5);
    ar_stream_close(p->stream);
    p->stream = NULL;
    finish(&w);
    assert_int_equal(w.err.code, AR_UPSTREAM_TRUNCATED);
    assert_int_equal(w.peer_count, 1);
    stop(&w);
}

/* A body that does not fit into any buffer, on a reused connection that dies in the middle of it.
 */
static void test_large_body_resent(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    one_answer(&w, 0);
    size_t n = 12 << 20;
    char *big = malloc(n);
    for (size_t i = 0; i < n; i++) {
        big[i] = (char)('a' + i % 23);
    }
    w.parts[1] = ar_str_n(big, n);
    ar_buf_clear(&w.peers[0].in);
    begin(&w);
    assert_true(kit_peer_want(&w.peers[0], 100000));
    kit_peer_close(&w.peers[0]);
    ar_buf_init(&w.peers[0].in, 1);
    struct peer_wish wish = {&w, 2};
    assert_true(kit_until(&w.kit, 3000, has_peers, &wish));
    struct kit_peer *p = &w.peers[1];
    assert_true(kit_peer_want_text(p, "\r\n\r\nhel"));
    size_t at = ar_str_find(ar_buf_view(&p->in), AR_LIT("\r\n\r\n")) + 4;
    assert_true(kit_peer_want(p, at + n + 5));
    assert_memory_equal(p->in.p + at + 3, big, n);
    assert_memory_equal(p->in.p + at + 3 + n, "lo", 2);
    reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    finish(&w);
    assert_int_equal(w.body_poll, AR_ENDED);
    stop(&w);
    free(big);
}

/* The upstream answers while most of the body is unsent, and does not read on. */
static void test_early_answer(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    size_t n = 12 << 20;
    char *big = calloc(1, n);
    memset(big, 'x', n);
    w.parts[1] = ar_str_n(big, n);
    begin(&w);
    struct peer_wish wish = {&w, 1};
    assert_true(kit_until(&w.kit, 3000, has_peers, &wish));
    assert_true(kit_peer_want_text(&w.peers[0], "\r\n\r\n"));
    w.peers[0].paused = true;
    reply(&w.peers[0], "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    finish(&w);
    assert_int_equal(w.body_poll, AR_ENDED);
    assert_int_equal(w.head.status, 413);
    assert_true(ar_str_is_lit(ar_buf_view(&w.body), "no"));
    end(&w);
    w.parts[1] = AR_LIT("");
    begin(&w);
    request_at(&w, 1); /* half a request is on the other one */
    stop(&w);
    free(big);
}

static void test_time(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    w.spec.head_ms = 30;
    begin(&w);
    request_at(&w, 0);
    finish(&w);
    assert_int_equal(w.err.code, AR_UPSTREAM_TIMEOUT);
    assert_int_equal(w.head_poll, AR_FAILED);
    end(&w);
    w.spec.head_ms = 5000;
    w.spec.idle_ms = 40;
    begin(&w);
    struct kit_peer *p = request_at(&w, 1);
    kit_run(&w.kit, 80); /* silence before the head is the head's time */
    reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    for (int i = 0; i < 5; i++) { /* progress moves the deadline */
        kit_run(&w.kit, 20);
        kit_peer_send(p, AR_LIT("x"));
    }
    kit_run(&w.kit, 5);
    assert_int_equal(w.body.n, 5);
    assert_int_equal(w.body_poll, AR_PENDING);
    finish(&w);
    assert_int_equal(w.body_poll, AR_FAILED);
    assert_int_equal(w.err.code, AR_UPSTREAM_TIMEOUT);
    end(&w);
    /* A slow owner is no fault of the upstream. */
    w.lazy = true;
    begin(&w);
    p = request_at(&w, 2);
    reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    kit_run(&w.kit, 120);
    assert_int_equal(w.head_poll, AR_READY);
    w.lazy = false;
    drive(&w);
    finish(&w);
    assert_int_equal(w.body_poll, AR_ENDED);
    stop(&w);
}

/* Nobody eats: the upstream can send only so much. */
static void test_backpressure(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    w.lazy = true;
    begin(&w);
    struct kit_peer *p = request_at(&w, 0);
    reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n");
    size_t n = 32 << 20;
    char *big = malloc(n);
    memset(big, 'q', n);
    kit_peer_send(p, ar_str_n(big, n));
    kit_run(&w.kit, 100);
    assert_true(p->out.n > 8u << 20); /* the rest is in kernel buffers, not in ours */
    w.lazy = false;
    drive(&w);
    finish(&w);
    assert_int_equal(w.body_poll, AR_ENDED);
    assert_int_equal(w.body.n, n);
    stop(&w);
    free(big);
}

/* Closed by its owner while the end of the answer is already here: the connection stays. */
static void test_close_before_the_end(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    begin(&w);
    struct kit_peer *p = request_at(&w, 0);
    w.lazy = true;
    reply(p, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    kit_run(&w.kit, 5);
    end(&w);
    ar_buf_clear(&p->in);
    w.lazy = false;
    one_answer(&w, 0);
    begin(&w);
    reply(request_at(&w, 0), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    kit_run(&w.kit, 5);
    end(&w);
    assert_true(kit_peer_want_end(&w.peers[0]));
    stop(&w);
}

static bool first_ended(void *arg)
{
    struct world *w = arg;
    return w->peers[0].ended || w->peers[0].failed;
}

static void test_pool_limits(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ar_pool_free(w.pool);
    struct ar_pool_limits limits = {.idle_per_origin = 1, .idle_ms = 40};
    w.pool = ar_pool_new(w.kit.loop, &limits);
    one_answer(&w, 0);
    kit_run(&w.kit, 10);
    assert_false(first_ended(&w));
    assert_true(kit_until(&w.kit, 1000, first_ended, &w)); /* too old */
    one_answer(&w, 1);
    begin(&w);
    struct kit_peer *p = request_at(&w, 1);
    struct ar_exchange *first = w.x;
    begin(&w); /* a second at the same time */
    request_at(&w, 2);
    struct ar_exchange *second = w.x;
    w.x = first;
    w.head_poll = w.body_poll = AR_PENDING;
    reply(p, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    finish(&w);
    end(&w);
    w.x = second;
    w.head_poll = w.body_poll = AR_PENDING;
    reply(&w.peers[2], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    finish(&w);
    end(&w);
    assert_true(kit_peer_want_end(&w.peers[1])); /* one is kept, the newer */
    assert_false(w.peers[2].ended || w.peers[2].failed);
    stop(&w);
}

static void test_no_connection(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    uint16_t port = w.origin.port;
    ar_listener_close(w.listener);
    begin(&w);
    finish(&w);
    assert_int_equal(w.head_poll, AR_FAILED);
    assert_int_equal(w.err.code, AR_UPSTREAM_CONNECT);
    end(&w);
    w.spec.target = AR_LIT("/a b");
    begin(&w);
    assert_int_equal(w.head_poll, AR_FAILED);
    assert_int_equal(w.err.code, AR_INVALID_REQUEST);
    struct ar_err err;
    struct ar_listen_spec listen = {
        .host = AR_LIT("127.0.0.1"), .port = port, .on_accept = on_accept, .user = &w};
    w.listener = ar_listen(w.kit.loop, &listen, &err);
    assert_non_null(w.listener);
    stop(&w);
}

static void test_retry_after(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    begin(&w);
    reply(request_at(&w, 0), "HTTP/1.1 429 X\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n");
    finish(&w);
    assert_int_equal(w.head.retry_after_ms, 3000);
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),
        cmocka_unit_test(test_framings),
        cmocka_unit_test(test_head_method),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_head_limit),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_idle_death),
        cmocka_unit_test(test_resend),
        cmocka_unit_test(test_no_resend_after_first_byte),
        cmocka_unit_test(test_large_body_resent),
        cmocka_unit_test(test_early_answer),
        cmocka_unit_test(test_time),
        cmocka_unit_test(test_backpressure),
        cmocka_unit_test(test_close_before_the_end),
        cmocka_unit_test(test_pool_limits),
        cmocka_unit_test(test_no_connection),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
