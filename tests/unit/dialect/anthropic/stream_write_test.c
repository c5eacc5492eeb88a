/* The stream writer, event by event: one block at a time whatever comes, signed thinking, honest
 * ends. */
#include "dialect/anthropic/anthropic.h"
#include "dialect/golden_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct pen {
    struct ar_arena a;
    struct ar_buf out;
    struct ar_framer f;
    struct ar_losses l;
    struct ar_request request;
    struct ar_writer *w;
};

static void pen_open(struct pen *p)
{
    memset(p, 0, sizeof(*p));
    ar_arena_init(&p->a, 16 << 20);
    ar_buf_init(&p->out, 64 << 20);
    p->f = (struct ar_framer){.how = &kit_sse, .out = &p->out};
    struct ar_write_how how = {.request = &p->request, .model = AR_LIT("m")};
    p->w = ar_anthropic_writer_new(&how, &p->l, &p->a);
    assert_non_null(p->w);
}

static void pen_close(struct pen *p)
{
    ar_anthropic_writer_done(p->w);
    ar_buf_done(&p->out);
    ar_arena_done(&p->a);
}

static void put(struct pen *p, struct ar_event ev)
{
    assert_int_equal(ar_anthropic_write(p->w, &ev, &p->f), AR_OK);
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

/* Short form of what was written: "start0:tool_use delta0:{ stop0 ... message_stop". */
static const char *story(struct pen *p, struct ar_buf *b)
{
    struct ar_str body = ar_buf_view(&p->out);
    struct ar_frame f;
    while (kit_frame(&body, &p->a, &f)) {
        struct ar_jdoc doc;
        assert_int_equal(ar_json_parse(f.data, AR_JSON_DEPTH, &p->a, &doc, NULL), AR_OK);
        struct ar_jval v = ar_json_root(&doc), d = ar_json_get_lit(v, "delta");
        struct ar_str type = ar_json_esc(ar_json_get_lit(v, "type")),
                      index = ar_json_raw(ar_json_get_lit(v, "index"));
        assert_true(ar_str_is(type, f.name)); /* P-159 */
        if (ar_str_has_prefix(type, AR_LIT("content_block_"))) {
            type = ar_str_from(type, 14);
        }
        ar_buf_str(b, type);
        ar_buf_str(b, index);
        struct ar_str what =
            ar_json_esc(ar_json_get_lit(ar_json_get_lit(v, "content_block"), "type"));
        static const char *const names[] = {"text", "thinking", "partial_json", "signature",
                                            "stop_reason"};
        for (unsigned i = 0; i < 5; i++) {
            struct ar_jval t = ar_json_get(d, ar_str_of(names[i]));
            what = t.doc ? ar_json_esc(t) : what;
        }
        if (what.p) {
            ar_buf_char(b, ':');
            ar_buf_str(b, what);
        }
        ar_buf_char(b, ' ');
    }
    ar_buf_char(b, '\0');
    return b->p;
}

static void expect(struct pen *p, const char *want)
{
    struct ar_buf b;
    ar_buf_init(&b, 1 << 20);
    assert_string_equal(story(p, &b), want);
    ar_buf_done(&b);
}

/* P-161 P-160: three calls interleaved, each closed when its JSON is complete. */
static void interleaved_calls(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    begin(&p, 0, AR_TOOL_USE, "a");
    delta(&p, 0, AR_D_JSON, "{");
    begin(&p, 1, AR_TOOL_USE, "b");
    delta(&p, 1, AR_D_JSON, "{}");
    begin(&p, 2, AR_TOOL_USE, "c");
    delta(&p, 2, AR_D_JSON, "[");
    delta(&p, 0, AR_D_JSON, "}");
    delta(&p, 0, AR_D_JSON, " ");
    delta(&p, 2, AR_D_JSON, "]");
    end(&p, 0);
    end(&p, 1);
    end(&p, 2);
    stop(&p, AR_STOP_TOOL_USE);
    expect(&p, "message_start ping start0:tool_use delta0:{ delta0:} stop0 start1:tool_use "
               "delta1:{} stop1 "
               "start2:tool_use delta2:[ delta2:] stop2 message_delta:tool_use message_stop ");
    pen_close(&p);
}

static void waiting_blocks_come_out_at_the_stop(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    begin(&p, 0, AR_TOOL_USE, "a");
    delta(&p, 0, AR_D_JSON, "{\\\"x\\\":");
    begin(&p, 1, AR_TEXT, NULL);
    delta(&p, 1, AR_D_TEXT, "later");
    begin(&p, 2, AR_TOOL_USE, "c");
    stop(&p, AR_STOP_MAX_TOKENS);
    expect(&p, "message_start ping start0:tool_use delta0:{\\\"x\\\": stop0 start1:text "
               "delta1:later stop1 start2:tool_use "
               "delta2: stop2 message_delta:max_tokens message_stop ");
    pen_close(&p);
}

/* P-162: exactly one signature, late ones too late; text after its block is a new block. */
static void late_deltas(void **state)
{
    (void)state;
    struct pen p;
    struct ar_opaque sig = {.vendor = AR_VENDOR_ANTHROPIC, .data = AR_LIT("S")};
    pen_open(&p);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    begin(&p, 0, AR_THINKING, NULL);
    delta(&p, 0, AR_D_THINKING, "t");
    put(&p,
        (struct ar_event){.kind = AR_EV_DELTA, .b = 0, .delta = AR_D_SIGNATURE, .opaque = &sig});
    put(&p,
        (struct ar_event){.kind = AR_EV_DELTA, .b = 0, .delta = AR_D_SIGNATURE, .opaque = &sig});
    begin(&p, 1, AR_TEXT, NULL);
    delta(&p, 1, AR_D_TEXT, "x");
    delta(&p, 0, AR_D_THINKING, "more");
    put(&p,
        (struct ar_event){.kind = AR_EV_DELTA, .b = 7, .delta = AR_D_SIGNATURE, .opaque = &sig});
    stop(&p, AR_STOP_END);
    expect(&p,
           "message_start ping start0:thinking delta0:t delta0:S stop0 start1:text delta1:x stop1 "
           "start2:thinking "
           "delta2:more delta2:ar1.other.signature... stop2 message_delta:end_turn message_stop ");
    pen_close(&p);
}

/* P-168 */
static void withheld_thinking(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p);
    p.request.set.show = AR_SHOW_OMITTED;
    struct ar_write_how how = {.request = &p.request, .model = AR_LIT("m")};
    p.w = ar_anthropic_writer_new(&how, &p.l, &p.a);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    begin(&p, 0, AR_THINKING, NULL);
    delta(&p, 0, AR_D_THINKING, "secret");
    end(&p, 0);
    stop(&p, AR_STOP_END);
    expect(&p, "message_start ping start0:thinking delta0:ar1.other.signature... stop0 "
               "message_delta:end_turn message_stop ");
    pen_close(&p);
}

