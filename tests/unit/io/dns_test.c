/*
 * The cache of names over a scripted getaddrinfo and clock: single flight, freshness, staleness,
 * failures, cancelling.
 */
#include "io/impl.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static uv_getaddrinfo_t *pending[8];
static uv_getaddrinfo_cb pending_cb[8];
static int asked;
static int64_t now_ms = 1000;

static int fake_getaddrinfo(uv_loop_t *l, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
                            const char *name, const char *service, const struct addrinfo *hints)
{
    (void)l;
    (void)service;
    (void)hints;
    assert_string_equal(name, "api.test");
    pending[asked] = req;
    pending_cb[asked++] = cb;
    return 0;
}

static void fake_free(struct addrinfo *list)
{
    (void)list;
}

static int64_t fake_now(const struct ar_loop *l)
{
    (void)l;
    return now_ms;
}

#define uv_getaddrinfo  fake_getaddrinfo
#define uv_freeaddrinfo fake_free
#define ar_loop_now_ms  fake_now
#include "../../../src/io/dns.c"
#undef ar_loop_now_ms

struct query {
    struct ar_dns_query q;
    int done, status;
    unsigned n;
};

static void on_done(struct ar_dns_query *q, int status, const union ar_addr *addrs, unsigned n)
{
    struct query *mine = AR_HOLDER(q, struct query, q);
    (void)addrs;
    mine->done++;
    mine->status = status;
    mine->n = n;
}

static void answer(int i, const char *address)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct addrinfo info = {
        .ai_family = AF_INET, .ai_addr = (struct sockaddr *)&a, .ai_addrlen = sizeof a};
    if (address) {
        assert_int_equal(inet_pton(AF_INET, address, &a.sin_addr), 1);
        pending_cb[i](pending[i], 0, &info);
    } else {
        pending_cb[i](pending[i], UV_EAI_AGAIN, NULL);
    }
}

static void a_name_is_looked_up_once_and_kept(void **state)
{
    (void)state;
    struct ar_loop l = {0};
    struct query a = {.q.done = on_done}, b = a, c = a;
    union ar_addr ret[4];
    unsigned n = 4;
    struct ar_str name = AR_LIT("api.test");
    assert_false(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_false(ar_dns_ask(&l, name, AF_INET, &b.q, ret, &n));
    assert_false(ar_dns_ask(&l, name, AF_INET, &c.q, ret, &n));
    assert_int_equal(asked, 1); /* single flight */
    ar_dns_cancel(&b.q);
    answer(0, "10.0.0.1");
    assert_int_equal(a.done, 1);
    assert_int_equal(a.n, 1);
    assert_int_equal(b.done, 0);
    assert_int_equal(c.done, 1);
    now_ms += 29000; /* fresh */
    n = 4;
    assert_true(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_int_equal(n, 1);
    assert_int_equal(asked, 1);
    now_ms += 2000; /* stale: served, and looked up anew */
    n = 4;
    assert_true(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_int_equal(n, 1);
    assert_int_equal(asked, 2);
    n = 4;
    assert_true(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_int_equal(asked, 2);
    answer(1, NULL); /* fails: the old answer stays */
    n = 4;
    assert_true(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_int_equal(n, 1);
    assert_int_equal(asked, 3);
    answer(2, "10.0.0.2");
    n = 4;
    assert_true(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_int_equal(ntohl(ret[0].v4.sin_addr.s_addr), 0x0a000002);
    assert_int_equal(asked, 3);
    now_ms += 601000; /* too old to serve */
    n = 4;
    a.done = 0;
    assert_false(ar_dns_ask(&l, name, AF_INET, &a.q, ret, &n));
    assert_int_equal(asked, 4);
    answer(3, NULL);
    assert_int_equal(a.done, 1);
    assert_int_equal(a.status, UV_EAI_AGAIN);
    assert_int_equal(a.n, 0);
    assert_false(ar_dns_ask(&l, name, AF_INET6, &b.q, ret, &n)); /* the other family is apart */
    assert_int_equal(asked, 5);
    ar_dns_cancel(&b.q);
    ar_dns_free(l.dns); /* while it runs */
    answer(4, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_name_is_looked_up_once_and_kept)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
