/* Idle connections are tested through exchanges; here: whose TLS settings are whose. */
#include "http/pool.h"

#include "check.h"

static struct ar_tls *settings(struct ar_pool *p, const struct ar_origin *o)
{
    struct ar_err err = {0};
    struct ar_pool_origin *at = ar_pool_enter(p, o);
    struct ar_tls *tls = ar_pool_tls(p, at, o, &err);
    assert_ptr_equal(ar_pool_tls(p, at, o, &err), tls);
    ar_pool_leave(p, at);
    return tls;
}

/* Reading the system's trusted certificates takes tens of milliseconds: once, not once a host. */
static void test_the_systems_trust_is_read_once(void **state)
{
    (void)state;
    struct ar_loop *l = ar_loop_new();
    struct ar_pool *p = ar_pool_new(l, &(struct ar_pool_limits){.idle_per_origin = 4});
    struct ar_origin one = {.host = AR_LIT("one.example"), .port = 443, .tls = true};
    struct ar_origin two = {.host = AR_LIT("two.example"), .port = 443, .tls = true};
    struct ar_tls *system = settings(p, &one);
    assert_non_null(system);
    assert_ptr_equal(settings(p, &two), system);
    two.insecure = true;
    struct ar_tls *insecure = settings(p, &two);
    assert_non_null(insecure);
    assert_ptr_not_equal(insecure, system);
    two.insecure = false;
    two.ca_file = AR_LIT("/nowhere.pem");
    assert_null(settings(p, &two));
    ar_pool_free(p);
    ar_loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_systems_trust_is_read_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
