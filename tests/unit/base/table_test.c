/*
 * The map, the list, hashes, ids, encodings, random numbers and the rows of err.def.
 */
#include "check.h"

#include "base/hash.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rand.h"

enum { KEYS = 3000 };

/* Against a plain array, through growth and removal in another order. */
static void test_map(void **state)
{
    (void)state;
    static char names[KEYS][16];
    static int values[KEYS];
    struct ar_map m;
    ar_map_init(&m, 42);
    assert_null(ar_map_get(&m, AR_LIT("x")));
    assert_null(ar_map_remove(&m, AR_LIT("x")));
    for (int i = 0; i < KEYS; i++) {
        (void)snprintf(names[i], sizeof names[i], "key %d", i);
        ar_map_put(&m, ar_str_of(names[i]), &values[i]);
    }
    assert_int_equal(m.n, KEYS);
    ar_map_put(&m, ar_str_of("key 7"), &values[8]);
    assert_int_equal(m.n, KEYS);
    assert_ptr_equal(ar_map_get(&m, AR_LIT("key 7")), &values[8]);
    ar_map_put(&m, ar_str_of(names[7]), &values[7]);
    for (int k = 0; k < KEYS; k += 2) {
        int i = (k * 7) % KEYS;
        bool there = ar_map_get(&m, ar_str_of(names[i])) != NULL;
        assert_ptr_equal(ar_map_remove(&m, ar_str_of(names[i])), there ? &values[i] : NULL);
        values[i] = 1;
    }
    size_t left = 0;
    for (int i = 0; i < KEYS; i++) {
        assert_ptr_equal(ar_map_get(&m, ar_str_of(names[i])), values[i] ? NULL : &values[i]);
        left += !values[i];
    }
    assert_int_equal(m.n, left);
    assert_true(left > 0 && left < KEYS);
    struct ar_str empty = {NULL, 0};
    ar_map_put(&m, empty, &values[0]); /* the empty key is a key */
    assert_ptr_equal(ar_map_get(&m, AR_LIT("")), &values[0]);
    ar_map_done(&m);
    assert_null(ar_map_get(&m, AR_LIT("key 1")));
}

struct item {
    int n;
    struct ar_node node;
};

static void test_list(void **state)
{
    (void)state;
    struct ar_node head;
    struct item items[4] = {{.n = 0}, {.n = 1}, {.n = 2}, {.n = 3}};
    ar_list_init(&head);
    assert_true(ar_list_is_empty(&head));
    assert_false(ar_list_is_linked(&items[0].node));
    ar_list_append(&head, &items[1].node);
    ar_list_append(&head, &items[2].node);
    ar_list_prepend(&head, &items[0].node);
    ar_list_append(&head, &items[3].node);
    ar_list_remove(&items[2].node);
    ar_list_remove(&items[2].node); /* twice is harmless */
    assert_false(ar_list_is_linked(&items[2].node));
    int want[] = {0, 1, 3}, n = 0;
    for (struct ar_node *at = head.next; at != &head; at = at->next) {
        assert_int_equal(AR_HOLDER(at, struct item, node)->n, want[n++]);
    }
    assert_int_equal(n, 3);
}

