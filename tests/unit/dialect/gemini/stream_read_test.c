/* The stream reader facing an upstream: the same events however the bytes are cut, what a relayed
 * stream must tell, when it waits, and what its memory does not depend on. */
#include "check.h"

#include "dialect/dialect.h"
#include "dialect/golden_kit.h"
#include "http/sse.h"

#define CHUNK(parts, more)                                                                         \
    "data: {\"candidates\":[{\"content\":{\"parts\":[" parts                                       \
    "],\"role\":\"model\"},\"index\":0" more "}],\"usageMetadata\":{\"promptTokenCount\":5,"       \
    "\"candidatesTokenCount\":2,\"totalTokenCount\":7},\"responseId\":\"R\"}\r\n\r\n"
static const char STREAM[] = CHUNK("{\"text\":\"Hm \\u00e9\",\"thought\":true}", "")
    CHUNK("{\"text\":\"\xc3\xa9t\xc3\xa9 \\\"x\\\"\"}", "")
        CHUNK("{\"functionCall\":{\"name\":\"f\",\"args\":{\"a\":\"\\n\"}},"
              "\"thoughtSignature\":\"c2ln\"}",
              "") ": comment\r\n\r\n" CHUNK("{\"text\":\"\"}", ",\"finishReason\":\"STOP\"");

static struct ar_arena a;

struct seen {
    struct ar_buf text, raws; /* kinds and texts; bytes to relay */
    struct kit_watch watch;
    unsigned usages, raw_only;
    bool committed, failed, ended, no_raw;
    enum ar_code code;
    enum ar_stop_reason stop;
    struct ar_usage usage;
};

static void drain(struct ar_reader *r, struct seen *s)
{
    struct ar_event ev;
    while (ar_dialect_gemini.read_next(r, &ev)) {
        const char *wrong = kit_watch_event(&s->watch, &ev);
        if (wrong) {
            fail_msg("%s", wrong);
        }
        ar_buf_fmt(&s->text, "%d:%u:%.*s\n", ev.kind, ev.b, AR_FMT(ev.text));
        ar_buf_str(&s->raws, ev.raw);
        s->no_raw |= ev.raw.p == NULL;
        s->committed |= ar_event_commits(&ev);
        s->raw_only += ev.kind == AR_EV_RAW;
        s->usages += ev.kind == AR_EV_USAGE;
        s->ended |= ev.kind == AR_EV_END;
        if (ev.kind == AR_EV_STOP) {
            s->stop = ev.stop->reason;
            s->usage = *ev.usage;
        } else if (ev.kind == AR_EV_ERROR) {
            s->failed = true;
            s->code = ev.fault->code;
        }
    }
}

/* step: bytes given at once. */
static struct seen read_in_steps(const char *sse, bool relay, size_t step)
{
    struct ar_read_how how = {.relay = relay};
    struct ar_reader *r = ar_dialect_gemini.reader_new(&how, &a);
    struct ar_str body = ar_str_of(sse);
    struct seen s = {.code = AR_OK};
    struct ar_sse cut;
    ar_buf_init(&s.text, 1 << 20);
    ar_buf_init(&s.raws, 1 << 20);
    ar_sse_init(&cut, 1 << 20);
    for (size_t at = 0; at < body.n; at += step) {
        struct ar_str piece = ar_str_head(ar_str_from(body, at), step);
        while (piece.n > 0) {
            size_t used;
            struct ar_frame f;
            enum ar_poll p = ar_sse_next(&cut, piece, &used, &f);
            piece = ar_str_from(piece, used);
            assert_true(p != AR_FAILED);
            if (p == AR_READY) {
                ar_dialect_gemini.read_frame(r, &f);
                drain(r, &s);
            }
        }
    }
    ar_dialect_gemini.read_eof(r, AR_EOF_CLEAN);
    drain(r, &s);
    ar_dialect_gemini.reader_done(r);
    ar_sse_done(&cut);
    return s;
}

static void done(struct seen *s)
{
    ar_buf_done(&s->text);
    ar_buf_done(&s->raws);
    ar_arena_reset(&a);
}

static void test_the_same_however_it_is_cut(void **state)
{
    (void)state;
    struct seen whole = read_in_steps(STREAM, false, sizeof STREAM);
    assert_true(whole.ended && whole.stop == AR_STOP_TOOL_USE);
    assert_true(ar_str_has(ar_buf_view(&whole.text), AR_LIT("{\\\"a\\\":\\\"\\\\n\\\"}")));
    for (size_t step = 1; step < 64; step++) {
        struct seen s = read_in_steps(STREAM, false, step);
        assert_true(ar_str_is(ar_buf_view(&s.text), ar_buf_view(&whole.text)));
        ar_buf_done(&s.text);
        ar_buf_done(&s.raws);
    }
    done(&whole);
}

static void test_a_relay_loses_nothing(void **state)
{
    (void)state;
    for (size_t step = 1; step < 40; step += 3) {
        struct seen s = read_in_steps(STREAM, true, step);
        assert_true(ar_str_is(ar_buf_view(&s.raws), ar_str_of(STREAM)));
        assert_true(s.committed && s.ended && !s.no_raw && !s.failed);
        assert_int_equal(s.stop, AR_STOP_TOOL_USE);
        assert_int_equal(s.usage.in_total, 5);
        assert_int_equal(s.usage.out_total, 2);
        assert_int_equal(s.usages, 1); /* they did not change */
        done(&s);
    }
}

