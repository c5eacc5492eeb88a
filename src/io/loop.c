/*
 * The event loop of one thread over libuv.
 *
 * A turn: timers, sockets, posts put jobs on the run queue; before the loop sleeps (uv_prepare) the
 * queue is run until it is empty, then what streams have buffered is flushed, and so on until both
 * are empty or the turn's bound is reached; then an idle handle keeps the loop from sleeping. So
 * everything one turn writes to a socket is one system call, and a job never runs inside the call
 * that queued it. When much has been read in a turn, the jobs run before more is read: what they
 * read is still in the processor's cache.
 *
 * Owns the slab of stream buffers, the timers' heap (timer.c), the cache of names (dns.c) and the
 * mailbox. Never blocks, but in ar_loop_free.
 */
#include "io/impl.h"

#include "base/clock.h"

#include <signal.h>
#include <stdlib.h>

struct post {
    struct post *next;
    void (*fn)(void *arg);
    void *arg;
};
struct signal_row {
    struct signal_row *next;
    uv_signal_t uv;
    int signum;
    void (*fn)(void *arg);
    void *arg;
};
struct work {
    uv_work_t req;
    struct ar_task *task;
};

#if defined(__SANITIZE_ADDRESS__)
#define SLAB_KEEP 0u /* a buffer used after it was given back is seen */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLAB_KEEP 0u
#endif
#endif
#ifndef SLAB_KEEP
#define SLAB_KEEP (unsigned)AR_SLAB_KEEP
#endif

void *ar_io_alloc(size_t n)
{
    void *p = calloc(1, n);
    AR_ASSERT(p != NULL);
    return p;
}

char *ar_slab_get(struct ar_loop *l)
{
    void *p = l->slab;
    if (p) {
        memcpy(&l->slab, p, sizeof l->slab);
        l->slab_n--;
        return p;
    }
    p = malloc(AR_STREAM_BUF);
    AR_ASSERT(p != NULL);
    return p;
}

void ar_slab_put(struct ar_loop *l, char *p)
{
    if (l->slab_n + 1 > SLAB_KEEP) {
        free(p);
        return;
    }
    memcpy(p, &l->slab, sizeof l->slab);
    l->slab = p;
    l->slab_n++;
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* its being active is what it is for */
}

static void run_jobs(struct ar_loop *l, unsigned *budget)
{
    while (*budget > 0 && !ar_list_is_empty(&l->jobs)) {
        struct ar_job *j = AR_HOLDER(l->jobs.next, struct ar_job, node);
        ar_list_remove(&j->node);
        (*budget)--;
        l->now_us = 0;
        j->run(j);
    }
    l->now_us = 0;
}

