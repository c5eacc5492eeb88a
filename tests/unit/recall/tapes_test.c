/* Tapes: readers at any place see the same frames; a reader outlives the run; a torn tape is never
 * taken for a whole one; readers and writer on threads of their own. */
#include "check.h"

#include "recall/tapes.h"

#include <pthread.h>
#include <stdio.h>

static struct ar_recall_key key_of(const char *id)
{
    struct ar_recall_key me = ar_recall_tenant(AR_LIT("me"));
    return ar_tape_key(&me, ar_str_of(id));
}

static void put(struct ar_tape *tape, unsigned n)
{
    char text[64];
    (void)snprintf(text, sizeof text, "event: e\ndata: {\"n\":%u}\n\n", n);
    ar_tape_put(tape, ar_str_of(text));
}

static void test_readers_at_any_place(void **state)
{
    struct ar_tapes *t = ar_tapes_new(1 << 20);
    struct ar_recall_key key = key_of("resp_1"), other = key_of("resp_2");
    struct ar_tape *tape = ar_tape_begin(t, &key);
    struct ar_tape_place all = {0}, late = {.skip = 2};
    struct ar_buf a, b, whole;
    (void)state;
    ar_buf_init(&a, 1 << 20);
    ar_buf_init(&b, 1 << 20);
    ar_buf_init(&whole, 1 << 20);
    put(tape, 0);
    assert_null(ar_tape_find(t, &other));
    struct ar_tape *reader = ar_tape_find(t, &key);
    assert_non_null(reader);
    assert_int_equal(ar_tape_read(reader, &late, 1000, &b), AR_TAPE_RUNS);
    assert_int_equal(b.n, 0); /* what it skips has not all come */
    for (unsigned i = 1; i < 4; i++) {
        put(tape, i);
        assert_int_equal(ar_tape_read(reader, &all, 10, &a), AR_TAPE_RUNS);
    }
    assert_int_equal(ar_tape_count(tape), 4);
    assert_true(ar_tape_end(tape, &whole));
    ar_tape_drop(tape);
    assert_null(ar_tape_find(t, &key)); /* nobody new, but who is there reads on */
    assert_int_equal(ar_tape_read(reader, &all, 10, &a), AR_TAPE_RUNS);
    assert_int_equal(ar_tape_read(reader, &all, 1000, &a), AR_TAPE_ENDED);
    assert_int_equal(ar_tape_read(reader, &late, 1000, &b), AR_TAPE_ENDED);
    assert_true(ar_str_is(ar_buf_view(&a), ar_buf_view(&whole)));
    assert_true(ar_str_is(ar_buf_view(&b), ar_frames_from(ar_buf_view(&whole), 2)));
    assert_true(ar_str_has_prefix(ar_buf_view(&b), AR_LIT("event: e\ndata: {\"n\":2}")));
    assert_int_equal(ar_frames_from(ar_buf_view(&whole), 9).n, 0);
    ar_tape_drop(reader);
    assert_int_equal(ar_tapes_bytes(t), 0);
    ar_tapes_free(t);
    ar_buf_done(&a);
    ar_buf_done(&b);
    ar_buf_done(&whole);
}

static void test_a_torn_tape(void **state)
{
    struct ar_tapes *t = ar_tapes_new(100);
    struct ar_recall_key key = key_of("resp_1");
    struct ar_tape *tape = ar_tape_begin(t, &key);
    struct ar_tape_place place = {0};
    struct ar_buf out;
    (void)state;
    ar_buf_init(&out, 1 << 20);
    for (unsigned i = 0; i < 20; i++) {
        put(tape, i);
    }
    assert_int_equal(ar_tape_read(tape, &place, 1000, &out), AR_TAPE_TORN);
    assert_int_equal(ar_tapes_bytes(t), 0);
    assert_false(ar_tape_end(tape, &out));
    assert_int_equal(ar_tape_read(tape, &place, 1000, &out), AR_TAPE_TORN);
    ar_tape_drop(tape);
    ar_tape_drop(NULL);
    ar_tapes_free(t);
    ar_buf_done(&out);
}

struct reading {
    struct ar_tapes *t;
    struct ar_recall_key key;
    struct ar_tape *tape;
    struct ar_buf got;
};

static void *read_all(void *arg)
{
    struct reading *r = arg;
    struct ar_tape_place place = {0};
    while (ar_tape_read(r->tape, &place, 100, &r->got) == AR_TAPE_RUNS) {
    }
    ar_tape_drop(r->tape);
    return NULL;
}

static void test_threads(void **state)
{
    enum { READERS = 4, FRAMES = 2000 };
    struct ar_tapes *t = ar_tapes_new(1 << 20);
    struct reading r[READERS];
    pthread_t threads[READERS];
    struct ar_recall_key key = key_of("resp_1");
    struct ar_tape *tape = ar_tape_begin(t, &key);
    struct ar_buf whole;
    (void)state;
    ar_buf_init(&whole, 1 << 20);
    for (unsigned i = 0; i < READERS; i++) {
        r[i].tape = ar_tape_find(t, &key);
        ar_buf_init(&r[i].got, 1 << 20);
        assert_int_equal(pthread_create(&threads[i], NULL, read_all, &r[i]), 0);
    }
    for (unsigned i = 0; i < FRAMES; i++) {
        put(tape, i);
    }
    assert_true(ar_tape_end(tape, &whole));
    ar_tape_drop(tape);
    for (unsigned i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(ar_str_is(ar_buf_view(&r[i].got), ar_buf_view(&whole)));
        ar_buf_done(&r[i].got);
    }
    assert_int_equal(ar_tapes_bytes(t), 0);
    ar_tapes_free(t);
    ar_buf_done(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_readers_at_any_place),
                                       cmocka_unit_test(test_a_torn_tape),
                                       cmocka_unit_test(test_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
