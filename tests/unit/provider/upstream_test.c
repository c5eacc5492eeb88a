/*
 * Upstreams made of configuration and table: how base URLs are joined, what the environment
 * switches on, which models are served, and what is refused with the place in the file.
 */
#include "conf/load.h"

#include "provider/upstream.h"

static struct ar_upstreams *build(struct ar_config *c)
{
    struct ar_upstreams *u = NULL;
    struct ar_err err = {0};
    enum ar_code code = ar_upstreams_build(c, &u, &err);
    if (code != AR_OK) {
        print_error("%s\n", err.note);
    }
    assert_int_equal(code, AR_OK);
    return u;
}

static void test_base_urls_are_joined(void **state)
{
    (void)state;
    static const struct {
        const char *base, *chat, *messages;
    } CASES[] = {
        {"https://h", "/v1/chat/completions", "/v1/messages"},
        {"https://h/", "/v1/chat/completions", "/v1/messages"},
        {"https://h/v1", "/v1/chat/completions", "/v1/messages"},
        {"https://h/v1/", "/v1/chat/completions", "/v1/messages"},
        {"https://h/api/v3", "/api/v3/chat/completions", "/api/v3/messages"},
        {"https://h/api", "/api/v1/chat/completions", "/api/v1/messages"},
        {"https://h/v1beta", "/v1beta/chat/completions", "/v1beta/messages"},
        {"https://h/v1beta/openai", "/v1beta/openai/chat/completions", "/v1beta/openai/messages"},
        {"https://h/openai", "/openai/chat/completions", "/openai/messages"},
        {"https://h/openai/v1", "/openai/v1/chat/completions", "/openai/v1/messages"},
        {"https://h/myopenai", "/myopenai/v1/chat/completions", "/myopenai/v1/messages"},
        {"https://h/vllm", "/vllm/v1/chat/completions", "/vllm/v1/messages"},
        {"https://h/v", "/v/v1/chat/completions", "/v/v1/messages"},
        {"https://h/v1/x", "/v1/x/v1/chat/completions", "/v1/x/v1/messages"},
        {"https://h/openai/v1?api-version=2", "/openai/v1/chat/completions?api-version=2",
         "/openai/v1/messages?api-version=2"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[256];
        (void)snprintf(text, sizeof text, "upstreams: [{provider: vllm, base_urls: ['%s']}]\n",
                       CASES[i].base);
        struct ar_config *c = load_good(text);
        const struct ar_base *b = build(c)->v[0].bases;
        CHECK_STR(b->targets[AR_DIALECT_CHAT][AR_ASK_WHOLE], CASES[i].chat);
        CHECK_STR(b->targets[AR_DIALECT_ANTHROPIC][AR_ASK_WHOLE], CASES[i].messages);
        ar_config_free(c);
    }
}

/* Every row that has a URL: the target is the row's template behind the URL's path, or follows the
 * rule. */
static void test_every_row_is_joined(void **state)
{
    (void)state;
    static const struct {
        const char *name, *chat, *messages, *count;
    } KNOWN[] = {
        {"openai", "/v1/chat/completions", NULL, NULL},
        {"anthropic", NULL, "/v1/messages", "/v1/messages/count_tokens"},
        {"gemini-openai", "/v1beta/openai/chat/completions", NULL, NULL},
        {"openrouter", "/api/v1/chat/completions", "/api/v1/messages", NULL},
        {"deepseek", "/v1/chat/completions", "/anthropic/v1/messages", NULL},
        {"groq", "/openai/v1/chat/completions", NULL, NULL},
        {"perplexity", "/chat/completions", NULL, NULL},
        {"moonshot", "/v1/chat/completions", "/anthropic/v1/messages",
         "/anthropic/v1/messages/count_tokens"},
        {"zai", "/api/paas/v4/chat/completions", "/api/anthropic/v1/messages", NULL},
        {"dashscope", "/compatible-mode/v1/chat/completions", NULL, NULL},
        {"deepinfra", "/v1/openai/chat/completions", NULL, NULL},
        {"github-models", "/inference/chat/completions", NULL, NULL},
        {"llama.cpp", "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"},
        {"anyrouter.top", NULL, "/v1/messages", "/v1/messages/count_tokens"},
    };
    const struct ar_provider *p;
    unsigned seen = 0;
    for (unsigned i = 0; (p = ar_provider_row(i)) != NULL; i++) {
        char text[128];
        bool custom = (p->flags & AR_PLACE_CUSTOM) != 0;
        (void)snprintf(text, sizeof text, "upstreams: [{provider: '%s'%s}]\n", p->name,
                       custom                      ? ", base_urls: ['http://h:1/v1']"
                       : p->auth == AR_AUTH_GOOGLE ? ", project: p, region: here"
                                                   : "");
        struct ar_config *c = load_good(text);
        const struct ar_upstream *u = &build(c)->v[0];
        CHECK_STR(u->name, p->name);
        assert_true(u->dialect_count > 0 && u->base_count == 1);
        for (unsigned d = 0; d < u->dialect_count; d++) {
            assert_true(p->paths[u->dialects[d]->id] != NULL);
        }
        for (unsigned d = 0; d < AR_DIALECT_COUNT && !(p->flags & AR_PLACE_GENERATOR); d++) {
            static const char *const ENDS[AR_DIALECT_COUNT] = {
                [AR_DIALECT_CHAT] = "/chat/completions",
                [AR_DIALECT_ANTHROPIC] = "/messages",
                [AR_DIALECT_RESPONSES] = "/responses",
                [AR_DIALECT_GEMINI] = "/models/{model}:generateContent",
                [AR_DIALECT_COMPLETIONS] = "/completions"};
            struct ar_str target = u->bases[0].targets[d][AR_ASK_WHOLE];
            assert_true(target.n > 1 && target.p[0] == '/');
            bool cloud = p->auth == AR_AUTH_GOOGLE || (p->flags & AR_PLACE_INVOKE);
            assert_true(cloud || !ENDS[d] || ar_str_has_suffix(target, ar_str_of(ENDS[d])));
            assert_false(ar_str_has(target, AR_LIT("//")));
            assert_false(ar_str_has(target, AR_LIT("/v1/v1")));
        }
        for (size_t k = 0; k < sizeof KNOWN / sizeof *KNOWN; k++) {
            if (strcmp(KNOWN[k].name, p->name) == 0) {
                seen++;
                assert_int_equal(p->paths[AR_DIALECT_CHAT] != NULL, KNOWN[k].chat != NULL);
                assert_int_equal(p->paths[AR_DIALECT_ANTHROPIC] != NULL, KNOWN[k].messages != NULL);
                if (KNOWN[k].chat) {
                    CHECK_STR(u->bases[0].targets[AR_DIALECT_CHAT][AR_ASK_WHOLE], KNOWN[k].chat);
                }
                if (KNOWN[k].messages) {
                    CHECK_STR(u->bases[0].targets[AR_DIALECT_ANTHROPIC][AR_ASK_WHOLE],
                              KNOWN[k].messages);
                }
                if (KNOWN[k].count) {
                    CHECK_STR(u->bases[0].targets[AR_DIALECT_ANTHROPIC][AR_ASK_COUNT],
                              KNOWN[k].count);
                }
            }
        }
        ar_config_free(c);
    }
    assert_int_equal(seen, sizeof KNOWN / sizeof *KNOWN);
}

static void test_any_path_is_joined(void **state)
{
    (void)state;
    struct ar_config *c = load_good("upstreams: [{provider: vllm, base_urls: ['http://h/api/v1', "
                                    "'http://h', 'http://h/p?q=1']}]\n");
    const struct ar_upstream *u = &build(c)->v[0];
    struct ar_arena a;
    ar_arena_init(&a, 1 << 16);
    CHECK_STR(ar_base_join(&u->bases[0], AR_LIT("/v1/models"), &a), "/api/v1/models");
    CHECK_STR(ar_base_join(&u->bases[0], AR_LIT("/v1/audio/speech"), &a), "/api/v1/audio/speech");
    CHECK_STR(ar_base_join(&u->bases[1], AR_LIT("/v1/models"), &a), "/v1/models");
    CHECK_STR(ar_base_join(&u->bases[2], AR_LIT("/v1/models"), &a), "/p/v1/models?q=1");
    ar_arena_done(&a);
    ar_config_free(c);
}

static const struct ar_upstream *named(const struct ar_upstreams *all, const char *name)
{
    for (unsigned i = 0; i < all->n; i++) {
        if (ar_str_is(all->v[i].name, ar_str_of(name))) {
            return &all->v[i];
        }
    }
    return NULL;
}

static void test_the_environment_switches_rows_on(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {{"OPENAI_API_KEY", "k1,k2"},
                                          {"ANTHROPIC_API_KEY", "k3"},
                                          {"GEMINI_API_KEY", ""},
                                          {"AZURE_OPENAI_API_KEY", "k4"},
                                          {NULL, NULL}};
    struct load l = load_text("", ENV);
    CHECK_OK(l.code);
    ar_providers_from_env(l.config, load_getenv);
    const struct ar_upstreams *all = build(l.config);
    assert_int_equal(all->n, 3);
    assert_int_equal(named(all, "openai")->key_count, 2);
    assert_false(named(all, "openai")->passthrough);
    assert_int_equal(named(all, "anthropic")->key_count, 1);
    assert_null(named(all, "gemini"));
    assert_null(named(all, "azure-openai")); /* its URL is nobody's but the operator's */
    assert_null(named(all, "anyrouter"));    /* a key says who is to be asked */
    assert_non_null(named(all, "echo"));
    ar_config_free(l.config);

    l = load_text("", NULL);
    CHECK_OK(l.code);
    ar_providers_from_env(l.config, load_getenv);
    all = build(l.config);
    assert_int_equal(all->n, 2);
    assert_true(named(all, "anyrouter")->passthrough);
    CHECK_STR(named(all, "anyrouter")->bases[0].origin.host, "anyrouter.top");
    assert_non_null(named(all, "echo"));
    ar_config_free(l.config);

    l = load_text("upstreams: [{provider: vllm}]\n", ENV);
    CHECK_OK(l.code);
    ar_providers_from_env(l.config, load_getenv);
    assert_int_equal(build(l.config)->n, 1); /* a file with upstreams means what it says */
    ar_config_free(l.config);
}

static void test_the_environment_of_clouds(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {{"GOOGLE_API_KEY", "k"},
                                          {"AWS_BEARER_TOKEN_BEDROCK", "b"},
                                          {"AWS_ACCESS_KEY_ID", "id"},
                                          {"AWS_SECRET_ACCESS_KEY", "secret"},
                                          {"AWS_DEFAULT_REGION", "eu-north-1"},
                                          {"GOOGLE_APPLICATION_CREDENTIALS", "/nowhere.json"},
                                          {NULL, NULL}};
    struct load l = load_text("", ENV);
    CHECK_OK(l.code);
    ar_providers_from_env(l.config, load_getenv);
    const struct ar_upstreams *all = build(l.config);
    CHECK_STR(named(all, "gemini")->keys[0].secret, "k");
    CHECK_STR(named(all, "gemini")->conf->keys_source, "env GOOGLE_API_KEY");
    const struct ar_upstream *u = named(all, "bedrock");
    CHECK_STR(u->keys[0].secret, "b");
    CHECK_STR(u->bases[0].origin.host, "bedrock-runtime.eu-north-1.amazonaws.com");
    assert_null(named(all, "vertex")); /* no project is named: the file may be for another tool */
    ar_config_free(l.config);

    static const struct load_env PLAIN[] = {{"AWS_ACCESS_KEY_ID", "id"},
                                            {"AWS_SECRET_ACCESS_KEY", "secret"},
                                            {"AWS_SESSION_TOKEN", "session"},
                                            {NULL, NULL}};
    l = load_text("", PLAIN);
    CHECK_OK(l.code);
    ar_providers_from_env(l.config, load_getenv);
    assert_null(named(build(l.config), "bedrock")); /* anybody's tools have these */
    ar_config_free(l.config);
    l = load_text("upstreams: [{name: bedrock}, {provider: bedrock, name: own, keys: [k], region: "
                  "us-west-2}, {provider: bedrock, name: open, passthrough: 'true'}]\n",
                  PLAIN);
    CHECK_OK(l.code);
    ar_providers_from_env(l.config, load_getenv);
    all = build(l.config);
    CHECK_STR(named(all, "bedrock")->keys[0].secret, "id:secret:session");
    CHECK_STR(named(all, "bedrock")->region, "us-east-1");
    CHECK_STR(named(all, "own")->keys[0].secret, "k");
    CHECK_STR(named(all, "own")->region, "us-west-2");
    assert_int_equal(named(all, "open")->key_count, 0);
    ar_config_free(l.config);
}

static void test_places_of_clouds(void **state)
{
    (void)state;
    static const struct {
        const char *region, *host;
    } HOSTS[] = {{"europe-west1", "europe-west1-aiplatform.googleapis.com"},
                 {"global", "aiplatform.googleapis.com"},
                 {"us", "aiplatform.us.rep.googleapis.com"}};
    for (unsigned i = 0; i < sizeof HOSTS / sizeof *HOSTS; i++) {
        char text[160];
        (void)snprintf(text, sizeof text,
                       "upstreams: [{provider: vertex, keys: [token], project: p1, region: %s}]\n",
                       HOSTS[i].region);
        struct ar_config *c = load_good(text);
        const struct ar_upstream *u = &build(c)->v[0];
        CHECK_STR(u->bases[0].origin.host, HOSTS[i].host);
        struct ar_str path = u->bases[0].targets[AR_DIALECT_GEMINI][AR_ASK_STREAM];
        assert_true(ar_str_has_prefix(path, AR_LIT("/v1/projects/p1/locations/")));
        assert_true(ar_str_has(path, ar_str_of(HOSTS[i].region)));
        assert_true(ar_str_has_suffix(
            path, AR_LIT("/publishers/google/models/{model}:streamGenerateContent?alt=sse")));
        struct ar_str sent;
        assert_true(ar_upstream_serves(u, AR_LIT("claude-sonnet-4-5"), &sent));
        assert_false(ar_upstream_serves(u, AR_LIT("gpt-5"), &sent));
        assert_ptr_equal(ar_upstream_only(u, AR_LIT("claude-x")), &ar_dialect_anthropic);
        assert_ptr_equal(ar_upstream_only(u, AR_LIT("gemini-x")), &ar_dialect_gemini);
        assert_ptr_equal(ar_upstream_only(u, AR_LIT("meta/llama")), &ar_dialect_chat);
        assert_null(ar_upstream_only(u, AR_LIT("other")));
        ar_config_free(c);
    }
    struct ar_config *c =
        load_good("upstreams: [{provider: bedrock, keys: [k], dialects: [anthropic]}]\n");
    const struct ar_upstream *u = &build(c)->v[0];
    CHECK_STR(u->bases[0].targets[AR_DIALECT_ANTHROPIC][AR_ASK_WHOLE], "/model/{segment}/invoke");
    assert_int_equal(u->bases[0].targets[AR_DIALECT_ANTHROPIC][AR_ASK_COUNT].n, 0);
    assert_null(ar_upstream_only(u, AR_LIT("openai.gpt-oss-120b"))); /* it was told to speak one */
    ar_config_free(c);
}

static void test_which_models_are_served(void **state)
{
    (void)state;
    static const struct {
        const char *upstream, *model, *sent; /* NULL: not served */
    } CASES[] = {
        {"openai", "gpt-5-mini", "gpt-5-mini"},
        {"openai", "o3", "o3"},
        {"openai", "o3-mini", "o3-mini"},
        {"openai", "claude-opus-4-5", NULL},
        {"anthropic", "claude-x", "claude-x"},
        {"anthropic", "gpt-4", NULL},
        {"vllm", "anything/at:all", "anything/at:all"},
        {"openrouter", "a/b", "a/b"},
        {"openrouter", "gpt-4o", NULL},
        {"mine", "claude-opus-4-5", "claude-opus-4-5"},
        {"mine", "sonnet", "claude-sonnet-4-5"},
        {"mine", "gpt-4", NULL},
        {"mine", "CLAUDE-x", NULL},
        {"none", "gpt-4", NULL},
        {"mine", "small-7b", "big"},
        {"mine", "small", NULL},
    };
    struct ar_config *c =
        load_good("upstreams:\n"
                  "  - provider: openai\n"
                  "  - provider: anthropic\n"
                  "  - provider: vllm\n"
                  "  - provider: openrouter\n"
                  "  - {name: mine, provider: openai, models: ['claude-*', {from: sonnet, to: "
                  "claude-sonnet-4-5}, {from: small-*, to: big}]}\n"
                  "  - {name: none, provider: openai, models: []}\n");
    const struct ar_upstreams *all = build(c);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct ar_str sent;
        bool serves =
            ar_upstream_serves(named(all, CASES[i].upstream), ar_str_of(CASES[i].model), &sent);
        bool want = CASES[i].sent != NULL;
        if (serves != want) {
            print_error("%s serves %s: %d\n", CASES[i].upstream, CASES[i].model, serves);
        }
        assert_int_equal(serves, want);
        if (CASES[i].sent) {
            CHECK_STR(sent, CASES[i].sent);
        }
    }
    ar_config_free(c);
}

