/*
 * The driver: flows are made, stepped, made to wait, and kept for the next request. A flow has one
 * waker; whoever wakes it puts it on the loop's run queue, so no step ever runs inside somebody
 * else's call. It owns nothing that a step did not give it.
 */
#include "flow/flow.h"

#include "base/log.h"

#include <stdlib.h>

enum { SPARES_MAX = 256, SPARE_BODY_BYTES = 65536, TURN_STEPS = 64 };

#define X(name, doc, waits)                                                                        \
    const struct ar_step ar_step_##name = {#name, doc, waits, ar_run_##name};
AR_STEPS(X)
#undef X
const struct ar_step *const ar_steps[] = {
#define X(name, doc, waits) &ar_step_##name,
    AR_STEPS(X)
#undef X
        NULL};

enum ar_next ar_flow_fail(struct ar_flow *f, enum ar_code code, const char *note)
{
    f->fault = (struct ar_fault){.code = code, .blame = AR_OF_CALLER, .retry_after_ms = -1};
    f->fault.message =
        note && note[0] ? ar_arena_copy(&f->arena, ar_str_of(note)) : (struct ar_str){NULL, 0};
    return ar_flow_to(f, &ar_step_refuse);
}

/* A flow left the snapshot: the last one on an old one retires it. */
static void give_back(struct ar_worker *w, const struct ar_snapshot *s)
{
    bool last = s != w->snapshot;
    for (struct ar_node *n = w->flows.next; n != &w->flows && last; n = n->next) {
        last = AR_HOLDER(n, struct ar_flow, node)->snapshot != s;
    }
    if (last) {
        w->retire(w, s);
    }
}

void ar_flow_renew(struct ar_flow *f)
{
    const struct ar_snapshot *old = f->snapshot;
    if (old != f->worker->snapshot) {
        f->snapshot = f->worker->snapshot;
        f->origin = (struct ar_str){NULL, 0}; /* may have been borrowed from the old one */
        give_back(f->worker, old);
    }
}

/* Back to a state in which it can serve again; memory that is worth it stays. */
static void recycle(struct ar_flow *f)
{
    struct ar_worker *w = f->worker;
    ar_job_cancel(&f->job);
    ar_timer_clear(w->loop, &f->timer);
    ar_flow_recall_done(f);
    ar_flow_socket_done(f);
    ar_flow_compact_done(f);
    ar_list_remove(&f->node);
    w->flow_count--;
    ar_metrics_in_flight(w->metrics, -1);
    give_back(w, f->snapshot);
    if (f->body.cap > SPARE_BODY_BYTES) {
        ar_buf_done(&f->body);
    }
    if (f->seat.sink.out.cap > SPARE_BODY_BYTES) {
        ar_buf_done(&f->seat.sink.out);
    }
    if (w->spare_count == SPARES_MAX) {
        ar_buf_done(&f->body);
        ar_buf_done(&f->answer);
        ar_buf_done(&f->seat.sink.out);
        ar_arena_done(&f->arena);
        free(f);
        return;
    }
    ar_arena_reset(&f->arena);
    f->next_spare = w->spare;
    w->spare = f;
    w->spare_count++;
}

/* Ways out: what the flow was doing is the step before them. */
static bool is_closing(const struct ar_step *s)
{
    return s == &ar_step_refuse || s == &ar_step_settle || s == &ar_step_record ||
           s == &ar_step_finish;
}

static void drive(struct ar_flow *f)
{
    f->now_us = ar_loop_now_us(f->worker->loop);
    for (unsigned i = 0;; i++) {
        f->doing = is_closing(f->step) ? f->doing : f->step->name;
        switch (f->step->run(f)) {
        case AR_MORE:
            if (i == TURN_STEPS) { /* fairness: others first */
                ar_loop_queue(f->worker->loop, &f->job);
                return;
            }
            break;
        case AR_WAIT:
            AR_ASSERT((f->waits & ~f->step->may_wait) == 0);
            ar_timer_set(f->worker->loop, &f->timer, f->wait_until_ms);
            return;
        case AR_DONE:
            recycle(f);
            return;
        }
    }
}

static void run_job(struct ar_job *j)
{
    drive(AR_HOLDER(j, struct ar_flow, job));
}

static void wake(struct ar_waker *w)
{
    struct ar_flow *f = AR_HOLDER(w, struct ar_flow, waker);
    ar_loop_queue(f->worker->loop, &f->job);
}

static void fire(struct ar_timer *t)
{
    struct ar_flow *f = AR_HOLDER(t, struct ar_flow, timer);
    ar_loop_queue(f->worker->loop, &f->job);
}