static void test_a_cut_relay_does_not_end(void **state)
{
    (void)state;
    struct seen s = read_in_steps(CHUNK("{\"text\":\"A\"}", ""), true, 1000);
    assert_true(s.failed && !s.ended);
    assert_int_equal(s.code, AR_UPSTREAM_TRUNCATED);
    done(&s);
    s = read_in_steps(": only a comment\r\n\r\n", true, 1000);
    assert_true(s.failed && !s.committed);
    done(&s);
    s = read_in_steps("data: {\"error\":{\"code\":429,\"message\":\"no\"}}\r\n\r\n", true, 1000);
    assert_true(s.failed);
    assert_int_equal(s.code, AR_UPSTREAM_RATE_LIMITED);
    done(&s);
}

/* Chunks whose counts grow: they are looked at now and then, and the last ones count. */
static void test_counts_that_grow(void **state)
{
    (void)state;
    struct ar_buf sse;
    ar_buf_init(&sse, 1 << 20);
    for (unsigned i = 1; i <= 40; i++) {
        ar_buf_fmt(&sse,
                   "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"%u\"}]}}],"
                   "\"usageMetadata\":{\"promptTokenCount\":3,\"candidatesTokenCount\":%u,"
                   "\"totalTokenCount\":%u}}\r\n\r\n",
                   i, i, i + 3);
    }
    ar_buf_put(&sse, "", 1);
    struct seen s = read_in_steps(sse.p, true, 1000);
    assert_true(s.failed && s.usages >= 2 && s.usages <= 5 && s.raw_only > 30);
    done(&s);
    sse.n--;
    ar_buf_lit(&sse, "data: {\"candidates\":[{\"finishReason\":\"STOP\"}]}\r\n\r\n");
    ar_buf_put(&sse, "", 1);
    for (unsigned relay = 0; relay < 2; relay++) {
        s = read_in_steps(sse.p, relay, 1000);
        assert_true(s.ended && s.usages >= 2 && s.usages <= 5);
        assert_int_equal(s.stop, AR_STOP_END);
        assert_int_equal(s.usage.in_total, 3);
        assert_int_equal(s.usage.out_total, 40);
        done(&s);
    }
    ar_buf_done(&sse);
}

static void test_nonsense_fails(void **state)
{
    (void)state;
    static const char *const BODIES[] = {"data: [\r\n\r\n", "data: 5\r\n\r\n", "data: null\r\n\r\n",
                                         ""};
    for (size_t i = 0; i < sizeof BODIES / sizeof *BODIES; i++) {
        struct seen s = read_in_steps(BODIES[i], false, 1000);
        assert_true(s.failed && !s.committed && !s.ended);
        done(&s);
    }
}

static void test_it_lingers_for_late_chunks(void **state)
{
    (void)state;
    struct ar_read_how how = {.relay = false};
    struct ar_reader *r = ar_dialect_gemini.reader_new(&how, &a);
    struct ar_str body = ar_str_of(STREAM);
    struct ar_frame f;
    struct ar_event ev;
    bool lingers[5];
    unsigned n = 0;
    while (kit_frame(&body, &a, &f)) {
        ar_dialect_gemini.read_frame(r, &f);
        while (ar_dialect_gemini.read_next(r, &ev)) {
        }
        lingers[n++] = ar_dialect_gemini.read_lingers(r);
    }
    assert_int_equal(n, 4);
    assert_false(lingers[0] || lingers[1] || lingers[2]);
    assert_true(lingers[3]);
    ar_dialect_gemini.read_eof(r, AR_EOF_ENOUGH);
    while (ar_dialect_gemini.read_next(r, &ev)) {
    }
    assert_int_equal(ev.kind, AR_EV_END);
    assert_false(ar_dialect_gemini.read_lingers(r));
    ar_dialect_gemini.reader_done(r);
    ar_arena_reset(&a);
}

/* A place that does not exist in a piece's path, or one that is too deep, is left out. */
static void test_odd_pieces(void **state)
{
    (void)state;
    struct seen s = read_in_steps(
        CHUNK("{\"functionCall\":{\"name\":\"f\",\"willContinue\":true,\"partialArgs\":["
              "{\"jsonPath\":\"$\",\"stringValue\":\"x\"},{\"jsonPath\":\"$.[\"},"
              "{\"jsonPath\":\"$.a[999999]\",\"stringValue\":\"x\"},"
              "{\"jsonPath\":\"$['k']\",\"stringValue\":\"v\"}]}}",
              ",\"finishReason\":\"STOP\""),
        false, 1000);
    assert_true(s.ended && !s.failed);
    assert_true(ar_str_has(ar_buf_view(&s.text), AR_LIT("\\\"k\\\":\\\"v\\\"")));
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_however_it_is_cut),
        cmocka_unit_test(test_a_relay_loses_nothing),
        cmocka_unit_test(test_a_cut_relay_does_not_end),
        cmocka_unit_test(test_counts_that_grow),
        cmocka_unit_test(test_nonsense_fails),
        cmocka_unit_test(test_it_lingers_for_late_chunks),
        cmocka_unit_test(test_odd_pieces),
    };
    ar_arena_init(&a, 1 << 26);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_arena_done(&a);
    return failed;
}
