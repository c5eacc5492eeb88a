/*
 * Dials: addresses, localhost, refusal, unknown names, closing at any time; proxies, with a small
 * one of each kind here.
 */
#include "io/peer.h"
#include "io/impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static struct ar_loop *the_loop;
static struct server srv;

static int setup(void **state)
{
    (void)state;
    memset(&srv, 0, sizeof srv);
    the_loop = ar_loop_new();
    return the_loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    if (srv.listener) {
        server_stop(&srv);
    }
    ar_loop_free(the_loop);
    return 0;
}

static void echo_works(struct ar_stream *s)
{
    struct peer *p = peer_new(s);
    peer_send(p, "hello", 5);
    for (int i = 0; i < 100 && p->in.n < 5; i++) {
        run_for(the_loop, 2);
    }
    assert_true(ar_str_is_lit(ar_buf_view(&p->in), "hello"));
    peer_free(p);
}

static void literal_addresses_and_localhost(void **state)
{
    (void)state;
    const char *listen[] = {"127.0.0.1", "::1", "127.0.0.1", "::1", ""};
    const char *to[] = {"127.0.0.1", "::1", "localhost", "LocalHost", "127.0.0.1"};
    for (int i = 0; i < 5; i++) {
        struct server v = {.echo = true};
        struct ar_err err = {0};
        server_start(&v, the_loop, listen[i], NULL);
        struct ar_stream *s = dial_port(the_loop, to[i], ar_listener_port(v.listener), NULL, &err);
        if (!s) {
            fail_msg("%s: %s", to[i], err.note);
        }
        assert_true(
            ar_str_is(ar_stream_peer(s), ar_str_of(i == 1 || i == 3 ? "::1" : "127.0.0.1")));
        echo_works(s);
        assert_true(ar_str_is(ar_stream_peer(v.peers[0]->s),
                              ar_str_of(i == 1 || i == 3 ? "::1" : "127.0.0.1")));
        server_stop(&v);
        assert_null(the_loop->dns); /* nobody was asked */
    }
}

static uint16_t free_port(void)
{
    uint16_t port = 0;
    assert_int_equal(ar_listen_probe(AR_LIT("127.0.0.1"), 0, &port, NULL), AR_OK);
    return port;
}

static void nobody_listens(void **state)
{
    (void)state;
    struct ar_err err = {0};
    assert_null(dial_port(the_loop, "127.0.0.1", free_port(), NULL, &err));
    assert_int_equal(err.code, AR_UPSTREAM_CONNECT);
    assert_non_null(strstr(err.note, "127.0.0.1"));
    assert_non_null(strstr(err.note, "connection refused"));
}

static void an_unknown_name(void **state)
{
    (void)state;
    struct ar_err err = {0};
    const char *names[] = {"no-such-host.invalid", "", "a..b"};
    for (int i = 0; i < 3; i++) {
        assert_null(dial_port(the_loop, names[i], 80, NULL, &err));
        assert_int_equal(err.code, AR_UPSTREAM_DNS);
    }
}

static void closing_at_any_time(void **state)
{
    (void)state;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    const char *hosts[] = {"127.0.0.1", "localhost", "no-such-host.invalid"};
    for (int i = 0; i < 12; i++) {
        struct ar_dial_spec spec = {.host = ar_str_of(hosts[i % 3]),
                                    .port = ar_listener_port(srv.listener)};
        struct ar_dial *d = ar_dial_start(the_loop, &spec);
        run_for(the_loop, i / 3);
        ar_dial_close(d);
    }
    run_for(the_loop, 10);
}

static void an_address_in_use_is_a_conflict(void **state)
{
    (void)state;
    struct ar_err err = {0};
    uint16_t port;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    assert_int_equal(
        ar_listen_probe(AR_LIT("127.0.0.1"), ar_listener_port(srv.listener), &port, &err),
        AR_CONFLICT);
    assert_non_null(strstr(err.note, "address already in use"));
    assert_int_equal(ar_listen_probe(AR_LIT("nonsense"), 0, &port, &err), AR_INVALID_REQUEST);
}

static void ignore_stream(void *user, struct ar_stream *s)
{
    ++*(int *)user;
    ar_stream_close(s);
}

static void several_listeners_share_a_port(void **state)
{
    (void)state;
    int n = 0;
    struct ar_err err = {0};
    struct ar_listen_spec spec = {
        .host = AR_LIT("127.0.0.1"), .reuse_port = true, .on_accept = ignore_stream, .user = &n};
    struct ar_listener *a = ar_listen(the_loop, &spec, &err);
    assert_non_null(a);
    spec.port = ar_listener_port(a);
    struct ar_listener *b = ar_listen(the_loop, &spec, &err);
    assert_non_null(b);
    for (int i = 0; i < 8; i++) {
        struct ar_stream *s = dial_port(the_loop, "127.0.0.1", spec.port, NULL, &err);
        assert_non_null(s);
        ar_stream_close(s);
    }
    run_for(the_loop, 10);
    assert_int_equal(n, 8);
    ar_listener_close(a);
    ar_listener_close(b);
}

