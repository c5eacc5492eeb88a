/*
 * Endpoints of our own, called as the flow calls them: facts, and model lists in three shapes with
 * their paging. Nothing is fetched here: the upstreams name their models.
 */
#include "http/http_kit.h"
#include "route/rig.h"

#include "admin/admin.h"
#include "io/loop.h"
#include "json/scan.h"

struct desk {
    struct rig rig;
    struct kit kit;
    struct ar_pool *pool;
    struct ar_admin admin;
    struct ar_metrics *metrics;
    struct ar_buf body;
    struct ar_jdoc doc;
    bool draining;
};

static void desk_init(struct desk *d, const char *yaml)
{
    kit_init(&d->kit);
    rig_init(&d->rig, yaml);
    d->rig.snapshot.generation = 1;
    d->pool = ar_pool_new(d->kit.loop, &(struct ar_pool_limits){1, 1000});
    d->metrics = ar_metrics_new();
    d->draining = false;
    d->admin = (struct ar_admin){.version = "1.2.3",
                                 .metrics = &d->metrics,
                                 .metrics_count = 1,
                                 .models = ar_model_cache_new(d->kit.loop, d->pool),
                                 .draining = &d->draining};
    ar_buf_init(&d->body, 1 << 20);
}

static void desk_done(struct desk *d)
{
    ar_buf_done(&d->body);
    ar_model_cache_free(d->admin.models);
    ar_metrics_free(d->metrics);
    ar_pool_free(d->pool);
    rig_done(&d->rig);
    kit_done(&d->kit);
}

/* Asks the row that the path reaches; header: one, or NULL. */
static struct ar_local_answer ask(struct desk *d, const char *path, const char *query,
                                  const char *header)
{
    const struct ar_endpoint *e = ar_admin_endpoints;
    struct ar_str p = ar_str_of(path);
    size_t n = 0;
    for (; e->methods; e++) {
        n = strlen(e->path);
        bool star = e->path[n - 1] == '*';
        n -= star;
        if (star ? ar_str_has_prefix(p, ar_str_n(e->path, n)) && p.n > n
                 : ar_str_is(p, ar_str_of(e->path))) {
            break;
        }
    }
    assert_non_null(e->methods);
    struct ar_header h = {ar_str_of(header), AR_LIT("1")};
    struct ar_local_ask question = {.method = AR_LIT("GET"),
                                    .path = p,
                                    .rest = ar_str_from(p, n),
                                    .query = ar_str_of(query),
                                    .headers = &h,
                                    .header_count = header ? 1 : 0,
                                    .arena = &d->rig.arena,
                                    .snapshot = &d->rig.snapshot,
                                    .context = &d->admin};
    struct ar_local_answer answer = {
        .status = 200, .content_type = AR_LIT("application/json"), .body = &d->body};
    ar_buf_clear(&d->body);
    e->run(&question, &answer);
    if (answer.code == AR_OK && ar_str_is_lit(answer.content_type, "application/json")) {
        CHECK_OK(ar_json_parse(ar_buf_view(&d->body), AR_JSON_DEPTH, &d->rig.arena, &d->doc, NULL));
    }
    return answer;
}

static struct ar_jval root(struct desk *d)
{
    return ar_json_root(&d->doc);
}

/* The ids of a list, with blanks. */
static const char *ids(struct desk *d, const char *list, const char *member)
{
    struct ar_str all = AR_LIT("");
    struct ar_jiter it = ar_json_iter(ar_json_get(root(d), ar_str_of(list)));
    while (ar_json_next(&it)) {
        struct ar_str id = ar_json_esc(ar_json_get(it.val, ar_str_of(member)));
        all = ar_arena_fmt(&d->rig.arena, "%.*s%s%.*s", AR_FMT(all), all.n > 0 ? " " : "",
                           AR_FMT(id));
    }
    return all.p;
}

static const char FIVE[] =
    "aliases: {nick: m1}\n"
    "upstreams:\n"
    "  - {name: a, provider: vllm, models: [m1, m2, {from: claude-opus-4-1, to: x}]}\n"
    "  - {name: b, provider: vllm, models: [m2, 'odd/na\"me']}\n";

static void test_facts(void **state)
{
    (void)state;
    struct desk d;
    desk_init(&d, FIVE);
    (void)ask(&d, "/", "", NULL);
    CHECK_STR(ar_json_esc(ar_json_get_lit(root(&d), "version")), "1.2.3");
    assert_int_equal(ask(&d, "/health", "", NULL).status, 200);
    assert_int_equal(ask(&d, "/health/ready", "", NULL).status, 200);
    d.draining = true;
    assert_int_equal(ask(&d, "/health/ready", "", NULL).status, 503);
    assert_int_equal(ask(&d, "/health", "", NULL).status, 200);
    struct ar_local_answer a = ask(&d, "/metrics", "", NULL);
    assert_true(ar_str_has(a.content_type, AR_LIT("text/plain")));
    assert_true(
        ar_str_has(ar_buf_view(&d.body), AR_LIT("# TYPE anyrouter_requests_total counter")));
    desk_done(&d);
    desk_init(&d, "upstreams: []\n");
    assert_int_equal(ask(&d, "/health/ready", "", NULL).status, 503);
    desk_done(&d);
}

