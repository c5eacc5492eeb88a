/*
 * Who is asked first: priorities, balances between upstreams and between keys, pins, wishes,
 * aliases, whose secret goes where.
 */
#include "route/rig.h"

/* Counts first candidates over n plans by name. */
struct tally {
    const char *names[16];
    unsigned counts[16], n;
};

static unsigned *tally_of(struct tally *t, const char *name)
{
    for (unsigned i = 0; i < t->n; i++) {
        if (strcmp(t->names[i], name) == 0) {
            return &t->counts[i];
        }
    }
    assert_true(t->n < 16);
    t->names[t->n] = strdup(name);
    return &t->counts[t->n++];
}

static void tally_plans(struct rig *r, struct tally *t, unsigned n)
{
    *t = (struct tally){.n = 0};
    for (unsigned i = 0; i < n; i++) {
        rig_plan(r, "m");
        ++*tally_of(t, rig_name(r, rig_first(r)));
        rig_served(r);
    }
}

static void tally_done(struct tally *t)
{
    for (unsigned i = 0; i < t->n; i++) {
        free((void *)(uintptr_t)t->names[i]);
    }
}

/* names and counts in pairs, NULL ends; within slack of each. */
struct share {
    const char *name;
    unsigned want;
};
static void check_shares(const char *yaml, unsigned plans, const struct share *shares,
                         unsigned slack)
{
    struct rig r;
    struct tally t;
    unsigned n = 0;
    rig_init(&r, yaml);
    tally_plans(&r, &t, plans);
    for (; shares[n].name; n++) {
        unsigned got = *tally_of(&t, shares[n].name);
        if (got + slack < shares[n].want || got > shares[n].want + slack) {
            print_error("%s: want %u, got %u\n", shares[n].name, shares[n].want, got);
            fail();
        }
    }
    assert_int_equal(t.n, n);
    tally_done(&t);
    rig_done(&r);
}

static void test_three_keys_share_evenly(void **state)
{
    (void)state;
    check_shares(
        "upstreams: [{name: a, provider: vllm, base_urls: ['http://h'], keys: [x, y, z]}]\n", 300,
        (struct share[]){{"a/h/x", 100}, {"a/h/y", 100}, {"a/h/z", 100}, {NULL, 0}}, 0);
}

static void test_keys_and_places_share_evenly(void **state)
{
    (void)state;
    check_shares(
        "upstreams: [{name: a, provider: vllm, base_urls: ['http://g', 'http://h'], keys: [x, "
        "y]}]\n",
        400,
        (struct share[]){{"a/g/x", 100}, {"a/g/y", 100}, {"a/h/x", 100}, {"a/h/y", 100}, {NULL, 0}},
        0);
}

static void test_equal_upstreams_share_evenly_and_so_do_their_keys(void **state)
{
    (void)state;
    check_shares(
        "upstreams:\n"
        "  - {name: a, provider: vllm, base_urls: ['http://g'], keys: [x, y]}\n"
        "  - {name: b, provider: vllm, base_urls: ['http://h'], keys: [x, y]}\n",
        400,
        (struct share[]){{"a/g/x", 100}, {"a/g/y", 100}, {"b/h/x", 100}, {"b/h/y", 100}, {NULL, 0}},
        0);
}

static void test_further_models_do_not_disturb_the_turns(void **state)
{
    (void)state;
    struct rig r;
    unsigned a = 0;
    rig_init(&r, "upstreams:\n"
                 "  - {name: a, provider: vllm, base_urls: ['http://g']}\n"
                 "  - {name: b, provider: vllm, base_urls: ['http://h']}\n");
    for (unsigned i = 0; i < 100; i++) {
        struct ar_plan_ask ask = {.models = AR_LIT("[\"m\",\"x\"]")};
        CHECK_OK(rig_ask(&r, "m", ask));
        a += rig_must(rig_first(&r))->upstream->name.p[0] == 'a';
        rig_served(&r);
    }
    assert_int_equal(a, 50);
    rig_done(&r);
}

