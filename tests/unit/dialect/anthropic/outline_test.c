/* The outline of a Messages body: what it finds, where, and what it refuses. */
#include "dialect/anthropic/anthropic.h"

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
    memset(s, 0, sizeof(*s));
    ar_arena_init(&s->a, 1 << 20);
    s->code = ar_anthropic_outline(ar_str_of(body), &s->a, &s->o, &s->err);
}

static struct ar_str at(const char *body, struct ar_span span)
{
    return ar_str_n(body + span.at, span.n);
}

#define EXPECT(str, lit) assert_true(ar_str_is_lit(str, lit))

static void finds_the_members(void **state)
{
    (void)state;
    const char *body =
        " {\"model\" : \"cl\\u0061ude\",\"max_tokens\":1e3, \"stream\":true,\"tools\":[ {} ],"
        "\"metadata\":{\"user_id\":\"u\\n1\"},\"messages\":[]}";
    struct seen s;
    look(&s, body);
    assert_int_equal(s.code, AR_OK);
    EXPECT(s.o.model, "claude");
    EXPECT(at(body, s.o.model_at), "\"cl\\u0061ude\"");
    EXPECT(at(body, s.o.stream_at), "true");
    assert_true(s.o.stream && s.o.has_tools && !s.o.has_thread && !s.o.has_envelope &&
                !s.o.is_empty);
    assert_int_equal(s.o.max_out_tokens, 1000);
    EXPECT(s.o.user_id, "u\n1");
    assert_int_equal(s.o.brace_at, 2);
    assert_int_equal(s.o.body_bytes, strlen(body));
    ar_arena_done(&s.a);
}

/* PROTOCOLS 0.3: the wishes go with one comma each, and what is left is JSON. */
static void cut_wishes(const char *body, const char *want)
{
    struct seen s;
    struct ar_buf left;
    size_t from = 0;
    look(&s, body);
    assert_int_equal(s.code, AR_OK);
    struct ar_span cut[2] = {s.o.provider_at, s.o.models_at};
    if (cut[0].at > cut[1].at) {
        cut[0] = s.o.models_at;
        cut[1] = s.o.provider_at;
    }
    ar_buf_init(&left, 4096);
    for (unsigned i = 0; i < 2; i++) {
        if (cut[i].n > 0) {
            assert_true(cut[i].at >= from);
            ar_buf_put(&left, body + from, cut[i].at - from);
            from = cut[i].at + cut[i].n;
        }
    }
    ar_buf_put(&left, body + from, strlen(body) - from);
    ar_buf_char(&left, '\0');
    assert_string_equal(left.p, want);
    ar_buf_done(&left);
    ar_arena_done(&s.a);
}

static void wishes_go_with_their_commas(void **state)
{
    (void)state;
    cut_wishes("{\"model\":\"a\",\"provider\":{},\"models\":[]}", "{\"model\":\"a\"}");
    cut_wishes("{\"provider\":{} , \"models\":[\"x,y\"],\"model\":\"a\"}", "{ \"model\":\"a\"}");
    cut_wishes("{\"models\":[],\"model\":\"a\" , \"provider\":{}}", "{\"model\":\"a\" }");
    cut_wishes("{\"model\":\"a\",\"models\":[],\"b\":2}", "{\"model\":\"a\",\"b\":2}");
}

static void duplicates_are_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"a\",\"model\":\"b\"}", "{\"model\":\"a\",\"mod\\u0065l\":\"b\"}",
        "{\"model\":\"a\",\"stream\":true,\"stream\":false}", "{\"messages\":[],\"messages\":[]}"};
    static const char *const keys[] = {"model", "model", "stream", "messages"};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct seen s;
        look(&s, bodies[i]);
        assert_int_equal(s.code, AR_INVALID_REQUEST);
        assert_string_equal(s.err.at, keys[i]);
        ar_arena_done(&s.a);
    }
    struct seen s;
    look(&s, "{\"model\":\"a\",\"x\":1,\"x\":2}"); /* what is not read is the upstream's to judge */
    assert_int_equal(s.code, AR_OK);
    ar_arena_done(&s.a);
}

/* P-010: what is no JSON object, and values of the wrong type. */
static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"",
                                         "[]",
                                         "{\"model\":1}",
                                         "{\"model\":\"a\",\"stream\":1}",
                                         "{\"model\":\"a\"",
                                         "{\"model\":\"a\"} x",
                                         "\"s\""};
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        struct seen s;
        look(&s, bodies[i]);
        assert_int_equal(s.code, AR_INVALID_REQUEST);
        ar_arena_done(&s.a);
    }
}

static void notes_what_the_flow_asks_for(void **state)
{
    (void)state;
    struct seen s;
    look(&s, "{\"model\":\"a\",\"thread\":{\"type\":\"create\"},\"tools\":[],\"max_tokens\":\"x\","
             "\"stream\":null}");
    assert_int_equal(s.code, AR_OK);
    assert_true(s.o.has_thread && !s.o.has_tools && !s.o.stream);
    assert_int_equal(s.o.max_out_tokens, -1);
    ar_arena_done(&s.a);
    look(&s, "{\"model\":\"a\",\"thread\":null,\"messages\":[{\"signature\":\"ar1.other.signature.."
             ".\"}]}");
    assert_true(s.code == AR_OK && !s.o.has_thread && s.o.has_envelope);
    ar_arena_done(&s.a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_members),
        cmocka_unit_test(wishes_go_with_their_commas),
        cmocka_unit_test(duplicates_are_refused),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(notes_what_the_flow_asks_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
