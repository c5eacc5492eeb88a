/*
 * Cells come in segments from the system and stay until the end; spare ones are one list. A chain
 * is taken a few cells at a time, so that nobody waits for somebody's large one, and given back in
 * one step, because its end is known.
 */
#include "recall/cells.h"

#include <stdlib.h>
#include <sys/mman.h>

enum { SEGMENT_CELLS = 4096, BATCH = 64 };

struct ar_segment {
    struct ar_segment *next;
    char pad[AR_CELL_BYTES - sizeof(void *)];
    struct ar_cell cells[SEGMENT_CELLS];
};

void ar_cells_init(struct ar_cells *c)
{
    int failed = pthread_mutex_init(&c->lock, NULL);
    AR_ASSERT(failed == 0);
    c->spare = NULL;
    c->segments = NULL;
}

void ar_cells_done(struct ar_cells *c)
{
    while (c->segments) {
        struct ar_segment *s = c->segments;
        c->segments = s->next;
        (void)munmap(s, sizeof *s);
    }
    (void)pthread_mutex_destroy(&c->lock);
}

/* The lock is held. false: the system has none. */
static bool grow(struct ar_cells *c)
{
    struct ar_segment *s =
        mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) {
        return false;
    }
    s->next = c->segments;
    c->segments = s;
    for (unsigned i = SEGMENT_CELLS; i > 0; i--) {
        s->cells[i - 1].next = c->spare;
        c->spare = &s->cells[i - 1];
    }
    return true;
}

struct ar_cell *ar_cells_take(struct ar_cells *c, size_t n, struct ar_cell **ret_last)
{
    struct ar_cell *first = NULL, *last = NULL, **link = &first;
    bool good = true;
    while (n > 0 && good) {
        (void)pthread_mutex_lock(&c->lock);
        for (unsigned i = 0; i < BATCH && n > 0 && good; i++) {
            good = c->spare || grow(c);
            if (good) {
                *link = last = c->spare;
                c->spare = last->next;
                link = &last->next;
                n--;
            }
        }
        (void)pthread_mutex_unlock(&c->lock);
    }
    *link = NULL;
    if (!good && first) {
        ar_cells_give(c, first, last);
    }
    *ret_last = last;
    return good ? first : NULL;
}

void ar_cells_give(struct ar_cells *c, struct ar_cell *first, struct ar_cell *last)
{
    (void)pthread_mutex_lock(&c->lock);
    last->next = c->spare;
    c->spare = first;
    (void)pthread_mutex_unlock(&c->lock);
}
