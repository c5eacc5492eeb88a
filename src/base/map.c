/*
 * Linear-probing hash map. Deletion shifts the cluster back, so there are no tombstones and a
 * lookup stops at the first free slot. Never copies a key.
 */
#include "base/map.h"

#include "base/hash.h"

#include <stdlib.h>

void ar_map_init(struct ar_map *m, uint64_t seed)
{
    *m = (struct ar_map){.seed = seed};
}

void ar_map_done(struct ar_map *m)
{
    free(m->slots);
    *m = (struct ar_map){.seed = m->seed};
}

/* Slot of key, or the free one where it belongs. cap > 0. */
static size_t slot_of(const struct ar_map *m, struct ar_str key)
{
    size_t at = (size_t)ar_hash64(key, m->seed) & (m->cap - 1);
    while (m->slots[at].key.p && !ar_str_is(m->slots[at].key, key)) {
        at = (at + 1) & (m->cap - 1);
    }
    return at;
}

void *ar_map_get(const struct ar_map *m, struct ar_str key)
{
    return m->cap > 0 ? m->slots[slot_of(m, key)].value : NULL;
}

static void grow(struct ar_map *m)
{
    struct ar_map old = *m;
    m->cap = old.cap > 0 ? old.cap * 2 : 16;
    m->slots = calloc(m->cap, sizeof *m->slots);
    AR_ASSERT(m->slots != NULL);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i].key.p) {
            m->slots[slot_of(m, old.slots[i].key)] = old.slots[i];
        }
    }
    free(old.slots);
}

void ar_map_put(struct ar_map *m, struct ar_str key, void *value)
{
    if ((m->n + 1) * 4 > m->cap * 3) {
        grow(m);
    }
    struct ar_map_slot *s = &m->slots[slot_of(m, key)];
    if (!s->key.p) {
        s->key = (struct ar_str){key.p ? key.p : "", key.n};
        m->n++;
    }
    s->value = value;
}

void *ar_map_remove(struct ar_map *m, struct ar_str key)
{
    if (m->cap == 0) {
        return NULL;
    }
    size_t hole = slot_of(m, key);
    void *value = m->slots[hole].value;
    if (!m->slots[hole].key.p) {
        return NULL;
    }
    m->n--;
    for (size_t at = (hole + 1) & (m->cap - 1); m->slots[at].key.p; at = (at + 1) & (m->cap - 1)) {
        size_t home = (size_t)ar_hash64(m->slots[at].key, m->seed) & (m->cap - 1);
        if (((at - home) & (m->cap - 1)) >= ((at - hole) & (m->cap - 1))) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct ar_map_slot){{NULL, 0}, NULL};
    return value;
}
