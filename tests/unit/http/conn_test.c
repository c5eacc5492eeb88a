/* A client's connection over a pair in memory: framing both ways, limits, time, and how it ends. */
#include "http/http_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

struct world {
    struct kit kit;
    struct kit_server server;
    struct kit_peer client;
};

static void begin(struct world *w, const struct ar_conn_limits *limits)
{
    kit_init(&w->kit);
    kit_server_init(&w->server, &w->kit, limits);
    kit_connect(&w->server, &w->client);
}

static void start(struct world *w)
{
    struct ar_conn_limits limits = kit_limits();
    begin(w, &limits);
}

static void stop(struct world *w)
{
    kit_peer_close(&w->client);
    kit_server_done(&w->server);
    kit_done(&w->kit);
}

static void ask(struct world *w, const char *text)
{
    kit_peer_send(&w->client, ar_str_of(text));
}

static unsigned count_text(const struct kit_peer *p, const char *text)
{
    unsigned n = 0;
    struct ar_str rest = ar_buf_view(&p->in), needle = ar_str_of(text);
    for (size_t at; (at = ar_str_find(rest, needle)) < rest.n; n++) {
        rest = ar_str_from(rest, at + needle.n);
    }
    return n;
}

#define POST(path, n) "POST " path " HTTP/1.1\r\nHost: h\r\nContent-Length: " #n "\r\n\r\n"
#define GET(path)     "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void test_plain(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, "POST /echo?a=b HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello");
    assert_true(kit_peer_want_text(&w.client, "\r\n\r\nhello"));
    assert_true(ar_str_has_prefix(ar_buf_view(&w.client.in), AR_LIT("HTTP/1.1 200 OK\r\n")));
    assert_true(kit_peer_has(&w.client, "\r\ncontent-length: 5\r\n"));
    assert_true(kit_peer_has(&w.client, "\r\ndate: "));
    assert_true(kit_peer_has(&w.client, " GMT\r\n"));
    assert_false(kit_peer_has(&w.client, "connection"));
    assert_string_equal(w.server.last_method, "POST");
    assert_string_equal(w.server.last_path, "/echo");
    assert_string_equal(w.server.last_query, "a=b");
    assert_int_equal(w.server.last_length, 5);
    ar_buf_clear(&w.client.in);
    ask(&w, GET("/status/404"));
    assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 404 Not Found\r\n"));
    assert_true(kit_peer_has(&w.client, "content-length: 0\r\n"));
    assert_int_equal(w.server.requests, 2);
    stop(&w);
}

