/* The NO_PROXY convention: names with what is below them, blocks of addresses, a star. */
#include "check.h"
#include "http/url.h"

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        bool want;
    } CASES[] = {
        {"", "a.com", false},
        {"*", "a.com", true},
        {"a.com", "a.com", true},
        {"a.com", "A.COM", true},
        {"A.com", "b.a.com", true},
        {".a.com", "a.com", true},
        {".a.com", "b.a.com", true},
        {"*.a.com", "b.a.com", true},
        {"a.com", "ba.com", false},
        {"a.com", "a.com.evil", false},
        {"x, a.com ,y", "a.com", true},
        {",,a.com,", "a.com", true},
        {",", "a.com", false},
        {"a.com:8080", "a.com", true},
        {"localhost", "localhost", true},
        {"10.0.0.0/8", "10.1.2.3", true},
        {"10.0.0.0/8", "11.1.2.3", false},
        {"192.168.1.128/25", "192.168.1.200", true},
        {"192.168.1.128/25", "192.168.1.100", false},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"10.0.0.0/33", "10.0.0.1", false},
        {"10.0.0.0/x", "10.0.0.1", false},
        {"10.0.0.0/8", "a10.com", false},
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "110.0.0.1", false},
        {"fd00::/8", "fd12::1", true},
        {"fd00::/8", "fe80::1", false},
        {"fd00::/8", "10.0.0.1", false},
        {"::1", "::1", true},
        {"[::1]", "::1", true},
        {"[::1]:80", "::1", true},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        bool got = ar_no_proxy_matches(ar_str_of(CASES[i].list), ar_str_of(CASES[i].host));
        if (got != CASES[i].want) {
            print_error("NO_PROXY=%s of %s: %d\n", CASES[i].list, CASES[i].host, got);
        }
        assert_int_equal(got, CASES[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_table)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
