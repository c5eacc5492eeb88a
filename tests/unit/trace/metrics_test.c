/*
 * /metrics as a scraper reads it: every line parses, every series once, histograms add up, labels
 * cannot break out, and no client can grow the table.
 */
#include "check.h"
#include "trace/metrics.h"

struct sample {
    char name[64], labels[200];
    double value;
};
struct page {
    struct ar_buf text;
    struct sample v[9000];
    unsigned n;
    char types[16][80]; /* "name type" */
    unsigned type_count;
};

/* Labels as Prometheus reads them: name="value" with escapes, no control characters. */
static void check_labels(const char *s)
{
    while (*s) {
        size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz_");
        assert_true(n > 0 && s[n] == '=' && s[n + 1] == '"');
        for (s += n + 2; *s != '"'; s++) {
            assert_true((unsigned char)*s >= 0x20);
            if (*s == '\\') {
                s++;
                assert_true(*s == '\\' || *s == '"' || *s == 'n');
            }
        }
        s++;
        assert_true(*s == ',' || *s == '\0');
        s += *s == ',';
    }
}

static void read_line(struct page *p, char *line)
{
    if (strncmp(line, "# TYPE ", 7) == 0) {
        assert_true(p->type_count < 16);
        (void)snprintf(p->types[p->type_count++], sizeof p->types[0], "%s", line + 7);
        return;
    }
    if (line[0] == '#') {
        assert_int_equal(strncmp(line, "# HELP anyrouter_", 17), 0);
        return;
    }
    struct sample *s = &p->v[p->n++];
    assert_true(p->n < sizeof p->v / sizeof *p->v);
    char *end = NULL, *value = strrchr(line, ' '), *brace = strchr(line, '{');
    assert_non_null(value);
    if (!value) {
        return;
    }
    *value = '\0';
    s->value = strtod(value + 1, &end);
    assert_true(end > value + 1 && *end == '\0');
    if (brace) {
        size_t n = strlen(brace);
        assert_int_equal(brace[n - 1], '}');
        brace[n - 1] = *brace = '\0';
        (void)snprintf(s->labels, sizeof s->labels, "%s", brace + 1);
        check_labels(s->labels);
    }
    (void)snprintf(s->name, sizeof s->name, "%s", line);
    for (unsigned i = 0; i + 1 < p->n; i++) {
        assert_false(strcmp(p->v[i].name, s->name) == 0 && strcmp(p->v[i].labels, s->labels) == 0);
    }
}

static struct page *render(struct ar_metrics *const *all, unsigned n)
{
    struct page *p = calloc(1, sizeof *p);
    assert_non_null(p);
    ar_buf_init(&p->text, 8 << 20);
    ar_metrics_render(all, n, NULL, 0, &p->text);
    CHECK_OK(ar_buf_finish(&p->text));
    ar_buf_char(&p->text, '\0');
    assert_int_equal(p->text.p[p->text.n - 2], '\n');
    for (char *line = p->text.p; *line;) {
        char *end = strchr(line, '\n');
        *end = '\0';
        read_line(p, line);
        line = end + 1;
    }
    return p;
}

static void page_free(struct page *p)
{
    ar_buf_done(&p->text);
    free(p);
}

/* Value of a series; -1: not there. */
static double value(const struct page *p, const char *name, const char *labels)
{
    for (unsigned i = 0; i < p->n; i++) {
        if (strcmp(p->v[i].name, name) == 0 && strcmp(p->v[i].labels, labels) == 0) {
            return p->v[i].value;
        }
    }
    return -1;
}

/* A served request of one attempt. */
static void put(struct ar_metrics *m, const char *upstream, enum ar_outcome outcome,
                int64_t first_ms)
{
    struct ar_attempt_record a = {
        .upstream = ar_str_of(upstream), .outcome = outcome, .begun_us = 1000100};
    struct ar_record r = {.client_dialect = "chat", .status_sent = 200, .begun_us = 1000000};
    ar_usage_clear(&a.usage);
    a.usage.in_total = 10;
    a.usage.out_total = 3;
    a.first_event_us = first_ms > 0 ? 1000000 + first_ms * 1000 : 0;
    r.attempt[r.attempt_count++] = &a;
    ar_record_put(m, &r, false);
}

