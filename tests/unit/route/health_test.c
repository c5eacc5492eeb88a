/*
 * Records of health: full tables, eviction, rests, rates; and many threads on one table, for
 * ThreadSanitizer and for the counts.
 */
#include "check.h"
#include "io/loop.h"
#include "route/health.h"

static struct ar_health *get(struct ar_health_table *t, unsigned n, int64_t now_ms)
{
    char id[24];
    int len = snprintf(id, sizeof id, "id-%u", n);
    return ar_health_get(t, "test", ar_str_n(id, (size_t)len), now_ms);
}

static void test_ids_and_kinds(void **state)
{
    (void)state;
    struct ar_health_table *t = ar_health_table_new(64, 0);
    struct ar_health *a = ar_health_get(t, "key", AR_LIT("x"), 1),
                     *b = ar_health_get(t, "base", AR_LIT("x"), 1);
    assert_non_null(a);
    assert_ptr_not_equal(a, b);
    assert_ptr_equal(ar_health_get(t, "key", AR_LIT("x"), 9), a);
    assert_int_equal(ar_health_full_count(t), 0);
    ar_health_table_free(t);
    ar_health_table_free(NULL);
}

static void test_a_full_table_is_counted_and_lived_with(void **state)
{
    (void)state;
    struct ar_health_table *t = ar_health_table_new(32, 0);
    unsigned got = 0;
    for (unsigned i = 0; i < 1000; i++) {
        got += get(t, i, 1) != NULL;
    }
    assert_true(got > 16 && got <= 32);
    assert_int_equal(ar_health_full_count(t), 1000 - got);
    /* nothing known is fit and free */
    int64_t until = 7;
    struct ar_key_limits none = {0};
    assert_int_equal(ar_health_fitness(NULL, 1, &until), AR_FIT);
    assert_true(ar_health_take(NULL, &none, 1, &until));
    ar_health_give(NULL, &none, 5, 1);
    ar_health_rest(NULL, 5, true);
    ar_health_recover(NULL);
    assert_int_equal(ar_health_fail(NULL), 1);
    assert_int_equal(ar_health_turn(NULL), 0);
    ar_health_table_free(t);
}

static void test_idle_strangers_make_room(void **state)
{
    (void)state;
    struct ar_health_table *t = ar_health_table_new(16, 1000);
    struct ar_key_limits none = {0};
    int64_t until;
    struct ar_health *busy = get(t, 0, 0), *resting = get(t, 1, 0);
    assert_true(ar_health_take(busy, &none, 0, &until));
    ar_health_rest(resting, 900000, true);
    for (unsigned i = 2; i < 1000; i++) {
        (void)get(t, i, 0);
    }
    assert_true(ar_health_full_count(t) > 0);
    uint64_t id = atomic_load(&busy->id);
    struct ar_health *fresh = get(t, 5000, 1500);
    assert_non_null(fresh);
    assert_int_equal(ar_health_fitness(fresh, 1500, &until),
                     AR_FIT); /* nothing of its forerunner is left */
    for (unsigned i = 6000; i < 6400; i++) {
        (void)get(t, i, 3000);
    }
    assert_int_equal(atomic_load(&busy->id), id); /* in flight: never evicted */
    ar_health_give(busy, &none, 0, 3000);
    ar_health_table_free(t);
}

static void test_rests(void **state)
{
    (void)state;
    struct ar_health_table *t = ar_health_table_new(16, 0);
    struct ar_health *h = get(t, 1, 0);
    int64_t until;
    ar_health_rest(h, 100, false);
    assert_int_equal(ar_health_fitness(h, 99, &until), AR_RESTS_SOFT);
    assert_int_equal(until, 100);
    assert_int_equal(ar_health_fitness(h, 100, &until), AR_FIT);
    ar_health_rest(h, 50, true); /* a shorter rest changes nothing */
    assert_int_equal(ar_health_fitness(h, 99, &until), AR_RESTS_SOFT);
    ar_health_rest(h, 200, true);
    assert_int_equal(ar_health_fitness(h, 199, &until), AR_RESTS_HARD);
    assert_int_equal(ar_health_fail(h), 1);
    assert_int_equal(ar_health_fail(h), 2);
    ar_health_recover(h);
    assert_int_equal(ar_health_fitness(h, 1, &until), AR_FIT);
    assert_int_equal(ar_health_fail(h), 1);
    ar_health_table_free(t);
}

/* Every rate lets its number through at once (to the millisecond), and keeps it over ten minutes.
 */
