/* Memory of a table: cells of one size, taken as chains. What is given back is used again by
 * whoever comes next, on whatever thread, so a table never holds more than its largest use; the
 * general allocator keeps what one thread freed for that thread. Private to recall/. Any thread. */
#ifndef AR_RECALL_CELLS_H
#define AR_RECALL_CELLS_H

#include "base/str.h"

#include <pthread.h>

enum { AR_CELL_BYTES = 256 };
struct ar_cell {
    struct ar_cell *next; /* NULL: the last one */
    char bytes[AR_CELL_BYTES - sizeof(void *)];
};

struct ar_cells {
    pthread_mutex_t lock;
    struct ar_cell *spare;
    struct ar_segment *segments; /* what was taken from the system, and is kept */
};
void ar_cells_init(struct ar_cells *c);
void ar_cells_done(struct ar_cells *c);

/* A chain of n cells, n > 0; *ret_last: its end. NULL: no memory. */
struct ar_cell *ar_cells_take(struct ar_cells *c, size_t n, struct ar_cell **ret_last);
/* Gives a whole chain back. */
void ar_cells_give(struct ar_cells *c, struct ar_cell *first, struct ar_cell *last);

#endif
