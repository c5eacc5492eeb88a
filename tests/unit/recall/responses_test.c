/* Stored responses: chains in order, each item once, callers apart, conversations whose turns never
 * overwrite each other; 100,000 responses inside the configured memory. */
#include "check.h"

#include "base/rand.h"
#include "recall/accounts.h"
#include "recall/responses.h"

#include <stdio.h>

static const struct ar_recall_limits WIDE = {100000, 1 << 24, 1000000};

struct bench {
    struct ar_recall_table *t;
    struct ar_recall_key me, you;
    struct ar_arena a;
    struct ar_buf out;
};

static void bench_init(struct bench *b)
{
    b->t = ar_recall_table_new(&WIDE);
    b->me = ar_recall_tenant(AR_LIT("me"));
    b->you = ar_recall_tenant(AR_LIT("you"));
    ar_arena_init(&b->a, 1 << 20);
    ar_buf_init(&b->out, 1 << 20);
}

static void bench_done(struct bench *b)
{
    ar_recall_table_free(b->t);
    ar_arena_done(&b->a);
    ar_buf_done(&b->out);
}

static bool store(struct bench *b, const char *id, const char *previous, const char *input,
                  const char *whole)
{
    struct ar_kept k = {.state = AR_KEPT_DONE,
                        .previous = ar_str_of(previous),
                        .input = ar_str_of(input),
                        .whole = ar_str_of(whole)};
    size_t at = ar_str_find(k.whole, AR_LIT("["));
    k.output = ar_str_n(k.whole.p + at + 1, ar_str_find(k.whole, AR_LIT("]")) - at - 1);
    return ar_kept_put(b->t, &b->me, ar_str_of(id), &k, 0);
}

static enum ar_code chain(struct bench *b, const struct ar_recall_key *who, const char *id,
                          struct ar_str *ret_missing)
{
    ar_buf_clear(&b->out);
    return ar_kept_chain(b->t, who, ar_str_of(id), &b->a, 0, &b->out, ret_missing);
}

static void test_a_response_comes_back_as_it_was(void **state)
{
    (void)state;
    struct bench b;
    struct ar_kept k;
    bench_init(&b);
    assert_true(store(&b, "r1", "", "\"in\"", "{\"output\":[\"out\"]}"));
    assert_true(ar_kept_get(b.t, &b.me, AR_LIT("r1"), 0, &k));
    CHECK_STR(k.previous, "");
    CHECK_STR(k.input, "\"in\"");
    CHECK_STR(k.output, "\"out\"");
    CHECK_STR(k.whole, "{\"output\":[\"out\"]}");
    ar_kept_done(&k);
    assert_false(ar_kept_get(b.t, &b.you, AR_LIT("r1"), 0, &k));
    assert_false(ar_kept_drop(b.t, &b.you, AR_LIT("r1")));
    assert_true(ar_kept_drop(b.t, &b.me, AR_LIT("r1")));
    assert_false(ar_kept_get(b.t, &b.me, AR_LIT("r1"), 0, &k));
    bench_done(&b);
}

static void test_a_chain_is_in_order_and_whole_or_refused(void **state)
{
    (void)state;
    struct bench b;
    struct ar_str missing;
    bench_init(&b);
    assert_true(store(&b, "r1", "", "1", "[2,3]"));
    assert_true(store(&b, "r2", "r1", "4", "[]"));
    assert_true(store(&b, "r3", "r2", "5", "[6]"));
    assert_true(store(&b, "r2b", "r1", "7", "[8]")); /* a branch */
    CHECK_OK(chain(&b, &b.me, "r3", &missing));
    CHECK_STR(ar_buf_view(&b.out), "1,2,3,4,5,6");
    CHECK_OK(chain(&b, &b.me, "r2b", &missing));
    CHECK_STR(ar_buf_view(&b.out), "1,2,3,7,8");
    assert_int_equal(chain(&b, &b.you, "r3", &missing), AR_RESPONSE_NOT_FOUND);
    CHECK_STR(missing, "r3");
    assert_true(ar_kept_drop(b.t, &b.me, AR_LIT("r1")));
    assert_int_equal(chain(&b, &b.me, "r3", &missing), AR_RESPONSE_NOT_FOUND);
    CHECK_STR(missing, "r1");
    assert_true(store(&b, "loop", "loop", "1", "[2]"));
    assert_int_equal(chain(&b, &b.me, "loop", &missing), AR_TOO_LARGE);
    bench_done(&b);
}

static void test_a_run_that_was_cancelled_stays_so(void **state)
{
    (void)state;
    struct bench b;
    struct ar_kept seen, now;
    struct ar_str missing;
    bench_init(&b);
    struct ar_kept run = {.state = AR_KEPT_RUNNING, .input = AR_LIT("1"), .whole = AR_LIT("{}")};
    assert_true(ar_kept_put(b.t, &b.me, AR_LIT("r1"), &run, 0));
    assert_int_equal(chain(&b, &b.me, "r1", &missing), AR_INVALID_REQUEST);
    assert_true(ar_kept_get(b.t, &b.me, AR_LIT("r1"), 0, &seen));
    struct ar_kept cancelled = seen, done = seen;
    cancelled.state = AR_KEPT_CANCELLED;
    done.state = AR_KEPT_DONE;
    assert_true(ar_kept_replace(b.t, &b.me, AR_LIT("r1"), &seen, &cancelled, 0));
    assert_false(ar_kept_replace(b.t, &b.me, AR_LIT("r1"), &seen, &done, 0));
    assert_true(ar_kept_get(b.t, &b.me, AR_LIT("r1"), 0, &now));
    assert_int_equal(now.state, AR_KEPT_CANCELLED);
    ar_kept_done(&now);
    ar_kept_done(&seen);
    bench_done(&b);
}