static void test_rates(void **state)
{
    (void)state;
    static const int64_t RATES[] = {1, 2, 3, 7, 50, 59, 60, 61, 700, 1000};
    for (size_t i = 0; i < sizeof RATES / sizeof *RATES; i++) {
        struct ar_health_table *t = ar_health_table_new(16, 0);
        struct ar_health *h = get(t, 1, 0);
        struct ar_key_limits l = {.rpm = RATES[i]};
        int64_t until = 0, burst = 0, all = 0;
        while (burst <= 2 * RATES[i] && ar_health_take(h, &l, 1000000, &until)) {
            ar_health_give(h, &l, 0, 1000000);
            burst++;
        }
        assert_true(burst >= RATES[i] && burst <= RATES[i] * 101 / 100);
        assert_true(until > 1000000 && until <= 1000000 + 60000);
        for (int64_t ms = 1000000; ms < 1000000 + 600000; ms += 7) {
            if (ar_health_take(h, &l, ms, &until)) {
                ar_health_give(h, &l, 0, ms);
                all++;
            }
        }
        assert_true(all >= RATES[i] * 10 * 95 / 100 - 1 && all <= RATES[i] * 10 * 102 / 100 + 1);
        assert_int_equal(atomic_load(&h->in_flight), 0);
        ar_health_table_free(t);
    }
}

enum { THREADS = 4, ROUNDS = 20000, IDS = 40 };

struct crowd {
    struct ar_health_table *t;
    unsigned number;
    unsigned took, refused;
    int64_t most;
};

static void run_crowd(void *arg)
{
    struct crowd *c = arg;
    struct ar_key_limits one = {.concurrency = 2}, none = {0};
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct ar_health *h = get(c->t, (i * 7 + c->number) % IDS, i);
        int64_t until;
        ar_health_turn(h);
        if (ar_health_take(h, &one, i, &until)) {
            int busy = atomic_load(&h->in_flight);
            c->most = busy > c->most ? busy : c->most;
            c->took++;
            ar_health_give(h, &one, 1, i);
        } else {
            c->refused++;
        }
        (void)ar_health_take(get(c->t, 0, i), &none, i, &until);
        ar_health_give(get(c->t, 0, i), &none, 1, i);
        if (i % 100 == 0) {
            ar_health_fail(h);
            ar_health_rest(h, i + 5, i % 200 == 0);
            (void)ar_health_fitness(h, i, &until);
            ar_health_recover(h);
        }
    }
}

static void test_many_threads_share_a_table(void **state)
{
    (void)state;
    struct ar_health_table *t = ar_health_table_new(128, 0);
    struct crowd crowds[THREADS];
    struct ar_thread *threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.t = t, .number = i};
        threads[i] = ar_thread_start(run_crowd, &crowds[i]);
    }
    unsigned took = 0, refused = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        ar_thread_join(threads[i]);
        took += crowds[i].took;
        refused += crowds[i].refused;
    }
    assert_int_equal(took + refused, THREADS * ROUNDS);
    uint64_t turns = 0, served = 0;
    for (unsigned i = 0; i < IDS;
         i++) { /* one record an id, whoever came first; no count is lost */
        struct ar_health *h = get(t, i, 0);
        assert_non_null(h);
        assert_int_equal(atomic_load(&h->in_flight), 0);
        turns += atomic_load(&h->turn);
        served += atomic_load(&h->served);
    }
    assert_int_equal(turns, THREADS * ROUNDS);
    assert_int_equal(served, took + THREADS * ROUNDS);
    assert_int_equal(ar_health_full_count(t), 0);
    ar_health_table_free(t);
}

static void run_strangers(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        int64_t until;
        struct ar_key_limits none = {0};
        struct ar_health *h = get(c->t, i % 500 + c->number, (int64_t)i * 10);
        if (ar_health_take(h, &none, i, &until)) {
            ar_health_give(h, &none, 0, i);
        }
        c->took += h != NULL;
    }
}

static void test_many_threads_evict(void **state)
{
    (void)state;
    struct ar_health_table *t = ar_health_table_new(64, 100);
    struct crowd crowds[THREADS];
    struct ar_thread *threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        crowds[i] = (struct crowd){.t = t, .number = i};
        threads[i] = ar_thread_start(run_strangers, &crowds[i]);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        ar_thread_join(threads[i]);
        assert_true(crowds[i].took > ROUNDS / 2);
    }
    ar_health_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_and_kinds),
        cmocka_unit_test(test_a_full_table_is_counted_and_lived_with),
        cmocka_unit_test(test_idle_strangers_make_room),
        cmocka_unit_test(test_rests),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_many_threads_share_a_table),
        cmocka_unit_test(test_many_threads_evict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
