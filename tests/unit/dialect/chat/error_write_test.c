/* Errors as clients of this dialect get them, code by code. */
#include "check.h"

#include "dialect/dialect.h"

static void shows(enum ar_code code, int status, const char *want)
{
    struct ar_fault f = {.code = code, .message = AR_LIT("m"), .retry_after_ms = -1};
    struct ar_buf out;
    ar_buf_init(&out, 4096);
    assert_int_equal(ar_dialect_chat.encode_error(&f, AR_LIT("r1"), &out), status);
    CHECK_STR(ar_buf_view(&out), want);
    ar_buf_done(&out);
}
#define BODY(type, code)                                                                           \
    "{\"error\":{\"message\":\"m\",\"type\":\"" type "\",\"param\":null,\"code\":" code "}}"

/* P-001, P-009; INTERFACE 4: what stops an agent wins over the vendor's own status. */
static void shows_to_clients(void **state)
{
    (void)state;
    shows(AR_KEY_MISSING, 401, BODY("invalid_request_error", "\"invalid_api_key\""));
    shows(AR_QUOTA_EXHAUSTED, 402, BODY("insufficient_quota", "\"insufficient_quota\""));
    shows(AR_MODEL_NOT_ALLOWED, 403, BODY("permission_error", "null"));
    shows(AR_MODEL_NOT_FOUND, 404, BODY("invalid_request_error", "\"model_not_found\""));
    shows(AR_TOO_LARGE, 413, BODY("invalid_request_error", "\"request_too_large\""));
    shows(AR_LOSSY, 400, BODY("invalid_request_error", "\"unsupported_parameter\""));
    shows(AR_RATE_LIMITED, 429, BODY("rate_limit_error", "\"rate_limit_exceeded\""));
    shows(AR_NO_UPSTREAM, 503, BODY("service_unavailable_error", "\"server_is_overloaded\""));
    shows(AR_UPSTREAM_TIMEOUT, 504, BODY("server_error", "\"timeout\""));
    shows(AR_INTERNAL, 500, BODY("server_error", "null"));
}

/* Every code has a row: none falls back to the gateway's fault. */
static void every_code_is_shown(void **state)
{
    (void)state;
    for (unsigned c = AR_OK + 1; c < AR_CODE_COUNT; c++) {
        struct ar_fault f = {.code = (enum ar_code)c};
        struct ar_buf out;
        ar_buf_init(&out, 4096);
        int status = ar_dialect_chat.encode_error(&f, AR_LIT(""), &out);
        if (status != ar_code_status((enum ar_code)c)) {
            fail_msg("%s: %d, err.def says %d", ar_code_name((enum ar_code)c), status,
                     ar_code_status((enum ar_code)c));
        }
        ar_buf_done(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_to_clients),
        cmocka_unit_test(every_code_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