static struct ar_flow *take_flow(struct ar_worker *w)
{
    struct ar_flow *f = w->spare;
    struct ar_arena arena = {.blocks = NULL};
    struct ar_buf body = {.p = NULL}, answer = {.p = NULL}, out = {.p = NULL};
    if (f) {
        w->spare = f->next_spare;
        w->spare_count--;
        arena = f->arena;
        body = f->body;
        answer = f->answer;
        out = f->seat.sink.out;
        ar_buf_clear(&body);
        ar_buf_clear(&out);
    } else {
        f = malloc(sizeof *f);
        AR_ASSERT(f != NULL);
    }
    memset(f, 0, offsetof(struct ar_flow, seat));
    memset(&f->seat, 0, offsetof(struct ar_seat, spec));
    memset(&f->record, 0, sizeof f->record);
    f->seat.sink.out = out;
    f->arena = arena;
    f->body = body;
    f->answer = answer;
    f->arena.max_bytes = (size_t)w->snapshot->config->limits_request_memory;
    f->body.max = (size_t)w->snapshot->config->body_limit;
    return f;
}

static struct ar_flow *make_flow(struct ar_worker *w, struct ar_conn *c,
                                 const struct ar_request_head *h)
{
    struct ar_flow *f = take_flow(w);
    f->worker = w;
    f->snapshot = w->snapshot;
    f->conn = c;
    f->head = h;
    f->waker.wake = wake;
    f->job.run = run_job;
    f->timer.fire = fire;
    f->step = &ar_step_identify;
    f->dialect = &ar_dialect_chat;
    f->ping_at_ms = f->hold_until_ms = AR_NEVER;
    uint64_t a = ar_rand_next(&w->rand), b = ar_rand_next(&w->rand);
    memcpy(f->id, &a, 8);
    memcpy(f->id + 8, &b, 8);
    ar_list_append(&w->flows, &f->node);
    w->flow_count++;
    ar_metrics_in_flight(w->metrics, 1);
    ar_conn_set_waker(c, &f->waker);
    f->record.begun_us = ar_loop_read_us(w->loop);
    return f;
}

static void name_record(struct ar_flow *f)
{
    static const char HEX[] = "0123456789abcdef";
    for (size_t i = 0; i < 16; i++) {
        f->record.request_id[2 * i] = HEX[f->id[i] >> 4];
        f->record.request_id[2 * i + 1] = HEX[f->id[i] & 15];
    }
}

void ar_flow_start(void *worker, struct ar_conn *c, const struct ar_request_head *h)
{
    struct ar_flow *f = make_flow(worker, c, h);
    name_record(f);
    drive(f);
}

void ar_flow_start_run(struct ar_worker *w, struct ar_conn *c, const struct ar_request_head *h,
                       const uint8_t id[16])
{
    struct ar_flow *f = make_flow(w, c, h);
    name_record(f); /* its own: no two records share an id; what is minted does */
    memcpy(f->id, id, sizeof f->id);
    f->recalled.is_run = true;
    drive(f);
}

void ar_worker_switch(struct ar_worker *w, const struct ar_snapshot *s)
{
    const struct ar_snapshot *old = w->snapshot;
    w->snapshot = s;
    if (!old) {
        return;
    }
    for (struct ar_node *n = w->flows.next; n != &w->flows; n = n->next) {
        if (AR_HOLDER(n, struct ar_flow, node)->snapshot == old) {
            return; /* its last flow retires it */
        }
    }
    w->retire(w, old);
}

/* Sets the step that ends f: its client hears why where there is room for it; who is asked a second
 * time takes nothing any more. */
static void stop_flow(struct ar_flow *f)
{
    struct ar_event why = {.kind = AR_EV_ERROR, .fault = &f->fault};
    f->gone = f->cut || f->settled;
    f->cut = true;
    f->step = f->settled ? &ar_step_finish : &ar_step_settle;
    if (f->fault.code != AR_OK) {
        return;
    }
    f->fault = (struct ar_fault){.code = AR_STOPPED, .blame = AR_OF_US, .retry_after_ms = -1};
    f->fault.message = AR_LIT("the gateway was stopped in the middle of the answer");
    if (f->commit == AR_HELD) { /* nothing is out: a whole answer that says so */
        ar_buf_clear(&f->seat.sink.out);
        f->cut_told = true;
        f->fault.message = AR_LIT("the gateway was stopped before there was an answer");
        f->step = f->conn ? &ar_step_refuse : f->step;
    } else if (f->wants_stream && ar_sink_put(f, &why) != AR_OK) {
        ar_buf_clear(&f->seat.sink.out); /* of what was held nothing was to be seen */
    }
}

void ar_worker_stop_flows(struct ar_worker *w)
{
    while (!ar_list_is_empty(&w->flows)) {
        struct ar_flow *f = AR_HOLDER(w->flows.next, struct ar_flow, node);
        stop_flow(f);
        drive(f);
    }
    while (w->spare) {
        struct ar_flow *f = w->spare;
        w->spare = f->next_spare;
        ar_buf_done(&f->body);
        ar_buf_done(&f->answer);
        ar_buf_done(&f->seat.sink.out);
        ar_arena_done(&f->arena);
        free(f);
    }
    w->spare_count = 0;
}
