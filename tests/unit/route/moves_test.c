/*
 * Where a failure leads (ARCHITECTURE 2): key, place and model moves, the other dimension, retries,
 * rests, limits, and what the caller is told in the end. The clock is the test's.
 */
#include "route/rig.h"

/* A fault by its letter: key, rate limit, place, dead place, model, upstream, caller, us, timeout.
 */
static struct ar_fault fault_of(char letter)
{
    switch (letter) {
    case 'k':
        return rig_fault(AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, 401);
    case 'r':
        return rig_fault(AR_UPSTREAM_RATE_LIMITED, AR_OF_KEY, 429);
    case 'p':
        return rig_fault(AR_UPSTREAM_ERROR, AR_OF_PLACE, 500);
    case 'd':
        return rig_fault(AR_UPSTREAM_CONNECT, AR_OF_PLACE, 0);
    case 'm':
        return rig_fault(AR_MODEL_NOT_FOUND, AR_OF_MODEL, 404);
    case 's':
        return rig_fault(AR_UPSTREAM_REFUSED, AR_OF_UPSTREAM, 400);
    case 'c':
        return rig_fault(AR_INVALID_REQUEST, AR_OF_CALLER, 400);
    case 't':
        return rig_fault(AR_UPSTREAM_TIMEOUT, AR_OF_PLACE, 0);
    default:
        return rig_fault(AR_INTERNAL, AR_OF_US, 0);
    }
}

/* The way of a plan whose candidates fail by the letters in turn; the last letter repeats. */
static const char *way(struct rig *r, const char *letters)
{
    struct ar_str all = AR_LIT("");
    size_t i = 0;
    for (const struct ar_candidate *c = rig_first(r); c;
         c = rig_fail(r, fault_of(letters[i < strlen(letters) ? i : strlen(letters) - 1]))) {
        i = all.n > 0 ? i + 1 : 0;
        assert_int_equal(c->attempt, i + 1);
        all = ar_arena_fmt(&r->arena, "%.*s%s%s", AR_FMT(all), i > 0 ? " " : "", rig_name(r, c));
    }
    return all.p;
}

/* Nothing is in flight when all plans are over. */
static void check_idle(const struct rig *r)
{
    for (unsigned i = 0; i < r->upstreams->n; i++) {
        const struct ar_upstream *u = &r->upstreams->v[i];
        for (unsigned b = 0; b < u->base_count; b++) {
            assert_int_equal(atomic_load(&u->bases[b].health->in_flight), 0);
        }
        for (unsigned k = 0; k < u->key_count; k++) {
            assert_int_equal(atomic_load(&u->keys[k].health->in_flight), 0);
        }
    }
}

/* Two places with two keys, and one more upstream behind. */
static const char GRID[] = "max_attempts: 20\n"
                           "upstreams:\n"
                           "  - {name: a, provider: vllm, base_urls: ['http://g', 'http://h'], "
                           "keys: [x, y], max_retries: 0}\n"
                           "  - {name: b, provider: vllm, base_urls: ['http://i'], keys: [z], "
                           "priority: 2, max_retries: 0}\n";

