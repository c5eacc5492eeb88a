/* The outline of a request: what is found, where, and what is refused. */
#include "check.h"

#include "dialect/dialect.h"

static struct ar_arena a;

static enum ar_code outline(const char *body, struct ar_outline *o, struct ar_err *err)
{
    memset(err, 0, sizeof *err);
    return ar_dialect_chat.outline(ar_str_of(body), &a, o, err);
}

static struct ar_str at(const char *body, struct ar_span s)
{
    return ar_str_n(body + s.at, s.n);
}

static void finds_all(void **state)
{
    const char *body =
        "{ \"model\" : \"gpt-4.1\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
        "\"max_tokens\":5,\"max_completion_tokens\":6,\"user\":\"u\",\"safety_identifier\":\"s\","
        "\"prompt_cache_key\":\"k\",\"tools\":[ {} ],\"x\":{\"model\":\"no\"}}";
    struct ar_outline o;
    struct ar_err err;
    (void)state;
    CHECK_OK(outline(body, &o, &err));
    CHECK_STR(o.model, "gpt-4.1");
    CHECK_STR(at(body, o.model_at), "\"gpt-4.1\"");
    CHECK_STR(at(body, o.stream_at), "true");
    CHECK_STR(at(body, o.stream_options_at), "{\"include_usage\":true}");
    assert_true(o.stream && o.include_usage && o.has_tools);
    assert_int_equal(o.max_out_tokens, 6); /* P-120 */
    CHECK_STR(o.user_id, "s");
    CHECK_STR(o.cache_key, "k");
    assert_int_equal(o.brace_at, 1);
    assert_int_equal(o.body_bytes, strlen(body));
    assert_false(o.is_empty || o.has_thread);
}

static void defaults_are_unset(void **state)
{
    struct ar_outline o;
    struct ar_err err;
    (void)state;
    CHECK_OK(outline("{\"tools\":[ ],\"model\":\"m\\u0041\",\"stream\":null}", &o, &err));
    CHECK_STR(o.model, "mA");
    assert_int_equal(o.max_out_tokens, -1);
    assert_false(o.stream || o.include_usage || o.has_tools);
    assert_null(o.user_id.p);
    assert_null(o.wishes.p);
}

/* Each member that is cut out takes one comma, and no two take the same. */
static void wishes_are_cut_out(void **state)
{
    static const struct {
        const char *body, *left;
    } ROWS[] = {
        {"{\"provider\":{\"only\":[\"a\"]},\"models\":[\"b\"],\"model\":\"m\"}",
         "{\"model\":\"m\"}"},
        {"{\"model\":\"m\" , \"provider\":{}, \"models\":[] }", "{\"model\":\"m\"  }"},
        {"{\"provider\":{},\"model\":\"m\",\"models\":[]}", "{\"model\":\"m\"}"},
        {"{\"model\":\"m\",\"models\":[],\"x\":1,\"provider\":{}}", "{\"model\":\"m\",\"x\":1}"},
        {"{\"models\":[],\"x\":1,\"provider\":{},\"model\":\"m\"}", "{\"x\":1,\"model\":\"m\"}"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct ar_outline o;
        struct ar_err err;
        CHECK_OK(outline(ROWS[i].body, &o, &err));
        struct ar_span first = o.provider_at, second = o.models_at;
        if (first.at > second.at) {
            first = o.models_at;
            second = o.provider_at;
        }
        char left[256];
        size_t end = second.at + second.n;
        int n = snprintf(left, sizeof left, "%.*s%.*s%s", (int)first.at, ROWS[i].body,
                         (int)(second.at - first.at - first.n), ROWS[i].body + first.at + first.n,
                         ROWS[i].body + end);
        CHECK_STR(ar_str_n(left, (size_t)n), ROWS[i].left);
    }
}

/* PROTOCOLS 0.4: a key that is read and comes twice is a way round checks; others are not our
 * business. */
static void refuses(void **state)
{
    static const struct {
        const char *body, *at;
    } ROWS[] = {
        {"{\"model\":\"a\",\"model\":\"b\"}", "model"},
        {"{\"model\":\"a\",\"mod\\u0065l\":\"b\"}", NULL},
        {"{\"model\":\"a\",\"stream\":false,\"stream\":true}", "stream"},
        {"{\"messages\":[],\"model\":\"a\",\"messages\":[]}", "messages"},
        {"{\"model\":7}", "model"},
        {"{\"model\":\"\"}", "model"},
        {"{\"messages\":[]}", "model"},
        {"{}", "model"},
        {"{\"model\":\"m\",\"stream\":\"yes\"}", "stream"},
        {"{\"model\":\"m\",\"stream_options\":3}", "stream_options"},
    };
    struct ar_outline o;
    struct ar_err err;
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        assert_int_equal(outline(ROWS[i].body, &o, &err), AR_INVALID_REQUEST);
        if (ROWS[i].at) {
            CHECK_STR(ar_str_of(err.at), ROWS[i].at);
        }
    }
    assert_int_equal(outline("[]", &o, &err), AR_INVALID_REQUEST);
    assert_int_equal(outline("{\"model\":\"m\"", &o, &err), AR_INVALID_REQUEST); /* P-010 */
    CHECK_OK(outline("{\"model\":\"m\",\"odd\":1,\"odd\":2}", &o, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_all),
        cmocka_unit_test(defaults_are_unset),
        cmocka_unit_test(wishes_are_cut_out),
        cmocka_unit_test(refuses),
    };
    ar_arena_init(&a, 1 << 24);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_arena_done(&a);
    return failed;
}
