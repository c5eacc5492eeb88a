/*
 * Which addresses are of the public internet (P-036): the edges of every special range, IPv6 that
 * stands for IPv4 among them.
 */
#include "io/impl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

static bool is_public(const char *text)
{
    union ar_addr a;
    if (!ar_addr_parse(ar_str_of(text), 80, &a)) {
        fail_msg("%s is no address", text);
    }
    return ar_addr_is_public(&a);
}

static void test_special(void **state)
{
    static const char *const special[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255",
        "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254", "172.16.0.0",
        "172.31.255.255", "192.0.0.8", "192.0.2.1", "192.88.99.1", "192.168.0.1", "192.168.255.255",
        "198.18.0.0", "198.19.255.255", "198.51.100.7", "203.0.113.7", "224.0.0.1",
        "239.255.255.255", "240.0.0.1", "255.255.255.255",
        /* IPv6 */
        "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.1.2.3", "::ffff:169.254.169.254",
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:1ff::1",
        "2001:db8::1", "2002:7f00:1::", "2002:c0a8:1::1", "3fff::1", "3fff:fff::1", "4000::1",
        "fc00::1", "fdff::1", "fe80::1", "febf::1", "fec0::1", "ff02::1", "ff0e::1"};
    (void)state;
    for (size_t i = 0; i < sizeof special / sizeof *special; i++) {
        if (is_public(special[i])) {
            fail_msg("%s is public?", special[i]);
        }
    }
}

static void test_public(void **state)
{
    static const char *const open[] = {
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
        "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0",
        "192.0.3.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0",
        "203.0.114.0", "223.255.255.255",
        /* IPv6 */
        "2000::1", "2001:200::1", "2001:4860:4860::8888", "2606:4700::1", "2a00:1450::1",
        "3ffe:ffff::1", "3fff:1000::1", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"};
    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof *open; i++) {
        if (!is_public(open[i])) {
            fail_msg("%s is not public?", open[i]);
        }
    }
}

static void test_neither_family(void **state)
{
    union ar_addr a = {.any.sa_family = AF_UNIX};
    (void)state;
    assert_false(ar_addr_is_public(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_special),
                                       cmocka_unit_test(test_public),
                                       cmocka_unit_test(test_neither_family)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