static void test_counts(void **state)
{
    (void)state;
    struct ar_metrics *m = ar_metrics_new();
    put(m, "a", AR_SERVED, 3);
    put(m, "a", AR_SERVED, 700);
    put(m, "b", AR_FAILED_OVER, 0);
    struct ar_record failed = {
        .client_dialect = "anthropic", .status_sent = 401, .code = AR_KEY_MISSING, .doing = "plan"};
    ar_record_put(m, &failed, false);
    struct ar_record gone = {.client_dialect = NULL, .status_sent = 0};
    ar_record_put(m, &gone, false);
    ar_metrics_in_flight(m, 3);
    ar_metrics_in_flight(m, -1);
    ar_metrics_connections(m, 7);
    struct page *p = render(&m, 1);
    assert_true(value(p, "anyrouter_requests_total", "dialect=\"chat\",status=\"200\"") == 3);
    assert_true(value(p, "anyrouter_requests_total", "dialect=\"anthropic\",status=\"401\"") == 1);
    assert_true(value(p, "anyrouter_requests_total", "dialect=\"none\",status=\"499\"") == 1);
    assert_true(value(p, "anyrouter_attempts_total", "upstream=\"a\",outcome=\"served\"") == 2);
    assert_true(value(p, "anyrouter_attempts_total", "upstream=\"b\",outcome=\"failed_over\"") ==
                1);
    assert_true(value(p, "anyrouter_input_tokens_total", "upstream=\"a\"") == 20);
    assert_true(value(p, "anyrouter_output_tokens_total", "upstream=\"b\"") == 3);
    assert_true(value(p, "anyrouter_errors_total", "code=\"key_missing\",step=\"plan\"") == 1);
    assert_true(value(p, "anyrouter_requests_in_flight", "") == 2);
    assert_true(value(p, "anyrouter_client_connections", "") == 7);
    page_free(p);
    ar_metrics_free(m);
}

static void test_every_metric_has_its_type_and_help(void **state)
{
    (void)state;
    struct ar_metrics *m = ar_metrics_new();
    struct page *p = render(&m, 1);
    const struct ar_metric_row *row;
    unsigned n = 0;
    for (; (row = ar_metric_row(n)) != NULL; n++) {
        char want[80];
        (void)snprintf(want, sizeof want, "%s %s", row->name, row->type);
        assert_string_equal(p->types[n], want);
        assert_true(strlen(row->doc) > 4);
        bool counts = strcmp(row->type, "counter") == 0;
        assert_int_equal(ar_str_has_suffix(ar_str_of(row->name), AR_LIT("_total")), counts);
    }
    assert_int_equal(p->type_count, n);
    page_free(p);
    ar_metrics_free(m);
}

static void test_histograms_add_up(void **state)
{
    (void)state;
    static const int64_t MS[] = {1, 3, 30, 99, 400, 900, 2000, 20000, 1000000};
    struct ar_metrics *m = ar_metrics_new();
    double sum = 0, last = 0;
    unsigned buckets = 0;
    for (size_t i = 0; i < sizeof MS / sizeof *MS; i++) {
        put(m, "a", AR_SERVED, MS[i]);
        sum += (double)MS[i] / 1000;
    }
    struct page *p = render(&m, 1);
    for (unsigned i = 0; i < p->n; i++) {
        if (strcmp(p->v[i].name, "anyrouter_first_byte_seconds_bucket") == 0) {
            const char *le = strstr(p->v[i].labels, "le=\"");
            assert_non_null(le);
            double bound = strtod(le + 4, NULL), want = 0; /* "+Inf" reads as infinity */
            for (size_t k = 0; k < sizeof MS / sizeof *MS; k++) {
                want += (double)MS[k] / 1000 <= bound;
            }
            assert_true(p->v[i].value == want && want >= last);
            last = want;
            buckets++;
        }
    }
    assert_true(buckets > 5);
    assert_true(value(p, "anyrouter_first_byte_seconds_bucket", "upstream=\"a\",le=\"+Inf\"") == 9);
    assert_true(value(p, "anyrouter_first_byte_seconds_count", "upstream=\"a\"") == 9);
    double got = value(p, "anyrouter_first_byte_seconds_sum", "upstream=\"a\"");
    assert_true(got > sum - 0.001 && got < sum + 0.001);
    assert_true(value(p, "anyrouter_overhead_seconds_count", "") == 9);
    page_free(p);
    ar_metrics_free(m);
}