static void test_moves(void **state)
{
    (void)state;
    static const struct {
        const char *letters, *want;
    } CASES[] = {
        {"k", "a/g/x a/g/y b/i/z a/h/y a/h/x"}, /* refused keys elsewhere: after all that is fit */
        {"r", "a/g/x a/g/y b/i/z a/h/y a/h/x"},
        {"p", "a/g/x a/h/x a/h/y a/g/y b/i/z"}, /* same key, next place; then the other dimension;
                                                   then the next upstream */
        {"t", "a/g/x a/h/x a/h/y a/g/y b/i/z"},
        {"d", "a/g/x a/h/x b/i/z"}, /* nobody answers there: no other key is tried on it */
        {"dp", "a/g/x a/h/x a/h/y b/i/z"},
        {"m", "a/g/x b/i/z"},
        {"s", "a/g/x b/i/z"},
        {"c", "a/g/x"},
        {"u", "a/g/x"},
        {"kc", "a/g/x a/g/y"},
        {"kp", "a/g/x a/g/y a/h/y b/i/z a/h/x"},
        {"pk", "a/g/x a/h/x a/h/y b/i/z a/g/y"},
        {"km", "a/g/x a/g/y b/i/z"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct rig r;
        rig_init(&r, GRID);
        rig_plan(&r, "m");
        const char *got = way(&r, CASES[i].letters);
        if (strcmp(got, CASES[i].want) != 0) {
            print_error("of %s:\n", CASES[i].letters);
        }
        assert_string_equal(got, CASES[i].want);
        check_idle(&r);
        rig_done(&r);
    }
}

static void test_attempts_are_bounded(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "max_attempts: 3\nupstreams: [{name: a, provider: vllm, base_urls: ['http://g', "
                 "'http://h'], keys: [x, y, z]}]\n");
    rig_plan(&r, "m");
    assert_string_equal(way(&r, "p"), "a/g/x a/h/x a/h/y");
    check_idle(&r);
    rig_done(&r);
}

static void test_retries_are_for_places_and_come_last(void **state)
{
    (void)state;
    static const struct {
        const char *letters, *want;
    } CASES[] = {{"p", "a/g/ a/h/ a/h/ a/h/"},
                 {"d", "a/g/ a/h/ a/h/ a/h/"},
                 {"pm", "a/g/ a/h/"},
                 {"pc", "a/g/ a/h/"},
                 {"k", "a/g/ a/h/"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct rig r;
        rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://g', 'http://h'], "
                     "max_retries: 2}]\n");
        rig_plan(&r, "m");
        assert_string_equal(way(&r, CASES[i].letters), CASES[i].want);
        check_idle(&r);
        rig_done(&r);
    }
}

static void test_why_is_told(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r,
             "upstreams:\n"
             "  - {name: a, provider: vllm, base_urls: ['http://g', 'http://h'], keys: [x, y]}\n"
             "  - {name: b, provider: vllm, base_urls: ['http://i'], priority: 2}\n");
    rig_plan(&r, "m");
    assert_string_equal(rig_must(rig_first(&r))->why, "first");
    assert_string_equal(rig_must(rig_fail(&r, fault_of('k')))->why, "other key");
    assert_string_equal(rig_must(rig_fail(&r, fault_of('p')))->why, "other place");
    assert_string_equal(rig_must(rig_fail(&r, fault_of('m')))->why, "next");
    assert_string_equal(rig_must(rig_fail(&r, fault_of('p')))->why, "retry");
    rig_served(&r);
    check_idle(&r);
    rig_done(&r);
}

static const char KEYS[] = "upstreams: [{name: a, provider: vllm, base_urls: ['http://g'], keys: "
                           "[x, y], max_retries: 0}]\n";

static void plan_and_serve(struct rig *r, const char *want)
{
    rig_plan(r, "m");
    assert_string_equal(rig_name(r, rig_first(r)), want);
    if (r->cand) {
        rig_served(r);
    }
}

/* Fails the key `secret` with f, the other serves. */
static void fail_key(struct rig *r, char secret, struct ar_fault f)
{
    for (int i = 0; i < 2; i++) {
        rig_plan(r, "m");
        if (rig_must(rig_first(r))->secret.p[0] == secret) {
            rig_must(rig_fail(r, f));
            rig_served(r);
            return;
        }
        rig_served(r);
    }
    fail();
}