static void test_weighted_keys_share_by_weight(void **state)
{
    (void)state;
    static const struct {
        unsigned w[3];
    } WEIGHTS[] = {{{1, 1, 1}}, {{1, 2, 3}}, {{5, 5, 5}},    {{10, 10, 5}},
                   {{7, 1, 1}}, {{3, 3, 3}}, {{50, 30, 20}}, {{1, 98, 1}}};
    for (size_t i = 0; i < sizeof WEIGHTS / sizeof *WEIGHTS; i++) {
        const unsigned *w = WEIGHTS[i].w;
        unsigned sum = w[0] + w[1] + w[2];
        char text[256];
        (void)snprintf(text, sizeof text,
                       "upstreams: [{name: a, provider: vllm, base_urls: ['http://h'], balance: "
                       "weighted, keys: [{secret: x, weight: %u}, "
                       "{secret: y, weight: %u}, {secret: z, weight: %u}]}]\n",
                       w[0], w[1], w[2]);
        check_shares(text, sum * 4,
                     (struct share[]){
                         {"a/h/x", w[0] * 4}, {"a/h/y", w[1] * 4}, {"a/h/z", w[2] * 4}, {NULL, 0}},
                     0);
    }
}

static void test_weighted_and_random_upstreams_share_roughly(void **state)
{
    (void)state;
    check_shares("balance: weighted\n"
                 "upstreams:\n"
                 "  - {name: a, provider: vllm, base_urls: ['http://h'], weight: 3}\n"
                 "  - {name: b, provider: vllm, base_urls: ['http://h'], weight: 1}\n",
                 2000, (struct share[]){{"a/h/", 1500}, {"b/h/", 500}, {NULL, 0}}, 150);
    check_shares(
        "balance: random\n"
        "upstreams:\n"
        "  - {name: a, provider: vllm, base_urls: ['http://h'], balance: random, keys: [x, y]}\n"
        "  - {name: b, provider: vllm, base_urls: ['http://h']}\n",
        2000, (struct share[]){{"a/h/x", 500}, {"a/h/y", 500}, {"b/h/", 1000}, {NULL, 0}}, 120);
}

static void test_least_used_keys_come_first(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams: [{name: a, provider: vllm, base_urls: ['http://h'], balance: "
                 "least_used, keys: [x, y, z]}]\n");
    struct ar_plan *plans[9];
    unsigned counts[3] = {0};
    struct ar_arena arenas[9];
    for (unsigned i = 0; i < 9; i++) { /* nine at once, none ends */
        struct ar_plan_ask ask = {.snapshot = &r.snapshot,
                                  .route = &r.route,
                                  .rand = &r.rand,
                                  .client = &ar_dialect_chat,
                                  .model = AR_LIT("m"),
                                  .now_ms = r.now_ms};
        const struct ar_candidate *c;
        ar_arena_init(&arenas[i], 1 << 20);
        CHECK_OK(ar_plan_make(&ask, &arenas[i], &plans[i], &r.err));
        assert_int_equal(ar_plan_next(plans[i], r.now_ms, NULL, &c), AR_READY);
        counts[c->secret.p[0] - 'x']++;
    }
    for (unsigned k = 0; k < 3; k++) {
        assert_int_equal(counts[k], 3);
    }
    for (unsigned i = 0; i < 9; i++) {
        ar_arena_done(&arenas[i]);
    }
    rig_done(&r);
}

/* All candidates of a plan while each refuses the request of its own accord, so that the next
 * upstream comes. */
static const char *order_of(struct rig *r)
{
    struct ar_str all = AR_LIT("");
    for (const struct ar_candidate *c = rig_first(r); c;
         c = rig_fail(r, rig_fault(AR_UPSTREAM_ERROR, AR_OF_UPSTREAM, 400))) {
        all = ar_arena_fmt(&r->arena, "%.*s%s%.*s", AR_FMT(all), all.n > 0 ? " " : "",
                           AR_FMT(c->upstream->name));
        if (c->model.p[0] != 'm') {
            all = ar_arena_fmt(&r->arena, "%.*s:%.*s", AR_FMT(all), AR_FMT(c->model));
        }
    }
    return all.p;
}

static const char FOUR[] =
    "aliases: {nick: m}\n"
    "upstreams:\n"
    "  - {name: a, provider: vllm, base_urls: ['http://h'], priority: 3, models: [m, m2, other]}\n"
    "  - {name: b, provider: vllm, base_urls: ['http://h'], priority: 1, models: [m]}\n"
    "  - {name: c, provider: ollama, base_urls: ['http://h'], priority: 2, models: [m, {from: x, "
    "to: xx}]}\n"
    "  - {name: d, provider: openrouter, keys: [k], priority: 9, models: [m]}\n";

static void test_lower_priorities_come_first(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, FOUR);
    for (int i = 0; i < 5; i++) {
        rig_plan(&r, "m");
        assert_string_equal(order_of(&r), "b c a d");
    }
    rig_plan(&r, "nick"); /* an alias, once */
    assert_string_equal(order_of(&r), "b c a d");
    rig_plan(&r, "x");
    assert_string_equal(order_of(&r), "c:xx");
    rig_done(&r);
}

