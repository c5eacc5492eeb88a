/*
 * TLS on both sides over loopback, with certificates made here: trust, names, resumption, bulk,
 * ends.
 */
#include "io/peer.h"
#include "io/tls_impl.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

enum { BIG = 3 << 20 };
static char *big;
static struct ar_loop *the_loop;
static struct server srv;
static char dir[] = "/tmp/ar-tls-XXXXXX";
static char cert_file[64], key_file[64], other_key_file[64];

static EVP_PKEY *write_key(const char *path)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    FILE *f = fopen(path, "w");
    assert_non_null(key);
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(f);
    return key;
}

static void extend(X509 *x, int nid, const char *value)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* Self-signed, for localhost and 127.0.0.1. */
static void write_cert(const char *path, EVP_PKEY *key)
{
    X509 *x = X509_new();
    assert_non_null(x);
    (void)X509_set_version(x, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
    (void)X509_gmtime_adj(X509_getm_notBefore(x), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    (void)X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(x, name);
    extend(x, NID_subject_alt_name, "DNS:localhost,IP:127.0.0.1");
    extend(x, NID_basic_constraints, "critical,CA:TRUE");
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, x), 1);
    (void)fclose(f);
    X509_free(x);
}

static int make_files(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    (void)snprintf(cert_file, sizeof cert_file, "%s/cert.pem", dir);
    (void)snprintf(key_file, sizeof key_file, "%s/key.pem", dir);
    (void)snprintf(other_key_file, sizeof other_key_file, "%s/other.pem", dir);
    EVP_PKEY *key = write_key(key_file);
    write_cert(cert_file, key);
    EVP_PKEY_free(key);
    EVP_PKEY_free(write_key(other_key_file));
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(cert_file);
    (void)unlink(key_file);
    (void)unlink(other_key_file);
    return rmdir(dir);
}

static struct ar_tls *server_tls(void)
{
    struct ar_err err = {0};
    struct ar_tls *t = ar_tls_server(cert_file, key_file, &err);
    if (!t) {
        fail_msg("%s", err.note);
    }
    return t;
}

static struct ar_tls *client_tls(const char *ca_file, bool insecure)
{
    struct ar_err err = {0};
    struct ar_tls *t = ar_tls_client(ca_file, insecure, &err);
    if (!t) {
        fail_msg("%s", err.note);
    }
    return t;
}

static int setup(void **state)
{
    (void)state;
    memset(&srv, 0, sizeof srv);
    the_loop = ar_loop_new();
    big = malloc(BIG);
    for (size_t i = 0; i < BIG; i++) {
        big[i] = (char)(i * 37 + (i >> 11));
    }
    struct ar_tls *tls = server_tls();
    server_start(&srv, the_loop, "127.0.0.1", tls);
    ar_tls_unref(tls); /* the listener has its own reference */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server_stop(&srv);
    ar_loop_free(the_loop);
    free(big);
    return 0;
}

/* A connection to srv that must stand; takes tls. */
static struct peer *connect_peer(const char *host, struct ar_tls *tls)
{
    struct ar_err err = {0};
    struct ar_stream *s = dial_port(the_loop, host, ar_listener_port(srv.listener), tls, &err);
    if (!s) {
        fail_msg("%s", err.note);
    }
    ar_tls_unref(tls);
    assert_true(wait_until(the_loop, server_has_peer, &srv, 1000));
    return peer_new(s);
}

static void bytes_go_both_ways(void **state)
{
    (void)state;
    srv.echo = true;
    const char *hosts[] = {"localhost", "127.0.0.1"};
    for (int i = 0; i < 2; i++) {
        struct peer *p = connect_peer(hosts[i], client_tls(cert_file, false));
        p->shut_after = true;
        peer_send(p, big, BIG);
        while (p->in.n < BIG && !p->failed && !p->ended) {
            run_for(the_loop, 5);
        }
        assert_int_equal(p->in.n, BIG);
        assert_memory_equal(p->in.p, big, BIG);
        run_for(the_loop, 5);
        assert_true(srv.peers[i]->ended); /* close_notify */
        assert_true(ar_str_is_lit(ar_stream_peer(srv.peers[i]->s), "127.0.0.1"));
        assert_null(p->s->rbuf);
        assert_null(p->s->wbuf);
        peer_free(p);
    }
}

