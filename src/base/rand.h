/* Random numbers: the kernel's for secrets and ids, a small generator for choices. */
#ifndef AR_BASE_RAND_H
#define AR_BASE_RAND_H

#include <stddef.h>
#include <stdint.h>

/* n bytes from the kernel; aborts if it has none. Any thread. */
void ar_random_bytes(void *ret, size_t n);

/* Generator of one owner, for balancing and jitter. Never for secrets. Seed by ar_rand_init. */
struct ar_rand {
    uint64_t state;
};
void ar_rand_init(struct ar_rand *r, uint64_t seed); /* seed 0: from the kernel */
uint64_t ar_rand_next(struct ar_rand *r);
/* Uniform in [0, n); n > 0. */
uint64_t ar_rand_below(struct ar_rand *r, uint64_t n);

#endif