/* P-167: an error ends the stream without stops; nothing comes after it. */
static void errors_end_it(void **state)
{
    (void)state;
    static const struct {
        enum ar_code code;
        const char *type;
    } rows[] = {{AR_UPSTREAM_OVERLOADED, "overloaded_error"},
                {AR_UPSTREAM_TRUNCATED, "api_error"},
                {AR_UPSTREAM_TIMEOUT, "timeout_error"},
                {AR_UPSTREAM_RATE_LIMITED, "rate_limit_error"}};
    for (unsigned i = 0; i < 4; i++) {
        struct pen p;
        struct ar_fault fault = {.code = rows[i].code};
        pen_open(&p);
        put(&p, (struct ar_event){.kind = AR_EV_START});
        begin(&p, 0, AR_TEXT, NULL);
        put(&p, (struct ar_event){.kind = AR_EV_ERROR, .fault = &fault});
        delta(&p, 0, AR_D_TEXT, "no");
        stop(&p, AR_STOP_END);
        expect(&p, "message_start ping start0:text error ");
        ar_buf_char(&p.out, '\0');
        assert_non_null(strstr(p.out.p, rows[i].type));
        pen_close(&p);
    }
}

static void an_end_without_a_stop_is_an_error(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    put(&p, (struct ar_event){.kind = AR_EV_END});
    expect(&p, "message_start ping error ");
    pen_close(&p);
}

