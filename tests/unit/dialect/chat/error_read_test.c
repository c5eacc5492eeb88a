/* Upstream errors in the shapes that places use: whose fault they are. */
#include "check.h"

#include "dialect/dialect.h"

static struct ar_arena a;

static struct ar_fault decode(int status, const char *body)
{
    struct ar_fault f;
    ar_dialect_chat.decode_error(status, ar_str_of(body), &a, &f);
    return f;
}

/* P-189, P-190, P-192, and ARCHITECTURE 2: what failed decides where to go next. */
static void blames(void **state)
{
    static const struct {
        int status;
        const char *body;
        enum ar_code code;
        enum ar_blame blame;
        const char *message; /* NULL: none */
    } ROWS[] = {
        {401, "{\"error\":{\"message\":\"m\",\"code\":\"invalid_api_key\"}}",
         AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "m"},
        {403, "{\"error\":\"Forbidden\"}", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "Forbidden"},
        {402, "", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, NULL},
        {429, "{\"error\":{\"message\":\"slow\"}}", AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY, "slow"},
        {429, "{\"error\":{\"message\":\"m\",\"type\":\"insufficient_quota\"}}",
         AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "m"},
        {404, "{\"error\":{\"code\":\"404\",\"message\":\"Resource not found\"}}",
         AR_MODEL_NOT_FOUND, AR_OF_MODEL, "Resource not found"},
        {400, "{\"error\":{\"message\":\"m\",\"code\":\"model_not_found\"}}", AR_MODEL_NOT_FOUND,
         AR_OF_MODEL, "m"},
        {400, "{\"error\":{\"message\":\"prompt is too long: 3 tokens > 2 maximum\"}}",
         AR_CONTEXT_LENGTH, AR_OF_CALLER, "prompt is too long: 3 tokens > 2 maximum"},
        {400, "{\"error\":{\"message\":\"m\",\"type\":\"exceed_context_size_error\"}}",
         AR_CONTEXT_LENGTH, AR_OF_CALLER, "m"},
        {400, "{\"error\":{\"message\":\"Your credit balance is too low\"}}",
         AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, "Your credit balance is too low"},
        {400, "{\"message\":\"bad\",\"type\":\"x\"}", AR_UPSTREAM_REFUSED, AR_OF_CALLER, "bad"},
        {422, "{\"detail\":[{\"msg\":\"too many\"}]}", AR_UPSTREAM_REFUSED, AR_OF_CALLER,
         "too many"},
        {400, "[{\"error\":{\"message\":\"listed\"}}]", AR_UPSTREAM_REFUSED, AR_OF_CALLER,
         "listed"},
        {413, "", AR_TOO_LARGE, AR_OF_CALLER, NULL},
        {408, "late", AR_UPSTREAM_TIMEOUT, AR_OF_PLACE, "late"},
        {500, "{\"error\":{\"message\":\"m\"}}", AR_UPSTREAM_ERROR, AR_OF_PLACE, "m"},
        {502, "<html>Bad Gateway</html>", AR_UPSTREAM_ERROR, AR_OF_PLACE, NULL},
        {503, "\"down\"", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE, "down"},
        {504, "", AR_UPSTREAM_TIMEOUT, AR_OF_PLACE, NULL},
        {529, "{}", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE, NULL},
        {200, "{\"error\":{\"message\":\"m\",\"code\":429}}", AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY,
         "m"},
        {200, "{\"error\":{\"message\":\"m\"}}", AR_UPSTREAM_ERROR, AR_OF_PLACE, "m"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct ar_fault f = decode(ROWS[i].status, ROWS[i].body);
        if (f.code != ROWS[i].code || f.blame != ROWS[i].blame) {
            fail_msg("%d %s: %s, blame %d", ROWS[i].status, ROWS[i].body, ar_code_name(f.code),
                     (int)f.blame);
        }
        assert_int_equal(f.upstream_status, ROWS[i].status);
        CHECK_STR(f.message, ROWS[i].message ? ROWS[i].message : "");
    }
}

static void keeps_what_the_vendor_said(void **state)
{
    (void)state;
    struct ar_fault f =
        decode(400, "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":\"p\",\"code\":12}}");
    CHECK_STR(f.vendor_type, "t");
    CHECK_STR(f.param, "p");
    CHECK_STR(f.vendor_code, "12");
    assert_int_equal(f.retry_after_ms, -1);
    f = decode(
        429,
        "[{\"error\":{\"code\":429,\"status\":\"RESOURCE_EXHAUSTED\",\"message\":\"m\",\"details\":"
        "[{\"retryDelay\": \"12.5s\"}]}}]");
    CHECK_STR(f.vendor_type, "RESOURCE_EXHAUSTED");
    assert_int_equal(f.retry_after_ms, 12500);
}

static void masks_keys_and_cuts(void **state)
{
    char body[5000];
    (void)state;
    struct ar_fault f = decode(
        500,
        "{\"error\":{\"message\":\"key sk-proj-abcdefgh123 and ?key=AIzaSyABCDEFGH, risk-free\"}}");
    CHECK_STR(f.message, "key *** and ?***, risk-free");
    memset(body, 'x', sizeof body - 1);
    body[sizeof body - 1] = 0;
    memcpy(body, "{\"message\":\"", 12);
    memcpy(body + sizeof body - 3, "\"}", 3);
    f = decode(500, body);
    assert_int_equal(f.message.n, 2048);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blames),
        cmocka_unit_test(keeps_what_the_vendor_said),
        cmocka_unit_test(masks_keys_and_cuts),
    };
    ar_arena_init(&a, 1 << 24);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_arena_done(&a);
    return failed;
}