void ar_loop_fed(struct ar_loop *l, size_t n)
{
    l->fresh_bytes += n;
    if (l->fresh_bytes >= AR_FRESH_BYTES) {
        unsigned budget = AR_TURN_JOBS;
        l->fresh_bytes = 0;
        run_jobs(l, &budget);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct ar_loop *l = prepare->data;
    unsigned budget = AR_TURN_JOBS;
    l->fresh_bytes = 0;
    while (budget > 0 && !(ar_list_is_empty(&l->jobs) && ar_list_is_empty(&l->dirty))) {
        run_jobs(l, &budget);
        while (!ar_list_is_empty(&l->dirty)) {
            ar_stream_flush(AR_HOLDER(l->dirty.next, struct ar_stream, dirty));
        }
    }
    bool more = !ar_list_is_empty(&l->jobs);
    if (more != (uv_is_active((const uv_handle_t *)&l->idle) != 0)) {
        (void)(more ? uv_idle_start(&l->idle, on_idle) : uv_idle_stop(&l->idle));
    }
}

static void run_posts(struct ar_loop *l)
{
    uv_mutex_lock(&l->mutex);
    struct post *p = l->posts_first;
    l->posts_first = l->posts_last = NULL;
    uv_mutex_unlock(&l->mutex);
    while (p) {
        struct post *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void on_async(uv_async_t *async)
{
    run_posts(async->data);
}

/* libuv reads its settings from the environment when the pool starts; a peer that left is an error
 * code, not a signal. Both are the process's: the first loop sets them, before there are threads.
 */
static void prepare_process(void)
{
    if (!getenv("UV_THREADPOOL_SIZE")) {
        (void)setenv("UV_THREADPOOL_SIZE", "16", 0);
    }
    (void)signal(SIGPIPE, SIG_IGN);
}

struct ar_loop *ar_loop_new(void)
{
    prepare_process();
    struct ar_loop *l = calloc(1, sizeof *l);
    if (!l || uv_loop_init(&l->uv) != 0) {
        free(l);
        return NULL;
    }
    if (uv_async_init(&l->uv, &l->async, on_async) != 0) {
        (void)uv_loop_close(&l->uv);
        free(l);
        return NULL;
    }
    ar_list_init(&l->jobs);
    ar_list_init(&l->dirty);
    ar_list_init(&l->lingering);
    AR_ASSERT(uv_mutex_init(&l->mutex) == 0);
    (void)uv_prepare_init(&l->uv, &l->prepare);
    (void)uv_idle_init(&l->uv, &l->idle);
    (void)uv_timer_init(&l->uv, &l->clock);
    l->armed_ms = AR_NEVER;
    l->prepare.data = l->async.data = l->clock.data = l;
    (void)uv_prepare_start(&l->prepare, on_prepare);
    return l;
}

static void hurry(uv_timer_t *t)
{
    struct ar_loop *l = t->data;
    uv_stop(&l->uv);
}

/* Streams that were shut and closed may still have last bytes: half a second for all, then a reset.
 */
static void let_linger(struct ar_loop *l)
{
    uv_timer_t bound;
    (void)uv_timer_init(&l->uv, &bound);
    bound.data = l;
    uv_update_time(&l->uv);
    (void)uv_timer_start(&bound, hurry, 500, 0);
    for (;;) {
        struct ar_node *next, *n = l->lingering.next;
        for (; n != &l->lingering; n = next) {
            next = n->next;
            struct ar_stream *s = AR_HOLDER(n, struct ar_stream, dirty);
            if (s->fin || !uv_is_active((uv_handle_t *)&bound)) {
                s->ops->close(s);
            }
        }
        if (ar_list_is_empty(&l->lingering)) {
            break;
        }
        (void)uv_run(&l->uv, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&bound, NULL);
    (void)uv_run(&l->uv, UV_RUN_NOWAIT);
}

static void on_signal_closed(uv_handle_t *h)
{
    free(h->data);
}

void ar_loop_free(struct ar_loop *l)
{
    if (!l) {
        return;
    }
    uv_mutex_lock(&l->mutex);
    l->leaving = true;
    uv_mutex_unlock(&l->mutex);
    run_posts(l);
    let_linger(l);
    ar_dns_free(l->dns);
    for (struct signal_row *r = l->signals, *next; r; r = next) {
        next = r->next;
        uv_close((uv_handle_t *)&r->uv, on_signal_closed);
    }
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->clock, NULL);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    AR_ASSERT(uv_loop_close(&l->uv) == 0); /* else something on it was not closed */
    while (l->slab) {
        char *p = l->slab;
        memcpy(&l->slab, p, sizeof l->slab);
        free(p);
    }
    uv_mutex_destroy(&l->mutex);
    free(l->tls_out);
    free(l->heap);
    free(l);
}

void ar_loop_run(struct ar_loop *l)
{
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

void ar_loop_stop(struct ar_loop *l)
{
    uv_stop(&l->uv);
}

int64_t ar_loop_now_ms(const struct ar_loop *l)
{
    return (int64_t)uv_now(&l->uv);
}

int64_t ar_loop_now_us(struct ar_loop *l)
{
    return l->now_us > 0 ? l->now_us : ar_loop_read_us(l);
}

int64_t ar_loop_read_us(struct ar_loop *l)
{
    l->now_us = ar_clock_us();
    return l->now_us;
}

void ar_loop_queue(struct ar_loop *l, struct ar_job *j)
{
    if (!ar_list_is_linked(&j->node)) {
        ar_list_append(&l->jobs, &j->node);
    }
}

void ar_job_cancel(struct ar_job *j)
{
    if (ar_list_is_linked(&j->node)) {
        ar_list_remove(&j->node);
    }
}

static void on_work(uv_work_t *req)
{
    struct work *w = req->data;
    w->task->run(w->task);
}

static void on_worked(uv_work_t *req, int status)
{
    struct work *w = req->data;
    struct ar_task *t = w->task;
    (void)status;
    free(w);
    t->state = AR_TASK_DONE;
    ar_wake(t->waker);
}

void ar_task_submit(struct ar_loop *l, struct ar_task *t)
{
    struct work *w = ar_io_alloc(sizeof *w);
    w->req.data = w;
    w->task = t;
    t->state = AR_TASK_BUSY;
    AR_ASSERT(uv_queue_work(&l->uv, &w->req, on_work, on_worked) == 0);
}

bool ar_loop_post(struct ar_loop *l, void (*fn)(void *arg), void *arg)
{
    struct post *p = ar_io_alloc(sizeof *p);
    p->fn = fn;
    p->arg = arg;
    uv_mutex_lock(&l->mutex);
    if (l->leaving) {
        uv_mutex_unlock(&l->mutex);
        free(p);
        return false;
    }
    if (l->posts_last) {
        l->posts_last->next = p;
    } else {
        l->posts_first = p;
    }
    l->posts_last = p;
    (void)uv_async_send(
        &l->async); /* within the lock: the handle is there while leaving is false */
    uv_mutex_unlock(&l->mutex);
    return true;
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct signal_row *r = h->data;
    (void)signum;
    r->fn(r->arg);
}

void ar_loop_on_signal(struct ar_loop *l, int signum, void (*fn)(void *arg), void *arg)
{
    struct signal_row *r = l->signals;
    while (r && r->signum != signum) {
        r = r->next;
    }
    if (!r) {
        r = ar_io_alloc(sizeof *r);
        AR_ASSERT(uv_signal_init(&l->uv, &r->uv) == 0);
        r->uv.data = r;
        r->signum = signum;
        r->next = l->signals;
        l->signals = r;
        (void)uv_signal_start(&r->uv, on_signal, signum);
    }
    r->fn = fn;
    r->arg = arg;
}