static void test_wishes_are_obeyed(void **state)
{
    (void)state;
    static const struct {
        const char *wishes, *models, *want;
    } CASES[] = {
        {"{\"only\":[\"a\",\"c\"]}", NULL, "c a d"}, /* routers see the wish themselves */
        {"{\"only\":[\"ollama\"]}", NULL, "c d"},
        {"{\"ignore\":[\"b\"]}", NULL, "c a d"},
        {"{\"ignore\":[\"d\",\"vllm\"]}", NULL, "c d"},
        {"{\"order\":[\"a\",\"c\"]}", NULL, "a c b d"},
        {"{\"order\":[\"a\",\"c\"],\"allow_fallbacks\":false}", NULL, "a c d"},
        {"{\"allow_fallbacks\":true}", NULL, "b c a d"},
        {"{\"sort\":\"price\",\"unknown\":1}", NULL, "b c a d"},
        {"[]", NULL, "b c a d"},
        {NULL, "[\"m\",\"x\",\"other\"]", "b c a d c:xx a:other"},
        {NULL, "[]", "b c a d"},
        {NULL, "{}", "b c a d"},
        {NULL, "[\"nowhere\",3,null]", "b c a d"},
    };
    struct rig r;
    rig_init(&r, FOUR);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ar_plan_ask ask = {.wishes = ar_str_of(CASES[i].wishes),
                                  .models = ar_str_of(CASES[i].models)};
        CHECK_OK(rig_ask(&r, "m", ask));
        const char *got = order_of(&r);
        if (strcmp(got, CASES[i].want) != 0) {
            print_error("%s %s\n", CASES[i].wishes ? CASES[i].wishes : "",
                        CASES[i].models ? CASES[i].models : "");
        }
        assert_string_equal(got, CASES[i].want);
    }
    rig_done(&r);
}

static void test_pins(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, FOUR);
    CHECK_OK(rig_ask(&r, "m", (struct ar_plan_ask){.pin = AR_LIT("a")}));
    assert_string_equal(order_of(&r), "a");
    assert_int_equal(rig_ask(&r, "x", (struct ar_plan_ask){.pin = AR_LIT("a")}),
                     AR_MODEL_NOT_FOUND);
    assert_non_null(strstr(r.err.note, "does not serve"));
    assert_int_equal(rig_ask(&r, "m", (struct ar_plan_ask){.pin = AR_LIT("zz")}),
                     AR_MODEL_NOT_FOUND);
    assert_non_null(strstr(r.err.note, "no upstream zz"));
    rig_plan(&r, "a/m2"); /* name/rest pins */
    assert_string_equal(order_of(&r), "a");
    rig_plan(&r, "c/any/thing");
    assert_string_equal(order_of(&r), "c:any/thing");
    rig_plan(&r, "ollama/x");
    assert_string_equal(order_of(&r), "c:xx");
    rig_done(&r);
}

static void test_a_name_before_a_slash_is_part_of_the_model_where_it_is_served_so(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams:\n"
                 "  - {name: a, provider: vllm, models: ['b/*']}\n"
                 "  - {name: b, provider: ollama, models: [zzz]}\n");
    rig_plan(&r, "b/q");
    assert_string_equal(order_of(&r), "a:b/q");
    rig_done(&r);
}

