/* The relaying reader: bytes come out as they went in, and what must be known is known. */
#include "check.h"

#include "dialect/dialect.h"
#include "dialect/golden_kit.h"

static struct ar_arena a;

struct seen {
    struct ar_buf raws;
    struct kit_watch watch;
    unsigned raw_only, usages;
    bool committed, ended, failed, no_raw;
    struct ar_usage usage;
    enum ar_stop_reason stop;
    enum ar_code code;
};

static void drain(struct ar_reader *r, struct seen *s)
{
    struct ar_event ev;
    while (ar_dialect_chat.read_next(r, &ev)) {
        const char *wrong = kit_watch_event(&s->watch, &ev);
        if (wrong) {
            fail_msg("%s", wrong);
        }
        ar_buf_str(&s->raws, ev.raw);
        s->no_raw |= ev.raw.p == NULL;
        s->raw_only += ev.kind == AR_EV_RAW;
        s->committed |= ar_event_commits(&ev);
        s->ended |= ev.kind == AR_EV_END;
        if (ev.kind == AR_EV_USAGE) {
            s->usages++;
        } else if (ev.kind == AR_EV_STOP) {
            s->stop = ev.stop->reason;
            s->usage = ev.usage ? *ev.usage : s->usage;
        } else if (ev.kind == AR_EV_ERROR) {
            s->failed = true;
            s->code = ev.fault->code;
        }
    }
}

static struct seen relay(const char *sse, bool swallow, bool eof)
{
    struct ar_read_how how = {.relay = true, .swallow_usage = swallow};
    struct ar_reader *r = ar_dialect_chat.reader_new(&how, &a);
    struct ar_str body = ar_str_of(sse);
    struct ar_frame f;
    struct seen s = {.code = AR_OK};
    ar_usage_clear(&s.usage);
    ar_buf_init(&s.raws, 1 << 20);
    while (kit_frame(&body, &a, &f)) {
        ar_dialect_chat.read_frame(r, &f);
        drain(r, &s);
    }
    if (eof) {
        ar_dialect_chat.read_eof(r, AR_EOF_CLEAN);
        drain(r, &s);
    }
    ar_dialect_chat.reader_done(r);
    return s;
}

#define CHUNK(delta, rest)                                                                         \
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" rest    \
    "\n\n"
#define ROLE    CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null}],\"usage\":null}")
#define TEXT(t) CHUNK("{\"content\":\"" t "\"}", "null}],\"usage\":null}")
#define FINISH  CHUNK("{}", "\"stop\"}],\"usage\":null}")
#define USAGE                                                                                      \
    "data: "                                                                                       \
    "{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":3,\"total_" \
    "tokens\":8}}\n\n"
#define DONE "data: [DONE]\n\n"

/* P-015 on a stream: every byte, comments included. */
static void bytes_are_untouched(void **state)
{
    (void)state;
    const char *sse = ": hello\n\n" ROLE TEXT("one") TEXT(" two") TEXT(" \\\"usage\\\":{") TEXT("x")
        FINISH USAGE DONE;
    struct seen s = relay(sse, false, false);
    CHECK_STR(ar_buf_view(&s.raws), sse);
    assert_true(s.committed && s.ended && !s.failed && !s.no_raw);
    assert_int_equal(s.usage.in_total, 5);
    assert_int_equal(s.usage.out_total, 3);
    assert_int_equal(s.usages, 1);
    assert_int_equal(s.stop, AR_STOP_END);
    ar_buf_done(&s.raws);
}

static void asked_usage_is_swallowed(void **state)
{
    (void)state;
    struct seen s = relay(ROLE TEXT("one") FINISH USAGE DONE, true, false);
    CHECK_STR(ar_buf_view(&s.raws), ROLE TEXT("one") FINISH DONE);
    assert_int_equal(s.usage.out_total, 3);
    ar_buf_done(&s.raws);
    /* usage beside a finish was not asked for: it stays */
    const char *both = ROLE TEXT("a")
        CHUNK("{}", "\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}") DONE;
    s = relay(both, true, false);
    CHECK_STR(ar_buf_view(&s.raws), both);
    ar_buf_done(&s.raws);
}

/* A frame that looks like the one before but tells something is not overlooked. */
static void nothing_hides_behind_the_template(void **state)
{
    (void)state;
    const char *sse = ROLE TEXT("one") TEXT("two") TEXT("three")
        CHUNK("{\"content\":\"four\"},\"finish_reason\":\"length\",\"z\":{\"content\":\"x\"}",
              "null}],\"usage\":null}") DONE;
    struct seen s = relay(sse, false, false);
    CHECK_STR(ar_buf_view(&s.raws), sse);
    assert_true(s.ended);
    ar_buf_done(&s.raws);
    s = relay(ROLE TEXT("one") TEXT("two") "data: {\"error\":{\"message\":\"m\",\"code\":429}}\n\n",
              false, false);
    assert_true(s.failed && !s.ended);
    assert_int_equal(s.code, AR_UPSTREAM_RATE_LIMITED);
    ar_buf_done(&s.raws);
}

/* P-186 */
static void a_cut_is_an_error(void **state)
{
    (void)state;
    struct seen s = relay(ROLE TEXT("one"), false, true);
    assert_true(s.failed && !s.ended && s.no_raw);
    assert_int_equal(s.code, AR_UPSTREAM_TRUNCATED);
    ar_buf_done(&s.raws);
    s = relay(ROLE TEXT("one") FINISH, false, true); /* no [DONE], as some places do */
    assert_true(s.ended && !s.failed);
    ar_buf_done(&s.raws);
    s = relay(ROLE DONE, false, true);
    assert_true(s.failed && !s.committed);
    ar_buf_done(&s.raws);
}

static void role_and_empty_do_not_commit(void **state)
{
    (void)state;
    struct seen s = relay("data: {\"choices\":[],\"id\":\"\"}\n\n" ROLE ROLE, false, false);
    assert_false(s.committed);
    ar_buf_done(&s.raws);
    s = relay(
        ROLE CHUNK("{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"f\"}}]}",
                   "null}]}"),
        false, false);
    assert_true(s.committed);
    ar_buf_done(&s.raws);
}

/* Who only waits for usage may stop waiting; who waits for another candidate may not. */
static void lingers_after_the_finish(void **state)
{
    struct ar_read_how how = {.relay = true};
    struct ar_reader *r = ar_dialect_chat.reader_new(&how, &a);
    static const char *const FRAMES[] = {ROLE, TEXT("a"), FINISH,
                                         CHUNK("{\"content\":\"b\"}", "null}]}"), FINISH};
    static const bool WANT[] = {false, false, true, false, true};
    (void)state;
    for (size_t i = 0; i < sizeof FRAMES / sizeof *FRAMES; i++) {
        struct ar_str body = ar_str_of(FRAMES[i]);
        struct ar_frame f;
        struct ar_event ev;
        assert_true(kit_frame(&body, &a, &f));
        ar_dialect_chat.read_frame(r, &f);
        while (ar_dialect_chat.read_next(r, &ev)) {
        }
        assert_int_equal(ar_dialect_chat.read_lingers(r), WANT[i]);
    }
    ar_dialect_chat.reader_done(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_untouched),
        cmocka_unit_test(asked_usage_is_swallowed),
        cmocka_unit_test(nothing_hides_behind_the_template),
        cmocka_unit_test(a_cut_is_an_error),
        cmocka_unit_test(role_and_empty_do_not_commit),
        cmocka_unit_test(lingers_after_the_finish),
    };
    ar_arena_init(&a, 1 << 26);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_arena_done(&a);
    return failed;
}