static void test_names_keys_and_dialects(void **state)
{
    (void)state;
    struct ar_config *c =
        load_good("upstreams:\n"
                  "  - {name: openai, keys: [secret-1, secret-2]}\n"
                  "  - {provider: openai, name: two, keys: [secret-1], passthrough: 'true'}\n"
                  "  - {provider: openai, name: three, dialects: [messages, openai, anthropic]}\n"
                  "  - {provider: openai, name: off, enabled: no}\n"
                  "  - {provider: openai, name: closed, passthrough: 'false'}\n"
                  "  - {provider: echo}\n");
    const struct ar_upstreams *all = build(c);
    assert_int_equal(all->n, 5);
    assert_null(named(all, "off"));
    const struct ar_upstream *one = named(all, "openai"), *two = named(all, "two"),
                             *three = named(all, "three");
    assert_false(one->passthrough);
    assert_true(two->passthrough);
    assert_true(three->passthrough);
    assert_false(named(all, "closed")->passthrough);
    assert_false(named(all, "echo")->passthrough);
    assert_int_equal(strlen(one->keys[0].print), 8);
    assert_string_not_equal(one->keys[0].print, one->keys[1].print);
    assert_string_equal(one->keys[0].print, two->keys[0].print);
    assert_null(strstr("secret-1", one->keys[0].print));
    assert_int_equal(one->dialect_count, 3);
    assert_int_equal(three->dialect_count, 2);
    assert_ptr_equal(three->dialects[0], &ar_dialect_anthropic);
    assert_true(ar_upstream_speaks(three, &ar_dialect_chat));
    assert_false(ar_upstream_speaks(one, &ar_dialect_anthropic));
    ar_config_free(c);
}

