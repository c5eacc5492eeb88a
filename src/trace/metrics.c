/*
 * Metrics. Each worker has its own struct, written by its thread alone with relaxed stores and read
 * by whoever renders, so counting costs no locked instruction. Labelled series live in a small
 * fixed table; when it is full the series `other` takes the rest, so no client can grow it. Also
 * the access line: one record, one line.
 */
#include "trace/metrics.h"

#include "base/err.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { SERIES_MAX = 512, BUCKETS = 14, LABEL_BYTES = 96 };

enum metric_id {
#define X(id, type, name, labels, doc) METRIC_##id,
#include "trace/metrics.def"
#undef X
    METRIC_COUNT
};
static const struct ar_metric_row ROWS[] = {
#define X(id, type, name, labels, doc) {#type, name, labels, doc},
#include "trace/metrics.def"
#undef X
};
static const double BOUNDS[BUCKETS] = {0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.025,
                                       0.1,     0.5,    1,       2.5,    10,    30,    120};

/* One series: written by one thread; `ready` is released after the labels are written, acquired by
 * readers. */
struct series {
    _Atomic int ready;
    enum metric_id metric;
    size_t a_n, b_n; /* lengths of the labels */
    char a[LABEL_BYTES], b[32];
    _Atomic uint64_t value; /* counter; histogram: count */
    _Atomic uint64_t sum_us;
    _Atomic uint64_t bucket[BUCKETS];
};
struct ar_metrics {
    _Atomic int in_flight;
    _Atomic unsigned connections;
    unsigned used;
    struct series series[SERIES_MAX];
};

const struct ar_metric_row *ar_metric_row(unsigned i)
{
    return i < METRIC_COUNT ? &ROWS[i] : NULL;
}

struct ar_metrics *ar_metrics_new(void)
{
    struct ar_metrics *m = calloc(1, sizeof *m);
    AR_ASSERT(m != NULL);
    return m;
}

void ar_metrics_free(struct ar_metrics *m)
{
    free(m);
}

/* Own thread writes: a plain add without a locked instruction. */
static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

static void copy_label(char *to, size_t size, struct ar_str s)
{
    size_t n = s.n < size - 1 ? s.n : size - 1;
    for (size_t i = 0; i < n; i++) {
        char c = s.p[i];
        to[i] = c == '"' || c == '\\' || (unsigned char)c < 0x20 ? '_' : c;
    }
    to[n] = '\0';
}

/* The series with exactly these labels, or NULL. */
static struct series *look_up(struct ar_metrics *m, enum metric_id id, struct ar_str a,
                              struct ar_str b)
{
    for (unsigned i = 0; i < m->used; i++) {
        struct series *s = &m->series[i];
        if (s->metric == id && ar_str_is(ar_str_n(s->a, s->a_n), a) &&
            ar_str_is(ar_str_n(s->b, s->b_n), b)) {
            return s;
        }
    }
    return NULL;
}

static struct series *find(struct ar_metrics *m, enum metric_id id, struct ar_str a,
                           struct ar_str b)
{
    char label[LABEL_BYTES] = "";
    struct series *s = look_up(m, id, a, b);
    if (s) {
        return s;
    }
    copy_label(label, sizeof label, a); /* as it is kept, or it would never be found again */
    a = ar_str_of(label);
    s = look_up(m, id, a, b);
    if (s) {
        return s;
    }
    bool is_rest = ar_str_is_lit(a, "other") && ar_str_is_lit(b, "other");
    if (m->used >= SERIES_MAX - METRIC_COUNT && !is_rest) { /* one place a metric is left */
        return find(m, id, AR_LIT("other"), AR_LIT("other"));
    }
    AR_ASSERT(m->used < SERIES_MAX);
    s = &m->series[m->used++];
    s->metric = id;
    copy_label(s->a, sizeof s->a, a);
    copy_label(s->b, sizeof s->b, b);
    s->a_n = strlen(s->a);
    s->b_n = strlen(s->b);
    atomic_store_explicit(&s->ready, 1, memory_order_release); /* pairs with the acquire in merge */
    return s;
}

static void count(struct ar_metrics *m, enum metric_id id, const char *a, struct ar_str a_text,
                  const char *b, uint64_t n)
{
    add(&find(m, id, a ? ar_str_of(a) : a_text, ar_str_of(b))->value, n);
}

static void observe(struct ar_metrics *m, enum metric_id id, struct ar_str a, int64_t us)
{
    struct series *s = find(m, id, a, AR_LIT(""));
    us = us > 0 ? us : 0;
    add(&s->value, 1);
    add(&s->sum_us, (uint64_t)us);
    for (unsigned i = 0; i < BUCKETS; i++) {
        if ((double)us <= BOUNDS[i] * 1e6) {
            add(&s->bucket[i], 1);
            break;
        }
    }
}

void ar_metrics_in_flight(struct ar_metrics *m, int delta)
{
    int was = atomic_load_explicit(&m->in_flight, memory_order_relaxed);
    atomic_store_explicit(&m->in_flight, was + delta, memory_order_relaxed);
}

