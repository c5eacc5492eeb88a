/*
 * The small parts of ir/: usage, losses, the envelope, names and arguments, reasoning levels, the
 * commit point.
 */
#include "check.h"
#include "ir/events.h"

#include "ir/loss.h"
#include "ir/opaque.h"
#include "ir/undo.h"

static void test_usage(void **state)
{
    (void)state;
    struct ar_usage u, v;
    ar_usage_clear(&u);
    ar_usage_clear(&v);
    assert_int_equal(u.in_total, -1);
    assert_int_equal(u.web_fetch, -1);
    assert_false(ar_usage_is_known(&u));
    v.in_total = 10;
    v.out_audio = 0;
    v.estimated = true;
    ar_usage_merge(&u, &v);
    assert_int_equal(u.in_total, 10);
    assert_int_equal(u.out_audio, 0);
    assert_int_equal(u.out_total, -1);
    assert_true(u.estimated);
    assert_false(ar_usage_is_known(&u));
    ar_usage_clear(&v);
    v.in_total = 12;
    v.out_total = 3;
    ar_usage_merge(&u,
                   &v); /* cumulative: overwrites, does not add; the truth replaces the estimate */
    assert_int_equal(u.in_total, 12);
    assert_false(u.estimated);
    assert_true(ar_usage_is_known(&u));
    ar_usage_clear(&v);
    ar_usage_merge(&u, &v);
    assert_int_equal(u.out_total, 3);
    assert_int_equal(ar_tokens(-1), 0); /* P-150 */
    assert_int_equal(ar_tokens(7), 7);
}

static void test_losses(void **state)
{
    (void)state;
    struct ar_losses l = {.strict = false};
    CHECK_OK(ar_lose(&l, AR_FATE_SILENT, AR_DROPPED, "user", "x"));
    assert_int_equal(l.n, 0);
    CHECK_OK(ar_lose(&l, AR_FATE_WARN, AR_DROPPED, "top_k", "x"));
    CHECK_OK(ar_lose(&l, AR_FATE_WARN, AR_CLAMPED, "temperature", "x"));
    CHECK_OK(ar_lose(&l, AR_FATE_WARN, AR_DROPPED, "top_k", "x")); /* once */
    ar_note(&l, AR_RENAMED, NULL);
    CHECK_STR(ar_str_n(l.text, l.n), "dropped:top_k, clamped:temperature, renamed");
    assert_false(l.refused);
    assert_int_equal(ar_lose(&l, AR_FATE_REJECT, AR_DROPPED, "n", "only one answer"), AR_LOSSY);
    assert_int_equal(ar_lose(&l, AR_FATE_REJECT, AR_DROPPED, "other", "y"), AR_LOSSY);
    assert_true(l.refused);
    assert_string_equal(l.field, "n"); /* the first */
    assert_string_equal(l.why, "only one answer");
    CHECK_OK(ar_lose(NULL, AR_FATE_WARN, AR_DROPPED, "x", "y"));
    assert_int_equal(ar_lose(NULL, AR_FATE_REJECT, AR_DROPPED, "x", "y"), AR_LOSSY);
}

/* P-011: strict refuses what would be warned of; a note never refuses. */
static void test_strict(void **state)
{
    (void)state;
    struct ar_losses l = {.strict = true};
    CHECK_OK(ar_lose(&l, AR_FATE_SILENT, AR_DROPPED, "user", "x"));
    ar_note(&l, AR_EMULATED, "x");
    assert_false(l.refused);
    assert_int_equal(ar_lose(&l, AR_FATE_WARN, AR_DROPPED, "top_k", "why"), AR_LOSSY);
    assert_string_equal(l.field, "top_k");
    CHECK_STR(ar_str_n(l.text, l.n), "emulated:x");
}

/* A field of the client's own making cannot break the header line or the list. */
static void test_loss_injection(void **state)
{
    (void)state;
    struct ar_losses l = {.strict = false};
    ar_note(&l, AR_DROPPED, "a\r\nx-evil: 1, b\x7f\xc3\xa9");
    CHECK_STR(ar_str_n(l.text, l.n), "dropped:a__x-evil:_1__b___");
}

