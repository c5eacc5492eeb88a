/* A Responses stream or answer: shared/stream.h says what is checked. The first two bytes say how
 * the stream is cut. */
#include "shared/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    if (n < 3) {
        return 0;
    }
    struct ar_str in = ar_str_n((const char *)data + 2, n - 2);
    size_t step = 1 + (((size_t)data[0] << 8) + data[1]) % in.n;
    struct fuzz_answer how = {.d = &ar_dialect_responses, .step = step};
    how.target = (struct ar_target){.model = AR_LIT("m"), .vendor = AR_VENDOR_OPENAI};
    fuzz_stream(&how, in);
    fuzz_whole(&how, in);
    return 0;
}