void ar_metrics_connections(struct ar_metrics *m, unsigned n)
{
    atomic_store_explicit(&m->connections, n, memory_order_relaxed);
}

const char *ar_outcome_name(enum ar_outcome o)
{
    static const char *const NAMES[] = {"served", "failed_over", "cut", "cancelled", "refused"};
    return NAMES[o];
}

/* A pair without a value is left out of the line. */
static struct ar_str said(const char *text)
{
    return text && text[0] ? ar_str_of(text) : (struct ar_str){NULL, 0};
}

/* "one:upstream_timeout two:upstream_error": who was asked in vain, and why he was left. */
static void say_left(const struct ar_record *r, char *out, size_t cap)
{
    size_t n = 0;
    for (unsigned i = 0; i < r->attempt_count && n < cap; i++) {
        const struct ar_attempt_record *a = r->attempt[i];
        if (a->left_because) {
            n += (size_t)snprintf(out + n, cap - n, "%s%.*s:%s", n > 0 ? " " : "",
                                  AR_FMT(ar_str_head(a->upstream, 40)), a->left_because);
        }
    }
}

static void put_access(const struct ar_record *r)
{
    char status[16], ms[32], tokens[48] = "", left[512] = "";
    const struct ar_attempt_record *last =
        r->attempt_count > 0 ? r->attempt[r->attempt_count - 1] : NULL;
    (void)snprintf(status, sizeof status, "%d", r->status_sent);
    (void)snprintf(ms, sizeof ms, "%.3f", (double)(r->ended_us - r->begun_us) / 1000);
    if (last && (last->usage.in_total >= 0 || last->usage.out_total >= 0)) {
        (void)snprintf(tokens, sizeof tokens, "%lld/%lld",
                       (long long)ar_tokens(last->usage.in_total),
                       (long long)ar_tokens(last->usage.out_total));
    }
    say_left(r, left, sizeof left);
    char attempts[16];
    (void)snprintf(attempts, sizeof attempts, "%u", r->attempt_count);
    struct ar_log_pair pairs[] = {
        {"id", ar_str_of(r->request_id)},
        {"trace_id", r->trace_id},
        {"outcome", ar_str_of(ar_outcome_name(r->outcome))},
        {"status", ar_str_of(status)},
        {"code",
         r->code ? ar_str_of(ar_code_public((enum ar_code)r->code)) : (struct ar_str){NULL, 0}},
        {"doing", ar_str_of(r->doing)},
        {"dialect", ar_str_of(r->client_dialect)},
        {"model", r->model},
        {"upstream", last ? last->upstream : (struct ar_str){NULL, 0}},
        {"key", last ? said(last->key_print) : (struct ar_str){NULL, 0}},
        {"attempts", ar_str_of(attempts)},
        {"left", said(left)},
        {"ms", ar_str_of(ms)},
        {"tokens", said(tokens)},
        {"warnings", r->warnings.n > 0 ? r->warnings : (struct ar_str){NULL, 0}},
    };
    ar_log_line(AR_LOG_INFO, "request", pairs, sizeof pairs / sizeof *pairs);
}

void ar_record_put(struct ar_metrics *m, const struct ar_record *r, bool access_log)
{
    int sent = r->status_sent > 0 && r->status_sent < 1000 ? r->status_sent : 499;
    char status[4] = {(char)('0' + sent / 100), (char)('0' + sent / 10 % 10),
                      (char)('0' + sent % 10), '\0'};
    count(m, METRIC_REQUESTS, r->client_dialect ? r->client_dialect : "none",
          (struct ar_str){NULL, 0}, status, 1);
    for (unsigned i = 0; i < r->attempt_count; i++) {
        const struct ar_attempt_record *a = r->attempt[i];
        count(m, METRIC_ATTEMPTS, NULL, a->upstream, ar_outcome_name(a->outcome), 1);
        if (a->usage.in_total > 0) {
            count(m, METRIC_TOKENS_IN, NULL, a->upstream, "", (uint64_t)a->usage.in_total);
        }
        if (a->usage.out_total > 0) {
            count(m, METRIC_TOKENS_OUT, NULL, a->upstream, "", (uint64_t)a->usage.out_total);
        }
        if (a->first_event_us > 0) {
            observe(m, METRIC_FIRST_BYTE, a->upstream, a->first_event_us - r->begun_us);
        }
    }
    if (r->attempt_count > 0 && r->attempt[0]->begun_us > 0) {
        observe(m, METRIC_OVERHEAD, AR_LIT(""), r->attempt[0]->begun_us - r->begun_us);
    }
    if (r->code != 0) {
        count(m, METRIC_ERRORS, ar_code_public((enum ar_code)r->code), (struct ar_str){NULL, 0},
              r->doing ? r->doing : "", 1);
    }
    if (access_log) {
        put_access(r);
    }
}