static void test_workers_are_summed(void **state)
{
    (void)state;
    struct ar_metrics *all[3];
    for (unsigned i = 0; i < 3; i++) {
        all[i] = ar_metrics_new();
        for (unsigned k = 0; k <= i; k++) {
            put(all[i], k % 2 ? "odd" : "even", AR_SERVED, 5);
        }
        ar_metrics_in_flight(all[i], 2);
    }
    struct page *p = render(all, 3);
    assert_true(value(p, "anyrouter_attempts_total", "upstream=\"even\",outcome=\"served\"") == 4);
    assert_true(value(p, "anyrouter_attempts_total", "upstream=\"odd\",outcome=\"served\"") == 2);
    assert_true(value(p, "anyrouter_first_byte_seconds_count", "upstream=\"even\"") == 4);
    assert_true(value(p, "anyrouter_requests_in_flight", "") == 6);
    page_free(p);
    for (unsigned i = 0; i < 3; i++) {
        ar_metrics_free(all[i]);
    }
}

static void test_labels_cannot_break_out(void **state)
{
    (void)state;
    struct ar_metrics *m = ar_metrics_new();
    for (int i = 0; i < 600; i++) { /* the same odd name is one series however often it comes */
        put(m, "a\"} 1\nevil 2\\", AR_SERVED, 5);
    }
    char big[300];
    memset(big, 'n', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    put(m, big, AR_SERVED, 5);
    put(m, big, AR_SERVED, 5);
    struct page *p = render(&m, 1);
    unsigned attempts = 0;
    double most = 0;
    for (unsigned i = 0; i < p->n; i++) {
        assert_null(strstr(p->v[i].name, "evil"));
        attempts += strcmp(p->v[i].name, "anyrouter_attempts_total") == 0;
        most = strcmp(p->v[i].name, "anyrouter_attempts_total") == 0 && p->v[i].value > most
                   ? p->v[i].value
                   : most;
    }
    assert_int_equal(attempts, 2);
    assert_true(most == 600);
    page_free(p);
    ar_metrics_free(m);
}

static void test_the_table_overflows_into_other(void **state)
{
    (void)state;
    static const enum ar_outcome OUTCOMES[] = {AR_SERVED, AR_FAILED_OVER, AR_CUT, AR_CANCELLED,
                                               AR_REFUSED};
    struct ar_metrics *m = ar_metrics_new();
    unsigned n = 0;
    for (unsigned i = 0; i < 300; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "up-%u", i);
        for (unsigned k = 0; k < 5; k++, n++) {
            put(m, name, OUTCOMES[k], 5);
        }
    }
    for (unsigned k = 0; k < 5; k++, n++) {
        put(m, "other", OUTCOMES[k], 5); /* somebody may be called that */
    }
    struct page *p = render(&m, 1);
    double attempts = 0, first = 0, tokens = 0;
    unsigned others = 0;
    for (unsigned i = 0; i < p->n; i++) {
        attempts += strcmp(p->v[i].name, "anyrouter_attempts_total") == 0 ? p->v[i].value : 0;
        first +=
            strcmp(p->v[i].name, "anyrouter_first_byte_seconds_count") == 0 ? p->v[i].value : 0;
        tokens += strcmp(p->v[i].name, "anyrouter_input_tokens_total") == 0 ? p->v[i].value : 0;
        others += strstr(p->v[i].labels, "\"other\"") != NULL;
    }
    assert_true(attempts == n && first == n && tokens == 10 * n); /* nothing is lost */
    assert_true(others > 0);
    page_free(p);
    ar_metrics_free(m);
}

static void test_outcomes_have_names(void **state)
{
    (void)state;
    for (int o = AR_SERVED; o <= AR_REFUSED; o++) {
        for (int k = AR_SERVED; k < o; k++) {
            assert_string_not_equal(ar_outcome_name((enum ar_outcome)o),
                                    ar_outcome_name((enum ar_outcome)k));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_every_metric_has_its_type_and_help),
        cmocka_unit_test(test_histograms_add_up),
        cmocka_unit_test(test_workers_are_summed),
        cmocka_unit_test(test_labels_cannot_break_out),
        cmocka_unit_test(test_the_table_overflows_into_other),
        cmocka_unit_test(test_outcomes_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
