/*
 * The undo filter: renamed calls, wrapped inputs, a forced tool as text, stop strings. Each answer
 * is cut at every one and two places of its text, inside escapes and UTF-8 sequences too, and must
 * come out the same, in deltas that are whole.
 */
#include "check.h"
#include "ir/events.h"

#include "ir/undo.h"
#include "ir/units.h"
#include "json/scan.h"

/* What came out of a filter: texts joined by block, and the order of things. */
struct seen {
    struct ar_fold *fold;
    bool has_error, has_stops;
    unsigned deltas;
    int open;
};

static void see(struct seen *s, const struct ar_event *ev)
{
    struct ar_str rest = ev->text;
    struct ar_unit u;
    s->has_error = s->has_error || ev->kind == AR_EV_ERROR;
    s->open += ev->kind == AR_EV_BLOCK_START ? 1 : ev->kind == AR_EV_BLOCK_END ? -1 : 0;
    assert_true(ev->kind != AR_EV_STOP || s->open == 0);
    for (size_t i = 0; i < ev->text.n; i++) {
        assert_true((unsigned char)ev->text.p[i] >= 0x20); /* what comes out is escaped */
    }
    if (ev->kind == AR_EV_DELTA) {
        s->deltas++;
        assert_true(ev->text.n > 0);
    }
    if (ev->kind == AR_EV_DELTA && (ev->delta == AR_D_FREEFORM || s->has_stops)) {
        while (ar_unit_next(&rest, false, &u)) {
        }
        assert_true(rest.n == 0 ||
                    rest.n ==
                        6); /* never cut inside a character; 6: a lone surrogate at the very end */
    }
    CHECK_OK(ar_fold_put(s->fold, ev));
}

static void feed(struct ar_undoer *u, struct seen *s, const struct ar_event *ev)
{
    struct ar_event out;
    ar_undoer_put(u, ev);
    while (ar_undoer_next(u, &out)) {
        see(s, &out);
    }
}

/* One block of an answer, with its text cut at two places. */
struct piece {
    struct ar_block block;
    enum ar_delta delta;
    struct ar_str text;
};

static struct ar_str filter(const struct ar_undo *list, const struct ar_name *stops,
                            const struct piece *p, unsigned n, size_t i, size_t k,
                            enum ar_stop_reason reason, struct ar_arena *a)
{
    struct ar_response head = {.id = AR_LIT("x")}, *r;
    struct ar_stop stop = {.reason = reason};
    struct seen s = {.fold = ar_fold_new(1 << 20), .has_stops = stops != NULL};
    struct ar_undoer *u = ar_undoer_new(list, stops, a);
    struct ar_event ev = {.kind = AR_EV_START, .answer = &head};
    assert_non_null(u);
    feed(u, &s, &ev);
    for (unsigned b = 0; b < n; b++) {
        size_t x = i < p[b].text.n ? i : p[b].text.n, y = k < p[b].text.n ? k : p[b].text.n;
        struct ar_event evs[] = {
            ev_block(b, &p[b].block), ev_text(b, p[b].delta, ar_str_head(p[b].text, x)),
            ev_text(b, p[b].delta, ar_str_head(ar_str_from(p[b].text, x), y - x)),
            ev_text(b, p[b].delta, ar_str_from(p[b].text, y)), ev_of(AR_EV_BLOCK_END, b)};
        for (unsigned e = 0; e < 5; e++) {
            if (evs[e].kind != AR_EV_DELTA || evs[e].text.n > 0) {
                feed(u, &s, &evs[e]);
            }
        }
    }
    ev = ev_stop(&stop);
    feed(u, &s, &ev);
    ev = ev_of(AR_EV_END, 0);
    feed(u, &s, &ev);
    assert_false(s.has_error);
    CHECK_OK(ar_fold_finish(s.fold, a, &r));
    struct ar_str shown =
        ar_arena_fmt(a, "%.*s%s", AR_FMT(show_answer(r, a)), ar_undoer_is_cut(u) ? " cut" : "");
    ar_undoer_done(u);
    ar_fold_free(s.fold);
    return shown;
}

/* The answer cut everywhere, and whole: always want. */
static void check_everywhere(const struct ar_undo *list, const struct ar_name *stops,
                             const struct piece *p, unsigned n, enum ar_stop_reason reason,
                             const char *want)
{
    size_t longest = 0;
    for (unsigned b = 0; b < n; b++) {
        longest = p[b].text.n > longest ? p[b].text.n : longest;
    }
    for (size_t i = 0; i <= longest; i++) {
        for (size_t k = i; k <= longest; k++) {
            struct ar_arena a;
            ar_arena_init(&a, 1 << 20);
            CHECK_STR(filter(list, stops, p, n, i, k, reason, &a), want);
            ar_arena_done(&a);
        }
    }
}

