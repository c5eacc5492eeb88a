/*
 * Strings, buffers and the arena: what every other file stands on. Caps are met exactly, failure is
 * sticky, absent and empty are kept apart.
 */
#include "check.h"

#include "base/buf.h"

static void test_compare(void **state)
{
    (void)state;
    struct ar_str none = {NULL, 0}, empty = AR_LIT("");
    assert_true(ar_str_is(none, empty));
    assert_true(ar_str_is_lit(AR_LIT("abc"), "abc"));
    assert_false(ar_str_is_lit(AR_LIT("abc"), "abd"));
    assert_false(ar_str_is_lit(AR_LIT("abc"), "ab"));
    assert_true(ar_str_has_prefix(AR_LIT("abc"), AR_LIT("ab")));
    assert_true(ar_str_has_suffix(AR_LIT("abc"), AR_LIT("bc")));
    assert_false(ar_str_has_suffix(AR_LIT("c"), AR_LIT("bc")));
    assert_true(ar_str_is_nocase(AR_LIT("X-Api-Key"), AR_LIT("x-api-KEY")));
    assert_false(
        ar_str_is_nocase(AR_LIT("a@"), AR_LIT("a`"))); /* differ by the case bit, are no letters */
    assert_false(ar_str_is_nocase(AR_LIT("[x"), AR_LIT("{x")));
    assert_true(ar_str_has_prefix_nocase(AR_LIT("Bearer x"), AR_LIT("bearer ")));
    assert_true(ar_str_compare(AR_LIT("a"), AR_LIT("b")) < 0);
    assert_true(ar_str_compare(AR_LIT("ab"), AR_LIT("a")) > 0);
    assert_true(ar_str_compare(AR_LIT("\xff"), AR_LIT("a")) > 0); /* bytes, not chars */
    assert_int_equal(ar_str_compare(none, empty), 0);
}

static void test_cut(void **state)
{
    (void)state;
    CHECK_STR(ar_str_from(AR_LIT("abc"), 1), "bc");
    CHECK_STR(ar_str_from(AR_LIT("abc"), 9), "");
    CHECK_STR(ar_str_head(AR_LIT("abc"), 2), "ab");
    CHECK_STR(ar_str_head(AR_LIT("abc"), 9), "abc");
    CHECK_STR(ar_str_trim(AR_LIT(" \t\r\na b\n ")), "a b");
    CHECK_STR(ar_str_trim(AR_LIT(" \n")), "");
    struct ar_str rest = AR_LIT("a,,b"), piece;
    static const char *const WANT[] = {"a", "", "b"};
    for (unsigned i = 0; i < 3; i++) {
        assert_true(ar_str_split(&rest, ',', &piece));
        CHECK_STR(piece, WANT[i]);
    }
    assert_false(ar_str_split(&rest, ',', &piece));
    rest = AR_LIT("a,");
    assert_true(ar_str_split(&rest, ',', &piece));
    assert_true(ar_str_split(&rest, ',', &piece)); /* the empty piece after it */
    assert_false(ar_str_split(&rest, ',', &piece));
}

static void test_find(void **state)
{
    (void)state;
    assert_int_equal(ar_str_find(AR_LIT("hello"), AR_LIT("l")), 2);
    assert_int_equal(ar_str_find(AR_LIT("hello"), AR_LIT("lo")), 3);
    assert_int_equal(ar_str_find(AR_LIT("hello"), AR_LIT("x")), 5);
    assert_int_equal(ar_str_find(AR_LIT("hel"), AR_LIT("hello")), 3);
    assert_int_equal(ar_str_find(AR_LIT("aab"), AR_LIT("ab")), 1);
    assert_int_equal(ar_str_find_nocase(AR_LIT("Invalid KEY"), AR_LIT("key")), 8);
    assert_int_equal(ar_str_find_char(AR_LIT("a.b"), '.'), 1);
    assert_int_equal(ar_str_find_char(AR_LIT("ab"), '.'), 2);
    assert_true(ar_str_has(AR_LIT("abc"), AR_LIT("c")));
    assert_true(ar_str_has(AR_LIT("abc"), AR_LIT("")));
    assert_false(ar_str_has(AR_LIT(""), AR_LIT("a")));
}

static void test_glob(void **state)
{
    (void)state;
    static const struct {
        const char *s, *glob;
        bool match;
    } ROWS[] = {{"", "", true},
                {"", "*", true},
                {"a", "", false},
                {"abc", "abc", true},
                {"abc", "a*", true},
                {"abc", "*c", true},
                {"abc", "a*c", true},
                {"abc", "a*b", false},
                {"abc", "*", true},
                {"abc", "**", true},
                {"a/b", "a*b", true},
                {"abc", "abcd", false},
                {"aXbXc", "a*X*c", true},
                {"abab", "*ab", true},
                {"gpt-4.1", "gpt-4.*", true},
                {"gpt-41", "gpt-4.*", false},
                {"a?c", "a?c", true},
                {"abc", "a?c", false},
                {"aaaaaaaaaaaaaaaaaaaaaaaaaaab", "*a*a*a*a*a*a*a*c", false}};
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (ar_str_matches_glob(ar_str_of(ROWS[i].s), ar_str_of(ROWS[i].glob)) != ROWS[i].match) {
            fail_msg("%s against %s", ROWS[i].s, ROWS[i].glob);
        }
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *s;
        bool ok;
        int64_t v;
    } ROWS[] = {{"0", true, 0},
                {"-7", true, -7},
                {"007", true, 7},
                {"9223372036854775807", true, INT64_MAX},
                {"-9223372036854775808", true, INT64_MIN},
                {"9223372036854775808", false, 0},
                {"-9223372036854775809", false, 0},
                {"", false, 0},
                {"-", false, 0},
                {"+1", false, 0},
                {" 1", false, 0},
                {"1 ", false, 0},
                {"1a", false, 0},
                {"0x1", false, 0},
                {"1.0", false, 0}};
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        int64_t v = 5;
        bool ok = ar_str_to_i64(ar_str_of(ROWS[i].s), INT64_MIN, INT64_MAX, &v) == AR_OK;
        if (ok != ROWS[i].ok || v != (ok ? ROWS[i].v : 5)) {
            fail_msg("%s", ROWS[i].s);
        }
    }
    int64_t v;
    CHECK_OK(ar_str_to_i64(AR_LIT("10"), 1, 10, &v));
    assert_int_equal(ar_str_to_i64(AR_LIT("11"), 1, 10, &v), AR_INVALID_REQUEST);
    assert_int_equal(ar_str_to_i64(AR_LIT("0"), 1, 10, &v), AR_INVALID_REQUEST);
    double d;
    CHECK_OK(ar_str_to_double(AR_LIT("2.00"), &d));
    assert_true(d == 2.0);
    CHECK_OK(ar_str_to_double(AR_LIT("-1e-3"), &d));
    static const char *const BAD[] = {"", " 1", "1 ", "1,5", "x", "1e999", "--1"};
    for (unsigned i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(ar_str_to_double(ar_str_of(BAD[i]), &d), AR_INVALID_REQUEST);
    }
}