static void test_a_refused_key_rests_softly(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, KEYS);
    fail_key(&r, 'x', fault_of('k'));
    for (int i = 0; i < 4; i++) {
        plan_and_serve(&r, "a/g/y");
    }
    rig_plan(&r, "m"); /* softly: it is tried when nothing else is left */
    (void)rig_first(&r);
    assert_string_equal(rig_name(&r, rig_fail(&r, fault_of('k'))), "a/g/x");
    rig_served(&r); /* and when it serves it is fit again */
    plan_and_serve(&r, "a/g/x");
    r.now_ms += 3600000;
    bool seen[2] = {false};
    for (int i = 0; i < 4; i++) {
        rig_plan(&r, "m");
        seen[rig_must(rig_first(&r))->secret.p[0] - 'x'] = true;
        rig_served(&r);
    }
    assert_true(seen[0] && seen[1]);
    check_idle(&r);
    rig_done(&r);
}

static void test_retry_after_is_obeyed(void **state)
{
    (void)state;
    struct rig r;
    struct ar_fault told = fault_of('r'), verdict;
    bool as_is;
    rig_init(&r, KEYS);
    told.retry_after_ms = 30000;
    fail_key(&r, 'x', told);
    plan_and_serve(&r, "a/g/y");
    plan_and_serve(&r, "a/g/y");
    rig_plan(&r, "m");
    (void)rig_first(&r);
    told.retry_after_ms = 10000;
    assert_null(rig_fail(&r, told)); /* hard: not even when nothing else is left */
    ar_plan_verdict(r.plan, r.now_ms, &verdict, &as_is);
    assert_int_equal(verdict.code, AR_UPSTREAM_RATE_LIMITED);
    assert_int_equal(verdict.retry_after_ms, 10000);

    rig_plan(&r, "m"); /* nobody can be asked: the caller is told when */
    assert_null(rig_first(&r));
    ar_plan_verdict(r.plan, r.now_ms, &verdict, &as_is);
    assert_int_equal(verdict.code, AR_UPSTREAM_RATE_LIMITED);
    assert_int_equal(verdict.retry_after_ms, 10000);
    assert_false(as_is);
    r.now_ms += 9999;
    rig_plan(&r, "m");
    assert_null(rig_first(&r));
    r.now_ms += 1;
    plan_and_serve(&r, "a/g/y");
    plan_and_serve(&r, "a/g/y");
    r.now_ms += 20000;
    bool x = false;
    for (int i = 0; i < 2; i++) {
        rig_plan(&r, "m");
        x |= rig_must(rig_first(&r))->secret.p[0] == 'x';
        rig_served(&r);
    }
    assert_true(x);
    check_idle(&r);
    rig_done(&r);
}

static void test_dead_places_rest(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://g', 'http://h'], "
                 "max_retries: 0}]\n");
    rig_plan(&r, "m");
    assert_string_equal(rig_name(&r, rig_first(&r)), "a/g/");
    assert_string_equal(rig_name(&r, rig_fail(&r, fault_of('d'))), "a/h/");
    rig_served(&r);
    plan_and_serve(&r, "a/h/");
    plan_and_serve(&r, "a/h/");
    r.now_ms += 2000;
    unsigned g = 0;
    for (int i = 0; i < 4; i++) {
        rig_plan(&r, "m");
        g += rig_must(rig_first(&r))->base->origin.host.p[0] == 'g';
        rig_served(&r);
    }
    assert_int_equal(g, 2);
    check_idle(&r);
    rig_done(&r);
}

static void test_a_place_that_fails_again_and_again_rests_longer(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams:\n"
                 "  - {name: a, provider: vllm, base_urls: ['http://g'], max_retries: 0}\n"
                 "  - {name: b, provider: vllm, base_urls: ['http://h'], priority: 2}\n");
    for (int i = 0; i < 3; i++) {
        rig_plan(&r, "m");
        assert_string_equal(rig_name(&r, rig_first(&r)), "a/g/");
        rig_must(rig_fail(&r, fault_of('p')));
        rig_served(&r);
    }
    plan_and_serve(&r, "b/h/"); /* three in a row */
    r.now_ms += 5000;
    rig_plan(&r, "m");
    assert_string_equal(rig_name(&r, rig_first(&r)), "a/g/");
    rig_must(rig_fail(&r, fault_of('p')));
    rig_served(&r);
    r.now_ms += 5000;
    plan_and_serve(&r, "b/h/"); /* now it is ten seconds */
    r.now_ms += 5000;
    plan_and_serve(&r, "a/g/");
    rig_plan(&r, "m");
    (void)rig_first(&r);
    rig_must(rig_fail(&r, fault_of('p')));
    rig_served(&r);
    plan_and_serve(&r, "a/g/"); /* it served in between: one failure is none */
    check_idle(&r);
    rig_done(&r);
}