static void a_slow_reader_stops_the_writer(void **state)
{
    (void)state;
    srv.lazy = true;
    struct peer *p = connect_peer("localhost", client_tls(cert_file, false));
    size_t n = 0;
    p->shut_after = true;
    char *huge = calloc(8, BIG);
    memcpy(huge, big, BIG);
    memcpy(huge + 7 * (size_t)BIG, big, BIG);
    peer_send(p, huge, 8 * (size_t)BIG);
    run_for(the_loop, 60);
    n = p->out_n;
    assert_true(n > 0);
    run_for(the_loop, 30);
    assert_int_equal(p->out_n, n);
    struct peer *other = srv.peers[0];
    other->lazy = false;
    peer_step(other);
    assert_true(wait_until(the_loop, peer_has_ended, other, 8000));
    assert_true(other->ended);
    assert_int_equal(other->in.n, 8 * (size_t)BIG);
    assert_memory_equal(other->in.p, huge, 8 * (size_t)BIG);
    free(huge);
    peer_free(p);
}

static void shut_and_close_still_delivers_everything(void **state)
{
    (void)state;
    struct peer *p = connect_peer("localhost", client_tls(cert_file, false));
    struct peer *other = srv.peers[0];
    other->lazy = true;
    size_t n = 0;
    for (size_t k = 1; k > 0; n += k) {
        struct ar_str part = {big + n % BIG, 20000};
        part.n = part.n < BIG - n % BIG ? part.n : BIG - n % BIG;
        k = ar_stream_write(p->s, &part, 1);
    }
    ar_stream_shut(p->s);
    ar_stream_close(p->s);
    p->s = NULL;
    other->lazy = false;
    peer_step(other);
    assert_true(wait_until(the_loop, peer_has_ended, other, 2000));
    assert_true(other->ended);
    assert_int_equal(other->in.n, n);
    peer_free(p);
}

static void refuse(const char *host, struct ar_tls *tls, const char *why)
{
    struct ar_err err = {0};
    assert_null(dial_port(the_loop, host, ar_listener_port(srv.listener), tls, &err));
    ar_tls_unref(tls);
    assert_int_equal(err.code, AR_UPSTREAM_TLS);
    if (!strstr(err.note, why)) {
        fail_msg("%s", err.note);
    }
}

static void who_is_not_trusted_is_refused(void **state)
{
    (void)state;
    refuse("localhost", client_tls(NULL, false),
           "certificate verify failed: self-signed certificate");
}

static void another_name_is_refused(void **state)
{
    (void)state;
    refuse("other.localhost", client_tls(cert_file, false), "ostname mismatch");
}

static void another_address_is_refused(void **state)
{
    (void)state;
    struct server v6 = {0};
    struct ar_tls *tls = server_tls();
    server_stop(&srv);
    memset(&srv, 0, sizeof srv);
    server_start(&v6, the_loop, "127.0.0.2", tls);
    ar_tls_unref(tls);
    srv = v6;
    srv.listener = v6.listener;
    struct ar_err err = {0};
    tls = client_tls(cert_file, false);
    assert_null(dial_port(the_loop, "127.0.0.2", ar_listener_port(v6.listener), tls, &err));
    ar_tls_unref(tls);
    assert_int_equal(err.code, AR_UPSTREAM_TLS);
    assert_non_null(strstr(err.note, "IP address mismatch"));
    server_stop(&v6);
    memset(&srv, 0, sizeof srv);
    tls = server_tls();
    server_start(&srv, the_loop, "127.0.0.1", tls);
    ar_tls_unref(tls);
}

static void insecure_trusts_all(void **state)
{
    (void)state;
    srv.echo = true;
    struct peer *p = connect_peer("127.0.0.1", client_tls(NULL, true));
    peer_send(p, "hello", 5);
    run_for(the_loop, 20);
    assert_int_equal(p->in.n, 5);
    peer_free(p);
}