static void test_loss_limit(void **state)
{
    (void)state;
    struct ar_losses l = {.strict = false}, m = {.strict = false};
    char field[64];
    for (int i = 0; i < 200; i++) {
        (void)snprintf(field, sizeof field, "field_number_%d", i);
        ar_note(&l, AR_DROPPED, field);
    }
    struct ar_str text = ar_str_n(l.text, l.n);
    assert_true(text.n < 1024 && l.text[text.n] == '\0');
    assert_true(ar_str_has_suffix(text, AR_LIT(",truncated")));
    assert_int_equal(ar_str_find(text, AR_LIT("truncated")), text.n - 9); /* once */
    ar_note(&m, AR_DROPPED, "field_number_1");
    ar_note(&m, AR_DROPPED, "own");
    ar_losses_merge(&m, &l);
    struct ar_str merged = ar_str_n(m.text, m.n);
    assert_true(
        ar_str_has_prefix(merged, AR_LIT("dropped:field_number_1, dropped:own, "
                                         "dropped:field_number_0, dropped:field_number_2,")));
    assert_true(ar_str_has_suffix(merged, AR_LIT(",truncated")));
    assert_true(m.n < 1024);
}

static void test_envelope(void **state)
{
    (void)state;
    struct ar_arena a;
    struct ar_buf out;
    struct ar_opaque back;
    ar_arena_init(&a, 1 << 16);
    ar_buf_init(&out, 1 << 16);
    struct ar_opaque o = {AR_VENDOR_ANTHROPIC, AR_SIGNATURE, AR_LIT("claude-opus-4.5"),
                          AR_LIT("0a1b2c3d"), AR_LIT("ErUB+/=\0x")};
    ar_opaque_wrap(&o, &out);
    CHECK_STR(ar_buf_view(&out), "ar1.anthropic.signature.claude-opus-4.5.0a1b2c3d.RXJVQisvPQB4");
    assert_true(ar_opaque_unwrap(ar_buf_view(&out), &a, &back));
    assert_int_equal(back.vendor, AR_VENDOR_ANTHROPIC);
    assert_int_equal(back.form, AR_SIGNATURE);
    CHECK_STR(back.family, "claude-opus-4.5");
    CHECK_STR(back.account, "0a1b2c3d");
    assert_true(ar_str_is(back.data, o.data));
    for (unsigned v = 0; v < 4; v++) {
        for (unsigned f = 0; f < 4; f++) {
            struct ar_opaque e = {
                (enum ar_vendor)v, (enum ar_sig_form)f, {NULL, 0}, {NULL, 0}, {NULL, 0}};
            ar_buf_clear(&out);
            ar_opaque_wrap(&e, &out);
            assert_true(ar_opaque_unwrap(ar_buf_view(&out), &a, &back));
            assert_int_equal(back.vendor, v);
            assert_int_equal(back.form, f);
            assert_int_equal(back.data.n, 0);
        }
    }
    o.family = AR_LIT("a\"b\\\n\xc3\xa9"); /* what could break JSON does not */
    ar_buf_clear(&out);
    ar_opaque_wrap(&o, &out);
    CHECK_STR(ar_buf_view(&out), "ar1.anthropic.signature.a_b____.0a1b2c3d.RXJVQisvPQB4");
    assert_false(ar_opaque_unwrap(AR_LIT("ErUBCkYIAxgC"), &a, &back));
    assert_false(ar_opaque_unwrap(AR_LIT(""), &a, &back));
    static const char *const BROKEN[] = {"ar1.",
                                         "ar1.x",
                                         "ar1.openai.encrypted",
                                         "ar1.nobody.signature.f.a.QQ",
                                         "ar1.openai.odd.f.a.QQ",
                                         "ar1.openai.encrypted.f.a.Q!Q",
                                         "ar1.openai.encrypted.QQ",
                                         "ar1......"};
    for (unsigned i = 0; i < sizeof BROKEN / sizeof BROKEN[0]; i++) {
        assert_true(ar_opaque_unwrap(ar_str_of(BROKEN[i]), &a, &back));
        assert_int_equal(back.vendor, AR_VENDOR_OTHER);
        assert_int_equal(back.data.n, 0);
    }
    ar_buf_done(&out);
    ar_arena_done(&a);
}

