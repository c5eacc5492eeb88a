/* The stream reader, frame by frame: what a relay parses and what it lets pass, and the ways a
 * stream can end. */
#include "dialect/anthropic/anthropic.h"
#include "dialect/golden_kit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct feed {
    struct ar_arena a;
    struct ar_reader *r;
    struct ar_event ev[16];
    unsigned n;
};

static void feed_open(struct feed *f, bool relay)
{
    struct ar_read_how how = {.relay = relay, .content_max = 1 << 20};
    memset(f, 0, sizeof(*f));
    ar_arena_init(&f->a, 16 << 20);
    f->r = ar_anthropic_reader_new(&how, &f->a);
    assert_non_null(f->r);
}

static void feed_close(struct feed *f)
{
    ar_anthropic_reader_done(f->r);
    ar_arena_done(&f->a);
}

static void drain(struct feed *f)
{
    f->n = 0;
    while (f->n < 16 && ar_anthropic_read_next(f->r, &f->ev[f->n])) {
        f->n++;
    }
}

static void give(struct feed *f, const char *name, const char *data)
{
    struct ar_frame frame = {
        .name = ar_str_of(name), .data = ar_str_of(data), .raw = ar_str_of(data)};
    ar_anthropic_read_frame(f->r, &frame);
    drain(f);
}

static void finish(struct feed *f, enum ar_eof eof)
{
    ar_anthropic_read_eof(f->r, eof);
    drain(f);
}

#define START                                                                                      \
    "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"m\",\"usage\":{"        \
    "\"input_tokens\":10,"                                                                         \
    "\"cache_read_input_tokens\":5,\"output_tokens\":1}}}"
#define TEXT(i)                                                                                    \
    "{\"type\":\"content_block_start\",\"index\":" #i                                              \
    ",\"content_block\":{\"type\":\"text\",\"text\":\"\"}}"
#define HI                                                                                         \
    "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":"   \
    "\"Hi\"}}"
#define BLOCK_STOP "{\"type\":\"content_block_stop\",\"index\":0}"
#define DELTA                                                                                      \
    "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_"    \
    "tokens\":7}}"

static void is(const struct feed *f, unsigned i, enum ar_event_kind kind)
{
    assert_true(i < f->n);
    assert_int_equal(f->ev[i].kind, kind);
}

/* Until the first content every frame is read; after it only what must be known. */
static void relay_parses_little(void **state)
{
    (void)state;
    struct feed f;
    feed_open(&f, true);
    give(&f, "message_start", START);
    is(&f, 0, AR_EV_START);
    is(&f, 1, AR_EV_USAGE);
    assert_true(ar_str_is(f.ev[0].raw, AR_LIT(START)) && f.ev[1].raw.p && f.ev[1].raw.n == 0);
    assert_int_equal(f.ev[1].usage->in_total, 15);
    give(&f, "ping", "{\"type\": \"ping\"}");
    is(&f, 0, AR_EV_PING);
    give(&f, "content_block_start", TEXT(0));
    is(&f, 0, AR_EV_BLOCK_START);
    give(&f, "content_block_delta", HI);
    is(&f, 0, AR_EV_DELTA);
    assert_true(ar_str_is(f.ev[0].text, AR_LIT("Hi")) && ar_event_commits(&f.ev[0]));
    give(&f, "content_block_delta", "not even JSON");
    assert_int_equal(f.n, 1);
    is(&f, 0, AR_EV_RAW);
    give(&f, "content_block_stop", "x");
    is(&f, 0, AR_EV_RAW);
    give(&f, "news", "x");
    is(&f, 0, AR_EV_RAW);
    give(&f, "message_delta", DELTA);
    is(&f, 0, AR_EV_USAGE);
    assert_int_equal(f.ev[0].usage->out_total, 7);
    assert_int_equal(f.ev[0].usage->in_total, 15);
    assert_true(ar_anthropic_read_lingers(f.r));
    give(&f, "message_stop", "{}");
    is(&f, 0, AR_EV_STOP);
    is(&f, 1, AR_EV_END);
    assert_int_equal(f.ev[0].stop->reason, AR_STOP_END);
    assert_true(ar_str_is(f.ev[0].raw, AR_LIT("{}")) && f.ev[1].raw.n == 0);
    assert_false(ar_anthropic_read_lingers(f.r));
    finish(&f, AR_EOF_CLEAN);
    assert_int_equal(f.n, 0);
    feed_close(&f);
}

/* P-186: without a reason the end is an error, which the client's writer must say. */
static void relay_truncated(void **state)
{
    (void)state;
    static const enum ar_eof ends[] = {AR_EOF_CLEAN, AR_EOF_CUT, AR_EOF_ENOUGH};
    for (unsigned i = 0; i < 3; i++) {
        struct feed f;
        feed_open(&f, true);
        give(&f, "message_start", START);
        give(&f, "content_block_start", TEXT(0));
        give(&f, "content_block_delta", HI);
        finish(&f, ends[i]);
        assert_int_equal(f.n, 1);
        is(&f, 0, AR_EV_ERROR);
        assert_int_equal(f.ev[0].fault->code, AR_UPSTREAM_TRUNCATED);
        assert_int_equal(f.ev[0].fault->blame, AR_OF_PLACE);
        assert_null(f.ev[0].raw.p);
        feed_close(&f);
    }
}

