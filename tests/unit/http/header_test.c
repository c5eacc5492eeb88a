/* Header look-up, hop-by-hop names, Retry-After. */
#include "http/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_get(void **state)
{
    (void)state;
    struct ar_header h[] = {{AR_LIT("Content-Type"), AR_LIT("a")},
                            {AR_LIT("x"), AR_LIT("")},
                            {AR_LIT("content-type"), AR_LIT("b")}};
    assert_true(ar_str_is_lit(ar_header_lit(h, 3, "CONTENT-TYPE"), "a"));
    assert_non_null(ar_header_lit(h, 3, "X").p);
    assert_null(ar_header_lit(h, 3, "y").p);
    assert_null(ar_header_lit(h, 1, "x").p);
}

static void test_hop(void **state)
{
    (void)state;
    static const char *const hop[] = {
        "Connection",          "keep-alive",        "TE", "Trailer", "transfer-encoding", "Upgrade",
        "proxy-authorization", "proxy-authenticate"};
    for (size_t i = 0; i < sizeof(hop) / sizeof(hop[0]); i++) {
        assert_true(ar_header_is_hop(ar_str_of(hop[i]), AR_LIT("")));
    }
    assert_false(ar_header_is_hop(AR_LIT("content-type"), AR_LIT("close")));
    assert_true(ar_header_is_hop(AR_LIT("X-Mine"), AR_LIT("close, x-mine")));
    assert_false(ar_header_is_hop(AR_LIT("X-Mine"), AR_LIT("close, x-mine2")));
}

static int64_t retry(const char *after, const char *ms)
{
    struct ar_header h[2] = {{AR_LIT("retry-after"), ar_str_of(after)},
                             {AR_LIT("Retry-After-Ms"), ar_str_of(ms)}};
    /* Sun, 06 Nov 1994 08:49:37 GMT */
    return ar_header_retry_ms(h, 2, 784111777000);
}

static void test_retry(void **state)
{
    (void)state;
    assert_int_equal(retry("7", NULL), 7000);
    assert_int_equal(retry("0.5", NULL), 500);
    assert_int_equal(retry("7", "250"), 250);
    assert_int_equal(retry("7", "x"), 7000);
    assert_int_equal(retry(NULL, NULL), -1);
    assert_int_equal(retry("-1", NULL), -1);
    assert_int_equal(retry("soon", NULL), -1);
    assert_int_equal(retry("", NULL), -1);
    assert_int_equal(retry("Sun, 06 Nov 1994 08:50:37 GMT", NULL), 60000);
    assert_int_equal(retry("Sun, 06 Nov 1994 08:49:00 GMT", NULL), 0);
    assert_int_equal(retry("Sun, 06 Nux 1994 08:49:00 GMT", NULL), -1);
    assert_int_equal(retry("Sun, 06 Nov 1994 25:49:00 GMT", NULL), -1);
    assert_int_equal(retry("99999999999", NULL), 30ll * 24 * 3600 * 1000);
    assert_int_equal(retry("1e300", NULL), 30ll * 24 * 3600 * 1000);
}

static void test_safe(void **state)
{
    (void)state;
    struct ar_header h = {AR_LIT("a"), AR_LIT("b c")};
    assert_true(ar_header_is_safe(&h));
    h.value = AR_LIT("b\r\nc");
    assert_false(ar_header_is_safe(&h));
    h.value = AR_LIT("b\nc");
    assert_false(ar_header_is_safe(&h));
    h.value = ar_str_n("b\0c", 3);
    assert_false(ar_header_is_safe(&h));
    h = (struct ar_header){AR_LIT(""), AR_LIT("b")};
    assert_false(ar_header_is_safe(&h));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_get),
        cmocka_unit_test(test_hop),
        cmocka_unit_test(test_retry),
        cmocka_unit_test(test_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
