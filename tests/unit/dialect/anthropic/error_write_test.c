/* Errors as clients of this dialect get them, code by code. */
#include "dialect/anthropic/anthropic.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

static int encode(const struct ar_fault *f, struct ar_buf *out)
{
    ar_buf_clear(out);
    int status = ar_anthropic_encode_error(f, AR_LIT("req-1"), out);
    ar_buf_char(out, '\0');
    return status;
}

/* INTERFACE 4 and PROTOCOLS 9.1. P-193: the request's id is in the body. P-009 P-190 */
static void each_code_has_its_status_and_type(void **state)
{
    (void)state;
    static const struct {
        enum ar_code code;
        int status;
        const char *type;
    } rows[] = {
        {AR_INVALID_REQUEST, 400, "invalid_request_error"},
        {AR_LOSSY, 400, "invalid_request_error"},
        {AR_KEY_MISSING, 403, "permission_error"},
        {AR_KEY_INVALID, 403, "permission_error"},
        {AR_KEY_DISABLED, 403, "permission_error"},
        {AR_KEY_EXPIRED, 403, "permission_error"},
        {AR_QUOTA_EXHAUSTED, 403, "billing_error"},
        {AR_CREDITS_EXHAUSTED, 403, "billing_error"},
        {AR_IP_DENIED, 403, "permission_error"},
        {AR_MODEL_NOT_FOUND, 404, "not_found_error"},
        {AR_ENDPOINT_NOT_FOUND, 404, "not_found_error"},
        {AR_METHOD_NOT_ALLOWED, 405, "invalid_request_error"},
        {AR_CONFLICT, 409, "conflict_error"},
        {AR_TOO_LARGE, 413, "request_too_large"},
        {AR_RATE_LIMITED, 429, "rate_limit_error"},
        {AR_UPSTREAM_RATE_LIMITED, 429, "rate_limit_error"},
        {AR_INTERNAL, 500, "api_error"},
        {AR_UPSTREAM_ERROR, 502, "api_error"},
        {AR_UPSTREAM_CREDENTIALS, 502, "api_error"},
        {AR_UPSTREAM_TIMEOUT, 504, "timeout_error"},
        {AR_NO_UPSTREAM, 529, "overloaded_error"},
        {AR_UPSTREAM_OVERLOADED, 529, "overloaded_error"},
    };
    struct ar_buf out;
    ar_buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ar_fault f = {
            .code = rows[i].code, .message = AR_LIT("a \"b\""), .retry_after_ms = -1};
        char want[256];
        assert_int_equal(encode(&f, &out), rows[i].status);
        (void)snprintf(want, sizeof(want),
                       "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":\"a "
                       "\\\"b\\\"\"},\"request_id\":\"req-1\"}",
                       rows[i].type);
        assert_string_equal(out.p, want);
    }
    ar_buf_done(&out);
}

/* CLIENTS 0.3: what makes the SDK send the whole history. */
static void thread_is_refused_with_its_code(void **state)
{
    (void)state;
    struct ar_buf out;
    ar_buf_init(&out, 4096);
    struct ar_fault f = {.code = AR_THREAD_UNSUPPORTED, .message = AR_LIT("m")};
    assert_int_equal(encode(&f, &out), 400);
    assert_string_equal(
        out.p,
        "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"m\","
        "\"details\":{\"error_code\":\"thread_unsupported_request\",\"unsupported\":[\"thread\"]}},"
        "\"request_id\":\"req-1\"}");
    ar_buf_done(&out);
}

/* P-192: the text that Claude Code knows, whoever said it. */
static void context_errors_have_the_known_text(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } rows[] = {
        {"prompt is too long: 5 tokens > 4 maximum", "prompt is too long: 5 tokens > 4 maximum"},
        {"input length and `max_tokens` exceed context limit: 1 + 2 > 3",
         "input length and `max_tokens` exceed context limit: 1 + 2 > 3"},
        {"This model's maximum context length is 128000 tokens. However, your messages resulted in "
         "130001 tokens.",
         "prompt is too long: 130001 tokens > 128000 maximum"},
        {"request (33000 tokens) exceeds the available context size (32768 tokens)",
         "prompt is too long: 33000 tokens > 32768 maximum"},
        {"too much", "prompt is too long: too much"},
    };
    struct ar_buf out;
    ar_buf_init(&out, 4096);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ar_fault f = {.code = AR_CONTEXT_LENGTH, .message = ar_str_of(rows[i].from)};
        assert_int_equal(encode(&f, &out), 400);
        assert_non_null(strstr(out.p, rows[i].to));
    }
    ar_buf_done(&out);
}

/* P-189: a refusal of the caller's own key keeps the upstream's status, type and text. */
static void refusals_keep_status_and_type(void **state)
{
    (void)state;
    struct ar_buf out;
    ar_buf_init(&out, 4096);
    struct ar_fault f = {.code = AR_UPSTREAM_REFUSED,
                         .upstream_status = 401,
                         .vendor_type = AR_LIT("authentication_error"),
                         .message = AR_LIT("invalid x-api-key")};
    assert_int_equal(encode(&f, &out), 401);
    assert_non_null(
        strstr(out.p, "{\"type\":\"authentication_error\",\"message\":\"invalid x-api-key\"}"));
    f.vendor_type = AR_LIT("exotic_error");
    f.upstream_status = 422;
    assert_int_equal(encode(&f, &out), 422);
    assert_non_null(strstr(out.p, "\"type\":\"invalid_request_error\""));
    ar_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_its_status_and_type),
        cmocka_unit_test(thread_is_refused_with_its_code),
        cmocka_unit_test(context_errors_have_the_known_text),
        cmocka_unit_test(refusals_keep_status_and_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
