/* The slow moves of a reader's queue: growth, and the ends that are failures. The fault lives in
 * the queue, so an answer can fail even when its arena is full. Owns the list of events; never what
 * they point to. */
#include "ir/queue.h"

#include <stdlib.h>

bool ar_queue_grow(struct ar_queue *q)
{
    unsigned cap = q->cap > 0 ? q->cap * 2 : 16;
    struct ar_event *events = q->broken ? NULL : realloc(q->events, cap * sizeof *events);
    if (!events) {
        q->broken = true;
        return false;
    }
    q->events = events;
    q->cap = cap;
    return true;
}

void ar_queue_fail_by(struct ar_queue *q, struct ar_str raw)
{
    q->ended = true;
    ar_queue_put(q, (struct ar_event){.kind = AR_EV_ERROR, .fault = &q->fault, .raw = raw});
}

void ar_queue_fail(struct ar_queue *q, enum ar_code code, const char *why)
{
    if (q->ended) {
        return;
    }
    q->fault = (struct ar_fault){.code = code,
                                 .blame = code == AR_TOO_LARGE ? AR_OF_US : AR_OF_PLACE,
                                 .retry_after_ms = -1,
                                 .message = ar_str_of(why)};
    ar_queue_fail_by(q, (struct ar_str){NULL, 0});
}

bool ar_queue_next_broken(struct ar_queue *q, struct ar_event *ret)
{
    q->broken = false;
    q->ended = true;
    q->fault = (struct ar_fault){.code = AR_TOO_LARGE, .blame = AR_OF_US, .retry_after_ms = -1};
    *ret = (struct ar_event){.kind = AR_EV_ERROR, .fault = &q->fault};
    return true;
}

void ar_queue_done(struct ar_queue *q)
{
    free(q->events);
    *q = (struct ar_queue){0};
}
