/*
 * The table of dialects, and the native path's edits: whatever the order and spacing of a body's
 * members, an edit leaves valid JSON in which exactly what was meant has changed (P-015, P-016).
 */
#include "check.h"

#include "dialect/dialect.h"
#include "json/scan.h"

static void test_rows(void **state)
{
    (void)state;
    for (unsigned i = 0; i < AR_DIALECT_COUNT; i++) {
        const struct ar_dialect *d = ar_dialect_by_id(i);
        assert_non_null(d);
        assert_int_equal(d->id, i);
        assert_ptr_equal(ar_dialect_by_name(ar_str_of(d->name)), d);
        assert_true(d->doc && strlen(d->doc) > 10 && d->path_generate &&
                    d->path_generate[0] == '/');
        bool is_target = d != &ar_dialect_completions; /* nothing is translated into it */
        assert_true(d->outline && d->decode_request && d->encode_response && d->encode_error);
        assert_true(d->writer_new && d->write && d->write_ping && d->writer_done);
        assert_true(d->decode_error && d->observe && d->reader_new);
        assert_int_equal(d->encode_request && d->takes_url && d->decode_response &&
                             d->decode_count && d->encode_count,
                         is_target);
        assert_true(d->read_frame && d->read_eof && d->read_next && d->read_lingers &&
                    d->reader_done);
        for (unsigned k = 0; k < i; k++) {
            assert_string_not_equal(d->name, ar_dialect_by_id(k)->name);
        }
    }
    assert_null(ar_dialect_by_id(AR_DIALECT_COUNT));
}

static void test_spellings(void **state)
{
    (void)state;
    static const char *const CHAT[] = {"chat", "openai", "chat_completions"}, *const ANTHROPIC[] = {
                                                                                  "anthropic",
                                                                                  "messages"};
    for (unsigned i = 0; i < 3; i++) {
        assert_ptr_equal(ar_dialect_by_name(ar_str_of(CHAT[i])), &ar_dialect_chat);
    }
    for (unsigned i = 0; i < 2; i++) {
        assert_ptr_equal(ar_dialect_by_name(ar_str_of(ANTHROPIC[i])), &ar_dialect_anthropic);
    }
    assert_null(ar_dialect_by_name(AR_LIT("Chat")));
    assert_null(ar_dialect_by_name(AR_LIT("")));
}

static struct ar_str edited(struct ar_str body, const struct ar_edit_wish *w, struct ar_arena *a)
{
    struct ar_outline o = {.max_out_tokens = -1};
    struct ar_err err = {.code = AR_OK};
    struct ar_edit e[AR_EDITS_MAX];
    struct ar_str pieces[2 * AR_EDITS_MAX + 1], text = {"", 0};
    enum ar_code code = ar_dialect_chat.outline(body, a, &o, &err);
    if (code != AR_OK) {
        fail_msg("%.*s: %s", AR_FMT(body), err.note);
    }
    unsigned n = ar_native_edits(body, &o, w, a, e);
    for (unsigned i = 1; i < n; i++) {
        assert_true(e[i - 1].at + e[i - 1].del <= e[i].at); /* sorted, disjoint */
    }
    n = ar_edits_apply(body, e, n, pieces);
    for (unsigned i = 0; i < n; i++) {
        text = ar_arena_fmt(a, "%.*s%.*s", AR_FMT(text), AR_FMT(pieces[i]));
    }
    return text;
}

