/*
 * The two clocks of the system in the units that the program uses. Code that must be tested with a
 * fake clock takes now_ms as an argument instead of asking here.
 */
#include "base/clock.h"

#include <time.h>

int64_t ar_clock_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

int64_t ar_clock_unix_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t ar_clock_unix_s(void)
{
    return (int64_t)time(NULL);
}
