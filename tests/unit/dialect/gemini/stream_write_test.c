/* The stream writer, event by event and under both framings: whole calls, honest ends. */
#include "dialect/gemini/answer_write.h"
#include "http/sse.h"
#include "check.h"

struct pen {
    struct ar_arena a;
    struct ar_buf out;
    struct ar_framer f;
    struct ar_losses l;
    struct ar_request request;
    struct ar_writer *w;
};

static void pen_open(struct pen *p, const struct ar_framing *how)
{
    memset(p, 0, sizeof(*p));
    ar_arena_init(&p->a, 16 << 20);
    ar_buf_init(&p->out, 64 << 20);
    p->f = (struct ar_framer){.how = how, .out = &p->out};
    p->request.set.show = AR_SHOW_SUMMARY;
    struct ar_write_how write_how = {.request = &p->request, .model = AR_LIT("m")};
    p->w = ar_gemini_writer_new(&write_how, &p->l, &p->a);
    assert_non_null(p->w);
}

static void pen_close(struct pen *p)
{
    ar_gemini_writer_done(p->w);
    ar_buf_done(&p->out);
    ar_arena_done(&p->a);
}

static void put(struct pen *p, struct ar_event ev)
{
    CHECK_OK(ar_gemini_write(p->w, &ev, &p->f));
}

static void begin(struct pen *p, unsigned b, enum ar_block_kind kind, const char *id)
{
    struct ar_block block = {
        .kind = kind, .id = ar_str_of(id), .name = id ? AR_LIT("f") : (struct ar_str){0}};
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = b, .block = &block});
}

static void delta(struct pen *p, unsigned b, enum ar_delta kind, const char *text)
{
    put(p, (struct ar_event){.kind = AR_EV_DELTA, .b = b, .delta = kind, .text = ar_str_of(text)});
}

static void end(struct pen *p, unsigned b)
{
    put(p, (struct ar_event){.kind = AR_EV_BLOCK_END, .b = b});
}

static void stop(struct pen *p, enum ar_stop_reason reason)
{
    struct ar_stop s = {.reason = reason};
    put(p, (struct ar_event){.kind = AR_EV_STOP, .stop = &s});
    put(p, (struct ar_event){.kind = AR_EV_END});
}

static void break_off(struct pen *p)
{
    struct ar_fault f = {
        .code = AR_UPSTREAM_OVERLOADED, .retry_after_ms = -1, .message = AR_LIT("late")};
    put(p, (struct ar_event){.kind = AR_EV_ERROR, .fault = &f});
}

static void hello(struct pen *p)
{
    struct ar_response answer = {0};
    ar_usage_clear(&answer.usage);
    put(p, (struct ar_event){.kind = AR_EV_START, .answer = &answer});
    begin(p, 0, AR_TEXT, NULL);
    delta(p, 0, AR_D_TEXT, "He");
    ar_gemini_write_ping(p->w, &p->f);
    delta(p, 0, AR_D_TEXT, "llo");
    end(p, 0);
}

/* The array that was written, or a failed test. */
static struct ar_jval parse(struct pen *p, struct ar_jdoc *doc)
{
    CHECK_OK(ar_json_parse(ar_buf_view(&p->out), AR_JSON_DEPTH, &p->a, doc, NULL));
    assert_true(ar_json_is(ar_json_root(doc), AR_J_ARRAY));
    return ar_json_root(doc);
}

/* P-007 P-180: data frames that end in CRLF CRLF, no [DONE], finishReason and usage in the last. */
static void events_end_in_crlf(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p, &ar_framing_sse_crlf);
    hello(&p);
    stop(&p, AR_STOP_END);
    struct ar_str body = ar_buf_view(&p.out), gap = AR_LIT("\r\n\r\n"), last = {NULL, 0};
    unsigned n = 0;
    assert_true(ar_str_has_suffix(body, gap));
    while (body.n > 0) {
        size_t at = ar_str_find(body, gap);
        assert_true(at < body.n);
        last = ar_str_trim(ar_str_head(body, at));
        assert_true(ar_str_has_prefix(last, AR_LIT("data: {")));
        body = ar_str_from(body, at + gap.n);
        n++;
    }
    assert_int_equal(n, 3);
    assert_true(ar_str_has(last, AR_LIT("\"finishReason\":\"STOP\"")));
    assert_true(ar_str_has(last, AR_LIT("\"usageMetadata\":{\"promptTokenCount\":0")));
    assert_false(ar_str_has(ar_buf_view(&p.out), AR_LIT("DONE")));
    pen_close(&p);
}