/* Sum of one series over all workers into total; the row is found by labels. */
static void merge(struct series *total, unsigned *n, const struct series *s)
{
    if (!atomic_load_explicit(&s->ready,
                              memory_order_acquire)) { /* pairs with the release in find */
        return;
    }
    struct series *t = total;
    while (t < total + *n &&
           !(t->metric == s->metric && strcmp(t->a, s->a) == 0 && strcmp(t->b, s->b) == 0)) {
        t++;
    }
    if (t == total + *n) {
        t->metric = s->metric;
        memcpy(t->a, s->a, sizeof t->a);
        memcpy(t->b, s->b, sizeof t->b);
        ++*n;
    }
    add(&t->value, atomic_load_explicit(&s->value, memory_order_relaxed));
    add(&t->sum_us, atomic_load_explicit(&s->sum_us, memory_order_relaxed));
    for (unsigned i = 0; i < BUCKETS; i++) {
        add(&t->bucket[i], atomic_load_explicit(&s->bucket[i], memory_order_relaxed));
    }
}

/* {a="x",b="y"} by the row's label names; extra: a further label or empty. */
static void put_labels(struct ar_buf *out, const struct series *s, const char *extra)
{
    struct ar_str labels = ar_str_of(ROWS[s->metric].labels), name;
    const char *values[2] = {s->a, s->b};
    unsigned i = 0;
    ar_buf_char(out, '{');
    while (labels.n > 0 && i < 2 && ar_str_split(&labels, ',', &name)) {
        ar_buf_fmt(out, "%s%.*s=\"%s\"", i > 0 ? "," : "", AR_FMT(name), values[i]);
        i++;
    }
    ar_buf_fmt(out, "%s%s}", i > 0 && extra[0] ? "," : "", extra);
}

static void put_histogram(struct ar_buf *out, const struct series *s)
{
    const char *name = ROWS[s->metric].name;
    uint64_t below = 0, all = atomic_load_explicit(&s->value, memory_order_relaxed);
    for (unsigned i = 0; i <= BUCKETS; i++) {
        char le[32];
        below += i < BUCKETS ? atomic_load_explicit(&s->bucket[i], memory_order_relaxed) : 0;
        (void)snprintf(le, sizeof le, i < BUCKETS ? "le=\"%g\"" : "le=\"+Inf\"",
                       i < BUCKETS ? BOUNDS[i] : 0.0);
        ar_buf_fmt(out, "%s_bucket", name);
        put_labels(out, s, le);
        ar_buf_fmt(out, " %llu\n", (unsigned long long)(i < BUCKETS ? below : all));
    }
    ar_buf_fmt(out, "%s_sum", name);
    put_labels(out, s, "");
    ar_buf_fmt(out, " %.6f\n%s_count",
               (double)atomic_load_explicit(&s->sum_us, memory_order_relaxed) / 1e6, name);
    put_labels(out, s, "");
    ar_buf_fmt(out, " %llu\n", (unsigned long long)all);
}

static void put_metric(struct ar_buf *out, enum metric_id id, const struct series *total,
                       unsigned n)
{
    ar_buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", ROWS[id].name, ROWS[id].doc, ROWS[id].name,
               ROWS[id].type);
    for (unsigned i = 0; i < n; i++) {
        if (total[i].metric == id && strcmp(ROWS[id].type, "histogram") == 0) {
            put_histogram(out, &total[i]);
        } else if (total[i].metric == id) {
            ar_buf_fmt(out, "%s", ROWS[id].name);
            put_labels(out, &total[i], "");
            ar_buf_fmt(
                out, " %llu\n",
                (unsigned long long)atomic_load_explicit(&total[i].value, memory_order_relaxed));
        }
    }
}

static void put_fact(struct ar_buf *out, const struct ar_metric_row *row,
                     const struct ar_metric_fact *f)
{
    if (strcmp(row->name, f->name) == 0 && !f->label) {
        ar_buf_fmt(out, "%s %lld\n", row->name, (long long)f->value);
    } else if (strcmp(row->name, f->name) == 0) {
        ar_buf_fmt(out, "%s{%s=\"%s\"} %lld\n", row->name, row->labels, f->label,
                   (long long)f->value);
    }
}

void ar_metrics_render(struct ar_metrics *const *all, unsigned n,
                       const struct ar_metric_fact *facts, unsigned fact_count, struct ar_buf *out)
{
    struct series *total = calloc((size_t)SERIES_MAX * (n + 1), sizeof *total);
    unsigned count_total = 0;
    long long in_flight = 0, connections = 0;
    AR_ASSERT(total != NULL);
    for (unsigned w = 0; w < n; w++) {
        in_flight += atomic_load_explicit(&all[w]->in_flight, memory_order_relaxed);
        connections += atomic_load_explicit(&all[w]->connections, memory_order_relaxed);
        for (unsigned i = 0; i < SERIES_MAX; i++) {
            merge(total, &count_total, &all[w]->series[i]);
        }
    }
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        put_metric(out, (enum metric_id)id, total, count_total);
        for (unsigned i = 0; i < fact_count; i++) {
            put_fact(out, &ROWS[id], &facts[i]);
        }
        if (id == METRIC_CONNECTIONS || id == METRIC_IN_FLIGHT) {
            ar_buf_fmt(out, "%s %lld\n", ROWS[id].name,
                       id == METRIC_CONNECTIONS ? connections : in_flight);
        }
    }
    free(total);
}
