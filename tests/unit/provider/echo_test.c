/*
 * The built-in provider on a real loop: every model of echo.def streams events that keep the
 * invariants of PROTOCOLS 5.5, whole answers say the same, failures are one ERROR event, paces are
 * kept, and it can be closed at any time.
 */
#include "check.h"
#include "io/loop.h"
#include "ir/loss.h"
#include "provider/provider.h"

struct bench {
    struct ar_loop *loop;
    struct ar_waker waker;
    struct ar_arena arena;
    struct ar_request *request;
    struct ar_call_spec spec;
    struct ar_call *call;
    unsigned wakes;
};

static struct bench *the_bench;

static void on_wake(struct ar_waker *w)
{
    struct bench *b = the_bench;
    assert_ptr_equal(w, &b->waker);
    b->wakes++;
    ar_loop_stop(b->loop);
}

static const char TOOLS[] = "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"first\","
                            "\"parameters\":{\"type\":\"object\","
                            "\"properties\":{\"s\":{\"type\":\"string\"},\"n\":{\"type\":"
                            "\"integer\"},\"e\":{\"enum\":[\"x\",\"y\"]},"
                            "\"l\":{\"type\":\"array\"},\"b\":{\"type\":\"boolean\"},\"o\":{"
                            "\"type\":\"object\",\"properties\":{\"k\":{}}}}}}},"
                            "{\"type\":\"function\",\"function\":{\"name\":\"second\"}}],";

/* Begins a call of a model; more: further members of the request. */
static void begin(struct bench *b, const char *model, const char *more, bool stream)
{
    *b = (struct bench){.loop = ar_loop_new(), .waker = {on_wake}};
    assert_non_null(b->loop);
    the_bench = b;
    ar_arena_init(&b->arena, 4 << 20);
    struct ar_str body =
        ar_arena_fmt(&b->arena,
                     "{\"model\":\"%s\",%s\"messages\":[{\"role\":\"user\",\"content\":\"Say "
                     "\\\"h\\u00e9llo\\\" to all of "
                     "them, one after the other, please, and mind your step on the way.\"}]}",
                     model, more);
    struct ar_wire_in in = {.doc = NULL};
    struct ar_losses losses = {.n = 0};
    struct ar_err err = {0};
    CHECK_OK(
        ar_dialect_chat.decode_request(body, &in, AR_OP_GENERATE, &b->arena, &b->request, &err));
    CHECK_OK(ar_request_seal(b->request, &b->arena, &losses, &err));
    b->spec = (struct ar_call_spec){.ops = &ar_echo_call,
                                    .dialect = &ar_dialect_chat,
                                    .target = {.model = ar_str_of(model)},
                                    .op = AR_OP_GENERATE,
                                    .client_stream = stream,
                                    .upstream_stream = stream,
                                    .request = b->request,
                                    .stamp = {.now_unix = 1700000000, .seed = {1, 2, 3}},
                                    .arena = &b->arena,
                                    .loop = b->loop,
                                    .waker = &b->waker};
    b->call = ar_echo_call.start(&b->spec);
}

static void finish(struct bench *b)
{
    ar_echo_call.close(b->call);
    ar_loop_free(b->loop);
    ar_arena_done(&b->arena);
}

/* The next event, however long it takes. */
static void next(struct bench *b, struct ar_event *ret)
{
    while (!ar_echo_call.next(b->call, ret)) {
        ar_loop_run(b->loop);
    }
}

/* What a stream was, watched for its rules. */
struct seen {
    unsigned events, blocks, open, stops, deltas, calls, thoughts, refusals;
    bool started, ended, failed;
    struct ar_stop stop;
    struct ar_usage usage;
    struct ar_fault fault;
    struct ar_buf text, json;
};

static void watch(struct seen *s, const struct ar_event *ev)
{
    assert_false(s->ended || s->failed);
    assert_true(s->started || ev->kind == AR_EV_START || ev->kind == AR_EV_ERROR);
    s->events++;
    switch (ev->kind) {
    case AR_EV_START:
        assert_false(s->started);
        assert_true(ev->answer->id.n > 0 && ev->answer->model.n > 0);
        s->started = true;
        break;
    case AR_EV_BLOCK_START:
        assert_int_equal(ev->b, s->blocks++);
        assert_int_equal(s->stops, 0);
        s->open |= 1U << ev->b;
        s->calls += ev->block->kind == AR_TOOL_USE;
        s->thoughts += ev->block->kind == AR_THINKING;
        s->refusals += ev->block->kind == AR_REFUSAL;
        break;
    case AR_EV_DELTA:
        assert_true(s->open >> ev->b & 1);
        assert_true(ev->text.n > 0);
        s->deltas++;
        if (ev->delta == AR_D_TEXT || ev->delta == AR_D_REFUSAL) {
            ar_buf_str(&s->text, ev->text);
        } else if (ev->delta == AR_D_JSON) {
            ar_buf_str(&s->json, ev->text);
        }
        break;
    case AR_EV_BLOCK_END:
        assert_true(s->open >> ev->b & 1);
        s->open &= ~(1U << ev->b);
        break;
    case AR_EV_STOP:
        assert_int_equal(s->open, 0);
        assert_int_equal(s->stops++, 0);
        s->stop = *ev->stop;
        s->usage = ev->usage ? *ev->usage : s->usage;
        break;
    case AR_EV_USAGE:
        s->usage = *ev->usage;
        break;
    case AR_EV_END:
        assert_int_equal(s->stops, 1);
        s->ended = true;
        break;
    case AR_EV_ERROR:
        s->fault = *ev->fault;
        s->failed = true;
        break;
    case AR_EV_PING:
        break;
    case AR_EV_RAW:
    case AR_EV_WHOLE:
        fail();
    }
}