/* P-007: without alt=sse the same objects are one array. */
static void an_array_is_one_value(void **state)
{
    (void)state;
    struct pen p;
    struct ar_jdoc doc;
    pen_open(&p, &ar_framing_json_array);
    hello(&p);
    stop(&p, AR_STOP_END);
    assert_int_equal(ar_json_count(parse(&p, &doc)), 3);
    pen_close(&p);
}

/* P-182: an error is the last element; and one before everything else is the only element. */
static void an_array_stays_one_after_an_error(void **state)
{
    (void)state;
    for (unsigned before = 0; before < 2; before++) {
        struct pen p;
        struct ar_jdoc doc;
        pen_open(&p, &ar_framing_json_array);
        if (before) {
            hello(&p);
        }
        break_off(&p);
        stop(&p, AR_STOP_END); /* nothing follows an error */
        struct ar_jval root = parse(&p, &doc);
        assert_int_equal(ar_json_count(root), before ? 3 : 1);
        struct ar_jval error = ar_json_get_lit(ar_json_at(root, ar_json_count(root) - 1), "error");
        CHECK_STR(ar_json_esc(ar_json_get_lit(error, "status")), "UNAVAILABLE");
        pen_close(&p);
    }
}

/* P-186 */
static void an_end_without_a_stop_is_an_error(void **state)
{
    (void)state;
    struct pen p;
    struct ar_jdoc doc;
    pen_open(&p, &ar_framing_json_array);
    hello(&p);
    put(&p, (struct ar_event){.kind = AR_EV_END});
    struct ar_jval root = parse(&p, &doc);
    assert_true(ar_json_get_lit(ar_json_at(root, 2), "error").doc != NULL);
    pen_close(&p);
}

/* P-179: however the pieces come, each call is one part with an object. */
static void calls_are_whole(void **state)
{
    (void)state;
    struct pen p;
    struct ar_jdoc doc;
    pen_open(&p, &ar_framing_json_array);
    begin(&p, 0, AR_TOOL_USE, "a");
    begin(&p, 1, AR_TOOL_USE, "b");
    delta(&p, 0, AR_D_JSON, "{\\\"n\\\":");
    delta(&p, 1, AR_D_JSON, "{\\\"s\\\":\\\"\\\\u00e9\\\"");
    delta(&p, 0, AR_D_JSON, "1}");
    delta(&p, 1, AR_D_JSON, "}");
    end(&p, 1);
    begin(&p, 2, AR_TOOL_USE, "c"); /* never ended */
    stop(&p, AR_STOP_TOOL_USE);
    struct ar_jval root = parse(&p, &doc);
    static const char *const want[] = {"{\"s\":\"\\u00e9\"}", "{\"n\":1}", "{}"};
    static const char *const ids[] = {"b", "a", "c"};
    assert_int_equal(ar_json_count(root), 4);
    for (unsigned i = 0; i < 3; i++) {
        struct ar_jval c = ar_json_at(ar_json_get_lit(ar_json_at(root, i), "candidates"), 0);
        struct ar_jval parts = ar_json_get_lit(ar_json_get_lit(c, "content"), "parts");
        struct ar_jval call = ar_json_get_lit(ar_json_at(parts, 0), "functionCall");
        assert_int_equal(ar_json_count(parts), 1);
        CHECK_STR(ar_json_raw(ar_json_get_lit(call, "args")), want[i]);
        CHECK_STR(ar_json_esc(ar_json_get_lit(call, "id")), ids[i]);
    }
    pen_close(&p);
}

/* P-082: a call without an id gets one that is its own. */
static void calls_without_ids_get_their_own(void **state)
{
    (void)state;
    struct pen p;
    struct ar_jdoc doc;
    struct ar_str ids[2];
    pen_open(&p, &ar_framing_json_array);
    for (unsigned b = 0; b < 2; b++) {
        begin(&p, b, AR_TOOL_USE, "");
        end(&p, b);
    }
    stop(&p, AR_STOP_TOOL_USE);
    struct ar_jval root = parse(&p, &doc);
    for (unsigned i = 0; i < 2; i++) {
        struct ar_jval c = ar_json_at(ar_json_get_lit(ar_json_at(root, i), "candidates"), 0);
        struct ar_jval parts = ar_json_get_lit(ar_json_get_lit(c, "content"), "parts");
        ids[i] = ar_json_esc(
            ar_json_get_lit(ar_json_get_lit(ar_json_at(parts, 0), "functionCall"), "id"));
        assert_int_equal(ids[i].n, 27);
    }
    assert_false(ar_str_is(ids[0], ids[1]));
    pen_close(&p);
}

