/* The stream reader of an upstream: what the golden streams do not show. */
#include "check.h"

#include "dialect/dialect.h"
#include "dialect/golden_kit.h"
#include "http/sse.h"

static struct ar_arena a;

struct seen {
    struct ar_buf text, raws; /* "kind:text " of deltas; all raw bytes */
    struct kit_watch watch;
    unsigned starts, blocks, raw_only;
    bool committed, no_raw, is_over;
    struct ar_usage usage;
    enum ar_stop_reason stop;
    enum ar_code code;
};

static void drain(struct ar_reader *r, struct seen *s)
{
    struct ar_event ev;
    while (ar_dialect_responses.read_next(r, &ev)) {
        const char *wrong = kit_watch_event(&s->watch, &ev);
        if (wrong) {
            fail_msg("%s", wrong);
        }
        ar_buf_str(&s->raws, ev.raw);
        s->no_raw |= ev.raw.p == NULL;
        s->raw_only += ev.kind == AR_EV_RAW;
        s->committed |= ar_event_commits(&ev);
        s->starts += ev.kind == AR_EV_START;
        if (ev.kind == AR_EV_BLOCK_START) {
            s->blocks++;
            ar_buf_fmt(&s->text, "[%d:", (int)ev.block->kind);
        } else if (ev.kind == AR_EV_DELTA) {
            ar_buf_str(&s->text, ev.text);
        } else if (ev.kind == AR_EV_BLOCK_END) {
            ar_buf_char(&s->text, ']');
        } else if (ev.kind == AR_EV_STOP) {
            s->stop = ev.stop->reason;
            s->usage = ev.usage ? *ev.usage : s->usage;
        } else if (ev.kind == AR_EV_ERROR) {
            s->code = ev.fault->code;
        }
        s->is_over |= ev.kind == AR_EV_ERROR || ev.kind == AR_EV_END;
    }
}

/* Reads a body that comes in two pieces, cut at `at`. */
static struct seen read_cut(struct ar_str body, size_t at, bool relay)
{
    struct ar_read_how how = {.relay = relay, .content_max = 1 << 20};
    struct ar_reader *r = ar_dialect_responses.reader_new(&how, &a);
    struct ar_str pieces[] = {ar_str_head(body, at), ar_str_from(body, at)};
    struct seen s = {.code = AR_OK};
    struct ar_sse sse;
    struct ar_frame f;
    ar_usage_clear(&s.usage);
    ar_buf_init(&s.raws, 1 << 20);
    ar_buf_init(&s.text, 1 << 20);
    ar_sse_init(&sse, 1 << 20);
    for (unsigned i = 0; i < 2; i++) {
        while (pieces[i].n > 0) {
            size_t used;
            if (ar_sse_next(&sse, pieces[i], &used, &f) == AR_READY) {
                ar_dialect_responses.read_frame(r, &f);
                drain(r, &s);
            }
            pieces[i] = ar_str_from(pieces[i], used);
        }
    }
    ar_dialect_responses.read_eof(r, AR_EOF_CLEAN);
    drain(r, &s);
    ar_dialect_responses.reader_done(r);
    ar_sse_done(&sse);
    return s;
}

static struct seen read_all(const char *body, bool relay)
{
    return read_cut(ar_str_of(body), 0, relay);
}

static void done(struct seen *s)
{
    ar_buf_done(&s->raws);
    ar_buf_done(&s->text);
    ar_arena_reset(&a);
}

static bool said(const struct seen *s, const char *text)
{
    return ar_str_is(ar_buf_view(&s->text), ar_str_of(text));
}

#define EV(type, rest) "event: " type "\ndata: {\"type\":\"" type "\"" rest "}\n\n"
#define CREATED                                                                                    \
    EV("response.created", ",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}")
#define MESSAGE                                                                                    \
    EV("response.output_item.added",                                                               \
       ",\"output_index\":0,\"item\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[]}")
#define TEXT(t)                                                                                    \
    EV("response.output_text.delta", ",\"output_index\":0,\"content_index\":0,\"delta\":\"" t "\"")
