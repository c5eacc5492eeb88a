/*
 * A worker's life: it makes its loop, server, pool and listeners on its own thread, serves,
 * switches snapshots by message, drains by message, and tells the app when it ended. Nothing of it
 * is touched by another thread but the mailbox and the counters.
 */
#include "app/app.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { TICK_MS = 250, DRAIN_TICK_MS = 20, POOL_IDLE = 64, POOL_IDLE_MS = 60000 };

static struct ar_conn_limits limits_of(const struct ar_worker_thread *t)
{
    const struct ar_config *c = t->worker.snapshot->config;
    int64_t share = c->limits_connections / (int64_t)t->app->worker_count;
    return (struct ar_conn_limits){.head_bytes = (size_t)c->limits_head,
                                   .body_bytes = (size_t)c->body_limit,
                                   .headers = (unsigned)c->limits_headers,
                                   .head_ms = c->limits_head_time,
                                   .body_ms = c->limits_body_time,
                                   .idle_ms = c->limits_idle,
                                   .send_ms = c->limits_send_time,
                                   .connections = (unsigned)(share > 0 ? share : 1)};
}

static void accept_one(void *user, struct ar_stream *s)
{
    struct ar_worker_thread *t = user;
    ar_server_accept(t->worker.server, s, t->speaks_tls);
}

static void give_back(void *message)
{
    struct ar_snapshot_message *m = message;
    ar_app_give_back(m->to->app, m->old);
    free(m);
}

/* The last flow on an old snapshot ended: the app may free it. */
static void retire(struct ar_worker *w, const struct ar_snapshot *s)
{
    struct ar_worker_thread *t = w->app;
    struct ar_snapshot_message *m = malloc(sizeof *m);
    AR_ASSERT(m != NULL);
    *m = (struct ar_snapshot_message){.to = t, .old = s};
    if (!ar_loop_post(t->app->loop, give_back, m)) {
        free(m);
    }
}

void ar_worker_take_snapshot(void *message)
{
    struct ar_snapshot_message *m = message;
    struct ar_worker_thread *t = m->to;
    if (t->ended) {
        ar_tls_unref(m->tls);
        free(m);
        return;
    }
    ar_model_cache_forget(t->admin.models, m->snapshot->generation);
    ar_worker_switch(&t->worker, m->snapshot);
    struct ar_conn_limits limits = limits_of(t);
    ar_server_set_limits(t->worker.server, &limits);
    for (unsigned i = 0; m->tls && i < t->listener_count; i++) {
        ar_listener_set_tls(t->listeners[i], m->tls);
    }
    ar_tls_unref(m->tls);
    free(m);
}

static void close_listeners(struct ar_worker_thread *t)
{
    while (t->listener_count > 0) {
        ar_listener_close(t->listeners[--t->listener_count]);
    }
}

void ar_worker_drain(void *worker_thread)
{
    struct ar_worker_thread *t = worker_thread;
    if (t->draining || t->ended) {
        return;
    }
    t->draining = t->worker.draining = true;
    t->drain_until_ms = ar_loop_now_ms(t->worker.loop) + t->worker.snapshot->config->drain_timeout;
    close_listeners(t);
    ar_server_drain(t->worker.server);
    ar_timer_set(t->worker.loop, &t->tick, ar_loop_now_ms(t->worker.loop) + DRAIN_TICK_MS);
}

void ar_worker_stop(void *worker_thread)
{
    struct ar_worker_thread *t = worker_thread;
    close_listeners(t);
    ar_loop_stop(t->worker.loop);
}

/* Gauges; and while draining, whether it is over. */
static void tick(struct ar_timer *timer)
{
    struct ar_worker_thread *t = AR_HOLDER(timer, struct ar_worker_thread, tick);
    int64_t now = ar_loop_now_ms(t->worker.loop);
    unsigned open = ar_server_connections(t->worker.server);
    ar_metrics_connections(t->worker.metrics, open);
    if (t->draining && ((t->worker.flow_count == 0 && open == 0) || now >= t->drain_until_ms)) {
        ar_worker_stop(t);
        return;
    }
    ar_timer_set(t->worker.loop, timer, now + (t->draining ? DRAIN_TICK_MS : TICK_MS));
}

static bool open_listeners(struct ar_worker_thread *t)
{
    const struct ar_strs *list = &t->worker.snapshot->config->listen;
    for (unsigned i = 0; i < list->n && i < AR_LISTENERS_MAX; i++) {
        struct ar_listen_spec spec = {
            .reuse_port = true, .tls = t->app->tls, .on_accept = accept_one, .user = t};
        if (ar_listen_address(list->v[i], &spec.host, &spec.port) != AR_OK) {
            (void)ar_fail(&t->err, AR_INVALID_REQUEST, "not an address to listen on: %.*s",
                          AR_FMT(list->v[i]));
            return false;
        }
        struct ar_listener *k = ar_listen(t->worker.loop, &spec, &t->err);
        if (!k) {
            return false;
        }
        t->listeners[t->listener_count++] = k;
    }
    return true;
}

static void set_up(struct ar_worker_thread *t)
{
    struct ar_worker *w = &t->worker;
    w->pool = ar_pool_new(w->loop, &(struct ar_pool_limits){POOL_IDLE, POOL_IDLE_MS});
    w->tokens = ar_tokens_new(w->loop, w->pool);
    struct ar_conn_limits limits = limits_of(t);
    w->server = ar_server_new(w->loop, &limits, ar_flow_start, ar_flow_bad_head, w);
    w->endpoints = ar_admin_endpoints;
    w->retire = retire;
    w->app = t;
    ar_list_init(&w->flows);
    ar_rand_init(&w->rand, 0);
    t->drain_until_ms = AR_NEVER;
    t->speaks_tls = t->app->tls != NULL; /* a reload changes the certificate, never this */
    t->admin = (struct ar_admin){.version = AR_VERSION,
                                 .metrics = t->app->metrics,
                                 .metrics_count = t->app->worker_count,
                                 .models = ar_model_cache_new(w->loop, w->pool),
                                 .draining = &w->draining,
                                 .recall = w->recall};
    w->context = &t->admin;
    t->tick.fire = tick;
}

void ar_worker_run(void *worker_thread)
{
    struct ar_worker_thread *t = worker_thread;
    struct ar_worker *w = &t->worker;
    set_up(t);
    if (open_listeners(t)) {
        t->started = true;
        ar_timer_set(w->loop, &t->tick, ar_loop_now_ms(w->loop) + TICK_MS);
        ar_loop_run(w->loop);
        ar_timer_clear(w->loop, &t->tick);
    }
    close_listeners(t);
    ar_worker_stop_flows(w);
    ar_model_cache_free(t->admin.models);
    ar_server_free(w->server);
    ar_tokens_free(w->tokens);
    ar_pool_free(w->pool);
    t->ended = true; /* messages that come late run when the loop is freed */
    ar_loop_post(t->app->loop, ar_app_worker_ended, t);
}