/* P-012: losses of the answer, not those of the request, before the terminal event. P-166: pings
 * are legal. */
static void losses_are_a_comment(void **state)
{
    (void)state;
    struct pen p;
    pen_open(&p);
    ar_note(&p.l, AR_DROPPED, "top_k");
    struct ar_write_how how = {.model = AR_LIT("m")};
    p.w = ar_anthropic_writer_new(&how, &p.l, &p.a);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    put(&p, (struct ar_event){.kind = AR_EV_PING});
    ar_note(&p.l, AR_DROPPED, "logprobs");
    stop(&p, AR_STOP_END);
    expect(&p, "message_start ping ping message_delta:end_turn message_stop ");
    ar_buf_char(&p.out, '\0');
    const char *comment = strstr(p.out.p, ": x-anyrouter-warnings dropped:logprobs\n");
    assert_non_null(comment);
    assert_true(comment < strstr(p.out.p, "event: message_stop"));
    pen_close(&p);
}

/* A thought signature travels in a thinking block before its call, where the client asked for
 * thinking. */
static void thought_signature(void **state)
{
    (void)state;
    struct pen p;
    struct ar_opaque sig = {
        .vendor = AR_VENDOR_GOOGLE, .form = AR_THOUGHT_SIG, .data = AR_LIT("g")};
    struct ar_block call = {
        .kind = AR_TOOL_USE, .id = AR_LIT("a"), .name = AR_LIT("f"), .sig = &sig};
    pen_open(&p);
    p.request.set.reason_mode = AR_REASON_ADAPTIVE;
    put(&p, (struct ar_event){.kind = AR_EV_START});
    put(&p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = 0, .block = &call});
    delta(&p, 0, AR_D_JSON, "{}");
    end(&p, 0);
    stop(&p, AR_STOP_TOOL_USE);
    expect(&p, "message_start ping start0:thinking delta0:ar1.google.thought_sig...Zw stop0 "
               "start1:tool_use delta1:{} stop1 "
               "message_delta:tool_use message_stop ");
    pen_close(&p);
}

static void freeform_is_wrapped(void **state)
{
    (void)state;
    struct pen p;
    struct ar_block call = {
        .kind = AR_TOOL_USE, .id = AR_LIT("a"), .name = AR_LIT("f"), .freeform = true};
    pen_open(&p);
    put(&p, (struct ar_event){.kind = AR_EV_START});
    put(&p, (struct ar_event){.kind = AR_EV_BLOCK_START, .b = 0, .block = &call});
    delta(&p, 0, AR_D_FREEFORM, "a\\n");
    delta(&p, 0, AR_D_FREEFORM, "\\\"b");
    end(&p, 0);
    stop(&p, AR_STOP_TOOL_USE);
    expect(&p, "message_start ping start0:tool_use delta0:{\\\"input\\\":\\\"a\\\\n "
               "delta0:\\\\\\\"b delta0:\\\"} stop0 "
               "message_delta:tool_use message_stop ");
    pen_close(&p);
}

static void a_whole_answer(void **state)
{
    (void)state;
    struct pen p;
    struct ar_block text = {.kind = AR_TEXT, .text = AR_LIT("Hi")};
    struct ar_response r = {.blocks = &text, .has_stop = true};
    ar_usage_clear(&r.usage);
    pen_open(&p);
    put(&p, (struct ar_event){.kind = AR_EV_WHOLE, .answer = &r});
    put(&p, (struct ar_event){.kind = AR_EV_END});
    expect(&p,
           "message_start ping start0:text delta0:Hi stop0 message_delta:end_turn message_stop ");
    pen_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interleaved_calls),
        cmocka_unit_test(waiting_blocks_come_out_at_the_stop),
        cmocka_unit_test(late_deltas),
        cmocka_unit_test(withheld_thinking),
        cmocka_unit_test(errors_end_it),
        cmocka_unit_test(an_end_without_a_stop_is_an_error),
        cmocka_unit_test(losses_are_a_comment),
        cmocka_unit_test(thought_signature),
        cmocka_unit_test(freeform_is_wrapped),
        cmocka_unit_test(a_whole_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
