/* Messages out of frames, whatever the cuts; faults end the connection with their code; what is
 * sent is what a client reads. */
#include "check.h"

#include "http/ws.h"

/* A client's frame with a mask of its own. */
static void put_frame(struct ar_buf *b, unsigned head, const char *text, size_t n)
{
    static const unsigned char MASK[4] = {1, 2, 3, 4};
    ar_buf_char(b, (char)head);
    if (n < 126) {
        ar_buf_char(b, (char)(0x80 | n));
    } else {
        ar_buf_char(b, (char)(0x80 | 126));
        ar_buf_char(b, (char)(n >> 8));
        ar_buf_char(b, (char)n);
    }
    ar_buf_put(b, MASK, 4);
    for (size_t i = 0; i < n; i++) {
        ar_buf_char(b, (char)((unsigned char)text[i] ^ MASK[i % 4]));
    }
}

static void put_text(struct ar_buf *b, unsigned head, const char *text)
{
    put_frame(b, head, text, strlen(text));
}

/* Feeds in pieces of n bytes; messages joined by "|". */
static bool feed(struct ar_ws *w, struct ar_str in, size_t n, struct ar_buf *seen)
{
    bool open = true;
    for (size_t at = 0; open && at < in.n; at += n) {
        struct ar_str message;
        open = ar_ws_put(w, ar_str_head(ar_str_from(in, at), n));
        while (ar_ws_next(w, &message)) {
            ar_buf_str(seen, message);
            ar_buf_char(seen, '|');
        }
    }
    return open;
}

static void test_the_key_of_the_rfc(void **state)
{
    (void)state;
    char accept[29];
    assert_true(ar_ws_accept(AR_LIT("dGhlIHNhbXBsZSBub25jZQ=="), accept));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(ar_ws_accept(AR_LIT(""), accept));
    assert_false(ar_ws_accept(AR_LIT("dGhlIHNhbXBsZSBub25j"), accept));
    assert_false(ar_ws_accept(AR_LIT("dGhlIHNhbXBsZSBub25jZQ=!"), accept));
}

static void test_messages_do_not_depend_on_cuts(void **state)
{
    (void)state;
    struct ar_buf in, seen;
    char large[5000];
    memset(large, 'x', sizeof large);
    ar_buf_init(&in, 1 << 20);
    ar_buf_init(&seen, 1 << 20);
    put_text(&in, 0x81, "one");
    put_text(&in, 0x01, "two in ");
    put_text(&in, 0x89, "ping");
    put_text(&in, 0x00, "three");
    put_text(&in, 0x80, " pieces");
    put_text(&in, 0x81, "");
    put_frame(&in, 0x81, large, sizeof large);
    put_text(&in, 0x8a, "a pong that nobody asked for");
    put_text(&in, 0x81, "last");
    size_t first = 0;
    for (size_t n = 1; n <= in.n; n = n < 40 ? n + 1 : n * 2) {
        struct ar_ws *w = ar_ws_new(1 << 16);
        ar_buf_clear(&seen);
        assert_true(feed(w, ar_buf_view(&in), n, &seen));
        assert_true(ar_str_has_prefix(ar_buf_view(&seen), AR_LIT("one|two in three pieces||xxx")));
        assert_true(ar_str_has_suffix(ar_buf_view(&seen), AR_LIT("xxx|last|")));
        first = first ? first : seen.n;
        assert_int_equal(seen.n, first);
        assert_true(ar_str_is(ar_ws_out(w), ar_str_n("\x8a\x04ping", 6)));
        assert_false(ar_ws_is_over(w));
        ar_ws_free(w);
    }
    ar_buf_done(&in);
    ar_buf_done(&seen);
}

/* Feeds one frame; the connection ends with the code (0: a close frame without one). */
static void check_ends(unsigned head, const char *text, size_t n, unsigned code)
{
    struct ar_buf in, seen;
    struct ar_ws *w = ar_ws_new(1000);
    ar_buf_init(&in, 1 << 16);
    ar_buf_init(&seen, 1 << 16);
    put_frame(&in, head, text, n);
    (void)feed(w, ar_buf_view(&in), in.n, &seen);
    assert_int_equal(seen.n, 0);
    struct ar_str out = ar_ws_out(w);
    assert_true(out.n >= 2);
    assert_int_equal((unsigned char)out.p[0], 0x88);
    if (code > 0) {
        assert_int_equal((unsigned)(unsigned char)out.p[2] << 8 | (unsigned char)out.p[3], code);
    }
    (void)ar_ws_text(w, AR_LIT("too late"));
    assert_int_equal(ar_ws_out(w).n, out.n);
    ar_ws_free(w);
    ar_buf_done(&in);
    ar_buf_done(&seen);
}

static void test_faults(void **state)
{
    (void)state;
    static char large[2000];
    memset(large, 'x', sizeof large);
    check_ends(0x82, "binary", 6, AR_WS_UNSUPPORTED);
    check_ends(0x81, "\xff\xfe", 2, 1007);
    check_ends(0x81, large, sizeof large, AR_WS_TOO_BIG);
    check_ends(0xc1, "rsv1", 4, AR_WS_PROTOCOL);
    check_ends(0x83, "opcode", 6, AR_WS_PROTOCOL);
    check_ends(0x80, "goes on from nothing", 20, AR_WS_PROTOCOL);
    check_ends(0x89, large, 126, 0);
    check_ends(0x88, "\x03\xe8", 2, AR_WS_NORMAL);   /* the close is answered */
    check_ends(0x88, "\x03\xec", 2, AR_WS_PROTOCOL); /* 1004 may not be sent */
}

static void test_an_unmasked_frame(void **state)
{
    (void)state;
    struct ar_str message;
    struct ar_ws *w = ar_ws_new(1000);
    (void)ar_ws_put(w, ar_str_n("\x81\x02{}", 4));
    assert_false(ar_ws_next(w, &message));
    assert_int_equal((unsigned char)ar_ws_out(w).p[0], 0x88);
    ar_ws_free(w);
}

static void test_what_is_sent(void **state)
{
    (void)state;
    struct ar_ws *w = ar_ws_new(1000);
    assert_true(ar_ws_text(w, AR_LIT("hello")));
    assert_true(ar_str_is(ar_ws_out(w), ar_str_n("\x81\x05hello", 7)));
    ar_ws_sent(w, 3);
    assert_true(ar_str_is(ar_ws_out(w), ar_str_n("ello", 4)));
    ar_ws_sent(w, 4);
    assert_true(ar_ws_ping(w));
    assert_true(ar_str_is(ar_ws_out(w), ar_str_n("\x89\x00", 2)));
    ar_ws_sent(w, 2);
    ar_ws_close(w, AR_WS_GOING_AWAY, AR_LIT("bye"));
    assert_true(ar_str_is(ar_ws_out(w), ar_str_n("\x88\x05\x03\xe9"
                                                 "bye",
                                                 7)));
    assert_false(ar_ws_text(w, AR_LIT("after")));
    assert_false(ar_ws_is_over(w));
    struct ar_buf in;
    ar_buf_init(&in, 100);
    put_text(&in, 0x88, "\x03\xe9");
    (void)ar_ws_put(w, ar_buf_view(&in));
    assert_true(ar_ws_is_over(w));
    ar_buf_done(&in);
    ar_ws_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_key_of_the_rfc),
        cmocka_unit_test(test_messages_do_not_depend_on_cuts),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_an_unmasked_frame),
        cmocka_unit_test(test_what_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
