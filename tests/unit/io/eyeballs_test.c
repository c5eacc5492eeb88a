/*
 * Happy eyeballs with scripted names: a dead address costs a quarter of a second, a refusing one
 * nothing, a late IPv6 answer fifty milliseconds; losers are closed. A dead address is a listener
 * whose backlog is full.
 */
#include "io/peer.h"
#include "io/impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

struct family_script {
    bool late; /* answers when the test says so */
    unsigned n;
    union ar_addr addrs[4];
    struct ar_dns_query *query;
};
static struct family_script names4, names6;

bool ar_dns_ask(struct ar_loop *l, struct ar_str host, int family, struct ar_dns_query *q,
                union ar_addr *ret, unsigned *io_n)
{
    struct family_script *f = family == AF_INET6 ? &names6 : &names4;
    (void)l;
    assert_true(ar_str_is_lit(host, "up.test"));
    if (f->late) {
        f->query = q;
        return false;
    }
    memcpy(ret, f->addrs, f->n * sizeof *ret);
    *io_n = f->n;
    return true;
}

void ar_dns_cancel(struct ar_dns_query *q)
{
    names4.query = names4.query == q ? NULL : names4.query;
    names6.query = names6.query == q ? NULL : names6.query;
}

void ar_dns_free(struct ar_dns *d)
{
    assert_null(d);
}

#include "../../../src/io/eyeballs.c"

static struct ar_loop *the_loop;
static struct server srv;

/* Listens on the address at the port, with a full backlog: who connects hears nothing. */
static int dead_fd, fill_fds[3];
static void make_dead(const char *address, uint16_t port)
{
    union ar_addr a;
    assert_true(ar_addr_parse(ar_str_of(address), port, &a));
    dead_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(dead_fd, &a.any, ar_addr_size(&a)), 0);
    assert_int_equal(listen(dead_fd, 0), 0);
    for (int i = 0; i < 3; i++) {
        fill_fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fill_fds[i], &a.any, ar_addr_size(&a));
        (void)usleep(1000);
    }
}

static void drop_dead(void)
{
    (void)close(dead_fd);
    for (int i = 0; i < 3; i++) {
        (void)close(fill_fds[i]);
    }
}

