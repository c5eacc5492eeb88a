/* Heads: what is understood, what is refused and how it is called, at every split. */
#include "http/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct ar_head_limits limits = {4096, 10};

struct result {
    enum ar_poll poll;
    struct ar_head head;
    struct ar_err err;
    size_t used;
    char target[64];
};

static struct result read_split(struct ar_head_cache *c, bool request, struct ar_str text,
                                size_t at)
{
    struct result r = {0};
    struct ar_head_reader *reader = NULL;
    struct ar_str pieces[2] = {ar_str_head(text, at), ar_str_from(text, at)};
    for (int i = 0; i < 2; i++) {
        size_t used = 0;
        char *copy = malloc(pieces[i].n + 1);
        memcpy(copy, pieces[i].p, pieces[i].n);
        struct ar_str in = ar_str_n(copy, pieces[i].n);
        r.poll = request ? ar_head_read_request(c, &reader, &limits, in, &used, &r.head, &r.err)
                         : ar_head_read_answer(c, &reader, &limits, in, &used, &r.head, &r.err);
        memset(copy, '#', pieces[i].n); /* nothing may point here any more */
        free(copy);
        r.used += used;
        if (r.poll != AR_PENDING) {
            break;
        }
        assert_int_equal(used, pieces[i].n);
    }
    struct ar_str target = ar_head_target_so_far(reader);
    memcpy(r.target, target.p ? target.p : "", target.n < 63 ? target.n : 63);
    ar_head_reader_drop(c, &reader);
    return r;
}

static void check_request(const struct ar_head *h)
{
    assert_true(ar_str_is_lit(h->method, "POST"));
    assert_true(ar_str_is_lit(h->target, "/v1/x?a=b"));
    assert_int_equal(h->header_count, 5);
    assert_true(ar_str_is_lit(h->host, "h:1"));
    assert_true(ar_str_is_lit(ar_header_lit(h->headers, h->header_count, "x-empty"), ""));
    assert_true(ar_str_is_lit(ar_header_lit(h->headers, h->header_count, "a"), "b c"));
    assert_true(ar_str_is_lit(h->content_type, "application/json"));
    assert_int_equal(h->length, 5);
    assert_int_equal(h->minor, 1);
    assert_true(h->keep_alive);
    assert_int_equal(h->encoding, AR_ENC_IDENTITY);
}

static void test_request(void **state)
{
    (void)state;
    struct ar_head_cache c;
    ar_head_cache_init(&c);
    struct ar_str text =
        AR_LIT("POST /v1/x?a=b HTTP/1.1\r\nHost: h:1\r\nX-Empty:\r\nA:  b c  \r\nContent-Type: "
               "application/json\r\nContent-Length: 5\r\n\r\nhello");
    for (size_t at = 0; at <= text.n; at++) {
        struct result r = read_split(&c, true, text, at);
        assert_int_equal(r.poll, AR_READY);
        assert_int_equal(r.used, text.n - 5);
        check_request(&r.head);
        ar_head_done(&c, &r.head);
    }
    assert_true(c.block_count == 1 && c.reader_count == 1); /* recycled, not piled up */
    ar_head_cache_done(&c);
}

static struct result one(struct ar_head_cache *c, bool request, const char *text)
{
    struct result whole = read_split(c, request, ar_str_of(text), strlen(text));
    for (size_t at = 1; at < strlen(text); at++) { /* the split changes nothing */
        struct result r = read_split(c, request, ar_str_of(text), at);
        assert_int_equal(r.poll, whole.poll);
        assert_int_equal(r.err.code, whole.err.code);
        assert_string_equal(r.err.note, whole.err.note);
        if (whole.target[0]) {
            assert_string_equal(r.target, whole.target);
        }
        ar_head_done(c, &r.head);
    }
    return whole;
}

