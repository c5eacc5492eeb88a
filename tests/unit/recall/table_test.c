/* The bounded table: caps of entries, bytes and age, what goes first, references that outlive
 * eviction, callers that do not see each other, and many threads at once. */
#include "check.h"

#include "base/rand.h"
#include "recall/table.h"

#include <pthread.h>

static const struct ar_recall_limits WIDE = {1000000, 1 << 30, 1000000};

static struct ar_recall_key key_of(const char *caller, const char *id)
{
    struct ar_recall_key tenant = ar_recall_tenant(ar_str_of(caller));
    return ar_recall_key(&tenant, 'x', ar_str_of(id));
}

static struct ar_memo *memo_of(const char *text)
{
    size_t n = strlen(text);
    struct ar_memo *m = ar_memo_new(n);
    memcpy(ar_memo_bytes(m), text, n);
    return m;
}

static bool put(struct ar_recall_table *t, const char *id, const char *text, int64_t now)
{
    struct ar_recall_key key = key_of("me", id);
    return ar_recall_put(t, &key, memo_of(text), now);
}

static bool has(struct ar_recall_table *t, const char *id, int64_t now)
{
    struct ar_recall_key key = key_of("me", id);
    struct ar_memo *m = ar_recall_get(t, &key, now);
    ar_memo_free(m);
    return m != NULL;
}

static void test_what_was_put_is_got_by_its_caller_only(void **state)
{
    (void)state;
    struct ar_recall_table *t = ar_recall_table_new(&WIDE);
    assert_true(put(t, "a", "one", 0));
    assert_true(put(t, "a", "two", 0));
    struct ar_recall_key key = key_of("me", "a"), other = key_of("you", "a");
    struct ar_memo *m = ar_recall_get(t, &key, 0);
    assert_non_null(m);
    CHECK_STR(ar_memo_view(m), "two");
    assert_null(ar_recall_get(t, &other, 0));
    struct ar_recall_key tenant = ar_recall_tenant(AR_LIT("me"));
    struct ar_recall_key kind = ar_recall_key(&tenant, 'y', AR_LIT("a"));
    assert_null(ar_recall_get(t, &kind, 0));
    assert_false(ar_recall_drop(t, &other));
    assert_true(ar_recall_drop(t, &key));
    assert_false(ar_recall_drop(t, &key));
    CHECK_STR(ar_memo_view(m), "two"); /* the copy outlives the entry */
    ar_memo_free(m);
    struct ar_recall_counts counts = ar_recall_table_counts(t);
    assert_int_equal(counts.entries, 0);
    assert_int_equal(counts.bytes, 0);
    ar_recall_table_free(t);
}

static void test_the_longest_unused_goes_first(void **state)
{
    (void)state;
    struct ar_recall_table *t =
        ar_recall_table_new(&(struct ar_recall_limits){200, 1 << 30, 1000000});
    char id[32];
    for (int i = 0; i < 2000; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        assert_true(put(t, id, "text", i));
        assert_true(has(t, "id-0", i)); /* used all the time */
    }
    struct ar_recall_counts counts = ar_recall_table_counts(t);
    assert_true(counts.entries <= 200);
    assert_true(counts.entries > 100);
    assert_int_equal(counts.evicted + counts.entries, 2000);
    assert_true(has(t, "id-1999", 2000));
    assert_false(has(t, "id-1", 2000));
    ar_recall_table_free(t);
}

static void test_bytes_are_capped_and_a_giant_is_refused(void **state)
{
    (void)state;
    enum { MAX = 1 << 20 };
    struct ar_recall_table *t =
        ar_recall_table_new(&(struct ar_recall_limits){100000, MAX, 1000000});
    char id[32], *text = malloc(MAX);
    memset(text, 'x', MAX);
    text[MAX / 2] = '\0';
    assert_false(put(t, "giant", text, 0));
    text[MAX / 5] = '\0';
    for (int i = 0; i < 100; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        assert_true(put(t, id, text, i));
        assert_true(has(t, id, i));
        assert_true(ar_recall_table_counts(t).bytes <= MAX);
    }
    assert_true(ar_recall_table_counts(t).entries >= 3);
    free(text);
    ar_recall_table_free(t);
}

static void test_age_counts_from_the_last_use(void **state)
{
    (void)state;
    struct ar_recall_table *t = ar_recall_table_new(&(struct ar_recall_limits){100, 1 << 20, 50});
    assert_true(put(t, "a", "x", 0));
    assert_true(has(t, "a", 50));
    assert_true(has(t, "a", 100));
    assert_false(has(t, "a", 151));
    assert_int_equal(ar_recall_table_counts(t).entries, 0);
    ar_recall_table_free(t);
}

