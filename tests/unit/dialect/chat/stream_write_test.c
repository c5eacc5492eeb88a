/* The stream writer: what the golden streams do not show. */
#include "check.h"

#include "dialect/dialect.h"
#include "dialect/golden_kit.h"

static struct ar_arena a;
static struct ar_buf out;

static struct ar_block text_block = {.kind = AR_TEXT}, think_block = {.kind = AR_THINKING},
                       call_block = {.kind = AR_TOOL_USE,
                                     .id = AR_LIT_INIT("c1"),
                                     .name = AR_LIT_INIT("f")},
                       raw_call = {.kind = AR_TOOL_USE,
                                   .freeform = true,
                                   .id = AR_LIT_INIT("c2"),
                                   .name = AR_LIT_INIT("g")},
                       item_block = {.kind = AR_OPAQUE_ITEM};
static const struct ar_response start = {.id = AR_LIT_INIT("chatcmpl-1"),
                                         .model = AR_LIT_INIT("up")};

static void write_all(const struct ar_write_how *how, struct ar_losses *l,
                      const struct ar_event *ev, size_t n)
{
    struct ar_writer *w = ar_dialect_chat.writer_new(how, l, &a);
    struct ar_framer f = {.how = &kit_sse, .out = &out};
    ar_buf_clear(&out);
    for (size_t i = 0; i < n; i++) {
        CHECK_OK(ar_dialect_chat.write(w, &ev[i], &f));
    }
    ar_dialect_chat.writer_done(w);
}
#define WRITE(how, l, events) write_all(how, l, events, sizeof events / sizeof *events)

static bool says(const char *what)
{
    return ar_str_has(ar_buf_view(&out), ar_str_of(what));
}

static const struct ar_stop end = {.reason = AR_STOP_END}, calls = {.reason = AR_STOP_TOOL_USE},
                            refused = {.reason = AR_STOP_REFUSAL},
                            context = {.reason = AR_STOP_CONTEXT},
                            paused = {.reason = AR_STOP_PAUSE};
#define START_EV                                                                                   \
    {                                                                                              \
        .kind = AR_EV_START, .answer = &start                                                      \
    }
#define BLOCK(n, blk)                                                                              \
    {                                                                                              \
        .kind = AR_EV_BLOCK_START, .b = n, .block = &blk                                           \
    }
#define DELTA(n, d, t)                                                                             \
    {                                                                                              \
        .kind = AR_EV_DELTA, .b = n, .delta = d, .text = AR_LIT_INIT(t)                            \
    }
#define CLOSE(n)                                                                                   \
    {                                                                                              \
        .kind = AR_EV_BLOCK_END, .b = n                                                            \
    }
#define STOP(s)                                                                                    \
    {                                                                                              \
        .kind = AR_EV_STOP, .stop = &s                                                             \
    }
#define END_EV                                                                                     \
    {                                                                                              \
        .kind = AR_EV_END                                                                          \
    }

/* The old form: one function_call, finish function_call. */
static void answers_in_the_old_form(void **state)
{
    struct ar_request r = {.legacy_functions = true};
    struct ar_write_how how = {.request = &r, .model = AR_LIT("m")};
    struct ar_losses l = {0};
    const struct ar_event ev[] = {START_EV, BLOCK(0, call_block), DELTA(0, AR_D_JSON, "{}"),
                                  CLOSE(0), BLOCK(1, raw_call),   DELTA(1, AR_D_FREEFORM, "second"),
                                  CLOSE(1), STOP(calls),          END_EV};
    (void)state;
    WRITE(&how, &l, ev);
    assert_true(says("\"delta\":{\"function_call\":{\"name\":\"f\",\"arguments\":\"\"}}"));
    assert_true(says("\"delta\":{\"function_call\":{\"arguments\":\"{}\"}}"));
    assert_true(says("\"finish_reason\":\"function_call\""));
    assert_false(says("second") || says("tool_calls"));
}

static void custom_calls_are_custom(void **state)
{
    struct ar_write_how how = {.model = AR_LIT("m")};
    struct ar_losses l = {0};
    const struct ar_event ev[] = {START_EV, BLOCK(0, raw_call), DELTA(0, AR_D_FREEFORM, "raw"),
                                  CLOSE(0), STOP(calls),        END_EV};
    (void)state;
    WRITE(&how, &l, ev);
    assert_true(says("{\"index\":0,\"id\":\"c2\",\"type\":\"custom\",\"custom\":{\"name\":\"g\","
                     "\"input\":\"\"}}"));
    assert_true(says("{\"index\":0,\"custom\":{\"input\":\"raw\"}}"));
}

/* P-012: losses of the answer are one comment before the terminal frame; those of the request are
 * not in it. */
static void losses_are_told_before_the_end(void **state)
{
    struct ar_write_how how = {.model = AR_LIT("m")};
    struct ar_losses l = {0};
    const struct ar_event ev[] = {START_EV,
                                  BLOCK(0, text_block),
                                  DELTA(0, AR_D_TEXT, "Hi"),
                                  CLOSE(0),
                                  BLOCK(1, item_block),
                                  CLOSE(1),
                                  STOP(end),
                                  END_EV};
    (void)state;
    ar_note(&l, AR_DROPPED, "top_k");
    WRITE(&how, &l, ev);
    struct ar_str s = ar_buf_view(&out);
    size_t at = ar_str_find(s, AR_LIT(": x-anyrouter-warnings dropped:content\n"));
    assert_true(at < ar_str_find(s, AR_LIT("[DONE]")));
    assert_false(says("top_k"));
}

