/* Credentials of Google: what is read, what is missing is named and never shown; what is asked of
 * the token endpoint and understood of its answer. The signature itself: vault/sign_test.c and the
 * end-to-end tests. */
#include "provider/google.h"

#include "check.h"

static struct ar_arena arena;

static int set_up(void **state)
{
    (void)state;
    ar_arena_init(&arena, 1U << 20);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ar_arena_done(&arena);
    return 0;
}

#define USER                                                                                       \
    "{\"type\":\"authorized_user\",\"client_id\":\"a&b\",\"client_secret\":\"c=d\","               \
    "\"refresh_token\":\"1//x\"}"

static void test_what_is_read(void **state)
{
    (void)state;
    struct ar_google_key k;
    struct ar_err err = {0};
    CHECK_OK(ar_google_key_read(
        AR_LIT("{\"type\":\"service_account\",\"project_id\":\"p\",\"private_key_id\":\"k\","
               "\"private_key\":\"line\\nline\",\"client_email\":\"a@b\","
               "\"token_uri\":\"https://t/x\",\"other\":[1]}"),
        &arena, &k, &err));
    assert_false(k.of_user);
    CHECK_STR(k.project, "p");
    CHECK_STR(k.id, "k");
    CHECK_STR(k.pem, "line\nline");
    CHECK_STR(k.email, "a@b");
    CHECK_STR(k.token_uri, "https://t/x");
    CHECK_OK(ar_google_key_read(AR_LIT(USER), &arena, &k, &err));
    assert_true(k.of_user);
    CHECK_STR(k.token_uri, "https://oauth2.googleapis.com/token");
    assert_int_equal(k.project.n, 0);
}

static void test_what_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *json, *named;
    } CASES[] = {
        {"", "no JSON"},
        {"{\"type\":", "no JSON"},
        {"[]", "type"},
        {"{}", "type"},
        {"{\"type\":\"external_account\"}", "service_account"},
        {"{\"type\":\"service_account\"}", "client_email"},
        {"{\"type\":\"service_account\",\"client_email\":\"a\"}", "private_key"},
        {"{\"type\":\"service_account\",\"client_email\":\"a\",\"private_key\":\"SECRET\"}",
         "token_uri"},
        {"{\"type\":\"service_account\",\"client_email\":1,\"private_key\":\"SECRET\"}",
         "client_email"},
        {"{\"type\":\"authorized_user\",\"client_id\":\"a\",\"client_secret\":\"SECRET\"}",
         "refresh_token"},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ar_google_key k;
        struct ar_err err = {0};
        assert_int_equal(ar_google_key_read(ar_str_of(CASES[i].json), &arena, &k, &err),
                         AR_INVALID_REQUEST);
        assert_non_null(strstr(err.note, CASES[i].named));
        assert_null(strstr(err.note, "SECRET"));
    }
}

static void test_what_is_asked(void **state)
{
    (void)state;
    struct ar_google_key k;
    struct ar_err err = {0};
    struct ar_str body;
    CHECK_OK(ar_google_key_read(AR_LIT(USER), &arena, &k, &err));
    CHECK_OK(ar_google_token_body(&k, 0, &arena, &body, &err));
    CHECK_STR(body, "grant_type=refresh_token&client_id=a%26b&client_secret=c%3Dd"
                    "&refresh_token=1%2F%2Fx");
    k.of_user = false;
    k.pem = AR_LIT("no key");
    assert_int_equal(ar_google_token_body(&k, 0, &arena, &body, &err), AR_UPSTREAM_CREDENTIALS);
}

static void test_what_is_understood(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum ar_code code;
        int64_t lives_ms;
    } CASES[] = {
        {200, "{\"access_token\":\"t\",\"expires_in\":3599}", AR_OK, 3599000},
        {200, "{\"access_token\":\"t\"}", AR_OK, 3600000},
        {200, "{\"access_token\":\"t\",\"expires_in\":-1}", AR_OK, 3600000},
        {200, "{\"access_token\":\"t\",\"expires_in\":1e300}", AR_OK, 3600000},
        {200, "{\"access_token\":\"\"}", AR_UPSTREAM_ERROR, 0},
        {200, "{\"access_token\":7}", AR_UPSTREAM_ERROR, 0},
        {200, "<html>", AR_UPSTREAM_ERROR, 0},
        {400, "{\"error\":\"invalid_grant\",\"error_description\":\"bad\"}",
         AR_UPSTREAM_CREDENTIALS, 0},
        {401, "", AR_UPSTREAM_CREDENTIALS, 0},
        {429, "{}", AR_UPSTREAM_ERROR, 0},
        {503, "{}", AR_UPSTREAM_ERROR, 0},
        {302, "", AR_UPSTREAM_ERROR, 0},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ar_err err = {0};
        struct ar_str token = {NULL, 0};
        int64_t lives_ms = 0;
        assert_int_equal(ar_google_token_read(CASES[i].status, ar_str_of(CASES[i].body), &arena,
                                              &token, &lives_ms, &err),
                         CASES[i].code);
        assert_int_equal(lives_ms, CASES[i].lives_ms);
        if (CASES[i].code == AR_OK) {
            CHECK_STR(token, "t");
        }
        assert_true(CASES[i].status != 400 || strstr(err.note, "invalid_grant: bad"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_missing_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_understood, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