static void test_models_in_three_shapes(void **state)
{
    (void)state;
    struct desk d;
    desk_init(&d, FIVE);
    assert_int_equal(ask(&d, "/v1/models", "", NULL).again_ms, 0);
    CHECK_STR(ar_json_esc(ar_json_get_lit(root(&d), "object")), "list");
    assert_string_equal(ids(&d, "data", "id"), "nick m1 m2 claude-opus-4-1 odd/na\\\"me");
    (void)ask(&d, "/v1/models", "", "anthropic-version");
    assert_string_equal(ids(&d, "data", "type"), "model model model model model");
    assert_true(ar_json_is(ar_json_get_lit(root(&d), "has_more"), AR_J_FALSE));
    (void)ask(&d, "/v1beta/models", "", NULL);
    assert_string_equal(
        ids(&d, "models", "name"),
        "models/nick models/m1 models/m2 models/claude-opus-4-1 models/odd/na\\\"me");
    (void)ask(&d, "/v1/models", "key=1", NULL);
    assert_true(ar_json_get_lit(root(&d), "models").doc != NULL);
    (void)ask(&d, "/v1/models", "", "x-goog-api-key");
    assert_true(ar_json_get_lit(root(&d), "models").doc != NULL);
    desk_done(&d);
}

static void test_pages(void **state)
{
    (void)state;
    static const struct {
        const char *query, *want;
        bool more;
    } CASES[] = {{"limit=2", "nick m1", true},
                 {"limit=2&after_id=m1", "m2 claude-opus-4-1", true},
                 {"after_id=claude-opus-4-1", "odd/na\\\"me", false},
                 {"after_id=odd%2Fna%22me", "", false},
                 {"limit=1&before_id=m2", "m1", true},
                 {"limit=0", "nick m1 m2 claude-opus-4-1 odd/na\\\"me", false},
                 {"limit=x", "nick m1 m2 claude-opus-4-1 odd/na\\\"me", false},
                 {"after_id=m2&before_id=nick", "", true}};
    struct desk d;
    desk_init(&d, FIVE);
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        (void)ask(&d, "/v1/models", CASES[i].query, "anthropic-version");
        assert_string_equal(ids(&d, "data", "id"), CASES[i].want);
        if (CASES[i].want[0]) {
            assert_int_equal(ar_json_is(ar_json_get_lit(root(&d), "has_more"), AR_J_TRUE),
                             CASES[i].more);
        }
    }
    struct ar_str token = AR_LIT("");
    unsigned pages = 0;
    do {
        struct ar_str query = ar_arena_fmt(&d.rig.arena, "pageSize=2%s%.*s",
                                           token.n > 0 ? "&pageToken=" : "", AR_FMT(token));
        (void)ask(&d, "/v1beta/models", query.p, NULL);
        token = ar_json_esc(ar_json_get_lit(root(&d), "nextPageToken"));
        token = token.p ? ar_arena_copy(&d.rig.arena, token) : AR_LIT("");
        pages++;
    } while (token.n > 0 && pages < 9);
    assert_int_equal(pages, 3);
    desk_done(&d);
}

static void test_one_model(void **state)
{
    (void)state;
    struct desk d;
    desk_init(&d, FIVE);
    (void)ask(&d, "/v1/models/odd%2Fna%22me", "", NULL);
    CHECK_STR(ar_json_esc(ar_json_get_lit(root(&d), "id")), "odd/na\\\"me");
    (void)ask(&d, "/v1/models/odd/na%22me", "", NULL);
    CHECK_STR(ar_json_esc(ar_json_get_lit(root(&d), "owned_by")), "b");
    (void)ask(&d, "/v1/models/claude-opus-4-1", "", "anthropic-version");
    int64_t max = 0;
    CHECK_OK(ar_json_i64(ar_json_get_lit(root(&d), "max_tokens"), &max, NULL));
    assert_int_equal(max, 32000);
    (void)ask(&d, "/v1/models/count", "", NULL);
    CHECK_OK(ar_json_i64(ar_json_get_lit(root(&d), "count"), &max, NULL));
    assert_int_equal(max, 5);
    struct ar_local_answer a = ask(&d, "/v1/models/none", "", NULL);
    assert_int_equal(a.code, AR_MODEL_NOT_FOUND);
    assert_non_null(strstr(a.err.note, "none"));
    desk_done(&d);
}

static void test_the_built_in_models_are_listed(void **state)
{
    (void)state;
    struct desk d;
    desk_init(&d, "upstreams: [{provider: echo}]\n");
    (void)ask(&d, "/v1/models", "", NULL);
    const char *all = ids(&d, "data", "id");
#define X(name, kind, pace, doc) assert_non_null(strstr(all, "echo/" name));
#include "provider/echo.def"
#undef X
    desk_done(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_models_in_three_shapes),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_one_model),
        cmocka_unit_test(test_the_built_in_models_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