static void a_paused_listener_keeps_them_waiting(void **state)
{
    (void)state;
    struct ar_err err = {0};
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    ar_listener_pause(srv.listener, true);
    struct ar_stream *s[3];
    for (int i = 0; i < 3; i++) {
        s[i] = dial_port(the_loop, "127.0.0.1", ar_listener_port(srv.listener), NULL, &err);
        assert_non_null(s[i]);
    }
    run_for(the_loop, 10);
    assert_int_equal(srv.n, 0);
    ar_listener_pause(srv.listener, false);
    run_for(the_loop, 10);
    assert_int_equal(srv.n, 3);
    ar_listener_pause(srv.listener, true);
    struct ar_stream *late =
        dial_port(the_loop, "127.0.0.1", ar_listener_port(srv.listener), NULL, &err);
    assert_non_null(late);
    ar_listener_close(srv.listener); /* who is in the backlog is taken */
    srv.listener = NULL;
    assert_int_equal(srv.n, 4);
    for (unsigned i = 0; i < srv.n; i++) {
        peer_free(srv.peers[i]);
    }
    for (int i = 0; i < 3; i++) {
        ar_stream_close(s[i]);
    }
    ar_stream_close(late);
}

/* --- proxies: the accepted peer reads by script
 * -------------------------------------------------------------- */

struct script {
    const char *want; /* NULL: end of the script; then it echoes */
    size_t want_n;
    const char *say;
    size_t say_n;
};
static const struct script *script;
static unsigned script_at;
static bool script_broken;

static void play(struct ar_waker *w)
{
    struct peer *p = AR_HOLDER(w, struct peer, waker);
    struct ar_str in;
    while (script[script_at].want) {
        const struct script *now = &script[script_at];
        if (ar_stream_peek(p->s, &in, NULL) != AR_READY || in.n < now->want_n) {
            return;
        }
        if (memcmp(in.p, now->want, now->want_n) != 0) {
            (void)fprintf(stderr, "proxy got: %.*s\n", AR_FMT(in));
            script_broken = true;
        }
        ar_stream_eat(p->s, now->want_n);
        for (size_t i = 0; i < now->say_n; i++) { /* byte by byte */
            struct ar_str part = {now->say + i, 1};
            (void)ar_stream_write(p->s, &part, 1);
            ar_stream_flush(p->s);
        }
        script_at++;
    }
    peer_step(p);
}

static void be_proxy(struct peer *p)
{
    p->waker.wake = play;
    p->echo = true;
}

static struct ar_stream *dial_through(const char *proxy, const char *host,
                                      const struct script *lines, struct ar_err *err)
{
    char url[200];
    script = lines;
    script_at = 0;
    script_broken = false;
    if (!srv.listener) {
        srv.on_peer = be_proxy;
        server_start(&srv, the_loop, "127.0.0.1", NULL);
    }
    (void)snprintf(url, sizeof url, "%s127.0.0.1:%u", proxy, ar_listener_port(srv.listener));
    struct ar_dial_spec spec = {.host = ar_str_of(host), .port = 8443, .proxy = ar_str_of(url)};
    struct ar_stream *s = dial(the_loop, &spec, err);
    assert_false(script_broken);
    return s;
}

#define LINE(want, say)                                                                            \
    {                                                                                              \
        want, sizeof(want) - 1, say, sizeof(say) - 1                                               \
    }

static void http_connect(void **state)
{
    (void)state;
    struct ar_err err = {0};
    const struct script plain[] = {
        LINE("CONNECT up.test:8443 HTTP/1.1\r\nHost: up.test:8443\r\n\r\n",
             "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"),
        {0}};
    struct ar_stream *s = dial_through("http://", "up.test", plain, &err);
    assert_non_null(s);
    echo_works(s);
    const struct script basic[] = {LINE("CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\n"
                                        "Proxy-Authorization: Basic dSBzZXI6cEBzcw==\r\n\r\n",
                                        "HTTP/1.0 204 OK\r\n\r\n"),
                                   {0}};
    s = dial_through("http://u%20ser:p%40ss@", "::1", basic, &err);
    assert_non_null(s);
    echo_works(s);
}

static void http_connect_refused(void **state)
{
    (void)state;
    struct ar_err err = {0};
    const struct script no[] = {LINE("CONNECT up.test:8443 ", "HTTP/1.1 407 secret words\r\n\r\n"),
                                {0}};
    assert_null(dial_through("http://who:hidden@", "up.test", no, &err));
    assert_int_equal(err.code, AR_UPSTREAM_CONNECT);
    assert_non_null(strstr(err.note, "answered 407"));
    assert_null(strstr(err.note, "secret"));
    assert_null(strstr(err.note, "hidden"));
    const struct script nonsense[] = {LINE("CONNECT up.test:8443 ", "SSH-2.0-whatever\r\n\r\n"),
                                      {0}};
    assert_null(dial_through("http://", "up.test", nonsense, &err));
    assert_non_null(strstr(err.note, "nonsense"));
}

