/* The event-stream reader: known frames, every split, every string of a small alphabet; and the
 * writer. */
#include "http/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

/* All frames of a body as text, "[name|data|raw]" each, and what ended it. */
static void put_frame(struct ar_buf *out, const struct ar_frame *f)
{
    ar_buf_char(out, '[');
    ar_buf_str(out, f->name);
    ar_buf_char(out, '|');
    ar_buf_str(out, f->data);
    ar_buf_char(out, '|');
    ar_buf_str(out, f->raw);
    ar_buf_char(out, ']');
}

static bool feed(struct ar_sse *s, struct ar_str in, struct ar_buf *out, struct ar_buf *raws)
{
    while (in.n > 0) {
        struct ar_frame f;
        size_t used = 0;
        /* A copy of exactly this size, so that a read past it is a fault. */
        char *copy = malloc(in.n);
        memcpy(copy, in.p, in.n);
        enum ar_poll poll = ar_sse_next(s, ar_str_n(copy, in.n), &used, &f);
        if (poll == AR_READY) {
            put_frame(out, &f);
            ar_buf_str(raws, f.raw);
        }
        free(copy);
        assert_true(used <= in.n);
        if (poll == AR_FAILED) {
            ar_buf_lit(out, "FAILED");
            return false;
        }
        if (poll == AR_PENDING) {
            assert_int_equal(used, in.n);
        }
        in = ar_str_from(in, used);
    }
    return true;
}

/* cuts: bit i set means a split after byte i. */
static void run(struct ar_str body, uint64_t cuts, size_t frame_max, struct ar_buf *out)
{
    struct ar_sse s;
    struct ar_buf raws;
    ar_buf_init(&raws, 1 << 20);
    ar_sse_init(&s, frame_max);
    size_t from = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < body.n; i++) {
        if (i + 1 == body.n || (i < 64 && (cuts >> i & 1))) {
            ok = feed(&s, ar_str_n(body.p + from, i + 1 - from), out, &raws);
            from = i + 1;
        }
    }
    if (ok) {
        struct ar_frame f;
        bool between = ar_sse_is_between(&s);
        enum ar_poll poll = ar_sse_rest(&s, &f);
        assert_int_equal(poll, between ? AR_PENDING : AR_READY);
        if (poll == AR_READY) {
            ar_buf_lit(out, "REST");
            put_frame(out, &f);
            ar_buf_str(&raws, f.raw);
        }
        assert_true(ar_sse_is_between(&s));
        assert_int_equal(raws.n, body.n);
        assert_true(ar_str_is(ar_buf_view(&raws), body));
    }
    ar_sse_done(&s);
    ar_buf_done(&raws);
}

static void expect(const char *body, const char *frames)
{
    struct ar_buf out;
    ar_buf_init(&out, 1 << 20);
    run(ar_str_of(body), 0, 65536, &out);
    ar_buf_char(&out, 0);
    assert_string_equal(out.p, frames);
    ar_buf_done(&out);
}

static void test_known(void **state)
{
    (void)state;
    expect("data: a\n\n", "[|a|data: a\n\n]");
    expect("data:a\r\n\r\n", "[|a|data:a\r\n\r\n]");
    expect("data:  a\n\n", "[| a|data:  a\n\n]");
    expect("event: x\ndata: {}\n\ndata: [DONE]\n\n",
           "[x|{}|event: x\ndata: {}\n\n][|[DONE]|data: [DONE]\n\n]");
    expect("data: a\ndata: b\ndata:\n\n", "[|a\nb\n|data: a\ndata: b\ndata:\n\n]");
    expect(": ping\n\n", "[||: ping\n\n]");
    expect("data\n\n", "[||data\n\n]");
    expect("id: 1\nretry: 5\nfoo: bar\ndata: x\n\n", "[|x|id: 1\nretry: 5\nfoo: bar\ndata: x\n\n]");
    expect("\n\ndata: a\n\n", "[||\n][||\n][|a|data: a\n\n]");
    expect("\xef\xbb\xbf"
           "data: a\n\ndata: \xef\xbb\xbf\n\n",
           "[|a|\xef\xbb\xbf"
           "data: a\n\n][|\xef\xbb\xbf|data: \xef\xbb\xbf\n\n]");
    expect("data: a\rdata: b\r\rdata: c\n\n", "[|a\nb|data: a\rdata: b\r\r][|c|data: c\n\n]");
    expect("data: a\r\n\ndata: b\n\r\ndata: c\r\r\n",
           "[|a|data: a\r\n\n][|b|data: b\n\r\n][|c|data: c\r\r\n]");
    expect("data: a", "REST[|a|data: a]");
    expect("data: a\r\r", "REST[|a|data: a\r\r]");
    expect("data: a\n\nevent: x", "[|a|data: a\n\n]REST[x||event: x]");
    expect("dataX: a\nDATA: b\n\n", "[||dataX: a\nDATA: b\n\n]");
}

