/*
 * Service facts: what this is, whether it lives, whether it can serve, its metrics. They look at
 * the snapshot and at counters and change nothing.
 */
#include "admin/admin.h"

#include "recall/recall.h"

#include "json/write.h"
#include "provider/upstream.h"
#include "route/health.h"

const struct ar_endpoint ar_admin_endpoints[] = {
#define X(row_methods, row_path, row_run, row_doc)                                                 \
    {.methods = row_methods, .path = row_path, .run = row_run, .doc = row_doc},
#include "admin/endpoints.def"
#undef X
    {.methods = NULL}};

void ar_admin_root(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    struct ar_jw w = ar_jw_on(ret->body);
    ar_jw_open(&w, '{');
    ar_jw_key_lit(&w, "name", "anyrouter");
    ar_jw_key_text(&w, "version", ar_str_of(a->version));
    ar_jw_key(&w, "endpoints");
    ar_jw_open(&w, '[');
    ar_jw_lit(&w, "/v1/chat/completions");
    ar_jw_lit(&w, "/v1/responses");
    ar_jw_lit(&w, "/v1/messages");
    ar_jw_lit(&w, "/v1beta/models/{model}:generateContent");
    ar_jw_lit(&w, "/v1/embeddings");
    ar_jw_lit(&w, "/v1/models");
    ar_jw_close(&w, ']');
    ar_jw_close(&w, '}');
    ar_buf_char(ret->body, '\n');
}

void ar_admin_health(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    (void)ask;
    ar_buf_lit(ret->body, "{\"status\":\"ok\"}\n");
}

void ar_admin_ready(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    bool ready = !*a->draining && ask->snapshot->upstreams->n > 0;
    ret->status = ready ? 200 : 503;
    if (ready) {
        ar_buf_lit(ret->body, "{\"status\":\"ready\"}\n");
    } else {
        ar_buf_fmt(ret->body, "{\"status\":\"%s\"}\n",
                   *a->draining ? "draining" : "no upstream is enabled");
    }
}

enum { RECALL_FACTS = 17 };

/* What is remembered of callers, a table at a time. */
static unsigned count_recall(struct ar_recall *r, struct ar_metric_fact facts[RECALL_FACTS])
{
    const struct {
        const char *name;
        struct ar_recall_table *table;
    } tables[] = {
        {"signatures", r->signatures}, {"responses", r->responses}, {"accounts", r->accounts}};
    unsigned n = 0;
    for (unsigned i = 0; i < sizeof tables / sizeof *tables; i++) {
        struct ar_recall_counts c = ar_recall_table_counts(tables[i].table);
        const char *of = tables[i].name;
        facts[n++] = (struct ar_metric_fact){"anyrouter_recall_entries", of, c.entries};
        facts[n++] = (struct ar_metric_fact){"anyrouter_recall_bytes", of, c.bytes};
        facts[n++] = (struct ar_metric_fact){"anyrouter_recall_hits_total", of, c.hits};
        facts[n++] = (struct ar_metric_fact){"anyrouter_recall_misses_total", of, c.misses};
        facts[n++] = (struct ar_metric_fact){"anyrouter_recall_evicted_total", of, c.evicted};
    }
    facts[n++] =
        (struct ar_metric_fact){"anyrouter_recall_bytes", "tapes", ar_tapes_bytes(r->tapes)};
    facts[n++] = (struct ar_metric_fact){"anyrouter_background_runs", NULL, ar_recall_runs(r)};
    return n;
}

void ar_admin_metrics(const struct ar_local_ask *ask, struct ar_local_answer *ret)
{
    const struct ar_admin *a = ask->context;
    ret->content_type = AR_LIT("text/plain; version=0.0.4; charset=utf-8");
    struct ar_metric_fact facts[RECALL_FACTS];
    unsigned n = a->recall ? count_recall(a->recall, facts) : 0;
    ar_metrics_render(a->metrics, a->metrics_count, facts, n, ret->body);
}