/* P-158 */
static void an_error_is_the_end(void **state)
{
    struct ar_fault f = {.code = AR_UPSTREAM_TRUNCATED, .message = AR_LIT("cut")};
    struct ar_write_how how = {.model = AR_LIT("m"), .include_usage = true};
    struct ar_losses l = {0};
    const struct ar_event ev[] = {START_EV,
                                  BLOCK(0, text_block),
                                  DELTA(0, AR_D_TEXT, "Hi"),
                                  {.kind = AR_EV_ERROR, .fault = &f}};
    (void)state;
    WRITE(&how, &l, ev);
    assert_true(says("data: {\"error\":{\"message\":\"cut\""));
    assert_false(says("[DONE]") || says("\"finish_reason\":\"stop\""));
}

/* P-137, P-138, P-140 */
static void stops(void **state)
{
    static const struct {
        const struct ar_stop *stop;
        bool text;
        const char *want;
    } ROWS[] = {
        {&context, true, "\"finish_reason\":\"length\""},
        {&paused, true, "\"finish_reason\":\"stop\""},
        {&refused, true, "\"finish_reason\":\"content_filter\""},
        {&refused, false, "\"delta\":{\"refusal\":\"The model declined to answer.\"}"},
    };
    struct ar_write_how how = {.model = AR_LIT("m")};
    struct ar_losses l = {0};
    (void)state;
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        const struct ar_event ev[] = {START_EV,
                                      BLOCK(0, text_block),
                                      DELTA(0, AR_D_TEXT, "Hi"),
                                      CLOSE(0),
                                      {.kind = AR_EV_STOP, .stop = ROWS[i].stop}};
        const struct ar_event bare[] = {START_EV, {.kind = AR_EV_STOP, .stop = ROWS[i].stop}};
        if (ROWS[i].text) {
            WRITE(&how, &l, ev);
        } else {
            WRITE(&how, &l, bare);
        }
        assert_true(says(ROWS[i].want));
    }
}

/* Two thinking blocks are one string for the client, two items for the way back. */
static void thinking_is_joined(void **state)
{
    struct ar_write_how how = {.model = AR_LIT("m")};
    struct ar_losses l = {0};
    const struct ar_opaque sig = {.vendor = AR_VENDOR_ANTHROPIC,
                                  .data = AR_LIT("abc"),
                                  .family = AR_LIT("x"),
                                  .account = AR_LIT("")};
    const struct ar_event ev[] = {START_EV,
                                  BLOCK(0, think_block),
                                  DELTA(0, AR_D_THINKING, "A"),
                                  {.kind = AR_EV_DELTA, .delta = AR_D_SIGNATURE, .opaque = &sig},
                                  CLOSE(0),
                                  BLOCK(1, think_block),
                                  DELTA(1, AR_D_THINKING, "B"),
                                  CLOSE(1),
                                  STOP(end),
                                  END_EV};
    (void)state;
    WRITE(&how, &l, ev);
    assert_true(says("{\"reasoning_content\":\"A\"}") &&
                says("{\"reasoning_content\":\"\\n\\nB\"}"));
    assert_true(says("\"reasoning_details\":[{\"type\":\"reasoning.text\",\"text\":\"A\","
                     "\"signature\":\"ar1.anthropic."));
    assert_false(says("\"text\":\"B\""));
}

/* A complete answer is shown as a stream (8: the upstream cannot stream). */
static void whole_answers_unfold(void **state)
{
    struct ar_block b = {.kind = AR_TEXT, .text = AR_LIT("Hello")};
    struct ar_response r = {
        .id = AR_LIT("x"), .model = AR_LIT("up"), .blocks = &b, .stop = end, .has_stop = true};
    struct ar_write_how how = {.model = AR_LIT("m"), .include_usage = true};
    struct ar_losses l = {0};
    const struct ar_event ev[] = {{.kind = AR_EV_WHOLE, .answer = &r}, END_EV};
    (void)state;
    ar_usage_clear(&r.usage);
    r.usage.in_total = 4;
    r.usage.out_total = 2;
    WRITE(&how, &l, ev);
    assert_true(says("{\"content\":\"Hello\"}") && says("\"finish_reason\":\"stop\"") &&
                says("\"prompt_tokens\":4"));
    assert_true(ar_str_has_suffix(ar_buf_view(&out), AR_LIT("data: [DONE]\n\n")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_in_the_old_form),
        cmocka_unit_test(custom_calls_are_custom),
        cmocka_unit_test(losses_are_told_before_the_end),
        cmocka_unit_test(an_error_is_the_end),
        cmocka_unit_test(stops),
        cmocka_unit_test(thinking_is_joined),
        cmocka_unit_test(whole_answers_unfold),
    };
    ar_arena_init(&a, 1 << 26);
    ar_buf_init(&out, 1 << 20);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    ar_buf_done(&out);
    ar_arena_done(&a);
    return failed;
}