/* Usage that is known early is in every chunk; no number is ever negative. P-150 */
static void usage_is_cumulative(void **state)
{
    (void)state;
    struct pen p;
    struct ar_jdoc doc;
    struct ar_usage u;
    ar_usage_clear(&u);
    pen_open(&p, &ar_framing_json_array);
    begin(&p, 0, AR_TEXT, NULL);
    delta(&p, 0, AR_D_TEXT, "a");
    u.in_total = 7;
    put(&p, (struct ar_event){.kind = AR_EV_USAGE, .usage = &u});
    delta(&p, 0, AR_D_TEXT, "b");
    end(&p, 0);
    stop(&p, AR_STOP_END);
    struct ar_jval root = parse(&p, &doc);
    assert_null(ar_json_get_lit(ar_json_at(root, 0), "usageMetadata").doc);
    for (unsigned i = 1; i < 3; i++) {
        CHECK_STR(ar_json_raw(ar_json_get_lit(ar_json_at(root, i), "usageMetadata")),
                  "{\"promptTokenCount\":7,\"candidatesTokenCount\":0,\"totalTokenCount\":7}");
    }
    assert_false(ar_str_has(ar_buf_view(&p.out), AR_LIT(":-")));
    pen_close(&p);
}

/* A call that is larger than the writer may hold ends the answer, not the program. */
static void a_call_has_a_limit(void **state)
{
    (void)state;
    struct pen p;
    enum { PIECE = 1 << 20 };
    char *big = malloc(PIECE);
    assert_non_null(big);
    memset(big, 'x', PIECE);
    pen_open(&p, &ar_framing_json_array);
    begin(&p, 0, AR_TOOL_USE, "a");
    enum ar_code code = AR_OK;
    unsigned n = 0;
    for (; code == AR_OK && n < 64; n++) {
        struct ar_event ev = {.kind = AR_EV_DELTA, .delta = AR_D_JSON, .text = {big, PIECE}};
        code = ar_gemini_write(p.w, &ev, &p.f);
    }
    assert_int_equal(code, AR_TOO_LARGE);
    assert_true(n > 8);
    pen_close(&p);
    free(big);
}

/* Offsets of grounding are in bytes of the decoded text, however it is escaped. */
static void bytes_are_those_of_the_decoded_text(void **state)
{
    (void)state;
    static const char *const units[] = {"a",       "\xc3\xa9", "\xf0\x9f\x98\x80", "\\n",
                                        "\\\\",    "\\u00e9",  "\\u6f22",          "\\ud83d\\ude00",
                                        "\\ud83d", "\\u0041",  "\\ude00"};
    enum { UNITS = sizeof(units) / sizeof(units[0]) };
    unsigned seed = 1;
    for (unsigned round = 0; round < 20000; round++) {
        char esc[256] = "";
        struct ar_buf plain;
        ar_buf_init(&plain, sizeof esc);
        for (unsigned k = 0; k < round % 12; k++) {
            seed = seed * 1664525 + 1013904223;
            const char *unit = units[(seed >> 16) % UNITS];
            memcpy(esc + strlen(esc), unit, strlen(unit) + 1);
        }
        ar_json_unescape(ar_str_of(esc), &plain);
        assert_int_equal(ar_gemini_bytes(ar_str_of(esc)), plain.n);
        ar_buf_done(&plain);
    }
}

/* --- any order of events --- */

static unsigned next_random(unsigned *seed, unsigned below)
{
    *seed = *seed * 1664525 + 1013904223;
    return (*seed >> 16) % below;
}

struct told {
    unsigned calls, thoughts, texts; /* calls begun; characters of deltas */
};