static void sessions_are_resumed_per_host(void **state)
{
    (void)state;
    struct ar_tls *tls = client_tls(cert_file, false);
    srv.echo = true;
    for (int i = 0; i < 3; i++) {
        struct peer *p = connect_peer(i == 2 ? "127.0.0.1" : "localhost", ar_tls_ref(tls));
        assert_int_equal(ar_tls_is_resumed(AR_HOLDER(p->s, struct ar_tcp, s)), i == 1);
        peer_send(p, "hello", 5);
        run_for(the_loop, 20);
        assert_int_equal(p->in.n, 5);
        peer_free(p);
    }
    ar_tls_unref(tls);
}

static void a_fin_without_close_notify_is_an_end(void **state)
{
    (void)state;
    struct peer *p = connect_peer("localhost", client_tls(cert_file, false));
    uv_os_fd_t fd;
    peer_send(p, "hello", 5);
    ar_stream_flush(p->s);
    assert_int_equal(uv_fileno((uv_handle_t *)&AR_HOLDER(p->s, struct ar_tcp, s)->uv, &fd), 0);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    assert_true(wait_until(the_loop, peer_has_ended, srv.peers[0], 1000));
    assert_true(srv.peers[0]->ended);
    assert_int_equal(srv.peers[0]->in.n, 5);
    peer_free(p);
}

static void plain_bytes_to_a_tls_server_fail(void **state)
{
    (void)state;
    struct ar_err err = {0};
    struct ar_stream *s =
        dial_port(the_loop, "127.0.0.1", ar_listener_port(srv.listener), NULL, &err);
    assert_non_null(s);
    struct peer *p = peer_new(s);
    peer_send(p, "GET / HTTP/1.1\r\n\r\n", 18);
    assert_true(wait_until(the_loop, server_has_peer, &srv, 1000));
    assert_true(wait_until(the_loop, peer_has_ended, srv.peers[0], 1000));
    assert_true(srv.peers[0]->failed);
    assert_int_equal(srv.peers[0]->err.code, AR_CLIENT_CLOSED);
    assert_non_null(strstr(srv.peers[0]->err.note, "http request"));
    peer_free(p);
}

static void hang_up(struct peer *p)
{
    ar_stream_close(p->s);
    p->s = NULL;
}

static void a_server_without_tls_is_told(void **state)
{
    (void)state;
    struct server plain = {.on_peer = hang_up};
    struct ar_err err = {0};
    server_start(&plain, the_loop, "127.0.0.1", NULL);
    struct ar_tls *tls = client_tls(cert_file, false);
    assert_null(dial_port(the_loop, "127.0.0.1", ar_listener_port(plain.listener), tls, &err));
    ar_tls_unref(tls);
    assert_int_equal(err.code, AR_UPSTREAM_TLS);
    server_stop(&plain);
}

static void a_dial_may_be_closed_in_the_handshake(void **state)
{
    (void)state;
    struct ar_tls *tls = client_tls(cert_file, false);
    for (int ms = 0; ms < 8; ms++) {
        struct ar_dial_spec spec = {
            .host = AR_LIT("localhost"), .port = ar_listener_port(srv.listener), .tls = tls};
        struct ar_dial *d = ar_dial_start(the_loop, &spec);
        run_for(the_loop, ms);
        ar_dial_close(d);
    }
    ar_tls_unref(tls);
    run_for(the_loop, 20);
}

static void files_at_fault_are_named(void **state)
{
    (void)state;
    struct ar_err err = {0};
    assert_null(ar_tls_server("/nowhere/cert.pem", key_file, &err));
    assert_non_null(strstr(err.note, "/nowhere/cert.pem"));
    assert_null(ar_tls_server(cert_file, other_key_file, &err));
    assert_non_null(strstr(err.note, "mismatch"));
    assert_null(ar_tls_client(key_file, false, &err));
    assert_int_equal(err.code, AR_INVALID_REQUEST);
}

static void a_new_certificate_is_for_new_connections(void **state)
{
    (void)state;
    srv.echo = true;
    struct ar_tls *next = server_tls();
    struct peer *p = connect_peer("localhost", client_tls(cert_file, false));
    ar_listener_set_tls(srv.listener, next);
    ar_tls_unref(next);
    peer_send(p, "hello", 5);
    run_for(the_loop, 20);
    assert_int_equal(p->in.n, 5);
    struct peer *q = connect_peer("localhost", client_tls(cert_file, false));
    peer_send(q, "hello", 5);
    run_for(the_loop, 20);
    assert_int_equal(q->in.n, 5);
    peer_free(p);
    peer_free(q);
}