static void test_targets(void **state)
{
    (void)state;
    static const struct {
        const char *target, *path, *query;
    } rows[] = {{"/a/b?c=d?e", "/a/b", "c=d?e"},
                {"http://h:1/x?y", "/x", "y"},
                {"http://h", "/", ""},
                {"https://h?q", "/", "q"},
                {"/", "/", ""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        char text[200];
        start(&w);
        snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", rows[i].target);
        ask(&w, text);
        assert_true(kit_peer_want_text(&w.client, "\r\n\r\n"));
        assert_string_equal(w.server.last_path, rows[i].path);
        assert_string_equal(w.server.last_query, rows[i].query);
        stop(&w);
    }
}

/* Three requests, split at every byte. */
static void test_pipelined(void **state)
{
    (void)state;
    static const char text[] = POST("/echo", 3) "one" GET(
        "/chunk") "POST /chunk HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n2\r\nth\r\n3\r\nree\r\n0\r\n\r\n";
    for (size_t at = 0; at < sizeof(text) - 1; at++) {
        struct world w;
        start(&w);
        kit_peer_send(&w.client, ar_str_n(text, at));
        kit_run(&w.kit, 0);
        kit_peer_send(&w.client, ar_str_n(text + at, sizeof(text) - 1 - at));
        assert_true(kit_peer_want_text(&w.client, "three\r\n0\r\n\r\n"));
        assert_int_equal(count_text(&w.client, "HTTP/1.1 200 OK\r\n"), 3);
        assert_true(kit_peer_has(&w.client, "\r\n\r\noneHTTP/1.1"));
        assert_int_equal(w.server.requests, 3);
        assert_int_equal(ar_server_connections(w.server.server), 1);
        stop(&w);
    }
}

static void test_bad_heads(void **state)
{
    (void)state;
    static const struct {
        const char *text, *answer, *path;
    } rows[] = {
        {"POST /v1/m HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: "
         "chunked\r\n\r\n",
         "HTTP/1.1 400 ", "/v1/m"},
        {"GET /v1/m?k=secret HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", "/v1/m"},
        {"FOO /v1/m HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ", ""},
        {"TRACE /x HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 405 ", "/x"},
        {"POST /x HTTP/1.1\r\nHost: h\r\nExpect: magic\r\nContent-Length: 1\r\n\r\n",
         "HTTP/1.1 417 ", "/x"},
        {"GET /x "
         "HTTP/"
         "1.1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:"
         "1\r\n1:1\r\n1:1\r\n"
         "1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n1:1\r\n\r\n",
         "HTTP/1.1 431 ", "/x"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        start(&w);
        ask(&w, rows[i].text);
        ask(&w, GET("/echo")); /* what follows a broken head is never a request */
        assert_true(kit_peer_want_end(&w.client));
        assert_true(ar_str_has_prefix(ar_buf_view(&w.client.in), ar_str_of(rows[i].answer)));
        assert_true(kit_peer_has(&w.client, "\r\nconnection: close\r\n"));
        assert_true(kit_peer_has(&w.client, "\r\nx-anyrouter-error: "));
        assert_true(kit_peer_has(&w.client, "\r\nx-anyrouter-request-id: "));
        assert_true(kit_peer_has(&w.client, "\r\n\r\n{\"bad\":\""));
        assert_string_equal(w.server.last_path, rows[i].path);
        assert_int_equal(w.server.requests, 0);
        assert_int_equal(w.server.bad, 1);
        assert_int_equal(ar_server_connections(w.server.server), 0);
        stop(&w);
    }
}

static void test_head_too_large(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, "GET /x HTTP/1.1\r\nA: ");
    for (int i = 0; i < 100; i++) {
        ask(&w, "0123456789012345678901234567890123456789012345678901234567890123456789012345678901"
                "234567890123456789");
    }
    assert_true(kit_peer_want_end(&w.client));
    assert_true(kit_peer_has(&w.client, "HTTP/1.1 431 "));
    assert_int_equal(w.server.last_code, AR_HEADERS_TOO_LARGE);
    stop(&w);
}

static void test_body_limits(void **state)
{
    (void)state;
    struct ar_conn_limits limits = kit_limits();
    limits.body_bytes = 10;
    struct world w;
    begin(&w, &limits);
    ask(&w, POST("/echo", 10) "0123456789");
    assert_true(kit_peer_want_text(&w.client, "0123456789"));
    ask(&w, POST("/echo", 11)); /* refused by the head alone: the body never comes */
    assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 413 "));
    assert_true(kit_peer_want_end(&w.client));
    assert_true(kit_peer_has(&w.client, "connection: close"));
    assert_int_equal(w.server.last_code, AR_TOO_LARGE);
    stop(&w);
    begin(&w, &limits);
    ask(&w, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n6\r\n012345\r\n");
    kit_run(&w.kit, 5);
    assert_int_equal(w.server.ended, 0);
    ask(&w, "5\r\n01234\r\n");
    assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 413 "));
    stop(&w);
}

static void test_broken_chunks(void **state)
{
    (void)state;
    static const char *const rows[] = {"x\r\n", "5\r\nhelloX", "5\nhello", "-1\r\n", "0\r\n\n"};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world w;
        start(&w);
        ask(&w, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
        ask(&w, rows[i]);
        ask(&w, GET("/echo"));
        assert_true(kit_peer_want_end(&w.client));
        assert_true(kit_peer_has(&w.client, "HTTP/1.1 400 "));
        assert_int_equal(w.server.last_code, AR_INVALID_REQUEST);
        assert_int_equal(w.server.requests, 1);
        stop(&w);
    }
}

static void test_continue(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n");
    assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 100 Continue\r\n\r\n"));
    assert_int_equal(w.server.ended, 0);
    ask(&w, "hello");
    assert_true(kit_peer_want_text(&w.client, "\r\n\r\nhello"));
    assert_int_equal(count_text(&w.client, "100 Continue"), 1);
    assert_false(kit_peer_has(&w.client, "connection: close"));
    ar_buf_clear(&w.client.in);
    /* An answer without the body: no 100, and the connection ends, for the body may come or not. */
    ask(&w, "POST /early HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_true(kit_peer_want_end(&w.client));
    assert_true(kit_peer_has(&w.client, "connection: close\r\n"));
    assert_true(kit_peer_has(&w.client, "\r\n\r\nearly"));
    assert_false(kit_peer_has(&w.client, "100 Continue"));
    stop(&w);
    /* A body that is there with the head, an empty one too, was not waited for. */
    start(&w);
    ask(&w, "POST /echo HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTransfer-Encoding: "
            "chunked\r\n\r\n0\r\n\r\n");
    assert_true(kit_peer_want_text(&w.client, "\r\n\r\n"));
    assert_false(kit_peer_has(&w.client, "100 Continue"));
    assert_false(kit_peer_has(&w.client, "connection: close"));
    stop(&w);
    /* HTTP/1.0 knows no expectations. */
    start(&w);
    ask(&w, "POST /echo HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    kit_run(&w.kit, 5);
    assert_int_equal(w.client.in.n, 0);
    ask(&w, "hello");
    assert_true(kit_peer_want_text(&w.client, "hello"));
    stop(&w);
}

static struct ar_str packed(const char *how, char *room, size_t cap, struct ar_str text)
{
    if (strcmp(how, "zstd") == 0) {
        return ar_str_n(room, ZSTD_compress(room, cap, text.p, text.n, 3));
    }
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, strcmp(how, "gzip") == 0 ? 31 : 15, 8, 0),
                     Z_OK);
    z.next_in = (Bytef *)(uintptr_t)text.p;
    z.avail_in = (uInt)text.n;
    z.next_out = (Bytef *)room;
    z.avail_out = (uInt)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return ar_str_n(room, z.total_out);
}

static void send_coded(struct world *w, const char *how, struct ar_str body)
{
    char head[200];
    snprintf(
        head, sizeof(head),
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Encoding: %s\r\nContent-Length: %zu\r\n\r\n",
        how, body.n);
    ask(w, head);
    kit_peer_send(&w->client, body);
}

static void test_encodings(void **state)
{
    (void)state;
    static const char *const how[] = {"gzip", "deflate", "zstd"};
    static char text[100000], room[120000];
    memset(text, 'x', sizeof(text));
    struct ar_conn_limits limits = kit_limits();
    limits.body_bytes = sizeof(text);
    for (int i = 0; i < 3; i++) {
        struct world w;
        begin(&w, &limits);
        send_coded(&w, how[i], packed(how[i], room, sizeof(room), ar_str_n(text, sizeof(text))));
        assert_true(kit_peer_want(&w.client, sizeof(text)));
        assert_true(kit_peer_has(&w.client, "content-length: 100000\r\n"));
        assert_int_equal(w.server.last_body.n, sizeof(text));
        ar_buf_clear(&w.client.in);
        send_coded(&w, how[i], packed(how[i], room, sizeof(room), AR_LIT("again")));
        assert_true(
            kit_peer_want_text(&w.client, "\r\n\r\nagain")); /* exactly its own bytes were read */
        stop(&w);
        /* A few bytes that decode to too many. */
        limits.body_bytes = sizeof(text) - 1;
        begin(&w, &limits);
        send_coded(&w, how[i], packed(how[i], room, sizeof(room), ar_str_n(text, sizeof(text))));
        assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 413 "));
        stop(&w);
        limits.body_bytes = sizeof(text);
        begin(&w, &limits);
        send_coded(&w, how[i], AR_LIT("{\"plain\":1}"));
        assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 400 "));
        assert_true(ar_str_has(ar_str_of(w.server.last_note), AR_LIT("Content-Encoding")));
        stop(&w);
        begin(&w, &limits);
        struct ar_str whole = packed(how[i], room, sizeof(room), AR_LIT("cut short"));
        send_coded(&w, how[i], ar_str_head(whole, whole.n - 1));
        assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 400 "));
        stop(&w);
    }
    struct world w;
    start(&w);
    send_coded(&w, "br", AR_LIT("x"));
    assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 400 "));
    stop(&w);
}

static void test_versions_and_methods(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, "GET /big HTTP/1.0\r\n\r\n"); /* length unknown: until close */
    assert_true(kit_peer_want_end(&w.client));
    assert_false(kit_peer_has(&w.client, "transfer-encoding"));
    size_t at = ar_str_find(ar_buf_view(&w.client.in), AR_LIT("\r\n\r\n")) + 4;
    assert_int_equal(w.client.in.n - at, 1 << 20);
    stop(&w);
    start(&w);
    ask(&w, "GET /status/200 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert_true(kit_peer_want_text(&w.client, "connection: keep-alive\r\n"));
    ar_buf_clear(&w.client.in);
    ask(&w, "HEAD /biglen HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(kit_peer_want_text(&w.client, "content-length: 1048576\r\n"));
    ar_buf_clear(&w.client.in);
    ask(&w, "HEAD /big HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(kit_peer_want_text(&w.client, "\r\n\r\n"));
    assert_true(ar_str_has_prefix(ar_buf_view(&w.client.in), AR_LIT("HTTP/1.1 200 OK\r\n")));
    ar_buf_clear(&w.client.in);
    ask(&w, GET("/status/204"));
    assert_true(kit_peer_want_text(&w.client, "\r\n\r\n"));
    assert_false(kit_peer_has(&w.client, "content-length"));
    ar_buf_clear(&w.client.in);
    ask(&w, "GET /status/200 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" GET("/echo"));
    assert_true(kit_peer_want_end(&w.client));
    assert_true(kit_peer_has(&w.client, "connection: close\r\n"));
    assert_int_equal(count_text(&w.client, "HTTP/1.1"), 1);
    assert_int_equal(w.server.requests, 5);
    stop(&w);
}

/* The chunks of an answer joined; false if it is no whole chunked message. */
static bool join_chunks(struct ar_str in, struct ar_buf *out)
{
    in = ar_str_from(in, ar_str_find(in, AR_LIT("\r\n\r\n")) + 4);
    for (;;) {
        size_t line = ar_str_find(in, AR_LIT("\r\n"));
        size_t n = strtoull(in.p, NULL, 16);
        if (line == in.n || n == 0) {
            return ar_str_is_lit(in, "0\r\n\r\n");
        }
        in = ar_str_from(in, line + 2);
        if (in.n < n + 2 || memcmp(in.p + n, "\r\n", 2) != 0) {
            return false;
        }
        ar_buf_put(out, in.p, n);
        in = ar_str_from(in, n + 2);
    }
}

static void test_slow_reader(void **state)
{
    (void)state;
    static const char *const paths[] = {GET("/big"), GET("/biglen")};
    for (int i = 0; i < 2; i++) {
        struct world w;
        start(&w);
        w.client.paused = true;
        ask(&w, paths[i]);
        kit_run(&w.kit, 20);
        assert_int_equal(w.server.ended, 0); /* most of it is still the owner's */
        assert_true(w.server.requests == 1);
        kit_peer_resume(&w.client);
        assert_true(kit_peer_want(&w.client, 1 << 20));
        kit_run(&w.kit, 5);
        struct ar_buf body;
        ar_buf_init(&body, 2 << 20);
        if (i == 0) {
            assert_true(join_chunks(ar_buf_view(&w.client.in), &body));
        } else {
            struct ar_str in = ar_buf_view(&w.client.in);
            ar_buf_str(&body, ar_str_from(in, ar_str_find(in, AR_LIT("\r\n\r\n")) + 4));
        }
        assert_int_equal(body.n, 1 << 20);
        for (size_t k = 0; k < body.n; k++) {
            assert_int_equal(body.p[k], 'a' + (int)(k % 25));
        }
        ar_buf_done(&body);
        assert_int_equal(w.server.ended, 1);
        stop(&w);
    }
}

/* A pipelining client that reads slowly: answers wait for room, none is lost. */
static void test_pipelined_slow(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    w.client.paused = true;
    for (int i = 0; i < 400; i++) {
        ask(&w, POST("/chunk", 100) "01234567890123456789012345678901234567890123456789"
                                    "01234567890123456789012345678901234567890123456789");
    }
    kit_run(&w.kit, 30);
    assert_true(w.server.ended < 400);
    kit_peer_resume(&w.client);
    bool all = false;
    for (int i = 0; i < 100 && !all; i++) {
        kit_run(&w.kit, 5);
        all = count_text(&w.client, "\r\n0\r\n\r\n") == 400;
    }
    assert_true(all);
    assert_int_equal(count_text(&w.client, "HTTP/1.1 200 OK\r\n"), 400);
    stop(&w);
}

static void test_unclean(void **state)
{
    (void)state;
    static const char *const rows[] = {GET("/cut"), GET("/cutlen"), "GET /cut HTTP/1.0\r\n\r\n"};
    for (int i = 0; i < 3; i++) {
        struct world w;
        start(&w);
        ask(&w, rows[i]);
        assert_true(kit_peer_want_end(&w.client));
        /* Framed until close, only a reset tells; else a missing chunk or length does. */
        assert_int_equal(w.client.failed, i == 2);
        assert_true(kit_peer_has(&w.client, "part of it"));
        assert_false(ar_str_has_suffix(ar_buf_view(&w.client.in), AR_LIT("0\r\n\r\n")));
        stop(&w);
    }
}

static bool one_gone(void *arg)
{
    return ((struct kit_server *)arg)->gone == 1;
}

static void test_client_leaves(void **state)
{
    (void)state;
    static const char *const rows[] = {GET("/hang"), GET("/wait"), POST("/hang", 10) "half"};
    for (int reset = 0; reset < 2; reset++) {
        for (int i = 0; i < 3; i++) {
            struct world w;
            start(&w);
            ask(&w, rows[i]);
            kit_run(&w.kit, 5);
            assert_int_equal(w.server.requests, 1);
            assert_int_equal(w.server.gone, 0);
            if (reset) {
                struct ar_str byte = AR_LIT("x");
                ar_stream_write(w.client.stream, &byte, 1);
            }
            ar_stream_close(w.client.stream);
            w.client.stream = NULL;
            assert_true(kit_until(&w.kit, 1000, one_gone, &w.server));
            kit_run(&w.kit, 120);
            assert_int_equal(ar_server_connections(w.server.server), 0);
            stop(&w);
        }
    }
}

/* All of it sent, then the client shuts its side: it left, as other proxies see it; what it has
 * still in the pipe says otherwise. */
static void test_half_close(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, GET("/echo") GET("/echo") GET("/echo"));
    ar_stream_shut(w.client.stream);
    assert_true(kit_peer_want_end(&w.client));
    assert_int_equal(count_text(&w.client, "HTTP/1.1 200 OK"), 2);
    assert_int_equal(w.server.requests, 3);
    assert_int_equal(w.server.gone, 1);
    stop(&w);
}

/* Bodies that go straight into the owner's memory, however they come, and what follows them. */
static void test_body_into_memory(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 5, 4095, 4096, 4097, 16384, 70000, 300000};
    static char bytes[300000];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)('a' + i % 23);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        for (size_t cut = 0; cut < 3; cut++) {
            struct world w;
            char head[128];
            size_t n = sizes[i], first = cut == 2 ? n : n * cut / 3;
            start(&w);
            snprintf(head, sizeof head,
                     "POST /read HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
            ask(&w, head);
            kit_peer_send(&w.client, ar_str_n(bytes, first));
            kit_run(&w.kit, 3);
            kit_peer_send(&w.client, ar_str_n(bytes + first, n - first));
            ask(&w, GET("/status/404"));
            assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 404 "));
            struct ar_str in = ar_buf_view(&w.client.in);
            in = ar_str_from(in, ar_str_find(in, AR_LIT("\r\n\r\n")) + 4);
            assert_true(ar_str_is(ar_str_head(in, n), ar_str_n(bytes, n)));
            assert_true(ar_str_has_prefix(ar_str_from(in, n), AR_LIT("HTTP/1.1 404 ")));
            stop(&w);
        }
    }
}

/* Its end while the memory is lent: the client leaves, time is over, the owner gives up. */
static void test_body_into_memory_ends(void **state)
{
    (void)state;
    enum { SHUT, RESET, LATE, STOP, WAYS };
    static char half[50000];
    memset(half, 'h', sizeof half);
    for (int how = 0; how < WAYS; how++) {
        struct ar_conn_limits limits = kit_limits();
        struct world w;
        limits.body_ms = how == LATE ? 30 : limits.body_ms;
        begin(&w, &limits);
        ask(&w, POST("/read", 100000));
        kit_peer_send(&w.client, how == LATE ? AR_LIT("little") : ar_str_n(half, sizeof half));
        kit_run(&w.kit, 5);
        assert_int_equal(w.server.requests, 1);
        if (how == SHUT) {
            ar_stream_shut(w.client.stream);
        } else if (how == RESET) {
            struct ar_str byte = AR_LIT("x");
            ar_stream_write(w.client.stream, &byte, 1);
            ar_stream_close(w.client.stream);
            w.client.stream = NULL;
        }
        if (how == SHUT || how == RESET) {
            assert_true(kit_until(&w.kit, 1000, one_gone, &w.server));
            assert_int_equal(w.server.last_code, AR_CLIENT_CLOSED);
        } else if (how == LATE) {
            assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 408 "));
            assert_int_equal(w.server.last_code, AR_REQUEST_TIMEOUT);
        }
        stop(&w); /* STOP: the owner ends while its memory is still lent */
    }
}

/* What came into the memory gives a slow body its time, as what was read does. */
static void test_body_into_memory_in_time(void **state)
{
    (void)state;
    static char half[50000];
    memset(half, 'h', sizeof half);
    struct ar_conn_limits limits = kit_limits();
    struct world w;
    limits.body_ms = 30;
    begin(&w, &limits);
    ask(&w, POST("/read", 50001));
    kit_peer_send(&w.client, ar_str_n(half, sizeof half));
    kit_run(&w.kit, 200);
    assert_int_equal(w.server.ended, 0);
    ask(&w, "!");
    assert_true(kit_peer_want_text(&w.client, "hhh!"));
    stop(&w);
}

static void test_head_time(void **state)
{
    (void)state;
    struct ar_conn_limits limits = kit_limits();
    limits.head_ms = 30;
    struct world w;
    begin(&w, &limits);
    kit_run(&w.kit, 60);
    assert_int_equal(ar_server_connections(w.server.server), 1); /* idle is another matter */
    ask(&w, "GET /x HT");
    assert_true(kit_peer_want_end(&w.client));
    assert_true(kit_peer_has(&w.client, "HTTP/1.1 408 "));
    assert_int_equal(w.server.last_code, AR_REQUEST_TIMEOUT);
    stop(&w);
}

static void test_idle_time(void **state)
{
    (void)state;
    struct ar_conn_limits limits = kit_limits();
    limits.idle_ms = 40;
    struct world w;
    begin(&w, &limits);
    ask(&w, GET("/echo"));
    assert_true(kit_peer_want_end(&w.client));
    assert_true(w.client.ended && !w.client.failed);
    assert_int_equal(count_text(&w.client, "HTTP/1.1"), 1); /* closed without a word */
    stop(&w);
    begin(&w, &limits);
    ask(&w, GET("/wait")); /* busy is not idle */
    kit_run(&w.kit, 100);
    assert_false(w.client.ended || w.client.failed);
    stop(&w);
}

static void test_body_time(void **state)
{
    (void)state;
    struct ar_conn_limits limits = kit_limits();
    limits.body_ms = 30;
    struct world w;
    begin(&w, &limits);
    ask(&w, POST("/echo", 5) "hel");
    assert_true(kit_peer_want_text(&w.client, "HTTP/1.1 408 "));
    assert_true(kit_peer_want_end(&w.client));
    assert_int_equal(w.server.last_code, AR_REQUEST_TIMEOUT);
    stop(&w);
}

static void test_send_time(void **state)
{
    (void)state;
    struct ar_conn_limits limits = kit_limits();
    limits.send_ms = 30;
    struct world w;
    begin(&w, &limits);
    w.client.paused = true;
    ask(&w, GET("/big"));
    assert_true(kit_until(&w.kit, 1000, one_gone, &w.server));
    stop(&w);
}

static void test_unread_body(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, POST("/early", 8));
    assert_true(kit_peer_want_text(&w.client, "early"));
    ask(&w, "leftover" GET("/echo")); /* dropped; the next request is the next request */
    kit_run(&w.kit, 5);
    assert_int_equal(w.server.requests, 2);
    assert_string_equal(w.server.last_path, "/echo");
    stop(&w);
    start(&w);
    ask(&w, POST("/early", 9000000));
    static char chunk[100000];
    memset(chunk, 'x', sizeof(chunk));
    for (int i = 0; i < 10; i++) {
        kit_peer_send(&w.client, ar_str_n(chunk, sizeof(chunk)));
    }
    assert_true(kit_peer_want_end(&w.client)); /* too much to drop, and the answer was seen */
    assert_true(kit_peer_has(&w.client, "\r\n\r\nearly"));
    assert_int_equal(w.server.requests, 1);
    stop(&w);
}