static void socks5(void **state)
{
    (void)state;
    struct ar_err err = {0};
    const struct script by_name[] = {
        LINE("\5\1\0", "\5\0"), LINE("\5\1\0\3\7up.test\x20\xfb", "\5\0\0\1\1\2\3\4\0\x50"), {0}};
    struct ar_stream *s = dial_through("socks5://", "up.test", by_name, &err);
    assert_non_null(s);
    echo_works(s);
    const struct script by_address[] = {
        LINE("\5\1\0", "\5\0"), LINE("\5\1\0\1\x0a\0\0\1\x20\xfb", "\5\0\0\3\4name\0\x50"), {0}};
    s = dial_through("socks5h://", "10.0.0.1", by_address, &err);
    assert_non_null(s);
    echo_works(s);
    const struct script access[] = {LINE("\5\2\0\2", "\5\2"),
                                    LINE("\1\3joe\2pw", "\1\0"),
                                    LINE("\5\1\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\x20\xfb",
                                         "\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\2\0\x50"),
                                    {0}};
    s = dial_through("socks5://joe:pw@", "::2", access, &err);
    assert_non_null(s);
    echo_works(s);
}

static void socks5_refused(void **state)
{
    (void)state;
    struct ar_err err = {0};
    const struct script wants_access[] = {LINE("\5\1\0", "\5\2"), {0}};
    assert_null(dial_through("socks5://", "up.test", wants_access, &err));
    assert_non_null(strstr(err.note, "wants other credentials"));
    const struct script wrong[] = {LINE("\5\2\0\2", "\5\2"), LINE("\1\3joe\2pw", "\1\1"), {0}};
    assert_null(dial_through("socks5://joe:pw@", "up.test", wrong, &err));
    assert_non_null(strstr(err.note, "refused the credentials"));
    const struct script dead[] = {
        LINE("\5\1\0", "\5\0"), LINE("\5\1\0\3\7up.test\x20\xfb", "\5\4\0\1\0\0\0\0\0\0"), {0}};
    assert_null(dial_through("socks5://", "up.test", dead, &err));
    assert_non_null(strstr(err.note, "cannot reach the host"));
    assert_int_equal(err.code, AR_UPSTREAM_CONNECT);
}

static void hang_up(struct peer *p)
{
    ar_stream_close(p->s);
    p->s = NULL;
}

static void a_proxy_that_hangs_up(void **state)
{
    (void)state;
    struct ar_err err = {0};
    srv.on_peer = hang_up;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    const struct script none[] = {{0}};
    assert_null(dial_through("http://", "up.test", none, &err));
    assert_non_null(strstr(err.note, "closed the connection"));
    assert_null(dial_through("socks5://", "up.test", none, &err));
    assert_non_null(strstr(err.note, "closed the connection"));
}

static void proxy_urls(void **state)
{
    (void)state;
    struct ar_proxy p;
    assert_int_equal(ar_proxy_parse(AR_LIT("http://[::1]:3128/"), &p, NULL), AR_OK);
    assert_true(ar_str_is_lit(p.host, "::1"));
    assert_int_equal(p.port, 3128);
    assert_int_equal(ar_proxy_parse(AR_LIT("proxy.corp:8080"), &p, NULL), AR_OK);
    assert_int_equal(p.kind, AR_PROXY_HTTP);
    assert_true(ar_str_is_lit(p.host, "proxy.corp"));
    assert_int_equal(ar_proxy_parse(AR_LIT("SOCKS5://a%3Ab:c@d@h"), &p, NULL), AR_OK);
    assert_string_equal(p.user, "a:b");
    assert_string_equal(p.password, "c@d");
    assert_int_equal(p.port, 1080);
    const char *bad[] = {"ftp://x",        "http://",     "http://x:0",
                         "http://x:70000", "http://[::1", "http://a%00@x"};
    for (unsigned i = 0; i < 6; i++) {
        assert_int_equal(ar_proxy_parse(ar_str_of(bad[i]), &p, NULL), AR_UPSTREAM_CONNECT);
    }
    struct ar_err err = {0};
    struct ar_dial_spec spec = {
        .host = AR_LIT("x"), .port = 1, .proxy = AR_LIT("ftp://user:hidden@x")};
    assert_null(dial(the_loop, &spec, &err));
    assert_null(strstr(err.note, "hidden"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(literal_addresses_and_localhost),
        T(nobody_listens),
        T(an_unknown_name),
        T(closing_at_any_time),
        T(an_address_in_use_is_a_conflict),
        T(several_listeners_share_a_port),
        T(a_paused_listener_keeps_them_waiting),
        T(http_connect),
        T(http_connect_refused),
        T(socks5),
        T(socks5_refused),
        T(a_proxy_that_hangs_up),
        T(proxy_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