#define MESSAGE_ITEM(t)                                                                            \
    "{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"" t  \
    "\",\"annotations\":[]}]}"
#define MESSAGE_DONE(t)                                                                            \
    EV("response.output_item.done", ",\"output_index\":0,\"item\":" MESSAGE_ITEM(t))
#define COMPLETED(output)                                                                          \
    EV("response.completed",                                                                       \
       ",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\"output\":[" output             \
       "],\"usage\":{\"input_tokens\":5,\"output_tokens\":3}}")
#define PLAIN CREATED MESSAGE TEXT("Hi ") TEXT("\\u00e9!") MESSAGE_DONE("Hi \xc3\xa9!")

static void every_cut_is_the_same(void **state)
{
    (void)state;
    static const char BODY[] = PLAIN COMPLETED(MESSAGE_ITEM("Hi \xc3\xa9!"));
    struct ar_str body = ar_str_n(BODY, sizeof BODY - 1);
    for (size_t at = 0; at <= body.n; at++) {
        struct seen s = read_cut(body, at, false), raw = read_cut(body, at, true);
        assert_true(said(&s, "[0:Hi \\u00e9!]"));
        assert_int_equal(s.stop, AR_STOP_END);
        assert_int_equal(s.usage.in_total, 5);
        CHECK_STR(ar_buf_view(&raw.raws), BODY);
        assert_int_equal(raw.usage.out_total, 3);
        done(&s);
        ar_buf_done(&raw.raws);
        ar_buf_done(&raw.text);
    }
}

static void every_truncation_is_told(void **state)
{
    (void)state;
    static const char BODY[] = PLAIN COMPLETED("");
    struct ar_str body = ar_str_n(BODY, sizeof BODY - 1);
    for (size_t n = 0; n + 2 < body.n; n++) {
        for (unsigned relay = 0; relay < 2; relay++) {
            struct seen s = read_cut(ar_str_head(body, n), n / 2, relay);
            assert_true(s.is_over);
            assert_int_equal(s.code, AR_UPSTREAM_TRUNCATED);
            done(&s);
        }
    }
}

static void a_missing_end_comes_with_the_item(void **state)
{
    (void)state;
    struct seen s = read_all(CREATED MESSAGE TEXT("A\\ud83d\\ude00")
                                 MESSAGE_DONE("A\xf0\x9f\x98\x80 end") COMPLETED(""),
                             false);
    assert_true(said(&s, "[0:A\\ud83d\\ude00 end]"));
    done(&s);
}

static void an_item_is_shown_once(void **state)
{
    (void)state;
    struct seen s = read_all(
        PLAIN COMPLETED(MESSAGE_ITEM(
            "Hi \xc3\xa9!") ","
                            "{\"id\":\"fc_1\",\"type\":\"function_call\",\"call_id\":\"c\","
                            "\"name\":\"f\",\"arguments\":\"{}\"}"),
        false);
    assert_true(said(&s, "[0:Hi \\u00e9!][5:{}]"));
    assert_int_equal(s.stop, AR_STOP_TOOL_USE);
    done(&s);
    /* its place is another, its id is known */
    s = read_all(
        PLAIN COMPLETED("{\"id\":\"rs_0\",\"type\":\"reasoning\",\"summary\":[]}," MESSAGE_ITEM(
            "Hi \xc3\xa9!")),
        false);
    assert_true(said(&s, "[0:Hi \\u00e9!]"));
    done(&s);
}