static void test_drain(void **state)
{
    (void)state;
    struct world w;
    struct kit_peer idle;
    start(&w);
    kit_connect(&w.server, &idle);
    ask(&w, POST("/echo", 5) "he");
    kit_run(&w.kit, 5);
    ar_server_drain(w.server.server);
    assert_true(kit_peer_want_end(&idle));
    assert_int_equal(ar_server_connections(w.server.server), 1);
    ask(&w, "llo");
    assert_true(kit_peer_want_end(&w.client));
    assert_true(kit_peer_has(&w.client, "connection: close\r\n"));
    assert_true(kit_peer_has(&w.client, "\r\n\r\nhello"));
    struct kit_peer late;
    kit_connect(&w.server, &late);
    assert_true(kit_peer_want_end(&late));
    kit_peer_close(&late);
    kit_peer_close(&idle);
    stop(&w);
}

static void test_connection_limit(void **state)
{
    (void)state;
    struct ar_conn_limits limits = kit_limits();
    limits.connections = 1;
    struct world w;
    struct kit_peer more;
    begin(&w, &limits);
    kit_connect(&w.server, &more);
    assert_true(kit_peer_want_end(&more));
    kit_peer_close(&more);
    ask(&w, GET("/echo"));
    assert_true(kit_peer_want_text(&w.client, "200 OK"));
    stop(&w);
}

static void test_websocket(void **state)
{
    (void)state;
    struct world w;
    start(&w);
    ask(&w, "GET /status/426 HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: "
            "websocket\r\n\r\n" GET("/echo"));
    assert_true(kit_peer_want_text(&w.client, "200 OK"));
    assert_true(kit_peer_has(&w.client, "HTTP/1.1 426 "));
    stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_pipelined),
        cmocka_unit_test(test_bad_heads),
        cmocka_unit_test(test_head_too_large),
        cmocka_unit_test(test_body_limits),
        cmocka_unit_test(test_broken_chunks),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_encodings),
        cmocka_unit_test(test_versions_and_methods),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_pipelined_slow),
        cmocka_unit_test(test_unclean),
        cmocka_unit_test(test_client_leaves),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_body_into_memory),
        cmocka_unit_test(test_body_into_memory_ends),
        cmocka_unit_test(test_body_into_memory_in_time),
        cmocka_unit_test(test_head_time),
        cmocka_unit_test(test_idle_time),
        cmocka_unit_test(test_body_time),
        cmocka_unit_test(test_send_time),
        cmocka_unit_test(test_unread_body),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_connection_limit),
        cmocka_unit_test(test_websocket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
