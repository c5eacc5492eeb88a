/* The event loop of one thread: run queue, timers, work on other threads, signals. The only folder
 * that knows libuv. Everything here is for the loop's own thread but ar_loop_post. */
#ifndef AR_IO_LOOP_H
#define AR_IO_LOOP_H

#include "base/list.h"
#include "base/wake.h"

struct ar_loop;

/* NULL: out of descriptors or memory. */
struct ar_loop *ar_loop_new(void);
/* Every object on it must be closed; runs what is left of their closing. */
void ar_loop_free(struct ar_loop *l);
/* Runs until ar_loop_stop. */
void ar_loop_run(struct ar_loop *l);
void ar_loop_stop(struct ar_loop *l);
/* Monotonic milliseconds, as of this turn. */
int64_t ar_loop_now_ms(const struct ar_loop *l);
/* Monotonic microseconds: the clock is read once a job, when it is first asked for. */
int64_t ar_loop_now_us(struct ar_loop *l);
/* The same, read anew: what is asked for later in this job gets it too. */
int64_t ar_loop_read_us(struct ar_loop *l);

/* Something to run soon: on this loop, after the current call returned, before the loop sleeps.
 * Queuing a queued job is nothing. The job lives in its owner; ar_job_cancel before the owner dies.
 */
struct ar_job {
    struct ar_node node;
    void (*run)(struct ar_job *j);
};
void ar_loop_queue(struct ar_loop *l, struct ar_job *j);
void ar_job_cancel(struct ar_job *j);

/* A deadline in its owner: set again to move it, clear before the owner dies. at_ms AR_NEVER
 * clears. Moving a deadline later is O(1); the job runs at or after at_ms. */
struct ar_timer {
    void (*fire)(struct ar_timer *t);
    int64_t at_ms;
    unsigned slot; /* place in the heap + 1; 0: not set */
};
void ar_timer_set(struct ar_loop *l, struct ar_timer *t, int64_t at_ms);
void ar_timer_clear(struct ar_loop *l, struct ar_timer *t);

/* Runs t on a pool thread and wakes its owner on this loop (base/wake.h). */
void ar_task_submit(struct ar_loop *l, struct ar_task *t);

/* Runs fn(arg) on l's thread, from any thread, in order of posting. false: the loop is going away.
 */
bool ar_loop_post(struct ar_loop *l, void (*fn)(void *arg), void *arg);

/* Calls fn on this loop for each signal number; one handler a number. */
void ar_loop_on_signal(struct ar_loop *l, int signum, void (*fn)(void *arg), void *arg);
/* Calls fn (coalesced, within a second) when the file's content, inode or existence changes. */
struct ar_watch;
struct ar_watch *ar_watch_new(struct ar_loop *l, const char *path, void (*fn)(void *arg),
                              void *arg);
void ar_watch_free(struct ar_watch *w);

/* A plain thread. Joined by ar_thread_join, which frees t. */
struct ar_thread;
struct ar_thread *ar_thread_start(void (*fn)(void *arg), void *arg);
void ar_thread_join(struct ar_thread *t);

#endif