/* Some events of up to four blocks that are open at once. */
static struct told play(struct pen *p, unsigned seed)
{
    static const enum ar_block_kind kinds[] = {AR_TEXT, AR_THINKING, AR_TOOL_USE, AR_REFUSAL,
                                               AR_REDACTED_THINKING};
    enum ar_block_kind open[64];
    bool ended[64] = {false};
    unsigned n = 0;
    struct told told = {0, 0, 0};
    struct ar_opaque sig = {
        .vendor = AR_VENDOR_ANTHROPIC, .form = AR_SIGNATURE, .data = AR_LIT("c2ln")};
    for (unsigned step = 0; step < 60; step++) {
        unsigned b = n ? next_random(&seed, n) : 0;
        unsigned act = next_random(&seed, 6);
        if ((act == 0 || n == 0) && n < 64) {
            open[n] = kinds[next_random(&seed, 5)];
            begin(p, n, open[n], open[n] == AR_TOOL_USE ? "id" : NULL);
            told.calls += open[n] == AR_TOOL_USE;
            n++;
        } else if (ended[b]) {
            continue;
        } else if (act == 1) {
            end(p, b);
            ended[b] = true;
        } else if (act == 2 && open[b] != AR_REFUSAL) {
            put(p, (struct ar_event){
                       .kind = AR_EV_DELTA, .b = b, .delta = AR_D_SIGNATURE, .opaque = &sig});
        } else if (open[b] == AR_TOOL_USE) {
            delta(p, b, AR_D_JSON, "{\\\"");
        } else if (open[b] == AR_THINKING) {
            delta(p, b, AR_D_THINKING, "t");
            told.thoughts++;
        } else if (open[b] != AR_REDACTED_THINKING) {
            delta(p, b, open[b] == AR_TEXT ? AR_D_TEXT : AR_D_REFUSAL, "x");
            told.texts++;
        }
    }
    stop(p, AR_STOP_END);
    return told;
}

/* Counts what the chunks say; each is a candidate with parts of one data field, the last one alone
 * says how it ended. */
static struct told hear(struct ar_jval root)
{
    struct told heard = {0, 0, 0};
    uint32_t n = ar_json_count(root);
    for (uint32_t i = 0; i < n; i++) {
        struct ar_jval c = ar_json_at(ar_json_get_lit(ar_json_at(root, i), "candidates"), 0);
        struct ar_jval parts = ar_json_get_lit(ar_json_get_lit(c, "content"), "parts");
        assert_int_equal(ar_json_get_lit(c, "finishReason").doc != NULL, i + 1 == n);
        assert_true(ar_json_count(parts) > 0);
        for (struct ar_jiter it = ar_json_iter(parts); ar_json_next(&it);) {
            struct ar_jval text = ar_json_get_lit(it.val, "text"),
                           call = ar_json_get_lit(it.val, "functionCall");
            assert_true((text.doc != NULL) != (call.doc != NULL));
            heard.calls += call.doc != NULL;
            assert_true(!call.doc || ar_json_is(ar_json_get_lit(call, "args"), AR_J_OBJECT));
            *(ar_json_get_lit(it.val, "thought").doc ? &heard.thoughts : &heard.texts) +=
                (unsigned)ar_json_esc(text).n;
        }
    }
    return heard;
}

/* P-179 P-180 */
static void any_order_keeps_the_grammar(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed < 400; seed++) {
        for (unsigned shown = 0; shown < 2; shown++) {
            struct pen p;
            struct ar_jdoc doc;
            pen_open(&p, &ar_framing_json_array);
            if (!shown) {
                ar_gemini_writer_done(p.w);
                p.request.set.show = AR_SHOW_OMITTED;
                struct ar_write_how how = {.request = &p.request, .model = AR_LIT("m")};
                p.w = ar_gemini_writer_new(&how, &p.l, &p.a);
            }
            struct told told = play(&p, seed), heard = hear(parse(&p, &doc));
            assert_int_equal(heard.calls, told.calls);
            assert_int_equal(heard.texts, told.texts);
            assert_int_equal(heard.thoughts, shown ? told.thoughts : 0);
            pen_close(&p);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_end_in_crlf),
        cmocka_unit_test(an_array_is_one_value),
        cmocka_unit_test(an_array_stays_one_after_an_error),
        cmocka_unit_test(an_end_without_a_stop_is_an_error),
        cmocka_unit_test(calls_are_whole),
        cmocka_unit_test(calls_without_ids_get_their_own),
        cmocka_unit_test(usage_is_cumulative),
        cmocka_unit_test(a_call_has_a_limit),
        cmocka_unit_test(any_order_keeps_the_grammar),
        cmocka_unit_test(bytes_are_those_of_the_decoded_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