static void test_faults_of_the_caller_teach_nothing(void **state)
{
    (void)state;
    static const char LETTERS[] = "cucucu";
    struct rig r;
    rig_init(&r, KEYS);
    for (size_t i = 0; i < sizeof LETTERS - 1; i++) {
        struct ar_fault f = fault_of(LETTERS[i]);
        rig_plan(&r, "m");
        rig_must(rig_first(&r));
        assert_null(rig_fail(&r, f));
        struct ar_fault closed = rig_fault(AR_CLIENT_CLOSED, AR_OF_CALLER, 0);
        rig_plan(&r, "m");
        rig_must(rig_first(&r));
        ar_plan_report(r.plan, r.cand, &closed, 0, r.now_ms);
    }
    int64_t until;
    const struct ar_upstream *u = &r.upstreams->v[0];
    assert_int_equal(ar_health_fitness(u->keys[0].health, r.now_ms, &until), AR_FIT);
    assert_int_equal(ar_health_fitness(u->keys[1].health, r.now_ms, &until), AR_FIT);
    assert_int_equal(ar_health_fitness(u->bases[0].health, r.now_ms, &until), AR_FIT);
    assert_int_equal(atomic_load(&u->bases[0].health->fails), 0);
    check_idle(&r);
    rig_done(&r);
}

static void test_a_keys_limits(void **state)
{
    (void)state;
    struct rig r;
    struct ar_fault verdict;
    bool as_is;
    rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://g'], keys: [{secret: "
                 "x, rpm: 3}]}]\n");
    for (int i = 0; i < 3; i++) {
        plan_and_serve(&r, "a/g/x");
    }
    rig_plan(&r, "m");
    assert_null(rig_first(&r));
    ar_plan_verdict(r.plan, r.now_ms, &verdict, &as_is);
    assert_int_equal(verdict.code, AR_UPSTREAM_RATE_LIMITED);
    assert_int_equal(verdict.retry_after_ms, 20000);
    r.now_ms += 20000;
    plan_and_serve(&r, "a/g/x");
    rig_plan(&r, "m");
    assert_null(rig_first(&r));
    check_idle(&r);
    rig_done(&r);

    rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://g'], keys: [{secret: "
                 "x, daily_requests: 2}, y]}]\n");
    unsigned x = 0;
    for (int i = 0; i < 10; i++) {
        rig_plan(&r, "m");
        x += rig_must(rig_first(&r))->secret.p[0] == 'x';
        rig_served(&r);
    }
    assert_true(x == 2 || x == 4); /* 4: midnight passed meanwhile */
    check_idle(&r);
    rig_done(&r);

    rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://g'], keys: [{secret: "
                 "x, tpm: 100}]}]\n");
    rig_plan(&r, "m");
    rig_must(rig_first(&r));
    ar_plan_report(r.plan, r.cand, NULL, 200, r.now_ms);
    rig_plan(&r, "m");
    assert_null(rig_first(&r));
    r.now_ms += 60000;
    plan_and_serve(&r, "a/g/x");
    rig_done(&r);
}

