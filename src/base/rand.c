/*
 * Randomness. Secrets and ids come from getrandom; choices come from a 64-bit mixing counter whose
 * state the caller owns, so that tests can seed it. Nothing here is shared between threads.
 */
#include "base/rand.h"

#include "base/err.h"

#include <sys/random.h>
#include <sys/types.h>

void ar_random_bytes(void *ret, size_t n)
{
    char *p = ret;
    while (n > 0) {
        ssize_t got = getrandom(p, n, 0);
        AR_ASSERT(got > 0);
        p += got;
        n -= (size_t)got;
    }
}

void ar_rand_init(struct ar_rand *r, uint64_t seed)
{
    r->state = seed;
    if (seed == 0) {
        ar_random_bytes(&r->state, sizeof r->state);
    }
}

uint64_t ar_rand_next(struct ar_rand *r)
{
    uint64_t z = (r->state += 0x9e3779b97f4a7c15U);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

uint64_t ar_rand_below(struct ar_rand *r, uint64_t n)
{
    return (uint64_t)(((unsigned __int128)ar_rand_next(r) * n) >> 64);
}
