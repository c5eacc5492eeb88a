/* Bodies as the clouds want them: what leaves, what enters, what stays byte for byte; and proofs of
 * AWS that are signed over what is sent. */
#include "provider/auth.h"

#include "check.h"

static struct ar_call_spec spec_of(enum ar_auth auth, unsigned flags)
{
    return (struct ar_call_spec){
        .dialect = &ar_dialect_anthropic, .op = AR_OP_GENERATE, .auth = auth, .flags = flags};
}

static void check(const struct ar_body_form *form, const char *body, const char *betas,
                  const char *want)
{
    struct ar_arena a;
    struct ar_buf out;
    struct ar_err err = {0};
    ar_arena_init(&a, 1U << 20);
    ar_buf_init(&out, 1U << 16);
    struct ar_adapt how = {
        .form = form, .body = ar_str_of(body), .betas = ar_str_of(betas), .model = AR_LIT("m2")};
    CHECK_OK(ar_body_adapt(&how, &a, &out, &err));
    CHECK_STR(ar_buf_view(&out), want);
    ar_buf_done(&out);
    ar_arena_done(&a);
}

static void test_bedrock(void **state)
{
    (void)state;
    struct ar_call_spec s = spec_of(AR_AUTH_AWS, AR_PLACE_INVOKE);
    const struct ar_body_form *form = ar_body_form_of(&s);
    assert_non_null(form);
#define VERSION "\"anthropic_version\":\"bedrock-2023-05-31\""
    check(form, "{\"model\":\"m\",\"stream\":true}", "", "{" VERSION "}");
    check(form, "{\"max_tokens\":1e2,\"model\":\"m\", \"messages\" : [ {\"a\\u0062\":1.0} ]}", "",
          "{" VERSION ",\"max_tokens\":1e2,\"messages\":[ {\"a\\u0062\":1.0} ]}");
    check(form, "{\"mod\\u0065l\":\"m\",\"provider\":{},\"models\":[],\"x\":\"\\n\"}", "",
          "{" VERSION ",\"x\":\"\\n\"}");
    check(form, "{\"x\":1}", "context-1m-2025-08-07, unknown-2030-01-01,effort-2025-11-24",
          "{" VERSION ",\"x\":1,\"anthropic_beta\":[\"context-1m-2025-08-07\","
          "\"effort-2025-11-24\"]}");
    check(form, "{\"x\":1}", "unknown-2030-01-01", "{" VERSION ",\"x\":1}");
    check(form, "{\"anthropic_beta\":[\"mine\"],\"anthropic_version\":\"y\"}",
          "context-1m-2025-08-07", "{" VERSION ",\"anthropic_beta\":[\"mine\"]}");
#undef VERSION
}

static void test_vertex(void **state)
{
    (void)state;
    struct ar_call_spec s = spec_of(AR_AUTH_GOOGLE, 0);
    const struct ar_body_form *form = ar_body_form_of(&s);
    assert_non_null(form);
    check(form, "{\"model\":\"m\",\"stream\":true}", "effort-2025-11-24",
          "{\"anthropic_version\":\"vertex-2023-10-16\",\"stream\":true}");
    check(form, "{\"model\":\"m\"}", "advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19",
          "{\"anthropic_version\":\"vertex-2023-10-16\","
          "\"anthropic_beta\":[\"tool-search-tool-2025-10-19\"]}");
}

/* Only Messages are changed, and only where the place wants it. */
static void test_who_is_adapted(void **state)
{
    (void)state;
    struct ar_call_spec s = spec_of(AR_AUTH_AWS, 0);
    assert_null(ar_body_form_of(&s));
    s = spec_of(AR_AUTH_X_API_KEY, 0);
    assert_null(ar_body_form_of(&s));
    s = spec_of(AR_AUTH_GOOGLE, 0);
    s.dialect = &ar_dialect_chat;
    assert_null(ar_body_form_of(&s));
    s = spec_of(AR_AUTH_AWS, AR_PLACE_INVOKE);
    s.op = AR_OP_PASS;
    assert_null(ar_body_form_of(&s));
}

