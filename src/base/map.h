/* String -> pointer, open addressing. Keys are borrowed (they must outlive the map), values are the
 * caller's. Owns its slots. One thread at a time. */
#ifndef AR_BASE_MAP_H
#define AR_BASE_MAP_H

#include "base/str.h"

struct ar_map_slot {
    struct ar_str key; /* p NULL: free */
    void *value;
};
struct ar_map {
    struct ar_map_slot *slots;
    size_t cap, n; /* cap: power of two or 0 */
    uint64_t seed;
};

void ar_map_init(struct ar_map *m, uint64_t seed);
void ar_map_done(struct ar_map *m);
/* NULL: not there. */
void *ar_map_get(const struct ar_map *m, struct ar_str key);
/* Adds, or replaces the value (the old key stays). */
void ar_map_put(struct ar_map *m, struct ar_str key, void *value);
/* Returns the value that was there, or NULL. */
void *ar_map_remove(struct ar_map *m, struct ar_str key);

#endif
