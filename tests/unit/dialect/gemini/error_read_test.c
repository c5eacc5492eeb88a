/* What an upstream's errors tell besides their code: how long to wait, which field, and texts of
 * any form; and which media go by reference. */
#include "check.h"

#include "dialect/dialect.h"

static struct ar_arena a;

static struct ar_fault read_error(int status, const char *body)
{
    struct ar_fault f;
    ar_dialect_gemini.decode_error(status, ar_str_of(body), &a, &f);
    return f;
}

static void test_how_long_to_wait(void **state)
{
    (void)state;
    static const struct {
        const char *delay;
        int64_t ms;
    } ROWS[] = {{"\"12s\"", 12000},  {"\"0.5s\"", 500}, {"\"1.0004s\"", 1001}, {"\"s\"", -1},
                {"\"12\"", -1},      {"12", -1},        {"\"-3s\"", -1},       {"\"1e99s\"", -1},
                {"\"12.5.1s\"", -1}, {"\"0s\"", 0}};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct ar_str body = ar_arena_fmt(
            &a,
            "{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\","
            "\"details\":[{\"@type\":\"q\"},{\"@type\":\"r\",\"retryDelay\":%s}]}}",
            ROWS[i].delay);
        struct ar_fault f = read_error(429, body.p);
        assert_int_equal(f.retry_after_ms, ROWS[i].ms);
        assert_int_equal(f.code, AR_UPSTREAM_RATE_LIMITED);
        CHECK_STR(f.vendor_type, "RESOURCE_EXHAUSTED");
    }
}

static void test_bodies_of_any_form(void **state)
{
    (void)state;
    struct ar_fault f = read_error(502, "<html>bad gateway</html>");
    assert_int_equal(f.message.n, 0);
    assert_int_equal(f.blame, AR_OF_PLACE);
    f = read_error(400, "plain words");
    CHECK_STR(f.message, "plain words");
    f = read_error(400, "{\"error\":\"a word\"}");
    CHECK_STR(f.message, "a word");
    f = read_error(400,
                   "{\"error\":{\"message\":\"m\",\"details\":[{\"fieldViolations\":[{\"field\":"
                   "\"contents[0].parts\"}]}]}}");
    CHECK_STR(f.param, "contents[0].parts");
    f = read_error(400,
                   "{\"error\":{\"message\":\"x\",\"details\":[{\"reason\":\"API_KEY_EXPIRED\"}"
                   "]}}");
    assert_int_equal(f.blame, AR_OF_KEY);
    f = read_error(418, "");
    assert_int_equal(f.code, AR_UPSTREAM_REFUSED);
}

static void test_media_by_reference(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool goes;
    } ROWS[] = {{"gs://bucket/a.png", true},
                {"https://generativelanguage.googleapis.com/v1beta/files/x", true},
                {"https://www.youtube.com/watch?v=1", true},
                {"https://youtu.be/1", true},
                {"https://example.com/a.png", false},
                {"http://generativelanguage.googleapis.com/v1beta/files/x", false},
                {"https://www.youtube.com.evil.example/", false}};
    struct ar_target t = {.vendor = AR_VENDOR_GOOGLE};
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct ar_media m = {.from = AR_FROM_URL, .data = ar_str_of(ROWS[i].url)};
        struct ar_block b = {.kind = AR_IMAGE, .media = &m};
        assert_int_equal(ar_dialect_gemini.takes_url(&b, &t), ROWS[i].goes);
    }
}

static void test_counts(void **state)
{
    (void)state;
    assert_int_equal(ar_dialect_gemini.decode_count(AR_LIT("{\"totalTokens\":31}"), &a), 31);
    assert_int_equal(ar_dialect_gemini.decode_count(AR_LIT("{\"totalTokens\":-1}"), &a), -1);
    assert_int_equal(ar_dialect_gemini.decode_count(AR_LIT("{}"), &a), -1);
    assert_int_equal(ar_dialect_gemini.decode_count(AR_LIT("["), &a), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_long_to_wait),
        cmocka_unit_test(test_bodies_of_any_form),
        cmocka_unit_test(test_media_by_reference),
        cmocka_unit_test(test_counts),
    };
    ar_arena_init(&a, 1 << 24);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_arena_done(&a);
    return failed;
}