static void test_unknown_models_name_near_ones(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams: [{name: a, provider: vllm, models: [claude-opus-4-5, gpt-5]}]\n");
    assert_int_equal(rig_ask(&r, "claude-opus-9", (struct ar_plan_ask){.any_model = false}),
                     AR_MODEL_NOT_FOUND);
    assert_non_null(strstr(r.err.note, "claude-opus-4-5"));
    assert_null(strstr(r.err.note, "gpt-5"));
    assert_int_equal(rig_ask(&r, "zz", (struct ar_plan_ask){.any_model = false}),
                     AR_MODEL_NOT_FOUND);
    rig_done(&r);
    rig_init(&r, "upstreams: [{name: a, provider: anthropic}, {name: b, provider: gemini}]\n");
    assert_int_equal(rig_ask(&r, "claude", (struct ar_plan_ask){.any_model = false}),
                     AR_MODEL_NOT_FOUND); /* the provider's own patterns are names too */
    assert_non_null(strstr(r.err.note, "near: claude-*"));
    rig_done(&r);
}

static void test_the_clients_dialect_is_preferred(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams: [{name: a, provider: vllm}, {name: b, provider: openai, models: "
                 "['*'], keys: [k], priority: 2}]\n");
    CHECK_OK(rig_ask(&r, "m", (struct ar_plan_ask){.client = &ar_dialect_anthropic}));
    assert_ptr_equal(rig_must(rig_first(&r))->dialect, &ar_dialect_anthropic);
    assert_ptr_equal(
        rig_must(rig_fail(&r, rig_fault(AR_UPSTREAM_ERROR, AR_OF_UPSTREAM, 400)))->dialect,
        &ar_dialect_chat);
    rig_served(&r);
    CHECK_OK(
        rig_ask(&r, "", (struct ar_plan_ask){.client = &ar_dialect_anthropic, .any_model = true}));
    assert_string_equal(order_of(&r),
                        "a:"); /* a pass-through goes to those that speak the path's dialect */
    rig_done(&r);
}

static void test_the_callers_secret_goes_to_one_upstream_only(void **state)
{
    (void)state;
    struct rig r;
    rig_init(
        &r, "upstreams:\n"
            "  - {name: a, provider: openrouter, models: [m], base_urls: ['http://g', 'http://h'], "
            "priority: 1}\n"
            "  - {name: b, provider: together, models: [m], base_urls: ['http://i'], priority: 2}\n"
            "  - {name: c, provider: openai, models: [m], base_urls: ['http://j'], priority: 3, "
            "keys: [own]}\n"
            "  - {name: d, provider: openai, models: [m], base_urls: ['http://k'], priority: 4, "
            "keys: [own4], passthrough: 'true'}\n"
            "  - {name: e, provider: vllm, models: [m], base_urls: ['http://l'], priority: 5}\n");
    struct ar_plan_ask ask = {.client_keys = AR_LIT("mine")};
    struct ar_fault place = rig_fault(AR_UPSTREAM_ERROR, AR_OF_PLACE, 500);
    CHECK_OK(rig_ask(&r, "m", ask));
    assert_true(rig_must(rig_first(&r))->callers_secret);
    assert_null(r.cand->key);
    assert_int_equal(strlen(r.cand->key_print), 8);
    unsigned given = 0;
    for (const struct ar_candidate *c = r.cand; c; c = rig_fail(&r, place)) {
        bool is_a = ar_str_is_lit(c->upstream->name, "a");
        assert_int_equal(c->callers_secret, is_a);
        assert_int_equal(ar_str_is_lit(c->secret, "mine"), is_a);
        assert_false(ar_str_is_lit(c->upstream->name, "b"));
        given |= 1U << (c->upstream->name.p[0] - 'a');
    }
    assert_int_equal(given, 1 | 4 | 8 | 16); /* e needs none: asked without */
    assert_int_equal(rig_ask(&r, "m", (struct ar_plan_ask){.pin = AR_LIT("b")}), AR_KEY_MISSING);
    CHECK_OK(
        rig_ask(&r, "m", (struct ar_plan_ask){.pin = AR_LIT("b"), .client_keys = AR_LIT("mine")}));
    assert_string_equal(rig_name(&r, rig_first(&r)), "b/i/mine");
    rig_served(&r);
    /* only the caller may pay */
    CHECK_OK(rig_ask(&r, "m",
                     (struct ar_plan_ask){.client_keys = AR_LIT("mine"), .callers_only = true}));
    assert_string_equal(order_of(&r), "a");
    assert_int_equal(rig_ask(&r, "m", (struct ar_plan_ask){.callers_only = true}), AR_KEY_MISSING);
    rig_done(&r);
}

static void test_several_keys_of_a_caller_are_a_pool(void **state)
{
    (void)state;
    struct rig r;
    unsigned counts[3] = {0};
    rig_init(&r, "upstreams: [{name: a, provider: openai, models: [m]}]\n");
    for (int i = 0; i < 30; i++) {
        CHECK_OK(rig_ask(&r, "m", (struct ar_plan_ask){.client_keys = AR_LIT("x, y,,z")}));
        counts[rig_must(rig_first(&r))->secret.p[0] - 'x']++;
        rig_served(&r);
        CHECK_OK(
            rig_ask(&r, "m",
                    (struct ar_plan_ask){
                        .client_keys = AR_LIT("stranger")})); /* turns nobody's pool but his own */
        assert_string_equal(rig_name(&r, rig_first(&r)), "a/api.openai.com/stranger");
        rig_served(&r);
    }
    for (unsigned k = 0; k < 3; k++) {
        assert_int_equal(counts[k], 10);
    }
    /* a refused key rests, the others are tried; another caller's are as fit as ever */
    CHECK_OK(rig_ask(&r, "m", (struct ar_plan_ask){.client_keys = AR_LIT("x,y")}));
    const char first = rig_must(rig_first(&r))->secret.p[0];
    const struct ar_candidate *next =
        rig_must(rig_fail(&r, rig_fault(AR_UPSTREAM_CREDENTIALS, AR_OF_KEY, 401)));
    assert_int_equal(next->secret.p[0], 'x' + 'y' - first);
    rig_served(&r);
    rig_done(&r);
}

static void test_strangers_cannot_fill_the_operators_table(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "upstreams: [{name: a, provider: vllm}, {name: b, provider: vllm}]\n");
    for (int i = 0; i < 40000; i++) {
        char model[32];
        (void)snprintf(model, sizeof model, "made-up-%d", i);
        rig_plan(&r, model);
    }
    assert_int_equal(ar_health_full_count(r.route.own), 0);
    rig_done(&r);
}