static void test_fits(void **state)
{
    (void)state;
    struct ar_str mine = AR_LIT("0a1b2c3d"), other = AR_LIT("ffffffff"), none = {NULL, 0};
    struct ar_opaque o = {AR_VENDOR_ANTHROPIC, AR_SIGNATURE, AR_LIT("f"), mine, AR_LIT("x")};
    assert_true(ar_opaque_fits(&o, AR_VENDOR_ANTHROPIC, mine, true));
    assert_false(ar_opaque_fits(&o, AR_VENDOR_OPENAI, mine, true));
    assert_false(ar_opaque_fits(&o, AR_VENDOR_ANTHROPIC, other, true));
    assert_false(ar_opaque_fits(&o, AR_VENDOR_ANTHROPIC, none, true)); /* unknown account */
    assert_true(ar_opaque_fits(&o, AR_VENDOR_ANTHROPIC, other, false));
    o.account = none;
    assert_true(ar_opaque_fits(&o, AR_VENDOR_ANTHROPIC, none, true)); /* unbound material */
    o.data = AR_LIT("");
    assert_false(ar_opaque_fits(&o, AR_VENDOR_ANTHROPIC, mine, false)); /* a mark, not material */
}

/* P-046, P-047 */
static void test_tool_names(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    CHECK_STR(ar_tool_name(AR_LIT("get_weather-2"), 64, &a), "get_weather-2");
    CHECK_STR(ar_tool_name(AR_LIT("a.b"), 64, &a), "a_b_2e7336dc");
    CHECK_STR(ar_tool_name(AR_LIT("\xc3\xa9"), 64, &a), "___4a99557e");
    char name[101];
    memset(name, 'n', 100);
    name[100] = '\0';
    struct ar_str cut = ar_tool_name(ar_str_of(name), 64, &a);
    assert_int_equal(cut.n, 64);
    assert_true(ar_str_is(cut, ar_tool_name(ar_str_of(name), 64, &a)));
    assert_memory_equal(cut.p, name, 55);
    name[99] = 'x'; /* a difference that was cut off still counts */
    assert_false(ar_str_is(cut, ar_tool_name(ar_str_of(name), 64, &a)));
    name[64] = '\0';
    CHECK_STR(ar_tool_name(ar_str_of(name), 64, &a), name);
    assert_int_equal(ar_tool_name(AR_LIT(""), 64, &a).n, 9);
    /* a short form is legal, so it is its own short form */
    assert_true(ar_str_is(ar_tool_name(cut, 64, &a), cut));
    ar_arena_done(&a);
}

/* P-072 */
static void test_call_ids(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    CHECK_STR(ar_tool_id(AR_LIT("toolu_01ABC-x"), &a), "toolu_01ABC-x");
    struct ar_str id = ar_tool_id(AR_LIT("functions.x:0"), &a);
    CHECK_STR(id, "call_ISDCJ5OV26BEOVETEG6TFUFX");
    assert_true(ar_str_is(id, ar_tool_id(AR_LIT("functions.x:0"), &a)));
    assert_false(ar_str_is(id, ar_tool_id(AR_LIT("functions.x:1"), &a)));
    assert_true(ar_str_is(id, ar_tool_id(id, &a)));
    assert_int_equal(ar_tool_id(AR_LIT(""), &a).n, 29);
    ar_arena_done(&a);
}

/* P-069, P-070, P-071 */
static void test_arguments(void **state)
{
    (void)state;
    static const struct {
        const char *text, *object;
        bool broken;
    } ROWS[] = {
        {"", "{}", false},
        {" \n", "{}", false},
        {"{}", "{}", false},
        {" {\"b\":1.0, \"a\":12345678901234567890}\n", "{\"b\":1.0, \"a\":12345678901234567890}",
         false},
        {"[1]", "{\"value\":[1]}", false},
        {"null", "{\"value\":null}", false},
        {"\"x\"", "{\"value\":\"x\"}", false},
        {"{\"a\":", "{\"_raw_arguments\":\"{\\\"a\\\":\"}", true},
        {"not \"json\"\n", "{\"_raw_arguments\":\"not \\\"json\\\"\\n\"}", true},
    };
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        bool broken = !ROWS[i].broken;
        struct ar_str object = ar_args_object(ar_str_of(ROWS[i].text), &a, &broken);
        CHECK_STR(object, ROWS[i].object);
        assert_int_equal(broken, ROWS[i].broken);
        CHECK_STR(ar_args_text(object, &a), ROWS[i].broken ? ROWS[i].text : ROWS[i].object);
    }
    static const char *const PLAIN[] = {"{\"_raw_arguments\":\"x\",\"more\":1}",
                                        "{\"_raw_arguments\":5}", "{\"x\":\"_raw_arguments\"}",
                                        "{"};
    for (unsigned i = 0; i < 4; i++) {
        CHECK_STR(ar_args_text(ar_str_of(PLAIN[i]), &a), PLAIN[i]);
    }
    ar_arena_done(&a);
}

