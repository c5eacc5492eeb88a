/*
 * Deadlines of a loop: one binary heap, one libuv timer for its top.
 *
 * A slot's key may be earlier than its timer's time: moving a deadline later (what idle deadlines
 * do at every byte) only writes at_ms, and the slot finds its place when its key comes up. The
 * libuv timer is armed for the earliest key and only moved when an earlier one arrives; if it rings
 * for nothing, it is armed anew. The heap holds no timer after its clear; it never allocates for a
 * timer that is already in it.
 */
#include "io/impl.h"

#include <stdlib.h>

static void place(struct ar_loop *l, unsigned i, struct ar_heap_slot s)
{
    l->heap[i] = s;
    s.timer->slot = i + 1;
}

static void sift_up(struct ar_loop *l, unsigned i, struct ar_heap_slot s)
{
    while (i > 0 && l->heap[(i - 1) / 2].key_ms > s.key_ms) {
        place(l, i, l->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(l, i, s);
}

static void sift_down(struct ar_loop *l, unsigned i, struct ar_heap_slot s)
{
    for (;;) {
        unsigned child = 2 * i + 1;
        if (child >= l->heap_n) {
            break;
        }
        if (child + 1 < l->heap_n && l->heap[child + 1].key_ms < l->heap[child].key_ms) {
            child++;
        }
        if (l->heap[child].key_ms >= s.key_ms) {
            break;
        }
        place(l, i, l->heap[child]);
        i = child;
    }
    place(l, i, s);
}

static void on_clock(uv_timer_t *clock)
{
    ar_timers_run(clock->data);
}

static void arm(struct ar_loop *l)
{
    if (l->heap_n == 0 || l->heap[0].key_ms >= l->armed_ms) {
        return;
    }
    l->armed_ms = l->heap[0].key_ms;
    int64_t wait_ms = l->armed_ms - ar_loop_now_ms(l);
    (void)uv_timer_start(&l->clock, on_clock, wait_ms > 0 ? (uint64_t)wait_ms : 0, 0);
}

static void add(struct ar_loop *l, struct ar_timer *t)
{
    if (l->heap_n == l->heap_cap) {
        unsigned cap = l->heap_cap ? l->heap_cap * 2 : 64;
        struct ar_heap_slot *heap = realloc(l->heap, cap * sizeof *heap);
        AR_ASSERT(heap != NULL);
        l->heap = heap;
        l->heap_cap = cap;
    }
    unsigned i = l->heap_n++;
    sift_up(l, i, (struct ar_heap_slot){t->at_ms, t});
}

void ar_timer_set(struct ar_loop *l, struct ar_timer *t, int64_t at_ms)
{
    if (at_ms == AR_NEVER) {
        ar_timer_clear(l, t);
        return;
    }
    t->at_ms = at_ms;
    if (t->slot == 0) {
        add(l, t);
    } else if (l->heap[t->slot - 1].key_ms > at_ms) {
        sift_up(l, t->slot - 1, (struct ar_heap_slot){at_ms, t});
    } else {
        return; /* later, or the same: seen when the key comes up */
    }
    arm(l);
}

void ar_timer_clear(struct ar_loop *l, struct ar_timer *t)
{
    if (t->slot == 0) {
        return;
    }
    unsigned i = t->slot - 1;
    t->slot = 0;
    struct ar_heap_slot last = l->heap[--l->heap_n];
    if (last.timer == t) {
        return;
    }
    if (i > 0 && l->heap[(i - 1) / 2].key_ms > last.key_ms) {
        sift_up(l, i, last);
    } else {
        sift_down(l, i, last);
    }
}

void ar_timers_run(struct ar_loop *l)
{
    int64_t now_ms = ar_loop_now_ms(l);
    l->armed_ms = INT64_MIN; /* nobody arms while we are at it */
    /* A timer that sets itself to now again runs in the next turn: the loop goes on. */
    for (unsigned left = l->heap_n; left > 0 && l->heap_n > 0 && l->heap[0].key_ms <= now_ms;) {
        struct ar_timer *t = l->heap[0].timer;
        if (l->heap[0].key_ms != t->at_ms) {
            sift_down(l, 0, (struct ar_heap_slot){t->at_ms, t});
            continue;
        }
        ar_timer_clear(l, t);
        t->fire(t);
        left--;
    }
    l->armed_ms = AR_NEVER;
    arm(l);
}
