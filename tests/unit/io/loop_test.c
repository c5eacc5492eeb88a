/*
 * The run queue, timers, posts from other threads, tasks, signals.
 */
#include "io/peer.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

struct noted {
    struct ar_job job;
    struct ar_timer timer;
    int id;
};
static int seen[64];
static int seen_n;
static struct ar_loop *the_loop;

static void note_job(struct ar_job *j)
{
    seen[seen_n++] = AR_HOLDER(j, struct noted, job)->id;
}

static void note_timer(struct ar_timer *t)
{
    seen[seen_n++] = AR_HOLDER(t, struct noted, timer)->id;
}

static int setup(void **state)
{
    (void)state;
    seen_n = 0;
    the_loop = ar_loop_new();
    return the_loop ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    ar_loop_free(the_loop);
    return 0;
}

static void jobs_run_later_in_order_and_once(void **state)
{
    (void)state;
    struct noted a = {.job.run = note_job, .id = 1}, b = a, c = a;
    b.id = 2;
    c.id = 3;
    ar_loop_queue(the_loop, &a.job);
    ar_loop_queue(the_loop, &b.job);
    ar_loop_queue(the_loop, &a.job);
    ar_loop_queue(the_loop, &c.job);
    assert_int_equal(seen_n, 0);
    ar_job_cancel(&b.job);
    ar_job_cancel(&b.job);
    run_for(the_loop, 5);
    assert_int_equal(seen_n, 2);
    assert_int_equal(seen[0], 1);
    assert_int_equal(seen[1], 3);
}

static void again(struct ar_job *j)
{
    AR_HOLDER(j, struct noted, job)->id++;
    ar_loop_queue(the_loop, j);
}

static void a_job_that_queues_itself_starves_nobody(void **state)
{
    (void)state;
    struct noted busy = {.job.run = again}, timer = {.timer.fire = note_timer, .id = 7};
    ar_loop_queue(the_loop, &busy.job);
    ar_timer_set(the_loop, &timer.timer, ar_loop_now_ms(the_loop) + 5);
    run_for(the_loop, 30);
    ar_job_cancel(&busy.job);
    assert_int_equal(seen_n, 1);
    assert_true(busy.id > 4096);
}

static void timers_fire_in_order_of_their_time(void **state)
{
    (void)state;
    enum { N = 40 };
    struct noted t[N];
    int64_t now = ar_loop_now_ms(the_loop);
    for (int i = 0; i < N; i++) {
        t[i] = (struct noted){.timer.fire = note_timer, .id = i};
        ar_timer_set(the_loop, &t[i].timer, now + 10 + (i * 17) % N);
    }
    for (int i = 0; i < N; i += 3) { /* later */
        ar_timer_set(the_loop, &t[i].timer, now + 60 + i);
    }
    for (int i = 1; i < N; i += 3) { /* sooner */
        ar_timer_set(the_loop, &t[i].timer, now + 1 + (N - i) % 9);
    }
    int cleared = 0;
    for (int i = 2; i < N; i += 9) {
        ar_timer_set(the_loop, &t[i].timer, AR_NEVER);
        cleared++;
    }
    run_for(the_loop, 130);
    assert_int_equal(seen_n, N - cleared);
    for (int i = 1; i < seen_n; i++) {
        assert_true(t[seen[i - 1]].timer.at_ms <= t[seen[i]].timer.at_ms);
    }
    for (int i = 0; i < N; i++) {
        assert_int_equal(t[i].timer.slot, 0);
    }
}

static void set_again(struct ar_timer *t)
{
    struct noted *n = AR_HOLDER(t, struct noted, timer);
    if (++n->id < 3) {
        ar_timer_set(the_loop, t, ar_loop_now_ms(the_loop) + 2);
    }
}

static void a_timer_can_be_set_while_it_fires(void **state)
{
    (void)state;
    struct noted n = {.timer.fire = set_again};
    ar_timer_set(the_loop, &n.timer, ar_loop_now_ms(the_loop) - 50); /* in the past: at once */
    run_for(the_loop, 40);
    assert_int_equal(n.id, 3);
}

