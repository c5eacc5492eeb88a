/* The event stream of AWS: messages made here byte by byte, in every split; damage, exceptions and
 * kinds that are not known. */
#include "provider/aws_stream.h"

#include "check.h"

static void put_u32(struct ar_buf *b, uint32_t v)
{
    ar_buf_char(b, (char)(v >> 24));
    ar_buf_char(b, (char)(v >> 16));
    ar_buf_char(b, (char)(v >> 8));
    ar_buf_char(b, (char)v);
}

/* headers: name, value, ..., NULL. */
static void put_message(struct ar_buf *out, const char *const *headers, const char *payload)
{
    struct ar_buf h;
    ar_buf_init(&h, 4096);
    for (unsigned i = 0; headers[i]; i += 2) {
        ar_buf_char(&h, (char)strlen(headers[i]));
        ar_buf_str(&h, ar_str_of(headers[i]));
        ar_buf_char(&h, 7);
        ar_buf_char(&h, 0);
        ar_buf_char(&h, (char)strlen(headers[i + 1]));
        ar_buf_str(&h, ar_str_of(headers[i + 1]));
    }
    size_t at = out->n;
    put_u32(out, (uint32_t)(16 + h.n + strlen(payload)));
    put_u32(out, (uint32_t)h.n);
    put_u32(out, ar_crc32(0, ar_str_n(out->p + at, 8)));
    ar_buf_str(out, ar_buf_view(&h));
    ar_buf_str(out, ar_str_of(payload));
    put_u32(out, ar_crc32(0, ar_str_n(out->p + at, out->n - at)));
    ar_buf_done(&h);
}

static const char *const CHUNK[] = {":event-type", "chunk", ":message-type", "event", NULL};
#define PING  "{\"bytes\":\"eyJ0eXBlIjoicGluZyJ9\"}"                  /* {"type":"ping"} */
#define LINES "{\"p\":\"ab\",\"bytes\":\"eyJ0eXBlIjoKInBpbmcifQ==\"}" /* with a line end in it */

/* Raws of all frames, in pieces of step bytes; FAILED or HALF at the end where it is so. */
static void read_all(struct ar_str in, size_t step, struct ar_buf *out)
{
    struct ar_aws_stream s;
    struct ar_frame f;
    enum ar_poll p = AR_PENDING;
    ar_aws_stream_init(&s, 4096);
    for (size_t at = 0, used; at < in.n && p != AR_FAILED; at += used) {
        p = ar_aws_stream_next(&s, ar_str_head(ar_str_from(in, at), step), &used, &f);
        if (p == AR_READY) {
            ar_buf_str(out, f.raw);
        }
    }
    if (p == AR_FAILED) {
        assert_non_null(s.why);
        ar_buf_lit(out, "FAILED");
    } else if (!ar_aws_stream_is_between(&s)) {
        ar_buf_lit(out, "HALF");
    }
    ar_aws_stream_done(&s);
}

static void check(struct ar_str in, const char *want)
{
    for (size_t step = 1; step <= in.n; step += step < 40 ? 1 : 37) {
        struct ar_buf out;
        ar_buf_init(&out, 65536);
        read_all(in, step, &out);
        CHECK_STR(ar_buf_view(&out), want);
        ar_buf_done(&out);
    }
}

/* The check value of the polynomial, and a checksum in two parts. */
static void test_crc32(void **state)
{
    (void)state;
    assert_int_equal(ar_crc32(0, AR_LIT("123456789")), 0xcbf43926);
    assert_int_equal(ar_crc32(ar_crc32(0, AR_LIT("1234")), AR_LIT("56789")), 0xcbf43926);
    assert_int_equal(ar_crc32(0, AR_LIT("")), 0);
}

static void test_chunks_in_every_split(void **state)
{
    (void)state;
    struct ar_buf in;
    ar_buf_init(&in, 65536);
    put_message(&in, CHUNK, PING);
    put_message(&in, CHUNK, LINES);
    check(ar_buf_view(&in), "event: ping\ndata: {\"type\":\"ping\"}\n\n"
                            "event: ping\ndata: {\"type\": \"ping\"}\n\n");
    check(ar_str_head(ar_buf_view(&in), in.n - 1),
          "event: ping\ndata: {\"type\":\"ping\"}\n\nHALF");
    ar_buf_done(&in);
}