static const struct ar_undo RENAME = {
    .how = AR_UNDO_NAME, .sent = AR_LIT_INIT("a_b_12345678"), .name = AR_LIT_INIT("a.b")};
static const struct ar_undo CUSTOM = {
    .how = AR_UNDO_FREEFORM, .sent = AR_LIT_INIT("patch"), .name = AR_LIT_INIT("patch")};
static const struct ar_undo FORCED = {.how = AR_UNDO_JSON_TEXT, .sent = AR_LIT_INIT("json")};
static const struct ar_undo VALUE = {
    .how = AR_UNDO_VALUE, .sent = AR_LIT_INIT("v"), .name = AR_LIT_INIT("v")};
#define CALL(l)                                                                                    \
    {                                                                                              \
        .kind = AR_TOOL_USE, .id = AR_LIT_INIT("1"), .name = AR_LIT_INIT(l)                        \
    }

/* P-046 */
static void test_rename(void **state)
{
    (void)state;
    struct ar_undo list[] = {CUSTOM, RENAME};
    list[0].next = &list[1];
    const struct piece p[] = {{CALL("a_b_12345678"), AR_D_JSON, AR_LIT_INIT("{\\\"x\\\":1}")},
                              {CALL("other"), AR_D_JSON, AR_LIT_INIT("{}")}};
    check_everywhere(list, NULL, p, 2, AR_STOP_TOOL_USE,
                     "call(1,a.b):{\"x\":1}; call(1,other):{}; stop=3");
}

/* P-051, P-174: the input is decoded; the JSON text is escaped once more in its deltas. */
static const struct {
    const char *json, *input; /* decoded both */
} WRAPPED[] = {
    {"{\"input\":\"abc\"}", "abc"},
    {" { \"input\" :\n\"a b\" } ", "a b"},
    {"{\"input\":\"\"}", ""},
    {"{\"input\":\"q\\\"\\\\/\\/\\n\\t\\u00e9\xc3\xa9\"}", "q\"\\//\n\t\xc3\xa9\xc3\xa9"},
    {"{\"input\":\"\\ud83d\\ude00\xf0\x9f\x98\x80\"}", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"},
    {"{\"input\":\"\\ud83d!\"}", "\xef\xbf\xbd!"}, /* a lone surrogate */
    {"{\"input\":\"\\ud83d\\n\\ude00\"}", "\xef\xbf\xbd\n\xef\xbf\xbd"},
    {"{\"input\":\"\\d\\u12\"}", "\\d\\u12"}, /* broken escapes stand for themselves */
    {"{\"input\":\"a\nb\"}", "a\nb"},         /* a raw line end is forgiven */
    {"{\"input\":\"cut off", "cut off"},      /* the limit was reached */
    {"{\"input\":\"cut \\ud83d", "cut \xef\xbf\xbd"},
    {"{\"input\":\"cut \\u00", "cut "},
    {"{\"other\":1}", "{\"other\":1}"}, /* not the wrapper: as it is */
    {"{\"input\":5}", "{\"input\":5}"},
    {"[1]", "[1]"},
    {"plain text", "plain text"},
    {"{\"inp", "{\"inp"},
    {"", ""},
};

static void test_freeform(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof WRAPPED / sizeof WRAPPED[0]; i++) {
        struct ar_arena a;
        ar_arena_init(&a, 1 << 20);
        struct ar_buf esc;
        ar_buf_init(&esc, 1 << 16);
        ar_json_escape(ar_str_of(WRAPPED[i].json), &esc);
        const struct piece p = {CALL("patch"), AR_D_JSON, ar_buf_view(&esc)};
        struct ar_str want =
            ar_arena_fmt(&a, "call(1,patch,freeform):%s; stop=3", WRAPPED[i].input);
        check_everywhere(&CUSTOM, NULL, &p, 1, AR_STOP_TOOL_USE, want.p);
        ar_buf_done(&esc);
        ar_arena_done(&a);
    }
}

/* The outer layer may spell a character as a pair of escapes, cut between two deltas. */
static void test_freeform_outer_pair(void **state)
{
    (void)state;
    const struct piece p = {CALL("patch"), AR_D_JSON,
                            AR_LIT_INIT("{\\\"input\\\":\\\"\\ud83d\\ude00\\u000ax\\\"}")};
    check_everywhere(&CUSTOM, NULL, &p, 1, AR_STOP_TOOL_USE,
                     "call(1,patch,freeform):\xf0\x9f\x98\x80\nx; stop=3");
}