static void test_new_and_swap_are_one_step(void **state)
{
    (void)state;
    struct ar_recall_table *t = ar_recall_table_new(&WIDE);
    struct ar_recall_key key = key_of("me", "a");
    struct ar_memo *never = memo_of("never");
    assert_false(ar_recall_swap(t, &key, never, memo_of("zero"), 0));
    ar_memo_free(never);
    assert_true(ar_recall_put_new(t, &key, memo_of("one"), 0));
    assert_false(ar_recall_put_new(t, &key, memo_of("two"), 0));
    struct ar_memo *seen = ar_recall_get(t, &key, 0);
    CHECK_STR(ar_memo_view(seen), "one");
    assert_true(ar_recall_swap(t, &key, seen, memo_of("three"), 0));
    assert_false(ar_recall_swap(t, &key, seen, memo_of("four"), 0));
    ar_memo_free(seen);
    assert_true(ar_recall_drop(t, &key));
    ar_recall_table_free(t);
}

/* Lowered caps hold at once, the longest unused goes first; switched off, nothing is left. */
static void test_lowered_caps_hold_at_once(void **state)
{
    (void)state;
    struct ar_recall_table *t = ar_recall_table_new(&WIDE);
    char id[32];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        assert_true(put(t, id, "x", i));
    }
    ar_recall_table_set_limits(t, &WIDE);
    assert_int_equal(ar_recall_table_counts(t).entries, 1000);
    ar_recall_table_set_limits(t, &(struct ar_recall_limits){500, 1 << 20, 1000000});
    assert_int_equal(ar_recall_table_counts(t).entries, 500);
    for (int i = 800; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "id-%d", i);
        assert_true(has(t, id, 1000));
    }
    ar_recall_table_set_limits(t, &(struct ar_recall_limits){0, 1 << 20, 1000000});
    struct ar_recall_counts counts = ar_recall_table_counts(t);
    assert_int_equal(counts.entries, 0);
    assert_int_equal(counts.bytes, 0);
    assert_int_equal(counts.evicted, 1000);
    assert_int_equal(counts.hits, 200);
    assert_false(has(t, "id-999", 1000));
    assert_int_equal(ar_recall_table_counts(t).misses, 1);
    ar_recall_table_free(t);
}

static void test_zero_entries_keep_nothing_and_caps_may_change(void **state)
{
    (void)state;
    struct ar_recall_table *t = ar_recall_table_new(&(struct ar_recall_limits){0, 1 << 20, 1000});
    assert_false(ar_recall_is_on(t));
    assert_false(put(t, "a", "x", 0));
    ar_recall_table_set_limits(t, &WIDE);
    char id[32];
    for (int i = 0; i < 5000; i++) { /* more than the buckets that were made for none */
        (void)snprintf(id, sizeof id, "id-%d", i);
        assert_true(put(t, id, "x", 0));
    }
    assert_int_equal(ar_recall_table_counts(t).entries, 5000);
    ar_recall_table_set_limits(t, &(struct ar_recall_limits){10, 1 << 20, 1000});
    assert_true(put(t, "last", "x", 0));
    assert_true(ar_recall_table_counts(t).entries <= 10);
    assert_true(has(t, "last", 0));
    ar_recall_table_free(t);
}

struct team {
    struct ar_recall_table *t;
    unsigned seed;
};

/* Each memo's text is its id, so a wrong one would show. */
static void *hammer(void *user)
{
    struct team *team = user;
    struct ar_rand rand;
    char id[32];
    ar_rand_init(&rand, team->seed);
    for (int i = 0; i < 20000; i++) {
        (void)snprintf(id, sizeof id, "id-%d", (int)ar_rand_below(&rand, 300));
        struct ar_recall_key key = key_of("me", id);
        switch (ar_rand_below(&rand, 4)) {
        case 0:
            (void)ar_recall_put(team->t, &key, memo_of(id), i);
            break;
        case 1:
            (void)ar_recall_drop(team->t, &key);
            break;
        default: {
            struct ar_memo *m = ar_recall_get(team->t, &key, i);
            if (m && !ar_str_is(ar_memo_view(m), ar_str_of(id))) {
                return team;
            }
            ar_memo_free(m);
        }
        }
    }
    return NULL;
}

static void test_many_threads(void **state)
{
    (void)state;
    struct team teams[4];
    pthread_t threads[4];
    struct ar_recall_table *t =
        ar_recall_table_new(&(struct ar_recall_limits){100, 1 << 20, 1000000});
    for (unsigned i = 0; i < 4; i++) {
        teams[i] = (struct team){t, i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &teams[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *wrong;
        (void)pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_true(ar_recall_table_counts(t).entries <= 100 + 4);
    ar_recall_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_put_is_got_by_its_caller_only),
        cmocka_unit_test(test_the_longest_unused_goes_first),
        cmocka_unit_test(test_bytes_are_capped_and_a_giant_is_refused),
        cmocka_unit_test(test_age_counts_from_the_last_use),
        cmocka_unit_test(test_new_and_swap_are_one_step),
        cmocka_unit_test(test_lowered_caps_hold_at_once),
        cmocka_unit_test(test_zero_entries_keep_nothing_and_caps_may_change),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