struct dialler {
    struct ar_tls *tls;
    uint16_t port;
    int good;
};

static void dial_often(void *arg)
{
    struct dialler *d = arg;
    struct ar_loop *l = ar_loop_new();
    for (int i = 0; i < 20; i++) {
        struct ar_err err = {0};
        struct ar_stream *s = dial_port(l, "localhost", d->port, d->tls, &err);
        if (s) {
            struct peer *p = peer_new(s);
            peer_send(p, "hello", 5);
            for (int k = 0; k < 200 && p->in.n < 5; k++) {
                run_for(l, 1);
            }
            d->good += p->in.n == 5;
            peer_free(p);
        }
    }
    ar_loop_free(l);
}

static bool are_good(void *arg)
{
    (void)arg;
    return srv.n == 40 && srv.peers[39]->ended;
}

static void workers_share_settings(void **state)
{
    (void)state;
    srv.echo = true;
    struct ar_tls *tls = client_tls(cert_file, false);
    struct dialler d[2] = {{tls, ar_listener_port(srv.listener), 0},
                           {tls, ar_listener_port(srv.listener), 0}};
    struct ar_thread *t[2];
    for (int i = 0; i < 2; i++) {
        t[i] = ar_thread_start(dial_often, &d[i]);
    }
    assert_true(wait_until(the_loop, are_good, NULL, 8000));
    for (int i = 0; i < 2; i++) {
        ar_thread_join(t[i]);
        assert_int_equal(d[i].good, 20);
    }
    ar_tls_unref(tls);
}

static struct ar_tls *behind; /* what the tunnel leads to */

static void be_tunnel(struct ar_waker *w)
{
    struct peer *p = AR_HOLDER(w, struct peer, waker);
    struct ar_str in, ok = AR_LIT("HTTP/1.1 200 OK\r\n\r\n");
    if (behind && ar_stream_peek(p->s, &in, NULL) == AR_READY &&
        ar_str_has(in, AR_LIT("\r\n\r\n"))) {
        ar_stream_eat(p->s, in.n);
        (void)ar_stream_write(p->s, &ok, 1);
        ar_stream_flush(p->s);
        ar_tls_attach(AR_HOLDER(p->s, struct ar_tcp, s), behind, AR_LIT(""), 0);
        ar_tls_unref(behind);
        behind = NULL;
    } else if (!behind) {
        peer_step(p);
    }
}

static void use_tunnel(struct peer *p)
{
    p->waker.wake = be_tunnel;
}

static void tls_runs_through_a_proxy(void **state)
{
    (void)state;
    struct server proxy = {.on_peer = use_tunnel, .echo = true};
    struct ar_err err = {0};
    char url[64];
    behind = server_tls();
    server_start(&proxy, the_loop, "127.0.0.1", NULL);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", ar_listener_port(proxy.listener));
    struct ar_dial_spec spec = {.host = AR_LIT("localhost"), .port = 443, .proxy = ar_str_of(url)};
    spec.tls = client_tls(cert_file, false);
    struct ar_stream *s = dial(the_loop, &spec, &err);
    if (!s) {
        fail_msg("%s", err.note);
    }
    ar_tls_unref(spec.tls);
    struct peer *p = peer_new(s);
    peer_send(p, big, 100000);
    for (int i = 0; i < 200 && p->in.n < 100000; i++) {
        run_for(the_loop, 2);
    }
    assert_int_equal(p->in.n, 100000);
    assert_memory_equal(p->in.p, big, 100000);
    peer_free(p);
    server_stop(&proxy);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(bytes_go_both_ways),
        T(a_slow_reader_stops_the_writer),
        T(shut_and_close_still_delivers_everything),
        T(who_is_not_trusted_is_refused),
        T(another_name_is_refused),
        T(another_address_is_refused),
        T(insecure_trusts_all),
        T(sessions_are_resumed_per_host),
        T(a_fin_without_close_notify_is_an_end),
        T(plain_bytes_to_a_tls_server_fail),
        T(a_server_without_tls_is_told),
        T(a_dial_may_be_closed_in_the_handshake),
        T(files_at_fault_are_named),
        T(a_new_certificate_is_for_new_connections),
        T(workers_share_settings),
        T(tls_runs_through_a_proxy),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