static struct seen stream_of(const char *model, const char *more)
{
    struct bench b;
    struct seen s = {.events = 0};
    struct ar_event ev;
    ar_usage_clear(&s.usage);
    ar_buf_init(&s.text, 1 << 20);
    ar_buf_init(&s.json, 1 << 20);
    begin(&b, model, more, true);
    while (!s.ended && !s.failed) {
        next(&b, &ev);
        watch(&s, &ev);
    }
    assert_false(ar_echo_call.next(b.call, &ev)); /* the last is the last */
    s.fault.message = (struct ar_str){NULL, 0};   /* dies with the call */
    finish(&b);
    return s;
}

static void seen_done(struct seen *s)
{
    ar_buf_done(&s->text);
    ar_buf_done(&s->json);
}

#define SAID                                                                                       \
    "Say \\\"h\\u00e9llo\\\" to all of them, one after the other, please, and mind your step on "  \
    "the way."

static void test_text(void **state)
{
    (void)state;
    struct seen s = stream_of("echo/text", "");
    CHECK_STR(ar_buf_view(&s.text), SAID);
    assert_int_equal(s.stop.reason, AR_STOP_END);
    assert_int_equal(s.blocks, 1);
    assert_true(s.deltas > 1);
    assert_true(s.usage.in_total > 0 && s.usage.out_total > 0);
    seen_done(&s);
}

static void test_kinds_of_answers(void **state)
{
    (void)state;
    struct seen s = stream_of("echo/thinking", "");
    assert_int_equal(s.thoughts, 1);
    CHECK_STR(ar_buf_view(&s.text), SAID);
    assert_true(s.usage.out_reasoning > 0 && s.usage.out_reasoning < s.usage.out_total);
    seen_done(&s);
    s = stream_of("echo/refusal", "");
    assert_int_equal(s.refusals, 1);
    assert_int_equal(s.stop.reason, AR_STOP_REFUSAL);
    seen_done(&s);
    s = stream_of("echo/length", "");
    assert_int_equal(s.stop.reason, AR_STOP_MAX_TOKENS);
    seen_done(&s);
    s = stream_of("echo/slow-1", "");
    CHECK_STR(ar_buf_view(&s.text), SAID);
    seen_done(&s);
}

static void test_tools(void **state)
{
    (void)state;
    struct seen s = stream_of("echo/tools", TOOLS);
    assert_int_equal(s.calls, 1);
    assert_int_equal(s.stop.reason, AR_STOP_TOOL_USE);
    CHECK_STR(
        ar_buf_view(&s.json),
        "{\\\"s\\\":\\\"value\\\",\\\"n\\\":1,\\\"e\\\":\\\"x\\\",\\\"l\\\":[],\\\"b\\\":true,"
        "\\\"o\\\":{\\\"k\\\":\\\"value\\\"}}");
    seen_done(&s);
    s = stream_of("echo/parallel", TOOLS);
    assert_int_equal(s.calls, 2);
    seen_done(&s);
    s = stream_of("echo/tools", "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"only\"}"
                                "}],\"tool_choice\":\"none\",");
    assert_int_equal(s.calls, 0);
    CHECK_STR(ar_buf_view(&s.text), SAID);
    seen_done(&s);
    s = stream_of("echo/tools", ""); /* nothing to call */
    assert_int_equal(s.calls, 0);
    assert_int_equal(s.stop.reason, AR_STOP_END);
    seen_done(&s);
}

static void test_failures_are_one_event(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        enum ar_code code;
        enum ar_blame blame;
        int status;
    } CASES[] = {
        {"echo/error", AR_UPSTREAM_ERROR, AR_OF_PLACE, 500},
        {"echo/error-500", AR_UPSTREAM_ERROR, AR_OF_PLACE, 500},
        {"echo/error-529", AR_UPSTREAM_OVERLOADED, AR_OF_PLACE, 529},
        {"echo/error-429", AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY, 429},
        {"echo/error-401", AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, 401},
        {"echo/error-9", AR_UPSTREAM_ERROR, AR_OF_PLACE, 500},
        {"echo/nonsense", AR_MODEL_NOT_FOUND, AR_OF_MODEL, 0},
        {"echo/text-x", AR_MODEL_NOT_FOUND, AR_OF_MODEL, 0},
        {"echo/", AR_MODEL_NOT_FOUND, AR_OF_MODEL, 0},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct seen s = stream_of(CASES[i].model, "");
        assert_true(s.failed && s.events == 1);
        assert_int_equal(s.fault.code, CASES[i].code);
        assert_int_equal(s.fault.blame, CASES[i].blame);
        assert_int_equal(s.fault.upstream_status, CASES[i].status);
        assert_true(s.fault.code != AR_UPSTREAM_RATE_LIMITED || s.fault.retry_after_ms > 0);
        seen_done(&s);
    }
}

