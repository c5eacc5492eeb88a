/* Clocks. Monotonic for deadlines and durations, wall for what people read. Any thread. */
#ifndef AR_BASE_CLOCK_H
#define AR_BASE_CLOCK_H

#include <stdint.h>

int64_t ar_clock_us(void);      /* monotonic microseconds */
int64_t ar_clock_unix_ms(void); /* wall clock */
/* The same in seconds, cheaper: may be a tick of the kernel (milliseconds) behind. */
int64_t ar_clock_unix_s(void);

#endif