static void items_may_interleave(void **state)
{
    (void)state;
#define CALL(i, n)                                                                                 \
    EV("response.output_item.added", ",\"output_index\":" i ",\"item\":{\"id\":\"fc_" i            \
                                     "\",\"type\":\"function_call\",\"call_id\":\"c" i             \
                                     "\",\"name\":\"" n "\",\"arguments\":\"\"}")
#define ARGS(i, t)                                                                                 \
    EV("response.function_call_arguments.delta", ",\"output_index\":" i ",\"delta\":\"" t "\"")
#define CALL_DONE(i, n, t)                                                                         \
    EV("response.output_item.done", ",\"output_index\":" i ",\"item\":{\"id\":\"fc_" i             \
                                    "\",\"type\":\"function_call\",\"call_id\":\"c" i              \
                                    "\",\"name\":\"" n "\",\"arguments\":\"" t "\"}")
    struct seen s = read_all(CREATED CALL("0", "f") CALL("1", "g") ARGS("1", "{") ARGS("0", "[")
                                 CALL_DONE("1", "g", "{}") CALL_DONE("0", "f", "[]") COMPLETED(""),
                             false);
    assert_true(said(&s, "[5:[5:{[}]]]"));
    assert_int_equal(s.blocks, 2);
    done(&s);
}

static void an_open_item_is_closed_by_the_end(void **state)
{
    (void)state;
    struct seen s = read_all(CREATED MESSAGE TEXT("Hi") COMPLETED(""), false);
    assert_true(said(&s, "[0:Hi]"));
    assert_int_equal(s.stop, AR_STOP_END);
    done(&s);
}

static void relay_reads_what_it_must(void **state)
{
    (void)state;
    static const char BODY[] = ": hello\n\n" PLAIN COMPLETED(MESSAGE_ITEM("x")) "data: [DONE]\n\n";
    struct seen s = read_all(BODY, true);
    CHECK_STR(ar_buf_view(&s.raws), BODY);
    assert_int_equal(s.starts, 1);
    assert_true(s.committed && !s.no_raw && s.is_over);
    assert_true(s.raw_only >= 4); /* what follows the first content is bytes */
    done(&s);
    s = read_all(CREATED CALL("0", "f") COMPLETED(""), true);
    assert_int_equal(s.stop, AR_STOP_TOOL_USE);
    done(&s);
    s = read_all(CREATED, true);
    assert_false(s.committed); /* the answer may still come from somewhere else */
    done(&s);
}

/* Codex knows no error event: response.failed follows it and must reach the client. */
static void relay_passes_what_follows_an_error(void **state)
{
    (void)state;
#define ERROR EV("error", ",\"code\":\"server_error\",\"message\":\"m\"")
#define FAILED                                                                                     \
    EV("response.failed", ",\"response\":{\"status\":\"failed\",\"error\":{\"code\":"              \
                          "\"rate_limit_exceeded\",\"message\":\"m\"}}")
    struct seen s = read_all(PLAIN ERROR FAILED, true);
    CHECK_STR(ar_buf_view(&s.raws), PLAIN ERROR FAILED);
    assert_int_equal(s.code, AR_UPSTREAM_RATE_LIMITED);
    done(&s);
    s = read_all(PLAIN ERROR, true);
    CHECK_STR(ar_buf_view(&s.raws), PLAIN ERROR);
    assert_int_equal(s.code, AR_UPSTREAM_ERROR);
    done(&s);
    s = read_all(CREATED ERROR FAILED, true); /* nothing shown yet: fail over at once */
    assert_int_equal(s.code, AR_UPSTREAM_ERROR);
    done(&s);
}

static void nonsense_is_an_error(void **state)
{
    (void)state;
    struct seen s = read_all(CREATED "event: response.output_text.delta\ndata: {broken\n\n", false);
    assert_int_equal(s.code, AR_UPSTREAM_ERROR);
    done(&s);
    s = read_all(CREATED "event: response.completed\ndata: {\"type\":\"response.completed\"}\n\n",
                 false);
    assert_int_equal(s.code, AR_UPSTREAM_ERROR);
    done(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_is_the_same),
        cmocka_unit_test(every_truncation_is_told),
        cmocka_unit_test(a_missing_end_comes_with_the_item),
        cmocka_unit_test(an_item_is_shown_once),
        cmocka_unit_test(items_may_interleave),
        cmocka_unit_test(an_open_item_is_closed_by_the_end),
        cmocka_unit_test(relay_reads_what_it_must),
        cmocka_unit_test(relay_passes_what_follows_an_error),
        cmocka_unit_test(nonsense_is_an_error),
    };
    ar_arena_init(&a, 64 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_arena_done(&a);
    return failed;
}
