/* The outline of a Responses body: what it finds, where, and what it refuses. */
#include "dialect/responses/responses.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct seen {
    struct ar_arena a;
    struct ar_outline o;
    struct ar_err err;
    enum ar_code code;
};

static void look(struct seen *s, const char *body)
{
    memset(s, 0, sizeof *s);
    ar_arena_init(&s->a, 1 << 20);
    s->code = ar_responses_outline(ar_str_of(body), &s->a, &s->o, &s->err);
}

#define EXPECT(str, lit) assert_true(ar_str_is_lit(str, lit))

static void finds_the_members(void **state)
{
    (void)state;
    const char *body = " {\"model\" : \"gpt\\u002d5\",\"stream\":true,\"tools\":[ {} ],"
                       "\"max_output_tokens\":1e3,\"user\":\"u\",\"safety_identifier\":\"s\","
                       "\"prompt_cache_key\":\"k\",\"input\":[]}";
    struct seen s;
    look(&s, body);
    assert_int_equal(s.code, AR_OK);
    EXPECT(s.o.model, "gpt-5");
    EXPECT(ar_str_n(body + s.o.model_at.at, s.o.model_at.n), "\"gpt\\u002d5\"");
    EXPECT(ar_str_n(body + s.o.stream_at.at, s.o.stream_at.n), "true");
    assert_true(s.o.stream && s.o.has_tools && !s.o.has_envelope && !s.o.is_empty);
    assert_int_equal(s.o.max_out_tokens, 1000);
    EXPECT(s.o.user_id, "s");
    EXPECT(s.o.cache_key, "k");
    assert_int_equal(s.o.brace_at, 2);
    assert_int_equal(s.o.store, AR_UNSET);
    assert_null(s.o.previous_id.p);
    ar_arena_done(&s.a);
}

static void finds_the_state(void **state)
{
    (void)state;
    struct seen s;
    look(&s, "{\"model\":\"m\",\"previous_response_id\":\"resp_1\",\"conversation\":{\"id\":\"c\"},"
             "\"background\":true,\"store\":false}");
    assert_int_equal(s.code, AR_OK);
    EXPECT(s.o.previous_id, "resp_1");
    EXPECT(s.o.conversation, "c");
    assert_true(s.o.background);
    assert_int_equal(s.o.store, AR_SET);
    assert_false(s.o.store_on);
    ar_arena_done(&s.a);
    look(&s, "{\"model\":\"m\",\"previous_response_id\":null,\"conversation\":\"c\","
             "\"background\":null,\"store\":null}");
    assert_int_equal(s.code, AR_OK);
    assert_null(s.o.previous_id.p);
    EXPECT(s.o.conversation, "c");
    assert_false(s.o.background);
    assert_int_equal(s.o.store, AR_NULL);
    ar_arena_done(&s.a);
}

static void an_envelope_is_seen(void **state)
{
    (void)state;
    struct seen s;
    look(&s, "{\"model\":\"m\",\"input\":[{\"type\":\"reasoning\",\"summary\":[],"
             "\"encrypted_content\":\"ar1.anthropic.signature...c2ln\"}]}");
    assert_int_equal(s.code, AR_OK);
    assert_true(s.o.has_envelope);
    ar_arena_done(&s.a);
}

/* PROTOCOLS 0.3: the wishes go with one comma each, and what is left is JSON. */
static void the_wishes_can_be_cut_out(void **state)
{
    (void)state;
    static const char *const BODIES[][2] = {
        {"{\"provider\":{},\"models\":[],\"model\":\"m\"}", "{\"model\":\"m\"}"},
        {"{\"model\":\"m\",\"provider\":{},\"models\":[]}", "{\"model\":\"m\"}"},
        {"{\"models\":[],\"model\":\"m\",\"provider\":{}}", "{\"model\":\"m\"}"},
    };
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        struct seen s;
        struct ar_edit edits[AR_EDITS_MAX];
        struct ar_str pieces[2 * AR_EDITS_MAX + 1], body = ar_str_of(BODIES[i][0]);
        struct ar_edit_wish wish = {.model = AR_LIT("m")};
        struct ar_buf left;
        look(&s, BODIES[i][0]);
        assert_int_equal(s.code, AR_OK);
        unsigned n = ar_native_edits(body, &s.o, &wish, &s.a, edits);
        n = ar_edits_apply(body, edits, n, pieces);
        ar_buf_init(&left, 4096);
        for (unsigned k = 0; k < n; k++) {
            ar_buf_str(&left, pieces[k]);
        }
        assert_true(ar_str_is(ar_str_trim(ar_buf_view(&left)), ar_str_of(BODIES[i][1])));
        ar_buf_done(&left);
        ar_arena_done(&s.a);
    }
}

static void refuses_what_would_mislead(void **state)
{
    (void)state;
    static const char *const BODIES[][2] = {
        {"[]", ""},
        {"{}", "model"},
        {"{\"model\":\"\"}", "model"},
        {"{\"model\":7}", "model"},
        {"{\"model\":\"m\",\"stream\":1}", "stream"},
        {"{\"model\":\"m\",\"store\":\"yes\"}", "store"},
        {"{\"model\":\"m\",\"background\":\"yes\"}", "background"},
        {"{\"model\":\"m\",\"previous_response_id\":5}", "previous_response_id"},
        {"{\"model\":\"m\",\"mod\\u0065l\":\"n\"}", "model"},
        {"{\"model\":\"m\",\"input\":\"a\",\"input\":\"b\"}", "input"},
    };
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        struct seen s;
        look(&s, BODIES[i][0]);
        assert_int_equal(s.code, AR_INVALID_REQUEST);
        assert_string_equal(s.err.at, BODIES[i][1]);
        ar_arena_done(&s.a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_members),          cmocka_unit_test(finds_the_state),
        cmocka_unit_test(an_envelope_is_seen),        cmocka_unit_test(the_wishes_can_be_cut_out),
        cmocka_unit_test(refuses_what_would_mislead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
