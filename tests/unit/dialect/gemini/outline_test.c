/* What one pass over a body finds, and how members and values may be spelled. */
#include "dialect/gemini/gemini.h"
#include "check.h"

static enum ar_code outline(const char *body, struct ar_arena *a, struct ar_outline *o,
                            struct ar_err *err)
{
    memset(err, 0, sizeof(*err));
    return ar_gemini_outline(ar_str_of(body), a, o, err);
}

static void model_and_stream_are_not_in_the_body(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_outline o;
    struct ar_err err;
    ar_arena_init(&a, 1 << 20);
    CHECK_OK(
        outline("{\"model\":\"x\",\"stream\":true,\"contents\":[{\"parts\":[]}]}", &a, &o, &err));
    assert_null(o.model.p);
    assert_false(o.stream || o.has_tools || o.has_envelope || o.is_empty);
    assert_int_equal(o.max_out_tokens, -1);
    CHECK_OK(outline(" {} ", &a, &o, &err));
    assert_true(o.is_empty);
    assert_int_equal(o.brace_at, 2);
    ar_arena_done(&a);
}

static void both_spellings_are_found(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_outline o;
    struct ar_err err;
    ar_arena_init(&a, 1 << 20);
    CHECK_OK(outline("{\"tools\":[{}],\"generation_config\":{\"max_output_tokens\":\"77\"}}", &a,
                     &o, &err));
    assert_true(o.has_tools);
    assert_int_equal(o.max_out_tokens, 77);
    CHECK_OK(outline("{\"generateContentRequest\":{\"tools\":[{}],\"generationConfig\":"
                     "{\"maxOutputTokens\":5}}}",
                     &a, &o, &err));
    assert_true(o.has_tools);
    assert_int_equal(o.max_out_tokens, 5);
    ar_arena_done(&a);
}

/* PROTOCOLS 0.4: vendors take the last, many parsers the first. */
static void a_member_given_twice_is_refused(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_outline o;
    struct ar_err err;
    ar_arena_init(&a, 1 << 20);
    assert_int_equal(outline("{\"contents\":[],\"contents\":[]}", &a, &o, &err),
                     AR_INVALID_REQUEST);
    CHECK_STR(ar_str_of(err.at), "contents");
    assert_int_equal(
        outline("{\"systemInstruction\":\"a\",\"system_instruction\":\"b\"}", &a, &o, &err),
        AR_INVALID_REQUEST);
    CHECK_STR(ar_str_of(err.at), "systemInstruction");
    assert_int_equal(outline("[]", &a, &o, &err), AR_INVALID_REQUEST);
    assert_int_equal(outline("{", &a, &o, &err), AR_INVALID_REQUEST);
    ar_arena_done(&a);
}

/* An envelope of ours makes even the native path decode. */
static void envelopes_are_seen(void **state)
{
    (void)state;
    static const struct {
        const char *sig;
        bool seen;
    } rows[] = {{"YXIxLmFudGhyb3BpYy5zaWduYXR1cmUuLi5ZekpzYmc=", true},
                {"ar1.anthropic.signature...YzJsbg", true},
                {"CpsBAdHtim8", false},
                {"", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ar_arena a;
        struct ar_outline o;
        struct ar_err err;
        char body[256];
        ar_arena_init(&a, 1 << 20);
        (void)snprintf(body, sizeof body,
                       "{\"contents\":[{\"role\":\"model\",\"parts\":[{\"text\":\"\","
                       "\"thought_signature\":\"%s\"}]}]}",
                       rows[i].sig);
        CHECK_OK(outline(body, &a, &o, &err));
        assert_int_equal(o.has_envelope, rows[i].seen);
        ar_arena_done(&a);
    }
}

static void keys_have_two_spellings(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        bool is;
    } rows[] = {{"responseJsonSchema", true},     {"response_json_schema", true},
                {"response_jsonSchema", false},   {"responsejsonschema", false},
                {"response_json_schema_", false}, {"response_json_schem", false},
                {"_response_json_schema", false}, {"", false}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(ar_gemini_key_is(ar_str_of(rows[i].key), AR_LIT("responseJsonSchema")),
                         rows[i].is);
    }
}

static void enums_are_names_or_numbers(void **state)
{
    (void)state;
    static const char *const names[] = {"X_UNSPECIFIED", "LOW", "HIGH", NULL};
    static const struct {
        const char *json;
        int is;
    } rows[] = {{"\"LOW\"", 1}, {"\"high\"", 2}, {"\"P_HIGH\"", 2}, {"2", 2},     {"0", 0},
                {"3", -1},      {"-1", -1},      {"1.5", -1},       {"\"\"", -1}, {"null", -1}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ar_arena a;
        struct ar_jdoc doc;
        ar_arena_init(&a, 1 << 16);
        CHECK_OK(ar_json_parse(ar_str_of(rows[i].json), 1, &a, &doc, NULL));
        assert_int_equal(ar_gemini_enum(ar_json_root(&doc), "P_", names), rows[i].is);
        ar_arena_done(&a);
    }
}

/* Own material stays as it is, foreign travels in an envelope that comes back whole. P-097 */
static void signatures_go_round(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_buf out;
    ar_arena_init(&a, 1 << 16);
    ar_buf_init(&out, 1 << 16);
    struct ar_jw w = ar_jw_on(&out);
    struct ar_opaque own = {
        .vendor = AR_VENDOR_GOOGLE, .form = AR_THOUGHT_SIG, .data = AR_LIT("QUJD")};
    ar_gemini_put_sig(&w, &own);
    CHECK_STR(ar_buf_view(&out), "\"QUJD\"");
    ar_buf_clear(&out);
    w = ar_jw_on(&out);
    struct ar_opaque foreign = {.vendor = AR_VENDOR_ANTHROPIC,
                                .form = AR_REDACTED,
                                .family = AR_LIT("claude"),
                                .account = AR_LIT("0a1b2c3d"),
                                .data = AR_LIT("a+b/c==")};
    ar_gemini_put_sig(&w, &foreign);
    struct ar_str text = ar_str_n(out.p + 1, out.n - 2);
    const struct ar_opaque *back = ar_gemini_read_sig(text, AR_LIT(""), &a);
    assert_non_null(back);
    assert_int_equal(back->vendor, AR_VENDOR_ANTHROPIC);
    assert_int_equal(back->form, AR_REDACTED);
    CHECK_STR(back->data, "a+b/c==");
    CHECK_STR(back->account, "0a1b2c3d");
    back = ar_gemini_read_sig(AR_LIT("YXIxL!!"), AR_LIT(""), &a); /* only looks like one */
    assert_int_equal(back->vendor, AR_VENDOR_GOOGLE);
    CHECK_STR(back->data, "YXIxL!!");
    assert_null(ar_gemini_read_sig(AR_LIT(""), AR_LIT(""), &a));
    ar_buf_done(&out);
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_and_stream_are_not_in_the_body),
        cmocka_unit_test(both_spellings_are_found),
        cmocka_unit_test(a_member_given_twice_is_refused),
        cmocka_unit_test(envelopes_are_seen),
        cmocka_unit_test(keys_have_two_spellings),
        cmocka_unit_test(enums_are_names_or_numbers),
        cmocka_unit_test(signatures_go_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