#define R "POST /p HTTP/1.1\r\nHost: h\r\n"
static const struct {
    const char *text, *note; /* note: part of what is said */
    enum ar_code code;
} refused[] = {
    {R "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: +5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: -5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 0x5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 5 5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 5,5\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length:\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 99999999999999999999\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Content-Length: 18446744073709551615\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: gzip, chunked\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: chunked, chunked\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: xchunked\r\n\r\n", "Transfer-Encoding", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: gzip\r\n\r\n", "Transfer-Encoding", AR_INVALID_REQUEST},
    {R "Transfer-Encoding:\r\n\r\n", "Transfer-Encoding", AR_INVALID_REQUEST},
    {R "Transfer-Encoding: \"chunked\"\r\n\r\n", "", AR_INVALID_REQUEST},
    {"POST /p HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0", AR_INVALID_REQUEST},
    {R "Transfer-Encoding : chunked\r\n\r\n", "", AR_INVALID_REQUEST},
    {R " Transfer-Encoding: chunked\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "A: b\r\n Transfer-Encoding: chunked\r\n\r\n", "", AR_INVALID_REQUEST}, /* obs-fold */
    {R "A: b\r\n\tc\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "A: b\n\r\n", "", AR_INVALID_REQUEST},
    {R "A: b\r\n\n", "", AR_INVALID_REQUEST},
    {R "A: b\rC: d\r\n\r\n", "", AR_INVALID_REQUEST},
    {"POST /p HTTP/1.1\nHost: h\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "A: \x01\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "A\x01: b\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "A(: b\r\n\r\n", "", AR_INVALID_REQUEST},
    {R ": b\r\n\r\n", "", AR_INVALID_REQUEST},
    {R "nocolon\r\n\r\n", "", AR_INVALID_REQUEST},
    {"POST /p HTTP/1.1\r\n\r\n", "no Host", AR_INVALID_REQUEST},
    {R "Host: h\r\n\r\n", "more than one Host", AR_INVALID_REQUEST},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "malformed Host", AR_INVALID_REQUEST},
    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "malformed Host", AR_INVALID_REQUEST},
    {"GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", "malformed Host", AR_INVALID_REQUEST},
    {"FOO / HTTP/1.1\r\nHost: h\r\n\r\n", "unknown HTTP method", AR_INVALID_REQUEST},
    {"get / HTTP/1.1\r\nHost: h\r\n\r\n", "unknown HTTP method", AR_INVALID_REQUEST},
    {"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n", "TRACE", AR_METHOD_NOT_ALLOWED},
    {"CONNECT h:80 HTTP/1.1\r\nHost: h\r\n\r\n", "CONNECT", AR_METHOD_NOT_ALLOWED},
    {"GET / HTTP/2.0\r\nHost: h\r\n\r\n", "version", AR_INVALID_REQUEST},
    {"GET / HTTP/1.2\r\nHost: h\r\n\r\n", "version", AR_INVALID_REQUEST},
    {"GET / HTTP/0.9\r\nHost: h\r\n\r\n", "version", AR_INVALID_REQUEST},
    {"GET /\r\nHost: h\r\n\r\n", "", AR_INVALID_REQUEST},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", AR_INVALID_REQUEST},
    {"GET / RTSP/1.0\r\nHost: h\r\n\r\n", "", AR_INVALID_REQUEST},
    {"SETUP / RTSP/1.0\r\nHost: h\r\n\r\n", "", AR_INVALID_REQUEST},
    {"GET  / HTTP/1.1\r\nHost: h\r\n\r\n", "request line", AR_INVALID_REQUEST},
    {"GET / HTTP/1.1 \r\nHost: h\r\n\r\n", "", AR_INVALID_REQUEST},
    {"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", "", AR_INVALID_REQUEST},
    {"GET foo HTTP/1.1\r\nHost: h\r\n\r\n", "target", AR_INVALID_REQUEST},
    {"GET /\x80 HTTP/1.1\r\nHost: h\r\n\r\n", "target", AR_INVALID_REQUEST},
    {"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", "target", AR_INVALID_REQUEST},
    {"\x16\x03\x01\x02\x00\x01", "", AR_INVALID_REQUEST}, /* TLS on a plain port */
    {R "1: 1\r\n2: 2\r\n3: 3\r\n4: 4\r\n5: 5\r\n6: 6\r\n7: 7\r\n8: 8\r\n9: 9\r\n10: 1\r\n\r\n",
     "more than 10 headers", AR_HEADERS_TOO_LARGE},
    {R
     "1: 1\r\n2: 2\r\n3: 3\r\n4: 4\r\n5: 5\r\n6: 6\r\n7: 7\r\n8: 8\r\n9: 9\r\nno token: 1\r\n\r\n",
     "malformed request head", AR_INVALID_REQUEST},
};

static void test_refused(void **state)
{
    (void)state;
    struct ar_head_cache c;
    ar_head_cache_init(&c);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct result r = one(&c, true, refused[i].text);
        if (r.poll != AR_FAILED || r.err.code != refused[i].code ||
            !ar_str_has(ar_str_of(r.err.note), ar_str_of(refused[i].note))) {
            fail_msg("%s -> %d %s: %s", refused[i].text, r.poll, ar_code_name(r.err.code),
                     r.err.note);
        }
        if (strncmp(refused[i].text, R, sizeof(R) - 1) == 0) {
            assert_string_equal(r.target, "/p"); /* the error's shape goes by it */
        }
    }
    ar_head_cache_done(&c);
}

static void test_size(void **state)
{
    (void)state;
    struct ar_head_cache c;
    ar_head_cache_init(&c);
    char text[5000];
    memset(text, 'a', sizeof(text));
    memcpy(text, "GET / HTTP/1.1\r\nHost: h\r\nA: ", 28);
    memcpy(text + 4092, "\r\n\r\n", 4); /* exactly the limit */
    for (size_t at = 0; at < 4096; at += 501) {
        struct result r = read_split(&c, true, ar_str_n(text, 5000), at);
        assert_int_equal(r.poll, AR_READY);
        assert_int_equal(r.used, 4096);
        ar_head_done(&c, &r.head);
    }
    memcpy(text + 4092, "a\r\n\r\n", 5);
    for (size_t at = 0; at < 4096; at += 501) {
        struct result r = read_split(&c, true, ar_str_n(text, 5000), at);
        assert_int_equal(r.poll, AR_FAILED);
        assert_int_equal(r.err.code, AR_HEADERS_TOO_LARGE);
        assert_string_equal(r.target, "/");
    }
    ar_head_cache_done(&c);
}

static void test_facts(void **state)
{
    (void)state;
    struct ar_head_cache c;
    ar_head_cache_init(&c);
    struct result r =
        one(&c, true,
            R "transfer-encoding: Chunked\r\nConnection: foo, close\r\nExpect: 100-continue\r\n"
              "Upgrade: websocket\r\nContent-Encoding: zstd\r\n\r\n");
    assert_int_equal(r.poll, AR_READY);
    assert_int_equal(r.head.length, AR_LENGTH_CHUNKED);
    assert_false(r.head.keep_alive);
    assert_true(ar_str_is_lit(r.head.expect, "100-continue"));
    assert_true(ar_str_is_lit(r.head.upgrade, "websocket"));
    assert_int_equal(r.head.encoding, AR_ENC_ZSTD);
    ar_head_done(&c, &r.head);
    r = one(&c, true, "GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(r.poll, AR_READY);
    assert_false(r.head.keep_alive);
    assert_int_equal(r.head.length, 0);
    ar_head_done(&c, &r.head);
    r = one(&c, true, "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_true(r.poll == AR_READY && r.head.keep_alive);
    ar_head_done(&c, &r.head);
    r = one(&c, true, R "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n");
    assert_int_equal(r.head.encoding, AR_ENC_UNKNOWN);
    ar_head_done(&c, &r.head);
    r = one(&c, true, "\r\n\r\nGET http://h/p HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_true(r.poll == AR_READY && ar_str_is_lit(r.head.target, "http://h/p"));
    ar_head_done(&c, &r.head);
    ar_head_cache_done(&c);
}

static void test_answers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int status;
        int64_t length;
        bool keep;
    } good[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", 200, 3, true},
        {"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", 200, 3, true},
        {"HTTP/1.1 529 \r\nTransfer-Encoding: chunked\r\n\r\n", 529, AR_LENGTH_CHUNKED, true},
        {"HTTP/1.1 200 OK\r\n\r\n", 200, AR_LENGTH_UNTIL_CLOSE, true},
        {"HTTP/1.0 200 OK\r\n\r\n", 200, AR_LENGTH_UNTIL_CLOSE, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 200, 0, false},
        {"HTTP/1.1 200 \xc3\xa4\r\nX: \xc3\xa4\r\nContent-Length: 0\r\n\r\n", 200, 0, true},
    };
    static const char *const bad[] = {
        "garbage\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "<html>",
        "HTTP/1.1 200 OK\r\nA b\r\n\r\n",
    };
    struct ar_head_cache c;
    ar_head_cache_init(&c);
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct result r = one(&c, false, good[i].text);
        assert_int_equal(r.poll, AR_READY);
        assert_int_equal(r.head.status, good[i].status);
        assert_int_equal(r.head.length, good[i].length);
        assert_int_equal(r.head.keep_alive, good[i].keep);
        ar_head_done(&c, &r.head);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct result r = one(&c, false, bad[i]);
        assert_int_equal(r.poll, AR_FAILED);
        assert_int_equal(r.err.code, AR_UPSTREAM_ERROR);
        assert_true(ar_str_has_prefix(ar_str_of(r.err.note), AR_LIT("malformed answer")));
    }
    ar_head_cache_done(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request), cmocka_unit_test(test_refused), cmocka_unit_test(test_size),
        cmocka_unit_test(test_facts),   cmocka_unit_test(test_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