/* What is known of the input is shown at once. */
static void test_freeform_streams(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    struct ar_undoer *u = ar_undoer_new(&CUSTOM, NULL, &a);
    struct ar_block call = CALL("patch");
    struct ar_event ev = ev_block(0, &call), out;
    ar_undoer_put(u, &ev);
    assert_true(ar_undoer_next(u, &out));
    assert_true(out.block->freeform);
    ev = ev_text(0, AR_D_JSON, AR_LIT("{\\\"input\\\":\\\"ab"));
    ar_undoer_put(u, &ev);
    assert_true(ar_undoer_next(u, &out));
    assert_int_equal(out.delta, AR_D_FREEFORM);
    CHECK_STR(out.text, "ab");
    assert_false(ar_undoer_next(u, &out));
    ar_undoer_done(u);
    ar_arena_done(&a);
}

/* P-111 */
static void test_json_text(void **state)
{
    (void)state;
    const struct piece p[] = {{CALL("json"), AR_D_JSON, AR_LIT_INIT("{\\\"x\\\":\\\"\\\\n\\\"}")}};
    check_everywhere(&FORCED, NULL, p, 1, AR_STOP_TOOL_USE,
                     "text:{\\\"x\\\":\\\"\\\\n\\\"}; stop=0");
    check_everywhere(&FORCED, NULL, p, 1, AR_STOP_MAX_TOKENS,
                     "text:{\\\"x\\\":\\\"\\\\n\\\"}; stop=1");
    const struct piece both[] = {p[0], {CALL("real"), AR_D_JSON, AR_LIT_INIT("{}")}};
    check_everywhere(&FORCED, NULL, both, 2, AR_STOP_TOOL_USE,
                     "text:{\\\"x\\\":\\\"\\\\n\\\"}; call(1,real):{}; stop=3");
}

static void test_value(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } ROWS[] = {{"{\"value\": [1, 2.50]}", "[1, 2.50]"},
                {"{\"value\":1,\"x\":2}", "{\"value\":1,\"x\":2}"},
                {"{\"val", "{\"val"},
                {"7", "7"}};
    for (unsigned i = 0; i < 4; i++) {
        struct ar_arena a;
        ar_arena_init(&a, 1 << 16);
        const struct piece p = {CALL("v"), AR_D_JSON, ar_json_escape_in(ar_str_of(ROWS[i].in), &a)};
        check_everywhere(&VALUE, NULL, &p, 1, AR_STOP_TOOL_USE,
                         ar_arena_fmt(&a, "call(1,v):%s; stop=3", ROWS[i].out).p);
        ar_arena_done(&a);
    }
}

#define TEXT(l)                                                                                    \
    {                                                                                              \
        {.kind = AR_TEXT}, AR_D_TEXT, AR_LIT_INIT(l)                                               \
    }

/* P-122, P-123: cut before the match, wherever the deltas are cut. */
static void test_stops(void **state)
{
    (void)state;
    static const struct {
        const char *text, *stop1, *stop2, *want;
    } ROWS[] = {
        {"one END two", "END", NULL, "text:one ; stop=2END cut"},
        {"END", "END", NULL, "text:; stop=2END cut"},
        {"one two", "END", NULL, "text:one two; stop=0"},
        {"one EN", "END", NULL, "text:one EN; stop=0"},
        {"EENEND!", "END", NULL, "text:EEN; stop=2END cut"},
        {"aab", "aab", "ab", "text:; stop=2aab cut"},
        {"xaby", "ab", "b", "text:x; stop=2ab cut"},
        {"xbay", "ay", "b", "text:x; stop=2b cut"},
        {"abcd", "abcde", "bc", "text:a; stop=2bc cut"},
        {"a\\n\\nb", "\\n\\n", NULL, "text:a; stop=2\\n\\n cut"},
        {"a\\u000a\\nb", "\\n\\n", NULL,
         "text:a; stop=2\\n\\n cut"}, /* other spelling, same text */
        {"x\\u00e9\xc3\xa9y", "\xc3\xa9y", NULL, "text:x\\u00e9; stop=2\xc3\xa9y cut"},
        {"x\\ud83d\\ude00y", "\xf0\x9f\x98\x80", NULL, "text:x; stop=2\xf0\x9f\x98\x80 cut"},
        {"x\\ud83d\\ude01y", "\xf0\x9f\x98\x80", NULL, "text:x\\ud83d\\ude01y; stop=0"},
        {"say \\\"no\\\"", "\\\"no", NULL, "text:say ; stop=2\\\"no cut"},
        {"x\\ud83d\\u0041y", "A", NULL, "text:x\\ud83d; stop=2A cut"},
        {"lone \\ud83d", "z", NULL, "text:lone \\ud83d; stop=0"},
        {"", "z", NULL, "text:; stop=0"},
        {"abc", "", NULL, "text:abc; stop=0"}, /* an empty stop string stops nothing */
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        struct ar_name two = {NULL, ar_str_of(ROWS[i].stop2)},
                       one = {ROWS[i].stop2 ? &two : NULL, ar_str_of(ROWS[i].stop1)};
        const struct piece p = {{.kind = AR_TEXT}, AR_D_TEXT, ar_str_of(ROWS[i].text)};
        check_everywhere(NULL, &one, &p, 1, AR_STOP_END, ROWS[i].want);
    }
}

