/*
 * The JSON writer: commas, numbers in the shortest spelling that reads back the same, verbatim
 * spans, the cap.
 */
#include "check.h"

#include "json/scan.h"
#include "json/write.h"

static void test_structure(void **state)
{
    (void)state;
    struct ar_buf b;
    ar_buf_init(&b, 4096);
    struct ar_jw w = ar_jw_on(&b);
    ar_jw_open(&w, '{');
    ar_jw_key(&w, "empty");
    ar_jw_open(&w, '{');
    ar_jw_close(&w, '}');
    ar_jw_key(&w, "list");
    ar_jw_open(&w, '[');
    ar_jw_i64(&w, 1);
    ar_jw_null(&w);
    ar_jw_open(&w, '[');
    ar_jw_close(&w, ']');
    ar_jw_open(&w, '{');
    ar_jw_key_bool(&w, "x", false);
    ar_jw_close(&w, '}');
    ar_jw_close(&w, ']');
    ar_jw_key_text(&w, "text", AR_LIT("a\"\n"));
    ar_jw_key_esc(&w, "esc", AR_LIT("\\ud83d"));
    ar_jw_key_raw(&w, "raw", AR_LIT("0.10"));
    ar_jw_key_lit(&w, "lit", "z");
    ar_jw_key_i64(&w, "min", INT64_MIN);
    ar_jw_key_null(&w, "none");
    ar_jw_key_esc(&w, "absent", ((struct ar_str){NULL, 0}));
    ar_jw_close(&w, '}');
    CHECK_OK(ar_buf_finish(&b));
    CHECK_STR(ar_buf_view(&b),
              "{\"empty\":{},\"list\":[1,null,[],{\"x\":false}],\"text\":\"a\\\"\\n\",\"esc\":"
              "\"\\ud83d\",\"raw\":0.10,"
              "\"lit\":\"z\",\"min\":-9223372036854775808,\"none\":null,\"absent\":\"\"}");
    struct ar_arena a;
    struct ar_jdoc doc;
    ar_arena_init(&a, 1 << 16);
    CHECK_OK(ar_json_parse(ar_buf_view(&b), AR_JSON_DEPTH, &a, &doc, NULL));
    ar_arena_done(&a);
    ar_buf_done(&b);
}

static void test_cap(void **state)
{
    (void)state;
    struct ar_buf b;
    ar_buf_init(&b, 8);
    struct ar_jw w = ar_jw_on(&b);
    ar_jw_open(&w, '{');
    ar_jw_key_text(&w, "a_long_key", AR_LIT("and a long text"));
    ar_jw_close(&w, '}');
    assert_int_equal(ar_buf_finish(&b), AR_TOO_LARGE);
    assert_true(b.n <= 8);
    ar_buf_done(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_structure),
                                       cmocka_unit_test(test_cap)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