static void test_hashes(void **state)
{
    (void)state;
    char hex[65];
    ar_sha256_hex(AR_LIT("abc"), 64, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    ar_sha256_hex(AR_LIT(""), 8, hex);
    assert_string_equal(hex, "e3b0c442");
    uint64_t h = ar_hash64(AR_LIT("abc"), 1);
    assert_true(h == ar_hash64(AR_LIT("abc"), 1));
    assert_true(h != ar_hash64(AR_LIT("abc"), 2));
    assert_true(h != ar_hash64(AR_LIT("abd"), 1));
    assert_true(ar_hash64(AR_LIT("a"), 1) != ar_hash64(ar_str_n("a\0", 2), 1));
    /* low bits are spread: 4096 keys in 256 slots */
    unsigned slots[256] = {0}, most = 0;
    for (int i = 0; i < 4096; i++) {
        char key[16];
        (void)snprintf(key, sizeof key, "call_%d", i);
        unsigned *s = &slots[ar_hash64(ar_str_of(key), 0) & 255];
        most = ++*s > most ? *s : most;
    }
    assert_in_range(most, 16, 40);
}

static void test_ids(void **state)
{
    (void)state;
    uint8_t seed[16] = {0}, other[16] = {1};
    char a[65], b[65];
    ar_id_base62(seed, "msg", 0, 24, a);
    ar_id_base62(seed, "msg", 0, 24, b);
    assert_string_equal(a, b); /* a pure function */
    assert_int_equal(strlen(a), 24);
    assert_int_equal(strspn(a, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"),
                     24);
    ar_id_base62(seed, "msg", 1, 24, b);
    assert_string_not_equal(a, b);
    ar_id_base62(seed, "call", 0, 24, b);
    assert_string_not_equal(a, b);
    ar_id_base62(other, "msg", 0, 24, b);
    assert_string_not_equal(a, b);
    ar_id_hex(seed, "resp", 0, 48, a);
    assert_int_equal(strspn(a, "0123456789abcdef"), 48);
    ar_id_base62(seed, "long", 0, 64, a);
    assert_int_equal(strlen(a), 64);
    assert_memory_not_equal(a, a + 32, 32);
}

static void test_base64(void **state)
{
    (void)state;
    static const struct {
        const char *text, *std, *url;
    } ROWS[] = {{"", "", ""},
                {"f", "Zg==", "Zg"},
                {"fo", "Zm8=", "Zm8"},
                {"foo", "Zm9v", "Zm9v"},
                {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
                {"\xff\xfe\xfb", "//77", "__77"},
                {"\xfb\xef\xbe", "++++", "----"}};
    struct ar_buf b;
    ar_buf_init(&b, 4096);
    for (unsigned i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        ar_b64_put(&b, ar_str_of(ROWS[i].text));
        CHECK_STR(ar_buf_view(&b), ROWS[i].std);
        ar_buf_clear(&b);
        ar_b64url_put(&b, ar_str_of(ROWS[i].text));
        CHECK_STR(ar_buf_view(&b), ROWS[i].url);
        ar_buf_clear(&b);
        CHECK_OK(ar_b64_decode(ar_str_of(ROWS[i].std), &b));
        CHECK_STR(ar_buf_view(&b), ROWS[i].text);
        ar_buf_clear(&b);
        CHECK_OK(ar_b64_decode(ar_str_of(ROWS[i].url), &b));
        CHECK_STR(ar_buf_view(&b), ROWS[i].text);
        ar_buf_clear(&b);
    }
    static const char *const BAD[] = {"Z", "Zm9vY", "Zm 9v", "Zm9v\n", "Zm9*", "=Zg"};
    for (unsigned i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        assert_int_equal(ar_b64_decode(ar_str_of(BAD[i]), &b), AR_INVALID_REQUEST);
        ar_buf_clear(&b);
    }
    char bytes[256];
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
    }
    struct ar_buf back;
    ar_buf_init(&back, 4096);
    for (size_t n = 0; n <= 256; n++) {
        ar_buf_clear(&b);
        ar_buf_clear(&back);
        ar_b64url_put(&b, ar_str_n(bytes, n));
        CHECK_OK(ar_b64_decode(ar_buf_view(&b), &back));
        assert_true(ar_str_is(ar_buf_view(&back), ar_str_n(bytes, n)));
    }
    ar_buf_done(&back);
    ar_buf_done(&b);
}

static void test_percent(void **state)
{
    (void)state;
    struct ar_arena a;
    ar_arena_init(&a, 4096);
    CHECK_STR(ar_percent_decode(AR_LIT("a%20b%2Fc%41"), &a), "a b/cA");
    CHECK_STR(ar_percent_decode(AR_LIT("%zz%4%"), &a), "%zz%4%");
    CHECK_STR(ar_percent_decode(AR_LIT("%c3%A9"), &a), "\xc3\xa9");
    CHECK_STR(ar_percent_decode(AR_LIT("plain"), &a), "plain");
    ar_arena_done(&a);
}

static void test_random(void **state)
{
    (void)state;
    struct ar_rand r, same, kernel;
    ar_rand_init(&r, 7);
    ar_rand_init(&same, 7);
    ar_rand_init(&kernel, 0);
    assert_true(ar_rand_next(&r) == ar_rand_next(&same));
    assert_true(ar_rand_next(&r) != ar_rand_next(&kernel));
    unsigned seen[10] = {0};
    for (int i = 0; i < 10000; i++) {
        uint64_t n = ar_rand_below(&r, 10);
        assert_true(n < 10);
        seen[n]++;
    }
    for (int i = 0; i < 10; i++) {
        assert_in_range(seen[i], 800, 1200);
    }
    assert_int_equal(ar_rand_below(&r, 1), 0);
    uint8_t x[32] = {0}, y[32] = {0};
    ar_random_bytes(x, sizeof x);
    ar_random_bytes(y, sizeof y);
    assert_memory_not_equal(x, y, sizeof x);
}

/* Every row of err.def is complete; retry classes fit the statuses. */
static void test_codes(void **state)
{
    (void)state;
    for (int c = AR_OK + 1; c < AR_CODE_COUNT; c++) {
        enum ar_code code = (enum ar_code)c;
        assert_in_range(ar_code_status(code), 400, 599);
        assert_true(strlen(ar_code_public(code)) > 0 && strlen(ar_code_doc(code)) > 10);
        assert_int_equal(strspn(ar_code_public(code), "abcdefghijklmnopqrstuvwxyz_"),
                         strlen(ar_code_public(code)));
        for (int d = c + 1; d < AR_CODE_COUNT; d++) {
            assert_string_not_equal(ar_code_name(code), ar_code_name((enum ar_code)d));
        }
    }
    assert_int_equal(ar_code_status(AR_LOSSY), 400);
    assert_int_equal(ar_code_retry(AR_UPSTREAM_RATE_LIMITED), AR_RETRY_KEY);
    struct ar_err err = {.code = AR_OK};
    assert_int_equal(ar_fail(&err, AR_CONFLICT, "%s %d", "x", 5), AR_CONFLICT);
    assert_int_equal(err.code, AR_CONFLICT);
    assert_string_equal(err.note, "x 5");
    assert_int_equal(ar_fail(NULL, AR_CONFLICT, "x"), AR_CONFLICT);
    char longer[400];
    memset(longer, 'n', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    (void)ar_fail(&err, AR_CONFLICT, "%s", longer);
    assert_true(strlen(err.note) < sizeof err.note); /* cut, not overrun */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),    cmocka_unit_test(test_list),
        cmocka_unit_test(test_hashes), cmocka_unit_test(test_ids),
        cmocka_unit_test(test_base64), cmocka_unit_test(test_percent),
        cmocka_unit_test(test_random), cmocka_unit_test(test_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