static void test_a_conversation_takes_turns_one_behind_the_other(void **state)
{
    (void)state;
    struct bench b;
    struct ar_str previous;
    bench_init(&b);
    struct ar_talk talk = {.head = AR_LIT(""), .whole = AR_LIT("{}")};
    assert_true(ar_talk_put(b.t, &b.me, AR_LIT("c"), &talk, 0));
    assert_true(ar_talk_append(b.t, &b.me, AR_LIT("c"), AR_LIT("r1"), &b.a, 0, &previous));
    CHECK_STR(previous, "");
    assert_true(ar_talk_append(b.t, &b.me, AR_LIT("c"), AR_LIT("r2"), &b.a, 0, &previous));
    CHECK_STR(previous, "r1");
    assert_true(ar_talk_get(b.t, &b.me, AR_LIT("c"), 0, &talk));
    CHECK_STR(talk.head, "r2");
    CHECK_STR(talk.whole, "{}");
    ar_talk_done(&talk);
    assert_false(ar_talk_append(b.t, &b.you, AR_LIT("c"), AR_LIT("r3"), &b.a, 0, &previous));
    assert_true(ar_talk_drop(b.t, &b.me, AR_LIT("c")));
    assert_false(ar_talk_get(b.t, &b.me, AR_LIT("c"), 0, &talk));
    bench_done(&b);
}

static void test_an_id_belongs_to_its_account(void **state)
{
    (void)state;
    struct bench b;
    struct ar_account_of of = {AR_LIT("openai"), AR_LIT("0123abcd")}, got;
    bench_init(&b);
    ar_accounts_put(b.t, &b.me, AR_LIT("resp_1"), &of, 0);
    assert_true(ar_accounts_get(b.t, &b.me, AR_LIT("resp_1"), &b.a, 0, &got));
    CHECK_STR(got.upstream, "openai");
    CHECK_STR(got.key_print, "0123abcd");
    assert_false(ar_accounts_get(b.t, &b.you, AR_LIT("resp_1"), &b.a, 0, &got));
    bench_done(&b);
}

static size_t resident_bytes(void)
{
    unsigned long pages = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%lu %lu", &pages, &resident), 2);
    (void)fclose(f);
    return (size_t)resident * 4096;
}

/* As many as are configured, of sizes as they come, and twice as many again: the process grows by
 * no more than the configured memory and a twentieth. */
static void test_100000_responses_stay_within_their_memory(void **state)
{
    (void)state;
    enum { MAX = 160 << 20, COUNT = 100000 };
    struct ar_recall_table *t =
        ar_recall_table_new(&(struct ar_recall_limits){COUNT, MAX, 1000000});
    struct ar_recall_key me = ar_recall_tenant(AR_LIT("me"));
    struct ar_rand rand;
    static char text[8192];
    char id[32];
    memset(text, 'x', sizeof text);
    ar_rand_init(&rand, 7);
    size_t before = resident_bytes();
    for (int i = 0; i < 3 * COUNT; i++) {
        struct ar_kept k = {.state = AR_KEPT_DONE,
                            .input = ar_str_n(text, (size_t)ar_rand_below(&rand, 512)),
                            .whole = ar_str_n(text, (size_t)ar_rand_below(&rand, 2048))};
        (void)snprintf(id, sizeof id, "resp_%d", i);
        assert_true(ar_kept_put(t, &me, ar_str_of(id), &k, i / 100));
        if (i == COUNT - 1) { /* they fit: about 1.6 KB each with everything */
            assert_true(ar_recall_table_counts(t).entries > COUNT * 9 / 10);
        }
    }
    struct ar_recall_counts counts = ar_recall_table_counts(t);
    size_t grown = resident_bytes() - before;
    print_message("%lld responses, %lld MiB counted, %zu MiB resident\n", (long long)counts.entries,
                  (long long)(counts.bytes >> 20), grown >> 20);
    assert_true(counts.bytes <= MAX);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if !defined(__has_feature)
    assert_true(grown <= MAX + MAX / 20);
#endif
#endif
    ar_recall_table_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_response_comes_back_as_it_was),
        cmocka_unit_test(test_a_chain_is_in_order_and_whole_or_refused),
        cmocka_unit_test(test_a_run_that_was_cancelled_stays_so),
        cmocka_unit_test(test_a_conversation_takes_turns_one_behind_the_other),
        cmocka_unit_test(test_an_id_belongs_to_its_account),
        cmocka_unit_test(test_100000_responses_stay_within_their_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
