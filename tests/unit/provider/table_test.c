/* The tables of places and models: rows are complete and unique, and the facts of a model are found
 * whatever its spelling. */
#include "check.h"
#include "provider/provider.h"

static void test_rows_are_complete_and_unique(void **state)
{
    (void)state;
    const struct ar_provider *p;
    unsigned n = 0;
    for (; (p = ar_provider_row(n)) != NULL; n++) {
        assert_true(p->name[0] && p->title[0] && p->models[0]);
        assert_ptr_equal(ar_provider_find(ar_str_of(p->name)), p);
        bool speaks = false;
        for (unsigned d = 0; d < AR_DIALECT_COUNT; d++) {
            speaks |= p->paths[d] != NULL;
            assert_true(!p->paths[d] || !p->paths[d][0] || p->paths[d][0] == '/');
        }
        assert_true(speaks);
        bool has_url = p->base_url[0] != '\0',
             wants_none = (p->flags & (AR_PLACE_CUSTOM | AR_PLACE_GENERATOR)) != 0;
        assert_true(has_url != wants_none);
        for (unsigned k = 0; k < n; k++) {
            const struct ar_provider *q = ar_provider_row(k);
            assert_string_not_equal(p->name, q->name);
            assert_string_not_equal(p->title, q->title);
            assert_true(!p->key_env[0] || strcmp(p->key_env, q->key_env) != 0);
        }
        /* somebody must be able to bring a key */
        assert_true((p->flags & AR_PLACE_LOCAL) || p->key_env[0] || p->auth != AR_AUTH_NONE);
        assert_true(p->auth == AR_AUTH_NONE || ar_auth_header(p->auth)[0]);
        assert_non_null(ar_auth_prefix(p->auth));
    }
    assert_true(n >= 30);
    assert_null(ar_provider_find(AR_LIT("")));
    assert_null(ar_provider_find(AR_LIT("OpenAI")));
}

static void test_auth(void **state)
{
    (void)state;
    assert_string_equal(ar_auth_header(AR_AUTH_BEARER), "authorization");
    assert_string_equal(ar_auth_prefix(AR_AUTH_BEARER), "Bearer ");
    assert_string_equal(ar_auth_header(AR_AUTH_X_API_KEY), "x-api-key");
    assert_string_equal(ar_auth_prefix(AR_AUTH_X_API_KEY), "");
}

static struct ar_target facts(const char *model)
{
    struct ar_target t = {.stream = true};
    ar_model_facts(ar_str_of(model), &t);
    assert_true(t.stream); /* only vendor, caps and limit are touched */
    return t;
}

static void test_spellings_of_a_model_are_one(void **state)
{
    (void)state;
    static const char *const SAME[][4] = {
        {"claude-opus-4-5", "claude-opus-4.5", "anthropic/claude-opus-4.5",
         "Claude-Opus-4-5-20251101"},
        {"claude-3-5-sonnet-20241022", "claude-3.5-sonnet", "anthropic/claude-3.5-sonnet",
         "claude-3-5-sonnet-latest"},
        {"gpt-5.6", "gpt-5-6", "openai/gpt-5.6-mini", "GPT-5.6"},
        {"gemini-2.5-pro", "google/gemini-2.5-pro", "gemini-2-5-pro", "gemini-2.5-pro-preview"},
    };
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++) {
        struct ar_target first = facts(SAME[i][0]);
        assert_true(first.vendor != AR_VENDOR_OTHER);
        for (unsigned k = 1; k < 4; k++) {
            struct ar_target t = facts(SAME[i][k]);
            assert_int_equal(t.caps, first.caps);
            assert_int_equal(t.vendor, first.vendor);
            assert_int_equal(t.max_out_tokens, first.max_out_tokens);
        }
    }
}

#define HAS(t, cap) (((t).caps & AR_CAP(cap)) != 0)

