/* Decoders against what the libraries themselves encode, at every split and with small output. */
#include "http/encoding.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

static struct ar_str plain(void)
{
    static char text[5000];
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)('a' + (i * i / 7) % 23);
    }
    return ar_str_n(text, sizeof(text));
}

static void pack_zlib(struct ar_str s, int window, struct ar_buf *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    ar_buf_reserve(out, s.n + 1000);
    z.next_in = (Bytef *)(uintptr_t)s.p;
    z.avail_in = (uInt)s.n;
    z.next_out = (Bytef *)out->p + out->n;
    z.avail_out = (uInt)(out->cap - out->n);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n = out->cap - z.avail_out;
    deflateEnd(&z);
}

static void pack_zstd(struct ar_str s, struct ar_buf *out)
{
    ar_buf_reserve(out, ZSTD_compressBound(s.n));
    size_t n = ZSTD_compress(out->p + out->n, out->cap - out->n, s.p, s.n, 3);
    assert_false(ZSTD_isError(n));
    out->n += n;
}

/* Decodes with pieces of in_step and room for out_step. false: refused, or not complete. */
static bool unpack(enum ar_encoding e, struct ar_str in, size_t in_step, size_t out_step,
                   struct ar_buf *out)
{
    struct ar_decoder *d = ar_decoder_new(e);
    char *room = malloc(out_step);
    bool ok = true;
    ar_buf_clear(out);
    for (size_t at = 0; ok && at < in.n;) {
        struct ar_str piece = ar_str_head(ar_str_from(in, at), in_step);
        for (;;) {
            size_t used = 0, n = 0;
            enum ar_poll poll = ar_decoder_run(d, piece, &used, ar_str_n(room, out_step), &n);
            piece = ar_str_from(piece, used);
            ar_buf_put(out, room, n);
            at += used;
            if (poll == AR_PENDING) {
                assert_int_equal(piece.n, 0);
                break;
            }
            if (poll == AR_FAILED) {
                ok = false;
                break;
            }
            assert_true(n > 0);
        }
    }
    ok = ok && ar_decoder_is_complete(d);
    free(room);
    ar_decoder_free(d);
    return ok;
}

static void both_ways(enum ar_encoding e, struct ar_str packed, struct ar_str want)
{
    static const size_t steps[] = {1, 2, 3, 7, 100, 100000};
    struct ar_buf out;
    ar_buf_init(&out, 1 << 20);
    for (size_t i = 0; i < 6; i++) {
        for (size_t j = 0; j < 6; j++) {
            assert_true(unpack(e, packed, steps[i], steps[j], &out));
            assert_true(ar_str_is(ar_buf_view(&out), want));
        }
    }
    for (size_t n = 1; n < packed.n; n += 13) { /* cut short: never complete */
        assert_false(unpack(e, ar_str_head(packed, n), 64, 4096, &out));
    }
    ar_buf_done(&out);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct ar_str text = plain();
    struct ar_buf p;
    ar_buf_init(&p, 1 << 20);
    pack_zlib(text, 15 + 16, &p);
    both_ways(AR_ENC_GZIP, ar_buf_view(&p), text);
    ar_buf_clear(&p);
    pack_zlib(text, 15, &p);
    both_ways(AR_ENC_DEFLATE, ar_buf_view(&p), text);
    ar_buf_clear(&p);
    pack_zlib(text, -15, &p);
    both_ways(AR_ENC_DEFLATE, ar_buf_view(&p), text);
    ar_buf_clear(&p);
    pack_zstd(text, &p);
    both_ways(AR_ENC_ZSTD, ar_buf_view(&p), text);
    ar_buf_done(&p);
}

static void test_members(void **state)
{
    (void)state;
    struct ar_buf p, out;
    ar_buf_init(&p, 1 << 20);
    ar_buf_init(&out, 1 << 20);
    pack_zlib(AR_LIT("one"), 31, &p);
    pack_zlib(AR_LIT("two"), 31, &p);
    assert_true(unpack(AR_ENC_GZIP, ar_buf_view(&p), 5, 2, &out));
    assert_true(ar_str_is_lit(ar_buf_view(&out), "onetwo"));
    ar_buf_lit(&p, "garbage");
    assert_false(unpack(AR_ENC_GZIP, ar_buf_view(&p), 5, 2, &out));
    ar_buf_clear(&p);
    pack_zstd(AR_LIT("one"), &p);
    pack_zstd(AR_LIT("two"), &p);
    assert_true(unpack(AR_ENC_ZSTD, ar_buf_view(&p), 5, 2, &out));
    assert_true(ar_str_is_lit(ar_buf_view(&out), "onetwo"));
    ar_buf_done(&p);
    ar_buf_done(&out);
}

static void test_corrupt(void **state)
{
    (void)state;
    struct ar_buf p, out;
    ar_buf_init(&p, 1 << 20);
    ar_buf_init(&out, 1 << 20);
    assert_false(unpack(AR_ENC_GZIP, AR_LIT("{\"not\":\"gzip\"}"), 4, 100, &out));
    assert_false(unpack(AR_ENC_ZSTD, AR_LIT("{\"not\":\"zstd\"}"), 4, 100, &out));
    assert_false(unpack(AR_ENC_DEFLATE, AR_LIT("{\"not\":\"deflate\"}"), 4, 100, &out));
    pack_zlib(plain(), 31, &p);
    p.p[p.n - 6] ^= 1; /* the checksum */
    assert_false(unpack(AR_ENC_GZIP, ar_buf_view(&p), 1000, 1000, &out));
    ar_buf_done(&p);
    ar_buf_done(&out);
}

static void test_names(void **state)
{
    (void)state;
    assert_int_equal(ar_encoding_of(AR_LIT("")), AR_ENC_IDENTITY);
    assert_int_equal(ar_encoding_of(AR_LIT("Identity")), AR_ENC_IDENTITY);
    assert_int_equal(ar_encoding_of(AR_LIT(" GZIP ")), AR_ENC_GZIP);
    assert_int_equal(ar_encoding_of(AR_LIT("x-gzip")), AR_ENC_GZIP);
    assert_int_equal(ar_encoding_of(AR_LIT("deflate")), AR_ENC_DEFLATE);
    assert_int_equal(ar_encoding_of(AR_LIT("zstd")), AR_ENC_ZSTD);
    assert_int_equal(ar_encoding_of(AR_LIT("br")), AR_ENC_UNKNOWN);
    assert_int_equal(ar_encoding_of(AR_LIT("gzip, gzip")), AR_ENC_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_corrupt),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
