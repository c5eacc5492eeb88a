/* Errors and counts as a Responses client gets them. */
#include "dialect/responses/responses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

/* INTERFACE 4: statuses and codes that make agents stop when an error cannot get better. */
static void statuses_and_codes(void **state)
{
    (void)state;
    static const struct {
        enum ar_code code;
        int status;
        const char *type, *name;
    } CASES[] = {
        {AR_INVALID_REQUEST, 400, "invalid_request_error", "null"},
        {AR_LOSSY, 400, "invalid_request_error", "\"unsupported_parameter\""},
        {AR_CONTEXT_LENGTH, 400, "invalid_request_error", "\"context_length_exceeded\""},
        {AR_KEY_INVALID, 401, "invalid_request_error", "\"invalid_api_key\""},
        {AR_QUOTA_EXHAUSTED, 429, "insufficient_quota", "\"insufficient_quota\""},
        {AR_CREDITS_EXHAUSTED, 429, "insufficient_quota", "\"insufficient_quota\""},
        {AR_MODEL_NOT_FOUND, 404, "invalid_request_error", "\"model_not_found\""},
        {AR_UPSTREAM_RATE_LIMITED, 429, "rate_limit_error", "\"rate_limit_exceeded\""},
        {AR_NO_UPSTREAM, 503, "service_unavailable_error", "\"server_is_overloaded\""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ar_fault f = {.code = CASES[i].code, .retry_after_ms = -1};
        struct ar_buf out;
        char want[256];
        f.message = AR_LIT("No \"x\".");
        f.param = AR_LIT("input");
        ar_buf_init(&out, 4096);
        assert_int_equal(ar_responses_encode_error(&f, AR_LIT("req_1"), &out), CASES[i].status);
        (void)snprintf(
            want, sizeof want,
            "{\"error\":{\"message\":\"No \\\"x\\\".\",\"type\":\"%s\",\"param\":\"input\","
            "\"code\":%s}}",
            CASES[i].type, CASES[i].name);
        assert_true(ar_str_is(ar_buf_view(&out), ar_str_of(want)));
        ar_buf_done(&out);
    }
}

/* P-196 */
static void a_count_is_an_object(void **state)
{
    (void)state;
    struct ar_buf out;
    ar_buf_init(&out, 256);
    ar_dialect_responses.encode_count(42, &out);
    assert_true(ar_str_is_lit(ar_buf_view(&out),
                              "{\"object\":\"response.input_tokens\",\"input_tokens\":42}"));
    ar_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statuses_and_codes),
        cmocka_unit_test(a_count_is_an_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