static void test_frame_is_name_and_data(void **state)
{
    (void)state;
    struct ar_aws_stream s;
    struct ar_buf in;
    struct ar_frame f;
    size_t used;
    ar_buf_init(&in, 4096);
    put_message(&in, CHUNK, PING);
    ar_aws_stream_init(&s, 4096);
    assert_int_equal(ar_aws_stream_next(&s, ar_buf_view(&in), &used, &f), AR_READY);
    assert_int_equal(used, in.n);
    CHECK_STR(f.name, "ping");
    CHECK_STR(f.data, "{\"type\":\"ping\"}");
    ar_aws_stream_done(&s);
    ar_buf_done(&in);
}

static void test_exceptions_are_error_events(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *payload, *want;
    } CASES[] = {
        {"throttlingException", "{\"message\":\"slow \\u0022\"}",
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
         "\"message\":\"slow \\u0022\"}}\n\n"},
        {"ThrottlingException", "{\"Message\":\"x\"}",
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"rate_limit_error\","
         "\"message\":\"x\"}}\n\n"},
        {"modelTimeoutException", "nonsense",
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\","
         "\"message\":\"modelTimeoutException\"}}\n\n"},
        {"newException", "{}",
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\","
         "\"message\":\"newException\"}}\n\n"},
    };
    for (unsigned i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        const char *headers[] = {":exception-type", CASES[i].kind, ":message-type", "exception",
                                 NULL};
        struct ar_buf in;
        ar_buf_init(&in, 4096);
        put_message(&in, headers, CASES[i].payload);
        check(ar_buf_view(&in), CASES[i].want);
        ar_buf_done(&in);
    }
    static const char *const ERROR[] = {":error-code", "InternalFailure", ":error-message",
                                        "it broke",    ":message-type",   "error",
                                        NULL};
    struct ar_buf in;
    ar_buf_init(&in, 4096);
    put_message(&in, ERROR, "");
    check(ar_buf_view(&in), "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":"
                            "\"api_error\",\"message\":\"it broke\"}}\n\n");
    ar_buf_done(&in);
}

static void test_other_kinds_are_passed_over(void **state)
{
    (void)state;
    static const char *const OTHER[] = {":event-type", "metadata", ":message-type", "event", NULL};
    struct ar_buf in;
    ar_buf_init(&in, 4096);
    put_message(&in, OTHER, "{}");
    put_message(&in, CHUNK, PING);
    put_message(&in, OTHER, "");
    check(ar_buf_view(&in), "event: ping\ndata: {\"type\":\"ping\"}\n\n");
    ar_buf_done(&in);
}

/* Any changed bit of a message is seen, wherever it is. */
static void test_damage_is_seen(void **state)
{
    (void)state;
    struct ar_buf in;
    ar_buf_init(&in, 4096);
    put_message(&in, CHUNK, PING);
    for (size_t i = 0; i < in.n; i++) {
        struct ar_buf out;
        ar_buf_init(&out, 4096);
        in.p[i] = (char)(in.p[i] ^ 4);
        read_all(ar_buf_view(&in), in.n, &out);
        in.p[i] = (char)(in.p[i] ^ 4);
        CHECK_STR(ar_buf_view(&out), "FAILED");
        ar_buf_done(&out);
    }
    ar_buf_done(&in);
}

static void test_what_is_no_chunk(void **state)
{
    (void)state;
    static const char *const PAYLOADS[] = {"",
                                           "[]",
                                           "{}",
                                           "{\"bytes\":1}",
                                           "{\"bytes\":\"%%\"}",
                                           "{\"bytes\":\"bm8=\"}",
                                           "{\"bytes\":\"e30=\"}" /* {} */,
                                           "{\"bytes\":\"eyJ0eXBlIjoiYVxuYiJ9\"}" /* "a\nb" */};
    for (unsigned i = 0; i < sizeof PAYLOADS / sizeof *PAYLOADS; i++) {
        struct ar_buf in;
        ar_buf_init(&in, 4096);
        put_message(&in, CHUNK, PAYLOADS[i]);
        check(ar_buf_view(&in), "FAILED");
        ar_buf_done(&in);
    }
    check(AR_LIT("HTTP/1.1 200 OK and so on"), "FAILED");
}

static void test_a_message_over_the_cap(void **state)
{
    (void)state;
    struct ar_buf in;
    char big[4200];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    ar_buf_init(&in, 65536);
    put_message(&in, CHUNK, big);
    check(ar_str_head(ar_buf_view(&in), 64), "FAILED");
    ar_buf_done(&in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32),
        cmocka_unit_test(test_chunks_in_every_split),
        cmocka_unit_test(test_frame_is_name_and_data),
        cmocka_unit_test(test_exceptions_are_error_events),
        cmocka_unit_test(test_other_kinds_are_passed_over),
        cmocka_unit_test(test_damage_is_seen),
        cmocka_unit_test(test_what_is_no_chunk),
        cmocka_unit_test(test_a_message_over_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