/* Visible text of several blocks is one text; a call between them ends it. Thinking and calls are
 * not searched. */
static void test_stops_across(void **state)
{
    (void)state;
    struct ar_name stop = {NULL, AR_LIT_INIT("END")};
    const struct piece two[] = {TEXT("one E"), TEXT("ND two")};
    check_everywhere(NULL, &stop, two, 2, AR_STOP_END, "text:one ; text:; stop=2END cut");
    const struct piece three[] = {TEXT("E"), TEXT("N"), TEXT("x")};
    check_everywhere(NULL, &stop, three, 3, AR_STOP_END, "text:E; text:N; text:x; stop=0");
    const struct piece call[] = {
        TEXT("one E"), {CALL("f"), AR_D_JSON, AR_LIT_INIT("END")}, TEXT("ND")};
    check_everywhere(NULL, &stop, call, 3, AR_STOP_TOOL_USE,
                     "text:one E; call(1,f):END; text:ND; stop=3");
    const struct piece thought[] = {{{.kind = AR_THINKING}, AR_D_THINKING, AR_LIT_INIT("END")},
                                    TEXT("aENDb")};
    check_everywhere(NULL, &stop, thought, 2, AR_STOP_END, "think:END; text:a; stop=2END cut");
    const struct piece forced[] = {{CALL("json"), AR_D_JSON, AR_LIT_INIT("{}END{}")}};
    check_everywhere(&FORCED, &stop, forced, 1, AR_STOP_TOOL_USE, "text:{}; stop=2END cut");
}

/* Not more is held than may be the beginning of a stop string, and never more than its length less
 * one. */
static void test_holds_little(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    struct ar_name stop = {NULL, AR_LIT_INIT("ENDS")};
    struct ar_undoer *u = ar_undoer_new(NULL, &stop, &a);
    struct ar_block text = {.kind = AR_TEXT};
    struct ar_event ev = ev_block(0, &text), out;
    ar_undoer_put(u, &ev);
    assert_true(ar_undoer_next(u, &out));
    static const char *const ROWS[][2] = {{"hello", "hello"}, {"xE", "x"},  {"N", ""},
                                          {"D", ""},          {"E", "END"}, {"q", "Eq"}};
    for (unsigned i = 0; i < 6; i++) {
        ev = ev_text(0, AR_D_TEXT, ar_str_of(ROWS[i][0]));
        ar_undoer_put(u, &ev);
        bool some = ar_undoer_next(u, &out);
        assert_int_equal(some, ROWS[i][1][0] != '\0');
        if (some) {
            CHECK_STR(out.text, ROWS[i][1]);
            assert_false(ar_undoer_next(u, &out));
        }
    }
    ar_undoer_done(u);
    ar_arena_done(&a);
}

/* After the cut nothing of the upstream is shown, and the usage so far is told. */
static void test_cut_is_final(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    struct ar_name stop = {NULL, AR_LIT_INIT(";")};
    struct ar_undoer *u = ar_undoer_new(NULL, &stop, &a);
    struct ar_block text = {.kind = AR_TEXT};
    struct ar_usage usage;
    ar_usage_clear(&usage);
    usage.in_total = 4;
    usage.out_total = 2;
    struct ar_event evs[] = {{.kind = AR_EV_USAGE, .usage = &usage},
                             ev_block(0, &text),
                             ev_text(0, AR_D_TEXT, AR_LIT("a;b"))};
    struct ar_event out, last = ev_of(AR_EV_PING, 0);
    int stops = 0;
    for (unsigned i = 0; i < 3; i++) {
        ar_undoer_put(u, &evs[i]);
        while (ar_undoer_next(u, &out)) {
            stops += out.kind == AR_EV_STOP;
            if (out.kind == AR_EV_STOP) {
                assert_int_equal(out.usage->out_total, 2);
            }
            last = out;
        }
    }
    assert_int_equal(last.kind, AR_EV_END);
    assert_int_equal(stops, 1);
    assert_true(ar_undoer_is_cut(u));
    ar_undoer_put(u, &evs[2]);
    assert_false(ar_undoer_next(u, &out));
    ar_undoer_done(u);
    ar_arena_done(&a);
}