enum { THREADS = 4, POSTS = 2000 };
struct poster {
    int id, next;
};
struct posted {
    struct poster *by;
    int number;
};
static int posts_seen;

static void on_post(void *arg)
{
    struct posted *p = arg;
    assert_int_equal(p->by->next, p->number);
    p->by->next++;
    posts_seen++;
    free(p);
    if (posts_seen == THREADS * POSTS) {
        ar_loop_stop(the_loop);
    }
}

static void post_many(void *arg)
{
    for (int i = 0; i < POSTS; i++) {
        struct posted *p = malloc(sizeof *p);
        *p = (struct posted){arg, i};
        if (!ar_loop_post(the_loop, on_post, p)) {
            abort();
        }
    }
}

static void posts_arrive_in_order_from_each_thread(void **state)
{
    (void)state;
    struct poster posters[THREADS] = {{0}};
    struct ar_thread *threads[THREADS];
    posts_seen = 0;
    for (int i = 0; i < THREADS; i++) {
        threads[i] = ar_thread_start(post_many, &posters[i]);
        assert_non_null(threads[i]);
    }
    ar_loop_run(the_loop);
    for (int i = 0; i < THREADS; i++) {
        ar_thread_join(threads[i]);
        assert_int_equal(posters[i].next, POSTS);
    }
}

static void run_loop(void *arg)
{
    ar_loop_run(arg);
}

static void stop_loop(void *arg)
{
    ar_loop_stop(arg);
}

static void a_loop_on_another_thread_is_stopped_by_a_post(void **state)
{
    (void)state;
    struct ar_loop *other = ar_loop_new();
    struct ar_thread *t = ar_thread_start(run_loop, other);
    assert_true(ar_loop_post(other, stop_loop, other));
    ar_thread_join(t);
    ar_loop_free(other);
}

struct work {
    struct ar_task task;
    struct ar_waker waker;
    int in, out;
    bool woken;
};

static void square(struct ar_task *t)
{
    struct work *w = AR_HOLDER(t, struct work, task);
    w->out = w->in * w->in;
    t->code = AR_OK;
}

static void on_work(struct ar_waker *w)
{
    AR_HOLDER(w, struct work, waker)->woken = true;
}

static bool is_done(void *arg)
{
    struct work *w = arg;
    return w->woken && w->task.state == AR_TASK_DONE;
}

static void a_task_runs_elsewhere_and_wakes(void **state)
{
    (void)state;
    struct work w = {.task.run = square, .waker.wake = on_work, .in = 12};
    w.task.waker = &w.waker;
    ar_task_submit(the_loop, &w.task);
    assert_int_equal(w.task.state, AR_TASK_BUSY);
    assert_true(wait_until(the_loop, is_done, &w, 2000));
    assert_int_equal(w.out, 144);
}

static void on_signal(void *arg)
{
    ++*(int *)arg;
}

static bool is_two(void *arg)
{
    return *(int *)arg == 2;
}

static void signals_reach_the_loop(void **state)
{
    (void)state;
    int count = 0;
    ar_loop_on_signal(the_loop, SIGUSR1, on_signal, &count);
    ar_loop_on_signal(the_loop, SIGUSR2, on_signal, &count);
    (void)raise(SIGUSR1);
    (void)raise(SIGUSR2);
    assert_true(wait_until(the_loop, is_two, &count, 2000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_run_later_in_order_and_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_that_queues_itself_starves_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(timers_fire_in_order_of_their_time, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_can_be_set_while_it_fires, setup, teardown),
        cmocka_unit_test_setup_teardown(posts_arrive_in_order_from_each_thread, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_on_another_thread_is_stopped_by_a_post, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_task_runs_elsewhere_and_wakes, setup, teardown),
        cmocka_unit_test_setup_teardown(signals_reach_the_loop, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