/* P-087, P-088 */
static void test_efforts(void **state)
{
    (void)state;
    for (int e = AR_EFFORT_NONE; e <= AR_EFFORT_MAX; e++) {
        assert_int_equal(ar_budget_effort(ar_effort_budget((enum ar_effort)e)), e);
        assert_int_equal(ar_effort_of(ar_str_of(ar_effort_name((enum ar_effort)e))), e);
    }
    static const struct {
        int64_t tokens;
        enum ar_effort e;
    } EDGES[] = {{-5, AR_EFFORT_NONE},      {0, AR_EFFORT_NONE},      {1, AR_EFFORT_MINIMAL},
                 {1536, AR_EFFORT_MINIMAL}, {1537, AR_EFFORT_LOW},    {4096, AR_EFFORT_LOW},
                 {4097, AR_EFFORT_MEDIUM},  {8192, AR_EFFORT_MEDIUM}, {12288, AR_EFFORT_MEDIUM},
                 {12289, AR_EFFORT_HIGH},   {20480, AR_EFFORT_HIGH},  {20481, AR_EFFORT_XHIGH},
                 {28672, AR_EFFORT_XHIGH},  {28673, AR_EFFORT_MAX},   {INT64_MAX, AR_EFFORT_MAX}};
    for (unsigned i = 0; i < sizeof EDGES / sizeof EDGES[0]; i++) {
        assert_int_equal(ar_budget_effort(EDGES[i].tokens), EDGES[i].e);
    }
    assert_int_equal(ar_effort_of(AR_LIT("extreme")), AR_EFFORT_UNSET);
    assert_int_equal(ar_effort_of(AR_LIT("")), AR_EFFORT_UNSET);
    assert_null(ar_effort_name(AR_EFFORT_UNSET));
}

/* ARCHITECTURE 1, commit point; P-187. */
static void test_commits(void **state)
{
    (void)state;
    struct ar_block text = {.kind = AR_TEXT}, think = {.kind = AR_THINKING},
                    call = {.kind = AR_TOOL_USE};
    struct ar_opaque sig = {.data = AR_LIT("x")};
    struct ar_block redacted = {.kind = AR_REDACTED_THINKING, .sig = &sig},
                    server = {.kind = AR_SERVER_TOOL_USE};
    struct ar_block sealed = {.kind = AR_THINKING, .sig = &sig};
    struct ar_event signature = {.kind = AR_EV_DELTA, .delta = AR_D_SIGNATURE, .opaque = &sig};
    struct ar_event end = {.kind = AR_EV_BLOCK_END, .block = &sealed};
    const struct {
        struct ar_event ev;
        bool commits;
    } ROWS[] = {
        {ev_of(AR_EV_START, 0), false},
        {ev_of(AR_EV_USAGE, 0), false},
        {ev_of(AR_EV_PING, 0), false},
        {ev_of(AR_EV_RAW, 0), false},
        {ev_of(AR_EV_ERROR, 0), false},
        {ev_block(0, &text), false},
        {ev_block(0, &think), false},
        {ev_block(0, &call), true},
        {ev_block(0, &redacted), true},
        {ev_block(0, &server), true},
        {ev_text(0, AR_D_TEXT, AR_LIT("")), false},
        {ev_text(0, AR_D_THINKING, AR_LIT("")), false},
        {ev_text(0, AR_D_TEXT, AR_LIT("a")), true},
        {ev_text(0, AR_D_THINKING, AR_LIT("a")), true},
        {ev_text(0, AR_D_REFUSAL, AR_LIT("a")), true},
        {ev_text(0, AR_D_JSON, AR_LIT("a")), true},
        {signature, true},
        {ev_of(AR_EV_BLOCK_END, 0), false},
        {end, true},
        {ev_of(AR_EV_STOP, 0), true},
        {ev_of(AR_EV_WHOLE, 0), true},
        {ev_of(AR_EV_END, 0), true},
    };
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        assert_int_equal(ar_event_commits(&ROWS[i].ev), ROWS[i].commits);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage),      cmocka_unit_test(test_losses),
        cmocka_unit_test(test_strict),     cmocka_unit_test(test_loss_injection),
        cmocka_unit_test(test_loss_limit), cmocka_unit_test(test_envelope),
        cmocka_unit_test(test_fits),       cmocka_unit_test(test_tool_names),
        cmocka_unit_test(test_call_ids),   cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_efforts),    cmocka_unit_test(test_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
