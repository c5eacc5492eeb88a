/* The events that a reader has made and nobody has asked for yet, and how the answer failed. Grows
 * as needed: one frame of a compatible server may hold a whole answer. Zeroed to begin. Pure; one
 * thread at a time. */
#ifndef AR_IR_QUEUE_H
#define AR_IR_QUEUE_H

#include "ir/event.h"

struct ar_queue {
    struct ar_event *events; /* owns */
    unsigned at, n, cap;
    bool ended;            /* END or ERROR was put: nothing follows */
    bool broken;           /* no memory: an event is missing, so the answer fails */
    struct ar_fault fault; /* of ERROR */
};

/* Room for more; false: no memory. */
bool ar_queue_grow(struct ar_queue *q);

/* What the event points to must live until it was taken and the next one is asked for. */
static inline void ar_queue_put(struct ar_queue *q, struct ar_event ev)
{
    if (q->n < q->cap || ar_queue_grow(q)) {
        q->events[q->n++] = ev;
    }
}

/* Ends with an error of the upstream's making, or of ours when it is AR_TOO_LARGE. why: static.
 * Nothing when it ended before. */
void ar_queue_fail(struct ar_queue *q, enum ar_code code, const char *why);
/* Ends with q->fault, which the caller has filled. raw: the bytes that told it, where they are
 * relayed. */
void ar_queue_fail_by(struct ar_queue *q, struct ar_str raw);

/* Before a frame is read: all events of the last one were taken, so their room is used again. */
static inline void ar_queue_reuse(struct ar_queue *q)
{
    if (q->at == q->n) {
        q->at = q->n = 0;
    }
}

/* The failure that stands for the events that were lost for want of memory, told once. */
bool ar_queue_next_broken(struct ar_queue *q, struct ar_event *ret);

static inline bool ar_queue_next(struct ar_queue *q, struct ar_event *ret)
{
    if (q->at < q->n) {
        *ret = q->events[q->at++];
        return true;
    }
    return q->broken && ar_queue_next_broken(q, ret);
}

void ar_queue_done(struct ar_queue *q);

#endif