static void test_cut_fails_in_the_middle(void **state)
{
    (void)state;
    struct seen s = stream_of("echo/cut", "");
    assert_true(s.failed && s.deltas > 0 && s.stops == 0);
    assert_int_equal(s.fault.code, AR_UPSTREAM_TRUNCATED);
    seen_done(&s);
}

static void test_forever_is_paced_and_never_ends(void **state)
{
    (void)state;
    struct bench b;
    struct seen s = {.events = 0};
    struct ar_event ev;
    ar_buf_init(&s.text, 1 << 20);
    begin(&b, "echo/forever-3", "", true);
    int64_t begun = ar_loop_now_ms(b.loop);
    while (s.events < 20) {
        next(&b, &ev);
        watch(&s, &ev);
    }
    assert_false(s.ended || s.failed);
    assert_true(ar_loop_now_ms(b.loop) - begun >= 3 * 15);
    assert_true(b.wakes >= 10);
    finish(&b); /* while its timer runs */
    ar_buf_done(&s.text);
}

static void test_whole_answers(void **state)
{
    (void)state;
    static const char *const MODELS[] = {"echo/text",    "echo/thinking", "echo/tools",
                                         "echo/refusal", "echo/length",   "echo/slow-1"};
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        struct bench b;
        struct ar_event ev;
        struct seen s = stream_of(MODELS[i], TOOLS);
        begin(&b, MODELS[i], TOOLS, false);
        next(&b, &ev);
        assert_int_equal(ev.kind, AR_EV_WHOLE);
        const struct ar_response *r = ev.answer;
        unsigned blocks = 0;
        for (const struct ar_block *k = r->blocks; k; k = k->next) {
            blocks++;
        }
        assert_int_equal(blocks, s.blocks);
        assert_int_equal(r->stop.reason, s.stop.reason);
        assert_int_equal(r->usage.out_total, s.usage.out_total);
        next(&b, &ev);
        assert_int_equal(ev.kind, AR_EV_END);
        assert_false(ar_echo_call.next(b.call, &ev));
        finish(&b);
        seen_done(&s);
    }
    static const char *const NEVER[] = {"echo/forever", "echo/cut", "echo/error-503"};
    for (size_t i = 0; i < sizeof NEVER / sizeof *NEVER; i++) {
        struct bench b;
        struct ar_event ev;
        begin(&b, NEVER[i], "", false);
        next(&b, &ev);
        assert_int_equal(ev.kind, AR_EV_ERROR);
        assert_false(ar_echo_call.next(b.call, &ev));
        finish(&b);
    }
}

static void test_answers_depend_on_the_request_alone(void **state)
{
    (void)state;
    static const char *const MODELS[] = {"echo/text", "echo/parallel"};
    for (size_t i = 0; i < sizeof MODELS / sizeof *MODELS; i++) {
        struct bench one, two;
        struct ar_event a, b;
        begin(&one, MODELS[i], TOOLS, true);
        begin(&two, MODELS[i], TOOLS, true);
        for (;;) {
            bool more = ar_echo_call.next(one.call, &a);
            assert_int_equal(ar_echo_call.next(two.call, &b), more);
            if (!more) {
                break;
            }
            assert_int_equal(a.kind, b.kind);
            assert_true(ar_str_is(a.text, b.text));
            assert_true(a.kind != AR_EV_BLOCK_START || ar_str_is(a.block->id, b.block->id));
        }
        finish(&one);
        the_bench = &two;
        finish(&two);
    }
}

static void test_it_can_be_closed_at_any_time(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 12; at++) {
        struct bench b;
        struct ar_event ev;
        begin(&b, "echo/parallel", TOOLS, true);
        for (unsigned i = 0; i < at; i++) {
            (void)ar_echo_call.next(b.call, &ev);
        }
        struct ar_call_facts facts;
        ar_echo_call.facts(b.call, &facts);
        assert_int_equal(facts.status, at > 0 ? 200 : 0);
        finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_kinds_of_answers),
        cmocka_unit_test(test_tools),
        cmocka_unit_test(test_failures_are_one_event),
        cmocka_unit_test(test_cut_fails_in_the_middle),
        cmocka_unit_test(test_forever_is_paced_and_never_ends),
        cmocka_unit_test(test_whole_answers),
        cmocka_unit_test(test_answers_depend_on_the_request_alone),
        cmocka_unit_test(test_it_can_be_closed_at_any_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