static void test_proxies(void **state)
{
    (void)state;
    static const struct load_env ENV[] = {
        {"HTTPS_PROXY", "http://env:1"}, {"NO_PROXY", ".corp"}, {NULL, NULL}};
    static const struct {
        const char *upstream, *proxy;
    } CASES[] = {
        {"{name: a, provider: openai}", "http://env:1"},
        {"{name: a, provider: openai, proxy: none}", ""},
        {"{name: a, provider: openai, proxy: 'socks5://own:2'}", "socks5://own:2"},
        {"{name: a, provider: vllm, base_urls: ['http://x.corp/v1']}", ""},
        {"{name: a, provider: vllm, base_urls: ['http://x.corp/v1'], proxy: 'http://own:2'}",
         "http://own:2"},
        {"{name: a, provider: vllm}", ""},
        {"{name: a, provider: vllm, base_urls: ['http://localhost:1']}", ""},
        {"{name: a, provider: vllm, base_urls: ['http://[::1]:1']}", ""},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[160];
        (void)snprintf(text, sizeof text, "upstreams: [%s]\n", CASES[i].upstream);
        struct load l = load_text(text, ENV);
        CHECK_OK(l.code);
        CHECK_STR(build(l.config)->v[0].bases[0].origin.proxy, CASES[i].proxy);
        ar_config_free(l.config);
    }
}

