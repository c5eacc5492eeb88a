/* Errors as clients of this dialect get them, code by code. */
#include "dialect/gemini/gemini.h"
#include "check.h"

static struct ar_str encode(const struct ar_fault *f, struct ar_buf *out, int *status)
{
    ar_buf_clear(out);
    *status = ar_gemini_encode_error(f, AR_LIT("req-1"), out);
    return ar_buf_view(out);
}

/* INTERFACE 4 and PROTOCOLS 9.1. P-009 P-010 P-190 */
static void each_code_has_its_status_and_word(void **state)
{
    (void)state;
    static const struct {
        enum ar_code code;
        int status;
        const char *word;
    } rows[] = {
        {AR_INVALID_REQUEST, 400, "INVALID_ARGUMENT"},
        {AR_LOSSY, 400, "INVALID_ARGUMENT"},
        {AR_CONTEXT_LENGTH, 400, "INVALID_ARGUMENT"},
        {AR_KEY_MISSING, 401, "UNAUTHENTICATED"},
        {AR_KEY_INVALID, 401, "UNAUTHENTICATED"},
        {AR_KEY_EXPIRED, 401, "UNAUTHENTICATED"},
        {AR_QUOTA_EXHAUSTED, 403, "PERMISSION_DENIED"},
        {AR_CREDITS_EXHAUSTED, 403, "PERMISSION_DENIED"},
        {AR_MODEL_NOT_ALLOWED, 403, "PERMISSION_DENIED"},
        {AR_MODEL_NOT_FOUND, 404, "NOT_FOUND"},
        {AR_ENDPOINT_NOT_FOUND, 404, "NOT_FOUND"},
        {AR_METHOD_NOT_ALLOWED, 405, "UNIMPLEMENTED"},
        {AR_CONFLICT, 409, "ABORTED"},
        {AR_TOO_LARGE, 413, "INVALID_ARGUMENT"},
        {AR_RATE_LIMITED, 429, "RESOURCE_EXHAUSTED"},
        {AR_UPSTREAM_RATE_LIMITED, 429, "RESOURCE_EXHAUSTED"},
        {AR_CLIENT_CLOSED, 499, "CANCELLED"},
        {AR_INTERNAL, 500, "INTERNAL"},
        {AR_UPSTREAM_ERROR, 502, "INTERNAL"},
        {AR_UPSTREAM_CREDENTIALS, 502, "INTERNAL"},
        {AR_UPSTREAM_OVERLOADED, 503, "UNAVAILABLE"},
        {AR_NO_UPSTREAM, 503, "UNAVAILABLE"},
        {AR_UPSTREAM_TIMEOUT, 504, "DEADLINE_EXCEEDED"},
    };
    struct ar_buf out;
    struct ar_arena a;
    ar_buf_init(&out, 1 << 16);
    ar_arena_init(&a, 1 << 20);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ar_fault f = {.code = rows[i].code, .retry_after_ms = -1, .message = AR_LIT("m")};
        struct ar_jdoc doc;
        int64_t code = 0;
        int status = 0;
        CHECK_OK(ar_json_parse(encode(&f, &out, &status), AR_JSON_DEPTH, &a, &doc, NULL));
        struct ar_jval e = ar_json_get_lit(ar_json_root(&doc), "error");
        assert_int_equal(status, rows[i].status);
        CHECK_OK(ar_json_i64(ar_json_get_lit(e, "code"), &code, NULL));
        assert_int_equal(code, rows[i].status);
        CHECK_STR(ar_json_esc(ar_json_get_lit(e, "status")), rows[i].word);
        CHECK_STR(ar_json_esc(ar_json_get_lit(e, "message")), "m");
    }
    ar_arena_done(&a);
    ar_buf_done(&out);
}

/* P-191: a wait is RetryInfo, in whole seconds, rounded up. */
static void a_wait_is_told(void **state)
{
    (void)state;
    struct ar_buf out;
    int status = 0;
    ar_buf_init(&out, 1 << 16);
    struct ar_fault f = {
        .code = AR_RATE_LIMITED, .retry_after_ms = 11001, .message = AR_LIT("slow")};
    CHECK_STR(encode(&f, &out, &status),
              "{\"error\":{\"code\":429,\"message\":\"slow\",\"status\":\"RESOURCE_EXHAUSTED\","
              "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\","
              "\"retryDelay\":\"12s\"}]}}");
    ar_buf_done(&out);
}

static void a_bad_key_has_googles_reason(void **state)
{
    (void)state;
    struct ar_buf out;
    int status = 0;
    ar_buf_init(&out, 1 << 16);
    struct ar_fault f = {.code = AR_KEY_INVALID, .retry_after_ms = -1, .message = AR_LIT("no")};
    CHECK_STR(encode(&f, &out, &status),
              "{\"error\":{\"code\":401,\"message\":\"no\",\"status\":\"UNAUTHENTICATED\","
              "\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\","
              "\"reason\":\"API_KEY_INVALID\",\"domain\":\"googleapis.com\"}]}}");
    ar_buf_done(&out);
}

/* The envelope has no member for the field at fault. */
static void the_message_names_the_field_once(void **state)
{
    (void)state;
    struct ar_buf out;
    int status = 0;
    ar_buf_init(&out, 1 << 16);
    struct ar_fault f = {.code = AR_LOSSY,
                         .retry_after_ms = -1,
                         .param = AR_LIT("cachedContent"),
                         .message = AR_LIT("not \"here\"")};
    assert_true(
        ar_str_has(encode(&f, &out, &status), AR_LIT("\"cachedContent: not \\\"here\\\"\"")));
    f.message = AR_LIT("no cachedContent here");
    assert_true(ar_str_has(encode(&f, &out, &status), AR_LIT("\"no cachedContent here\"")));
    f.message = (struct ar_str){NULL, 0};
    assert_true(encode(&f, &out, &status).n > 80); /* the code's own text */
    ar_buf_done(&out);
}

/* A refusal by the upstream keeps the upstream's status and, when it is Google's, its word. */
static void a_refusal_keeps_its_status(void **state)
{
    (void)state;
    struct ar_buf out;
    int status = 0;
    ar_buf_init(&out, 1 << 16);
    struct ar_fault f = {.code = AR_UPSTREAM_REFUSED,
                         .retry_after_ms = -1,
                         .upstream_status = 400,
                         .vendor_type = AR_LIT("FAILED_PRECONDITION"),
                         .message = AR_LIT("m")};
    assert_true(ar_str_has(encode(&f, &out, &status), AR_LIT("\"FAILED_PRECONDITION\"")));
    assert_int_equal(status, 400);
    f.upstream_status = 422;
    f.vendor_type = AR_LIT("unprocessable");
    assert_true(ar_str_has(encode(&f, &out, &status), AR_LIT("\"code\":422")));
    assert_int_equal(status, 422);
    assert_true(ar_str_has(ar_buf_view(&out), AR_LIT("\"INVALID_ARGUMENT\"")));
    ar_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_code_has_its_status_and_word),
        cmocka_unit_test(a_wait_is_told),
        cmocka_unit_test(a_bad_key_has_googles_reason),
        cmocka_unit_test(the_message_names_the_field_once),
        cmocka_unit_test(a_refusal_keeps_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