static void a_reason_is_an_end(void **state)
{
    (void)state;
    struct feed f;
    feed_open(&f, true);
    give(&f, "message_start", START);
    give(&f, "content_block_start", TEXT(0));
    give(&f, "message_delta", DELTA);
    finish(&f, AR_EOF_CUT);
    is(&f, 0, AR_EV_STOP);
    is(&f, 1, AR_EV_END);
    assert_true(f.ev[0].raw.p && f.ev[0].raw.n == 0);
    feed_close(&f);
}

/* Its own error event is relayed; OpenAI's shape on this path is not, the client would not see it.
 */
static void relayed_errors(void **state)
{
    (void)state;
    struct feed f;
    const char *own =
        "{\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}";
    feed_open(&f, true);
    give(&f, "message_start", START);
    give(&f, "error", own);
    is(&f, 0, AR_EV_ERROR);
    assert_int_equal(f.ev[0].fault->code, AR_UPSTREAM_OVERLOADED);
    assert_true(ar_str_is(f.ev[0].raw, ar_str_of(own)));
    finish(&f, AR_EOF_CLEAN);
    assert_int_equal(f.n, 0);
    feed_close(&f);
    feed_open(&f, true);
    give(&f, "message_start", START);
    give(&f, "", "{\"error\":{\"code\":500,\"message\":\"boom\",\"type\":\"server_error\"}}");
    is(&f, 0, AR_EV_ERROR);
    assert_int_equal(f.ev[0].fault->code, AR_UPSTREAM_ERROR);
    assert_null(f.ev[0].raw.p);
    feed_close(&f);
}

static void frames_without_event_line(void **state)
{
    (void)state;
    struct feed f;
    feed_open(&f, false);
    give(&f, "", START);
    is(&f, 0, AR_EV_START);
    assert_true(ar_str_is_lit(f.ev[0].answer->id, "msg_1") && !f.ev[0].raw.p);
    give(&f, "", TEXT(0));
    give(&f, "", HI);
    is(&f, 0, AR_EV_DELTA);
    give(&f, "", BLOCK_STOP);
    is(&f, 0, AR_EV_BLOCK_END);
    give(&f, "", DELTA);
    give(&f, "", "{\"type\":\"message_stop\"}");
    is(&f, 1, AR_EV_END);
    feed_close(&f);
}

/* What is left open when the answer ends is closed before STOP; blocks that never began are begun.
 */
static void untidy_upstreams(void **state)
{
    (void)state;
    struct feed f;
    feed_open(&f, false);
    give(&f, "content_block_delta", HI);
    is(&f, 0, AR_EV_START);
    is(&f, 1, AR_EV_BLOCK_START);
    is(&f, 2, AR_EV_DELTA);
    give(&f, "content_block_start", TEXT(1));
    give(&f, "message_delta", DELTA);
    give(&f, "message_stop", "{}");
    is(&f, 0, AR_EV_BLOCK_END);
    is(&f, 1, AR_EV_BLOCK_END);
    assert_true(f.ev[0].b == 0 && f.ev[1].b == 1);
    is(&f, 2, AR_EV_STOP);
    assert_int_equal(f.ev[2].usage->out_total, 7);
    is(&f, 3, AR_EV_END);
    feed_close(&f);
}

static void broken_events(void **state)
{
    (void)state;
    struct feed f;
    feed_open(&f, false);
    give(&f, "message_start", START);
    give(&f, "content_block_delta", "{\"type\":");
    is(&f, 0, AR_EV_ERROR);
    assert_int_equal(f.ev[0].fault->code, AR_UPSTREAM_ERROR);
    give(&f, "content_block_delta", HI);
    assert_int_equal(f.n, 0);
    feed_close(&f);
    feed_open(&f, false);
    give(&f, "message_stop", "{}"); /* an end, and nothing before it */
    is(&f, f.n - 1, AR_EV_ERROR);
    feed_close(&f);
}

/* Counters come piecemeal and are cumulative; null leaves what was known. */
static void usage_is_merged(void **state)
{
    (void)state;
    struct feed f;
    feed_open(&f, false);
    give(&f, "message_start", START);
    give(&f, "message_delta",
         "{\"type\":\"message_delta\",\"delta\":{},\"usage\":{\"input_tokens\":20,\"cache_read_"
         "input_tokens\":null,"
         "\"cache_creation_input_tokens\":2,\"output_tokens\":3,\"output_tokens_details\":{"
         "\"thinking_tokens\":1}}}");
    is(&f, 0, AR_EV_USAGE);
    assert_int_equal(f.ev[0].usage->in_total, 27);
    assert_int_equal(f.ev[0].usage->in_cached, 5);
    assert_int_equal(f.ev[0].usage->in_cache_write_short, 2);
    assert_int_equal(f.ev[0].usage->out_reasoning, 1);
    assert_false(ar_anthropic_read_lingers(f.r));
    feed_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(relay_parses_little),
        cmocka_unit_test(relay_truncated),
        cmocka_unit_test(a_reason_is_an_end),
        cmocka_unit_test(relayed_errors),
        cmocka_unit_test(frames_without_event_line),
        cmocka_unit_test(untidy_upstreams),
        cmocka_unit_test(broken_events),
        cmocka_unit_test(usage_is_merged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
