/* Base URLs and query strings. */
#include "http/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void good(const char *text, bool tls, const char *host, unsigned port, const char *path,
                 const char *query)
{
    struct ar_url u;
    assert_int_equal(ar_url_parse(ar_str_of(text), &u), AR_OK);
    assert_int_equal(u.tls, tls);
    assert_true(ar_str_is(u.host, ar_str_of(host)));
    assert_int_equal(u.port, port);
    assert_true(ar_str_is(u.path, ar_str_of(path)));
    assert_true(ar_str_is(u.query, ar_str_of(query)));
}

static void test_parse(void **state)
{
    (void)state;
    good("http://a", false, "a", 80, "", "");
    good("https://api.example.com/", true, "api.example.com", 443, "", "");
    good("HTTPS://h:8443/v1/", true, "h", 8443, "/v1", "");
    good("http://[::1]:9/x?a=b&c", false, "::1", 9, "/x", "a=b&c");
    good("http://[fe80::1]", false, "fe80::1", 80, "", "");
    good("http://h?x=/", false, "h", 80, "", "x=/");
    good("http://127.0.0.1:65535/a/b", false, "127.0.0.1", 65535, "/a/b", "");
}

static void test_refuse(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "ftp://a",
        "a",
        "http:/a",
        "http://",
        "http:///x",
        "http://a:0",
        "http://a:65536",
        "http://a:x",
        "http://a:",
        "http://u@h",
        "http://u:p@h/",
        "http://[::1",
        "http://[::1]x",
        "http://[g]",
        "http://a b",
        "http://a/#f",
        "http://a/\n",
        "http://::1",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct ar_url u;
        assert_int_equal(ar_url_parse(ar_str_of(bad[i]), &u), AR_INVALID_REQUEST);
    }
}

static void test_query(void **state)
{
    (void)state;
    struct ar_str q = AR_LIT("a=1&key=x%20y&b&a=2&e=");
    assert_true(ar_str_is_lit(ar_query_get(q, AR_LIT("a")), "1"));
    assert_true(ar_str_is_lit(ar_query_get(q, AR_LIT("key")), "x%20y"));
    assert_null(ar_query_get(q, AR_LIT("ke")).p);
    assert_null(ar_query_get(AR_LIT(""), AR_LIT("a")).p);
    assert_non_null(ar_query_get(q, AR_LIT("b")).p);
    assert_int_equal(ar_query_get(q, AR_LIT("b")).n, 0);
    assert_int_equal(ar_query_get(q, AR_LIT("e")).n, 0);
    assert_non_null(ar_query_get(q, AR_LIT("e")).p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