static void test_facts_of_models(void **state)
{
    (void)state;
    struct ar_target old = facts("claude-sonnet-4-5"), today = facts("claude-opus-5-5"),
                     mid = facts("claude-opus-4.8");
    assert_true(HAS(old, THINK_BUDGET) && HAS(old, FORCED_TOOL) && HAS(old, PREFILL) &&
                !HAS(old, MID_SYSTEM)); /* P-020, P-028, P-085 */
    assert_true(HAS(today, THINK_ADAPTIVE) && HAS(today, MID_SYSTEM) &&
                !HAS(today, THINK_BUDGET)); /* P-019, P-084, P-090 */
    assert_false(HAS(today, FORCED_TOOL));  /* P-066 */
    assert_false(HAS(today, PREFILL));      /* P-027 */
    assert_false(HAS(today, SAMPLING));
    assert_false(HAS(mid, SAMPLING));                            /* P-115 */
    assert_true(HAS(old, TEMPERATURE_ALONE));                    /* P-118 */
    assert_true(HAS(facts("claude-haiku-5-5"), THINK_DISABLED)); /* P-086 */
    assert_true(HAS(facts("claude-sonnet-5.5"), THINK_BETWEEN_TOOLS));
    assert_true(HAS(facts("gpt-5.6"), CACHE_BREAKPOINTS) &&
                !HAS(facts("gpt-5.1"), CACHE_BREAKPOINTS));                  /* P-127 */
    assert_int_equal(facts("claude-3-haiku-20240307").max_out_tokens, 4096); /* P-119 */
    assert_int_equal(facts("claude-opus-4-1").max_out_tokens, 32000);
    assert_int_equal(facts("llama-3.3-70b").vendor, AR_VENDOR_OTHER);
    assert_int_equal(facts("openai/gpt-oss-120b").vendor, AR_VENDOR_OTHER);
    assert_int_equal(facts("o3-mini").vendor, AR_VENDOR_OPENAI);
    assert_int_equal(facts("claude-nova-9").vendor, AR_VENDOR_ANTHROPIC);
}

/* OpenAI refuses an effort that a model does not know, and a limit over the model's own. */
static void test_efforts_and_limits_of_openai(void **state)
{
    (void)state;
    enum { NONE = 1, MINIMAL = 2, XHIGH = 4, NO_REASONING = 8 };
    static const struct {
        const char *model;
        int knows;
        int64_t limit;
    } ROWS[] = {
        {"gpt-5", MINIMAL, 128000},
        {"gpt-5-2025-08-07", MINIMAL, 128000},
        {"openai/gpt-5-mini", MINIMAL, 128000},
        {"gpt-5-codex", 0, 128000},
        {"gpt-5-chat-latest", NO_REASONING, 16384},
        {"gpt-5.1", NONE, 128000},
        {"gpt-5.1-2025-11-13", NONE, 128000},
        {"gpt-5.1-codex-mini", 0, 128000},
        {"gpt-5.1-codex-max", XHIGH, 128000},
        {"gpt-5.2", NONE | XHIGH, 128000},
        {"gpt-5.3-codex", XHIGH, 128000},
        {"gpt-4o-mini", NO_REASONING, 16384},
        {"gpt-4o-2024-05-13", NO_REASONING, 4096},
        {"gpt-4.1-nano", NO_REASONING, 32768},
        {"gpt-4.1", NO_REASONING, 32768},
        {"gpt-4-turbo", NO_REASONING, 4096},
        {"gpt-4-1106-preview", NO_REASONING, 0},
        {"gpt-4-0613", NO_REASONING, 0},
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof *ROWS; i++) {
        struct ar_target t = facts(ROWS[i].model);
        int knows = (HAS(t, EFFORT_NONE) ? NONE : 0) | (HAS(t, EFFORT_MINIMAL) ? MINIMAL : 0) |
                    (HAS(t, EFFORT_XHIGH) ? XHIGH : 0) | (HAS(t, REASONING) ? 0 : NO_REASONING);
        assert_int_equal(knows, ROWS[i].knows);
        assert_int_equal(t.max_out_tokens, ROWS[i].limit);
    }
}

static void test_odd_names_have_facts_too(void **state)
{
    (void)state;
    char name[400];
    memset(name, 'x', sizeof name);
    struct ar_target t = {.vendor = AR_VENDOR_GOOGLE};
    ar_model_facts(ar_str_n(name, sizeof name), &t);
    assert_int_equal(t.vendor, AR_VENDOR_OTHER);
    t.vendor = AR_VENDOR_GOOGLE;
    ar_model_facts(AR_LIT(""), &t);
    assert_int_equal(t.vendor, AR_VENDOR_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_complete_and_unique),
        cmocka_unit_test(test_auth),
        cmocka_unit_test(test_spellings_of_a_model_are_one),
        cmocka_unit_test(test_facts_of_models),
        cmocka_unit_test(test_efforts_and_limits_of_openai),
        cmocka_unit_test(test_odd_names_have_facts_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