static void test_exact_edits(void **state)
{
    (void)state;
    static const struct {
        const char *body, *want;
        struct ar_edit_wish w;
    } ROWS[] = {
        /* nothing to do: the same bytes */
        {"{ \"model\" : \"m\", \"x\":0.10 }",
         "{ \"model\" : \"m\", \"x\":0.10 }",
         {AR_LIT_INIT("m"), false, false, false}},
        {"{\"model\":\"m\",\"provider\":1,\"models\":[]}",
         "{\"model\":\"m\",\"provider\":1,\"models\":[]}",
         {AR_LIT_INIT("m"), true, false, false}},
        /* only the model's span */
        {"{ \"model\" : \"m\" , \"x\":\"\\u003c\"}",
         "{ \"model\" : \"a\\\"b\" , \"x\":\"\\u003c\"}",
         {AR_LIT_INIT("a\"b"), false, false, false}},
        {"{\"model\":\"m\",\"provider\":{\"a\":[1]}}",
         "{\"model\":\"m\"}",
         {AR_LIT_INIT("m"), false, false, false}},
        {"{\"provider\":{},\"model\":\"m\"}",
         "{\"model\":\"m\"}",
         {AR_LIT_INIT("m"), false, false, false}},
        {"{\"provider\":{},\"models\":[],\"model\":\"m\"}",
         "{\"model\":\"m\"}",
         {AR_LIT_INIT("m"), false, false, false}},
        {"{\"model\":\"m\",\"models\":[],\"provider\":{}}",
         "{\"model\":\"m\"}",
         {AR_LIT_INIT("m"), false, false, false}},
        {"{\"models\":[],\"model\":\"m\",\"provider\":{}}",
         "{\"model\":\"m\"}",
         {AR_LIT_INIT("m"), false, false, false}},
        /* usage is asked for where the stream does not ask itself */
        {"{\"model\":\"m\",\"stream\":true}",
         "{\"stream_options\":{\"include_usage\":true},\"model\":\"m\",\"stream\":true}",
         {AR_LIT_INIT("m"), false, true, false}},
        {"{\"model\":\"m\",\"stream\":false}",
         "{\"model\":\"m\",\"stream\":false}",
         {AR_LIT_INIT("m"), false, true, false}},
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":null}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
         {AR_LIT_INIT("m"), false, true, false}},
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_obfuscation\":false,"
         "\"include_usage\":false}}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true,\"include_"
         "obfuscation\":false}}",
         {AR_LIT_INIT("m"), false, true, false}},
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
         "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
         {AR_LIT_INIT("m"), false, true, false}},
        /* a stream that is asked for whole */
        {"{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
         "{\"model\":\"m\",\"stream\":false,\"stream_options\":null}",
         {AR_LIT_INIT("m"), false, false, true}},
        {"{\"model\":\"m\"}", "{\"model\":\"m\"}", {AR_LIT_INIT("m"), false, false, true}},
    };
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct ar_arena a;
        ar_arena_init(&a, 1 << 20);
        CHECK_STR(edited(ar_str_of(ROWS[i].body), &ROWS[i].w, &a), ROWS[i].want);
        ar_arena_done(&a);
    }
}

enum { MEMBERS = 5 };
static const char *const MEMBER[MEMBERS] = {
    "\"model\":\"m\"", "\"provider\":{\"order\":[\"a\",\"b\"]}", "\"models\":[\"x\"]",
    "\"stream\":true", "\"odd\":{\"provider\":1,\"model\":\"in\",\"s\":\"},{\"}"};

/* Removing members from every order of them, tight and spaced, leaves the others, in order, byte
 * for byte. */
static void check_order(const unsigned *order, bool spaced)
{
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    const char *sep = spaced ? " ,\n " : ",";
    struct ar_str body = AR_LIT("{"), want = AR_LIT("{");
    for (unsigned i = 0; i < MEMBERS; i++) {
        const char *m = MEMBER[order[i]];
        body = ar_arena_fmt(&a, "%.*s%s%s", AR_FMT(body), i > 0 ? sep : "", m);
        if (order[i] == 0 || order[i] > 2) {
            m = order[i] == 0 ? "\"model\":\"other\"" : m;
            want = ar_arena_fmt(&a, "%.*s%s%s", AR_FMT(want), want.n > 1 ? "," : "", m);
        }
    }
    body = ar_arena_fmt(&a, "%.*s}", AR_FMT(body));
    want = ar_arena_fmt(&a, "%.*s}", AR_FMT(want));
    struct ar_edit_wish w = {AR_LIT("other"), false, false, false};
    struct ar_str got = edited(body, &w, &a);
    struct ar_jdoc x, y;
    if (ar_json_parse(got, 1, &a, &x, NULL) != AR_OK ||
        ar_json_parse(want, 1, &a, &y, NULL) != AR_OK) {
        fail_msg("%.*s became %.*s", AR_FMT(body), AR_FMT(got));
    }
    struct ar_jiter i = ar_json_iter(ar_json_root(&x)), k = ar_json_iter(ar_json_root(&y));
    while (ar_json_next(&k)) {
        assert_true(ar_json_next(&i));
        assert_true(ar_str_is(i.key, k.key));
        assert_true(ar_str_is(ar_json_raw(i.val), ar_json_raw(k.val)));
    }
    assert_false(ar_json_next(&i));
    ar_arena_done(&a);
}

static void permute(unsigned *order, unsigned n)
{
    if (n == MEMBERS) {
        check_order(order, false);
        check_order(order, true);
        return;
    }
    for (unsigned i = n; i < MEMBERS; i++) {
        unsigned swap = order[n];
        order[n] = order[i];
        order[i] = swap;
        permute(order, n + 1);
        order[i] = order[n];
        order[n] = swap;
    }
}

static void test_every_order(void **state)
{
    (void)state;
    unsigned order[MEMBERS] = {0, 1, 2, 3, 4};
    permute(order, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows), cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_exact_edits), cmocka_unit_test(test_every_order)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
