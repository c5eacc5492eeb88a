/* The chunked coding: what is taken, what is refused, at every split. */
#include "http/chunk.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* Reads pieces of `step` bytes; data goes to out. Returns the last word, and how many bytes were
 * used. */
static enum ar_poll run(struct ar_str in, size_t step, struct ar_buf *out, size_t *ret_used)
{
    struct ar_chunk c = {0};
    size_t at = 0, end = 0;
    ar_buf_clear(out);
    while (at < in.n) {
        end = at + step < in.n ? at + step : in.n;
        while (at < end) {
            size_t used = 0;
            enum ar_poll poll = ar_chunk_read(&c, ar_str_n(in.p + at, end - at), &used);
            at += used;
            if (poll == AR_ENDED || poll == AR_FAILED) {
                *ret_used = at;
                return poll;
            }
            if (poll == AR_PENDING) {
                assert_int_equal(at, end);
                break;
            }
            size_t n = c.left < end - at ? (size_t)c.left : end - at;
            assert_true(n > 0);
            ar_buf_put(out, in.p + at, n);
            c.left -= n;
            at += n;
        }
    }
    size_t used = 0;
    *ret_used = at;
    return ar_chunk_read(&c, ar_str_n(in.p + at, 0), &used);
}

static void expect(const char *text, enum ar_poll want, const char *data, size_t left)
{
    struct ar_buf out;
    ar_buf_init(&out, 1 << 20);
    struct ar_str in = ar_str_of(text);
    for (size_t step = 1; step <= in.n; step++) {
        size_t used = 0;
        assert_int_equal(run(in, step, &out, &used), want);
        if (want != AR_FAILED) {
            assert_true(ar_str_is(ar_buf_view(&out), ar_str_of(data)));
            assert_int_equal(in.n - used, left);
        }
    }
    ar_buf_done(&out);
}

static void test_good(void **state)
{
    (void)state;
    expect("0\r\n\r\n", AR_ENDED, "", 0);
    expect("5\r\nhello\r\n0\r\n\r\n", AR_ENDED, "hello", 0);
    expect("5\r\nhello\r\n0\r\n\r\nGET /", AR_ENDED, "hello", 5);
    expect("1\r\na\r\n00A\r\n0123456789\r\n000\r\n\r\n", AR_ENDED, "a0123456789", 0);
    expect("5;x=y;z\r\nhello\r\n0;q=\"1\"\r\n\r\n", AR_ENDED, "hello", 0);
    expect("2\r\n\r\n\r\n0\r\nTrailer: x\r\nB: y\r\n\r\n", AR_ENDED, "\r\n", 0);
    expect("5\r\nhel", AR_PENDING, "hel", 0);
    expect("5\r\nhello\r\n", AR_PENDING, "hello", 0);
    expect("0\r\n", AR_PENDING, "", 0);
    expect("0\r\nA: b\r\n", AR_PENDING, "", 0);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\r\n",
        "x\r\n",
        " 5\r\nhello",
        "5 \r\nhello",
        "5\nhello",
        "5\rhello",
        "-5\r\n",
        "+5\r\n",
        "0x5\r\n",
        "5\r\nhelloX\r\n",
        "5\r\nhello\n0",
        "5\r\nhello\rX",
        "0\r\n\n",
        "0\r\n A: b\r\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA\x01: b\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
        "5;a\nb\r\nhello",
        "0\r\n: b\r\n",
        "0\r\n\r\r",
        ";x\r\n",
        "5,5\r\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        expect(bad[i], AR_FAILED, "", 0);
    }
}

static void test_bounds(void **state)
{
    (void)state;
    struct ar_buf in, out;
    ar_buf_init(&in, 1 << 20);
    ar_buf_init(&out, 1 << 20);
    size_t used;
    ar_buf_lit(&in, "5;");
    for (int i = 0; i < 9000; i++) {
        ar_buf_char(&in, 'x');
    }
    assert_int_equal(run(ar_buf_view(&in), 4096, &out, &used), AR_FAILED);
    ar_buf_clear(&in);
    ar_buf_lit(&in, "0\r\n");
    for (int i = 0; i < 3000; i++) {
        ar_buf_lit(&in, "a: b\r\n");
    }
    assert_int_equal(run(ar_buf_view(&in), 4096, &out, &used), AR_FAILED);
    ar_buf_clear(&in);
    for (int i = 0; i < 20000; i++) {
        ar_buf_lit(&in, "0001\r\nz\r\n"); /* a long honest stream */
    }
    ar_buf_lit(&in, "0\r\n\r\n");
    assert_int_equal(run(ar_buf_view(&in), 4096, &out, &used), AR_ENDED);
    assert_int_equal(out.n, 20000);
    ar_buf_clear(&in);
    for (int i = 0; i < 10000; i++) {
        ar_buf_char(&in, '0');
    }
    assert_int_equal(run(ar_buf_view(&in), 4096, &out, &used), AR_FAILED);
    ar_buf_done(&in);
    ar_buf_done(&out);
}

static void test_head(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,   1,   9,    10,    15,         16,
                                   255, 256, 4096, 65536, 0xdeadbeef, SIZE_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char line[AR_CHUNK_HEAD_MAX + 1] = "";
        char *end = NULL;
        size_t n = ar_chunk_head(sizes[i], line);
        assert_true(n <= AR_CHUNK_HEAD_MAX);
        line[n] = 0;
        assert_true(strtoull(line, &end, 16) == sizes[i]);
        assert_string_equal(end, "\r\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_head),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