static void test_what_is_wrong_is_named_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *upstream, *word;
    } CASES[] = {
        {"{keys: [k]}", "needs a provider"},
        {"{provider: opanai}", "unknown provider opanai; did you mean openai?"},
        {"{provider: nothing-like-it}", "unknown provider nothing-like-it"},
        {"{name: home}", "needs a provider: none has the name home"},
        {"{name: x, provider: openai-compatible}", "base_urls"},
        {"{provider: openai, base_urls: [nonsense]}", "nonsense"},
        {"{provider: openai, base_urls: ['ftp://h']}", "ftp://h"},
        {"{provider: openai, dialects: [latin]}", "latin"},
        {"{provider: openai, passthrough: perhaps}", "perhaps"},
        {"{provider: openai, proxy: 'ftp://h'}", "proxy"},
        {"{provider: openai}, {provider: openai}", "two upstreams"},
        {"{provider: vertex, keys: [token]}", "project"},
        {"{provider: vertex, project: p, keys: [/no/where.json]}", "/no/where.json"},
        {"{provider: vertex, project: p, keys: ['{\"type\":\"x\"}']}", "service_account"},
        {"{provider: bedrock, region: 'evil.host/'}", "region"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        char text[160];
        struct ar_upstreams *u;
        struct ar_err err = {0};
        (void)snprintf(text, sizeof text, "# line\nupstreams: [%s]\n", CASES[i].upstream);
        struct ar_config *c = load_good(text);
        assert_int_equal(ar_upstreams_build(c, &u, &err), AR_INVALID_REQUEST);
        if (!strstr(err.note, CASES[i].word) || !strstr(err.note, ":2")) {
            print_error("want \"%s\" in \"%s\"\n", CASES[i].word, err.note);
            fail();
        }
        ar_config_free(c);
    }
}

static void test_a_refused_url_does_not_show_its_password(void **state)
{
    (void)state;
    struct ar_upstreams *u;
    struct ar_err err = {0};
    struct ar_config *c =
        load_good("upstreams: [{provider: openai, base_urls: ['https://me:canary@h/v1']}]\n");
    assert_int_equal(ar_upstreams_build(c, &u, &err), AR_INVALID_REQUEST);
    assert_null(strstr(err.note, "canary"));
    ar_config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base_urls_are_joined),
        cmocka_unit_test(test_every_row_is_joined),
        cmocka_unit_test(test_any_path_is_joined),
        cmocka_unit_test(test_the_environment_switches_rows_on),
        cmocka_unit_test(test_the_environment_of_clouds),
        cmocka_unit_test(test_places_of_clouds),
        cmocka_unit_test(test_which_models_are_served),
        cmocka_unit_test(test_names_keys_and_dialects),
        cmocka_unit_test(test_proxies),
        cmocka_unit_test(test_what_is_wrong_is_named_with_its_line),
        cmocka_unit_test(test_a_refused_url_does_not_show_its_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
