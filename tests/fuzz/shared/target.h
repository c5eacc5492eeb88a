/* What libFuzzer calls with each input; 0: keep it when it found something new. */
#ifndef AR_FUZZ_SHARED_TARGET_H
#define AR_FUZZ_SHARED_TARGET_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