static int setup(void **state)
{
    (void)state;
    memset(&srv, 0, sizeof srv);
    memset(&names4, 0, sizeof names4);
    memset(&names6, 0, sizeof names6);
    the_loop = ar_loop_new();
    return 0;
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

static void add_addr(struct family_script *f, const char *text)
{
    assert_true(ar_addr_parse(ar_str_of(text), 0, &f->addrs[f->n++]));
}

static int64_t dial_took_ms(uint16_t port, const char *want_peer)
{
    struct ar_err err = {0};
    int64_t t0 = (int64_t)(uv_hrtime() / 1000000);
    struct ar_stream *s = dial_port(the_loop, "up.test", port, NULL, &err);
    int64_t took = (int64_t)(uv_hrtime() / 1000000) - t0;
    if (!want_peer) {
        assert_null(s);
        assert_int_equal(err.code, AR_UPSTREAM_CONNECT);
        return took;
    }
    if (!s) {
        fail_msg("%s", err.note);
    }
    assert_true(ar_str_is(ar_stream_peer(s), ar_str_of(want_peer)));
    ar_stream_close(s);
    return took;
}

static void a_dead_address_costs_a_quarter_second(void **state)
{
    (void)state;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    uint16_t port = ar_listener_port(srv.listener);
    make_dead("127.0.0.2", port);
    add_addr(&names4, "127.0.0.2");
    add_addr(&names4, "127.0.0.1");
    int64_t took = dial_took_ms(port, "127.0.0.1");
    drop_dead();
    assert_true(took >= 245 && took < 900);
}

static void families_alternate_and_a_refusal_costs_nothing(void **state)
{
    (void)state;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    uint16_t port = ar_listener_port(srv.listener);
    make_dead("127.0.0.2", port);
    add_addr(&names6, "::1"); /* refuses */
    add_addr(&names6, "::1");
    add_addr(&names4, "127.0.0.1");
    add_addr(&names4, "127.0.0.2");
    int64_t took = dial_took_ms(port, "127.0.0.1");
    drop_dead();
    assert_true(took < 200);
}

static void ipv6_goes_first(void **state)
{
    (void)state;
    server_start(&srv, the_loop, "", NULL); /* both families */
    add_addr(&names6, "::1");
    add_addr(&names4, "127.0.0.1");
    assert_true(dial_took_ms(ar_listener_port(srv.listener), "::1") < 200);
}

static void all_refuse(void **state)
{
    (void)state;
    uint16_t port = 0;
    assert_int_equal(ar_listen_probe(AR_LIT(""), 0, &port, NULL), AR_OK);
    add_addr(&names6, "::1");
    add_addr(&names4, "127.0.0.1");
    add_addr(&names4, "127.0.0.2");
    assert_true(dial_took_ms(port, NULL) < 200);
}

static void a_slow_ipv6_answer_is_not_waited_for(void **state)
{
    (void)state;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    names6.late = true;
    add_addr(&names4, "127.0.0.1");
    int64_t took = dial_took_ms(ar_listener_port(srv.listener), "127.0.0.1");
    assert_true(took >= 45 && took < 300);
    assert_null(names6.query); /* the look-up was left */
}

static void a_late_answer_is_used(void **state)
{
    (void)state;
    server_start(&srv, the_loop, "127.0.0.1", NULL);
    names6.late = names4.late = true;
    struct ar_dial_spec spec = {.host = AR_LIT("up.test"), .port = ar_listener_port(srv.listener)};
    struct ar_dial *d = ar_dial_start(the_loop, &spec);
    run_for(the_loop, 10);
    struct ar_stream *s = NULL;
    assert_int_equal(ar_dial_poll(d, &s, NULL), AR_PENDING);
    names6.query->done(names6.query, UV_EAI_NONAME, NULL, 0);
    add_addr(&names4, "127.0.0.1");
    names4.query->done(names4.query, 0, names4.addrs, 1);
    run_for(the_loop, 10);
    assert_int_equal(ar_dial_poll(d, &s, NULL), AR_READY);
    ar_dial_close(d);
    ar_stream_close(s);
    names4.late = names6.late = true; /* and both fail */
    d = ar_dial_start(the_loop, &spec);
    run_for(the_loop, 5);
    names4.query->done(names4.query, UV_EAI_AGAIN, NULL, 0);
    names6.query->done(names6.query, UV_EAI_AGAIN, NULL, 0);
    run_for(the_loop, 5);
    struct ar_err err = {0};
    assert_int_equal(ar_dial_poll(d, &s, &err), AR_FAILED);
    assert_int_equal(err.code, AR_UPSTREAM_DNS);
    assert_non_null(strstr(err.note, "up.test"));
    ar_dial_close(d);
}

/* A dial that may only go to public addresses. */
static enum ar_code public_dial(const char *host, uint16_t port)
{
    struct ar_err err = {0};
    struct ar_dial_spec spec = {.host = ar_str_of(host), .port = port, .public_only = true};
    struct ar_stream *s = dial(the_loop, &spec, &err);
    assert_null(s);
    assert_true(err.code != AR_INVALID_REQUEST || strstr(err.note, "the address is not public"));
    return err.code;
}

/* P-036: whatever way a name or a literal leads to an address that is not public, nobody connects;
 * names are checked after the look-up, an answer that comes late too. */
static void private_addresses_are_passed_over(void **state)
{
    static const char *const literal[] = {"127.0.0.1", "::1", "localhost", "::ffff:127.0.0.1"};
    (void)state;
    server_start(&srv, the_loop, "", NULL);
    uint16_t port = ar_listener_port(srv.listener);
    for (size_t i = 0; i < sizeof literal / sizeof *literal; i++) {
        assert_int_equal(public_dial(literal[i], port), AR_INVALID_REQUEST);
    }
    add_addr(&names4, "127.0.0.1");
    add_addr(&names6, "::1");
    add_addr(&names6, "::ffff:127.0.0.1");
    assert_int_equal(public_dial("up.test", port), AR_INVALID_REQUEST);
    names4.n = names6.n = 0;
    assert_int_equal(public_dial("up.test", port), AR_UPSTREAM_DNS); /* no address at all */
    names4.late = names6.late = true;
    struct ar_dial_spec spec = {.host = AR_LIT("up.test"), .port = port, .public_only = true};
    struct ar_dial *d = ar_dial_start(the_loop, &spec);
    struct ar_stream *s = NULL;
    struct ar_err err = {0};
    run_for(the_loop, 5);
    names6.query->done(names6.query, UV_EAI_NONAME, NULL, 0);
    add_addr(&names4, "127.0.0.1");
    names4.query->done(names4.query, 0, names4.addrs, 1);
    run_for(the_loop, 5);
    assert_int_equal(ar_dial_poll(d, &s, &err), AR_FAILED);
    assert_int_equal(err.code, AR_INVALID_REQUEST);
    ar_dial_close(d);
    assert_int_equal(srv.n, 0); /* nobody came */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_dead_address_costs_a_quarter_second),
        T(families_alternate_and_a_refusal_costs_nothing),
        T(ipv6_goes_first),
        T(all_refuse),
        T(a_slow_ipv6_answer_is_not_waited_for),
        T(a_late_answer_is_used),
        T(private_addresses_are_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