static void test_concurrency_of_a_key(void **state)
{
    (void)state;
    struct rig r;
    struct ar_arena other;
    struct ar_plan *plan;
    const struct ar_candidate *c;
    rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://g'], keys: [{secret: "
                 "x, concurrency: 1}]}]\n");
    rig_plan(&r, "m");
    rig_must(rig_first(&r));
    ar_arena_init(&other, 1 << 20);
    struct ar_plan_ask ask = {.snapshot = &r.snapshot,
                              .route = &r.route,
                              .rand = &r.rand,
                              .client = &ar_dialect_chat,
                              .model = AR_LIT("m"),
                              .now_ms = r.now_ms};
    CHECK_OK(ar_plan_make(&ask, &other, &plan, &r.err));
    assert_int_equal(ar_plan_next(plan, r.now_ms, NULL, &c), AR_ENDED);
    rig_served(&r);
    CHECK_OK(ar_plan_make(&ask, &other, &plan, &r.err));
    assert_int_equal(ar_plan_next(plan, r.now_ms, NULL, &c), AR_READY);
    ar_plan_report(plan, c, NULL, 0, r.now_ms);
    ar_arena_done(&other);
    check_idle(&r);
    rig_done(&r);
}

static void test_the_verdict_is_the_most_useful_fault(void **state)
{
    (void)state;
    static const struct {
        const char *letters;
        enum ar_code want;
        bool as_is;
    } CASES[] = {
        {"kr", AR_UPSTREAM_RATE_LIMITED, false},
        {"rk", AR_UPSTREAM_RATE_LIMITED, false},
        {"krp", AR_UPSTREAM_ERROR, false},
        {"prk", AR_UPSTREAM_ERROR, false},
        {"rt", AR_UPSTREAM_TIMEOUT, false},
        {"k", AR_UPSTREAM_CREDENTIALS, false}, /* the operator's keys: never the caller's fault */
        {"mk", AR_MODEL_NOT_FOUND, true},
        {"pc", AR_INVALID_REQUEST, true},
        {"c", AR_INVALID_REQUEST, true},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct rig r;
        struct ar_fault verdict;
        bool as_is;
        rig_init(&r, GRID);
        rig_plan(&r, "m");
        (void)way(&r, CASES[i].letters);
        ar_plan_verdict(r.plan, r.now_ms, &verdict, &as_is);
        if (verdict.code != CASES[i].want || as_is != CASES[i].as_is) {
            print_error("of %s\n", CASES[i].letters);
        }
        assert_int_equal(verdict.code, CASES[i].want);
        assert_int_equal(as_is, CASES[i].as_is);
        rig_done(&r);
    }
}

static void test_a_callers_refused_key_is_told_as_it_is(void **state)
{
    (void)state;
    struct rig r;
    struct ar_fault verdict;
    bool as_is;
    rig_init(&r, "upstreams: [{name: a, provider: openai, models: [m]}]\n");
    CHECK_OK(rig_ask(&r, "m", (struct ar_plan_ask){.client_keys = AR_LIT("mine")}));
    rig_must(rig_first(&r));
    assert_null(rig_fail(&r, fault_of('k')));
    ar_plan_verdict(r.plan, r.now_ms, &verdict, &as_is);
    assert_true(as_is);
    assert_int_equal(verdict.upstream_status, 401);
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves),
        cmocka_unit_test(test_attempts_are_bounded),
        cmocka_unit_test(test_retries_are_for_places_and_come_last),
        cmocka_unit_test(test_why_is_told),
        cmocka_unit_test(test_a_refused_key_rests_softly),
        cmocka_unit_test(test_retry_after_is_obeyed),
        cmocka_unit_test(test_dead_places_rest),
        cmocka_unit_test(test_a_place_that_fails_again_and_again_rests_longer),
        cmocka_unit_test(test_faults_of_the_caller_teach_nothing),
        cmocka_unit_test(test_a_keys_limits),
        cmocka_unit_test(test_concurrency_of_a_key),
        cmocka_unit_test(test_the_verdict_is_the_most_useful_fault),
        cmocka_unit_test(test_a_callers_refused_key_is_told_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