static void test_the_largest_numbers_do_no_harm(void **state)
{
    (void)state;
    struct rig r;
    rig_init(&r, "max_attempts: 1000\n"
                 "upstreams:\n"
                 "  - {name: a, provider: vllm, base_urls: ['http://h'], priority: "
                 "100000, weight: 1000000, max_retries: 100}\n"
                 "  - {name: b, provider: vllm, base_urls: ['http://h'], priority: 2, balance: "
                 "weighted, keys: [{secret: x, weight: "
                 "1000000}, {secret: y, weight: 1000000}]}\n");
    rig_plan(&r, "m");
    assert_string_equal(order_of(&r), "b a");
    CHECK_OK(rig_ask(&r, "m", (struct ar_plan_ask){.wishes = AR_LIT("{\"order\":[\"a\"]}")}));
    assert_string_equal(order_of(&r), "a b"); /* a wish is above every priority */
    rig_done(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_keys_share_evenly),
        cmocka_unit_test(test_keys_and_places_share_evenly),
        cmocka_unit_test(test_equal_upstreams_share_evenly_and_so_do_their_keys),
        cmocka_unit_test(test_further_models_do_not_disturb_the_turns),
        cmocka_unit_test(test_weighted_keys_share_by_weight),
        cmocka_unit_test(test_weighted_and_random_upstreams_share_roughly),
        cmocka_unit_test(test_least_used_keys_come_first),
        cmocka_unit_test(test_lower_priorities_come_first),
        cmocka_unit_test(test_wishes_are_obeyed),
        cmocka_unit_test(test_pins),
        cmocka_unit_test(test_a_name_before_a_slash_is_part_of_the_model_where_it_is_served_so),
        cmocka_unit_test(test_unknown_models_name_near_ones),
        cmocka_unit_test(test_the_clients_dialect_is_preferred),
        cmocka_unit_test(test_the_callers_secret_goes_to_one_upstream_only),
        cmocka_unit_test(test_several_keys_of_a_caller_are_a_pool),
        cmocka_unit_test(test_strangers_cannot_fill_the_operators_table),
        cmocka_unit_test(test_the_largest_numbers_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
