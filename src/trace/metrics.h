/* Counters of one worker, summed when /metrics is asked. A worker writes its own; readers take
 * relaxed loads. */
#ifndef AR_TRACE_METRICS_H
#define AR_TRACE_METRICS_H

#include "base/buf.h"
#include "trace/record.h"

struct ar_metrics;

struct ar_metrics *ar_metrics_new(void);
void ar_metrics_free(struct ar_metrics *m);
/* Gauges of the worker. */
void ar_metrics_in_flight(struct ar_metrics *m, int delta);
void ar_metrics_connections(struct ar_metrics *m, unsigned n);
/* A number that somebody else counts, for the row of that name and its one label
 * (NULL: it has none). */
struct ar_metric_fact {
    const char *name, *label;
    int64_t value;
};
/* Prometheus text of the sum of n workers, and of the facts. Any thread. */
void ar_metrics_render(struct ar_metrics *const *all, unsigned n,
                       const struct ar_metric_fact *facts, unsigned fact_count, struct ar_buf *out);
/* Row of metrics.def for documentation; NULL past the end. */
struct ar_metric_row {
    const char *type, *name, *labels, *doc;
};
const struct ar_metric_row *ar_metric_row(unsigned i);

#endif