static void test_split_at_every_byte(void **state)
{
    (void)state;
    static const char body[] =
        "\xef\xbb\xbf"
        "event: m\r\ndata: {\"a\":\"\xc3\xa4\"}\r\n\r\n: c\n\ndata: 1\ndata: 2\n\n"
        "data: x\r\rdata: y\n\r\n\r\ndata: tail";
    struct ar_str text = ar_str_n(body, sizeof(body) - 1);
    struct ar_buf whole, split;
    ar_buf_init(&whole, 1 << 20);
    ar_buf_init(&split, 1 << 20);
    run(text, 0, 65536, &whole);
    assert_true(text.n > 64);
    run(text, UINT64_MAX, 65536, &split);
    assert_true(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
    for (unsigned i = 0; i < 64; i++) {
        for (unsigned j = i; j < 64; j++) {
            ar_buf_clear(&split);
            run(text, 1ull << i | 1ull << j, 65536, &split);
            assert_true(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
        }
    }
    ar_buf_done(&whole);
    ar_buf_done(&split);
}

/* Every string of up to seven of these, at every set of cuts, must give the same frames, and the
 * frames of a plain model. */
static const char *const words[] = {"\n", "\r", "d", ":", "data:x"};

static size_t model_line(const char *p, size_t n, size_t i, size_t *ret_next)
{
    size_t e = i;
    while (e < n && p[e] != '\n' && p[e] != '\r') {
        e++;
    }
    *ret_next = e;
    if (e < n) {
        *ret_next = p[e] == '\r' && e + 1 < n && p[e + 1] == '\n' ? e + 2 : e + 1;
    }
    return e;
}

/* How many frames, by reading lines one after the other. A frame that ends with a CR at the very
 * end counts as rest. */
static unsigned model_count(const char *p, size_t n, bool *ret_rest)
{
    unsigned frames = 0;
    size_t i = 0;
    *ret_rest = false;
    while (i < n) {
        size_t next, e = model_line(p, n, i, &next);
        if (e == i && e < n) {
            if (next == n && p[n - 1] == '\r') {
                *ret_rest = true;
                return frames;
            }
            frames++;
            *ret_rest = false;
        } else {
            *ret_rest = true;
        }
        i = next;
    }
    return frames;
}

static unsigned count_of(struct ar_str out, char c)
{
    unsigned n = 0;
    for (size_t i = 0; i < out.n; i++) {
        n += out.p[i] == c;
    }
    return n;
}

static void test_exhaustive(void **state)
{
    (void)state;
    enum { WORDS = sizeof(words) / sizeof(words[0]), LEN = 6 };
    struct ar_buf whole, split;
    ar_buf_init(&whole, 1 << 16);
    ar_buf_init(&split, 1 << 16);
    unsigned total = 1;
    for (unsigned i = 0; i < LEN; i++) {
        total *= WORDS;
    }
    for (unsigned k = 0; k < total; k++) {
        char body[64];
        size_t n = 0;
        for (unsigned i = 0, v = k; i < LEN; i++, v /= WORDS) {
            size_t w = strlen(words[v % WORDS]);
            memcpy(body + n, words[v % WORDS], w);
            n += w;
        }
        ar_buf_clear(&whole);
        run(ar_str_n(body, n), 0, 4096, &whole);
        bool rest = false;
        unsigned frames = model_count(body, n, &rest);
        assert_int_equal(count_of(ar_buf_view(&whole), '['), frames + rest);
        assert_int_equal(ar_str_has(ar_buf_view(&whole), AR_LIT("REST")), rest);
        uint64_t step = n <= 7 ? 1 : ((1ull << n) / 97) | 1;
        for (uint64_t cuts = 1; cuts < 1ull << n; cuts += step) {
            ar_buf_clear(&split);
            run(ar_str_n(body, n), cuts, 4096, &split);
            assert_true(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
        }
    }
    ar_buf_done(&whole);
    ar_buf_done(&split);
}

static void test_cap(void **state)
{
    (void)state;
    char body[64];
    memset(body, 'x', sizeof(body));
    memcpy(body + 18, "\n\n", 2);
    memcpy(body + 39, "\n\n", 2); /* 20 bytes, then 21 */
    struct ar_buf whole, split;
    ar_buf_init(&whole, 1 << 16);
    ar_buf_init(&split, 1 << 16);
    run(ar_str_n(body, 41), 0, 20, &whole);
    assert_true(ar_str_has_suffix(ar_buf_view(&whole), AR_LIT("]FAILED")));
    assert_int_equal(count_of(ar_buf_view(&whole), '['), 1);
    for (unsigned i = 0; i < 40; i++) {
        ar_buf_clear(&split);
        run(ar_str_n(body, 41), 1ull << i, 20, &split);
        assert_true(ar_str_is(ar_buf_view(&whole), ar_buf_view(&split)));
    }
    ar_buf_done(&whole);
    ar_buf_done(&split);
}

/* A frame of 200 KB in small pieces: given once, whole, and in time that does not grow with the
 * square. */
static void test_large_in_pieces(void **state)
{
    (void)state;
    enum { N = 200000 };
    char *body = malloc(N + 8);
    memcpy(body, "data: ", 6);
    memset(body + 6, 'a', N);
    memcpy(body + 6 + N, "\n\n", 2);
    struct ar_sse s;
    ar_sse_init(&s, 1 << 20);
    unsigned frames = 0;
    for (size_t i = 0; i < N + 8; i += 7) {
        size_t used, n = N + 8 - i < 7 ? N + 8 - i : 7;
        struct ar_frame f;
        if (ar_sse_next(&s, ar_str_n(body + i, n), &used, &f) == AR_READY) {
            frames++;
            assert_int_equal(f.data.n, N);
            assert_int_equal(f.raw.n, N + 8);
        }
        assert_int_equal(used, n);
    }
    assert_int_equal(frames, 1);
    ar_sse_done(&s);
    free(body);
}

static void test_in_place(void **state)
{
    (void)state;
    struct ar_str body = AR_LIT("data: a\n\ndata: b\n\nda");
    struct ar_sse s;
    ar_sse_init(&s, 100);
    struct ar_frame f;
    size_t used;
    assert_int_equal(ar_sse_next(&s, body, &used, &f), AR_READY);
    assert_ptr_equal(f.raw.p, body.p);
    assert_ptr_equal(f.data.p, body.p + 6);
    assert_int_equal(ar_sse_next(&s, ar_str_from(body, used), &used, &f), AR_READY);
    assert_ptr_equal(f.raw.p, body.p + 9);
    assert_int_equal(s.carry.cap, 0);
    ar_sse_done(&s);
}

static void test_writer(void **state)
{
    (void)state;
    struct ar_buf out;
    ar_buf_init(&out, 1000);
    struct ar_framer f = {.how = &ar_framing_sse, .out = &out};
    f.how->begin(&f, AR_LIT("message_start"));
    ar_buf_lit(&out, "{}");
    f.how->end(&f);
    f.how->comment(&f, AR_LIT(""));
    f.how->comment(&f, AR_LIT("hi"));
    f.how->begin(&f, AR_LIT(""));
    ar_buf_lit(&out, "[DONE]");
    f.how->end(&f);
    f.how->finish(&f);
    ar_buf_char(&out, 0);
    assert_string_equal(out.p, "event: message_start\ndata: {}\n\n:\n\n: hi\n\ndata: [DONE]\n\n");
    assert_int_equal(f.count, 2);
    ar_buf_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known),           cmocka_unit_test(test_split_at_every_byte),
        cmocka_unit_test(test_exhaustive),      cmocka_unit_test(test_cap),
        cmocka_unit_test(test_large_in_pieces), cmocka_unit_test(test_in_place),
        cmocka_unit_test(test_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