static void test_a_count_keeps_the_model(void **state)
{
    (void)state;
    struct ar_call_spec s = spec_of(AR_AUTH_GOOGLE, 0);
    struct ar_arena a;
    struct ar_buf out;
    struct ar_err err = {0};
    ar_arena_init(&a, 1U << 16);
    ar_buf_init(&out, 1U << 16);
    struct ar_adapt how = {.form = ar_body_form_of(&s),
                           .body = AR_LIT("{\"model\":\"m\"}"),
                           .model = AR_LIT("m\"2"),
                           .keeps_model = true};
    CHECK_OK(ar_body_adapt(&how, &a, &out, &err));
    CHECK_STR(ar_buf_view(&out),
              "{\"anthropic_version\":\"vertex-2023-10-16\",\"model\":\"m\\\"2\"}");
    how.body = AR_LIT("{\"model\":");
    assert_int_equal(ar_body_adapt(&how, &a, &out, &err), AR_INVALID_REQUEST);
    ar_buf_done(&out);
    ar_arena_done(&a);
}

struct proof {
    const char *secret, *host;
    uint16_t port;
    bool tls;
    const char *host_header; /* NULL: not signed */
    const char *authorization;
};

static void test_proofs_of_aws(void **state)
{
    (void)state;
    static const struct proof CASES[] = {
        {"api-key", "bedrock-runtime.eu-west-1.amazonaws.com", 443, true, NULL, "Bearer api-key"},
        {"ID:SECRET", "bedrock-runtime.eu-west-1.amazonaws.com", 443, true,
         "bedrock-runtime.eu-west-1.amazonaws.com",
         "AWS4-HMAC-SHA256 Credential=ID/20150830/eu-west-1/bedrock/aws4_request, "
         "SignedHeaders=host;x-amz-date, Signature="},
        {"ID:SECRET", "bedrock-runtime.ap-south-1.amazonaws.com", 443, true,
         "bedrock-runtime.ap-south-1.amazonaws.com",
         "AWS4-HMAC-SHA256 Credential=ID/20150830/ap-south-1/bedrock/aws4_request, "
         "SignedHeaders=host;x-amz-date, Signature="},
        {"ID:SECRET", "vpce-1.bedrock-runtime.ap-south-1.vpce.amazonaws.com", 443, true,
         "vpce-1.bedrock-runtime.ap-south-1.vpce.amazonaws.com",
         "AWS4-HMAC-SHA256 Credential=ID/20150830/eu-west-1/bedrock/aws4_request, "
         "SignedHeaders=host;x-amz-date, Signature="},
        {"ID:SECRET:A:B", "bedrock-mantle.eu-west-1.api.aws", 8443, true,
         "bedrock-mantle.eu-west-1.api.aws:8443",
         "AWS4-HMAC-SHA256 Credential=ID/20150830/eu-west-1/bedrock-mantle/aws4_request, "
         "SignedHeaders=host;x-amz-date;x-amz-security-token, Signature="},
        {"ID:SECRET", "::1", 80, false, "[::1]",
         "AWS4-HMAC-SHA256 Credential=ID/20150830/eu-west-1/bedrock/aws4_request, "
         "SignedHeaders=host;x-amz-date, Signature="},
        {":SECRET", "h", 443, true, NULL, "Bearer :SECRET"},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const struct proof *c = &CASES[i];
        struct ar_arena a;
        struct ar_err err = {0};
        ar_arena_init(&a, 1U << 16);
        struct ar_str body = AR_LIT("{}");
        struct ar_call_spec s = spec_of(AR_AUTH_AWS, AR_PLACE_INVOKE);
        s.secret = ar_str_of(c->secret);
        s.region = AR_LIT("eu-west-1");
        s.method = AR_LIT("POST");
        s.path = AR_LIT("/model/x/invoke");
        s.origin = (struct ar_origin){.tls = c->tls, .port = c->port, .host = ar_str_of(c->host)};
        struct ar_auth_job j = {
            .spec = &s, .parts = &body, .part_count = 1, .now_unix = 1440938160, .arena = &a};
        CHECK_OK(ar_auth_aws.sign(&j, &err));
        struct ar_str last = j.add[j.add_count - 1].value;
        assert_true(ar_str_has_prefix(last, ar_str_of(c->authorization)));
        if (c->host_header) {
            CHECK_STR(j.add[0].name, "host");
            CHECK_STR(j.add[0].value, c->host_header);
            CHECK_STR(j.masks[0], "SECRET");
        } else {
            assert_int_equal(j.add_count, 1);
        }
        ar_arena_done(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bedrock),        cmocka_unit_test(test_vertex),
        cmocka_unit_test(test_who_is_adapted), cmocka_unit_test(test_a_count_keeps_the_model),
        cmocka_unit_test(test_proofs_of_aws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