static void test_whole(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    struct ar_undo list[] = {CUSTOM, RENAME};
    list[0].next = &list[1];
    struct ar_name stop = {NULL, AR_LIT_INIT("END")};
    struct ar_block call = CALL("patch"),
                    text = {.kind = AR_TEXT, .text = AR_LIT_INIT("x END"), .next = NULL};
    call.text = AR_LIT("{\"input\":\"a\\nb\"}");
    call.next = &text;
    struct ar_response r = {.blocks = &call,
                            .stop = {.reason = AR_STOP_TOOL_USE},
                            .has_stop = true,
                            .service_tier = AR_LIT("t")};
    struct ar_response more = {.blocks = &text, .has_stop = true};
    ar_usage_clear(&r.usage);
    r.usage.in_total = 1;
    more.usage = r.usage;
    r.more = &more;
    struct ar_response copy = r;
    CHECK_OK(ar_undo_whole(list, &stop, &r, &a));
    CHECK_STR(show_answer(&r, &a), "call(1,patch,freeform):a\nb; text:x ; stop=2END");
    CHECK_STR(show_answer(&more, &a), "text:x ; stop=2END");
    CHECK_STR(r.service_tier, "t");
    assert_int_equal(r.usage.in_total, 1);
    CHECK_OK(ar_undo_whole(NULL, NULL, &copy, &a)); /* nothing to undo */
    assert_ptr_equal(copy.blocks, &call);
    ar_arena_done(&a);
}

static void test_whole_event(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    struct ar_block call = CALL("a_b_12345678");
    call.text = AR_LIT("{}");
    struct ar_response r = {
        .blocks = &call, .stop = {.reason = AR_STOP_TOOL_USE}, .has_stop = true};
    struct ar_event ev = {.kind = AR_EV_WHOLE, .answer = &r}, out;
    struct ar_undoer *u = ar_undoer_new(&RENAME, NULL, &a);
    ar_undoer_put(u, &ev);
    assert_true(ar_undoer_next(u, &out));
    CHECK_STR(show_answer(out.answer, &a), "call(1,a.b):{}; stop=3");
    CHECK_STR(call.name, "a_b_12345678"); /* the upstream's answer is not touched */
    ar_undoer_done(u);
    ar_arena_done(&a);
}

static void test_overflow_is_an_error(void **state)
{
    (void)state;
    struct ar_arena a;
    static char big[3000];
    memset(big, 'x', sizeof big);
    ar_arena_init(&a, 2000);
    struct ar_undoer *u = ar_undoer_new(&CUSTOM, NULL, &a);
    struct ar_block call = CALL("patch");
    struct ar_event ev = ev_block(0, &call), out;
    ar_undoer_put(u, &ev);
    while (ar_undoer_next(u, &out)) {
    }
    ev = ev_text(0, AR_D_JSON, ar_str_n(big, sizeof big));
    ar_undoer_put(u, &ev);
    assert_true(ar_undoer_next(u, &out));
    assert_int_equal(out.kind, AR_EV_ERROR);
    assert_int_equal(out.fault->code, AR_UPSTREAM_ERROR);
    ar_undoer_put(u, &ev);
    assert_false(ar_undoer_next(u, &out));
    ar_undoer_done(u);
    ar_undoer_done(NULL);
    assert_null(ar_undoer_new(NULL, NULL, &a));
    assert_false(ar_undoer_is_cut(NULL));
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rename),
        cmocka_unit_test(test_freeform),
        cmocka_unit_test(test_freeform_outer_pair),
        cmocka_unit_test(test_freeform_streams),
        cmocka_unit_test(test_json_text),
        cmocka_unit_test(test_value),
        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_stops_across),
        cmocka_unit_test(test_holds_little),
        cmocka_unit_test(test_cut_is_final),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_whole_event),
        cmocka_unit_test(test_overflow_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