static void test_buf(void **state)
{
    (void)state;
    struct ar_buf b;
    ar_buf_init(&b, 10);
    ar_buf_put(&b, "12345", 5);
    ar_buf_char(&b, '6');
    ar_buf_lit(&b, "7890");
    CHECK_OK(ar_buf_finish(&b));
    CHECK_STR(ar_buf_view(&b), "1234567890"); /* the cap is met exactly */
    ar_buf_char(&b, 'x');
    assert_int_equal(ar_buf_finish(&b), AR_TOO_LARGE);
    ar_buf_eat(&b, 9);
    ar_buf_char(&b, 'y'); /* sticky: nothing is written after a failure */
    CHECK_STR(ar_buf_view(&b), "0");
    ar_buf_clear(&b);
    ar_buf_str(&b, AR_LIT("abc"));
    ar_buf_str(&b, (struct ar_str){NULL, 0});
    ar_buf_eat(&b, 1);
    CHECK_STR(ar_buf_view(&b), "bc");
    ar_buf_eat(&b, 2);
    assert_int_equal(b.n, 0);
    ar_buf_done(&b);
    ar_buf_init(&b, 100);
    ar_buf_i64(&b, INT64_MIN);
    ar_buf_char(&b, ' ');
    ar_buf_i64(&b, 0);
    ar_buf_fmt(&b, " %s-%d", "x", 5);
    CHECK_STR(ar_buf_view(&b), "-9223372036854775808 0 x-5");
    ar_buf_done(&b);
    struct ar_buf zero = {0};
    ar_buf_done(&zero);
    assert_false(ar_buf_reserve(&zero, SIZE_MAX)); /* no overflow in the arithmetic */
}

static void test_arena(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    char *small[100];
    for (unsigned i = 0; i < 100; i++) {
        small[i] = ar_arena_alloc(&a, i);
        assert_non_null(small[i]);
        assert_int_equal((uintptr_t)small[i] % 16, 0);
        memset(small[i], (int)i, i);
    }
    for (unsigned i = 0; i < 100; i++) {
        for (unsigned k = 0; k < i; k++) {
            assert_int_equal(small[i][k], (char)i); /* nothing overlaps */
        }
    }
    struct ar_str copy = ar_arena_copy(&a, AR_LIT("abc"));
    CHECK_STR(copy, "abc");
    assert_int_equal(copy.p[3], '\0');
    struct ar_str none = ar_arena_copy(&a, (struct ar_str){NULL, 0});
    assert_true(none.p != NULL && none.n == 0);
    CHECK_STR(ar_arena_fmt(&a, "%d %s", 7, "x"), "7 x");
    const char *zeroed = ar_arena_zalloc(&a, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(zeroed[i], 0);
    }
    CHECK_OK(ar_arena_finish(&a));
    assert_null(ar_arena_alloc(&a, 1 << 17)); /* over the cap */
    assert_null(ar_arena_alloc(&a, SIZE_MAX));
    assert_int_equal(ar_arena_finish(&a), AR_TOO_LARGE);
    assert_non_null(ar_arena_alloc(&a, 8)); /* the mark stays, small things may go on */
    assert_int_equal(ar_arena_finish(&a), AR_TOO_LARGE);
    ar_arena_reset(&a);
    CHECK_OK(ar_arena_finish(&a));
    assert_true(a.used_bytes <= a.max_bytes);
    assert_non_null(ar_arena_alloc(&a, 1 << 15));
    ar_arena_done(&a);
    struct ar_arena zero = {0};
    ar_arena_done(&zero);
}

/* An arena that was filled and reset over and over does not grow. */
static void test_arena_reuse(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 1 << 20);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 1000; i++) {
            char *p = ar_arena_alloc(&a, 100);
            assert_non_null(p);
            p[0] = p[99] = 'x';
        }
        CHECK_OK(ar_arena_finish(&a));
        ar_arena_reset(&a);
        assert_true(a.used_bytes <= 65536); /* one block of moderate size is kept */
    }
    ar_arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare), cmocka_unit_test(test_cut),
        cmocka_unit_test(test_find),    cmocka_unit_test(test_glob),
        cmocka_unit_test(test_numbers), cmocka_unit_test(test_buf),
        cmocka_unit_test(test_arena),   cmocka_unit_test(test_arena_reuse),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
