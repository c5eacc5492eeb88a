/* Upstream errors as they are read: whose fault they are. */
#include "dialect/anthropic/anthropic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static void reads_what_upstreams_say(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum ar_code code;
        enum ar_blame blame;
        const char *message;
    } rows[] = {
        {500, "<html><body>nginx</body></html>", AR_UPSTREAM_ERROR, AR_OF_PLACE, NULL},
        {502, "  bad gateway\n", AR_UPSTREAM_ERROR, AR_OF_PLACE, "bad gateway"},
        {503, "", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE, NULL},
        {504, "{}", AR_UPSTREAM_TIMEOUT, AR_OF_PLACE, NULL},
        {408, "{}", AR_UPSTREAM_TIMEOUT, AR_OF_PLACE, NULL},
        {401,
         "{\"error\":{\"code\":401,\"message\":\"Invalid API "
         "Key\",\"type\":\"authentication_error\"}}",
         AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "Invalid API Key"},
        {400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your "
         "credit balance is too low\"}}",
         AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "Your credit balance is too low"},
        {429,
         "{\"error\":{\"message\":\"q\",\"type\":\"insufficient_quota\",\"code\":\"insufficient_"
         "quota\"}}",
         AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "q"},
        {429, "{\"error\":\"slow\"}", AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY, "slow"},
        {400, "{\"error\":{\"message\":\"model 'nope' not found\"}}", AR_MODEL_NOT_FOUND,
         AR_OF_MODEL, "model 'nope' not found"},
        {404, "<html>404</html>", AR_UPSTREAM_ERROR, AR_OF_UPSTREAM, NULL},
        {413, "{}", AR_TOO_LARGE, AR_OF_CALLER, NULL},
        {422, "{\"detail\":\"odd\"}", AR_UPSTREAM_REFUSED, AR_OF_CALLER, "odd"},
        {529,
         "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"
         "}",
         AR_UPSTREAM_OVERLOADED, AR_OF_PLACE, "Overloaded"},
        {200, "{\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\",\"message\":\"r\"}}",
         AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY, "r"},
        {200,
         "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}",
         AR_UPSTREAM_OVERLOADED, AR_OF_PLACE, "Loading model"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ar_arena a;
        struct ar_fault f;
        ar_arena_init(&a, 1 << 20);
        ar_anthropic_decode_error(rows[i].status, ar_str_of(rows[i].body), &a, &f);
        assert_int_equal(f.code, rows[i].code);
        assert_int_equal(f.blame, rows[i].blame);
        assert_int_equal(f.upstream_status, rows[i].status);
        assert_int_equal(f.retry_after_ms, -1);
        if (rows[i].message) {
            assert_true(ar_str_is(f.message, ar_str_of(rows[i].message)));
        } else {
            assert_null(f.message.p);
        }
        ar_arena_done(&a);
    }
}

static void long_messages_are_cut_between_characters(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_buf body;
    struct ar_fault f;
    ar_arena_init(&a, 1 << 20);
    ar_buf_init(&body, 1 << 20);
    ar_buf_lit(&body, "{\"error\":{\"message\":\"x");
    for (unsigned i = 0; i < 3000; i++) {
        ar_buf_lit(&body, "\xc3\xa9");
    }
    ar_buf_lit(&body, "\"}}");
    ar_anthropic_decode_error(500, ar_buf_view(&body), &a, &f);
    assert_int_equal(f.message.n, 2047);
    ar_buf_done(&body);
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_upstreams_say),
        cmocka_unit_test(long_messages_are_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
