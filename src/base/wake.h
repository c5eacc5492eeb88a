/* The one way to wait. Every live object (stream, exchange, conn, call, task) is asked and answers
 * from its state; when that state may have changed it wakes its owner, who asks again. A wake
 * carries nothing, is coalesced, may be spurious, never runs inside a call that the owner makes,
 * and never comes after close. The object borrows the waker until its close. Loop thread only. */
#ifndef AR_BASE_WAKE_H
#define AR_BASE_WAKE_H

#include "base/err.h"

#include <stdint.h>

struct ar_waker {
    void (*wake)(struct ar_waker *w);
};

static inline void ar_wake(struct ar_waker *w)
{
    if (w) {
        w->wake(w);
    }
}

/* What an asked object says. PENDING: nothing now, a wake follows. ENDED: complete, nothing
 * follows. */
enum ar_poll { AR_READY, AR_PENDING, AR_ENDED, AR_FAILED };

/* A deadline that never comes. */
#define AR_NEVER INT64_MAX

/* Work done on another thread (libuv's pool). The thread that runs it owns the task and what it
 * points to from submit until state is AR_TASK_DONE; then it is the owner's again and the owner is
 * woken on its own loop. There is no cancel: an owner that ends waits. */
enum ar_task_state { AR_TASK_IDLE, AR_TASK_BUSY, AR_TASK_DONE };
struct ar_task {
    enum ar_task_state state;       /* written on the owner's loop thread only */
    void (*run)(struct ar_task *t); /* off the loop; touches only what the task points to */
    struct ar_waker *waker;
    enum ar_code code;
};

#endif
